# SPDX-License-Identifier: Apache-2.0
"""What happened at a relay, in the past tense."""

from __future__ import annotations

from dataclasses import dataclass

from callchannel.core.events import InternalError, Participant


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointJoined:
    """An endpoint has a slot and was told the roster."""

    participant: Participant


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointLeft:
    """An endpoint's link has ended. `code`: LEFT, LOST, or the fault that ended it (CC-ROSTER-030)."""

    participant: Participant
    code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSuspended:
    """An endpoint's transport is lost; Reliable messages for it wait."""

    participant: Participant


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointResumed:
    """A suspended endpoint is back."""

    participant: Participant


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """The relay has stopped: every link has ended. Close it when the transports have drained."""


RelayEvent = EndpointJoined | EndpointLeft | EndpointSuspended | EndpointResumed | Stopped | InternalError
