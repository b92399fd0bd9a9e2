# SPDX-License-Identifier: Apache-2.0
"""Frames to bytes: one encoding for each (CC-FRAME-103), and what a relay hands on (CC-FRAME-104)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callchannel.core import frames as wire
from callchannel.core.decoding import decode_packet
from callchannel.core.lanes import Lane
from callchannel.core.recipients import Recipients
from tests.core.strategies import any_frame, data_frames


def assert_round_trip(frame: wire.Frame) -> None:
    """Bytes to frame and back, twice, without a change."""
    encoded = frame.encode()
    assert int.from_bytes(encoded[2:4], "big") == len(encoded)
    (decoded,) = decode_packet(encoded)
    assert decoded == frame
    assert decoded.encode() == encoded


@given(any_frame)
def test_property_round_trip(frame: wire.Frame) -> None:
    assert_round_trip(frame)


@given(st.lists(any_frame, max_size=6))
def test_property_packets_hold_several_frames(frames: list[wire.Frame]) -> None:
    packet = b"".join(frame.encode() for frame in frames)
    if frames:
        assert list(decode_packet(packet)) == frames


@given(data_frames(lossy=True))
def test_property_lossy_data_goes_on_either_lane(frame: wire.Data) -> None:
    assert list(decode_packet(frame.encode(), Lane.LOSSY)) == list(decode_packet(frame.encode())) == [frame]


@given(data_frames().filter(lambda frame: frame.recipients is not None and not frame.recipients.names_everyone))
def test_property_stripping_removes_the_recipient_block_alone(frame: wire.Data) -> None:
    stripped = wire.strip_recipients(frame.encode())
    assert frame.recipients is not None
    assert len(stripped) == len(frame.encode()) - len(frame.recipients.encode())
    frame.recipients = None
    assert list(decode_packet(stripped)) == [frame]


@given(data_frames())
def test_property_length_is_that_on_the_wire(frame: wire.Data) -> None:
    (decoded,) = decode_packet(frame.encode())
    assert isinstance(decoded, wire.Data)
    assert decoded.length == len(frame.encode())
    assert decoded.reliable is bool(frame.flags & wire.RELIABLE)


def test_confirmed_broadcast_loses_its_block_too() -> None:
    frame = wire.Data(7, 2, 5, 6, b"hi", wire.RELIABLE | wire.CONFIRM, recipients=Recipients(12, True, 0))
    (stripped,) = decode_packet(wire.strip_recipients(frame.encode()))
    assert stripped == wire.Data(7, 2, 5, 6, b"hi", wire.RELIABLE | wire.CONFIRM)


@pytest.mark.parametrize(
    ("text", "written"),
    [("x" * 300, "x" * 255), ("é" * 200, "é" * 127), ("\ud800", "?"), ("", "")],
)
def test_text_of_bye_is_cut_at_a_character(text: str, written: str) -> None:
    """CC-FRAME-092, 093."""
    (decoded,) = decode_packet(wire.Bye(1, text).encode())
    assert decoded == wire.Bye(1, written)


def test_payload_may_be_a_view() -> None:
    frame = wire.encode_data(wire.RELIABLE, 1, 2, 3, 4, b"", memoryview(b"abc"))
    assert list(decode_packet(frame)) == [wire.Data(1, 2, 3, 4, b"abc", wire.RELIABLE)]
