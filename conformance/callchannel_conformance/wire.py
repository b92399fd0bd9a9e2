# SPDX-License-Identifier: Apache-2.0
"""Decode and encode packets and frames of wire version 1, independently of every implementation.

Frames are plain dictionaries that JSON can hold; `spec/vectors/schema.json` describes them. Structure comes from
`wire_grammar`, the rules and their order from `wire_rules`. Begin with `decode_packet`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

from construct import ConstructError

from callchannel_conformance import wire_grammar as grammar
from callchannel_conformance.wire_rules import LANES, PACKET_RULES, RELIABLE_LANE, Rule, Subject, first_of_frame

Frame: TypeAlias = dict[str, Any]

DESCRIPTIVE_FLAGS: Final = ("RELIABLE", "HIGH", "PRIVATE", "CONFIRM", "LATEST")
"""Flags of DATA that describe the message, in the order of their bits. The others say which blocks are there."""

_BITS_OF_A_WORD: Final = 32


class WireError(Exception):
    """A packet that breaks a rule.

    `code` is the name of the error code, such as "FRAME_FORMAT"; `requirement` the ID of the rule; `offset` where the
    frame at fault begins in the packet, in bytes (0 for a fault of the packet itself); `frames` holds the frames before
    it, which stand (CC-FRAME-002, CC-FRAME-003).
    """

    def __init__(self, code: str, requirement: str, offset: int, frames: list[Frame]) -> None:
        super().__init__(f"{code} at byte {offset}: {requirement}")
        self.code = code
        self.requirement = requirement
        self.offset = offset
        self.frames = frames


def decode_packet(data: bytes, lane: str = RELIABLE_LANE) -> list[Frame]:
    """Return the frames of a packet that came on *lane*, "reliable" or "lossy".

    Frames of unknown types that may be skipped are given out as type "UNKNOWN". Raises WireError for the first broken
    rule in the validation order (CC-FRAME-102), and nothing else whatever the bytes are; ValueError for another lane.
    """
    if lane not in LANES:
        raise ValueError(f"no lane: {lane!r}")
    subject = Subject(data, lane)
    frames: list[Frame] = []
    for rule in PACKET_RULES:
        if not rule.holds(subject):
            raise _error(rule, subject, frames)
    while subject.left:
        fault = first_of_frame(subject)
        if fault is not None:
            raise _error(fault, subject, frames)
        frames.append(_as_dict(subject))
        subject = Subject(data, lane, subject.offset + subject.length)
    return frames


def decode_frame(data: bytes, lane: str = RELIABLE_LANE) -> Frame:
    """Return the one frame that *data* holds. Raises as `decode_packet` does, and ValueError for several frames."""
    frames = decode_packet(data, lane)
    if len(frames) != 1:
        raise ValueError(f"{len(frames)} frames where one is due")
    return frames[0]


def encode_frame(frame: Frame, *, judge: bool = True) -> bytes:
    """Return the one encoding of *frame* (CC-FRAME-103).

    With *judge* the result is decoded again and WireError raised if it breaks a rule; without, a frame can be written
    that breaks one. Raises ValueError for a dictionary that has no encoding: a key is missing, a number does not fit.
    """
    try:
        number, flags, body = _layout(frame)
        data = bytes(grammar.FRAME.build({"type": number, "flags": flags, "body": body}))
    except (ConstructError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"no encoding: {error!r}") from error
    if judge:
        decode_packet(data)
    return data


def encode_packet(frames: Iterable[Frame], lane: str = RELIABLE_LANE, *, judge: bool = True) -> bytes:
    """Return a packet of *frames*, back to back. With *judge* it raises WireError when it breaks a rule on *lane*."""
    data = b"".join(encode_frame(frame, judge=False) for frame in frames)
    if judge:
        decode_packet(data, lane)
    return data


def countable(frame: Frame, lane: str) -> bool:
    """Say whether both sides of a link count a valid *frame* that travels on *lane* (CC-FRAME-097)."""
    if lane != RELIABLE_LANE:
        return False
    number = frame["number"] if frame["type"] == "UNKNOWN" else grammar.NUMBERS[frame["type"]]
    lossy = frame["type"] == "DATA" and "RELIABLE" not in frame["flags"]
    return not number & grammar.UNCOUNTED and not lossy


def _error(rule: Rule, subject: Subject, frames: list[Frame]) -> WireError:
    return WireError(rule.code, rule.requirement, subject.offset, frames)


# --- From bytes -----------------------------------------------------------------------------------


def _as_dict(subject: Subject) -> Frame:
    """Return a valid frame as a dictionary."""
    name = subject.name
    if name is None:
        body = grammar.FRAME.parse(subject.raw).body
        return {"type": "UNKNOWN", "number": subject.number, "flags": subject.start.flags, "body": body.hex()}
    return {"type": name, **_READERS[name](subject)}


def _read_data(s: Subject) -> Frame:
    body = s.body
    frame: Frame = {name: getattr(body, name) for name in ("channel", "sender", "session", "sequence")}
    frame["flags"] = [name for name in DESCRIPTIVE_FLAGS if s.flags[name]]
    if body.fragment is not None:
        frame["fragment"] = {name: body.fragment[name] for name in ("index", "total", "last", "abort")}
    if body.recipients is not None:
        frame["recipients"] = {
            "epoch": body.recipients.epoch,
            "except": body.recipients.head["except"],
            "slots": [
                word.index * _BITS_OF_A_WORD + bit
                for word in body.recipients.words
                for bit in range(_BITS_OF_A_WORD)
                if word.bits >> bit & 1
            ],
        }
    if body.extensions is not None:
        frame["extensions"] = [
            {"type": e.head.type, "must_understand": e.head.must_understand, "value": e.value.hex()}
            for e in body.extensions
        ]
    frame["payload"] = body.payload.hex()
    return frame


def _read_control(s: Subject) -> Frame:
    frame: Frame = {name: getattr(s.body, name) for name in ("sender", "recipient", "session", "value", "reason")}
    if s.name == "FAIL":
        frame["uncertain"] = s.flags.UNCERTAIN
    return frame


def _read_roster(s: Subject) -> Frame:
    entries = [
        {"op": grammar.OPS[e.op], "slot": e.slot, "reason": e.reason, "id": e.id.decode("utf-8")}
        for e in s.body.entries
    ]
    return {"epoch": s.body.epoch, "snapshot": s.flags.SNAPSHOT, "more": s.flags.MORE, "entries": entries}


def _read_handshake(s: Subject) -> Frame:
    frame: Frame = {}
    if s.name == "HELLO":
        frame |= {"resume": s.flags.RESUME, "replace": s.flags.REPLACE}
    names = _HELLO_NUMBERS if s.name == "HELLO" else _WELCOME_NUMBERS
    frame |= {name: getattr(s.body, name) for name in names}
    return frame | {"token": s.body.token.hex(), "id": s.body.id.decode("utf-8")}


def _read_ack(s: Subject) -> Frame:
    return {"received": s.body.received}


def _read_bye(s: Subject) -> Frame:
    return {"code": s.body.code, "text": s.body.text.decode("utf-8")}


_HELLO_NUMBERS: Final = ("features", "attempt", "received", "window", "largest_message")
_WELCOME_NUMBERS: Final = ("slot", *_HELLO_NUMBERS, "resume_ms")

_READERS: Final[dict[str, Callable[[Subject], Frame]]] = {
    "DATA": _read_data,
    **dict.fromkeys(grammar.CONTROL, _read_control),
    "ROSTER": _read_roster,
    "HELLO": _read_handshake,
    "WELCOME": _read_handshake,
    "ACK": _read_ack,
    "BYE": _read_bye,
}


# --- To bytes -------------------------------------------------------------------------------------


def _layout(frame: Frame) -> tuple[int, int, bytes]:
    """Return type, flags and body of *frame*."""
    name = frame["type"]
    if name == "UNKNOWN":
        return frame["number"], frame["flags"], bytes.fromhex(frame["body"])
    flags, fields = _WRITERS[name](frame)
    layout = grammar.FLAGS[name]
    byte = layout.build({part.name: flags.pop(part.name, 0) for part in layout.subcon.subcons})
    if flags:
        raise ValueError(f"no flags of {name}: {sorted(flags)}")
    parameter = layout.parse(byte)
    return grammar.NUMBERS[name], byte[0], bytes(grammar.BODIES[name].build(fields, flags=parameter))


def _write_data(frame: Frame) -> tuple[Frame, Frame]:
    unknown = set(frame["flags"]) - set(DESCRIPTIVE_FLAGS)
    if unknown:
        raise ValueError(f"no flags that describe a message: {sorted(unknown)}")
    flags: Frame = dict.fromkeys(frame["flags"], True)
    flags |= {block.upper(): True for block in ("fragment", "recipients", "extensions") if block in frame}
    fields = {name: frame[name] for name in ("channel", "sender", "session", "sequence")}
    fields |= {"fragment": frame.get("fragment"), "recipients": None, "extensions": None}
    if "recipients" in frame:
        block = frame["recipients"]
        words: dict[int, int] = {}
        for slot in sorted(block["slots"]):
            index, bit = divmod(slot, _BITS_OF_A_WORD)
            words[index] = words.get(index, 0) | 1 << bit
        fields["recipients"] = {
            "epoch": block["epoch"],
            "head": {"except": block["except"]},
            "words": [{"index": index, "bits": bits} for index, bits in words.items()],
        }
    if "extensions" in frame:
        fields["extensions"] = [
            {
                "head": {"must_understand": e["must_understand"], "type": e["type"]},
                "value": bytes.fromhex(e["value"]),
            }
            for e in frame["extensions"]
        ]
    fields["payload"] = bytes.fromhex(frame["payload"])
    return flags, fields


def _write_control(frame: Frame) -> tuple[Frame, Frame]:
    flags = {"UNCERTAIN": frame["uncertain"]} if frame["type"] == "FAIL" else {}
    return flags, {name: frame[name] for name in ("sender", "recipient", "session", "value", "reason")}


def _write_roster(frame: Frame) -> tuple[Frame, Frame]:
    entries = [
        {"op": grammar.OP_NUMBERS[e["op"]], "slot": e["slot"], "reason": e["reason"], "id": e["id"].encode("utf-8")}
        for e in frame["entries"]
    ]
    return {"SNAPSHOT": frame["snapshot"], "MORE": frame["more"]}, {"epoch": frame["epoch"], "entries": entries}


def _write_handshake(frame: Frame) -> tuple[Frame, Frame]:
    hello = frame["type"] == "HELLO"
    flags = {"RESUME": frame["resume"], "REPLACE": frame["replace"]} if hello else {}
    fields = {name: frame[name] for name in (_HELLO_NUMBERS if hello else _WELCOME_NUMBERS)}
    fields |= {"magic": grammar.MAGIC, "version": grammar.WIRE_VERSION}
    return flags, fields | {"token": bytes.fromhex(frame["token"]), "id": frame["id"].encode("utf-8")}


def _write_ack(frame: Frame) -> tuple[Frame, Frame]:
    return {}, {"received": frame["received"]}


def _write_bye(frame: Frame) -> tuple[Frame, Frame]:
    return {}, {"code": frame["code"], "text": frame["text"].encode("utf-8")}


_WRITERS: Final[dict[str, Callable[[Frame], tuple[Frame, Frame]]]] = {
    "DATA": _write_data,
    **dict.fromkeys(grammar.CONTROL, _write_control),
    "ROSTER": _write_roster,
    "HELLO": _write_handshake,
    "WELCOME": _write_handshake,
    "ACK": _write_ack,
    "BYE": _write_bye,
}
