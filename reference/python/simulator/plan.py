# SPDX-License-Identifier: Apache-2.0
"""Plans: everything that happens in a simulated call, as pure data.

A plan is a JSON object. Its `steps` are operations; they name endpoints, senders, messages and receivers by index
modulo what is alive, so that every part of a plan is a plan. `fates` say what becomes of the n-th packet on the lossy
lane of an endpoint: "ok", "drop", "dup", "late" (delayed and doubled), or milliseconds of delay. Past the end of a
list all is clean. Nothing is drawn while a plan runs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Step = dict[str, Any]

SIZES = (0, 5, 40, 700, 1_200, 3_000, 9_000, 20_000, 40_000, 70_000, 150_000)
"""Payload sizes that a step chooses from; Lossy ones are held to 65,536."""
WAITS = (1, 4, 15, 30, 60, 120, 300, 700, 1_500, 2_600, 5_200, 9_000, 16_500, 130_000)
"""Milliseconds that a `wait` chooses from."""
CUTS = ("closed", "near", "far", "up", "down", "both", "block", "late")
"""`closed`: both ends are told. `near`, `far`: only the endpoint, only the other side is told; nothing passes. `up`,
`down`, `both`: packets of a direction stop, and nobody is told. `block`: neither end takes packets to write. `late`:
the reliable lane stops in both directions, the lossy one does not."""
PAST = (False,) * 15 + (True,)
"""Whether a sender, or a stream, is meant that has ended, if there is one."""
CONFIRMS = ("accepted", "accepted", "delivered")
LATENCIES = (0, 1, 3, 8, 25, 90)
RATES = (0, 0, 0, 20, 60, 200)
"""Bytes a millisecond that a direction carries; 0: any number."""

OPERATIONS: dict[str, dict[str, tuple[Any, ...] | int]] = {
    "wait": {"ms": WAITS},
    "open": {
        "who": 64,
        "channel": (0, 0, 0, 1, 2, 3, 13),
        "lossy": (False, False, True),
        "high": (False, True),
        "mode": ("all", "all", "to", "but"),
        "mask": 256,
        "confirm": CONFIRMS,
        "latest": (False, False, True),
        "bitrate": (0, 0, 0, 0, 400_000, 1_600_000),
    },
    "send": {
        "who": 64,
        "sender": 16,
        "size": SIZES,
        "count": (1, 1, 1, 2, 5, 20),
        "mode": ("same", "same", "same", "all", "to", "but"),
        "mask": 256,
        "lifetime": (0, 0, 0, 40),
        "past": PAST,
    },
    "stream": {"who": 64, "sender": 16},
    "write": {"who": 64, "sender": 16, "size": SIZES, "count": (1, 1, 3, 6), "past": PAST},
    "finish": {"who": 64, "sender": 16, "past": PAST},
    "cancel": {"who": 64, "sender": 16, "back": (0, 0, 1, 3, 9), "past": PAST},
    "recipients": {"who": 64, "sender": 16, "mode": ("all", "to", "but"), "mask": 256},
    "close": {"who": 64, "sender": 16, "past": PAST},
    "pause": {"who": 64},
    "unpause": {"who": 64},
    "read": {"who": 64, "receiver": 16, "count": (1, 1, 2, 5)},
    "close_receiver": {"who": 64, "receiver": 16, "read": (0, 0, 1, 2)},
    "join": {"eager": (False, True)},
    "rejoin": {"who": 64, "eager": (False, True)},
    "ghost": {"who": 64, "replace": (True, True, False)},
    "leave": {"who": 64},
    "kill": {"who": 64, "silent": (False, True)},
    "kick": {"who": 64},
    "cut": {"who": 64, "how": CUTS, "newest": (False, False, True)},
    "heal": {"who": 64},
    "connect": {"who": 64, "lossy": (True, True, False)},
    "overtake": {"who": 64, "ms": WAITS[3:7], "down": (False, False, True)},
    "lane": {"who": 64, "open": (False, True), "end": (0, 1, 2)},
    "sleep": {"who": 64, "ms": WAITS[2:13], "hub": (False, False, False, False, True)},
    "clock": {"who": 64, "ms": (1, 30, 600, 2_500, 16_000), "hub": (False, False, False, True)},
    "restart": {"how": ("closed", "silent", "stop")},
}
"""Every operation with its fields: a number n means 0 to n - 1, a tuple is a choice."""

FAULTS = frozenset(
    {
        "cut",
        "overtake",
        "kill",
        "kick",
        "restart",
        "sleep",
        "clock",
        "lane",
        "ghost",
        "pause",
        "close_receiver",
        "cancel",
        "leave",
    }
)
"""Operations that count as faults; so does each fate but "ok"."""

PEER_LEAVES_OUT = frozenset({"join", "rejoin", "ghost", "kick", "restart"})
"""Operations that a peer-to-peer plan has not."""

DEFAULT_LIMITS = {
    "window": 65_536,
    "unacknowledged": 65_536,
    "send_buffer": 65_536,
    "largest_message": 200_000,
    "receive_memory": 1_048_576,
    "relay_link_memory": 1_048_576,
    "lossy_queue": 65_536,
    "lossy_partial_messages": 8,
    "lossy_partial_bytes": 65_536,
    "unconfirmed_messages": 64,
    "resume_window": 4_000_000,
    "delivered_deadline": 3_000_000,
    "stall_time": 1_000_000,
    "leave_time": 2_000_000,
    "relay_drain_time": 2_000_000,
    "idle_close": 6_000_000,
    "new_sessions": 20,
}
"""Limits of all machines, but for what a plan says: small ones, so that they matter. Times are microseconds."""

LIMIT_CHOICES: dict[str, tuple[int, ...]] = {
    "ack_frames": (1, 4, 16),
    "ack_delay": (0, 25_000),
    "roster_batch": (0, 50_000),
    "open_sessions": (16, 256),
    "resume_window": (0, 4_000_000, 20_000_000),
    "idle_close": (0, 1_500_000, 6_000_000),
    "window": (65_536, 262_144),
    "unacknowledged": (65_536, 200_000, 1_048_576),
    "receive_memory": (1_048_576, 16_777_216),
    "stall_time": (1_000_000, 5_000_000),
    "delivered_deadline": (1_000_000, 20_000_000),
    "lossy_queue": (4_096, 65_536),
    "bundle": (1_150, 16_384),
}
"""Values that a plan may give to a limit instead of the default."""


@dataclass
class Plan:
    """One call. Its parts are JSON: numbers, words, lists and objects."""

    endpoints: int = 3
    """Who is there from the beginning; they have joined before the first step."""
    peer: bool = False
    """Two endpoints without a relay."""
    limits: dict[str, int] = field(default_factory=dict)
    latency: list[int] = field(default_factory=list)
    """Milliseconds, by endpoint, modulo; none: 3."""
    rate: list[int] = field(default_factory=list)
    """Bytes a millisecond, by endpoint, modulo; none or 0: as many as there are."""
    no_lossy: list[int] = field(default_factory=list)
    """Endpoints whose transports have no lossy lane."""
    paused: list[int] = field(default_factory=list)
    """Endpoints whose applications read only when a step says so."""
    muted: list[int] = field(default_factory=list)
    """Endpoints that may not send."""
    rated: list[int] = field(default_factory=list)
    """Endpoints that the relay admits with a rate of 200,000 bytes a second."""
    reported: int = 64
    """For how many recipients of a message the relay passes receipts on one by one (`recipients_reported`). The
    standard has one value; with a smaller one the few endpoints of a plan show what the many of a large call would."""
    reconnect: int | None = 40
    """Milliseconds until an application that finds its link suspended connects anew; None: steps do it."""
    rejoin: bool = True
    """Whether an application joins anew when its link was lost."""
    fates: list[list[Any]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The plan without what is as by default."""
        blank = Plan()
        return {name: value for name, value in vars(self).items() if value != getattr(blank, name)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Plan:
        """The plan of an object as `as_json` gives it. Raises `TypeError` for unknown names."""
        return cls(**data)

    @property
    def faults(self) -> int:
        """How many faults it has."""
        steps = [step for step in self.steps if step["do"] in FAULTS]
        return len(steps) + sum(len(fates) - fates.count("ok") for fates in self.fates)


def save(plan: Plan, path: Path, *, why: str) -> None:
    """Keep a plan as a file that `load` reads. `why`: what it showed."""
    steps = ",\n".join(f"  {json.dumps(step)}" for step in plan.steps)
    head = {name: value for name, value in plan.as_json().items() if name != "steps"}
    text = json.dumps({"why": why, **head}, indent=1)
    path.write_text(f'{text[:-2]},\n "steps": [\n{steps}\n ]\n}}\n')


def load(path: Path) -> Plan:
    """A plan of a file."""
    data = json.loads(path.read_text())
    data.pop("why", None)
    return Plan.from_json(data)
