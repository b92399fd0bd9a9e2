// SPDX-License-Identifier: Apache-2.0
// Ann and Bob in a peer-to-peer call, over transports in memory.
import { Call } from "../../callchannel/call.js";
import { memoryPair } from "../../callchannel/memory.js";

/** @typedef {import("../../callchannel/receiving.js").CallReceiver} CallReceiver */

/** @param {any} [options] of both */
export async function pair(options = {}) {
    const bob = new Call({ role: "acceptor", id: "bob", peer: "ann", ...options });
    /** @type {import("../../callchannel/memory.js").MemoryTransport[]} */
    const transports = [];
    const connect = async () => {
        const [one, other] = memoryPair();
        transports.push(one);
        bob.accept(other);
        return one;
    };
    const ann = await Call.join({ role: "initiator", id: "ann", connect, random: () => 0, ...options });
    await bob.join();
    const end = async () => {
        await ann.leave();
        await bob.ended;
    };
    return { ann, bob, transports, end };
}

/** The first receiver that is there. @param {Call} call @returns {Promise<CallReceiver>} */
export async function receiver(call) {
    const { value } = await call.receivers().next();
    return /** @type {CallReceiver} */ (value);
}

/**
 * The texts that a receiver reads until it closes.
 *
 * @param {CallReceiver} from
 * @param {Promise<number>} [closing] its sender's, to be waited for
 */
export async function texts(from, closing) {
    const all = [];
    for await (const message of from) all.push(await message.text());
    await closing;
    return all;
}
