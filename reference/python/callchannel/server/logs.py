# SPDX-License-Identifier: Apache-2.0
"""Logs in one line for each event: plain text for people, JSON for machines.

What peers send can't forge a line (CC-SEC-016), and identifiers are left out unless the application says so
(CC-SEC-023).
"""

from __future__ import annotations

import json
import logging
import time
from typing import Any, Final, TextIO

from callchannel.escaping import quoted, visible

LOGGER: Final = "callchannel"
"""The logger whose children write here."""


def note(logger: logging.Logger, level: int, event: str, /, **fields: object) -> None:
    """Log `event`, a constant text, with named values. Tokens, keys and session descriptions are none of them."""
    if logger.isEnabledFor(level):
        logger.log(level, event, extra={"callchannel": fields})


class _LineFormatter(logging.Formatter):
    def __init__(self, identities: bool = False) -> None:
        super().__init__()
        self._identities = identities

    def fields(self, record: logging.LogRecord) -> dict[str, object]:
        """The named values of a record, without those that are not to be written."""
        fields: dict[str, object] = getattr(record, "callchannel", {})
        return {name: value for name, value in fields.items() if name != "identity" or self._identities}


class PlainFormatter(_LineFormatter):
    """`2026-01-31T12:00:00.000Z INFO callchannel.server: offer taken call="standup"`."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one record as one line."""
        fields = "".join(f" {name}={_plain(value)}" for name, value in self.fields(record).items())
        line = f"{_time(record)} {record.levelname} {record.name}: {record.getMessage()}"
        if record.exc_info:
            line += " | " + self.formatException(record.exc_info).replace("\n", " | ")
        return visible(line) + fields


class JsonFormatter(_LineFormatter):
    """One JSON object in each line, in ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one record as one line."""
        entry: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in self.fields(record).items():
            entry.setdefault(name, value if isinstance(value, (int, float, bool, type(None))) else str(value))
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=True)


def configure_logging(
    style: str, level: str, stream: TextIO | None = None, *, identities: bool = False
) -> logging.Handler:
    """Write the logs of callchannel to `stream`, or to standard error; returns the handler.

    `style` is "plain" or "json"; `identities`: whether participants are named. Only the logger `callchannel` is
    changed; the application's own stay as they are.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter(identities) if style == "json" else PlainFormatter(identities))
    logger = logging.getLogger(LOGGER)
    for old in [old for old in logger.handlers if isinstance(old.formatter, (PlainFormatter, JsonFormatter))]:
        logger.removeHandler(old)
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    logger.propagate = False
    return handler


def _time(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"


def _plain(value: object) -> str:
    if isinstance(value, str):
        return quoted(value)
    return visible(str(value))
