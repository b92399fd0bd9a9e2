# SPDX-License-Identifier: Apache-2.0
"""Where expected and actual differ is said in words, and shown in bytes however far behind it is."""

from __future__ import annotations

import pytest

from callchannel_conformance import difference, report


@pytest.mark.parametrize(
    ("expected", "actual", "words"),
    [
        ([{"type": "ACK", "received": 3}], [{"type": "ACK", "received": 4}], "[0].received: 4 instead of 3"),
        ({"payload": "0102ff"}, {"payload": "0103ff"}, "payload: byte 1: 03 instead of 02"),
        ("0102", "010203", "byte 2: 03 instead of the end"),
        ([{"a": 1}], [{"a": 1}, {"b": 2}], "[1]: not expected, {'b': 2}"),
        ([1, 2], [1], "[1]: missing, 2"),
        ({"a": 1, "b": 2}, {"a": 1}, "b: missing, 2"),
        ({"a": 1}, {"a": 1, "b": 2}, "b: not expected, 2"),
        ({"fragment": {"index": 1}}, {"fragment": {"index": 2}}, "fragment.index: 2 instead of 1"),
        ("NONE", "LOST", "'LOST' instead of 'NONE'"),
        (["RELIABLE"], ["RELIABLE"], ""),
        ("x" * 200, None, f"None instead of '{'x' * 77} …"),
    ],
)
def test_the_first_difference_in_words(expected: object, actual: object, words: str) -> None:
    assert difference.first(expected, actual) == words


def test_a_difference_far_behind_is_shown() -> None:
    left, right = "00" * 1_000 + "aa", "00" * 1_000 + "bb"
    shown = report._difference(left, right)
    assert "byte 1000: bb instead of aa" in shown
    assert "… from byte 976: 00" in shown
    assert "<mark>aa</mark>" in shown and "<mark>bb</mark>" in shown


def test_frames_are_shown_as_their_bytes() -> None:
    frames = [{"type": "ACK", "received": 16}]
    assert difference.encoded(frames) == "4300000c0000000000000010"
    assert difference.encoded([{"type": "ACK"}]) is None
    assert difference.encoded(()) is None
