# SPDX-License-Identifier: Apache-2.0
"""The scripted far side of a link: it writes what a check says, and keeps what the machine under test wrote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from callchannel_conformance import frames as f
from callchannel_conformance import standard, wire
from callchannel_conformance.bench.machine import Bench, Machine, matches
from callchannel_conformance.bench.monitor import Monitor
from callchannel_conformance.client import Packet
from callchannel_conformance.outcome import Violation, expect

Frame = f.Frame

KEEPALIVE: Final = 4_000_000
"""Microseconds after which a far side repeats its last ACK, so that the link is not silent."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame that the machine under test wrote."""

    frame: Frame
    lane: str
    transport: int
    at: int
    packet: int
    """Number of the packet on this link, from 0: frames of one packet have the same."""
    raw: bytes
    again: bool
    """Whether it was retransmitted."""


class Far:
    """The far side of one link of *machine*.

    `role` is what the far side plays: `relay` or `acceptor` towards an endpoint that initiates, `initiator` towards a
    relay or an accepting peer. `transport` is the current transport, None while there is none.
    """

    def __init__(self, bench: Bench, machine: Machine, role: str, *, slot: int | None = None) -> None:
        self.bench = bench
        self.machine = machine
        self.role = role
        self.transport: int | None = None
        self.transports: list[int] = []
        self.monitor = Monitor(self)
        self.seen: list[Seen] = []
        self.inbox: list[Frame] = []
        self.counted_in = 0
        """Counted frames that came from the machine."""
        self.told = 0
        """The last count that it was told."""
        self.written: list[bytes] = []
        """Counted frames written to the machine, in order."""
        self.deaf = False
        """While true, what the machine writes is lost."""
        self.alive = True
        """While true, the last ACK is repeated so that the link is not silent."""
        self.auto_ack = False
        self.closed: set[int] = set()
        self.own_slot = slot
        """The slot of the far side, where it is an endpoint."""
        self.peer_slot: int | None = None
        """The slot of the machine under test, where it is an endpoint."""
        self.members: dict[int, str] = {}
        self.epoch = 0
        self.attempt = 0
        self.active = False
        self.token = f.LINK_TOKEN
        self.hello: Frame | None = None
        self.welcome: Frame | None = None
        self._packets = 0
        self._last_write = bench.now
        bench.wakers.append(self)

    # --- transports -------------------------------------------------------------------------------

    def connect(self, *, lossy: bool = True, admission: Any = ..., detach: bool = True) -> int:
        """Bring a transport up. With *detach* it becomes the far side's current one."""
        number = self.machine.new_transport(self)
        self.transports.append(number)
        self.monitor.transport_up(number, lossy)
        if detach:
            self.active = False
            self.transport = number
        self._last_write = self.bench.now
        self.machine.op("transport_up", transport=number, lossy=lossy, admission=admission)
        return number

    def disconnect(self, transport: int | None = None) -> None:
        """Lose a transport, the current one unless another is named."""
        number = self._current() if transport is None else transport
        if number == self.transport:
            self.transport = None
            self.active = False
        self.monitor.transport_down(number)
        self.machine.op("transport_down", transport=number)
        self.machine.receivers.pop(number, None)

    def lossy_lane(self, is_open: bool) -> None:
        """Open or close the machine's own end of the lossy lane."""
        number = self._current()
        self.monitor.lossy_open[number] = is_open
        self.machine.op("lossy_lane", transport=number, open=is_open)

    def _current(self) -> int:
        """The current transport. Raises `Violation` where the machine has closed it: a check goes on with it."""
        if self.transport is None:
            byes = [seen.frame for seen in self.seen if seen.frame["type"] == "BYE"]
            said = f"BYE {standard.code_name(byes[-1]['code'])}: {byes[-1]['text']}" if byes else "no BYE"
            raise Violation(
                "CC-LINK-064", "the machine has closed a transport that has to go on", expected="no end", actual=said
            )
        return self.transport

    def hold(self, lane: str = "reliable", held: bool = True) -> None:
        """Block a lane of the current transport, or free it."""
        self.machine.op("hold", transport=self._current(), lane=lane, held=held)

    def pull(self, lane: str = "reliable", budget: int = 1) -> list[Frame]:
        """Take one packet (or more, by *budget*) from a held lane and return the frames that came."""
        before = len(self.seen)
        self.machine.op("pull", transport=self._current(), lane=lane, budget=budget)
        return [seen.frame for seen in self.seen[before:]]

    # --- writing ----------------------------------------------------------------------------------

    def write(self, *frames: Frame, lane: str = "reliable", transport: int | None = None) -> None:
        """Write frames in one packet. They need not be legal."""
        encoded = [wire.encode_frame(frame, judge=False) for frame in frames]
        for frame, raw in zip(frames, encoded, strict=True):
            if f.is_counted(frame, lane):
                self.written.append(raw)
            self._note(frame)
        self.write_bytes(b"".join(encoded), lane=lane, transport=transport)

    def write_bytes(self, packet: bytes, *, lane: str = "reliable", transport: int | None = None) -> None:
        """Write a packet as it is."""
        number = self._current() if transport is None else transport
        self._last_write = self.bench.now
        self.monitor.about_to_deliver()
        self.machine.op("receive", transport=number, lane=lane, packet=packet.hex())

    def _note(self, frame: Frame) -> None:
        """Tell the monitor what the machine will know from *frame*."""
        kind = frame["type"]
        if kind == "ACK":
            self.told = max(self.told, frame["received"])
        elif kind == "CREDIT":
            key = (frame["sender"], frame["session"])
            self.monitor.sessions.limits[key] = max(self.monitor.sessions.limits.get(key, 0), frame["value"])
        elif kind == "REFUSE":
            self.monitor.sessions.refused(frame["sender"], frame["session"], frame["value"])
        elif kind == "FAIL" and self.machine.kind != "relay" and frame["sender"] == self.peer_slot:
            ends = frame["recipient"] == f.NO_SLOT or self.machine.kind == "peer"
            if ends:
                self.monitor.sessions.failed(frame["sender"], frame["session"])

    def ack(self) -> None:
        """Acknowledge everything that has come."""
        self.write(f.ack(self.counted_in))

    # --- reading ----------------------------------------------------------------------------------

    def on_packet(self, packet: Packet) -> None:
        """See `machine.Receiver`."""
        try:
            frames = wire.decode_packet(packet.data, packet.lane)
        except wire.WireError as error:
            raise Violation(
                error.requirement,
                f"the machine wrote a packet that breaks a rule: {error}",
                expected="a valid packet",
                actual=packet.data.hex(),
            ) from error
        raws = f.split(packet.data)
        number = self._packets
        self._packets += 1
        marks = self.monitor.packet(packet, frames, raws, lost=self.deaf)
        if self.deaf:
            return
        for frame, raw, again in zip(frames, raws, marks, strict=True):
            self.seen.append(Seen(frame, packet.lane, packet.transport, self.bench.now, number, raw, again))
            self.inbox.append(frame)
            if f.is_counted(frame, packet.lane):
                self.counted_in += 1

    def on_closing(self, transport: int) -> None:
        """See `machine.Receiver`."""
        self.closed.add(transport)
        self.monitor.transport_down(transport)
        if transport == self.transport:
            self.transport = None
            self.active = False

    def take(self, *names: str, **members: Any) -> list[Frame]:
        """The frames that came since the last `take`, or those of them with these types and members. Takes all."""
        found = [frame for frame in self.inbox if matches(frame, names, members, "type")]
        self.inbox = []
        return found

    def new(self, *names: str, **members: Any) -> list[Frame]:
        """As `take`, but leaves them."""
        return [frame for frame in self.inbox if matches(frame, names, members, "type")]

    def one(self, requirement: str, *names: str, **members: Any) -> Frame:
        """The only frame of this kind since the last `take`. Takes all."""
        came = list(self.inbox)
        found = self.take(*names, **members)
        expect(
            len(found) == 1,
            requirement,
            f"one {'/'.join(names)} {members or ''} is due",
            expected={"type": names, **members},
            actual=came,
        )
        return found[0]

    def none(self, requirement: str, *names: str, **members: Any) -> None:
        """No frame of this kind has come since the last `take`. Takes all."""
        found = self.take(*names, **members)
        expect(not found, requirement, f"no {'/'.join(names)} may be written", expected="none", actual=found)

    # --- time -------------------------------------------------------------------------------------

    def wake_at(self) -> int | None:
        """See `machine.Waker`."""
        if not (self.active and self.alive) or self.transport is None:
            return None
        return self._last_write + KEEPALIVE

    def woken(self) -> None:
        """See `machine.Waker`."""
        if self.transport is None:
            return
        if self.auto_ack:
            self.told = self.counted_in
        self.write(f.ack(self.told))

    # --- the end of a link ------------------------------------------------------------------------

    def ended(self, requirement: str, code: str) -> None:
        """The machine ended the link: BYE with *code* was its last frame, and it closes the transport."""
        byes = [frame for frame in self.inbox if frame["type"] == "BYE"]
        expect(
            len(byes) == 1 and self.inbox[-1]["type"] == "BYE",
            requirement,
            f"the link has to end with BYE {code}",
            expected=f.bye(code),
            actual=list(self.inbox),
        )
        expect(
            byes[0]["code"] == f.bye(code)["code"],
            requirement,
            f"BYE has to carry {code}",
            expected=f.bye(code),
            actual=byes[0],
        )
        expect(self.transport is None, "CC-LINK-054", "the transport has to be closed behind BYE")
        self.inbox = []

    def goes_on(self, requirement: str) -> None:
        """The link is still active: there was no BYE, and an ACK is taken and answered in time."""
        expect(
            self.transport is not None and not self.new("BYE"),
            requirement,
            "the link has to go on",
            expected="no BYE",
            actual=list(self.inbox),
        )
        before = len(self.seen)
        self.write(f.unknown(0x8A))
        self.bench.advance(30)
        acks = [seen.frame for seen in self.seen[before:] if seen.frame["type"] == "ACK"]
        expect(acks, requirement, "the link has to go on: a counted frame was not acknowledged")
