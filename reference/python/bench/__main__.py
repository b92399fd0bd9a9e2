# SPDX-License-Identifier: Apache-2.0
"""`python -m bench [--quick] [--only NAME] [--json FILE]`: run the benchmarks and print a table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import report
from bench.benchmarks import BENCHMARKS
from bench.contest import Row
from bench.settings import FULL, QUICK


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for. Returns the exit status: 0, whatever the figures are; 2 for an unknown benchmark."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure callchannel beside its peers.")
    parser.add_argument("--quick", action="store_true", help="shorter and fewer runs: figures to a quarter or so")
    parser.add_argument("--only", action="append", metavar="NAME", help=f"one of: {', '.join(BENCHMARKS)}; repeatable")
    parser.add_argument("--json", metavar="FILE", type=Path, help="keep the result in a file, too")
    options = parser.parse_args(arguments)
    names = options.only or list(BENCHMARKS)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    settings = QUICK if options.quick else FULL
    print(", ".join(f"{name} {version}" for name, version in report.versions().items()), flush=True)
    rows: list[Row] = []
    for name in names:
        print(f"… {name}", file=sys.stderr, flush=True)
        rows += BENCHMARKS[name](settings)
    print(report.table(rows))
    if options.json is not None:
        options.json.write_text(report.as_json(rows, quick=options.quick) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
