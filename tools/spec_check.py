# SPDX-License-Identifier: Apache-2.0
"""Check the standard: `python -m tools.spec_check [--update]`.

It checks requirements (form, numbers, areas, and that none changed or vanished unseen), examples (form, and what their
comments claim), state tables (every cell filled), links and citations. Each fault is printed as
`file:line: what, what to do`. `--update` rewrites `spec/requirements.json`. Exit code 0: no fault; 1: at least one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tools import index, links
from tools.faults import ROOT, Fault
from tools.spec import Spec, load_spec


def check(spec: Spec) -> list[Fault]:
    """All faults, the index included, by file and line."""
    return sorted([*check_text(spec), *index.check(index.read(spec.root), spec)])


def check_text(spec: Spec) -> list[Fault]:
    """All faults of the text itself, by file and line."""
    return sorted([*spec.faults, *links.check_links(spec), *links.check_citations(spec)])


def update(spec: Spec) -> tuple[list[str], list[Fault]]:
    """Rewrite the index, unless a change is forbidden or the text faulty. Returns what to tell, and the faults."""
    old = index.read(spec.root)
    refused = sorted([*spec.faults, *index.forbidden(old, spec, draft=spec.draft)])
    if refused:
        return ["the index is not written"], refused
    told = list(index.compare(old, spec).lines())
    if index.write(spec):
        told.append(f"{index.INDEX}: {len(spec.requirements)} requirements")
    return told, []


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """The command. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.spec_check", description="Check the standard.")
    parser.add_argument("--update", action="store_true", help="rewrite spec/requirements.json")
    options = parser.parse_args(arguments)
    spec = load_spec(root)
    if options.update:
        told, refused = update(spec)
        for line in told:
            print(line)
        if refused:
            _print(refused)
            return 1
    faults = check(spec)
    _print(faults)
    if not faults:
        print(
            f"{len(spec.chapters) - 1} chapters, {len(spec.requirements)} requirements, {len(spec.examples)} examples, "
            f"{len(spec.state_tables)} state tables: no fault"
        )
    return 1 if faults else 0


def _print(faults: Sequence[Fault]) -> None:
    for fault in faults:
        print(fault, file=sys.stderr)
    if faults:
        print(f"{len(faults)} faults", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
