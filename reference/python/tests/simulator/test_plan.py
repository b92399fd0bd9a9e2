# SPDX-License-Identifier: Apache-2.0
"""Plans are data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulator import generate
from simulator.plan import Plan, load, save


def test_a_plan_is_json(tmp_path: Path) -> None:
    plan = generate.plan(7)
    save(plan, tmp_path / "plan.json", why="for this test")
    assert load(tmp_path / "plan.json") == plan
    assert Plan.from_json(json.loads(json.dumps(plan.as_json()))) == plan
    with pytest.raises(TypeError):
        Plan.from_json({"no such": 1})


def test_faults_are_operations_and_fates() -> None:
    plan = Plan(steps=[{"do": "cut"}, {"do": "send"}, {"do": "leave"}], fates=[["ok", "drop"], [20]])
    assert plan.faults == 4
