# SPDX-License-Identifier: Apache-2.0
"""Mechanical mutants of the core: `python -m simulator.mutants --count 300`.

They are drawn with a fixed seed from all places where an operator, a constant, a condition or a statement can change.
Each runs in a process of its own until a plan shows it. What survives is written to a file, to be classed by hand:
equivalent, legal, unobservable from outside, or a hole that is then closed.
"""

from __future__ import annotations

import argparse
import ast
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from simulator.patching import Search, source_of, try_all

_NAMES = (
    "composing counting endpoint flow fragments link lobby lossy_receiver outgoing receiver receivers recipients "
    "reliable_receiver replay roster scheduling sender senders timers verdicts relay.broadcasting relay.custody "
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

    module: str
    line: int
    kind: str
    old: str
    new: str
    start: int
    end: int


def _offsets(text: str) -> list[int]:
    found = [0]
    for line in text.splitlines(keepends=True):
        found.append(found[-1] + len(line))
    return found


def mutants(module: str) -> Iterator[Mutant]:
    """All mutants of a module."""
    text = source_of(f"callchannel.core.{module}")
    offsets = _offsets(text)
    lines = text.splitlines()
    for function in ast.walk(ast.parse(text)):
        if not isinstance(function, ast.FunctionDef):
            continue
        for node in (inner for statement in function.body for inner in ast.walk(statement)):
            for place, kind, new in _changes(node):
                if any(word in lines[place.lineno - 1] for word in _UNWATCHED):
                    continue
                assert place.end_lineno is not None
                assert place.end_col_offset is not None
                start = offsets[place.lineno - 1] + place.col_offset
                end = offsets[place.end_lineno - 1] + place.end_col_offset
                yield Mutant(module, place.lineno, kind, text[start:end], new, start, end)


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


def draw(count: int, seed: int) -> list[Mutant]:
    """So many, the same for the same seed and code; each module in proportion to its places."""
    every = list(dict.fromkeys(mutant for module in MODULES for mutant in mutants(module)))
    return random.Random(seed).sample(every, min(count, len(every)))


def text_of(mutant: Mutant) -> dict[str, str]:
    """The changed module."""
    name = f"callchannel.core.{mutant.module}"
    text = source_of(name)
    return {name: text[: mutant.start] + mutant.new + text[mutant.end :]}


def main(arguments: list[str] | None = None) -> int:
    """The command. Exit code 0, whatever survives: that is for people to class."""
    parser = argparse.ArgumentParser(prog="python -m simulator.mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--budget", type=int, default=200, help="plans for each mutant (200)")
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--survivors", type=Path, default=Path("mutants.json"), help="where those that survive go")
    options = parser.parse_args(arguments)
    chosen = draw(options.count, options.seed)
    jobs = [(str(number), text_of(mutant), Search(budget=options.budget)) for number, mutant in enumerate(chosen)]
    killed: Counter[str] = Counter()
    total: Counter[str] = Counter()
    survivors: list[dict[str, object]] = []
    for name, result in try_all(jobs, workers=options.workers):
        mutant = chosen[int(name)]
        total[mutant.module] += 1
        if result["rule"] is not None:
            killed[mutant.module] += 1
        else:
            survivors.append({**mutant._asdict(), "class": ""})
            place = f"{mutant.module}:{mutant.line}"
            print(f"survives  {place}  {mutant.kind}: {mutant.old!r} -> {mutant.new!r}", flush=True)
    for module in sorted(total):
        print(f"{module:24} {killed[module]:4} of {total[module]:4}")
    print(f"{sum(killed.values())} of {sum(total.values())} killed")
    options.survivors.write_text(json.dumps(survivors, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
