// SPDX-License-Identifier: Apache-2.0
/**
 * Judges the arguments of a send (row S05 of section 5.13), and makes the message.
 *
 * @module
 */
import { CallError, Code, invalid } from "./errors.js";
import { MS } from "./timers.js";
import { lifetimeOf, makeExtensions } from "./extensions.js";
import { Audience, Outgoing, resolve } from "./outgoing.js";

/** @typedef {import("./sender.js").SenderOptions} SenderOptions */
/** @typedef {import("./sender.js").SendOptions} SendOptions */

/**
 * Makes the message of a send, or raises.
 *
 * @param {object} about
 * @param {number} about.sequence that it is going to have
 * @param {Uint8Array | null} about.payload null: a stream
 * @param {SendOptions} about.options of this message
 * @param {Audience} about.audience that of the sender
 * @param {SenderOptions} about.sender options of the sender
 * @param {import("./sender.js").SenderHost} about.host
 * @param {ReadonlyMap<import("./roster.js").Occupant, number>} about.barred who failed in the session
 * @param {number} now
 */
export function makeMessage({ sequence, payload, options, audience: usual, sender, host, barred }, now) {
    const { reliable, delivered, latest } = sender;
    if (payload === null && !reliable) throw invalid("a Lossy message is no stream");
    if (payload !== null && !(payload instanceof Uint8Array)) throw invalid("a message is bytes");
    if (options.timeout !== undefined && !(options.timeout > 0)) throw invalid("timeout");
    if (options.timeout !== undefined && !reliable) throw invalid("a Lossy message has no timeout");
    const extensions = makeExtensions(options, reliable);
    const audience = options.recipients === undefined ? usual : new Audience(options.recipients);
    const message = new Outgoing(sequence, payload, audience, extensions, now);
    message.whole = latest;
    if (!reliable) message.lifetime = (lifetimeOf(extensions) ?? Infinity) * MS;
    if (message.left > (reliable ? host.largestReliable : host.largestLossy))
        throw new CallError(Code.MESSAGE_TOO_LARGE);
    if (audience.kind === "only") name(message, reliable, host.roster, barred);
    const { outcome } = message.addressed(host.roster, barred, reliable, delivered);
    if (outcome === "failed" && reliable) throw new CallError(Code.RECIPIENT_FAILED); // CC-DELIV-030
    if (outcome === "large") throw new CallError(Code.TOO_MANY_RECIPIENTS);
    if (!message.fits(reliable)) {
        if (latest) throw new CallError(Code.MESSAGE_TOO_LARGE); // CC-DELIV-073
        throw invalid("the extensions do not fit a frame");
    }
    return message;
}

/**
 * Resolves the identifiers that a message is for. A Lossy one passes over those that nobody has (CC-ROSTER-040).
 *
 * @param {Outgoing} message
 * @param {boolean} reliable
 * @param {import("./roster.js").Roster} roster
 * @param {ReadonlyMap<import("./roster.js").Occupant, number>} barred
 */
function name(message, reliable, roster, barred) {
    const { audience } = message;
    if (reliable) {
        message.named = resolve(audience, roster, barred);
        return;
    }
    const found = audience.ids.map((id) => roster.named(id));
    message.named = new Set(found.flat());
    message.missing = found.filter((endpoints) => endpoints.length === 0).length;
}
