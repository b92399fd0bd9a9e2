# SPDX-License-Identifier: Apache-2.0
"""An endpoint of a call: wires link, roster, senders and receivers together (specification, chapters 2 to 11).

It does no I/O, reads no clock and draws no randomness. After every call, look at `events()`, `take_dirty()` and
`deadline()`, or let `callchannel.aio.Driver` do so. Times are microseconds and never go back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from hmac import compare_digest  # CC-SEC-006

from callchannel.core import bugs, decoding, frames, judging
from callchannel.core.commands import Commands, Peer, ReceiverInfo, SenderInfo
from callchannel.core.errors import (
    ErrorCode,
    FrameError,
    InvalidArgument,
)
from callchannel.core.events import (
    Event,
    Joined,
    LinkEnded,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantResumed,
    ParticipantSuspended,
    Resumed,
    Suspended,
)
from callchannel.core.frames import Frame, FrameType, Hello, RosterEntry, RosterOp
from callchannel.core.lanes import Lane
from callchannel.core.limits import IDENTIFIER, Limits
from callchannel.core.link import Link, LinkFault, LinkLife, LinkRole, LinkState
from callchannel.core.lobby import Lobby, Refusal
from callchannel.core.receivers import Receivers
from callchannel.core.roster import RosterView
from callchannel.core.sender import SenderSession
from callchannel.core.senders import Senders
from callchannel.core.timers import Timers

_FROM_PEER = frozenset({FrameType.DATA, FrameType.CLOSE, FrameType.FAIL, FrameType.RECEIPT, FrameType.CREDIT})
_FROM_PEER_ACCEPTOR = _FROM_PEER | {FrameType.ROSTER}
_FROM_RELAY = _FROM_PEER_ACCEPTOR | {FrameType.REFUSE}

__all__ = ["Endpoint", "Peer", "ReceiverInfo", "SenderInfo"]


class Endpoint(Commands):
    """One endpoint of a call.

    `entropy(n)` returns n random bytes fit for cryptography, such as `os.urandom`. `identity` is how it would like to
    be known; the relay's admission decides. `peer`: for a call of two without a relay.
    """

    def __init__(
        self,
        *,
        entropy: Callable[[int], bytes],
        identity: str = "",
        limits: Limits | None = None,
        now: int = 0,
        replace: bool = False,
        peer: Peer | None = None,
    ) -> None:
        for label, text in (("identity", identity), ("peer.identity", peer.identity if peer else "")):
            if not isinstance(text, str) or any("\ud800" <= character <= "\udfff" for character in text):
                raise InvalidArgument(f"{label} has to be text that UTF-8 can hold")
            if len(text.encode()) > IDENTIFIER:
                raise InvalidArgument(f"{label} has {len(text.encode())} bytes of UTF-8, at most {IDENTIFIER} fit")
        if peer is not None and (not identity or not (peer.initiator or peer.identity)):
            raise InvalidArgument("a peer-to-peer call needs this endpoint's identity, and its acceptor the peer's")
        self.limits = (limits or Limits()).of_an_endpoint()
        self.timers = Timers()
        self.now = now
        self._peer = peer
        self._own_identity = identity
        self._entropy = entropy
        self._instance = entropy(16)
        self._replace = replace
        self._events: list[Event] = []
        self._dirty: dict[int, None] = {}
        self._closing: list[int] = []
        self._internal_errors = 0
        self._overwhelmed = ""
        """Why the link has to end with MEMORY."""
        self._past_words: dict[int, list[bytes]] = {}
        """What links that were replaced have to say yet: BYE, by transport."""
        self._is_acceptor = peer is not None and not peer.initiator
        self._lobby = Lobby(self, self.limits, self.timers, self._mark_dirty)
        self._receivers = Receivers(self)
        self._make_link(None)

    def _make_link(self, earlier: Senders | None) -> None:
        """A link and all that lives with it. A peer-to-peer acceptor makes another one for a new HELLO."""
        from_acceptor = _FROM_RELAY if self._peer is None else _FROM_PEER_ACCEPTOR
        accepts = _FROM_PEER if self._is_acceptor else from_acceptor
        self.link = Link(
            LinkRole.ACCEPTOR if self._is_acceptor else LinkRole.INITIATOR,
            self,
            self.limits,
            self.timers,
            self.now,
            accepts=frozenset(map(int, accepts)),
            mark_dirty=self._mark_dirty,
        )
        self.link.prepare(identity=self._own_identity, instance=self._instance, replace=self._replace)
        self.roster = RosterView()
        self._senders = Senders(self, earlier)
        self._control: deque[bytes] = deque()
        self._joined = False
        self._leaving = False
        self._left = False

    # --- joining and leaving -----------------------------------------------------------------------------------

    def leave(self, now: int) -> None:
        """Close all senders, wait until everything is acknowledged, at most `leave_time`, then say BYE (9.11)."""
        self._advance(now)
        if self._leaving or self._left or self.link.is_dead:
            return
        self._leaving = True
        for sender in self._senders.all():
            sender.close()
        if not self.link.is_active or not self._joined:
            self._finish_leaving(now)
            return
        self.timers.set("leave", now + self.limits.leave_time, self._finish_leaving)
        self._check_drained()

    def _check_drained(self) -> None:
        if (
            self._leaving
            and self.link.is_active
            and self.counting.all_acked
            and not self._control
            and not self._receivers.has_to_write
            and not any(sender.has_to_write for sender in self._senders.all())
        ):
            self._finish_leaving(self.now)

    def _finish_leaving(self, now: int) -> None:
        self._left = True
        self.link.end(ErrorCode.LEFT, "left", now, flush=True)
        if self._is_acceptor:
            self._lobby.refuse_all(ErrorCode.LEFT, "left")

    # --- the machine: transports, packets, time ----------------------------------------------------------------

    def transport_up(self, transport: int, now: int, *, lossy: bool = True) -> None:
        """A transport's reliable lane is open; `lossy`: its lossy lane too."""
        self._advance(now)
        if self._is_acceptor:
            self._lobby.add(transport, lossy, now)
        else:
            self.link.attach(transport, lossy=lossy, now=now)

    def transport_down(self, transport: int, now: int) -> None:
        """A transport is gone. One that the link does not use any more is of no interest."""
        self._advance(now)
        if transport == self.link.transport:
            self.link.transport_down(now)
        else:
            self._lobby.transport_down(transport)

    def lossy_lane(self, transport: int, is_open: bool, now: int) -> None:
        """This end of a transport's lossy lane has opened or closed."""
        self._advance(now)
        if transport == self.link.transport:
            self.link.set_lossy(is_open, now)
        else:
            self._lobby.set_lossy(transport, is_open)

    def receive(self, transport: int, lane: Lane, packet: bytes, now: int) -> None:
        """A packet arrived. Never raises for what is in it."""
        if now > self.now:  # noqa: PLR1730 - see `read`
            self.now = now
        try:
            if transport == self.link.transport:
                self.link.receive(lane, packet, now)
            elif transport in self._lobby:
                self._lobby.receive(transport, lane, packet, now)
        except Exception as error:
            self._fail_internally(transport, error, now)
        if self._overwhelmed:
            self._end_overwhelmed(now)
        if self._leaving:
            self._check_drained()

    def _end_overwhelmed(self, now: int) -> None:
        text, self._overwhelmed = self._overwhelmed, ""
        self.link.end(ErrorCode.MEMORY, text, now)

    def _fail_internally(self, transport: int | None, error: Exception, now: int) -> None:
        """A bug showed while the link was served: it ends with INTERNAL (section 16.9). No transport: at a timer."""
        self.emit(bugs.noted(error))
        self._internal_errors += 1
        if transport is not None and transport in self._lobby:
            self._lobby.refuse(transport, ErrorCode.INTERNAL, bugs.BYE_TEXT)
        else:
            self.link.end(ErrorCode.INTERNAL, bugs.BYE_TEXT, now)

    def handle_timeout(self, now: int) -> None:
        """The deadline has passed; too early is harmless."""
        self._advance(now)
        self.timers.fire(now, lambda _callback, error: self._fail_internally(None, error, now))
        if self._overwhelmed:
            self._end_overwhelmed(now)
        if self._leaving:
            self._check_drained()

    def deadline(self) -> int | None:
        """When `handle_timeout` is to be called; None: no time is awaited."""
        return self.timers.deadline()

    def pull(self, transport: int, lane: Lane, budget: int, now: int) -> list[bytes]:
        """Packets to send on a transport, until `budget` bytes are reached; none: nothing is due."""
        if now > self.now:  # noqa: PLR1730 - see `read`
            self.now = now
        try:
            packets = self.link.pull(transport, lane, budget, now)
        except Exception as error:
            self._fail_internally(transport, error, now)
            packets = self.link.pull(transport, lane, budget, now)  # the BYE
        if not packets and self._past_words and lane is Lane.RELIABLE:
            packets = self._past_words.pop(transport, [])
        if not packets and self._is_acceptor:
            packets = self._lobby.pull(transport, lane)
        if self._leaving:
            self._check_drained()
        return packets

    @property
    def has_news(self) -> bool:
        """Whether `take_dirty` or `events` has something; other calls may always bring such."""
        return bool(self._dirty or self._events)

    @property
    def is_dirty(self) -> bool:
        """Whether `take_dirty` or `take_closing` has something; other calls may always bring such."""
        return bool(self._dirty)  # a transport that is let go is dirty, too

    def take_dirty(self) -> list[int]:
        """Transports for which `pull` may have something, since the last call."""
        dirty, self._dirty = list(self._dirty), {}
        return dirty

    def take_closing(self) -> list[int]:
        """Transports to drain and close, after they were pulled once more."""
        closing = self.link.take_closing() + self._lobby.take_closing()
        if self._closing:
            closing, self._closing = self._closing + closing, []
        return closing

    def events(self) -> list[Event]:
        """What happened since the last call, in order."""
        events, self._events = self._events, []
        return events

    def _mark_dirty(self, transport: int) -> None:
        self._dirty[transport] = None

    # --- for senders and receivers -----------------------------------------------------------------------------

    def emit(self, event: Event) -> None:
        """Tell the application."""
        self._events.append(event)

    def touch(self) -> None:
        """There may be something to write."""
        self.link.touch()

    def dropped(self, reason: str) -> None:
        """Something was dropped that belongs to no receiver."""
        self.link.statistics.drops.add(reason)

    def overwhelmed(self, text: str) -> None:
        """More is to be remembered of sessions than memory allows (CC-SESS-070, 071)."""
        self._overwhelmed = text

    def sender_gone(self, sender: SenderSession) -> None:
        """A sender has ended. Whether that ends leaving, too, is looked at when the packet is done."""

    # --- from the link -----------------------------------------------------------------------------------------

    def link_received(self, link: Link, frame: Frame, lane: Lane, now: int) -> None:
        """Steps 8 to 19 for a frame; see `link.Host`."""
        if isinstance(frame, frames.Data):
            judge_data = judging.judge_group_data if self._peer is None else judging.judge_peer_data
            if not judge_data(frame, self.roster):
                self.dropped("unknown_sender")
                return
            self._receivers.data(frame, now)
        elif isinstance(frame, frames.Roster):
            self._receive_roster(frame)
        else:
            assert isinstance(frame, frames.Control)
            judge = judging.judge_group_control if self._peer is None else judging.judge_peer_control
            own = judge(frame, self.roster)
            if self._peer is not None:  # what a relay writes, others have caused (CC-LIMIT-022)
                link.check_rate(now)
            if own:
                self._senders.control(frame)
            elif isinstance(frame, frames.Close):
                self._receivers.close(frame, now)
            else:
                assert isinstance(frame, frames.Fail)
                self._receivers.fail(frame)

    def link_received_plain(self, link: Link, packet: bytes, offset: int, now: int) -> tuple[int, int]:
        """The short way of Reliable messages without blocks; see `link.Host`.

        Of a session that is known and open, in order, with credit. What this does is what `data` would do; a test
        compares them.
        """
        if len(packet) - offset < frames.DATA_HEADER:
            return 0, offset
        start, length, key, sequence = frames.unpack_header(packet, offset)
        session = self._receivers.by_key.get(key)
        if session is None:
            return 0, offset
        return session.plain_run(start, length, sequence, packet, offset, now)

    def _receive_roster(self, frame: frames.Roster) -> None:
        was_joined = self._joined
        if self._peer is not None and (was_joined or frame.epoch != 1 or frame.more):
            raise LinkFault(ErrorCode.EPOCH, "a peer-to-peer call has one ROSTER")
        self.roster.own_slot = self.link.slot
        entries = self.roster.apply(frame)
        if entries is None:
            return
        if self._peer is not None and (self.link.slot != 1 or self.roster.present != 0b11):
            raise LinkFault(ErrorCode.SLOT, "the roster of a peer-to-peer call has slots 0 and 1 (CC-ROSTER-072)")
        if not was_joined:
            if self.link.slot not in self.roster.members:
                raise LinkFault(ErrorCode.SLOT, "the snapshot lacks this endpoint (CC-ROSTER-017)")
            self._complete_join()
        else:
            for entry in entries:
                self._tell_change(entry)

    def _complete_join(self) -> None:
        self._joined = True
        self.emit(Joined(identity=self.identity, slot=self.roster.own_slot))
        for participant in self.participants:
            if not participant.is_self:
                self.emit(ParticipantJoined(participant=participant))

    def _tell_change(self, entry: RosterEntry) -> None:
        if entry.op == RosterOp.JOIN:
            self._receivers.slot_joined(entry.slot)
            self._senders.slot_joined(entry.slot)
        participant = self.roster.participant(entry.slot)
        if entry.op == RosterOp.JOIN:
            self.emit(ParticipantJoined(participant=participant))
        elif entry.op == RosterOp.LEAVE:
            self._receivers.slot_left(entry.slot)
            self.emit(ParticipantLeft(participant=participant, code=entry.reason))
        elif entry.op == RosterOp.SUSPENDED:
            self.emit(ParticipantSuspended(participant=participant))
        else:
            self.emit(ParticipantResumed(participant=participant))

    def link_waits(self, link: Link) -> bool:
        """Whether something may have to be written beside data; see `link.Host`."""
        return bool(self._control) or self._receivers.has_to_write

    def link_control(self, link: LinkLife, now: int) -> bytes | None:
        """The next control frame; see `link.Host`."""
        return self._control[0] if self._control else self._receivers.next_control()

    def link_control_written(self, link: LinkLife, now: int) -> None:
        """It was written; see `link.Host`."""
        frame = self.link_control(link, now)
        assert frame is not None
        if self._control:
            self._control.popleft()
            self.counting.write(frame)
        else:
            self.counting.write(frame, self._receivers, self._receivers.control_written())

    def link_credits(self, link: Link, room: int, now: int) -> bytes | None:
        """The next RECEIPT or CREDIT; see `link.Host`."""
        return self._receivers.next_credit(room)

    def link_changed(self, link: LinkLife, before: LinkState, now: int) -> None:
        """The link's state changed; see `link.Host`."""
        if link.is_dead:
            self._link_died(link)
        elif before is LinkState.ACTIVE:
            self._senders.suspended()
            self.emit(Suspended())
            self._tell_peer_suspended(suspended=True)
        elif link.is_active and before is not LinkState.CONNECTING:
            self.emit(Resumed())
            self._tell_peer_suspended(suspended=False)

    def _tell_peer_suspended(self, *, suspended: bool) -> None:
        """Between peers each sees for itself what a relay would tell (section 11.4)."""
        if self._peer is not None and self._joined:
            slot = 1 - self.roster.own_slot
            self.roster.members[slot].suspended = suspended
            peer = self.roster.participant(slot)
            self.emit(ParticipantSuspended(participant=peer) if suspended else ParticipantResumed(participant=peer))

    def _link_died(self, link: LinkLife) -> None:
        self.timers.cancel("leave")
        peer_left = self._peer is not None and link.ended_by_peer and link.end_code == ErrorCode.LEFT
        self._senders.link_died()
        self._receivers.link_died(ErrorCode.LEFT if peer_left else ErrorCode.LINK_LOST)
        if self._peer is not None and self._joined and not self._left:  # CC-PEER-020
            peer = self.roster.participant(1 - self.roster.own_slot)
            self.emit(ParticipantLeft(participant=peer, code=ErrorCode.LEFT if peer_left else ErrorCode.LOST))
        self._control.clear()
        code = ErrorCode.NONE if self._left else link.end_code
        self.emit(LinkEnded(code=code, reason=link.end_text, by_peer=link.ended_by_peer))

    def link_lane_changed(self, link: LinkLife, now: int) -> None:
        """Lossy sessions write on the other lane; see `link.Host`."""
        self._senders.lane_changed()

    def link_acked(self, link: Link, now: int) -> None:
        """An ACK came; see `link.Host`."""

    def link_dropped(self, link: Link, reason: str) -> None:
        """A packet of the lossy lane was dropped; see `link.Host`."""
        self.dropped(reason)

    # --- the acceptor of a peer-to-peer call -------------------------------------------------------------------

    def hello_received(self, transport: int, hello: Hello, lossy: bool, now: int) -> Refusal | None:
        """Judge a HELLO (section 9.4 and CC-PEER-003, 004); see `lobby.LobbyHost`."""
        assert self._peer is not None
        link = self.link
        if self._leaving or self._left:
            return Refusal(ErrorCode.NOT_ADMITTED, "this endpoint has left")
        if hello.resume:
            if link.state is LinkState.CONNECTING or link.is_dead or not compare_digest(hello.token, link.token):
                return Refusal(ErrorCode.RESUME_UNKNOWN, "no link is known by this token")
            code = link.judge_resume(hello)
            if code is None:
                link.resume(transport, hello, lossy=lossy, now=now)
                return None
            text = f"attempt {hello.attempt}, count {hello.received}"
            if code == ErrorCode.RESUME_MISMATCH:
                link.end(code, text, now)
            return Refusal(code, text)
        if link.state is not LinkState.CONNECTING:
            if not link.is_dead and not (hello.replace and compare_digest(hello.token, link.instance)):
                return Refusal(ErrorCode.CALL_FULL, "the peer's link lives")
            link.end(ErrorCode.REPLACED, "a newer link of the same endpoint", now)
            self._closing += link.take_closing()
            self._past_words |= link.take_last_words()
            self._receivers.start_anew()
            self._make_link(self._senders)
        self._accept(transport, hello, lossy, now)
        return None

    def _accept(self, transport: int, hello: Hello, lossy: bool, now: int) -> None:
        assert self._peer is not None
        entries = (
            RosterEntry(RosterOp.JOIN, 0, identity=self._own_identity),
            RosterEntry(RosterOp.JOIN, 1, identity=self._peer.identity),
        )
        roster = frames.Roster(1, entries, snapshot=True)
        self._control.append(roster.encode())
        self.link.accept(
            transport, hello, slot=1, identity=self._peer.identity, token=self._entropy(16), lossy=lossy, now=now
        )
        self.roster.own_slot = 0
        self.roster.apply(roster)
        self._complete_join()

    def rest_of_packet(self, transport: int, packet: bytes, offset: int, now: int) -> None:
        """Nothing but BYE may follow HELLO in its packet (CC-LINK-019); see `lobby.LobbyHost`."""
        try:
            kind, *_ = decoding.read_start(packet, offset)
        except FrameError as fault:
            self.link.end(fault.code, str(fault), now)
            return
        if kind == FrameType.BYE:
            self.link.receive(Lane.RELIABLE, packet, now, offset)
        else:
            self.link.end(ErrorCode.HANDSHAKE, "a frame behind HELLO", now)

    def link_dropped_unbound(self, reason: str) -> None:
        """A packet of an unbound transport was dropped; see `lobby.LobbyHost`."""
        self.dropped(reason)
