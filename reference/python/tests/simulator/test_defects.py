# SPDX-License-Identifier: Apache-2.0
"""Seeded defects: all apply, and each is caught by the plan that is kept for it."""

from __future__ import annotations

import pytest

from simulator import defects, patching

AREAS = {"counting", "resume", "credit", "receipts", "roster", "reassembly", "queues"}
HAVE_TO_BE_CAUGHT = [defect for defect in defects.DEFECTS if not defect.survives]
SAMPLE = HAVE_TO_BE_CAUGHT[::4]
"""A quarter of them, from all areas; `python -m simulator.defects --witnesses` tries all."""


def test_all_defects_apply() -> None:
    assert defects.check() == []


def test_there_are_enough_of_each_kind() -> None:
    names = [defect.name for defect in defects.DEFECTS]
    assert len(names) == len(set(names))
    assert sum(defect.source == "why" for defect in defects.DEFECTS) >= 20
    assert sum(defect.source in AREAS for defect in defects.DEFECTS) >= 50
    assert {defect.source for defect in defects.DEFECTS} >= AREAS


def test_each_that_has_to_be_caught_has_its_plan() -> None:
    lack = [defect.name for defect in HAVE_TO_BE_CAUGHT if not defects.witness_path(defect).exists()]
    assert lack == []


@pytest.mark.parametrize("defect", SAMPLE, ids=lambda defect: defect.name)
def test_a_defect_is_caught_by_its_plan(defect: defects.Defect) -> None:
    search = patching.Search(budget=0, kept=[defects.witness(defect)])
    result = patching.try_in_process(patching.apply(defect.patches), search)
    assert result["rule"] not in (None, "import"), result
