# SPDX-License-Identifier: Apache-2.0
"""Does tasks in as many processes as there are processors, each of which does one after another."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, TypeVar

_Key = TypeVar("_Key")
_Outcome = TypeVar("_Outcome")


def each(
    do: Callable[..., _Outcome], tasks: Sequence[tuple[_Key, tuple[Any, ...]]]
) -> Iterator[tuple[_Key, _Outcome | str]]:
    """Call *do* with the arguments of each task; yields its key and what came of it, or of what kind it failed."""
    # A fresh process, not a fork: the adapters of a worker are its own.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=min(os.cpu_count() or 2, len(tasks) or 1), mp_context=context) as pool:
        futures = {pool.submit(do, *arguments): key for key, arguments in tasks}
        for future in as_completed(futures):
            try:
                yield futures[future], future.result()
            except Exception as error:
                yield futures[future], repr(error)
