// SPDX-License-Identifier: Apache-2.0
// The adapter as the conformance suite runs it: a process, a line for each request and reply.
import assert from "node:assert/strict";
import { once } from "node:events";
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { setImmediate } from "node:timers/promises";
import { test } from "node:test";
import { LIMITS } from "../callchannel/limits.js";

const PROGRAM = fileURLToPath(new URL("../callchannel/adapter.js", import.meta.url));

/** The runner's side of a conversation. */
class Runner {
    #process = spawn(process.execPath, [PROGRAM], { stdio: ["pipe", "pipe", "inherit"] });
    #text = "";
    #id = 0;

    /** Writes text as it is. @param {string} text */
    write(text) {
        this.#process.stdin.write(text);
    }

    /** The next line that is answered. */
    async next() {
        while (!this.#text.includes("\n")) {
            const [chunk] = await once(this.#process.stdout, "data");
            this.#text += String(chunk);
        }
        const [line, ...rest] = this.#text.split("\n");
        this.#text = rest.join("\n");
        return JSON.parse(line);
    }

    /** @param {Record<string, unknown>} request @returns {Promise<any>} */
    async ask(request) {
        this.#id += 1;
        this.write(`${JSON.stringify({ id: this.#id, ...request })}\n`);
        const { id, ...reply } = await this.next();
        assert.equal(id, this.#id);
        return reply;
    }

    /** Gives `ok`. @param {Record<string, unknown>} request @returns {Promise<any>} */
    async ok(request) {
        const reply = await this.ask(request);
        assert.ok("ok" in reply, JSON.stringify(reply));
        return reply.ok;
    }

    /** Ends the adapter's input, and gives its exit code. */
    async end() {
        this.#process.stdin.end();
        const [code] = await once(this.#process, "exit");
        return code;
    }
}

/** Two machines of one adapter and one transport between them, without delay. */
class Pair extends Runner {
    now = 1_000_000;
    /** @type {Record<string, any[]>} */
    events = { ann: [], bob: [] };

    /** An op, and all that follows from it at both. @param {string} machine @param {Record<string, unknown>} request */
    async act(machine, request) {
        const ok = await this.ok({ machine, now: this.now, ...request });
        this.events[machine].push(...ok.events);
        const to = machine === "ann" ? "bob" : "ann";
        for (const { lane, packet } of ok.packets) await this.act(to, { op: "receive", transport: 1, lane, packet });
        return ok;
    }

    async connect() {
        const common = { op: "create", kind: "peer", now: this.now };
        await this.ok({ ...common, machine: "ann", seed: "01", role: "initiator", identity: "ann" });
        const bob = { machine: "bob", seed: "02", role: "acceptor", identity: "bob", peer_identity: "ann" };
        await this.ok({ ...common, ...bob });
        const up = { op: "transport_up", transport: 1, lossy: true };
        for (const machine of ["bob", "ann"]) await this.act(machine, up);
    }

    /** Lets the timers run that are due first. @param {string} machine */
    async wake(machine) {
        const { wake } = await this.act(machine, { op: "look" });
        this.now = Math.max(this.now, wake);
        await this.act(machine, { op: "timeout" });
    }

    /** @param {string} machine @param {string} event */
    told(machine, event) {
        return this.events[machine].filter((one) => one.event === event);
    }
}

test("hello, what is unknown, and what makes no sense", async () => {
    const runner = new Runner();
    const { value } = await runner.ok({ op: "hello", protocol: 1 });
    assert.deepEqual([value.protocol, value.document, value.wire, value.big_numbers], [1, "0.1", 1, "text"]);
    assert.deepEqual(value.profiles, ["codec", "endpoint-group", "endpoint-peer"]);
    assert.deepEqual(Object.keys(value.limits), Object.keys(LIMITS));
    assert.deepEqual(value.limits.window, { value: 262144, settable: true });
    assert.deepEqual(value.limits.silence, { value: 15000, settable: false });
    /** @type {[string, Record<string, unknown>][]} */
    const wrong = [
        ["UNSUPPORTED", { op: "fly" }],
        ["UNSUPPORTED", { op: "toString" }],
        ["BAD_REQUEST", { op: "look", machine: "nobody", now: 0 }],
        ["BAD_REQUEST", { op: "decode", lane: "reliable", packet: "4" }],
        ["UNSUPPORTED", { op: "create", machine: "r", kind: "relay", seed: "", now: 0 }],
        ["UNSUPPORTED", { op: "create", machine: "r", kind: "endpoint", seed: "", limits: { stall_time: 1 }, now: 0 }],
        ["BAD_REQUEST", { op: "create", machine: "r", kind: "peer", seed: "", now: 0 }],
    ];
    for (const [code, request] of wrong) {
        assert.equal((await runner.ask(request)).err.code, code, JSON.stringify(request));
    }
    const common = { op: "create", machine: "m", kind: "endpoint", seed: "00", now: 0 };
    const { raised } = await runner.ok({ ...common, limits: { window: 1 } });
    assert.deepEqual(raised, { code: "INVALID_ARGUMENT" });
    await runner.ok({ ...common, identity: "ann", limits: { receive_memory: "1099511627776" } });
    for (const request of [
        { op: "fly", machine: "m", now: 0 },
        { op: "send", machine: "m", now: 0, sender: 1, data: "" },
        { op: "read", machine: "m", now: 0, receiver: 1 },
    ]) {
        const { err } = await runner.ask(request);
        assert.equal(err.code, request.op === "fly" ? "UNSUPPORTED" : "BAD_REQUEST");
    }
    runner.write("no JSON\n");
    assert.equal((await runner.next()).err.code, "BAD_REQUEST");
    await runner.ok({ op: "reset" });
    assert.equal((await runner.ask({ op: "look", machine: "m", now: 0 })).err.code, "BAD_REQUEST");
    assert.equal(await runner.end(), 0);
});

test("decode and encode, with numbers beyond 2^53 as text", async () => {
    const runner = new Runner();
    /** @param {string} packet @param {string} [lane] */
    const decode = async (packet, lane = "reliable") => (await runner.ok({ op: "decode", lane, packet })).value;
    assert.deepEqual(await decode("4300000c0000000000000010"), {
        frames: [{ type: "ACK", received: 16 }],
        error: null,
    });
    assert.deepEqual(await decode("4300000cffffffffffffffff08000004"), {
        frames: [{ type: "ACK", received: "18446744073709551615" }],
        error: "UNKNOWN_TYPE",
    });
    assert.deepEqual(await decode("4300000c0000000000000010", "lossy"), { frames: [], error: "WRONG_LANE" });
    const frame = { type: "ACK", received: "18446744073709551615" };
    assert.equal((await runner.ok({ op: "encode", frame })).value.packet, "4300000cffffffffffffffff");
    const raised = { code: "INVALID_ARGUMENT" };
    assert.deepEqual((await runner.ok({ op: "encode", frame: { type: "FLY" } })).raised, raised);
    const surrogate = { type: "BYE", code: 1, text: "\ud800" };
    assert.deepEqual((await runner.ok({ op: "encode", frame: surrogate })).raised, raised);
    assert.equal(await runner.end(), 0);
});

test("a line that comes in pieces, with a character that only some take for the end of a line", async () => {
    const runner = new Runner();
    const frame = { type: "BYE", code: 0, text: "a\u2028b" };
    const text = `${JSON.stringify({ id: 7, op: "encode", frame })}\n`;
    const one = { id: 8, op: "hello", protocol: 1 };
    runner.write(text.slice(0, 20));
    await setImmediate();
    runner.write(`${text.slice(20)}${JSON.stringify(one)}\n`);
    const { id, ok } = await runner.next();
    assert.deepEqual([id, ok.value.packet], [7, "4400000b000061e280a862"]);
    assert.equal((await runner.next()).id, 8);
    assert.equal(await runner.end(), 0);
});

test("a conversation: two peers, messages, a stream, cancel, and leaving", async () => {
    const pair = new Pair();
    await pair.connect();
    await pair.wake("bob");
    assert.deepEqual(pair.told("ann", "joined"), [{ event: "joined", identity: "ann", slot: 1 }]);
    const { value: opened } = await pair.act("ann", { op: "open", channel: 7, confirm: "delivered", to: ["bob"] });
    assert.equal(opened.channel, 7);
    const { sender } = opened;
    const metadata = { content_type: "text/plain", time: "18446744073709551615", must_understand: [1] };
    const sent = await pair.act("ann", { op: "send", sender, data: "6869", metadata });
    assert.deepEqual(sent.value, { sequence: 1 });
    const [created] = pair.told("bob", "receiver_created");
    const { receiver } = created;
    assert.deepEqual(created, {
        event: "receiver_created",
        receiver,
        identity: "ann",
        slot: 1,
        channel: 7,
        session: 1,
        reliability: "reliable",
        priority: "normal",
    });
    assert.deepEqual((await pair.act("bob", { op: "read", receiver })).value.message, {
        sequence: 1,
        data: "6869",
        private: true,
        stream: false,
        metadata,
    });
    const report = { reached: ["bob"], failed: [], unknown: [], passed_over: [] };
    assert.deepEqual(pair.told("ann", "message_confirmed"), [
        { event: "message_confirmed", sender, sequence: 1, report },
    ]);

    const nobody = await pair.act("ann", { op: "send", sender, data: "", to: ["dan", "erin"] });
    assert.deepEqual(nobody.raised, { code: "UNKNOWN_RECIPIENT", recipients: ["dan", "erin"] });
    const doubtful = await pair.act("ann", { op: "send", sender, data: "", to: ["bob"], exclude: ["dan"] });
    assert.equal(doubtful.raised.code, "INVALID_ARGUMENT");

    assert.equal((await pair.act("ann", { op: "stream_open", sender, to: [] })).value.sequence, 2);
    await pair.act("ann", { op: "stream_write", sender, sequence: 2, data: "0102" });
    const { message } = (await pair.act("bob", { op: "read", receiver })).value;
    assert.deepEqual([message.stream, message.data, message.private], [true, "", false]);
    const chunk = async () => (await pair.act("bob", { op: "read_chunk", receiver })).value.chunk;
    assert.deepEqual([await chunk(), await chunk()], [{ data: "0102", last: false }, null]);
    await pair.act("ann", { op: "stream_finish", sender, sequence: 2 });
    assert.deepEqual(await chunk(), { data: "", last: true });

    await pair.act("ann", { op: "hold", transport: 1, lane: "reliable", held: true });
    for (const data of ["03", "04"]) await pair.act("ann", { op: "send", sender, data });
    const cancel = async () => (await pair.act("ann", { op: "cancel", sender, sequence: 4, code: "CANCELLED" })).value;
    assert.deepEqual([await cancel(), await cancel()], [{ outcome: "removed" }, { outcome: "settled" }]);
    assert.deepEqual(pair.told("ann", "message_failed"), []);
    const pulled = await pair.act("ann", { op: "pull", transport: 1, lane: "reliable", budget: 1 });
    assert.equal(pulled.packets.length, 1);
    assert.deepEqual((await pair.act("ann", { op: "pull", transport: 1, lane: "reliable", budget: 1 })).packets, []);
    await pair.act("ann", { op: "hold", transport: 1, lane: "reliable", held: false });
    assert.equal((await pair.act("bob", { op: "read", receiver })).value.message.data, "03");
    assert.deepEqual((await pair.act("bob", { op: "read", receiver })).value, { message: null });

    const { value: look } = await pair.act("ann", { op: "look" });
    assert.deepEqual([look.link, look.joined, look.identity, look.slot], ["ACTIVE", true, "ann", 1]);
    assert.equal(look.statistics.senders[sender].messages_confirmed, 3);
    await pair.act("ann", { op: "leave" });
    await pair.wake("bob");
    assert.deepEqual(pair.told("ann", "link_ended"), [{ event: "link_ended", code: "NONE", by_peer: false }]);
    assert.deepEqual(pair.told("bob", "link_ended"), [{ event: "link_ended", code: "LEFT", by_peer: true }]);
    const left = [{ event: "participant_left", identity: "ann", slot: 1, code: "LEFT" }];
    assert.deepEqual(pair.told("bob", "participant_left"), left);
    assert.equal(pair.told("bob", "receiver_closed").length, 1);
    assert.ok("raised" in (await pair.act("bob", { op: "read", receiver })));
    assert.equal(await pair.end(), 0);
});

test("the same seed gives the same bytes, another one others; a ghost is replaced by its seed", async () => {
    const runner = new Runner();
    /** @param {string} machine @param {string} seed @param {boolean} [replace] */
    const hello = async (machine, seed, replace = false) => {
        await runner.ok({ op: "create", machine, kind: "endpoint", seed, identity: "ann", replace, now: 5 });
        const up = await runner.ok({ op: "transport_up", machine, transport: 1, lossy: false, now: 5 });
        const { frames } = (await runner.ok({ op: "decode", lane: "reliable", packet: up.packets[0].packet })).value;
        return frames[0];
    };
    const [one, same, other] = [await hello("a", "01"), await hello("b", "01", true), await hello("c", "02")];
    assert.deepEqual([one.replace, same.replace, one.token === same.token], [false, true, true]);
    assert.notEqual(one.token, other.token);
    await runner.ok({ op: "destroy", machine: "a", now: 6 });
    assert.equal((await runner.ask({ op: "look", machine: "a", now: 6 })).err.code, "BAD_REQUEST");
    assert.equal(await runner.end(), 0);
});
