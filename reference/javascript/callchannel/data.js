// SPDX-License-Identifier: Apache-2.0
/**
 * The frame DATA (section 3.5). It is the one that is read and written for every message, so nothing is copied here but
 * the payload into the frame that is written.
 *
 * @module
 */
import { readU16, readU32, writeU16, writeU32 } from "./bytes.js";
import { blockSize, readBlock, writeBlock } from "./recipients.js";
import { ExtensionType, extensionsSize, readExtensions, writeExtensions } from "./extensions.js";

/**
 * @typedef {object} FragmentBlock
 * @property {number} index from 0
 * @property {number} total bytes of the whole message; 0: a stream
 * @property {boolean} last
 * @property {boolean} abort
 */

/**
 * @typedef {object} DataFrame
 * @property {"DATA"} type
 * @property {boolean} reliable
 * @property {boolean} high
 * @property {boolean} private
 * @property {boolean} confirm
 * @property {boolean} latest
 * @property {number} channel
 * @property {number} sender slot of the owner
 * @property {number} session
 * @property {number} sequence
 * @property {FragmentBlock | null} fragment
 * @property {import("./recipients.js").RecipientBlock | null} recipients
 * @property {readonly import("./extensions.js").Extension[]} extensions empty: no block
 * @property {Uint8Array} payload a view of the packet, or what is to be written
 * @property {number} size bytes of the whole frame; ignored when a frame is encoded
 */

export const DATA_TYPE = 0x01;
export const RELIABLE = 0x01;
const HIGH = 0x02;
const FRAGMENT = 0x04;
const RECIPIENTS = 0x08;
const PRIVATE = 0x10;
const CONFIRM = 0x20;
const LATEST = 0x40;
const EXTENSIONS = 0x80;

/** Bytes of the header. */
export const DATA_HEADER = 16;
/** Bytes of the fragment block. */
export const FRAGMENT_BLOCK = 8;
/** The greatest index of a fragment. */
export const LAST_INDEX = 0x3fffffff;
/** The longest Lossy frame, on either lane (CC-FRAME-020). */
export const LOSSY_FRAME = 1150;

/**
 * Bytes of header and blocks of a DATA frame.
 *
 * @param {boolean} fragmented
 * @param {import("./recipients.js").RecipientBlock | null} recipients
 * @param {readonly import("./extensions.js").Extension[]} extensions
 */
export function overhead(fragmented, recipients, extensions) {
    const blocks = recipients === null ? 0 : blockSize(recipients.words.length);
    return DATA_HEADER + (fragmented ? FRAGMENT_BLOCK : 0) + blocks + extensionsSize(extensions);
}

/**
 * The bytes of a DATA frame. What it holds is taken to be legal.
 *
 * @param {DataFrame} frame
 */
export function encodeData(frame) {
    const { fragment, recipients, extensions, payload } = frame;
    const head = overhead(fragment !== null, recipients, extensions);
    const bytes = new Uint8Array(head + payload.length);
    bytes[0] = DATA_TYPE;
    bytes[1] =
        (frame.reliable ? RELIABLE : 0) |
        (frame.high ? HIGH : 0) |
        (fragment !== null ? FRAGMENT : 0) |
        (recipients !== null ? RECIPIENTS : 0) |
        (frame.private ? PRIVATE : 0) |
        (frame.confirm ? CONFIRM : 0) |
        (frame.latest ? LATEST : 0) |
        (extensions.length > 0 ? EXTENSIONS : 0);
    writeU16(bytes, 2, bytes.length);
    writeU16(bytes, 4, frame.channel);
    writeU16(bytes, 6, frame.sender);
    writeU32(bytes, 8, frame.session);
    writeU32(bytes, 12, frame.sequence);
    let at = DATA_HEADER;
    if (fragment !== null) {
        writeU32(bytes, at, (fragment.last ? 0x80000000 : 0) | (fragment.abort ? 0x40000000 : 0) | fragment.index);
        writeU32(bytes, at + 4, fragment.total);
        at += FRAGMENT_BLOCK;
    }
    if (recipients !== null) {
        writeBlock(recipients, bytes, at);
        at += blockSize(recipients.words.length);
    }
    if (extensions.length > 0) writeExtensions(extensions, bytes, at);
    bytes.set(payload, head);
    return bytes;
}

/**
 * The DATA frame at `start`, or null where it breaks a rule of section 3.5: FRAME_FORMAT for all of them. That it has a
 * whole header, and is not too long for a Lossy one, was judged before.
 *
 * @param {Uint8Array} bytes the packet
 * @param {number} start
 * @param {number} end end of the frame
 * @returns {DataFrame | null}
 */
export function decodeData(bytes, start, end) {
    const size = end - start;
    const flags = bytes[start + 1];
    const reliable = (flags & RELIABLE) !== 0;
    const confirm = (flags & CONFIRM) !== 0;
    const latest = (flags & LATEST) !== 0;
    const channel = readU16(bytes, start + 4);
    const sender = readU16(bytes, start + 6);
    const session = readU32(bytes, start + 8);
    const sequence = readU32(bytes, start + 12);
    if (channel === 0 || sender === 0xffff || session === 0 || sequence === 0) return null;
    if (!reliable && confirm) return null;
    if (latest && (reliable || (flags & FRAGMENT) !== 0)) return null;
    let at = start + DATA_HEADER;
    let fragment = null;
    if ((flags & FRAGMENT) !== 0) {
        if (end - at < FRAGMENT_BLOCK) return null;
        const place = readU32(bytes, at);
        const total = readU32(bytes, at + 4);
        fragment = { index: place & LAST_INDEX, total, last: place >= 0x80000000, abort: (place & 0x40000000) !== 0 };
        at += FRAGMENT_BLOCK;
    }
    let recipients = null;
    if ((flags & RECIPIENTS) !== 0) {
        recipients = readBlock(bytes, at, end, reliable);
        if (recipients === null) return null;
        const everyone = recipients.except && recipients.words.length === 0;
        // CC-FRAME-044 and 045: PRIVATE unless the block names everyone, which is for CONFIRM alone.
        if (everyone === ((flags & PRIVATE) !== 0) || (everyone && !confirm)) return null;
        at += blockSize(recipients.words.length);
    }
    /** @type {readonly import("./extensions.js").Extension[]} */
    let extensions = [];
    if ((flags & EXTENSIONS) !== 0) {
        const read = readExtensions(bytes, at, end);
        if (read === null) return null;
        extensions = read;
        at += extensionsSize(extensions);
    }
    const frame = /** @type {DataFrame} */ ({
        type: "DATA",
        reliable,
        high: (flags & HIGH) !== 0,
        private: (flags & PRIVATE) !== 0,
        confirm,
        latest,
        channel,
        sender,
        session,
        sequence,
        fragment,
        recipients,
        extensions,
        payload: bytes.subarray(at, end),
        size,
    });
    return fragment === null || fragmentFits(frame, fragment) ? frame : null;
}

/**
 * CC-FRAME-025 to 037.
 *
 * @param {DataFrame} frame
 * @param {FragmentBlock} fragment
 */
function fragmentFits({ reliable, payload, recipients, extensions }, { index, total, last, abort }) {
    const { length } = payload;
    if (abort) {
        return reliable && !last && index > 0 && length === 0 && recipients === null && extensions.length === 0;
    }
    if (length === 0 && !(last && total === 0)) return false;
    if (total !== 0 && (length > total || (index === 0 && last && length !== total))) return false;
    if (reliable) return index === 0 || (recipients === null && extensions.length === 0);
    if (total === 0 || total > 65536 || index > 127 || (!last && length < 512)) return false;
    // A later Lossy fragment repeats the lifetime and nothing else.
    return index === 0 || extensions.every(({ type }) => type === ExtensionType.LIFETIME);
}
