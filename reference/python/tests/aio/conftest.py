# SPDX-License-Identifier: Apache-2.0
"""The tests of this directory run in virtual time: whenever nothing can happen, the clock jumps to the next timer."""

import asyncio
import os
import selectors
from collections.abc import Callable
from typing import Any

import pytest

from callchannel.aio import Call, Driver, MemoryTransport, memory_pair
from callchannel.core.limits import Limits
from callchannel.core.relay import Admission, Relay

VIRTUAL_LIMIT = 3_600
"""Seconds of virtual time that a test may take."""

WORK_LIMIT = 10.0
"""Seconds of real time that a job in a thread may take."""


class _Selector(selectors.DefaultSelector):  # type: ignore[valid-type,misc]
    """Does not wait for time: it tells the loop to go there. It waits for threads, which are not in virtual time."""

    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(WORK_LIMIT if self.loop.jobs and (timeout is None or timeout > 0) else 0)
        self.loop.spins += 1
        if self.loop.spins > VirtualLoop.SPINS:
            raise RuntimeError("something spins: the clock does not get to go on")
        if not ready and not self.loop.jobs:
            if timeout is None:
                raise RuntimeError("deadlock: nothing can happen any more")
            if timeout > 0:
                self.loop.skip(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock stands still while anything can happen."""

    SPINS = 200_000
    """Iterations at one moment after which something is taken to be spinning."""

    def __init__(self) -> None:
        self._virtual = 1_000.0
        self.jobs = 0
        self.spins = 0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self._virtual

    def skip(self, seconds: float) -> None:
        self._virtual += seconds
        self.spins = 0

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        future = super().run_in_executor(executor, func, *args)
        self.jobs += 1
        future.add_done_callback(self._job_done)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        self.jobs += 1  # a thread of its own waits for the others
        try:
            await super().shutdown_default_executor()
        finally:
            self.jobs -= 1

    def _job_done(self, _: Any) -> None:
        self.jobs -= 1


@pytest.fixture(autouse=True)
def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    return VirtualLoop


@pytest.fixture(autouse=True)
def time_limit() -> float:
    return VIRTUAL_LIMIT


class Meeting:
    """A relay in this loop, and calls through it. Use it as an asynchronous context manager."""

    def __init__(self, *, limits: Limits | None = None, policy: Any = None, lossy: bool = True) -> None:
        self.lossy = lossy
        self.relay = Relay(entropy=os.urandom, limits=limits or Limits(), now=_now(), policy=policy)
        self.events: list[Any] = []
        self.driver = Driver(self.relay, self.events.append)
        self.calls: list[Call] = []
        self.near: dict[str, list[MemoryTransport]] = {}
        """The endpoints' ends of the transports that were made, by identity, newest last."""
        self.far: dict[str, list[MemoryTransport]] = {}
        """The relay's ends."""
        self.refusing: Exception | None = None
        """What `connect` raises from now on."""

    def connect(self, identity: str) -> Callable[[], Any]:
        """What `Call.join` takes: makes a transport that the relay admits as `identity`; "": does not admit."""

        async def connect() -> MemoryTransport:
            if self.refusing is not None:
                raise self.refusing
            near, far = memory_pair(lossy=self.lossy)
            self.near.setdefault(identity, []).append(near)
            self.far.setdefault(identity, []).append(far)
            self.driver.attach(far, admission=Admission(identity=identity) if identity else None)
            return near

        return connect

    async def join(self, admitted: str, **options: Any) -> Call:
        call = await Call.join(self.connect(admitted), **options)
        self.calls.append(call)
        return call

    async def join_all(self, *identities: str, **options: Any) -> list[Call]:
        """Join several, and wait until each knows all."""
        calls = [await self.join(identity, **options) for identity in identities]
        for call in calls:
            await call.wait_for(*identities)
        return calls

    def cut(self, identity: str) -> None:
        """Break the newest transport of an endpoint."""
        self.near[identity][-1].cut()

    async def __aenter__(self) -> "Meeting":
        return self

    async def __aexit__(self, *_: object) -> None:
        for call in self.calls:
            await call.leave()
        await self.driver.close()


def _now() -> int:
    return int(asyncio.get_running_loop().time() * 1_000_000)


@pytest.fixture
def meeting() -> type[Meeting]:
    """Makes a group call in one loop."""
    return Meeting


class Pair:
    """A peer-to-peer call in one loop, over transports that are made anew whenever the initiator asks for one."""

    def __init__(self, *, lossy: bool = True) -> None:
        self.lossy = lossy
        self.offered: asyncio.Queue[MemoryTransport] = asyncio.Queue()
        self.near: list[MemoryTransport] = []
        """The initiator's ends, newest last."""
        self.refusing: Exception | None = None

    async def connect(self) -> MemoryTransport:
        if self.refusing is not None:
            raise self.refusing
        near, far = memory_pair(lossy=self.lossy)
        self.near.append(near)
        self.offered.put_nowait(far)
        return near

    async def start(self, **options: Any) -> None:
        self.ann, self.bob = await asyncio.gather(
            Call.peer_to_peer(self.connect, initiator=True, identity="ann", **options),
            Call.peer_to_peer(self.offered.get, initiator=False, identity="bob", peer_identity="ann", **options),
        )

    async def __aenter__(self) -> "Pair":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.ann.leave()
        await self.bob.leave()


@pytest.fixture
def pair() -> type[Pair]:
    """Makes a peer-to-peer call in one loop."""
    return Pair
