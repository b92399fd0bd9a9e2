# SPDX-License-Identifier: Apache-2.0
"""The WebRTC connections of a server, each made by one offer and bound to one admission (CC-RTC-036, CC-SIG-039)."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final

from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription

from callchannel.aio.transport import DRAIN_TIME, Transport, TransportListener
from callchannel.core.lanes import Lane
from callchannel.core.relay import Admission
from callchannel.server.ledger import RETRY, Refused
from callchannel.server.logs import note
from callchannel.server.offer import NotAnswerable, Offer
from callchannel.server.rooms import Room, RoomClosed
from callchannel.signalling.tokens import Grant
from callchannel.webrtc.adapter import WebRTCTransport
from callchannel.webrtc.guard import Budget, Guard

ANSWER_TIME: Final = 10.0
"""Seconds that making an answer may take: gathering asks STUN servers."""

ID_BYTES: Final = 16
"""Random bytes in the URL of a connection (CC-SIG-015)."""

logger = logging.getLogger("callchannel.server")


class Traffic:
    """Packets and bytes that went through transports, by lane."""

    __slots__ = ("received", "received_bytes", "sent", "sent_bytes")

    def __init__(self) -> None:
        self.received = [0, 0]
        self.received_bytes = [0, 0]
        self.sent = [0, 0]
        self.sent_bytes = [0, 0]


class WatchedTransport:
    """A transport that counts what goes through it, and says when it comes up and goes down."""

    def __init__(self, inner: Transport, traffic: Traffic, on_up: Callable[[], None]) -> None:
        self._inner = inner
        self._traffic = traffic
        self._on_up = on_up
        self._listener: TransportListener | None = None

    # --- Transport --------------------------------------------------------------------------------

    def attach(self, listener: TransportListener) -> None:
        """Report to `listener` from now on."""
        self._listener = listener
        self._inner.attach(self)

    def send(self, lane: Lane, packet: bytes) -> None:
        """Send a packet."""
        self._traffic.sent[lane] += 1
        self._traffic.sent_bytes[lane] += len(packet)
        self._inner.send(lane, packet)

    def buffered(self, lane: Lane) -> int:
        """Bytes that wait."""
        return self._inner.buffered(lane)

    @property
    def lossy_open(self) -> bool:
        """Whether this end of the lossy lane takes packets."""
        return self._inner.lossy_open

    def close(self) -> None:
        """Drain and close."""
        self._inner.close()

    async def wait_closed(self) -> None:
        """Wait until everything has ended."""
        await self._inner.wait_closed()

    # --- TransportListener ------------------------------------------------------------------------

    def transport_up(self, transport: Transport) -> None:
        """The reliable lane is open."""
        self._on_up()
        if self._listener is not None:
            self._listener.transport_up(self)

    def packet(self, lane: Lane, packet: bytes) -> None:
        """A packet arrived."""
        self._traffic.received[lane] += 1
        self._traffic.received_bytes[lane] += len(packet)
        if self._listener is not None:
            self._listener.packet(lane, packet)

    def writable(self, lane: Lane) -> None:
        """There is room again."""
        if self._listener is not None:
            self._listener.writable(lane)

    def lossy_changed(self, is_open: bool) -> None:
        """The lossy lane has opened or closed."""
        if self._listener is not None:
            self._listener.lossy_changed(is_open)

    def transport_down(self) -> None:
        """The transport is gone."""
        if self._listener is not None:
            self._listener.transport_down()


class Patience:
    """The time that a connection has for coming up (CC-SIG-044). `call_later` is that of an event loop."""

    def __init__(
        self, seconds: float, give_up: Callable[[], None], call_later: Callable[..., asyncio.TimerHandle]
    ) -> None:
        self._timer: asyncio.TimerHandle | None = call_later(seconds, self._over)
        self._give_up = give_up

    def end(self) -> None:
        """It came up, or was closed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _over(self) -> None:
        self._timer = None
        self._give_up()


class Connection:
    """One connection, from its answer until it is closed."""

    def __init__(self, grant: Grant, room: Room, peer: RTCPeerConnection, transport: WebRTCTransport) -> None:
        self.id = secrets.token_urlsafe(ID_BYTES)
        self.grant = grant
        self.room = room
        self.peer = peer
        self.transport = transport
        self.is_up = False
        self.number = 0
        """The transport's number in the room."""
        self.patience: Patience | None = None
        self.guard: Guard | None = None

    def close(self) -> None:
        """Close it: for a link that uses it, the loss of its transport."""
        self.room.detach(self.number)
        self.transport.close()


class Connections:
    """All connections of a server."""

    def __init__(self, *, connect_time: float, memory: int, ice_servers: Sequence[str] = ()) -> None:
        self._connect_time = connect_time
        self._configuration = RTCConfiguration(iceServers=[RTCIceServer(urls=url) for url in ice_servers])
        self._by_id: dict[str, Connection] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.budget = Budget(memory)
        self.traffic = Traffic()
        self.timed_out = 0
        """Connections that did not come up in time."""
        self.given_up = 0
        """Connections that passed a bound of the guard."""

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def waiting(self) -> int:
        """Connections that have not come up yet."""
        return sum(not connection.is_up for connection in self._by_id.values())

    def get(self, connection_id: str) -> Connection | None:
        """The connection of this identifier, until it is closed."""
        return self._by_id.get(connection_id)

    async def make(
        self, offer: Offer, grant: Grant, room: Room, on_closed: Callable[[], None]
    ) -> tuple[Connection, str]:
        """Make a connection and its answer. Raises `NotAnswerable` or `Refused`, and leaves nothing behind then.

        `on_closed` is called once when the connection is closed, only if it was made.
        """
        peer = RTCPeerConnection(self._configuration)
        # Before the offer is set, so that no channel is missed; see the adapter.
        transport = WebRTCTransport(peer, initiator=False, owns_connection=True, guarded=False)
        connection = Connection(grant, room, peer, transport)
        try:
            async with asyncio.timeout(ANSWER_TIME):
                await peer.setRemoteDescription(RTCSessionDescription(sdp=offer.sdp, type="offer"))
                # Not the adapter's own: this one shares the server's memory, and its end is noted.
                connection.guard = Guard(peer, lambda why: self._give_up(connection, why), self.budget)
                await peer.setLocalDescription(await peer.createAnswer())
                answer = offer.answer(peer.localDescription.sdp)
            watched = WatchedTransport(transport, self.traffic, lambda: self._up(connection))
            connection.number = room.attach(watched, Admission(identity=grant.identity, may_send=grant.may_send))
        except BaseException as exc:
            transport.close()
            closing = asyncio.ensure_future(transport.wait_closed())
            await asyncio.wait([closing])
            if isinstance(exc, RoomClosed):
                raise Refused("stopping", RETRY["stopping"]) from None
            if isinstance(exc, TimeoutError):
                raise NotAnswerable("the answer could not be made in time") from None
            if isinstance(exc, Exception):
                note(logger, logging.WARNING, "the offer could not be answered", error=type(exc).__name__)
                raise NotAnswerable("the offer could not be answered") from None
            raise
        loop = asyncio.get_running_loop()
        self._by_id[connection.id] = connection
        connection.patience = Patience(self._connect_time, lambda: self._too_late(connection), loop.call_later)
        task = loop.create_task(self._until_closed(connection, on_closed))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return connection, answer

    def close(self, connection: Connection) -> None:
        """Close a connection; its identifier is unknown at once."""
        self._by_id.pop(connection.id, None)
        connection.close()

    async def wait_closed(self) -> None:
        """Close all connections and wait until they are."""
        for connection in tuple(self._by_id.values()):
            self.close(connection)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=3 * DRAIN_TIME)

    # --- what happens to a connection -------------------------------------------------------------

    def _up(self, connection: Connection) -> None:
        connection.is_up = True
        if connection.patience is not None:
            connection.patience.end()
        self._note(logging.DEBUG, "connection up", connection)

    def _too_late(self, connection: Connection) -> None:
        self.timed_out += 1
        self._note(logging.INFO, "connection did not come up in time", connection)
        self.close(connection)

    def _give_up(self, connection: Connection, why: str) -> None:
        self.given_up += 1
        self._note(logging.WARNING, "connection given up", connection, why=why)
        # Not drained: nothing of the peer is read any more, so it could not say that it is closing either.
        task = asyncio.get_running_loop().create_task(self._cut(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _cut(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(DRAIN_TIME):
                await connection.peer.close()
        except TimeoutError:
            self._note(logging.WARNING, "connection did not close in time", connection)

    async def _until_closed(self, connection: Connection, on_closed: Callable[[], None]) -> None:
        await connection.transport.wait_closed()
        self._by_id.pop(connection.id, None)
        if connection.patience is not None:
            connection.patience.end()
        if connection.guard is not None:
            connection.guard.release()
        self._note(logging.DEBUG, "connection closed", connection)
        on_closed()

    def _note(self, level: int, event: str, connection: Connection, **fields: Any) -> None:
        grant = connection.grant
        note(logger, level, event, call=grant.call, identity=grant.identity, **fields)
