# SPDX-License-Identifier: Apache-2.0
"""File names that come from a peer (specification, chapter 16): what is left of one must be harmless on any system."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

_LONGEST: Final = 200
"""Bytes of UTF-8: file systems take 255, and a number may have to be added."""

_LONGEST_SUFFIX: Final = 20

_FORBIDDEN: Final = re.compile(r'[<>:"|?*]')
_DEVICE: Final = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])(?:\.|$)", re.IGNORECASE)


def safe_name(name: str | None, default: str = "file") -> str:
    r"""The last component of `name` without anything that a file system, a shell or a reader's eye could mistake.

    The result is never empty, has no separator, no control or formatting character, no dot or space at either end, is
    no device of Windows, and is at most 200 bytes long.

        >>> safe_name("../../etc/passwd"), safe_name("C:\\boot.ini"), safe_name(".."), safe_name("aux.txt")
        ('passwd', 'boot.ini', 'file', '_aux.txt')
    """
    text = unicodedata.normalize("NFC", name or "")
    text = re.split(r"[/\\]", text)[-1]
    text = "".join(
        char for char in text if unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    )
    text = _FORBIDDEN.sub("_", text).strip(" .\u00a0")
    if _DEVICE.match(text):
        text = "_" + text
    return _shorten(text).strip(" .\u00a0") or default


def numbered(name: str) -> Iterator[str]:
    """`name`, then names like it: "a.txt", "a (1).txt", "a (2).txt", up to 9,999."""
    yield name
    stem, suffix = _split(name)
    for number in range(1, 10_000):
        yield f"{stem} ({number}){suffix}"


def _split(name: str) -> tuple[str, str]:
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(suffix.encode()) >= _LONGEST_SUFFIX:
        return name, ""
    return stem, dot + suffix


def _shorten(name: str) -> str:
    if len(name.encode()) <= _LONGEST:
        return name
    stem, suffix = _split(name)
    return stem.encode()[: _LONGEST - len(suffix.encode())].decode(errors="ignore") + suffix
