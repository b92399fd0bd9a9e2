// SPDX-License-Identifier: Apache-2.0
/**
 * What the driver expects of a transport, whatever carries it. A transport is handed over when it is up.
 *
 * @module
 */

/** @typedef {import("./frames.js").Lane} Lane */

/**
 * What a transport tells.
 *
 * @typedef {object} TransportListener
 * @property {(lane: Lane, packet: Uint8Array) => void} packet the bytes do not change afterwards
 * @property {(lane: Lane) => void} text a text message came, which is no packet
 * @property {(lane: Lane) => void} writable a lane takes packets again
 * @property {(open: boolean) => void} lossy this side's end of the lossy lane opened or closed
 * @property {() => void} down the reliable lane is lost, for good
 */

/**
 * @typedef {object} Transport
 * @property {boolean} lossy whether this side's end of the lossy lane is open
 * @property {(listener: TransportListener) => void} attach called once; tells first what came before
 * @property {(lane: Lane) => boolean} ready whether a lane takes a packet now
 * @property {(lane: Lane, packet: Uint8Array) => boolean} send false: it did not take the packet
 * @property {(drain: boolean) => Promise<void>} close tells nothing afterwards; with drain, delivers first what was
 * sent
 */

/** Buffered bytes from which on a lane takes no packets, and to which they have to fall (section 12.7). */
export const HIGH_WATER = 65536;
export const LOW_WATER = 32768;

export {};
