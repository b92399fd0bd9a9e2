# SPDX-License-Identifier: Apache-2.0
"""Counting, acknowledgement and resumption (section 9.6), against a model of two ends and a lane that breaks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callchannel.core.counting import Counting, CountMismatch
from callchannel.core.frames import FrameType
from callchannel.core.limits import Limits

LIMITS = Limits(unacknowledged=65_536)


class Owner:
    def __init__(self) -> None:
        self.marks: list[int] = []

    def acked(self, mark: int, now: int) -> None:
        self.marks.append(mark)


operations = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 1)),
        st.tuples(st.just("deliver"), st.integers(1, 5)),
        st.tuples(st.just("ack"), st.just(0)),
        st.tuples(st.just("resume"), st.just(0)),
    ),
    max_size=60,
)


@given(operations)
def test_property_resumes_lose_and_double_nothing(steps: list[tuple[str, int]]) -> None:
    """The n-th frame written is the n-th received, over any number of breaks (CC-LINK-033 to 048)."""
    writer, reader = Counting(LIMITS, 0), Counting(LIMITS, 0)
    owners = [Owner(), Owner()]
    lane: list[bytes] = []  # what is on its way
    written: list[tuple[bytes, int]] = []
    taken: list[bytes] = []
    told = 0
    for step, value in steps:
        if step == "write":
            if writer.is_resending:
                frame = writer.next_resend()
                assert frame is not None
                writer.resent()
            else:
                frame = b"\1frame %d" % len(written)
                written.append((frame, value))
                writer.write(frame, owners[value], len(written))
            lane.append(frame)
        elif step == "deliver":
            for frame in lane[:value]:
                taken.append(frame)
                reader.count_received(0)
            del lane[:value]
        elif step == "ack":
            told = reader.take_ack(0)
            writer.on_ack(told, 0)
        else:  # the transport breaks: what is on its way is lost
            lane.clear()
            told = reader.received
            writer.resume(told, 0)
        assert taken == [frame for frame, _ in written[: len(taken)]]
        assert writer.acked <= reader.received <= writer.written == len(written)
        for number, owner in enumerate(owners):
            expected = [at for at, (_, who) in enumerate(written[: writer.acked], 1) if who == number]
            assert owner.marks[-1:] == expected[-1:]
            assert owner.marks == sorted(set(owner.marks))
        # Kept are exactly the frames that nobody has told to have.
        assert writer.unacked_bytes == sum(len(frame) for frame, _ in written[told:])
        assert writer.all_acked == (writer.acked == len(written))
        # Nothing new passes what has to be written again.
        waiting = writer.next_resend()
        assert writer.is_resending == (waiting is not None)
        if waiting is not None:
            assert waiting == written[reader.received + len(lane)][0]


@given(st.lists(st.integers(0, 6), max_size=30))
def test_property_impossible_counts_are_refused(counts: list[int]) -> None:
    """CC-LINK-039: a count neither goes back nor beyond what was written."""
    counting, told = Counting(LIMITS, 0), 0
    for count in counts:
        counting.write(b"\1")
        if told <= count <= counting.written:
            assert counting.fits(count)
            counting.on_ack(count, 0)
            told = count
        else:
            assert not counting.fits(count)
            with pytest.raises(CountMismatch):
                counting.on_ack(count, 0)
            assert counting.acked == told


def test_count_of_a_resume_cannot_be_taken_back() -> None:
    counting = Counting(LIMITS, 0)
    for _ in range(3):
        counting.write(b"\1")
    counting.resume(2, 0)
    assert not counting.fits(1)
    with pytest.raises(CountMismatch):
        counting.on_ack(1, 0)


def test_resume_settles_nothing_but_frees_the_bytes() -> None:
    """CC-LINK-049 and the effect `free` of section 9.12."""
    counting, owner = Counting(LIMITS, 0), Owner()
    counting.write(b"\1" * 65_536, owner, 1)
    counting.write(b"\1" * 10, owner, 2)
    assert counting.is_full
    counting.resume(1, 0)
    assert owner.marks == []
    assert not counting.is_full
    assert counting.unacked_bytes == 10
    assert counting.next_resend() == b"\1" * 10
    counting.on_ack(2, 0)
    assert owner.marks == [2]


def test_full_at_the_limit() -> None:
    """CC-LINK-035: reached, not passed."""
    counting = Counting(LIMITS, 0)
    counting.write(bytes(65_535))
    assert not counting.is_full
    counting.write(bytes(1))
    assert counting.is_full
    counting.on_ack(1, 0)
    assert not counting.is_full


def test_ack_while_frames_are_written_again() -> None:
    counting = Counting(LIMITS, 0)
    frames = [b"\1%d" % number for number in range(4)]
    for frame in frames:
        counting.write(frame)
    counting.resume(0, 0)
    counting.resent()
    counting.resent()
    counting.on_ack(1, 0)
    assert counting.next_resend() == frames[2]
    counting.on_ack(3, 0)  # more than was written again: the rest was on its way before
    assert counting.next_resend() == frames[3]
    counting.on_ack(4, 0)
    assert not counting.is_resending


def test_owners_in_written_order() -> None:
    counting, owner = Counting(LIMITS, 0), Owner()
    counting.write(b"\1", owner, 5)
    counting.write(b"\7")
    assert list(counting.owners()) == [(owner, 5), (None, 0)]
    assert counting.data_written == 1
    assert FrameType.DATA == 1


def test_when_an_ack_is_due() -> None:
    """CC-LINK-036, 037."""
    limits = Limits(ack_frames=3, ack_delay=25_000, ack_interval=5_000_000)
    counting = Counting(limits, 0)
    counting.start(1_000)
    assert counting.ack_due_at == 5_001_000
    assert not counting.owes_ack
    counting.count_received(10_000)
    assert counting.ack_due_at == 35_000
    assert counting.owes_ack
    counting.count_received(20_000)
    assert counting.ack_due_at == 35_000
    counting.count_received(30_000)
    assert counting.ack_due_at == 30_000
    assert counting.take_ack(30_000) == 3
    assert not counting.owes_ack
    assert counting.ack_due_at == 5_030_000
    counting.count_received(5_020_000)
    assert counting.ack_due_at == 5_030_000  # the interval is over first


def test_after_a_resume_an_ack_is_due_at_once() -> None:
    counting = Counting(LIMITS, 0)
    counting.resume(0, 77)
    assert counting.ack_due_at == 77
