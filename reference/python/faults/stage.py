# SPDX-License-Identifier: Apache-2.0
"""A call of real processes to which things happen, and what comes of a scenario."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from callchannel.cli.output import Output
from callchannel.demo.ledger import Item
from callchannel.demo.relay import KEY_VARIABLE
from callchannel.demo.scenario import Programs, Scenario
from callchannel.demo.stage import Stage, StageFailed
from callchannel.demo.summary import View
from callchannel.demo.talking import Report
from callchannel.escaping import quoted
from callchannel.signalling.tokens import issue_token
from faults.flows import flow_faults, tick_faults, verdict_faults
from faults.network import Gates, Network
from faults.participant import MODES
from faults.relay import SETTINGS

CALL: Final = "faults"

PATIENCE: Final = 120.0
"""Seconds after which something that has to happen counts as not happening. Only a hang takes as long."""

TOKEN_LIFETIME: Final = 7_200.0

LOOSE: Final = frozenset({"told", "event", "left", "incomplete", "receiver_failed", "lost"})
"""Reports that are faults where nothing is to be told, and evidence elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How long a run is to be."""

    cuts: int = 52
    quick: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the table: what was measured, and what it has to be."""

    what: str
    measured: str
    bound: str = ""
    ok: bool = True


@dataclass(slots=True, kw_only=True)
class Result:
    """What came of a scenario. It is good if `faults` is empty."""

    scenario: str
    rows: list[Row] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    not_run: list[str] = field(default_factory=list)
    """What this machine does not allow, and why."""
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def row(self, what: str, measured: str, bound: str = "", ok: bool = True) -> None:
        """Add a line. One that is not ok is a fault."""
        self.rows.append(Row(what=what, measured=measured, bound=bound, ok=ok))
        if not ok:
            self.faults.append(f"{what}: {measured}, it has to be {bound}")


class Faults(Stage):
    """Starts the relay and endpoints over a network of gates, and notes all that they report."""

    def __init__(self, names: Sequence[str], gates: Mapping[str, Gates], view: View, folder: Path) -> None:
        programs = Programs(participant=(sys.executable, "-m", "faults.participant"))
        super().__init__(Scenario(patience=PATIENCE, assembly=PATIENCE), programs, view, folder)
        self.names = tuple(names)
        self.network = Network(gates)
        self.key = secrets.token_urlsafe(32)
        self.prefixes: dict[str, tuple[str, ...]] = {}
        """What a process is started by, such as `ip netns exec`."""
        self.settings: dict[str, Any] = {}
        """The relay's."""
        self.limits: dict[str, int] = {}
        """The endpoints'."""
        self.allowed: frozenset[str] = frozenset()
        """Reports of `LOOSE` that are no faults."""
        self.notes: list[tuple[str, Report, float]] = []
        """Reports of `LOOSE`, suspended and resumed: of whom, and when (seconds)."""
        self.at: dict[tuple[str, str], int] = {}
        """Bytes of a file that have come, by file and endpoint."""
        self._dying: set[str] = set()

    # --- processes ------------------------------------------------------------------------------------------------

    async def start_relay(self) -> None:
        """Start the relay's process, and lead the network to it."""
        listening = self.hear("relay", "listening")
        command = (*self.prefixes.get("relay", ()), sys.executable, "-m", "faults.relay")
        environment = {KEY_VARIABLE: self.key, SETTINGS: json.dumps(self.settings)}
        self._dying.discard("relay")
        await self.start("relay", command, **environment)
        self.network.relay = (await self.patiently(listening))["url"]

    async def assemble(self) -> None:
        """Start everything; all endpoints join and know each other."""
        await self.network.start()
        await self.start_relay()
        for name in self.names:
            await self.start(name, (*self.prefixes.get(name, ()), *self.programs.participant))
        await self.join(*self.names)

    async def join(self, *names: str) -> None:
        """Have endpoints join, and wait until each of them knows all of them."""
        await self.together(*(self._join(name) for name in names))
        if self.faults:
            raise StageFailed("not everybody could join")
        await self.together(*(self.do(name, "wait", **{"for": list(names)}) for name in names))

    async def _join(self, name: str) -> None:
        await self.do(
            name,
            "join",
            url=self.network.url(name),
            call=CALL,
            token=issue_token(self.key.encode(), name, CALL, lifetime=TOKEN_LIFETIME),
            allow_plain=self.network.is_plain(name),
            limits=self.limits,
        )

    async def figures(self) -> Report:
        """What the relay counts now."""
        future = self.hear("relay", "figures")
        self.tell("relay", "figures")
        return await self.patiently(future)

    def pid(self, name: str) -> int:
        """A process's number."""
        return self._children[name].pid

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process; SIGKILL is expected to end it."""
        if number == signal.SIGKILL:
            self._dying.add(name)
        self._children[name].signal(number)

    # --- reports --------------------------------------------------------------------------------------------------

    def _on_report(self, name: str, report: Report) -> None:
        kind = report["report"]
        if self._ending:
            return
        if kind in LOOSE or kind in ("suspended", "resumed", "ended", "sending", "other"):
            self.notes.append((name, report, time.monotonic()))
        if kind in ("progress", "received"):
            self.at[report["id"], name] = report["bytes"]
        if (kind in LOOSE and kind in self.allowed) or kind == "sending" or (kind == "ended" and name in self._dying):
            self._heard = time.monotonic()
            self._changed.set()
        elif kind in ("told", "event", "left"):
            what = " ".join(str(report.get(key) or "") for key in ("event", "of", "who", "code"))
            self.fault(f"{quoted(name)} was told: {what.strip()}")
            self._changed.set()
        else:
            super()._on_report(name, report)

    def noted(self, name: str, kind: str, **fields: Any) -> list[tuple[Report, float]]:
        """What a process has reported, and when, of this kind and with these fields."""
        return [
            (report, at)
            for who, report, at in self.notes
            if who == name and report["report"] == kind and all(report.get(key) == fields[key] for key in fields)
        ]

    def link_events(self, name: str) -> list[str]:
        """What an application was told of its own link, in order."""
        return [
            f"{report['event']} {report['code']}" if report["report"] == "event" else report["report"]
            for who, report, _ in self.notes
            if who == name and report["report"] in ("suspended", "resumed", "event")
        ]

    async def until(self, condition: Callable[[], Any], what: str) -> None:
        """Wait until `condition` holds. Raises `StageFailed` when it does not within `PATIENCE`, or a process ends."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise StageFailed(f"{what}: this did not happen within {PATIENCE:g} s") from None

    async def until_figures(self, condition: Callable[[Report], bool], what: str) -> Report:
        """Ask the relay for its figures until they are as wanted. Raises `StageFailed` as `until` does."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not condition(figures := await self.figures()):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise StageFailed(f"{what}: this did not happen within {PATIENCE:g} s, there is {figures}") from None
        return figures

    # --- files and flows ------------------------------------------------------------------------------------------

    def make_file(self, sender: str, recipients: Sequence[str], size: int, label: str = "file") -> Item:
        """Make a file to send, and expect it."""
        name = f"{sender}.{label}.bin"
        digest = hashlib.sha256()
        with open(self.folder / name, "wb") as file:
            for start in range(0, size, 1 << 20):
                piece = os.urandom(min(1 << 20, size - start))
                digest.update(piece)
                file.write(piece)
        item = Item(
            id=name,
            kind="file",
            sender=sender,
            recipients=tuple(recipients),
            size=size,
            sha256=digest.hexdigest(),
            private=True,
            group="",
        )
        self.ledger.expect(item)
        return item

    async def send_file(self, item: Item) -> Report:
        """Send a file; returns the sender's report."""
        return await self.do(
            item.sender, "file", id=item.id, path=str(self.folder / item.id), to=list(item.recipients), exclude=[]
        )

    def start_flows(self, interval: float) -> list[asyncio.Task[Report]]:
        """Have every endpoint send numbered texts and ticks to all others."""
        return [asyncio.create_task(self.do(name, "flow", name=name, interval=interval)) for name in self.names]

    async def end_flows(self, flows: Sequence[asyncio.Task[Report]], result: Result) -> None:
        """End the flows and judge them: nothing lost, doubled or out of order, each text with one verdict."""
        for name in self.names:
            await self.do(name, "stop")
        sent = texts = ticks = arrived = 0
        patience = PATIENCE
        for name, task in zip(self.names, flows, strict=True):
            report = await task
            others = [other for other in self.names if other != name]
            for mode in MODES:
                flow = f"{name} {mode}"
                told = report["flows"][flow]
                sent += told["sent"]
                result.faults += verdict_faults(flow, told["sent"], told["verdicts"])
                for other in others:
                    counted = await self.do(other, "counted", name=flow, count=told["sent"], timeout=patience)
                    texts += counted["count"]
                    found = list(flow_faults(other, flow, told["sent"], counted))
                    result.faults += found
                    patience = 1.0 if found else patience  # one wait is enough to find out that something is missing
            flow = f"{name} ticks"
            for other in others:
                counted = await self.do(other, "ticked", name=flow)
                ticks += report["ticks"][flow]
                arrived += counted["count"]
                result.faults += tick_faults(other, flow, report["ticks"][flow], counted)
        expected = sent * (len(self.names) - 1)
        result.row(
            "numbered texts received, none twice, left out or out of order",
            f"{texts:,}",
            f"{expected:,}",
            texts == expected,
        )
        result.row("texts that have their verdict, confirmed", f"{sent:,}", f"{sent:,}")
        result.row(
            "Lossy ticks received of those sent", f"{arrived:,} of {ticks:,}", "fewer or equal", arrived <= ticks
        )


@contextlib.asynccontextmanager
async def staged(
    result: Result, output: Output, names: Sequence[str], gates: Mapping[str, Gates] | None = None
) -> AsyncIterator[Faults]:
    """A stage for a scenario. What goes wrong in the block, and what the ledger finds, goes into `result.faults`."""
    view = View(output)
    with tempfile.TemporaryDirectory(prefix="callchannel-faults-") as folder:
        stage = Faults(names, gates or {name: Gates() for name in names}, view, Path(folder))
        try:
            yield stage
        except* (StageFailed, TimeoutError) as errors:
            for error in errors.exceptions:
                stage.fault(str(error) or f"nothing was heard of a process for {PATIENCE:g} s")
        finally:
            await stage.end()
            await stage.network.close()
            result.faults += [fault for fault in (*stage.faults, *stage.ledger.faults()) if fault not in result.faults]
