# SPDX-License-Identifier: Apache-2.0
"""Short words for checks of a relay: a call of four, and what its members get."""

from __future__ import annotations

from typing import Any

from callchannel_conformance import standard
from callchannel_conformance.bench.far import Far
from callchannel_conformance.bench.links import Initiator, member, settle
from callchannel_conformance.bench.machine import Bench, Machine

NAMES = ("ann", "bob", "carol", "dan")


def call(bench: Bench, count: int = 4, **options: Any) -> tuple[Machine, list[Initiator]]:
    """A relay with ann 0, bob 1, carol 2 and dan 3, at epoch 4, everything acknowledged."""
    relay = bench.relay(**options)
    members = []
    for name in NAMES[:count]:
        members.append(member(relay, name))
        bench.advance(60)
    settle(*members)
    for far in members:
        far.epoch = count
        far.take()
    relay.take()
    return relay, members


def crowd(bench: Bench, count: int) -> tuple[Initiator, list[Initiator]]:
    """A relay with an owner in slot 0 and so many others behind, everything acknowledged."""
    relay = bench.relay()
    owner = member(relay, "ann")
    others = [member(relay, f"m{number}") for number in range(count)]
    bench.advance(60)
    settle(owner, *others)
    owner.take()
    return owner, others


def code_of(name: str) -> int:
    """An error code by its name."""
    return standard.codes()[name]


def data(far: Far) -> list[tuple[int, int, str]]:
    """Session, sequence and payload of the DATA that came; takes all."""
    return [(d["session"], d["sequence"], d["payload"]) for d in far.take("DATA")]


def limit_of(bench: Bench, relay: Machine, name: str) -> int:
    """A limit of the relay under test, in the standard's unit."""
    chosen = (relay.options.get("limits") or {}).get(name)
    if chosen is not None:
        return int(chosen)
    value = bench.client.hello().limits.get(name, {}).get("value")
    return int(value if value is not None else standard.limits()[name]["default"])
