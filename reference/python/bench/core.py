# SPDX-License-Identifier: Apache-2.0
"""Core to core in memory: two endpoints of a peer-to-peer call, one Reliable session, messages in one direction.

Every contestant sends `BATCH` messages, then everything that is due is carried over, and the receiver compares each
message with what was sent. With ours, ACK and CREDIT go back in the same pump, and the sender takes its confirmations.
The clock stops when the last message was read and checked. Time is that of the process, so that others on the machine
disturb less.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from bench.contest import Contestant, Row, Target, compare
from bench.peers import Http2, WebSockets, WsProto
from bench.settings import Settings
from callchannel import Endpoint, Lane, Peer
from callchannel.core.events import MessagesConfirmed, ReceiverReadable

BATCH = 16
"""Messages in a pump; so many the receiver acknowledges at once, too."""
BUDGET = 1 << 20


class Pipe(Protocol):
    """Carries messages one way."""

    def send(self, message: bytes) -> None:
        """Write one message."""

    def pump(self) -> None:
        """Let everything arrive and be read."""


class Callchannel:
    """Two endpoints of a peer-to-peer call."""

    def __init__(self, check: Callable[[bytes], None]) -> None:
        self._ann = Endpoint(entropy=os.urandom, identity="ann", peer=Peer(initiator=True))
        self._bob = Endpoint(entropy=os.urandom, identity="bob", peer=Peer(initiator=False, identity="ann"))
        self._check = check
        self._now = 0
        self.confirmed = 0
        for end in (self._ann, self._bob):
            end.transport_up(1, 0)
        for _ in range(3):
            self.pump()
        self._sender = self._ann.open_sender(0)

    def send(self, message: bytes) -> None:
        """Send one message."""
        self._ann.send(self._sender, message, self._now)

    def pump(self) -> None:
        """Let everything arrive and be read, and its confirmation come back."""
        ann, bob = self._ann, self._bob
        now = self._now = self._now + 1_000
        while ann.take_dirty():  # once more where CREDIT has come for what is left
            for packet in ann.pull(1, Lane.RELIABLE, BUDGET, now):
                bob.receive(1, Lane.RELIABLE, packet, now)
            for event in bob.events():
                if isinstance(event, ReceiverReadable):
                    for message in bob.read_all(event.receiver, now):
                        self._check(message.data)
            if bob.take_dirty():
                for packet in bob.pull(1, Lane.RELIABLE, BUDGET, now):
                    ann.receive(1, Lane.RELIABLE, packet, now)
            for event in ann.events():
                if isinstance(event, MessagesConfirmed):
                    self.confirmed = event.through


def rate(make: Callable[[Callable[[bytes], None]], Pipe], size: int, count: int, batch: int = BATCH) -> float:
    """Messages a second. Raises `AssertionError` where a message is not what was sent, or missing."""
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


def run(settings: Settings) -> list[Row]:
    """100 B and 16 KiB."""
    rows: list[Row] = []
    for size, label, count, ahead in ((100, "100 B", 40_000, 2.0), (16_384, "16 KiB", 8_000, 1.2)):

        def contestant(
            name: str,
            make: Callable[[Callable[[bytes], None]], Pipe],
            share: int = 1,
            size: int = size,
            count: int = count,
        ) -> Contestant:
            return Contestant(name, lambda: rate(make, size, settings.times(count // share)))

        rows += compare(
            "core",
            f"one Reliable session, {label}",
            "messages/s",
            contestant("callchannel", Callchannel),
            [
                (contestant("websockets, from server", WebSockets), Target(ahead)),
                (contestant("websockets, from client", lambda check: WebSockets(check, from_client=True)), None),
                (contestant("h2", Http2, 4), Target(8)),
                (contestant("wsproto", WsProto, 2), None),
            ],
            settings.runs,
        )
    return rows
