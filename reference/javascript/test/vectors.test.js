// SPDX-License-Identifier: Apache-2.0
// Every vector of spec/vectors against the codec.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { codeName } from "../callchannel/errors.js";
import { decodePacket, encodeFrame, isCountable } from "../callchannel/frames.js";
import { fromHex, fromNotation, toHex, toNotation } from "../callchannel/notation.js";

const folder = new URL("../../../spec/vectors/", import.meta.url);

/** @param {string} name */
function load(name) {
    // Numbers above 2^53 would lose their last digits: they are read as text, then as BigInt.
    const text = readFileSync(new URL(name, folder), "utf8").replace(/: (\d{16,})/g, ': "#$1"');
    /** @type {any} */
    const file = JSON.parse(text, (_, value) => {
        if (typeof value !== "string" || !value.startsWith("#")) return value;
        const whole = BigInt(value.slice(1));
        return whole <= Number.MAX_SAFE_INTEGER ? Number(whole) : whole;
    });
    return file;
}

for (const name of readdirSync(folder)
    .filter((file) => file.endsWith(".json") && file !== "schema.json")
    .sort()) {
    const file = load(name);
    test(`vectors/${name}`, async (group) => {
        assert.ok(file.vectors.length > 0);
        for (const vector of file.vectors) {
            await group.test(vector.id, () => {
                const { frames, fault } = decodePacket(fromHex(vector.hex), vector.lane);
                const read = frames.map(toNotation);
                if (vector.code !== undefined) {
                    assert.equal(fault && codeName(fault.code), vector.code, vector.why);
                    assert.equal(fault?.step, vector.step);
                    assert.deepEqual(read, vector.frames_before ?? []);
                    return;
                }
                assert.equal(fault, null);
                assert.deepEqual(read, vector.frames);
                const counted = vector.lane === "reliable" ? frames.filter(isCountable).length : 0;
                assert.equal(counted, vector.counted);
                assert.equal(vector.frames.map(fromNotation).map(encodeFrame).map(toHex).join(""), vector.hex);
            });
        }
    });
}
