# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategies for the wire: valid frames as dictionaries, valid packets, and packets with bytes changed.

Every frame that these give is valid on the lane it is drawn for; `wire.encode_frame` turns it into bytes.
"""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

from callchannel_conformance import wire
from callchannel_conformance.wire import Frame
from callchannel_conformance.wire_rules import LIFETIME, LOSSY_LANE, PACKET_LIMITS, RELIABLE_LANE

U16: Final = 2**16 - 1
U32: Final = 2**32 - 1
U64: Final = 2**64 - 1


def _edges(low: int, high: int) -> st.SearchStrategy[int]:
    """Integers from *low* to *high*, its ends and the neighbourhood of powers of two more often than chance has it."""
    near = [2**bit + offset for bit in (8, 15, 16, 31, 32, 63) for offset in (-1, 0, 1)]
    ends = sorted({low, high, *(value for value in near if low <= value <= high)})
    return st.one_of(st.sampled_from(ends), st.integers(low, high))


_SLOTS: Final = _edges(0, 0xFFFE)
_NUMBERS: Final = _edges(1, U32)


def _text(minimum: int) -> st.SearchStrategy[str]:
    """Text of at least *minimum* and at most 240 bytes."""
    return st.text(st.characters(exclude_categories=["Cs"]), min_size=minimum, max_size=60)


def _extensions(*, types: st.SearchStrategy[int], smallest: int, largest: int) -> st.SearchStrategy[list[Frame]]:
    one = st.fixed_dictionaries(
        {"type": types, "must_understand": st.booleans(), "value": st.binary(max_size=24).map(bytes.hex)}
    )
    return st.lists(one, min_size=smallest, max_size=largest, unique_by=lambda extension: extension["type"]).map(
        lambda extensions: sorted(extensions, key=lambda extension: extension["type"])
    )


_SOME_EXTENSIONS: Final = _extensions(types=_edges(0, 0x7FFF), smallest=1, largest=4)
_ONLY_LIFETIME: Final = _extensions(types=st.just(LIFETIME), smallest=1, largest=1)
_SOME_SLOTS: Final = st.lists(_SLOTS, min_size=1, max_size=40, unique=True).map(sorted)


@st.composite
def data_frames(draw: st.DrawFn, lane: str = RELIABLE_LANE) -> Frame:
    """Valid DATA frames for *lane*: whole messages and fragments, with all blocks and flags that go together."""
    reliable = lane == RELIABLE_LANE and draw(st.booleans())
    part = draw(st.sampled_from(["whole", "first", "later", "abort"] if reliable else ["whole", "first", "later"]))
    confirm = reliable and draw(st.booleans())
    private = draw(st.booleans())
    flags = {
        "RELIABLE": reliable,
        "HIGH": draw(st.booleans()),
        "PRIVATE": private,
        "CONFIRM": confirm,
        "LATEST": not reliable and part == "whole" and draw(st.booleans()),
    }
    frame: Frame = {
        "type": "DATA",
        "flags": [name for name in wire.DESCRIPTIVE_FLAGS if flags[name]],
        "channel": draw(_edges(1, U16)),
        "sender": draw(_SLOTS),
        "session": draw(_NUMBERS),
        "sequence": draw(_NUMBERS),
    }
    has_blocks = part in ("whole", "first") or (part == "later" and not reliable)
    if has_blocks and (private or confirm) and draw(st.booleans()):
        frame["recipients"] = {
            "epoch": draw(_NUMBERS),
            "except": not private or draw(st.booleans()),
            "slots": draw(_SOME_SLOTS) if private else [],
        }
    if has_blocks and draw(st.booleans()):
        frame["extensions"] = draw(_SOME_EXTENSIONS if part != "later" else _ONLY_LIFETIME)
    payload = draw(st.binary(max_size=40))
    if part != "whole":
        frame["fragment"], payload = _fragment(draw, part, reliable, payload)
    frame["payload"] = payload.hex()
    return frame


def _fragment(draw: st.DrawFn, part: str, reliable: bool, payload: bytes) -> tuple[Frame, bytes]:
    """Draw a fragment block, and the payload that it allows."""
    if part == "abort":
        block = {"index": draw(_edges(1, 2**30 - 1)), "total": draw(_edges(0, U32)), "last": False, "abort": True}
        return block, b""
    last = draw(st.booleans())
    stream = reliable and draw(st.booleans())
    if not reliable and not last:
        payload += bytes(512)
    if not payload and not (last and stream):
        payload = b"\0"
    index = 0 if part == "first" else draw(_edges(1, 2**30 - 1 if reliable else 127))
    total = 0 if stream else draw(_edges(len(payload), U32 if reliable else 65_536))
    if last and index == 0 and not stream:
        total = len(payload)
    return {"index": index, "total": total, "last": last, "abort": False}, payload


def control_frames() -> st.SearchStrategy[Frame]:
    """Valid CLOSE, FAIL, REFUSE, RECEIPT and CREDIT frames."""

    def one(name: str, values: st.SearchStrategy[int], reasons: st.SearchStrategy[int]) -> st.SearchStrategy[Frame]:
        fields: dict[str, st.SearchStrategy[Any]] = {
            "type": st.just(name),
            "sender": _SLOTS,
            "recipient": _edges(0, U16),
            "session": _NUMBERS,
            "value": values,
            "reason": reasons,
        }
        if name == "FAIL":
            fields["uncertain"] = st.booleans()
        return st.fixed_dictionaries(fields)

    return st.one_of(
        one("CLOSE", _NUMBERS, _edges(0, U16)),
        one("FAIL", _edges(1, U32 + 1), _edges(1, U16)),
        one("REFUSE", _NUMBERS, _edges(1, U16)),
        one("RECEIPT", _NUMBERS, st.just(0)),
        one("CREDIT", _edges(0, U64), st.just(0)),
    )


def roster_frames() -> st.SearchStrategy[Frame]:
    """Valid ROSTER frames. Their entries need not fit any roster."""

    def entry(op: str, reasons: st.SearchStrategy[int], ids: st.SearchStrategy[str]) -> st.SearchStrategy[Frame]:
        return st.fixed_dictionaries({"op": st.just(op), "slot": _SLOTS, "reason": reasons, "id": ids})

    no, any_reason, empty = st.just(0), _edges(0, U16), st.just("")
    entries = st.one_of(
        entry("JOIN", no, _text(1)),
        entry("LEAVE", any_reason, empty),
        entry("SUSPENDED", any_reason, empty),
        entry("RESUMED", no, empty),
    )
    return st.fixed_dictionaries(
        {
            "type": st.just("ROSTER"),
            "snapshot": st.booleans(),
            "more": st.booleans(),
            "epoch": _NUMBERS,
            "entries": st.lists(entries, max_size=6),
        }
    )


@st.composite
def handshake_frames(draw: st.DrawFn) -> Frame:
    """Valid HELLO and WELCOME frames."""
    fields = {
        "features": draw(_edges(0, U32)),
        "token": draw(st.binary(min_size=16, max_size=16)).hex(),
        "attempt": draw(_NUMBERS),
        "received": draw(_edges(0, U64)),
        "window": draw(_edges(65_536, U32)),
        "largest_message": draw(_edges(32_768, U32)),
    }
    if draw(st.booleans()):
        slot, resume_ms = draw(_SLOTS), draw(_edges(0, U32))
        return {"type": "WELCOME", "slot": slot, **fields, "resume_ms": resume_ms, "id": draw(_text(1))}
    kind = draw(st.sampled_from(["fresh", "resume", "replace"]))
    if kind != "resume":
        fields["received"] = 0
    return {
        "type": "HELLO",
        "resume": kind == "resume",
        "replace": kind == "replace",
        **fields,
        "id": draw(_text(0)),
    }


def unknown_frames() -> st.SearchStrategy[Frame]:
    """Frames of types that may be skipped, grease among them."""
    return st.fixed_dictionaries(
        {
            "type": st.just("UNKNOWN"),
            "number": st.integers(0x80, 0xFF),
            "flags": st.integers(0, 0xFF),
            "body": st.binary(max_size=40).map(bytes.hex),
        }
    )


def frames(lane: str = RELIABLE_LANE) -> st.SearchStrategy[Frame]:
    """Valid frames of every type that *lane* carries."""
    if lane == LOSSY_LANE:
        return st.one_of(data_frames(lane), unknown_frames())
    return st.one_of(
        data_frames(lane),
        control_frames(),
        roster_frames(),
        handshake_frames(),
        st.fixed_dictionaries({"type": st.just("ACK"), "received": _edges(0, U64)}),
        st.fixed_dictionaries({"type": st.just("BYE"), "code": _edges(0, U16), "text": _text(0)}),
        unknown_frames(),
    )


@st.composite
def packets(draw: st.DrawFn) -> tuple[str, bytes]:
    """A lane and a valid packet of one to five frames for it, as long as it fits."""
    lane = draw(st.sampled_from([RELIABLE_LANE, LOSSY_LANE]))
    packet = b""
    for frame in draw(st.lists(frames(lane), min_size=1, max_size=5)):
        encoded = wire.encode_frame(frame, judge=False)
        if len(packet) + len(encoded) <= PACKET_LIMITS[lane]:
            packet += encoded
    return lane, packet


@st.composite
def mutated_packets(draw: st.DrawFn) -> tuple[str, bytes]:
    """A lane and a packet that was valid on some lane before one to four changes."""
    lane, packet = draw(packets())
    data = bytearray(packet)
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["byte", "bit", "cut", "insert", "delete", "lane"]))
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        if kind == "lane":
            lane = RELIABLE_LANE if lane == LOSSY_LANE else LOSSY_LANE
        elif kind == "insert":
            data[place:place] = draw(st.binary(min_size=1, max_size=3))
        elif kind == "cut":
            del data[place:]
        elif not data:
            continue
        elif kind == "byte":
            data[place] = draw(st.integers(0, 255))
        elif kind == "bit":
            data[place] ^= 1 << draw(st.integers(0, 7))
        else:
            del data[place]
    return lane, bytes(data)


@st.composite
def framed_bytes(draw: st.DrawFn) -> tuple[str, bytes]:
    """A lane and a packet whose frames have true lengths and known types, and anything else in them."""
    lane = draw(st.sampled_from([RELIABLE_LANE, LOSSY_LANE]))
    packet = b""
    for _ in range(draw(st.integers(1, 3))):
        number = draw(st.sampled_from([1, 1, 1, 2, 3, 4, 5, 6, 7, 7, 0x41, 0x42, 0x43, 0x44, 0x80, 0xCA]))
        body = draw(st.binary(max_size=80))
        packet += bytes([number, draw(st.integers(0, 255))]) + (4 + len(body)).to_bytes(2, "big") + body
    return lane, packet
