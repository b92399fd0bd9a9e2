# SPDX-License-Identifier: Apache-2.0
"""Group calls in memory around one relay, for measuring the relay alone.

The other endpoints are frames: what endpoints would write is made beforehand, so that only the relay's work is timed.
Links that answer do so like endpoints: ACK after 16 frames or at the end of a round, CREDIT after a quarter of the
window.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Iterator, Sequence

from callchannel import Lane
from callchannel.core.frames import PRIVATE, RELIABLE, Ack, Credit, Data, Hello
from callchannel.core.recipients import Recipients
from callchannel.core.relay import Admission, Relay

WINDOW = 262_144
BUDGET = 65_536
PAYLOAD = bytes(range(100))
_TOGETHER = 500
"""So many join before all read the roster: everybody's first one, of all before, has to wait so long."""


class RelayedCall:
    """A relay and the links of `endpoints`, each in the slot of its number; all have read the roster."""

    def __init__(self, endpoints: int) -> None:
        numbers = itertools.count(1)
        self.relay = relay = Relay(entropy=lambda size: next(numbers).to_bytes(size, "big"))
        self.endpoints = endpoints
        self.now = 0
        self._counts = [0] * endpoints
        """What each link has acknowledged."""
        self._owed = [0] * endpoints
        self._sequence = 0
        self._sent = self._credited = 0
        for number in range(endpoints):
            relay.transport_up(number, self.now, admission=Admission(identity=f"endpoint {number}"))
            hello = Hello(number.to_bytes(16, "big"), 1, WINDOW, 1 << 24)
            relay.receive(number, Lane.RELIABLE, hello.encode(), self.now)
            if not number % _TOGETHER:
                self._settle()
        self._settle()
        self._settle()
        relay.events()

    def _settle(self) -> None:
        """Let everyone have the roster as it is."""
        self.now += 60_000
        self.relay.handle_timeout(self.now)
        self._acknowledge(self.relay.take_dirty())

    def _acknowledge(self, links: Sequence[int]) -> None:
        """Take what is due without timing it, and acknowledge it. Rosters are few: their frames are counted here."""
        for link in links:
            while packets := self.relay.pull(link, Lane.RELIABLE, BUDGET, self.now):
                self._counts[link] += sum(_countable(packet) for packet in packets)
            self.relay.receive(link, Lane.RELIABLE, Ack(self._counts[link]).encode(), self.now)
        self.relay.take_dirty()

    def run(self, *, burst: int, rounds: int, recipients: int | None = None, stalled: int = 0) -> tuple[float, int]:
        """Endpoint 0 sends `burst` messages of 100 B in each round; returns the relay's seconds, and its deliveries.

        `recipients`: only so many endpoints are addressed, the first ones. `stalled`: so many of the recipients, the
        last ones, take nothing: their transports have no room.
        """
        relay = self.relay
        named = None if recipients is None else Recipients(_epoch(self), False, ((1 << recipients) - 1) << 1)
        flags = RELIABLE if named is None else RELIABLE | PRIVATE
        last = (self.endpoints - 1 if recipients is None else recipients) - stalled
        reached = range(1, last + 1)
        delivered = 0
        seconds = 0.0
        for _ in range(rounds):
            self.now += 1_000
            frames = []
            for _ in range(burst):
                self._sequence += 1
                frames.append(Data(5, 0, 1, self._sequence, PAYLOAD, flags, None, named).encode())
            written = len(PAYLOAD) + 16
            packets = [b"".join(frames[place : place + 9]) for place in range(0, burst, 9)] if named is None else frames
            self._sent += burst * written
            give = self._sent - self._credited >= WINDOW // 4
            answers = []
            for link in reached:
                self._owed[link] += burst
                if give or self._owed[link] >= 16:
                    self._counts[link] += self._owed[link]
                    self._owed[link] = 0
                    answer = Ack(self._counts[link]).encode()
                    if give:
                        answer += Credit(0, link, 1, self._sent + WINDOW).encode()
                    answers.append((link, answer))
            if give:
                self._credited = self._sent
            packets_out: list[bytes] = []
            start = time.process_time()
            for packet in packets:
                relay.receive(0, Lane.RELIABLE, packet, self.now)
            for link in relay.take_dirty():
                if link > last:
                    continue
                packets_out += relay.pull(link, Lane.RELIABLE, BUDGET, self.now)
            for link, answer in answers:
                relay.receive(link, Lane.RELIABLE, answer, self.now)
            seconds += time.process_time() - start
            delivered += sum(_deliveries(packet) for packet in packets_out)
        assert delivered == burst * rounds * len(reached), "not everything was delivered"
        return seconds, delivered


def _types(packet: bytes) -> Iterator[int]:
    at = 0
    while at < len(packet):
        yield packet[at]
        at += packet[at + 2] << 8 | packet[at + 3]


def _countable(packet: bytes) -> int:
    """Counted frames of a packet that the relay wrote."""
    return sum(not kind & 0x40 for kind in _types(packet))


@functools.lru_cache(maxsize=16)
def _deliveries(packet: bytes) -> int:
    """DATA frames of a packet; most packets are the same for many links."""
    return sum(kind == 1 for kind in _types(packet))


def _epoch(call: RelayedCall) -> int:
    return call.endpoints  # each join is one epoch
