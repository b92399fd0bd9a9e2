# SPDX-License-Identifier: Apache-2.0
"""Text of others on a terminal (specification, section 16.8).

Identifiers, messages, names and content types come from peers. Written as they are, they could move the cursor, change
the window's title, begin a line that looks like somebody else's, or turn the writing direction of what follows.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_UNSAFE: Final = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
"""Control, format, surrogate, private, unassigned, line and paragraph separators: more than CC-SEC-016 asks for."""

_JOINERS: Final = frozenset("\u200c\u200d")
"""Needed to write Persian and many emoji; in a text they can't hide anything, in a name they could."""

_SHORT: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def visible(text: str, longest: int | None = None) -> str:
    r"""`text` on one line, with everything that a terminal would act upon as `\n`, `\xNN`, `\uNNNN` or `\UNNNNNNNN`.

    Beyond `longest` characters it is cut, and the rest counted.

        >>> visible("a\x1b[2Jb\u202ec\nd")
        'a\\x1b[2Jb\\u202ec\\nd'
    """
    rest = 0
    if longest is not None and len(text) > longest:
        rest = len(text) - longest
        text = text[:longest]
    if not (text.isascii() and text.isprintable()):
        text = "".join(char if _is_safe(char) else _escaped(char) for char in text)
    return f"{text}… ({rest:,} more characters)" if rest else text


def quoted(text: str, longest: int | None = None) -> str:
    r"""A name, in quotes. No other text looks the same: quotes and backslashes are escaped, joiners too.

    >>> quoted('a"b\\')
    '"a\\"b\\\\"'
    """
    shown = visible(text.replace("\\", "\\\\").replace('"', '\\"'), longest)
    return '"' + "".join(_escaped(char) if char in _JOINERS else char for char in shown) + '"'


def _is_safe(char: str) -> bool:
    return char in _JOINERS or unicodedata.category(char) not in _UNSAFE


def _escaped(char: str) -> str:
    number = ord(char)
    if char in _SHORT:
        return _SHORT[char]
    if number <= 0xFF:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"
