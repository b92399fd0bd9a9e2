# SPDX-License-Identifier: Apache-2.0
"""Which rows of the tables "Receiver session" (R01 to R49 Reliable, R50 to R89 Lossy) are applied; see `coverage`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from callchannel.core import frames
from callchannel.core.endpoint import Endpoint
from callchannel.core.errors import ErrorCode
from callchannel.core.link import LinkState
from callchannel.core.lossy_receiver import LossyReceiver
from callchannel.core.receivers import Receivers
from callchannel.core.reliable_receiver import ReliableReceiver
from simulator.coverage import Hits, Watch

Method = Callable[..., Any]


def _is_lossy(session: Any) -> bool:
    return isinstance(session, LossyReceiver)


def _state(session: Any) -> str:
    return str(session.state.value) if session is not None else "NONE"


# --- DATA --------------------------------------------------------------------------------------------------------


def _row_of(frame: Any) -> str:
    fragment = frame.fragment
    if fragment is None:
        return "R18"
    if fragment.abort:
        return "R22"
    if not fragment.index:
        return "R18" if fragment.last else "R19"
    return "R21" if fragment.last else "R20"


def _data(hits: Hits, method: Method, receivers: Any, frame: Any, now: int) -> Any:
    session = receivers._sessions.get((frame.sender, frame.session))
    if frame.reliable:
        return _reliable_data(hits, method, receivers, frame, now, session)
    if session is None:
        newest = receivers._newest.get(frame.sender, {}).get(frame.channel, 0)
        if frame.session < newest:
            hits.hit("R53", "NONE")
        elif not receivers._may_begin(frame.sender):
            hits.hit("R55", "NONE")
        return hits.call("begins", method, receivers, frame, now)
    return hits.call("goes on", method, receivers, frame, now)


def _reliable_data(hits: Hits, method: Method, receivers: Any, frame: Any, now: int, session: Any) -> Any:
    state = _state(session)
    had_unread = session is not None and session.has_unread
    if session is None and receivers._host.peer_to_peer and frame.session <= receivers._greatest_reliable:
        hits.hit("R01", state)
        return method(receivers, frame, now)
    if _is_lossy(session):
        hits.hit("R50" if had_unread else "R51", state)
        return method(receivers, frame, now)
    result = hits.call("data", method, receivers, frame, now)
    after = receivers._sessions.get((frame.sender, frame.session))
    ended = after is not None and after.ended and (session is None or state not in ("DRAINING", "DEAD"))
    if not ended:
        hits.hit(_row_of(frame), state)
    elif after.end_code != ErrorCode.MEMORY:  # a fault, or a limit
        rows = {
            ErrorCode.SESSION_MISMATCH: ("R03", "R04"),
            ErrorCode.SEQUENCE: ("R05", "R06"),
            ErrorCode.TOO_MANY_SESSIONS: ("R07", "R07"),
            ErrorCode.TOO_LARGE: ("R08", "R09"),
            ErrorCode.FRAGMENT: ("R12", "R13"),
            ErrorCode.EXTENSION: ("R14", "R15"),
        }
        hits.hit(rows.get(after.end_code, ("?", "?"))[not had_unread], state)
    return result


def _plain(hits: Hits, method: Method, endpoint: Any, link: Any, packet: bytes, offset: int, now: int) -> Any:
    count, end = method(endpoint, link, packet, offset, now)
    at = offset
    while at < end:
        flags, length = packet[at + 1], int.from_bytes(packet[at + 2 : at + 4], "big")
        if not flags & frames.FRAGMENT:
            hits.hit("R18", "OPEN")
        else:
            place = int.from_bytes(packet[at + 16 : at + 20], "big")
            first, last = not place & 0x3FFF_FFFF, bool(place & frames.LAST_BIT)
            hits.hit("R19" if first else "R21" if last else "R20", "OPEN" if first else "PARTIAL")
        at += length
    return count, end


_LOSSY_DROPS = {
    "mismatch": "R52",
    "too_old": "R54",
    "duplicate": "R54",
    "superseded": "R56",
    "too_large": "R56",
    "extension": "R56",
    "partial_count": "R64",
    "partial_memory": "R64",
}


def _lossy_data(hits: Hits, method: Method, session: Any, frame: Any, now: int, *, superseded: bool) -> Any:
    state = "NONE" if hits.within and hits.within[-1] == "begins" else _state(session)
    receiver = session.receiver
    reason = method(session, frame, now, superseded=superseded)
    if superseded:
        hits.hit("R53", state)
        return reason
    if reason == "memory":
        return reason  # R57 or R58, as the memory is made free
    if reason == "ended_session" and session._replay.is_done(frame.sequence):
        hits.hit("R54", state)
    elif reason is None or reason == "ended_session":
        whole = frame.fragment is None or (reason is None and frame.sequence not in session._assembly)
        there = receiver is not None or state == "DRAINING"
        hits.hit(("R60" if there else "R59") if whole else ("R62" if there else "R61"), state)
    else:
        hits.hit(_LOSSY_DROPS.get(reason, "?"), state)
    return reason


# --- memory and partial messages -----------------------------------------------------------------------------------


def _reliable_shed(hits: Hits, method: Method, session: Any, *arguments: Any) -> Any:
    fresh = not session.last_sequence and session.receiver is None and not session.ended
    hits.hit("R16" if session.complete else "R17", "NONE" if fresh else _state(session))
    return method(session, *arguments)


def _lossy_shed(hits: Hits, method: Method, session: Any, excess: int) -> Any:
    state = "NONE" if hits.within and hits.within[-1] == "begins" else _state(session)
    left = method(session, excess)
    if excess > 0:
        hits.hit("R57" if session.unread else "R58", state)
    return left


def _give_up_partial(hits: Hits, method: Method, session: Any, sequence: int, reason: str) -> Any:
    row = {"partial_timeout": "R63", "partial_count": "R64", "partial_memory": "R64"}.get(reason)
    hits.hit(row, _state(session))
    return method(session, sequence, reason)


# --- CLOSE, FAIL, roster, link ---------------------------------------------------------------------------------------


def _close(hits: Hits, method: Method, receivers: Any, frame: Any, now: int) -> Any:
    session = receivers._sessions.get((frame.sender, frame.session))
    state = _state(session)
    gone = frame.reason in (ErrorCode.LEFT, ErrorCode.LOST)
    if session is None or _is_lossy(session):
        hits.hit("R65" if gone else "R66", state)
        return method(receivers, frame, now)
    rows = ("R23", "R24") if gone else ("R29", "R30")
    if not gone and not session.ended:
        if session.is_partial:
            rows = ("R25", "R26")
        elif frame.value < session.last_sequence:
            rows = ("R27", "R28")
    hits.hit(rows[not session.has_unread], state)
    return method(receivers, frame, now)


def _fail(hits: Hits, method: Method, receivers: Any, frame: Any) -> Any:
    session = receivers._sessions.get((frame.sender, frame.session))
    state = _state(session)
    if session is None or _is_lossy(session):
        unread = session is not None and session.has_unread
        hits.hit("R67" if unread else "R68", state)
    elif session.complete:
        hits.hit("R31", state)
    else:
        below = any(item.message.sequence < frame.value and not item.aborted for item in session.unread)
        hits.hit("R32" if below else "R33", state)
    return method(receivers, frame)


def _of_slot(receivers: Any, slot: int) -> list[Any]:
    return list(receivers._of_slot.get(slot, {}).values())


def _slot_left(hits: Hits, method: Method, receivers: Any, slot: int) -> Any:
    for session in _of_slot(receivers, slot):
        hits.hit("R82" if _is_lossy(session) else "R44", _state(session))
    return method(receivers, slot)


def _end_row(session: Any, reliable: tuple[str, str], lossy: tuple[str, str, str]) -> str:
    if not _is_lossy(session):
        return reliable[not session.has_unread]
    return lossy[0] if session.has_unread else lossy[1] if session.receiver is not None else lossy[2]


def _slot_joined(hits: Hits, method: Method, receivers: Any, slot: int) -> Any:
    for session in _of_slot(receivers, slot):
        hits.hit(_end_row(session, ("R45", "R46"), ("R83", "R84", "R85")), _state(session))
    return method(receivers, slot)


def _link_died(hits: Hits, method: Method, receivers: Any, code: int) -> Any:
    for session in receivers._sessions.values():
        hits.hit(_end_row(session, ("R47", "R48"), ("R86", "R87", "R88")), _state(session))
    return method(receivers, code)


def _link_changed(hits: Hits, method: Method, endpoint: Any, link: Any, before: Any, now: int) -> Any:
    if not link.is_dead and before is not LinkState.CONNECTING and LinkState.ACTIVE in (before, link.state):
        for session in endpoint._receivers._sessions.values():
            hits.hit("R89" if _is_lossy(session) else "R49", _state(session))
    return method(endpoint, link, before, now)


def _became_known(hits: Hits, method: Method, receivers: Any, session: Any, channel: int) -> Any:
    if session.session > receivers._newest.get(session.slot, {}).get(channel, 0):
        for other in _of_slot(receivers, session.slot):
            if other is not session and other.channel == channel:
                lossy = ("R72", "R73", "R74")
                hits.hit(_end_row(other, ("R43", "R43"), lossy), _state(other))
    return method(receivers, session, channel)


# --- timers --------------------------------------------------------------------------------------------------------


def _idle_timer(hits: Hits, method: Method, receivers: Any, session: Any, now: int) -> Any:
    due = session.active_at + receivers.limits.idle_close <= now
    if session.receiver is not None and due:
        rows = ("R79", "R80") if _is_lossy(session) else ("R41", "R42")
        hits.hit(rows[not session.is_quiet], _state(session))
    return method(receivers, session, now)


def _linger_over(hits: Hits, method: Method, session: Any) -> Any:
    if session._lingering:
        row = "R69" if session.has_unread else "R70" if session.receiver is not None else "R71"
        hits.hit(row, "LINGER")
    return method(session)


def _forget(hits: Hits, method: Method, receivers: Any, session: Any) -> Any:
    known = receivers._sessions.get((session.slot, session.session)) is session
    if known and _is_lossy(session) and session.ended and not session.is_cut and not session.complete:
        if session.receiver is None:
            hits.hit("R81", _state(session))
    return method(receivers, session)


# --- applications ----------------------------------------------------------------------------------------------------


def _read_row(session: Any, *, chunk: bool, last: bool) -> str:
    if _is_lossy(session):
        return "R75" if session.has_unread else "R76"
    if chunk and not last:
        return "R34"
    if session.has_unread:
        return "R35"
    return "R36" if session.complete else "R37"


def _read(hits: Hits, method: Method, endpoint: Any, receiver: int, now: int) -> Any:
    session = endpoint._receivers.by_number.get(receiver)
    state = _state(session)
    message = method(endpoint, receiver, now)
    if session is not None and message is None:
        hits.hit("R77" if _is_lossy(session) else "R38", state)
    elif session is not None and not message.is_stream:
        hits.hit(_read_row(session, chunk=False, last=True), state)
    return message


def _read_stream(hits: Hits, method: Method, endpoint: Any, receiver: int, now: int) -> Any:
    session = endpoint._receivers.by_number.get(receiver)
    state = _state(session)
    chunk = method(endpoint, receiver, now)
    if session is not None and chunk is not None:
        hits.hit(_read_row(session, chunk=True, last=chunk.last), state)
    return chunk


def _read_plain(hits: Hits, method: Method, session: Any, now: int) -> Any:
    state = _state(session)
    messages = method(session, now)
    if messages:
        hits.hit("R35", state, len(messages) - 1)
        hits.hit(_read_row(session, chunk=False, last=True), state)
    return messages


def _close_receiver(hits: Hits, method: Method, endpoint: Any, receiver: int, now: int) -> Any:
    session = endpoint._receivers.by_number.get(receiver)
    if session is not None:
        row = "R78" if _is_lossy(session) else "R39" if session.complete else "R40"
        hits.hit(row, _state(session))
    return method(endpoint, receiver, now)


WATCHES: tuple[tuple[type, str, Watch], ...] = (
    (Receivers, "data", _data),
    (Endpoint, "link_received_plain", _plain),
    (LossyReceiver, "data", _lossy_data),
    (ReliableReceiver, "shed_memory", _reliable_shed),
    (LossyReceiver, "_shed_unread", _lossy_shed),
    (LossyReceiver, "give_up_partial", _give_up_partial),
    (Receivers, "close", _close),
    (Receivers, "fail", _fail),
    (Receivers, "slot_left", _slot_left),
    (Receivers, "slot_joined", _slot_joined),
    (Receivers, "link_died", _link_died),
    (Endpoint, "link_changed", _link_changed),
    (Receivers, "_became_known", _became_known),
    (Receivers, "_idle_timer", _idle_timer),
    (LossyReceiver, "linger_over", _linger_over),
    (Receivers, "forget", _forget),
    (Endpoint, "read", _read),
    (Endpoint, "read_stream", _read_stream),
    (ReliableReceiver, "read_plain", _read_plain),
    (Endpoint, "close_receiver", _close_receiver),
)
