# SPDX-License-Identifier: Apache-2.0
"""Bytes to frames: a frame or a `FrameError`, whatever the bytes (CC-FRAME-004). Rules have vectors: `test_vectors`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callchannel.core import frames as wire
from callchannel.core.decoding import check_packet, decode_packet, is_countable
from callchannel.core.errors import ErrorCode, FrameError
from callchannel.core.lanes import Lane
from tests.core.strategies import any_frame

OF_THE_CODEC = {
    ErrorCode.PACKET_SIZE,
    ErrorCode.FRAME_LENGTH,
    ErrorCode.UNKNOWN_TYPE,
    ErrorCode.WRONG_LANE,
    ErrorCode.FRAME_FORMAT,
    ErrorCode.HANDSHAKE,
    ErrorCode.VERSION,
}
lanes = st.sampled_from(Lane)


def outcome(packet: bytes, lane: Lane) -> tuple[list[wire.Frame], int | None]:
    """The frames before the first fault, and its code; anything else that is raised fails the test."""
    frames: list[wire.Frame] = []
    decoder = decode_packet(packet, lane)
    while True:
        try:
            frames.append(next(decoder))
        except StopIteration:
            return frames, None
        except FrameError as error:
            assert error.code in OF_THE_CODEC
            assert 0 <= error.offset <= max(len(packet), 1)
            assert error.requirement.startswith("CC-FRAME-")
            assert error.requirement in str(error)
            return frames, error.code


def assert_reproduced(frames: list[wire.Frame], packet: bytes) -> None:
    """What was taken encodes to the bytes that it came from."""
    encoded = b"".join(frame.encode() for frame in frames)
    assert packet.startswith(encoded)


@given(st.binary(max_size=200), lanes)
def test_property_any_bytes(packet: bytes, lane: Lane) -> None:
    frames, code = outcome(packet, lane)
    assert_reproduced(frames, packet)
    assert (code is None) == (b"".join(frame.encode() for frame in frames) == packet and bool(packet))


@given(any_frame, lanes)
def test_property_every_truncation(frame: wire.Frame, lane: Lane) -> None:
    encoded = frame.encode()
    for end in range(len(encoded)):
        frames, code = outcome(encoded[:end], lane)
        assert frames == []
        assert code == (ErrorCode.FRAME_LENGTH if end else ErrorCode.PACKET_SIZE)


@given(any_frame, lanes)
def test_property_every_truncation_with_a_length_that_fits(frame: wire.Frame, lane: Lane) -> None:
    """The frame is cut within its blocks, and says so in its length."""
    encoded = frame.encode()
    for end in range(4, len(encoded)):
        packet = encoded[:2] + end.to_bytes(2, "big") + encoded[4:end]
        assert_reproduced(outcome(packet, lane)[0], packet)


@given(any_frame, st.binary(min_size=1, max_size=3))
def test_property_every_single_byte_change(frame: wire.Frame, masks: bytes) -> None:
    encoded = frame.encode()
    for at in range(min(len(encoded), 120)):
        changed = bytearray(encoded)
        changed[at] ^= masks[at % len(masks)] or 0xFF
        frames, code = outcome(bytes(changed), Lane.RELIABLE)
        assert_reproduced(frames, bytes(changed))
        assert frames or code is not None
        assert_reproduced(outcome(bytes(changed), Lane.LOSSY)[0], bytes(changed))


@given(any_frame, any_frame)
def test_property_frames_before_a_fault_stand(first: wire.Frame, second: wire.Frame) -> None:
    """CC-FRAME-002."""
    cut = second.encode()[:-1]
    frames, code = outcome(first.encode() + cut, Lane.RELIABLE)
    assert frames[0] == first
    assert code is not None


@given(st.integers(0, 255), st.integers(0, 255))
def test_property_countable_types(kind: int, flags: int) -> None:
    """CC-FRAME-097."""
    expected = not kind & 0x40 and (kind != wire.FrameType.DATA or bool(flags & 1))
    assert is_countable(kind, flags) is expected


@pytest.mark.parametrize(("lane", "limit"), [(Lane.RELIABLE, 16_384), (Lane.LOSSY, 1_150)])
def test_size_of_a_packet(lane: Lane, limit: int) -> None:
    """CC-FRAME-006, 007: a size is allowed up to and including its limit."""
    check_packet(bytes(limit), lane)
    for size in (0, limit + 1):
        with pytest.raises(FrameError) as caught:
            check_packet(bytes(size), lane)
        assert caught.value.code == ErrorCode.PACKET_SIZE


def test_largest_frame_fills_a_packet() -> None:
    frame = wire.Data(1, 2, 3, 4, bytes(16_368), wire.RELIABLE)
    assert len(frame.encode()) == 16_384
    assert list(decode_packet(frame.encode())) == [frame]


@pytest.mark.parametrize("rest", [1, 2, 3])
def test_a_packet_that_ends_within_the_start_of_a_frame_says_how(rest: int) -> None:
    """CC-FRAME-009."""
    with pytest.raises(FrameError, match=rf"byte 8: .* at least 4 bytes, here the packet has {rest} more"):
        list(decode_packet(b"\x80\x00\x00\x08skip" + bytes(rest)))
