# SPDX-License-Identifier: Apache-2.0
"""The rows of the Lossy table in section 5.14: what arranges each, and what causes its event."""

from __future__ import annotations

from collections.abc import Iterator

from callchannel.core import frames as wire
from callchannel.core.errors import ErrorCode
from callchannel.core.limits import LINGER, MS, TOMBSTONE
from tests.core.scripted import SECOND, data, leave, lossy, roster
from tests.core.states.receiver_world import BODY, CHANNEL, SESSION, SLOT, ReceiverWorld
from tests.core.states.reliable_rows import HARD, check_nothing_written
from tests.core.states.tables import Suite, spec

LOSSY = Suite(spec().state_table("05-sessions", "5.14 Receiver session", 1))
row = LOSSY.row
Steps = Iterator[None]
LIVE = "OPEN DETACHED LINGER"
ENDED = "DRAINING DEAD"
ALONE = "close alone"
"""A LINGER that came by CLOSE alone: no receiver, no channel."""


def arrange(w: ReceiverWorld, state: str, *, unread: bool = False, partial: bool = False, **options: object) -> None:
    """The state, with something unread or nothing; a DRAINING session always has something."""
    w.arrange(state, unread=int(unread or state == "DRAINING"), partial=partial, **options)  # type: ignore[arg-type]
    if w.ended is None and state == "OPEN":
        w.fail_value = w.next


def ended_reason(w: ReceiverWorld, state: str, otherwise: str) -> None:
    """DATA of a session that has ended is recorded as that."""
    w.reason = ("ended_session" if state in ENDED.split() else otherwise, 1)


# --- DATA that is not taken ----------------------------------------------------------------------------------------


@row("R50", "OPEN LINGER DRAINING", "", "partial", instead={"DEAD": "R51"})
@row("R51", "OPEN DETACHED LINGER DEAD", "", "partial", instead={"DRAINING": "R50"})
def reliable_data(w: ReceiverWorld, state: str) -> Steps:
    partial = w.how == "partial" and state in ("OPEN", "LINGER")
    arrange(w, state, unread=w.row == "R50" and state != "DEAD", partial=partial)
    if partial and state == "OPEN":
        w.reason = ("ended_session", 1)
    else:
        w.vacuous = {"discard"}
    yield
    w.can_drop, w.offered = True, w.next
    w.fail_value = w.next
    w.script.give(data(SESSION, w.next))


@row("R52", "OPEN DETACHED LINGER DRAINING DEAD", "channel", "priority")
def mismatch(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state)
    w.reason = ("ended_session" if state in ("DRAINING", "DEAD") else "mismatch", 1)
    yield
    w.offer(w.frame(w.next, channel=9) if w.how == "channel" else w.frame(w.next, flags=wire.HIGH))


@row("R53", "NONE LINGER DRAINING DEAD")
def newer_was_known(w: ReceiverWorld, state: str) -> Steps:
    w.how = ALONE
    arrange(w, state, receiver=state != "LINGER")
    w.give(lossy(SESSION + 1))
    w.reason = ("ended_session", 1)
    yield
    w.offer(w.frame(w.next))


@row("R54", "OPEN DETACHED LINGER DRAINING DEAD", "done", "old", "there", "given up")
def sequence_done(w: ReceiverWorld, state: str) -> Steps:
    w.begin()
    w.next = 2_000
    partial = w.how == "there" and state in ("OPEN", "LINGER")
    w.arrange(state, unread=int(state == "DRAINING"), partial=partial, joined=True)
    if w.how == "given up" and state in LIVE.split():
        w.give(w.frame(2_500, extensions=HARD))
    reasons = {"done": "duplicate", "old": "too_old", "there": "duplicate", "given up": "duplicate"}
    ended_reason(w, state, reasons[w.how])
    frames = {
        "done": w.frame(2_000),
        "old": w.frame(2_000 - 1_024),
        "there": w.fragment(w.next - 1, 0) if partial else w.frame(2_000),
        "given up": w.frame(2_500 if state in LIVE.split() else 2_000),
    }
    yield
    w.offer(frames[w.how])


@row("R55", "NONE")
def too_many_sessions(w: ReceiverWorld, state: str) -> Steps:
    w.arrange(state, limits={"open_sessions": 16})
    for number in range(16):
        w.give(lossy(101 + number, channel=200 + number))
    w.reason = ("open_sessions", 1)
    yield
    w.offer(w.frame(1))


@row("R56", "NONE OPEN DETACHED LINGER DRAINING DEAD", "size", "extension", "extension of a fragment")
def not_taken(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state, limits={"largest_message": 32_768})
    sequence = w.next
    w.gives_up = sequence if state not in ENDED.split() else 0
    frames = {
        "size": ("too_large", w.fragment(sequence, 0, total=32_769)),
        "extension": ("extension", w.frame(sequence, extensions=HARD)),
        "extension of a fragment": ("extension", w.fragment(sequence, 0, extensions=HARD)),
    }
    ended_reason(w, state, frames[w.how][0])
    yield
    w.offer(frames[w.how][1])


@row("R56", "OPEN LINGER", "total", "bytes", "whole", "beyond last")
def contradiction(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state, partial=True)
    sequence = w.gives_up = w.next - 1
    if w.how == "beyond last":
        w.give(w.fragment(sequence, 2, payload=bytes(10)))
    w.reason = ("mismatch", 1)
    frames = {
        "total": w.fragment(sequence, 1, total=2_000),
        "bytes": w.fragment(sequence, 2, payload=bytes(1_126)),
        "whole": w.frame(sequence),
        "beyond last": w.fragment(sequence, 3, of=9, total=1_800),
    }
    if w.how == "bytes":
        w.give(w.fragment(sequence, 1, payload=bytes(700)))
    yield
    w.offer(frames[w.how])


@row("R56", "OPEN LINGER", "superseded")
def superseded(w: ReceiverWorld, state: str) -> Steps:
    w.arrange("OPEN")
    w.next = 10
    w.message(flags=wire.LATEST)
    w.read()
    w.finish_arranging(state, False)
    w.reason, w.gives_up = ("superseded", 1), 9
    yield
    w.offer(w.frame(9, flags=wire.LATEST))


# --- memory --------------------------------------------------------------------------------------------------------


def message(w: ReceiverWorld, size: int = 60_000) -> None:
    """A large Lossy message, complete with its last fragment."""
    for frame in large(w.next, w, size):
        w.give(frame)
    w.next += 1


def large(sequence: int, w: ReceiverWorld, size: int = 60_000) -> list[wire.Data]:
    pieces = [min(1_126, size - at) for at in range(0, size, 1_126)]
    return [
        w.fragment(sequence, index, payload=bytes(piece), total=size, last=index == len(pieces) - 1)
        for index, piece in enumerate(pieces)
    ]


MEMORY = {"window": 4_000_000, "receive_memory": 1_048_576, "open_sessions": 2_000}


@row("R57", "OPEN LINGER DRAINING")
@row("R58", "DRAINING")
def memory_of_another(w: ReceiverWorld, state: str) -> Steps:
    """This session holds two messages, or one; a frame of another session passes the limit."""
    w.begin(**MEMORY)
    w.arrange_open("OPEN", 0, False, False, False, True)
    for _ in range(2 if w.row == "R57" else 1):
        message(w)
    w.finish_arranging(state, False)
    others = (1_048_576 - w.endpoint.statistics().bytes_buffered) // BODY
    w.fill(others)
    w.reason, w.loss = ("memory", 1), "shed"
    yield
    w.fill(others + 1)


@row("R57", "OPEN LINGER", "own frame")
def memory_of_own_frame(w: ReceiverWorld, state: str) -> Steps:
    w.begin(**MEMORY)
    w.arrange_open("OPEN", 0, False, False, False, True)
    message(w)
    w.finish_arranging(state, False)
    others = (1_048_576 - w.endpoint.statistics().bytes_buffered) // BODY
    w.fill(others)
    w.give(data(99, 1, bytes(1_048_576 - w.endpoint.statistics().bytes_buffered), channel=99))
    w.reason, w.loss, w.beside = ("memory", 1), "shed", {"queue"}
    yield
    w.offer(w.frame(w.next))


@row("R58", "NONE DETACHED", "frame", "fragment")
def memory_of_latest(w: ReceiverWorld, state: str) -> Steps:
    """Many others hold as much as this session would with the frame, and it began last."""
    w.begin(**MEMORY)
    w.fill(1_048_576 // 1_126, 1_126)
    arrange(w, state, joined=True)
    w.reason = ("memory", 1)
    yield
    w.offer(w.fragment(w.next, 0, payload=bytes(1_126)) if w.how == "fragment" else w.frame(w.next, bytes(1_126)))


@row("R58", "OPEN LINGER", "frame", "fragment")
def memory_of_largest(w: ReceiverWorld, state: str) -> Steps:
    """A large message is partial, and nothing is unread."""
    w.begin(**MEMORY)
    w.arrange_open("OPEN", 0, False, False, False, True)
    *pieces, last_but_one, _ = large(w.next, w)
    for frame in pieces:
        w.give(frame)
    w.finish_arranging(state, False)
    others = (1_048_576 - w.endpoint.statistics().bytes_buffered) // BODY
    w.fill(others)
    w.give(data(99, 1, bytes(1_048_576 - w.endpoint.statistics().bytes_buffered), channel=99))
    w.reason = ("memory", 1)
    yield
    w.offer(last_but_one if w.how == "fragment" else w.frame(w.next + 1))


@row("R59", "NONE DETACHED DEAD")
@row("R59", "LINGER", ALONE)
@row("R60", "OPEN LINGER DRAINING", "", "unread")
def complete(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state, unread=w.how == "unread", receiver=w.how != ALONE)
    ended_reason(w, state, "")
    yield
    w.offer(w.frame(w.next))


@row("R59", "DETACHED LINGER", "without receiver")
def complete_without_receiver(w: ReceiverWorld, state: str) -> Steps:
    w.arrange(state, receiver=False)
    yield
    w.offer(w.frame(w.next))


@row("R60", "OPEN LINGER", "last fragment")
def last_fragment(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state, partial=True)
    w.give(w.fragment(w.next - 1, 2))
    yield
    w.offer(w.fragment(w.next - 1, 1))


@row("R61", "NONE DETACHED DEAD")
@row("R61", "LINGER", ALONE)
@row("R62", "OPEN LINGER DRAINING", "", "of a partial one")
def fragment(w: ReceiverWorld, state: str) -> Steps:
    partial = w.how == "of a partial one" and state != "DRAINING"
    arrange(w, state, receiver=w.how != ALONE, partial=partial)
    ended_reason(w, state, "")
    yield
    w.offer(w.fragment(w.next - 1, 1) if partial else w.fragment(w.next, 2))


# --- partial messages ----------------------------------------------------------------------------------------------


@row("R63", "OPEN LINGER")
def partial_too_long(w: ReceiverWorld, state: str) -> Steps:
    w.arrange("OPEN", partial=True)
    w.script.wait(1_800 * MS)
    w.finish_arranging(state, False)
    w.gives_up, w.reason = w.next - 1, ("partial_timeout", 1)
    yield
    w.script.wait(200 * MS)


@row("R64", "OPEN LINGER", "count", "bytes")
def too_many_partial(w: ReceiverWorld, state: str) -> Steps:
    w.begin(lossy_partial_messages=8 if w.how == "count" else 64, lossy_partial_bytes=65_536)
    w.arrange_open("OPEN", 0, True, False, False, True)
    w.finish_arranging(state, False)
    w.gives_up, w.reason = w.next - 1, ("partial_count" if w.how == "count" else "partial_memory", 1)
    other = lossy(SESSION + 1, 1, channel=9)
    count = 7 if w.how == "count" else 57
    frames = [
        lossy(SESSION + 1, sequence, bytes(1_126), channel=9, fragment=wire.Fragment(0, 9_000))
        for sequence in range(1, count + 1)
    ]
    w.give(other)
    for number, frame in enumerate(frames):
        frame.session = SESSION + 1
        frame.sequence = number + 10
        w.give(frame)
    yield
    w.give(lossy(SESSION + 1, 200, bytes(1_126), channel=9, fragment=wire.Fragment(0, 9_000)))


# --- CLOSE, FAIL, newer sessions -----------------------------------------------------------------------------------


@row("R65", "NONE OPEN DETACHED LINGER DRAINING DEAD", "LEFT", "LOST")
def close_of_gone(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state)
    w.codes["REASON"] = w.how
    if state == "DEAD":
        w.beside = {"cut"}  # the cell does not say so, CC-SESS-054 does
    yield
    w.give(wire.Close(SLOT, 0xFFFF, SESSION, max(w.next - 1, 1), ErrorCode[w.how]))


@row("R66", "NONE OPEN DETACHED LINGER DRAINING DEAD", "", "lower")
def close(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state)
    w.codes["REASON"] = "0xF002"
    yield
    w.give(wire.Close(SLOT, 0xFFFF, SESSION, 1 if w.how else w.next, 0xF002))


@row("R67", "OPEN LINGER DRAINING", "", "partial", instead={"DEAD": "R68"})
@row("R68", "NONE OPEN DETACHED LINGER DEAD", "", "partial", instead={"DRAINING": "R67"})
def fail(w: ReceiverWorld, state: str) -> Steps:
    partial = w.how == "partial" and state == "OPEN"
    arrange(w, state, unread=w.row == "R67" and state != "DEAD", partial=partial)
    w.codes["REASON"], w.can_drop = "INTERNAL", state not in ("OPEN", "DETACHED")
    if partial:
        w.reason = ("ended_session", 1)
    else:
        w.vacuous = {"discard"}
    yield
    w.fail_from(w.next, ErrorCode.INTERNAL)


@row("R69", "LINGER", "", "partial")
@row("R70", "LINGER", "", "partial")
@row("R71", "LINGER", ALONE, "without receiver")
def linger_over(w: ReceiverWorld, state: str) -> Steps:
    _gone(w, state, w.row == "R69")
    yield
    w.script.wait(LINGER)


def _gone(w: ReceiverWorld, state: str, unread: bool) -> None:
    """A session that is about to end: with something partial, or a receiver, or without."""
    partial = w.how == "partial" and state in ("OPEN", "LINGER")
    arrange(w, state, unread=unread, partial=partial, receiver=w.how not in (ALONE, "without receiver"))
    w.codes["END"] = w.ended or ""
    if partial:
        w.reason = ("ended_session", 1)
    else:
        w.vacuous |= {"discard"}


@row("R72", "OPEN LINGER DRAINING", "", "partial", "Reliable")
@row("R73", "OPEN LINGER", "", "partial", "Reliable")
@row("R74", "DETACHED DEAD", "", "Reliable")
@row("R74", "LINGER", "without receiver")
def newer_session(w: ReceiverWorld, state: str) -> Steps:
    _gone(w, state, w.row == "R72")
    yield
    w.give((data if w.how == "Reliable" else lossy)(SESSION + 1, channel=CHANNEL))


# --- the application -----------------------------------------------------------------------------------------------


@row("R75", "OPEN LINGER DRAINING")
@row("R76", "OPEN LINGER DRAINING")
def read(w: ReceiverWorld, state: str) -> Steps:
    w.arrange(state, unread=2 if w.row == "R75" else 1)
    yield
    w.call("read")


@row("R77", "OPEN DETACHED LINGER DEAD")
def read_nothing(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state)
    yield
    w.call("read")
    assert w.outcome is None
    assert (w.error is None) == (state in ("OPEN", "LINGER")), "CC-SESS-031"


@row("R78", "OPEN DETACHED LINGER DRAINING DEAD", "unread", "partial")
def close_receiver(w: ReceiverWorld, state: str) -> Steps:
    partial = w.how == "partial" and state in ("OPEN", "LINGER")
    live = state in ("OPEN", "LINGER", "DRAINING")
    arrange(w, state, unread=live and w.how == "unread", partial=partial)
    w.loss = "clear"
    w.reason = ("closed", 1) if live else None
    yield
    w.call("close_receiver")


# --- time and the call ---------------------------------------------------------------------------------------------


@row("R79", "OPEN DETACHED DEAD")
@row("R80", "OPEN DRAINING")
def idle(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state, unread=w.row == "R80")
    yield
    w.script.wait(2 * SECOND)


@row("R80", "OPEN", "partial")
def idle_and_partial(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state, partial=True)
    yield
    w.script.wait(1_900 * MS)


@row("R79", "LINGER")
@row("R80", "LINGER", "", "partial")
def idle_in_linger(w: ReceiverWorld, state: str) -> Steps:
    """The last frame came a second before, and CLOSE just now."""
    w.arrange("OPEN", unread=int(w.row == "R80" and not w.how), partial=w.how == "partial")
    w.script.wait(SECOND - 200 * MS)
    w.finish_arranging(state, False)
    yield
    w.script.wait(300 * MS)


@row("R81", "DEAD", "", ALONE)
def tombstone_over(w: ReceiverWorld, state: str) -> Steps:
    if w.how == ALONE:
        w.arrange("LINGER", receiver=False)
        w.script.wait(LINGER)
    else:
        arrange(w, state)
    w.script.wait(TOMBSTONE - 1)
    assert w.state == "DEAD"
    yield
    w.script.wait(1)


@row("R82", "OPEN DETACHED LINGER DRAINING DEAD", "", "unread")
def owner_leaves(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state, unread=w.how == "unread" and state in ("OPEN", "LINGER"))
    yield
    w.script.give(roster(5, leave(SLOT)))


@row("R83", "OPEN LINGER DRAINING", "", "partial")
@row("R84", "OPEN LINGER", "", "partial")
@row("R85", "DETACHED DEAD")
@row("R85", "LINGER", "without receiver", ALONE)
def occupant_changes(w: ReceiverWorld, state: str) -> Steps:
    _gone(w, state, w.row == "R83")
    if w.row == "R85":
        w.beside = {"cut"}  # the cells do not say so, CC-SESS-054 does
    yield
    w.occupant_changes()


@row("R83", "DRAINING", "FAIL waits")
@row("R85", "DEAD", "FAIL waits")
def occupant_changes_before_fail(w: ReceiverWorld, state: str) -> Steps:
    """A FAIL that was not written in time would speak of a session of the next occupant (CC-SESS-054)."""
    w.arrange("OPEN", unread=1)
    if state == "DEAD":
        w.call("close_receiver")
        w.beside = {"cut"}
    else:
        w.script.give(data(SESSION, 1))
        w.ended = "SESSION_MISMATCH"
    w.checks = [lambda: check_nothing_written(w)]
    yield
    w.occupant_changes()


@row("R86", "OPEN LINGER DRAINING", "", "partial")
@row("R87", "OPEN LINGER", "", "partial")
@row("R88", "DETACHED DEAD")
@row("R88", "LINGER", "without receiver", ALONE)
def link_death(w: ReceiverWorld, state: str) -> Steps:
    _gone(w, state, w.row == "R86")
    if w.reason:
        w.reason = ("link_dead", 1)
    if w.row == "R88":
        w.beside = {"cut"}  # the cells do not say so; nothing can be written
    w.codes["LINKEND"] = "LINK_LOST"
    yield
    w.script.give(wire.Bye(ErrorCode.LEFT))


@row("R86", "OPEN", "peer left", "peer lost")
@row("R87", "OPEN", "peer left", "peer lost")
def peer_death(w: ReceiverWorld, state: str) -> Steps:
    w.peer = True
    _gone(w, state, w.row == "R86")
    w.codes["LINKEND"] = "LEFT" if w.how == "peer left" else "LINK_LOST"
    yield
    w.script.give(wire.Bye(ErrorCode.LEFT if w.how == "peer left" else ErrorCode.INTERNAL))


@row("R89", "OPEN DETACHED LINGER DRAINING DEAD", "suspended", "resumed")
def suspension(w: ReceiverWorld, state: str) -> Steps:
    arrange(w, state)
    if w.how == "resumed":
        w.script.lose()
    yield
    if w.how == "resumed":
        w.resume()
    else:
        w.script.lose()
