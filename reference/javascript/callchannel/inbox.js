// SPDX-License-Identifier: Apache-2.0
/**
 * All sessions that an endpoint receives: steps 12 to 19 of the validation order for DATA, CLOSE and FAIL of others,
 * the
 * bounds that they share, and the RECEIPT, CREDIT and FAIL that are to be written.
 *
 * @module
 */
import { Code, invalid } from "./errors.js";
import { MS } from "./timers.js";
import { Owner } from "./incoming.js";
import { ReliableSession } from "./receiver.js";
import { LossySession } from "./lossy.js";
import { Bounds, Held } from "./bounds.js";

/** @typedef {import("./roster.js").Occupant} Occupant */
/** @typedef {import("./data.js").DataFrame} DataFrame */
/** @typedef {ReliableSession | LossySession} Session */

/** A bound of this implementation's own (CC-LIMIT-012): Lossy messages unread. */
const UNREAD = 65536;
/** So many bytes of `receive_memory` stand for one unread Reliable message (CC-DELIV-081). */
const LEAST = 256;
/** Of so many channels of an owner the newest session is remembered at the least (CC-SESS-059). */
const CHANNELS = 1024;
/** After so many Reliable frames it is looked how many messages are unread. */
const COUNT_AGAIN = 1024;

/**
 * @typedef {object} InboxOptions
 * @property {import("./limits.js").Limits} limits
 * @property {import("./timers.js").Timers} timers
 * @property {import("./statistics.js").Drops} drops
 * @property {boolean} peer
 * @property {boolean} streams
 * @property {ReadonlySet<number>} understands private extension types
 * @property {(event: import("./events.js").Event) => void} tell
 * @property {() => number} takeId
 * @property {Held} held of all links of the endpoint
 */

/**
 * A FAIL to write, behind a RECEIPT where that is not 0.
 *
 * @typedef {{ session: Session, value: number, code: number, receipt: number }} Failure
 */

export class Inbox {
    #options;
    /** @type {import("./incoming.js").InboxHost} */
    #host;
    /** @type {Map<Occupant, Owner>} */
    #owners = new Map();
    /** @type {Map<number, Session>} */
    #receivers = new Map();
    /** @type {Map<number, import("./fragments.js").Stream>} */
    #streams = new Map();
    #unread = 0;
    #births = 0;
    /** Oldest first. @type {Set<import("./fragments.js").LossyPartial>} */
    #partials = new Set();
    #partialBytes = 0;
    /** Reliable frames since the unread messages were counted. */
    #arrived = 0;
    #partialTimer;
    /** FAILs in the order in which they were decided. @type {Failure[]} */
    failures = [];
    /** Sessions for which RECEIPT or CREDIT may be due. @type {Set<ReliableSession>} */
    dueSessions = new Set();
    #now = 0;
    #held;
    bounds;

    /** @param {InboxOptions} options */
    constructor(options) {
        this.#options = options;
        this.#held = options.held;
        this.bounds = new Bounds(options.limits.receive_memory, options.peer, options.held);
        this.#partialTimer = options.timers.timer((now) => this.#partialsOver(now));
        const { limits, timers, drops, streams, tell, takeId } = options;
        const inbox = this;
        /** @type {import("./incoming.js").InboxHost} */
        this.#host = {
            limits,
            timers,
            drops,
            streams,
            tell,
            takeId,
            get number() {
                return (inbox.#births += 1);
            },
            opened(session, receiver) {
                inbox.#receivers.set(receiver, /** @type {Session} */ (session));
                inbox.#held.receivers.add(/** @type {Session} */ (session));
            },
            closed(receiver) {
                inbox.#held.receivers.delete(/** @type {Session} */ (inbox.#receivers.get(receiver)));
                inbox.#receivers.delete(receiver);
            },
            buffer(bytes) {
                inbox.#held.buffered += bytes;
            },
            due(session) {
                if (session.receiptDue || session.creditDue) inbox.dueSessions.add(session);
            },
            writeFail(session, value, code, receipt) {
                inbox.failures.push({ session: /** @type {Session} */ (session), value, code, receipt });
                inbox.bounds.failureDue(inbox.failures.length);
            },
            moved(session, before, after) {
                inbox.bounds.moved(/** @type {Session} */ (session), before, after);
            },
            streamOpened(stream) {
                inbox.#streams.set(stream.id, stream);
            },
        };
    }

    // --- frames ------------------------------------------------------------------------------------------------------

    /**
     * Steps 12 to 19 for DATA. FLOW_CONTROL is the only fault of the link among them; otherwise NONE.
     *
     * @param {Occupant} occupant owner of the session
     * @param {DataFrame} frame
     * @param {number} now
     */
    data(occupant, frame, now) {
        this.#now = now;
        const owner = this.#owner(occupant);
        const session = owner.sessions.get(frame.session);
        if (!frame.reliable) {
            this.#lossy(owner, session, frame, now);
        } else if (session !== undefined && !session.reliable) {
            session.mismatch(now);
        } else {
            return this.#reliable(owner, session, frame, now);
        }
        return Code.NONE;
    }

    /**
     * @param {Owner} owner
     * @param {ReliableSession | undefined} known
     * @param {DataFrame} frame
     * @param {number} now
     */
    #reliable(owner, known, frame, now) {
        // R01
        if (known === undefined && this.#options.peer && frame.session <= owner.greatestReliable) return Code.NONE;
        const tooMany = known === undefined && !this.#mayBegin(owner);
        const session = known ?? this.#begin(owner, new ReliableSession(this.#host, owner, frame), frame, now);
        if (session.ended) return Code.NONE;
        if (session.channel !== frame.channel || session.high !== frame.high) {
            session.fault(Code.SESSION_MISMATCH, frame.sequence); // R03, R04
            return Code.NONE;
        }
        if (session.overdraws(frame)) return Code.FLOW_CONTROL;
        const reserve = (/** @type {number} */ bytes) => this.#reserve(session, bytes, frame.sequence);
        session.take(frame, tooMany, this.#options.understands, reserve, now);
        this.#hold(session);
        this.#arrived += 1;
        if (this.#arrived >= COUNT_AGAIN) this.#countUnread();
        return Code.NONE;
    }

    /**
     * @param {Owner} owner
     * @param {Session | undefined} known
     * @param {DataFrame} frame
     * @param {number} now
     */
    #lossy(owner, known, frame, now) {
        const drops = known ?? this.#options;
        /** @param {import("./statistics.js").DropReason} reason */
        const drop = (reason) => ("record" in drops ? drops.record(reason) : drops.drops.record(reason));
        if (known?.reliable) return drop("mismatch"); // R02
        if (known?.ended) return drop("ended_session");
        const newer = (owner.channels.get(frame.channel) ?? 0) > frame.session;
        if (
            known !== undefined &&
            known.channel !== 0 &&
            (known.channel !== frame.channel || known.high !== frame.high)
        ) {
            return drop("mismatch"); // R52
        }
        if (newer) return drop("ended_session"); // R53
        const done = known?.done(frame) ?? null;
        if (done !== null) return drop(done); // R54
        // R55
        if (known === undefined && !this.#mayBegin(owner)) return drop("open_sessions");
        let session = known;
        if (session === undefined) {
            session = this.#begin(owner, new LossySession(this.#host, owner, frame.session, this.#store), frame, now);
        } else if (session.channel === 0) {
            this.#becomesKnown(owner, session, frame, now);
        }
        const own = session;
        session.take(frame, this.#options.understands, (bytes) => this.#reserve(own, bytes, frame.sequence), now);
        this.#hold(session);
    }

    /**
     * Whether a further session of this owner may be open (CC-SESS-052, 069).
     *
     * @param {Owner} owner
     */
    #mayBegin(owner) {
        return owner.open < this.#options.limits.open_sessions && this.bounds.room;
    }

    /**
     * A session comes out of NONE: it is known.
     *
     * @template {Session} T
     * @param {Owner} owner
     * @param {T} session
     * @param {DataFrame} frame
     * @param {number} now
     * @returns {T}
     */
    #begin(owner, session, frame, now) {
        owner.sessions.set(frame.session, session);
        if (session.reliable) owner.greatestReliable = Math.max(owner.greatestReliable, frame.session);
        this.#becomesKnown(owner, session, frame, now);
        return session;
    }

    /**
     * Older Lossy sessions of its channel end (CC-SESS-040, 059).
     *
     * @param {Owner} owner
     * @param {Session} session
     * @param {DataFrame} frame
     * @param {number} now
     */
    #becomesKnown(owner, session, frame, now) {
        session.channel = frame.channel;
        session.high = frame.high;
        if ((owner.channels.get(frame.channel) ?? 0) >= frame.session) return;
        owner.channels.delete(frame.channel);
        owner.channels.set(frame.channel, frame.session);
        if (owner.channels.size > CHANNELS) {
            const [oldest] = owner.channels.keys();
            owner.channels.delete(oldest);
        }
        const older = owner.lossy.get(frame.channel);
        if (session.reliable) owner.lossy.delete(frame.channel);
        else owner.lossy.set(frame.channel, session);
        if (older !== undefined && older.state !== "NONE") older.newer(now);
    }

    /**
     * CLOSE of an owner, or of its relay.
     *
     * @param {Occupant} occupant
     * @param {import("./frames.js").ControlFrame} frame
     * @param {number} now
     */
    close(occupant, frame, now) {
        this.#now = now;
        const owner = this.#owner(occupant);
        const session = owner.sessions.get(frame.session);
        if (session === undefined) {
            // Of a Lossy session whose DATA may still come (CC-SESS-039).
            const unknown = new LossySession(this.#host, owner, frame.session, this.#store);
            owner.sessions.set(frame.session, unknown);
            unknown.close(frame.reason, now);
            return;
        }
        if (session.reliable) session.close(Number(frame.value), frame.reason);
        else session.close(frame.reason, now);
        this.#hold(session);
        if (session.isCut || !occupant.present) this.#hush(owner);
    }

    /**
     * FAIL of a relay for this endpoint.
     *
     * @param {Occupant} occupant
     * @param {import("./frames.js").ControlFrame} frame
     * @param {number} now
     */
    fail(occupant, frame, now) {
        this.#now = now;
        const session = this.#owners.get(occupant)?.sessions.get(frame.session);
        if (session === undefined) return;
        if (session.reliable) session.failedBy(Number(frame.value), frame.reason);
        else session.failedBy(frame.reason, now);
        this.#hold(session);
    }

    // --- the roster and the link -------------------------------------------------------------------------------------

    /**
     * An endpoint has left. What it had closed before is cut: its slot can be given again while that is unread
     * (CC-SESS-054).
     *
     * @param {Occupant} occupant
     */
    left(occupant) {
        const owner = this.#owners.get(occupant);
        if (owner !== undefined) this.#hush(owner);
    }

    /**
     * Nothing is written any more about sessions that are cut, those among them that are forgotten but for that.
     *
     * @param {Owner} owner
     */
    #hush(owner) {
        const gone = !owner.occupant.present;
        const over = (/** @type {Session} */ session) => {
            if (session.owner === owner && gone && session.complete) session.isCut = true;
            return session.owner === owner && session.isCut;
        };
        [...owner.sessions.values()].forEach(over);
        this.dueSessions = new Set([...this.dueSessions].filter((session) => !over(session)));
        this.failures = this.failures.filter(({ session }) => !over(session));
    }

    /**
     * The slot of an endpoint has a new occupant (CC-SESS-054).
     *
     * @param {Occupant} occupant the former one
     * @param {number} now
     */
    replaced(occupant, now) {
        this.#cut(this.#owners.get(occupant), Code.LOST, false, now);
        this.#owners.delete(occupant);
    }

    /**
     * The link is dead: unread messages stay, nothing is written any more.
     *
     * @param {number} code LEFT or LINK_LOST
     * @param {number} now
     */
    linkDead(code, now) {
        for (const owner of this.#owners.values()) this.#cut(owner, code, true, now);
        this.#owners.clear();
        this.failures = [];
        this.dueSessions.clear();
    }

    /**
     * @param {Owner | undefined} owner
     * @param {number} code
     * @param {boolean} linkDead
     * @param {number} now
     */
    #cut(owner, code, linkDead, now) {
        for (const session of [...(owner?.sessions.values() ?? [])]) {
            if (session.reliable) {
                session.cut(code);
                this.dueSessions.delete(session);
            } else {
                session.cut(code, linkDead, now);
            }
            this.#hold(session);
        }
        this.failures = this.failures.filter(({ session }) => session.owner !== owner);
    }

    /** @param {Occupant} occupant */
    #owner(occupant) {
        let owner = this.#owners.get(occupant);
        if (owner === undefined) this.#owners.set(occupant, (owner = new Owner(occupant)));
        return owner;
    }

    // --- bounds ------------------------------------------------------------------------------------------------------

    /** @param {Session} session */
    #hold(session) {
        if (session.buffered > 0) this.#held.sessions.add(session);
        else this.#held.sessions.delete(session);
    }

    /**
     * Makes room for so many bytes (CC-DELIV-059 to 061). False where the frame itself is what has to go.
     *
     * @param {Session} session the one that the bytes belong to
     * @param {number} bytes
     * @param {number} sequence
     */
    #reserve(session, bytes, sequence) {
        const { receive_memory: limit } = this.#options.limits;
        while (this.#held.buffered + bytes > limit) {
            let chosen = session;
            const size = (/** @type {Session} */ one) => one.buffered + (one === session ? bytes : 0);
            for (const other of this.#held.sessions) {
                const more = size(other) - size(chosen);
                if (more > 0 || (more === 0 && other.birth > chosen.birth)) chosen = other;
            }
            if (chosen.reliable) {
                chosen.memory(chosen === session ? sequence : undefined);
                this.#hold(chosen);
                if (chosen === session) return false;
            } else {
                const shed = chosen.shed(1);
                this.#hold(chosen);
                if (!shed && chosen === session) {
                    session.record("memory");
                    return false;
                }
            }
        }
        return true;
    }

    /** Holds the number of unread Reliable messages to its bound: who has the most of them pays (CC-DELIV-081). */
    #countUnread() {
        const sessions = [...this.#held.receivers].flatMap((session) => (session.reliable ? [session] : []));
        this.#arrived = -sessions.length;
        const most = Math.floor(this.#options.limits.receive_memory / LEAST);
        let excess = sessions.reduce((sum, { unread }) => sum + unread.length, 0) - most;
        while (excess > 0) {
            const chosen = sessions.reduce((one, other) => {
                const more = other.unread.length - one.unread.length;
                return more > 0 || (more === 0 && other.birth > one.birth) ? other : one;
            });
            excess -= chosen.unread.length;
            chosen.memory(undefined);
            this.#hold(chosen);
        }
    }

    /** @type {import("./lossy.js").PartialStore} */
    #store = {
        add: (partial) => {
            this.#partials.add(partial);
            if (this.#partials.size === 1) this.#partialTimer.set(this.#overAt(partial));
        },
        remove: (partial) => {
            this.#partials.delete(partial);
            this.#partialBytes -= partial.bytes;
        },
        grow: (bytes) => {
            this.#partialBytes += bytes;
        },
        fit: (partial, bytes) => this.#fitPartial(partial, bytes),
        unread: (messages) => {
            this.#unread += messages;
            return this.#unread <= UNREAD;
        },
    };

    /**
     * CC-FRAG-041, 042.
     *
     * @param {import("./fragments.js").LossyPartial | null} partial null: the fragment begins one
     * @param {number} bytes
     */
    #fitPartial(partial, bytes) {
        const { lossy_partial_messages: most, lossy_partial_bytes: mostBytes } = this.#options.limits;
        const begins = partial === null ? 1 : 0;
        while (this.#partials.size > 0) {
            const count = this.#partials.size + begins > most;
            if (!count && this.#partialBytes + bytes <= mostBytes) return true;
            const [oldest] = this.#partials;
            oldest.session.giveUpPartial(oldest, count ? "partial_count" : "partial_memory", this.#now);
            this.#hold(oldest.session);
            if (oldest === partial) return false;
        }
        return true;
    }

    /** @param {import("./fragments.js").LossyPartial} partial */
    #overAt(partial) {
        return partial.since + this.#options.limits.lossy_partial_time * MS;
    }

    /** @param {number} now */
    #partialsOver(now) {
        this.#now = now;
        for (const partial of this.#partials) {
            if (this.#overAt(partial) > now) {
                this.#partialTimer.set(this.#overAt(partial));
                return;
            }
            partial.session.giveUpPartial(partial, "partial_timeout", now);
            this.#hold(partial.session);
        }
    }

    // --- the application ---------------------------------------------------------------------------------------------

    /**
     * Hands out the next message or stream of a receiver; null when there is none, or no such receiver (any more).
     *
     * @param {number} receiver
     * @param {number} now
     */
    read(receiver, now) {
        const session = this.#receivers.get(receiver);
        if (session === undefined) return null;
        const message = session.read(now);
        this.#hold(session);
        return message;
    }

    /**
     * The next bytes of a stream, "end" behind its last, null when the next have not come. Raises ABORTED once when it
     * was
     * given up, and INVALID_ARGUMENT for a stream that is none or is over.
     *
     * @param {number} id
     * @param {number} now
     */
    readStream(id, now) {
        const stream = this.#streams.get(id);
        if (stream === undefined) throw invalid(`no stream ${id}`);
        if (stream.aborted) this.#streams.delete(id);
        const chunk = stream.session.readStream(stream, now);
        if (stream.told) this.#streams.delete(id);
        this.#hold(stream.session);
        return chunk;
    }

    /**
     * The application closes a receiver; nothing if it is closed already.
     *
     * @param {number} receiver
     * @param {number} now
     */
    closeReceiver(receiver, now) {
        const session = this.#receivers.get(receiver);
        if (session === undefined) return;
        session.closedHere(now);
        this.#hold(session);
    }

    /**
     * @param {number} receiver
     * @returns {import("./statistics.js").ReceiverStatistics | undefined} undefined once the receiver is closed
     */
    statistics(receiver) {
        return this.#receivers.get(receiver)?.statistics();
    }

    /** Whether anything is left to read. */
    get inUse() {
        return this.#receivers.size > 0 || this.#streams.size > 0;
    }

    /** @param {number} id */
    hasStream(id) {
        return this.#streams.has(id);
    }

    /** Bytes of unread and partial messages. */
    get buffered() {
        return this.#held.buffered;
    }
}
