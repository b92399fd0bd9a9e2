# SPDX-License-Identifier: Apache-2.0
"""A relay in the same event loop as its endpoints: for tests, examples, and participants that live beside the relay."""

from __future__ import annotations

import os
from collections.abc import Callable

from callchannel.aio.driver import Driver
from callchannel.aio.memory import MemoryTransport, memory_pair
from callchannel.aio.reconnecting import Connect
from callchannel.core.limits import Limits
from callchannel.core.relay import Admission, Relay, RelayEvent


def memory_relay(
    *,
    limits: Limits | None = None,
    on_event: Callable[[RelayEvent], object] = lambda event: None,
) -> MemoryRelay:
    """A relay for one call. Give `relay.connect("ann")` to `Call.join`; call it in a running loop."""
    return MemoryRelay(limits=limits, on_event=on_event)


class MemoryRelay:
    """A relay whose transports are in memory. It lives as long as its loop; `close` ends it sooner."""

    def __init__(self, *, limits: Limits | None, on_event: Callable[[RelayEvent], object]) -> None:
        self.relay = Relay(entropy=os.urandom, limits=limits or Limits())
        self.transports: dict[str, MemoryTransport] = {}
        """The newest transport of each identity, at the relay's end: `cut` it to see a link resume."""
        self._driver = Driver(self.relay, on_event)

    def connect(self, identity: str, *, may_send: bool = True, lossy: bool = True) -> Connect:
        """How an endpoint that was admitted as `identity` gets a transport, the first time and after a loss."""

        async def connect() -> MemoryTransport:
            near, far = memory_pair(lossy=lossy)
            self.transports[identity] = far
            self._driver.attach(far, admission=Admission(identity=identity, may_send=may_send))
            return near

        return connect

    async def close(self) -> None:
        """End all links at once."""
        await self._driver.close()
