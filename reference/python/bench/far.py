# SPDX-License-Identifier: Apache-2.0
"""The other process of the benchmarks over aiortc: `python -m bench.far KIND SIZE COUNT`.

It answers an offer that comes by standard input. On `BULK` it checks each message against what was to come, and says
so when `COUNT` have come; on `ECHO` it sends back what it gets; of `LOSSY` it notes when each message came, and tells
at the end of its input.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

from bench.ends import BULK, ECHO, LOSSY, End, answer_of
from bench.messages import Messages


class Far:
    """What is done with messages."""

    def __init__(self, size: int, count: int) -> None:
        self._messages = Messages(size)
        self._count = count
        self._received = 0
        self._end: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[None]] = set()
        self.arrivals: dict[int, float] = {}
        """Of Lossy messages: number, and seconds on the way."""

    def connected(self, end: End) -> None:
        """The end is there."""
        self._end.set_result(end)

    def on_message(self, channel: int, message: bytes) -> None:
        """Check, echo or note a message."""
        if channel == ECHO:
            self._reply(ECHO, message)
        elif channel == LOSSY:
            number, sent = Messages.stamp_of(message)
            self.arrivals[number] = (time.monotonic_ns() - sent) / 1e9
        else:
            self._messages.check(message, self._received)
            self._received += 1
            if self._received == self._count:
                self._received = 0
                self._reply(BULK, b"done")

    def _reply(self, channel: int, message: bytes) -> None:
        task = asyncio.ensure_future(self._send(channel, message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, channel: int, message: bytes) -> None:
        end = await self._end  # a message may come before this side knows that it is connected
        await end.send(channel, message)


def _say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


async def _main(kind: str, size: int, count: int) -> None:
    lines = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    offers: asyncio.Queue[str] = asyncio.Queue()

    async def next_offer() -> tuple[str, Callable[[str], Awaitable[None]]]:
        async def reply(answer: str) -> None:
            _say(answer=answer)

        return await offers.get(), reply

    async def serve() -> End:
        end = await answer_of(kind, next_offer, far.on_message)
        far.connected(end)
        return end

    far = Far(size, count)
    serving = asyncio.create_task(serve())
    while line := await lines.readline():
        offers.put_nowait(json.loads(line)["offer"])
    if not serving.done():
        serving.cancel()
        return  # the other side has given up before it was connected
    end = serving.result()
    _say(arrivals=far.arrivals)
    await end.close()


if __name__ == "__main__":
    uvloop.run(_main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
