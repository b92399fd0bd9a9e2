# SPDX-License-Identifier: Apache-2.0
"""How many operations a second the conformance suite does with our adapter, both processes together.

As a program (`python -m bench.suite FILE`) this is that adapter, which leaves the number of its operations in a file.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from bench.contest import Row, alone
from bench.settings import Settings
from callchannel.adapter.conversation import main

BUDGET = 20.0
"""Seconds that the suite runs; less in the quick form."""


def run(settings: Settings) -> list[Row]:
    """Operations a second, with starting and ending."""
    rates = [operations(max(10.0, BUDGET * settings.scale)) for _ in range(min(3, settings.runs))]
    return [alone("suite", "the conformance suite beside our adapter", "operations/s", rates)]


def operations(budget: float) -> float:
    """Operations a second of one run of so many seconds."""
    with tempfile.TemporaryDirectory() as folder:
        counts = Path(folder) / "counts"
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
        adapter = f"{sys.executable} -m bench.suite {counts}"
        command = [sys.executable, "-m", "callchannel_conformance", "run", "-q", "--adapter", adapter]
        start = time.perf_counter()
        done = subprocess.run(
            [*command, "--budget", f"{round(budget)}s"], env=environment, cwd=folder, capture_output=True, check=False
        )
        elapsed = time.perf_counter() - start
        if not counts.exists():
            raise RuntimeError(f"the suite has not run: {done.stderr.decode(errors='replace')[-500:]}")
        return sum(map(int, counts.read_text().split())) / elapsed


class _Counted:
    """Standard input, and how many lines it had."""

    def __init__(self, source: IO[str]) -> None:
        self._source = source
        self.lines = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._source:
            self.lines += 1
            yield line


def _adapter(counts: Path) -> int:
    source = _Counted(sys.stdin)
    status = main(cast(Any, source), sys.stdout)
    with counts.open("a") as file:
        file.write(f"{source.lines}\n")
    return status


if __name__ == "__main__":
    raise SystemExit(_adapter(Path(sys.argv[1])))
