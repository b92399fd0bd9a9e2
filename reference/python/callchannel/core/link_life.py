# SPDX-License-Identifier: Apache-2.0
"""The life of a link: states, transports, the handshake as it is written, timers, and ends (section 9.12).

What packets bring, and what goes into them, is in `link`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Protocol

from callchannel.core.counting import Counting
from callchannel.core.errors import ErrorCode
from callchannel.core.frames import ACK_LENGTH, Bye, FrameType, Hello, Welcome, encode_ack
from callchannel.core.lanes import Lane
from callchannel.core.limits import MS, SILENCE, Limits
from callchannel.core.packets import Packet
from callchannel.core.recipients import NO_SLOT
from callchannel.core.scheduling import Scheduler, Source, TokenBucket
from callchannel.core.statistics import LinkCounters
from callchannel.core.timers import Timers

FEATURES = 0
"""No optional feature is defined in version 1."""


class LinkState(enum.Enum):
    """States of a link; the table of section 9.12 has all transitions."""

    CONNECTING = "CONNECTING"
    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    RESUMING = "RESUMING"
    DEAD = "DEAD"


class LinkRole(enum.Enum):
    """Who opened the link."""

    INITIATOR = "initiator"
    ACCEPTOR = "acceptor"


class LinkFault(Exception):
    """The peer broke a rule that ends the link (on the lossy lane: drops the rest of the packet)."""

    def __init__(self, code: ErrorCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class LifeHost(Protocol):
    """Whoever owns a link, as far as its life goes."""

    def link_control(self, link: LinkLife, now: int) -> bytes | None:
        """Look at the next control frame to write: roster, FAIL, REFUSE."""

    def link_control_written(self, link: LinkLife, now: int) -> None:
        """The frame of `link_control` was written: count it."""

    def link_changed(self, link: LinkLife, before: LinkState, now: int) -> None:
        """The link's state changed. `link.end_code` and `link.end_text` say why a DEAD one ended."""

    def link_lane_changed(self, link: LinkLife, now: int) -> None:
        """Lossy sessions now write on the other lane."""


class LinkLife:
    """A link without its packets. Times are microseconds."""

    __slots__ = (
        "_accepts",
        "_ack_timer_at",
        "_closing",
        "_control_bucket",
        "_earned_spent",
        "_handshake",
        "_heard_at",
        "_hello_identity",
        "_host",
        "_last_words",
        "_lossy_open",
        "_mark_dirty",
        "_parked",
        "_replace",
        "_timers",
        "attempt",
        "counting",
        "data",
        "end_code",
        "end_text",
        "ended_by_peer",
        "identity",
        "instance",
        "is_active",
        "limits",
        "peer_largest",
        "peer_window",
        "resume_window",
        "role",
        "slot",
        "state",
        "statistics",
        "token",
        "transport",
    )

    def __init__(
        self,
        role: LinkRole,
        host: LifeHost,
        limits: Limits,
        timers: Timers,
        now: int,
        *,
        accepts: frozenset[int],
        mark_dirty: Callable[[int], None],
    ) -> None:
        self.role = role
        self.limits = limits
        self.state = LinkState.CONNECTING
        self.is_active = False
        """Whether frames flow."""
        self.counting = Counting(limits, now)
        self.data = (Scheduler(), Scheduler())
        """Who has DATA to write, by lane."""
        self.transport: int | None = None
        self.token = bytes(16)
        self.attempt = 0
        self.slot = NO_SLOT
        """The initiator's slot."""
        self.identity = ""
        """The initiator's admitted identifier."""
        self.instance = bytes(16)
        """The initiator's instance identifier: the token of its fresh HELLO."""
        self.peer_window = limits.window
        self.peer_largest = limits.largest_message
        self.resume_window = 0
        self.end_code: int = ErrorCode.NONE
        self.end_text = ""
        self.ended_by_peer = False
        self.statistics = LinkCounters()
        self._host = host
        self._accepts = accepts | {FrameType.ACK, FrameType.BYE}
        self._timers = timers
        self._mark_dirty = mark_dirty
        self._hello_identity = ""
        self._replace = False
        self._handshake: bytes | None = None
        self._lossy_open = False
        self._heard_at = now
        self._ack_timer_at = 0
        self._parked: list[Source] = []
        self._control_bucket: TokenBucket | None = None
        self._earned_spent = 0
        self._closing: list[int] = []
        self._last_words: dict[int, list[bytes]] = {}

    # --- state -------------------------------------------------------------------------------------------------

    @property
    def is_dead(self) -> bool:
        """Whether the link has ended for good."""
        return self.state is LinkState.DEAD

    @property
    def lossy_open(self) -> bool:
        """Whether Lossy data goes on its own lane."""
        return self._lossy_open

    @property
    def lossy_scheduler(self) -> Scheduler:
        """Where Lossy sessions write: on the lossy lane where there is one, else on the reliable lane."""
        return self.data[Lane.LOSSY if self._lossy_open else Lane.RELIABLE]

    @property
    def reliable_scheduler(self) -> Scheduler:
        """Where Reliable sessions write."""
        return self.data[Lane.RELIABLE]

    def take_closing(self) -> list[int]:
        """Transports that are detached: to be drained and closed."""
        closing, self._closing = self._closing, []
        return closing

    def take_last_words(self) -> dict[int, list[bytes]]:
        """What a link that has ended has to say yet, by transport."""
        words, self._last_words = self._last_words, {}
        return words

    def touch(self) -> None:
        """There may be something to write."""
        if self.transport is not None:
            self._mark_dirty(self.transport)

    def park(self, source: Source) -> None:
        """Let a Reliable source wait: it writes again when an ACK has made room (CC-LINK-035)."""
        self._parked.append(source)

    def _become(self, state: LinkState, now: int) -> None:
        before, self.state = self.state, state
        self.is_active = state is LinkState.ACTIVE
        if state is not before:
            self._host.link_changed(self, before, now)

    # --- transports --------------------------------------------------------------------------------------------

    def prepare(self, *, identity: str, instance: bytes, replace: bool) -> None:
        """What a fresh HELLO says of this endpoint (initiator, before the first `attach`)."""
        self.identity = self._hello_identity = identity
        self.instance = instance
        self._replace = replace

    def attach(self, transport: int, *, lossy: bool, now: int) -> None:
        """A transport is up (initiator): shake hands over it, in place of an older one (rows L01 to L03)."""
        has_one = self.transport is not None
        if self.is_dead or (
            has_one
            and (self.state is LinkState.CONNECTING or (self.state is LinkState.ACTIVE and not self.resume_window))
        ):
            self._closing.append(transport)
            self._mark_dirty(transport)
            return
        # CC-LINK-046: the old transport is gone before HELLO reads the count.
        self._detach()
        fresh = self.state is LinkState.CONNECTING
        if fresh:
            self._timers.set((id(self), "join"), now + self.limits.join_time, self._on_join_timer)
        else:
            self._start_resume_window(now)
            self._become(LinkState.RESUMING, now)
        self._bind(transport, lossy, now)
        self.attempt += 1
        self._compose_hello(fresh=fresh)
        self.touch()

    def _compose_hello(self, *, fresh: bool) -> None:
        self._handshake = Hello(
            token=self.instance if fresh else self.token,
            attempt=self.attempt,
            window=self.limits.window,
            largest_message=self.limits.largest_message,
            received=0 if fresh else self.counting.received,
            features=FEATURES,
            identity=self._hello_identity,
            resume=not fresh,
            replace=fresh and self._replace,
        ).encode()

    def accept(
        self, transport: int, hello: Hello, *, slot: int, identity: str, token: bytes, lossy: bool, now: int
    ) -> None:
        """A fresh HELLO was admitted (acceptor): the link begins."""
        self.slot = slot
        self.identity = identity
        self.token = token
        self.instance = hello.token
        self.attempt = hello.attempt
        self.peer_window = hello.window
        self.peer_largest = hello.largest_message
        self.resume_window = self.limits.resume_window
        self._bind(transport, lossy, now)
        self._compose_welcome()
        self._activate(now)

    def judge_resume(self, hello: Hello) -> ErrorCode | None:
        """Whether a HELLO that names this link's token may resume it (steps 5 and 6 of section 9.4)."""
        if self.is_dead:
            return ErrorCode.RESUME_UNKNOWN
        if hello.attempt <= self.attempt:
            return ErrorCode.RESUME_STALE
        if not self.counting.fits(hello.received):
            return ErrorCode.RESUME_MISMATCH
        return None

    def resume(self, transport: int, hello: Hello, *, lossy: bool, now: int) -> None:
        """Go on with this link over another transport (acceptor), after `judge_resume` had nothing to say."""
        self._detach()  # CC-LINK-047: before WELCOME reads the count
        self.attempt = hello.attempt
        self._timers.cancel((id(self), "resume"))
        self._bind(transport, lossy, now)
        self.counting.resume(hello.received, now)
        self._compose_welcome()
        self._activate(now)

    def _compose_welcome(self) -> None:
        self._handshake = Welcome(
            slot=self.slot,
            token=self.token,
            attempt=self.attempt,
            window=self.limits.window,
            largest_message=self.limits.largest_message,
            resume_ms=self.limits.resume_window // MS,
            identity=self.identity,
            received=self.counting.received,
            features=FEATURES,
        ).encode()

    def _activate(self, now: int) -> None:
        if self.state is LinkState.CONNECTING:
            self.counting.start(now)
        else:
            self.statistics.resumes += 1
        self._become(LinkState.ACTIVE, now)
        self._arm_ack_timer(now)
        self.touch()

    def _bind(self, transport: int, lossy: bool, now: int) -> None:
        self.transport = transport
        self._heard_at = now
        self._timers.set((id(self), "silence"), now + SILENCE, self._on_silence_timer)
        self.set_lossy(lossy, now)

    def _detach(self) -> None:
        """Let go of the transport for good: nothing that it still brings is heard (CC-LINK-006)."""
        if self.transport is not None:
            self._closing.append(self.transport)
            self._mark_dirty(self.transport)
            self.transport = None
        self._handshake = None
        self._timers.cancel((id(self), "silence"))

    def set_lossy(self, is_open: bool, now: int) -> None:
        """The lossy lane opened or closed."""
        if is_open != self._lossy_open:
            self._lossy_open = is_open
            self._host.link_lane_changed(self, now)

    def transport_down(self, now: int) -> None:
        """The current transport is gone: the link waits for another, or ends (rows L05 to L07)."""
        self._detach()
        if self.state is LinkState.CONNECTING or (self.is_active and not self.resume_window):
            self._die(ErrorCode.LINK_LOST, "the transport was lost", now)
        else:
            self._start_resume_window(now)
            self._become(LinkState.SUSPENDED, now)

    def _start_resume_window(self, now: int) -> None:
        """The window runs from when the link leaves ACTIVE until it is ACTIVE again (CC-LINK-043)."""
        if self.is_active:
            self._timers.set((id(self), "resume"), now + self.resume_window, self._on_resume_timer)

    # --- timers ------------------------------------------------------------------------------------------------

    def _on_silence_timer(self, now: int) -> None:
        due = self._heard_at + SILENCE
        if due > now:
            self._timers.set((id(self), "silence"), due, self._on_silence_timer)
        elif self.state is LinkState.CONNECTING or (self.is_active and not self.resume_window):
            self.end(ErrorCode.TIMEOUT, "nothing arrived in time", now)
        else:
            self.transport_down(now)

    def _on_join_timer(self, now: int) -> None:
        self.end(ErrorCode.TIMEOUT, "no WELCOME in time", now)

    def _on_resume_timer(self, now: int) -> None:
        self.end(ErrorCode.LINK_LOST, "the link was not resumed in time", now)

    def _on_ack_timer(self, now: int) -> None:
        self._ack_timer_at = 0
        if self.counting.ack_due_at <= now:
            self.touch()  # writing the ACK arms the timer again
        else:
            self._arm_ack_timer(now)

    def _arm_ack_timer(self, now: int) -> None:
        """One lazy timer: it fires early rather than being moved with each frame."""
        due = max(self.counting.ack_due_at, now + 1)
        if self.is_active and (not self._ack_timer_at or due < self._ack_timer_at):
            self._ack_timer_at = due
            self._timers.set((id(self), "ack"), due, self._on_ack_timer)

    # --- ending ------------------------------------------------------------------------------------------------

    def end(self, code: int, text: str, now: int, *, flush: bool = False) -> None:
        """End the link and tell the peer, if there is a transport to do so (CC-LINK-053).

        `flush`: control frames that wait, and what is left to acknowledge, are written before BYE.
        """
        if self.is_dead:
            return
        if self.transport is not None:
            # A HELLO that nobody pulled yet goes before BYE, else the peer could not tell what ends.
            words = [self._handshake] if self._handshake else []
            if flush and self.is_active:
                words += self._flush(now)
            self._last_words[self.transport] = [*words, Bye(code, text).encode()]
        self._detach()
        self._die(code, text, now)

    def _flush(self, now: int) -> list[bytes]:
        """The control frames that wait and an ACK, as packets."""
        packets = [Packet(self.limits.bundle)]
        while (frame := self.counting.next_resend()) is not None or (
            frame := self._host.link_control(self, now)
        ) is not None:
            if len(frame) > packets[-1].room:
                packets.append(Packet(self.limits.bundle))
            packets[-1].add(frame)
            if self.counting.is_resending:
                self.counting.resent()
            else:
                self._host.link_control_written(self, now)
        if packets[-1].room < ACK_LENGTH:
            packets.append(Packet(self.limits.bundle))
        packets[-1].add(encode_ack(self.counting.take_ack(now)))
        return [packet.encode() for packet in packets]

    def _die(self, code: int, text: str, now: int) -> None:
        self.end_code, self.end_text = code, text
        for name in ("join", "resume", "ack", "silence"):
            self._timers.cancel((id(self), name))
        self._parked.clear()
        self._become(LinkState.DEAD, now)
