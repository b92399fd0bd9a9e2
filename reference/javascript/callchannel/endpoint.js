// SPDX-License-Identifier: Apache-2.0
/**
 * An endpoint of a call, without input and output: it reads no clock, draws no randomness and touches no network. Times
 * are whole microseconds of a clock that does not jump, and are given with every call; they never fall.
 *
 * After each call, take what there is: `takeDirty` says which transports may have packets (`pull` until it gives null),
 * `takeClosing` which are to be closed, `events` what happened, `deadline` when `handleTimeout` is due.
 *
 * @module
 */
import { CallError, Code, invalid } from "./errors.js";
import { encodeText } from "./bytes.js";
import { Events } from "./events.js";
import { Lobby } from "./lobby.js";
import { Member } from "./member.js";
import { Timers } from "./timers.js";
import { Transports } from "./transports.js";
import { naming } from "./verdicts.js";
import { resolveLimits } from "./limits.js";
import { Drops } from "./statistics.js";
import { Held } from "./bounds.js";

/** @typedef {import("./frames.js").Lane} Lane */
/** @typedef {import("./link.js").TransportId} TransportId */
/** @typedef {import("./sender.js").SendOptions} SendOptions */
/** @typedef {import("./sender.js").Sender} Sender */

/**
 * @typedef {object} EndpointOptions
 * @property {"group" | "initiator" | "acceptor"} role in a group call over a relay, or in a peer-to-peer call
 * @property {string} id identifier of the participant; a relay may admit it under another
 * @property {string} [peer] acceptor: the identifier that signalling gave for the peer
 * @property {(size: number) => Uint8Array} entropy random bytes, fit for cryptography
 * @property {Partial<Record<import("./limits.js").LimitName, number>>} [limits]
 * @property {boolean} [streams] whether streams are read as they come (the default), or handed out whole
 * @property {readonly number[]} [understands] private extension types that the application understands
 * @property {Uint8Array} [instance] 16 bytes: the instance identifier of an endpoint whose ghost is to be replaced
 * @property {boolean} [replace] whether older links of that instance identifier end first
 */

export class Endpoint {
    #role;
    #options;
    #timers = new Timers();
    #events = new Events();
    #limits;
    #instance;
    /** @type {Member | null} */
    #member = null;
    #lobby;
    #left = false;
    #lobbyDrops = new Drops();
    /** @type {Map<number, { sender: Sender, member: Member }>} */
    #senders = new Map();
    #lastId = 0;
    #transports = new Transports(this.#timers);
    /** Receivers and streams may outlive a link: those of links before this one. @type {Member[]} */
    #former = [];
    #held = new Held();
    /** @type {Set<TransportId>} */
    #dirty = new Set();

    /** @param {EndpointOptions} options raises INVALID_ARGUMENT */
    constructor(options) {
        const { role, id, peer, entropy, replace, instance } = options;
        if (role !== "group" && role !== "initiator" && role !== "acceptor") throw invalid("role");
        if (typeof entropy !== "function") throw invalid("entropy is a function that gives random bytes");
        checkIdentifier(id, role === "acceptor" ? 1 : 0, "id");
        if (role === "acceptor") checkIdentifier(peer, 1, "peer");
        if (instance !== undefined && !(instance instanceof Uint8Array && instance.length === 16))
            throw invalid("instance");
        if (replace && instance === undefined) throw invalid("replace needs the instance identifier of the ghost");
        this.#role = role;
        this.#options = options;
        this.#limits = resolveLimits(options.limits);
        this.#instance = instance ?? entropy(16);
        this.#lobby = role === "acceptor" ? this.#makeLobby() : null;
        if (role !== "acceptor") this.#member = this.#newMember(this.#instance, new Uint8Array(16), 0);
    }

    #makeLobby() {
        return new Lobby({
            limits: this.#limits,
            timers: this.#timers,
            drops: this.#lobbyDrops,
            admits: (identity) => identity === this.#options.peer,
            left: () => this.#left,
            link: () => this.#member?.link ?? null,
            close: (id, frames) => this.#close(id, frames),
            begin: (id, hello, rest, now) => {
                if (this.#member !== null) this.#former.push(this.#member);
                this.#member = this.#newMember(hello.token, this.#options.entropy(16), now);
                this.#member.link.accept(id, hello, now);
                this.#bound(id, rest, now);
            },
            resume: (id, hello, rest, now) => {
                this.#member?.link.acceptResume(id, hello, now);
                this.#bound(id, rest, now);
            },
        });
    }

    /**
     * @param {TransportId} id
     * @param {Uint8Array} rest
     * @param {number} now
     */
    #bound(id, rest, now) {
        this.#member?.setLossy(this.#transports.lossy(id), now);
        this.#member?.receiveRest(rest, now);
    }

    /**
     * @param {Uint8Array} instance
     * @param {Uint8Array} token
     * @param {number} now
     */
    #newMember(instance, token, now) {
        const { id, peer = "", streams = true, understands = [], replace = false } = this.#options;
        return new Member(
            {
                limits: this.#limits,
                timers: this.#timers,
                tell: (event) => this.#events.tell(event),
                takeId: () => this.#takeId(),
                initiator: this.#role !== "acceptor",
                peer: this.#role !== "group",
                id,
                peerId: peer,
                instance,
                token,
                replace,
                streams,
                understands: new Set(understands),
                held: this.#held,
                close: (transport, frames) => this.#close(transport, frames),
            },
            now,
        );
    }

    #takeId() {
        this.#lastId += 1;
        return this.#lastId;
    }

    /**
     * @param {TransportId} id
     * @param {Uint8Array[]} frames
     */
    #close(id, frames) {
        if (this.#transports.close(id, frames, this.#now) && frames.length > 0) this.#dirty.add(id);
    }

    #now = 0;

    // --- what comes from outside -------------------------------------------------------------------------------------

    /**
     * Runs what is due before an input, and afterwards marks what may have something to write.
     *
     * @template T
     * @param {number} now
     * @param {() => T} input
     */
    #at(now, input) {
        this.#now = Math.max(this.#now, now);
        this.#timers.run(this.#now);
        try {
            return input();
        } finally {
            this.#member?.settle(this.#now);
            const current = this.#member?.link.transport ?? null;
            if (current !== null) this.#dirty.add(current);
        }
    }

    /**
     * A transport is up: its reliable lane is open.
     *
     * @param {TransportId} id any value that names it
     * @param {number} now
     * @param {{ lossy?: boolean, identity?: string | null }} [about] whether this side's end of its lossy lane is open;
     * acceptor: what signalling says of who is at its other end, by default the peer
     */
    transportUp(id, now, { lossy = false, identity = this.#options.peer ?? null } = {}) {
        this.#at(now, () => {
            if (this.#transports.has(id)) return;
            this.#transports.add(id, lossy);
            if (this.#lobby !== null) {
                this.#lobby.transportUp(id, identity, this.#now);
                return;
            }
            this.#member?.link.transportUp(id, this.#now);
            if (this.#member?.link.transport === id) this.#member.setLossy(lossy, this.#now);
        });
    }

    /**
     * A transport went down: its reliable lane is lost.
     *
     * @param {TransportId} id
     * @param {number} now
     */
    transportDown(id, now) {
        this.#at(now, () => {
            this.#transports.farewellOver(id);
            if (!this.#transports.has(id)) return;
            if (this.#lobby?.has(id)) {
                this.#lobby.transportDown(id);
            } else if (this.#member?.link.transport === id) {
                this.#member.link.transportDown(this.#now);
            }
            this.#transports.close(id, [], this.#now);
        });
    }

    /**
     * This side's end of a transport's lossy lane opened or closed. That changes no state of the link.
     *
     * @param {TransportId} id
     * @param {boolean} open
     * @param {number} now
     */
    lossyLane(id, open, now) {
        this.#at(now, () => {
            if (!this.#transports.has(id)) return;
            this.#transports.add(id, open);
            if (this.#member?.link.transport === id) this.#member.setLossy(open, this.#now);
        });
    }

    /**
     * A packet arrived. Nothing that it holds raises (CC-ERR-018). The bytes must not change afterwards.
     *
     * @param {TransportId} id
     * @param {Lane} lane
     * @param {Uint8Array} packet
     * @param {number} now
     */
    receive(id, lane, packet, now) {
        this.#at(now, () => {
            if (this.#lobby?.has(id)) this.#lobby.receive(id, lane, packet, this.#now);
            else if (this.#member !== null && this.#member.link.transport === id)
                this.#member.receive(lane, packet, this.#now);
        });
    }

    /**
     * A text message arrived: on the reliable lane the transport goes down, on the lossy one it is dropped and
     * recorded.
     *
     * @param {TransportId} id
     * @param {Lane} lane
     * @param {number} now
     */
    receiveText(id, lane, now) {
        if (lane === "reliable") this.transportDown(id, now);
        else if (this.#member?.link.transport === id) this.#member.drops.record("malformed");
    }

    /**
     * The transport did not take a packet that `pull` gave.
     *
     * @param {TransportId} id
     * @param {Lane} lane
     * @param {number} now
     */
    notTaken(id, lane, now) {
        if (lane === "reliable") this.transportDown(id, now);
        else this.#member?.drops.record("transport");
    }

    /**
     * Time has passed. Call it when `deadline` is reached.
     *
     * @param {number} now
     */
    handleTimeout(now) {
        this.#at(now, () => {});
    }

    // --- what goes outside -------------------------------------------------------------------------------------------

    /**
     * The next packet for a lane, or null when there is none now. It is made at this moment and counts as written.
     *
     * @param {TransportId} id
     * @param {Lane} lane
     * @param {number} budget bytes that the lane takes now; a packet is made when it is above 0, and may be longer
     * @param {number} now
     * @returns {Uint8Array | null}
     */
    pull(id, lane, budget, now) {
        this.#now = Math.max(this.#now, now);
        this.#timers.run(this.#now);
        if (budget <= 0) return null;
        if (this.#transports.leaving(id)) return lane === "reliable" ? this.#transports.takeFarewell(id) : null;
        return this.#member?.link.transport === id ? this.#member.pull(lane, this.#now) : null;
    }

    /** When `handleTimeout` is due; null: never. */
    deadline() {
        return this.#timers.next();
    }

    /** Transports that may have something to pull since the last call. @returns {TransportId[]} */
    takeDirty() {
        const dirty = [...this.#dirty];
        this.#dirty.clear();
        return dirty;
    }

    /**
     * Transports that are to be closed since the last call. With `drain`, what was pulled is to be delivered first, for
     * at
     * most five seconds.
     */
    takeClosing() {
        return this.#transports.takeClosing();
    }

    /** What happened since the last call, in order. */
    events() {
        return this.#events.take();
    }

    // --- commands: senders -------------------------------------------------------------------------------------------

    /**
     * Opens a sender. Raises NOT_JOINED, LINK_LOST, INVALID_ARGUMENT or NO_CHANNEL.
     *
     * @param {import("./member.js").OpenOptions} options
     * @param {number} now
     * @returns {{ sender: number, channel: number }}
     */
    openSender(options, now) {
        return this.#at(now, () => {
            if (this.#member === null) throw new CallError(Code.NOT_JOINED);
            const id = this.#takeId();
            const sender = this.#member.openSender(id, options, this.#now);
            this.#senders.set(id, { sender, member: this.#member });
            return { sender: id, channel: sender.channel };
        });
    }

    /** @param {number} id */
    #sender(id) {
        const known = this.#senders.get(id);
        if (known === undefined) throw invalid(`no sender ${id}`);
        return known.sender;
    }

    /**
     * Changes the recipients of the messages to come.
     *
     * @param {number} sender
     * @param {import("./outgoing.js").Recipients} recipients
     */
    setRecipients(sender, recipients) {
        this.#sender(sender).setRecipients(recipients);
    }

    /**
     * Sends a message and gives its sequence; its outcome, if it is Reliable, is told by MessageSettled. Raises a code
     * of
     * chapter 14, WOULD_BLOCK among them: then SenderWritable tells when to try again. A Lossy message that was dropped
     * without a number gives 0. The bytes must not change until the message is settled or, if Lossy, written.
     *
     * @param {number} sender
     * @param {Uint8Array} payload
     * @param {SendOptions} options
     * @param {number} now
     */
    send(sender, payload, options, now) {
        return this.#at(now, () => this.#sender(sender).send(payload, options, this.#now));
    }

    /**
     * Opens a Reliable message of unknown length and gives its sequence.
     *
     * @param {number} sender
     * @param {SendOptions} options
     * @param {number} now
     */
    openStream(sender, options, now) {
        return this.#at(now, () => this.#sender(sender).openStream(options, this.#now));
    }

    /**
     * @param {number} sender
     * @param {number} sequence
     * @param {Uint8Array} chunk
     * @param {number} now
     */
    writeStream(sender, sequence, chunk, now) {
        this.#at(now, () => this.#sender(sender).writeStream(sequence, chunk, this.#now));
    }

    /**
     * @param {number} sender
     * @param {number} sequence
     * @param {number} now
     */
    finishStream(sender, sequence, now) {
        this.#at(now, () => this.#sender(sender).finishStream(sequence, this.#now));
    }

    /**
     * Takes a message back, and says how far it had come. It settles with the code for whom it has no verdict yet.
     *
     * @param {number} sender
     * @param {number} sequence
     * @param {number} now
     * @param {number} [code] CANCELLED, or DEADLINE where the caller's time ran out
     */
    cancel(sender, sequence, now, code = Code.CANCELLED) {
        return this.#at(now, () => this.#sender(sender).cancel(sequence, code, this.#now));
    }

    /**
     * Closes a sender: what is queued is written, then CLOSE.
     *
     * @param {number} sender
     * @param {number} now
     * @param {number} [reason] 0, or a private code, F000 to FFFF
     */
    closeSender(sender, now, reason = Code.NONE) {
        this.#at(now, () => this.#sender(sender).close(reason, this.#now));
    }

    /**
     * Forgets a sender that has ended; before that nothing.
     *
     * @param {number} sender
     */
    forgetSender(sender) {
        if (this.#senders.get(sender)?.sender.hasEnded) this.#senders.delete(sender);
    }

    // --- commands: receivers -----------------------------------------------------------------------------------------

    /**
     * The next message of a receiver, or stream to read, or null when there is nothing to read.
     *
     * @param {number} receiver
     * @param {number} now
     */
    read(receiver, now) {
        return this.#at(now, () =>
            this.#inboxes.reduce(
                (message, inbox) => message ?? inbox.read(receiver, this.#now),
                /** @type {ReturnType<import("./inbox.js").Inbox["read"]>} */ (null),
            ),
        );
    }

    /**
     * The next bytes of a stream, "end" behind its last, null when they have not come. Raises ABORTED.
     *
     * @param {number} stream
     * @param {number} now
     */
    readStream(stream, now) {
        return this.#at(now, () => {
            const inbox = this.#inboxes.find((one) => one.hasStream(stream));
            if (inbox === undefined) throw invalid(`no stream ${stream}`);
            return inbox.readStream(stream, this.#now);
        });
    }

    /**
     * Closes a receiver: what is unread is thrown away, and its sender told so.
     *
     * @param {number} receiver
     * @param {number} now
     */
    closeReceiver(receiver, now) {
        this.#at(now, () => {
            for (const inbox of this.#inboxes) inbox.closeReceiver(receiver, this.#now);
        });
    }

    get #inboxes() {
        this.#former = this.#former.filter(({ inbox }) => inbox.inUse);
        return [...this.#former, ...(this.#member === null ? [] : [this.#member])].map(({ inbox }) => inbox);
    }

    // --- the call ----------------------------------------------------------------------------------------------------

    /**
     * Leaves the call: closes the senders, waits until all is acknowledged, for at most `leave_time`, and says BYE.
     *
     * @param {number} now
     * @param {number} [wait] milliseconds, where `leave_time` is too long; 0: BYE at once
     */
    leave(now, wait) {
        this.#at(now, () => {
            this.#left = true;
            this.#member?.link.leave(this.#now, wait);
        });
    }

    /** The state of the link. @returns {import("./link.js").LinkState} */
    get state() {
        return this.#member?.link.state ?? "CONNECTING";
    }

    /** Whether joining is complete. */
    get joined() {
        return this.#member?.joined ?? false;
    }

    /** The instance identifier: keep it where a ghost may have to be replaced, and nowhere else (CC-SEC-009). */
    get instance() {
        return this.#instance.slice();
    }

    /** The largest messages that may be sent now, streams excepted (CC-LIMIT-009); 0 before there is a link. */
    get largest() {
        const member = this.#member;
        return { reliable: member?.largestReliable ?? 0, lossy: member?.largestLossy ?? 0 };
    }

    /** The limits that are in force, by name. */
    get limits() {
        return this.#limits;
    }

    /** Everyone in the call, this endpoint included; empty before the snapshot. */
    participants() {
        return [...(this.#member?.roster.members ?? [])]
            .filter(({ present }) => present)
            .map((occupant) => ({
                ...naming(occupant),
                suspended: occupant.suspended,
                own: occupant.slot === this.#member?.roster.own,
            }));
    }

    /** @param {number} sender */
    senderStatistics(sender) {
        return this.#sender(sender).statistics();
    }

    /** @param {number} receiver undefined once it is closed */
    receiverStatistics(receiver) {
        for (const inbox of this.#inboxes) {
            const statistics = inbox.statistics(receiver);
            if (statistics !== undefined) return statistics;
        }
        return undefined;
    }

    /** Counters of the link; undefined before there is one. */
    linkStatistics() {
        const statistics = this.#member?.statistics();
        if (statistics === undefined) return undefined;
        const unbound = this.#lobbyDrops.counts().not_active ?? 0;
        const { drops } = statistics;
        return unbound === 0
            ? statistics
            : { ...statistics, drops: { ...drops, not_active: (drops.not_active ?? 0) + unbound } };
    }
}

/**
 * @param {unknown} id
 * @param {number} least
 * @param {string} name
 */
function checkIdentifier(id, least, name) {
    const bytes = typeof id === "string" ? encodeText(id) : null;
    if (bytes === null || bytes.length < least || bytes.length > 255) {
        throw invalid(`${name} is ${least} to 255 bytes of UTF-8`);
    }
}
