# SPDX-License-Identifier: Apache-2.0
"""Messages as the application sees them (specification, chapter 2)."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from callchannel.core.extensions import Metadata


class Reliability(enum.Enum):
    """What a sender promises."""

    RELIABLE = "reliable"
    """In order, without loss; an exception when sending fails."""
    LOSSY = "lossy"
    """At most once, in any order, dropped silently."""


class Priority(enum.Enum):
    """Compared among one endpoint's own senders."""

    NORMAL = "normal"
    HIGH = "high"


class Confirm(enum.Enum):
    """When a Reliable message counts as confirmed."""

    ACCEPTED = "accepted"
    """The next hop, the relay or the peer, has custody of it."""
    DELIVERED = "delivered"
    """Each recipient's application has read it."""


@dataclass(slots=True)
class Message:
    """A message that was received."""

    sequence: int
    data: bytes
    metadata: Metadata
    private: bool = False
    """Whether it was addressed to some, not to everyone."""
    is_stream: bool = False
    """`data` is empty; take the bytes with `Endpoint.read_stream` until a chunk says that it is the last."""


@dataclass(slots=True)
class StreamChunk:
    """Bytes of a stream that is being read."""

    data: bytes
    last: bool = False
    """The stream is complete with these bytes."""
