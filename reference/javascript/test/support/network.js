// SPDX-License-Identifier: Apache-2.0
// A network in virtual time, whose behaviour is data: what becomes of the n-th Lossy packet, and when transports are
// cut.

/** @typedef {import("../../callchannel/endpoint.js").Endpoint} Endpoint */
/** @typedef {import("../../callchannel/frames.js").Lane} Lane */
/** @typedef {"ok" | "drop" | "dup" | number} Fate of a Lossy packet; a number delays it by so many milliseconds */

export const MS = 1000;

/** Random bytes that are the same in each run. @param {number} seed @returns {(size: number) => Uint8Array} */
export function entropy(seed) {
    let state = seed >>> 0;
    return (size) =>
        Uint8Array.from({ length: size }, () => {
            state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
            return state >>> 24;
        });
}

export class Network {
    now = 1_000_000;
    /** @type {Map<string, Endpoint>} */
    endpoints = new Map();
    /** @type {Map<string, any[]>} */
    events = new Map();
    /**
     * @type {Map<string, { ends: [string, string], delay: number, lossy: boolean, up: boolean, fates: Fate[], high:
     * number }>}
     */
    transports = new Map();
    /** @type {{ at: number, turn: number, act: () => void }[]} */
    #agenda = [];
    #turn = 0;
    /**
     * Every packet in the order in which it was sent.
     *
     * @type {{ from: string, transport: string, lane: Lane, packet: Uint8Array }[]}
     */
    log = [];
    /** Called with each endpoint after anything happened to it. @type {((name: string) => void) | null} */
    watch = null;

    /** @param {string} name @param {Endpoint} endpoint */
    add(name, endpoint) {
        this.endpoints.set(name, endpoint);
        this.events.set(name, []);
        return endpoint;
    }

    /** @param {string} name @returns {Endpoint} */
    of(name) {
        return /** @type {Endpoint} */ (this.endpoints.get(name));
    }

    /**
     * Brings a transport up at both ends.
     *
     * @param {string} id
     * @param {string} one
     * @param {string} other
     * @param {{ delay?: number, lossy?: boolean, fates?: Fate[], identity?: string }} [options] delay in milliseconds
     */
    connect(id, one, other, { delay = 10, lossy = true, fates = [], identity } = {}) {
        this.transports.set(id, { ends: [one, other], delay: delay * MS, lossy, up: true, fates: [...fates], high: 0 });
        for (const name of [other, one]) {
            this.of(name).transportUp(id, this.now, identity === undefined ? { lossy } : { lossy, identity });
            this.pump(name);
        }
    }

    /** The transport is lost, with all that is on its way. @param {string} id */
    cut(id) {
        const transport = this.transports.get(id);
        if (!transport?.up) return;
        transport.up = false;
        for (const name of transport.ends) {
            this.of(name).transportDown(id, this.now);
            this.pump(name);
        }
    }

    /** Packets get lost in silence, both ways: nobody is told. @param {string} id */
    mute(id) {
        const transport = this.transports.get(id);
        if (transport) transport.up = false;
    }

    /** Takes what an endpoint has to say. @param {string} name */
    pump(name) {
        const endpoint = this.of(name);
        for (let dirty = endpoint.takeDirty(); dirty.length > 0; dirty = endpoint.takeDirty()) {
            for (const id of dirty) {
                for (const lane of /** @type {const} */ (["reliable", "lossy"])) {
                    for (
                        let packet = endpoint.pull(id, lane, 65536, this.now);
                        packet;
                        packet = endpoint.pull(id, lane, 65536, this.now)
                    ) {
                        this.#send(name, String(id), lane, packet);
                    }
                }
            }
        }
        for (const { transport: id } of endpoint.takeClosing()) {
            const transport = this.transports.get(String(id));
            if (!transport?.up) continue;
            const peer = transport.ends[0] === name ? transport.ends[1] : transport.ends[0];
            this.after(transport.delay, () => {
                transport.up = false;
                this.of(peer).transportDown(id, this.now);
                this.pump(peer);
            });
        }
        /** @type {any[]} */ (this.events.get(name)).push(...endpoint.events());
        this.watch?.(name);
    }

    /** @param {string} from @param {string} id @param {Lane} lane @param {Uint8Array} packet */
    #send(from, id, lane, packet) {
        this.log.push({ from, transport: id, lane, packet });
        const transport = this.transports.get(id);
        if (!transport?.up) return;
        const to = transport.ends[0] === from ? transport.ends[1] : transport.ends[0];
        const deliver = () => {
            if (!transport.up) return;
            this.of(to).receive(id, lane, packet.slice(), this.now);
            this.pump(to);
        };
        const fate = lane === "lossy" ? (transport.fates.shift() ?? "ok") : "ok";
        if (fate === "drop") return;
        this.after(transport.delay + (typeof fate === "number" ? fate * MS : 0), deliver);
        if (fate === "dup") this.after(transport.delay + 1, deliver);
    }

    /** @param {number} delay microseconds @param {() => void} act */
    after(delay, act) {
        this.#turn += 1;
        this.#agenda.push({ at: this.now + delay, turn: this.#turn, act });
    }

    /** One thing that is due, no later than `end`; false when there is none. @param {number} end */
    #step(end) {
        this.#agenda.sort((one, other) => one.at - other.at || one.turn - other.turn);
        const [next] = this.#agenda;
        const deadlines = [...this.endpoints].map(([name, endpoint]) => ({ name, at: endpoint.deadline() }));
        const timer = deadlines
            .filter(({ at }) => at !== null)
            .sort((one, other) => Number(one.at) - Number(other.at))[0];
        const timerAt = timer === undefined ? Infinity : Number(timer.at);
        const at = Math.min(next?.at ?? Infinity, timerAt);
        if (at > end) return false;
        this.now = Math.max(this.now, at);
        if (next !== undefined && next.at <= timerAt) {
            this.#agenda.shift();
            next.act();
        } else {
            this.of(timer.name).handleTimeout(this.now);
            this.pump(timer.name);
        }
        return true;
    }

    /** Lets time pass. @param {number} milliseconds */
    run(milliseconds) {
        const end = this.now + milliseconds * MS;
        while (this.#step(end));
        this.now = end;
    }

    /** @param {string} name @param {string} type */
    told(name, type) {
        return /** @type {any[]} */ (this.events.get(name)).filter((event) => event.type === type);
    }

    /**
     * Does something to an endpoint, and lets the network take what comes of it.
     *
     * @template T
     * @param {string} name
     * @param {(endpoint: Endpoint, now: number) => T} act
     * @returns {T}
     */
    do(name, act) {
        try {
            return act(this.of(name), this.now);
        } finally {
            this.pump(name);
        }
    }

    /** Reads everything that a receiver has. @param {string} name @param {number} receiver @returns {any[]} */
    readAll(name, receiver) {
        const messages = [];
        for (
            let message = this.do(name, (e, now) => e.read(receiver, now));
            message;
            message = this.do(name, (e, now) => e.read(receiver, now))
        ) {
            messages.push(message);
        }
        return messages;
    }
}
