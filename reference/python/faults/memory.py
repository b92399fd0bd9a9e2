# SPDX-License-Identifier: Apache-2.0
"""The memory of a relay's process under what makes it keep as much as it can, beside what its limits allow."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from aiortc.rtcsctptransport import USERDATA_MAX_LENGTH

import callchannel
from callchannel.aio.transport import HIGH_WATER
from callchannel.cli.output import Output
from callchannel.core.limits import RELIABLE_PACKET, Limits
from callchannel.demo.stage import StageFailed
from callchannel.signalling.tokens import issue_token
from callchannel.webrtc.guard import FLIGHT, HELD
from faults.namespaces import command
from faults.network import BOTH
from faults.raw_peers import MESSAGE, RawPeer
from faults.sampling import Samples, can_sample, sampled
from faults.stage import CALL, PATIENCE, TOKEN_LIFETIME, Faults, Options, Result, staged

MIB: Final = 1_048_576

PER_FRAME: Final = 512
"""Bytes of objects that a queued frame may cost beside its own bytes."""

FIXED: Final = 8 * MIB
"""What the interpreter, its allocator and the libraries may take on first use, whatever is sent."""

LIMITS: Final = Limits()
PIECE: Final = 16_000
"""Bytes of a flooding message: nearly a whole packet."""
SMALL: Final = 4_096
"""Bytes of a message to many links in memory."""
CHUNK: Final = USERDATA_MAX_LENGTH
"""Bytes of an SCTP chunk in aiortc."""
PART: Final = 10 * PIECE
"""Bytes for each session of a suspended link: they fit into its window."""


def link_bound(limits: Limits, *, queued: int) -> int:
    """What one link can make a relay keep (section 15.5 of the standard), with `queued` bytes in its queues.

    Beside the queues: what is not acknowledged, Lossy queues, what the transport buffers, and SCTP, both ways.
    """
    return queued + limits.unacknowledged + limits.lossy_queue + 2 * HIGH_WATER + FLIGHT + HELD


def allowed(counted: int, frame: int) -> int:
    """How much resident memory may grow where limits let `counted` bytes be kept, in frames of this size."""
    return counted + counted // frame * PER_FRAME + FIXED


async def run(options: Options, output: Output) -> Result:
    """Run the scenario."""
    result = Result(scenario="memory")
    if not can_sample():
        result.not_run.append("all of it: there is no /proc/self/statm, so that a process's memory can't be sampled")
        return result
    result.notes.append(
        f"memory: a bound is what the named limits let a relay keep, with the buffers of transports that are in use, "
        f"{PER_FRAME} bytes for each frame of the load, and {FIXED // MIB} MiB for the interpreter and its libraries"
    )
    loads: list[Callable[[Options, Output, Result], Awaitable[None]]] = [_stalled, _never_complete, _many_suspended]
    if not options.quick:
        loads += [_flooded, _few_suspended]
    for load in loads:
        await load(options, output, result)
    return result


def _row(result: Result, load: str, samples: Samples, bound: int, how: str) -> None:
    result.row(
        f"{load}: growth of resident memory",
        f"{samples.growth / MIB:.1f} MiB, from {samples.before / MIB:.1f} to {samples.peak / MIB:.1f}",
        f"{bound / MIB:.1f} MiB at most: {how}",
        samples.growth <= bound,
    )


async def _stalled(options: Options, output: Output, result: Result) -> None:
    """(a) A process that is stopped, and is sent to in more sessions than its link's memory holds."""
    memory = (2 if options.quick else 16) * MIB
    sessions = memory // LIMITS.window * 3 // 2
    async with staged(result, output, ("ann", "bob", "carol")) as stage:
        stage.view.act("memory: a stalled reader")
        stage.settings = {
            "limits.relay_link_memory": memory,
            "limits.stall_time": 60_000,
            "limits.new_sessions": 1_000,
            "limits.resume_window": 600_000,
        }
        stage.allowed = frozenset({"told", "left"})
        await stage.assemble()
        async with sampled(stage.pid("relay")) as samples:
            stage.signal("bob", signal.SIGSTOP)
            await _flood(stage, "ann", ["bob"], sessions, LIMITS.window)
            await stage.until(
                lambda: any(note["code"] == "MEMORY" for note, _ in stage.noted("ann", "told", who="bob")),
                "the link's memory is used up",
            )
            queued = (await stage.figures())["queued"]
        stage.view.told(f"{queued:,} bytes are queued for bob, who is stopped; the largest session was failed")
        stage.signal("bob", signal.SIGKILL)
        result.row("a stalled reader: bytes queued for it", f"{queued:,}", f"{memory:,} at most", queued <= memory)
        counted = link_bound(LIMITS, queued=memory) + link_bound(LIMITS, queued=0)
        _row(result, "a stalled reader", samples, allowed(counted, PIECE), "relay_link_memory, and both transports")


async def _flooded(_: Options, output: Output, result: Result) -> None:
    """(b) A sender that floods readers, Reliable and Lossy at once."""
    sessions = 64
    async with staged(result, output, ("ann", "bob", "carol")) as stage:
        stage.view.act("memory: a flooding sender")
        stage.settings = {"limits.new_sessions": 1_000}
        await stage.assemble()
        file = stage.make_file("ann", ("bob", "carol"), 20_000_000)
        async with sampled(stage.pid("relay")) as samples:
            await stage.together(
                _flood(stage, "ann", [], sessions, LIMITS.window),
                stage.do("ann", "flood", lossy=True, to=[], bytes=1_000, count=50_000),
                stage.send_file(file),
            )
            await stage.settle("")
            dropped = (await stage.figures())["drops"]
        told = ", ".join(f"{reason} {count:,}" for reason, count in sorted(dropped.items())) or "nothing"
        stage.view.told(f"ann flooded bob and carol; the relay dropped of the Lossy ones: {told}")
        most = min(LIMITS.relay_link_memory, (sessions + 1) * LIMITS.window)
        counted = 2 * link_bound(LIMITS, queued=most) + link_bound(LIMITS, queued=0)
        _row(result, "a flooding sender", samples, allowed(counted, 1_000), "window for each session and link")


async def _few_suspended(_: Options, output: Output, result: Result) -> None:
    """(c) Real links that are suspended, and sent to."""
    names, sessions = ("ann", "bob", "carol", "dan"), 8
    async with staged(result, output, names) as stage:
        stage.view.act("memory: suspended links")
        stage.settings = {"limits.stall_time": 60_000, "limits.resume_window": 600_000}
        stage.allowed = frozenset({"left"})
        await stage.assemble()
        wanted = 3 * sessions * PART
        for name in names[1:]:
            stage.network.gates[name].stop(BOTH)
        await stage.until(
            lambda: all(stage.noted("ann", "other", who=name) for name in names[1:]), "three links are suspended"
        )
        async with sampled(stage.pid("relay")) as samples:
            for name in names[1:]:
                await _flood(stage, "ann", [name], sessions, PART)
            figures = await stage.until_figures(lambda figures: figures["queued"] >= wanted, "messages are queued")
        stage.view.told(f"{figures['suspended']} links are suspended; {figures['queued']:,} bytes are queued for them")
        for name in names[1:]:
            stage.signal(name, signal.SIGKILL)
        counted = 3 * link_bound(LIMITS, queued=sessions * LIMITS.window) + link_bound(LIMITS, queued=0)
        result.row(
            "3 suspended links: bytes queued for them",
            f"{figures['queued']:,}",
            f"{wanted:,} to {3 * sessions * LIMITS.window:,}",
            wanted <= figures["queued"] <= 3 * sessions * LIMITS.window,
        )
        _row(result, "3 suspended links", samples, allowed(counted, PIECE), "window for each session and link")


async def _never_complete(options: Options, output: Output, result: Result) -> None:
    """(d) Peers that use aiortc itself, and send messages of 4 MiB that never become complete."""
    memory, peers = 4 * MIB, 2 if options.quick else 8
    async with staged(result, output, ("ann", "bob")) as stage:
        stage.view.act("memory: messages that never become complete")
        stage.settings = {"server.memory": memory, "limits.offers_per_second": 100, "limits.unbound_time": 60_000}
        await stage.assemble()
        raw = []
        for number in range(peers):
            token = issue_token(stage.key.encode(), f"raw-{number}", CALL, lifetime=TOKEN_LIFETIME)
            raw.append(RawPeer(stage.network.relay, CALL, token, hole=number % 2 == 0))
        flows = stage.start_flows(0.1)
        try:
            await asyncio.gather(*(peer.connect() for peer in raw))
            async with sampled(stage.pid("relay")) as samples:
                for peer in raw:
                    peer.send()
                # A hole makes the relay hold what is behind it, until that is too much; of the rest it keeps a packet.
                await stage.until_figures(
                    lambda figures: figures["connections"] <= 2 + peers - peers // 2, "raw peers are given up"
                )
                await _until_sent([peer for number, peer in enumerate(raw) if number % 2])
                figures = await stage.figures()
            stage.view.told(
                f"{figures['given_up']} of {peers} raw peers were given up; the relay holds {figures['held']:,} bytes"
            )
            result.row(
                "raw peers whose message has a hole: given up",
                f"{figures['given_up']}",
                f"{peers // 2}",
                figures["given_up"] == peers // 2,
            )
            kept = peers // 2 * (RELIABLE_PACKET + 1 + 65_536)
            result.row(
                "raw peers whose message has no end: bytes held for them",
                f"{figures['held']:,}",
                f"{kept:,} at most: a packet each, and what is in flight",
                figures["held"] <= kept,
            )
            _row(
                result,
                f"{peers} raw peers with messages of {MESSAGE // MIB} MiB",
                samples,
                allowed(memory + HELD, CHUNK),
                "server.memory, and one connection's part more",
            )
            await stage.end_flows(flows, result)
        finally:
            for task in flows:
                task.cancel()
            await asyncio.gather(*(peer.close() for peer in raw), *flows, return_exceptions=True)


async def _until_sent(peers: Sequence[RawPeer]) -> None:
    """Wait until all but the last chunk of each message has gone out."""
    try:
        async with asyncio.timeout(PATIENCE):
            while any(len(peer.chunks) < MESSAGE // CHUNK for peer in peers):
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise StageFailed(f"raw peers have sent {[len(peer.chunks) for peer in peers]} chunks only") from None


async def _many_suspended(options: Options, output: Output, result: Result) -> None:
    """(c) Many suspended links, in memory: a process of its own."""
    links, queued = (30, 100_000) if options.quick else (200, 240_000)
    source = str(Path(callchannel.__file__).parents[1])
    told = await command(
        sys.executable,
        "-m",
        "faults.suspended_links",
        str(links),
        str(queued),
        environment={**os.environ, "PYTHONPATH": source},
    )
    found = json.loads(told)
    grown = found["each"] - found["suspended"]
    bound = allowed(links * LIMITS.window + LIMITS.unacknowledged, SMALL)
    result.row(
        f"{links} suspended links, in memory: growth when each is sent {queued:,} bytes of its own",
        f"{grown / MIB:.1f} MiB, for {found['queued_each'] / MIB:.1f} MiB in queues",
        f"{bound / MIB:.1f} MiB at most: window for each link",
        grown <= bound and found["suspended_links"] == links,
    )
    grown = found["all"] - found["each"]
    bound = allowed(LIMITS.window, SMALL)
    result.row(
        f"{links} suspended links, in memory: growth when all are sent the same {queued:,} bytes",
        f"{grown / MIB:.1f} MiB, for {(found['queued_all'] - found['queued_each']) / MIB:.1f} MiB in queues",
        f"{bound / MIB:.1f} MiB at most: one window",
        grown <= bound,
    )
    result.row(
        f"{links} suspended links, in memory: the longest queue",
        f"{found['worst_link']:,}",
        f"{2 * LIMITS.window:,} at most",
        found["worst_link"] <= 2 * LIMITS.window,
    )


async def _flood(stage: Faults, name: str, to: Sequence[str], sessions: int, size: int) -> None:
    """Put `size` bytes into each of so many new sessions."""
    await stage.do(name, "flood", lossy=False, to=list(to), sessions=sessions, bytes=PIECE, count=size // PIECE)
