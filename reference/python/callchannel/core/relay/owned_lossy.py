# SPDX-License-Identifier: Apache-2.0
"""A Lossy session at its owner's side (sections 10.4 to 10.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callchannel.core.errors import ErrorCode
from callchannel.core.extensions import lifetime_of
from callchannel.core.frames import LATEST, Close, Data, Fail
from callchannel.core.recipients import NO_SLOT
from callchannel.core.relay.lossy import LossyItem, LossyRoute
from callchannel.core.relay.session import Session

if TYPE_CHECKING:
    from callchannel.core.relay.call import Call
    from callchannel.core.relay.uplink import Uplink


class LossySession(Session):
    """A Lossy session of one owner."""

    __slots__ = ("_passed", "_routes", "routes")

    def __init__(self, uplink: Uplink, call: Call, data: Data) -> None:
        super().__init__(uplink, call, data)
        self.routes: dict[int, LossyRoute] = {}
        self._routes: list[LossyRoute] = []
        self._passed = 0

    def receive(self, data: Data, now: int) -> None:
        """A Lossy frame: it goes to those who are there now, as far as it is fresh (CC-ROSTER-064, 069)."""
        self.last = max(self.last, data.sequence)
        block = data.recipients
        if not self._is_resolved(block):
            slots, gone, passed = self._resolve(block)
            downlinks = self.call.downlinks
            self._routes = []
            for slot in slots:
                route = self.routes.get(slot)
                if route is None or route.downlink is not downlinks[slot]:
                    route = self.routes[slot] = downlinks[slot].open_lossy_route(self)
                self._routes.append(route)
            self._passed = passed + len(gone)
        if self._passed:
            self.uplink.drop("no_recipients", self._passed)
        data.recipients = None
        lifetime = lifetime_of(data.extensions) if data.extensions else None
        item = LossyItem(
            data.encode(), data.sequence, bool(data.flags & LATEST), now + lifetime if lifetime else 0, self
        )
        for route in self._routes:
            if route.downlink.is_active:
                route.put(item)
            else:
                route.downlink.drop("suspended")

    def recipient_failed(self, route: LossyRoute, frame: Fail) -> None:
        """A recipient takes no more of this session."""
        member = route.downlink.member
        if member in self.failed:
            return
        self.failed.add(member)
        route.failed = True
        route.clear(None)
        self.uplink.tell_of(
            member,
            Fail(self.owner.slot, member.slot, self.number, frame.value, frame.reason, frame.uncertain).encode(),
        )

    def recipient_gone(self, route: LossyRoute) -> None:
        """A recipient's link is dead."""
        route.clear("link_dead")
        if self.routes.get(route.downlink.member.slot) is route:
            del self.routes[route.downlink.member.slot]
        route.downlink.routes.pop(route, None)
        self._stamp = (-1, -1)

    def fault(self, code: ErrorCode, sequence: int) -> None:
        """A Reliable frame came in this session: it ends for everyone (CC-SESS-049)."""
        value = max(sequence, self.last + 1)
        self.uplink.tell(Fail(self.owner.slot, NO_SLOT, self.number, value, code).encode())
        for slot, route in self.routes.items():
            if not route.failed:
                route.close(Fail(self.owner.slot, slot, self.number, value, code).encode())
        self.close(Close(self.owner.slot, NO_SLOT, self.number, self.last, code).encode())  # CC-RELAY-079

    def close(self, frame: bytes) -> None:
        """CLOSE, behind what is still written."""
        for route in self.routes.values():
            route.close(frame)
        self.end()
        self.uplink.discard(self)

    def end(self) -> None:
        """Nothing more is taken in this session. Its CLOSE can still come, and goes to its recipients."""
        if not self.ended:
            self.ended = True
            self.uplink.session_ended(self)

    def abandon(self) -> None:
        """Its CLOSE never came after a newer session had begun."""
        for route in self.routes.values():
            route.downlink.routes.pop(route, None)
