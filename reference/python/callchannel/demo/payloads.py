# SPDX-License-Identifier: Apache-2.0
"""What is sent: texts, an image, a file, ticks."""

from __future__ import annotations

import hashlib
import struct
import zlib
from typing import Final

TICK: Final = "application/x-callchannel-tick"
"""The content type of a tick. Each carries its own checksum, since nobody knows beforehand which arrive."""

FILL: Final = 32_768
"""Bytes of each message, all zero, that fills a sender's buffer."""

_TICK_HEAD = struct.Struct(">I")
_TICK_SUM: Final = 8


def text(title: str, number: int) -> str:
    """A text with characters of several lengths."""
    return f"{title}, text {number}: grüße, добрый день, こんにちは, 👋"


def png(side: int) -> bytes:
    """An image of `side` by `side` pixels, that any viewer shows."""
    rows = b"".join(
        b"\0" + bytes(value for x in range(side) for value in (x * 255 // side, y * 255 // side, (x ^ y) & 255))
        for y in range(side)
    )
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def tick(number: int, size: int = 32) -> bytes:
    """A tick of `size` bytes, at least 12."""
    body = _TICK_HEAD.pack(number) + bytes((number + at) & 255 for at in range(max(0, size - 12)))
    return body + hashlib.sha256(body).digest()[:_TICK_SUM]


def is_sound_tick(data: bytes) -> bool:
    """Whether a tick is as it was sent."""
    body = data[:-_TICK_SUM]
    return len(data) >= _TICK_HEAD.size + _TICK_SUM and data[-_TICK_SUM:] == hashlib.sha256(body).digest()[:_TICK_SUM]
