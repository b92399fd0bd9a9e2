// SPDX-License-Identifier: Apache-2.0
/**
 * Reliable messages of a sender that have no outcome yet, and what gives them one (sections 7.3 to 7.9).
 *
 * @module
 */
import { Code } from "./errors.js";
import { MS } from "./timers.js";
import { Verdicts } from "./verdicts.js";

/** @typedef {import("./outgoing.js").Outgoing} Outgoing */
/** @typedef {import("./roster.js").Occupant} Occupant */
/** @typedef {import("./verdicts.js").VerdictKind} VerdictKind */

export class Settling {
    #owner;
    #out;
    #host;
    #delivered;
    /** Without an outcome, ascending. @type {Map<number, Outgoing>} */
    #messages = new Map();
    /** The greatest sequence that was confirmed as accepted. */
    custody = 0;
    confirmed = 0;
    failed = 0;

    /**
     * @param {import("./sender.js").Sender} owner
     * @param {import("./outbound.js").Outbound} out
     * @param {import("./sender.js").SenderHost} host
     * @param {boolean} delivered the confirm point
     */
    constructor(owner, out, host, delivered) {
        this.#owner = owner;
        this.#out = out;
        this.#host = host;
        this.#delivered = delivered;
    }

    /** How many have no outcome. */
    get size() {
        return this.#messages.size;
    }

    /** Those that have none now. */
    get all() {
        return [...this.#messages.values()];
    }

    /** @param {number} sequence */
    get(sequence) {
        return this.#messages.get(sequence);
    }

    /**
     * @param {Outgoing} message
     * @param {number | undefined} timeout of its caller, in microseconds
     * @param {number} now
     */
    add(message, timeout, now) {
        this.#messages.set(message.sequence, message);
        if (message.named !== null) message.verdicts = new Verdicts(message.named);
        if (timeout === undefined) return;
        message.timer = this.#host.timers.timer((then) => this.#owner.cancel(message.sequence, Code.DEADLINE, then));
        message.timer.set(now + timeout);
    }

    /**
     * An ACK frame covers the last frame of a message (S31).
     *
     * @param {Outgoing} message
     * @param {number} now
     */
    accepted(message, now) {
        message.accepted = true;
        if (message.settled) return;
        const verdicts = /** @type {Verdicts} */ (message.verdicts);
        if (this.#delivered && verdicts.size > 0) {
            message.deadline = this.#host.timers.timer((then) => {
                verdicts.giveRest("unknown", Code.DEADLINE); // S44
                this.settleIfDone(message);
                this.#owner.changed(then);
            });
            message.deadline.set(now + this.#host.limits.delivered_deadline * MS);
            return;
        }
        if (!this.#delivered) this.custody = Math.max(this.custody, message.sequence);
        verdicts.giveRest("confirmed");
        this.settle(message, Code.NONE);
    }

    /**
     * RECEIPT of one recipient, or of all (S32, CC-DELIV-013, 014).
     *
     * @param {Occupant | null} occupant null: aggregated
     * @param {number} value
     * @param {ReadonlyMap<Occupant, number>} barred
     */
    receipt(occupant, value, barred) {
        if (!this.#delivered) return;
        for (const message of this.all) {
            if (message.sequence > value) break;
            if (!message.complete || message.verdicts === null || message.verdicts.size === 0) continue;
            if (occupant === null) message.verdicts.giveRest("confirmed", Code.NONE, barred.keys());
            else message.verdicts.give(occupant, "confirmed");
            this.settleIfDone(message);
        }
    }

    /**
     * FAIL of one recipient: those from its value on, of which UNCERTAIN leaves the wholly written ones open
     * (CC-DELIV-022).
     *
     * @param {Occupant} occupant
     * @param {number} value
     * @param {number} code
     * @param {boolean} uncertain
     */
    failOne(occupant, value, code, uncertain) {
        for (const message of this.all) {
            if (message.sequence < value || message.verdicts === null || message.verdicts.size === 0) continue;
            message.verdicts.give(occupant, uncertain && message.complete ? "unknown" : "failed", code);
            this.settleIfDone(message);
        }
    }

    /**
     * FAIL for all, or of the peer: those from its value on, and those that will never be written.
     *
     * @param {number} value
     * @param {number} code
     * @param {boolean} uncertain
     */
    failAll(value, code, uncertain) {
        for (const message of this.all) {
            if (message.sequence < value && message.complete) continue;
            this.fail(message, code, uncertain && message.complete ? "unknown" : "failed");
        }
    }

    /** The link has died (CC-DELIV-038, 039). */
    linkDead() {
        for (const message of this.all) this.fail(message, Code.LINK_LOST, message.complete ? "unknown" : "failed");
    }

    /**
     * Gives a verdict to all recipients of a message that have none, and settles it. What is not written of it never
     * will
     * be; where part of it was, ABORT says so.
     *
     * @param {Outgoing} message
     * @param {number} code
     * @param {VerdictKind} [kind]
     * @param {boolean} [everyone] whether recipients that failed before are counted as well (CC-DELIV-030)
     */
    fail(message, code, kind = "failed", everyone = false) {
        if (message.verdicts === null) {
            const { members, passed } = this.#out.addressOf(message);
            message.verdicts = new Verdicts(members, everyone ? new Set() : passed);
        }
        message.verdicts.giveRest(kind, code);
        this.settle(message, code);
    }

    /** @param {Outgoing} message */
    settleIfDone(message) {
        if (message.verdicts?.complete === true) this.settle(message, Code.NONE);
    }

    /**
     * A message has all its verdicts: its send has its outcome.
     *
     * @param {Outgoing} message
     * @param {number} code the one that is raised when there are no recipients (CC-DELIV-009)
     */
    settle(message, code) {
        if (message.settled) return;
        message.settled = true;
        message.timer?.clear();
        message.deadline?.clear();
        const { sequence } = message;
        this.#messages.delete(sequence);
        if (!message.complete) this.#out.takeOut(message);
        const verdicts = message.verdicts ?? new Verdicts(new Set());
        const report = verdicts.report();
        if (verdicts.size === 0) report.code = code;
        if (!message.complete) this.#owner.streamGivenUp(sequence, report.code);
        if (report.code === Code.NONE) this.confirmed += 1;
        else this.failed += 1;
        this.#host.tell({ type: "MessageSettled", sender: this.#owner.id, sequence, code: report.code, report });
    }
}
