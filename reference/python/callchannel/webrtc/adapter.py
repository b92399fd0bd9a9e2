# SPDX-License-Identifier: Apache-2.0
"""A link's two lanes as data channels of an `RTCPeerConnection` (specification, chapter 12).

The connection belongs to the application, which uses it for audio and video too. This is the only
module, with `guard`, that knows aiortc. What aiortc leaves to its user is done here:

- its buffer has no end: the driver stops at the high water, and Lossy packets beyond it are
  dropped;
- closing a connection discards what is buffered: first the buffer is drained and the channels are
  closed;
- an exception in an event handler ends the whole connection, with its audio and video: none
  leaves this module;
- it takes incoming messages of any size: all but the first bytes of an oversize one are let go at
  once, where `guard` is at work before they are complete.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from aiortc import RTCDataChannel, RTCPeerConnection

from callchannel.aio.transport import DRAIN_TIME, HIGH_WATER, LOW_WATER, TransportListener
from callchannel.core.lanes import Lane
from callchannel.core.limits import LOSSY_PACKET, RELIABLE_PACKET
from callchannel.webrtc.guard import Guard

PROTOCOL: Final = "callchannel.1"
"""The subprotocol of both channels."""

LABELS: Final = {Lane.RELIABLE: "reliable", Lane.LOSSY: "lossy"}
"""The label of each lane's channel."""

EARLY: Final = HIGH_WATER
"""Bytes held for a listener that is not attached yet. A peer that sends more is cut off."""

_LARGEST: Final = {Lane.RELIABLE: RELIABLE_PACKET, Lane.LOSSY: LOSSY_PACKET}

logger = logging.getLogger("callchannel.webrtc")


class WebRTCTransport:
    """A transport over two data channels of `connection`.

    The initiator of the link creates the channels: make its transport before the offer. The
    acceptor picks them out of the connection's `datachannel` events: make its transport before the
    remote description is set. Channels with another label, subprotocol or reliability are the
    application's own and are left alone.

    `owns_connection`: whether the end of the transport, by whatever cause, also closes the
    connection.

    `guarded`: whether what the peer can make aiortc keep is bounded, by a `Guard` that gives the
    whole connection up. By default that is so where the connection is the transport's own; it has
    to carry no messages larger than a packet then.
    """

    def __init__(
        self,
        connection: RTCPeerConnection,
        *,
        initiator: bool,
        owns_connection: bool = False,
        guarded: bool | None = None,
    ) -> None:
        self.connection = connection
        self.lossy_dropped = 0
        """Lossy packets that found no room or no open lane."""
        self.text_dropped = 0
        """Text messages on the lossy channel (CC-RTC-017)."""
        self.guard: Guard | None = None
        """What bounds the connection's memory, once it is being made; None: nothing does."""
        self._owns_connection = owns_connection
        self._guarded = owns_connection if guarded is None else guarded
        self._loop = asyncio.get_running_loop()
        self._listener: TransportListener | None = None
        self._channels: dict[Lane, RTCDataChannel] = {}
        self._handlers: list[tuple[Any, str, Callable[..., None]]] = []
        self._early: list[tuple[Lane, bytes]] = []
        self._early_bytes = 0
        self._is_up = False
        self._is_down = False
        self._closing = False
        self._changed = asyncio.Event()
        self._ending: asyncio.Task[None] | None = None
        self._ended: asyncio.Future[None] = self._loop.create_future()

        self._handle(connection, "connectionstatechange", self._connection_changed)
        if initiator:
            self._adopt(
                Lane.RELIABLE,
                connection.createDataChannel(LABELS[Lane.RELIABLE], protocol=PROTOCOL),
            )
            self._adopt(
                Lane.LOSSY,
                connection.createDataChannel(LABELS[Lane.LOSSY], protocol=PROTOCOL, ordered=False, maxRetransmits=0),
            )
        else:
            self._handle(connection, "datachannel", self._offered)
        if connection.connectionState in ("failed", "closed"):
            self._loop.call_soon(self._fail, f"the connection is {connection.connectionState}")

    # --- Transport --------------------------------------------------------------------------------

    def attach(self, listener: TransportListener) -> None:
        """Report to `listener`; see `Transport`."""
        if self._listener is not None:
            raise RuntimeError("the transport has a listener already")
        self._listener = listener
        self._loop.call_soon(listener.transport_down if self._is_down else self._begin)

    def send(self, lane: Lane, packet: bytes) -> None:
        """Send a packet, or drop it; see `Transport`."""
        channel = self._channels.get(lane)
        if channel is None or channel.readyState != "open" or self._closing:
            # A Reliable packet is lost with its transport, and sent again over the next one.
            self.lossy_dropped += lane is Lane.LOSSY
        elif lane is Lane.LOSSY and channel.bufferedAmount > HIGH_WATER:
            self.lossy_dropped += 1
        else:
            try:
                channel.send(packet)
            except Exception as exc:
                if lane is Lane.LOSSY:  # CC-RTC-027
                    self.lossy_dropped += 1
                else:  # CC-RTC-028
                    self._loop.call_soon(self._fail, f"the channel refused a packet: {exc}")

    def buffered(self, lane: Lane) -> int:
        """Bytes that the channel has not handed to SCTP yet."""
        channel = self._channels.get(lane)
        return 0 if channel is None else channel.bufferedAmount

    @property
    def lossy_open(self) -> bool:
        """Whether this end of the lossy lane takes packets."""
        channel = self._channels.get(Lane.LOSSY)
        return channel is not None and channel.readyState == "open" and not self._is_down

    def close(self) -> None:
        """Drain and close the channels, and the connection if it is this transport's own."""
        if not self._closing and not self._is_down:
            self._closing = True
            self._ending = self._loop.create_task(self._shut_down())

    async def wait_closed(self) -> None:
        """Wait until everything of this transport has ended."""
        await asyncio.shield(self._ended)

    # --- from the connection ----------------------------------------------------------------------

    def _handle(self, emitter: Any, event: str, handler: Callable[..., None]) -> None:
        """Have `handler` called for an event. Whatever it raises stays here."""

        def guarded(*args: Any) -> None:
            try:
                handler(*args)
            except Exception as exc:
                self._report(f"handling {event!r} failed; this is a bug", exc)

        emitter.on(event, guarded)
        self._handlers.append((emitter, event, guarded))

    def _offered(self, channel: RTCDataChannel) -> None:
        """The peer has created a channel: ours, or the application's."""
        if channel.protocol != PROTOCOL:
            return
        for lane, label in LABELS.items():
            if channel.label == label and lane not in self._channels:
                if not _carries(channel, lane):
                    logger.warning("the peer's %r channel has the wrong reliability", label)
                    return
                self._adopt(lane, channel)
                self._opened(lane)
                return

    def _adopt(self, lane: Lane, channel: RTCDataChannel) -> None:
        self._channels[lane] = channel
        channel.bufferedAmountLowThreshold = LOW_WATER
        self._handle(channel, "open", partial(self._opened, lane))
        self._handle(channel, "message", partial(self._message, lane))
        self._handle(channel, "bufferedamountlow", partial(self._drained, lane))
        self._handle(channel, "close", partial(self._channel_closed, lane))

    def _opened(self, lane: Lane) -> None:
        if lane is Lane.RELIABLE:
            self._begin()
        elif self._is_up and not self._is_down and self._listener is not None:
            self._listener.lossy_changed(self.lossy_open)

    def _begin(self) -> None:
        """Report once that the transport is up: it has a listener and an open reliable lane."""
        channel = self._channels.get(Lane.RELIABLE)
        if channel is None or channel.readyState != "open" or self._listener is None:
            return
        if self._is_up or self._is_down or self._closing:
            return
        self._is_up = True
        self._listener.transport_up(self)
        early, self._early = self._early, []
        for lane, packet in early:
            self._listener.packet(lane, packet)

    def _message(self, lane: Lane, message: bytes | str) -> None:
        if self._is_down:
            return
        if not isinstance(message, bytes):
            if lane is Lane.RELIABLE:  # CC-RTC-016
                self._fail("text on the reliable channel")
            else:
                self.text_dropped += 1
            return
        if len(message) > _LARGEST[lane]:
            # One byte too many is what the core has to see to judge it.
            message = message[: _LARGEST[lane] + 1]
        if self._is_up and self._listener is not None:
            self._listener.packet(lane, message)
        elif self._early_bytes + len(message) <= EARLY:
            self._early_bytes += len(message)
            self._early.append((lane, message))
        elif lane is Lane.RELIABLE:
            self._fail("too much arrived before anybody listened")

    def _drained(self, lane: Lane) -> None:
        self._changed.set()
        if self._is_up and not self._is_down and not self._closing and self._listener is not None:
            self._listener.writable(lane)

    def _channel_closed(self, lane: Lane) -> None:
        self._changed.set()
        if lane is Lane.RELIABLE:
            self._fail("the reliable channel was closed")
        elif self._is_up and not self._is_down and self._listener is not None:
            self._listener.lossy_changed(False)

    def _connection_changed(self) -> None:
        self._changed.set()
        if self._guarded and self.guard is None and self.connection.sctp is not None:
            # The state is "connecting": both descriptions are set, and nothing has come yet.
            self.guard = Guard(self.connection, self._give_up)
        if self.connection.connectionState in ("failed", "closed"):
            self._fail(f"the connection is {self.connection.connectionState}")

    def _give_up(self, why: str) -> None:
        """The guard reads nothing any more: neither do other channels, so the connection has to go."""
        logger.warning("the connection is given up: %s", why)
        self._owns_connection = True
        self._fail(why)

    # --- the end ----------------------------------------------------------------------------------

    async def _shut_down(self) -> None:
        """Hand over what is buffered, close the channels, wait until the peer has done so too (CC-RTC-029, 030)."""
        channels = tuple(self._channels.values())
        try:
            for channel in channels:
                channel.bufferedAmountLowThreshold = 0
            await self._until(lambda: not any(_is_draining(channel) for channel in channels), "drain")
            were_open = [channel for channel in channels if channel.readyState in ("open", "closing")]
            for channel in channels:
                channel.close()
            # A channel that never opened has nobody who would answer.
            await self._until(lambda: all(_is_closed(channel) for channel in were_open), "close")
        except Exception as exc:
            self._report("closing the data channels failed", exc)
        self._go_down()
        await self._finish()

    async def _until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until `condition` holds, or the connection has gone, or the time for it is over."""
        try:
            async with asyncio.timeout(DRAIN_TIME):
                while not condition() and self.connection.connectionState not in ("failed", "closed"):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            logger.warning("the data channels did not %s in %g seconds", what, DRAIN_TIME)

    def _fail(self, why: str) -> None:
        """The transport has ended without, or in the middle of, our `close`."""
        if self._is_down or self._closing:
            return
        logger.info("transport down: %s", why)
        self._go_down()
        self._ending = self._loop.create_task(self._finish())

    def _go_down(self) -> None:
        self._is_down = True
        for emitter, event, handler in self._handlers:
            if handler in emitter.listeners(event):
                emitter.remove_listener(event, handler)
        self._handlers.clear()
        self._early.clear()
        if self._listener is not None:
            try:
                self._listener.transport_down()
            except Exception as exc:
                self._report("the listener raised", exc)

    async def _finish(self) -> None:
        """Let go of the channels, and of the connection if it is ours."""
        try:
            for channel in self._channels.values():
                channel.close()
            if self._owns_connection:
                async with asyncio.timeout(DRAIN_TIME):
                    await self.connection.close()
        except TimeoutError:  # that of a connection with much to send, on a machine with much to do
            logger.warning("the connection did not close in %g seconds", DRAIN_TIME)
        except Exception as exc:
            self._report("letting go of the connection failed", exc)
        finally:
            if not self._ended.done():
                self._ended.set_result(None)

    def _report(self, message: str, exc: Exception) -> None:
        self._loop.call_exception_handler({"message": f"callchannel: {message}", "exception": exc, "transport": self})


def _carries(channel: RTCDataChannel, lane: Lane) -> bool:
    """Whether a channel is as reliable as its lane has to be."""
    if lane is Lane.RELIABLE:
        return channel.ordered and channel.maxRetransmits is None and channel.maxPacketLifeTime is None
    return not channel.ordered and channel.maxRetransmits == 0 and channel.maxPacketLifeTime is None


def _is_draining(channel: RTCDataChannel) -> bool:
    return channel.readyState == "open" and channel.bufferedAmount > 0


def _is_closed(channel: RTCDataChannel) -> bool:
    return channel.readyState == "closed"
