# SPDX-License-Identifier: Apache-2.0
"""What plans call of the core: the short ways among it."""

from __future__ import annotations

from pathlib import Path

from simulator import calls
from simulator.generate import plan
from simulator.world import POLICY_CHANNEL

SHORT_WAYS = {
    "relay.owned ReliableSession.receive_plain",
    "relay.owned ReliableSession._fan_out_run",
    "relay.turns Turns.pull",
    "plain PlainQueue.take_runs",
}


def test_short_ways_are_simulated() -> None:
    """A relay that has a policy never takes its own."""
    assert set(calls.called(["tight-memory-in-a-run"])["tight-memory-in-a-run"]) >= SHORT_WAYS


def test_generated_plans_are_with_and_without_a_policy() -> None:
    forbid = [any(step.get("channel") == POLICY_CHANNEL for step in plan(seed).steps) for seed in range(100)]
    assert 30 < sum(forbid) < 70


def test_the_index_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "calls.json"
    path.write_text('{"7": ["flow SendCredit.allows"]}')
    assert calls.index(600, path) == {"7": ["flow SendCredit.allows"]}


def test_names_are_those_of_the_core_alone() -> None:
    assert calls.name_of(test_short_ways_are_simulated.__code__) == ""
