// SPDX-License-Identifier: Apache-2.0
/**
 * Makes packets, at the moment at which a lane takes one (chapter 8).
 *
 * @module
 */
import { concat } from "./bytes.js";
import { PACKET, encodeFrame } from "./frames.js";

/** @typedef {import("./member.js").Member} Member */

/** Frames on their way into one packet. */
class Packet {
    /** @type {Uint8Array[]} */
    #frames = [];
    #size = 0;
    #bundle;
    #head;
    #longest;

    /**
     * @param {number} bundle
     * @param {number} head what may stand before a data frame that does not fit a bundle (CC-SCHED-006)
     * @param {number} longest
     */
    constructor(bundle, head, longest) {
        this.#bundle = bundle;
        this.#head = head;
        this.#longest = longest;
    }

    /**
     * Whether a frame fits.
     *
     * @param {number} size
     * @param {boolean} data
     */
    fits(size, data) {
        if (this.#size === 0) return size <= this.#longest;
        const whole = this.#size + size;
        return whole <= this.#bundle || (data && this.#size <= this.#head && whole <= this.#longest);
    }

    /** @param {Uint8Array} frame */
    add(frame) {
        this.#frames.push(frame);
        this.#size += frame.length;
    }

    /** The packet, or null when it holds nothing. */
    finish() {
        if (this.#frames.length === 0) return null;
        return this.#frames.length === 1 ? this.#frames[0] : concat(this.#frames, this.#size);
    }
}

/**
 * The next packet of the reliable lane, or null when nothing may be written.
 *
 * @param {Member} member
 * @param {number} now
 */
export function makeReliable(member, now) {
    const packet = new Packet(member.limits.bundle, member.limits.bundle_head, PACKET.reliable);
    const { link } = member;
    if (link.handshake !== null) {
        packet.add(link.handshake);
        link.handshake = null;
    }
    if (link.state === "ACTIVE" && addAgain(member, packet) && addUrgent(member, packet, now)) {
        if (addDue(member, packet) && addAck(member, packet, now)) addData(member, packet, "reliable", now);
    }
    return packet.finish();
}

/**
 * The next packet of the lossy lane, or null.
 *
 * @param {Member} member
 * @param {number} now
 */
export function makeLossy(member, now) {
    const packet = new Packet(PACKET.lossy, 0, PACKET.lossy);
    addData(member, packet, "lossy", now);
    return packet.finish();
}

/**
 * Frames to retransmit, in the order first written. Each of these functions says whether the next ones may follow.
 *
 * @param {Member} member
 * @param {Packet} packet
 */
function addAgain({ counting }, packet) {
    for (let frame = counting.nextAgain; frame !== undefined; frame = counting.nextAgain) {
        if (!packet.fits(frame.length, frame[0] === 0x01)) return false;
        packet.add(frame);
        counting.takeAgain();
    }
    return true;
}

/**
 * ROSTER, and each FAIL behind the RECEIPT that is due before it. `unacknowledged` does not hold them up.
 *
 * @param {Member} member
 * @param {Packet} packet
 * @param {number} now
 */
function addUrgent(member, packet, now) {
    const roster = member.snapshot;
    if (roster !== null) {
        const frame = encodeFrame(roster);
        if (!packet.fits(frame.length, false)) return false;
        packet.add(frame);
        member.counting.keep(frame);
        member.snapshotWritten(now);
    }
    const { failures } = member.inbox;
    while (failures.length > 0) {
        const [{ session, value, code, receipt }] = failures;
        if (!packet.fits(receipt > 0 ? 44 : 22, false)) return false;
        failures.shift();
        if (receipt > 0) addControl(member, packet, "RECEIPT", session, receipt, 0);
        addControl(member, packet, "FAIL", session, value, code, member.inbox.bounds.failureWritten());
    }
    return true;
}

/**
 * RECEIPT and CREDIT that are due, with their values as they are now.
 *
 * @param {Member} member
 * @param {Packet} packet
 */
function addDue(member, packet) {
    const { dueSessions } = member.inbox;
    for (const session of dueSessions) {
        if (member.counting.full) return true;
        const size = (session.receiptDue ? 22 : 0) + (session.creditDue ? 22 : 0);
        if (!packet.fits(size, false)) return false;
        dueSessions.delete(session);
        if (session.receiptDue) addControl(member, packet, "RECEIPT", session, session.takeReceipt(), 0);
        if (session.creditDue) addControl(member, packet, "CREDIT", session, session.takeCredit(), 0);
    }
    return true;
}

/**
 * @param {Member} member
 * @param {Packet} packet
 * @param {import("./frames.js").ControlType} type
 * @param {import("./inbox.js").Session} session
 * @param {number} value
 * @param {number} reason
 * @param {() => void} [settle] called when an ACK frame covers it
 */
function addControl(member, packet, type, session, value, reason, settle) {
    const sender = session.owner.occupant.slot;
    const recipient = member.roster.own;
    const frame = encodeFrame({ type, sender, recipient, session: session.session, value, reason, uncertain: false });
    packet.add(frame);
    member.counting.keep(frame, settle);
}

/**
 * ACK, when it is due. It stands behind everything that is written again and behind every FAIL (CC-DELIV-018, 7.4).
 *
 * @param {Member} member
 * @param {Packet} packet
 * @param {number} now
 */
function addAck(member, packet, now) {
    const { counting } = member;
    if (!member.ackDue) return true;
    if (!packet.fits(12, false)) return false;
    packet.add(encodeFrame({ type: "ACK", received: counting.received }));
    member.ackWritten(now);
    return true;
}

/**
 * Data frames, in turns, until the next does not fit (CC-SCHED-007).
 *
 * @param {Member} member
 * @param {Packet} packet
 * @param {import("./frames.js").Lane} lane
 * @param {number} now
 */
function addData(member, packet, lane, now) {
    const { scheduler, counting } = member;
    for (let turn = scheduler.next(lane, now); turn !== null; turn = scheduler.next(lane, now)) {
        const { sender, plan } = turn;
        if (!packet.fits(plan.size, true)) return;
        const written = /** @type {import("./outbound.js").Written} */ (sender.write(plan, now));
        packet.add(written.bytes);
        if (written.counted) {
            counting.keep(written.bytes, written.settle);
            if (plan.kind !== "close") member.controls.earn(2);
        }
        scheduler.wrote(lane, sender);
        member.touch(sender, now);
        if (counting.full) scheduler.park(now);
    }
}
