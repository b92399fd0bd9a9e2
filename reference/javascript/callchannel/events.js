// SPDX-License-Identifier: Apache-2.0
/**
 * What an endpoint tells its application beside its calls. Each event is a frozen object with a `type` in the past
 * tense. Messages are no events: `ReceiverReadable` says once that there is something to read.
 *
 * @module
 */

/**
 * Joining is complete: senders can be opened. `largestReliable` and `largestLossy` are the largest messages that may be
 * sent, streams excepted (CC-LIMIT-009).
 *
 * @typedef {{ readonly type: "Joined", readonly slot: number, readonly id: string, readonly largestReliable: number,
 *   readonly largestLossy: number }} Joined
 */
/** @typedef {{ readonly type: "LinkSuspended" }} LinkSuspended the transport was lost, a new one may resume the link */
/** @typedef {{ readonly type: "LinkResumed" }} LinkResumed */
/**
 * @typedef {{ readonly type: "LinkEnded", readonly code: number, readonly text: string, readonly byPeer: boolean }}
 * LinkEnded told once, with why; `byPeer`: by BYE of the other side
 */
/**
 * @typedef {{ readonly slot: number, readonly id: string }} Participant
 * @typedef {{ readonly type: "ParticipantJoined", readonly participant: Participant }} ParticipantJoined
 * @typedef {{ readonly type: "ParticipantLeft", readonly participant: Participant, readonly code: number }}
 * ParticipantLeft
 * @typedef {{ readonly type: "ParticipantSuspended", readonly participant: Participant }} ParticipantSuspended
 * @typedef {{ readonly type: "ParticipantResumed", readonly participant: Participant }} ParticipantResumed
 */
/**
 * A Reliable message has all its verdicts: its send succeeded (`code` 0) or raises (CC-DELIV-001).
 *
 * @typedef {{ readonly type: "MessageSettled", readonly sender: number, readonly sequence: number, readonly code:
 * number,
 *   readonly report: import("./verdicts.js").Report }} MessageSettled
 */
/**
 * @typedef {{ readonly type: "SenderWritable", readonly sender: number }} SenderWritable after WOULD_BLOCK: there is
 * room
 */
/**
 * A recipient failed in the session: it gets no message from `value` on (CC-DELIV-025).
 *
 * @typedef {{ readonly type: "RecipientFailed", readonly sender: number, readonly participant: Participant,
 *   readonly value: number, readonly code: number, readonly uncertain: boolean }} RecipientFailed
 */
/**
 * The session failed for all, or for the peer.
 *
 * @typedef {{ readonly type: "SenderFailed", readonly sender: number, readonly participant: Participant | null,
 *   readonly value: number, readonly code: number, readonly uncertain: boolean }} SenderFailed
 */
/** @typedef {{ readonly type: "SenderEnded", readonly sender: number, readonly code: number }} SenderEnded */
/**
 * The link died; of accepted messages up to `sequence` nothing more will be heard (CC-DELIV-040).
 *
 * @typedef {{ readonly type: "CustodyLost", readonly sender: number, readonly sequence: number }} CustodyLost
 */
/**
 * @typedef {{ readonly type: "ReceiverCreated", readonly receiver: number, readonly participant: Participant,
 *   readonly channel: number, readonly session: number, readonly reliable: boolean, readonly high: boolean
 * }} ReceiverCreated
 */
/**
 * @typedef {{ readonly type: "ReceiverReadable", readonly receiver: number }} ReceiverReadable had nothing to read, and
 * now has
 */
/** @typedef {{ readonly type: "ReceiverClosed", readonly receiver: number, readonly code: number }} ReceiverClosed */
/**
 * A stream whose reading had begun was given up: its next read raises ABORTED (CC-FRAG-028).
 *
 * @typedef {{ readonly type: "StreamAborted", readonly receiver: number, readonly stream: number }} StreamAborted
 */

/**
 * @typedef {Joined | LinkSuspended | LinkResumed | LinkEnded | ParticipantJoined | ParticipantLeft
 *   | ParticipantSuspended | ParticipantResumed | MessageSettled | SenderWritable | RecipientFailed | SenderFailed
 *   | SenderEnded | CustodyLost | ReceiverCreated | ReceiverReadable | ReceiverClosed | StreamAborted} Event
 */

/** Events in the order in which they happened, until the application takes them. */
export class Events {
    /** @type {Event[]} */
    #waiting = [];

    /** @param {Event} event */
    tell(event) {
        this.#waiting.push(Object.freeze(event));
    }

    /** Takes what has been told since the last call. */
    take() {
        const taken = this.#waiting;
        this.#waiting = [];
        return taken;
    }
}
