// SPDX-License-Identifier: Apache-2.0
/**
 * A queue whose first element is taken in constant time.
 *
 * @module
 */

/** @template T */
export class Queue {
    /** @type {T[]} */
    #items = [];
    #head = 0;

    /** How many are waiting. */
    get length() {
        return this.#items.length - this.#head;
    }

    /** The first one, undefined when the queue is empty. @returns {T | undefined} */
    get first() {
        return this.#items[this.#head];
    }

    /** @param {T} item */
    push(item) {
        this.#items.push(item);
    }

    /** Takes the first one. @returns {T | undefined} */
    shift() {
        const item = this.#items[this.#head];
        if (item === undefined) return undefined;
        this.#head += 1;
        if (this.#head > 32 && this.#head * 2 > this.#items.length) {
            this.#items.splice(0, this.#head);
            this.#head = 0;
        }
        return item;
    }

    /**
     * Keeps what `keep` says, in order, and returns the rest.
     *
     * @param {(item: T) => boolean} keep
     * @returns {T[]}
     */
    filter(keep) {
        /** @type {T[]} */
        const kept = [];
        /** @type {T[]} */
        const gone = [];
        for (const item of this) (keep(item) ? kept : gone).push(item);
        this.#items = kept;
        this.#head = 0;
        return gone;
    }

    /** Takes all. @returns {T[]} */
    clear() {
        return this.filter(() => false);
    }

    *[Symbol.iterator]() {
        for (let at = this.#head; at < this.#items.length; at += 1) yield this.#items[at];
    }
}
