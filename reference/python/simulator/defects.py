# SPDX-License-Identifier: Apache-2.0
"""Tests the simulator by defects: `python -m simulator.defects` says which of the seeded ones it catches.

Exit code 0: all that have to be caught were; 1: one was not; 2: a patch does not apply any more.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from simulator import seeded_found, seeded_links, seeded_mutants, seeded_sessions
from simulator.defect import Defect
from simulator.patching import PLANS, DoesNotApply, Search, apply, try_all
from simulator.plan import Plan, save

DEFECTS = seeded_links.DEFECTS + seeded_sessions.DEFECTS + seeded_found.DEFECTS + seeded_mutants.DEFECTS


def check() -> list[str]:
    """Patches that do not apply any more."""
    wrong: list[str] = []
    for defect in DEFECTS:
        try:
            apply(defect.patches)
        except DoesNotApply as error:
            wrong.append(f"{defect.name}: {error}")
    return wrong


def witness(defect: Defect) -> str:
    """The name of the kept plan that shows a defect."""
    return defect.plan or f"witness-{defect.name}"


def witness_path(defect: Defect) -> Path:
    """Where that plan is."""
    return PLANS / f"{witness(defect)}.json"


def searches(defect: Defect, options: argparse.Namespace) -> Search:
    """Its witness comes first, then other kept plans, then generated ones."""
    names = [witness(defect)] if witness_path(defect).exists() else []
    if not (options.witnesses or options.keep):
        names += [path.stem for path in sorted(PLANS.glob("*.json")) if path.stem not in names]
    return Search(
        budget=0 if options.witnesses else options.budget, first=options.first, kept=names, shrink=options.keep
    )


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m simulator.defects", description=__doc__)
    parser.add_argument("--budget", type=int, default=400, help="generated plans for each defect (400)")
    parser.add_argument("--first", type=int, default=0, help="the seed of the first of them")
    parser.add_argument("--only", default="", help="defects whose name has this in it")
    parser.add_argument("--witnesses", action="store_true", help="run nothing but the plan kept for each defect")
    parser.add_argument("--keep", action="store_true", help="make the plan that shows a defect small, and keep it")
    parser.add_argument("--workers", type=int, default=None)
    options = parser.parse_args(arguments)
    chosen = [defect for defect in DEFECTS if options.only in defect.name]
    wrong = check()
    for line in wrong:
        print(f"does not apply: {line}")
    broken = {line.split(":")[0] for line in wrong}
    by_name = {defect.name: defect for defect in chosen if defect.name not in broken}
    jobs = [(name, apply(defect.patches), searches(defect, options)) for name, defect in by_name.items()]
    caught: Counter[str] = Counter()
    total: Counter[str] = Counter()
    missed: list[str] = []
    for name, result in try_all(jobs, workers=options.workers):
        defect = by_name[name]
        total[defect.source] += 1
        if result["rule"] is not None:
            caught[defect.source] += 1
            print(f"caught  {name:40} {result['name']:>36}  {result['rule']}", flush=True)
            if "plan" in result and result["name"] != witness(defect):
                why = f"shows the defect {name}: {result['text']}"
                save(Plan.from_json(result["plan"]), witness_path(defect), why=why[:300])
        elif defect.survives:
            print(f"missed  {name:40} ({defect.survives})", flush=True)
        else:
            print(f"MISSED  {name:40}", flush=True)
            missed.append(name)
    for source in sorted(total):
        excused = sum(bool(defect.survives) for defect in by_name.values() if defect.source == source)
        note = f", {excused} can't be seen" if excused else ""
        print(f"{source:12} {caught[source]} of {total[source]}{note}")
    print(f"{sum(caught.values())} of {sum(total.values())} caught")
    return 2 if wrong else 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
