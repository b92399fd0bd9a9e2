# SPDX-License-Identifier: Apache-2.0
"""The changelog has versions, each with kinds of entries, each with entries: see CONTRIBUTING.md.

python -m tools.release.changelog  # exit code 1 and a line for each fault
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tools.faults import ROOT, Fault
from tools.release.versions import current

KINDS: Final = ("Standard", "Added", "Changed", "Fixed", "Removed", "Security")
"""The kinds of entries, in the order in which they stand."""

_NAME: Final = "CHANGELOG.md"
_VERSION: Final = re.compile(r"Unreleased|(\d+\.\d+\.\d+) \((\d{4}-\d\d-\d\d)\)")


def check(root: Path = ROOT) -> list[Fault]:
    """What is wrong with the changelog."""
    text = (root / _NAME).read_text("utf-8")
    return list(faults(text, current(root)))


def faults(text: str, version: str) -> Iterator[Fault]:
    """What is wrong with a changelog, for packages of this version."""
    versions: list[str] = []
    kinds: list[str] = []
    empty: tuple[int, str] | None = None
    for number, line in enumerate(text.splitlines(), 1):

        def fault(what: str, todo: str, number: int = number) -> Fault:
            return Fault(_NAME, number, what, todo)

        if line.startswith(("## ", "### ")):
            if empty and not (line.startswith("### ") and empty[1].startswith("## ")):
                yield fault(f"{empty[1]!r} has nothing below it", "write entries or take it out", empty[0])
            empty = (number, line)
        if line.startswith("## "):
            name = line[3:]
            kinds = []
            if not _VERSION.fullmatch(name):
                yield fault(f"{name!r} is no version", "write '## Unreleased' or '## 1.2.3 (2026-01-31)'")
            if name == "Unreleased" and versions:
                yield fault("'Unreleased' is not the first", "move it up")
            versions.append(name.partition(" ")[0])
        elif line.startswith("### "):
            kind = line[4:]
            if kind not in KINDS:
                yield fault(f"{kind!r} is no kind of entry", f"use one of {', '.join(KINDS)}")
            elif kind in kinds or any(KINDS.index(kind) < KINDS.index(other) for other in kinds if other in KINDS):
                yield fault(f"{kind!r} stands twice or too late", f"keep to the order {', '.join(KINDS)}")
            kinds.append(kind)
        elif line.startswith("- "):
            empty = None
            if not kinds:
                yield fault("an entry is of no kind", f"put it below one of {', '.join(KINDS)}")
    if empty:
        yield Fault(_NAME, empty[0], f"{empty[1]!r} has nothing below it", "write entries or take it out")
    if ".dev" not in version and version not in versions:
        yield Fault(_NAME, 1, f"version {version} has no entry", f"turn 'Unreleased' into '{version} (its date)'")


def main() -> int:
    """Run the command; returns the exit code."""
    found = check()
    for fault in found:
        print(fault, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
