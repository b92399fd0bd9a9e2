# SPDX-License-Identifier: Apache-2.0
"""The relay's process in the demonstration: the same server that `callchannel relay` runs, with admission by token.

It reports where it listens, and what it has counted when it is asked. It ends with its standard input.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any, Final

from callchannel.cli.connecting import loop_factory
from callchannel.demo.talking import commands, tell
from callchannel.server import RelayServer, load_config
from callchannel.server.logs import configure_logging

KEY_VARIABLE: Final = "CALLCHANNEL_DEMO_KEY"
"""The environment variable with the key of tokens, made anew for each demonstration."""


async def relay(settings: Mapping[str, Any] | None = None) -> None:
    """Be the relay until standard input ends. `settings` go before its own."""
    configure_logging("plain", "warning")
    # The rest of the environment, which may be meant for another relay, does not count.
    env = {KEY_VARIABLE: os.environ[KEY_VARIABLE]}
    overrides = {"http.port": 0, "admission.key_env": KEY_VARIABLE, "server.call_linger": 0, **(settings or {})}
    config = load_config(env=env, overrides=overrides)
    async with RelayServer(config) as server:
        tell("listening", url=server.url)
        async for command in commands():
            if command["do"] == "figures":
                figures = server.figures()
                tell(
                    "figures",
                    drops=dict(figures.drops),
                    frames_forwarded=figures.frames_forwarded,
                    queued=figures.queued,
                    held=figures.held,
                    given_up=figures.given_up,
                    suspended=figures.suspended,
                    connections=figures.connections,
                )


def main() -> None:
    """Run the process."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(relay())


if __name__ == "__main__":
    main()
