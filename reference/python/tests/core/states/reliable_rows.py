# SPDX-License-Identifier: Apache-2.0
"""The rows of the Reliable table in section 5.14: what arranges each, and what causes its event."""

from __future__ import annotations

from collections.abc import Iterator

from callchannel.core import frames as wire
from callchannel.core.errors import ErrorCode
from callchannel.core.extensions import Extension
from tests.core.scripted import SECOND, data, leave, lossy, roster
from tests.core.states.receiver_world import BODY, CHANNEL, SESSION, SLOT, ReceiverWorld
from tests.core.states.tables import Suite, spec

RELIABLE = Suite(spec().state_table("05-sessions", "5.14 Receiver session", 0))
row = RELIABLE.row
Steps = Iterator[None]
HARD = (Extension(0x1234, b"?", True),)
"""An extension that nobody understands, and everybody has to."""
SMALL = {"largest_message": 32_768}
LARGE = {"window": 4_000_000, "receive_memory": 1_048_576}
NEW = b"a new message"
LIVE = "OPEN PARTIAL DETACHED DRAINING DEAD"


def arrange(w: ReceiverWorld, state: str, *, unread: bool, **options: object) -> None:
    """The state, with something unread or nothing; a DRAINING session always has something."""
    w.arrange(
        state, unread=int(unread or state == "DRAINING"), begun=w.how == "reading", stream=w.how == "reading", **options
    )  # type: ignore[arg-type]


def expect_fail(w: ReceiverWorld, frame: wire.Data) -> wire.Data:
    """Note what the value of a FAIL for a fault in this frame has to be (CC-SESS-042)."""
    w.fail_value = w.next - 1 if w.state == "PARTIAL" else max(frame.sequence, w.next)
    return frame


# --- DATA that is not taken ----------------------------------------------------------------------------------------


@row("R01", "NONE")
def number_not_above(w: ReceiverWorld, state: str) -> Steps:
    w.peer = True
    w.arrange(state)
    w.give(data(SESSION + 1))
    yield
    w.offer(w.frame(1))


@row("R02", LIVE)
def lossy_data(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state, unread=state in ("OPEN", "PARTIAL"))
    w.reason = ("mismatch", 1)
    yield
    w.offer(lossy(SESSION, w.next))


def mismatch(w: ReceiverWorld) -> wire.Data:
    if w.how == "priority":
        return w.frame(w.next, flags=wire.HIGH)
    if w.how == "fragment" and w.state == "PARTIAL":
        return w.fragment(w.next - 1, 1, channel=9)
    return w.frame(w.next, channel=9)


@row("R03", "OPEN PARTIAL DRAINING", "channel", "priority", "fragment", instead={"DEAD": "R04"})
def mismatch_and_unread(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state, unread=state != "DEAD")
    yield
    w.offer(expect_fail(w, mismatch(w)))


@row("R04", "OPEN PARTIAL DETACHED DEAD", "channel", "priority", "fragment", instead={"DRAINING": "R03"})
@row("R04", "PARTIAL", "reading")
def mismatch_alone(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state, unread=False)
    yield
    w.offer(expect_fail(w, mismatch(w)))


def out_of_order(w: ReceiverWorld) -> wire.Data:
    last = w.next - 1
    return {
        "again": w.frame(max(last, 1)) if last else w.fragment(1, 1),
        "gap": w.fragment(last, 2) if w.state == "PARTIAL" else w.fragment(w.next, 1),
        "abort": w.fragment(last, 2, abort=True) if w.state == "PARTIAL" else w.fragment(w.next, 1, abort=True),
        "first": w.fragment(last, 0) if last else w.fragment(1, 2),
        "next": w.frame(w.next) if w.state == "PARTIAL" else w.fragment(w.next, 1),
        "reading": w.frame(w.next),
    }[w.how]


@row("R05", "OPEN PARTIAL DRAINING", "again", "gap", "abort", "first", "next", instead={"DEAD": "R06"})
def out_of_order_and_unread(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state, unread=state != "DEAD")
    yield
    w.offer(expect_fail(w, out_of_order(w)))


@row("R06", "NONE OPEN PARTIAL DETACHED DEAD", "again", "gap", "abort", "first", "next", instead={"DRAINING": "R05"})
@row("R06", "PARTIAL", "reading")
def out_of_order_alone(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state, unread=False)
    yield
    w.offer(expect_fail(w, out_of_order(w)))


@row("R07", "NONE")
def too_many_sessions(w: ReceiverWorld, state: str) -> Steps:
    w.arrange(state, limits={"open_sessions": 16})
    w.fill(16)
    yield
    w.offer(expect_fail(w, w.frame(3)))


@row("R08", "OPEN DRAINING", instead={"DEAD": "R09"})
@row("R14", "OPEN DRAINING", "frame", "fragment", instead={"DEAD": "R15"})
def not_taken_and_unread(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state, unread=state != "DEAD", limits=SMALL)
    yield
    w.offer(expect_fail(w, not_taken(w)))


@row("R09", "NONE OPEN DETACHED DEAD", instead={"DRAINING": "R08"})
@row("R15", "NONE OPEN DETACHED DEAD", "frame", "fragment", instead={"DRAINING": "R14"})
def not_taken_alone(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state, unread=False, limits=SMALL)
    yield
    w.offer(expect_fail(w, not_taken(w)))


def not_taken(w: ReceiverWorld) -> wire.Data:
    if w.row in ("R08", "R09"):
        return w.fragment(w.next, 0, total=32_769)
    if w.how == "fragment":
        return w.fragment(w.next, 0, extensions=HARD)
    return w.frame(w.next, extensions=HARD)


@row("R10", "DRAINING")
@row("R11", "DEAD")
def stream_goes_on(w: ReceiverWorld, state: str) -> Steps:
    w.arrange(state, unread=int(state == "DRAINING"), partial=True, stream=True)
    yield
    w.offer(w.fragment(w.next - 1, 1, stream=True))


def contradiction(w: ReceiverWorld) -> wire.Data:
    if w.state != "PARTIAL":
        return w.fragment(w.next, 0, total=600)  # all bytes are there, and LAST is clear
    last = w.next - 1
    return {
        "total": w.fragment(last, 1, total=1_801),
        "bytes": w.fragment(last, 1, payload=bytes(1_201)),
        "last": w.fragment(last, 1, last=True),
        "abort": w.fragment(last, 1, abort=True, total=99),
        "reading": w.fragment(last, 1, total=1_801),
    }[w.how]


@row("R12", "OPEN PARTIAL DRAINING", "total", "bytes", "last", "abort", instead={"DEAD": "R13"})
def contradiction_and_unread(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state, unread=state != "DEAD")
    yield
    w.offer(expect_fail(w, contradiction(w)))


@row("R13", "NONE OPEN PARTIAL DETACHED DEAD", "total", "bytes", "last", "abort", instead={"DRAINING": "R12"})
@row("R13", "PARTIAL", "reading")
def contradiction_alone(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state, unread=False)
    yield
    w.offer(expect_fail(w, contradiction(w)))


# --- memory --------------------------------------------------------------------------------------------------------


@row("R16", "DRAINING")
@row("R17", "DRAINING")
def memory_when_ended(w: ReceiverWorld, state: str) -> Steps:
    """This session holds three messages; a frame of another one, of which there are many, passes the limit."""
    w.begin(**LARGE)
    w.fill(61)
    w.arrange_open("OPEN", 0, False, False, False, True)
    w.fail_value = w.next
    for _ in range(3):
        w.message(payload=bytes(BODY), flags=wire.CONFIRM)
    w.finish_arranging(state, w.row == "R16")
    w.loss = "clear"
    if w.row == "R17":
        w.vacuous = {"fail"}  # what has ended without CLOSE has had its FAIL (CC-SESS-047)
    yield
    w.fill(62)
    w.offered = 0


@row("R17", "NONE OPEN DETACHED PARTIAL", "frame", "fragment")
def memory(w: ReceiverWorld, state: str) -> Steps:
    """Many sessions hold as much as this one will with the frame; this one is the last that began."""
    unread = 0 if state in ("NONE", "DETACHED") else 1
    w.begin(**LARGE, idle_close=SECOND)
    w.fill(64 - unread)
    if state == "DETACHED":
        w.arrange(state, joined=True)
    elif state != "NONE":
        w.arrange_open("OPEN", 0, False, False, False, True)
        w.message(payload=bytes(BODY), flags=wire.CONFIRM)
    if state == "PARTIAL":
        w.give(w.fragment(w.next, 0, payload=bytes(100), total=40_000))
        w.next += 1
    w.fail_value = 2 if unread or state == "DETACHED" else 1
    w.loss = "clear"
    if state in ("NONE", "DETACHED"):
        w.vacuous = {"clear"}
    sequence = w.next - 1 if state == "PARTIAL" else w.next
    if state == "PARTIAL":
        frame = w.fragment(sequence, 1, payload=bytes(16_000), total=40_000)
    elif w.how == "fragment":
        frame = w.fragment(sequence, 0, payload=bytes(BODY), total=40_000)
    else:
        frame = w.frame(sequence, bytes(BODY))
    yield
    w.offer(frame)


# --- DATA that is taken --------------------------------------------------------------------------------------------


@row("R18", "NONE OPEN DETACHED DRAINING DEAD", "", "unread", "fragmented")
def whole_message(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state, unread=w.how == "unread" and state == "OPEN")
    frame = w.fragment(w.next, 0, of=1) if w.how == "fragmented" else w.frame(w.next, NEW)
    yield
    w.offer(frame)


@row("R19", "NONE OPEN DETACHED DRAINING DEAD", "", "stream")
def first_fragment(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state, unread=False)
    yield
    w.offer(w.fragment(w.next, 0, stream=w.how == "stream"))


@row("R20", "PARTIAL DRAINING DEAD", "", "stream")
@row("R21", "PARTIAL DRAINING DEAD", "", "stream")
@row("R22", "PARTIAL DRAINING DEAD", "", "stream")
def next_fragment(w: ReceiverWorld, state: str) -> Steps:
    stream = w.how == "stream"
    w.arrange(state, unread=int(state == "DRAINING"), partial=True, stream=stream)
    kinds = {"R20": {}, "R21": {"of": 2}, "R22": {"abort": True}}
    last = w.next - 1
    if w.row == "R21" and state == "PARTIAL" and not stream:
        w.give(w.fragment(last, 1))
    index = 2 if w.row == "R21" and not stream else 1
    yield
    w.offer(w.fragment(last, index, stream=stream, **(kinds[w.row] if stream or w.row == "R22" else {})))


@row("R22", "PARTIAL", "reading")
def abort_while_read(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state, unread=False)
    yield
    w.offer(w.fragment(w.next - 1, 1, stream=True, abort=True))


# --- CLOSE and FAIL ------------------------------------------------------------------------------------------------


def close(w: ReceiverWorld, value: int, reason: int = 0xF002) -> None:
    w.closes = True
    w.fail_value = w.next - 1 if w.first.partial else w.next
    w.give(wire.Close(SLOT, 0xFFFF, SESSION, value, reason))


@row("R23", "OPEN PARTIAL DRAINING", "LEFT", "LOST", instead={"DEAD": "R24"})
@row("R24", "OPEN PARTIAL DETACHED DEAD", "LEFT", "LOST", instead={"DRAINING": "R23"})
@row("R24", "PARTIAL", "reading")
def close_of_gone(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state, unread=w.row == "R23" and state != "DEAD")
    code = ErrorCode[w.how if w.how != "reading" else "LEFT"]
    w.codes["REASON"] = code.name
    yield
    close(w, w.next - 1, code)


@row("R25", "PARTIAL")
@row("R26", "PARTIAL", "", "reading")
def close_in_message(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state, unread=w.row == "R25")
    yield
    close(w, w.next - 1)


@row("R27", "OPEN DRAINING", instead={"PARTIAL": "R25", "DEAD": "R28"})
@row("R28", "OPEN DETACHED DEAD", instead={"PARTIAL": "R26", "DRAINING": "R27"})
def close_too_low(w: ReceiverWorld, state: str) -> Steps:
    w.begin()
    w.arrange_open("OPEN", 0, False, False, False, True)
    w.message()
    if state in ("DETACHED", "PARTIAL", "DEAD") or (w.row == "R28" and state == "OPEN"):
        w.read()
    if w.row == "R27" and state == "PARTIAL":
        w.message()
    if state == "PARTIAL":
        w.begin_partial()
    if state == "DETACHED":
        w.pull()
        w.pending = False
        w.script.wait(SECOND)
    if state in ("DRAINING", "DEAD"):
        w.finish_arranging(state, False)
    yield
    close(w, 1)


@row("R29", "OPEN DRAINING", "", "higher", instead={"PARTIAL": "R25", "DEAD": "R30"})
@row("R30", "OPEN DETACHED DEAD", "", "higher", instead={"PARTIAL": "R26", "DRAINING": "R29"})
def close_well(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state, unread=w.row == "R29" and state != "DEAD")
    w.codes["REASON"] = "0xF002"
    yield
    close(w, w.next - 1 + 5 * bool(w.how))


@row("R31", "DRAINING")
def fail_of_complete(w: ReceiverWorld, state: str) -> Steps:
    w.arrange(state, unread=2, complete=True)
    w.can_drop = True
    yield
    w.fail_from(1)


@row("R32", "OPEN PARTIAL DRAINING", "", "above", instead={"DEAD": "R33"})
def fail_above_unread(w: ReceiverWorld, state: str) -> Steps:
    w.arrange(state, unread=2 if state != "DEAD" else 0)
    w.loss, w.codes["REASON"] = "dropfrom", "INTERNAL"
    w.fail_value = w.next + 3 if w.how else 3
    if w.how:
        w.vacuous = {"dropfrom"}
    yield
    w.fail_from(w.fail_value, ErrorCode.INTERNAL)


@row("R33", "OPEN PARTIAL DETACHED DRAINING DEAD", "")
@row("R33", "OPEN PARTIAL", "nothing unread")
@row("R33", "PARTIAL", "reading")
def fail_below_unread(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state, unread=not w.how and state not in ("DETACHED", "DEAD"))
    w.loss, w.codes["REASON"], w.fail_value = "dropfrom", "INTERNAL", 2
    if w.how:
        w.vacuous = {"dropfrom"}
    yield
    w.fail_from(2, ErrorCode.INTERNAL)


# --- the application -----------------------------------------------------------------------------------------------


@row("R34", "OPEN PARTIAL DRAINING")
def read_chunk(w: ReceiverWorld, state: str) -> Steps:
    w.arrange("PARTIAL", stream=True)
    w.read()
    if state != "PARTIAL":
        w.give(w.fragment(w.next - 1, 1, stream=True, of=2))
    w.finish_arranging(state, False)
    yield
    w.call("read_stream")


@row("R35", "OPEN PARTIAL DRAINING")
@row("R36", "DRAINING")
@row("R37", "OPEN PARTIAL DRAINING")
def read(w: ReceiverWorld, state: str) -> Steps:
    w.arrange(state, unread=2 if w.row == "R35" else 1, complete=w.row == "R36")
    yield
    w.call("read")


@row("R35", "OPEN", "stream")
@row("R36", "DRAINING", "stream")
@row("R37", "OPEN DRAINING", "stream")
def read_end_of_stream(w: ReceiverWorld, state: str) -> Steps:
    w.arrange("PARTIAL", stream=True)
    w.read()
    w.call("read_stream")
    w.give(w.fragment(w.next - 1, 1, stream=True, of=2))
    if w.row == "R35":
        w.message()
    w.finish_arranging(state, w.row == "R36")
    yield
    w.call("read_stream")


@row("R38", "DRAINING", "stream")
def read_behind_a_begun_stream(w: ReceiverWorld, state: str) -> Steps:
    w.arrange("PARTIAL", stream=True)
    w.read()
    w.give(w.fragment(w.next - 1, 1, stream=True, of=2))
    w.message()
    w.finish_arranging(state, True)
    yield
    w.call("read")
    assert w.outcome is None
    assert w.error is None


@row("R38", "OPEN PARTIAL DETACHED DEAD")
def read_nothing(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state, unread=False)
    yield
    w.call("read")
    assert w.outcome is None
    assert (w.error is None) == (state in ("OPEN", "PARTIAL")), "CC-SESS-031"


@row("R39", "DRAINING")
@row("R40", "OPEN PARTIAL DETACHED DRAINING DEAD", "", "unread")
@row("R40", "PARTIAL", "reading")
def close_receiver(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state, unread=w.how == "unread" and state in ("OPEN", "PARTIAL"), complete=w.row == "R39")
    w.loss = "clear"
    w.fail_value = 2
    if state == "OPEN" and not w.how:
        w.vacuous = {"clear"}
    yield
    w.call("close_receiver")


# --- time and the call ---------------------------------------------------------------------------------------------


@row("R41", "OPEN DETACHED DEAD", instead={"PARTIAL": "R42"})
@row("R42", "OPEN PARTIAL DRAINING")
def idle(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state, unread=w.row == "R42")
    yield
    w.script.wait(2 * SECOND)


@row("R43", "OPEN PARTIAL DETACHED DRAINING DEAD", "", "unread")
def newer_session(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state, unread=w.how == "unread" and state in ("OPEN", "PARTIAL"))
    yield
    w.give(data(SESSION + 1, channel=CHANNEL))


@row("R44", "OPEN PARTIAL DETACHED DRAINING DEAD", "", "unread")
def owner_leaves(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state, unread=w.how == "unread" and state in ("OPEN", "PARTIAL"))
    yield
    w.script.give(roster(5, leave(SLOT)))


@row("R45", "OPEN PARTIAL DRAINING")
@row("R46", "OPEN PARTIAL DETACHED DEAD")
@row("R46", "PARTIAL", "reading")
def occupant_changes(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state, unread=w.row == "R45")
    yield
    w.occupant_changes()


@row("R46", "DEAD", "FAIL waits")
def occupant_changes_before_fail(w: ReceiverWorld, state: str) -> Steps:
    """A FAIL that was not written in time would speak of a session of the next occupant (CC-SESS-054)."""
    w.arrange("OPEN")
    w.call("close_receiver")
    w.beside = {"cut"}  # the cell does not say so, CC-SESS-054 does
    w.checks = [lambda: check_nothing_written(w)]
    yield
    w.occupant_changes()


def check_nothing_written(w: ReceiverWorld) -> None:
    assert not w.frames


@row("R47", "OPEN PARTIAL DRAINING", "relay", "peer left", "peer lost")
@row("R48", "OPEN PARTIAL DETACHED DEAD", "relay", "peer left", "peer lost")
@row("R48", "PARTIAL", "reading")
def link_death(w: ReceiverWorld, state: str) -> Steps:
    w.peer = w.how.startswith("peer")
    arrange(w, state, unread=w.row == "R47")
    left = w.how != "peer lost"
    w.codes["LINKEND"] = "LEFT" if w.how == "peer left" else "LINK_LOST"
    yield
    w.script.give(wire.Bye(ErrorCode.LEFT if left else ErrorCode.INTERNAL))


@row("R49", "OPEN PARTIAL DETACHED DRAINING DEAD", "suspended", "resumed")
def suspension(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state, unread=False)
    if w.how == "resumed":
        w.script.lose()
    yield
    if w.how == "resumed":
        w.resume()
    else:
        w.script.lose()
