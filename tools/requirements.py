# SPDX-License-Identifier: Apache-2.0
"""Requirements: paragraphs and list items that begin with their ID in bold, and hold one key word of BCP 14."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tools.faults import Fault
from tools.markdown import Block, Kind, without_code

ID: Final = re.compile(r"CC-([A-Z]+)-(\d{3})")
_START: Final = re.compile(r"\*\*(CC-[^*]*)\*\*[ \n]?")
_KEYWORD: Final = re.compile(
    r"\b(?:MUST|SHOULD|SHALL)(?:\s+NOT)?\b|\bMAY\b|\b(?:NOT\s+)?RECOMMENDED\b|\bREQUIRED\b|\bOPTIONAL\b"
)
KEYWORDS: Final = ("MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY")
"""The key words that a requirement may hold."""
_ATTACHES: Final = re.compile(r"\b(?:tables?|lists?|steps)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """A rule that an implementation can be tested against."""

    id: str
    chapter: str
    """The chapter's file name without its ending, such as `03-frames`."""
    section: str
    """The heading above it."""
    line: int
    keyword: str
    text: str
    """In one line, without the ID; Markdown stays."""
    hash: str
    """Changes when the text changes, or a table or list of its section that the text speaks of."""

    @property
    def area(self) -> str:
        """The area, such as `FRAME`."""
        return self.id.split("-")[1]

    @property
    def number(self) -> int:
        """The number within the area."""
        return int(self.id.split("-")[2])


def extract(path: str, chapter: str, blocks: Sequence[Block]) -> tuple[list[Requirement], list[Fault]]:
    """The requirements of a chapter in order, and what is wrong with how they are written."""
    found: list[Requirement] = []
    faults: list[Fault] = []
    for block in blocks:
        if block.kind in (Kind.FENCE, Kind.COMMENT):
            continue
        plain = without_code(block.text)
        start = _START.match(plain) if block.kind in (Kind.PARAGRAPH, Kind.ITEM) else None
        faults += _misplaced(path, block, plain, start.end() if start else 0)
        words = [(match.start(), " ".join(match[0].split())) for match in _KEYWORD.finditer(plain)]
        if start is None:
            for offset, word in words:
                todo = "give the rule an ID of its own or write it in small letters"
                faults.append(Fault(path, block.line_of(offset), f"{word} outside of a requirement", todo))
            continue
        if not ID.fullmatch(start[1]):
            todo = "write CC-, the area in capitals, - and three digits"
            faults.append(Fault(path, block.line, f"{start[1]} is not a requirement ID", todo))
            continue
        if len(words) != 1 or words[0][1] not in KEYWORDS:
            named = ", ".join(word for _, word in words) or "none"
            todo = "keep exactly one of " + ", ".join(KEYWORDS)
            faults.append(Fault(path, block.line, f"{start[1]} has the key words: {named}", todo))
        text = " ".join(block.text[start.end() :].split())
        found.append(
            Requirement(
                id=start[1],
                chapter=chapter,
                section=block.section,
                line=block.line,
                keyword=words[0][1] if words else "",
                text=text,
                hash=_hash(text, block.section, blocks),
            )
        )
    return found, faults


def _misplaced(path: str, block: Block, plain: str, start: int) -> Iterator[Fault]:
    """IDs in bold that do not begin their paragraph."""
    for match in _START.finditer(plain, start):
        todo = "let it begin a paragraph or list item of its own, or cite it without bold"
        yield Fault(path, block.line_of(match.start()), f"{match[1]} in bold inside of a {block.kind.value}", todo)


def _hash(text: str, section: str, blocks: Sequence[Block]) -> str:
    parts = [text]
    if _ATTACHES.search(text):
        parts += [
            " ".join(block.text.split())
            for block in blocks
            if block.section == section
            and (block.kind is Kind.TABLE or (block.ordered and not _START.match(block.text)))
        ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def check_numbering(
    path_of: dict[str, str], requirements: Sequence[Requirement], areas: dict[str, str], withdrawn: Sequence[str]
) -> list[Fault]:
    """Duplicates, gaps, order, and areas in the wrong chapter.

    `path_of` gives each chapter's path, `areas` the chapter of each area, `withdrawn` the IDs that are no longer used.
    """
    faults: list[Fault] = []
    first: dict[str, Requirement] = {}
    for item in requirements:
        path = path_of[item.chapter]
        if item.id in first:
            other = first[item.id]
            what = f"{item.id} is defined already at {path_of[other.chapter]}:{other.line}"
            faults.append(Fault(path, item.line, what, "take the area's next free number"))
            continue
        first[item.id] = item
        home = areas.get(item.area)
        if home != item.chapter:
            where = f"belongs to {home}" if home else "belongs to no chapter"
            todo = "use an area that the table in spec/README.md gives this chapter"
            faults.append(Fault(path, item.line, f"area {item.area} {where}", todo))
        if item.id in withdrawn:
            faults.append(Fault(path, item.line, f"{item.id} was withdrawn", "take the area's next free number"))
    taken = {*first, *withdrawn}
    for item in first.values():
        # A rule that is added later stands where it belongs, so numbers need not ascend; but none may be left out.
        before = f"CC-{item.area}-{item.number - 1:03}"
        if item.number > 1 and before not in taken:
            todo = f"number it {before}, or list what is missing as withdrawn"
            faults.append(Fault(path_of[item.chapter], item.line, f"{item.id} leaves out {before}", todo))
    return faults
