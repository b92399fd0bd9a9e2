# SPDX-License-Identifier: Apache-2.0
"""Showing and saving what arrives, for `join`. Everything here comes from strangers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from callchannel.aio import DataChannelReceiver, Message
from callchannel.cli.output import Output
from callchannel.core.errors import CallChannelError, MessageTooLarge, ReceiverClosed, error_name
from callchannel.core.messages import Reliability
from callchannel.escaping import quoted, visible

_SHOWN: Final = 4_000
"""Characters of a text that are shown."""


class Arrivals:
    """Writes what a receiver brings to `output`.

    `directory`: where messages with a name, and streams, are saved; None: they are not. `limit`: the most bytes of one.
    """

    def __init__(self, output: Output, directory: Path | None, limit: int) -> None:
        self._output = output
        self._directory = directory
        self._limit = limit

    async def take(self, receiver: DataChannelReceiver) -> None:
        """Show all messages of a receiver, until it ends."""
        try:
            async for message in receiver:
                await self._one(receiver, message)
        except ReceiverClosed as exc:
            self._output.event("receiver_closed", **_origin(receiver), code=error_name(exc.code))
            self._output.line(
                f"* {quoted(receiver.sender_identifier)}: messages may be missing on channel {receiver.channel_id} "
                f"({error_name(exc.code)})"
            )

    async def _one(self, receiver: DataChannelReceiver, message: Message) -> None:
        if (message.is_stream or message.name is not None) and self._directory is not None:
            await self._save(receiver, message, self._directory)
        else:
            self._show(receiver, message)

    def _show(self, receiver: DataChannelReceiver, message: Message) -> None:
        text = None if message.is_stream or message.name is not None else text_of(message)
        self._output.event(
            "message",
            **_origin(receiver),
            **_about(message),
            **({"text": text} if text is not None else {} if message.is_stream else {"data": message.data}),
        )
        head = self._head(receiver, message)
        if text is not None:
            self._output.line(f"{head} {visible(text, _SHOWN)}")
            return
        hint = "; not saved, as --save was not given" if message.is_stream or message.name is not None else ""
        self._output.line(f"{head} ({describe(message)}{hint})")

    async def _save(self, receiver: DataChannelReceiver, message: Message, directory: Path) -> None:
        head = self._head(receiver, message)
        self._output.event("file", **_origin(receiver), **_about(message))
        try:
            path = await receiver.save(
                message, directory, limit=self._limit, progress=self._progress(f"{head} {describe(message)}")
            )
        except ReceiverClosed:
            raise
        except (CallChannelError, OSError) as exc:
            self._output.status("")
            code = error_name(exc.code) if isinstance(exc, CallChannelError) else type(exc).__name__
            self._output.event("not_saved", **_origin(receiver), **_about(message), code=code, detail=str(exc))
            self._output.line(f"{head} ({describe(message)}; not saved: {visible(str(exc))} [{code}])")
            if isinstance(exc, MessageTooLarge) and message.is_stream:
                await _pass_over(receiver, message)
            return
        size = path.stat().st_size
        self._output.status("")
        self._output.event("saved", **_origin(receiver), **_about(message), path=str(path), bytes=size)
        self._output.line(f"{head} saved {quoted(str(path))}, {size:,} bytes")

    def _progress(self, text: str) -> Callable[[int, int | None], None]:
        def progress(done: int, total: int | None) -> None:
            part = f" {min(done, total) * 100 // total} %" if total else ""
            self._output.status(f"{text}{part}, {done:,} bytes")

        return progress

    def _head(self, receiver: DataChannelReceiver, message: Message) -> str:
        marks = [
            mark
            for mark, is_set in (
                ("to some", message.private),
                ("lossy", receiver.reliability is Reliability.LOSSY),
            )
            if is_set
        ]
        name = self._output.style(quoted(receiver.sender_identifier), "bold")
        return f"{name}{' (' + ', '.join(marks) + ')' if marks else ''}:"


async def _pass_over(receiver: DataChannelReceiver, message: Message) -> None:
    """Read the rest of a stream that is not wanted, so that what follows it can come."""
    try:
        async for _ in receiver.chunks(message):
            pass
    except CallChannelError:
        pass  # the stream will not be completed, or the receiver has ended, which its next read tells


def text_of(message: Message) -> str | None:
    """A message as a text, if it is one: by its content type, or, without one, by being UTF-8."""
    kind = message.content_type
    if kind is not None and not kind.lower().startswith("text/"):
        return None
    try:
        return message.text()
    except UnicodeDecodeError:
        return None


def describe(message: Message) -> str:
    """What is known of a message that is not shown."""
    parts = [] if message.name is None else [quoted(message.name, 80)]
    if message.content_type is not None:
        parts.append(visible(message.content_type, 80))
    parts.append("of unknown size" if message.size is None else f"{message.size:,} bytes")
    return ", ".join(parts)


def _origin(receiver: DataChannelReceiver) -> dict[str, object]:
    return {
        "from": receiver.sender_identifier,
        "channel": receiver.channel_id,
        "reliability": receiver.reliability.value,
    }


def _about(message: Message) -> dict[str, object]:
    return {
        "sequence": message.sequence,
        "private": message.private,
        "content_type": message.content_type,
        "name": message.name,
        "size": message.size,
    }
