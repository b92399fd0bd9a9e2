// SPDX-License-Identifier: Apache-2.0
/**
 * Requests of the conformance suite and their replies (conformance/adapter-protocol.md), however they travel. It claims
 * what the standard's classes `codec`, `endpoint-group` and `endpoint-peer` ask for.
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

/** @type {Map<string, Machine>} */
const machines = new Map();

/** Where this runs, if that is worth a column of its own. */
let where = "";

/** Says where this runs, such as `Chromium 140`. @param {string} place */
export function runsIn(place) {
    where = `, ${place}`;
}

function hello() {
    const limits = Object.entries(LIMITS).map(([name, { least, usual, greatest }]) => [
        name,
        { value: usual, settable: least < greatest },
    ]);
    return {
        protocol: 1,
        name: `callchannel (JavaScript${where})`,
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
 * The reply to a line, as a line without its end.
 *
 * @param {string} line
 * @param {(text: string) => void} complain takes what is of interest to those who mend this
 */
export function answer(line, complain) {
    return JSON.stringify(reply(line, complain), asText);
}

/**
 * @param {string} line
 * @param {(text: string) => void} complain
 * @returns {Json}
 */
function reply(line, complain) {
    let id = 0;
    try {
        const request = JSON.parse(line);
        id = request.id;
        return { id, ok: perform(request) };
    } catch (error) {
        if (error instanceof BadRequest) return { id, err: { code: error.code, detail: error.message } };
        if (error instanceof SyntaxError) return { id, err: { code: "BAD_REQUEST", detail: error.message } };
        complain(String(error instanceof Error ? error.stack : error));
        return { id, err: { code: "INTERNAL", detail: String(error) } };
    }
}

/** Numbers that JSON readers with 53 bits would spoil are written as text. @param {string} _ @param {unknown} value */
const asText = (_, /** @type {unknown} */ value) => (typeof value === "bigint" ? String(value) : value);
