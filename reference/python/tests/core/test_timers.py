# SPDX-License-Identifier: Apache-2.0
"""Deadlines, against a model that sorts them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callchannel.core.timers import Callback, Timers

operations = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 5), st.integers(0, 50)),
        st.tuples(st.just("cancel"), st.integers(0, 5), st.just(0)),
        st.tuples(st.just("fire"), st.just(0), st.integers(0, 15)),
    ),
    max_size=60,
)


@given(operations)
def test_property_timers_against_a_model(steps: list[tuple[str, int, int]]) -> None:
    timers, model, now = Timers(), dict[int, tuple[int, int]](), 0
    fired: list[int] = []
    for serial, (step, name, value) in enumerate(steps):
        if step == "set":
            timers.set(name, now + value, lambda _, name=name: fired.append(name))
            model[name] = (now + value, serial)
        elif step == "cancel":
            timers.cancel(name)
            model.pop(name, None)
        else:
            now += value
            due = sorted((at, order, name) for name, (at, order) in model.items() if at <= now)
            fired.clear()
            timers.fire(now, unexpected)
            assert fired == [name for _, _, name in due]
            for *_, gone in due:
                del model[gone]
        assert len(timers) == len(model)
        assert all(name in timers for name in model)
        assert timers.deadline() == min((at for at, _ in model.values()), default=None)


def unexpected(_callback: Callback, error: Exception) -> None:
    """No callback of these tests raises."""
    raise error


def test_a_timer_gets_the_time_at_which_it_fires() -> None:
    timers, times = Timers(), list[int]()
    timers.set("late", 5, times.append)
    timers.fire(4, unexpected)
    assert times == []
    timers.fire(9, unexpected)
    assert times == [9]
    timers.fire(10, unexpected)
    assert times == [9]


def test_a_timer_that_is_set_meanwhile_waits() -> None:
    """A deadline in the past never keeps `fire` busy."""
    timers, count = Timers(), list[int]()

    def again(now: int) -> None:
        count.append(now)
        timers.set("again", now, again)

    timers.set("again", 1, again)
    timers.fire(3, unexpected)
    assert count == [3]
    assert timers.deadline() == 3
    timers.fire(3, unexpected)
    assert count == [3, 3]


def test_a_timer_may_cancel_another() -> None:
    timers, fired = Timers(), list[str]()
    timers.set("first", 1, lambda _: timers.cancel("second"))
    timers.set("second", 2, lambda _: fired.append("second"))
    timers.fire(5, unexpected)
    assert fired == []
    assert timers.deadline() is None


def test_replaced_timers_are_forgotten() -> None:
    timers = Timers()
    timers.set("kept", 5, lambda _: None)
    for at in range(10_000, 0, -1):
        timers.set("moved", at, lambda _: None)
    assert len(timers._heap) < 100
    assert timers.deadline() == 1


def test_a_callback_that_raises_costs_no_other_its_time() -> None:
    """CC-SEC-021: who has the timers is told which callback it was."""
    timers, fired, failures = Timers(), list[int](), list[tuple[Callback, str]]()

    def breaks(_now: int) -> None:
        raise ValueError("something is wrong")

    timers.set("broken", 1, breaks)
    timers.set("sound", 2, fired.append)
    timers.fire(3, lambda callback, error: failures.append((callback, str(error))))
    assert failures == [(breaks, "something is wrong")]
    assert fired == [3]
    assert timers.deadline() is None


def test_whoever_is_told_of_a_failure_may_raise() -> None:
    """As the reporter of the tests does; what was set meanwhile is kept."""
    timers = Timers()

    def breaks(_now: int) -> None:
        timers.set("next", 1, lambda _: None)
        raise ValueError("something is wrong")

    timers.set("broken", 1, breaks)
    with pytest.raises(ValueError, match="wrong"):
        timers.fire(3, unexpected)
    assert timers.deadline() == 1
