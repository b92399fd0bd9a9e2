# SPDX-License-Identifier: Apache-2.0
"""Every scenario in its short form, in processes of its own, all at once: most of what they do is to wait."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import callchannel
from faults.scenarios import SCENARIOS

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(callchannel.__file__)))
HANG = 400
"""Seconds after which a scenario counts as hanging."""

Runs = dict[str, "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def runs() -> Iterator[Runs]:
    """All scenarios, started."""
    started = {
        name: subprocess.Popen(
            [sys.executable, "-m", "faults", "--quick", "--json", "--only", name],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": SOURCE},
        )
        for name in SCENARIOS
    }
    yield started
    for process in started.values():
        if process.poll() is None:
            process.terminate()
        process.communicate()


def outcome(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """What a run found. Nothing may be wrong with it."""
    told, errors = process.communicate(timeout=HANG)
    assert errors == ""
    events = [json.loads(line) for line in told.splitlines()]
    assert events[-1]["event"] == "result", told[-2000:]
    (scenario,) = [event for event in events if event["event"] == "scenario"]
    assert scenario["faults"] == []
    assert process.returncode == 0
    return {row["what"]: row["measured"] for row in scenario["rows"]}


@pytest.mark.parametrize("name", list(SCENARIOS))
def test_scenario(name: str, runs: Runs) -> None:
    rows = outcome(runs[name])
    assert rows
    if name == "cuts":
        assert rows["cuts in mid-transfer"] == "4"
