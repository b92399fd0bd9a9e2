# SPDX-License-Identifier: Apache-2.0
"""Unbound transports: an acceptor's side of a link that is not there yet (specification, section 9.4).

What happens here never touches a link: a transport becomes a link's only by a HELLO that the host takes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from callchannel.core import decoding
from callchannel.core.errors import ErrorCode, FrameError
from callchannel.core.frames import Bye, FrameType, Hello
from callchannel.core.lanes import Lane
from callchannel.core.limits import Limits
from callchannel.core.timers import Timers


class Refusal(NamedTuple):
    """Why a HELLO is not taken: the code and the text of the BYE that answers it."""

    code: int
    text: str


class LobbyHost(Protocol):
    """Who judges a HELLO: a relay, or the acceptor of a peer-to-peer call."""

    def hello_received(self, transport: int, hello: Hello, lossy: bool, now: int) -> Refusal | None:
        """Judge a well-formed HELLO (steps 3 to 7 of section 9.4) and bind its transport to a link."""

    def rest_of_packet(self, transport: int, packet: bytes, offset: int, now: int) -> None:
        """Bytes stand behind a HELLO that was taken; the link judges them (CC-LINK-019)."""

    def link_dropped_unbound(self, reason: str) -> None:
        """A packet of an unbound transport was dropped; record it."""


@dataclass(slots=True)
class _Guest:
    lossy: bool


class Lobby:
    """The unbound transports of one acceptor."""

    def __init__(self, host: LobbyHost, limits: Limits, timers: Timers, mark_dirty: Callable[[int], None]) -> None:
        self._host = host
        self._limits = limits
        self._timers = timers
        self._mark_dirty = mark_dirty
        self._guests: dict[int, _Guest] = {}
        self._last_words: dict[int, bytes] = {}
        self._closing: list[int] = []

    def __contains__(self, transport: int) -> bool:
        return transport in self._guests

    def __len__(self) -> int:
        return len(self._guests)

    def add(self, transport: int, lossy: bool, now: int) -> None:
        """A transport is up: wait for its HELLO, no longer than `unbound_time` (CC-LINK-020)."""
        self._guests[transport] = _Guest(lossy)
        self._timers.set(
            (id(self), transport),
            now + self._limits.unbound_time,
            lambda _now: self.refuse(transport, ErrorCode.TIMEOUT, "no HELLO in time"),
        )

    def set_lossy(self, transport: int, is_open: bool) -> None:
        """The lossy lane of an unbound transport opened or closed."""
        if transport in self._guests:
            self._guests[transport].lossy = is_open

    def transport_down(self, transport: int) -> None:
        """A transport is gone: nothing more can be said on it."""
        self._last_words.pop(transport, None)
        self._let_go(transport)

    def _let_go(self, transport: int) -> None:
        if self._guests.pop(transport, None) is not None:
            self._timers.cancel((id(self), transport))

    def refuse(self, transport: int, code: int, text: str) -> None:
        """Write BYE on an unbound transport and close it."""
        self._let_go(transport)
        self._last_words[transport] = Bye(code, text).encode()
        self._closing.append(transport)
        self._mark_dirty(transport)

    def refuse_all(self, code: int, text: str) -> None:
        """Refuse every transport that has not said HELLO."""
        for transport in tuple(self._guests):
            self.refuse(transport, code, text)

    def receive(self, transport: int, lane: Lane, packet: bytes, now: int) -> None:
        """A packet of an unbound transport: HELLO is expected, BYE is heard, anything else refused."""
        try:
            decoding.check_packet(packet, lane)
            kind, flags, length = decoding.read_start(packet, 0)
            if lane is Lane.LOSSY:
                self._host.link_dropped_unbound("not_active")
                return
            if kind not in (FrameType.HELLO, FrameType.BYE):
                raise FrameError(ErrorCode.HANDSHAKE, 0, f"frame type {kind:02X} before HELLO", "CC-LINK-076")
            frame = decoding.decode_body(packet, 0, kind, flags, length)
        except FrameError as fault:
            if lane is Lane.LOSSY:
                self._host.link_dropped_unbound("malformed")
            else:
                self.refuse(transport, fault.code, str(fault))
            return
        if isinstance(frame, Bye):
            self._let_go(transport)
            self._closing.append(transport)
            self._mark_dirty(transport)
            return
        assert isinstance(frame, Hello)
        guest = self._guests[transport]
        refusal = self._host.hello_received(transport, frame, guest.lossy, now)
        if refusal is not None:
            self.refuse(transport, *refusal)
            return
        self._let_go(transport)
        if length < len(packet):
            self._host.rest_of_packet(transport, packet, length, now)

    def pull(self, transport: int, lane: Lane) -> list[bytes]:
        """What is still to be said on a transport that was refused."""
        words = self._last_words.pop(transport, None) if lane is Lane.RELIABLE else None
        return [words] if words else []

    def take_closing(self) -> list[int]:
        """Transports to drain and close."""
        closing, self._closing = self._closing, []
        return closing
