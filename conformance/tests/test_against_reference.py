# SPDX-License-Identifier: Apache-2.0
"""The wire grammar and the reference codec, on the same bytes: the same frames, or the same code after the same frames.

The suite itself never imports the reference. This test does, and shows that two readings of chapter 3 agree.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from callchannel.core.decoding import decode_packet
from callchannel.core.errors import FrameError
from callchannel.core.lanes import Lane
from callchannel_conformance import wire, wire_strategies

LANES = {"reliable": Lane.RELIABLE, "lossy": Lane.LOSSY}


def by_grammar(packet: bytes, lane: str) -> tuple[str | None, list[bytes]]:
    """Return code and frames of the grammar, each frame encoded again."""
    try:
        frames, code = wire.decode_packet(packet, lane), None
    except wire.WireError as error:
        frames, code = error.frames, error.code
    return code, [wire.encode_frame(frame) for frame in frames]


def by_reference(packet: bytes, lane: str) -> tuple[str | None, list[bytes]]:
    """Return code and frames of the reference, each frame encoded again."""
    frames: list[bytes] = []
    try:
        for frame in decode_packet(packet, LANES[lane]):
            frames.append(frame.encode())  # noqa: PERF401
    except FrameError as error:
        return error.code.name, frames
    return None, frames


def agree(packet: bytes, lane: str) -> None:
    assert by_reference(packet, lane) == by_grammar(packet, lane)


@given(st.binary(max_size=120), st.sampled_from(sorted(LANES)))
def test_property_any_bytes(packet: bytes, lane: str) -> None:
    agree(packet, lane)


@given(wire_strategies.framed_bytes())
def test_property_framed_bytes(drawn: tuple[str, bytes]) -> None:
    lane, packet = drawn
    agree(packet, lane)


@given(wire_strategies.packets())
def test_property_valid_packets(drawn: tuple[str, bytes]) -> None:
    lane, packet = drawn
    agree(packet, lane)


@given(wire_strategies.mutated_packets())
def test_property_mutated_packets(drawn: tuple[str, bytes]) -> None:
    lane, packet = drawn
    agree(packet, lane)
