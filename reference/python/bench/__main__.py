# SPDX-License-Identifier: Apache-2.0
"""`python -m bench [--quick] [--only NAME] [--json FILE]`: run the benchmarks and print tables."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench import report
from bench.benchmarks import BENCHMARKS
from bench.contest import Row
from bench.growth import Series
from bench.settings import FULL, QUICK


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for. Returns the exit status: 0, whatever the figures are; 2 for an unknown benchmark."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure callchannel beside its peers.")
    parser.add_argument("--quick", action="store_true", help="shorter and fewer runs: figures to a quarter or so")
    parser.add_argument("--only", action="append", metavar="NAME", help=f"one of: {', '.join(BENCHMARKS)}; repeatable")
    parser.add_argument(
        "--json", metavar="FILE", type=Path, help="keep the results in a file; what it has of other benchmarks stays"
    )
    options = parser.parse_args(arguments)
    names = options.only or list(BENCHMARKS)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    settings = QUICK if options.quick else FULL
    print(", ".join(f"{name} {version}" for name, version in report.versions().items()), flush=True)
    load = 0.0
    for name in names:
        print(f"… {name}", file=sys.stderr, flush=True)
        before, start = os.getloadavg()[0], time.monotonic()
        found = BENCHMARKS[name](settings)
        at_most = max(before, os.getloadavg()[0])
        load = max(load, at_most)
        rows = [item for item in found if isinstance(item, Row)]
        series = [item for item in found if isinstance(item, Series)]
        if rows:
            print(report.table(rows), flush=True)
        for item in series:
            print(report.line(item), flush=True)
        if options.json is not None:
            result = {
                "quick": options.quick,
                "load": round(at_most, 1),
                "seconds": round(time.monotonic() - start),
                "rows": [dataclasses.asdict(row) for row in rows],
                "series": [dataclasses.asdict(item) for item in series],
            }
            report.record(options.json, name, result)
    cores = os.cpu_count() or 1
    if load > cores:
        print(f"The machine was busy (load {load:.1f} on {cores} cores): ratios may hold, figures by the clock do not.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
