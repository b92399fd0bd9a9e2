# SPDX-License-Identifier: Apache-2.0
"""What the driver asks of a transport, and what it is told (specification, chapters 2 and 12).

A transport moves packets between the two ends of a link. It knows nothing of frames. Two rules
make it easy to use: it never raises into its user, and it calls its listener from the event loop
only, never from inside one of its own methods.
"""

from __future__ import annotations

from typing import Final, Protocol

from callchannel.core.lanes import Lane

HIGH_WATER: Final = 65_536
"""Bytes that may wait in a lane's buffer: less leaves it idle, more delays what is urgent."""

LOW_WATER: Final = 32_768
"""`writable` is reported when a lane's buffer has fallen to this."""

DRAIN_TIME: Final = 5.0
"""Seconds that `close` may spend on handing over what is buffered."""


class TransportListener(Protocol):
    """Who is told what a transport sees. Its methods do not raise."""

    def transport_up(self, transport: Transport) -> None:
        """The reliable lane is open. Called once, before any packet."""

    def packet(self, lane: Lane, packet: bytes) -> None:
        """A packet arrived. Not called after `transport_down`."""

    def writable(self, lane: Lane) -> None:
        """A buffer that was above `LOW_WATER` has fallen to it."""

    def lossy_changed(self, is_open: bool) -> None:
        """The lossy lane, at this end, has opened or closed."""

    def transport_down(self) -> None:
        """The transport is gone, or never came up. Called once, and last."""


class Transport(Protocol):
    """Packets to and from one peer. Attach a listener and wait for `transport_up`."""

    def attach(self, listener: TransportListener) -> None:
        """Report to `listener` from now on; also being up or down already. Call it once."""

    def send(self, lane: Lane, packet: bytes) -> None:
        """Send a packet. Reliable: in order, or the transport ends. Lossy: maybe. Never raises."""

    def buffered(self, lane: Lane) -> int:
        """Bytes that were given to `send` and have not left this side's buffer."""

    @property
    def lossy_open(self) -> bool:
        """Whether this end of the lossy lane takes packets."""

    def close(self) -> None:
        """Hand over what is buffered, for at most `DRAIN_TIME`, then close. Again: no effect."""

    async def wait_closed(self) -> None:
        """Wait until everything of the transport has ended, by `close` or otherwise."""
