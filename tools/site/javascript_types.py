# SPDX-License-Identifier: Apache-2.0
"""The types that the reference of the JavaScript API names: those that its sources define in comments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_COMMENT: Final = re.compile(r"/\*\*((?:(?!\*/).)*@typedef(?:(?!\*/).)*)\*/", re.DOTALL)
_TAG: Final = re.compile(r"^@(typedef|property)\s", re.MULTILINE)
_IMPORT: Final = re.compile(r'import\("[^"]+"\)\.')


@dataclass(frozen=True, slots=True)
class Defined:
    """A type: how it is written, what is told of it, and its members where they are listed."""

    name: str
    form: str
    text: str
    members: tuple[tuple[str, str, str], ...]
    """(name in brackets where optional, type, meaning)"""

    def names(self) -> set[str]:
        """Words of its own types."""
        return set(re.findall(r"\w+", " ".join([self.form, *(form for _, form, _ in self.members)])))


def definitions(folder: Path) -> dict[str, Defined]:
    """All types that the sources define, by their names; those that stand for another module's are left out."""
    found: dict[str, Defined] = {}
    for path in sorted(folder.glob("*.js")):
        for comment in _COMMENT.findall(path.read_text("utf-8")):
            for item in _defined(comment):
                if item.form.strip() != item.name:
                    found.setdefault(item.name, item)
    return found


def _defined(comment: str) -> Iterator[Defined]:
    plain = re.sub(r"^[ \t]*\* ?", "", comment.strip(), flags=re.MULTILINE)
    parts = _TAG.split(plain)
    text = " ".join(parts[0].split())
    tags = [(parts[at], " ".join(parts[at + 1].split())) for at in range(1, len(parts), 2)]
    for at, (kind, content) in enumerate(tags):
        if kind != "typedef":
            continue
        form, rest = braces(content)
        name, _, words = rest.partition(" ")
        members: list[tuple[str, str, str]] = []
        for other, item in tags[at + 1 :]:
            if other != "property":
                break
            member, told = braces(item)
            label, _, meaning = told.partition(" ")
            members.append((label, _IMPORT.sub("", member), meaning))
        yield Defined(name, _IMPORT.sub("", form), words or text, tuple(members))


def used(wanted: set[str], known: dict[str, Defined]) -> list[Defined]:
    """The types with these names, and all that they name in turn, in alphabetical order."""
    found: set[str] = set()
    left = wanted & set(known)
    while left:
        name = left.pop()
        found.add(name)
        left |= (known[name].names() & set(known)) - found
    return [known[name] for name in sorted(found)]


def section(types: list[Defined]) -> Iterator[str]:
    """The types as Markdown."""
    for item in types:
        yield from (f"### `{item.name}` {{ #type-{item.name.lower()} }}", "")
        if item.text:
            yield from (item.text, "")
        if item.members:
            yield from ("| member | type | meaning |", "|---|---|---|")
            for label, form, meaning in item.members:
                optional = " (optional)" if label.startswith("[") else ""
                yield f"| `{label.strip('[]')}`{optional} | `{form}` | {_cell(meaning)} |"
            yield ""
        else:
            yield from (f"```js\n{item.form}\n```", "")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def braces(text: str) -> tuple[str, str]:
    """The type in braces at the beginning, which may hold braces, and the rest."""
    if not text.startswith("{"):
        return "", text
    depth = 0
    for at, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return text[1:at], text[at + 1 :].strip()
    return "", text
