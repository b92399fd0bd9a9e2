# SPDX-License-Identifier: Apache-2.0
"""Deadlines behind one `deadline()`: quiet timers cost nothing until they are due."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable

Callback = Callable[[int], None]


class Timers:
    """Named timers. Setting one again replaces it; the heap forgets replaced entries lazily."""

    __slots__ = ("_armed", "_heap", "_serial")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Hashable]] = []
        self._armed: dict[Hashable, tuple[int, int, Callback]] = {}
        self._serial = 0

    def __len__(self) -> int:
        return len(self._armed)

    def __contains__(self, name: Hashable) -> bool:
        return name in self._armed

    def set(self, name: Hashable, at: int, callback: Callback) -> None:
        """Call `callback(now)` at `at` or soon after; replaces a timer of this name."""
        self._serial += 1
        self._armed[name] = (at, self._serial, callback)
        heapq.heappush(self._heap, (at, self._serial, name))
        if len(self._heap) > 64 and len(self._heap) > 4 * len(self._armed):
            self._heap = [(at, serial, name) for name, (at, serial, _) in self._armed.items()]
            heapq.heapify(self._heap)

    def cancel(self, name: Hashable) -> None:
        """Take a timer back, if it is there."""
        self._armed.pop(name, None)

    def deadline(self) -> int | None:
        """When the next timer is due."""
        while self._heap:
            at, serial, name = self._heap[0]
            armed = self._armed.get(name)
            if armed is not None and armed[1] == serial:
                return at
            heapq.heappop(self._heap)
        return None

    def fire(self, now: int, failed: Callable[[Callback, Exception], object]) -> None:
        """Call what is due at `now`, in order of time. A timer that is set meanwhile waits for the next call.

        A callback that raises costs no other its time: `failed` is told, with the exception.
        """
        last = self._serial
        later: list[tuple[int, int, Hashable]] = []
        try:
            while self._heap and self._heap[0][0] <= now:
                entry = heapq.heappop(self._heap)
                _, serial, name = entry
                armed = self._armed.get(name)
                if armed is None or armed[1] != serial:
                    continue
                if serial > last:
                    later.append(entry)
                    continue
                del self._armed[name]
                try:
                    armed[2](now)
                except Exception as error:
                    failed(armed[2], error)
        finally:  # `failed` may raise, too
            for entry in later:
                heapq.heappush(self._heap, entry)
