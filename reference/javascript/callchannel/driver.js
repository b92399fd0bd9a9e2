// SPDX-License-Identifier: Apache-2.0
/**
 * Moves packets between an endpoint and its transports, and lets it know the time. It decides nothing.
 *
 * @module
 */

/** @typedef {import("./endpoint.js").Endpoint} Endpoint */
/** @typedef {import("./transport.js").Transport} Transport */
/** @typedef {import("./frames.js").Lane} Lane */

/** The reliable lane comes again: what was dropped on the lossy one may have been the last before a CLOSE. */
const LANES = /** @type {const} */ (["reliable", "lossy", "reliable"]);

/** Microseconds of a clock that does not jump. */
export function clock() {
    return Math.round(performance.now() * 1000);
}

export class Driver {
    #endpoint;
    #told;
    #now;
    /** @type {Map<number, Transport>} */
    #transports = new Map();
    #next = 1;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    #timer = undefined;
    #pumping = false;
    /** Called after everything that happened. @type {() => void} */
    after = () => {};
    #stopped = false;

    /**
     * @param {Endpoint} endpoint
     * @param {(event: import("./events.js").Event) => void} told
     * @param {() => number} [now] microseconds
     */
    constructor(endpoint, told, now = clock) {
        this.#endpoint = endpoint;
        this.#told = told;
        this.#now = now;
    }

    /** The time, in microseconds. */
    get now() {
        return this.#now();
    }

    /**
     * Hands a transport over that is up.
     *
     * @param {Transport} transport
     * @param {string | null} [identity] who signalling says is at its other end; an acceptor asks
     */
    add(transport, identity) {
        const id = this.#next;
        this.#next += 1;
        this.#transports.set(id, transport);
        const about = identity === undefined ? { lossy: transport.lossy } : { lossy: transport.lossy, identity };
        this.#endpoint.transportUp(id, this.now, about);
        transport.attach({
            packet: (lane, packet) => this.#on(id, () => this.#endpoint.receive(id, lane, packet, this.now)),
            text: (lane) => this.#on(id, () => this.#endpoint.receiveText(id, lane, this.now)),
            writable: (lane) => this.#on(id, () => this.#pull(id, lane)),
            lossy: (open) => this.#on(id, () => this.#endpoint.lossyLane(id, open, this.now)),
            down: () =>
                this.#on(id, () => {
                    this.#transports.delete(id);
                    this.#endpoint.transportDown(id, this.now);
                }),
        });
        this.pump();
    }

    /**
     * @param {number} id
     * @param {() => void} act
     */
    #on(id, act) {
        if (!this.#transports.has(id)) return;
        act();
        this.pump();
    }

    /**
     * Runs a command on the endpoint, and takes what comes of it.
     *
     * @template T
     * @param {(endpoint: Endpoint, now: number) => T} command
     */
    run(command) {
        try {
            return command(this.#endpoint, this.now);
        } finally {
            this.pump();
        }
    }

    /** Takes everything that the endpoint has: packets, transports to close, events, its next deadline. */
    pump() {
        if (this.#pumping) return;
        this.#pumping = true;
        try {
            for (let busy = true; busy; ) {
                busy = false;
                for (const id of this.#endpoint.takeDirty()) {
                    for (const lane of LANES) busy = this.#pull(/** @type {number} */ (id), lane) || busy;
                }
                for (const { transport: id, drain } of this.#endpoint.takeClosing())
                    this.#close(/** @type {number} */ (id), drain);
                const events = this.#endpoint.events();
                for (const event of events) this.#told(event);
                busy ||= events.length > 0;
            }
        } finally {
            this.#pumping = false;
            this.#arm();
            this.after();
        }
    }

    /**
     * Fills a lane until it is blocked or nothing is left.
     *
     * @param {number} id
     * @param {Lane} lane
     */
    #pull(id, lane) {
        const transport = this.#transports.get(id);
        let wrote = false;
        while (transport?.ready(lane) && this.#transports.has(id)) {
            const packet = this.#endpoint.pull(id, lane, Infinity, this.now);
            if (packet === null) break;
            wrote = true;
            if (!transport.send(lane, packet)) this.#endpoint.notTaken(id, lane, this.now);
        }
        return wrote;
    }

    /**
     * @param {number} id
     * @param {boolean} drain
     */
    #close(id, drain) {
        const transport = this.#transports.get(id);
        this.#transports.delete(id);
        transport?.close(drain).catch(() => {});
    }

    #arm() {
        clearTimeout(this.#timer);
        const deadline = this.#endpoint.deadline();
        if (deadline === null || this.#stopped) return;
        const wait = Math.min(Math.max(0, deadline - this.now), 2 ** 31 * 1000 - 1000);
        this.#timer = setTimeout(
            () => {
                this.#endpoint.handleTimeout(this.now);
                this.pump();
            },
            Math.ceil(wait / 1000),
        );
        // What is left to happen when the link is dead is no reason to keep a process alive.
        if (this.#endpoint.state === "DEAD" && typeof this.#timer === "object") this.#timer.unref();
    }

    /** No timer runs any more. The endpoint's link should be dead by then. */
    stop() {
        this.#stopped = true;
        clearTimeout(this.#timer);
    }
}
