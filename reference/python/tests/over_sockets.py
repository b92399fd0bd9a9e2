# SPDX-License-Identifier: Apache-2.0
"""Coroutine tests over real sockets, and what they share."""

import asyncio
import inspect
from typing import Any

import pytest

from callchannel.server.config import ServerConfig, load_config

TIME_LIMIT = 30
"""Seconds after which a test counts as hanging."""


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """As in the directory above, but for what aiortc still has to do when a connection is closed."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    reports: list[dict[str, Any]] = pyfuncitem.funcargs.get("reports", [])
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
        async with asyncio.timeout(TIME_LIMIT):
            await pyfuncitem.obj(**arguments)
        await asyncio.sleep(0)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            # A connection that is closed while it looks for a path notices within a moment.
            _, left = await asyncio.wait(left, timeout=2)
        assert not left, f"tasks left behind: {left}"

    asyncio.run(run())
    if "reports" not in arguments:
        assert not reports, f"the loop's exception handler was called: {reports}"
    return True


KEY = b"an example key of at least 32 bytes, never to be used"


@pytest.fixture
def key() -> bytes:
    return KEY


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make a configuration on loopback, any free port, with the key of the tests. `text` is a file's."""
    monkeypatch.setenv("CALLCHANNEL_TEST_KEY", KEY.decode())

    def make(**overrides: Any) -> ServerConfig:
        settings = {name.replace("__", "."): value for name, value in overrides.items()}
        if not settings.get("admission.open"):
            settings.setdefault("admission.key_env", "CALLCHANNEL_TEST_KEY")
        return load_config(overrides={"http.port": 0, "server.call_linger": 0, **settings})

    return make
