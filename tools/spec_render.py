# SPDX-License-Identifier: Apache-2.0
"""Fill the generated parts of the chapters, and a module, from the registries: `python -m tools.spec_render [--check]`.

A part stands between `<!-- generated: NAME -->` and `<!-- end generated -->`. A file is written only when it changes,
in one step, and nothing outside of the parts is touched. `--check` writes nothing and shows the difference.
Exit code 0: all is up to date, or now is; 1: out of date (with `--check`), or a part that can't be filled.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from tools.diagrams import DiagramError
from tools.faults import ROOT, Fault
from tools.files import write_if_changed
from tools.generated import parts
from tools.registry import RegistryError, load_registry
from tools.script import MODULE, module

_BEGIN: Final = re.compile(r"<!-- generated: (.+?) -->\s*")
_END: Final = re.compile(r"<!-- end generated -->\s*")
_FENCE: Final = re.compile(r"\s*(`{3,}|~{3,})")


def render(path: str, source: str, known: Mapping[str, Callable[[], str]]) -> tuple[str, list[Fault]]:
    """A chapter's text with its generated parts filled, and the parts that can't be. `path` is for the faults."""
    out: list[str] = []
    faults: list[Fault] = []
    inside: tuple[int, str] | None = None
    kept: list[str] = []
    fence = ""
    for number, line in enumerate(source.splitlines(keepends=True), 1):
        if mark := _FENCE.match(line):
            fence = "" if fence and line.strip().startswith(fence) else fence or mark[1]
        begin, end = (None, None) if fence and not inside else (_BEGIN.fullmatch(line), _END.fullmatch(line))
        if begin:
            if inside:
                faults.append(Fault(path, inside[0], f"`{inside[1]}` does not end", "add <!-- end generated -->"))
                out += kept
            inside, kept = (number, begin[1]), []
            out.append(line)
        elif end:
            if inside is None:
                faults.append(Fault(path, number, "the end of no generated part", "remove it or add its beginning"))
            else:
                out += _fill(path, inside, kept, known, faults)
            out.append(line)
            inside, kept = None, []
        elif inside:
            kept.append(line)
        else:
            out.append(line)
    if inside:
        faults.append(Fault(path, inside[0], f"`{inside[1]}` does not end", "add <!-- end generated -->"))
        out += kept
    return "".join(out), faults


def _fill(
    path: str, begin: tuple[int, str], kept: list[str], known: Mapping[str, Callable[[], str]], faults: list[Fault]
) -> list[str]:
    """The lines of a part; those that were there where it can't be filled."""
    number, name = begin
    make = known.get(name)
    if make is None:
        faults.append(Fault(path, number, f"there is no generated part `{name}`", f"use one of: {', '.join(known)}"))
        return kept
    try:
        return ["\n", make() + "\n", "\n"]
    except DiagramError as error:
        faults.append(Fault(path, number, f"`{name}` can't be drawn: {error}", "correct spec/registry/frames.toml"))
        return kept


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """The command. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.spec_render", description="Fill the generated parts.")
    parser.add_argument("--check", action="store_true", help="write nothing, show what is out of date")
    options = parser.parse_args(arguments)
    try:
        registry = load_registry(root)
    except RegistryError as error:
        print(error, file=sys.stderr)
        return 1
    known = parts(registry)
    faults: list[Fault] = []
    made = [(root / MODULE, module(registry))] if (root / MODULE).parent.is_dir() else []
    for file in sorted((root / "spec").glob("*.md")):
        path = file.relative_to(root).as_posix()
        source = file.read_bytes().decode("utf-8")
        text, found = render(path, source, known)
        faults += found
        made.append((file, text))
    stale = False
    for file, text in made:
        path = file.relative_to(root).as_posix()
        source = file.read_bytes().decode("utf-8") if file.exists() else ""
        if text == source:
            continue
        if options.check:
            stale = True
            sys.stdout.writelines(_diff(path, source, text))
        elif write_if_changed(file, text):
            print(f"{path}: filled")
    for fault in faults:
        print(fault, file=sys.stderr)
    if stale:
        print("generated parts are out of date, run `python -m tools.spec_render`", file=sys.stderr)
    return 1 if faults or stale else 0


def _diff(path: str, old: str, new: str) -> list[str]:
    before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    return list(difflib.unified_diff(before, after, path, f"{path} (from the registry)"))


if __name__ == "__main__":
    sys.exit(main())
