# SPDX-License-Identifier: Apache-2.0
"""Bundling (section 8.4)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from callchannel.core.packets import Packet


@given(st.integers(1_150, 16_384), st.booleans(), st.lists(st.integers(1, 16_384), max_size=30))
def test_property_packets_keep_their_size(bundle: int, lossy: bool, sizes: list[int]) -> None:
    """CC-SCHED-005, 006."""
    packet, taken = Packet(bundle, lossy=lossy), list[int]()
    limit = 1_150 if lossy else 16_384
    for size in sizes:
        if size <= packet.room:
            room = packet.add(b"x" * size)
            taken.append(size)
            assert room == packet.room
    assert packet.size == sum(taken) == len(packet.encode())
    assert packet.size <= limit
    if len(taken) > 1 and packet.size > min(bundle, limit):
        assert sum(taken[:-1]) <= 128


def test_small_frames_stand_in_front_of_a_large_one() -> None:
    packet = Packet(1_150)
    assert packet.room == 16_384
    packet.add(b"x" * 128)
    assert packet.room == 16_384 - 128
    packet.add(b"y")
    assert packet.room == 1_150 - 129


def test_a_packet_of_one_frame_is_that_frame() -> None:
    packet, frame = Packet(1_150), b"frame"
    packet.add(frame)
    assert packet.encode() is frame


def test_the_lossy_lane_has_a_limit_of_its_own() -> None:
    packet = Packet(16_384, lossy=True)
    assert packet.room == 1_150
    packet.add(b"x" * 200)
    assert packet.room == 950
