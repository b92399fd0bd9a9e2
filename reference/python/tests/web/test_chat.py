# SPDX-License-Identifier: Apache-2.0
"""Two pages and a Python participant in one call: who gets what, and what becomes of it."""

import asyncio
import re

from playwright.async_api import expect

from callchannel.core.errors import ErrorCode
from callchannel.core.events import ParticipantLeft, ParticipantSuspended
from callchannel.demo.payloads import png
from tests.web.staging import messages, staged, told


async def test_texts_to_everyone_to_one_to_some_and_to_everyone_but_one(chromium: str) -> None:
    async with staged(chromium) as stage, await stage.python("pia") as pia:
        ann, bob = await stage.person("ann"), await stage.person("bob")
        await expect(ann.page.locator("#people .person")).to_have_count(3)
        heard = messages(pia, of="ann")
        await ann.say("to all")
        await bob.reads("to all")
        got = await anext(heard)
        assert (got.text, got.message.private, got.receiver.sender_identifier) == ("to all", False, "ann")
        await ann.verdicts("to all", "✓ bob read", "✓ pia read")

        await ann.choose("only", "bob")
        await ann.say("for Bob")
        await bob.reads("for Bob")
        await ann.verdicts("for Bob", "✓ bob read")
        await ann.choose("except", "bob")
        await ann.say("not for Bob")
        got = await anext(heard)
        assert (got.text, got.message.private) == ("not for Bob", True), "and nothing of what was for Bob alone"
        await ann.verdicts("not for Bob", "✓ pia read")
        await ann.choose("only", "bob", "pia")
        await ann.say("for both by name")
        await bob.reads("for both by name")
        assert (await anext(heard)).text == "for both by name"
        await ann.verdicts("for both by name", "✓ bob read", "✓ pia read")
        assert await bob.entry("not for Bob").count() == 0
        await heard.aclose()

        async with pia.create_sender(to=["ann"], confirm="delivered") as sender:
            report = await sender.send_text("Pia to Ann")
        assert report.reached == ("ann",)
        await ann.reads("Pia to Ann")
        assert await bob.entry("Pia to Ann").count() == 0


async def test_lossy_and_high_and_accepted(chromium: str) -> None:
    async with staged(chromium) as stage, await stage.python("pia") as pia:
        ann = await stage.person("ann")
        heard = messages(pia, of="ann")
        await ann.page.select_option("#priority", "high")
        await ann.page.select_option("#confirm", "accepted")
        await ann.say("urgent")
        assert (await anext(heard)).receiver.priority.value == "high"
        await ann.verdicts("urgent", "✓ pia accepted for")
        await ann.page.select_option("#reliability", "lossy")
        await ann.say("fresh")
        got = await anext(heard)
        assert (got.text, got.receiver.reliability.value) == ("fresh", "lossy")
        await ann.verdicts("fresh", "sent; nobody says whether it came")
        await heard.aclose()


async def test_an_image_is_shown(chromium: str) -> None:
    async with staged(chromium) as stage, await stage.python("pia") as pia:
        ann, bob = await stage.person("ann"), await stage.person("bob")
        image = png(256)
        await ann.page.set_input_files("#files", {"name": "c.png", "mimeType": "image/png", "buffer": image})
        heard = messages(pia, of="ann")
        got = await anext(heard)
        await heard.aclose()
        assert (got.data, got.message.name, got.message.size) == (image, "c.png", len(image))
        for person in (ann, bob):
            shown = person.page.locator(".picture")
            await expect(shown).to_be_visible()
            await expect(shown).to_have_js_property("naturalWidth", 256)
        await expect(ann.page.locator(".verdict.confirmed")).to_have_count(2)


async def test_exceptions_are_said(chromium: str) -> None:
    async with staged(chromium) as stage, await stage.python("pia") as pia:
        ann = await stage.person("ann")
        alerts = ann.page.locator("#alerts .alert p")
        await ann.choose("only")
        await ann.say("for nobody")
        await expect(alerts).to_have_text("Choose at least one recipient, or send to everyone.")
        await ann.page.click("#alerts button")
        await ann.choose("everyone")

        await ann.page.select_option("#reliability", "lossy")
        await ann.say("x" * 65_537)
        await expect(ann.page.locator(".verdict.failed")).to_have_text(
            "That is larger than the call takes. Lossy messages have 64 KiB at most."
        )
        await ann.page.select_option("#reliability", "reliable")

        async def refuse() -> None:
            async for receiver in pia.receivers():
                if receiver.reliability.value == "reliable":
                    receiver.close()
                    return

        refusing = asyncio.ensure_future(refuse())
        await ann.say("unwanted")
        await refusing
        await ann.verdicts("unwanted", "✗ pia does not want it")
        heard = messages(pia, of="ann")
        await ann.say("a new attempt")
        assert (await anext(heard)).text == "a new attempt"
        await ann.verdicts("a new attempt", "✓ pia read")
        await heard.aclose()


async def test_joining_says_what_is_wrong(chromium: str) -> None:
    async with staged(chromium) as stage:
        ann = await stage.person("ann", joins=False)
        alert = ann.page.locator("#alerts .alert p")
        await ann.page.fill("#call-name", "no/name")
        await ann.page.click("#join")
        await expect(alert).to_have_text("Give the call a name of letters, digits, and - _ . in between.")
        await expect(ann.page.locator("#call-name")).to_be_focused()
        await ann.page.fill("#call-name", "tea")
        await ann.page.fill("#identity", "")
        await ann.page.click("#join")
        await expect(alert).to_have_text("Say who you are: a name of at most 60 letters.")
        await stage.server.stop()
        await ann.page.fill("#identity", "ann")
        await ann.page.click("#join")
        await expect(alert).to_have_text(
            "The relay does not answer. Is it still running, and can this computer reach it?"
        )
        assert all("ERR_CONNECTION_REFUSED" in error for error in ann.errors)
        ann.errors.clear()


async def test_a_closed_tab_leaves_at_once_and_a_crashed_one_is_lost(chromium: str) -> None:
    async with staged(chromium, limits__resume_window=2000) as stage, await stage.python("pia") as pia:
        ann, bob, eve = await stage.person("ann"), await stage.person("bob"), await stage.person("eve")
        await expect(ann.page.locator("#people .person")).to_have_count(4)
        leaving = asyncio.ensure_future(told(pia, ParticipantLeft, lambda event: event.participant.identity == "bob"))
        await asyncio.sleep(0)
        await bob.page.close()
        assert (await leaving).code == ErrorCode.LEFT
        await expect(ann.person("bob")).to_have_count(0)

        away = asyncio.ensure_future(told(pia, ParticipantSuspended, lambda event: True))
        lost = asyncio.ensure_future(told(pia, ParticipantLeft, lambda event: event.participant.identity == "eve"))
        await asyncio.sleep(0)
        devtools = await eve.page.context.new_cdp_session(eve.page)
        eve.is_crashed = True
        crashing = asyncio.ensure_future(devtools.send("Page.crash"))
        assert (await away).participant.identity == "eve"
        await expect(ann.person("eve")).to_contain_text("offline")
        assert (await lost).code == ErrorCode.LOST
        await expect(ann.person("eve")).to_have_count(0)
        crashing.cancel()


async def test_pointers(chromium: str) -> None:
    async with staged(chromium) as stage:
        ann, bob = await stage.person("ann"), await stage.person("bob")
        await expect(ann.page.locator("#people .person")).to_have_count(2)
        await ann.page.focus("#pad")
        for _ in range(5):
            await ann.page.keyboard.press("ArrowRight")
        pointer = bob.page.locator("#pad .pointer")
        await expect(pointer).to_have_text("ann")
        await expect(pointer).to_have_js_property("style.left", "70%")
        area = await bob.page.locator("#pad").bounding_box()
        assert area is not None
        await bob.page.mouse.move(area["x"] + area["width"] / 4, area["y"] + area["height"] / 2)
        await expect(ann.page.locator("#pad .pointer", has_text="bob")).to_be_visible()


async def test_frames_are_explained_and_figures_shown(chromium: str) -> None:
    async with staged(chromium) as stage, await stage.python("pia") as pia:
        ann = await stage.person("ann")
        heard = messages(pia, of="ann")
        await ann.say("looked at")
        await anext(heard)
        await heard.aclose()
        frame = ann.page.locator("#frames button.sent", has_text="DATA").first
        await frame.focus()
        await ann.page.keyboard.press("Enter")
        rows = ann.page.locator("#frame tbody tr")
        await expect(rows.first).to_have_text(re.compile(r"^001type1 DATA$"))
        await expect(rows.filter(has_text="payload")).to_contain_text("“looked at”")
        await expect(ann.page.locator("#charts .chart")).to_have_count(3)
        await expect(ann.page.locator("#figures div", has_text="Resumed")).to_contain_text("0 ×")


async def test_the_end_stays_in_sight_unless_somebody_reads_above(chromium: str) -> None:
    async with staged(chromium) as stage, await stage.python("pia") as pia:
        ann = await stage.person("ann")
        scroll = ann.page.locator("#log-scroll")
        async with pia.create_sender(confirm="delivered") as sender:
            for number in range(30):
                await sender.send_text(f"line {number}")
            await sender.send(png(256), name="c.png", content_type="image/png")
            await expect(ann.page.locator(".picture")).to_have_js_property("complete", True)
            await expect(ann.page.locator(".download")).to_be_in_viewport()
            await scroll.evaluate("(log) => (log.scrollTop = 0)")
            await expect(ann.entry("line 0")).to_be_in_viewport()
            await sender.send_text("while Ann reads above")
            await ann.reads("while Ann reads above")
        await expect(ann.entry("line 0")).to_be_in_viewport()
        await ann.say("mine is shown")
        await expect(ann.entry("mine is shown")).to_be_in_viewport()
