# SPDX-License-Identifier: Apache-2.0
"""The cells of the standard's state tables (chapters 5 and 9), as they are generated from its text."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

TABLES = Path(__file__).parents[3] / "conformance" / "callchannel_conformance" / "data" / "states.json"

Cell = tuple[str, str]
"""Row and state, such as ("S08", "OPEN")."""


@cache
def events() -> dict[str, str]:
    """What each row is about."""
    tables = json.loads(TABLES.read_text())["tables"]
    return {row["id"]: row["event"] for table in tables for row in table["rows"]}


@cache
def cells() -> tuple[Cell, ...]:
    """All cells but those that say n/a, in the order of the text."""
    tables = json.loads(TABLES.read_text())["tables"]
    return tuple(
        (row["id"], state)
        for table in tables
        for row in table["rows"]
        for state, cell in row["cells"].items()
        if cell is not None
    )
