# SPDX-License-Identifier: Apache-2.0
"""Which rows of the table "Sender session" (S01 to S54) are applied; see `coverage`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from callchannel.core import frames
from callchannel.core.endpoint import Endpoint
from callchannel.core.errors import CallChannelError, ErrorCode
from callchannel.core.link import LinkState
from callchannel.core.recipients import NO_SLOT
from callchannel.core.sender import CancelOutcome, SenderSession
from callchannel.core.senders import Senders
from simulator.coverage import Hits, Watch

Method = Callable[..., Any]
_TIGHT = 1_200
"""With less credit than this left, a session that does not write waits for CREDIT."""


def _link(sender: Any) -> str:
    return str(sender._host.link.state.value)


# --- sending -----------------------------------------------------------------------------------------------------


def _send_plain(hits: Hits, method: Method, sender: Any, payload: bytes) -> Any:
    state = sender.state.value
    sequence = method(sender, payload)
    if sequence:
        hits.hit("S08", state)
        hits.hit("L40", _link(sender))
    return sequence


def _refuses(hits: Hits, method: Method, sender: Any) -> Any:
    if sender._end_code is None:
        return method(sender)
    is_dead = sender._host.link.is_dead
    hits.hit("S01" if sender._was_closed else "S02" if sender.reliable else "S03", sender.state.value)
    if is_dead and not sender._was_closed:
        hits.hit("L40" if sender.reliable else "L43", "DEAD")
    return method(sender)


def _send(hits: Hits, method: Method, sender: Any, payload: bytes, target: Any, *rest: Any) -> Any:
    state, link, full = sender.state.value, _link(sender), sender.drops.by_reason.get("queue_full", 0)
    nobody = sender._host.peer_to_peer and target.to is None and not sender._host.roster.resolve_target(target)[0]
    try:
        sequence = method(sender, payload, target, *rest)
    except CallChannelError as error:
        waits = type(error).__name__ == "WouldBlock"
        hits.hit("S07" if waits else "S05", state)
        if waits:
            hits.hit("L41", link)
        raise
    if sender.reliable:
        hits.hit("S06" if nobody else "S08", state)
        hits.hit("L40", link)
        return sequence
    hits.hit("L43", link)
    queued = bool(sender._queue) and sender._queue[-1].sequence == sequence
    if nobody:
        hits.hit("S06", state)
    elif link != "ACTIVE":
        hits.hit("S09", state)
    elif not queued:
        hits.hit("S10", state)
    else:
        hits.hit("S11" if sender.drops.by_reason.get("queue_full", 0) > full else "S12", state)
    return sequence


def _open_stream(hits: Hits, method: Method, sender: Any, target: Any, *rest: Any) -> Any:
    state = sender.state.value
    try:
        sequence = method(sender, target, *rest)
    except CallChannelError as error:
        hits.hit("S07" if type(error).__name__ == "WouldBlock" else "S05", state)
        raise
    hits.hit("S08", state)
    return sequence


def _stream_step(row: str) -> Watch:
    def watch(hits: Hits, method: Method, sender: Any, *arguments: Any) -> Any:
        state = sender.state.value
        try:
            result = method(sender, *arguments)
        except CallChannelError as error:
            hits.hit("S14" if type(error).__name__ == "WouldBlock" else "S13", state)
            raise
        hits.hit(row, state)
        return result

    return watch


_CANCEL = {CancelOutcome.REMOVED: "S39", CancelOutcome.UNKNOWN: "S42", CancelOutcome.SETTLED: "S43"}


def _cancel(hits: Hits, method: Method, sender: Any, *arguments: Any) -> Any:
    state = sender.state.value
    answer = method(sender, *arguments)
    aborted = "S40" if sender.reliable else "S41"
    hits.hit(_CANCEL.get(answer.outcome, aborted), state)
    return answer


def _close(hits: Hits, method: Method, sender: Any) -> Any:
    state = sender.state.value
    first = sender._queue[0] if sender._queue else None
    half = first is not None and first.is_stream and first.written and not (first.finished or first.aborting)
    hits.hit("S45" if half and state == "PARTIAL" else "S46", state)
    return method(sender)


# --- writing -----------------------------------------------------------------------------------------------------


def _write(hits: Hits, method: Method, sender: Any, *arguments: Any) -> Any:
    idle = not sender.has_to_write
    frame = method(sender, *arguments)
    if frame is None:
        credit = sender._credit
        waits = bool(sender._queue or sender._plain.waiting) and not sender._host.link.counting.is_full
        if waits and sender.reliable and credit is not None and credit.limit - credit.written < _TIGHT:
            hits.hit("S22", sender.state.value)
        elif idle or (sender._queue and sender._queue[0].is_stream and not sender._queue[0].chunks):
            hits.hit("S28", sender.state.value)
    return frame


def _drop(hits: Hits, method: Method, sender: Any, message: Any, reason: str | None = None) -> Any:
    if reason == "expired":
        hits.hit("S17", sender.state.value)
    return method(sender, message, reason)


def _begin(hits: Hits, method: Method, sender: Any, message: Any) -> Any:
    state = sender.state.value
    begun = method(sender, message)
    if not begun and message.target.to is not None:
        hits.hit("S18" if sender.reliable else "S20", state)
    elif not begun and sender.reliable:
        hits.hit("S19", state)
    return begun


def _frame_row(first: bool, last: bool) -> str:
    return ("S23" if last else "S24") if first else ("S26" if last else "S25")


def _write_piece(hits: Hits, method: Method, sender: Any, message: Any, piece: Any, now: int) -> Any:
    state, first = sender.state.value, not message.written
    frame = method(sender, message, piece, now)
    hits.hit("S22" if frame is None else _frame_row(first, piece.last), state)
    return frame


def _write_plain(hits: Hits, method: Method, sender: Any, *arguments: Any, **options: Any) -> Any:
    closing = sender.state.value == "CLOSING"
    packets, written = method(sender, *arguments, **options)
    for packet in packets:
        at = 0
        while at < len(packet):
            flags, length = packet[at + 1], int.from_bytes(packet[at + 2 : at + 4], "big")
            place = int.from_bytes(packet[at + 16 : at + 20], "big") if flags & frames.FRAGMENT else frames.LAST_BIT
            row = _frame_row(not place & 0x3FFF_FFFF, bool(place & frames.LAST_BIT))
            hits.hit(row, "CLOSING" if closing else "OPEN" if row in ("S23", "S24") else "PARTIAL")
            at += length
    return packets, written


def _write_whole(hits: Hits, method: Method, sender: Any, *arguments: Any) -> Any:
    hits.hit("S23", "CLOSING" if sender.state.value == "CLOSING" else "OPEN")
    return method(sender, *arguments)


def _write_abort(hits: Hits, method: Method, sender: Any, *arguments: Any) -> Any:
    state = sender.state.value
    frame = method(sender, *arguments)
    if frame:
        hits.hit("S21", state)
    return frame


def _write_close(hits: Hits, method: Method, sender: Any, *arguments: Any) -> Any:
    state = sender.state.value
    frame = method(sender, *arguments)
    if frame:
        hits.hit("S27", state)
    return frame


# --- what comes --------------------------------------------------------------------------------------------------


def _control(hits: Hits, method: Method, senders: Any, frame: Any) -> Any:
    if frame.session not in senders._by_session and frame.session <= senders._last_session:
        row = {frames.Credit: "S29", frames.Receipt: "S32", frames.Refuse: "S38"}.get(type(frame))
        if isinstance(frame, frames.Fail):
            row = "S33" if frame.recipient == NO_SLOT or senders.peer_to_peer else "S35"
        hits.hit(row, "ENDED")
    return method(senders, frame)


def _acked(hits: Hits, method: Method, sender: Any, *arguments: Any) -> Any:
    hits.hit("S31", sender.state.value)
    return method(sender, *arguments)


def _on_credit(hits: Hits, method: Method, sender: Any, frame: Any) -> Any:
    credit = sender._credit
    hits.hit("S29" if credit is not None and frame.value > credit.limit else "S30", sender.state.value)
    return method(sender, frame)


def _on_receipt(hits: Hits, method: Method, sender: Any, frame: Any) -> Any:
    hits.hit("S32", sender.state.value)
    return method(sender, frame)


def _on_refuse(hits: Hits, method: Method, sender: Any, frame: Any) -> Any:
    state, failed = sender.state.value, sender.messages_failed
    partial = _partial_sequence(sender)
    result = method(sender, frame)
    if sender.messages_failed == failed:
        hits.hit("S38", state)
    else:
        hits.hit("S36" if frame.value == partial else "S37", state)
    return result


def _partial_sequence(sender: Any) -> int:
    """The sequence of the partly written message; 0: there is none."""
    if sender._queue:
        return int(sender._queue[0].sequence) if sender._queue[0].written else 0
    return int(sender._next_sequence - len(sender._plain.waiting)) if sender._plain.offset else 0


def _on_fail(hits: Hits, method: Method, sender: Any, frame: Any) -> Any:
    if frame.recipient == NO_SLOT or sender._host.peer_to_peer:
        row = "S33"
    else:
        row = "S35"
        partial = _partial_sequence(sender)
        if partial and sender.reliable and frame.value <= partial:
            open_ = sender._queue[0].open if sender._queue else sender._plain._recipients
            if open_ == 1 << frame.recipient:
                row = "S34"
    hits.hit(row, sender.state.value)
    return method(sender, frame)


def _expire(hits: Hits, method: Method, sender: Any, now: int) -> Any:
    state, failed = sender.state.value, sender.messages_failed
    result = method(sender, now)
    if sender.messages_failed > failed:
        hits.hit("S44", state)
    return result


def _link_changed(hits: Hits, method: Method, endpoint: Any, link: Any, before: Any, now: int) -> Any:
    senders = endpoint._senders
    if link.is_dead:
        rows = ("S50", "S51")
    elif before is LinkState.ACTIVE:
        rows = ("S47", "S48")
    elif before is not LinkState.CONNECTING and link.is_active:
        rows = ("S49", "S49")
    else:
        return method(endpoint, link, before, now)
    for sender in (*senders.all(), *senders._ended.values()):
        hits.hit(rows[0] if sender.reliable else rows[1], sender.state.value)
    return method(endpoint, link, before, now)


def _end(hits: Hits, method: Method, sender: Any) -> Any:
    if sender._end_code != ErrorCode.LINK_LOST:
        hits.hit("S54" if sender._failed else "S52" if not sender.session else "S53", sender.state.value)
    return method(sender)


WATCHES: tuple[tuple[type, str, Watch], ...] = (
    (SenderSession, "send_plain", _send_plain),
    (SenderSession, "refuses", _refuses),
    (SenderSession, "send", _send),
    (SenderSession, "open_stream", _open_stream),
    (SenderSession, "write_stream", _stream_step("S15")),
    (SenderSession, "finish_stream", _stream_step("S16")),
    (SenderSession, "cancel", _cancel),
    (SenderSession, "close", _close),
    (SenderSession, "write", _write),
    (SenderSession, "_drop", _drop),
    (SenderSession, "_begin", _begin),
    (SenderSession, "_write_piece", _write_piece),
    (SenderSession, "_write_plain", _write_plain),
    (SenderSession, "_write_whole", _write_whole),
    (SenderSession, "_write_abort", _write_abort),
    (SenderSession, "write_close", _write_close),
    (Senders, "control", _control),
    (SenderSession, "acked", _acked),
    (SenderSession, "on_credit", _on_credit),
    (SenderSession, "on_receipt", _on_receipt),
    (SenderSession, "on_refuse", _on_refuse),
    (SenderSession, "on_fail", _on_fail),
    (SenderSession, "expire", _expire),
    (Endpoint, "link_changed", _link_changed),
    (SenderSession, "_end", _end),
)
