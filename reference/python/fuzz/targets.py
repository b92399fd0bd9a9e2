# SPDX-License-Identifier: Apache-2.0
"""What there is to fuzz."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from fuzz import memory
from fuzz.programs import Mutate

FOUND = Path(__file__).with_name("found")
"""Inputs that showed a fault once, by target; tests replay them."""
NAMES = ("codec", "endpoint", "relay")


class Target(NamedTuple):
    """One target."""

    name: str
    run: Callable[[bytes], None]
    """Raises where a property does not hold."""
    seeds: Callable[[], Iterator[bytes]]
    mutate: Callable[[bytes, int, int, Mutate], bytes] | None
    """Changes an input; None: by the fuzzer's own means."""
    memory: int
    """Bytes of objects that a run never holds."""
    longest: int
    """Bytes of an input."""

    def run_measured(self, data: bytes) -> None:
        """Run, and look at the memory."""
        held = memory.peak(self.run, data)
        assert held <= self.memory, f"{held:,} bytes were held, the most is {self.memory:,}"

    def found(self) -> list[Path]:
        """Files to replay."""
        return sorted((FOUND / self.name).glob("*.bin"))


def load(name: str) -> Target:
    """A target by its name."""
    module = importlib.import_module(f"fuzz.{name}")
    # A program's first byte says how it begins; the mutator is for what follows.
    inner = module.mutate

    def mutate(data: bytes, most: int, seed: int, change: Mutate) -> bytes:
        head = bytes([data[0] if data and seed % 16 else seed % 256])
        return bytes(head + inner(data[1:], most - 1, seed, change))

    return Target(
        name,
        module.run,
        module.seeds,
        mutate if inner is not None else None,
        getattr(module, "MEMORY", 1 << 20),
        16_384 if name == "codec" else 8_192,
    )
