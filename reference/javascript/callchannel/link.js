// SPDX-License-Identifier: Apache-2.0
/**
 * The states of a link: the table of section 9.12, rows L01 to L51. It knows no frames but those of the handshake.
 *
 * @module
 */
import { Code } from "./errors.js";
import { MS } from "./timers.js";
import { encodeFrame } from "./frames.js";
import { sameToken } from "./bytes.js";

/** @typedef {"CONNECTING" | "ACTIVE" | "SUSPENDED" | "RESUMING" | "DEAD"} LinkState */
/** @typedef {string | number} TransportId */

/**
 * What a link does to its surroundings.
 *
 * @typedef {object} LinkHost
 * @property {(transport: TransportId, last: Uint8Array[]) => void} close
 * the transport is closed; where there are frames, only after they were written
 * @property {(now: number) => void} activated it became ACTIVE for the first time
 * @property {(now: number) => void} suspended
 * @property {(now: number) => void} resumed
 * @property {(now: number) => void} retransmit
 * @property {(code: number, text: string, byPeer: boolean, now: number) => void} ended
 * @property {() => boolean} drained whether everything is written and acknowledged
 * @property {(now: number) => void} drain close all senders
 */

/**
 * @typedef {object} LinkOptions
 * @property {boolean} initiator
 * @property {import("./limits.js").Limits} limits
 * @property {import("./timers.js").Timers} timers
 * @property {import("./counting.js").Counting} counting
 * @property {string} id the identifier in HELLO, or the admitted one in WELCOME
 * @property {Uint8Array} instance the initiator's instance identifier
 * @property {Uint8Array} token of the link; the initiator is told it by WELCOME
 * @property {boolean} replace
 */

const LAST_ATTEMPT = 0xffffffff;

export class Link {
    /** @type {LinkState} */
    state = "CONNECTING";
    /** The current transport. @type {TransportId | null} */
    transport = null;
    /** HELLO or WELCOME, until it is written. @type {Uint8Array | null} */
    handshake = null;
    /** Greatest attempt that was written or taken. */
    attempt = 0;
    /** This endpoint's slot, known from WELCOME on. */
    slot = 0;
    /** How often it became ACTIVE again. */
    resumes = 0;
    leaving = false;
    /** What the other side announced. */
    peerWindow = 0;
    peerLargest = 0;
    #host;
    #options;
    #token;
    #resumeWindow;
    #heard = 0;
    #silence;
    #window;
    #join;
    #leave;

    /**
     * @param {LinkHost} host
     * @param {LinkOptions} options
     */
    constructor(host, options) {
        this.#host = host;
        this.#options = options;
        this.#token = options.token;
        this.#resumeWindow = options.limits.resume_window;
        const { timers } = options;
        this.#silence = timers.timer((now) => this.#checkSilence(now));
        this.#window = timers.timer((now) => this.#windowOver(now));
        this.#join = timers.timer((now) => this.end(Code.TIMEOUT, now)); // L12
        this.#leave = timers.timer((now) => this.#finishLeaving(now)); // L50
    }

    get initiator() {
        return this.#options.initiator;
    }

    // --- transports --------------------------------------------------------------------------------------------------

    /**
     * A transport came up at the initiator (L01 to L03).
     *
     * @param {TransportId} id
     * @param {number} now
     */
    transportUp(id, now) {
        const { state } = this;
        const dead = state === "DEAD" || this.attempt === LAST_ATTEMPT;
        const beside = this.transport !== null && (state === "CONNECTING" || this.#resumeWindow === 0);
        if (dead || beside) {
            this.#host.close(id, []);
            return;
        }
        if (this.transport !== null) this.#detach();
        if (state === "ACTIVE") this.#suspend(now);
        this.#bind(id, now);
        this.attempt += 1;
        const resume = state !== "CONNECTING";
        this.state = resume ? "RESUMING" : "CONNECTING";
        if (!resume) this.#join.set(now + this.#options.limits.join_time * MS);
        const { id: name, instance, replace, limits, counting } = this.#options;
        this.handshake = encodeFrame({
            type: "HELLO",
            resume,
            replace: replace && !resume,
            features: 0,
            token: resume ? this.#token : instance,
            attempt: this.attempt,
            received: resume ? counting.received : 0,
            window: limits.window,
            largestMessage: limits.largest_message,
            id: name,
        });
    }

    /**
     * The acceptor takes a fresh HELLO (L16). The link begins ACTIVE.
     *
     * @param {TransportId} id
     * @param {import("./frames.js").HelloFrame} hello
     * @param {number} now
     */
    accept(id, hello, now) {
        this.peerWindow = hello.window;
        this.peerLargest = hello.largestMessage;
        this.#welcome(id, hello.attempt, now);
        this.state = "ACTIVE";
        this.#host.activated(now);
    }

    /**
     * The acceptor takes a HELLO that resumes (L19).
     *
     * @param {TransportId} id
     * @param {import("./frames.js").HelloFrame} hello one that was judged good
     * @param {number} now
     */
    acceptResume(id, hello, now) {
        if (this.transport !== null) this.#detach();
        this.#options.counting.free(Number(hello.received));
        this.#welcome(id, hello.attempt, now);
        const suspended = this.state === "SUSPENDED";
        this.state = "ACTIVE";
        this.resumes += 1;
        this.#window.clear();
        this.#host.retransmit(now);
        if (suspended) this.#host.resumed(now);
    }

    /**
     * @param {TransportId} id
     * @param {number} attempt
     * @param {number} now
     */
    #welcome(id, attempt, now) {
        this.#bind(id, now);
        this.attempt = attempt;
        const { id: name, limits, counting } = this.#options;
        this.handshake = encodeFrame({
            type: "WELCOME",
            slot: 1,
            features: 0,
            token: this.#token,
            attempt,
            received: counting.received,
            window: limits.window,
            largestMessage: limits.largest_message,
            resumeMs: limits.resume_window,
            id: name,
        });
    }

    /**
     * @param {TransportId} id
     * @param {number} now
     */
    #bind(id, now) {
        this.transport = id;
        this.#heard = now;
        this.#silence.set(now + this.#options.limits.silence * MS);
    }

    /** The current transport is detached for good, and closed. */
    #detach() {
        if (this.transport !== null) this.#host.close(this.transport, []);
        this.#lose();
    }

    #lose() {
        this.transport = null;
        this.handshake = null;
        this.#silence.clear();
        this.#options.counting.stopAgain();
    }

    /**
     * The current transport went down by itself (L05 to L07).
     *
     * @param {number} now
     */
    transportDown(now) {
        const active = this.state === "ACTIVE";
        if (this.state === "DEAD") return;
        if (this.state === "CONNECTING" || (active && this.#resumeWindow === 0)) {
            this.#lose();
            this.#die(Code.LINK_LOST, "", false, now);
            return;
        }
        this.#detach();
        if (active) this.#suspend(now);
        this.state = "SUSPENDED";
    }

    /** The link leaves ACTIVE without ending. @param {number} now */
    #suspend(now) {
        this.state = "SUSPENDED";
        this.#window.set(now + this.#resumeWindow * MS);
        this.#host.suspended(now);
    }

    /** A packet arrived on either lane of the current transport. @param {number} now */
    heard(now) {
        this.#heard = now;
    }

    /** @param {number} now */
    #checkSilence(now) {
        const over = this.#heard + this.#options.limits.silence * MS;
        if (now < over) {
            this.#silence.set(over);
        } else if (this.state === "CONNECTING" || (this.state === "ACTIVE" && this.#resumeWindow === 0)) {
            this.end(Code.TIMEOUT, now); // L09, L11
        } else {
            this.transportDown(now); // L09, L10
        }
    }

    /** @param {number} now */
    #windowOver(now) {
        this.end(Code.LINK_LOST, now); // L14, L15
    }

    // --- frames of the handshake -------------------------------------------------------------------------------------

    /**
     * WELCOME at the initiator (L25, L26).
     *
     * @param {import("./frames.js").WelcomeFrame} welcome
     * @param {number} now
     */
    welcomed(welcome, now) {
        const { counting } = this.#options;
        if (!this.#fits(welcome)) {
            this.end(this.state === "RESUMING" ? Code.RESUME_MISMATCH : Code.HANDSHAKE, now);
            return;
        }
        this.#join.clear();
        if (this.state === "RESUMING") {
            counting.free(Number(welcome.received));
            this.state = "ACTIVE";
            this.resumes += 1;
            this.#window.clear();
            this.#host.retransmit(now);
            this.#host.resumed(now);
            return;
        }
        this.#token = welcome.token;
        this.slot = welcome.slot;
        this.peerWindow = welcome.window;
        this.peerLargest = welcome.largestMessage;
        this.#resumeWindow = welcome.resumeMs;
        this.state = "ACTIVE";
        this.#host.activated(now);
    }

    /** @param {import("./frames.js").WelcomeFrame} welcome */
    #fits({ attempt, received, token, slot }) {
        if (attempt !== this.attempt) return false;
        if (this.state === "CONNECTING") return received === 0;
        return sameToken(token, this.#token) && slot === this.slot && this.#options.counting.possible(received);
    }

    /**
     * Whether a HELLO resumes this link, and else why it does not (9.4, steps 4 to 6).
     *
     * @param {import("./frames.js").HelloFrame} hello
     */
    judgeResume({ token, attempt, received }) {
        if (!sameToken(token, this.#token) || this.state === "DEAD") return Code.RESUME_UNKNOWN;
        if (attempt <= this.attempt) return Code.RESUME_STALE;
        return this.#options.counting.possible(received) ? Code.NONE : Code.RESUME_MISMATCH;
    }

    /**
     * Whether the link was made under an instance identifier (9.9).
     *
     * @param {Uint8Array} instance
     */
    madeBy(instance) {
        return sameToken(instance, this.#options.instance);
    }

    // --- ends --------------------------------------------------------------------------------------------------------

    /**
     * BYE of the other side (L29, L30, L51).
     *
     * @param {import("./frames.js").ByeFrame} bye
     * @param {number} now
     */
    byeReceived({ code, text }, now) {
        if (this.state === "DEAD") return;
        if (this.state === "RESUMING" && code === Code.TIMEOUT) {
            // HELLO came too late: the acceptor has refused a transport, and knows nothing of the link (L51).
            this.transportDown(now);
            return;
        }
        this.#detach();
        this.#die(code, text, true, now);
    }

    /**
     * Ends the link with a code, of a fault or of this side's own choice (L35 to L38): BYE where there is a transport.
     *
     * @param {number} code
     * @param {number} now
     * @param {number} [told] the code that the application is told, where it is another one
     */
    end(code, now, told = code) {
        if (this.state === "DEAD") return;
        if (this.transport !== null) {
            // HELLO or WELCOME comes before everything else on a transport (CC-LINK-007, 022).
            const first = this.handshake === null ? [] : [this.handshake];
            const bye = encodeFrame({ type: "BYE", code, text: "" });
            this.#host.close(this.transport, [...first, bye]);
            this.#lose();
        }
        this.#die(told, "", false, now);
    }

    /**
     * @param {number} code
     * @param {string} text
     * @param {boolean} byPeer
     * @param {number} now
     */
    #die(code, text, byPeer, now) {
        this.state = "DEAD";
        for (const timer of [this.#silence, this.#window, this.#join, this.#leave]) timer.clear();
        this.#host.ended(code, text, byPeer, now);
    }

    // --- leaving -----------------------------------------------------------------------------------------------------

    /**
     * The application leaves (L47, L48).
     *
     * @param {number} now
     * @param {number} [wait] milliseconds that it waits at most, `leave_time` by default
     */
    leave(now, wait = this.#options.limits.leave_time) {
        if (this.leaving || this.state === "DEAD") return;
        this.leaving = true;
        if (this.state !== "ACTIVE") {
            this.#finishLeaving(now);
            return;
        }
        this.#host.drain(now);
        if (wait === 0) {
            this.#finishLeaving(now);
            return;
        }
        this.#leave.set(now + Math.min(wait, this.#options.limits.leave_time) * MS);
        this.checkDrained(now);
    }

    /** L49. @param {number} now */
    checkDrained(now) {
        if (this.leaving && this.state === "ACTIVE" && this.#host.drained()) this.#finishLeaving(now);
    }

    /** @param {number} now */
    #finishLeaving(now) {
        this.end(Code.LEFT, now, Code.NONE);
    }
}
