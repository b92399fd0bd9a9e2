# SPDX-License-Identifier: Apache-2.0
"""Which functions of the core each plan calls, so that a change of one is tried with plans that come by."""

from __future__ import annotations

import json
import multiprocessing
import sys
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from simulator.patching import PLANS

_CORE = str(Path("callchannel") / "core")


def called(names: Sequence[str]) -> dict[str, list[str]]:
    """By plan (the name of a kept one, or a seed): the functions it calls, such as "relay.route Route.grew"."""
    from simulator import generate  # noqa: PLC0415 - the command that asks must not import the core itself
    from simulator.plan import load  # noqa: PLC0415
    from simulator.run import run  # noqa: PLC0415

    found: dict[str, list[str]] = {}
    for name in names:
        plan = generate.plan(int(name)) if name.isdigit() else load(PLANS / f"{name}.json")
        seen: set[CodeType] = set()

        def watch(frame: FrameType, event: str, argument: Any, add: Any = seen.add) -> None:
            if event == "call":
                add(frame.f_code)

        sys.setprofile(watch)
        try:
            run(plan)
        finally:
            sys.setprofile(None)
        found[name] = sorted(filter(None, map(name_of, seen)))
    return found


def name_of(code: CodeType) -> str:
    """Module and function of the core, such as "relay.route Route.grew"; empty: it is none."""
    if _CORE not in code.co_filename:
        return ""
    path = code.co_filename.partition(_CORE)[2].strip("/").removesuffix(".py").replace("/", ".")
    name = code.co_qualname.partition(".<locals>")[0]
    return f"{path} {name}"


def index(seeds: int, path: Path, *, workers: int | None = None) -> dict[str, list[str]]:
    """`called` for all kept plans and so many generated ones; kept in a file, which is read if it is there."""
    if path.exists():
        found: dict[str, list[str]] = json.loads(path.read_text())
        return found
    names = [kept.stem for kept in sorted(PLANS.glob("*.json"))] + [str(seed) for seed in range(seeds)]
    parts = [names[start : start + 10] for start in range(0, len(names), 10)]
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        found = {name: calls for part in pool.imap(called, parts) for name, calls in part.items()}
    path.write_text(json.dumps(found))
    return found
