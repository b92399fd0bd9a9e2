# SPDX-License-Identifier: Apache-2.0
"""A way between two WebRTC connections on one machine, with delay and loss: UDP goes through this process."""

from __future__ import annotations

import asyncio
import random
import re
from typing import cast

_CANDIDATE = re.compile(r"(?P<start>a=candidate:\S+ 1 udp \d+) (?P<host>\S+) (?P<port>\d+) (?P<rest>.*)", re.IGNORECASE)


class _Side(asyncio.DatagramProtocol):
    """The socket that stands for the other side."""

    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder
        self.transport: asyncio.DatagramTransport | None = None
        self.target: tuple[str, int] | None = None
        """The real address of whoever sends here."""
        self.across: _Side | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there."""
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        """A packet: lose it, or hand it on later."""
        if not self._forwarder.loses():
            asyncio.get_running_loop().call_later(self._forwarder.delay, self._hand_on, data)

    def _hand_on(self, data: bytes) -> None:
        across = self.across
        if across is not None and across.target is not None and across.transport is not None:
            across.transport.sendto(data, across.target)


class Forwarder:
    """Forwards packets after `delay` seconds, and loses a share of them, each way. Used with rewritten descriptions."""

    def __init__(self, *, delay: float, loss: float, seed: int = 1) -> None:
        self.delay = delay
        self._loss = loss
        self._random = random.Random(seed)
        self._near, self._far = _Side(self), _Side(self)
        self._near.across, self._far.across = self._far, self._near

    def loses(self) -> bool:
        """Whether the next packet is lost."""
        return self._random.random() < self._loss

    async def start(self) -> None:
        """Open the sockets."""
        loop = asyncio.get_running_loop()
        for side in (self._near, self._far):
            await loop.create_datagram_endpoint(lambda side=side: side, local_addr=("0.0.0.0", 0))  # type: ignore[misc]

    def close(self) -> None:
        """Close the sockets."""
        for side in (self._near, self._far):
            if side.transport is not None:
                side.transport.close()

    def offer(self, sdp: str) -> str:
        """The near side's description, as the far side is to see it."""
        return self._rewrite(sdp, self._near, self._far)

    def answer(self, sdp: str) -> str:
        """The far side's description, as the near side is to see it."""
        return self._rewrite(sdp, self._far, self._near)

    @staticmethod
    def _rewrite(sdp: str, owner: _Side, reader: _Side) -> str:
        """Note the owner's address; name instead of it the socket that the reader is to send to."""
        assert reader.transport is not None
        lines: list[str] = []
        for line in sdp.splitlines():
            found = _CANDIDATE.match(line)
            if found is None:
                lines.append(line)
            elif owner.target is None and ":" not in found["host"]:
                owner.target = found["host"], int(found["port"])
                port = reader.transport.get_extra_info("sockname")[1]
                lines.append(f"{found['start']} {found['host']} {port} {found['rest']}")
        return "\r\n".join(lines) + "\r\n"
