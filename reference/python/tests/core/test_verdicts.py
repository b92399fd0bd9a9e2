# SPDX-License-Identifier: Apache-2.0
"""Exactly one verdict for each message and recipient (sections 7.3 to 7.9), against a model over lists of evidence."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from callchannel.core.errors import ErrorCode, Report
from callchannel.core.events import CustodyLost, MessageConfirmed, MessageFailed, MessagesConfirmed
from callchannel.core.messages import Confirm
from callchannel.core.outgoing import Outgoing
from callchannel.core.recipients import mask_of, slots_of
from callchannel.core.roster import EVERYONE, Target
from callchannel.core.verdicts import Verdicts

MINUTE = 60_000_000


class Names:
    def name_of(self, slot: int) -> str:
        return f"p{slot}"

    def names_of(self, slots: int) -> tuple[str, ...]:
        return tuple(map(self.name_of, slots_of(slots)))


class Ledger:
    """A `Verdicts`, and what it told."""

    def __init__(self, confirm: Confirm = Confirm.ACCEPTED) -> None:
        self.events: list[Any] = []
        self.messages: dict[int, Outgoing] = {}
        self.verdicts = Verdicts(
            9,
            confirm,
            Names(),
            MINUTE,
            emit=self.events.append,
            settled=lambda message: None,
        )

    def send(self, *recipients: int, whole: bool = True, to: bool = True, written: bool = True) -> Outgoing:
        sequence = len(self.messages) + 1
        target = Target.of([f"p{slot}" for slot in recipients] or None, ()) if to else EVERYONE
        message = Outgoing(sequence, b"x", target, (), mask_of(recipients), 1)
        self.messages[sequence] = message
        self.verdicts.unsettled[sequence] = message
        message.written = written
        if whole:
            self.verdicts.wrote_last(message)
        return message

    def take(self) -> list[Any]:
        found = list(self.events)
        self.events.clear()
        return found


def failed(sequence: int, code: int, report: Report, *, refused: bool = False) -> MessageFailed:
    return MessageFailed(sender=9, sequence=sequence, code=code, report=report, refused=refused)


# --- accepted --------------------------------------------------------------------------------


def test_an_ack_confirms_everything_up_to_it() -> None:
    """CC-DELIV-001, 002, 010."""
    ledger = Ledger()
    for _ in range(3):
        ledger.send(1, 2)
    ledger.verdicts.acked(2, 0)
    assert ledger.take() == [MessagesConfirmed(sender=9, through=2)]
    assert list(ledger.verdicts.unsettled) == [3]
    assert (ledger.verdicts.accepted_through, ledger.verdicts.confirmed_messages) == (2, 2)
    ledger.verdicts.acked(2, 0)
    assert ledger.take() == []


def test_fail_before_ack_makes_the_send_raise_at_the_ack() -> None:
    """CC-DELIV-003 to 005, 022."""
    ledger = Ledger()
    ledger.send(1, 2)
    ledger.send(1, 2)
    assert ledger.verdicts.fail(1, 2, ErrorCode.LOST, False)
    assert ledger.take() == []
    ledger.verdicts.acked(2, 0)
    report = Report(sequence=2, reached=("p2",), failed=(("p1", ErrorCode.LOST),))
    assert ledger.take() == [failed(2, ErrorCode.LOST, report), MessagesConfirmed(sender=9, through=1)]
    assert ledger.verdicts.failed_messages == 1


def test_fail_after_ack_changes_nothing() -> None:
    """CC-DELIV-006, 026."""
    ledger = Ledger()
    ledger.send(1)
    ledger.verdicts.acked(1, 0)
    ledger.take()
    assert ledger.verdicts.fail(1, 1, ErrorCode.LOST, False)
    assert not ledger.verdicts.fail(1, 1, ErrorCode.CLOSED, False)
    assert ledger.take() == []
    assert ledger.verdicts.failed == {1: ErrorCode.LOST}
    assert ledger.verdicts.failed_mask == 0b10


def test_uncertain_speaks_of_what_was_wholly_written() -> None:
    """CC-DELIV-022."""
    ledger = Ledger()
    ledger.send(1)
    ledger.send(1)
    ledger.send(1, whole=False)
    ledger.verdicts.fail(1, 2, ErrorCode.LOST, True)
    second, third = ledger.take()
    assert second == failed(2, ErrorCode.LOST, Report(sequence=2, reached=(), unknown=(("p1", ErrorCode.LOST),)))
    assert third == failed(3, ErrorCode.LOST, Report(sequence=3, reached=(), failed=(("p1", ErrorCode.LOST),)))


def test_messages_below_v_are_settled_as_if_the_fail_had_not_come() -> None:
    """CC-DELIV-023."""
    ledger = Ledger()
    ledger.send(1)
    ledger.verdicts.fail(1, 1 << 32, ErrorCode.CLOSED, False)
    ledger.verdicts.acked(1, 0)
    assert ledger.take() == [MessagesConfirmed(sender=9, through=1)]


def test_a_broadcast_that_is_not_written_has_no_recipients_yet() -> None:
    """CC-DELIV-007, 029."""
    ledger = Ledger()
    message = ledger.send(1, 2, whole=False, to=False, written=False)
    ledger.verdicts.fail(1, 1, ErrorCode.LOST, False)
    assert ledger.take() == []
    assert message.open == 0b110


def test_passed_over_endpoints_are_listed_beside_the_success() -> None:
    ledger = Ledger()
    message = ledger.send(2)
    message.passed_over = 0b10
    ledger.verdicts.acked(1, 0)
    report = Report(sequence=1, reached=("p2",), passed_over=("p1",))
    assert ledger.take() == [
        MessageConfirmed(sender=9, sequence=1, report=report),
        MessagesConfirmed(sender=9, through=1),
    ]


# --- delivered -------------------------------------------------------------------------------


def test_receipts_confirm_one_by_one() -> None:
    """CC-DELIV-013, 015."""
    ledger = Ledger(Confirm.DELIVERED)
    ledger.send(1, 2)
    ledger.send(1, 2)
    ledger.verdicts.receipt(1, 2)
    assert ledger.take() == []
    ledger.verdicts.receipt(2, 1)
    assert ledger.take() == [MessageConfirmed(sender=9, sequence=1, report=Report(sequence=1, reached=("p1", "p2")))]
    ledger.verdicts.acked(2, 5)
    assert ledger.verdicts.deadline == 5 + MINUTE
    ledger.verdicts.receipt(2, 2)
    assert len(ledger.take()) == 1
    assert ledger.verdicts.deadline is None


def test_an_aggregate_leaves_out_who_failed() -> None:
    """CC-DELIV-014."""
    ledger = Ledger(Confirm.DELIVERED)
    ledger.send(1, 2)
    ledger.send(1, 2)
    ledger.verdicts.fail(1, 2, ErrorCode.LOST, False)
    ledger.verdicts.receipt(None, 2)
    report = Report(sequence=2, reached=("p2",), failed=(("p1", ErrorCode.LOST),))
    assert ledger.take() == [failed(2, ErrorCode.LOST, report)]
    ledger.verdicts.receipt(1, 1)  # what it read before it failed (CC-DELIV-021)
    assert ledger.take() == [MessageConfirmed(sender=9, sequence=1, report=Report(sequence=1, reached=("p1", "p2")))]


def test_a_receipt_counts_for_what_was_wholly_written() -> None:
    """Section 7.18: beyond that it has no effect, also not later."""
    ledger = Ledger(Confirm.DELIVERED)
    ledger.send(1)
    message = ledger.send(1, whole=False)
    ledger.verdicts.receipt(1, 7)
    assert [event.sequence for event in ledger.take()] == [1]
    ledger.verdicts.wrote_last(message)
    assert ledger.take() == []
    ledger.verdicts.receipt(1, 2)
    assert [event.sequence for event in ledger.take()] == [2]
    ledger.verdicts.receipt(1, 9)
    assert ledger.take() == []


def test_a_receipt_without_confirm_means_nothing() -> None:
    ledger = Ledger()
    ledger.send(1)
    ledger.verdicts.receipt(1, 1)
    assert ledger.take() == []


def test_a_receipt_of_nobody_concerned() -> None:
    ledger = Ledger(Confirm.DELIVERED)
    ledger.send(1)
    ledger.verdicts.receipt(5, 1)
    assert ledger.take() == []


def test_the_deadline_begins_with_the_ack() -> None:
    """CC-DELIV-016, 017."""
    ledger = Ledger(Confirm.DELIVERED)
    ledger.send(1, 2)
    assert ledger.verdicts.deadline is None
    ledger.verdicts.acked(1, 100)
    ledger.verdicts.receipt(2, 1)
    ledger.verdicts.expire(100 + MINUTE - 1)
    assert ledger.take() == []
    ledger.verdicts.expire(100 + MINUTE)
    report = Report(sequence=1, reached=("p2",), unknown=(("p1", ErrorCode.DEADLINE),))
    assert ledger.take() == [failed(1, ErrorCode.DEADLINE, report)]


def test_without_recipients_the_ack_settles_with_either_confirm_point() -> None:
    """CC-DELIV-008."""
    for confirm in Confirm:
        ledger = Ledger(confirm)
        ledger.send(to=False)
        ledger.verdicts.receipt(None, 1)
        assert ledger.take() == []
        ledger.verdicts.acked(1, 0)
        assert len(ledger.take()) == 1
        assert ledger.verdicts.unsettled == {}


# --- the rest --------------------------------------------------------------------------------


def test_refuse_fails_the_message_for_all() -> None:
    """CC-DELIV-031, 032."""
    ledger = Ledger()
    ledger.send(1, 2)
    ledger.send(1, written=False, whole=False)
    assert ledger.verdicts.refuse(1, ErrorCode.POLICY) is ledger.messages[1]
    rows = (("p1", ErrorCode.POLICY), ("p2", ErrorCode.POLICY))
    assert ledger.take() == [failed(1, ErrorCode.POLICY, Report(sequence=1, reached=(), failed=rows), refused=True)]
    for sequence in (1, 2, 3):  # settled, unwritten, unknown
        assert ledger.verdicts.refuse(sequence, ErrorCode.POLICY) is None
    assert ledger.take() == []


def test_a_message_without_recipients_still_raises() -> None:
    """CC-DELIV-009."""
    ledger = Ledger()
    for _ in range(3):
        ledger.send(to=False)
    ledger.verdicts.refuse(1, ErrorCode.POLICY)
    ledger.verdicts.fail_all(2, ErrorCode.SEQUENCE, False)
    assert [(event.sequence, event.code, event.report.failed) for event in ledger.take()] == [
        (1, ErrorCode.POLICY, ()),
        (2, ErrorCode.SEQUENCE, ()),
        (3, ErrorCode.SEQUENCE, ()),
    ]


def test_taking_back() -> None:
    """CC-DELIV-034 to 036: the caller has the report, no event follows."""
    ledger = Ledger()
    report = ledger.verdicts.take_back(ledger.send(1), ErrorCode.CANCELLED)
    assert report == Report(sequence=1, reached=(), unknown=(("p1", ErrorCode.CANCELLED),))
    report = ledger.verdicts.take_back(ledger.send(1, whole=False), ErrorCode.DEADLINE)
    assert report == Report(sequence=2, reached=(), failed=(("p1", ErrorCode.DEADLINE),))
    ledger.verdicts.acked(2, 0)
    assert ledger.take() == []
    assert ledger.verdicts.failed_messages == 2


def test_death_of_the_link() -> None:
    """CC-DELIV-038 to 040."""
    ledger = Ledger()
    ledger.send(1)
    ledger.verdicts.acked(1, 0)
    ledger.take()
    ledger.send(1)
    ledger.send(1, whole=False)
    ledger.verdicts.link_died()
    lost = ErrorCode.LINK_LOST
    assert ledger.take() == [
        failed(2, lost, Report(sequence=2, reached=(), unknown=(("p1", lost),))),
        failed(3, lost, Report(sequence=3, reached=(), failed=(("p1", lost),))),
        CustodyLost(sender=9, through=1),
    ]


evidence = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.sets(st.integers(0, 3), min_size=1), st.just(0)),
        st.tuples(st.just("ack"), st.just(0), st.integers(0, 12)),
        st.tuples(st.just("receipt"), st.integers(0, 3), st.integers(1, 12)),
        st.tuples(st.just("aggregate"), st.just(0), st.integers(1, 12)),
        st.tuples(st.just("fail"), st.integers(0, 3), st.integers(1, 12)),
        st.tuples(st.just("refuse"), st.just(0), st.integers(1, 12)),
        st.tuples(st.just("back"), st.just(0), st.integers(1, 12)),
        st.tuples(st.just("time"), st.just(0), st.integers(1, MINUTE)),
    ),
    max_size=40,
)


@given(st.sampled_from(Confirm), evidence)
def test_property_exactly_one_verdict(confirm: Confirm, steps: list[tuple[str, Any, int]]) -> None:
    """CC-DELIV-001, 006: whatever comes in whatever order, and at the latest when the link dies."""
    ledger, now = Ledger(confirm), 0
    model: dict[int, dict[int, str]] = {}  # message: recipient: verdict
    settled: dict[int, str] = {}  # how the outcome came
    barred: set[int] = set()
    acked, deadlines = 0, dict[int, int]()

    def give(sequence: int, slots: Any, verdict: str, *, event: bool = True) -> None:
        for slot in slots:
            model[sequence].setdefault(slot, verdict)
        if set(model[sequence]) >= recipients[sequence] and sequence not in settled:
            settled[sequence] = "event" if event else "call"

    recipients: dict[int, set[int]] = {}
    for step, who, value in steps:
        verdicts = ledger.verdicts
        waiting = [sequence for sequence in recipients if sequence not in settled]
        if step == "send":
            names = who - barred
            if names:
                message = ledger.send(*names)
                recipients[message.sequence], model[message.sequence] = set(names), {}
        elif step == "ack":
            through = min(max(value, acked), len(recipients))
            for sequence in waiting:
                if acked < sequence <= through:
                    if confirm is Confirm.ACCEPTED:
                        give(sequence, recipients[sequence], "confirmed")
                    else:
                        deadlines[sequence] = now + MINUTE
            acked = through
            verdicts.acked(through, now)
        elif step in ("receipt", "aggregate"):
            if confirm is Confirm.DELIVERED:
                slots = {who} if step == "receipt" else {0, 1, 2, 3} - barred
                for sequence in waiting:
                    if sequence <= value:
                        give(sequence, recipients[sequence] & slots, "confirmed")
            verdicts.receipt(who if step == "receipt" else None, value)
        elif step == "fail":
            if who not in barred:
                for sequence in waiting:
                    if sequence >= value:
                        give(sequence, recipients[sequence] & {who}, "failed")
            assert verdicts.fail(who, value, ErrorCode.LOST, False) is (who not in barred)
            barred.add(who)
        elif step == "refuse":
            if value in waiting:
                give(value, recipients[value], "failed")
            verdicts.refuse(value, ErrorCode.POLICY)
        elif step == "back":
            if value in waiting:
                give(value, recipients[value], "unknown", event=False)
                verdicts.take_back(ledger.messages[value], ErrorCode.CANCELLED)
        else:
            now += value
            for sequence in waiting:
                if deadlines.get(sequence, now + 1) <= now:
                    give(sequence, recipients[sequence], "unknown")
            verdicts.expire(now)
    for sequence, slots in recipients.items():
        if sequence not in settled:
            give(sequence, slots, "unknown")
    ledger.verdicts.link_died()

    outcomes: dict[int, Report | None] = {}
    through = 0
    for event in ledger.events:
        if isinstance(event, MessagesConfirmed):
            for sequence in range(through + 1, event.through + 1):
                if settled[sequence] == "event" and sequence not in outcomes:
                    outcomes[sequence] = None
            through = event.through
        elif not isinstance(event, CustodyLost):
            assert event.sequence not in outcomes
            outcomes[event.sequence] = event.report
    assert ledger.verdicts.unsettled == {}
    assert set(outcomes) == {sequence for sequence, how in settled.items() if how == "event"}
    for sequence, report in outcomes.items():
        kinds: dict[str, set[str]] = {"confirmed": set(), "failed": set(), "unknown": set()}
        for slot, verdict in model[sequence].items():
            kinds[verdict].add(f"p{slot}")
        if report is None:
            assert not kinds["failed"] | kinds["unknown"]
        else:
            assert set(report.reached or ()) == kinds["confirmed"]
            assert {name for name, _ in report.failed} == kinds["failed"]
            assert {name for name, _ in report.unknown} == kinds["unknown"]
    counted = (ledger.verdicts.confirmed_messages, ledger.verdicts.failed_messages)
    good = [sequence for sequence in recipients if set(model[sequence].values()) == {"confirmed"}]
    assert counted == (len(good), len(recipients) - len(good))
