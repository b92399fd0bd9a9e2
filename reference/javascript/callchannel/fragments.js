// SPDX-License-Identifier: Apache-2.0
/**
 * Putting fragments together (chapter 6), and remembering which Lossy sequences are done (section 7.14).
 *
 * @module
 */
import { concat } from "./bytes.js";
import { LAST_INDEX } from "./data.js";
import { Queue } from "./queue.js";

/** @typedef {import("./data.js").DataFrame} DataFrame */
/** @typedef {import("./data.js").FragmentBlock} FragmentBlock */

/**
 * Bytes of a packet that are kept beyond its handling. A small piece of a large packet is copied, so that it does not
 * keep the whole packet in memory: what a peer makes an endpoint keep stays in proportion to what is counted.
 *
 * @param {Uint8Array} payload
 */
export function keep(payload) {
    return payload.length * 2 < payload.buffer.byteLength ? payload.slice() : payload;
}

/** A stream on its way in: chunks that came and were not handed out. */
export class Stream {
    /** @type {Queue<{ bytes: Uint8Array, frame: number }>} */
    chunks = new Queue();
    /** Its last fragment has come. */
    done = false;
    /** The application was given it: reading has begun. */
    begun = false;
    /** Its end was told. */
    told = false;
    /** It was given up; its reader is to be told. */
    aborted = false;

    /**
     * @param {number} id by which the application knows it
     * @param {import("./receiver.js").ReliableSession} session
     * @param {number} sequence
     */
    constructor(id, session, sequence) {
        this.id = id;
        this.session = session;
        this.sequence = sequence;
    }

    /** Whether a read would give something. */
    get readable() {
        return this.chunks.length > 0 || this.done;
    }
}

/** The partial message of a Reliable session. */
export class ReliablePartial {
    /** The index that has to come next. */
    next = 0;
    /** Payload bytes that are there, read ones of a stream included. */
    bytes = 0;
    /** Bytes of its DATA frames that are not consumed. */
    frames = 0;
    /** @type {Uint8Array[]} */
    #parts = [];

    /**
     * @param {DataFrame} frame its first
     * @param {Stream | null} stream where it is handed out in chunks
     * @param {import("./extensions.js").ReceivedExtensions} extensions
     */
    constructor(frame, stream, extensions) {
        this.sequence = frame.sequence;
        this.total = /** @type {FragmentBlock} */ (frame.fragment).total;
        this.private = frame.private;
        this.confirm = frame.confirm;
        this.stream = stream;
        this.extensions = extensions;
    }

    /**
     * Adds a fragment that was judged good.
     *
     * @param {DataFrame} frame
     */
    add(frame) {
        this.next += 1;
        this.bytes += frame.payload.length;
        if (this.stream === null) {
            this.#parts.push(keep(frame.payload));
            this.frames += frame.size;
        } else if (frame.payload.length > 0) {
            this.stream.chunks.push({ bytes: keep(frame.payload), frame: frame.size });
        } else {
            this.frames += frame.size;
        }
    }

    /** The message, once it is complete. */
    whole() {
        return this.#parts.length === 1 ? this.#parts[0] : concat(this.#parts, this.bytes);
    }
}

/**
 * Step 16 for a Reliable fragment or ABORT (CC-FRAG-050 to 052).
 *
 * @param {FragmentBlock} fragment
 * @param {number} length of its payload
 * @param {ReliablePartial | null} partial what it goes on with; null: it is the first
 */
export function contradicts(fragment, length, partial) {
    if (partial !== null && fragment.total !== partial.total) return true;
    if (fragment.abort) return false;
    if (fragment.index === LAST_INDEX && !fragment.last) return true;
    if (fragment.total === 0) return false;
    const bytes = (partial?.bytes ?? 0) + length;
    return bytes > fragment.total || (bytes === fragment.total) !== fragment.last;
}

/** A partial Lossy message. */
export class LossyPartial {
    /** @type {Map<number, Uint8Array>} */
    #parts = new Map();
    #greatest = -1;
    /** Index of LAST; -1 as long as it has not come. */
    #last = -1;
    bytes = 0;
    private = false;
    /** @type {import("./extensions.js").ReceivedExtensions} */
    extensions = { extensions: [] };

    /**
     * @param {import("./lossy.js").LossySession} session
     * @param {number} sequence
     * @param {number} total
     * @param {number} now when its first fragment came
     */
    constructor(session, sequence, total, now) {
        this.session = session;
        this.sequence = sequence;
        this.total = total;
        this.since = now;
    }

    /** @param {number} index */
    has(index) {
        return this.#parts.has(index);
    }

    /**
     * Whether a fragment contradicts what is there (CC-FRAG-053).
     *
     * @param {FragmentBlock} fragment
     * @param {number} length
     */
    contradicts({ total, index, last }, length) {
        const bytes = this.bytes + length;
        if (total !== this.total || bytes > this.total) return true;
        if (last && (this.#last >= 0 || this.#greatest > index)) return true;
        if (this.#last >= 0 && index > this.#last) return true;
        return this.completedBy(index, last) && bytes < this.total;
    }

    /**
     * Whether with this fragment all indexes up to LAST are there.
     *
     * @param {number} index
     * @param {boolean} last
     */
    completedBy(index, last) {
        const end = last ? index : this.#last;
        return end >= 0 && this.#parts.size === end;
    }

    /**
     * @param {FragmentBlock} fragment
     * @param {DataFrame} frame
     * @param {import("./extensions.js").ReceivedExtensions} extensions
     */
    add({ index, last }, frame, extensions) {
        this.#parts.set(index, keep(frame.payload));
        this.#greatest = Math.max(this.#greatest, index);
        if (last) this.#last = index;
        this.bytes += frame.payload.length;
        if (index > 0) return;
        this.private = frame.private;
        this.extensions = extensions;
    }

    /** The message, once it is complete. */
    whole() {
        const parts = [];
        for (let index = 0; index <= this.#last; index += 1)
            parts.push(/** @type {Uint8Array} */ (this.#parts.get(index)));
        return concat(parts, this.bytes);
    }
}

/** Which sequences of a Lossy session are done: complete, or given up. Of 1,024 of them it is remembered. */
export class DoneWindow {
    static SIZE = 1024;
    #bits = new Uint8Array(DoneWindow.SIZE);
    /** The greatest one that is done. */
    #greatest = 0;

    /**
     * @param {number} sequence
     * @returns {"too_old" | "duplicate" | null} why a frame of it is dropped
     */
    judge(sequence) {
        if (sequence <= this.#greatest - DoneWindow.SIZE) return "too_old";
        return sequence <= this.#greatest && this.#bits[sequence % DoneWindow.SIZE] === 1 ? "duplicate" : null;
    }

    /** @param {number} sequence */
    mark(sequence) {
        if (sequence <= this.#greatest - DoneWindow.SIZE) return;
        if (sequence - this.#greatest >= DoneWindow.SIZE) this.#bits.fill(0);
        else for (let at = this.#greatest + 1; at < sequence; at += 1) this.#bits[at % DoneWindow.SIZE] = 0;
        this.#greatest = Math.max(this.#greatest, sequence);
        this.#bits[sequence % DoneWindow.SIZE] = 1;
    }
}
