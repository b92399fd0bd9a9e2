# SPDX-License-Identifier: Apache-2.0
import asyncio
import gc
from typing import Any

import pytest

from callchannel.aio.notices import EVENTS_KEPT, EventsMissed, Notifier
from callchannel.core.errors import InvalidArgument


def notifier(failures: list[Exception] | None = None) -> Notifier[Any]:
    return Notifier(lambda _, exc: (failures if failures is not None else []).append(exc))


async def test_each_iterator_has_all_events_from_its_making_on() -> None:
    source = notifier()
    source.notify("before")
    first, second = source.stream(), source.stream()
    waiting = asyncio.create_task(anext(first))
    await asyncio.sleep(0)
    source.notify("a")
    source.notify("b")
    source.end()
    assert await waiting == "a"
    assert [event async for event in first] == ["b"]
    assert [event async for event in second] == ["a", "b"]
    assert [event async for event in source.stream()] == []


async def test_a_slow_consumer_loses_the_oldest_and_is_told() -> None:
    source = notifier()
    stream = source.stream()
    for number in range(EVENTS_KEPT + 5):
        source.notify(number)
    source.notify("end")
    source.end()
    events = [event async for event in stream]
    assert events[0] == EventsMissed(count=6)
    assert events[1:] == [*range(6, EVENTS_KEPT + 5), "end"]


async def test_the_end_wakes_who_waits() -> None:
    source = notifier()
    waiting = [asyncio.create_task(anext(source.stream(), "over")) for _ in range(3)]
    await asyncio.sleep(0)
    source.end()
    assert await asyncio.gather(*waiting) == ["over"] * 3


async def test_closing_an_iterator_drops_what_it_has() -> None:
    source = notifier()
    stream = source.stream()
    source.notify("a")
    stream.close()
    source.notify("b")
    assert [event async for event in stream] == []


async def test_an_iterator_that_nobody_holds_costs_nothing() -> None:
    source = notifier()
    source.stream()
    gc.collect()
    assert not source._streams


async def test_callbacks_by_type() -> None:
    failures: list[Exception] = []
    source = notifier(failures)
    seen: list[object] = []

    def fail(_: object) -> None:
        raise ValueError("my fault")

    source.on(str, fail)
    off = source.on(str, seen.append)
    source.on(int, seen.append)
    source.notify("a")
    source.notify(1)
    source.notify(True)  # another type, if a related one
    off()
    off()
    source.notify("b")
    assert seen == ["a", 1]
    assert [str(failure) for failure in failures] == ["my fault", "my fault"]


async def test_a_callback_has_to_be_a_plain_function() -> None:
    async def coroutine_function(_: object) -> None:
        """Nobody would await it."""

    for callback in (coroutine_function, None, "text"):
        with pytest.raises(InvalidArgument):
            notifier().on(str, callback)  # type: ignore[arg-type]
