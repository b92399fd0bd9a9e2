// SPDX-License-Identifier: Apache-2.0
/**
 * Frames and packets (chapter 3): bytes to frames, frames to bytes. This is all that a codec needs; the steps of the
 * validation order that need a link, a roster or a session are elsewhere.
 *
 * @module
 */
import { Code, codeName } from "./errors.js";
import { decodeText, encodeText, readU16, readU32, readU64, writeU16, writeU32, writeU64 } from "./bytes.js";
import { DATA_HEADER, DATA_TYPE, LOSSY_FRAME, RELIABLE, decodeData, encodeData } from "./data.js";

/** @typedef {import("./data.js").DataFrame} DataFrame */
/** @typedef {"reliable" | "lossy"} Lane */
/** @typedef {"CLOSE" | "FAIL" | "REFUSE" | "RECEIPT" | "CREDIT"} ControlType */

/**
 * @typedef {object} ControlFrame
 * @property {ControlType} type
 * @property {number} sender slot of the session's owner
 * @property {number} recipient slot of the recipient concerned; FFFF: none, or all
 * @property {number} session
 * @property {import("./bytes.js").U64} value
 * @property {number} reason
 * @property {boolean} uncertain FAIL only, else false
 */

/**
 * @typedef {"JOIN" | "LEAVE" | "SUSPENDED" | "RESUMED"} RosterOp
 * @typedef {{ op: RosterOp, slot: number, reason: number, id: string }} RosterEntry
 * @typedef {{ type: "ROSTER", snapshot: boolean, more: boolean, epoch: number, entries: RosterEntry[] }} RosterFrame
 */

/**
 * @typedef {object} HelloFrame
 * @property {"HELLO"} type
 * @property {boolean} resume
 * @property {boolean} replace
 * @property {number} features
 * @property {Uint8Array} token 16 bytes
 * @property {number} attempt
 * @property {import("./bytes.js").U64} received
 * @property {number} window
 * @property {number} largestMessage
 * @property {string} id
 */

/**
 * @typedef {object} WelcomeFrame
 * @property {"WELCOME"} type
 * @property {number} slot
 * @property {number} features
 * @property {Uint8Array} token 16 bytes
 * @property {number} attempt
 * @property {import("./bytes.js").U64} received
 * @property {number} window
 * @property {number} largestMessage
 * @property {number} resumeMs
 * @property {string} id
 */

/**
 * @typedef {{ type: "ACK", received: import("./bytes.js").U64 }} AckFrame
 * @typedef {{ type: "BYE", code: number, text: string }} ByeFrame
 * @typedef {{ type: "UNKNOWN", number: number, flags: number, body: Uint8Array }} UnknownFrame
 * @typedef {DataFrame | ControlFrame | RosterFrame | HelloFrame | WelcomeFrame | AckFrame | ByeFrame} KnownFrame
 * @typedef {KnownFrame | UnknownFrame} Frame
 */

/** The longest packet of each lane. */
export const PACKET = Object.freeze({ reliable: 16384, lossy: 1150 });
/** The wire version of this implementation. */
export const WIRE_VERSION = 1;
/** Name of the transport's subprotocol (CC-VER-002). */
export const SUBPROTOCOL = `callchannel.${WIRE_VERSION}`;

const MAGIC = 0x43414c4c;
const CONTROL_LENGTH = 22;
const FAIL = 0x03;
const ROSTER = 0x07;
const HELLO = 0x41;
const WELCOME = 0x42;
const ACK = 0x43;
const BYE = 0x44;
const TWO_TO_32 = 0x100000000;

/** @type {readonly (ControlType | undefined)[]} */
const CONTROL = [undefined, undefined, "CLOSE", "FAIL", "REFUSE", "RECEIPT", "CREDIT"];
/** @type {readonly (RosterOp | undefined)[]} */
const OPS = [undefined, "JOIN", "LEAVE", "SUSPENDED", "RESUMED"];

/** A broken rule: its code, and the step of the validation order at which it was found. Not an exception. */
export class Fault {
    /**
     * @param {number} code from Code
     * @param {string} step "2" to "8", as in section 3.15, or a later one
     */
    constructor(code, step) {
        this.code = code;
        this.step = step;
    }
}

/**
 * @typedef {(type: number) => boolean} Allows
 * Step 5: whether the link's state and the writer's role allow a frame of this type; unknown skippable types included.
 */

/**
 * Whether a type is one of version 1.
 *
 * @param {number} type
 */
export function isKnown(type) {
    return (type >= 0x01 && type <= 0x07) || (type >= 0x41 && type <= 0x44);
}

/**
 * Whether both sides count a frame that came on the reliable lane (CC-FRAME-097).
 *
 * @param {Frame} frame
 */
export function isCountable(frame) {
    switch (frame.type) {
        case "DATA":
            return frame.reliable;
        case "HELLO":
        case "WELCOME":
        case "ACK":
        case "BYE":
            return false;
        case "UNKNOWN":
            return (frame.number & 0x40) === 0;
        default:
            return true;
    }
}

/**
 * Step 2 of the validation order: the packet.
 *
 * @param {Uint8Array} packet
 * @param {Lane} lane
 */
export function judgePacket(packet, lane) {
    const fits = packet.length > 0 && packet.length <= PACKET[lane];
    return fits ? null : new Fault(Code.PACKET_SIZE, "2");
}

/**
 * Steps 3 to 8 for the frame that begins at `start`.
 *
 * @param {Uint8Array} packet
 * @param {number} start
 * @param {Lane} lane
 * @param {Allows} [allows] step 5; without it every type is allowed, as for a codec
 * @returns {{ frame: Frame, end: number } | Fault}
 */
export function decodeFrame(packet, start, lane, allows) {
    const left = packet.length - start;
    const length = left < 4 ? 0 : readU16(packet, start + 2);
    if (length < 4 || length > left) return new Fault(Code.FRAME_LENGTH, "3");
    const type = packet[start];
    const known = isKnown(type);
    if (!known && (type & 0x80) === 0) return new Fault(Code.UNKNOWN_TYPE, "4");
    if (allows !== undefined && !allows(type)) return new Fault(Code.HANDSHAKE, "5");
    const end = start + length;
    const flags = packet[start + 1];
    if (!known) {
        return { frame: { type: "UNKNOWN", number: type, flags, body: packet.subarray(start + 4, end) }, end };
    }
    if (lane === "lossy" && !(type === DATA_TYPE && (flags & RELIABLE) === 0)) return new Fault(Code.WRONG_LANE, "6");
    if (type === HELLO || type === WELCOME) {
        const code = judgeVersion(packet, start, length, type);
        if (code !== Code.NONE) return new Fault(code, "7a");
    }
    if (!startFits(type, flags, length)) return new Fault(Code.FRAME_FORMAT, "7b");
    const frame = decodeBody(packet, start, end);
    return frame === null ? new Fault(Code.FRAME_FORMAT, "8") : { frame, end };
}

/**
 * All frames of a packet, or those before the first fault and the fault (CC-FRAME-004).
 *
 * @param {Uint8Array} packet
 * @param {Lane} lane
 * @returns {{ frames: Frame[], fault: Fault | null }}
 */
export function decodePacket(packet, lane) {
    /** @type {Frame[]} */
    const frames = [];
    const wrong = judgePacket(packet, lane);
    if (wrong !== null) return { frames, fault: wrong };
    for (let at = 0; at < packet.length; ) {
        const read = decodeFrame(packet, at, lane);
        if (read instanceof Fault) return { frames, fault: read };
        frames.push(read.frame);
        at = read.end;
    }
    return { frames, fault: null };
}

/**
 * The bytes of a frame. Raises RangeError for a frame that no reader would take.
 *
 * @param {Frame} frame
 */
export function encodeFrame(frame) {
    const bytes = write(frame);
    const read = bytes.length > PACKET.reliable ? new Fault(Code.PACKET_SIZE, "2") : decodeFrame(bytes, 0, "reliable");
    if (read instanceof Fault) throw new RangeError(`no legal ${frame.type}: ${codeName(read.code)}`);
    return bytes;
}

/**
 * Step 7a: magic and version come before everything else in HELLO and WELCOME (CC-FRAME-072, 083).
 *
 * @param {Uint8Array} packet
 * @param {number} start
 * @param {number} length
 * @param {number} type
 */
function judgeVersion(packet, start, length, type) {
    if (type === HELLO) {
        if (length < 10) return Code.FRAME_FORMAT;
        if (readU32(packet, start + 4) !== MAGIC) return Code.HANDSHAKE;
        return readU16(packet, start + 8) === WIRE_VERSION ? Code.NONE : Code.VERSION;
    }
    if (length < 6) return Code.FRAME_FORMAT;
    return readU16(packet, start + 4) === WIRE_VERSION ? Code.NONE : Code.VERSION;
}

/**
 * Step 7b: reserved flags and the length that the type has.
 *
 * @param {number} type
 * @param {number} flags
 * @param {number} length
 */
function startFits(type, flags, length) {
    switch (type) {
        case DATA_TYPE:
            return length >= DATA_HEADER && ((flags & RELIABLE) !== 0 || length <= LOSSY_FRAME);
        case FAIL:
            return flags <= 1 && length === CONTROL_LENGTH;
        case ROSTER:
            return flags <= 3 && length >= 8;
        case HELLO:
            return flags <= 3 && length >= 51;
        case WELCOME:
            return flags === 0 && length >= 53;
        case ACK:
            return flags === 0 && length === 12;
        case BYE:
            return flags === 0 && length >= 6 && length <= 261;
        default:
            return flags === 0 && length === CONTROL_LENGTH;
    }
}

/**
 * Step 8.
 *
 * @param {Uint8Array} packet
 * @param {number} start
 * @param {number} end
 * @returns {KnownFrame | null}
 */
function decodeBody(packet, start, end) {
    switch (packet[start]) {
        case DATA_TYPE:
            return decodeData(packet, start, end);
        case ROSTER:
            return decodeRoster(packet, start, end);
        case HELLO:
            return decodeHello(packet, start, end);
        case WELCOME:
            return decodeWelcome(packet, start, end);
        case ACK:
            return { type: "ACK", received: readU64(packet, start + 4) };
        case BYE: {
            const text = decodeText(packet.subarray(start + 6, end));
            return text === null ? null : { type: "BYE", code: readU16(packet, start + 4), text };
        }
        default:
            return decodeControl(packet, start);
    }
}

/**
 * @param {Uint8Array} packet
 * @param {number} start
 * @returns {ControlFrame | null}
 */
function decodeControl(packet, start) {
    const type = /** @type {ControlType} */ (CONTROL[packet[start]]);
    const sender = readU16(packet, start + 4);
    const session = readU32(packet, start + 8);
    const value = readU64(packet, start + 12);
    const reason = readU16(packet, start + 20);
    if (sender === 0xffff || session === 0) return null;
    if (type !== "CREDIT" && (value < 1 || value > (type === "FAIL" ? TWO_TO_32 : TWO_TO_32 - 1))) return null;
    if ((type === "FAIL" || type === "REFUSE") && reason === 0) return null;
    if ((type === "RECEIPT" || type === "CREDIT") && reason !== 0) return null;
    const recipient = readU16(packet, start + 6);
    return { type, sender, recipient, session, value, reason, uncertain: packet[start + 1] === 1 };
}

/**
 * @param {Uint8Array} packet
 * @param {number} start
 * @param {number} end
 * @returns {RosterFrame | null}
 */
function decodeRoster(packet, start, end) {
    const flags = packet[start + 1];
    const epoch = readU32(packet, start + 4);
    if (epoch === 0) return null;
    /** @type {RosterEntry[]} */
    const entries = [];
    for (let at = start + 8; at < end; ) {
        if (end - at < 6) return null;
        const op = OPS[packet[at]];
        const idLength = packet[at + 1];
        const slot = readU16(packet, at + 2);
        const reason = readU16(packet, at + 4);
        at += 6;
        if (op === undefined || slot === 0xffff || (op === "JOIN") !== idLength > 0 || idLength > end - at) return null;
        if (reason !== 0 && (op === "JOIN" || op === "RESUMED")) return null;
        const id = decodeText(packet.subarray(at, at + idLength));
        if (id === null) return null;
        entries.push({ op, slot, reason, id });
        at += idLength;
    }
    return { type: "ROSTER", snapshot: (flags & 1) !== 0, more: (flags & 2) !== 0, epoch, entries };
}

/**
 * @param {Uint8Array} packet
 * @param {number} start
 * @param {number} end
 * @returns {HelloFrame | null}
 */
function decodeHello(packet, start, end) {
    const resume = (packet[start + 1] & 1) !== 0;
    const replace = (packet[start + 1] & 2) !== 0;
    const attempt = readU32(packet, start + 30);
    const received = readU64(packet, start + 34);
    const window = readU32(packet, start + 42);
    const largestMessage = readU32(packet, start + 46);
    if (end - start !== 51 + packet[start + 50] || (resume && replace)) return null;
    if (attempt === 0 || (!resume && received !== 0) || window < 65536 || largestMessage < 32768) return null;
    const id = decodeText(packet.subarray(start + 51, end));
    if (id === null) return null;
    const features = readU32(packet, start + 10);
    const token = packet.slice(start + 14, start + 30);
    return { type: "HELLO", resume, replace, features, token, attempt, received, window, largestMessage, id };
}

/**
 * @param {Uint8Array} packet
 * @param {number} start
 * @param {number} end
 * @returns {WelcomeFrame | null}
 */
function decodeWelcome(packet, start, end) {
    const slot = readU16(packet, start + 6);
    const attempt = readU32(packet, start + 28);
    const window = readU32(packet, start + 40);
    const largestMessage = readU32(packet, start + 44);
    const idLength = packet[start + 52];
    if (idLength === 0 || end - start !== 53 + idLength || slot === 0xffff) return null;
    if (attempt === 0 || window < 65536 || largestMessage < 32768) return null;
    const id = decodeText(packet.subarray(start + 53, end));
    if (id === null) return null;
    const features = readU32(packet, start + 8);
    const token = packet.slice(start + 12, start + 28);
    const received = readU64(packet, start + 32);
    const resumeMs = readU32(packet, start + 48);
    return { type: "WELCOME", slot, features, token, attempt, received, window, largestMessage, resumeMs, id };
}

/**
 * @param {Frame} frame
 * @returns {Uint8Array}
 */
function write(frame) {
    switch (frame.type) {
        case "DATA":
            return encodeData(frame);
        case "ROSTER":
            return writeRoster(frame);
        case "HELLO": {
            const id = textBytes(frame.id);
            const bytes = begin(HELLO, (frame.resume ? 1 : 0) | (frame.replace ? 2 : 0), 51 + id.length);
            writeU32(bytes, 4, MAGIC);
            writeU16(bytes, 8, WIRE_VERSION);
            writeU32(bytes, 10, frame.features);
            bytes.set(frame.token, 14);
            writeU32(bytes, 30, frame.attempt);
            writeU64(bytes, 34, frame.received);
            writeU32(bytes, 42, frame.window);
            writeU32(bytes, 46, frame.largestMessage);
            bytes[50] = id.length;
            bytes.set(id, 51);
            return bytes;
        }
        case "WELCOME": {
            const id = textBytes(frame.id);
            const bytes = begin(WELCOME, 0, 53 + id.length);
            writeU16(bytes, 4, WIRE_VERSION);
            writeU16(bytes, 6, frame.slot);
            writeU32(bytes, 8, frame.features);
            bytes.set(frame.token, 12);
            writeU32(bytes, 28, frame.attempt);
            writeU64(bytes, 32, frame.received);
            writeU32(bytes, 40, frame.window);
            writeU32(bytes, 44, frame.largestMessage);
            writeU32(bytes, 48, frame.resumeMs);
            bytes[52] = id.length;
            bytes.set(id, 53);
            return bytes;
        }
        case "ACK": {
            const bytes = begin(ACK, 0, 12);
            writeU64(bytes, 4, frame.received);
            return bytes;
        }
        case "BYE": {
            const text = textBytes(frame.text);
            const bytes = begin(BYE, 0, 6 + text.length);
            writeU16(bytes, 4, frame.code);
            bytes.set(text, 6);
            return bytes;
        }
        case "UNKNOWN": {
            const bytes = begin(frame.number, frame.flags, 4 + frame.body.length);
            bytes.set(frame.body, 4);
            return bytes;
        }
        default: {
            const bytes = begin(CONTROL.indexOf(frame.type), frame.uncertain ? 1 : 0, CONTROL_LENGTH);
            writeU16(bytes, 4, frame.sender);
            writeU16(bytes, 6, frame.recipient);
            writeU32(bytes, 8, frame.session);
            writeU64(bytes, 12, frame.value);
            writeU16(bytes, 20, frame.reason);
            return bytes;
        }
    }
}

/**
 * @param {RosterFrame} frame
 */
function writeRoster(frame) {
    const ids = frame.entries.map(({ id }) => textBytes(id));
    const size = ids.reduce((sum, id) => sum + 6 + id.length, 8);
    const bytes = begin(ROSTER, (frame.snapshot ? 1 : 0) | (frame.more ? 2 : 0), size);
    writeU32(bytes, 4, frame.epoch);
    let at = 8;
    for (const [position, { op, slot, reason }] of frame.entries.entries()) {
        const id = ids[position];
        bytes[at] = OPS.indexOf(op);
        bytes[at + 1] = id.length;
        writeU16(bytes, at + 2, slot);
        writeU16(bytes, at + 4, reason);
        bytes.set(id, at + 6);
        at += 6 + id.length;
    }
    return bytes;
}

/**
 * @param {number} type
 * @param {number} flags
 * @param {number} length
 */
function begin(type, flags, length) {
    const bytes = new Uint8Array(length);
    bytes[0] = type;
    bytes[1] = flags;
    writeU16(bytes, 2, length);
    return bytes;
}

/**
 * @param {string} text
 */
function textBytes(text) {
    const bytes = encodeText(text);
    if (bytes === null || bytes.length > 255) throw new RangeError("a text is at most 255 bytes of UTF-8");
    return bytes;
}
