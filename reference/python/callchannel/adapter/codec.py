# SPDX-License-Identifier: Apache-2.0
"""Frames of the reference implementation to the dictionaries of the adapter protocol, and back."""

from __future__ import annotations

from typing import Any, Final

from callchannel.core import frames as core
from callchannel.core.decoding import decode_packet
from callchannel.core.errors import FrameError, InvalidArgument
from callchannel.core.extensions import Extension
from callchannel.core.frames import DataFlag
from callchannel.core.lanes import Lane
from callchannel.core.recipients import Recipients, mask_of, slots_of

Json = dict[str, Any]

LANES: Final = {"reliable": Lane.RELIABLE, "lossy": Lane.LOSSY}

_DESCRIPTIVE: Final = ("RELIABLE", "HIGH", "PRIVATE", "CONFIRM", "LATEST")
_CONTROL: Final[dict[str, type[core.Control]]] = {
    "CLOSE": core.Close,
    "FAIL": core.Fail,
    "REFUSE": core.Refuse,
    "RECEIPT": core.Receipt,
    "CREDIT": core.Credit,
}
_CONTROL_FIELDS: Final = ("sender", "recipient", "session", "value", "reason")
_HELLO: Final = ("features", "attempt", "received", "window", "largest_message", "resume", "replace")
_WELCOME: Final = ("slot", "features", "attempt", "received", "window", "largest_message", "resume_ms")


def decode(packet: bytes, lane: str) -> Json:
    """The frames of a packet before the first fault, and that fault's code."""
    frames: list[Json] = []
    try:
        frames.extend(to_json(frame) for frame in decode_packet(packet, LANES[lane]))
    except FrameError as error:
        return {"frames": frames, "error": _name(error.code)}
    return {"frames": frames, "error": None}


def encode(frame: Json) -> bytes:
    """The bytes of a frame. Raises `InvalidArgument` for one that can't be written."""
    try:
        encoded: bytes = _from_json(frame).encode()
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InvalidArgument(f"no frame: {error!r}") from error
    return encoded


def _name(code: int | None) -> str | int:
    from callchannel.core.errors import error_name  # noqa: PLC0415

    return error_name(code or 0)


def to_json(frame: Any) -> Json:
    """A frame as the adapter protocol writes it."""
    kind = type(frame).__name__.upper()
    match frame:
        case core.Data():
            return _data_to_json(frame)
        case core.Unknown():
            return {"type": "UNKNOWN", "number": frame.type, "flags": frame.flags, "body": frame.body.hex()}
        case core.Control():
            found: Json = {"type": kind, **{name: getattr(frame, name) for name in _CONTROL_FIELDS}}
            if isinstance(frame, core.Fail):
                found["uncertain"] = frame.uncertain
            return found
        case core.Roster():
            entries = [
                {"op": core.RosterOp(entry.op).name, "slot": entry.slot, "reason": entry.reason, "id": entry.identity}
                for entry in frame.entries
            ]
            return {
                "type": kind,
                "epoch": frame.epoch,
                "snapshot": frame.snapshot,
                "more": frame.more,
                "entries": entries,
            }
        case core.Hello() | core.Welcome():
            names = _HELLO if isinstance(frame, core.Hello) else _WELCOME
            fields = {name: getattr(frame, name) for name in names}
            return {"type": kind, **fields, "token": frame.token.hex(), "id": frame.identity}
        case core.Ack():
            return {"type": kind, "received": frame.received}
        case core.Bye():
            return {"type": kind, "code": int(frame.code), "text": frame.text}
    raise TypeError(f"no frame: {frame!r}")


def _data_to_json(frame: core.Data) -> Json:
    found: Json = {
        "type": "DATA",
        "flags": [name for name in _DESCRIPTIVE if frame.flags & DataFlag[name]],
        "channel": frame.channel,
        "sender": frame.sender,
        "session": frame.session,
        "sequence": frame.sequence,
    }
    if frame.fragment is not None:
        found["fragment"] = {name: getattr(frame.fragment, name) for name in ("index", "total", "last", "abort")}
    if frame.recipients is not None:
        found["recipients"] = {
            "epoch": frame.recipients.epoch,
            "except": frame.recipients.everyone_but,
            "slots": list(slots_of(frame.recipients.slots)),
        }
    if frame.extensions:
        found["extensions"] = [
            {"type": int(e.type), "must_understand": e.must_understand, "value": e.value.hex()}
            for e in frame.extensions
        ]
    found["payload"] = bytes(frame.payload).hex()
    return found


def _from_json(frame: Json) -> Any:
    kind = frame["type"]
    if kind == "DATA":
        return _data_from_json(frame)
    if kind == "UNKNOWN":
        return core.Unknown(frame["number"], frame["flags"], bytes.fromhex(frame["body"]))
    if kind in _CONTROL:
        fields = {name: frame[name] for name in _CONTROL_FIELDS}
        if kind == "FAIL":
            fields["uncertain"] = frame["uncertain"]
        return _CONTROL[kind](**fields)
    if kind == "ROSTER":
        entries = tuple(
            core.RosterEntry(core.RosterOp[e["op"]], e["slot"], e["reason"], e["id"]) for e in frame["entries"]
        )
        return core.Roster(frame["epoch"], entries, snapshot=frame["snapshot"], more=frame["more"])
    if kind in ("HELLO", "WELCOME"):
        names = _HELLO if kind == "HELLO" else _WELCOME
        fields = {name: frame[name] for name in names}
        fields |= {"token": bytes.fromhex(frame["token"]), "identity": frame["id"]}
        return core.Hello(**fields) if kind == "HELLO" else core.Welcome(**fields)
    if kind == "ACK":
        return core.Ack(frame["received"])
    return core.Bye(frame["code"], frame["text"])


def _data_from_json(frame: Json) -> core.Data:
    flags = 0
    for name in frame["flags"]:
        flags |= DataFlag[name]
    fragment = recipients = None
    extensions: tuple[Extension, ...] = ()
    if "fragment" in frame:
        fragment = core.Fragment(**frame["fragment"])
        flags |= DataFlag.FRAGMENT
    if "recipients" in frame:
        block = frame["recipients"]
        recipients = Recipients(block["epoch"], block["except"], mask_of(block["slots"]))
        flags |= DataFlag.RECIPIENTS
    if "extensions" in frame:
        extensions = tuple(
            Extension(e["type"], bytes.fromhex(e["value"]), e["must_understand"]) for e in frame["extensions"]
        )
        flags |= DataFlag.EXTENSIONS
    return core.Data(
        frame["channel"],
        frame["sender"],
        frame["session"],
        frame["sequence"],
        bytes.fromhex(frame["payload"]),
        flags,
        fragment,
        recipients,
        extensions,
    )
