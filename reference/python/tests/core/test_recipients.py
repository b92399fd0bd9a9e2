# SPDX-License-Identifier: Apache-2.0
"""Sets of slots and the recipient block (CC-FRAME-038 to 045, section 4.12), against Python's own sets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callchannel.core.errors import ErrorCode, FrameError
from callchannel.core.recipients import NO_SLOT, Recipients, count_words, decode_recipients, mask_of, slots_of
from tests.core.strategies import positive, recipients, slots

slot_sets = st.one_of(st.sets(slots, max_size=40), st.sets(st.integers(0, 80)))


@given(slot_sets)
def test_property_mask_and_slots_are_inverse(found: set[int]) -> None:
    assert list(slots_of(mask_of(found))) == sorted(found)


@given(slot_sets, slot_sets)
def test_property_operations_are_those_of_sets(first: set[int], second: set[int]) -> None:
    one, other = mask_of(first), mask_of(second)
    assert set(slots_of(one | other)) == first | second
    assert set(slots_of(one & other)) == first & second
    assert set(slots_of(one & ~other)) == first - second
    assert one.bit_count() == len(first)


@given(slot_sets)
def test_property_words_are_counted(found: set[int]) -> None:
    assert count_words(mask_of(found)) == len({slot // 32 for slot in found})


@given(recipients, st.binary(max_size=8), st.binary(max_size=8))
def test_property_block_round_trip(block: Recipients, before: bytes, after: bytes) -> None:
    packet = before + block.encode() + after
    end = len(packet) - len(after)
    assert decode_recipients(packet, len(before), end, 0x7FFF) == (block, end)


@given(recipients)
def test_property_truncated_block_is_an_error(block: Recipients) -> None:
    encoded = block.encode()
    for end in range(len(encoded)):
        with pytest.raises(FrameError) as caught:
            decode_recipients(encoded, 0, end, 0x7FFF)
        assert caught.value.code == ErrorCode.FRAME_FORMAT


@given(positive, slot_sets.filter(bool))
def test_property_block_takes_six_bytes_and_six_for_each_word(epoch: int, found: set[int]) -> None:
    encoded = Recipients(epoch, False, mask_of(found)).encode()
    assert len(encoded) == 6 + 6 * len({slot // 32 for slot in found})


def test_one_of_ten_thousand_takes_twelve_bytes() -> None:
    assert Recipients(10_000, False, mask_of([9_999])).encode().hex() == "000027100001013800008000"


def test_last_slot() -> None:
    encoded = Recipients(1, False, mask_of([NO_SLOT - 1])).encode()
    assert encoded.hex() == "00000001000107ff40000000"


def test_everyone_is_the_exception_of_nobody() -> None:
    assert Recipients(1, True, 0).names_everyone
    assert not Recipients(1, False, 1).names_everyone
    assert not Recipients(1, True, 1).names_everyone


@pytest.mark.parametrize(
    ("block", "rule"),
    [
        ("00000001", "CC-FRAME-021"),
        ("000000000001000000000001", "CC-FRAME-038"),
        ("000000010000", "CC-FRAME-039"),
        ("000000010003000000000001", "CC-FRAME-040"),
        ("000000010002000000000001", "CC-FRAME-021"),
        ("000000010002000100000001000100000001", "CC-FRAME-041"),
        ("000000010001000300000000", "CC-FRAME-042"),
        ("00000001000107ff80000000", "CC-FRAME-043"),
        ("000000010001080000000001", "CC-FRAME-043"),
    ],
)
def test_faults_name_the_rule(block: str, rule: str) -> None:
    packet = bytes.fromhex(block)
    with pytest.raises(FrameError) as caught:
        decode_recipients(packet, 0, len(packet), 2)
    assert (caught.value.code, caught.value.requirement) == (ErrorCode.FRAME_FORMAT, rule)
