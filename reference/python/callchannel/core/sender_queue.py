# SPDX-License-Identifier: Apache-2.0
"""The queue of a sender session: what waits, for whom it is when its time has come, and what is left to settle.

How frames are made of it is in `sender_writing`; commands, and what comes from the other side, in `sender`.
"""

from __future__ import annotations

from collections import deque

from callchannel.core import frames, limits
from callchannel.core.composing import Composer
from callchannel.core.errors import (
    DropCounter,
    ErrorCode,
    TooManyRecipients,
)
from callchannel.core.events import SenderEnded, SenderWritable
from callchannel.core.flow import SendCredit
from callchannel.core.messages import Confirm, Priority, Reliability
from callchannel.core.outgoing import Outgoing
from callchannel.core.plain import PlainQueue
from callchannel.core.roster import EVERYONE, Target
from callchannel.core.scheduling import TokenBucket
from callchannel.core.sender_terms import SenderHost, SenderOptions, SenderState
from callchannel.core.verdicts import Verdicts

_REMEMBERED_STREAMS = 64


class SenderQueue:
    """What a sender has to write, and when it has ended. Times are microseconds."""

    __slots__ = (
        "_bucket",
        "_bytes_sent",
        "_close_acked",
        "_close_written",
        "_closing",
        "_composer",
        "_credit",
        "_end_code",
        "_ended",
        "_failed",
        "_host",
        "_key",
        "_may_be_plain",
        "_messages_sent",
        "_most_unconfirmed",
        "_next_sequence",
        "_plain",
        "_plain_end",
        "_plain_largest",
        "_plain_start",
        "_plain_waiting",
        "_queue",
        "_queued_bytes",
        "_send_buffer",
        "_stream_ends",
        "_turned_away",
        "_verdicts",
        "_was_closed",
        "channel",
        "drops",
        "high",
        "id",
        "options",
        "reliable",
        "session",
        "target",
    )

    def __init__(self, host: SenderHost, sender_id: int, options: SenderOptions, target: Target, now: int) -> None:
        self.id = sender_id
        self.options = options
        self.channel = options.channel
        self.high = options.priority is Priority.HIGH
        self.reliable = options.reliability is Reliability.RELIABLE
        self.session = 0
        """The session number; 0 until the first frame is written."""
        self.drops = DropCounter()
        self._messages_sent = 0
        self._bytes_sent = 0
        self._host = host
        self._composer = Composer(options.channel, options.flags)
        self._may_be_plain = self.reliable and options.confirm is Confirm.ACCEPTED and not options.bitrate
        self._plain = PlainQueue()
        self._plain_start = frames.start_of(options.flags)
        self._key = 0
        """What the headers of all frames have in common, once a plain one was written."""
        self._plain_largest = -1
        self._plain_end = 0
        """The first sequence that may be too much: before it nothing limits how many messages are unconfirmed."""
        self._plain_waiting = self._plain.waiting
        self._send_buffer = host.limits.send_buffer
        self._most_unconfirmed = host.limits.unconfirmed_messages
        self._next_sequence = 1
        self._queue: deque[Outgoing] = deque()
        self._queued_bytes = 0
        self._verdicts = Verdicts(
            sender_id,
            options.confirm,
            host.roster,
            host.limits.delivered_deadline,
            emit=host.emit,
            settled=self._on_settled,
        )
        self._credit: SendCredit | None = None
        self._bucket = TokenBucket(options.bitrate, 8 * limits.RELIABLE_PACKET, now) if options.bitrate else None
        self._turned_away: int | None = None
        self._closing = False
        """Whether CLOSE is due: closed by the application, and not failed."""
        self._was_closed = False
        self._failed = False
        self._stream_ends: dict[int, int] = {}
        self._close_written = False
        self._close_acked = False
        self._ended = False
        self._end_code: int | None = None
        self.set_target(target)

    @property
    def state(self) -> SenderState:
        """The state of chapter 5, which follows from the facts."""
        if self._ended:
            return SenderState.ENDED
        if self._end_code is not None:
            return SenderState.CLOSING
        partial = self._queue[0].written if self._queue else self._plain.offset
        return SenderState.PARTIAL if partial else SenderState.OPEN

    @property
    def end_code(self) -> int | None:
        """Why no more can be sent: the code of a FAIL or of the link's end; NONE: closed; None: it can."""
        return self._end_code

    @property
    def queued_bytes(self) -> int:
        """Payload that waits to be written."""
        return self._queued_bytes

    @property
    def has_to_write(self) -> bool:
        """Whether a message, an ABORT or a CLOSE waits to be written."""
        return bool(self._queue or self._plain.waiting) or (
            self._closing and bool(self.session) and not self._close_written
        )

    @property
    def messages_sent(self) -> int:
        """Messages that were wholly written."""
        return self._messages_sent + self._plain.messages_sent

    @property
    def bytes_sent(self) -> int:
        """Their payload."""
        return self._bytes_sent + self._plain.written - self._plain.offset

    @property
    def waiting_messages(self) -> int:
        """Messages that are numbered and not settled (Lossy: not wholly written)."""
        return len(self._verdicts.unsettled) + len(self._plain) if self.reliable else len(self._queue)

    @property
    def failed_recipients(self) -> dict[int, int]:
        """Slot and code of the recipients that take no more of this session."""
        return dict(self._verdicts.failed)

    @property
    def accepted_through(self) -> int:
        """The greatest sequence that was confirmed as accepted."""
        return self._verdicts.accepted_through

    @property
    def messages_confirmed(self) -> int:
        """Sends that succeeded."""
        return self._verdicts.confirmed_messages

    @property
    def messages_failed(self) -> int:
        """Sends that ended with a report."""
        return self._verdicts.failed_messages

    def write(self, room: int, now: int) -> bytes | None:
        """The session's next frame; see `scheduling.Source`."""
        raise NotImplementedError

    def write_runs(self, room: int, budget: int, now: int) -> tuple[list[bytes], int]:
        """Plain messages, as many as may be written; see `scheduling.Source`."""
        raise NotImplementedError

    def write_close(self, room: int) -> bytes | None:
        """CLOSE, behind everything that the session wrote."""
        raise NotImplementedError

    # --- plain messages ------------------------------------------------------------------------------------------

    def set_target(self, target: Target) -> None:
        """Whom the next messages are for."""
        self.target = target
        self._judge_plain()

    def _judge_plain(self) -> None:
        """Find out whether messages may be plain from now on: up to which size."""
        host = self._host
        may = (
            self._may_be_plain
            and self.target is EVERYONE
            and self._end_code is None
            and not self._verdicts.failed
            and (host.roster.others or not host.peer_to_peer)
        )
        self._plain_largest = host.link.peer_largest if may else -1

    def _unfold(self) -> None:
        """Make objects of plain messages: something is about to happen for which numbers are not enough."""
        plain = self._plain
        if plain.unconfirmed or plain.waiting:
            roster, verdicts = self._host.roster, self._verdicts
            for message in plain.unfold_sent(roster.epoch):
                verdicts.add(message)
                verdicts.wrote_last(message)
            first = self._next_sequence - len(plain.waiting)
            for message in plain.unfold_waiting(first, roster.others, roster.epoch):
                verdicts.add(message)
                self._queue.append(message)

    # --- recipients ----------------------------------------------------------------------------------------------

    def _begin(self, message: Outgoing) -> bool:
        """Fix the recipients and make the blocks: the first frame is due. False: the message has ended here instead."""
        roster, target = self._host.roster, message.target
        if target.to is not None:
            there = roster.still_there(message.recipients, message.epoch)
            gone = message.recipients & ~there
            if gone and self.reliable:
                self._verdicts.fail_some(message, gone, ErrorCode.UNKNOWN_RECIPIENT)
            elif gone:
                self.drops.add("no_recipients", gone.bit_count())
            slots = there  # also who failed since the send: the relay passes them over (CC-ROSTER-046)
            if not (message.open & there if self.reliable else there):
                return self._end_unwritten(message)
            if not self.reliable:
                message.recipients = there
        else:
            slots = roster.resolve_target(target)[0]
            if self.reliable and self._verdicts.failed:
                message.passed_over = slots & self._verdicts.failed_mask
                if message.passed_over and message.passed_over == slots:  # CC-DELIV-029
                    message.recipients = message.open = slots
                    message.passed_over = 0
                    self._verdicts.fail_some(message, slots, ErrorCode.RECIPIENT_FAILED)
                    return self._end_unwritten(message)
                slots &= ~message.passed_over
            message.recipients = message.open = slots
            if self._host.peer_to_peer and not slots:
                return self._end_unwritten(message)
        try:
            block = roster.block(
                target,
                slots | message.passed_over,
                confirm=bool(self.options.flags & frames.CONFIRM),
                lossy=not self.reliable,
            )
        except TooManyRecipients:
            return self._end_unwritten(message, "no_recipients")
        if not self.reliable:
            size = len(message.payload)
            room = self._composer.fits(size, block, message.extensions, whole=self.options.latest)
            if room < (size if self.options.latest else 0):
                return self._end_unwritten(message, "no_recipients")
        self._composer.begin(message, block)
        return True

    def _end_resolving(self, message: Outgoing) -> None:
        """A message that ends unwritten has those whom it would have been written to now (section 7.3)."""
        if not message.written and message.target.to is None:
            slots = self._host.roster.resolve_target(message.target)[0]
            message.passed_over = slots & self._verdicts.failed_mask
            message.recipients = message.open = slots & ~message.passed_over

    def _end_unwritten(self, message: Outgoing, reason: str | None = None) -> bool:
        """A message for which nothing is written after all; its number is spent. `reason`: of a Lossy drop."""
        if self.reliable:
            self._verdicts.check(message)
            self._after_news()  # there is room again; and nothing was ever written or is left, perhaps (row S52)
        else:
            self._drop(message, reason)
        return False

    # --- what is settled, and the end ----------------------------------------------------------------------------

    def _end_stream(self, sequence: int, code: int) -> None:
        """Remember why a stream was given up: its application may still be writing."""
        self._stream_ends[sequence] = code
        if len(self._stream_ends) > _REMEMBERED_STREAMS:
            del self._stream_ends[next(iter(self._stream_ends))]

    def _drop(self, message: Outgoing, reason: str | None = None) -> None:
        """Take a Lossy message, or what is left of it, from the queue."""
        self._queue.remove(message)
        self._queued_bytes -= message.waiting_bytes
        if reason is not None:
            self.drops.add(reason)
        self._check_end()

    def clear_lossy(self, reason: str) -> None:
        """Drop all that waits in a Lossy session (CC-LINK-042)."""
        while not self.reliable and self._queue:
            self._drop(self._queue[0], reason)

    def _has_room(self, size: int) -> bool:
        return not self._queued_bytes or self._queued_bytes + size <= self._host.limits.send_buffer

    def _on_settled(self, message: Outgoing) -> None:
        """A message has its outcome: what is not written of it is not written any more, but ABORT."""
        if message.whole:
            return
        self._queued_bytes -= message.waiting_bytes
        if message.is_stream:
            message.chunks.clear()
        message.offset = len(message.payload)
        if message.written:
            message.aborting = True
            self._host.schedule(self)
        elif message in self._queue:
            self._queue.remove(message)
            self._host.schedule(self)  # it may be that the one behind it waited for it
            self._host.schedule(self)  # what stood behind it may be written

    def expire(self, now: int) -> None:
        """Receipts that are overdue do not come any more."""
        self._verdicts.expire(now)
        self._after_news()

    def _after_news(self) -> None:
        deadline = self._verdicts.deadline
        if deadline is not None:
            self._host.watch_receipts(self, deadline)
        if self._turned_away is not None:
            self._check_writable()
        self._check_end()

    def _check_writable(self) -> None:
        if (
            self._turned_away is not None
            and self._end_code is None
            and self.waiting_messages < self._host.limits.unconfirmed_messages
            and self._has_room(self._turned_away)
        ):
            self._turned_away = None
            self._host.emit(SenderWritable(sender=self.id))

    def _check_end(self) -> None:
        """Rows S51 to S53: everything is settled, and CLOSE is acknowledged if one was due."""
        if self._ended or self._end_code is None or self._verdicts.unsettled:
            return
        if not self._closing or (not self._queue and (self._close_acked or not self.session)):
            self._end()

    def _end(self) -> None:
        self._ended = True
        self._host.emit(SenderEnded(sender=self.id, code=self._end_code or ErrorCode.NONE))
        self._host.sender_ended(self)
