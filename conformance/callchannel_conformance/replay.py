# SPDX-License-Identifier: Apache-2.0
"""Does a saved failure again. A plan needs no Hypothesis; any other check is run as it is."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callchannel_conformance import standard
from callchannel_conformance.client import Client
from callchannel_conformance.outcome import AdapterError, NotApplicable, Violation
from callchannel_conformance.simulator import run_plan

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Again:
    """What became of a failure: FIXED, FAILED (the same), CHANGED (another failure), ERROR."""

    status: str
    detail: str


def again(path: Path, adapter: str) -> Again:
    """Do the failure in a replay file again. Raises `FileNotFoundError`, and `ValueError` for another file."""
    content: Json = json.loads(path.read_text("utf-8"))
    if content.get("replay") != 1:
        raise ValueError(f"{path} is no replay file of version 1")
    wanted = str(content["broken"])
    found = _plan(content["plan"], adapter) if content.get("plan") else _check(str(content["check"]), adapter)
    note = ""
    if wanted in standard.requirements() and standard.requirement(wanted).hash != content.get("hash"):
        note = " (the requirement's text has changed since)"
    if found is None:
        return Again("FIXED", f"{wanted} is followed{note}")
    kind, broken, message = found
    if kind == "ERROR":
        return Again("ERROR", message)
    return Again("FAILED" if broken == wanted else "CHANGED", f"{message}{note}")


def _plan(plan: Json, adapter: str) -> tuple[str, str, str] | None:
    client = Client(adapter)
    try:
        run_plan(plan, client)
    except Violation as error:
        return "FAIL", error.requirement, str(error)
    except (AdapterError, NotApplicable) as error:
        return "ERROR", "", str(error)
    finally:
        client.close()
    return None


def _check(check: str, adapter: str) -> tuple[str, str, str] | None:
    from callchannel_conformance.cli import main  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "results.json"
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            main(["run", "--adapter", adapter, "--check", check, "--json", str(target), "--replays", folder, "-q"])
        if not target.exists():
            return "ERROR", "", f"{check} could not be run"
        checks = json.loads(target.read_text("utf-8"))["checks"]
    for record in checks:
        if "broken" in record:
            return "FAIL", record["broken"], record["message"]
        if record["result"] not in ("PASS", "SKIP"):
            return "ERROR", "", record["message"]
    return None if checks else ("ERROR", "", f"there is no check {check}")
