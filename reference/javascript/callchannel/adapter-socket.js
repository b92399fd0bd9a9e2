// SPDX-License-Identifier: Apache-2.0
/**
 * The adapter of this implementation for the conformance suite, in a page of a browser, or wherever there are WebSockets:
 * `callchannel-conformance run --adapter ws-listen:9100` waits for `serve("ws://127.0.0.1:9100")`.
 *
 * @module
 */
import { answer, runsIn } from "./adapter-answers.js";

/**
 * Answers until the suite has no more to ask. Raises when nobody listens there.
 *
 * @param {string} address
 * @param {string} place what this runs in, for the results
 * @returns {Promise<number>} how many requests there were
 */
export function serve(address, place) {
    runsIn(place);
    return new Promise((resolve, reject) => {
        const socket = new WebSocket(address);
        let answered = 0;
        socket.addEventListener("message", ({ data }) => {
            socket.send(answer(data, (text) => console.error(text)));
            answered += 1;
        });
        socket.addEventListener("close", () => {
            if (answered > 0) resolve(answered);
            else reject(new Error(`nobody asks at ${address}`));
        });
    });
}
