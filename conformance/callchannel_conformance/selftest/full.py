# SPDX-License-Identifier: Apache-2.0
"""`selftest --full`: everything against the whole suite, drawn checks and all, on five seeds.

A defect is found on a seed when any check of the suite fails on it. So its run ends with the first that does, and those
that saw it before are asked first: which order they are asked in decides what a run costs, not what it finds. A defect
that nothing finds costs the whole suite. Variants must pass the whole suite on each seed, and cost that each time.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from callchannel_conformance.outcome import Exit, Result
from callchannel_conformance.selftest import trials as all_trials
from callchannel_conformance.selftest.judged import judge_other
from callchannel_conformance.selftest.pool import each
from callchannel_conformance.selftest.progress import Progress, stamp
from callchannel_conformance.selftest.trials import Trial
from callchannel_conformance.selftest.worker import Order, work

Json = dict[str, Any]

SEEDS: Final = range(1, 6)
_FAILS: Final = frozenset({Result.FAIL})


def seeded(trial: Trial, reference: str, seed: int, witnesses: Sequence[str] = ()) -> Json:
    """What comes of a trial on a seed.

    `good`; for a defect `by` too: `witness`, `suite` (a check that had not seen it before), or empty; and `check`.
    """
    if trial.kind == "bad":
        found = judge_other(trial, work(all_trials.order(trial, reference, generated=True, seed=seed)))
        return {"good": found.good, "detail": found.detail}
    more: Json = {"areas": (), "generated": True, "seed": seed}
    if not trial.is_defect:
        found = judge_other(trial, work(all_trials.order(trial, reference, **more)))
        return {"good": found.good, "detail": found.detail}
    stages: list[tuple[str, tuple[str, ...]]] = [("witness", tuple(witnesses)), ("suite", ())]
    for by, checks in stages:
        if checks or by == "suite":
            order: Order = all_trials.order(trial, reference, checks=checks, until=_FAILS, **more)
            records = work(order)
            if by == "suite" and not records:
                raise RuntimeError("none of the checks was run")
            failed = [record["check"] for record in records if record["result"] == Result.FAIL.value]
            if failed:
                return {"good": True, "by": by, "check": failed[0]}
    return {"good": False, "by": "", "check": ""}


def figures(outcomes: Mapping[tuple[str, str, int], Json]) -> list[str]:
    """Lines that say what came of all, by kind: *outcomes* by kind, name and seed."""
    lines = []
    for kind in dict.fromkeys(kind for kind, _, _ in outcomes):
        runs = [(name, outcome) for (other, name, _), outcome in outcomes.items() if other == kind]
        good = Counter(name for name, outcome in runs if outcome["good"])
        times = Counter(name for name, _ in runs)
        always = sum(good[name] == times[name] for name in times)
        never = sum(good[name] == 0 for name in times)
        what = "right" if kind in ("variant", "bad") else "found"
        line = f"{kind:8} {always} of {len(times)} {what} on every seed, {len(times) - always - never} on some, "
        line += f"{never} on none; {sum(good.values())} of {len(runs)} runs"
        if what == "found":
            by = Counter(outcome["by"] for _, outcome in runs if outcome["good"])
            line += f", {by['witness']} by a known check, {by['suite']} by another"
        lines.append(line)
    return lines


def full(chosen: Sequence[Trial], command: str, witnesses: Mapping[str, list[str]], progress: Path | None) -> int:
    """Run it and print it. What is in the file *progress*, of the same suite, is not done again."""
    path = progress or Path("selftest-progress.jsonl")
    kept = Progress(path, stamp())
    # Defects begin, a seed after the other, so that what is stopped early says something of all.
    runs = [(trial, seed) for seed in SEEDS for trial in chosen]
    runs.sort(key=lambda run: (not run[0].is_defect, run[0].kind == "variant"))
    tasks = [
        ((trial, seed), (trial, command, seed, witnesses.get(trial.name, ())))
        for trial, seed in runs
        if _key(trial, seed) not in kept.done
    ]
    print(f"{len(tasks)} runs to do, {len(runs) - len(tasks)} done before; {path} keeps them", flush=True)
    if kept.others:
        print(f"{kept.others} runs in {path} were of another state of the suite and are not counted", flush=True)
    started = time.monotonic()
    for number, ((trial, seed), found) in enumerate(each(seeded, tasks), 1):
        outcome = found if isinstance(found, dict) else {"good": False, "by": "", "detail": found}
        kept.add(_key(trial, seed), outcome)
        if not outcome["good"]:
            print(f"BAD  {trial.kind} {trial.name}, seed {seed}: {outcome.get('detail', 'ALIVE')}", flush=True)
        if number % 50 == 0 or number == len(tasks):
            print(f"{number} of {len(tasks)} after {time.monotonic() - started:.0f} s", flush=True)
    outcomes = {(trial.kind, trial.name, seed): kept.done[_key(trial, seed)] for trial, seed in runs}
    for line in figures(outcomes):
        print(line)
    return Exit.CONFORMANT if all(outcome["good"] for outcome in outcomes.values()) else Exit.NONCONFORMANT


def _key(trial: Trial, seed: int) -> str:
    return f"{trial.kind}/{trial.name}/{seed}"
