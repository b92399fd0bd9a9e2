# SPDX-License-Identifier: Apache-2.0
"""Bundling frames into packets (specification, chapter 8)."""

from __future__ import annotations

from callchannel.core.limits import BUNDLE_HEAD, LOSSY_PACKET, RELIABLE_PACKET


def bundle_room(room: int, bundle: int) -> int:
    """What is left of the bundle in a Reliable packet with room for a frame of `room` bytes.

    While a packet holds no more than a few bytes its room is that of a large frame, else it is that of the bundle.
    """
    return room - RELIABLE_PACKET + bundle if room >= RELIABLE_PACKET - BUNDLE_HEAD else room


class Packet:
    """A packet being filled.

    Small frames share a packet up to `bundle` bytes, one SCTP chunk, because the next byte would double its cost; a
    larger frame has the packet to itself, but for a few control frames in front.
    """

    __slots__ = ("_bundle", "_limit", "_parts", "size")

    def __init__(self, bundle: int, *, lossy: bool = False) -> None:
        self._limit = LOSSY_PACKET if lossy else RELIABLE_PACKET
        self._bundle = min(bundle, self._limit)
        self._parts: list[bytes] = []
        self.size = 0

    @property
    def room(self) -> int:
        """The longest frame that may be added."""
        return (self._limit if self.size <= BUNDLE_HEAD else self._bundle) - self.size

    def add(self, frame: bytes) -> int:
        """Add a frame of at most `room` bytes; returns the room that is left."""
        self._parts.append(frame)
        self.size = size = self.size + len(frame)
        return (self._limit if size <= BUNDLE_HEAD else self._bundle) - size

    def encode(self) -> bytes:
        """The packet's bytes."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
