# SPDX-License-Identifier: Apache-2.0
"""A way between two WebRTC connections on one machine, with delay and loss: UDP goes through this process."""

from __future__ import annotations

import asyncio
import random
import re
from typing import cast

_CANDIDATE = re.compile(r"^a=candidate:(\S+) (\d+) (\S+) (\d+) (\S+) (\d+) ([^\r\n]*)\r?$", re.MULTILINE)


class _Side(asyncio.DatagramProtocol):
    """The socket that stands for the other side."""

    def __init__(self, forwarder: Forwarder, *, is_near: bool) -> None:
        self._forwarder = forwarder
        self.is_near = is_near
        self.transport: asyncio.DatagramTransport | None = None
        self.target: tuple[str, int] | None = None
        """The real address of whoever sends here."""
        self.across: _Side | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there."""
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        """A packet: lose it, or hand it on later."""
        if self._forwarder.takes(self.is_near):
            if self._forwarder.delay:
                asyncio.get_running_loop().call_later(self._forwarder.delay, self._hand_on, data)
            else:
                self._hand_on(data)

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
        self._near, self._far = _Side(self, is_near=True), _Side(self, is_near=False)
        self._near.across, self._far.across = self._far, self._near

    def takes(self, from_near: bool) -> bool:
        """Whether the next packet, from the near side or from the far one, is handed on."""
        return self._random.random() >= self._loss

    def address(self, to_near: bool, owner: str) -> str:
        """The address of this machine that the near side, or the far one, sends to instead of its peer's, `owner`."""
        return owner

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

    def _rewrite(self, sdp: str, owner: _Side, reader: _Side) -> str:
        """Note the owner's address; name instead of it the socket that the reader is to send to."""
        found = next(match for match in _CANDIDATE.finditer(sdp) if ":" not in match[5] and match[3].lower() == "udp")
        owner.target = found[5], int(found[6])
        assert reader.transport is not None
        port = reader.transport.get_extra_info("sockname")[1]
        address = self.address(reader.is_near, found[5])
        kept = f"a=candidate:{found[1]} {found[2]} {found[3]} {found[4]} {address} {port} {found[7]}"
        lines = [line for line in sdp.splitlines() if not line.startswith("a=candidate:")]
        place = next(number for number, line in enumerate(lines) if line.startswith("m=")) + 1
        return "\r\n".join([*lines[:place], kept, *lines[place:]]) + "\r\n"
