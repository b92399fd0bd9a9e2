# SPDX-License-Identifier: Apache-2.0
"""The limits of signalling (specification, chapter 15; `spec/registry/limits.toml`). Times are milliseconds, as
there.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from callchannel.core.errors import InvalidArgument


@dataclass(frozen=True, slots=True, kw_only=True)
class SignallingLimits:
    """What a relay's signalling takes. The values are checked when it is made."""

    signalling_body: int = 65_536
    """Bytes. An offer with many candidates takes a few KiB."""
    admission_token: int = 4_096
    """Bytes. An identifier of 255 bytes and room for claims of the application."""
    token_leeway: int = 30_000
    """Milliseconds. Clocks differ by seconds."""
    offers_per_second: int = 2
    """Per identifier and call; a bucket of five times this absorbs bursts."""
    connections_per_identity: int = 16
    """Per identifier and call: some devices, each with an old and a new connection."""
    connections_per_call: int = 20_000
    """A call of 10,000 may have twice as many for a moment."""
    connect_time: int = 30_000
    """Milliseconds from the answer until a transport is up. An offer whose client never comes must not last."""

    def __post_init__(self) -> None:
        for item in fields(self):
            low, high = BOUNDS[item.name]
            value = getattr(self, item.name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise InvalidArgument(f"limit {item.name} is {value!r}, it has to be {low}..{high}")


BOUNDS: Final[dict[str, tuple[int, int]]] = {
    "signalling_body": (16_384, 1_048_576),
    "admission_token": (2_048, 8_192),
    "token_leeway": (0, 30_000),
    "offers_per_second": (1, 1_000),
    "connections_per_identity": (4, 65_535),
    "connections_per_call": (4, 131_072),
    "connect_time": (5_000, 120_000),
}
"""Lowest and highest value of each limit."""
