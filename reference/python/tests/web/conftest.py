# SPDX-License-Identifier: Apache-2.0
"""Coroutine tests over real sockets, as those of the server are, and in a real Chromium where there is one."""

import asyncio
import importlib.util
import inspect
import os
from pathlib import Path
from typing import Any

import pytest

from tests.web.staging import chromium_path

_spec = importlib.util.spec_from_file_location(
    "callchannel_server_conftest", Path(__file__).parents[1] / "server" / "conftest.py"
)
assert _spec is not None and _spec.loader is not None
_server: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_server)

configure = _server.configure
key = _server.key

TIME_LIMIT = 110
"""Seconds after which a test in a browser counts as hanging, on a machine that does much else."""


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if "chromium" not in pyfuncitem.fixturenames or not inspect.iscoroutinefunction(pyfuncitem.obj):
        result: bool | None = _server.pytest_pyfunc_call(pyfuncitem)
        return result
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}

    async def run() -> None:
        async with asyncio.timeout(TIME_LIMIT):
            await pyfuncitem.obj(**arguments)

    asyncio.run(run())
    return True


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium. Without one the tests that need it are skipped; in CI they fail."""
    path = chromium_path()
    if path is None:
        text = "tests in a browser need Chromium: install it (apt-get install chromium), or set CHROMIUM to its path"
        if os.environ.get("CI") == "true":
            pytest.fail(text)
        pytest.skip(text)
    return path
