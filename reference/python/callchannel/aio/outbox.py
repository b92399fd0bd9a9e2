# SPDX-License-Identifier: Apache-2.0
"""What waits for room in one sender, and for the verdicts of what was queued.

The core says `WouldBlock`; here the caller waits instead, first come, first served. A waiting message belongs to no
task that would have to be woken up: when there is room it is queued at once, from the event that says so. That keeps
the order of the calls, and leaves nothing half done when a task is cancelled.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import takewhile
from typing import Final, Literal

from callchannel.core.errors import (
    CallChannelError,
    DeadlineExceeded,
    DeliveryFailed,
    ErrorCode,
    LinkLost,
    RecipientsUnavailable,
    Refused,
    Report,
    WouldBlock,
    error_name,
)
from callchannel.core.events import MessageFailed
from callchannel.core.sender import Cancelled, CancelOutcome

_ABSENT: Final = frozenset({ErrorCode.UNKNOWN_RECIPIENT, ErrorCode.RECIPIENT_FAILED})

_OUTCOMES: Final = {
    CancelOutcome.REMOVED: "nothing of it was written: nobody gets it",
    CancelOutcome.ABORTED: "part of it was written, and it was given up: nobody gets it",
    CancelOutcome.UNKNOWN: "all of it was written: it may arrive",
    CancelOutcome.SETTLED: "it had its verdict already",
}


class SendTimedOut(DeadlineExceeded):
    """The caller's time ran out before the message had its verdict. `outcome` says what became of it.

    Only `CancelOutcome.UNKNOWN` leaves it open whether the message arrives; else it can be sent again.
    """

    def __init__(self, seconds: float, outcome: CancelOutcome, report: Report | None = None) -> None:
        super().__init__(
            f"no verdict within {seconds:g} s; {_OUTCOMES[outcome]}",
            written=outcome in (CancelOutcome.ABORTED, CancelOutcome.UNKNOWN),
        )
        self.outcome = outcome
        self.report = report
        """What is known by recipient; None if the message never had a number."""


class LinkLostInFlight(DeliveryFailed, LinkLost):
    """The link ended before a message had its verdict; `report` says for whom it failed, for whom that is unknown."""

    code = ErrorCode.LINK_LOST


_Verdict = Report | CallChannelError | Literal[True]
"""True: accepted by the next hop, of which there is nothing to report."""


class Sending:
    """A message on its way, as `send_nowait` returns it. `await sending.result()` waits for its verdict.

    Nobody has to wait: a failure that nobody asks for is still told by `DataChannelSender.on_failed`.
    """

    __slots__ = ("_attempt", "_made", "_outbox", "_outcome", "_sequence")

    _is_shared = False
    """Whether several tasks may wait for the verdict. The only one may be quicker: its end is the future's."""

    def __init__(self, outbox: Outbox, attempt: Callable[[], int]) -> None:
        self._outbox = outbox
        self._attempt = attempt
        self._sequence: int | None = None
        self._outcome: _Verdict | None = None
        self._made: asyncio.Future[Report] | None = None
        """Only for those who wait: most messages are confirmed unwatched."""

    @property
    def sequence(self) -> int | None:
        """The message's number in its session; None while it waits for room."""
        return self._sequence

    @property
    def done(self) -> bool:
        """Whether the message has its verdict."""
        return self._outcome is not None or (self._made is not None and self._made.done())

    @property
    def _future(self) -> asyncio.Future[Report]:
        """Has the verdict, or will."""
        made = self._made
        if made is None:
            made = self._made = asyncio.get_running_loop().create_future()
            if self._outcome is not None:
                self._tell(made, self._outcome)
        return made

    async def result(self, timeout: float | None = None) -> Report:
        """Wait for the verdict. Raises what `DataChannelSender.send` raises.

        A timeout, in seconds, only ends the waiting here: the message stays on its way. `cancel` takes it back.
        """
        if not self.done:
            await asyncio.wait((self._future,), timeout=timeout)
            if not self.done:
                raise DeadlineExceeded(f"no verdict within {timeout:g} s; the message is on its way", written=True)
        return self._future.result()

    def cancel(self) -> CancelOutcome:
        """Take the message back as far as that is possible; who awaits its result gets CANCELLED."""
        return self._outbox.take_back(self, ErrorCode.CANCELLED).outcome

    async def _verdict(self, seconds: float | None, given: float | None = None) -> Report:
        """Wait for the verdict; take the message back when the time is over or the task is cancelled.

        `seconds` may be the rest of those that were `given`.
        """
        future = self._future
        try:
            if seconds is None and not self._is_shared:
                return await future
            if not future.done():
                await asyncio.wait((future,), timeout=seconds)
            return future.result() if future.done() else await self._time_out(given or seconds or 0)
        except asyncio.CancelledError:
            self._outbox.take_back(self, ErrorCode.CANCELLED)
            raise

    async def _time_out(self, seconds: float) -> Report:
        """Take the message back: its time, `seconds`, is over. The verdict that it may have by now comes first."""
        outcome, taken = self._outbox.take_back(self, ErrorCode.DEADLINE)
        if outcome is not CancelOutcome.SETTLED:
            raise SendTimedOut(seconds, outcome, taken)
        await asyncio.wait((self._future,))
        return self._future.result()

    def _settle(self, verdict: _Verdict) -> None:
        if not self.done:
            self._outcome = verdict
            if self._made is not None:
                self._tell(self._made, verdict)

    def _tell(self, future: asyncio.Future[Report], verdict: _Verdict) -> None:
        if isinstance(verdict, CallChannelError):
            future.set_exception(verdict)
            future.exception()  # it counts as seen: who does not await it is told by an event
        elif isinstance(verdict, Report):
            future.set_result(verdict)
        else:
            future.set_result(Report(sequence=self._sequence or 0))


def _is_sent() -> int:
    """Stands for the attempt of a message that needs none any more."""
    raise AssertionError("a message is sent once")


class Outbox:
    """The order in which a sender's messages go to the core, and their verdicts.

    `cancel(sequence, code)` is the core's. `on_empty` is called when nothing waits for room (any more). Call `pump`
    when there may be room.
    """

    def __init__(self, cancel: Callable[[int, int], Cancelled], on_empty: Callable[[], None]) -> None:
        self._cancel = cancel
        self._on_empty = on_empty
        self._waiting: deque[Sending] = deque()
        self._pieces: deque[tuple[Callable[[], None], asyncio.Future[None]]] = deque()
        self._unsettled: dict[int, Sending] = {}
        self._stream: Sending | None = None

    @property
    def waiting(self) -> int:
        """How many messages wait for room."""
        return len(self._waiting)

    # --- in -------------------------------------------------------------------------------------------------------

    @property
    def is_free(self) -> bool:
        """Whether a message may go to the core at once: no other waits, and no stream is open."""
        return not self._waiting and self._stream is None

    def sent(self, sequence: int) -> Sending:
        """Note a message that the core has taken while `is_free`."""
        sending = self._unsettled[sequence] = Sending(self, _is_sent)
        sending._sequence = sequence
        return sending

    def submit(self, attempt: Callable[[], int], *, wait: bool) -> Sending:
        """Queue a message by calling `attempt`, in its turn; it returns the sequence number or raises.

        Raises what `attempt` raises; `WouldBlock` only if not told to `wait`. Behind an open stream everything waits:
        the core could not write it either, and its buffer is the stream's.
        """
        return self._submit(Sending(self, attempt), wait)

    def submit_stream(self, attempt: Callable[[], int]) -> StreamSending:
        """The same for a stream. Pieces are added with `write` once it has begun."""
        sending = StreamSending(self, attempt)
        self._submit(sending, True)
        return sending

    def _submit(self, sending: Sending, wait: bool) -> Sending:
        if self._waiting or self._stream is not None:
            if not wait:
                raise WouldBlock("other messages of this sender wait for room already")
            self._waiting.append(sending)
            return sending
        try:
            self._admit(sending)
        except WouldBlock:
            if not wait:
                raise
            self._waiting.append(sending)
        return sending

    async def write(self, stream: Sending, attempt: Callable[[], None]) -> None:
        """Do `attempt`, which adds a piece to the open stream, as soon as there is room. One at a time."""
        if stream.done:
            stream._future.result()
        if not self._pieces:
            try:
                attempt()
            except WouldBlock:
                pass
            else:
                return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pieces.append((attempt, turn))
        await turn

    def close_stream(self, stream: Sending) -> None:
        """No piece of the stream follows: what waits behind it may go."""
        if self._stream is stream:
            self._stream = None
            self._drop_pieces(CallChannelError("the stream is closed", code=ErrorCode.SENDER_CLOSED))
            self.pump()

    def pump(self) -> None:
        """Queue what has room now."""
        while self._pieces:
            attempt, turn = self._pieces[0]
            if not turn.done():
                try:
                    attempt()
                except WouldBlock:
                    return
                except CallChannelError as exc:
                    turn.set_exception(exc)
                else:
                    turn.set_result(None)
            self._pieces.popleft()
        while self._waiting and self._stream is None:
            try:
                self._admit(self._waiting[0])
            except WouldBlock:
                return
            except CallChannelError as exc:
                self._waiting[0]._settle(exc)
            self._waiting.popleft()
        if not self._waiting:
            self._on_empty()

    def _admit(self, sending: Sending) -> None:
        sending._sequence = sequence = sending._attempt()
        self._unsettled[sequence] = sending
        if isinstance(sending, StreamSending):
            self._stream = sending
            sending._begun.set()

    # --- out ------------------------------------------------------------------------------------------------------

    def take_back(self, sending: Sending, code: int) -> Cancelled:
        """Take a message back, because of CANCELLED or DEADLINE; see `Sending.cancel`."""
        if sending.done and not sending._future.cancelled():
            return Cancelled(CancelOutcome.SETTLED, None)
        if sending._sequence is None:
            try:
                self._waiting.remove(sending)
            except ValueError:  # it was refused, or the sender ended, after its task was cancelled
                return Cancelled(CancelOutcome.SETTLED, None)
            taken = Cancelled(CancelOutcome.REMOVED, None)
        else:
            taken = self._cancel(sending._sequence, code)
            if taken.outcome is CancelOutcome.SETTLED:
                return taken  # the event with its verdict is on its way
            del self._unsettled[sending._sequence]
        text = f"taken back; {_OUTCOMES[taken.outcome]}"
        sending._settle(
            CallChannelError(text, code=code) if taken.report is None else DeliveryFailed(taken.report, code=code)
        )
        self.close_stream(sending)
        self.pump()
        return taken

    def confirm(self, through: int) -> None:
        """Everything up to a sequence number was accepted, except what has another verdict."""
        # All at once: each look for the first key passes over those that were taken before it.
        for sequence in [*takewhile(through.__ge__, self._unsettled)]:
            self._finish(sequence, True)

    def deliver(self, report: Report) -> None:
        """Every recipient has read the message."""
        self._finish(report.sequence, report)

    def fail(self, event: MessageFailed) -> None:
        """A message did not reach everyone."""
        self._finish(event.sequence, failure(event))

    def end(self, error: CallChannelError) -> None:
        """The sender has ended. The core has settled what it had; what still waits here gets `error`."""
        for sequence in tuple(self._unsettled):
            self._finish(sequence, error)
        while self._waiting:
            self._waiting.popleft()._settle(error)
        self._drop_pieces(error)

    def _finish(self, sequence: int, verdict: _Verdict) -> None:
        sending = self._unsettled.pop(sequence, None)
        if sending is None:
            return  # it was cancelled
        if sending._made is None and not sending._is_shared:
            sending._outcome = verdict  # nobody waits for it, as a rule
            return
        sending._settle(verdict)
        if self._stream is sending:
            self._stream = None
            if isinstance(verdict, CallChannelError):
                self._drop_pieces(verdict)
            self.pump()

    def _drop_pieces(self, error: CallChannelError) -> None:
        while self._pieces:
            _, turn = self._pieces.popleft()
            if not turn.done():
                turn.set_exception(error)


class StreamSending(Sending):
    """The message that a stream is."""

    _is_shared = True

    __slots__ = ("_begun",)

    def __init__(self, outbox: Outbox, attempt: Callable[[], int]) -> None:
        super().__init__(outbox, attempt)
        self._begun = asyncio.Event()

    async def begun(self) -> None:
        """Wait for its turn. Raises what ended it before."""
        await self._begun.wait()
        if self.done:
            self._future.result()

    def _settle(self, verdict: _Verdict) -> None:
        super()._settle(verdict)
        self._begun.set()


def failure(event: MessageFailed) -> CallChannelError:
    """The exception for a message that did not reach everyone (chapter 14)."""
    report, code = event.report, event.code
    if event.refused:
        return Refused(report, code=code)
    if code == ErrorCode.LINK_LOST:
        return LinkLostInFlight(report)
    if report.failed and not report.reached and not report.unknown and {row[1] for row in report.failed} <= _ABSENT:
        return RecipientsUnavailable(report, code=code)
    if not report.failed and not report.unknown:
        return CallChannelError(f"message {event.sequence} failed: {error_name(code)}", code=code)
    return DeliveryFailed(report, code=code)
