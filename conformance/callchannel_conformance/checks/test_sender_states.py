# SPDX-License-Identifier: Apache-2.0
"""Every cell of the sender's state table (section 5.13), Reliable and Lossy.

What is expected comes from the table: its effects change a model of what is still to be written, and what is written
afterwards, up to CLOSE, is compared with that. How the rows are driven is in `sender_rows`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance import standard
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.helpers import confirmed, failed, outcome, unsettled, verdict_of
from callchannel_conformance.checks.sender_rows import ROWS, reach
from callchannel_conformance.checks.sender_scene import BOB, FAULT, SenderScene, Waiting
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal

_TABLE: Final = "CC-SESS-066"

_RAISED: Final = {"S05": "INVALID_ARGUMENT", "S07": "WOULD_BLOCK", "S14": "WOULD_BLOCK"}
_OUTCOMES: Final = {"S39": "removed", "S40": "aborted", "S41": "aborted", "S42": "unknown", "S43": "settled"}

_NOT_SO: Final = {
    # The link's suspension clears a Lossy sender, so that none is PARTIAL when it resumes.
    ("S49", "PARTIAL", "lossy", ""),
    # Only a stream can be PARTIAL and have nothing to write.
    ("S28", "PARTIAL", "lossy", ""),
    # A sender that failed is CLOSING; it has ended where its link is dead.
    ("S02", "CLOSING", "reliable", "link"),
}


def _cells() -> list[Any]:
    cells = []
    for name, row in ROWS.items():
        for state, cell in standard.state_rows()[name].cells.items():
            if cell is None:
                continue
            for kind in ("reliable", "lossy"):
                for how in row.hows:
                    if kind[0].upper() in row.kinds and (name, state, kind, how) not in _NOT_SO:
                        label = "-".join(filter(None, (name, state, kind, how)))
                        cells.append(pytest.param(name, state, kind, how, id=label))
    return cells


@positive(_TABLE, "CC-SESS-016", "CC-SESS-022", "CC-SESS-024")
@negative(_TABLE, "CC-SESS-016", "CC-SESS-017", "CC-SESS-021", "CC-SESS-022", "CC-SESS-025", "CC-DELIV-037")
@pytest.mark.parametrize(("name", "state", "kind", "how"), _cells())
def test_cell(bench: Bench, name: str, state: str, kind: str, how: str) -> None:
    """The event has the effects, and leads to the state, that the table names."""
    row = ROWS[name]
    cell = standard.state_rows()[name].cells[state]
    assert cell is not None
    effects, target = cell
    scene = SenderScene(bench, reliable=kind == "reliable", peer=row.peer, window=row.window, limits=row.limits)
    scene.begin(**row.options)
    (row.arrange or reach)(scene, state, how)
    scene.clean()
    drops = _drops(scene)
    row.event(scene)
    what = f"{name} in {state}"
    for effect in effects:
        _effect(scene, name, effect, f"{what}: {effect}")
    if "record" in effects and target != "ENDED":
        after = _drops(scene)
        expect(after is None or drops is None or after > drops, "CC-DELIV-077", f"{what}: it is recorded", actual=after)
    if name in ("S28", "S22", "S30"):
        came = scene.far.take("DATA", "CLOSE")
        expect(not came, _TABLE, f"{what}: nothing is written", actual=came)
    if name == "S43":
        expect_equal(scene.reply.value.get("outcome"), "settled", "CC-DELIV-037", what)
    if "drop" in effects and scene.lane == "reliable":
        told = scene.machine.new_events()
        expect(not told, _TABLE, f"{what}: nobody is told of a frame that is dropped", actual=told)
    scene.probe(target, _TABLE, what)


def _drops(scene: SenderScene) -> int | None:
    """What the sender has recorded so far, where the implementation shows it."""
    if "statistics" not in scene.bench.client.hello().features:
        return None
    shown = scene.machine.look()["statistics"]["senders"].get(str(scene.sender))
    return sum(shown["drops"].values()) if shown is not None else None


def _effect(scene: SenderScene, row: str, effect: str, what: str) -> None:
    name, _, argument = effect.rstrip(")").replace("raise ", "raise(").partition("(")
    EFFECTS[name](scene, row, argument, what)


def _raise(scene: SenderScene, row: str, code: str, what: str) -> None:
    if code in ("REASON", "CODE"):
        code = scene.stream_reason or _RAISED.get(row, scene.reason)
    raised = scene.reply.raised
    expect_equal(raised and raised.code, code, _TABLE, what)


def _number(scene: SenderScene, row: str, argument: str, what: str) -> None:
    expect_equal(scene.reply.value.get("sequence"), scene.last + 1, _TABLE, what)
    scene.last += 1


def _queue(scene: SenderScene, row: str, argument: str, what: str) -> None:
    expect(scene.reply.raised is None, _TABLE, what, actual=scene.reply.raised)
    if row != "S15":
        scene.waiting.append(Waiting(scene.last))


def _skip(scene: SenderScene, row: str, argument: str, what: str) -> None:
    scene.far.none(_TABLE, "DATA")
    if scene.reliable:
        confirmed(scene.machine, scene.sender, scene.last, _TABLE)


def _drop(scene: SenderScene, row: str, argument: str, what: str) -> None:
    if row in ("S17", "S20"):
        expect(not scene.pulled, _TABLE, what, actual=scene.pulled)
        scene.drop(scene.about)


def _record(scene: SenderScene, row: str, argument: str, what: str) -> None:
    """Counters are compared around the event."""


def _shed(scene: SenderScene, row: str, argument: str, what: str) -> None:
    scene.waiting.pop(0)


def _finish(scene: SenderScene, row: str, argument: str, what: str) -> None:
    scene.waiting[0].end = "LAST"


def _settle(scene: SenderScene, row: str, code: str, what: str) -> None:
    failed(scene.machine, scene.sender, scene.about, _TABLE, code)
    if row != "S45":
        data = [frame for frame in scene.pulled if frame["type"] == "DATA"]
        expect(not data, _TABLE, f"{what}: nothing of it is written", actual=data)
        scene.drop(scene.about)
    if row == "S19":
        # Somebody who can be reached, so that it is seen whether the sender goes on.
        scene.far.change(f.join(9, "eve"))


def _write(scene: SenderScene, row: str, argument: str, what: str) -> None:
    # CLOSE may share the packet with what is last before it.
    data = [frame["sequence"] for frame in scene.pulled if frame["type"] == "DATA"]
    expect_equal(data, [scene.about], _TABLE, what)
    scene.absorb(scene.pulled, _TABLE, what)


def _close(scene: SenderScene, row: str, argument: str, what: str) -> None:
    told = [(frame["type"], frame.get("value")) for frame in scene.pulled]
    expect_equal(told, [("CLOSE", scene.last)], _TABLE, what)


def _limit(scene: SenderScene, row: str, argument: str, what: str) -> None:
    expect(scene.far.new("DATA"), _TABLE, f"{what}: more is written")
    scene.collect(_TABLE, what)


def _confirmed(scene: SenderScene, row: str, argument: str, what: str) -> None:
    confirmed(scene.machine, scene.sender, scene.about, _TABLE)


def _failed(scene: SenderScene, row: str, argument: str, what: str) -> None:
    told = [event["code"] for event in scene.machine.new_events("sender_failed", sender=scene.sender)]
    expect_equal(told, [FAULT], _TABLE, what)
    for item in scene.waiting:
        failed(scene.machine, scene.sender, item.sequence, _TABLE, FAULT)
    unsettled(scene.machine, scene.sender, 2, _TABLE)
    scene.waiting, scene.failed, scene.code = [], True, FAULT
    if not scene.closed:
        scene.reason = FAULT


def _bar(scene: SenderScene, row: str, argument: str, what: str) -> None:
    told = scene.machine.take("recipient_failed", sender=scene.sender)
    wanted = [("bob", 1, scene.about or 2, "OVERRUN")]
    got = [(event["identity"], event["slot"], event["sequence"], event["code"]) for event in told]
    expect_equal(got, wanted, _TABLE, what)
    scene.fail(1, BOB, "MEMORY")
    expect(not scene.machine.new_events("recipient_failed"), "CC-DELIV-026", f"{what}: once")
    scene.probe_options = {"to": ["ann"]}
    if row == "S34":
        failed(scene.machine, scene.sender, scene.about, _TABLE, "OVERRUN")


def _give_up(scene: SenderScene, row: str, argument: str, what: str) -> None:
    scene.far.none(_TABLE, "DATA")
    scene.waiting[0].end = "ABORT"


def _refuse(scene: SenderScene, row: str, argument: str, what: str) -> None:
    failed(scene.machine, scene.sender, scene.about, _TABLE, "POLICY")
    scene.drop(scene.about)


def _cancelled(scene: SenderScene, row: str, argument: str, what: str) -> None:
    expect_equal(scene.reply.value.get("outcome"), _OUTCOMES[row], _TABLE, what)
    expect(not scene.machine.new_events(), _TABLE, f"{what}: no event follows", actual=scene.machine.new_events())
    if row in ("S39", "S41"):
        scene.drop(scene.about)


def _unknown(scene: SenderScene, row: str, argument: str, what: str) -> None:
    if row == "S42":
        _cancelled(scene, row, argument, what)
        return
    event = outcome(scene.machine, scene.sender, scene.about)
    expect(event is not None and event["event"] == "message_failed", _TABLE, what, actual=event)
    assert event is not None
    expect_equal(verdict_of(event, "bob"), ("unknown", "DEADLINE"), "CC-DELIV-017", what)


def _strip(scene: SenderScene, row: str, argument: str, what: str) -> None:
    if scene.behind:
        failed(scene.machine, scene.sender, scene.behind, _TABLE, "SENDER_CLOSED")
    scene.strip()


def _clear(scene: SenderScene, row: str, argument: str, what: str) -> None:
    scene.waiting = []


def _lost(scene: SenderScene, row: str, argument: str, what: str) -> None:
    event = failed(scene.machine, scene.sender, scene.last - len(scene.waiting), _TABLE, "LINK_LOST")
    expect_equal(verdict_of(event, "bob"), ("unknown", "LINK_LOST"), "CC-DELIV-039", f"{what}: it was wholly written")
    for item in scene.waiting:
        event = failed(scene.machine, scene.sender, item.sequence, _TABLE, "LINK_LOST")
        kind = verdict_of(event, "bob")
        expect(kind is not None and kind[1] == "LINK_LOST", "CC-DELIV-039", f"{what}: what waited", actual=event)
    scene.waiting = []


def _ended(scene: SenderScene, row: str, argument: str, what: str) -> None:
    told = [event["code"] for event in scene.machine.new_events("sender_ended", sender=scene.sender)]
    expect_equal(told, [scene.code if argument == "REASON" else argument], _TABLE, what)


def _wait(scene: SenderScene, row: str, argument: str, what: str) -> None:
    _raise(scene, row, _RAISED[row], what)


EFFECTS: Final[dict[str, Callable[[SenderScene, str, str, str], None]]] = {
    "abort": _write,
    "accept": _confirmed,
    "bar": _bar,
    "cancelled": _cancelled,
    "clear": _clear,
    "close": _close,
    "drop": _drop,
    "ended": _ended,
    "failed": _failed,
    "finish": _finish,
    "giveup": _give_up,
    "limit": _limit,
    "lost": _lost,
    "number": _number,
    "queue": _queue,
    "raise": _raise,
    "receipt": _confirmed,
    "record": _record,
    "refuse": _refuse,
    "settle": _settle,
    "shed": _shed,
    "skip": _skip,
    "strip": _strip,
    "unknown": _unknown,
    "wait": _wait,
    "write": _write,
}
