// SPDX-License-Identifier: Apache-2.0
// Whole peer-to-peer calls between two endpoints, in virtual time (chapters 9 and 11, and all that they carry).
import assert from "node:assert/strict";
import { test } from "node:test";
import { Code } from "../callchannel/errors.js";
import { Endpoint } from "../callchannel/endpoint.js";
import { MS, Network, entropy } from "./support/network.js";

/** @param {string} text */
const bytes = (text) => new TextEncoder().encode(text);
/** @param {Uint8Array} payload */
const text = (payload) => new TextDecoder().decode(payload);

/** @param {object} [options] @param {any} [connect] */
function call(options = {}, connect = {}) {
    const network = new Network();
    network.add("ann", new Endpoint({ role: "initiator", id: "ann", entropy: entropy(1), ...options }));
    network.add("bob", new Endpoint({ role: "acceptor", id: "bob", peer: "ann", entropy: entropy(2), ...options }));
    network.connect("t1", "ann", "bob", connect);
    network.run(100);
    return network;
}

/** @param {Network} network @param {string} name @param {any} [options] */
const open = (network, name, options = {}) => network.do(name, (e, now) => e.openSender(options, now)).sender;
/**
 * @param {Network} network
 * @param {string} name
 * @param {number} sender
 * @param {string | Uint8Array} payload
 * @param {any} [options]
 */
const send = (network, name, sender, payload, options = {}) =>
    network.do(name, (e, now) => e.send(sender, typeof payload === "string" ? bytes(payload) : payload, options, now));
/** @param {Network} network @param {string} name */
const receivers = (network, name) => network.told(name, "ReceiverCreated").map(({ receiver }) => receiver);

test("both join, and know each other", () => {
    const network = call();
    for (const name of ["ann", "bob"]) {
        const [joined] = network.told(name, "Joined");
        assert.equal(joined.slot, name === "ann" ? 1 : 0);
        assert.deepEqual(
            network
                .of(name)
                .participants()
                .map(({ slot, id }) => [slot, id]),
            [
                [0, "bob"],
                [1, "ann"],
            ],
        );
    }
});

test("a Reliable message is accepted, then read, then its sender is closed", () => {
    const network = call();
    const sender = open(network, "ann");
    assert.equal(send(network, "ann", sender, "hi"), 1);
    network.run(100);
    const [settled] = network.told("ann", "MessageSettled");
    assert.deepEqual([settled.sequence, settled.code, settled.report.reached], [1, 0, [{ slot: 0, id: "bob" }]]);
    const [created] = network.told("bob", "ReceiverCreated");
    assert.deepEqual(
        [created.participant, created.channel, created.session, created.reliable],
        [{ slot: 1, id: "ann" }, 1, 1, true],
    );
    assert.equal(network.told("bob", "ReceiverReadable").length, 1);
    network.do("ann", (e, now) => e.closeSender(sender, now));
    network.run(100);
    assert.equal(network.told("ann", "SenderEnded")[0].code, Code.NONE);
    assert.equal(network.told("bob", "ReceiverClosed").length, 0);
    assert.deepEqual(
        network.readAll("bob", created.receiver).map(({ sequence, payload }) => [sequence, text(payload)]),
        [[1, "hi"]],
    );
    assert.equal(network.told("bob", "ReceiverClosed")[0].code, Code.NONE);
});

test("the confirm point delivered waits for the reader", () => {
    const network = call();
    const sender = open(network, "bob", { confirm: "delivered" });
    send(network, "bob", sender, "read me");
    network.run(1000);
    assert.equal(network.told("bob", "MessageSettled").length, 0);
    network.readAll("ann", receivers(network, "ann")[0]);
    network.run(100);
    assert.deepEqual(network.told("bob", "MessageSettled")[0].report.reached, [{ slot: 1, id: "ann" }]);
});

test("nobody reads: the verdict is unknown after delivered_deadline", () => {
    const network = call();
    const sender = open(network, "ann", { confirm: "delivered" });
    send(network, "ann", sender, "never read");
    network.run(61_000);
    const [{ code, report }] = network.told("ann", "MessageSettled");
    assert.equal(code, Code.DEADLINE);
    assert.deepEqual(report.unknown, [{ recipient: { slot: 0, id: "bob" }, code: Code.DEADLINE }]);
});

test("a message of a megabyte passes through a window of 64 KiB", () => {
    const network = call({ limits: { window: 65536 } });
    const payload = Uint8Array.from({ length: 1_000_000 }, (_, at) => at * 7);
    const sender = open(network, "ann");
    send(network, "ann", sender, payload);
    network.run(5000);
    const [message] = network.readAll("bob", receivers(network, "bob")[0]);
    assert.deepEqual(message.payload, payload);
    assert.equal(network.told("ann", "MessageSettled")[0].code, 0);
});

test("flow control: a receiver that does not read stops its sender, and no other", () => {
    const network = call();
    const [slow, quick] = [open(network, "ann"), open(network, "ann")];
    let turnedAway = 0;
    for (let at = 0; at < 200; at += 1) {
        try {
            send(network, "ann", slow, new Uint8Array(16000));
        } catch (error) {
            assert.equal(/** @type {any} */ (error).code, Code.WOULD_BLOCK);
            turnedAway += 1;
        }
        network.run(10);
    }
    assert.ok(turnedAway > 0);
    send(network, "ann", quick, "still here");
    network.run(100);
    const [, second] = receivers(network, "bob");
    assert.equal(text(network.readAll("bob", second)[0].payload), "still here");
    const before = network.told("ann", "SenderWritable").length;
    network.readAll("bob", receivers(network, "bob")[0]);
    network.run(1000);
    assert.ok(network.told("ann", "SenderWritable").length > before);
});

test("a lost transport is resumed without loss and without duplicates, however often", () => {
    const network = call();
    const sender = open(network, "ann");
    let sent = 0;
    for (let round = 2; round < 12; round += 1) {
        for (let at = 0; at < 20; at += 1) {
            sent += 1;
            send(network, "ann", sender, `message ${sent}`);
            network.run(3);
        }
        network.cut(`t${round - 1}`);
        assert.equal(network.of("ann").state, "SUSPENDED");
        sent += 1;
        send(network, "ann", sender, `message ${sent}`);
        network.run(200 * round);
        network.connect(`t${round}`, "ann", "bob");
        network.run(round % 2 === 0 ? 200 : 15);
    }
    network.run(1000);
    const messages = network.readAll("bob", receivers(network, "bob")[0]);
    assert.deepEqual(
        messages.map(({ payload }) => text(payload)),
        Array.from({ length: sent }, (_, at) => `message ${at + 1}`),
    );
    assert.ok(network.told("ann", "MessageSettled").every(({ code }) => code === 0));
    assert.equal(network.told("ann", "MessageSettled").length, sent);
    assert.equal(network.told("ann", "LinkSuspended").length, 10);
    assert.equal(network.told("bob", "LinkResumed").length, 10);
    assert.equal(network.told("bob", "ParticipantSuspended").length, 10);
});

test("a new transport before the old one is known to be gone", () => {
    const network = call();
    const sender = open(network, "ann");
    for (let at = 1; at <= 50; at += 1) send(network, "ann", sender, `m${at}`);
    network.mute("t1");
    network.run(5);
    network.connect("t2", "ann", "bob");
    network.run(500);
    const messages = network.readAll("bob", receivers(network, "bob")[0]);
    assert.equal(messages.length, 50);
    assert.equal(network.told("bob", "LinkSuspended").length, 0);
    assert.equal(network.told("ann", "LinkSuspended").length, 1);
});

test("silence suspends the link, the resume window ends it: unknown, unread stays readable", () => {
    const network = call();
    const sender = open(network, "ann");
    send(network, "ann", sender, "accepted");
    network.run(100);
    network.mute("t1");
    send(network, "ann", sender, "on its way");
    network.run(14_000);
    assert.equal(network.of("ann").state, "ACTIVE");
    network.run(1_500);
    assert.equal(network.of("ann").state, "SUSPENDED");
    send(network, "ann", sender, "waits");
    network.run(30_500);
    assert.equal(network.of("ann").state, "DEAD");
    const codes = network
        .told("ann", "MessageSettled")
        .map(({ code, report }) => [code, report.failed.length, report.unknown.length]);
    assert.deepEqual(codes, [
        [0, 0, 0],
        [Code.LINK_LOST, 0, 1],
        [Code.LINK_LOST, 1, 0],
    ]);
    assert.equal(network.told("ann", "CustodyLost")[0].sequence, 1);
    assert.equal(network.told("ann", "LinkEnded")[0].code, Code.LINK_LOST);
    assert.equal(network.told("ann", "ParticipantLeft")[0].code, Code.LOST);
    const [receiver] = receivers(network, "bob");
    assert.equal(text(network.readAll("bob", receiver)[0].payload), "accepted");
    assert.equal(network.told("bob", "ReceiverClosed")[0].code, Code.LINK_LOST);
    assert.throws(() => send(network, "ann", sender, "late"), { code: Code.LINK_LOST });
    assert.throws(() => open(network, "ann"), { code: Code.LINK_LOST });
});

test("leaving: everything queued arrives, the other is told LEFT", () => {
    const network = call();
    const sender = open(network, "ann");
    for (let at = 0; at < 30; at += 1) send(network, "ann", sender, new Uint8Array(5000));
    network.do("ann", (e, now) => e.leave(now));
    assert.throws(() => send(network, "ann", sender, "x"), { code: Code.SENDER_CLOSED });
    assert.throws(() => open(network, "ann"), { code: Code.NOT_JOINED });
    network.run(1000);
    assert.equal(network.told("ann", "LinkEnded")[0].code, Code.NONE);
    assert.ok(network.told("ann", "MessageSettled").every(({ code }) => code === 0));
    assert.equal(network.told("bob", "LinkEnded")[0].code, Code.LEFT);
    assert.equal(network.told("bob", "ParticipantLeft")[0].code, Code.LEFT);
    assert.equal(network.readAll("bob", receivers(network, "bob")[0]).length, 30);
    assert.equal(network.told("bob", "ReceiverClosed")[0].code, Code.NONE);
});

test("Lossy: what the network drops is gone, what it doubles comes once", () => {
    const network = call({}, { fates: ["ok", "drop", "dup", 50, "ok"] });
    const sender = open(network, "ann", { reliability: "lossy" });
    for (let at = 1; at <= 5; at += 1) {
        send(network, "ann", sender, `m${at}`);
        network.run(5);
    }
    network.run(200);
    const [receiver] = receivers(network, "bob");
    assert.equal(network.of("bob").receiverStatistics(receiver)?.drops.duplicate, 1);
    assert.deepEqual(
        network.readAll("bob", receiver).map(({ payload }) => text(payload)),
        ["m1", "m3", "m5", "m4"],
    );
});

test("Lossy fragments in any order; a message of which one is missing is given up", () => {
    const network = call({}, { fates: [30, 20, 10, "ok", "ok", "drop", "ok", "ok"] });
    const sender = open(network, "ann", { reliability: "lossy" });
    const payload = Uint8Array.from({ length: 4000 }, (_, at) => at);
    send(network, "ann", sender, payload);
    network.run(100);
    send(network, "ann", sender, payload);
    network.run(100);
    const [receiver] = receivers(network, "bob");
    const messages = network.readAll("bob", receiver);
    assert.equal(messages.length, 1);
    assert.deepEqual(messages[0].payload, payload);
    assert.ok(Number(network.of("bob").receiverStatistics(receiver)?.bytes_buffered) > 0);
    network.run(2000);
    assert.deepEqual(network.of("bob").receiverStatistics(receiver)?.drops, { partial_timeout: 1 });
    assert.equal(network.of("bob").receiverStatistics(receiver)?.bytes_buffered, 0);
});

test("without a lossy lane Lossy messages go on the reliable one, uncounted", () => {
    const network = call({}, { lossy: false });
    const sender = open(network, "ann", { reliability: "lossy" });
    send(network, "ann", sender, "fresh");
    network.run(50);
    assert.equal(text(network.readAll("bob", receivers(network, "bob")[0])[0].payload), "fresh");
    assert.equal(network.of("ann").linkStatistics()?.bytes_unacknowledged, 0);
});

test("Lossy messages are dropped while the link is suspended", () => {
    const network = call();
    const sender = open(network, "ann", { reliability: "lossy" });
    network.cut("t1");
    send(network, "ann", sender, "stale");
    assert.deepEqual(network.of("ann").senderStatistics(sender).drops, { suspended: 1 });
});

test("LATEST: only the newest is read", () => {
    const network = call();
    const sender = open(network, "ann", { reliability: "lossy", latest: true });
    for (let at = 1; at <= 3; at += 1) {
        send(network, "ann", sender, `at ${at}`);
        network.run(20);
    }
    const [receiver] = receivers(network, "bob");
    assert.deepEqual(network.of("bob").receiverStatistics(receiver)?.drops, { superseded: 2 });
    assert.deepEqual(
        network.readAll("bob", receiver).map(({ payload }) => text(payload)),
        ["at 3"],
    );
});

test("a stream is read as it comes, and its end is told", () => {
    const network = call();
    const sender = open(network, "ann", { confirm: "delivered" });
    const stream = network.do("ann", (e, now) => e.openStream(sender, {}, now));
    network.do("ann", (e, now) => e.writeStream(sender, stream, bytes("one"), now));
    network.run(50);
    const [receiver] = receivers(network, "bob");
    const opened = /** @type {any} */ (network.do("bob", (e, now) => e.read(receiver, now)));
    assert.equal(opened.kind, "stream");
    const read = () => network.do("bob", (e, now) => e.readStream(opened.stream, now));
    assert.equal(text(/** @type {any} */ (read())), "one");
    assert.equal(read(), null);
    network.do("ann", (e, now) => e.writeStream(sender, stream, new Uint8Array(40_000), now));
    network.do("ann", (e, now) => e.finishStream(sender, stream, now));
    send(network, "ann", sender, "behind");
    network.run(200);
    let size = 0;
    for (let chunk = read(); chunk !== "end"; chunk = read()) size += /** @type {Uint8Array} */ (chunk).length;
    assert.equal(size, 40_000);
    network.run(100);
    assert.equal(network.told("ann", "MessageSettled").length, 1);
    assert.equal(text(network.readAll("bob", receiver)[0].payload), "behind");
});

test("a stream that is not finished when its sender closes: ABORTED", () => {
    const network = call();
    const sender = open(network, "ann");
    const stream = network.do("ann", (e, now) => e.openStream(sender, {}, now));
    network.do("ann", (e, now) => e.writeStream(sender, stream, bytes("half"), now));
    network.run(50);
    const [receiver] = receivers(network, "bob");
    const opened = /** @type {any} */ (network.do("bob", (e, now) => e.read(receiver, now)));
    network.do("ann", (e, now) => e.closeSender(sender, now));
    network.run(100);
    assert.equal(network.told("ann", "MessageSettled")[0].code, Code.SENDER_CLOSED);
    assert.equal(network.told("bob", "StreamAborted").length, 1);
    assert.throws(() => network.do("bob", (e, now) => e.readStream(opened.stream, now)), { code: Code.ABORTED });
    assert.equal(network.told("bob", "ReceiverClosed")[0].code, Code.NONE);
});

test("a message that is cancelled half way is aborted, and the next one arrives", () => {
    const network = call({ limits: { window: 65536 } });
    const sender = open(network, "ann");
    const sequence = send(network, "ann", sender, new Uint8Array(900_000));
    network.run(1);
    network.do("ann", (e, now) => e.cancel(sender, sequence, now));
    send(network, "ann", sender, "next");
    network.run(200);
    const [cancelled] = network.told("ann", "MessageSettled");
    assert.deepEqual([cancelled.code, cancelled.report.failed.length], [Code.CANCELLED, 1]);
    const messages = network.readAll("bob", receivers(network, "bob")[0]);
    assert.deepEqual(
        messages.map(({ sequence: s, payload }) => [s, text(payload)]),
        [[2, "next"]],
    );
});

test("the receiver's application closes it: FAIL ends the sender", () => {
    const network = call();
    const sender = open(network, "ann", { confirm: "delivered" });
    send(network, "ann", sender, "read");
    send(network, "ann", sender, "unread");
    network.run(50);
    const [receiver] = receivers(network, "bob");
    network.do("bob", (e, now) => e.read(receiver, now));
    network.do("bob", (e, now) => e.closeReceiver(receiver, now));
    network.run(100);
    assert.deepEqual(
        network.told("ann", "MessageSettled").map(({ sequence, code }) => [sequence, code]),
        [
            [1, 0],
            [2, Code.CLOSED],
        ],
    );
    const [failed] = network.told("ann", "SenderFailed");
    assert.deepEqual([failed.value, failed.code, failed.participant.id], [2, Code.CLOSED, "bob"]);
    assert.equal(network.told("ann", "SenderEnded")[0].code, Code.CLOSED);
    assert.throws(() => send(network, "ann", sender, "more"), { code: Code.CLOSED });
});

test("a receiver closes for idleness, and a new one is made for the same session", () => {
    const network = call();
    const sender = open(network, "ann");
    send(network, "ann", sender, "one");
    network.run(50);
    network.readAll("bob", receivers(network, "bob")[0]);
    network.run(119_000);
    assert.equal(network.told("bob", "ReceiverClosed").length, 0);
    network.run(2_000);
    assert.equal(network.told("bob", "ReceiverClosed")[0].code, Code.IDLE);
    send(network, "ann", sender, "two");
    network.run(50);
    const [, second] = network.told("bob", "ReceiverCreated");
    assert.equal(second.session, 1);
    assert.deepEqual(
        network.readAll("bob", second.receiver).map(({ sequence }) => sequence),
        [2],
    );
});

test("a new sender on a channel closes the old one; both are delivered", () => {
    const network = call();
    const first = open(network, "ann", { channel: 7 });
    send(network, "ann", first, "old");
    const second = open(network, "ann", { channel: 7 });
    send(network, "ann", second, "new");
    assert.throws(() => send(network, "ann", first, "x"), { code: Code.SENDER_CLOSED });
    network.run(200);
    const created = network.told("bob", "ReceiverCreated");
    assert.deepEqual(
        created.map(({ channel, session }) => [channel, session]),
        [
            [7, 1],
            [7, 2],
        ],
    );
    assert.deepEqual(
        created.map(({ receiver }) => text(network.readAll("bob", receiver)[0].payload)),
        ["old", "new"],
    );
});

test("to everyone but the peer: succeeds at once, nothing is written", () => {
    const network = call();
    const sender = open(network, "ann");
    const packets = network.log.length;
    send(network, "ann", sender, "for nobody", { recipients: { except: ["bob"] } });
    assert.equal(network.told("ann", "MessageSettled")[0].code, 0);
    assert.equal(network.log.length, packets);
});

test("recipients by name; unknown ones raise with all names and give no number", () => {
    const network = call();
    const sender = open(network, "ann");
    assert.throws(
        () => send(network, "ann", sender, "x", { recipients: { only: ["bob", "eve", "dan"] } }),
        (/** @type {any} */ error) =>
            error.code === Code.UNKNOWN_RECIPIENT &&
            error.report.failed.map((/** @type {any} */ one) => one.recipient.id).join() === "dan,eve",
    );
    assert.equal(send(network, "ann", sender, "for bob", { recipients: { only: ["bob"] } }), 1);
    network.run(50);
    const [message] = network.readAll("bob", receivers(network, "bob")[0]);
    assert.equal(message.private, true);
});

test("extensions arrive; one that has to be understood and is not ends the session", () => {
    const network = call();
    const sender = open(network, "ann");
    send(network, "ann", sender, "x", {
        contentType: "text/plain",
        name: "note",
        applicationTime: 5,
        mustUnderstand: ["name"],
    });
    send(network, "ann", sender, "y", {
        extensions: [{ type: 0x7001, mustUnderstand: true, value: new Uint8Array(0) }],
    });
    network.run(100);
    const [receiver] = receivers(network, "bob");
    const [{ extensions }] = network.readAll("bob", receiver);
    assert.deepEqual([extensions.contentType, extensions.name, extensions.applicationTime], ["text/plain", "note", 5]);
    assert.equal(network.told("bob", "ReceiverClosed")[0].code, Code.EXTENSION);
    // The FAIL goes before the ACK, and concerns the second message alone.
    const outcomes = network.told("ann", "MessageSettled").map(({ sequence, code }) => [sequence, code]);
    assert.deepEqual(outcomes, [
        [2, Code.EXTENSION],
        [1, 0],
    ]);
});

test("a fresh HELLO beside a living link is refused; with REPLACE it takes its place", () => {
    const network = call();
    const instance = network.of("ann").instance;
    network.add("stranger", new Endpoint({ role: "initiator", id: "ann", entropy: entropy(9) }));
    network.connect("t2", "stranger", "bob");
    network.run(100);
    assert.equal(network.told("stranger", "LinkEnded")[0].code, Code.CALL_FULL);
    assert.equal(network.of("bob").state, "ACTIVE");
    network.add("again", new Endpoint({ role: "initiator", id: "ann", entropy: entropy(3), instance, replace: true }));
    network.connect("t3", "again", "bob");
    network.run(100);
    assert.equal(network.told("ann", "LinkEnded")[0].code, Code.REPLACED);
    assert.equal(network.told("bob", "LinkEnded")[0].code, Code.REPLACED);
    assert.equal(network.told("again", "Joined").length, 1);
    assert.equal(network.told("bob", "Joined").length, 2);
    const sender = open(network, "again");
    send(network, "again", sender, "me again");
    network.run(50);
    assert.equal(text(network.readAll("bob", receivers(network, "bob")[0])[0].payload), "me again");
});

test("who is not admitted is told so", () => {
    const network = new Network();
    network.add("ann", new Endpoint({ role: "initiator", id: "ann", entropy: entropy(1) }));
    network.add("bob", new Endpoint({ role: "acceptor", id: "bob", peer: "ann", entropy: entropy(2) }));
    network.connect("t1", "ann", "bob", { identity: "mallory" });
    network.run(100);
    assert.equal(network.told("ann", "LinkEnded")[0].code, Code.NOT_ADMITTED);
});

test("an idle link stays alive by its ACKs", () => {
    const network = call();
    network.run(60_000);
    assert.equal(network.of("ann").state, "ACTIVE");
    assert.equal(network.told("ann", "LinkSuspended").length, 0);
});

test("high priority overtakes bulk, and does not starve it", () => {
    const network = call();
    const [bulk, urgent] = [open(network, "ann"), open(network, "ann", { priority: "high" })];
    const endpoint = network.of("ann");
    endpoint.send(bulk, new Uint8Array(200_000), {}, network.now);
    for (let at = 0; at < 9; at += 1) endpoint.send(urgent, new Uint8Array(1100), {}, network.now);
    const sizes = [];
    for (
        let packet = endpoint.pull("t1", "reliable", 1, network.now);
        packet;
        packet = endpoint.pull("t1", "reliable", 1, network.now)
    )
        sizes.push(packet.length);
    assert.deepEqual(
        sizes.slice(0, 11).map((size) => (size > 2000 ? "bulk" : "high")),
        ["high", "high", "high", "high", "bulk", "high", "high", "high", "high", "bulk", "high"],
    );
});

test("a bitrate is kept", () => {
    const network = call();
    const sender = open(network, "ann", { bitrate: 131_072 });
    send(network, "ann", sender, new Uint8Array(100_000));
    const start = network.now;
    network.run(2_500);
    const written = network.log.filter(({ from, packet }) => from === "ann" && packet.length > 10_000).length;
    assert.equal(written, 4);
    network.run(10_000);
    assert.equal(network.told("ann", "MessageSettled").length, 1);
    assert.ok(network.now - start >= 5 * 1000 * MS);
});
