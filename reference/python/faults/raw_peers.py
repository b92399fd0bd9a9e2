# SPDX-License-Identifier: Apache-2.0
"""Peers that use aiortc themselves and send large messages to a relay that never become complete."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

from callchannel.aio.transport import DRAIN_TIME
from callchannel.core.lanes import Lane
from callchannel.signalling.client import SignalledTransport, connect_factory

MESSAGE: Final = 4 * 1024 * 1024
WINDOW: Final = 131_072
"""Bytes in flight of a peer that does not care for congestion; sockets buffer them."""

_FIRST: Final = 0x02
_LAST: Final = 0x01


class RawPeer:
    """A connection to a relay that sends one message, of which one chunk never goes out.

    `hole`: the second chunk, so that all behind it wait for it, and without regard for congestion; else the last.
    """

    def __init__(self, url: str, call: str, token: str, *, hole: bool) -> None:
        self._connect = connect_factory(url, call, token=token, ice_servers=[])
        self._hole = hole
        self._transport: SignalledTransport | None = None
        self.chunks: set[int] = set()
        """The numbers of chunks of the message that went out."""

    async def connect(self) -> None:
        """Connect, and wait until the reliable channel is open."""
        self._transport = transport = await self._connect()
        connection = transport.inner.connection
        self._channel = transport.inner._channels[Lane.RELIABLE]
        opened = asyncio.Event()
        self._channel.on("open", opened.set)
        if self._channel.readyState != "open":
            await opened.wait()
        sctp: Any = connection.sctp
        sctp._remote_max_message_size = MESSAGE  # whatever the relay has announced
        sctp._send_chunk = self._holding_back(sctp, sctp._send_chunk)

    def _holding_back(self, sctp: Any, send: Callable[[Any], Any]) -> Callable[[Any], Any]:
        first: int | None = None

        async def send_chunk(chunk: Any) -> None:
            nonlocal first
            if self._hole:
                sctp._cwnd = WINDOW
            flags = getattr(chunk, "flags", 0)
            tsn = getattr(chunk, "tsn", None)
            if tsn is not None and hasattr(chunk, "user_data"):
                if flags & _FIRST and not flags & _LAST:
                    first = tsn
                if self._hole and first is not None and tsn == (first + 1) % 2**32:
                    return
                if not self._hole and flags & _LAST and not flags & _FIRST:
                    return
                if first is not None:
                    self.chunks.add(tsn)
            await send(chunk)

        return send_chunk

    def send(self) -> None:
        """Begin the message."""
        self._channel.send(bytes(MESSAGE))

    @property
    def is_gone(self) -> bool:
        """Whether the relay has closed the connection."""
        assert self._transport is not None
        return self._transport.inner.connection.connectionState in ("closed", "failed")

    async def close(self) -> None:
        """Close the connection, whatever is buffered."""
        if self._transport is not None:
            # With much to send, and nobody who takes it, closing the socket may not come to an end.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_TIME):
                    await self._transport.inner.connection.close()
            self._transport.close()
            await self._transport.wait_closed()
