# SPDX-License-Identifier: Apache-2.0
"""Markdown tables and the way that numbers stand in them (specification, section 1.5)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_WIDEST: Final = 120
_RANGE: Final = re.compile(r"\b(\d+)\.\.(\d+)\b")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; its columns are aligned in the source where that keeps the lines within 120 characters."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (columns, *rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(columns))]
    if sum(widths) + 3 * len(widths) + 1 > _WIDEST:
        lines = [f"| {' | '.join(row)} |".replace("|  |", "| |") for row in cells]
        return "\n".join([lines[0], "|" + "---|" * len(columns), *lines[1:]])
    lines = [f"| {' | '.join(cell.ljust(w) for cell, w in zip(row, widths, strict=True))} |" for row in cells]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def number(value: int) -> str:
    """A decimal number with its thousands set apart."""
    return f"{value:,}"


def prose(text: str) -> str:
    """A registry's text as it stands in the standard: `1..65535` becomes "1 to 65,535"."""
    return _RANGE.sub(lambda match: f"{int(match[1]):,} to {int(match[2]):,}", text)
