# SPDX-License-Identifier: Apache-2.0
"""Whole calls: endpoints and a relay in virtual time, with cuts, slow readers, joins and leaves in a random order."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

import pytest

from callchannel.core.endpoint import Endpoint
from callchannel.core.errors import CallChannelError
from callchannel.core.events import MessageConfirmed, MessageFailed, MessagesConfirmed, ReceiverCreated, RecipientFailed
from callchannel.core.limits import Limits
from callchannel.core.messages import Confirm
from callchannel.core.relay import Admission, Relay
from tests.core.network import MS, SECOND, Network, Node, entropy

NAMES = ("ann", "bob", "carol", "dan")


class World:
    """A call, and what should be true of it."""

    def __init__(self, seed: int, **limits: int) -> None:
        self.chance = random.Random(seed)
        self.limits = Limits(window=65_536, unacknowledged=65_536, **limits)
        self.network = Network(fates=self._fates())
        self.relay = self.network.add(Relay(entropy=entropy(seed), limits=self.limits))
        self.nodes: dict[str, Node] = {}
        self.cables: dict[str, Any] = {}
        self.senders: dict[str, list[int]] = defaultdict(list)
        self.sent: dict[str, dict[tuple[int, int], bytes]] = defaultdict(dict)
        self.read: dict[str, list[bytes]] = defaultdict(list)
        self.count = 0
        for name in NAMES:
            self.join(name)

    def _fates(self) -> Any:
        while True:
            yield self.chance.choice(("ok", "ok", "ok", "drop", "delay", "dup"))

    def join(self, name: str) -> None:
        number = len(self.nodes) + 100
        node = Endpoint(entropy=entropy(number), identity=name, limits=self.limits)
        self.nodes[name] = self.network.add(node)
        self.connect(name)
        self.network.run(100 * MS)

    def connect(self, name: str) -> None:
        self.cables[name] = self.network.connect(
            self.nodes[name], self.relay, admission=Admission(identity=name), lossy=self.chance.random() < 0.8
        )

    def cut(self, name: str) -> None:
        self.network.cut(self.cables[name])

    def open(self, name: str) -> None:
        confirm = self.chance.choice((Confirm.ACCEPTED, Confirm.DELIVERED))
        self.senders[name].append(self.nodes[name].open_sender(confirm=confirm))

    def send(self, name: str) -> None:
        sender = self.chance.choice(self.senders[name])
        self.count += 1
        size = self.chance.choice((0, 10, 300, 2_000, 40_000))
        payload = b"%s %d %d " % (name.encode(), sender, self.count) + bytes(size)
        others = [other for other in self.nodes if other != name]
        to = self.chance.choice((None, None, [self.chance.choice(others)], others[:2]))
        try:
            sequence = self.nodes[name].send(sender, payload, to=to)
        except CallChannelError:
            return
        self.sent[name][sender, sequence] = payload

    def take(self, name: str) -> None:
        node = self.nodes[name]
        for event in node.told(ReceiverCreated):
            try:
                while (message := node.read(event.receiver)) is not None:
                    self.read[name].append(message.data)
            except CallChannelError:
                continue  # it has ended, and everything was read

    def finish(self) -> None:
        """Everybody is back and reads everything."""
        self.network.unblock(self.relay)
        for _ in range(40):
            self.network.run(500 * MS)
            for name in self.nodes:
                self.take(name)

    def check(self) -> None:
        """CC-RELAY-028, CC-DELIV-001, CC-DELIV-006: at most once, in order, and each message has one outcome."""
        for name, payloads in self.read.items():
            assert len(payloads) == len(set(payloads)), f"{name} read something twice"
            last: dict[bytes, int] = defaultdict(int)
            for payload in payloads:
                who, sender, count, *_ = payload.split(b" ")
                assert int(count) > last[who + b" " + sender], f"{name} read out of order"
                last[who + b" " + sender] = int(count)
        for name, messages in self.sent.items():
            node = self.nodes[name]
            settled: dict[tuple[int, int], int] = defaultdict(int)
            for event in node.told(MessageConfirmed) + node.told(MessageFailed):
                settled[event.sender, event.sequence] += 1
            through: dict[int, int] = defaultdict(int)
            for event in node.told(MessagesConfirmed):
                through[event.sender] = max(through[event.sender], event.through)
            for key, payload in messages.items():
                assert settled[key] <= 1, "settled twice"
                if not settled[key]:
                    assert through[key[0]] >= key[1], "never settled"
                    reached = [other for other in self.nodes if payload in self.read[other]]
                    assert reached or node.told(RecipientFailed), "accepted, lost, and nobody was told"


@pytest.mark.parametrize("seed", range(12))
def test_everything_is_settled_whatever_happens(seed: int) -> None:
    """CC-MODEL-014, CC-RELAY-015, CC-RELAY-028: cuts, resumes, blocked transports and slow readers."""
    world = World(seed, stall_time=5_000 * MS)
    for name in NAMES:
        world.open(name)
        world.open(name)
    away: set[str] = set()
    for _ in range(120):
        name = world.chance.choice(NAMES)
        action = world.chance.choice(("send",) * 8 + ("take", "take", "cut", "connect", "wait", "block", "open"))
        if action == "send":
            world.send(name)
        elif action == "take":
            world.take(name)
        elif action == "cut" and name not in away:
            world.cut(name)
            away.add(name)
        elif action == "connect" and away:
            back = away.pop()
            world.connect(back)
        elif action == "block":
            world.relay.blocked = not world.relay.blocked
            if not world.relay.blocked:
                world.network.unblock(world.relay)
        elif action == "open" and len(world.senders[name]) < 6:
            world.open(name)
        world.network.run(world.chance.choice((0, 1, 10, 200)) * MS)
    for name in away:
        world.connect(name)
    world.finish()
    world.check()
    assert world.relay.machine.statistics().links
    for link in world.relay.machine.statistics().links:
        assert link.bytes_queued == 0


def test_what_was_delivered_was_read() -> None:
    """CC-RELAY-068: an aggregated receipt says that everyone has read."""
    world = World(1)
    sender = world.nodes["ann"].open_sender(confirm=Confirm.DELIVERED)
    numbers = [world.nodes["ann"].send(sender, b"ann %d %d " % (sender, number)) for number in range(1, 6)]
    world.network.run(SECOND)
    assert world.nodes["ann"].told(MessageConfirmed) == []
    for name in ("bob", "carol", "dan"):
        world.take(name)
    world.network.run(SECOND)
    assert [event.sequence for event in world.nodes["ann"].told(MessageConfirmed)] == numbers
    world.check()


def test_leaving_in_the_middle_of_a_call() -> None:
    """CC-RELAY-046, CC-RELAY-062, CC-RELAY-063: what was accepted arrives, who is gone is reported."""
    world = World(2)
    dan = world.nodes["dan"]
    sender = dan.open_sender()
    for number in range(1, 20):
        dan.send(sender, b"dan %d %d " % (sender, number) + bytes(1_000))
    to_dan = world.nodes["ann"].open_sender(confirm=Confirm.DELIVERED)
    world.nodes["ann"].send(to_dan, b"ann %d 1 " % to_dan, to=["dan"])
    world.network.run(SECOND)
    dan.leave()
    world.network.run(2 * SECOND)
    for name in ("ann", "bob", "carol"):
        world.take(name)
        assert len([payload for payload in world.read[name] if payload.startswith(b"dan")]) == 19
    (failed,) = world.nodes["ann"].told(MessageFailed)
    assert failed.report.failed or failed.report.unknown
    assert [member.identity for member in world.relay.machine.participants] == ["ann", "bob", "carol"]
