# SPDX-License-Identifier: Apache-2.0
"""Tools of the core's tests: a network in virtual time, and a link's other end written by hand.

`Network` connects machines (`Endpoint`, `Relay`). What it does to packets is data: a fate for each packet of the lossy
lane, cuts, heals, blocked writers. Nothing is random and no clock is read, so every run is the same.

`Wire` is one end of a link that a test plays itself, frame by frame: what a well-behaved machine never writes can be
written, and what is due can be seen as it is.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from callchannel.core import frames as wire
from callchannel.core.decoding import decode_packet, is_countable
from callchannel.core.endpoint import Endpoint, Peer
from callchannel.core.errors import ReceiverClosed
from callchannel.core.events import ReceiverCreated
from callchannel.core.lanes import Lane
from callchannel.core.limits import Limits
from callchannel.core.messages import Message

MS = 1_000
SECOND = 1_000_000
PLENTY = 1 << 30
"""A budget that no pull uses up."""

Fate = Literal["ok", "drop", "delay", "dup"]
"""What happens to a packet of the lossy lane."""

T = TypeVar("T")
_BUSY = 100_000
"""More steps than any test needs: beyond it a machine asks to be called again and again."""

_COMMANDS = frozenset(
    [
        "open_sender",
        "set_recipients",
        "send",
        "open_stream",
        "write_stream",
        "finish_stream",
        "cancel",
        "close_sender",
        "read",
        "read_stream",
        "close_receiver",
        "leave",
        "stop",
        "end_link",
    ]
)


def entropy(seed: int) -> Callable[[int], bytes]:
    """Bytes that look random and are the same in each run."""
    return random.Random(seed).randbytes


class Node:
    """A machine in the network, and what its application was told.

    Commands of the machine are called without `now`: `node.send(sender, b"hi")`.
    """

    def __init__(self, network: Network, machine: Any) -> None:
        self.network = network
        self.machine = machine
        self.events: list[Any] = []
        self.blocked = False
        """Whether its transports take no packets; see `Network.unblock`."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.machine, name)
        if name not in _COMMANDS:
            return found

        def command(*args: Any, **options: Any) -> Any:
            try:
                return found(*args, self.network.now, **options)
            finally:
                self.network.flush()

        return command

    def told(self, kind: type[T]) -> list[T]:
        """The events of a kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    def receivers(self) -> list[int]:
        """The numbers of all receivers so far."""
        return [event.receiver for event in self.told(ReceiverCreated)]

    def read_all(self, receiver: int) -> list[Message]:
        """Read what is there, streams excepted, up to the receiver's end."""
        found: list[Message] = []
        try:
            while message := self.read(receiver):
                found.append(message)
        except ReceiverClosed:
            pass
        return found


@dataclass
class Cable:
    """One transport between two nodes. Ends are numbered 0 and 1."""

    nodes: tuple[Node, Node]
    numbers: tuple[int, int]
    up: list[bool]
    lossy: bool


class Network:
    """Machines and the cables between them, in virtual time (microseconds)."""

    def __init__(self, *, latency: int = 5 * MS, fates: Iterable[Fate] = ()) -> None:
        self.now = 0
        self.latency = latency
        self.nodes: list[Node] = []
        self._fates: Iterator[Fate] = iter(fates)
        self._cables: dict[tuple[int, int], tuple[Cable, int]] = {}  # by node and its transport
        self._flying: list[tuple[int, int, Cable, int, Lane | None, bytes]] = []
        self._serial = itertools.count()
        self._numbers = itertools.count(1)

    # --- building ------------------------------------------------------------------------------

    def add(self, machine: Any) -> Node:
        """Put a machine into the network."""
        node = Node(self, machine)
        self.nodes.append(node)
        return node

    def connect(self, first: Node, second: Node, *, lossy: bool = True, **options: Any) -> Cable:
        """A new transport; `options` go to the second machine's `transport_up`."""
        numbers = (next(self._numbers), next(self._numbers))
        cable = Cable((first, second), numbers, [True, True], lossy)
        for end in (0, 1):
            self._cables[id(cable.nodes[end]), numbers[end]] = (cable, end)
        second.machine.transport_up(numbers[1], self.now, lossy=lossy, **options)
        first.machine.transport_up(numbers[0], self.now, lossy=lossy)
        self.flush()
        return cable

    # --- trouble -------------------------------------------------------------------------------

    def cut(self, cable: Cable) -> None:
        """Both ends lose a transport now, with all that is on its way."""
        ends = [end for end in (0, 1) if cable.up[end]]
        cable.up = [False, False]
        for end in ends:
            cable.nodes[end].machine.transport_down(cable.numbers[end], self.now)
        self.flush()

    def vanish(self, cable: Cable) -> None:
        """A transport carries nothing any more, and nobody is told."""
        cable.up = [False, False]

    def unblock(self, node: Node) -> None:
        """Let a node write again."""
        node.blocked = False
        for (owner, number), (cable, end) in list(self._cables.items()):
            if owner == id(node) and cable.up[end]:
                self._pull(node, number)
        self.flush()

    # --- running -------------------------------------------------------------------------------

    def run(self, duration: int = SECOND // 10) -> None:
        """Let time pass: packets arrive, timers fire."""
        end = self.now + duration
        self.flush()
        for _ in range(_BUSY):
            times = [node.machine.deadline() for node in self.nodes]
            due = [at for at in times if at is not None]
            if self._flying:
                due.append(self._flying[0][0])
            at = min(due, default=end + 1)
            if at > end:
                self.now = end
                return
            self.now = max(self.now, at)
            while self._flying and self._flying[0][0] <= self.now:
                self._arrive(*heapq.heappop(self._flying)[2:])
            for node in self.nodes:
                deadline = node.machine.deadline()
                if deadline is not None and deadline <= self.now:
                    node.machine.handle_timeout(self.now)
            self.flush()
        raise AssertionError("a machine keeps the loop busy")

    def flush(self) -> None:
        """Hand out events and let everybody write what is due."""
        busy = True
        while busy:
            busy = False
            for node in self.nodes:
                node.events += node.machine.events()
                for number in node.machine.take_dirty():
                    busy |= self._pull(node, number)
                for number in node.machine.take_closing():
                    self._close(node, number)
                    busy = True

    def _pull(self, node: Node, number: int) -> bool:
        cable, end = self._cables[id(node), number]
        if node.blocked or not cable.up[end]:
            return False
        wrote = False
        for lane in Lane:
            for packet in node.machine.pull(number, lane, PLENTY, self.now):
                wrote = True
                self._carry(cable, end, lane, packet)
        return wrote

    def _carry(self, cable: Cable, end: int, lane: Lane, packet: bytes) -> None:
        fate: Fate = "ok"
        if lane is Lane.LOSSY:
            fate = next(self._fates, "ok")
        delays = {"ok": [0], "drop": [], "delay": [7 * self.latency], "dup": [0, 3 * self.latency]}[fate]
        for delay in delays:
            self._send(self.latency + delay, cable, 1 - end, lane, packet)

    def _send(self, delay: int, cable: Cable, end: int, lane: Lane | None, packet: bytes) -> None:
        heapq.heappush(self._flying, (self.now + delay, next(self._serial), cable, end, lane, packet))

    def _arrive(self, cable: Cable, end: int, lane: Lane | None, packet: bytes) -> None:
        if not cable.up[end]:
            return
        machine, number = cable.nodes[end].machine, cable.numbers[end]
        if lane is None:
            cable.up[end] = False
            machine.transport_down(number, self.now)
        else:
            machine.receive(number, lane, packet, self.now)

    def _close(self, node: Node, number: int) -> None:
        """One side closes a transport; the other sees that behind what was written."""
        self._pull(node, number)
        cable, end = self._cables[id(node), number]
        if cable.up[end]:
            cable.up[end] = False
            self._send(self.latency, cable, 1 - end, None, b"")


@dataclass
class Pair:
    """A peer-to-peer call: Anna initiated it, in slot 1; Bob accepted, in slot 0."""

    network: Network
    anna: Node
    bob: Node
    cable: Cable

    def reconnect(self, *, lossy: bool = True) -> None:
        """A new transport between the two."""
        self.cable = self.network.connect(self.anna, self.bob, lossy=lossy)


def pair(
    *,
    limits: Limits | None = None,
    bob_limits: Limits | None = None,
    fates: Iterable[Fate] = (),
    lossy: bool = True,
    latency: int = 5 * MS,
) -> Pair:
    """Two endpoints that have joined a call of theirs."""
    network = Network(latency=latency, fates=fates)
    anna = network.add(Endpoint(entropy=entropy(1), identity="anna", limits=limits, peer=Peer(initiator=True)))
    bob = network.add(
        Endpoint(
            entropy=entropy(2),
            identity="bob",
            limits=bob_limits or limits,
            peer=Peer(initiator=False, identity="anna"),
        )
    )
    cable = network.connect(anna, bob, lossy=lossy)
    network.run()
    assert anna.joined
    assert bob.joined
    return Pair(network, anna, bob, cable)


# ---------------------------------------------------------------------------------------------
# A link's other end, by hand
# ---------------------------------------------------------------------------------------------


def data(session: int = 1, sequence: int = 1, payload: bytes = b"", **fields: Any) -> wire.Data:
    """A Reliable DATA frame of slot 0 on channel 7, but for what `fields` say."""
    values: dict[str, Any] = {"channel": 7, "sender": 0, "flags": wire.RELIABLE} | fields
    return wire.Data(session=session, sequence=sequence, payload=payload, **values)


class Wire:
    """The other end of an endpoint's one transport."""

    def __init__(self, endpoint: Endpoint, *, lossy: bool = True, now: int = 0, transport: int = 1) -> None:
        self.endpoint = endpoint
        self.transport = transport
        self.now = now
        self.counted = 0
        """Counted frames that the endpoint wrote, in the link's life."""
        self.log: list[Any] = []
        """All events so far."""
        endpoint.transport_up(transport, now, lossy=lossy)

    # --- time and events -----------------------------------------------------------------------

    def wait(self, duration: int) -> None:
        """Let time pass; what becomes due stays to be taken."""
        end = self.now + duration
        for _ in range(_BUSY):
            deadline = self.endpoint.deadline()
            if deadline is None or deadline > end:
                self.now = end
                return
            self.now = max(self.now, deadline)
            self.endpoint.handle_timeout(self.now)
        raise AssertionError("the endpoint keeps the loop busy")

    def events(self) -> list[Any]:
        """What happened since the last call."""
        found = self.endpoint.events()
        self.log += found
        return found

    def told(self, kind: type[T]) -> list[T]:
        """The events of a kind so far."""
        self.events()
        return [event for event in self.log if isinstance(event, kind)]

    # --- frames --------------------------------------------------------------------------------

    def give(self, *frames: Any, lane: Lane = Lane.RELIABLE) -> None:
        """One packet with these frames, or bytes."""
        packet = b"".join(frame if isinstance(frame, bytes) else frame.encode() for frame in frames)
        self.endpoint.receive(self.transport, lane, packet, self.now)

    def packets(self, lane: Lane = Lane.RELIABLE) -> list[bytes]:
        """The packets that are due."""
        self.endpoint.take_dirty()
        found = self.endpoint.pull(self.transport, lane, PLENTY, self.now)
        if lane is Lane.RELIABLE:
            for frame in itertools.chain.from_iterable(map(decode_packet, found)):
                encoded = frame.encode()
                self.counted += is_countable(encoded[0], encoded[1])
        return found

    def take(self, lane: Lane = Lane.RELIABLE) -> list[Any]:
        """The frames that are due."""
        return [frame for packet in self.packets(lane) for frame in decode_packet(packet, lane)]

    def take_of(self, kind: type[T], lane: Lane = Lane.RELIABLE) -> list[T]:
        """Those of a kind among the frames that are due; the others are taken, too."""
        return [frame for frame in self.take(lane) if isinstance(frame, kind)]

    def ack(self) -> None:
        """Acknowledge everything that was taken."""
        self.give(wire.Ack(self.counted))

    def replace(self, transport: int, *, lossy: bool = True) -> None:
        """Go over to another transport."""
        self.transport = transport
        self.endpoint.transport_up(transport, self.now, lossy=lossy)

    def welcome(self, hello: wire.Hello, *, slot: int, received: int = 0, **fields: Any) -> wire.Welcome:
        """A WELCOME that fits a HELLO."""
        values: dict[str, Any] = {
            "token": b"T" * 16,
            "attempt": hello.attempt,
            "window": 262_144,
            "largest_message": 16_777_216,
            "resume_ms": 30_000,
            "identity": hello.identity or "carol",
        }
        return wire.Welcome(slot=slot, received=received, **(values | fields))


def joins(*members: tuple[int, str]) -> tuple[wire.RosterEntry, ...]:
    """Roster entries of those who are there."""
    return tuple(wire.RosterEntry(wire.RosterOp.JOIN, slot, 0, name) for slot, name in members)


GROUP = ((0, "ann"), (1, "bob"), (2, "carol"), (3, "dan"))
"""Who is in the group call of `group`. The endpoint is Carol."""


def group(
    *, limits: Limits | None = None, members: tuple[tuple[int, str], ...] = GROUP, lossy: bool = True, **welcome: Any
) -> Wire:
    """An endpoint in slot 2 of a group call at epoch 4, joined; the test is its relay."""
    link = Wire(Endpoint(entropy=entropy(3), identity="carol", limits=limits), lossy=lossy)
    (hello,) = link.take()
    link.give(link.welcome(hello, slot=2, **welcome), wire.Roster(4, joins(*members), snapshot=True))
    link.wait(25 * MS)
    assert link.take() == [wire.Ack(1)]
    assert link.endpoint.joined
    return link


def peer(*, limits: Limits | None = None, lossy: bool = True, **welcome: Any) -> Wire:
    """An initiator in a peer-to-peer call, slot 1, joined; the test is its peer Ann in slot 0."""
    endpoint = Endpoint(entropy=entropy(4), identity="carol", limits=limits, peer=Peer(initiator=True))
    link = Wire(endpoint, lossy=lossy)
    (hello,) = link.take()
    entries = joins((0, "ann"), (1, "carol"))
    link.give(link.welcome(hello, slot=1, **welcome), wire.Roster(1, entries, snapshot=True))
    link.wait(25 * MS)
    assert link.take() == [wire.Ack(1)]
    assert endpoint.joined
    return link


def acceptor(*, limits: Limits | None = None, lossy: bool = True) -> Wire:
    """An acceptor in a peer-to-peer call, slot 0, joined; the test is its peer Ann in slot 1."""
    endpoint = Endpoint(entropy=entropy(5), identity="carol", limits=limits, peer=Peer(initiator=False, identity="ann"))
    link = Wire(endpoint, lossy=lossy)
    link.give(hello_of_ann())
    found = link.take()
    assert [type(frame) for frame in found] == [wire.Welcome, wire.Roster]
    assert endpoint.joined
    return link


def hello_of_ann(**fields: Any) -> wire.Hello:
    """The HELLO with which Ann comes to an acceptor."""
    values: dict[str, Any] = {
        "token": b"I" * 16,
        "attempt": 1,
        "window": 262_144,
        "largest_message": 16_777_216,
        "identity": "ann",
    }
    return wire.Hello(**(values | fields))
