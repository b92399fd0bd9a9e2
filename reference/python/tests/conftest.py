# SPDX-License-Identifier: Apache-2.0
"""Coroutine tests, each in an event loop of its own that has to be left clean."""

import asyncio
import gc
import inspect
import logging
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from callchannel.core import bugs
from callchannel.core.lanes import Lane

bugs.set_reporter(bugs.raise_bug)  # a machine survives its bugs, a test does not

TIME_LIMIT = 30
"""Seconds after which a test counts as hanging: of the loop's clock, which in a loop with virtual time come at once."""


@pytest.fixture(autouse=True)
def logging_restored() -> Iterator[None]:
    """What is logged where is as it was: programs that run inside a test set it for the whole process."""
    logger = logging.getLogger("callchannel")
    before = (logger.level, logger.propagate, list(logger.handlers))
    yield
    logger.level, logger.propagate, logger.handlers = before


class Listener:
    """Notes what a transport reports; `wait` returns when the newest note is the one asked for."""

    def __init__(self) -> None:
        self.notes: list[object] = []
        self.packets: dict[Lane, list[bytes]] = {lane: [] for lane in Lane}
        self.changed = asyncio.Event()
        self.fails = False
        """Whether to raise for each packet, as a listener must not."""

    def note(self, note: object) -> None:
        self.notes.append(note)
        self.changed.set()

    async def wait(self, note: object) -> None:
        while note not in self.notes:
            self.changed.clear()
            await self.changed.wait()

    async def wait_packets(self, lane: Lane, count: int) -> list[bytes]:
        while len(self.packets[lane]) < count:
            self.changed.clear()
            await self.changed.wait()
        return self.packets[lane]

    def transport_up(self, transport: object) -> None:
        self.note("up")

    def packet(self, lane: Lane, packet: bytes) -> None:
        self.packets[lane].append(packet)
        self.changed.set()
        if self.fails:
            raise RuntimeError("the listener failed")

    def writable(self, lane: Lane) -> None:
        self.note(("writable", lane))

    def lossy_changed(self, is_open: bool) -> None:
        self.note(("lossy", is_open))

    def transport_down(self) -> None:
        self.note("down")


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


@pytest.fixture
def new_listener() -> type[Listener]:
    """Makes a listener for a transport."""
    return Listener


@pytest.fixture
def reports() -> list[dict[str, Any]]:
    """What reached the loop's exception handler. A test that does not ask for this fixture fails if anything did."""
    return []


@pytest.fixture(autouse=True)
def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Makes the loop of a coroutine test. Directories whose tests need another one have a fixture of this name."""
    return None


@pytest.fixture
def time_limit() -> float:
    """How long a coroutine test may take by the loop's clock."""
    return TIME_LIMIT


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    reports: list[dict[str, Any]] = arguments.get("reports", [])

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
        async with asyncio.timeout(pyfuncitem.funcargs.get("time_limit", TIME_LIMIT)):
            await pyfuncitem.obj(**arguments)
        for _ in range(20):
            left = asyncio.all_tasks() - {asyncio.current_task()}
            if not left:
                break
            await asyncio.sleep(0)  # what has been cancelled or closed may need some iterations to end
        assert not left, f"tasks left behind: {left}"

    with asyncio.Runner(loop_factory=pyfuncitem.funcargs["loop_factory"]) as runner:
        runner.run(run())
    if "reports" not in arguments:
        assert not reports, f"the loop's exception handler was called: {reports}"
    return True
