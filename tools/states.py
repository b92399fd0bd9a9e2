# SPDX-License-Identifier: Apache-2.0
"""State tables: one row for each event, one column for each state (chapters 5 and 9)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tools.faults import Fault
from tools.markdown import Table

_STATE: Final = re.compile(r"[A-Z][A-Z_]+")
_ROW: Final = re.compile(r"([A-Z]\d{2,3})\s+(.*)")
_ARROW: Final = "→"
UNCHANGED: Final = "="
IMPOSSIBLE: Final = "n/a"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What an event does in a state. `=`: no effect, `next_state` is the same state; `n/a`: it cannot happen."""

    text: str
    effects: tuple[str, ...]
    next_state: str | None
    """None: the event cannot happen in this state."""

    @property
    def possible(self) -> bool:
        """Whether the event can happen in this state."""
        return self.next_state is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An event."""

    id: str
    """Such as `L05`; empty where the row has none."""
    event: str
    line: int
    cells: Mapping[str, Cell]
    """By state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateTable:
    """A state table, by the heading above it."""

    chapter: str
    section: str
    line: int
    states: tuple[str, ...]
    rows: tuple[Row, ...]

    def row(self, id_or_event: str) -> Row:
        """The row of an ID or event. Raises `KeyError`."""
        for row in self.rows:
            if id_or_event in (row.id, row.event):
                return row
        raise KeyError(id_or_event)


def is_state_table(table: Table) -> bool:
    """Whether a table is one: its first column is `event`, all others are states in capitals."""
    states = table.columns[1:]
    return table.columns[0] == "event" and len(states) > 1 and all(_STATE.fullmatch(state) for state in states)


def read(path: str, chapter: str, table: Table) -> tuple[StateTable, list[Fault]]:
    """A state table, and its cells that can't be read or lead nowhere."""
    states = table.columns[1:]
    rows: list[Row] = []
    faults: list[Fault] = []
    for index, (first, *texts) in enumerate(table.rows):
        line = table.row_line(index)
        match = _ROW.fullmatch(first)
        name, event = (match[1], match[2]) if match else ("", first)
        if len(texts) != len(states):
            what = f"the row `{first}` has {len(texts)} cells for {len(states)} states"
            faults.append(Fault(path, line, what, "fill every cell"))
            continue
        cells: dict[str, Cell] = {}
        for state, text in zip(states, texts, strict=True):
            cell = _cell(text, state)
            if cell is None or (cell.next_state is not None and cell.next_state not in states):
                what = f"the cell of `{first}` in {state} is `{text}`"
                todo = f"write =, n/a, or effects {_ARROW} one of {', '.join(states)}"
                faults.append(Fault(path, line, what, todo))
            else:
                cells[state] = cell
        rows.append(Row(id=name, event=event, line=line, cells=cells))
    faults += _repeated(path, rows)
    return StateTable(chapter=chapter, section=table.section, line=table.line, states=states, rows=tuple(rows)), faults


def check_effects(path: str, table: StateTable, known: Collection[str]) -> Iterator[Fault]:
    """Effects that no table of effects explains."""
    names = {_effect_name(effect) for effect in known}
    for row in table.rows:
        for state, cell in row.cells.items():
            for effect in cell.effects:
                if _effect_name(effect) not in names:
                    what = f"`{effect}` of `{row.id or row.event}` in {state} is explained nowhere"
                    yield Fault(path, row.line, what, "add it to the chapter's table of effects")


def effects_of(tables: Sequence[Table]) -> tuple[str, ...]:
    """The effects that a chapter's tables explain: the first column of each with the columns effect and meaning."""
    return tuple(
        effect.strip().replace("`", "")
        for table in tables
        if table.columns[:2] == ("effect", "meaning")
        for cell in table.column("effect")
        for effect in re.split(r",\s*(?![^(]*\))", cell)
    )


def _cell(text: str, state: str) -> Cell | None:
    text = text.replace("`", "")
    if text == UNCHANGED:
        return Cell(text=text, effects=(), next_state=state)
    if text == IMPOSSIBLE:
        return Cell(text=text, effects=(), next_state=None)
    effects, arrow, next_state = text.rpartition(_ARROW)
    if not arrow or not _STATE.fullmatch(next_state.strip()):
        return None
    parts = tuple(part.strip() for part in re.split(r";(?![^(]*\))", effects) if part.strip())
    return Cell(text=text, effects=parts, next_state=next_state.strip())


def _effect_name(effect: str) -> str:
    """Effects are known by their words in small letters: `raise` of `raise LINK_LOST`, `bye` of `bye(TIMEOUT)`."""
    return re.split(r"[(A-Z]", effect, maxsplit=1)[0].strip()


def _repeated(path: str, rows: Sequence[Row]) -> Iterator[Fault]:
    seen: set[str] = set()
    for row in rows:
        key = row.id or row.event
        if key in seen:
            yield Fault(path, row.line, f"the row {key} is there twice", "give it another number or event")
        seen.add(key)
