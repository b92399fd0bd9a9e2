# SPDX-License-Identifier: Apache-2.0
"""Writing to a terminal, a file, or a machine.

Colours and the live line are for terminals alone; `NO_COLOR` in the environment turns colours off. With `json`, every
event is one line of ASCII.
"""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final, TextIO

_STYLES: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}


class Output:
    """One stream. `plain`: no live line and no colours, even on a terminal. `json`: nothing but JSON Lines."""

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        json: bool = False,
        plain: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.stream: TextIO = sys.stdout if stream is None else stream
        env = os.environ if env is None else env
        self.json = json
        self.is_live = not json and not plain and self.stream.isatty() and env.get("TERM") != "dumb"
        """Whether there is a live line."""
        self.has_colour = self.is_live and not env.get("NO_COLOR")
        self._status = ""

    def line(self, text: str = "") -> None:
        """Write a line for people. Escape what peers supply before."""
        if not self.json:
            self._write(text + "\n")

    def event(self, event: str, /, **fields: Any) -> None:
        """Write an event for machines."""
        if self.json:
            self._write(to_json({"event": event, **fields}) + "\n")

    def status(self, text: str) -> None:
        """Show `text` in the live line, in place of the last one. Empty: no live line. Without a terminal: nothing."""
        if not self.is_live or text == self._status:
            return
        columns = shutil.get_terminal_size().columns
        self._status = text
        self.stream.write("\r\x1b[2K" + fit(text, max(columns - 1, 1)))
        self.stream.flush()

    def style(self, text: str, *styles: str) -> str:
        """`text` in colours, where there are any."""
        if not self.has_colour:
            return text
        return f"\x1b[{';'.join(_STYLES[style] for style in styles)}m{text}\x1b[0m"

    def _write(self, text: str) -> None:
        status, self._status = self._status, ""
        if status:
            text = "\r\x1b[2K" + text
        self.stream.write(text)
        self.stream.flush()
        if status:
            self.status(status)


def survive_any_text(*streams: TextIO) -> None:
    """Let no text that a peer sends raise because the locale's encoding can't hold it."""
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def to_json(value: Any) -> str:
    """One line of ASCII. Bytes become base64; lone surrogates stay escapes."""
    return json.dumps(value, ensure_ascii=True, default=_json_value)


def _json_value(value: object) -> str:
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    return str(value)


def width(text: str) -> int:
    """The columns that `text` takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.category(char) in ("Mn", "Me", "Cf") else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )


def fit(text: str, columns: int) -> str:
    """`text`, cut to fit into `columns`."""
    if width(text) <= columns:
        return text
    while width(text) > columns - 1:
        text = text[:-1]
    return text + "…"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Lines of an aligned table: a head, a rule, the rows. Columns numbered in `right` are aligned at the right."""
    widths = [max(width(row[at]) for row in (head, *rows)) for at in range(len(head))]

    def show(row: Sequence[str]) -> str:
        cells = []
        for at, cell in enumerate(row):
            space = " " * (widths[at] - width(cell))
            cells.append(space + cell if at in right else cell + space)
        return "  ".join(cells).rstrip()

    return [show(head), "  ".join("-" * size for size in widths), *(show(row) for row in rows)]
