# SPDX-License-Identifier: Apache-2.0
"""Turns and pace where exact numbers matter: bursts, buckets, and what waits for an ACK (chapter 8, section 9.6)."""

from __future__ import annotations

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance.bench.far import Far
from callchannel_conformance.bench.links import group, settle
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.helpers import open_sender, payload, read, received, send
from callchannel_conformance.checks.relay_scene import call
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal


def _packets(far: Far) -> list[int]:
    """The size of each packet with DATA."""
    sizes: dict[int, int] = {}
    with_data = {seen.packet for seen in far.seen if seen.frame["type"] == "DATA"}
    for seen in far.seen:
        if seen.packet in with_data:
            sizes[seen.packet] = sizes.get(seen.packet, 0) + len(seen.raw)
    return list(sizes.values())


@positive("CC-SCHED-017")
@negative("CC-SCHED-016", "CC-SCHED-017")
@pytest.mark.parametrize("alone", [0, 3, 4, 9])
def test_high_frames_of_before_count(bench: Bench, alone: int) -> None:
    """High frames that were written while nothing else waited count: after four a normal one is next."""
    far = group(bench)
    high, normal = open_sender(far, priority="high"), open_sender(far)
    for _ in range(alone):
        send(far, high, b"h")
    far.take()
    far.hold()
    for _ in range(6):
        send(far, high, b"h")
    for _ in range(3):
        send(far, normal, b"n")
    far.hold(held=False)
    turns = "".join(payload(frame).decode() for frame in far.take("DATA"))
    wanted = {0: "hhhhnhhnn", 3: "hnhhhhnhn", 4: "nhhhhnhhn", 9: "nhhhhnhhn"}[alone]
    expect_equal(turns, wanted, "CC-SCHED-017", f"{alone} high frames were written alone")


@positive("CC-SCHED-022", "CC-SCHED-017")
@negative("CC-SCHED-022", "CC-SCHED-023")
def test_turns_at_a_relay(bench: Bench) -> None:
    """At a relay owners take turns whatever their priorities, and each owner's sessions as at its endpoint."""
    _, (ann, bob, carol) = call(bench, 3)
    carol.hold()
    for sequence in range(1, 10):
        ann.write(f.data(b"H", high=True, sequence=sequence))
    for sequence in range(1, 4):
        ann.write(f.data(b"n", session=2, channel=6, sequence=sequence))
    for sequence in range(1, 7):
        bob.write(f.data(b"b", sender=1, sequence=sequence))
    carol.hold(held=False)
    turns = [payload(frame).decode() for frame in carol.take("DATA")]
    of_ann = "".join(name for name in turns if name != "b")
    expect_equal(of_ann, "HHHHnHHHHnHn", "CC-SCHED-022", "four high frames, then a normal one")
    expect_equal("".join(turns[:12]).upper().replace("N", "H"), "HB" * 6, "CC-SCHED-023", "the owners take turns")


@positive("CC-SCHED-026", "CC-SCHED-027")
@negative("CC-SCHED-027")
@pytest.mark.parametrize("reliability", ["reliable", "lossy"])
def test_bucket_to_the_byte(bench: Bench, reliability: str) -> None:
    """The bucket pays for whole frames: 1,024 empty messages empty it exactly, and the next one waits."""
    far = group(bench, bench.endpoint(limits={"unconfirmed_messages": 4_096}))
    sender = open_sender(far, reliability=reliability, bitrate=12_800)
    for _ in range(1_200):
        send(far, sender, b"")
    expect_equal(len(far.take("DATA")), 1_024, "CC-SCHED-026", "16,384 bytes in frames of 16 bytes")
    bench.advance(5)
    # 12,800 bits a second are 1.6 bytes in 1 ms: the bucket is above zero, and one frame takes it below.
    expect_equal(len(far.take("DATA")), 1, "CC-SCHED-027", "above zero one frame is written")
    bench.advance(1_000)
    expect_equal(len(far.take("DATA")), 100, "CC-SCHED-026", "1,600 bytes a second in frames of 16 bytes")


@positive("CC-LINK-035", "CC-SCHED-014")
@negative("CC-LINK-035", "CC-SCHED-012")
def test_receipt_waits_for_an_ack(bench: Bench) -> None:
    """While `unacknowledged` is reached neither DATA nor RECEIPT is written, but ACK is; an ACK frees both."""
    far = group(bench, bench.endpoint(limits={"unacknowledged": 65_536}))
    receiver = received(far, f.data(confirm=True), "CC-SESS-027")
    sender = open_sender(far)
    for _ in range(7):
        send(far, sender, bytes(16_000))
    expect_equal(len(far.take("DATA")), 5, "CC-LINK-035", "80,080 bytes are not acknowledged")
    read(far.machine, receiver)
    bench.advance(30)
    far.none("CC-LINK-035", "RECEIPT", "DATA")
    far.write(f.unknown(0x8A))
    bench.advance(30)
    far.one("CC-SCHED-014", "ACK")
    settle(far)
    kinds = [frame["type"] for frame in far.take("RECEIPT", "DATA")]
    expect_equal(kinds, ["RECEIPT", "DATA", "DATA"], "CC-LINK-035", "an ACK makes room")


@positive("CC-SCHED-005")
@negative("CC-SCHED-005")
@pytest.mark.parametrize("sessions", [1, 3])
def test_bundles(bench: Bench, sessions: int) -> None:
    """Small messages that wait share packets of at most `bundle` bytes, whoever sent them."""
    far = group(bench)
    senders = [open_sender(far) for _ in range(sessions)]
    far.hold()
    for _ in range(30):
        for sender in senders:
            send(far, sender, bytes(100))
    far.hold(held=False)
    sizes = _packets(far)
    expect(max(sizes) <= 1_150, "CC-SCHED-005", "no packet of several frames is larger", actual=sizes)


@positive("CC-SCHED-005")
@negative("CC-SCHED-005")
@pytest.mark.parametrize("sessions", [1, 3])
def test_bundles_of_a_relay(bench: Bench, sessions: int) -> None:
    """So do those that wait at a relay."""
    _, (ann, bob) = call(bench, 2)
    bob.hold()
    for sequence in range(1, 31):
        for session in range(1, sessions + 1):
            ann.write(f.data(bytes(100), session=session, channel=session, sequence=sequence))
    bob.hold(held=False)
    sizes = _packets(bob)
    expect(max(sizes) <= 1_150, "CC-SCHED-005", "no packet of several frames is larger", actual=sizes)
