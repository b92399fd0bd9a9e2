# SPDX-License-Identifier: Apache-2.0
"""Writing a message whose length is not known when it begins (specification, chapter 6)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final

from callchannel.aio.arguments import Deadline
from callchannel.aio.outbox import Outbox, StreamSending
from callchannel.core.errors import DeadlineExceeded, InvalidArgument, Report, SenderClosed
from callchannel.core.sender import CancelOutcome

if TYPE_CHECKING:
    from callchannel.aio.driver import Driver
    from callchannel.core.endpoint import Endpoint

PIECE: Final = 65_536
"""Bytes that are put into the sender's buffer at a time: no more than the smallest buffer holds."""


class OutgoingStream:
    """A stream on its way. Made by `DataChannelSender.open_stream`; use it as an asynchronous context manager."""

    def __init__(
        self, endpoint: Endpoint, driver: Driver, sender: int, outbox: Outbox, begin: Callable[[], int]
    ) -> None:
        self.bytes_written = 0
        """Bytes that the link has taken so far."""
        self._endpoint = endpoint
        self._driver = driver
        self._sender = sender
        self._outbox = outbox
        self._begin = begin
        self._sending: StreamSending | None = None
        self._finishing = False
        """`finish` was called: what was begun is still written."""
        self._finished = False
        self._aborted = False
        self._writing = asyncio.Lock()

    @property
    def sequence(self) -> int | None:
        """The message's number in its session; None before it has its turn."""
        return None if self._sending is None else self._sending.sequence

    async def __aenter__(self) -> OutgoingStream:
        return await self._enter(Deadline(None))

    async def _enter(self, deadline: Deadline) -> OutgoingStream:
        """Wait for its turn."""
        if self._sending is not None:
            raise InvalidArgument("a stream is used once")
        self._sending = self._outbox.submit_stream(self._begin)
        await self._in_time(self._sending.begun, deadline)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.abort()
        elif not self._aborted:
            await self.finish()

    async def write(self, data: bytes | bytearray | memoryview, timeout: float | None = None) -> None:
        """Add bytes, as soon as there is room for them. Writes of several tasks do not mix.

        Raises `SendTimedOut` after `timeout` seconds. Then, and when the task is cancelled, the stream is given up:
        part of the bytes may be in it. Raises what ended the stream, if something has, and `SenderClosed` behind
        `finish`.
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise InvalidArgument(f"data has to be bytes, it is {type(data).__name__}")
        await self._write(data if isinstance(data, bytes) else bytes(data), Deadline(timeout))

    async def _write(self, payload: bytes, deadline: Deadline) -> None:
        self._open()
        if self._finishing:
            raise SenderClosed("the stream is finished")

        async def write() -> None:
            async with self._writing:
                for start in range(0, len(payload), PIECE):
                    await self._write_piece(payload[start : start + PIECE])

        await self._in_time(write, deadline)

    async def _in_time(self, work: Callable[[], Awaitable[None]], deadline: Deadline) -> None:
        """Do something with the stream. When that is cut short, the stream is given up."""
        try:
            async with asyncio.timeout(deadline.left):
                await work()
        except asyncio.CancelledError:
            self.abort()
            raise
        except DeadlineExceeded:
            raise
        except TimeoutError:
            await self._time_out(deadline)

    async def _time_out(self, deadline: Deadline) -> None:
        """Give the stream up, since the time is over. Raises `SendTimedOut`, or what ended the stream before."""
        self._aborted = True
        await self._open()._time_out(deadline.seconds or 0)

    async def _write_piece(self, piece: bytes) -> None:
        sending = self._open()
        endpoint, driver, sequence = self._endpoint, self._driver, sending.sequence
        assert sequence is not None

        def attempt() -> None:
            endpoint.write_stream(self._sender, sequence, piece, driver.now())
            driver.wake()

        await self._outbox.write(sending, attempt)
        self.bytes_written += len(piece)

    async def finish(self, timeout: float | None = None) -> Report:
        """End the stream behind the writes that were begun, and wait for its verdict. Again: waits again.

        Raises as `DataChannelSender.send` does.
        """
        return await self._finish(Deadline(timeout))

    async def _finish(self, deadline: Deadline) -> Report:
        if not self._finished:
            self._open()
            self._finishing = True
            await self._in_time(self._end, deadline)
        assert self._sending is not None
        return await self._sending._verdict(deadline.left, deadline.seconds)

    async def _end(self) -> None:
        async with self._writing:
            if not self._finished:
                sending = self._open()
                assert sending.sequence is not None
                self._endpoint.finish_stream(self._sender, sending.sequence, self._driver.now())
                self._driver.wake()
                self._finished = True
                self._outbox.close_stream(sending)

    def abort(self) -> CancelOutcome:
        """Give the stream up: nobody gets it, and receivers that have read part of it are told.

        The block may be left without an exception then. Has no effect on a stream that has its verdict.
        """
        if self._sending is None:
            return CancelOutcome.REMOVED
        self._aborted = True
        return self._sending.cancel()

    def _open(self) -> StreamSending:
        if self._sending is None:
            raise InvalidArgument("enter the stream first: `async with sender.open_stream() as stream`")
        if self._sending.done:
            self._sending._future.result()
        return self._sending
