# SPDX-License-Identifier: Apache-2.0
"""Runs the self-test: defects have to die, legal variants to pass, bad adapters to get their one verdict.

A defect is tried with the checks that saw it when the record was made (`data/dead_defects.json`), which takes a blink;
only when they no longer see it, with those that cite its requirements, and with its area. `record` keeps what it finds.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from callchannel_conformance import matrix
from callchannel_conformance.outcome import Exit, Result, verdict
from callchannel_conformance.selftest import trials as all_trials
from callchannel_conformance.selftest.trials import Trial
from callchannel_conformance.selftest.worker import work

Json = dict[str, Any]

RECORD: Final = Path(__file__).resolve().parent.parent / "data" / "dead_defects.json"
SEEDS: Final = 5
REFERENCE: Final = "inline:callchannel.adapter.conversation:Conversation"
"""The reference's adapter, in the process of the worker."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What came of a trial."""

    trial: Trial
    good: bool
    detail: str
    dead_for: tuple[str, ...] = ()
    """The requirements for which a defect died: its own that a failed check cites, and others found broken."""
    witnesses: tuple[str, ...] = ()
    """Checks that see a defect, as few as cite all its requirements."""


def _failed(records: Sequence[Json]) -> list[Json]:
    return [record for record in records if record["result"] == Result.FAIL.value]


def _cites(record: Json, requirement: str) -> bool:
    return requirement in record["requirements"] or record.get("broken") == requirement


def judge_defect(trial: Trial, records: Sequence[Json]) -> Judged:
    """A defect is dead when for each of its requirements a check that cites it has failed."""
    failed = _failed(records)
    # The check that names a requirement as the broken one is the better witness.
    failed.sort(key=lambda record: record.get("broken") not in trial.requirements)
    witnesses: list[Json] = []
    missing = []
    for requirement in trial.requirements:
        if any(_cites(record, requirement) for record in witnesses):
            continue
        seen = next((record for record in failed if record.get("broken") == requirement), None)
        seen = seen or next((record for record in failed if _cites(record, requirement)), None)
        if seen is None:
            missing.append(requirement)
        else:
            witnesses.append(seen)
    if not failed:
        return Judged(trial, False, "ALIVE")
    dead = {record["broken"] for record in failed if "broken" in record} | set(trial.requirements) - set(missing)
    detail = f"killed by {len(failed)} checks, as {', '.join(sorted({str(r.get('broken')) for r in failed})[:4])}"
    if missing:
        detail = f"no check that cites {', '.join(missing)} fails; {detail}"
    names = tuple(dict.fromkeys(record["check"] for record in witnesses))
    return Judged(trial, not missing, detail, tuple(sorted(dead)), names)


def judge_other(trial: Trial, records: Sequence[Json]) -> Judged:
    """A variant passes whole; a bad adapter gets its one verdict."""
    if trial.kind == "variant":
        bad = [r for r in records if r["result"] not in (Result.PASS.value, Result.SKIP.value)]
        ran = any(r["result"] == Result.PASS.value for r in records)
        detail = f"{bad[0]['check']}: {bad[0].get('message', '')[:200]}" if bad else "passes" if ran else "nothing ran"
        return Judged(trial, ran and not bad, detail)
    results = [Result(record["result"]) for record in records]
    found = verdict(results).value
    # A run of the codec checks alone is a selection, which is never called conformant.
    found = "incomplete" if found == "conformant" else found
    counts = {kind.value: results.count(kind) for kind in Result if kind in results}
    return Judged(trial, found == trial.want and trial.among in counts, f"{found}, {counts}")


def quick(trial: Trial, reference: str, witnesses: Sequence[str]) -> Judged:
    """Try a defect with its witnesses, then with the checks that cite its requirements, then with its area."""
    if not trial.is_defect:
        return judge_other(trial, work(all_trials.order(trial, reference)))
    wanted = trial.requirements
    for checks in (tuple(witnesses), matrix.citing(wanted)):
        if checks:
            found = judge_defect(trial, work(all_trials.order(trial, reference, checks=checks, wanted=wanted)))
            if found.good:
                return found
    return judge_defect(trial, work(all_trials.order(trial, reference, wanted=wanted)))


def anew(trial: Trial, reference: str, witnesses: Sequence[str]) -> Judged:
    """Try a defect that its witnesses don't see with its area, and with every scripted check where need be."""
    found = quick(trial, reference, witnesses)
    if trial.is_defect and not found.good:
        found = judge_defect(trial, work(all_trials.order(trial, reference, areas=(), wanted=trial.requirements)))
    return found


def seeded(trial: Trial, reference: str, seed: int) -> Judged:
    """Try anything with the whole suite, drawn checks and all, on one seed; a defect until the first check fails."""
    until = 1 if trial.is_defect else 0
    areas: Json = {"areas": ()} if trial.kind != "bad" else {}
    records = work(all_trials.order(trial, reference, generated=True, seed=seed, until=until, **areas))
    if not trial.is_defect:
        return judge_other(trial, records)
    failed = _failed(records)
    return Judged(trial, bool(failed), f"killed by {failed[0]['check']}" if failed else "ALIVE")


def selftest(*, reference: str | None, mode: str, only: str, progress: Path | None = None) -> int:
    """Run the trials and print them. *mode*: `quick`, `record` or `full`. Returns the exit status."""
    command = reference or REFERENCE
    wanted = [part for part in only.split(",") if part]
    chosen = [
        trial
        for trial in all_trials.trials()
        if not wanted or any(part in trial.name or part == trial.kind for part in wanted)
    ]
    if mode == "full":
        return _full(chosen, command, progress or Path("selftest-progress.json"))
    record: Json = json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else {}
    witnesses: dict[str, list[str]] = record.get("witnesses", {})
    # Variants take longest, so they begin.
    chosen.sort(key=lambda trial: (trial.kind != "variant", trial.name != "hang"))
    tasks = [(trial, (trial, command, witnesses.get(trial.name, []))) for trial in chosen]
    known = {trial.name for trial in all_trials.trials()}
    started = time.monotonic()
    judged: list[Judged] = []
    for _, found in _each(anew if mode == "record" else quick, tasks):
        judged.append(found)
        if mode == "record" and len(judged) % 20 == 0:
            _write_record(record, judged, known)
        if not found.good or only:
            print(
                f"{'ok  ' if found.good else 'BAD '} {found.trial.kind:8}{found.trial.name}: {found.detail}", flush=True
            )
    for kind in dict.fromkeys(trial.kind for trial in chosen):
        these = [found for found in judged if found.trial.kind == kind]
        print(f"{kind:8} {sum(found.good for found in these)} of {len(these)}")
    print(f"{time.monotonic() - started:.0f} s")
    if mode == "record":
        _write_record(record, judged, known)
    return Exit.CONFORMANT if judged and all(found.good for found in judged) else Exit.NONCONFORMANT


def _each(
    do: Callable[..., Judged], tasks: Sequence[tuple[Trial, tuple[Any, ...]]]
) -> Iterator[tuple[tuple[Any, ...], Judged]]:
    """Do tasks in as many processes as there are processors, each of which does one after another."""
    # A fresh process, not a fork: the adapters of a worker are its own.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=min(os.cpu_count() or 2, len(tasks) or 1), mp_context=context) as pool:
        futures = {pool.submit(do, *arguments): (trial, arguments) for trial, arguments in tasks}
        for future in as_completed(futures):
            trial, arguments = futures[future]
            try:
                yield arguments, future.result()
            except Exception as error:
                yield arguments, Judged(trial, False, f"the suite itself failed: {error!r}")


def _write_record(before: Json, judged: Sequence[Judged], known: set[str]) -> None:
    """Write which of the known defects died for which requirement, and their witnesses; the matrix shows it."""
    before = {"witnesses": {}, **before}
    names = {found.trial.name for found in judged}
    # What was seen with a whole area stays while the witnesses see the defect; else it is found out anew.
    gone = {
        found.trial.name
        for found in judged
        if set(found.witnesses) != set(before["witnesses"].get(found.trial.name, ()))
    }
    dead = {key: set(values) - gone for key, values in before.get("dead", {}).items()}
    witnesses = {key: value for key, value in before.get("witnesses", {}).items() if key not in names}
    alive = set(before.get("alive", [])) - names
    for found in judged:
        if not found.trial.is_defect:
            continue
        for requirement in found.dead_for:
            dead.setdefault(requirement, set()).add(found.trial.name)
        if found.good:
            witnesses[found.trial.name] = list(found.witnesses)
        else:
            alive.add(found.trial.name)
    content = {
        "SPDX-License-Identifier": "CC0-1.0",
        "alive": sorted(alive & known),
        "witnesses": {key: witnesses[key] for key in sorted(witnesses) if key in known},
        "dead": {key: sorted(dead[key] & known) for key in sorted(dead) if dead[key] & known},
    }
    RECORD.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def _full(chosen: Sequence[Trial], command: str, progress: Path) -> int:
    """Every trial against the whole suite on five seeds. What is in *progress* is not done again."""
    done: dict[str, list[Any]] = json.loads(progress.read_text("utf-8")) if progress.exists() else {}
    tasks = [
        (trial, (trial, command, seed))
        for trial in chosen
        for seed in range(1, SEEDS + 1)
        if f"{trial.kind}/{trial.name}/{seed}" not in done
    ]
    print(f"{len(tasks)} runs to do, {len(done)} done before; {progress} keeps them", flush=True)
    started = time.monotonic()
    for number, ((trial, _, seed), found) in enumerate(_each(seeded, tasks), 1):
        done[f"{trial.kind}/{trial.name}/{seed}"] = [found.good, found.detail]
        if not found.good:
            print(f"BAD  {trial.kind} {trial.name}, seed {seed}: {found.detail}", flush=True)
        if number % 25 == 0 or number == len(tasks):
            progress.write_text(json.dumps(done, indent=1) + "\n", "utf-8")
            print(f"{number} of {len(tasks)} after {time.monotonic() - started:.0f} s", flush=True)
    wanted = {(trial.kind, trial.name) for trial in chosen}
    for kind in dict.fromkeys(trial.kind for trial in chosen):
        names = [name for other, name in wanted if other == kind]
        good = [[done[f"{kind}/{name}/{seed}"][0] for seed in range(1, SEEDS + 1)] for name in names]
        print(f"{kind:8} {sum(all(one) for one in good)} of {len(good)} on every seed, {sum(map(sum, good))} runs good")
    return Exit.CONFORMANT if all(value[0] for value in done.values()) else Exit.NONCONFORMANT
