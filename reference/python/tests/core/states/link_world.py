# SPDX-License-Identifier: Apache-2.0
"""A link under test, at an initiator, at the acceptor of a peer-to-peer call, and at a relay (section 9.12)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from callchannel.core import frames as wire
from callchannel.core.decoding import decode_packet, is_countable
from callchannel.core.endpoint import Endpoint, Peer
from callchannel.core.errors import CallChannelError, ErrorCode, WouldBlock, error_name
from callchannel.core.events import LinkEnded, Resumed, Suspended
from callchannel.core.lanes import Lane
from callchannel.core.limits import Limits
from callchannel.core.link import Link
from callchannel.core.messages import Reliability
from callchannel.core.relay import Admission, EndpointLeft, EndpointResumed, EndpointSuspended, Relay
from callchannel.core.sender import SenderState
from tests.core.scripted import MEMBERS, PLENTY, SECOND, counter_entropy, data, hello, joins, lossy, welcome

OTHER = b"O" * 16
"""An instance identifier of somebody else."""
PAYLOAD = b"p" * 500


class LinkWorld:
    """One link. The test is its other side, and everybody else."""

    def __init__(self, variant: str, row: str) -> None:
        who, _, self.how = variant.partition("-")
        self.who = who
        self.row = row
        self.now = SECOND
        self.numbers = 0
        self.own: int | None = None
        """The link's current transport; at an acceptor without a link, the unbound one."""
        self.old: int | None = None
        """A detached transport."""
        self.new = 0
        """The transport of the event."""
        self.others: set[int] = set()
        """Transports of others in a relay's call."""
        self.link: Link | None = None
        self.machine: Any = None
        self.counted: list[bytes] = []
        """Counted frames of the link, as they were first written."""
        self.received = 0
        """How many of them this side says to have got when it resumes."""
        self.senders: dict[bool, int] = {}
        self.codes: dict[str, str] = {}
        self.then: tuple[str, ...] = ()
        self.vacuous: set[str] = set()
        self.beside: set[str] = set()
        self.checks: list[Callable[[], None]] = []
        self.reason: tuple[str, int] | None = None
        self.outcome: Any = None
        self.error: CallChannelError | None = None
        self.offered = ""
        self.events: list[Any] = []
        self.closed: set[int] = set()
        self.written: dict[int, list[Any]] = {}
        self.next_state = ""

    # --- arranging ---------------------------------------------------------------------------------------------

    @property
    def is_initiator(self) -> bool:
        return self.who == "initiator"

    def make(self, **limits: int) -> None:
        if self.who == "relay":
            self.machine = Relay(entropy=counter_entropy(), limits=Limits(**limits), now=self.now)
            return
        peer = None if self.is_initiator else Peer(initiator=False, identity="ann")
        self.machine = Endpoint(
            entropy=counter_entropy(), identity="carol", limits=Limits(**limits), peer=peer, now=self.now
        )

    def arrange(
        self,
        state: str,
        *,
        transport: bool = True,
        joined: bool = True,
        resume_window: int = 30,
        limits: dict[str, int] | None = None,
    ) -> None:
        """Bring a link into a state.

        `transport`: whether one is up (CONNECTING). `joined`: whether the snapshot came (initiator). `resume_window`:
        seconds. Where the link was ACTIVE, counted frames are written, of which one is acknowledged.
        """
        given = {} if self.is_initiator else {"resume_window": resume_window * SECOND}
        self.make(**given, **(limits or {}))
        if transport:
            self.own = self.up()
        if state == "CONNECTING":
            self.pull()
            return
        self.shake_hands(joined, resume_window)
        if joined:
            self.write_something()
        if state != "ACTIVE":
            self.leave_active(state)
        self.machine.events()

    def shake_hands(self, joined: bool, resume_window: int) -> None:
        assert self.own is not None
        if self.is_initiator:
            (said,) = self.pull()
            self.give(welcome(said, resume_ms=1_000 * resume_window))
            if joined:
                self.give(wire.Roster(4, joins(*MEMBERS), snapshot=True))
            self.link = self.machine.link
        else:
            self.give(hello())
            self.find_link()
            self.pull()
        assert self.state == "ACTIVE"

    def find_link(self) -> None:
        """The link that a HELLO has begun."""
        self.link = self.machine._by_slot[0].link if self.who == "relay" else self.machine.link

    def write_something(self) -> None:
        """Counted frames: of this side's messages, or the roster's changes."""
        if self.who == "relay":
            for name in ("bob", "dan", "eve"):
                self.join_another(name)
                self.wait(60_000)
                self.pull()
        else:
            self.senders = {
                reliable: self.machine.open_sender(
                    self.now, reliability=Reliability.RELIABLE if reliable else Reliability.LOSSY
                )
                for reliable in (True, False)
            }
            for _ in range(3):
                self.machine.send(self.senders[True], PAYLOAD, self.now)
                self.pull()
        self.give(wire.Ack(1))
        self.received = 2

    def join_another(self, name: str) -> int:
        """Somebody else joins a relay's call."""
        transport = self.up(admission=Admission(identity=name))
        self.others.add(transport)
        self.give(hello(token=name.encode().ljust(16), identity=name), transport=transport)
        self.pull(transport)
        return transport

    def leave_active(self, state: str) -> None:
        if state == "DEAD":
            self.give(wire.Bye(ErrorCode.INTERNAL))
            self.old = self.own
            return
        self.lose()
        if state == "RESUMING":
            self.own = self.up()
            self.pull()

    # --- what happens ------------------------------------------------------------------------------------------

    def up(self, **options: Any) -> int:
        self.numbers += 1
        if self.who == "relay":
            options.setdefault("admission", Admission(identity="ann"))
        self.machine.transport_up(self.numbers, self.now, **options)
        self.new = self.numbers
        return self.numbers

    def lose(self) -> None:
        """The current transport goes."""
        assert self.own is not None
        self.machine.transport_down(self.own, self.now)
        self.old, self.own = self.own, None

    def give(self, *frames: Any, transport: int | None = None, lane: Lane = Lane.RELIABLE) -> None:
        transport = self.own if transport is None else transport
        packet = b"".join(frame if isinstance(frame, bytes) else frame.encode() for frame in frames)
        self.machine.receive(transport, lane, packet, self.now)

    def offer(self, *frames: Any, transport: int | None = None, lane: Lane = Lane.RELIABLE) -> None:
        """The event is a packet."""
        self.offered = "packet"
        transport = self.own if transport is None else transport
        if transport is None:
            transport = self.old  # of a dead link
        self.give(*frames, transport=transport, lane=lane)

    def call(self, name: str, *args: Any, **options: Any) -> None:
        """The event is a call of the application."""
        self.offered = name
        try:
            self.outcome = getattr(self.machine, name)(*args, self.now, **options)
        except CallChannelError as error:
            self.error = error

    def wait(self, duration: int) -> None:
        """Let time pass; nothing is said meanwhile."""
        end = self.now + duration
        for _ in range(10_000):
            due = self.machine.deadline()
            if due is None or due > end:
                self.now = end
                return
            self.now = max(self.now, due)
            self.machine.handle_timeout(self.now)
        raise AssertionError("a deadline that never passes")

    def keep_alive(self, duration: int) -> None:
        """Let time pass; the peer says the same ACK every few seconds."""
        while duration > 0:
            step = min(duration, 4 * SECOND)
            self.wait(step)
            duration -= step
            self.give(wire.Ack(1))

    def pull(self, transport: int | None = None) -> list[Any]:
        """What is written on a transport; counted frames of the link are kept."""
        transport = self.own if transport is None else transport
        found: list[Any] = []
        for lane in Lane:
            for packet in self.machine.pull(transport, lane, PLENTY, self.now):
                for frame in decode_packet(packet, lane):
                    found.append(frame)
                    encoded = frame.encode()
                    if lane is Lane.RELIABLE and is_countable(encoded[0], encoded[1]) and transport == self.own:
                        self.counted.append(encoded)
        return found

    def data(self) -> wire.Data:
        """A frame that this side may write at any time in an ACTIVE link, and that shows."""
        return data(9, channel=9, sender=self.peer_slot)

    def lossy(self) -> wire.Data:
        return lossy(9, channel=9, sender=self.peer_slot)

    @property
    def peer_slot(self) -> int:
        return {"initiator": 0, "acceptor": 1, "relay": 0}[self.who]

    def resume_hello(self, **fields: Any) -> wire.Hello:
        """A HELLO that resumes the link."""
        assert self.link is not None
        values = {"token": self.link.token, "attempt": 2, "received": self.received, "resume": True}
        return hello(**(values | fields))

    # --- looking -----------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        if self.link is None and not self.is_initiator:
            return "CONNECTING" if self.own in self.machine._lobby else "DEAD"
        link = self.link or self.machine.link
        return link.state.value

    def before(self) -> None:
        self.machine.events()
        self.machine.take_closing()
        self.first_state = self.state
        self.first_own = self.own
        self.first_waiting = self.count_waiting()
        self.first_drops = dict(self.machine.statistics().drops)
        self.first_counted = list(self.counted)
        self.first_applied = self.applied()
        self.first_received = self.link.counting.received if self.link else 0
        self.first_attempt = self.link.attempt if self.link else 0
        self.offered, self.outcome, self.error = "", None, None
        self.new = 0

    def after(self) -> None:
        self.events = self.machine.events()
        if self.link is None and not self.is_initiator and self.own not in self.machine._lobby:
            self.find_new_link()
        self.next_state = self.state
        self.drops = {
            name: count - self.first_drops.get(name, 0)
            for name, count in self.machine.statistics().drops.items()
            if count > self.first_drops.get(name, 0)
        }
        self.unbound = {n for n in range(1, self.numbers + 1) if not self.is_initiator and n in self.machine._lobby}
        self.waiting = self.count_waiting()
        self.written = {n: self.pull_of(n) for n in range(1, self.numbers + 1) if n not in self.others}
        self.closed = set(self.machine.take_closing())
        self.events += self.machine.events()

    def find_new_link(self) -> None:
        """The HELLO on the unbound transport began a link, if it was taken."""
        if self.who == "relay":
            port = self.machine._ports.get(self.own)
            self.link = port.link if port is not None else None
        elif self.machine.link.transport == self.own:
            self.link = self.machine.link

    def pull_of(self, transport: int) -> list[Any]:
        packets = [p for lane in Lane for p in self.machine.pull(transport, lane, PLENTY, self.now)]
        return [frame for packet in packets for frame in decode_packet(packet)]

    def count_waiting(self) -> int:
        if self.who == "relay":
            return 0
        infos = [self.machine.sender_info(sender) for sender in self.senders.values()]
        return sum(info.statistics.messages_waiting for info in infos)

    def applied(self) -> int:
        """How many sessions of the other side there are."""
        if self.who == "relay":
            return sum(link.sessions for link in self.machine.statistics().links)
        return self.machine.statistics().receivers_open

    def told(self, *kinds: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kinds)]

    def bye_on(self, transport: int | None) -> str | bool:
        """The code of BYE as the last frame on a transport that is closed."""
        frames = self.written.get(transport or 0, [])
        byes = [frame for frame in frames if isinstance(frame, wire.Bye)]
        if not byes:
            return False
        assert frames[-1] is byes[0], "CC-LINK-053"
        assert transport in self.closed
        return error_name(byes[0].code)

    def frames(self, kind: type[Any], transport: int) -> list[Any]:
        return [frame for frame in self.written.get(transport, []) if isinstance(frame, kind)]

    @property
    def current(self) -> int | None:
        link = self.link or (self.machine.link if self.is_initiator else None)
        return link.transport if link is not None else None

    @property
    def quiet(self) -> bool:
        return not (self.events or self.closed or self.drops or any(self.written.values()))


def _bye(w: LinkWorld) -> str | bool:
    refused_there = not w.is_initiator and w.first_state == "CONNECTING" and w.row != "L47"
    return False if refused_there else w.bye_on(w.first_own)


def _close(w: LinkWorld) -> bool:
    if w.offered == "bye":
        return w.first_own in w.closed and not w.bye_on(w.first_own)
    return bool(w.new and w.new in w.closed and not w.bye_on(w.new))


def _detach(w: LinkWorld) -> bool:
    if w.first_own is None or w.first_state not in ("ACTIVE", "RESUMING") or w.offered == "bye":
        return False
    gone = w.current != w.first_own and not w.bye_on(w.first_own)
    if gone:
        assert w.first_own in w.closed
        received = w.link.counting.received if w.link else 0
        w.give(w.data(), transport=w.first_own)
        assert (w.link.counting.received if w.link else 0) == received, "CC-LINK-006"
    return gone


def _discard(w: LinkWorld) -> bool:
    received = w.link.counting.received if w.link else 0
    same = (w.first_state, w.first_received, w.first_applied) == (w.next_state, received, w.applied())
    return w.offered == "packet" and w.quiet and same


def _dropped(w: LinkWorld) -> bool:
    if w.drops:
        assert w.drops == dict([w.reason] if w.reason else [])
    return bool(w.drops)


def _ended(w: LinkWorld) -> str | bool:
    found = w.told(LinkEnded, EndpointLeft)
    if not found or (w.link is None and not w.is_initiator and w.row != "L47"):
        return False
    assert len(found) == 1, "CC-ERR-025"
    return error_name(w.link.end_code if w.who == "relay" and w.link else found[0].code)


def _expected(w: LinkWorld) -> list[bytes]:
    return w.first_counted[w.received :]


def _rewritten(w: LinkWorld) -> list[bytes]:
    """Counted frames that were written on the link's new transport."""
    if w.current is None or (w.current == w.first_own and w.first_state != "RESUMING"):
        return []
    return [e for e in (f.encode() for f in w.written.get(w.current, [])) if is_countable(e[0], e[1])]


def _free(w: LinkWorld) -> bool:
    rewritten = _rewritten(w)
    if not rewritten or w.link is None or w.link.counting.unacked_bytes != sum(map(len, rewritten)):
        return False
    return not set(w.first_counted[: w.received]) & set(rewritten[: len(_expected(w))])


def _retransmit(w: LinkWorld) -> bool:
    rewritten, expected = _rewritten(w), _expected(w)
    return bool(expected) and rewritten[: len(expected)] == expected


def _hello(w: LinkWorld) -> str | bool:
    found = w.frames(wire.Hello, w.new)
    if not found:
        return False
    assert w.written[w.new] == found[:1], "CC-LINK-008"
    assert found[0].attempt > w.first_attempt, "CC-LINK-012"
    return "RESUME" if found[0].resume else "FRESH"


def _newlink(w: LinkWorld) -> bool:
    if w.current == w.new:
        return False
    return any(frame.token != (w.link.token if w.link else b"") for frame in w.frames(wire.Welcome, w.new))


def _welcome(w: LinkWorld) -> bool:
    found = w.frames(wire.Welcome, w.current or 0)
    if found:
        assert w.link is not None
        assert w.written[w.current][0] is found[0], "CC-LINK-022"
        assert (found[0].attempt, found[0].token) == (w.link.attempt, w.link.token)
        assert found[0].received == w.first_received, "CC-LINK-027, 029"
    return bool(found)


def _queue(w: LinkWorld) -> bool:
    return w.offered == "send" and isinstance(w.outcome, int) and w.waiting > w.first_waiting


def _raise(w: LinkWorld) -> str | bool:
    return error_name(w.error.code) if w.error is not None and not isinstance(w.error, WouldBlock) else False


def _roster(w: LinkWorld) -> bool:
    found = w.frames(wire.Roster, w.current or 0)
    return bool(found) and found[0].snapshot


def _drain(w: LinkWorld) -> bool:
    if w.offered != "leave" or w.next_state != "ACTIVE":
        return False
    states = [w.machine.sender_info(sender).state for sender in w.senders.values()]
    return all(state in (SenderState.CLOSING, SenderState.ENDED) for state in states)


OBSERVERS: dict[str, Callable[[LinkWorld], str | bool]] = {
    "apply": lambda w: w.applied() > w.first_applied,
    "bind": lambda w: w.current == w.new != 0,
    "bye": _bye,
    "close": _close,
    "detach": _detach,
    "discard": _discard,
    "drain": _drain,
    "drop": _dropped,
    "ended": _ended,
    "free": _free,
    "hello": _hello,
    "hold": lambda w: w.new in w.unbound,
    "newlink": _newlink,
    "open": lambda w: w.offered == "open_sender" and isinstance(w.outcome, int),
    "queue": _queue,
    "raise": _raise,
    "record": _dropped,
    "refuse": lambda w: w.bye_on(w.new or w.first_own) if not (_bye(w) and not w.new) else False,
    "resumed": lambda w: bool(w.told(Resumed, EndpointResumed)),
    "retransmit": _retransmit,
    "roster": _roster,
    "suspended": lambda w: bool(w.told(Suspended, EndpointSuspended)),
    "wait": lambda w: isinstance(w.error, WouldBlock),
    "welcome": _welcome,
}
