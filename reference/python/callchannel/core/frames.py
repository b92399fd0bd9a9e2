# SPDX-License-Identifier: Apache-2.0
"""Frames, their fields, and their bytes (specification, chapter 3). Reading them is `decoding`'s job."""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from callchannel.core import limits
from callchannel.core.extensions import Extension, encode_extensions
from callchannel.core.recipients import Recipients

WIRE_VERSION: Final = 1
MAGIC: Final = 0x43414C4C
"""ASCII "CALL"."""
SKIPPABLE: Final = 0x80
"""An unknown type with this bit is skipped."""
UNCOUNTED: Final = 0x40
"""A type with this bit is not counted."""
MAX_SEQUENCE: Final = 0xFFFF_FFFF
DATA_HEADER: Final = 16
FRAGMENT_BLOCK: Final = 8
CONTROL_LENGTH: Final = 22


class FrameType(enum.IntEnum):
    """Frame types (`spec/registry/frames.toml`)."""

    DATA = 0x01
    CLOSE = 0x02
    FAIL = 0x03
    REFUSE = 0x04
    RECEIPT = 0x05
    CREDIT = 0x06
    ROSTER = 0x07
    HELLO = 0x41
    WELCOME = 0x42
    ACK = 0x43
    BYE = 0x44


class DataFlag(enum.IntFlag):
    """Flags of DATA."""

    RELIABLE = 0x01
    HIGH = 0x02
    FRAGMENT = 0x04
    RECIPIENTS = 0x08
    PRIVATE = 0x10
    CONFIRM = 0x20
    LATEST = 0x40
    EXTENSIONS = 0x80


class FailFlag(enum.IntFlag):
    """Flags of FAIL."""

    UNCERTAIN = 0x01


class RosterFlag(enum.IntFlag):
    """Flags of ROSTER."""

    SNAPSHOT = 0x01
    MORE = 0x02


class HelloFlag(enum.IntFlag):
    """Flags of HELLO."""

    RESUME = 0x01
    REPLACE = 0x02


class RosterOp(enum.IntEnum):
    """What a roster entry says of a slot."""

    JOIN = 1
    LEAVE = 2
    SUSPENDED = 3
    RESUMED = 4


# Plain integers of the flags: an IntFlag's operators cost a microsecond each.
RELIABLE: Final = 0x01
HIGH: Final = 0x02
FRAGMENT: Final = 0x04
RECIPIENTS: Final = 0x08
PRIVATE: Final = 0x10
CONFIRM: Final = 0x20
LATEST: Final = 0x40
EXTENSIONS: Final = 0x80

_START = struct.Struct(">BBH")
_DATA = struct.Struct(">HHHHII")
_pack_data = _DATA.pack
unpack_data = _DATA.unpack_from
"""(packet, offset) -> start, length, channel, sender, session, sequence of a DATA frame; see `start_of`."""
_HEADER = struct.Struct(">HHQI")
pack_header = _HEADER.pack
"""(start, length, key, sequence) -> the header of a DATA frame; see `start_of` and `key_of`."""
unpack_header = _HEADER.unpack_from
"""(packet, offset) -> the same."""
_FRAGMENT = struct.Struct(">II")
unpack_fragment = _FRAGMENT.unpack_from
"""(packet, offset) -> index with its bits, and total, of a fragment block."""
_FRAGMENT_HEADER = struct.Struct(">HHQIII")
pack_fragment_header = _FRAGMENT_HEADER.pack
"""(start, length, key, sequence, index with its bits, total) -> header and fragment block."""
FRAGMENT_HEADER: Final = _FRAGMENT_HEADER.size
_CONTROL = struct.Struct(">BBHHHIQH")
_ROSTER = struct.Struct(">BBHI")
_ENTRY = struct.Struct(">BBHH")
_HELLO = struct.Struct(">BBHIHI16sIQIIB")
_WELCOME = struct.Struct(">BBHHHI16sIQIIIB")
HELLO_LENGTH: Final = _HELLO.size
WELCOME_LENGTH: Final = _WELCOME.size
_ACK = struct.Struct(">4sQ")
ACK_LENGTH: Final = _ACK.size
ACK_START: Final = bytes((0x43, 0, 0, ACK_LENGTH))
"""Type, flags and length of every ACK."""
_BYE = struct.Struct(">BBHH")

LAST_BIT: Final = 0x8000_0000
ABORT_BIT: Final = 0x4000_0000
MAX_INDEX: Final = 0x3FFF_FFFF


# ---------------------------------------------------------------------------------------------------------------
# The frames
# ---------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Fragment:
    """The fragment block: the place of a frame in its message."""

    index: int
    total: int
    """Bytes of the whole message; 0: a stream."""
    last: bool = False
    abort: bool = False


@dataclass(slots=True)
class Data:
    """DATA: a message, or a fragment of one."""

    channel: int
    sender: int
    session: int
    sequence: int
    payload: bytes = b""
    flags: int = 0
    """Of `DataFlag`, without FRAGMENT, RECIPIENTS and EXTENSIONS, which follow from the blocks."""
    fragment: Fragment | None = None
    recipients: Recipients | None = None
    extensions: tuple[Extension, ...] = ()
    length: int = field(default=0, compare=False, repr=False)
    """Bytes of the whole frame on the wire; what flow control counts."""

    @property
    def reliable(self) -> bool:
        """Whether the session is Reliable."""
        return bool(self.flags & RELIABLE)

    def encode(self) -> bytes:
        """The frame's bytes."""
        flags, blocks = self.flags, b""
        if self.fragment is not None:
            flags |= FRAGMENT
            blocks = encode_fragment(self.fragment)
        if self.recipients is not None:
            flags |= RECIPIENTS
            blocks += self.recipients.encode()
        if self.extensions:
            flags |= EXTENSIONS
            blocks += encode_extensions(self.extensions)
        return encode_data(flags, self.channel, self.sender, self.session, self.sequence, blocks, self.payload)


@dataclass(slots=True)
class Control:
    """What CLOSE, FAIL, REFUSE, RECEIPT and CREDIT share."""

    sender: int
    """Slot of the session's owner, whoever writes."""
    recipient: int
    """Slot of the recipient concerned; `NO_SLOT` where there is none."""
    session: int
    value: int
    reason: int = 0

    TYPE = FrameType.CLOSE

    def encode(self) -> bytes:
        """The frame's bytes."""
        return _CONTROL.pack(
            self.TYPE, 0, CONTROL_LENGTH, self.sender, self.recipient, self.session, self.value, self.reason
        )


@dataclass(slots=True)
class Close(Control):
    """CLOSE: the session ended; `value` is its final sequence."""

    TYPE = FrameType.CLOSE


@dataclass(slots=True)
class Fail(Control):
    """FAIL: the session ended for `recipient` (`NO_SLOT`: for all); from `value` on nothing is delivered."""

    uncertain: bool = False
    """Whether message `value` itself may have been delivered."""

    TYPE = FrameType.FAIL

    def encode(self) -> bytes:
        """The frame's bytes."""
        return _CONTROL.pack(
            self.TYPE,
            FailFlag.UNCERTAIN if self.uncertain else 0,
            CONTROL_LENGTH,
            self.sender,
            self.recipient,
            self.session,
            self.value,
            self.reason,
        )


@dataclass(slots=True)
class Refuse(Control):
    """REFUSE: message `value` was not admitted."""

    TYPE = FrameType.REFUSE


@dataclass(slots=True)
class Receipt(Control):
    """RECEIPT: everything up to `value` was read."""

    TYPE = FrameType.RECEIPT


@dataclass(slots=True)
class Credit(Control):
    """CREDIT: the session's DATA frames may come to `value` bytes in all."""

    TYPE = FrameType.CREDIT


class RosterEntry(NamedTuple):
    """One change of the roster."""

    op: int
    slot: int
    reason: int = 0
    identity: str = ""


@dataclass(slots=True)
class Roster:
    """ROSTER: who is in the call, or who joined and left."""

    epoch: int
    entries: tuple[RosterEntry, ...] = ()
    snapshot: bool = False
    more: bool = False

    def encode(self) -> bytes:
        """The frame's bytes."""
        body = b"".join(encode_entry(entry) for entry in self.entries)
        flags = (RosterFlag.SNAPSHOT if self.snapshot else 0) | (RosterFlag.MORE if self.more else 0)
        return _ROSTER.pack(FrameType.ROSTER, flags, 8 + len(body), self.epoch) + body


@dataclass(slots=True)
class Hello:
    """HELLO: opens or resumes a link."""

    token: bytes
    attempt: int
    window: int
    largest_message: int
    received: int = 0
    features: int = 0
    identity: str = ""
    resume: bool = False
    replace: bool = False
    version: int = WIRE_VERSION

    def encode(self) -> bytes:
        """The frame's bytes."""
        identity = self.identity.encode()
        flags = (HelloFlag.RESUME if self.resume else 0) | (HelloFlag.REPLACE if self.replace else 0)
        return (
            _HELLO.pack(
                FrameType.HELLO,
                flags,
                _HELLO.size + len(identity),
                MAGIC,
                self.version,
                self.features,
                self.token,
                self.attempt,
                self.received,
                self.window,
                self.largest_message,
                len(identity),
            )
            + identity
        )


@dataclass(slots=True)
class Welcome:
    """WELCOME: answers HELLO."""

    slot: int
    token: bytes
    attempt: int
    window: int
    largest_message: int
    resume_ms: int
    identity: str
    received: int = 0
    features: int = 0
    version: int = WIRE_VERSION

    def encode(self) -> bytes:
        """The frame's bytes."""
        identity = self.identity.encode()
        return (
            _WELCOME.pack(
                FrameType.WELCOME,
                0,
                _WELCOME.size + len(identity),
                self.version,
                self.slot,
                self.features,
                self.token,
                self.attempt,
                self.received,
                self.window,
                self.largest_message,
                self.resume_ms,
                len(identity),
            )
            + identity
        )


@dataclass(slots=True)
class Ack:
    """ACK: so many counted frames were received since the link began."""

    received: int

    def encode(self) -> bytes:
        """The frame's bytes."""
        return encode_ack(self.received)


@dataclass(slots=True)
class Bye:
    """BYE: the link ends."""

    code: int = 0
    text: str = ""

    def encode(self) -> bytes:
        """The frame's bytes. Text beyond 255 bytes of UTF-8 is cut at a character."""
        text = self.text.encode(errors="replace")[: limits.BYE_TEXT].decode(errors="ignore").encode()
        return _BYE.pack(FrameType.BYE, 0, 6 + len(text), self.code) + text


@dataclass(slots=True)
class Unknown:
    """A skippable frame of a type that this version does not know."""

    type: int
    flags: int = 0
    body: bytes = b""

    def encode(self) -> bytes:
        """The frame's bytes."""
        return _START.pack(self.type, self.flags, 4 + len(self.body)) + self.body


Frame = Data | Close | Fail | Refuse | Receipt | Credit | Roster | Hello | Welcome | Ack | Bye | Unknown

KNOWN_TYPES: Final = frozenset(int(kind) for kind in FrameType)


# ---------------------------------------------------------------------------------------------------------------
# Writing
# ---------------------------------------------------------------------------------------------------------------


def encode_data(
    flags: int, channel: int, sender: int, session: int, sequence: int, blocks: bytes, payload: bytes | memoryview
) -> bytes:
    """A DATA frame from its parts: the way that does not build an object first."""
    start, size = 0x0100 | flags, len(payload)
    if not blocks and type(payload) is bytes:
        return _pack_data(start, DATA_HEADER + size, channel, sender, session, sequence) + payload
    head = _pack_data(start, DATA_HEADER + len(blocks) + size, channel, sender, session, sequence)
    return b"".join((head, blocks, payload))


def encode_ack(received: int) -> bytes:
    """ACK: so many counted frames were received since the link began."""
    return _ACK.pack(ACK_START, received)


def unpack_ack(packet: bytes, offset: int) -> int:
    """The count of the ACK at `offset`."""
    count: int = _ACK.unpack_from(packet, offset)[1]
    return count


def start_of(flags: int) -> int:
    """Type and flags of a DATA frame as one number."""
    return 0x0100 | flags


def key_of(channel: int, sender: int, session: int) -> int:
    """What all DATA frames of a session have in common, as one number."""
    return channel << 48 | sender << 32 | session


def encode_fragment(fragment: Fragment) -> bytes:
    """The fragment block's bytes."""
    place = fragment.index | (LAST_BIT if fragment.last else 0) | (ABORT_BIT if fragment.abort else 0)
    return _FRAGMENT.pack(place, fragment.total)


def encode_entry(entry: RosterEntry) -> bytes:
    """A roster entry's bytes."""
    identity = entry.identity.encode()
    return _ENTRY.pack(entry.op, len(identity), entry.slot, entry.reason) + identity


def strip_recipients(frame: bytes) -> bytes:
    """A DATA frame without its recipient block: what a relay hands on, once for all recipients."""
    kind, flags, length = _START.unpack_from(frame)
    at = DATA_HEADER + (FRAGMENT_BLOCK if flags & FRAGMENT else 0)
    count = (frame[at + 4] << 8 | frame[at + 5]) & 0x7FFF
    size = 6 + 6 * count
    return b"".join((_START.pack(kind, flags & ~RECIPIENTS, length - size), frame[4:at], frame[at + size :]))
