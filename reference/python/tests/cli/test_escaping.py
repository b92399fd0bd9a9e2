# SPDX-License-Identifier: Apache-2.0
"""Text of others does nothing to a terminal."""

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callchannel.escaping import quoted, visible


def test_attacks(attack: str, is_harmless: Callable[[str], bool]) -> None:
    # CC-SEC-016
    assert is_harmless(visible(attack))
    assert is_harmless(quoted(attack))


UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
JOINERS = "\u200c\u200d"
REQUIRED = [*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, 0x200E, 0x200F, *range(0x202A, 0x202F)]
REQUIRED += [*range(0x2066, 0x206A)]


def test_everything_that_the_standard_lists_is_replaced() -> None:
    # CC-SEC-016
    for number in REQUIRED:
        assert chr(number) not in visible(f"a{chr(number)}b"), hex(number)
        assert chr(number) not in quoted(f"a{chr(number)}b"), hex(number)


@given(st.text())
def test_nothing_that_acts_is_left_property(text: str) -> None:
    for shown in (visible(text), quoted(text)):
        shown.encode()
        assert not {unicodedata.category(char) for char in shown if char not in JOINERS} & UNSAFE


@given(st.text(), st.text())
def test_names_that_differ_look_different_property(one: str, other: str) -> None:
    assert (quoted(one) == quoted(other)) == (one == other)


@pytest.mark.parametrize(
    "text", ["Anna", "Müller", "Добрый день", "こんにちは", "👋 hi", "C:\\x", "می\u200cخواهم", "👩\u200d🚀"]
)
def test_ordinary_text_stays(text: str) -> None:
    assert visible(text) == text


def test_names_are_quoted() -> None:
    assert quoted('a "b" \\n') == '"a \\"b\\" \\\\n"'
    assert quoted("a\nb") == '"a\\nb"'
    assert quoted("pay\u200dpal") == '"pay\\u200dpal"'


def test_long_texts_are_cut() -> None:
    assert visible("x" * 2_000, 10) == "xxxxxxxxxx… (1,990 more characters)"
    assert visible("x" * 10, 10) == "x" * 10
    assert "\x1b" not in visible("\x1b" * 100, 10)
