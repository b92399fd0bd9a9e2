// SPDX-License-Identifier: Apache-2.0
// What was sent is for whom it was sent, and arrives, whatever is done right after the send without waiting for it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Code } from "../callchannel/errors.js";
import { pair, receiver, texts } from "./support/pair.js";

/** Much less than what `fill` sends: then sends wait for room. */
const limits = { send_buffer: 65536, unconfirmed_messages: 64 };
const FILLING = 150;

/** Sends until the next sends have to wait. @param {import("../callchannel/sending.js").CallSender} sender */
function fill(sender) {
    return Array.from({ length: FILLING }, () => sender.send(new Uint8Array(3000)));
}

test("a send keeps the recipients that its sender had, whether it waits for room or not (7.3)", async () => {
    const { ann, bob, end } = await pair({ limits });
    const sender = ann.createSender({ recipients: { except: ["bob"] } });
    const first = sender.sendText("not for bob");
    sender.setRecipients("everyone");
    const filling = fill(sender);
    sender.setRecipients({ except: ["bob"] });
    const named = ["bob"];
    const waiting = [
        sender.sendText("not for bob either"),
        sender.sendText("nor this", { recipients: { except: named } }),
        sender.sendText("for bob", { recipients: { only: named } }),
        sender.sendText("for bob, too", { recipients: "everyone" }),
    ];
    named[0] = "zoe";
    sender.setRecipients("everyone");
    waiting.push(sender.sendText("for everyone"));
    const closing = sender.close();
    const read = (await texts(await receiver(bob))).slice(FILLING);
    const sequences = (await Promise.all([first, ...filling, ...waiting])).map(({ sequence }) => sequence);
    await closing;
    assert.deepEqual(read, ["for bob", "for bob, too", "for everyone"]);
    assert.deepEqual(
        sequences,
        sequences.map((_, at) => at + 1),
    );
    await end();
});

test("wrong recipients are refused at the send, also when it would have to wait", async () => {
    const { ann, bob, end } = await pair({ limits });
    const sender = ann.createSender();
    const filling = fill(sender);
    await assert.rejects(sender.sendText("whom?", { recipients: /** @type {any} */ ("bob") }), {
        code: Code.INVALID_ARGUMENT,
    });
    const closing = sender.close();
    assert.equal((await texts(await receiver(bob))).length, FILLING);
    await Promise.all([...filling, closing]);
    await end();
});

test("a sender that is closed right after a send delivers it", async () => {
    const { ann, bob, end } = await pair();
    const sender = ann.createSender();
    const sending = sender.sendText("bye");
    const closing = sender.close();
    await assert.rejects(sender.sendText("too late"), { code: Code.SENDER_CLOSED });
    assert.deepEqual(await texts(await receiver(bob)), ["bye"]);
    assert.equal((await sending).sequence, 1);
    assert.equal(await closing, Code.NONE);
    await end();
});

test("a call that is left right after a send delivers it", async () => {
    const { ann, bob } = await pair();
    const sending = ann.createSender().sendText("bye");
    const leaving = ann.leave();
    assert.deepEqual(await texts(await receiver(bob)), ["bye"]);
    assert.equal((await sending).sequence, 1);
    assert.deepEqual([await leaving, await bob.ended], [Code.NONE, Code.LEFT]);
});

test("closing waits for sends that wait for room; nothing can be sent meanwhile", async () => {
    const { ann, bob, end } = await pair({ limits });
    const sender = ann.createSender();
    const sends = [...fill(sender), sender.sendText("the last")];
    const closing = sender.close(0xf123);
    assert.throws(() => sender.close(1), { code: Code.INVALID_ARGUMENT });
    await assert.rejects(sender.sendText("too late"), { code: Code.SENDER_CLOSED });
    await assert.rejects(sender.openStream(), { code: Code.SENDER_CLOSED });
    const from = await receiver(bob);
    assert.equal((await texts(from)).at(-1), "the last");
    await Promise.all(sends);
    assert.deepEqual([await closing, await from.closed], [Code.NONE, 0xf123]);
    await end();
});

test("leaving waits for sends that wait for room, over a loss of the transport, too", async () => {
    const { ann, bob, transports } = await pair({ limits });
    const sender = ann.createSender();
    const idle = ann.createSender();
    const sends = [...fill(sender), sender.sendText("the last")];
    const leaving = ann.leave();
    assert.throws(() => ann.createSender(), { code: Code.NOT_JOINED }); // CC-LINK-062
    await assert.rejects(idle.sendText("too late"), { code: Code.SENDER_CLOSED });
    transports[0].cut();
    assert.equal(ann.state, "SUSPENDED");
    assert.equal((await texts(await receiver(bob))).at(-1), "the last");
    await Promise.all(sends);
    assert.deepEqual([await leaving, await bob.ended, transports.length], [Code.NONE, Code.LEFT, 2]);
});

test("leaving goes on over a loss of the transport when the sends that waited are taken back meanwhile", async () => {
    const { ann, bob, transports } = await pair({ limits });
    const sender = ann.createSender();
    const abort = new AbortController();
    const sends = Array.from({ length: 64 }, (_, at) => sender.sendText(`${at}`));
    const waiting = sender.sendText("taken back", { signal: abort.signal });
    const leaving = ann.leave();
    transports[0].cut();
    abort.abort();
    await assert.rejects(waiting, { code: Code.CANCELLED });
    assert.equal((await texts(await receiver(bob))).length, 64);
    await Promise.all(sends);
    assert.deepEqual([await leaving, await bob.ended], [Code.NONE, Code.LEFT]);
});

test("leaving does not wait longer than it is told (CC-LINK-061)", async () => {
    const { ann, bob } = await pair({ limits });
    const sends = fill(ann.createSender()).concat(ann.createSender().send(new Uint8Array(2_000_000)));
    const leaving = ann.leave({ wait: 5 }); // Bob does not read, and the window is 1 MiB
    const [last] = (await Promise.allSettled(sends)).slice(-1);
    assert.equal(/** @type {any} */ (last).reason.code, Code.LINK_LOST);
    assert.deepEqual([await leaving, await bob.ended], [Code.NONE, Code.LEFT]);
});

test("a file keeps its place and its recipients, and is delivered by a sender that is closed", async () => {
    const { ann, bob, end } = await pair();
    const sender = ann.createSender({ recipients: { except: ["bob"] } });
    const files = [sender.sendFile(new Blob(["not for bob"]))];
    sender.setRecipients("everyone");
    files.push(sender.sendFile(new Blob(["small"])));
    const text = sender.sendText("behind it");
    files.push(sender.sendFile(new Blob([new Uint8Array(200_000)])));
    const closing = sender.close();
    const sizes = [];
    for await (const message of await receiver(bob)) sizes.push((await message.bytes()).length);
    assert.deepEqual(sizes, [5, 9, 200_000]);
    const sent = await Promise.all([...files, text]);
    assert.deepEqual(
        sent.map(({ sequence }) => sequence),
        [1, 2, 4, 3],
    );
    assert.equal(await closing, Code.NONE);
    await end();
});

test("a file that can't be read fails by itself", async () => {
    const { ann, bob, end } = await pair();
    const sender = ann.createSender();
    const file = Object.assign(new Blob(["gone"]), {
        arrayBuffer: () => Promise.reject(new Error("NotReadableError")),
    });
    const sending = sender.sendFile(file);
    const text = sender.sendText("behind it");
    const closing = sender.close();
    await assert.rejects(sending, { message: "NotReadableError" });
    assert.deepEqual(await texts(await receiver(bob)), ["behind it"]);
    await Promise.all([text, closing]);
    await end();
});

test("a stream that was finished is delivered by a sender that is closed; others are given up", async () => {
    const { ann, bob, end } = await pair({ limits });
    const sender = ann.createSender();
    const finished = await sender.openStream();
    const writes = Array.from({ length: 20 }, () => finished.write(new Uint8Array(10_000)));
    const finishing = finished.finish();
    const open = await sender.openStream();
    void open.write(new Uint8Array(10)).catch(() => {});
    const late = sender.openStream();
    late.catch(() => {});
    const filling = fill(sender);
    const closing = sender.close();
    await assert.rejects(open.write(new Uint8Array(10)), { code: Code.SENDER_CLOSED });
    await assert.rejects(open.finish(), { code: Code.SENDER_CLOSED });
    const sizes = [];
    for await (const message of await receiver(bob)) sizes.push((await message.bytes()).length);
    assert.deepEqual(sizes, [200_000, ...Array(FILLING).fill(3000)]);
    await assert.rejects(late.then((stream) => stream.finish()), { code: Code.SENDER_CLOSED });
    await Promise.all([finishing, closing, ...writes, ...filling]);
    await end();
});

test("a write and the end of a stream go at once when nothing waits", async () => {
    const { ann, bob, end } = await pair();
    const sender = ann.createSender();
    const stream = await sender.openStream();
    const writing = stream.write(new Uint8Array(7));
    const finishing = stream.finish();
    const closing = sender.close();
    const sizes = [];
    for await (const message of await receiver(bob)) sizes.push((await message.bytes()).length);
    assert.deepEqual(sizes, [7]);
    await Promise.all([writing, finishing, closing]);
    await end();
});

test("a send that waits is taken back by its signal, and raises DEADLINE when its time is over", async () => {
    const { ann, bob, end } = await pair({ limits });
    const sender = ann.createSender();
    const filling = fill(sender);
    const abort = new AbortController();
    const given = sender.sendText("taken back", { signal: abort.signal });
    const late = sender.sendText("too late", { timeout: 0 });
    abort.abort();
    const closing = sender.close();
    const read = texts(await receiver(bob));
    await assert.rejects(given, { code: Code.CANCELLED });
    await assert.rejects(late, { code: Code.DEADLINE });
    assert.equal((await read).length, FILLING);
    await Promise.all([...filling, closing]);
    await end();
});
