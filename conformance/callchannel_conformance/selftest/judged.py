# SPDX-License-Identifier: Apache-2.0
"""What came of a trial: whether a defect is dead, a variant passes, a bad adapter has got its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from callchannel_conformance.outcome import Result, verdict
from callchannel_conformance.selftest.trials import Trial

Json = dict[str, Any]


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
