# SPDX-License-Identifier: Apache-2.0
"""A frame field by field (specification, chapter 3), also of frames that are malformed.

Nothing is judged here: that is `callchannel.core.decoding`'s job. The walk goes on as long as there are bytes, and so
shows what is around a fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from callchannel.core.errors import error_name
from callchannel.core.extensions import MUST_UNDERSTAND, ExtensionType
from callchannel.core.frames import (
    ABORT_BIT,
    EXTENSIONS,
    FRAGMENT,
    KNOWN_TYPES,
    LAST_BIT,
    MAGIC,
    MAX_INDEX,
    RECIPIENTS,
    SKIPPABLE,
    UNCOUNTED,
    DataFlag,
    FailFlag,
    FrameType,
    HelloFlag,
    RosterFlag,
    RosterOp,
)
from callchannel.core.recipients import NO_SLOT, slots_of
from callchannel.escaping import quoted

_FLAGS: Final = {
    FrameType.DATA: DataFlag,
    FrameType.FAIL: FailFlag,
    FrameType.ROSTER: RosterFlag,
    FrameType.HELLO: HelloFlag,
}

_VALUES: Final = {
    FrameType.CLOSE: "final sequence",
    FrameType.FAIL: "first sequence that is not delivered",
    FrameType.REFUSE: "sequence of the refused message",
    FrameType.RECEIPT: "sequence up to which everything was read",
    FrameType.CREDIT: "bytes that the session's DATA may come to in all",
}

_SHOWN: Final = 60
"""Characters of a text that are shown."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field: where it is, and what it says. `value` is as on the wire, `meaning` is for people and safe to show."""

    offset: int
    size: int
    name: str
    value: int | str
    meaning: str = ""


class _Cut(Exception):
    """The bytes end within a field."""


class _Walk:
    """Takes fields from a frame, in order."""

    def __init__(self, packet: bytes, offset: int, end: int) -> None:
        self.packet = packet
        self.at = offset
        self.end = end
        self.fields: list[Field] = []

    def number(self, size: int, name: str, meaning: Callable[[int], str] = lambda value: "") -> int:
        value = int.from_bytes(self._take(size, name), "big")
        self.fields.append(Field(self.at - size, size, name, value, meaning(value)))
        return value

    def raw(self, size: int, name: str, meaning: Callable[[bytes], str] = lambda value: "") -> bytes:
        value = self._take(size, name)
        self.fields.append(Field(self.at - size, size, name, value.hex(), meaning(value)))
        return value

    def rest(self, name: str, meaning: Callable[[bytes], str]) -> None:
        self.raw(self.end - self.at, name, meaning)

    def _take(self, size: int, name: str) -> bytes:
        left = self.end - self.at
        if size > left:
            if left > 0:
                value = self.packet[self.at : self.end].hex()
                self.fields.append(Field(self.at, left, name, value, f"cut off: {left} of {size} bytes"))
            raise _Cut
        self.at += size
        return self.packet[self.at - size : self.at]


def explain(packet: bytes, offset: int) -> tuple[Field, ...]:
    """The fields of the frame that begins at `offset`, up to where the bytes end."""
    walk = _Walk(packet, offset, len(packet))
    try:
        kind = walk.number(1, "type", type_name)
        flags = walk.number(1, "flags", lambda value: flag_names(kind, value))
        length = walk.number(2, "length")
        if 4 <= length <= len(packet) - offset:
            walk.end = offset + length
        _BODIES.get(kind, _unknown)(walk, kind, flags)
    except _Cut:
        pass
    else:
        if walk.at < walk.end:
            walk.rest("rest", lambda value: "beyond the frame's fields")
    return tuple(walk.fields)


def type_name(kind: int) -> str:
    """A frame type's name, or how an unknown one is treated."""
    if kind in KNOWN_TYPES:
        return FrameType(kind).name
    if not kind & SKIPPABLE:
        return "unknown, not skippable"
    return f"unknown, skipped, {'not ' if kind & UNCOUNTED else ''}counted"


def flag_names(kind: int, flags: int) -> str:
    """The names of a frame's flags."""
    if kind not in KNOWN_TYPES:
        return "" if not flags else "not judged"
    known = _FLAGS.get(FrameType(kind), ())
    names = [flag.name or "" for flag in known if flags & flag]
    undefined = flags & ~sum(known)
    if undefined:
        names.append(f"undefined {undefined:02X}")
    return " ".join(names) or "none"


# ---------------------------------------------------------------------------------------------------------------
# Bodies
# ---------------------------------------------------------------------------------------------------------------


def _unknown(walk: _Walk, kind: int, flags: int) -> None:
    if walk.at < walk.end:
        walk.rest("body", _preview)


def _data(walk: _Walk, kind: int, flags: int) -> None:
    walk.number(2, "channel")
    walk.number(2, "sender", _slot)
    walk.number(4, "session")
    walk.number(4, "sequence")
    if flags & FRAGMENT:
        walk.number(4, "fragment", _place)
        walk.number(4, "total", lambda value: "bytes of the whole message" if value else "a stream")
    if flags & RECIPIENTS:
        _recipients(walk)
    if flags & EXTENSIONS:
        _extensions(walk)
    walk.rest("payload", _preview)


def _place(value: int) -> str:
    bits = "".join(name for bit, name in ((LAST_BIT, ", LAST"), (ABORT_BIT, ", ABORT")) if value & bit)
    return f"index {value & MAX_INDEX:,}{bits}"


def _recipients(walk: _Walk) -> None:
    walk.number(4, "epoch", lambda value: "roster that the slots are of")
    head = walk.number(2, "words", lambda value: f"{'EXCEPT, ' if value & 0x8000 else ''}count {value & 0x7FFF:,}")
    for _ in range(head & 0x7FFF):
        index = walk.number(2, "word index")
        walk.number(4, "bits", lambda value, base=32 * index: _slots(base, value))  # type: ignore[misc]


def _slots(base: int, word: int) -> str:
    slots = [base + bit for bit in slots_of(word)]
    return ("slots " if len(slots) != 1 else "slot ") + (", ".join(map(str, slots)) or "none")


def _extensions(walk: _Walk) -> None:
    size = walk.number(2, "extensions", lambda value: "bytes of the block")
    stop = walk.at + size
    while walk.at < min(stop, walk.end):
        kind = walk.number(2, "extension", _extension_name)
        length = walk.number(2, "length")
        walk.raw(length, "value", lambda value, kind=kind: _extension_value(kind & ~MUST_UNDERSTAND, value))  # type: ignore[misc]


def _extension_name(kind: int) -> str:
    number = kind & ~MUST_UNDERSTAND
    try:
        name = ExtensionType(number).name.lower().replace("_", " ")
    except ValueError:
        name = f"{number:04X}, unknown"
    return name + (", must be understood" if kind & MUST_UNDERSTAND else "")


def _extension_value(kind: int, value: bytes) -> str:
    if kind in (ExtensionType.CONTENT_TYPE, ExtensionType.NAME):
        return _text(value)
    if kind == ExtensionType.LIFETIME and len(value) == 4:
        return f"{int.from_bytes(value, 'big'):,} ms"
    if kind == ExtensionType.APPLICATION_TIME and len(value) == 8:
        return f"{int.from_bytes(value, 'big'):,} us"
    return _preview(value)


def _control(walk: _Walk, kind: int, flags: int) -> None:
    walk.number(2, "sender", lambda value: f"{_slot(value)}, the session's owner")
    walk.number(2, "recipient", _slot)
    walk.number(4, "session")
    walk.number(8, "value", lambda value: _VALUES[FrameType(kind)])
    walk.number(2, "reason", error_name)


def _roster(walk: _Walk, kind: int, flags: int) -> None:
    walk.number(4, "epoch")
    while walk.at < walk.end:
        walk.number(1, "operation", _operation)
        size = walk.number(1, "id length")
        walk.number(2, "slot", _slot)
        walk.number(2, "reason", error_name)
        if size:
            walk.raw(size, "id", _text)


def _operation(value: int) -> str:
    try:
        return RosterOp(value).name
    except ValueError:
        return "undefined"


def _hello(walk: _Walk, kind: int, flags: int) -> None:
    walk.number(4, "magic", lambda value: '"CALL"' if value == MAGIC else "another protocol")
    walk.number(2, "version")
    walk.number(4, "features")
    walk.raw(16, "token", lambda value: "link token" if flags & HelloFlag.RESUME else "instance identifier")
    walk.number(4, "attempt")
    walk.number(8, "received", lambda value: "counted frames")
    _limits(walk)
    size = walk.number(1, "id length")
    if size:
        walk.raw(size, "id", _text)


def _welcome(walk: _Walk, kind: int, flags: int) -> None:
    walk.number(2, "version")
    walk.number(2, "slot", _slot)
    walk.number(4, "features")
    walk.raw(16, "token", lambda value: "link token")
    walk.number(4, "attempt")
    walk.number(8, "received", lambda value: "counted frames")
    _limits(walk)
    walk.number(4, "resume", lambda value: f"window of {value:,} ms")
    size = walk.number(1, "id length")
    if size:
        walk.raw(size, "id", _text)


def _limits(walk: _Walk) -> None:
    walk.number(4, "window", lambda value: "bytes")
    walk.number(4, "largest", lambda value: "bytes of a message that is taken")


def _ack(walk: _Walk, kind: int, flags: int) -> None:
    walk.number(8, "received", lambda value: "counted frames")


def _bye(walk: _Walk, kind: int, flags: int) -> None:
    walk.number(2, "code", error_name)
    if walk.at < walk.end:
        walk.rest("text", _text)


_BODIES: Final[dict[int, Callable[[_Walk, int, int], None]]] = {
    FrameType.DATA: _data,
    **dict.fromkeys(_VALUES, _control),
    FrameType.ROSTER: _roster,
    FrameType.HELLO: _hello,
    FrameType.WELCOME: _welcome,
    FrameType.ACK: _ack,
    FrameType.BYE: _bye,
}


# ---------------------------------------------------------------------------------------------------------------
# Values
# ---------------------------------------------------------------------------------------------------------------


def _slot(value: int) -> str:
    return "none" if value == NO_SLOT else f"slot {value}"


def _text(value: bytes) -> str:
    try:
        return quoted(value.decode(), _SHOWN)
    except UnicodeDecodeError as exc:
        return f"not UTF-8 at byte {exc.start}"


def _preview(value: bytes) -> str:
    count = f"{len(value):,} byte{'' if len(value) == 1 else 's'}"
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return count
    return f"{count}, {quoted(text, _SHOWN)}" if text and text.isprintable() else count


def hex_lines(value: bytes, each: int = 8) -> Iterator[str]:
    """Bytes in hexadecimal, `each` on a line."""
    for at in range(0, len(value), each):
        yield value[at : at + each].hex(" ")
