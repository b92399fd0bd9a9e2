// SPDX-License-Identifier: Apache-2.0
/**
 * A Lossy session at its final recipient: rows R50 to R89 of section 5.14.
 *
 * @module
 */
import { Code } from "./errors.js";
import { MS } from "./timers.js";
import { Incoming } from "./incoming.js";
import { DoneWindow, LossyPartial, keep } from "./fragments.js";
import { understand } from "./extensions.js";

/** @typedef {import("./data.js").DataFrame} DataFrame */
/** @typedef {import("./incoming.js").Unread} Unread */

/**
 * What a Lossy session needs beside the rest: the store of partial messages, which is one for the link.
 *
 * @typedef {object} PartialStore
 * @property {(partial: LossyPartial) => void} add
 * @property {(partial: LossyPartial) => void} remove
 * @property {(partial: LossyPartial | null, bytes: number) => boolean} fit
 * makes room for a fragment; false where its own message was given up for it
 * @property {(bytes: number) => void} grow
 * @property {(messages: number) => boolean} unread
 * counts messages that are complete and unread; false when they are more than this implementation keeps
 */

export class LossySession extends Incoming {
    reliable = /** @type {const} */ (false);
    /** Of these there may be any number: flow control does not bound them (7.12). @override */
    least = 256;
    #store;
    #done = new DoneWindow();
    /** @type {Map<number, LossyPartial>} */
    #partials = new Map();
    /** Greatest sequence of a LATEST message that was complete. */
    #latest = 0;
    #timer;

    /**
     * @param {import("./incoming.js").InboxHost} inbox
     * @param {import("./incoming.js").Owner} owner
     * @param {number} session
     * @param {PartialStore} store
     */
    constructor(inbox, owner, session, store) {
        super(inbox, owner, session);
        this.#store = store;
        this.#timer = inbox.timers.timer((now) => this.#over(now));
    }

    get ended() {
        return this.state === "DRAINING" || this.state === "DEAD";
    }

    /** @override */
    get hasPartial() {
        return this.#partials.size > 0;
    }

    // --- DATA --------------------------------------------------------------------------------------------------------

    /**
     * Step 14: why a frame is dropped for its sequence, or null.
     *
     * @param {DataFrame} frame
     */
    done({ sequence, fragment }) {
        const done = this.#done.judge(sequence);
        if (done !== null || fragment === null) return done;
        return this.#partials.get(sequence)?.has(fragment.index) ? "duplicate" : null;
    }

    /**
     * Steps 15 to 19 for a frame of this session, which takes messages.
     *
     * @param {DataFrame} frame
     * @param {ReadonlySet<number>} privateTypes
     * @param {(bytes: number) => boolean} reserve makes room in memory; false: the frame has to go
     * @param {number} now
     */
    take(frame, privateTypes, reserve, now) {
        const { fragment, payload, sequence } = frame;
        this.last = Math.max(this.last, sequence);
        let partial = this.#partials.get(sequence) ?? null;
        const size = fragment === null ? payload.length : fragment.total;
        if (partial === null && size > this.inbox.limits.largest_message) return this.#giveUp(frame, "too_large", now);
        if (partial !== null && (fragment === null || partial.contradicts(fragment, payload.length))) {
            return this.#giveUp(frame, "mismatch", now);
        }
        const first = fragment === null || fragment.index === 0;
        const extensions = understand(first ? frame.extensions : [], false, privateTypes);
        if (extensions === null) return this.#giveUp(frame, "extension", now);
        const completes = fragment === null || (partial ?? fresh(fragment)).completedBy(fragment.index, fragment.last);
        if (completes && frame.latest && sequence < this.#latest) return this.#giveUp(frame, "superseded", now);
        if (!completes && !this.#store.fit(partial, payload.length)) {
            this.#done.mark(sequence);
            return this.#taken(now);
        }
        const held = partial?.bytes ?? 0;
        const bytes = completes ? Math.max(this.least, held + payload.length) - held : payload.length;
        if (bytes > 0 && !reserve(bytes)) return this.#giveUp(frame, null, now);
        // Making room may have taken the partial message away.
        if (partial !== null && !this.#partials.has(sequence)) return this.#taken(now);
        if (this.state !== "LINGER") this.state = "OPEN";
        this.create(false);
        if (fragment !== null) {
            if (partial === null) {
                partial = new LossyPartial(this, sequence, fragment.total, now);
                this.#partials.set(sequence, partial);
                this.#store.add(partial);
            }
            partial.add(fragment, frame, extensions);
            this.#store.grow(payload.length);
        }
        this.buffer(bytes);
        if (completes) this.#complete(frame, partial, extensions);
        this.stir(now);
    }

    /**
     * @param {DataFrame} frame the one that completes the message
     * @param {LossyPartial | null} partial
     * @param {import("./extensions.js").ReceivedExtensions} extensions
     */
    #complete(frame, partial, extensions) {
        const { sequence, latest } = frame;
        if (partial !== null) this.#forget(partial);
        this.#done.mark(sequence);
        if (latest) {
            this.#latest = sequence;
            this.#throw(
                this.unread.filter((item) => !item.latest || item.sequence > sequence),
                "superseded",
            );
        }
        if (!this.#store.unread(1)) this.shed(1);
        this.telling(() =>
            this.unread.push({
                sequence,
                payload: partial === null ? keep(frame.payload) : partial.whole(),
                stream: null,
                private: partial === null ? frame.private : partial.private,
                confirm: false,
                latest,
                extensions: partial === null ? extensions : partial.extensions,
                frames: 0,
            }),
        );
    }

    /**
     * The message of a frame is dropped, with what is there of it (R56).
     *
     * @param {DataFrame} frame
     * @param {import("./statistics.js").DropReason | null} reason null: recorded already
     * @param {number} now
     */
    #giveUp(frame, reason, now) {
        const partial = this.#partials.get(frame.sequence);
        if (partial !== undefined) this.#drop(partial);
        this.#done.mark(frame.sequence);
        if (reason !== null) this.record(reason);
        this.#taken(now);
    }

    /** A frame was dropped in a way that leaves the session known. @param {number} now */
    #taken(now) {
        if (this.state === "NONE") this.state = "DETACHED";
        this.stir(now);
    }

    /** @param {LossyPartial} partial */
    #forget(partial) {
        this.#partials.delete(partial.sequence);
        this.#store.remove(partial);
    }

    /** Throws a partial message away and marks its sequence. @param {LossyPartial} partial */
    #drop(partial) {
        this.#forget(partial);
        this.buffer(-partial.bytes);
        this.#done.mark(partial.sequence);
    }

    /**
     * A partial message is given up for a bound or its time (R63, R64).
     *
     * @param {LossyPartial} partial
     * @param {import("./statistics.js").DropReason} reason
     * @param {number} now
     */
    giveUpPartial(partial, reason, now) {
        this.#drop(partial);
        this.record(reason);
        this.stir(now);
    }

    /**
     * @param {readonly Unread[]} items
     * @param {import("./statistics.js").DropReason} reason
     */
    #throw(items, reason) {
        for (const item of items) {
            this.buffer(-this.held(item));
            this.#store.unread(-1);
            this.record(reason);
        }
    }

    /**
     * The memory limit is passed and this session holds the most: its oldest messages go, unread ones first (R57, R58).
     *
     * @param {number} messages how many at most
     * @returns {boolean} whether anything was thrown away
     */
    shed(messages) {
        let left = messages;
        for (; left > 0 && this.unread.length > 0; left -= 1) {
            this.#throw([/** @type {Unread} */ (this.unread.shift())], "memory");
        }
        for (const partial of [...this.#partials.values()].sort((one, other) => one.since - other.since)) {
            if (left === 0) break;
            left -= 1;
            this.#drop(partial);
            this.record("memory");
        }
        if (this.state === "DRAINING" && this.unread.length === 0) this.#dead(this.endCode);
        return left < messages;
    }

    // --- ends --------------------------------------------------------------------------------------------------------

    /** Partial messages are discarded. @param {import("./statistics.js").DropReason} reason */
    #discard(reason) {
        for (const partial of [...this.#partials.values()]) {
            this.#drop(partial);
            this.record(reason);
        }
    }

    /**
     * @param {number} code
     */
    #dead(code) {
        this.closeReceiver(code);
        this.state = "DEAD";
        this.#timer.set(this.#now + this.inbox.limits.tombstone * MS);
    }

    #now = 0;

    /**
     * The session has ended here: what is unread stays.
     *
     * @param {number} code
     * @param {boolean} [forget]
     * @param {boolean} [linkDead]
     */
    #finish(code, forget = false, linkDead = false) {
        this.#discard(linkDead ? "link_dead" : "ended_session");
        this.#timer.clear();
        if (this.unread.length > 0) {
            this.endCode = code;
            this.state = "DRAINING";
        } else if (forget) {
            this.closeReceiver(code);
            this.state = "NONE";
        } else {
            this.#dead(code);
        }
    }

    /**
     * CLOSE, also of a session of which nothing was known (R65, R66).
     *
     * @param {number} reason
     * @param {number} now
     */
    close(reason, now) {
        this.complete = true;
        if (reason === Code.LEFT || reason === Code.LOST) this.isCut = true;
        if (this.state === "LINGER" || this.ended) return;
        this.endCode = reason;
        this.state = "LINGER";
        this.#timer.set(now + this.inbox.limits.linger * MS);
    }

    /**
     * `linger` or `tombstone` is over (R69 to R71, R81).
     *
     * @param {number} now
     */
    #over(now) {
        this.#now = now;
        if (this.state === "LINGER") this.#finish(this.endCode);
        else if (this.state === "DEAD") this.state = "NONE";
    }

    /**
     * A Reliable frame with this session's number (R50, R51).
     *
     * @param {number} now
     */
    mismatch(now) {
        this.#now = now;
        if (this.state !== "OPEN" && this.state !== "DETACHED") return;
        this.#fail(Code.SESSION_MISMATCH);
        this.#finish(Code.SESSION_MISMATCH);
    }

    /** CC-SESS-045. @param {number} code */
    #fail(code) {
        if (this.failed || this.isCut) return;
        this.failed = true;
        this.inbox.writeFail(this, this.last + 1, code, 0);
    }

    /**
     * FAIL of a relay (R67, R68).
     *
     * @param {number} reason
     * @param {number} now
     */
    failedBy(reason, now) {
        this.#now = now;
        if (this.state !== "OPEN" && this.state !== "DETACHED") return;
        this.failed = true;
        this.#finish(reason);
    }

    /**
     * A newer session became known on the channel (R72 to R74).
     *
     * @param {number} now
     */
    newer(now) {
        this.#now = now;
        if (this.ended) return;
        this.#finish(this.state === "LINGER" ? this.endCode : Code.NONE);
    }

    /** @override */
    forget() {
        this.#timer.clear();
        super.forget();
    }

    /**
     * The slot has a new occupant, or the link is dead (R83 to R88).
     *
     * @param {number} code
     * @param {boolean} linkDead
     * @param {number} now
     */
    cut(code, linkDead, now) {
        this.#now = now;
        this.isCut = true;
        if (this.state === "DRAINING") return;
        if (this.state === "DEAD") {
            this.#timer.clear();
            this.state = "NONE";
        } else {
            this.#finish(this.state === "LINGER" ? this.endCode : code, true, linkDead);
        }
    }

    /** The application closes the receiver (R78). @param {number} now */
    closedHere(now) {
        this.#now = now;
        if (this.receiver === 0) return;
        if (this.state === "OPEN") this.#fail(Code.CLOSED);
        this.#throw(this.unread.clear(), "closed");
        for (const partial of [...this.#partials.values()]) {
            this.#drop(partial);
            this.record("closed");
        }
        this.dropReceiver();
        this.#timer.clear();
        this.#dead(Code.NONE);
    }

    /**
     * Hands out the message that became complete first (R75 to R77).
     *
     * @param {number} now
     * @returns {import("./incoming.js").Message | null}
     */
    read(now) {
        this.#now = now;
        const item = this.takeUnread();
        if (item === undefined) return null;
        this.#store.unread(-1);
        this.stir(now);
        if (this.state === "DRAINING" && this.unread.length === 0) this.#dead(this.endCode);
        const { sequence, payload, extensions } = item;
        return { kind: "message", sequence, payload, private: item.private, extensions };
    }
}

/**
 * What a fragment would be the first of.
 *
 * @param {import("./data.js").FragmentBlock} fragment
 */
function fresh({ total }) {
    return new LossyPartial(/** @type {any} */ (null), 0, total, 0);
}
