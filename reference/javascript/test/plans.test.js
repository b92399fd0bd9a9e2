// SPDX-License-Identifier: Apache-2.0
// Many peer-to-peer calls under a network that is drawn as data: what was promised holds in each of them (section
// 7.17).
import assert from "node:assert/strict";
import { test } from "node:test";
import { CallError, Code } from "../callchannel/errors.js";
import { Endpoint } from "../callchannel/endpoint.js";
import { Network, entropy } from "./support/network.js";

/**
 * What is to happen: operations of the application, fates of Lossy packets, cuts of the transport.
 *
 * @typedef {{ op: "send" | "read" | "close" | "open" | "cut" | "connect" | "run" | "cancel" | "closeReceiver", who:
 * "ann" | "bob",
 *   pick: number, size: number }} Step
 */

const OPS = /** @type {const} */ ([
    "send",
    "send",
    "send",
    "send",
    "read",
    "read",
    "run",
    "run",
    "open",
    "close",
    "cut",
    "connect",
    "cancel",
    "closeReceiver",
]);
const FATES = /** @type {const} */ (["ok", "ok", "drop", "dup", 15, 40]);

/** @param {number} seed @returns {{ steps: Step[], fates: import("./support/network.js").Fate[] }} */
function plan(seed) {
    const random = entropy(seed);
    const number = (/** @type {number} */ below) => ((random(1)[0] << 8) | random(1)[0]) % below;
    const steps = Array.from(
        { length: 150 },
        () =>
            /** @type {Step} */ ({
                op: OPS[number(OPS.length)],
                who: number(2) ? "ann" : "bob",
                pick: number(1000),
                size: number(4) ? number(3000) : number(60000),
            }),
    );
    return { steps, fates: Array.from({ length: 100 }, () => FATES[number(FATES.length)]) };
}

/** @param {ReturnType<typeof plan>} drawn */
function play({ steps, fates }) {
    const network = new Network();
    const limits = { window: 65536, send_buffer: 262144, idle_close: 0 };
    network.add("ann", new Endpoint({ role: "initiator", id: "ann", entropy: entropy(1), limits }));
    network.add("bob", new Endpoint({ role: "acceptor", id: "bob", peer: "ann", entropy: entropy(2), limits }));
    let transport = 1;
    network.connect("t1", "ann", "bob", { fates: [...fates] });
    network.run(100);
    /** @type {{ who: string, sender: number, reliable: boolean, delivered: boolean, sent: Map<number, number> }[]} */
    const senders = [];
    /** What each receiver read. @type {Map<string, { sequences: number[], sizes: number[] }>} */
    const read = new Map();
    const closedByUs = new Set();
    const other = (/** @type {string} */ who) => (who === "ann" ? "bob" : "ann");
    const readAll = (/** @type {string} */ who, /** @type {any} */ created) => {
        const key = `${who} ${created.session} ${created.participant.slot}`;
        const log = read.get(key) ?? { sequences: [], sizes: [] };
        read.set(key, log);
        for (const message of network.readAll(who, created.receiver)) {
            log.sequences.push(message.sequence);
            log.sizes.push(message.payload.length);
            assert.ok(
                message.payload.every((/** @type {number} */ byte) => byte === message.sequence % 256),
                "bytes of another message",
            );
        }
    };
    for (const { op, who, pick, size } of steps) {
        const mine = senders.filter((one) => one.who === who);
        const chosen = mine[pick % Math.max(1, mine.length)];
        const created = network.told(who, "ReceiverCreated");
        const receiver = created[pick % Math.max(1, created.length)];
        try {
            if (op === "open") {
                const reliable = pick % 3 > 0;
                const delivered = reliable && pick % 2 === 0;
                const options = {
                    reliability: reliable ? "reliable" : "lossy",
                    confirm: delivered ? "delivered" : "accepted",
                    priority: pick % 5 ? "normal" : "high",
                };
                const { sender } = network.do(who, (e, now) => e.openSender(/** @type {any} */ (options), now));
                senders.push({ who, sender, reliable, delivered, sent: new Map() });
            } else if (op === "send" && chosen !== undefined) {
                const sequence = chosen.sent.size + 1;
                const payload = new Uint8Array(chosen.reliable ? size : Math.min(size, 20000)).fill(sequence % 256);
                const given = network.do(who, (e, now) => e.send(chosen.sender, payload, {}, now));
                // A Lossy sender whose peer closed the receiver drops what it is given, without a number (S03).
                if (given === 0) assert.equal(chosen.reliable, false);
                else assert.equal(given, sequence);
                if (given > 0) chosen.sent.set(sequence, payload.length);
            } else if (op === "cancel" && chosen !== undefined && chosen.sent.size > 0) {
                network.do(who, (e, now) => e.cancel(chosen.sender, 1 + (pick % chosen.sent.size), now));
            } else if (op === "close" && chosen !== undefined && pick % 2) {
                network.do(who, (e, now) => e.closeSender(chosen.sender, now));
            } else if (op === "read" && receiver !== undefined) {
                readAll(who, receiver);
            } else if (op === "closeReceiver" && receiver !== undefined && pick % 4 === 0) {
                network.do(who, (e, now) => e.closeReceiver(receiver.receiver, now));
                closedByUs.add(`${who} ${receiver.session} ${receiver.participant.slot}`);
            } else if (op === "cut" && pick % 2) {
                network.cut(`t${transport}`);
            } else if (op === "connect") {
                transport += 1;
                network.connect(`t${transport}`, "ann", "bob", { fates: [...fates], lossy: pick % 3 > 0 });
            } else if (op === "run") {
                network.run(pick % 60);
            }
        } catch (error) {
            const codes = [Code.WOULD_BLOCK, Code.SENDER_CLOSED, Code.CLOSED];
            if (!(error instanceof CallError) || !codes.includes(error.code)) throw error;
        }
    }
    // Heal, let everything be read, and let the time that is left pass: nothing may be pending then.
    transport += 1;
    network.connect(`t${transport}`, "ann", "bob");
    for (let round = 0; round < 40; round += 1) {
        network.run(100);
        for (const who of ["ann", "bob"])
            for (const created of network.told(who, "ReceiverCreated")) readAll(who, created);
    }
    assert.equal(network.of("ann").state, "ACTIVE");
    for (const { who, sender, reliable, delivered, sent } of senders) {
        const settled = network.told(who, "MessageSettled").filter((event) => event.sender === sender);
        assert.equal(new Set(settled.map(({ sequence }) => sequence)).size, settled.length, "more than one outcome");
        if (reliable) assert.equal(settled.length, sent.size, "a message without an outcome");
        const statistics = network.of(who).senderStatistics(sender);
        assert.equal(statistics.messages_waiting, 0);
        assert.equal(statistics.bytes_waiting, 0);
        const peer = other(who);
        const slot = who === "ann" ? 1 : 0;
        // Sessions are numbered in the order of first frames; the one of this sender is found by what was read from it.
        for (const created of network
            .told(peer, "ReceiverCreated")
            .filter(({ participant }) => participant.slot === slot)) {
            const log = read.get(`${peer} ${created.session} ${slot}`);
            if (log === undefined || !created.reliable) continue;
            assert.deepEqual(
                log.sequences,
                [...new Set(log.sequences)].sort((one, two) => one - two),
                "order or duplicates",
            );
        }
        if (!delivered) continue;
        for (const { sequence, code, report } of settled) {
            if (code === Code.NONE)
                assert.deepEqual(
                    report.reached.map((/** @type {any} */ one) => one.slot),
                    [1 - slot],
                );
            assert.ok(sequence <= sent.size);
        }
    }
    for (const [key, log] of read) {
        assert.equal(new Set(log.sequences).size, log.sequences.length, `duplicates at ${key}`);
    }
    for (const who of ["ann", "bob"]) assert.equal(network.of(who).linkStatistics()?.bytes_unacknowledged, 0);
    return { read, network };
}

test("200 plans: one outcome each, order, no duplicates, nothing pending at the end", () => {
    let messages = 0;
    let resumes = 0;
    for (let seed = 1; seed <= 200; seed += 1) {
        try {
            const { read, network } = play(plan(seed));
            for (const { sequences } of read.values()) messages += sequences.length;
            resumes += network.told("ann", "LinkResumed").length;
        } catch (error) {
            throw new Error(`plan ${seed}`, { cause: error });
        }
    }
    assert.ok(messages > 2000, `${messages} messages were read`);
    assert.ok(resumes > 1000, `${resumes} resumes`);
});
