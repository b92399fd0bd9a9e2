# SPDX-License-Identifier: Apache-2.0
"""Oracle of verdicts: each Reliable send has one outcome, and it is true (chapters 7 and 14)."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING, Any

from simulator.codes import DEADLINE, RECIPIENT_FAILED
from simulator.records import Inc, Message, Sender, Violation

if TYPE_CHECKING:
    from callchannel.core.errors import Report


class Verdicts:
    """Judges what owners are told."""

    def __init__(self, deadline: int) -> None:
        self.deadline = deadline
        self.counts: Counter[str] = Counter()

    # --- outcomes ------------------------------------------------------------------------------------------------

    def _outcome(self, message: Message, what: str) -> None:
        if message.outcome is not None:
            raise Violation("CC-DELIV-006", f"{message} is {what} after it was {message.outcome}")
        message.outcome = what
        self.counts[what] += 1

    def accepted(self, sender: Sender, through: int) -> None:
        """MessagesConfirmed: everything up to a sequence for which nothing else was reported."""
        if sender.delivered or through <= sender.confirmed_through or through not in sender.messages:
            raise Violation("CC-DELIV-010", f"{sender} is confirmed through {through}")
        sender.confirmed_through = through
        for sequence in range(sender.open_from, through + 1):
            message = sender.messages.get(sequence)
            if message is None or message.outcome is not None:
                continue
            self._outcome(message, "accepted")
            self._must_be_custody(message)
            self._in_custody(message, Counter(inc.identity for inc in message.targets or ()))
            for inc, fail in sender.barred.items():
                if message.targets is not None and inc in message.targets and fail.excuses(sequence):
                    raise Violation("CC-ERR-014", f"{message} is accepted, although FAIL {fail.value} for {inc} came")
        sender.open_from = through + 1

    def _must_be_custody(self, message: Message) -> None:
        sender = message.sender
        if sender.inc.hub.is_relay or message.begun:
            if not message.whole or not message.whole_at_hub:
                raise Violation("CC-DELIV-011", f"{message} is accepted, but the next hop has not all of it")
            if message.count > sender.inc.link.acked[self._side(sender)]:
                raise Violation("CC-DELIV-011", f"{message} is accepted before an ACK covers it")
        if message.refused:
            raise Violation("CC-DELIV-031", f"{message} is accepted, but was refused")
        for _, inc, sequence in sender.absent:
            if sequence == message.sequence and inc in (message.targets or ()):
                raise Violation("CC-ROSTER-061", f"{message} is accepted without a word of {inc}, who had gone")

    @staticmethod
    def _side(sender: Sender) -> int:
        """On which side of its link an owner is."""
        return 0 if sender.inc.hub.is_relay or sender.inc.slot else 1

    def confirmed(self, sender: Sender, sequence: int, report: Report, now: int) -> None:
        """MessageConfirmed: delivered to everyone, or accepted with failed endpoints passed over."""
        message = self._message(sender, sequence)
        self._outcome(message, "delivered" if sender.delivered else "accepted")
        message.confirmed = True
        if report.failed or report.unknown:
            raise Violation("CC-DELIV-003", f"{message} is confirmed with {report}")
        if sender.delivered:
            if report.reached and sender.receipt_at != now:
                raise Violation("CC-DELIV-013", f"{message} is confirmed at {now}, RECEIPT came at {sender.receipt_at}")
            self._reached(message, report)
            self._names(message, report)
        else:
            self._must_be_custody(message)

    def failed(self, sender: Sender, event: Any, now: int) -> None:
        """MessageFailed."""
        message = self._message(sender, event.sequence)
        report = event.report
        self._outcome(message, "refused" if event.refused else "unknown" if not report.failed else "failed")
        if event.refused and not message.refused:
            raise Violation("CC-DELIV-031", f"{message} is refused, but no REFUSE came")
        self._report(message, report)
        if report.failed and event.code != report.failed[0][1]:
            raise Violation("CC-DELIV-005", f"{message} raises {event.code:04X} for {report}")
        late = [code for _, code in report.unknown if code == DEADLINE]
        if late:
            log = sender.inc.link.ack_log[self._side(sender)]
            place = bisect_left(log, (message.count, -1))
            came = log[place][1] if message.whole and place < len(log) else None
            if came is None or now - came < self.deadline:
                raise Violation("CC-DELIV-017", f"{message} is past its deadline at {now}, its ACK came at {came}")

    def overdue(self, inc: Inc, now: int) -> None:
        """Receipts are waited for no longer than `delivered_deadline` after the ACK (CC-DELIV-016)."""
        for sender in inc.senders.values():
            if sender.reliable and sender.barred:
                self._failed_for_all(sender)
            if not sender.delivered:
                continue
            log = sender.inc.link.ack_log[self._side(sender)]
            for sequence in range(sender.open_from, sender.last + 1):
                message = sender.messages.get(sequence)
                if message is None or message.outcome is not None:
                    continue
                place = bisect_left(log, (message.count, -1)) if message.whole else len(log)
                if place == len(log):
                    break
                since = log[place][1]
                if now - since > self.deadline + 10_000:
                    raise Violation("CC-DELIV-016", f"{message} has no outcome at {now}, its ACK came at {since}")

    @staticmethod
    def _failed_for_all(sender: Sender) -> None:
        """A message has its outcome at once when a FAIL has come for each of its recipients."""
        for sequence in range(sender.open_from, sender.last + 1):
            message = sender.messages.get(sequence)
            if message is None or message.outcome is not None or not message.begun or not message.targets:
                continue
            fails = [sender.barred.get(inc) for inc in message.targets]
            if all(fail is not None and fail.excuses(sequence) for fail in fails):
                raise Violation("CC-DELIV-022", f"{message} has no outcome, although all have failed")

    def taken_back(self, sender: Sender, sequence: int, outcome: str, report: Report | None) -> None:
        """`cancel` took a message back."""
        message = self._message(sender, sequence)
        if outcome == "settled":
            if message.outcome is None:
                raise Violation("CC-DELIV-037", f"{message} is called settled without an outcome")
            return
        if not sender.reliable:
            message.cancelled = True
            return
        self._outcome(message, f"cancelled {outcome}")
        right = "unknown" if message.whole else "aborted" if message.begun else "removed"
        if outcome != right:
            raise Violation("CC-DELIV-034", f"{message} was taken back as {outcome}, it is {right}")
        if report is not None:
            self._report(message, report)
        message.cancelled = right != "unknown"

    @staticmethod
    def _message(sender: Sender, sequence: int) -> Message:
        message = sender.messages.get(sequence)
        if message is None:
            raise Violation("created", f"a word of message {sequence} of {sender}, which nobody sent")
        return message

    # --- what a report says --------------------------------------------------------------------------------------

    def _report(self, message: Message, report: Report) -> None:
        self._names(message, report)
        for name, code in report.failed:
            if not code:
                raise Violation("CC-ERR-012", f"{name} failed without a reason in {message}")
            if code == RECIPIENT_FAILED and all(inc.identity != name for inc in message.sender.barred):
                raise Violation("CC-DELIV-029", f"{message} fails for {name}, of whom no FAIL came")
        message.failed_names = dict(Counter(name for name, _ in report.failed))
        for name in message.failed_names:
            self._failed_so_far(message, name)
        if report.unknown and not message.whole:
            raise Violation("CC-DELIV-039", f"{message} is unknown for {report.unknown}, but was never wholly written")
        if message.sender.delivered:
            self._reached(message, report)
        else:
            self._in_custody(message, Counter(report.reached or ()))

    @staticmethod
    def _in_custody(message: Message, reached: Counter[str]) -> None:
        """Confirmed as accepted: the next hop took it for them (section 7.4)."""
        admitted = message.admitted or frozenset()
        for name, count in reached.items():
            if sum(inc.identity == name for inc in admitted) < count:
                raise Violation("CC-ROSTER-074", f"{message} is accepted for {name}, for whom it was not admitted")

    @staticmethod
    def _failed_so_far(message: Message, name: str) -> None:
        if message.targets is None:
            known = [inc for inc in message.read_by if inc.identity == name]
        else:
            known = [inc for inc in message.targets if inc.identity == name]
        read = sum(inc in message.read_by for inc in known)
        if read and read + message.failed_names[name] > len(known):
            raise Violation("verdict", f"{message} is reported as failed for {name}, who has read it")

    @staticmethod
    def _reached(message: Message, report: Report) -> None:
        """Confirmed as delivered: the application has read it (CC-DELIV-013, 014)."""
        for name, count in Counter(report.reached or ()).items():
            read = sum(inc.identity == name for inc in message.read_by)
            if read < count:
                raise Violation("verdict", f"{message} is confirmed for {name}, who has not read it")

    @staticmethod
    def _names(message: Message, report: Report) -> None:
        """A report names each recipient once (CC-DELIV-004, CC-ERR-011)."""
        if message.targets is None or not message.begun:
            return
        named = Counter(report.reached or ())
        named.update(name for name, _ in (*report.failed, *report.unknown))
        right = Counter(inc.identity for inc in message.targets)
        if named != right:
            raise Violation("CC-DELIV-004", f"{message} is for {dict(right)}, its report names {dict(named)}")

    # --- ends ----------------------------------------------------------------------------------------------------

    def recipient_failed(self, sender: Sender, inc: Inc, event: Any) -> None:
        """RecipientFailed: told once, and true."""
        fail = sender.barred.get(inc)
        if fail is None or (fail.value, fail.code, fail.uncertain) != (event.sequence, event.code, event.uncertain):
            raise Violation("CC-DELIV-025", f"{event} is not the FAIL that came")

    def sender_ended(self, sender: Sender) -> None:
        """A sender has ended: everything is settled."""
        if sender.ended:
            raise Violation("CC-SESS-024", f"{sender} ended twice")
        sender.ended = True
        self.all_settled(sender)

    @staticmethod
    def all_settled(sender: Sender) -> None:
        """Nothing may be without its outcome now (CC-DELIV-001)."""
        if not sender.reliable:
            return
        for sequence in range(sender.open_from, sender.last + 1):
            message = sender.messages.get(sequence)
            if message is not None and message.outcome is None:
                raise Violation("verdict", f"{message} never got an outcome")
