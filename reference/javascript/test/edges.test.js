// SPDX-License-Identifier: Apache-2.0
// Edges that the text settles in one sentence each.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Code } from "../callchannel/errors.js";
import { Endpoint } from "../callchannel/endpoint.js";
import { encodeFrame } from "../callchannel/frames.js";
import { Network, entropy } from "./support/network.js";
import { Script, control, data, roster } from "./support/relay.js";

/** @param {Script} script the verdicts of what settled, by sequence */
const outcomes = (script) =>
    script
        .told("MessageSettled")
        .map(({ sequence, report }) => [sequence, report.failed.length, report.unknown.length]);

test("UNCERTAIN: every wholly written message from v on is unknown, the rest failed (CC-DELIV-022, 024)", () => {
    for (const recipient of [1, 0xffff]) {
        const script = new Script().join(["bob"], { window: 65536 });
        const sender = script.open({ confirm: "delivered", recipients: { only: ["bob"] } });
        for (const size of [10, 10, 10, 70_000, 10]) script.send(sender, new Uint8Array(size));
        script.write(control("RECEIPT", { recipient: 1, value: 1 }));
        const reason = recipient === 1 ? Code.LOST : Code.SEQUENCE;
        script.write(control("FAIL", { recipient, value: 2, reason, uncertain: true }));
        assert.deepEqual(outcomes(script), [
            [1, 0, 0],
            [2, 0, 1],
            [3, 0, 1],
            [4, 1, 0],
            [5, 1, 0],
        ]);
    }
});

test("an empty list of recipients means everyone, as in the model", () => {
    const script = new Script().join();
    const sender = script.open({ recipients: { only: [] } });
    script.send(sender, "x");
    script.send(sender, "y", { recipients: { except: [] } });
    assert.deepEqual(
        script.take("DATA").map(({ private: some, recipients }) => [some, recipients]),
        [
            [false, null],
            [false, null],
        ],
    );
});

test("a complete Lossy message counts as 256 bytes at least (7.12)", () => {
    const limits = { receive_memory: 1048576, window: 1048576, largest_message: 1048576 };
    const script = new Script({ limits }).join();
    const kept = 1048576 / 256;
    for (let sequence = 1; sequence <= kept + 10; sequence += 1) {
        const payload = new Uint8Array(sequence % 2);
        script.writeLossy(data({ reliable: false, sender: 1, sequence, payload }));
    }
    const { receiver } = script.told("ReceiverCreated")[0];
    const statistics = script.ann.receiverStatistics(receiver);
    assert.equal(statistics?.drops.memory, 10);
    assert.equal(statistics?.bytes_buffered, 1048576);
    assert.equal(script.read(0).sequence, 11);
    assert.equal(script.ann.receiverStatistics(receiver)?.bytes_buffered, 1048576 - 256);
});

test("a small Lossy message in fragments counts as 256 bytes once it is complete (7.12)", () => {
    const script = new Script().join();
    /** @param {number} index @param {boolean} last @param {number} size */
    const write = (index, last, size) => {
        const fragment = { index, total: 513, last, abort: false };
        script.writeLossy(data({ reliable: false, sender: 1, fragment, payload: new Uint8Array(size) }));
    };
    write(1, true, 1);
    const { receiver } = script.told("ReceiverCreated")[0];
    assert.equal(script.ann.receiverStatistics(receiver)?.bytes_buffered, 1);
    write(0, false, 512);
    assert.equal(script.ann.receiverStatistics(receiver)?.bytes_buffered, 513);
    script.read(0);
    assert.equal(script.ann.receiverStatistics(receiver)?.bytes_buffered, 0);
});

test("an ended session is judged before its channel and priority (7.15)", () => {
    const script = new Script().join();
    for (const session of [1, 2]) script.writeLossy(data({ reliable: false, sender: 1, session }));
    script.writeLossy(data({ reliable: false, sender: 1, session: 1, sequence: 2, channel: 9, high: true }));
    const { receiver } = script.told("ReceiverCreated")[0];
    assert.deepEqual(script.ann.receiverStatistics(receiver)?.drops, { ended_session: 1 });
});

test("a partial message of a receiver whose link dies is recorded as link_dead (CC-DELIV-077)", () => {
    const script = new Script().join();
    const fragment = { index: 0, total: 600, last: false, abort: false };
    script.writeLossy(data({ reliable: false, sender: 1 }));
    script.writeLossy(data({ reliable: false, sender: 1, sequence: 2, fragment, payload: new Uint8Array(512) }));
    const { receiver } = script.told("ReceiverCreated")[0];
    script.write({ type: "BYE", code: Code.GOING_AWAY, text: "" });
    assert.deepEqual(script.ann.receiverStatistics(receiver)?.drops, { link_dead: 1 });
});

test("leaving waits for ACK frames; the count of WELCOME is none (CC-LINK-060)", () => {
    const script = new Script().join();
    const sender = script.open();
    script.send(sender, "x");
    script.do((ann, now) => ann.closeSender(sender, now));
    script.do((ann, now) => ann.transportDown("t1", now));
    script.transport = "t2";
    script.do((ann, now) => ann.transportUp("t2", now));
    script.write(script.welcome({ attempt: 2, received: script.received }));
    script.take();
    script.do((ann, now) => ann.leave(now));
    assert.deepEqual(script.take("BYE"), []);
    script.ack();
    assert.deepEqual(
        script.take("BYE").map(({ code }) => code),
        [Code.LEFT],
    );
});

test("a message that is taken back: how far it had come (S39 to S43)", () => {
    const script = new Script().join(["bob"], { window: 65536 });
    const sender = script.open();
    for (const size of [10, 70_000, 10]) script.send(sender, new Uint8Array(size));
    const cancel = (/** @type {number} */ sequence) => script.do((ann, now) => ann.cancel(sender, sequence, now));
    assert.deepEqual([3, 2, 1, 1].map(cancel), ["removed", "aborted", "unknown", "settled"]);
    const lossy = script.open({ reliability: "lossy" });
    script.ann.send(lossy, new Uint8Array(1), {}, script.now);
    const back = () => script.ann.cancel(lossy, 1, script.now);
    assert.deepEqual([back(), back()], ["removed", "settled"]);
    assert.deepEqual(script.ann.senderStatistics(lossy).drops, {});
});

/** @param {string} id @param {any} [options] */
const initiator = (id, options = {}) => new Endpoint({ role: "initiator", id, entropy: entropy(1), ...options });

test("an acceptor whose application has left takes no HELLO, to begin or to resume (CC-PEER-003)", () => {
    for (const resume of [false, true]) {
        const network = new Network();
        network.add("ann", initiator("ann"));
        const bob = network.add("bob", new Endpoint({ role: "acceptor", id: "bob", peer: "ann", entropy: entropy(2) }));
        network.connect("t1", "ann", "bob");
        network.run(100);
        network.cut("t1");
        network.do("bob", (endpoint, now) => endpoint.leave(now));
        assert.equal(bob.state, "DEAD");
        if (!resume) network.add("new", initiator("ann"));
        network.connect("t2", resume ? "ann" : "new", "bob");
        network.run(100);
        assert.equal(network.told(resume ? "ann" : "new", "LinkEnded")[0].code, Code.NOT_ADMITTED);
    }
});

test("the ROSTER of a peer-to-peer call, as its initiator judges it (CC-ROSTER-071, 072)", async (group) => {
    const both = /** @type {[string, number, string][]} */ ([
        ["JOIN", 0, "bob"],
        ["JOIN", 1, "ann"],
    ]);
    const good = roster(1, both, { snapshot: true });
    /** @type {[string, number, number | null, import("../callchannel/frames.js").RosterFrame[]][]} */
    const cases = [
        ["as it should be", 1, null, [good]],
        ["WELCOME with slot 0", 0, Code.SLOT, [good]],
        ["WELCOME with slot 5", 5, Code.SLOT, [good]],
        ["another epoch", 1, Code.EPOCH, [{ ...good, epoch: 2 }]],
        ["MORE", 1, Code.EPOCH, [{ ...good, more: true }]],
        ["a second ROSTER", 1, Code.EPOCH, [good, roster(2, [["JOIN", 2, "x"]])]],
        ["one that is missing", 1, Code.SLOT, [{ ...good, entries: good.entries.slice(1) }]],
        ["one too many", 1, Code.SLOT, [roster(1, [...both, ["JOIN", 2, "x"]], { snapshot: true })]],
        ["SUSPENDED", 1, Code.SLOT, [roster(1, [...both, ["SUSPENDED", 0]], { snapshot: true })]],
    ];
    for (const [name, slot, code, frames] of cases) {
        await group.test(name, () => {
            const script = new Script();
            script.ann = initiator("ann");
            script.ann.transportUp("t1", script.now);
            script.pump();
            script.write(script.welcome({ slot }));
            assert.deepEqual(script.told("LinkEnded"), []);
            for (const frame of frames) script.raw("reliable", encodeFrame(frame));
            assert.deepEqual(
                script.told("LinkEnded").map((event) => [event.code, event.byPeer]),
                code === null ? [] : [[code, false]],
            );
        });
    }
});

test("a relay's snapshot without the reader, and a change of the reader: SLOT (CC-ROSTER-017, 031)", () => {
    const without = new Script();
    without.ann.transportUp("t1", without.now);
    without.pump();
    without.write(without.welcome(), roster(1, [["JOIN", 1, "bob"]], { snapshot: true }));
    assert.equal(without.told("LinkEnded")[0].code, Code.SLOT);
    for (const op of ["LEAVE", "SUSPENDED", "RESUMED"]) {
        const script = new Script().join();
        script.write(roster(4, [[op, 0]]));
        assert.equal(script.told("LinkEnded")[0].code, Code.SLOT, op);
    }
});
