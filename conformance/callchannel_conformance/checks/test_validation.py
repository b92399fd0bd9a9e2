# SPDX-License-Identifier: Apache-2.0
"""The validation order at an endpoint (section 9.13): one fault for each step and lane, and pairs of faults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance import standard, wire
from callchannel_conformance.bench.links import Acceptor, Initiator, called, calling, group
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.helpers import read_all, received
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal

Make = Callable[[Acceptor], bytes]


def _b(*frames: f.Frame) -> bytes:
    return b"".join(wire.encode_frame(frame, judge=False) for frame in frames)


_NEXT_EPOCH: Final = 5

# name: (requirement, code, step, packet)
FAULTS: Final[dict[str, tuple[str, str, int, Make]]] = {
    "packet-empty": ("CC-LINK-073", "PACKET_SIZE", 2, lambda far: b""),
    "packet-long": ("CC-LINK-073", "PACKET_SIZE", 2, lambda far: _b(*[f.ack(0)] * 1366)),
    "length-short": ("CC-LINK-074", "FRAME_LENGTH", 3, lambda far: b"\x8a\x00\x00\x03"),
    "length-long": ("CC-LINK-074", "FRAME_LENGTH", 3, lambda far: b"\x43\x00\x00\x0d" + bytes(8)),
    "length-cut": ("CC-LINK-074", "FRAME_LENGTH", 3, lambda far: b"\x43\x00\x00"),
    "type": ("CC-LINK-075", "UNKNOWN_TYPE", 4, lambda far: b"\x08\x00\x00\x04"),
    "type-uncounted": ("CC-LINK-075", "UNKNOWN_TYPE", 4, lambda far: b"\x45\x00\x00\x04"),
    "state-hello": ("CC-LINK-076", "HANDSHAKE", 5, lambda far: _b(f.hello())),
    "state-welcome": ("CC-LINK-025", "HANDSHAKE", 5, lambda far: _b(f.welcome(slot=2, identity="me"))),
    "flags": ("CC-LINK-078", "FRAME_FORMAT", 7, lambda far: b"\x43\x01\x00\x0c" + bytes(8)),
    "size-control": ("CC-LINK-078", "FRAME_FORMAT", 7, lambda far: b"\x02\x00\x00\x17" + bytes(19)),
    "size-data": ("CC-LINK-078", "FRAME_FORMAT", 7, lambda far: b"\x01\x01\x00\x0f" + bytes(11)),
    "channel": ("CC-LINK-079", "FRAME_FORMAT", 8, lambda far: _b(f.data(channel=0))),
    "sequence": ("CC-LINK-079", "FRAME_FORMAT", 8, lambda far: _b(f.data(sequence=0))),
    "block": (
        "CC-LINK-092",
        "FRAME_FORMAT",
        8,
        lambda far: _b(f.data(private=True, to=(4, [2], False))),
    ),
    "sender-own": ("CC-ROSTER-011", "SLOT", 9, lambda far: _b(f.data(sender=2))),
    "sender-unknown": ("CC-LINK-080", "SLOT", 9, lambda far: _b(f.data(sender=9))),
    "close-unknown": ("CC-LINK-080", "SLOT", 9, lambda far: _b(f.close(1, sender=9))),
    "close-recipient": ("CC-FRAME-061", "SLOT", 9, lambda far: _b({**f.close(1), "recipient": 2})),
    "credit-recipient": ("CC-FRAME-061", "SLOT", 9, lambda far: _b(f.credit(1, sender=2, recipient=1))),
    "credit-sender": ("CC-FRAME-061", "SLOT", 9, lambda far: _b(f.credit(1, sender=0, recipient=2))),
    "refuse-recipient": ("CC-FRAME-061", "SLOT", 9, lambda far: _b({**f.refuse(1, sender=2), "recipient": 1})),
    "receipt-own": ("CC-FRAME-061", "SLOT", 9, lambda far: _b(f.receipt(1, sender=2, recipient=2))),
    "fail-other": ("CC-FRAME-061", "SLOT", 9, lambda far: _b(f.fail(1, "LOST", sender=0, recipient=1))),
    "fail-never": ("CC-FRAME-061", "SLOT", 9, lambda far: _b(f.fail(1, "LOST", sender=2, recipient=99))),
    "epoch-back": ("CC-ROSTER-025", "EPOCH", 10, lambda far: _b(f.roster(3))),
    "snapshot-again": (
        "CC-ROSTER-020",
        "EPOCH",
        10,
        lambda far: _b(f.roster(_NEXT_EPOCH, f.join(4, "eve"), snapshot=True)),
    ),
    "series-epoch": (
        "CC-ROSTER-023",
        "EPOCH",
        10,
        lambda far: _b(f.roster(5, f.join(4, "eve"), more=True), f.roster(6, f.join(5, "fay"))),
    ),
    "join-known": ("CC-ROSTER-027", "SLOT", 10, lambda far: _b(f.roster(5, f.join(1, "bob")))),
    "leave-unknown": ("CC-ROSTER-028", "SLOT", 10, lambda far: _b(f.roster(5, f.leave(9)))),
    "suspended-unknown": ("CC-ROSTER-028", "SLOT", 10, lambda far: _b(f.roster(4, f.suspended(9)))),
    "ack-beyond": ("CC-LINK-039", "PROTOCOL", 10, lambda far: _b(f.ack(1000))),
}


@negative(
    *sorted({requirement for requirement, *_ in FAULTS.values()}),
    "CC-LINK-066",
    "CC-LINK-069",
    "CC-FRAME-002",
    "CC-ERR-018",
    "CC-LINK-053",
    "CC-LINK-054",
    "CC-LINK-068",
    "CC-ERR-007",
    "CC-ERR-025",
    "CC-FRAME-047",
)
@positive("CC-LINK-065", "CC-LINK-081", "CC-LINK-053", "CC-LINK-054", "CC-LINK-039", "CC-ERR-018")
@pytest.mark.parametrize("name", FAULTS)
def test_reliable_fault(bench: Bench, name: str) -> None:
    """A fault on the reliable lane ends the link with its code; frames before it stand, those behind are not read."""
    requirement, code, _, make = FAULTS[name]
    far = group(bench)
    good = _b(f.data(b"good"))
    packet = make(far)
    if name not in ("packet-empty", "packet-long"):
        packet = (
            good
            + packet
            + (_b(f.data(b"behind", session=2, channel=6)) if name not in ("length-long", "length-cut") else b"")
        )
    far.write_bytes(packet)
    created = far.machine.new_events("receiver_created")
    expect_equal(
        len(created), 0 if name.startswith("packet") else 1, "CC-LINK-068", "the frame before the fault stands"
    )
    ended = far.machine.new_events("link_ended")
    expect_equal([event["code"] for event in ended], [code], requirement, "the link ends with the step's code")
    far.ended(requirement, code)
    if created:
        got = read_all(far.machine, created[0]["receiver"])
        expect_equal([message["data"] for message in got], [b"good".hex()], "CC-LINK-059", "it stays readable")


_LOSSY: Final[dict[str, tuple[str, bytes]]] = {
    "packet-empty": ("CC-LINK-073", b""),
    "packet-long": ("CC-LINK-073", _b(*[f.data(bytes(384), reliable=False, sequence=n) for n in range(2, 5)])),
    "length": ("CC-LINK-074", b"\x01\x00\x00\x03"),
    "type": ("CC-LINK-075", b"\x08\x00\x00\x04"),
    "hello": ("CC-LINK-076", _b(f.hello())),
    "bye": ("CC-LINK-077", _b(f.bye("LEFT"))),
    "ack": ("CC-LINK-077", _b(f.ack(0))),
    "reliable": ("CC-LINK-077", _b(f.data())),
    "close": ("CC-LINK-077", _b(f.close(1))),
    "roster": ("CC-LINK-077", _b(f.roster(5, f.join(4, "eve")))),
    "size": ("CC-LINK-078", b"\x01\x00\x00\x0f" + bytes(11)),
    "channel": ("CC-LINK-079", _b(f.data(reliable=False, channel=0))),
    "fragment": ("CC-FRAME-036", _b(f.data(b"x", reliable=False, fragment=(0, 700, False)))),
    "block": ("CC-LINK-092", _b(f.data(reliable=False, private=True, to=(4, [2], False)))),
    "sender-own": ("CC-LINK-080", _b(f.data(reliable=False, sender=2))),
}


@negative(
    *sorted({requirement for requirement, _ in _LOSSY.values()}),
    "CC-LINK-067",
    "CC-LINK-069",
    "CC-FRAME-003",
    "CC-MODEL-009",
    "CC-LINK-068",
    "CC-SEC-013",
    "CC-ERR-019",
    "CC-FRAME-047",
)
@positive("CC-LINK-068", "CC-FRAME-003")
@pytest.mark.parametrize("name", _LOSSY)
def test_lossy_fault(bench: Bench, name: str) -> None:
    """A fault on the lossy lane drops this frame and the rest of its packet, and has no other effect."""
    requirement, fault = _LOSSY[name]
    far = group(bench)
    receiver = received(far, f.data(b"first", reliable=False, session=3), "CC-SESS-027", lane="lossy")
    packet = fault
    if not name.startswith("packet"):
        good, behind = (
            f.data(text, reliable=False, session=3, sequence=n) for text, n in ((b"good", 2), (b"behind", 3))
        )
        packet = _b(good) + fault + _b(behind)
    far.take()
    far.write_bytes(packet, lane="lossy")
    got = [bytes.fromhex(message["data"]) for message in read_all(far.machine, receiver)]
    wanted = [b"first"] if name.startswith("packet") else [b"first", b"good"]
    expect_equal(got, wanted, "CC-LINK-068", "frames before the fault stand, the rest of the packet is dropped")
    expect(not far.new("FAIL"), "CC-LINK-067", "no other effect", actual=far.inbox)
    far.goes_on(requirement)
    if "statistics" in bench.client.hello().features:
        drops = far.machine.look()["statistics"]["link"]["drops"]
        expect_equal(drops.get("malformed"), 1, "CC-DELIV-077", "it is recorded")


@negative("CC-LINK-065", "CC-FRAME-102")
@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (_b(f.data(channel=0, sender=9)), "FRAME_FORMAT"),
        (b"\x01\x01\x00\x0f" + bytes(11), "FRAME_FORMAT"),
        (b"\x07\x04\x00\x08" + (3).to_bytes(4, "big"), "FRAME_FORMAT"),
        (_b({**f.close(1, sender=9), "value": 0}), "FRAME_FORMAT"),
        (_b(f.data(sender=9, private=True, to=(99, [9], False))), "FRAME_FORMAT"),
        (_b(f.roster(3, f.join(1, "bob"))), "EPOCH"),
        (b"\x41\xff\x00\x05\x00", "HANDSHAKE"),
        (b"\x08\xff\x00\x03", "FRAME_LENGTH"),
    ],
    ids=[
        "format-slot",
        "size-fields",
        "flags-epoch",
        "value-slot",
        "block-epoch-slot",
        "epoch-slot",
        "state-format",
        "length-type",
    ],
)
def test_two_faults(bench: Bench, packet: bytes, code: str) -> None:
    """Of several faults in a frame the earlier step decides."""
    far = group(bench)
    far.write_bytes(packet)
    far.ended("CC-LINK-065", code)


@positive("CC-FRAME-098", "CC-LINK-082", "CC-FRAME-097", "CC-LINK-033")
@negative("CC-FRAME-099", "CC-FRAME-101", "CC-EXT-027", "CC-FRAME-097", "CC-LINK-082")
@pytest.mark.parametrize("number", [0x80, 0x8A, 0xBF, 0xC0, 0xCA, 0xFF])
def test_skipped_frames(bench: Bench, number: int) -> None:
    """Frames of unknown types with bit 80 are skipped on both lanes, and counted if they are countable."""
    far = group(bench)
    before = len(far.written)
    far.write(f.unknown(number, b"\xff" * 5, flags=0xFF), f.data(b"behind"))
    far.write(f.unknown(number, b"\xff" * 5, flags=0xFF), lane="lossy")
    expect(far.machine.take("receiver_created"), "CC-FRAME-098", "the frame behind it is taken")
    bench.advance(30)
    ack = far.take("ACK")[-1]
    expect_equal(ack["received"], before + (1 if number & 0x40 else 2), "CC-FRAME-097", "what is counted")


@negative("CC-LINK-075")
@pytest.mark.parametrize("lane", ["reliable", "lossy"])
def test_skippable_before_active(bench: Bench, lane: str) -> None:
    """Before the link is active a skippable frame is HANDSHAKE, or dropped on the lossy lane."""
    far = Acceptor(bench, bench.endpoint())
    far.members, far.peer_slot, far.epoch = {2: "me"}, 2, 1
    far.connect()
    far.receive_hello()
    far.machine.op("receive", transport=far.transport, lane=lane, packet=_b(f.unknown(0xCA)).hex())
    if lane == "reliable":
        far.ended("CC-LINK-075", "HANDSHAKE")
    else:
        far.answer()
        expect(far.machine.take("joined"), "CC-LINK-075", "the link becomes active")


@negative("CC-LINK-070", "CC-LINK-071", "CC-LINK-085")
@positive("CC-LINK-071", "CC-LINK-083", "CC-LINK-085", "CC-LINK-070")
def test_session_fault_keeps_link(bench: Bench) -> None:
    """A fault of a session ends that session alone, and its frame is counted."""
    far = group(bench)
    receiver = received(far, f.data(sequence=3), "CC-SESS-027")
    other = received(far, f.data(session=2, channel=6), "CC-SESS-027")
    far.take()
    far.write(f.data(sequence=3), f.data(b"next", session=2, channel=6, sequence=2))
    fail = far.one("CC-LINK-085", "FAIL")
    expect_equal((fail["session"], fail["reason"]), (1, f.bye("SEQUENCE")["code"]), "CC-LINK-085", "SEQUENCE")
    expect_equal(len(read_all(far.machine, other)), 2, "CC-LINK-071", "the other session goes on")
    expect_equal(len(read_all(far.machine, receiver)), 1, "CC-ERR-022", "complete messages stay readable")
    bench.advance(30)
    counts = [seen.frame["received"] for seen in far.seen if seen.frame["type"] == "ACK"]
    expect_equal(counts[-1:], [len(far.written)], "CC-LINK-070", "the faulty frame was counted")


@positive("CC-LINK-083")
@negative("CC-LINK-083")
@pytest.mark.parametrize("kind", ["RECEIPT", "CREDIT", "REFUSE", "FAIL"])
def test_unknown_session(bench: Bench, kind: str) -> None:
    """RECEIPT, CREDIT and REFUSE of an unknown session are dropped without an error."""
    far = group(bench)
    frame = {
        "RECEIPT": f.receipt(1, sender=2, recipient=0, session=77),
        "CREDIT": f.credit(99, sender=2, recipient=f.NO_SLOT, session=77),
        "REFUSE": f.refuse(1, sender=2, session=77),
        "FAIL": f.fail(1, "LOST", sender=2, recipient=0, session=77),
    }[kind]
    far.machine.take()
    far.write(frame)
    expect_equal(far.machine.take(), [], "CC-LINK-083", "nothing is told")
    far.goes_on("CC-LINK-083")


@negative("CC-FRAME-059", "CC-ERR-009", "CC-ERR-003")
@positive("CC-ERR-009", "CC-FRAME-059", "CC-ERR-003")
@pytest.mark.parametrize("code", [0x0042, 0x4321, 0xF00D, 0x3FFF])
def test_any_reason(bench: Bench, code: int) -> None:
    """Any code in CLOSE is taken and told, one without a name as its number."""
    far = group(bench)
    receiver = received(far, f.data(), "CC-SESS-027")
    read_all(far.machine, receiver)
    far.write(f.close(1, reason=code))
    closed = far.machine.take("receiver_closed")
    expect_equal([event["code"] for event in closed], [standard.code_name(code)], "CC-ERR-003", "the code is told")
    far.goes_on("CC-ERR-009")


@negative("CC-FRAME-094", "CC-LINK-056", "CC-ERR-005")
@positive("CC-LINK-056", "CC-FRAME-094", "CC-ERR-005", "CC-ERR-025")
@pytest.mark.parametrize("code", [0, 0x0042, 0x4321, 0xFFFF])
def test_any_bye(bench: Bench, code: int) -> None:
    """A BYE with any code ends the link, and the code is told."""
    far = group(bench)
    far.machine.take()
    far.write(f.bye(code, "FRAME_FORMAT"))
    ended = far.machine.take("link_ended")
    expect_equal([event["code"] for event in ended], [standard.code_name(code)], "CC-LINK-056", "the code is told")
    far.none("CC-LINK-055", "BYE")


@negative("CC-LINK-081", "CC-SEC-010")
@positive("CC-LIMIT-016", "CC-LIMIT-022")
@pytest.mark.parametrize(("join", "own", "theirs"), [(calling, 1, 0), (called, 0, 1)], ids=["calling", "called"])
def test_control_rate(bench: Bench, join: Callable[[Bench], Acceptor | Initiator], own: int, theirs: int) -> None:
    """Control frames of a peer beyond `control_frames` end the link with RATE; twice the rate at once is allowed."""
    far = join(bench)
    rate = bench.client.hello().limits.get("control_frames", {}).get("value", 1000)
    frame = f.credit(1, sender=own, recipient=theirs, session=77)
    written = 0
    while written < 2 * rate:
        count = min(50, 2 * rate - written)
        far.write(*[frame] * count)
        written += count
    expect(far.transport is not None, "CC-LIMIT-016", "a bucket of twice the rate")
    far.take()
    far.write(frame)
    far.ended("CC-LINK-081", "RATE")


@negative("CC-LIMIT-022")
def test_control_rate_of_a_relay(bench: Bench) -> None:
    """An endpoint does not hold its relay to `control_frames`: many owners may leave together."""
    far = group(bench)
    rate = bench.client.hello().limits.get("control_frames", {}).get("value", 1000)
    frame = f.close(1, session=77)
    for _ in range(4 * rate // 500):
        far.write(*[frame] * 500)
        expect(far.transport is not None, "CC-LIMIT-022", "the link lives", actual=far.inbox)
    far.goes_on("CC-LIMIT-022")


_LEGAL: Final[dict[str, tuple[f.Frame, ...]]] = {
    "empty-message": (f.data(b""),),
    "full-packet": (f.data(bytes(16_368)),),
    "last-channel": (f.data(channel=65_535, session=2**32 - 1, sequence=2**32 - 1),),
    "single-fragment": (f.data(b"hello", fragment=(0, 5, True)),),
    "private": (f.data(private=True, confirm=True, high=True),),
    "extensions": (f.data(extensions=[(1, b"x", False), (0x7FFF, b"", False)]),),
    "lossy-here": (f.data(bytes(1_134), reliable=False),),
    "control": (f.credit(2**64 - 1, sender=2, recipient=f.NO_SLOT), f.close(2**32 - 1, session=9)),
    "fail-all-fine": (f.fail(2**32, 0xFFFF, sender=2, recipient=3, session=5, uncertain=True),),
    "aggregate": (f.receipt(1, sender=2, recipient=f.NO_SLOT, session=5),),
    "gone-slot": (f.roster(5, f.leave(3)), f.fail(1, "LEFT", sender=2, recipient=3, session=5)),
    "roster-empty": (f.roster(4),),
    "many": tuple(f.ack(0) for _ in range(1_365)),
}


@positive(
    "CC-FRAME-001", "CC-FRAME-002", "CC-LINK-066", "CC-LINK-069", "CC-LINK-073", "CC-LINK-074", "CC-LINK-075",
    "CC-LINK-076", "CC-LINK-077", "CC-LINK-078", "CC-LINK-079", "CC-LINK-080", "CC-LINK-092", "CC-ERR-018",
)  # fmt: skip
@pytest.mark.parametrize("frames", _LEGAL.values(), ids=_LEGAL)
def test_legal_frames(bench: Bench, frames: tuple[f.Frame, ...]) -> None:
    """Frames at the edge of what is legal are taken, and counted."""
    far = group(bench)
    far.write(*frames)
    far.goes_on("CC-LINK-066")
    bench.advance(30)
    counts = [seen.frame["received"] for seen in far.seen if seen.frame["type"] == "ACK"]
    expect_equal(counts[-1], len(far.written), "CC-FRAME-097", "everything countable was counted")


@positive("CC-MODEL-009", "CC-LINK-067", "CC-FRAME-014")
def test_legal_on_the_lossy_lane(bench: Bench) -> None:
    """What the lossy lane carries is taken there."""
    far = group(bench)
    part = f.data(bytes(1_126), reliable=False, fragment=(0, 1_127, False))
    for frame in (f.data(bytes(1_134), reliable=False, session=2, channel=6), part, f.unknown(0xCA, bytes(100))):
        far.write(frame, lane="lossy")
    expect_equal(len(far.machine.take("receiver_created")), 2, "CC-FRAME-014", "both are taken")
    far.goes_on("CC-LINK-067")
