// SPDX-License-Identifier: Apache-2.0
/**
 * A Reliable session at its final recipient: rows R01 to R49 of section 5.14.
 *
 * @module
 */
import { CallError, Code } from "./errors.js";
import { ReaderCredit } from "./flow.js";
import { Incoming } from "./incoming.js";
import { ReliablePartial, Stream, contradicts, keep } from "./fragments.js";
import { understand } from "./extensions.js";

/** @typedef {import("./data.js").DataFrame} DataFrame */
/** @typedef {import("./incoming.js").Unread} Unread */

export class ReliableSession extends Incoming {
    reliable = /** @type {const} */ (true);
    #credit;
    /** @type {ReliablePartial | null} */
    #partial = null;
    /** The stream whose reading has begun and whose end is not told. @type {Stream | null} */
    #current = null;
    #currentConfirm = false;
    /** Greatest sequence with CONFIRM that was read, and the last one that a RECEIPT told. */
    #receipt = 0;
    #receiptWritten = 0;

    /**
     * @param {import("./incoming.js").InboxHost} inbox
     * @param {import("./incoming.js").Owner} owner
     * @param {DataFrame} frame its first
     */
    constructor(inbox, owner, frame) {
        super(inbox, owner, frame.session);
        this.channel = frame.channel;
        this.high = frame.high;
        this.#credit = new ReaderCredit(inbox.limits.window);
    }

    get ended() {
        return this.state === "DRAINING" || this.state === "DEAD";
    }

    /** @override */
    get hasUnread() {
        return this.unread.length > 0 || (this.#current !== null && this.#current.done);
    }

    /** @override */
    get hasPartial() {
        return this.#partial !== null;
    }

    /** @override */
    get readable() {
        if (this.#current !== null) return this.#current.readable;
        return this.unread.length > 0 || (this.#partial?.stream?.readable ?? false);
    }

    /** Whether the limit is held back: something complete is unread, or a stream not read to its end. */
    get #holds() {
        return this.hasUnread || this.#current !== null || (this.#partial !== null && this.#partial.stream !== null);
    }

    // --- DATA --------------------------------------------------------------------------------------------------------

    /**
     * Step 13. True when the frame passes the limit: FLOW_CONTROL.
     *
     * @param {DataFrame} frame
     */
    overdraws(frame) {
        if (frame.fragment?.abort) return false;
        if (!this.#credit.allows(frame.size)) return true;
        this.#credit.received += frame.size;
        return false;
    }

    /**
     * Steps 14 to 19 for a frame of this session, which has not ended.
     *
     * @param {DataFrame} frame
     * @param {boolean} tooMany whether it would begin a session beyond `open_sessions`
     * @param {ReadonlySet<number>} privateTypes
     * @param {(bytes: number) => boolean} reserve makes room in memory; false: this session paid for it
     * @param {number} now
     */
    take(frame, tooMany, privateTypes, reserve, now) {
        const { fragment, payload, sequence } = frame;
        const partial = this.#partial;
        if (!this.#inOrder(frame)) return this.fault(Code.SEQUENCE, sequence); // R05, R06
        if (tooMany) return this.fault(Code.TOO_MANY_SESSIONS, sequence); // R07
        const largest = this.inbox.limits.largest_message;
        const size = fragment === null ? payload.length : fragment.total;
        if (partial === null && size > largest) return this.fault(Code.TOO_LARGE, sequence); // R08, R09
        const stream = partial === null ? fragment !== null && fragment.total === 0 : partial.total === 0;
        if (stream && !this.inbox.streams && (partial?.bytes ?? 0) + payload.length > largest) {
            return this.fault(Code.TOO_LARGE, sequence); // R10, R11
        }
        if (fragment !== null && contradicts(fragment, payload.length, partial)) {
            return this.fault(Code.FRAGMENT, sequence); // R12, R13
        }
        let extensions = partial?.extensions;
        if (extensions === undefined) {
            const understood = understand(frame.extensions, true, privateTypes);
            if (understood === null) return this.fault(Code.EXTENSION, sequence); // R14, R15
            extensions = understood;
        }
        if (fragment?.abort) {
            this.#discard(now); // R22
            this.state = "OPEN";
            this.#stirred(now);
            return;
        }
        if (payload.length > 0 && !reserve(payload.length)) return; // R16, R17
        this.last = sequence;
        this.create(true);
        this.telling(() => this.#apply(frame, extensions));
        this.#stirred(now);
    }

    /**
     * CC-FRAG-044, 045.
     *
     * @param {DataFrame} frame
     */
    #inOrder({ fragment, sequence }) {
        const partial = this.#partial;
        if (partial === null) return sequence > this.last && (fragment === null || fragment.index === 0);
        return fragment !== null && sequence === partial.sequence && fragment.index === partial.next;
    }

    /**
     * R18 to R21.
     *
     * @param {DataFrame} frame
     * @param {import("./extensions.js").ReceivedExtensions} extensions
     */
    #apply(frame, extensions) {
        const { fragment, payload, sequence } = frame;
        this.buffer(payload.length);
        if (fragment === null) {
            this.#queue(frame, keep(payload), extensions, frame.size);
            this.state = "OPEN";
            return;
        }
        if (this.#partial === null) {
            const stream =
                fragment.total === 0 && this.inbox.streams ? new Stream(this.inbox.takeId(), this, sequence) : null;
            this.#partial = new ReliablePartial(frame, stream, extensions);
        }
        const partial = this.#partial;
        partial.add(frame);
        this.state = fragment.last ? "OPEN" : "PARTIAL";
        if (!fragment.last) return;
        this.#partial = null;
        if (partial.stream === null) {
            this.#queue(partial, partial.whole(), partial.extensions, partial.frames);
            return;
        }
        partial.stream.done = true;
        // What is left is a last fragment without bytes: it is consumed with the end.
        if (partial.stream === this.#current) this.#endFrames = partial.frames;
        else this.#queue(partial, new Uint8Array(0), partial.extensions, partial.frames, partial.stream);
    }

    #endFrames = 0;

    /**
     * @param {{ sequence: number, private: boolean, confirm: boolean }} source
     * @param {Uint8Array} payload
     * @param {import("./extensions.js").ReceivedExtensions} extensions
     * @param {number} frames
     * @param {Stream | null} [stream]
     */
    #queue(source, payload, extensions, frames, stream = null) {
        const { sequence, confirm } = source;
        this.unread.push({
            sequence,
            payload,
            stream,
            private: source.private,
            confirm,
            latest: false,
            extensions,
            frames,
        });
    }

    /**
     * A fault of the session: FAIL, and its end (5.9).
     *
     * @param {number} code
     * @param {number} [sequence] that of the faulty DATA; none for CLOSE
     * @param {boolean} [complete] whether CLOSE has come
     */
    fault(code, sequence = 0, complete = false) {
        const value = this.#partial?.sequence ?? Math.max(sequence, this.last + 1);
        this.#fail(code, value);
        this.complete ||= complete;
        this.#finish(code);
    }

    /**
     * FAIL, behind the RECEIPT that is due (CC-SESS-047, CC-DELIV-019).
     *
     * @param {number} code
     * @param {number} value
     */
    #fail(code, value) {
        if (this.failed || this.isCut) return;
        this.failed = true;
        const receipt = this.#receipt > this.#receiptWritten ? this.#receipt : 0;
        if (receipt > 0) this.#receiptWritten = receipt;
        this.inbox.writeFail(this, value, code, receipt);
    }

    /**
     * The session has ended here: what is unread stays, what is partial goes.
     *
     * @param {number} code
     */
    #finish(code) {
        this.#discard();
        if (this.hasUnread) {
            this.endCode = code;
            this.state = "DRAINING";
            return;
        }
        this.closeReceiver(code);
        this.state = this.complete ? "NONE" : "DEAD";
    }

    /**
     * Throws the partial message away; its bytes are consumed (CC-DELIV-054).
     *
     * @param {number} [now]
     */
    #discard(now) {
        const partial = this.#partial;
        if (partial === null) return;
        this.#partial = null;
        this.#credit.consumed += partial.frames;
        if (partial.stream === null) this.buffer(-partial.bytes);
        else this.#abortStream(partial.stream);
        if (now !== undefined) this.stir(now);
    }

    /**
     * A stream is given up: what is there of it goes, and a reader that has begun is told (CC-FRAG-028).
     *
     * @param {Stream} stream
     */
    #abortStream(stream) {
        for (const { bytes, frame } of stream.chunks.clear()) {
            this.buffer(-bytes.length);
            this.#credit.consumed += frame;
        }
        stream.aborted = true;
        if (this.#current !== stream) return;
        this.#current = null;
        this.#credit.consumed += this.#endFrames;
        this.#endFrames = 0;
        this.inbox.tell({ type: "StreamAborted", receiver: this.receiver, stream: stream.id });
    }

    // --- CLOSE, FAIL, and other ends ---------------------------------------------------------------------------------

    /**
     * CLOSE (R23 to R30).
     *
     * @param {number} value
     * @param {number} reason
     */
    close(value, reason) {
        this.complete = true;
        const gone = reason === Code.LEFT || reason === Code.LOST;
        if (gone) this.isCut = true;
        if (this.state === "DEAD") this.state = "NONE";
        if (this.state === "DRAINING" || this.state === "NONE") return;
        if (!gone && (this.#partial !== null || value < this.last))
            this.fault(Code.SEQUENCE, 0, true); // R25 to R28
        else this.#finish(reason);
    }

    /**
     * FAIL of a relay for this recipient (R31 to R33).
     *
     * @param {number} value
     * @param {number} reason
     */
    failedBy(value, reason) {
        if (this.state === "DEAD" || (this.state === "DRAINING" && this.complete)) return;
        this.failed = true;
        this.#dropFrom(value);
        if (this.state === "DRAINING") {
            if (!this.hasUnread) this.#drained();
        } else {
            this.#finish(reason);
        }
    }

    /** @param {number} value */
    #dropFrom(value) {
        for (const item of this.unread.filter(({ sequence }) => sequence < value)) this.#throw(item);
        const current = this.#current;
        if (current !== null && current.done && current.sequence >= value) this.#abortStream(current);
    }

    /** @param {Unread} item */
    #throw(item) {
        this.#credit.consumed += item.frames;
        if (item.stream === null) this.buffer(-item.payload.length);
        else this.#abortStream(item.stream);
    }

    /** The last unread message is gone of a session that has ended (R36, R37). */
    #drained() {
        this.closeReceiver(this.endCode);
        this.state = this.complete ? "NONE" : "DEAD";
    }

    /**
     * The session is cut: the slot has a new occupant, or the link is dead (R45 to R48).
     *
     * @param {number} code
     */
    cut(code) {
        this.isCut = true;
        this.complete = true;
        if (this.state === "DRAINING") return;
        if (this.state === "DEAD") this.state = "NONE";
        else this.#finish(code);
    }

    /**
     * The memory limit is passed and this session holds the most (R16, R17).
     *
     * @param {number} [sequence] that of the frame which passes it, if it is of this session
     */
    memory(sequence) {
        const first = this.#firstHeld ?? sequence ?? this.last + 1;
        this.#fail(Code.MEMORY, first);
        this.#clear();
        this.closeReceiver(Code.MEMORY);
        this.state = this.complete ? "NONE" : "DEAD";
    }

    /** The application closes the receiver (R39, R40). */
    closedHere() {
        if (this.receiver === 0) return;
        const ended = this.state === "DRAINING";
        if (!ended || this.complete) this.#fail(Code.CLOSED, this.#firstHeld ?? this.last + 1);
        this.#clear();
        this.dropReceiver();
        this.state = this.complete ? "NONE" : "DEAD";
    }

    /** The smallest sequence of an unread or partial message. @returns {number | undefined} */
    get #firstHeld() {
        return this.#current?.sequence ?? this.unread.first?.sequence ?? this.#partial?.sequence;
    }

    #clear() {
        for (const item of this.unread.clear()) this.#throw(item);
        this.#discard();
        if (this.#current !== null) this.#abortStream(this.#current);
    }

    // --- reading -----------------------------------------------------------------------------------------------------

    /**
     * Hands out the next message or stream; null when there is none to hand out (R34 to R38).
     *
     * @param {number} now
     * @returns {import("./incoming.js").Message | import("./incoming.js").StreamMessage | null}
     */
    read(now) {
        if (this.#current !== null) return null;
        const item = this.takeUnread();
        const source = item ?? this.#partial;
        if (source === undefined || source === null) return null;
        const { sequence, extensions } = source;
        if (source.stream !== null) {
            if (item === undefined && !source.stream.readable) return null;
            this.#current = source.stream;
            this.#currentConfirm = source.confirm;
            this.#endFrames = item?.frames ?? 0;
            source.stream.begun = true;
            this.inbox.streamOpened(source.stream);
            return { kind: "stream", stream: source.stream.id, sequence, private: source.private, extensions };
        }
        if (item === undefined) return null;
        this.#credit.consumed += item.frames;
        if (item.confirm) this.#receipt = sequence;
        this.#handed(now);
        return { kind: "message", sequence, payload: item.payload, private: item.private, extensions };
    }

    /**
     * Hands out the next bytes of a stream; "end" once behind the last; null when the next have not come.
     *
     * @param {Stream} stream
     * @param {number} now
     * @returns {Uint8Array | "end" | null}
     */
    readStream(stream, now) {
        if (stream.aborted) throw new CallError(Code.ABORTED);
        const chunk = stream.chunks.shift();
        if (chunk !== undefined) {
            this.buffer(-chunk.bytes.length);
            this.countRead(0, chunk.bytes.length);
            this.#credit.consumed += chunk.frame;
            this.stir(now);
            this.inbox.due(this);
            return chunk.bytes;
        }
        if (!stream.done) return null;
        stream.told = true;
        this.#current = null;
        this.#credit.consumed += this.#endFrames;
        this.#endFrames = 0;
        if (this.#currentConfirm) this.#receipt = stream.sequence;
        this.countRead(1, 0);
        this.#handed(now);
        return "end";
    }

    /** @param {number} now */
    #handed(now) {
        this.#stirred(now);
        if (this.state === "DRAINING" && !this.hasUnread) this.#drained();
    }

    /** @param {number} now */
    #stirred(now) {
        this.stir(now);
        this.inbox.due(this);
    }

    // --- RECEIPT and CREDIT ------------------------------------------------------------------------------------------

    get receiptDue() {
        return !this.isCut && this.#receipt > this.#receiptWritten;
    }

    get creditDue() {
        const open = this.state === "OPEN" || this.state === "PARTIAL" || this.state === "DETACHED";
        return open && !this.isCut && this.#credit.due(this.#holds);
    }

    /** The value of the RECEIPT that is being written (CC-DELIV-042). */
    takeReceipt() {
        this.#receiptWritten = this.#receipt;
        return this.#receipt;
    }

    /** The value of the CREDIT that is being written (CC-DELIV-056). */
    takeCredit() {
        this.#credit.written = this.#credit.limit(this.#holds);
        return this.#credit.written;
    }
}
