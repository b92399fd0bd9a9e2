# SPDX-License-Identifier: Apache-2.0
"""What an endpoint writes next (chapter 8): bundling, the order of frames, turns, priority, bitrate."""

from __future__ import annotations

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance.bench.links import Acceptor, group
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.helpers import open_sender, payload, read, received, send
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal


def _turns(far: Acceptor) -> list[str]:
    """The payloads of the DATA frames since the last take, by their first byte."""
    return [payload(frame)[:1].decode() for frame in far.take("DATA")]


@positive("CC-FRAME-008", "CC-SCHED-001")
def test_small_messages_share(bench: Bench) -> None:
    """Small messages that wait share a packet."""
    far = group(bench)
    sender = open_sender(far)
    far.hold()
    for _ in range(10):
        send(far, sender)
    before = len(far.seen)
    far.pull()
    packets = {seen.packet for seen in far.seen[before:] if seen.frame["type"] == "DATA"}
    expect_equal(
        len([s for s in far.seen[before:] if s.frame["type"] == "DATA"]), 10, "CC-FRAME-008", "all in one packet"
    )
    expect_equal(len(packets), 1, "CC-FRAME-008", "one packet")


@positive("CC-SCHED-002")
@negative("CC-SCHED-002")
def test_nothing_is_held_back(bench: Bench) -> None:
    """A message goes out at once, without waiting for others."""
    far = group(bench)
    sender = open_sender(far)
    send(far, sender)
    far.one("CC-SCHED-002", "DATA")


@positive("CC-SCHED-003", "CC-SCHED-004", "CC-MODEL-009")
@negative("CC-SCHED-004", "CC-SCHED-003", "CC-MODEL-009")
def test_lanes_apart(bench: Bench) -> None:
    """A blocked lane does not hold up the other."""
    far = group(bench)
    reliable, lossy = open_sender(far), open_sender(far, reliability="lossy")
    far.hold("reliable")
    send(far, reliable)
    send(far, lossy)
    expect_equal(
        [s.lane for s in far.seen if s.frame["type"] == "DATA"], ["lossy"], "CC-SCHED-003", "the lossy lane goes on"
    )
    far.hold("lossy")
    send(far, lossy)
    far.hold("reliable", held=False)
    lanes = [s.lane for s in far.seen if s.frame["type"] == "DATA"]
    expect_equal(lanes, ["lossy", "reliable"], "CC-SCHED-004", "the reliable lane goes on, the other is blocked")


@positive(
    "CC-SCHED-016", "CC-SCHED-017", "CC-SCHED-018", "CC-SCHED-019", "CC-SCHED-007", "CC-SCHED-005", "CC-SCHED-006"
)
@negative("CC-SCHED-016", "CC-SCHED-017")
def test_trace_of_8_9(bench: Bench) -> None:
    """The trace of an endpoint in section 8.9, by the order of its data frames."""
    far = group(bench)
    one, two = open_sender(far), open_sender(far)
    three = open_sender(far, priority="high")
    far.hold()
    send(far, one, b"a" * (3 * 16_360))
    for _ in range(2):
        send(far, two, b"b" * 284)
    for _ in range(6):
        send(far, three, b"h" * 184)
    far.take()
    far.hold(held=False)
    turns = "".join(_turns(far))
    # A writer may cut fragments a little smaller (section 8.4): then there is a fourth, with nobody to take turns with.
    expect_equal(turns.rstrip("a"), "hhhhahhbab", "CC-SCHED-017", "four high frames, then a normal one, and turns")
    expect(turns.endswith("a"), "CC-SCHED-017", "the rest of the file follows", actual=turns)


@positive("CC-SCHED-018", "CC-SCHED-020")
@negative("CC-SCHED-018", "CC-SCHED-020")
def test_turns(bench: Bench) -> None:
    """Sessions of one priority take turns frame by frame; one without credit holds up no other."""
    far = group(bench, window=65_536)
    senders = [open_sender(far) for _ in range(3)]
    far.hold()
    for name, sender in zip(b"abc", senders, strict=True):
        send(far, sender, bytes([name]) * 150_000)
    far.take()
    far.hold(held=False)
    turns = _turns(far)
    expect_equal("".join(turns[:9]), "abcabcabc", "CC-SCHED-018", "frame by frame")
    session = {payload(s.frame)[:1].decode(): s.frame["session"] for s in far.seen if s.frame["type"] == "DATA"}
    far.write(f.credit(200_000, sender=2, recipient=f.NO_SLOT, session=session["b"]))
    expect_equal(set(_turns(far)), {"b"}, "CC-SCHED-020", "who has credit goes on alone")


@positive("CC-SCHED-009", "CC-SCHED-012", "CC-SCHED-013", "CC-SCHED-011")
@negative("CC-SCHED-009", "CC-SCHED-012", "CC-SCHED-013")
def test_control_before_data(bench: Bench) -> None:
    """RECEIPT, FAIL, CREDIT and ACK go before data, FAIL before ACK."""
    far = group(bench)
    far.hold()
    confirmed = received(far, f.data(confirm=True), "CC-SESS-027")
    far.write(f.data(sequence=2))
    credited = received(far, f.data(bytes(16_368), session=2, channel=6), "CC-SESS-027")
    assert far.hello is not None
    # CREDIT is due when a quarter of the window has been read.
    count = min(far.hello["window"] // 16_384, 7)
    kinds_due = (
        ("RECEIPT", "FAIL", "CREDIT", "ACK")
        if 4 * 16_384 * (count - 1) >= far.hello["window"]
        else ("RECEIPT", "FAIL", "ACK")
    )
    for sequence in range(2, count + 1):
        far.write(f.data(bytes(16_368), session=2, channel=6, sequence=sequence))
    sender = open_sender(far)
    send(far, sender, bytes(40_000))
    read(far.machine, confirmed)
    for _ in range(count - 1):
        read(far.machine, credited)
    far.machine.do("close_receiver", receiver=confirmed)
    bench.advance(30)
    far.take()
    far.hold(held=False)
    kinds = [frame["type"] for frame in far.take("RECEIPT", "FAIL", "CREDIT", "ACK", "DATA")]
    first_data = kinds.index("DATA")
    for kind in kinds_due:
        expect(kind in kinds[:first_data], "CC-SCHED-012", f"{kind} goes before data", actual=kinds)
    expect(kinds.index("RECEIPT") < kinds.index("FAIL") < kinds.index("ACK"), "CC-SCHED-011", "the order", actual=kinds)


@negative("CC-SCHED-008")
@positive("CC-SCHED-008")
def test_retransmission_first(bench: Bench) -> None:
    """After a resume nothing new that is counted goes before what is repeated (the monitor compares)."""
    far = group(bench)
    low, high = open_sender(far), open_sender(far, priority="high")
    far.deaf = True
    for _ in range(3):
        send(far, low, b"l")
    far.deaf = False
    far.disconnect()
    send(far, high, b"h")
    far.resume()
    expect_equal(_turns(far), list("lllh"), "CC-SCHED-008", "retransmission first")


@positive("CC-SCHED-025")
@negative("CC-SCHED-025")
@pytest.mark.parametrize("bitrate", [0, -1])
def test_no_bitrate(bench: Bench, bitrate: int) -> None:
    """A bitrate below 1 raises INVALID_ARGUMENT."""
    bench.client.needs(feature="bitrate")
    far = group(bench)
    far.machine.raises("CC-SCHED-025", "INVALID_ARGUMENT", "open", bitrate=bitrate)


@positive("CC-SCHED-026", "CC-SCHED-027", "CC-SCHED-028")
@negative("CC-SCHED-027", "CC-SCHED-026", "CC-SCHED-028")
def test_bitrate(bench: Bench) -> None:
    """The table of section 8.8: two full fragments at once, then one each second."""
    bench.client.needs(feature="bitrate")
    far = group(bench)
    sender = open_sender(far, bitrate=131_072)
    send(far, sender, bytes(8 * 16_360))
    bench.advance(5)
    expect_equal(len(far.take("DATA")), 2, "CC-SCHED-026", "a full bucket, then just above zero")
    bench.advance(900)
    far.none("CC-SCHED-027", "DATA")
    bench.advance(200)
    expect_equal(len(far.take("DATA")), 1, "CC-SCHED-026", "after a second the next")
    other = open_sender(far)
    send(far, other, b"x")
    expect_equal(len(far.take("DATA")), 1, "CC-SCHED-020", "another session is not held up")
    far.machine.do("cancel", sender=sender, sequence=1, code="CANCELLED")
    far.machine.do("close", sender=sender)
    kinds = [frame["type"] for frame in far.take("DATA", "CLOSE")]
    expect_equal(kinds, ["DATA", "CLOSE"], "CC-SCHED-028", "ABORT and CLOSE do not wait")


@negative("CC-SCHED-006", "CC-SCHED-005")
def test_bundle_limit(bench: Bench) -> None:
    """Frames that do not fit `bundle` begin a new packet (the monitor measures)."""
    far = group(bench)
    sender = open_sender(far)
    far.hold()
    for size in (500, 600, 200, 1_200, 30, 30):
        send(far, sender, bytes(size))
    far.take()
    far.hold(held=False)
    expect_equal(len(far.take("DATA")), 6, "CC-SCHED-007", "all are written")


@positive("CC-SCHED-001")
@negative("CC-SCHED-001", "CC-SCHED-002")
def test_chosen_at_the_pull(bench: Bench) -> None:
    """What goes into a packet is chosen when it is pulled: a message that came later with more priority is in it."""
    far = group(bench)
    low, high = open_sender(far), open_sender(far, priority="high")
    far.hold()
    for _ in range(3):
        send(far, low, b"l" * 900)
    far.pull()
    send(far, high, b"h")
    taken = send(far, low, b"x")
    far.machine.do("cancel", sender=low, sequence=taken, code="CANCELLED")
    before = len(far.seen)
    far.pull()
    data = [payload(seen.frame)[:1] for seen in far.seen[before:] if seen.frame["type"] == "DATA"]
    expect_equal(data[:1], [b"h"], "CC-SCHED-001", "what is waiting and allowed at the pull")


@positive("CC-SCHED-007")
@negative("CC-SCHED-007")
def test_packet_ends_at_the_turn(bench: Bench) -> None:
    """A packet ends where the next frame in turn does not fit; a smaller one behind it does not jump the queue."""
    far = group(bench)
    one, two = open_sender(far), open_sender(far)
    far.hold()
    send(far, one, b"a" * 800)
    send(far, two, b"b" * 800)
    send(far, one, b"c")
    far.pull()
    far.pull()
    far.pull()
    data = [(payload(s.frame)[:1], s.packet) for s in far.seen if s.frame["type"] == "DATA"]
    expect_equal([name for name, _ in data][:2], [b"a", b"b"], "CC-SCHED-007", "turns are kept")
    expect(data[0][1] != data[1][1], "CC-SCHED-007", "800 and 800 bytes do not share a packet", actual=data)


@positive("CC-SCHED-019")
@negative("CC-SCHED-019")
def test_last_in_the_turns(bench: Bench) -> None:
    """A session that becomes ready is last in the turns, however small what it has to write is."""
    far = group(bench)
    one, two, three = (open_sender(far) for _ in range(3))
    far.hold()
    for sender, name in ((one, b"a"), (two, b"b")):
        send(far, sender, name * 60_000)
    far.pull()
    send(far, three, b"c")
    rest = [frame for _ in range(3) for frame in far.pull() if frame["type"] == "DATA"]
    order = [payload(frame)[:1] for frame in rest][:3]
    expect_equal(order, [b"b", b"a", b"c"], "CC-SCHED-019", "behind those who were ready")
