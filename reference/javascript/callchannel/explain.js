// SPDX-License-Identifier: Apache-2.0
/**
 * Explains the bytes of a packet, field by field, by the layout in the registries. It judges nothing: `decodePacket`
 * of `frames.js` does. Whatever the bytes are, it raises nothing.
 *
 * @module
 */
import { codeName } from "./errors.js";
import { registry } from "./registry.js";

/**
 * A field of a frame or block; `bits` is null where other fields say how long it is.
 *
 * @typedef {{ name: string, type: string, bits: number | null, when: string | null, block: string | null,
 *   repeat: boolean, meaning: string }} Field
 * @typedef {{ bit: number, name: string, meaning: string }} Flag
 * @typedef {{ name: string, meaning: string, value: string | null, flags: Flag[], fields: Field[] }} FrameLayout
 * @typedef {object} Layout
 * @property {Field[]} start of every frame
 * @property {Record<string, FrameLayout>} frames by type
 * @property {Record<string, { size: number | null, fields: Field[] }>} blocks
 * @property {Record<string, string>} ops
 * @property {Record<string, { name: string, meaning: string }>} errors
 * @property {Record<string, string>} extensions
 */

/**
 * A row of the explanation: where the bytes are, what field they are, its value and what that means. `depth` is 1 and
 * more within blocks.
 *
 * @typedef {{ offset: number, bytes: Uint8Array, name: string, depth: number, value: string, meaning: string }} Row
 */

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Explains the frame that begins at `start`.
 *
 * @param {Uint8Array} packet
 * @param {number} [start]
 * @returns {{ rows: Row[], end: number }} and where the frame ends
 */
export function explain(packet, start = 0) {
    const walk = new Walk(packet, start);
    walk.run();
    return { rows: walk.rows, end: walk.end };
}

/** Values of integers that were read, by the names of their fields. @typedef {Record<string, number | bigint>} Seen */

/** Walks through one frame, as long as there are bytes. */
class Walk {
    /** @type {Row[]} */
    rows = [];

    /** @param {Uint8Array} packet @param {number} start */
    constructor(packet, start) {
        this.packet = packet;
        this.start = start;
        this.at = start;
        this.end = packet.length;
        /** @type {string[]} */
        this.flags = [];
        /** @type {FrameLayout | undefined} */
        this.frame = undefined;
    }

    run() {
        const type = this.packet[this.start];
        /** @type {Record<string, FrameLayout | undefined>} */
        const frames = registry.frames;
        this.frame = frames[type];
        for (const field of registry.start) if (!this.field(field, 0, {})) return;
        const length = this.packet[this.start + 2] * 256 + this.packet[this.start + 3];
        if (length >= 4 && this.start + length <= this.packet.length) this.end = this.start + length;
        if (this.frame === undefined) this.add("body", this.end - this.at, 0, (bytes) => preview(bytes));
        else this.fields(this.frame.fields, 0);
        if (this.at < this.end) this.add("rest", this.end - this.at, 0, () => "beyond the frame’s fields");
    }

    /**
     * All fields of a frame or block. Returns whether there were bytes enough.
     *
     * @param {Field[]} fields
     * @param {number} depth
     * @returns {boolean}
     */
    fields(fields, depth) {
        /** @type {Seen} */
        const seen = {};
        for (let at = 0; at < fields.length; at += 1) {
            const field = fields[at];
            if (field.when !== null && !this.flags.includes(field.when)) continue;
            if (field.bits !== null && field.bits % 8 !== 0) {
                /** @type {Field[]} */
                const group = [];
                for (let bits = 0; bits === 0 || bits % 8 !== 0; at += 1) {
                    group.push(fields[at]);
                    bits += fields[at].bits ?? 0;
                }
                at -= 1;
                if (!this.group(group, depth, seen)) return false;
            } else if (!this.field(field, depth, seen)) return false;
        }
        return true;
    }

    /**
     * @param {Field} field
     * @param {number} depth
     * @param {Seen} seen
     * @returns {boolean}
     */
    field(field, depth, seen) {
        if (field.type === "block") return this.block(field, depth, seen);
        if (field.bits === null) {
            const stated = seen[`${field.name}_length`] ?? (field.name === "value" ? seen.length : undefined);
            const size = stated === undefined ? this.end - this.at : Number(stated);
            if (size === 0) return true;
            return this.add(field.name, size, depth, field.type === "utf8" ? quoted : preview);
        }
        if (field.type === "bytes") return this.add(field.name, field.bits / 8, depth, () => field.meaning);
        return this.add(field.name, field.bits / 8, depth, (bytes) => {
            const value = numberOf(bytes);
            seen[field.name] = value;
            if (field.name === "flags") this.flags = namesOf(this.frame, Number(value));
            return [value.toLocaleString("en"), this.meaning(field, Number(value))];
        });
    }

    /**
     * Fields that share an integer.
     *
     * @param {Field[]} group
     * @param {number} depth
     * @param {Seen} seen
     */
    group(group, depth, seen) {
        const bits = group.reduce((sum, field) => sum + (field.bits ?? 0), 0);
        return this.add(group.map((field) => field.name).join(", "), bits / 8, depth, (bytes) => {
            let left = BigInt(bits);
            const whole = BigInt(numberOf(bytes));
            return group
                .map((field) => {
                    const width = BigInt(field.bits ?? 0);
                    left -= width;
                    const value = Number((whole >> left) & ((1n << width) - 1n));
                    seen[field.name] = value;
                    const named = field.name === "type" ? ` (${known(registry.extensions, value) ?? "unknown"})` : "";
                    return `${field.name} ${value.toLocaleString("en")}${named}`;
                })
                .join(", ");
        });
    }

    /**
     * @param {Field} field
     * @param {number} depth
     * @param {Seen} seen
     */
    block(field, depth, seen) {
        /** @type {Record<string, { fields: Field[] }>} */
        const blocks = registry.blocks;
        const inner = blocks[field.block ?? ""].fields;
        if (!field.repeat) return this.fields(inner, depth + 1);
        const end = seen.size === undefined ? this.end : Math.min(this.end, this.at + Number(seen.size));
        let left = Number(seen.count ?? Infinity);
        while (this.at < end && left > 0) {
            left -= 1;
            const from = this.at;
            if (!this.fields(inner, depth + 1)) return false;
            if (field.block === "word") this.slots(from);
        }
        return true;
    }

    /** Says which slots the word that was just read names. @param {number} from */
    slots(from) {
        const view = new DataView(this.packet.buffer, this.packet.byteOffset + from, 6);
        const base = 32 * view.getUint16(0);
        const word = view.getUint32(2);
        const slots = [];
        for (let bit = 0; bit < 32; bit += 1) if ((word >>> bit) & 1) slots.push(base + bit);
        this.rows[this.rows.length - 1].meaning = `slot${slots.length === 1 ? "" : "s"} ${slots.join(", ") || "none"}`;
    }

    /**
     * @param {string} name
     * @param {number} size
     * @param {number} depth
     * @param {(bytes: Uint8Array) => string | [value: string, meaning: string]} tell
     */
    add(name, size, depth, tell) {
        const left = this.end - this.at;
        const bytes = this.packet.subarray(this.at, this.at + Math.min(size, left));
        const cut = size > left;
        if (cut && left === 0) return false;
        const told = cut ? `cut off: ${left} of ${size} bytes` : tell(bytes);
        const [value, meaning] = Array.isArray(told) ? told : ["", told];
        this.rows.push({ offset: this.at, bytes, name, depth, value, meaning });
        this.at += bytes.length;
        return !cut;
    }

    /**
     * @param {Field} field
     * @param {number} value
     * @returns {string}
     */
    meaning(field, value) {
        switch (field.name) {
            case "type":
                return (
                    this.frame?.name ??
                    `unknown${value & 0x80 ? ", skipped" : ""}${value & 0x40 ? ", not counted" : ""}`
                );
            case "flags":
                return this.flags.join(" ") || "none";
            case "sender":
            case "recipient":
            case "slot":
                return value === 0xffff ? "none" : `slot ${value}`;
            case "reason":
            case "code":
                return codeName(value);
            case "op":
                return known(registry.ops, value) ?? "undefined";
            case "value":
                return this.frame?.value ?? "";
            case "length":
                return "";
            default:
                return field.meaning;
        }
    }
}

/**
 * @param {Record<string, string>} table
 * @param {number} value
 * @returns {string | undefined}
 */
function known(table, value) {
    return table[value];
}

/** @param {Uint8Array} bytes @returns {number | bigint} */
function numberOf(bytes) {
    let value = 0n;
    for (const byte of bytes) value = value * 256n + BigInt(byte);
    return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
}

/** @param {FrameLayout | undefined} frame @param {number} flags */
function namesOf(frame, flags) {
    const defined = frame?.flags ?? [];
    const names = defined.filter(({ bit }) => flags & bit).map(({ name }) => name);
    const rest = flags & ~defined.reduce((sum, { bit }) => sum | bit, 0);
    return rest === 0 ? names : [...names, `undefined ${rest.toString(16).toUpperCase().padStart(2, "0")}`];
}

/** @param {Uint8Array} bytes */
function preview(bytes) {
    const count = `${bytes.length.toLocaleString("en")} byte${bytes.length === 1 ? "" : "s"}`;
    try {
        const text = utf8.decode(bytes);
        return /^[^\p{C}\p{Zl}\p{Zp}]+$/u.test(text) ? `${count}, “${text}”` : count;
    } catch {
        return count;
    }
}

/** @param {Uint8Array} bytes */
function quoted(bytes) {
    try {
        return `“${utf8.decode(bytes).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "�")}”`;
    } catch {
        return "not UTF-8";
    }
}
