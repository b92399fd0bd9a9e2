# SPDX-License-Identifier: Apache-2.0
"""The owner's side of one link: its sessions, and what it has to be told of them (sections 10.4 to 10.12)."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from callchannel.core.errors import ErrorCode
from callchannel.core.frames import Close, Credit, Data, Fail, Receipt
from callchannel.core.limits import TOMBSTONE
from callchannel.core.recipients import NO_SLOT
from callchannel.core.relay.membership import Member
from callchannel.core.relay.outbox import Written
from callchannel.core.relay.owned import ReliableSession
from callchannel.core.relay.owned_lossy import LossySession
from callchannel.core.relay.route import Route
from callchannel.core.scheduling import TokenBucket

if TYPE_CHECKING:
    from callchannel.core.relay.call import Call
    from callchannel.core.relay.port import Port

_SECOND = 1_000_000


class Uplink:
    """What a relay keeps for one endpoint as an owner of sessions. It outlives the link until its data is delivered."""

    __slots__ = (
        "_bucket",
        "_channels",
        "_credits",
        "_ended",
        "_greatest_reliable",
        "_open",
        "_owing",
        "_passing",
        "_rate",
        "_receipts",
        "_tombstones",
        "alive",
        "call",
        "key",
        "member",
        "port",
        "sessions",
        "withheld",
    )

    def __init__(self, port: Port, call: Call, member: Member, rate: int | None) -> None:
        self.port = port
        self.call = call
        self.member = member
        self.key = call.next_serial()
        """Tells owners apart, also those of one slot."""
        self.alive = True
        self.sessions: dict[int, ReliableSession | LossySession] = {}
        """Open sessions, and Reliable ones that have ended and still owe something."""
        self._owing: dict[ReliableSession, None] = {}
        """The latter, the one that ended first in front."""
        self.withheld = 0
        """Bytes of credit that the rate limit holds back (CC-RELAY-072)."""
        self._open = 0
        self._greatest_reliable = 0
        self._channels: dict[int, int] = {}  # greatest session known on each channel
        self._tombstones: set[int] = set()
        self._ended: deque[tuple[int, int, int]] | None = None  # (when forgotten, session, channel)
        self._bucket: TokenBucket | None = None
        self._rate = _Rate(rate) if rate is not None else None
        self._credits: dict[ReliableSession, None] = {}
        self._receipts: dict[ReliableSession, None] = {}
        self._passing: dict[Route, None] = {}

    # --- telling the owner ---------------------------------------------------------------------------------------

    def tell(self, frame: bytes, written: Written | None = None) -> None:
        """Queue a control frame to the owner."""
        if self.alive:
            self.port.tell(frame, written)

    def tell_of(self, member: Member, frame: bytes, written: Written | None = None) -> None:
        """Queue a control frame that names a recipient: its JOIN has to be written first."""
        if self.alive:
            self.port.require_roster(member)
        self.tell(frame, written)

    def drop(self, reason: str, count: int = 1) -> None:
        """Record dropped Lossy data of this owner."""
        self.port.downlink.drop(reason, count)

    def credit(self, session: ReliableSession) -> None:
        """CREDIT is due."""
        self._credits[session] = None
        self.port.attend()

    def receipts_changed(self, session: ReliableSession) -> None:
        """Find out whether an aggregated RECEIPT is due."""
        if self.alive and session.receipts is not None and session.receipts.due:
            self._receipts[session] = None
            self.port.attend()

    def pass_receipt(self, route: Route) -> None:
        """A RECEIPT of a recipient is due."""
        if self.alive:
            self._passing[route] = None
            self.port.require_roster(route.downlink.member)
            self.port.attend()

    @property
    def has_due(self) -> bool:
        """Whether a RECEIPT or CREDIT is due."""
        return bool(self._passing or self._receipts or self._credits)

    def next_due(self, now: int) -> bytes | None:
        """The next RECEIPT or CREDIT, from values as they are now; it has to be written."""
        slot = self.member.slot
        while self._passing:
            route = next(iter(self._passing))
            del self._passing[route]
            if route.covered > route.passed:
                route.passed = route.covered
                return Receipt(slot, route.downlink.member.slot, route.session.number, route.covered).encode()
        while self._receipts:
            session = next(iter(self._receipts))
            del self._receipts[session]
            if session.receipts is not None and session.receipts.due:
                return Receipt(slot, NO_SLOT, session.number, session.receipts.take()).encode()
        while self._credits:
            session = next(iter(self._credits))
            del self._credits[session]
            limit = session.take_credit(now)
            if limit is not None:
                return Credit(slot, NO_SLOT, session.number, limit).encode()
        return None

    # --- rate limit ----------------------------------------------------------------------------------------------

    @property
    def is_unlimited(self) -> bool:
        """Whether it has no rate."""
        return self._rate is None

    def spend(self, size: int, now: int) -> None:
        """Reliable bytes have come: beyond the rate, as many are withheld from the limits of all sessions."""
        if self._rate is not None:
            self._rate.spend(size, now)
            self._withhold(now)

    def refill(self, now: int) -> int:
        """What is withheld now."""
        if self._rate is not None:
            self.withheld = self._rate.debt(now)
        return self.withheld

    def _withhold(self, now: int) -> None:
        if self.refill(now):
            assert self._rate is not None
            self.call.timers.set((id(self), "rate"), now + self._rate.wait(self.withheld), self._on_rate_timer)

    def _on_rate_timer(self, now: int) -> None:
        """Credit grows back (section 10.12)."""
        self._withhold(now)
        for session in self.sessions.values():
            if isinstance(session, ReliableSession):
                session.check_credit(now)

    # --- receiving -----------------------------------------------------------------------------------------------

    def receive(self, data: Data, now: int) -> None:
        """Steps 12 to 19 of the validation order for DATA."""
        self._purge(now)
        session = self.sessions.get(data.session)
        if data.reliable:
            self._receive_reliable(session, data, now)
        else:
            self._receive_lossy(session, data, now)

    def _receive_reliable(self, session: ReliableSession | LossySession | None, data: Data, now: int) -> None:
        if session is None:
            if data.session > self._greatest_reliable and data.session not in self._tombstones:
                self._begin_reliable(data, now)
        elif session.ended:
            return
        elif isinstance(session, LossySession):
            session.fault(ErrorCode.SESSION_MISMATCH, data.sequence)
        elif session.matches(data):
            session.receive(data, now)
        else:
            session.fault(ErrorCode.SESSION_MISMATCH, data.sequence, now)

    def _begin_reliable(self, data: Data, now: int) -> None:
        self._greatest_reliable = data.session
        if data.fragment is not None and data.fragment.index:
            code = ErrorCode.SEQUENCE
        elif self._is_over_limit(now) is not None:
            code = ErrorCode.TOO_MANY_SESSIONS  # CC-RELAY-012
        else:
            session = ReliableSession(self, self.call, data)
            self._admit(session, now)
            session.receive(data, now)
            return
        self.tell(Fail(self.member.slot, NO_SLOT, data.session, data.sequence, code).encode())

    def _receive_lossy(self, session: ReliableSession | LossySession | None, data: Data, now: int) -> None:
        if session is None:
            if data.session in self._tombstones or data.session < self._channels.get(data.channel, 0):
                self.drop("ended_session")  # CC-RELAY-008
                return
            beyond = self._is_over_limit(now)
            if beyond is not None:
                self.drop(beyond)  # CC-RELAY-013
                return
            session = LossySession(self, self.call, data)
            self._admit(session, now)
        elif session.ended:
            self.drop("ended_session")
            return
        elif isinstance(session, ReliableSession) or (data.channel, data.flags & 2) != (
            session.channel,
            2 * session.high,
        ):
            self.drop("mismatch")
            return
        reason = self._lossy_refusal(data, now)
        if reason is not None:
            session.last = max(session.last, data.sequence)
            self.drop(reason)
        else:
            session.receive(data, now)

    def _is_over_limit(self, now: int) -> str | None:
        """Whether a further session is one too many, and by which limit. If not, it is paid for."""
        limits = self.call.limits
        if self._open >= limits.open_sessions:
            return "open_sessions"
        if self._bucket is None:
            self._bucket = TokenBucket(limits.new_sessions, limits.open_sessions, now)
        return None if self._bucket.take(1, now) else "new_sessions"

    def _admit(self, session: ReliableSession | LossySession, now: int) -> None:
        older = self.sessions.get(self._channels.get(session.channel, 0))
        if isinstance(older, LossySession) and older.number < session.number:
            older.end()  # CC-RELAY-009
        self.sessions[session.number] = session
        self._open += 1
        self._bound_owing()
        self._channels[session.channel] = max(session.number, self._channels.get(session.channel, 0))

    def refusal(self, data: Data, now: int) -> ErrorCode | None:
        """Why a Reliable message is not admitted (step 15; CC-RELAY-016 to 019, 075)."""
        if self.call.stopping:
            return ErrorCode.GOING_AWAY
        if not self.port.may_send:
            return ErrorCode.POLICY
        if data.fragment is not None and data.fragment.total > self.call.limits.largest_message:
            return ErrorCode.MESSAGE_TOO_LARGE
        policy = self.call.policy
        if policy is not None and not policy(self.member.participant(), data):
            return ErrorCode.POLICY
        return None

    def _lossy_refusal(self, data: Data, now: int) -> str | None:
        if self.call.stopping:
            return "going_away"
        if not self.port.may_send:
            return "policy"
        if data.fragment is not None and data.fragment.total > self.call.limits.largest_message:
            return "too_large"
        policy = self.call.policy
        if policy is not None and not policy(self.member.participant(), data):
            return "policy"
        if self._rate is not None and not self._rate.take(data, now):
            return "rate"  # CC-RELAY-073
        return None

    def receive_close(self, frame: Close, now: int) -> None:
        """CLOSE of the owner (step 12 on)."""
        self._purge(now)
        session = self.sessions.get(frame.session)
        if session is None:
            # CC-SESS-063. It pays as the session would have: tombstones are bounded by `new_sessions`.
            if frame.session not in self._tombstones and self._is_over_limit(now) is None:
                self._bury(frame.session, 0, now)
        elif isinstance(session, LossySession):
            session.close(frame.encode())
        elif not session.ended:
            if session.partial is not None or frame.value < session.last:
                session.fault(ErrorCode.SEQUENCE, session.last + 1, now)  # CC-SESS-050, 061
            else:
                session.close(frame.encode())

    # --- the end -------------------------------------------------------------------------------------------------

    def session_ended(self, session: ReliableSession | LossySession) -> None:
        """A session is not open any more."""
        self._open -= 1
        if isinstance(session, ReliableSession):
            self._credits.pop(session, None)
            self._owing[session] = None
        if self.alive:
            self._bury(session.number, session.channel, self.call.now)

    def _bound_owing(self) -> None:
        """CC-RELAY-080: so many sessions may owe something after their end; beyond, the first of them is given up."""
        while len(self._owing) > self.call.limits.unconfirmed_messages:
            session = next(iter(self._owing))
            session.give_up(self.call.now)
            self._owing.pop(session, None)

    def forget(self, session: ReliableSession) -> None:
        """A Reliable session owes nothing any more; a RECEIPT of it may still be due."""
        self.sessions.pop(session.number, None)
        self._owing.pop(session, None)

    def discard(self, session: LossySession) -> None:
        """A Lossy session is closed."""
        self.sessions.pop(session.number, None)

    def _bury(self, number: int, channel: int, now: int) -> None:
        """Keep a tombstone (CC-RELAY-011)."""
        if self._ended is None:
            self._ended = deque()
        self._ended.append((now + TOMBSTONE, number, channel))
        self._tombstones.add(number)

    def _purge(self, now: int) -> None:
        ended = self._ended
        while ended and ended[0][0] <= now:
            _, number, channel = ended.popleft()
            self._tombstones.discard(number)
            if self._channels.get(channel) == number:
                del self._channels[channel]
            session = self.sessions.get(number)
            if isinstance(session, LossySession):
                session.abandon()
                del self.sessions[number]

    def die(self, code: int) -> None:
        """The owner's link is dead: close what is open, behind its data (CC-RELAY-063)."""
        self.alive = False
        for due in (self._credits, self._receipts, self._passing):
            due.clear()
        self._ended = None
        self._tombstones.clear()
        self._channels.clear()
        self.call.timers.cancel((id(self), "rate"))
        slot = self.member.slot
        for session in list(self.sessions.values()):
            if isinstance(session, LossySession) or not session.ended:
                session.close(Close(slot, NO_SLOT, session.number, session.last, code).encode())
            if isinstance(session, ReliableSession):
                session.orphan()


class _Rate:
    """A rate of bytes, with a burst of one second's worth."""

    __slots__ = ("_at", "_burst", "_dropping", "_micro", "_rate")

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._burst = rate * _SECOND
        self._micro = self._burst
        self._at = 0
        self._dropping = (0, 0)

    def _refill(self, now: int) -> None:
        self._micro = min(self._burst, self._micro + (now - self._at) * self._rate)
        self._at = now

    def spend(self, size: int, now: int) -> None:
        """Pay, below zero if need be."""
        self._refill(now)
        self._micro -= size * _SECOND

    def debt(self, now: int) -> int:
        """Bytes that were taken beyond the rate."""
        self._refill(now)
        return max(0, -self._micro) // _SECOND

    def wait(self, debt: int) -> int:
        """Microseconds until a part of the debt is paid that is worth a CREDIT."""
        return max(1_000, min(debt, max(self._rate // 20, 16_384)) * _SECOND // self._rate)

    def take(self, data: Data, now: int) -> bool:
        """Pay for a Lossy frame if there is enough. What follows a dropped fragment of its message is dropped."""
        name = (data.session, data.sequence)
        self._refill(now)
        if name == self._dropping and data.fragment is not None:
            return False
        if self._micro < data.length * _SECOND:
            self._dropping = name
            return False
        self._micro -= data.length * _SECOND
        return True
