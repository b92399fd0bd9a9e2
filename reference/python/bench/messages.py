# SPDX-License-Identifier: Apache-2.0
"""Messages that can be checked: each begins with its number, and the rest is known."""

from __future__ import annotations

import struct

_NUMBER = struct.Struct(">Q")
_STAMP = struct.Struct(">QQ")


class Messages:
    """Messages of one size, at least 8 bytes."""

    def __init__(self, size: int) -> None:
        self._rest = bytes(place * 7 & 255 for place in range(size - _NUMBER.size))

    def make(self, number: int) -> bytes:
        """One message."""
        return _NUMBER.pack(number) + self._rest

    def check(self, message: bytes, number: int) -> None:
        """Raise `AssertionError` unless it is that message."""
        assert message.endswith(self._rest) and len(message) == _NUMBER.size + len(self._rest), "not what was sent"
        assert _NUMBER.unpack_from(message)[0] == number, "messages are missing, or out of order"

    @staticmethod
    def stamped(number: int, nanoseconds: int, size: int) -> bytes:
        """A message with a number and a time."""
        return _STAMP.pack(number, nanoseconds) + bytes(size - _STAMP.size)

    @staticmethod
    def stamp_of(message: bytes) -> tuple[int, int]:
        """Number and time of such a message."""
        number, nanoseconds = _STAMP.unpack_from(message)
        return number, nanoseconds
