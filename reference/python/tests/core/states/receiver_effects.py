# SPDX-License-Identifier: Apache-2.0
"""How each effect of the receivers' tables shows (section 5.14)."""

from __future__ import annotations

from collections.abc import Callable

from callchannel.core import frames as wire
from callchannel.core.errors import error_name
from callchannel.core.events import ReceiverClosed, ReceiverCreated, ReceiverReadable
from callchannel.core.messages import Message, Priority, StreamChunk
from tests.core.states.receiver_world import CHANNEL, SESSION, SLOT, ReceiverWorld


def _closed(w: ReceiverWorld) -> str | bool:
    found = w.told(ReceiverClosed)
    return error_name(found[0].code) if found else False


def _create(w: ReceiverWorld) -> bool:
    for event in w.told(ReceiverCreated):
        told = (event.channel, event.session, event.sender.identity, event.sender.slot, event.priority)
        assert told == (CHANNEL, SESSION, "ann", SLOT, Priority.NORMAL), "CC-SESS-027"
    return bool(w.told(ReceiverCreated))


def _cut(w: ReceiverWorld) -> bool:
    if w.lossy:
        return w.object is not None and w.object.is_cut and not w.cut_before
    return w.pending and not w.receipts


def _lost_partial(w: ReceiverWorld) -> bool:
    return w.first.partial and not w.last.partial and not _queue(w)


def _clear(w: ReceiverWorld) -> bool:
    if w.loss != "clear" or not (w.first.unread or w.first.partial):
        return False
    assert w.lost == w.first.unread
    assert (w.last.bytes, w.last.partial) == (0, False)
    return True


def _drop(w: ReceiverWorld) -> bool:
    return w.can_drop and w.quiet and not (_queue(w) or w.gives_up or _fail(w) or _shed(w))


def _shed(w: ReceiverWorld) -> bool:
    return w.last.drops.get("memory", 0) > w.first.drops.get("memory", 0)


def _dropfrom(w: ReceiverWorld) -> bool:
    if w.loss != "dropfrom" or not w.lost:
        return False
    assert w.lost == [sequence for sequence in w.first.unread if sequence >= w.fail_value]
    return True


def _end(w: ReceiverWorld) -> str | bool:
    if w.next_state == "DRAINING":
        assert w.drained_end is not None, "nothing keeps the receiver open"
        cut = w.told(ReceiverClosed) or _cut(w)
        if not w.lossy:
            complete = w.complete or w.closes or cut
            assert w.final_state == ("NONE" if complete else "DEAD"), "CC-SESS-056, 057"
        end = w.drained_end
    elif w.next_state == "LINGER":
        end = error_name(w.session.end_code)
    else:
        return False
    if w.ended is not None:
        assert end == w.ended, "the reason of its first end"
        return False
    return end


def _fail(w: ReceiverWorld) -> str | bool:
    found = [frame for frame in w.frames if isinstance(frame, wire.Fail)]
    if not found:
        return False
    (fail,) = found
    own = 1 if w.peer else 2
    assert (fail.recipient, fail.value, fail.uncertain) == (own, w.fail_value, False), "CC-SESS-042 to 046"
    if w.pending:
        assert w.frames.index(w.receipts[0]) < w.frames.index(fail), "CC-DELIV-019"
    return error_name(fail.reason)


def _hand(w: ReceiverWorld) -> bool:
    return isinstance(w.outcome, Message | StreamChunk)


def _note(w: ReceiverWorld) -> bool:
    return w.first.state == "DRAINING" and w.closes and w.final_state == "NONE" and not _cut(w)


def _queue(w: ReceiverWorld) -> bool:
    if not w.offered or w.offered not in w.drained or w.offered in w.first.unread:
        return False
    assert bool(w.told(ReceiverReadable)) != w.first.readable, "CC-SESS-029"
    return True


def _record(w: ReceiverWorld) -> bool:
    grown = {
        name: count - w.first.drops.get(name, 0)
        for name, count in w.last.drops.items()
        if count > w.first.drops.get(name, 0)
    }
    if not grown:
        return False
    assert w.reason is not None, grown
    assert grown == dict([w.reason])
    return w.loss == "clear" or not _lost_partial(w) or w.row in RECORDED


RECORDED = {"R63", "R64", "R56", "R57", "R58"}
"""Rows whose cells say `record` beside giving a partial message up. In the others `discard` holds the recording."""

OBSERVERS: dict[str, Callable[[ReceiverWorld], str | bool]] = {
    "add": lambda w: w.last.partial and w.last.bytes > w.first.bytes,
    "clear": _clear,
    "closed": _closed,
    "create": _create,
    "cut": _cut,
    "discard": lambda w: w.loss != "clear" and not w.gives_up and w.row not in RECORDED and _lost_partial(w),
    "drop": _drop,
    "dropfrom": _dropfrom,
    "end": _end,
    "fail": _fail,
    "giveup": lambda w: w.given_up,
    "hand": _hand,
    "note": _note,
    "queue": _queue,
    "record": _record,
    "shed": _shed,
}
