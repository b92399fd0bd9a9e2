# SPDX-License-Identifier: Apache-2.0
"""The code blocks of the pages in `docs/`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from tools.faults import ROOT

_FENCE = re.compile(r'^( *)```(\w+)(?: title="([^"]*)")?\n(.*?)^\1```$', re.MULTILINE | re.DOTALL)
_ANY_FENCE = re.compile(r"^\s*```", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class DocBlock:
    """One block: `title` is a file's name, or says what the block is about the one before it."""

    page: str
    line: int
    language: str
    title: str
    text: str

    @property
    def place(self) -> str:
        """Where it stands; the name of its test."""
        return f"{self.page}:{self.line}"


def blocks_of(path: Path) -> list[DocBlock]:
    """The blocks of a page in order. Raises `ValueError` for a fence that is not one of these."""
    source = path.read_text("utf-8")
    page = path.relative_to(ROOT / "docs").as_posix()
    found = [
        DocBlock(page, source.count("\n", 0, match.start()) + 1, match[2], match[3] or "", dedent(match[4]))
        for match in _FENCE.finditer(source)
    ]
    if len(_ANY_FENCE.findall(source)) != 2 * len(found):
        raise ValueError(f"{page} has a code block without a language, or one that does not end as it begins")
    return found


def all_blocks() -> list[DocBlock]:
    """The blocks of all pages."""
    return [block for path in sorted((ROOT / "docs").rglob("*.md")) for block in blocks_of(path)]


def what_it_prints(block: DocBlock, among: list[DocBlock]) -> DocBlock | None:
    """The block behind this one, if it says what this one prints."""
    at = among.index(block)
    behind = among[at + 1] if at + 1 < len(among) else None
    if behind and behind.page == block.page and behind.title in ("It prints", "It ends with"):
        return behind
    return None
