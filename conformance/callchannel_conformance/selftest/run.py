# SPDX-License-Identifier: Apache-2.0
"""Runs the self-test: defects have to die, legal variants to pass, bad adapters to get their one verdict."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from callchannel_conformance.outcome import Exit
from callchannel_conformance.selftest import bad_adapter, wire_adapter
from callchannel_conformance.selftest.defects import DEFECTS
from callchannel_conformance.selftest.variants import VARIANTS

Json = dict[str, Any]

_HERE: Final = Path(__file__).resolve().parent
_RECORD: Final = _HERE.parent / "data" / "dead_defects.json"
_PROXY: Final = "callchannel_conformance.selftest.proxy"
_WIRE: Final = "callchannel_conformance.selftest.wire_adapter"
_BAD: Final = "callchannel_conformance.selftest.bad_adapter"


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of the suite. `kind`: defect, variant or bad; `want` what has to come of it."""

    kind: str
    name: str
    adapter: str
    areas: tuple[str, ...]
    requirement: str = ""
    want: str = ""
    among: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """What came of a trial."""

    trial: Trial
    good: bool
    detail: str
    broken: tuple[str, ...] = ()
    witness: str = ""
    """A check that sees a defect."""


def trials(reference: str, *, full: bool) -> Iterator[Trial]:
    """All trials. *reference*: command of a good adapter with all profiles."""
    python = sys.executable
    for rule in wire_adapter.rules():
        yield Trial("defect", f"codec-without-{rule}", f"{python} -m {_WIRE} {rule}", ("codec",), rule)
    for name, defect in DEFECTS.items():
        areas = () if full else defect.areas
        yield Trial("defect", name, f"{python} -m {_PROXY} {name} {reference}", areas, defect.requirement)
    yield Trial("variant", "grammar", f"{python} -m {_WIRE}", (), want="conformant")
    yield Trial("variant", "reference", reference, (), want="conformant")
    for name in VARIANTS:
        yield Trial("variant", name, f"{python} -m {_PROXY} {name} {reference}", (), want="conformant")
    for kind, (verdict, among) in bad_adapter.EXPECTED.items():
        yield Trial("bad", kind, f"{python} -m {_BAD} {kind}", ("codec",), want=verdict, among=among)


def run(trial: Trial, extra: Sequence[str] = ()) -> Json | None:
    """The results of the suite on a trial's adapter, or None when the suite itself failed."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "results.json"
        command = [sys.executable, "-m", "callchannel_conformance", "run", "--adapter", trial.adapter, "-q"]
        command += ["--json", str(target), "--replays", folder, *extra]
        for area in trial.areas:
            command += ["--area", area]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, [str(_HERE.parent.parent), os.environ.get("PYTHONPATH", "")]))
        }
        subprocess.run(command, capture_output=True, check=False, env=environment, cwd=folder)
        if not target.exists():
            return None
        loaded: Json = json.loads(target.read_text("utf-8"))
        return loaded


def judge(trial: Trial, baseline: frozenset[str] = frozenset()) -> Judged:
    """Run a trial and judge it. *baseline*: checks that fail on the good adapter as well, and so show nothing."""
    results = run(trial, ["--scripted"])
    if results is None:
        return Judged(trial, False, "the suite itself failed")
    bad = [c for c in results["checks"] if c["result"] not in ("PASS", "SKIP") and c["check"] not in baseline]
    broken = tuple(sorted({c["broken"] for c in bad if "broken" in c and c["result"] == "FAIL"}))
    if trial.kind == "defect":
        detail = f"killed by {len(bad)} checks" if broken else "ALIVE"
        if broken and trial.requirement not in broken:
            detail += f" (as {', '.join(broken[:3])})"
        seen = [c["check"] for c in bad if c.get("broken") == trial.requirement] or [c["check"] for c in bad]
        return Judged(trial, bool(broken), detail, broken, seen[0] if seen else "")
    if trial.kind == "variant":
        return Judged(trial, not bad, "passes" if not bad else f"{bad[0]['check']}: {bad[0].get('message', '')[:120]}")
    verdict = "incomplete" if results["verdict"] == "conformant" else results["verdict"]
    there = trial.among in results["counts"]
    return Judged(trial, verdict == trial.want and there, f"{results['verdict']}, {results['counts']}")


def selftest(*, reference: str | None, full: bool, only: str) -> int:
    """Run all trials and print them. Records dead defects beside the suite. Returns the exit status."""
    command = reference or f"{sys.executable} -m callchannel.adapter"
    chosen = [trial for trial in trials(command, full=full) if only in trial.name or only == trial.kind]
    good = run(Trial("variant", "reference", command, ()), ["--scripted"])
    if good is None:
        print("the reference adapter can't be run", file=sys.stderr)
        return Exit.HARNESS
    baseline = frozenset(c["check"] for c in good["checks"] if c["result"] not in ("PASS", "SKIP"))
    if baseline:
        print(
            f"note: {len(baseline)} checks fail on the good adapter and are left aside: "
            f"{', '.join(sorted(baseline)[:5])} …"
        )
    judged: list[Judged] = []
    with ThreadPoolExecutor(max_workers=max((os.cpu_count() or 2), 1)) as pool:
        for found in pool.map(lambda trial: judge(trial, baseline), chosen):
            judged.append(found)
            if not found.good or only:
                print(
                    f"{'ok  ' if found.good else 'BAD '} {found.trial.kind:8}{found.trial.name}: {found.detail}",
                    flush=True,
                )
    for kind in ("defect", "variant", "bad"):
        these = [found for found in judged if found.trial.kind == kind]
        print(f"{kind}: {sum(found.good for found in these)} of {len(these)}")
    if not only:
        _record(judged, command)
    return Exit.CONFORMANT if all(found.good for found in judged) else Exit.NONCONFORMANT


def _record(judged: Sequence[Judged], command: str) -> None:
    """Write which defects died for which requirement; the matrix shows it."""
    dead: dict[str, list[str]] = {}
    for found in judged:
        if found.trial.kind == "defect" and found.good:
            for requirement in {found.trial.requirement, *found.broken}:
                dead.setdefault(requirement, []).append(found.trial.name)
    alive = [found.trial.name for found in judged if found.trial.kind == "defect" and not found.good]
    content = {
        "SPDX-License-Identifier": "CC0-1.0",
        "alive": alive,
        "witnesses": {found.trial.name: found.witness for found in judged if found.witness},
        "dead": {key: sorted(dead[key]) for key in sorted(dead)},
    }
    _RECORD.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
