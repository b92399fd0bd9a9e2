// SPDX-License-Identifier: Apache-2.0
/**
 * A sender as an application sees it.
 *
 * @module
 */
import { CallError, Code, invalid } from "./errors.js";
import { encodeText, viewOf } from "./bytes.js";
import { CallEvent } from "./callevent.js";
import { Deferred } from "./wakeup.js";
import { Outbox } from "./outbox.js";
import { Turns } from "./turns.js";

/** @typedef {import("./driver.js").Driver} Driver */

/**
 * Of one message. `timeout` is in milliseconds here. `signal` takes the message back.
 *
 * @typedef {import("./extensions.js").ExtensionOptions & { recipients?: import("./outgoing.js").Recipients,
 *   timeout?: number, signal?: AbortSignal }} MessageOptions
 */

/**
 * What a send that succeeded tells.
 *
 * @typedef {{ sequence: number, report: import("./verdicts.js").Report | null }} Sent
 */

/** Files up to this go as one message, larger ones as a stream. */
const SMALL_FILE = 65536;

/**
 * Sends messages on a channel. Events: `recipientfailed`, `failed`, `custodylost`, `ended`.
 */
export class CallSender extends EventTarget {
    #driver;
    #id;
    #reliable;
    #outbox;
    /** @type {Map<number, Deferred<Sent>>} */
    #sends = new Map();
    /** @type {Deferred<number>} */
    #ended = new Deferred();

    /**
     * @param {Driver} driver
     * @param {number} id
     * @param {number} channel
     * @param {import("./member.js").OpenOptions} options
     */
    constructor(driver, id, channel, { reliability, recipients = "everyone" }) {
        super();
        this.#driver = driver;
        this.#id = id;
        this.#outbox = new Outbox(driver, id, recipients);
        this.#reliable = reliability !== "lossy";
        this.channel = channel;
    }

    /** Resolves with the code with which the sender ended. */
    get ended() {
        return this.#ended.promise;
    }

    /** Counters of section 7.16. */
    get statistics() {
        return this.#driver.run((endpoint) => endpoint.senderStatistics(this.#id));
    }

    /**
     * Sends a message, with the recipients of this moment. Reliable: resolves when every recipient is confirmed, and
     * raises a CallError with a report otherwise; waits for room where there is none. Lossy: resolves when the message
     * is queued.
     *
     * @param {ArrayBuffer | ArrayBufferView} data copied, so that it may change afterwards
     * @param {MessageOptions} [options]
     * @returns {Promise<Sent>}
     */
    async send(data, options = {}) {
        const sequence = await this.#outbox.send(copyOf(data), options);
        return this.#outcome(sequence, options.signal);
    }

    /**
     * Sends text as UTF-8, with the content type `text/plain;charset=utf-8`.
     *
     * @param {string} text
     * @param {MessageOptions} [options]
     */
    async sendText(text, options = {}) {
        const bytes = encodeText(text);
        if (bytes === null) throw invalid("the text has a lone surrogate");
        return this.send(bytes, { contentType: "text/plain;charset=utf-8", ...options });
    }

    /**
     * Sends a file with its name and content type: a small one as a message, a larger one as a stream, whose size is
     * told as a parameter of the content type.
     *
     * @param {Blob} file
     * @param {MessageOptions & { progress?: (written: number, size: number) => void }} [options]
     * `progress` is told how many bytes were taken on
     * @returns {Promise<Sent>}
     */
    async sendFile(file, { progress, ...options } = {}) {
        const name = "name" in file && typeof file.name === "string" && file.name !== "" ? { name: file.name } : {};
        const type = file.type === "" ? {} : { contentType: file.type };
        const described = { ...name, ...type, ...options };
        const { contentType = "application/octet-stream" } = described;
        if (file.size <= SMALL_FILE) {
            const fetch = async () => viewOf(await file.arrayBuffer());
            const sent = await this.#outcome(await this.#outbox.sendFetched(fetch, described), options.signal);
            progress?.(file.size, file.size);
            return sent;
        }
        const told = { ...described, contentType: `${contentType};size=${file.size}` };
        const { sent } = await this.#outbox.owe(this.#pour(file, told, progress));
        return sent;
    }

    /**
     * Writes a file as a stream, to its end.
     *
     * @param {Blob} file
     * @param {MessageOptions} options
     * @param {((written: number, size: number) => void) | undefined} progress
     */
    async #pour(file, options, progress) {
        const stream = await this.#stream(options, true);
        const reader = file.stream().getReader();
        let written = 0;
        try {
            for (let next = await reader.read(); !next.done; next = await reader.read()) {
                await stream.write(next.value);
                written += next.value.length;
                progress?.(written, file.size);
            }
            return { sent: stream.finish() };
        } catch (error) {
            stream.abort();
            throw error;
        } finally {
            reader.releaseLock();
        }
    }

    /**
     * Opens a Reliable message whose length is not known: write, then finish.
     *
     * @param {MessageOptions} [options]
     * @returns {Promise<OutgoingStream>}
     */
    openStream(options = {}) {
        return this.#stream(options, false);
    }

    /**
     * @param {MessageOptions} options
     * @param {boolean} ours whether it is finished from here
     */
    async #stream(options, ours) {
        const sequence = await this.#outbox.openStream(options, ours);
        const outcome = this.#outcome(sequence, options.signal);
        outcome.catch(() => {});
        return new OutgoingStream(this.#outbox, sequence, outcome);
    }

    /**
     * @param {number} sequence
     * @param {AbortSignal | undefined} signal
     * @returns {Promise<Sent>}
     */
    #outcome(sequence, signal) {
        if (!this.#reliable) return Promise.resolve({ sequence, report: null });
        const send = this.#pending(sequence);
        const cancel = () => this.cancel(sequence);
        signal?.addEventListener("abort", cancel, { once: true });
        if (signal?.aborted) cancel();
        return send.promise.finally(() => signal?.removeEventListener("abort", cancel));
    }

    /** @param {number} sequence */
    #pending(sequence) {
        let send = this.#sends.get(sequence);
        if (send === undefined) {
            send = new Deferred();
            this.#sends.set(sequence, send);
        }
        return send;
    }

    /** Takes a message back. @param {number} sequence */
    cancel(sequence) {
        this.#outbox.cancel(sequence);
    }

    /**
     * Changes the recipients of the messages to come. Those that were sent keep theirs, also those that wait for room.
     *
     * @param {import("./outgoing.js").Recipients} recipients
     */
    setRecipients(recipients) {
        this.#outbox.setRecipients(recipients);
    }

    /**
     * Closes the sender: what was sent is still delivered, also what waits for room, and files. A stream that is not
     * finished is given up. Resolves when it has ended.
     *
     * @param {number} [reason] 0, or a private code, F000 to FFFF
     */
    close(reason = Code.NONE) {
        this.#outbox.close(reason);
        return this.ended;
    }

    /** Resolves when everything that was sent is with the core; null: it is. */
    idle() {
        return this.#outbox.idle();
    }

    /**
     * Takes an event of the core that is about this sender.
     *
     * @param {Extract<import("./events.js").Event, { sender: number }>} event
     */
    tell(event) {
        switch (event.type) {
            case "MessageSettled": {
                const { sequence, code, report } = event;
                this.#outbox.settled(sequence);
                const send = this.#pending(sequence);
                if (code === Code.NONE) send.resolve({ sequence, report });
                else send.reject(new CallError(code, undefined, report));
                // A send that has settled before it was asked for is kept until it is.
                queueMicrotask(() => setTimeout(() => this.#sends.delete(sequence)));
                break;
            }
            case "SenderWritable":
                this.#outbox.wake();
                break;
            case "SenderEnded":
                this.#outbox.wake();
                this.#ended.resolve(event.code);
                this.dispatchEvent(new CallEvent("ended", event));
                break;
            case "RecipientFailed":
                this.dispatchEvent(new CallEvent("recipientfailed", event));
                break;
            case "SenderFailed":
                this.dispatchEvent(new CallEvent("failed", event));
                break;
            case "CustodyLost":
                this.dispatchEvent(new CallEvent("custodylost", event));
                break;
            default:
        }
    }
}

/**
 * The bytes as they are now. Raises INVALID_ARGUMENT for what holds none.
 *
 * @param {ArrayBuffer | ArrayBufferView} data
 */
function copyOf(data) {
    const holds = ArrayBuffer.isView(data) || data instanceof ArrayBuffer || isShared(data);
    if (!holds) throw invalid("data is an ArrayBuffer or a view of one");
    return viewOf(data).slice();
}

/** @param {unknown} data */
function isShared(data) {
    return typeof SharedArrayBuffer !== "undefined" && data instanceof SharedArrayBuffer;
}

/** A stream that is being sent. */
export class OutgoingStream {
    #outbox;
    #outcome;
    #turns = new Turns();

    /**
     * @param {Outbox} outbox
     * @param {number} sequence
     * @param {Promise<Sent>} outcome
     */
    constructor(outbox, sequence, outcome) {
        this.#outbox = outbox;
        this.#outcome = outcome;
        this.sequence = sequence;
    }

    /**
     * Gives the stream more bytes; resolves when it has room for more. Raises the code with which it was given up.
     *
     * @param {ArrayBuffer | ArrayBufferView} data copied
     */
    write(data) {
        return this.#outbox.write(this.#turns, this.sequence, copyOf(data));
    }

    /** Ends the stream, behind everything that was written; resolves as `send` does. */
    async finish() {
        await this.#outbox.finish(this.#turns, this.sequence);
        return this.#outcome;
    }

    /** Gives the stream up: its readers are told ABORTED. */
    abort() {
        this.#outbox.cancel(this.sequence);
    }
}
