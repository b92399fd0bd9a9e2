# SPDX-License-Identifier: Apache-2.0
"""The chapters' examples in hexadecimal, read from their fences; what comments claim is compared with the bytes."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tools.faults import Fault
from tools.markdown import Block, Kind

_MARK: Final = re.compile(r"hex (?:(packet) |invalid ([A-Z_]+) )?([a-z0-9]+(?:-[a-z0-9]+)*)")
_LENGTH: Final = re.compile(r"(?:id )?(?:length|size)(?: of the value)?:? (?=[\d(])")
_WHOLE: Final = re.compile(r"[A-Z][A-Z_]+\b.*?([\d,]+) bytes$")
_QUOTED: Final = re.compile(r'"([^"]+)"')
_NUMBER: Final = re.compile(r"\d{1,3}(?:,\d{3})+|\d+")
_WIDTHS: Final = {
    "channel": 2,
    "sender slot": 2,
    "sender: slot": 2,
    "recipient slot": 2,
    "recipient: slot": 2,
    "slot": 2,
    "version": 2,
    "session": 4,
    "sequence": 4,
    "epoch": 4,
    "attempt": 4,
    "window": 4,
    "window:": 4,
    "received": 8,
    "received:": 8,
}
"""Fields that a comment may state as a name and a number, with their bytes."""
_CLAIM: Final = re.compile(rf"({'|'.join(sorted(_WIDTHS, key=len, reverse=True))}) ([\d,]*\d)")


@dataclass(frozen=True, slots=True)
class Part:
    """A line of an example."""

    line: int
    data: bytes
    comment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A frame or packet in hexadecimal."""

    name: str
    chapter: str
    path: str
    line: int
    packet: bool
    """Whether it may hold more than one frame."""
    code: str | None
    """Of a frame with a fault: the error's name."""
    parts: tuple[Part, ...]

    @property
    def data(self) -> bytes:
        """All bytes."""
        return b"".join(part.data for part in self.parts)


def extract(
    path: str, chapter: str, blocks: Sequence[Block], codes: Collection[str]
) -> tuple[list[Example], list[Fault]]:
    """The examples of a chapter, and what is wrong with how they are written. `codes` are the known error names."""
    found: list[Example] = []
    faults: list[Fault] = []
    for block in blocks:
        if block.kind is not Kind.FENCE or block.info.split(" ")[0] != "hex":
            continue
        mark = _MARK.fullmatch(block.info)
        if mark is None:
            todo = "write hex NAME, hex packet NAME or hex invalid CODE NAME, the name in small letters and hyphens"
            faults.append(Fault(path, block.line, f"the mark `{block.info}` is not one of an example", todo))
            continue
        if mark[2] and mark[2] not in codes:
            todo = "use a name of spec/registry/errors.toml"
            faults.append(Fault(path, block.line, f"{mark[2]} is not an error code", todo))
        parts: list[Part] = []
        for offset, line in enumerate(block.text.split("\n"), block.line + 1):
            text, _, comment = line.partition(";")
            try:
                parts.append(Part(offset, bytes.fromhex(text), comment.strip()))
            except ValueError:
                todo = "write bytes as two hexadecimal digits each, and a comment behind a semicolon"
                faults.append(Fault(path, offset, f"`{text.strip()}` is not hexadecimal", todo))
        example = Example(
            name=mark[3],
            chapter=chapter,
            path=path,
            line=block.line,
            packet=bool(mark[1]),
            code=mark[2],
            parts=tuple(parts),
        )
        found.append(example)
        for part in parts:
            for claim, actual in _contradictions(part):
                what = f"the comment says {claim}, the bytes are {actual}"
                faults.append(Fault(path, part.line, what, "correct the one that is wrong"))
    return found, faults


def check_names(examples: Sequence[Example]) -> list[Fault]:
    """Names that are there twice."""
    faults: list[Fault] = []
    first: dict[str, Example] = {}
    for item in examples:
        other = first.setdefault(item.name, item)
        if other is not item:
            what = f"the example {item.name} is there already at {other.path}:{other.line}"
            faults.append(Fault(item.path, item.line, what, "give it another name"))
    return faults


def _contradictions(part: Part) -> Iterator[tuple[str, str]]:
    """(what the comment claims, what is so) of everything in a line that does not fit."""
    comment, data = part.comment, part.data
    value = int.from_bytes(data, "big")
    statement = comment.partition(";")[0].strip()
    if match := _LENGTH.match(statement):
        sides = statement[match.end() :].split("=")
        stated = _first_number(sides[-1])
        if stated != value:
            yield f"{stated}", f"{value}"
        if len(sides) > 1 and (total := _evaluate(sides[0])) != stated:
            yield f"{sides[0].strip()} = {stated}", f"that is {total}"
    elif len(data) == 4 and (match := _WHOLE.match(statement)):
        length = int.from_bytes(data[2:], "big")
        if _first_number(match[1]) != length:
            yield f"{match[1]} bytes", f"{length}"
    else:
        yield from _check_fields(statement, data)
    for text in _QUOTED.findall(comment):
        if text.encode() not in data:
            yield f'"{text}"', data.hex(" ")


def _check_fields(statement: str, data: bytes) -> Iterator[tuple[str, str]]:
    """A comment that is a list of names and numbers, such as `session 7, sequence 3`."""
    claims = []
    for piece in re.split(r", (?!\d)", statement):
        if match := _CLAIM.fullmatch(piece):
            claims.append((match[0], _WIDTHS[match[1]], _first_number(match[2])))
        else:
            return
    if sum(width for _, width, _ in claims) != len(data):
        return
    at = 0
    for claim, width, number in claims:
        actual = int.from_bytes(data[at : at + width], "big")
        if actual != number:
            yield claim, str(actual)
        at += width


def _first_number(text: str) -> int | None:
    match = _NUMBER.search(text)
    return int(match[0].replace(",", "")) if match else None


def _evaluate(text: str) -> int | None:
    """A sum such as `16 header + (6 + 2 * 6) recipient block`, words left out; None where it is none."""
    plain = re.sub(r"(?<=\d),(?=\d{3})", "", text).replace("−", "-").replace("×", "*")
    try:
        return _value(ast.parse(" ".join(re.findall(r"\d+|[-+*()]", plain)), mode="eval").body)
    except (SyntaxError, ValueError):
        return None


def _value(node: ast.expr) -> int:
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left), _value(node.right)
        if isinstance(node.op, ast.Add):
            return left + right
        if isinstance(node.op, ast.Sub):
            return left - right
        if isinstance(node.op, ast.Mult):
            return left * right
    raise ValueError("not a sum")
