# SPDX-License-Identifier: Apache-2.0
"""The relay as a process: listeners, graceful stop, figures.

```python
server = RelayServer(load_config("relay.toml"))
await server.start()
print(server.url)
await server.stop()
```

`run(config)` does all that until SIGINT or SIGTERM.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import signal
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from callchannel.core.lanes import Lane
from callchannel.core.relay import RelayStatistics
from callchannel.server.app import Signalling
from callchannel.server.config import ConfigError, ServerConfig, is_loopback
from callchannel.server.connections import Connections
from callchannel.server.health import health
from callchannel.server.http import BoundedServer, begun
from callchannel.server.logs import configure_logging, note
from callchannel.server.metrics import CONTENT_TYPE, Exposition, Figures
from callchannel.server.rooms import RelayMachine, Room, Rooms
from callchannel.web import Page
from callchannel.web.page import FilesMissing

HTTP_TIME: Final = 3.0
"""Seconds that requests which are being answered have when the server stops."""

logger = logging.getLogger("callchannel.server")


class RelayServer:
    """A relay with signalling over HTTP. Make it in a running loop, `start` it, and `stop` it."""

    def __init__(self, config: ServerConfig, *, make_relay: Callable[[], RelayMachine] | None = None) -> None:
        self.config = config
        self.rooms = Rooms(config.limits, config["server.call_linger"], make_relay)
        self.rooms.on_removed = self._removed
        self.connections = Connections(
            connect_time=config.signalling.connect_time / 1_000,
            memory=config["server.memory"],
            ice_servers=config["ice.relay_servers"],
        )
        self.signalling = Signalling(config, self.rooms, self.connections)
        self._page: Page | None = None
        self._exposition = Exposition(self.figures)
        self._runners: list[web.ServerRunner] = []
        self._gone = Figures()
        """What calls that are gone had counted."""
        self.port = 0
        """The port that signalling listens on."""
        self.status_port: int | None = None
        """The port of the listener for health and metrics, where there is one."""

    @property
    def url(self) -> str:
        """The base of signalling on this machine."""
        return f"{self._origin(self.config['http.host'])}{self.config['http.path']}"

    def _origin(self, host: str) -> str:
        host = f"[{host}]" if ":" in host and not host.startswith("[") else host
        scheme, usual = ("https", 443) if self.config.uses_tls else ("http", 80)
        return f"{scheme}://{host}" if self.port == usual else f"{scheme}://{host}:{self.port}"

    # --- beginning and end ------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen. Raises `ConfigError` when that is not possible, and listens nowhere then."""
        config = self.config
        try:
            if config["http.page"]:
                self._page = self._make_page()
            self.port = await self._listen("http", self._handle, config.tls())
            if self._page is not None:
                # Names, and not whatever a request calls this host: a page elsewhere can have its name lead here.
                hosts = {config["http.host"], *(("localhost", "127.0.0.1", "::1") if config.is_loopback else ())}
                self.signalling.origins |= {self._origin(host.lower()) for host in hosts}
            if config["status.port"] >= 0:
                self.status_port = await self._listen("status", self._handle_status, None)
        except BaseException:
            await self._close_listeners()
            raise
        if config["admission.open"]:
            note(logger, logging.WARNING, "open mode: everybody on this machine may join as anybody")
        if not config.uses_tls and not config.is_loopback:
            note(
                logger, logging.WARNING, "plain HTTP beyond loopback: tokens are in the clear unless a proxy ends HTTPS"
            )
        note(logger, logging.INFO, "relay started", url=self.url, status_port=self.status_port)
        if self._page is not None:
            note(logger, logging.INFO, "page served", url=self.url + "/")

    async def stop(self) -> None:
        """Stop gracefully (section 10.13): refuse what is new, finish what was accepted, say BYE, close.

        It takes `relay_drain_time` and some seconds for buffers at most. Signalling goes on until links have ended.
        """
        self.signalling.is_stopping = True
        note(logger, logging.INFO, "relay stops", calls=len(self.rooms), connections=len(self.connections))
        try:
            await self.rooms.stop()
            await self.connections.wait_closed()
        finally:
            await self._close_listeners()
        note(logger, logging.INFO, "relay stopped")

    async def __aenter__(self) -> RelayServer:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    def _make_page(self) -> Page:
        try:
            return Page(self.config["http.path"], is_open=self.config["admission.open"])
        except FilesMissing as exc:
            raise ConfigError("http.page", str(exc), "or turn http.page off") from None

    async def _listen(self, section: str, handler: Any, tls: Any) -> int:
        config = self.config
        host, port = config[f"{section}.host"], config[f"{section}.port"]
        server = BoundedServer(
            handler, connections=config["http.connections"], request_time=config["http.request_time"]
        )
        runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=HTTP_TIME)
        await runner.setup()
        self._runners.append(runner)
        try:
            await web.TCPSite(runner, host.strip("[]"), port, ssl_context=tls).start()
        except OSError as exc:
            raise ConfigError(
                f"{section}.host, {section}.port",
                f"{host}:{port} can't be listened on: {exc.strerror or exc}",
                "give an address of this machine and a port that is free",
            ) from None
        addresses = [address for address in runner.addresses if isinstance(address, tuple)]
        if config["admission.open"] and section == "http" and not all(is_loopback(address[0]) for address in addresses):
            raise ConfigError(
                f"{section}.host", f"{host!r} is not loopback alone, and open mode is on", 'listen on "127.0.0.1"'
            )
        return int(addresses[0][1])

    async def _close_listeners(self) -> None:
        runners, self._runners = self._runners, []
        for runner in runners:
            await runner.cleanup()

    # --- requests ---------------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        begun(request)
        if self.status_port is None and request.path in ("/health", "/metrics"):
            return self._status(request)
        if self._page is not None and (response := self._page.answer(request)) is not None:
            return response
        return await self.signalling.handle(request)

    async def _handle_status(self, request: web.BaseRequest) -> web.StreamResponse:
        begun(request)
        return self._status(request)

    def _status(self, request: web.BaseRequest) -> web.Response:
        shows_metrics = self.config["status.metrics"]
        if shows_metrics == "auto":
            shows_metrics = "on" if self.status_port is not None or self.config.is_loopback else "off"
        headers = {"Cache-Control": "no-store"}
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, headers={**headers, "Allow": "GET, HEAD"})
        if request.path == "/health":
            status, body = health(self.figures())
            return web.Response(status=status, body=body, headers={**headers, "Content-Type": "application/json"})
        if request.path == "/metrics" and shows_metrics == "on":
            return web.Response(body=self._exposition.text(), headers={**headers, "Content-Type": CONTENT_TYPE})
        return web.Response(status=404, headers=headers)

    # --- figures ----------------------------------------------------------------------------------

    def figures(self) -> Figures:
        """The state of the server now."""
        traffic, connections = self.connections.traffic, self.connections
        figures = Figures(
            calls=len(self.rooms),
            connections=len(connections),
            waiting=connections.waiting,
            held=connections.budget.held,
            joined=self._gone.joined,
            timed_out=connections.timed_out,
            given_up=connections.given_up,
            packets={("sent", lane): traffic.sent[lane] for lane in Lane}
            | {("received", lane): traffic.received[lane] for lane in Lane},
            packet_bytes={("sent", lane): traffic.sent_bytes[lane] for lane in Lane}
            | {("received", lane): traffic.received_bytes[lane] for lane in Lane},
            frames_forwarded=self._gone.frames_forwarded,
            drops=Counter(self._gone.drops),
            offers=Counter(self.signalling.offers),
            is_stopping=self.signalling.is_stopping,
        )
        for room in self.rooms:
            statistics = room.relay.statistics()
            figures.participants += len(statistics.links)
            figures.suspended += len(room.suspended)
            figures.sessions += statistics.sessions
            figures.unbound += statistics.unbound_transports
            figures.queued += sum(link.bytes_queued for link in statistics.links)
            figures.unacknowledged += sum(link.bytes_unacknowledged for link in statistics.links)
            _count(figures, room, statistics)
        return figures

    def _removed(self, room: Room) -> None:
        _count(self._gone, room, room.relay.statistics())


def _count(figures: Figures, room: Room, statistics: RelayStatistics) -> None:
    """Add what a call has counted since it began."""
    figures.joined += room.joined
    figures.frames_forwarded += statistics.frames_forwarded
    figures.internal_errors += statistics.internal_errors
    figures.drops.update(statistics.drops)


def run(config: ServerConfig) -> None:
    """Run a relay until SIGINT or SIGTERM, then stop it gracefully. A second signal ends it at once.

    Raises `ConfigError`. It uses uvloop where that is installed, and sets the log up.
    """
    configure_logging(config["log.format"], config["log.level"], identities=config["log.identities"])
    factory: Any = None
    if config["server.uvloop"]:
        with contextlib.suppress(ImportError):
            factory = importlib.import_module("uvloop").new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_serve(config))


async def _serve(config: ServerConfig) -> None:
    server = RelayServer(config)
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    with contextlib.ExitStack() as handlers:
        for number in signals:  # before anybody is told that the relay is there
            loop.add_signal_handler(number, told.set)
            handlers.callback(loop.remove_signal_handler, number)
        await server.start()
        try:
            await told.wait()
        finally:
            handlers.close()  # from here on a signal ends it at once
            await server.stop()
