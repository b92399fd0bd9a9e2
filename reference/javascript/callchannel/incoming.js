// SPDX-License-Identifier: Apache-2.0
/**
 * What both kinds of sessions at a receiver have in common: the receiver object, what is unread, and the idle close.
 *
 * @module
 */
import { Code } from "./errors.js";
import { Drops } from "./statistics.js";
import { MS } from "./timers.js";
import { Queue } from "./queue.js";
import { naming } from "./verdicts.js";

/**
 * A message as `read` hands it out.
 *
 * @typedef {object} Message
 * @property {"message"} kind
 * @property {number} sequence
 * @property {Uint8Array} payload
 * @property {boolean} private whether it was addressed to some
 * @property {import("./extensions.js").ReceivedExtensions} extensions
 */

/**
 * A stream as `read` hands it out: its bytes come by `readStream`.
 *
 * @typedef {object} StreamMessage
 * @property {"stream"} kind
 * @property {number} stream for readStream
 * @property {number} sequence
 * @property {boolean} private
 * @property {import("./extensions.js").ReceivedExtensions} extensions
 */

/**
 * A message that is complete and unread.
 *
 * @typedef {object} Unread
 * @property {number} sequence
 * @property {Uint8Array} payload
 * @property {import("./fragments.js").Stream | null} stream
 * @property {boolean} private
 * @property {boolean} confirm
 * @property {boolean} latest
 * @property {import("./extensions.js").ReceivedExtensions} extensions
 * @property {number} frames bytes of its DATA frames
 */

/** @typedef {"NONE" | "OPEN" | "PARTIAL" | "DETACHED" | "LINGER" | "DRAINING" | "DEAD"} State */

/** Sessions of one endpoint that sends. */
export class Owner {
    /** @type {Map<number, import("./receiver.js").ReliableSession | import("./lossy.js").LossySession>} */
    sessions = new Map();
    /**
     * The greatest session known on each channel, also when it is forgotten (CC-SESS-059).
     *
     * @type {Map<number, number>}
     */
    channels = new Map();
    greatestReliable = 0;
    /**
     * The Lossy session on each channel that a newer one would end.
     *
     * @type {Map<number, import("./lossy.js").LossySession>}
     */
    lossy = new Map();
    /** Sessions that are OPEN, PARTIAL or DETACHED. */
    open = 0;

    /** @param {import("./roster.js").Occupant} occupant */
    constructor(occupant) {
        this.occupant = occupant;
    }
}

/**
 * What a session needs of the inbox it is in.
 *
 * @typedef {object} InboxHost
 * @property {import("./limits.js").Limits} limits
 * @property {import("./timers.js").Timers} timers
 * @property {Drops} drops those of the link
 * @property {number} number counts sessions in the order in which they began
 * @property {boolean} streams whether the application takes streams as they come
 * @property {(event: import("./events.js").Event) => void} tell
 * @property {() => number} takeId
 * @property {(session: Incoming, receiver: number) => void} opened
 * @property {(receiver: number) => void} closed
 * @property {(bytes: number) => void} buffer adds to what all sessions buffer
 * @property {(session: import("./receiver.js").ReliableSession) => void} due RECEIPT or CREDIT may be due
 * @property {(session: Incoming, value: number, code: number, receipt: number) => void} writeFail
 * @property {(stream: import("./fragments.js").Stream) => void} streamOpened
 * @property {(session: Incoming, before: State, after: State) => void} moved
 */

const OPEN_STATES = new Set(["OPEN", "PARTIAL", "DETACHED"]);

export class Incoming {
    /** @type {State} */
    #state = "NONE";
    /** The receiver object; 0: none. */
    receiver = 0;
    /** @type {Queue<Unread>} */
    unread = new Queue();
    /** The code that the receiver will close with, once it has ended. */
    endCode = Code.NONE;
    /** Nothing is written about the session any more. */
    isCut = false;
    /** CLOSE has come, or the session is cut: nothing of it can follow. */
    complete = false;
    /** FAIL was written or read. */
    failed = false;
    /** Greatest sequence received. */
    last = 0;
    /** The buffered bytes of section 7.12. */
    buffered = 0;
    /** What a complete message counts at least there. */
    least = 0;
    #drops = new Drops();
    #read = { messages: 0, bytes: 0 };
    #idleSince = 0;

    /**
     * @param {InboxHost} inbox
     * @param {Owner} owner
     * @param {number} session
     */
    constructor(inbox, owner, session) {
        this.inbox = inbox;
        this.owner = owner;
        this.session = session;
        this.birth = inbox.number;
        this.channel = 0;
        this.high = false;
        this.idleTimer = inbox.timers.timer((now) => this.#idle(now));
    }

    /** It is DEAD, and there are too many of those (CC-SESS-070). */
    forget() {
        this.state = "NONE";
    }

    get state() {
        return this.#state;
    }

    /** @param {State} state */
    set state(state) {
        const former = this.#state;
        const before = OPEN_STATES.has(former);
        const after = OPEN_STATES.has(state);
        if (before !== after) this.owner.open += after ? 1 : -1;
        this.#state = state;
        if (state === "DRAINING") this.idleTimer.clear();
        if (state === "NONE") this.owner.sessions.delete(this.session);
        this.inbox.moved(this, former, state);
    }

    /** Whether a message is complete and unread. */
    get hasUnread() {
        return this.unread.length > 0;
    }

    /** Whether reading would give something. */
    get readable() {
        return this.unread.length > 0;
    }

    /** Whether a message is partial. */
    get hasPartial() {
        return false;
    }

    /** @param {import("./statistics.js").DropReason} reason @param {number} [times] */
    record(reason, times) {
        (this.receiver === 0 ? this.inbox.drops : this.#drops).record(reason, times);
    }

    /** @param {number} bytes */
    buffer(bytes) {
        this.buffered += bytes;
        this.inbox.buffer(bytes);
    }

    /** What a complete message holds of the memory. @param {{ payload: Uint8Array }} item */
    held({ payload }) {
        return Math.max(this.least, payload.length);
    }

    /** Makes a receiver where there is none (CC-SESS-027). @param {boolean} reliable */
    create(reliable) {
        if (this.receiver !== 0) return;
        this.receiver = this.inbox.takeId();
        this.#drops = new Drops();
        this.#read = { messages: 0, bytes: 0 };
        this.inbox.opened(this, this.receiver);
        const { receiver, channel, session, high } = this;
        const participant = naming(this.owner.occupant);
        this.inbox.tell({ type: "ReceiverCreated", receiver, participant, channel, session, reliable, high });
    }

    /**
     * Does something that may give the receiver something to read, and tells if it had nothing before (CC-SESS-029).
     *
     * @param {() => void} change
     */
    telling(change) {
        const before = this.readable;
        change();
        if (!before && this.readable) this.inbox.tell({ type: "ReceiverReadable", receiver: this.receiver });
    }

    /** The receiver closes (CC-ERR-021). @param {number} code */
    closeReceiver(code) {
        if (this.receiver === 0) return;
        this.inbox.closed(this.receiver);
        this.inbox.tell({ type: "ReceiverClosed", receiver: this.receiver, code });
        this.receiver = 0;
        this.idleTimer.clear();
    }

    /** The receiver closes by its application's own wish: nothing is told. */
    dropReceiver() {
        this.inbox.closed(this.receiver);
        this.receiver = 0;
        this.idleTimer.clear();
    }

    /**
     * Takes the first unread message and counts it as read.
     *
     * @returns {Unread | undefined}
     */
    takeUnread() {
        const item = this.unread.shift();
        if (item !== undefined && item.stream === null) {
            this.buffer(-this.held(item));
            this.countRead(1, item.payload.length);
        }
        return item;
    }

    /** @param {number} messages @param {number} bytes */
    countRead(messages, bytes) {
        this.#read.messages += messages;
        this.#read.bytes += bytes;
    }

    /** A frame was taken, or something handed out: the idle time begins anew. @param {number} now */
    stir(now) {
        this.#idleSince = now;
        const { idle_close: idle } = this.inbox.limits;
        const open = this.receiver !== 0 && this.#state !== "DRAINING";
        if (idle > 0 && open && this.idleTimer.at === undefined) this.idleTimer.set(now + idle * MS);
    }

    /** @param {number} now */
    #idle(now) {
        if (this.receiver === 0) return;
        const end = this.#idleSince + this.inbox.limits.idle_close * MS;
        if (now < end) {
            this.idleTimer.set(end);
        } else if (this.hasUnread || this.hasPartial) {
            this.#idleSince = now; // R42, R80
            this.idleTimer.set(now + this.inbox.limits.idle_close * MS);
        } else if (this.state === "OPEN") {
            this.closeReceiver(Code.IDLE); // R41, R79
            this.state = "DETACHED";
        }
    }

    /** @returns {import("./statistics.js").ReceiverStatistics} */
    statistics() {
        return {
            messages_read: this.#read.messages,
            bytes_read: this.#read.bytes,
            messages_unread: this.unread.length,
            bytes_buffered: this.buffered,
            drops: this.#drops.counts(),
        };
    }
}
