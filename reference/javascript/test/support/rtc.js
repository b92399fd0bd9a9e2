// SPDX-License-Identifier: Apache-2.0
// Connections and data channels that behave as WebRTC's do, as far as callchannel can see.

export class FakeChannel extends EventTarget {
    readyState = "connecting";
    bufferedAmount = 0;
    bufferedAmountLowThreshold = 0;
    binaryType = "blob";
    maxPacketLifeTime = null;
    negotiated = false;
    /** @type {FakeChannel | null} */
    peer = null;
    /** @type {any[]} */
    sent = [];
    broken = false;
    /** Whether what is sent stays in the buffer. */
    stuck = false;

    /** @param {string} label @param {any} [options] */
    constructor(label, { protocol = "", ordered = true, maxRetransmits = null } = {}) {
        super();
        Object.assign(this, { label, protocol, ordered, maxRetransmits });
    }

    open() {
        this.readyState = "open";
        this.dispatchEvent(new Event("open"));
    }

    /** @param {any} data */
    send(data) {
        if (this.broken || this.readyState !== "open") throw new Error("OperationError");
        this.sent.push(data);
        if (this.stuck) this.bufferedAmount += data.length;
        else this.peer?.arrive(data.slice().buffer);
    }

    /** @param {any} data */
    arrive(data) {
        this.dispatchEvent(Object.assign(new Event("message"), { data }));
    }

    /** @param {number} amount */
    drainTo(amount) {
        this.bufferedAmount = amount;
        if (amount <= this.bufferedAmountLowThreshold) this.dispatchEvent(new Event("bufferedamountlow"));
    }

    close() {
        if (this.readyState === "closed") return;
        this.readyState = "closed";
        this.dispatchEvent(new Event("close"));
        this.peer?.close();
    }
}

export class FakeConnection extends EventTarget {
    connectionState = "new";
    iceGatheringState = "complete";
    /** @type {FakeChannel[]} */
    channels = [];
    localDescription = { type: "offer", sdp: "v=0 offer" };
    /** @type {any} */
    remoteDescription = null;
    closed = false;
    /** @type {FakeConnection | null} */
    peer = null;

    /** @param {string} label @param {any} options */
    createDataChannel(label, options) {
        const channel = new FakeChannel(label, options);
        this.channels.push(channel);
        return channel;
    }

    async setLocalDescription() {}

    /** @param {any} description */
    async setRemoteDescription(description) {
        this.remoteDescription = description;
    }

    /** @param {string} state */
    become(state) {
        this.connectionState = state;
        this.dispatchEvent(new Event("connectionstatechange"));
    }

    close() {
        this.closed = true;
    }

    /** Opens the channels that this side created, at both ends. @param {FakeConnection} other */
    meet(other) {
        for (const channel of this.channels) {
            const { label, protocol, ordered, maxRetransmits } = /** @type {any} */ (channel);
            const twin = new FakeChannel(label, { protocol, ordered, maxRetransmits });
            channel.peer = twin;
            twin.peer = channel;
            twin.readyState = "open";
            other.dispatchEvent(Object.assign(new Event("datachannel"), { channel: twin }));
            channel.open();
        }
    }
}
