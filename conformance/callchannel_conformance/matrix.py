# SPDX-License-Identifier: Apache-2.0
"""The traceability matrix: requirement × checks × seeded defects × implementations, and the gate that it has to pass.

Checks are found by their marks, what the monitors judge by the IDs in their source. `untestable.json` names the MUSTs
that no check can judge, each with a reason from a closed list; `hashes.json` the texts for which checks were written.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from callchannel_conformance import standard

Json = dict[str, Any]

_PACKAGE: Final = Path(__file__).resolve().parent
CHECKS: Final = _PACKAGE / "checks"
_BENCH: Final = _PACKAGE / "bench"
_DATA: Final = _PACKAGE / "data"
_ID: Final = re.compile(r"CC-[A-Z]+-\d{3}")

REASONS: Final = {
    "definition": "it defines a word or a registry, and asks for nothing that an implementation does",
    "other-side": "it binds writers of the standard, registries or applications, or a choice that is not shown",
    "transport": "it binds a transport or signalling, which the adapter protocol leaves out",
    "secret": "it forbids to write or keep what an adapter does not show",
    "display": "it binds programs that show things to people",
    "cost": "showing it would take more memory, numbers or time than a run may",
}
"""The closed list of reasons why a requirement has no check."""

OUT_OF_SCOPE: Final = ("RTC", "SIG")
"""Areas of the bindings: WebRTC and signalling have test suites of their own beside the implementations."""

SHARE_OF_UNTESTABLE: Final = 0.10


@dataclass(slots=True)
class Row:
    """What there is for one requirement."""

    requirement: standard.Requirement
    positive: list[str] = field(default_factory=list)
    negative: list[str] = field(default_factory=list)
    watched: bool = False
    """Whether a monitor judges it on every link of every check."""
    defects: list[str] = field(default_factory=list)
    untestable: str | None = None
    stale: bool = False

    @property
    def covered(self) -> bool:
        """Whether a positive and a negative check are there. A monitor counts as the positive one."""
        return bool(self.negative) and (bool(self.positive) or self.watched)


@cache
def _marks() -> dict[str, dict[str, list[str]]]:
    """Requirement: kind: names of checks, from the source of the checks."""
    found: dict[str, dict[str, list[str]]] = {}
    for path in sorted(CHECKS.glob("test_*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        for node in tree.body:
            if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
                continue
            name = f"{path.stem.removeprefix('test_')}/{node.name.removeprefix('test_')}"
            for decorator in node.decorator_list:
                if not isinstance(decorator, ast.Call):
                    continue
                called = ast.unparse(decorator.func)
                if called in ("positive", "negative"):
                    for requirement in _ids_of(decorator, tree):
                        found.setdefault(requirement, {}).setdefault(called, []).append(name)
    for vector in standard.vectors():
        kind = "positive" if "frames" in vector else "negative"
        for requirement in vector["requirements"]:
            names = found.setdefault(requirement, {}).setdefault(kind, [])
            name = f"codec/vector_{kind}"
            if name not in names:
                names.append(name)
    return found


def _ids_of(decorator: ast.Call, tree: ast.Module) -> list[str]:
    """IDs in a mark; where it unpacks a table of the module, those in that table as well."""
    found = _ID.findall(ast.unparse(decorator))
    for argument in decorator.args:
        if isinstance(argument, ast.Starred):
            names = {node.id for node in ast.walk(argument) if isinstance(node, ast.Name)}
            for node in tree.body:
                if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id in names:
                    found += _ID.findall(ast.unparse(node))
    return sorted(set(found))


@cache
def _watched() -> frozenset[str]:
    return frozenset(name for path in _BENCH.glob("*.py") for name in _ID.findall(path.read_text("utf-8")))


def _load(name: str) -> Json:
    path = _DATA / f"{name}.json"
    loaded: Json = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return loaded


def rows(dead: dict[str, list[str]] | None = None) -> list[Row]:
    """The matrix. *dead*: names of dead defects by requirement; by default those of the last recorded self-test."""
    killed = dead if dead is not None else _load("dead_defects").get("dead", {})
    untestable = _load("untestable").get("requirements", {})
    hashes = _load("hashes").get("hashes", {})
    found = []
    for name, requirement in standard.requirements().items():
        marks = _marks().get(name, {})
        row = Row(requirement)
        row.positive = marks.get("positive", [])
        row.negative = marks.get("negative", [])
        row.watched = name in _watched()
        row.defects = sorted(killed.get(name, []))
        row.untestable = untestable.get(name)
        if requirement.area in OUT_OF_SCOPE:
            row.untestable = "transport"
        row.stale = name in hashes and hashes[name] != requirement.hash
        found.append(row)
    return found


def citing(requirements: Iterable[str]) -> tuple[str, ...]:
    """Names of the checks that cite one of these requirements, without parameters."""
    names = (name for one in requirements for kind in _marks().get(one, {}).values() for name in kind)
    return tuple(dict.fromkeys(names))


def accept() -> None:
    """Record the present texts of all requirements that have checks: whoever does it has looked at the checks."""
    known = {
        name: standard.requirement(name).hash
        for name in sorted({*_marks(), *_watched()} & set(standard.requirements()))
    }
    content = {"SPDX-License-Identifier": "CC0-1.0", "hashes": known}
    (_DATA / "hashes.json").write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def gate(all_rows: list[Row]) -> list[str]:
    """What keeps the matrix from being complete, a line each."""
    faults = []
    musts = [row for row in all_rows if row.requirement.is_must and row.requirement.area not in OUT_OF_SCOPE]
    untestable = [row for row in musts if row.untestable is not None]
    for row in musts:
        name = row.requirement.id
        if row.untestable is not None:
            if row.untestable not in REASONS:
                faults.append(f"{name}: {row.untestable} is no reason of the list")
            continue
        missing = []
        if not row.positive and not row.watched:
            missing.append("positive check")
        if not row.negative:
            missing.append("negative check")
        if not row.defects:
            missing.append("dead defect")
        if missing:
            faults.append(f"{name}: no {', no '.join(missing)}")
        if row.stale:
            faults.append(f"{name}: its text has changed since its checks were written")
    if len(untestable) > SHARE_OF_UNTESTABLE * len(musts):
        faults.append(f"{len(untestable)} of {len(musts)} MUSTs are called untestable")
    return faults


def figures(all_rows: list[Row]) -> Json:
    """Counts for a report."""
    musts = [row for row in all_rows if row.requirement.is_must and row.requirement.area not in OUT_OF_SCOPE]
    testable = [row for row in musts if row.untestable is None]
    return {
        "musts": len(musts),
        "untestable": len(musts) - len(testable),
        "with_check": sum(bool(row.positive or row.negative or row.watched) for row in testable),
        "with_positive": sum(bool(row.positive or row.watched) for row in testable),
        "with_negative": sum(bool(row.negative) for row in testable),
        "covered": sum(row.covered for row in testable),
        "with_dead_defect": sum(bool(row.defects) for row in testable),
        "stale": sum(row.stale for row in all_rows),
    }


def as_markdown(all_rows: list[Row]) -> str:
    """The matrix as a page."""
    lines = [
        "<!-- SPDX-License-Identifier: CC-BY-4.0 -->",
        "# Requirements, checks and defects",
        "",
        "Generated by `callchannel-conformance matrix`. `w`: a monitor judges it on every link.",
        "",
        "| requirement | | positive | negative | dead defects | note |",
        "|---|---|---|---|---|---|",
    ]
    for row in all_rows:
        if row.requirement.area in OUT_OF_SCOPE:
            continue
        note = f"untestable: {row.untestable}" if row.untestable else "stale" if row.stale else ""
        if not note and row.requirement.is_must and not row.defects:
            note = "hole: no dead defect"
        positive = f"{len(row.positive)}{' w' if row.watched else ''}"
        lines.append(
            f"| {row.requirement.id} | {row.requirement.keyword} | {positive} | {len(row.negative)} "
            f"| {len(row.defects)} | {note} |"
        )
    return "\n".join(lines) + "\n"
