# SPDX-License-Identifier: Apache-2.0
"""A relay that is killed, and comes again or not: every side is told, and can join again."""

from __future__ import annotations

import signal
import time
from typing import Final

from callchannel.aio.reconnecting import LONGEST_PAUSE, UP_TIME
from callchannel.cli.output import Output
from callchannel.core.limits import MS, SILENCE, Limits
from faults.stage import Faults, Options, Result, staged

NAMES: Final = ("ann", "bob", "carol")

SECOND: Final = 1_000 * MS


async def run(options: Options, output: Output) -> Result:
    """Run the scenario."""
    result = Result(scenario="relay")
    await _restarted(output, result)
    if not options.quick:
        await _gone(output, result)
    return result


async def _restarted(output: Output, result: Result) -> None:
    async with staged(result, output, NAMES) as stage:
        stage.view.act("a relay killed, and restarted")
        await stage.assemble()
        # One silence, and one attempt to connect behind a pause: the new relay does not know the link.
        bound = SILENCE / SECOND + LONGEST_PAUSE + UP_TIME
        seconds = await _killed(stage, result, "restarted", again=True)
        _told(stage, result, "restarted", "RESUME_UNKNOWN", seconds, bound)
        stage.allowed = frozenset()
        for name in NAMES:
            await stage.do(name, "leave")
        await stage.join(*NAMES)
        file = stage.make_file("ann", ("bob", "carol"), 1_000_000)
        await stage.send_file(file)
        await stage.settle("")
        rows = stage.ledger.rows()
        result.row(
            "restarted: joined again, and sent a file to all",
            f"{sum(row.ok for row in rows)} received",
            "2",
            len(rows) == 2 and all(row.ok for row in rows),
        )


async def _gone(output: Output, result: Result) -> None:
    async with staged(result, output, NAMES) as stage:
        stage.view.act("a relay killed, and gone")
        await stage.assemble()
        seconds = await _killed(stage, result, "gone", again=False)
        _told(stage, result, "gone", "LINK_LOST", seconds, (SILENCE + Limits().resume_window) / SECOND)


async def _killed(stage: Faults, result: Result, what: str, *, again: bool) -> dict[str, float]:
    """Kill the relay while texts flow; returns when each endpoint was told that its link has ended."""
    stage.allowed = frozenset({"told", "event", "left", "receiver_failed", "lost"})
    flows = stage.start_flows(0.2)
    for name in NAMES:
        for other in NAMES:
            if other != name:  # every flow has begun everywhere
                await stage.do(other, "counted", name=f"{name} delivered", count=5)
    stage.signal("relay", signal.SIGKILL)
    began = time.monotonic()
    await stage.until(lambda: stage.noted("relay", "ended"), "the relay ends")
    stage.network.relay = ""
    if again:
        await stage.start_relay()
    seconds = {}
    for name in NAMES:
        await stage.until(lambda name=name: stage.noted(name, "event"), f"{name} is told")  # type: ignore[misc]
        seconds[name] = stage.noted(name, "event")[0][1] - began
    stage.view.told(f"told after {', '.join(f'{name} {value:.1f} s' for name, value in seconds.items())}")
    for name in NAMES:
        await stage.do(name, "stop")
    sent = settled = confirmed = 0
    for name, flow in zip(NAMES, flows, strict=True):
        report = await flow
        for told in report["flows"].values():
            sent += told["sent"]
            settled += sum(told["verdicts"].values())
            confirmed += told["verdicts"].get("confirmed", 0)
            unknown_before = told["verdicts"].get("unknown", 0)
            if told["verdicts"].get("confirmed", 0) + unknown_before == told["sent"]:
                stage.fault(f"nothing that {name} sent on a dead link failed")
    result.row(
        f"{what}: texts that have a verdict; of these confirmed",
        f"{settled:,}; {confirmed:,}",
        f"{sent:,}; fewer",
        settled == sent > confirmed,
    )
    return seconds


def _told(stage: Faults, result: Result, what: str, code: str, seconds: dict[str, float], bound: float) -> None:
    for name in NAMES:
        marks = stage.link_events(name)
        wanted = ["suspended", f"LinkEnded {code}"]
        result.row(
            f"{what}: what {name}'s application was told of its link",
            ", ".join(marks),
            ", ".join(wanted),
            marks == wanted,
        )
    worst = max(seconds.values())
    result.row(
        f"{what}: seconds until the last application was told",
        f"{worst:.1f}",
        f"about {bound:g} at most, by the limits",
    )
