// SPDX-License-Identifier: Apache-2.0
/**
 * A sender as an application sees it.
 *
 * @module
 */
import { CallError, Code, invalid } from "./errors.js";
import { encodeText, viewOf } from "./bytes.js";
import { Deferred, Wakeup } from "./wakeup.js";
import { CallEvent } from "./callevent.js";

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
    /** Sends in the order in which they were called: each waits for the one before it to have its number. */
    #turn = Promise.resolve();
    #writable = new Wakeup();
    /** @type {Map<number, Deferred<Sent>>} */
    #sends = new Map();
    /** @type {Deferred<number>} */
    #ended = new Deferred();

    /**
     * @param {Driver} driver
     * @param {number} id
     * @param {number} channel
     * @param {boolean} reliable
     */
    constructor(driver, id, channel, reliable) {
        super();
        this.#driver = driver;
        this.#id = id;
        this.#reliable = reliable;
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
     * Sends a message. Reliable: resolves when every recipient is confirmed, and raises a CallError with a report
     * otherwise; waits for room where there is none. Lossy: resolves when the message is queued.
     *
     * @param {ArrayBuffer | ArrayBufferView} data copied, so that it may change afterwards
     * @param {MessageOptions} [options]
     * @returns {Promise<Sent>}
     */
    async send(data, options = {}) {
        const bytes = copyOf(data);
        const { signal, timeout, ...rest } = options;
        if (signal?.aborted) throw new CallError(Code.CANCELLED);
        const end = timeout === undefined ? Infinity : this.#driver.now + timeout * 1000;
        const sequence = await this.#inTurn(
            (endpoint, now) => {
                const left = end === Infinity ? {} : { timeout: Math.max(1, end - now) };
                return endpoint.send(this.#id, bytes, { ...rest, ...left }, now);
            },
            end,
            signal,
        );
        return this.#outcome(sequence, signal);
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
            const sent = await this.send(await file.arrayBuffer(), described);
            progress?.(file.size, file.size);
            return sent;
        }
        const stream = await this.openStream({ ...described, contentType: `${contentType};size=${file.size}` });
        const reader = file.stream().getReader();
        let written = 0;
        try {
            for (let next = await reader.read(); !next.done; next = await reader.read()) {
                await stream.write(next.value);
                written += next.value.length;
                progress?.(written, file.size);
            }
            return await stream.finish();
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
    async openStream(options = {}) {
        const { signal, timeout, ...rest } = options;
        if (signal?.aborted) throw new CallError(Code.CANCELLED);
        const end = timeout === undefined ? Infinity : this.#driver.now + timeout * 1000;
        const sequence = await this.#inTurn(
            (endpoint, now) => {
                const left = end === Infinity ? {} : { timeout: Math.max(1, end - now) };
                return endpoint.openStream(this.#id, { ...rest, ...left }, now);
            },
            end,
            signal,
        );
        const outcome = this.#outcome(sequence, signal);
        outcome.catch(() => {});
        return new OutgoingStream(this, this.#driver, this.#id, sequence, outcome);
    }

    /**
     * Runs a send when the ones before it have their numbers (CC-DELIV-064).
     *
     * @param {(endpoint: import("./endpoint.js").Endpoint, now: number) => number} send
     * @param {number} end
     * @param {AbortSignal | undefined} signal
     * @returns {Promise<number>}
     */
    #inTurn(send, end, signal) {
        const mine = this.#turn.then(() => this.whenRoom(send, end, signal));
        this.#turn = mine.then(
            () => {},
            () => {},
        );
        return mine;
    }

    /**
     * Repeats a call until it does not raise WOULD_BLOCK.
     *
     * @template T
     * @param {(endpoint: import("./endpoint.js").Endpoint, now: number) => T} call
     * @param {number} [end] when the caller's time runs out
     * @param {AbortSignal} [signal]
     * @returns {Promise<T>}
     */
    async whenRoom(call, end = Infinity, signal) {
        for (;;) {
            if (signal?.aborted) throw new CallError(Code.CANCELLED); // CC-DELIV-033
            const { now } = this.#driver;
            if (now >= end) throw new CallError(Code.DEADLINE);
            try {
                return this.#driver.run(call);
            } catch (error) {
                if (!(error instanceof CallError) || error.code !== Code.WOULD_BLOCK) throw error;
            }
            await until(this.#writable.wait(), end === Infinity ? undefined : (end - now) / 1000, signal);
        }
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
        this.#driver.run((endpoint, now) => endpoint.cancel(this.#id, sequence, now));
    }

    /**
     * Changes the recipients of the messages to come.
     *
     * @param {import("./outgoing.js").Recipients} recipients
     */
    setRecipients(recipients) {
        this.#driver.run((endpoint) => endpoint.setRecipients(this.#id, recipients));
    }

    /**
     * Closes the sender: what was sent is still delivered. Resolves when it has ended.
     *
     * @param {number} [reason] 0, or a private code, F000 to FFFF
     */
    close(reason = Code.NONE) {
        this.#driver.run((endpoint, now) => endpoint.closeSender(this.#id, now, reason));
        return this.ended;
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
                const send = this.#pending(sequence);
                if (code === Code.NONE) send.resolve({ sequence, report });
                else send.reject(new CallError(code, undefined, report));
                // A send that has settled before it was asked for is kept until it is.
                queueMicrotask(() => setTimeout(() => this.#sends.delete(sequence)));
                break;
            }
            case "SenderWritable":
                this.#writable.wake();
                break;
            case "SenderEnded":
                this.#writable.wake();
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
    #sender;
    #driver;
    #id;
    #outcome;
    #turn = Promise.resolve();

    /**
     * @param {CallSender} sender
     * @param {Driver} driver
     * @param {number} id
     * @param {number} sequence
     * @param {Promise<Sent>} outcome
     */
    constructor(sender, driver, id, sequence, outcome) {
        this.#sender = sender;
        this.#driver = driver;
        this.#id = id;
        this.#outcome = outcome;
        this.sequence = sequence;
    }

    /**
     * Gives the stream more bytes; resolves when it has room for more. Raises the code with which it was given up.
     *
     * @param {ArrayBuffer | ArrayBufferView} data copied
     */
    write(data) {
        const bytes = copyOf(data);
        const { sequence } = this;
        const mine = this.#turn.then(() =>
            this.#sender.whenRoom((endpoint, now) => endpoint.writeStream(this.#id, sequence, bytes, now)),
        );
        this.#turn = mine.catch(() => {});
        return mine;
    }

    /** Ends the stream; resolves as `send` does. */
    async finish() {
        await this.#turn;
        this.#driver.run((endpoint, now) => endpoint.finishStream(this.#id, this.sequence, now));
        return this.#outcome;
    }

    /** Gives the stream up: its readers are told ABORTED. */
    abort() {
        this.#sender.cancel(this.sequence);
    }
}

/**
 * Waits until something happens, a time is over, or a signal is given.
 *
 * @param {Promise<void>} happens
 * @param {number | undefined} milliseconds
 * @param {AbortSignal | undefined} signal
 */
async function until(happens, milliseconds, signal) {
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    /** @type {() => void} */
    let stop = () => {};
    const limit = new Promise((resolve) => {
        stop = () => resolve(undefined);
        if (milliseconds !== undefined) timer = setTimeout(stop, Math.max(0, milliseconds));
        signal?.addEventListener("abort", stop, { once: true });
    });
    await Promise.race([happens, limit]);
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
}
