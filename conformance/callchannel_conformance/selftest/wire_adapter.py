# SPDX-License-Identifier: Apache-2.0
"""A codec adapter on the suite's own grammar, whole or with one defect: `python -m …wire_adapter [DEFECT]`.

Whole, it is a second codec that has to pass. Without a rule it is a codec that takes what this rule forbids; where the
rest cannot be read then, it answers another code.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from typing import Any, Final

from callchannel_conformance import wire, wire_rules

Json = dict[str, Any]


_NO_DEFECT: Final = frozenset({"CC-FRAME-081"})
"""Rules whose loss shows nowhere: what is too short for a version is too short for a WELCOME, with the same code."""

_ALL: Final = wire_rules.RULES

Outcome = Callable[[Json, bytes, str], Json]
"""What becomes of frames and code of a packet on a lane."""


def rules() -> list[str]:
    """The requirements of chapter 3 whose rule can be missed, each once."""
    return sorted({rule.requirement for rule in _ALL} - _NO_DEFECT)


def _use(kept: tuple[wire_rules.Rule, ...]) -> None:
    wire_rules.RULES = kept  # type: ignore[misc]
    wire_rules.PACKET_RULES = tuple(rule for rule in kept if rule.of == wire_rules.PACKET)  # type: ignore[misc]
    wire_rules.START_RULES = tuple(rule for rule in kept if rule.of == wire_rules.START)  # type: ignore[misc]
    wire.PACKET_RULES = wire_rules.PACKET_RULES  # type: ignore[attr-defined]


def weaken(defect: str) -> None:
    """Make the grammar of this process defective: `without-` and a requirement, a name of `DEFECTS`, or no defect."""
    global _outcome, _packet  # noqa: PLW0603
    _outcome = _packet = None
    _use(_ALL)
    if defect.startswith("without-"):
        _use(tuple(rule for rule in _ALL if rule.requirement != defect.removeprefix("without-")))
    elif defect:
        change = DEFECTS[defect][1]
        if isinstance(change, tuple):
            _use(change)
        elif defect.startswith("encodes-"):
            _packet = change
        else:
            _outcome = change


def decode(packet: bytes, lane: str) -> Json:
    """Frames and code, as the adapter protocol wants them."""
    try:
        value: Json = {"frames": wire.decode_packet(packet, lane), "error": None}
    except wire.WireError as error:
        value = {"frames": error.frames, "error": error.code}
    except Exception:
        # A grammar with a hole meets what it was never made for.
        value = {"frames": [], "error": "INTERNAL"}
    return value if _outcome is None else _outcome(value, packet, lane)


def answer(request: Json) -> Json:
    """The reply to a request."""
    match request["op"]:
        case "hello":
            value: Json = {
                "protocol": 1,
                "name": "the suite's own grammar",
                "version": "0",
                "document": "0.1",
                "wire": 1,
                "profiles": ["codec"],
                "features": [],
                "limits": {},
            }
        case "reset":
            value = {}
        case "weaken":
            weaken(request["defect"])
            value = {}
        case "decode":
            value = decode(bytes.fromhex(request["packet"]), request["lane"])
        case "encode":
            try:
                encoded = wire.encode_frame(request["frame"], judge=False)
                value = {"packet": (encoded if _packet is None else _packet(encoded)).hex()}
            except ValueError:
                return {"ok": {"raised": {"code": "INVALID_ARGUMENT"}}}
        case op:
            return {"err": {"code": "UNSUPPORTED", "detail": op}}
    return {"ok": {"value": value}}


# --- defects beyond a missing rule ----------------------------------------------------------------


def _on_fault(change: Callable[[Json], Json]) -> Outcome:
    return lambda value, packet, lane: change(value) if value["error"] is not None else value


def _goes_on(value: Json, packet: bytes, lane: str) -> Json:
    """Skip a faulty frame and read on."""
    frames: list[Json] = []
    offset, first = 0, value["error"]
    if first in (None, "PACKET_SIZE", "FRAME_LENGTH"):
        return value
    while offset + 4 <= len(packet):
        length = int.from_bytes(packet[offset + 2 : offset + 4], "big")
        if length < 4:
            break
        with contextlib.suppress(wire.WireError):
            frames += wire.decode_packet(packet[offset : offset + length], lane)
        offset += length
    return {"frames": frames, "error": first}


def _faulty_if(seen: Callable[[Json], bool]) -> Outcome:
    """Take frames with something legal about them for faulty."""

    def change(value: Json, packet: bytes, lane: str) -> Json:
        for number, frame in enumerate(value["frames"]):
            if seen(frame):
                return {"frames": value["frames"][:number], "error": "FRAME_FORMAT"}
        return value

    return change


def _each(change: Callable[[Json], Json]) -> Outcome:
    return lambda value, packet, lane: {**value, "frames": [change(frame) for frame in value["frames"]]}


def _unknown(frame: Json) -> bool:
    return bool(frame["type"] == "UNKNOWN")


def _grease(frame: Json) -> bool:
    return _unknown(frame) and frame["number"] & 0x0F == 0x0A


def _last_first(kept: tuple[wire_rules.Rule, ...]) -> tuple[wire_rules.Rule, ...]:
    return tuple(reversed(kept))


def _late_heads(kept: tuple[wire_rules.Rule, ...], name: str) -> tuple[wire_rules.Rule, ...]:
    """The grammar with the rules on magic and version of HELLO or WELCOME behind those on flags and length."""
    heads = [rule for rule in kept if rule.step == "7a" and rule.of == (name,)]
    rest = [rule for rule in kept if rule not in heads]
    place = next(number for number, rule in enumerate(rest) if rule.step == "8")
    return (*rest[:place], *heads, *rest[place:])


def _short_welcome(value: Json, packet: bytes, lane: str) -> Json:
    """Take the version of a WELCOME that has none for 0."""
    short = packet[:1] == b"\x42" and len(packet) < 6 and value["error"] == "FRAME_FORMAT"
    return {**value, "error": "VERSION"} if short else value


DEFECTS: Final[dict[str, tuple[tuple[str, ...], Any]]] = {
    "one-code": (
        ("CC-FRAME-001", "CC-FRAME-004"),
        _on_fault(lambda value: {**value, "error": "FRAME_FORMAT"}),
    ),
    "forgets-frames": (("CC-FRAME-002", "CC-FRAME-004"), _on_fault(lambda value: {**value, "frames": []})),
    "goes-on": (("CC-FRAME-002", "CC-FRAME-003"), _goes_on),
    "takes-the-rest-for-good": (
        ("CC-FRAME-004",),
        lambda value, packet, lane: {**value, "error": None} if value["frames"] else value,
    ),
    "knows-extensions": (
        ("CC-FRAME-052",),
        _faulty_if(lambda f: any(e["must_understand"] for e in f.get("extensions", ()))),
    ),
    "knows-reasons": (("CC-FRAME-059",), _faulty_if(lambda f: f.get("reason", 0) > 0x00FF)),
    "reasons-lost": (
        ("CC-FRAME-059",),
        _each(lambda f: {**f, "reason": 0x0002} if f.get("reason", 0) > 0x00FF else f),
    ),
    "knows-features": (
        ("CC-FRAME-080", "CC-FRAME-090"),
        _faulty_if(lambda f: f.get("features", 0) > 0xFF),
    ),
    "tokens-not-zero": (
        ("CC-FRAME-080", "CC-FRAME-090"),
        _faulty_if(lambda f: f.get("token") == "00" * 16),
    ),
    "knows-codes": (("CC-FRAME-094",), _faulty_if(lambda f: f["type"] == "BYE" and f["code"] > 0x00FF)),
    "codes-lost": (
        ("CC-FRAME-094",),
        _each(lambda f: {**f, "code": 0x0002} if f["type"] == "BYE" and f["code"] > 0x00FF else f),
    ),
    "text-ascii": (("CC-FRAME-095",), _faulty_if(lambda f: not str(f.get("text", "")).isascii())),
    "text-ends-at-zero": (
        ("CC-FRAME-095",),
        _each(lambda f: {**f, "text": f["text"].split("\0")[0]} if "text" in f else f),
    ),
    "unknown-flags": (("CC-FRAME-099",), _faulty_if(lambda f: _unknown(f) and f["flags"] != 0)),
    "unknown-bodies": (("CC-FRAME-099",), _faulty_if(lambda f: _unknown(f) and len(f["body"]) > 8)),
    "knows-grease": (("CC-FRAME-101", "CC-FRAME-098"), _faulty_if(_grease)),
    "wrong-order": (("CC-FRAME-102",), _last_first(_ALL)),
    "hello-head-late": (("CC-FRAME-072", "CC-FRAME-102"), _late_heads(_ALL, "HELLO")),
    "welcome-head-late": (("CC-FRAME-083", "CC-FRAME-102"), _late_heads(_ALL, "WELCOME")),
    "welcome-without-version": (("CC-FRAME-081",), _short_welcome),
    "encodes-flags": (("CC-FRAME-103",), lambda packet: packet[:1] + bytes([packet[1] | 0x01]) + packet[2:]),
    "encodes-more": (("CC-FRAME-103",), lambda packet: packet[:2] + bytes([packet[2], packet[3] + 1]) + packet[4:]),
}
"""Name: the requirements that it violates, and other rules, or a function of the outcome or of the encoded frame."""

_outcome: Outcome | None = None
_packet: Callable[[bytes], bytes] | None = None


def main() -> None:
    """Answer until standard input ends."""
    if len(sys.argv) > 1:
        weaken(sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps({"id": request["id"], **answer(request)}), flush=True)


if __name__ == "__main__":
    main()
