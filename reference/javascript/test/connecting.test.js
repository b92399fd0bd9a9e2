// SPDX-License-Identifier: Apache-2.0
// How a call gets its transports, the first and the next ones, and what becomes of attempts that fail.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { Call } from "../callchannel/call.js";
import { Code } from "../callchannel/errors.js";
import { memoryPair } from "../callchannel/memory.js";
import { SignallingError } from "../callchannel/signalling.js";
import { openTransport } from "../callchannel/webrtc.js";
import { FakeConnection } from "./support/rtc.js";

/** @typedef {import("../callchannel/memory.js").MemoryTransport} MemoryTransport */

const DENIED = new SignallingError(Code.NOT_ADMITTED, 404, "not_found", "no", 0);
const TOKEN = new SignallingError(Code.NOT_ADMITTED, 401, "token_expired", "token", 0);
const LATER = new SignallingError(Code.GOING_AWAY, 503, "stopping", "later", 1);

/**
 * Ann in a call with Bob, and what her attempts to connect again come to: null, or what they raise.
 *
 * @param {(Error | null)[]} outcomes
 */
async function suspending(outcomes) {
    const bob = new Call({ role: "acceptor", id: "bob", peer: "ann" });
    /** @type {MemoryTransport[]} */
    const transports = [];
    let attempts = 0;
    const connect = async (/** @type {{ attempt: number }} */ { attempt }) => {
        attempts = attempt;
        const outcome = attempt === 1 ? null : outcomes.shift();
        if (outcome instanceof Error) throw outcome;
        const [one, other] = memoryPair();
        transports.push(one);
        bob.accept(other);
        return one;
    };
    const ann = await Call.join({ role: "initiator", id: "ann", connect, random: () => 0 });
    /** Cuts, and waits for what becomes of it. */
    const cut = async () => {
        const over = new Promise((resolve) => {
            for (const type of ["resumed", "ended"]) {
                ann.addEventListener(type, (event) => resolve(/** @type {any} */ (event).detail), { once: true });
            }
        });
        transports.at(-1)?.cut();
        return /** @type {Promise<any>} */ (over);
    };
    return { ann, bob, cut, attempts: () => attempts };
}

test("a refusal that is final ends the call at once, with its code and words", async () => {
    const { ann, bob, cut, attempts } = await suspending([DENIED]);
    const sender = ann.createSender();
    const ending = cut();
    const sending = sender.sendText("waits");
    await assert.rejects(sending, { code: Code.LINK_LOST });
    assert.deepEqual(await ending, {
        type: "LinkEnded",
        code: Code.NOT_ADMITTED,
        text: "it could not be connected again: NOT_ADMITTED: signalling 404 not_found",
        byPeer: false,
    });
    assert.deepEqual([await ann.ended, ann.state, attempts()], [Code.NOT_ADMITTED, "DEAD", 2]);
    bob.leave();
});

test("a token that is refused is asked for once more, after each time that the link was up", async () => {
    const { ann, bob, cut, attempts } = await suspending([TOKEN, LATER, null, TOKEN, TOKEN]);
    assert.equal((await cut()).type, "LinkResumed");
    assert.equal(attempts(), 4);
    assert.equal((await cut()).code, Code.NOT_ADMITTED);
    assert.deepEqual([await ann.ended, attempts()], [Code.NOT_ADMITTED, 6]);
    bob.leave();
});

test("who has left is not told of a refusal", async () => {
    const { ann, bob, cut } = await suspending([DENIED]);
    const sender = ann.createSender();
    const sends = Array.from({ length: 10 }, () => sender.send(new Uint8Array(1_000_000))); // some wait for room
    const leaving = ann.leave();
    const { code } = await cut();
    assert.deepEqual([code, await leaving], [Code.NONE, Code.NONE]);
    await Promise.allSettled(sends);
    bob.leave();
});

test("an attempt that fails is told to end what it has begun; one that does not, is not", async () => {
    /** @type {AbortSignal[]} */
    const signals = [];
    const bob = new Call({ role: "acceptor", id: "bob", peer: "ann" });
    /** @type {MemoryTransport[]} */
    const transports = [];
    const connect = async (/** @type {{ signal: AbortSignal }} */ { signal }) => {
        signals.push(signal);
        if (signals.length === 2) throw new Error("no network");
        const [one, other] = memoryPair();
        transports.push(one);
        bob.accept(other);
        return one;
    };
    const ann = await Call.join({ role: "initiator", id: "ann", connect, random: () => 0 });
    const resumed = new Promise((resolve) => ann.addEventListener("resumed", resolve, { once: true }));
    transports[0].cut();
    await resumed;
    assert.deepEqual(
        signals.map(({ aborted }) => aborted),
        [false, true, false],
    );
    await ann.leave();
    await bob.ended;
});

test("a call that could not be connected has ended, with what refused it", async () => {
    for (const [error, code] of /** @type {const} */ ([
        [DENIED, Code.NOT_ADMITTED],
        [new Error("no network"), Code.LINK_LOST],
    ])) {
        const connect = () => Promise.reject(error);
        const call = new Call({ role: "group", id: "ann", connect });
        const ended = new Promise((resolve) => call.addEventListener("ended", resolve, { once: true }));
        await assert.rejects(call.join(), error);
        await assert.rejects(call.join(), error);
        assert.deepEqual([await call.ended, call.state], [code, "DEAD"]);
        const { detail } = /** @type {any} */ (await ended);
        assert.deepEqual([detail.code, detail.text], [code, `it could not be connected: ${error.message}`]);
        for await (const receiver of call.receivers()) assert.fail(`${receiver.channel}`);
    }
});

test("the connect of the README and of the tutorial leaves nothing behind when it fails", async () => {
    for (const page of ["../README.md", "../../../docs/tutorial.md"]) {
        const text = await readFile(new URL(page, import.meta.url), "utf8");
        const source = /\n( +connect: async \(\{ signal \}\) => \{\n.*?\n {4}\}),/s.exec(text)?.[1] ?? "";
        /** @type {FakeConnection[]} */
        const connections = [];
        const made = class extends FakeConnection {
            constructor() {
                super();
                connections.push(this);
            }
        };
        const signalling = { negotiate: () => Promise.reject(DENIED) };
        const names = ["RTCPeerConnection", "openTransport", "signalling"];
        const { connect } = new Function(...names, `return {${source}}`)(made, openTransport, signalling);
        await assert.rejects(Call.join({ role: "group", id: "ann", connect }), DENIED);
        await new Promise(setImmediate);
        assert.deepEqual(
            connections.map(({ closed }) => closed),
            [true],
            page,
        );
    }
});

test("attempts to reconnect are repeated with growing pauses", async () => {
    const bob = new Call({ role: "acceptor", id: "bob", peer: "ann" });
    let failures = 2;
    /** @type {import("../callchannel/memory.js").MemoryTransport | null} */
    let first = null;
    const connect = async (/** @type {{ attempt: number }} */ { attempt }) => {
        if (attempt > 1 && failures > 0) {
            failures -= 1;
            throw new Error("no network");
        }
        const [one, other] = memoryPair();
        first ??= one;
        bob.accept(other);
        return one;
    };
    const ann = await Call.join({ role: "initiator", id: "ann", connect, random: () => 0 });
    const resumed = new Promise((resolve) => ann.addEventListener("resumed", resolve, { once: true }));
    /** @type {any} */ (first).cut();
    await resumed;
    assert.equal(failures, 0);
    await ann.leave();
    await bob.ended;
});

test("joining raises what refused it", async () => {
    const bob = new Call({ role: "acceptor", id: "bob", peer: "ann" });
    const connect = async () => {
        const [one, other] = memoryPair();
        bob.accept(other, "mallory");
        return one;
    };
    await assert.rejects(Call.join({ role: "initiator", id: "ann", connect }), { code: Code.NOT_ADMITTED });
    const broken = async () => {
        throw new Error("no network");
    };
    await assert.rejects(Call.join({ role: "initiator", id: "ann", connect: broken }), { message: "no network" });
    bob.leave();
});

test("joining raises TIMEOUT when no transport comes up within join_time (CC-SIG-059)", async (context) => {
    /** @type {AbortSignal | null} */
    let given = null;
    const timeout = AbortSignal.timeout;
    const controller = new AbortController();
    AbortSignal.timeout = () => controller.signal;
    context.after(() => {
        AbortSignal.timeout = timeout;
    });
    const connect = (/** @type {{ signal: AbortSignal }} */ { signal }) => {
        given = signal;
        return new Promise(() => {});
    };
    const joining = Call.join({ role: "group", id: "ann", connect: /** @type {any} */ (connect) });
    controller.abort();
    await assert.rejects(joining, { code: Code.TIMEOUT });
    assert.equal(/** @type {any} */ (given).aborted, true);
});
