# SPDX-License-Identifier: Apache-2.0
"""One sender session: what it writes, and what comes back (chapters 5 to 8). Its state table is driven elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from callchannel.core import frames as wire
from callchannel.core import sender_queue as sender_module
from callchannel.core.errors import (
    DeliveryFailed,
    ErrorCode,
    InvalidArgument,
    MessageTooLarge,
    RecipientsUnavailable,
    Report,
    SessionFailed,
    StreamAborted,
    TooManyRecipients,
    WouldBlock,
)
from callchannel.core.events import (
    MessageConfirmed,
    MessageFailed,
    MessagesConfirmed,
    RecipientFailed,
    SenderEnded,
    SenderFailed,
    SenderWritable,
)
from callchannel.core.extensions import Metadata
from callchannel.core.lanes import Lane
from callchannel.core.limits import MS, Limits
from callchannel.core.messages import Confirm, Priority, Reliability
from callchannel.core.recipients import NO_SLOT, Recipients
from callchannel.core.sender import CancelOutcome
from tests.core.network import GROUP, SECOND, Wire, group, joins, peer

LOSSY = Reliability.LOSSY


class Sending:
    """A sender of the endpoint at a wire."""

    def __init__(self, link: Wire, **options: Any) -> None:
        self.link = link
        self.id = link.endpoint.open_sender(link.now, **options)

    def send(self, data: bytes = b"x", **options: Any) -> int:
        return self.link.endpoint.send(self.id, data, self.link.now, **options)

    def cancel(self, sequence: int, code: int = ErrorCode.CANCELLED) -> Any:
        return self.link.endpoint.cancel(self.id, sequence, code, self.link.now)

    def close(self) -> None:
        self.link.endpoint.close_sender(self.id, self.link.now)

    def stream(self, *chunks: bytes) -> int:
        sequence = self.link.endpoint.open_stream(self.id, self.link.now)
        for chunk in chunks:
            self.write(sequence, chunk)
        return sequence

    def write(self, sequence: int, chunk: bytes) -> None:
        self.link.endpoint.write_stream(self.id, sequence, chunk, self.link.now)

    def finish(self, sequence: int) -> None:
        self.link.endpoint.finish_stream(self.id, sequence, self.link.now)

    @property
    def info(self) -> Any:
        return self.link.endpoint.sender_info(self.id)

    @property
    def drops(self) -> dict[str, int]:
        return dict(self.info.statistics.drops)


def change(link: Wire, *entries: wire.RosterEntry, epoch: int = 5) -> None:
    link.give(wire.Roster(epoch, entries))


def leave(slot: int) -> wire.RosterEntry:
    return wire.RosterEntry(wire.RosterOp.LEAVE, slot, 0x27)


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


def test_a_lossy_sender_that_failed_drops() -> None:
    """CC-SESS-025."""
    link = group()
    sender = Sending(link, reliability=LOSSY)
    sender.send()
    link.take(Lane.LOSSY)
    link.give(wire.Fail(2, NO_SLOT, 1, 5, ErrorCode.SESSION_MISMATCH))
    assert sender.send() == 0
    assert sender.drops == {"ended_session": 1}
    with pytest.raises(InvalidArgument):
        sender.stream()


def test_receipts_and_the_deadline() -> None:
    """CC-DELIV-013 to 017."""
    link = group(limits=Limits(delivered_deadline=SECOND))
    sender = Sending(link, confirm=Confirm.DELIVERED, to=["bob", "dan"])
    sender.send()
    sender.send()
    link.take()
    link.ack()
    link.give(wire.Receipt(2, 1, 1, 2), wire.Receipt(2, 3, 1, 1))
    assert [(event.sequence, event.report.reached) for event in link.told(MessageConfirmed)] == [(1, ("bob", "dan"))]
    link.wait(SECOND)
    (failed,) = link.told(MessageFailed)
    assert (failed.code, failed.report.unknown) == (ErrorCode.DEADLINE, (("dan", ErrorCode.DEADLINE),))


# --- room ------------------------------------------------------------------------------------


def test_would_block_and_writable() -> None:
    """CC-DELIV-062 to 066."""
    link = group(limits=Limits(send_buffer=65_536), window=65_536)
    sender = Sending(link)
    sender.send(bytes(200_000))  # any size fits an empty buffer
    with pytest.raises(WouldBlock):
        sender.send(b"x")
    with pytest.raises(WouldBlock):
        sender.stream(b"x")
    limit = 65_536
    written = 0
    while not link.told(SenderWritable):
        frames = link.take_of(wire.Data)
        written += sum(len(frame.payload) for frame in frames)
        limit += 65_536
        link.ack()
        link.give(wire.Credit(2, NO_SLOT, 1, limit))
    assert 200_000 - written <= 65_536
    assert len(link.told(SenderWritable)) == 1
    assert sender.send(b"x") == 2


def test_as_many_unconfirmed_messages() -> None:
    link = group(limits=Limits(unconfirmed_messages=64))
    sender = Sending(link)
    for _ in range(64):
        sender.send(b"")
    with pytest.raises(WouldBlock):
        sender.send(b"")
    link.take()
    assert link.told(SenderWritable) == []
    link.ack()
    assert len(link.told(SenderWritable)) == 1
    assert sender.send(b"") == 65


def test_a_faulty_argument_goes_before_a_full_buffer() -> None:
    """Rows S05 to S07: the first that fits."""
    link = peer(limits=Limits(unconfirmed_messages=64))
    sender = Sending(link)
    for _ in range(64):
        sender.send(b"")
    with pytest.raises(RecipientsUnavailable):
        sender.send(to=["nobody"])
    assert sender.send(exclude=["ann"]) == 65  # to everyone but the peer: nothing is written
    with pytest.raises(WouldBlock):
        sender.send(b"")


def test_a_stream_waits_piece_by_piece() -> None:
    link = group(limits=Limits(send_buffer=65_536), window=65_536)
    sender = Sending(link)
    stream = sender.stream(bytes(65_536))
    with pytest.raises(WouldBlock):
        sender.write(stream, b"x")
    sender.write(stream, b"")
    link.take()
    assert link.told(SenderWritable) == [SenderWritable(sender=sender.id)]
    sender.write(stream, b"x")
    sender.finish(stream)
    for call in (lambda: sender.write(stream, b"x"), lambda: sender.finish(stream), lambda: sender.finish(77)):
        with pytest.raises(InvalidArgument):
            call()


def test_a_stream_that_is_given_up_says_why() -> None:
    """Row S13."""
    link = group()
    sender = Sending(link)
    stream = sender.stream(b"x")
    sender.cancel(stream, ErrorCode.DEADLINE)
    with pytest.raises(StreamAborted) as caught:
        sender.write(stream, b"y")
    assert caught.value.code == ErrorCode.DEADLINE
    stream = sender.stream()
    sender.close()
    (failed,) = link.told(MessageFailed)
    assert failed.code == ErrorCode.SENDER_CLOSED
    with pytest.raises(StreamAborted) as caught:
        sender.finish(stream)
    assert caught.value.code == ErrorCode.SENDER_CLOSED


def test_so_many_given_up_streams_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_module, "_REMEMBERED_STREAMS", 2)
    sender = Sending(group())
    streams = [sender.stream() for _ in range(3)]
    for stream in streams:
        sender.cancel(stream)
    with pytest.raises(InvalidArgument):
        sender.write(streams[0], b"x")
    with pytest.raises(StreamAborted):
        sender.write(streams[1], b"x")


def test_indexes_that_are_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """CC-FRAG-024: ABORT with the last index, and MESSAGE_TOO_LARGE."""
    monkeypatch.setattr(wire, "MAX_INDEX", 2)
    link = group()
    sender = Sending(link)
    stream = sender.stream(b"0")
    link.take()
    for chunk in (b"1", b"2"):
        sender.write(stream, chunk)
        found = link.take()
    assert found[0].fragment == wire.Fragment(2, 0, abort=True)
    (failed,) = link.told(MessageFailed)
    assert failed.code == ErrorCode.MESSAGE_TOO_LARGE
    with pytest.raises(StreamAborted):
        sender.write(stream, b"3")


# --- Lossy -----------------------------------------------------------------------------------


def test_lossy_recipients() -> None:
    """CC-ROSTER-040, rows S10, S20."""
    link = group(lossy=False)
    sender = Sending(link, reliability=LOSSY)
    sender.send(b"1", to=["bob", "nobody", "zoe"])
    (frame,) = link.take()
    assert frame.recipients == Recipients(4, False, 0b10)
    sender.send(b"2", to=["nobody"])
    sender.send(b"3", to=["bob"])
    sender.send(b"4", to=["bob", "dan"])
    change(link, leave(1))
    (frame,) = link.take_of(wire.Data)
    assert (frame.sequence, frame.recipients) == (4, Recipients(5, False, 0b1000))
    assert sender.drops == {"no_recipients": 2 + 1 + 1 + 1}


def test_lossy_recipients_that_need_too_many_words() -> None:
    """CC-ROSTER-053, at the send; where it comes out later, the message is dropped."""
    far = tuple((32 * word, f"w{word}") for word in range(1, 140))
    link = group(members=((2, "carol"), *far), lossy=False)
    sender = Sending(link, reliability=LOSSY)
    names = [name for _, name in far]
    for options in ({"to": names[:70]}, {"exclude": names[:70]}, {"exclude": names}, {"to": names}):
        with pytest.raises(TooManyRecipients):
            sender.send(**options)
    assert sender.send(to=names[:60]) == 1
    assert link.take_of(wire.Data)[0].recipients is not None
    sender.send(exclude=names[64:])
    change(link, *(leave(slot) for slot, _ in far[:64]), *joins(*((32 * word, "new") for word in range(140, 206))))
    sender.send(b"x")
    assert [frame.sequence for frame in link.take_of(wire.Data)] == [3]
    assert sender.drops == {"no_recipients": 1}


def test_a_block_that_grew_leaves_no_room_for_a_latest_message() -> None:
    far = tuple((32 * word, f"w{word}") for word in range(1, 61))
    link = group(members=((2, "carol"), *far), lossy=False)
    sender = Sending(link, reliability=LOSSY, latest=True)
    sender.send(bytes(1_100), exclude=["w1"])
    change(link, *joins(*((32 * word, "w1") for word in range(61, 100))))
    assert link.take_of(wire.Data) == []
    assert sender.drops == {"no_recipients": 1}


def test_the_oldest_lossy_messages_give_way() -> None:
    """CC-DELIV-068, 069, CC-FRAG-036."""
    link = group(limits=Limits(lossy_queue=4_096), lossy=False)
    sender = Sending(link, reliability=LOSSY)
    sender.send(bytes(60_000))  # alone it stays
    link.endpoint.pull(1, Lane.RELIABLE, 1, link.now)
    for _ in range(3):
        sender.send(bytes(2_000))
    assert sender.drops == {"queue_full": 2}
    assert {frame.sequence for frame in link.take_of(wire.Data)} == {3, 4}


def test_a_lifetime_passes_in_the_queue() -> None:
    """CC-EXT-015, 016, CC-LIMIT-014."""
    link = group(lossy=False)
    sender = Sending(link, reliability=LOSSY, bitrate=8)
    sender.send(bytes(1_000), metadata=Metadata(lifetime=20 * MS))
    sender.send(b"later", metadata=Metadata(lifetime=20 * MS))
    link.wait(20 * MS - 1)
    (first,) = link.endpoint.pull(1, Lane.RELIABLE, 1, link.now)
    assert len(first) > 1_000
    sender.send(b"x", metadata=Metadata(lifetime=20 * MS))
    link.wait(20 * MS)
    assert link.take_of(wire.Data) == []
    assert sender.drops == {"expired": 1}


def test_latest_supersedes_what_waits_for_the_same_recipients() -> None:
    """CC-DELIV-074."""
    link = group(lossy=False)
    sender = Sending(link, reliability=LOSSY, latest=True)
    sender.send(b"1")
    sender.send(b"2", to=["bob"])
    sender.send(b"3")
    sender.send(b"4", to=["bob"])
    assert [frame.payload for frame in link.take_of(wire.Data)] == [b"3", b"4"]
    assert sender.drops == {"superseded": 2}


def test_limits_of_lossy_messages() -> None:
    """CC-FRAG-032, CC-DELIV-073, CC-EXT-003."""
    link = group()
    sender, latest = Sending(link, reliability=LOSSY), Sending(link, reliability=LOSSY, latest=True)
    assert sender.send(bytes(65_536)) == 1
    with pytest.raises(MessageTooLarge):
        sender.send(bytes(65_537))
    assert latest.send(bytes(1_134)) == 1
    with pytest.raises(MessageTooLarge):
        latest.send(bytes(1_135))
    rich = Metadata(content_type="x" * 255, name="x" * 255)
    spread = [name for slot, name in GROUP if slot != 2]
    assert sender.send(bytes(2_000), metadata=rich, to=spread) == 2
    far = tuple((32 * word, f"w{word}") for word in range(1, 60))
    crowded = Sending(group(members=((2, "carol"), *far)), reliability=LOSSY)
    with pytest.raises(InvalidArgument):
        crowded.send(bytes(2_000), metadata=rich, to=[name for _, name in far[:40]])
    with pytest.raises(InvalidArgument):
        Sending(link, reliability=LOSSY).stream()


def test_lossy_while_suspended() -> None:
    """CC-LINK-042, row S48."""
    link = group(lossy=False)
    sender = Sending(link, reliability=LOSSY)
    sender.send()
    link.endpoint.transport_down(1, link.now)
    assert sender.send() == 2
    assert sender.drops == {"suspended": 2}


def test_to_everyone_but_the_peer() -> None:
    """Row S06, CC-PEER-011, with either reliability and in any state of the link."""
    link = peer()
    reliable, lossy = Sending(link), Sending(link, reliability=LOSSY)
    for _ in range(2):
        reliable.send(exclude=["ann"])
        lossy.send(exclude=["ann"])
        assert link.take_of(wire.Data) == link.take(Lane.LOSSY) == []
        link.endpoint.transport_down(1, link.now)
    assert len(link.told(MessageConfirmed)) == 2
    assert lossy.drops == {}
    stream = link.endpoint.open_stream(reliable.id, link.now, exclude=["ann"])
    assert [event.sequence for event in link.told(MessageConfirmed)] == [1, 2, stream]


# --- bitrate and priority --------------------------------------------------------------------


@pytest.mark.parametrize("bitrate", [1, 12, 8_000, 131_072])
def test_bitrate(bitrate: int) -> None:
    """CC-SCHED-026, 027: fractions of a byte count; another session is not held up."""
    link = group()
    slow, fast = Sending(link, bitrate=bitrate), Sending(link)
    for _ in range(40):
        slow.send(bytes(984))
    assert [frame.session for frame in link.take()] == [1] * 17  # the bucket is at 16,384 - 17,000
    fast.send()
    assert len(link.take()) == 1
    link.ack()
    debt = 17_000 - 16_384
    pause = debt * 8 * SECOND // bitrate
    if pause < 4 * SECOND:
        link.wait(pause)
        assert link.take_of(wire.Data) == []
        link.wait(2)
        assert len(link.take_of(wire.Data)) == 1
    slow.close()  # CLOSE pays nothing, but waits for what is queued
    assert link.take_of(wire.Close) == []


def test_high_goes_first() -> None:
    """CC-SCHED-016; DATA says so."""
    link = group()
    normal, high = Sending(link), Sending(link, priority=Priority.HIGH)
    normal.send(b"n")
    high.send(b"h")
    found = link.take()
    assert [frame.payload for frame in found] == [b"h", b"n"]
    assert [frame.flags & wire.HIGH for frame in found] == [wire.HIGH, 0]


# --- sequence numbers and closing ------------------------------------------------------------


def test_close_carries_the_greatest_number() -> None:
    """CC-SESS-014, 018, 022."""
    link = group()
    sender = Sending(link)
    sender.send()
    sender.send()
    sender.cancel(2)
    sender.close()
    sender.close()
    assert link.take() == [
        wire.Data(1, 2, 1, 1, b"x", wire.RELIABLE),
        wire.Close(2, NO_SLOT, 1, 2),
    ]
    assert link.take() == []


def test_lossy_close_takes_the_reliable_lane_behind_the_data() -> None:
    link = group()
    sender = Sending(link, reliability=LOSSY)
    sender.send()
    sender.close()
    assert link.take() == []
    assert len(link.take(Lane.LOSSY)) == 1
    assert link.take() == [wire.Close(2, NO_SLOT, 1, 1)]
    link.ack()
    assert link.told(SenderEnded) == [SenderEnded(sender=sender.id, code=0)]


def test_close_waits_for_its_turn_and_its_room() -> None:
    link = group()
    sender, bulk = Sending(link), Sending(link)
    sender.send(bytes(1_110))
    sender.close()
    bulk.send(bytes(500))
    assert [len(packet) for packet in link.packets()] == [1_126, 516 + 22]  # CLOSE did not fit behind the data
    link.ack()
    assert link.told(SenderEnded) == [SenderEnded(sender=sender.id, code=0)]
