# SPDX-License-Identifier: Apache-2.0
"""Contests: the same work by several contestants, by turns, several times; and what may be concluded from it."""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_LARGE = 30 << 20
NOISE = 0.35
"""A ratio whose middle half is wider than this share of it says nothing."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """Who does the work. `run` does it once and returns a figure."""

    name: str
    run: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Target:
    """What the ratio of our figure to the peer's has to be."""

    ratio: float
    at_least: bool = True
    """If not: at most."""

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.ratio:g}"

    def is_reached(self, ratio: float) -> bool:
        """Whether a ratio is good enough."""
        return ratio >= self.ratio if self.at_least else ratio <= self.ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the result: our figure, a peer's, and how they compare. Figures are medians."""

    benchmark: str
    work: str
    unit: str
    ours: float
    peer_name: str = ""
    peer: float | None = None
    ratio: float | None = None
    low: float | None = None
    """The first quartile of the ratio."""
    high: float | None = None
    """The third quartile."""
    target: str = ""
    verdict: str = ""
    """`reached`, `missed`, `noise`: too noisy to say, or nothing where there is no target."""


def play(contestants: Sequence[Contestant], runs: int) -> list[list[float]]:
    """The figures of each contestant. They take turns, and who begins changes, so that drift hits all alike."""
    settle_allocator()
    figures: list[list[float]] = [[] for _ in contestants]
    order = list(range(len(contestants)))
    for _ in range(runs):
        for place in order:
            gc.collect()
            figures[place].append(contestants[place].run())
        order = order[1:] + order[:1]
    return figures


def settle_allocator() -> None:
    """Bring the C library's allocator to where a process that has used much memory has it.

    glibc gives the end of its heap back to the system, and takes it again a moment later, until a large block was
    freed once. Whether that hits a contestant depends on what ran before, so it is settled for all.
    """
    bytearray(_LARGE)


def compare(
    benchmark: str,
    work: str,
    unit: str,
    ours: Contestant,
    peers: Sequence[tuple[Contestant, Target | None]],
    runs: int,
) -> list[Row]:
    """Let `ours` play against all peers, `runs` times; one row for each peer."""
    own, *others = play([ours, *(peer for peer, _ in peers)], runs)
    rows = [
        judge(benchmark, work, unit, own, peer.name, figures, target)
        for (peer, target), figures in zip(peers, others, strict=True)
    ]
    return rows or [alone(benchmark, work, unit, own)]


def alone(benchmark: str, work: str, unit: str, figures: Sequence[float]) -> Row:
    """A row without a peer."""
    return Row(benchmark=benchmark, work=work, unit=unit, ours=statistics.median(figures))


def judge(
    benchmark: str,
    work: str,
    unit: str,
    ours: Sequence[float],
    peer_name: str,
    peer: Sequence[float],
    target: Target | None,
) -> Row:
    """Compare figures that were taken by turns."""
    ratios = sorted(own / other for own, other in zip(ours, peer, strict=True))
    ratio = statistics.median(ratios)
    low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
    if target is None:
        verdict = ""
    elif high - low > NOISE * ratio and target.is_reached(low) != target.is_reached(high):
        verdict = "noise"
    else:
        verdict = "reached" if target.is_reached(ratio) else "missed"
    return Row(
        benchmark=benchmark,
        work=work,
        unit=unit,
        ours=statistics.median(ours),
        peer_name=peer_name,
        peer=statistics.median(peer),
        ratio=ratio,
        low=low,
        high=high,
        target=str(target) if target is not None else "",
        verdict=verdict,
    )
