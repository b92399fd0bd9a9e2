# SPDX-License-Identifier: Apache-2.0
"""The registries as a module of the JavaScript implementation, which explains packets by it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Final

from tools.registry import Field, Registry
from tools.tables import prose

MODULE: Final = "reference/javascript/callchannel/registry.js"
"""Where it lies."""


def module(registry: Registry) -> str:
    """The layout of frames as a JavaScript module, for what explains packets."""
    data = {
        "start": _fields(registry.start),
        "frames": {
            frame.type: {
                "name": frame.name,
                "meaning": frame.meaning,
                "value": frame.value,
                "flags": [asdict(flag) for flag in frame.flags],
                "fields": _fields(frame.fields),
            }
            for frame in registry.frames
        },
        "blocks": {block.name: {"size": block.size, "fields": _fields(block.fields)} for block in registry.blocks},
        "ops": {value: name for name, value in registry.roster_ops.items()},
        "errors": {error.code: {"name": error.name, "meaning": error.meaning} for error in registry.errors},
        "extensions": {item.type: item.name for item in registry.extensions},
    }
    return (
        "// SPDX-License-Identifier: Apache-2.0\n// Made from spec/registry by `python -m tools.spec_render`.\n"
        '/** Layout and names of the wire, from the registries. @type {import("./explain.js").Layout} */\n'
        f"export const registry = {json.dumps(data, indent=1)};\n"
    )


def _fields(fields: Iterable[Field]) -> list[dict[str, Any]]:
    return [
        {
            "name": field.name,
            "type": field.type,
            "bits": field.bits,
            "when": field.when,
            "block": field.block,
            "repeat": field.repeat,
            "meaning": prose(field.meaning),
        }
        for field in fields
    ]
