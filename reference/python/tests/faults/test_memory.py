# SPDX-License-Identifier: Apache-2.0
"""What suspended links make a relay keep, counted in Python's own allocations: the same in each run."""

import gc
import tracemalloc

from callchannel.core.limits import Limits
from faults.memory import LIMITS, PER_FRAME, SMALL, allowed, link_bound
from faults.suspended_links import MESSAGE, measure

LINKS = 12
QUEUED = 100_000
COUNT = QUEUED // MESSAGE
SPARE = 400_000
"""Bytes for what is not a queue: sessions, sampling, the loop."""


def traced() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


async def test_suspended_links_cost_what_is_queued_for_them_and_the_same_frame_once() -> None:
    assert MESSAGE == SMALL
    tracemalloc.start()
    try:
        found = await measure(LINKS, QUEUED, traced)
    finally:
        tracemalloc.stop()
    assert found["suspended_links"] == LINKS
    frames = LINKS * COUNT
    assert frames * MESSAGE <= found["queued_each"] <= frames * (MESSAGE + 64)
    assert frames * MESSAGE <= found["each"] - found["suspended"] <= frames * (MESSAGE + PER_FRAME) + SPARE
    # To all: as much is queued once more, and kept once.
    assert found["queued_all"] >= 2 * frames * MESSAGE
    assert found["all"] - found["each"] <= COUNT * (MESSAGE + PER_FRAME) + frames * PER_FRAME + SPARE
    assert found["worst_link"] <= 2 * LIMITS.window


def test_the_bounds_follow_the_limits() -> None:
    small = Limits(unacknowledged=65_536, lossy_queue=4_096)
    assert link_bound(LIMITS, queued=0) - link_bound(small, queued=0) == 1_048_576 - 65_536 + 262_144 - 4_096
    assert link_bound(small, queued=1_000) == link_bound(small, queued=0) + 1_000
    assert allowed(8_192, 4_096) - allowed(0, 4_096) == 8_192 + 2 * PER_FRAME
