# SPDX-License-Identifier: Apache-2.0
"""The reference of the JavaScript API, from the comments of its sources.

It reads the style that the sources are written in: a comment `/** … */` right above what it is about, members indented
by four spaces, private ones with `#`. What has no comment is not shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.site.javascript_types import braces, definitions, section, used

_EXPORT: Final = re.compile(r'^export \{([^}]+)\} from "\./([\w.]+)";', re.MULTILINE)
_COMMENT: Final = re.compile(r"^( *)/\*\*(.*?)\*/\n(?:\1/\*\* @type.*?\*/\n)?\1(\S[^\n]*)", re.MULTILINE | re.DOTALL)
_ATTRIBUTE: Final = re.compile(r"^        /\*\*((?:(?!\*/).)*)\*/\n        this\.(\w+) =", re.MULTILINE | re.DOTALL)
_TAG: Final = re.compile(r"^@(\w+)\s*", re.MULTILINE)
_INTERNAL: Final = frozenset({"idle", "tell"})
"""Members that the classes have for each other."""
_TOLD: Final = (("Report", "verdicts.js"),)
"""Classes that `index.js` does not export, whose objects an application is given, and their files."""
_MADE: Final = frozenset({"Call", "Signalling"})
"""Classes that an application makes objects of."""


@dataclass(frozen=True, slots=True)
class Documented:
    """Something with a comment."""

    signature: str
    text: str
    tags: tuple[tuple[str, str], ...]
    members: tuple[Documented, ...] = ()


def page(folder: Path) -> str:
    """The reference of everything that `index.js` exports, as Markdown."""
    lines: list[str] = []
    named: set[str] = set()
    for names, file in _EXPORT.findall((folder / "index.js").read_text("utf-8")):
        source = (folder / file).read_text("utf-8")
        for name in (part.strip() for part in names.split(",")):
            if (item := _exported(source, name)) is not None:
                lines += _entry(name, item)
                named |= _types(item)
    for name, file in _TOLD:
        if (item := _exported((folder / file).read_text("utf-8"), name)) is not None:
            lines += _entry(name, item)
            named |= _types(item)
    lines += ["## Types", "", "What the tables above name, in the notation of TypeScript.", ""]
    lines += section(used(named, definitions(folder)))
    return "\n".join(lines)


def _types(item: Documented) -> set[str]:
    words = {word for _, text in item.tags for word in re.findall(r"\w+", braces(text)[0])}
    return words.union(*map(_types, item.members))


def _exported(source: str, name: str) -> Documented | None:
    match = re.search(rf"^export (?:async )?(class|function|const) {name}\b[^\n]*", source, re.MULTILINE)
    if match is None:
        return None
    above = re.search(r"/\*\*((?:(?!\*/).)*)\*/\n\Z", source[: match.start()], re.DOTALL)
    text, tags = _comment(above[1]) if above else ("", ())
    if match[1] != "class":
        found = re.match(r"export (?:async )?function (\w+\(.*?\)) \{", source[match.start() :], re.DOTALL)
        return Documented(_one_line(found[1]) if found else name, text, tags)
    end = source.find("\n}\n", match.start())
    members = tuple(_members(source[match.end() : end]))
    shown = (item for item in members if name in _MADE or not item.signature.startswith("constructor"))
    return Documented(f"class {name}", text, tags, tuple(shown))


def _members(body: str) -> Iterator[Documented]:
    for indent, comment, line in _COMMENT.findall(body):
        if indent != "    " or line.startswith(("#", "get #", "async #", "async *#", "this.")):
            continue
        found = re.match(r"(?:(static|async|get)\s+)*\*?\s*(\[?[\w.]+\]?)\s*(\(|=|;)", line)
        if found is None or found[2] in _INTERNAL:
            continue
        text, tags = _comment(comment)
        if not text and not tags:
            continue
        call = body[body.index(line) :] if found[3] == "(" and "get " not in line else ""
        arguments = re.match(r"[^(]*(\(.*?\)) \{", call, re.DOTALL)
        prefix = "static " if line.startswith("static") else ""
        signature = prefix + found[2] + (_one_line(arguments[1]) if arguments else "")
        yield Documented(signature, text, tags)
    for comment, name in _ATTRIBUTE.findall(body):
        text, tags = _comment(comment)
        if text:
            yield Documented(name, text, tags)


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("( ", "(").replace(" )", ")")


def _comment(raw: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """A comment's text, and its tags with what stands behind them."""
    text = re.sub(r"^\s*\* ?", "", raw.strip(), flags=re.MULTILINE)
    text = re.sub(r"\s(@(?:returns|type|param) )", r"\n\1", text)
    parts = _TAG.split(text)
    tags = tuple((parts[at], " ".join(parts[at + 1].split())) for at in range(1, len(parts), 2))
    return " ".join(parts[0].split()), tuple(tag for tag in tags if tag[0] in ("param", "returns"))


def _entry(name: str, item: Documented) -> Iterator[str]:
    yield f"## `{name}`"
    yield ""
    if item.signature not in (name, f"class {name}"):
        yield from (f"```js\n{item.signature}\n```", "")
    yield from _told(item)
    for member in item.members:
        plain = re.sub(r"\(.*", "()", member.signature.replace("constructor", f"new {name}"))
        anchor = re.sub(r"[^a-z]+", "-", f"{name} {plain}".lower()).strip("-")
        yield f"### `{plain.replace('static ', f'{name}.')}` {{ #{anchor} }}"
        yield ""
        yield from (f"```js\n{member.signature.replace('constructor', f'new {name}')}\n```", "")
        yield from _told(member)


def _told(item: Documented) -> Iterator[str]:
    if item.text:
        yield from (item.text, "")
    rows = [_row(kind, text) for kind, text in item.tags]
    if rows:
        yield from ("| argument | type | meaning |", "|---|---|---|", *rows, "")


def _row(kind: str, text: str) -> str:
    found, rest = braces(text)
    name, _, words = rest.partition(" ") if kind == "param" else ("returns", "", rest)
    shown = re.sub(r'import\("[^"]+"\)\.', "", found)  # the bars in it are code, and part no cells
    label = f"`{name.strip('[]')}`" + (" (optional)" if name.startswith("[") else "") if kind == "param" else "returns"
    return f"| {label} | `{shown}` | {words.replace('|', chr(92) + '|')} |"
