# SPDX-License-Identifier: Apache-2.0
"""What came of the runs of a long command, kept as it goes, so that it can go on where it was stopped."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

Json = dict[str, Any]

_PACKAGE: Final = Path(__file__).resolve().parent.parent


def stamp(*more: bytes) -> str:
    """A short name of the suite's code and data as they are, and of *more*: figures of two of them are not mixed."""
    found = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*")):
        # The record is written by the self-test; what it says decides the order of checks, not what they see.
        if path.suffix in (".py", ".toml", ".json") and path.name != "dead_defects.json":
            found.update(str(path.relative_to(_PACKAGE)).encode() + b"\0" + path.read_bytes())
    for text in more:
        found.update(text)
    return found.hexdigest()[:12]


class Progress:
    """Outcomes by key, a line of a file each. Lines of another stamp are left where they are and not read."""

    def __init__(self, path: Path | None, stamped: str) -> None:
        self._path = path
        self._stamp = stamped
        self.done: dict[str, Json] = {}
        """What came of each key."""
        self.others = 0
        """Lines of other stamps."""
        for line in path.read_text("utf-8").splitlines() if path is not None and path.exists() else ():
            entry = json.loads(line)
            if entry.pop("stamp") == stamped:
                self.done[entry.pop("key")] = entry
            else:
                self.others += 1

    def add(self, key: str, outcome: Json) -> None:
        """Keep an outcome, on the disk before this returns."""
        self.done[key] = outcome
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"stamp": self._stamp, "key": key, **outcome}) + "\n")
