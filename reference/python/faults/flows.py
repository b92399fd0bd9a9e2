# SPDX-License-Identifier: Apache-2.0
"""Numbered messages: what the receiving processes count of them, and whether that is what it has to be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from callchannel.demo.payloads import text
from callchannel.escaping import quoted

TEXT: Final = "text/plain;charset=utf-8"

_NUMBER: Final = re.compile(r", text ([0-9]+): ")


@dataclass(slots=True)
class Flow:
    """What has come of one sender's numbered texts, which begin with 1."""

    name: str
    count: int = 0
    newest: int = 0
    duplicates: int = 0
    gaps: int = 0
    """How often numbers were left out."""
    disordered: int = 0
    damaged: int = 0
    seen: set[int] = field(default_factory=set)

    def take(self, data: bytes) -> None:
        """Count a text."""
        self.count += 1
        found = _NUMBER.search(data.decode(errors="replace"))
        number = int(found[1]) if found else 0
        if data != text(self.name, number).encode():
            self.damaged += 1
            return
        if number in self.seen:
            self.duplicates += 1
        elif number < self.newest:
            self.disordered += 1
        elif number > self.newest + 1:
            self.gaps += 1
        self.seen.add(number)
        self.newest = max(self.newest, number)

    def fields(self) -> dict[str, int]:
        """As a report's fields."""
        return {
            "count": self.count,
            "newest": self.newest,
            "duplicates": self.duplicates,
            "gaps": self.gaps,
            "disordered": self.disordered,
            "damaged": self.damaged,
        }


def flow_faults(by: str, name: str, sent: int, flow: Mapping[str, int]) -> Iterator[str]:
    """What is wrong with a flow of `sent` texts, as `by` has counted it."""
    for what in ("duplicates", "gaps", "disordered", "damaged"):
        if flow[what]:
            yield f"{quoted(by)} counted {flow[what]:,} {what} among the texts {quoted(name)}"
    if flow["count"] != sent or flow["newest"] != sent:
        yield f"{quoted(by)} received {flow['count']:,} of {sent:,} texts {quoted(name)}, the newest {flow['newest']:,}"


def tick_faults(by: str, name: str, sent: int, ticks: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with `sent` Lossy ticks: they may be lost, and nothing else."""
    if not 0 < ticks["count"] <= sent:
        yield f"{quoted(by)} received {ticks['count']:,} of {sent:,} ticks {quoted(name)}"
    for what in ("damaged", "duplicates"):
        if ticks[what]:
            yield f"{quoted(by)} counted {ticks[what]:,} {what} among the ticks {quoted(name)}"


def verdict_faults(name: str, sent: int, verdicts: Mapping[str, int]) -> Iterator[str]:
    """What is wrong with the verdicts of `sent` texts, all of which have to be confirmed, each once."""
    if dict(verdicts) != ({"confirmed": sent} if sent else {}):
        told = ", ".join(f"{verdict} {count:,}" for verdict, count in sorted(verdicts.items())) or "nothing"
        yield f"the sender of {sent:,} texts {quoted(name)} was told: {told}"
