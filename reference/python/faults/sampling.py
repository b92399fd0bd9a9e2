# SPDX-License-Identifier: Apache-2.0
"""Resident memory of processes, sampled (Linux)."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

INTERVAL: Final = 0.02
"""Seconds between two samples."""


def can_sample() -> bool:
    """Whether this system shows the memory of processes where it is looked for."""
    return Path("/proc/self/statm").exists()


def resident(pid: int | None = None) -> int:
    """Resident memory of a process, by default this one, in bytes."""
    text = Path(f"/proc/{pid or 'self'}/statm").read_text("ascii")
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Samples:
    """What was sampled: the first value, the greatest, and how many."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.before = self.peak = resident(pid)
        self.count = 1

    def take(self) -> None:
        """Take a sample."""
        self.peak = max(self.peak, resident(self.pid))
        self.count += 1

    @property
    def growth(self) -> int:
        """From the first to the greatest, in bytes."""
        return self.peak - self.before


@contextlib.asynccontextmanager
async def sampled(pid: int) -> AsyncIterator[Samples]:
    """Sample a process as long as the block lasts."""
    samples = Samples(pid)

    async def sample() -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            samples.take()

    task = asyncio.get_running_loop().create_task(sample())
    try:
        yield samples
    finally:
        task.cancel()
        await asyncio.wait([task])
        with contextlib.suppress(OSError):
            samples.take()
