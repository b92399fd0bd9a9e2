# SPDX-License-Identifier: Apache-2.0
"""The version of the packages has one place, `callchannel.__version__`; this writes it wherever else it has to stand.

python -m tools.release.versions           # exit code 1 if a place differs
python -m tools.release.versions --update  # write it there
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tools.faults import ROOT, Fault
from tools.files import write_if_changed

_SOURCE: Final = "reference/python/callchannel/__init__.py"
_PYTHON: Final = re.compile(r'(?<=^__version__: Final = ")[^"]*', re.MULTILINE)
_JSON: Final = re.compile(r'(?<=^  "version": ")[^"]*', re.MULTILINE)
_JSON_LOCK: Final = re.compile(r'(?<=^      "name": "callchannel",\n      "version": ")[^"]*', re.MULTILINE)
_MODULE: Final = re.compile(r'(?<=^export const VERSION = ")[^"]*', re.MULTILINE)
_DEVELOPMENT: Final = re.compile(r"\.dev(\d+)$")
_CANDIDATE: Final = re.compile(r"(?<=\d)(a|b|rc)(\d+)$")

_COPIES: Final = (
    ("conformance/callchannel_conformance/__init__.py", _PYTHON, False),
    ("reference/javascript/package.json", _JSON, True),
    ("reference/javascript/package-lock.json", _JSON, True),
    ("reference/javascript/package-lock.json", _JSON_LOCK, True),
    ("reference/javascript/callchannel/version.js", _MODULE, True),
)
"""(file, what stands for the version in it, whether it is written as npm does)."""


def current(root: Path = ROOT) -> str:
    """The version of the packages, as Python writes it. Raises `ValueError` where it is not to be found."""
    return _found(_PYTHON, (root / _SOURCE).read_text("utf-8"), _SOURCE)[0]


def semantic(version: str) -> str:
    """The same version as npm writes it: `0.1.0.dev0` is `0.1.0-dev.0`, and `0.1.0rc1` is `0.1.0-rc.1`."""
    return _CANDIDATE.sub(r"-\1.\2", _DEVELOPMENT.sub(r"-dev.\1", version))


def compare(root: Path = ROOT, *, update: bool = False) -> list[Fault]:
    """The places with another version; with `update`, they are written instead."""
    version = current(root)
    faults: list[Fault] = []
    for name, pattern, npm in _COPIES:
        wanted = semantic(version) if npm else version
        path = root / name
        text = path.read_text("utf-8")
        found, line = _found(pattern, text, name)
        if update:
            write_if_changed(path, pattern.sub(wanted, text, count=1))
        elif found != wanted:
            what = f"version {found} stands here, and {wanted} is that of {_SOURCE}"
            faults.append(Fault(name, line, what, "run python -m tools.release.versions --update"))
    return faults


def _found(pattern: re.Pattern[str], text: str, name: str) -> tuple[str, int]:
    match = pattern.search(text)
    if match is None:
        raise ValueError(f"{name}: no version is to be found; write it as before")
    return match[0], text.count("\n", 0, match.start()) + 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="tools.release.versions", description="Keep one version everywhere.")
    parser.add_argument("--update", action="store_true", help="write the version wherever it stands")
    faults = compare(update=parser.parse_args(argv).update)
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
