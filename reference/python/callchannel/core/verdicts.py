# SPDX-License-Identifier: Apache-2.0
"""Exactly one verdict for each Reliable message and recipient (specification, sections 7.3 to 7.9).

This is the ledger of one sender session. It learns what was written, acknowledged, read, failed and refused, and tells
the application once for each message how it ended. It writes nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from callchannel.core.errors import ErrorCode, Report
from callchannel.core.events import CustodyLost, Event, MessageConfirmed, MessageFailed, MessagesConfirmed
from callchannel.core.messages import Confirm
from callchannel.core.outgoing import Outgoing
from callchannel.core.recipients import slots_of


class Names(Protocol):
    """Who knows which identifier a slot stands for."""

    def name_of(self, slot: int) -> str:
        """The identifier of a slot's occupant, or of its last one."""

    def names_of(self, slots: int) -> tuple[str, ...]:
        """The same for a set of slots, ascending."""


class Verdicts:
    """The unsettled messages of one session.

    `settled` is called with each message that has its outcome, before the event, so that its session forgets it.
    """

    __slots__ = (
        "_awaiting_ack",
        "_deadline",
        "_deadlines",
        "_delivered",
        "_emit",
        "_names",
        "_receipts",
        "_sender",
        "_settled",
        "accepted_through",
        "confirmed_messages",
        "failed",
        "failed_messages",
        "unsettled",
    )

    def __init__(
        self,
        sender: int,
        confirm: Confirm,
        names: Names,
        deadline: int,
        *,
        emit: Callable[[Event], None],
        settled: Callable[[Outgoing], None],
    ) -> None:
        self._sender = sender
        self._delivered = confirm is Confirm.DELIVERED
        self._names = names
        self._deadline = deadline
        self._emit = emit
        self._settled = settled
        self.unsettled: dict[int, Outgoing] = {}
        """By sequence, ascending: numbered messages without an outcome."""
        self.failed: dict[int, int] = {}
        """Slot and reason of the recipients that take no more of this session."""
        self.accepted_through = 0
        """The greatest sequence that was confirmed as accepted."""
        self.confirmed_messages = 0
        """Sends that succeeded."""
        self.failed_messages = 0
        """Sends that ended with a report."""
        self._awaiting_ack: deque[Outgoing] = deque()
        self._deadlines: deque[tuple[int, Outgoing]] = deque()
        self._receipts: dict[int, int] = {}  # slot, or -1 for the aggregate: greatest value that came

    # --- looking -----------------------------------------------------------------------------------------------

    @property
    def failed_mask(self) -> int:
        """The set of slots that failed."""
        mask = 0
        for slot in self.failed:
            mask |= 1 << slot
        return mask

    @property
    def deadline(self) -> int | None:
        """When receipts are waited for no longer."""
        while self._deadlines and self._deadlines[0][1].sequence not in self.unsettled:
            self._deadlines.popleft()
        return self._deadlines[0][0] if self._deadlines else None

    # --- what the session does ---------------------------------------------------------------------------------

    def add(self, message: Outgoing) -> None:
        """A message has its number."""
        self.unsettled[message.sequence] = message

    def wrote_last(self, message: Outgoing) -> None:
        """The last frame of a message was written."""
        message.whole = True
        self._awaiting_ack.append(message)

    def fail_some(self, message: Outgoing, slots: int, code: int, *, unknown: bool = False) -> None:
        """Give the verdict failed, or unknown, to recipients of a message. Does not settle it: see `check`."""
        slots &= message.open
        message.open &= ~slots
        for slot in slots_of(slots):
            message.unfit = (*message.unfit, (slot, self._name(message, slot), code, unknown))

    def check(self, message: Outgoing, *, refused: bool = False) -> bool:
        """Settle a message whose recipients all have a verdict. Returns whether it is settled."""
        if message.open or message.sequence not in self.unsettled:
            return message.sequence not in self.unsettled
        self._settle(message, refused=refused)
        return True

    def end(self, message: Outgoing, code: int) -> None:
        """Fail a message for all who have no verdict, and settle it."""
        self.fail_some(message, message.open, code)
        self._settle(message, code=code)

    def take_back(self, message: Outgoing, code: int) -> Report:
        """The caller takes a message back: no event follows (CC-DELIV-034 to 036)."""
        self.fail_some(message, message.open, code, unknown=message.whole)
        self.failed_messages += 1
        self._forget(message)
        return self.report(message)

    # --- what comes --------------------------------------------------------------------------------------------

    def acked(self, through: int, now: int) -> None:
        """An ACK covers everything written up to message `through`."""
        confirmed = 0
        waiting = self._awaiting_ack
        while waiting and waiting[0].sequence <= through:
            message = waiting.popleft()
            if message.sequence not in self.unsettled:
                continue
            if not self._delivered:
                message.open = 0
                if not message.unfit:
                    confirmed = self.accepted_through = message.sequence
                    if not message.passed_over:
                        self.confirmed_messages += 1
                        del self.unsettled[message.sequence]
                        continue
                self._settle(message)
            elif message.open:
                self._deadlines.append((now + self._deadline, message))
            else:  # it has no recipients
                self._settle(message)
        if confirmed:
            self._emit(MessagesConfirmed(sender=self._sender, through=confirmed))

    def confirm_plain(self, through: int, count: int) -> None:
        """The same for `count` plain messages, of which nothing was noted."""
        if count:
            self.accepted_through = through
            self.confirmed_messages += count
            self._emit(MessagesConfirmed(sender=self._sender, through=through))

    def receipt(self, slot: int | None, value: int) -> None:
        """Recipients have read everything up to `value`: one of them, or all that did not fail."""
        if not self._delivered:
            return
        key = -1 if slot is None else slot
        start = self._receipts.get(key, 0) + 1
        mask = ~self.failed_mask if slot is None else 1 << slot
        last = next(reversed(self.unsettled), 0)
        value = min(value, last)
        for sequence in range(max(start, next(iter(self.unsettled), 0)), value + 1):
            message = self.unsettled.get(sequence)
            if message is None:
                continue
            if not message.whole:
                value = sequence - 1
                break
            message.open &= ~mask
            if not message.open and message.recipients:
                self._settle(message)
        self._receipts[key] = max(self._receipts.get(key, 0), value)

    def fail(self, slot: int, value: int, code: int, uncertain: bool) -> bool:
        """FAIL for one recipient. Returns whether it is the first one (CC-DELIV-025)."""
        if slot in self.failed:
            return False
        self.failed[slot] = code
        bit = 1 << slot
        for message in list(self.unsettled.values()):
            if message.sequence >= value and message.open & bit and (message.written or message.target.to is not None):
                self.fail_some(message, bit, code, unknown=uncertain and message.whole)
                self.check(message)
        return True

    def forget(self, slot: int, name: str) -> None:
        """A slot has another occupant, whom no FAIL or RECEIPT of the last one, `name`, concerns (CC-ROSTER-070).

        A message that waits for the last one by name, still unwritten, has failed for it: it can't be named any more.
        """
        self.failed.pop(slot, None)
        self._receipts.pop(slot, None)
        bit = 1 << slot
        for message in list(self.unsettled.values()):
            if message.recipients & bit and (message.written or message.target.to is not None):
                message.former = {**message.former, slot: name}
            if message.open & bit and not message.written and message.target.to is not None:
                message.open &= ~bit
                message.unfit = (*message.unfit, (slot, name, int(ErrorCode.UNKNOWN_RECIPIENT), False))
                self.check(message)

    def fail_all(self, value: int, code: int, uncertain: bool) -> None:
        """FAIL for all recipients (CC-DELIV-023)."""
        for message in list(self.unsettled.values()):
            if message.sequence >= value or not message.whole:
                self.fail_some(message, message.open, code, unknown=uncertain and message.whole)
                self._settle(message, code=code)

    def refuse(self, sequence: int, code: int) -> Outgoing | None:
        """REFUSE of a message. Returns it, if that has an effect (CC-DELIV-031)."""
        message = self.unsettled.get(sequence)
        if message is None or not message.written:
            return None
        self.fail_some(message, message.open, code)
        self._settle(message, refused=True, code=code)
        return message

    def expire(self, now: int) -> None:
        """Receipts that are overdue do not come any more (CC-DELIV-016)."""
        while (deadline := self.deadline) is not None and deadline <= now:
            message = self._deadlines.popleft()[1]
            self.fail_some(message, message.open, ErrorCode.DEADLINE, unknown=True)
            self._settle(message)

    def link_died(self) -> None:
        """The link is dead: what was never wholly written has failed, the rest is unknown (CC-DELIV-038 to 040)."""
        for message in list(self.unsettled.values()):
            self.fail_some(message, message.open, ErrorCode.LINK_LOST, unknown=message.whole)
            self._settle(message, code=ErrorCode.LINK_LOST)
        if self.accepted_through:
            self._emit(CustodyLost(sender=self._sender, through=self.accepted_through))

    # --- outcomes ----------------------------------------------------------------------------------------------

    def report(self, message: Outgoing) -> Report:
        """The verdicts of a message as they are now; whoever has none is not named."""
        unfit = {slot for slot, *_ in message.unfit}
        reached = (slot for slot in slots_of(message.recipients & ~message.open) if slot not in unfit)
        return Report(
            sequence=message.sequence,
            reached=tuple(self._name(message, slot) for slot in reached),
            failed=tuple(self._rows(message, unknown=False)),
            unknown=tuple(self._rows(message, unknown=True)),
            passed_over=self._names.names_of(message.passed_over),
        )

    def _name(self, message: Outgoing, slot: int) -> str:
        return message.former.get(slot) or self._names.name_of(slot)

    @staticmethod
    def _rows(message: Outgoing, *, unknown: bool) -> Iterator[tuple[str, int]]:
        return ((name, code) for _, name, code, is_unknown in message.unfit if is_unknown is unknown)

    def _forget(self, message: Outgoing) -> None:
        del self.unsettled[message.sequence]
        self._settled(message)

    def _settle(self, message: Outgoing, *, refused: bool = False, code: int = ErrorCode.NONE) -> None:
        """Tell the outcome. `code`: what to raise where nobody is named."""
        self._forget(message)
        report = self.report(message)
        code = report.code or code
        if code:
            self.failed_messages += 1
            self._emit(
                MessageFailed(sender=self._sender, sequence=message.sequence, code=code, report=report, refused=refused)
            )
        else:
            self.confirmed_messages += 1
            self._emit(MessageConfirmed(sender=self._sender, sequence=message.sequence, report=report))
