// SPDX-License-Identifier: Apache-2.0
/**
 * The recipient block of DATA (sections 3.5.3 and 4.7): sets of slots as words of 32 bits.
 *
 * @module
 */
import { readU16, readU32, writeU16, writeU32 } from "./bytes.js";

/** @typedef {{ readonly index: number, readonly bits: number }} Word slots 32 * index + b, bits never zero */
/** @typedef {{ readonly epoch: number, readonly except: boolean, readonly words: readonly Word[] }} RecipientBlock */

/** Slot FFFF, which means none. */
export const NO_SLOT = 0xffff;

/**
 * The words that name some slots.
 *
 * @param {Iterable<number>} slots 0 to 65534, in any order
 * @returns {Word[]}
 */
export function wordsOf(slots) {
    /** @type {Map<number, number>} */
    const bits = new Map();
    for (const slot of slots) bits.set(slot >>> 5, (bits.get(slot >>> 5) ?? 0) | (1 << (slot & 31)));
    return [...bits].sort(([one], [other]) => one - other).map(([index, value]) => ({ index, bits: value >>> 0 }));
}

/**
 * The slots that words name, ascending.
 *
 * @param {readonly Word[]} words
 */
export function slotsOf(words) {
    const slots = [];
    for (const { index, bits } of words) {
        for (let rest = bits; rest !== 0; rest &= rest - 1) slots.push(index * 32 + 31 - Math.clz32(rest & -rest));
    }
    return slots;
}

/**
 * Bytes of a block with so many words.
 *
 * @param {number} words
 */
export function blockSize(words) {
    return 6 + 6 * words;
}

/**
 * @param {RecipientBlock} block
 * @param {Uint8Array} into
 * @param {number} at
 */
export function writeBlock(block, into, at) {
    writeU32(into, at, block.epoch);
    writeU16(into, at + 4, (block.except ? 0x8000 : 0) | block.words.length);
    let next = at + 6;
    for (const { index, bits } of block.words) {
        writeU16(into, next, index);
        writeU32(into, next + 2, bits);
        next += 6;
    }
}

/**
 * The block at `at`, or null where it breaks CC-FRAME-021 or CC-FRAME-038 to 043.
 *
 * @param {Uint8Array} bytes
 * @param {number} at
 * @param {number} end end of the frame
 * @param {boolean} reliable
 * @returns {RecipientBlock | null}
 */
export function readBlock(bytes, at, end, reliable) {
    if (end - at < 6) return null;
    const epoch = readU32(bytes, at);
    const head = readU16(bytes, at + 4);
    const count = head & 0x7fff;
    const except = (head & 0x8000) !== 0;
    if (epoch === 0 || (count === 0 && !except) || (count > 64 && !reliable)) return null;
    if (end - at < blockSize(count)) return null;
    const words = [];
    let last = -1;
    for (let next = at + 6; words.length < count; next += 6) {
        const index = readU16(bytes, next);
        const bits = readU32(bytes, next + 2);
        if (index <= last || bits === 0 || index > 2047 || (index === 2047 && bits >= 0x80000000)) return null;
        words.push({ index, bits });
        last = index;
    }
    return { epoch, except, words };
}

/**
 * The words that name `chosen` of the endpoints in a roster, in the form that is allowed: the plain one unless it takes
 * too many words and the complement does not (CC-ROSTER-051 to 053). Null where neither form will do.
 *
 * @param {Iterable<number>} chosen slots to name
 * @param {Iterable<number>} others all slots of the epoch but the sender's
 * @param {boolean} except whether `chosen` are those that the message is not for
 * @param {number} most words that a form may take
 * @returns {{ except: boolean, words: Word[] } | null}
 */
export function chooseForm(chosen, others, except, most) {
    const words = wordsOf(chosen);
    if (words.length >= 1 && words.length <= most) return { except, words };
    const named = new Set(chosen);
    const rest = [];
    for (const slot of others) if (!named.has(slot)) rest.push(slot);
    const complement = wordsOf(rest);
    if (complement.length >= 1 && complement.length <= most) return { except: !except, words: complement };
    return null;
}
