// SPDX-License-Identifier: Apache-2.0
/**
 * Turns among the sessions of this endpoint (section 8.6): a ring for each priority, on each lane.
 *
 * @module
 */

/** @typedef {import("./sender.js").Sender} Sender */
/** @typedef {import("./outbound.js").Plan} Plan */
/** @typedef {import("./frames.js").Lane} Lane */

const LANES = /** @type {const} */ (["reliable", "lossy"]);

/** The two rings of one lane. */
class Turns {
    /** @type {Sender[]} */
    high = [];
    /** @type {Sender[]} */
    normal = [];
    /** Data frames of high priority in a row. */
    run = 0;

    /** @param {Sender} sender */
    ring(sender) {
        return sender.high ? this.high : this.normal;
    }

    /** @param {Sender} sender */
    leave(sender) {
        const ring = this.ring(sender);
        const at = ring.indexOf(sender);
        if (at >= 0) ring.splice(at, 1);
    }
}

export class Scheduler {
    #limits;
    #timers;
    /** @type {Set<Sender>} */
    #senders = new Set();
    /** @type {Map<Sender, import("./timers.js").Timer>} */
    #wakes = new Map();
    /** Sessions that `unacknowledged` put out of their rings, in order. @type {Sender[]} */
    #parked = [];
    #turns = { reliable: new Turns(), lossy: new Turns() };

    /**
     * @param {import("./limits.js").Limits} limits
     * @param {import("./timers.js").Timers} timers
     */
    constructor(limits, timers) {
        this.#limits = limits;
        this.#timers = timers;
    }

    /** @param {Sender} sender */
    add(sender) {
        this.#senders.add(sender);
    }

    /** @param {Sender} sender */
    remove(sender) {
        this.#senders.delete(sender);
        this.#wakes.get(sender)?.clear();
        this.#wakes.delete(sender);
        for (const lane of LANES) this.#turns[lane].leave(sender);
    }

    /**
     * A sender may have become ready, or not ready any more (CC-SCHED-019, 020).
     *
     * @param {Sender} sender
     * @param {number} now
     */
    touch(sender, now) {
        if (!this.#senders.has(sender)) return;
        for (const lane of LANES) {
            const ready = sender.plan(lane, now) !== null;
            const ring = this.#turns[lane].ring(sender);
            if (ready && !ring.includes(sender)) ring.push(sender);
            else if (!ready) this.#turns[lane].leave(sender);
        }
        const at = sender.wakeAt(now);
        if (at === undefined) return;
        let wake = this.#wakes.get(sender);
        if (wake === undefined) {
            wake = this.#timers.timer((then) => this.touch(sender, then));
            this.#wakes.set(sender, wake);
        }
        wake.set(Math.max(at, now + 1));
    }

    /**
     * The state of the link, of its lanes or its room changed: all senders are looked at anew.
     *
     * @param {number} now
     */
    touchAll(now) {
        const parked = this.#parked;
        this.#parked = [];
        for (const sender of [...parked, ...this.#senders]) this.touch(sender, now);
    }

    /**
     * Whose turn it is on a lane, and what it would write; null when nobody is ready.
     *
     * @param {Lane} lane
     * @param {number} now
     * @returns {{ sender: Sender, plan: Plan } | null}
     */
    next(lane, now) {
        const turns = this.#turns[lane];
        for (;;) {
            const burst = turns.run >= this.#limits.high_burst && turns.normal.length > 0;
            const [sender] = turns.high.length > 0 && !burst ? turns.high : turns.normal;
            if (sender === undefined) return null;
            const plan = sender.plan(lane, now);
            if (plan === null) turns.leave(sender);
            else if (plan.kind === "drop") sender.write(plan, now);
            else return { sender, plan };
        }
    }

    /**
     * A data frame of a sender was written: it leaves its ring, and comes in at the end if it is still ready.
     *
     * @param {Lane} lane
     * @param {Sender} sender
     */
    wrote(lane, sender) {
        const turns = this.#turns[lane];
        turns.run = sender.high ? turns.run + 1 : 0;
        turns.leave(sender);
    }

    /**
     * `unacknowledged` is reached: who can't write drops out, and comes in again, in this order, when there is room.
     *
     * @param {number} now
     */
    park(now) {
        for (const ring of [this.#turns.reliable.high, this.#turns.reliable.normal]) {
            for (const sender of [...ring]) {
                if (sender.plan("reliable", now) !== null) continue;
                this.#turns.reliable.leave(sender);
                this.#parked.push(sender);
            }
        }
    }
}
