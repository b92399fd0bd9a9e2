// SPDX-License-Identifier: Apache-2.0
/**
 * Steps 5 and 8 to 10 of the validation order (section 9.13): what depends on the link's state, on who wrote a frame,
 * and on the roster.
 *
 * @module
 */
import { Code } from "./errors.js";
import { NO_SLOT } from "./recipients.js";

/** @typedef {"relay" | "initiator" | "acceptor"} Writer who wrote what is read; the last two are peers */
/** @typedef {import("./frames.js").Frame} Frame */

const BYE = 0x44;
const WELCOME = 0x42;

/**
 * Step 5 on a link that is ACTIVE, at its other end.
 *
 * @param {number} type
 * @param {Writer} writer
 */
export function activeAllows(type, writer) {
    switch (type) {
        case 0x04:
            return writer === "relay";
        case 0x07:
            return writer !== "initiator";
        case 0x41:
        case WELCOME:
            return false;
        default:
            return true;
    }
}

/**
 * Step 5 at an initiator that waits for WELCOME.
 *
 * @param {number} type
 */
export function waitingAllows(type) {
    return type === WELCOME || type === BYE;
}

/**
 * Step 5 behind a HELLO in the same packet (CC-LINK-019).
 *
 * @param {number} type
 */
export function byeOnly(type) {
    return type === BYE;
}

/**
 * The part of step 8 that depends on the role: a relay removes recipient blocks (CC-LINK-092).
 *
 * @param {Frame} frame
 * @param {Writer} writer
 */
export function roleFits(frame, writer) {
    return !(writer === "relay" && frame.type === "DATA" && frame.recipients !== null);
}

/**
 * Step 9. NONE, SLOT, or null for Lossy DATA of an unknown sender, which is dropped alone.
 *
 * @param {Frame} frame
 * @param {Writer} writer
 * @param {import("./roster.js").Roster} roster
 * @returns {number | null}
 */
export function judgeSlots(frame, writer, roster) {
    switch (frame.type) {
        case "DATA":
        case "CLOSE": {
            if (frame.type === "CLOSE" && frame.recipient !== NO_SLOT) return Code.SLOT;
            if (frame.sender === roster.own) return Code.SLOT;
            if (roster.at(frame.sender) !== undefined) return Code.NONE;
            return frame.type === "DATA" && !frame.reliable && writer === "relay" ? null : Code.SLOT;
        }
        case "FAIL":
        case "RECEIPT":
        case "CREDIT":
        case "REFUSE":
            return writer === "relay" ? relaySlots(frame, roster) : peerSlots(frame, roster);
        default:
            return Code.NONE;
    }
}

/**
 * @param {import("./frames.js").ControlFrame} frame
 * @param {import("./roster.js").Roster} roster
 */
function relaySlots({ type, sender, recipient }, roster) {
    if (sender !== roster.own) {
        const concerns = type === "FAIL" && recipient === roster.own && roster.at(sender) !== undefined;
        return concerns ? Code.NONE : Code.SLOT;
    }
    if (recipient === NO_SLOT) return Code.NONE;
    const one =
        (type === "FAIL" || type === "RECEIPT") && recipient !== roster.own && roster.at(recipient) !== undefined;
    return one ? Code.NONE : Code.SLOT;
}

/**
 * @param {import("./frames.js").ControlFrame} frame
 * @param {import("./roster.js").Roster} roster
 */
function peerSlots({ sender, recipient }, roster) {
    return sender === roster.own && recipient === 1 - roster.own ? Code.NONE : Code.SLOT;
}

/**
 * The part of step 10 for a recipient block, which only a peer writes to an endpoint (CC-ROSTER-073).
 *
 * @param {import("./recipients.js").RecipientBlock} block
 * @param {number} own
 */
export function judgePeerBlock({ epoch, except, words }, own) {
    if (epoch > 1) return Code.EPOCH;
    if (except) return words.length === 0 ? Code.NONE : Code.SLOT;
    return words.length === 1 && words[0].index === 0 && words[0].bits === 1 << own ? Code.NONE : Code.SLOT;
}
