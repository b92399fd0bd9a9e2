// SPDX-License-Identifier: Apache-2.0
// Shared pointers: each position is a Lossy message of four bytes, and only the latest counts.
import { box, draw, make } from "./dom.js";
import { hue, shown } from "./words.js";

/** The channel of pointers; a position is two u16, from the left and from the top. */
export const POINTERS = 100;

const MOST = 65535;
const STEP = 0.04;
/** Milliseconds between two positions that are sent, at least. */
const PAUSE = 33;
/** Milliseconds after which a pointer that rests fades. */
const REST = 8000;

/** @type {Record<string, [number, number]>} */
const KEYS = {
    ArrowLeft: [-STEP, 0],
    ArrowRight: [STEP, 0],
    ArrowUp: [0, -STEP],
    ArrowDown: [0, STEP],
};

export class Pointers {
    #pad = box("pad");
    #sender;
    #own;
    /** @type {Map<number, { element: HTMLElement, timer: ReturnType<typeof setTimeout> | undefined }>} */
    #shown = new Map();
    #place = { x: 0.5, y: 0.5 };
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    #due = undefined;
    #sentAt = 0;

    /**
     * @param {import("./callchannel/index.js").Call} call
     * @param {{ slot: number, id: string }} own
     */
    constructor(call, own) {
        this.#own = own;
        this.#sender = call.createSender({ channel: POINTERS, reliability: "lossy", latest: true });
        this.#pad.addEventListener("pointermove", (event) => this.#pointed(event));
        this.#pad.addEventListener("pointerdown", (event) => this.#pointed(event));
        this.#pad.addEventListener("keydown", (event) => {
            const step = KEYS[event.key];
            if (step === undefined) return;
            event.preventDefault();
            this.#go(this.#place.x + step[0], this.#place.y + step[1]);
        });
        call.addEventListener("participantleft", (event) =>
            this.#remove(/** @type {any} */ (event).detail.participant.slot),
        );
    }

    /** @param {PointerEvent} event */
    #pointed(event) {
        const area = this.#pad.getBoundingClientRect();
        this.#go((event.clientX - area.left) / area.width, (event.clientY - area.top) / area.height);
    }

    /** @param {number} x @param {number} y */
    #go(x, y) {
        this.#place = { x: Math.min(1, Math.max(0, x)), y: Math.min(1, Math.max(0, y)) };
        this.#show(this.#own, this.#place.x, this.#place.y, true);
        this.#due ??= setTimeout(() => this.#send(), Math.max(0, this.#sentAt + PAUSE - performance.now()));
    }

    #send() {
        this.#due = undefined;
        this.#sentAt = performance.now();
        const place = new Uint16Array(2);
        const view = new DataView(place.buffer);
        view.setUint16(0, Math.round(this.#place.x * MOST));
        view.setUint16(2, Math.round(this.#place.y * MOST));
        this.#sender.send(place).catch(() => {}); // the call has ended, which is told elsewhere
    }

    /**
     * Somebody's pointer has moved.
     *
     * @param {{ slot: number, id: string }} participant
     * @param {Uint8Array} data
     */
    moved(participant, data) {
        if (data.length !== 4) return;
        const view = new DataView(data.buffer, data.byteOffset, 4);
        this.#show(participant, view.getUint16(0) / MOST, view.getUint16(2) / MOST, false);
    }

    /** @param {{ slot: number, id: string }} participant @param {number} x @param {number} y @param {boolean} own */
    #show({ slot, id }, x, y, own) {
        let pointer = this.#shown.get(slot);
        if (pointer === undefined) {
            const arrow = draw("path", { d: "M1 1 L1 15 L5 11.4 L7.6 17 L10 16 L7.4 10.4 L12.6 10.2 Z" });
            const drawing = draw("svg", { viewBox: "0 0 14 18", width: 14, height: 18, "aria-hidden": "true" }, arrow);
            const element = make(
                "div",
                { class: own ? "pointer own" : "pointer" },
                drawing,
                make("span", own ? "you" : shown(id, 16)),
            );
            element.style.setProperty("--hue", String(hue(id)));
            this.#pad.append(element);
            pointer = { element, timer: undefined };
            this.#shown.set(slot, pointer);
        }
        const { element } = pointer;
        element.style.left = `${(x * 100).toFixed(2)}%`;
        element.style.top = `${(y * 100).toFixed(2)}%`;
        element.classList.toggle("flip", x > 0.7);
        element.classList.remove("rests");
        clearTimeout(pointer.timer);
        pointer.timer = setTimeout(() => element.classList.add("rests"), REST);
    }

    /** @param {number} slot */
    #remove(slot) {
        const pointer = this.#shown.get(slot);
        clearTimeout(pointer?.timer);
        pointer?.element.remove();
        this.#shown.delete(slot);
    }
}
