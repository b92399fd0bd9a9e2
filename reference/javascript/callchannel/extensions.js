// SPDX-License-Identifier: Apache-2.0
/**
 * The extension block of DATA (section 3.5.4), and what the registered extensions mean (section 17.2).
 *
 * @module
 */
import { invalid } from "./errors.js";
import { decodeText, encodeText, readU16, readU32, readU64, writeU16, writeU32, writeU64 } from "./bytes.js";

/** @typedef {{ readonly type: number, readonly mustUnderstand: boolean, readonly value: Uint8Array }} Extension */

/** Types of the registered extensions. */
export const ExtensionType = Object.freeze({
    CONTENT_TYPE: 1,
    NAME: 2,
    LIFETIME: 3,
    APPLICATION_TIME: 4,
    END_TO_END_ENCRYPTION: 5,
});

const GREASE = new Set([0x0a5a, 0x1a5a, 0x2a5a, 0x3a5a]);
const FIRST_PRIVATE = 0x7000;

/**
 * What an application gives a message beside its bytes.
 *
 * @typedef {object} ExtensionOptions
 * @property {string} [contentType] media type, 1 to 255 bytes of UTF-8
 * @property {string} [name] a name such as a file's, 1 to 255 bytes of UTF-8
 * @property {number} [lifetime] Lossy: milliseconds that it may wait in any one queue, 1 to 4294967295
 * @property {number | bigint} [applicationTime] microseconds of the application's own clock
 * @property {readonly string[]} [mustUnderstand] which of the four the recipient has to understand, by these names
 * @property {readonly Extension[]} [extensions] of private types, 0x7000 to 0x7fff
 */

/**
 * What a message brought beside its bytes; undefined where it brought none, or a malformed one.
 *
 * @typedef {object} ReceivedExtensions
 * @property {string} [contentType]
 * @property {string} [name]
 * @property {import("./bytes.js").U64} [applicationTime]
 * @property {readonly Extension[]} extensions all of them, understood or not
 */

/**
 * Bytes of a block with these extensions, its size field included; 0 for none.
 *
 * @param {readonly Extension[]} extensions
 */
export function extensionsSize(extensions) {
    if (extensions.length === 0) return 0;
    let size = 2;
    for (const { value } of extensions) size += 4 + value.length;
    return size;
}

/**
 * @param {readonly Extension[]} extensions
 * @param {Uint8Array} into
 * @param {number} at
 */
export function writeExtensions(extensions, into, at) {
    writeU16(into, at, extensionsSize(extensions) - 2);
    let next = at + 2;
    for (const { type, mustUnderstand, value } of extensions) {
        writeU16(into, next, (mustUnderstand ? 0x8000 : 0) | type);
        writeU16(into, next + 2, value.length);
        into.set(value, next + 4);
        next += 4 + value.length;
    }
}

/**
 * The extensions of the block at `at`, or null where it breaks CC-FRAME-021 or CC-FRAME-049 to 051.
 *
 * @param {Uint8Array} bytes
 * @param {number} at
 * @param {number} end end of the frame
 * @returns {Extension[] | null}
 */
export function readExtensions(bytes, at, end) {
    if (end - at < 2) return null;
    const size = readU16(bytes, at);
    const stop = at + 2 + size;
    if (size === 0 || stop > end) return null;
    /** @type {Extension[]} */
    const extensions = [];
    let last = -1;
    for (let next = at + 2; next < stop; ) {
        if (stop - next < 4) return null;
        const head = readU16(bytes, next);
        const valueEnd = next + 4 + readU16(bytes, next + 2);
        const type = head & 0x7fff;
        if (valueEnd > stop || type <= last) return null;
        extensions.push({ type, mustUnderstand: head >= 0x8000, value: bytes.subarray(next + 4, valueEnd) });
        last = type;
        next = valueEnd;
    }
    return extensions;
}

/**
 * The extensions that an application asks for, ascending by type. Raises INVALID_ARGUMENT for a malformed value
 * (CC-EXT-013), for a type that is not assigned (CC-EXT-028), and for a lifetime on a Reliable message.
 *
 * @param {ExtensionOptions} options
 * @param {boolean} reliable
 * @returns {Extension[]}
 */
export function makeExtensions(options, reliable) {
    const must = new Set(options.mustUnderstand ?? []);
    /** @type {Extension[]} */
    const made = [];
    /** @param {string} option @param {number} type @param {Uint8Array} value */
    const add = (option, type, value) => {
        made.push({ type, mustUnderstand: must.delete(option), value });
    };
    if (options.contentType !== undefined) {
        add("contentType", ExtensionType.CONTENT_TYPE, shortText(options.contentType, "contentType"));
    }
    if (options.name !== undefined) add("name", ExtensionType.NAME, shortText(options.name, "name"));
    if (options.lifetime !== undefined) {
        const { lifetime } = options;
        if (reliable) throw invalid("a Reliable message has no lifetime");
        if (!Number.isInteger(lifetime) || lifetime < 1 || lifetime > 0xffffffff) throw invalid("lifetime");
        const value = new Uint8Array(4);
        writeU32(value, 0, lifetime);
        add("lifetime", ExtensionType.LIFETIME, value);
    }
    if (options.applicationTime !== undefined) {
        const time = options.applicationTime;
        const whole = typeof time === "bigint" || Number.isSafeInteger(time);
        if (!whole || time < 0 || time > 0xffffffffffffffffn) throw invalid("applicationTime is a u64");
        const value = new Uint8Array(8);
        writeU64(value, 0, time);
        add("applicationTime", ExtensionType.APPLICATION_TIME, value);
    }
    if (must.size > 0) throw invalid(`mustUnderstand names ${[...must].join(", ")}, which the message does not have`);
    for (const extension of options.extensions ?? []) made.push(checkOwn(extension));
    made.sort((one, other) => one.type - other.type);
    for (let at = 1; at < made.length; at += 1) {
        if (made[at].type === made[at - 1].type) throw invalid(`extension ${made[at].type} twice`);
    }
    return made;
}

/**
 * @param {Extension} extension
 * @returns {Extension}
 */
function checkOwn({ type, mustUnderstand, value }) {
    const grease = GREASE.has(type) && !mustUnderstand;
    if (!grease && !(Number.isInteger(type) && type >= FIRST_PRIVATE && type <= 0x7fff)) {
        throw invalid(`extension type ${type} is not private`);
    }
    if (!(value instanceof Uint8Array) || value.length > 0xffff) throw invalid("value of an extension");
    return { type, mustUnderstand: Boolean(mustUnderstand), value: value.slice() };
}

/**
 * @param {string} text
 * @param {string} option
 */
function shortText(text, option) {
    const bytes = typeof text === "string" ? encodeText(text) : null;
    if (bytes === null || bytes.length < 1 || bytes.length > 255) throw invalid(`${option} is 1 to 255 bytes of UTF-8`);
    return bytes;
}

/**
 * The lifetime of a Lossy message in milliseconds, or undefined.
 *
 * @param {readonly Extension[]} extensions
 */
export function lifetimeOf(extensions) {
    const found = extensions.find(({ type }) => type === ExtensionType.LIFETIME);
    return found !== undefined && found.value.length === 4 ? readU32(found.value, 0) : undefined;
}

/**
 * Reads the extensions of a message as its final recipient does (section 17.1).
 *
 * @param {readonly Extension[]} extensions
 * @param {boolean} reliable
 * @param {ReadonlySet<number>} privateTypes types that the application understands itself
 * @returns {ReceivedExtensions | null} null where one has to be understood and is not
 */
export function understand(extensions, reliable, privateTypes) {
    /**
     * @type {{ contentType?: string, name?: string, applicationTime?: import("./bytes.js").U64, extensions: Extension[]
     * }}
     */
    const read = { extensions: [] };
    for (const { type, mustUnderstand, value } of extensions) {
        let understood = privateTypes.has(type);
        if (type === ExtensionType.CONTENT_TYPE || type === ExtensionType.NAME) {
            const text = value.length >= 1 && value.length <= 255 ? decodeText(value) : null;
            understood = text !== null;
            if (text !== null) read[type === ExtensionType.NAME ? "name" : "contentType"] = text;
        } else if (type === ExtensionType.LIFETIME) {
            // CC-EXT-018: on a Reliable message it is ignored, whatever it says.
            understood = reliable || (value.length === 4 && readU32(value, 0) >= 1);
        } else if (type === ExtensionType.APPLICATION_TIME) {
            understood = value.length === 8;
            if (understood) read.applicationTime = readU64(value, 0);
        }
        if (mustUnderstand && !understood) return null;
        read.extensions.push({ type, mustUnderstand, value: value.slice() });
    }
    return read;
}
