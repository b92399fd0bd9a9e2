# SPDX-License-Identifier: Apache-2.0
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from callchannel.server import RelayServer, ServerConfig
from callchannel.web import page as module
from callchannel.web.page import HEADERS, FilesMissing, files

OPEN = {"admission__open": True, "http__page": True}


@asynccontextmanager
async def served(config: ServerConfig) -> AsyncIterator[tuple[RelayServer, aiohttp.ClientSession]]:
    async with RelayServer(config) as server, aiohttp.ClientSession() as session:
        yield server, session


async def test_the_page_and_all_that_it_loads(configure: Any) -> None:
    async with served(configure(**OPEN)) as (server, session):
        async with session.get(server.url + "/") as response:
            assert response.status == 200
            assert response.content_type == "text/html"
            assert {name: response.headers[name] for name in HEADERS} == HEADERS
            text = await response.text()
        addresses = re.findall(r'(?:src|href)="(web/[^"]+)"', text)
        assert {"web/page.js", "web/page.css"} <= set(addresses)
        seen: set[str] = set()
        while addresses:
            address = addresses.pop()
            if address in seen:
                continue
            seen.add(address)
            async with session.get(f"{server.url}/{address}") as response:
                assert response.status == 200, address
                body = await response.text()
            folder = address.rpartition("/")[0]
            addresses += [f"{folder}/{name}" for name in re.findall(r'from "\./([^"]+)";', body)]
        assert "web/callchannel/endpoint.js" in seen
        assert not [name for name in seen if "adapter" in name], "what Node needs is not served"


async def test_nothing_stands_inline_and_nothing_comes_from_elsewhere() -> None:
    served = {name: body.decode() for name, body in files().items()}
    html = served["index.html"]
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:", html)
    for name, text in served.items():
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text) or name.startswith("callchannel/"), name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
            name
        )


async def test_a_file_is_asked_for_again_and_has_not_changed(configure: Any) -> None:
    async with served(configure(**OPEN)) as (server, session):
        async with session.get(server.url + "/web/page.js") as response:
            tag = response.headers["ETag"]
        async with session.get(server.url + "/web/page.js", headers={"If-None-Match": tag}) as response:
            assert (response.status, await response.read()) == (304, b"")
        async with session.head(server.url + "/web/page.js") as response:
            assert (response.status, await response.read()) == (200, b"")
        async with session.post(server.url + "/web/page.js") as response:
            assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "name", ["/web/", "/web/../page.py", "/web/%2e%2e/page.py", "/web/callchannel/adapter.js", "/x"]
)
async def test_nothing_else_is_served(configure: Any, name: str) -> None:
    async with (
        served(configure(**OPEN)) as (server, session),
        session.get(URL(server.url + name, encoded=True)) as response,
    ):
        assert response.status == 404


async def test_it_is_off_unless_it_is_turned_on(configure: Any) -> None:
    async with served(configure(admission__open=True)) as (server, session), session.get(server.url + "/") as response:
        assert response.status == 404


@pytest.mark.parametrize(("is_open", "admission"), [(True, "open"), (False, "token")])
async def test_it_says_how_people_are_admitted(configure: Any, is_open: bool, admission: str) -> None:
    async with (
        served(configure(admission__open=is_open, http__page=True)) as (server, session),
        session.get(server.url + "/web/about.json") as response,
    ):
        assert await response.json() == {"admission": admission}


async def test_a_path_in_front(configure: Any) -> None:
    async with served(configure(http__path="/relay", **OPEN)) as (server, session):
        async with session.get(server.url, allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (308, "/relay/")
        async with session.get(server.url + "/web/page.js") as response:
            assert response.status == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:{port}", 415),
        ("http://localhost:{port}", 415),
        ("http://[::1]:{port}", 415),
        ("http://127.0.0.1", 403),
        ("http://evil.example:{port}", 403),
        ("null", 403),
    ],
)
async def test_its_own_origin_is_on_the_list_and_no_other(configure: Any, origin: str, status: int) -> None:
    # CC-SIG-060: also where a name of somebody else leads here, so `Host` says nothing
    async with served(configure(**OPEN)) as (server, session):
        given = origin.format(port=server.port)
        headers = {"Origin": given, "Host": given.partition("//")[2] or "x", "Content-Type": "text/plain"}
        async with session.post(server.url + "/calls/tea?identity=ann", headers=headers, data=b"") as response:
            assert response.status == status


def test_an_install_without_the_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "_CHECKOUT", tmp_path)
    with pytest.raises(FilesMissing, match="install callchannel anew"):
        files()
