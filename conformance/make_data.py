# SPDX-License-Identifier: Apache-2.0
"""Write what the suite ships of the standard's text: `python conformance/make_data.py [--check]`.

The suite must not need the standard's sources or tools at run time, so that it can be installed by itself.
Requirements, state tables and the registry are generated into `callchannel_conformance/data/` as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
DATA = HERE / "callchannel_conformance" / "data"
if str(HERE.parent) not in sys.path:
    sys.path.insert(0, str(HERE.parent))

from tools.spec import Spec, load_spec  # noqa: E402


def requirements(spec: Spec) -> dict[str, Any]:
    """Requirements by ID, with text and hash."""
    return {
        "document_version": spec.version,
        "requirements": {
            item.id: {
                "chapter": item.chapter,
                "section": item.section,
                "keyword": item.keyword,
                "text": item.text,
                "hash": item.hash,
            }
            for item in spec.requirements.values()
        },
    }


def states(spec: Spec) -> dict[str, Any]:
    """State tables: rows by ID, with effects and next state for each state."""
    tables: list[dict[str, Any]] = []
    for table in spec.state_tables:
        rows = [
            {
                "id": row.id,
                "event": row.event,
                "cells": {
                    state: None if cell.next_state is None else {"effects": cell.effects, "next": cell.next_state}
                    for state, cell in row.cells.items()
                },
            }
            for row in table.rows
        ]
        tables.append({"chapter": table.chapter, "section": table.section, "states": table.states, "rows": rows})
    return {"tables": tables}


def registry(spec: Spec) -> dict[str, Any]:
    """Error codes and limits."""
    folder = spec.root / "spec" / "registry"
    errors = tomllib.loads((folder / "errors.toml").read_text("utf-8"))["error"]
    limits = tomllib.loads((folder / "limits.toml").read_text("utf-8"))["limit"]
    return {
        "errors": {entry["name"]: {"code": entry["code"], "scope": entry["scope"]} for entry in errors},
        "limits": {
            entry["name"]: {key: entry[key] for key in ("min", "default", "max", "unit", "holder")} for entry in limits
        },
    }


def files(spec: Spec) -> dict[Path, str]:
    """What belongs into the package, by path."""
    content = {"requirements": requirements(spec), "states": states(spec), "registry": registry(spec)}
    return {
        DATA / f"{name}.json": json.dumps({"SPDX-License-Identifier": "CC-BY-4.0", **value}, indent=1) + "\n"
        for name, value in content.items()
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program. Returns its exit status: 0, or 1 with `--check` when a file is out of date."""
    parser = argparse.ArgumentParser(prog="make_data.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is out of date")
    options = parser.parse_args(arguments)
    expected = files(load_spec())
    old = [path for path, text in expected.items() if not path.exists() or path.read_text("utf-8") != text]
    if options.check:
        for path in old:
            print(f"{path.name}: out of date, run python conformance/make_data.py", file=sys.stderr)
        return 1 if old else 0
    DATA.mkdir(parents=True, exist_ok=True)
    for path in old:
        path.write_text(expected[path], "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
