# SPDX-License-Identifier: Apache-2.0
"""Standard input, whatever it is: a terminal, a pipe or a file.

An event loop can't wait for files, so a thread reads. It never reads far ahead of whoever asks, and never holds up the
end of the process: it is a daemon, and uses no file object, whose lock it could keep.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import sys
import threading
from collections.abc import AsyncIterator
from typing import Final

LONGEST: Final = 1 << 20
"""Bytes of a line; what is longer comes in parts."""

_READ: Final = 65_536
_AHEAD: Final = 4


class Pieces:
    """An asynchronous iterator over the bytes of a file descriptor, in pieces as they come."""

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = sys.stdin.fileno() if descriptor is None else descriptor
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(_AHEAD)
        self._is_over = False
        threading.Thread(target=self._read, name="standard input", daemon=True).start()

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> bytes:
        piece = b"" if self._is_over else await self._queue.get()
        if not piece:
            self._is_over = True
            raise StopAsyncIteration
        return piece

    def _read(self) -> None:
        piece = b"-"
        while piece:
            try:
                piece = os.read(self._descriptor, _READ)
            except OSError:
                piece = b""  # the descriptor was closed: there is no more
            putting = self._queue.put(piece)
            try:
                asyncio.run_coroutine_threadsafe(putting, self._loop).result()
            except (RuntimeError, concurrent.futures.CancelledError):
                putting.close()
                return  # the loop has ended


async def lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The lines in `pieces`, without their ends."""
    rest = b""
    async for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r")
        if len(rest) >= LONGEST:
            yield rest
            rest = b""
    if rest:
        yield rest
