// SPDX-License-Identifier: Apache-2.0
// Joins a call over the relay that this page came from, and can cut the connection as a dead network would.
import { Call, Signalling, openTransport } from "./callchannel/index.js";
import { Tap } from "./tap.js";

/** @typedef {{ call: string, identity?: string, token?: string }} Who */

export class Connection {
    #signalling;
    #asks;
    #look;
    /** @type {RTCPeerConnection | null} */
    #current = null;
    /** @type {Call} */
    call;

    /**
     * @param {Who} who raises INVALID_ARGUMENT
     * @param {import("./tap.js").Look} look
     */
    constructor(who, look) {
        const base = new URL(".", location.href).href;
        this.#signalling = new Signalling({ base, ...who });
        this.#asks = who.token !== undefined;
        this.#look = look;
        this.call = new Call({
            role: "group",
            id: who.identity ?? "me", // with a token the relay says who this is
            connect: ({ signal }) => this.#connect(signal),
        });
    }

    /** @param {AbortSignal} signal */
    async #connect(signal) {
        const iceServers = this.#asks ? await this.#signalling.iceServers(signal) : [];
        const connection = new RTCPeerConnection({ iceServers });
        const opening = openTransport(connection, { owned: true, signal });
        opening.catch(() => {}); // told below, or by the negotiation
        try {
            await this.#signalling.negotiate(connection, signal);
            const transport = await opening;
            this.#current = connection;
            return new Tap(transport, this.#look);
        } catch (error) {
            connection.close();
            throw error;
        }
    }

    /** Closes the connection under the call, which notices and gets another one. */
    cut() {
        this.#current?.close();
    }
}
