# SPDX-License-Identifier: Apache-2.0
"""Drawings and tables for the documentation, from recorded results: `python -m bench.plots FILE [--check]`.

Each drawing is an SVG file of its own, readable on light and on dark, with a title and the figures as its description.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

from bench import report
from bench.contest import Row
from bench.growth import Series

ROOT: Final = Path(__file__).resolve().parents[3]
DRAWINGS: Final = ROOT / "docs/assets/bench"
PAGE: Final = ROOT / "docs/reference/performance.md"
BEGIN: Final = "<!-- figures: written by bench.plots -->"
END: Final = "<!-- end of figures -->"

_WIDTH, _HEIGHT = 440, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 18, 40, 42
_STYLE: Final = (
    ".p{fill:#fff;stroke:#d5d8dd}.t{fill:#1c1f24}.s{fill:#50555e}.g{stroke:#e3e5e9}.a{stroke:#8a9099}"
    ".c0{stroke:#0b6570}.c1{stroke:#a1421a}.c2{stroke:#5b3fa0}.f0{fill:#0b6570}.f1{fill:#a1421a}.f2{fill:#5b3fa0}"
    "text{font:12px system-ui,'Segoe UI','Noto Sans','DejaVu Sans',sans-serif}.h{font-size:14px;font-weight:600}"
    ".l{fill:none;stroke-width:2}.w{stroke-width:1}"
    "@media (prefers-color-scheme:dark){.p{fill:#1b1e24;stroke:#3a3f48}.t{fill:#eceef1}.s{fill:#b4bac4}"
    ".g{stroke:#2d3139}.a{stroke:#7d848f}.c0{stroke:#6fd3dc}.c1{stroke:#ffab85}.c2{stroke:#c3b1ff}.f0{fill:#6fd3dc}.f1{fill:#ffab85}"
    ".f2{fill:#c3b1ff}}"
)


@dataclass(frozen=True, slots=True)
class Drawing:
    """What a drawing is called, and what it says above its lines."""

    name: str
    title: str
    logarithmic: bool = False
    """Whether the vertical axis is; it begins at 0 otherwise."""


ALL: Final = (
    Drawing("rate-size", "Messages a second, by their size", logarithmic=True),
    Drawing("volume-size", "Megabytes a second, by the size of a message"),
    Drawing("rate-sessions", "Messages a second, by senders that write at once"),
    Drawing("rate-recipients", "Deliveries a second of a relay, by recipients"),
    Drawing("time-links", "Microseconds for a message to ten, by links"),
    Drawing("memory-size", "Most memory of both ends for one message (KB)", logarithmic=True),
    Drawing("memory-sessions", "Memory of both ends for open sessions (KB)", logarithmic=True),
    Drawing("memory-recipients", "Memory of 1,000 messages that wait for all (KB)", logarithmic=True),
    Drawing("memory-links", "Memory of a relay with quiet links (KB)", logarithmic=True),
)


def short(value: float) -> str:
    """A figure for an axis."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def draw(drawing: Drawing, lines: Sequence[Series]) -> str:
    """The SVG of some lines over the same axes. The horizontal axis is logarithmic."""
    across = sorted({point[0] for line in lines for point in line.points})
    figures = [figure for line in lines for point in line.points for figure in point[1:]]
    ticks = _ticks(min(figures), max(figures), logarithmic=drawing.logarithmic)
    low, high = ticks[0], ticks[-1]

    def x(value: float) -> float:
        share = math.log(value / across[0]) / math.log(across[-1] / across[0])
        return _LEFT + 10 + share * (_WIDTH - _LEFT - _RIGHT - 20)

    def y(value: float) -> float:
        share = math.log(value / low) / math.log(high / low) if drawing.logarithmic else (value - low) / (high - low)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        'aria-labelledby="title desc">',
        f'<title id="title">{escape(drawing.title)}</title>',
        f'<desc id="desc">{escape(describe(lines))}</desc>',
        f"<style>{_STYLE}</style>",
        f'<rect class="p" x=".5" y=".5" width="{_WIDTH - 1}" height="{_HEIGHT - 1}" rx="6"/>',
        f'<text class="t h" x="14" y="24">{escape(drawing.title)}</text>',
    ]
    for tick in ticks:
        at = y(tick)
        parts.append(f'<path class="g" d="M{_LEFT} {at:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text class="s" x="{_LEFT - 7}" y="{at + 4:.1f}" text-anchor="end">{short(tick)}</text>')
    for place in _spread(across, x):
        at = x(place)
        parts.append(f'<path class="a" d="M{at:.1f} {_HEIGHT - _BOTTOM}v4"/>')
        parts.append(f'<text class="s" x="{at:.1f}" y="{_HEIGHT - 24}" text-anchor="middle">{short(place)}</text>')
    parts.append(
        f'<text class="s" x="{(_LEFT + _WIDTH - _RIGHT) / 2:.0f}" y="{_HEIGHT - 7}" text-anchor="middle">'
        f"{escape(lines[0].x)}</text>"
    )
    labels: list[float] = []
    for number, line in enumerate(lines):
        points = [(x(at), y(figure)) for at, figure, _, _ in line.points]
        parts += [
            f'<path class="w c{number}" d="M{x(at):.1f} {y(first):.1f}V{y(third):.1f}"/>'
            for at, _, first, third in line.points
            if first != third
        ]
        parts.append(f'<path class="l c{number}" d="M{" ".join(f"{a:.1f} {b:.1f}" for a, b in points)}"/>')
        parts += [f'<circle class="f{number}" cx="{a:.1f}" cy="{b:.1f}" r="3"/>' for a, b in points]
        if line.line:
            at = points[-1][1] - 16
            while any(abs(at - other) < 14 for other in labels):
                at += 14
            labels.append(at)
            parts.append(f'<text class="f{number}" x="{_WIDTH - 26}" y="{at:.1f}" text-anchor="end">{line.line}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def describe(lines: Sequence[Series]) -> str:
    """The figures in words."""
    return ". ".join(
        (f"{line.line}: " if line.line else "")
        + "; ".join(f"{point[0]:,.0f} {line.x}: {report.number(point[1])} {line.unit}" for point in line.points)
        for line in lines
    )


def _ticks(low: float, high: float, *, logarithmic: bool) -> list[float]:
    if logarithmic:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        return [10.0**power for power in range(first, max(last, first + 1) + 1)]
    step = 10 ** math.floor(math.log10(high / 4))
    step *= next(factor for factor in (1, 2, 2.5, 5, 10) if high / (step * factor) <= 5)
    return [step * number for number in range(math.ceil(high / step) + 1)]


def _spread(places: Sequence[float], x: Any) -> Iterator[float]:
    """Those places that have room for a label."""
    last = -math.inf
    for place in places:
        if x(place) - last >= 34:
            last = x(place)
            yield place


def table(benchmarks: dict[str, Any]) -> str:
    """All rows as a Markdown table."""
    lines = [
        "| work | callchannel | the other | its figure | unit | ratio | middle half | to reach | |",
        "| --- | ---: | --- | ---: | --- | ---: | --- | --- | --- |",
    ]
    for found in benchmarks.values():
        for fields in found.get("rows", ()):
            row = Row(**fields)
            spread = f"{report.ratio(row.low)} to {report.ratio(row.high)}" if row.ratio is not None else ""
            cells = (
                row.work,
                report.number(row.ours),
                row.peer_name,
                report.number(row.peer),
                row.unit,
                report.ratio(row.ratio),
                spread,
                row.target,
                row.verdict,
            )
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def conditions(results: dict[str, Any]) -> str:
    """What was measured where, in words."""
    loads = [found["load"] for found in results["benchmarks"].values()]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    cores = results["machine"]["cores"]
    shared = (
        f" The machine was shared: its load average was {min(loads):.1f} to {max(loads):.1f} on {cores} cores, so read "
        "the ratios, whose contestants took turns, and not the figures by the clock."
        if max(loads) > cores
        else ""
    )
    short = [name for name, found in results["benchmarks"].items() if found["quick"]]
    if short:
        shared += f" Shorter runs: {', '.join(short)}."
    return f"Measured on {results['machine']['system']} with {cores} cores; {versions}.{shared}"


def outputs(results: dict[str, Any]) -> dict[Path, str]:
    """The files that follow from results."""
    found: dict[Path, str] = {}
    series = [
        Series(**{**fields, "points": tuple(map(tuple, fields["points"]))})
        for fields in results["benchmarks"].get("growth", {}).get("series", ())
    ]
    for drawing in ALL:
        lines = [line for line in series if line.name == drawing.name]
        if lines:
            found[DRAWINGS / f"{drawing.name}.svg"] = draw(drawing, lines)
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    figures = f"{BEGIN}\n\n{conditions(results)}\n\n{table(results['benchmarks'])}\n\n{END}"
    found[PAGE] = before + figures + after
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Write what follows from a file of results, or check that it is there. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.plots", description="Draw recorded results.")
    parser.add_argument("results", type=Path)
    parser.add_argument("--check", action="store_true", help="write nothing; say which files are not what follows")
    options = parser.parse_args(arguments)
    stale = []
    for path, text in outputs(report.read(options.results)).items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path)
        if not options.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    for path in stale:
        print(("not what follows from the results: " if options.check else "written: ") + str(path.relative_to(ROOT)))
    return 1 if stale and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
