# SPDX-License-Identifier: Apache-2.0
"""Loss and delay between network namespaces, and an interface that is taken down."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from callchannel.cli.output import Output
from faults import cuts
from faults.namespaces import Namespace, NotAllowed, command, has_netem, namespaces
from faults.network import Gates
from faults.stage import Faults, Options, Result, staged

NAMES: Final = ("ann", "bob", "carol")
RELAY: Final = "relay"

DELAY: Final = 0.03
"""Seconds each way between an endpoint and the relay."""
LOSS: Final = 0.01
"""Share of packets that are lost, each way."""

FILE: Final = 10_000_000
QUICK_FILE: Final = 1_000_000


async def run(options: Options, output: Output) -> Result:
    """Run the scenario, as far as this machine allows it."""
    result = Result(scenario="networks")
    try:
        async with namespaces((RELAY, *NAMES)) as spaces:
            netem = await has_netem()
            if not netem:
                result.not_run.append(
                    "`tc netem`: this kernel does not have it; the forwarder loses and delays instead"
                )
            await _within(spaces, netem, options, output, result)
            left = tuple(spaces.values())
        known = await command("ip", "netns", "list")
        still = [space.name for space in left if space.name in known]
        result.row("namespaces that are left behind", f"{len(still)}", "0", not still)
    except NotAllowed as exc:
        result.not_run.append(f"network namespaces: {exc}")
    return result


async def _within(spaces: dict[str, Namespace], netem: bool, options: Options, output: Output, result: Result) -> None:
    far = spaces[RELAY].outside
    gates = {
        name: Gates(delay=0.0 if netem else DELAY, loss=0.0 if netem else LOSS, near=spaces[name].outside, far=far)
        for name in NAMES
    }
    if netem:
        emulated = ("netem", "delay", f"{DELAY * 1_000:g}ms", "loss", f"{LOSS * 100:g}%")
        for name in NAMES:
            await command("tc", "qdisc", "add", "dev", spaces[name].interface, "root", *emulated)
            await command(
                "ip", "netns", "exec", spaces[name].name, "tc", "qdisc", "add", "dev", "eth0", "root", *emulated
            )
    async with staged(result, output, NAMES, gates) as stage:
        stage.view.act("loss and delay between namespaces")
        stage.settings = {**cuts.SETTINGS, "http.host": spaces[RELAY].inside, "http.allow_plain": True}
        stage.limits = dict(cuts.LIMITS)
        stage.prefixes = {name: space.prefix for name, space in spaces.items()}
        await stage.assemble()
        flows = stage.start_flows(cuts.QUICK_INTERVAL if options.quick else cuts.INTERVAL)
        file = stage.make_file("ann", ("bob", "carol"), QUICK_FILE if options.quick else FILE)
        began = time.monotonic()
        sending = asyncio.create_task(stage.send_file(file))
        try:
            await stage.until(lambda: stage.at.get((file.id, "bob")), "the file is on its way")
            await _down(stage, spaces["bob"], result)
            await sending
            await stage.settle("")
            seconds = time.monotonic() - began
            await stage.end_flows(flows, result)
        finally:
            for task in (sending, *flows):
                task.cancel()
            await asyncio.gather(sending, *flows, return_exceptions=True)
        rows = stage.ledger.rows()
        good = sum(row.ok for row in rows)
        result.row(
            f"files of {file.size:,} bytes whose SHA-256 is the same, in {seconds:.1f} s", f"{good}", "2", good == 2
        )
        lost, passed = (sum(getattr(gate, what) for gate in gates.values()) for what in ("lost", "passed"))
        if not netem:
            result.row(
                f"packets lost of those that came, with {DELAY * 1_000:g} ms each way",
                f"{lost:,} of {lost + passed:,} ({100 * lost / (lost + passed):.2f} %)",
                f"about {100 * LOSS:g} %",
                lost > 0,
            )


async def _down(stage: Faults, space: Namespace, result: Result) -> None:
    """Take an endpoint's only interface down, and up again when that was noticed."""
    began = time.monotonic()
    await command("ip", "-n", space.name, "link", "set", "eth0", "down")
    try:
        await stage.until(lambda: stage.noted("bob", "suspended"), "bob notices that its interface is down")
        seconds = stage.noted("bob", "suspended")[0][1] - began
    finally:
        await command("ip", "-n", space.name, "link", "set", "eth0", "up")
    await stage.until(lambda: stage.noted("bob", "resumed"), "bob resumes")
    marks = stage.link_events("bob")
    stage.view.told(f"bob's interface was down for {seconds:.1f} s in the middle of a file, and is up again")
    result.row(
        "bob's interface taken down in mid-transfer",
        ", ".join(marks),
        "suspended, resumed",
        marks == ["suspended", "resumed"],
    )
    result.row("seconds until bob's application was told", f"{seconds:.1f}", "about 15")
