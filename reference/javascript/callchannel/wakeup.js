// SPDX-License-Identifier: Apache-2.0
/**
 * Waiting for something that may have happened already.
 *
 * @module
 */

/** Wakes everyone who waits. */
export class Wakeup {
    /** @type {(() => void)[]} */
    #waiting = [];

    /** Resolves at the next `wake`. @returns {Promise<void>} */
    wait() {
        return new Promise((resolve) => {
            this.#waiting.push(resolve);
        });
    }

    wake() {
        for (const resolve of this.#waiting.splice(0)) resolve();
    }
}

/**
 * A promise with its ends outside.
 *
 * @template T
 */
export class Deferred {
    /** @type {(value: T) => void} */
    resolve = () => {};
    /** @type {(error: unknown) => void} */
    reject = () => {};
    settled = false;

    constructor() {
        /** @type {Promise<T>} */
        this.promise = new Promise((resolve, reject) => {
            this.resolve = (value) => {
                this.settled = true;
                resolve(value);
            };
            this.reject = (error) => {
                this.settled = true;
                reject(error);
            };
        });
        // Whoever does not ask need not be told.
        this.promise.catch(() => {});
    }
}
