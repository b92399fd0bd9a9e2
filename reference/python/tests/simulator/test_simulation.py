# SPDX-License-Identifier: Apache-2.0
"""Whole calls, judged: a fixed set of generated plans, plans from Hypothesis, and every plan that ever failed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given

from simulator import generate
from simulator.plan import Plan, load, save
from simulator.run import run
from simulator.strategies import plan as plans

KEPT = sorted((Path(__file__).parent / "plans").glob("*.json"))
FIXED = 1_000
BATCH = 100


@pytest.mark.parametrize("first", range(0, FIXED, BATCH))
def test_generated_plans(first: int) -> None:
    failed = []
    for seed in range(first, first + BATCH):
        result = run(generate.plan(seed))
        if result.rule is not None:
            failed.append(f"seed {seed}, step {result.step}: {result.text}")
    assert not failed, "\n".join(failed)


@given(plans())
def test_plans_from_hypothesis(plan: Plan) -> None:
    result = run(plan)
    if result.rule is not None:
        label = "".join(letter if letter.isalnum() else "-" for letter in result.rule.lower())
        save(plan, Path(__file__).parent / "plans" / f"hypothesis-{label}.json", why=result.text[:400])
    assert result.rule is None, result.text


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_kept_plan(path: Path) -> None:
    result = run(load(path))
    assert result.rule is None, result.text


def test_there_are_kept_plans() -> None:
    assert KEPT
