# SPDX-License-Identifier: Apache-2.0
"""The supply of transports, without a link above it."""

import asyncio
from typing import Any

import pytest

from callchannel.aio.memory import MemoryTransport, memory_pair
from callchannel.aio.reconnecting import FIRST_PAUSE, LONGEST_PAUSE, SPARE, UP_TIME, Connector
from callchannel.core.errors import ErrorCode, LinkLost
from callchannel.signalling.problems import Repeat, SignallingError


class Transports:
    """A driver as the connector sees it, and a `connect` that goes well or not."""

    def __init__(self, *, accepting: bool = False) -> None:
        self.made: list[MemoryTransport] = []
        self.times: list[float] = []
        self.failing: BaseException | None = None
        self.up: set[int] = set()
        self.coming_up = True
        self.detached: list[int] = []
        self.wanted = asyncio.Event()
        self.connector = Connector(self, self.connect, accepting=accepting, draw=lambda: 1.0)  # type: ignore[arg-type]
        self.task = asyncio.create_task(self.connector.run())

    async def connect(self) -> MemoryTransport:
        self.times.append(asyncio.get_running_loop().time())
        if self.failing is not None:
            raise self.failing
        transport, _ = memory_pair()
        self.made.append(transport)
        return transport

    def attach(self, _: Any) -> int:
        number = len(self.made)
        if self.coming_up:
            asyncio.get_running_loop().call_soon(self.change, number, True)
        return number

    def change(self, number: int, is_up: bool) -> None:
        (self.up.add if is_up else self.up.discard)(number)
        self.connector.transport_changed(number, is_up)

    def is_up(self, number: int) -> bool:
        return number in self.up

    def detach(self, number: int) -> None:
        self.detached.append(number)

    @property
    def pauses(self) -> list[float]:
        return [round(after - before, 3) for before, after in zip(self.times, self.times[1:], strict=False)]

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


async def test_a_lost_transport_is_replaced_and_a_living_one_is_not() -> None:
    it = Transports()
    await asyncio.sleep(60)
    assert len(it.made) == 1
    it.connector.worked()
    it.change(1, False)
    await asyncio.sleep(60)
    assert len(it.made) == 2
    assert it.pauses == [60 + FIRST_PAUSE]
    await it.end()


async def test_the_first_failure_is_the_applications() -> None:
    it = Transports()
    it.failing = OSError("no such relay")
    with pytest.raises(OSError, match="no such relay"):
        await it.task


async def test_a_connect_that_is_cancelled_from_within_has_failed() -> None:
    it = Transports()
    it.failing = asyncio.CancelledError()
    with pytest.raises(LinkLost, match="cancelled from within"):
        await it.task
    it = Transports()
    await asyncio.sleep(0.1)
    it.connector.worked()
    it.failing = asyncio.CancelledError()
    it.change(1, False)
    await asyncio.sleep(1)
    assert len(it.made) == 1
    it.failing = None
    await asyncio.sleep(10)
    assert len(it.made) == 2
    await it.end()
    assert it.task.cancelled()


async def test_cancelling_the_connector_cancels_its_connect() -> None:
    it = Transports()
    connecting = asyncio.get_running_loop().create_future()
    it.connector._connect = lambda: connecting
    await asyncio.sleep(0)
    await it.end()
    assert it.task.cancelled() and connecting.cancelled()


async def test_pauses_grow_with_failures_and_begin_anew_when_it_worked() -> None:
    it = Transports()
    await asyncio.sleep(0.1)
    it.connector.worked()
    it.failing = OSError("down")
    it.change(1, False)
    await asyncio.sleep(30)
    assert it.pauses[1:7] == [0.5, 1, 2, 4, LONGEST_PAUSE, LONGEST_PAUSE]
    it.failing = None
    await asyncio.sleep(10)
    it.connector.worked()
    it.times.clear()
    it.failing = OSError("down again")
    now = asyncio.get_running_loop().time()
    it.change(2, False)
    await asyncio.sleep(0.3)
    assert it.times == [pytest.approx(now + FIRST_PAUSE)]
    await it.end()


async def test_a_transport_that_does_not_come_up_is_given_up() -> None:
    it = Transports()
    it.coming_up = False
    await asyncio.sleep(UP_TIME + 0.1)
    assert it.detached == [1]
    it.coming_up = True
    await asyncio.sleep(1)
    assert it.up == {2}
    await it.end()


async def test_an_acceptor_waits_for_the_next_one_beside_the_living() -> None:
    it = Transports(accepting=True)
    await asyncio.sleep(60)
    assert it.up == set(range(1, SPARE + 1))  # one that comes at once every time is not taken without end
    it.change(1, False)
    await asyncio.sleep(1)
    assert len(it.up) == SPARE
    await it.end()


def refusal(repeat: Repeat, retry_after: float | None = None) -> SignallingError:
    return SignallingError(
        "the relay says no", code=ErrorCode.NOT_ADMITTED, problem="call", repeat=repeat, retry_after=retry_after
    )


async def failing(it: Transports, error: Exception) -> None:
    """Lose the first transport, and have `connect` raise from now on."""
    await asyncio.sleep(1)
    it.connector.worked()
    it.times.clear()
    it.failing = error
    it.change(1, False)


async def test_what_the_relay_says_of_time_is_waited_for() -> None:
    """CC-SIG-068: the pause comes on top, so that not all come at that very moment."""
    it = Transports()
    await failing(it, refusal(Repeat.LATER, retry_after=7.0))
    await asyncio.sleep(20)
    assert it.pauses == [7.5, 8.0]
    it.failing = None
    await asyncio.sleep(10)
    assert it.up == {2}
    await it.end()


async def test_a_refusal_for_good_is_not_retried() -> None:
    it = Transports()
    await failing(it, refusal(Repeat.NO))
    with pytest.raises(SignallingError, match="the relay says no"):
        await it.task
    assert len(it.times) == 1


async def test_another_token_may_help_once() -> None:
    """CC-SIG-070: with a change, which `connect` makes when it can."""
    it = Transports()
    await failing(it, refusal(Repeat.TOKEN))
    with pytest.raises(SignallingError):
        await it.task
    assert len(it.times) == 2

    it = Transports()
    await failing(it, refusal(Repeat.TOKEN))
    await asyncio.sleep(0.3)
    it.failing = None
    await asyncio.sleep(2)
    assert it.up == {2}
    it.connector.worked()
    it.failing = refusal(Repeat.TOKEN)  # a new one that has expired by now does not count for the next
    it.times.clear()
    it.change(2, False)
    await asyncio.sleep(0.3)
    assert len(it.times) == 1
    await it.end()


async def test_an_acceptors_refusal_waits_for_the_end_of_what_is_there() -> None:
    it = Transports(accepting=True)
    await asyncio.sleep(0.1)
    it.connector.worked()
    it.change(2, False)
    it.change(3, False)
    it.failing = refusal(Repeat.NO)
    await asyncio.sleep(60)
    assert not it.task.done()
    for number in tuple(it.up):
        it.change(number, False)
    with pytest.raises(SignallingError):
        await it.task
