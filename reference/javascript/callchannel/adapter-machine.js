// SPDX-License-Identifier: Apache-2.0
/**
 * A machine of the adapter protocol: one endpoint, and what it caused during one op (section 4 of
 * conformance/adapter-protocol.md).
 *
 * @module
 */
import { CallError, Code, invalid } from "./errors.js";
import { Endpoint } from "./endpoint.js";
import { eventWords, metadataWords, optionsOf, raisedWords, recipientsOf } from "./adapter-words.js";
import { LIMITS } from "./limits.js";
import { NotationError, fromHex, toHex, whole } from "./notation.js";

/** @typedef {import("./frames.js").Lane} Lane */
/** @typedef {Record<string, any>} Json */

/** The reliable lane comes again: what was dropped on the lossy one may have been the last before a CLOSE. */
const LANES = /** @type {const} */ (["reliable", "lossy", "reliable"]);
/** Bytes for which a free lane is asked at once; it is asked until there is nothing more. */
const FREE = 65536;

/** What is wrong with a request, not with what the endpoint was asked. */
export class BadRequest extends Error {
    /** @param {"UNSUPPORTED" | "BAD_REQUEST"} code @param {string} detail */
    constructor(code, detail) {
        super(detail);
        this.code = code;
    }
}

/**
 * Bytes that follow from a seed, everywhere the same: four numbers of 32 bits (Bob Jenkins's small generator). Nothing
 * of the suite has to be hard to guess.
 *
 * @param {Uint8Array} seed
 * @returns {(size: number) => Uint8Array}
 */
function drawing(seed) {
    const turned = (/** @type {number} */ value, /** @type {number} */ by) => (value << by) | (value >>> (32 - by));
    let [a, b, c, d] = [0xf1ea5eed, seed.length, 0, 0];
    const next = () => {
        const e = (a - turned(b, 27)) | 0;
        a = b ^ turned(c, 17);
        b = (c + d) | 0;
        c = (d + e) | 0;
        d = (e + a) | 0;
        return d;
    };
    for (const byte of seed) {
        b = (b + byte) | 0;
        next();
    }
    for (let times = 0; times < 20; times += 1) next();
    return (size) => {
        const bytes = new Uint8Array(size);
        for (let at = 0; at < size; at += 1) bytes[at] = next() >>> 24;
        return bytes;
    };
}

/** @param {Json} request of `create` */
function makeEndpoint({ kind, role, seed, limits = {}, identity = "", peer_identity: peer, replace = false }) {
    if (kind !== "endpoint" && kind !== "peer") throw new BadRequest("UNSUPPORTED", `no kind ${kind}`);
    if (kind === "peer" && role !== "initiator" && role !== "acceptor") throw new BadRequest("BAD_REQUEST", "role");
    const entropy = drawing(fromHex(seed));
    const settings = Object.fromEntries(Object.entries(limits).map(([name, value]) => [name, whole(value)]));
    const strange = Object.keys(settings).find((name) => !Object.hasOwn(LIMITS, name));
    if (strange !== undefined) throw new BadRequest("UNSUPPORTED", `no limit ${strange}`);
    const common = { id: identity ?? "", entropy, limits: settings };
    if (role === "acceptor" && kind === "peer") return new Endpoint({ ...common, role, peer });
    // A ghost and the one that replaces it have the same seed, and so the same instance identifier.
    const instance = entropy(16);
    return new Endpoint({ ...common, role: kind === "peer" ? role : "group", instance, replace: replace === true });
}

export class Machine {
    #endpoint;
    /** Transports that are up, and which of their lanes are held. @type {Map<number, Set<Lane>>} */
    #transports = new Map();
    /** @type {Set<number>} */
    #senders = new Set();
    /** Receivers, and whether they are closed. @type {Map<number, boolean>} */
    #receivers = new Map();
    /** The stream that `read` gave last, by receiver. @type {Map<number, number>} */
    #streams = new Map();
    /** @type {Json[]} */
    #packets = [];
    /**
     * The message that `cancel` settles, of which no event tells.
     *
     * @type {{ sender: number, sequence: number } | null}
     */
    #cancelled = null;

    /** @param {Json} request of `create` */
    constructor(request) {
        this.#endpoint = makeEndpoint(request);
    }

    /**
     * Does an op, and gives the reply's `ok`. Raises BadRequest.
     *
     * @param {Json} request
     * @returns {Json}
     */
    run(request) {
        const op = Object.hasOwn(OPS, request.op) ? OPS[request.op] : undefined;
        if (op === undefined) throw new BadRequest("UNSUPPORTED", `no op ${request.op}`);
        if (!Number.isSafeInteger(request.now)) throw new BadRequest("BAD_REQUEST", "now");
        this.#packets = [];
        this.#cancelled = null;
        const outcome = attempt(() => op.call(this, request) ?? {});
        this.#pump(request.now);
        const events = this.#takeEvents();
        const closing = this.#endpoint.takeClosing().map(({ transport }) => Number(transport));
        for (const id of closing) this.#transports.delete(id);
        return { ...outcome, packets: this.#packets, events, closing, wake: this.#endpoint.deadline() };
    }

    // --- what comes out ----------------------------------------------------------------------------------------------

    /** @param {number} now */
    #pump(now) {
        for (let wrote = true; wrote;) {
            wrote = false;
            for (const [id, held] of this.#transports) {
                for (const lane of LANES) {
                    while (!held.has(lane) && this.#take(id, lane, FREE, now) > 0) wrote = true;
                }
            }
        }
        this.#endpoint.takeDirty();
    }

    /**
     * Takes one packet, and says how long it is; 0: there is none.
     *
     * @param {number} id
     * @param {Lane} lane
     * @param {number} budget
     * @param {number} now
     */
    #take(id, lane, budget, now) {
        const packet = this.#endpoint.pull(id, lane, budget, now);
        if (packet === null) return 0;
        this.#packets.push({ transport: id, lane, packet: toHex(packet) });
        return packet.length;
    }

    #takeEvents() {
        const told = [];
        for (const event of this.#endpoint.events()) {
            if (event.type === "ReceiverCreated") this.#receivers.set(event.receiver, false);
            else if (event.type === "ReceiverClosed") this.#receivers.set(event.receiver, true);
            const cancelled = this.#cancelled;
            const quiet = event.type === "MessageSettled" && event.sender === cancelled?.sender;
            const words = quiet && event.sequence === cancelled?.sequence ? null : eventWords(event);
            if (words !== null) told.push(words);
        }
        return told;
    }

    // --- transports --------------------------------------------------------------------------------------------------

    /** @param {Json} request */
    transportUp({ transport, lossy = false, now }) {
        this.#transports.set(transport, new Set());
        this.#endpoint.transportUp(transport, now, { lossy: lossy === true });
    }

    /** @param {Json} request */
    transportDown({ transport, now }) {
        this.#transports.delete(transport);
        this.#endpoint.transportDown(transport, now);
    }

    /** @param {Json} request */
    lossyLane({ transport, open, now }) {
        this.#endpoint.lossyLane(transport, open, now);
    }

    /** @param {Json} request */
    receive({ transport, lane, packet, now }) {
        this.#endpoint.receive(transport, lane, fromHex(packet), now);
    }

    /** @param {Json} request */
    timeout({ now }) {
        this.#endpoint.handleTimeout(now);
    }

    /** @param {Json} request */
    hold({ transport, lane, held }) {
        if (held) this.#transports.get(transport)?.add(lane);
        else this.#transports.get(transport)?.delete(lane);
    }

    /** @param {Json} request */
    pull({ transport, lane, budget, now }) {
        if (!this.#transports.has(transport)) return;
        for (let left = budget; left > 0;) {
            const taken = this.#take(transport, lane, left, now);
            if (taken === 0) return;
            left -= taken;
        }
    }

    // --- senders -----------------------------------------------------------------------------------------------------

    /** @param {Json} request */
    open(request) {
        const { channel, reliability, priority, confirm, latest, bitrate } = request;
        /** @type {Json} */
        const options = { channel, reliability, priority, confirm, latest, bitrate };
        for (const [name, value] of Object.entries(options)) if (value === null) delete options[name];
        options.recipients = recipientsOf(request);
        const opened = this.#endpoint.openSender(options, request.now);
        this.#senders.add(opened.sender);
        return opened;
    }

    /** @param {Json} request */
    #senderOf({ sender }) {
        if (!this.#senders.has(sender)) throw new BadRequest("BAD_REQUEST", `no sender ${sender}`);
        return sender;
    }

    /** @param {Json} request */
    recipients(request) {
        this.#endpoint.setRecipients(this.#senderOf(request), recipientsOf(request) ?? "everyone");
    }

    /** @param {Json} request */
    send(request) {
        const sender = this.#senderOf(request);
        return { sequence: this.#endpoint.send(sender, fromHex(request.data), optionsOf(request), request.now) };
    }

    /** @param {Json} request */
    streamOpen(request) {
        return { sequence: this.#endpoint.openStream(this.#senderOf(request), optionsOf(request), request.now) };
    }

    /** @param {Json} request */
    streamWrite(request) {
        const { sequence, data, now } = request;
        this.#endpoint.writeStream(this.#senderOf(request), sequence, fromHex(data), now);
    }

    /** @param {Json} request */
    streamFinish(request) {
        this.#endpoint.finishStream(this.#senderOf(request), request.sequence, request.now);
    }

    /** @param {Json} request */
    cancel(request) {
        const { sequence, code = "CANCELLED", now } = request;
        const sender = this.#senderOf(request);
        if (code !== "CANCELLED" && code !== "DEADLINE") throw new BadRequest("BAD_REQUEST", "code");
        const outcome = this.#endpoint.cancel(sender, sequence, now, Code[/** @type {"CANCELLED"} */ (code)]);
        if (outcome !== "settled") this.#cancelled = { sender, sequence };
        return { outcome };
    }

    /** @param {Json} request */
    close(request) {
        this.#endpoint.closeSender(this.#senderOf(request), request.now);
    }

    // --- receivers ---------------------------------------------------------------------------------------------------

    /** @param {Json} request */
    #receiverOf({ receiver }) {
        if (!this.#receivers.has(receiver)) throw new BadRequest("BAD_REQUEST", `no receiver ${receiver}`);
        return receiver;
    }

    /** @param {Json} request */
    read(request) {
        const receiver = this.#receiverOf(request);
        if (this.#receivers.get(receiver)) throw new CallError(Code.CLOSED);
        const message = this.#endpoint.read(receiver, request.now);
        if (message === null) return { message: null };
        const { sequence, private: some, extensions } = message;
        const stream = message.kind === "stream";
        if (message.kind === "stream") this.#streams.set(receiver, message.stream);
        const data = message.kind === "stream" ? "" : toHex(message.payload);
        return { message: { sequence, data, private: some, stream, metadata: metadataWords(extensions) } };
    }

    /** @param {Json} request */
    readChunk(request) {
        const stream = this.#streams.get(this.#receiverOf(request));
        if (stream === undefined) throw invalid("no stream");
        const chunk = this.#endpoint.readStream(stream, request.now);
        if (chunk === null) return { chunk: null };
        if (chunk === "end") return { chunk: { data: "", last: true } };
        return { chunk: { data: toHex(chunk), last: false } };
    }

    /** @param {Json} request */
    closeReceiver(request) {
        const receiver = this.#receiverOf(request);
        this.#endpoint.closeReceiver(receiver, request.now);
        this.#receivers.set(receiver, true);
    }

    // --- the call ----------------------------------------------------------------------------------------------------

    /** @param {Json} request */
    leave({ now }) {
        this.#endpoint.leave(now);
    }

    look() {
        const { state, joined, largest, limits } = this.#endpoint;
        const participants = this.#endpoint.participants();
        const own = participants.find((participant) => participant.own);
        return {
            link: state,
            joined,
            identity: joined && own !== undefined ? own.id : null,
            slot: joined && own !== undefined ? own.slot : null,
            participants: participants.map(({ id, slot, suspended }) => ({ identity: id, slot, suspended })),
            max_reliable: largest.reliable,
            max_lossy: largest.lossy,
            limits,
            statistics: this.#statistics(),
        };
    }

    #statistics() {
        const receivers = [...this.#receivers.keys()]
            .map((id) => [id, this.#endpoint.receiverStatistics(id)])
            .filter(([, statistics]) => statistics !== undefined);
        return {
            link: this.#endpoint.linkStatistics() ?? {},
            senders: Object.fromEntries([...this.#senders].map((id) => [id, this.#endpoint.senderStatistics(id)])),
            receivers: Object.fromEntries(receivers),
        };
    }
}

/**
 * @param {() => Json} act
 * @returns {{ value: Json } | { raised: Json }}
 */
export function attempt(act) {
    try {
        return { value: act() };
    } catch (error) {
        if (error instanceof CallError) return { raised: raisedWords(error) };
        if (error instanceof NotationError) throw new BadRequest("BAD_REQUEST", error.message);
        throw error;
    }
}

/** @type {Record<string, (this: Machine, request: Json) => Json | void>} */
const OPS = {
    transport_up: Machine.prototype.transportUp,
    transport_down: Machine.prototype.transportDown,
    lossy_lane: Machine.prototype.lossyLane,
    receive: Machine.prototype.receive,
    timeout: Machine.prototype.timeout,
    hold: Machine.prototype.hold,
    pull: Machine.prototype.pull,
    look: Machine.prototype.look,
    open: Machine.prototype.open,
    recipients: Machine.prototype.recipients,
    send: Machine.prototype.send,
    stream_open: Machine.prototype.streamOpen,
    stream_write: Machine.prototype.streamWrite,
    stream_finish: Machine.prototype.streamFinish,
    cancel: Machine.prototype.cancel,
    close: Machine.prototype.close,
    read: Machine.prototype.read,
    read_chunk: Machine.prototype.readChunk,
    close_receiver: Machine.prototype.closeReceiver,
    leave: Machine.prototype.leave,
};
