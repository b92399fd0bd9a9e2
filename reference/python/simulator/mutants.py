# SPDX-License-Identifier: Apache-2.0
"""Mechanical mutants of the core: `python -m simulator.mutants --count 320`.

All places where an operator, a constant, a condition or a statement can change give one mutant each, or several. Which
of them are tried is decided by a hash of what they are and a fixed seed, so that the choice stays when other code
changes. Each runs in a process of its own until a plan shows it.

What survives is tried with the core's own tests, see `unit_tests`. It is classed by hand in `mutants.toml`: tested,
where a test shows it, which is named; else equivalent, legal, unobservable, or, while it is being closed, hole. Classes
are kept by module, function and changed text. One whose mutant is no longer there fails loudly: `--check`. `--tests`
applies each mutant that is classed as tested, and runs its test.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from simulator import calls, unit_tests
from simulator.patching import Search, source_of, try_all

CLASSES_FILE = Path(__file__).with_suffix(".toml")
CLASSES = ("tested", "equivalent", "legal", "unobservable", "hole")
SEED = "1"

_NAMES = (
    "commands composing counting endpoint flow fragments link link_life lobby lossy_receiver outgoing plain receiver "
    "receivers recipients reliable_receiver replay roster scheduling sender sender_queue sender_terms sender_writing "
    "senders timers verdicts relay.broadcasting relay.custody "
    "relay.downlink relay.lossy relay.membership relay.outbox relay.owned relay.owned_lossy relay.port relay.receipts "
    "relay.relay relay.route relay.session relay.turns relay.uplink"
)
MODULES = tuple(_NAMES.split(" "))
_COMPARE: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}
_ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.BitAnd: "|",
    ast.BitOr: "&",
    ast.LShift: ">>",
    ast.RShift: "<<",
}
_UNWATCHED = (
    "statistics",
    "drops",
    "drop(",
    "LinkFault(",
    "raise ",
    "assert ",
    "messages_",
    "bytes_read",
    "bytes_sent",
)
"""Lines of counters, faults of a hostile peer, and our own bugs: not what plans of well-behaved machines show."""


class Mutant(NamedTuple):
    """One change of one place."""

    key: str
    """Module, function, kind, old and new text, and which of its like it is in that function: what it is called."""
    module: str
    line: int
    start: int
    end: int
    new: str


def _offsets(text: str) -> list[int]:
    found = [0]
    for line in text.splitlines(keepends=True):
        found.append(found[-1] + len(line))
    return found


def _functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """Functions with their qualified names, outer ones first."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from _functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            yield f"{prefix}{node.name}", node


def mutants_of(module: str) -> Iterator[Mutant]:
    """All mutants of a module."""
    text = source_of(f"callchannel.core.{module}")
    offsets = _offsets(text)
    lines = text.splitlines()
    for name, function in _functions(ast.parse(text)):
        seen: Counter[str] = Counter()
        for node in (inner for statement in function.body for inner in ast.walk(statement)):
            for place, kind, new in _changes(node):
                if any(word in lines[place.lineno - 1] for word in _UNWATCHED):
                    continue
                assert place.end_lineno is not None and place.end_col_offset is not None
                start = offsets[place.lineno - 1] + place.col_offset
                end = offsets[place.end_lineno - 1] + place.end_col_offset
                old = " ".join(text[start:end].split())
                key = f"{module} {name} {kind}: {old} -> {new}"
                seen[key] += 1
                yield Mutant(f"{key} #{seen[key]}", module, place.lineno, start, end, new)


def _changes(node: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str, str]]:
    """What can be changed at a node: the place, what kind of change, and the new text."""
    text = ast.unparse
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        sign = _COMPARE.get(type(node.ops[0]))
        if sign is not None:
            yield node, "comparison", f"({text(node.left)} {sign} {text(node.comparators[0])})"
    elif isinstance(node, ast.BinOp) and not isinstance(node.left, ast.Constant | ast.JoinedStr):
        sign = _ARITHMETIC.get(type(node.op))
        if sign is not None:
            yield node, "arithmetic", f"({text(node.left)} {sign} {text(node.right)})"
    elif isinstance(node, ast.BoolOp):
        other = " or " if isinstance(node.op, ast.And) else " and "
        yield node, "logic", "(" + other.join(f"({text(value)})" for value in node.values) + ")"
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node, "negation", f"({text(node.operand)})"
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        yield node, "constant", str(node.value + 1)
    elif isinstance(node, ast.If):
        yield node.test, "condition", "True"
        yield node.test, "condition", "False"
    elif (
        (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call))
        or isinstance(node, ast.AugAssign | ast.Delete)
        or (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute))
    ):
        yield node, "statement", "pass"


@cache
def every(modules: tuple[str, ...] = MODULES) -> tuple[Mutant, ...]:
    """All mutants there are, those first that are tried first."""

    def rank(mutant: Mutant) -> bytes:
        return hashlib.sha256(f"{SEED} {mutant.key}".encode()).digest()

    found = {mutant.key: mutant for module in modules for mutant in mutants_of(module)}
    return tuple(sorted(found.values(), key=rank))


def draw(count: int, modules: tuple[str, ...] = MODULES) -> list[Mutant]:
    """So many of them."""
    return list(every(modules)[:count])


def text_of(mutant: Mutant) -> dict[str, str]:
    """The changed module."""
    name = f"callchannel.core.{mutant.module}"
    text = source_of(name)
    return {name: text[: mutant.start] + mutant.new + text[mutant.end :]}


def as_json(mutants: Sequence[Mutant]) -> dict[str, Any]:
    """Mutants as the conformance suite reads them: `callchannel-conformance selftest --mutants FILE`."""
    classed = classes()
    rows: list[dict[str, Any]] = []
    for mutant in mutants:
        text = source_of(f"callchannel.core.{mutant.module}")
        kind, why, _ = classed.get(mutant.key, Classed("", "", ""))
        rows.append(
            {
                "key": mutant.key,
                "module": f"core/{mutant.module.replace('.', '/')}.py",
                "function": mutant.key.split(" ")[1],
                "start": mutant.start,
                "end": mutant.end,
                "old": text[mutant.start : mutant.end],
                "new": mutant.new,
                # A hole is nothing that anybody may rely on, and what a test of the core shows the suite may see, too.
                "class": "" if kind in ("hole", "tested") else kind,
                "why": why,
            }
        )
    return {"package": "callchannel", "mutants": rows}


# --- classes -------------------------------------------------------------------------------------------------------


class Classed(NamedTuple):
    """What a survivor is."""

    kind: str
    why: str
    test: str
    """Of a tested one: which test shows it, below the folder of tests."""


def classes() -> dict[str, Classed]:
    """By key: what a survivor is."""
    if not CLASSES_FILE.exists():
        return {}
    entries = tomllib.loads(CLASSES_FILE.read_text())["survivor"]
    return {entry["mutant"]: Classed(entry["class"], entry["why"], entry.get("test", "")) for entry in entries}


def check() -> list[str]:
    """What is wrong with the classes."""
    there = {mutant.key for mutant in every()}
    wrong: list[str] = []
    for key, (kind, why, test) in classes().items():
        if kind not in CLASSES or not why or bool(test) != (kind == "tested"):
            wrong.append(f"{key}: class {kind!r}, {why!r}, {test!r}")
        if test and not unit_tests.exists(test):
            wrong.append(f"{key}: there is no {test} any more")
        if key not in there:
            wrong.append(f"{key}: there is no such mutant any more; take its entry out, and try the new ones")
    return wrong


def _function(mutant: Mutant) -> str:
    return " ".join(mutant.key.split(" ")[:2])


def _search(mutant: Mutant, by_function: dict[str, list[str]], budget: int) -> Search:
    """The plans that call a mutant's function: kept ones, then generated ones."""
    plans = by_function.get(_function(mutant), [])
    kept = [plan for plan in plans if not plan.isdigit()]
    generated = [plan for plan in plans if plan.isdigit()]
    return Search(budget=0, kept=kept + generated[:budget])


# --- the command ---------------------------------------------------------------------------------------------------


class Tried(NamedTuple):
    """What the plans said."""

    killed: dict[str, str]
    """By key: which plan, and the rule that it shows to be broken."""
    survived: list[str]


def try_plans(chosen: list[Mutant], options: argparse.Namespace) -> Tried:
    """Run each mutant against plans."""
    by_function: dict[str, list[str]] = {}
    for plan, functions in calls.index(options.seeds, options.index, workers=options.workers).items():
        for function in functions:
            by_function.setdefault(function, []).append(plan)
    jobs = [(mutant.key, text_of(mutant), _search(mutant, by_function, options.budget)) for mutant in chosen]
    classed = classes()
    tried = Tried({}, [])
    for key, result in try_all(jobs, workers=options.workers):
        if result["rule"] is None:
            tried.survived.append(key)
            if key not in classed:
                print(f"SURVIVES {key}", flush=True)
            continue
        by = tried.killed[key] = f"{result['name']} ({result['rule']})"
        if key in classed:
            print(f"killed by {by}, although it is classed: {key}", flush=True)
        elif options.verbose:
            print(f"killed {by}: {key}", flush=True)
    return tried


def try_tests(chosen: list[Mutant], options: argparse.Namespace) -> dict[str, str | None]:
    """Run each mutant against the core's tests: its own one where it is classed as tested, else all that call it."""
    classed = classes()
    names = {mutant.key: classed[mutant.key].test for mutant in chosen if mutant.key in classed}
    index: dict[str, list[str]] = {}
    if not all(names.get(mutant.key) for mutant in chosen):
        index = unit_tests.index(options.tests_index)
    jobs = [
        (
            mutant.key,
            text_of(mutant),
            [unit_tests.path_of(names[mutant.key])] if names.get(mutant.key) else index.get(_function(mutant), []),
        )
        for mutant in chosen
    ]
    found: dict[str, str | None] = {}
    for key, failed in unit_tests.first_failures(jobs, workers=options.workers):
        found[key] = failed
        if options.verbose or (failed is None and names.get(key)):
            print(f"{'NO TEST FAILS' if failed is None else failed}: {key}", flush=True)
    return found


def _toml(key: str, test: str | None) -> str:
    head = f"\n[[survivor]]\nmutant = {json.dumps(key)}\n"
    if test is None:
        return f'{head}class = ""\nwhy = ""\n'
    return f'{head}class = "tested"\nwhy = ""\ntest = {json.dumps(unit_tests.short(test))}\n'


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simulator.mutants", description=__doc__)
    add = parser.add_argument
    add("--count", type=int, default=320, help="how many (320)")
    add("--skip", type=int, default=0, help="leave out the first so many of them")
    add("--budget", type=int, default=100, help="generated plans for each, after the kept ones (100)")
    add("--seeds", type=int, default=600, help="generated plans from which these are taken (600)")
    add("--index", type=Path, default=Path("/tmp/callchannel-calls.json"), help="what plans call")
    add("--tests-index", type=Path, default=Path("/tmp/callchannel-tests.json"), help="which tests call what")
    add("--survivors", action="store_true", help="only those that are classed")
    add("--unclassed", type=Path, default=None, help="write survivors without a class to a file")
    add("--only", default="", help="mutants whose key has this in it")
    add("--workers", type=int, default=None)
    add("--verbose", action="store_true", help="say what kills each")
    add("--check", action="store_true", help="run nothing: is every class for a mutant that there is?")
    add("--tests", action="store_true", help="run no plan: does the test of each that is classed as tested fail?")
    add("--json", type=Path, default=None, help="run nothing: write the mutants for the suite to a file")
    add("--modules", default="", help="with --json: of these modules of the core instead, by commas")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """The command. Exit code 0: every survivor has its class; 1: one has none; 2: a class is wrong."""
    options = _parser().parse_args(arguments)
    if options.json is not None:
        modules = tuple(options.modules.split(",")) if options.modules else MODULES
        options.json.write_text(json.dumps(as_json(draw(options.count, modules)), indent=1) + "\n")
        return 0
    wrong = check()
    for line in wrong:
        print(f"WRONG {line}")
    if options.check or wrong:
        return 2 if wrong else 0
    classed = classes()
    chosen = [mutant for mutant in draw(options.count)[options.skip :] if options.only in mutant.key]
    if options.tests:
        tested = [mutant for mutant in chosen if mutant.key in classed and classed[mutant.key].kind == "tested"]
        shown = try_tests(tested, options)
        lack = sum(failed is None for failed in shown.values())
        print(f"{len(shown) - lack} of {len(shown)} are shown by their tests")
        return 2 if lack else 0
    if options.survivors:
        chosen = [mutant for mutant in chosen if mutant.key in classed]
    tried = try_plans(chosen, options)
    unclassed = [mutant for mutant in chosen if mutant.key in tried.survived and mutant.key not in classed]
    tests = try_tests(unclassed, options)
    if options.unclassed is not None:
        options.unclassed.write_text("".join(_toml(key, test) for key, test in tests.items()))
    total = Counter(mutant.module for mutant in chosen)
    killed = Counter(key.split(" ")[0] for key in tried.killed)
    for module in sorted(total):
        print(f"{module:24} {killed[module]:4} of {total[module]:4}")
    kinds = Counter(classed[key].kind if key in classed else "without a class" for key in tried.survived)
    print(f"{sum(killed.values())} of {sum(total.values())} killed by plans; survivors: {dict(kinds)}")
    return 1 if unclassed else 0


if __name__ == "__main__":
    sys.exit(main())
