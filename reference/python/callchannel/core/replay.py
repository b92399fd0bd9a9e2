# SPDX-License-Identifier: Apache-2.0
"""The replay window of a Lossy session: which sequences are done (specification, chapter 7).

Sequences are u32 and never wrap, so plain comparison serves.
"""

from __future__ import annotations

from callchannel.core.limits import REPLAY_WINDOW

_MASK = (1 << REPLAY_WINDOW) - 1


class ReplayWindow:
    """Remembers the last 1,024 sequences: each is done (complete or given up) or not."""

    __slots__ = ("_done", "highest")

    def __init__(self) -> None:
        self.highest = 0
        """The highest sequence marked so far."""
        self._done = 0  # bit i: sequence highest - i is done

    def is_done(self, sequence: int) -> bool:
        """Whether `sequence` was marked, or is too old to tell."""
        age = self.highest - sequence
        if age < 0:
            return False
        return age >= REPLAY_WINDOW or bool(self._done >> age & 1)

    def mark(self, sequence: int) -> None:
        """Mark `sequence` as complete or given up."""
        age = self.highest - sequence
        if age < 0:
            self._done = ((self._done << -age) | 1) & _MASK if -age < REPLAY_WINDOW else 1
            self.highest = sequence
        elif age < REPLAY_WINDOW:
            self._done |= 1 << age
