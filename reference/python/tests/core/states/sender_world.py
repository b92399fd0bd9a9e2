# SPDX-License-Identifier: Apache-2.0
"""A sender session under test: how it gets into each state, and how each effect of section 5.13 shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from callchannel.core import frames as wire
from callchannel.core.errors import CallChannelError, ErrorCode, WouldBlock, error_name
from callchannel.core.events import (
    CustodyLost,
    MessageConfirmed,
    MessageFailed,
    MessagesConfirmed,
    RecipientFailed,
    SenderEnded,
    SenderFailed,
)
from callchannel.core.extensions import Metadata
from callchannel.core.lanes import Lane
from callchannel.core.limits import MS
from callchannel.core.messages import Confirm, Reliability
from callchannel.core.sender import Cancelled, CancelOutcome
from tests.core.scripted import Script, control, in_group, welcome, with_peer

SMALL = b"s" * 1_120
"""One frame that leaves no room for another in its packet: 1,136 bytes of 1,150."""
BIG = {"reliable": b"b" * 40_000, "lossy": b"b" * 3_000}
"""Three fragments."""
MARK = b"the new one" + b"!" * 1_109
CHANNEL = 7


@dataclass
class Look:
    """A sender at one moment."""

    state: str
    waiting: int
    bytes: int
    drops: dict[str, int]
    next_sequence: int
    statistics: Any


class SenderWorld:
    """One sender, and the relay or peer of its endpoint. `way` is `reliable` or `lossy`, and a variant of the row."""

    def __init__(self, variant: str) -> None:
        self.kind, _, self.how = variant.partition("-")
        self.peer = False
        self.script: Script
        self.sender = 0
        self.head = 0
        """The sequence of the message that is partly written, or is next."""
        self.stuck = False
        """Whether the next message waits for credit."""
        self.codes: dict[str, str] = {}
        self.then: tuple[str, ...] = ()
        self.vacuous: set[str] = set()
        self.beside: set[str] = set()
        self.checks: list[Callable[[], None]] = []
        self.reason: tuple[str, int] | None = None
        """Under which reason something is dropped, and how many."""
        self.outcome: Any = None
        self.error: CallChannelError | None = None
        self.offered = ""
        self.frames: list[Any] = []
        self.later: list[Any] = []
        self.events: list[Any] = []
        self.first: Look
        self.last: Look
        self.next_state = ""

    # --- arranging ---------------------------------------------------------------------------------------------

    @property
    def endpoint(self) -> Any:
        return self.script.machine

    @property
    def lossy(self) -> bool:
        return self.kind == "lossy"

    @property
    def session(self) -> Any:
        """The session itself: tests look at its next number, and set it where 4 billion sends would."""
        return self.endpoint._senders.get(self.sender)

    @property
    def state(self) -> str:
        return self.endpoint.sender_info(self.sender).state.value

    def arrange(
        self,
        state: str,
        *,
        base: str = "OPEN",
        ending: str = "closed",
        written: bool = True,
        setup: Callable[[], Any] | None = None,
        partial: Callable[[], Any] | None = None,
        limits: dict[str, int] | None = None,
        welcomed: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """Bring a sender into a state.

        `base`: what a CLOSING or ENDED one was before. `ending`: how it ended: closed, replaced, left, failed, dead.
        `written`: whether a first message is written, and not acknowledged. `partial`: begins the partly written one;
        `setup` runs on the sender before it ends; `options` are those of `open_sender`.
        """
        make = with_peer if self.peer else in_group
        self.script = make(welcomed=welcomed, **(limits or {}))
        reliability = Reliability.LOSSY if self.lossy else Reliability.RELIABLE
        self.sender = self.endpoint.open_sender(self.now, channel=CHANNEL, reliability=reliability, **options)
        if written:
            self.send(SMALL)
            self.pull_all()
        if state == "PARTIAL" or base == "PARTIAL":
            self.head = (partial or self.begin)()
        if setup is not None:
            setup()
        if state in ("CLOSING", "ENDED"):
            self.end(ending, settle=state == "ENDED")
        self.script.events()

    def begin(self, payload: bytes | None = None) -> int:
        """A message of several fragments, three if nothing else is said, of which one is written."""
        sequence = self.send(BIG[self.kind] if payload is None else payload)
        self.pull_one()
        assert self.state == "PARTIAL"
        return sequence

    def begin_stream(self) -> int:
        """A stream with one chunk, which is written."""
        sequence = self.endpoint.open_stream(self.sender, self.now)
        self.endpoint.write_stream(self.sender, sequence, SMALL, self.now)
        self.pull_one()
        return sequence

    def block(self) -> None:
        """Use the window of 65,536 bytes up, so that the next message waits for credit."""
        while self.session._credit.limit - self.session._credit.written > len(SMALL):
            self.send(SMALL)
            self.pull_all()
        self.head = self.send(SMALL)
        self.stuck = True

    def end(self, ending: str, *, settle: bool) -> None:
        if ending == "closed":
            self.endpoint.close_sender(self.sender, self.now)
        elif ending == "replaced":
            self.endpoint.open_sender(self.now, channel=CHANNEL)
        elif ending == "left":
            self.endpoint.leave(self.now)
        elif ending == "failed":
            self.fail_all(1 if settle else 2)
            self.codes["REASON"] = "INTERNAL"
        else:
            self.kill()
            self.codes["REASON"] = "LINK_LOST"
        if settle and ending in ("closed", "replaced", "left"):
            self.pull_all()
            self.script.ack()

    # --- what happens ------------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        return self.script.now

    @property
    def lane(self) -> Lane:
        return Lane.LOSSY if self.lossy else Lane.RELIABLE

    def send(self, data: Any, **options: Any) -> int:
        return self.endpoint.send(self.sender, data, self.now, **options)

    def call(self, name: str, *args: Any, **options: Any) -> None:
        """The event is a call of the application."""
        self.offered = "send" if name in ("send", "write_stream") else "call"
        try:
            self.outcome = getattr(self.endpoint, name)(self.sender, *args, self.now, **options)
        except CallChannelError as error:
            self.error = error

    def give(self, kind: type[wire.Control], value: int, **fields: Any) -> None:
        """The event is a frame about this session."""
        self.offered = "frame"
        session = self.session.session or 1
        slots = {"sender": 1, "recipient": 0} if self.peer else {"sender": 2}
        self.script.give(control(kind, value, session, **(slots | fields)))

    def fail_all(self, value: int) -> None:
        fields = {"sender": 1, "recipient": 0} if self.peer else {}
        self.script.give(control(wire.Fail, value, self.session.session, reason=ErrorCode.INTERNAL, **fields))

    def fail_one(self, slot: int, value: int) -> None:
        self.give(wire.Fail, value, recipient=slot, reason=ErrorCode.CLOSED)

    def roster_leave(self, *slots: int) -> None:
        entries = tuple(wire.RosterEntry(wire.RosterOp.LEAVE, slot, ErrorCode.LEFT) for slot in slots)
        self.script.give(wire.Roster(4 + len(slots), entries))

    def kill(self) -> None:
        """The link dies."""
        self.script.give(wire.Bye(ErrorCode.GOING_AWAY))

    def pull_one(self, lane: Lane | None = None) -> None:
        """A pull for one packet, on the lane of the session's data if nothing else is said."""
        self.offered = "pull"
        self.frames = self._own(self.script.pull(1, lanes=[self.lane if lane is None else lane]))

    def pull_all(self) -> list[Any]:
        return self._own(self.script.pull())

    def _own(self, found: list[Any]) -> list[Any]:
        number = self.session.session
        return [frame for frame in found if isinstance(frame, wire.Data | wire.Close) and frame.session == number]

    def resume(self) -> None:
        """A new transport, and the handshake on it."""
        self.script.up()
        said = next(frame for frame in self.script.pull() if isinstance(frame, wire.Hello))
        self.script.give(welcome(said, slot=1 if self.peer else 2, received=self.script.counted, attempt=said.attempt))

    # --- looking -----------------------------------------------------------------------------------------------

    def look(self) -> Look:
        info = self.endpoint.sender_info(self.sender)
        counted = info.statistics
        return Look(
            info.state.value,
            counted.messages_waiting,
            counted.bytes_waiting,
            dict(counted.drops),
            self.session._next_sequence,
            counted,
        )

    def before(self) -> None:
        self.script.events()
        self.offered, self.outcome, self.error, self.frames = "", None, None, []
        self.first = self.look()

    def after(self) -> None:
        self.events = self.script.events()
        self.last = self.look()
        self.next_state = self.last.state
        frames = self.frames
        self.later = self.pull_all() if self.endpoint.link.is_active else []
        self.frames = frames

    def told(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind) and event.sender == self.sender]

    @property
    def quiet(self) -> bool:
        """Whether nothing happened at all."""
        return self.first == self.last and not self.events and not self.frames

    @property
    def dropped(self) -> int:
        return sum(self.last.drops.values()) - sum(self.first.drops.values())

    @property
    def failures(self) -> list[MessageFailed]:
        return self.told(MessageFailed)

    def data(self, found: list[Any], *, abort: bool = False) -> list[wire.Data]:
        return [
            frame
            for frame in found
            if isinstance(frame, wire.Data) and (frame.fragment is not None and frame.fragment.abort) == abort
        ]


def _drop(w: SenderWorld) -> bool:
    if w.offered == "frame":
        return w.first.state == "ENDED" and w.quiet
    if w.offered == "pull":
        return w.first.waiting > w.last.waiting and not w.data(w.frames) and not w.failures
    return w.offered == "send" and w.error is None and not _queue(w) and not _skip(w)


def _clear(w: SenderWorld) -> bool:
    return w.lossy and not w.offered and w.first.waiting > 0 and w.last.waiting == 0 and w.last.bytes == 0


def _close(w: SenderWorld) -> bool:
    found = [frame for frame in w.frames if isinstance(frame, wire.Close)]
    assert all((frame.value, frame.reason) == (w.last.next_sequence - 1, 0) for frame in found), "CC-SESS-018"
    return bool(found)


def _ended(w: SenderWorld) -> str | bool:
    found = w.told(SenderEnded)
    return error_name(found[0].code) if found else False


def _failed(w: SenderWorld) -> str | bool:
    found = w.told(SenderFailed)
    if not found:
        return False
    assert w.last.bytes == 0, "clear"
    assert not w.later, "CC-SESS-023"
    return error_name(found[0].code)


def _lost(w: SenderWorld) -> bool:
    if w.lossy or w.offered or not w.endpoint.link.is_dead:
        return False
    rows = [row for event in w.failures for row in (*event.report.failed, *event.report.unknown)]
    assert all(code == ErrorCode.LINK_LOST for _, code in rows)
    return bool(rows or w.told(CustodyLost))


def _number(w: SenderWorld) -> bool:
    return w.offered == "send" and isinstance(w.outcome, int) and w.outcome == w.first.next_sequence


def _queue(w: SenderWorld) -> bool:
    return any(MARK[:11] in frame.payload for frame in w.data(w.later))


def _raise(w: SenderWorld) -> str | bool:
    if w.error is None or isinstance(w.error, WouldBlock):
        return False
    assert w.quiet, "a call that raises has no other effect"
    return error_name(w.error.code)


def _record(w: SenderWorld) -> bool:
    if w.dropped:
        assert w.reason is not None, w.last.drops
        name, count = w.reason
        assert w.last.drops[name] - w.first.drops.get(name, 0) == count == w.dropped
    return w.dropped > 0 and not _shed(w)


def _settle(w: SenderWorld) -> str | bool:
    if w.told(RecipientFailed) or w.told(SenderFailed) or w.endpoint.link.is_dead:
        return False
    found = [event for event in w.failures if event.sequence == w.head and not event.refused]
    return error_name(found[0].code) if found and found[0].report.failed else False


def _shed(w: SenderWorld) -> bool:
    return w.last.drops.get("queue_full", 0) > w.first.drops.get("queue_full", 0)


def _skip(w: SenderWorld) -> bool:
    if w.offered != "send" or w.error is not None or w.dropped or w.last.waiting > w.first.waiting or _queue(w):
        return False
    found = w.told(MessageConfirmed)
    return w.lossy or bool(found and found[0].sequence == w.outcome and found[0].report.reached == ())


def _strip(w: SenderWorld) -> bool:
    found = [event for event in w.failures if event.code == ErrorCode.SENDER_CLOSED and event.sequence != w.head]
    return bool(found)


def _unknown(w: SenderWorld) -> bool:
    if isinstance(w.outcome, Cancelled):
        return w.outcome.outcome is CancelOutcome.UNKNOWN and bool(w.outcome.report.unknown)
    return any(event.report.unknown and event.code == ErrorCode.DEADLINE for event in w.failures)


def _cancelled(w: SenderWorld) -> bool:
    if not isinstance(w.outcome, Cancelled) or w.outcome.outcome not in (CancelOutcome.REMOVED, CancelOutcome.ABORTED):
        return False
    if not w.lossy:
        assert w.outcome.report.code == ErrorCode.CANCELLED
        assert not w.outcome.report.unknown
    return True


def _refuse(w: SenderWorld) -> bool:
    found = [event for event in w.failures if event.refused]
    assert all(event.code == ErrorCode.POLICY and not event.report.unknown for event in found)
    return bool(found)


OBSERVERS: dict[str, Callable[[SenderWorld], str | bool]] = {
    "abort": lambda w: bool(w.data(w.frames, abort=True)),
    "accept": lambda w: bool(w.told(MessagesConfirmed)),
    "bar": lambda w: bool(w.told(RecipientFailed)),
    "cancelled": _cancelled,
    "clear": _clear,
    "close": _close,
    "drop": _drop,
    "ended": _ended,
    "failed": _failed,
    "finish": lambda w: any(f.fragment and f.fragment.last and not f.fragment.total for f in w.data(w.later)),
    "giveup": lambda w: bool(w.data(w.later, abort=True)),
    "limit": lambda w: w.stuck and bool(w.data(w.later)),
    "lost": _lost,
    "number": _number,
    "queue": _queue,
    "raise": _raise,
    "receipt": lambda w: bool(w.told(MessageConfirmed)) and w.offered == "frame",
    "record": _record,
    "refuse": _refuse,
    "settle": _settle,
    "shed": _shed,
    "skip": _skip,
    "strip": _strip,
    "unknown": _unknown,
    "wait": lambda w: isinstance(w.error, WouldBlock) and w.quiet,
    "write": lambda w: bool(w.data(w.frames)),
}

LIFETIME = Metadata(lifetime=5 * MS)
DELIVERED = Confirm.DELIVERED
