# SPDX-License-Identifier: Apache-2.0
"""Cuts in mid-transfer: packets stop in one direction, in the other, in both, or the connection is closed."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from dataclasses import dataclass
from typing import Final

from callchannel.aio.transport import DRAIN_TIME
from callchannel.cli.output import Output
from callchannel.core.limits import MS, SILENCE
from callchannel.demo.ledger import Item
from faults.network import BOTH, Direction
from faults.stage import Faults, Options, Result, staged

NAMES: Final = ("ann", "bob", "carol", "dan")
"""Ann sends a file to all others. All of them are cut."""

KINDS: Final = {
    "closed": frozenset[Direction](),
    Direction.TO_RELAY.value: frozenset({Direction.TO_RELAY}),
    Direction.FROM_RELAY.value: frozenset({Direction.FROM_RELAY}),
    "both ways": BOTH,
}
"""The kinds of cuts, and the directions in which packets stop."""

FILE: Final = 100_000_000
QUICK_FILE: Final = 8_000_000
INTERVAL: Final = 0.1
QUICK_INTERVAL: Final = 0.3
"""Seconds between two texts, and between two ticks, of each flow."""

SETTINGS: Final = {
    # By default it is 10 s, less than the silence of 15 s: who is not heard of for 10 s with a file on its way gets
    # OVERRUN, as section 15.7 of the standard says. Here nobody may lose anything.
    "limits.stall_time": 60_000,
    "limits.offers_per_second": 100,
}
LIMITS: Final = {"delivered_deadline": 600_000_000}
"""Microseconds: longer than any series of cuts takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A cut that was made."""

    who: str
    kind: str
    bytes: int
    """Of the file, at the recipient where least has come."""
    suspended: float
    """Seconds until the endpoint's application was told."""
    resumed: float
    """Seconds from then, when packets go again, until it was told that the link goes on."""


async def run(options: Options, output: Output) -> Result:
    """Run the scenario."""
    result = Result(scenario="cuts")
    async with staged(result, output, NAMES) as stage:
        stage.settings, stage.limits = dict(SETTINGS), dict(LIMITS)
        stage.view.act("cuts in mid-transfer")
        await stage.assemble()
        cuts = await Cutting(stage, options).run(result)
        _judge(stage, cuts, options, result)
    return result


class Cutting:
    """Cuts all endpoints in rounds, again and again while a file is on its way.

    In the first round, and every other from there, all of them are cut at once; in the rest one by one, since the file
    waits for who is cut.
    """

    def __init__(self, stage: Faults, options: Options, *, size: int | None = None) -> None:
        self.stage = stage
        self.count = len(KINDS) if options.quick else options.cuts
        self.interval = QUICK_INTERVAL if options.quick else INTERVAL
        self.size = size or (QUICK_FILE if options.quick else FILE)
        self.cuts: list[Cut] = []
        self._random = random.Random(4)

    async def run(self, result: Result) -> list[Cut]:
        """Do everything; returns the cuts."""
        stage = self.stage
        file = stage.make_file(stage.names[0], stage.names[1:], self.size)
        flows = stage.start_flows(self.interval)
        sending = asyncio.create_task(stage.send_file(file))
        rounds = -(-self.count // len(stage.names))
        step = self.size // (rounds + 1)
        kinds = list(KINDS)
        try:
            for number in range(rounds):
                left = self.count - len(self.cuts)
                order = [kinds[(at + number) % len(kinds)] for at in range(len(stage.names))]
                apart = step // 8 if number % 2 else 0
                first = number * step + self._random.randrange(step // 8, step // 4)
                await stage.together(
                    *(
                        self._cut(name, order[at], file, first + at * apart)
                        for at, name in enumerate(stage.names[:left])
                    )
                )
            await sending
            await stage.settle("")
            await stage.end_flows(flows, result)
        finally:
            for task in (sending, *flows):
                task.cancel()
            await asyncio.gather(sending, *flows, return_exceptions=True)
        return self.cuts

    def _arrived(self, file: Item) -> int:
        return min(self.stage.at.get((file.id, name), 0) for name in file.recipients)

    async def _cut(self, name: str, kind: str, file: Item, at: int) -> None:
        """Cut an endpoint when so many bytes of the file have come everywhere; restore it when it has noticed."""
        stage, gates = self.stage, self.stage.network.gates[name]
        await stage.until(lambda: self._arrived(file) >= at, f"{at:,} bytes of the file are there")
        before, arrived = len(stage.noted(name, "suspended")), self._arrived(file)
        if arrived == file.size:
            stage.fault(f"the file was complete before {name} was cut")
        began = time.monotonic()
        if KINDS[kind]:
            gates.stop(KINDS[kind])
        else:
            await stage.do(name, "cut")
        try:
            await stage.until(lambda: len(stage.noted(name, "suspended")) > before, f"{name} notices the cut")
        finally:
            gates.open()
        opened = time.monotonic()
        await stage.until(lambda: len(stage.noted(name, "resumed")) > before, f"{name} resumes")
        suspended, resumed = stage.noted(name, "suspended")[before][1], stage.noted(name, "resumed")[before][1]
        cut = Cut(who=name, kind=kind, bytes=arrived, suspended=suspended - began, resumed=resumed - opened)
        self.cuts.append(cut)
        stage.view.told(
            f"cut {len(self.cuts)} of {self.count}: {name}, {kind}, at {arrived:,} bytes: suspended after "
            f"{cut.suspended:.1f} s, resumed {cut.resumed:.2f} s after packets went again"
        )


def _judge(stage: Faults, cuts: list[Cut], options: Options, result: Result) -> None:
    wanted = len(KINDS) if options.quick else options.cuts
    result.row("cuts in mid-transfer", f"{len(cuts)}", f"{wanted}", len(cuts) == wanted)
    silence, drain = SILENCE // (1_000 * MS), 2 * DRAIN_TIME
    for kind, directions in KINDS.items():
        made = [cut for cut in cuts if cut.kind == kind]
        if made:
            noticed, back = [cut.suspended for cut in made], [cut.resumed for cut in made]
            result.row(
                f"{kind}: {len(made)} cuts, seconds until Suspended, and to Resumed",
                f"{spread(noticed)}; {spread(back)}",
                f"about {silence}, and up to {drain:g} to close; at once" if directions else "at once; at once",
            )
    for name in stage.names:
        marks = stage.link_events(name)
        own = sum(cut.who == name for cut in cuts)
        result.row(
            f"what {name}'s application was told of its link",
            f"{marks.count('suspended')} Suspended, {marks.count('resumed')} Resumed, "
            f"{sum(mark not in ('suspended', 'resumed') for mark in marks)} else",
            f"{own} each, alternating",
            marks == ["suspended", "resumed"] * own,
        )
    rows = stage.ledger.rows()
    result.row(
        "files whose SHA-256 is the same at the recipient",
        f"{sum(row.ok for row in rows)} of {rows[0].size:,} bytes" if rows else "0",
        f"{len(stage.names) - 1}",
        len(rows) == len(stage.names) - 1 and all(row.ok for row in rows),
    )


def spread(values: list[float]) -> str:
    """Least, median and greatest."""
    return f"{min(values):.2f}/{statistics.median(values):.2f}/{max(values):.2f}"
