# SPDX-License-Identifier: Apache-2.0
"""Control frames that wait for one link: REFUSE, FAIL, and the RECEIPT that goes before a FAIL (section 8.5)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from callchannel.core.recipients import NO_SLOT

Written = Callable[[int], None]
"""Called with the time when the frame is written."""


class Outbox:
    """A queue of control frames, in the order in which they became due (CC-SCHED-010)."""

    __slots__ = ("_frames", "size")

    def __init__(self) -> None:
        self._frames: deque[tuple[bytes, Written | None]] = deque()
        self.size = 0
        """Bytes that wait."""

    def __bool__(self) -> bool:
        return bool(self._frames)

    def put(self, frame: bytes, written: Written | None = None) -> None:
        """Queue a frame."""
        self._frames.append((frame, written))
        self.size += len(frame)

    def peek(self) -> bytes | None:
        """The next frame."""
        return self._frames[0][0] if self._frames else None

    def take(self) -> tuple[bytes, Written | None]:
        """The frame of `peek` is being written."""
        frame, written = self._frames.popleft()
        self.size -= len(frame)
        return frame, written

    def names(self, slot: int) -> bool:
        """Whether a frame that waits speaks of a recipient's slot."""
        wanted = slot.to_bytes(2, "big")
        return slot != NO_SLOT and any(frame[6:8] == wanted for frame, _ in self._frames)
