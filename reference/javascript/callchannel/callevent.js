// SPDX-License-Identifier: Apache-2.0
/**
 * Events as an application gets them.
 *
 * @module
 */

/** @template {object} T */
export class CallEvent extends Event {
    /**
     * @param {string} type in lower case
     * @param {T} detail what the core told, or an object of the application layer
     */
    constructor(type, detail) {
        super(type);
        this.detail = detail;
    }
}
