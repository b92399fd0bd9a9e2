# SPDX-License-Identifier: Apache-2.0
"""All sessions that an endpoint receives: limits and memory (sections 5.9, 7.12)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callchannel.core import frames as wire
from callchannel.core import receivers as receivers_module
from callchannel.core.errors import ErrorCode, ReceiverClosed, StreamAborted
from callchannel.core.events import ReceiverClosed as ReceiverClosedEvent
from callchannel.core.events import ReceiverCreated
from callchannel.core.limits import Limits
from callchannel.core.recipients import NO_SLOT
from tests.core.network import Wire, data, group

MIB = 1_048_576
SMALL = Limits(receive_memory=MIB, largest_message=MIB, window=MIB, open_sessions=1_000)


def fails(link: Wire) -> list[tuple[int, int, int]]:
    return [(frame.session, frame.value, frame.reason) for frame in link.take_of(wire.Fail)]


def small() -> Wire:
    return group(limits=SMALL, largest_message=MIB)


def test_too_many_sessions() -> None:
    """CC-SESS-052, CC-LIMIT-013: for each owner; ended ones do not count."""
    link = group(limits=Limits(open_sessions=16))
    for session in range(1, 17):
        link.give(data(session, 1))
    link.give(data(17, 1), data(18, 1, flags=0), data(1, 1, sender=1))
    assert fails(link) == [(17, 1, ErrorCode.TOO_MANY_SESSIONS)]
    assert link.endpoint.statistics().drops == {"open_sessions": 1}
    assert len(link.told(ReceiverCreated)) == 17
    link.give(wire.Close(0, NO_SLOT, 3, 1), data(19, 1), data(20, 1))
    assert fails(link) == [(20, 1, ErrorCode.TOO_MANY_SESSIONS)]


def test_which_fault_wins_in_a_first_frame() -> None:
    """SEQUENCE (step 14) before TOO_MANY_SESSIONS (15)."""
    link = group(limits=Limits(open_sessions=16))
    for session in range(1, 17):
        link.give(data(session, 1))
    link.give(data(17, 5, b"x", fragment=wire.Fragment(3, 9)))
    assert fails(link) == [(17, 5, ErrorCode.SEQUENCE)]


def test_the_session_that_holds_the_most_pays() -> None:
    """CC-DELIV-059, 060: with what arrives, and of two with equally much the one that began last."""
    link = small()
    for sequence in range(1, 33):
        link.give(data(9, sequence, bytes(16_000), sender=1))
        link.give(data(8, sequence, bytes(16_000), sender=0))
    assert fails(link) == []
    link.give(data(1, 1, bytes(16_000), sender=3), wire.Ack(0))
    link.give(data(1, 2, bytes(16_000), sender=3))
    assert fails(link) == [(8, 1, ErrorCode.MEMORY)]
    assert link.told(ReceiverClosedEvent)[0].code == ErrorCode.MEMORY
    assert link.endpoint.statistics().bytes_buffered == 34 * 16_000
    with pytest.raises(ReceiverClosed):
        link.endpoint.read(2, link.now)
    link.give(data(8, 40))
    assert len(link.told(ReceiverCreated)) == 3


def test_a_partial_message_pays_with_its_first_sequence() -> None:
    """CC-SESS-044, CC-FRAG-057."""
    link = small()
    for number in range(1, 4):
        link.give(data(1, number, bytes(16_000)))
    for index in range(61):
        link.give(data(2, 3, bytes(16_360), fragment=wire.Fragment(index, MIB)))
    assert fails(link) == []
    link.give(data(2, 3, bytes(16_360), fragment=wire.Fragment(61, MIB)))
    assert fails(link) == [(2, 3, ErrorCode.MEMORY)]
    assert link.endpoint.statistics().bytes_buffered == 48_000


def test_a_lossy_session_pays_with_its_oldest_messages() -> None:
    """CC-DELIV-061: unread ones first, then partial ones."""
    link = small()
    part = wire.Fragment(0, 65_536)
    link.give(data(1, 1_000, bytes(1_000), flags=0, fragment=part))
    for sequence in range(1, 1_000):
        link.give(data(1, sequence, bytes(1_100), flags=0))
    assert link.endpoint.statistics().bytes_buffered <= MIB
    lost = link.endpoint.statistics().drops["memory"]
    assert lost == -(-(1_000 + 999 * 1_100 - MIB) // 1_100)  # as few as suffice
    message = link.endpoint.read(1, link.now)
    assert message is not None
    assert message.sequence == lost + 1
    assert fails(link) == []


def test_a_drained_session_can_pay_as_well() -> None:
    """R16, R17: also one that has ended."""
    link = small()
    for sequence in range(1, 41):
        link.give(data(1, sequence, bytes(16_000)))
    link.give(wire.Close(0, NO_SLOT, 1, 40))
    for sequence in range(1, 26):
        link.give(data(2, sequence, bytes(16_000)))
    assert fails(link) == []
    for sequence in range(26, 27):
        link.give(data(2, sequence, bytes(16_000)))
    assert fails(link) == [(1, 1, ErrorCode.MEMORY)]
    assert [event.code for event in link.told(ReceiverClosedEvent)] == [ErrorCode.MEMORY]


def test_so_many_aborted_readers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receivers_module, "_REMEMBERED_ABORTS", 2)
    link = group()
    for session in (1, 2, 3):
        link.give(data(session, 1, b"x", fragment=wire.Fragment(0, 0)))
        link.endpoint.read(session, link.now)
        link.endpoint.close_receiver(session, link.now)
    with pytest.raises(ReceiverClosed):
        link.endpoint.read_stream(1, link.now)
    for receiver in (2, 3):
        with pytest.raises(StreamAborted):
            link.endpoint.read_stream(receiver, link.now)


def test_so_many_ends_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of older receivers it is only known that they are closed."""
    monkeypatch.setattr(receivers_module, "_REMEMBERED_ENDS", 1)
    link = group()
    for session in (1, 2):
        link.give(data(session, 1), wire.Close(0, NO_SLOT, session, 1, 0xF000 + session))
        link.endpoint.read(session, link.now)
    for receiver, code in ((1, ErrorCode.CLOSED), (2, 0xF002)):
        with pytest.raises(ReceiverClosed) as caught:
            link.endpoint.read(receiver, link.now)
        assert caught.value.code == code


def test_receivers_by_number() -> None:
    link = group()
    link.give(data(1, 1))
    for receiver in (0, 2, -1):
        with pytest.raises(ReceiverClosed):
            link.endpoint.read(receiver, link.now)
        with pytest.raises(ReceiverClosed):
            link.endpoint.receiver_info(receiver)
        link.endpoint.close_receiver(receiver, link.now)
    with pytest.raises(ReceiverClosed):
        link.endpoint.read_stream(1, link.now)


# --- the short way ---------------------------------------------------------------------------

steps = st.lists(
    st.one_of(
        st.tuples(st.just("data"), st.integers(1, 2), st.integers(1, 9), st.integers(0, 400)),
        st.tuples(st.just("read"), st.integers(1, 2), st.just(0), st.just(0)),
        st.tuples(st.just("close"), st.integers(1, 2), st.integers(1, 9), st.just(0)),
        st.tuples(st.just("take"), st.just(0), st.just(0), st.just(0)),
    ),
    max_size=40,
)


@given(steps)
def test_property_the_short_way_does_what_the_long_way_does(operations: list[tuple[str, int, int, int]]) -> None:
    """A message in one frame, and the same one in a single fragment: only the bytes on the wire differ."""
    outcomes = []
    for is_short in (True, False):
        link = group(limits=Limits(window=65_536))
        told: list[Any] = []
        for step, session, sequence, size in operations:
            if step == "data":
                payload = bytes(1 + 40 * size)
                fragment = None if is_short else wire.Fragment(0, len(payload), last=True)
                link.give(data(session, sequence, payload, fragment=fragment))
            elif step == "read" and session <= len(link.told(ReceiverCreated)):
                try:
                    told.append(link.endpoint.read(session, link.now))
                except ReceiverClosed:
                    told.append(None)
            elif step == "close":
                link.give(wire.Close(0, NO_SLOT, session, sequence))
            elif step == "take":
                told.append([frame for frame in link.take() if not isinstance(frame, wire.Credit)])
        if link.endpoint.link.is_dead:  # of flow control, which counts the block
            return
        outcomes.append((told, link.told(object)))
    assert outcomes[0] == outcomes[1]
