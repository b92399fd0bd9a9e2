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
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple

PLANS = Path(__file__).parent.parent / "tests" / "simulator" / "plans"
"""Kept plans: they are run first."""


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


def try_in_process(texts: dict[str, str], budget: int, *, seconds: float = 120) -> dict[str, Any]:
    """Run up to `budget` generated plans against changed code in a new process. What was found first, or None."""
    job = json.dumps({"texts": texts, "budget": budget})
    try:
        done = subprocess.run(
            [sys.executable, "-m", "simulator.patching"],
            input=job,
            capture_output=True,
            text=True,
            timeout=seconds,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"rule": "hang", "seed": "", "text": f"no end within {seconds} s"}
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["?"]
        return {"rule": "import", "seed": "", "text": last[0]}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def try_all(jobs: Sequence[tuple[str, dict[str, str]]], budget: int, *, workers: int | None = None) -> Any:
    """`try_in_process` for many; yields (name, result) as they are done."""
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        futures = [(name, pool.submit(try_in_process, texts, budget)) for name, texts in jobs]
        for name, future in futures:
            yield name, future.result()


def main() -> None:
    """In the process of one change: read the job from standard input, write the result."""
    job = json.load(sys.stdin)
    install(job["texts"])
    from simulator.generate import plan  # noqa: PLC0415 - after `install`, so that the change is in it
    from simulator.plan import load  # noqa: PLC0415
    from simulator.run import run  # noqa: PLC0415

    found: dict[str, Any] = {"rule": None, "seed": "", "text": ""}
    generated = ((str(seed), plan(seed)) for seed in range(job["budget"]))
    for name, each in (*((path.stem, load(path)) for path in sorted(PLANS.glob("*.json"))), *generated):
        result = run(each)
        if result.rule is not None:
            found = {"rule": result.rule, "seed": name, "text": result.text[:300]}
            break
    print(json.dumps(found))


if __name__ == "__main__":
    main()
