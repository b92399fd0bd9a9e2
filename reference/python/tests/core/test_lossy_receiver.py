# SPDX-License-Identifier: Apache-2.0
"""A Lossy session at its recipient: at most once, in any order, dropped with a reason (sections 6.6 and 7.14)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callchannel.core import frames as wire
from callchannel.core.errors import ErrorCode
from callchannel.core.events import LinkEnded, ReceiverCreated
from callchannel.core.events import ReceiverClosed as ReceiverClosedEvent
from callchannel.core.extensions import Extension, ExtensionType
from callchannel.core.lanes import Lane
from callchannel.core.limits import LINGER, LOSSY_PARTIAL_TIME, TOMBSTONE, Limits
from callchannel.core.recipients import NO_SLOT
from tests.core.network import SECOND, Wire, data, group, peer

MUST = (Extension(0x7001, b"", True),)


def lossy(session: int, sequence: int, payload: bytes = b"x", **fields: Any) -> wire.Data:
    return data(session, sequence, payload, **({"flags": 0} | fields))


def part(
    sequence: int,
    index: int,
    *,
    total: int = 1_024,
    last: bool = False,
    size: int = 512,
    session: int = 1,
    **fields: Any,
) -> wire.Data:
    return lossy(session, sequence, bytes([index]) * size, fragment=wire.Fragment(index, total, last), **fields)


def drops(link: Wire) -> dict[str, int]:
    return dict(link.endpoint.statistics().drops)


def read_all(link: Wire, receiver: int = 1) -> list[tuple[int, bytes]]:
    found = []
    while message := link.endpoint.read(receiver, link.now):
        found.append((message.sequence, message.data))
    return found


def closed(link: Wire) -> list[int]:
    return [event.code for event in link.told(ReceiverClosedEvent)]


def test_messages_come_in_the_order_in_which_they_are_complete() -> None:
    """CC-SESS-030, CC-FRAG-037, CC-LINK-005."""
    link = group()
    link.give(part(5, 1, last=True), lane=Lane.LOSSY)
    link.give(lossy(1, 9, b"nine"), lossy(1, 7, b"seven"))
    link.give(part(5, 0), lane=Lane.LOSSY)
    assert read_all(link) == [(9, b"nine"), (7, b"seven"), (5, b"\0" * 512 + b"\1" * 512)]
    assert drops(link) == {}


def test_private_and_metadata_are_those_of_fragment_0() -> None:
    """CC-FRAG-040."""
    link = group()
    name = (Extension(ExtensionType.NAME, b"n"),)
    link.give(part(1, 1, last=True), part(1, 0, flags=wire.PRIVATE, extensions=name))
    link.give(part(2, 0, flags=wire.PRIVATE, extensions=name), part(2, 1, last=True))
    for _ in range(2):
        message = link.endpoint.read(1, link.now)
        assert message is not None
        assert (message.private, message.metadata.name) == (True, "n")


def test_the_replay_window() -> None:
    """CC-DELIV-070 to 072."""
    link = group()
    link.give(lossy(1, 5), lossy(1, 5), lossy(1, 3), lossy(1, 2_000), lossy(1, 976), lossy(1, 977), lossy(1, 977))
    assert [sequence for sequence, _ in read_all(link)] == [5, 3, 2_000, 977]
    assert drops(link) == {"duplicate": 2, "too_old": 1}


FAULTS: list[tuple[list[wire.Data], wire.Data, str]] = [
    # frames before, the one that is dropped, and why: the step that is first decides
    ([part(1, 0)], part(1, 0, total=2_000), "duplicate"),
    ([part(1, 0)], part(1, 0, extensions=MUST), "duplicate"),
    ([part(1, 0)], part(1, 1, total=2_000, last=True), "mismatch"),
    ([part(1, 0)], part(1, 1, total=60_000, last=True), "mismatch"),
    ([part(1, 0)], lossy(1, 1, extensions=MUST), "mismatch"),
    ([part(1, 1, total=1_536)], part(1, 0, total=1_024, extensions=MUST), "mismatch"),
    ([part(1, 1, last=True)], part(1, 2), "mismatch"),
    ([part(1, 2)], part(1, 1, last=True), "mismatch"),
    ([part(1, 0)], part(1, 1, last=True, size=511), "mismatch"),
    ([], part(1, 0, total=40_000), "too_large"),
    ([], part(1, 0, total=40_000, extensions=MUST), "too_large"),
    ([], part(1, 0, extensions=MUST), "extension"),
    ([], lossy(1, 1, extensions=MUST), "extension"),
    ([part(1, 1, last=True)], part(1, 0, extensions=MUST), "extension"),
    ([lossy(1, 9)], lossy(1, 1, channel=8), "mismatch"),
    ([lossy(1, 9)], lossy(1, 1, flags=wire.HIGH), "mismatch"),
]


@pytest.mark.parametrize(("before", "frame", "reason"), FAULTS)
def test_what_is_dropped_and_why(before: list[wire.Data], frame: wire.Data, reason: str) -> None:
    """CC-DELIV-078, CC-FRAG-048, 053, 054, CC-EXT-009; the link and the session go on."""
    link = group(limits=Limits(largest_message=32_768))
    link.give(*before, frame)
    assert drops(link) == {reason: 1}
    assert link.told(LinkEnded) == []
    if reason != "duplicate" and frame.channel == 7 and not frame.flags:
        link.give(part(1, 0), part(1, 1, last=True))  # it was given up: its sequence is done
        assert drops(link) == {reason: 1, "duplicate": 2}
    link.give(lossy(1, 20, b"good"))
    assert (20, b"good") in read_all(link)


def test_partial_messages_are_given_up_in_time() -> None:
    """CC-FRAG-039, CC-LIMIT-014, also while suspended."""
    link = group()
    link.give(part(1, 0))
    link.wait(SECOND)
    link.give(part(2, 0))
    link.endpoint.transport_down(1, link.now)
    link.wait(LOSSY_PARTIAL_TIME - SECOND - 1)
    assert drops(link) == {}
    link.wait(1)
    assert drops(link) == {"partial_timeout": 1}
    link.wait(SECOND)
    assert drops(link) == {"partial_timeout": 2}
    assert link.endpoint.statistics().bytes_buffered == 0


def test_too_many_partial_messages() -> None:
    """CC-FRAG-041 to 043: the oldest of the link gives way, whoever's it is; a completing fragment costs nobody."""
    link = group(limits=Limits(lossy_partial_messages=8))
    for sequence in range(1, 9):
        link.give(part(sequence, 0, session=sequence % 2 + 1, sender=sequence % 2))
    assert drops(link) == {}
    link.give(part(9, 0))
    assert drops(link) == {"partial_count": 1}
    link.give(part(1, 1, last=True, session=2, sender=1))
    assert drops(link) == {"partial_count": 1, "duplicate": 1}
    link.give(part(2, 1, last=True))
    assert [sequence for sequence, _ in read_all(link, 2)] == [2]
    assert drops(link) == {"partial_count": 1, "duplicate": 1}


def test_too_many_partial_bytes() -> None:
    link = group(limits=Limits(lossy_partial_bytes=65_536))
    for sequence in range(1, 61):
        link.give(part(sequence, 0, total=65_536, size=1_100))
    assert drops(link) == {"partial_memory": 1}


def test_the_oldest_partial_message_can_be_the_one_that_grows() -> None:
    """CC-FRAG-042: it is given up with the new fragment."""
    link = group(limits=Limits(lossy_partial_bytes=65_536))
    for index in range(51):
        link.give(part(1, index, total=65_536, size=1_100))
    for index in range(8):
        link.give(part(2, index, total=65_536, size=1_100))
    assert drops(link) == {}
    link.give(part(1, 51, total=65_536, size=1_100))
    assert drops(link) == {"partial_memory": 1}
    assert link.endpoint.statistics().bytes_buffered == 8_800


def test_a_frame_that_is_dropped_is_no_activity() -> None:
    """CC-SESS-033: no frame was taken for that long."""
    link = group(limits=Limits(idle_close=3 * SECOND))
    link.give(lossy(1, 1))
    assert read_all(link) == [(1, b"x")]
    link.wait(2 * SECOND)
    link.give(lossy(1, 2, extensions=MUST))
    assert drops(link) == {"extension": 1}
    link.wait(SECOND - 1)
    assert closed(link) == []
    link.wait(1)
    assert closed(link) == [ErrorCode.IDLE]


def crowded() -> Wire:
    """An endpoint whose memory is nearly full of partial messages of one Lossy session."""
    link = group(
        limits=Limits(
            receive_memory=1_048_576, window=1_048_576, largest_message=1_048_576, lossy_partial_bytes=2_000_000
        ),
        largest_message=1_048_576,
    )
    for sequence in range(1, 17):
        for index in range(59):
            link.give(part(sequence, index, total=65_536, size=1_100))
    assert link.endpoint.statistics().bytes_buffered == 16 * 59 * 1_100
    return link


@pytest.mark.parametrize("excess", [0, 1])
def test_a_partial_message_that_alone_holds_the_most(excess: int) -> None:
    """CC-DELIV-059: it goes when it would pass the limit, and not before."""
    link = group(
        limits=Limits(
            receive_memory=1_048_576, window=1_048_576, largest_message=1_048_576, lossy_partial_bytes=2_000_000
        ),
        largest_message=1_048_576,
    )
    for session in range(1, 18):
        for sequence in range(1, 6):
            link.give(data(session, sequence, bytes(11_578), channel=session))
    for index in range(58):
        link.give(part(1, index, total=65_536, size=1_100, session=30, channel=30))
    rest = 1_048_576 - link.endpoint.statistics().bytes_buffered
    assert 0 < rest < 1_100
    link.give(part(1, 58, total=65_536, size=rest + excess, session=30, channel=30))
    assert drops(link) == ({"memory": 1} if excess else {})


def test_memory_takes_the_oldest_partial_messages() -> None:
    """CC-DELIV-061: where nothing is unread; whoever's bytes are too many."""
    link = crowded()
    for index in range(10):
        link.give(part(20, index, total=65_536, size=1_100))
    assert drops(link) == {"memory": 1}
    assert link.endpoint.statistics().bytes_buffered == (15 * 59 + 10) * 1_100
    link = crowded()
    for sequence in range(1, 5):
        link.give(data(9, sequence, bytes(16_000), channel=8))
    assert drops(link) == {"memory": 1}
    assert link.endpoint.statistics().bytes_buffered == 15 * 59 * 1_100 + 4 * 16_000


def test_latest_at_the_receiver() -> None:
    """CC-DELIV-075, 076."""
    link = group()
    latest = wire.LATEST
    link.give(lossy(1, 1, b"a", flags=latest), lossy(1, 2, b"other"), lossy(1, 5, b"b", flags=latest))
    link.give(lossy(1, 4, b"late", flags=latest))
    assert read_all(link) == [(2, b"other"), (5, b"b")]
    link.give(lossy(1, 3, b"later", flags=latest), lossy(1, 3, b"later", flags=latest))
    assert read_all(link) == []
    assert drops(link) == {"superseded": 3, "duplicate": 1}


# --- ends ------------------------------------------------------------------------------------


def test_close_lingers() -> None:
    """CC-SESS-036, 038, R65 to R71."""
    link = group()
    link.give(lossy(1, 1, b"one"), wire.Close(0, NO_SLOT, 1, 3))
    link.wait(LINGER - 1)
    link.give(lossy(1, 2, b"two"), part(3, 0))
    link.wait(1)
    link.give(lossy(1, 4))
    assert drops(link) == {"ended_session": 2}  # a frame, and the partial message
    assert closed(link) == []
    assert read_all_until_closed(link) == [b"one", b"two"]
    assert closed(link) == [ErrorCode.NONE]


def read_all_until_closed(link: Wire) -> list[bytes]:
    found = []
    while not closed(link):
        message = link.endpoint.read(1, link.now)
        assert message is not None
        found.append(message.data)
    return found


def test_close_that_overtakes_everything() -> None:
    """CC-SESS-039, 051."""
    link = group()
    link.give(wire.Close(0, NO_SLOT, 1, 99))
    link.give(lossy(1, 1, b"one"), lane=Lane.LOSSY)
    assert read_all(link) == [(1, b"one")]
    assert closed(link) == []
    link.wait(LINGER)
    assert closed(link) == [ErrorCode.NONE]


def test_a_tombstone_is_forgotten() -> None:
    """CC-SESS-058, 059: then the session would begin anew, unless a newer one is on its channel."""
    link = group()
    link.give(wire.Close(0, NO_SLOT, 1, 1))
    for duration in (10 * SECOND, 10 * SECOND, LINGER + TOMBSTONE - 20 * SECOND - 1):
        link.wait(duration)
        link.give(wire.Ack(0))
    link.give(lossy(1, 1))
    assert link.told(ReceiverCreated) == []
    link.wait(1)
    link.give(lossy(1, 2))
    assert len(link.told(ReceiverCreated)) == 1
    link.give(lossy(2, 1), lossy(1, 3))
    assert len(link.told(ReceiverCreated)) == 2
    assert drops(link) == {"ended_session": 2}


def test_a_newer_session_ends_the_older_at_once() -> None:
    """CC-SESS-040, 041: Reliable or Lossy; a Reliable one goes on."""
    link = group()
    link.give(lossy(1, 1, b"unread"), part(2, 0), data(2, 1))
    assert closed(link) == []
    link.give(lossy(1, 3))
    assert read_all_until_closed(link) == [b"unread"]
    assert closed(link) == [ErrorCode.NONE]
    link.give(lossy(3, 1), lossy(4, 1, channel=8), data(2, 2))
    assert drops(link) == {"ended_session": 2}
    assert len(link.told(ReceiverCreated)) == 4
    link.give(wire.Close(0, NO_SLOT, 3, 1), lossy(5, 1))  # lingering: ended as well
    link.give(lossy(3, 2))
    assert drops(link) == {"ended_session": 3}


def test_an_older_session_does_not_begin() -> None:
    link = group()
    link.give(data(6, 1), lossy(5, 1))
    assert drops(link) == {"ended_session": 1}
    link.give(wire.Close(0, NO_SLOT, 4, 1), lossy(4, 1))
    assert drops(link) == {"ended_session": 2}


def test_cut_by_the_owners_leaving() -> None:
    """R65, R83 to R88: no FAIL for it; partial messages are recorded."""
    link = group()
    link.give(lossy(1, 1), part(2, 0), wire.Close(0, NO_SLOT, 1, 2, ErrorCode.LEFT))
    link.endpoint.close_receiver(1, link.now)
    assert link.take_of(wire.Fail) == []
    assert drops(link) == {"closed": 2}
    link = group()
    link.give(lossy(1, 1), part(2, 0), lossy(2, 1, channel=8))
    link.endpoint.read(2, link.now)
    link.give(
        wire.Roster(
            6,
            (wire.RosterEntry(wire.RosterOp.LEAVE, 0, 0x28), wire.RosterEntry(wire.RosterOp.JOIN, 0, 0, "eve")),
        )
    )
    assert closed(link) == [ErrorCode.LOST]
    assert link.endpoint.read(1, link.now) is not None
    assert closed(link) == [ErrorCode.LOST] * 2
    assert drops(link) == {"ended_session": 1}


def test_the_link_dies() -> None:
    link = group()
    link.give(lossy(1, 1), part(2, 0), lossy(2, 1, channel=8), wire.Close(0, NO_SLOT, 9, 1))
    link.endpoint.read(2, link.now)
    link.give(wire.Bye(0))
    assert closed(link) == [ErrorCode.LINK_LOST]
    assert link.endpoint.read(1, link.now) is not None
    assert closed(link) == [ErrorCode.LINK_LOST] * 2
    assert drops(link) == {"link_dead": 1}
    link.wait(LOSSY_PARTIAL_TIME)
    assert link.endpoint.deadline() is None


def test_closing_a_receiver() -> None:
    """CC-SESS-045, R78: unread and partial messages are recorded as closed."""
    link = group()
    link.give(lossy(1, 1), lossy(1, 9), part(4, 0))
    link.endpoint.close_receiver(1, link.now)
    assert [(frame.value, frame.reason) for frame in link.take_of(wire.Fail)] == [(10, ErrorCode.CLOSED)]
    assert closed(link) == []
    link.give(lossy(1, 11))
    assert drops(link) == {"closed": 3, "ended_session": 1}


def test_closing_a_receiver_that_lingers_or_drains_writes_nothing() -> None:
    for wait in (0, LINGER):
        link = group()
        link.give(lossy(1, 1), wire.Close(0, NO_SLOT, 1, 1))
        link.wait(wait)
        link.endpoint.close_receiver(1, link.now)
        assert link.take_of(wire.Fail) == []
        assert drops(link) == {"closed": 1}
        link.wait(TOMBSTONE)
        assert len(link.endpoint._receivers) == 0


def test_reliable_data_in_a_lossy_session() -> None:
    """CC-SESS-048, 049, R50, R51."""
    link = group()
    link.give(lossy(1, 4, b"kept"), data(1, 9), data(1, 10))
    assert [(frame.value, frame.reason) for frame in link.take_of(wire.Fail)] == [(5, ErrorCode.SESSION_MISMATCH)]
    assert read_all_until_closed(link) == [b"kept"]
    assert closed(link) == [ErrorCode.SESSION_MISMATCH]
    link = group()
    link.give(data(1, 4), lossy(1, 5))
    assert drops(link) == {"mismatch": 1}


def test_fail_by_the_relay() -> None:
    """R67, R68."""
    link = group()
    link.give(lossy(1, 1), part(2, 0), wire.Fail(0, 2, 1, 1, ErrorCode.GOING_AWAY))
    assert read_all_until_closed(link) == [b"x"]
    assert closed(link) == [ErrorCode.GOING_AWAY]
    link.endpoint.close_receiver(1, link.now)
    assert link.take_of(wire.Fail) == []
    link.give(wire.Fail(0, 2, 1, 1, ErrorCode.GOING_AWAY), lossy(1, 3))
    assert drops(link) == {"ended_session": 2}


def test_idle_close() -> None:
    """R79, R80."""
    link = group(limits=Limits(idle_close=10 * SECOND))
    link.give(lossy(1, 1))
    link.wait(11 * SECOND)
    assert closed(link) == []
    link.endpoint.read(1, link.now)
    link.give(wire.Ack(0))
    link.wait(10 * SECOND)
    assert closed(link) == [ErrorCode.IDLE]
    link.give(lossy(1, 1), lossy(1, 2))
    assert len(link.told(ReceiverCreated)) == 2
    assert drops(link) == {"duplicate": 1}
    link.give(wire.Close(0, NO_SLOT, 1, 2))
    link.endpoint.read(2, link.now)
    link.wait(LINGER)
    assert closed(link) == [ErrorCode.IDLE, ErrorCode.NONE]


# --- a model ---------------------------------------------------------------------------------

arrivals = st.lists(
    st.tuples(st.integers(1, 6), st.integers(0, 2), st.booleans()),
    max_size=40,
)


@given(arrivals)
def test_property_at_most_once_and_never_half(steps: list[tuple[int, int, bool]]) -> None:
    """Messages of three fragments, or of one frame for every third number, in any order and doubled."""
    link = peer()
    seen: dict[int, set[int]] = {}
    done: list[int] = []
    for sequence, index, use_lossy_lane in steps:
        lane = Lane.LOSSY if use_lossy_lane else Lane.RELIABLE
        if sequence % 3 == 0:
            link.give(lossy(1, sequence, b"whole"), lane=lane)
            complete = sequence not in done
        else:
            link.give(part(sequence, index, total=1_536, last=index == 2), lane=lane)
            complete = False
            if sequence not in done:
                seen.setdefault(sequence, set()).add(index)
                complete = seen[sequence] == {0, 1, 2}
        if complete:
            done.append(sequence)
            seen.pop(sequence, None)
    if link.told(ReceiverCreated):
        found = read_all(link)
        assert [sequence for sequence, _ in found] == done
        whole = b"".join(bytes([index]) * 512 for index in range(3))
        assert all(payload == (b"whole" if sequence % 3 == 0 else whole) for sequence, payload in found)
    partial = sum(512 * len(parts) for parts in seen.values())
    assert link.endpoint.statistics().bytes_buffered == partial
