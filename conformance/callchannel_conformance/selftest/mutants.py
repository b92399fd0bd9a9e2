# SPDX-License-Identifier: Apache-2.0
"""Mechanical defects: small changes of an implementation's Python sources that nobody chose.

`python -m callchannel_conformance.selftest.mutants SOURCES PACKAGE COUNT COMMAND…` copies SOURCES for each mutant,
changes one place of PACKAGE (a folder below), and runs the suite on COMMAND with the copy on its path. Mutants that
change nothing anyone can see are alive by right, so the figure is a lower bound.
"""

from __future__ import annotations

import ast
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from callchannel_conformance.selftest.worker import Order, Worker

Json = dict[str, Any]

_COMPARED: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_COUNTED: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.FloorDiv: ast.Mult,
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: the file, the line, what was done, and the new source."""

    path: Path
    line: int
    what: str
    source: str


def mutants_of(path: Path) -> Iterator[Mutant]:
    """All mutants of a file, in the order of its lines."""
    text = path.read_text("utf-8")
    count = sum(1 for node in ast.walk(ast.parse(text)) if _kind(node) is not None)
    for number in range(count):
        tree = ast.parse(text)
        node = [node for node in ast.walk(tree) if _kind(node) is not None][number]
        kind = _kind(node)
        assert kind is not None
        _change(node)
        yield Mutant(path, getattr(node, "lineno", 0), kind, ast.unparse(ast.fix_missing_locations(tree)))


def _kind(node: ast.AST) -> str | None:
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARED:
        return f"{type(node.ops[0]).__name__} turned"
    if isinstance(node, ast.BinOp) and type(node.op) in _COUNTED:
        return f"{type(node.op).__name__} turned"
    if isinstance(node, ast.BoolOp):
        return f"{type(node.op).__name__} turned"
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return "not removed"
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return "call removed"
    return None


def _change(node: ast.AST) -> None:
    if isinstance(node, ast.Compare):
        node.ops = [_COMPARED[type(node.ops[0])]()]
    elif isinstance(node, ast.BinOp):
        node.op = _COUNTED[type(node.op)]()
    elif isinstance(node, ast.BoolOp):
        node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    elif isinstance(node, ast.UnaryOp):
        node.op = ast.UAdd()
        node.operand = ast.Call(ast.Name("bool", ast.Load()), [node.operand], [])
    elif isinstance(node, ast.Expr):
        node.value = ast.Constant(None)


def judge(mutant: Mutant, sources: Path, adapter: str, baseline: frozenset[str] = frozenset()) -> str:
    """`killed by …`, or `ALIVE`. *baseline*: checks that fail without any mutant."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "sources"
        shutil.copytree(sources, copy, ignore=shutil.ignore_patterns("__pycache__", "tests"))
        (copy / mutant.path.relative_to(sources)).write_text(mutant.source, "utf-8")
        return killer(f"env PYTHONPATH={copy} {adapter}", baseline) or "ALIVE"


def killer(adapter: str, baseline: frozenset[str] = frozenset()) -> str | None:
    """`killed by …` for an adapter that a check refuses, else None. Checks of *baseline* are left out."""
    worker = Worker()
    try:
        # The adapter may crash or hang, so it is nobody else's; the first failure says enough.
        records = worker.run(Order(adapter=adapter, shared=False, until=0 if baseline else 1))
    finally:
        worker.close()
    bad = failing(records) - baseline
    return f"killed by {min(bad)}" if bad else None


def failing(records: list[Json]) -> frozenset[str]:
    """Names of the checks that did not pass."""
    return frozenset(r["check"] for r in records if r["result"] not in ("PASS", "SKIP"))


def main() -> int:
    """Run the program. Returns 0."""
    sources, package, count, *command = sys.argv[1:]
    root = Path(sources).resolve()
    found = [mutant for path in sorted((root / package).rglob("*.py")) for mutant in mutants_of(path)]
    # Evenly spread over all that there are, so that a sample is the same each time.
    step = max(len(found) // int(count), 1)
    chosen = found[step // 2 :: step][: int(count)]
    adapter = " ".join(command)
    worker = Worker()
    baseline = failing(worker.run(Order(adapter=f"env PYTHONPATH={root} {adapter}", shared=False)))
    worker.close()
    killed = 0
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=os.cpu_count() or 2, mp_context=context) as pool:
        number = len(chosen)
        outcomes = pool.map(judge, chosen, [root] * number, [adapter] * number, [baseline] * number)
        for mutant, outcome in zip(chosen, outcomes, strict=True):
            print(f"{mutant.path.name}:{mutant.line} {mutant.what}: {outcome}", flush=True)
            killed += outcome.startswith("killed")
    print(f"{killed} of {len(chosen)} killed, of {len(found)} that there are")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
