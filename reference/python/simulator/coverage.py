# SPDX-License-Identifier: Apache-2.0
"""Which cells of the state tables were hit (chapters 5 and 9), as far as that shows from outside.

States and events are derived from packets, commands and events, as the judge is: never from a machine's fields, the
public `Endpoint.state` excepted. Where an outside look can't tell rows apart, they are one here.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from simulator import wire
from simulator.codes import DEADLINE, IDLE, LEFT, LINK_LOST, LOST
from simulator.records import Hub, Inc, Message, Sender
from simulator.required import REQUIRED

if TYPE_CHECKING:
    from simulator.links import LinkRecord
    from simulator.network import Cable, Node

Cell = tuple[str, str, str]


def acceptor_state(inc: Inc) -> str:
    """The state of an endpoint's link at its relay."""
    if not inc.joined:
        return "CONNECTING"
    if inc.left or inc.hub.dead:
        return "DEAD"
    return "SUSPENDED" if inc.suspended else "ACTIVE"


def sender_state(sender: Sender) -> str:
    """The state of a sender."""
    if sender.ended:
        return "ENDED"
    if sender.closed or sender.failed is not None:
        return "CLOSING"
    return "PARTIAL" if sender.partial is not None else "OPEN"


class Coverage:
    """Counts hits."""

    def __init__(self) -> None:
        self.hits: Counter[Cell] = Counter()
        self._partial: dict[tuple[Inc, Sender], bool] = {}
        self._over: dict[tuple[Inc, Sender], str] = {}
        self._detached: set[tuple[Inc, Sender]] = set()
        self._link: dict[Inc, str] = {}

    def _hit(self, machine: str, event: str, state: str) -> None:
        self.hits[machine, event, state] += 1

    # --- links ---------------------------------------------------------------------------------------------------

    def up(self, cable: Cable, end: int) -> None:
        """A transport comes up."""
        inc = cable.ends[0].inc
        assert inc is not None
        if end:
            if inc.hub.is_relay:
                self._hit("link", "L04 A transport up", acceptor_state(inc))
            return
        state = cable.ends[0].machine.state.value
        row = (
            "L01 I transport up, none current" if state == "SUSPENDED" or cable.number == 1 else "L01/02 I transport up"
        )
        self._hit("link", row, state)

    def let_go(self, cable: Cable, end: int, *, down: bool) -> None:
        """A transport is down, or a machine has let go of it."""
        node = cable.ends[end]
        if not down:
            return
        inc = cable.ends[0].inc
        assert inc is not None
        if end == 0:
            self._hit("link", "L05 I own transport down", node.machine.state.value)
        elif inc.hub.is_relay:
            self._hit("link", "L06 A own transport down", acceptor_state(inc))

    def arrives(self, link: LinkRecord, cable: Cable, end: int, frames: list[wire.Frame]) -> None:
        """A packet is taken."""
        inc = link.inc
        state = acceptor_state(inc) if end and inc.hub.is_relay else cable.ends[end].machine.state.value
        side = "A" if end else "I"
        for frame in frames:
            if frame.kind == wire.HELLO:
                kind = "resume" if frame.flags & 1 else "fresh, REPLACE" if frame.flags & 2 else "fresh"
                self._hit("link", f"A HELLO {kind}", state)
            elif frame.kind == wire.WELCOME:
                self._hit("link", "L25 I WELCOME, fits", state)
                state = "ACTIVE"
            elif frame.kind == wire.BYE:
                self._hit("link", f"L29/30 {side} BYE", state)
            elif frame.kind == wire.DATA and not frame.flags & wire.RELIABLE:
                self._hit("link", "L33 Lossy DATA", state)
            else:
                self._hit("link", f"L31/32 {side} other frame", state)
        if inc.hub.is_relay:
            for frame in frames:
                self._session_frame(inc, end, frame)

    # --- commands ------------------------------------------------------------------------------------------------

    def command(self, node: Node, name: str, arguments: tuple[Any, ...], error: Exception | None) -> None:
        """A command was called."""
        inc = node.inc
        assert inc is not None
        link = node.machine.state.value
        raised = f", raises {type(error).__name__}" if error is not None else ""
        if name == "leave":
            self._hit("link", "L47/48 leave", self._link.get(inc, "ACTIVE") if link == "DEAD" else link)
        elif name == "open_sender":
            self._hit("link", f"L44-46 open a sender{raised}", link)
        elif name in ("send", "open_stream", "write_stream", "finish_stream", "cancel", "close_sender"):
            sender = inc.senders.get(arguments[0])
            if sender is None:
                return
            kind = "Reliable" if sender.reliable else "Lossy"
            state = sender_state(sender)
            if name == "close_sender":
                state = "CLOSING" if state == "CLOSING" and sender.close_written else state
            if name == "cancel":
                message = sender.messages.get(arguments[1])
                name = f"cancel, {self._progress(message)}"
            self._hit("sender", f"{kind}: {name}{raised}", state)
            if name == "send":
                self._hit("link", f"L39-43 send {kind}{raised}", link)

    @staticmethod
    def _progress(message: Message | None) -> str:
        if message is None or message.outcome is not None:
            return "settled"
        return "wholly written" if message.whole else "partly written" if message.begun else "unwritten"

    # --- frames of sessions --------------------------------------------------------------------------------------

    def wrote(self, link: LinkRecord, end: int, frames: list[wire.Frame]) -> None:
        """An endpoint writes: what its senders do at a pull."""
        inc = link.inc
        if end or not inc.hub.is_relay:
            return
        for frame in frames:
            if frame.kind not in (wire.DATA, wire.CLOSE) or isinstance(frame, wire.Roster | wire.Plain):
                continue
            sender = inc.sessions.get(frame.session)
            if frame.sender != inc.slot or sender is None:
                continue
            if isinstance(frame, wire.Control):
                self._hit("sender", "pull: CLOSE", sender_state(sender))
                continue
            what = "ABORT" if frame.abort else "whole" if not frame.flags & wire.FRAGMENT else "fragment"
            if what == "fragment":
                what = "last fragment" if frame.last else "first fragment" if not frame.place else "fragment"
            self._hit("sender", f"pull: {what}", sender_state(sender))
            sender.partial = sender.messages.get(frame.sequence) if not frame.last and not frame.abort else None

    def _session_frame(self, inc: Inc, end: int, frame: wire.Frame) -> None:
        if not isinstance(frame, wire.Data | wire.Control) or end:
            return
        if frame.sender == inc.slot:
            sender = inc.sessions.get(frame.session)
            if sender is not None and isinstance(frame, wire.Control):
                which = " for all" if frame.kind == wire.FAIL and frame.recipient == wire.NOBODY else ""
                self._hit("sender", f"{wire.NAMES[frame.kind]}{which}", sender_state(sender))
            return
        owner = inc.hub.slots.get(frame.sender)
        sender = owner.sessions.get(frame.session) if owner is not None else None
        if sender is None:
            return
        state = self.receiver_state(inc, sender)
        table = "receiver, Reliable" if sender.reliable else "receiver, Lossy"
        key = (inc, sender)
        if isinstance(frame, wire.Data):
            what = "ABORT" if frame.abort else "whole message" if not frame.flags & wire.FRAGMENT else "next fragment"
            if what == "next fragment" and not frame.place:
                what = "fragment 0"
            elif what == "next fragment" and frame.last:
                what = "last fragment"
            self._hit(table, what, state)
            if sender.reliable:
                self._partial[key] = not (frame.last or frame.abort)
            self._detached.discard(key)
        elif frame.kind == wire.CLOSE:
            reason = "LEFT or LOST" if frame.reason in (LEFT, LOST) else "by its owner"
            self._hit(table, f"CLOSE {reason}", state)
            self._over[key] = "closed"
            self._partial.pop(key, None)
        elif frame.kind == wire.FAIL:
            self._hit(table, "FAIL", state)
            self._over.setdefault(key, "failed")
            self._partial.pop(key, None)

    def receiver_state(self, inc: Inc, sender: Sender) -> str:
        """The state of a session at a reader."""
        key = (inc, sender)
        is_open = any(item.sender is sender and not item.closed for item in inc.receivers.values())
        over = self._over.get(key)
        if over is not None:
            return "DRAINING" if is_open else "DEAD"
        if inc in sender.own:
            return "DRAINING" if is_open else "DEAD"
        if key in self._detached:
            return "DETACHED"
        if self._partial.get(key):
            return "PARTIAL"
        return "OPEN" if is_open else "NONE"

    # --- events --------------------------------------------------------------------------------------------------

    def event(self, hub: Hub, node: Node, name: str, event: Any) -> None:
        """A machine tells something; the judge's records are those of before."""
        inc = node.inc
        if inc is None:
            if name == "EndpointSuspended":
                self._hit("link", "L06/10 A transport lost", "ACTIVE")
            elif name == "EndpointResumed":
                self._hit("link", "L19 A resumed", "SUSPENDED")
            elif name == "EndpointLeft":
                self._hit("link", f"A ended {event.code:04X}", acceptor_state(hub.slots[event.participant.slot]))
            return
        if name == "Suspended":
            self._hit("link", "L05/09 I suspended", "ACTIVE")
            self._sessions(inc, "link suspended")
            self._link[inc] = "SUSPENDED"
        elif name == "Resumed":
            self._hit("link", "L25 I resumed", "RESUMING")
            self._sessions(inc, "link resumed")
            self._link[inc] = "ACTIVE"
        elif name == "LinkEnded":
            self._hit(
                "link", f"I ended {event.code:04X}", self._link.get(inc, "ACTIVE" if inc.told_joined else "CONNECTING")
            )
        elif name == "SenderEnded":
            sender = inc.senders[event.sender]
            self._hit("sender", "link dead" if event.code == LINK_LOST else "ended", sender_state(sender))
        elif name == "ReceiverClosed":
            receiver = inc.receivers[event.receiver]
            table = "receiver, Reliable" if receiver.sender.reliable else "receiver, Lossy"
            self._hit(table, f"closed {event.code:04X}", self.receiver_state(inc, receiver.sender))
            if event.code == IDLE:
                self._detached.add((inc, receiver.sender))
        elif name == "MessageFailed" and event.code == DEADLINE and event.report.unknown:
            self._hit("sender", "S44 deadline for delivered over", sender_state(inc.senders[event.sender]))

    def _sessions(self, inc: Inc, what: str) -> None:
        for sender in inc.senders.values():
            self._hit("sender", f"{'Reliable' if sender.reliable else 'Lossy'}: {what}", sender_state(sender))
        for receiver in inc.receivers.values():
            if not receiver.closed:
                table = "receiver, Reliable" if receiver.sender.reliable else "receiver, Lossy"
                self._hit(table, what, self.receiver_state(inc, receiver.sender))


def missing(hits: Counter[Cell]) -> list[Cell]:
    """Which cells that have to be hit were not."""
    never: list[Cell] = []
    for table, rows in REQUIRED.items():
        for event, states in rows.items():
            never += [(table, event, state) for state in states if not hits[table, event, state]]
    return never
