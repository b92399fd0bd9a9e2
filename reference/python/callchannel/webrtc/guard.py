# SPDX-License-Identifier: Apache-2.0
"""Bounds what one connection can make aiortc hold (specification, chapter 12, CC-RTC-020; chapter 16).

aiortc announces a receive window and a largest message, and enforces neither: what a peer sends is kept until its
message is complete. Measured with aiortc 1.16: a message of 16 MiB is held whole, and costs 16 s of processor time,
because each chunk walks the list of all before it. An exception on what a peer sends is written to the log with a
traceback.

aiortc has no public place to bound this, so the guard stands in front of two methods of one association:

- of a message that is larger than any packet, the beginning is kept, one byte more than is allowed at least, and joined
  into one chunk; the rest is acknowledged and let go. The link then judges the message PACKET_SIZE.
- when too much waits for a missing chunk, in bytes or chunks, or too many streams are open, the connection is given up.
  The same goes for what makes aiortc raise.
- the congestion window has an upper end, and with it what is kept for retransmission.

It is for connections that are made for callchannel: a relay's, a client's to a relay, and those of `offering` and
`answering`. In an application's own connection, its other channels may use larger messages.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from aiortc import RTCPeerConnection

from callchannel.core.limits import RELIABLE_PACKET

HELD: Final = 2_097_152
"""Bytes that may wait for a missing chunk: twice the window that aiortc announces."""

CHUNKS: Final = 2_048
"""Chunks that may wait for a missing one: 2 MiB in full chunks are 1,809. Each costs about 300 bytes beside its
data."""

STREAMS: Final = 16
"""Streams: two for each transport, and channels of others that are left alone."""

FLIGHT: Final = 1_048_576
"""The congestion window's upper end in bytes: 40 Mbit/s at 200 ms."""

_UNORDERED: Final = 0x04
_FIRST: Final = 0x02
_LAST: Final = 0x01

_ATTRIBUTES: Final = (
    "_advertised_rwnd",
    "_cwnd",
    "_handle_data",
    "_inbound_streams",
    "_last_received_tsn",
    "_receive_data_chunk",
    "_sack_misordered",
)

logger = logging.getLogger("callchannel.webrtc")


class Budget:
    """What all guarded connections of a server may hold together, in bytes. Beyond it, the largest is given up."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self._by_guard: dict[Guard, int] = {}

    def update(self, guard: Guard, held: int) -> None:
        """Note what a connection holds now; 0 when it is closed."""
        before = self._by_guard.get(guard, 0)
        if held == before:
            return
        self.held += held - before
        if held:
            self._by_guard[guard] = held
        else:
            del self._by_guard[guard]
        if self.held > self.limit:
            most = max(self._by_guard, key=self._by_guard.__getitem__)
            most.fail(f"all connections together hold more than {self.limit} bytes, this one most")


class Guard:
    """The bounds of one connection. Make it when the remote description is set; it works until the connection closes.

    `give_up(why)` is called once, when a bound was passed; it has to close the connection. Nothing is read from then
    on.
    """

    def __init__(
        self, connection: RTCPeerConnection, give_up: Callable[[str], None], budget: Budget | None = None
    ) -> None:
        self._budget = budget
        self._give_up = give_up
        sctp: Any = connection.sctp
        self._sctp = sctp
        self.gave_up = False
        self.in_force = all(hasattr(sctp, name) for name in _ATTRIBUTES)
        """False where aiortc's insides are not those that the guard was made for."""
        if not self.in_force:
            logger.warning("this release of aiortc is unknown to callchannel: its memory is not bounded")
            return
        self._capacity: int = sctp._advertised_rwnd
        self._handle_data = sctp._handle_data
        self._receive_data_chunk = sctp._receive_data_chunk
        sctp._handle_data = self._on_datagram
        sctp._receive_data_chunk = self._on_chunk

    @property
    def held(self) -> int:
        """Bytes of incomplete or early messages that the association holds now."""
        return max(0, self._capacity - self._sctp._advertised_rwnd) if self.in_force else 0

    async def _on_datagram(self, data: bytes) -> None:
        if self.gave_up:
            return
        sctp = self._sctp
        try:
            await self._handle_data(data)
        except ConnectionError:
            raise
        except Exception as exc:
            self.fail(f"what the peer sent made aiortc raise {type(exc).__name__}")
            return
        # From here on everything is done once for each datagram, that is fifteen times for a full packet.
        if sctp._cwnd > FLIGHT:  # noqa: PLR1730 - see above
            sctp._cwnd = FLIGHT
        streams = sctp._inbound_streams
        held = self._capacity - sctp._advertised_rwnd
        if self._budget is not None:
            self._budget.update(self, max(0, held))
        if len(streams) > STREAMS:
            self.fail(f"the peer uses more than {STREAMS} streams")
        elif held > HELD:
            self.fail(f"more than {HELD} bytes wait for a missing chunk")
        else:
            chunks = 0
            for stream in streams.values():
                chunks += len(stream.reassembly)
            if chunks > CHUNKS or len(sctp._sack_misordered) > CHUNKS:
                self.fail(f"more than {CHUNKS} chunks wait for a missing one")

    async def _on_chunk(self, chunk: Any) -> None:
        sctp = self._sctp
        # Chunks of one message have consecutive numbers. So where none is missing, all that is held is the beginning of
        # one message, and this chunk goes on with it.
        goes_on = (
            self._capacity - sctp._advertised_rwnd > RELIABLE_PACKET
            and not chunk.flags & _FIRST
            and not sctp._sack_misordered
            and sctp._last_received_tsn is not None
            and chunk.tsn == (sctp._last_received_tsn + 1) % 2**32
        )
        if goes_on:
            chunk.user_data = b""
        await self._receive_data_chunk(chunk)
        if self._capacity - sctp._advertised_rwnd > RELIABLE_PACKET and not sctp._sack_misordered:
            stream = sctp._inbound_streams.get(chunk.stream_id)
            if stream is not None:
                sctp._advertised_rwnd += _join(stream.reassembly)

    def fail(self, why: str) -> None:
        """Give the connection up. Again: no effect."""
        if self.gave_up:
            return
        self.gave_up = True
        for stream in self._sctp._inbound_streams.values():
            stream.reassembly.clear()
        self._sctp._sack_misordered.clear()
        self.release()
        self._give_up(why)

    def release(self) -> None:
        """Give the budget back what this connection held. Call it when the connection is closed."""
        if self._budget is not None:
            self._budget.update(self, 0)


def _join(chunks: list[Any]) -> int:
    """Make one chunk of the incomplete message at the end of `chunks`, and keep no more of it than shows its size.

    Its number is that of the message's last chunk, so that the next one fits. Returns how many bytes were let go.
    """
    first = next((at for at in range(len(chunks) - 1, -1, -1) if chunks[at].flags & _FIRST), None)
    if first is None:
        return 0
    part, last = chunks[first:], chunks[-1]
    if any(chunk.flags & _LAST for chunk in part) or last.tsn != (part[0].tsn + len(part) - 1) % 2**32:
        return 0
    whole = b"".join(chunk.user_data for chunk in part)
    last.flags |= _FIRST | (part[0].flags & _UNORDERED)
    last.protocol = part[0].protocol
    last.stream_seq = part[0].stream_seq
    last.user_data = whole[: RELIABLE_PACKET + 1]
    del chunks[first:-1]
    return len(whole) - len(last.user_data)
