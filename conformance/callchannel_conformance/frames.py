# SPDX-License-Identifier: Apache-2.0
"""Short ways to state frames, as the dictionaries of `wire`. Every field has a default that is legal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from callchannel_conformance import standard

Frame = dict[str, Any]

NO_SLOT: Final = 0xFFFF
WINDOW: Final = 262_144
LARGEST: Final = 16_777_216
LINK_TOKEN: Final = bytes(range(16, 32))
INSTANCE: Final = bytes(range(64, 80))


def data(
    payload: bytes = b"hi",
    *,
    session: int = 1,
    sequence: int = 1,
    channel: int = 5,
    sender: int = 0,
    reliable: bool = True,
    high: bool = False,
    private: bool = False,
    confirm: bool = False,
    latest: bool = False,
    fragment: tuple[int, int, bool] | None = None,
    to: tuple[int, Sequence[int], bool] | None = None,
    extensions: Iterable[tuple[int, bytes, bool]] = (),
) -> Frame:
    """DATA. `fragment`: index, total, last. `to`: epoch, slots, except. `extensions`: type, value, must understand."""
    chosen = {"RELIABLE": reliable, "HIGH": high, "PRIVATE": private, "CONFIRM": confirm, "LATEST": latest}
    frame: Frame = {
        "type": "DATA",
        "flags": [name for name, is_set in chosen.items() if is_set],
        "channel": channel,
        "sender": sender,
        "session": session,
        "sequence": sequence,
        "payload": payload.hex(),
    }
    if fragment is not None:
        index, total, last = fragment
        frame["fragment"] = {"index": index, "total": total, "last": last, "abort": False}
    if to is not None:
        epoch, slots, is_except = to
        frame["recipients"] = {"epoch": epoch, "except": is_except, "slots": list(slots)}
    block = [{"type": kind, "value": value.hex(), "must_understand": must} for kind, value, must in extensions]
    if block:
        frame["extensions"] = block
    return frame


def abort(*, index: int, total: int, **fields: Any) -> Frame:
    """DATA with ABORT."""
    frame = data(b"", **fields)
    frame["fragment"] = {"index": index, "total": total, "last": False, "abort": True}
    return frame


def _control(name: str, sender: int, recipient: int, session: int, value: int, reason: str | int) -> Frame:
    code = standard.codes()[reason] if isinstance(reason, str) else reason
    return {
        "type": name,
        "sender": sender,
        "recipient": recipient,
        "session": session,
        "value": value,
        "reason": code,
    }


def close(value: int, *, session: int = 1, sender: int = 0, reason: str | int = "NONE") -> Frame:
    """CLOSE: *value* is the final sequence."""
    return _control("CLOSE", sender, NO_SLOT, session, value, reason)


def fail(
    value: int,
    reason: str | int,
    *,
    recipient: int,
    sender: int = 0,
    session: int = 1,
    uncertain: bool = False,
) -> Frame:
    """FAIL: *value* is the first sequence that is not delivered."""
    return {**_control("FAIL", sender, recipient, session, value, reason), "uncertain": uncertain}


def refuse(value: int, reason: str | int = "POLICY", *, sender: int, session: int = 1) -> Frame:
    """REFUSE: *value* is the sequence that is not admitted."""
    return _control("REFUSE", sender, NO_SLOT, session, value, reason)


def receipt(value: int, *, recipient: int, sender: int = 0, session: int = 1) -> Frame:
    """RECEIPT: everything up to *value* was read."""
    return _control("RECEIPT", sender, recipient, session, value, 0)


def credit(value: int, *, recipient: int, sender: int = 0, session: int = 1) -> Frame:
    """CREDIT: *value* is the limit."""
    return _control("CREDIT", sender, recipient, session, value, 0)


def join(slot: int, identity: str) -> Frame:
    """An entry of ROSTER."""
    return {"op": "JOIN", "slot": slot, "reason": 0, "id": identity}


def leave(slot: int, reason: str | int = "LEFT") -> Frame:
    """An entry of ROSTER."""
    code = standard.codes()[reason] if isinstance(reason, str) else reason
    return {"op": "LEAVE", "slot": slot, "reason": code, "id": ""}


def suspended(slot: int) -> Frame:
    """An entry of ROSTER."""
    return {"op": "SUSPENDED", "slot": slot, "reason": 0, "id": ""}


def resumed(slot: int) -> Frame:
    """An entry of ROSTER."""
    return {"op": "RESUMED", "slot": slot, "reason": 0, "id": ""}


def roster(epoch: int, *entries: Frame, snapshot: bool = False, more: bool = False) -> Frame:
    """ROSTER."""
    return {"type": "ROSTER", "epoch": epoch, "snapshot": snapshot, "more": more, "entries": list(entries)}


def hello(
    *,
    token: bytes = INSTANCE,
    resume: bool = False,
    replace: bool = False,
    attempt: int = 1,
    received: int = 0,
    features: int = 0,
    window: int = WINDOW,
    largest_message: int = LARGEST,
    identity: str = "",
) -> Frame:
    """HELLO."""
    return {
        "type": "HELLO",
        "resume": resume,
        "replace": replace,
        "features": features,
        "token": token.hex(),
        "attempt": attempt,
        "received": received,
        "window": window,
        "largest_message": largest_message,
        "id": identity,
    }


def welcome(
    *,
    slot: int,
    identity: str,
    token: bytes = LINK_TOKEN,
    attempt: int = 1,
    received: int = 0,
    features: int = 0,
    window: int = WINDOW,
    largest_message: int = LARGEST,
    resume_ms: int = 30_000,
) -> Frame:
    """WELCOME."""
    return {
        "type": "WELCOME",
        "slot": slot,
        "features": features,
        "token": token.hex(),
        "attempt": attempt,
        "received": received,
        "window": window,
        "largest_message": largest_message,
        "resume_ms": resume_ms,
        "id": identity,
    }


def ack(received: int) -> Frame:
    """ACK."""
    return {"type": "ACK", "received": received}


def bye(code: str | int, text: str = "") -> Frame:
    """BYE."""
    return {"type": "BYE", "code": standard.codes()[code] if isinstance(code, str) else code, "text": text}


def unknown(number: int, body: bytes = b"", flags: int = 0) -> Frame:
    """A frame of an unknown type that is skipped."""
    return {"type": "UNKNOWN", "number": number, "flags": flags, "body": body.hex()}


def is_counted(frame: Frame, lane: str) -> bool:
    """Whether both sides count this frame (CC-FRAME-097)."""
    if lane != "reliable":
        return False
    if frame["type"] == "UNKNOWN":
        return not frame["number"] & 0x40
    if frame["type"] == "DATA":
        return "RELIABLE" in frame["flags"]
    return frame["type"] in ("CLOSE", "FAIL", "REFUSE", "RECEIPT", "CREDIT", "ROSTER")


def split(packet: bytes) -> list[bytes]:
    """The bytes of each frame of a packet that was decoded."""
    found: list[bytes] = []
    offset = 0
    while offset < len(packet):
        length = int.from_bytes(packet[offset + 2 : offset + 4], "big")
        found.append(packet[offset : offset + length])
        offset += length
    return found
