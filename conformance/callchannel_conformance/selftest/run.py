# SPDX-License-Identifier: Apache-2.0
"""Runs the self-test: defects have to die, legal variants to pass, bad adapters to get their one verdict.

A defect is tried with the checks that saw it when the record was made (`data/dead_defects.json`), which takes a blink;
only when they no longer see it, with those that cite its requirements, and with its area. `record` keeps what it finds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from callchannel_conformance import matrix
from callchannel_conformance.outcome import Exit
from callchannel_conformance.selftest import trials as all_trials
from callchannel_conformance.selftest.full import full
from callchannel_conformance.selftest.judged import Judged, judge_defect, judge_other
from callchannel_conformance.selftest.pool import each
from callchannel_conformance.selftest.trials import Trial
from callchannel_conformance.selftest.worker import work

Json = dict[str, Any]

RECORD: Final = Path(__file__).resolve().parent.parent / "data" / "dead_defects.json"
REFERENCE: Final = "inline:callchannel.adapter.conversation:Conversation"
"""The reference's adapter, in the process of the worker."""


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


def selftest(*, reference: str | None, mode: str, only: str, progress: Path | None = None) -> int:
    """Run the trials and print them. *mode*: `quick`, `record` or `full`. Returns the exit status."""
    command = reference or REFERENCE
    wanted = [part for part in only.split(",") if part]
    chosen = [
        trial
        for trial in all_trials.trials()
        if not wanted or any(part in trial.name or part == trial.kind for part in wanted)
    ]
    record: Json = json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else {}
    witnesses: dict[str, list[str]] = record.get("witnesses", {})
    if mode == "full":
        return full(chosen, command, witnesses, progress)
    # Variants take longest, so they begin.
    chosen.sort(key=lambda trial: (trial.kind != "variant", trial.name != "hang"))
    tasks = [(trial, (trial, command, witnesses.get(trial.name, []))) for trial in chosen]
    known = {trial.name for trial in all_trials.trials()}
    started = time.monotonic()
    judged: list[Judged] = []
    for trial, outcome in each(anew if mode == "record" else quick, tasks):
        found = outcome if isinstance(outcome, Judged) else Judged(trial, False, f"the suite itself failed: {outcome}")
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
