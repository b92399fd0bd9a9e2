# SPDX-License-Identifier: Apache-2.0
"""Plans from Hypothesis: `@given(plan())`. Everything is drawn before a plan runs, and shrinks as data."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from simulator.generate import WEIGHTS
from simulator.plan import LATENCIES, LIMIT_CHOICES, OPERATIONS, PEER_LEAVES_OUT, RATES, Plan, Step


def _field(values: tuple[Any, ...] | int) -> st.SearchStrategy[Any]:
    return st.integers(0, values - 1) if isinstance(values, int) else st.sampled_from(tuple(dict.fromkeys(values)))


def _operation(name: str) -> st.SearchStrategy[Step]:
    fields = {label: _field(values) for label, values in OPERATIONS[name].items()}
    return st.fixed_dictionaries({"do": st.just(name), **fields})


def _steps(*, peer: bool) -> st.SearchStrategy[list[Step]]:
    names = [name for name in OPERATIONS if not (peer and name in PEER_LEAVES_OUT)]
    weighted = [_operation(name) for name in names for _ in range(1 + WEIGHTS[name] // 6)]
    return st.lists(st.one_of(weighted), min_size=1, max_size=45)


FATE = st.sampled_from(("ok", "drop", "dup", "late", 1, 20))


@st.composite
def plan(draw: st.DrawFn) -> Plan:
    """A plan of 3 to 6 endpoints and a relay, or of two peers."""
    peer = draw(st.sampled_from((False, False, False, False, False, False, True)))
    endpoints = 2 if peer else draw(st.integers(3, 6))
    who = st.lists(st.integers(0, endpoints - 1), max_size=2, unique=True)
    limits = st.fixed_dictionaries({}, optional={name: _field(values) for name, values in LIMIT_CHOICES.items()})
    return Plan(
        endpoints=endpoints,
        peer=peer,
        limits=draw(limits),
        latency=draw(st.lists(st.sampled_from(LATENCIES), max_size=3)),
        rate=draw(st.lists(st.sampled_from(tuple(dict.fromkeys(RATES))), max_size=3)),
        no_lossy=draw(who),
        paused=draw(who),
        muted=draw(st.lists(st.integers(0, endpoints - 1), max_size=1)),
        rated=draw(st.lists(st.integers(0, endpoints - 1), max_size=1)),
        reconnect=draw(st.sampled_from((40, 10, 400, 3_000, None))),
        rejoin=draw(st.booleans()),
        fates=draw(st.lists(st.lists(FATE, max_size=8), max_size=endpoints)),
        steps=draw(_steps(peer=peer)),
        reported=draw(st.sampled_from((64, 2, 0))),
    )
