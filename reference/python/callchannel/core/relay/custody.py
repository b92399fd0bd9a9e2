# SPDX-License-Identifier: Apache-2.0
"""Frames in a relay's custody: how they stand in queues, and what is kept of them until a link has acknowledged them.

An `Item` is made once for each frame. It stands in the queues of all recipients and, when written, among the
unacknowledged frames of each of their links. Items that were written together are kept together, as a run that links in
step share, so that a delivery costs one reference in a queue and next to nothing afterwards.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from typing import Final

from callchannel.core.counting import Acknowledged, Counting, CountMismatch
from callchannel.core.frames import ABORT_BIT, CONFIRM, DATA_HEADER, FRAGMENT, LAST_BIT
from callchannel.core.limits import Limits

Item = tuple[bytes, Acknowledged | None, int]
"""A frame as it goes downstream; who is told when it is acknowledged; its bytes as they came from the owner.

The bytes are 0 for what flow control does not count: ABORT, CLOSE, FAIL. For ROSTER they are the mark that is told.
"""

DATA: Final = 0x01
_ABORT: Final = ABORT_BIT >> 24
_LAST: Final = LAST_BIT >> 24


def sequence_of(frame: bytes) -> int:
    """The sequence of a DATA frame."""
    return int.from_bytes(frame[12:16], "big")


def session_key(frame: bytes) -> bytes:
    """What names the session of a DATA frame: sender slot and session number."""
    return frame[6:12]


def is_abort(frame: bytes) -> bool:
    """Whether a DATA frame gives its message up."""
    return bool(frame[1] & FRAGMENT and frame[DATA_HEADER] & _ABORT)


def ends_message(frame: bytes) -> bool:
    """Whether nothing of its message follows a DATA frame."""
    return not frame[1] & FRAGMENT or bool(frame[DATA_HEADER] & (_ABORT | _LAST))


class Run:
    """Items that go out in one packet, and their bytes. Never altered: many links share it."""

    __slots__ = ("chunk", "full", "items", "size", "up")

    def __init__(self, items: list[Item], *, full: bool) -> None:
        self.items = items
        self.chunk = items[0][0] if len(items) == 1 else b"".join([item[0] for item in items])
        self.size = len(self.chunk)
        self.up = sum([item[2] for item in items])
        """Bytes as they came from the owner."""
        self.full = full
        """Whether another frame was there that did not fit."""


def _note(smallest: dict[bytes, int], frame: bytes) -> None:
    """Take a DATA frame, in written order, into the smallest sequence of its session that was not aborted."""
    key, sequence = session_key(frame), sequence_of(frame)
    if not is_abort(frame):
        smallest.setdefault(key, sequence)
    elif smallest.get(key) == sequence:
        del smallest[key]


class Covered:
    """What is kept of frames that HELLO's count covers, until an ACK does: their bytes are not.

    They need not be written again (CC-LINK-034), but are owed (section 10.1): a FAIL that the recipient wrote about
    them before can be lost with its transport, and only an ACK comes behind it. The first ACK covers them all.
    """

    __slots__ = ("confirmed", "count", "owners", "unconfirmed")

    def __init__(self) -> None:
        self.count = 0
        """How many frames."""
        self.unconfirmed: dict[bytes, int] = {}
        """By session, the smallest sequence without CONFIRM that was not aborted."""
        self.confirmed: dict[bytes, int] = {}
        """The same of all messages."""
        self.owners: dict[Acknowledged, int] = {}
        """Who is told when they are acknowledged, and the greatest mark."""

    def add(self, items: Iterable[Item]) -> None:
        """A further HELLO covers the frames that follow."""
        for frame, owner, mark in items:
            self.count += 1
            if owner is not None:
                self.owners[owner] = max(mark, self.owners.get(owner, mark))
            if frame[0] == DATA:
                _note(self.confirmed, frame)
                if not frame[1] & CONFIRM:
                    _note(self.unconfirmed, frame)

    def keep(self, sessions: Container[bytes], owners: Container[object]) -> None:
        """Forget all others, so that a link which resumes again and again without an ACK costs no more (CC-SEC-025)."""
        for smallest in (self.unconfirmed, self.confirmed):
            for key in [key for key in smallest if key not in sessions]:
                del smallest[key]
        for owner in [owner for owner in self.owners if owner not in owners]:
            del self.owners[owner]


class Custody(Counting):
    """Counting for a relay's link, by runs instead of frames."""

    __slots__ = ("_again", "_again_from", "_cursor", "_offset", "_runs", "covered")

    def __init__(self, limits: Limits, now: int) -> None:
        super().__init__(limits, now)
        del self._unacked  # its place is taken by:
        self._runs: list[tuple[list[Item], int]] = []
        """Items that neither ACK nor HELLO covers, and their bytes, in written order."""
        self.covered: Covered | None = None
        """Of the items before those: what only an ACK settles."""
        self._offset = 0  # items of the first run that are acknowledged; their bytes are out of its size
        self._again: list[bytes] = []  # what is to be written again since the last resumption
        self._again_from = 0  # the count before the first of them
        self._cursor = 0  # the count before the next of them

    # --- writing -------------------------------------------------------------------------------------------------

    def write(self, frame: bytes, owner: Acknowledged | None = None, mark: int = 0) -> None:
        """Count a frame that is being written, and keep it."""
        self.write_items([(frame, owner, mark)], len(frame), data=frame[0] == DATA)

    def write_items(self, items: list[Item], size: int, *, data: int) -> None:
        """Count frames of `size` bytes, `data` of them DATA, that are being written, and keep them."""
        self.written += len(items)
        self.data_written += data
        self.unacked_bytes += size
        self._runs.append((items, size))

    def room(self) -> int:
        """How many bytes may be written before an ACK has to come (CC-LINK-035)."""
        return self._limits.unacknowledged - self.unacked_bytes

    def on_ack(self, received: int, now: int) -> None:
        """Take an ACK. Raises `CountMismatch`."""
        if not self.fits(received):
            raise CountMismatch(f"ACK {received}, it has to be {self._told} to {self.written}")
        self._told = received
        count = received - self.acked
        self.acked = received
        if received > self._cursor:  # noqa: PLR1730 - once for each ACK
            self._cursor = received
        settled: list[Item] = []
        if self.covered is not None:
            count -= self.covered.count
        runs = self._runs
        offset = self._offset
        done = freed = 0
        while count:
            items, size = runs[done]
            left = len(items) - offset
            if count >= left:
                done += 1
                covered = items[offset:] if offset else items
                offset = 0
            else:
                covered = items[offset : offset + count]
                left = count
                offset += count
                part = sum([len(item[0]) for item in covered])
                runs[done] = (items, size - part)
                size = part
            freed += size
            count -= left
            if left == 1 and covered[0][1] is not None:
                settled.append(covered[0])  # only single frames have somebody to tell
        self._offset = offset
        self.unacked_bytes -= freed
        del runs[:done]
        if self.covered is not None:
            owners, self.covered = self.covered.owners, None
            for told, mark in owners.items():
                told.acked(mark, now)
        for _, owner, mark in settled:
            assert owner is not None
            owner.acked(mark, now)

    def let_go(self) -> None:
        """The link is dead: keep no frame."""
        self._runs = []
        self._again = []
        self.covered = None
        self.unacked_bytes = 0

    # --- resuming ------------------------------------------------------------------------------------------------

    def resume(self, received: int, now: int) -> None:
        """Go on behind the frame that the peer counted last: the rest is written again."""
        self._told = received
        items = [item for run, _ in self._runs for item in run][self._offset :]
        start = received - self.acked
        if self.covered is not None:
            start -= self.covered.count
        if start:
            if self.covered is None:
                self.covered = Covered()
            self.covered.add(items[:start])
            del items[:start]
        self._runs = [([item], len(item[0])) for item in items]
        self._offset = 0
        self.unacked_bytes = sum([size for _, size in self._runs])
        self._again = [item[0] for item in items]
        self._again_from = self._cursor = received
        self.ack_due_at = now

    @property
    def is_resending(self) -> bool:
        """Whether frames of before a resumption wait to be written again."""
        return self._cursor - self._again_from < len(self._again)

    def next_resend(self) -> bytes | None:
        """The next frame to write again."""
        return self._again[self._cursor - self._again_from] if self.is_resending else None

    def resent(self) -> None:
        """The frame of `next_resend` was written."""
        self._cursor += 1
        if not self.is_resending:
            self._again = []

    # --- what is not acknowledged --------------------------------------------------------------------------------

    @property
    def holds_data(self) -> bool:
        """Whether DATA was written that no ACK covers."""
        if self.all_acked:
            return False
        covered = self.covered is not None and bool(self.covered.confirmed)
        return covered or any(frame[0] == DATA for frame in self.frames())

    def unacked(self, *, confirmed: bool) -> dict[bytes, int]:
        """By session, the smallest sequence that no ACK covers and that was not aborted; `confirmed`: of all messages.

        Without it, those with CONFIRM do not count: what is owed of them shows in their receipts.
        """
        smallest: dict[bytes, int] = {}
        if self.covered is not None:
            smallest |= self.covered.confirmed if confirmed else self.covered.unconfirmed
        for frame in self.frames():
            if frame[0] == DATA and (confirmed or not frame[1] & CONFIRM):
                _note(smallest, frame)
        return smallest

    def frames(self) -> Iterator[bytes]:
        """The frames that the peer may not have, in written order."""
        skip = self._offset
        for items, _ in self._runs:
            for frame, _, _ in items[skip:]:
                yield frame
            skip = 0

    def owners(self) -> Iterator[tuple[Acknowledged | None, int]]:
        """Owner and mark of what is not acknowledged: of each frame, or of all of them that HELLO covers."""
        if self.covered is not None:
            yield from self.covered.owners.items()
        skip = self._offset
        for items, _ in self._runs:
            for _, owner, mark in items[skip:]:
                yield owner, mark
            skip = 0
