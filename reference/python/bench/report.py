# SPDX-License-Identifier: Apache-2.0
"""Results as a table to read, and as JSON to keep, benchmark by benchmark."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.contest import Row
from bench.growth import Series

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
    found = {"python": platform.python_version()}
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


def line(series: Series) -> str:
    """A series as text."""
    name = f"{series.name}, {series.line}" if series.line else series.name
    points = "  ".join(f"{point[0]:,.0f}: {number(point[1])}" for point in series.points)
    return f"{name} ({series.unit} by {series.x}):  {points}"


def machine() -> dict[str, Any]:
    """What kind of machine this is, without its name."""
    return {"system": f"{platform.system()} on {platform.machine()}", "cores": os.cpu_count()}


def read(path: Path) -> dict[str, Any]:
    """Recorded results."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def record(path: Path, name: str, result: dict[str, Any]) -> None:
    """Put the result of one benchmark into a file. Those of others stay as they are if everything has its version."""
    results: dict[str, Any] = {"versions": versions(), "machine": machine(), "benchmarks": {}}
    if path.exists():
        before = read(path)
        if (before.get("versions"), before.get("machine")) == (results["versions"], results["machine"]):
            results["benchmarks"] = before["benchmarks"]
    results["benchmarks"][name] = result
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
