# SPDX-License-Identifier: Apache-2.0
"""Runs plans against changed code: text of a module is replaced while it is imported, in a process of its own.

Nothing in the shipped code is a switch, and no file is written. A patch whose old text does not stand in its module
exactly once fails loudly.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple

PLANS = Path(__file__).parent.parent / "tests" / "simulator" / "plans"
"""Kept plans: they are run first."""
_PLAN_SECONDS = 4
_CHANGE_SECONDS = 240
"""Of the processor, for all plans of one change."""
_MEMORY = 2 << 30


class Patch(NamedTuple):
    """Old text of a module, and what stands there instead."""

    module: str
    old: str
    new: str


class DoesNotApply(Exception):
    """The old text is no longer there, or there twice."""


def source_of(module: str) -> str:
    """The text of a module that is not imported."""
    spec = _spec(module)
    assert spec.origin is not None
    return Path(spec.origin).read_text()


def _spec(module: str) -> importlib.machinery.ModuleSpec:
    path: Any = None
    spec: importlib.machinery.ModuleSpec | None = None
    parts = module.split(".")
    for count in range(1, len(parts) + 1):
        spec = importlib.machinery.PathFinder.find_spec(".".join(parts[:count]), path)
        if spec is None:
            raise DoesNotApply(f"there is no module {module}")
        path = spec.submodule_search_locations
    assert spec is not None
    return spec


def apply(patches: Sequence[Patch]) -> dict[str, str]:
    """The changed text of each module. Raises `DoesNotApply`."""
    texts: dict[str, str] = {}
    for patch in patches:
        text = texts.get(patch.module) or source_of(patch.module)
        found = text.count(patch.old)
        if found != 1:
            raise DoesNotApply(f"{patch.module} has {found} times: {patch.old.strip()[:90]!r}")
        texts[patch.module] = text.replace(patch.old, patch.new)
    return texts


class _Loader(importlib.abc.InspectLoader):
    def __init__(self, text: str, origin: str) -> None:
        self._text = text
        self._origin = origin

    def get_source(self, fullname: str) -> str:
        return self._text

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._text, self._origin, "exec")

    def exec_module(self, module: ModuleType) -> None:
        exec(self.get_code(module.__name__), module.__dict__)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, texts: dict[str, str]) -> None:
        self._texts = texts

    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        text = self._texts.get(name)
        if text is None:
            return None
        original = _spec(name)
        spec = importlib.util.spec_from_loader(name, _Loader(text, original.origin or name), origin=original.origin)
        if spec is not None and original.submodule_search_locations is not None:
            spec.submodule_search_locations = original.submodule_search_locations
        return spec


def install(texts: dict[str, str]) -> None:
    """Let the next import of these modules take the changed text."""
    loaded = [name for name in texts if name in sys.modules]
    if loaded:
        raise RuntimeError(f"{loaded} are imported already")
    sys.meta_path.insert(0, _Finder(texts))


@dataclass
class Search:
    """Which plans are to be run against a change."""

    budget: int = 200
    """How many generated plans."""
    first: int = 0
    """The seed of the first."""
    kept: list[str] | None = None
    """Plans that are run before, in this order: names of kept ones, or seeds; None: all kept ones."""
    shrink: bool = False
    """Whether the plan that shows the change is to be made small and returned."""
    seconds: float = 3_600
    """When to give up, by the clock: a busy machine is no hang. The processor's time is limited, too."""


def try_in_process(texts: dict[str, str], search: Search) -> dict[str, Any]:
    """Run plans against changed code in a new process, up to the first violation.

    What is found: `rule` (None: nothing), `name` of the plan, or its seed, `text`, and `plan` if asked for. A module
    that can't be imported is caught as "import", a process that does not end as "hang".
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", "simulator.patching"],
            input=json.dumps({"texts": texts, **vars(search)}),
            capture_output=True,
            text=True,
            timeout=search.seconds,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"rule": "hang", "name": "", "text": f"no end within {search.seconds} s"}
    if done.returncode < 0:
        return {"rule": "hang", "name": "", "text": f"ended by signal {-done.returncode}"}
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["?"]
        return {"rule": "import", "name": "", "text": last[0]}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def try_all(
    jobs: Sequence[tuple[str, dict[str, str], Search]], *, workers: int | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """`try_in_process` for many; yields (name, result) as they are done."""
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        names = {pool.submit(try_in_process, texts, search): name for name, texts, search in jobs}
        for future in as_completed(names):
            yield names[future], future.result()


class _Hang(BaseException):
    """A plan does not end."""


def _alarm(number: int, frame: Any) -> None:
    raise _Hang


def _limited(run: Callable[[Any], Any], plan: Any) -> tuple[str | None, str]:
    """Run a plan, for a limited time of the processor's: a change can make machines go round for ever."""
    signal.setitimer(signal.ITIMER_VIRTUAL, _PLAN_SECONDS)
    try:
        result = run(plan)
    except _Hang:
        return "hang", f"a plan does not end within {_PLAN_SECONDS} s"
    except (RecursionError, MemoryError) as error:
        return f"crash {type(error).__name__}", ""
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return result.rule, result.text[:300]


def search(job: dict[str, Any]) -> dict[str, Any]:
    """In the process of one change: run plans until one shows it."""
    from simulator import generate, shrink  # noqa: PLC0415 - after `install`, so that the change is in them
    from simulator.plan import load  # noqa: PLC0415
    from simulator.run import Result, run  # noqa: PLC0415

    signal.signal(signal.SIGVTALRM, _alarm)
    names = job["kept"]
    chosen = [path.stem for path in sorted(PLANS.glob("*.json"))] if names is None else names
    for name in [*chosen, *map(str, range(job["first"], job["first"] + job["budget"]))]:
        plan = generate.plan(int(name)) if name.isdigit() else load(PLANS / f"{name}.json")
        rule, text = _limited(run, plan)
        if rule is None:
            continue
        found: dict[str, Any] = {"rule": rule, "name": name, "text": text}
        if job["shrink"]:

            def runner(smaller: Any) -> Result:
                return Result(*_limited(run, smaller))

            found["plan"] = shrink.shrink(plan, rule, budget=600, runner=runner).as_json()
        return found
    return {"rule": None, "name": "", "text": ""}


def main() -> None:
    """Read the job from standard input, write what was found."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_CHANGE_SECONDS, _CHANGE_SECONDS))
    job = json.load(sys.stdin)
    install(job["texts"])
    print(json.dumps(search(job)))


if __name__ == "__main__":
    main()
