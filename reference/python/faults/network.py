# SPDX-License-Identifier: Apache-2.0
"""The way of each endpoint to the relay, through this process. It can lose, delay and stop packets, also one way."""

from __future__ import annotations

import asyncio
import enum
import ipaddress
from collections.abc import Mapping
from typing import Final

import aiohttp
from aiohttp import web

from bench.forwarder import Forwarder

LOOPBACK: Final = "127.0.0.1"

_KEPT: Final = ("Authorization", "Content-Type", "Location", "Retry-After", "Link")
"""Headers that signalling uses, of requests and of answers."""


class Direction(enum.Enum):
    """A direction of packets, as an endpoint sees it."""

    TO_RELAY = "to the relay"
    FROM_RELAY = "from the relay"


BOTH: Final = frozenset(Direction)


class Gates:
    """What lets an endpoint's packets through, over however many connections. `stop` and `open` change it."""

    def __init__(self, *, delay: float = 0.0, loss: float = 0.0, near: str = "", far: str = "") -> None:
        self.delay = delay
        """Seconds each way."""
        self.loss = loss
        """Share of packets."""
        self.near, self.far = near, far
        """This machine's address as the endpoint sees it, and as the relay does; empty: that of the peer itself."""
        self.passed = 0
        self.lost = 0
        self.stopped = 0
        self.closed: frozenset[Direction] = frozenset()
        self._open = asyncio.Event()
        self._open.set()

    def stop(self, directions: frozenset[Direction]) -> None:
        """Stop packets in these directions; and signalling, which needs both."""
        self.closed = directions
        self._open.clear()

    def open(self) -> None:
        """Let everything through again."""
        self.closed = frozenset()
        self._open.set()

    async def opened(self) -> None:
        """Wait until everything gets through."""
        await self._open.wait()


class Way(Forwarder):
    """The way of one connection."""

    def __init__(self, gates: Gates, seed: int) -> None:
        super().__init__(delay=gates.delay, loss=gates.loss, seed=seed)
        self._gates = gates

    def takes(self, from_near: bool) -> bool:
        """Whether a packet is handed on: the gates are open for it, and it is not lost."""
        gates = self._gates
        if (Direction.TO_RELAY if from_near else Direction.FROM_RELAY) in gates.closed:
            gates.stopped += 1
            return False
        if not super().takes(from_near):
            gates.lost += 1
            return False
        gates.passed += 1
        return True

    def address(self, to_near: bool, owner: str) -> str:
        """This machine's address, where the peer's own would not lead here."""
        return (self._gates.near if to_near else self._gates.far) or owner


class Network:
    """Signalling for all endpoints, at an address of its own for each; each connection that it makes has a `Way`.

    The relay may come and go: `relay` is its URL, empty while there is none. Give `gates` before `start`.
    """

    def __init__(self, gates: Mapping[str, Gates]) -> None:
        self.gates = dict(gates)
        self.relay = ""
        self.connections: dict[str, int] = dict.fromkeys(gates, 0)
        """Connections that were made, by endpoint."""
        self._ways: list[Way] = []
        self._runner: web.ServerRunner | None = None
        self._port = 0

    async def start(self) -> None:
        """Listen."""
        self._runner = web.ServerRunner(web.Server(self._handle), handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        beyond = any(gates.near for gates in self.gates.values())
        await web.TCPSite(self._runner, "0.0.0.0" if beyond else LOOPBACK, 0).start()
        address = self._runner.addresses[0]
        self._port = int(address[1])

    async def close(self) -> None:
        """Close everything."""
        for way in self._ways:
            way.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def url(self, name: str) -> str:
        """Where an endpoint finds the relay."""
        return f"http://{self.gates[name].near or LOOPBACK}:{self._port}/{name}"

    def is_plain(self, name: str) -> bool:
        """Whether an endpoint has to allow plain HTTP, since this is not on its own machine."""
        return not ipaddress.ip_address(self.gates[name].near or LOOPBACK).is_loopback

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        _, name, rest = request.path.split("/", 2)
        gates = self.gates[name]
        await gates.opened()
        body = await request.text()
        way: Way | None = None
        if request.method == "POST":
            self.connections[name] += 1
            way = Way(gates, seed=len(self._ways))
            self._ways.append(way)
            await way.start()
            body = way.offer(body)
        headers = {key: value for key, value in request.headers.items() if key in _KEPT}
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.request(
                    request.method, f"{self.relay}/{rest}", headers=headers, data=body or None, allow_redirects=False
                ) as answer,
            ):
                text = await answer.text()
                if way is not None and answer.status == 201:
                    text = way.answer(text)
                kept = {key: value for key, value in answer.headers.items() if key in _KEPT}
                return web.Response(status=answer.status, headers=kept, body=text.encode())
        except (aiohttp.ClientError, OSError, ValueError):
            return web.Response(status=502)  # there is no relay
