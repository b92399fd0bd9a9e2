# SPDX-License-Identifier: Apache-2.0
"""A session at a final recipient under test: how it gets into each state, and how each effect of section 5.14 shows.

Receiver sessions are not public; their state is looked up in the endpoint's collection. All else is what the
application is told, what it reads, what is written, and what statistics say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from callchannel.core import frames as wire
from callchannel.core.errors import CallChannelError, ErrorCode, StreamAborted, error_name
from callchannel.core.events import ReceiverClosed, ReceiverCreated, ReceiverReadable
from callchannel.core.lanes import Lane
from callchannel.core.messages import Message
from tests.core.scripted import SECOND, Script, data, in_group, lossy, welcome, with_peer

SLOT = 0
SESSION = 5
CHANNEL = 7
BODY = 16_360
"""Payload of a fragment in a full packet."""


@dataclass
class Look:
    """A session at one moment."""

    state: str
    unread: list[int]
    partial: bool
    bytes: int
    drops: dict[str, int]
    readable: bool
    """Whether the next read finds something."""


class ReceiverWorld:
    """One session of Ann's, at Carol's endpoint."""

    def __init__(self, variant: str, row: str, *, is_lossy: bool) -> None:
        self.how = variant
        self.row = row
        self.lossy = is_lossy
        self.peer = False
        self.script: Script
        self.next = 1
        """The sequence of the next message that is given."""
        self.offered = 0
        """The sequence of the frame that is the event."""
        self.can_drop = False
        """Whether the event is a frame that may be dropped."""
        self.loss = "discard"
        """What it is called when messages are thrown away: discard, dropfrom or clear."""
        self.complete = False
        self.closes = False
        """Whether nothing follows behind the event."""
        self.ended: str | None = None
        """With what the session has ended, if it has."""
        self.pending = False
        """Whether a RECEIPT is due and not written."""
        self.fail_value = 0
        self.gives_up = 0
        """The sequence of the message that is to be given up."""
        self.filled = 0
        self.object: Any = None
        self.codes: dict[str, str] = {}
        self.then: tuple[str, ...] = ()
        self.vacuous: set[str] = set()
        self.beside: set[str] = set()
        self.checks: list[Callable[[], None]] = []
        self.reason: tuple[str, int] | None = None
        self.outcome: Any = None
        self.error: CallChannelError | None = None
        self.events: list[Any] = []
        self.frames: list[Any] = []
        self.drained: list[int] = []
        self.drained_end: str | None = None
        self.given_up = False
        self.aborted = False
        """Whether the reader of a stream was told that it was given up."""
        self.first: Look
        self.last: Look
        self.next_state = ""
        self.final_state = ""

    # --- arranging ---------------------------------------------------------------------------------------------

    def begin(self, **limits: int) -> None:
        """Join a call, in which nothing of the session has come."""
        make = with_peer if self.peer else in_group
        self.script = make(**({"idle_close": SECOND} | limits))

    def arrange(
        self,
        state: str,
        *,
        unread: int = 0,
        partial: bool | None = None,
        stream: bool = False,
        begun: bool = False,
        complete: bool = False,
        receiver: bool = True,
        limits: dict[str, int] | None = None,
        joined: bool = False,
    ) -> None:
        """Bring a session into a state.

        `unread`: so many messages are there unread. `partial`: one is begun (by default where the state says so), as a
        `stream` if that is set, of which the application has taken what is there if it is `begun`. `complete`: nothing
        follows (DRAINING). `receiver`: whether there is one (LINGER).
        """
        if not joined:
            self.begin(**(limits or {}))
        if state == "NONE":
            self.script.events()
            return
        if state == "LINGER" and not receiver and self.how == "close alone":
            self.give(wire.Close(SLOT, 0xFFFF, SESSION, 1))
            self.ended = "NONE"
        else:
            self.arrange_open(
                state, unread, state == "PARTIAL" if partial is None else partial, stream, begun, receiver
            )
            self.finish_arranging(state, complete)
        self.script.events()

    def arrange_open(self, state: str, unread: int, partial: bool, stream: bool, begun: bool, receiver: bool) -> None:
        self.message(flags=wire.CONFIRM if not self.lossy else 0)
        self.read()
        self.pending = not self.lossy
        if state == "DETACHED" or not receiver:
            self.pull()
            self.script.wait(SECOND)
            assert self.state == "DETACHED"
            self.pending = False
        for _ in range(unread):
            self.message(flags=wire.CONFIRM if not self.lossy else 0)
        if partial:
            self.begin_partial(stream=stream)
            if begun:
                self.begin_reading()
                self.checks.append(self.check_told_aborted)

    def finish_arranging(self, state: str, complete: bool) -> None:
        if state == "DRAINING" and complete:
            self.give(wire.Close(SLOT, 0xFFFF, SESSION, self.next - 1, 0xF001))
            self.complete, self.ended = True, "0xF001"
        elif state in ("DRAINING", "DEAD") and self.peer:
            self.give(data(SESSION, self.next, channel=CHANNEL + 1))
            self.ended = "SESSION_MISMATCH"
        elif state in ("DRAINING", "DEAD"):
            self.fail_from(self.next)
            self.ended = "OVERRUN"
        elif state == "LINGER":
            self.give(wire.Close(SLOT, 0xFFFF, SESSION, 1, 0xF001))
            self.ended = "0xF001"
        if state == "DEAD":
            self.pull()
            self.pending = False

    def message(self, **fields: Any) -> int:
        """One more whole message of one frame."""
        self.give(self.frame(self.next, **fields))
        self.next += 1
        return self.next - 1

    def begin_partial(self, *, stream: bool = False) -> int:
        """A message of which the first fragment has come."""
        self.give(self.fragment(self.next, 0, stream=stream))
        self.next += 1
        return self.next - 1

    def begin_reading(self) -> None:
        """Read what is unread, and the beginning of the stream behind it."""
        while not (found := self.read()) or not found.is_stream:
            assert found is not None
        assert self.endpoint.read_stream(self.receiver, self.now) is not None

    def fail_from(self, value: int, code: int = ErrorCode.OVERRUN) -> None:
        recipient = 1 if self.peer else 2
        self.give(wire.Fail(SLOT, recipient, SESSION, value, code))

    # --- frames ------------------------------------------------------------------------------------------------

    def frame(self, sequence: int, payload: bytes = b"hi", **fields: Any) -> wire.Data:
        """A DATA frame of the session."""
        flags = fields.pop("flags", 0) | (0 if self.lossy else wire.RELIABLE)
        session = fields.pop("session", SESSION)
        make = lossy if self.lossy else data
        return make(session, sequence, payload, flags=flags, **fields)

    def fragment(
        self, sequence: int, index: int, *, of: int = 3, stream: bool = False, abort: bool = False, **fields: Any
    ) -> wire.Data:
        """A fragment of a message of three of 600 bytes, or its ABORT."""
        total = fields.pop("total", 0 if stream else 600 * of)
        payload = fields.pop("payload", b"" if abort else bytes([index]) * 600)
        last = fields.pop("last", index == of - 1 and not abort)
        return self.frame(sequence, payload, fragment=wire.Fragment(index, total, last, abort), **fields)

    def give(self, *frames: Any) -> None:
        lane = Lane.LOSSY if all(isinstance(f, wire.Data) and not f.reliable for f in frames) else Lane.RELIABLE
        self.script.give(*frames, lane=lane)

    def offer(self, frame: wire.Data) -> None:
        """The event is a DATA frame."""
        self.offered, self.can_drop = frame.sequence, True
        self.give(frame)

    def pull(self) -> list[Any]:
        """The frames about the session that are written."""
        return [
            frame
            for frame in self.script.pull()
            if isinstance(frame, wire.Control) and (frame.sender, frame.session) == (SLOT, SESSION)
        ]

    def occupant_changes(self) -> None:
        """The owner's slot gets another occupant, without a CLOSE before."""
        left = wire.RosterEntry(wire.RosterOp.LEAVE, SLOT, ErrorCode.LOST)
        joined = wire.RosterEntry(wire.RosterOp.JOIN, SLOT, 0, "zoe")
        self.script.give(wire.Roster(6, (left, joined)))

    def fill(self, sessions: int, size: int = BODY) -> None:
        """One message in each of so many other sessions of Ann's, which begin with number 101."""
        for number in range(self.filled, sessions):
            self.give(data(101 + number, 1, bytes(size), channel=200 + number))
        self.filled = sessions

    def check_memory(self) -> None:
        """The bytes that are accounted for are those that are there."""
        receivers = self.endpoint._receivers
        sessions = {*receivers._sessions.values(), *receivers.by_number.values()}
        assert self.endpoint.statistics().bytes_buffered == sum(session.bytes_buffered for session in sessions)
        for session in sessions:
            held = sum(item.bytes_held for item in session.unread)
            assert session.bytes_buffered >= held >= 0
            assert session.is_partial or session.bytes_buffered == held

    # --- the application ---------------------------------------------------------------------------------------

    @property
    def endpoint(self) -> Any:
        return self.script.machine

    @property
    def now(self) -> int:
        return self.script.now

    @property
    def session(self) -> Any:
        receivers = self.endpoint._receivers
        found = receivers._sessions.get((SLOT, SESSION))
        if found is not None and found.owner.identity == "ann":
            return found
        alive = (s for s in receivers.by_number.values() if (s.slot, s.session) == (SLOT, SESSION))
        return next(alive, None)

    @property
    def state(self) -> str:
        session = self.session
        return "NONE" if session is None else session.state.value

    @property
    def receiver(self) -> int:
        return [event.receiver for event in self.script.of(ReceiverCreated) if event.session == SESSION][-1]

    def read(self) -> Message | None:
        return self.endpoint.read(self.receiver, self.now)

    def call(self, name: str) -> None:
        """The event is a call of the application."""
        try:
            self.outcome = getattr(self.endpoint, name)(self.receiver, self.now)
        except CallChannelError as error:
            self.error = error

    # --- looking -----------------------------------------------------------------------------------------------

    def look(self) -> Look:
        session = self.session
        drops = dict(self.endpoint.statistics().drops)
        if session is None:
            return Look("NONE", [], False, 0, drops, False)
        unread = [item.message.sequence for item in session.unread if item.ended and not item.aborted]
        return Look(
            session.state.value, unread, session.is_partial, session.bytes_buffered, drops, session._is_readable()
        )

    def before(self) -> None:
        self.script.events()
        self.object = self.session
        self.cut_before = self.object is not None and self.object.is_cut
        if self.ended is not None:
            self.codes["END"] = self.ended
        self.first = self.look()

    def after(self) -> None:
        self.events = [
            event
            for event in self.script.events()
            if not isinstance(event, ReceiverCreated | ReceiverReadable | ReceiverClosed) or self.is_own(event.receiver)
        ]
        self.last = self.look()
        self.next_state = self.last.state
        self.check_memory()
        self.object = self.object or self.session
        self.had_receiver = self.session is not None and self.session.receiver is not None
        if self.gives_up:
            before = self.look().drops.get("duplicate", 0)
            self.give(self.frame(self.gives_up))
            self.given_up = self.look().drops.get("duplicate", 0) > before
        self.drain()
        if not self.endpoint.link.is_active and not self.endpoint.link.is_dead:
            self.resume()
        self.frames = self.pull()
        self.final_state = self.state

    def is_own(self, receiver: int) -> bool:
        return any(e.receiver == receiver and e.session == SESSION for e in self.script.of(ReceiverCreated))

    def drain(self) -> None:
        """Read everything that is there, and see with what the receiver closes."""
        if not self.had_receiver:
            return
        receiver = self.receiver
        sequence = 0
        try:
            while True:
                message = self.endpoint.read(receiver, self.now)
                if message is None:
                    unread = self.session.unread if self.session is not None else ()
                    if not unread or not unread[0].started:
                        break
                    sequence = unread[0].message.sequence
                elif not message.is_stream:
                    self.drained.append(message.sequence)
                    continue
                else:
                    sequence = message.sequence
                while (chunk := self.endpoint.read_stream(receiver, self.now)) is not None and not chunk.last:
                    pass
                if chunk is None:
                    break
                self.drained.append(sequence)
        except StreamAborted:
            self.aborted = True
        except CallChannelError:
            pass  # closed behind the last one
        closed = [event for event in self.script.events() if isinstance(event, ReceiverClosed)]
        self.drained_end = error_name(closed[0].code) if closed else None

    def check_told_aborted(self) -> None:
        """A stream of which something was read was thrown away: its reader is told ABORTED (CC-FRAG-028)."""
        try:
            found = self.endpoint.read_stream(self.receiver, self.now) if not self.aborted else None
        except StreamAborted as error:
            assert error.code == ErrorCode.ABORTED
        else:
            assert self.aborted, f"the reader gets {found}"

    def resume(self) -> None:
        self.script.up()
        said = next(frame for frame in self.script.pull() if isinstance(frame, wire.Hello))
        self.script.give(welcome(said, slot=1 if self.peer else 2, received=self.script.counted))

    def told(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def quiet(self) -> bool:
        """Whether nothing happened to the session but drops."""
        before, after = self.first, self.last
        return (before.unread, before.partial, before.bytes) == (after.unread, after.partial, after.bytes) and not (
            self.told(ReceiverCreated) or self.told(ReceiverClosed) or self.told(ReceiverReadable)
        )

    @property
    def receipts(self) -> list[Any]:
        return [frame for frame in self.frames if isinstance(frame, wire.Receipt)]

    @property
    def lost(self) -> list[int]:
        """Whole messages that were unread and were not handed out."""
        handed = self.outcome.sequence if isinstance(self.outcome, Message) else 0
        return [s for s in self.first.unread if s not in self.drained and s != handed]
