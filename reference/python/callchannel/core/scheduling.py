# SPDX-License-Identifier: Apache-2.0
"""Who writes next: priority, fairness and bitrate (specification, chapter 8)."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from callchannel.core.limits import HIGH_BURST, RELIABLE_PACKET

NO_ROOM = b""
"""What `Source.write` returns when it has a frame that does not fit: the packet is full."""

_SECOND = 1_000_000


class Source(Protocol):
    """Something that writes frames, such as a session."""

    high: bool

    def write(self, room: int, now: int) -> bytes | None:
        """The next frame, of at most `room` bytes; `NO_ROOM`; or None when nothing can be written now.

        After None the source is left out until it is added again.
        """

    def write_runs(self, room: int, budget: int, now: int) -> tuple[list[bytes], int]:
        """The short way, while nobody else has something to write: several frames at once, and how many they are.

        Each run goes into a packet of its own, the first into one with `room` bytes left; none is begun when there are
        `budget` bytes. Without any: ask `write`.
        """


class Scheduler:
    """Shares a lane among sources: high before normal, but one normal frame after four high; else by turns.

    It is itself a source, so that a relay can let senders take turns over each sender's own scheduler.
    """

    __slots__ = ("_burst", "_high", "_members", "_normal", "high")

    def __init__(self) -> None:
        self.high = False
        self._high: deque[Source] = deque()
        self._normal: deque[Source] = deque()
        self._members: set[int] = set()
        self._burst = 0

    def __bool__(self) -> bool:
        return bool(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def add(self, source: Source) -> None:
        """Let a source take part; no effect when it does already."""
        key = id(source)
        if key not in self._members:
            self._members.add(key)
            (self._high if source.high else self._normal).append(source)

    def remove(self, source: Source) -> None:
        """Leave a source out, whether it takes part or not."""
        key = id(source)
        if key in self._members:
            self._members.discard(key)
            (self._high if source.high else self._normal).remove(source)

    def write(self, room: int, now: int) -> bytes | None:
        """The next frame of whoever's turn it is, or several where it is nobody else's; `NO_ROOM`; or None."""
        while self._members:
            use_high = bool(self._high) and not (self._burst >= HIGH_BURST and self._normal)
            ring = self._high if use_high else self._normal
            source = ring[0]
            if len(self._members) == 1 and (runs := self._write_runs(source, room, 1, now)):
                return runs[0]
            frame = source.write(room, now)
            if frame is None:
                # Writing may have taken the source out already.
                self.remove(source)
                continue
            if frame is NO_ROOM:
                return NO_ROOM
            self._burst = self._burst + 1 if use_high else 0
            if len(ring) > 1 and ring[0] is source:
                ring.rotate(-1)
            return frame
        return None

    def write_runs(self, room: int, budget: int, now: int) -> tuple[list[bytes], int]:
        """None: as a source among others, each turn is one frame."""
        return [], 0

    def pull(self, budget: int, now: int) -> list[bytes]:
        """Whole packets by the short way, where only one source has something to write; else none: ask `write`."""
        if len(self._members) != 1:
            return []
        (source,) = self._high or self._normal
        return self._write_runs(source, RELIABLE_PACKET, budget, now)

    def _write_runs(self, source: Source, room: int, budget: int, now: int) -> list[bytes]:
        runs, count = source.write_runs(room, budget, now)
        if runs:
            self._burst = self._burst + count if source.high else 0
        return runs


class TokenBucket:
    """A rate with room for bursts. Time is in microseconds, `rate` in tokens per second."""

    __slots__ = ("_at", "_burst", "_micro", "_rate")

    def __init__(self, rate: int, burst: int, now: int) -> None:
        self._rate = rate
        self._burst = burst * _SECOND
        self._micro = self._burst  # millionths of a token: integers do not drift
        self._at = now

    def _refill(self, now: int) -> None:
        if now > self._at:
            self._micro = min(self._burst, self._micro + (now - self._at) * self._rate)
            self._at = now

    def take(self, tokens: int, now: int) -> bool:
        """Take tokens if there are so many."""
        self._refill(now)
        if self._micro < tokens * _SECOND:
            return False
        self._micro -= tokens * _SECOND
        return True

    def spend(self, tokens: int, now: int) -> None:
        """Take tokens even if that leaves a debt, which later `ready_at` shows."""
        self._refill(now)
        self._micro -= tokens * _SECOND

    def ready_at(self, now: int) -> int:
        """When the bucket is out of debt: `now`, or later."""
        self._refill(now)
        return now if self._micro > 0 else now + (-self._micro) // self._rate + 1
