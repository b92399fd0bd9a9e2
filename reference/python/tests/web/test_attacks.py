# SPDX-License-Identifier: Apache-2.0
"""What peers supply is hostile: it stays text, it is no markup, it runs nothing, and its names are harmless."""

from typing import Any

from playwright.async_api import expect

from tests.web.staging import Person, staged

MARKUP = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>top.document.title='owned'</script></svg>"
TURNED = "\u202eexe.gpj\u202c\u0000\n"
PNG = b"\x89PNG\r\n\x1a\n"


async def is_unharmed(person: Person) -> None:
    assert await person.page.title() == "tea · callchannel"
    assert await person.page.locator("img:not(.picture):not(.brand img)").count() == 0
    assert await person.page.locator("script:not([src='web/page.js']), iframe, object, svg svg").count() == 0


async def test_a_name_with_markup_and_a_huge_one(chromium: str) -> None:
    huge = "W" * 200 + "ü" * 27 + "x"  # 255 bytes
    async with staged(chromium) as stage:
        ann = await stage.person("ann")
        async with await stage.python(MARKUP) as mallory, await stage.python(huge), await stage.python(TURNED):
            await expect(ann.page.locator("#people .person")).to_have_count(4)
            names = await ann.page.locator("#people .name").all_inner_texts()
            assert MARKUP[:39] + "…" in names
            assert "W" * 39 + "…" in names
            assert not any(mark in name for name in names for mark in "\u202e\u202c\u0000\n")
            await ann.choose("only", MARKUP[:23] + "…")
            await ann.say("to whoever that is")
            async for receiver in mallory.receivers():
                assert (await receiver.receive()).text() == "to whoever that is"
                break
            await expect(ann.page.locator(".verdict.confirmed")).to_contain_text(MARKUP[:23])
            await is_unharmed(ann)
            width = await ann.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
            assert width[0] <= width[1]


HOSTILE: list[dict[str, Any]] = [
    {"data": MARKUP.encode(), "content_type": "text/html"},
    {"data": MARKUP.encode(), "content_type": "text/plain", "name": "<img src=x onerror=alert(1)>.txt"},
    {"data": SVG, "content_type": "image/svg+xml", "name": "picture.svg"},
    {"data": SVG, "content_type": "image/png", "name": "picture.png"},
    {"data": PNG + SVG, "content_type": "image/png", "name": "broken.png"},
    {"data": b"x", "content_type": "application/x-msdownload", "name": "../../" + TURNED},
    {"data": b"\xff\xfe", "content_type": "text/plain"},
    {"data": b"", "content_type": "image/png", "name": "." * 255},
    {"data": b"y" * 100_000, "content_type": "text/plain;charset=utf-8"},
    {"data": ("\u202e" + "w" * 5_000).encode(), "content_type": "text/plain"},
]


async def test_messages_and_files(chromium: str) -> None:
    async with staged(chromium) as stage, await stage.python("mallory") as mallory:
        ann = await stage.person("ann")
        async with mallory.create_sender(confirm="delivered") as sender:
            for item in HOSTILE:
                report = await sender.send(**item)
                assert report.reached == ("ann",)
        entries = ann.page.locator("#log > .entry")
        await expect(entries).to_have_count(len(HOSTILE))
        await expect(entries.nth(0).locator(".text")).to_have_text(MARKUP)
        await expect(entries.nth(4)).to_contain_text("This image can't be shown.")
        await expect(ann.page.locator(".picture")).to_have_count(0)
        await is_unharmed(ann)
        names = await ann.page.eval_on_selector_all(".download", "all => all.map((link) => link.download)")
        assert names == [
            "_img src=x onerror=alert(1)_.txt",
            "picture.svg",
            "picture.png",
            "broken.png",
            "exe.gpj",
            "file",
            "file",
        ]
        types = await ann.page.evaluate(
            """async () => {
                const links = [...document.querySelectorAll(".download")];
                return links.map((link) => new URL(link.href).protocol);
            }"""
        )
        assert set(types) == {"blob:"}
        await ann.page.get_by_role("button", name="Show all").first.click()
        await expect(ann.page.locator(".text").filter(has_text="y" * 50)).to_have_text("y" * 100_000)


async def test_the_policy_stops_what_would_get_through(chromium: str) -> None:
    """Should text ever become markup, the browser runs nothing of it: this makes it so, and looks."""
    async with staged(chromium) as stage:
        ann = await stage.person("ann")
        told: list[str] = await ann.page.evaluate(
            """async () => {
                const told = [];
                document.addEventListener("securitypolicyviolation", (event) => told.push(event.effectiveDirective));
                try { document.body.insertAdjacentHTML("beforeend", "<b>x</b>"); } catch { told.push("thrown"); }
                const script = document.createElement("script");
                try {
                    script.textContent = "document.title = 'owned'";
                    document.body.append(script);
                } catch { told.push("thrown"); }
                const image = new Image();
                image.src = "http://127.0.0.2:9/x";
                await new Promise((done) => image.addEventListener("error", done));
                try { await fetch("http://127.0.0.2:9/"); } catch { told.push("thrown"); }
                await new Promise((done) => setTimeout(done));
                return told;
            }"""
        )
        assert told.count("thrown") >= 2
        assert {"require-trusted-types-for", "img-src", "connect-src"} <= set(told)
        assert await ann.page.title() == "tea · callchannel"
        ann.errors.clear()


async def test_pointers_that_are_none(chromium: str) -> None:
    async with staged(chromium) as stage, await stage.python("mallory") as mallory:
        ann = await stage.person("ann")
        await mallory.wait_for("ann")
        async with mallory.create_sender(channel=100, reliability="lossy") as sender:
            for data in (b"", b"abc", b"\xff" * 5, b"\xff" * 1_000):
                await sender.send(data)
            await sender.send(b"\xff\xff\xff\xff")
        await expect(ann.page.locator("#pad .pointer")).to_have_js_property("style.left", "100%")
