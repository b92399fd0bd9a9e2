# SPDX-License-Identifier: Apache-2.0
"""How a sender session writes: frame by frame, or plain messages in runs (specification, chapters 6 to 8)."""

from __future__ import annotations

from callchannel.core import frames
from callchannel.core.composing import OUT_OF_INDEXES, Piece, consume
from callchannel.core.counting import Counting
from callchannel.core.errors import (
    ErrorCode,
)
from callchannel.core.flow import SendCredit
from callchannel.core.frames import Close, pack_header
from callchannel.core.limits import RELIABLE_PACKET
from callchannel.core.outgoing import Outgoing
from callchannel.core.recipients import NO_SLOT
from callchannel.core.scheduling import NO_ROOM
from callchannel.core.sender_queue import SenderQueue

CLOSE_MARK = frames.MAX_SEQUENCE + 1
"""What is acknowledged with CLOSE: more than any sequence."""


class SenderWriting(SenderQueue):
    """A sender session that writes when it is its turn."""

    __slots__ = ()

    def write(self, room: int, now: int) -> bytes | None:
        """The session's next frame; see `scheduling.Source`."""
        if not self._queue and self._plain_waiting:
            return self._write_one_plain(room)
        link = self._host.link
        while self._queue:
            message = self._queue[0]
            if self.reliable and link.counting.is_full:
                link.park(self)
                return None
            if message.aborting:
                return self._write_abort(message, room)
            if self._bucket is not None and (ready := self._bucket.ready_at(now)) > now:
                self._host.wake_at(self, ready)
                return None
            if message.expires is not None and message.expires <= now:
                self._drop(message, "expired")
                continue
            if not self.reliable and not self.session and self._host.must_wait(self):
                return None  # until the older sender has its number (CC-SESS-009)
            # Until the first frame is written the roster may change, and with it the block (CC-ROSTER-044).
            if not message.written and not self._begin(message):
                continue
            piece = self._composer.next_piece(message, room)
            if piece is OUT_OF_INDEXES:
                self._end_stream(message.sequence, ErrorCode.MESSAGE_TOO_LARGE)
                self._verdicts.end(message, ErrorCode.MESSAGE_TOO_LARGE)
                continue
            if not isinstance(piece, Piece):
                return piece
            return self._write_piece(message, piece, now)
        if self._plain.waiting:
            return self._write_one_plain(room)
        if self._closing and not self._close_written and not self._ended and self.session:
            self._host.schedule_close(self)
        return None

    def write_runs(self, room: int, budget: int, now: int) -> tuple[list[bytes], int]:
        """Plain messages, as many as may be written, while it is no other session's turn; see `scheduling.Source`."""
        credit, plain = self._credit, self._plain
        if self._key and plain.waiting and not self._queue and credit is not None:
            return self._write_plain(credit, room, budget, only_one=False)
        return [], 0

    def _write_one_plain(self, room: int) -> bytes | None:
        """One frame of a plain message."""
        host = self._host
        counting = host.link.counting
        if counting.is_full:
            host.link.park(self)
            return None
        credit = self._credit
        length = len(self._plain_waiting[0]) + frames.DATA_HEADER
        if self._key and credit is not None and length <= RELIABLE_PACKET:
            # A whole message of a session that has begun. Several senders by turns come here with each of their frames.
            if length > room:
                return NO_ROOM
            written = credit.written + length
            if written > credit.limit:
                return None
            credit.written = written
            return self._write_whole(length, counting)
        length = self._plain.next_length(room)
        if not length:
            return NO_ROOM
        if credit is None:
            credit = self._credit = SendCredit(host.link.peer_window)
        if not credit.allows(length):
            return None  # CREDIT schedules the session again
        if not self.session:
            self.session = host.allot_session(self)
        self._key = frames.key_of(self.channel, host.roster.own_slot, self.session)
        (frame,), _ = self._write_plain(credit, room, 1, only_one=True)
        return frame

    def _write_whole(self, length: int, counting: Counting) -> bytes:
        """The next plain message as one frame of `length` bytes, for which there is room."""
        plain, host = self._plain, self._host
        sequence = self._next_sequence - len(self._plain_waiting)
        header = pack_header(self._plain_start, length, self._key, sequence)
        frame = header + plain.take_whole(sequence, host.roster.others)
        counting.write_run(frame, self, sequence, 1)
        self._queued_bytes -= length - frames.DATA_HEADER
        if self._turned_away is not None:
            self._check_writable()
        if not self._plain_waiting:
            host.rest(self)
        return frame

    def _write_plain(self, credit: SendCredit, room: int, budget: int, *, only_one: bool) -> tuple[list[bytes], int]:
        """The short way of plain messages: what `_begin` and `_write_piece` do, for as many as may be written."""
        host, plain = self._host, self._plain
        counting = host.link.counting
        payload_before = plain.written
        runs = plain.take_runs(
            self._plain_start,
            self._key,
            self._next_sequence - len(plain.waiting),
            host.roster.others,
            room=room,
            bundle=host.limits.bundle,
            budget=budget,
            allowed=credit.limit - credit.written,
            limit=counting.space,
            only_one=only_one,
        )
        packets: list[bytes] = []
        written = 0
        for run, count, mark in runs:
            packets.append(run)
            written += count
            credit.written += len(run)
            counting.write_run(run, self, mark, count)
        self._queued_bytes -= plain.written - payload_before
        if self._turned_away is not None:
            self._check_writable()
        if not plain.waiting:
            host.rest(self)
        return packets, written

    def _write_piece(self, message: Outgoing, piece: Piece, now: int) -> bytes | None:
        length = piece.length
        if self.reliable:
            if self._credit is None:
                self._credit = SendCredit(self._host.link.peer_window)
            if not self._credit.allows(length):
                return None  # CREDIT schedules the session again
            self._credit.written += length
        if not self.session:
            self.session = self._host.allot_session(self)
        frame = self._composer.encode(piece, self._host.roster.own_slot, self.session, message.sequence)
        if self._bucket is not None:
            self._bucket.spend(8 * length, now)
        consume(message, piece)
        message.written = True
        self._queued_bytes -= len(piece.payload)
        if self.reliable:
            mark = message.sequence if piece.last else message.sequence - 1
            self._host.link.counting.write(frame, self, mark)
        if piece.last:
            self._queue.popleft()
            self._messages_sent += 1
            self._bytes_sent += message.offset
            if self.reliable:
                self._verdicts.wrote_last(message)
        if self._turned_away is not None:
            self._check_writable()
        return frame

    def _write_abort(self, message: Outgoing, room: int) -> bytes | None:
        piece = self._composer.abort(message)
        if piece.length > room:
            return NO_ROOM
        self._queue.popleft()
        frame = self._composer.encode(piece, self._host.roster.own_slot, self.session, message.sequence)
        self._host.link.counting.write(frame, self, message.sequence)
        return frame

    def write_close(self, room: int) -> bytes | None:
        """CLOSE, behind everything that the session wrote."""
        if self._close_written or self._ended:
            return None
        if self._queue:
            self._host.schedule(self)
            return None
        if room < frames.CONTROL_LENGTH:
            return NO_ROOM
        self._close_written = True
        frame = Close(self._host.roster.own_slot, NO_SLOT, self.session, self._next_sequence - 1).encode()
        self._host.link.counting.write(frame, self, CLOSE_MARK)
        return frame

    def acked(self, mark: int, now: int) -> None:
        """An ACK covers the session's frames up to `mark`; see `counting.Acknowledged`."""
        plain = self._plain
        if plain.unconfirmed:
            if not self._verdicts.unsettled:
                self._verdicts.confirm_plain(mark, plain.confirm(mark))
                if self._turned_away is not None:
                    self._check_writable()
                return
            self._unfold()
        self._verdicts.acked(mark, now)
        if mark == CLOSE_MARK:
            self._close_acked = True
        self._after_news()
