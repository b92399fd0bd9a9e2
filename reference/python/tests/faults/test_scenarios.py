# SPDX-License-Identifier: Apache-2.0
"""Every scenario in its short form, in processes of its own, some at once: most of what they do is to wait."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

import callchannel
from faults.scenarios import SCENARIOS

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(callchannel.__file__)))
AT_ONCE = 3
HANG = 500
"""Seconds after which a scenario counts as hanging."""

Runs = dict[str, "Future[subprocess.CompletedProcess[str]]"]


def start(name: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "faults", "--quick", "--json", "--only", name],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=HANG,
        check=False,
        env={**os.environ, "PYTHONPATH": SOURCE},
    )


@pytest.fixture(scope="module")
def runs() -> Iterator[Runs]:
    """All scenarios, begun or waiting for others to end."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {name: pool.submit(start, name) for name in SCENARIOS}
        pool.shutdown(cancel_futures=True)


def outcome(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """What a run found. Nothing may be wrong with it."""
    assert done.stderr == ""
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["event"] == "result", done.stdout[-2000:]
    (scenario,) = [event for event in events if event["event"] == "scenario"]
    assert scenario["faults"] == []
    assert done.returncode == 0
    return {row["what"]: row["measured"] for row in scenario["rows"]}


@pytest.mark.parametrize("name", list(SCENARIOS))
def test_scenario(name: str, runs: Runs) -> None:
    rows = outcome(runs[name].result())
    assert rows
    if name == "cuts":
        assert rows["cuts in mid-transfer"] == "4"
