// SPDX-License-Identifier: Apache-2.0
/**
 * Counters that an application can read at any time (sections 7.15 and 7.16).
 *
 * @module
 */

/**
 * @typedef {"queue_full" | "expired" | "superseded" | "no_recipients" | "suspended" | "link_dead" | "transport"
 *   | "malformed" | "not_active" | "unknown_sender" | "ended_session" | "closed" | "mismatch" | "duplicate" | "too_old"
 *   | "partial_timeout" | "partial_count" | "partial_memory" | "memory" | "too_large" | "open_sessions" | "extension"
 * } DropReason why something Lossy was dropped
 */

/** Drops by reason (CC-DELIV-077). */
export class Drops {
    /** @type {Map<DropReason, number>} */
    #counts = new Map();

    /**
     * @param {DropReason} reason
     * @param {number} [times]
     */
    record(reason, times = 1) {
        if (times > 0) this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + times);
    }

    /** The counts, those that are zero left out. @returns {Partial<Record<DropReason, number>>} */
    counts() {
        return Object.fromEntries(this.#counts);
    }
}

/**
 * @typedef {object} SenderStatistics
 * @property {number} messages_sent wholly written
 * @property {number} bytes_sent their payload
 * @property {number} messages_confirmed Reliable: sends that succeeded
 * @property {number} messages_failed Reliable: sends that raised a report
 * @property {number} messages_waiting numbered and not settled; Lossy: not wholly written
 * @property {number} bytes_waiting payload that is not written
 * @property {Partial<Record<DropReason, number>>} drops
 */

/**
 * @typedef {object} ReceiverStatistics
 * @property {number} messages_read
 * @property {number} bytes_read
 * @property {number} messages_unread complete and unread
 * @property {number} bytes_buffered
 * @property {Partial<Record<DropReason, number>>} drops
 */

/**
 * @typedef {Record<import("./frames.js").Lane, number>} ByLane
 * @typedef {object} LinkStatistics
 * @property {ByLane} packets_written
 * @property {ByLane} bytes_written
 * @property {ByLane} packets_received
 * @property {ByLane} bytes_received
 * @property {number} frames_retransmitted
 * @property {number} bytes_unacknowledged
 * @property {number} resumes
 * @property {Partial<Record<DropReason, number>>} drops what belongs to no sender or receiver
 */

/** Counts packets and bytes by lane. */
export class Traffic {
    packets = { reliable: 0, lossy: 0 };
    bytes = { reliable: 0, lossy: 0 };

    /**
     * @param {import("./frames.js").Lane} lane
     * @param {number} size
     */
    count(lane, size) {
        this.packets[lane] += 1;
        this.bytes[lane] += size;
    }
}
