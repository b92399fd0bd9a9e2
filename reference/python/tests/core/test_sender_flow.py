# SPDX-License-Identifier: Apache-2.0
"""One sender session: waiting, streams, Lossy messages, turns, and closing (chapters 5 to 8)."""

from __future__ import annotations

import pytest

from callchannel.core import frames as wire
from callchannel.core import sender_queue as sender_module
from callchannel.core.errors import (
    ErrorCode,
    InvalidArgument,
    MessageTooLarge,
    RecipientsUnavailable,
    StreamAborted,
    TooManyRecipients,
    WouldBlock,
)
from callchannel.core.events import (
    MessageConfirmed,
    MessageFailed,
    SenderEnded,
    SenderWritable,
)
from callchannel.core.extensions import Metadata
from callchannel.core.lanes import Lane
from callchannel.core.limits import MS, Limits
from callchannel.core.messages import Confirm, Priority
from callchannel.core.recipients import NO_SLOT, Recipients
from tests.core.network import GROUP, SECOND, group, joins, peer
from tests.core.sending import LOSSY, Sending, change, leave


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
