# SPDX-License-Identifier: Apache-2.0
"""Turns on one lane of a recipient's link: owners by turns, and each owner's sessions by priority (section 8.7)."""

from __future__ import annotations

from typing import Final, Protocol

from callchannel.core.limits import HIGH_BURST, LOSSY_PACKET, RELIABLE_PACKET
from callchannel.core.scheduling import NO_ROOM

_HEAD: Final = 128
"""So many bytes may stand in front of a frame that is larger than the bundle (CC-SCHED-006)."""


class TurnSource(Protocol):
    """A session that has data frames for one link.

    It clears `in_turns` itself when it has nothing to write, or may not; whoever wakes it sets it with `Turns.add`.
    """

    high: bool
    in_turns: bool
    wrote: int
    """Frames of the last run."""

    @property
    def owner_key(self) -> int:
        """Tells owners apart."""

    def write_frame(self, room: int, now: int) -> bytes | None:
        """The next frame of at most `room` bytes; `NO_ROOM`; None: not ready."""

    def write_run(self, room: int, bundle: int, now: int) -> bytes | None:
        """As many frames as fit `bundle` bytes, or else one of at most `room`, while nobody else is ready."""


class _Owner:
    """The sessions of one owner that are ready."""

    __slots__ = ("burst", "high", "key", "normal")

    def __init__(self, key: int, burst: int) -> None:
        self.key = key
        self.burst = burst
        """Frames of high priority in a row, up to `HIGH_BURST`."""
        self.high: list[TurnSource] = []
        self.normal: list[TurnSource] = []


class Turns:
    """Who writes next on one lane of one link. It is itself a `Source` of the link's scheduler.

    A single ready session, the most common case, stands in no ring at all.
    """

    __slots__ = ("_bundle", "_bursts", "_limit", "_ring", "_solo", "high")

    def __init__(self, bundle: int, *, lossy: bool = False) -> None:
        self.high = False
        self._limit = LOSSY_PACKET if lossy else RELIABLE_PACKET
        self._bundle = min(bundle, self._limit)
        self._solo: TurnSource | None = None
        self._ring: list[_Owner] | None = None
        self._bursts: dict[int, int] | None = None
        """High frames in a row, of owners that have nothing ready: a pause does not end a burst (CC-SCHED-017)."""

    def __bool__(self) -> bool:
        return self._solo is not None or bool(self._ring)

    def add(self, source: TurnSource) -> bool:
        """A session has become ready: it is last in its priority, its owner last of all (CC-SCHED-019, 024).

        Returns whether nobody was ready before.
        """
        if source.in_turns:
            return False
        source.in_turns = True
        solo = self._solo
        if solo is None and not self._ring:
            self._solo = source
            return True
        if solo is not None:
            self._solo = None
            self._insert(solo)
        self._insert(source)
        return False

    def _insert(self, source: TurnSource) -> None:
        key = source.owner_key
        if self._ring is None:
            self._ring = []
        for owner in self._ring:
            if owner.key == key:
                break
        else:
            owner = _Owner(key, self._bursts.pop(key, 0) if self._bursts else 0)
            self._ring.append(owner)
        (owner.high if source.high else owner.normal).append(source)

    def remove(self, source: TurnSource) -> None:
        """Take a session out, wherever it stands."""
        if not source.in_turns:
            return
        source.in_turns = False
        if self._solo is source:
            self._solo = None
            return
        for owner in self._ring or ():
            sources = owner.high if source.high else owner.normal
            if source in sources:
                sources.remove(source)
                if not owner.high and not owner.normal:
                    self._retire(owner)
                return

    def sources(self) -> list[TurnSource]:
        """All sessions that are ready, in turn."""
        if self._solo is not None:
            return [self._solo]
        return [source for owner in self._ring or () for source in (*owner.high, *owner.normal)]

    def has(self, owner_key: int) -> bool:
        """Whether an owner has something to write."""
        return any(source.owner_key == owner_key for source in self.sources())

    def forget(self, owner_key: int) -> None:
        """An owner is gone for good: what was counted of it is forgotten."""
        if self._bursts:
            self._bursts.pop(owner_key, None)

    def _retire(self, owner: _Owner) -> None:
        """An owner has nothing ready any more."""
        assert self._ring is not None
        self._ring.remove(owner)
        self._remember(owner.key, owner.burst)

    def _remember(self, key: int, burst: int) -> None:
        if burst:
            if self._bursts is None:
                self._bursts = {}
            self._bursts[key] = burst
        elif self._bursts:
            self._bursts.pop(key, None)

    # --- writing -------------------------------------------------------------------------------------------------

    def pull(self, budget: int, now: int) -> list[bytes]:
        """Packets of data frames alone, until their bytes reach `budget`."""
        packets: list[bytes] = []
        limit = self._limit
        while budget > 0:
            solo = self._solo
            if solo is None or solo.high or self._bursts:
                packet = self.write(limit, now)
            else:  # what `write` does where nobody else is ready, and there is no burst to remember
                packet = solo.write_run(limit, self._bundle, now)
                if not solo.in_turns and self._solo is solo:
                    self._solo = None
                if packet is None and self:
                    continue
            if not packet:
                break
            packets.append(packet)
            budget -= len(packet)
        return packets

    def write(self, room: int, now: int) -> bytes | None:
        """The data frames that go into a packet with `room` bytes left, as one piece; `NO_ROOM`; None."""
        # While a packet holds no more than _HEAD bytes its room is that of a large frame; else that of the bundle.
        small = room - self._limit + self._bundle if room >= self._limit - _HEAD else room
        solo = self._solo
        if solo is None:
            return self._write_by_turns(room, small, now) if self._ring else None
        run = solo.write_run(room, small, now)
        if run and (solo.high or self._bursts):
            key = solo.owner_key
            before = self._bursts.get(key, 0) if self._bursts else 0
            self._remember(key, min(HIGH_BURST, before + solo.wrote) if solo.high else 0)
        if not solo.in_turns and self._solo is solo:
            self._solo = None
        if run is None and self:
            return self.write(room, now)  # the last frame of a Lossy session has taken its place
        return run

    def _write_by_turns(self, room: int, small: int, now: int) -> bytes | None:
        parts: list[bytes] = []
        ring = self._ring
        assert ring is not None
        while ring:
            owner = ring[0]
            use_high = bool(owner.high) and not (owner.burst >= HIGH_BURST and owner.normal)
            sources = owner.high if use_high else owner.normal
            source = sources[0]
            frame = source.write_frame(room, now)
            if frame is NO_ROOM:
                return b"".join(parts) if parts else NO_ROOM
            del sources[0]
            if source.in_turns:
                sources.append(source)
            if frame:
                parts.append(frame)
                owner.burst = min(HIGH_BURST, owner.burst + 1) if use_high else 0
                room -= len(frame)
                small -= len(frame)
                if self._limit - room > _HEAD:
                    room = min(room, small)
            if not owner.high and not owner.normal:
                self._retire(owner)
            elif frame:
                del ring[0]
                ring.append(owner)
        return b"".join(parts) if parts else None
