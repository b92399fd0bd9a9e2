# SPDX-License-Identifier: Apache-2.0
"""One endpoint's link at a relay: it takes what the link brings, and knows what the link has to write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

from callchannel.core.decoding import read_plain
from callchannel.core.errors import ErrorCode
from callchannel.core.frames import (
    CONTROL_LENGTH,
    HIGH,
    RELIABLE,
    Close,
    Control,
    Credit,
    Data,
    Fail,
    Frame,
    FrameType,
    Receipt,
)
from callchannel.core.lanes import Lane
from callchannel.core.link import Link, LinkLife, LinkRole, LinkState
from callchannel.core.relay.admission import Admission
from callchannel.core.relay.broadcasting import RosterFeed
from callchannel.core.relay.call import Call
from callchannel.core.relay.custody import Custody
from callchannel.core.relay.downlink import Downlink
from callchannel.core.relay.lossy import LossyRoute
from callchannel.core.relay.membership import Member
from callchannel.core.relay.outbox import Outbox, Written
from callchannel.core.relay.owned import ReliableSession
from callchannel.core.relay.owned_lossy import LossySession
from callchannel.core.relay.route import Route
from callchannel.core.relay.uplink import Uplink
from callchannel.core.relay.validation import check_control, check_data
from callchannel.core.scheduling import NO_ROOM

if TYPE_CHECKING:
    from collections.abc import Callable

ACCEPTS = frozenset({FrameType.DATA, FrameType.CLOSE, FrameType.FAIL, FrameType.RECEIPT, FrameType.CREDIT})


class PortHost(Protocol):
    """Who is told what becomes of links: the relay."""

    def port_changed(self, port: Port, before: LinkState, now: int) -> None:
        """The state of a port's link has changed."""


class Port:
    """One endpoint at a relay."""

    __slots__ = (
        "_call",
        "_host",
        "_outbox",
        "attention",
        "custody",
        "downlink",
        "feed",
        "link",
        "may_send",
        "member",
        "uplink",
    )

    def __init__(
        self,
        host: PortHost,
        call: Call,
        *,
        member: Member,
        admission: Admission,
        mark_dirty: Callable[[int], None],
        now: int,
    ) -> None:
        self._host = host
        self._call = call
        self._outbox = Outbox()
        self.member = member
        self.may_send = admission.may_send
        self.attention = True
        """Whether the link may have more to write than data frames."""
        limits = call.limits
        self.link = Link(LinkRole.ACCEPTOR, self, limits, call.timers, now, accepts=ACCEPTS, mark_dirty=mark_dirty)
        self.custody = Custody(limits, now)
        self.link.counting = self.custody
        self.feed = RosterFeed(call.broadcaster, member.slot, self.attend)
        self.downlink = Downlink(self, limits, call.timers, call.runs)
        # Turns are schedulers of their own kind: the link only asks them to write.
        self.link.data = cast(Any, (self.downlink.reliable_turns, self.downlink.lossy_turns))
        self.uplink = Uplink(self, call, member, admission.rate)

    # --- what is to be written -----------------------------------------------------------------------------------

    def attend(self) -> None:
        """There is something to write beside data frames."""
        self.attention = True
        self.link.touch()

    def tell(self, frame: bytes, written: Written | None) -> None:
        """Queue a control frame."""
        self._outbox.put(frame, written)
        self.attend()
        self.check_control_memory()

    def require_roster(self, member: Member) -> None:
        """A frame that names a member is to be written: its JOIN goes first (CC-ROSTER-032, 035)."""
        self._call.broadcaster.require(self.feed, member.log_index)

    def check_control_memory(self) -> None:
        """CC-RELAY-045."""
        limits = self._call.limits
        size = self._outbox.size + self.downlink.control_bytes
        # DATA stops at `unacknowledged`: what is beyond it are control frames.
        size += max(0, self.custody.unacked_bytes - limits.unacknowledged)
        if size + self._call.broadcaster.lag(self.feed) > limits.relay_link_memory and not self.link.is_dead:
            self._call.doomed[self] = (ErrorCode.MEMORY, "too many control frames wait")

    def names(self, slot: int) -> bool:
        """Whether a control frame that waits names a slot (CC-ROSTER-008)."""
        return self._outbox.names(slot)

    def refresh_attention(self) -> None:
        """Everything that was due was written, or found not to fit."""
        self.attention = bool(
            self.custody.is_resending or self._outbox or self.feed.due or self.feed.frames or self.uplink.has_due
        )

    # --- Host of the link: writing -------------------------------------------------------------------------------

    def link_waits(self, link: Link) -> bool:
        """Whether something may have to be written beside data."""
        return self.attention

    def link_control(self, link: LinkLife, now: int) -> bytes | None:
        """ROSTER, REFUSE, FAIL, and RECEIPT before FAIL."""
        return self.feed.peek() or self._outbox.peek()

    def link_control_written(self, link: LinkLife, now: int) -> None:
        """Count the frame of `link_control`."""
        if self.feed.peek() is not None:
            frame, place = self.feed.take(now)
            self.custody.write(frame, self.feed, place)
            return
        frame, written = self._outbox.take()
        self.custody.write(frame)
        if written is not None:
            written(now)

    def link_credits(self, link: Link, room: int, now: int) -> bytes | None:
        """RECEIPT and CREDIT, made from values as they are now (CC-RELAY-037)."""
        if not self.uplink.has_due:
            return None
        if room < CONTROL_LENGTH:
            return NO_ROOM
        frame = self.uplink.next_due(now)
        if frame is not None:
            self.custody.write(frame)
        return frame

    # --- Host of the link: receiving -----------------------------------------------------------------------------

    def link_received(self, link: Link, frame: Frame, lane: Lane, now: int) -> None:
        """Steps 8 to 19 of the validation order."""
        own, membership = self.member.slot, self._call.membership
        if isinstance(frame, Data):
            check_data(frame, own, self.feed.epoch, membership)
            self.uplink.receive(frame, now)
            return
        assert isinstance(frame, Control)
        check_control(frame, own, self.feed.epoch, membership)
        link.check_rate(now)
        if isinstance(frame, Close):
            self.uplink.receive_close(frame, now)
        else:
            self._receive_from_recipient(frame, now)

    def link_received_plain(self, link: Link, packet: bytes, offset: int, now: int) -> tuple[int, int]:
        """A whole Reliable message without blocks: the usual one goes straight to its recipients."""
        plain = read_plain(packet, offset, len(packet))
        if plain is None:
            return 0, offset
        flags, length, channel, sender, session, sequence = plain
        if sender != self.member.slot or flags & ~HIGH != RELIABLE or not self.may_send:
            return 0, offset
        found = self.uplink.sessions.get(session)
        if type(found) is not ReliableSession or not found.is_usual(channel, flags, sequence, length):
            return 0, offset
        return found.receive_plain(packet, offset, now)

    def _receive_from_recipient(self, frame: Control, now: int) -> None:
        """FAIL, RECEIPT or CREDIT, if the session is known.

        Of an owner who is gone as well: what it left is still delivered at this recipient's pace (CC-RELAY-062), while
        the owner itself is told nothing (CC-RELAY-065).
        """
        owner = self._call.membership.occupant(frame.sender)
        uplink = self._call.uplinks.get(owner) if owner is not None else None
        session = uplink.sessions.get(frame.session) if uplink is not None else None
        if isinstance(session, LossySession):
            route = session.routes.get(self.member.slot)
            if isinstance(frame, Fail) and route is not None:
                session.recipient_failed(route, frame)
        elif session is not None:
            self._apply(session, frame, now)

    def _apply(self, session: ReliableSession, frame: Control, now: int) -> None:
        route = session.routes.get(self.member.slot)
        if route is None:
            return
        if isinstance(frame, Credit):
            route.credit(frame.value)
        elif isinstance(frame, Receipt):
            session.receipt(route, frame.value)
        elif isinstance(frame, Fail):
            session.recipient_failed(route, frame, now)

    # --- the end -------------------------------------------------------------------------------------------------

    def recipient_gone(self, reason: int, now: int) -> None:
        """The endpoint is no recipient any more: tell the owners of what it is owed (CC-RELAY-046)."""
        unacked = self.downlink.unacked() if self.downlink.routes else {}
        for route in tuple(self.downlink.routes):
            if isinstance(route, LossyRoute):
                route.session.recipient_gone(route)
            else:
                route.session.recipient_gone(route, reason, unacked.get(route.session.key), now)

    def going_away(self, now: int) -> None:
        """The relay stops: tell the owners of what this endpoint was not given (CC-RELAY-078)."""
        unacked = self.downlink.unacked(confirmed=True) if self.downlink.routes else {}
        for route in tuple(self.downlink.routes):
            if isinstance(route, Route):
                route.session.going_away(route, unacked.get(route.session.key), now)

    def is_drained(self) -> bool:
        """Whether nothing is owed to this endpoint: it was given all messages, and acknowledged them (CC-RELAY-077).

        Other frames are not waited for: a ROSTER that a suspended endpoint has not acknowledged holds nobody up.
        """
        return not (
            any(route.queue or route.in_partial for route in self.downlink.routes if isinstance(route, Route))
            or self.custody.holds_data
        )

    def release(self) -> None:
        """The link is dead, and everybody was told: its slot may be in quarantine for long, without its frames."""
        self.custody.let_go()
        self._outbox = Outbox()
        self.feed.frames = []

    def forsake(self) -> None:
        """The link ended together with all others: nobody is told anything."""
        self.uplink.alive = False
        for route in self.downlink.routes:
            if isinstance(route, Route):
                route.drop()

    # --- Host of the link: changes -------------------------------------------------------------------------------

    def link_changed(self, link: LinkLife, before: LinkState, now: int) -> None:
        """The link became active, suspended or dead."""
        self._host.port_changed(self, before, now)

    def link_lane_changed(self, link: LinkLife, now: int) -> None:
        """Lossy data takes the other lane."""
        self.downlink.lane_changed()

    def link_acked(self, link: Link, now: int) -> None:
        """An ACK came."""
        self.downlink.on_ack()

    def link_dropped(self, link: Link, reason: str) -> None:
        """A packet was dropped; record it."""
        self.downlink.drop(reason)
