# SPDX-License-Identifier: Apache-2.0
"""What happened, in the past tense (specification, chapters 5, 7, 9). Messages are no events: see `Endpoint.read`."""

from __future__ import annotations

from dataclasses import dataclass

from callchannel.core.errors import Report
from callchannel.core.messages import Priority, Reliability


@dataclass(frozen=True, slots=True)
class Participant:
    """One endpoint of the call. Two devices of a participant share the identity, not the slot."""

    identity: str
    slot: int
    is_self: bool = False
    suspended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """The call was joined: the roster is complete, senders may send."""

    identity: str
    slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantJoined:
    """Somebody is in the call (also for each one who was there before)."""

    participant: Participant


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantLeft:
    """Somebody has left; `code` is LEFT or LOST."""

    participant: Participant
    code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantSuspended:
    """Somebody's transport is down; what is sent to them waits."""

    participant: Participant


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantResumed:
    """Somebody's transport is back."""

    participant: Participant


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverCreated:
    """Somebody's session reached this endpoint. Read with `Endpoint.read(receiver, now)`."""

    receiver: int
    channel: int
    session: int
    sender: Participant
    reliability: Reliability
    priority: Priority


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverReadable:
    """A receiver that had nothing to read has something. Read until None comes."""

    receiver: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverClosed:
    """A receiver has ended and everything was read. `code` says why; NONE: its sender closed."""

    receiver: int
    code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagesConfirmed:
    """The next hop has custody of every message up to `through` for which nothing else was reported."""

    sender: int
    through: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageConfirmed:
    """One message reached its confirm point for every recipient, and there is something to say of it.

    Always with confirm = delivered; with accepted only where failed endpoints were passed over (`report.passed_over`).
    """

    sender: int
    sequence: int
    report: Report


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFailed:
    """A message did not reach everyone. `code` is the first reason, `report` has all."""

    sender: int
    sequence: int
    code: int
    report: Report
    refused: bool = False
    """Whether the relay refused it: nobody got it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientFailed:
    """A recipient takes no more messages of this session: from `sequence` on it got none.

    `uncertain`: it may have got some of them, from `sequence` on. Open a new sender to reach it again.
    """

    sender: int
    participant: Participant
    sequence: int
    code: int
    uncertain: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderWritable:
    """A sender whose `send` raised WouldBlock has room again."""

    sender: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderFailed:
    """The relay or the peer ended the session: nothing more can be sent. `SenderEnded` follows when all is settled."""

    sender: int
    code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderEnded:
    """A sender has ended: everything is settled. `code` NONE: it was closed by its application."""

    sender: int
    code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodyLost:
    """The link died: whether messages accepted earlier, up to `through`, arrived is not known."""

    sender: int
    through: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspended:
    """The transport is down. Reliable messages wait, Lossy ones are dropped, until `Resumed` or `LinkEnded`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """The link goes on over a new transport; nothing was lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkEnded:
    """The link is over. `code` NONE: this endpoint left. No more events of senders or participants follow."""

    code: int
    reason: str
    by_peer: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class InternalError:
    """A bug of this implementation showed while a link was served; that link ended with INTERNAL (CC-SEC-021)."""

    error: Exception
    """What was raised, with its traceback: for a log and a report of the bug."""


Event = (
    Joined
    | ParticipantJoined
    | ParticipantLeft
    | ParticipantSuspended
    | ParticipantResumed
    | ReceiverCreated
    | ReceiverReadable
    | ReceiverClosed
    | MessagesConfirmed
    | MessageConfirmed
    | MessageFailed
    | RecipientFailed
    | SenderWritable
    | SenderFailed
    | SenderEnded
    | CustodyLost
    | Suspended
    | Resumed
    | LinkEnded
    | InternalError
)
