# SPDX-License-Identifier: Apache-2.0
"""Coroutine tests over real sockets, as those of the server are."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

_spec = importlib.util.spec_from_file_location(
    "callchannel_server_conftest", Path(__file__).parents[1] / "server" / "conftest.py"
)
assert _spec is not None and _spec.loader is not None
_server: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_server)

configure = _server.configure
key = _server.key


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    result: bool | None = _server.pytest_pyfunc_call(pyfuncitem)
    return result
