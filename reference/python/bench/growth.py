# SPDX-License-Identifier: Apache-2.0
"""How cost grows: messages a second and memory against message size, sessions, recipients and links.

All in memory, without a transport, so that the figures are those of callchannel alone. Memory is what Python's
allocator has handed out, not what the process has taken from the system.
"""

from __future__ import annotations

import gc
import os
import statistics
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from bench.calls import RelayedCall
from bench.contest import settle_allocator
from bench.core import BUDGET, Callchannel, rate
from bench.fanout import deliveries
from bench.quiet import BUSY, micros
from bench.settings import Settings
from callchannel import Endpoint, Lane, Limits, Peer
from callchannel.core.events import ReceiverReadable

SIZES: Final = (16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576)
SESSIONS: Final = (1, 2, 5, 10, 50, 200)
RECIPIENTS: Final = (1, 3, 10, 30, 100, 300, 1_000)
LINKS: Final = (20, 100, 300, 1_000, 3_000)
_PLENTY: Final = Limits(open_sessions=65_535, new_sessions=65_535)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One figure against another. `points` are x, and the figure's median, first and third quartile."""

    name: str
    """What it is called in file names and in the program."""
    line: str
    """Which line of a drawing it is; empty where there is but one."""
    x: str
    unit: str
    points: tuple[tuple[float, float, float, float], ...]


def run(settings: Settings) -> list[Series]:
    """All series. Each point is measured `runs` times, at most 3."""
    settle_allocator()
    runs = min(3, settings.runs)
    return [
        *_by_size(settings, runs),
        _series("rate-sessions", "", "senders that write", "messages/s", SESSIONS, _many_sessions(settings), runs),
        *_by_recipients(settings, runs),
        _series("time-links", "", "links", "µs", LINKS, _busy_among(settings), runs),
        *_memory(settings),
    ]


def _series(
    name: str, line: str, x: str, unit: str, places: Sequence[int], measure: Callable[[int], float], runs: int
) -> Series:
    return Series(name=name, line=line, x=x, unit=unit, points=tuple(_point(at, measure, runs) for at in places))


def _point(place: int, measure: Callable[[int], float], runs: int) -> tuple[float, float, float, float]:
    figures = sorted(measure(place) for _ in range(runs))
    return place, statistics.median(figures), figures[len(figures) // 4], figures[-1 - len(figures) // 4]


def _by_size(settings: Settings, runs: int) -> list[Series]:
    """Messages and megabytes a second of two endpoints, by the size of a message."""
    found = _series("rate-size", "", "bytes of a message", "messages/s", SIZES, _of_size(settings), runs)
    in_bytes = tuple((x, *(x * figure / 1e6 for figure in figures)) for x, *figures in found.points)
    points = tuple((x, middle, low, high) for x, middle, low, high in in_bytes)
    return [found, Series(name="volume-size", line="", x=found.x, unit="MB/s", points=points)]


def _of_size(settings: Settings) -> Callable[[int], float]:
    def measure(size: int) -> float:
        batch = max(1, min(64, (1 << 18) // size))
        count = max(4 * batch, settings.times(min(10_000, (32 << 20) // size)))
        return rate(Callchannel, size, count, batch)

    return measure


def _many_sessions(settings: Settings) -> Callable[[int], float]:
    """Messages of 100 B a second, when several senders of an endpoint have messages at the same time."""

    def measure(sessions: int) -> float:
        ann = Endpoint(entropy=os.urandom, identity="ann", peer=Peer(initiator=True), limits=_PLENTY)
        bob = Endpoint(entropy=os.urandom, identity="bob", peer=Peer(initiator=False, identity="ann"), limits=_PLENTY)
        for end in (ann, bob):
            end.transport_up(1, 0)
        now = _settle(ann, bob, 0)
        senders = [ann.open_sender(now) for _ in range(sessions)]
        payload = bytes(100)
        rounds = max(2, settings.times(10_000) // 64)
        expected, read = 0, 0
        start = time.process_time()
        for number in range(rounds):
            for place in range(64):
                ann.send(senders[(number * 64 + place) % sessions], payload, now)
            expected += 64
            now, more = _carry(ann, bob, now)
            read += more
        elapsed = time.process_time() - start
        assert read == expected, "messages are missing"
        return expected / elapsed

    return measure


def _settle(ann: Endpoint, bob: Endpoint, now: int) -> int:
    for _ in range(3):
        now, _ = _carry(ann, bob, now)
    return now


def _carry(ann: Endpoint, bob: Endpoint, now: int) -> tuple[int, int]:
    """Let everything arrive and be read. Returns the time then, and how many messages were read."""
    now += 1_000
    read = 0
    while ann.take_dirty():
        for packet in ann.pull(1, Lane.RELIABLE, BUDGET, now):
            bob.receive(1, Lane.RELIABLE, packet, now)
        for event in bob.events():
            if isinstance(event, ReceiverReadable):
                read += len(bob.read_all(event.receiver, now))
        if bob.take_dirty():
            for packet in bob.pull(1, Lane.RELIABLE, BUDGET, now):
                ann.receive(1, Lane.RELIABLE, packet, now)
        ann.events()
    return now, read


def _by_recipients(settings: Settings, runs: int) -> list[Series]:
    """Deliveries a second of a relay, by recipients and by how many messages come together."""
    calls = {recipients: RelayedCall(recipients + 1) for recipients in RECIPIENTS}
    found = []
    for burst in (1, 16, 50):

        def measure(recipients: int, burst: int = burst) -> float:
            rounds = max(5, settings.times(50_000) // (recipients * burst))
            return deliveries(calls[recipients], rounds, burst=burst)

        line = "1 at a time" if burst == 1 else f"{burst} together"
        found.append(
            _series("rate-recipients", line, "recipients of a message", "deliveries/s", RECIPIENTS, measure, runs)
        )
    return found


def _busy_among(settings: Settings) -> Callable[[int], float]:
    """Microseconds of a relay for a message to ten, by how many links it has."""
    calls: dict[int, RelayedCall] = {}

    def measure(links: int) -> float:
        if links not in calls:
            calls.clear()
            calls[links] = RelayedCall(max(BUSY + 1, settings.times(links)) if settings.scale < 0.1 else links)
        return micros(calls[links], settings.times(100))

    return measure


# --- memory ----------------------------------------------------------------------------------------------------------


def _memory(settings: Settings) -> list[Series]:
    few = settings.scale < 0.1
    return [
        _series("memory-size", "", "bytes of a message", "KB", SIZES, _of_message, 1),
        _series("memory-sessions", "", "open sessions", "KB", SESSIONS, _of_sessions, 1),
        _series("memory-recipients", "", "recipients of what waits", "KB", RECIPIENTS, _of_waiting, 1),
        _series("memory-links", "", "quiet links", "KB", LINKS[: 2 if few else len(LINKS)], _of_links, 1),
    ]


def _traced(make: Callable[[], object]) -> float:
    """Kilobytes that something has taken when it is made."""
    gc.collect()
    tracemalloc.start()
    kept = make()
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del kept
    return taken / 1e3


def _pair() -> tuple[Endpoint, Endpoint, int]:
    ann = Endpoint(entropy=os.urandom, identity="ann", peer=Peer(initiator=True), limits=_PLENTY)
    bob = Endpoint(entropy=os.urandom, identity="bob", peer=Peer(initiator=False, identity="ann"), limits=_PLENTY)
    for end in (ann, bob):
        end.transport_up(1, 0)
    return ann, bob, _settle(ann, bob, 0)


def _of_message(size: int) -> float:
    """The most that both endpoints hold while one message is sent, received and read, without the sender's own copy."""
    ann, bob, now = _pair()
    sender = ann.open_sender(now)
    message = bytes(size)
    gc.collect()
    tracemalloc.start()
    ann.send(sender, message, now)
    _, read = _carry(ann, bob, now)
    assert read == 1
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most / 1e3


def _of_sessions(sessions: int) -> float:
    """Two endpoints with so many sessions from one to the other, all quiet."""
    ann, bob, now = _pair()

    def make() -> None:
        nonlocal now
        for _ in range(sessions):
            ann.send(ann.open_sender(now), b"hello", now)
        now, read = _carry(ann, bob, now)
        assert read == sessions

    return _traced(make)


def _of_waiting(recipients: int) -> float:
    """A relay that holds 1,000 messages of 100 B for so many recipients that take nothing."""
    call = RelayedCall(recipients + 1)
    call.run(burst=1, rounds=1)
    return _traced(lambda: call.run(burst=100, rounds=10, stalled=recipients))


def _of_links(links: int) -> float:
    """A relay with so many links, all quiet."""
    return _traced(lambda: RelayedCall(links))
