# SPDX-License-Identifier: Apache-2.0
"""A sender session: queue, credit, closing (specification, chapters 5 to 8; state table "Sender session").

Who got what is kept by `Verdicts`, how a message becomes frames by `Composer`; this module decides when.
"""

from __future__ import annotations

from collections import deque

from callchannel.core import frames, limits
from callchannel.core.errors import (
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
    WouldBlock,
    error_name,
)
from callchannel.core.events import RecipientFailed, SenderFailed
from callchannel.core.extensions import Extension
from callchannel.core.frames import Credit, Fail, Receipt, Refuse
from callchannel.core.outgoing import Outgoing
from callchannel.core.recipients import NO_SLOT, slots_of
from callchannel.core.roster import EVERYONE, Target
from callchannel.core.sender_terms import Cancelled, CancelOutcome, SenderHost, SenderOptions, SenderState
from callchannel.core.sender_writing import SenderWriting

__all__ = ["CancelOutcome", "Cancelled", "SenderHost", "SenderOptions", "SenderSession", "SenderState"]


class SenderSession(SenderWriting):
    """One sender of the application, and its one session."""

    __slots__ = ()

    # --- commands ------------------------------------------------------------------------------------------------

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

    # --- Lossy ---------------------------------------------------------------------------------------------------

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

    # --- what comes ----------------------------------------------------------------------------------------------

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
