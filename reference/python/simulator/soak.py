# SPDX-License-Identifier: Apache-2.0
"""Runs plan after plan on all cores: `python -m simulator.soak --for 30`.

Exit code 0: no violation and every cell that has to be hit was hit; 1: a violation (its plan is made small and kept);
2: a cell that can be reached was never hit, in a run long enough to say so.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulator.coverage import Coverage, missing
from simulator.generate import plan as make_plan
from simulator.patching import PLANS
from simulator.plan import Plan, save
from simulator.run import run
from simulator.shrink import shrink

ENOUGH = 4_000
"""Plans after which a cell that was never hit says something."""
_BATCH = 25
_COVER_EVERY = 3


@dataclass
class Totals:
    """What many plans came to."""

    plans: int = 0
    counted: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    cells: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    failures: list[tuple[int, str, str]] = field(default_factory=list)

    def add(self, other: Totals) -> None:
        """Add another one's numbers."""
        self.plans += other.plans
        self.counted += other.counted
        for name in ("counts", "verdicts", "faults", "cells"):
            getattr(self, name).update(getattr(other, name))
        self.failures += other.failures


def counts(plan: Plan, packets: int) -> bool:
    """Whether a plan is one of those that count: 3 endpoints, 20 operations, 50 packets, 3 faults at least."""
    return plan.endpoints >= 3 and len(plan.steps) >= 20 and packets >= 50 and plan.faults >= 3


def batch(first: int) -> Totals:
    """Run the plans of some seeds."""
    totals = Totals()
    for seed in range(first, first + _BATCH):
        plan = make_plan(seed)
        coverage = Coverage() if not seed % _COVER_EVERY else None
        result = run(plan, coverage)
        totals.plans += 1
        totals.counted += counts(plan, result.counts["packets"])
        totals.counts.update(result.counts)
        totals.verdicts.update(result.verdicts)
        totals.faults.update(step["do"] for step in plan.steps)
        totals.faults.update(f"fate {fate if isinstance(fate, str) else 'delay'}" for row in plan.fates for fate in row)
        if coverage is not None:
            totals.cells.update(coverage.hits)
        if result.rule is not None:
            totals.failures.append((seed, result.rule, result.text))
    return totals


def soak(seconds: float, *, first: int = 0, workers: int | None = None, quiet: bool = False) -> Totals:
    """Run plans for so long."""
    totals = Totals()
    begun = time.monotonic()
    workers = workers or os.cpu_count() or 1

    def seeds() -> Any:
        seed = first
        while time.monotonic() - begun < seconds:
            yield seed
            seed += _BATCH

    shown = begun
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        running: list[Any] = []
        source = seeds()
        while True:
            while len(running) < 2 * workers and (seed := next(source, None)) is not None:
                running.append(pool.apply_async(batch, (seed,)))
            if not running:
                break
            totals.add(running.pop(0).get())
            now = time.monotonic()
            if not quiet and now - shown >= 1:
                shown = now
                rate = totals.plans / (now - begun)
                line = f"\r{now - begun:6.0f} s  {totals.plans:8,} plans  {rate:6.0f}/s  {len(totals.failures)} failed "
                print(line, end="", file=sys.stderr, flush=True)
    if not quiet:
        print(file=sys.stderr)
    totals.counts["milliseconds"] = int((time.monotonic() - begun) * 1_000)
    return totals


def keep(totals: Totals, folder: Path) -> list[Path]:
    """Make the plan of each broken requirement small, and keep it."""
    kept: list[Path] = []
    seen: set[str] = set()
    for seed, rule, _ in totals.failures:
        if rule in seen:
            continue
        seen.add(rule)
        small = shrink(make_plan(seed), rule)
        result = run(small)
        label = "".join(letter if letter.isalnum() else "-" for letter in rule.lower())
        path = folder / f"{label}-{seed}.json"
        save(small, path, why=result.text[:400])
        kept.append(path)
    return kept


def report(totals: Totals) -> str:
    """A table for people."""
    seconds = totals.counts["milliseconds"] / 1_000
    counts_ = totals.counts
    lines = [
        f"plans              {totals.plans:12,}   {totals.plans / max(seconds, 0.001):,.0f} a second",
        f"plans that count   {totals.counted:12,}",
        f"packets            {counts_['packets']:12,}",
        f"messages           {counts_['messages']:12,}",
        f"reads              {counts_['reads']:12,}",
        f"failed plans       {len(totals.failures):12,}",
    ]

    def table(title: str, rows: list[tuple[str, int]]) -> None:
        lines.append(f"\n{title}")
        lines.extend(f"  {name:32} {count:12,}" for name, count in rows)

    table("operations and fates", sorted(totals.faults.items()))
    table("verdicts", sorted(totals.verdicts.items()))
    for title, start in (
        ("FAIL and REFUSE on the wire", ("FAIL", "REFUSE")),
        ("ends of links", ("link ended",)),
        ("ends of receivers", ("receiver closed",)),
        ("exceptions", ("raised",)),
    ):
        table(title, sorted((name, count) for name, count in counts_.items() if name.startswith(start)))
    for machine in sorted({cell[0] for cell in totals.cells}):
        table(
            f"cells of the table: {machine}",
            sorted(
                (f"{event} × {state}", count) for (name, event, state), count in totals.cells.items() if name == machine
            ),
        )
    for seed, rule, text in totals.failures[:10]:
        lines.append(f"\nFAILED seed {seed}: {rule}: {text[:300]}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m simulator.soak", description=__doc__)
    parser.add_argument("--for", dest="seconds", type=float, default=30, help="seconds (30)")
    parser.add_argument("--first", type=int, default=None, help="the first seed; by default a new one each time")
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--keep", type=Path, default=PLANS, help="where small plans of failures go")
    options = parser.parse_args(arguments)
    first = options.first if options.first is not None else int(time.time()) * 1_000
    totals = soak(options.seconds, first=first, workers=options.workers)
    print(f"seeds from {first}")
    print(report(totals))
    if totals.failures:
        for path in keep(totals, options.keep):
            print(f"kept {path}")
        return 1
    never = missing(totals.cells)
    if never and totals.plans >= ENOUGH:
        print("\nnever hit: " + ", ".join(f"{machine}: {event} × {state}" for machine, event, state in never))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
