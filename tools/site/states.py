# SPDX-License-Identifier: Apache-2.0
"""State tables as readable HTML, and the diagrams of their transitions as SVG: both from the chapters' own tables."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from itertools import groupby
from typing import Final

from tools.site.markup import identifier, inline
from tools.states import UNCHANGED, Cell, StateTable

_STEP: Final = 150
_NODE: Final = (104, 34)
_LABELS: Final = 3
"""Ranges of row numbers that stand on an arrow; the rest is in its title and in the table."""


def table(states: StateTable, name: str) -> str:
    """A state table: its first column stays in view, effects are code, the next state is set apart."""
    label = f"State table of section {states.section}, from row {states.rows[0].id} on"
    head = "".join(f'<th scope="col">{state}</th>' for state in states.states)
    lines = [
        f'<div class="states" id="{name}" tabindex="0" role="region" aria-label="{escape(label)}"><table class="grid">',
        f'<thead><tr><th scope="col">event</th>{head}</tr></thead><tbody>',
    ]
    for row in states.rows:
        anchor = f'<a id="{row.id}" href="#{row.id}">{row.id}</a> ' if row.id else ""
        cells = "".join(_cell(row.cells[state], state) for state in states.states)
        lines.append(f'<tr><th scope="row">{anchor}{inline(row.event)}</th>{cells}</tr>')
    lines.append("</tbody></table></div>")
    return "\n".join(lines)


def _cell(cell: Cell, state: str) -> str:
    if cell.next_state is None:
        return '<td class="never"><span title="cannot happen in this state">n/a</span></td>'
    if cell.text == UNCHANGED:
        return '<td class="same"><span title="no effect, same state">=</span></td>'
    effects = "".join(f"<code>{_breakable(effect)}</code> " for effect in cell.effects)
    kind = "stays" if cell.next_state == state else "goes"
    return f'<td>{effects}<span class="{kind}">→ {cell.next_state}</span></td>'


def _breakable(effect: str) -> str:
    """An effect that may be broken between its words, and nowhere else."""
    return escape(effect).replace("_", "_<wbr>").replace("(", "(<wbr>")


def diagram(states: StateTable) -> str:
    """All transitions of a table: arrows above lead to states further right, arrows below back."""
    name = identifier("states", states.chapter, states.rows[0].id)
    at = {state: index for index, state in enumerate(states.states)}
    edges: dict[tuple[int, int], list[str]] = {}
    events: dict[tuple[int, int], list[str]] = {}
    for row in states.rows:
        for state, cell in row.cells.items():
            if cell.next_state is not None and cell.next_state != state:
                edge = at[state], at[cell.next_state]
                edges.setdefault(edge, []).append(row.id)
                events.setdefault(edge, []).append(f"{row.id} {row.event}".replace("`", ""))
    above = _margin(last - first for first, last in edges)
    below = _margin(first - last for first, last in edges)
    base = above + _NODE[1] / 2
    width, height = _STEP * len(at) + 20, above + _NODE[1] + below
    told = "; ".join(
        f"{states.states[first]} to {states.states[last]}: {', '.join(rows)}" for (first, last), rows in edges.items()
    )
    parts = [
        '<figure class="machine" tabindex="0">'
        f'<svg viewBox="0 0 {width} {height}" style="min-width: {width * 0.72:g}px" role="img" '
        f'aria-labelledby="{name}-t {name}-d"><title id="{name}-t">{escape(states.section)}: states and transitions'
        f'</title><desc id="{name}-d">{escape(told)}.</desc>'
        f'<defs><marker id="{name}-m" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto-start-reverse"><path class="head" d="M0 0 L8 4 L0 8 Z"/></marker></defs>'
    ]
    order = sorted(edges, key=lambda edge: -abs(edge[0] - edge[1]))
    parts += [_arrow(edge, base, f"{name}-m", "\n".join(events[edge])) for edge in order]
    parts += [_label(edge, base, edges[edge]) for edge in order]
    for state, index in at.items():
        x = _centre(index)
        parts.append(
            f'<rect x="{x - _NODE[0] / 2:g}" y="{above}" width="{_NODE[0]}" height="{_NODE[1]}" rx="6"/>'
            f'<text x="{x:g}" y="{base + 4.5:g}" class="state">{state}</text>'
        )
    parts.append(
        "</svg><figcaption>Every transition to another state, by the rows of the table below. Above: to the right; "
        "below: to the left.</figcaption></figure>"
    )
    return "".join(parts)


def _margin(spans: Iterable[int]) -> int:
    """Room for the widest arrow of one direction, those of the other being negative."""
    far = max((span for span in spans if span > 0), default=0)
    return 30 + 32 * far if far else 10


def _centre(index: int) -> float:
    return 10 + _STEP * (index + 0.5)


def _apex(edge: tuple[int, int], base: float) -> tuple[float, float]:
    first, last = edge
    side = -1 if first < last else 1
    return (_centre(first) + _centre(last)) / 2, base + side * (_NODE[1] / 2 + 12 + 32 * abs(first - last))


def _arrow(edge: tuple[int, int], base: float, marker: str, title: str) -> str:
    first, last = edge
    side = -1 if first < last else 1
    start, end = _centre(first) - side * 16, _centre(last) + side * 16
    y = base + side * _NODE[1] / 2
    top = _apex(edge, base)[1]
    # The curve's greatest height is three quarters of its control points'.
    control = y + (top - y) * 4 / 3
    return (
        f'<path class="arrow" marker-end="url(#{marker})" d="M{start:g} {y:g} C{start:g} {control:g} {end:g} '
        f'{control:g} {end:g} {y:g}"><title>{escape(title)}</title></path>'
    )


def _label(edge: tuple[int, int], base: float, rows: list[str]) -> str:
    ranges = list(_ranges(rows))
    text = ", ".join(ranges[:_LABELS]) + (f" +{len(ranges) - _LABELS}" if len(ranges) > _LABELS else "")
    x, y = _apex(edge, base)
    half = 3.3 * len(text) + 4
    return (
        f'<rect class="paper" x="{x - half:g}" y="{y - 8:g}" width="{2 * half:g}" height="16"/>'
        f'<text x="{x:g}" y="{y + 4:g}">{text}</text>'
    )


def _ranges(rows: Iterable[str]) -> Iterable[str]:
    """`S01`, `S02`, `S03`, `S07` as `S01–03`, `S07`."""
    numbered = [(row[0], int(row[1:])) for row in dict.fromkeys(rows)]
    for _, group in groupby(enumerate(numbered), key=lambda item: (item[1][0], item[1][1] - item[0])):
        run = [row for _, row in group]
        (letter, low), (_, high) = run[0], run[-1]
        yield f"{letter}{low:02d}" if low == high else f"{letter}{low:02d}–{high:02d}"
