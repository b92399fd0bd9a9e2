# SPDX-License-Identifier: Apache-2.0
"""The codec profile: every test vector, frames and packets that are drawn, and one encoding for each frame."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from callchannel_conformance import frames as f
from callchannel_conformance import standard, wire
from callchannel_conformance import wire_strategies as strategies
from callchannel_conformance.checks import codec_scene as scene
from callchannel_conformance.client import Client
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect_equal

Json = dict[str, Any]

_DRAWN = settings(
    max_examples=300,
    deadline=None,
    database=None,
    derandomize=True,
    report_multiple_bugs=False,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)


def _positive(vector: Json) -> bool:
    return "frames" in vector


def _parameters(wanted: bool) -> list[Any]:
    found = []
    for vector in standard.vectors():
        if _positive(vector) is not wanted:
            continue
        named = [name for name in vector["requirements"] if name in standard.requirements()]
        mark = (positive if wanted else negative)(*(named or ["CC-FRAME-004"]), "CC-FRAME-001")
        found.append(pytest.param(vector, id=vector["id"], marks=mark))
    return found


@pytest.mark.parametrize("vector", _parameters(True))
def test_vector_positive(implementation: Client, vector: Json) -> None:
    """A valid packet is taken, with these frames."""
    frames, error = scene.decode(implementation, bytes.fromhex(vector["hex"]), vector["lane"])
    requirement = (vector["requirements"] or ["CC-FRAME-004"])[0]
    expect_equal(error, None, requirement, f"{vector['title']}: the packet is valid")
    scene.same(frames, scene.known(vector["frames"]), requirement, vector["title"])
    if vector["canonical"] and vector["lane"] == "reliable":
        encoded = "".join(scene.encode(implementation, frame) for frame in vector["frames"])
        expect_equal(encoded, vector["hex"], "CC-FRAME-103", f"{vector['title']}: encoding gives other bytes")


@pytest.mark.parametrize("vector", _parameters(False))
def test_vector_negative(implementation: Client, vector: Json) -> None:
    """A packet with a fault yields this code, and the frames before it stand."""
    frames, error = scene.decode(implementation, bytes.fromhex(vector["hex"]), vector["lane"])
    requirement = vector["requirements"][0]
    what = f"{vector['base']}, but {vector['fault']}"
    expect_equal(error, vector["code"], requirement, f"{what}: {vector['why']}")
    stand = "CC-FRAME-003" if vector["lane"] == "lossy" else "CC-FRAME-002"
    scene.same(frames, scene.known(vector.get("frames_before", [])), stand, f"{what}: before the fault")


@pytest.mark.generated
@positive("CC-FRAME-103", "CC-FRAME-004")
def test_drawn_packets(implementation: Client, deadline: float | None) -> None:
    """Valid packets that are drawn are taken, and encoded again to the same bytes."""
    implementation.needs(profile="codec")

    @_DRAWN
    @given(strategies.packets())
    def judge(drawn: tuple[str, bytes]) -> None:
        if deadline is not None and time.monotonic() > deadline:
            return
        lane, packet = drawn
        if packet:
            scene.run_packet(scene.packet_plan(lane, packet, encoded=True), implementation)

    judge()


@pytest.mark.generated
@negative("CC-FRAME-001", "CC-FRAME-002", "CC-FRAME-004", "CC-FRAME-102")
@pytest.mark.parametrize("kind", ["mutated", "framed"])
def test_drawn_faults(implementation: Client, deadline: float | None, kind: str) -> None:
    """Packets with faults that are drawn have the outcome of the independent grammar."""
    implementation.needs(profile="codec")
    strategy = strategies.mutated_packets() if kind == "mutated" else strategies.framed_bytes()

    @_DRAWN
    @given(strategy)
    def judge(drawn: tuple[str, bytes]) -> None:
        if deadline is not None and time.monotonic() > deadline:
            return
        scene.run_packet(scene.packet_plan(*drawn, encoded=False), implementation)

    judge()


@negative("CC-FRAME-095", "CC-FRAME-079", "CC-FRAME-089", "CC-FRAME-093", "CC-FRAME-068")
@pytest.mark.parametrize(
    "text", ["c080", "eda080", "edbfbf", "f4908080", "f8808080", "e28c", "80", "c1bf", "e09f80", "f08f8080", "ff"]
)
def test_text_invalid(implementation: Client, text: str) -> None:
    """Byte sequences that RFC 3629 does not allow are no text, wherever text stands."""
    raw = bytes.fromhex(text)
    bye = b"\x44\x00" + (6 + len(raw)).to_bytes(2, "big") + b"\x00\x00" + raw
    scene.judge(implementation, bye, "reliable")


@positive("CC-FRAME-095")
@pytest.mark.parametrize("text", ["00", "7f", "c280", "e0a080", "ed9fbf", "ee8080", "f0908080", "f48fbfbf", "efbfbe"])
def test_text_valid(implementation: Client, text: str) -> None:
    """Every other code point is text, U+0000 included."""
    raw = bytes.fromhex(text)
    bye = b"\x44\x00" + (6 + len(raw)).to_bytes(2, "big") + b"\x00\x00" + raw
    scene.judge(implementation, bye, "reliable")


_ANY: dict[str, Json] = {
    "extension-unknown-must": f.data(extensions=[(0x7FFF, b"\0", True)]),
    "extension-zero-must": f.data(extensions=[(0, b"", True)]),
    "extension-malformed": f.data(extensions=[(1, b"\xff", True), (3, b"", False), (4, b"x", True)]),
    "reason-unknown": f.close(1, reason=0x3ABC),
    "reason-last": f.fail(1, 0xFFFF, recipient=2),
    "reason-refuse": f.refuse(1, 0x0001, sender=0),
    "hello-features": f.hello(features=2**32 - 1, token=bytes(16)),
    "hello-token": f.hello(token=b"\xff" * 16, resume=True, received=2**64 - 1),
    "welcome-features": f.welcome(slot=0, identity="x", features=2**32 - 1, token=bytes(16)),
    "welcome-numbers": f.welcome(slot=0, identity="x", received=2**64 - 1, resume_ms=2**32 - 1, token=b"\xff" * 16),
    "welcome-no-resume": f.welcome(slot=0, identity="x", resume_ms=0),
    "bye-zero": f.bye(0),
    "bye-unknown": f.bye(0x3ABC),
    "bye-last": f.bye(0xFFFF, "x"),
    "text-zero": f.bye(0, "a\0b"),
    "text-any": f.bye(0, "\U0010ffff\ufeff\ufffe"),
    "unknown-flags": f.unknown(0x81, b"", flags=0xFF),
    "unknown-long": f.unknown(0xC1, b"\xff" * 900, flags=0x80),
    "grease-counted": f.unknown(0x8A, b"\0" * 40, flags=1),
    "grease-uncounted": f.unknown(0xFA, b"CALL", flags=0xFF),
}


@positive("CC-FRAME-059", "CC-FRAME-080", "CC-FRAME-090", "CC-FRAME-094")
@negative(
    "CC-FRAME-052", "CC-FRAME-059", "CC-FRAME-080", "CC-FRAME-090", "CC-FRAME-094", "CC-FRAME-095", "CC-FRAME-098",
    "CC-FRAME-099", "CC-FRAME-101",
)  # fmt: skip
@pytest.mark.parametrize("name", _ANY)
def test_any_value(implementation: Client, name: str) -> None:
    """Values that tempt a reader to refuse, or to change, what it has to take as it is; a frame behind it is read."""
    packet = wire.encode_packet([_ANY[name], f.bye("LEFT")])
    scene.judge(implementation, packet, "reliable")


@negative("CC-FRAME-103", "CC-FRAME-041", "CC-FRAME-042", "CC-FRAME-051")
@pytest.mark.parametrize(
    "block",
    [
        "000000040002000100000001000000000001",
        "000000040002000000000001000100000000",
        "000000040002000000000001000000000002",
    ],
    ids=["words-descend", "word-empty", "word-again"],
)
def test_other_forms(implementation: Client, block: str) -> None:
    """A block that says the same in another form is refused: so every frame has one encoding."""
    raw = bytes.fromhex("000500020000000100000001") + bytes.fromhex(block)
    scene.judge(implementation, bytes([0x01, 0x19]) + (4 + len(raw)).to_bytes(2, "big") + raw, "reliable")
