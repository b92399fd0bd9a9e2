# SPDX-License-Identifier: Apache-2.0
"""Plans from a seed: fast, and as data, so that a failure shrinks without its seed."""

from __future__ import annotations

import random
from typing import Any

from simulator import scenes
from simulator.plan import LATENCIES, LIMIT_CHOICES, OPERATIONS, PEER_LEAVES_OUT, RATES, WAITS, Plan, Step

WEIGHTS = {
    "wait": 22,
    "open": 9,
    "send": 26,
    "stream": 3,
    "write": 5,
    "finish": 2,
    "cancel": 3,
    "recipients": 2,
    "close": 3,
    "pause": 3,
    "unpause": 2,
    "read": 3,
    "close_receiver": 2,
    "join": 2,
    "rejoin": 2,
    "ghost": 1,
    "leave": 2,
    "kill": 1,
    "kick": 1,
    "cut": 8,
    "heal": 5,
    "connect": 4,
    "overtake": 1,
    "lane": 2,
    "sleep": 2,
    "clock": 1,
    "restart": 1,
}

Theme = tuple[dict[str, int], dict[str, tuple[Any, ...]], dict[str, int]]
THEMES: dict[str, Theme] = {
    "any": ({}, {}, {}),
    "slots": (
        {"leave": 8, "join": 8, "rejoin": 8, "kill": 4, "ghost": 3, "close": 6, "close_receiver": 5},
        {"ms": (4, 15, 120, 130_000, 130_000), "confirm": ("accepted", "delivered")},
        {},
    ),
    "bulk": (
        {"send": 40, "open": 10, "pause": 8, "close": 7, "unpause": 4},
        {
            "size": (9_000, 20_000, 40_000),
            "count": (2, 5, 20),
            "lossy": (False, False, False, True),
            "channel": (0, 0, 1, 1),
            "confirm": ("accepted", "delivered"),
            "mode": ("all", "all", "all", "to", "but", "same"),
        },
        {"stall_time": 1_000_000, "delivered_deadline": 20_000_000},
    ),
    "memory": (
        {"send": 40, "open": 16, "pause": 8, "wait": 14},
        {"size": (9_000, 20_000, 40_000, 150_000), "count": (2, 5, 20), "lossy": (False, False, False, True)},
        {"window": 262_144, "send_buffer": 1_048_576, "stall_time": 5_000_000, "unacknowledged": 1_048_576},
    ),
    "streams": (
        {"stream": 12, "write": 26, "finish": 6, "cancel": 8, "pause": 6, "read": 10, "cut": 10},
        {"lossy": (False,), "size": (5, 700, 3_000, 20_000, 40_000), "latest": (False,)},
        {},
    ),
    "receipts": (
        {"pause": 9, "read": 14, "unpause": 4, "close_receiver": 7, "leave": 4, "kick": 3},
        {"lossy": (False,), "confirm": ("delivered",), "mode": ("all", "all", "to", "but", "same")},
        {"stall_time": 1_000_000},
    ),
    "resume": (
        {"cut": 16, "heal": 8, "connect": 12, "overtake": 8, "restart": 2},
        {"ms": (1, 4, 15, 30, 60, 120, 300, 1_500, 16_500)},
        {},
    ),
}
"""Weights, choices and limits that differ, so that what is rare by itself is met."""


def step(source: random.Random, theme: Theme, *, peer: bool, name: str | None = None) -> Step:
    """One operation."""
    weights, choices, _ = theme
    if name is None:
        mine = [0 if peer and it in PEER_LEAVES_OUT else weights.get(it, WEIGHTS[it]) for it in WEIGHTS]
        (name,) = source.choices(tuple(WEIGHTS), mine)
    found: Step = {"do": name}
    for label, values in OPERATIONS[name].items():
        if isinstance(values, int):
            found[label] = source.randrange(values)
            continue
        allowed = choices.get(label, values) if label != "ms" or name == "wait" else values
        if allowed is WAITS and source.random() < 0.96:
            allowed = WAITS[:-1]  # the longest is for slots that are given again, and takes longest to run
        found[label] = source.choice([item for item in allowed if label != "mode" or item in values])
    return found


def fates(source: random.Random, count: int) -> list[Any]:
    """What becomes of the first packets of a lossy lane."""
    return [source.choice(("ok", "ok", "ok", "drop", "dup", "late", 1, 20)) for _ in range(count)]


def plan(seed: int) -> Plan:
    """A plan of 3 to 12 endpoints, seldom more, or of two without a relay."""
    source = random.Random(seed)
    peer = source.random() < 0.12
    endpoints = 2 if peer else source.choice((3, 3, 3, 3, 4, 4, 4, 5, 6, 8))
    if not peer and source.random() < 0.01:
        endpoints = source.randrange(12, 30)
    title = source.choice(("any", "any", "any", "any", "slots", "bulk", "memory", "streams", "receipts", "resume"))
    theme = THEMES[title]
    limits = dict(theme[2])
    for name, values in LIMIT_CHOICES.items():
        if source.random() < 0.2:
            limits[name] = source.choice(values)
    steps: list[Step] = []
    for who in range(endpoints):
        if source.random() < 0.6:
            steps.append(step(source, theme, peer=peer, name="open") | {"who": who})
    if title == "memory":
        steps += [step(source, theme, peer=peer, name="open") | {"who": who, "mode": "all"} for who in range(endpoints)]
    length = source.choice((20, 25, 25, 30, 40, 60))
    steps += [step(source, theme, peer=peer) for _ in range(length)]
    for _ in range(source.choice((0, 0, 1, 1, 2))):
        name, scene = scenes.draw(source, endpoints=endpoints, peer=peer)
        place = source.randrange(len(steps) + 1)
        steps[place:place] = scene
        limits |= scenes.LIMITS.get(name, {})
    return Plan(
        endpoints=endpoints,
        peer=peer,
        limits=limits,
        latency=[source.choice(LATENCIES) for _ in range(source.randrange(4))],
        rate=[source.choice(RATES) for _ in range(source.randrange(4))],
        no_lossy=[who for who in range(endpoints) if source.random() < 0.1],
        paused=[who for who in range(endpoints) if source.random() < (0.12 if who or title == "any" else 0.6)],
        muted=[who for who in range(endpoints) if source.random() < 0.03],
        rated=[who for who in range(endpoints) if source.random() < 0.04],
        reconnect=source.choice((None, 10, 40, 40, 400, 3_000)),
        rejoin=source.random() < 0.8,
        fates=[fates(source, source.randrange(12)) for _ in range(endpoints)],
        steps=steps,
        reported=source.choice((64, 64, 64, 2, 1, 0)),
    )
