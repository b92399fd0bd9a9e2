# SPDX-License-Identifier: Apache-2.0
"""Two ends of a transport in one event loop: for tests, examples, a relay's own participants."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from callchannel.aio.transport import DRAIN_TIME, HIGH_WATER, LOW_WATER, TransportListener
from callchannel.core.lanes import Lane

CAPACITY: Final = 4 * HIGH_WATER
"""Bytes that a lane's buffer holds. Beyond, Lossy packets are dropped; Reliable break the pair."""

SLICE: Final = HIGH_WATER
"""Bytes that a lane delivers in one iteration of the loop."""


def memory_pair(
    *, lossy: bool = True, loses: Callable[[bytes], bool] | None = None
) -> tuple[MemoryTransport, MemoryTransport]:
    """Two connected transports. Both are up once both have a listener.

    `lossy=False`: there is no lossy lane. `loses(packet)` says which Lossy packets get lost.
    """
    left, right = MemoryTransport(lossy, loses), MemoryTransport(lossy, loses)
    left._peer, right._peer = right, left
    return left, right


class MemoryTransport:
    """One end of a pair. Made by `memory_pair`."""

    _peer: MemoryTransport

    def __init__(self, lossy: bool, loses: Callable[[bytes], bool] | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._loses = loses
        self._lossy_open = lossy
        self._listener: TransportListener | None = None
        self._is_up = False
        self._is_down = False
        self._closing = False
        self._held = False
        self._queues: tuple[deque[bytes], deque[bytes]] = (deque(), deque())
        self._bytes = [0, 0]
        self._delivery: asyncio.Handle | None = None
        self._drain_timer: asyncio.TimerHandle | None = None
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self.dropped = 0
        """Lossy packets that were lost or found no room."""

    # --- Transport --------------------------------------------------------------------------------

    def attach(self, listener: TransportListener) -> None:
        """Report to `listener`; see `Transport`."""
        if self._listener is not None:
            raise RuntimeError("the transport has a listener already")
        self._listener = listener
        if self._ended.done():
            self._loop.call_soon(listener.transport_down)
        else:
            self._loop.call_soon(self._begin)

    def send(self, lane: Lane, packet: bytes) -> None:
        """Queue a packet; see `Transport`."""
        if self._is_down or self._closing or (lane is Lane.LOSSY and not self._lossy_open):
            self.dropped += lane is Lane.LOSSY
        elif self._bytes[lane] + len(packet) > CAPACITY:
            if lane is Lane.RELIABLE:
                self.cut()
            else:
                self.dropped += 1
        else:
            self._queues[lane].append(packet)
            self._bytes[lane] += len(packet)
            self._schedule()

    def buffered(self, lane: Lane) -> int:
        """Bytes that were not delivered yet."""
        return self._bytes[lane]

    @property
    def lossy_open(self) -> bool:
        """Whether this end of the lossy lane takes packets."""
        return self._lossy_open and not self._is_down

    def close(self) -> None:
        """Deliver what is buffered, then end both ends."""
        if not self._closing and not self._is_down:
            self._closing = True
            self._drain_timer = self._loop.call_later(DRAIN_TIME, self.cut)
            self._schedule()

    async def wait_closed(self) -> None:
        """Wait until this end has ended."""
        await asyncio.shield(self._ended)

    # --- for tests --------------------------------------------------------------------------------

    def cut(self) -> None:
        """Break the connection: both ends go down, what is buffered is lost."""
        for end in (self, self._peer):
            if not end._is_down:
                end._is_down = True
                end._loop.call_soon(end._end)

    def hold(self) -> None:
        """Deliver nothing until `release`: the network has stopped, the buffer fills."""
        self._held = True

    def release(self) -> None:
        """Deliver again."""
        self._held = False
        self._schedule()

    def set_lossy(self, is_open: bool) -> None:
        """Open or close this end of the lossy lane."""
        if is_open != self._lossy_open:
            self._lossy_open = is_open
            self._loop.call_soon(self._tell_lossy, is_open)

    # --- inside -----------------------------------------------------------------------------------

    def _begin(self) -> None:
        for end in (self, self._peer):
            if end._listener is not None and end._peer._listener is not None and not end._is_up and not end._is_down:
                end._is_up = True
                end._listener.transport_up(end)

    def _tell_lossy(self, is_open: bool) -> None:
        if self._is_up and not self._is_down and self._listener is not None:
            self._listener.lossy_changed(is_open)

    def _schedule(self) -> None:
        if self._delivery is None and not self._held and not self._is_down:
            self._delivery = self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._delivery = None
        if self._is_down or self._held:
            return
        for lane in Lane:
            self._deliver_lane(lane)
        if any(self._queues):
            self._schedule()
        elif self._closing:
            self.cut()

    def _deliver_lane(self, lane: Lane) -> None:
        queue, before = self._queues[lane], self._bytes[lane]
        peer, delivered = self._peer, 0
        while queue and delivered < SLICE and not self._is_down:
            packet = queue.popleft()
            delivered += len(packet)
            self._bytes[lane] -= len(packet)
            if lane is Lane.LOSSY and self._loses is not None and self._loses(packet):
                self.dropped += 1
            elif peer._is_up and peer._listener is not None:
                peer._listener.packet(lane, packet)
        if before > LOW_WATER >= self._bytes[lane] and not self._is_down and not self._closing:
            assert self._listener is not None
            self._listener.writable(lane)

    def _end(self) -> None:
        for handle in (self._delivery, self._drain_timer):
            if handle is not None:
                handle.cancel()
        self._delivery = None
        for queue in self._queues:
            queue.clear()
        self._bytes = [0, 0]
        if self._listener is not None:
            self._listener.transport_down()
        if not self._ended.done():
            self._ended.set_result(None)
