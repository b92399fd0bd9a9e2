// SPDX-License-Identifier: Apache-2.0
// What codes, sizes and names are called on this page.
import { CallError, Code, SignallingError, codeName } from "./callchannel/index.js";

/** Why a message did not reach somebody. @type {Record<number, string>} */
const REASONS = {
    [Code.LEFT]: "left the call",
    [Code.LOST]: "lost the connection for good",
    [Code.OVERRUN]: "reads too slowly",
    [Code.MEMORY]: "has no room for it",
    [Code.CLOSED]: "does not want it",
    [Code.TOO_LARGE]: "takes nothing this large",
    [Code.UNKNOWN_RECIPIENT]: "is not in the call",
    [Code.RECIPIENT_FAILED]: "had failed before",
    [Code.LINK_LOST]: "the connection was lost",
    [Code.CUSTODY_LOST]: "the relay lost it",
    [Code.DEADLINE]: "no word in time",
    [Code.CANCELLED]: "taken back",
    [Code.ABORTED]: "given up",
    [Code.POLICY]: "not allowed",
    [Code.GOING_AWAY]: "the relay stops",
};

/** What is wrong, and what to do, when a call can't be joined or is lost. @type {Record<number, string>} */
const TROUBLES = {
    [Code.TIMEOUT]: "The relay does not answer. Is it still running, and can this computer reach it?",
    [Code.LINK_LOST]: "The connection was lost for longer than it may be. Join again; nothing is sent twice.",
    [Code.NOT_ADMITTED]: "The relay does not let you in.",
    [Code.CALL_FULL]: "The call is full. Try again when somebody has left.",
    [Code.GOING_AWAY]: "The relay stops, or takes no more at the moment. Try again soon.",
    [Code.RATE]: "Too many attempts, or too many connections of yours. Wait a little, then try again.",
    [Code.REPLACED]: "You have joined from elsewhere, and this connection has ended.",
    [Code.INTERNAL]: "The relay has failed; that is a bug in it.",
    [Code.RESUME_UNKNOWN]: "The relay does not remember this connection any more. Join again.",
    [Code.VERSION]: "The relay speaks another version of the protocol than this page.",
    [Code.MESSAGE_TOO_LARGE]: "That is larger than the call takes. Lossy messages have 64 KiB at most.",
    [Code.TOO_MANY_RECIPIENTS]: "Those are too many names for a Lossy message.",
    [Code.NOT_JOINED]: "You are not in the call.",
};

/** @type {Record<string, string>} */
const PROBLEMS = {
    token_missing: "The relay asks for a token.",
    token_invalid: "The token is not good. Was it copied whole, and made for this relay?",
    token_expired: "The token has expired. Ask for a new one.",
    call: "The token is for another call.",
    call_name: "That is no name of a call: use letters, digits, and - _ . in between.",
    identity: "That is no name that the relay takes.",
    origin: "The relay does not take calls of pages at this address. Whoever runs it has to list it in http.origins.",
};

/** @param {number} code */
export function reason(code) {
    return REASONS[code] ?? codeName(code);
}

/** What is wrong, for people. @param {unknown} error */
export function trouble(error) {
    if (error instanceof SignallingError && PROBLEMS[error.problem] !== undefined) return PROBLEMS[error.problem];
    if (error instanceof CallError)
        return TROUBLES[error.code] ?? `It failed: ${REASONS[error.code] ?? error.message}.`;
    return `It failed: ${error instanceof Error ? error.message : String(error)}.`;
}

/** @param {number} code that ended a call */
export function ending(code) {
    return code === Code.NONE || code === Code.LEFT ? "You have left the call." : trouble(new CallError(code));
}

/** @param {number} bytes */
export function size(bytes) {
    if (bytes < 1000) return `${bytes} B`;
    const units = ["kB", "MB", "GB"];
    let at = -1;
    let value = bytes;
    for (; value >= 999.5 && at < units.length - 1; at += 1) value /= 1000;
    return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[at]}`;
}

/** @param {number} milliseconds since 1970 */
export function clock(milliseconds) {
    return new Date(milliseconds).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

/**
 * A name as it may be shown: without what could turn text around or hide it, and not too long.
 *
 * @param {string} name
 * @param {number} [longest]
 */
export function shown(name, longest = 40) {
    const harmless = name.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "\ufffd");
    const letters = [...harmless];
    return letters.length > longest ? `${letters.slice(0, longest - 1).join("")}…` : harmless || "(no name)";
}

/** A hue by which a participant is told from others, 0 to 359. @param {string} id */
export function hue(id) {
    let value = 7;
    for (const letter of id) value = (value * 31 + /** @type {number} */ (letter.codePointAt(0))) % 360;
    return value;
}
