# SPDX-License-Identifier: Apache-2.0
"""What the demonstration shows: how far it is, and in the end who received what."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from callchannel.cli.output import Output, table
from callchannel.demo.ledger import Row
from callchannel.escaping import quoted, visible

_PLURAL: Final = {"text": "texts", "image": "images", "file": "files", "block": "blocks"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LossyRow:
    """Lossy messages from one participant to another."""

    what: str
    sender: str
    recipient: str
    sent: int
    received: int
    size: int
    damaged: int
    checksum: str
    """SHA-256 over the bytes that arrived, in their order."""
    latency: int | None
    """Microseconds: the median."""
    dropped: Mapping[str, int]
    """By the sender, by reason."""
    elsewhere: int
    """Neither received nor dropped by the sender: by the relay, or lost on the way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consequence:
    """What sending does when something is in its way."""

    cause: str
    reliable: str
    lossy: str


@dataclass(slots=True)
class Findings:
    """Everything that a demonstration has found out."""

    rows: list[Row] = field(default_factory=list)
    lossy: list[LossyRow] = field(default_factory=list)
    relay_drops: dict[str, int] = field(default_factory=dict)
    consequences: list[Consequence] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


class View:
    """Shows a demonstration."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self._began = time.monotonic()
        self._act = ""

    def act(self, title: str) -> None:
        """An act begins."""
        self._act = title
        self.output.event("act", title=title, seconds=round(self.seconds, 1))
        self.output.status(self._clock() + title)

    def told(self, text: str, **fields: Any) -> None:
        """An act, or part of one, is done."""
        self.output.event("told", text=text, act=self._act, seconds=round(self.seconds, 1), **fields)
        self.output.line(f"{self._clock()}{self.output.style(self._act, 'bold')}: {text}")
        self.output.status("")

    def progress(self, item: str, percent: Mapping[str, int]) -> None:
        """A file is on its way; how much of it has arrived where."""
        parts = "  ".join(f"{visible(name, 30)} {value} %" for name, value in percent.items())
        self.output.status(f"{self._clock()}{self._act}: {visible(item, 40)}: {parts}")
        self.output.event("progress", item=item, percent=dict(percent))

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._began

    def _clock(self) -> str:
        return f"{self.seconds:5.1f} s  "

    # --- the end --------------------------------------------------------------------------------------------------

    def conclude(self, findings: Findings) -> None:
        """Show everything that was found."""
        output = self.output
        output.status("")
        for row in findings.rows:
            output.event("received", **dataclasses.asdict(row))
        for lossy in findings.lossy:
            output.event("lossy", **dataclasses.asdict(lossy))
        output.event("relay_drops", **findings.relay_drops)
        for consequence in findings.consequences:
            output.event("consequence", **dataclasses.asdict(consequence))
        self._show_reliable(findings.rows)
        self._show_lossy(findings)
        self._show_consequences(findings.consequences)
        for note in findings.notes:
            output.event("note", text=note)
            output.line(note)
        for fault in findings.faults:
            output.event("fault", text=fault)
            output.line(output.style(f"FAULT: {fault}", "red"))
        output.event("result", ok=not findings.faults, faults=len(findings.faults), seconds=round(self.seconds, 1))
        output.line()
        if findings.faults:
            count = len(findings.faults)
            output.line(output.style(f"{count} check{'s' if count > 1 else ''} failed, in {self.seconds:.1f} s", "red"))
        else:
            output.line(output.style(f"Everything is as it should be, in {self.seconds:.1f} s", "green"))

    def _show_reliable(self, rows: Sequence[Row]) -> None:
        self._heading("Who received what, as the receiving processes measured it")
        cells = [
            (
                row.group,
                quoted(row.sender),
                quoted(row.recipient),
                row.kind if row.expected == 1 else _PLURAL[row.kind],
                f"{row.count} of {row.expected}",
                f"{row.size:,}",
                row.checksum,
                _time(row.latency),
                "ok" if row.ok else "WRONG",
            )
            for row in rows
        ]
        self._table(("", "from", "to", "what", "received", "bytes", "sha256", "latency", ""), cells, (4, 5, 7))

    def _show_lossy(self, findings: Findings) -> None:
        self._heading("Lossy: fresh, or not there")
        cells = [
            (
                row.what,
                quoted(row.sender),
                quoted(row.recipient),
                f"{row.received:,} of {row.sent:,}",
                f"{row.size:,}",
                row.checksum,
                _time(row.latency),
                counters(row.dropped) or "-",
                f"{row.elsewhere:,}",
            )
            for row in findings.lossy
        ]
        head = ("what", "from", "to", "received", "bytes", "sha256", "latency", "dropped by the sender", "elsewhere")
        self._table(head, cells, (3, 4, 6, 8))
        if findings.relay_drops:
            self.output.line(f"The relay has dropped, by reason: {counters(findings.relay_drops)}")

    def _show_consequences(self, consequences: Sequence[Consequence]) -> None:
        self._heading("What sending does")
        self._table(
            ("cause", "Reliable", "Lossy"), [(item.cause, item.reliable, item.lossy) for item in consequences], ()
        )

    def _heading(self, text: str) -> None:
        self.output.line()
        self.output.line(self.output.style(text, "bold"))

    def _table(self, head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int]) -> None:
        for line in table(head, rows, right):
            self.output.line("  " + line)


def counters(drops: Mapping[str, int]) -> str:
    """Counters by reason as text."""
    return ", ".join(f"{visible(reason)} {count:,}" for reason, count in sorted(drops.items()))


def _time(microseconds: int | None) -> str:
    if microseconds is None:
        return "-"
    if microseconds >= 1_000_000:
        return f"{microseconds / 1e6:.2f} s"
    return f"{microseconds / 1e3:.1f} ms"
