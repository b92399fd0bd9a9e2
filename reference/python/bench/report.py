# SPDX-License-Identifier: Apache-2.0
"""Results as a table to read, and as JSON to keep."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from collections.abc import Sequence
from importlib import metadata

from bench.contest import Row

PACKAGES = (
    "callchannel",
    "websockets",
    "wsproto",
    "h2",
    "protobuf",
    "livekit-protocol",
    "construct",
    "msgpack",
    "msgspec",
    "aiortc",
    "uvloop",
)
_HEAD = ("benchmark", "work", "ours", "peer", "peer's", "unit", "ratio", "spread", "target", "")


def versions() -> dict[str, str]:
    """What takes part, and on what."""
    found = {"python": platform.python_version(), "system": platform.platform(), "cores": str(os.cpu_count())}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


def number(value: float | None) -> str:
    """A figure with as many digits as mean something."""
    if value is None:
        return ""
    if value >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def ratio(value: float | None) -> str:
    """A ratio."""
    return "" if value is None else f"{value:.2f}"


def table(rows: Sequence[Row]) -> str:
    """Rows as aligned text."""
    lines = [_HEAD] + [
        (
            row.benchmark,
            row.work,
            number(row.ours),
            row.peer_name,
            number(row.peer),
            row.unit,
            ratio(row.ratio),
            f"{ratio(row.low)}-{ratio(row.high)}" if row.ratio is not None else "",
            row.target,
            row.verdict,
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def as_json(rows: Sequence[Row], *, quick: bool) -> str:
    """Rows and versions, for a file."""
    return json.dumps(
        {"quick": quick, "versions": versions(), "rows": [dataclasses.asdict(row) for row in rows]}, indent=2
    )
