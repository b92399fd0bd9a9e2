# SPDX-License-Identifier: Apache-2.0
"""These tests run over real sockets, and look at the log."""

import logging
from typing import Any

import pytest

from tests.over_sockets import configure, key, pytest_pyfunc_call

__all__ = ["configure", "key", "pytest_pyfunc_call"]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Any:
    """The log, which has to be free of exceptions, also those of the libraries."""
    caplog.set_level(logging.INFO)
    yield caplog
    assert not [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR]
