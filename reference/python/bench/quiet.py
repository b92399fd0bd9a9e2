# SPDX-License-Identifier: Apache-2.0
"""What quiet links cost a relay: time per message of ten busy ones, and memory for each quiet one.

The messages name their recipients, the same ten in both calls, so that only the number of links differs.
"""

from __future__ import annotations

import gc
import tracemalloc

from bench.calls import RelayedCall
from bench.contest import Contestant, Row, Target, compare
from bench.settings import Settings

BUSY = 10
LARGEST = 8_192
"""Bytes that a quiet link may take."""


def micros(call: RelayedCall, rounds: int) -> float:
    """Microseconds of the relay for each message to ten recipients."""
    seconds, _ = call.run(burst=10, rounds=rounds, recipients=BUSY)
    return seconds / (10 * rounds) * 1e6


def memory(links: int) -> float:
    """Bytes that each further link takes, between a small call and one with `links`."""
    few = max(2, links // 10)
    links = max(links, few + 20)
    taken = []
    for count in (few, links):
        gc.collect()
        tracemalloc.start()
        call = RelayedCall(count)
        gc.collect()
        taken.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        del call
    return (taken[1] - taken[0]) / (links - few)


def run(settings: Settings) -> list[Row]:
    """10,000 quiet links."""
    quiet = settings.times(10_000)
    rounds = settings.times(400)

    def contestant(name: str, links: int) -> Contestant:
        call = RelayedCall(links)
        return Contestant(name, lambda: micros(call, rounds))

    rows = compare(
        "quiet",
        f"a message to 10, {quiet:,} quiet links beside",
        "µs",
        contestant("callchannel", BUSY + 1 + quiet),
        [(contestant("no quiet links", BUSY + 1), Target(1.1, at_least=False))],
        settings.runs,
    )
    size = memory(settings.times(2_000))
    rows.append(
        Row(
            benchmark="quiet",
            work="memory of a quiet link",
            unit="bytes",
            ours=size,
            target=f"≤ {LARGEST:,}",
            verdict="reached" if size <= LARGEST else "missed",
        )
    )
    return rows
