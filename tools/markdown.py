# SPDX-License-Identifier: Apache-2.0
"""The part of Markdown that the chapters use: headings, paragraphs, list items, tables, fences and comments.

`parse` cuts a file into blocks. Nothing here knows what a requirement is.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

_FENCE: Final = re.compile(r"^\s*(`{3,}|~{3,})\s*(.*?)\s*$")
_HEADING: Final = re.compile(r"^(#{1,6})\s+(.*?)\s*#*\s*$")
_ITEM: Final = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+(?=\S)")
_ORDERED: Final = re.compile(r"^\s*\d+[.)]\s")
_CODE_SPAN: Final = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_LINK: Final = re.compile(r"\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(\s*<?([^()\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_PIPE: Final = re.compile(r"(?<!\\)\|")


class Kind(enum.Enum):
    """What a block is."""

    HEADING = "heading"
    PARAGRAPH = "paragraph"
    ITEM = "list item"
    TABLE = "table"
    FENCE = "fence"
    COMMENT = "comment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block of a file."""

    kind: Kind
    line: int
    """Of its first line, from 1; in a fence the line of the opening mark."""
    text: str
    """Without the marks of headings, list items and fences; lines stay apart."""
    info: str = ""
    """FENCE: what stands behind the opening mark. HEADING: its level as so many `#`."""
    section: str = ""
    """The heading above it; of a heading its own text."""
    ordered: bool = False
    """ITEM: whether it has a number."""

    def line_of(self, offset: int) -> int:
        """The line in the file of an offset into `text`."""
        return self.line + self.text.count("\n", 0, offset) + (self.kind is Kind.FENCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A Markdown table; cells are stripped."""

    section: str
    """The heading above it."""
    line: int
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def row_line(self, index: int) -> int:
        """The line in the file of a row."""
        return self.line + 2 + index

    def column(self, name: str) -> tuple[str, ...]:
        """The cells of a column. Raises `ValueError` where there is none of that name."""
        at = self.columns.index(name)
        return tuple(row[at] if at < len(row) else "" for row in self.rows)


@dataclass(frozen=True, slots=True)
class Link:
    """A link in a text, with the line that it begins in."""

    text: str
    target: str
    line: int


def parse(source: str) -> tuple[Block, ...]:
    """Cut a file's text into blocks, in order. Every text is accepted."""
    return tuple(_Parser(source).blocks())


class _Parser:
    """Reads lines one by one; `_at` is the index of the next one."""

    def __init__(self, source: str) -> None:
        self._lines = source.splitlines()
        self._at = 0
        self._section = ""

    def blocks(self) -> Iterator[Block]:
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if not line.strip():
                self._at += 1
            elif match := _FENCE.match(line):
                yield self._fence(match[1], match[2])
            elif match := _HEADING.match(line):
                self._section = match[2]
                yield self._take(1, Kind.HEADING, match[2], info=match[1])
            elif line.lstrip().startswith("<!--"):
                yield self._comment()
            elif line.startswith("|"):
                yield self._run(Kind.TABLE, line)
            elif match := _ITEM.match(line):
                yield self._run(Kind.ITEM, line[match.end() :], ordered=bool(_ORDERED.match(line)))
            else:
                yield self._run(Kind.PARAGRAPH, line)

    def _take(self, count: int, kind: Kind, text: str, *, info: str = "", ordered: bool = False) -> Block:
        line = self._at + 1
        self._at += count
        return Block(kind=kind, line=line, text=text, info=info, section=self._section, ordered=ordered)

    def _fence(self, mark: str, info: str) -> Block:
        end = self._at + 1
        while end < len(self._lines) and not _closes(self._lines[end], mark):
            end += 1
        return self._take(end + 1 - self._at, Kind.FENCE, "\n".join(self._lines[self._at + 1 : end]), info=info)

    def _comment(self) -> Block:
        end = self._at
        while end < len(self._lines) - 1 and "-->" not in self._lines[end]:
            end += 1
        return self._take(end + 1 - self._at, Kind.COMMENT, "\n".join(self._lines[self._at : end + 1]))

    def _run(self, kind: Kind, first: str, *, ordered: bool = False) -> Block:
        """A block that goes on until a blank line or another block."""
        end = self._at + 1
        while end < len(self._lines) and not self._breaks(kind, self._lines[end]):
            end += 1
        rest = [line.strip() for line in self._lines[self._at + 1 : end]]
        return self._take(end - self._at, kind, "\n".join([first, *rest]), ordered=ordered)

    @staticmethod
    def _breaks(kind: Kind, line: str) -> bool:
        if kind is Kind.TABLE:
            return not line.startswith("|")
        return (
            not line.strip()
            or bool(_FENCE.match(line) or _HEADING.match(line))
            or line.startswith("|")
            or line.lstrip().startswith("<!--")
            or bool(_ITEM.match(line) and not (kind is Kind.PARAGRAPH and _ORDERED.match(line)))
        )


def _closes(line: str, mark: str) -> bool:
    stripped = line.strip()
    return len(stripped) >= len(mark) and set(stripped) == {mark[0]}


def without_code(text: str) -> str:
    """The text with code spans blanked out; offsets and lines stay the same."""
    return _CODE_SPAN.sub(lambda match: re.sub(r"\S", " ", match[0]), text)


def links(blocks: Iterable[Block]) -> Iterator[Link]:
    """The inline links of all blocks but fences and comments."""
    for block in blocks:
        if block.kind not in (Kind.FENCE, Kind.COMMENT):
            for match in _LINK.finditer(without_code(block.text)):
                yield Link(" ".join(match[1].split()), match[2], block.line_of(match.start()))


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading, before it tells repeated ones apart."""
    text = _LINK.sub(lambda match: match[1], heading).replace("`", "").replace("*", "")
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")


def anchors(blocks: Iterable[Block]) -> frozenset[str]:
    """All anchors of a file: those of its headings, and ids set in HTML."""
    found: dict[str, int] = {}
    explicit: set[str] = set()
    for block in blocks:
        if block.kind is Kind.HEADING:
            base = name = slug(block.text)
            while name in found:
                found[base] += 1
                name = f"{base}-{found[base]}"
            found[name] = 0
        elif block.kind is not Kind.FENCE:
            explicit.update(re.findall(r"<a\s+(?:id|name)=\"([^\"]+)\"", block.text))
    return frozenset(found) | explicit


def table_of(block: Block) -> Table:
    """A block of the kind TABLE, taken apart."""
    rows = [tuple(cell.strip() for cell in _PIPE.split(line.strip())[1:-1]) for line in block.text.split("\n")]
    return Table(section=block.section, line=block.line, columns=rows[0], rows=tuple(rows[2:]))
