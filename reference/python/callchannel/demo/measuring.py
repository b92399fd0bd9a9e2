# SPDX-License-Identifier: Apache-2.0
"""Measuring what arrives, in a participant's process of the demonstration."""

from __future__ import annotations

import asyncio
import hashlib
import statistics
from collections.abc import Callable
from typing import Any, Final

from callchannel.aio import Call, DataChannelReceiver, Message
from callchannel.core.errors import CallChannelError, ReceiverClosed, error_name
from callchannel.core.messages import Reliability
from callchannel.demo.payloads import TICK, is_sound_tick
from callchannel.demo.talking import tell, wall_clock

_PROGRESS: Final = 250_000
"""Microseconds between two reports of a file's progress."""


class Ticks:
    """What came under one name of Lossy messages."""

    def __init__(self) -> None:
        self.count = 0
        self.bytes = 0
        self.damaged = 0
        self.latencies: list[int] = []
        self.digest = hashlib.sha256()
        self.ended = asyncio.Event()

    def fields(self) -> dict[str, Any]:
        """As a report's fields; latencies in microseconds."""
        return {
            "count": self.count,
            "bytes": self.bytes,
            "damaged": self.damaged,
            "sha256": self.digest.hexdigest(),
            "latency": int(statistics.median(self.latencies)) if self.latencies else None,
            "worst": max(self.latencies, default=None),
        }


class Measuring:
    """Reads all receivers of a call and reports. `cut` is called when `cut_at` says so."""

    def __init__(self, cut: Callable[[], None]) -> None:
        self._cut = cut
        self._cut_file: str | None = None
        self._cut_bytes = 0
        self._ticks: dict[str, Ticks] = {}

    def cut_at(self, name: str, count: int) -> None:
        """Cut the connection when `count` bytes of the file `name` have come."""
        self._cut_file, self._cut_bytes = name, count

    async def tally(self, name: str, timeout: float) -> dict[str, Any]:
        """What came under `name`, once its sender's end has come, too."""
        ticks = self._ticks.setdefault(name, Ticks())
        try:
            async with asyncio.timeout(timeout):
                await ticks.ended.wait()
        except TimeoutError:
            pass  # nothing came, or its end was lost: what is there counts
        return ticks.fields()

    async def receive(self, call: Call) -> None:
        """Read everything until the call ends."""
        try:
            async with asyncio.TaskGroup() as group:
                async for receiver in call.receivers():
                    group.create_task(self._read(receiver))
        except* CallChannelError as errors:
            tell("lost", text=str(errors.exceptions[0]))

    async def _read(self, receiver: DataChannelReceiver) -> None:
        sender = receiver.sender_identifier
        names: set[str] = set()
        try:
            async for message in receiver:
                names.add(message.name or "")
                if message.content_type == TICK:
                    self._count(message)
                else:
                    await self._measure(receiver, message)
        except ReceiverClosed as exc:
            tell("receiver_failed", sender=sender, code=error_name(exc.code))
        if receiver.reliability is Reliability.LOSSY:
            for name in names:
                self._ticks.setdefault(name, Ticks()).ended.set()

    def _count(self, message: Message) -> None:
        ticks = self._ticks.setdefault(message.name or "", Ticks())
        ticks.count += 1
        ticks.bytes += len(message.data)
        ticks.damaged += not is_sound_tick(message.data)
        ticks.digest.update(message.data)
        if message.time is not None:
            ticks.latencies.append(wall_clock() - message.time)

    async def _measure(self, receiver: DataChannelReceiver, message: Message) -> None:
        name = message.name or ""
        digest, count, told = hashlib.sha256(), 0, 0
        try:
            async for chunk in receiver.chunks(message):
                digest.update(chunk)
                count += len(chunk)
                now = wall_clock()
                if message.is_stream and now - told >= _PROGRESS:
                    told = now
                    tell("progress", id=name, bytes=count, total=message.size)
                if name == self._cut_file and count >= self._cut_bytes:
                    self._cut_file = None
                    self._cut()
        except CallChannelError as exc:
            tell("incomplete", id=name, bytes=count, code=error_name(exc.code))
            return
        tell(
            "received",
            id=name,
            sender=receiver.sender_identifier,
            channel=receiver.channel_id,
            priority=receiver.priority.value,
            reliability=receiver.reliability.value,
            content_type=message.content_type,
            private=message.private,
            bytes=count,
            sha256=digest.hexdigest(),
            sent=message.time,
            at=wall_clock(),
        )
