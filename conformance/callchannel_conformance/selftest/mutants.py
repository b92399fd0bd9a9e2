# SPDX-License-Identifier: Apache-2.0
"""`selftest --mutants FILE`: small changes of an implementation's sources that a program chose.

The file is JSON: `package` is the folder of the implementation's package by its name, `mutants` a list of changes. Each
has a `key`, the `module` it changes (a path in the package), `start` and `end` (characters of its text), the `old` text
that stands there, the `new` one, and the qualified name of the `function` around it; `class` and `why` where somebody
has found that it changes nothing that a peer or an application may rely on. Any tool may write it; in the repository of
the standard `python -m simulator.mutants --json FILE` does.

A mutant is run with the checks that come by its function, which is found out first: none of the others can see it. Its
run ends with the first check that does not pass. Those that draw their input take most of the time; so they are run at
the end, with what all others let pass. The adapter has to be one that runs in the suite's process, `inline:…`.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from callchannel_conformance.outcome import Exit
from callchannel_conformance.selftest import mutant_run
from callchannel_conformance.selftest.patched import PatchError, plant_texts
from callchannel_conformance.selftest.progress import Progress, stamp

Json = dict[str, Any]

_LONGEST: Final = 1_800.0
"""Seconds for one mutant, by the clock, which only something that no timer stops can use up."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one place."""

    key: str
    module: str
    """Path of the module in its package, such as `core/link.py`."""
    function: str
    start: int
    end: int
    old: str
    new: str
    kind: str = ""
    """Its class, if it has one."""

    def text(self, package: Path) -> str:
        """The changed module. Raises `PatchError` where the old text does not stand in its place."""
        path = package / self.module
        text = path.read_text("utf-8") if path.is_file() else ""
        if text[self.start : self.end] != self.old:
            raise PatchError(f"{self.key}: {self.old!r} does not stand at {self.start} of {path}; write the file anew")
        return text[: self.start] + self.new + text[self.end :]


def load(path: Path) -> tuple[str, list[Mutant]]:
    """The package of a file of mutants, and these. Raises `PatchError` for a file of another form."""
    try:
        content = json.loads(path.read_text("utf-8"))
        rows = content["mutants"]
        names = ("key", "module", "function", "start", "end", "old", "new")
        found = [Mutant(**{name: row[name] for name in names}, kind=row.get("class", "")) for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise PatchError(f"{path} is no file of mutants: {error!r}") from None
    if len({mutant.key for mutant in found}) != len(found):
        raise PatchError(f"{path}: two mutants have the same key")
    return str(content["package"]), found


def checks_for(mutant: Mutant, calls: Json) -> tuple[str, ...]:
    """The checks that come by a mutant's function; those that take least time come first."""
    name = f"{mutant.module} {mutant.function}"
    by_check: dict[str, list[str]] = calls["checks"]
    # What runs while the package is loaded may show in any check.
    always = name in calls["loading"]
    return tuple(check for check, names in by_check.items() if always or name in names)


def judge(mutant: Mutant, adapter: str, package: Path, checks: Sequence[str]) -> Json:
    """What comes of a mutant: `result`, and the `check`, what is `broken`, and the `message` that show it.

    `ALIVE`: all checks passed; `unreached`: there is none.
    """
    if not checks:
        return {"result": "unreached"}
    with tempfile.TemporaryDirectory() as folder:
        root = plant_texts(package, Path(folder), {mutant.module: mutant.text(package)})
        found = mutant_run.in_process(mutant_run.run, (adapter, str(root), tuple(checks)), _LONGEST)
    return found or {"result": "hang", "message": f"no end within {_LONGEST:g} s, or its process died"}


SEEN: Final = ("FAIL", "ERROR", "NONDETERMINISTIC", "HARNESS_ERROR", "hang")
"""Results with which a mutant is not called conformant."""


def figures(mutants: Sequence[Mutant], outcomes: Mapping[str, Json]) -> Json:
    """How many were seen, by what; and what survives, by its class."""
    results = Counter(outcomes[mutant.key]["result"] for mutant in mutants)
    alive = [mutant for mutant in mutants if outcomes[mutant.key]["result"] not in SEEN]
    return {
        "mutants": len(mutants),
        "seen": sum(results[name] for name in SEEN),
        "results": dict(sorted(results.items())),
        "survivors": dict(sorted(Counter(mutant.kind or "without a class" for mutant in alive).items())),
        "seen although classed": sorted(m.key for m in mutants if m.kind and outcomes[m.key]["result"] in SEEN),
    }


def mutants_against_suite(
    path: Path, reference: str, *, progress: Path | None, target: Path | None, only: str, workers: int = 0
) -> int:
    """Run it and print it. Exit status 0: whatever survives has a class."""
    if not reference.startswith("inline:"):
        raise ValueError(f"{reference}: mutants need an adapter of Python in this process, inline:MODULE:CLASS")
    package, mutants = load(path)
    mutants = [mutant for mutant in mutants if only in mutant.key]
    folder = mutant_run.in_process(mutant_run.folder_of, (package,), 60)
    if folder is None:
        raise PatchError(f"package {package} is not there to be changed; install it beside the suite")
    kept = Progress(progress, stamp(*(file.read_bytes() for file in sorted(Path(folder).rglob("*.py")))))
    if kept.others:
        print(f"{kept.others} lines of {progress} are of another state of the code and are not counted", flush=True)
    if "calls" not in kept.done:
        print("which checks come by which functions?", flush=True)
        calls = mutant_run.in_process(mutant_run.calls, (reference, package), _LONGEST)
        if calls is None:
            raise ValueError("the checks could not be run without any mutant; try `run` with this adapter")
        kept.add("calls", calls)
    for drawn in (False, True):
        _stage(mutants, reference, Path(folder), kept, workers, drawn=drawn)
    found = figures(mutants, kept.done)
    if target is not None:
        rows = [{"key": mutant.key, "class": mutant.kind, **kept.done[mutant.key]} for mutant in mutants]
        target.write_text(json.dumps({**found, "outcomes": rows}, indent=1) + "\n", "utf-8")
    for name, value in found.items():
        print(f"{name:24}{value}")
    return Exit.NONCONFORMANT if "without a class" in found["survivors"] else Exit.CONFORMANT


def _stage(
    mutants: Sequence[Mutant], reference: str, package: Path, kept: Progress, workers: int, *, drawn: bool
) -> None:
    """Run the mutants that are left with the scripted checks, or with those that draw, and keep what comes of each."""
    calls = kept.done["calls"]
    tasks = []
    # Those without a class begin: what becomes of the others is known.
    for mutant in sorted(mutants, key=lambda mutant: mutant.kind != ""):
        checks = [check for check in checks_for(mutant, calls) if (check in calls["drawn"]) == drawn]
        before = kept.done.get(mutant.key)
        if before is None or (drawn and checks and before["result"] not in SEEN and not before["drawn"]):
            tasks.append((mutant, checks))
    what = "the checks that draw" if drawn else "the scripted checks"
    print(f"{len(tasks)} of {len(mutants)} mutants to try with {what}", flush=True)
    started = time.monotonic()
    with ThreadPoolExecutor(workers or os.cpu_count() or 2) as pool:
        futures = {pool.submit(judge, mutant, reference, package, checks): mutant for mutant, checks in tasks}
        for number, future in enumerate(as_completed(futures), 1):
            mutant, outcome = futures[future], future.result()
            kept.add(mutant.key, {**outcome, "drawn": drawn})
            if outcome["result"] not in SEEN:
                kind = mutant.kind or "without a class"
                print(f"survives {what}, {kind}, {outcome['result']}: {mutant.key}", flush=True)
            if number % 20 == 0 or number == len(tasks):
                print(f"{number} of {len(tasks)} after {time.monotonic() - started:.0f} s", flush=True)
