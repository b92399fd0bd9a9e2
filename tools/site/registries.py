# SPDX-License-Identifier: Apache-2.0
"""Pages and files around the chapters: the index of requirements, the versions, the decoder's tables."""

from __future__ import annotations

import re
from typing import Final

from tools.release.archive import name_of
from tools.spec import Spec

_VERSION: Final = re.compile(r"^## 19\.\d+ (Version .*)$", re.MULTILINE)


def requirements(spec: Spec) -> str:
    """An index of all requirements, by area, as Markdown."""
    lines: list[str] = []
    for area, chapter in spec.areas.items():
        found = [item for item in spec.requirements.values() if item.area == area]
        title = spec.chapter(chapter).blocks
        heading = next(block.text for block in title if block.info == "#")
        lines += [f"## CC-{area}", "", f"[{heading}]({chapter}.md): {len(found)} requirements.", ""]
        lines += ["| requirement | key word | text |", "|---|---|---|"]
        lines += [f"| [{item.id}]({chapter}.md#{item.id}) | {item.keyword} | {_cell(item.text)} |" for item in found]
        lines.append("")
    return "\n".join(lines)


def _cell(text: str) -> str:
    """A requirement's text without links, whose targets are of its chapter."""
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).replace("|", "\\|")


def versions(spec: Spec) -> dict[str, str]:
    """A page for each version of the document, by its file's name."""
    source = spec.chapter("19-changes").source
    found = list(_VERSION.finditer(source))
    pages: dict[str, str] = {}
    for at, match in enumerate(found):
        end = found[at + 1].start() if at + 1 < len(found) else len(source)
        number = re.search(r"[\d.]+", match[1])
        assert number is not None
        text = source[match.end() : end].strip()
        musts = sum(item.keyword.startswith("MUST") for item in spec.requirements.values())
        current = (
            f"\n\nThis is the version that [the standard](README.md) on this site has: {len(spec.requirements)} "
            f"requirements in {len(spec.areas)} areas, {musts} of them with *must*, {len(spec.examples)} examples, "
            f"{len(spec.state_tables)} state tables. Its [archive]({name_of(number[0])}.zip) holds the "
            "chapters, the registries and the vectors with their schema."
            if number[0] == spec.version
            else ""
        )
        pages[f"version-{number[0]}.md"] = f"# {match[1]}\n\n{text}{current}\n"
    return pages
