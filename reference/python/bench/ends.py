# SPDX-License-Identifier: Apache-2.0
"""Both ends of a connection over aiortc, with callchannel or with bare data channels, used alike.

An end has numbered channels. The bare ones are what aiortc has, negotiated on both sides, with the back-pressure that
every application has to add: it waits while more than `HIGH_WATER` bytes are buffered.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription

from callchannel.aio import Call, DataChannelReceiver, DataChannelSender
from callchannel.aio.outbox import Sending
from callchannel.core.errors import WouldBlock
from callchannel.webrtc import answering, offering
from callchannel.webrtc.peers import Exchange, NextOffer

HIGH_WATER = 65_536
HIGH_WATER_SMALL = 2_048
"""The same for messages of less than a chunk: with more of them on the way, their packets overflow a socket's buffer on
loopback, and each loss costs SCTP a second."""
BUNDLE = 1_150
_CHUNK = 1_160
_PATIENCE = 120.0
"""Seconds that a busy machine may take to connect."""
BULK, ECHO, LOSSY = 1, 2, 3
"""The channels: for bulk, for what is echoed at once, and for what may be lost."""

OnMessage = Callable[[int, bytes], None]
"""Called with the channel and a message."""


class End(Protocol):
    """One end of a connection."""

    async def send(self, channel: int, message: bytes) -> None:
        """Send a message; waits while there is no room."""

    async def close(self) -> None:
        """Let go of everything."""


class CallEnd:
    """An end with callchannel. Messages on `ECHO` have high priority, those on `LOSSY` are Lossy."""

    def __init__(self, call: Call, on_message: OnMessage) -> None:
        self._call = call
        self._senders: dict[int, DataChannelSender] = {}
        self._on_message = on_message
        self._unconfirmed: deque[Sending] = deque()
        self._tasks = [asyncio.create_task(self._accept())]

    @classmethod
    async def offer(cls, exchange: Exchange, on_message: OnMessage) -> CallEnd:
        """The end that makes the offer."""
        call = await Call.peer_to_peer(offering(exchange), initiator=True, identity="near", timeout=_PATIENCE)
        return cls(call, on_message)

    @classmethod
    async def answer(cls, next_offer: NextOffer, on_message: OnMessage) -> CallEnd:
        """The other end."""
        call = await Call.peer_to_peer(
            answering(next_offer), initiator=False, identity="far", peer_identity="near", timeout=None
        )
        return cls(call, on_message)

    async def _accept(self) -> None:
        async for receiver in self._call.receivers():
            self._tasks.append(asyncio.create_task(self._read(receiver)))

    async def _read(self, receiver: DataChannelReceiver) -> None:
        async for message in receiver:
            self._on_message(receiver.channel_id, message.data)

    async def send(self, channel: int, message: bytes) -> None:
        """Queue a message; where there is no room, wait until the oldest one is confirmed."""
        sender = self._senders.get(channel)
        if sender is None:
            sender = self._senders[channel] = self._call.create_sender(
                channel=channel,
                priority="high" if channel == ECHO else "normal",
                reliability="lossy" if channel == LOSSY else "reliable",
            )
        if channel == LOSSY:
            await sender.send(message)
            return
        while True:
            try:
                self._unconfirmed.append(sender.send_nowait(message))
                return
            except WouldBlock:
                while self._unconfirmed[0].done:
                    self._unconfirmed.popleft()
                await self._unconfirmed[0].result()

    async def close(self) -> None:
        """Leave the call."""
        await self._call.leave()
        for task in self._tasks:
            task.cancel()


class BareEnd:
    """An end with aiortc's data channels; `bundled`: small messages on `BULK` are put together to `BUNDLE` bytes."""

    def __init__(self, connection: RTCPeerConnection, on_message: OnMessage, *, bundled: bool) -> None:
        self._connection = connection
        self._on_message = on_message
        self._bundled = bundled
        self._bundle: list[bytes] = []
        self._bundle_size = 0
        self._flushing: asyncio.Handle | None = None
        self._channels: dict[int, RTCDataChannel] = {}
        self._low = {number: asyncio.Event() for number in (BULK, ECHO, LOSSY)}
        self._open = asyncio.Event()
        for number in (BULK, ECHO, LOSSY):
            channel = connection.createDataChannel(
                str(number),
                negotiated=True,
                id=2 * number,
                ordered=number != LOSSY,
                maxRetransmits=0 if number == LOSSY else None,
            )
            channel.bufferedAmountLowThreshold = HIGH_WATER // 2
            self._channels[number] = channel
            channel.on("message", self._receiver(number))
            channel.on("bufferedamountlow", self._low[number].set)
        self._channels[BULK].on("open", self._open.set)

    def _receiver(self, number: int) -> Callable[[bytes], None]:
        if number != BULK or not self._bundled:
            return lambda message: self._on_message(number, message)

        def unbundle(packet: bytes) -> None:
            at = 0
            while at < len(packet):
                end = at + 2 + (packet[at] << 8 | packet[at + 1])
                self._on_message(number, packet[at + 2 : end])
                at = end

        return unbundle

    @classmethod
    async def offer(cls, exchange: Exchange, on_message: OnMessage, *, bundled: bool = False) -> BareEnd:
        """The end that makes the offer."""
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        end = cls(connection, on_message, bundled=bundled)
        await connection.setLocalDescription(await connection.createOffer())
        answer = await exchange(connection.localDescription.sdp)
        await connection.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
        await end._open.wait()
        return end

    @classmethod
    async def answer(cls, next_offer: NextOffer, on_message: OnMessage, *, bundled: bool = False) -> BareEnd:
        """The other end."""
        offer, reply = await next_offer()
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        end = cls(connection, on_message, bundled=bundled)
        await connection.setRemoteDescription(RTCSessionDescription(sdp=offer, type="offer"))
        await connection.setLocalDescription(await connection.createAnswer())
        await reply(connection.localDescription.sdp)
        await end._open.wait()
        return end

    async def send(self, channel: int, message: bytes) -> None:
        """Send a message; waits while the buffer is above the high water."""
        if channel == LOSSY:
            self._channels[LOSSY].send(message)  # whoever sends at a rate does not wait: neither do we
        elif self._bundled and channel == BULK:
            await self._send_bundled(message)
        else:
            await self._send(channel, message)

    async def _send(self, number: int, message: bytes) -> None:
        channel = self._channels[number]
        channel.send(message)
        high_water = HIGH_WATER if len(message) >= _CHUNK // 2 else HIGH_WATER_SMALL
        if channel.bufferedAmountLowThreshold != high_water // 2:
            channel.bufferedAmountLowThreshold = high_water // 2
        while channel.bufferedAmount > high_water:
            self._low[number].clear()
            await self._low[number].wait()

    async def _send_bundled(self, message: bytes) -> None:
        if self._bundle_size + 2 + len(message) > BUNDLE:
            await self._flush()
        self._bundle += (len(message).to_bytes(2, "big"), message)
        self._bundle_size += 2 + len(message)
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_soon(self._flush_soon)

    def _flush_soon(self) -> None:
        self._flushing = None
        if self._bundle:
            self._flush_task = asyncio.ensure_future(self._flush())

    async def _flush(self) -> None:
        packet = b"".join(self._bundle)
        self._bundle, self._bundle_size = [], 0
        if packet:
            await self._send(BULK, packet)

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()


Offer = Callable[[Exchange, OnMessage], Awaitable[End]]


def offer_of(kind: str) -> Offer:
    """How the near end of a kind is made: `call`, `bare` or `bundled`."""
    if kind == "call":
        return CallEnd.offer
    return lambda exchange, on_message: BareEnd.offer(exchange, on_message, bundled=kind == "bundled")


async def answer_of(kind: str, next_offer: NextOffer, on_message: OnMessage) -> End:
    """The far end of a kind."""
    if kind == "call":
        return await CallEnd.answer(next_offer, on_message)
    return await BareEnd.answer(next_offer, on_message, bundled=kind == "bundled")
