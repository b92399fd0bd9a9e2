# SPDX-License-Identifier: Apache-2.0
"""What a check finds wrong, and how it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The project's root, which the commands work on."""


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing that is wrong. `str` gives the line for people: `file:line: what, what to do`."""

    path: str
    """Relative to the project's root."""
    line: int
    what: str
    todo: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}, {self.todo}"
