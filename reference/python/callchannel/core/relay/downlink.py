# SPDX-License-Identifier: Apache-2.0
"""What a relay keeps for the recipient's side of one link: its routes, their turns, and its memory (section 10.7)."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from callchannel.core.errors import DropCounter, ErrorCode
from callchannel.core.relay.custody import Custody, Run
from callchannel.core.relay.lossy import LastFrame, LossyItem, LossyRoute
from callchannel.core.relay.route import Route
from callchannel.core.relay.turns import Turns, TurnSource

if TYPE_CHECKING:
    from callchannel.core.limits import Limits
    from callchannel.core.link import Link
    from callchannel.core.relay.membership import Member
    from callchannel.core.relay.owned import ReliableSession
    from callchannel.core.relay.owned_lossy import LossySession
    from callchannel.core.relay.port import Port
    from callchannel.core.timers import Timers

_ORDER: Final = 1_024


class Downlink:
    """The way from the relay to one endpoint."""

    __slots__ = (
        "_order",
        "control_bytes",
        "custody",
        "drops",
        "frames_out",
        "held",
        "is_tight",
        "limits",
        "link",
        "lossy_bytes",
        "lossy_turns",
        "member",
        "order_limit",
        "port",
        "reliable_turns",
        "reserved",
        "routes",
        "runs",
        "timers",
    )

    def __init__(self, port: Port, limits: Limits, timers: Timers, runs: dict[int, Run]) -> None:
        self.port = port
        self.link: Link = port.link
        self.custody: Custody = port.custody
        self.member: Member = port.member
        self.limits = limits
        self.runs = runs
        self.timers = timers
        self.routes: dict[Route | LossyRoute, None] = {}
        self.reserved = 0
        """Bytes of Reliable DATA that wait, or more: routes take memory in pieces."""
        self.is_tight = False
        """Whether `reserved` is exact, because the limit is near."""
        self.lossy_bytes = 0
        self.control_bytes = 0
        """Bytes of CLOSE and FAIL that wait in routes."""
        self.frames_out = 0
        """Lossy frames written."""
        self.drops: DropCounter | None = None
        self.held: dict[Route, None] | None = None
        """Routes that wait for an ACK to make room."""
        self.reliable_turns = Turns(limits.bundle)
        self.lossy_turns = Turns(limits.bundle, lossy=True)
        self._order: deque[LossyItem] | None = None
        self.order_limit = _ORDER
        """When the order is that long, what was written is taken out of it."""

    @property
    def peer_window(self) -> int:
        """The first limit of every session towards this endpoint."""
        return self.link.peer_window

    @property
    def is_active(self) -> bool:
        """Whether frames flow."""
        return self.link.is_active

    def drop(self, reason: str, count: int = 1) -> None:
        """Record dropped Lossy data."""
        if self.drops is None:
            self.drops = DropCounter()
        self.drops.add(reason, count)

    def add_control(self, size: int) -> None:
        """CLOSE or FAIL waits in a route, or was written."""
        self.control_bytes += size
        if size > 0:
            self.port.check_control_memory()

    # --- routes --------------------------------------------------------------------------------------------------

    def open_route(self, session: ReliableSession) -> Route:
        """A Reliable session has its first message for this endpoint."""
        route = Route(session, self)
        self.routes[route] = None
        self.port.require_roster(session.owner)
        return route

    def open_lossy_route(self, session: LossySession) -> LossyRoute:
        """A Lossy session has its first message for this endpoint."""
        route = LossyRoute(session, self)
        self.routes[route] = None
        self.port.require_roster(session.owner)
        return route

    # --- turns ---------------------------------------------------------------------------------------------------

    def wake(self, source: TurnSource) -> None:
        """A source has something to write on the reliable lane."""
        if self.reliable_turns.add(source):
            self.link.touch()

    def wake_lossy(self, source: LossyRoute) -> None:
        """A Lossy session has something to write, on the lane that there is (CC-RELAY-033)."""
        if not self.link.lossy_open:
            self.wake(source)
            return
        if self.lossy_turns.add(source):
            self.link.touch()

    def sleep(self, source: Route | LossyRoute) -> None:
        """A source has nothing to write any more."""
        if source.in_turns:
            for turns in (self.reliable_turns, self.lossy_turns):
                if source in turns.sources():
                    turns.remove(source)

    def lane_changed(self) -> None:
        """The lossy lane has opened or closed: Lossy sessions take their turns on the other one."""
        for turns in (self.reliable_turns, self.lossy_turns):
            for source in turns.sources():
                if isinstance(source, LossyRoute):
                    turns.remove(source)
                    self.wake_lossy(source)

    def hold(self, route: Route) -> None:
        """A route waits until an ACK has made room (CC-LINK-035)."""
        if self.held is None:
            self.held = {}
        self.held[route] = None

    def on_ack(self) -> None:
        """An ACK came."""
        if self.held and not self.custody.is_full:
            held, self.held = self.held, None
            for route in held:
                route.unblock()

    def forget_owner(self, key: int) -> None:
        """An owner is gone, and has nothing more to write here."""
        self.reliable_turns.forget(key)
        self.lossy_turns.forget(key)

    # --- memory --------------------------------------------------------------------------------------------------

    @property
    def queued(self) -> int:
        """Bytes that wait, Reliable and Lossy."""
        return self.lossy_bytes + sum(route.queued for route in self.routes if isinstance(route, Route))

    def enforce_memory(self, now: int) -> None:
        """CC-RELAY-041: while too much waits, fail this endpoint in the session that has the most."""
        if not self.is_tight:
            self.is_tight = True
            for route in self.routes:
                if isinstance(route, Route):
                    self.reserved -= route.reserved - route.queued
                    route.reserved = route.mark = route.queued
        while self.reserved > self.limits.relay_link_memory:
            victim = max(
                (route for route in self.routes if isinstance(route, Route)),
                key=lambda route: (route.queued, route.session.serial),
            )
            victim.session.fail_recipient(victim, ErrorCode.MEMORY, now)

    def relax(self) -> None:
        """Half of the memory is free again: account in pieces, which is faster."""
        if self.is_tight and self.reserved * 2 < self.limits.relay_link_memory:
            self.is_tight = False

    # --- Lossy ---------------------------------------------------------------------------------------------------

    @property
    def lossy_order(self) -> deque[LossyItem]:
        """Lossy frames, oldest first."""
        if self._order is None:
            self._order = deque()
        return self._order

    def shed(self) -> None:
        """CC-RELAY-042: drop the oldest Lossy messages until the rest fits."""
        order = self.lossy_order
        while self.lossy_bytes > self.limits.lossy_queue:
            item = order.popleft()
            route = item.session.routes.get(self.member.slot)
            if route is not None and route.queue and route.queue[0] is item:
                route.drop_message(item.sequence, "queue_full")
        if len(order) >= self.order_limit:
            live = {id(item) for route in self.routes if isinstance(route, LossyRoute) for item in route.queue}
            self._order = deque(item for item in order if id(item) in live)
            self.order_limit = max(_ORDER, 2 * len(live))

    def close_lossy(self, route: LossyRoute, frame: bytes) -> None:
        """Write CLOSE or FAIL of a Lossy session, which has nothing left here."""
        self.routes.pop(route, None)
        self.add_control(len(frame))
        self.wake(LastFrame(route, frame))

    def suspend(self) -> None:
        """CC-LINK-042: what is Lossy does not wait for another transport."""
        for route in tuple(self.routes):  # one that was only waiting to write its end is forgotten here
            if isinstance(route, LossyRoute):
                route.clear("suspended")
        self._order = None

    # --- what is owed --------------------------------------------------------------------------------------------

    def unacked(self, *, confirmed: bool = False) -> dict[bytes, int]:
        """By session, the smallest sequence that this link has not acknowledged and that was not aborted.

        Messages with CONFIRM count only if `confirmed`: what is owed of them shows in their receipts.
        """
        return self.custody.unacked(confirmed=confirmed)

    def resumed(self) -> None:
        """The link goes on over another transport: of what its count covers, keep what still concerns somebody."""
        covered = self.custody.covered
        if covered is not None:
            sessions = {route.session.key for route in self.routes if isinstance(route, Route)}
            owners: set[object] = {*self.routes, self.port.feed}
            covered.keep(sessions, owners)
