// SPDX-License-Identifier: Apache-2.0
/**
 * One life of a link, and what belongs to it: roster, senders, receivers, counts. It wires parts that know nothing of
 * each other.
 *
 * @module
 */
import { CallError, Code, invalid } from "./errors.js";
import { Bucket } from "./flow.js";
import { Counting } from "./counting.js";
import { Drops, Traffic } from "./statistics.js";
import { Inbox } from "./inbox.js";
import { Link } from "./link.js";
import { Roster } from "./roster.js";
import { Scheduler } from "./scheduling.js";
import { Sender } from "./sender.js";
import { Audience } from "./outgoing.js";
import { makeLossy, makeReliable } from "./writing.js";
import { naming } from "./verdicts.js";
import { readBehindHello, readPacket } from "./reading.js";

/** @typedef {import("./frames.js").Lane} Lane */
/** @typedef {import("./link.js").TransportId} TransportId */

/**
 * What an application says when it opens a sender.
 *
 * @typedef {object} OpenOptions
 * @property {number} [channel] 1 to 65535; 0, the default: the lowest that is free
 * @property {"reliable" | "lossy"} [reliability] reliable by default
 * @property {"normal" | "high"} [priority] normal by default
 * @property {"accepted" | "delivered"} [confirm] Reliable: when a message counts as done; accepted by default
 * @property {boolean} [latest] Lossy: only the newest message is of interest
 * @property {number} [bitrate] bits a second; none by default
 * @property {import("./outgoing.js").Recipients} [recipients] everyone by default
 */

/**
 * @typedef {object} MemberOptions
 * @property {import("./limits.js").Limits} limits
 * @property {import("./timers.js").Timers} timers
 * @property {(event: import("./events.js").Event) => void} tell
 * @property {() => number} takeId
 * @property {boolean} initiator
 * @property {boolean} peer whether this is a peer-to-peer call
 * @property {string} id own identifier
 * @property {string} peerId the acceptor's word for its peer
 * @property {Uint8Array} instance
 * @property {Uint8Array} token
 * @property {boolean} replace
 * @property {boolean} streams
 * @property {import("./bounds.js").Held} held
 * @property {ReadonlySet<number>} understands
 * @property {(id: TransportId, frames: Uint8Array[]) => void} close
 */

const LAST_NUMBER = 0xffffffff;

export class Member {
    #options;
    limits;
    timers;
    peer;
    tell;
    counting;
    scheduler;
    inbox;
    link;
    drops = new Drops();
    /** @type {Roster} */
    roster;
    /** The acceptor's one ROSTER, until it is written. @type {import("./frames.js").RosterFrame | null} */
    snapshot = null;
    /** Whether joining is complete. */
    joined = false;
    ackDue = false;
    /** @type {Bucket} */
    controls;
    /** Whether this side's end of the current transport's lossy lane is open. */
    lossyOpen = false;
    #written = new Traffic();
    #received = new Traffic();
    #ackTimer;
    #full = false;
    #nextSession = 1;
    /** Senders that have not ended, by what the application calls them. @type {Map<number, Sender>} */
    #senders = new Map();
    /** @type {Map<number, Sender>} */
    #bySession = new Map();
    /** @type {Map<number, Set<Sender>>} */
    #byChannel = new Map();

    /**
     * @param {MemberOptions} options
     * @param {number} now
     */
    constructor(options, now) {
        this.#options = options;
        const { limits, timers, tell, takeId, peer, streams, understands } = options;
        this.limits = limits;
        this.timers = timers;
        this.tell = tell;
        this.peer = peer;
        this.counting = new Counting(limits);
        this.scheduler = new Scheduler(limits, timers);
        const { held } = options;
        this.inbox = new Inbox({ limits, timers, drops: this.drops, peer, streams, understands, tell, takeId, held });
        this.controls = new Bucket(limits.control_frames, 2 * limits.control_frames, now);
        this.roster = new Roster(0, peer);
        this.#ackTimer = timers.timer(() => {
            this.ackDue = true;
        });
        const { initiator, instance, token, replace } = options;
        const id = initiator ? options.id : options.peerId;
        const { counting } = this;
        this.link = new Link(this.#linkHost(), { initiator, limits, timers, counting, id, instance, token, replace });
        if (!initiator) this.#makeSnapshot();
    }

    /** @returns {import("./link.js").LinkHost} */
    #linkHost() {
        return {
            close: (transport, frames) => this.#options.close(transport, frames),
            activated: (now) => this.#activated(now),
            suspended: (now) => this.#suspended(now),
            resumed: () => this.#resumed(),
            retransmit: (now) => {
                this.counting.startAgain();
                this.#active(now);
                // The last ACK may have been lost with the transport, and HELLO and WELCOME settle nothing: tell at
                // once.
                this.ackDue = this.counting.received > 0;
            },
            ended: (code, text, byPeer, now) => this.#ended(code, text, byPeer, now),
            drained: () => this.#drained(),
            drain: (now) => {
                for (const sender of [...this.#senders.values()]) sender.close(Code.NONE, now);
            },
        };
    }

    /** The acceptor keeps the roster: both are in it from the beginning (CC-ROSTER-072). */
    #makeSnapshot() {
        const entries = [this.#options.id, this.#options.peerId].map((id, slot) => ({
            op: /** @type {const} */ ("JOIN"),
            slot,
            reason: 0,
            id,
        }));
        this.snapshot = { type: "ROSTER", snapshot: true, more: false, epoch: 1, entries };
        this.roster.apply(this.snapshot);
    }

    /** Who writes what this side reads. @returns {import("./judging.js").Writer} */
    get writer() {
        if (!this.peer) return "relay";
        return this.link.initiator ? "acceptor" : "initiator";
    }

    // --- what senders need -------------------------------------------------------------------------------------------

    get active() {
        return this.link.state === "ACTIVE";
    }

    get peerWindow() {
        return this.link.peerWindow;
    }

    get largestReliable() {
        return this.link.peerLargest;
    }

    get largestLossy() {
        return Math.min(this.limits.lossy_message, this.link.peerLargest);
    }

    /** @returns {Lane} */
    get lossyLane() {
        return this.lossyOpen && this.active ? "lossy" : "reliable";
    }

    /** @param {Sender} sender */
    takeSession(sender) {
        const session = this.#nextSession;
        this.#nextSession += 1;
        this.#bySession.set(session, sender);
        return session;
    }

    /**
     * A sender may have become ready, and those that wait for it on its channel.
     *
     * @param {Sender} sender
     * @param {number} now
     */
    touch(sender, now) {
        for (const one of this.#byChannel.get(sender.channel) ?? []) this.scheduler.touch(one, now);
    }

    /**
     * CC-SESS-009.
     *
     * @param {Sender} sender
     */
    mustWait(sender) {
        for (const other of this.#byChannel.get(sender.channel) ?? []) {
            if (other === sender) return false;
            if (other.waitsForNumber) return true;
        }
        return false;
    }

    /** @param {Sender} sender */
    ended(sender) {
        this.scheduler.remove(sender);
        this.#senders.delete(sender.id);
        this.#bySession.delete(sender.session);
        const channel = this.#byChannel.get(sender.channel);
        channel?.delete(sender);
        if (channel?.size === 0) this.#byChannel.delete(sender.channel);
    }

    // --- senders -----------------------------------------------------------------------------------------------------

    /**
     * Opens a sender (section 5.3).
     *
     * @param {number} id
     * @param {OpenOptions} options
     * @param {number} now
     */
    openSender(id, options, now) {
        if (!this.joined || this.link.leaving) throw new CallError(Code.NOT_JOINED);
        if (this.link.state === "DEAD") throw new CallError(Code.LINK_LOST);
        const checked = checkOptions(options);
        const unnumbered = [...this.#senders.values()].filter(({ session }) => session === 0).length;
        if (this.#nextSession + unnumbered > LAST_NUMBER) throw new CallError(Code.NO_CHANNEL);
        const channel = checked.channel === 0 ? this.#lowestFree() : checked.channel;
        for (const older of [...(this.#byChannel.get(channel) ?? [])]) older.close(Code.NONE, now);
        const sender = new Sender(id, channel, checked, this, now);
        const same = this.#byChannel.get(channel);
        if (same === undefined) this.#byChannel.set(channel, new Set([sender]));
        else same.add(sender);
        this.#senders.set(id, sender);
        this.scheduler.add(sender);
        return sender;
    }

    #lowestFree() {
        for (let channel = 1; channel <= 0xffff; channel += 1) if (!this.#byChannel.has(channel)) return channel;
        throw new CallError(Code.NO_CHANNEL);
    }

    /** @param {number} session */
    senderOf(session) {
        return this.#bySession.get(session);
    }

    // --- transports and packets --------------------------------------------------------------------------------------

    /**
     * @param {Lane} lane
     * @param {Uint8Array} packet
     * @param {number} now
     */
    receive(lane, packet, now) {
        this.#received.count(lane, packet.length);
        this.link.heard(now);
        readPacket(this, lane, packet, now);
        this.settle(now);
    }

    /**
     * @param {Uint8Array} rest
     * @param {number} now
     */
    receiveRest(rest, now) {
        readBehindHello(this, rest, now);
        this.settle(now);
    }

    /**
     * The next packet for a lane of the current transport, or null.
     *
     * @param {Lane} lane
     * @param {number} now
     */
    pull(lane, now) {
        if (lane === "lossy" && this.lossyLane !== "lossy") return null;
        const packet = lane === "reliable" ? makeReliable(this, now) : makeLossy(this, now);
        if (packet !== null) this.#written.count(lane, packet.length);
        this.settle(now);
        return packet;
    }

    /**
     * This side's end of the lossy lane opened or closed.
     *
     * @param {boolean} open
     * @param {number} now
     */
    setLossy(open, now) {
        this.lossyOpen = open;
        this.scheduler.touchAll(now);
    }

    /**
     * After everything that happened: what has become possible by it.
     *
     * @param {number} now
     */
    settle(now) {
        if (this.inbox.bounds.overwhelmed) this.link.end(Code.MEMORY, now);
        const { full } = this.counting;
        if (this.#full && !full) this.scheduler.touchAll(now);
        this.#full = full;
        this.link.checkDrained(now);
        if (!this.active || this.ackDue) return;
        if (this.counting.ackAt <= now) this.ackDue = true;
        else if (this.#ackTimer.at !== this.counting.ackAt) this.#ackTimer.set(this.counting.ackAt);
    }

    /** @param {number} now */
    ackWritten(now) {
        this.counting.acked(now);
        this.ackDue = false;
    }

    /** The acceptor has joined. @param {number} now */
    snapshotWritten(now) {
        this.snapshot = null;
        if (!this.joined) this.#join(now);
    }

    // --- the roster --------------------------------------------------------------------------------------------------

    /**
     * A ROSTER that was judged good.
     *
     * @param {import("./frames.js").RosterFrame} frame
     * @param {number} now
     */
    rosterCame(frame, now) {
        const changes = this.roster.apply(frame);
        for (const { op, occupant, reason, former } of changes) {
            if (former !== undefined) this.inbox.replaced(former, now);
            if (op === "LEAVE") this.inbox.left(occupant);
            if (this.joined) this.#tellChange(op, occupant, reason);
        }
        if (!this.joined && this.roster.complete) this.#join(now);
        this.scheduler.touchAll(now);
    }

    /**
     * @param {import("./frames.js").RosterOp} op
     * @param {import("./roster.js").Occupant} occupant
     * @param {number} code
     */
    #tellChange(op, occupant, code) {
        const participant = naming(occupant);
        if (op === "JOIN") this.tell({ type: "ParticipantJoined", participant });
        else if (op === "LEAVE") this.tell({ type: "ParticipantLeft", participant, code });
        else if (op === "SUSPENDED") this.tell({ type: "ParticipantSuspended", participant });
        else this.tell({ type: "ParticipantResumed", participant });
    }

    /** @param {number} now */
    #join(now) {
        this.joined = true;
        const { largestReliable, largestLossy } = this;
        const { own } = this.roster;
        const id = this.roster.at(own)?.id ?? "";
        this.tell({ type: "Joined", slot: own, id, largestReliable, largestLossy });
        this.scheduler.touchAll(now);
    }

    // --- the link ----------------------------------------------------------------------------------------------------

    /** @param {number} now */
    #activated(now) {
        if (this.link.initiator) this.roster = new Roster(this.link.slot, this.peer);
        this.#active(now);
    }

    /** @param {number} now */
    #active(now) {
        this.counting.activate(now);
        this.ackDue = false;
        this.scheduler.touchAll(now);
    }

    /** @param {number} now */
    #suspended(now) {
        this.ackDue = false;
        this.#ackTimer.clear();
        for (const sender of [...this.#senders.values()]) sender.suspended();
        this.scheduler.touchAll(now);
        this.tell({ type: "LinkSuspended" });
        this.#tellPeer("SUSPENDED", 0);
    }

    #resumed() {
        this.tell({ type: "LinkResumed" });
        this.#tellPeer("RESUMED", 0);
    }

    /**
     * In a peer-to-peer call the link's state is the peer's (11.4).
     *
     * @param {import("./frames.js").RosterOp} op
     * @param {number} code
     */
    #tellPeer(op, code) {
        if (!this.peer || !this.joined) return;
        for (const occupant of this.roster.others) {
            occupant.suspended = op === "SUSPENDED";
            if (op === "LEAVE") occupant.present = false;
            this.#tellChange(op, occupant, code);
        }
    }

    /**
     * @param {number} code
     * @param {string} text
     * @param {boolean} byPeer
     * @param {number} now
     */
    #ended(code, text, byPeer, now) {
        this.#ackTimer.clear();
        const peerLeft = this.peer && byPeer && code === Code.LEFT;
        for (const sender of [...this.#senders.values()]) sender.linkDead();
        this.inbox.linkDead(peerLeft ? Code.LEFT : Code.LINK_LOST, now);
        if (!this.link.leaving) this.#tellPeer("LEAVE", peerLeft ? Code.LEFT : Code.LOST);
        this.tell({ type: "LinkEnded", code, text, byPeer });
    }

    #drained() {
        const { counting, inbox } = this;
        if (counting.nextAgain !== undefined || !counting.settled || this.snapshot !== null) return false;
        if (inbox.failures.length > 0 || inbox.dueSessions.size > 0) return false;
        return [...this.#senders.values()].every(({ drained }) => drained);
    }

    /** @returns {import("./statistics.js").LinkStatistics} */
    statistics() {
        return {
            packets_written: { ...this.#written.packets },
            bytes_written: { ...this.#written.bytes },
            packets_received: { ...this.#received.packets },
            bytes_received: { ...this.#received.bytes },
            frames_retransmitted: this.counting.retransmitted,
            bytes_unacknowledged: this.counting.keptBytes,
            resumes: this.link.resumes,
            drops: this.drops.counts(),
        };
    }
}

/**
 * CC-SESS-001, CC-SCHED-025.
 *
 * @param {OpenOptions} options
 */
function checkOptions(options) {
    const {
        channel = 0,
        reliability = "reliable",
        priority = "normal",
        confirm = "accepted",
        latest = false,
    } = options;
    if (!Number.isInteger(channel) || channel < 0 || channel > 0xffff) throw invalid("channel is 0 to 65535");
    if (reliability !== "reliable" && reliability !== "lossy") throw invalid("reliability is reliable or lossy");
    if (priority !== "normal" && priority !== "high") throw invalid("priority is normal or high");
    if (confirm !== "accepted" && confirm !== "delivered") throw invalid("confirm is accepted or delivered");
    if (typeof latest !== "boolean") throw invalid("latest is true or false");
    const reliable = reliability === "reliable";
    const delivered = confirm === "delivered";
    if (latest && reliable) throw invalid("latest is for Lossy senders");
    if (delivered && !reliable) throw invalid("delivered is for Reliable senders");
    const { bitrate } = options;
    if (bitrate !== undefined && !(Number.isSafeInteger(bitrate) && bitrate >= 1)) {
        throw invalid("bitrate is a whole number of bits a second");
    }
    const audience = new Audience(options.recipients ?? "everyone");
    return { channel, reliable, high: priority === "high", latest, delivered, bitrate, audience };
}
