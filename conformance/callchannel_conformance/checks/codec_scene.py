# SPDX-License-Identifier: Apache-2.0
"""Asks a codec for its outcome, and compares it with that of the suite's own grammar. Nothing here draws anything."""

from __future__ import annotations

from callchannel_conformance import difference, wire
from callchannel_conformance.client import Client, Json, Unsupported
from callchannel_conformance.outcome import NotApplicable, Violation, expect_equal


def decode(client: Client, packet: bytes, lane: str) -> tuple[list[Json], str | None]:
    """The frames before the first fault, and its code or None."""
    client.needs(profile="codec")
    reply = client.request("decode", lane=lane, packet=packet.hex())
    if reply.raised is not None:
        raise Violation("CC-FRAME-004", "decode raised instead of giving an outcome", actual=reply.raised.code)
    frames = [_numbers(frame) for frame in reply.value["frames"] if frame["type"] != "UNKNOWN"]
    return frames, reply.value["error"]


def _numbers(frame: Json) -> Json:
    """A frame whose numbers beyond 2^53 were written as text."""
    return {
        key: int(value) if key in ("value", "received") and isinstance(value, str) else value
        for key, value in frame.items()
    }


def known(frames: list[Json]) -> list[Json]:
    """Without frames of unknown types, which an adapter may leave out."""
    return [frame for frame in frames if frame["type"] != "UNKNOWN"]


def _expected(packet: bytes, lane: str) -> tuple[list[Json], str | None, str]:
    try:
        return known(wire.decode_packet(packet, lane)), None, "CC-FRAME-004"
    except wire.WireError as error:
        return known(error.frames), error.code, error.requirement


def judge(client: Client, packet: bytes, lane: str) -> None:
    """The codec has the outcome of the grammar. Raises `Violation`."""
    frames, code, requirement = _expected(packet, lane)
    got, error = decode(client, packet, lane)
    what = f"{packet.hex()} on the {lane} lane"
    expect_equal(error, code, requirement, f"{what}: the outcome differs")
    stand = "CC-FRAME-003" if lane == "lossy" else "CC-FRAME-002"
    same(got, frames, "CC-FRAME-004" if code is None else stand, what)


def same(got: list[Json], wanted: list[Json], requirement: str, what: str) -> None:
    """The frames are those that are wanted; else say where they begin to differ."""
    expect_equal(got, wanted, requirement, f"{what}: other frames, at {difference.first(wanted, got)}")


def encode(client: Client, frame: Json) -> str:
    """The hexadecimal digits of a valid frame. Raises `NotApplicable` where the adapter does not encode."""
    try:
        reply = client.request("encode", frame=frame)
    except Unsupported as error:
        raise NotApplicable(str(error)) from error
    if reply.raised is not None:
        raise Violation("CC-FRAME-103", "a valid frame can't be encoded", expected=frame, actual=reply.raised.code)
    return str(reply.value["packet"])


def packet_plan(lane: str, packet: bytes, *, encoded: bool) -> Json:
    """A packet that was drawn, as a plan for `run_packet`. *encoded*: it is valid, and encoded again."""
    return {"call": "codec", "lane": lane, "packet": packet.hex(), "encode": encoded}


def run_packet(plan: Json, client: Client) -> None:
    """Judge a packet. Raises `Violation` with the plan as its `plan`, so that it is replayed without being drawn."""
    lane, packet = plan["lane"], bytes.fromhex(plan["packet"])
    try:
        judge(client, packet, lane)
        if plan["encode"]:
            frames = wire.decode_packet(packet, lane)
            if all(frame["type"] != "UNKNOWN" for frame in frames):
                again = "".join(encode(client, frame) for frame in frames)
                expect_equal(again, packet.hex(), "CC-FRAME-103", "encoding gives other bytes")
    except Violation as error:
        error.plan = plan
        raise
