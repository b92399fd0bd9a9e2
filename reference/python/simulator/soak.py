# SPDX-License-Identifier: Apache-2.0
"""Runs plan after plan on all cores: `python -m simulator.soak --for 30`.

Which plans ran is said, so that a long run can be split: `--first SEED --plans N`. Exit code 0: no violation, and every
cell of the state tables that plans can reach was hit; 1: a violation (its plan is made small and kept); 2: a cell was
never hit, in a run long enough to say so, or one was hit that can't be.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulator.coverage import Coverage, Hits, unknown
from simulator.generate import plan as make_plan
from simulator.patching import PLANS
from simulator.plan import Plan, save
from simulator.required import ENOUGH, missing, out_of_reach, surprises
from simulator.run import run
from simulator.shrink import shrink
from simulator.tables import cells, events

_BATCH = 25
COVER_EVERY = 4
"""The cells of so many plans are counted: one of so many."""


@dataclass
class Totals:
    """What many plans came to."""

    first: int = 0
    """The seed of the first plan."""
    plans: int = 0
    counted: int = 0
    covered: int = 0
    """Plans whose cells were counted."""
    seconds: float = 0.0
    """Of the clock."""
    work: float = 0.0
    """Of the processors."""
    counts: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    cells: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: list[tuple[int, str, str]] = field(default_factory=list)
    """Seed, requirement, what happened."""

    def add(self, other: Totals) -> None:
        """Add another one's numbers."""
        self.plans += other.plans
        self.counted += other.counted
        self.covered += other.covered
        self.work += other.work
        for name in ("counts", "verdicts", "faults", "cells"):
            getattr(self, name).update(getattr(other, name))
        self.failures += other.failures

    def as_json(self) -> dict[str, Any]:
        """All of it as JSON."""
        excused = out_of_reach()
        return {
            "first seed": self.first,
            "plans": self.plans,
            "plans that count": self.counted,
            "seconds": round(self.seconds, 1),
            "processor seconds": round(self.work, 1),
            "counts": dict(sorted(self.counts.items())),
            "verdicts": dict(sorted(self.verdicts.items())),
            "operations and fates": dict(sorted(self.faults.items())),
            "plans whose cells were counted": self.covered,
            "cells": {f"{row} {state}": self.cells[row, state] for row, state in cells()},
            "cells never hit": [f"{row} {state}" for row, state in missing(self.cells)],
            "cells out of reach": {f"{row} {state}": why for (row, state), why in excused.items()},
            "failures": [{"seed": seed, "rule": rule, "text": text} for seed, rule, text in self.failures],
        }


def counts(plan: Plan, packets: int) -> bool:
    """Whether a plan is one of those that count: 3 endpoints, 20 operations, 50 packets, 3 faults at least."""
    return plan.endpoints >= 3 and len(plan.steps) >= 20 and packets >= 50 and plan.faults >= 3


def batch(first: int, count: int = _BATCH, cover: int = COVER_EVERY) -> Totals:
    """Run the plans of some seeds; the cells of every `cover`-th are counted."""
    totals = Totals()
    begun = time.process_time()
    for seed in range(first, first + count):
        plan = make_plan(seed)
        if seed % cover:
            result = run(plan)
        else:
            with Coverage(Hits()) as hits:
                result = run(plan)
            totals.cells.update(hits.cells)
            totals.covered += 1
        totals.plans += 1
        totals.counted += counts(plan, result.counts["packets"])
        totals.counts.update(result.counts)
        totals.verdicts.update(result.verdicts)
        totals.faults.update(step["do"] for step in plan.steps)
        totals.faults.update(f"fate {fate if isinstance(fate, str) else 'delay'}" for row in plan.fates for fate in row)
        if result.rule is not None:
            totals.failures.append((seed, result.rule, result.text))
    gc.collect()
    totals.work = time.process_time() - begun
    return totals


def _prepare() -> None:
    """A worker collects garbage between batches only: a tenth faster."""
    gc.disable()


def _batches(totals: Totals, begun: float, seconds: float | None, plans: int | None) -> Iterator[tuple[int, int]]:
    """First seed and number of plans of one batch after the other."""
    seed, end = totals.first, None if plans is None else totals.first + plans
    while (seconds is None or time.monotonic() - begun < seconds) and (end is None or seed < end):
        count = _BATCH if end is None else min(_BATCH, end - seed)
        yield seed, count
        seed += count


def soak(
    *,
    seconds: float | None = None,
    plans: int | None = None,
    first: int = 0,
    cover: int = COVER_EVERY,
    workers: int | None = None,
    quiet: bool = False,
) -> Totals:
    """Run so many plans, or for so many seconds, or what ends first."""
    totals = Totals(first=first)
    begun = shown = time.monotonic()
    workers = workers or os.cpu_count() or 1
    with multiprocessing.get_context("fork").Pool(workers, _prepare) as pool:
        running: list[Any] = []
        source = _batches(totals, begun, seconds, plans)
        while True:
            while len(running) < 2 * workers and (job := next(source, None)) is not None:
                running.append(pool.apply_async(batch, (*job, cover)))
            if not running:
                break
            totals.add(running.pop(0).get())
            now = time.monotonic()
            if not quiet and now - shown >= 1:
                shown = now
                line = f"\r{now - begun:6.0f} s  {totals.plans:8,} plans  {len(totals.failures)} failed "
                print(line, end="", file=sys.stderr, flush=True)
    if not quiet:
        print(file=sys.stderr)
    totals.seconds = time.monotonic() - begun
    return totals


def keep(totals: Totals, folder: Path) -> list[Path]:
    """Make the plan of each broken requirement small, and keep it."""
    kept: list[Path] = []
    seen: set[str] = set()
    folder.mkdir(parents=True, exist_ok=True)
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
    counts_ = totals.counts
    last = totals.first + totals.plans - 1
    rate, own = totals.plans / max(totals.seconds, 0.001), totals.plans / max(totals.work, 0.001)
    lines = [
        f"plans              {totals.plans:12,}   seeds {totals.first} to {last}",
        f"plans that count   {totals.counted:12,}",
        f"seconds            {totals.seconds:12,.1f}   {rate:,.0f} plans a second",
        f"on the processors  {totals.work:12,.1f}   {own:,.0f} plans a second of one",
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
    lines.append(f"\ncells of the state tables, in {totals.covered:,} of the plans")
    lines += _rows(totals.cells)
    for seed, rule, text in totals.failures[:10]:
        lines.append(f"\nFAILED seed {seed}: {rule}: {text[:300]}")
    return "\n".join(lines)


def _rows(hits: Counter[tuple[str, str]]) -> Iterator[str]:
    """One line for each row of the tables that is not wholly out of reach: hits by state, "-" where there are none."""
    excused = out_of_reach()
    by_row: dict[str, list[str]] = {}
    for row, state in cells():
        if (row, state) not in excused or hits[row, state]:
            by_row.setdefault(row, []).append(f"{state} {hits[row, state] or '-'}")
    for row, states in by_row.items():
        yield f"  {row} {events()[row][:60]:60} {'  '.join(states)}"


def judge_cells(totals: Totals) -> list[str]:
    """What is wrong with the cells that were hit; empty: nothing."""

    def named(chosen: list[tuple[str, str]]) -> str:
        return ", ".join(f"{row} {state}" for row, state in chosen)

    wrong: list[str] = []
    if never := missing(totals.cells):
        if totals.covered >= ENOUGH:
            wrong.append(f"never hit: {named(never)}")
        else:
            print(f"\nnot hit yet, which is no failure before {ENOUGH:,} plans are looked at: {named(never)}")
    if hit := surprises(totals.cells):
        wrong.append(f"hit, although required.py says that plans can't: {named(hit)}")
    if strange := unknown(totals.cells):
        wrong.append(f"hit, but in no table: {named(strange)}")
    return wrong


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m simulator.soak", description=__doc__)
    parser.add_argument("--for", "--seconds", dest="seconds", type=float, default=None, help="seconds (30)")
    parser.add_argument("--plans", type=int, default=None, help="so many plans, whatever time they take")
    parser.add_argument("--first", type=int, default=None, help="the first seed; by default a new one each time")
    parser.add_argument("--cover", type=int, default=COVER_EVERY, help=f"cells of every n-th plan ({COVER_EVERY})")
    parser.add_argument("--workers", type=int, default=None, help="processes (one for each core)")
    parser.add_argument("--keep", type=Path, default=PLANS, help="where small plans of failures go")
    parser.add_argument("--json", type=Path, default=None, help="write all numbers to a file, too")
    options = parser.parse_args(arguments)
    first = options.first if options.first is not None else int(time.time()) * 1_000
    seconds = options.seconds if options.seconds is not None or options.plans is not None else 30.0
    totals = soak(seconds=seconds, plans=options.plans, first=first, cover=options.cover, workers=options.workers)
    print(report(totals))
    if options.json is not None:
        options.json.write_text(json.dumps(totals.as_json(), indent=1) + "\n")
    wrong = judge_cells(totals)
    for line in wrong:
        print(f"\n{line}")
    if totals.failures:
        for path in keep(totals, options.keep):
            print(f"kept {path}")
        return 1
    return 2 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
