# SPDX-License-Identifier: Apache-2.0
"""What the parts of a relay share: one call. It has no behaviour of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from callchannel.core.errors import DropCounter
from callchannel.core.events import Participant
from callchannel.core.frames import Data
from callchannel.core.limits import Limits
from callchannel.core.timers import Timers

if TYPE_CHECKING:
    from callchannel.core.relay.broadcasting import Broadcaster
    from callchannel.core.relay.custody import Run
    from callchannel.core.relay.downlink import Downlink
    from callchannel.core.relay.membership import Member, Membership
    from callchannel.core.relay.port import Port
    from callchannel.core.relay.uplink import Uplink

Policy = Callable[[Participant, Data], bool]
"""Whether a message may go to its recipients. Asked with its first frame; for Lossy with every frame."""


class Call:
    """The state that several parts of a relay need."""

    __slots__ = (
        "_serial",
        "broadcaster",
        "doomed",
        "downlinks",
        "drops",
        "limits",
        "membership",
        "now",
        "policy",
        "runs",
        "stopping",
        "timers",
        "uplinks",
    )

    def __init__(
        self, limits: Limits, timers: Timers, membership: Membership, broadcaster: Broadcaster, policy: Policy | None
    ) -> None:
        self.limits = limits
        self.timers = timers
        self.membership = membership
        self.broadcaster = broadcaster
        self.policy = policy
        self.downlinks: dict[int, Downlink] = {}
        """By slot, of those in the call."""
        self.uplinks: dict[Member, Uplink] = {}
        """Of those in the call, and of those gone whose data is still on its way."""
        self.doomed: dict[Port, tuple[int, str]] = {}
        """Links that are to end when the present input has been dealt with."""
        self.drops = DropCounter()
        """What was dropped of links that are no more, or that never were."""
        self.runs: dict[int, Run] = {}
        """What links were written in the present turn, by the identity of the first item. Emptied at each input and
        turn, so that nothing is kept that was delivered (CC-SEC-025)."""
        self.stopping = False
        self.now = 0
        self._serial = 0

    def next_serial(self) -> int:
        """A number greater than every one before."""
        self._serial += 1
        return self._serial
