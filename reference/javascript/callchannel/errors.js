// SPDX-License-Identifier: Apache-2.0
/**
 * Codes, and the errors that calls raise (chapter 14).
 *
 * @module
 */

/** @typedef {"none" | "link" | "session" | "message" | "caller"} Scope how far an error reaches (14.1) */
/** @typedef {"no" | "same" | "changed" | "rejoin"} Retry whether and how a call may succeed later (14.2) */

/** Every code of the registry by its name (CC-ERR-002). Codes that it does not name are plain numbers. */
export const Code = table({
    NONE: 0x0000,
    PROTOCOL: 0x0001,
    PACKET_SIZE: 0x0002,
    FRAME_LENGTH: 0x0003,
    UNKNOWN_TYPE: 0x0004,
    HANDSHAKE: 0x0005,
    WRONG_LANE: 0x0006,
    FRAME_FORMAT: 0x0007,
    SLOT: 0x0008,
    EPOCH: 0x0009,
    FLOW_CONTROL: 0x000a,
    VERSION: 0x000b,
    TOO_SMALL: 0x000c,
    RESUME_UNKNOWN: 0x000d,
    RESUME_STALE: 0x000e,
    RESUME_MISMATCH: 0x000f,
    TIMEOUT: 0x0010,
    RATE: 0x0011,
    NOT_ADMITTED: 0x0012,
    CALL_FULL: 0x0013,
    REPLACED: 0x0014,
    GOING_AWAY: 0x0015,
    INTERNAL: 0x0016,
    LINK_LOST: 0x0017,
    SESSION_MISMATCH: 0x0020,
    SEQUENCE: 0x0021,
    FRAGMENT: 0x0022,
    TOO_MANY_SESSIONS: 0x0023,
    OVERRUN: 0x0024,
    MEMORY: 0x0025,
    CLOSED: 0x0026,
    LEFT: 0x0027,
    LOST: 0x0028,
    TOO_LARGE: 0x0029,
    EXTENSION: 0x002a,
    IDLE: 0x002b,
    UNKNOWN_RECIPIENT: 0x0030,
    RECIPIENT_FAILED: 0x0031,
    MESSAGE_TOO_LARGE: 0x0032,
    POLICY: 0x0033,
    ABORTED: 0x0034,
    CANCELLED: 0x0035,
    DEADLINE: 0x0036,
    INVALID_ARGUMENT: 0x0040,
    NOT_JOINED: 0x0041,
    SENDER_CLOSED: 0x0042,
    SEQUENCE_EXHAUSTED: 0x0043,
    TOO_MANY_RECIPIENTS: 0x0044,
    WOULD_BLOCK: 0x0045,
    NO_CHANNEL: 0x0046,
    CUSTODY_LOST: 0x0047,
});

/**
 * @template {string} Name
 * @param {Record<Name, number>} codes
 * @returns {Readonly<Record<Name, number>>}
 */
function table(codes) {
    return Object.freeze(codes);
}

/** @type {ReadonlyMap<number, readonly [name: string, scope: Scope, retry: Retry]>} */
const REGISTRY = new Map([
    [Code.NONE, ["NONE", "none", "no"]],
    [Code.PROTOCOL, ["PROTOCOL", "link", "no"]],
    [Code.PACKET_SIZE, ["PACKET_SIZE", "link", "no"]],
    [Code.FRAME_LENGTH, ["FRAME_LENGTH", "link", "no"]],
    [Code.UNKNOWN_TYPE, ["UNKNOWN_TYPE", "link", "no"]],
    [Code.HANDSHAKE, ["HANDSHAKE", "link", "no"]],
    [Code.WRONG_LANE, ["WRONG_LANE", "link", "no"]],
    [Code.FRAME_FORMAT, ["FRAME_FORMAT", "link", "no"]],
    [Code.SLOT, ["SLOT", "link", "no"]],
    [Code.EPOCH, ["EPOCH", "link", "no"]],
    [Code.FLOW_CONTROL, ["FLOW_CONTROL", "link", "no"]],
    [Code.VERSION, ["VERSION", "link", "no"]],
    [Code.TOO_SMALL, ["TOO_SMALL", "link", "changed"]],
    [Code.RESUME_UNKNOWN, ["RESUME_UNKNOWN", "link", "rejoin"]],
    [Code.RESUME_STALE, ["RESUME_STALE", "link", "no"]],
    [Code.RESUME_MISMATCH, ["RESUME_MISMATCH", "link", "rejoin"]],
    [Code.TIMEOUT, ["TIMEOUT", "link", "rejoin"]],
    [Code.RATE, ["RATE", "link", "rejoin"]],
    [Code.NOT_ADMITTED, ["NOT_ADMITTED", "link", "changed"]],
    [Code.CALL_FULL, ["CALL_FULL", "link", "same"]],
    [Code.REPLACED, ["REPLACED", "link", "no"]],
    [Code.GOING_AWAY, ["GOING_AWAY", "link", "rejoin"]],
    [Code.INTERNAL, ["INTERNAL", "link", "rejoin"]],
    [Code.LINK_LOST, ["LINK_LOST", "link", "rejoin"]],
    [Code.SESSION_MISMATCH, ["SESSION_MISMATCH", "session", "no"]],
    [Code.SEQUENCE, ["SEQUENCE", "session", "no"]],
    [Code.FRAGMENT, ["FRAGMENT", "session", "no"]],
    [Code.TOO_MANY_SESSIONS, ["TOO_MANY_SESSIONS", "session", "same"]],
    [Code.OVERRUN, ["OVERRUN", "session", "same"]],
    [Code.MEMORY, ["MEMORY", "session", "same"]],
    [Code.CLOSED, ["CLOSED", "session", "no"]],
    [Code.LEFT, ["LEFT", "session", "no"]],
    [Code.LOST, ["LOST", "session", "no"]],
    [Code.TOO_LARGE, ["TOO_LARGE", "session", "changed"]],
    [Code.EXTENSION, ["EXTENSION", "session", "changed"]],
    [Code.IDLE, ["IDLE", "session", "no"]],
    [Code.UNKNOWN_RECIPIENT, ["UNKNOWN_RECIPIENT", "message", "changed"]],
    [Code.RECIPIENT_FAILED, ["RECIPIENT_FAILED", "message", "changed"]],
    [Code.MESSAGE_TOO_LARGE, ["MESSAGE_TOO_LARGE", "message", "changed"]],
    [Code.POLICY, ["POLICY", "message", "no"]],
    [Code.ABORTED, ["ABORTED", "message", "no"]],
    [Code.CANCELLED, ["CANCELLED", "message", "same"]],
    [Code.DEADLINE, ["DEADLINE", "message", "same"]],
    [Code.INVALID_ARGUMENT, ["INVALID_ARGUMENT", "caller", "changed"]],
    [Code.NOT_JOINED, ["NOT_JOINED", "caller", "same"]],
    [Code.SENDER_CLOSED, ["SENDER_CLOSED", "caller", "no"]],
    [Code.SEQUENCE_EXHAUSTED, ["SEQUENCE_EXHAUSTED", "caller", "no"]],
    [Code.TOO_MANY_RECIPIENTS, ["TOO_MANY_RECIPIENTS", "caller", "changed"]],
    [Code.WOULD_BLOCK, ["WOULD_BLOCK", "caller", "same"]],
    [Code.NO_CHANNEL, ["NO_CHANNEL", "caller", "same"]],
    [Code.CUSTODY_LOST, ["CUSTODY_LOST", "caller", "no"]],
]);

/**
 * The name of a code; an unknown one is given as its number, four hexadecimal digits (CC-ERR-003).
 *
 * @param {number} code
 */
export function codeName(code) {
    return REGISTRY.get(code)?.[0] ?? code.toString(16).padStart(4, "0").toUpperCase();
}

/**
 * The scope of a code, or undefined for an unknown one: then the frame that brought it says how far it reaches.
 *
 * @param {number} code
 * @returns {Scope | undefined}
 */
export function codeScope(code) {
    return REGISTRY.get(code)?.[1];
}

/**
 * Whether a call may be tried again; an unknown code says no (CC-ERR-004).
 *
 * @param {number} code
 * @returns {Retry}
 */
export function codeRetry(code) {
    return REGISTRY.get(code)?.[2] ?? "no";
}

/** What a call of the application raises. `code` decides; the message is for people (CC-ERR-005). */
export class CallError extends Error {
    /**
     * @param {number} code from {@link Code}, or an unknown one
     * @param {string} [words] for people
     * @param {import("./verdicts.js").Report} [report] verdicts by recipient, where a Reliable send raises
     */
    constructor(code, words, report) {
        super(words === undefined ? codeName(code) : `${codeName(code)}: ${words}`);
        this.name = "CallError";
        /** The code, a u16. */
        this.code = code;
        /** The verdicts of a Reliable send, otherwise undefined. */
        this.report = report;
    }

    /** Name of the code. */
    get codeName() {
        return codeName(this.code);
    }

    /** Whether and how the call may be tried again. */
    get retry() {
        return codeRetry(this.code);
    }
}

/**
 * A CallError with INVALID_ARGUMENT.
 *
 * @param {string} words
 */
export function invalid(words) {
    return new CallError(Code.INVALID_ARGUMENT, words);
}
