# SPDX-License-Identifier: Apache-2.0
"""Many plans on all cores, and what is said of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulator import soak
from simulator.plan import Plan


def test_a_batch_is_counted() -> None:
    totals = soak.batch(0, 12)
    assert (totals.plans, totals.covered) == (12, 3)
    assert 3 < totals.counted <= 12
    assert not totals.failures
    text = soak.report(totals)
    for part in ("verdicts", "S08", "plans a second", "seeds 0 to 11"):
        assert part in text
    assert soak.judge_cells(totals) == []  # too few plans to complain


def test_which_plans_count() -> None:
    steps = [{"do": "cut"}] * 3 + [{"do": "send"}] * 17
    assert soak.counts(Plan(endpoints=3, steps=steps), packets=50)
    assert not soak.counts(Plan(endpoints=2, steps=steps), packets=50)
    assert not soak.counts(Plan(endpoints=3, steps=steps[:-1]), packets=50)
    assert not soak.counts(Plan(endpoints=3, steps=steps), packets=49)
    assert not soak.counts(Plan(endpoints=3, steps=[{"do": "send"}] * 20), packets=50)


def test_a_long_run_complains_of_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "ENOUGH", 1)
    totals = soak.batch(0, 1)
    totals.cells["L39", "ACTIVE"] += 1
    totals.cells["L99", "ACTIVE"] += 1
    never, hit, strange = soak.judge_cells(totals)
    assert "S07" in never
    assert "L39 ACTIVE" in hit
    assert "L99 ACTIVE" in strange


def test_a_run_can_be_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "numbers.json"
    assert soak.main(["--first", "40", "--plans", "6", "--workers", "1", "--json", str(path)]) == 0
    numbers = json.loads(path.read_text())
    assert (numbers["first seed"], numbers["plans"]) == (40, 6)
    assert "seeds 40 to 45" in capsys.readouterr().out
    parts = soak.batch(40, 3), soak.batch(43, 3)
    assert numbers["counts"]["packets"] == sum(part.counts["packets"] for part in parts)
