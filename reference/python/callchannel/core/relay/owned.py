# SPDX-License-Identifier: Apache-2.0
"""A Reliable session at its owner's side: what its owner may send, and what its recipients are owed (chapter 10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callchannel.core.errors import ErrorCode
from callchannel.core.frames import (
    CONFIRM,
    DATA_HEADER,
    HIGH,
    MAX_INDEX,
    Close,
    Data,
    Fail,
    Receipt,
    Refuse,
    unpack_header,
)
from callchannel.core.limits import RECIPIENTS_REPORTED, RELIABLE_PACKET
from callchannel.core.link import LinkFault
from callchannel.core.recipients import NO_SLOT
from callchannel.core.relay.custody import Item
from callchannel.core.relay.membership import Member
from callchannel.core.relay.receipts import Confirmed, Receipts
from callchannel.core.relay.route import Route
from callchannel.core.relay.session import Session

if TYPE_CHECKING:
    from callchannel.core.relay.call import Call
    from callchannel.core.relay.uplink import Uplink


class _Partial:
    """A Reliable message of which not everything has come."""

    __slots__ = ("confirm", "next_index", "received", "routes", "sequence", "total")

    def __init__(self, data: Data, routes: list[Route]) -> None:
        assert data.fragment is not None
        self.sequence = data.sequence
        self.total = data.fragment.total
        self.received = len(data.payload)
        self.next_index = 1
        self.confirm = bool(data.flags & CONFIRM)
        self.routes = routes
        """Fixed when the message was admitted (CC-RELAY-014); those who fail meanwhile are passed over."""


class ReliableSession(Session):
    """A Reliable session of one owner."""

    __slots__ = (
        "_refused",
        "_routes",
        "announced",
        "credit_due",
        "full_mark",
        "half_mark",
        "partial",
        "receipts",
        "received",
        "routes",
        "window",
        "witness",
    )

    def __init__(self, uplink: Uplink, call: Call, data: Data) -> None:
        super().__init__(uplink, call, data)
        window = call.limits.window
        self.window = window
        self.full_mark = window - RELIABLE_PACKET
        self.half_mark = window // 2
        self.announced = window
        """The greatest limit that the owner was given."""
        self.received = 0
        """Bytes of DATA that came."""
        self.credit_due = False
        self.witness: Route | None = None
        """A route whose queue is the reason why no CREDIT is due."""
        self.routes: dict[int, Route] = {}
        self.partial: _Partial | None = None
        self.receipts: Receipts | None = None
        self._routes: list[Route] = []
        self._refused = 0

    # --- step 12 -------------------------------------------------------------------------------------------------

    def matches(self, data: Data) -> bool:
        """Whether channel, reliability and priority are those of the first frame (CC-SESS-062)."""
        return data.channel == self.channel and data.reliable and bool(data.flags & HIGH) == self.high

    # --- steps 13 to 19 ------------------------------------------------------------------------------------------

    def receive(self, data: Data, now: int) -> None:
        """A DATA frame of this session. Raises `LinkFault` when it passes the owner's limit."""
        fragment = data.fragment
        size = 0 if fragment is not None and fragment.abort else data.length
        if self.received + size > self.announced:
            raise LinkFault(
                ErrorCode.FLOW_CONTROL,
                f"{self.received + size} bytes in session {self.number}, its limit is {self.announced}",
            )
        self.received += size  # CC-RELAY-022: whatever happens to the frame
        self.uplink.spend(size, now)
        partial = self.partial
        if partial is not None:
            if fragment is None or data.sequence != partial.sequence or fragment.index != partial.next_index:
                self.fault(ErrorCode.SEQUENCE, data.sequence, now)
                return
            self._continue(data, partial, now)
        elif data.sequence > self.last and (fragment is None or not fragment.index):
            self._begin(data, now)
        elif fragment is None or data.sequence != self._refused:
            self.fault(ErrorCode.SEQUENCE, data.sequence, now)
            return
        # The limit can grow by a quarter of the window, or the owner be stuck, only beyond these marks.
        if self.announced - self.received <= self.window - self.window // 4:
            self.check_credit(now)

    def is_usual(self, channel: int, flags: int, sequence: int, length: int) -> bool:
        """Whether a message to everyone, in one frame, passes steps 12 to 18 and has the last one's recipients."""
        call = self.call
        return (
            channel == self.channel
            and bool(flags & HIGH) == self.high
            and sequence > self.last
            and self.partial is None
            and not self.ended
            and self.received + length <= self.announced
            and call.policy is None
            and not call.stopping
            and self._denoted is None
            and self._stamp == (call.membership.version, len(self.failed))
        )

    def receive_plain(self, packet: bytes, offset: int, now: int) -> tuple[int, int]:
        """Admit a message that `is_usual`, and those that follow it in its packet: what `receive` does, and no more.

        Returns how many, and where they end. The run stops where the owner's credit has to be looked at.
        """
        start, length, key, sequence = unpack_header(packet, offset)
        size = len(packet)
        room = self.announced - self.received
        look = room - self.window + self.window // 4  # after so many bytes CREDIT may be due
        most = look if self.uplink.is_unlimited else 0
        items: list[Item] = []
        total = 0
        while True:
            frame = packet if length == size else packet[offset : offset + length]
            items.append((frame, None, length))
            total += length
            offset += length
            last = sequence
            if total >= most or size - offset < DATA_HEADER:
                break
            next_start, length, next_key, sequence = unpack_header(packet, offset)
            if (
                next_start != start
                or next_key != key
                or sequence <= last
                or not DATA_HEADER <= length <= size - offset
                or total + length > room
            ):
                break
        self.received += total
        self.uplink.spend(total, now)
        self.last = last
        self._refused = 0
        self._fan_out_run(self._routes, items, total, now)
        if total >= look:
            self.check_credit(now)
        return len(items), offset

    def _begin(self, data: Data, now: int) -> None:
        """The first frame of a message: refuse it, or admit it (CC-RELAY-015)."""
        fragment = data.fragment
        refusal = self.uplink.refusal(data, now)
        if refusal is not None:
            self.last = self._refused = data.sequence
            self.uplink.tell(Refuse(self.owner.slot, NO_SLOT, self.number, data.sequence, refusal).encode())
            return
        if fragment is not None and fragment.total and (len(data.payload) == fragment.total) != fragment.last:
            self.fault(ErrorCode.FRAGMENT, data.sequence, now)
            return
        self.last = data.sequence
        self._refused = 0
        block = data.recipients
        if not self._is_resolved(block):
            slots, gone, _ = self._resolve(block)
            if block is None:  # CC-ROSTER-074: whom the owner may have had in mind
                unsure = self.call.broadcaster.unsure(self.uplink.port.feed)
                gone = [member for member in unsure if member not in self.failed]
            routes, downlinks = self.routes, self.call.downlinks
            for slot in slots:
                if slot not in routes:
                    routes[slot] = downlinks[slot].open_route(self)
            self._routes = [routes[slot] for slot in slots]
            for member in gone:
                self._fail_absent(member, data.sequence)
        targets = self._routes
        if data.flags & CONFIRM:
            self._await_receipts(data, targets, now)
            targets = self._routes
        if fragment is not None and not fragment.last:
            self.partial = _Partial(data, targets)
        data.recipients = None  # CC-RELAY-025 and 026: the one encoding for all recipients
        self.fan_out(targets, (data.encode(), None, data.length), now)

    def fan_out(self, routes: list[Route], item: Item, now: int) -> None:
        """Queue one frame for many recipients: the hot loop of a relay."""
        size = item[2]
        for route in routes:
            route.queue.append(item)
            queued = route.queued + size
            route.queued = queued
            if queued > route.mark:
                route.grew(now)

    def _fan_out_run(self, routes: list[Route], items: list[Item], size: int, now: int) -> None:
        """The same for several frames of `size` bytes."""
        if len(items) == 1:
            self.fan_out(routes, items[0], now)
            return
        for route in routes:
            queued = route.queued + size
            if queued <= route.mark:
                route.queue += items
                route.queued = queued
            elif route.is_far_from_limits(size):
                route.queue += items
                route.queued = queued
                route.grew(now)
            else:
                for item in items:
                    self.fan_out([route], item, now)
                    if route.failed:
                        break

    def _continue(self, data: Data, partial: _Partial, now: int) -> None:
        """A later fragment, or the ABORT, of the message that was admitted last."""
        fragment = data.fragment
        assert fragment is not None
        received = partial.received + len(data.payload)
        if fragment.total != partial.total or (
            not fragment.abort
            and (
                (partial.total and (received > partial.total or fragment.last != (received == partial.total)))
                or (fragment.index == MAX_INDEX and not fragment.last)
            )
        ):
            self.fault(ErrorCode.FRAGMENT, data.sequence, now)
            return
        routes = [route for route in partial.routes if not route.failed] if self.failed else partial.routes
        frame = data.encode()
        if fragment.abort:
            self.partial = None
            if self.receipts is not None:
                self.receipts.withdraw(partial.sequence, partial.routes)
            for route in routes:
                route.push_free(frame, last=False)
            return
        partial.received = received
        partial.next_index += 1
        if fragment.last:
            self.partial = None
        self.fan_out(routes, (frame, None, data.length), now)

    # --- credit of the owner -------------------------------------------------------------------------------------

    def limit(self) -> int:
        """The owner's limit as it is now (CC-RELAY-036)."""
        longest = max((route.queued for route in self.routes.values()), default=0)
        return max(self.announced, self.received + self.window - longest - self.uplink.withheld)

    def check_credit(self, now: int) -> None:
        """Find out whether CREDIT is due."""
        if not self.credit_due and self._is_credit_due(now):
            self.credit_due = True
            self.uplink.credit(self)

    def _is_credit_due(self, now: int) -> bool:
        """Whether the limit has grown enough (section 7.11). If not, who reads too slowly for it is the witness.

        So all routes are looked at once in a quarter of the window, and otherwise the one whose queue was too long.
        """
        self.witness = None
        if self.ended or not self.uplink.alive:
            return False
        is_stuck = self.announced - self.received < RELIABLE_PACKET
        needed = 1 if is_stuck else self.window // 4
        allowed = self.received + self.window - self.uplink.refill(now) - self.announced - needed
        if allowed < 0:
            return False
        for route in self.routes.values():
            if route.queued > allowed:
                self.witness = route  # asked again when this one's queue gets shorter
                return False
        return True

    def take_credit(self, now: int) -> int | None:
        """The limit that a CREDIT tells now; None where it is not due any more."""
        self.credit_due = False
        if not self._is_credit_due(now):
            return None
        limit = self.announced = self.limit()
        self.check_credit(now)
        return limit

    # --- failing a recipient -------------------------------------------------------------------------------------

    def _fail_absent(self, member: Member, sequence: int) -> None:
        """A recipient was gone when the message came (CC-ROSTER-061, 074)."""
        self.bar(member)
        self._stamp = (self._stamp[0], len(self.failed))
        self.uplink.tell_of(
            member,
            Fail(self.owner.slot, member.slot, self.number, sequence, ErrorCode.UNKNOWN_RECIPIENT).encode(),
        )

    def fail_recipient(self, route: Route, code: int, now: int) -> None:
        """The relay gives a recipient up in this session; its link lives (CC-RELAY-048 to 050)."""
        if route.failed:
            route.discard(0, now)
            return
        value = route.owed(route.downlink.unacked().get(self.key))
        if value is None:
            value = route.first_queued() or self.last + 1
        self._fail(route, code, value, self._is_uncertain(route, value), now, tell=True)

    def recipient_gone(self, route: Route, code: int, unacked: int | None, now: int) -> None:
        """A recipient has left or died: FAIL if it is owed anything (CC-RELAY-046 and 047)."""
        value = None if route.failed or not self.uplink.alive else route.owed(unacked)
        if value is not None:
            self._fail(route, code, value, self._is_uncertain(route, value), now, tell=False)
        elif not route.failed:
            self._tell_covered(route)  # a FAIL(UNKNOWN_RECIPIENT) can follow, when nobody remembers this
        route.drop()
        if self.partial is not None and route in self.partial.routes:
            self.partial.routes = [kept for kept in self.partial.routes if kept is not route]
        self._forget(route)
        if self.witness is route:
            self.check_credit(now)

    def going_away(self, route: Route, unacked: int | None, now: int) -> None:
        """The relay stops before a recipient was given everything (CC-RELAY-078)."""
        value = None if route.failed or not self.uplink.alive else route.undelivered(unacked, confirmed=True)
        if value is not None:
            self._fail(route, ErrorCode.GOING_AWAY, value, self._is_uncertain(route, value), now, tell=False)

    def recipient_failed(self, route: Route, frame: Fail, now: int) -> None:
        """A recipient has written FAIL (CC-RELAY-051 and 052)."""
        if route.failed:
            return
        unwritten = route.owed_unwritten()
        value = frame.value if unwritten is None else min(frame.value, unwritten)
        self._fail(route, frame.reason, value, frame.uncertain, now, tell=False)

    def _tell_covered(self, route: Route) -> None:
        """Good news of a recipient that is due goes before a FAIL about it (CC-RELAY-056, CC-DELIV-020)."""
        receipts = self.receipts
        if receipts is None or not self.uplink.alive:
            return
        told = max(route.passed, receipts.told)
        if route.covered > told:
            member = route.downlink.member
            receipt = Receipt(self.owner.slot, member.slot, self.number, route.covered)
            self.uplink.tell_of(member, receipt.encode())
        route.passed = max(told, route.covered)

    def _is_uncertain(self, route: Route, value: int) -> bool:
        return route.wholly_written() >= value

    def _fail(self, route: Route, code: int, value: int, uncertain: bool, now: int, *, tell: bool) -> None:
        """End the session for one recipient, and tell its owner, once (CC-RELAY-054)."""
        member = route.downlink.member
        self.bar(member)
        self._tell_covered(route)

        def written(now: int) -> None:
            if self.receipts is not None:
                self.receipts.release(route, value)
                self.uplink.receipts_changed(self)

        if self.uplink.alive:
            self.uplink.tell_of(
                member, Fail(self.owner.slot, member.slot, self.number, value, code, uncertain).encode(), written
            )
        else:
            written(now)
        route.fail(code, value, uncertain=uncertain, tell=tell, now=now)

    # --- receipts ------------------------------------------------------------------------------------------------

    def _await_receipts(self, data: Data, targets: list[Route], now: int) -> None:
        if self.receipts is None:
            self.receipts = Receipts()
        message = Confirmed(data.sequence, len(targets), one_by_one=len(targets) <= RECIPIENTS_REPORTED)
        for route in targets:
            route.confirms.append(message)
        if self.receipts.admit(message):
            oldest = self.receipts.outstanding[0]
            for route in list(self.routes.values()):
                if route.confirms and route.confirms[0] is oldest:
                    self.fail_recipient(route, ErrorCode.MEMORY, now)
            self._routes = [route for route in targets if not route.failed]
        self.uplink.receipts_changed(self)

    def receipt(self, route: Route, value: int) -> None:
        """A RECEIPT of a recipient (CC-RELAY-067, 068, 071)."""
        value = min(value, route.wholly_written())
        if route.failed:
            value = min(value, route.fail_value - 1)  # CC-DELIV-021
        receipts = self.receipts
        if value <= route.covered or receipts is None:
            return
        route.covered = value
        passed = receipts.cover(route, value)
        if (passed or route.failed) and value > route.passed:
            self.uplink.pass_receipt(route)
        self.uplink.receipts_changed(self)
        if route.done:
            self._forget_if_done(route)

    # --- the end -------------------------------------------------------------------------------------------------

    @property
    def key(self) -> bytes:
        """What names this session in a DATA frame."""
        return self.owner.slot.to_bytes(2, "big") + self.number.to_bytes(4, "big")

    def fault(self, code: ErrorCode, sequence: int, now: int) -> None:
        """End the session for everyone: its owner broke its rules (section 10.9)."""
        partial, self.partial = self.partial, None
        value = partial.sequence if partial is not None else max(sequence, self.last + 1)
        if partial is not None and self.receipts is not None:
            self.receipts.withdraw(partial.sequence, partial.routes)
        self.uplink.tell(Fail(self.owner.slot, NO_SLOT, self.number, value, code).encode())
        for slot, route in self.routes.items():
            if not route.failed:
                route.discard(value, now)
                route.push_free(Fail(self.owner.slot, slot, self.number, value, code).encode(), last=False)
        self.close(Close(self.owner.slot, NO_SLOT, self.number, self.last, code).encode())  # CC-RELAY-079

    def close(self, frame: bytes) -> None:
        """CLOSE: to everyone for whom DATA was queued, failed recipients included (CC-RELAY-031)."""
        self.partial = None
        for route in self.routes.values():
            route.close(frame)
        self._end()

    def _end(self) -> None:
        self.ended = True
        self.witness = None
        self.uplink.session_ended(self)
        for route in list(self.routes.values()):
            if route.done:
                self._forget_if_done(route)
        self._settle()

    def give_up(self, now: int) -> None:
        """The session has ended, and too many others of its owner did so since: owe nothing more (CC-RELAY-080)."""
        for route in list(self.routes.values()):
            if not route.failed:
                value = route.owed(route.downlink.unacked().get(self.key))
                if value is None:
                    value = self.last + 1
                # Who has acknowledged CLOSE has all of it, and can't be told anything.
                self._fail(route, ErrorCode.MEMORY, value, self._is_uncertain(route, value), now, tell=not route.done)
            route.confirms = []
            self._forget(route)

    def orphan(self) -> None:
        """The owner is gone: nobody waits for receipts."""
        self.receipts = None
        for route in list(self.routes.values()):
            route.confirms = []
            if route.done:
                self._forget(route)
        self._settle()

    def route_done(self, route: Route) -> None:
        """The last frame of this session has arrived at a recipient."""
        self._forget_if_done(route)

    def _forget_if_done(self, route: Route) -> None:
        if not route.confirms:
            self._forget(route)

    def _forget(self, route: Route) -> None:
        slot = route.downlink.member.slot
        if self.routes.get(slot) is route:
            del self.routes[slot]
        route.downlink.routes.pop(route, None)
        self._stamp = (-1, -1)
        self._settle()

    def _settle(self) -> None:
        """Forget a session that has ended and owes nothing."""
        if self.ended and not self.routes:
            self.uplink.forget(self)
