# SPDX-License-Identifier: Apache-2.0
"""The cells of the link's state table (section 9.12) at an acceptor, a peer that is called.

What happens on a transport without a HELLO is no affair of the link that lives: then both are looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance import standard, wire
from callchannel_conformance.bench.links import Initiator
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal

_FAULT: Final = b"\x01\x01\x00\x04"
"""DATA of 4 bytes: FRAME_FORMAT."""

_SHORT_HELLO: Final = bytes.fromhex("4100000943414c4c00")
"""HELLO of 9 bytes: FRAME_FORMAT, also where a HELLO is due."""


class Scene:
    """An acceptor in one of the states; `other` is a further transport, without a HELLO yet."""

    def __init__(self, bench: Bench, state: str, *, resume_window: int | None = None) -> None:
        self.bench = bench
        limits: dict[str, Any] = {} if resume_window is None else {"limits": {"resume_window": resume_window}}
        self.machine = bench.peer("acceptor", peer_identity="ann", **limits)
        self.state = state
        self.far = Initiator(bench, self.machine, "ann")
        self.other = Initiator(bench, self.machine, "ann")
        if state != "CONNECTING":
            self.far.join()
        if state == "SUSPENDED":
            self.far.disconnect()
        if state == "DEAD":
            self.far.write(f.bye("GOING_AWAY"))
        self.before = self.far.transport
        self.machine.take()
        self.far.take()

    def unbound(self, *frames: f.Frame, raw: bytes | None = None) -> None:
        """Write something on a transport without a HELLO."""
        number = self.other.connect()
        packet = raw if raw is not None else b"".join(wire.encode_frame(frame, judge=False) for frame in frames)
        self.machine.op("receive", transport=number, lane="reliable", packet=packet.hex())

    def own(self, *frames: f.Frame, raw: bytes | None = None, lane: str = "reliable") -> None:
        """Write something on the link's transport, or the last that it had; without a link on an unbound one."""
        if self.state == "CONNECTING":
            self.unbound(*frames, raw=raw)
            return
        packet = raw if raw is not None else b"".join(wire.encode_frame(frame, judge=False) for frame in frames)
        self.machine.op("receive", transport=self.far.transports[-1], lane=lane, packet=packet.hex())

    def hello(self, **fields: Any) -> f.Frame:
        """A HELLO of the caller."""
        return f.hello(**{"token": self.far.instance, "identity": "ann", "attempt": 2, **fields})

    def resume(self, **fields: Any) -> f.Frame:
        """A HELLO that resumes."""
        known = {"token": self.far.token, "resume": True, "received": self.far.counted_in}
        return self.hello(**{**known, **fields})


def _down(scene: Scene) -> None:
    if scene.state == "CONNECTING":
        scene.other.connect()
        scene.other.disconnect()
    elif scene.far.transport is not None:
        scene.far.disconnect()
    else:
        scene.machine.op("transport_down", transport=scene.far.transports[-1])


def _silent(scene: Scene) -> None:
    scene.far.alive = False
    scene.bench.advance(15_050)


def _late_hello(scene: Scene) -> None:
    scene.other.connect()
    limit = scene.bench.client.hello().limits.get("unbound_time", {}).get("value", 10_000)
    scene.bench.advance(limit + 50)


def _window_over(scene: Scene) -> None:
    assert scene.far.welcome is not None
    scene.bench.advance(scene.far.welcome["resume_ms"] + 50)


def _detached_packet(scene: Scene) -> None:
    old = scene.far.transports[0]
    if scene.state == "ACTIVE":
        scene.far.resume()
        scene.before = None
    scene.machine.take()
    scene.far.take()
    packet = wire.encode_frame(f.bye("LEFT")).hex()
    scene.machine.op("receive", transport=old, lane="reliable", packet=packet)


EVENTS: Final[dict[str, Callable[[Scene], None]]] = {
    "L04": lambda s: void(s.other.connect()),
    "L06": _down,
    "L08": lambda s: void(s.machine.op("transport_down", transport=s.other.connect())),
    "L10": _silent,
    "L11": _silent,
    "L13": _late_hello,
    "L15": _window_over,
    "L16": lambda s: s.unbound(s.hello(attempt=1)),
    "L17": lambda s: s.unbound(s.hello(attempt=1, replace=True)),
    "L18": lambda s: s.unbound(s.hello(attempt=0 if s.state in ("CONNECTING", "DEAD") else 1)),
    "L19": lambda s: s.unbound(s.resume()),
    "L20": lambda s: s.unbound(s.resume(token=bytes(16))),
    "L22": lambda s: s.unbound(s.resume(attempt=1)),
    "L23": lambda s: s.unbound(s.resume(received=500)),
    "L24": lambda s: s.own(s.hello(attempt=9)),
    "L28": lambda s: s.own(f.welcome(slot=1, identity="ann")),
    "L30": lambda s: s.own(f.bye(0xF123)),
    "L32": lambda s: s.own(f.ack(0)),
    "L33": lambda s: s.own(f.data(reliable=False, sender=1), lane="lossy"),
    "L34": _detached_packet,
    "L36": lambda s: s.own(raw=_SHORT_HELLO if s.state == "CONNECTING" else _FAULT),
}


def void(value: object) -> None:
    """Nothing, whatever the value."""


_NOT_HERE: Final = {
    # A second call of the peer is refused while its link lives (CC-PEER-003); a fresh HELLO is no second one.
    ("L16", "ACTIVE"), ("L16", "SUSPENDED"), ("L24", "CONNECTING"), ("L17", "DEAD"),
    # An acceptor closes no transport as soon as it is up, so that none is detached before there is a link.
    ("L34", "CONNECTING"),
    # The lossy lane of an unbound transport is as deaf as it is.
    ("L33", "CONNECTING"), ("L33", "RESUMING"), ("L08", "RESUMING"), ("L34", "RESUMING"),
    # An acceptor has no link, and so no detached transport of it, before the first HELLO.
    ("L08", "CONNECTING"), ("L34", "CONNECTING"),
}  # fmt: skip


def _cells() -> list[Any]:
    return [
        pytest.param(row.id, state, id=f"{row.id}-{state}")
        for row in standard.state_rows().values()
        for state, cell in row.cells.items()
        if row.id in EVENTS and cell is not None and (row.id, state) not in _NOT_HERE
    ]


@positive("CC-LINK-064")
@negative("CC-LINK-064", "CC-LINK-021")
@pytest.mark.parametrize(("row", "state"), _cells())
def test_cell(bench: Bench, row: str, state: str) -> None:
    """The event has the effects, and leads to the state, that the table names."""
    cell = standard.state_rows()[row].cells[state]
    assert cell is not None
    effects, target = cell
    scene = Scene(bench, state, resume_window=0 if row == "L11" else None)
    EVENTS[row](scene)
    what = f"{row} in {state}"
    for effect in effects:
        _effect(scene, effect, f"{what}: {effect}")
    names = {effect.partition("(")[0] for effect in effects}
    told = {event["event"] for event in scene.machine.new_events("link_ended", "suspended", "resumed")}
    wanted = names & {"suspended", "resumed"} | ({"link_ended"} if "ended" in names else set())
    expect_equal(told, wanted, "CC-LINK-064", f"{what}: what the application is told of the link")
    # Where nothing lives, what is refused is a transport, and no link.
    if state != "CONNECTING" or target == "ACTIVE":
        target = "ACTIVE" if "newlink" in names else target
        expect_equal(scene.machine.look()["link"], target, "CC-LINK-064", f"{what}: the next state")


def _effect(scene: Scene, effect: str, what: str) -> None:
    far, other, machine = scene.far, scene.other, scene.machine
    name, _, argument = effect.rstrip(")").partition("(")
    reason = "FRAME_FORMAT" if scene.state in ("CONNECTING", "DEAD") else "CALL_FULL"
    code: Any = {"FAULT": "FRAME_FORMAT", "PEER": 0xF123, "REASON": reason}.get(argument, argument)
    if name == "refuse":
        byes = [frame["code"] for frame in other.new("BYE")]
        expect_equal(byes, [f.bye(code)["code"]], "CC-LINK-064", what)
        expect(other.transports[-1] in other.closed, "CC-LINK-064", f"{what}: its transport is closed")
    elif name == "bye":
        byes = [frame["code"] for frame in far.new("BYE")]
        expect_equal(byes, [f.bye(code)["code"]], "CC-LINK-064", what)
        expect(scene.before in far.closed, "CC-LINK-054", f"{what}: the transport is closed behind it")
    elif name == "ended":
        codes = [event["code"] for event in machine.new_events("link_ended")]
        expect_equal(codes, [code], "CC-LINK-064", what)
    elif name in ("welcome", "newlink"):
        expect_equal(len(other.new("WELCOME")), 1, "CC-LINK-064", what)
    elif name == "roster":
        expect_equal(len(other.new("ROSTER")), 1, "CC-LINK-064", what)
    elif name == "close":
        number = scene.before if scene.before is not None else other.transports[-1]
        expect(number in far.closed | other.closed, "CC-LINK-064", what)
    elif name == "detach" and scene.before is not None and other.transports:
        expect(scene.before in far.closed, "CC-LINK-006", what)
    elif name in ("hold", "discard"):
        closed = set(other.transports[-1:]) & other.closed
        written = [frame for frame in (*far.inbox, *other.inbox) if frame["type"] != "ACK"]
        expect(not written and (name == "discard" or scene.state == "DEAD" or not closed), "CC-LINK-064", what)
