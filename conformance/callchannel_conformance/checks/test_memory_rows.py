# SPDX-License-Identifier: Apache-2.0
"""The rows of the receiver's state tables on memory (R17, R57, R58), state by state; R16 is in `test_sessions`."""

from __future__ import annotations

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance import standard
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.receiver_scene import LATER, PARTIAL, UNREAD, Scene
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal

_MEMORY = 1_048_576
_SMALL = 4_000
_LARGE = 16_000
"""Bytes of a message of the sessions that fill the memory, and of those of the session that pays."""


def _scene(bench: Bench, *, reliable: bool) -> Scene:
    limits = {"receive_memory": _MEMORY, "window": _MEMORY, "largest_message": _MEMORY, "open_sessions": 2_000}
    return Scene(bench, reliable=reliable, limits=limits)


def _fill(scene: Scene, left: int, each: int = _SMALL) -> None:
    """Other sessions of the owner take the memory with a message each, until less than *left* bytes are free."""
    held = scene.machine.look()["statistics"]["receivers"].values()
    free = _MEMORY - sum(one["bytes_buffered"] for one in held)
    session = 10
    while free >= left:
        size = min(each, free - left + 1)
        scene.far.write(f.data(bytes(size), session=session, channel=session))
        session += 1
        free -= size
    scene.machine.take()
    scene.far.none("CC-LIMIT-013", "FAIL")


def _one_more(scene: Scene) -> None:
    """A message of another session passes the limit."""
    scene.far.write(f.data(bytes(_SMALL), session=9, channel=9))


@positive("CC-SESS-067", "CC-DELIV-060")
@negative("CC-SESS-067", "CC-SESS-044", "CC-SESS-047", "CC-DELIV-060")
@pytest.mark.parametrize("state", ["NONE", "OPEN", "PARTIAL", "DETACHED", "DRAINING"])
def test_reliable_pays(bench: Bench, state: str) -> None:
    """R17: the session that holds the most fails with MEMORY, and loses all that is unread."""
    bench.client.needs(feature="statistics")
    cell = standard.state_rows()["R17"].cells[state]
    assert cell is not None
    scene = _scene(bench, reliable=True)
    what = f"R17 in {state}"
    scene.reach("OPEN" if state in ("PARTIAL", "DRAINING") else state)
    first = UNREAD
    if state in ("OPEN", "PARTIAL", "DRAINING"):
        scene.data(UNREAD, bytes(_LARGE))
    if state == "PARTIAL":
        scene.data(PARTIAL, bytes(_LARGE), fragment=(0, 3 * _LARGE, False))
    elif state == "DRAINING":
        scene.far.write(f.fail(UNREAD + 1, "OVERRUN", recipient=2))
    scene.machine.take()
    _fill(scene, _SMALL if state in ("OPEN", "PARTIAL", "DRAINING") else _LARGE)
    if state in ("OPEN", "PARTIAL", "DRAINING"):
        _one_more(scene)
    else:
        scene.data(UNREAD, bytes(_LARGE))
    fails = [(frame["session"], frame["value"], frame["reason"]) for frame in scene.far.take("FAIL")]
    wanted = [] if state == "DRAINING" else [(1, first, f.bye("MEMORY")["code"])]
    expect_equal(fails, wanted, "CC-SESS-067", f"{what}: FAIL, but for a session that has failed before")
    closed = [event["code"] for event in scene.machine.new_events("receiver_closed", receiver=scene.receiver)]
    has_receiver = state in ("OPEN", "PARTIAL", "DRAINING")
    expect_equal(closed, ["MEMORY"] if has_receiver else [], "CC-SESS-067", f"{what}: the receiver closes")
    created = scene.machine.new_events("receiver_created", session=1)
    expect(not created, "CC-SESS-067", f"{what}: no receiver is made", actual=created)
    scene.probe(cell[1], "CC-SESS-067", what)


@positive("CC-SESS-068", "CC-DELIV-061")
@negative("CC-SESS-068", "CC-DELIV-061")
@pytest.mark.parametrize("state", ["OPEN", "LINGER", "DRAINING"])
@pytest.mark.parametrize("row", ["R57", "R58"])
def test_lossy_pays(bench: Bench, row: str, state: str) -> None:
    """R57 and R58: the Lossy session that holds the most loses its oldest messages, all of them where it has one."""
    bench.client.needs(feature="statistics")
    cell = standard.state_rows()[row].cells[state]
    assert cell is not None
    scene = _scene(bench, reliable=False)
    what = f"{row} in {state}"
    scene.reach("OPEN")
    numbers = [UNREAD, UNREAD + 1] if row == "R57" else [UNREAD]
    for sequence in numbers:
        _fragmented(scene, sequence)
    _fill(scene, _SMALL)
    if state == "LINGER":
        scene.far.write(f.close(LATER))
    elif state == "DRAINING":
        scene.far.write(f.fail(LATER, "OVERRUN", recipient=2))
        scene.end_code = "OVERRUN"
    scene.machine.take()
    _one_more(scene)
    scene.far.none("CC-SESS-068", "FAIL")
    closed = [event["code"] for event in scene.machine.new_events("receiver_closed", receiver=scene.receiver)]
    is_over = row == "R58" and state == "DRAINING"
    expect_equal(closed, ["OVERRUN"] if is_over else [], "CC-SESS-068", f"{what}: what closes")
    if is_over:
        scene.probe("DEAD", "CC-SESS-068", what)
        return
    message = scene.read()
    wanted = UNREAD + 1 if row == "R57" else None
    expect_equal(message and message["sequence"], wanted, "CC-SESS-068", f"{what}: what is still unread")
    if state != "DRAINING":
        scene.probe(cell[1], "CC-SESS-068", what)


def _fragmented(scene: Scene, sequence: int) -> None:
    """A Lossy message of 16,000 bytes."""
    for index in range(16):
        scene.data(sequence, bytes(1_000), fragment=(index, _LARGE, index == 15))


@positive("CC-SESS-068", "CC-DELIV-061")
@negative("CC-SESS-068", "CC-DELIV-061")
@pytest.mark.parametrize("state", ["NONE", "DETACHED"])
def test_lossy_pays_with_what_begins_it(bench: Bench, state: str) -> None:
    """R58 where there is no receiver: the message that is the largest of all is dropped, and makes none."""
    bench.client.needs(feature="statistics")
    cell = standard.state_rows()["R58"].cells[state]
    assert cell is not None
    scene = _scene(bench, reliable=False)
    what = f"R58 in {state}"
    scene.reach(state)
    _fill(scene, 1_100, each=1_024)  # no more than CC-SESS-069 allows, and each smaller than what comes
    scene.data(UNREAD, bytes(1_100))
    created = scene.machine.take("receiver_created")
    expect(not created, "CC-SESS-068", f"{what}: no receiver is made", actual=created)
    scene.far.none("CC-SESS-068", "FAIL")
    for event in scene.machine.all_events("receiver_created", channel=10)[:1] + scene.machine.all_events(
        "receiver_created", channel=11
    ):
        scene.machine.do("read", receiver=event["receiver"])
    scene.probe(cell[1], "CC-SESS-068", what)
