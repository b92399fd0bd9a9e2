# SPDX-License-Identifier: Apache-2.0
"""From the standard's state tables to tests: which cells there are, what each says, and that each is driven.

A row is a generator function: it arranges the state of its column and the row's condition, yields, and then causes the
row's event. Between the two a world is looked at; the difference, in the words of the table of effects, is compared
with the cell as it stands in the Markdown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import pytest

from tools.spec import Spec, load_spec
from tools.states import Cell, StateTable

Drive = Callable[[Any, str], Iterator[None]]
"""Of (world, state): a generator that yields once, between the arrangement and the event."""


@cache
def spec() -> Spec:
    """The standard, read once."""
    return load_spec()


@dataclass(frozen=True)
class Case:
    """One test: a cell, in one of the ways in which its event can come about."""

    row: str
    state: str
    variant: str
    drive: Drive
    decides: str
    """The row whose cell says what happens: the case's own, or an earlier one that fits as well."""

    @property
    def id(self) -> str:
        name = f"{self.row}-{self.state}"
        return f"{name}-{self.variant}" if self.variant else name


@dataclass
class Suite:
    """All cases of one table."""

    table: StateTable
    cases: list[Case] = field(default_factory=list)
    reasons: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Why cells that are n/a can't be driven, each with those cells."""
    unreachable: dict[str, str] = field(default_factory=dict)
    """Cells that are not n/a, although other rules keep their event from ever coming about; and why."""

    def row(
        self, row: str, states: str, *variants: str, instead: dict[str, str] | None = None
    ) -> Callable[[Drive], Drive]:
        """Declare what drives a row in the given states.

        `instead`: n/a cells that are driven as well, and the row that decides there.
        """

        def declare(drive: Drive) -> Drive:
            for variant in variants or ("",):
                for state in states.split():
                    self.cases.append(Case(row, state, variant, drive, row))
                for state, other in (instead or {}).items():
                    self.cases.append(Case(row, state, variant, drive, other))
            return drive

        return declare

    def never(self, reason: str, cells: str) -> None:
        """Say why cells can't be driven. `cells`: such as `S01-OPEN`, or `S01` for all n/a cells of a row."""
        names: list[str] = []
        for cell in cells.split():
            row, _, state = cell.partition("-")
            states = [state] if state else [s for s in self.table.states if not self.cell(row, s).possible]
            names += [f"{row}-{name}" for name in states]
        self.reasons[reason] = (*self.reasons.get(reason, ()), *names)

    def cell(self, row: str, state: str) -> Cell:
        return self.table.row(row).cells[state]

    def parameters(self) -> list[Any]:
        return [pytest.param(case, id=case.id) for case in self.cases]

    # --- completeness ------------------------------------------------------------------------------------------

    def check_complete(self) -> None:
        """Every cell that can happen is driven, every other is driven or has a reason, and nothing else is there."""
        possible = {f"{row.id}-{state}" for row in self.table.rows for state in row.cells if row.cells[state].possible}
        other = {f"{row.id}-{state}" for row in self.table.rows for state in row.cells} - possible
        driven = {f"{case.row}-{case.state}" for case in self.cases if case.decides == case.row}
        assert not driven & set(self.unreachable)
        assert sorted(driven | set(self.unreachable)) == sorted(possible)
        instead = {f"{case.row}-{case.state}" for case in self.cases if case.decides != case.row}
        reasons = [cell for cells in self.reasons.values() for cell in cells]
        assert len(reasons) == len(set(reasons)), "a cell has two reasons"
        assert not instead & set(reasons), "a cell is driven, and said to be impossible"
        assert sorted({*instead, *reasons}) == sorted(other)
        ids = [case.id for case in self.cases]
        assert len(ids) == len(set(ids)), "two cases have one name"

    def check_effects(self, observers: Iterable[str], *others: Suite) -> None:
        """There is an observer for each effect that the table names, or another with it, and no other."""
        rows = [row for suite in (self, *others) for row in suite.table.rows]
        assert set(observers) == {
            name_of(effect) for row in rows for cell in row.cells.values() for effect in cell.effects
        }


_NAME: Final = re.compile(r"[a-z]+")


def name_of(effect: str) -> str:
    """`raise` of `raise WOULD_BLOCK`, `ended` of `ended(REASON)`."""
    found = _NAME.match(effect)
    assert found is not None
    return found[0]


def resolved(cell: Cell, codes: dict[str, str]) -> set[str]:
    """The effects of a cell with the words that stand for codes replaced."""

    def code(match: re.Match[str]) -> str:
        return codes.get(match[0], match[0])

    return {re.sub(r"[A-Z][A-Z_]+", code, effect) for effect in cell.effects}


def run(suite: Suite, case: Case, world: Any, observers: dict[str, Callable[[Any], Any]]) -> None:
    """Drive a case and compare: the effects that show, no more and no less, and the next state.

    An observer answers False where its effect is not there, True where it is, and a text where the effect has an
    argument: that argument. The world says what words such as REASON stand for (`codes`), which rows apply at once
    behind this one (`then`), which effects have nothing to work on here (`vacuous`), and which of the observed ones
    belong to the event that brought an "at once" row about (`beside`). What a row has to say besides is in `checks`.
    """
    cell = suite.cell(case.decides, case.state)
    steps = case.drive(world, case.state)
    next(steps)
    assert world.state == case.state, f"arranged {world.state} instead of {case.state}"
    world.before()
    for _ in steps:
        raise AssertionError("a row has one event")
    world.after()
    expected, next_state = resolved(cell, world.codes), cell.next_state
    for row in world.then:
        later = suite.cell(row, next_state)
        expected |= resolved(later, world.codes)
        next_state = later.next_state
    expected = {effect for effect in expected if name_of(effect) not in world.vacuous}
    observed: set[str] = set()
    for name, observe in observers.items():
        found = observe(world)
        if found is True:
            observed.add(name)
        elif found is not False:
            observed.add(f"raise {found}" if name == "raise" else f"{name}({found})")
    observed -= world.beside
    for check in world.checks:
        check()
    found, said = f"{sorted(observed)} → {world.next_state}", f"{sorted(expected)} → {next_state}"
    assert found == said, f"{case.id}: `{cell.text}`, found {found}"
