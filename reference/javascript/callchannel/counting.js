// SPDX-License-Identifier: Apache-2.0
/**
 * Counted frames of a link, in both directions: what is kept until it is acknowledged, and when an ACK is due
 * (sections 9.6 and 9.8). The counts begin with the link and never anew with a transport.
 *
 * @module
 */
import { MS } from "./timers.js";
import { Queue } from "./queue.js";

export class Counting {
    #limits;
    /** Counted frames written. */
    written = 0;
    /** Counted frames received. */
    received = 0;
    /** The greatest count that the peer has told, in ACK, HELLO or WELCOME. */
    told = 0;
    /** The greatest count of an ACK frame. */
    #acknowledged = 0;
    /** Bytes of the frames that are kept. */
    keptBytes = 0;
    /** Frames written again after a resume. */
    retransmitted = 0;
    /** @type {Queue<Uint8Array>} */
    #kept = new Queue();
    /** @type {Queue<Uint8Array>} */
    #again = new Queue();
    /** What waits for an ACK frame. @type {Queue<{ count: number, settle: (now: number) => void }>} */
    #waiting = new Queue();
    #sinceAck = 0;
    #firstSinceAck = 0;
    #lastAck = 0;

    /** @param {import("./limits.js").Limits} limits */
    constructor(limits) {
        this.#limits = limits;
    }

    /** Whether `unacknowledged` holds up Reliable DATA, RECEIPT and CREDIT (CC-LINK-035). */
    get full() {
        return this.keptBytes >= this.#limits.unacknowledged;
    }

    /**
     * Keeps a counted frame that is being written for the first time.
     *
     * @param {Uint8Array} bytes
     * @param {(now: number) => void} [settle] called when an ACK frame covers it
     */
    keep(bytes, settle) {
        this.written += 1;
        this.keptBytes += bytes.length;
        this.#kept.push(bytes);
        if (settle !== undefined) this.#waiting.push({ count: this.written, settle });
    }

    /**
     * Whether a count of the peer is possible (section 9.5).
     *
     * @param {import("./bytes.js").U64} count
     */
    possible(count) {
        return count >= this.told && count <= this.written;
    }

    /**
     * Forgets the frames that the peer has received. This settles nothing (CC-LINK-049).
     *
     * @param {number} count one that is possible
     */
    free(count) {
        for (; this.told < count; this.told += 1) this.keptBytes -= this.#kept.shift()?.length ?? 0;
    }

    /**
     * An ACK frame came: frees, and settles what waited for it.
     *
     * @param {number} count one that is possible
     * @param {number} now
     */
    acknowledge(count, now) {
        this.free(count);
        this.#acknowledged = Math.max(this.#acknowledged, count);
        for (
            let first = this.#waiting.first;
            first !== undefined && first.count <= count;
            first = this.#waiting.first
        ) {
            this.#waiting.shift();
            first.settle(now);
        }
    }

    /** After a resume: all that is kept is to be written again, before everything new that is counted (CC-LINK-048). */
    startAgain() {
        this.stopAgain();
        for (const bytes of this.#kept) {
            this.#again.push(bytes);
        }
    }

    /** The transport is gone: what was to be written again waits for the next one. */
    stopAgain() {
        this.#again.clear();
    }

    /** The next frame to write again, undefined when there is none. */
    get nextAgain() {
        return this.#again.first;
    }

    takeAgain() {
        const bytes = this.#again.shift();
        this.retransmitted += 1;
        return bytes;
    }

    /**
     * A countable frame came and is counted.
     *
     * @param {number} now
     */
    receive(now) {
        this.received += 1;
        if (this.#sinceAck === 0) this.#firstSinceAck = now;
        this.#sinceAck += 1;
    }

    /**
     * The link became ACTIVE on a transport.
     *
     * @param {number} now
     */
    activate(now) {
        this.#lastAck = now;
    }

    /** When an ACK is due on an ACTIVE link (CC-LINK-036, 037). */
    get ackAt() {
        const interval = this.#lastAck + this.#limits.ack_interval * MS;
        if (this.#sinceAck === 0) return interval;
        if (this.#sinceAck >= this.#limits.ack_frames) return 0;
        return Math.min(interval, this.#firstSinceAck + this.#limits.ack_delay * MS);
    }

    /**
     * An ACK is being written.
     *
     * @param {number} now
     */
    acked(now) {
        this.#sinceAck = 0;
        this.#lastAck = now;
    }

    /** Whether everything written is acknowledged by ACK frames (CC-LINK-060). */
    get settled() {
        return this.#acknowledged === this.written;
    }
}
