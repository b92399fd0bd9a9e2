# SPDX-License-Identifier: Apache-2.0
"""Over aiortc, between two processes on one machine, both with uvloop: callchannel beside the bare data channel.

The clock of a transfer runs from the first `send` until the other process has checked the last message and its answer
has come back. A bare data channel has no acknowledgement that an application could see, no custody and no bound on what
a receiver holds; ours has.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, NamedTuple

import uvloop

from bench.contest import Contestant, Row, Target, compare, judge, play
from bench.ends import BULK, ECHO, LOSSY, End, offer_of
from bench.forwarder import Forwarder
from bench.messages import Messages
from bench.settings import Settings

SMALL: Final = 64
LOSSY_SIZE: Final = 4_096
_LATE: Final = 4.0
"""Seconds that late Lossy messages are waited for."""
_WARM_UP: Final = 1.0
"""Seconds until bulk has filled what it fills."""


class Near:
    """This process's end, and the other process."""

    def __init__(self, kind: str, size: int, count: int, forwarder: Forwarder | None = None) -> None:
        self._kind = kind
        self._arguments = (kind, str(size), str(count))
        self._forwarder = forwarder
        self._process: asyncio.subprocess.Process | None = None
        self._arrived: dict[int, asyncio.Queue[bytes]] = {BULK: asyncio.Queue(), ECHO: asyncio.Queue()}
        self._end: End | None = None
        self.send: Callable[[int, bytes], Awaitable[None]]

    async def __aenter__(self) -> Near:
        if self._forwarder is not None:
            await self._forwarder.start()
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bench.far",
            *self._arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)},
            limit=1 << 24,
        )
        self._end = await offer_of(self._kind)(self._exchange, self._put)
        self.send = self._end.send
        return self

    def _put(self, channel: int, message: bytes) -> None:
        self._arrived[channel].put_nowait(message)

    async def _exchange(self, offer: str) -> str:
        assert self._process is not None and self._process.stdin is not None and self._process.stdout is not None
        if self._forwarder is not None:
            offer = self._forwarder.offer(offer)
        self._process.stdin.write(json.dumps({"offer": offer}).encode() + b"\n")
        line = await self._process.stdout.readline()
        answer: str = json.loads(line)["answer"]
        return self._forwarder.answer(answer) if self._forwarder is not None else answer

    def processor_seconds(self) -> float:
        """What both processes have had of the machine so far. Neither does its work in other threads."""
        assert self._process is not None
        far = int(Path(f"/proc/{self._process.pid}/schedstat").read_text().split()[0])
        return time.process_time() + far / 1e9

    async def receive(self, channel: int) -> bytes:
        """The next message of the other process."""
        return await asyncio.wait_for(self._arrived[channel].get(), 120)

    async def arrivals(self) -> dict[str, float]:
        """End the other process's input; returns which Lossy messages it got, and after how many seconds."""
        assert self._process is not None and self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        found: dict[str, float] = json.loads(await self._process.stdout.readline())["arrivals"]
        return found

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.close()
        if self._end is not None:
            await self._end.close()
        try:
            await asyncio.wait_for(self._process.wait(), 10)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        if self._forwarder is not None:
            self._forwarder.close()


# --- what is measured ------------------------------------------------------------------------------------------------


async def transfer(kind: str, size: int, count: int) -> tuple[float, float]:
    """Messages a second, and messages for each second that the two processes have had of the machine."""
    messages = Messages(size)
    made = [messages.make(number) for number in range(count)] if size < 1_000 else []
    async with Near(kind, size, count) as near:
        used, start = near.processor_seconds(), time.perf_counter()
        for number in range(count):
            await near.send(BULK, made[number] if made else messages.make(number))
        assert await near.receive(BULK) == b"done"
        return count / (time.perf_counter() - start), count / (near.processor_seconds() - used)


async def round_trip(kind: str, count: int) -> tuple[float, float, float]:
    """Milliseconds of a small message there and back: p10, p50, and what both processes had of the machine for it."""
    async with Near(kind, SMALL, 0) as near:
        for number in range(count // 10):
            await _ping(near, number)
        used = near.processor_seconds()
        times = [await _ping(near, number) for number in range(count)]
        used = near.processor_seconds() - used
    return percentile(times, 10) * 1e3, percentile(times, 50) * 1e3, used / count * 1e3


async def _ping(near: Near, number: int) -> float:
    message = Messages(SMALL).make(number)
    start = time.perf_counter()
    await near.send(ECHO, message)
    assert await near.receive(ECHO) == message
    return time.perf_counter() - start


async def beside_bulk(kind: str, size: int, count: int) -> float:
    """Milliseconds of a small urgent message there and back, while bulk in messages of `size` bytes saturates; p99."""
    messages = Messages(size)
    async with Near(kind, size, 0) as near:

        async def saturate() -> None:
            number = 0
            while True:
                await near.send(BULK, messages.make(number))
                number += 1

        bulk = asyncio.ensure_future(saturate())
        await asyncio.sleep(_WARM_UP)
        times = []
        for number in range(count):
            times.append(await _ping(near, number))
            await asyncio.sleep(0.01)
        bulk.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await bulk
    return percentile(times, 99) * 1e3


async def lossy(kind: str, rate: int, count: int, seed: int) -> tuple[float, float]:
    """Of 4 KiB messages at a rate, 5 % loss and 20 ms each way: the share that arrives, and p99 in milliseconds."""
    async with Near(kind, SMALL, 0, Forwarder(delay=0.02, loss=0.05, seed=seed)) as near:
        start = time.monotonic()
        for number in range(count):
            await asyncio.sleep(max(0.0, start + number / rate - time.monotonic()))
            await near.send(LOSSY, Messages.stamped(number, time.monotonic_ns(), LOSSY_SIZE))
        await asyncio.sleep(_LATE)
        times = list((await near.arrivals()).values())
    return len(times) / count, percentile(times, 99) * 1e3


def percentile(values: list[float], percent: int) -> float:
    """The value below which so many percent lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


# --- the rows --------------------------------------------------------------------------------------------------------


def _runs(settings: Settings) -> int:
    return 3 if not settings.quick else 1


class _Both(NamedTuple):
    """A contestant whose runs give two figures: the second ones are noted."""

    contestant: Contestant
    noted: list[float]


def _transfer(name: str, kind: str, size: int, count: int, scale: float = 1.0) -> _Both:
    noted: list[float] = []

    def run() -> float:
        by_clock, by_processor = uvloop.run(transfer(kind, size, count))
        noted.append(by_processor * scale)
        return by_clock * scale

    return _Both(Contestant(name, run), noted)


def messages(settings: Settings) -> list[Row]:
    """64 B messages a second."""
    count = settings.times(100_000)
    ours = _transfer("callchannel", "call", SMALL, count)
    bare = _transfer("bare data channel", "bare", SMALL, count // 4)
    bundled = _transfer("bare, bundled to 1,150 B by the application", "bundled", SMALL, count)
    work = f"{SMALL} B, Reliable, over aiortc"
    rows = compare(
        "messages",
        work,
        "messages/s",
        ours.contestant,
        [(bare.contestant, Target(8)), (bundled.contestant, None)],
        _runs(settings),
    )
    return rows + [
        judge(
            "messages",
            f"{work}, by time of the processors",
            "messages/s",
            ours.noted,
            other.contestant.name,
            other.noted,
            None,
        )
        for other in (bare, bundled)
    ]


def bulk(settings: Settings) -> list[Row]:
    """Megabytes a second, in messages of 16 KiB and of 1 MiB; the bare channel at each of several sizes."""
    total = max(settings.times(24 << 20), 1 << 20)
    sizes = (1_150, 16_384, 61_440, 262_144)
    own = [
        _transfer("callchannel, 16 KiB", "call", 16_384, total // 16_384, 16_384 / 1e6),
        _transfer("callchannel, 1 MiB", "call", 1 << 20, total >> 20, (1 << 20) / 1e6),
    ]
    bare = [_transfer(f"bare, {size:,} B", "bare", size, total // size, size / 1e6) for size in sizes]
    figures = play([both.contestant for both in (*own, *bare)], _runs(settings))
    rows = []
    for target, by, of_ours, of_bare in (
        (Target(1), "", figures[:2], figures[2:]),
        (None, ", by time of the processors", [both.noted for both in own], [both.noted for both in bare]),
    ):
        best = max(range(len(sizes)), key=lambda place: statistics.median(of_bare[place]))
        for size, found in zip(("16 KiB", "1 MiB"), of_ours, strict=True):
            peer = f"bare at its best, {sizes[best]:,} B"
            work = f"{size}, Reliable, over aiortc{by}"
            rows.append(judge("bulk", work, "MB/s", found, peer, of_bare[best], target))
    for both, found in zip(bare, figures[2:], strict=True):
        rows.append(
            judge("bulk", "16 KiB, Reliable, over aiortc", "MB/s", figures[0], both.contestant.name, found, None)
        )
    return rows


def roundtrip(settings: Settings) -> list[Row]:
    """The round trip of one small message.

    The machine's other work delays some of them. p10 is what is left of it where that is little; p50 is beside it.
    """
    count = settings.times(1_000)
    figures: dict[str, list[tuple[float, float, float]]] = {"call": [], "bare": []}

    def contestant(kind: str) -> Contestant:
        def run() -> float:
            figures[kind].append(uvloop.run(round_trip(kind, count)))
            return figures[kind][-1][0]

        return Contestant(kind, run)

    play([contestant(kind) for kind in figures], _runs(settings))
    return [
        judge(
            "roundtrip",
            f"{SMALL} B there and back, {what}",
            "ms",
            [found[place] for found in figures["call"]],
            "bare data channel",
            [found[place] for found in figures["bare"]],
            target,
        )
        for place, (what, target) in enumerate(
            (("p10", Target(1.15, at_least=False)), ("p50", None), ("time of the processors", None))
        )
    ]


def priority(settings: Settings) -> list[Row]:
    """A small urgent message beside bulk."""
    count = settings.times(200)

    def contestant(name: str, kind: str, size: int) -> Contestant:
        return Contestant(name, lambda: uvloop.run(beside_bulk(kind, size, count)))

    own, *bare = play(
        [
            contestant("callchannel", "call", 61_440),
            contestant("bare, bulk in 16 KiB", "bare", 16_384),
            contestant("bare, bulk in 60 KiB", "bare", 61_440),
        ],
        _runs(settings),
    )
    better = min(bare, key=statistics.median)
    return [
        judge(
            "priority",
            f"{SMALL} B, high priority, beside bulk, there and back, p99",
            "ms",
            own,
            name,
            figures,
            Target(0.5, at_least=False) if figures is better else None,
        )
        for name, figures in zip(("bare, bulk in 16 KiB", "bare, bulk in 60 KiB"), bare, strict=True)
    ]


def with_loss(settings: Settings) -> list[Row]:
    """Lossy messages that are larger than a packet.

    At 50/s they are more than SCTP's congestion control gets through with that loss, so that queues grow; at 20/s less.
    """
    rows = []
    for rate, share_target, time_target in ((50, Target(1), Target(0.2, at_least=False)), (20, None, None)):
        count = settings.times(20 * rate)
        own: list[tuple[float, float]] = []
        bare: list[tuple[float, float]] = []
        for seed in range(min(3, _runs(settings))):
            for kind, figures in (("call", own), ("bare", bare)):
                figures.append(uvloop.run(lossy(kind, rate, count, seed)))
        work, peer = f"Lossy 4 KiB at {rate}/s, 5 % loss, 20 ms each way", "one SCTP message"
        rows += [
            judge(
                "lossy",
                f"{work}: {what}",
                unit,
                [pair[place] for pair in own],
                peer,
                [pair[place] for pair in bare],
                target,
            )
            for place, (what, unit, target) in enumerate(
                (("delivered", "share", share_target), ("p99", "ms", time_target))
            )
        ]
    return rows
