# SPDX-License-Identifier: Apache-2.0
"""A relay in virtual time with scripted endpoints: they frame, count, acknowledge and give credit as a conforming one
does, but only as the test says, and they check what every endpoint would check of what the relay writes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, TypeVar

from callchannel.core.decoding import decode_packet, is_countable
from callchannel.core.frames import (
    CONFIRM,
    PRIVATE,
    RELIABLE,
    Ack,
    Bye,
    Close,
    Control,
    Credit,
    Data,
    Fail,
    Fragment,
    Frame,
    Hello,
    Receipt,
    Refuse,
    Roster,
    RosterOp,
    Welcome,
)
from callchannel.core.lanes import Lane
from callchannel.core.limits import MS, Limits
from callchannel.core.recipients import NO_SLOT, Recipients, mask_of
from callchannel.core.relay import Admission, Relay

SECOND = 1_000 * MS
FrameT = TypeVar("FrameT", bound=Any)


def counter_entropy() -> Callable[[int], bytes]:
    """Random bytes that are none: each call's are different, and the same in each run."""
    numbers = itertools.count(1)
    return lambda size: next(numbers).to_bytes(size, "big")


class Net:
    """A relay and its endpoints."""

    def __init__(self, *, policy: Any = None, **limits: int) -> None:
        self.limits = Limits(**limits)
        self.now = 1_000_000
        self.relay = Relay(entropy=counter_entropy(), limits=self.limits, now=self.now, policy=policy)
        self.clients: dict[int, Client] = {}
        self.events: list[Any] = []
        self._numbers = itertools.count(1)

    def client(self, identity: str = "ann", **options: Any) -> Client:
        """An endpoint whose transport is up, without HELLO."""
        client = Client(self, identity, **options)
        client.connect()
        return client

    def join(self, identity: str = "ann", **options: Any) -> Client:
        """An endpoint that is in the call."""
        client = self.client(identity, **options)
        client.hello()
        return client

    def joined(self, *identities: str, **options: Any) -> list[Client]:
        """Endpoints that are in the call, each knows all."""
        clients = [self.join(identity, **options) for identity in identities]
        self.run(100 * MS)
        for client in clients:
            client.frames.clear()
            client.packets.clear()
        return clients

    def next_transport(self) -> int:
        return next(self._numbers)

    def flush(self) -> None:
        """Carry packets until nothing is left to carry."""
        for _ in range(10_000):
            self.events += self.relay.events()
            dirty = self.relay.take_dirty()
            busy = False
            for transport in dirty:
                client = self.clients.get(transport)
                if client is not None and not client.blocked:
                    busy = client.pull(transport) or busy
                elif client is not None:
                    client.pending.add(transport)
            for transport in self.relay.take_closing():
                client = self.clients.pop(transport, None)
                if client is not None and client.transport == transport:
                    client.transport = None
            for client in tuple(self.clients.values()):
                busy = client.answer() or busy
            if not busy and not dirty:
                return
        raise AssertionError("the relay never comes to rest")

    def run(self, duration: int) -> None:
        """Let time pass."""
        end = self.now + duration
        while True:
            deadline = self.relay.deadline()
            step = min(end, self.now + 2 * SECOND)
            if deadline is not None and deadline <= step:
                self.now = max(self.now, deadline)
                self.relay.handle_timeout(self.now)
                after = self.relay.deadline()
                assert after is None or after > self.now, "a deadline that never clears"
            else:
                self.now = step
                for client in tuple(self.clients.values()):
                    client.keep_alive()
            self.flush()
            if self.now >= end:
                return


class Client:
    """One endpoint."""

    def __init__(
        self,
        net: Net,
        identity: str,
        *,
        admission: Admission | bool | None = True,
        lossy: bool = True,
        window: int = 262_144,
        largest: int = 16_777_216,
        acks: bool = True,
        reads: bool = True,
        instance: bytes | None = None,
        **admitted: Any,
    ) -> None:
        self.net = net
        self.identity = identity
        self.admission = Admission(identity=identity, **admitted) if admission is True else admission
        self.lossy = lossy
        self.window = window
        self.largest = largest
        self.acks = acks
        """Whether it acknowledges by itself."""
        self.reads = reads
        """Whether its application reads everything at once: gives credit, and receipts."""
        self.instance = instance or b"inst" + net.next_transport().to_bytes(12, "big")
        self.blocked = False
        """Whether its transport takes nothing."""
        self.silent = False
        """Whether it does not even acknowledge to keep the link alive."""
        self.pending: set[int] = set()
        self.transport: int | None = None
        self.attempt = 0
        self.token = b""
        self.slot = NO_SLOT
        self.received = 0
        self.acked = 0
        self.frames: list[Frame] = []
        self.packets: list[tuple[Lane, bytes]] = []
        self.roster: dict[int, str] = {}
        self.departed: set[int] = set()
        self.suspended: set[int] = set()
        self.epoch = 0
        self.welcome: Welcome | None = None
        self._entries: list[Any] = []
        self._limits: dict[tuple[int, int], int] = {}
        self._bytes: dict[tuple[int, int], int] = {}
        self._own_limits: dict[int, int] = {}
        self._receipts: dict[tuple[int, int], int] = {}

    # --- links ---------------------------------------------------------------------------------------------------

    def connect(self) -> None:
        self.transport = self.net.next_transport()
        self.net.clients[self.transport] = self
        self.net.relay.transport_up(self.transport, self.net.now, admission=self.admission, lossy=self.lossy)

    def lose(self) -> None:
        """The transport is lost, and the relay notices."""
        assert self.transport is not None
        transport, self.transport = self.transport, None
        del self.net.clients[transport]
        self.net.relay.transport_down(transport, self.net.now)
        self.net.flush()

    def hello(self, *rest: Frame, resume: bool = False, **changes: Any) -> None:
        self.attempt += 1
        fields: dict[str, Any] = {
            "token": self.token if resume else self.instance,
            "attempt": self.attempt,
            "window": self.window,
            "largest_message": self.largest,
            "received": self.received if resume else 0,
            "identity": self.identity,
            "resume": resume,
        }
        fields.update(changes)
        self.send(Hello(**fields), *rest)

    def resume(self) -> None:
        """Come back over another transport."""
        self.connect()
        self.hello(resume=True)

    def leave(self) -> None:
        self.send(Bye(0x27, "bye"))

    # --- writing -------------------------------------------------------------------------------------------------

    def send(self, *frames: Frame, lane: Lane = Lane.RELIABLE) -> None:
        self.send_raw(b"".join(frame.encode() for frame in frames), lane)

    def send_raw(self, packet: bytes, lane: Lane = Lane.RELIABLE) -> None:
        assert self.transport is not None
        self.net.relay.receive(self.transport, lane, packet, self.net.now)
        self.net.flush()

    def data(
        self,
        sequence: int = 1,
        payload: bytes = b"hi",
        *,
        session: int = 1,
        channel: int = 5,
        flags: int = RELIABLE,
        to: Any = None,
        everyone_but: Any = None,
        epoch: int | None = None,
        fragment: Fragment | None = None,
        confirm: bool = False,
        extensions: Any = (),
        sender: int | None = None,
    ) -> Data:
        """A DATA frame of this endpoint."""
        block = None
        if to is not None:
            block = Recipients(epoch or self.epoch, False, mask_of(to))
            flags |= PRIVATE
        elif everyone_but is not None:
            block = Recipients(epoch or self.epoch, True, mask_of(everyone_but))
            flags |= PRIVATE if block.slots else 0
        if confirm:
            flags |= CONFIRM
            if block is None and (fragment is None or not fragment.index):
                block = Recipients(epoch or self.epoch, True, 0)
        return Data(
            channel,
            self.slot if sender is None else sender,
            session,
            sequence,
            payload,
            flags,
            fragment,
            block,
            tuple(extensions),
        )

    def say(self, sequence: int = 1, payload: bytes = b"hi", lane: Lane = Lane.RELIABLE, **options: Any) -> Data:
        """Send a DATA frame."""
        frame = self.data(sequence, payload, **options)
        self.send(frame, lane=lane)
        return frame

    def close(self, value: int, session: int = 1, reason: int = 0) -> None:
        self.send(Close(self.slot, NO_SLOT, session, value, reason))

    def receipt(self, sender: int, value: int, session: int = 1) -> None:
        self.send(Receipt(sender, self.slot, session, value))

    def credit(self, sender: int, value: int, session: int = 1) -> None:
        self.send(Credit(sender, self.slot, session, value))

    def fail(self, sender: int, value: int, reason: int = 0x26, session: int = 1, uncertain: bool = False) -> None:
        self.send(Fail(sender, self.slot, session, value, reason, uncertain))

    def ack(self) -> None:
        self.acked = self.received
        self.send(Ack(self.received))

    def keep_alive(self) -> None:
        """What every endpoint does within 5 seconds."""
        if self.slot != NO_SLOT and not self.silent and self.transport is not None:
            self.net.relay.receive(self.transport, Lane.RELIABLE, Ack(self.acked).encode(), self.net.now)

    def unblock(self) -> None:
        """The transport takes packets again."""
        self.blocked = False
        pending, self.pending = self.pending, set()
        for transport in pending:
            self.pull(transport)
        self.net.flush()

    # --- reading -------------------------------------------------------------------------------------------------

    def pull(self, transport: int) -> bool:
        busy = False
        for lane in Lane:
            if lane is Lane.LOSSY and not self.lossy:
                continue
            while packets := self.net.relay.pull(transport, lane, 65_536, self.net.now):
                busy = True
                for packet in packets:
                    self.take(lane, packet)
        return busy

    def take(self, lane: Lane, packet: bytes) -> None:
        """Read a packet as a conforming endpoint would, and judge it."""
        self.packets.append((lane, packet))
        for frame in decode_packet(packet, lane):
            self.frames.append(frame)
            encoded = frame.encode()
            if lane is Lane.RELIABLE and is_countable(encoded[0], encoded[1]):
                self.received += 1
            if isinstance(frame, Welcome):
                self.welcome, self.slot, self.token = frame, frame.slot, frame.token
            elif isinstance(frame, Roster):
                self._take_roster(frame)
            elif isinstance(frame, Data):
                self._take_data(frame, len(encoded))
            elif isinstance(frame, Control):
                self._take_control(frame)

    def _take_roster(self, frame: Roster) -> None:
        assert frame.snapshot == (not self.epoch), "CC-ROSTER-020"
        assert frame.epoch >= self.epoch, "CC-ROSTER-025"
        self._entries += frame.entries
        if frame.more:
            return
        for entry in self._entries:
            if entry.op == RosterOp.JOIN:
                assert entry.slot not in self.roster, "CC-ROSTER-027"
                self.roster[entry.slot] = entry.identity
                self.departed.discard(entry.slot)
            else:
                assert entry.slot in self.roster, "CC-ROSTER-028"
                if entry.op == RosterOp.LEAVE:
                    del self.roster[entry.slot]
                    self.departed.add(entry.slot)
                    self.suspended.discard(entry.slot)
                elif entry.op == RosterOp.SUSPENDED:
                    self.suspended.add(entry.slot)
                else:
                    self.suspended.discard(entry.slot)
                if not frame.snapshot:
                    assert entry.slot != self.slot, "CC-ROSTER-031"
        self._entries = []
        self.epoch = frame.epoch

    def _take_data(self, frame: Data, size: int) -> None:
        assert frame.recipients is None, "CC-FRAME-047"
        assert frame.sender != self.slot, "CC-RELAY-029"
        if not frame.reliable:
            return
        assert frame.sender in self.roster or frame.sender in self.departed, "CC-ROSTER-011, CC-ROSTER-032"
        key = (frame.sender, frame.session)
        if frame.fragment is None or not frame.fragment.abort:
            self._bytes[key] = self._bytes.get(key, 0) + size
            assert self._bytes[key] <= self._limits.get(key, self.window), "CC-RELAY-035"

    def _take_control(self, frame: Control) -> None:
        if isinstance(frame, Close) or (isinstance(frame, Fail) and frame.sender != self.slot):
            assert frame.sender in self.roster or frame.sender in self.departed, "CC-FRAME-061"
            return
        assert frame.sender == self.slot, "CC-FRAME-061"
        if frame.recipient != NO_SLOT:
            assert frame.recipient in self.roster or frame.recipient in self.departed, "CC-FRAME-061"
        if isinstance(frame, Receipt):
            key = (frame.session, frame.recipient)
            assert frame.value > self._receipts.get(key, 0), "CC-RELAY-069"
            self._receipts[key] = frame.value
        elif isinstance(frame, Credit):
            assert frame.value > self._own_limits.get(frame.session, self.net.limits.window), "CC-RELAY-036"
            self._own_limits[frame.session] = frame.value

    def answer(self) -> bool:
        """Give credit and receipts, and acknowledge, as far as it does so by itself."""
        if self.transport is None or self.blocked or self.slot == NO_SLOT:
            return False
        frames: list[Frame] = []
        if self.reads:
            for key, size in self._bytes.items():
                limit = size + self.window
                if limit - self._limits.get(key, self.window) >= self.window // 4 and key[0] in self.roster:
                    self._limits[key] = limit
                    frames.append(Credit(key[0], self.slot, key[1], limit))
        if self.acks and self.received > self.acked:
            self.acked = self.received
            frames.append(Ack(self.received))
        if frames:
            packet = b"".join(frame.encode() for frame in frames)
            self.net.relay.receive(self.transport, Lane.RELIABLE, packet, self.net.now)
        return bool(frames)

    def allow(self, sender: int, limit: int, session: int = 1) -> None:
        """Give credit by hand."""
        self._limits[sender, session] = limit
        self.credit(sender, limit, session)

    # --- looking -------------------------------------------------------------------------------------------------

    def got(self, kind: type[FrameT]) -> list[FrameT]:
        """Frames of a kind that came, and forget them."""
        found = [frame for frame in self.frames if type(frame) is kind]
        self.frames = [frame for frame in self.frames if type(frame) is not kind]
        return found

    def one(self, kind: type[FrameT]) -> FrameT:
        """The one frame of a kind that came."""
        found = self.got(kind)
        assert len(found) == 1, found
        return found[0]

    def payloads(self) -> list[bytes]:
        """Of the DATA frames that came."""
        return [frame.payload for frame in self.got(Data)]

    @property
    def bye(self) -> int | None:
        """The code of the BYE that came."""
        codes = [frame.code for frame in self.frames if isinstance(frame, Bye)]
        return codes[0] if codes else None

    def order(self, *kinds: type[Any]) -> list[str]:
        """Names of the frames of these kinds, in the order in which they came."""
        return [type(frame).__name__ for frame in self.frames if isinstance(frame, kinds)]


__all__ = ["SECOND", "Client", "Net", "Refuse", "counter_entropy"]
