# SPDX-License-Identifier: Apache-2.0
"""Every limit, with its default and bounds (specification, chapter 15; `spec/registry/limits.toml`).

Sizes are bytes, times microseconds (the registry gives milliseconds). `Limits` checks its values when it is made.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Final

from callchannel.core.errors import InvalidArgument

MS: Final = 1_000
"""Microseconds in a millisecond: the unit of time in the core is the microsecond."""


# Constants of wire version 1: equal for everyone, so that frames can be forwarded untouched.
RELIABLE_PACKET: Final = 16_384
"""Larger SCTP messages block everything behind them."""
LOSSY_PACKET: Final = 1_150
"""One SCTP chunk: a larger message is lost whole when one chunk is."""
BUNDLE_HEAD: Final = 128
"""An ACK or a CREDIT travels in front of bulk."""
LOSSY_MESSAGE: Final = 65_536
"""The chance to lose a message grows with its fragments."""
LOSSY_FRAGMENTS: Final = 128
"""64 KiB in fragments of 512 bytes."""
LOSSY_FRAGMENT_PAYLOAD: Final = 512
"""Tiny fragments cost more to keep than they carry."""
LOSSY_PARTIAL_TIME: Final = 2_000 * MS
"""What is missing by then does not come."""
LOSSY_WORDS: Final = 64
"""A Lossy frame has 1,150 bytes in all."""
REPLAY_WINDOW: Final = 1_024
"""Duplicates of Lossy messages."""
RECIPIENTS_REPORTED: Final = 64
"""A sender pays O(1) per message however large the call."""
IDENTIFIER: Final = 255
"""Its length is one byte."""
SILENCE: Final = 15_000 * MS
"""Three ACK intervals."""
LINGER: Final = 500 * MS
"""CLOSE overtakes Lossy data: other lane."""
TOMBSTONE: Final = 30_000 * MS
"""Late packets must not bring it back."""
HIGH_BURST: Final = 4
"""High priority does not starve the rest."""
BYE_TEXT: Final = 255
"""A sentence is enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits that an application may set. What is in force shows as `endpoint.limits`."""

    bundle: int = 1_150
    """The cost of an SCTP message doubles past one chunk."""
    largest_message: int = 16_777_216
    """Bounds what one message can cost a receiver; streams have no such limit."""
    window: int = 262_144
    """Four full packets at least; 256 KiB fills 100 Mbit/s at 20 ms."""
    unacknowledged: int = 1_048_576
    """What a link keeps for retransmission."""
    open_sessions: int = 256
    """Each session has state at every recipient."""
    new_sessions: int = 20
    """Opening and closing is work for the whole call."""
    control_frames: int = 1_000
    """Control frames need no credit; a bucket of twice this, and 2 more for each counted DATA frame to that link."""
    unconfirmed_messages: int = 1_024
    """Bounds the bookkeeping of verdicts."""
    send_buffer: int = 1_048_576
    """Backpressure reaches the application early."""
    lossy_queue: int = 262_144
    """Per sender at the endpoint, per link at the relay: old Lossy data is worth less than new."""
    lossy_partial_messages: int = 64
    """Per link; bounds reassembly."""
    lossy_partial_bytes: int = 1_048_576
    """Per link; bounds reassembly."""
    receive_memory: int = 67_108_864
    """All unread and partial messages of an endpoint."""
    relay_link_memory: int = 16_777_216
    """One slow link can't take the relay's memory."""
    roster_slots: int = 65_535
    """Slot FFFF means none."""
    ack_frames: int = 16
    """Frees the writer's retransmission memory."""
    ack_delay: int = 5 * MS
    """An accepted send waits for it, so one that sends one by one waits for it each time."""
    ack_interval: int = 5_000 * MS
    """Keeps the link alive; three in the silence limit."""
    join_time: int = 10_000 * MS
    """A relay answers HELLO at once."""
    unbound_time: int = 10_000 * MS
    """A transport without HELLO is not a link."""
    resume_window: int = 30_000 * MS
    """A change of network takes seconds; 0: no resume."""
    slot_quarantine: int = 120_000 * MS
    """Late frames must not reach a slot's next occupant."""
    idle_close: int = 120_000 * MS
    """As the model does it."""
    roster_batch: int = 50 * MS
    """A thousand joins at once cost a thousand times a thousand entries."""
    stall_time: int = 10_000 * MS
    """One slow reader costs the others this much, once."""
    delivered_deadline: int = 60_000 * MS
    """Somebody may never read."""
    leave_time: int = 5_000 * MS
    """Leaving ends."""
    relay_drain_time: int = 10_000 * MS
    """Stopping ends."""

    def __post_init__(self) -> None:
        for item in fields(self):
            low, high = BOUNDS[item.name]
            value = getattr(self, item.name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise InvalidArgument(f"limit {item.name} is {value!r}, it has to be {low}..{high}")

    def of_an_endpoint(self) -> Limits:
        """These, with `window` and `largest_message` held to `receive_memory` (CC-LIMIT-018)."""
        most = self.receive_memory
        if self.window <= most and self.largest_message <= most:
            return self
        return replace(self, window=min(self.window, most), largest_message=min(self.largest_message, most))


BOUNDS: Final[dict[str, tuple[int, int]]] = {
    "bundle": (1_150, 16_384),
    "largest_message": (32_768, 4_294_967_295),
    "window": (65_536, 4_294_967_295),
    "unacknowledged": (65_536, 16_777_216),
    "open_sessions": (16, 65_535),
    "new_sessions": (1, 65_535),
    "control_frames": (1_000, 1_000_000),
    "unconfirmed_messages": (64, 65_535),
    "send_buffer": (65_536, 1_073_741_824),
    "lossy_queue": (4_096, 16_777_216),
    "lossy_partial_messages": (8, 4_096),
    "lossy_partial_bytes": (65_536, 67_108_864),
    "receive_memory": (1_048_576, 1_099_511_627_776),
    "relay_link_memory": (1_048_576, 1_099_511_627_776),
    "roster_slots": (2, 65_535),
    "ack_frames": (1, 16),
    "ack_delay": (0 * MS, 25 * MS),
    "ack_interval": (1_000 * MS, 5_000 * MS),
    "join_time": (1_000 * MS, 60_000 * MS),
    "unbound_time": (1_000 * MS, 60_000 * MS),
    "resume_window": (0 * MS, 600_000 * MS),
    "slot_quarantine": (120_000 * MS, 3_600_000 * MS),
    "idle_close": (0 * MS, 86_400_000 * MS),
    "roster_batch": (0 * MS, 50 * MS),
    "stall_time": (1_000 * MS, 60_000 * MS),
    "delivered_deadline": (1_000 * MS, 3_600_000 * MS),
    "leave_time": (0 * MS, 60_000 * MS),
    "relay_drain_time": (0 * MS, 60_000 * MS),
}
"""Lowest and highest value of each settable limit."""
