#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
/**
 * The adapter of this implementation for the conformance suite: requests come on standard input, replies go to standard
 * output (conformance/adapter-protocol.md). It claims what the standard's classes `codec`, `endpoint-group` and
 * `endpoint-peer` ask for.
 *
 * @module
 */
import { BadRequest, Machine, attempt } from "./adapter-machine.js";
import { invalid, codeName } from "./errors.js";
import { LIMITS } from "./limits.js";
import { WIRE_VERSION, decodePacket, encodeFrame } from "./frames.js";
import { fromHex, fromNotation, toHex, toNotation } from "./notation.js";
import { VERSION } from "./version.js";

/** @typedef {Record<string, any>} Json */

const LINE_FEED = 0x0a;

/** @type {Map<string, Machine>} */
const machines = new Map();

function hello() {
    const limits = Object.entries(LIMITS).map(([name, { least, usual, greatest }]) => [
        name,
        { value: usual, settable: least < greatest },
    ]);
    return {
        protocol: 1,
        name: "callchannel (JavaScript)",
        version: VERSION,
        document: "0.1",
        wire: WIRE_VERSION,
        profiles: ["codec", "endpoint-group", "endpoint-peer"],
        features: ["streams", "bitrate", "statistics", "high_channels"],
        limits: Object.fromEntries(limits),
        big_numbers: "text",
    };
}

/** @param {Json} request */
function decode({ packet, lane }) {
    const { frames, fault } = decodePacket(fromHex(packet), lane);
    return { frames: frames.map(toNotation), error: fault === null ? null : codeName(fault.code) };
}

/** @param {Json} request */
function encode({ frame }) {
    try {
        return { packet: toHex(encodeFrame(fromNotation(frame))) };
    } catch (error) {
        // Whatever is wrong with a frame, its caller is told the same.
        throw invalid(String(error));
    }
}

/**
 * The `ok` of a reply. Raises BadRequest.
 *
 * @param {Json} request
 * @returns {Json}
 */
function perform(request) {
    switch (request.op) {
        case "hello":
            return { value: hello() };
        case "reset":
            machines.clear();
            return { value: {} };
        case "decode":
            return attempt(() => decode(request));
        case "encode":
            return attempt(() => encode(request));
        case "create":
            if (machines.has(request.machine)) throw new BadRequest("BAD_REQUEST", `${request.machine} is there`);
            return attempt(() => {
                machines.set(request.machine, new Machine(request));
                return {};
            });
        default:
    }
    const machine = machines.get(request.machine);
    if (request.op === "destroy" && machines.delete(request.machine)) return { value: {} };
    if (machine !== undefined) return machine.run(request);
    if (request.machine === undefined) throw new BadRequest("UNSUPPORTED", `no op ${request.op}`);
    throw new BadRequest("BAD_REQUEST", `no machine ${request.machine}`);
}

/**
 * The reply to a line.
 *
 * @param {string} line
 * @returns {Json}
 */
function answer(line) {
    let id = 0;
    try {
        const request = JSON.parse(line);
        id = request.id;
        return { id, ok: perform(request) };
    } catch (error) {
        if (error instanceof BadRequest) return { id, err: { code: error.code, detail: error.message } };
        if (error instanceof SyntaxError) return { id, err: { code: "BAD_REQUEST", detail: error.message } };
        process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
        return { id, err: { code: "INTERNAL", detail: String(error) } };
    }
}

/** Numbers that JSON readers with 53 bits would spoil are written as text. @param {string} _ @param {unknown} value */
const asText = (_, /** @type {unknown} */ value) => (typeof value === "bigint" ? String(value) : value);

/** @type {Buffer[]} */
let begun = [];
for await (const chunk of process.stdin) {
    let start = 0;
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, start)) {
        const line = Buffer.concat([...begun, chunk.subarray(start, end)]).toString("utf8");
        begun = [];
        start = end + 1;
        process.stdout.write(`${JSON.stringify(answer(line), asText)}\n`);
    }
    if (start < chunk.length) begun.push(chunk.subarray(start));
}
