# SPDX-License-Identifier: Apache-2.0
"""A Reliable session at a recipient: receiving, streams, RECEIPT and CREDIT. Its state table is driven elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from callchannel.core import frames as wire
from callchannel.core.decoding import decode_packet
from callchannel.core.errors import ErrorCode, ReceiverClosed, StreamAborted
from callchannel.core.events import LinkEnded, ReceiverCreated, ReceiverReadable
from callchannel.core.events import ReceiverClosed as ReceiverClosedEvent
from callchannel.core.extensions import Extension, ExtensionType
from callchannel.core.lanes import Lane
from callchannel.core.limits import Limits
from callchannel.core.messages import Priority, Reliability, StreamChunk
from callchannel.core.recipients import NO_SLOT
from tests.core.network import Wire, data, group
from tests.core.reading import CONFIRM, abort, closed, part, read


def read_stream(link: Wire, receiver: int = 1) -> StreamChunk | None:
    return link.endpoint.read_stream(receiver, link.now)


# --- receiving and reading -------------------------------------------------------------------


def test_a_receiver_is_made_and_told() -> None:
    """CC-SESS-027, 029 to 032."""
    link = group()
    link.give(
        data(1, 812, b"one", flags=wire.RELIABLE | wire.HIGH), data(1, 900, b"two", flags=wire.RELIABLE | wire.HIGH)
    )
    (event,) = link.told(ReceiverCreated)
    assert (event.sender.identity, event.sender.slot, event.channel, event.session) == ("ann", 0, 7, 1)
    assert (event.reliability, event.priority) == (Reliability.RELIABLE, Priority.HIGH)
    assert len(link.told(ReceiverReadable)) == 1
    found = [read(link), read(link), read(link)]
    assert [message and (message.sequence, message.data) for message in found] == [(812, b"one"), (900, b"two"), None]
    link.give(data(1, 901, flags=wire.RELIABLE | wire.HIGH))
    assert len(link.told(ReceiverReadable)) == 2
    info = link.endpoint.receiver_info(1)
    assert (info.channel, info.session, info.reliability, info.priority) == (
        7,
        1,
        Reliability.RELIABLE,
        Priority.HIGH,
    )
    assert info.sender.identity == "ann"


def test_private_and_metadata() -> None:
    link = group()
    extensions = (Extension(ExtensionType.NAME, b"x.png"), Extension(ExtensionType.LIFETIME, b"?", True))
    link.give(data(1, 1, flags=wire.RELIABLE | wire.PRIVATE, extensions=extensions))
    message = read(link)
    assert message is not None
    assert (message.private, message.metadata.name, message.metadata.lifetime) == (True, "x.png", None)  # CC-EXT-018


def test_fragments() -> None:
    """CC-FRAG-003, 012, CC-EXT-004: PRIVATE and metadata are those of fragment 0."""
    link = group()
    name = (Extension(ExtensionType.NAME, b"n"),)
    link.give(part(0, b"hel", flags=wire.RELIABLE | wire.PRIVATE, extensions=name))
    assert link.told(ReceiverReadable) == []
    assert len(link.told(ReceiverCreated)) == 1
    link.give(part(1, b"lo", last=True))
    link.give(part(0, b"whole", sequence=2, last=True))
    first, second = read(link), read(link)
    assert first is not None
    assert second is not None
    assert (first.data, first.private, first.metadata.name) == (b"hello", True, "n")
    assert (second.data, second.is_stream) == (b"whole", False)


def test_confirm_is_that_of_fragment_0() -> None:
    """CC-FRAG-012: it is not judged in later ones, and missed by none."""
    link = group()
    link.give(part(0, b"hel", flags=CONFIRM))
    link.give(part(1, b"lo", last=True))
    assert read(link) is not None
    assert [frame.value for frame in link.take() if isinstance(frame, wire.Receipt)] == [1]


def test_more_receipts_than_a_packet_holds() -> None:
    link = group()
    for session in range(1, 101):
        link.give(data(session, 1, flags=CONFIRM, channel=session))
    for receiver in range(1, 101):
        assert read(link, receiver) is not None
    packets = link.packets()
    assert len(packets) >= 2
    found = [frame for packet in packets for frame in decode_packet(packet, Lane.RELIABLE)]
    assert sorted(frame.session for frame in found if isinstance(frame, wire.Receipt)) == list(range(1, 101))


def test_fragments_and_whole_messages_are_consumed_to_the_byte() -> None:
    """CC-DELIV-052: what is read gives back what its frames took, and no more."""
    link = group(limits=Limits(window=65_536))
    frames = [data(1, 1)]
    for sequence in range(2, 10, 2):
        frames += [
            part(0, bytes(2_000), sequence=sequence, total=4_000),
            part(1, bytes(2_000), sequence=sequence, total=4_000, last=True),
            data(1, sequence + 1, bytes(1_000)),
        ]
    link.give(frames[0])
    assert read(link) is not None
    link.give(*frames[1:7])
    link.give(*frames[7:])
    while read(link) is not None:
        pass
    assert link.take_of(wire.Credit)[-1].value == 65_536 + sum(len(frame.encode()) for frame in frames)


def test_the_unread_messages_of_one_session_are_counted() -> None:
    """CC-DELIV-081: although they come the short way, all of them but the first."""
    link = group(limits=Limits(receive_memory=1_048_576, largest_message=1_048_576), largest_message=1_048_576)
    for first in range(1, 6_000, 500):
        link.give(*(data(1, first + at, b"") for at in range(500)))
    assert closed(link) == [ErrorCode.MEMORY]


def test_what_was_read_of_a_stream_is_not_kept(measured: Callable[[], int]) -> None:
    link = group()
    link.give(part(0, b"x", total=0))
    message = read(link)
    assert message is not None and message.is_stream
    for index in range(1, 201):
        link.give(part(index, bytes([index]) * 10_000, total=0))
        while read_stream(link) is not None:
            pass
        link.take()
    assert measured() < 1_000_000


def test_abort_discards_and_the_session_goes_on() -> None:
    """CC-FRAG-017."""
    link = group()
    link.give(part(0, b"hel"), abort(1), data(1, 2, b"next"))
    assert link.endpoint.statistics().bytes_buffered == 4
    message = read(link)
    assert message is not None
    assert (message.sequence, message.data) == (2, b"next")


# --- streams ---------------------------------------------------------------------------------


def test_a_stream_is_read_as_it_comes() -> None:
    """CC-FRAG-025 to 027."""
    link = group()
    link.give(part(0, b"one", total=0), part(1, b"two", total=0))
    assert len(link.told(ReceiverReadable)) == 1
    message = read(link)
    assert message is not None
    assert (message.is_stream, message.data) == (True, b"")
    assert read(link) is None
    assert [read_stream(link), read_stream(link), read_stream(link)] == [
        StreamChunk(b"one"),
        StreamChunk(b"two"),
        None,
    ]
    link.give(part(2, b"three", total=0, last=True), data(1, 2, b"behind"))
    assert len(link.told(ReceiverReadable)) == 2
    assert read_stream(link) == StreamChunk(b"three", True)
    with pytest.raises(ReceiverClosed):
        read_stream(link)
    message = read(link)
    assert message is not None
    assert message.data == b"behind"


@pytest.mark.parametrize("chunks", [[], [b"x"]])
def test_an_empty_last_fragment(chunks: list[bytes]) -> None:
    link = group()
    for index, chunk in enumerate(chunks):
        link.give(part(index, chunk, total=0))
    link.give(part(len(chunks), total=0, last=True))
    assert read(link) is not None
    found = [read_stream(link) for _ in range(max(len(chunks), 1))]
    assert found == [StreamChunk(chunks[0] if chunks else b"", True)]
    credit = link.endpoint._receivers.session_of(1).credit  # type: ignore[union-attr]
    assert credit.consumed == credit.received


def test_the_end_may_come_after_everything_was_read() -> None:
    link = group()
    link.give(part(0, b"x", total=0))
    read(link)
    assert read_stream(link) == StreamChunk(b"x")
    link.give(part(1, total=0, last=True))
    assert len(link.told(ReceiverReadable)) == 2
    assert read_stream(link) == StreamChunk(b"", True)


def test_a_stream_that_is_given_up() -> None:
    """CC-FRAG-028, 029, CC-ERR-023."""
    link = group()
    link.give(part(0, b"unseen", total=0), abort(1, total=0))
    assert read(link) is None
    link.give(part(0, b"seen", sequence=2, total=0), part(1, b"not", sequence=2, total=0))
    read(link)
    assert read_stream(link) == StreamChunk(b"seen")
    link.give(abort(2, sequence=2, total=0), data(1, 3, b"next"))
    assert read(link) is None
    with pytest.raises(StreamAborted):
        read_stream(link)
    message = read(link)
    assert message is not None
    assert message.data == b"next"
    assert link.endpoint.statistics().bytes_buffered == 0


def cut_stream(link: Wire, how: str) -> None:
    """End a session in the middle of a stream."""
    endpoint = link.endpoint
    if how == "close":
        link.give(wire.Close(0, NO_SLOT, 1, 1, 0x27))
    elif how == "fail":
        link.give(wire.Fail(0, 2, 1, 1, ErrorCode.OVERRUN))
    elif how == "fault":
        link.give(part(7, b"x", total=0))
    elif how == "link":
        link.give(wire.Bye(0))
    elif how == "application":
        endpoint.close_receiver(1, link.now)
    else:
        for number in range(2, 70):
            link.give(data(number, 1, bytes(16_300)))


@pytest.mark.parametrize("how", ["close", "fail", "fault", "link", "application", "memory"])
def test_a_stream_that_ends_with_its_session(how: str) -> None:
    """CC-SESS-037: who had begun to read it is told, then that the receiver is closed."""
    link = group(limits=Limits(receive_memory=1_048_576, largest_message=1_048_576), largest_message=1_048_576)
    link.give(*(part(index, bytes(5_000), total=0) for index in range(3)))
    for index in range(3, 10):
        link.give(part(index, bytes(16_000), total=0))
    read(link)
    assert read_stream(link) == StreamChunk(bytes(5_000))
    cut_stream(link, how)
    with pytest.raises(StreamAborted):
        read_stream(link)
    with pytest.raises(ReceiverClosed):
        read_stream(link)
    assert (1 in [event.receiver for event in link.told(ReceiverClosedEvent)]) is (how != "application")


def test_a_whole_stream_that_a_fail_covers() -> None:
    """R32, R33: its reader had begun."""
    link = group()
    link.give(data(1, 1), part(0, b"a", sequence=2, total=0), part(1, b"b", sequence=2, total=0, last=True), data(1, 3))
    read(link)
    read(link)
    assert read_stream(link) == StreamChunk(b"a")
    link.give(wire.Fail(0, 2, 1, 2, ErrorCode.OVERRUN))
    assert link.endpoint.statistics().bytes_buffered == 0
    with pytest.raises(StreamAborted):
        read_stream(link)
    assert closed(link) == [ErrorCode.OVERRUN]


def test_a_stream_whose_reading_has_not_begun_is_not_handed_out() -> None:
    link = group()
    link.give(part(0, b"x", total=0), wire.Close(0, NO_SLOT, 1, 1, 0x28))
    assert closed(link) == [ErrorCode.LOST]
    with pytest.raises(ReceiverClosed):
        read(link)


# --- RECEIPT and CREDIT ----------------------------------------------------------------------


def test_receipts_follow_reading() -> None:
    """CC-DELIV-041 to 044: several reads make one, and only messages with CONFIRM count."""
    link = group()
    link.give(data(1, 1, flags=CONFIRM), data(1, 2, flags=CONFIRM), data(1, 3))
    assert link.take_of(wire.Receipt) == []
    read(link)
    read(link)
    assert link.take_of(wire.Receipt) == [wire.Receipt(0, 2, 1, 2)]
    read(link)
    assert link.take_of(wire.Receipt) == []


def test_a_stream_is_read_when_its_end_was_told() -> None:
    link = group()
    link.give(part(0, b"x", total=0, flags=CONFIRM), part(1, total=0, last=True))
    read(link)
    assert link.take_of(wire.Receipt) == []
    read_stream(link)
    assert link.take_of(wire.Receipt) == [wire.Receipt(0, 2, 1, 1)]


def test_receipts_after_close_and_below_fail() -> None:
    """CC-DELIV-045; and none where the session was cut."""
    for frame, expected in (
        (wire.Close(0, NO_SLOT, 1, 2), 1),
        (wire.Fail(0, 2, 1, 2, ErrorCode.OVERRUN), 1),
        (wire.Close(0, NO_SLOT, 1, 2, ErrorCode.LEFT), 0),
    ):
        link = group()
        link.give(data(1, 1, flags=CONFIRM), data(1, 2, flags=CONFIRM), frame)
        read(link)
        assert len(link.take_of(wire.Receipt)) == expected


def test_credit_while_nothing_complete_is_unread() -> None:
    """Section 7.11: the table's first rows."""
    link = group()
    for index in range(11):
        link.give(part(index, bytes(16_360), total=1_000_000))
    assert link.take_of(wire.Credit) == []
    link.give(part(11, bytes(16_360), total=1_000_000))
    assert link.take_of(wire.Credit) == [wire.Credit(0, 2, 1, 327_680)]


def test_credit_follows_reading() -> None:
    link = group()
    for sequence in range(1, 9):
        link.give(data(1, sequence, bytes(16_368)))
    assert link.take_of(wire.Credit) == []
    for _ in range(3):
        read(link)
    assert link.take_of(wire.Credit) == []
    read(link)
    assert link.take_of(wire.Credit) == [wire.Credit(0, 2, 1, 262_144 + 65_536)]


def test_an_unread_stream_holds_the_limit_down() -> None:
    """CC-DELIV-051, 054: bytes that were handed out give credit at once."""
    link = group()
    for index in range(12):
        link.give(part(index, bytes(16_360), total=0))
    assert link.take_of(wire.Credit) == []
    read(link)
    for _ in range(4):
        read_stream(link)
    assert link.take_of(wire.Credit) == [wire.Credit(0, 2, 1, 262_144 + 65_536)]


def test_beyond_the_limit() -> None:
    """CC-DELIV-048, 050: the link ends; ABORT needs no credit."""
    link = group(limits=Limits(window=65_536))
    for sequence in range(1, 5):
        link.give(data(1, sequence, bytes(16_368)))
    assert link.told(LinkEnded) == []
    link.give(data(1, 5))
    assert link.told(LinkEnded)[0].code == ErrorCode.FLOW_CONTROL
    link = group(limits=Limits(window=65_536))
    link.give(data(1, 1, bytes(16_368)))
    for index in range(3):
        link.give(part(index, bytes(16_360), sequence=2, total=0))
    link.give(abort(3, sequence=2, total=0))
    assert link.told(LinkEnded) == []


def test_no_credit_for_a_session_that_ended() -> None:
    """CC-DELIV-058."""
    link = group()
    for sequence in range(1, 9):
        link.give(data(1, sequence, bytes(16_368)))
    link.give(wire.Close(0, NO_SLOT, 1, 8))
    for _ in range(8):
        read(link)
    assert link.take_of(wire.Credit) == []
