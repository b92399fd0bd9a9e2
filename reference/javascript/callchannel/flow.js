// SPDX-License-Identifier: Apache-2.0
/**
 * Credit, and rates (sections 7.11, 8.8 and 15.2).
 *
 * @module
 */

/** What a CREDIT beyond this means is the same as this: no session counts so many bytes in its life. */
const MOST = Number.MAX_SAFE_INTEGER;

/** The reader's side of a Reliable session's flow control. All numbers are bytes of whole DATA frames. */
export class ReaderCredit {
    #window;
    /** Bytes that came. */
    received = 0;
    /** Bytes whose room is free again. */
    consumed = 0;
    /** The greatest limit that was written, by HELLO, WELCOME or CREDIT. */
    written;

    /** @param {number} window the one that this side announced */
    constructor(window) {
        this.#window = window;
        this.written = window;
    }

    /**
     * Whether a frame may come: step 13, judged by the greatest limit written (CC-DELIV-050).
     *
     * @param {number} size
     */
    allows(size) {
        return this.received + size <= this.written;
    }

    /**
     * The limit as it is now (CC-DELIV-051 to 053).
     *
     * @param {boolean} holds whether something complete is unread, or a stream not read to its end
     */
    limit(holds) {
        const ahead = this.consumed + this.#window;
        const limit = holds ? ahead : Math.max(ahead, this.received + Math.floor(this.#window / 2));
        return Math.max(limit, this.written);
    }

    /**
     * Whether CREDIT is due (section 7.11).
     *
     * @param {boolean} holds
     */
    due(holds) {
        const limit = this.limit(holds);
        if (limit - this.written >= Math.floor(this.#window / 4)) return true;
        return limit > this.written && this.written - this.received < 16384;
    }
}

/** The writer's side of a Reliable session's flow control. */
export class WriterCredit {
    /** Bytes written, each frame once. */
    counted = 0;
    /** How many may be. */
    limit;

    /** @param {number} window the one that the other side announced */
    constructor(window) {
        this.limit = window;
    }

    /**
     * Whether a frame may be written (CC-DELIV-048).
     *
     * @param {number} size
     */
    covers(size) {
        return this.counted + size <= this.limit;
    }

    /**
     * Takes the value of a CREDIT; says whether it raised the limit (CC-DELIV-049).
     *
     * @param {import("./bytes.js").U64} value
     */
    raise(value) {
        const limit = value > MOST ? MOST : Number(value);
        if (limit <= this.limit) return false;
        this.limit = limit;
        return true;
    }
}

/** A bucket of occurrences: full at first, refilled evenly, pays 1 each (CC-LIMIT-016). */
export class Bucket {
    #rate;
    #size;
    #level;
    #earned = 0;
    #at = 0;

    /**
     * @param {number} rate a second
     * @param {number} size
     * @param {number} now
     */
    constructor(rate, size, now) {
        this.#rate = rate;
        this.#size = size;
        this.#level = size;
        this.#at = now;
    }

    /** @param {number} now */
    #refill(now) {
        if (now <= this.#at) return;
        this.#level = Math.min(this.#size, this.#level + (this.#rate * (now - this.#at)) / 1e6);
        this.#at = now;
    }

    /**
     * What is kept beside the bucket, however full that is (CC-LIMIT-016).
     *
     * @param {number} amount
     */
    earn(amount) {
        this.#earned += amount;
    }

    /**
     * Pays for one occurrence; false when the bucket cannot: then it passes the limit.
     *
     * @param {number} now
     */
    take(now) {
        if (this.#earned >= 1) {
            this.#earned -= 1; // only the bucket comes back with time
            return true;
        }
        this.#refill(now);
        if (this.#level < 1) return false;
        this.#level -= 1;
        return true;
    }
}

/** The wish for a bitrate (section 8.8): a bucket of bytes that may fall below zero. */
export class Bitrate {
    static SIZE = 16384;
    #bytesPerMicrosecond;
    #level = Bitrate.SIZE;
    #at;

    /**
     * @param {number} bitsPerSecond a whole number from 1 up
     * @param {number} now when the sender was opened
     */
    constructor(bitsPerSecond, now) {
        this.#bytesPerMicrosecond = bitsPerSecond / 8e6;
        this.#at = now;
    }

    /** @param {number} now */
    #refill(now) {
        if (now <= this.#at) return;
        this.#level = Math.min(Bitrate.SIZE, this.#level + this.#bytesPerMicrosecond * (now - this.#at));
        this.#at = now;
    }

    /**
     * Whether a frame may be written now (CC-SCHED-027).
     *
     * @param {number} now
     */
    allows(now) {
        this.#refill(now);
        return this.#level > 0;
    }

    /**
     * When the next frame may be written: now, or the first microsecond at which the bucket is above zero.
     *
     * @param {number} now
     */
    readyAt(now) {
        if (this.allows(now)) return now;
        return this.#at + Math.floor(-this.#level / this.#bytesPerMicrosecond) + 1;
    }

    /**
     * @param {number} size whole length of a DATA frame that is written now
     * @param {number} now
     */
    pay(size, now) {
        this.#refill(now);
        this.#level -= size;
    }
}
