// SPDX-License-Identifier: Apache-2.0
/**
 * What the adapter protocol calls the things of this package: codes, events, reports, metadata, recipients (sections 2
 * to 4 of conformance/adapter-protocol.md).
 *
 * @module
 */
import { invalid, codeName, codeScope } from "./errors.js";
import { ExtensionType, lifetimeOf } from "./extensions.js";
import { whole } from "./notation.js";

/** @typedef {import("./events.js").Event} Event */
/** @typedef {Record<string, any>} Json */

/** Names of the registered extensions in JSON, and here. */
const METADATA = /** @type {const} */ ([
    [ExtensionType.CONTENT_TYPE, "content_type", "contentType"],
    [ExtensionType.NAME, "name", "name"],
    [ExtensionType.LIFETIME, "lifetime", "lifetime"],
    [ExtensionType.APPLICATION_TIME, "time", "applicationTime"],
]);

/**
 * A code's name, or its number where it has none.
 *
 * @param {number} code
 */
export function codeWord(code) {
    return codeScope(code) === undefined ? code : codeName(code);
}

/**
 * @param {readonly import("./verdicts.js").Misfortune[]} list
 * @returns {[string, string | number][]}
 */
function misfortunes(list) {
    return list.map(({ recipient, code }) => [recipient.id, codeWord(code)]);
}

/** @param {import("./verdicts.js").Report} report */
function reportWords({ reached, failed, unknown, passed }) {
    return {
        reached: reached.map(({ id }) => id),
        failed: misfortunes(failed),
        unknown: misfortunes(unknown),
        passed_over: passed.map(({ recipient }) => recipient.id),
    };
}

/** @param {import("./events.js").Participant} participant */
function named({ id, slot }) {
    return { identity: id, slot };
}

/**
 * An event as the runner is told of it; null for one that it is not told of.
 *
 * @param {Event} event
 * @returns {Json | null}
 */
export function eventWords(event) {
    switch (event.type) {
        case "Joined":
            return { event: "joined", identity: event.id, slot: event.slot };
        case "ParticipantJoined":
            return { event: "participant_joined", ...named(event.participant) };
        case "ParticipantLeft":
            return { event: "participant_left", ...named(event.participant), code: codeWord(event.code) };
        case "ParticipantSuspended":
            return { event: "participant_suspended", ...named(event.participant) };
        case "ParticipantResumed":
            return { event: "participant_resumed", ...named(event.participant) };
        case "ReceiverCreated": {
            const { receiver, participant, channel, session, reliable, high } = event;
            const kind = { reliability: reliable ? "reliable" : "lossy", priority: high ? "high" : "normal" };
            return { event: "receiver_created", receiver, ...named(participant), channel, session, ...kind };
        }
        case "ReceiverReadable":
            return { event: "receiver_readable", receiver: event.receiver };
        case "ReceiverClosed":
            return { event: "receiver_closed", receiver: event.receiver, code: codeWord(event.code) };
        case "MessageSettled": {
            const { sender, sequence, code } = event;
            const report = reportWords(event.report);
            if (code === 0) return { event: "message_confirmed", sender, sequence, report };
            return { event: "message_failed", sender, sequence, code: codeWord(code), report };
        }
        case "SenderWritable":
            return { event: "sender_writable", sender: event.sender };
        case "RecipientFailed": {
            const { sender, participant, value: sequence, code, uncertain } = event;
            const words = { sequence, code: codeWord(code), uncertain };
            return { event: "recipient_failed", sender, ...named(participant), ...words };
        }
        case "SenderFailed":
            return { event: "sender_failed", sender: event.sender, code: codeWord(event.code) };
        case "SenderEnded":
            return { event: "sender_ended", sender: event.sender, code: codeWord(event.code) };
        case "CustodyLost":
            return { event: "custody_lost", sender: event.sender, through: event.sequence };
        case "LinkSuspended":
            return { event: "suspended" };
        case "LinkResumed":
            return { event: "resumed" };
        case "LinkEnded":
            return { event: "link_ended", code: codeWord(event.code), by_peer: event.byPeer };
        default:
            return null;
    }
}

/**
 * What a call raised.
 *
 * @param {import("./errors.js").CallError} error
 */
export function raisedWords({ code, report }) {
    const recipients = [...new Set(report?.failed.map(({ recipient }) => recipient.id) ?? [])];
    return { code: codeWord(code), ...(recipients.length > 0 && { recipients }) };
}

/**
 * The recipients that a request names; undefined where it says nothing.
 *
 * @param {Json} request
 * @returns {import("./outgoing.js").Recipients | undefined}
 */
export function recipientsOf({ to = null, exclude = null }) {
    if (to !== null && to.length > 0 && exclude !== null && exclude.length > 0) throw invalid("to and exclude");
    if (to !== null && to.length > 0) return { only: to };
    if (exclude !== null) return { except: exclude };
    return to === null ? undefined : "everyone";
}

/**
 * What a request gives a message beside its bytes. Raises INVALID_ARGUMENT.
 *
 * @param {Json} request
 * @returns {import("./sender.js").SendOptions}
 */
export function optionsOf(request) {
    const metadata = request.metadata ?? {};
    /** @type {Json} */
    const options = { recipients: recipientsOf(request) };
    for (const [, word, option] of METADATA) {
        if (metadata[word] !== undefined && metadata[word] !== null) options[option] = metadata[word];
    }
    options.applicationTime = whole(options.applicationTime);
    options.mustUnderstand = (metadata.must_understand ?? []).map((/** @type {number} */ type) => {
        const known = METADATA.find(([number]) => number === type);
        return known === undefined ? String(type) : known[2];
    });
    return options;
}

/**
 * What a message brought beside its bytes.
 *
 * @param {import("./extensions.js").ReceivedExtensions} received
 */
export function metadataWords({ contentType, name, applicationTime, extensions }) {
    const lifetime = lifetimeOf(extensions);
    const must = extensions.filter(({ mustUnderstand }) => mustUnderstand).map(({ type }) => type);
    return {
        ...(contentType !== undefined && { content_type: contentType }),
        ...(name !== undefined && { name }),
        ...(lifetime !== undefined && { lifetime }),
        ...(applicationTime !== undefined && { time: applicationTime }),
        ...(must.length > 0 && { must_understand: must }),
    };
}
