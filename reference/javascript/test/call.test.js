// SPDX-License-Identifier: Apache-2.0
// The application layer over transports in memory. Nothing here waits for a clock, but for what has to happen.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Code } from "../callchannel/errors.js";
import { pair, receiver, texts } from "./support/pair.js";

test("join, send, read, leave", async () => {
    const { ann, bob, end } = await pair();
    assert.deepEqual(
        ann.participants.map(({ id, own }) => [id, own]),
        [
            ["bob", false],
            ["ann", true],
        ],
    );
    const sender = ann.createSender();
    const sent = await sender.sendText("hello");
    assert.deepEqual([sent.sequence, sent.report?.reached], [1, [{ slot: 0, id: "bob" }]]);
    const from = await receiver(bob);
    assert.deepEqual([from.participant.id, from.channel], ["ann", 1]);
    for await (const message of from) {
        assert.deepEqual(
            [await message.text(), message.contentType, message.sequence],
            ["hello", "text/plain;charset=utf-8", 1],
        );
        break;
    }
    assert.equal(await sender.close(), Code.NONE);
    assert.equal(await from.closed, Code.NONE);
    await end();
    assert.equal(await ann.ended, Code.NONE);
    assert.equal(await bob.ended, Code.LEFT);
});

test("sends that wait get their numbers in the order of the calls, and all arrive", async () => {
    const { ann, bob, end } = await pair({ limits: { send_buffer: 65536, unconfirmed_messages: 64 } });
    const sender = ann.createSender();
    const sends = Array.from({ length: 300 }, (_, at) => sender.send(new Uint8Array(3000).fill(at)));
    const from = await receiver(bob);
    const read = (async () => {
        const firsts = [];
        for await (const message of from) firsts.push(message.data[0]);
        return firsts;
    })();
    const sent = await Promise.all(sends);
    assert.deepEqual(
        sent.map(({ sequence }) => sequence),
        Array.from({ length: 300 }, (_, at) => at + 1),
    );
    await sender.close();
    assert.deepEqual(
        await read,
        Array.from({ length: 300 }, (_, at) => at % 256),
    );
    await end();
});

test("the confirm point delivered resolves when the message was read", async () => {
    const { ann, bob, end } = await pair();
    const sender = ann.createSender({ confirm: "delivered" });
    let done = false;
    const send = sender.send(new Uint8Array(3)).then(() => {
        done = true;
    });
    const from = await receiver(bob);
    assert.equal(done, false);
    assert.equal(from.read()?.data.length, 3);
    await send;
    await end();
});

test("a file arrives as a stream with its name and type, and progress is told", async () => {
    const { ann, bob, end } = await pair();
    const content = Uint8Array.from({ length: 3_000_000 }, (_, at) => at * 31);
    const file = new File([content], "chart.png", { type: "image/png" });
    /** @type {number[]} */
    const progress = [];
    const sending = ann.createSender().sendFile(file, { progress: (written) => progress.push(written) });
    const from = await receiver(bob);
    for await (const message of from) {
        assert.deepEqual(
            [message.isStream, message.name, message.contentType],
            [true, "chart.png", "image/png;size=3000000"],
        );
        assert.equal(message.size, 3_000_000);
        assert.deepEqual(await message.bytes(), content);
        break;
    }
    await sending;
    assert.equal(progress.at(-1), 3_000_000);
    await end();
});

test("a small file is one message", async () => {
    const { ann, bob, end } = await pair();
    await ann.createSender().sendFile(new Blob(["tiny"], { type: "text/plain" }));
    const message = (await receiver(bob)).read();
    assert.deepEqual([message?.isStream, message?.size, await message?.text()], [false, 4, "tiny"]);
    await end();
});

test("a file that is aborted: the send raises CANCELLED, the reader ABORTED", async () => {
    const { ann, bob, end } = await pair();
    const abort = new AbortController();
    const sending = ann.createSender().sendFile(new Blob([new Uint8Array(5_000_000)]), { signal: abort.signal });
    sending.catch(() => {});
    const from = await receiver(bob);
    const { value: message } = await from[Symbol.asyncIterator]().next();
    const chunks = /** @type {import("../callchannel/receiving.js").IncomingMessage} */ (message).chunks();
    await chunks.next();
    abort.abort();
    await assert.rejects(sending, { code: Code.CANCELLED });
    await assert.rejects(
        async () => {
            for await (const chunk of chunks) assert.ok(chunk.length > 0);
        },
        { code: Code.ABORTED },
    );
    await end();
});

test("a loop that leaves a stream unread goes on with the next message", async () => {
    const { ann, bob, end } = await pair();
    const sender = ann.createSender();
    const stream = await sender.openStream();
    await stream.write(new Uint8Array(100_000));
    const finished = stream.finish();
    await sender.sendText("after");
    await finished;
    const kinds = [];
    for await (const message of await receiver(bob)) {
        kinds.push(message.isStream ? "stream" : await message.text());
        if (kinds.length === 2) break;
    }
    assert.deepEqual(kinds, ["stream", "after"]);
    await end();
});

test("a lost transport is replaced through the factory: nothing is lost", async () => {
    const { ann, bob, transports, end } = await pair();
    const sender = ann.createSender();
    /** @type {string[]} */
    const told = [];
    for (const type of ["suspended", "resumed"]) ann.addEventListener(type, () => told.push(type));
    const sends = [];
    for (let at = 0; at < 40; at += 1) {
        sends.push(sender.sendText(`m${at}`));
        if (at % 10 === 5) {
            await sends[at - 3];
            transports.at(-1)?.cut();
        }
    }
    await Promise.all(sends);
    const from = await receiver(bob);
    const texts = [];
    for (let message = from.read(); message !== null; message = from.read()) texts.push(await message.text());
    assert.deepEqual(
        texts,
        Array.from({ length: 40 }, (_, at) => `m${at}`),
    );
    assert.equal(transports.length, 1 + told.filter((type) => type === "suspended").length);
    assert.ok(told.length >= 2 && told.length % 2 === 0);
    await end();
});

test("the receiver is closed: the send that is not delivered raises CLOSED with a report", async () => {
    const { ann, bob, end } = await pair();
    const sender = ann.createSender({ confirm: "delivered" });
    const failed = new Promise((resolve) => sender.addEventListener("failed", resolve, { once: true }));
    const sending = sender.sendText("unread");
    sending.catch(() => {});
    (await receiver(bob)).close();
    await assert.rejects(
        sending,
        (/** @type {any} */ error) => error.code === Code.CLOSED && error.report.failed[0].recipient.id === "bob",
    );
    await failed;
    assert.equal(await sender.ended, Code.CLOSED);
    await end();
});

test("Lossy sends resolve at once; arguments are judged", async () => {
    const { ann, bob, end } = await pair();
    const sender = ann.createSender({ reliability: "lossy", latest: true });
    assert.deepEqual(await sender.send(new Uint8Array(4)), { sequence: 1, report: null });
    await assert.rejects(sender.send(new Uint8Array(5000)), { code: Code.MESSAGE_TOO_LARGE });
    await assert.rejects(sender.sendText("\ud800"), { code: Code.INVALID_ARGUMENT });
    await assert.rejects(sender.send(new Uint8Array(1), { signal: AbortSignal.abort() }), { code: Code.CANCELLED });
    assert.throws(() => ann.createSender({ channel: 70000 }), { code: Code.INVALID_ARGUMENT });
    assert.equal((await receiver(bob)).reliable, false);
    await end();
});

test("the bytes of a send may change afterwards", async () => {
    const { ann, bob, end } = await pair();
    const bytes = new Uint8Array([1, 2, 3]);
    const sending = ann.createSender().send(bytes);
    bytes.fill(9);
    await sending;
    assert.deepEqual((await receiver(bob)).read()?.data, new Uint8Array([1, 2, 3]));
    await end();
});

test("participants are told: the peer is suspended, resumed, and leaves", async () => {
    const { ann, bob, transports } = await pair();
    /** @type {string[]} */
    const told = [];
    for (const type of ["participantsuspended", "participantresumed", "participantleft"]) {
        bob.addEventListener(type, (event) => told.push(`${type} ${/** @type {any} */ (event).detail.participant.id}`));
    }
    const resumed = new Promise((resolve) => ann.addEventListener("resumed", resolve, { once: true }));
    transports[0].cut();
    await resumed;
    await ann.leave();
    await bob.ended;
    assert.deepEqual(told, ["participantsuspended ann", "participantresumed ann", "participantleft ann"]);
});

test("a page that is unloaded leaves at once, with BYE, whatever waits (9.11)", async () => {
    const { ann, bob } = await pair();
    const left = new Promise((resolve) => bob.addEventListener("ended", (event) => resolve(event)));
    const sending = ann.createSender().send(new Uint8Array(2_000_000)); // more than the window, and Bob does not read
    await receiver(bob);
    void ann.leave({ wait: 0 });
    assert.equal(ann.state, "DEAD");
    await assert.rejects(sending, { code: Code.LINK_LOST });
    const { detail } = /** @type {any} */ (await left);
    assert.deepEqual([detail.code, detail.byPeer], [Code.LEFT, true]);
});

test("send takes buffers and any view of one, and what a view shows is what is sent", async () => {
    const { ann, bob, end } = await pair();
    const bytes = Uint8Array.from({ length: 16 }, (_, at) => at);
    const views = [
        bytes.buffer,
        bytes.subarray(3, 6),
        new DataView(bytes.buffer, 4, 2),
        new Uint16Array(bytes.buffer, 2, 3),
        new Float64Array(bytes.buffer, 8, 1),
        Buffer.from(bytes.buffer, 15, 1),
        new Uint8ClampedArray(bytes.buffer, 0, 0),
    ];
    const sender = ann.createSender();
    const sends = views.map((view) => sender.send(view));
    bytes.fill(255); // copied when it was sent
    await Promise.all(sends);
    const from = await receiver(bob);
    const read = views.map(() => [...(from.read()?.data ?? [])]);
    const counted = Array.from({ length: 16 }, (_, at) => at);
    assert.deepEqual(read, [counted, [3, 4, 5], [4, 5], [2, 3, 4, 5, 6, 7], [8, 9, 10, 11, 12, 13, 14, 15], [15], []]);
    for (const wrong of ["text", 7, null, [1, 2]]) {
        await assert.rejects(sender.send(/** @type {any} */ (wrong)), { code: Code.INVALID_ARGUMENT });
    }
    await end();
});

test("receivers: every iterator has all that are there, then each new one, but those that have closed", async () => {
    const { ann, bob, end } = await pair();
    /** @type {import("../callchannel/receiving.js").CallReceiver[]} */
    const told = [];
    bob.addEventListener("receiver", (event) => told.push(/** @type {any} */ (event).detail));
    const early = bob.receivers();
    /** @type {import("../callchannel/receiving.js").CallReceiver[]} */
    const met = [];
    const meeting = (async () => {
        for await (const from of early) met.push(from);
    })();
    const senders = Array.from({ length: 3 }, () => ann.createSender());
    await Promise.all(senders.map((sender) => sender.sendText("to read")));
    const [gone, closed, kept] = [...met];
    await texts(gone, senders[0].close());
    closed.close();
    for (let at = 0; at < 20; at += 1) {
        const sender = ann.createSender();
        await sender.sendText("passing");
        await texts(/** @type {any} */ (told.at(-1)), sender.close());
    }
    const late = [];
    const last = ann.createSender();
    for await (const from of bob.receivers()) {
        if (late.push(from) === 2) break;
        await last.sendText("the newest");
    }
    assert.deepEqual(late, [kept, met.at(-1)]);
    assert.deepEqual([met.length, told.length], [24, 24]);
    await end();
    await meeting;
    const unread = [];
    for await (const from of bob.receivers()) unread.push(from);
    assert.deepEqual(unread, late);
});
