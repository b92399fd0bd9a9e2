// SPDX-License-Identifier: Apache-2.0
/**
 * The transports of an endpoint: which are up, which say BYE, which are to be closed.
 *
 * @module
 */
import { concat } from "./bytes.js";
import { MS } from "./timers.js";

/** @typedef {import("./link.js").TransportId} TransportId */

/** How long BYE may wait for its lane (9.10). */
const FAREWELL = 5000 * MS;

export class Transports {
    #timers;
    /**
     * Those that are up and not being closed, and whether this side's end of their lossy lane is open.
     *
     * @type {Map<TransportId, boolean>}
     */
    #up = new Map();
    /**
     * The last frames of those that are to be closed behind them.
     *
     * @type {Map<TransportId, { frames: Uint8Array[], timer: import("./timers.js").Timer }>}
     */
    #farewells = new Map();
    /** @type {{ transport: TransportId, drain: boolean }[]} */
    #closing = [];

    /** @param {import("./timers.js").Timers} timers */
    constructor(timers) {
        this.#timers = timers;
    }

    /** @param {TransportId} id */
    has(id) {
        return this.#up.has(id);
    }

    /** @param {TransportId} id */
    lossy(id) {
        return this.#up.get(id) ?? false;
    }

    /**
     * A transport is up, or its lossy lane opened or closed.
     *
     * @param {TransportId} id
     * @param {boolean} lossy
     */
    add(id, lossy) {
        this.#up.set(id, lossy);
    }

    /**
     * A transport is to be closed; where there are frames, behind these. False when it is being closed already.
     *
     * @param {TransportId} id
     * @param {Uint8Array[]} frames
     * @param {number} now
     */
    close(id, frames, now) {
        if (!this.#up.delete(id)) return false;
        if (frames.length === 0) {
            this.#closing.push({ transport: id, drain: false });
            return true;
        }
        const timer = this.#timers.timer(() => this.farewellOver(id));
        timer.set(now + FAREWELL);
        this.#farewells.set(id, { frames, timer });
        return true;
    }

    /** Whether its last frames wait to be written. @param {TransportId} id */
    leaving(id) {
        return this.#farewells.has(id);
    }

    /**
     * The packet with its last frames; then it is to be closed.
     *
     * @param {TransportId} id one that is leaving
     */
    takeFarewell(id) {
        const frames = this.#farewells.get(id)?.frames ?? [];
        this.farewellOver(id);
        const size = frames.reduce((sum, { length }) => sum + length, 0);
        return concat(frames, size);
    }

    /** Its last frames were written, or will not be. @param {TransportId} id */
    farewellOver(id) {
        this.#farewells.get(id)?.timer.clear();
        if (this.#farewells.delete(id)) this.#closing.push({ transport: id, drain: true });
    }

    /** Those that are to be closed since the last call. */
    takeClosing() {
        const closing = this.#closing;
        this.#closing = [];
        return closing;
    }
}
