# SPDX-License-Identifier: Apache-2.0
"""Does a saved failure again. What was drawn is saved as a plan, and needs no Hypothesis; other checks are run anew."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callchannel_conformance import standard
from callchannel_conformance.checks.codec_scene import run_packet
from callchannel_conformance.client import Client
from callchannel_conformance.outcome import AdapterError, NotApplicable, Violation
from callchannel_conformance.simulator import needs_another, run_plan

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Again:
    """What became of a failure: FIXED, FAILED (the same), CHANGED (another failure), ERROR."""

    status: str
    detail: str


def again(path: Path, adapter: str, other: str | None = None) -> Again:
    """Do the failure in a replay file again, with the adapter *other* where it takes two implementations.

    Raises `FileNotFoundError`, and `ValueError` for another file, or where the second adapter is not named.
    """
    content: Json = json.loads(path.read_text("utf-8"))
    if content.get("replay") != 1:
        raise ValueError(f"{path} is no replay file of version 1")
    wanted = str(content["broken"])
    seed = int(content.get("seed") or 0)
    plan = content.get("plan")
    if plan and other is None and needs_another(plan):
        raise ValueError(f"{path} is a failure of two implementations together; name the second with --other-adapter")
    found = _plan(plan, adapter, other, seed) if plan else _check(str(content["check"]), adapter, seed)
    note = ""
    if wanted in standard.requirements() and standard.requirement(wanted).hash != content.get("hash"):
        note = " (the requirement's text has changed since)"
    if found is None:
        return Again("FIXED", f"{wanted} is followed{note}")
    kind, broken, message = found
    if kind == "ERROR":
        return Again("ERROR", message)
    return Again("FAILED" if broken == wanted else "CHANGED", f"{message}{note}")


def _plan(plan: Json, adapter: str, other: str | None, seed: int) -> tuple[str, str, str] | None:
    clients = [Client(address) for address in (adapter, *([other] if needs_another(plan) and other else []))]
    for client in clients:
        client.seed = seed
    try:
        if plan["call"] == "codec":
            run_packet(plan, clients[0])
        else:
            run_plan(plan, *clients)
    except Violation as error:
        return "FAIL", error.requirement, str(error)
    except (AdapterError, NotApplicable) as error:
        return "ERROR", "", str(error)
    finally:
        for client in clients:
            client.close()
    return None


def _check(check: str, adapter: str, seed: int) -> tuple[str, str, str] | None:
    from callchannel_conformance.cli import main  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "results.json"
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            options = ["--json", str(target), "--replays", folder, "--seed", str(seed), "-q"]
            main(["run", "--adapter", adapter, "--check", check, *options])
        if not target.exists():
            return "ERROR", "", f"{check} could not be run"
        checks = json.loads(target.read_text("utf-8"))["checks"]
    for record in checks:
        if "broken" in record:
            return "FAIL", record["broken"], record["message"]
        if record["result"] not in ("PASS", "SKIP"):
            return "ERROR", "", record["message"]
    return None if checks else ("ERROR", "", f"there is no check {check}")
