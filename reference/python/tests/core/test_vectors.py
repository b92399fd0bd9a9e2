# SPDX-License-Identifier: Apache-2.0
"""Every test vector of the standard, against the codec (CC-FRAME-001 to CC-FRAME-104)."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from callchannel.core import frames as wire
from callchannel.core.decoding import decode_packet, is_countable
from callchannel.core.errors import FrameError
from callchannel.core.lanes import Lane

VECTORS = [
    vector
    for path in sorted((Path(__file__).resolve().parents[4] / "spec" / "vectors").glob("*.json"))
    if path.name != "schema.json"
    for vector in json.loads(path.read_text(encoding="utf-8"))["vectors"]
]
LANES = {"reliable": Lane.RELIABLE, "lossy": Lane.LOSSY}
DESCRIPTIVE = ("RELIABLE", "HIGH", "PRIVATE", "CONFIRM", "LATEST")


def data_as_dict(frame: wire.Data) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "flags": [name for name in DESCRIPTIVE if frame.flags & wire.DataFlag[name]],
        "channel": frame.channel,
        "sender": frame.sender,
        "session": frame.session,
        "sequence": frame.sequence,
    }
    if frame.fragment is not None:
        fields["fragment"] = dataclasses.asdict(frame.fragment)
    if frame.recipients is not None:
        slots = frame.recipients.slots
        fields["recipients"] = {
            "epoch": frame.recipients.epoch,
            "except": frame.recipients.everyone_but,
            "slots": [slot for slot in range(slots.bit_length()) if slots >> slot & 1],
        }
    if frame.extensions:
        fields["extensions"] = [
            {"type": e.type, "must_understand": e.must_understand, "value": e.value.hex()} for e in frame.extensions
        ]
    return fields | {"payload": frame.payload.hex()}


def as_dict(frame: wire.Frame) -> dict[str, Any]:
    """Write a decoded frame as the vectors do."""
    match frame:
        case wire.Data():
            fields = data_as_dict(frame)
        case wire.Control():
            fields = {name: getattr(frame, name) for name in ("sender", "recipient", "session", "value", "reason")}
            if isinstance(frame, wire.Fail):
                fields["uncertain"] = frame.uncertain
        case wire.Roster():
            fields = {name: getattr(frame, name) for name in ("snapshot", "more", "epoch")}
            fields["entries"] = [
                {"op": wire.RosterOp(e.op).name, "slot": e.slot, "reason": e.reason, "id": e.identity}
                for e in frame.entries
            ]
        case wire.Hello() | wire.Welcome():
            names = ["features", "attempt", "received", "window", "largest_message"]
            names += ["resume", "replace"] if isinstance(frame, wire.Hello) else ["slot", "resume_ms"]
            fields = {name: getattr(frame, name) for name in names}
            fields |= {"token": frame.token.hex(), "id": frame.identity}
        case wire.Ack():
            fields = {"received": frame.received}
        case wire.Bye():
            fields = {"code": int(frame.code), "text": frame.text}
        case wire.Unknown():
            fields = {"number": frame.type, "flags": frame.flags, "body": frame.body.hex()}
    return {"type": type(frame).__name__.upper(), **fields}


def decoded(vector: dict[str, Any]) -> tuple[list[wire.Frame], str | None]:
    """Return the frames of a vector's packet up to the first fault, and the fault's code."""
    frames: list[wire.Frame] = []
    try:
        # One by one: what was decoded before a fault stands.
        for frame in decode_packet(bytes.fromhex(vector["hex"]), LANES[vector["lane"]]):
            frames.append(frame)  # noqa: PERF402
    except FrameError as error:
        return frames, error.code.name
    return frames, None


def test_there_are_vectors_of_both_kinds() -> None:
    assert sum("code" in vector for vector in VECTORS) > 500
    assert sum("frames" in vector for vector in VECTORS) > 300


@pytest.mark.parametrize("vector", [v for v in VECTORS if "frames" in v], ids=lambda vector: vector["id"])
def test_positive(vector: dict[str, Any]) -> None:
    frames, code = decoded(vector)
    assert code is None
    assert [as_dict(frame) for frame in frames] == vector["frames"]
    assert b"".join(frame.encode() for frame in frames).hex() == vector["hex"]


@pytest.mark.parametrize("vector", [v for v in VECTORS if "frames" in v], ids=lambda vector: vector["id"])
def test_counted(vector: dict[str, Any]) -> None:
    """CC-FRAME-097: the lossy lane counts nothing, the reliable one by type and RELIABLE."""
    packet, offset, counted = bytes.fromhex(vector["hex"]), 0, 0
    while offset < len(packet):
        counted += vector["lane"] == "reliable" and is_countable(packet[offset], packet[offset + 1])
        offset += int.from_bytes(packet[offset + 2 : offset + 4], "big")
    assert counted == vector["counted"]


@pytest.mark.parametrize("vector", [v for v in VECTORS if "code" in v], ids=lambda vector: vector["id"])
def test_negative(vector: dict[str, Any]) -> None:
    frames, code = decoded(vector)
    assert code == vector["code"]
    assert [as_dict(frame) for frame in frames] == vector.get("frames_before", [])


@pytest.mark.parametrize("vector", [v for v in VECTORS if "code" in v], ids=lambda vector: vector["id"])
def test_negative_names_a_broken_rule(vector: dict[str, Any]) -> None:
    """The error names one of the rules that the packet breaks, so that its text points at the right sentence."""
    with pytest.raises(FrameError) as caught:
        list(decode_packet(bytes.fromhex(vector["hex"]), LANES[vector["lane"]]))
    assert caught.value.requirement in vector["requirements"]
