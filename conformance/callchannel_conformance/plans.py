# SPDX-License-Identifier: Apache-2.0
"""Draws plans with Hypothesis. Every number is explicit, and every part of a plan is a plan: so they shrink well."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

Json = dict[str, Any]

_SMALL: Final = st.integers(0, 3)


def _step(op: str, **members: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries({"op": st.just(op), "who": _SMALL, **members})


_SIZES: Final = st.sampled_from([20, 100, 1_100, 1_200, 16_368, 16_369, 40_000, 300_000])

_STEPS: Final = st.one_of(
    _step(
        "open",
        reliability=st.sampled_from(["reliable", "reliable", "lossy"]),
        priority=st.sampled_from(["normal", "high"]),
        to=st.one_of(st.none(), st.lists(_SMALL, min_size=1, max_size=2)),
    ),
    _step("open", confirm=st.just("delivered"), to=st.one_of(st.none(), st.lists(_SMALL, min_size=1, max_size=2))),
    _step("send", sender=_SMALL, size=_SIZES),
    _step("send", sender=_SMALL, size=_SIZES),
    _step("send", sender=_SMALL, size=_SIZES),
    _step("read", receiver=_SMALL, count=st.integers(1, 5)),
    _step("cut"),
    _step("heal"),
    _step("hold", side=st.integers(0, 1), lane=st.sampled_from(["reliable", "lossy"])),
    _step("free", side=st.integers(0, 1), lane=st.sampled_from(["reliable", "lossy"])),
    st.fixed_dictionaries({"op": st.just("wait"), "ms": st.sampled_from([1, 30, 200, 2_100, 11_000, 16_000, 31_000])}),
    _step("cancel", message=_SMALL),
    _step("close", sender=_SMALL),
    _step("close_receiver", receiver=_SMALL),
    _step("leave"),
)

_FATES: Final = st.lists(st.sampled_from([0, 0, 0, -1, 5, 40, 700]), max_size=20)
"""Milliseconds of delay for the n-th packet of a link; -1: lost, on the lossy lane."""


def plans(call: str) -> st.SearchStrategy[Json]:
    """Plans for a call: `peer` or `group`."""
    members = 2 if call == "peer" else 3
    steps = st.lists(_STEPS, min_size=3, max_size=30)
    opened = st.just(
        [{"op": "open", "who": 0, "to": None}, {"op": "open", "who": 1, "to": None, "confirm": "delivered"}]
    )
    return st.fixed_dictionaries(
        {
            "call": st.just(call),
            "members": st.just(members),
            "steps": st.tuples(opened, steps).map(lambda parts: [*parts[0], *parts[1]]),
            "fates": st.lists(_FATES, max_size=members),
        }
    )
