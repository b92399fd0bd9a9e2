// SPDX-License-Identifier: Apache-2.0
/**
 * Small helpers on bytes, text and 64-bit integers.
 *
 * A u64 is a plain number as long as it is a safe integer, and a BigInt beyond 2^53 - 1. Both compare with `<`, so that
 * the rest of the code need not know; nothing but the codec does arithmetic on such a value.
 *
 * @module
 */

/** @typedef {number | bigint} U64 a number up to 2^53 - 1, a BigInt above */

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** Zero bytes. */
export const EMPTY = new Uint8Array(0);

/**
 * The text in `bytes`, or null where they are not UTF-8 as RFC 3629 has it (CC-FRAME-095).
 *
 * @param {Uint8Array} bytes
 */
export function decodeText(bytes) {
    try {
        return strict.decode(bytes);
    } catch {
        return null;
    }
}

/**
 * The UTF-8 of a text, or null where it holds a lone surrogate and so has none.
 *
 * @param {string} text
 */
export function encodeText(text) {
    return /\p{Surrogate}/u.test(text) ? null : encoder.encode(text);
}

/**
 * @param {Uint8Array} bytes
 * @param {number} at
 */
export function readU16(bytes, at) {
    return (bytes[at] << 8) | bytes[at + 1];
}

/**
 * @param {Uint8Array} bytes
 * @param {number} at
 */
export function readU32(bytes, at) {
    return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;
}

/**
 * @param {Uint8Array} bytes
 * @param {number} at
 * @returns {U64}
 */
export function readU64(bytes, at) {
    const high = readU32(bytes, at);
    const low = readU32(bytes, at + 4);
    return high < 0x200000 ? high * 0x100000000 + low : (BigInt(high) << 32n) | BigInt(low);
}

/**
 * @param {Uint8Array} bytes
 * @param {number} at
 * @param {number} value
 */
export function writeU16(bytes, at, value) {
    bytes[at] = value >>> 8;
    bytes[at + 1] = value;
}

/**
 * @param {Uint8Array} bytes
 * @param {number} at
 * @param {number} value
 */
export function writeU32(bytes, at, value) {
    bytes[at] = value >>> 24;
    bytes[at + 1] = value >>> 16;
    bytes[at + 2] = value >>> 8;
    bytes[at + 3] = value;
}

/**
 * @param {Uint8Array} bytes
 * @param {number} at
 * @param {U64} value
 */
export function writeU64(bytes, at, value) {
    const whole = BigInt(value);
    writeU32(bytes, at, Number(whole >> 32n));
    writeU32(bytes, at + 4, Number(whole & 0xffffffffn));
}

/**
 * @param {readonly Uint8Array[]} parts
 * @param {number} size their bytes together
 */
export function concat(parts, size) {
    const whole = new Uint8Array(size);
    let at = 0;
    for (const part of parts) {
        whole.set(part, at);
        at += part.length;
    }
    return whole;
}

/**
 * Whether two tokens are the same, in time that does not depend on where they differ (CC-SEC-006).
 *
 * @param {Uint8Array} one
 * @param {Uint8Array} other
 */
export function sameToken(one, other) {
    let difference = one.length ^ other.length;
    for (let at = 0; at < one.length; at += 1) difference |= one[at] ^ other[at];
    return difference === 0;
}

/**
 * A view of the bytes of anything that holds bytes, without a copy.
 *
 * @param {ArrayBuffer | ArrayBufferView} data
 */
export function viewOf(data) {
    if (data instanceof Uint8Array && data.constructor === Uint8Array) return data;
    if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    return new Uint8Array(data);
}
