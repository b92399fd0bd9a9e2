# SPDX-License-Identifier: Apache-2.0
"""The simulator itself: plans are data, runs repeat, failures shrink, defects are noticed."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from simulator import defects, generate, mutants, patching, soak
from simulator.coverage import Coverage, missing
from simulator.network import Cable, Network, Node
from simulator.plan import OPERATIONS, Plan, load, save
from simulator.run import Result, run
from simulator.shrink import shrink
from simulator.wire import Malformed, read_packet, without_block

WITNESSED = ("retransmits-nothing", "relay-gives-too-much", "absent-are-forgotten", "fail-hits-below-v")


def test_a_plan_is_json(tmp_path: Path) -> None:
    plan = generate.plan(7)
    save(plan, tmp_path / "plan.json", why="for this test")
    assert load(tmp_path / "plan.json") == plan
    assert Plan.from_json(json.loads(json.dumps(plan.as_json()))) == plan
    with pytest.raises(TypeError):
        Plan.from_json({"no such": 1})


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


def test_every_operation_is_generated() -> None:
    found = {step["do"] for seed in range(300) for step in generate.plan(seed).steps}
    assert found == set(OPERATIONS)


def test_shrinking_keeps_what_matters() -> None:
    def runner(plan: Plan) -> Result:
        names = [step["do"] for step in plan.steps]
        return Result(rule="CC-X" if "leave" in names and "send" in names else None)

    seed = next(seed for seed in range(500) if runner(generate.plan(seed)).rule)
    small = shrink(generate.plan(seed), "CC-X", runner=runner)
    assert sorted(step["do"] for step in small.steps) == ["leave", "send"]
    assert (small.fates, small.limits, small.endpoints) == ([], {}, 2)


def test_what_is_held_arrives_in_order() -> None:
    network = Network()
    ends = Node("a", None, is_hub=False), Node("b", None, is_hub=True)
    cable = Cable(1, ends, 10, 0, iter(()))
    seen: list[int] = []
    network.deliver(cable, 0, lambda: seen.append(1), ordered=True)
    cable.held[0] = []
    network.deliver(cable, 0, lambda: seen.append(2), ordered=True)
    network.deliver(cable, 0, lambda: seen.append(9), ordered=False)
    while network.next_time() is not None:
        network.step()
    assert seen == []
    network.release(cable)
    network.deliver(cable, 0, lambda: seen.append(3), ordered=True)
    network.step()
    assert seen == [1, 2, 3]


def test_the_judge_reads_packets_by_itself() -> None:
    addressed = bytes.fromhex("0119001e 00050002 00000001 00000001 00000004 0001 00000000000a 6869")
    (frame,) = read_packet(addressed, lossy=False)
    assert without_block(frame) == bytes.fromhex("01110012 00050002 00000001 00000001 6869")  # type: ignore[arg-type]
    for wrong in (b"", b"\x01\x01\x00\x03", b"\x43\x00\x00\x0c\x00", bytes(16_385)):
        with pytest.raises(Malformed):
            read_packet(wrong, lossy=False)
    with pytest.raises(Malformed):
        read_packet(bytes.fromhex("4300000c0000000000000001"), lossy=True)


def test_coverage_counts_cells() -> None:
    coverage = Coverage()
    for seed in range(6):
        run(generate.plan(seed), coverage)
    assert coverage.hits["link", "A HELLO fresh", "CONNECTING"] > 10
    assert ("link", "A HELLO fresh", "CONNECTING") not in missing(coverage.hits)
    assert missing(Counter())


def test_soak_counts_and_reports() -> None:
    totals = soak.batch(0)
    assert totals.plans == 25
    assert totals.counted > 5
    text = soak.report(totals)
    assert "verdicts" in text
    assert "cells of the table: sender" in text


def test_patches_fail_loudly() -> None:
    with pytest.raises(patching.DoesNotApply):
        patching.apply([patching.Patch("callchannel.core.flow", "no such text", "")])


def test_all_defects_apply() -> None:
    assert defects.check() == []


def test_defects_have_names_of_their_own() -> None:
    names = [defect.name for defect in defects.DEFECTS]
    assert len(names) == len(set(names))
    assert sum(defect.source == "why" for defect in defects.DEFECTS) >= 15
    assert sum(defect.source != "why" for defect in defects.DEFECTS) >= 25


@pytest.mark.parametrize("name", WITNESSED)
def test_a_defect_is_caught(name: str) -> None:
    (defect,) = [defect for defect in defects.DEFECTS if defect.name == name]
    result = patching.try_in_process(patching.apply(defect.patches), 100)
    assert result["rule"] not in (None, "import", "hang")


def test_mutants_are_the_same_each_time_and_compile() -> None:
    drawn = mutants.draw(40, 1)
    assert drawn == mutants.draw(40, 1)
    for mutant in drawn:
        for text in mutants.text_of(mutant).values():
            compile(text, mutant.module, "exec")
