// SPDX-License-Identifier: Apache-2.0
/**
 * How many sessions and FAILs an endpoint keeps, whatever is done to it (CC-SESS-069 to 072), and what all its links
 * hold together.
 *
 * @module
 */

/** @typedef {import("./inbox.js").Session} Session */

/** So many bytes of `receive_memory` stand for one session, and for one FAIL. */
const COST = 1024;

/** What the sessions of an endpoint hold, those of earlier links among them: unread messages outlive their link. */
export class Held {
    /** Payload of unread and partial messages. */
    buffered = 0;
    /** Sessions that hold any of it. @type {Set<Session>} */
    sessions = new Set();
    /** Sessions whose receivers are there. @type {Set<Session>} */
    receivers = new Set();
}

/** The sessions of one link. */
export class Bounds {
    /** Whether more is to be remembered than memory allows: the link has to end with MEMORY. */
    overwhelmed = false;
    #most;
    #forgets;
    #held;
    /** Sessions that are neither NONE nor DEAD. */
    #live = 0;
    /** DEAD sessions that may be forgotten, the oldest first. @type {Set<Session>} */
    #dead = new Set();
    /** Those that may not: until CLOSE, their DATA could pass for that of a new session. @type {Set<Session>} */
    #deadForGood = new Set();
    /** FAILs that were written and are not acknowledged. */
    #unacknowledged = 0;

    /**
     * @param {number} memory `receive_memory`
     * @param {boolean} peer between peers a number says whether a Reliable session is over (CC-SESS-060)
     * @param {Held} held
     */
    constructor(memory, peer, held) {
        this.#most = Math.floor(memory / COST);
        this.#forgets = peer;
        this.#held = held;
    }

    /** Whether another session may be there, as far as all owners together go. */
    get room() {
        return this.#live < this.#most && this.#held.receivers.size < this.#most;
    }

    /**
     * A session goes from one state to another.
     *
     * @param {Session} session
     * @param {import("./incoming.js").State} before
     * @param {import("./incoming.js").State} after
     */
    moved(session, before, after) {
        this.#live += Number(isLive(after)) - Number(isLive(before));
        if (before === after) return;
        if (before === "DEAD") {
            this.#dead.delete(session);
            this.#deadForGood.delete(session);
        }
        if (after === "DEAD") {
            (this.#forgets || !session.reliable ? this.#dead : this.#deadForGood).add(session);
            if (this.#dead.size + this.#deadForGood.size > this.#most) this.#forgetOne();
        }
    }

    #forgetOne() {
        const [oldest] = this.#dead;
        if (oldest === undefined) this.overwhelmed = true;
        else oldest.forget();
    }

    /**
     * A FAIL has to be written.
     *
     * @param {number} waiting how many do so now
     */
    failureDue(waiting) {
        if (waiting + this.#unacknowledged > this.#most) this.overwhelmed = true;
    }

    /** A FAIL is being written. Returns what to do when it is acknowledged. */
    failureWritten() {
        this.#unacknowledged += 1;
        return () => {
            this.#unacknowledged -= 1;
        };
    }
}

/** @param {import("./incoming.js").State} state */
function isLive(state) {
    return state !== "NONE" && state !== "DEAD";
}
