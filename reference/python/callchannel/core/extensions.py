# SPDX-License-Identifier: Apache-2.0
"""Extensions of a message: their block on the wire and the registered ones (specification, chapters 3 and 17).

The block's structure is judged with the frame. Values are judged by the final recipient alone: a relay may be older
than an extension, and a value must not end anybody's link.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from callchannel.core.errors import ErrorCode, FrameError, InvalidArgument

MUST_UNDERSTAND = 0x8000

_SIZE = struct.Struct(">H")
_HEAD = struct.Struct(">HH")
_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")


class ExtensionType(enum.IntEnum):
    """Registered extensions (`spec/registry/extensions.toml`)."""

    CONTENT_TYPE = 0x0001
    NAME = 0x0002
    LIFETIME = 0x0003
    APPLICATION_TIME = 0x0004
    END_TO_END_ENCRYPTION = 0x0005
    """Reserved."""


class Extension(NamedTuple):
    """One extension as it is on the wire."""

    type: int
    value: bytes
    must_understand: bool = False


def encode_extensions(extensions: Iterable[Extension]) -> bytes:
    """The extension block's bytes, ascending by type; empty when there are none."""
    body = b"".join(
        _HEAD.pack(item.type | (MUST_UNDERSTAND if item.must_understand else 0), len(item.value)) + item.value
        for item in sorted(extensions)
    )
    return _SIZE.pack(len(body)) + body if body else b""


def decode_extensions(packet: bytes, offset: int, end: int) -> tuple[tuple[Extension, ...], int]:
    """Read an extension block. Returns it and the offset behind it; raises `FrameError`."""
    if offset + 2 > end:
        raise _bad(offset, "the extension block is cut off", "CC-FRAME-021")
    (size,) = _SIZE.unpack_from(packet, offset)
    if not size:
        raise _bad(offset, "an empty extension block", "CC-FRAME-049")
    at, stop = offset + 2, offset + 2 + size
    if stop > end:
        raise _bad(offset, f"the extension block's {size} bytes are cut off", "CC-FRAME-021")
    found: list[Extension] = []
    last = -1
    while at < stop:
        if at + 4 > stop:
            raise _bad(at, "an extension is cut off", "CC-FRAME-050")
        head, length = _HEAD.unpack_from(packet, at)
        kind = head & ~MUST_UNDERSTAND
        if at + 4 + length > stop:
            raise _bad(at, f"extension {kind:04X} is longer than its block", "CC-FRAME-050")
        if kind <= last:
            raise _bad(at, f"extension {kind:04X} does not follow {last:04X}", "CC-FRAME-051")
        found.append(Extension(kind, packet[at + 4 : at + 4 + length], bool(head & MUST_UNDERSTAND)))
        at += 4 + length
        last = kind
    return tuple(found), stop


def lifetime_of(extensions: Iterable[Extension]) -> int | None:
    """The lifetime among the extensions, in microseconds; None where there is none that is well formed."""
    for item in extensions:
        if item.type == ExtensionType.LIFETIME and len(item.value) == 4:
            return int(_U32.unpack(item.value)[0]) * 1_000 or None
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What a sender says about a message besides its bytes."""

    content_type: str | None = None
    """Media type, at most 255 bytes of UTF-8."""
    name: str | None = None
    """A name, such as a file's, at most 255 bytes of UTF-8. Hostile until proven otherwise: it comes from a peer."""
    lifetime: int | None = None
    """Longest wait of a Lossy message in any one queue, in microseconds (written as whole milliseconds, rounded up)."""
    time: int | None = None
    """The application's own clock, in microseconds."""
    must_understand: frozenset[int] = frozenset()
    """Extension types that the recipient has to understand, else the message fails."""

    def encode(self) -> tuple[Extension, ...]:
        """These as extensions. Raises `InvalidArgument` where a value does not fit its format."""
        found: list[Extension] = []
        for kind, label, text in (
            (ExtensionType.CONTENT_TYPE, "content_type", self.content_type),
            (ExtensionType.NAME, "name", self.name),
        ):
            if text is not None:
                found.append(self._extension(kind, _text(label, text)))
        if self.lifetime is not None:
            found.append(self._extension(ExtensionType.LIFETIME, _U32.pack(self._lifetime_ms(self.lifetime))))
        if self.time is not None:
            if not isinstance(self.time, int) or not 0 <= self.time < 1 << 64:
                raise InvalidArgument(f"time is {self.time!r}, it has to be an integer of microseconds, 0 to 2^64 - 1")
            found.append(self._extension(ExtensionType.APPLICATION_TIME, _U64.pack(self.time)))
        return tuple(found)

    def _extension(self, kind: int, value: bytes) -> Extension:
        return Extension(int(kind), value, kind in self.must_understand)

    @staticmethod
    def _lifetime_ms(lifetime: int) -> int:
        milliseconds = -(-lifetime // 1_000) if isinstance(lifetime, int) else 0
        if not 1 <= milliseconds < 1 << 32:
            raise InvalidArgument(
                f"lifetime is {lifetime!r}, it has to be 1 microsecond or more, under 2^32 milliseconds"
            )
        return milliseconds


def read_metadata(extensions: Iterable[Extension]) -> tuple[Metadata, bool]:
    """What the extensions say, and whether all that had to be understood was (step 18 of the validation order).

    A malformed value counts as not understood.
    """
    content_type = name = lifetime = time = None
    understood = True
    for item in extensions:
        good = False
        if item.type in (ExtensionType.CONTENT_TYPE, ExtensionType.NAME) and 1 <= len(item.value) <= 255:
            try:
                text = item.value.decode()
            except UnicodeDecodeError:
                pass
            else:
                good = True
                if item.type == ExtensionType.CONTENT_TYPE:
                    content_type = text
                else:
                    name = text
        elif item.type == ExtensionType.LIFETIME and len(item.value) == 4:
            lifetime = int(_U32.unpack(item.value)[0]) * 1_000 or None
            good = lifetime is not None
        elif item.type == ExtensionType.APPLICATION_TIME and len(item.value) == 8:
            time = int(_U64.unpack(item.value)[0])
            good = True
        understood = understood and (good or not item.must_understand)
    return Metadata(content_type=content_type, name=name, lifetime=lifetime, time=time), understood


def _text(label: str, text: str) -> bytes:
    try:
        value = text.encode()
    except (AttributeError, UnicodeEncodeError) as error:
        raise InvalidArgument(f"{label} has to be text that UTF-8 can hold, it is {text!r}") from error
    if not 1 <= len(value) <= 255:
        raise InvalidArgument(f"{label} has {len(value)} bytes, it has to have 1 to 255")
    return value


def _bad(offset: int, detail: str, requirement: str) -> FrameError:
    return FrameError(ErrorCode.FRAME_FORMAT, offset, detail, requirement)
