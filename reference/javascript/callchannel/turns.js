// SPDX-License-Identifier: Apache-2.0
/**
 * Waiting in line.
 *
 * @module
 */

/** Things that are done one after another, in the order in which they were asked for. */
export class Turns {
    /** @type {Promise<void>} */
    #last = Promise.resolve();
    #waiting = 0;

    /** Whether nothing waits or is being done: what comes next may be done at once. */
    get free() {
        return this.#waiting === 0;
    }

    /**
     * Does something when everything before it is done, well or not.
     *
     * @template T
     * @param {() => Promise<T>} act
     * @returns {Promise<T>}
     */
    take(act) {
        this.#waiting += 1;
        const mine = this.#last.then(act);
        const over = () => {
            this.#waiting -= 1;
        };
        this.#last = mine.then(over, over);
        return mine;
    }
}
