# SPDX-License-Identifier: Apache-2.0
"""The whole standard in one value: chapters, requirements, examples, tables and state tables.

`load_spec()` never raises for what a chapter holds: what is wrong is in `Spec.faults`, and everything else is there.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tools import examples as examples_module
from tools import requirements as requirements_module
from tools import states as states_module
from tools.examples import Example
from tools.faults import ROOT, Fault
from tools.markdown import Block, Kind, Table, parse, table_of
from tools.requirements import Requirement
from tools.states import StateTable

_CHAPTER: Final = re.compile(r"\d\d-[a-z0-9-]+\.md")
_ROW_LINK: Final = re.compile(r"\[.*\]\(([\w.-]+)\.md\)")
_AREA: Final = re.compile(r"CC-([A-Z]+)")
_VERSION: Final = re.compile(r"\d+(?:\.\d+)+")
_ELSE: Final = re.compile(r"\bElse:\s+([A-Z][A-Z_]+)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """A file of the standard; the README is one too."""

    name: str
    """The file name without its ending, such as `03-frames`."""
    path: str
    """Relative to the project's root."""
    source: str
    blocks: tuple[Block, ...]
    tables: tuple[Table, ...]

    @property
    def numbered(self) -> bool:
        """Whether it is a chapter proper."""
        return bool(_CHAPTER.fullmatch(f"{self.name}.md"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What `spec/` holds."""

    root: Path
    version: str
    """Document version."""
    released: tuple[str, ...]
    """Released document versions; empty before the first release."""
    withdrawn: Mapping[str, str]
    """Requirement IDs that are no longer used, with the version and the reason."""
    areas: Mapping[str, str]
    """The chapter of each area of requirements."""
    chapters: tuple[Chapter, ...]
    requirements: Mapping[str, Requirement]
    """By ID, in the order of the text."""
    examples: Mapping[str, Example]
    """By name, in the order of the text."""
    state_tables: tuple[StateTable, ...]
    faults: tuple[Fault, ...] = field(default=(), repr=False)
    """What is wrong with requirements, examples and state tables. Links and citations are checked elsewhere."""

    @property
    def draft(self) -> bool:
        """Whether requirement IDs may still be dropped."""
        return self.version.startswith("0.") and not self.released

    def chapter(self, name: str) -> Chapter:
        """A chapter by its name, such as `03-frames`. Raises `KeyError`."""
        for chapter in self.chapters:
            if chapter.name == name:
                return chapter
        raise KeyError(name)

    def tables(self, chapter: str, section: str) -> tuple[Table, ...]:
        """The tables under a heading, which is given as it is written, such as `9.12 States`."""
        return tuple(table for table in self.chapter(chapter).tables if table.section == section)

    def state_table(self, chapter: str, section: str, number: int = 0) -> StateTable:
        """The state table under a heading; `number` tells several apart, from 0. Raises `KeyError`."""
        found = [table for table in self.state_tables if (table.chapter, table.section) == (chapter, section)]
        if number >= len(found):
            raise KeyError((chapter, section, number))
        return found[number]


def load_spec(root: Path = ROOT) -> Spec:
    """Read the standard below `root`, whatever chapters are there. Raises `OSError` where there is no README."""
    folder = root / "spec"
    paths = [folder / "README.md", *(path for path in sorted(folder.glob("*.md")) if path.name != "README.md")]
    chapters = tuple(_chapter(path, root) for path in paths)
    areas = _areas(chapters[0])
    marks = _read_toml(folder / "registry" / "requirements.toml")
    withdrawn: dict[str, str] = marks.get("withdrawn", {})
    codes = {entry["name"] for entry in _read_toml(folder / "registry" / "errors.toml").get("error", ())}
    faults: list[Fault] = list(_unlisted(chapters))
    all_requirements: list[Requirement] = []
    all_examples: list[Example] = []
    all_states: list[StateTable] = []
    for chapter in chapters:
        requirements, found = requirements_module.extract(chapter.path, chapter.name, chapter.blocks)
        examples, more = examples_module.extract(chapter.path, chapter.name, chapter.blocks, codes)
        faults += [*found, *more, *_unknown_codes(chapter, codes)]
        all_requirements += requirements
        all_examples += examples
        for table in filter(states_module.is_state_table, chapter.tables):
            state_table, found = states_module.read(chapter.path, chapter.name, table)
            faults += found
            if known := states_module.effects_of(chapter.tables):
                faults += states_module.check_effects(chapter.path, state_table, known)
            all_states.append(state_table)
    path_of = {chapter.name: chapter.path for chapter in chapters}
    faults += requirements_module.check_numbering(path_of, all_requirements, areas, tuple(withdrawn))
    faults += examples_module.check_names(all_examples)
    return Spec(
        root=root,
        version=_version(chapters[0]),
        released=tuple(marks.get("released", ())),
        withdrawn=withdrawn,
        areas=areas,
        chapters=chapters,
        requirements={item.id: item for item in _first_of_each(all_requirements)},
        examples={item.name: item for item in all_examples},
        state_tables=tuple(all_states),
        faults=tuple(sorted(faults)),
    )


def _first_of_each(requirements: list[Requirement]) -> Iterator[Requirement]:
    """Without those whose ID was there before, which is a fault."""
    seen: set[str] = set()
    for item in requirements:
        if item.id not in seen:
            seen.add(item.id)
            yield item


def _chapter(path: Path, root: Path) -> Chapter:
    source = path.read_text("utf-8")
    blocks = parse(source)
    return Chapter(
        name=path.stem,
        path=path.relative_to(root).as_posix(),
        source=source,
        blocks=blocks,
        tables=tuple(table_of(block) for block in blocks if block.kind is Kind.TABLE),
    )


def _read_toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text("utf-8")) if path.exists() else {}


def _chapter_rows(readme: Chapter) -> Iterator[tuple[str, str]]:
    """(chapter's name, cell of its areas) of the README's table of chapters."""
    for table in readme.tables:
        if table.columns[0] == "chapter" and "requirements" in table.columns:
            for first, areas in zip(table.column("chapter"), table.column("requirements"), strict=True):
                if match := _ROW_LINK.fullmatch(first):
                    yield match[1], areas


def _areas(readme: Chapter) -> dict[str, str]:
    return {area: chapter for chapter, cell in _chapter_rows(readme) for area in _AREA.findall(cell)}


def _unlisted(chapters: tuple[Chapter, ...]) -> Iterator[Fault]:
    listed = {name for name, _ in _chapter_rows(chapters[0])}
    for chapter in chapters[1:]:
        if chapter.name not in listed:
            what = f"{chapter.name} is not in the table of chapters"
            yield Fault(chapter.path, 1, what, "add it to spec/README.md")


def _version(readme: Chapter) -> str:
    for table in readme.tables:
        for row in table.rows:
            if row[0] == "Document version" and (match := _VERSION.search(row[1])):
                return match[0]
    return "0.0"


def _unknown_codes(chapter: Chapter, codes: set[str]) -> Iterator[Fault]:
    """Error names behind "Else:" that the registry does not know."""
    for block in chapter.blocks:
        if block.kind in (Kind.PARAGRAPH, Kind.ITEM):
            for match in _ELSE.finditer(block.text):
                if match[1] not in codes:
                    todo = "use a name of spec/registry/errors.toml"
                    yield Fault(chapter.path, block.line_of(match.start()), f"{match[1]} is not an error code", todo)
