// SPDX-License-Identifier: Apache-2.0
// The validation order (section 9.13): which fault ends a link, which a session, and which drops a frame.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, codeName } from "../callchannel/errors.js";
import { encodeFrame } from "../callchannel/frames.js";
import { Endpoint } from "../callchannel/endpoint.js";
import { Network, entropy } from "./support/network.js";
import { Script, control, data, roster } from "./support/relay.js";

/**
 * @param {Partial<import("../callchannel/frames.js").UnknownFrame>} fields
 * @returns {import("../callchannel/frames.js").UnknownFrame}
 */
const unknown = (fields) => ({ type: "UNKNOWN", number: 0x8a, flags: 0xff, body: new Uint8Array(3), ...fields });
/** @param {number} index @param {number} total @param {boolean} [last] @param {boolean} [abort] */
const part = (index, total, last = false, abort = false) => ({ index, total, last, abort });
/** @param {...import("../callchannel/frames.js").Frame} frames */
const packet = (...frames) => new Uint8Array(Buffer.concat(frames.map(encodeFrame)));

/** @type {[string, number, (script: Script) => void][]} */
const FATAL = [
    ["an empty packet", Code.PACKET_SIZE, (s) => s.raw("reliable", new Uint8Array(0))],
    ["a packet of 16,385 bytes", Code.PACKET_SIZE, (s) => s.raw("reliable", new Uint8Array(16385))],
    ["a length of 3", Code.FRAME_LENGTH, (s) => s.raw("reliable", new Uint8Array([0x8a, 0, 0, 3]))],
    ["type 08", Code.UNKNOWN_TYPE, (s) => s.raw("reliable", new Uint8Array([8, 0, 0, 4]))],
    ["HELLO on an active link", Code.HANDSHAKE, (s) => s.raw("reliable", new Uint8Array([0x41, 0, 0, 4]))],
    ["a second WELCOME", Code.HANDSHAKE, (s) => s.write(s.welcome())],
    [
        "sequence 0",
        Code.FRAME_FORMAT,
        (s) => {
            const bytes = packet(data({}));
            bytes[15] = 0;
            s.raw("reliable", bytes);
        },
    ],
    [
        "a recipient block from a relay",
        Code.FRAME_FORMAT,
        (s) =>
            s.write(data({ private: true, recipients: { epoch: 1, except: false, words: [{ index: 0, bits: 1 }] } })),
    ],
    ["DATA of a slot that nobody has", Code.SLOT, (s) => s.write(data({ sender: 9 }))],
    ["DATA of the reader's own slot", Code.SLOT, (s) => s.write(data({ sender: 0 }))],
    ["CLOSE with a recipient", Code.SLOT, (s) => s.write(control("CLOSE", { sender: 1, recipient: 0 }))],
    ["CREDIT about another's session", Code.SLOT, (s) => s.write(control("CREDIT", { sender: 1, recipient: 0 }))],
    ["CREDIT with a slot", Code.SLOT, (s) => s.write(control("CREDIT", { recipient: 1 }))],
    ["RECEIPT of a slot that nobody had", Code.SLOT, (s) => s.write(control("RECEIPT", { recipient: 9 }))],
    [
        "FAIL for somebody else",
        Code.SLOT,
        (s) => s.write(control("FAIL", { sender: 1, recipient: 2, reason: Code.LOST })),
    ],
    ["a snapshot behind the snapshot", Code.EPOCH, (s) => s.write(roster(4, [["JOIN", 3, "dan"]], { snapshot: true }))],
    ["an epoch that goes back", Code.EPOCH, (s) => s.write(roster(2, [["SUSPENDED", 1]]))],
    [
        "a series with two epochs",
        Code.EPOCH,
        (s) => s.write(roster(4, [["JOIN", 3]], { more: true }), roster(5, [["JOIN", 4]])),
    ],
    ["JOIN of a known slot", Code.SLOT, (s) => s.write(roster(4, [["JOIN", 1]]))],
    ["LEAVE of an unknown slot", Code.SLOT, (s) => s.write(roster(4, [["LEAVE", 7]]))],
    ["an ACK that is not possible", Code.PROTOCOL, (s) => s.write({ type: "ACK", received: 1 })],
    ["an ACK far beyond 2^53", Code.PROTOCOL, (s) => s.write({ type: "ACK", received: 2n ** 63n })],
    [
        "an ACK that goes back",
        Code.PROTOCOL,
        (s) => {
            s.send(s.open(), "x");
            s.write({ type: "ACK", received: 1 });
            s.write({ type: "ACK", received: 0 });
        },
    ],
    [
        "more than the window",
        Code.FLOW_CONTROL,
        (s) => {
            for (let at = 1; at <= 17; at += 1) s.write(data({ sequence: at, payload: new Uint8Array(16000) }));
        },
    ],
];

test("faults of the link on the reliable lane end it, with the step's code (CC-LINK-066)", async (group) => {
    for (const [name, code, act] of FATAL) {
        await group.test(name, () => {
            const script = new Script().join();
            script.take();
            act(script);
            assert.equal(codeName(script.bye), codeName(code));
            assert.equal(script.told("LinkEnded")[0].code, code);
            assert.equal(script.ann.state, "DEAD");
            assert.deepEqual(script.ann.takeClosing(), [{ transport: "t1", drain: true }]);
        });
    }
});

test("the packet with two faults: frames before stand, what is behind is not read (CC-LINK-068, 069)", () => {
    const script = new Script().join();
    const bad = packet(data({ sequence: 2 }));
    bad[15] = 0;
    script.raw(
        "reliable",
        new Uint8Array(Buffer.concat([packet(data({})), bad, packet({ type: "ACK", received: 41 })])),
    );
    assert.equal(script.bye, Code.FRAME_FORMAT);
    assert.equal(script.read(0).sequence, 1);
});

test("faults on the lossy lane drop the rest of the packet, and nothing else (CC-LINK-067)", () => {
    const script = new Script().join();
    const lossy = { reliable: false, sender: 1 };
    const broken = packet(data({ ...lossy, sequence: 2 }));
    broken[15] = 0;
    script.raw(
        "lossy",
        new Uint8Array(Buffer.concat([packet(data(lossy)), broken, packet(data({ ...lossy, sequence: 3 }))])),
    );
    script.raw("lossy", packet(control("CLOSE", { sender: 1 })));
    script.raw("lossy", packet(data({ sender: 1 })));
    script.raw("lossy", new Uint8Array(0));
    script.raw("lossy", new Uint8Array(1151));
    script.raw("lossy", packet(data({ ...lossy, sender: 0 })));
    assert.equal(script.ann.state, "ACTIVE");
    assert.deepEqual(script.ann.linkStatistics()?.drops, { malformed: 6 });
    assert.equal(script.read(0).sequence, 1);
    assert.equal(script.read(0), null);
});

test("Lossy DATA of an unknown sender is dropped alone, on either lane (CC-ROSTER-012)", () => {
    const script = new Script().join();
    script.writeLossy(data({ reliable: false, sender: 9 }), data({ reliable: false, sender: 1 }));
    script.write(data({ reliable: false, sender: 9 }), data({ reliable: false, sender: 1, sequence: 2 }));
    assert.deepEqual(script.ann.linkStatistics()?.drops, { unknown_sender: 2 });
    assert.deepEqual([script.read(0).sequence, script.read(0).sequence], [1, 2]);
});

test("unknown skippable types are skipped, and counted where they are countable (CC-FRAME-098)", () => {
    const script = new Script().join();
    script.write(unknown({ number: 0x8a }), unknown({ number: 0xca }), unknown({ number: 0xbf }), data({ sender: 1 }));
    script.writeLossy(unknown({ number: 0x9a }), data({ reliable: false, sender: 2 }));
    script.wait(25);
    assert.deepEqual(
        script.take("ACK").map(({ received }) => received),
        [4],
    );
    assert.equal(script.told("ReceiverCreated").length, 2);
});

test("before WELCOME nothing but WELCOME and BYE may come; an unknown type is no exception", () => {
    for (const frame of [
        unknown({}),
        unknown({ number: 0xca }),
        data({}),
        /** @type {const} */ ({ type: "ACK", received: 0 }),
    ]) {
        const script = new Script();
        script.ann.transportUp("t1", script.now, { lossy: true });
        script.pump();
        script.writeLossy(data({ reliable: false }));
        assert.equal(script.ann.state, "CONNECTING");
        script.write(frame);
        assert.equal(codeName(script.bye), "HANDSHAKE");
        assert.deepEqual(script.ann.linkStatistics()?.drops, { not_active: 1 });
    }
});

test("WELCOME of another version: VERSION; one that does not fit: HANDSHAKE", () => {
    for (const [code, change] of /** @type {[number, (bytes: Uint8Array) => void][]} */ ([
        [
            Code.VERSION,
            (bytes) => {
                bytes[5] = 2;
                bytes[1] = 0xff;
            },
        ],
        [
            Code.HANDSHAKE,
            (bytes) => {
                bytes[31] = 9;
            },
        ],
        [
            Code.HANDSHAKE,
            (bytes) => {
                bytes[39] = 1;
            },
        ],
    ])) {
        const script = new Script();
        script.ann.transportUp("t1", script.now, {});
        script.pump();
        const bytes = packet(script.welcome());
        change(bytes);
        script.raw("reliable", bytes);
        assert.equal(codeName(script.bye), codeName(code));
    }
});

/**
 * What ends a Reliable session: the frames that bring it about, the code, and the value of FAIL.
 *
 * @type {[string, number, number, Parameters<typeof data>[0][]][]}
 */
const SESSION = [
    ["a sequence that goes back", Code.SEQUENCE, 6, [{ sequence: 5 }, { sequence: 5 }]],
    ["a first frame that is a later fragment", Code.SEQUENCE, 3, [{ sequence: 3, fragment: part(1, 5) }]],
    ["an index left out", Code.SEQUENCE, 1, [{ fragment: part(0, 5) }, { fragment: part(2, 6) }]],
    ["an index again", Code.SEQUENCE, 1, [{ fragment: part(0, 5) }, { fragment: part(0, 5) }]],
    ["a message inside another", Code.SEQUENCE, 1, [{ fragment: part(0, 5) }, { sequence: 2 }]],
    ["another channel", Code.SESSION_MISMATCH, 2, [{}, { sequence: 2, channel: 2 }]],
    ["another priority", Code.SESSION_MISMATCH, 1, [{ fragment: part(0, 5) }, { high: true, fragment: part(1, 5) }]],
    ["another total", Code.FRAGMENT, 1, [{ fragment: part(0, 5) }, { fragment: part(1, 6) }]],
    [
        "ABORT with another total",
        Code.FRAGMENT,
        1,
        [{ fragment: part(0, 5) }, { fragment: part(1, 6, false, true), payload: new Uint8Array(0) }],
    ],
    [
        "too many bytes",
        Code.FRAGMENT,
        1,
        [{ fragment: part(0, 2) }, { fragment: part(1, 2, true), payload: new Uint8Array(2) }],
    ],
    ["too few bytes", Code.FRAGMENT, 1, [{ fragment: part(0, 5) }, { fragment: part(1, 5, true) }]],
    ["all bytes without LAST", Code.FRAGMENT, 1, [{ fragment: part(0, 1) }]],
    ["a message that is too large", Code.TOO_LARGE, 1, [{ fragment: part(0, 16777217) }]],
    [
        "an extension that is not understood",
        Code.EXTENSION,
        4,
        [{ sequence: 4, extensions: [{ type: 0x7001, mustUnderstand: true, value: new Uint8Array(0) }] }],
    ],
    [
        "end-to-end encryption",
        Code.EXTENSION,
        1,
        [{ extensions: [{ type: 5, mustUnderstand: true, value: new Uint8Array(0) }] }],
    ],
    [
        "a malformed content type",
        Code.EXTENSION,
        1,
        [{ extensions: [{ type: 1, mustUnderstand: true, value: new Uint8Array([0xff]) }] }],
    ],
];

test("faults of a Reliable session end it alone, with FAIL and its value (CC-LINK-071, CC-SESS-042)", async (group) => {
    for (const [name, code, value, frames] of SESSION) {
        await group.test(name, () => {
            const script = new Script().join();
            script.write(...frames.map((fields) => data({ sender: 1, ...fields })));
            const fails = script.take("FAIL");
            assert.deepEqual(
                fails.map((frame) => [
                    codeName(frame.reason),
                    frame.value,
                    frame.sender,
                    frame.recipient,
                    frame.uncertain,
                ]),
                [[codeName(code), value, 1, 0, false]],
            );
            // What still comes is dropped; the session is dead until CLOSE.
            script.write(data({ sender: 1, sequence: 90 }), control("CLOSE", { sender: 1, value: 90 }));
            assert.deepEqual(script.take("FAIL"), []);
            assert.equal(script.ann.state, "ACTIVE");
            for (const { receiver } of script.told("ReceiverCreated")) {
                while (script.do((ann, now) => ann.read(receiver, now)));
            }
            assert.deepEqual(
                script.told("ReceiverClosed").map((event) => event.code),
                script.told("ReceiverCreated").map(() => code),
            );
        });
    }
});

test("a CLOSE in the middle of a message is SEQUENCE; with LOST it is not", () => {
    for (const [reason, code, fails] of [
        [0, Code.SEQUENCE, 1],
        [Code.LOST, Code.LOST, 0],
    ]) {
        const script = new Script().join();
        script.write(data({ sender: 1, fragment: part(0, 5) }), control("CLOSE", { sender: 1, value: 1, reason }));
        assert.equal(script.take("FAIL").length, fails);
        assert.deepEqual(
            script.told("ReceiverClosed").map((event) => event.code),
            [code],
        );
    }
});

test("the 257th open session of an owner is failed, and no other owner's", () => {
    const script = new Script({ limits: { open_sessions: 16 } }).join();
    for (let session = 1; session <= 17; session += 1) script.write(data({ sender: 1, session, sequence: 3 }));
    assert.deepEqual(
        script.take("FAIL").map(({ session, value, reason }) => [session, value, reason]),
        [[17, 3, Code.TOO_MANY_SESSIONS]],
    );
    script.write(data({ sender: 2 }), data({ sender: 1, session: 18, reliable: false }));
    assert.deepEqual(script.take("FAIL"), []);
    assert.deepEqual(script.ann.linkStatistics()?.drops, { open_sessions: 1 });
});

test("ABORT: the session goes on, the sequence is spent", () => {
    const script = new Script().join();
    script.write(
        data({ sender: 1, fragment: part(0, 5) }),
        data({ sender: 1, fragment: part(1, 5, false, true), payload: new Uint8Array(0) }),
        data({ sender: 1, sequence: 2, payload: new Uint8Array([2]) }),
    );
    assert.equal(script.read(0).sequence, 2);
    assert.deepEqual(script.take("FAIL"), []);
});

test("FAIL of a relay: what is below its value stays readable (R32, R33)", () => {
    const script = new Script().join();
    script.write(...[1, 2, 3].map((sequence) => data({ sender: 1, sequence })));
    script.write(control("FAIL", { sender: 1, recipient: 0, value: 3, reason: Code.OVERRUN }));
    assert.deepEqual([script.read(0).sequence, script.read(0).sequence, script.read(0)], [1, 2, null]);
    assert.equal(script.told("ReceiverClosed")[0].code, Code.OVERRUN);
});

test("memory: the session that holds the most pays (CC-DELIV-059 to 061)", () => {
    const script = new Script({
        limits: { receive_memory: 1048576, window: 1048576, largest_message: 1048576 },
    }).join();
    for (let sequence = 1; sequence <= 40; sequence += 1)
        script.write(data({ sender: 1, sequence, payload: new Uint8Array(16000) }));
    for (let sequence = 1; sequence <= 26; sequence += 1)
        script.write(data({ sender: 2, sequence, payload: new Uint8Array(16000) }));
    assert.deepEqual(
        script.take("FAIL").map(({ sender, value, reason }) => [sender, value, reason]),
        [[1, 1, Code.MEMORY]],
    );
    assert.equal(script.told("ReceiverClosed")[0].code, Code.MEMORY);
    assert.equal(script.read(1).sequence, 1);
});

test("memory: a Lossy session loses its oldest", () => {
    const script = new Script({
        limits: { receive_memory: 1048576, window: 1048576, largest_message: 1048576 },
    }).join();
    for (let sequence = 1; sequence <= 1000; sequence += 1) {
        script.writeLossy(data({ reliable: false, sender: 1, sequence, payload: new Uint8Array(1100) }));
    }
    const { receiver } = script.told("ReceiverCreated")[0];
    assert.equal(script.ann.receiverStatistics(receiver)?.drops.memory, 1000 - Math.floor(1048576 / 1100));
    assert.equal(script.read(0).sequence, 48);
});

test("Lossy: a newer session ends the older one; its late frames are dropped (CC-SESS-040)", () => {
    const script = new Script().join();
    script.writeLossy(data({ reliable: false, sender: 1, session: 1 }));
    script.writeLossy(
        data({ reliable: false, sender: 1, session: 2 }),
        data({ reliable: false, sender: 1, session: 1, sequence: 2 }),
    );
    assert.equal(script.read(0).sequence, 1);
    assert.equal(script.told("ReceiverClosed")[0].code, Code.NONE);
    assert.equal(script.told("ReceiverCreated").length, 2);
});

test("Lossy: CLOSE overtakes DATA, which is taken for linger and no longer (CC-SESS-038, 039)", () => {
    const script = new Script().join();
    script.write(control("CLOSE", { sender: 1, value: 3 }));
    script.wait(400);
    script.writeLossy(data({ reliable: false, sender: 1, sequence: 3 }));
    assert.equal(script.read(0).sequence, 3);
    script.wait(100);
    assert.equal(script.told("ReceiverClosed")[0].code, Code.NONE);
    script.writeLossy(data({ reliable: false, sender: 1, sequence: 2 }));
    assert.equal(script.told("ReceiverCreated").length, 1);
    script.live(30);
    script.writeLossy(data({ reliable: false, sender: 1, sequence: 2 }));
    assert.equal(script.told("ReceiverCreated").length, 2);
});

test("a session is Reliable or Lossy: frames of the other kind (CC-SESS-048, 049)", () => {
    const script = new Script().join();
    script.write(data({ sender: 1 }), data({ sender: 1, reliable: false, sequence: 2 }));
    assert.deepEqual(script.ann.receiverStatistics(script.told("ReceiverCreated")[0].receiver)?.drops, { mismatch: 1 });
    script.write(data({ sender: 2, reliable: false, sequence: 7 }), data({ sender: 2, sequence: 8 }));
    assert.deepEqual(
        script.take("FAIL").map(({ sender, value, reason }) => [sender, value, reason]),
        [[2, 8, Code.SESSION_MISMATCH]],
    );
});

test("Lossy contradictions give the message up (CC-FRAG-053, 054)", () => {
    const big = new Uint8Array(512);
    /** @type {[string, Parameters<typeof data>[0][]][]} */
    const cases = [
        [
            "another total",
            [
                { fragment: part(0, 600), payload: big },
                { fragment: part(1, 601, true), payload: new Uint8Array(88) },
            ],
        ],
        [
            "two LASTs",
            [
                { fragment: part(1, 600, true), payload: new Uint8Array(40) },
                { fragment: part(2, 600, true), payload: new Uint8Array(40) },
            ],
        ],
        [
            "an index behind LAST",
            [
                { fragment: part(1, 1200, true), payload: new Uint8Array(88) },
                { fragment: part(2, 1200), payload: big },
            ],
        ],
        [
            "LAST before a greater index",
            [
                { fragment: part(2, 1200), payload: big },
                { fragment: part(1, 1200, true), payload: big },
            ],
        ],
        [
            "too few bytes",
            [
                { fragment: part(0, 700), payload: big },
                { fragment: part(1, 700, true), payload: new Uint8Array(88) },
            ],
        ],
        [
            "too many bytes",
            [
                { fragment: part(0, 550), payload: big },
                { fragment: part(1, 550, true), payload: new Uint8Array(88) },
            ],
        ],
        ["a whole message", [{ fragment: part(0, 600), payload: big }, { payload: big }]],
    ];
    for (const [name, frames] of cases) {
        const script = new Script().join();
        for (const fields of frames) script.writeLossy(data({ reliable: false, sender: 1, ...fields }));
        const { receiver } = script.told("ReceiverCreated")[0];
        assert.deepEqual(script.ann.receiverStatistics(receiver)?.drops, { mismatch: 1 }, name);
        assert.equal(script.ann.receiverStatistics(receiver)?.bytes_buffered, 0, name);
        script.writeLossy(data({ reliable: false, sender: 1, payload: big }));
        assert.equal(script.ann.receiverStatistics(receiver)?.drops.duplicate, 1, name);
    }
});

test("the sixty-fifth partial message gives up the oldest of the link (CC-FRAG-041)", () => {
    const script = new Script().join();
    for (let sequence = 1; sequence <= 65; sequence += 1) {
        script.writeLossy(
            data({
                reliable: false,
                sender: sequence % 2 ? 1 : 2,
                sequence,
                fragment: part(0, 600),
                payload: new Uint8Array(512),
            }),
        );
    }
    const drops = script.told("ReceiverCreated").map(({ receiver }) => script.ann.receiverStatistics(receiver)?.drops);
    assert.deepEqual(drops, [{ partial_count: 1 }, {}]);
});

test("peer-to-peer: who may write what (CC-PEER-008, 013, 014, CC-ROSTER-073)", async (group) => {
    const block = (/** @type {any} */ fields) =>
        data({
            sender: 1,
            private: true,
            recipients: { epoch: 1, except: false, words: [{ index: 0, bits: 1 }], ...fields },
        });
    /** @type {[string, number | null, import("../callchannel/frames.js").Frame][]} */
    const cases = [
        ["REFUSE", Code.HANDSHAKE, control("REFUSE", { reason: Code.POLICY })],
        ["ROSTER from the initiator", Code.HANDSHAKE, roster(1, [["JOIN", 0]], { snapshot: true })],
        ["RECEIPT with FFFF", Code.SLOT, control("RECEIPT", { sender: 0 })],
        ["FAIL with FFFF", Code.SLOT, control("FAIL", { sender: 0, reason: Code.CLOSED })],
        ["CREDIT of the peer", null, control("CREDIT", { sender: 0, recipient: 1 })],
        ["DATA of another slot", Code.SLOT, data({ sender: 2 })],
        ["Lossy DATA of another slot", Code.SLOT, data({ sender: 2, reliable: false })],
        ["a block for the peer", null, block({})],
        ["a block of epoch 2", Code.EPOCH, block({ epoch: 2 })],
        ["a block for another", Code.SLOT, block({ words: [{ index: 0, bits: 4 }] })],
        ["a block for the peer and another", Code.SLOT, block({ words: [{ index: 0, bits: 5 }] })],
        ["a block for everyone but another", Code.SLOT, block({ except: true, words: [{ index: 0, bits: 4 }] })],
        ["the first fragment of a message", null, data({ sender: 1, fragment: part(0, 5) })],
    ];
    for (const [name, code, frame] of cases) {
        await group.test(name, () => {
            const network = new Network();
            network.add("ann", new Endpoint({ role: "initiator", id: "ann", entropy: entropy(1) }));
            const bob = network.add(
                "bob",
                new Endpoint({ role: "acceptor", id: "bob", peer: "ann", entropy: entropy(2) }),
            );
            network.connect("t1", "ann", "bob");
            network.run(20);
            bob.receive("t1", "reliable", packet(frame), network.now);
            network.pump("bob");
            assert.equal(network.told("bob", "LinkEnded")[0]?.code ?? null, code);
        });
    }
});

test("an acceptor answers what is no HELLO, and touches no link (CC-LINK-016 to 021)", async (group) => {
    const hello = /** @type {const} */ ({
        type: "HELLO",
        resume: false,
        replace: false,
        features: 7,
        token: new Uint8Array(16),
        attempt: 1,
        received: 0,
        window: 65536,
        largestMessage: 32768,
        id: "",
    });
    const version = packet(hello);
    version[9] = 9;
    const magic = packet(hello);
    magic[4] = 0;
    /** @type {[string, number, Uint8Array][]} */
    const cases = [
        ["a version of the future", Code.VERSION, version],
        ["another protocol", Code.HANDSHAKE, magic],
        ["DATA", Code.HANDSHAKE, packet(data({}))],
        ["a WELCOME", Code.HANDSHAKE, packet(new Script().welcome())],
        ["an empty packet", Code.PACKET_SIZE, new Uint8Array(0)],
        ["a fresh HELLO beside the link", Code.CALL_FULL, packet(hello)],
        ["REPLACE under another instance", Code.CALL_FULL, packet({ ...hello, replace: true })],
        ["a token of no link", Code.RESUME_UNKNOWN, packet({ ...hello, resume: true, attempt: 9 })],
    ];
    for (const [name, code, bytes] of cases) {
        await group.test(name, () => {
            const network = new Network();
            network.add("ann", new Endpoint({ role: "initiator", id: "ann", entropy: entropy(1) }));
            const bob = network.add(
                "bob",
                new Endpoint({ role: "acceptor", id: "bob", peer: "ann", entropy: entropy(2) }),
            );
            network.connect("t1", "ann", "bob");
            network.run(20);
            bob.transportUp("t2", network.now, {});
            bob.receive("t2", "reliable", bytes, network.now);
            const answer = /** @type {Uint8Array} */ (bob.pull("t2", "reliable", 1, network.now));
            assert.deepEqual([answer[0], codeName((answer[4] << 8) | answer[5])], [0x44, codeName(code)]);
            assert.equal(bob.state, "ACTIVE");
            assert.deepEqual(bob.takeClosing(), [{ transport: "t2", drain: true }]);
        });
    }
});

test("an unbound transport without HELLO: BYE TIMEOUT after unbound_time", () => {
    const bob = new Endpoint({ role: "acceptor", id: "bob", peer: "ann", entropy: entropy(2) });
    bob.transportUp("t1", 0, {});
    assert.equal(bob.deadline(), 10_000_000);
    bob.handleTimeout(10_000_000);
    const answer = /** @type {Uint8Array} */ (bob.pull("t1", "reliable", 1, 10_000_000));
    assert.equal((answer[4] << 8) | answer[5], Code.TIMEOUT);
});

test("a frame behind HELLO in the same packet is HANDSHAKE (CC-LINK-019)", () => {
    const ann = new Endpoint({ role: "initiator", id: "ann", entropy: entropy(1) });
    const bob = new Endpoint({ role: "acceptor", id: "bob", peer: "ann", entropy: entropy(2) });
    ann.transportUp("t", 0, {});
    bob.transportUp("t", 0, {});
    const hello = /** @type {Uint8Array} */ (ann.pull("t", "reliable", 1, 0));
    bob.receive("t", "reliable", new Uint8Array(Buffer.concat([hello, packet({ type: "ACK", received: 0 })])), 0);
    assert.equal(bob.state, "DEAD");
    const answer = /** @type {Uint8Array} */ (bob.pull("t", "reliable", 1, 0));
    assert.equal(answer[0], 0x42);
    assert.deepEqual([...answer.slice(-6)], [0x44, 0, 0, 6, 0, Code.HANDSHAKE]);
});

test("whatever bytes come, nothing raises (CC-SEC-013)", () => {
    const random = entropy(77);
    for (let round = 0; round < 2000; round += 1) {
        const script = round % 50 === 0 ? new Script().join() : current;
        current = script;
        const bytes = packet(data({ sender: 1, sequence: round + 1, fragment: round % 3 ? null : part(0, 4) }));
        for (let flip = 0; flip < 1 + (round % 3); flip += 1) bytes[random(1)[0] % bytes.length] = random(1)[0];
        script.raw(round % 2 ? "lossy" : "reliable", bytes);
        assert.ok(["ACTIVE", "DEAD"].includes(script.ann.state));
    }
});
/** @type {Script} */
let current;

test("RESUME_STALE: an attempt that does not grow is refused on its own transport; the link goes on", () => {
    const network = new Network();
    network.add("ann", new Endpoint({ role: "initiator", id: "ann", entropy: entropy(1) }));
    const bob = network.add("bob", new Endpoint({ role: "acceptor", id: "bob", peer: "ann", entropy: entropy(2) }));
    network.connect("t1", "ann", "bob");
    network.run(20);
    const welcome = network.log.find(({ from }) => from === "bob")?.packet ?? new Uint8Array(0);
    const hello = /** @type {const} */ ({
        type: "HELLO",
        resume: true,
        replace: false,
        features: 0,
        token: welcome.slice(12, 28),
        received: 1,
        window: 65536,
        largestMessage: 32768,
        id: "ann",
    });
    /** @type {[number, number, number, string][]} */
    const cases = [
        [1, 1, Code.RESUME_STALE, "ACTIVE"],
        [2, 2, Code.RESUME_MISMATCH, "DEAD"],
        [3, 1, Code.RESUME_UNKNOWN, "DEAD"],
    ];
    for (const [attempt, received, code, state] of cases) {
        bob.transportUp(`x${attempt}`, network.now, {});
        bob.receive(`x${attempt}`, "reliable", packet({ ...hello, attempt, received }), network.now);
        const answer = /** @type {Uint8Array} */ (bob.pull(`x${attempt}`, "reliable", 1, network.now));
        assert.deepEqual([answer[0], codeName(answer[5]), bob.state], [0x44, codeName(code), state]);
    }
});

test("CLOSE with LOST cuts: unread messages stay, and no RECEIPT is written for them (CC-SESS-054)", () => {
    for (const [reason, receipts] of [
        [Code.LOST, 0],
        [Code.NONE, 1],
    ]) {
        const script = new Script().join();
        script.write(data({ sender: 1, confirm: true }), control("CLOSE", { sender: 1, value: 1, reason }));
        assert.equal(script.read(0).sequence, 1);
        assert.equal(script.take("RECEIPT").length, receipts);
    }
});

test("CLOSE and LEAVE cut in either order, what waits to be written among it (CC-SESS-054)", () => {
    const close = control("CLOSE", { sender: 1, value: 2 });
    const leave = roster(4, [["LEAVE", 1]]);
    const twoMessages = [1, 2].map((sequence) => data({ sender: 1, sequence, confirm: true }));
    for (const [name, frames, receipts] of /** @type {[string, any[], number][]} */ ([
        ["CLOSE alone", [close], 1],
        ["LEAVE alone", [leave], 1],
        ["CLOSE, LEAVE", [close, leave], 0],
        ["LEAVE, CLOSE", [leave, close], 0],
    ])) {
        const script = new Script().join();
        script.write(...twoMessages);
        assert.equal(script.read(0).sequence, 1);
        script.take();
        script.write(...frames);
        assert.equal(script.read(0).sequence, 2, name);
        assert.equal(script.take("RECEIPT").length, receipts, name);
    }
});

test("a FAIL and a RECEIPT that were not written when CLOSE and LEAVE came are not written (CC-SESS-054)", () => {
    const script = new Script().join();
    const whole = data({ sender: 1, confirm: true });
    const broken = data({ sender: 1, session: 2, fragment: part(1, 9), payload: new Uint8Array(3) });
    const read = data({ sender: 2, session: 3, confirm: true });
    // All in one packet: nothing is written before the last frame of it is applied.
    const behind = [1, 2].map((session) => control("CLOSE", { sender: 1, session, value: 1 }));
    script.write(whole, broken, read, ...behind, roster(4, [["LEAVE", 1]]));
    assert.equal(script.take("FAIL").length, 0);
    assert.equal(script.read(0).sequence, 1);
    assert.equal(script.take("RECEIPT").length, 0);
    assert.equal(script.read(1).sequence, 1);
    assert.equal(script.take("RECEIPT").length, 1, "another owner's session is not concerned");
});

test("a FAIL that waits when CLOSE with LOST comes is not written (CC-SESS-054, R24)", () => {
    for (const [reason, fails] of [
        [Code.LOST, 0],
        [Code.NONE, 1],
    ]) {
        const script = new Script().join();
        const broken = data({ sender: 1, fragment: part(1, 9), payload: new Uint8Array(3) });
        script.write(broken, control("CLOSE", { sender: 1, value: 1, reason }));
        assert.equal(script.take("FAIL").length, fails);
    }
});

test("Lossy: CLOSE and LEAVE cut, and it lingers on (CC-SESS-054, R82)", () => {
    const script = new Script().join();
    const lossy = { reliable: false, sender: 1 };
    script.writeLossy(data(lossy));
    script.write(
        data({ sender: 1, session: 1, sequence: 7 }), // of another reliability: FAIL
        control("CLOSE", { sender: 1, value: 1 }),
        roster(4, [["LEAVE", 1]]),
    );
    assert.equal(script.take("FAIL").length, 0);
    assert.equal(script.read(0).sequence, 1);
});

test("Lossy: a message whose block has grown until it is written is dropped (CC-EXT-003)", () => {
    for (const [value, dropped] of /** @type {[Uint8Array, boolean][]} */ ([
        [new Uint8Array(1109), false], // 16 + 18 + 6 + 1,109 + 1 = 1,150 bytes
        [new Uint8Array(1110), true],
    ])) {
        const script = new Script().join(["bob", "carol", ...Array.from({ length: 40 }, (_, at) => `p${at}`)]);
        const options = {
            recipients: { except: ["bob"] },
            extensions: [{ type: 0x7001, mustUnderstand: false, value }],
        };
        const sender = script.open({ reliability: "lossy" });
        script.ann.send(sender, new Uint8Array(1), /** @type {any} */ (options), script.now);
        // Bob's second device is in another word of the bitmap: the block grows by six bytes.
        script.write(roster(44, [["JOIN", 70, "bob"]]));
        assert.equal(script.take("DATA").length, dropped ? 0 : 1);
        assert.deepEqual(script.ann.senderStatistics(sender)?.drops, dropped ? { no_recipients: 1 } : {});
    }
});

test("Lossy: a message that was given up is done, also when it never had a fragment (CC-DELIV-071)", () => {
    const script = new Script().join();
    const extensions = [{ type: 0x7001, mustUnderstand: true, value: new Uint8Array(0) }];
    script.writeLossy(data({ reliable: false, sender: 1 }));
    script.writeLossy(data({ reliable: false, sender: 1, sequence: 2, extensions }));
    script.writeLossy(data({ reliable: false, sender: 1, sequence: 2 }));
    const { receiver } = script.told("ReceiverCreated")[0];
    assert.deepEqual(script.ann.receiverStatistics(receiver)?.drops, { extension: 1, duplicate: 1 });
});

test("LATEST: an older one is dropped when a newer was complete before, read or not (CC-DELIV-076)", () => {
    const script = new Script().join();
    const latest = { reliable: false, sender: 1, latest: true };
    script.writeLossy(data({ ...latest, sequence: 5 }));
    assert.equal(script.read(0).sequence, 5);
    script.writeLossy(data({ ...latest, sequence: 4 }), data({ ...latest, latest: false, sequence: 3 }));
    const { receiver } = script.told("ReceiverCreated")[0];
    assert.deepEqual(script.ann.receiverStatistics(receiver)?.drops, { superseded: 1 });
    assert.equal(script.read(0).sequence, 3);
});

test("memory: of sessions with equally many bytes the one that began last pays (CC-DELIV-059)", () => {
    const script = new Script({
        limits: { receive_memory: 1048576, window: 1048576, largest_message: 1048576 },
    }).join(["bob", "carol", "dan"]);
    const payload = new Uint8Array(16384 - 16);
    for (let sequence = 1; sequence <= 30; sequence += 1) {
        for (const sender of [1, 2]) script.write(data({ sender, sequence, payload }));
    }
    for (let sequence = 1; sequence <= 5; sequence += 1) script.write(data({ sender: 3, sequence, payload }));
    assert.deepEqual(
        script.take("FAIL").map(({ sender, reason }) => [sender, reason]),
        [[2, Code.MEMORY]],
    );
});

test("nothing of the reader's own slot may change in the roster (CC-ROSTER-031)", () => {
    for (const op of ["LEAVE", "SUSPENDED", "RESUMED"]) {
        const script = new Script().join();
        script.write(roster(op === "LEAVE" ? 4 : 3, [[op, 0]]));
        assert.equal(script.bye, Code.SLOT, op);
    }
});
