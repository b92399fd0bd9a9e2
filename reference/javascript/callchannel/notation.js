// SPDX-License-Identifier: Apache-2.0
/**
 * Frames in the notation of the test vectors, as JSON holds them: bytes as hexadecimal digits, recipients as slots.
 *
 * @module
 */
import { slotsOf, wordsOf } from "./recipients.js";

/** @typedef {import("./frames.js").Frame} Frame */
/** @typedef {Record<string, any>} Notation */

const FLAGS = /** @type {const} */ ([
    ["RELIABLE", "reliable"],
    ["HIGH", "high"],
    ["PRIVATE", "private"],
    ["CONFIRM", "confirm"],
    ["LATEST", "latest"],
]);

/** @param {Uint8Array} bytes */
export function toHex(bytes) {
    let text = "";
    for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
    return text;
}

/** What is given as bytes, and is none. */
export class NotationError extends Error {}

/**
 * The bytes of hexadecimal digits. Raises NotationError for anything else.
 *
 * @param {unknown} text
 */
export function fromHex(text) {
    if (typeof text !== "string" || !/^([0-9a-fA-F]{2})*$/.test(text)) throw new NotationError("no hexadecimal digits");
    return Uint8Array.from({ length: text.length / 2 }, (_, at) => parseInt(text.slice(2 * at, 2 * at + 2), 16));
}

/**
 * An integer, which may be given as decimal text: a number as long as that is exact, a BigInt beyond.
 *
 * @param {unknown} value
 * @returns {any} the value itself where it is no such text
 */
export function whole(value) {
    if (typeof value !== "string" || !/^[0-9]+$/.test(value)) return value;
    const big = BigInt(value);
    return big <= Number.MAX_SAFE_INTEGER ? Number(big) : big;
}

/**
 * @param {Frame} frame
 * @returns {Notation}
 */
export function toNotation(frame) {
    switch (frame.type) {
        case "DATA":
            return fromData(frame);
        case "HELLO": {
            const { largestMessage, token, ...rest } = frame;
            return { ...rest, token: toHex(token), largest_message: largestMessage };
        }
        case "WELCOME": {
            const { largestMessage, resumeMs, token, ...rest } = frame;
            return { ...rest, token: toHex(token), largest_message: largestMessage, resume_ms: resumeMs };
        }
        case "UNKNOWN":
            return { type: "UNKNOWN", number: frame.number, flags: frame.flags, body: toHex(frame.body) };
        case "ROSTER":
        case "ACK":
        case "BYE":
        case "FAIL":
            return frame;
        default: {
            const { type, sender, recipient, session, value, reason } = frame;
            return { type, sender, recipient, session, value, reason };
        }
    }
}

/**
 * @param {import("./data.js").DataFrame} frame
 * @returns {Notation}
 */
function fromData(frame) {
    const { channel, sender, session, sequence, fragment, recipients, extensions, payload } = frame;
    return {
        type: "DATA",
        flags: FLAGS.filter(([, field]) => frame[field]).map(([name]) => name),
        channel,
        sender,
        session,
        sequence,
        ...(fragment && { fragment }),
        ...(recipients && {
            recipients: { epoch: recipients.epoch, except: recipients.except, slots: slotsOf(recipients.words) },
        }),
        ...(extensions.length > 0 && {
            extensions: extensions.map(({ type, mustUnderstand, value }) => ({
                type,
                must_understand: mustUnderstand,
                value: toHex(value),
            })),
        }),
        payload: toHex(payload),
    };
}

/**
 * The frame that a notation means. What is wrong with it, `encodeFrame` finds.
 *
 * @param {Notation} notation
 * @returns {Frame}
 */
export function fromNotation(notation) {
    switch (notation.type) {
        case "DATA":
            return toData(notation);
        case "HELLO":
        case "WELCOME": {
            const { largest_message: largestMessage, resume_ms: resumeMs, token, received, ...rest } = notation;
            const fields = { ...rest, token: fromHex(token), received: whole(received), largestMessage, resumeMs };
            return /** @type {Frame} */ (/** @type {unknown} */ (fields));
        }
        case "UNKNOWN":
            return { type: "UNKNOWN", number: notation.number, flags: notation.flags, body: fromHex(notation.body) };
        case "ACK":
            return { type: "ACK", received: whole(notation.received) };
        case "ROSTER":
        case "BYE":
            return /** @type {Frame} */ (notation);
        default: {
            const uncertain = notation.uncertain ?? false;
            return /** @type {Frame} */ ({ ...notation, value: whole(notation.value), uncertain });
        }
    }
}

/**
 * @param {Notation} notation
 * @returns {import("./data.js").DataFrame}
 */
function toData({ flags, channel, sender, session, sequence, fragment, recipients, extensions, payload }) {
    /** @param {string} flag */
    const has = (flag) => flags.includes(flag);
    return {
        type: "DATA",
        reliable: has("RELIABLE"),
        high: has("HIGH"),
        private: has("PRIVATE"),
        confirm: has("CONFIRM"),
        latest: has("LATEST"),
        channel,
        sender,
        session,
        sequence,
        fragment: fragment ?? null,
        recipients: recipients
            ? { epoch: recipients.epoch, except: recipients.except, words: wordsOf(recipients.slots) }
            : null,
        extensions: (extensions ?? []).map((/** @type {Notation} */ extension) => ({
            type: extension.type,
            mustUnderstand: extension.must_understand,
            value: fromHex(extension.value),
        })),
        payload: fromHex(payload),
        size: 0,
    };
}
