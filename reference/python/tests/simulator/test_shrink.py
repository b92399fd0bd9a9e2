# SPDX-License-Identifier: Apache-2.0
"""A failing plan is made small without its failure being lost."""

from __future__ import annotations

from simulator import generate
from simulator.plan import Plan
from simulator.run import Result
from simulator.shrink import shrink


def test_shrinking_keeps_what_matters() -> None:
    def runner(plan: Plan) -> Result:
        names = [step["do"] for step in plan.steps]
        return Result(rule="CC-X" if "leave" in names and "send" in names else None)

    seed = next(seed for seed in range(500) if runner(generate.plan(seed)).rule)
    small = shrink(generate.plan(seed), "CC-X", runner=runner)
    assert sorted(step["do"] for step in small.steps) == ["leave", "send"]
    assert (small.fates, small.limits, small.endpoints) == ([], {}, 2)
