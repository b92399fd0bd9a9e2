# SPDX-License-Identifier: Apache-2.0
"""Standard input: pipes and files, in lines and pieces."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

from callchannel.cli import stdin
from callchannel.cli.stdin import Pieces, lines


async def given(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def collect(source: AsyncIterator[bytes]) -> list[bytes]:
    return [piece async for piece in source]


async def test_lines_do_not_depend_on_the_pieces() -> None:
    data = "eins\nzwei\r\n\ndrei ü".encode()
    for size in range(1, len(data) + 1):
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        assert await collect(lines(given(*pieces))) == [b"eins", b"zwei", b"", "drei ü".encode()]
    assert await collect(lines(given())) == []


async def test_a_line_without_an_end_is_not_kept_for_ever() -> None:
    piece = b"x" * (stdin.LONGEST // 2)
    assert await collect(lines(given(piece, piece, b"y\n"))) == [piece * 2, b"y"]


async def test_a_pipe() -> None:
    near, far = os.pipe()
    pieces = Pieces(near)
    os.write(far, b"one")
    assert await anext(pieces) == b"one"
    os.write(far, b"two")
    assert await anext(pieces) == b"two"
    os.close(far)
    assert await anext(pieces, None) is None
    assert await anext(pieces, None) is None
    os.close(near)


async def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(b"a\n" * 100_000)
    with path.open("rb") as file:
        assert len(await collect(lines(Pieces(file.fileno())))) == 100_000


async def test_a_closed_descriptor_is_an_end() -> None:
    near, far = os.pipe()
    os.close(near)
    os.close(far)
    assert await collect(Pieces(near)) == []


def test_the_end_of_the_loop_ends_the_reading() -> None:
    near, far = os.pipe()

    async def begin() -> None:
        Pieces(near)

    asyncio.run(begin())
    os.write(far, b"too late")
    os.close(far)
    os.close(near)
