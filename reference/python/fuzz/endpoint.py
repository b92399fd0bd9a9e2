# SPDX-License-Identifier: Apache-2.0
"""An endpoint whose relay or peer does as the bytes say, while its application gives commands."""

from __future__ import annotations

import contextlib
import itertools
from typing import Any

from callchannel.core import bugs
from callchannel.core import frames as wire
from callchannel.core.decoding import decode_packet
from callchannel.core.endpoint import Endpoint, Peer
from callchannel.core.errors import CallChannelError, ErrorCode
from callchannel.core.events import LinkEnded, ReceiverClosed, ReceiverCreated, SenderEnded
from callchannel.core.extensions import Metadata
from callchannel.core.lanes import Lane
from callchannel.core.limits import MS, RELIABLE_PACKET, Limits
from callchannel.core.link import LinkState
from callchannel.core.messages import Confirm, Priority, Reliability
from callchannel.core.receivers import SESSION_COST
from fuzz import programs
from fuzz.hostile import Hostile
from fuzz.programs import Choices, Kind

LIMITS = Limits(
    window=65_536,
    largest_message=65_536,
    unacknowledged=65_536,
    open_sessions=16,
    unconfirmed_messages=64,
    send_buffer=65_536,
    lossy_queue=4_096,
    lossy_partial_messages=8,
    lossy_partial_bytes=65_536,
    receive_memory=1 << 20,
)
"""As little as may be, so that every limit is met."""
MEMORY = 24 << 20
"""Bytes of Python objects that an endpoint with these limits never holds, however it is treated."""
_TOKEN = b"T" * 16
_INSTANCE = b"I" * 16


class World:
    """One endpoint, and the other side of its transports."""

    def __init__(self, role: int) -> None:
        numbers = itertools.count(1)
        self.role = ("group", "initiator", "acceptor")[role % 3]
        peer = None
        if self.role != "group":
            peer = Peer(initiator=self.role == "initiator", identity="ann" if self.role == "acceptor" else "")
        self.now = 1_000_000
        self.machine = Endpoint(
            entropy=lambda size: next(numbers).to_bytes(size, "big"),
            identity="carol",
            limits=LIMITS,
            peer=peer,
            now=self.now,
        )
        self.other = Hostile(is_relay=self.role == "group")
        self.transports: list[int] = []
        self.senders: list[int] = []
        self.streams: list[tuple[int, int]] = []
        self.receivers: list[int] = []
        self.token = _TOKEN
        self.attempt = 0
        self.sequences: dict[int, int] = {}
        self.counted = 0
        """Counted frames that this side wrote are for the machine to count; it is told what this side got."""
        self._transports = itertools.count(1)
        self.is_over = False

    # --- the other side ----------------------------------------------------------------------------------------

    def up(self, *, lossy: bool = True) -> None:
        """A transport comes up."""
        number = next(self._transports)
        self.transports = [*self.transports[-3:], number]
        self.machine.transport_up(number, self.now, lossy=lossy)

    def shake_hands(self, *, resume: bool = False) -> None:
        """Do what makes the link active."""
        if self.role == "acceptor":
            self.attempt += 1
            token = self.token if resume else _INSTANCE
            hello = wire.Hello(
                token, self.attempt, 65_536, 65_536, self.other.received if resume else 0, 0, "ann", resume, not resume
            )
            if not resume:
                self.other.fresh_link()
            self.give(Lane.RELIABLE, hello.encode())
            self.talk(ack=True)
            return
        for frame in self.talk(ack=False):
            if isinstance(frame, wire.Hello):
                self._welcome(frame)

    def _welcome(self, hello: wire.Hello) -> None:
        slot = 2 if self.role == "group" else 1
        if not hello.resume:
            self.other.fresh_link()
        received = self.other.received if hello.resume else 0
        answer = wire.Welcome(slot, _TOKEN, hello.attempt, 65_536, 65_536, 30_000, "carol", received)
        members = ((0, "ann"), (1, "bob"), (2, "carol")) if self.role == "group" else ((0, "ann"), (1, "carol"))
        entries = tuple(wire.RosterEntry(wire.RosterOp.JOIN, number, 0, name) for number, name in members)
        self.give(Lane.RELIABLE, answer.encode())
        if not hello.resume:
            self.other.epoch = 1
            self.give(Lane.RELIABLE, wire.Roster(1, entries, snapshot=True).encode())
        self.other.others = [0, 1] if self.role == "group" else [0]
        self.other.slot = 2 if self.role == "group" else 0

    def give(self, lane: Lane, packet: bytes) -> None:
        """A packet arrives on the newest transport."""
        if self.transports:
            self.machine.receive(self.transports[-1], lane, packet, self.now)

    def talk(self, *, ack: bool, budget: int = 1 << 20) -> list[Any]:
        """Take what the machine writes. It is always well-formed."""
        found: list[Any] = []
        for number in (*self.machine.take_dirty(), *self.transports):
            for lane in Lane:
                for packet in self.machine.pull(number, lane, budget, self.now):
                    assert 0 < len(packet) <= (1_150 if lane else RELIABLE_PACKET)
                    if self.transports and number == self.transports[-1]:
                        found += self.other.take(lane, packet)
                    else:
                        found += decode_packet(packet, lane)
        for frame in found:
            if isinstance(frame, wire.Welcome):
                self.token, self.other.slot, self.other.others = frame.token, 1, [0]
        self.machine.take_closing()
        if ack and self.transports and self.machine.state is LinkState.ACTIVE:
            self.other.acked = self.other.received
            self.give(Lane.RELIABLE, wire.Ack(self.other.received).encode())
        return found

    # --- the application ---------------------------------------------------------------------------------------

    def look(self) -> None:
        """Hand out events, and judge what shows."""
        for event in self.machine.events():
            assert not self.is_over or isinstance(event, ReceiverClosed) or self.role == "acceptor", event
            if isinstance(event, ReceiverCreated):
                self.receivers.append(event.receiver)
            elif isinstance(event, SenderEnded) and event.sender in self.senders:
                self.senders.remove(event.sender)
            elif isinstance(event, LinkEnded):
                self.is_over = True
                assert event.code != ErrorCode.INTERNAL
        statistics = self.machine.statistics()
        assert 0 <= statistics.bytes_buffered <= LIMITS.receive_memory
        most = LIMITS.receive_memory // SESSION_COST
        assert statistics.receivers_open <= most
        assert 0 <= statistics.link.bytes_unacknowledged <= LIMITS.unacknowledged + RELIABLE_PACKET + 22 * most + 65_536

    def command(self, choices: Choices) -> None:
        """One command, as the choices say."""
        with contextlib.suppress(CallChannelError):  # what a command may raise is chapter 14's; a bug is another
            self._command(choices)

    def _command(self, choices: Choices) -> None:
        machine, now = self.machine, self.now
        way = choices.byte() % 12
        if way == 0:
            reliability = choices.pick(tuple(Reliability))
            lossy = reliability is Reliability.LOSSY
            options: dict[str, Any] = {
                "channel": choices.byte() % 8,
                "reliability": reliability,
                "priority": choices.pick(tuple(Priority)),
                "confirm": Confirm.ACCEPTED if lossy else choices.pick(tuple(Confirm)),
                "latest": lossy and choices.one_in(2),
                "bitrate": 100_000 if choices.one_in(4) else None,
                "to": choices.pick((None, None, ["ann"], ["bob", "ann"])),
            }
            self.senders.append(machine.open_sender(now, **options))
        elif way < 4 and self.senders:
            metadata = Metadata(name="a.txt", content_type="text/plain") if choices.one_in(8) else None
            to = choices.pick((None, None, None, ["ann"], ["nobody"]))
            sender = choices.pick(self.senders)
            for _ in range(choices.pick((1, 1, 1, 4, 40))):
                machine.send(sender, choices.payload(), now, metadata=metadata, to=to)
        elif way == 4 and self.senders:
            sender = choices.pick(self.senders)
            self.streams = [*self.streams[-8:], (sender, machine.open_stream(sender, now))]
        elif way == 5 and self.streams:
            sender, sequence = choices.pick(self.streams)
            machine.write_stream(sender, sequence, choices.payload(), now)
        elif way == 6 and self.streams:
            machine.finish_stream(*choices.pick(self.streams), now)
        elif way == 7 and self.senders:
            machine.cancel(choices.pick(self.senders), choices.byte() % 8 + 1, ErrorCode.CANCELLED, now)
        elif way == 8 and self.senders:
            machine.close_sender(choices.pick(self.senders), now)
        elif way in (9, 10) and self.receivers:
            self._read(choices.pick(self.receivers), choices.byte())
        elif way == 11:
            if choices.one_in(16):
                machine.leave(now)
            elif self.receivers:
                machine.close_receiver(choices.pick(self.receivers), now)

    def _read(self, receiver: int, count: int) -> None:
        machine, now = self.machine, self.now
        for _ in range(count):
            message = machine.read(receiver, now)
            if message is None:
                chunk = machine.read_stream(receiver, now)
                if chunk is None:
                    return
                continue
            assert message.sequence != self.sequences.get(receiver), "CC-SESS-032"
            if machine.receiver_info(receiver).reliability is Reliability.RELIABLE:
                assert message.sequence > self.sequences.get(receiver, 0), "CC-SESS-030"
            self.sequences[receiver] = message.sequence

    # --- programs ----------------------------------------------------------------------------------------------

    def wait(self, duration: int) -> None:
        """Let time pass, with all deadlines."""
        end = self.now + duration
        for _ in range(200):
            due = self.machine.deadline()
            if due is None or due > end:
                break
            self.now = max(self.now, due)
            self.machine.handle_timeout(self.now)
            self.talk(ack=False)
        self.now = end

    def do(self, kind: Kind, body: bytes) -> None:
        """One operation."""
        choices = Choices(body)
        if kind in (Kind.RELIABLE, Kind.LOSSY):
            self.give(Lane.LOSSY if kind is Kind.LOSSY else Lane.RELIABLE, body)
        elif kind is Kind.FRAMES:
            self.give(*self.other.frames(choices))
        elif kind is Kind.COMMAND:
            while choices:
                self.command(choices)
        elif kind is Kind.TIME:
            self.wait(choices.pick((1 * MS, 25 * MS, 500 * MS, 3_000 * MS, 16_000 * MS, 40_000 * MS, 130_000 * MS)))
        elif kind is Kind.TRANSPORT:
            self._transport(choices)
        else:
            self.talk(ack=choices.byte() % 4 != 3, budget=choices.pick((1, 4_000, 1 << 20)))
        self.look()

    def _transport(self, choices: Choices) -> None:
        way = choices.byte() % 8
        if way < 3:
            self.up(lossy=not choices.one_in(4))
            if way:
                self.shake_hands(resume=way == 2)
        elif way == 3 and self.transports:
            self.machine.transport_down(choices.pick(self.transports), self.now)
        elif way == 4 and self.transports:
            self.machine.lossy_lane(choices.pick(self.transports), choices.one_in(2), self.now)
        elif way == 5 and self.transports:
            self.machine.transport_down(self.transports[-1], self.now)
            self.up()
            self.shake_hands(resume=True)


def run(data: bytes) -> None:
    """Run a program; its first byte chooses the endpoint's role, and whether it has joined."""
    if not data:
        return
    before = bugs.set_reporter(bugs.raise_bug)
    try:
        _run(data)
    finally:
        bugs.set_reporter(before)


def _run(data: bytes) -> None:
    world = World(data[0])
    world.up()
    if data[0] < 0xC0:
        world.shake_hands()
        world.command(Choices(b"\0\0\0\0\0\0\0"))
    for operation in programs.operations(data[1:]):
        world.do(*operation)
    world.wait(200_000 * MS)
    world.talk(ack=True)
    world.look()


def seeds() -> Any:
    """Programs for each role."""
    for number, program in enumerate(programs.seeds()):
        yield bytes([number % 3]) + program


mutate = programs.mutate
