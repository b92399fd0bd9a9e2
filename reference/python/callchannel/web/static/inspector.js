// SPDX-License-Identifier: Apache-2.0
// The last frames on the wire, decoded field by field.
import { decodePacket } from "./callchannel/frames.js";
import { explain } from "./callchannel/explain.js";
import { box, make, part } from "./dom.js";
import { POINTERS } from "./pointers.js";
import { size } from "./words.js";

/** @typedef {{ number: number, way: "sent" | "received", lane: string, bytes: Uint8Array, words: string }} Seen */

const KEPT = 60;
/** Bytes of a frame that are kept; the rest of a payload is only counted. */
const HEAD = 2048;
/** Bytes of a field that are shown. */
const SHOWN = 32;

export class Inspector {
    /** @type {Seen[]} */
    #seen = [];
    #count = 0;
    #paused = false;
    #due = false;
    #list = part("frames", HTMLOListElement);
    #pause = part("frames-pause", HTMLButtonElement);
    #acks = part("frames-acks", HTMLInputElement);
    #pointers = part("frames-pointers", HTMLInputElement);
    #chosen = 0;
    /** @type {Map<number, HTMLElement>} */
    #rows = new Map();

    constructor() {
        this.#pause.addEventListener("click", () => {
            this.#paused = !this.#paused;
            this.#pause.setAttribute("aria-pressed", String(this.#paused));
        });
        this.#list.replaceChildren();
    }

    /**
     * Looks at a packet.
     *
     * @param {"sent" | "received"} way
     * @param {import("./callchannel/frames.js").Lane} lane
     * @param {Uint8Array} packet
     */
    look(way, lane, packet) {
        if (this.#paused) return;
        const { frames, fault } = decodePacket(packet, lane);
        let at = 0;
        for (const frame of frames) {
            const length = packet[at + 2] * 256 + packet[at + 3];
            const pointer = frame.type === "DATA" && !frame.reliable && frame.channel === POINTERS;
            if ((frame.type !== "ACK" || this.#acks.checked) && (!pointer || this.#pointers.checked)) {
                this.#keep(way, lane, packet.slice(at, at + Math.min(length, HEAD)), about(frame, length));
            }
            at += length;
        }
        if (fault !== null) this.#keep(way, lane, packet.slice(at, at + HEAD), "malformed");
    }

    /** @param {"sent" | "received"} way @param {string} lane @param {Uint8Array} bytes @param {string} words */
    #keep(way, lane, bytes, words) {
        this.#count += 1;
        this.#seen.push({ number: this.#count, way, lane, bytes, words });
        if (this.#seen.length > KEPT) this.#seen.shift();
        if (this.#due) return;
        this.#due = true;
        requestAnimationFrame(() => {
            this.#due = false;
            this.#show();
        });
    }

    /** Adds what is new at the top, and takes away what is too old. */
    #show() {
        const kept = new Set(this.#seen.map(({ number }) => number));
        for (const [number, row] of this.#rows) {
            if (kept.has(number)) continue;
            row.remove();
            this.#rows.delete(number);
        }
        for (const seen of this.#seen) {
            if (this.#rows.has(seen.number)) continue;
            const choose = make("button", { class: `seen ${seen.way}` });
            choose.type = "button";
            choose.append(make("span", { class: "way", text: seen.way === "sent" ? "→" : "←" }));
            choose.append(make("span", { class: "unseen", text: `${seen.way}: ` }), make("span", seen.words));
            if (seen.lane === "lossy") choose.append(make("span", { class: "tag", text: "lossy lane" }));
            choose.addEventListener("click", () => this.#choose(seen));
            const row = make("li", {}, choose);
            this.#rows.set(seen.number, row);
            this.#list.prepend(row);
        }
    }

    /** @param {Seen} seen */
    #choose(seen) {
        this.#rows.get(this.#chosen)?.firstElementChild?.removeAttribute("aria-current");
        this.#chosen = seen.number;
        this.#rows.get(seen.number)?.firstElementChild?.setAttribute("aria-current", "true");
        const table = make("table");
        const head = make("tr");
        for (const title of ["byte", "hexadecimal", "field", "value"]) {
            const cell = make("th", title);
            cell.scope = "col";
            head.append(cell);
        }
        const body = make("tbody");
        for (const { offset, bytes, name, depth, value, meaning } of explain(seen.bytes).rows) {
            const field = make("th", { text: name, class: depth > 0 ? "inner" : "" });
            field.scope = "row";
            const cells = [make("td", String(offset)), make("td", {}, make("code", hex(bytes))), field];
            const told = make("td", {}, make("b", value), value === "" ? "" : " ", make("span", meaning));
            body.append(make("tr", {}, ...cells, told));
        }
        table.append(make("thead", {}, head), body);
        const scroll = make("div", { class: "table-scroll" }, table);
        scroll.tabIndex = 0;
        scroll.setAttribute("role", "region");
        scroll.setAttribute("aria-label", "Fields of the frame");
        const way = seen.way === "sent" ? "Sent" : "Received";
        box("frame").replaceChildren(make("h3", `${way} on the ${seen.lane} lane: ${seen.words}`), scroll);
    }
}

/** @param {Uint8Array} bytes */
function hex(bytes) {
    const digits = Array.from(bytes.subarray(0, SHOWN), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
    return bytes.length > SHOWN ? `${digits} …` : digits;
}

/** @param {import("./callchannel/frames.js").Frame} frame @param {number} length */
function about(frame, length) {
    const bytes = size(length);
    if (frame.type === "DATA") {
        const piece =
            frame.fragment === null ? "" : `, piece ${frame.fragment.index}${frame.fragment.last ? ", last" : ""}`;
        return `DATA channel ${frame.channel}, message ${frame.sequence}${piece}, ${bytes}`;
    }
    if (frame.type === "UNKNOWN") return `unknown type ${frame.number}, ${bytes}`;
    return `${frame.type}, ${bytes}`;
}
