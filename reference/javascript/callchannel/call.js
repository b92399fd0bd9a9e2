// SPDX-License-Identifier: Apache-2.0
/**
 * A call as an application sees it: join, open senders, read what comes, leave.
 *
 * @module
 */
import { CallError, Code } from "./errors.js";
import { CallEvent } from "./callevent.js";
import { CallReceiver } from "./receiving.js";
import { CallSender } from "./sending.js";
import { Deferred, Wakeup } from "./wakeup.js";
import { Driver } from "./driver.js";
import { Endpoint } from "./endpoint.js";
import { SignallingError } from "./signalling.js";

/** @typedef {import("./transport.js").Transport} Transport */

/**
 * Brings a transport up, the first time and after each loss. The signal says that nobody waits any more: the call does
 * without, the time is over, or this attempt has failed, and what it has begun is to end.
 *
 * What it raises the first time, joining raises. Later it is tried again, unless it is a SignallingError that is final:
 * `again` says "no", or twice "token". Then the call ends at once, with the code of that error.
 *
 * @typedef {(about: { attempt: number, signal: AbortSignal }) => Promise<Transport>} Connect
 */

/**
 * @typedef {object} CallOptions
 * @property {"group" | "initiator" | "acceptor"} role
 * @property {string} id identifier of this participant
 * @property {string} [peer] acceptor: identifier of the other
 * @property {Connect} [connect] initiator: brings transports up. An acceptor is given them by `accept`
 * @property {Partial<Record<import("./limits.js").LimitName, number>>} [limits]
 * @property {boolean} [streams] whether streams are read as they come; true by default
 * @property {readonly number[]} [understands] private extension types that the application understands
 * @property {Uint8Array} [instance] instance identifier of a ghost to replace
 * @property {boolean} [replace]
 * @property {(size: number) => Uint8Array} [entropy]
 * @property {() => number} [random] 0 to 1, for the waiting times between attempts
 */

/** Waiting times between attempts, in milliseconds: they double, with a random part (CC-SIG-069). */
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 8000;

/**
 * Events, each a CallEvent with the core's event as `detail`: `joined`, `suspended`, `resumed`, `ended`,
 * `participantjoined`, `participantleft`, `participantsuspended`, `participantresumed`; and `receiver`, whose detail is
 * the CallReceiver.
 */
export class Call extends EventTarget {
    #options;
    #endpoint;
    #driver;
    /** @type {Deferred<void>} */
    #joined = new Deferred();
    /** @type {Deferred<number>} */
    #ended = new Deferred();
    /** @type {Map<number, CallSender>} */
    #senders = new Map();
    /** Those that have not closed, in the order of their coming. @type {Map<number, CallReceiver>} */
    #receivers = new Map();
    #arrival = new Wakeup();
    #connecting = new AbortController();
    #attempt = 0;
    #reconnecting = false;
    /** Whether the application leaves: the core is told when it has everything that was sent. */
    #leaving = false;
    /** Whether a token was refused since the link was active. */
    #tokenRefused = false;
    /** Why there will be no other transport. @type {{ code: number, text: string } | null} */
    #stranded = null;
    #changed = new Wakeup();

    /** @param {CallOptions} options raises INVALID_ARGUMENT */
    constructor(options) {
        super();
        this.#options = options;
        const { entropy = randomBytes } = options;
        this.#endpoint = new Endpoint({ ...options, entropy });
        this.#driver = new Driver(this.#endpoint, (event) => this.#tell(event));
        this.#driver.after = () => this.#changed.wake();
    }

    /**
     * Joins a call and resolves when joining is complete. Raises the code that refused it.
     *
     * @param {CallOptions} options
     * @returns {Promise<Call>}
     */
    static async join(options) {
        const call = new Call(options);
        await call.join();
        return call;
    }

    /** Connects, as an initiator, and resolves when joining is complete. */
    async join() {
        const { connect } = this.#options;
        if (connect !== undefined && this.#attempt === 0) {
            try {
                await this.#bringUp(connect);
            } catch (error) {
                this.#joined.reject(error);
                this.#strand("it could not be connected", error);
                this.#driver.stop();
                throw error;
            }
        }
        return this.#joined.promise;
    }

    /**
     * Gives an acceptor a transport that is up.
     *
     * @param {Transport} transport
     * @param {string | null} [identity] whom signalling says it is from; by default the peer, null for nobody
     */
    accept(transport, identity) {
        this.#driver.add(transport, identity);
    }

    /** @param {Connect} connect */
    async #bringUp(connect) {
        this.#attempt += 1;
        const { signal: over } = this.#connecting;
        const late = AbortSignal.timeout(this.limits.join_time); // CC-SIG-059
        const failed = new AbortController();
        const signal = AbortSignal.any([over, late, failed.signal]);
        const connecting = connect({ attempt: this.#attempt, signal });
        let transport;
        try {
            transport = await Promise.race([connecting, aborted(signal)]);
        } catch (error) {
            failed.abort();
            // What comes up after all is not used.
            connecting.then(
                (unused) => unused.close(false),
                () => {},
            );
            throw late.aborted && !over.aborted ? new CallError(Code.TIMEOUT) : error;
        }
        if (signal.aborted || this.#endpoint.state === "DEAD") await transport.close(false);
        else this.#driver.add(transport);
    }

    /** The link is suspended: attempts to bring a transport up, until it is resumed or dead. */
    async #reconnect() {
        const { connect, random = Math.random } = this.#options;
        if (connect === undefined || this.#reconnecting) return;
        this.#reconnecting = true;
        const is = (/** @type {string} */ state) => this.#endpoint.state === state;
        for (let pause = FIRST_PAUSE; is("SUSPENDED"); pause = Math.min(2 * pause, LONGEST_PAUSE)) {
            let least = 0;
            try {
                await this.#bringUp(connect);
                while (is("RESUMING")) await this.#changed.wait();
                if (!is("SUSPENDED")) break;
            } catch (error) {
                if (error instanceof SignallingError) {
                    if (this.#isFinal(error)) {
                        if (is("SUSPENDED")) this.#strand("it could not be connected again", error);
                        break;
                    }
                    least = error.retryAfter;
                }
            }
            await this.#sleep(Math.max(least, pause * (0.5 + random() / 2)));
        }
        this.#reconnecting = false;
    }

    /** Whether the same is refused again. @param {SignallingError} error */
    #isFinal({ again }) {
        if (again === "later") return false;
        const before = this.#tokenRefused;
        this.#tokenRefused = true;
        return again === "no" || before;
    }

    /**
     * There will be no other transport: what could only wait for one ends now.
     *
     * @param {string} words
     * @param {unknown} error
     */
    #strand(words, error) {
        const code = error instanceof CallError ? error.code : Code.LINK_LOST;
        const why = error instanceof Error ? error.message : String(error);
        this.#stranded = { code, text: `${words}: ${why}` };
        this.#driver.run((endpoint, now) => endpoint.leave(now));
    }

    /** @param {number} milliseconds */
    #sleep(milliseconds) {
        const { signal } = this.#connecting;
        if (signal.aborted) return Promise.resolve();
        return new Promise((resolve) => {
            const timer = setTimeout(() => resolve(undefined), milliseconds);
            signal.addEventListener(
                "abort",
                () => {
                    clearTimeout(timer);
                    resolve(undefined);
                },
                { once: true },
            );
        });
    }

    // --- the application ---------------------------------------------------------------------------------------------

    /**
     * Opens a sender.
     *
     * @param {import("./member.js").OpenOptions} [options]
     * @returns {CallSender}
     */
    createSender(options = {}) {
        if (this.#leaving) throw new CallError(Code.NOT_JOINED); // CC-LINK-062
        const { sender, channel } = this.#driver.run((endpoint, now) => endpoint.openSender(options, now));
        const made = new CallSender(this.#driver, sender, channel, options);
        this.#senders.set(sender, made);
        return made;
    }

    /**
     * Receivers: those that are there, then each new one, until the call has ended. Every iterator has all; those that
     * have closed meanwhile, so that nothing is unread in them, are passed over.
     *
     * @returns {AsyncGenerator<CallReceiver, void>}
     */
    async *receivers() {
        for (let last = 0; ;) {
            // The iterator of a map goes on with what is added meanwhile, and passes over what is taken out.
            for (const [id, receiver] of this.#receivers) {
                if (id <= last) continue;
                last = id;
                yield receiver;
            }
            if (this.#ended.settled) return;
            await this.#arrival.wait();
        }
    }

    /** Who is in the call, this endpoint included. */
    get participants() {
        return this.#endpoint.participants();
    }

    /** Resolves with the code that ended the link, or with which it could not be connected; 0 after leaving. */
    get ended() {
        return this.#ended.promise;
    }

    /** The state of the link. */
    get state() {
        return this.#endpoint.state;
    }

    /** The largest messages that may be sent now, streams excepted; 0 before there is a link. */
    get largest() {
        return this.#endpoint.largest;
    }

    /** The limits in force, by name. */
    get limits() {
        return this.#endpoint.limits;
    }

    /** The instance identifier: with it, and `replace`, a new Call takes the place of this one's ghost. */
    get instance() {
        return this.#endpoint.instance;
    }

    /** Counters of the link; undefined before there is one. */
    get statistics() {
        return this.#endpoint.linkStatistics();
    }

    /**
     * Leaves: closes the senders, waits for what was sent, also where it waits for room, and says BYE. Resolves with the
     * code that ended the link. From now on nothing can be sent; a second time changes nothing.
     *
     * A page that is unloaded has no time: on `pagehide`, leave with `{ wait: 0 }`, and what is not acknowledged is lost.
     *
     * @param {{ wait?: number }} [options] milliseconds to wait at most, `leave_time` by default
     */
    leave({ wait } = {}) {
        if (this.#leaving) return this.ended; // L48
        this.#leaving = true;
        const most = Math.min(wait ?? Infinity, this.limits.leave_time);
        const senders = this.state === "ACTIVE" && most > 0 ? [...this.#senders.values()] : [];
        const waiting = senders.map((sender) => sender.idle()).filter((idle) => idle !== null);
        if (waiting.length === 0) this.#leave(wait);
        else void this.#leaveAfter(senders, waiting, most);
        return this.ended;
    }

    /** @param {number} [wait] milliseconds */
    #leave(wait) {
        this.#driver.run((endpoint, now) => endpoint.leave(now, wait));
        if (this.#endpoint.state === "CONNECTING") this.#stop(Code.NONE);
    }

    /**
     * Leaves when what waits for room was sent, at the latest when the time is over. A link that is suspended meanwhile
     * may be resumed, as it may be later.
     *
     * @param {CallSender[]} senders
     * @param {Promise<void>[]} waiting
     * @param {number} most milliseconds
     */
    async #leaveAfter(senders, waiting, most) {
        for (const sender of senders) void sender.close();
        const end = this.#driver.now + most * 1000;
        let late = false;
        /** @type {ReturnType<typeof setTimeout> | undefined} */
        let timer;
        /** @type {Promise<void>} */
        const over = new Promise((resolve) => {
            timer = setTimeout(() => {
                late = true;
                resolve();
            }, most);
        });
        await Promise.race([Promise.all(waiting), this.ended, over]);
        const between = () => this.state === "SUSPENDED" || this.state === "RESUMING";
        while (between() && !late) await Promise.race([this.#changed.wait(), over]);
        clearTimeout(timer);
        this.#leave(late ? 0 : Math.max(0, (end - this.#driver.now) / 1000));
    }

    // --- what the core tells -----------------------------------------------------------------------------------------

    /** @param {import("./events.js").Event} event */
    #tell(event) {
        switch (event.type) {
            case "Joined":
                this.#joined.resolve();
                this.dispatchEvent(new CallEvent("joined", event));
                break;
            case "LinkSuspended":
                this.dispatchEvent(new CallEvent("suspended", event));
                // A new transport may have suspended the link itself: then it resumes by that.
                queueMicrotask(() => void this.#reconnect());
                break;
            case "LinkResumed":
                this.#tokenRefused = false;
                this.dispatchEvent(new CallEvent("resumed", event));
                break;
            case "LinkEnded":
                this.#over(this.#stranded === null || this.#leaving ? event : { ...event, ...this.#stranded });
                break;
            case "ReceiverCreated": {
                const forget = () => this.#receivers.delete(event.receiver);
                const receiver = new CallReceiver(this.#driver, event, forget);
                this.#receivers.set(event.receiver, receiver);
                this.#arrival.wake();
                this.dispatchEvent(new CallEvent("receiver", receiver));
                break;
            }
            case "ReceiverReadable":
            case "StreamAborted":
                this.#receivers.get(event.receiver)?.tell(event);
                break;
            case "ReceiverClosed":
                this.#receivers.get(event.receiver)?.tell(event);
                this.#receivers.delete(event.receiver);
                break;
            case "ParticipantJoined":
            case "ParticipantLeft":
            case "ParticipantSuspended":
            case "ParticipantResumed":
                this.dispatchEvent(new CallEvent(event.type.toLowerCase(), event));
                break;
            default:
                this.#senders.get(event.sender)?.tell(event);
                if (event.type === "SenderEnded") this.#senders.delete(event.sender);
        }
    }

    /** @param {import("./events.js").LinkEnded} event */
    #over(event) {
        const { code } = event;
        this.#joined.reject(new CallError(code === Code.NONE ? Code.NOT_JOINED : code));
        this.dispatchEvent(new CallEvent("ended", event));
        if (this.#options.role !== "acceptor" || code !== Code.REPLACED) this.#stop(code);
    }

    /** @param {number} code */
    #stop(code) {
        this.#connecting.abort();
        this.#ended.resolve(code);
        this.#arrival.wake();
    }
}

/** @param {number} size */
function randomBytes(size) {
    return crypto.getRandomValues(new Uint8Array(size));
}

/**
 * Raises CANCELLED when a signal is given; never resolves.
 *
 * @param {AbortSignal} signal
 * @returns {Promise<never>}
 */
function aborted(signal) {
    return new Promise((_, reject) => {
        const stop = () => reject(new CallError(Code.CANCELLED));
        if (signal.aborted) stop();
        signal.addEventListener("abort", stop, { once: true });
    });
}
