// SPDX-License-Identifier: Apache-2.0
/**
 * Transports without a link, at the acceptor of a peer-to-peer call: HELLO is judged here (section 9.4).
 *
 * @module
 */
import { Code } from "./errors.js";
import { Fault, decodeFrame, encodeFrame, judgePacket } from "./frames.js";
import { MS } from "./timers.js";

/** @typedef {import("./link.js").TransportId} TransportId */
/** @typedef {import("./frames.js").HelloFrame} HelloFrame */

/**
 * @typedef {object} LobbyHost
 * @property {import("./limits.js").Limits} limits
 * @property {import("./timers.js").Timers} timers
 * @property {import("./statistics.js").Drops} drops
 * @property {(identity: string | null) => boolean} admits whether a fresh link may begin, or one resume
 * @property {() => boolean} left whether the application has left: then no new link begins
 * @property {() => import("./link.js").Link | null} link the link with the peer, dead or not
 * @property {(id: TransportId, frames: Uint8Array[]) => void} close
 * @property {(id: TransportId, hello: HelloFrame, rest: Uint8Array, now: number) => void} begin a new link
 * @property {(id: TransportId, hello: HelloFrame, rest: Uint8Array, now: number) => void} resume
 */

const HELLO = 0x41;
const BYE = 0x44;

export class Lobby {
    #host;
    /** @type {Map<TransportId, { identity: string | null, timer: import("./timers.js").Timer }>} */
    #waiting = new Map();

    /** @param {LobbyHost} host */
    constructor(host) {
        this.#host = host;
    }

    /** @param {TransportId} id */
    has(id) {
        return this.#waiting.has(id);
    }

    /**
     * A transport came up (L04).
     *
     * @param {TransportId} id
     * @param {string | null} identity what signalling says of it; null: it is not admitted
     * @param {number} now
     */
    transportUp(id, identity, now) {
        const timer = this.#host.timers.timer(() => this.#refuse(id, Code.TIMEOUT)); // L13
        timer.set(now + this.#host.limits.unbound_time * MS);
        this.#waiting.set(id, { identity, timer });
    }

    /** @param {TransportId} id */
    transportDown(id) {
        this.#waiting.get(id)?.timer.clear();
        this.#waiting.delete(id);
    }

    /**
     * A packet on an unbound transport. Whatever it holds changes no link but by a good HELLO (CC-LINK-021).
     *
     * @param {TransportId} id
     * @param {import("./frames.js").Lane} lane
     * @param {Uint8Array} packet
     * @param {number} now
     */
    receive(id, lane, packet, now) {
        if (lane === "lossy") {
            this.#host.drops.record("not_active"); // L33
            return;
        }
        const wrong = judgePacket(packet, lane);
        const read = wrong ?? decodeFrame(packet, 0, lane, (type) => type === HELLO || type === BYE);
        if (read instanceof Fault) {
            this.#refuse(id, read.code); // L28, L32, L36
        } else if (read.frame.type === "BYE") {
            this.#leave(id);
            this.#host.close(id, []); // L30
        } else if (read.frame.type === "HELLO") {
            this.#judge(id, read.frame, packet.subarray(read.end), now);
        }
    }

    /**
     * Steps 3 to 7 of 9.4.
     *
     * @param {TransportId} id
     * @param {HelloFrame} hello
     * @param {Uint8Array} rest what stands behind it in its packet
     * @param {number} now
     */
    #judge(id, hello, rest, now) {
        const host = this.#host;
        const identity = this.#waiting.get(id)?.identity ?? null;
        const link = host.link();
        // CC-PEER-003; while it waits for acknowledgement, an endpoint that leaves still resumes (9.11).
        const gone = host.left() && !(hello.resume && link !== null && link.state !== "DEAD");
        if (!host.admits(identity) || gone) return this.#refuse(id, Code.NOT_ADMITTED);
        if (hello.resume) {
            const code = link === null ? Code.RESUME_UNKNOWN : link.judgeResume(hello);
            if (code === Code.NONE) {
                this.#leave(id);
                host.resume(id, hello, rest, now); // L19
                return undefined;
            }
            this.#refuse(id, code); // L20 to L23
            if (code === Code.RESUME_MISMATCH) link?.end(code, now);
            return undefined;
        }
        if (link !== null && link.state !== "DEAD") {
            if (!hello.replace || !link.madeBy(hello.token)) return this.#refuse(id, Code.CALL_FULL); // CC-PEER-003
            link.end(Code.REPLACED, now); // L17
        }
        this.#leave(id);
        host.begin(id, hello, rest, now); // L16
        return undefined;
    }

    /** @param {TransportId} id */
    #leave(id) {
        this.transportDown(id);
    }

    /**
     * @param {TransportId} id
     * @param {number} code
     */
    #refuse(id, code) {
        this.#leave(id);
        this.#host.close(id, [encodeFrame({ type: "BYE", code, text: "" })]);
    }
}
