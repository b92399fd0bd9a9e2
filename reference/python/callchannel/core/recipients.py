# SPDX-License-Identifier: Apache-2.0
"""Sets of recipients and their bitmap on the wire (specification, chapters 3 and 4).

A set of slots is one Python integer: bit s stands for slot s. That makes union, difference and membership single
operations however large the call, and the words of the wire are slices of it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from callchannel.core.errors import ErrorCode, FrameError

NO_SLOT = 0xFFFF
"""The slot that means "none"; it is never given."""

_HEAD = struct.Struct(">IH")
_WORD = struct.Struct(">HI")
_EXCEPT = 0x8000
_MAX_WORD_INDEX = NO_SLOT // 32

_BITS_OF_BYTE = tuple(tuple(bit for bit in range(8) if byte >> bit & 1) for byte in range(256))


def slots_of(mask: int) -> Iterator[int]:
    """Yield the slots of a set, ascending.

    Sparse sets go bit by bit, dense ones byte by byte: each is several times faster than the other at its own end.
    """
    if mask.bit_count() * 8 < mask.bit_length():
        while mask:
            lowest = mask & -mask
            yield lowest.bit_length() - 1
            mask ^= lowest
    else:
        base = 0
        for byte in mask.to_bytes((mask.bit_length() + 7) // 8, "little"):
            for bit in _BITS_OF_BYTE[byte]:
                yield base + bit
            base += 8


def mask_of(slots: Iterable[int]) -> int:
    """The set of the given slots."""
    mask = 0
    for slot in slots:
        mask |= 1 << slot
    return mask


def count_words(mask: int) -> int:
    """How many 32-bit words of a set are not zero."""
    return sum(1 for _ in _words(mask))


def _words(mask: int) -> Iterator[tuple[int, int]]:
    raw = mask.to_bytes((mask.bit_length() + 31) // 32 * 4, "little")
    for index, word in enumerate(struct.unpack(f"<{len(raw) // 4}I", raw)):
        if word:
            yield index, word


@dataclass(frozen=True, slots=True)
class Recipients:
    """The recipient block: who a message is for, read under one roster epoch."""

    epoch: int
    everyone_but: bool
    """True: everyone of the epoch but `slots`. False: `slots`."""
    slots: int
    """A set of slots, see `mask_of` and `slots_of`."""

    @property
    def names_everyone(self) -> bool:
        """Whether this is EXCEPT with count 0: a broadcast that carries its epoch."""
        return self.everyone_but and not self.slots

    def encode(self) -> bytes:
        """The block's bytes, canonical: words ascending, none zero."""
        words = [_WORD.pack(index, word) for index, word in _words(self.slots)]
        return _HEAD.pack(self.epoch, len(words) | (_EXCEPT if self.everyone_but else 0)) + b"".join(words)


def decode_recipients(packet: bytes, offset: int, end: int, max_words: int) -> tuple[Recipients, int]:
    """Read a recipient block. Returns it and the offset behind it; raises `FrameError`."""
    if offset + 6 > end:
        raise _bad(offset, "the recipient block is cut off", "CC-FRAME-021")
    epoch, head = _HEAD.unpack_from(packet, offset)
    everyone_but, count = bool(head & _EXCEPT), head & ~_EXCEPT
    if not epoch:
        raise _bad(offset, "roster epoch 0 in a recipient block", "CC-FRAME-038")
    if not everyone_but and not count:
        raise _bad(offset + 4, "a recipient block that names nobody", "CC-FRAME-039")
    if count > max_words:
        raise _bad(offset + 4, f"{count} words, a Lossy message has at most {max_words}", "CC-FRAME-040")
    start, offset = offset + 6, offset + 6 + 6 * count
    if offset > end:
        raise _bad(start, f"the recipient block's {count} words are cut off", "CC-FRAME-021")
    slots, last = 0, -1
    for at in range(start, offset, 6):
        index, word = _WORD.unpack_from(packet, at)
        if index <= last:
            raise _bad(at, f"word index {index} does not follow {last}", "CC-FRAME-041")
        if not word:
            raise _bad(at, f"word {index} is zero", "CC-FRAME-042")
        if index > _MAX_WORD_INDEX or (index == _MAX_WORD_INDEX and word >> 31):
            raise _bad(at, f"word {index} names slot FFFF or beyond", "CC-FRAME-043")
        slots |= word << (32 * index)
        last = index
    return Recipients(epoch, everyone_but, slots), offset


def _bad(offset: int, detail: str, requirement: str) -> FrameError:
    return FrameError(ErrorCode.FRAME_FORMAT, offset, detail, requirement)
