# SPDX-License-Identifier: Apache-2.0
"""Memory, measured."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator

import pytest


@pytest.fixture
def measured() -> Iterator[Callable[[], int]]:
    """Bytes of Python objects that a test has made and not let go. It makes a test about five times slower."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]

    def grown() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before

    yield grown
    tracemalloc.stop()
