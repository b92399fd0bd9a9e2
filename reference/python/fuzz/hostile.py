# SPDX-License-Identifier: Apache-2.0
"""An endpoint, peer or relay that knows the rules and breaks them now and then: it makes frames that fit its state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from callchannel.core import frames as wire
from callchannel.core.decoding import decode_packet, is_countable
from callchannel.core.extensions import Extension
from callchannel.core.lanes import Lane
from callchannel.core.recipients import NO_SLOT, Recipients
from fuzz.programs import Choices

_CODES = (0x27, 0x28, 0x26, 0x21, 0x24, 0x25, 0x33, 0x30, 0xF001, 0x00)


@dataclass(slots=True)
class _Session:
    """What it wrote of one of its sessions."""

    number: int
    channel: int
    flags: int
    sequence: int = 0
    index: int = 0
    total: int = 0
    sent: int = 0


class Hostile:
    """One side of a link. `slot` is where its frames say they come from, `others` whom it may name."""

    def __init__(self, *, is_relay: bool) -> None:
        self.is_relay = is_relay
        self.slot = 0
        self.others: list[int] = [1]
        self.epoch = 1
        self.received = 0
        """Counted frames that came."""
        self.acked = 0
        self.seen: list[Any] = []
        """The newest frames that came."""
        self.sessions: dict[tuple[int, int], _Session] = {}
        self._last = 0
        self.names = 4

    # --- what comes --------------------------------------------------------------------------------------------

    def take(self, lane: Lane, packet: bytes) -> list[Any]:
        """Read a packet of the machine: it has to be well-formed. Returns its frames."""
        found = list(decode_packet(packet, lane))
        for frame in found:
            encoded = frame.encode()
            if lane is Lane.RELIABLE and is_countable(encoded[0], encoded[1]):
                self.received += 1
            if isinstance(frame, wire.Data | wire.Control):
                self.seen.append(frame)
        del self.seen[:-32]
        return found

    def fresh_link(self) -> None:
        """A new link begins: counts and sessions are others."""
        self.received = self.acked = self._last = 0
        self.seen.clear()
        self.sessions.clear()

    # --- what goes ---------------------------------------------------------------------------------------------

    def frames(self, choices: Choices) -> tuple[Lane, bytes]:
        """A packet of frames, as `choices` say."""
        lane = Lane.RELIABLE
        parts: list[bytes] = []
        size = 0
        while choices and len(parts) < 400:
            lossy, frame = self._frame(choices)
            for _ in range(choices.pick((1, 1, 1, 1, 1, 2, 8, 60))):
                if lossy and not parts:
                    lane = Lane.LOSSY
                if lossy != (lane is Lane.LOSSY) and not choices.one_in(4):
                    break
                encoded = frame.encode()
                size += len(encoded)
                if size > (1_150 if lane else 16_384):
                    break
                parts.append(encoded)
                if isinstance(frame, wire.Data) and frame.fragment is None and not lossy:
                    self._next(frame)
            if lane is Lane.LOSSY and choices.one_in(2):
                break
        packet = bytearray(b"".join(parts))
        if packet and choices.one_in(32):
            at = choices.number(2) % len(packet)
            packet[at] ^= choices.byte() or 0x80
        if packet and choices.one_in(64):
            del packet[choices.number(2) % len(packet) :]
        return lane, bytes(packet)

    def _next(self, frame: wire.Data) -> None:
        frame.sequence = min(frame.sequence + 1, 0xFFFF_FFFF)
        session = self.sessions.get((frame.sender, frame.session))
        if session is not None:
            session.sequence = frame.sequence - 1

    def _frame(self, choices: Choices) -> tuple[bool, Any]:
        way = choices.byte() % 20
        if way < 10:
            return self._data(choices, lossy=way in (7, 8), fragment=way in (4, 5, 6, 8), abort=way == 9)
        if way == 10:
            session = self._session(choices)
            recipient = choices.pick((NO_SLOT, NO_SLOT, NO_SLOT, self.slot))
            value = max(session.sequence, 1) if not choices.one_in(8) else choices.number(2)
            reason = choices.pick((0, 0, 0, *_CODES)) if self.is_relay else choices.pick((0, 0xF001))
            return False, wire.Close(self._owner(choices), recipient, session.number, value, reason)
        if way < 14:
            kind = (wire.Fail, wire.Receipt, wire.Credit)[way - 11]
            return False, self._answer(choices, kind)
        if way == 14:
            return False, self._answer(choices, wire.Refuse)
        if way == 15:
            self.acked = min(self.acked + choices.byte(), self.received) if choices.one_in(2) else self.received
            return False, wire.Ack(self.acked if not choices.one_in(16) else choices.number(3))
        if way == 16:
            return False, self._roster(choices)
        if way == 17:
            return choices.one_in(2), wire.Unknown(choices.pick((0x80, 0xC0, 0xFF)), choices.byte(), choices.payload())
        if way == 18 and choices.one_in(8):
            return False, wire.Bye(choices.pick(_CODES), "so long")
        return self._data(choices, lossy=False, fragment=False, abort=False)

    def _owner(self, choices: Choices) -> int:
        """The slot that a frame says it is from."""
        if choices.one_in(32):
            return choices.number(2)
        return choices.pick(self.others) if self.is_relay else self.slot

    def _session(self, choices: Choices) -> _Session:
        owner = self._owner(choices)
        mine = [session for (slot, _), session in self.sessions.items() if slot == owner]
        if mine and not choices.one_in(4):
            return choices.pick(mine)
        self._last = self._last + 1 if not choices.one_in(16) else choices.number(2)
        flags = wire.RELIABLE if not choices.one_in(4) else 0
        flags |= wire.HIGH if choices.one_in(4) else 0
        session = _Session(self._last or 1, choices.byte() % 8 + 1, flags)
        self.sessions[owner, session.number] = session
        if len(self.sessions) > 64:
            del self.sessions[next(iter(self.sessions))]
        return session

    def _data(self, choices: Choices, *, lossy: bool, fragment: bool, abort: bool) -> tuple[bool, wire.Data]:
        session = self._session(choices)
        lossy = lossy or not session.flags & wire.RELIABLE
        flags = session.flags & ~wire.RELIABLE if lossy else session.flags | wire.RELIABLE
        payload = choices.payload()
        if lossy:
            payload = payload[:1_000]
        place = None
        if fragment or abort:
            begins = not session.total or lossy
            if begins:
                session.total = choices.pick((0, 1, 5, 600, 1_200, 40_000, 70_000, 1 << 31))
                session.index = session.sent = 0
            index = choices.byte() % 4 if lossy else session.index
            last = bool(session.total) and session.sent + len(payload) >= session.total
            if last and not abort and session.total:
                payload = payload[: max(session.total - session.sent, 0)]
            last = last or choices.one_in(8)
            place = wire.Fragment(index, session.total, last and not abort, abort)
            session.index += 1
            session.sent += len(payload)
            if (begins and session.index == 1) or lossy:
                session.sequence += 1
            if last or abort:
                session.index = session.sent = session.total = 0
            if abort:
                payload = b""
        else:
            session.sequence += 1
        if choices.one_in(32):
            session.sequence = choices.number(4)
        first = place is None or not place.index
        block = self._block(choices) if first and choices.one_in(3) else None
        if block is not None and (not block.everyone_but or block.slots):
            flags |= wire.PRIVATE
        if not lossy and choices.one_in(4):
            flags |= wire.CONFIRM
            if block is None and first and not self.is_relay:
                block = Recipients(self.epoch, True, 0)
        if lossy and place is None and choices.one_in(4):
            flags |= wire.LATEST
        extensions: tuple[Extension, ...] = ()
        if first and choices.one_in(8):
            kind = choices.pick((1, 2, 3, 4, 5, 0x7001))
            extensions = (Extension(kind, choices.payload()[:64], choices.one_in(4)),)
        return lossy, wire.Data(
            session.channel,
            self._owner(choices),
            session.number,
            min(max(session.sequence, 1), 0xFFFF_FFFF),
            payload,
            flags,
            place,
            block,
            extensions,
        )

    def _block(self, choices: Choices) -> Recipients | None:
        if self.is_relay and not choices.one_in(8):
            return None
        epoch = self.epoch if not choices.one_in(8) else choices.byte()
        slots = 0
        for _ in range(choices.byte() % 4):
            slots |= 1 << (choices.pick(self.others) if not choices.one_in(16) else choices.byte())
        everyone_but = choices.one_in(2)
        if not slots and not everyone_but:
            slots = 1 << choices.pick(self.others)
        return Recipients(max(epoch, 1), everyone_but, slots)

    def _answer(self, choices: Choices, kind: type[Any]) -> Any:
        """FAIL, RECEIPT, CREDIT or REFUSE about something that came."""
        about = choices.pick(self.seen) if self.seen else wire.Data(1, choices.pick(self.others), 1, 1, b"")
        value = about.sequence if isinstance(about, wire.Data) else about.value
        owner = about.sender
        recipient = choices.pick((*self.others, NO_SLOT)) if self.is_relay else self.slot
        reason = 0
        if kind is wire.Credit:
            value = choices.pick((65_536, 262_144, 1 << 20, 1 << 40))
            recipient = choices.pick((NO_SLOT, recipient)) if self.is_relay else recipient
        elif kind is not wire.Receipt:
            reason = choices.pick(_CODES)
        if kind is wire.Refuse:
            recipient = NO_SLOT
        if choices.one_in(8):
            value = choices.number(choices.pick((1, 2, 8)))
        if choices.one_in(32):
            owner, recipient = choices.number(2), choices.number(2)
        return kind(owner, recipient, about.session, value & 0xFFFF_FFFF_FFFF_FFFF, reason)

    def _roster(self, choices: Choices) -> wire.Roster:
        """A change of the roster; only a relay may write one."""
        entries = []
        for _ in range(choices.byte() % 3 + 1):
            slot = choices.byte() % 6
            op = wire.RosterOp(choices.byte() % 4 + 1)
            reason = choices.pick((0x27, 0x28)) if op == wire.RosterOp.LEAVE else 0
            name = f"x{self.names}" if op == wire.RosterOp.JOIN else ""
            self.names += 1
            if self.is_relay and op == wire.RosterOp.JOIN and slot not in self.others and slot != self.slot:
                self.others.append(slot)
            entries.append(wire.RosterEntry(op, slot, reason, name))
        self.epoch += not choices.one_in(4)
        return wire.Roster(self.epoch, tuple(entries), snapshot=choices.one_in(32), more=choices.one_in(8))
