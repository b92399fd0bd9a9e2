# SPDX-License-Identifier: Apache-2.0
"""A relay in memory with many suspended links, in a process of its own: what it holds for them, and what that costs.

`python -m faults.suspended_links LINKS BYTES` prints JSON. One endpoint sends to each of LINKS, all of which are
suspended, until BYTES are queued for each of them; then to all of them at once.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections.abc import Callable
from typing import Any, Final

from callchannel.aio import Call, MemoryRelay, MemoryTransport, memory_relay
from callchannel.core.limits import BOUNDS, Limits
from callchannel.core.relay import RelayEvent
from faults.sampling import resident

MESSAGE: Final = 4_096
"""Bytes of each message."""

LIMITS: Final = Limits(resume_window=BOUNDS["resume_window"][1], stall_time=BOUNDS["stall_time"][1], new_sessions=1_000)


async def measure(links: int, queued: int, memory: Callable[[], int] = resident) -> dict[str, Any]:
    """Suspend `links` endpoints and queue so many bytes for each; returns what the relay counts, and `memory`."""
    events: list[RelayEvent] = []
    changed = asyncio.Event()

    def told(event: RelayEvent) -> None:
        events.append(event)
        changed.set()

    relay = memory_relay(limits=LIMITS, on_event=told)
    names = [f"endpoint-{number:03}" for number in range(links)]
    calls = [await Call.join(relay.connect(name)) for name in names]
    sender = await Call.join(relay.connect("sender"))
    await sender.wait_for(*names)
    joined = memory()
    for name, call in zip(names, calls, strict=True):
        call._connector._connect = _never  # type: ignore[union-attr]
        relay.transports[name].cut()
    while sum(participant.suspended for participant in relay.relay.participants) < links:
        changed.clear()
        await changed.wait()
    gc.collect()
    suspended = memory()
    count = queued // MESSAGE
    for name in names:
        to_one = sender.create_sender(to=[name])
        await asyncio.gather(*(to_one.send(bytes(MESSAGE)) for _ in range(count)))
    each = memory()
    held = _held(relay)
    to_all = sender.create_sender()
    await asyncio.gather(*(to_all.send(bytes(MESSAGE)) for _ in range(count)))
    everyone = memory()
    figures = {
        "links": links,
        "suspended_links": sum(participant.suspended for participant in relay.relay.participants),
        "joined": joined,
        "suspended": suspended,
        "each": each,
        "all": everyone,
        "queued_each": held,
        "queued_all": _held(relay),
        "worst_link": max(link.bytes_queued for link in relay.relay.statistics().links),
    }
    await relay.close()
    for call in (*calls, sender):
        await call.leave()
    return figures


async def _never() -> MemoryTransport:
    """There is no way back."""
    await asyncio.Event().wait()
    raise AssertionError("nobody sets it")


def _held(relay: MemoryRelay) -> int:
    return sum(link.bytes_queued + link.bytes_unacknowledged for link in relay.relay.statistics().links)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(int(sys.argv[1]), int(sys.argv[2])))))
