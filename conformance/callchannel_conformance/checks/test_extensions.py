# SPDX-License-Identifier: Apache-2.0
"""Extensions of a message, and settings out of range, at an endpoint (chapters 15 and 17)."""

from __future__ import annotations

from typing import Any

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance import standard
from callchannel_conformance.bench.links import group
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.helpers import open_sender, read, read_all, received, send, sent
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal


@negative("CC-EXT-001")
@positive("CC-EXT-001", "CC-EXT-004", "CC-EXT-010")
def test_metadata_written(bench: Bench) -> None:
    """Metadata stands in fragment 0 alone, well formed."""
    far = group(bench)
    metadata = {"content_type": "image/png", "name": "chart.png", "time": 12_345}
    sender = open_sender(far)
    far.take()
    send(far, sender, bytes(40_000), metadata=metadata)
    data = far.take("DATA")
    wanted = [
        {"type": 1, "must_understand": False, "value": b"image/png".hex()},
        {"type": 2, "must_understand": False, "value": b"chart.png".hex()},
        {"type": 4, "must_understand": False, "value": (12_345).to_bytes(8, "big").hex()},
    ]
    found = [e for e in data[0].get("extensions", ()) if e["type"] in (1, 2, 4)]
    expect_equal(found, wanted, "CC-EXT-001", "the extensions of fragment 0")
    expect(all("extensions" not in frame for frame in data[1:]), "CC-EXT-001", "later fragments have none")


@negative("CC-EXT-002")
@positive("CC-EXT-002")
def test_lifetime_repeated(bench: Bench) -> None:
    """A fragmented Lossy message repeats its lifetime in every fragment."""
    far = group(bench)
    sender = open_sender(far, reliability="lossy")
    far.take()
    send(far, sender, bytes(5_000), metadata={"lifetime": 200, "name": "x"})
    data = far.take("DATA")
    lifetimes = [[e for e in frame.get("extensions", ()) if e["type"] == 3] for frame in data]
    expect(
        len(data) > 1 and all(one == lifetimes[0] and one for one in lifetimes),
        "CC-EXT-002",
        "repeated",
        actual=lifetimes,
    )
    expect_equal(lifetimes[0][0]["value"], "000000c8", "CC-EXT-002", "200 milliseconds")


@negative("CC-EXT-015")
@positive("CC-EXT-015", "CC-EXT-016")
def test_lifetime_passes(bench: Bench) -> None:
    """A Lossy message whose lifetime has passed in the queue is dropped."""
    far = group(bench)
    sender = open_sender(far, reliability="lossy")
    far.hold("lossy")
    send(far, sender, b"short", metadata={"lifetime": 200})
    send(far, sender, b"long")
    bench.advance(210)
    far.hold("lossy", held=False)
    expect_equal(
        [frame["payload"] for frame in far.take("DATA")], [b"long".hex()], "CC-EXT-015", "the first is dropped"
    )


@positive("CC-EXT-013")
@negative("CC-EXT-013", "CC-EXT-003", "CC-SEC-027")
@pytest.mark.parametrize(
    ("reliability", "size", "metadata"),
    [
        ("reliable", 1, {"content_type": ""}),
        ("reliable", 1, {"name": "x" * 256}),
        ("lossy", 1, {"lifetime": 0}),
        ("lossy", 1_000, {"name": "x" * 255, "content_type": "y" * 255, "lifetime": 5}),
    ],
    ids=["empty", "long", "lifetime-0", "no-room"],
)
def test_malformed_metadata(bench: Bench, reliability: str, size: int, metadata: dict[str, Any]) -> None:
    """Malformed values, and extensions that leave no room, raise INVALID_ARGUMENT."""
    far = group(bench)
    sender = open_sender(far, reliability=reliability)
    fits = size == 1_000
    reply = far.machine.op("send", sender=sender, data="00" * size, metadata=metadata)
    if fits and reply.raised is None:
        # 255 + 255 + 4 + 12 + 2 bytes of extensions leave 598 bytes in a frame: it fits in fragments.
        expect(far.take("DATA"), "CC-EXT-003", "it fits")
        return
    expect_equal(reply.raised and reply.raised.code, "INVALID_ARGUMENT", "CC-EXT-013", "it raises")
    far.none("CC-ERR-013", "DATA")


@negative("CC-EXT-011", "CC-EXT-012", "CC-EXT-019", "CC-EXT-007", "CC-EXT-021", "CC-EXT-018", "CC-EXT-010")
@positive("CC-EXT-007", "CC-EXT-010", "CC-EXT-018", "CC-EXT-019")
@pytest.mark.parametrize(
    "extension",
    [
        (1, b"", False), (1, b"\xff", False), (2, b"x" * 256, False), (3, b"\0\0\0", False), (3, bytes(4), True),
        (4, bytes(7), False), (5, b"x", False), (0x0A5A, b"x", False), (0x7001, b"x", False), (0, b"", False),
        (1, b"text/plain", True), (2, b"a", True), (4, bytes(8), True), (3, b"\0\0\0\1", True),
    ],
    ids=lambda e: f"{e[0]:04x}-{e[1][:8].hex() or 'empty'}-{'must' if e[2] else 'may'}",
)  # fmt: skip
def test_ignored(bench: Bench, extension: tuple[int, bytes, bool]) -> None:
    """What is not understood without the bit is ignored; what is understood is taken with it; lifetime always."""
    far = group(bench)
    receiver = received(far, f.data(extensions=[extension]), "CC-SESS-027")
    message = read(far.machine, receiver)
    expect(
        message is not None and message["data"] == b"hi".hex(),
        "CC-EXT-007",
        "the message is handed out",
        actual=message,
    )
    assert message is not None
    told = {1: ("content_type", "text/plain"), 2: ("name", "a"), 4: ("time", 0)}
    if extension[2] and extension[0] in told:
        name, wanted = told[extension[0]]
        expect_equal(message.get("metadata", {}).get(name), wanted, "CC-EXT-010", "understood as without the bit")
    far.none("CC-EXT-012", "FAIL", "BYE")


@negative("CC-EXT-008", "CC-EXT-011", "CC-EXT-019", "CC-LINK-089", "CC-EXT-009")
@positive("CC-EXT-008", "CC-EXT-009", "CC-LINK-089", "CC-EXT-011", "CC-EXT-019")
@pytest.mark.parametrize(
    "extension",
    [(0x7001, b"", True), (5, b"", True), (1, b"", True), (1, b"\xc3", True), (4, bytes(7), True), (0x0A5A, b"", True)],
    ids=["private", "encryption", "empty-type", "not-utf8", "short-time", "grease"],
)
@pytest.mark.parametrize("reliable", [True, False], ids=["reliable", "lossy"])
def test_must_understand(bench: Bench, extension: tuple[int, bytes, bool], reliable: bool) -> None:
    """An extension that has to be understood and is not fails the session, or drops the Lossy message."""
    far = group(bench)
    lane = "reliable" if reliable else "lossy"
    receiver = received(far, f.data(b"1", reliable=reliable), "CC-SESS-027", lane=lane)
    far.take()
    far.write(f.data(sequence=2, reliable=reliable, extensions=[extension]), lane=lane)
    if reliable:
        fail = far.one("CC-EXT-008", "FAIL")
        expect_equal((fail["value"], fail["reason"]), (2, f.bye("EXTENSION")["code"]), "CC-EXT-008", "FAIL")
    else:
        far.none("CC-EXT-009", "FAIL")
        far.write(f.data(b"again", sequence=2, reliable=False), lane=lane)
    got = [message["sequence"] for message in read_all(far.machine, receiver)]
    expect_equal(got, [1], "CC-EXT-009", "the message is not handed out, and its sequence is given up")


@positive("CC-EXT-008")
def test_must_understand_in_fragment_0(bench: Bench) -> None:
    """The FAIL is due at fragment 0, not only when the message is complete."""
    far = group(bench)
    far.write(f.data(fragment=(0, 5, False), extensions=[(0x7001, b"", True)]))
    far.one("CC-EXT-008", "FAIL")


@negative("CC-EXT-004")
@positive("CC-EXT-004")
def test_metadata_read(bench: Bench) -> None:
    """What a sender said of its message is told to the reader."""
    far = group(bench)
    extensions = [(1, b"text/plain", False), (2, b"a.txt", False), (4, (7).to_bytes(8, "big"), False)]
    receiver = received(far, f.data(extensions=extensions), "CC-SESS-027")
    message = read(far.machine, receiver)
    wanted = {"content_type": "text/plain", "name": "a.txt", "time": 7}
    expect(message is not None, "CC-EXT-004", "a message")
    assert message is not None
    expect_equal(message.get("metadata"), wanted, "CC-EXT-004", "its metadata")


_SETTINGS = [name for name, entry in standard.limits().items() if entry["holder"] not in ("signalling",)]


@negative("CC-LIMIT-003", "CC-LIMIT-008")
@positive("CC-LIMIT-008", "CC-LIMIT-004", "CC-LIMIT-003")
@pytest.mark.parametrize("name", _SETTINGS)
def test_settings(bench: Bench, name: str) -> None:
    """A setting outside of its bounds is refused; within, it is in force and can be read."""
    bench.client.needs(profile="endpoint-group", limit=name)
    entry = standard.limits()[name]
    for value in (entry["min"] - 1, entry["max"] + 1):
        reply = bench.client.request(
            "create", machine="bad", kind="endpoint", seed="00", now=bench.now, limits={name: value}
        )
        expect_equal(reply.raised and reply.raised.code, "INVALID_ARGUMENT", "CC-LIMIT-003", f"{name} = {value}")
    machine = bench.endpoint()
    default = bench.client.hello().limits[name]["value"]
    expect_equal(machine.look()["limits"].get(name), default, "CC-LIMIT-008", f"{name} can be read")
    expect_equal(default, entry["default"], "CC-LIMIT-004", f"{name}: the default")


@negative("CC-EXT-020", "CC-EXT-028")
@positive("CC-FRAME-100", "CC-EXT-020")
def test_grease_in_messages(bench: Bench) -> None:
    """What is written of its own accord is grease at most (the monitor judges types; here extensions)."""
    far = group(bench)
    _, frame = sent(far, "CC-EXT-020")
    kinds = {extension["type"] for extension in frame.get("extensions", ())}
    expect(kinds <= {0x0A5A, 0x1A5A, 0x2A5A, 0x3A5A}, "CC-EXT-028", "only grease", actual=kinds)


@positive("CC-EXT-003")
@negative("CC-EXT-003")
def test_no_room(bench: Bench) -> None:
    """Extensions that leave a Lossy frame with a long block no room for 512 bytes of payload raise INVALID_ARGUMENT."""
    members = {slot: f"u{slot}" for slot in range(0, 32 * 60, 32)} | {2: "me"}
    far = group(bench, members=members, epoch=9)
    metadata = {"name": "x" * 255, "content_type": "y" * 255, "lifetime": 5_000}
    named = [name for slot, name in members.items() if slot != 2][:50]
    sender = open_sender(far, reliability="lossy", to=named)
    far.take()
    far.machine.raises("CC-EXT-003", "INVALID_ARGUMENT", "send", sender=sender, data="00" * 2_000, metadata=metadata)
    far.none("CC-ERR-013", "DATA")
    far.machine.do("send", sender=sender, data="00" * 20, metadata=metadata)
    expect(far.take("DATA"), "CC-EXT-003", "a payload that fits whole is sent")


@positive("CC-EXT-004")
@negative("CC-EXT-004", "CC-EXT-001")
@pytest.mark.parametrize("reliable", [True, False], ids=["reliable", "lossy"])
def test_metadata_of_fragments(bench: Bench, reliable: bool) -> None:
    """The extensions of fragment 0 are those of the whole message, whichever fragment comes first."""
    far = group(bench)
    lane = "reliable" if reliable else "lossy"
    receiver = received(far, f.data(b"1", reliable=reliable), "CC-SESS-027", lane=lane)
    parts = [
        f.data(b"a" * 600, sequence=2, reliable=reliable, fragment=(0, 605, False), extensions=[(2, b"a.txt", False)]),
        f.data(b"b" * 5, sequence=2, reliable=reliable, fragment=(1, 605, True)),
    ]
    for part in parts if reliable else parts[::-1]:
        far.write(part, lane=lane)
    names = [message.get("metadata", {}).get("name") for message in read_all(far.machine, receiver)]
    expect_equal(names, [None, "a.txt"], "CC-EXT-004", "the name that fragment 0 says")


@positive("CC-EXT-003")
@negative("CC-EXT-003")
def test_no_room_any_more(bench: Bench) -> None:
    """Extensions that fitted when a Lossy message was sent, and do not with the block that is made, drop it."""
    bench.client.needs(feature="statistics")
    far = group(bench)
    metadata = {"name": "x" * 255, "content_type": "y" * 255, "lifetime": 60_000}
    sender = open_sender(far, reliability="lossy", exclude=["bob"])
    far.hold("lossy")
    send(far, sender, bytes(2_000), metadata=metadata)
    far.change(*[f.join(slot, "bob") for slot in range(32, 32 * 50, 32)])
    far.take()
    far.hold("lossy", held=False)
    far.none("CC-EXT-003", "DATA")
    drops = far.machine.look()["statistics"]["senders"][str(sender)]["drops"]
    expect_equal(drops.get("no_recipients"), 1, "CC-EXT-003", "it is recorded")
    far.goes_on("CC-EXT-003")
