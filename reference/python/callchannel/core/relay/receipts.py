# SPDX-License-Identifier: Apache-2.0
"""Receipts of one session at a relay: passed on one by one, or gathered for all recipients (section 10.11)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from callchannel.core.relay.route import Route

MAX_OUTSTANDING: Final = 65_535
"""Messages with CONFIRM of one session that wait for receipts: what a sender may have unconfirmed at most. A recipient
that holds up more costs the relay memory without bound, and is failed with MEMORY (CC-LIMIT-012)."""


class Confirmed:
    """A message with CONFIRM whose receipts are not all there."""

    __slots__ = ("one_by_one", "pending", "reached", "sequence")

    def __init__(self, sequence: int, pending: int, *, one_by_one: bool) -> None:
        self.sequence = sequence
        self.pending = pending
        """Recipients that neither covered it nor failed."""
        self.reached = False
        """Whether a recipient covered it."""
        self.one_by_one = one_by_one
        """Whether its receipts are passed on one by one (CC-RELAY-067)."""


class Receipts:
    """The messages with CONFIRM of one session."""

    __slots__ = ("_told", "outstanding", "value")

    def __init__(self) -> None:
        self.outstanding: list[Confirmed] = []
        """Ascending; everything before the first one is covered by everyone who did not fail."""
        self.value = 0
        """What an aggregated RECEIPT has to tell now; see `due`."""
        self._told = 0

    @property
    def due(self) -> bool:
        """Whether an aggregated RECEIPT is due (CC-RELAY-069)."""
        return self.value > self._told

    @property
    def told(self) -> int:
        """Greatest sequence that an aggregated RECEIPT covered."""
        return self._told

    def admit(self, message: Confirmed) -> bool:
        """A message was admitted. Returns whether there are more than may be."""
        self.outstanding.append(message)
        self.advance()
        return len(self.outstanding) > MAX_OUTSTANDING

    def cover(self, route: Route, value: int) -> bool:
        """A recipient covers everything up to `value`. Returns whether its own RECEIPT has to be passed on."""
        passed = False
        confirms = route.confirms
        count = 0
        for message in confirms:
            if message.sequence > value:
                break
            count += 1
            message.pending -= not route.released
            message.reached = True
            passed = passed or message.one_by_one
        if count:
            del confirms[:count]
            self.advance()
        return passed

    def release(self, route: Route, value: int) -> None:
        """The FAIL of a recipient was written: it is out of the aggregate (CC-RELAY-055).

        Its receipts for messages below `value` are still awaited, and passed on one by one (CC-DELIV-021).
        """
        kept = 0
        for message in route.confirms:
            message.pending -= 1
            kept += message.sequence < value
        del route.confirms[kept:]
        route.released = True
        self.advance()

    def withdraw(self, sequence: int, routes: list[Route]) -> None:
        """The owner aborted a message, or its session failed in the middle of it: nobody reads it."""
        if self.outstanding and self.outstanding[-1].sequence == sequence:
            message = self.outstanding.pop()
            for route in routes:
                if route.confirms and route.confirms[-1] is message:
                    route.confirms.pop()
            self.advance()

    def advance(self) -> None:
        """Find out how far everything is covered."""
        done = 0
        for message in self.outstanding:
            if message.pending:
                break
            done += 1
            # CC-RELAY-068, 070: where a message has few recipients, their own receipts say it all, if any came.
            if not message.one_by_one or not message.reached:
                self.value = message.sequence
        if done:
            del self.outstanding[:done]

    def take(self) -> int:
        """The value of an aggregated RECEIPT that is being written now."""
        self._told = self.value
        return self._told
