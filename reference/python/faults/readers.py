# SPDX-License-Identifier: Apache-2.0
"""Readers that stop reading: a process that is stopped, and an application that does not read."""

from __future__ import annotations

import asyncio
import dataclasses
import signal
import time
from typing import Final

from callchannel.cli.output import Output
from callchannel.core.limits import MS, Limits
from callchannel.demo.ledger import Item
from faults.cuts import INTERVAL, QUICK_INTERVAL
from faults.stage import Faults, Options, Result, staged

NAMES: Final = ("ann", "bob", "carol", "dan")
"""Ann sends; the process of bob is stopped; carol reads; dan's application does not."""

SECOND: Final = 1_000 * MS
QUICK_STALL: Final = 2
"""Seconds of the stall time in the short form."""
FILE: Final = 4_000_000


async def run(options: Options, output: Output) -> Result:
    """Run the scenario."""
    result = Result(scenario="reader")
    async with staged(result, output, NAMES) as stage:
        stage.view.act("readers that stop reading")
        stall = QUICK_STALL if options.quick else Limits().stall_time // SECOND
        stage.settings = {"limits.stall_time": stall * 1_000}
        stage.allowed = frozenset({"told", "incomplete", "receiver_failed"})
        await stage.assemble()
        flows = stage.start_flows(QUICK_INTERVAL if options.quick else INTERVAL)
        await stage.do("carol", "counted", name="ann delivered", count=5)
        await _stall(stage, result, stall)
        stage.allowed = frozenset()
        await _again(stage, result)
        await stage.end_flows(flows, result)
    if not options.quick:
        async with staged(result, output, NAMES[:3]) as stage:
            await _too_long(stage, result)
    return result


async def _stall(stage: Faults, result: Result, stall: int) -> None:
    """Both stop reading while a file comes."""
    file = stage.make_file("ann", ("bob", "carol", "dan"), FILE, "stalled")
    stage.ledger.items[file.id] = _to(file, "carol")
    await stage.do("dan", "hold")
    sending = asyncio.create_task(
        stage.attempt("ann", "file", id=file.id, path=str(stage.folder / file.id), to=list(file.recipients), exclude=[])
    )
    stage.signal("bob", signal.SIGSTOP)
    began = time.monotonic()
    try:
        await stage.until(
            lambda: len(stage.noted("ann", "told", event="RecipientFailed")) == 2, "ann is told who has overrun"
        )
        seconds = [at - began for _, at in stage.noted("ann", "told", event="RecipientFailed")]
        counted = await stage.do("carol", "counted", name="ann accepted", count=0)
        # They go on while nobody reads: more texts come, and the file comes to its end.
        more = await stage.do("carol", "counted", name="ann accepted", count=counted["count"] + 10)
        await stage.until(lambda: stage.at.get((file.id, "carol")) == FILE, "carol has the file")
        report = await sending
    finally:
        stage.signal("bob", signal.SIGCONT)
    stage.view.told(f"ann was told of both after {max(seconds):.1f} s; carol has the file, and goes on")
    await stage.do("dan", "read")
    for name in ("bob", "dan"):
        await stage.until(lambda name=name: stage.noted(name, "receiver_failed"), f"{name} is told")  # type: ignore[misc]
        told = [report["code"] for report, _ in stage.noted(name, "receiver_failed", sender="ann")]
        result.row(
            f"what {name} was told of the file when reading again", ", ".join(told), "OVERRUN", told == ["OVERRUN"]
        )
    failed = sorted((note["who"], note["code"]) for note, _ in stage.noted("ann", "told", event="RecipientFailed"))
    result.row(
        "what ann was told, of whom",
        ", ".join(f"{who} {code}" for who, code in failed),
        "bob OVERRUN, dan OVERRUN",
        failed == [("bob", "OVERRUN"), ("dan", "OVERRUN")],
    )
    result.row(
        "the verdict of ann's file",
        f"{report['error']} [{report['code']}] for {', '.join(sorted(report['named']))}",
        "DeliveryFailed [OVERRUN] for bob, dan",
        (report["error"], report["code"], sorted(report["named"])) == ("DeliveryFailed", "OVERRUN", ["bob", "dan"]),
    )
    result.row("seconds until ann was told of both", f"{max(seconds):.1f}", f"about {stall} from when queues were full")
    texts = more["count"] - counted["count"]
    result.row("texts that carol received while they did not read", f"{texts}", "10 or more", texts >= 10)


def _to(file: Item, name: str) -> Item:
    return dataclasses.replace(file, recipients=(name,))


async def _again(stage: Faults, result: Result) -> None:
    """In a new session all of them get what is sent."""
    file = stage.make_file("ann", ("bob", "carol", "dan"), 1_000_000, "again")
    await stage.send_file(file)
    await stage.settle("")
    got = sum(arrival.id == file.id for arrival in stage.ledger.arrivals)
    result.row("who received the next file", f"{got}", "3", got == 3)


async def _too_long(stage: Faults, result: Result) -> None:
    """A process that is stopped until its link is given up."""
    stage.view.act("a process stopped for longer than its link lives")
    stage.allowed = frozenset({"left", "event", "receiver_failed", "lost"})
    await stage.assemble()
    stage.signal("bob", signal.SIGSTOP)
    began = time.monotonic()
    try:
        await stage.until(lambda: all(stage.noted(name, "left") for name in ("ann", "carol")), "bob is given up")
    finally:
        stage.signal("bob", signal.SIGCONT)
    seconds = stage.noted("ann", "left")[0][1] - began
    await stage.until(lambda: stage.noted("bob", "event"), "bob is told")
    codes = [report["code"] for report, _ in stage.noted("ann", "left")]
    result.row("stopped for longer: what ann was told of bob", ", ".join(codes), "LOST", codes == ["LOST"])
    told = [f"{report['event']} {report['code']}" for report, _ in stage.noted("bob", "event")]
    wanted = "LinkEnded RESUME_UNKNOWN or LINK_LOST"
    ok = told in (["LinkEnded RESUME_UNKNOWN"], ["LinkEnded LINK_LOST"])
    result.row("stopped for longer: what bob was told when it went on", ", ".join(told), wanted, ok)
    result.row("stopped for longer: seconds until bob was given up", f"{seconds:.1f}", "about 45")
    await stage.do("bob", "leave")
    await stage.join("bob")
    result.row("stopped for longer: bob has joined again", "yes", "yes")
