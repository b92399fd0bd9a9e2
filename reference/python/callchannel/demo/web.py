# SPDX-License-Identifier: Apache-2.0
"""`callchannel demo --web`: a relay that serves the page, and a participant to talk to, until it is interrupted."""

from __future__ import annotations

import contextlib
from typing import Final

from callchannel.cli.output import Output
from callchannel.demo.host import Host
from callchannel.escaping import visible
from callchannel.server import ConfigError, RelayServer, load_config
from callchannel.server.logs import configure_logging

CALL: Final = "tea"
USUAL_PORT: Final = 8080


async def run_web(output: Output, port: int | None = None) -> None:
    """Serve until this task is cancelled.

    `port`: None for 8080, or any that is free where that is taken; 0 for any that is free. Raises `ConfigError` where
    nothing can be listened on, and what joining a call raises.
    """
    configure_logging("plain", "error")
    server = await _started(USUAL_PORT if port is None else port, may_move=port is None)
    host = Host()
    try:
        await host.join(server.url, CALL)
        page = f"{server.url}/#call={CALL}"
        output.event("listening", page=page, url=server.url, call=CALL, participant=host.identity)
        output.line(f"Open {output.style(page, 'bold')} in a browser, in two tabs for two people.")
        output.line(f"{visible(host.identity)} is in the call {CALL} and talks with you. Press Ctrl-C to stop.")
        await host.talk()
    finally:
        await host.leave()
        await server.stop()


async def _started(port: int, *, may_move: bool) -> RelayServer:
    # The environment may be meant for another relay.
    overrides = {"http.port": port, "http.page": True, "admission.open": True, "limits.relay_drain_time": 1000}
    server = RelayServer(load_config(env={}, overrides=overrides))
    try:
        await server.start()
    except ConfigError:
        with contextlib.suppress(Exception):
            await server.stop()
        if not may_move:
            raise
        return await _started(0, may_move=False)
    return server
