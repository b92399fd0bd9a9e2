// SPDX-License-Identifier: Apache-2.0
/**
 * What waits in a sender, and how it becomes frames: the rows on pulls of the table of section 5.13 (S17 to S28).
 *
 * @module
 */
import { Code } from "./errors.js";
import { Bitrate, WriterCredit } from "./flow.js";
import { Drops } from "./statistics.js";
import { Queue } from "./queue.js";
import { encodeData } from "./data.js";
import { encodeFrame } from "./frames.js";
import { EMPTY } from "./bytes.js";
import { Verdicts } from "./verdicts.js";

/** @typedef {import("./frames.js").Lane} Lane */
/** @typedef {import("./outgoing.js").Outgoing} Outgoing */
/** @typedef {import("./sender.js").Sender} Sender */

/**
 * What a session would write next on a lane, and how large that is.
 *
 * @typedef {{ kind: "data", message: Outgoing, size: number, length: number, last: boolean, fragmented: boolean }
 *   | { kind: "abort", message: Outgoing, size: number } | { kind: "close", size: number }
 *   | { kind: "drop", message: Outgoing, size: 0 }} Plan
 */

/** @typedef {{ bytes: Uint8Array, counted: boolean, settle?: (now: number) => void }} Written */

const CLOSE_SIZE = 22;
const ABORT_SIZE = 24;

export class Outbound {
    #owner;
    #options;
    #host;
    /** @type {Bitrate | null} */
    #bitrate;
    credit;
    /** The session's number; 0 until its first frame is written (CC-SESS-007). */
    session = 0;
    /** Messages that are not wholly written; a partly written one is first. @type {Queue<Outgoing>} */
    queue = new Queue();
    /** Payload bytes that wait. */
    buffered = 0;
    /** A message whose ABORT waits. @type {Outgoing | null} */
    abort = null;
    /** CLOSE was not written; written; acknowledged. @type {0 | 1 | 2} */
    closeState = 0;
    drops = new Drops();
    counters = { sent: 0, bytes: 0 };

    /**
     * @param {Sender} owner
     * @param {import("./sender.js").SenderOptions} options
     * @param {import("./sender.js").SenderHost} host
     * @param {number} now
     */
    constructor(owner, options, host, now) {
        this.#owner = owner;
        this.#options = options;
        this.#host = host;
        this.#bitrate = options.bitrate === undefined ? null : new Bitrate(options.bitrate, now);
        this.credit = new WriterCredit(host.peerWindow);
    }

    /** Whether everything is written and needs no further frame. */
    get drained() {
        const written = this.closeState > 0 || this.session === 0;
        return this.queue.length === 0 && this.abort === null && written;
    }

    /**
     * Throws messages away and records them.
     *
     * @param {(message: Outgoing) => boolean} which
     * @param {import("./statistics.js").DropReason} reason
     */
    throwAway(which, reason) {
        for (const message of this.queue.filter((one) => !which(one))) {
            this.buffered -= message.left;
            this.drops.record(reason);
        }
    }

    /**
     * Nothing of what waits will be written; Lossy messages are recorded.
     *
     * @param {import("./statistics.js").DropReason} reason
     */
    clear(reason) {
        this.throwAway(() => true, reason);
        this.buffered = 0;
        this.abort = null;
    }

    /**
     * Takes a message out that its caller took back, if it waits here. That is no drop (7.15).
     *
     * @param {number} sequence
     * @returns {Outgoing | undefined}
     */
    remove(sequence) {
        const [message] = this.queue.filter((one) => one.sequence !== sequence);
        this.buffered -= message?.left ?? 0;
        return message;
    }

    /**
     * Drops what a new Lossy message supersedes or pushes out (CC-DELIV-068, 069, 074).
     *
     * @param {Outgoing} message
     */
    makeRoom(message) {
        if (this.#options.latest) {
            const { key } = message.audience;
            this.throwAway((old) => !old.begun && old.audience.key === key, "superseded");
        }
        while (this.queue.length > 0 && this.buffered + message.left > this.#host.limits.lossy_queue) {
            this.buffered -= /** @type {Outgoing} */ (this.queue.shift()).left;
            this.drops.record("queue_full");
        }
    }

    /**
     * Takes a settled message out of the queue; what was begun ends with ABORT, unless nothing may be written any more.
     *
     * @param {Outgoing} message
     */
    takeOut(message) {
        if (this.queue.filter((one) => one !== message).length === 0) return;
        this.buffered -= message.left;
        message.left = 0;
        if (message.begun && this.#options.reliable && !this.#owner.silent) this.abort = message;
    }

    /**
     * What the session would write next on a lane, if it is ready there (8.1); null otherwise.
     *
     * @param {Lane} lane
     * @param {number} now
     * @returns {Plan | null}
     */
    plan(lane, now) {
        const host = this.#host;
        if (!host.active || this.#owner.silent) return null;
        const { reliable } = this.#options;
        if (this.abort !== null) {
            return lane === "reliable" && !host.counting.full
                ? { kind: "abort", message: this.abort, size: ABORT_SIZE }
                : null;
        }
        const message = this.queue.first;
        if (message === undefined) {
            const due = this.#owner.isClosed && this.session > 0 && this.closeState === 0 && lane === "reliable";
            return due ? { kind: "close", size: CLOSE_SIZE } : null; // S27
        }
        if (lane !== (reliable ? "reliable" : host.lossyLane) || !message.writable) return null;
        if (this.#stale(message, now)) return { kind: "drop", message, size: 0 };
        if (this.session === 0 && !reliable && host.mustWait(this.#owner)) return null;
        if (reliable && host.counting.full) return null;
        if (this.#bitrate !== null && !this.#bitrate.allows(now)) return null;
        const first = message.index === 0;
        const block = !first && reliable ? null : this.#blockOf(message);
        const cut = message.cut(reliable, block, this.#extensionsOf(message));
        if (reliable && !this.credit.covers(cut.size)) return null; // S22
        if (message.spent && !cut.last) return { kind: "drop", message, size: 0 };
        return { kind: "data", message, ...cut };
    }

    /**
     * When the bitrate lets the session write again; undefined where something else holds it up.
     *
     * @param {number} now
     */
    wakeAt(now) {
        if (this.#bitrate === null || this.queue.length === 0 || this.#bitrate.allows(now)) return undefined;
        return this.#bitrate.readyAt(now);
    }

    /**
     * Whether a message cannot be written any more: S17 to S20.
     *
     * @param {Outgoing} message
     * @param {number} now
     */
    #stale(message, now) {
        if (now - message.queuedAt >= message.lifetime) return true;
        return !message.begun && this.addressOf(message).outcome !== "written";
    }

    /** @param {Outgoing} message */
    addressOf(message) {
        return message.addressed(
            this.#host.roster,
            this.#owner.barred,
            this.#options.reliable,
            this.#options.delivered,
        );
    }

    /** @param {Outgoing} message */
    #blockOf(message) {
        return message.begun ? message.block : this.addressOf(message).block;
    }

    /** @param {Outgoing} message */
    #extensionsOf(message) {
        if (message.index === 0) return message.extensions;
        // CC-EXT-002: a Lossy message repeats its lifetime in each fragment.
        return this.#options.reliable ? [] : message.extensions.filter(({ type }) => type === 3);
    }

    /**
     * Writes what was planned. Undefined where the plan was to throw a message away.
     *
     * @param {Plan} plan
     * @param {number} now
     * @returns {Written | undefined}
     */
    write(plan, now) {
        switch (plan.kind) {
            case "drop":
                this.#dropStale(plan.message, now);
                return undefined;
            case "close":
                return this.#writeClose();
            case "abort": {
                this.abort = null; // S21
                const { message } = plan;
                return {
                    bytes: this.#encode(
                        message,
                        { index: message.index, total: message.total, last: false, abort: true },
                        EMPTY,
                    ),
                    counted: true,
                };
            }
            default:
                return this.#writeData(plan, now);
        }
    }

    /**
     * @param {Extract<Plan, { kind: "data" }>} plan
     * @param {number} now
     * @returns {Written}
     */
    #writeData({ message, size, length, last, fragmented }, now) {
        if (!message.begun) this.#begin(message, fragmented);
        const fragment = fragmented ? { index: message.index, total: message.total, last, abort: false } : null;
        const bytes = this.#encode(message, fragment, message.take(length));
        message.index += 1;
        this.buffered -= length;
        this.#bitrate?.pay(size, now);
        if (last) this.#completed(message);
        if (!this.#options.reliable) return { bytes, counted: false };
        this.credit.counted += size;
        this.#owner.wrote();
        return { bytes, counted: true, settle: last ? (then) => this.#owner.accepted(message, then) : undefined };
    }

    /**
     * The first frame of a message is written now: who gets it is settled (CC-DELIV-007, CC-ROSTER-044 to 049).
     *
     * @param {Outgoing} message
     * @param {boolean} fragmented
     */
    #begin(message, fragmented) {
        const address = this.addressOf(message);
        if (this.session === 0) this.session = this.#host.takeSession(this.#owner);
        message.fragmented = fragmented;
        message.block = address.block;
        message.private = address.private;
        message.begun = true;
        if (!this.#options.reliable) {
            this.drops.record("no_recipients", address.gone.length);
            return;
        }
        message.verdicts ??= new Verdicts(address.members, address.passed);
        for (const occupant of address.gone) message.verdicts.give(occupant, "failed", Code.UNKNOWN_RECIPIENT);
    }

    /** @param {Outgoing} message */
    #completed(message) {
        message.complete = true;
        this.queue.shift();
        this.counters.sent += 1;
        this.counters.bytes += message.written;
        message.payload = EMPTY;
    }

    /**
     * @param {Outgoing} message
     * @param {import("./data.js").FragmentBlock | null} fragment
     * @param {Uint8Array} payload
     */
    #encode(message, fragment, payload) {
        const bare = fragment !== null && (fragment.abort || (this.#options.reliable && fragment.index > 0));
        return encodeData({
            type: "DATA",
            reliable: this.#options.reliable,
            high: this.#options.high,
            private: message.private,
            confirm: this.#options.delivered,
            latest: this.#options.latest,
            channel: this.#owner.channel,
            sender: this.#host.roster.own,
            session: this.session,
            sequence: message.sequence,
            fragment,
            recipients: bare ? null : message.block,
            extensions: bare ? [] : this.#extensionsOf(message),
            payload,
            size: 0,
        });
    }

    /** @returns {Written} */
    #writeClose() {
        this.closeState = 1;
        const bytes = encodeFrame({
            type: "CLOSE",
            sender: this.#host.roster.own,
            recipient: 0xffff,
            session: this.session,
            value: this.#owner.last,
            reason: this.#owner.closeReason,
            uncertain: false,
        });
        const settle = () => {
            this.closeState = 2;
            this.#owner.closeAcknowledged();
        };
        return { bytes, counted: true, settle };
    }

    /**
     * @param {Outgoing} message first in the queue
     * @param {number} now
     */
    #dropStale(message, now) {
        const { outcome, gone } = this.addressOf(message);
        if (!this.#options.reliable) {
            this.queue.shift();
            this.buffered -= message.left;
            if (now - message.queuedAt >= message.lifetime) this.drops.record("expired");
            else if (outcome === "gone") this.drops.record("no_recipients", Math.max(1, gone.length));
            else this.drops.record("no_recipients");
            this.#owner.changed(now); // CLOSE may be due now
            return;
        }
        if (message.begun)
            this.#owner.unwritable(message, Code.MESSAGE_TOO_LARGE, now); // CC-FRAG-024
        else if (outcome === "gone")
            this.#owner.unwritable(message, Code.UNKNOWN_RECIPIENT, now); // S18
        else if (outcome === "failed")
            this.#owner.unwritable(message, Code.RECIPIENT_FAILED, now); // S19
        else this.#owner.unwritable(message, Code.INVALID_ARGUMENT, now);
    }
}
