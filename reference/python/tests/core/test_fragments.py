# SPDX-License-Identifier: Apache-2.0
"""Reassembly, against models over lists of operations (chapter 6)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callchannel.core.errors import ErrorCode
from callchannel.core.fragments import FragmentFault, LossyAssembly, ReliableAssembly
from callchannel.core.frames import ABORT_BIT, LAST_BIT, MAX_INDEX, Fragment


def reliable(fragments: list[tuple[Fragment, bytes]]) -> tuple[ReliableAssembly, bool]:
    """Put fragments together; whether the last of them was the message's last."""
    assembly, last = ReliableAssembly(1, fragments[0][0].total), False
    for fragment, payload in fragments:
        last = assembly.add(fragment, payload)
    return assembly, last


pieces = st.lists(st.binary(min_size=1, max_size=8), min_size=1, max_size=6)


def cut(parts: list[bytes], *, stream: bool = False) -> list[tuple[Fragment, bytes]]:
    """The fragments of a message that is cut in this way."""
    total = 0 if stream else sum(map(len, parts))
    return [(Fragment(index, total, index == len(parts) - 1), part) for index, part in enumerate(parts)]


# --- Reliable --------------------------------------------------------------------------------


@given(pieces, st.booleans())
def test_property_reliable_message_is_put_together(parts: list[bytes], stream: bool) -> None:
    assembly, last = reliable(cut(parts, stream=stream))
    assert last
    assert assembly.is_stream is stream
    assert assembly.received == sum(map(len, parts))
    assert assembly.join() == b"".join(parts)


fragments = st.builds(
    Fragment,
    index=st.integers(0, 4),
    total=st.sampled_from([0, 4, 6]),
    last=st.booleans(),
    abort=st.just(False) | st.booleans(),
)


@given(st.lists(st.tuples(fragments, st.binary(max_size=4)), max_size=8))
def test_property_reliable_against_a_model(steps: list[tuple[Fragment, bytes]]) -> None:
    """CC-FRAG-045 to 051: SEQUENCE for a gap, then FRAGMENT for what contradicts."""
    assembly = ReliableAssembly(1, 6)
    received = b""
    for index, (fragment, payload) in enumerate(steps):
        assert assembly.next_index == index
        if fragment.index != index:
            expected: int | None = ErrorCode.SEQUENCE
        elif fragment.total != 6:
            expected = ErrorCode.FRAGMENT
        elif fragment.abort:
            expected = None
        else:
            size = len(received) + len(payload)
            expected = ErrorCode.FRAGMENT if size > 6 or fragment.last != (size == 6) else None
        if expected is not None:
            with pytest.raises(FragmentFault) as caught:
                assembly.add(fragment, payload)
            assert caught.value.code == expected
            return
        done = assembly.add(fragment, payload)
        assert done is (fragment.last and not fragment.abort)
        if fragment.abort:
            return
        received += payload
        if done:
            assert assembly.join() == received
            return


@given(st.lists(st.integers(1, 4), max_size=4), st.integers(0, 2), st.integers(0, 6), st.sampled_from([0, 1, 2]))
def test_property_fits_is_what_add_takes(sizes: list[int], ahead: int, size: int, bits: int) -> None:
    assembly = ReliableAssembly(1, 8)
    for part in sizes:
        if assembly.received + part < 8:
            assembly.add(Fragment(assembly.next_index, 8), bytes(part))
    index = assembly.next_index + ahead - 1 if ahead or assembly.next_index else 0
    last, abort = bits == 1, bits == 2
    place = index | (LAST_BIT if last else 0) | (ABORT_BIT if abort else 0)
    fits = assembly.fits(place, 8, size)
    assert not assembly.fits(place, 9, size)
    try:
        assembly.add(Fragment(index, 8, last=last, abort=abort), bytes(size))
    except FragmentFault:
        assert not fits
    else:
        assert fits is not abort  # what aborts takes the long way


def test_fits_not_where_the_last_index_ends_nothing() -> None:
    assembly = ReliableAssembly(1, 8)
    assembly.next_index = MAX_INDEX
    assert not assembly.fits(MAX_INDEX, 8, 7)
    assert assembly.fits(MAX_INDEX | LAST_BIT, 8, 8)


def test_chunks_are_handed_out_once() -> None:
    assembly, _ = reliable([(Fragment(0, 0), b"ab"), (Fragment(1, 0), b"c")])
    assert assembly.take_chunks() == [b"ab", b"c"]
    assert assembly.take_chunks() == []
    assert assembly.add(Fragment(2, 0, last=True), b"")
    assert assembly.take_chunks() == []


# --- Lossy -----------------------------------------------------------------------------------


@given(pieces, st.data())
def test_property_lossy_fragments_come_in_any_order_and_doubled(parts: list[bytes], data: st.DataObject) -> None:
    """CC-FRAG-037, 038."""
    assembly = LossyAssembly()
    message = cut(parts)
    arrivals = data.draw(st.permutations(message + data.draw(st.lists(st.sampled_from(message), max_size=4))))
    found, seen = None, set[int]()
    for fragment, payload in arrivals:
        assert assembly.has(3, fragment.index) is (fragment.index in seen)
        found = assembly.add(3, fragment, payload)
        seen.add(fragment.index)
        if found is not None:
            break
        assert 3 in assembly
        assert assembly.held_bytes == sum(len(parts[index]) for index in seen)
    assert found == b"".join(parts)
    assert len(assembly) == assembly.held_bytes == 0


@given(
    st.lists(
        st.tuples(
            st.integers(1, 3),
            st.builds(Fragment, index=st.integers(0, 3), total=st.sampled_from([3, 5]), last=st.booleans()),
            st.binary(min_size=1, max_size=3),
        ),
        max_size=14,
    )
)
def test_property_lossy_against_a_model(steps: list[tuple[int, Fragment, bytes]]) -> None:
    """CC-FRAG-053, 054, with messages between each other."""
    assembly = LossyAssembly()
    model: dict[int, dict[int, tuple[Fragment, bytes]]] = {}
    for sequence, fragment, payload in steps:
        parts = model.get(sequence, {})
        if fragment.index in parts:
            assert assembly.add(sequence, fragment, payload) is None
            continue
        with_it = parts | {fragment.index: (fragment, payload)}
        size = sum(len(part) for _, part in with_it.values())
        lasts = [index for index, (item, _) in with_it.items() if item.last]
        complete = bool(lasts) and set(with_it) == set(range(lasts[0] + 1))
        contradicts = (
            len({item.total for item, _ in with_it.values()}) > 1
            or size > fragment.total
            or len(lasts) > 1
            or (bool(lasts) and max(with_it) > lasts[0])
            or (complete and size < fragment.total)
        )
        assert (assembly.contradiction(sequence, fragment, len(payload)) is not None) is contradicts
        if contradicts:
            with pytest.raises(FragmentFault) as caught:
                assembly.add(sequence, fragment, payload)
            assert caught.value.code == ErrorCode.FRAGMENT
            model.pop(sequence, None)
        else:
            found = assembly.add(sequence, fragment, payload)
            if complete:
                assert found == b"".join(with_it[index][1] for index in sorted(with_it))
                model.pop(sequence, None)
            else:
                assert found is None
                model[sequence] = with_it
        assert assembly.sequences() == list(model)
        assert assembly.held_bytes == sum(len(part) for parts in model.values() for _, part in parts.values())


def test_dropping_gives_the_bytes_back() -> None:
    assembly = LossyAssembly()
    assembly.add(1, Fragment(0, 10), b"abc")
    assembly.drop(1)
    assembly.drop(1)
    assert len(assembly) == assembly.held_bytes == 0
