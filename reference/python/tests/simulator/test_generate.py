# SPDX-License-Identifier: Apache-2.0
"""Generated plans: the same for a seed, and with everything in them that a plan can have."""

from __future__ import annotations

import random

import pytest

from simulator import generate, scenes
from simulator.plan import OPERATIONS, Plan
from simulator.run import run


def test_a_seed_gives_one_plan() -> None:
    assert generate.plan(3) == generate.plan(3)
    assert generate.plan(3) != generate.plan(4)


def test_every_operation_is_generated() -> None:
    found = {step["do"] for seed in range(300) for step in generate.plan(seed).steps}
    assert found == set(OPERATIONS)


@pytest.mark.parametrize("name", scenes.SCENES)
def test_a_scene_is_a_plan_by_itself(name: str) -> None:
    scene, for_peers = scenes.SCENES[name]
    source = random.Random(1)
    for _ in range(4):
        plan = Plan(endpoints=3, limits=dict(scenes.LIMITS.get(name, {})), steps=scene(source, 0, 1, 2))
        assert {step["do"] for step in plan.steps} <= set(OPERATIONS)
        assert run(plan).rule is None
        if for_peers:
            assert run(Plan(endpoints=2, peer=True, steps=scene(source, 0, 1, 0))).rule is None
