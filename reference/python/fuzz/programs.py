# SPDX-License-Identifier: Apache-2.0
"""The input of the targets for machines: bytes that are read as a program of operations.

An operation is one byte for its kind, two for the length of its body, and the body. Every string of bytes is a program,
so that a fuzzer may change anything; and operations can be told apart, so that its mutator can move whole ones.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeVar

VECTORS = Path(__file__).resolve().parents[3] / "spec" / "vectors"
ItemT = TypeVar("ItemT")


class Kind(IntEnum):
    """What an operation does."""

    RELIABLE = 0
    """The body is a packet for the reliable lane."""
    LOSSY = 1
    """The body is a packet for the lossy lane."""
    FRAMES = 2
    """Frames that fit the state, as the body chooses, and perhaps a fault in them."""
    COMMAND = 3
    """What the application does."""
    TIME = 4
    TRANSPORT = 5
    TALK = 6
    """The other side takes what the machine writes, and acknowledges it, or not."""


KINDS = tuple(Kind)


class Operation(NamedTuple):
    """One step of a program."""

    kind: Kind
    body: bytes

    def encode(self) -> bytes:
        """The operation's bytes."""
        return bytes([self.kind]) + len(self.body).to_bytes(2, "big") + self.body


def operations(program: bytes) -> Iterator[Operation]:
    """The operations of any bytes."""
    at = 0
    while at < len(program):
        length = int.from_bytes(program[at + 1 : at + 3], "big")
        yield Operation(KINDS[program[at] % len(KINDS)], program[at + 3 : at + 3 + length])
        at += 3 + length


class Choices:
    """Reads decisions from bytes; at their end every decision is the first one."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def byte(self) -> int:
        """0 to 255."""
        at = self._at
        self._at = at + 1
        return self._data[at] if at < len(self._data) else 0

    def number(self, size: int) -> int:
        """Of so many bytes."""
        value = 0
        for _ in range(size):
            value = value << 8 | self.byte()
        return value

    def one_in(self, count: int) -> bool:
        """True for one value of a byte in `count`."""
        return self.byte() % count == count - 1

    def pick(self, items: Sequence[ItemT]) -> ItemT:
        """One of some."""
        return items[self.byte() % len(items)]

    def payload(self) -> bytes:
        """Some payload, mostly short."""
        size = self.pick((0, 1, 2, 16, 100, 512, 1_000, 4_000, 16_000))
        return bytes([self.byte()]) * size


# --- seeds and mutation --------------------------------------------------------------------------------------------


@cache
def packets() -> tuple[tuple[Kind, bytes], ...]:
    """The packets of the standard's vectors, valid and not, with their lanes."""
    found: list[tuple[Kind, bytes]] = []
    for path in sorted(VECTORS.glob("*.json")):
        for vector in json.loads(path.read_text(encoding="utf-8")).get("vectors", ()):
            kind = Kind.LOSSY if vector.get("lane") == "lossy" else Kind.RELIABLE
            found.append((kind, bytes.fromhex(vector["hex"])))
    return tuple(found)


def seeds(count: int = 60) -> Iterator[bytes]:
    """Programs to begin with: packets of the vectors among operations that bring a machine to where they mean much."""
    chance = random.Random(1)
    for _ in range(count):
        yield b"".join(_random_operation(chance).encode() for _ in range(chance.randrange(2, 40)))


def _random_operation(chance: random.Random) -> Operation:
    kind = chance.choices(KINDS, (2, 1, 8, 3, 1, 1, 4))[0]
    if kind in (Kind.RELIABLE, Kind.LOSSY):
        return Operation(*chance.choice(packets()))
    return Operation(kind, chance.randbytes(chance.randrange(1, 24)))


Mutate = Callable[[bytes, int], bytes]


def mutate(program: bytes, most: int, seed: int, change: Mutate) -> bytes:
    """A mutator that knows operations: it adds, drops, repeats, swaps them, and has `change` alter one body."""
    chance = random.Random(seed)
    found = list(operations(program))
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(found) + 1)
        way = chance.randrange(7) if found else 0
        at_one = at % len(found) if found else 0
        if way in (0, 1):
            found.insert(at, _random_operation(chance))
        elif way == 2:
            del found[at_one]
        elif way == 3:
            found.insert(at, chance.choice(found))
        elif way == 4:
            other = chance.randrange(len(found))
            found[at_one], found[other] = found[other], found[at_one]
        elif way == 5:
            found[at_one : at_one + 3] = found[at_one : at_one + 3] * 2
        else:
            kind, body = found[at_one]
            found[at_one] = Operation(kind, change(body, min(max(2 * len(body), 16), 16_384)))
    result = b"".join(operation.encode() for operation in found)
    return result if len(result) <= most else change(program, most)
