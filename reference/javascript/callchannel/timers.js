// SPDX-License-Identifier: Apache-2.0
/**
 * Timers in virtual time. Nothing here reads a clock: times are whole microseconds that the caller gives.
 *
 * @module
 */

/** Microseconds of a millisecond. */
export const MS = 1000;

/** One thing that is to happen once, at a time that can be moved. */
export class Timer {
    #timers;
    /** @type {(now: number) => void} */
    action;
    /** When it is due; undefined while it is not set. @type {number | undefined} */
    at = undefined;
    /** Place in the heap; -1 outside. */
    place = -1;
    /** Order of setting, among those due at the same time. */
    turn = 0;

    /**
     * @param {Timers} timers
     * @param {(now: number) => void} action
     */
    constructor(timers, action) {
        this.#timers = timers;
        this.action = action;
    }

    /**
     * Sets or moves the timer.
     *
     * @param {number} at microseconds
     */
    set(at) {
        this.#timers.place(this, at);
    }

    /** Takes the timer back; nothing if it is not set. */
    clear() {
        this.#timers.remove(this);
    }
}

/** All timers of an endpoint: a heap, the earliest on top. */
export class Timers {
    /** @type {Timer[]} */
    #heap = [];
    #turn = 0;

    /**
     * A new timer, not set yet.
     *
     * @param {(now: number) => void} action what happens when it is due
     */
    timer(action) {
        return new Timer(this, action);
    }

    /** When the earliest timer is due, or null. */
    next() {
        return this.#heap.length === 0 ? null : /** @type {number} */ (this.#heap[0].at);
    }

    /**
     * Runs what is due: a time is over when it has passed in full (CC-LIMIT-014).
     *
     * @param {number} now
     */
    run(now) {
        while (this.#heap.length > 0 && /** @type {number} */ (this.#heap[0].at) <= now) {
            const [timer] = this.#heap;
            this.remove(timer);
            timer.action(now);
        }
    }

    /**
     * @param {Timer} timer
     * @param {number} at
     */
    place(timer, at) {
        timer.at = at;
        this.#turn += 1;
        timer.turn = this.#turn;
        if (timer.place < 0) {
            timer.place = this.#heap.length;
            this.#heap.push(timer);
        }
        this.#down(this.#up(timer.place));
    }

    /** @param {Timer} timer */
    remove(timer) {
        timer.at = undefined;
        const { place } = timer;
        if (place < 0) return;
        timer.place = -1;
        const last = /** @type {Timer} */ (this.#heap.pop());
        if (last === timer) return;
        this.#heap[place] = last;
        last.place = place;
        this.#down(this.#up(place));
    }

    /** @param {number} from */
    #up(from) {
        let place = from;
        while (place > 0) {
            const parent = (place - 1) >> 1;
            if (!this.#before(place, parent)) break;
            this.#swap(place, parent);
            place = parent;
        }
        return place;
    }

    /** @param {number} from */
    #down(from) {
        let place = from;
        for (;;) {
            let least = place;
            for (const child of [2 * place + 1, 2 * place + 2]) {
                if (child < this.#heap.length && this.#before(child, least)) least = child;
            }
            if (least === place) return;
            this.#swap(place, least);
            place = least;
        }
    }

    /**
     * @param {number} one
     * @param {number} other
     */
    #before(one, other) {
        const [a, b] = [this.#heap[one], this.#heap[other]];
        return a.at === b.at ? a.turn < b.turn : /** @type {number} */ (a.at) < /** @type {number} */ (b.at);
    }

    /**
     * @param {number} one
     * @param {number} other
     */
    #swap(one, other) {
        const [a, b] = [this.#heap[one], this.#heap[other]];
        this.#heap[one] = b;
        this.#heap[other] = a;
        b.place = one;
        a.place = other;
    }
}
