# SPDX-License-Identifier: Apache-2.0
"""What a relay can show of itself at any time (specification, section 7.16)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStatistics:
    """One endpoint's link."""

    identity: str
    slot: int
    bytes_queued: int
    """In the queues to this link, Reliable and Lossy."""
    bytes_unacknowledged: int
    sessions: int
    """Sessions of this endpoint that are open, or still owe something."""
    drops: Mapping[str, int]
    """Dropped Lossy frames by reason: those of this endpoint as an owner, and those for it as a recipient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayStatistics:
    """A relay as it is now. Counters begin at 0 with the relay."""

    links: tuple[LinkStatistics, ...]
    """Ascending by slot."""
    unbound_transports: int
    sessions: int
    drops: Mapping[str, int]
    """By reason, of all links that there are and were."""
    frames_forwarded: int
    """DATA frames written to recipients."""
    packets_written: int
    bytes_written: int
    internal_errors: int
    """Bugs that ended a link with INTERNAL."""
