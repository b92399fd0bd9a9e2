# SPDX-License-Identifier: Apache-2.0
"""Every cell of the receiver's state tables (section 5.14), Reliable and Lossy, at an endpoint of a group call.

What is expected comes from the tables. Rows on memory, streams and receivers without streams are in other modules.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance import standard
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.receiver_scene import FIRST, PARTIAL, Scene
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal

Event = Callable[[Scene], None]

_SLOT: Final = 2
_PRIVATE_EXTENSION: Final = (0x7001, b"", True)


def _wrong_order(scene: Scene) -> None:
    if scene.partial is not None:
        scene.data(60)
    elif scene.last:
        scene.data(1)
    else:
        scene.data(60, fragment=(1, 6, False))


def _contradiction(scene: Scene) -> None:
    if scene.partial is not None:
        scene.data(PARTIAL, fragment=(1, 7, False))
    else:
        scene.data(60, b"abc", fragment=(0, 3, False))


def _too_large(scene: Scene) -> None:
    assert scene.far.hello is not None
    scene.data(60, fragment=(0, scene.far.hello["largest_message"] + 1, False))


def _rejoin(scene: Scene) -> None:
    scene.far.change(f.leave(0, "LOST"))
    scene.machine.take()
    scene.far.take()
    scene.far.change(f.join(0, "eve"))


def _break(scene: Scene) -> None:
    scene.far.disconnect()
    scene.far.resume()


def _idle(scene: Scene) -> None:
    limit = scene.bench.client.hello().limits.get("idle_close", {}).get("value", 120_000)
    scene.bench.advance(limit + 50)


def _read(scene: Scene) -> None:
    if scene.receiver is not None:
        scene.read()


def _close_receiver(scene: Scene) -> None:
    scene.machine.op("close_receiver", receiver=scene.receiver or 0)


RELIABLE: Final[dict[str, Event]] = {
    "R02": lambda s: s.data(60, reliable=False, lane="lossy"),
    "R03": lambda s: s.data(60, channel=6),
    "R04": lambda s: s.data(60, channel=6),
    "R05": _wrong_order,
    "R06": _wrong_order,
    "R08": _too_large,
    "R09": _too_large,
    "R12": _contradiction,
    "R13": _contradiction,
    "R14": lambda s: s.data(60, extensions=[_PRIVATE_EXTENSION]),
    "R15": lambda s: s.data(60, extensions=[_PRIVATE_EXTENSION]),
    "R18": lambda s: s.data(40),
    "R19": lambda s: s.first_part(PARTIAL),
    "R20": lambda s: s.data(PARTIAL, b"b", fragment=(1, 6, False)),
    "R21": lambda s: s.last_part(PARTIAL),
    "R22": lambda s: s.far.write(f.abort(index=1, total=6, sequence=PARTIAL)),
    "R23": lambda s: s.far.write(f.close(9, reason="LEFT")),
    "R24": lambda s: s.far.write(f.close(9, reason="LOST")),
    "R25": lambda s: s.far.write(f.close(9)),
    "R26": lambda s: s.far.write(f.close(9)),
    "R27": lambda s: s.far.write(f.close(3)),
    "R28": lambda s: s.far.write(f.close(3)),
    "R29": lambda s: s.far.write(f.close(9)),
    "R30": lambda s: s.far.write(f.close(9)),
    "R31": lambda s: s.far.write(f.fail(3, "MEMORY", recipient=_SLOT)),
    "R32": lambda s: s.far.write(f.fail(6, "MEMORY", recipient=_SLOT)),
    "R33": lambda s: s.far.write(f.fail(3, "MEMORY", recipient=_SLOT)),
    "R35": _read,
    "R36": _read,
    "R37": _read,
    "R38": _read,
    "R39": _close_receiver,
    "R40": _close_receiver,
    "R41": _idle,
    "R42": _idle,
    "R43": lambda s: s.data(1, session=2),
    "R44": lambda s: s.far.change(f.leave(0)),
    "R45": _rejoin,
    "R46": _rejoin,
    "R47": lambda s: s.far.write(f.bye("GOING_AWAY")),
    "R48": lambda s: s.far.write(f.bye("GOING_AWAY")),
    "R49": _break,
}

LOSSY: Final[dict[str, Event]] = {
    "R50": lambda s: s.data(60, reliable=True, lane="reliable"),
    "R51": lambda s: s.data(60, reliable=True, lane="reliable"),
    "R52": lambda s: s.data(60, channel=6),
    "R54": lambda s: s.data(FIRST),
    "R56": lambda s: s.data(60, extensions=[_PRIVATE_EXTENSION]),
    "R59": lambda s: s.data(40),
    "R60": lambda s: s.data(40),
    "R61": lambda s: s.first_part(40),
    "R62": lambda s: s.first_part(40),
    "R63": lambda s: s.bench.advance(2_050),
    "R65": lambda s: s.far.write(f.close(9, reason="LEFT")),
    "R66": lambda s: s.far.write(f.close(9)),
    "R67": lambda s: s.far.write(f.fail(3, "MEMORY", recipient=_SLOT)),
    "R68": lambda s: s.far.write(f.fail(3, "MEMORY", recipient=_SLOT)),
    "R69": lambda s: s.bench.advance(550),
    "R70": lambda s: s.bench.advance(550),
    "R72": lambda s: s.data(1, session=2),
    "R73": lambda s: s.data(1, session=2),
    "R74": lambda s: s.data(1, session=2),
    "R75": _read,
    "R76": _read,
    "R77": _read,
    "R78": _close_receiver,
    "R79": _idle,
    "R80": _idle,
    "R81": lambda s: s.bench.advance(30_050),
    "R82": lambda s: s.far.change(f.leave(0)),
    "R83": _rejoin,
    "R84": _rejoin,
    "R85": _rejoin,
    "R86": lambda s: s.far.write(f.bye("GOING_AWAY")),
    "R87": lambda s: s.far.write(f.bye("GOING_AWAY")),
    "R88": lambda s: s.far.write(f.bye("GOING_AWAY")),
    "R89": _break,
}

_ELSEWHERE: Final = {
    # DETACHED and LINGER without a receiver have nothing that could be read or closed.
    ("R38", "DETACHED"), ("R38", "DEAD"), ("R40", "DETACHED"), ("R40", "DEAD"), ("R77", "DETACHED"), ("R77", "DEAD"),
    ("R78", "DETACHED"), ("R78", "DEAD"), ("R41", "DETACHED"), ("R41", "DEAD"), ("R79", "DETACHED"),
    # Takes a stream: `test_fragments`.
    ("R38", "DRAINING"),
    # LINGER lasts for 500 ms: these begin before it, or need a session without a receiver: `test_receiver_rows`.
    ("R79", "LINGER"), ("R80", "LINGER"), ("R63", "LINGER"), ("R59", "LINGER"), ("R61", "LINGER"), ("R74", "LINGER"),
    ("R85", "LINGER"), ("R88", "LINGER"), ("R89", "LINGER"),
    # FAIL of an unknown session has no receiver to tell: `test_validation`.
    ("R68", "NONE"),
    # `test_receiver_rows`; and a tombstone is over before `idle_close` is.
    ("R89", "DEAD"), ("R79", "DEAD"),
}  # fmt: skip


_REASONS: Final = {
    "R23": "LEFT", "R24": "LOST", "R29": "NONE", "R30": "NONE", "R32": "MEMORY", "R33": "MEMORY", "R65": "LEFT",
    "R66": "NONE", "R67": "MEMORY", "R68": "MEMORY",
}  # fmt: skip


def _cells(events: dict[str, Event]) -> list[Any]:
    return [
        pytest.param(row.id, state, id=f"{row.id}-{state}")
        for row in standard.state_rows().values()
        for state, cell in row.cells.items()
        if row.id in events and cell is not None and (row.id, state) not in _ELSEWHERE
    ]


def _arrange(bench: Bench, row: str, state: str, *, reliable: bool) -> Scene:
    text = standard.state_rows()[row].event
    scene = Scene(bench, reliable=reliable)
    complete = "session complete" in text
    unread = 1 if "something unread" in text or state == "DRAINING" else 0
    if "more unread" in text:
        unread = 2
    elif text.startswith("read the last") or (row in ("R42", "R80") and state == "OPEN"):
        unread = 1
    scene.reach(state, unread=unread, complete=complete, partial=row == "R63")
    return scene


@positive(
    "CC-SESS-067",
    "CC-SESS-036",
    "CC-SESS-054",
    "CC-SESS-056",
    "CC-SESS-042",
    "CC-SESS-043",
    "CC-SESS-044",
    "CC-SESS-047",
    "CC-SESS-048",
    "CC-SESS-050",
    "CC-SESS-057",
)
@negative(
    "CC-SESS-067",
    "CC-SESS-042",
    "CC-SESS-043",
    "CC-SESS-044",
    "CC-SESS-047",
    "CC-SESS-048",
    "CC-SESS-050",
    "CC-SESS-057",
    "CC-SESS-011",
    "CC-SESS-036",
    "CC-SESS-046",
    "CC-SESS-053",
    "CC-SESS-054",
    "CC-SESS-056",
)
@pytest.mark.parametrize(("row", "state"), _cells(RELIABLE))
def test_reliable(bench: Bench, row: str, state: str) -> None:
    """The event has the effects, and leads to the state, that the table names."""
    _judge(_arrange(bench, row, state, reliable=True), RELIABLE[row], row, state, "CC-SESS-067")


@positive("CC-SESS-068", "CC-SESS-038", "CC-SESS-058", "CC-SESS-045", "CC-SESS-049", "CC-SESS-040")
@negative(
    "CC-SESS-068",
    "CC-SESS-040",
    "CC-SESS-045",
    "CC-SESS-049",
    "CC-SESS-051",
    "CC-DELIV-071",
    "CC-SESS-038",
    "CC-SESS-058",
    "CC-SESS-053",
)
@pytest.mark.parametrize(("row", "state"), _cells(LOSSY))
def test_lossy(bench: Bench, row: str, state: str) -> None:
    """The event has the effects, and leads to the state, that the table names."""
    _judge(_arrange(bench, row, state, reliable=False), LOSSY[row], row, state, "CC-SESS-068")


def _judge(scene: Scene, event: Event, row: str, state: str, requirement: str) -> None:
    cell = standard.state_rows()[row].cells[state]
    assert cell is not None
    effects, target = cell
    before = scene.far.counted_in
    if row in ("R33", "R68", "R67"):
        scene.unread = [number for number in scene.unread if number < 3] if row == "R33" else scene.unread
    event(scene)
    what = f"{row} in {state}"
    for effect in effects:
        _effect(scene, row, effect, f"{what}: {effect}", requirement)
    written = [frame for frame in scene.far.new("FAIL") if frame["sender"] == 0]
    if not any(effect.startswith("fail(") for effect in effects):
        expect(not written, requirement, f"{what}: no FAIL is written", actual=written)
    closed = scene.machine.new_events("receiver_closed", receiver=scene.receiver)
    if not any(effect.startswith("closed(") for effect in effects) and state != "NONE":
        expect(not closed, requirement, f"{what}: the receiver stays open", actual=closed)
    if row in ("R47", "R48", "R86", "R87", "R88"):
        expect_equal(scene.machine.look()["link"], "DEAD", requirement, what)
        if target == "DRAINING":
            scene.end_code = scene.end_code or "LINK_LOST"
            _drain_dead(scene, what)
        return
    if row in ("R43", "R72", "R73", "R74") and target not in ("DRAINING",):
        scene.machine.take()
    if row in ("R45", "R46", "R83", "R84", "R85") and target == "NONE":
        scene.probe("NONE", requirement, what)
        return
    if target == "DRAINING" and row in ("R25", "R27", "R23", "R29", "R45"):
        scene.end_code = (
            scene.end_code or {"R25": "SEQUENCE", "R27": "SEQUENCE", "R23": "LEFT", "R29": "NONE", "R45": "LOST"}[row]
        )
    if row in ("R45", "R83"):
        _drain_dead(scene, what)
        return
    if row in ("R63", "R62", "R61", "R19", "R20") and target in ("OPEN", "PARTIAL"):
        _probe_partial(scene, row, requirement, what, target)
        return
    if row == "R51" and target == "DEAD" and scene.reliable is False:
        scene.probe("DEAD", requirement, what)
        return
    scene.probe(target, requirement, what)
    assert scene.far.counted_in >= before


def _drain_dead(scene: Scene, what: str) -> None:
    """Unread messages stay readable when nothing can come any more."""
    for sequence in scene.unread:
        message = scene.read()
        expect(
            message is not None and message["sequence"] == sequence, "CC-LINK-059", f"{what}: {sequence} is readable"
        )
    closed = scene.machine.new_events("receiver_closed")
    expect_equal([event["code"] for event in closed], [scene.end_code or "LOST"], "CC-SESS-036", what)


def _probe_partial(scene: Scene, row: str, requirement: str, what: str, target: str) -> None:
    if row == "R63":
        # Given up: its last fragment completes nothing.
        scene.last_part(PARTIAL)
        expect(not scene.machine.new_events("receiver_readable"), requirement, f"{what}: the message was given up")
        return
    if row == "R20":
        scene.data(PARTIAL, b"bb", fragment=(2, 6, True))
    else:
        scene.last_part(40 if row in ("R61", "R62") else PARTIAL)
    expect(scene.machine.new_events("receiver_readable"), requirement, f"{what}: the message completes", actual=target)


def _fail_value(scene: Scene, row: str) -> int:
    """The value of a FAIL by CC-SESS-042 to 045."""
    if not scene.reliable:
        return scene.last + 1
    if row in ("R39", "R40"):
        waiting = [*scene.unread, *([scene.partial] if scene.partial else [])]
        return min(waiting) if waiting else scene.last + 1
    if scene.partial is not None:
        return scene.partial
    if row in ("R27", "R28"):
        return scene.last + 1
    frame = 1 if row in ("R05", "R06") and scene.last else 60
    return max(frame, scene.last + 1)


def _effect(scene: Scene, row: str, effect: str, what: str, requirement: str) -> None:
    machine, far = scene.machine, scene.far
    name, _, argument = effect.rstrip(")").partition("(")
    if name == "fail":
        if scene.end_code is not None and row not in ("R39",):
            return
        fails = far.new("FAIL", session=1)
        expect_equal([frame["reason"] for frame in fails], [f.bye(argument)["code"]], requirement, what)
        value = _fail_value(scene, row)
        known = {"R25": "CC-SESS-043", "R27": "CC-SESS-043", "R26": "CC-SESS-043", "R28": "CC-SESS-043"}
        known |= dict.fromkeys(("R39", "R40"), "CC-SESS-044")
        number = known.get(row, "CC-SESS-042") if scene.reliable else "CC-SESS-045"
        expect_equal(fails[0]["value"], value, number, f"{what}: its value")
    elif name == "closed":
        closed = machine.new_events("receiver_closed", receiver=scene.receiver)
        code = {"REASON": _REASONS.get(row), "END": scene.end_code, "LINKEND": "LINK_LOST"}.get(argument, argument)
        expect_equal([event["code"] for event in closed], [code], requirement, what)
    elif name == "end":
        code = {"REASON": _REASONS.get(row), "LINKEND": "LINK_LOST"}.get(argument, argument)
        scene.end_code = scene.end_code or code
        expect(not machine.new_events("receiver_closed", receiver=scene.receiver), "CC-SESS-036", what)
    elif name == "create":
        created = machine.new_events("receiver_created")
        expect_equal(len(created), 1, requirement, what)
        wanted = {"identity": "ann", "slot": 0, "channel": 5, "session": 1, "priority": "normal"}
        told = {key: created[0].get(key) for key in wanted}
        expect_equal(told, wanted, "CC-SESS-027", f"{what}: what the application is told")
        scene.receiver = created[0]["receiver"]
    elif name == "queue":
        if not scene.unread:
            expect_equal(len(machine.new_events("receiver_readable")), 1, "CC-SESS-029", what)
    elif name == "hand":
        expect(scene.read_value is not None, requirement, what)
        if scene.unread:
            scene.unread.pop(0)
    elif name in ("drop", "record"):
        expect(
            not machine.new_events("receiver_created", "receiver_readable"),
            requirement,
            what,
            actual=machine.new_events(),
        )
