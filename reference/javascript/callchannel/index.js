// SPDX-License-Identifier: Apache-2.0
/**
 * callchannel: data messages between the participants of an audio or video call.
 *
 * @module
 */
export { Call } from "./call.js";
export { CallEvent } from "./callevent.js";
export { CallSender, OutgoingStream } from "./sending.js";
export { CallReceiver, IncomingMessage } from "./receiving.js";
export { CallError, Code, codeName, codeRetry, codeScope } from "./errors.js";
export { safeName } from "./names.js";
export { LIMITS } from "./limits.js";
export { SUBPROTOCOL, WIRE_VERSION } from "./frames.js";
export { Signalling, SignallingError } from "./signalling.js";
export { awaitTransport, openTransport } from "./webrtc.js";

/** The version of the standard's document that this package follows (CC-VER-005): as an endpoint, in both roles. */
export const DOCUMENT_VERSION = "0.1";
/** The conformance classes that this package claims: endpoint, for group and peer-to-peer calls; codec. */
export const CONFORMANCE = Object.freeze(["endpoint", "codec"]);
