# SPDX-License-Identifier: Apache-2.0
"""The standard as data that the suite ships: requirements, state tables, error codes, limits, vectors.

Everything is read once, from the package alone. `requirement("CC-LINK-019")` gives a requirement's text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

_PACKAGE: Final = Path(__file__).resolve().parent
_DATA: Final = _PACKAGE / "data"
# In a checkout the vectors and schemas stand beside the package; an installed package holds copies of them.
_VECTORS: Final = (_DATA / "vectors", _PACKAGE.parent.parent / "spec" / "vectors")
_SCHEMAS: Final = (_DATA / "schemas", _PACKAGE.parent / "schemas")


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """A rule of the standard."""

    id: str
    chapter: str
    section: str
    keyword: str
    """MUST, MUST NOT, SHOULD, SHOULD NOT or MAY."""
    text: str
    hash: str
    """Of its text; another hash means that its checks are stale."""

    @property
    def area(self) -> str:
        """The area, such as `LINK`."""
        return self.id.split("-")[1]

    @property
    def is_must(self) -> bool:
        """Whether breaking it makes an implementation nonconformant."""
        return self.keyword.startswith("MUST")


def _load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((_DATA / f"{name}.json").read_text("utf-8"))
    return loaded


@cache
def requirements() -> dict[str, Requirement]:
    """All requirements by ID, in the order of the text."""
    return {
        name: Requirement(
            id=name,
            chapter=item["chapter"],
            section=item["section"],
            keyword=item["keyword"],
            text=item["text"],
            hash=item["hash"],
        )
        for name, item in _load("requirements")["requirements"].items()
    }


def requirement(name: str) -> Requirement:
    """A requirement by its ID. Raises `KeyError`."""
    return requirements()[name]


@cache
def document_version() -> str:
    """Version of the standard that the suite was made from."""
    return str(_load("requirements")["document_version"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of a state table."""

    id: str
    event: str
    cells: dict[str, tuple[tuple[str, ...], str] | None]
    """By state: effects and next state, or None where the event can't happen."""


@cache
def state_rows() -> dict[str, Row]:
    """All rows of all state tables by their ID, such as `R05`."""
    return {
        row["id"]: Row(
            id=row["id"],
            event=row["event"],
            cells={
                state: None if cell is None else (tuple(cell["effects"]), cell["next"])
                for state, cell in row["cells"].items()
            },
        )
        for table in _load("states")["tables"]
        for row in table["rows"]
        if row["id"]
    }


@cache
def codes() -> dict[str, int]:
    """Error codes by name."""
    return {name: entry["code"] for name, entry in _load("registry")["errors"].items()}


@cache
def code_names() -> dict[int, str]:
    """Names of error codes by number."""
    return {number: name for name, number in codes().items()}


def code_name(number: int) -> str | int:
    """An error code as the adapter protocol writes it: its name, or its number where it has none."""
    return code_names().get(number, number)


@cache
def limits() -> dict[str, dict[str, Any]]:
    """Limits by name: min, default, max, unit, holder."""
    loaded: dict[str, dict[str, Any]] = _load("registry")["limits"]
    return loaded


def _folder(places: tuple[Path, ...]) -> Path:
    for place in places:
        if place.is_dir():
            return place
    raise FileNotFoundError(f"none of {', '.join(map(str, places))} is there")


@cache
def vectors() -> tuple[dict[str, Any], ...]:
    """All test vectors, in the order of their files."""
    found: list[dict[str, Any]] = []
    for path in sorted(_folder(_VECTORS).glob("*.json")):
        if path.name != "schema.json":
            found += json.loads(path.read_text("utf-8"))["vectors"]
    return tuple(found)


@cache
def schema(name: str) -> dict[str, Any]:
    """A JSON Schema of the adapter protocol: `request` or `reply`."""
    loaded: dict[str, Any] = json.loads((_folder(_SCHEMAS) / f"{name}.schema.json").read_text("utf-8"))
    return loaded
