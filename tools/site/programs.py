# SPDX-License-Identifier: Apache-2.0
"""What the programs say of themselves: the command line by its own help, the relay's settings by their own table."""

from __future__ import annotations

import os
from typing import Final

from callchannel.cli.main import COMMANDS, build_parser, load
from callchannel.server.settings import SETTINGS, Setting
from tools.registry import Registry

_WIDTH: Final = 100


def command_line() -> str:
    """The help of every command, as Markdown."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(_WIDTH)
    try:
        parts = ["## callchannel", "", "```text", build_parser().format_help().strip(), "```", ""]
        for name in COMMANDS:
            parts += [
                f"## callchannel {name}",
                "",
                "```text",
                load(name).build_parser().format_help().strip(),
                "```",
                "",
            ]
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
    return "\n".join(parts)


def settings(registry: Registry) -> str:
    """Tables of the relay's settings, a section each, as Markdown."""
    units = {limit.name: limit for limit in registry.limits}
    sections: dict[str, list[Setting]] = {}
    for key, setting in SETTINGS.items():
        sections.setdefault(key.partition(".")[0], []).append(setting)
    lines: list[str] = []
    for section, found in sections.items():
        lines += [
            f"### [{section}]",
            "",
            "| setting | default | environment variable | what it is |",
            "|---|---|---|---|",
        ]
        for setting in found:
            name = setting.key.partition(".")[2]
            purpose = setting.purpose
            if section == "limits" and name in units:
                limit = units[name]
                unit = {"per_second": "per second", "ms": "milliseconds"}.get(limit.unit, limit.unit)
                purpose = f"{unit}, {limit.min:,} to {limit.max:,}; {limit.why}"
            lines.append(f"| `{name}` | {_shown(setting.default)} | {_cell(purpose)} |")
        lines.append("")
    return "\n".join(lines)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return "`[" + ", ".join(f'"{item}"' for item in value) + "]`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
