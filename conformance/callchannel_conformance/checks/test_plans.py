# SPDX-License-Identifier: Apache-2.0
"""Whole calls over a network that delays, loses and breaks, drawn as plans: the promises of section 7.17."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from callchannel_conformance.client import Client, Json
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.plans import plans
from callchannel_conformance.simulator import run_plan

_EXAMPLES = 150
_DRAWN = settings(
    max_examples=_EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,
    report_multiple_bugs=False,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)

_PROMISES = (
    "CC-MODEL-004", "CC-MODEL-006", "CC-MODEL-013", "CC-MODEL-014", "CC-SESS-030", "CC-SESS-032", "CC-DELIV-001",
    "CC-DELIV-013", "CC-DELIV-022", "CC-DELIV-035", "CC-LINK-033", "CC-LINK-048",
)  # fmt: skip


def _run(
    first: Client, call: str, deadline: float | None, other: Client | None = None, players: Json | None = None
) -> None:
    @_DRAWN
    @given(plans(call))
    def judge(plan: Json) -> None:
        if deadline is None or time.monotonic() < deadline:
            run_plan(plan if players is None else {**plan, "players": players}, first, other)

    if first.seed:
        judge = seed(first.seed)(settings(_DRAWN, derandomize=False)(judge))
    judge()


_PAIRS: dict[str, tuple[str, int, list[int]]] = {
    "peer-called": ("peer", 0, [1]),
    "peer-calling": ("peer", 1, [0]),
    "relay-for-the-other": ("group", 0, [1]),
    "at-the-others-relay": ("group", 1, [0]),
    "together-at-its-relay": ("group", 0, [0, 1]),
    "together-at-the-others": ("group", 1, [1, 0]),
}
"""The call, who plays the relay or accepting peer, and who the endpoints, in turn; 0: the first implementation."""


@pytest.mark.generated
@positive(*_PROMISES)
@negative(*_PROMISES)
def test_peer(implementation: Client, deadline: float | None) -> None:
    """An implementation with itself, peer-to-peer."""
    implementation.needs(profile="endpoint-peer")
    _run(implementation, "peer", deadline)


@pytest.mark.generated
@positive(*_PROMISES)
@negative(*_PROMISES)
def test_group(implementation: Client, deadline: float | None) -> None:
    """An implementation with itself: a relay and three endpoints."""
    implementation.needs(profile="endpoint-group")
    implementation.needs(profile="relay")
    _run(implementation, "group", deadline)


def _need(first: Client, other: Client, call: str, acceptor: int, endpoints: list[int]) -> None:
    """Each has to claim what it plays. Raises `NotApplicable`."""
    both = (first, other)
    both[acceptor].needs(profile="endpoint-peer" if call == "peer" else "relay")
    for number in endpoints:
        both[number].needs(profile="endpoint-peer" if call == "peer" else "endpoint-group")
    other.seed = first.seed


@pytest.mark.generated
@positive(*_PROMISES)
@negative(*_PROMISES)
@pytest.mark.parametrize(("call", "acceptor", "endpoints"), _PAIRS.values(), ids=_PAIRS)
def test_pair(
    implementation: Client,
    other_implementation: Client,
    deadline: float | None,
    call: str,
    acceptor: int,
    endpoints: list[int],
) -> None:
    """An implementation with another one: each in both roles, and both as endpoints of one group call."""
    _need(implementation, other_implementation, call, acceptor, endpoints)
    _run(implementation, call, deadline, other_implementation, {"acceptor": acceptor, "endpoints": endpoints})


def _opened(**options: object) -> Json:
    return {"op": "open", "who": 0, "to": None, **options}


def _sent(size: int) -> Json:
    return {"op": "send", "who": 0, "sender": 0, "size": size}


def _waited(ms: int) -> Json:
    return {"op": "wait", "ms": ms}


def _read(count: int) -> Json:
    return {"op": "read", "who": 1, "receiver": 0, "count": count}


_CUT: Json = {"op": "cut", "who": 1}
_HEAL: Json = {"op": "heal", "who": 1}


def _plan(call: str, *steps: Json, fates: list[list[int]] | None = None, **more: object) -> Json:
    return {"call": call, "members": 2 if call == "peer" else 3, "fates": fates or [], "steps": list(steps), **more}


_FIXED: dict[str, Json] = {
    "confirmed-over-a-cut": _plan(
        "group",
        _opened(confirm="delivered"),
        *(_sent(40_000), _CUT, _sent(20), _waited(2_100), _HEAL, _read(2)),
        fates=[[0, 5], [40, 40]],
    ),
    "large-through-a-small-window": _plan(
        "peer", _opened(), _sent(1_000_000), _waited(200), _read(1), limits={"window": 65_536}
    ),
    "slow-reader": _plan("group", _opened(), *[_sent(300_000)] * 3, _waited(11_000), _read(3)),
    "lossy-in-a-storm": _plan(
        "group",
        _opened(reliability="lossy"),
        *([_sent(1_200)] * 8),
        *(_CUT, _sent(20), _HEAL),
        fates=[[0, 0, 0, 0, -1, 40, 5, -1, 700], [0] * 4 + [-1, 40] * 8],
    ),
}


@positive(*_PROMISES)
@pytest.mark.parametrize("plan", _FIXED.values(), ids=_FIXED)
def test_fixed(implementation: Client, plan: Json) -> None:
    """Plans that are always run."""
    for profile in ("endpoint-peer",) if plan["call"] == "peer" else ("endpoint-group", "relay"):
        implementation.needs(profile=profile)
    if plan.get("limits"):
        implementation.needs(limit="window")
    run_plan(plan, implementation)


@positive(*_PROMISES)
@pytest.mark.parametrize(
    ("plan", "pair"),
    [
        pytest.param(plan, pair, id=f"{name}-{pair}")
        for name, plan in _FIXED.items()
        for pair, (call, *_) in _PAIRS.items()
        if call == plan["call"]
    ],
)
def test_pair_fixed(implementation: Client, other_implementation: Client, plan: Json, pair: str) -> None:
    """Plans that are always run, with two implementations."""
    call, acceptor, endpoints = _PAIRS[pair]
    _need(implementation, other_implementation, call, acceptor, endpoints)
    if plan.get("limits"):
        implementation.needs(limit="window")
        other_implementation.needs(limit="window")
    players = {"acceptor": acceptor, "endpoints": endpoints}
    run_plan({**plan, "players": players}, implementation, other_implementation)
