# SPDX-License-Identifier: Apache-2.0
"""Which cells of the state tables plans hit.

This is no part of the judge: it looks at the machines from inside. While a `Coverage` is active, methods of the core
are wrapped; what a wrapper is called with and what it finds says which row of a table this is, and in which state. A
method that is no longer there fails loudly, when coverage is made active.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any

from simulator.tables import Cell, cells

Watch = Callable[..., Any]
"""Called with the hits, the method, and its arguments; calls the method once and returns its result."""


class Hits:
    """Counts, and what watches have to remember while a plan runs."""

    def __init__(self) -> None:
        self.cells: Counter[Cell] = Counter()
        self.within: list[str] = []
        """Which watched methods are being called that say what those within them mean."""

    def hit(self, row: str | None, state: str, count: int = 1) -> None:
        """Count a cell; row None: it is none."""
        if row is not None and count:
            self.cells[row, state] += count

    def call(self, name: str, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Call a method; those within it see `name` in `within`."""
        self.within.append(name)
        try:
            return method(*arguments, **options)
        finally:
            self.within.pop()


class Coverage:
    """`with Coverage() as hits: run(plan)` counts into `hits.cells`."""

    def __init__(self, hits: Hits | None = None) -> None:
        self.hits = hits or Hits()
        self._originals: list[tuple[type, str, Callable[..., Any]]] = []

    def __enter__(self) -> Hits:
        from simulator import watch_links, watch_receivers, watch_senders  # noqa: PLC0415 - only where it is needed

        for kind, name, watch in (*watch_senders.WATCHES, *watch_receivers.WATCHES, *watch_links.WATCHES):
            owner = next(base for base in kind.__mro__ if name in base.__dict__)
            original = owner.__dict__[name]
            self._originals.append((owner, name, original))
            setattr(owner, name, self._wrapped(original, watch))
        return self.hits

    def _wrapped(self, original: Callable[..., Any], watch: Watch) -> Callable[..., Any]:
        hits = self.hits

        def wrapper(self: Any, *arguments: Any, **options: Any) -> Any:
            return watch(hits, original, self, *arguments, **options)

        return wrapper

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for owner, name, original in reversed(self._originals):
            setattr(owner, name, original)
        self._originals.clear()


def unknown(hits: Counter[Cell]) -> list[Cell]:
    """Cells that were counted and that no table has: a watch is wrong, or the core."""
    return sorted(set(hits) - set(cells()))
