# SPDX-License-Identifier: Apache-2.0
"""Captures as text."""

import pytest

from callchannel.cli.captures import CaptureError, Packet, read_capture
from callchannel.core.lanes import Lane


def packets(text: str, lane: Lane = Lane.RELIABLE) -> list[Packet]:
    return list(read_capture(text, lane))


def test_hexadecimal_in_any_grouping() -> None:
    for text in ("0102ff", "01 02 FF", "0x01 0x02 0xff", "01:02:ff", "01,02, ff", "01\n02 ; comment\nff # comment"):
        assert packets(text) == [Packet(b"\x01\x02\xff", Lane.RELIABLE, 1)]


def test_an_empty_line_ends_a_packet_a_comment_does_not() -> None:
    text = "; a capture\n\n01\n; inside\n02\n\n\n03\n"
    assert [(packet.data, packet.line) for packet in packets(text)] == [(b"\x01\x02", 3), (b"\x03", 8)]


def test_lanes() -> None:
    text = "01\nlossy 02 03\n04\nreliable 05\n\n06"
    found = packets(text, Lane.LOSSY)
    assert [(packet.data, packet.lane) for packet in found] == [
        (b"\x01", Lane.LOSSY),
        (b"\x02\x03\x04", Lane.LOSSY),
        (b"\x05", Lane.RELIABLE),
        (b"\x06", Lane.LOSSY),
    ]


def test_an_empty_packet_needs_its_lane() -> None:
    assert packets("") == packets("\n ; nothing\n") == []
    assert packets("lossy") == [Packet(b"", Lane.LOSSY, 1)]


def test_json() -> None:
    text = '{"lane": "lossy", "hex": "0102", "time": 7}\n{"hex": "03 04"}\n05'
    assert [(packet.data, packet.lane, packet.line) for packet in packets(text)] == [
        (b"\x01\x02", Lane.LOSSY, 1),
        (b"\x03\x04", Lane.RELIABLE, 2),
        (b"\x05", Lane.RELIABLE, 3),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("01\nx\x1b[2J", 'line 2: "x\\x1b[2J" is not hexadecimal'),
        ("01 2", "line 1: the packet has 3 digits, which is not a whole number of bytes"),
        ("{", "line 1: it is not JSON"),
        ('{"hex": 5}', 'line 1: it has no text "hex"'),
        ("{}", 'line 1: it has no text "hex"'),
        ('{"hex": "01", "lane": 1}', 'line 1: "lane" has to be "reliable" or "lossy"'),
        ('{"hex": "01", "lane": "both"}', 'line 1: "lane" has to be "reliable" or "lossy"'),
        ('{"hex": "zz"}', 'line 1: "zz" is not hexadecimal'),
        ("٠١", "is not hexadecimal"),
    ],
)
def test_what_is_no_capture_is_told_with_its_line(text: str, told: str) -> None:
    with pytest.raises(CaptureError, match="line") as caught:
        packets(text)
    assert told in str(caught.value)
