# SPDX-License-Identifier: Apache-2.0
"""Every cell of the link's state table (section 9.12) at an endpoint that initiates.

What is expected comes from the table itself: the cell's effects are looked for one by one, and the next state is asked.
Cells of an acceptor are in `test_link_acceptor`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance import standard
from callchannel_conformance.bench.links import EPOCH, MEMBERS, Acceptor
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.client import Reply
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import NotApplicable, expect, expect_equal

_FAULT: Final = b"\x01\x01\x00\x04"
"""DATA of 4 bytes: FRAME_FORMAT."""


_SHORT_WELCOME: Final = b"\x42\x00\x00\x05\x00"
"""WELCOME of 5 bytes: FRAME_FORMAT, also where a WELCOME is due."""


class Scene:
    """An endpoint in one of the states, and what an event did to it."""

    def __init__(self, bench: Bench, state: str, *, resume_ms: int = 30_000) -> None:
        self.bench = bench
        self.machine = bench.endpoint()
        self.far = Acceptor(bench, self.machine)
        self.state = state
        self.before: int | None = None
        self.event_transport: int | None = None
        self.reply = Reply()
        self.sender = 0
        far = self.far
        far.members, far.peer_slot, far.epoch = dict(MEMBERS), 2, EPOCH
        if state == "CONNECTING":
            far.connect()
            far.receive_hello()
        elif state != "NEW":
            far.join(resume_ms=resume_ms)
            self.sender = self.machine.do("open")["sender"]
            self.lossy = self.machine.do("open", reliability="lossy")["sender"]
        if state in ("SUSPENDED", "RESUMING"):
            far.disconnect()
        if state == "RESUMING":
            far.connect()
            far.receive_hello(resume=True)
        if state == "DEAD":
            far.write(f.bye("KICKED" if "KICKED" in standard.codes() else "GOING_AWAY"))
        self.machine.take()
        far.take()
        self.before = far.transport

    def raw(self, packet: bytes, lane: str = "reliable", transport: int | None = None) -> None:
        """Deliver a packet, on the current transport or the last that was."""
        number = transport if transport is not None else self.far.transport or self.far.transports[-1]
        self.machine.op("receive", transport=number, lane=lane, packet=packet.hex())

    def welcome(self, **fields: Any) -> None:
        """Deliver a WELCOME as it is, active from then on if it is taken."""
        far = self.far
        known: dict[str, Any] = {"slot": 2, "identity": "me", "attempt": max(far.attempt, 1), **fields}
        if self.state in ("CONNECTING", "RESUMING"):
            far.active = True
        self.raw(_bytes(f.welcome(**known)))

    def silent(self, seconds: float) -> None:
        """Let time pass without a packet from the far side."""
        self.far.alive = False
        self.bench.advance(seconds * 1000)


def _bytes(*frames: f.Frame) -> bytes:
    from callchannel_conformance import wire  # noqa: PLC0415

    return b"".join(wire.encode_frame(frame, judge=False) for frame in frames)


def _up(scene: Scene) -> None:
    scene.event_transport = scene.far.connect()


def _down(scene: Scene) -> None:
    if scene.far.transport is None:
        scene.machine.op("transport_down", transport=scene.far.transports[-1])
    else:
        scene.far.disconnect()


def _detached_down(scene: Scene) -> None:
    number = scene.far.transports[-1] if scene.far.transport is None else _detach(scene)
    scene.machine.op("transport_down", transport=number)


def _detach(scene: Scene) -> int:
    """Make the machine detach a transport by resuming on another, or by bringing up one too many."""
    if scene.state == "CONNECTING":
        return scene.far.connect(detach=False)
    old = scene.far.transport
    assert old is not None
    scene.far.connect()
    hello = scene.far.receive_hello(resume=True)
    if scene.state == "ACTIVE":
        scene.far.take_up(hello)
    scene.machine.take()
    scene.far.take()
    scene.before = scene.far.transport
    return old


def _detached_packet(scene: Scene) -> None:
    number = scene.far.transports[0] if scene.far.transport is None else _detach(scene)
    scene.raw(_bytes(f.bye("LEFT")), transport=number)


def _command(scene: Scene, op: str, **members: Any) -> None:
    scene.reply = scene.machine.op(op, **members)


def _send(kind: str) -> Callable[[Scene], None]:
    def event(scene: Scene) -> None:
        sender = scene.sender if kind == "reliable" else getattr(scene, "lossy", 0)
        _command(scene, "send", sender=sender, data="6869")

    return event


def _full(scene: Scene) -> None:
    """Fill the send buffer before the event."""
    if scene.state == "ACTIVE":
        scene.far.hold()
    if scene.state != "DEAD":
        for _ in range(4000):
            reply = scene.machine.op("send", sender=scene.sender, data="00" * 16_000)
            if reply.raised is not None:
                break
    _command(scene, "send", sender=scene.sender, data="00" * 16_000)


def _open_after_leave(scene: Scene) -> None:
    if scene.state == "DEAD":
        # Dead because it was left: another endpoint, which leaves at once.
        scene.machine = Scene(scene.bench, "SUSPENDED").machine
    elif scene.state == "ACTIVE":
        scene.machine.do("send", sender=scene.sender, data="6869")
    scene.machine.do("leave")
    scene.machine.take()
    _command(scene, "open")


def _leave(scene: Scene) -> None:
    if scene.state == "ACTIVE":
        scene.machine.do("send", sender=scene.sender, data="6869")
        scene.far.take()
    _command(scene, "leave")


def _leave_again(scene: Scene) -> None:
    _leave(scene)
    scene.machine.take()
    scene.far.take()
    _command(scene, "leave")


def _drained(scene: Scene) -> None:
    _leave(scene)
    scene.far.ack()
    if scene.far.transport is not None:
        scene.far.ack()


def _leave_time(scene: Scene) -> None:
    _leave(scene)
    limit = scene.bench.client.hello().limits.get("leave_time", {}).get("value", 60_000)
    scene.bench.advance(limit + 50)


def _wait_resume(scene: Scene) -> None:
    if scene.state == "RESUMING":
        # A transport that comes too late: silence must not end it first.
        scene.far.disconnect()
        scene.bench.advance(28_000)
        scene.far.connect()
        scene.far.receive_hello(resume=True)
        scene.before = scene.far.transport
        scene.machine.take()
        scene.bench.advance(2_100)
    else:
        scene.bench.advance(30_050)


EVENTS: Final[dict[str, Callable[[Scene], None]]] = {
    "L01": _up,
    "L02": _up,
    "L03": _up,
    "L05": _down,
    "L07": _down,
    "L08": _detached_down,
    "L09": lambda s: s.silent(15.05),
    "L11": lambda s: s.silent(15.05),
    "L12": lambda s: s.silent(s.bench.client.hello().limits.get("join_time", {}).get("value", 60_000) / 1000 + 0.05),
    "L14": _wait_resume,
    "L24": lambda s: s.raw(_bytes(f.hello(identity="x"))),
    "L25": lambda s: s.welcome(received=s.far.counted_in if s.state == "RESUMING" else 0),
    "L26": lambda s: s.welcome(attempt=99),
    "L27": lambda s: s.raw(bytes.fromhex("4200000600020000"[:12])),
    "L29": lambda s: s.raw(_bytes(f.bye(0xF123))),
    "L51": lambda s: s.raw(_bytes(f.bye("TIMEOUT"))),
    "L31": lambda s: s.raw(_bytes(f.ack(0))),
    "L33": lambda s: s.raw(_bytes(f.data(reliable=False)), "lossy"),
    "L34": _detached_packet,
    "L35": lambda s: s.raw(_FAULT if s.state == "ACTIVE" else _SHORT_WELCOME),
    "L39": _send("reliable"),
    "L40": _send("reliable"),
    "L41": _full,
    "L42": _send("lossy"),
    "L43": _send("lossy"),
    "L44": lambda s: _command(s, "open"),
    "L45": lambda s: _command(s, "open"),
    "L46": _open_after_leave,
    "L47": _leave,
    "L48": _leave_again,
    "L49": _drained,
    "L50": _leave_time,
}

_FAULT_CODE: Final[dict[str, str | int]] = {"FAULT": "FRAME_FORMAT", "PEER": 0xF123}
_NOT_HERE: Final = {
    # Nothing can be sent before the snapshot by a sender that does not exist.
    ("L39", "*"), ("L42", "*"),
    # Here the machine can't be in the state, or the event is another row's.
    ("L46", "CONNECTING"), ("L44", "DEAD"), ("L44", "ACTIVE"), ("L44", "SUSPENDED"), ("L44", "RESUMING"),
    ("L48", "CONNECTING"),
}  # fmt: skip
_KEEPS_STATE: Final = frozenset({"L46", "L48"})
"""Rows whose event needs another event before, which may change the state."""


def _cells() -> list[Any]:
    found = []
    for row in standard.state_rows().values():
        if row.id not in EVENTS:
            continue
        for state, cell in row.cells.items():
            if cell is None or (row.id, state) in _NOT_HERE or (row.id, "*") in _NOT_HERE:
                continue
            found.append(pytest.param(row.id, state, id=f"{row.id}-{state}"))
    return found


@positive("CC-LINK-064")
@negative("CC-LINK-064")
@pytest.mark.parametrize(("row", "state"), _cells())
def test_cell(bench: Bench, row: str, state: str) -> None:
    """The event has the effects, and leads to the state, that the table names."""
    cell = standard.state_rows()[row].cells[state]
    assert cell is not None
    effects, target = cell
    if (row, state) == ("L33", "ACTIVE"):
        effects = ()
    resume_ms = 0 if row in ("L03", "L07", "L11") and state != "CONNECTING" else 30_000
    scene = Scene(bench, "NEW" if (row, state) == ("L01", "CONNECTING") else state, resume_ms=resume_ms)
    EVENTS[row](scene)
    for effect in effects:
        _effect(scene, row, effect)
    if not effects and row not in ("L25", "L33", "L34"):
        seen = [
            event for event in scene.machine.new_events() if event["event"] in ("link_ended", "suspended", "resumed")
        ]
        expect(not seen, "CC-LINK-064", f"{row} has no effect in {state}", actual=seen)
    if row not in _KEEPS_STATE:
        expect_equal(scene.machine.look()["link"], target, "CC-LINK-064", f"{row} in {state}: the next state")


def _effect(scene: Scene, row: str, effect: str) -> None:
    far, machine = scene.far, scene.machine
    name, _, argument = effect.rstrip(")").partition("(")
    what = f"{row} in {scene.state}: {effect}"
    if name == "bye":
        code = _FAULT_CODE.get(argument, argument)
        byes = far.new("BYE")
        expect(byes, "CC-LINK-064", what, expected=f.bye(code), actual=list(far.inbox))
        expect_equal(byes[-1]["code"], f.bye(code)["code"], "CC-LINK-064", what)
        expect(scene.before in far.closed, "CC-LINK-054", f"{what}: the transport has to be closed behind BYE")
    elif name == "ended":
        ended = machine.new_events("link_ended")
        code = _FAULT_CODE.get(argument, argument)
        expect_equal([event["code"] for event in ended], [code], "CC-ERR-025", what)
    elif name in ("suspended", "resumed"):
        expect_equal(len(machine.new_events(name)), 1, "CC-LINK-064", what)
    elif name == "hello":
        expect_equal([hello["resume"] for hello in far.new("HELLO")], [argument == "RESUME"], "CC-LINK-064", what)
    elif name == "close":
        number = scene.event_transport if scene.event_transport is not None else scene.before
        expect(number in far.closed, "CC-LINK-064", what)
    elif name == "detach":
        if scene.before is not None and far.transport is not None:
            expect(scene.before in far.closed, "CC-LINK-006", what)
    elif name.startswith("raise "):
        code = name.removeprefix("raise ")
        raised = scene.reply.raised
        if scene.state == "DEAD" and row == "L39":
            raise NotApplicable("no sender can exist")
        expect_equal(None if raised is None else raised.code, code, "CC-LINK-064", what)
    elif name == "wait":
        raised = scene.reply.raised
        expect_equal(None if raised is None else raised.code, "WOULD_BLOCK", "CC-LINK-064", what)
    elif name in ("queue", "open"):
        expect_equal(scene.reply.raised, None, "CC-LINK-064", what)
    elif name in ("drop", "discard"):
        expect_equal(scene.reply.raised, None, "CC-LINK-064", what)
        expect(not machine.new_events("link_ended", "receiver_created"), "CC-LINK-064", what, actual=machine.events)
    elif name == "drain":
        expect(far.new("CLOSE"), "CC-LINK-060", "leaving closes the senders", actual=list(far.inbox))
        expect(not far.new("BYE"), "CC-LINK-060", "leaving waits for the acknowledgement")
