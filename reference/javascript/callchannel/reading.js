// SPDX-License-Identifier: Apache-2.0
/**
 * What comes on the current transport of a link: the validation order of section 9.13, frame by frame.
 *
 * @module
 */
import { Code } from "./errors.js";
import { Fault, decodeFrame, isCountable, judgePacket } from "./frames.js";
import { NO_SLOT } from "./recipients.js";
import { activeAllows, byeOnly, judgePeerBlock, judgeSlots, roleFits, waitingAllows } from "./judging.js";

/** @typedef {import("./member.js").Member} Member */
/** @typedef {import("./frames.js").Frame} Frame */
/** @typedef {import("./frames.js").Lane} Lane */

/**
 * Reads a packet of the current transport.
 *
 * @param {Member} member
 * @param {Lane} lane
 * @param {Uint8Array} packet
 * @param {number} now
 */
export function readPacket(member, lane, packet, now) {
    const active = member.link.state === "ACTIVE";
    if (lane === "lossy" && !active) {
        member.drops.record("not_active"); // L33
        return;
    }
    const wrong = judgePacket(packet, lane);
    if (wrong !== null) refuse(member, lane, wrong.code, now);
    else readFrames(member, lane, packet, active ? null : waitingAllows, now);
}

/**
 * Reads what stands behind a HELLO in its packet: nothing may but BYE.
 *
 * @param {Member} member
 * @param {Uint8Array} rest
 * @param {number} now
 */
export function readBehindHello(member, rest, now) {
    if (rest.length > 0) readFrames(member, "reliable", rest, byeOnly, now);
}

/**
 * Steps 3 to 19. Frames before a fault stand (CC-LINK-068).
 *
 * @param {Member} member
 * @param {Lane} lane
 * @param {Uint8Array} packet
 * @param {import("./frames.js").Allows | null} allows null: what an ACTIVE link does
 * @param {number} now
 */
function readFrames(member, lane, packet, allows, now) {
    /** @param {number} type */
    const asActive = (type) => activeAllows(type, member.writer);
    for (let at = 0; at < packet.length; ) {
        // WELCOME makes the link ACTIVE for what stands behind it.
        const judge = allows === waitingAllows && member.link.state === "ACTIVE" ? asActive : (allows ?? asActive);
        const read = decodeFrame(packet, at, lane, judge);
        const code = read instanceof Fault ? read.code : readFrame(member, lane, read.frame, now);
        if (code !== Code.NONE) {
            refuse(member, lane, code, now);
            return;
        }
        if (read instanceof Fault || member.link.state === "DEAD") return;
        at = read.end;
    }
}

/**
 * A fault of steps 2 to 10 or 13: the link ends, or, on the lossy lane, the rest of the packet is dropped.
 *
 * @param {Member} member
 * @param {Lane} lane
 * @param {number} code
 * @param {number} now
 */
function refuse(member, lane, code, now) {
    if (lane === "lossy") member.drops.record("malformed");
    else member.link.end(code, now);
}

/**
 * Steps 8 to 19 for one frame. Gives the code of a fault of the link, else NONE.
 *
 * @param {Member} member
 * @param {Lane} lane
 * @param {Frame} frame
 * @param {number} now
 * @returns {number}
 */
function readFrame(member, lane, frame, now) {
    switch (frame.type) {
        case "HELLO":
            return Code.HANDSHAKE;
        case "WELCOME":
            member.link.welcomed(frame, now);
            return Code.NONE;
        case "BYE":
            member.link.byeReceived(frame, now);
            return Code.NONE;
        case "UNKNOWN":
            if (lane === "reliable" && isCountable(frame)) member.counting.receive(now);
            return Code.NONE;
        case "ACK":
            if (!member.counting.possible(frame.received)) return Code.PROTOCOL;
            member.counting.acknowledge(Number(frame.received), now);
            return Code.NONE;
        default:
    }
    const { roster } = member;
    if (!roleFits(frame, member.writer)) return Code.FRAME_FORMAT;
    const slots = judgeSlots(frame, member.writer, roster);
    if (slots === null) {
        member.drops.record("unknown_sender");
        return Code.NONE;
    }
    const code = slots || judgeCounts(member, frame, now);
    if (code !== Code.NONE) return code;
    if (isCountable(frame)) member.counting.receive(now);
    switch (frame.type) {
        case "DATA":
            return member.inbox.data(occupant(member, frame.sender), frame, now);
        case "ROSTER":
            member.rosterCame(frame, now);
            return Code.NONE;
        case "CLOSE":
            member.inbox.close(occupant(member, frame.sender), frame, now);
            return Code.NONE;
        default:
            if (frame.sender === roster.own) toSender(member, frame, now);
            else member.inbox.fail(occupant(member, frame.sender), frame, now);
            return Code.NONE;
    }
}

/**
 * Step 10.
 *
 * @param {Member} member
 * @param {import("./data.js").DataFrame | import("./frames.js").ControlFrame | import("./frames.js").RosterFrame} frame
 * @param {number} now
 */
function judgeCounts(member, frame, now) {
    if (frame.type === "ROSTER") return member.roster.judge(frame);
    if (frame.type === "DATA") {
        return frame.recipients === null ? Code.NONE : judgePeerBlock(frame.recipients, member.roster.own);
    }
    // What a relay writes, others have caused (CC-LIMIT-022).
    return !member.peer || member.controls.take(now) ? Code.NONE : Code.RATE;
}

/**
 * FAIL, REFUSE, RECEIPT or CREDIT about a session of this endpoint.
 *
 * @param {Member} member
 * @param {import("./frames.js").ControlFrame} frame
 * @param {number} now
 */
function toSender(member, { type, recipient, session, value, reason, uncertain }, now) {
    const sender = member.senderOf(session);
    if (sender === undefined) return;
    const concerned = recipient === NO_SLOT ? null : occupant(member, recipient);
    if (type === "CREDIT") sender.credit(value, now);
    else if (type === "RECEIPT") sender.receipt(concerned, Number(value), now);
    else if (type === "REFUSE") sender.refuse(Number(value), reason, now);
    else sender.fail(concerned, Number(value), reason, uncertain, now);
}

/**
 * @param {Member} member
 * @param {number} slot one that was judged known or draining
 */
function occupant(member, slot) {
    return /** @type {import("./roster.js").Occupant} */ (member.roster.at(slot));
}
