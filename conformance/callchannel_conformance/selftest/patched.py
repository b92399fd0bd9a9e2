# SPDX-License-Identifier: Apache-2.0
"""Seeded defects as patches of shipped code, made from the standard and the code alone.

A patch is text: this package imports nothing of what it patches. `plant` makes a copy of a package's folder in which
only the changed files are real, the others are links; put in front of PYTHONPATH, an adapter runs with the defect. A
patch whose old text does not stand exactly once in its module, or whose result does not compile, raises `PatchError`:
it has to be mended with the code, else it would prove nothing.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PATCHES = Path(__file__).parent / "patches"
"""One file for each area."""

_CACHE = "__pycache__"


class PatchError(ValueError):
    """A patch that does not apply, or is not well formed."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of a module."""

    module: str
    """Path of the module in its package, such as `core/link.py`."""
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Patch:
    """One seeded defect."""

    name: str
    area: str
    """The file that it comes from, without suffix."""
    requirement: str
    """What it violates."""
    says: str
    """What goes wrong, in one sentence."""
    witness: str
    """What shows it."""
    edits: tuple[Edit, ...]


def load(folder: Path = PATCHES) -> list[Patch]:
    """All patches, in the order of files and of what stands in them. Raises `PatchError`."""
    found: dict[str, Patch] = {}
    for path in sorted(folder.glob("*.toml")):
        for row in tomllib.loads(path.read_text(encoding="utf-8"))["patch"]:
            try:
                rows = [row, *row.get("also", ())]
                edits = tuple(Edit(item.get("module", row["module"]), item["old"], item["new"]) for item in rows)
                patch = Patch(row["name"], path.stem, row["requirement"], row["says"], row["witness"], edits)
            except KeyError as error:
                raise PatchError(f"{path.name}: a patch lacks {error}: {row}") from None
            if patch.name in found:
                raise PatchError(f"{path.name}: patch {patch.name} stands twice; give one of them another name")
            found[patch.name] = patch
    return list(found.values())


def changed(patch: Patch, package: Path) -> dict[str, str]:
    """The text of each module that a patch changes in a package's folder. Raises `PatchError`."""
    texts: dict[str, str] = {}
    for edit in patch.edits:
        path = package / edit.module
        if not path.is_file():
            raise PatchError(
                f"{patch.name}: there is no {edit.module} in {package}; name the module that has the code now"
            )
        text = texts.get(edit.module) or path.read_text(encoding="utf-8")
        count = text.count(edit.old)
        if count != 1:
            raise PatchError(
                f"{patch.name}: the old text stands {count} times in {edit.module}, "
                f"it has to stand there once: {edit.old!r}"
            )
        texts[edit.module] = text.replace(edit.old, edit.new)
    for module, text in texts.items():
        try:
            compile(text, module, "exec")
        except SyntaxError as error:
            raise PatchError(f"{patch.name}: {module} does not compile any more: {error}") from error
    return texts


def plant(patch: Patch, package: Path, root: Path) -> Path:
    """Make the package with a patch below `root`, an empty folder; returns what goes in front of PYTHONPATH.

    Raises `PatchError`, and has written nothing then.
    """
    return plant_texts(package, root, changed(patch, package))


def plant_texts(package: Path, root: Path, texts: Mapping[str, str]) -> Path:
    """Make the package with other texts of some modules below `root`, as `plant` does."""
    _link(package, root / package.name, {Path(module): text for module, text in texts.items()})
    return root


def _link(source: Path, target: Path, texts: dict[Path, str]) -> None:
    target.mkdir(parents=True)
    inside: dict[str, dict[Path, str]] = {}
    for module, text in texts.items():
        inside.setdefault(module.parts[0], {})[Path(*module.parts[1:])] = text
    for item in source.iterdir():
        if item.name == _CACHE:
            continue  # compiled files of a changed folder are its own
        if item.name not in inside:
            (target / item.name).symlink_to(item.resolve())
        elif item.is_dir():
            _link(item, target / item.name, inside[item.name])
        else:
            (target / item.name).write_text(inside[item.name][Path()], encoding="utf-8")
