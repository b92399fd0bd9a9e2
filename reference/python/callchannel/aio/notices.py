# SPDX-License-Identifier: Apache-2.0
"""How a call tells an application what happens: callbacks, and iterators whose memory is bounded."""

from __future__ import annotations

import asyncio
import inspect
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from callchannel.core.errors import InvalidArgument

EVENTS_KEPT: Final = 1_024
"""Events that one iterator keeps for a consumer that is slower than the call."""

EventT = TypeVar("EventT")
OneT = TypeVar("OneT")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsMissed:
    """An iterator of events was not read fast enough: `count` older events are not in it.

    It stands where they would have stood. Look at the state itself, such as `Call.participants`.
    """

    count: int


class EventStream(Generic[EventT]):
    """An asynchronous iterator over events, from its making on.

    It keeps at most `EVENTS_KEPT` unread events. Beyond, the oldest go, and one `EventsMissed` says how many. The
    last event, the end, is never lost, and after it the iteration ends.
    """

    def __init__(self, *, is_over: bool = False) -> None:
        self._events: deque[EventT] = deque()
        self._missed = 0
        self._is_over = is_over
        self._changed = asyncio.Event()

    def __aiter__(self) -> EventStream[EventT]:
        return self

    async def __anext__(self) -> EventT | EventsMissed:
        while not self._events and not self._missed:
            if self._is_over:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        if self._missed:
            missed, self._missed = self._missed, 0
            return EventsMissed(count=missed)
        return self._events.popleft()

    def close(self) -> None:
        """Drop what was not read and end the iteration."""
        self._events.clear()
        self._missed = 0
        self._finish()

    def _put(self, event: EventT) -> None:
        if self._is_over:
            return
        if len(self._events) >= EVENTS_KEPT:
            self._events.popleft()
            self._missed += 1
        self._events.append(event)
        self._changed.set()

    def _finish(self) -> None:
        self._is_over = True
        self._changed.set()


class Notifier(Generic[EventT]):
    """Hands events to the callbacks and iterators of one object. What a callback raises goes to `report`."""

    def __init__(self, report: Callable[[str, Exception], None]) -> None:
        self._report = report
        self._callbacks: dict[type, list[Callable[[Any], object]]] = {}
        self._streams: weakref.WeakSet[EventStream[EventT]] = weakref.WeakSet()
        self._is_over = False

    def on(self, kind: type[OneT], callback: Callable[[OneT], object]) -> Callable[[], None]:
        """Call `callback` for each event of type `kind`; returns a function that undoes it."""
        check_callback(callback)
        callbacks = self._callbacks.setdefault(kind, [])
        callbacks.append(callback)

        def off() -> None:
            if callback in callbacks:
                callbacks.remove(callback)

        return off

    def stream(self) -> EventStream[EventT]:
        """A new iterator over the events from now on."""
        stream: EventStream[EventT] = EventStream(is_over=self._is_over)
        self._streams.add(stream)
        return stream

    def notify(self, event: EventT) -> None:
        """Hand out one event."""
        for stream in tuple(self._streams):
            stream._put(event)
        self.call_back(event)

    def call_back(self, event: object) -> None:
        """Hand out to callbacks alone what the iterators do not yield."""
        for callback in tuple(self._callbacks.get(type(event), ())):
            try:
                callback(event)
            except Exception as exc:
                self._report("an event callback raised", exc)

    def end(self) -> None:
        """No event follows: iterators end when what they have is read."""
        self._is_over = True
        for stream in tuple(self._streams):
            stream._finish()


def check_callback(callback: object) -> None:
    """Raise `InvalidArgument` for what can't be called from the event loop directly."""
    if not callable(callback) or inspect.iscoroutinefunction(callback):
        raise InvalidArgument(f"{callback!r} has to be a plain function; iterate over the events to await something")
