# SPDX-License-Identifier: Apache-2.0
"""A sender session: queue, credit, closing (specification, chapters 5 to 8; state table "Sender session").

Who got what is kept by `Verdicts`, how a message becomes frames by `Composer`; this module decides when.
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from callchannel.core import frames, limits
from callchannel.core.composing import OUT_OF_INDEXES, Composer, Piece, consume
from callchannel.core.errors import (
    DropCounter,
    ErrorCode,
    InvalidArgument,
    LinkLost,
    MessageTooLarge,
    RecipientsUnavailable,
    Report,
    SenderClosed,
    SequenceExhausted,
    SessionFailed,
    StreamAborted,
    TooManyRecipients,
    WouldBlock,
    error_name,
)
from callchannel.core.events import Event, RecipientFailed, SenderEnded, SenderFailed, SenderWritable
from callchannel.core.extensions import Extension
from callchannel.core.flow import SendCredit
from callchannel.core.frames import Close, Credit, Fail, Receipt, Refuse
from callchannel.core.link import Link
from callchannel.core.messages import Confirm, Priority, Reliability
from callchannel.core.outgoing import Outgoing
from callchannel.core.plain import PlainQueue
from callchannel.core.recipients import NO_SLOT, slots_of
from callchannel.core.roster import EVERYONE, RosterView, Target
from callchannel.core.scheduling import NO_ROOM, TokenBucket
from callchannel.core.verdicts import Verdicts

CLOSE_MARK = frames.MAX_SEQUENCE + 1
"""What is acknowledged with CLOSE: more than any sequence."""


_REMEMBERED_STREAMS = 64


class SenderState(enum.Enum):
    """States of a sender session; the table of chapter 5 has all transitions."""

    OPEN = "OPEN"
    PARTIAL = "PARTIAL"
    """The first fragment of the current message was written, its last was not."""
    CLOSING = "CLOSING"
    ENDED = "ENDED"


class CancelOutcome(enum.Enum):
    """What `cancel` found."""

    REMOVED = "removed"
    """Nothing of it was written: nobody gets it."""
    ABORTED = "aborted"
    """Half of it was written: it is given up, nobody gets it."""
    UNKNOWN = "unknown"
    """All of it was written: it may arrive."""
    SETTLED = "settled"
    """It had its outcome already; its event was or will be handed out."""


class Cancelled(NamedTuple):
    """The answer of `cancel`. No event follows for the message unless the outcome is SETTLED."""

    outcome: CancelOutcome
    report: Report | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderOptions:
    """What stays the same for the life of a sender."""

    channel: int
    reliability: Reliability = Reliability.RELIABLE
    priority: Priority = Priority.NORMAL
    confirm: Confirm = Confirm.ACCEPTED
    latest: bool = False
    bitrate: int | None = None
    """Wished bits per second."""

    @property
    def flags(self) -> int:
        """The DATA flags that all frames of the session share."""
        return (
            (frames.RELIABLE if self.reliability is Reliability.RELIABLE else 0)
            | (frames.HIGH if self.priority is Priority.HIGH else 0)
            | (frames.CONFIRM if self.confirm is Confirm.DELIVERED else 0)
            | (frames.LATEST if self.latest else 0)
        )


class SenderHost(Protocol):
    """What a sender session needs of its endpoint."""

    link: Link
    roster: RosterView
    limits: limits.Limits

    @property
    def peer_to_peer(self) -> bool:
        """Whether the one other endpoint is the next hop."""

    def allot_session(self, sender: SenderSession) -> int:
        """The next session number of the link."""

    def must_wait(self, sender: SenderSession) -> bool:
        """Whether an older sender on the channel has something to write and no session number yet."""

    def emit(self, event: Event) -> None:
        """Tell the application."""

    def schedule(self, sender: SenderSession) -> None:
        """Let the session write when it is its turn."""

    def rest(self, sender: SenderSession) -> None:
        """A Reliable session has nothing to write at the moment."""

    def schedule_close(self, sender: SenderSession) -> None:
        """Let `write_close` be called when it is its turn on the reliable lane."""

    def wake_at(self, sender: SenderSession, at: int) -> None:
        """Schedule the session at a time."""

    def watch_receipts(self, sender: SenderSession, at: int) -> None:
        """Call `expire` at a time."""

    def sender_ended(self, sender: SenderSession) -> None:
        """The session has ended: its channel is free."""


class SenderSession:
    """One sender of the application, and its one session."""

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

    # --- looking -----------------------------------------------------------------------------------------------

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

    # --- commands ----------------------------------------------------------------------------------------------

    def set_target(self, target: Target) -> None:
        """Whom the next messages are for."""
        self.target = target
        self._judge_plain()

    def refuses(self) -> bool:
        """Whether a send is dropped here, whatever it is: a Lossy sender that failed. Raises where no send is taken.

        This comes before the arguments of a send are judged (rows S01 to S04).
        """
        if self._end_code is None and self._next_sequence <= frames.MAX_SEQUENCE:
            return False
        if not self.reliable and self._end_code is not None and not self._was_closed:
            self.drops.add("link_dead" if self._host.link.is_dead else "ended_session")
            return True
        self._check_open()
        return False

    def send_plain(self, payload: bytes) -> int:
        """Number a message and queue it, if it is plain and nothing speaks against it; else 0: take the long way.

        See `plain`. What refuses a message, and why, is said by the long way.
        """
        size = len(payload)
        sequence = self._next_sequence
        queued = self._queued_bytes + size
        if (
            size > self._plain_largest
            or queued > self._send_buffer
            or (sequence >= self._plain_end and not self._may_number_plain(sequence))
        ):
            return 0
        waiting = self._plain_waiting
        if not waiting and not self._queue:
            self._host.schedule(self)
        waiting.append(payload)
        self._next_sequence = sequence + 1
        self._queued_bytes = queued
        return sequence

    def _may_number_plain(self, sequence: int) -> bool:
        """Look whether a message may be unconfirmed besides the others, and how many further ones.

        Each message takes a sequence number, plain or not; so there is nothing to count until `_plain_end`.
        """
        self._plain_end = min(frames.MAX_SEQUENCE + 1, sequence + self._most_unconfirmed - self.waiting_messages)
        return sequence < self._plain_end

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

    def send(
        self, payload: bytes, target: Target, extensions: tuple[Extension, ...], lifetime: int | None, now: int
    ) -> int:
        """Number a message and queue it, after `refuses` said no. Raises without changing anything."""
        if self.reliable:
            size = len(payload)
            largest = self._host.link.peer_largest
            if size > largest:
                raise MessageTooLarge(size, largest, "; send it as a stream")
            message = self._resolve(payload, target, extensions)
            if message.recipients or not self._host.peer_to_peer:
                self._check_buffer(size)
            return self._enqueue(message)
        return self._send_lossy(payload, target, extensions, lifetime, now)

    def open_stream(self, target: Target, extensions: tuple[Extension, ...], now: int) -> int:
        """Number a message whose bytes come with `write_stream`."""
        if not self.reliable:
            raise InvalidArgument("a stream needs a Reliable sender")
        message = self._resolve(b"", target, extensions)
        if message.recipients or not self._host.peer_to_peer:
            self._check_buffer(0)
        message.is_stream = True
        message.chunks = deque()
        return self._enqueue(message)

    def write_stream(self, sequence: int, chunk: bytes) -> None:
        """Add bytes to a stream. Raises `WouldBlock` while the buffer is full."""
        message = self._stream(sequence)
        self._check_room(len(chunk))
        if chunk:
            message.chunks.append(chunk)
            self._queued_bytes += len(chunk)
            self._host.schedule(self)

    def finish_stream(self, sequence: int) -> None:
        """Say that a stream is complete."""
        self._stream(sequence).finished = True
        self._host.schedule(self)

    def cancel(self, sequence: int, code: int) -> Cancelled:
        """Take a message back as far as that is possible (CC-DELIV-034 to 037)."""
        if not self.reliable:
            for item in self._queue:
                if item.sequence == sequence:
                    outcome = CancelOutcome.ABORTED if item.written else CancelOutcome.REMOVED
                    self._drop(item)
                    return Cancelled(outcome, None)
        self._unfold()
        message = self._verdicts.unsettled.get(sequence)
        if message is None:
            return Cancelled(CancelOutcome.SETTLED, None)
        if message.whole:
            outcome = CancelOutcome.UNKNOWN
        else:
            outcome = CancelOutcome.ABORTED if message.written else CancelOutcome.REMOVED
        if message.is_stream:
            self._end_stream(sequence, code)
        self._end_resolving(message)
        report = self._verdicts.take_back(message, code)
        self._after_news()
        return Cancelled(outcome, report)

    def close(self) -> None:
        """Send what is queued, then CLOSE (CC-SESS-016). Repeating it has no effect."""
        if self._was_closed or self._ended:
            return
        self._was_closed = True
        self._unfold()
        if self._end_code is None:
            self._end_code = ErrorCode.NONE
            self._closing = True
            # A stream that nobody can finish any more is given up (CC-SESS-017).
            open_streams = [item for item in self._queue if item.is_stream and not (item.finished or item.aborting)]
            for message in open_streams:
                self._end_stream(message.sequence, ErrorCode.SENDER_CLOSED)
                self._end_resolving(message)
                self._verdicts.end(message, ErrorCode.SENDER_CLOSED)
            self._judge_plain()
            self._host.schedule(self)
            self._check_end()

    def _check_open(self) -> None:
        if self._end_code is not None:
            self._raise_end()
        if self._next_sequence > frames.MAX_SEQUENCE:
            raise SequenceExhausted("the session has used its last sequence number; open a new sender")

    def _raise_end(self) -> None:
        code = self._end_code or ErrorCode.NONE
        if self._was_closed:
            raise SenderClosed("the sender is closed")
        if code == ErrorCode.LINK_LOST:
            raise LinkLost("the link has ended")
        raise SessionFailed(f"the sender has failed: {error_name(code)}", code=code)

    def _stream(self, sequence: int) -> Outgoing:
        """An open stream, or why it is none (rows S12)."""
        message = self._verdicts.unsettled.get(sequence)
        if message is not None and message.is_stream and not message.finished:
            return message
        code = self._stream_ends.get(sequence, ErrorCode.INVALID_ARGUMENT)
        if code == ErrorCode.INVALID_ARGUMENT:
            raise InvalidArgument(f"message {sequence} is no open stream of this sender")
        if code == ErrorCode.LINK_LOST:
            raise LinkLost("the link has ended")
        raise StreamAborted(f"the stream was given up: {error_name(code)}", code=code)

    def _end_stream(self, sequence: int, code: int) -> None:
        """Remember why a stream was given up: its application may still be writing."""
        self._stream_ends[sequence] = code
        if len(self._stream_ends) > _REMEMBERED_STREAMS:
            del self._stream_ends[next(iter(self._stream_ends))]

    def _check_buffer(self, size: int) -> None:
        if self.waiting_messages >= self._host.limits.unconfirmed_messages:
            self._turned_away = size
            raise WouldBlock(f"{self.waiting_messages} messages are unconfirmed; wait for SenderWritable")
        if self._queued_bytes:
            self._check_room(size)

    def _check_room(self, size: int) -> None:
        if not self._has_room(size):
            self._turned_away = size
            raise WouldBlock(f"{self._queued_bytes} bytes wait to be written already; wait for SenderWritable")

    def _has_room(self, size: int) -> bool:
        return not self._queued_bytes or self._queued_bytes + size <= self._host.limits.send_buffer

    def _enqueue(self, message: Outgoing) -> int:
        self._unfold()  # what is plain goes first
        sequence = message.sequence
        self._next_sequence = sequence + 1
        if self.reliable:
            self._verdicts.unsettled[sequence] = message
            if not message.recipients and self._host.peer_to_peer:
                self._queued_bytes += len(message.payload)  # settling takes them off again
                self._verdicts.check(message)  # CC-PEER-011: nobody to write to
                return sequence
        queue = self._queue
        queue.append(message)
        self._queued_bytes += len(message.payload)
        if len(queue) == 1:  # behind others it waits for its turn, or for what they wait for
            self._host.schedule(self)
        return sequence

    # --- recipients --------------------------------------------------------------------------------------------

    def _resolve(self, payload: bytes, target: Target, extensions: tuple[Extension, ...]) -> Outgoing:
        """A Reliable message with its recipients as they are now; raises naming who is missing."""
        roster = self._host.roster
        if target is EVERYONE and not self._verdicts.failed:
            return Outgoing(self._next_sequence, payload, target, extensions, roster.others, roster.epoch)
        slots, absent = roster.resolve_target(target)
        barred = slots & self._verdicts.failed_mask if self._verdicts.failed else 0
        if absent or (barred and (target.to is not None or barred == slots)):
            rows = [(name, int(ErrorCode.UNKNOWN_RECIPIENT)) for name in absent]
            rows += [(roster.name_of(slot), int(ErrorCode.RECIPIENT_FAILED)) for slot in slots_of(barred)]
            raise RecipientsUnavailable(
                Report(sequence=self._next_sequence, reached=(), failed=tuple(rows)),
                code=ErrorCode.UNKNOWN_RECIPIENT if absent else ErrorCode.RECIPIENT_FAILED,
            )
        return Outgoing(self._next_sequence, payload, target, extensions, slots, roster.epoch)

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

    # --- Lossy -------------------------------------------------------------------------------------------------

    def _send_lossy(
        self, payload: bytes, target: Target, extensions: tuple[Extension, ...], lifetime: int | None, now: int
    ) -> int:
        size = len(payload)
        largest = min(limits.LOSSY_MESSAGE, self._host.link.peer_largest)  # CC-LIMIT-020
        if size > largest:
            raise MessageTooLarge(size, largest, " for Lossy; use Reliable")
        roster = self._host.roster
        slots, absent = roster.resolve_target(target)
        block = roster.block(target, slots, confirm=False, lossy=True) if slots or target.to is None else None
        room = self._composer.fits(size, block, extensions, whole=self.options.latest)
        if self.options.latest and size > room:
            raise MessageTooLarge(size, max(room, 0), " for a message in one packet, which `latest` asks for")
        if room < 0:
            raise InvalidArgument("the metadata leaves no room for the payload in a Lossy packet")
        sequence = self._next_sequence
        if absent:
            self.drops.add("no_recipients", len(absent))
        if self._host.peer_to_peer and not slots and target.to is None:
            pass  # everyone but the peer: nobody (row S06)
        elif not self._host.link.is_active:
            self.drops.add("link_dead" if self._host.link.is_dead else "suspended")
        elif slots or target.to is None:
            message = Outgoing(sequence, payload, target, extensions, slots, roster.epoch)
            if lifetime is not None:
                message.expires = now + lifetime
            if self.options.latest:
                self._supersede(target)
            while self._queue and self._queued_bytes + size > self._host.limits.lossy_queue:
                self._drop(self._queue[0], "queue_full")
            return self._enqueue(message)
        self._next_sequence += 1
        return sequence

    def _supersede(self, target: Target) -> None:
        """A sender with `latest` has only LATEST messages in its queue."""
        for item in [item for item in self._queue if item.target == target and not item.written]:
            self._drop(item, "superseded")

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

    # --- writing -----------------------------------------------------------------------------------------------

    def write(self, room: int, now: int) -> bytes | None:
        """The session's next frame; see `scheduling.Source`."""
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
        if host.link.counting.is_full:
            host.link.park(self)
            return None
        length = self._plain.next_length(room)
        if not length:
            return NO_ROOM
        credit = self._credit
        if credit is None:
            credit = self._credit = SendCredit(host.link.peer_window)
        if not credit.allows(length):
            return None  # CREDIT schedules the session again
        if not self.session:
            self.session = host.allot_session(self)
        self._key = frames.key_of(self.channel, host.roster.own_slot, self.session)
        (frame,), _ = self._write_plain(credit, room, 1, only_one=True)
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

    # --- what comes --------------------------------------------------------------------------------------------

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

    def on_credit(self, frame: Credit) -> None:
        """CREDIT: more may be written."""
        if self._credit is not None and self._credit.raise_limit(frame.value):
            self._host.schedule(self)

    def on_receipt(self, frame: Receipt) -> None:
        """RECEIPT of one recipient, or aggregated."""
        self._verdicts.receipt(None if frame.recipient == NO_SLOT else frame.recipient, frame.value)
        self._after_news()

    def on_refuse(self, frame: Refuse) -> None:
        """REFUSE: the relay does not take a message. Nothing more of it is written (CC-DELIV-031)."""
        self._unfold()
        message = self._verdicts.refuse(frame.value, frame.reason)
        if message is not None and self._queue and self._queue[0] is message:
            self._queue.popleft()
        self._after_news()

    def on_fail(self, frame: Fail) -> None:
        """FAIL for one recipient, or for all."""
        self._unfold()
        roster = self._host.roster
        slots = [frame.recipient] if frame.recipient != NO_SLOT else []
        for slot in slots:
            if self._verdicts.fail(slot, frame.value, frame.reason, frame.uncertain):
                self._host.emit(
                    RecipientFailed(
                        sender=self.id,
                        participant=roster.participant(slot),
                        sequence=frame.value,
                        code=frame.reason,
                        uncertain=frame.uncertain,
                    )
                )
        if (not slots or self._host.peer_to_peer) and not self._ended:
            self._fail_for_all(frame)
        self._judge_plain()
        self._after_news()

    def _fail_for_all(self, frame: Fail) -> None:
        """Nothing more is written; what is below the FAIL's value is still settled (CC-SESS-023, 024)."""
        if self._failed:  # CC-DELIV-026
            return
        self._failed = True
        self._closing = False
        self._end_code = frame.reason
        for message in self._queue:
            self._end_resolving(message)
            if message.is_stream:
                self._end_stream(message.sequence, frame.reason)
        self._verdicts.fail_all(frame.value, frame.reason, frame.uncertain)
        self._queue.clear()
        self._queued_bytes = 0
        self._host.emit(SenderFailed(sender=self.id, code=frame.reason))

    def slot_joined(self, slot: int) -> None:
        """A slot has another occupant, who has not failed in this session (CC-ROSTER-070)."""
        former = self._host.roster.former.get(slot)
        if former is None:
            return
        self._unfold()
        self._verdicts.forget(slot, former.identity)
        self._judge_plain()
        self._after_news()

    def expire(self, now: int) -> None:
        """Receipts that are overdue do not come any more."""
        self._verdicts.expire(now)
        self._after_news()

    def link_died(self) -> None:
        """The link is dead: every message gets its verdict, and the sender ends (rows S49, S50)."""
        if self._ended:
            return
        self._unfold()
        self._closing = False
        self._end_code = ErrorCode.LINK_LOST
        self._judge_plain()
        if self._queue and not self.reliable:
            self.drops.add("link_dead", len(self._queue))
        for message in self._queue:
            self._end_resolving(message)
            if message.is_stream:
                self._end_stream(message.sequence, ErrorCode.LINK_LOST)
        self._verdicts.link_died()
        self._queue.clear()
        self._queued_bytes = 0
        self._end()

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
