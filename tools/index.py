# SPDX-License-Identifier: Apache-2.0
"""The committed index of requirements, `spec/requirements.json`: a changed or vanished rule can't pass unseen.

`{id: {"chapter": "03-frames", "keyword": "MUST", "hash": "..."}}`, in the order of the text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.faults import Fault
from tools.files import write_if_changed
from tools.spec import Spec

INDEX: Final = "spec/requirements.json"
_UPDATE: Final = "run `python -m tools.spec_check --update` and look at the tests that name it"

Index = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What differs between the index and the text, as IDs."""

    new: tuple[str, ...]
    edited: tuple[str, ...]
    keyword: tuple[str, ...]
    """Those of `edited` whose key word is another."""
    vanished: tuple[str, ...]
    """Without those that are listed as withdrawn."""

    def lines(self) -> Iterator[str]:
        """One line of text for each kind of change."""
        for label in ("new", "edited", "vanished"):
            if ids := getattr(self, label):
                yield f"{label}: {', '.join(ids)}"


def build(spec: Spec) -> dict[str, dict[str, str]]:
    """The index of the text as it is."""
    return {
        item.id: {"chapter": item.chapter, "keyword": item.keyword, "hash": item.hash}
        for item in spec.requirements.values()
    }


def read(root: Path) -> dict[str, dict[str, str]]:
    """The committed index; empty where there is none."""
    path = root / INDEX
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def write(spec: Spec) -> bool:
    """Bring the committed index up to date. Returns whether it changed."""
    return write_if_changed(spec.root / INDEX, json.dumps(build(spec), indent=1) + "\n")


def compare(old: Index, spec: Spec) -> Changes:
    """What has changed since the index was written."""
    now = build(spec)
    edited = [name for name in now if name in old and dict(old[name]) != now[name]]
    return Changes(
        new=tuple(name for name in now if name not in old),
        edited=tuple(edited),
        keyword=tuple(name for name in edited if old[name]["keyword"] != now[name]["keyword"]),
        vanished=tuple(name for name in old if name not in now and name not in spec.withdrawn),
    )


def check(old: Index, spec: Spec) -> list[Fault]:
    """Every difference between the index and the text, as a fault."""
    changes = compare(old, spec)
    return [
        *(_at(spec, name, f"{name} is not in {INDEX}", _UPDATE) for name in changes.new),
        *(_at(spec, name, f"edited requirement text of {name}", _UPDATE) for name in changes.edited),
        *forbidden(old, spec, draft=False, keywords=False),
    ]


def forbidden(old: Index, spec: Spec, *, draft: bool, keywords: bool = True) -> list[Fault]:
    """The changes that an update must not make, given whether the standard is still a `draft`."""
    if draft:
        return []
    changes = compare(old, spec)
    keep = "put it back, or list it as withdrawn in spec/registry/requirements.toml"
    faults = [Fault(INDEX, 1, f"{name} of {old[name]['chapter']} has vanished", keep) for name in changes.vanished]
    if keywords:
        todo = "withdraw it and give the new rule a new ID"
        faults += [_at(spec, name, f"the key word of {name} has changed", todo) for name in changes.keyword]
    return faults


def _at(spec: Spec, name: str, what: str, todo: str) -> Fault:
    item = spec.requirements[name]
    return Fault(spec.chapter(item.chapter).path, item.line, what, todo)
