# SPDX-License-Identifier: Apache-2.0
"""Core to core in memory: two endpoints of a peer-to-peer call, one Reliable session, messages in one direction.

Every contestant sends so many messages, then everything that is due is carried over (a pump), and the receiver compares
each message with what was sent. With ours, ACK and CREDIT go back in the same pump, and the sender takes its
confirmations. A pump of 64 small messages is what an event loop hands over under load; one of 16 is shown beside it.

16 KiB is 16 bytes more than fits one packet beside the header, so each message is two frames in more than one packet;
the row with 16,368 bytes shows what that costs. A transport that does not cut what it carries into chunks has no
reason for small bundles: the row with `bundle` 16,384 shows that.
The clock stops when the last message was read and checked. Time is that of the process, so that others on the machine
disturb less.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from bench.contest import Contestant, Row, Target, compare
from bench.peers import Http2, WebSockets, WsProto
from bench.settings import Settings
from callchannel import Endpoint, Lane, Limits, Peer
from callchannel.core.events import MessagesConfirmed, ReceiverReadable
from callchannel.core.frames import DATA_HEADER
from callchannel.core.limits import RELIABLE_PACKET

BUDGET = 1 << 20


class Pipe(Protocol):
    """Carries messages one way."""

    def send(self, message: bytes) -> None:
        """Write one message."""

    def pump(self) -> None:
        """Let everything arrive and be read."""


Make = Callable[[Callable[[bytes], None]], Pipe]
"""Makes a pipe that calls something with each message that arrives."""


class Callchannel:
    """Two endpoints of a peer-to-peer call."""

    def __init__(self, check: Callable[[bytes], None], limits: Limits | None = None) -> None:
        self._ann = Endpoint(entropy=os.urandom, identity="ann", peer=Peer(initiator=True), limits=limits)
        self._bob = Endpoint(
            entropy=os.urandom, identity="bob", peer=Peer(initiator=False, identity="ann"), limits=limits
        )
        self._check = check
        self._now = 0
        self.confirmed = 0
        for end in (self._ann, self._bob):
            end.transport_up(1, 0)
        for _ in range(3):
            self.pump()
        self._sender = self._ann.open_sender(0)
        self._send = self._ann.send

    def send(self, message: bytes) -> None:
        """Send one message."""
        self._send(self._sender, message, self._now)

    def pump(self) -> None:
        """Let everything arrive and be read, and its confirmation come back."""
        ann, bob, check = self._ann, self._bob, self._check
        now = self._now = self._now + 1_000
        while ann.take_dirty():  # once more where CREDIT has come for what is left
            for packet in ann.pull(1, Lane.RELIABLE, BUDGET, now):
                bob.receive(1, Lane.RELIABLE, packet, now)
            for event in bob.events():
                if isinstance(event, ReceiverReadable):
                    for message in bob.read_all(event.receiver, now):
                        check(message.data)
            if bob.take_dirty():
                for packet in bob.pull(1, Lane.RELIABLE, BUDGET, now):
                    ann.receive(1, Lane.RELIABLE, packet, now)
            for event in ann.events():
                if isinstance(event, MessagesConfirmed):
                    self.confirmed = event.through


def rate(make: Make, size: int, count: int, batch: int) -> float:
    """Messages a second, `batch` in a pump. Raises `AssertionError` where one is not what was sent, or missing."""
    messages = [os.urandom(size) for _ in range(64)]
    expected: Iterator[bytes] = itertools.cycle(messages)
    received = 0

    def check(message: bytes) -> None:
        nonlocal received
        assert message == next(expected)
        received += 1

    pipe = make(check)
    start = time.process_time()
    for first in range(0, count, batch):
        for place in range(first, first + batch):
            pipe.send(messages[place & 63])
        pipe.pump()
    elapsed = time.process_time() - start
    assert received == -(-count // batch) * batch
    return received / elapsed


def _server(check: Callable[[bytes], None]) -> Pipe:
    return WebSockets(check)


def _client(check: Callable[[bytes], None]) -> Pipe:
    return WebSockets(check, from_client=True)


def _bundling(check: Callable[[bytes], None]) -> Pipe:
    return Callchannel(check, Limits(bundle=RELIABLE_PACKET))


def run(settings: Settings) -> list[Row]:
    """100 B, 16 KiB, and the largest message that is one frame."""
    rows: list[Row] = []
    for size, label, count, batch, ahead in (
        (100, "100 B", 40_000, 64, 2.0),
        (16_384, "16 KiB", 8_000, 16, 1.2),
    ):
        rows += _compare(
            f"one Reliable session, {label}, {batch} a pump",
            settings,
            (size, count, batch),
            Callchannel,
            [
                ("websockets, from server", _server, 1, Target(ahead)),
                ("websockets, from client", _client, 1, None),
                ("h2", Http2, 4, Target(8)),
                ("wsproto", WsProto, 2, None),
            ],
        )
    for work, ours, amount in (
        ("100 B, 16 a pump", Callchannel, (100, 40_000, 16)),
        ("100 B, 64 a pump, `bundle` 16,384", _bundling, (100, 40_000, 64)),
        ("16,368 B, 16 a pump", Callchannel, (RELIABLE_PACKET - DATA_HEADER, 8_000, 16)),
    ):
        peers = [("websockets, from server", _server, 1, None)]
        rows += _compare(f"one Reliable session, {work}", settings, amount, ours, peers)
    return rows


def _compare(
    work: str,
    settings: Settings,
    amount: tuple[int, int, int],
    ours: Make,
    peers: Sequence[tuple[str, Make, int, Target | None]],
) -> list[Row]:
    """Rows of one amount of work: size, messages, and how many in a pump. Slow peers do a share of it."""
    size, count, batch = amount

    def contestant(name: str, make: Make, share: int = 1) -> Contestant:
        return Contestant(name, lambda: rate(make, size, settings.times(count // share), batch))

    return compare(
        "core",
        work,
        "messages/s",
        contestant("callchannel", ours),
        [(contestant(name, make, share), target) for name, make, share, target in peers],
        settings.runs,
    )
