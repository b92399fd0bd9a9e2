// SPDX-License-Identifier: Apache-2.0
// How many sessions and FAILs an endpoint keeps, whatever its peer or relay does (CC-SESS-069 to 072).
import assert from "node:assert/strict";
import { test } from "node:test";
import { Code } from "../callchannel/errors.js";
import { Endpoint } from "../callchannel/endpoint.js";
import { entropy } from "./support/network.js";
import { Script, control, data, roster } from "./support/relay.js";

/** @typedef {import("../callchannel/frames.js").Frame} Frame */

const MEMORY = 1 << 20;
/** So many sessions, dead sessions and FAILs fit into the least memory. */
const MOST = MEMORY / 1024;
const limits = { receive_memory: MEMORY, window: 65536, largest_message: 32768, open_sessions: 16 };
const empty = new Uint8Array(0);

/** Ann, whose memory is the least, in a group call with Bob in slot 1. @param {object} [more] limits */
const inGroup = (more = {}) => new Script({ limits: { ...limits, ...more } }).join(["bob"]);

/** The same with Bob as her peer: he is the acceptor, in slot 0. @param {object} [more] limits */
function withPeer(more = {}) {
    const script = new Script();
    script.ann = new Endpoint({ role: "initiator", id: "ann", entropy: entropy(5), limits: { ...limits, ...more } });
    script.ann.transportUp(script.transport, script.now, { lossy: true });
    script.pump();
    script.take();
    script.write(
        script.welcome({ slot: 1 }),
        roster(
            1,
            [
                ["JOIN", 0, "bob"],
                ["JOIN", 1, "ann"],
            ],
            { snapshot: true },
        ),
    );
    return script;
}

/** @param {Script} script */
const owner = (script) => (script.told("Joined")[0].slot === 0 ? 1 : 0);
/** The first message of a session. @param {Script} script @param {number} session */
const first = (script, session) =>
    data({ session, sender: owner(script), channel: (session % 60000) + 1, payload: empty });
/** @param {Script} script @param {number} session */
const close = (script, session) => control("CLOSE", { sender: owner(script), session, value: 1 });

/**
 * Frames of many sessions, of an owner that acknowledges all and keeps within `control_frames`.
 *
 * @param {Script} script
 * @param {number} from
 * @param {number} count
 * @param {(session: number) => Frame[]} frames
 */
function flood(script, from, count, frames) {
    for (let session = from; session < from + count; session += 1) {
        script.now += 2000;
        script.write(...frames(session));
        script.ack();
    }
}

for (const [name, start] of /** @type {const} */ ([
    ["group", inGroup],
    ["peer", withPeer],
])) {
    test(`${name}: sessions that are closed and never read (CC-SESS-069)`, () => {
        const script = start();
        flood(script, 1, 2 * MOST, (session) => [first(script, session), close(script, session)]);
        assert.equal(script.ann.state, "ACTIVE");
        assert.equal(script.told("ReceiverCreated").length, MOST);
        assert.equal(script.take("FAIL").filter(({ reason }) => reason === Code.TOO_MANY_SESSIONS).length, MOST);
        for (let at = 0; at < MOST; at += 1) script.read(at);
        flood(script, 5 * MOST, 1, (session) => [first(script, session)]);
        assert.equal(script.told("ReceiverCreated").length, MOST + 1);
    });

    test(`${name}: tombstones (CC-SESS-070)`, () => {
        const script = start();
        flood(script, 1, 3 * MOST, (session) => {
            script.ann.handleTimeout(script.now);
            return [close(script, session)];
        });
        script.wait(1000);
        assert.equal(script.ann.state, "ACTIVE");
        const late = (/** @type {number} */ session, /** @type {number} */ channel) =>
            data({ reliable: false, session, channel, sender: owner(script) });
        script.writeLossy(late(3 * MOST, 7), late(1, 8));
        assert.equal(script.told("ReceiverCreated").length, 1);
    });

    test(`${name}: FAILs that are not acknowledged (CC-SESS-071)`, () => {
        const script = start({ open_sessions: 65535 });
        for (let session = 1; session <= MOST + 1; session += 1) {
            script.now += 2000;
            assert.equal(script.ann.state, "ACTIVE");
            script.write(first(script, session));
            const { receiver } = script.told("ReceiverCreated").at(-1);
            script.do((ann, now) => ann.closeReceiver(receiver, now));
            script.write(close(script, session));
        }
        const [{ code, byPeer }] = script.told("LinkEnded");
        assert.deepEqual([code, byPeer], [Code.MEMORY, false]);
        assert.equal(script.bye, Code.MEMORY);
    });
}

test("peer: dead sessions are forgotten, and their numbers are still over (CC-SESS-060, 070)", () => {
    const script = withPeer();
    flood(script, 1, 16 + 3 * MOST, (session) => [first(script, session)]);
    assert.equal(script.ann.state, "ACTIVE");
    assert.equal(script.take("FAIL").length, 3 * MOST);
    script.write(data({ session: 17, sequence: 2, channel: 18, sender: 0 }));
    assert.equal(script.told("ReceiverCreated").length, 16);
    assert.equal(script.take("FAIL").length, 0);
});

test("group: a relay that closes nothing that failed ends its own link (CC-SESS-070)", () => {
    const script = inGroup();
    flood(script, 1, 16 + MOST, (session) => [first(script, session)]);
    assert.equal(script.ann.state, "ACTIVE");
    flood(script, 17 + MOST, 1, (session) => [first(script, session)]);
    assert.equal(script.told("LinkEnded")[0].code, Code.MEMORY);
});

test("group: what the relay closes costs nothing (CC-SESS-057)", () => {
    const script = inGroup();
    flood(script, 1, 16, (session) => [first(script, session)]);
    flood(script, 17, 3 * MOST, (session) => [first(script, session), close(script, session)]);
    assert.equal(script.ann.state, "ACTIVE");
});

test("the number of unread messages (CC-DELIV-081)", () => {
    const script = inGroup({ open_sessions: 256 });
    for (let session = 1; session <= 20; session += 1) {
        for (let first = 1; first <= 1024; first += 256) {
            const frames = Array.from({ length: 256 }, (_, at) =>
                data({ session, sequence: first + at, channel: session, payload: empty }),
            );
            script.write(...frames);
        }
    }
    const closed = script.told("ReceiverClosed");
    assert.ok(closed.length >= 15 && closed.every(({ code }) => code === Code.MEMORY));
    assert.equal(script.ann.state, "ACTIVE");
    const failed = script.take("FAIL");
    assert.ok(failed.every(({ reason, value }) => reason === Code.MEMORY && Number(value) === 1));
    assert.equal(failed.length, closed.length);
});

test("memory is one for all links of an acceptor (CC-DELIV-059, CC-LINK-059)", () => {
    const script = new Script();
    script.ann = new Endpoint({
        role: "acceptor",
        id: "ann",
        peer: "bob",
        entropy: entropy(5),
        limits: { ...limits, window: MEMORY },
    });
    const hello = (/** @type {boolean} */ replace) => {
        script.ann.transportUp(script.transport, script.now, { lossy: true });
        script.write({
            type: "HELLO",
            resume: false,
            replace,
            features: 0,
            token: Uint8Array.from({ length: 16 }, (_, at) => at),
            attempt: 1,
            received: 0,
            window: 65536,
            largestMessage: 32768,
            id: "bob",
        });
    };
    const fill = (/** @type {number} */ count) => {
        for (let sequence = 1; sequence <= count; sequence += 1) {
            script.write(data({ sequence, payload: new Uint8Array(16000) }));
        }
    };
    hello(false);
    fill(50);
    script.transport = "t2";
    hello(true);
    fill(30);
    script.events.push(...script.ann.events());
    const [older] = script.told("ReceiverCreated");
    assert.deepEqual(
        script.told("ReceiverClosed").map(({ receiver, code }) => [receiver, code]),
        [[older.receiver, Code.MEMORY]],
    );
    let read = 0;
    while (script.read(1) !== null) read += 1;
    assert.equal(read, 30);
});

test("a peer is held to the rate of control frames, a relay is not (CC-LIMIT-016, CC-LIMIT-022)", () => {
    const relay = inGroup();
    for (let at = 0; at < 5000; at += 1) relay.write(control("CLOSE", { sender: 1, session: 9, value: 1 }));
    assert.equal(relay.ann.state, "ACTIVE");
    const peer = withPeer();
    const sender = peer.open();
    for (let at = 0; at < 20; at += 1) peer.send(sender, "x");
    peer.take();
    const flood = control("CLOSE", { sender: owner(peer), session: 9, value: 1 });
    for (let at = 0; at < 2040; at += 1) peer.write(flood);
    assert.equal(peer.ann.state, "ACTIVE");
    peer.write(flood);
    assert.equal(peer.bye, Code.RATE);
});
