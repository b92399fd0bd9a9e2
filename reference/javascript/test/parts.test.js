// SPDX-License-Identifier: Apache-2.0
// The small parts, each by itself.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { CallError, Code, codeName, codeRetry, codeScope } from "../callchannel/errors.js";
import { readU64, sameToken, writeU64 } from "../callchannel/bytes.js";
import { Bitrate, Bucket, ReaderCredit, WriterCredit } from "../callchannel/flow.js";
import { Counting } from "../callchannel/counting.js";
import { DoneWindow, contradicts, keep } from "../callchannel/fragments.js";
import { LAST_INDEX } from "../callchannel/data.js";
import { LIMITS, resolveLimits } from "../callchannel/limits.js";
import { Occupant, Roster } from "../callchannel/roster.js";
import { Outgoing, Audience } from "../callchannel/outgoing.js";
import { Queue } from "../callchannel/queue.js";
import { Timers } from "../callchannel/timers.js";
import { Verdicts } from "../callchannel/verdicts.js";
import { chooseForm, slotsOf, wordsOf } from "../callchannel/recipients.js";
import { encodeFrame } from "../callchannel/frames.js";
import { understand } from "../callchannel/extensions.js";
import { Script, roster } from "./support/relay.js";

test("errors: codes by name and number; an unknown one keeps its number and is not retried", () => {
    assert.equal(codeName(Code.CUSTODY_LOST), "CUSTODY_LOST");
    assert.equal(codeName(0x4abc), "4ABC");
    assert.deepEqual([codeScope(Code.OVERRUN), codeRetry(Code.OVERRUN)], ["session", "same"]);
    assert.deepEqual([codeScope(0x4abc), codeRetry(0x4abc)], [undefined, "no"]);
    const error = new CallError(Code.POLICY, "no shouting");
    assert.deepEqual(
        [error.code, error.codeName, error.retry, error.message],
        [0x33, "POLICY", "no", "POLICY: no shouting"],
    );
});

test("limits: those of the registry that an endpoint holds, with its values (CC-LIMIT-001)", () => {
    const text = readFileSync(new URL("../../../spec/registry/limits.toml", import.meta.url), "utf8");
    const registered = text
        .split("[[limit]]")
        .slice(1)
        .map((table) => Object.fromEntries([...table.matchAll(/^(\w+) = "?([^"\n]*)"?$/gm)].map(([, ...pair]) => pair)))
        .filter(({ holder }) => holder !== "relay" && holder !== "signalling")
        .map(({ name, min, default: usual, max }) => [
            name,
            { least: Number(min), usual: Number(usual), greatest: Number(max) },
        ]);
    assert.deepEqual(LIMITS, Object.fromEntries(registered));
});

test("limits: constants, bounds, and what does not fit", () => {
    assert.equal(resolveLimits().window, 262144);
    for (const [name, { least, usual, greatest }] of Object.entries(LIMITS)) {
        assert.ok(least <= usual && usual <= greatest, name);
        if (least === greatest)
            assert.throws(() => resolveLimits({ [name]: least + 1 }), { code: Code.INVALID_ARGUMENT });
    }
    for (const settings of [
        { window: 65535 },
        { window: 1.5 },
        { silence: 14999 },
        { nonsense: 1 },
        { largest_message: 2 ** 31 },
        { window: 2097152, receive_memory: 1048576 },
    ]) {
        assert.throws(() => resolveLimits(/** @type {any} */ (settings)), { code: Code.INVALID_ARGUMENT });
    }
});

test("u64: numbers up to 2^53 - 1, BigInts above, all exact", () => {
    const bytes = new Uint8Array(8);
    for (const value of [0, 1, 2 ** 32, 2 ** 53 - 1, 2n ** 53n, 2n ** 64n - 1n]) {
        writeU64(bytes, 0, value);
        assert.equal(readU64(bytes, 0), value);
    }
    assert.ok(sameToken(new Uint8Array(16), new Uint8Array(16)));
    assert.ok(!sameToken(new Uint8Array(16), new Uint8Array(15)));
});

test("timers run in order, can be moved and taken back, and are over when the time has passed in full", () => {
    const timers = new Timers();
    /** @type {string[]} */
    const ran = [];
    const [a, b, c, d] = ["a", "b", "c", "d"].map((name) => timers.timer((now) => ran.push(`${name}${now}`)));
    a.set(30);
    b.set(10);
    c.set(10);
    d.set(5);
    d.clear();
    assert.equal(timers.next(), 10);
    timers.run(9);
    assert.deepEqual(ran, []);
    timers.run(10);
    assert.deepEqual(ran, ["b10", "c10"]);
    a.set(12);
    timers.run(20);
    assert.deepEqual([ran.at(-1), timers.next()], ["a20", null]);
});

test("a timer that sets itself runs again in the same call if it is due", () => {
    const timers = new Timers();
    let runs = 0;
    const timer = timers.timer(() => {
        runs += 1;
        if (runs < 3) timer.set(runs);
    });
    timer.set(0);
    timers.run(5);
    assert.equal(runs, 3);
});

test("many timers against a plain list", () => {
    const timers = new Timers();
    /** @type {[number, number][]} */
    const ran = [];
    let state = 1;
    const random = () => (state = (state * 48271) % 2147483647);
    const all = Array.from({ length: 200 }, (_, at) => timers.timer(() => ran.push([at, Number(expected.get(at))])));
    /** @type {Map<number, number>} */
    const expected = new Map();
    for (let step = 0; step < 1000; step += 1) {
        const at = random() % 200;
        if (random() % 4 === 0) {
            all[at].clear();
            expected.delete(at);
        } else {
            expected.set(at, random() % 1000);
            all[at].set(Number(expected.get(at)));
        }
    }
    const due = [...expected.values()].sort((one, other) => one - other);
    timers.run(1000);
    assert.deepEqual(
        ran.map(([, at]) => at),
        due,
    );
});

test("a queue keeps order, also after many were taken", () => {
    /** @type {Queue<number>} */
    const queue = new Queue();
    for (let at = 0; at < 200; at += 1) queue.push(at);
    for (let at = 0; at < 150; at += 1) assert.equal(queue.shift(), at);
    assert.deepEqual(queue.filter((item) => item % 2 === 0).length, 25);
    assert.deepEqual([queue.first, queue.length, [...queue].at(-1)], [150, 25, 198]);
    assert.equal(queue.clear().length, 25);
    assert.equal(queue.shift(), undefined);
});

test("the table of section 7.14: which Lossy sequences are taken", () => {
    const window = new DoneWindow();
    /** @type {[number, string | null][]} */
    const table = [
        [5, null],
        [3, null],
        [3, "duplicate"],
        [1030, null],
        [7, null],
        [6, "too_old"],
        [2000, null],
        [976, "too_old"],
    ];
    for (const [sequence, reason] of table) {
        assert.equal(window.judge(sequence), reason, `sequence ${sequence}`);
        if (reason === null) window.mark(sequence);
    }
    assert.equal(window.judge(977), null);
    window.mark(4294967295);
    assert.deepEqual(
        [window.judge(4294967295), window.judge(4294967294), window.judge(2000)],
        ["duplicate", null, "too_old"],
    );
});

test("step 16 for single fragments", () => {
    const base = { index: 0, total: 5, last: false, abort: false };
    assert.equal(contradicts(base, 4, null), false);
    assert.equal(contradicts(base, 5, null), true);
    assert.equal(contradicts({ ...base, last: true }, 5, null), false);
    assert.equal(contradicts({ ...base, total: 0, index: LAST_INDEX }, 5, null), true);
    assert.equal(contradicts({ ...base, total: 0, index: LAST_INDEX, last: true }, 5, null), false);
});

test("a small piece of a large packet does not keep the packet in memory", () => {
    const packet = new Uint8Array(16384);
    assert.equal(keep(packet.subarray(16, 40)).buffer.byteLength, 24);
    assert.equal(keep(packet.subarray(16)).buffer.byteLength, 16384);
});

test("credit: the limit of a reader, and when CREDIT is due", () => {
    const credit = new ReaderCredit(65536);
    credit.received = 60000;
    assert.equal(credit.limit(true), 65536);
    assert.equal(credit.due(true), false);
    assert.equal(credit.limit(false), 60000 + 32768);
    assert.equal(credit.due(false), true);
    credit.written = credit.limit(false);
    assert.deepEqual([credit.allows(32768), credit.allows(32769)], [true, false]);
    credit.consumed = 1;
    assert.equal(credit.limit(true), 92768); // it does not fall
});

test("credit: a writer takes what is greater, and a CREDIT beyond 2^53 as without end", () => {
    const credit = new WriterCredit(65536);
    assert.deepEqual([credit.raise(65536), credit.raise(70000), credit.raise(1)], [false, true, false]);
    credit.counted = 69000;
    assert.deepEqual([credit.covers(1000), credit.covers(1001)], [true, false]);
    assert.equal(credit.raise(2n ** 64n - 1n), true);
    assert.equal(credit.raise(2n ** 60n), false);
    assert.equal(credit.covers(2 ** 40), true);
});

test("a bucket pays 1 each, and is refilled evenly up to its size", () => {
    const bucket = new Bucket(1000, 4, 0);
    assert.deepEqual(
        [1, 2, 3, 4, 5].map(() => bucket.take(0)),
        [true, true, true, true, false],
    );
    assert.equal(bucket.take(999), false);
    assert.equal(bucket.take(1000), true);
    assert.deepEqual(
        [1, 2, 3, 4, 5].map(() => bucket.take(9e6)),
        [true, true, true, true, false],
    );
    bucket.earn(3); // beside a bucket that fills up again meanwhile
    assert.deepEqual(
        [1, 2, 3, 4, 5, 6, 7, 8].map(() => bucket.take(18e6)),
        [true, true, true, true, true, true, true, false],
    );
});

test("the table of section 8.8: a bitrate", () => {
    const rate = new Bitrate(131072, 0);
    assert.equal(rate.allows(0), true);
    rate.pay(16384, 0);
    assert.equal(rate.allows(0), false);
    assert.equal(rate.readyAt(0), 1);
    assert.equal(rate.allows(1), true);
    rate.pay(16384, 1);
    assert.equal(rate.allows(1_000_000), false);
    const ready = rate.readyAt(500_000);
    assert.ok(ready >= 1_000_000 && ready <= 1_000_002, String(ready));
    assert.equal(rate.allows(ready), true);
    const rested = new Bitrate(8, 0);
    rested.pay(1, 0);
    assert.equal(rested.allows(60_000_000), true);
});

test("counting: possible counts, freeing without settling, retransmission in order", () => {
    const counting = new Counting(resolveLimits());
    /** @type {number[]} */
    const settled = [];
    for (let at = 1; at <= 4; at += 1) counting.keep(new Uint8Array(at * 100), () => settled.push(at));
    assert.deepEqual(
        [0, 4, 5, 2n ** 60n].map((count) => counting.possible(count)),
        [true, true, false, false],
    );
    counting.free(2);
    assert.deepEqual([counting.keptBytes, counting.possible(1), settled.length], [700, false, 0]);
    counting.startAgain();
    assert.deepEqual(
        [counting.takeAgain()?.length, counting.takeAgain()?.length, counting.nextAgain],
        [300, 400, undefined],
    );
    counting.acknowledge(3, 0);
    assert.deepEqual(settled, [1, 2, 3]);
    assert.equal(counting.settled, false);
    counting.acknowledge(4, 0);
    assert.equal(counting.settled, true);
});

test("verdicts: one each, the first failed decides the code, held ones come later", () => {
    const [a, b, c] = ["a", "b", "c"].map((id, slot) => new Occupant(slot, id));
    const verdicts = new Verdicts(new Set([a, b, c]));
    verdicts.give(a, "unknown", Code.LOST);
    verdicts.give(a, "confirmed");
    verdicts.give(new Occupant(9, "x"), "failed", Code.LOST);
    assert.equal(verdicts.complete, false);
    verdicts.giveRest("confirmed", 0, [c]);
    assert.equal(verdicts.complete, false);
    verdicts.give(c, "failed", Code.CLOSED);
    assert.equal(verdicts.complete, true);
    verdicts.giveRest("failed", Code.POLICY);
    const report = verdicts.report();
    assert.deepEqual([report.code, report.reached.map(({ id }) => id)], [Code.CLOSED, ["b"]]);
    assert.deepEqual(
        report.unknown.map(({ recipient, code }) => [recipient.id, code]),
        [["a", Code.LOST]],
    );
});

test("verdicts: those who failed before are passed over, and listed", () => {
    const [a, b] = ["a", "b"].map((id, slot) => new Occupant(slot, id));
    const verdicts = new Verdicts(new Set([a, b]), new Set([b, new Occupant(5, "gone")]));
    assert.equal(verdicts.size, 1);
    verdicts.giveRest("confirmed");
    const report = verdicts.report();
    assert.deepEqual([report.code, report.passed.length, report.reached.length], [0, 1, 1]);
    assert.equal(new Verdicts(new Set()).complete, true);
});

test("words and slots are each other's inverse; forms are chosen by size", () => {
    const slots = [0, 5, 31, 32, 9999, 65534];
    assert.deepEqual(slotsOf(wordsOf(slots)), slots);
    assert.deepEqual(wordsOf([9999]), [{ index: 312, bits: 0x8000 }]);
    const others = Array.from({ length: 3000 }, (_, at) => at);
    const most = others.filter((slot) => slot !== 7);
    assert.deepEqual(chooseForm(most, others, false, 64), { except: true, words: [{ index: 0, bits: 128 }] });
    assert.deepEqual(chooseForm([7], others, true, 64), { except: true, words: [{ index: 0, bits: 128 }] });
    assert.equal(
        chooseForm(
            others.filter((slot) => slot % 2),
            others,
            false,
            64,
        ),
        null,
    );
    // All but nobody cannot be written as a complement: it would name nobody.
    assert.equal(chooseForm(others, others, false, 64), null);
});

test("the roster: series, changes, gone endpoints, and the epoch's members", () => {
    const book = new Roster(0, false);
    const first = roster(
        3,
        [
            ["JOIN", 0, "ann"],
            ["JOIN", 1, "bob"],
        ],
        { snapshot: true, more: true },
    );
    assert.equal(book.judge(first), Code.NONE);
    assert.deepEqual(book.apply(first), []);
    assert.equal(book.complete, false);
    const second = roster(3, [["JOIN", 2, "bob"]], { snapshot: true });
    assert.equal(book.judge(second), Code.NONE);
    assert.equal(book.apply(second).length, 3);
    assert.deepEqual(
        book.named("bob").map(({ slot }) => slot),
        [1, 2],
    );
    const before = book.others;
    assert.equal(book.others, before);
    book.apply(
        roster(5, [
            ["LEAVE", 1, Code.LEFT],
            ["JOIN", 1, "eve"],
            ["SUSPENDED", 2],
            ["SUSPENDED", 2],
        ]),
    );
    assert.notEqual(book.others, before);
    assert.deepEqual([book.at(1)?.id, book.at(2)?.suspended, book.epoch], ["eve", true, 5]);
    assert.equal([...before].find(({ slot }) => slot === 1)?.present, false);
    assert.equal(book.judge(roster(4, [])), Code.EPOCH);
    assert.equal(book.judge(roster(6, [["LEAVE", 0]])), Code.SLOT);
    assert.equal(book.judge(roster(5, [])), Code.NONE);
});

test("a snapshot without the reader's own slot does not fit", () => {
    assert.equal(new Roster(0, false).judge(roster(1, [["JOIN", 1, "bob"]], { snapshot: true })), Code.SLOT);
    assert.equal(
        new Roster(0, false).judge(
            roster(
                1,
                [
                    ["JOIN", 0, "ann"],
                    ["RESUMED", 0],
                ],
                { snapshot: true },
            ),
        ),
        Code.SLOT,
    );
});

test("cutting: one frame as long as it fits, then fragments that leave room in front", () => {
    /** @param {number} size */
    const cut = (size) => new Outgoing(1, new Uint8Array(size), new Audience("everyone"), [], 0).cut(true, null, []);
    assert.deepEqual(cut(16368), { fragmented: false, length: 16368, last: true, size: 16384 });
    assert.deepEqual(cut(16369), { fragmented: true, length: 16232, last: false, size: 16256 });
    assert.deepEqual(cut(0), { fragmented: false, length: 0, last: true, size: 16 });
    const lossy = new Outgoing(1, new Uint8Array(1135), new Audience("everyone"), [], 0).cut(false, null, []);
    assert.deepEqual(lossy, { fragmented: true, length: 1126, last: false, size: 1150 });
});

test("extensions: malformed ones are not understood; a lifetime on Reliable is ignored", () => {
    const value = new Uint8Array(3);
    const must = (/** @type {number} */ type) => [{ type, mustUnderstand: true, value }];
    const none = new Set([0x7001]);
    assert.equal(understand(must(4), true, none), null);
    assert.equal(understand(must(3), false, none), null);
    assert.notEqual(understand(must(3), true, none), null);
    assert.equal(understand(must(5), true, none), null);
    assert.equal(understand(must(0x0a5a), true, none), null);
    assert.notEqual(understand(must(0x7001), true, none), null);
    assert.deepEqual(
        understand([{ type: 1, mustUnderstand: false, value: new Uint8Array(0) }], true, none)?.contentType,
        undefined,
    );
});

test("an encoder writes no frame that a reader would not take", () => {
    assert.throws(() => encodeFrame({ type: "BYE", code: 0, text: "x".repeat(256) }), RangeError);
    assert.throws(() => encodeFrame({ type: "BYE", code: 0, text: "\udfff" }), RangeError);
    assert.throws(
        () =>
            encodeFrame({
                type: "CLOSE",
                sender: 0,
                recipient: 0xffff,
                session: 1,
                value: 0,
                reason: 0,
                uncertain: false,
            }),
        RangeError,
    );
});

test("the trace of section 8.9", () => {
    const script = new Script().join();
    const [one, two] = [script.open(), script.open()];
    const three = script.open({ priority: "high" });
    script.take();
    const { ann } = script;
    script.now += 30_000;
    ann.send(one, new Uint8Array(3 * 16232), {}, script.now);
    ann.send(two, new Uint8Array(284), {}, script.now);
    ann.send(two, new Uint8Array(284), {}, script.now);
    for (let at = 0; at < 6; at += 1) ann.send(three, new Uint8Array(184), {}, script.now);
    const sizes = [];
    for (
        let packet = ann.pull("t1", "reliable", 1, script.now);
        packet;
        packet = ann.pull("t1", "reliable", 1, script.now)
    ) {
        sizes.push(packet.length);
    }
    assert.deepEqual(sizes, [12 + 800, 16256, 200 + 200 + 300, 16256, 300, 16256]);
});
