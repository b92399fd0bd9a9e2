# SPDX-License-Identifier: Apache-2.0
"""A chapter of the standard on its way into the site: the text stays, its form changes where a page can do more."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from tools.markdown import Block, Kind, table_of
from tools.registry import Registry
from tools.requirements import ID
from tools.site import hexadecimal, states
from tools.site.bits import figures
from tools.spec import Chapter, Spec
from tools.states import is_state_table

_DEFINED: Final = re.compile(r"^(\s*(?:(?:[-*+]|\d+[.)])\s+)?)\*\*(CC-[A-Z]+-\d{3})\*\*")
_FENCE_MARK: Final = re.compile(r"^(\s*)(`{3,}|~{3,})\s*$")
_PROTECTED: Final = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)|\[[^\]]*\]\([^)]*\)", re.DOTALL)

Checks = Callable[[str], str]
"""What is said of a requirement's checks, behind its text: Markdown, or nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """Makes pages of chapters."""

    spec: Spec
    diagrams: Mapping[str, str]
    """HTML by the ASCII that it replaces."""
    checks: Checks
    decoder: str
    """The decoder's address, seen from a chapter's page."""

    @classmethod
    def of(cls, spec: Spec, registry: Registry, checks: Checks, decoder: str) -> Press:
        """A press for the whole standard."""
        return cls(spec=spec, diagrams=figures(registry), checks=checks, decoder=decoder)

    def page(self, chapter: Chapter) -> str:
        """The page of a chapter, as Markdown."""
        lines = chapter.source.splitlines()
        out: list[str] = []
        at = 0
        for block in chapter.blocks:
            first = block.line - 1
            last = first + _height(block)
            out += lines[at:first]
            if block.kind is Kind.ITEM and out and out[-1].strip() and not _is_list(lines, first):
                out.append("")
            out += self._block(chapter, block, lines[first:last])
            at = last
        return "\n".join([*out, *lines[at:]]) + "\n"

    def _block(self, chapter: Chapter, block: Block, lines: list[str]) -> list[str]:
        match block.kind:
            case Kind.COMMENT:
                return []
            case Kind.FENCE:
                return self._fence(chapter, block, lines)
            case Kind.TABLE if is_state_table(table := table_of(block)):
                return self._states(chapter, table.line)
            case Kind.HEADING:
                return lines
            case Kind.TABLE:
                return [self._link_ids(chapter, line) for line in lines]
        text = "\n".join(lines)
        match = _DEFINED.match(text)
        if match is None:
            return self._link_ids(chapter, text).split("\n")
        name = match[2]
        head = f"{match[1]}[{name}](#{name}){{ #{name} .requirement }}"
        told = self.checks(name)
        return (head + self._link_ids(chapter, text[match.end() :]) + (f" {told}" if told else "")).split("\n")

    def _fence(self, chapter: Chapter, block: Block, lines: list[str]) -> list[str]:
        if block.info.split(" ")[0] == "hex":
            name = block.info.split(" ")[-1]
            return ["", hexadecimal.figure(self.spec.examples[name], self.decoder), ""]
        if block.text in self.diagrams:
            return ["", self.diagrams[block.text], ""]
        if not block.info and (mark := _FENCE_MARK.match(lines[0])):
            return [f"{mark[1]}{mark[2]}text", *lines[1:]]
        return lines

    def _states(self, chapter: Chapter, line: int) -> list[str]:
        for found in self.spec.state_tables:
            if (found.chapter, found.line) == (chapter.name, line):
                name = f"table-{found.rows[0].id.lower()}" if found.rows[0].id else f"table-{line}"
                return ["", states.diagram(found), "", states.table(found, name), ""]
        raise KeyError(f"{chapter.name}:{line} is no state table of the standard")

    def _link_ids(self, chapter: Chapter, text: str) -> str:
        """Link every ID that is mentioned, but in code and in links."""
        parts: list[str] = []
        at = 0
        for match in _PROTECTED.finditer(text):
            parts += [ID.sub(lambda found: self._link(chapter, found[0]), text[at : match.start()]), match[0]]
            at = match.end()
        return "".join([*parts, ID.sub(lambda found: self._link(chapter, found[0]), text[at:])])

    def _link(self, chapter: Chapter, name: str) -> str:
        requirement = self.spec.requirements.get(name)
        if requirement is None:
            return name
        file = "" if requirement.chapter == chapter.name else f"{requirement.chapter}.md"
        return f"[{name}]({file}#{name})"


def _height(block: Block) -> int:
    """Lines of a block in its file."""
    return block.text.count("\n") + 1 + (2 if block.kind is Kind.FENCE else 0)


def _is_list(lines: list[str], first: int) -> bool:
    """Whether the line above belongs to a list already: an item, or what goes on with one."""
    above = lines[first - 1]
    return bool(re.match(r"\s*(?:[-*+]|\d+[.)])\s|\s{2,}", above))
