# SPDX-License-Identifier: Apache-2.0
"""The wire grammar: against the standard's registry and examples, by round trips, and by bytes of any kind."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callchannel_conformance import wire, wire_grammar, wire_rules, wire_strategies
from callchannel_conformance.wire import WireError

SPEC = Path(__file__).resolve().parents[2] / "spec"
REGISTRY = tomllib.loads((SPEC / "registry" / "frames.toml").read_text(encoding="utf-8"))
FRAMES = {frame["name"]: frame for frame in REGISTRY["frame"]}
BLOCKS = {block["name"]: block for block in REGISTRY["block"]}
CODES = {error["name"] for error in tomllib.loads((SPEC / "registry" / "errors.toml").read_text("utf-8"))["error"]}
LANES = ("reliable", "lossy")
HI = bytes.fromhex("010100120007000200000005000000016869")


def examples() -> list[Any]:
    """Return every `hex` example of the standard: its mark and its bytes."""
    found = []
    for path in sorted(SPEC.glob("*.md")):
        for mark, body in re.findall(r"^```hex ([^\n]+)\n(.*?)^```", path.read_text("utf-8"), re.DOTALL | re.MULTILINE):
            packet = bytes.fromhex("".join(line.split(";")[0] for line in body.splitlines()))
            found.append(pytest.param(mark, packet, id=f"{path.name}-{mark.split()[-1]}"))
    return found


def whole_packets() -> list[Any]:
    """Return the positive vectors of up to 120 bytes."""
    return [
        pytest.param(vector["lane"], bytes.fromhex(vector["hex"]), id=vector["id"])
        for path in sorted((SPEC / "vectors").glob("*.json"))
        if path.name != "schema.json"
        for vector in json.loads(path.read_text("utf-8"))["vectors"]
        if "frames" in vector and len(vector["hex"]) <= 240
    ]


def outcome(packet: bytes, lane: str) -> tuple[str | None, list[wire.Frame]]:
    """Return code and frames, as a reader has exactly one outcome for each packet (CC-FRAME-004)."""
    try:
        return None, wire.decode_packet(packet, lane)
    except WireError as error:
        return error.code, error.frames


# --- Against the registry ---------------------------------------------------------------------------


def test_types_are_those_of_the_registry() -> None:
    assert {frame["type"]: name for name, frame in FRAMES.items()} == wire_grammar.NAMES
    assert REGISTRY["type_bits"] == {"skippable": wire_grammar.SKIPPABLE, "uncounted": wire_grammar.UNCOUNTED}
    assert REGISTRY["magic"] == wire_grammar.MAGIC
    assert REGISTRY["wire_version"] == wire_grammar.WIRE_VERSION
    assert REGISTRY["no_slot"] == wire_grammar.NO_SLOT
    assert REGISTRY["roster_ops"] == wire_grammar.OP_NUMBERS
    assert {name for name, frame in FRAMES.items() if frame.get("control")} == set(wire_grammar.CONTROL)


@pytest.mark.parametrize("name", FRAMES)
def test_flags_are_those_of_the_registry(name: str) -> None:
    for bit in range(8):
        parsed = wire_grammar.FLAGS[name].parse(bytes([1 << bit]))
        named = [flag["name"] for flag in FRAMES[name]["flags"] if flag["bit"] == 1 << bit]
        assert [key for key in parsed if key not in ("_io", "reserved") and parsed[key]] == named
        assert bool(parsed.get("reserved", 0)) == (not named)


@pytest.mark.parametrize("name", FRAMES)
def test_fields_are_those_of_the_registry(name: str) -> None:
    fields = FRAMES[name].get("fields", REGISTRY["control"]["fields"])
    # An identifier and its length are one field here.
    due = [field["name"] for field in fields if field["name"] != "id_length"]
    assert [part.name for part in wire_grammar.BODIES[name].subcons if part.name != "end"] == due
    smallest = FRAMES[name].get("min_length", REGISTRY["control"]["length"])
    assert wire_rules.SMALLEST[name] == smallest


def test_blocks_are_as_large_as_in_the_registry() -> None:
    assert wire_grammar.FRAGMENT.sizeof() == BLOCKS["fragment"]["size"]
    assert wire_grammar.WORD.sizeof() == BLOCKS["word"]["size"]


def test_codes_are_in_the_registry() -> None:
    assert {rule.code for rule in wire_rules.RULES} <= CODES


# --- Against the examples of the standard -----------------------------------------------------------


@pytest.mark.parametrize(("mark", "packet"), examples())
def test_example(mark: str, packet: bytes) -> None:
    words = mark.split()
    code, frames = outcome(packet, "reliable")
    assert code == (words[1] if words[0] == "invalid" else None)
    if code is None:
        assert (len(frames) == 1) == (words[0] != "packet")
        assert wire.encode_packet(frames) == packet


# --- Round trips ------------------------------------------------------------------------------------


@pytest.mark.parametrize("lane", LANES)
@given(data=st.data())
def test_property_frames_come_back(lane: str, data: st.DataObject) -> None:
    frame = data.draw(wire_strategies.frames(lane))
    encoded = wire.encode_frame(frame, judge=False)
    assert wire.decode_frame(encoded, lane) == frame
    assert json.loads(json.dumps(frame)) == frame


@given(wire_strategies.packets())
def test_property_packets_come_back(drawn: tuple[str, bytes]) -> None:
    lane, packet = drawn
    frames = wire.decode_packet(packet, lane)
    assert wire.encode_packet(frames, lane) == packet
    assert b"".join(wire.encode_frame(frame) for frame in frames) == packet


# --- Bytes of any kind ------------------------------------------------------------------------------


def judged(packet: bytes, lane: str) -> None:
    """Check what holds for all bytes: one outcome, the same each time, that fits the list of all broken rules."""
    broken = list(wire_rules.broken(packet, lane))
    try:
        frames = wire.decode_packet(packet, lane)
    except WireError as error:
        assert error.code in CODES
        assert (error.offset, error.requirement) == (broken[0][0], broken[0][1].requirement)
        if error.frames:
            assert wire.decode_packet(packet[: error.offset], lane) == error.frames
        else:
            assert error.offset == 0
    else:
        assert not broken
        assert wire.encode_packet(frames, lane) == packet


@given(st.binary(max_size=120), st.sampled_from(LANES))
def test_property_any_bytes(packet: bytes, lane: str) -> None:
    judged(packet, lane)


@given(wire_strategies.framed_bytes())
def test_property_framed_bytes(drawn: tuple[str, bytes]) -> None:
    lane, packet = drawn
    judged(packet, lane)


@given(wire_strategies.mutated_packets())
def test_property_mutated_packets(drawn: tuple[str, bytes]) -> None:
    lane, packet = drawn
    judged(packet, lane)


@pytest.mark.parametrize(("lane", "packet"), whole_packets())
def test_every_truncation(lane: str, packet: bytes) -> None:
    whole = wire.decode_packet(packet, lane)
    for size in range(len(packet)):
        code, frames = outcome(packet[:size], lane)
        if size == 0:
            assert (code, frames) == ("PACKET_SIZE", [])
        elif code is not None:
            assert code == "FRAME_LENGTH"
        assert frames == whole[: len(frames)]
        assert len(frames) < len(whole)


@pytest.mark.parametrize("lane", LANES)
def test_every_single_byte_change(lane: str) -> None:
    """Each byte of one frame of each kind, set to each value."""
    bundle = [
        frame
        for name in ("every-op", "two", "hello", "welcome", "bye", "fail", "some", "first")
        for path in ("roster", "extensions", "handshake", "link", "control", "recipients", "fragments")
        for frame in _frames_of(path, f"{path}/{name}")
    ]
    assert len(bundle) >= 8
    for frame in bundle:
        packet = wire.encode_frame(frame)
        for place in range(len(packet)):
            for value in (
                0x00,
                0x01,
                0x7F,
                0x80,
                0xFF,
                packet[place] ^ 0x01,
                packet[place] ^ 0x10,
                packet[place] ^ 0x80,
            ):
                judged(packet[:place] + bytes([value]) + packet[place + 1 :], lane)


def _frames_of(name: str, identifier: str) -> list[wire.Frame]:
    document = json.loads((SPEC / "vectors" / f"{name}.json").read_text("utf-8"))
    return [frame for vector in document["vectors"] if vector["id"] == identifier for frame in vector["frames"]]


@pytest.mark.parametrize("lane", LANES)
def test_every_type(lane: str) -> None:
    """Every type, in a frame of 4 bytes, has the outcome of sections 3.3, 3.4 and 3.13."""
    for number in range(256):
        code, frames = outcome(bytes([number, 0, 0, 4]), lane)
        if number & 0x80:
            assert (code, frames[0]["number"]) == (None, number)
        elif number not in wire_grammar.NAMES:
            assert code == "UNKNOWN_TYPE"
        else:
            assert code == ("WRONG_LANE" if lane == "lossy" and number != 1 else "FRAME_FORMAT")


def test_text_is_judged_as_python_does() -> None:
    """RFC 3629 as an expression against a decoder that has nothing to do with it: all leading bytes, all edges."""
    tails = (0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF)
    for lead in range(256):
        for rest in [
            b"",
            *(bytes([a]) for a in tails),
            *(bytes([a, b, c]) for a in tails for b in tails for c in tails),
        ]:
            for text in (bytes([lead]) + rest, bytes([lead]) + rest[:2]):
                try:
                    text.decode("utf-8")
                except UnicodeDecodeError:
                    assert not wire_rules.is_utf8(text)
                else:
                    assert wire_rules.is_utf8(text)


# --- Rules ------------------------------------------------------------------------------------------


def test_rules_stand_in_the_order_of_judgement() -> None:
    steps = [rule.step for rule in wire_rules.RULES]
    assert steps == sorted(steps)


def test_every_rule_is_about_something_known() -> None:
    groups = {"PACKET", "START", "KNOWN"}
    for rule in wire_rules.RULES:
        assert set(rule.of) <= groups | set(wire_grammar.NUMBERS), rule.requirement


# --- The API ----------------------------------------------------------------------------------------


def test_error_names_place_rule_and_frames_before() -> None:
    with pytest.raises(WireError, match="FRAME_FORMAT at byte 18: CC-FRAME-016") as caught:
        wire.decode_packet(HI + HI[:4] + bytes(2) + HI[6:])
    error = caught.value
    assert (error.code, error.offset, error.requirement) == ("FRAME_FORMAT", 18, "CC-FRAME-016")
    assert error.frames == [wire.decode_frame(HI)]


def test_decode_frame_wants_one_frame() -> None:
    with pytest.raises(ValueError, match="2 frames"):
        wire.decode_frame(HI + HI)


def test_lane_is_checked() -> None:
    with pytest.raises(ValueError, match="no lane"):
        wire.decode_packet(HI, "fast")


@pytest.mark.parametrize(
    "change",
    [
        {"type": "NONE"},
        {"channel": 65_536},
        {"session": -1},
        {"payload": "0"},
        {"flags": ["FRAGMENT"]},
        {"flags": ["LOUD"]},
        {"fragment": {"index": 2**30, "total": 0, "last": False, "abort": False}},
        {"payload": "00" * 65_536},
        {"channel": None},
        {"channel": "7"},
    ],
)
def test_what_has_no_encoding_raises_value_error(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no encoding"):
        wire.encode_frame({**wire.decode_frame(HI), **change})


def test_encoder_judges_unless_told_not_to() -> None:
    frame = {**wire.decode_frame(HI), "sequence": 0}
    with pytest.raises(WireError):
        wire.encode_frame(frame)
    with pytest.raises(WireError):
        wire.encode_packet([frame])
    assert outcome(wire.encode_frame(frame, judge=False), "reliable")[0] == "FRAME_FORMAT"
    assert outcome(wire.encode_packet([frame], judge=False), "reliable")[0] == "FRAME_FORMAT"


def test_unknown_frames_are_never_counted_on_the_lossy_lane() -> None:
    frame = {"type": "UNKNOWN", "number": 0x8A, "flags": 0, "body": ""}
    assert wire.countable(frame, "reliable")
    assert not wire.countable(frame, "lossy")
    assert not wire.countable({**frame, "number": 0xCA}, "reliable")
