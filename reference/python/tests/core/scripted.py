# SPDX-License-Identifier: Apache-2.0
"""The other side of an acceptor's or endpoint's transports, played frame by frame, in virtual time.

A `Script` writes exactly the frames that a test says, also illegal ones, and pulls only when a test says. It counts
what it gets, so that it can acknowledge; it keeps the link alive while a test waits.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from callchannel.core import frames as wire
from callchannel.core.decoding import decode_packet, is_countable
from callchannel.core.endpoint import Endpoint, Peer
from callchannel.core.lanes import Lane
from callchannel.core.limits import MS, Limits
from callchannel.core.link import LinkState
from callchannel.core.recipients import NO_SLOT

SECOND = 1_000 * MS
PLENTY = 1 << 30
TOKEN = b"T" * 16
INSTANCE = b"I" * 16
MEMBERS = ((0, "ann"), (1, "bob"), (2, "carol"), (3, "dan"))
"""Who is in a group call. The endpoint under test is Carol, in slot 2."""
EPOCH = 4

T = TypeVar("T")


def counter_entropy() -> Callable[[int], bytes]:
    """Bytes that differ from call to call, and are the same in each run."""
    numbers = itertools.count(1)
    return lambda size: next(numbers).to_bytes(size, "big")


def joins(*members: tuple[int, str]) -> tuple[wire.RosterEntry, ...]:
    """JOIN entries."""
    return tuple(wire.RosterEntry(wire.RosterOp.JOIN, slot, 0, name) for slot, name in members)


class Script:
    """All transports of one machine, seen from their other end."""

    def __init__(self, machine: Any, *, now: int = SECOND, **options: Any) -> None:
        self.machine = machine
        self.now = now
        self.transport = 0
        """The newest transport, which `give` and `pull` mean when nothing else is said."""
        self.counted = 0
        """Counted frames that the machine wrote and this side got."""
        self.told = 0
        """What this side acknowledged last."""
        self.given = 0
        """Counted frames that this side wrote."""
        self.closed: list[int] = []
        """Transports that the machine wants closed."""
        self.log: list[Any] = []
        """All events so far."""
        self.down: set[int] = set()
        self._options = options
        self._numbers = itertools.count(1)

    # --- transports --------------------------------------------------------------------------------------------

    def up(self, *, lossy: bool = True, **options: Any) -> int:
        """A new transport is up."""
        self.transport = next(self._numbers)
        self.machine.transport_up(self.transport, self.now, lossy=lossy, **(self._options | options))
        return self.transport

    def lose(self, transport: int | None = None) -> None:
        """A transport is gone."""
        transport = self.transport if transport is None else transport
        self.down.add(transport)
        self.machine.transport_down(transport, self.now)

    # --- frames ------------------------------------------------------------------------------------------------

    def give(self, *frames: Any, lane: Lane = Lane.RELIABLE, transport: int | None = None) -> None:
        """One packet of frames, or of raw bytes."""
        encoded = [frame if isinstance(frame, bytes) else frame.encode() for frame in frames]
        if lane is Lane.RELIABLE:
            self.given += sum(len(frame) > 1 and is_countable(frame[0], frame[1]) for frame in encoded)
        self.machine.receive(self.transport if transport is None else transport, lane, b"".join(encoded), self.now)

    def pull(self, budget: int = PLENTY, *, lanes: Iterable[Lane] = Lane, transport: int | None = None) -> list[Any]:
        """The frames that the machine writes now, until nothing comes; `budget` 1: one packet from each lane."""
        found: list[Any] = []
        transport = self.transport if transport is None else transport
        while True:
            before = len(found)
            for lane in lanes:
                for packet in self.machine.pull(transport, lane, budget, self.now):
                    for frame in decode_packet(packet, lane):
                        encoded = frame.encode()
                        if lane is Lane.RELIABLE and is_countable(encoded[0], encoded[1]):
                            self.counted += 1
                        found.append(frame)
            if budget < PLENTY or (len(found) == before and transport not in self.machine.take_dirty()):
                self.closed += self.machine.take_closing()
                return found

    def ack(self, count: int | None = None) -> None:
        """Acknowledge what this side got, or so much."""
        self.told = self.counted if count is None else count
        self.give(wire.Ack(self.told))

    # --- events and time ---------------------------------------------------------------------------------------

    def events(self) -> list[Any]:
        """What happened since the last call."""
        found = self.machine.events()
        self.log += found
        return found

    def of(self, kind: type[T]) -> list[T]:
        """All events of a kind so far."""
        self.events()
        return [event for event in self.log if isinstance(event, kind)]

    def wait(self, duration: int, *, alive: bool = True) -> None:
        """Let time pass. `alive`: this side says ACK every few seconds, with its count of before."""
        end = self.now + duration
        said = self.now
        for _ in range(10_000):
            due = self.machine.deadline()
            step = min(end, said + 4 * SECOND) if alive else end
            if due is not None and due <= step:
                self.now = max(self.now, due)
                self.machine.handle_timeout(self.now)
                continue
            self.now = step
            if step == end:
                return
            said = step
            if getattr(self.machine, "state", LinkState.ACTIVE) is LinkState.ACTIVE:
                self.give(wire.Ack(self.told))
        raise AssertionError("a deadline that never passes")


# ---------------------------------------------------------------------------------------------------------------
# Frames
# ---------------------------------------------------------------------------------------------------------------


def data(session: int = 1, sequence: int = 1, payload: bytes = b"hi", **fields: Any) -> wire.Data:
    """Reliable DATA on channel 7 of slot 0, but for what `fields` say."""
    values: dict[str, Any] = {"channel": 7, "sender": 0, "flags": wire.RELIABLE} | fields
    return wire.Data(session=session, sequence=sequence, payload=payload, **values)


def lossy(session: int = 1, sequence: int = 1, payload: bytes = b"hi", **fields: Any) -> wire.Data:
    """The same, Lossy."""
    return data(session, sequence, payload, **({"flags": 0} | fields))


def control(kind: type[T], value: int, session: int = 1, **fields: Any) -> T:
    """A control frame about a session of Carol in a group call, as a relay writes it."""
    values: dict[str, Any] = {"sender": 2, "recipient": NO_SLOT} | fields
    return kind(session=session, value=value, **values)


def roster(epoch: int, *entries: wire.RosterEntry, **fields: Any) -> wire.Roster:
    """A roster change."""
    return wire.Roster(epoch, entries, **fields)


def leave(slot: int, reason: int = 0x27) -> wire.RosterEntry:
    """A LEAVE entry."""
    return wire.RosterEntry(wire.RosterOp.LEAVE, slot, reason)


def hello(**fields: Any) -> wire.Hello:
    """Ann's HELLO to an acceptor."""
    values: dict[str, Any] = {
        "token": INSTANCE,
        "attempt": 1,
        "window": 262_144,
        "largest_message": 16_777_216,
        "identity": "ann",
    }
    return wire.Hello(**(values | fields))


def welcome(to: wire.Hello, **fields: Any) -> wire.Welcome:
    """A WELCOME that fits a HELLO of Carol's."""
    values: dict[str, Any] = {
        "slot": 2,
        "token": TOKEN,
        "attempt": to.attempt,
        "window": 262_144,
        "largest_message": 16_777_216,
        "resume_ms": 30_000,
        "identity": "carol",
    }
    return wire.Welcome(**(values | fields))


# ---------------------------------------------------------------------------------------------------------------
# Calls
# ---------------------------------------------------------------------------------------------------------------


def initiator(*, group: bool = True, **limits: int) -> Script:
    """Carol's endpoint before anything happened: in a group call, or the initiator of a peer-to-peer call."""
    peer = None if group else Peer(initiator=True)
    return Script(Endpoint(entropy=counter_entropy(), identity="carol", limits=Limits(**limits), peer=peer))


def acceptor(**limits: int) -> Script:
    """Carol's endpoint as the acceptor of a peer-to-peer call with Ann, before anything happened."""
    peer = Peer(initiator=False, identity="ann")
    return Script(Endpoint(entropy=counter_entropy(), identity="carol", limits=Limits(**limits), peer=peer))


def join(script: Script, *, lossy_lane: bool = True, group: bool = True, **fields: Any) -> Script:
    """Shake hands with an initiator and give it the roster."""
    script.up(lossy=lossy_lane)
    (said,) = script.pull()
    slot, members, epoch = (2, MEMBERS, EPOCH) if group else (1, ((0, "ann"), (1, "carol")), 1)
    script.give(welcome(said, **({"slot": slot} | fields)), wire.Roster(epoch, joins(*members), snapshot=True))
    script.pull()
    assert script.machine.joined
    return script


def in_group(*, lossy_lane: bool = True, welcomed: dict[str, Any] | None = None, **limits: int) -> Script:
    """Carol in a group call, slot 2, epoch 4; the script is the relay."""
    return join(initiator(**limits), lossy_lane=lossy_lane, **(welcomed or {}))


def with_peer(*, lossy_lane: bool = True, welcomed: dict[str, Any] | None = None, **limits: int) -> Script:
    """Carol as the initiator of a peer-to-peer call, slot 1; the script is Ann in slot 0."""
    return join(initiator(group=False, **limits), lossy_lane=lossy_lane, group=False, **(welcomed or {}))


def accepted(*, lossy_lane: bool = True, **limits: int) -> Script:
    """Carol as the acceptor of a peer-to-peer call, slot 0; the script is Ann in slot 1."""
    script = acceptor(**limits)
    script.up(lossy=lossy_lane)
    script.give(hello())
    script.pull()
    assert script.machine.joined
    return script
