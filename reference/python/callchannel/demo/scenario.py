# SPDX-License-Identifier: Apache-2.0
"""What happens in the demonstration, as data."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Texts, an image and a file from one participant, on two channels at once: the file with normal priority, the
    rest with high priority.
    """

    title: str
    sender: str
    to: tuple[str, ...] = ()
    """Nobody named: everyone but `exclude`."""
    exclude: tuple[str, ...] = ()

    def recipients(self, everyone: tuple[str, ...]) -> tuple[str, ...]:
        """Who is to get it, of a call of `everyone`."""
        return tuple(
            name
            for name in everyone
            if name != self.sender and (name in self.to if self.to else name not in self.exclude)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """The demonstration's parts and sizes. The names that acts need are participants."""

    acts: tuple[str, ...] = ("deliver", "lossy", "cut", "leave", "return")
    """What of all this is done, in this order."""
    participants: tuple[str, ...] = ("ann", "bob", "carol", "dan", "eve")
    deliveries: tuple[Delivery, ...] = (
        Delivery(title="to everyone", sender="ann"),
        Delivery(title="to one", sender="bob", to=("carol",)),
        Delivery(title="to a set", sender="carol", to=("ann", "dan")),
        Delivery(title="to everyone but one", sender="dan", exclude=("eve",)),
    )
    loses_connection: str = "bob"
    """Whose connection is cut while a file comes to it, and one goes from it."""
    sends_to_it: str = "carol"
    leaves: str = "eve"
    sends_to_leaver: str = "ann"
    texts: int = 10
    text_interval: float = 0.2
    """Seconds from one text to the next."""
    file_bytes: int = 20_000_000
    image_side: int = 256
    """Pixels."""
    ticks: int = 200
    tick_interval: float = 0.01
    burst: int = 1_000
    """Lossy messages that are sent at once, more than a queue holds."""
    burst_bytes: int = 1_000
    cut_file_bytes: int = 4_000_000
    assembly: float = 40.0
    """Seconds that processes have to start and to join."""
    patience: float = 20.0
    """Seconds without any progress after which what is missing counts as lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """How the processes of the demonstration are started."""

    participant: tuple[str, ...] = (sys.executable, "-m", "callchannel.demo.participant")
    relay: tuple[str, ...] = (sys.executable, "-m", "callchannel.demo.relay")
    environment: dict[str, str] = field(default_factory=dict)
    """Additions to the environment."""
