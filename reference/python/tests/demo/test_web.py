# SPDX-License-Identifier: Apache-2.0
import asyncio
import io
import json
import socket
import struct
from typing import Any

import aiohttp
import pytest

from callchannel.aio import Call, DataChannelReceiver, Message
from callchannel.cli.output import Output
from callchannel.demo import web
from callchannel.demo.host import IDENTITY, POINTERS
from callchannel.server import ConfigError
from callchannel.signalling.client import connect_factory


class Lines(io.StringIO):
    """What is printed, and a way to wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.printed = asyncio.Event()

    def write(self, text: str) -> int:
        self.printed.set()
        return super().write(text)


async def serve(port: int | None) -> tuple[asyncio.Task[None], dict[str, Any]]:
    lines = Lines()
    task = asyncio.get_running_loop().create_task(web.run_web(Output(lines, json=True), port))
    printed = asyncio.get_running_loop().create_task(lines.printed.wait())
    await asyncio.wait((task, printed), return_when=asyncio.FIRST_COMPLETED)
    printed.cancel()
    if task.done():
        await task
    return task, json.loads(lines.getvalue())


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_participant_greets_answers_and_sends_back() -> None:
    task, event = await serve(0)
    assert event["page"] == event["url"] + "/#call=" + event["call"]
    async with aiohttp.ClientSession() as session, session.get(event["url"] + "/") as response:
        assert response.status == 200
    connect = connect_factory(event["url"], event["call"], identity="ann", ice_servers=[])
    heard: asyncio.Queue[tuple[str | None, bytes]] = asyncio.Queue()
    pointed = asyncio.Event()

    async def listen(receiver: DataChannelReceiver) -> None:
        assert receiver.sender_identifier == IDENTITY
        async for message in receiver:
            if receiver.channel_id == POINTERS:
                assert all(0 <= value <= 65_535 for value in struct.unpack(">HH", message.data))
                pointed.set()
            else:
                await heard.put((message.name, await bytes_of(receiver, message)))

    async with asyncio.TaskGroup() as group, await Call.join(connect) as call:

        async def accept() -> None:
            async for receiver in call.receivers():
                group.create_task(listen(receiver))

        group.create_task(accept())
        assert (await heard.get())[1].startswith(b"Hello, ann.")
        async with call.create_sender(confirm="delivered") as sender:
            await sender.send_text("how are you?")
            assert await heard.get() == (None, b"You said: how are you?")
            await sender.send_text(" Image ")
            name, data = await heard.get()
            assert (name, data[:4]) == ("colours.png", b"\x89PNG")
            await sender.send_text("file")
            name, data = await heard.get()
            assert (name, len(data)) == ("numbers.bin", 4_999_936)
            await sender.send(b"x" * 100, name="mine.txt", content_type="text/plain")
            assert await heard.get() == ("mine.txt", b"x" * 100)
            assert (await heard.get())[1].startswith(b"100 bytes, SHA-256 ")
        await pointed.wait()
        await call.leave()
    await stop(task)


async def bytes_of(receiver: DataChannelReceiver, message: Message) -> bytes:
    return b"".join([part async for part in receiver.chunks(message)]) if message.is_stream else message.data


async def test_a_port_that_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match="can't be listened on"):
            await serve(port)
        monkeypatch.setattr(web, "USUAL_PORT", port)
        task, event = await serve(None)
        assert f":{port}/" not in event["page"]
        await stop(task)
