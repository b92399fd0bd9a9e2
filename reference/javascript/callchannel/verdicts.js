// SPDX-License-Identifier: Apache-2.0
/**
 * The verdicts of one Reliable message by recipient, and the report that comes of them (section 7.3).
 *
 * @module
 */
import { Code } from "./errors.js";

/** @typedef {import("./roster.js").Occupant} Occupant */
/** @typedef {"confirmed" | "failed" | "unknown"} VerdictKind */
/** @typedef {{ readonly slot: number, readonly id: string }} Recipient */
/** @typedef {{ readonly recipient: Recipient, readonly code: number }} Misfortune a recipient, and the reason */

/**
 * What became of a settled message. No recipient is in more than one list (CC-ERR-011).
 */
export class Report {
    #members;
    #without;

    /**
     * @param {number} code the one that the send raises; 0 when it succeeded
     * @param {Iterable<Occupant>} members
     * @param {Set<Occupant>} without those of them that were not reached
     * @param {Misfortune[]} failed
     * @param {Misfortune[]} unknown
     * @param {Misfortune[]} passed
     */
    constructor(code, members, without, failed, unknown, passed) {
        this.code = code;
        this.#members = members;
        this.#without = without;
        /** Did not get the message and never will. */
        this.failed = failed;
        /** May or may not have got it. */
        this.unknown = unknown;
        /** Passed over because they had failed in this session before: RECIPIENT_FAILED. Not a failure of this send. */
        this.passed = passed;
    }

    /** Whom the message reached: made when it is asked for, since a call may be large. @returns {Recipient[]} */
    get reached() {
        const reached = [];
        for (const member of this.#members) if (!this.#without.has(member)) reached.push(naming(member));
        return reached;
    }
}

/**
 * An endpoint as the application is told of it.
 *
 * @param {Occupant} occupant
 * @returns {Recipient}
 */
export function naming({ slot, id }) {
    return { slot, id };
}

/** Collects the verdicts of a message. Each recipient gets exactly one (CC-MODEL-014). */
export class Verdicts {
    #members;
    #passed;
    /** @type {Map<Occupant, { kind: VerdictKind, code: number }>} */
    #given = new Map();
    /**
     * Once set, it is the verdict of all that have none of their own and are not held.
     *
     * @type {{ kind: VerdictKind, code: number } | null}
     */
    #rest = null;
    /** Those whom the verdict of the rest passed over. @type {Set<Occupant>} */
    #held = new Set();
    #size;
    #firstFailed = 0;
    #firstUnknown = 0;

    /**
     * @param {ReadonlySet<Occupant>} members the recipients, and perhaps others
     * @param {ReadonlySet<Occupant>} [passed] members that are no recipients: they failed in this session before
     */
    constructor(members, passed = new Set()) {
        this.#members = members;
        this.#passed = new Set([...passed].filter((occupant) => members.has(occupant)));
        this.#size = members.size - this.#passed.size;
    }

    /** How many recipients there are. */
    get size() {
        return this.#size;
    }

    /** Whether every recipient has a verdict; true without any recipient. */
    get complete() {
        return this.#rest === null ? this.#given.size === this.#size : this.#held.size === 0;
    }

    /**
     * Whether someone is a recipient without a verdict.
     *
     * @param {Occupant} occupant
     */
    pending(occupant) {
        if (this.#rest !== null) return this.#held.has(occupant);
        return this.#members.has(occupant) && !this.#passed.has(occupant) && !this.#given.has(occupant);
    }

    /**
     * Gives a verdict to one recipient, unless it has one (CC-DELIV-006).
     *
     * @param {Occupant} occupant
     * @param {VerdictKind} kind
     * @param {number} [code]
     */
    give(occupant, kind, code = Code.NONE) {
        if (!this.pending(occupant)) return;
        this.#given.set(occupant, { kind, code });
        this.#held.delete(occupant);
        this.#note(kind, code);
    }

    /**
     * Gives a verdict to all that have none, but for those in `held`.
     *
     * @param {VerdictKind} kind
     * @param {number} [code]
     * @param {Iterable<Occupant>} [held]
     */
    giveRest(kind, code = Code.NONE, held = []) {
        if (this.complete) return;
        const kept = new Set(held);
        if (this.#rest !== null) {
            for (const occupant of [...this.#held]) if (!kept.has(occupant)) this.give(occupant, kind, code);
            return;
        }
        const waiting = [...kept].filter((occupant) => this.pending(occupant));
        if (this.#size - this.#given.size > waiting.length) this.#note(kind, code);
        this.#rest = { kind, code };
        this.#held = new Set(waiting);
    }

    /**
     * @param {VerdictKind} kind
     * @param {number} code
     */
    #note(kind, code) {
        if (kind === "failed" && this.#firstFailed === 0) this.#firstFailed = code;
        if (kind === "unknown" && this.#firstUnknown === 0) this.#firstUnknown = code;
    }

    /** The report of a message whose verdicts are complete. */
    report() {
        /** @type {Record<VerdictKind, Misfortune[]>} */
        const lists = { confirmed: [], failed: [], unknown: [] };
        const without = new Set(this.#passed);
        for (const [occupant, { kind, code }] of this.#given) {
            if (kind === "confirmed") continue;
            lists[kind].push({ recipient: naming(occupant), code });
            without.add(occupant);
        }
        const rest = this.#rest;
        if (rest !== null && rest.kind !== "confirmed") {
            for (const member of this.#members) {
                if (without.has(member) || this.#given.has(member)) continue;
                lists[rest.kind].push({ recipient: naming(member), code: rest.code });
                without.add(member);
            }
        }
        const passed = [...this.#passed].map((occupant) => ({
            recipient: naming(occupant),
            code: Code.RECIPIENT_FAILED,
        }));
        // CC-DELIV-005: the first failed decides, or else the first unknown.
        const code = this.#firstFailed || this.#firstUnknown;
        return new Report(code, this.#members, without, lists.failed, lists.unknown, passed);
    }
}

/**
 * A report that names some recipients for whom a send raises without having been numbered.
 *
 * @param {number} code
 * @param {Misfortune[]} failed
 */
export function refusal(code, failed) {
    return new Report(code, [], new Set(), failed, [], []);
}
