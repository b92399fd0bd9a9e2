# SPDX-License-Identifier: Apache-2.0
"""The calls of a server: for each one relay, driven over the connections of its endpoints."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

from callchannel.aio.driver import Driver, Machine
from callchannel.aio.transport import DRAIN_TIME, Transport
from callchannel.core.errors import error_name
from callchannel.core.events import InternalError, Participant
from callchannel.core.limits import Limits
from callchannel.core.relay import (
    Admission,
    EndpointJoined,
    EndpointLeft,
    EndpointResumed,
    EndpointSuspended,
    Relay,
    RelayStatistics,
    Stopped,
)
from callchannel.server.logs import note

logger = logging.getLogger("callchannel.server")

STOP_GRACE: Final = 2.0
"""Seconds beyond the relay's own drain time that stopping waits for it."""


class RelayMachine(Machine[Any], Protocol):
    """What a room needs of a relay."""

    @property
    def participants(self) -> tuple[Participant, ...]:
        """The endpoints of the call."""

    def stop(self, now: int) -> None:
        """Stop gracefully; `Stopped` comes when all links have ended."""

    def statistics(self) -> RelayStatistics:
        """What the relay has counted."""

    def end_link(self, slot: int, code: int, text: str, now: int) -> None:
        """End an endpoint's link."""


class RoomClosed(Exception):
    """A call takes no more connections: it has ended."""


class Room:
    """One call. `on_empty` is called when its last endpoint and connection have gone."""

    def __init__(self, name: str, relay: RelayMachine, drain_time: float, on_empty: Callable[[Room], None]) -> None:
        self.name = name
        self.relay = relay
        self.driver = Driver(relay, self._on_event)
        self.joined = 0
        """Endpoints that have joined since the call began."""
        self.suspended: set[int] = set()
        """Slots of endpoints whose link waits for a transport."""
        self.connections = 0
        self.is_closed = False
        self._drain_time = drain_time
        self._on_empty = on_empty
        self._stopped = asyncio.Event()

    @property
    def is_empty(self) -> bool:
        """Whether nobody is in the call, or on the way into it."""
        return not self.connections and not self.relay.participants

    def has(self, identity: str) -> bool:
        """Whether an endpoint of `identity` has a link in the call."""
        return any(participant.identity == identity for participant in self.relay.participants)

    def attach(self, transport: Transport, admission: Admission) -> int:
        """Take a connection's transport in; returns its number, which `detach` takes. Raises `RoomClosed`."""
        if self.is_closed:
            raise RoomClosed
        return self.driver.attach(transport, admission=admission)

    def detach(self, number: int) -> None:
        """Close a connection; for its link it is the loss of the transport."""
        self.driver.detach(number)

    def end_link(self, slot: int, code: int, text: str) -> None:
        """Put an endpoint out of the call, with BYE. The slots are those of `relay.participants`."""
        self.relay.end_link(slot, code, text, self.driver.now())
        self.driver.wake()

    def left(self) -> None:
        """A connection was closed, or was not made."""
        self.connections -= 1
        if self.is_empty:
            self._on_empty(self)

    async def stop(self) -> None:
        """Have all links ended gracefully, and the transports closed (section 10.13)."""
        self.relay.stop(self.driver.now())
        self.driver.wake()
        try:
            async with asyncio.timeout(self._drain_time + STOP_GRACE):
                await self._stopped.wait()
        except TimeoutError:
            note(logger, logging.WARNING, "call did not stop in time", call=self.name)
        await self.close()

    async def close(self) -> None:
        """Close what is left, at once but for what is buffered."""
        self.is_closed = True
        await self.driver.close()

    def _on_event(self, event: object) -> None:
        if isinstance(event, EndpointJoined):
            self.joined += 1
            self._note("endpoint joined", event.participant)
        elif isinstance(event, EndpointLeft):
            self.suspended.discard(event.participant.slot)
            self._note("endpoint left", event.participant, reason=error_name(event.code))
            if self.is_empty:
                self._on_empty(self)
        elif isinstance(event, EndpointSuspended):
            self.suspended.add(event.participant.slot)
            self._note("endpoint suspended", event.participant)
        elif isinstance(event, EndpointResumed):
            self.suspended.discard(event.participant.slot)
            self._note("endpoint resumed", event.participant)
        elif isinstance(event, Stopped):
            self._stopped.set()
        elif isinstance(event, InternalError):
            error = type(event.error).__name__
            note(logger, logging.ERROR, "a bug ended a link with INTERNAL", call=self.name, error=error)

    def _note(self, event: str, participant: Participant, **fields: object) -> None:
        note(
            logger, logging.INFO, event, call=self.name, identity=participant.identity, slot=participant.slot, **fields
        )


class Rooms:
    """All calls of a server. A call comes into being with its first offer, and goes when it was empty for `linger`."""

    def __init__(
        self,
        limits: Limits,
        linger: float,
        make_relay: Callable[[], RelayMachine] | None = None,
    ) -> None:
        self._limits = limits
        self._linger = linger
        self._make_relay = make_relay or (lambda: Relay(entropy=secrets.token_bytes, limits=limits))
        self._rooms: dict[str, Room] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._closings: set[asyncio.Task[None]] = set()
        self.on_removed: Callable[[Room], None] = lambda room: None
        """Called with a room that is gone, so that its figures can be kept."""

    def __len__(self) -> int:
        return len(self._rooms)

    def __iter__(self) -> Iterator[Room]:
        return iter(tuple(self._rooms.values()))

    def get(self, name: str) -> Room | None:
        """The call of this name, if it is there."""
        return self._rooms.get(name)

    def enter(self, name: str) -> Room:
        """The call of this name, for one more connection; `Room.left` is its counterpart."""
        room = self._rooms.get(name)
        if room is None:
            room = Room(name, self._make_relay(), self._limits.relay_drain_time / 1_000_000, self._emptied)
            self._rooms[name] = room
            note(logger, logging.INFO, "call began", call=name)
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()
        room.connections += 1
        return room

    def _emptied(self, room: Room) -> None:
        if self._rooms.get(room.name) is room and room.name not in self._timers:
            loop = asyncio.get_running_loop()
            self._timers[room.name] = loop.call_later(self._linger, self._remove, room)

    def _remove(self, room: Room) -> None:
        self._timers.pop(room.name, None)
        if self._rooms.get(room.name) is room and room.is_empty:
            del self._rooms[room.name]
            self.on_removed(room)
            note(logger, logging.INFO, "call ended", call=room.name)
            closing = asyncio.get_running_loop().create_task(room.close())
            self._closings.add(closing)
            closing.add_done_callback(self._closings.discard)

    async def stop(self) -> None:
        """Stop all calls gracefully. It takes `relay_drain_time` and the draining of buffers at most."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        stops = [asyncio.create_task(room.stop()) for room in self]
        try:
            async with asyncio.timeout(self._limits.relay_drain_time / 1_000_000 + STOP_GRACE + 3 * DRAIN_TIME):
                for task in [*stops, *self._closings]:
                    await task
        except TimeoutError:
            note(logger, logging.WARNING, "not all calls stopped in time")
        finally:
            for task in stops:
                task.cancel()
            await asyncio.gather(*stops, *self._closings, return_exceptions=True)
            for room in self:
                self.on_removed(room)
            self._rooms.clear()
