// SPDX-License-Identifier: Apache-2.0
/**
 * What goes from one sender of an application to the core: at once where there is room, else in the order of the calls
 * (CC-DELIV-064). It is closed when all of that is with the core.
 *
 * @module
 */
import { CallError, Code } from "./errors.js";
import { Audience } from "./outgoing.js";
import { Turns } from "./turns.js";
import { Wakeup } from "./wakeup.js";
import { checkReason } from "./sender.js";

/** @typedef {import("./driver.js").Driver} Driver */
/** @typedef {import("./endpoint.js").Endpoint} Endpoint */
/** @typedef {import("./outgoing.js").Recipients} Recipients */
/** @typedef {import("./sending.js").MessageOptions} MessageOptions */
/** @typedef {import("./sender.js").SendOptions} SendOptions */

export class Outbox {
    #driver;
    #id;
    #recipients;
    /** Sends that wait for room, or for a file to be read. */
    #sends = new Turns();
    #writable = new Wakeup();
    /** Streams that their application has not finished. @type {Set<number>} */
    #open = new Set();
    /** How much was asked for that is not with the core: sends that wait, files, ends of streams. */
    #owed = 0;
    #idle = new Wakeup();
    /** The reason of a close that waits for that. @type {number | null} */
    #closing = null;

    /**
     * @param {Driver} driver
     * @param {number} id of the sender
     * @param {Recipients} recipients that it was opened with
     */
    constructor(driver, id, recipients) {
        this.#driver = driver;
        this.#id = id;
        this.#recipients = copied(recipients);
    }

    /** @param {Recipients} recipients of the messages to come; raises INVALID_ARGUMENT */
    setRecipients(recipients) {
        this.#driver.run((endpoint) => endpoint.setRecipients(this.#id, recipients));
        this.#recipients = copied(recipients);
    }

    // --- messages ----------------------------------------------------------------------------------------------------

    /**
     * Sends a message and gives its sequence.
     *
     * @param {Uint8Array} bytes
     * @param {MessageOptions} options
     */
    send(bytes, options) {
        return this.#submit((endpoint, rest, now) => endpoint.send(this.#id, bytes, rest, now), options);
    }

    /**
     * Sends a message whose bytes have to be fetched first, which nothing overtakes meanwhile.
     *
     * @param {() => Promise<Uint8Array>} fetch
     * @param {MessageOptions} options
     */
    sendFetched(fetch, options) {
        /** @type {Uint8Array} */
        let bytes;
        const prepare = async () => {
            bytes = await fetch();
        };
        return this.#submit((endpoint, rest, now) => endpoint.send(this.#id, bytes, rest, now), options, prepare);
    }

    /**
     * Opens a stream and gives its sequence.
     *
     * @param {MessageOptions} options
     * @param {boolean} ours whether it is finished from here, so that closing waits for that
     */
    openStream(options, ours) {
        return this.#submit((endpoint, rest, now) => {
            // Its turn has come too late: nobody may write to it any more.
            if (!ours && this.#closing !== null) throw new CallError(Code.SENDER_CLOSED);
            const sequence = endpoint.openStream(this.#id, rest, now);
            if (!ours) this.#open.add(sequence);
            return sequence;
        }, options);
    }

    /**
     * Calls the core's `send` or `openStream`: at once, if nothing is before it. Whom a message is for is what was said
     * when it was sent, however long it waits.
     *
     * @param {(endpoint: Endpoint, options: SendOptions, now: number) => number} command
     * @param {MessageOptions} options
     * @param {() => Promise<void>} [prepare] has to be done first
     * @returns {Promise<number>}
     */
    async #submit(command, { signal, timeout, ...options }, prepare) {
        if (signal?.aborted) throw new CallError(Code.CANCELLED);
        if (this.#closing !== null) throw new CallError(Code.SENDER_CLOSED);
        const recipients = options.recipients === undefined ? this.#recipients : copied(options.recipients);
        const end = timeout === undefined ? Infinity : this.#driver.now + timeout * 1000;
        /** @type {(endpoint: Endpoint, now: number) => number} */
        const act = (endpoint, now) => {
            const left = end === Infinity ? {} : { timeout: Math.max(1, end - now) };
            return command(endpoint, { ...options, recipients, ...left }, now);
        };
        const limits = { end, signal };
        const done = prepare === undefined && this.#sends.free ? this.#attempt(act, limits) : null;
        if (done !== null) return done.result;
        const turn = async () => {
            await prepare?.();
            return this.#whenRoom(act, limits);
        };
        return this.owe(this.#sends.take(turn));
    }

    // --- streams -----------------------------------------------------------------------------------------------------

    /**
     * Gives a stream more bytes, as soon as there is room.
     *
     * @param {Turns} turns of the stream
     * @param {number} sequence
     * @param {Uint8Array} bytes
     */
    async write(turns, sequence, bytes) {
        /** @type {(endpoint: Endpoint, now: number) => void} */
        const act = (endpoint, now) => endpoint.writeStream(this.#id, sequence, bytes, now);
        if (turns.free && this.#attempt(act) !== null) return;
        await turns.take(() => this.#whenRoom(act));
    }

    /**
     * Ends a stream, behind everything that was written to it.
     *
     * @param {Turns} turns of the stream
     * @param {number} sequence
     */
    async finish(turns, sequence) {
        this.#open.delete(sequence);
        const end = () => this.#driver.run((endpoint, now) => endpoint.finishStream(this.#id, sequence, now));
        if (turns.free) end();
        else await this.owe(turns.take(async () => end()));
    }

    /**
     * Takes a message back.
     *
     * @param {number} sequence
     * @param {number} [code]
     */
    cancel(sequence, code) {
        this.#driver.run((endpoint, now) => endpoint.cancel(this.#id, sequence, now, code));
    }

    // --- waiting -----------------------------------------------------------------------------------------------------

    /**
     * Null where there is no room.
     *
     * @template T
     * @param {(endpoint: Endpoint, now: number) => T} act
     * @param {{ end?: number, signal?: AbortSignal }} [limits] when the caller's time runs out
     * @returns {{ result: T } | null}
     */
    #attempt(act, { end = Infinity, signal } = {}) {
        if (signal?.aborted) throw new CallError(Code.CANCELLED); // CC-DELIV-033
        if (this.#driver.now >= end) throw new CallError(Code.DEADLINE);
        try {
            return { result: this.#driver.run(act) };
        } catch (error) {
            if (!(error instanceof CallError) || error.code !== Code.WOULD_BLOCK) throw error;
            return null;
        }
    }

    /**
     * @template T
     * @param {(endpoint: Endpoint, now: number) => T} act
     * @param {{ end?: number, signal?: AbortSignal }} [limits]
     * @returns {Promise<T>}
     */
    async #whenRoom(act, limits = {}) {
        const { end = Infinity, signal } = limits;
        for (;;) {
            const done = this.#attempt(act, limits);
            if (done !== null) return done.result;
            const left = end === Infinity ? undefined : (end - this.#driver.now) / 1000;
            await until(this.#writable.wait(), left, signal);
        }
    }

    /** There may be room, or an end of waiting for it. */
    wake() {
        this.#writable.wake();
    }

    /** A message was settled. @param {number} sequence */
    settled(sequence) {
        this.#open.delete(sequence);
    }

    // --- the end -----------------------------------------------------------------------------------------------------

    /**
     * Closing waits for this.
     *
     * @template T
     * @param {Promise<T>} work
     */
    owe(work) {
        this.#owed += 1;
        const over = () => {
            this.#owed -= 1;
            if (this.#owed > 0) return;
            const reason = this.#closing;
            this.#closing = null;
            if (reason !== null) this.#close(reason);
            this.#idle.wake();
        };
        work.then(over, over);
        return work;
    }

    /** Resolves when everything that was sent is with the core; null: it is. */
    idle() {
        return this.#owed === 0 ? null : this.#idle.wait();
    }

    /**
     * Closes the sender when everything that was sent is with the core. From now on nothing can be sent, and streams
     * that are not finished are given up.
     *
     * @param {number} reason raises INVALID_ARGUMENT
     */
    close(reason) {
        if (this.#owed === 0) {
            this.#close(reason);
            return;
        }
        checkReason(reason);
        if (this.#closing !== null) return;
        this.#closing = reason;
        for (const sequence of [...this.#open]) this.cancel(sequence, Code.SENDER_CLOSED);
    }

    /** @param {number} reason */
    #close(reason) {
        this.#driver.run((endpoint, now) => endpoint.closeSender(this.#id, now, reason));
    }
}

/**
 * The same recipients, in a list that the application does not have.
 *
 * @param {Recipients} recipients raises INVALID_ARGUMENT
 * @returns {Recipients}
 */
function copied(recipients) {
    const { kind, ids } = new Audience(recipients);
    if (kind === "everyone") return kind;
    return kind === "only" ? { only: ids } : { except: ids };
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
