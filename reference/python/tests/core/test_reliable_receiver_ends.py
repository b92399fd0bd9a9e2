# SPDX-License-Identifier: Apache-2.0
"""A Reliable session at a recipient: faults, FAIL, and how it ends."""

from __future__ import annotations

from typing import Any

import pytest

from callchannel.core import frames as wire
from callchannel.core.errors import ErrorCode, ReceiverClosed
from callchannel.core.events import LinkEnded, ReceiverCreated
from callchannel.core.extensions import Extension
from callchannel.core.limits import MS, Limits
from callchannel.core.recipients import NO_SLOT
from tests.core.network import SECOND, Wire, data, group, peer
from tests.core.reading import CONFIRM, abort, closed, part, read


def fails(link: Wire) -> list[tuple[int, int]]:
    """Value and code of each FAIL that is written."""
    return [(frame.value, frame.reason) for frame in link.take_of(wire.Fail)]


# --- faults and FAIL -------------------------------------------------------------------------


FAULTS = [
    # frames before, the faulty one, value and code of FAIL
    ([data(1, 3)], data(1, 3), (4, ErrorCode.SEQUENCE)),
    ([data(1, 3)], data(1, 2), (4, ErrorCode.SEQUENCE)),
    ([data(1, 3)], part(1, b"x", sequence=9), (9, ErrorCode.SEQUENCE)),
    ([], part(1, b"x", sequence=9), (9, ErrorCode.SEQUENCE)),
    ([], abort(1, sequence=9), (9, ErrorCode.SEQUENCE)),
    ([part(0, b"hel")], data(1, 2), (1, ErrorCode.SEQUENCE)),
    ([part(0, b"hel")], part(0, b"hel"), (1, ErrorCode.SEQUENCE)),
    ([part(0, b"hel")], part(2, b"lo", total=6, last=True), (1, ErrorCode.SEQUENCE)),
    ([part(0, b"hel")], abort(2), (1, ErrorCode.SEQUENCE)),
    ([part(0, b"hel")], abort(1, total=6), (1, ErrorCode.FRAGMENT)),
    ([part(0, b"hel")], part(1, b"lo", total=0), (1, ErrorCode.FRAGMENT)),
    ([part(0, b"hel")], part(1, b"lo", total=0xFFFF_FFFF), (1, ErrorCode.FRAGMENT)),
    ([part(0, b"hel")], part(1, b"l", last=True), (1, ErrorCode.FRAGMENT)),
    ([part(0, b"hel")], part(1, b"lo"), (1, ErrorCode.FRAGMENT)),
    ([part(0, b"hel")], part(1, b"lost", last=True), (1, ErrorCode.FRAGMENT)),
    ([part(0, b"hel")], part(1, b"lo", last=True, channel=8), (1, ErrorCode.SESSION_MISMATCH)),
    ([], part(0, b"hello", sequence=4), (4, ErrorCode.FRAGMENT)),
    ([data(1, 3)], data(1, 4, channel=8), (4, ErrorCode.SESSION_MISMATCH)),
    ([data(1, 3)], data(1, 9, flags=wire.RELIABLE | wire.HIGH), (9, ErrorCode.SESSION_MISMATCH)),
    ([data(1, 3)], part(0, b"x", sequence=5, total=16_777_217), (5, ErrorCode.TOO_LARGE)),
    ([data(1, 3)], data(1, 7, extensions=(Extension(0x7001, b"", True),)), (7, ErrorCode.EXTENSION)),
    ([data(1, 3)], wire.Close(0, NO_SLOT, 1, 2), (4, ErrorCode.SEQUENCE)),
    ([part(0, b"hel")], wire.Close(0, NO_SLOT, 1, 1), (1, ErrorCode.SEQUENCE)),
]


@pytest.mark.parametrize(("before", "frame", "expected"), FAULTS)
def test_faults_and_their_value(before: list[Any], frame: Any, expected: tuple[int, int]) -> None:
    """CC-SESS-042, 043, and which fault wins (section 6.7): the session ends, the link goes on, what is whole stays."""
    link = group()
    link.give(*before, frame, data(2, 1, b"other"))
    assert fails(link) == [expected]
    assert link.told(LinkEnded) == []
    whole = [item.sequence for item in before if item.fragment is None]
    found = [read(link) for _ in whole]
    assert [message and message.sequence for message in found] == whole
    if before:
        assert closed(link) == [expected[1]]
    if isinstance(frame, wire.Data):  # CLOSE lets it be forgotten
        link.give(data(1, 50), data(1, 51, channel=9))  # dropped without an error
        assert fails(link) == []


def test_the_last_index_ends_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """CC-FRAG-052."""
    monkeypatch.setattr("callchannel.core.fragments.MAX_INDEX", 1)
    link = group()
    link.give(part(0, b"a", total=0), part(1, b"b", total=0))
    assert fails(link) == [(1, ErrorCode.FRAGMENT)]
    link = group()
    link.give(part(0, b"a", total=0), part(1, b"b", total=0, last=True))
    assert fails(link) == []


def test_the_receipt_that_is_due_goes_before_fail() -> None:
    """CC-DELIV-019, CC-SCHED-011, and both before the ACK (CC-DELIV-018)."""
    link = group()
    link.give(data(1, 6, flags=CONFIRM), data(1, 7, flags=CONFIRM))
    read(link)
    link.endpoint.close_receiver(1, link.now)
    link.wait(25 * MS)
    assert link.take() == [
        wire.Receipt(0, 2, 1, 6),
        wire.Fail(0, 2, 1, 7, ErrorCode.CLOSED),
        wire.Ack(3),
    ]
    with pytest.raises(ReceiverClosed):
        read(link)
    link.endpoint.close_receiver(1, link.now)
    assert closed(link) == []


def test_closing_a_receiver() -> None:
    """CC-SESS-044, 047, R39, R40."""
    for before, expected in (
        ([wire.Ack(0)], [(2, ErrorCode.CLOSED)]),
        ([part(0, b"hel", sequence=2)], [(2, ErrorCode.CLOSED)]),
        ([data(1, 2), data(1, 3)], [(2, ErrorCode.CLOSED)]),
        ([data(1, 2), wire.Close(0, NO_SLOT, 1, 2)], [(2, ErrorCode.CLOSED)]),
        ([data(1, 2), wire.Fail(0, 2, 1, 3, ErrorCode.MEMORY)], []),
        ([data(1, 2), wire.Close(0, NO_SLOT, 1, 2, ErrorCode.LOST)], []),
    ):
        link = group()
        link.give(data(1, 1))
        read(link)
        link.give(*before)
        link.endpoint.close_receiver(1, link.now)
        assert fails(link) == expected
        assert link.endpoint.statistics().bytes_buffered == 0


def test_fail_by_the_relay() -> None:
    """R31 to R33: what is below its value stays."""
    link = group()
    link.give(data(1, 1), data(1, 2), data(1, 3), wire.Fail(0, 2, 1, 3, ErrorCode.OVERRUN))
    assert closed(link) == []
    assert [message and message.sequence for message in (read(link), read(link))] == [1, 2]
    assert closed(link) == [ErrorCode.OVERRUN]
    link.give(data(1, 4))
    assert len(link.told(ReceiverCreated)) == 1
    link.give(wire.Close(0, NO_SLOT, 1, 4))
    assert len(link.endpoint._receivers) == 0
    link = group()
    link.give(data(1, 1), wire.Close(0, NO_SLOT, 1, 1), wire.Fail(0, 2, 1, 1, ErrorCode.OVERRUN))
    assert read(link) is not None
    assert closed(link) == [ErrorCode.NONE]
    link.give(wire.Fail(0, 2, 77, 1, ErrorCode.OVERRUN))


def test_ends_keep_what_is_complete() -> None:
    """CC-SESS-036, CC-ERR-022: the reason told is that of the first end."""
    for frame, code in (
        (wire.Close(0, NO_SLOT, 1, 1, 0xF123), 0xF123),
        (wire.Close(0, NO_SLOT, 1, 1, ErrorCode.LEFT), ErrorCode.LEFT),
        (wire.Bye(ErrorCode.REPLACED), ErrorCode.LINK_LOST),
    ):
        link = group()
        link.give(data(1, 1, b"kept"), frame)
        assert closed(link) == []
        message = read(link)
        assert message is not None
        assert closed(link) == [code]


def test_an_unread_session_of_an_earlier_occupant() -> None:
    """CC-SESS-054, 055: cut by the slot's next JOIN; nothing is written about it any more."""
    link = group()
    link.give(data(1, 1, b"old", flags=CONFIRM), data(2, 1, b"fail"))
    link.endpoint.close_receiver(2, link.now)  # a FAIL that waits
    link.give(
        wire.Roster(
            6,
            (
                wire.RosterEntry(wire.RosterOp.LEAVE, 0, 0x28),
                wire.RosterEntry(wire.RosterOp.JOIN, 0, 0, "eve"),
            ),
        )
    )
    link.give(data(1, 1, b"new"))
    message = read(link)
    assert message is not None
    assert message.data == b"old"
    assert [type(frame) for frame in link.take()] == []
    assert closed(link) == [ErrorCode.LOST]
    assert [event.sender.identity for event in link.told(ReceiverCreated)] == ["ann", "ann", "eve"]
    message = read(link, 3)
    assert message is not None
    assert message.data == b"new"


def test_idle_close_and_what_it_keeps() -> None:
    """CC-SESS-033 to 035, R41, R42."""
    link = group(limits=Limits(idle_close=10 * SECOND))
    link.give(data(1, 1))
    link.wait(12 * SECOND)
    assert closed(link) == []  # unread
    read(link)
    link.give(wire.Ack(0))
    link.wait(10 * SECOND - 1)
    assert closed(link) == []
    link.give(wire.Ack(0))
    link.wait(10 * SECOND)
    assert closed(link) == [ErrorCode.IDLE]
    link.give(data(1, 1))
    assert fails(link) == [(2, ErrorCode.SEQUENCE)]
    link.give(data(2, 5), part(0, b"x", total=0, sequence=1))
    link.give(data(3, 1, b"again"))
    assert len(link.told(ReceiverCreated)) == 3


def test_idle_close_switched_off() -> None:
    link = group(limits=Limits(idle_close=0))
    link.give(data(1, 1))
    read(link)
    for _ in range(100):
        link.give(wire.Ack(0))
        link.wait(10 * SECOND)
    assert closed(link) == []


def test_peers_know_ended_sessions_by_their_number() -> None:
    """CC-SESS-060, R01."""
    link = peer()
    link.give(data(5, 1), wire.Close(0, NO_SLOT, 5, 1))
    read(link)
    link.give(data(4, 1), data(5, 2))
    assert len(link.told(ReceiverCreated)) == 1
    link.give(data(6, 1))
    assert len(link.told(ReceiverCreated)) == 2
