// SPDX-License-Identifier: Apache-2.0
/**
 * The binding to WebRTC data channels (chapter 12). It attaches to a connection that the application owns, beside its
 * audio, video and other channels, and touches nothing of these.
 *
 * @module
 */
import { CallError, Code } from "./errors.js";
import { PACKET, SUBPROTOCOL } from "./frames.js";
import { HIGH_WATER, LOW_WATER } from "./transport.js";
import { Deferred } from "./wakeup.js";
import { viewOf } from "./bytes.js";

/** @typedef {import("./frames.js").Lane} Lane */
/** @typedef {import("./transport.js").Transport} Transport */
/** @typedef {import("./transport.js").TransportListener} TransportListener */

/** How much is kept before the application attaches (CC-RTC-013). */
const EARLY = 65536;
/** How often a connection is looked at: one that its own side closes tells nothing. Milliseconds. */
const WATCH = 500;
/** How long draining and closing may take (CC-RTC-029, 030). */
const PATIENCE = 5000;

/** Connections that carry a transport now (CC-RTC-008). @type {WeakSet<RTCPeerConnection>} */
const inUse = new WeakSet();

/** @implements {Transport} */
export class RtcTransport {
    #connection;
    #owned;
    #gaveUp;
    /** @type {Record<Lane, RTCDataChannel | null>} */
    #channels = { reliable: null, lossy: null };
    #blocked = { reliable: false, lossy: false };
    /** @type {TransportListener | null} */
    #listener = null;
    /** @type {{ lane: Lane, packet: Uint8Array | null }[]} */
    #early = [];
    #earlyBytes = 0;
    #down = false;
    #closing = false;
    /** @type {[EventTarget, string, (event: any) => void][]} */
    #listening = [];
    /** @type {ReturnType<typeof setInterval>} */
    #watch;

    /**
     * @param {RTCPeerConnection} connection
     * @param {boolean} owned whether the connection is closed with the transport
     * @param {() => void} [gaveUp] called when it is lost
     */
    constructor(connection, owned, gaveUp = () => {}) {
        if (inUse.has(connection))
            throw new CallError(Code.INVALID_ARGUMENT, "the connection carries a transport already");
        inUse.add(connection);
        this.#connection = connection;
        this.#owned = owned;
        this.#gaveUp = gaveUp;
        this.#listen(connection, "connectionstatechange", () => {
            // A connection that is disconnected may recover: silence decides (CC-RTC-011).
            if (connection.connectionState === "failed" || connection.connectionState === "closed") this.#lost();
        });
        // When the application closes its own connection, neither that nor its channels tell any event.
        this.#watch = setInterval(() => {
            if (connection.connectionState === "closed") this.#lost();
        }, WATCH);
        if (typeof this.#watch === "object") this.#watch.unref();
    }

    /**
     * @param {EventTarget} target
     * @param {string} type
     * @param {(event: any) => void} act
     */
    #listen(target, type, act) {
        target.addEventListener(type, act);
        this.#listening.push([target, type, act]);
    }

    /**
     * Takes a channel as a lane.
     *
     * @param {Lane} lane
     * @param {RTCDataChannel} channel
     */
    use(lane, channel) {
        this.#channels[lane] = channel;
        channel.binaryType = "arraybuffer";
        channel.bufferedAmountLowThreshold = LOW_WATER;
        this.#listen(channel, "message", ({ data }) => this.#message(lane, data));
        this.#listen(channel, "bufferedamountlow", () => this.#freed(lane));
        this.#listen(channel, "open", () => {
            if (lane === "lossy") this.#listener?.lossy(true);
        });
        this.#listen(channel, "close", () => {
            if (lane === "reliable") this.#lost();
            else this.#listener?.lossy(false);
        });
    }

    /**
     * Takes the channels that the other side opens as lanes, as they come.
     *
     * @param {(lane: Lane, channel: RTCDataChannel) => void} found
     */
    find(found) {
        this.#listen(this.#connection, "datachannel", ({ channel }) => {
            const lane = laneOf(channel);
            if (lane === null || this.#channels[lane] !== null) return;
            this.use(lane, channel);
            found(lane, channel);
        });
    }

    get lossy() {
        return this.#channels.lossy?.readyState === "open";
    }

    /** @param {TransportListener} listener */
    attach(listener) {
        this.#listener = listener;
        for (const { lane, packet } of this.#early.splice(0)) {
            if (packet === null) listener.text(lane);
            else listener.packet(lane, packet);
        }
        if (this.#down) listener.down();
    }

    /**
     * @param {Lane} lane
     * @param {string | ArrayBuffer | ArrayBufferView} data
     */
    #message(lane, data) {
        if (this.#closing || this.#down) return;
        if (typeof data === "string") {
            this.#arrived(lane, null);
            return;
        }
        const bytes = viewOf(data);
        // One byte more than the lane allows is enough to be judged PACKET_SIZE (CC-RTC-020).
        this.#arrived(lane, bytes.length > PACKET[lane] ? bytes.slice(0, PACKET[lane] + 1) : bytes);
    }

    /**
     * @param {Lane} lane
     * @param {Uint8Array | null} packet null: a text message
     */
    #arrived(lane, packet) {
        if (this.#listener !== null) {
            if (packet === null) this.#listener.text(lane);
            else this.#listener.packet(lane, packet);
            return;
        }
        this.#earlyBytes += packet?.length ?? 0;
        if (this.#earlyBytes <= EARLY) this.#early.push({ lane, packet });
        else if (lane === "reliable") this.#lost();
    }

    /** @param {Lane} lane */
    #freed(lane) {
        if (!this.#blocked[lane]) return;
        this.#blocked[lane] = false;
        this.#listener?.writable(lane);
    }

    /** @param {Lane} lane */
    ready(lane) {
        return !this.#closing && !this.#blocked[lane] && this.#channels[lane]?.readyState === "open";
    }

    /**
     * @param {Lane} lane
     * @param {Uint8Array} packet
     */
    send(lane, packet) {
        const channel = this.#channels[lane];
        if (channel === null || this.#closing) return false;
        try {
            channel.send(/** @type {Uint8Array<ArrayBuffer>} */ (packet));
        } catch {
            return false;
        }
        if (channel.bufferedAmount >= HIGH_WATER) this.#blocked[lane] = true;
        return true;
    }

    #lost() {
        if (this.#down || this.#closing) return;
        this.#down = true;
        this.#release();
        // The next transport is on another connection, or on other channels of this one (CC-RTC-014).
        if (this.#owned) this.#connection.close();
        else for (const channel of this.#both) channel.close();
        this.#gaveUp();
        this.#listener?.down();
    }

    get #both() {
        return [this.#channels.reliable, this.#channels.lossy].filter((channel) => channel !== null);
    }

    #release() {
        inUse.delete(this.#connection);
        clearInterval(this.#watch);
        for (const [target, type, act] of this.#listening.splice(0)) target.removeEventListener(type, act);
    }

    /**
     * Closes the channels, and the connection if it is owned. With drain, waits first until nothing is buffered.
     *
     * @param {boolean} drain
     */
    async close(drain) {
        if (this.#closing || this.#down) return;
        this.#closing = true;
        this.#listener = null;
        this.#release();
        const channels = this.#both;
        if (drain) await Promise.all(channels.map((channel) => drained(channel)));
        // One that was never open has nothing to tell, and may never tell that it is closed.
        const told = channels.filter(({ readyState }) => readyState !== "connecting");
        for (const channel of channels) channel.close();
        if (!this.#owned) return;
        await Promise.all(told.map((channel) => closed(channel)));
        this.#connection.close();
    }
}

/**
 * Opens the channels of a link's initiator on a connection, and gives the transport when it is up. Call it before the
 * first offer where you can: that saves a round of signalling.
 *
 * @param {RTCPeerConnection} connection
 * @param {{ lossy?: boolean, owned?: boolean, signal?: AbortSignal }} [options] owned: the connection
 * is closed with the transport, also when that is lost
 * @returns {Promise<RtcTransport>} raises TIMEOUT when the connection fails first (CC-SIG-059)
 */
export function openTransport(connection, { lossy = true, owned = false, signal } = {}) {
    const waiting = new Waiting();
    const transport = new RtcTransport(connection, owned, () => waiting.fail(Code.TIMEOUT));
    const reliable = connection.createDataChannel("reliable", { protocol: SUBPROTOCOL });
    transport.use("reliable", reliable);
    if (lossy) {
        const options = { protocol: SUBPROTOCOL, ordered: false, maxRetransmits: 0 };
        transport.use("lossy", connection.createDataChannel("lossy", options));
    }
    waiting.begin(transport, signal);
    waiting.opens(reliable);
    return waiting.promise;
}

/**
 * Waits for the channels that the initiator opens on a connection, and gives the transport when it is up. Other
 * channels are left alone. Call it before the connection is made.
 *
 * @param {RTCPeerConnection} connection
 * @param {{ owned?: boolean, signal?: AbortSignal }} [options] owned: the connection
 * is closed with the transport, also when that is lost
 * @returns {Promise<RtcTransport>} raises TIMEOUT when the connection fails first
 */
export function awaitTransport(connection, { owned = false, signal } = {}) {
    const waiting = new Waiting();
    const transport = new RtcTransport(connection, owned, () => waiting.fail(Code.TIMEOUT));
    transport.find((lane, channel) => {
        if (lane === "reliable") waiting.opens(channel);
    });
    waiting.begin(transport, signal);
    return waiting.promise;
}

/**
 * Which lane a channel of the peer is, or null for any other one (CC-RTC-004, 005).
 *
 * @param {RTCDataChannel} channel
 * @returns {Lane | null}
 */
export function laneOf({ label, protocol, ordered, maxRetransmits, maxPacketLifeTime, negotiated }) {
    const lifetime = maxPacketLifeTime ?? null;
    const retransmits = maxRetransmits ?? null;
    if (protocol !== SUBPROTOCOL || negotiated || lifetime !== null) return null;
    if (label === "reliable" && ordered && retransmits === null) return "reliable";
    return label === "lossy" && !ordered && retransmits === 0 ? "lossy" : null;
}

/** Waits until a reliable lane is open. What the signal and the connection say later is no business of it. */
class Waiting {
    /** @type {Deferred<RtcTransport>} */
    #outcome = new Deferred();
    #over = new AbortController();
    /** @type {RtcTransport | null} */
    #transport = null;

    get promise() {
        return this.#outcome.promise;
    }

    /**
     * @param {RtcTransport} transport
     * @param {AbortSignal | undefined} signal
     */
    begin(transport, signal) {
        this.#transport = transport;
        if (signal?.aborted) this.fail(Code.CANCELLED);
        signal?.addEventListener("abort", () => this.fail(Code.CANCELLED), { signal: this.#over.signal });
    }

    /** @param {RTCDataChannel} channel of the reliable lane */
    opens(channel) {
        const transport = /** @type {RtcTransport} */ (this.#transport);
        const done = () => {
            this.#over.abort();
            this.#outcome.resolve(transport);
        };
        if (channel.readyState === "open") done();
        else channel.addEventListener("open", done, { signal: this.#over.signal });
    }

    /** @param {number} code */
    fail(code) {
        if (this.#outcome.settled) return;
        this.#over.abort();
        this.#outcome.reject(new CallError(code));
        void this.#transport?.close(false);
    }
}

/** @param {RTCDataChannel} channel */
async function drained(channel) {
    const end = performance.now() + PATIENCE;
    while (channel.readyState === "open" && channel.bufferedAmount > 0 && performance.now() < end) {
        await new Promise((done) => setTimeout(done, 10));
    }
}

/** @param {RTCDataChannel} channel */
function closed(channel) {
    if (channel.readyState === "closed") return Promise.resolve();
    return new Promise((done) => {
        const timer = setTimeout(done, PATIENCE);
        channel.addEventListener(
            "close",
            () => {
                clearTimeout(timer);
                done(undefined);
            },
            { once: true },
        );
    });
}
