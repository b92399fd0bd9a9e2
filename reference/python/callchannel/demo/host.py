# SPDX-License-Identifier: Apache-2.0
"""The participant of `demo --web`, in Python: greets who comes, answers, sends back what is sent, moves a pointer."""

from __future__ import annotations

import asyncio
import hashlib
import math
import struct
from collections.abc import Coroutine
from typing import Any, Final

from callchannel.aio import Call, DataChannelReceiver, DataChannelSender, Message
from callchannel.core.errors import CallChannelError
from callchannel.core.events import ParticipantJoined
from callchannel.demo.payloads import png
from callchannel.signalling.client import connect_factory

IDENTITY: Final = "Ada (Python)"

POINTERS: Final = 100
"""The page's channel for pointers: each position is two u16, from the left and from the top."""

_ROUND: Final = 6.0
"""Seconds in which the pointer goes round."""
_PAUSE: Final = 0.1
_LONGEST_ECHO: Final = 200
_SAMPLE: Final = 5_000_000
_LARGEST: Final = 268_435_456

_GREETING: Final = (
    "Hello, {name}. I am a program in Python. Say something and I answer; say “image” or “file” and I send one; "
    "send me a file and I send it back. The pad shows my pointer."
)


class Host:
    """One endpoint that talks. `join`, then `talk` until it is cancelled, then `leave`."""

    def __init__(self, identity: str = IDENTITY) -> None:
        self.identity = identity
        self._call: Call | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def call(self) -> Call:
        """The call that was joined."""
        assert self._call is not None
        return self._call

    async def join(self, url: str, call: str) -> None:
        """Join a call of a relay in open mode. Raises what `Call.join` raises."""
        self._call = await Call.join(connect_factory(url, call, identity=self.identity, ice_servers=[]))

    async def leave(self) -> None:
        """Leave the call, if it was joined."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._call is not None:
            await self._call.leave()

    async def talk(self) -> None:
        """Talk until this task is cancelled, or the call ends."""
        async with self.call.create_sender(confirm="delivered") as sender:
            self.call.on(ParticipantJoined, lambda event: self._greet(sender, event.participant.identity))
            self._start(self._point())
            async for receiver in self.call.receivers():
                if receiver.channel_id != POINTERS:
                    self._start(self._listen(receiver, sender))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(_calmly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- what it says ---------------------------------------------------------------------------------------------

    def _greet(self, sender: DataChannelSender, name: str) -> None:
        if name != self.identity:
            self._start(self._say(sender, _GREETING.format(name=name[:40]), name))

    async def _say(self, sender: DataChannelSender, text: str, *to: str) -> None:
        await sender.send_text(text, to=to)

    async def _listen(self, receiver: DataChannelReceiver, sender: DataChannelSender) -> None:
        async for message in receiver:
            who = receiver.sender_identifier
            if message.is_stream or message.name is not None:
                await self._send_back(receiver, message, who)
            elif (message.content_type or "text/plain").startswith("text/"):
                await self._answer(sender, message.data.decode(errors="replace"), who)

    async def _answer(self, sender: DataChannelSender, text: str, who: str) -> None:
        if text.strip().lower() == "image":
            image = await asyncio.to_thread(png, 256)
            await sender.send(image, to=[who], name="colours.png", content_type="image/png")
        elif text.strip().lower() == "file":
            await self._send_file(bytes(range(256)) * (_SAMPLE // 256), "numbers.bin", "application/octet-stream", who)
        else:
            shown = text if len(text) <= _LONGEST_ECHO else text[:_LONGEST_ECHO] + "…"
            await self._say(sender, f"You said: {shown}", who)

    async def _send_back(self, receiver: DataChannelReceiver, message: Message, who: str) -> None:
        if message.is_stream:
            parts = [part async for part in receiver.chunks(message)] if (message.size or 0) <= _LARGEST else []
            data = b"".join(parts)
        else:
            data = message.data
        kind = (message.content_type or "application/octet-stream").partition(";")[0]
        await self._send_file(data, message.name or "file", kind, who)
        async with self.call.create_sender(to=[who]) as sender:
            await sender.send_text(f"{len(data):,} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}")

    async def _send_file(self, data: bytes, name: str, kind: str, who: str) -> None:
        async with (
            self.call.create_sender(to=[who], confirm="delivered") as sender,
            sender.open_stream(name=name, content_type=f"{kind};size={len(data)}") as stream,
        ):
            await stream.write(data)

    async def _point(self) -> None:
        """Move the pointer while anybody is there to see it."""
        async with self.call.create_sender(channel=POINTERS, reliability="lossy", latest=True) as sender:
            step = 0
            while True:
                if len(self.call.participants) > 1:
                    angle = step * _PAUSE / _ROUND * math.tau
                    x, y = 0.5 + 0.3 * math.cos(angle), 0.5 + 0.3 * math.sin(angle)
                    await sender.send(struct.pack(">HH", round(x * 65_535), round(y * 65_535)))
                    step += 1
                await asyncio.sleep(_PAUSE)


async def _calmly(work: Coroutine[Any, Any, None]) -> None:
    """Do something for a participant who may leave, refuse or be lost at any moment: that ends it, and no more."""
    try:
        await work
    except CallChannelError:
        return
