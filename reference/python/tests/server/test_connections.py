# SPDX-License-Identifier: Apache-2.0
"""Connections: the time that they have, in virtual time, and what ends them, over real WebRTC."""

import asyncio
import heapq
from collections.abc import Callable
from typing import Any

from callchannel.core.lanes import Lane
from callchannel.server.connections import Patience, Traffic, WatchedTransport


class Clock:
    """What `call_later` of a loop does, without a loop and without waiting."""

    def __init__(self) -> None:
        self.now = 0.0
        self._timers: list[tuple[float, int, _Timer]] = []

    def call_later(self, delay: float, callback: Callable[..., None], *args: object) -> Any:
        timer = _Timer(callback)
        heapq.heappush(self._timers, (self.now + delay, len(self._timers), timer))
        return timer

    def advance(self, to: float) -> None:
        while self._timers and self._timers[0][0] <= to:
            self.now, _, timer = heapq.heappop(self._timers)
            timer.run()
        self.now = to


class _Timer:
    def __init__(self, callback: Callable[..., None]) -> None:
        self._callback: Callable[..., None] | None = callback

    def cancel(self) -> None:
        self._callback = None

    def run(self) -> None:
        if self._callback is not None:
            self._callback()


def test_who_does_not_come_up_is_given_up_in_time() -> None:
    # CC-SIG-044
    clock, given_up = Clock(), []
    Patience(30.0, lambda: given_up.append(clock.now), clock.call_later)
    clock.advance(29.999)
    assert given_up == []
    clock.advance(1_000.0)
    assert given_up == [30.0]


def test_who_comes_up_is_not() -> None:
    clock, given_up = Clock(), []
    patience = Patience(30.0, lambda: given_up.append(clock.now), clock.call_later)
    clock.advance(29.999)
    patience.end()
    patience.end()
    clock.advance(1_000.0)
    assert given_up == []


class Inner:
    """A transport that notes what it is told."""

    lossy_open = True

    def __init__(self) -> None:
        self.notes: list[object] = []
        self.listener: Any = None

    def attach(self, listener: object) -> None:
        self.listener = listener

    def send(self, lane: Lane, packet: bytes) -> None:
        self.notes.append((lane, packet))

    def buffered(self, lane: Lane) -> int:
        return 7 + lane

    def close(self) -> None:
        self.notes.append("close")

    async def wait_closed(self) -> None:
        self.notes.append("closed")


class Outer:
    """A listener that notes what it is told."""

    def __init__(self) -> None:
        self.notes: list[object] = []

    def transport_up(self, transport: object) -> None:
        self.notes.append(("up", transport))

    def packet(self, lane: Lane, packet: bytes) -> None:
        self.notes.append((lane, packet))

    def writable(self, lane: Lane) -> None:
        self.notes.append(("writable", lane))

    def lossy_changed(self, is_open: bool) -> None:
        self.notes.append(("lossy", is_open))

    def transport_down(self) -> None:
        self.notes.append("down")


async def test_a_watched_transport_is_a_transport_that_counts() -> None:
    inner, outer, traffic, ups = Inner(), Outer(), Traffic(), []
    watched = WatchedTransport(inner, traffic, lambda: ups.append(1))
    watched.attach(outer)
    inner.listener.transport_up(inner)
    inner.listener.packet(Lane.LOSSY, b"abc")
    inner.listener.writable(Lane.RELIABLE)
    inner.listener.lossy_changed(False)
    watched.send(Lane.RELIABLE, b"hello")
    assert watched.buffered(Lane.LOSSY) == 7 + Lane.LOSSY and watched.lossy_open
    watched.close()
    await watched.wait_closed()
    inner.listener.transport_down()
    assert ups == [1]
    assert inner.notes == [(Lane.RELIABLE, b"hello"), "close", "closed"]
    assert outer.notes == [
        ("up", watched),
        (Lane.LOSSY, b"abc"),
        ("writable", Lane.RELIABLE),
        ("lossy", False),
        "down",
    ]
    assert traffic.received[Lane.LOSSY] == 1 and traffic.received_bytes[Lane.LOSSY] == 3
    assert traffic.sent[Lane.RELIABLE] == 1 and traffic.sent_bytes[Lane.RELIABLE] == 5


async def test_nobody_is_told_before_somebody_listens() -> None:
    inner = Inner()
    watched = WatchedTransport(inner, Traffic(), lambda: None)
    for call in (
        lambda: watched.transport_up(inner),
        lambda: watched.packet(Lane.LOSSY, b""),
        lambda: watched.writable(Lane.LOSSY),
        lambda: watched.lossy_changed(True),
        watched.transport_down,
    ):
        call()
    await asyncio.sleep(0)
    assert inner.notes == []
