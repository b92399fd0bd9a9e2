# SPDX-License-Identifier: Apache-2.0
"""One sender session: whom it writes to, and what comes back (chapters 4 to 7). Its state table is driven elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from callchannel.core import frames as wire
from callchannel.core.errors import (
    DeliveryFailed,
    ErrorCode,
    RecipientsUnavailable,
    Report,
    SessionFailed,
    StreamAborted,
)
from callchannel.core.events import (
    MessageFailed,
    MessagesConfirmed,
    RecipientFailed,
    SenderEnded,
    SenderFailed,
)
from callchannel.core.lanes import Lane
from callchannel.core.messages import Confirm, Priority
from callchannel.core.recipients import NO_SLOT, Recipients
from callchannel.core.sender import CancelOutcome
from tests.core.network import group, joins, peer
from tests.core.sending import LOSSY, Sending, change, leave

# --- recipients ------------------------------------------------------------------------------


def test_blocks_on_the_wire() -> None:
    """Section 4.7, CC-ROSTER-043, 050, CC-FRAME-048."""
    link = group()
    accepted, delivered = Sending(link), Sending(link, confirm=Confirm.DELIVERED)
    cases: list[tuple[Sending, dict[str, Any], Recipients | None, int]] = [
        (accepted, {}, None, wire.RELIABLE),
        (accepted, {"to": ["bob", "dan"]}, Recipients(4, False, 0b1010), wire.RELIABLE | wire.PRIVATE),
        (accepted, {"exclude": ["ann"]}, Recipients(4, True, 0b1), wire.RELIABLE | wire.PRIVATE),
        (accepted, {"exclude": ["nobody"]}, None, wire.RELIABLE),
        (delivered, {}, Recipients(4, True, 0), wire.RELIABLE | wire.CONFIRM),
        (delivered, {"to": ["bob"]}, Recipients(4, False, 0b10), wire.RELIABLE | wire.CONFIRM | wire.PRIVATE),
    ]
    for sender, options, block, flags in cases:
        sender.send(**options)
        (frame,) = link.take()
        assert (frame.recipients, frame.flags) == (block, flags)
    link.endpoint.set_recipients(accepted.id, link.now, to=["ann"])
    accepted.send()
    (frame,) = link.take()
    assert (frame.recipients, frame.sequence) == (Recipients(4, False, 0b1), 5)
    assert accepted.info.target.to == ("ann",)


def test_the_block_is_made_when_the_first_frame_is_written() -> None:
    """CC-ROSTER-044, 046, 049: also where the message had its turn before, and no credit."""
    link = group(window=65_536)
    sender = Sending(link)
    sender.send(bytes(65_536), to=["bob"])
    link.take()
    assert sender.send(b"late", to=["bob", "dan"]) == 2
    assert sender.send(b"to all") == 3
    assert link.take_of(wire.Data) == []
    change(link, leave(1), *joins((4, "eve")), epoch=6)
    link.give(wire.Credit(2, NO_SLOT, 1, 1 << 20))
    frames = [frame for frame in link.take_of(wire.Data) if frame.sequence > 1]
    assert [frame.recipients for frame in frames] == [Recipients(6, False, 0b1000), None]
    link.ack()
    rows = (("bob", ErrorCode.UNKNOWN_RECIPIENT),)
    report = Report(sequence=2, reached=("dan",), failed=rows)
    assert link.told(MessageFailed) == [
        MessageFailed(sender=1, sequence=2, code=ErrorCode.UNKNOWN_RECIPIENT, report=report)
    ]
    assert link.told(MessagesConfirmed)[-1].through == 3


def test_whoever_took_a_slot_meanwhile_is_somebody_else() -> None:
    """CC-ROSTER-047, 060, 070."""
    link = group(window=65_536)
    sender = Sending(link)
    sender.send(bytes(65_536))
    sender.send(b"to bob", to=["bob"])
    sender.send(b"not to bob", exclude=["bob"])
    link.take()
    change(link, leave(1), *joins((1, "bob")), epoch=6)
    link.give(wire.Credit(2, NO_SLOT, 1, 1 << 20))
    frames = [frame for frame in link.take_of(wire.Data) if frame.sequence > 1]
    assert [(frame.sequence, frame.recipients) for frame in frames] == [(3, Recipients(6, True, 0b10))]
    (failed,) = link.told(MessageFailed)
    assert (failed.sequence, failed.report.failed) == (2, (("bob", ErrorCode.UNKNOWN_RECIPIENT),))


def test_a_recipient_that_failed_since_the_send_stays_in_the_block() -> None:
    """CC-ROSTER-046: blocks are made whoever has failed; the relay passes it over."""
    link = group(window=65_536)
    sender = Sending(link)
    sender.send(bytes(65_536))
    sender.send(b"x", to=["bob", "dan"])
    link.take()
    link.give(wire.Fail(2, 1, 1, 2, ErrorCode.CLOSED), wire.Credit(2, NO_SLOT, 1, 1 << 20))
    frame = link.take_of(wire.Data)[-1]
    assert (frame.sequence, frame.recipients) == (2, Recipients(4, False, 0b1010))


def test_all_named_recipients_failed_before_the_writing() -> None:
    """Row S19: settled as soon as nobody is left."""
    link = group(window=65_536)
    sender = Sending(link)
    sender.send(bytes(65_536))
    sender.send(b"named", to=["bob"])
    sender.send(b"broadcast")
    link.take()
    link.give(*(wire.Fail(2, slot, 1, 2, ErrorCode.CLOSED) for slot in (0, 1, 3)))
    link.give(wire.Credit(2, NO_SLOT, 1, 1 << 20))
    assert [frame.sequence for frame in link.take_of(wire.Data)] == [1]
    found = [(event.sequence, event.code) for event in link.told(MessageFailed)]
    assert found == [(2, ErrorCode.CLOSED), (3, ErrorCode.RECIPIENT_FAILED)]  # CC-DELIV-022, 030
    assert len(link.told(RecipientFailed)) == 3
    with pytest.raises(RecipientsUnavailable) as caught:
        sender.send(b"broadcast")
    assert caught.value.code == ErrorCode.RECIPIENT_FAILED
    assert set(caught.value.names) == {"ann", "bob", "dan"}
    assert sender.send(exclude=["ann", "bob", "dan"]) == 4


def test_absent_and_failed_recipients_are_named() -> None:
    """CC-DELIV-027, 028, CC-ROSTER-039: nothing is written, no number given."""
    link = group()
    sender = Sending(link)
    sender.send()
    link.take()
    link.give(wire.Fail(2, 1, 1, 1, ErrorCode.CLOSED))
    for to, code, rows in (
        (["bob"], ErrorCode.RECIPIENT_FAILED, {"bob": ErrorCode.RECIPIENT_FAILED}),
        (
            ["bob", "zoe", "dan"],
            ErrorCode.UNKNOWN_RECIPIENT,
            {"zoe": ErrorCode.UNKNOWN_RECIPIENT, "bob": ErrorCode.RECIPIENT_FAILED},
        ),
    ):
        with pytest.raises(DeliveryFailed) as caught:
            sender.send(to=to)
        assert caught.value.code == code
        assert dict(caught.value.report.failed) == rows
    assert sender.send(to=["dan"]) == 2
    assert sender.info.failed_recipients[0].identity == "bob"


def test_a_message_that_ends_unwritten_has_those_of_that_moment() -> None:
    """Section 7.3."""
    link = group(window=65_536)
    sender = Sending(link)
    sender.send(bytes(65_536))
    sequence = sender.send(b"waits")
    link.take()
    change(link, leave(1), *joins((4, "eve")), epoch=6)
    report = sender.cancel(sequence).report
    assert [name for name, _ in report.failed] == ["ann", "dan", "eve"]


# --- cancelling ------------------------------------------------------------------------------


def test_cancel_in_each_state() -> None:
    """Section 7.8."""
    link = group(window=65_536)
    sender = Sending(link, to=["bob"])
    whole = sender.send()
    part = sender.send(bytes(100_000))
    queued = sender.send()
    link.take()
    assert sender.cancel(queued).outcome is CancelOutcome.REMOVED
    found = sender.cancel(whole, ErrorCode.DEADLINE)
    assert found.outcome is CancelOutcome.UNKNOWN
    assert found.report.unknown == (("bob", ErrorCode.DEADLINE),)
    found = sender.cancel(part)
    assert (found.outcome, found.report.failed) == (CancelOutcome.ABORTED, (("bob", ErrorCode.CANCELLED),))
    (abort,) = link.take()  # needs no credit
    assert abort.fragment == wire.Fragment(4, 100_000, abort=True)
    assert abort.sequence == part
    assert sender.cancel(part).outcome is CancelOutcome.SETTLED
    assert sender.cancel(99).outcome is CancelOutcome.SETTLED
    link.ack()
    assert link.told(MessageFailed) == link.told(MessagesConfirmed) == []
    assert sender.send() == 4  # the numbers are spent


def test_what_stands_behind_a_cancelled_message_goes_on() -> None:
    link = group()
    sender = Sending(link)
    stream = sender.stream()
    sender.send(b"behind")
    assert link.take() == []
    assert sender.cancel(stream).outcome is CancelOutcome.REMOVED
    assert [frame.payload for frame in link.take()] == [b"behind"]


def test_abort_waits_for_room() -> None:
    link = group()
    sender, other = Sending(link), Sending(link, priority=Priority.HIGH)
    stream = sender.stream(b"half")
    link.take()
    sender.cancel(stream)
    other.send(bytes(1_120))
    assert [len(packet) for packet in link.packets()] == [1_136, 24]


def test_closing_behind_an_aborted_stream() -> None:
    link = group()
    sender = Sending(link)
    stream = sender.stream(b"half")
    link.take()
    sender.cancel(stream)
    sender.close()
    found = link.take()
    assert [type(frame) for frame in found] == [wire.Data, wire.Close]
    assert found[0].fragment.abort
    link.ack()
    assert link.told(SenderEnded)[0].code == ErrorCode.NONE


def test_cancel_of_lossy_messages() -> None:
    """Rows S39, S41."""
    link = group(lossy=False)
    sender = Sending(link, reliability=LOSSY)
    sequence = sender.send(bytes(3_000))
    other = sender.send(b"x")
    link.endpoint.pull(1, Lane.RELIABLE, 1, link.now)
    assert sender.cancel(sequence).outcome is CancelOutcome.ABORTED
    assert sender.cancel(other).outcome is CancelOutcome.REMOVED
    assert sender.cancel(other).outcome is CancelOutcome.SETTLED
    assert link.take() == []
    assert sender.info.statistics.bytes_waiting == 0


# --- what the relay says ---------------------------------------------------------------------


def test_refuse() -> None:
    """CC-DELIV-031, 032: nothing more of the message is written, and the session goes on."""
    link = group(window=65_536)
    sender = Sending(link, to=["bob"])
    part = sender.send(bytes(100_000))
    sender.send(b"next")
    link.take()
    link.give(wire.Refuse(2, NO_SLOT, 1, part, ErrorCode.POLICY), wire.Credit(2, NO_SLOT, 1, 1 << 20))
    assert [frame.sequence for frame in link.take_of(wire.Data)] == [2]
    (failed,) = link.told(MessageFailed)
    assert (failed.sequence, failed.code, failed.refused) == (part, ErrorCode.POLICY, True)
    link.ack()
    assert link.told(MessagesConfirmed)[-1].through == 2


def test_refuse_of_a_message_that_was_taken_back() -> None:
    """CC-DELIV-031: REFUSE of a settled message has no effect: the ABORT that waits is still written."""
    link = group(window=65_536)
    sending = Sending(link)
    part = sending.send(bytes(70_000))
    assert [frame.fragment.last for frame in link.take_of(wire.Data)] == [False] * 4
    assert sending.cancel(part).outcome is CancelOutcome.ABORTED
    link.give(wire.Refuse(2, NO_SLOT, 1, part, ErrorCode.POLICY))
    (abort,) = link.take_of(wire.Data)
    assert abort.fragment.abort
    assert link.told(MessageFailed) == []


def test_fail_for_all_ends_the_sender_when_all_is_settled() -> None:
    """CC-SESS-023 to 025, CC-DELIV-024, 026."""
    link = group()
    sender = Sending(link)
    sender.send()
    sender.send()
    link.take()
    sender.send(b"never written")
    stream = sender.stream()
    link.give(wire.Fail(2, NO_SLOT, 1, 2, ErrorCode.SEQUENCE))
    link.give(wire.Fail(2, NO_SLOT, 1, 1, ErrorCode.FRAGMENT))
    assert link.told(SenderFailed) == [SenderFailed(sender=sender.id, code=ErrorCode.SEQUENCE)]
    assert [(event.sequence, event.code) for event in link.told(MessageFailed)] == [
        (number, ErrorCode.SEQUENCE) for number in (2, 3, 4)
    ]
    with pytest.raises(SessionFailed) as caught:
        sender.send()
    assert caught.value.code == ErrorCode.SEQUENCE
    with pytest.raises(StreamAborted):
        sender.write(stream, b"x")
    assert link.told(SenderEnded) == []
    link.ack()
    assert link.told(MessagesConfirmed)[-1].through == 1
    assert link.told(SenderEnded) == [SenderEnded(sender=sender.id, code=ErrorCode.SEQUENCE)]
    assert link.take_of(wire.Close) == []


def test_the_fail_of_the_peer_is_one_for_all() -> None:
    link = peer()
    sender = Sending(link)
    sender.send()
    link.take()
    link.give(wire.Fail(1, 0, 1, 1, ErrorCode.CLOSED, True))
    assert [event.code for event in link.told(RecipientFailed)] == [ErrorCode.CLOSED]
    assert [event.code for event in link.told(SenderFailed)] == [ErrorCode.CLOSED]
    (failed,) = link.told(MessageFailed)
    assert failed.report.unknown == (("ann", ErrorCode.CLOSED),)
    assert [event.code for event in link.told(SenderEnded)] == [ErrorCode.CLOSED]
