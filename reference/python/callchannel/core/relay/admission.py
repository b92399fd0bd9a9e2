# SPDX-License-Identifier: Apache-2.0
"""What a relay's surroundings say of a transport, such as its signalling (specification, section 10.1)."""

from __future__ import annotations

from dataclasses import dataclass

from callchannel.core.errors import InvalidArgument
from callchannel.core.limits import IDENTIFIER


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Who an endpoint is, and what it may do. Raises `InvalidArgument` for an identity that no frame can carry."""

    identity: str
    """1 to 255 bytes of UTF-8; what WELCOME and the roster say, whatever HELLO claims (CC-RELAY-001)."""
    may_send: bool = True
    """Whether its messages are admitted; if not, they are refused with POLICY (CC-RELAY-017)."""
    rate: int | None = None
    """Most bytes of DATA a second that the relay takes from it in the long run; None: no limit (section 10.12)."""

    def __post_init__(self) -> None:
        try:
            size = len(self.identity.encode())
        except (AttributeError, UnicodeEncodeError):
            size = 0
        if not 1 <= size <= IDENTIFIER:
            raise InvalidArgument(f"identity is {self.identity!r}, it has to be text of 1 to {IDENTIFIER} bytes")
        if self.rate is not None and (not isinstance(self.rate, int) or self.rate < 1):
            raise InvalidArgument(f"rate is {self.rate!r}, it has to be bytes a second, 1 or more")
