# SPDX-License-Identifier: Apache-2.0
import asyncio
from typing import Any

import pytest

from callchannel.aio.memory import CAPACITY, MemoryTransport, memory_pair
from callchannel.aio.transport import HIGH_WATER, LOW_WATER
from callchannel.core.lanes import Lane


async def connected(new: Any, **options: Any) -> tuple[MemoryTransport, Any, MemoryTransport, Any]:
    left, right = memory_pair(**options)
    at_left, at_right = new(), new()
    left.attach(at_left)
    right.attach(at_right)
    await at_left.wait("up")
    await at_right.wait("up")
    return left, at_left, right, at_right


async def closed(left: MemoryTransport, right: MemoryTransport) -> None:
    left.close()
    await left.wait_closed()
    await right.wait_closed()


async def test_both_ends_come_up_once_both_listen(new_listener: Any) -> None:
    left, right = memory_pair()
    at_left, at_right = new_listener(), new_listener()
    left.attach(at_left)
    for _ in range(3):
        await asyncio.sleep(0)
    assert at_left.notes == []
    right.attach(at_right)
    await at_left.wait("up")
    await at_right.wait("up")
    await closed(left, right)
    assert at_left.notes == at_right.notes == ["up", "down"]


async def test_packets_arrive_in_order_on_their_lane_and_not_inside_send(new_listener: Any) -> None:
    left, _, right, at_right = await connected(new_listener)
    left.send(Lane.RELIABLE, b"a")
    left.send(Lane.LOSSY, b"b")
    left.send(Lane.RELIABLE, b"c")
    assert at_right.packets[Lane.RELIABLE] == []
    assert left.buffered(Lane.RELIABLE) == 2
    await at_right.wait_packets(Lane.RELIABLE, 2)
    assert at_right.packets == {Lane.RELIABLE: [b"a", b"c"], Lane.LOSSY: [b"b"]}
    assert left.buffered(Lane.RELIABLE) == left.buffered(Lane.LOSSY) == 0
    await closed(left, right)


async def test_writable_is_told_when_the_buffer_falls_to_the_low_water(new_listener: Any) -> None:
    left, at_left, right, at_right = await connected(new_listener)
    left.hold()
    for _ in range(4):
        left.send(Lane.RELIABLE, bytes(LOW_WATER // 2))
    assert left.buffered(Lane.RELIABLE) == HIGH_WATER
    left.release()
    await at_left.wait(("writable", Lane.RELIABLE))
    assert left.buffered(Lane.RELIABLE) <= LOW_WATER
    assert len(at_right.packets[Lane.RELIABLE]) == 4
    await closed(left, right)


async def test_close_delivers_what_is_buffered_and_then_ends_both(new_listener: Any) -> None:
    left, at_left, right, at_right = await connected(new_listener)
    left.send(Lane.RELIABLE, b"last")
    left.close()
    left.close()
    left.send(Lane.RELIABLE, b"too late")
    await right.wait_closed()
    await left.wait_closed()
    assert at_right.packets[Lane.RELIABLE] == [b"last"]
    assert at_left.notes == at_right.notes == ["up", "down"]


async def test_a_cut_loses_what_is_buffered(new_listener: Any) -> None:
    left, at_left, right, at_right = await connected(new_listener)
    left.send(Lane.RELIABLE, b"lost")
    left.cut()
    left.send(Lane.RELIABLE, b"never sent")
    await left.wait_closed()
    await right.wait_closed()
    assert at_right.packets[Lane.RELIABLE] == []
    assert at_left.notes == at_right.notes == ["up", "down"]


async def test_a_reliable_buffer_beyond_its_capacity_breaks_the_pair(new_listener: Any) -> None:
    left, _, right, at_right = await connected(new_listener)
    left.hold()
    left.send(Lane.RELIABLE, bytes(CAPACITY))
    left.send(Lane.RELIABLE, b"x")
    await right.wait_closed()
    assert at_right.notes == ["up", "down"]


async def test_a_lossy_buffer_beyond_its_capacity_drops(new_listener: Any) -> None:
    left, _, right, at_right = await connected(new_listener)
    left.send(Lane.LOSSY, bytes(CAPACITY))
    left.send(Lane.LOSSY, b"x")
    assert left.dropped == 1
    assert len(await at_right.wait_packets(Lane.LOSSY, 1)) == 1
    await closed(left, right)


async def test_lossy_packets_get_lost_where_told(new_listener: Any) -> None:
    left, _, right, at_right = await connected(new_listener, loses=lambda packet: packet == b"b")
    for packet in (b"a", b"b", b"c"):
        left.send(Lane.LOSSY, packet)
    left.send(Lane.RELIABLE, b"b")
    await at_right.wait_packets(Lane.LOSSY, 2)
    assert at_right.packets == {Lane.LOSSY: [b"a", b"c"], Lane.RELIABLE: [b"b"]}
    assert left.dropped == 1
    await closed(left, right)


async def test_the_lossy_lane_may_be_absent_and_may_change(new_listener: Any) -> None:
    left, at_left, right, _ = await connected(new_listener, lossy=False)
    assert not left.lossy_open
    left.send(Lane.LOSSY, b"nowhere")
    assert left.dropped == 1
    left.set_lossy(True)
    left.set_lossy(True)
    await at_left.wait(("lossy", True))
    assert left.lossy_open
    left.set_lossy(False)
    await at_left.wait(("lossy", False))
    await closed(left, right)
    assert at_left.notes == ["up", ("lossy", True), ("lossy", False), "down"]


async def test_a_listener_that_comes_too_late_is_told_so(new_listener: Any) -> None:
    left, right = memory_pair()
    left.close()
    await left.wait_closed()
    listener = new_listener()
    right.attach(listener)
    await listener.wait("down")
    assert listener.notes == ["down"]
    with pytest.raises(RuntimeError, match="listener already"):
        right.attach(listener)


async def test_cancelling_a_wait_leaves_the_transport_alone(new_listener: Any) -> None:
    left, _, right, _ = await connected(new_listener)
    waiting = asyncio.create_task(left.wait_closed())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    await closed(left, right)
