# SPDX-License-Identifier: Apache-2.0
"""Everyone can use the page: what axe-core finds, the keyboard, what is said aloud, a phone's width."""

import os
from typing import Any

import pytest
from playwright.async_api import Page, expect

from callchannel.demo.payloads import png
from tests.web.staging import LIBRARY, staged

AXE = LIBRARY / "node_modules" / "axe-core" / "axe.min.js"
VIEWS = ("chat", "people", "pointers", "link")


@pytest.fixture(scope="module")
def axe() -> str:
    """The source of axe-core, a development dependency of the JavaScript package. In CI it has to be there."""
    if not AXE.exists():
        text = "looking for barriers needs axe-core: run npm ci in reference/javascript"
        if os.environ.get("CI") == "true":
            pytest.fail(text)
        pytest.skip(text)
    return AXE.read_text("utf-8")


async def barriers(page: Page, axe: str) -> list[str]:
    """What axe-core calls serious or critical."""
    await page.evaluate(axe)
    result: dict[str, list[dict[str, Any]]] = await page.evaluate("async () => await axe.run()")
    assert len(result["passes"]) > 20, "it has looked"
    return [
        f"{rule['id']}: {rule['help']}: {[node['html'] for node in rule['nodes']]}"
        for rule in result["violations"]
        if rule["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1360])
async def test_there_are_no_barriers(chromium: str, axe: str, scheme: str, width: int) -> None:
    async with staged(chromium) as stage, await stage.python("pia") as pia:
        # axe makes markup, which the page's policy does not allow.
        context: dict[str, Any] = {"bypass_csp": True, "color_scheme": scheme}
        ann = await stage.person(
            "ann", joins=False, viewport={"width": width, "height": 800}, reduced_motion="reduce", **context
        )
        await ann.page.click("#join")  # says what is missing, or joins with the name that is proposed
        await expect(ann.page.locator("#state")).to_have_text("connected")
        own = (await ann.page.locator("#people .name").first.text_content()) or ""
        async with pia.create_sender(confirm="delivered") as sender:
            await sender.send_text("hello")
            await sender.send(png(64), name="c.png", content_type="image/png")
        await ann.choose("except", "pia")
        await ann.say("to nobody")
        await ann.choose("only", "pia")
        await ann.say("to Pia")
        await pia.leave()
        await expect(ann.page.locator("#people .person")).to_have_count(1)
        await ann.choose("only")
        await ann.say("to none")
        await expect(ann.page.locator(".alert")).to_be_visible()
        assert own
        for view in VIEWS if width < 1000 else VIEWS[:1]:
            if width < 1000:
                await ann.page.click(f"#views [data-view={view}]")
                if view == "link":
                    await ann.page.locator("#frames button").first.click()
            assert await barriers(ann.page, axe) == []
            wide = await ann.page.evaluate("document.documentElement.scrollWidth > innerWidth")
            assert not wide, "nothing is wider than the window"


async def test_the_door_has_no_barriers_also_where_tokens_are_asked_for(
    chromium: str, axe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with staged(chromium) as stage:
        for tokens in (False, True):
            ann = await stage.person("ann", joins=False, bypass_csp=True)
            if tokens:
                await ann.page.route("**/about.json", lambda route: route.fulfill(json={"admission": "token"}))
                await ann.page.reload()
                await expect(ann.page.locator("#token")).to_be_visible()
                await ann.page.click("#join")
                await expect(ann.page.locator(".alert p")).to_have_text("This relay asks for a token.")
                await expect(ann.page.locator("#token")).to_be_focused()
            assert await barriers(ann.page, axe) == []


async def test_everything_by_the_keyboard(chromium: str) -> None:
    """From the address to a message for one, and a pointer: no mouse."""
    async with staged(chromium) as stage, await stage.python("pia") as pia:
        ann = await stage.person("ann", joins=False)
        keyboard = ann.page.keyboard

        async def tab_to(selector: str) -> None:
            for _ in range(60):
                if await ann.page.locator(selector).evaluate("(element) => element === document.activeElement"):
                    outline = await ann.page.locator(selector).evaluate(
                        "(element) => getComputedStyle(element).outlineStyle"
                    )
                    assert outline != "none" or selector == "#files", f"the focus on {selector} is to be seen"
                    return
                await keyboard.press("Tab")
            raise AssertionError(f"{selector} can't be reached")

        await tab_to("#identity")
        await keyboard.press("Control+A")
        await keyboard.type("ann")
        await keyboard.press("Enter")
        await expect(ann.page.locator("#text")).to_be_focused()
        await tab_to("#to")
        await keyboard.press("o")  # "only …"
        await tab_to("#to-whom input")
        await keyboard.press("Space")
        await tab_to("#text")
        await keyboard.type("by hand")
        await keyboard.press("Enter")
        receiver = await anext(pia.receivers())
        assert (await receiver.receive()).text() == "by hand"
        await ann.verdicts("by hand", "✓ pia read")
        for selector in (
            "#files",
            "#reliability",
            "#cut",
            "#frames-pause",
            "#frames li:first-child button",
            "#leave",
            "#pad",
        ):
            await tab_to(selector)
        await keyboard.press("ArrowUp")
        await expect(ann.page.locator("#pad .pointer")).to_have_text("you")


async def test_what_happens_is_said_aloud(chromium: str) -> None:
    async with staged(chromium) as stage, await stage.python("pia") as pia:
        ann = await stage.person("ann")
        status = ann.page.get_by_role("status")
        async with pia.create_sender(confirm="delivered") as sender:
            await sender.send_text("hello")
        await expect(status).to_have_text("pia: hello")
        await pia.leave()
        await expect(status).to_have_text("pia has left")
        await ann.choose("only")
        await ann.say("x")
        await expect(ann.page.get_by_role("alert")).to_contain_text("Choose at least one recipient")
