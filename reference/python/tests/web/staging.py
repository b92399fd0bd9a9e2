# SPDX-License-Identifier: Apache-2.0
"""A relay with its page, a real Chromium, and people in it: what the tests of the page share.

Nothing waits for a clock: `expect` of Playwright waits until a page shows what it should, and fails after a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from callchannel.aio import Call, DataChannelReceiver, Message
from callchannel.server import RelayServer, load_config
from callchannel.signalling.client import connect_factory

LIBRARY = Path(__file__).parents[3] / "javascript"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    # A page whose address is never asked has no place in the network: it could not reach this machine else.
    "--disable-features=LocalNetworkAccessChecks",
)
PATIENCE = 40_000
"""Milliseconds that a page may take to show something, on a machine that does much else."""

HARNESS = "http://localhost:1/"
"""An address that is never asked: the answers come from `harness`."""

expect.set_options(timeout=PATIENCE)


def chromium_path() -> str | None:
    """The Chromium to test with: the environment's, else the system's."""
    given = os.environ.get("CHROMIUM")
    found = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    return given or next((path for path in found if path), None)


@dataclass
class Person:
    """A page, and what it told its console."""

    page: Page
    name: str
    errors: list[str] = field(default_factory=list)
    is_crashed: bool = False

    async def join(self, call: str = "tea") -> None:
        await self.page.fill("#call-name", call)
        await self.page.fill("#identity", self.name)
        await self.page.click("#join")
        await expect(self.page.locator("#state")).to_have_text("connected")

    async def leave(self) -> None:
        """Leave the call, if this page is in one."""
        if not self.page.is_closed() and not self.is_crashed and await self.page.locator("#leave").is_visible():
            await self.page.click("#leave")
            await expect(self.page.locator("#state")).to_have_text("not in a call")

    async def say(self, text: str) -> None:
        await self.page.fill("#text", text)
        await self.page.press("#text", "Enter")

    async def choose(self, mode: str, *names: str) -> None:
        await self.page.select_option("#to", mode)
        for label in await self.page.locator("#to-whom label").all():
            await label.locator("input").set_checked((await label.inner_text()).strip() in names)

    def entry(self, text: str) -> Any:
        """The message with this text."""
        return self.page.locator("#log > .entry").filter(has=self.page.locator(".text", has_text=exactly(text)))

    def person(self, name: str) -> Any:
        return self.page.locator("#people .person").filter(has_text=name)

    async def reads(self, text: str) -> None:
        await expect(self.entry(text)).to_have_count(1)

    async def verdicts(self, text: str, *wanted: str) -> None:
        """What became of a message, in any order."""
        fate = self.entry(text).locator(".verdict")
        await expect(fate).to_have_count(len(wanted))
        await expect(self.entry(text).locator(".verdict.pending")).to_have_count(0)
        assert sorted(await fate.all_inner_texts()) == sorted(wanted)


def exactly(text: str) -> re.Pattern[str]:
    return re.compile(rf"^{re.escape(text)}$")


class Stage:
    """What is there in a test."""

    def __init__(self, browser: Browser, server: RelayServer) -> None:
        self.browser = browser
        self.server = server
        self.people: list[Person] = []
        self._ending: contextlib.AsyncExitStack

    async def person(self, name: str, *, joins: bool = True, **context: Any) -> Person:
        """Open the page in a browser of its own, as somebody."""
        made = await self.browser.new_context(**context)
        person = Person(await made.new_page(), name)
        person.page.set_default_timeout(PATIENCE)
        person.page.on("pageerror", lambda error: person.errors.append(str(error)))
        person.page.on(
            "console", lambda message: person.errors.append(message.text) if message.type == "error" else None
        )
        self.people.append(person)
        await person.page.goto(self.server.url + "/")
        if joins:
            await person.join()
        return person

    async def python(self, identity: str, call: str = "tea") -> Call:
        """Join with the Python implementation."""
        return await Call.join(connect_factory(self.server.url, call, identity=identity, ice_servers=[]))


@contextlib.asynccontextmanager
async def staged(chromium: str, **settings: Any) -> AsyncIterator[Stage]:
    """Start a relay and a browser; end both. Whatever a page's console calls an error fails the test."""
    values = {name.replace("__", "."): value for name, value in settings.items()}
    overrides = {"http.port": 0, "http.page": True, "admission.open": True, "limits.relay_drain_time": 1000, **values}
    async with launched(chromium) as browser, RelayServer(load_config(env={}, overrides=overrides)) as server:
        stage = Stage(browser, server)
        yield stage
        await asyncio.gather(*(person.leave() for person in stage.people))
        for person in stage.people:
            assert person.errors == [], person.name


@contextlib.asynccontextmanager
async def launched(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            await browser.close()


async def harness(context: BrowserContext) -> Page:
    """An empty page that can import the JavaScript implementation, and nothing else."""

    async def answer(route: Any) -> None:
        path = route.request.url.removeprefix(HARNESS)
        if path == "":
            await route.fulfill(body="<!doctype html><title>harness</title>", content_type="text/html")
        else:
            file = LIBRARY / path
            await route.fulfill(body=file.read_text("utf-8"), content_type="text/javascript")

    await context.route(HARNESS + "**", answer)
    page = await context.new_page()
    page.set_default_timeout(PATIENCE)
    await page.goto(HARNESS)
    return page


@dataclass(frozen=True)
class Heard:
    """A message that a Python participant has read."""

    receiver: DataChannelReceiver
    message: Message
    data: bytes

    @property
    def text(self) -> str:
        return self.data.decode()


async def messages(call: Call, *, of: str) -> AsyncIterator[Heard]:
    """What somebody sends to a Python participant, of all sessions."""
    queue: asyncio.Queue[Heard] = asyncio.Queue()

    async def listen(receiver: DataChannelReceiver) -> None:
        async for message in receiver:
            parts = [part async for part in receiver.chunks(message)] if message.is_stream else [message.data]
            await queue.put(Heard(receiver, message, b"".join(parts)))

    async def accept() -> None:
        async with asyncio.TaskGroup() as group:
            async for receiver in call.receivers():
                if receiver.sender_identifier == of:
                    group.create_task(listen(receiver))

    task = asyncio.get_running_loop().create_task(accept())
    try:
        while True:
            yield await queue.get()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def told(call: Call, kind: type, matches: Callable[[Any], bool]) -> Any:
    """The next event of a Python participant that matches."""
    events = call.events()
    async for event in events:
        if isinstance(event, kind) and matches(event):
            events.close()
            return event
    raise AssertionError("the call has ended")
