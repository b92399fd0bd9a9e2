# SPDX-License-Identifier: Apache-2.0
"""Bit diagrams as SVG, 32 bits to a row, from the same parts as the ASCII diagrams of the chapters.

The text of a diagram is its key: `figures` draws every diagram of the registry in both forms, so that a chapter's ASCII
is replaced only where the SVG says exactly the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Final

from tools.diagrams import WIDTH, Part, draw
from tools.registry import Field, Frame, Registry
from tools.site.markup import identifier, kind_of

_BIT: Final = 20
_ROW: Final = 34
_LEFT: Final = 4
_TOP: Final = 34


def figures(registry: Registry) -> dict[str, str]:
    """HTML figures by the ASCII diagram that each stands for."""
    found: dict[str, str] = {}
    for title, fields, labels in _diagrams(registry):
        parts = _parts(fields, labels)
        found[draw(parts)] = figure(title, parts)
    return found


def _diagrams(registry: Registry) -> Iterator[tuple[str, list[Field], Mapping[str, str]]]:
    yield "Start of every frame", list(registry.start), {}
    for frame in registry.frames:
        yield f"Frame {frame.name}", [*registry.start, *frame.fields], _start_labels(frame)
    kinds = [frame.type for frame in registry.frames if frame.control]
    control = {"type": f"type {min(kinds):02X} to {max(kinds):02X}", "length": f"length {registry.control_length}"}
    yield "Control frames", [*registry.start, *registry.control], control
    for block in registry.blocks:
        yield f"Block {block.name}", list(block.fields), {}


def _start_labels(frame: Frame) -> dict[str, str]:
    fixed = frame.max_length == frame.min_length
    return {
        "type": f"type {frame.type:02X}",
        "flags": "flags" if frame.flags else "flags 00",
        "length": f"length {frame.min_length}" if fixed else "length",
    }


def _parts(fields: Iterable[Field], labels: Mapping[str, str]) -> list[Part]:
    """As the chapters' diagrams have them; `figures` fails to match where that ever differs."""
    parts = []
    for field in fields:
        label = labels.get(field.name, field.name)
        if field.bits == 1:
            label = field.name[0].upper()
        elif field.when:
            label = f"{field.name}, if {field.when}"
        parts.append(Part(label, None if field.when else field.bits))
    return parts


def figure(title: str, parts: list[Part]) -> str:
    """An SVG that a screen reader can read and that follows the page's colours. No blank lines: Markdown keeps it."""
    name = identifier("bits", title)
    shapes: list[str] = []
    row = column = 0
    told: list[str] = []
    for part in parts:
        bits = WIDTH - column if part.bits is None else part.bits
        told.append(f"{part.label}, {'variable' if part.bits is None else f'{bits} bits'}")
        spans = list(_spans(row, column, bits))
        shapes += _shape(part, spans)
        row, column = divmod(row * WIDTH + column + bits, WIDTH)
    rows = row + (column > 0)
    width, height = 2 * _LEFT + WIDTH * _BIT, _TOP + rows * _ROW + 4
    ruler = "".join(
        f'<text x="{_LEFT + bit * _BIT + _BIT // 2}" y="28" class="ruler">{bit}</text>' for bit in range(WIDTH)
    )
    return (
        '<figure class="bits" tabindex="0"><svg '
        f'viewBox="0 0 {width} {height}" role="img" aria-labelledby="{name}-t {name}-d">'
        f'<title id="{name}-t">{escape(title)}: bit diagram</title>'
        f'<desc id="{name}-d">{escape("; ".join(told))}.</desc>{ruler}{"".join(shapes)}</svg></figure>'
    )


def _spans(row: int, column: int, bits: int) -> Iterator[tuple[int, int, int]]:
    """(row, first bit, end) of each row that a field touches."""
    while bits:
        take = min(bits, WIDTH - column)
        yield row, column, column + take
        bits -= take
        row, column = row + 1, 0


def _shape(part: Part, spans: list[tuple[int, int, int]]) -> Iterator[str]:
    kind = kind_of(part.label)
    varies = " varies" if part.bits is None else ""
    yield f'<path class="field {kind}{varies}" d="{_outline(spans)}"/>'
    row, first, end = max(spans, key=lambda span: span[2] - span[1])
    full = [span for span in spans if span[2] - span[1] == WIDTH]
    middle = (full[0][0] + full[-1][0]) / 2 if len(full) > 1 else row
    x = _LEFT + (first + end) * _BIT / 2
    y = _TOP + (middle + 0.5) * _ROW + 4.5
    yield f'<text x="{x:g}" y="{y:g}">{escape(part.label)}</text>'


def _outline(spans: list[tuple[int, int, int]]) -> str:
    """The border of a field: one area where its rows touch, several where they do not."""
    if len(spans) == 2 and spans[0][1] >= spans[1][2]:
        return " ".join(_outline([span]) for span in spans)
    points = []
    for row, _, end in spans:
        points += [(end, row), (end, row + 1)]
    for row, first, _ in reversed(spans):
        points += [(first, row + 1), (first, row)]
    path = " L".join(f"{_LEFT + x * _BIT} {_TOP + y * _ROW}" for x, y in points)
    return f"M{path} Z"
