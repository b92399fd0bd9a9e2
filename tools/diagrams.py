# SPDX-License-Identifier: Apache-2.0
"""Bit diagrams in ASCII, 32 bits to a row, in the style of the RFCs (specification, section 1.5).

A field of fixed width covers cells of a grid, as many rows as it needs; lines are drawn only between different fields,
so that one of 64 or 128 bits is one area. A field whose width varies takes the rest of its row, ends in `:` and has a
broken lower edge. A bit is 2 characters wide: a label of n characters needs a part of (n + 1) / 2 bits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 32
_RULER: Final = (
    " " + "".join(f"{bit // 10 if bit % 10 == 0 else ' '} " for bit in range(WIDTH)).rstrip(),
    " " + " ".join(str(bit % 10) for bit in range(WIDTH)),
)


class DiagramError(Exception):
    """The fields can't be drawn; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Part:
    """A field as it is drawn. `bits` None: the width varies, and it fills the rest of the row."""

    label: str
    bits: int | None


@dataclass(slots=True)
class _Span:
    """A stretch of one row that belongs to one part."""

    owner: int
    first: int
    end: int
    label: str = ""


def draw(parts: Iterable[Part]) -> str:
    """The diagram of fields in their order on the wire. Raises `DiagramError`."""
    placed = list(parts)
    rows = _layout(placed)
    between = _label(placed, rows)
    varies = {number for number, part in enumerate(placed) if part.bits is None}
    lines = [*_RULER, _edge(None, _owners(rows[0]), varies)]
    for number, row in enumerate(rows):
        below = _owners(rows[number + 1]) if number + 1 < len(rows) else None
        edge = _edge(_owners(row), below, varies)
        for span in between.get(number, ()):
            start, end = 2 * span.first + 1, 2 * span.end
            edge = edge[:start] + _centred(span.label, _room(span)) + edge[end:]
        lines += [_text(row, varies), edge]
    return "\n".join(lines)


def _layout(parts: list[Part]) -> list[list[_Span]]:
    rows: list[list[_Span]] = [[]]
    at = 0
    for owner, part in enumerate(parts):
        left = WIDTH - at if part.bits is None else part.bits
        if left <= 0:
            raise DiagramError(f"{part.label} has {left} bits")
        while left:
            take = min(left, WIDTH - at)
            rows[-1].append(_Span(owner, at, at + take))
            at, left = at + take, left - take
            if at == WIDTH:
                rows.append([])
                at = 0
    if not rows[-1]:
        rows.pop()
    if not rows:
        raise DiagramError("there is nothing to draw")
    return rows


def _label(parts: list[Part], rows: list[list[_Span]]) -> dict[int, list[_Span]]:
    """Write each name into the middle of its area. Returns what goes into the edges below rows."""
    between: dict[int, list[_Span]] = {}
    for owner, part in enumerate(parts):
        spans = [(number, span) for number, row in enumerate(rows) for span in row if span.owner == owner]
        (first, start), (_, end) = spans[0], spans[-1]
        if len(spans) == 2 and start.first >= end.end:
            # The two parts do not touch: the second says that it belongs to the first.
            room = _room(end)
            texts = (f"{part.label} (continued)", "(continued)", "...")
            end.label = next((text for text in texts if len(text) <= room), "")
            chosen = start
        elif len(spans) % 2 == 0 and all(span.end - span.first == WIDTH for _, span in spans):
            chosen = _Span(owner, 0, WIDTH)
            between.setdefault(first + len(spans) // 2 - 1, []).append(chosen)
        else:
            widest = max(_room(span) for _, span in spans)
            wide = [span for _, span in spans if _room(span) == widest]
            chosen = wide[(len(wide) - 1) // 2]
        chosen.label = part.label
        if len(part.label) > _room(chosen):
            raise DiagramError(f"{part.label} does not fit into {chosen.end - chosen.first} bits")
    return between


def _room(span: _Span) -> int:
    return 2 * (span.end - span.first) - 1


def _owners(row: list[_Span]) -> list[int | None]:
    owners: list[int | None] = [None] * WIDTH
    for span in row:
        owners[span.first : span.end] = [span.owner] * (span.end - span.first)
    return owners


def _text(row: list[_Span], varies: set[int]) -> str:
    line = "".join(
        (":" if span.owner in varies and not span.first else "|") + _centred(span.label, _room(span)) for span in row
    )
    return line + (":" if row[-1].owner in varies else "|")


def _centred(label: str, room: int) -> str:
    left = (room - len(label)) // 2
    return " " * left + label + " " * (room - len(label) - left)


def _edge(above: list[int | None] | None, below: list[int | None] | None, varies: set[int]) -> str:
    """The line between two rows: closed, broken under a field that varies, open inside of one field."""
    nothing: list[int | None] = [None] * WIDTH
    upper, lower = above or nothing, below or nothing
    closed = [upper[bit] != lower[bit] for bit in range(WIDTH)]
    broken = [closed[bit] and upper[bit] in varies for bit in range(WIDTH)]
    line = []
    for bit in range(WIDTH):
        line.append(_corner(bit, closed, broken, upper, lower))
        line.append("-" if closed[bit] else " ")
    line.append("+" if closed[-1] or upper[-1] is not None else " ")
    return "".join(line).rstrip()


def _corner(bit: int, closed: list[bool], broken: list[bool], upper: list[int | None], lower: list[int | None]) -> str:
    if not bit:
        return "+"
    if not closed[bit - 1] and not closed[bit]:
        # Inside of one field there is nothing; between two that both go on, the border between them.
        return "|" if upper[bit - 1] != upper[bit] else " "
    inside = broken[bit - 1] and broken[bit] and upper[bit - 1] == upper[bit]
    return " " if inside else "+"
