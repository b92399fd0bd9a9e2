// SPDX-License-Identifier: Apache-2.0
/**
 * A sender and its session: the table of section 5.13, with the verdicts of chapter 7. Rows of the table are named S01
 * to S54 as there.
 *
 * @module
 */
import { CallError, Code, invalid } from "./errors.js";
import { Audience } from "./outgoing.js";
import { Outbound } from "./outbound.js";
import { Settling } from "./settling.js";
import { naming } from "./verdicts.js";
import { makeMessage } from "./submission.js";

/** @typedef {import("./outgoing.js").Outgoing} Outgoing */
/** @typedef {import("./roster.js").Occupant} Occupant */
/** @typedef {import("./frames.js").Lane} Lane */
/**
 * What became of a message that was taken back: nothing of it was written, or a part, or all of it; or it was over.
 *
 * @typedef {"removed" | "aborted" | "unknown" | "settled"} Cancelled
 */
/** @typedef {{ message: Outgoing, code: number }} OpenStream the code with which it was given up, or 0 */

/**
 * What a sender needs of the link it belongs to.
 *
 * @typedef {object} SenderHost
 * @property {import("./roster.js").Roster} roster
 * @property {import("./counting.js").Counting} counting
 * @property {import("./timers.js").Timers} timers
 * @property {import("./limits.js").Limits} limits
 * @property {boolean} peer whether this is a peer-to-peer call
 * @property {number} peerWindow the first limit of every session
 * @property {number} largestReliable
 * @property {number} largestLossy
 * @property {boolean} active whether the link is ACTIVE
 * @property {Lane} lossyLane where Lossy DATA goes now
 * @property {(event: import("./events.js").Event) => void} tell
 * @property {(sender: Sender, now: number) => void} touch it may have become ready, or stopped being it
 * @property {(sender: Sender) => number} takeSession the next session number, for a sender that has none
 * @property {(sender: Sender) => boolean} mustWait CC-SESS-009: an older sender of the channel comes first
 * @property {(sender: Sender) => void} ended its channel is free
 */

/**
 * @typedef {object} SenderOptions
 * @property {boolean} reliable
 * @property {boolean} high
 * @property {boolean} latest Lossy: a newer message supersedes those that wait
 * @property {boolean} delivered Reliable: the confirm point
 * @property {number | undefined} bitrate bits a second
 * @property {Audience} audience
 */

/**
 * Of one message.
 *
 * @typedef {import("./extensions.js").ExtensionOptions & {
 *   recipients?: import("./outgoing.js").Recipients, timeout?: number }} SendOptions
 * `timeout`: Reliable; microseconds until the message is taken back with DEADLINE.
 */

const LAST_SEQUENCE = 0xffffffff;
const FROM_PRIVATE = 0xf000;

export class Sender {
    #host;
    #options;
    #out;
    #audience;
    /** The greatest sequence that was given to a message. */
    last = 0;
    #settling;
    /** Streams that the application may still write to, or hear about. @type {Map<number, OpenStream>} */
    #streams = new Map();
    #closed = false;
    /** The reason of CLOSE. */
    closeReason = 0;
    /** @type {number | null} */
    #failed = null;
    #ended = false;
    /** Who failed in this session, and from which sequence on. @type {Map<Occupant, number>} */
    barred = new Map();
    /** Payload of the smallest message that was turned away with WOULD_BLOCK. @type {number | null} */
    #turnedAway = null;

    /**
     * @param {number} id by which the application knows it
     * @param {number} channel
     * @param {SenderOptions} options
     * @param {SenderHost} host
     * @param {number} now
     */
    constructor(id, channel, options, host, now) {
        this.id = id;
        this.channel = channel;
        this.#options = options;
        this.#audience = options.audience;
        this.#host = host;
        this.#out = new Outbound(this, options, host, now);
        this.#settling = new Settling(this, this.#out, host, options.delivered);
    }

    /** The session's number; 0 until its first frame is written. */
    get session() {
        return this.#out.session;
    }

    /** Whether nothing more may be written: the session failed or has ended. */
    get silent() {
        return this.#ended || this.#failed !== null;
    }

    get reliable() {
        return this.#options.reliable;
    }

    get high() {
        return this.#options.high;
    }

    /** Whether the session has ended: the channel is free. */
    get hasEnded() {
        return this.#ended;
    }

    /** Whether it was closed by its application, by a newer sender, or by leaving. */
    get isClosed() {
        return this.#closed;
    }

    /** Whether it has something to write and no session number yet (CC-SESS-009). */
    get waitsForNumber() {
        return this.session === 0 && this.#out.queue.length > 0;
    }

    /** Whether everything is written and needs no further frame: for leaving. */
    get drained() {
        return this.#ended || this.#out.drained;
    }

    /** @param {import("./outgoing.js").Recipients} recipients of the messages to come (CC-ROSTER-043) */
    setRecipients(recipients) {
        this.#audience = new Audience(recipients);
    }

    // --- sending -----------------------------------------------------------------------------------------------------

    /**
     * Sends a message; the bytes must not change before it is settled or, if Lossy, written. Gives its sequence; 0
     * where a
     * Lossy message was dropped without one.
     *
     * @param {Uint8Array} payload
     * @param {SendOptions} options
     * @param {number} now
     */
    send(payload, options, now) {
        return this.#send(payload, options, now);
    }

    /**
     * Opens a stream and gives its sequence.
     *
     * @param {SendOptions} options
     * @param {number} now
     */
    openStream(options, now) {
        return this.#send(null, options, now);
    }

    /**
     * @param {Uint8Array | null} payload null: a stream
     * @param {SendOptions} options
     * @param {number} now
     */
    #send(payload, options, now) {
        const { reliable } = this;
        if (this.#closed) throw new CallError(Code.SENDER_CLOSED); // S01
        if (this.#failed !== null) {
            if (reliable) throw new CallError(this.#failed); // S02
            // S03
            this.#out.drops.record(this.#ended && this.#failed === Code.LINK_LOST ? "link_dead" : "ended_session");
            return 0;
        }
        if (this.last === LAST_SEQUENCE) throw new CallError(Code.SEQUENCE_EXHAUSTED); // S04
        const message = this.#make(payload, options, now); // S05
        if (this.#host.peer && this.#excludesPeer(message)) {
            this.last += 1; // S06
            if (reliable) this.#settling.settle(message, Code.NONE);
            return message.sequence;
        }
        if (reliable) {
            this.#requireRoom(message.left); // S07
            this.last += 1; // S08
            this.#settling.add(message, options.timeout, now);
            if (payload === null) this.#streams.set(message.sequence, { message, code: Code.NONE });
        } else {
            this.last += 1;
            if (!this.#host.active)
                this.#out.drops.record("suspended"); // S09
            else this.#out.drops.record("no_recipients", message.missing); // CC-ROSTER-040
            if (!this.#host.active || message.named?.size === 0) return message.sequence; // S10
            this.#out.makeRoom(message); // S11, S12
        }
        this.#out.queue.push(message);
        this.#out.buffered += message.left;
        this.#host.touch(this, now);
        return message.sequence;
    }

    /** @param {Outgoing} message */
    #excludesPeer({ audience }) {
        return audience.kind === "except" && [...this.#host.roster.others].every(({ id }) => audience.ids.includes(id));
    }

    /**
     * @param {Uint8Array | null} payload
     * @param {SendOptions} options
     * @param {number} now
     */
    #make(payload, options, now) {
        const about = { sequence: this.last + 1, payload, options, audience: this.#audience };
        return makeMessage({ ...about, sender: this.#options, host: this.#host, barred: this.barred }, now);
    }

    /**
     * Raises WOULD_BLOCK where a Reliable message, or bytes of a stream, have to wait (CC-DELIV-062).
     *
     * @param {number} bytes
     * @param {boolean} [numbered] whether they belong to a message that has its number
     */
    #requireRoom(bytes, numbered = false) {
        if (this.#hasRoom(bytes, numbered)) return;
        this.#turnedAway = Math.min(this.#turnedAway ?? Infinity, bytes);
        throw new CallError(Code.WOULD_BLOCK);
    }

    /**
     * @param {number} bytes
     * @param {boolean} numbered
     */
    #hasRoom(bytes, numbered) {
        const { unconfirmed_messages: most, send_buffer: buffer } = this.#host.limits;
        if (!numbered && this.#settling.size >= most) return false;
        return this.#out.buffered === 0 || this.#out.buffered + bytes <= buffer;
    }

    /**
     * Gives a stream more bytes, or raises WOULD_BLOCK (S13 to S15).
     *
     * @param {number} sequence
     * @param {Uint8Array} chunk
     * @param {number} now
     */
    writeStream(sequence, chunk, now) {
        const message = this.#openStream(sequence);
        if (!(chunk instanceof Uint8Array)) throw invalid("a chunk is bytes");
        this.#requireRoom(chunk.length, true);
        if (chunk.length === 0) return;
        message.chunks?.push(chunk);
        message.left += chunk.length;
        this.#out.buffered += chunk.length;
        this.#host.touch(this, now);
    }

    /**
     * Ends a stream (S16).
     *
     * @param {number} sequence
     * @param {number} now
     */
    finishStream(sequence, now) {
        this.#openStream(sequence).finished = true;
        this.#host.touch(this, now);
    }

    /** @param {number} sequence */
    #openStream(sequence) {
        const stream = this.#streams.get(sequence);
        if (stream === undefined) throw invalid(`no stream ${sequence}`);
        if (stream.code !== Code.NONE) throw new CallError(stream.code);
        if (stream.message.finished) throw invalid(`stream ${sequence} is finished`);
        return stream.message;
    }

    /**
     * A message was settled before it was wholly written: who writes to it, if it is a stream, is told the code.
     *
     * @param {number} sequence
     * @param {number} code
     */
    streamGivenUp(sequence, code) {
        const stream = this.#streams.get(sequence);
        if (stream !== undefined) stream.code = code || Code.CANCELLED;
    }

    // --- writing -----------------------------------------------------------------------------------------------------

    /**
     * What the session would write next on a lane, if it is ready there (8.1); null otherwise.
     *
     * @param {Lane} lane
     * @param {number} now
     */
    plan(lane, now) {
        return this.#out.plan(lane, now);
    }

    /**
     * Writes what was planned; undefined where the plan was to throw a message away.
     *
     * @param {import("./outbound.js").Plan} plan
     * @param {number} now
     */
    write(plan, now) {
        return this.#out.write(plan, now);
    }

    /**
     * When the bitrate lets the session write again; undefined where something else holds it up.
     *
     * @param {number} now
     */
    wakeAt(now) {
        return this.#out.wakeAt(now);
    }

    /** A data frame was written: there may be room, or nothing left. */
    wrote() {
        this.#checkWritable();
        this.#checkEnded();
    }

    /** An ACK frame covers CLOSE. */
    closeAcknowledged() {
        this.#checkEnded();
    }

    /**
     * A message cannot be written any more (S18, S19, CC-FRAG-024).
     *
     * @param {Outgoing} message
     * @param {number} code
     * @param {number} now
     */
    unwritable(message, code, now) {
        this.#settling.fail(message, code, "failed", code === Code.RECIPIENT_FAILED);
        this.changed(now);
    }

    // --- what comes --------------------------------------------------------------------------------------------------

    /**
     * An ACK frame covers the last frame of a message (S31).
     *
     * @param {Outgoing} message
     * @param {number} now
     */
    accepted(message, now) {
        this.#settling.accepted(message, now);
        this.changed(now);
    }

    /**
     * CREDIT (S29, S30).
     *
     * @param {import("./bytes.js").U64} value
     * @param {number} now
     */
    credit(value, now) {
        if (!this.#ended && this.#out.credit.raise(value)) this.#host.touch(this, now);
    }

    /**
     * RECEIPT of one recipient, or of all (S32, CC-DELIV-013, 014).
     *
     * @param {Occupant | null} occupant null: aggregated
     * @param {number} value
     * @param {number} now
     */
    receipt(occupant, value, now) {
        if (this.#ended) return;
        this.#settling.receipt(occupant, value, this.barred);
        this.changed(now);
    }

    /**
     * FAIL: of one recipient in a group call (S34, S35), or for all or of the peer (S33).
     *
     * @param {Occupant | null} occupant null: all
     * @param {number} value
     * @param {number} code
     * @param {boolean} uncertain
     * @param {number} now
     */
    fail(occupant, value, code, uncertain, now) {
        if (this.silent) return;
        const event = { sender: this.id, value, code, uncertain };
        if (occupant === null || this.#host.peer) {
            this.#failed = code;
            this.#settling.failAll(value, code, uncertain);
            this.#out.clear("ended_session");
            this.#host.tell({
                type: "SenderFailed",
                participant: occupant === null ? null : naming(occupant),
                ...event,
            });
        } else if (!this.barred.has(occupant)) {
            this.barred.set(occupant, value);
            this.#settling.failOne(occupant, value, code, uncertain);
            this.#host.tell({ type: "RecipientFailed", participant: naming(occupant), ...event });
        }
        this.changed(now);
    }

    /**
     * REFUSE (S36 to S38).
     *
     * @param {number} sequence
     * @param {number} code
     * @param {number} now
     */
    refuse(sequence, code, now) {
        if (this.#ended) return;
        const message = this.#settling.get(sequence);
        // A REFUSE that names an unwritten or settled message has no effect (7.7).
        if (message?.begun) this.#settling.fail(message, code);
        // But nothing more is written of a message that was refused, not even ABORT (CC-FRAG-013).
        if (this.#out.abort?.sequence === sequence) this.#out.abort = null;
        this.changed(now);
    }

    /**
     * The caller takes a message back (S39 to S43).
     *
     * @param {number} sequence
     * @param {number} code CANCELLED or DEADLINE
     * @param {number} now
     * @returns {Cancelled}
     */
    cancel(sequence, code, now) {
        if (this.#ended) return "settled";
        const message = this.reliable ? this.#settling.get(sequence) : this.#out.remove(sequence);
        if (message === undefined) return "settled";
        const outcome = message.complete ? "unknown" : message.begun ? "aborted" : "removed";
        if (this.reliable) this.#settling.fail(message, code, message.complete ? "unknown" : "failed");
        this.changed(now);
        return outcome;
    }

    /**
     * The sender is closed (S45, S46). A second time changes nothing.
     *
     * @param {number} reason NONE, or a private code
     * @param {number} now
     */
    close(reason, now) {
        checkReason(reason);
        if (this.#closed || this.silent) return;
        this.#closed = true;
        this.closeReason = reason;
        for (const message of this.#settling.all) {
            if (!message.finished) this.#settling.fail(message, Code.SENDER_CLOSED);
        }
        this.changed(now);
    }

    /** The link was suspended: what waits of a Lossy sender is thrown away (S48). */
    suspended() {
        if (!this.reliable) this.#out.clear("suspended");
        this.#checkEnded();
    }

    /** The link has died (S50, S51). */
    linkDead() {
        if (this.#ended) return;
        this.#failed = Code.LINK_LOST;
        this.#settling.linkDead();
        this.#out.clear("link_dead");
        const { custody } = this.#settling;
        if (custody > 0) this.#host.tell({ type: "CustodyLost", sender: this.id, sequence: custody });
        this.#end(Code.LINK_LOST);
    }

    // --- outcomes ----------------------------------------------------------------------------------------------------

    /** Something of the session changed: what follows from it. @param {number} now */
    changed(now) {
        this.#checkWritable();
        this.#checkEnded();
        if (!this.#ended) this.#host.touch(this, now);
    }

    #checkWritable() {
        if (this.#turnedAway === null) return;
        const gone = this.#closed || this.#ended || this.#failed !== null;
        if (!gone && !this.#hasRoom(this.#turnedAway, false)) return;
        this.#turnedAway = null;
        this.#host.tell({ type: "SenderWritable", sender: this.id });
    }

    /** S52 to S54. */
    #checkEnded() {
        if (this.#ended || this.#settling.size > 0) return;
        if (this.#failed !== null) this.#end(this.#failed);
        else if (this.#closed && (this.#out.closeState === 2 || (this.session === 0 && this.#out.queue.length === 0))) {
            this.#end(Code.NONE);
        }
    }

    /** @param {number} code */
    #end(code) {
        this.#ended = true;
        this.#checkWritable();
        this.#host.tell({ type: "SenderEnded", sender: this.id, code });
        this.#host.ended(this);
    }

    /** @returns {import("./statistics.js").SenderStatistics} */
    statistics() {
        const { sent, bytes } = this.#out.counters;
        const { confirmed, failed } = this.#settling;
        return {
            messages_sent: sent,
            bytes_sent: bytes,
            messages_confirmed: confirmed,
            messages_failed: failed,
            messages_waiting: this.reliable ? this.#settling.size : this.#out.queue.length,
            bytes_waiting: this.#out.buffered,
            drops: this.#out.drops.counts(),
        };
    }
}

/**
 * Raises INVALID_ARGUMENT for a reason that no sender can be closed with.
 *
 * @param {number} reason
 */
export function checkReason(reason) {
    if (reason !== Code.NONE && !(Number.isInteger(reason) && reason >= FROM_PRIVATE && reason <= 0xffff)) {
        throw invalid("a sender is closed with 0 or a private code, F000 to FFFF");
    }
}
