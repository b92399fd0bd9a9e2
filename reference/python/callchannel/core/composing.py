# SPDX-License-Identifier: Apache-2.0
"""From a message to its DATA frames: blocks, fragments, ABORT (specification, chapters 3, 4 and 6)."""

from __future__ import annotations

from dataclasses import dataclass

from callchannel.core import frames, limits
from callchannel.core.extensions import Extension, ExtensionType, encode_extensions
from callchannel.core.frames import Fragment, encode_data, encode_fragment
from callchannel.core.outgoing import Outgoing
from callchannel.core.recipients import Recipients
from callchannel.core.scheduling import NO_ROOM

WORTH_CUTTING = limits.RELIABLE_PACKET - limits.BUNDLE_HEAD
"""A Reliable fragment is cut only where it can fill a packet; a few small frames may stand in front of it."""

OUT_OF_INDEXES = b"-"
"""What `next_piece` returns when the last index can't end the message (CC-FRAG-024)."""

_FRAGMENT_HEAD = frames.DATA_HEADER + frames.FRAGMENT_BLOCK


@dataclass(slots=True)
class Piece:
    """A frame that is about to be written, but for the numbers that its session gives."""

    flags: int
    blocks: bytes
    payload: bytes
    last: bool
    index: int

    @property
    def length(self) -> int:
        """Bytes of the whole frame."""
        return frames.DATA_HEADER + len(self.blocks) + len(self.payload)


class Composer:
    """Makes the frames of one session's messages. `flags` are those that all its frames share."""

    __slots__ = ("_channel", "_flags", "_most", "_reliable")

    def __init__(self, channel: int, flags: int) -> None:
        self._channel = channel
        self._flags = flags
        self._reliable = bool(flags & frames.RELIABLE)
        self._most = limits.RELIABLE_PACKET if self._reliable else limits.LOSSY_PACKET

    def begin(self, message: Outgoing, block: Recipients | None) -> None:
        """Fix the blocks of a message: of its first frame, and of the later ones."""
        encoded = block.encode() if block is not None else b""
        flags = 0
        if block is not None:
            flags = frames.RECIPIENTS | (0 if block.names_everyone else frames.PRIVATE)
        if self._reliable:
            message.later_flags = flags & frames.PRIVATE  # CC-FRAME-032: no block in later fragments
        else:
            lifetime = encode_extensions(item for item in message.extensions if item.type == ExtensionType.LIFETIME)
            message.later_blocks = encoded + lifetime
            message.later_flags = flags | (frames.EXTENSIONS if lifetime else 0)
        if message.extensions:
            flags |= frames.EXTENSIONS
            encoded += encode_extensions(message.extensions)
        message.first_flags, message.first_blocks = flags, encoded

    def fits(self, size: int, block: Recipients | None, extensions: tuple[Extension, ...], *, whole: bool) -> int:
        """How many payload bytes a first frame has room for, or -1 where a message of `size` can't be written at all.

        `whole`: it must not be fragmented.
        """
        blocks = (len(block.encode()) if block else 0) + len(encode_extensions(extensions))
        room = self._most - frames.DATA_HEADER - blocks
        if size <= room or whole:
            return room
        room -= frames.FRAGMENT_BLOCK
        if self._reliable:
            return room if room > 0 else -1
        more = limits.LOSSY_FRAGMENTS - 1
        if room < limits.LOSSY_FRAGMENT_PAYLOAD or room + more * limits.LOSSY_FRAGMENT_PAYLOAD < size:
            return -1
        return room

    def next_piece(self, message: Outgoing, room: int) -> Piece | bytes | None:
        """The next frame of a message that has begun; `NO_ROOM`; `OUT_OF_INDEXES`; None: a stream waits for bytes."""
        first = not message.written
        flags = self._flags | (message.first_flags if first else message.later_flags)
        blocks = message.first_blocks if first else message.later_blocks
        if first and not message.is_stream:
            length = frames.DATA_HEADER + len(blocks) + len(message.payload)
            if length <= self._most:
                return Piece(flags, blocks, message.payload, True, 0) if length <= room else NO_ROOM
        head = _FRAGMENT_HEAD + len(blocks)
        if message.is_stream:
            if not message.chunks and not message.finished:
                return None
            rest, total = message.waiting_bytes, 0
        else:
            rest, total = message.waiting_bytes, len(message.payload)
        if self._reliable:
            take = min(room, self._most) - head
            if take < rest and room < WORTH_CUTTING:
                return NO_ROOM
            take = min(take, rest)
        else:
            take = min(self._most - head, rest)
            if head + take > room:
                return NO_ROOM
        last = take == rest and (message.finished or not message.is_stream)
        if message.index == frames.MAX_INDEX and not last:
            return OUT_OF_INDEXES
        payload = (
            _front(message, take) if message.is_stream else message.payload[message.offset : message.offset + take]
        )
        fragment = encode_fragment(Fragment(message.index, total, last))
        return Piece(flags | frames.FRAGMENT, fragment + blocks, payload, last, message.index)

    def abort(self, message: Outgoing) -> Piece:
        """The frame that gives a partly written message up."""
        total = 0 if message.is_stream else len(message.payload)
        block = encode_fragment(Fragment(message.index, total, abort=True))
        flags = self._flags | frames.FRAGMENT | (message.later_flags & frames.PRIVATE)
        return Piece(flags, block, b"", True, message.index)

    def encode(self, piece: Piece, sender: int, session: int, sequence: int) -> bytes:
        """The frame's bytes."""
        return encode_data(piece.flags, self._channel, sender, session, sequence, piece.blocks, piece.payload)


def _front(message: Outgoing, size: int) -> bytes:
    """The first `size` bytes of what a stream has waiting; they stay until `consume`."""
    found: list[bytes] = []
    for chunk in message.chunks:
        if size <= 0:
            break
        found.append(chunk[:size])
        size -= len(found[-1])
    return found[0] if len(found) == 1 else b"".join(found)


def consume(message: Outgoing, piece: Piece) -> None:
    """The piece was written: take its payload off the message."""
    size = len(piece.payload)
    message.index = piece.index + 1
    message.offset += size
    if not message.is_stream:
        return
    while size:
        chunk = message.chunks.popleft()
        if len(chunk) > size:
            message.chunks.appendleft(chunk[size:])
            return
        size -= len(chunk)
