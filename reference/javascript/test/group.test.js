// SPDX-License-Identifier: Apache-2.0
// An endpoint in a group call, against a relay that is played by the test.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Code } from "../callchannel/errors.js";
import { slotsOf } from "../callchannel/recipients.js";
import { NONE, Script, control, data, roster } from "./support/relay.js";

/** @param {any} report */
const lists = (report) => ({
    reached: report.reached.map((/** @type {any} */ one) => one.id),
    failed: report.failed.map((/** @type {any} */ one) => [one.recipient.id, one.code]),
    unknown: report.unknown.map((/** @type {any} */ one) => [one.recipient.id, one.code]),
    passed: report.passed.map((/** @type {any} */ one) => one.recipient.id),
});

test("nothing can be sent before the snapshot is complete (L39, L44)", () => {
    const script = new Script();
    script.ann.transportUp("t1", script.now, {});
    script.pump();
    script.take();
    script.write(script.welcome(), roster(3, [["JOIN", 0, "ann"]], { snapshot: true, more: true }));
    assert.throws(() => script.open(), { code: Code.NOT_JOINED });
    assert.equal(script.told("Joined").length, 0);
    script.write(
        roster(
            3,
            [
                ["JOIN", 1, "bob"],
                ["JOIN", 2, "bob"],
                ["SUSPENDED", 2],
            ],
            { snapshot: true },
        ),
    );
    assert.equal(script.told("Joined")[0].slot, 0);
    assert.deepEqual(
        script.ann.participants().map(({ slot, suspended }) => [slot, suspended]),
        [
            [0, false],
            [1, false],
            [2, true],
        ],
    );
});

test("a broadcast: the report names everyone who was there when it was written", () => {
    const script = new Script().join();
    const sender = script.open();
    script.send(sender, "hi");
    const [frame] = script.take("DATA");
    assert.deepEqual([frame.private, frame.recipients, frame.session, frame.sequence], [false, null, 1, 1]);
    script.write(roster(4, [["JOIN", 3, "dan"]]));
    script.ack();
    assert.deepEqual(lists(script.told("MessageSettled")[0].report), {
        reached: ["bob", "carol"],
        failed: [],
        unknown: [],
        passed: [],
    });
});

test("an identifier stands for all its endpoints, except the sender's own (CC-ROSTER-038)", () => {
    const script = new Script().join(["bob", "ann", "bob", "carol"]);
    const sender = script.open({ recipients: { only: ["bob", "ann"] } });
    script.send(sender, "hi");
    const [frame] = script.take("DATA");
    assert.equal(frame.private, true);
    assert.deepEqual(
        [frame.recipients.epoch, frame.recipients.except, slotsOf(frame.recipients.words)],
        [5, false, [1, 2, 3]],
    );
});

test("everyone but some, who need not be there", () => {
    const script = new Script().join();
    const sender = script.open({ recipients: { except: ["carol", "nobody"] } });
    script.send(sender, "hi");
    script.send(sender, "all", { recipients: { except: ["nobody"] } });
    const [some, all] = script.take("DATA");
    assert.deepEqual([some.recipients.except, slotsOf(some.recipients.words), some.private], [true, [2], true]);
    assert.deepEqual([all.recipients, all.private], [null, false]);
});

test("a confirmed broadcast carries EXCEPT with count 0; the aggregate confirms all", () => {
    const script = new Script().join();
    const sender = script.open({ confirm: "delivered" });
    script.send(sender, "hi");
    const [frame] = script.take("DATA");
    assert.deepEqual(frame.recipients, { epoch: 3, except: true, words: [] });
    assert.deepEqual([frame.confirm, frame.private], [true, false]);
    script.ack();
    assert.equal(script.told("MessageSettled").length, 0);
    script.write(control("RECEIPT", { value: 1 }));
    assert.deepEqual(lists(script.told("MessageSettled")[0].report).reached, ["bob", "carol"]);
});

test("receipts by slot, before the ACK as well (CC-DELIV-015)", () => {
    const script = new Script().join();
    const sender = script.open({ confirm: "delivered", recipients: { only: ["bob", "carol"] } });
    script.send(sender, "hi");
    script.write(control("RECEIPT", { recipient: 2, value: 1 }));
    assert.equal(script.told("MessageSettled").length, 0);
    script.write(control("RECEIPT", { recipient: 1, value: 1 }));
    assert.equal(script.told("MessageSettled")[0].code, 0);
});

test("the example of section 14.8: reached, failed and unknown in one report", () => {
    const script = new Script().join(["bob", "dan", "erin"]);
    const sender = script.open({ confirm: "delivered", recipients: { only: ["bob", "dan", "erin"] } });
    script.send(sender, "hi");
    script.write(control("FAIL", { recipient: 3, value: 1, reason: Code.UNKNOWN_RECIPIENT }));
    script.ack();
    script.write(control("RECEIPT", { recipient: 1, value: 1 }));
    script.write(control("FAIL", { recipient: 2, value: 1, reason: Code.LOST, uncertain: true }));
    const [{ code, report }] = script.told("MessageSettled");
    assert.equal(code, Code.UNKNOWN_RECIPIENT);
    assert.deepEqual(lists(report), {
        reached: ["bob"],
        failed: [["erin", Code.UNKNOWN_RECIPIENT]],
        unknown: [["dan", Code.LOST]],
        passed: [],
    });
    assert.equal(script.told("RecipientFailed").length, 2);
});

test("a recipient that failed is barred in this session, and only here", () => {
    const script = new Script().join();
    const sender = script.open();
    script.send(sender, "one");
    script.ack();
    script.write(control("FAIL", { recipient: 2, value: 2, reason: Code.OVERRUN }));
    script.write(control("FAIL", { recipient: 2, value: 1, reason: Code.LOST })); // the second has no effect
    assert.deepEqual(
        script.told("RecipientFailed").map(({ value, code }) => [value, code]),
        [[2, Code.OVERRUN]],
    );
    script.send(sender, "two");
    script.ack();
    const [, second] = script.told("MessageSettled");
    assert.equal(second.code, 0);
    assert.deepEqual(lists(second.report), { reached: ["bob"], failed: [], unknown: [], passed: ["carol"] });
    const only = { recipients: { only: ["carol"] } };
    assert.throws(() => script.send(sender, "x", only), { code: Code.RECIPIENT_FAILED });
    assert.throws(() => script.send(sender, "x", { recipients: { except: ["bob"] } }), { code: Code.RECIPIENT_FAILED });
    const unknown = { recipients: { only: ["carol", "eve"] } };
    assert.throws(
        () => script.send(sender, "x", unknown),
        (/** @type {any} */ error) => error.code === Code.UNKNOWN_RECIPIENT && lists(error.report).failed.length === 2,
    );
    assert.equal(script.send(script.open(), "x", only), 1);
});

test("FAIL for the only recipient of a partly written message: ABORT, and the session goes on", () => {
    const script = new Script().join(["bob", "carol"], { window: 65536 });
    const sender = script.open({ recipients: { only: ["carol"] } });
    script.send(sender, new Uint8Array(200_000));
    assert.equal(script.take("DATA").length, 4);
    script.write(control("FAIL", { recipient: 2, value: 1, reason: Code.CLOSED }));
    const [abort] = script.take("DATA");
    assert.deepEqual(abort.fragment, { index: 4, total: 200_000, last: false, abort: true });
    assert.equal(script.told("MessageSettled")[0].code, Code.CLOSED);
    script.write(control("CREDIT", { value: 200_000 }));
    script.send(sender, "to bob", { recipients: { only: ["bob"] } });
    assert.equal(script.take("DATA")[0].sequence, 2);
});

test("REFUSE fails the message it names, without ABORT (7.7)", () => {
    const script = new Script().join(["bob"], { window: 65536 });
    const sender = script.open();
    script.send(sender, new Uint8Array(200_000));
    script.take();
    script.write(control("REFUSE", { value: 1, reason: Code.POLICY }));
    assert.deepEqual(lists(script.told("MessageSettled")[0].report).failed, [["bob", Code.POLICY]]);
    script.write(control("CREDIT", { value: 200_000 }));
    script.send(sender, "next");
    assert.deepEqual(
        script.take("DATA").map(({ sequence, fragment }) => [sequence, fragment]),
        [[2, null]],
    );
});

test("FAIL for all ends the sender; messages below its value go on to settle", () => {
    const script = new Script().join();
    const sender = script.open();
    for (const text of ["one", "two", "three"]) script.send(sender, text);
    script.write(control("FAIL", { value: 2, reason: Code.SEQUENCE }));
    assert.deepEqual(
        script.told("MessageSettled").map(({ sequence, code }) => [sequence, code]),
        [
            [2, Code.SEQUENCE],
            [3, Code.SEQUENCE],
        ],
    );
    assert.equal(script.told("SenderEnded").length, 0);
    assert.throws(() => script.send(sender, "x"), { code: Code.SEQUENCE });
    script.ack();
    assert.deepEqual(script.told("MessageSettled")[2].code, 0);
    assert.equal(script.told("SenderEnded")[0].code, Code.SEQUENCE);
    assert.deepEqual(script.take("CLOSE"), []);
});

test("a recipient that leaves between send and writing fails without a frame (CC-ROSTER-049)", () => {
    const script = new Script().join(["bob", "carol"], { window: 65536 });
    const sender = script.open();
    script.send(sender, new Uint8Array(65000)); // takes the window
    script.send(sender, new Uint8Array(5000), { recipients: { only: ["bob", "carol"] } });
    script.send(sender, new Uint8Array(5000), { recipients: { only: ["carol"] } });
    script.take();
    script.write(roster(4, [["LEAVE", 2, Code.LEFT]]));
    script.write(control("CREDIT", { value: 200_000 }));
    const [frame, none] = script.take("DATA").filter(({ sequence }) => sequence > 1);
    assert.deepEqual(
        [frame.sequence, slotsOf(frame.recipients.words), frame.recipients.epoch, none],
        [2, [1], 4, undefined],
    );
    script.ack();
    assert.deepEqual(
        script
            .told("MessageSettled")
            .map(({ sequence, code }) => [sequence, code])
            .sort(),
        [
            [1, 0],
            [2, Code.UNKNOWN_RECIPIENT],
            [3, Code.UNKNOWN_RECIPIENT],
        ],
    );
    assert.deepEqual(
        script.told("ParticipantLeft").map(({ participant, code }) => [participant.id, code]),
        [["carol", Code.LEFT]],
    );
});

test("messages of two owners, and of one who has left (draining)", () => {
    const script = new Script().join();
    script.write(data({ sender: 1 }), data({ sender: 2, session: 1 }));
    assert.deepEqual(
        script.told("ReceiverCreated").map(({ participant }) => participant.id),
        ["bob", "carol"],
    );
    script.write(roster(4, [["LEAVE", 1, Code.LOST]]), data({ sender: 1, sequence: 2, payload: new Uint8Array([2]) }));
    script.write(control("CLOSE", { sender: 1, value: 2, reason: Code.LOST }));
    assert.equal(script.told("ReceiverClosed").length, 0);
    assert.equal(script.read(0).payload[0], 1);
    assert.equal(script.read(0).payload[0], 2);
    assert.equal(script.told("ReceiverClosed")[0].code, Code.LOST);
});

test("the slot's next occupant has sessions of its own; nothing is written about the old ones", () => {
    const script = new Script().join();
    script.write(data({ sender: 1, confirm: true }));
    script.write(
        roster(5, [
            ["LEAVE", 1, Code.LOST],
            ["JOIN", 1, "eve"],
        ]),
    );
    script.write(data({ sender: 1, sequence: 9, payload: new Uint8Array([9]) }));
    assert.deepEqual(
        script.told("ReceiverCreated").map(({ participant }) => participant.id),
        ["bob", "eve"],
    );
    script.take();
    assert.equal(script.read(0).payload[0], 1);
    assert.equal(script.told("ReceiverClosed")[0].code, Code.LOST);
    script.wait(100);
    assert.deepEqual(
        script.take().map(({ type }) => type),
        ["ACK"],
    );
    assert.equal(script.read(1).sequence, 9);
});

test("RECEIPT comes before FAIL, and both before ACK (CC-DELIV-018, 019)", () => {
    const script = new Script().join();
    script.write(data({ sender: 1, confirm: true }), data({ sender: 1, sequence: 2 }));
    const { receiver } = script.told("ReceiverCreated")[0];
    script.take();
    script.ann.read(receiver, script.now);
    script.ann.closeReceiver(receiver, script.now + 30_000);
    script.now += 30_000;
    script.ann.handleTimeout(script.now);
    script.pump();
    const frames = script.take();
    assert.deepEqual(
        frames.map(({ type, value }) => [type, value]),
        [
            ["RECEIPT", 1],
            ["FAIL", 2],
            ["ACK", undefined],
        ],
    );
    assert.deepEqual([frames[1].recipient, frames[1].reason], [0, Code.CLOSED]);
});

test("several messages read between two packets make one RECEIPT", () => {
    const script = new Script().join();
    script.write(...[1, 2, 3].map((sequence) => data({ sender: 2, sequence, confirm: sequence < 3 })));
    const { receiver } = script.told("ReceiverCreated")[0];
    script.take();
    for (let at = 0; at < 3; at += 1) script.ann.read(receiver, script.now);
    script.pump();
    assert.deepEqual(
        script.take("RECEIPT").map(({ sender, recipient, value }) => [sender, recipient, value]),
        [[2, 0, 2]],
    );
});

test("the credit of section 7.11: a message larger than the window", () => {
    const script = new Script({ limits: { window: 262144 } }).join();
    /** @type {[number, number][]} */
    const credits = [];
    for (let index = 0; index < 62; index += 1) {
        const last = index === 61;
        const payload = new Uint8Array(last ? 2040 : 16360);
        script.write(data({ sender: 1, fragment: { index, total: 1_000_000, last, abort: false }, payload }));
        for (const { value } of script.take("CREDIT")) credits.push([index + 1, value]);
    }
    assert.deepEqual(credits[0], [12, 327680]);
    assert.deepEqual(credits[1], [16, 393216]);
    assert.deepEqual(credits.at(-1), [60, 1114112]);
    assert.equal(script.read(0).payload.length, 1_000_000);
    assert.deepEqual(
        script.take("CREDIT").map(({ value }) => value),
        [1263632],
    );
});

test("a link resumes: the same bytes again, in order, before anything new", () => {
    const script = new Script().join();
    const sender = script.open();
    for (let at = 0; at < 5; at += 1) script.send(sender, `m${at}`);
    script.write({ type: "ACK", received: 2 });
    const before = script.packets.length;
    script.ann.transportDown("t1", script.now);
    script.send(sender, "new");
    assert.equal(script.told("LinkSuspended").length, 1);
    script.take();
    script.transport = "t2";
    script.ann.transportUp("t2", script.now, { lossy: true });
    script.pump();
    const [hello] = script.take();
    assert.deepEqual([hello.resume, hello.attempt, hello.received, hello.token], [true, 2, 1, script.welcome().token]);
    script.write(script.welcome({ attempt: 2, received: 3 }));
    assert.deepEqual(
        script.take("DATA").map(({ sequence }) => sequence),
        [4, 5, 6],
    );
    assert.equal(script.told("LinkResumed").length, 1);
    // WELCOME settles nothing (CC-LINK-049).
    assert.equal(script.told("MessageSettled").length, 2);
    script.write({ type: "ACK", received: 6 });
    assert.equal(script.told("MessageSettled").length, 6);
    assert.equal(script.ann.linkStatistics()?.frames_retransmitted, 2);
    assert.ok(script.packets.length > before);
});

test("WELCOME to a resume that does not fit ends the link with RESUME_MISMATCH", () => {
    for (const wrong of [
        { attempt: 1 },
        { slot: 1 },
        { token: new Uint8Array(16) },
        { received: 1 },
        { received: 2n ** 60n },
    ]) {
        const script = new Script().join();
        script.ann.transportDown("t1", script.now);
        script.transport = "t2";
        script.ann.transportUp("t2", script.now, {});
        script.pump();
        script.take();
        script.write(script.welcome({ attempt: 2, ...wrong }));
        assert.equal(script.bye, Code.RESUME_MISMATCH);
        assert.equal(script.told("LinkEnded")[0].code, Code.RESUME_MISMATCH);
    }
});

test("no WELCOME within join_time: TIMEOUT", () => {
    const script = new Script();
    script.ann.transportUp("t1", script.now, {});
    script.pump();
    script.take();
    script.wait(10_000);
    assert.equal(script.bye, Code.TIMEOUT);
    assert.deepEqual(
        script.told("LinkEnded").map(({ code }) => code),
        [Code.TIMEOUT],
    );
});

test("leave while suspended ends at once", () => {
    const script = new Script().join();
    script.ann.transportDown("t1", script.now);
    script.do((ann, now) => ann.leave(now));
    assert.equal(script.told("LinkEnded")[0].code, Code.NONE);
});

test("leave waits for acknowledgement, and no longer than leave_time", () => {
    const script = new Script().join();
    script.send(script.open(), "last words");
    script.do((ann, now) => ann.leave(now));
    assert.deepEqual(
        script.take().map(({ type }) => type),
        ["DATA", "CLOSE"],
    );
    script.wait(4_900);
    assert.equal(script.ann.state, "ACTIVE");
    script.wait(200);
    assert.equal(script.bye, Code.LEFT);
    assert.equal(script.told("MessageSettled")[0].code, Code.LINK_LOST);
    assert.equal(script.told("LinkEnded")[0].code, Code.NONE);
});

test("ACK: after ack_frames, after ack_delay, and after ack_interval when nothing came", () => {
    const script = new Script().join();
    script.wait(30);
    assert.deepEqual(
        script.take().map(({ type, received }) => [type, received]),
        [["ACK", 1]],
    );
    for (let sequence = 1; sequence <= 16; sequence += 1) script.write(data({ sender: 1, sequence }));
    assert.deepEqual(
        script.take("ACK").map(({ received }) => received),
        [17],
    );
    script.write(data({ sender: 1, sequence: 17 }));
    script.wait(4);
    assert.deepEqual(script.take("ACK"), []);
    script.wait(1);
    assert.deepEqual(
        script.take("ACK").map(({ received }) => received),
        [18],
    );
    script.wait(5000);
    assert.deepEqual(
        script.take("ACK").map(({ received }) => received),
        [18],
    );
});

test("unacknowledged holds Reliable DATA up, but no CLOSE and no ACK (CC-LINK-035)", () => {
    const script = new Script({ limits: { unacknowledged: 65536 } }).join();
    const [bulk, other] = [script.open(), script.open()];
    script.send(other, "x");
    script.do((ann, now) => ann.closeSender(other, now));
    script.take();
    script.send(bulk, new Uint8Array(200_000));
    assert.equal(script.take("DATA").length, 5);
    script.write(data({ sender: 1 }));
    script.wait(25);
    assert.deepEqual(
        script.take().map(({ type }) => type),
        ["ACK"],
    );
    script.ack();
    assert.ok(script.take("DATA").length > 0);
});

test("session numbers follow first frames; an unused sender leaves no trace (CC-SESS-007, 020)", () => {
    const script = new Script().join();
    const [first, second, third] = [script.open(), script.open(), script.open()];
    script.do((ann, now) => ann.closeSender(second, now));
    script.send(third, "x");
    script.send(first, "y");
    assert.deepEqual(
        script.take("DATA").map(({ channel, session }) => [channel, session]),
        [
            [3, 1],
            [1, 2],
        ],
    );
    assert.deepEqual(
        script.told("SenderEnded").map(({ sender }) => sender),
        [second],
    );
    assert.equal(script.do((ann, now) => ann.openSender({}, now)).channel, 2);
});

test("CLOSE carries the greatest sequence, written or not, and comes last", () => {
    const script = new Script().join(["bob"], { window: 65536 });
    const sender = script.open();
    script.send(sender, new Uint8Array(60_000));
    const waiting = script.send(sender, new Uint8Array(60_000));
    script.do((ann, now) => ann.cancel(sender, waiting, now));
    script.do((ann, now) => ann.closeSender(sender, now, 0xf123));
    const close = script.take().at(-1);
    assert.deepEqual([close.type, close.value, close.reason], ["CLOSE", waiting, 0xf123]);
    assert.equal(script.told("SenderEnded").length, 0);
    script.ack();
    assert.equal(script.told("SenderEnded")[0].code, 0);
});

test("DEADLINE: unwritten fails, wholly written is unknown", () => {
    const script = new Script().join(["bob"], { window: 65536 });
    const sender = script.open();
    script.send(sender, new Uint8Array(60_000), { timeout: 1_000_000 });
    script.send(sender, new Uint8Array(60_000), { timeout: 1_000_000 });
    script.wait(1000);
    assert.deepEqual(
        script.told("MessageSettled").map(({ code, report }) => [code, report.failed.length, report.unknown.length]),
        [
            [Code.DEADLINE, 0, 1],
            [Code.DEADLINE, 1, 0],
        ],
    );
});

test("WOULD_BLOCK by unconfirmed_messages, and writable again", () => {
    const script = new Script({ limits: { unconfirmed_messages: 64 } }).join();
    const sender = script.open();
    for (let at = 0; at < 64; at += 1) script.send(sender, "x");
    assert.throws(() => script.send(sender, "x"), { code: Code.WOULD_BLOCK });
    script.write({ type: "ACK", received: 1 });
    assert.equal(script.told("SenderWritable").length, 1);
    assert.equal(script.send(sender, "x"), 65);
});

test("Lossy: absent recipients are passed over and recorded", () => {
    const script = new Script().join();
    const sender = script.open({ reliability: "lossy", recipients: { only: ["bob", "eve", "dan"] } });
    script.send(sender, "x");
    assert.deepEqual(slotsOf(script.take("DATA")[0].recipients.words), [1]);
    script.send(sender, "y", { recipients: { only: ["eve"] } });
    assert.deepEqual(script.take("DATA"), []);
    assert.deepEqual(script.ann.senderStatistics(sender).drops, { no_recipients: 3 });
});

test("Lossy: more than 64 words go as the complement, or not at all (CC-ROSTER-052, 053)", () => {
    const others = Array.from({ length: 65 * 32 }, (_, at) => `p${at}`);
    const script = new Script().join(others.slice(0, 2079));
    const sender = script.open({ reliability: "lossy" });
    const some = others.slice(0, 2079).filter((_, at) => at !== 100);
    script.send(sender, "x", { recipients: { only: some } });
    const [frame] = script.take("DATA");
    assert.deepEqual([frame.recipients.except, slotsOf(frame.recipients.words)], [true, [101]]);
    const half = others.slice(0, 2079).filter((_, at) => at % 2 === 0);
    assert.throws(() => script.send(sender, "x", { recipients: { only: half } }), { code: Code.TOO_MANY_RECIPIENTS });
});

test("Lossy: the queue drops its oldest, a lifetime passes, LATEST supersedes", () => {
    const script = new Script({ limits: { lossy_queue: 4096 } }).join([], {}, { lossy: true });
    const sender = script.open({ reliability: "lossy", bitrate: 8000 });
    script.ann.send(sender, new Uint8Array(20_000), {}, script.now);
    script.pump(); // its bucket is empty now
    script.take();
    for (let at = 0; at < 5; at += 1) script.send(sender, new Uint8Array(1000));
    script.send(sender, "brief", { lifetime: 1 });
    assert.deepEqual(script.ann.senderStatistics(sender).drops, { queue_full: 2 });
    script.live(60);
    assert.equal(script.ann.senderStatistics(sender).drops.expired, 1);
    const latest = script.open({ reliability: "lossy", latest: true, bitrate: 1 });
    script.send(latest, new Uint8Array(1000));
    for (let at = 0; at < 20; at += 1) script.send(latest, new Uint8Array(1000));
    assert.ok(Number(script.ann.senderStatistics(latest).drops.superseded) > 0);
    assert.throws(() => script.send(latest, new Uint8Array(2000)), { code: Code.MESSAGE_TOO_LARGE });
});

test("a closed Lossy sender writes CLOSE when the last that waited was dropped at the pull (S17, S27)", () => {
    const script = new Script().join();
    const sender = script.open({ reliability: "lossy" });
    script.send(sender, "written");
    script.ann.send(sender, new Uint8Array(10), { lifetime: 1 }, script.now);
    script.ann.closeSender(sender, script.now);
    script.now += 2_000;
    script.take();
    assert.equal(script.ann.pull("t1", "lossy", 2_000, script.now), null);
    script.pump();
    assert.deepEqual(
        script.take("CLOSE").map(({ value }) => value),
        [2],
    );
    assert.equal(script.ann.senderStatistics(sender).drops.expired, 1);
});

test("an older Lossy sender of the channel writes first (CC-SESS-009)", () => {
    const script = new Script().join(["bob"], { window: 65536 });
    const blocker = script.open({ priority: "high" });
    script.ann.send(blocker, new Uint8Array(60_000), {}, script.now);
    const old = script.ann.openSender({ channel: 9 }, script.now).sender;
    script.ann.send(old, new Uint8Array(10), {}, script.now);
    const young = script.ann.openSender({ channel: 9, reliability: "lossy" }, script.now).sender;
    script.ann.send(young, new Uint8Array(10), {}, script.now);
    // The lossy lane is asked first: nothing may go there yet.
    assert.equal(script.ann.pull("t1", "lossy", 1, script.now), null);
    script.pump();
    const sessions = script
        .take("DATA")
        .filter(({ channel }) => channel === 9)
        .map(({ reliable, session }) => [reliable, session]);
    assert.deepEqual(sessions, [
        [true, 2],
        [false, 3],
    ]);
});

test("INVALID_ARGUMENT raises and changes nothing", () => {
    const script = new Script().join();
    for (const options of [
        { channel: 65536 },
        { channel: -1 },
        { channel: 1.5 },
        { latest: true },
        { reliability: "lossy", confirm: "delivered" },
        { bitrate: 0 },
        { bitrate: 1.5 },
        { reliability: "so so" },
        { priority: "low" },
        { recipients: [] },
    ]) {
        assert.throws(() => script.open(options), { code: Code.INVALID_ARGUMENT }, JSON.stringify(options));
    }
    const sender = script.open();
    for (const options of [
        { lifetime: 5 },
        { contentType: "" },
        { name: "x".repeat(256) },
        { name: "\ud800" },
        { mustUnderstand: ["name"] },
        { applicationTime: -1 },
        { extensions: [{ type: 5, mustUnderstand: false, value: new Uint8Array(0) }] },
        { extensions: [{ type: 0x7001, mustUnderstand: false, value: new Uint8Array(16_400) }] },
        { timeout: 0 },
        { recipients: "nobody" },
    ]) {
        assert.throws(
            () => script.send(sender, "x", options),
            { code: Code.INVALID_ARGUMENT },
            JSON.stringify(options),
        );
    }
    assert.throws(() => script.send(sender, new Uint8Array(16777217)), { code: Code.MESSAGE_TOO_LARGE });
    assert.equal(script.send(sender, "x"), 1);
    const lossy = script.open({ reliability: "lossy" });
    assert.throws(() => script.send(lossy, new Uint8Array(65537)), { code: Code.MESSAGE_TOO_LARGE });
    assert.equal(script.take("DATA").length, 1);
});

test("NONE in REFUSE or CREDIT of an unknown session changes nothing", () => {
    const script = new Script().join();
    script.write(control("CREDIT", { session: 77, value: 5 }), control("REFUSE", { session: 77, reason: Code.POLICY }));
    script.write(
        control("FAIL", { session: 77, reason: Code.LOST, recipient: NONE }),
        control("RECEIPT", { session: 77 }),
    );
    assert.equal(script.ann.state, "ACTIVE");
});

test("FAIL for all with a value beyond everything: what was never written fails all the same", () => {
    const script = new Script().join(["bob"], { window: 65536 });
    const sender = script.open();
    script.send(sender, new Uint8Array(60_000));
    script.send(sender, new Uint8Array(60_000));
    script.write(control("FAIL", { value: 2 ** 32, reason: Code.MEMORY }));
    script.ack();
    assert.deepEqual(
        script.told("MessageSettled").map(({ sequence, code }) => [sequence, code]),
        [
            [2, Code.MEMORY],
            [1, 0],
        ],
    );
    assert.equal(script.told("SenderEnded")[0].code, Code.MEMORY);
});

test("unacknowledged holds RECEIPT and CREDIT up, except in front of a FAIL (CC-LINK-035)", () => {
    const script = new Script({ limits: { unacknowledged: 65536 } }).join();
    script.send(script.open(), new Uint8Array(200_000));
    script.write(data({ sender: 1, confirm: true }), data({ sender: 1, sequence: 2 }));
    script.take();
    assert.equal(script.read(0).sequence, 1);
    assert.deepEqual(script.take("RECEIPT"), []);
    const { receiver } = script.told("ReceiverCreated")[0];
    script.do((ann, now) => ann.closeReceiver(receiver, now));
    assert.deepEqual(
        script.take().map(({ type, value }) => [type, value]),
        [
            ["RECEIPT", 1],
            ["FAIL", 2],
        ],
    );
});
