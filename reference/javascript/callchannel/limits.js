// SPDX-License-Identifier: Apache-2.0
/**
 * The limits of chapter 15: names, values, and the settings of an endpoint.
 *
 * @module
 */
import { invalid } from "./errors.js";

/**
 * Least, default and greatest value of each limit that an endpoint holds. Bytes, counts, milliseconds, or times a
 * second, as the table of section 15.1 says.
 */
export const LIMITS = Object.freeze({
    reliable_packet: limit(16384, 16384, 16384),
    lossy_packet: limit(1150, 1150, 1150),
    bundle: limit(1150, 1150, 16384),
    bundle_head: limit(128, 128, 128),
    largest_message: limit(32768, 16777216, 4294967295),
    window: limit(65536, 262144, 4294967295),
    unacknowledged: limit(65536, 1048576, 16777216),
    open_sessions: limit(16, 256, 65535),
    control_frames: limit(1000, 1000, 1000000),
    unconfirmed_messages: limit(64, 1024, 65535),
    send_buffer: limit(65536, 1048576, 1073741824),
    lossy_queue: limit(4096, 262144, 16777216),
    lossy_message: limit(65536, 65536, 65536),
    lossy_fragments: limit(128, 128, 128),
    lossy_fragment_payload: limit(512, 512, 512),
    lossy_partial_messages: limit(8, 64, 4096),
    lossy_partial_bytes: limit(65536, 1048576, 67108864),
    lossy_partial_time: limit(2000, 2000, 2000),
    lossy_words: limit(64, 64, 64),
    replay_window: limit(1024, 1024, 1024),
    receive_memory: limit(1048576, 67108864, 1099511627776),
    identifier: limit(255, 255, 255),
    ack_frames: limit(1, 16, 16),
    ack_delay: limit(0, 5, 25),
    ack_interval: limit(1000, 5000, 5000),
    silence: limit(15000, 15000, 15000),
    join_time: limit(1000, 10000, 60000),
    unbound_time: limit(1000, 10000, 60000),
    resume_window: limit(0, 30000, 600000),
    idle_close: limit(0, 120000, 86400000),
    linger: limit(500, 500, 500),
    tombstone: limit(30000, 30000, 30000),
    delivered_deadline: limit(1000, 60000, 3600000),
    leave_time: limit(0, 5000, 60000),
    high_burst: limit(4, 4, 4),
    bye_text: limit(255, 255, 255),
});

/** @typedef {keyof typeof LIMITS} LimitName */
/** @typedef {Readonly<Record<LimitName, number>>} Limits the values in force, by name (CC-LIMIT-008) */

/**
 * @param {number} least
 * @param {number} usual
 * @param {number} greatest
 */
function limit(least, usual, greatest) {
    return Object.freeze({ least, usual, greatest });
}

/**
 * The limits of an endpoint: defaults, changed by settings. Raises INVALID_ARGUMENT for an unknown name, for a value
 * outside of what the table allows (CC-LIMIT-003), and for a window or largest message above `receive_memory`
 * (CC-LIMIT-018).
 *
 * @param {Partial<Record<LimitName, number>>} [settings]
 * @returns {Limits}
 */
export function resolveLimits(settings = {}) {
    const names = /** @type {LimitName[]} */ (Object.keys(LIMITS));
    const values = /** @type {Record<LimitName, number>} */ ({});
    for (const name of names) values[name] = LIMITS[name].usual;
    for (const [name, value] of Object.entries(settings)) {
        if (!Object.hasOwn(LIMITS, name)) throw invalid(`unknown limit ${name}`);
        const { least, greatest } = LIMITS[/** @type {LimitName} */ (name)];
        if (!Number.isInteger(value) || value < least || value > greatest) {
            throw invalid(`${name} is a whole number from ${least} to ${greatest}`);
        }
        values[/** @type {LimitName} */ (name)] = value;
    }
    for (const name of /** @type {const} */ (["window", "largest_message"])) {
        if (values[name] > values.receive_memory) throw invalid(`${name} is greater than receive_memory`);
    }
    return Object.freeze(values);
}
