# SPDX-License-Identifier: Apache-2.0
"""The main pages in a browser: nothing serious for axe-core, nothing wider than the window, nothing in the console.

It needs Chromium; `CHROMIUM` names another program than `chromium`. Where there is none the tests are skipped, in CI
they fail.
"""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

Scheme = Literal["dark", "light"]

PAGES = {
    "home": "",
    "tutorial": "tutorial/",
    "chapter with bit diagrams": "standard/03-frames/",
    "chapter with state tables": "standard/05-sessions/",
    "vectors": "standard/vectors/",
    "matrix": "conformance/matrix/",
    "example report": "conformance/example-report.html",
    "decoder": "decoder/#hex=010100120000000200000005000000016869&lane=reliable",
    "Python": "reference/python/",
    "JavaScript": "reference/javascript/",
    "settings": "reference/configuration/",
}
LOOKS: list[tuple[Scheme, int]] = [("light", 1280), ("dark", 390)]
ROWS, PARTS = 4, 40
"""Of a long table and a long page so many rows and parts stay: all are made alike, and axe-core looks at each node."""

SHORTEN = """([rows, parts]) => {
    for (const body of document.querySelectorAll("tbody")) {
        for (const row of [...body.children].slice(rows)) row.remove();
    }
    const article = document.querySelector("article.md-content__inner");
    for (const part of article ? [...article.children].slice(parts) : []) part.remove();
    for (const part of [...document.querySelectorAll(".doc-object .doc-object")].slice(parts / 2)) part.remove();
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server of files that does not log."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the site is served."""
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium. Skips where there is none; in CI that is a failure."""
    program = shutil.which(os.environ.get("CHROMIUM", "chromium"))
    if program is None:
        say = "there is no Chromium on this machine: install it, or name one in CHROMIUM"
        if os.environ.get("CI") == "true":
            pytest.fail(say)
        pytest.skip(say)
    with sync_playwright() as playwright:
        # Without its sandbox, which root cannot have; it shows the pages of this project alone.
        found = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.mark.parametrize(("scheme", "width"), LOOKS, ids=str)
@pytest.mark.parametrize("name", PAGES)
def test_page(name: str, scheme: Scheme, width: int, address: str, browser: Browser) -> None:
    # What axe-core needs to run in the page is what the site's own policy forbids: that has a test of its own.
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}, bypass_csp=True)
    try:
        page = context.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address + PAGES[name])
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgba(0, 0, 0, 0)"
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
        page.evaluate(SHORTEN, [ROWS, PARTS])
        assert serious(page) == []
        assert complaints == []
    finally:
        context.close()


def test_a_page_runs_its_scripts_under_its_own_policy(address: str, browser: Browser) -> None:
    page = browser.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(address + PAGES["decoder"])
    page.get_by_text("FRAME_FORMAT").first.wait_for()
    assert complaints == []
    page.close()


def test_what_is_serious_is_found(browser: Browser) -> None:
    page = browser.new_page()
    page.set_content("<html lang=en><title>x</title><main><h1>x</h1><img src='data:,'><p style='color:#ccc'>pale")
    assert {found.partition(":")[0] for found in serious(page)} == {"image-alt", "color-contrast"}
    page.close()


def serious(page: Page) -> list[str]:
    """What axe-core finds to be serious or critical, each with its first place."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{item['id']}: {item['help']}: {item['nodes'][0]['html'][:200]}"
        for item in found
        if item["impact"] in ("serious", "critical")
    ]
