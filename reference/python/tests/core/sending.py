# SPDX-License-Identifier: Apache-2.0
"""A sender of an endpoint at a wire."""

from __future__ import annotations

from typing import Any

from callchannel.core import frames as wire
from callchannel.core.errors import (
    ErrorCode,
)
from callchannel.core.messages import Reliability
from tests.core.network import Wire

LOSSY = Reliability.LOSSY


class Sending:
    """A sender of the endpoint at a wire."""

    def __init__(self, link: Wire, **options: Any) -> None:
        self.link = link
        self.id = link.endpoint.open_sender(link.now, **options)

    def send(self, data: bytes = b"x", **options: Any) -> int:
        return self.link.endpoint.send(self.id, data, self.link.now, **options)

    def cancel(self, sequence: int, code: int = ErrorCode.CANCELLED) -> Any:
        return self.link.endpoint.cancel(self.id, sequence, code, self.link.now)

    def close(self) -> None:
        self.link.endpoint.close_sender(self.id, self.link.now)

    def stream(self, *chunks: bytes) -> int:
        sequence = self.link.endpoint.open_stream(self.id, self.link.now)
        for chunk in chunks:
            self.write(sequence, chunk)
        return sequence

    def write(self, sequence: int, chunk: bytes) -> None:
        self.link.endpoint.write_stream(self.id, sequence, chunk, self.link.now)

    def finish(self, sequence: int) -> None:
        self.link.endpoint.finish_stream(self.id, sequence, self.link.now)

    @property
    def info(self) -> Any:
        return self.link.endpoint.sender_info(self.id)

    @property
    def drops(self) -> dict[str, int]:
        return dict(self.info.statistics.drops)


def change(link: Wire, *entries: wire.RosterEntry, epoch: int = 5) -> None:
    link.give(wire.Roster(epoch, entries))


def leave(slot: int) -> wire.RosterEntry:
    return wire.RosterEntry(wire.RosterOp.LEAVE, slot, 0x27)
