# SPDX-License-Identifier: Apache-2.0
"""Flow control of one session on one hop (section 7.11)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from callchannel.core.flow import ReceiveCredit, SendCredit

WINDOW = 65_536

operations = st.lists(
    st.one_of(
        st.tuples(st.just("frame"), st.integers(16, 16_384)),
        st.tuples(st.just("read"), st.integers(0, 3)),
        st.tuples(st.just("complete"), st.booleans()),
        st.tuples(st.just("credit"), st.just(0)),
    ),
    max_size=80,
)


@given(operations, st.integers(WINDOW, 300_000))
def test_property_both_ends_agree(steps: list[tuple[str, int]], window: int) -> None:
    writer, reader = SendCredit(window), ReceiveCredit(window)
    holds_unread, held, announced = False, [], window
    for step, value in steps:
        if step == "frame" and writer.allows(value):
            writer.written += value
            assert reader.accepts(value)  # CC-DELIV-050: a writer within its limit is never at fault
            reader.received += value
            held.append(value)
        elif step == "read":
            for length in held[:value]:
                reader.consumed += length
            del held[:value]
        elif step == "complete":
            holds_unread = bool(value)
        elif step == "credit":
            limit = reader.limit(holds_unread=holds_unread)
            assert limit >= announced  # CC-DELIV-053
            if reader.is_due(limit):
                reader.announced = announced = limit
                assert writer.raise_limit(limit)
        assert writer.limit == reader.announced
        assert writer.written == reader.received <= reader.announced
        assert reader.consumed <= reader.received
        # What can be on its way and held never passes what was promised.
        assert reader.announced - reader.consumed <= window + window // 2 + reader.received - reader.consumed
        limit = reader.limit(holds_unread=False)
        if not reader.is_due(limit):  # whoever reads everything leaves the writer room for a whole frame
            assert reader.announced - reader.received >= 16_384 or limit == reader.announced


@given(st.integers(1, 4_000_000), st.integers(WINDOW, 300_000))
def test_property_a_message_of_any_size_finishes(size: int, window: int) -> None:
    """While nothing complete is unread, the window moves on: nobody has to read for it."""
    writer, reader = SendCredit(window), ReceiveCredit(window)
    rest = size
    while rest:
        length = min(rest + 24, 16_384)
        if not writer.allows(length):
            raise AssertionError("the message got stuck")
        writer.written += length
        reader.received += length
        rest -= length - 24
        limit = reader.limit(holds_unread=False)
        if reader.is_due(limit):
            reader.announced = limit
            writer.raise_limit(limit)


def test_the_table_of_the_text() -> None:
    """Section 7.11: 1,000,000 bytes through windows of 262,144."""
    reader = ReceiveCredit(262_144)
    expected = {12: 327_680, 16: 393_216, 60: 1_114_112}
    written = {}
    for frames in range(1, 62):
        reader.received += 16_384
        limit = reader.limit(holds_unread=False)
        if reader.is_due(limit):
            written[frames] = reader.announced = limit
    assert {frames: written[frames] for frames in expected} == expected
    reader.received += 2_064
    assert reader.limit(holds_unread=True) == 1_114_112
    reader.consumed = reader.received
    assert reader.limit(holds_unread=False) == 1_263_632
    assert reader.is_due(1_263_632)


def test_a_lower_limit_is_ignored() -> None:
    """CC-DELIV-049."""
    writer = SendCredit(100)
    assert not writer.raise_limit(100)
    assert not writer.raise_limit(99)
    assert writer.raise_limit(101)
    assert writer.limit == 101


def test_the_limit_is_allowed_itself() -> None:
    """CC-LIMIT-013."""
    assert SendCredit(100).allows(100)
    assert not SendCredit(100).allows(101)
    assert ReceiveCredit(100).accepts(100)
    assert not ReceiveCredit(100).accepts(101)
