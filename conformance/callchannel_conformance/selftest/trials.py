# SPDX-License-Identifier: Apache-2.0
"""All trials of the self-test: adapters that are defective, different, or bad, and what has to come of each."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from callchannel_conformance.selftest import bad_adapter, patched, wire_adapter
from callchannel_conformance.selftest.defects import DEFECTS
from callchannel_conformance.selftest.variants import VARIANTS
from callchannel_conformance.selftest.worker import Order

_WIRE: Final = f"{sys.executable} -m callchannel_conformance.selftest.wire_adapter"
_BAD: Final = f"{sys.executable} -m callchannel_conformance.selftest.bad_adapter"


PATCHED: Final = f"{sys.executable} -m callchannel.adapter"

AREAS_OF_PATCHES: Final = {
    "frames": ("validation", "settling", "fragments", "extensions", "codec"),
    "sessions": (
        *("sender", "sender_states", "sessions", "receiver", "receiver_states", "receiver_rows", "endings"),
        *("constancy", "lossy", "peer", "relay_sessions", "roster_endpoint", "queues", "memory", "memory_rows"),
    ),
    "fragments": ("fragments", "partials", "lossy", "receiver", "credit", "relay_limits", "relay_delivery"),
    "delivery": (
        *(
            "delivery",
            "settling",
            "credit",
            "memory",
            "memory_rows",
            "queues",
            "recipients",
            "sender",
            "lossy",
            "receiver",
        ),
        *("fragments", "roster_endpoint", "relay_delivery"),
    ),
    "scheduling": ("scheduling", "pace", "delivery", "relay_delivery"),
    "link": ("link_endpoint", "link_states", "resuming", "resume", "validation", "peer", "relay_roster"),
    "roster": (
        *("roster_endpoint", "roster_rules", "relay_slots", "relay_rules", "relay_roster", "relay"),
        *("relay_delivery", "relay_limits", "peer"),
    ),
    "relay": (
        *("relay", "relay_delivery", "relay_limits", "relay_routes", "relay_sessions", "relay_receipts"),
        *("relay_roster", "relay_slots", "constancy"),
    ),
    "peer": ("peer", "peer_roles", "peer_slots", "link_states"),
    "holes": (
        *("relay", "relay_delivery", "relay_limits", "relay_roster", "relay_sessions", "fragments", "lossy", "memory"),
        *("scheduling", "delivery", "peer", "peer_roles", "validation", "link_endpoint"),
        "receiver_rows",
    ),
    "mutants": (
        "credit",
        "fragments",
        "queues",
        "relay_delivery",
        "relay_limits",
        "relay_receipts",
        "relay_routes",
        "settling",
    ),
    "limits": (
        *("extensions", "queues", "partials", "settling", "delivery", "receiver", "lossy", "relay_limits", "resume"),
        *("validation", "sender", "endings", "roster_rules", "link_endpoint"),
    ),
}
"""Where a patch of each file has to be seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One adapter, and what has to come of it."""

    kind: str
    """`codec` (a defect of the grammar), `seeded` (of behaviour), `patched` (of shipped code), `variant` or `bad`."""
    name: str
    requirements: tuple[str, ...] = ()
    """What a defect violates."""
    want: str = ""
    """The verdict on a bad adapter."""
    among: str = ""
    """A class of result that has to be there for a bad adapter."""

    @property
    def is_defect(self) -> bool:
        """Whether it has to die."""
        return self.kind not in ("variant", "bad")


def trials() -> Iterator[Trial]:
    """All of them, in an order that stays."""
    for rule in wire_adapter.rules():
        yield Trial(kind="codec", name=f"codec-without-{rule}", requirements=(rule,))
    for name, (requirements, _) in wire_adapter.DEFECTS.items():
        yield Trial(kind="codec", name=f"codec-{name}", requirements=requirements)
    for name, defect in DEFECTS.items():
        yield Trial(kind="seeded", name=name, requirements=defect.requirements)
    for patch in patched.load():
        yield Trial(kind="patched", name=f"{patch.area}-{patch.name}", requirements=(patch.requirement,))
    for name in ("grammar", "reference", *VARIANTS):
        yield Trial(kind="variant", name=name)
    for kind, (verdict, among) in bad_adapter.EXPECTED.items():
        yield Trial(kind="bad", name=kind, want=verdict, among=among)


def order(trial: Trial, reference: str, **more: Any) -> Order:
    """What a worker has to run. *reference*: command of a good adapter with all profiles."""
    if trial.kind == "codec":
        name = trial.name.removeprefix("codec-")
        return Order(adapter=_WIRE, shared=True, first=("weaken", {"defect": name}), **{"areas": ("codec",), **more})
    if trial.kind == "seeded":
        defect = DEFECTS[trial.name]
        return Order(adapter=reference, shared=True, change=defect.change, **{"areas": defect.areas, **more})
    if trial.kind == "patched":
        # A patched program may crash or hang, so it has a process of its own.
        areas = AREAS_OF_PATCHES[trial.name.split("-", 1)[0]]
        return Order(adapter=PATCHED, shared=False, patch=trial.name, **{"areas": areas, **more})
    if trial.kind == "bad":
        adapter = f"{_BAD} {trial.name}"
        return Order(adapter=adapter, shared=False, silent=trial.name == "hang", **{"areas": ("codec",), **more})
    if trial.name == "grammar":
        return Order(adapter=_WIRE, shared=True, first=("weaken", {"defect": ""}), **more)
    return Order(adapter=reference, shared=True, change=VARIANTS.get(trial.name), **more)
