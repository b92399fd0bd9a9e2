# SPDX-License-Identifier: Apache-2.0
"""Lossy data on its way to one recipient: fresh, bounded, oldest dropped first (sections 10.6 and 10.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from callchannel.core.frames import FRAGMENT
from callchannel.core.scheduling import NO_ROOM

if TYPE_CHECKING:
    from callchannel.core.relay.downlink import Downlink
    from callchannel.core.relay.owned_lossy import LossySession


class LossyItem(NamedTuple):
    """A Lossy frame in queues; the same object stands in those of all recipients."""

    frame: bytes
    sequence: int
    latest: bool
    expires: int
    """When its lifetime is over; 0: never."""
    session: LossySession


class LossyRoute:
    """A Lossy session and a recipient."""

    __slots__ = ("_dropped", "closing", "downlink", "failed", "high", "in_turns", "queue", "session", "used", "wrote")

    def __init__(self, session: LossySession, downlink: Downlink) -> None:
        self.session = session
        self.downlink = downlink
        self.high = session.high
        self.in_turns = False
        self.wrote = 0
        self.failed = False
        self.used = False
        """Whether anything was queued: only then the recipient is told of the end (CC-RELAY-031)."""
        self.queue: list[LossyItem] = []
        self.closing: list[bytes] = []
        """FAIL and CLOSE, which go to the reliable lane when the queue is empty (CC-RELAY-032)."""
        self._dropped = 0  # a fragmented message of which something was dropped: the rest follows it

    @property
    def owner_key(self) -> int:
        """Tells owners apart."""
        return self.session.uplink.key

    def put(self, item: LossyItem) -> None:
        """Queue a frame. Drops what it supersedes, and the oldest frames of the link that are too many."""
        downlink = self.downlink
        if item.sequence == self._dropped and item.frame[1] & FRAGMENT:
            downlink.drop("queue_full")
            return
        queue = self.queue
        if item.latest:
            for at, older in enumerate(queue):
                if older.latest:
                    downlink.drop("superseded")
                    if older.sequence > item.sequence:
                        return
                    del queue[at]
                    downlink.lossy_bytes -= len(older.frame)
                    break
        self.used = True
        queue.append(item)
        downlink.lossy_bytes += len(item.frame)
        order = downlink.lossy_order
        order.append(item)
        if not self.in_turns:
            downlink.wake_lossy(self)
        if downlink.lossy_bytes > downlink.limits.lossy_queue or len(order) >= downlink.order_limit:
            downlink.shed()

    def drop_message(self, sequence: int, reason: str) -> None:
        """Drop the frames of a message that wait, and those that still come."""
        kept = [item for item in self.queue if item.sequence != sequence]
        for item in self.queue:
            if item.sequence == sequence:
                self.downlink.drop(reason)
                self.downlink.lossy_bytes -= len(item.frame)
        self._dropped = sequence
        self.queue = kept
        if not kept:
            self._dry()

    def clear(self, reason: str | None) -> None:
        """Drop everything that waits; None: without recording it."""
        for item in self.queue:
            self.downlink.lossy_bytes -= len(item.frame)
            if reason is not None:
                self.downlink.drop(reason)
        self.queue = []
        self._dry()

    def _dry(self) -> None:
        self.downlink.sleep(self)
        self._end_if_last()

    def close(self, frame: bytes) -> None:
        """Write a last frame behind what waits."""
        if not self.used:
            self.downlink.routes.pop(self, None)
            return
        self.closing.append(frame)
        if not self.queue:
            self._dry()

    def write_run(self, room: int, bundle: int, now: int) -> bytes | None:
        """As many frames as fit `bundle` bytes."""
        parts: list[bytes] = []
        frame = self.write_frame(room, now)
        while frame:
            parts.append(frame)
            bundle -= len(frame)
            if not self.in_turns or bundle <= 0:
                break
            frame = self.write_frame(bundle, now)
        self.wrote = len(parts)
        return b"".join(parts) if parts else frame

    def write_frame(self, room: int, now: int) -> bytes | None:
        """The next frame that is still fresh (CC-RELAY-043)."""
        downlink = self.downlink
        queue = self.queue
        while queue:
            item = queue[0]
            expired = item.expires and now >= item.expires
            if not expired and len(item.frame) > room:
                return NO_ROOM
            del queue[0]
            downlink.lossy_bytes -= len(item.frame)
            if expired:
                downlink.drop("expired")
                continue
            if not queue:
                self._finish()
            downlink.frames_out += 1
            return item.frame
        self._finish()
        return None

    def _finish(self) -> None:
        self.in_turns = False
        if not self.downlink.lossy_bytes:
            self.downlink.lossy_order.clear()
        self._end_if_last()

    def _end_if_last(self) -> None:
        """Nothing waits: the session's end may be told, or is of no interest here."""
        closing, self.closing = self.closing, []
        for frame in closing:
            self.downlink.close_lossy(self, frame)


class LastFrame:
    """CLOSE or FAIL of a Lossy session, in the session's turn on the reliable lane."""

    __slots__ = ("_frame", "_route", "high", "in_turns", "wrote")

    def __init__(self, route: LossyRoute, frame: bytes) -> None:
        self._route = route
        self._frame: bytes | None = frame
        self.high = route.high
        self.in_turns = False
        self.wrote = 1

    @property
    def owner_key(self) -> int:
        """Tells owners apart."""
        return self._route.owner_key

    def write_frame(self, room: int, now: int) -> bytes | None:
        """The frame, once."""
        frame = self._frame
        if frame is None or len(frame) > room:
            return NO_ROOM if frame else None
        self._frame = None
        self.in_turns = False
        downlink = self._route.downlink
        downlink.custody.write(frame)
        downlink.add_control(-len(frame))
        return frame

    def write_run(self, room: int, bundle: int, now: int) -> bytes | None:
        """The frame, once."""
        return self.write_frame(min(room, bundle), now)
