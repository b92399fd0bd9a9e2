// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { decodePacket, encodeFrame } from "../callchannel/frames.js";
import { explain } from "../callchannel/explain.js";
import { control, data, roster } from "./support/relay.js";

/** @param {Uint8Array} packet */
const table = (packet) => explain(packet).rows.map(({ name, value, meaning }) => `${name} ${value} ${meaning}`.trim());

test("a frame with all blocks, field by field", () => {
    const frame = data({
        sender: 2,
        channel: 7,
        session: 5,
        private: true,
        fragment: { index: 0, total: 40, last: false, abort: false },
        recipients: { epoch: 4, except: false, words: [{ index: 0, bits: 10 }] },
        extensions: [{ type: 2, mustUnderstand: true, value: new TextEncoder().encode("a.png") }],
        payload: new TextEncoder().encode("hi"),
    });
    const rows = table(encodeFrame(frame));
    for (const row of ["type 1 DATA", "channel 7", "sender 2 slot 2", "session 5", "payload  2 bytes, “hi”"]) {
        assert.ok(
            rows.some((found) => found.startsWith(row)),
            `${row} in ${rows.join("; ")}`,
        );
    }
    assert.ok(rows.some((row) => row.endsWith("slots 1, 3")));
    assert.ok(rows.some((row) => row.includes("NAME") || row.includes("name")));
});

test("control frames and rosters name their codes and entries", () => {
    const fail = table(encodeFrame(control("FAIL", { sender: 1, value: 3, reason: 0x22 })));
    assert.ok(fail.some((row) => row.startsWith("reason")));
    assert.ok(table(encodeFrame(roster(4, [["JOIN", 3, "dan"]]))).some((row) => row.includes("“dan”")));
});

test("the rows of a frame are its bytes, each once, in order, whatever they are", () => {
    const whole = encodeFrame(data({ payload: new Uint8Array(5) }));
    let seed = 7;
    const random = () => (seed = (seed * 48271) % 2147483647);
    for (let round = 0; round < 3000; round += 1) {
        const packet = whole.slice(0, 1 + (random() % whole.length));
        for (let times = random() % 4; times > 0; times -= 1) packet[random() % packet.length] = random() & 0xff;
        const { rows, end } = explain(packet);
        assert.deepEqual(
            rows.flatMap(({ bytes }) => [...bytes]),
            [...packet.subarray(0, end)],
        );
        const { frames } = decodePacket(packet, "reliable");
        if (frames.length === 1) assert.equal(end, packet[2] * 256 + packet[3]);
    }
});
