// SPDX-License-Identifier: Apache-2.0
// A relay that does what a test says: it speaks the codec and keeps count, and decides nothing.
import assert from "node:assert/strict";
import { Endpoint } from "../../callchannel/endpoint.js";
import { decodePacket, encodeFrame, isCountable } from "../../callchannel/frames.js";
import { entropy } from "./network.js";

/** @typedef {import("../../callchannel/frames.js").Frame} Frame */

export const NONE = 0xffff;
const TOKEN = Uint8Array.from({ length: 16 }, (_, at) => at + 1);

/**
 * @param {Partial<import("../../callchannel/data.js").DataFrame>} fields
 * @returns {import("../../callchannel/data.js").DataFrame}
 */
export function data(fields) {
    return {
        type: "DATA",
        reliable: true,
        high: false,
        private: false,
        confirm: false,
        latest: false,
        channel: 1,
        sender: 1,
        session: 1,
        sequence: 1,
        fragment: null,
        recipients: null,
        extensions: [],
        payload: new Uint8Array([1]),
        size: 0,
        ...fields,
    };
}

/**
 * @param {import("../../callchannel/frames.js").ControlType} type
 * @param {Partial<import("../../callchannel/frames.js").ControlFrame>} fields
 * @returns {import("../../callchannel/frames.js").ControlFrame}
 */
export function control(type, fields) {
    return { type, sender: 0, recipient: NONE, session: 1, value: 1, reason: 0, uncertain: false, ...fields };
}

/**
 * @param {number} epoch
 * @param {[string, number, (string | number)?][]} entries
 * @param {object} [fields]
 * @returns {import("../../callchannel/frames.js").RosterFrame}
 */
export function roster(epoch, entries, fields = {}) {
    return {
        type: "ROSTER",
        snapshot: false,
        more: false,
        epoch,
        entries: entries.map(([op, slot, third = op === "JOIN" ? "x" : 0]) => ({
            op: /** @type {any} */ (op),
            slot,
            reason: typeof third === "number" ? third : 0,
            id: typeof third === "string" ? third : "",
        })),
        ...fields,
    };
}

/** Ann in slot 0 of a group call, at a relay that is the test itself. */
export class Script {
    now = 1_000_000;
    /** @type {any[]} */
    events = [];
    /** Frames that Ann wrote and the test has not looked at. @type {Frame[]} */
    frames = [];
    /** Counted frames of Ann. */
    received = 0;
    /** Transport that is up. */
    transport = "t1";
    /** What was pulled, packet by packet. @type {Uint8Array[]} */
    packets = [];

    /** @param {any} [options] of the endpoint */
    constructor(options = {}) {
        this.ann = new Endpoint({ role: "group", id: "ann", entropy: entropy(5), ...options });
    }

    /**
     * Ann joins a call with some others in slots 1 and up.
     *
     * @param {string[]} others
     * @param {any} [welcome]
     * @param {any} [up]
     */
    join(others = ["bob", "carol"], welcome = {}, up = { lossy: true }) {
        this.ann.transportUp(this.transport, this.now, up);
        this.pump();
        assert.deepEqual(
            this.frames.map(({ type }) => type),
            ["HELLO"],
        );
        this.take();
        const entries = ["ann", ...others].map(
            (id, slot) => /** @type {[string, number, string]} */ (["JOIN", slot, id]),
        );
        this.write(this.welcome(welcome));
        for (let at = 0; at < entries.length; at += 100) {
            const more = at + 100 < entries.length;
            this.write(roster(entries.length, entries.slice(at, at + 100), { snapshot: true, more }));
        }
        return this;
    }

    /** @param {any} [fields] @returns {import("../../callchannel/frames.js").WelcomeFrame} */
    welcome(fields = {}) {
        return {
            type: "WELCOME",
            slot: 0,
            features: 0,
            token: TOKEN,
            attempt: 1,
            received: 0,
            window: 262144,
            largestMessage: 16777216,
            resumeMs: 30000,
            id: "ann",
            ...fields,
        };
    }

    /** Writes a packet on the reliable lane. @param {...Frame} frames */
    write(...frames) {
        this.raw("reliable", Buffer.concat(frames.map(encodeFrame)));
    }

    /** Writes a packet on the lossy lane. @param {...Frame} frames */
    writeLossy(...frames) {
        this.raw("lossy", Buffer.concat(frames.map(encodeFrame)));
    }

    /** @param {import("../../callchannel/frames.js").Lane} lane @param {Uint8Array} packet */
    raw(lane, packet) {
        this.ann.receive(this.transport, lane, new Uint8Array(packet), this.now);
        this.pump();
    }

    /** Acknowledges everything that Ann wrote. */
    ack() {
        this.write({ type: "ACK", received: this.received });
    }

    /** Takes what Ann has to say. */
    pump() {
        for (const id of this.ann.takeDirty()) {
            for (const lane of /** @type {const} */ (["reliable", "lossy"])) {
                for (
                    let packet = this.ann.pull(id, lane, 1, this.now);
                    packet;
                    packet = this.ann.pull(id, lane, 1, this.now)
                ) {
                    const { frames, fault } = decodePacket(packet, lane);
                    assert.equal(fault, null);
                    this.packets.push(packet);
                    this.frames.push(...frames);
                    if (lane === "reliable") this.received += frames.filter(isCountable).length;
                }
            }
        }
        this.events.push(...this.ann.events());
    }

    /** Lets time pass, acting on every deadline. @param {number} milliseconds */
    wait(milliseconds) {
        const end = this.now + milliseconds * 1000;
        for (let at = this.ann.deadline(); at !== null && at <= end; at = this.ann.deadline()) {
            this.now = Math.max(this.now, at);
            this.ann.handleTimeout(this.now);
            this.pump();
        }
        this.now = end;
        this.ann.handleTimeout(end);
        this.pump();
    }

    /** Lets time pass while the relay shows signs of life. @param {number} seconds */
    live(seconds) {
        for (let at = 0; at < seconds; at += 1) {
            this.wait(1000);
            this.ack();
        }
    }

    /** A command of Ann's application. @template T @param {(ann: Endpoint, now: number) => T} act @returns {T} */
    do(act) {
        try {
            return act(this.ann, this.now);
        } finally {
            this.pump();
        }
    }

    /** @param {any} [options] */
    open(options = {}) {
        return this.do((ann, now) => ann.openSender(options, now)).sender;
    }

    /** @param {number} sender @param {string | Uint8Array} payload @param {any} [options] */
    send(sender, payload, options = {}) {
        const bytes = typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
        return this.do((ann, now) => ann.send(sender, bytes, options, now));
    }

    /**
     * The frames that Ann wrote since the last call.
     *
     * @param {string} [type] only those, the others are lost
     * @returns {any[]}
     */
    take(type) {
        const taken = this.frames;
        this.frames = [];
        return type === undefined ? taken : taken.filter((frame) => frame.type === type);
    }

    /** @param {string} type */
    told(type) {
        return this.events.filter((event) => event.type === type);
    }

    /** The code of Ann's BYE, if she wrote one. */
    get bye() {
        return /** @type {any} */ (this.frames.find(({ type }) => type === "BYE"))?.code;
    }

    /** @param {number} [at] the n-th receiver that was made @returns {any} */
    read(at = 0) {
        return this.do((ann, now) => ann.read(this.told("ReceiverCreated")[at].receiver, now));
    }
}
