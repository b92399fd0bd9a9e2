// SPDX-License-Identifier: Apache-2.0
// The client of chapter 13, against responses that are played.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Code } from "../callchannel/errors.js";
import { Signalling, SignallingError, iceServersOf } from "../callchannel/signalling.js";
import { FakeConnection } from "./support/rtc.js";

/** @param {(Response | (() => Response))[]} responses @param {any} [options] */
function client(responses, options = {}) {
    /** @type {{ url: string, init: any }[]} */
    const requests = [];
    const fetch = async (/** @type {any} */ url, /** @type {any} */ init) => {
        requests.push({ url: String(url), init });
        const response = responses.shift();
        if (response === undefined) throw new TypeError("network");
        return typeof response === "function" ? response() : response;
    };
    const signalling = new Signalling({
        base: "https://relay.example/",
        call: "standup",
        token: "t.o.k",
        fetch: /** @type {any} */ (fetch),
        ...options,
    });
    return { signalling, requests };
}

/** @param {number} status @param {string} code @param {any} [headers] */
const problem = (status, code, headers = {}) =>
    new Response(JSON.stringify({ status, code }), {
        status,
        headers: { "Content-Type": "application/problem+json", ...headers },
    });

test("an offer is posted with its token, and the answer is resolved", async () => {
    const { signalling, requests } = client([
        new Response("v=0 answer", {
            status: 201,
            headers: { Location: "/connections/abc", Link: '<stun:s.example>; rel="ice-server"' },
        }),
        new Response(null, { status: 204 }),
    ]);
    const answer = await signalling.offer("v=0");
    assert.deepEqual(answer, {
        answer: "v=0 answer",
        resource: "https://relay.example/connections/abc",
        iceServers: [{ urls: "stun:s.example" }],
    });
    const [{ url, init }] = requests;
    assert.equal(url, "https://relay.example/calls/standup");
    assert.deepEqual(
        [init.method, init.headers.Authorization, init.headers["Content-Type"], init.redirect, init.body],
        ["POST", "Bearer t.o.k", "application/sdp", "error", "v=0"],
    );
    await signalling.close(answer.resource);
    assert.deepEqual([requests[1].init.method, requests[1].url], ["DELETE", "https://relay.example/connections/abc"]);
});

test("the token is not sent to another origin (CC-SIG-005), and a good one is asked for each time", async () => {
    let asked = 0;
    const token = async () => `token ${(asked += 1)}`;
    const { signalling, requests } = client(
        [
            new Response("v=0", { status: 201, headers: { Location: "https://elsewhere.example/c/1" } }),
            new Response(null, { status: 404 }),
        ],
        { token },
    );
    const { resource } = await signalling.offer("v=0");
    await signalling.close(resource);
    assert.equal(requests[0].init.headers.Authorization, "Bearer token 1");
    assert.equal(requests[1].init.headers.Authorization, undefined);
    assert.equal(asked, 2);
});

test("plain HTTP is for loopback addresses, unless the application says otherwise", () => {
    const make = (/** @type {string} */ base, /** @type {any} */ options = {}) =>
        new Signalling({ base, call: "c", ...options });
    for (const base of ["http://localhost:80", "http://127.0.0.1:8080/x/", "http://[::1]", "https://relay.example"])
        make(base);
    make("http://relay.example", { allowPlain: true });
    for (const base of [
        "http://relay.example",
        "http://127.0.0.1.example",
        "ftp://relay.example",
        "https://relay.example?x=1",
    ]) {
        assert.throws(() => make(base), { code: Code.INVALID_ARGUMENT }, base);
    }
    for (const call of ["", ".", "..", "a/b", "-x", "x".repeat(129)]) {
        assert.throws(() => new Signalling({ base: "https://r.example", call }), { code: Code.INVALID_ARGUMENT }, call);
    }
});

test("open mode: the identity goes into the query", async () => {
    const { signalling, requests } = client([new Response("v=0", { status: 201, headers: { Location: "/c/1" } })], {
        token: undefined,
        identity: "ann & co+",
    });
    await signalling.offer("v=0");
    assert.equal(requests[0].url, "https://relay.example/calls/standup?identity=ann%20%26%20co%2B");
});

test("problems are told by the last column of 13.10, unknown ones by their status", async () => {
    /** @type {[number, string, number, string][]} */
    const cases = [
        [400, "call_name", Code.INVALID_ARGUMENT, "no"],
        [400, "sdp", Code.PROTOCOL, "no"],
        [401, "token_expired", Code.NOT_ADMITTED, "token"],
        [403, "origin", Code.NOT_ADMITTED, "no"],
        [404, "not_found", Code.NOT_ADMITTED, "no"],
        [415, "media_type", Code.PROTOCOL, "no"],
        [429, "connections", Code.RATE, "later"],
        [500, "internal", Code.INTERNAL, "later"],
        [503, "call_full", Code.CALL_FULL, "later"],
        [503, "news", Code.GOING_AWAY, "later"],
        [401, "news", Code.NOT_ADMITTED, "token"],
        [502, "", Code.INTERNAL, "later"],
        [418, "", Code.PROTOCOL, "no"],
        // CC-SIG-058: a status of several codes, one that a proxy gives, a code with another status
        [400, "news", Code.PROTOCOL, "no"],
        [408, "", Code.TIMEOUT, "later"],
        [404, "offer_rate", Code.NOT_ADMITTED, "no"],
    ];
    for (const [status, code, told, again] of cases) {
        const { signalling } = client([problem(status, code)]);
        await assert.rejects(
            signalling.offer("v=0"),
            (/** @type {any} */ error) =>
                error instanceof SignallingError &&
                error.code === told &&
                error.again === again &&
                error.status === status,
            `${status} ${code}`,
        );
    }
});

test("no offer before Retry-After has passed (CC-SIG-068)", async () => {
    const { signalling, requests } = client([problem(429, "offer_rate", { "Retry-After": "30" })]);
    await assert.rejects(signalling.offer("v=0"), { code: Code.RATE, retryAfter: 30_000 });
    await assert.rejects(signalling.offer("v=0"), { code: Code.RATE });
    assert.equal(requests.length, 1);
});

test("a network that fails, a request that is taken back", async () => {
    await assert.rejects(client([]).signalling.offer("v=0"), { code: Code.TIMEOUT, again: "later" }); // CC-SIG-059
    await assert.rejects(client([]).signalling.offer("v=0", AbortSignal.abort()), { code: Code.CANCELLED });
});

test("ICE servers in Link headers, quoted commas and other links included", () => {
    const header =
        '<stun:stun.relay.example:3478>; rel="ice-server", <turn:turn.example?transport=udp>; rel="ice-server"; ' +
        'username="1798761600:an,na"; credential="d0\\"Vd=="; credential-type="password", ' +
        '<https://x.example>; rel="help", ' +
        '<carrier-pigeon:coop>; rel="ice-server"';
    assert.deepEqual(iceServersOf(header, new URL("https://relay.example")), [
        { urls: "stun:stun.relay.example:3478" },
        { urls: "turn:turn.example?transport=udp", username: "1798761600:an,na", credential: 'd0"Vd==' },
    ]);
    assert.deepEqual(iceServersOf(null, new URL("https://relay.example")), []);
});

test("negotiate: offer from the connection, answer to it", async () => {
    const { signalling, requests } = client([
        new Response("v=0 answer", { status: 201, headers: { Location: "/c/1" } }),
    ]);
    const connection = new FakeConnection();
    await signalling.negotiate(/** @type {any} */ (connection));
    assert.equal(requests[0].init.body, "v=0 offer");
    assert.deepEqual(connection.remoteDescription, { type: "answer", sdp: "v=0 answer" });
});

test("OPTIONS asks for ICE servers", async () => {
    const { signalling, requests } = client([
        new Response(null, { status: 204, headers: { Link: '<stun:s>; rel="ice-server"' } }),
    ]);
    assert.deepEqual(await signalling.iceServers(), [{ urls: "stun:s" }]);
    assert.equal(requests[0].init.method, "OPTIONS");
});
