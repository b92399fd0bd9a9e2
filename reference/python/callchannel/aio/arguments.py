# SPDX-License-Identifier: Apache-2.0
"""What applications give to the calls of this package, checked before anything happens."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from callchannel.core.errors import InvalidArgument
from callchannel.core.events import Participant

Names = Iterable[str | Participant] | str | Participant | None
"""Participants by identifier. A participant stands for all its devices; a single one for a list of one."""

Data = bytes | bytearray | memoryview
"""What a message may be given as."""


def names(given: Names) -> tuple[str, ...]:
    """Identifiers of participants, checked. Raises `InvalidArgument`."""
    if given is None:
        return ()
    if isinstance(given, str | Participant):
        given = (given,)
    try:
        found = tuple(item.identity if isinstance(item, Participant) else item for item in given)
    except TypeError as exc:
        raise InvalidArgument(f"participants have to be a list of identifiers, they are {given!r}") from exc
    for item in found:
        if not isinstance(item, str):
            raise InvalidArgument(f"an identifier has to be a text, it is {item!r}")
    return found


def check_timeout(timeout: float | None) -> None:
    """Raise `InvalidArgument` for what is no number of seconds."""
    if timeout is not None:
        microseconds("timeout", timeout)


class Deadline:
    """A timeout in seconds, or None, that several waits share. Raises `InvalidArgument` for what is neither."""

    __slots__ = ("_at", "seconds")

    def __init__(self, seconds: float | None) -> None:
        check_timeout(seconds)
        self.seconds = seconds
        """What was given."""
        self._at = 0.0 if seconds is None else asyncio.get_running_loop().time() + seconds

    @property
    def left(self) -> float | None:
        """Seconds that are left, 0 when the time is over; None: there is no end."""
        if self.seconds is None:
            return None
        return max(0.0, self._at - asyncio.get_running_loop().time())


def microseconds(label: str, seconds: float) -> int:
    """Seconds as the core counts them. Raises `InvalidArgument`."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < 2**42:
        raise InvalidArgument(f"{label} has to be a number of seconds, it is {seconds!r}")
    return int(seconds * 1_000_000)


def payload_of(data: Data) -> bytes:
    """The bytes of a message. Raises `InvalidArgument`."""
    if isinstance(data, bytes):
        return data
    if isinstance(data, (bytearray, memoryview)):
        return bytes(data)
    raise InvalidArgument(f"data has to be bytes, it is {type(data).__name__}; `send_text` takes a str")
