# SPDX-License-Identifier: Apache-2.0
"""How much a benchmark does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`scale` shrinks the work of each run, `runs` is how often everyone does it."""

    runs: int = 5
    scale: float = 1.0
    quick: bool = False

    def times(self, count: int) -> int:
        """A number of repetitions, scaled; never less than one."""
        return max(1, int(count * self.scale))


FULL = Settings()
QUICK = Settings(runs=3, scale=0.25, quick=True)
