# SPDX-License-Identifier: Apache-2.0
"""What the conformance suite knows of each requirement, and an example of its report."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any, Final

from tools.spec import Spec

_ORDER: Final = ("FAIL", "ERROR", "NONDETERMINISTIC", "HARNESS_ERROR", "WARN", "INFO", "PASS", "SKIP")
"""Of several checks of a requirement, the result that is shown."""


class Conformance:
    """The matrix, and the results of implementations in `conformance/results/*.json`."""

    def __init__(self, root: Path, spec: Spec) -> None:
        self._spec = spec
        self._rows = _rows()
        results = sorted((root / "conformance" / "results").glob("*.json"))
        self._results: list[dict[str, Any]] = [json.loads(path.read_text("utf-8")) for path in results]

    def checks(self, name: str) -> str:
        """What stands behind a requirement in its chapter: a link to its row, as Markdown; empty without a suite."""
        row = self._rows.get(name)
        if row is None:
            return ""
        checks = list(dict.fromkeys([*row.positive, *row.negative]))
        if row.untestable and not checks:
            label, title = "not testable", f"no check: {row.untestable}"
        elif checks:
            label = f"{len(checks)} check{'s' if len(checks) > 1 else ''}"
            title = ", ".join(checks)
        else:
            label, title = (
                ("watched", "judged on every link of every check") if row.watched else ("no check", "not yet")
            )
        return f'[{label}](../conformance/matrix.md#{name} "{title}"){{ .checks }}'

    def matrix(self) -> str:
        """The matrix as HTML tables, one for each area, under headings in Markdown."""
        names = [f"{result['implementation'].get('name', '?')}" for result in self._results]
        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
        parts: list[str] = []
        for area, chapter in self._spec.areas.items():
            found = [item for item in self._spec.requirements.values() if item.area == area]
            parts += [
                f"## CC-{area}",
                "",
                f"[Chapter {int(chapter.split('-')[0])}](../standard/{chapter}.md)",
                "",
                f'<div class="matrix" tabindex="0" role="region" aria-label="Requirements of CC-{area}">'
                '<table class="grid">'
                '<thead><tr><th scope="col">requirement</th><th scope="col">key word</th>'
                '<th scope="col">shown by</th><th scope="col">tempted by</th>'
                f'<th scope="col">dead defects</th>{head}</tr></thead><tbody>',
                *(self._row(item.id, item.keyword, chapter) for item in found),
                "</tbody></table></div>",
                "",
            ]
        return "\n".join(parts)

    def _row(self, name: str, keyword: str, chapter: str) -> str:
        row = self._rows.get(name)
        link = f'<a id="{name}" href="../../standard/{chapter}/#{name}">{name}</a>'
        cells = f'<tr><th scope="row">{link}</th><td>{keyword}</td>'
        if row is None:
            cells += '<td colspan="3">not known to the suite</td>'
        elif row.untestable and not (row.positive or row.negative or row.watched):
            cells += f'<td colspan="3">not testable: {escape(row.untestable)}</td>'
        else:
            positive = [*row.positive, *(["a monitor, always"] if row.watched else [])]
            cells += f"<td>{_names(positive)}</td><td>{_names(row.negative)}</td><td>{_names(row.defects)}</td>"
        return cells + "".join(f"<td>{_verdict(name, result)}</td>" for result in self._results) + "</tr>"

    def figures(self) -> str:
        """The matrix in numbers, as Markdown."""
        from callchannel_conformance import matrix  # noqa: PLC0415

        found = matrix.figures(list(self._rows.values()))
        labels = {
            "musts": "rules with *must*, bindings left out",
            "untestable": "of them not testable, each with a reason",
            "with_positive": "shown to be followed by a check or a monitor",
            "with_negative": "tempted to be broken by a check",
            "covered": "both",
            "with_dead_defect": "whose check has found a seeded defect",
        }
        rows = [f"| {label} | {found[key]:,} |" for key, label in labels.items() if key in found]
        return "\n".join(["| requirements | number |", "|---|---|", *rows])


def report(results: Path) -> str:
    """The suite's own page for the results in a file."""
    from callchannel_conformance.report import page  # noqa: PLC0415

    return str(page(json.loads(results.read_text("utf-8"))))


def _rows() -> dict[str, Any]:
    from callchannel_conformance import matrix  # noqa: PLC0415

    return {row.requirement.id: row for row in matrix.rows()}


def _names(names: list[str]) -> str:
    """How many, and which when asked."""
    if not names:
        return "–"
    listed = "".join(f"<li>{escape(name)}</li>" for name in names)
    return f"<details><summary>{len(names)}</summary><ul>{listed}</ul></details>"


def _verdict(name: str, result: dict[str, Any]) -> str:
    found = {
        "FAIL" if check.get("broken") == name else check["result"]
        for check in result["checks"]
        if name in check["requirements"] or check.get("broken") == name
        if check["result"] != "FAIL" or check.get("broken") == name
    }
    shown = next((kind for kind in _ORDER if kind in found), "–")
    return f'<span class="{shown}">{shown}</span>'
