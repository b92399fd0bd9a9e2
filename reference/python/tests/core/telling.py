# SPDX-License-Identifier: Apache-2.0
"""A sender at a wire, and what its application was told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from callchannel.core import frames as wire
from callchannel.core.errors import CallChannelError, ErrorCode
from callchannel.core.events import (
    MessageFailed,
)
from callchannel.core.lanes import Lane
from callchannel.core.messages import Reliability
from tests.core.network import Wire

RELIABLE, LOSSY = Reliability.RELIABLE, Reliability.LOSSY


MINIMUM = 65_536


CODES = ErrorCode


class Sender:
    """A sender at a wire."""

    def __init__(self, link: Wire, reliability: Reliability = RELIABLE, **options: Any) -> None:
        self.link = link
        self.id = link.endpoint.open_sender(link.now, reliability=reliability, **options)

    def send(self, payload: bytes = b"x", **options: Any) -> int:
        return self.link.endpoint.send(self.id, payload, self.link.now, **options)

    def written(self, *, acked: bool = False, **options: Any) -> int:
        """Send a message that is wholly written, and acknowledged if so."""
        sequence = self.send(**options)
        self.link.take()
        self.link.take(Lane.LOSSY)
        if acked:
            self.link.ack()
        return sequence

    def cancel(self, sequence: int, code: int) -> Any:
        return self.link.endpoint.cancel(self.id, sequence, code, self.link.now)

    @property
    def drops(self) -> dict[str, int]:
        return dict(self.link.endpoint.sender_info(self.id).statistics.drops)


def raises(code: int, call: Callable[..., object], *args: Any, **options: Any) -> CallChannelError:
    """Assert that a call raises a code; returns the exception."""
    with pytest.raises(CallChannelError) as caught:
        call(*args, **options)
    assert caught.value.code == code
    return caught.value


def outcome(link: Wire) -> tuple[int, dict[str, int], dict[str, int]]:
    """The report of the one send that raised: its code, who failed, and of whom it is unknown."""
    (event,) = link.told(MessageFailed)
    assert event.code == event.report.code or not (event.report.failed or event.report.unknown)
    return event.code, dict(event.report.failed), dict(event.report.unknown)


def fail(slot: int, value: int, code: int, *, uncertain: bool = False) -> wire.Fail:
    """FAIL of the relay to the owner of session 1."""
    return wire.Fail(2, slot, 1, value, code, uncertain)


def dan_leaves(link: Wire) -> None:
    link.give(wire.Roster(5, (wire.RosterEntry(wire.RosterOp.LEAVE, 3, CODES.LEFT),)))
