# SPDX-License-Identifier: Apache-2.0
"""Where two values differ: the first place in them, and their bytes around it."""

from __future__ import annotations

from typing import Any, Final

from callchannel_conformance import wire

_DIGITS: Final = frozenset("0123456789abcdef")
_SHOWN: Final = 80
AROUND: Final = 24
"""Bytes that are shown in front of the first one that differs."""


def is_bytes(value: Any) -> bool:
    """Whether a value is text of hexadecimal digits, two for each byte."""
    return isinstance(value, str) and bool(value) and len(value) % 2 == 0 and _DIGITS.issuperset(value)


def encoded(value: Any) -> str | None:
    """Hexadecimal digits of a packet, of a frame that can be encoded, or of a list of those; None for all else."""
    if is_bytes(value):
        return str(value)
    if isinstance(value, dict) and "type" in value:
        try:
            return wire.encode_frame(value, judge=False).hex()
        except (ValueError, KeyError, TypeError):
            return None
    if isinstance(value, list | tuple) and value:
        parts = [encoded(part) for part in value]
        return "".join(part for part in parts if part) if all(parts) else None
    return None


def first_byte(left: str, right: str) -> int | None:
    """The offset of the first byte that differs, in two texts of digits; None where there is none."""
    for offset in range(0, max(len(left), len(right)), 2):
        if left[offset : offset + 2] != right[offset : offset + 2]:
            return offset // 2
    return None


def first(expected: Any, actual: Any, place: str = "") -> str:
    """The first place at which two values differ, and how, in words; empty where they are equal."""
    if expected == actual:
        return ""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in (*expected, *(key for key in actual if key not in expected)):
            inner = f"{place}.{key}" if place else str(key)
            if key not in actual or key not in expected:
                missing = key not in actual
                return f"{inner}: {'missing' if missing else 'not expected'}, {_short((expected | actual)[key])}"
            if found := first(expected[key], actual[key], inner):
                return found
    if isinstance(expected, list | tuple) and isinstance(actual, list | tuple):
        for number, (one, other) in enumerate(zip(expected, actual, strict=False)):
            if found := first(one, other, f"{place}[{number}]"):
                return found
        if len(expected) != len(actual):
            number = min(len(expected), len(actual))
            more = (*expected[number:], *actual[number:])[0]
            kind = "missing" if len(expected) > len(actual) else "not expected"
            return f"{place}[{number}]: {kind}, {_short(more)}"
    where = f"{place}: " if place else ""
    if is_bytes(expected) and is_bytes(actual) and (offset := first_byte(expected, actual)) is not None:
        pair = slice(2 * offset, 2 * offset + 2)
        return f"{where}byte {offset}: {actual[pair] or 'the end'} instead of {expected[pair] or 'the end'}"
    return f"{where}{_short(actual)} instead of {_short(expected)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 2]} …"


def window(digits: str, other: str) -> tuple[int, str]:
    """The part of a long text of digits that shows where it begins to differ from another; its first byte."""
    offset = first_byte(digits, other) or 0
    begin = max(0, offset - AROUND)
    return begin, digits[2 * begin : 2 * begin + 512]
