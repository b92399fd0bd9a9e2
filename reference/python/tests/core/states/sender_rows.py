# SPDX-License-Identifier: Apache-2.0
"""The rows of the table in section 5.13 whose events are pulls, frames, and what becomes of the link.

Those that are calls of the application are in `sender_calls`.
"""

from __future__ import annotations

from collections.abc import Iterator

from callchannel.core import frames as wire
from callchannel.core.errors import ErrorCode
from callchannel.core.lanes import Lane
from callchannel.core.limits import MS
from tests.core.states.sender_world import BIG, DELIVERED, LIFETIME, MARK, SMALL, SenderWorld
from tests.core.states.tables import Suite, spec

SENDER = Suite(spec().state_table("05-sessions", "5.13 Sender session"))
row = SENDER.row
Steps = Iterator[None]
FULL = {"send_buffer": 65_536}
SMALL_WINDOW = {"window": 65_536}
CANCELLED = ErrorCode.CANCELLED


# --- pulls ---------------------------------------------------------------------------------------------------------


@row("S17", "OPEN PARTIAL CLOSING", "lossy", instead={"ENDED": "S28"})
def pull_expired(w: SenderWorld, state: str) -> Steps:
    def expiring() -> int:
        w.head = w.send(BIG["lossy"] if state == "PARTIAL" else MARK, metadata=LIFETIME)
        return w.head

    def begin() -> int:
        expiring()
        w.pull_one()
        return w.head

    ended = state == "ENDED"  # nothing can wait in it
    w.arrange(state, partial=begin, setup=None if ended or state == "PARTIAL" else expiring)
    w.script.wait(5 * MS)
    w.reason = ("expired", 1)
    yield
    w.pull_one()  # on the lossy lane: a CLOSE that is due has the other one


def _named(w: SenderWorld, state: str) -> None:
    w.arrange(state, setup=lambda: setattr(w, "head", w.send(MARK, to=["ann", "bob"])), limits={})


@row("S18", "OPEN CLOSING", "reliable")
@row("S20", "OPEN CLOSING", "lossy")
def pull_for_gone(w: SenderWorld, state: str) -> Steps:
    _named(w, state)
    w.roster_leave(0, 1)
    w.reason = ("no_recipients", 2)
    if state == "CLOSING" and not w.lossy:
        w.then = ("S27",)  # the pull goes on
    yield
    w.pull_one()


@row("S19", "OPEN CLOSING", "reliable")
def pull_for_failed(w: SenderWorld, state: str) -> Steps:
    w.arrange(state, setup=lambda: setattr(w, "head", w.send(MARK)))
    for slot in (0, 1, 3):
        w.fail_one(slot, 9)
    if state == "CLOSING":
        w.then = ("S27",)  # the pull goes on
    yield
    w.pull_one()


@row("S21", "PARTIAL CLOSING", "reliable")
def pull_abort(w: SenderWorld, state: str) -> Steps:
    def give_up() -> None:
        w.endpoint.cancel(w.sender, w.head, CANCELLED, w.now)

    # In CLOSING a message stays behind the ABORT that has no credit, else CLOSE would share its packet.
    def behind() -> None:
        give_up()
        w.send(bytes(60_000))
        w.session._credit.limit = w.session._credit.written

    w.arrange(state, base="PARTIAL", setup=give_up if state == "PARTIAL" else behind, welcomed=SMALL_WINDOW)
    yield
    w.pull_one()
    assert [type(frame) for frame in w.frames] == [wire.Data]


@row("S22", "OPEN PARTIAL CLOSING", "reliable", instead={"ENDED": "S28"})
def pull_without_credit(w: SenderWorld, state: str) -> Steps:
    _blocked(w, state)
    yield
    w.pull_one()


def _blocked(w: SenderWorld, state: str) -> None:
    """A sender whose next frame waits for credit."""

    def begin() -> int:
        sequence = w.send(bytes(100_000))
        w.pull_all()
        w.stuck = True
        return sequence

    w.arrange(state, setup=w.block if state in ("OPEN", "CLOSING") else None, partial=begin, welcomed=SMALL_WINDOW)


@row("S23", "OPEN CLOSING", "reliable", "lossy")
@row("S24", "OPEN CLOSING", "reliable", "lossy")
def pull_first(w: SenderWorld, state: str) -> Steps:
    w.arrange(state, setup=lambda: w.send(MARK if w.row == "S23" else BIG[w.kind]))
    yield
    w.pull_one()
    assert len(w.frames) == 1


@row("S25", "PARTIAL CLOSING", "reliable", "lossy")
@row("S26", "PARTIAL CLOSING", "reliable", "lossy")
def pull_next(w: SenderWorld, state: str) -> Steps:
    # The last fragment fills its packet, so that CLOSE does not come along with it.
    fragments = 3 if w.row == "S25" else 2
    w.arrange(state, base="PARTIAL", partial=lambda: w.begin(bytes(fragments * (1_126 if w.lossy else 16_360))))
    yield
    w.pull_one()
    assert len(w.frames) == 1
    assert w.frames[0].fragment.last == (w.row == "S26")


@row("S27", "CLOSING", "reliable", "lossy", "reliable-replaced", "lossy-replaced", "reliable-left", "lossy-left")
def pull_close(w: SenderWorld, state: str) -> Steps:
    w.arrange(state, ending=w.how or "closed")
    yield
    w.pull_one()  # a Lossy session finds on its own lane that CLOSE is due
    if w.lossy:
        w.pull_one(Lane.RELIABLE)


@row("S28", "OPEN CLOSING ENDED", "reliable", "lossy")
def pull_nothing(w: SenderWorld, state: str) -> Steps:
    w.arrange(state)
    w.pull_all()
    yield
    w.pull_one()


@row("S28", "PARTIAL", "reliable")
def pull_waiting_stream(w: SenderWorld, state: str) -> Steps:
    w.arrange(state, partial=w.begin_stream)
    yield
    w.pull_one()


# --- frames --------------------------------------------------------------------------------------------------------


@row("S29", "OPEN PARTIAL CLOSING", "reliable")
@row("S30", "OPEN PARTIAL CLOSING", "reliable")
def credit(w: SenderWorld, state: str) -> Steps:
    _blocked(w, state)
    yield
    w.give(wire.Credit, w.session._credit.limit + (60_000 if w.row == "S29" else 0))


@row("S29", "ENDED", "reliable", "lossy")
@row("S30", "ENDED", "reliable", "lossy")
def credit_when_ended(w: SenderWorld, state: str) -> Steps:
    w.arrange(state)
    yield
    w.give(wire.Credit, 1_000_000 if w.row == "S29" else 1)


@row("S31", "OPEN PARTIAL CLOSING", "reliable")
@row("S31", "ENDED", "reliable")
def ack(w: SenderWorld, state: str) -> Steps:
    w.arrange(state, ending="failed" if state == "ENDED" else "closed")
    yield
    w.script.ack()


@row("S32", "OPEN PARTIAL CLOSING ENDED", "reliable-one", "reliable-all")
def receipt(w: SenderWorld, state: str) -> Steps:
    w.arrange(
        state,
        confirm=DELIVERED,
        ending="failed" if state == "ENDED" else "closed",
        **({} if w.how == "all" else {"to": ["ann"]}),
    )
    yield
    w.give(wire.Receipt, 1, **({} if w.how == "all" else {"recipient": 0}))


@row("S33", "OPEN PARTIAL CLOSING ENDED", "reliable", "lossy", "reliable-peer", "lossy-peer")
def fail_for_all(w: SenderWorld, state: str) -> Steps:
    w.peer = w.how == "peer"
    w.arrange(state)
    w.codes["REASON"] = "INTERNAL"
    if w.lossy and state != "ENDED":
        w.then = ("S54",)  # no message of it ever waits for a verdict
    if w.peer and state != "ENDED":
        w.beside = {"bar"}  # the peer's FAIL is one recipient's as well: RecipientFailed goes with it
    yield
    w.offered = "frame"
    w.fail_all(2)


@row("S34", "PARTIAL CLOSING", "reliable-named", "reliable-everyone")
def fail_of_last(w: SenderWorld, state: str) -> Steps:
    def begin() -> int:
        sequence = w.send(BIG["reliable"], **({"to": ["ann"]} if w.how == "named" else {}))
        w.pull_one()
        if w.how == "everyone":
            w.fail_one(1, sequence)
            w.fail_one(3, sequence)
        return sequence

    w.arrange(state, base="PARTIAL", partial=begin)
    yield
    w.fail_one(0, w.head)


@row("S35", "OPEN PARTIAL CLOSING ENDED", "reliable", "lossy", "reliable-again")
def fail_of_one(w: SenderWorld, state: str) -> Steps:
    w.arrange(state)
    if w.how and state != "ENDED":
        w.fail_one(0, 2)
        w.vacuous = {"bar"}
    yield
    w.fail_one(0, 2)


@row("S36", "PARTIAL", "reliable-stream that waits")
def refuse_waiting_stream(w: SenderWorld, state: str) -> Steps:
    """What stands behind a message that waits for bytes goes on when that message is gone."""
    w.arrange(state, partial=w.begin_stream)
    w.send(MARK)
    w.pull_all()
    w.beside = {"queue"}
    w.checks = [lambda: check_goes_on(w)]
    yield
    w.give(wire.Refuse, w.head, reason=ErrorCode.POLICY)


def check_goes_on(w: SenderWorld) -> None:
    assert any(frame.payload == MARK for frame in w.data(w.later)), "the next message is never written"


@row("S36", "PARTIAL CLOSING", "reliable")
def refuse_partial(w: SenderWorld, state: str) -> Steps:
    w.arrange(state, base="PARTIAL")
    yield
    w.give(wire.Refuse, w.head, reason=ErrorCode.POLICY)


@row("S37", "OPEN PARTIAL CLOSING", "reliable")
@row("S38", "ENDED", "reliable", "lossy")
def refuse_other(w: SenderWorld, state: str) -> Steps:
    w.arrange(state)
    yield
    w.give(wire.Refuse, 1, reason=ErrorCode.POLICY)


@row("S38", "OPEN PARTIAL CLOSING", "reliable-settled", "reliable-unwritten", "reliable-none")
def refuse_nothing(w: SenderWorld, state: str) -> Steps:
    w.arrange(state, setup=lambda: w.send(SMALL))
    if w.how == "settled":
        w.script.ack()
    sequences = {"settled": 1, "unwritten": w.session._next_sequence - 1, "none": 99}
    yield
    w.give(wire.Refuse, sequences[w.how], reason=ErrorCode.POLICY)


# --- the link ------------------------------------------------------------------------------------------------------


@row("S47", "OPEN PARTIAL CLOSING ENDED", "reliable")
@row("S48", "OPEN PARTIAL CLOSING ENDED", "lossy")
def suspend(w: SenderWorld, state: str) -> Steps:
    w.arrange(state, setup=lambda: w.send(SMALL) if state != "ENDED" else None)
    w.reason = ("suspended", w.look().waiting)
    yield
    w.script.lose()


@row("S49", "OPEN CLOSING ENDED", "reliable", "lossy")
@row("S49", "PARTIAL", "reliable")
def resume(w: SenderWorld, state: str) -> Steps:
    w.arrange(state)
    w.script.lose()
    yield
    w.resume()


@row("S50", "OPEN PARTIAL CLOSING ENDED", "reliable", "reliable-accepted")
@row("S51", "OPEN PARTIAL CLOSING ENDED", "lossy")
def link_death(w: SenderWorld, state: str) -> Steps:
    w.arrange(state, setup=lambda: w.send(SMALL) if w.lossy and state != "ENDED" else None)
    if w.how:
        w.script.ack()
    w.reason = ("link_dead", w.look().waiting)
    yield
    w.kill()


# --- at once -------------------------------------------------------------------------------------------------------


@row("S52", "CLOSING", "reliable", "lossy")
def nothing_left(w: SenderWorld, state: str) -> Steps:
    sequences: list[int] = []
    w.arrange(state, written=False, setup=lambda: sequences.append(w.send(SMALL)))
    w.codes["REASON"] = "NONE"
    w.beside = {"cancelled"}
    yield
    w.call("cancel", sequences[0], CANCELLED)


@row("S53", "CLOSING", "reliable", "lossy")
def close_acknowledged(w: SenderWorld, state: str) -> Steps:
    w.arrange(state)
    w.codes["REASON"] = "NONE"
    if not w.lossy:
        w.script.ack()
    w.pull_all()
    yield
    w.script.ack()


@row("S53", "CLOSING", "reliable-settled last")
def settled_behind_close(w: SenderWorld, state: str) -> Steps:
    w.arrange(state, confirm=DELIVERED)
    w.codes["REASON"] = "NONE"
    w.beside = {"receipt"}
    w.pull_all()
    w.script.ack()
    yield
    w.give(wire.Receipt, 1)


@row("S54", "CLOSING", "reliable", "reliable-closed before")
def failed_and_settled(w: SenderWorld, state: str) -> Steps:
    w.arrange(state, ending="closed" if w.how else "failed")
    if w.how:
        w.fail_all(2)
    w.codes["REASON"] = "INTERNAL"
    w.beside = {"accept"}
    yield
    w.script.ack()
