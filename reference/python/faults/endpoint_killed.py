# SPDX-License-Identifier: Apache-2.0
"""An endpoint that is killed in mid-message: nobody sees half of one, and who sent to it gets a verdict."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import time
from typing import Any, Final

from callchannel.cli.output import Output
from callchannel.core.limits import MS, SILENCE, Limits
from callchannel.demo.ledger import Item
from faults.network import Direction
from faults.stage import Options, Result, staged

NAMES: Final = ("ann", "bob", "carol")

MESSAGE: Final = 16_000_000
"""Bytes of the message of the one who is killed, close to the largest: it is on its way for long."""

TO_HER: Final = 4_000_000
QUICK_TO_HER: Final = 1_000_000
"""Bytes of the messages to her."""

PART: Final = 500_000
"""Bytes of the file that have come when its sender is killed."""

QUICK_WINDOW: Final = 2
"""Seconds of the resume window in the short form."""


async def run(options: Options, output: Output) -> Result:
    """Run the scenario."""
    result = Result(scenario="endpoint")
    async with staged(result, output, NAMES) as stage:
        stage.view.act("an endpoint killed in mid-message")
        window = QUICK_WINDOW if options.quick else Limits().resume_window // (1_000 * MS)
        # Else the message to the killed one would end with OVERRUN before its link ends.
        stage.settings = {"limits.resume_window": window * 1_000, "limits.stall_time": 60_000}
        stage.allowed = frozenset({"told", "left", "incomplete", "receiver_failed"})
        await stage.assemble()
        file = stage.make_file("ann", ("bob", "carol"), 40_000_000)
        del stage.ledger.items[file.id]  # it is not to arrive
        doomed = [
            asyncio.create_task(stage.attempt("ann", "file", id=file.id, path=str(stage.folder / file.id), **TO_BOTH)),
            asyncio.create_task(stage.attempt("ann", "message", id="ann.message", bytes=MESSAGE, **TO_ALL)),
        ]
        size = QUICK_TO_HER if options.quick else TO_HER
        for name in ("bob.delivered", "bob.accepted"):
            stage.ledger.expect(_message(name, size))
        await stage.until(
            lambda: min(stage.at.get((file.id, name), 0) for name in ("bob", "carol")) >= PART,
            f"{PART:,} bytes of the file are there",
        )
        # Nothing reaches her any more: whatever bob sends now, she dies before it is complete.
        stage.network.gates["ann"].stop(frozenset({Direction.FROM_RELAY}))
        to_ann = {"bob.delivered": "delivered", "bob.accepted": "accepted"}
        sends = {
            name: asyncio.create_task(
                stage.do("bob", "message", id=name, bytes=size, to=["ann", "carol"], confirm=confirm)
            )
            for name, confirm in to_ann.items()
        }
        await stage.until_figures(lambda figures: figures["queued"] > size // 8, "messages to ann are queued")
        arrived = {name: stage.at[file.id, name] for name in ("bob", "carol")}
        stage.signal("ann", signal.SIGKILL)
        began = time.monotonic()
        await stage.until(lambda: all(stage.noted(name, "left") for name in ("bob", "carol")), "ann is told to be gone")
        seconds = stage.noted("bob", "left")[0][1] - began
        stage.view.told(f"ann was killed at {arrived['bob']:,} bytes of a file; she was given up after {seconds:.1f} s")
        verdicts = {name: await task for name, task in sends.items()}
        await stage.until(
            lambda: all(stage.noted(name, "incomplete", id=file.id) for name in ("bob", "carol")),
            "the file is given up",
        )
        for task in doomed:
            task.cancel()
        await stage.until(
            lambda: all((name, "carol") in stage.at for name in to_ann), "the messages of bob arrive at carol"
        )
        for name in ("bob", "carol"):
            await stage.until(lambda name=name: stage.noted(name, "receiver_failed"), f"{name} is told why")  # type: ignore[misc]
            told = sorted(
                {
                    " ".join(str(report[key]) for key in ("report", "id", "code") if report.get(key))
                    for who, report, _ in stage.notes
                    if who == name and report["report"] in ("incomplete", "left", "receiver_failed")
                }
            )
            wanted = [f"incomplete {file.id} ABORTED", "left LOST", "receiver_failed LOST"]
            result.row(
                f"what {name} was told of ann, and of her file", ", ".join(told), ", ".join(wanted), told == wanted
            )
        seen = [item for item, by in stage.at if item == "ann.message"]
        result.row("who saw anything of ann's message, of many fragments", f"{len(seen)}", "0", not seen)
        for name, report in verdicts.items():
            result.row(f"the verdict of {name}, to ann and carol", *_verdict(report, to_ann[name]))
        result.row(
            "seconds until ann was given up",
            f"{seconds:.1f}",
            f"about {SILENCE / (1_000 * MS) + window:g}: silence and resume_window",
        )
    return result


TO_BOTH: Final[dict[str, Any]] = {"to": ["bob", "carol"], "exclude": []}
TO_ALL: Final[dict[str, Any]] = {"to": [], "confirm": "accepted"}


def _message(name: str, size: int) -> Item:
    """What carol, who is left, is to receive."""
    return Item(
        id=name,
        kind="block",
        sender="bob",
        recipients=("carol",),
        size=size,
        sha256=hashlib.sha256(bytes(size)).hexdigest(),
        private=True,
        group="",
    )


def _verdict(report: dict[str, Any], confirm: str) -> tuple[str, str, bool]:
    """What a sender was told of a message of which one recipient was killed: measured, wanted, ok."""
    found = report.get("settled", {})
    measured = f"{report['verdict']}: reached {found.get('reached')}, failed {found.get('failed')}, "
    measured += f"unknown {found.get('unknown')}"
    lost = {**found.get("failed", {}), **found.get("unknown", {})}
    ok = report["verdict"] == "raised" and lost == {"ann": "LOST"} and "ann" not in found["reached"]
    return measured, f"LOST for ann alone ({confirm})", ok
