# SPDX-License-Identifier: Apache-2.0
"""Flow control of one session on one hop: absolute limits of bytes (specification, chapter 7)."""

from __future__ import annotations

from callchannel.core.limits import RELIABLE_PACKET


class SendCredit:
    """The writer's side: what the next hop allows."""

    __slots__ = ("limit", "written")

    def __init__(self, window: int) -> None:
        self.limit = window
        """Bytes of DATA frames that may be written in all."""
        self.written = 0

    def allows(self, length: int) -> bool:
        """Whether a frame of `length` bytes may be written."""
        return self.written + length <= self.limit

    def raise_limit(self, limit: int) -> bool:
        """Take a CREDIT; a lower limit than before has no effect. Returns whether the limit grew."""
        if limit <= self.limit:
            return False
        self.limit = limit
        return True


class ReceiveCredit:
    """The reader's side: what has come, what was handed out, and what limit was announced."""

    __slots__ = ("_worth", "announced", "consumed", "look_at", "received", "window")

    def __init__(self, window: int) -> None:
        self.window = window
        self._worth = window // 4  # a CREDIT is worth its frame when the limit grew by so much
        self.announced = window
        self.received = 0
        self.consumed = 0
        self.look_at = self._worth
        """As long as less is consumed, and nothing is partial, no CREDIT can be due: it need not be computed."""

    def accepts(self, length: int) -> bool:
        """Whether the writer kept within its limit with a further frame of `length` bytes."""
        return self.received + length <= self.announced

    def receive(self, length: int) -> None:
        """So many bytes have come."""
        received = self.received = self.received + length
        if self.announced - received < RELIABLE_PACKET:  # it is tight
            self.look_at = 0

    def announce(self, limit: int) -> None:
        """A CREDIT was written."""
        self.announced = limit
        self.look_at = 0 if self.is_tight else limit - self.window + self._worth

    def limit(self, *, holds_unread: bool) -> int:
        """The limit as it is now, for a final recipient.

        While no complete message is unread, half a window stays open whatever is held: a message larger than the window
        has to be able to finish.
        """
        limit = self.consumed + self.window
        if not holds_unread:
            limit = max(limit, self.received + self.window // 2)
        return max(limit, self.announced)

    def is_due(self, limit: int) -> bool:
        """Whether a CREDIT with `limit` is worth its frame: a quarter of the window, or the writer may be stuck."""
        grown = limit - self.announced
        return grown >= self._worth or (grown > 0 and self.is_tight)

    @property
    def is_low(self) -> bool:
        """Whether CREDIT may be due although nothing was consumed."""
        return self.announced - self.received <= self.window // 2 - self._worth

    @property
    def is_tight(self) -> bool:
        """Whether the writer could not write a whole frame any more."""
        return self.announced - self.received < RELIABLE_PACKET
