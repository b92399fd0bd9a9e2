# SPDX-License-Identifier: Apache-2.0
"""Each benchmark in memory runs in its smallest form. What it measures is judged by nobody here."""

import pytest

from bench.benchmarks import BENCHMARKS
from bench.contest import Row
from bench.settings import Settings

SMALLEST = Settings(runs=1, scale=0.02, quick=True)


@pytest.mark.parametrize("name", ["codec", "core", "fanout", "quiet"])
def test_benchmark(name: str) -> None:
    rows = BENCHMARKS[name](SMALLEST)
    assert rows
    for row in rows:
        assert isinstance(row, Row)
        assert row.benchmark == name
        assert row.work
