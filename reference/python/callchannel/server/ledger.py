# SPDX-License-Identifier: Apache-2.0
"""Who has how many connections, and how often they may ask for one (specification, section 13.9). No I/O, no clock.

Times are seconds of one clock that does not go back.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Final

from callchannel.signalling.limits import SignallingLimits

BURST: Final = 5
"""Seconds' worth of offers that a bucket holds."""

BUCKETS: Final = 4_096
"""Buckets beyond which the full ones are forgotten: they are as good as new ones."""

RETRY: Final = {"connections": 5, "call_full": 10, "overload": 5, "stopping": 10}
"""Seconds that a client is told to wait."""


class Refused(Exception):
    """An offer is refused by number. `problem` is the code, `retry_after` in seconds."""

    def __init__(self, problem: str, retry_after: int) -> None:
        super().__init__(problem)
        self.problem = problem
        self.retry_after = retry_after


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class Ledger:
    """The count of connections, from the judging of an offer until the connection is closed."""

    def __init__(self, limits: SignallingLimits, *, connections: int, calls: int) -> None:
        self._limits = limits
        self._most_connections = connections
        self._most_calls = calls
        self._by_identity: Counter[tuple[str, str]] = Counter()
        self._by_call: Counter[str] = Counter()
        self._buckets: dict[tuple[str, str], _Bucket] = {}
        self.connections = 0
        """Connections that exist or are being made."""

    def enter(self, call: str, identity: str, now: float, *, calls: int = 0) -> None:
        """Take an offer on; `leave` gives its place back. Raises `Refused`.

        `calls` is how many calls there would be with this one.
        """
        self._spend((call, identity), now)
        if self._by_identity[call, identity] >= self._limits.connections_per_identity:
            raise Refused("connections", RETRY["connections"])
        if self._by_call[call] >= self._limits.connections_per_call:
            raise Refused("call_full", RETRY["call_full"])
        if self.connections >= self._most_connections or calls > self._most_calls:
            raise Refused("overload", RETRY["overload"])
        self._by_identity[call, identity] += 1
        self._by_call[call] += 1
        self.connections += 1

    def leave(self, call: str, identity: str) -> None:
        """A connection that `enter` took on is closed, or was not made."""
        self._by_identity[call, identity] -= 1
        if self._by_identity[call, identity] <= 0:
            del self._by_identity[call, identity]
        self._by_call[call] -= 1
        if self._by_call[call] <= 0:
            del self._by_call[call]
        self.connections -= 1

    def _spend(self, key: tuple[str, str], now: float) -> None:
        """Take one offer from the bucket of an identifier in a call."""
        rate = self._limits.offers_per_second
        full = float(rate * BURST)
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= BUCKETS:
                self._forget(now)
            bucket = self._buckets[key] = _Bucket(full, now)
        bucket.tokens = min(full, bucket.tokens + (now - bucket.at) * rate)
        bucket.at = now
        if bucket.tokens < 1:
            raise Refused("offer_rate", max(1, math.ceil((1 - bucket.tokens) / rate)))
        bucket.tokens -= 1

    def _forget(self, now: float) -> None:
        rate = self._limits.offers_per_second
        for key, bucket in list(self._buckets.items()):
            if bucket.tokens + (now - bucket.at) * rate >= rate * BURST:
                del self._buckets[key]
