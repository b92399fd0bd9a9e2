# SPDX-License-Identifier: Apache-2.0
"""Cells of the state tables: counted from the machines, compared with the text."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from callchannel.core.sender import SenderSession
from simulator import generate, required, scenes, tables
from simulator.coverage import Coverage, Hits, unknown
from simulator.plan import Plan
from simulator.run import run

SCENES = {
    ("R65", "DRAINING"): "replaced and gone",
    ("R74", "DETACHED"): "replaced and gone",
    ("R57", "DRAINING"): "lossy memory",
    ("L51", "RESUMING"): "hello never comes",
    ("L08", "CONNECTING"): "surplus transport",
    ("L34", "CONNECTING"): "surplus transport",
}
"""Cells that are met by chance once in tens of thousands of plans, and the scene that is there for them."""


def test_cells_are_those_of_the_text() -> None:
    assert ("S08", "OPEN") in tables.cells()
    assert ("S01", "OPEN") not in tables.cells()  # n/a
    assert {row for row, _ in tables.cells()} <= set(tables.events())
    assert len(tables.cells()) > 500


def test_coverage_counts_cells_and_leaves_the_core_as_it_was() -> None:
    send, hits = SenderSession.send, Hits()
    for seed in range(6):
        with Coverage(hits):
            assert SenderSession.send is not send
            assert run(generate.plan(seed)).rule is None
    assert SenderSession.send is send
    assert hits.cells["L16", "CONNECTING"] > 10
    assert hits.cells["S08", "OPEN"] > 10
    assert hits.cells["R18", "OPEN"] > 3
    assert unknown(hits.cells) == required.surprises(hits.cells) == []
    never = required.missing(hits.cells)
    assert ("L16", "CONNECTING") not in never
    assert 0 < len(never) < len(required.missing(Counter()))


def test_reasons_concern_cells_that_there_are() -> None:
    excused = required.out_of_reach()
    assert set(excused) < set(tables.cells())
    assert all(excused.values())
    with pytest.raises(ValueError, match="L99"):
        required._expand("L99: DEAD")


def test_every_row_that_is_required_has_a_watch() -> None:
    source = "".join(path.read_text() for path in Path(tables.__file__).parent.glob("watch_*.py"))
    rows = {row for row, _ in required.missing(Counter())}
    assert sorted(row for row in rows if f'"{row}"' not in source) == []


@pytest.mark.parametrize("cell", SCENES, ids=" ".join)
def test_a_scene_hits_its_cell(cell: tables.Cell) -> None:
    name = SCENES[cell]
    hits = Hits()
    for seed in range(8):
        steps = scenes.SCENES[name][0](random.Random(seed), 0, 1, 2)
        with Coverage(hits):
            assert run(Plan(endpoints=3, limits=dict(scenes.LIMITS.get(name, {})), steps=steps)).rule is None
    assert hits.cells[cell]
    assert unknown(hits.cells) == required.surprises(hits.cells) == []
