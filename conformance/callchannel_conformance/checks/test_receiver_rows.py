# SPDX-License-Identifier: Apache-2.0
"""Rows of the receiver's state tables that need an arrangement of their own: streams, partial messages, LINGER alone.

The others are in `test_receiver_states`, those on memory in `test_memory` and `test_delivery`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance import standard
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.helpers import limit
from callchannel_conformance.checks.receiver_scene import FIRST, LATER, PARTIAL, UNREAD, Scene
from callchannel_conformance.client import Json
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import NotApplicable, expect, expect_equal

_LARGEST: Final = 32_768
_PART: Final = 16_000


def _target(row: str, state: str) -> str:
    """The next state, and that there is such a cell."""
    cell = standard.state_rows()[row].cells[state]
    assert cell is not None, (row, state)
    return cell[1]


# --- streams --------------------------------------------------------------------------------------


def _chunk(scene: Scene) -> Json:
    chunk = scene.machine.do("read_chunk", receiver=scene.receiver)["chunk"]
    expect(chunk is not None, "CC-FRAG-025", "a chunk is there", actual=chunk)
    assert isinstance(chunk, dict)
    return chunk


@positive("CC-SESS-067")
@negative("CC-SESS-067", "CC-ERR-024")
@pytest.mark.parametrize("state", ["OPEN", "PARTIAL", "DRAINING"])
def test_read_a_chunk(bench: Bench, state: str) -> None:
    """R34: a chunk that is not the end is handed out, and the session stays where it is."""
    bench.client.needs(feature="streams")
    assert _target("R34", state) == state
    scene = Scene(bench, reliable=True)
    scene.reach("OPEN")
    parts = [f.data(bytes([97 + n]) * 100, sequence=PARTIAL, fragment=(n, 0, n == 2)) for n in range(3)]
    scene.far.write(parts[0])
    message = scene.read()
    expect(message is not None and message["stream"], "CC-FRAG-025", "the stream is handed out", actual=message)
    scene.far.write(*(parts[1:2] if state == "PARTIAL" else parts[1:]))
    if state == "DRAINING":
        scene.far.write(f.close(PARTIAL))
    scene.machine.take()
    got = _chunk(scene)
    what = f"R34 in {state}"
    expect(not scene.machine.new_events("receiver_closed"), "CC-SESS-067", f"{what}: the receiver stays open")
    read = bytes.fromhex(got["data"])
    if state == "PARTIAL":
        expect(not got["last"], "CC-ERR-024", f"{what}: the stream is not over", actual=got)
        scene.far.write(parts[2])
    while not got["last"]:
        got = _chunk(scene)
        read += bytes.fromhex(got["data"])
    expect_equal(read, b"a" * 100 + b"b" * 100 + b"c" * 100, "CC-FRAG-026", f"{what}: the bytes of the stream")
    closed = [event["code"] for event in scene.machine.new_events("receiver_closed")]
    expect_equal(closed, ["NONE"] if state == "DRAINING" else [], "CC-SESS-067", f"{what}: what its end closes")
    scene.far.none("CC-SESS-067", "FAIL")
    if state != "DRAINING":
        scene.probe("OPEN", "CC-SESS-067", what)


def _streamless(bench: Bench) -> Scene:
    """A receiver that takes no streams, in OPEN. Raises `NotApplicable` for one that takes them."""
    bench.client.needs(limit="largest_message")
    scene = Scene(bench, reliable=True, limits={"largest_message": _LARGEST})
    scene.reach("OPEN")
    scene.far.write(f.data(b"a", session=9, channel=9, fragment=(0, 0, False)))
    created = scene.machine.take("receiver_created")
    expect_equal(len(created), 1, "CC-SESS-027", "the first fragment of a stream makes a receiver")
    if scene.machine.do("read", receiver=created[0]["receiver"])["message"] is not None:
        raise NotApplicable("the receiver takes streams")
    scene.machine.take()
    return scene


@positive("CC-SESS-067", "CC-FRAG-049")
@negative("CC-SESS-067", "CC-FRAG-049")
@pytest.mark.parametrize(
    ("row", "state"), [("R10", "PARTIAL"), ("R10", "DRAINING"), ("R11", "PARTIAL"), ("R11", "DEAD")]
)
def test_without_streams(bench: Bench, row: str, state: str) -> None:
    """R10 and R11: without streams, the fragment with which one passes the largest message is too large."""
    scene = _streamless(bench)
    if row == "R10":
        scene.data(UNREAD)
        scene.unread = [UNREAD]
    for index in range(2):
        scene.data(PARTIAL, bytes(_PART), fragment=(index, 0, False))
    scene.partial = scene.last = PARTIAL
    if state != "PARTIAL":
        scene.far.write(f.fail(PARTIAL, "OVERRUN", recipient=2))
        scene.end_code = "OVERRUN"
    scene.machine.take()
    scene.far.take()
    # 32,000 bytes have come; with this fragment included it is one byte more than the largest message.
    scene.data(PARTIAL, bytes(_LARGEST - 2 * _PART + 1), fragment=(2, 0, False))
    what = f"{row} in {state}"
    fails = [(frame["value"], frame["reason"]) for frame in scene.far.new("FAIL")]
    wanted = [(PARTIAL, f.bye("TOO_LARGE")["code"])] if state == "PARTIAL" else []
    expect_equal(fails, wanted, "CC-FRAG-049", f"{what}: FAIL")
    if state == "PARTIAL":
        scene.end_code = "TOO_LARGE"
    if row == "R11" and state == "PARTIAL":
        closed = [event["code"] for event in scene.machine.new_events("receiver_closed")]
        expect_equal(closed, ["TOO_LARGE"], "CC-SESS-067", f"{what}: the receiver closes")
    scene.probe(_target(row, state), "CC-SESS-067", what)


@positive("CC-FRAG-049")
def test_stream_of_the_largest_size(bench: Bench) -> None:
    """Without streams, one of exactly the largest message is handed out whole at its end."""
    scene = _streamless(bench)
    for index, size in enumerate((_PART, _PART, _LARGEST - 2 * _PART)):
        scene.data(PARTIAL, bytes(size), fragment=(index, 0, index == 2))
    message = scene.read()
    length = len(message["data"]) // 2 if message is not None else None
    expect_equal(length, _LARGEST, "CC-FRAG-049", "the stream as one message")
    scene.far.none("CC-FRAG-049", "FAIL")


# --- Lossy ----------------------------------------------------------------------------------------


def _known(scene: Scene) -> None:
    """Session 2 becomes known on the channel."""
    scene.data(1, session=2)


def _lingering(scene: Scene) -> None:
    """CLOSE of session 1 comes before any of its DATA: LINGER without receiver or channel."""
    scene.far.write(f.close(9))
    scene.end_code = "NONE"


@positive("CC-SESS-068", "CC-SESS-040")
@negative("CC-SESS-068", "CC-SESS-040", "CC-SESS-051")
@pytest.mark.parametrize("state", ["NONE", "LINGER", "DRAINING", "DEAD"])
def test_newer_session_was_known(bench: Bench, state: str) -> None:
    """R53: DATA of a session is dropped and recorded where a newer one was known on the channel."""
    assert _target("R53", state) == state
    scene = Scene(bench, reliable=False)
    if state in ("DRAINING", "DEAD"):
        scene.reach("OPEN", unread=int(state == "DRAINING"))
    _known(scene)
    if state == "LINGER":
        _lingering(scene)
    scene.machine.take()
    scene.far.take()
    before = _drops(scene)
    scene.data(LATER)
    told = scene.machine.take("receiver_created", "receiver_readable")
    expect(not told, "CC-SESS-068", f"R53 in {state}: it is dropped", actual=told)
    scene.far.none("CC-SESS-068", "FAIL")
    after = _drops(scene)
    expect(after is None or after > (before or 0), "CC-DELIV-077", f"R53 in {state}: it is recorded", actual=after)
    if state == "DRAINING":
        message = scene.read()
        expect_equal(message and message["sequence"], UNREAD, "CC-SESS-036", "what was unread stays readable")
        closed = [event["code"] for event in scene.machine.take("receiver_closed")]
        expect_equal(closed, ["NONE"], "CC-SESS-068", "R76: it closes when everything was read")


def _drops(scene: Scene) -> int | None:
    """All that is recorded as dropped, where the implementation shows it."""
    if "statistics" not in scene.bench.client.hello().features:
        return None
    shown = scene.machine.look()["statistics"]
    return sum(sum(of["drops"].values()) for of in (shown["link"], *shown["receivers"].values()))


@positive("CC-SESS-068", "CC-FRAG-041")
@negative("CC-SESS-068", "CC-FRAG-042")
@pytest.mark.parametrize("state", ["OPEN", "LINGER"])
def test_too_many_partial(bench: Bench, state: str) -> None:
    """R64: when another session has one partial message too many, the oldest, which is here, is given up."""
    assert _target("R64", state) == state
    scene = Scene(bench, reliable=False, limits={"lossy_partial_messages": 8})
    scene.reach("OPEN")
    scene.first_part(PARTIAL)
    scene.first_part(PARTIAL + 1)
    if state == "LINGER":
        scene.far.write(f.close(PARTIAL + 1))
    for number in range(limit(scene.far, "lossy_partial_messages") - 1):
        scene.first_part(number + 1, session=2, channel=6)
    scene.machine.take()
    scene.last_part(PARTIAL)
    told = scene.machine.take("receiver_readable", receiver=scene.receiver)
    expect(not told, "CC-SESS-068", f"R64 in {state}: the oldest was given up", actual=told)
    scene.last_part(PARTIAL + 1)
    message = scene.read()
    expect_equal(message and message["sequence"], PARTIAL + 1, "CC-FRAG-042", f"R64 in {state}: the next is not")
    scene.probe(state, "CC-SESS-068", f"R64 in {state}")


def _other_channel(scene: Scene) -> None:
    scene.data(FIRST)
    scene.data(40, channel=6)


def _break(scene: Scene) -> None:
    scene.far.disconnect()
    scene.far.resume()


def _leave_and_join(scene: Scene) -> None:
    scene.far.change(f.leave(0, "LOST"))
    scene.far.change(f.join(0, "eve"))


_ALONE: Final[dict[str, Callable[[Scene], None]]] = {
    "R52": _other_channel,
    "R59": lambda scene: scene.data(40),
    "R61": lambda scene: scene.first_part(40),
    "R65": lambda scene: scene.far.write(f.close(9, reason="LEFT")),
    "R66": lambda scene: scene.far.write(f.close(9)),
    "R68": lambda scene: scene.far.write(f.fail(3, "MEMORY", recipient=2)),
    "R71": lambda scene: scene.bench.advance(550),
    "R85": _leave_and_join,
    "R88": lambda scene: scene.far.write(f.bye("GOING_AWAY")),
    "R89": _break,
}


@positive("CC-SESS-068", "CC-SESS-038", "CC-SESS-039")
@negative("CC-SESS-068", "CC-SESS-038", "CC-SESS-039")
@pytest.mark.parametrize("row", _ALONE)
def test_linger_by_close_alone(bench: Bench, row: str) -> None:
    """What may happen to a session of which nothing but CLOSE has come."""
    target = _target(row, "LINGER")
    scene = Scene(bench, reliable=False)
    _lingering(scene)
    scene.machine.take()
    scene.far.take()
    _ALONE[row](scene)
    what = f"{row} in LINGER, without a receiver"
    created = scene.machine.new_events("receiver_created")
    wanted = int(row in ("R52", "R59", "R61"))
    expect_equal(len(created), wanted, "CC-SESS-068", f"{what}: receivers")
    if created:
        scene.receiver = created[0]["receiver"]
    scene.far.none("CC-SESS-068", "FAIL")
    if row == "R61":
        scene.last_part(40)
    if row == "R88":
        expect_equal(scene.machine.look()["link"], "DEAD", "CC-SESS-068", what)
        return
    if row == "R59":
        message = scene.read()
        expect_equal(message and message["sequence"], 40, "CC-SESS-068", f"{what}: it can be read")
    scene.probe(target, "CC-SESS-068", what)


@positive("CC-SESS-068", "CC-SESS-033")
@negative("CC-SESS-068", "CC-SESS-033")
@pytest.mark.parametrize("row", ["R63", "R79", "R80"])
def test_time_passes_in_linger(bench: Bench, row: str) -> None:
    """What began before CLOSE, and ends in LINGER: the time of a partial message, and that of an idle receiver."""
    assert _target(row, "LINGER") == "LINGER"
    scene = Scene(bench, reliable=False)
    scene.reach("OPEN")
    if row == "R63":
        scene.first_part(PARTIAL)
        bench.advance(1_750)
    else:
        if row == "R80":
            scene.data(UNREAD)
        bench.advance(limit(scene.far, "idle_close") - 250)
    scene.far.write(f.close(9))
    scene.machine.take()
    bench.advance(350)
    what = f"{row} in LINGER"
    told = scene.machine.take("receiver_closed", receiver=scene.receiver)
    expect(not told, "CC-SESS-068", f"{what}: the receiver stays open", actual=told)
    if row == "R63":
        scene.last_part(PARTIAL)
        told = scene.machine.take("receiver_readable")
        expect(not told, "CC-SESS-068", f"{what}: the message was given up", actual=told)
    elif row == "R80":
        message = scene.read()
        expect_equal(message and message["sequence"], UNREAD, "CC-SESS-068", f"{what}: what was unread")
    scene.probe("LINGER", "CC-SESS-068", what)


@positive("CC-SESS-068", "CC-SESS-040")
@negative("CC-SESS-068", "CC-SESS-040")
def test_newer_session_while_it_lingers_alone(bench: Bench) -> None:
    """R74 in LINGER: where the receiver had closed for idleness, a newer session on the channel ends it."""
    assert _target("R74", "LINGER") == "DEAD"
    scene = Scene(bench, reliable=False)
    scene.reach("DETACHED")
    scene.far.write(f.close(9))
    _known(scene)
    scene.probe("DEAD", "CC-SESS-068", "R74 in LINGER")


@positive("CC-SESS-068")
@negative("CC-SESS-068")
def test_a_dead_session_outlives_a_transport(bench: Bench) -> None:
    """R89 in DEAD: a session that is over stays so across a resume."""
    assert _target("R89", "DEAD") == "DEAD"
    scene = Scene(bench, reliable=False)
    scene.reach("DEAD")
    _break(scene)
    scene.probe("DEAD", "CC-SESS-068", "R89 in DEAD")
