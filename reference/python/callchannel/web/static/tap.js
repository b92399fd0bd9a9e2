// SPDX-License-Identifier: Apache-2.0
// A transport around a transport, which shows every packet that passes to somebody who looks.

/** @typedef {import("./callchannel/transport.js").Transport} Transport */
/** @typedef {import("./callchannel/transport.js").TransportListener} TransportListener */
/** @typedef {import("./callchannel/frames.js").Lane} Lane */

/** @typedef {(way: "sent" | "received", lane: Lane, packet: Uint8Array) => void} Look */

/** @implements {Transport} */
export class Tap {
    #inner;
    #look;

    /** @param {Transport} inner @param {Look} look */
    constructor(inner, look) {
        this.#inner = inner;
        this.#look = look;
    }

    get lossy() {
        return this.#inner.lossy;
    }

    /** @param {TransportListener} listener */
    attach(listener) {
        this.#inner.attach({
            ...listener,
            packet: (lane, packet) => {
                this.#look("received", lane, packet);
                listener.packet(lane, packet);
            },
        });
    }

    /** @param {Lane} lane */
    ready(lane) {
        return this.#inner.ready(lane);
    }

    /** @param {Lane} lane @param {Uint8Array} packet */
    send(lane, packet) {
        const taken = this.#inner.send(lane, packet);
        if (taken) this.#look("sent", lane, packet);
        return taken;
    }

    /** @param {boolean} drain */
    close(drain) {
        return this.#inner.close(drain);
    }
}
