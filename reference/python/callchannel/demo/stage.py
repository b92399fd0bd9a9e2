# SPDX-License-Identifier: Apache-2.0
"""The processes of a demonstration, and what they report."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from callchannel.demo.ledger import Arrival, Ledger
from callchannel.demo.scenario import Programs, Scenario
from callchannel.demo.summary import Findings, View
from callchannel.demo.talking import Child, Report
from callchannel.escaping import quoted, visible

GRACE: Final = 5.0
"""Seconds beyond a scenario's patience in which a process has to say something."""


class StageFailed(Exception):
    """The demonstration can't go on."""


class Stage:
    """Starts processes, tells them what to do, and notes what they report."""

    def __init__(self, scenario: Scenario, programs: Programs, view: View, folder: Path) -> None:
        self.scenario = scenario
        self.view = view
        self.folder = folder
        """For the files that are sent."""
        self.ledger = Ledger()
        self.faults: list[str] = []
        self.marks: list[tuple[str, str]] = []
        """Who reported that their connection was cut, suspended or resumed, in order."""
        self.programs = programs
        self.patience = scenario.assembly
        """Seconds that are waited for a sign of life; the scenario's patience, once all are there."""
        self.on_signal: Callable[[str, Report], None] = lambda name, report: None
        """Called with reports of session descriptions."""
        self._children: dict[str, Child] = {}
        self._waiting: dict[tuple[str, str], asyncio.Future[Report]] = {}
        self._numbers = itertools.count(1)
        self._heard = time.monotonic()
        self._changed = asyncio.Event()
        self._ending = False
        self._files: dict[str, dict[str, int]] = {}

    # --- processes ------------------------------------------------------------------------------------------------

    async def start(self, name: str, command: tuple[str, ...], **environment: str) -> None:
        """Start a process under this name."""
        added = {**self.programs.environment, **environment}
        self._children[name] = await Child.start(name, command, added, self._on_report)

    async def start_participants(self, names: tuple[str, ...]) -> None:
        """Start a process for each of these."""
        for name in names:
            await self.start(name, self.programs.participant)

    async def end(self) -> None:
        """End all processes: the participants first, then the relay."""
        self._ending = True
        children = dict(self._children)
        relay = children.pop("relay", None)
        await asyncio.gather(*(child.end() for child in children.values()))
        if relay is not None:
            await relay.end()

    # --- telling and waiting --------------------------------------------------------------------------------------

    def tell(self, name: str, command: str, /, **fields: Any) -> None:
        """Tell a process something that it does not answer."""
        self._children[name].do(command, **fields)

    async def do(self, name: str, command: str, /, **fields: Any) -> Report:
        """Tell a process to do something, and wait until it is done. What goes wrong is a fault."""
        report = await self.attempt(name, command, **fields)
        if report["error"] is not None:
            what = f"{quoted(name)}: {command} {quoted(str(report['id']))}"
            self.fault(f"{what} raised {report['error']} [{report['code']}]: {visible(report['text'], 200)}")
        return report

    async def attempt(self, name: str, command: str, /, **fields: Any) -> Report:
        """The same, but an exception is for the caller to judge."""
        number = str(fields.setdefault("id", f"{command}-{next(self._numbers)}"))
        future = self.hear(name, f"{command} {number}")
        self.tell(name, command, **{"timeout": self.patience, **fields})
        try:
            return await self.patiently(future)
        except TimeoutError:
            text = f"no word for {self.patience + GRACE:g} s"
            return {"id": number, "error": "TimeoutError", "code": "", "text": text, "named": []}

    def hear(self, name: str, key: str) -> asyncio.Future[Report]:
        """The next report of a process under this key."""
        return self._waiting.setdefault((name, key), asyncio.get_running_loop().create_future())

    async def patiently(self, future: asyncio.Future[Report]) -> Report:
        """Wait as long as anybody makes progress. Raises `TimeoutError`."""
        limit = self.patience + GRACE
        self._heard = time.monotonic()
        while not future.done():
            await asyncio.wait((future,), timeout=max(0.0, self._heard + limit - time.monotonic()) + 0.001)
            if time.monotonic() - self._heard >= limit and not future.done():
                raise TimeoutError
        return future.result()

    async def together(self, *works: Coroutine[Any, Any, Any]) -> list[Any]:
        """Do several things at once."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
        return [task.result() for task in tasks]

    async def settle(self, group: str) -> None:
        """Wait until everything of an act is reported, or nothing more comes."""
        while self.ledger.missing(group):
            self._changed.clear()
            try:
                async with asyncio.timeout(min(GRACE, self.scenario.patience)):
                    await self._changed.wait()
            except TimeoutError:
                return

    def fault(self, text: str) -> None:
        """Something is wrong. `text` has nothing in it that is not escaped."""
        if text not in self.faults:
            self.faults.append(text)

    # --- reports --------------------------------------------------------------------------------------------------

    def _on_report(self, name: str, report: Report) -> None:
        kind = report["report"]
        if kind not in ("ended", "suspended"):
            self._heard = time.monotonic()
        if kind == "done":
            self._answer(name, f"{report['did']} {report['id']}", report)
        elif kind == "received":
            self.ledger.arrived(
                Arrival(
                    id=report["id"],
                    by=name,
                    sender=report["sender"],
                    size=report["bytes"],
                    sha256=report["sha256"],
                    private=report["private"],
                    sent=report["sent"],
                    at=report["at"],
                )
            )
            self._progress(name, report["id"], 100)
        elif kind == "progress":
            self._progress(name, report["id"], report["bytes"] * 100 // max(1, report["total"] or 1))
        elif kind in ("cut", "suspended", "resumed"):
            self.marks.append((name, kind))
        elif kind in ("offer", "answer"):
            self.on_signal(name, report)
        elif kind == "ended":
            self._ended(name, report)
        elif kind in ("incomplete", "receiver_failed", "lost"):
            what = visible(str(report.get("id") or report.get("sender") or report.get("text") or ""), 120)
            self.fault(f"{quoted(name)}: {kind.replace('_', ' ')}: {what} {report.get('code', '')}".rstrip())
        else:
            self._answer(name, kind, report)
        self._changed.set()

    def _answer(self, name: str, key: str, report: Report) -> None:
        future = self._waiting.pop((name, key), None)
        if future is not None and not future.done():
            future.set_result(report)

    def _ended(self, name: str, report: Report) -> None:
        if self._ending:
            return
        told = " | ".join(visible(line, 200) for line in report["stderr"])
        self.fault(f"the process of {quoted(name)} ended with {report['exit']}{': ' + told if told else ''}")
        for (child, _), future in self._waiting.items():
            if child == name and not future.done():
                future.set_exception(StageFailed(f"the process of {quoted(name)} has ended"))
                future.exception()

    def _progress(self, name: str, item: str, percent: int) -> None:
        known = self.ledger.items.get(item)
        if known is None or known.kind != "file":
            return
        parts = self._files.setdefault(item, {})
        parts[name] = percent
        self.view.progress(item, parts)


async def perform(
    scenario: Scenario,
    programs: Programs,
    view: View,
    play: Callable[[Stage, Findings], Coroutine[Any, Any, None]],
) -> Findings:
    """Put `play` on a stage, end all processes, judge, and show what was found."""
    with tempfile.TemporaryDirectory(prefix="callchannel-demo-") as folder:
        stage = Stage(scenario, programs, view, Path(folder))
        findings = Findings(faults=stage.faults)
        try:
            await play(stage, findings)
        except* (StageFailed, TimeoutError) as errors:
            for error in errors.exceptions:
                stage.fault(str(error) or f"nothing was heard of a process for {stage.patience + GRACE:g} s")
        finally:
            await stage.end()
        findings.rows = stage.ledger.rows()
        for fault in stage.ledger.faults():
            stage.fault(fault)
        view.conclude(findings)
        return findings
