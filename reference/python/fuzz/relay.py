# SPDX-License-Identifier: Apache-2.0
"""A relay with two endpoints that behave and two that do as the bytes say.

Whatever these do, the two that behave get each other's messages, in order, once, and all of them (CC-SEC-021).
"""

from __future__ import annotations

import itertools
from typing import Any

from callchannel.core import bugs
from callchannel.core import frames as wire
from callchannel.core.decoding import decode_packet
from callchannel.core.endpoint import Endpoint
from callchannel.core.errors import CallChannelError
from callchannel.core.events import LinkEnded, MessageFailed, ReceiverClosed, ReceiverCreated
from callchannel.core.lanes import Lane
from callchannel.core.limits import MS, RELIABLE_PACKET, Limits
from callchannel.core.recipients import NO_SLOT
from callchannel.core.relay import Admission, Relay
from fuzz import programs
from fuzz.hostile import Hostile
from fuzz.programs import Choices, Kind

LIMITS = Limits(
    window=65_536,
    largest_message=65_536,
    unacknowledged=65_536,
    open_sessions=16,
    unconfirmed_messages=64,
    lossy_queue=4_096,
    relay_link_memory=1 << 20,
    stall_time=1_000 * MS,
    roster_slots=8,
)
MEMORY = 48 << 20
"""Bytes of Python objects that a relay with these limits and the two good endpoints never hold."""
_GOOD = ("ann", "bob")
_QUIET = 5_000 * MS
"""How long the good ones are given at the end."""


class Good:
    """An endpoint that behaves. It sends to the other one, and reads everything."""

    def __init__(self, world: World, name: str, seed: int) -> None:
        numbers = itertools.count(seed)
        self.name = name
        self.machine = Endpoint(
            entropy=lambda size: next(numbers).to_bytes(size, "big"), identity=name, limits=Limits(), now=world.now
        )
        self.transport = 0
        self.sender = 0
        self.sent = 0
        self.got = 0
        self.receivers: dict[int, str] = {}

    def say(self, now: int) -> None:
        """Send the next message to the other one."""
        try:
            self.machine.send(self.sender, self.sent.to_bytes(4, "big") * (1 + self.sent % 300), now)
        except CallChannelError as error:
            assert error.code == 0x45, error  # WOULD_BLOCK: wait
            return
        self.sent += 1

    def look(self, now: int) -> None:
        """Take events and messages, and judge them."""
        for event in self.machine.events():
            assert not isinstance(event, LinkEnded), event
            assert not isinstance(event, MessageFailed), event
            if isinstance(event, ReceiverCreated):
                self.receivers[event.receiver] = event.sender.identity
            elif isinstance(event, ReceiverClosed):
                assert self.receivers.pop(event.receiver, None) not in _GOOD, event
        for receiver, owner in list(self.receivers.items()):
            self._read(receiver, owner, now)

    def _read(self, receiver: int, owner: str, now: int) -> None:
        try:
            while True:
                message = self.machine.read(receiver, now)
                if message is None and self.machine.read_stream(receiver, now) is None:
                    return
                if message is not None and owner in _GOOD:
                    assert message.data == self.got.to_bytes(4, "big") * (1 + self.got % 300), "lost, or out of order"
                    self.got += 1
        except CallChannelError:
            return  # nothing to read, or it has closed


class Client:
    """The far end of the hostile endpoints' transports."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.instance = bytes([number]) * 16
        self.token = bytes(16)
        self.attempt = 0
        self.transport: int | None = None
        self.hostile = Hostile(is_relay=False)
        self.hostile.others = [0, 1, 2, 3]
        self.silent = False


class World:
    """A relay and four endpoints."""

    def __init__(self) -> None:
        numbers = itertools.count(1)
        self.now = 1_000_000
        self.relay = Relay(entropy=lambda size: next(numbers).to_bytes(size, "big"), limits=LIMITS, now=self.now)
        self._transports = itertools.count(1)
        self.good: dict[int, Good] = {}
        self._steps = 0
        self.clients = [Client("eve", 101), Client("mallory", 102)]
        for seed, name in enumerate(_GOOD, 1):
            good = Good(self, name, seed << 64)
            good.transport = self._up(name)
            self.good[good.transport] = good
            good.machine.transport_up(good.transport, self.now, lossy=True)
            self.settle()
        for good in self.good.values():
            other = next(name for name in _GOOD if name != good.name)
            good.sender = good.machine.open_sender(self.now, to=[other])

    def _up(self, name: str | None) -> int:
        number = next(self._transports)
        admission = Admission(identity=name) if name is not None else None
        self.relay.transport_up(number, self.now, admission=admission, lossy=True)
        return number

    # --- carrying packets --------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Carry what the relay and the good endpoints have to say, until nothing is left."""
        for _ in range(1_000):
            busy = False
            for good in self.good.values():
                for number in good.machine.take_dirty():
                    for lane in Lane:
                        for packet in good.machine.pull(number, lane, 65_536, self.now):
                            self.relay.receive(good.transport, lane, packet, self.now)
                            busy = True
            for number in self.relay.take_dirty():
                busy = self._from_relay(number) or busy
            for number in self.relay.take_closing():
                self._from_relay(number, last=True)
                assert number not in self.good, "the link of an endpoint that behaves has ended"
                for client in self.clients:
                    if client.transport == number:
                        client.transport = None
            self.relay.events()
            if not busy:
                return
        raise AssertionError("the relay and its endpoints never come to rest")

    def _from_relay(self, number: int, *, last: bool = False) -> bool:
        busy = False
        good = self.good.get(number)
        client = next((one for one in self.clients if one.transport == number), None)
        if client is not None and client.silent and not last:
            return False
        for lane in Lane:
            while packets := self.relay.pull(number, lane, 65_536, self.now):
                busy = True
                for packet in packets:
                    assert 0 < len(packet) <= (1_150 if lane else RELIABLE_PACKET)
                    if good is not None:
                        good.machine.receive(number, lane, packet, self.now)
                    elif client is not None:
                        self._client_got(client, client.hostile.take(lane, packet))
                    else:
                        list(decode_packet(packet, lane))
        return busy

    def _client_got(self, client: Client, found: list[Any]) -> None:
        for frame in found:
            if isinstance(frame, wire.Welcome):
                client.token, client.hostile.slot = frame.token, frame.slot
            elif isinstance(frame, wire.Roster):
                client.hostile.epoch = frame.epoch
                client.hostile.others = sorted(
                    {*client.hostile.others, *(entry.slot for entry in frame.entries)} - {client.hostile.slot}
                ) or [0]

    def give(self, client: Client, lane: Lane, packet: bytes) -> None:
        """A hostile endpoint writes a packet."""
        if client.transport is not None:
            self.relay.receive(client.transport, lane, packet, self.now)

    def connect(self, client: Client, *, resume: bool, replace: bool, admitted: bool = True) -> None:
        """A hostile endpoint opens a transport and says HELLO."""
        client.transport = self._up(client.name if admitted else None)
        client.attempt += 1
        if not resume:
            client.hostile.fresh_link()
        hello = wire.Hello(
            client.token if resume else client.instance,
            client.attempt,
            65_536,
            65_536,
            client.hostile.received if resume else 0,
            0,
            client.name,
            resume,
            replace and not resume,
        )
        self.give(client, Lane.RELIABLE, hello.encode())

    # --- programs ----------------------------------------------------------------------------------------------

    def wait(self, duration: int) -> None:
        """Let time pass for all."""
        end = self.now + duration
        while self.now < end:
            due = [at for at in (self.relay.deadline(), *(one.machine.deadline() for one in self.good.values())) if at]
            self.now = max(self.now + 1, min([end, self.now + 4_000 * MS, *due]))
            self.relay.handle_timeout(self.now)
            for good in self.good.values():
                good.machine.handle_timeout(self.now)
            self.settle()

    def do(self, kind: Kind, body: bytes) -> None:
        """One operation: a hostile one's; and now and then a message of each good one."""
        choices = Choices(body)
        if kind in (Kind.RELIABLE, Kind.LOSSY):
            self.give(self.clients[len(body) % 2], Lane.LOSSY if kind is Kind.LOSSY else Lane.RELIABLE, body)
        else:
            client = choices.pick(self.clients)
            if kind is Kind.FRAMES:
                self.give(client, *client.hostile.frames(choices))
            elif kind is Kind.COMMAND:
                self._command(client, choices)
            elif kind is Kind.TIME:
                self.wait(choices.pick((1 * MS, 50 * MS, 500 * MS, 1_200 * MS, 16_000 * MS, 31_000 * MS)))
            elif kind is Kind.TRANSPORT:
                self._transport(client, choices)
            elif choices.byte() % 4 != 3:
                self.settle()
                hostile = client.hostile
                hostile.acked = hostile.received
                self.give(client, Lane.RELIABLE, wire.Ack(hostile.received).encode())
        self._steps += 1
        if self._steps % 4:
            self.settle()
            return
        for good in self.good.values():
            good.say(self.now)
        self.settle()
        self.look()

    def _command(self, client: Client, choices: Choices) -> None:
        way = choices.byte() % 8
        if way == 0:
            client.silent = not client.silent
        elif way == 1 and client.hostile.slot > 1:
            self.relay.end_link(client.hostile.slot, 0x33, "out", self.now)
        elif way == 2:
            self.relay.lossy_lane(client.transport or 0, choices.one_in(2), self.now)

    def _transport(self, client: Client, choices: Choices) -> None:
        way = choices.byte() % 8
        if way < 4:
            self.connect(client, resume=way == 1, replace=way == 2, admitted=not choices.one_in(16))
        elif way == 4:
            client.transport = self._up(client.name)
        elif way == 5 and client.transport is not None:
            self.relay.transport_down(client.transport, self.now)
            client.transport = None
        elif way == 6 and client.transport is not None:
            self.relay.transport_down(client.transport, self.now)
            self.connect(client, resume=True, replace=False)

    def look(self) -> None:
        """Judge what shows."""
        for good in self.good.values():
            good.look(self.now)
        statistics = self.relay.statistics()
        assert statistics.internal_errors == 0
        for link in statistics.links:
            assert 0 <= link.bytes_queued <= LIMITS.relay_link_memory + LIMITS.lossy_queue, link
            most = LIMITS.unacknowledged + RELIABLE_PACKET + LIMITS.relay_link_memory
            assert 0 <= link.bytes_unacknowledged <= most, link
            assert link.sessions <= LIMITS.open_sessions + LIMITS.unconfirmed_messages + 1, link
        assert statistics.unbound_transports <= 2 + len(self.clients) + 64

    def finish(self) -> None:
        """What the good ones said has arrived."""
        self.wait(_QUIET)
        self.look()
        for good in self.good.values():
            other = next(one for one in self.good.values() if one is not good)
            assert other.got == good.sent, f"{good.name} sent {good.sent} messages, {other.name} got {other.got}"


def run(data: bytes) -> None:
    """Run a program; its first byte chooses who of the hostile ones has joined."""
    if not data:
        return
    before = bugs.set_reporter(bugs.raise_bug)
    try:
        world = World()
        for number, client in enumerate(world.clients):
            if data[0] >> number & 1 == 0:
                world.connect(client, resume=False, replace=False)
                world.settle()
        assert all(client.hostile.slot < NO_SLOT for client in world.clients)
        for operation in programs.operations(data[1:]):
            world.do(*operation)
        world.finish()
    finally:
        bugs.set_reporter(before)


def seeds() -> Any:
    """Programs, most of them with both hostile endpoints in the call."""
    for number, program in enumerate(programs.seeds()):
        yield bytes([3 if number % 8 == 7 else 0]) + program


mutate = programs.mutate
