// SPDX-License-Identifier: Apache-2.0
/**
 * A message on its way out, and whom it is for (section 4.7).
 *
 * @module
 */
import { CallError, Code, invalid } from "./errors.js";
import { EMPTY, concat } from "./bytes.js";
import { LAST_INDEX, LOSSY_FRAME, overhead } from "./data.js";
import { PACKET } from "./frames.js";
import { LIMITS } from "./limits.js";
import { chooseForm } from "./recipients.js";
import { Queue } from "./queue.js";
import { Verdicts, refusal } from "./verdicts.js";

/** @typedef {import("./roster.js").Occupant} Occupant */
/** @typedef {import("./roster.js").Roster} Roster */
/** @typedef {import("./recipients.js").RecipientBlock} RecipientBlock */

/**
 * Whom a message is for, in the application's words: everyone, the endpoints of some identifiers, or everyone but
 * those. An empty list means everyone.
 *
 * @typedef {"everyone" | { readonly only: readonly string[] } | { readonly except: readonly string[] }} Recipients
 */

const HEAD = LIMITS.bundle_head.usual;

/** The words, put in order so that the same recipients have the same key. */
export class Audience {
    /** @param {Recipients} recipients raises INVALID_ARGUMENT for anything else */
    constructor(recipients) {
        /** @type {"everyone" | "only" | "except"} */
        this.kind = "everyone";
        /** @type {readonly string[]} */
        this.ids = [];
        if (recipients === "everyone") return;
        const words = typeof recipients === "object" && recipients !== null ? recipients : {};
        const ids = "only" in words ? words.only : "except" in words ? words.except : undefined;
        if (!Array.isArray(ids) || !ids.every((id) => typeof id === "string")) {
            throw invalid('recipients are "everyone", { only: identifiers } or { except: identifiers }');
        }
        this.ids = [...new Set(ids)].sort();
        if (this.ids.length > 0) this.kind = "only" in words ? "only" : "except";
    }

    /** The same for the same recipients, "in the application's words" (CC-DELIV-074). */
    get key() {
        return JSON.stringify([this.kind, this.ids]);
    }
}

/**
 * Who a message is for at a moment.
 *
 * @typedef {object} Address
 * @property {ReadonlySet<Occupant>} members the recipients, and those who failed before
 * @property {ReadonlySet<Occupant>} passed those who failed before
 * @property {Occupant[]} gone named recipients who have left
 * @property {RecipientBlock | null} block
 * @property {boolean} private
 * @property {"written" | "gone" | "failed" | "large"} outcome whether it can be written, and why not
 */

/** One message of a sender. */
export class Outgoing {
    /** Place of the next fragment. */
    index = 0;
    /** Bytes of the payload that are written. */
    offset = 0;
    /** Whether its first frame was written. */
    begun = false;
    /** Whether its last frame was. */
    complete = false;
    /** Whether its send has its outcome. */
    settled = false;
    /** Whether an ACK frame covered it. */
    accepted = false;
    /** @type {Verdicts | null} */
    verdicts = null;
    /** @type {Address | null} */
    address = null;
    /** @type {RecipientBlock | null} */
    block = null;
    private = false;
    /** Whether it travels in fragments; known from its first frame on. */
    fragmented = false;
    /** @type {import("./timers.js").Timer | null} */
    timer = null;
    /** @type {import("./timers.js").Timer | null} */
    deadline = null;
    /** A stream: what was given and is not written. @type {Queue<Uint8Array> | null} */
    chunks = null;
    /** A stream: its end was given. */
    finished = true;
    /** Payload bytes that are given and not written. */
    left = 0;
    /** Payload bytes that are written. */
    written = 0;
    /** Lossy: listed identifiers that have no endpoint. */
    missing = 0;
    /** Resolved recipients, where the message names some. @type {ReadonlySet<Occupant> | null} */
    named = null;
    /** Whether it has to fit one frame: LATEST. */
    whole = false;
    #addressKey = "";

    /**
     * @param {number} sequence
     * @param {Uint8Array | null} payload null: a stream
     * @param {Audience} audience
     * @param {readonly import("./extensions.js").Extension[]} extensions
     * @param {number} now when it was queued
     */
    constructor(sequence, payload, audience, extensions, now) {
        this.sequence = sequence;
        this.payload = payload ?? EMPTY;
        this.audience = audience;
        this.extensions = extensions;
        this.queuedAt = now;
        /** Microseconds that it may wait, Infinity without a lifetime. */
        this.lifetime = Infinity;
        this.left = this.payload.length;
        if (payload === null) {
            this.chunks = new Queue();
            this.finished = false;
        }
    }

    get stream() {
        return this.chunks !== null;
    }

    /** The total that its fragments carry. */
    get total() {
        return this.stream ? 0 : this.payload.length;
    }

    /** Whether there is a frame to write: a stream may have to wait for its application. */
    get writable() {
        return this.chunks === null || this.finished || this.left > 0;
    }

    /**
     * Whom it would be written to under the newest complete epoch. Made anew when that or the failed recipients change.
     *
     * @param {Roster} roster
     * @param {ReadonlyMap<Occupant, number>} barred who failed in this session
     * @param {boolean} reliable
     * @param {boolean} confirm
     */
    addressed(roster, barred, reliable, confirm) {
        const key = `${roster.epoch} ${barred.size}`;
        if (this.address === null || this.#addressKey !== key) {
            const grown = this.address !== null;
            this.#addressKey = key;
            this.address = this.#find(roster, barred, reliable, confirm);
            if (grown && this.address.outcome === "written" && !this.fits(reliable)) {
                this.address = { ...this.address, outcome: "large" };
            }
        }
        return this.address;
    }

    /**
     * Whether its first frame has room for its blocks and for the payload that it needs at least (CC-EXT-003).
     *
     * @param {boolean} reliable
     */
    fits(reliable) {
        const block = this.address?.block ?? null;
        const longest = reliable ? PACKET.reliable : LOSSY_FRAME;
        if (!this.stream && overhead(false, block, this.extensions) + this.left <= longest) return true;
        if (this.whole) return false;
        return overhead(true, block, this.extensions) + (reliable ? 1 : Math.min(this.left, 512)) <= longest;
    }

    /**
     * @param {Roster} roster
     * @param {ReadonlyMap<Occupant, number>} barred
     * @param {boolean} reliable
     * @param {boolean} confirm
     * @returns {Address}
     */
    #find(roster, barred, reliable, confirm) {
        const { others, epoch } = roster;
        const most = reliable ? 0x7fff : 64;
        if (this.named !== null) {
            const present = [...this.named].filter((occupant) => occupant.present);
            const gone = [...this.named].filter((occupant) => !occupant.present);
            const base = { members: this.named, passed: new Set(), gone, private: true };
            if (present.length === 0) return { ...base, block: null, outcome: "gone" };
            const form = chooseForm(slots(present), slots(others), false, most);
            if (form === null) return { ...base, block: null, outcome: "large" };
            return { ...base, block: { epoch, ...form }, outcome: "written" };
        }
        const banned = new Set(this.audience.ids);
        const excluded = banned.size === 0 ? [] : [...others].filter(({ id }) => banned.has(id));
        const members = excluded.length === 0 ? others : new Set([...others].filter(({ id }) => !banned.has(id)));
        const passed = new Set([...barred.keys()].filter((occupant) => members.has(occupant)));
        const base = { members, passed, gone: [], private: excluded.length > 0 };
        if (members.size > 0 && passed.size === members.size) return { ...base, block: null, outcome: "failed" };
        if (excluded.length === 0) {
            // CC-ROSTER-050: nobody is excluded, so it is one to everyone; CC-FRAME-048 with CONFIRM.
            const block = confirm ? { epoch, except: true, words: [] } : null;
            return { ...base, block, outcome: "written" };
        }
        const form = chooseForm(slots(excluded), slots(others), true, most);
        if (form === null) return { ...base, block: null, outcome: "large" };
        return { ...base, block: { epoch, ...form }, outcome: "written" };
    }

    /**
     * Cuts the next frame: its payload, and whether it is the last. Nothing changes until `advance`.
     *
     * @param {boolean} reliable
     * @param {RecipientBlock | null} block that of this frame, if it carries one
     * @param {readonly import("./extensions.js").Extension[]} extensions of this frame
     */
    cut(reliable, block, extensions) {
        const longest = /** @type {number} */ (reliable ? PACKET.reliable : LOSSY_FRAME);
        const whole = overhead(false, block, extensions);
        const rest = this.stream ? this.left : this.payload.length - this.offset;
        if (!this.begun && !this.stream && whole + rest <= longest) {
            return { fragmented: false, length: rest, last: true, size: whole + rest };
        }
        const head = overhead(true, block, extensions);
        // A fragment leaves room in its packet for an ACK, a RECEIPT or a CREDIT in front of it (8.4), if it has any to
        // leave.
        const frame = reliable && head < PACKET.reliable - 1024 ? PACKET.reliable - HEAD : longest;
        const length = Math.min(rest, frame - head);
        const last = this.finished && length === rest;
        return { fragmented: true, length, last, size: head + length };
    }

    /** Whether the indexes are used up: the next fragment would have to end the message and cannot (CC-FRAG-024). */
    get spent() {
        return this.index >= LAST_INDEX;
    }

    /**
     * Takes the next bytes of the payload.
     *
     * @param {number} length
     */
    take(length) {
        this.left -= length;
        this.written += length;
        if (this.chunks === null) {
            const part = this.payload.subarray(this.offset, this.offset + length);
            this.offset += length;
            return part;
        }
        const parts = [];
        for (let missing = length; missing > 0;) {
            const chunk = /** @type {Uint8Array} */ (this.chunks.first);
            const part = chunk.subarray(this.offset, this.offset + missing);
            parts.push(part);
            missing -= part.length;
            this.offset += part.length;
            if (this.offset === chunk.length) {
                this.chunks.shift();
                this.offset = 0;
            }
        }
        return parts.length === 1 ? parts[0] : concat(parts, length);
    }
}

/**
 * Resolves the identifiers of a Reliable message to some. Raises UNKNOWN_RECIPIENT or RECIPIENT_FAILED with all that
 * are concerned (CC-ROSTER-039, CC-DELIV-027, 028).
 *
 * @param {Audience} audience
 * @param {Roster} roster
 * @param {ReadonlyMap<Occupant, number>} barred
 */
export function resolve(audience, roster, barred) {
    /** @type {Set<Occupant>} */
    const named = new Set();
    /** @type {import("./verdicts.js").Misfortune[]} */
    const troubles = [];
    let code = Code.RECIPIENT_FAILED;
    for (const id of audience.ids) {
        const endpoints = roster.named(id);
        if (endpoints.length === 0) {
            code = Code.UNKNOWN_RECIPIENT;
            troubles.push({ recipient: { slot: 0xffff, id }, code });
        }
        for (const occupant of endpoints) {
            named.add(occupant);
            if (barred.has(occupant)) {
                troubles.push({ recipient: { slot: occupant.slot, id }, code: Code.RECIPIENT_FAILED });
            }
        }
    }
    if (troubles.length > 0) {
        const names = troubles.map(({ recipient }) => JSON.stringify(recipient.id)).join(", ");
        throw new CallError(code, names, refusal(code, troubles));
    }
    return named;
}

/** @param {Iterable<Occupant>} occupants */
export function slots(occupants) {
    return [...occupants].map(({ slot }) => slot);
}
