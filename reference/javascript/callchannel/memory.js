// SPDX-License-Identifier: Apache-2.0
/**
 * A transport within one process, for tests and demonstrations. It is no network (section 16.3).
 *
 * @module
 */
import { HIGH_WATER, LOW_WATER } from "./transport.js";

/** @typedef {import("./transport.js").Transport} Transport */
/** @typedef {import("./transport.js").TransportListener} TransportListener */
/** @typedef {import("./frames.js").Lane} Lane */

/** @implements {Transport} */
export class MemoryTransport {
    /** The other end. @type {MemoryTransport | null} */
    peer = null;
    /** @type {TransportListener | null} */
    #listener = null;
    /** @type {[Lane, Uint8Array][]} */
    #early = [];
    #buffered = { reliable: 0, lossy: 0 };
    #blocked = { reliable: false, lossy: false };
    #up = true;

    /** @param {boolean} lossy whether there is a lossy lane */
    constructor(lossy) {
        this.lossy = lossy;
    }

    /** @param {TransportListener} listener */
    attach(listener) {
        this.#listener = listener;
        for (const [lane, packet] of this.#early.splice(0)) listener.packet(lane, packet);
    }

    /** @param {Lane} lane */
    ready(lane) {
        return this.#up && !this.#blocked[lane] && (lane === "reliable" || this.lossy);
    }

    /**
     * @param {Lane} lane
     * @param {Uint8Array} packet
     */
    send(lane, packet) {
        if (!this.#up) return false;
        const copy = packet.slice();
        this.#buffered[lane] += copy.length;
        if (this.#buffered[lane] >= HIGH_WATER) this.#blocked[lane] = true;
        setTimeout(() => {
            this.#buffered[lane] -= copy.length;
            if (this.#blocked[lane] && this.#buffered[lane] <= LOW_WATER) {
                this.#blocked[lane] = false;
                this.#listener?.writable(lane);
            }
            this.peer?.arrive(lane, copy);
        });
        return true;
    }

    /**
     * @param {Lane} lane
     * @param {Uint8Array} packet
     */
    arrive(lane, packet) {
        if (!this.#up) return;
        if (this.#listener === null) this.#early.push([lane, packet]);
        else this.#listener.packet(lane, packet);
    }

    /** @param {boolean} drain */
    async close(drain) {
        this.#listener = null;
        while (drain && this.#up && this.#buffered.reliable > 0) await new Promise((done) => setTimeout(done));
        this.#up = false;
        setTimeout(() => this.peer?.lose());
    }

    /** The transport is lost, as by a change of network: both ends are told, what is on its way is gone. */
    cut() {
        this.peer?.lose();
        this.lose();
    }

    /** This end is lost. */
    lose() {
        if (!this.#up) return;
        this.#up = false;
        this.#listener?.down();
    }
}

/**
 * Two ends of a transport.
 *
 * @param {{ lossy?: boolean }} [options]
 * @returns {[MemoryTransport, MemoryTransport]}
 */
export function memoryPair({ lossy = true } = {}) {
    const one = new MemoryTransport(lossy);
    const other = new MemoryTransport(lossy);
    one.peer = other;
    other.peer = one;
    return [one, other];
}
