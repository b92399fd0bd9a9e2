// SPDX-License-Identifier: Apache-2.0
// The binding to WebRTC, on channels that are played (chapter 12).
import assert from "node:assert/strict";
import { test } from "node:test";
import { Call } from "../callchannel/call.js";
import { Code } from "../callchannel/errors.js";
import { awaitTransport, laneOf, openTransport } from "../callchannel/webrtc.js";
import { FakeChannel, FakeConnection } from "./support/rtc.js";

/** @param {any} value @returns {any} */
const any = (value) => value;

/** A transport that is up, its connection, and what it told. @param {any} [options] */
async function opened(options = {}) {
    const connection = new FakeConnection();
    const opening = openTransport(any(connection), options);
    for (const channel of connection.channels) channel.open();
    const transport = await opening;
    /** @type {any[]} */
    const told = [];
    const attach = () =>
        transport.attach({
            packet: (lane, packet) => told.push([lane, packet.length]),
            text: (lane) => told.push([lane, "text"]),
            writable: (lane) => told.push([lane, "writable"]),
            lossy: (open) => told.push(["lossy", open]),
            down: () => told.push("down"),
        });
    const [reliable, lossy] = connection.channels;
    return { connection, transport, told, attach, reliable, lossy };
}

test("the initiator creates both channels as section 12.2 says", async () => {
    const { connection, reliable, lossy } = await opened();
    const of = (/** @type {any} */ { label, protocol, ordered, maxRetransmits, binaryType }) => [
        label,
        protocol,
        ordered,
        maxRetransmits,
        binaryType,
    ];
    assert.deepEqual(of(reliable), ["reliable", "callchannel.1", true, null, "arraybuffer"]);
    assert.deepEqual(of(lossy), ["lossy", "callchannel.1", false, 0, "arraybuffer"]);
    assert.throws(() => openTransport(any(connection)), { code: Code.INVALID_ARGUMENT }); // CC-RTC-008
});

test("the acceptor takes a channel as a lane only if all of it fits (CC-RTC-004 to 006)", () => {
    const lane = (/** @type {string} */ label, /** @type {any} */ options) =>
        laneOf(any(new FakeChannel(label, options)));
    const protocol = "callchannel.1";
    assert.equal(lane("reliable", { protocol }), "reliable");
    assert.equal(lane("lossy", { protocol, ordered: false, maxRetransmits: 0 }), "lossy");
    assert.equal(lane("reliable", { protocol: "chat" }), null);
    assert.equal(lane("reliable", { protocol, ordered: false }), null);
    assert.equal(lane("reliable", { protocol, maxRetransmits: 3 }), null);
    assert.equal(lane("lossy", { protocol, ordered: false }), null);
    assert.equal(lane("Reliable", { protocol }), null);
});

test("water marks: blocked from 65,536 buffered bytes on, until 32,768 are left", async () => {
    const { transport, told, attach, reliable } = await opened();
    attach();
    reliable.stuck = true;
    for (let at = 0; at < 3; at += 1) transport.send("reliable", new Uint8Array(16384));
    assert.equal(transport.ready("reliable"), true);
    transport.send("reliable", new Uint8Array(16384));
    assert.equal(transport.ready("reliable"), false);
    assert.equal(transport.ready("lossy"), true);
    reliable.drainTo(40000);
    assert.equal(transport.ready("reliable"), false);
    reliable.drainTo(32768);
    assert.deepEqual([transport.ready("reliable"), told], [true, [["reliable", "writable"]]]);
});

test("a channel that does not take a packet says so", async () => {
    const { transport, reliable } = await opened();
    reliable.broken = true;
    assert.equal(transport.send("reliable", new Uint8Array(4)), false);
});

test("what comes early is kept, up to 65,536 bytes; more takes the transport down (CC-RTC-013)", async () => {
    const early = await opened();
    early.reliable.arrive(new ArrayBuffer(10));
    early.lossy.arrive("text");
    early.attach();
    assert.deepEqual(early.told, [
        ["reliable", 10],
        ["lossy", "text"],
    ]);
    const flooded = await opened();
    for (let at = 0; at < 5; at += 1) flooded.reliable.arrive(new ArrayBuffer(16384));
    flooded.attach();
    assert.equal(flooded.told.length, 5);
    assert.equal(flooded.told.at(-1), "down");
});

test("messages: views, empty ones, and ones that are too long (CC-RTC-018, 020)", async () => {
    const { told, attach, reliable, lossy } = await opened();
    attach();
    reliable.arrive(new ArrayBuffer(0));
    reliable.arrive(new ArrayBuffer(300_000));
    lossy.arrive(new Uint8Array(2000).subarray(5));
    reliable.arrive("text");
    assert.deepEqual(told, [
        ["reliable", 0],
        ["reliable", 16385],
        ["lossy", 1151],
        ["reliable", "text"],
    ]);
});

test("down: the reliable channel closes, or the connection has failed; not when it is disconnected", async () => {
    const first = await opened();
    first.attach();
    first.connection.become("disconnected");
    first.lossy.close();
    assert.deepEqual(first.told, [["lossy", false]]);
    first.reliable.close();
    first.reliable.arrive(new ArrayBuffer(1));
    assert.deepEqual(first.told, [["lossy", false], "down"]);
    const second = await opened();
    second.attach();
    second.connection.become("failed");
    assert.deepEqual(second.told, ["down"]);
});

test("down: the application has closed its own connection, which tells no event", async (context) => {
    context.mock.timers.enable({ apis: ["setInterval"] });
    const { connection, told, attach } = await opened();
    attach();
    context.mock.timers.tick(500);
    assert.deepEqual(told, []);
    connection.connectionState = "closed";
    context.mock.timers.tick(500);
    assert.deepEqual(told, ["down"]);
});

test("a transport that is lost closes its own connection, or on another's its own channels", async () => {
    const owned = await opened({ owned: true });
    owned.attach();
    owned.reliable.close();
    assert.deepEqual([owned.connection.closed, owned.told], [true, ["down"]]);
    const failed = await opened({ owned: true });
    failed.connection.become("failed"); // before the call has attached
    assert.equal(failed.connection.closed, true);
    const lent = await opened();
    const own = lent.connection.createDataChannel("own", {});
    own.open();
    lent.attach();
    lent.reliable.close();
    assert.deepEqual(
        [lent.connection.closed, lent.lossy.readyState, own.readyState, lent.told],
        [false, "closed", "open", ["down"]], // CC-RTC-031, 033
    );
    // The connection lives on: the next transport may be on it, whatever is still done with the old one (CC-RTC-008).
    const opening = openTransport(any(lent.connection));
    await lent.transport.close(false);
    assert.throws(() => openTransport(any(lent.connection)), { code: Code.INVALID_ARGUMENT });
    for (const channel of lent.connection.channels.slice(-2)) channel.open();
    assert.equal((await opening).ready("reliable"), true);
});

test("closing drains, closes the channels, and leaves a connection that the application owns", async () => {
    const { connection, transport, reliable, told, attach } = await opened();
    attach();
    reliable.stuck = true;
    transport.send("reliable", new Uint8Array(9));
    const closing = transport.close(true);
    assert.equal(reliable.readyState, "open");
    reliable.arrive(new ArrayBuffer(3)); // ignored from now on (CC-RTC-032)
    reliable.drainTo(0);
    await closing;
    assert.deepEqual([reliable.readyState, connection.closed, told], ["closed", false, []]);
    const owned = await opened({ owned: true });
    await owned.transport.close(false);
    assert.equal(owned.connection.closed, true);
});

test("a transport that never comes up: the connection fails, or nobody waits any more", async () => {
    const connection = new FakeConnection();
    const opening = openTransport(any(connection));
    connection.become("failed");
    await assert.rejects(opening, { code: Code.TIMEOUT }); // CC-SIG-059
    const abort = new AbortController();
    const waiting = awaitTransport(any(new FakeConnection()), { signal: abort.signal });
    abort.abort();
    await assert.rejects(waiting, { code: Code.CANCELLED });
});

test("an awaited transport that never comes up: the connection fails, its channel closes, or it is closed", async (context) => {
    context.mock.timers.enable({ apis: ["setInterval"] });
    /** @param {(connection: FakeConnection) => void} act */
    const refused = async (act) => {
        const connection = new FakeConnection();
        const waiting = awaitTransport(any(connection), { owned: true });
        act(connection);
        await assert.rejects(waiting, { code: Code.TIMEOUT }); // CC-SIG-059
        assert.equal(connection.closed, true);
    };
    const channel = new FakeChannel("reliable", { protocol: "callchannel.1" });
    const brings = (/** @type {FakeConnection} */ connection) =>
        connection.dispatchEvent(Object.assign(new Event("datachannel"), { channel }));
    await refused((connection) => connection.become("failed"));
    await refused((connection) => connection.become("closed"));
    await refused((connection) => {
        connection.connectionState = "closed"; // by this side: no event tells it
        context.mock.timers.tick(500);
    });
    await refused((connection) => {
        brings(connection);
        connection.become("failed");
    });
    channel.readyState = "connecting";
    await refused((connection) => {
        brings(connection);
        channel.close();
    });
});

test("a transport that is up stays up when the time for it is over", async () => {
    const [left, right] = [new FakeConnection(), new FakeConnection()];
    const late = new AbortController();
    const accepting = awaitTransport(any(right), { signal: late.signal });
    const opening = openTransport(any(left), { owned: true, signal: late.signal });
    left.meet(right);
    const [transport, other] = await Promise.all([opening, accepting]);
    late.abort();
    await Promise.resolve();
    assert.deepEqual([transport.ready("reliable"), other.ready("reliable"), left.closed], [true, true, false]);
});

test("a call over two connections, beside a channel of the application's own", async () => {
    const [left, right] = [new FakeConnection(), new FakeConnection()];
    const own = left.createDataChannel("reliable", { protocol: "chat" });
    const bob = new Call({ role: "acceptor", id: "bob", peer: "ann" });
    const accepted = awaitTransport(any(right)).then((transport) => bob.accept(transport));
    const ann = new Call({
        role: "initiator",
        id: "ann",
        connect: async () => {
            const opening = openTransport(any(left));
            left.meet(right);
            return opening;
        },
    });
    await Promise.all([ann.join(), accepted]);
    await ann.createSender().sendText("over channels");
    const { value: receiver } = await bob.receivers().next();
    assert.equal(await /** @type {any} */ (receiver).read().text(), "over channels");
    await ann.leave();
    await bob.ended;
    assert.equal(own.readyState, "open");
    assert.deepEqual(own.sent, []);
});
