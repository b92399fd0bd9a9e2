# SPDX-License-Identifier: Apache-2.0
"""Reading packets, from the text of chapter 3 alone: the judge does not trust the codec that it judges."""

from __future__ import annotations

import struct
from typing import NamedTuple

DATA, CLOSE, FAIL, REFUSE, RECEIPT, CREDIT, ROSTER = 1, 2, 3, 4, 5, 6, 7
HELLO, WELCOME, ACK, BYE = 0x41, 0x42, 0x43, 0x44
RELIABLE, HIGH, FRAGMENT, RECIPIENTS, PRIVATE, CONFIRM, LATEST, EXTENSIONS = (1 << bit for bit in range(8))
NOBODY = 0xFFFF
NAMES = {
    DATA: "DATA",
    CLOSE: "CLOSE",
    FAIL: "FAIL",
    REFUSE: "REFUSE",
    RECEIPT: "RECEIPT",
    CREDIT: "CREDIT",
    ROSTER: "ROSTER",
    HELLO: "HELLO",
    WELCOME: "WELCOME",
    ACK: "ACK",
    BYE: "BYE",
}
RELIABLE_PACKET = 16_384
LOSSY_PACKET = 1_150

_START = struct.Struct(">BBH").unpack_from
_DATA = struct.Struct(">BBHHHII").unpack_from
_CONTROL = struct.Struct(">BBHHHIQH").unpack_from
_U32 = struct.Struct(">I").unpack_from
_BLOCK = struct.Struct(">IH").unpack_from
_WORD = struct.Struct(">HI").unpack_from
_ENTRY = struct.Struct(">BBHH").unpack_from
_HELLO = struct.Struct(">IHI16sIQII").unpack_from
_WELCOME = struct.Struct(">HHI16sIQIII").unpack_from


class Malformed(Exception):
    """A packet is not what chapter 3 says."""


class Block(NamedTuple):
    """A recipient block."""

    epoch: int
    everyone_but: bool
    slots: frozenset[int]


class Data(NamedTuple):
    """DATA."""

    kind: int
    flags: int
    length: int
    channel: int
    sender: int
    session: int
    sequence: int
    place: int
    """The fragment's index; 0 where there is no fragment block."""
    total: int
    last: bool
    abort: bool
    block: Block | None
    head: int
    """Bytes before the payload and the extensions."""
    raw: bytes


class Control(NamedTuple):
    """CLOSE, FAIL, REFUSE, RECEIPT or CREDIT."""

    kind: int
    flags: int
    length: int
    sender: int
    recipient: int
    session: int
    value: int
    reason: int
    raw: bytes


class Entry(NamedTuple):
    """One roster entry."""

    op: int
    slot: int
    reason: int
    identity: str


class Roster(NamedTuple):
    """ROSTER."""

    kind: int
    flags: int
    length: int
    epoch: int
    entries: tuple[Entry, ...]
    raw: bytes


class Plain(NamedTuple):
    """HELLO, WELCOME, ACK, BYE: what the judge needs of them."""

    kind: int
    flags: int
    length: int
    received: int
    attempt: int
    token: bytes
    slot: int
    reason: int
    raw: bytes


Frame = Data | Control | Roster | Plain


def is_counted(frame: Frame) -> bool:
    """Whether a frame on the reliable lane is countable: bit 0x40 clear, and no Lossy DATA (chapter 3)."""
    return not frame.kind & 0x40 and (frame.kind != DATA or bool(frame.flags & RELIABLE))


def read_packet(packet: bytes, *, lossy: bool) -> list[Frame]:
    """All frames of a packet. Raises `Malformed`."""
    size = len(packet)
    if not size or size > (LOSSY_PACKET if lossy else RELIABLE_PACKET):
        raise Malformed(f"a packet of {size} bytes (CC-LINK-073)")
    found: list[Frame] = []
    at = 0
    try:
        while at < size:
            kind, flags, length = _START(packet, at)
            if length < 4 or at + length > size:
                raise Malformed(f"a frame of {length} bytes at {at} of {size} (CC-LINK-074)")
            found.append(_read_frame(packet[at : at + length], kind, flags, length))
            at += length
    except struct.error as error:
        raise Malformed(f"a frame is cut off: {error}") from error
    if lossy and any(frame.kind != DATA or frame.flags & RELIABLE for frame in found):
        raise Malformed("something other than Lossy DATA on the lossy lane (CC-LINK-077)")
    return found


def _read_frame(raw: bytes, kind: int, flags: int, length: int) -> Frame:
    if kind == DATA:
        return _read_data(raw, flags, length)
    if kind in (CLOSE, FAIL, REFUSE, RECEIPT, CREDIT):
        if length != 22:
            raise Malformed(f"{NAMES[kind]} of {length} bytes")
        _, _, _, sender, recipient, session, value, reason = _CONTROL(raw)
        return Control(kind, flags, length, sender, recipient, session, value, reason, raw)
    if kind == ROSTER:
        return _read_roster(raw, flags, length)
    if kind == ACK:
        return Plain(kind, flags, length, int.from_bytes(raw[4:12], "big"), 0, b"", NOBODY, 0, raw)
    if kind == BYE:
        return Plain(kind, flags, length, 0, 0, b"", NOBODY, int.from_bytes(raw[4:6], "big"), raw)
    if kind == HELLO:
        _, _, _, token, attempt, received, _, _ = _HELLO(raw, 4)
        return Plain(kind, flags, length, received, attempt, token, NOBODY, 0, raw)
    if kind == WELCOME:
        _, slot, _, token, attempt, received, _, _, _ = _WELCOME(raw, 4)
        return Plain(kind, flags, length, received, attempt, token, slot, 0, raw)
    raise Malformed(f"a frame of type {kind:02X}, which version 1 does not write")


def _read_data(raw: bytes, flags: int, length: int) -> Data:
    _, _, _, channel, sender, session, sequence = _DATA(raw)
    at, index, total, last, abort, block = 16, 0, 0, True, False, None
    if flags & FRAGMENT:
        place, total = _U32(raw, 16)[0], _U32(raw, 20)[0]
        index, last, abort = place & 0x3FFF_FFFF, bool(place >> 31), bool(place >> 30 & 1)
        at = 24
    if flags & RECIPIENTS:
        epoch, head = _BLOCK(raw, at)
        count = head & 0x7FFF
        slots: list[int] = []
        for place in range(at + 6, at + 6 + 6 * count, 6):
            word, bits = _WORD(raw, place)
            if not bits:
                raise Malformed("a zero word in a recipient block (CC-FRAME-042)")
            slots += [32 * word + bit for bit in range(32) if bits >> bit & 1]
        block = Block(epoch, bool(head >> 15), frozenset(slots))
        at += 6 + 6 * count
    if at > length or not (channel and session and sequence):
        raise Malformed("DATA whose fields break chapter 3")
    if not flags & RELIABLE and (length > LOSSY_PACKET or flags & CONFIRM):
        raise Malformed("Lossy DATA that is too long, or with CONFIRM")
    return Data(DATA, flags, length, channel, sender, session, sequence, index, total, last, abort, block, at, raw)


def _read_roster(raw: bytes, flags: int, length: int) -> Roster:
    entries: list[Entry] = []
    at = 8
    while at < length:
        op, size, slot, reason = _ENTRY(raw, at)
        entries.append(Entry(op, slot, reason, raw[at + 6 : at + 6 + size].decode()))
        at += 6 + size
    if at != length:
        raise Malformed("a roster entry is cut off")
    return Roster(ROSTER, flags, length, _U32(raw, 4)[0], tuple(entries), raw)


def without_block(frame: Data) -> bytes:
    """A DATA frame as a relay has to forward it (CC-RELAY-025 and 026)."""
    if frame.block is None:
        return frame.raw
    start = 24 if frame.flags & FRAGMENT else 16
    head = bytearray(frame.raw[:start])
    head[1] &= ~RECIPIENTS & 0xFF
    head[2:4] = (frame.length - (frame.head - start)).to_bytes(2, "big")
    return bytes(head) + frame.raw[frame.head :]
