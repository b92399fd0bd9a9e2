# SPDX-License-Identifier: Apache-2.0
"""`DataChannelReceiver`: from which an application reads somebody's messages (specification, chapter 5)."""

from __future__ import annotations

import asyncio
import inspect
import os
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from callchannel.aio.files import Progress, save
from callchannel.aio.notices import check_callback
from callchannel.core.errors import (
    CallChannelError,
    DeadlineExceeded,
    ErrorCode,
    InvalidArgument,
    ReceiverClosed,
    StreamAborted,
    error_code,
    error_name,
)
from callchannel.core.events import Participant, ReceiverCreated
from callchannel.core.messages import Message as CoreMessage
from callchannel.core.messages import Priority, Reliability

if TYPE_CHECKING:
    from callchannel.aio.driver import Driver
    from callchannel.core.endpoint import Endpoint
    from callchannel.core.extensions import Metadata

_QUIET: Final = frozenset({ErrorCode.NONE, ErrorCode.CLOSED, ErrorCode.LEFT, ErrorCode.IDLE})
"""Ends of a receiver after which nothing is missing."""

_SIZE: Final = re.compile(r";\s*size=(\d{1,18})\s*(?:;|$)", re.IGNORECASE)


class Message:
    """A message that was received: bytes, and what its sender says of them.

    `content_type` and `name` come from a peer and are not to be trusted. A stream has no `data`; read it from its
    receiver, with `chunks` or `save`.
    """

    __slots__ = ("data", "is_stream", "metadata", "private", "sequence")

    def __init__(self, message: CoreMessage) -> None:
        self.sequence: int = message.sequence
        """Its number in the session. A gap means that something was not for this endpoint, not that it was lost."""
        self.data: bytes = message.data
        self.metadata: Metadata = message.metadata
        self.private: bool = message.private
        """Whether it was for some, not for everyone."""
        self.is_stream: bool = message.is_stream

    @property
    def content_type(self) -> str | None:
        """The media type as its sender gave it."""
        return self.metadata.content_type

    @property
    def name(self) -> str | None:
        """The name as its sender gave it; `safe_name` makes a file name of it."""
        return self.metadata.name

    @property
    def time(self) -> int | None:
        """The sending application's clock, in microseconds."""
        return self.metadata.time

    @property
    def size(self) -> int | None:
        """Bytes that it has; of a stream, those that its sender announces, None if it does not."""
        if not self.is_stream:
            return len(self.data)
        found = _SIZE.search(self.content_type or "")
        return int(found[1]) if found else None

    def text(self) -> str:
        """The bytes as text. Raises `UnicodeDecodeError` if they are not UTF-8."""
        return self.data.decode()

    def __repr__(self) -> str:
        what = "stream" if self.is_stream else f"{len(self.data)} bytes"
        return f"<Message {self.sequence}, {what}>"


class DataChannelReceiver:
    """One session of another participant's sender. Comes from `Call.receivers`.

        async for message in receiver:
            print(receiver.sender_identifier, message.text())

    The iteration ends when the sender was closed, its endpoint has left, or this endpoint leaves, and everything was
    read. If a Reliable session ended otherwise, so that messages may be missing, it raises `ReceiverClosed`;
    `close_reason` says why. Messages that nobody reads hold their sender up, and in the end fail for this endpoint.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        driver: Driver,
        event: ReceiverCreated,
        *,
        registry: dict[int, DataChannelReceiver],
        pumps: set[asyncio.Task[None]],
        report: Callable[[str, Exception], None],
    ) -> None:
        self.channel_id = event.channel
        """The channel under which the sender sends."""
        self.participant: Participant = event.sender
        """Who sends, as they were when the receiver was made."""
        self.reliability: Reliability = event.reliability
        self.priority: Priority = event.priority
        self.close_reason: ErrorCode | int | None = None
        """Why the receiver has ended; None while it is open. NONE: its sender was closed."""
        self._endpoint = endpoint
        self._driver = driver
        self._id = event.receiver
        self._report = report
        self._registry = registry
        self._pumps = pumps
        self._changed = asyncio.Event()
        self._stream: Message | None = None
        self._stream_over = False
        """Whether the last bytes of the stream were handed out."""
        self._left = False
        self._on_close: list[Callable[[DataChannelReceiver], object]] = []
        self._pump: asyncio.Task[None] | None = None

    @property
    def sender_identifier(self) -> str:
        """The identifier of the participant who sends."""
        return self.participant.identity

    @property
    def is_closed(self) -> bool:
        """Whether the receiver has ended and everything was read."""
        return self.close_reason is not None

    # --- reading --------------------------------------------------------------------------------------------------

    def read_message(self) -> Message | None:
        """The next message, or None if there is none now. Does not wait.

        What was not read of a stream before is skipped first. Raises `ReceiverClosed` once the receiver has ended and
        everything was read.
        """
        if self._stream is not None and not self._skip_stream():
            return None
        if self.close_reason is not None:
            raise ReceiverClosed(f"the receiver has ended: {error_name(self.close_reason)}", code=self.close_reason)
        endpoint = self._endpoint
        try:
            found = endpoint.read(self._id, self._driver.now())
        except ReceiverClosed:
            return None  # the event that says why is on its way
        if endpoint.has_news:
            self._driver.wake()
        if found is None:
            return None
        message = Message(found)
        if message.is_stream:
            self._stream, self._stream_over = message, False
        return message

    async def receive(self, timeout: float | None = None) -> Message:
        """Wait for the next message. Raises `ReceiverClosed`, and `DeadlineExceeded` after `timeout` seconds."""
        if timeout is None:
            while (message := self.read_message()) is None:
                await self._wait()
            return message
        if (message := self.read_message()) is not None:
            return message  # the usual case under load needs no timer
        try:
            async with asyncio.timeout(timeout):
                while message is None:
                    await self._wait()
                    message = self.read_message()
                return message
        except TimeoutError as exc:
            raise DeadlineExceeded(f"no message within {timeout:g} s") from exc

    def __aiter__(self) -> DataChannelReceiver:
        return self

    async def __anext__(self) -> Message:
        try:
            while (message := self.read_message()) is None:
                await self._wait()
            return message
        except ReceiverClosed:
            if self._ended_quietly():
                raise StopAsyncIteration from None
            raise

    async def read_chunk(self, message: Message | None = None) -> bytes:
        """Wait for the next bytes of the stream that was read last; empty: it is complete.

        Raises `StreamAborted` when it will not be completed: its sender gave it up, or the session ended within it.
        """
        stream = self._stream
        if message is not None and stream is not message:
            raise InvalidArgument("only the message that was read last can be read as a stream, and only once")
        while stream is not None and stream is self._stream and not self._stream_over:
            chunk = self._next_chunk()
            if chunk:
                return chunk
            if chunk is None:
                await self._wait()
        return b""

    async def chunks(self, message: Message | None = None) -> AsyncIterator[bytes]:
        """The bytes of `message`, by default of the stream that was read last, as they come.

            async for chunk in receiver.chunks(message):
                digest.update(chunk)

        A message that is no stream has one chunk, or none if it is empty. Raises as `read_chunk` does.
        """
        if message is not None and not message.is_stream:
            if message.data:
                yield message.data
            return
        while chunk := await self.read_chunk(message):
            yield chunk

    async def save(
        self,
        message: Message,
        directory: str | os.PathLike[str],
        *,
        progress: Progress | None = None,
        limit: int | None = None,
    ) -> Path:
        """Save a message as a file in `directory`, and return its path.

        The file has the message's name, made harmless; it never lies outside of `directory` and never replaces
        anything: where the name is taken, a number is added. It appears when it is complete, readable for its owner.
        `limit` is the most bytes that it may have. Raises `MessageTooLarge`, `OSError`, and as `read_chunk` does; then,
        and when the task is cancelled, no file is left.
        """
        return await save(self, message, directory, progress=progress, limit=limit)

    def _skip_stream(self) -> bool:
        """Drop what was not read of the last stream. Returns whether that is done."""
        try:
            while self._stream is not None and not self._stream_over:
                if self._next_chunk() is None:
                    return False
        except StreamAborted:
            pass  # nobody was reading it
        self._stream = None
        return True

    def _next_chunk(self) -> bytes | None:
        """The stream's next bytes, maybe empty; None if there are none now."""
        try:
            chunk = self._endpoint.read_stream(self._id, self._driver.now())
        except CallChannelError:
            self._stream = None
            raise
        self._driver.wake()
        if chunk is None:
            return None
        if chunk.last:
            self._stream_over = True
        return chunk.data

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    # --- callbacks ------------------------------------------------------------------------------------------------

    def on_message(self, callback: Callable[[Message], object]) -> None:
        """Call `callback` with each message, one after the other, instead of reading them.

        It may be a coroutine function: the next message then comes when it has returned, and a slow one holds the
        sender up. What it raises goes to the loop's exception handler. Leaving the call ends it.
        """
        if not callable(callback):
            raise InvalidArgument(f"{callback!r} can't be called")
        if self._pump is not None:
            raise InvalidArgument("the receiver has a callback for messages already")
        self._pump = asyncio.get_running_loop().create_task(self._pump_messages(callback))
        self._pumps.add(self._pump)
        self._pump.add_done_callback(self._pumps.discard)

    def on_close(self, callback: Callable[[DataChannelReceiver], object]) -> None:
        """Call `callback` with the receiver once it has ended and everything was read; see `close_reason`."""
        check_callback(callback)
        self._on_close.append(callback)
        if self.is_closed:
            asyncio.get_running_loop().call_soon(self._call_back, callback)

    async def _pump_messages(self, callback: Callable[[Message], object]) -> None:
        try:
            async for message in self:
                try:
                    result = callback(message)
                    if inspect.isawaitable(result):
                        await result
                except Exception as exc:
                    self._report("a message callback raised", exc)
                if self._pump not in self._pumps:
                    return  # the callback has left the call
        except ReceiverClosed:
            pass  # told by `on_close`

    def _call_back(self, callback: Callable[[DataChannelReceiver], object]) -> None:
        try:
            callback(self)
        except Exception as exc:
            self._report("a callback of a closing receiver raised", exc)

    # --- ending ---------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop receiving: unread messages are dropped, and the sender is told that this endpoint takes no more."""
        if not self.is_closed:
            self._endpoint.close_receiver(self._id, self._driver.now())
            self._driver.wake()
            self._stream = None
            self._closed(ErrorCode.CLOSED)

    def _closed(self, code: int) -> None:
        if self.close_reason is None:
            self.close_reason = error_code(code)
            self._registry.pop(self._id, None)
            for callback in self._on_close:
                self._call_back(callback)
        self._changed.set()

    def _readable(self) -> None:
        self._changed.set()

    def _link_ended(self, left: bool) -> None:
        """It ends with its link, or on its own; `left`: this endpoint has left, or is about to."""
        self._left = left
        self._changed.set()

    def _ended_quietly(self) -> bool:
        return self.reliability is Reliability.LOSSY or self._left or self.close_reason in _QUIET

    def __repr__(self) -> str:
        state = "open" if self.close_reason is None else f"closed ({error_name(self.close_reason)})"
        return f"<DataChannelReceiver of {self.sender_identifier!a}, channel {self.channel_id}, {state}>"
