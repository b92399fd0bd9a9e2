# SPDX-License-Identifier: Apache-2.0
"""What a sender session is told and tells: options, states, outcomes, and its host."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from callchannel.core import frames, limits
from callchannel.core.errors import (
    Report,
)
from callchannel.core.events import Event
from callchannel.core.link import Link
from callchannel.core.messages import Confirm, Priority, Reliability
from callchannel.core.roster import RosterView

if TYPE_CHECKING:
    from callchannel.core.sender_queue import SenderQueue


class SenderState(enum.Enum):
    """States of a sender session; the table of chapter 5 has all transitions."""

    OPEN = "OPEN"
    PARTIAL = "PARTIAL"
    """The first fragment of the current message was written, its last was not."""
    CLOSING = "CLOSING"
    ENDED = "ENDED"


class CancelOutcome(enum.Enum):
    """What `cancel` found."""

    REMOVED = "removed"
    """Nothing of it was written: nobody gets it."""
    ABORTED = "aborted"
    """Half of it was written: it is given up, nobody gets it."""
    UNKNOWN = "unknown"
    """All of it was written: it may arrive."""
    SETTLED = "settled"
    """It had its outcome already; its event was or will be handed out."""


class Cancelled(NamedTuple):
    """The answer of `cancel`. No event follows for the message unless the outcome is SETTLED."""

    outcome: CancelOutcome
    report: Report | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderOptions:
    """What stays the same for the life of a sender."""

    channel: int
    reliability: Reliability = Reliability.RELIABLE
    priority: Priority = Priority.NORMAL
    confirm: Confirm = Confirm.ACCEPTED
    latest: bool = False
    bitrate: int | None = None
    """Wished bits per second."""

    @property
    def flags(self) -> int:
        """The DATA flags that all frames of the session share."""
        return (
            (frames.RELIABLE if self.reliability is Reliability.RELIABLE else 0)
            | (frames.HIGH if self.priority is Priority.HIGH else 0)
            | (frames.CONFIRM if self.confirm is Confirm.DELIVERED else 0)
            | (frames.LATEST if self.latest else 0)
        )


class SenderHost(Protocol):
    """What a sender session needs of its endpoint."""

    link: Link
    roster: RosterView
    limits: limits.Limits

    @property
    def peer_to_peer(self) -> bool:
        """Whether the one other endpoint is the next hop."""

    def allot_session(self, sender: SenderQueue) -> int:
        """The next session number of the link."""

    def must_wait(self, sender: SenderQueue) -> bool:
        """Whether an older sender on the channel has something to write and no session number yet."""

    def emit(self, event: Event) -> None:
        """Tell the application."""

    def schedule(self, sender: SenderQueue) -> None:
        """Let the session write when it is its turn."""

    def rest(self, sender: SenderQueue) -> None:
        """A Reliable session has nothing to write at the moment."""

    def schedule_close(self, sender: SenderQueue) -> None:
        """Let `write_close` be called when it is its turn on the reliable lane."""

    def wake_at(self, sender: SenderQueue, at: int) -> None:
        """Schedule the session at a time."""

    def watch_receipts(self, sender: SenderQueue, at: int) -> None:
        """Call `expire` at a time."""

    def sender_ended(self, sender: SenderQueue) -> None:
        """The session has ended: its channel is free."""
