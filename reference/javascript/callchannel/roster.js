// SPDX-License-Identifier: Apache-2.0
/**
 * The roster as an endpoint sees it (chapter 4): who is in the call, under which epoch, and who was.
 *
 * @module
 */
import { Code } from "./errors.js";

/** An endpoint of the call from its JOIN to its LEAVE. Whoever joins again is another one (CC-ROSTER-070). */
export class Occupant {
    /** Whether it is in the call. */
    present = true;
    suspended = false;

    /**
     * @param {number} slot
     * @param {string} id identifier of its participant
     */
    constructor(slot, id) {
        this.slot = slot;
        this.id = id;
    }
}

/**
 * @typedef {{ op: import("./frames.js").RosterOp, occupant: Occupant, reason: number, former?: Occupant }} RosterChange
 */

/** Entries of one series that are kept at most: a bound of this implementation's own (CC-LIMIT-012). */
const SERIES = 262144;

export class Roster {
    #own;
    #peer;
    /** The newest complete epoch; 0 before the snapshot. */
    epoch = 0;
    /** @type {Map<number, Occupant>} */
    #members = new Map();
    /** The last endpoint of each slot that nobody has now. @type {Map<number, Occupant>} */
    #gone = new Map();
    /** @type {{ epoch: number, entries: import("./frames.js").RosterEntry[] } | null} */
    #series = null;
    /** @type {ReadonlySet<Occupant> | null} */
    #others = null;
    /** @type {Map<string, Set<Occupant>>} */
    #byId = new Map();

    /**
     * @param {number} own this endpoint's slot
     * @param {boolean} peer whether this is a peer-to-peer call
     */
    constructor(own, peer) {
        this.#own = own;
        this.#peer = peer;
    }

    /** This endpoint's slot. */
    get own() {
        return this.#own;
    }

    /** Whether the snapshot has come: joining is complete. */
    get complete() {
        return this.epoch > 0;
    }

    /** Everyone in the call, this endpoint included. */
    get members() {
        return this.#members.values();
    }

    /** Everyone in the call but this endpoint; the same object as long as the epoch's members stay. */
    get others() {
        if (this.#others === null) {
            this.#others = new Set([...this.#members.values()].filter(({ slot }) => slot !== this.#own));
        }
        return this.#others;
    }

    /**
     * Who has a slot now, or had it last.
     *
     * @param {number} slot
     */
    at(slot) {
        return this.#members.get(slot) ?? this.#gone.get(slot);
    }

    /**
     * The endpoints of a participant, without this one (CC-ROSTER-038).
     *
     * @param {string} id
     */
    named(id) {
        return [...(this.#byId.get(id) ?? [])].filter(({ slot }) => slot !== this.#own);
    }

    /**
     * Step 10 for a ROSTER: NONE, EPOCH, SLOT, or MEMORY for a series without end.
     *
     * @param {import("./frames.js").RosterFrame} frame
     */
    judge(frame) {
        if (frame.snapshot === this.complete || frame.epoch < this.epoch) return Code.EPOCH;
        if (this.#series !== null && this.#series.epoch !== frame.epoch) return Code.EPOCH;
        // CC-ROSTER-072: in a peer-to-peer call there is one, of epoch 1. A second one failed above, or is no snapshot.
        if (this.#peer && (frame.epoch !== 1 || frame.more)) return Code.EPOCH;
        const before = this.#series?.entries ?? [];
        if (before.length + frame.entries.length > SERIES) return Code.MEMORY;
        if (frame.more) return Code.NONE;
        return this.#fits([...before, ...frame.entries], frame.snapshot) ? Code.NONE : Code.SLOT;
    }

    /**
     * Whether the entries of a series fit the roster, in their order (CC-ROSTER-019, 026 to 028).
     *
     * @param {readonly import("./frames.js").RosterEntry[]} entries
     * @param {boolean} snapshot
     */
    #fits(entries, snapshot) {
        const known = new Set(this.#members.keys());
        for (const { op, slot } of entries) {
            if (op === "JOIN") {
                if (known.has(slot)) return false;
                known.add(slot);
                continue;
            }
            if (!known.has(slot) || (snapshot && op !== "SUSPENDED")) return false;
            // CC-ROSTER-031: nothing of the kind is written about the reader itself.
            if (slot === this.#own) return false;
            if (op === "LEAVE") known.delete(slot);
        }
        // CC-ROSTER-071, 072: the JOINs of slots 0 and 1, and this side is the initiator; a WELCOME that said
        // otherwise is answered here.
        if (this.#peer) return this.#own === 1 && entries.length === 2 && known.has(0) && known.has(1);
        return known.has(this.#own); // CC-ROSTER-017
    }

    /**
     * Applies a ROSTER that was judged good. The changes come when the last frame of its series has (CC-ROSTER-026).
     *
     * @param {import("./frames.js").RosterFrame} frame
     * @returns {RosterChange[]}
     */
    apply(frame) {
        const entries = [...(this.#series?.entries ?? []), ...frame.entries];
        if (frame.more) {
            this.#series = { epoch: frame.epoch, entries };
            return [];
        }
        this.#series = null;
        this.epoch = frame.epoch;
        /** @type {RosterChange[]} */
        const changes = [];
        for (const entry of entries) {
            const change = this.#change(entry);
            if (change !== null) changes.push(change);
        }
        return changes;
    }

    /**
     * @param {import("./frames.js").RosterEntry} entry
     * @returns {RosterChange | null}
     */
    #change({ op, slot, reason, id }) {
        if (op === "JOIN") {
            const occupant = new Occupant(slot, id);
            const former = this.#gone.get(slot);
            this.#gone.delete(slot);
            this.#members.set(slot, occupant);
            this.#index(id).add(occupant);
            this.#others = null;
            return { op, occupant, reason, former };
        }
        const occupant = /** @type {Occupant} */ (this.#members.get(slot));
        if (op === "LEAVE") {
            occupant.present = false;
            this.#members.delete(slot);
            this.#gone.set(slot, occupant);
            const same = this.#index(occupant.id);
            same.delete(occupant);
            if (same.size === 0) this.#byId.delete(occupant.id);
            this.#others = null;
            return { op, occupant, reason };
        }
        const suspended = op === "SUSPENDED";
        // CC-ROSTER-029: no change is no news.
        if (occupant.suspended === suspended) return null;
        occupant.suspended = suspended;
        return { op, occupant, reason };
    }

    /** @param {string} id */
    #index(id) {
        let same = this.#byId.get(id);
        if (same === undefined) this.#byId.set(id, (same = new Set()));
        return same;
    }
}
