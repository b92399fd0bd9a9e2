# SPDX-License-Identifier: Apache-2.0
"""Links between the files of the standard, and citations of its requirements anywhere in the project."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from tools import markdown
from tools.faults import Fault
from tools.spec import Spec

_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_CITED: Final = re.compile(r"\bCC-[A-Z]{3,}-\d+\b")
CITING: Final = ("reference", "conformance", "tools", "docs", "spec")
"""The folders whose files may cite requirements."""
_SKIPPED: Final = frozenset({"node_modules", "__pycache__", "build", "dist", "site"})


def check_links(spec: Spec) -> Iterator[Fault]:
    """Relative links of `spec/*.md` whose file or anchor is not there."""
    known = {spec.root / chapter.path: markdown.anchors(chapter.blocks) for chapter in spec.chapters}
    for chapter in spec.chapters:
        here = spec.root / chapter.path
        for link in markdown.links(chapter.blocks):
            if _SCHEME.match(link.target):
                continue
            name, _, anchor = link.target.partition("#")
            target = Path(os.path.normpath(here.parent / unquote(name))) if name else here
            if not target.exists():
                what = f"the link [{link.text}]({link.target}) leads to no file"
                yield Fault(chapter.path, link.line, what, f"correct it or add {os.path.relpath(target, spec.root)}")
            elif anchor and target in known and anchor not in known[target]:
                what = f"the link [{link.text}]({link.target}) leads to no heading"
                yield Fault(chapter.path, link.line, what, f"use one of {_near(anchor, known[target])}")


def _near(anchor: str, known: frozenset[str]) -> str:
    """The anchors that share the most with a wrong one."""
    words = set(anchor.split("-"))
    ranked = sorted(known, key=lambda name: (-len(words & set(name.split("-"))), name))
    return ", ".join(f"#{name}" for name in ranked[:3])


def check_citations(spec: Spec) -> Iterator[Fault]:
    """Requirement IDs that are cited somewhere and are not in the standard."""
    for path in _text_files(spec.root):
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            for name in _CITED.findall(line):
                if name not in spec.requirements:
                    reason = spec.withdrawn.get(name)
                    what = f"{name} was withdrawn ({reason})" if reason else f"{name} is not in the standard"
                    where = path.relative_to(spec.root).as_posix()
                    yield Fault(where, number, what, "cite a requirement that is there")


def _text_files(root: Path) -> Iterator[Path]:
    index = root / "spec" / "requirements.json"
    for top in CITING:
        for folder, names, files in os.walk(root / top):
            names[:] = sorted(name for name in names if name not in _SKIPPED and not name.startswith("."))
            for name in sorted(files):
                path = Path(folder) / name
                if path != index and not name.startswith(".") and path.parent != root / "spec" / "registry":
                    yield path
