# SPDX-License-Identifier: Apache-2.0
"""What a sender keeps of one message, from `send` until it is settled (specification, chapter 7)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from callchannel.core.extensions import Extension
from callchannel.core.roster import Target


class Outgoing:
    """One message on its way out. Its session changes it; it changes nothing itself.

    What is rarely needed is a default of the class, not of each message: there can be a million of them a second.
    """

    unfit: Sequence[tuple[int, str, int, bool]] = ()
    """(slot, identifier, code, unknown) of recipients whose verdict is failed or unknown, in order."""
    former: dict[int, str] = {}  # noqa: RUF012 - never altered: a message that has any gets a dictionary of its own
    """Identifiers of recipients whose slot has another occupant by now."""
    passed_over = 0
    """Endpoints that failed earlier in the session, of a message to everyone."""
    expires: int | None = None
    written = False
    """Whether its first frame was written."""
    whole = False
    """Whether its last frame was written."""
    aborting = False
    first_flags = later_flags = 0
    first_blocks = later_blocks = b""
    offset = 0
    index = 0
    is_stream = False
    finished = False
    chunks: deque[bytes]
    """Of a stream: what waits to be written."""

    def __init__(
        self, sequence: int, payload: bytes, target: Target, extensions: tuple[Extension, ...], slots: int, epoch: int
    ) -> None:
        self.sequence = sequence
        self.payload = payload
        self.target = target
        self.extensions = extensions
        self.recipients = slots
        """Who it is for: as resolved at the send, and finally when the first frame is made."""
        self.epoch = epoch
        """The roster epoch of the send."""
        self.open = slots
        """Recipients without a verdict."""

    @property
    def waiting_bytes(self) -> int:
        """Payload that is not written yet."""
        if self.is_stream:
            return sum(map(len, self.chunks))
        return len(self.payload) - self.offset
