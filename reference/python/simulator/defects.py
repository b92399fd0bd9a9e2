# SPDX-License-Identifier: Apache-2.0
"""Tests the simulator by defects: `python -m simulator.defects` says which of the seeded ones it catches.

Exit code 0: all that have to be caught were; 1: one was not; 2: a patch does not apply any more.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from simulator import seeded_links, seeded_sessions
from simulator.defect import Defect
from simulator.patching import DoesNotApply, apply, try_all

DEFECTS = seeded_links.DEFECTS + seeded_sessions.DEFECTS


def check() -> list[str]:
    """Patches that do not apply any more."""
    wrong: list[str] = []
    for defect in DEFECTS:
        try:
            apply(defect.patches)
        except DoesNotApply as error:
            wrong.append(f"{defect.name}: {error}")
    return wrong


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m simulator.defects", description=__doc__)
    parser.add_argument("--budget", type=int, default=400, help="plans for each defect (400)")
    parser.add_argument("--only", default="", help="defects whose name has this in it")
    parser.add_argument("--workers", type=int, default=None)
    options = parser.parse_args(arguments)
    chosen = [defect for defect in DEFECTS if options.only in defect.name]
    wrong = check()
    for line in wrong:
        print(f"does not apply: {line}")
    broken = {line.split(":")[0] for line in wrong}
    jobs = [(defect.name, apply(defect.patches)) for defect in chosen if defect.name not in broken]
    by_name: dict[str, Defect] = {defect.name: defect for defect in chosen}
    caught: Counter[str] = Counter()
    total: Counter[str] = Counter()
    missed: list[str] = []
    for name, result in try_all(jobs, options.budget, workers=options.workers):
        defect = by_name[name]
        total[defect.source] += 1
        if result["rule"] is not None:
            caught[defect.source] += 1
            print(f"caught  {name:44} {result['seed']:>28}  {result['rule']}", flush=True)
        else:
            why = f" ({defect.survives})" if defect.survives else ""
            print(f"MISSED  {name:44}{why}", flush=True)
            if not defect.survives:
                missed.append(name)
    for source in sorted(total):
        print(f"{source:12} {caught[source]} of {total[source]}")
    return 2 if wrong else 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
