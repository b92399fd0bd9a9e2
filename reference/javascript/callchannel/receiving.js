// SPDX-License-Identifier: Apache-2.0
/**
 * A receiver as an application sees it.
 *
 * @module
 */
import { Deferred, Wakeup } from "./wakeup.js";
import { concat, decodeText } from "./bytes.js";

/** @typedef {import("./driver.js").Driver} Driver */

/** How the size of a stream is told. */
const SIZE = /;\s*size=(\d{1,15})\s*(?:;|$)/i;

/** A message that was read, or a stream to read. */
export class IncomingMessage {
    #receiver;
    #source;

    /**
     * @param {CallReceiver} receiver
     * @param {import("./incoming.js").Message | import("./incoming.js").StreamMessage} source
     */
    constructor(receiver, source) {
        this.#receiver = receiver;
        this.#source = source;
        this.sequence = source.sequence;
        /** Whether it was addressed to some. */
        this.private = source.private;
        const { contentType, name, applicationTime, extensions } = source.extensions;
        this.contentType = contentType;
        /** A name that the sender chose: no path, and not to be trusted as one (CC-EXT-014). */
        this.name = name;
        this.applicationTime = applicationTime;
        this.extensions = extensions;
    }

    /** Who sent it. */
    get participant() {
        return this.#receiver.participant;
    }

    /** Whether its bytes come piece by piece, as they arrive. */
    get isStream() {
        return this.#source.kind === "stream";
    }

    /** Bytes that it has; of a stream, those that its sender announces, undefined if it does not. */
    get size() {
        if (this.#source.kind === "message") return this.#source.payload.length;
        const announced = SIZE.exec(this.contentType ?? "")?.[1];
        return announced === undefined ? undefined : Number(announced);
    }

    /** The bytes of a message that is no stream. @returns {Uint8Array} */
    get data() {
        if (this.#source.kind === "stream") throw new TypeError("a stream is read by chunks() or bytes()");
        return this.#source.payload;
    }

    /**
     * The bytes as they come. The end of a stream that was given up is ABORTED.
     *
     * @returns {AsyncGenerator<Uint8Array, void>}
     */
    async *chunks() {
        if (this.#source.kind === "message") yield this.#source.payload;
        else yield* this.#receiver.chunks(this.#source.stream);
    }

    /** All bytes, once they are there. */
    async bytes() {
        const parts = [];
        let size = 0;
        for await (const chunk of this.chunks()) {
            parts.push(chunk);
            size += chunk.length;
        }
        return parts.length === 1 ? parts[0] : concat(parts, size);
    }

    /** The text, or null where the bytes are no UTF-8. */
    async text() {
        return decodeText(await this.bytes());
    }
}

/** Reads the messages of one session: `for await (const message of receiver)`. */
export class CallReceiver {
    #driver;
    #id;
    #forget;
    #readable = new Wakeup();
    /** @type {Deferred<number>} */
    #closed = new Deferred();
    /** The stream that was handed out last, until its end. @type {number | null} */
    #stream = null;

    /**
     * @param {Driver} driver
     * @param {import("./events.js").ReceiverCreated} created
     * @param {() => void} forget called when the application has closed it, which the core does not tell
     */
    constructor(driver, created, forget) {
        this.#driver = driver;
        this.#id = created.receiver;
        this.#forget = forget;
        this.participant = created.participant;
        this.channel = created.channel;
        this.session = created.session;
        this.reliable = created.reliable;
        this.high = created.high;
    }

    /** Resolves with the code with which the receiver closed, after everything readable was read. */
    get closed() {
        return this.#closed.promise;
    }

    /** Counters of section 7.16; undefined once it is closed. */
    get statistics() {
        return this.#driver.run((endpoint) => endpoint.receiverStatistics(this.#id));
    }

    /**
     * The next message, or null when there is none now. A stream that was handed out has to be read first.
     *
     * @returns {IncomingMessage | null}
     */
    read() {
        const source = this.#driver.run((endpoint, now) => endpoint.read(this.#id, now));
        if (source === null) return null;
        if (source.kind === "stream") this.#stream = source.stream;
        return new IncomingMessage(this, source);
    }

    /** Messages as they come, until the receiver closes. What a loop leaves of a stream is passed over. */
    async *[Symbol.asyncIterator]() {
        for (;;) {
            while (this.#stream !== null) await this.#pass(this.#stream);
            const message = this.read();
            if (message !== null) yield message;
            else if (this.#closed.settled) return;
            else await this.#readable.wait();
        }
    }

    /** Reads a stream to its end for nobody. @param {number} stream */
    async #pass(stream) {
        try {
            for await (const chunk of this.chunks(stream)) void chunk;
        } catch {
            // It was given up: whoever reads it is told.
        }
    }

    /**
     * @param {number} stream
     * @returns {AsyncGenerator<Uint8Array, void>}
     */
    async *chunks(stream) {
        while (this.#stream === stream) {
            let chunk;
            try {
                chunk = this.#driver.run((endpoint, now) => endpoint.readStream(stream, now));
            } catch (error) {
                this.#stream = null;
                throw error;
            }
            if (chunk === "end") this.#stream = null;
            else if (chunk !== null) yield chunk;
            else await this.#readable.wait();
        }
    }

    /** Closes the receiver: what is unread is thrown away, and its sender is told. */
    close() {
        this.#driver.run((endpoint, now) => endpoint.closeReceiver(this.#id, now));
        this.#forget();
        this.#closed.resolve(0);
        this.#readable.wake();
    }

    /**
     * Takes an event of the core that is about this receiver.
     *
     * @param {Extract<import("./events.js").Event, { receiver: number }>} event
     */
    tell(event) {
        if (event.type === "ReceiverClosed") this.#closed.resolve(event.code);
        this.#readable.wake();
    }
}
