# SPDX-License-Identifier: Apache-2.0
"""Counting by runs does what counting by frames does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callchannel.core.counting import Counting, CountMismatch
from callchannel.core.frames import ABORT_BIT, RELIABLE, Data, Fragment
from callchannel.core.limits import Limits
from callchannel.core.relay.custody import Custody, Item, Run, ends_message, is_abort, sequence_of, session_key


class Owner:
    def __init__(self) -> None:
        self.marks: list[int] = []

    def acked(self, mark: int, now: int) -> None:
        self.marks.append(mark)


def frame(sequence: int) -> bytes:
    return Data(1, 2, 3, sequence, b"x" * (sequence % 7), RELIABLE).encode()


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("run"), st.integers(1, 5)),
            st.tuples(st.just("one"), st.integers(1, 9)),
            st.tuples(st.just("ack"), st.integers(0, 9)),
            st.tuples(st.just("resume"), st.integers(0, 9)),
            st.tuples(st.just("resend"), st.integers(1, 9)),
        ),
        max_size=40,
    )
)
def test_runs_count_like_frames(operations: list[tuple[str, int]]) -> None:
    """CC-LINK-033, CC-LINK-034, CC-LINK-035, CC-LINK-048: the same operations on both give the same counts and the
    same frames.
    """
    runs, frames = Custody(Limits(), 0), Counting(Limits(), 0)
    told_runs, told_frames = Owner(), Owner()
    number = 0
    for name, count in operations:
        if name in ("run", "one") and frames.is_resending:
            continue  # CC-LINK-048: nothing new before what is to be written again
        if name == "run":
            items: list[Item] = [(frame(number + at), None, 1) for at in range(count)]
            number += count
            runs.write_items(items, sum(len(item[0]) for item in items), data=count)
            for item in items:
                frames.write(item[0])
        elif name == "one":
            number += 1
            runs.write(frame(number), told_runs, number)
            frames.write(frame(number), told_frames, number)
        elif name == "ack":
            received = min(frames.written, max(frames.acked, frames._told) + count)
            runs.on_ack(received, 0)
            frames.on_ack(received, 0)
        elif name == "resume":
            received = min(frames.written, max(frames.acked, frames._told) + count)
            runs.resume(received, 0)
            frames.resume(received, 0)
        else:
            for _ in range(count):
                assert runs.next_resend() == frames.next_resend()
                if runs.is_resending:
                    runs.resent()
                    frames.resent()
        assert runs.next_resend() == frames.next_resend()
        assert (runs.written, runs.acked, runs.unacked_bytes, runs.data_written, runs.all_acked) == (
            frames.written,
            frames.acked,
            frames.unacked_bytes,
            frames.data_written,
            frames.all_acked,
        )
        assert [mark for owner, mark in runs.owners() if owner] == [mark for owner, mark in frames.owners() if owner]
        assert told_runs.marks[-1:] == told_frames.marks[-1:]
    assert len(list(runs.frames())) <= runs.written - runs.acked


def test_a_count_that_is_not_possible() -> None:
    """CC-LINK-039."""
    custody = Custody(Limits(), 0)
    custody.write(frame(1))
    for received in (2, 1 << 63):
        with pytest.raises(CountMismatch):
            custody.on_ack(received, 0)
    custody.on_ack(1, 0)
    with pytest.raises(CountMismatch):
        custody.on_ack(0, 0)


def test_what_frames_say() -> None:
    plain = Data(1, 0x0203, 0x04050607, 0x08090A0B, b"x", RELIABLE).encode()
    assert sequence_of(plain) == 0x08090A0B
    assert session_key(plain) == bytes((2, 3, 4, 5, 6, 7))
    assert ends_message(plain)
    assert not is_abort(plain)
    rows = [
        (Fragment(0, 9), b"x", False, False),
        (Fragment(3, 9, last=True), b"x", True, False),
        (Fragment(3, 9, abort=True), b"", True, True),
    ]
    for fragment, payload, ends, aborts in rows:
        encoded = Data(1, 2, 3, 4, payload, RELIABLE, fragment).encode()
        assert (ends_message(encoded), is_abort(encoded)) == (ends, aborts)
    assert ABORT_BIT >> 24 == 0x40


def test_a_run_joins_its_frames_once() -> None:
    items: list[Item] = [(b"abc", None, 5), (b"de", None, 6)]
    run = Run(items, full=True)
    assert (run.chunk, run.size, run.up, run.full) == (b"abcde", 5, 11, True)
    single: Item = (b"abc", None, 5)
    assert Run([single], full=False).chunk is single[0]
