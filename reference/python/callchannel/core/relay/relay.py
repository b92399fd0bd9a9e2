# SPDX-License-Identifier: Apache-2.0
"""The relay: a group call's links, joined (specification, chapter 10).

Sans-IO: a driver brings packets, transports and time, and takes packets and events. This file takes them in and hands
them out; what is done with them is in the modules beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from hmac import compare_digest  # CC-SEC-006
from typing import Final

from callchannel.core import bugs, decoding
from callchannel.core.errors import ErrorCode, FrameError, InvalidArgument
from callchannel.core.events import Participant
from callchannel.core.frames import FrameType, Hello, RosterEntry, RosterOp
from callchannel.core.lanes import Lane
from callchannel.core.limits import Limits
from callchannel.core.link import LinkState
from callchannel.core.lobby import Lobby, Refusal
from callchannel.core.relay.admission import Admission
from callchannel.core.relay.broadcasting import Broadcaster, encode_snapshot
from callchannel.core.relay.call import Call, Policy
from callchannel.core.relay.events import (
    EndpointJoined,
    EndpointLeft,
    EndpointResumed,
    EndpointSuspended,
    RelayEvent,
    Stopped,
)
from callchannel.core.relay.membership import MAX_EPOCH, Member, Membership
from callchannel.core.relay.port import Port
from callchannel.core.relay.route import Route
from callchannel.core.relay.statistics import LinkStatistics, RelayStatistics
from callchannel.core.timers import Callback, Timers

_RETRY_RELEASE = 1_000_000
"""Microseconds until a slot whose quarantine is over is looked at again, because a queue still names it."""
_TOKEN = 16
_RELIABLE: Final = Lane.RELIABLE


class Relay:
    """A relay of one call. Satisfies `callchannel.aio.driver.Machine`; times are integer microseconds.

    After each call: `events()`, `pull` for each of `take_dirty()`, `take_closing()`, and a look at `deadline()`.
    """

    def __init__(
        self,
        *,
        entropy: Callable[[int], bytes],
        limits: Limits | None = None,
        now: int = 0,
        policy: Policy | None = None,
    ) -> None:
        """`entropy(n)` gives n random bytes fit for cryptography (CC-LINK-024).

        `policy(participant, data)` says whether a message may go to its recipients: it is asked with the first frame
        of each message, for Lossy with each frame.
        """
        self.limits = Limits() if limits is None else limits
        if self.limits.window > self.limits.relay_link_memory:  # CC-LIMIT-017
            raise InvalidArgument("limit window is greater than relay_link_memory: no queue could fill it")
        self._entropy = entropy
        self._timers = Timers()
        self._dirty: set[int] = set()
        self._ports: dict[int, Port] = {}  # by transport, until the transport is handed out to be closed
        self._closing: dict[Port, None] = {}
        self._tokens: dict[bytes, Port] = {}
        self._by_slot: dict[int, Port] = {}
        self._admissions: dict[int, Admission | None] = {}
        self._lobby = Lobby(self, self.limits, self._timers, self._dirty.add)
        self._events: list[RelayEvent] = []
        self._stopped = False
        self._packets_written = 0
        self._bytes_written = 0
        self._frames_of_gone = 0
        self._internal_errors = 0
        self._call = self._new_call(policy)
        self._call.now = now

    def _new_call(self, policy: Policy | None) -> Call:
        return Call(
            self.limits,
            self._timers,
            Membership(self.limits.roster_slots),
            Broadcaster(self.limits, self._timers, self._start_quarantine),
            policy,
        )

    # --- transports ----------------------------------------------------------------------------------------------

    def transport_up(self, transport: int, now: int, *, admission: Admission | None, lossy: bool = True) -> None:
        """A transport can carry packets. `admission` None: its HELLO is refused with NOT_ADMITTED (CC-RELAY-002)."""
        self._call.now = now
        self._admissions[transport] = admission
        self._lobby.add(transport, lossy, now)

    def transport_down(self, transport: int, now: int) -> None:
        """A transport is gone. Its endpoint is suspended, unless the transport was not in use any more."""
        self._call.now = now
        self._admissions.pop(transport, None)
        self._lobby.transport_down(transport)
        port = self._ports.get(transport)
        if port is not None and port.link.transport == transport:
            port.link.transport_down(now)
            self._finish(now)

    def lossy_lane(self, transport: int, is_open: bool, now: int) -> None:
        """The relay's end of a transport's lossy lane has opened or closed."""
        self._call.now = now
        if transport in self._lobby:
            self._lobby.set_lossy(transport, is_open)
        port = self._ports.get(transport)
        if port is not None and port.link.transport == transport:
            port.link.set_lossy(is_open, now)

    # --- receiving -----------------------------------------------------------------------------------------------

    def receive(self, transport: int, lane: Lane, packet: bytes, now: int) -> None:
        """A packet has arrived. Never raises for what is in it."""
        self._call.now = now
        port = self._ports.get(transport)
        try:
            if port is not None:
                if port.link.transport == transport:
                    port.link.receive(lane, packet, now)
            elif transport in self._lobby:
                self._lobby.receive(transport, lane, packet, now)
        except Exception as error:
            self._fail_internally(transport, error, now)
        call = self._call
        if call.runs or call.doomed or call.stopping:
            self._finish(now)

    def _fail_internally(self, transport: int, error: Exception, now: int) -> None:
        """A bug showed while a link was served: only that link ends (CC-SEC-021)."""
        self._note(error)
        port = self._ports.get(transport)
        if port is not None:
            port.link.end(ErrorCode.INTERNAL, bugs.BYE_TEXT, now)
        elif transport in self._lobby:
            self._lobby.refuse(transport, ErrorCode.INTERNAL, bugs.BYE_TEXT)

    def _timer_failed(self, callback: Callback, error: Exception, now: int) -> None:
        """The same at a timer. Which link it serves is known by whose method it is; those of the call serve none."""
        self._note(error)
        owner = getattr(callback, "__self__", None)
        if isinstance(owner, Route):
            owner = owner.downlink
        for port in tuple(self._by_slot.values()):
            if owner in (port.link, port.uplink, port.downlink):
                port.link.end(ErrorCode.INTERNAL, bugs.BYE_TEXT, now)

    def _note(self, error: Exception) -> None:
        self._events.append(bugs.noted(error))
        self._internal_errors += 1

    def hello_received(self, transport: int, hello: Hello, lossy: bool, now: int) -> Refusal | None:
        """Host of the lobby: steps 3 to 7 of section 9.4."""
        admission = self._admissions.get(transport)
        if admission is None:
            return Refusal(ErrorCode.NOT_ADMITTED, "this transport is not admitted")
        refusal = (
            self._resume(transport, hello, admission, lossy, now)
            if hello.resume
            else self._join(transport, hello, admission, lossy, now)
        )
        if refusal is None:
            del self._admissions[transport]
        return refusal

    def _resume(self, transport: int, hello: Hello, admission: Admission, lossy: bool, now: int) -> Refusal | None:
        port = self._tokens.get(hello.token)
        if port is None or port.member.identity != admission.identity:
            return Refusal(ErrorCode.RESUME_UNKNOWN, "no link is known by this token")  # CC-LINK-018: alike for all
        code = port.link.judge_resume(hello)
        if code is not None:
            text = f"attempt {hello.attempt} with count {hello.received} can't resume"
            if code == ErrorCode.RESUME_MISMATCH:
                port.link.end(code, text, now)
            return Refusal(code, text)
        self._ports[transport] = port
        self._closing[port] = None
        port.attention = True
        port.may_send = admission.may_send  # CC-SIG-043: the newest connection's permissions hold
        port.link.resume(transport, hello, lossy=lossy, now=now)
        port.downlink.resumed()
        return None

    def _join(self, transport: int, hello: Hello, admission: Admission, lossy: bool, now: int) -> Refusal | None:
        if self._call.stopping:
            return Refusal(ErrorCode.GOING_AWAY, "the relay stops")  # CC-RELAY-075
        largest = self.limits.largest_message
        if hello.largest_message < largest:
            return Refusal(ErrorCode.TOO_SMALL, f"messages of this call have up to {largest} bytes")
        if hello.replace:  # CC-RELAY-006, CC-LINK-050 and 051
            for port in tuple(self._by_slot.values()):
                if port.member.identity == admission.identity and compare_digest(port.link.instance, hello.token):
                    port.link.end(ErrorCode.REPLACED, "a newer link of this endpoint took its place", now)
        if self._call.membership.epoch + len(self._by_slot) + 2 > MAX_EPOCH:
            self._begin_anew(now)
        membership = self._call.membership
        if membership.is_full:
            return Refusal(ErrorCode.CALL_FULL, "the call has no place left")
        self._admit(transport, hello, admission, lossy, now)
        return None

    def _admit(self, transport: int, hello: Hello, admission: Admission, lossy: bool, now: int) -> None:
        call = self._call
        membership, broadcaster = call.membership, call.broadcaster
        member = membership.join(admission.identity)
        port = Port(self, call, member=member, admission=admission, mark_dirty=self._dirty.add, now=now)
        member.log_index = broadcaster.end
        for behind in broadcaster.change(
            RosterEntry(RosterOp.JOIN, member.slot, 0, member.identity), membership.epoch, now
        ):
            self._doom_slow(behind.slot)
        broadcaster.add(port.feed, membership.epoch, encode_snapshot(membership.epoch, membership.in_order()))
        call.downlinks[member.slot] = port.downlink
        call.uplinks[member] = port.uplink
        self._by_slot[member.slot] = port
        self._ports[transport] = port
        token = self._entropy(_TOKEN)
        self._tokens[token] = port
        port.link.accept(
            transport, hello, slot=member.slot, identity=member.identity, token=token, lossy=lossy, now=now
        )
        self._events.append(EndpointJoined(participant=member.participant()))

    def rest_of_packet(self, transport: int, packet: bytes, offset: int, now: int) -> None:
        """Host of the lobby: bytes behind a HELLO that was taken. Only BYE may stand there (CC-LINK-019)."""
        link = self._ports[transport].link
        try:
            kind, _, _ = decoding.read_start(packet, offset)
        except FrameError as fault:
            link.end(fault.code, str(fault), now)
            return
        if kind == FrameType.BYE:
            link.receive(Lane.RELIABLE, packet, now, offset)
        else:
            link.end(ErrorCode.HANDSHAKE, f"frame type {kind:02X} behind HELLO", now)

    def link_dropped_unbound(self, reason: str) -> None:
        """Host of the lobby: a packet of a transport without a link was dropped."""
        self._call.drops.add(reason)

    # --- links ---------------------------------------------------------------------------------------------------

    def port_changed(self, port: Port, before: LinkState, now: int) -> None:
        """Host of ports: a link has become active, suspended or dead."""
        state = port.link.state
        if state is LinkState.DEAD:
            self._closing[port] = None
            self._leave(port, now)
        elif state is LinkState.SUSPENDED:
            self._closing[port] = None
            port.downlink.suspend()
            self._mark_suspended(port.member, True, now)
        elif before is LinkState.SUSPENDED:
            self._mark_suspended(port.member, False, now)

    def _mark_suspended(self, member: Member, suspended: bool, now: int) -> None:
        member.suspended = suspended
        op = RosterOp.SUSPENDED if suspended else RosterOp.RESUMED
        membership = self._call.membership
        for behind in self._call.broadcaster.change(RosterEntry(op, member.slot), membership.epoch, now):
            self._doom_slow(behind.slot)
        event = EndpointSuspended if suspended else EndpointResumed
        self._events.append(event(participant=member.participant()))

    def _doom_slow(self, slot: int) -> None:
        """A link does not take the roster (CC-RELAY-045)."""
        self._call.doomed[self._by_slot[slot]] = (ErrorCode.MEMORY, "too many roster changes wait")

    def _leave(self, port: Port, now: int) -> None:
        """An endpoint's link is dead: it has left as a recipient and as an owner (sections 10.8 and 10.10)."""
        member, link, call = port.member, port.link, self._call
        self._tokens.pop(link.token, None)
        del self._by_slot[member.slot]
        del call.downlinks[member.slot]
        call.doomed.pop(port, None)
        reason = ErrorCode.LEFT if link.ended_by_peer and link.end_code == ErrorCode.LEFT else ErrorCode.LOST
        code = reason if link.ended_by_peer or link.end_code == ErrorCode.LINK_LOST else link.end_code
        call.broadcaster.remove(port.feed, now)
        call.membership.leave(member)
        if self._stopped:
            port.forsake()  # nobody is left to be told
        else:
            for behind in call.broadcaster.change(
                RosterEntry(RosterOp.LEAVE, member.slot, code), call.membership.epoch, now, member
            ):
                self._doom_slow(behind.slot)
            port.recipient_gone(reason, now)
            port.uplink.die(reason)
            for downlink in call.downlinks.values():
                downlink.forget_owner(port.uplink.key)
        self._frames_of_gone += port.custody.data_written + port.downlink.frames_out
        if port.downlink.drops is not None:
            for name, count in port.downlink.drops.by_reason.items():
                call.drops.add(name, count)
        port.release()
        self._events.append(EndpointLeft(participant=member.participant(), code=code))

    # --- quarantine ----------------------------------------------------------------------------------------------

    def _start_quarantine(self, member: Member, now: int) -> None:
        """Every link has acknowledged the LEAVE of a member, or died (CC-ROSTER-007)."""
        call = self._call
        self._timers.set(
            (id(member), "quarantine"),
            now + self.limits.slot_quarantine,
            lambda now: self._end_quarantine(call, member, now),
        )

    def _end_quarantine(self, call: Call, member: Member, now: int) -> None:
        uplink = call.uplinks[member]
        if (
            uplink.sessions
            or any(downlink.reliable_turns.has(uplink.key) for downlink in call.downlinks.values())
            or any(port.names(member.slot) for port in self._by_slot.values())
        ):  # CC-ROSTER-008
            self._timers.set(
                (id(member), "quarantine"),
                now + _RETRY_RELEASE,
                lambda now: self._end_quarantine(call, member, now),
            )
            return
        del call.uplinks[member]
        call.membership.release(member)

    # --- time ----------------------------------------------------------------------------------------------------

    def deadline(self) -> int | None:
        """When `handle_timeout` is to be called."""
        return self._timers.deadline()

    def handle_timeout(self, now: int) -> None:
        """The deadline has passed. Calling it early does no harm."""
        self._call.now = now
        self._timers.fire(now, lambda callback, error: self._timer_failed(callback, error, now))
        self._finish(now)

    def _finish(self, now: int) -> None:
        """What has to wait until an input has been dealt with."""
        if self._call.runs:
            self._call.runs.clear()
        while self._call.doomed:
            port, (code, text) = self._call.doomed.popitem()
            port.link.end(code, text, now)
        if self._call.stopping and not self._stopped and self._is_drained():
            self._end_all(now)

    # --- writing -------------------------------------------------------------------------------------------------

    def pull(self, transport: int, lane: Lane, budget: int, now: int) -> list[bytes]:
        """Packets for a transport, until their bytes reach `budget`; none: nothing is due."""
        if budget <= 0:
            return []
        port = self._ports.get(transport)
        if port is None:
            return self._lobby.pull(transport, lane)
        self._call.now = now
        try:
            packets = self._pull(port, transport, lane, budget, now)
        except Exception as error:
            self._fail_internally(transport, error, now)
            self._finish(now)
            packets = port.link.pull(transport, lane, budget, now)  # the BYE
        self._bytes_written += sum(map(len, packets))
        self._packets_written += len(packets)
        if self._call.doomed:
            self._finish(now)
        return packets

    def _pull(self, port: Port, transport: int, lane: Lane, budget: int, now: int) -> list[bytes]:
        link = port.link
        if (
            not port.attention
            and lane is _RELIABLE
            and transport == link.transport
            and port.custody.ack_due_at > now
            and link.is_active
        ):
            # Data frames alone, as most of the time: the link has nothing to put before them.
            packets = port.downlink.reliable_turns.pull(budget, now)
            if port.custody.owes_ack:
                link.add_ack(packets, now)
            return packets
        packets = link.pull(transport, lane, budget, now)
        if lane is Lane.RELIABLE:
            port.refresh_attention()
        return packets

    @property
    def is_dirty(self) -> bool:
        """Whether `take_dirty` or `take_closing` has something; other calls may always bring such."""
        return bool(self._dirty)  # a transport that is let go is dirty, too

    def take_dirty(self) -> list[int]:
        """Transports for which `pull` may have something."""
        dirty = list(self._dirty)
        self._dirty.clear()
        self._call.runs.clear()
        return dirty

    def take_closing(self) -> list[int]:
        """Transports to drain and close. Pull from them first: their last words may wait."""
        closing = self._lobby.take_closing()
        for port in self._closing:
            for transport in port.link.take_closing():
                self._ports.pop(transport, None)
                closing.append(transport)
        self._closing.clear()
        for transport in closing:
            self._admissions.pop(transport, None)
        return closing

    # --- commands ------------------------------------------------------------------------------------------------

    def end_link(self, slot: int, code: int, text: str, now: int) -> None:
        """End an endpoint's link with BYE, for instance because it was thrown out. Nothing happens if it is gone."""
        self._call.now = now
        port = self._by_slot.get(slot)
        if port is not None:
            port.link.end(code, text, now)
            self._finish(now)

    def stop(self, now: int) -> None:
        """Take nothing new, finish what was accepted, then end every link; `Stopped` tells (section 10.13)."""
        self._call.now = now
        if not self._call.stopping:
            self._call.stopping = True
            self._timers.set((id(self), "drain"), now + self.limits.relay_drain_time, self._end_all)
            self._finish(now)

    def _is_drained(self) -> bool:
        """Whether nothing is owed any more (CC-RELAY-077); receipts are not waited for."""
        return all(port.is_drained() for port in self._by_slot.values())

    def _end_all(self, now: int) -> None:
        """Fail what is still owed, and say BYE (CC-RELAY-077 and 078)."""
        if self._stopped:
            return
        self._stopped = True
        self._timers.cancel((id(self), "drain"))
        for port in self._by_slot.values():
            port.going_away(now)
        self._call.doomed.clear()
        for port in tuple(self._by_slot.values()):
            port.link.end(ErrorCode.GOING_AWAY, "the relay stops", now, flush=True)
        self._lobby.refuse_all(ErrorCode.GOING_AWAY, "the relay stops")
        self._events.append(Stopped())

    def _begin_anew(self, now: int) -> None:
        """The epochs are used up: everybody joins again (CC-ROSTER-015)."""
        old, self._stopped = self._call, True
        for port in tuple(self._by_slot.values()):
            port.link.end(ErrorCode.GOING_AWAY, "the roster's epochs are used up", now)
        self._stopped = False
        self._call = self._new_call(old.policy)
        self._call.drops = old.drops
        self._call.now = now

    # --- looking -------------------------------------------------------------------------------------------------

    def events(self) -> list[RelayEvent]:
        """What happened since the last call, in order."""
        events, self._events = self._events, []
        return events

    @property
    def participants(self) -> tuple[Participant, ...]:
        """Who is in the call, ascending by slot."""
        return tuple(member.participant() for member in self._call.membership.in_order())

    def statistics(self) -> RelayStatistics:
        """The relay as it is now."""
        drops = dict(self._call.drops.by_reason)
        links: list[LinkStatistics] = []
        frames = self._frames_of_gone
        for slot in sorted(self._by_slot):
            port = self._by_slot[slot]
            own = dict(port.downlink.drops.by_reason) if port.downlink.drops is not None else {}
            for reason, count in own.items():
                drops[reason] = drops.get(reason, 0) + count
            frames += port.custody.data_written + port.downlink.frames_out
            links.append(
                LinkStatistics(
                    identity=port.member.identity,
                    slot=slot,
                    bytes_queued=port.downlink.queued,
                    bytes_unacknowledged=port.custody.unacked_bytes,
                    sessions=len(port.uplink.sessions),
                    drops=own,
                )
            )
        return RelayStatistics(
            links=tuple(links),
            unbound_transports=len(self._lobby),
            sessions=sum(len(uplink.sessions) for uplink in self._call.uplinks.values()),
            drops=drops,
            frames_forwarded=frames,
            packets_written=self._packets_written,
            bytes_written=self._bytes_written,
            internal_errors=self._internal_errors,
        )
