# SPDX-License-Identifier: Apache-2.0
"""The roster on the wire: snapshots, changes, and their batching for each link (specification, sections 4.5 and 4.6).

All changes stand in one log, each encoded once. A link has a place in it, so that a quiet link costs nothing between
changes, and links that stand at the same place share the frames that bring them up to date.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import Final

from callchannel.core.frames import FrameType, RosterEntry, RosterFlag, RosterOp, encode_entry
from callchannel.core.limits import RELIABLE_PACKET, Limits
from callchannel.core.relay.membership import Member
from callchannel.core.timers import Timers

_ROSTER = struct.Struct(">BBHI")
_NEVER: Final = -(1 << 62)
_TRIM: Final = 1_024
_SHARED: Final = 8
"""So many series are kept for links that stand at the same place."""


def encode_series(epoch: int, entries: Iterable[bytes], *, snapshot: bool) -> list[bytes]:
    """ROSTER frames that hold encoded entries, all with one epoch; MORE in all but the last (CC-ROSTER-022 to 024)."""
    bodies: list[list[bytes]] = [[]]
    size = _ROSTER.size
    for entry in entries:
        if size + len(entry) > RELIABLE_PACKET:
            bodies.append([])
            size = _ROSTER.size
        bodies[-1].append(entry)
        size += len(entry)
    frames: list[bytes] = []
    for number, body in enumerate(bodies, 1):
        flags = (RosterFlag.SNAPSHOT if snapshot else 0) | (RosterFlag.MORE if number < len(bodies) else 0)
        data = b"".join(body)
        frames.append(_ROSTER.pack(FrameType.ROSTER, flags, _ROSTER.size + len(data), epoch) + data)
    return frames


def encode_snapshot(epoch: int, members: Iterable[Member]) -> list[bytes]:
    """The snapshot: a JOIN for everyone, and SUSPENDED for those who are (CC-ROSTER-017 and 018)."""
    entries: list[bytes] = []
    for member in members:
        entries.append(member.entry)
        if member.suspended:
            entries.append(encode_entry(RosterEntry(RosterOp.SUSPENDED, member.slot)))
    return encode_series(epoch, entries, snapshot=True)


class RosterFeed:
    """What one link was told of the roster. It is the owner of its ROSTER frames among the counted ones."""

    __slots__ = (
        "_broadcaster",
        "acknowledged",
        "cursor",
        "due",
        "epoch",
        "frames",
        "slot",
        "target",
        "wake",
        "written_at",
    )

    def __init__(self, broadcaster: Broadcaster, slot: int, wake: Callable[[], None]) -> None:
        self._broadcaster = broadcaster
        self.slot = slot
        self.wake = wake
        """Called when there is something to write."""
        self.epoch = 0
        """The newest complete epoch that was written (CC-ROSTER-054)."""
        self.frames: list[bytes] = []
        """The rest of the series that is being written."""
        self.cursor = 0
        """Place in the log behind the last change that is in `frames` or was written."""
        self.target = 0
        """The epoch of the series that is being written."""
        self.due = False
        """Whether changes are to be written now."""
        self.written_at = _NEVER
        """When the last change was written."""
        self.acknowledged = 0
        """Place in the log up to which ACK frames cover what was written."""

    def acked(self, mark: int, now: int) -> None:
        """The link has acknowledged the log up to place `mark`."""
        before, self.acknowledged = self.acknowledged, max(self.acknowledged, mark)
        self._broadcaster.covered(before, self.acknowledged, now)

    def start(self, place: int, snapshot: list[bytes], epoch: int) -> None:
        """Begin with a snapshot that stands for the log up to `place`."""
        self.cursor = self.acknowledged = place
        self.frames = snapshot
        self.target = epoch

    def release(self, now: int) -> None:
        """The link has died: nothing waits for its acknowledgement any more."""
        self._broadcaster.covered(self.acknowledged, self._broadcaster.end, now)

    def peek(self) -> bytes | None:
        """The next ROSTER frame that is due."""
        if not self.frames and self.due:
            self._broadcaster.compose(self)
        return self.frames[0] if self.frames else None

    def take(self, now: int) -> tuple[bytes, int]:
        """The frame of `peek` is being written: the frame, and the place in the log that it brings the link to."""
        frame = self.frames[0]
        # A snapshot's list is this link's alone, a change's is shared: neither is altered.
        self.frames = self.frames[1:]
        if not frame[1] & RosterFlag.SNAPSHOT:
            self.written_at = now
        if not self.frames:
            self.epoch = self.target
            self._broadcaster.caught_up(self, now)
            return frame, self.cursor
        return frame, self.acknowledged


class _Leave:
    """A LEAVE that some links have not acknowledged."""

    __slots__ = ("member", "pending")

    def __init__(self, member: Member, pending: int) -> None:
        self.member = member
        self.pending = pending


class Broadcaster:
    """The log of all changes, and who has to be told when."""

    def __init__(self, limits: Limits, timers: Timers, on_covered: Callable[[Member, int], None]) -> None:
        """`on_covered(member, now)` is called when every link has acknowledged a LEAVE or died (CC-ROSTER-007)."""
        self._batch = limits.roster_batch
        self._memory = limits.relay_link_memory
        self._timers = timers
        self._on_covered = on_covered
        self._feeds: dict[RosterFeed, None] = {}
        self._idle: dict[RosterFeed, None] = {}
        """Those that were told everything."""
        self._waiting: dict[RosterFeed, None] = {}
        self._timer_at = 0
        self._base = 0
        self._entries: list[bytes] = []
        self._slots: list[int] = []
        self._epochs: list[int] = []
        self._sizes: list[int] = [0]
        self._series: dict[int, list[bytes]] = {}
        """By the place where they begin; all go up to `_series_end`."""
        self._series_end = 0
        self._leave_places: list[int] = []
        self._leaves: list[_Leave] = []

    @property
    def end(self) -> int:
        """The place behind the last change."""
        return self._base + len(self._entries)

    # --- links ---------------------------------------------------------------------------------------------------

    def add(self, feed: RosterFeed, epoch: int, snapshot: list[bytes]) -> None:
        """A link has begun: it gets the snapshot, and every change that follows it (CC-ROSTER-016, 036)."""
        feed.start(self.end, snapshot, epoch)
        self._feeds[feed] = None

    def remove(self, feed: RosterFeed, now: int) -> None:
        """A link has died."""
        self._feeds.pop(feed, None)
        self._idle.pop(feed, None)
        self._waiting.pop(feed, None)
        feed.release(now)

    # --- changes -------------------------------------------------------------------------------------------------

    def change(self, entry: RosterEntry, epoch: int, now: int, leaver: Member | None = None) -> list[RosterFeed]:
        """Put a change into the log. Returns feeds whose unwritten changes take more memory than a link may."""
        place = self.end
        encoded = encode_entry(entry)
        self._entries.append(encoded)
        self._slots.append(entry.slot if entry.op != RosterOp.JOIN else -1)
        self._epochs.append(epoch)
        self._sizes.append(self._sizes[-1] + len(encoded))
        if leaver is not None:
            if self._feeds:
                self._leave_places.append(place)
                self._leaves.append(_Leave(leaver, len(self._feeds)))
            else:
                self._on_covered(leaver, now)
        idle, self._idle = self._idle, {}
        for feed in idle:
            self._schedule(feed, now)
        if not len(self._entries) % _TRIM or self._sizes[-1] - self._sizes[0] > self._memory:
            return self._trim()
        return []

    def _schedule(self, feed: RosterFeed, now: int) -> None:
        """CC-ROSTER-034: at once after a pause, else when the batching time is over."""
        if now - feed.written_at >= self._batch:
            self._mark_due(feed)
            return
        at = feed.written_at + self._batch
        if not self._waiting or at < self._timer_at:
            self._timer_at = at
            self._timers.set((id(self), "batch"), at, self._on_batch_timer)
        self._waiting[feed] = None

    def _on_batch_timer(self, now: int) -> None:
        waiting, self._waiting = self._waiting, {}
        for feed in waiting:
            self._schedule(feed, now)

    def _mark_due(self, feed: RosterFeed) -> None:
        feed.due = True
        feed.wake()

    def require(self, feed: RosterFeed, place: int) -> None:
        """A frame that is to be written next speaks of the change at `place`: don't wait any longer (CC-ROSTER-035)."""
        if place >= feed.cursor and not feed.due:
            self._waiting.pop(feed, None)
            self._mark_due(feed)

    def lag(self, feed: RosterFeed) -> int:
        """Bytes of changes that wait for a link."""
        return self._sizes[-1] - self._sizes[feed.cursor - self._base] + sum(map(len, feed.frames))

    def _trim(self) -> list[RosterFeed]:
        """Forget what every link was told, and find those that hold up too much (CC-RELAY-045)."""
        behind = [feed for feed in self._feeds if self.lag(feed) > self._memory]
        start = min((feed.cursor for feed in self._feeds), default=self.end) - self._base
        if start:
            del self._entries[:start], self._slots[:start], self._epochs[:start], self._sizes[:start]
            self._base += start
            self._series.clear()
        return behind

    # --- writing -------------------------------------------------------------------------------------------------

    def compose(self, feed: RosterFeed) -> None:
        """Make the series that brings a link up to date."""
        feed.due = False
        start, end = feed.cursor - self._base, len(self._entries)
        feed.cursor = self.end
        if start == end:
            self._idle[feed] = None
            return
        feed.target = self._epochs[-1]
        if feed.slot in self._slots[start:end]:
            # CC-ROSTER-031: nobody is told of its own suspension.
            own = [self._entries[at] for at in range(start, end) if self._slots[at] != feed.slot]
            feed.frames = encode_series(feed.target, own, snapshot=False) if own else []
            if not own:
                self._idle[feed] = None
            return
        if self._series_end != self.end:
            self._series.clear()
            self._series_end = self.end
        frames = self._series.get(start)
        if frames is None:
            if len(self._series) >= _SHARED:
                self._series.clear()
            frames = self._series[start] = encode_series(feed.target, self._entries[start:end], snapshot=False)
        feed.frames = frames

    def caught_up(self, feed: RosterFeed, now: int) -> None:
        """A series was written whole: go on with what has changed meanwhile."""
        if feed.cursor == self.end:
            self._idle[feed] = None
        else:
            self._schedule(feed, now)

    def unsure(self, feed: RosterFeed) -> list[Member]:
        """Who has left, and may still be among the recipients of a link's endpoint (CC-ROSTER-074).

        Those whose JOIN it was told of, and whose LEAVE it has not acknowledged.
        """
        first = bisect_left(self._leave_places, feed.acknowledged)
        return [leave.member for leave in self._leaves[first:] if leave.member.log_index < feed.cursor]

    # --- quarantine ----------------------------------------------------------------------------------------------

    def covered(self, start: int, end: int, now: int) -> None:
        """One link has acknowledged the log from `start` to `end`, or died."""
        first, last = bisect_left(self._leave_places, start), bisect_left(self._leave_places, end)
        settled = False
        for leave in self._leaves[first:last]:
            leave.pending -= 1
            if not leave.pending:
                settled = True
                self._on_covered(leave.member, now)
        if settled:
            kept = [at for at, leave in enumerate(self._leaves) if leave.pending]
            self._leave_places = [self._leave_places[at] for at in kept]
            self._leaves = [self._leaves[at] for at in kept]
