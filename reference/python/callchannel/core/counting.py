# SPDX-License-Identifier: Apache-2.0
"""Counting: acknowledgement that costs nothing per message (specification, chapter 7).

Both ends count the countable frames of the reliable lane. What was written and not acknowledged is kept, so that a
resumed link can write it again in the same order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Protocol

from callchannel.core.frames import DATA_HEADER, FRAGMENT, LAST_BIT
from callchannel.core.limits import Limits

_DATA = 0x01  # FrameType.DATA


class Acknowledged(Protocol):
    """Whoever wants to know that its frames have arrived."""

    def acked(self, mark: int, now: int) -> None:
        """Everything of this owner up to `mark` is in the next hop's custody."""


class CountMismatch(Exception):
    """The peer acknowledged what it can't have, or took an acknowledgement back."""


def _length(run: bytes, at: int) -> int:
    return run[at + 2] << 8 | run[at + 3]


def _mark(run: bytes, at: int) -> int:
    """The sequence of the last message that is whole with a DATA frame."""
    sequence = int.from_bytes(run[at + 12 : at + 16], "big")
    is_part = run[at + 1] & FRAGMENT and not run[at + DATA_HEADER] & LAST_BIT >> 24
    return sequence - 1 if is_part else sequence


class Counting:
    """The counts of one link, in both directions."""

    __slots__ = (
        "_acked_out",
        "_limits",
        "_resend",
        "_told",
        "_unacked",
        "ack_due_at",
        "acked",
        "data_written",
        "received",
        "unacked_bytes",
        "written",
    )

    def __init__(self, limits: Limits, now: int) -> None:
        self._limits = limits
        self.written = 0
        """Counted frames written, since the link began."""
        self.acked = 0
        """How many of them the peer has acknowledged."""
        self.received = 0
        """Counted frames received, since the link began."""
        self.data_written = 0
        """Counted DATA frames written: what allows the peer further control frames."""
        self.unacked_bytes = 0
        self.ack_due_at = now + limits.ack_interval
        """When the next ACK has to be written."""
        self._acked_out = 0
        self._told = 0  # the greatest count that the peer told, in ACK, HELLO or WELCOME
        self._unacked: deque[tuple[bytes, Acknowledged | None, int, int]] = deque()
        """Bytes, owner, mark and number of frames. Where there are several, they are DATA, and marked by sequence."""
        self._resend: int | None = None  # index into _unacked of the next frame to write again

    # --- writing -----------------------------------------------------------------------------------------------

    @property
    def is_full(self) -> bool:
        """Whether new DATA, RECEIPT and CREDIT have to wait for an ACK (CC-LINK-035)."""
        return self.unacked_bytes >= self._limits.unacknowledged

    @property
    def is_resending(self) -> bool:
        """Whether frames of before a resumption wait to be written again: nothing new may pass them."""
        return self._resend is not None

    @property
    def all_acked(self) -> bool:
        """Whether everything counted has been acknowledged."""
        return self.acked == self.written

    def write(self, frame: bytes, owner: Acknowledged | None = None, mark: int = 0) -> None:
        """Count a frame that is being written, and keep it. `owner.acked(mark)` is called when it has arrived."""
        self.written += 1
        self.data_written += frame[0] == _DATA
        self.unacked_bytes += len(frame)
        self._unacked.append((frame, owner, mark, 1))

    def write_run(self, run: bytes, owner: Acknowledged, mark: int, count: int) -> None:
        """The same for DATA frames of one owner, one behind the other. `mark`: the last message that is whole then."""
        self.written += count
        self.data_written += count
        self.unacked_bytes += len(run)
        self._unacked.append((run, owner, mark, count))

    @property
    def space(self) -> int:
        """How many bytes may be written until `is_full`."""
        return self._limits.unacknowledged - self.unacked_bytes

    def on_ack(self, received: int, now: int) -> None:
        """Take an ACK. Raises `CountMismatch`."""
        if not self.fits(received):
            raise CountMismatch(f"ACK {received}, it has to be {self._told} to {self.written}")
        self._told = received
        settled: dict[Acknowledged, int] = {}
        freed = 0
        unacked = self._unacked
        left = received - self.acked
        while left:
            run, owner, mark, count = unacked.popleft()
            if count > left:
                run, mark = self._split(run, owner, mark, count, left)
                count = left
            left -= count
            freed += len(run)
            if owner is not None:
                settled[owner] = mark
        self.unacked_bytes -= freed
        if self._resend is not None:
            rest = self._resend - (received - self.acked)
            self._resend = max(rest, 0) if self._unacked else None
        self.acked = received
        for owner, mark in settled.items():
            owner.acked(mark, now)

    def _split(self, run: bytes, owner: Acknowledged | None, mark: int, count: int, first: int) -> tuple[bytes, int]:
        """Keep what follows the first frames of a run that was taken. Returns those, and the mark of their last."""
        at = before = 0
        for _ in range(first):
            before, at = at, at + _length(run, at)
        self._unacked.appendleft((run[at:], owner, mark, count - first))
        return run[:at], _mark(run, before)

    # --- resuming ----------------------------------------------------------------------------------------------

    def fits(self, received: int) -> bool:
        """Whether a count that the peer tells is possible: it never goes back, nor beyond what was written."""
        return self._told <= received <= self.written

    def resume(self, received: int, now: int) -> None:
        """Go on behind the frame that the peer counted last: the rest is written again.

        Nothing settles here: `accepted` resolves on an ACK frame only (CC-LINK-049), so this side owes one too.
        """
        self._told = received
        start = received - self.acked
        # The peer has what stands before `start`: the bytes need not be kept, the owners are told by the next ACK.
        self._unacked = deque(
            (b"" if place < start else frame, owner, mark, 1)
            for place, (frame, owner, mark) in enumerate(self._frames())
        )
        self.unacked_bytes = sum(len(item[0]) for item in self._unacked)
        self._resend = start if start < len(self._unacked) else None
        self.ack_due_at = now

    def next_resend(self) -> bytes | None:
        """The next frame to write again."""
        return None if self._resend is None else self._unacked[self._resend][0]

    def resent(self) -> None:
        """The frame of `next_resend` was written."""
        assert self._resend is not None
        self._resend += 1
        if self._resend == len(self._unacked):
            self._resend = None

    def owners(self) -> Iterator[tuple[Acknowledged | None, int]]:
        """Owner and mark of each frame that is not acknowledged, in written order."""
        return ((owner, mark) for _, owner, mark in self._frames())

    def _frames(self) -> Iterator[tuple[bytes, Acknowledged | None, int]]:
        """Each frame that is not acknowledged, with its owner and mark."""
        for run, owner, mark, count in self._unacked:
            if count == 1:
                yield run, owner, mark
                continue
            at = 0
            for _ in range(count):
                end = at + _length(run, at)
                yield run[at:end], owner, _mark(run, at)
                at = end

    def start(self, now: int) -> None:
        """The link has become active for the first time."""
        self.ack_due_at = now + self._limits.ack_interval

    # --- receiving ---------------------------------------------------------------------------------------------

    def count_received(self, now: int, count: int = 1) -> None:
        """Count frames that were received and applied."""
        self.received += count
        pending = self.received - self._acked_out
        if pending >= self._limits.ack_frames:
            self.ack_due_at = now
        elif pending == count:
            self.ack_due_at = min(self.ack_due_at, now + self._limits.ack_delay)

    @property
    def owes_ack(self) -> bool:
        """Whether frames have arrived since the last ACK."""
        return self.received != self._acked_out

    def take_ack(self, now: int) -> int:
        """The count for an ACK that is being written now."""
        self._acked_out = self.received
        self.ack_due_at = now + self._limits.ack_interval
        return self.received
