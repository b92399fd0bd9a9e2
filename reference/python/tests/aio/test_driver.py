# SPDX-License-Identifier: Apache-2.0
"""The driver, with a machine that does as it is told."""

import asyncio
from typing import Any

import pytest

from callchannel.aio.driver import Driver
from callchannel.aio.memory import MemoryTransport, memory_pair
from callchannel.aio.transport import DRAIN_TIME, HIGH_WATER
from callchannel.core.events import InternalError
from callchannel.core.lanes import Lane


class Machine:
    """Writes what is queued, notes what it is told, raises where it is told to."""

    def __init__(self) -> None:
        self.queued: dict[tuple[int, Lane], list[bytes]] = {}
        self.dirty: list[int] = []
        self.closing: list[int] = []
        self.happened: list[Any] = []
        self.calls: list[tuple[Any, ...]] = []
        self.at: int | None = None
        self.fails: set[str] = set()
        self.budgets: list[int] = []

    def queue(self, transport: int, lane: Lane, *packets: bytes) -> None:
        self.queued.setdefault((transport, lane), []).extend(packets)
        self.dirty.append(transport)

    def _note(self, name: str, *details: Any) -> None:
        self.calls.append((name, *details))
        if name in self.fails:
            raise RuntimeError(f"{name} failed")

    def transport_up(self, transport: int, now: int, *, lossy: bool, **options: Any) -> None:
        self._note("up", transport, lossy, options)

    def transport_down(self, transport: int, now: int) -> None:
        self._note("down", transport)

    def lossy_lane(self, transport: int, is_open: bool, now: int) -> None:
        self._note("lossy", transport, is_open)

    def receive(self, transport: int, lane: Lane, packet: bytes, now: int) -> None:
        self._note("packet", transport, lane, packet)

    def handle_timeout(self, now: int) -> None:
        self.at = None
        self._note("timeout", now)

    def deadline(self) -> int | None:
        return self.at

    @property
    def is_dirty(self) -> bool:
        return bool(self.dirty or self.closing)

    def pull(self, transport: int, lane: Lane, budget: int, now: int) -> list[bytes]:
        if "pull" in self.fails:
            raise RuntimeError("pull failed")
        self.budgets.append(budget)
        queue, taken, size = self.queued.get((transport, lane), []), [], 0
        while queue and size < budget:
            taken.append(queue.pop(0))
            size += len(taken[-1])
        return taken

    def take_dirty(self) -> list[int]:
        dirty, self.dirty = self.dirty, []
        return dirty

    def take_closing(self) -> list[int]:
        closing, self.closing = self.closing, []
        return closing

    def events(self) -> list[Any]:
        events, self.happened = self.happened, []
        return events


class Rig:
    """A driver over one end of a pair, and a listener at the other."""

    def __init__(self, new_listener: Any, **options: Any) -> None:
        self.machine = Machine()
        self.events: list[Any] = []
        self.transports: list[tuple[int, bool]] = []
        self.driver = Driver(
            self.machine, self.events.append, lambda number, is_up: self.transports.append((number, is_up))
        )
        self.near, self.far = memory_pair(**options)
        self.listener = new_listener()

    async def up(self, **options: Any) -> int:
        number = self.driver.attach(self.near, **options)
        self.far.attach(self.listener)
        await self.listener.wait("up")
        await settle()
        return number

    async def close(self) -> None:
        self.far.close()
        await self.driver.close()
        await self.far.wait_closed()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_transport_that_comes_up_is_told_with_its_options(new_listener: Any) -> None:
    rig = Rig(new_listener, lossy=False)
    number = await rig.up(admission="ann")
    assert rig.machine.calls == [("up", number, False, {"admission": "ann"})]
    assert rig.transports == [(number, True)] and rig.driver.is_up(number)
    await rig.close()
    assert not rig.driver.is_up(number) and rig.driver.transports == ()


async def test_what_is_queued_in_one_iteration_leaves_in_one_turn(new_listener: Any) -> None:
    rig = Rig(new_listener)
    number = await rig.up()
    rig.machine.budgets.clear()
    for packet in (b"a", b"b"):
        rig.machine.queue(number, Lane.RELIABLE, packet)
        rig.driver.wake()
    rig.machine.queue(number, Lane.LOSSY, b"c")
    rig.machine.happened.append("event")
    await settle()
    assert rig.events == ["event"]
    assert rig.listener.packets == {Lane.RELIABLE: [b"a", b"b"], Lane.LOSSY: [b"c"]}
    assert len(rig.machine.budgets) == 2  # each lane once: what came was less than there was room for
    await rig.close()


async def test_what_a_packet_brings_is_told_at_once_and_written_soon(new_listener: Any) -> None:
    """Who is told does what follows behind the turn: what is to be written goes first."""
    rig = Rig(new_listener)
    number = await rig.up()
    order: list[str] = []

    def receive(transport: int, lane: Lane, packet: bytes, now: int) -> None:
        if packet == b"answered":
            rig.machine.queue(transport, Lane.RELIABLE, b"answer")
        rig.machine.happened.append(packet)
        rig.machine.at = now + 2_000_000

    def told(event: Any) -> None:
        order.append(f"told {event!r}")
        asyncio.get_running_loop().call_soon(lambda: order.append(f"wrote {len(rig.machine.budgets)} times"))

    rig.machine.receive = receive  # type: ignore[method-assign]
    rig.driver._on_event = told
    rig.machine.budgets.clear()
    rig.driver._attached[number].packet(Lane.RELIABLE, b"plain")
    assert order == ["told b'plain'"]
    await settle()
    assert order.pop() == "wrote 0 times"  # there was no turn, as nothing is to be written; the timer is set
    assert rig.driver._timer_at == rig.machine.at
    rig.driver._attached[number].packet(Lane.RELIABLE, b"answered")
    assert order.pop() == "told b'answered'"
    await settle()
    assert order.pop() == "wrote 2 times"
    assert rig.listener.packets == {Lane.RELIABLE: [b"answer"], Lane.LOSSY: []}
    await rig.close()


async def test_the_buffer_is_filled_to_the_high_water_and_again_when_it_has_drained(new_listener: Any) -> None:
    rig = Rig(new_listener)
    number = await rig.up()
    rig.near.hold()
    rig.machine.queue(number, Lane.RELIABLE, *[bytes(16_384)] * 10)
    rig.driver.wake()
    await settle()
    assert rig.near.buffered(Lane.RELIABLE) == HIGH_WATER
    assert len(rig.machine.queued[number, Lane.RELIABLE]) == 6
    rig.near.release()
    assert len(await rig.listener.wait_packets(Lane.RELIABLE, 10)) == 10
    await rig.close()


async def test_the_lossy_lane_of_the_transport_is_followed(new_listener: Any) -> None:
    rig = Rig(new_listener, lossy=False)
    number = await rig.up()
    rig.machine.queue(number, Lane.LOSSY, b"x")
    rig.driver.wake()
    await settle()
    assert rig.machine.queued[number, Lane.LOSSY] == [b"x"]
    rig.near.set_lossy(True)
    assert await rig.listener.wait_packets(Lane.LOSSY, 1) == [b"x"]
    assert ("lossy", number, True) in rig.machine.calls
    await rig.close()


async def test_the_timer_goes_off_once_for_a_deadline(new_listener: Any) -> None:
    rig = Rig(new_listener)
    await rig.up()
    start = rig.driver.now()
    rig.machine.at = start + 2_000_000
    rig.driver.wake()
    await asyncio.sleep(1)
    rig.machine.at = start + 3_000_000  # later: the timer that is set finds nothing due
    rig.driver.wake()
    await asyncio.sleep(3)
    timeouts = [call for call in rig.machine.calls if call[0] == "timeout"]
    assert len(timeouts) == 1
    assert start + 3_000_000 <= timeouts[0][1] < start + 3_010_000
    await rig.close()


async def test_a_deadline_that_is_over_does_not_spin(new_listener: Any) -> None:
    rig = Rig(new_listener)
    await rig.up()

    class Stubborn(Machine):
        def handle_timeout(self, now: int) -> None:
            self.calls.append(("timeout", now))

    machine = Stubborn()
    machine.at = 0
    driver = Driver(machine, rig.events.append)
    driver.wake()
    await asyncio.sleep(1)
    await driver.close()
    assert 900 <= len(machine.calls) <= 1_001
    await rig.close()


async def test_a_transport_that_the_machine_lets_go_is_drained_and_closed(new_listener: Any) -> None:
    rig = Rig(new_listener)
    number = await rig.up()
    rig.machine.queue(number, Lane.RELIABLE, b"bye")
    rig.machine.closing.append(number)
    rig.driver.wake()
    await rig.far.wait_closed()
    assert rig.listener.packets[Lane.RELIABLE] == [b"bye"]
    assert ("down", number) not in rig.machine.calls  # it knows
    assert rig.transports[-1] == (number, False)
    await rig.close()


async def test_a_bug_that_the_machine_survived_is_reported(new_listener: Any, reports: list[dict[str, Any]]) -> None:
    """CC-SEC-021: it ended a link and went on, and the loop's exception handler has the exception."""
    rig = Rig(new_listener)
    await rig.up()
    event = InternalError(error=RuntimeError("a bug"))
    rig.machine.happened.append(event)
    rig.driver.wake()
    await settle()
    assert [report["exception"] for report in reports] == [event.error]
    assert rig.events == [event]
    await rig.close()


async def test_a_transport_that_is_lost_is_told_once(new_listener: Any) -> None:
    rig = Rig(new_listener)
    number = await rig.up()
    rig.far.cut()
    await rig.listener.wait("down")
    await settle()
    assert rig.machine.calls[-1] == ("down", number)
    assert rig.transports == [(number, True), (number, False)]
    rig.driver.detach(number)
    await rig.close()
    assert rig.machine.calls.count(("down", number)) == 1


async def test_detaching_is_losing_and_closing(new_listener: Any) -> None:
    rig = Rig(new_listener)
    number = await rig.up()
    rig.driver.detach(number)
    rig.far.send(Lane.RELIABLE, b"not heard any more")
    await rig.far.wait_closed()
    assert rig.machine.calls[-1] == ("down", number)
    await rig.close()


async def test_one_that_never_came_up_is_no_news_to_the_machine(new_listener: Any) -> None:
    rig = Rig(new_listener)
    number = rig.driver.attach(rig.near)
    rig.near.cut()
    await rig.near.wait_closed()
    await settle()
    assert rig.machine.calls == [] and rig.transports == [(number, False)]
    await rig.close()


@pytest.mark.parametrize("what", ["up", "packet", "lossy", "pull"])
async def test_a_machine_that_raises_loses_its_transport_and_nothing_else(
    new_listener: Any, reports: list[dict[str, Any]], what: str
) -> None:
    rig = Rig(new_listener)
    rig.machine.fails = {what}
    other, other_far = memory_pair()
    other_listener = new_listener()
    rig.driver.attach(rig.near)
    rig.far.attach(rig.listener)
    await settle()
    rig.far.send(Lane.RELIABLE, b"x")
    rig.near.set_lossy(False)
    rig.driver.wake()
    await rig.listener.wait("down")
    assert [str(report["exception"]) for report in reports] == [f"{what} failed"]
    rig.machine.fails.clear()
    number = rig.driver.attach(other)
    other_far.attach(other_listener)
    await other_listener.wait("up")
    rig.machine.queue(number, Lane.RELIABLE, b"still there")
    rig.driver.wake()
    assert await other_listener.wait_packets(Lane.RELIABLE, 1) == [b"still there"]
    await rig.close()


async def test_a_callback_that_raises_disturbs_nobody(new_listener: Any, reports: list[dict[str, Any]]) -> None:
    machine = Machine()
    seen: list[Any] = []

    def callback(event: Any) -> None:
        seen.append(event)
        raise ValueError(event)

    driver = Driver(machine, callback)
    machine.happened = ["a", "b"]
    driver.wake()
    await settle()
    assert seen == ["a", "b"]
    assert [str(report["exception"]) for report in reports] == ["a", "b"]
    await driver.close()


async def test_closing_ends_in_bounded_time_though_nothing_drains(new_listener: Any) -> None:
    rig = Rig(new_listener)
    number = await rig.up()
    rig.near.hold()
    rig.machine.queue(number, Lane.RELIABLE, b"stuck")
    rig.driver.wake()
    await settle()
    start = asyncio.get_running_loop().time()
    await rig.driver.close()
    assert asyncio.get_running_loop().time() - start == pytest.approx(DRAIN_TIME)
    rig.driver.wake()
    with pytest.raises(RuntimeError, match="closed"):
        rig.driver.attach(MemoryTransport(True, None))
    await rig.close()


async def test_last_words_go_out_though_the_buffer_is_full(new_listener: Any) -> None:
    rig = Rig(new_listener)
    number = await rig.up()
    rig.near.hold()
    rig.machine.queue(number, Lane.RELIABLE, *[bytes(16_384)] * 4)
    rig.driver.wake()
    await settle()
    rig.machine.queued[number, Lane.RELIABLE].append(b"bye")
    rig.machine.closing.append(number)
    rig.driver.wake()
    await settle()
    rig.near.release()
    assert (await rig.listener.wait_packets(Lane.RELIABLE, 5))[-1] == b"bye"
    await rig.close()


async def test_what_pulling_makes_due_goes_into_the_next_turn(new_listener: Any) -> None:
    rig = Rig(new_listener)
    number = await rig.up()
    pull = rig.machine.pull

    def pull_and_more(transport: int, lane: Lane, budget: int, now: int) -> list[bytes]:
        packets = pull(transport, lane, budget, now)
        if packets == [b"a"]:
            rig.machine.queue(transport, Lane.RELIABLE, b"b")
        return packets

    rig.machine.pull = pull_and_more  # type: ignore[method-assign]
    rig.machine.queue(number, Lane.LOSSY, b"a")
    rig.driver.wake()
    assert await rig.listener.wait_packets(Lane.RELIABLE, 1) == [b"b"]
    await rig.close()


async def test_events_are_handed_out_after_closing(new_listener: Any) -> None:
    rig = Rig(new_listener)
    await rig.up()
    await rig.close()
    rig.machine.happened.append("late")
    rig.driver.wake()
    await settle()
    assert rig.events == ["late"]


async def test_failures_at_the_end_of_a_transport_are_contained(
    new_listener: Any, reports: list[dict[str, Any]]
) -> None:
    rig = Rig(new_listener)
    number = await rig.up()
    rig.transports = None  # type: ignore[assignment]
    rig.machine.fails = {"pull", "down", "timeout"}
    rig.machine.closing.append(number)
    rig.machine.at = 0
    rig.driver.wake()
    await rig.listener.wait("down")
    await asyncio.sleep(1)
    other, far = memory_pair()
    number = rig.driver.attach(other)
    far.attach(new_listener())
    await settle()
    rig.driver.detach(number)
    await far.wait_closed()
    kinds = [str(report["exception"]) for report in reports]
    assert kinds.count("pull failed") == 2 and kinds.count("timeout failed") == 1 and kinds.count("down failed") == 1
    assert all("callchannel" in report["message"] for report in reports)
    await rig.close()
