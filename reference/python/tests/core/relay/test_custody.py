# SPDX-License-Identifier: Apache-2.0
"""Counting by runs does what counting by frames does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callchannel.core.counting import Counting, CountMismatch
from callchannel.core.frames import ABORT_BIT, CONFIRM, RELIABLE, Data, Fragment
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
        marks = [mark for owner, mark in frames.owners() if owner]
        if runs.covered is not None:  # an owner of several is told of the last
            last = [mark for owner, mark in list(frames.owners())[: runs.covered.count] if owner]
            marks = last[-1:] + marks[len(last) :]
        assert [mark for owner, mark in runs.owners() if owner] == marks
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


def part(sequence: int, index: int, *, abort: bool = False, flags: int = RELIABLE) -> bytes:
    return Data(1, 2, 3, sequence, b"" if abort else b"x", flags, Fragment(index, 9, abort=abort)).encode()


def test_what_hello_covers_is_not_acknowledged() -> None:
    """CC-LINK-034, section 10.1: its bytes are free, its owners wait, and it is still owed; the next ACK settles it."""
    custody, owner, later = Custody(Limits(), 0), Owner(), Owner()
    custody.write(frame(6))
    custody.write(part(7, 0))
    custody.write(b"\x02", owner, 5)
    custody.write(part(7, 1, abort=True))
    custody.write(Data(1, 2, 4, 8, b"x", RELIABLE | CONFIRM).encode())
    custody.write(b"\x02\x02", later, 6)
    key, other = session_key(frame(6)), session_key(Data(1, 2, 4, 8, b"", RELIABLE).encode())
    custody.on_ack(1, 0)
    custody.resume(2, 0)
    assert custody.unacked(confirmed=False) == {}, "aborted by a frame that the count does not cover"
    custody.resume(3, 0)
    assert custody.unacked(confirmed=True) == {other: 8}
    assert custody.next_resend() == part(7, 1, abort=True)
    custody.resume(6, 0)
    assert (custody.unacked_bytes, list(custody.frames()), custody.is_resending) == (0, [], False)
    assert (custody.all_acked, custody.holds_data, owner.marks, later.marks) == (False, True, [], [])
    assert custody.unacked(confirmed=False) == {}
    assert custody.unacked(confirmed=True) == {other: 8}
    custody.write(frame(9))
    assert custody.unacked(confirmed=False) == {key: 9}
    custody.resume(7, 0)
    custody.write(frame(10))
    assert custody.unacked(confirmed=False) == {key: 9}
    with pytest.raises(CountMismatch):
        custody.on_ack(6, 0)
    custody.on_ack(7, 0)
    assert (owner.marks, later.marks) == ([5], [6])
    assert custody.unacked(confirmed=True) == {key: 10}
    custody.resume(8, 0)
    custody.let_go()
    assert custody.unacked(confirmed=True) == {}


def test_covered_frames_are_kept_as_one_number_for_each_session() -> None:
    """CC-SEC-025: a link that resumes again and again without an ACK costs no more than its sessions."""
    custody, owner, gone = Custody(Limits(), 0), Owner(), Owner()
    for sequence in range(1, 100):
        custody.write(frame(sequence), owner if sequence % 2 else gone, sequence)
        custody.resume(sequence, 0)
    covered = custody.covered
    assert covered is not None
    key = session_key(frame(1))
    assert (covered.count, covered.unconfirmed, covered.owners) == (99, {key: 1}, {owner: 99, gone: 98})
    covered.keep({key}, {owner})
    assert (covered.unconfirmed, covered.confirmed, covered.owners) == ({key: 1}, {key: 1}, {owner: 99})
    custody.write(frame(100), owner, 7)
    custody.resume(100, 0)
    assert covered.owners == {owner: 99}, "a part of a roster brings a link no further"
    covered.keep((), ())
    assert (covered.unconfirmed, covered.confirmed, covered.owners) == ({}, {}, {})
    custody.on_ack(100, 0)
    assert (owner.marks, custody.covered, custody.all_acked) == ([], None, True)


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
