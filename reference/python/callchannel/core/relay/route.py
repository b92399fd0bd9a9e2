# SPDX-License-Identifier: Apache-2.0
"""One Reliable session on its way to one recipient: queue, credit, stall, and what is owed (sections 10.7 and 10.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from callchannel.core.errors import ErrorCode
from callchannel.core.frames import CONFIRM, Fail
from callchannel.core.relay.custody import DATA, Item, Run, ends_message, is_abort, sequence_of
from callchannel.core.scheduling import NO_ROOM

if TYPE_CHECKING:
    from callchannel.core.relay.downlink import Downlink
    from callchannel.core.relay.owned import ReliableSession
    from callchannel.core.relay.receipts import Confirmed

_QUANTUM: Final = 4_096
"""A route reserves its link's memory in pieces of this size, so that most frames cost the link no bookkeeping."""
_COMPACT: Final = 64


class Route:
    """What a relay keeps for a Reliable session and a recipient. It outlives the session until nothing is owed."""

    __slots__ = (
        "_blocked",
        "_head",
        "_last",
        "confirms",
        "covered",
        "done",
        "downlink",
        "fail_value",
        "failed",
        "free",
        "full",
        "high",
        "in_turns",
        "limit",
        "mark",
        "passed",
        "queue",
        "queued",
        "released",
        "reserved",
        "session",
        "written",
        "wrote",
    )

    def __init__(self, session: ReliableSession, downlink: Downlink) -> None:
        self.session = session
        self.downlink = downlink
        self.high = session.high
        self.in_turns = False
        self.wrote = 0
        self.queue: list[Item] = []
        """Items from `_head` on wait; those before it were written."""
        self.queued = 0
        """Bytes that wait, as they came from the owner."""
        self.mark = 0
        """When more bytes wait than this, `grew` has to see to it."""
        self.reserved = 0
        """Bytes of the link's memory that this route has taken, at least `queued`."""
        self.limit = downlink.peer_window
        """Bytes that the recipient allows in all."""
        self.written = 0
        """Bytes written of those."""
        self.free = 0
        """Items in the queue that need no credit."""
        self.full = False
        self.failed = False
        """FAIL was decided on: nothing more is queued but CLOSE."""
        self.fail_value = 0
        """The first sequence that is not delivered, once failed."""
        self.done = False
        """CLOSE was acknowledged."""
        self.covered = 0
        """Greatest sequence that a RECEIPT of the recipient covered."""
        self.passed = 0
        """Greatest sequence that a RECEIPT with its slot told the owner, or one for all before it failed."""
        self.released = False
        """Whether it is out of the aggregate of receipts, since its FAIL was written."""
        self.confirms: list[Confirmed] = []
        """Messages with CONFIRM that were admitted for this recipient and not covered, ascending."""
        self._head = 0
        self._last: bytes | None = None  # the DATA frame written last
        self._blocked = False  # waits for credit, or for the link's unacknowledged bytes

    # --- from the owner ------------------------------------------------------------------------------------------

    def push_free(self, frame: bytes, *, last: bool) -> None:
        """Queue a frame that flow control does not count; `last`: nothing follows, tell `acked`."""
        self.queue.append((frame, self if last else None, 0))
        self.free += 1
        if frame[0] != DATA:
            self.downlink.add_control(len(frame))
        self._wake()

    def grew(self, now: int) -> None:
        """More bytes wait than `mark`: be in turns, reserve memory, notice that the queue is full."""
        self._wake()
        queued = self.queued
        downlink = self.downlink
        if queued > self.reserved:
            grant = queued - self.reserved + (0 if downlink.is_tight else _QUANTUM)
            self.reserved += grant
            downlink.reserved += grant
        if not self.full and queued > self.session.full_mark:
            self.full = True
            downlink.timers.set((id(self), "stall"), now + downlink.limits.stall_time, self._on_stall)
        self.mark = self.reserved if self.full else min(self.reserved, self.session.full_mark)
        if downlink.reserved > downlink.limits.relay_link_memory:
            downlink.enforce_memory(now)

    def is_far_from_limits(self, size: int) -> bool:
        """Whether `size` bytes more make neither this route full nor the link's memory tight."""
        downlink = self.downlink
        return (
            self.queued + size <= self.session.full_mark
            and not downlink.is_tight
            and downlink.reserved + size + _QUANTUM <= downlink.limits.relay_link_memory
        )

    def _wake(self) -> None:
        if not self.in_turns and not self._blocked:
            self.downlink.wake(self)

    def unblock(self) -> None:
        """Credit or an ACK has come: take part again."""
        self._blocked = False
        if self.queue:
            self._wake()

    # --- writing -------------------------------------------------------------------------------------------------

    @property
    def owner_key(self) -> int:
        """Tells owners apart."""
        return self.session.uplink.key

    def write_run(self, room: int, bundle: int, now: int) -> bytes | None:
        """As many frames as fit `bundle` bytes, or else one of at most `room`."""
        downlink = self.downlink
        run = None if self.free else self._next_run(bundle)
        if run is None or run.size > self.limit - self.written or run.size > downlink.custody.room():
            return self._write_slowly(room, bundle, now)
        count = len(run.items)
        if self._head + count == len(self.queue):
            self.queue = []
            self._head = 0
            self.in_turns = False
        else:
            self._head += count
        self.queued -= run.up
        self.written += run.size
        self.wrote = count
        self._last = run.items[-1][0]
        downlink.custody.write_items(run.items, run.size, data=count)
        if not self.queued or self.full or downlink.is_tight or self.session.witness is self:
            self._shrank(now)
        return run.chunk

    def _next_run(self, bundle: int) -> Run | None:
        """The frames of the next packet, from those that another link was just written where they are the same."""
        queue, head = self.queue, self._head
        if head == len(queue):
            return None
        runs = self.downlink.runs
        key = id(queue[head])
        run = runs.get(key)
        if run is not None and run.size <= bundle:
            end = head + len(run.items)
            if (run.full or end == len(queue)) and queue[head:end] == run.items:
                return run
        items: list[Item] = []
        for item in queue[head:] if head else queue:
            bundle -= len(item[0])
            if bundle < 0:
                break
            items.append(item)
        if not items:
            return None
        run = runs[key] = Run(items, full=bundle < 0)
        return run

    def _write_slowly(self, room: int, bundle: int, now: int) -> bytes | None:
        """Frame by frame: near a limit, large, or free of credit."""
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
        """The next frame of at most `room` bytes; `NO_ROOM`; None when it has to wait."""
        if self._head == len(self.queue):
            self.in_turns = False
            return None
        item = self.queue[self._head]
        frame, _, size = item
        length = len(frame)
        downlink = self.downlink
        custody = downlink.custody
        is_data = frame[0] == DATA
        if is_data:
            is_full = custody.is_full
            if is_full or (size and self.written + length > self.limit):
                self.in_turns = False
                self._blocked = True
                if is_full:
                    downlink.hold(self)
                return None
        if length > room:
            return NO_ROOM
        self._head += 1
        custody.write_items([item], length, data=is_data)
        if is_data:
            self._last = frame
        else:
            downlink.add_control(-length)
        if self._head == len(self.queue) or self._head >= _COMPACT:
            self._trim()
        if not size:
            self.free -= 1
            return frame
        self.written += length
        queued = self.queued = self.queued - size
        if not queued or self.full or downlink.is_tight or self.session.witness is self:
            self._shrank(now)
        return frame

    def _trim(self) -> None:
        if self._head == len(self.queue):
            self.queue = []
            self._head = 0
            self.in_turns = False
        elif self._head >= _COMPACT and self._head * 2 > len(self.queue):
            del self.queue[: self._head]
            self._head = 0

    def _shrank(self, now: int) -> None:
        """Fewer bytes wait."""
        queued = self.queued
        downlink = self.downlink
        if not queued or downlink.is_tight:
            downlink.reserved -= self.reserved - queued
            self.reserved = queued
            downlink.relax()
        if self.full and queued <= self.session.half_mark:
            self.full = False
            downlink.timers.cancel((id(self), "stall"))
        self.mark = self.reserved if self.full else min(self.reserved, self.session.full_mark)
        if self.session.witness is self:
            self.session.check_credit(now)

    # --- from the recipient --------------------------------------------------------------------------------------

    def credit(self, limit: int) -> None:
        """CREDIT: a lower limit than before has no effect (CC-DELIV-049)."""
        if limit > self.limit:
            self.limit = limit
            self.unblock()

    def acked(self, mark: int, now: int) -> None:
        """The frame that nothing follows has arrived."""
        self.done = True
        self.session.route_done(self)

    def _on_stall(self, now: int) -> None:
        """CC-RELAY-039."""
        if self.full:
            self.session.fail_recipient(self, ErrorCode.OVERRUN, now)

    # --- what is owed --------------------------------------------------------------------------------------------

    def wholly_written(self) -> int:
        """The greatest sequence up to which every message of this route was wholly written (CC-RELAY-071)."""
        if self._last is None:
            return 0
        return sequence_of(self._last) - (not ends_message(self._last))

    def first_queued(self) -> int | None:
        """The smallest sequence that waits, aborted or not."""
        for frame, _, _ in self.queue[self._head :]:
            if frame[0] == DATA:
                return sequence_of(frame)
        return None

    @property
    def in_partial(self) -> bool:
        """Whether more may come of a message that is for this recipient."""
        partial = self.session.partial
        return partial is not None and not self.failed and self in partial.routes

    def owed(self, unacked: int | None) -> int | None:
        """The smallest sequence that is owed to the recipient (section 10.1).

        `unacked` is the smallest one among the frames that its link has not acknowledged, see `Downlink.unacked`.
        """
        smallest = self.undelivered(unacked, confirmed=False)
        if self.confirms:
            first = self.confirms[0].sequence
            return first if smallest is None else min(first, smallest)
        return smallest

    def undelivered(self, unacked: int | None, *, confirmed: bool) -> int | None:
        """The smallest sequence that its link has not acknowledged in whole; `confirmed`: those with CONFIRM, too."""
        smallest = unacked
        for frame, _, _ in self.queue[self._head :]:
            if frame[0] != DATA:
                continue
            sequence = sequence_of(frame)
            if is_abort(frame):
                if smallest == sequence:
                    smallest = None
            elif smallest is None and (confirmed or not frame[1] & CONFIRM):
                smallest = sequence
        partial = self.session.partial
        if smallest is None and partial is not None and self.in_partial and (confirmed or not partial.confirm):
            smallest = partial.sequence
        return smallest

    def owed_unwritten(self) -> int | None:
        """The smallest sequence that is owed and was not wholly written (CC-RELAY-052)."""
        partial = self.session.partial
        begun = [partial.sequence] if partial is not None and self.in_partial else []
        waiting = [sequence_of(frame) for frame, _, _ in self.queue[self._head :] if frame[0] == DATA]
        aborted = {
            sequence_of(frame) for frame, _, _ in self.queue[self._head :] if frame[0] == DATA and is_abort(frame)
        }
        return min((sequence for sequence in (*waiting, *begun) if sequence not in aborted), default=None)

    def discard(self, value: int, now: int) -> None:
        """Throw away what waits from sequence `value` on (CC-RELAY-053)."""
        kept: list[Item] = []
        for item in self.queue[self._head :]:
            frame, _, size = item
            if frame[0] == DATA and sequence_of(frame) >= value:
                self.queued -= size
                self.free -= not size
            else:
                kept.append(item)
        self.queue = kept
        self._head = 0
        self._blocked = False
        if kept:
            self._wake()
        else:
            self.downlink.sleep(self)
        self._shrank(now)

    def fail(self, code: int, value: int, *, uncertain: bool, tell: bool, now: int) -> None:
        """End the session for this recipient from `value` on; `tell`: write FAIL to it, too (CC-RELAY-050)."""
        self.failed = True
        self.fail_value = value
        self.discard(value, now)
        if tell:
            session = self.session
            frame = Fail(session.owner.slot, self.downlink.member.slot, session.number, value, code, uncertain)
            closing = self.queue.pop() if self.queue and self.queue[-1][1] is self else None
            self.push_free(frame.encode(), last=False)
            if closing is not None:
                self.queue.append(closing)  # nothing but CLOSE stands behind FAIL (CC-SESS-065)

    def close(self, frame: bytes) -> None:
        """Queue CLOSE behind what is written (CC-RELAY-032)."""
        self.push_free(frame, last=True)

    def drop(self) -> None:
        """The recipient's link is dead: let go of everything."""
        self.queue = []
        self._head = self.queued = 0
        self.downlink.timers.cancel((id(self), "stall"))
