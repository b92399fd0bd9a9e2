# SPDX-License-Identifier: Apache-2.0
"""Frames field by field, as section 3.3 to 3.10 lay them out, with the dictionary that a decoder has to give for them.

Every field can be set to anything, legal or not: a fault is a frame with one field replaced, by `but`. Flags are
written as their byte: no builder sets them from the blocks that are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

RELIABLE = 0x01
HIGH = 0x02
FRAGMENT = 0x04
RECIPIENTS = 0x08
PRIVATE = 0x10
CONFIRM = 0x20
LATEST = 0x40
EXTENSIONS = 0x80

TOKEN = bytes.fromhex("c0ffee00112233445566778899aabbcc")


def u8(value: int) -> bytes:
    """One byte."""
    return bytes([value])


def u16(value: int) -> bytes:
    """Two bytes, big-endian."""
    return bytes([value >> 8, value & 0xFF])


def u32(value: int) -> bytes:
    """Four bytes, big-endian."""
    return u16(value >> 16) + u16(value & 0xFFFF)


def u64(value: int) -> bytes:
    """Eight bytes, big-endian."""
    return u32(value >> 32) + u32(value & 0xFFFF_FFFF)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A frame: type, flags, length, body. `length` is what the frame says of itself; None: what is true.

    `tail` stands behind the last field, inside of the frame.
    """

    type: int = 0
    flags: int = 0
    length: int | None = None
    tail: bytes = b""

    def body(self) -> bytes:
        """Return the bytes after the first four, without the tail."""
        raise NotImplementedError

    def frame(self) -> dict[str, Any]:
        """Return what a decoder gives for the frame, if it is valid."""
        raise NotImplementedError

    def raw(self) -> bytes:
        """Return the whole frame."""
        body = self.body() + self.tail
        length = 4 + len(body) if self.length is None else self.length
        return u8(self.type) + u8(self.flags) + u16(length) + body

    def but(self, **changes: Any) -> Self:
        """Return the frame with other fields."""
        return replace(self, **changes)


# --- DATA and its blocks ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """The fragment block."""

    last: int = 0
    abort: int = 0
    index: int = 0
    total: int = 40_000

    def raw(self) -> bytes:
        """Return the 8 bytes of the block."""
        return u32(self.last << 31 | self.abort << 30 | self.index) + u32(self.total)

    def value(self) -> dict[str, Any]:
        """Return what a decoder gives for it."""
        return {"index": self.index, "total": self.total, "last": bool(self.last), "abort": bool(self.abort)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipients:
    """The recipient block. `words` holds (index, bits); `count` None: as many as there are."""

    epoch: int = 12
    all_but: int = 0
    count: int | None = None
    words: tuple[tuple[int, int], ...] = ((0, 0x9),)

    def raw(self) -> bytes:
        """Return the block."""
        count = len(self.words) if self.count is None else self.count
        words = b"".join(u16(index) + u32(bits) for index, bits in self.words)
        return u32(self.epoch) + u16(self.all_but << 15 | count) + words

    def value(self) -> dict[str, Any]:
        """Return what a decoder gives for it: slots in ascending order."""
        slots = [32 * index + bit for index, bits in self.words for bit in range(32) if bits & 2**bit]
        return {"epoch": self.epoch, "except": bool(self.all_but), "slots": slots}


EVERYONE = Recipients(all_but=1, words=())
"""EXCEPT with count 0: everyone of epoch 12."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """One extension. `length` is that of the value as it is stated; None: what is true."""

    type: int = 2
    must: int = 0
    value: bytes = b"a"
    length: int | None = None

    def raw(self) -> bytes:
        """Return the extension with its four bytes in front."""
        length = len(self.value) if self.length is None else self.length
        return u16(self.must << 15 | self.type) + u16(length) + self.value


LIFETIME = Extension(type=3, value=u32(200))


@dataclass(frozen=True, slots=True, kw_only=True)
class Extensions:
    """The extension block. `size` None: what is true; `rest` stands behind the last extension, within the size."""

    items: tuple[Extension, ...] = (Extension(),)
    size: int | None = None
    rest: bytes = b""

    def raw(self) -> bytes:
        """Return the block."""
        content = b"".join(item.raw() for item in self.items) + self.rest
        return u16(len(content) if self.size is None else self.size) + content

    def value(self) -> list[dict[str, Any]]:
        """Return what a decoder gives for it."""
        return [{"type": e.type, "must_understand": bool(e.must), "value": e.value.hex()} for e in self.items]


@dataclass(frozen=True, slots=True, kw_only=True)
class Data(Layout):
    """DATA (section 3.5). As it stands: two bytes from slot 2 to everyone, Reliable."""

    type: int = 0x01
    flags: int = RELIABLE
    channel: int = 7
    sender: int = 2
    session: int = 5
    sequence: int = 1
    fragment: Fragment | None = None
    recipients: Recipients | None = None
    extensions: Extensions | None = None
    payload: bytes = b"hi"

    def body(self) -> bytes:
        """Return header, blocks and payload."""
        blocks = [block.raw() for block in (self.fragment, self.recipients, self.extensions) if block is not None]
        header = u16(self.channel) + u16(self.sender) + u32(self.session) + u32(self.sequence)
        return header + b"".join(blocks) + self.payload

    def frame(self) -> dict[str, Any]:
        """Return what a decoder gives for it."""
        describing = (
            (RELIABLE, "RELIABLE"),
            (HIGH, "HIGH"),
            (PRIVATE, "PRIVATE"),
            (CONFIRM, "CONFIRM"),
            (LATEST, "LATEST"),
        )
        frame: dict[str, Any] = {
            "type": "DATA",
            "flags": [name for bit, name in describing if self.flags & bit],
            "channel": self.channel,
            "sender": self.sender,
            "session": self.session,
            "sequence": self.sequence,
        }
        if self.fragment is not None:
            frame["fragment"] = self.fragment.value()
        if self.recipients is not None:
            frame["recipients"] = self.recipients.value()
        if self.extensions is not None:
            frame["extensions"] = self.extensions.value()
        return frame | {"payload": self.payload.hex()}


# --- Control frames ---------------------------------------------------------------------------------

CONTROL_NAMES = {2: "CLOSE", 3: "FAIL", 4: "REFUSE", 5: "RECEIPT", 6: "CREDIT"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Control(Layout):
    """The layout that the five control frames share (section 3.6)."""

    sender: int = 2
    recipient: int = 0xFFFF
    session: int = 5
    value: int = 7
    reason: int = 0

    def body(self) -> bytes:
        """Return the 18 bytes after the start."""
        return u16(self.sender) + u16(self.recipient) + u32(self.session) + u64(self.value) + u16(self.reason)

    def frame(self) -> dict[str, Any]:
        """Return what a decoder gives for it."""
        name = CONTROL_NAMES[self.type]
        frame: dict[str, Any] = {
            "type": name,
            "sender": self.sender,
            "recipient": self.recipient,
            "session": self.session,
            "value": self.value,
            "reason": self.reason,
        }
        return frame | ({"uncertain": self.flags == 1} if name == "FAIL" else {})


CLOSE = Control(type=2)
FAIL = Control(type=3, recipient=3, value=4, reason=0x24)
REFUSE = Control(type=4, value=6, reason=0x33)
RECEIPT = Control(type=5, recipient=3, value=3)
CREDIT = Control(type=6, recipient=3, value=263_144)
CONTROLS = {"close": CLOSE, "fail": FAIL, "refuse": REFUSE, "receipt": RECEIPT, "credit": CREDIT}


# --- ROSTER -----------------------------------------------------------------------------------------

JOIN = 1
LEAVE = 2
SUSPENDED = 3
RESUMED = 4
OP_NAMES = {JOIN: "JOIN", LEAVE: "LEAVE", SUSPENDED: "SUSPENDED", RESUMED: "RESUMED"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A roster entry. `id_length` None: what is true."""

    op: int = JOIN
    id_length: int | None = None
    slot: int = 0
    reason: int = 0
    id: bytes = b""

    def raw(self) -> bytes:
        """Return the entry."""
        id_length = len(self.id) if self.id_length is None else self.id_length
        return u8(self.op) + u8(id_length) + u16(self.slot) + u16(self.reason) + self.id

    def value(self) -> dict[str, Any]:
        """Return what a decoder gives for it."""
        return {"op": OP_NAMES[self.op], "slot": self.slot, "reason": self.reason, "id": self.id.decode()}


ANN = Entry(id=b"ann")


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster(Layout):
    """ROSTER (section 3.7). As it stands: the first one of a call, with one endpoint."""

    type: int = 0x07
    flags: int = 0x01
    epoch: int = 1
    entries: tuple[Entry, ...] = (ANN,)

    def body(self) -> bytes:
        """Return epoch and entries."""
        return u32(self.epoch) + b"".join(entry.raw() for entry in self.entries)

    def frame(self) -> dict[str, Any]:
        """Return what a decoder gives for it."""
        return {
            "type": "ROSTER",
            "snapshot": bool(self.flags & 1),
            "more": bool(self.flags & 2),
            "epoch": self.epoch,
            "entries": [entry.value() for entry in self.entries],
        }


# --- HELLO, WELCOME, ACK, BYE -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello(Layout):
    """HELLO (section 3.8). As it stands: a fresh one of "ann"."""

    type: int = 0x41
    magic: bytes = b"CALL"
    version: int = 1
    features: int = 0
    token: bytes = TOKEN
    attempt: int = 1
    received: int = 0
    window: int = 262_144
    largest_message: int = 16_777_216
    id_length: int | None = None
    id: bytes = b"ann"

    def body(self) -> bytes:
        """Return the fields after the start."""
        id_length = len(self.id) if self.id_length is None else self.id_length
        head = self.magic + u16(self.version) + u32(self.features) + self.token + u32(self.attempt)
        sizes = u64(self.received) + u32(self.window) + u32(self.largest_message)
        return head + sizes + u8(id_length) + self.id

    def frame(self) -> dict[str, Any]:
        """Return what a decoder gives for it."""
        return {
            "type": "HELLO",
            "resume": bool(self.flags & 1),
            "replace": bool(self.flags & 2),
            "features": self.features,
            "token": self.token.hex(),
            "attempt": self.attempt,
            "received": self.received,
            "window": self.window,
            "largest_message": self.largest_message,
            "id": self.id.decode(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome(Layout):
    """WELCOME (section 3.9). As it stands: to "ann" in slot 2."""

    type: int = 0x42
    version: int = 1
    slot: int = 2
    features: int = 0
    token: bytes = TOKEN
    attempt: int = 1
    received: int = 0
    window: int = 262_144
    largest_message: int = 16_777_216
    resume_ms: int = 30_000
    id_length: int | None = None
    id: bytes = b"ann"

    def body(self) -> bytes:
        """Return the fields after the start."""
        id_length = len(self.id) if self.id_length is None else self.id_length
        head = u16(self.version) + u16(self.slot) + u32(self.features) + self.token + u32(self.attempt)
        sizes = u64(self.received) + u32(self.window) + u32(self.largest_message) + u32(self.resume_ms)
        return head + sizes + u8(id_length) + self.id

    def frame(self) -> dict[str, Any]:
        """Return what a decoder gives for it."""
        return {
            "type": "WELCOME",
            "slot": self.slot,
            "features": self.features,
            "token": self.token.hex(),
            "attempt": self.attempt,
            "received": self.received,
            "window": self.window,
            "largest_message": self.largest_message,
            "resume_ms": self.resume_ms,
            "id": self.id.decode(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack(Layout):
    """ACK (section 3.10)."""

    type: int = 0x43
    received: int = 16

    def body(self) -> bytes:
        """Return the count."""
        return u64(self.received)

    def frame(self) -> dict[str, Any]:
        """Return what a decoder gives for it."""
        return {"type": "ACK", "received": self.received}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bye(Layout):
    """BYE (section 3.10)."""

    type: int = 0x44
    code: int = 7
    text: bytes = b"sequence 0"

    def body(self) -> bytes:
        """Return code and text."""
        return u16(self.code) + self.text

    def frame(self) -> dict[str, Any]:
        """Return what a decoder gives for it."""
        return {"type": "BYE", "code": self.code, "text": self.text.decode()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown(Layout):
    """A frame of any other type (section 3.13)."""

    type: int = 0xCA
    flags: int = 0x5A
    content: bytes = b"\xa1\xb2\xc3"

    def body(self) -> bytes:
        """Return the content."""
        return self.content

    def frame(self) -> dict[str, Any]:
        """Return what a decoder gives for it, if it gives anything."""
        return {"type": "UNKNOWN", "number": self.type, "flags": self.flags, "body": self.content.hex()}


# --- Packets ----------------------------------------------------------------------------------------


def packet(frames: Sequence[Layout]) -> bytes:
    """Return the frames back to back."""
    return b"".join(frame.raw() for frame in frames)


def counted(frame: Layout, lane: str) -> bool:
    """Say whether both sides of a link count the frame on *lane*, "reliable" or "lossy": the table of section 3.12."""
    if isinstance(frame, Data):
        return bool(frame.flags & RELIABLE)
    if isinstance(frame, Unknown):
        return lane == "reliable" and 0x80 <= frame.type <= 0xBF
    return isinstance(frame, Control | Roster)


def chopped(frame: Layout, size: int) -> bytes:
    """Return the first *size* bytes of a frame, its length as it was: the packet ends early."""
    return frame.raw()[:size]


def shortened(frame: Layout, size: int) -> bytes:
    """Return the first *size* bytes of a frame, with the length that they have: the frame ends early."""
    whole = frame.raw()
    return whole[:2] + u16(size) + whole[4:size]
