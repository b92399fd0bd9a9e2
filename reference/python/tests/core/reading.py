# SPDX-License-Identifier: Apache-2.0
"""Reading at a scripted endpoint."""

from __future__ import annotations

from typing import Any

from callchannel.core import frames as wire
from callchannel.core.events import ReceiverClosed as ReceiverClosedEvent
from callchannel.core.messages import Message
from tests.core.network import Wire, data

CONFIRM = wire.RELIABLE | wire.CONFIRM


def part(
    index: int, payload: bytes = b"", *, sequence: int = 1, total: int = 5, last: bool = False, **fields: Any
) -> wire.Data:
    """A fragment of session 1."""
    return data(1, sequence, payload, fragment=wire.Fragment(index, total, last), **fields)


def abort(index: int, *, sequence: int = 1, total: int = 5) -> wire.Data:
    return data(1, sequence, fragment=wire.Fragment(index, total, abort=True))


def read(link: Wire, receiver: int = 1) -> Message | None:
    return link.endpoint.read(receiver, link.now)


def closed(link: Wire) -> list[int]:
    return [event.code for event in link.told(ReceiverClosedEvent)]
