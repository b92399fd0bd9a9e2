# SPDX-License-Identifier: Apache-2.0
"""The replay window (CC-DELIV-070, 071), against a model that remembers everything."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from callchannel.core.limits import REPLAY_WINDOW
from callchannel.core.replay import ReplayWindow
from tests.core.strategies import positive

steps = st.one_of(
    st.integers(1, 3_000),
    st.integers(0xFFFF_FFFF - 2_000, 0xFFFF_FFFF),
    positive,
)


@given(st.lists(st.tuples(st.booleans(), steps), max_size=80))
def test_property_window_against_a_model(operations: list[tuple[bool, int]]) -> None:
    window, done = ReplayWindow(), set[int]()
    for is_mark, sequence in operations:
        if is_mark:
            window.mark(sequence)
            done.add(sequence)
        highest = max(done, default=0)
        assert window.highest == highest
        assert window.is_done(sequence) == (sequence <= highest - REPLAY_WINDOW or sequence in done)


@given(st.lists(st.integers(1, 2_500), max_size=150))
def test_property_nothing_is_handed_out_twice(arrivals: list[int]) -> None:
    """CC-DELIV-072."""
    window, taken = ReplayWindow(), []
    for sequence in arrivals:
        if not window.is_done(sequence):
            window.mark(sequence)
            taken.append(sequence)
    assert len(taken) == len(set(taken))


def test_example_of_the_text() -> None:
    """The table of section 7.14."""
    window = ReplayWindow()
    window.mark(5)
    assert not window.is_done(3)
    window.mark(3)
    assert window.is_done(3)
    assert not window.is_done(2_000)
    window.mark(1_030)
    assert not window.is_done(7)
    assert window.is_done(6)
    window.mark(7)
    window.mark(2_000)
    assert window.is_done(976)
    assert not window.is_done(977)


def test_nothing_is_done_at_first() -> None:
    window = ReplayWindow()
    assert not window.is_done(1)
    window.mark(REPLAY_WINDOW)
    assert not window.is_done(1)
    window.mark(REPLAY_WINDOW + 1)
    assert window.is_done(1)


def test_a_jump_over_the_whole_window_forgets_it() -> None:
    window = ReplayWindow()
    window.mark(1)
    window.mark(1 + REPLAY_WINDOW)
    assert window.is_done(1)
    assert not window.is_done(2)
    window.mark(5_000)
    window.mark(2)
    assert window.highest == 5_000
