# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tools.spec import load_spec

Tree = Callable[..., Path]

EFFECTS = "| effect | meaning |\n|---|---|\n| bye(CODE) | x |\n| hello(A), hello(B) | y |\n| `raise CODE` | z |\n\n"


def states(*rows: str) -> str:
    return "## 1.1 States\n\n" + EFFECTS + "| event | OPEN | DEAD |\n|---|---|---|\n" + "".join(f"{r}\n" for r in rows)


def test_a_state_table(tree: Tree) -> None:
    root = tree(states("| L01 I up | bye(LEFT); hello(A) → DEAD | = |", "| down | n/a | → DEAD |"))
    spec = load_spec(root)
    assert spec.faults == ()
    table = spec.state_table("01-one", "1.1 States")
    assert table.states == ("OPEN", "DEAD")
    first = table.row("L01")
    assert (first.id, first.event, first.line) == ("L01", "I up", 13)
    assert first.cells["OPEN"].effects == ("bye(LEFT)", "hello(A)")
    assert first.cells["OPEN"].next_state == "DEAD"
    assert (first.cells["DEAD"].effects, first.cells["DEAD"].next_state) == ((), "DEAD")
    second = table.row("down")
    assert not second.cells["OPEN"].possible
    assert second.cells["DEAD"].next_state == "DEAD"
    with pytest.raises(KeyError):
        table.row("L02")
    with pytest.raises(KeyError):
        spec.state_table("01-one", "1. One")
    with pytest.raises(KeyError):
        spec.state_table("01-one", "1.1 States", 1)


@pytest.mark.parametrize("cell", ["", "bye(LEFT)", "→ GONE", "bye(LEFT) → dead", "-"])
def test_a_cell_that_leads_nowhere(tree: Tree, cell: str) -> None:
    (fault,) = load_spec(tree(states(f"| L01 up | {cell} | = |"))).faults
    assert str(fault) == (
        f"spec/01-one.md:13: the cell of `L01 up` in OPEN is `{cell}`, write =, n/a, or effects → one of OPEN, DEAD"
    )


def test_a_row_that_is_too_short_or_there_twice(tree: Tree) -> None:
    faults = load_spec(tree(states("| L01 up | = |", "| L02 a | = | = |", "| L02 b | = | = |"))).faults
    assert [str(fault) for fault in faults] == [
        "spec/01-one.md:13: the row `L01 up` has 1 cells for 2 states, fill every cell",
        "spec/01-one.md:15: the row L02 is there twice, give it another number or event",
    ]


def test_an_effect_that_is_explained_nowhere(tree: Tree) -> None:
    (fault,) = load_spec(tree(states("| L01 up | raise LEFT; sing → OPEN | = |"))).faults
    assert str(fault) == (
        "spec/01-one.md:13: `sing` of `L01` in OPEN is explained nowhere, add it to the chapter's table of effects"
    )


def test_other_tables_are_left_alone(tree: Tree) -> None:
    spec = load_spec(tree("## 1.1 T\n\n| event | Reliable | Lossy |\n|---|---|---|\n| x | a\\|b | c |\n"))
    assert spec.state_tables == ()
    (table,) = spec.tables("01-one", "1.1 T")
    assert table.column("Reliable") == ("a\\|b",)


def test_the_link_has_a_full_state_table() -> None:
    table = load_spec().state_table("09-link", "9.12 States")
    assert table.states == ("CONNECTING", "ACTIVE", "SUSPENDED", "RESUMING", "DEAD")
    assert all(set(row.cells) == set(table.states) for row in table.rows)
    assert table.row("L05").cells["ACTIVE"].next_state == "SUSPENDED"
