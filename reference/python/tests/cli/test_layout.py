# SPDX-License-Identifier: Apache-2.0
"""Frames field by field: all of their bytes, whatever they are."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callchannel.cli.layout import Field, explain
from callchannel.core.extensions import Extension, Metadata
from callchannel.core.frames import (
    Ack,
    Bye,
    Close,
    Data,
    Fail,
    Fragment,
    Hello,
    Roster,
    RosterEntry,
    RosterOp,
    Unknown,
    Welcome,
)
from callchannel.core.recipients import NO_SLOT, Recipients, mask_of

VECTORS = Path(__file__).parents[4] / "spec" / "vectors"


def named(frame: bytes) -> dict[str, Field]:
    return {field.name: field for field in explain(frame, 0)}


def check_whole(packet: bytes, fields: tuple[Field, ...], offset: int = 0) -> int:
    """The fields follow each other without a gap; returns where they end."""
    for field in fields:
        assert field.offset == offset
        raw = packet[offset : offset + field.size]
        assert field.value == (raw.hex() if isinstance(field.value, str) else int.from_bytes(raw, "big"))
        offset += field.size
    return offset


def vectors() -> list[Any]:
    found = []
    for path in sorted(VECTORS.glob("*.json")):
        document = json.loads(path.read_text())
        found += [vector for vector in document.get("vectors", ()) if isinstance(vector.get("hex"), str)]
    return found


@pytest.mark.parametrize("vector", [vector for vector in vectors() if "frames" in vector], ids=lambda item: item["id"])
def test_every_good_vector_is_explained_to_its_last_byte(vector: Any) -> None:
    packet = bytes.fromhex(vector["hex"])
    offset = 0
    while offset < len(packet):
        fields = explain(packet, offset)
        length = fields[2].value
        assert isinstance(length, int)
        assert check_whole(packet, fields, offset) == offset + length
        offset += length


@given(st.binary(max_size=200), st.integers(0, 5))
def test_no_bytes_raise_property(packet: bytes, offset: int) -> None:
    offset = min(offset, len(packet))
    assert check_whole(packet, explain(packet, offset), offset) <= len(packet)


def test_data_with_everything() -> None:
    frame = Data(
        channel=7,
        sender=2,
        session=5,
        sequence=9,
        payload=b"hi",
        flags=0x13,
        fragment=Fragment(3, 1_000, last=True),
        recipients=Recipients(12, False, mask_of([1, 33])),
        extensions=(*Metadata(content_type="text/plain", name="a\x1bb", time=5).encode(), Extension(0x99, b"?", True)),
    ).encode()
    fields = explain(frame, 0)
    assert check_whole(frame, fields) == len(frame)
    shown = [(field.name, field.meaning) for field in fields if field.meaning]
    assert shown == [
        ("type", "DATA"),
        ("flags", "RELIABLE HIGH FRAGMENT RECIPIENTS PRIVATE EXTENSIONS"),
        ("sender", "slot 2"),
        ("fragment", "index 3, LAST"),
        ("total", "bytes of the whole message"),
        ("epoch", "roster that the slots are of"),
        ("words", "count 2"),
        ("bits", "slot 1"),
        ("bits", "slot 33"),
        ("extensions", "bytes of the block"),
        ("extension", "content type"),
        ("value", '"text/plain"'),
        ("extension", "name"),
        ("value", '"a\\x1bb"'),
        ("extension", "application time"),
        ("value", "5 us"),
        ("extension", "0099, unknown, must be understood"),
        ("value", '1 byte, "?"'),
        ("payload", '2 bytes, "hi"'),
    ]


def test_the_other_frames() -> None:
    assert named(Close(2, NO_SLOT, 5, 7).encode())["recipient"].meaning == "none"
    fail = named(Fail(2, 3, 5, 4, 0x27, uncertain=True).encode())
    assert (fail["flags"].meaning, fail["reason"].meaning) == ("UNCERTAIN", "LEFT")
    assert fail["value"].meaning == "first sequence that is not delivered"
    roster = Roster(13, (RosterEntry(RosterOp.JOIN, 3, 0, "eve"), RosterEntry(RosterOp.LEAVE, 4, 0x28)), snapshot=True)
    assert [field.meaning for field in explain(roster.encode(), 0) if field.name in ("operation", "id", "reason")] == [
        "JOIN",
        "NONE",
        '"eve"',
        "LEAVE",
        "LOST",
    ]
    hello = named(Hello(b"t" * 16, 1, 65_536, 32_768, identity="ann", resume=True).encode())
    assert (hello["magic"].meaning, hello["token"].meaning, hello["id"].meaning) == ('"CALL"', "link token", '"ann"')
    welcome = named(Welcome(2, b"t" * 16, 1, 65_536, 32_768, 30_000, "ann").encode())
    assert (welcome["resume"].meaning, welcome["slot"].meaning) == ("window of 30,000 ms", "slot 2")
    assert named(Ack(17).encode())["received"].value == 17
    bye = named(Bye(7, "so \x1b long").encode())
    assert (bye["code"].meaning, bye["text"].meaning) == ("FRAME_FORMAT", '"so \\x1b long"')
    assert named(Unknown(0xCA, 0x5A, b"\xff").encode())["type"].meaning == "unknown, skipped, not counted"
    assert named(b"\x08\x00\x00\x04")["type"].meaning == "unknown, not skippable"


def test_faulty_fields_are_shown_as_they_are() -> None:
    assert named(b"\x43\x81\x00\x0e" + bytes(10))["flags"].meaning == "undefined 81"
    assert named(b"\x43\x00\x00\x0e" + bytes(10))["rest"].size == 2
    assert named(b"\x43\x00\x00\x0c" + bytes(3))["received"].meaning == "cut off: 3 of 8 bytes"
    bye = named(b"\x44\x00\x00\x08\x12\x34\xc3\xc3")
    assert (bye["code"].meaning, bye["text"].meaning) == ("0x1234", "not UTF-8 at byte 0")
    assert named(b"\x07\x00\x00\x0e\x00\x00\x00\x01\x09\x00\x00\x01\x00\x00")["operation"].meaning == "undefined"


def test_attacks_are_escaped(attack: str, is_harmless: Callable[[str], bool]) -> None:
    data = attack.encode()
    frames = (
        Bye(0, attack),
        Roster(1, (RosterEntry(RosterOp.JOIN, 3, 0, attack),)),
        Data(1, 1, 1, 1, payload=data, extensions=Metadata(content_type=attack, name=attack).encode()),
        Unknown(0x8A, 0, data),
    )
    for frame in frames:
        for field in explain(frame.encode(), 0):
            assert is_harmless(f"{field.name} {field.value} {field.meaning}")
