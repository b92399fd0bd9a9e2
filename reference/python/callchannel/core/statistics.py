# SPDX-License-Identifier: Apache-2.0
"""The counters that an application may look at, under the names of section 7.16."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from callchannel.core.errors import DropCounter


@dataclass(slots=True)
class LinkCounters:
    """What a link counts. Lists are by lane: reliable, lossy."""

    packets_written: list[int] = field(default_factory=lambda: [0, 0])
    bytes_written: list[int] = field(default_factory=lambda: [0, 0])
    packets_received: list[int] = field(default_factory=lambda: [0, 0])
    bytes_received: list[int] = field(default_factory=lambda: [0, 0])
    frames_retransmitted: int = 0
    resumes: int = 0
    drops: DropCounter = field(default_factory=DropCounter)
    """What was dropped and belongs to no sender or receiver."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStatistics:
    """A link's counters at one moment."""

    packets_written: tuple[int, int]
    """On the reliable and on the lossy lane; so are the other pairs."""
    bytes_written: tuple[int, int]
    packets_received: tuple[int, int]
    bytes_received: tuple[int, int]
    frames_retransmitted: int
    bytes_unacknowledged: int
    resumes: int
    drops: Mapping[str, int]

    @classmethod
    def of(cls, counters: LinkCounters, unacknowledged: int) -> LinkStatistics:
        """A picture of the counters as they are now."""
        return cls(
            packets_written=(counters.packets_written[0], counters.packets_written[1]),
            bytes_written=(counters.bytes_written[0], counters.bytes_written[1]),
            packets_received=(counters.packets_received[0], counters.packets_received[1]),
            bytes_received=(counters.bytes_received[0], counters.bytes_received[1]),
            frames_retransmitted=counters.frames_retransmitted,
            bytes_unacknowledged=unacknowledged,
            resumes=counters.resumes,
            drops=dict(counters.drops.by_reason),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderStatistics:
    """A sender's counters at one moment."""

    messages_sent: int
    bytes_sent: int
    messages_confirmed: int
    messages_failed: int
    messages_waiting: int
    bytes_waiting: int
    drops: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverStatistics:
    """A receiver's counters at one moment."""

    messages_read: int
    bytes_read: int
    messages_unread: int
    bytes_buffered: int
    drops: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointStatistics:
    """An endpoint's link, and the sum over its senders and receivers, those that have ended included."""

    link: LinkStatistics
    senders_open: int
    receivers_open: int
    bytes_buffered: int
    drops: Mapping[str, int]
    """Of the link, all senders and all receivers together."""
    internal_errors: int = 0
    """Bugs of this implementation that ended a link with INTERNAL."""
