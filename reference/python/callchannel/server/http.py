# SPDX-License-Identifier: Apache-2.0
"""An HTTP server that is bounded where aiohttp's is not: connections at a time, and time until a request has come."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from callchannel.server.logs import note

LINGER: Final = 1.0
"""Seconds in which the rest of a body that nobody wanted is thrown away, so that the client can read the answer."""

KEEP_ALIVE: Final = 15.0
"""Seconds that a connection without a request is kept."""

logger = logging.getLogger("callchannel.server")

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class BoundedServer(web.Server):
    """A low-level server of aiohttp for `web.ServerRunner`."""

    def __init__(self, handler: Handler, *, connections: int, request_time: float) -> None:
        super().__init__(handler, access_log=None, keepalive_timeout=KEEP_ALIVE, lingering_time=LINGER)
        self._most = connections
        self._request_time = request_time
        self._arguments: dict[str, Any] = {
            "access_log": None,
            "keepalive_timeout": KEEP_ALIVE,
            "lingering_time": LINGER,
        }
        self.refused = 0
        """Connections that were one too many."""

    def __call__(self) -> web.RequestHandler:
        """Make the protocol of a new connection."""
        return _BoundedHandler(self, loop=asyncio.get_running_loop(), **self._arguments)

    def pre_shutdown(self) -> None:
        """Close connections that have no request. aiohttp's own would wait for one that has only just come."""
        super().pre_shutdown()
        for handler in self.connections:
            if isinstance(handler, _BoundedHandler) and not handler.has_begun:
                handler.force_close()

    @property
    def is_full(self) -> bool:
        """Whether one more connection is one too many."""
        return len(self.connections) > self._most

    @property
    def request_time(self) -> float:
        """Seconds until the first request has to be there."""
        return self._request_time


class _BoundedHandler(web.RequestHandler):
    """One HTTP connection."""

    __slots__ = ("_first", "_owner")

    def __init__(self, owner: BoundedServer, *, loop: asyncio.AbstractEventLoop, **arguments: Any) -> None:
        super().__init__(owner, loop=loop, **arguments)
        self._owner = owner
        self._first: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        if self._owner.is_full:
            self._owner.refused += 1
            self.force_close()
        else:
            loop = asyncio.get_running_loop()
            self._first = loop.call_later(self._owner.request_time, self.force_close)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log that a request was malformed. Strangers can send such at will: one line, and no traceback."""
        exc = kw.get("exc_info")
        note(logger, logging.INFO, "malformed request", error=type(exc).__name__)

    @property
    def has_begun(self) -> bool:
        """Whether a request has come."""
        return self._first is None

    def begun(self) -> None:
        """The first request is there: from now on the server's other bounds hold."""
        if self._first is not None:
            self._first.cancel()
            self._first = None

    def connection_lost(self, exc: BaseException | None) -> None:
        """Wait no more."""
        self.begun()
        super().connection_lost(exc)


def begun(request: web.BaseRequest) -> None:
    """Note that a request has come. A handler calls it first."""
    if isinstance(request.protocol, _BoundedHandler):
        request.protocol.begun()
