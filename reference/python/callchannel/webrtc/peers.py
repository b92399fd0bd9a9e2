# SPDX-License-Identifier: Apache-2.0
"""Connections for peer-to-peer calls, over any signalling that carries two texts (specification, chapter 12).

The initiator of the link makes an offer, the acceptor answers it; for each new transport they do so again. What carries
the texts, and says who is who, is the application's: it has to authenticate both (CC-RTC-037).

    # one side
    call = await Call.peer_to_peer(offering(exchange), initiator=True, identity="ann")

    # the other
    call = await Call.peer_to_peer(answering(next_offer), initiator=False, identity="bob", peer_identity="ann")

where `await exchange(offer)` takes the offer to the other side and returns its answer, and `await next_offer()` waits
for an offer and returns it with a function for the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from callchannel.webrtc.adapter import WebRTCTransport

Exchange = Callable[[str], Awaitable[str]]
"""Takes an SDP offer to the peer, returns its SDP answer."""

Answer = Callable[[str], Awaitable[None]]
"""Takes an SDP answer to the peer."""

NextOffer = Callable[[], Awaitable[tuple[str, Answer]]]
"""Waits for the peer's next SDP offer; returns it, and the function that takes the answer."""

Prepare = Callable[[RTCPeerConnection], object]
"""Adds to a new connection what else it is to carry, such as tracks."""


def offering(
    exchange: Exchange,
    *,
    configuration: RTCConfiguration | None = None,
    prepare: Prepare | None = None,
    guarded: bool = True,
) -> Callable[[], Awaitable[WebRTCTransport]]:
    """What `Call.peer_to_peer` takes as `connect` at the initiator: each call makes a connection.

    Without a `configuration` no ICE server is asked, which is enough within one network. `prepare` is called with the
    connection before the offer is made. The connection is closed with its transport.

    `guarded`: a peer that makes aiortc keep too much loses the connection; see `callchannel.webrtc.guard`. Say False
    where `prepare` adds data channels whose messages are larger than 16,384 bytes.
    """

    async def connect() -> WebRTCTransport:
        connection = RTCPeerConnection(configuration or RTCConfiguration(iceServers=[]))
        transport = WebRTCTransport(connection, initiator=True, owns_connection=True, guarded=guarded)
        try:
            if prepare is not None:
                prepare(connection)
            await connection.setLocalDescription(await connection.createOffer())
            answer = await exchange(connection.localDescription.sdp)
            await connection.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
        except BaseException:
            await _abandon(transport)
            raise
        return transport

    return connect


def answering(
    next_offer: NextOffer,
    *,
    configuration: RTCConfiguration | None = None,
    prepare: Prepare | None = None,
    guarded: bool = True,
) -> Callable[[], Awaitable[WebRTCTransport]]:
    """What `Call.peer_to_peer` takes as `connect` at the acceptor: each call waits for an offer and answers it.

    `configuration`, `prepare` and `guarded` are as in `offering`; `prepare` is called when the offer is known.
    """

    async def connect() -> WebRTCTransport:
        offer, reply = await next_offer()
        connection = RTCPeerConnection(configuration or RTCConfiguration(iceServers=[]))
        transport = WebRTCTransport(connection, initiator=False, owns_connection=True, guarded=guarded)
        try:
            await connection.setRemoteDescription(RTCSessionDescription(sdp=offer, type="offer"))
            if prepare is not None:
                prepare(connection)
            await connection.setLocalDescription(await connection.createAnswer())
            await reply(connection.localDescription.sdp)
        except BaseException:
            await _abandon(transport)
            raise
        return transport

    return connect


async def _abandon(transport: WebRTCTransport) -> None:
    transport.close()
    await asyncio.shield(transport.wait_closed())
