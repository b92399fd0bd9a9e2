# SPDX-License-Identifier: Apache-2.0
"""Files of 20 MB both ways, given up and refused; a connection that is cut and resumes."""

import asyncio
import hashlib
import random
from pathlib import Path

import pytest
from playwright.async_api import expect

from callchannel.aio import Call
from callchannel.core.errors import CallChannelError, ErrorCode
from callchannel.core.events import ParticipantResumed, ParticipantSuspended
from tests.web.staging import messages, staged, told

SIZE = 20_000_000
SMALLER = 6_000_000
"""Bytes, where a file only has to take a while."""


def made(folder: Path, size: int) -> Path:
    """A file whose bytes do not repeat."""
    path = folder / "some bytes.bin"
    path.write_bytes(random.Random(5).randbytes(size))
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def test_20_mb_both_ways(chromium: str, tmp_path: Path) -> None:
    file = made(tmp_path, SIZE)
    async with staged(chromium) as stage, await stage.python("pia") as pia:
        ann = await stage.person("ann")
        heard = messages(pia, of="ann")
        await ann.page.set_input_files("#files", file)
        got = await anext(heard)
        await heard.aclose()
        assert hashlib.sha256(got.data).hexdigest() == digest(file)
        assert (got.message.name, got.message.size) == (file.name, SIZE)
        await expect(ann.page.locator(".verdict.confirmed")).to_have_text("✓ pia read")

        async with pia.create_sender(to=["ann"], confirm="delivered") as sender:
            report = await sender.send_file(file)
        assert report.reached == ("ann",)
        async with ann.page.expect_download() as downloading:
            await ann.page.locator(".download").click()
        download = await downloading.value
        assert download.suggested_filename == file.name
        assert digest(Path(await download.path())) == digest(file)


async def test_a_file_that_is_given_up_or_refused(chromium: str, tmp_path: Path) -> None:
    file = made(tmp_path, SMALLER)
    async with staged(chromium) as stage, await stage.python("pia") as pia:
        ann = await stage.person("ann")
        failing = asyncio.ensure_future(chunk_by_chunk(pia))
        await ann.page.set_input_files("#files", file)
        cancel = ann.page.get_by_role("button", name="Cancel")
        await expect(ann.page.locator(".transfer .help")).to_contain_text("of 6.0 MB")
        await cancel.click()
        assert await failing == ErrorCode.ABORTED
        await expect(ann.page.locator(".verdict")).to_have_text("taken back")

        async def send() -> None:
            async with pia.create_sender(to=["ann"], confirm="delivered") as sender:
                await sender.send_file(file)

        sending = asyncio.ensure_future(send())
        await ann.page.get_by_role("button", name="Refuse").click()
        with pytest.raises(CallChannelError) as caught:
            await sending
        assert caught.value.code == ErrorCode.CLOSED
        await expect(ann.page.locator(".entry").last).to_contain_text("Not kept.")


async def chunk_by_chunk(call: Call) -> int:
    """Read the first file that comes, slowly enough to be overtaken; returns the code with which it ended."""
    async for receiver in call.receivers():
        async for message in receiver:
            try:
                async for _ in receiver.chunks(message):
                    pass
            except CallChannelError as exc:
                return exc.code
    raise AssertionError("nothing came")


async def test_a_connection_that_is_cut_in_a_file_resumes_and_nothing_is_lost(chromium: str, tmp_path: Path) -> None:
    file = made(tmp_path, SMALLER)
    async with staged(chromium) as stage, await stage.python("pia") as pia:
        ann, bob = await stage.person("ann"), await stage.person("bob")
        heard = messages(pia, of="ann")
        away = asyncio.ensure_future(told(pia, ParticipantSuspended, lambda event: event.participant.identity == "ann"))
        back = asyncio.ensure_future(told(pia, ParticipantResumed, lambda event: event.participant.identity == "ann"))
        await ann.page.set_input_files("#files", file)
        await expect(ann.page.locator(".transfer .help")).to_contain_text("of 6.0 MB")
        for number in range(3):
            await ann.say(f"before {number}")
        await ann.page.click("#cut")
        await ann.say("while it is cut")
        await away
        await back
        await expect(ann.page.locator("#state")).to_have_text("connected")
        await expect(ann.page.locator(".event", has_text="Resumed after")).to_be_visible()
        await expect(ann.page.locator("#figures div", has_text="Resumed")).to_contain_text("1 ×")
        got = [await anext(heard) for _ in range(5)]
        await heard.aclose()
        texts = [one.text for one in got if one.message.name is None]
        assert texts == ["before 0", "before 1", "before 2", "while it is cut"]
        (data,) = [one.data for one in got if one.message.name is not None]
        assert hashlib.sha256(data).hexdigest() == digest(file)
        await bob.reads("while it is cut")
        await ann.verdicts("while it is cut", "✓ bob read", "✓ pia read")
