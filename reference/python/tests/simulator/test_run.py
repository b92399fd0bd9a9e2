# SPDX-License-Identifier: Apache-2.0
"""Whole calls, judged: a fixed set of generated plans, plans from Hypothesis, and every plan that ever failed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given

from simulator import generate
from simulator.patching import PLANS
from simulator.plan import Plan, load, save
from simulator.run import run
from simulator.strategies import plan as plans

KEPT = sorted(PLANS.glob("*.json"))
FIXED = 800
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
        save(plan, PLANS / f"hypothesis-{label}.json", why=result.text[:400])
    assert result.rule is None, result.text


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_kept_plan(path: Path) -> None:
    result = run(load(path))
    assert result.rule is None, result.text


def test_there_are_kept_plans() -> None:
    assert KEPT


def test_the_same_plan_runs_the_same_way() -> None:
    plan = generate.plan(11)
    first, second = run(plan), run(plan)
    assert (first.counts, first.verdicts) == (second.counts, second.verdicts)
    assert first.counts["packets"] > 50


def test_every_part_of_a_plan_is_a_plan() -> None:
    source = random.Random(3)
    for seed in range(20):
        plan = generate.plan(seed)
        plan.steps = [step for step in plan.steps if source.random() < 0.5]
        assert run(plan).rule is None
