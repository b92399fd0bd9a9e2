# SPDX-License-Identifier: Apache-2.0
"""`callchannel join`: what is typed, and what is told. The calls are real ones, in memory."""

import argparse
import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from callchannel.aio import Call, MemoryRelay, memory_relay
from callchannel.cli.join import Session, build_parser
from callchannel.cli.output import Output
from callchannel.core.errors import ErrorCode


def arguments(*given: str) -> argparse.Namespace:
    return build_parser().parse_args(["http://127.0.0.1", "tea", *given])


class Typed:
    """What is typed, line by line; `None` waits for the test to call `go_on`."""

    def __init__(self, *lines: str | None) -> None:
        self._lines = lines
        self._gate = asyncio.Event()

    def go_on(self) -> None:
        self._gate.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for line in self._lines:
            if line is None:
                await self._gate.wait()
                self._gate.clear()
            else:
                yield line.encode() + b"\n"


class Scene:
    """A call of ann, who types, and of others, who note what they get."""

    def __init__(self) -> None:
        self.relay: MemoryRelay = memory_relay()
        self.stack = AsyncExitStack()
        self.stream = io.StringIO()
        self.got: dict[str, list[str]] = {}

    async def others(self, *names: str) -> None:
        for name in names:
            call = await self.stack.enter_async_context(await Call.join(self.relay.connect(name)))
            self.got[name] = []
            task = asyncio.create_task(self._note(name, call))
            self.stack.push_async_callback(self._cancel, task)

    async def _note(self, name: str, call: Call) -> None:
        async with asyncio.TaskGroup() as group:
            async for receiver in call.receivers():
                group.create_task(self._read(name, receiver))

    async def _read(self, name: str, receiver: Any) -> None:
        async for message in receiver:
            text = f"file {message.name}" if message.is_stream else message.text()
            self.got[name].append(text)

    @staticmethod
    async def _cancel(task: "asyncio.Task[None]") -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def type(self, *lines: str, options: tuple[str, ...] = (), directory: Path | None = None) -> int:
        return await self.session(Typed(*lines), options, directory)

    async def session(self, typed: Any, options: tuple[str, ...] = (), directory: Path | None = None) -> int:
        given = arguments(*options)
        async with await Call.join(self.relay.connect("ann")) as call:
            await call.wait_for(*self.got)
            output = Output(self.stream, json=given.json)
            return await Session(call, output, given, directory, aiter(typed)).run()

    async def close(self) -> None:
        await self.stack.aclose()
        await self.relay.close()

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()

    def events(self, kind: str) -> list[Any]:
        return [event for event in map(json.loads, self.lines) if event["event"] == kind]


async def test_lines_are_messages_in_their_order() -> None:
    scene = Scene()
    await scene.others("bob", "eve")
    assert await scene.type("one", "", "two", "//three", "ü four") == 0
    assert scene.got == {name: ["one", "two", "/three", "ü four"] for name in ("bob", "eve")}
    assert scene.lines[:3] == [
        '* joined as "ann"',
        '* in the call, besides you: "bob", "eve"',
        "* type to send; /help for more",
    ]
    await scene.close()


async def test_recipients() -> None:
    scene = Scene()
    await scene.others("bob", "eve", "max power")
    code = await scene.type(
        "/to bob 'max power'", "some", "/except bob", "but bob", "/all", "all", "/to eve", "eve alone"
    )
    assert code == 0
    assert scene.got == {
        "bob": ["some", "all"],
        "eve": ["but bob", "all", "eve alone"],
        "max power": ["some", "but bob", "all"],
    }
    assert '* to "bob", "max power"' in scene.lines
    assert '* to everyone but "bob"' in scene.lines
    await scene.close()


async def test_who_does_not_get_it_is_named() -> None:
    scene = Scene()
    await scene.others("bob")
    assert await scene.type("/to zoe bob", "hello", "/to bob", "hello, Bob") == 1
    assert scene.got == {"bob": ["hello, Bob"]}
    assert '* not delivered to "zoe" (UNKNOWN_RECIPIENT)' in scene.lines
    await scene.close()


async def test_nobody_there_is_told() -> None:
    scene = Scene()
    assert await scene.type("hello?") == 0
    assert scene.lines[-1] == "* delivered to nobody: nobody else is in the call"
    await scene.close()


async def test_files(tmp_path: Path) -> None:
    scene = Scene()
    await scene.others("bob", "eve")
    path = tmp_path / "a b.txt"
    path.write_text("content")
    assert await scene.type("/to bob", f"/file '{path}'", f"/file {tmp_path}/gone") == 1
    assert scene.got == {"bob": ["file a b.txt"], "eve": []}
    assert '* "a b.txt": delivered to "bob"' in scene.lines
    assert any("No such file" in line for line in scene.lines)
    await scene.close()


async def test_commands_that_are_none() -> None:
    scene = Scene()
    await scene.others("bob")
    assert await scene.type("/dance \x1b", "/to", "/to 'bob", "/help", "/who", "/quit", "not sent") == 0
    assert scene.got == {"bob": []}
    assert "* /dance \\x1b is no command" in scene.lines
    assert any("quote names in pairs" in line for line in scene.lines)
    assert scene.lines.count("/quit            leave") == 3
    assert scene.lines.count('* in the call, besides you: "bob"') == 2
    await scene.close()


async def test_json() -> None:
    scene = Scene()
    await scene.others("bob")
    assert await scene.type("hi", "/who", "/to zoe", "lost", "/nothing", options=("--json",)) == 1
    assert scene.events("joined")[0]["identity"] == "ann"
    assert [one["identity"] for one in scene.events("who")[0]["participants"]] == ["bob", "ann"]
    assert scene.events("sent")[0]["reached"] == ["bob"]
    assert scene.events("not_delivered")[0]["failed"] == [{"identity": "zoe", "code": "UNKNOWN_RECIPIENT"}]
    assert "is no command" in scene.events("error")[0]["detail"]
    await scene.close()


async def test_coming_and_going_is_told(attack: str, is_harmless: Callable[[str], bool]) -> None:
    scene = Scene()
    typed = Typed(None, "/quit")
    session = asyncio.create_task(scene.session(typed))
    await until(lambda: len(scene.lines) == 3)
    name = f"bob{attack}"
    async with await Call.join(scene.relay.connect(name)) as bob:
        await bob.wait_for("ann")
        scene.relay.transports[name].cut()
        await until(lambda: any("is back" in line for line in scene.lines))
    await until(lambda: any("has left (LEFT)" in line for line in scene.lines))
    typed.go_on()
    assert await session == 0
    assert all(map(is_harmless, scene.lines))
    told = [line for line in scene.lines if line.startswith('* "bob')]
    assert [line.rsplit('" ', 1)[1] for line in told] == [
        "is in the call",
        "has lost the connection",
        "is back",
        "has left (LEFT)",
    ]
    await scene.close()


async def test_what_arrives_is_shown_and_saved(tmp_path: Path) -> None:
    scene = Scene()
    typed = Typed(None)
    session = asyncio.create_task(scene.session(typed, directory=tmp_path))
    async with await Call.join(scene.relay.connect("bob")) as bob:
        await bob.wait_for("ann")
        async with bob.create_sender(confirm="delivered") as sender:
            await sender.send_text("hello")
            await sender.send(b"content", name="../a.txt")
        await until(lambda: any("saved" in line for line in scene.lines))
    typed.go_on()
    assert await session == 0
    assert '"bob": hello' in scene.lines
    assert (tmp_path / "a.txt").read_bytes() == b"content"
    await scene.close()


async def test_a_cut_connection_is_told_and_nothing_is_lost() -> None:
    scene = Scene()
    await scene.others("bob")
    typed = Typed("before", None, "after")
    session = asyncio.create_task(scene.session(typed))
    await until(lambda: scene.got["bob"] == ["before"])
    scene.relay.transports["ann"].cut()
    await until(lambda: any("is back" in line for line in scene.lines))
    typed.go_on()
    assert await session == 0
    assert scene.got["bob"] == ["before", "after"]
    assert "* the connection is lost; what you send waits" in scene.lines
    assert "* the connection is back; nothing was lost" in scene.lines
    await scene.close()


@pytest.mark.parametrize("options", [(), ("--listen",)])
async def test_the_end_of_the_call_ends_it(options: tuple[str, ...]) -> None:
    scene = Scene()
    typed = Typed("hello", None)
    session = asyncio.create_task(scene.session(typed, options))
    await until(lambda: any("joined" in line for line in scene.lines))
    (slot,) = (one.slot for one in scene.relay.relay.participants)
    scene.relay.relay.end_link(slot, ErrorCode.GOING_AWAY, "bye \x1b", scene.relay._driver.now())
    scene.relay._driver.wake()
    assert await session == 3
    assert scene.lines[-1] == "* the call has ended for you (GOING_AWAY: bye \\x1b)"
    await scene.close()


async def test_many_lines_wait_for_their_verdicts() -> None:
    scene = Scene()
    await scene.others("bob")
    texts = [str(number) for number in range(1_000)]
    assert await scene.type(*texts) == 0
    assert scene.got["bob"] == texts
    await scene.close()


async def test_who_failed_in_a_session_gets_what_follows() -> None:
    # CC-ERR, row failed-named: a new sender starts anew.
    scene = Scene()
    relay = scene.relay
    typed = Typed("/to bob", "one", None, "two", None, "three")
    async with await Call.join(relay.connect("bob")) as bob:
        session = asyncio.create_task(scene.session(typed, ("--confirm", "accepted", "--json")))
        receivers = bob.receivers()
        first = await anext(receivers)
        assert (await first.receive()).text() == "one"
        first.close()
        await until(lambda: len(scene.events("sent")) == 1)
        typed.go_on()
        await until(lambda: bool(scene.events("not_delivered")))
        typed.go_on()
        second = await anext(receivers)
        assert (await second.receive()).text() == "three"
        assert await session == 1
    await scene.close()


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop go on until `condition` holds; the test's time limit bounds it."""
    while not condition():
        await asyncio.sleep(0)
