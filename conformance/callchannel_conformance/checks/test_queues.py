# SPDX-License-Identifier: Apache-2.0
"""A sender's queues and what may be sent at all: bounds that may be reached, LATEST, lifetimes, texts."""

from __future__ import annotations

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance.bench.links import Acceptor, group
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.helpers import open_sender, read, read_all, received, send
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal

_CONTENT_TYPE, _NAME, _LIFETIME = 1, 2, 3


@positive("CC-LIMIT-013", "CC-DELIV-068")
def test_lossy_queue_may_be_full(bench: Bench) -> None:
    """Lossy messages that fill the queue exactly all stay."""
    far = group(bench, bench.endpoint(limits={"lossy_queue": 4_096}))
    sender = open_sender(far, reliability="lossy")
    far.hold("lossy")
    for _ in range(4):
        send(far, sender, bytes(1_024))
    far.hold("lossy", held=False)
    sequences = [frame["sequence"] for frame in far.take("DATA")]
    expect_equal(sequences, [1, 2, 3, 4], "CC-LIMIT-013", "4,096 bytes are within 4,096")


@positive("CC-DELIV-063")
def test_chunk_larger_than_the_buffer(bench: Bench) -> None:
    """A chunk that is larger than `send_buffer` fits an empty buffer, and nothing fits behind it."""
    far = group(bench, bench.endpoint(limits={"send_buffer": 65_536}))
    bench.client.needs(feature="streams")
    sender = open_sender(far)
    far.hold()
    sequence = far.machine.do("stream_open", sender=sender)["sequence"]
    far.machine.do("stream_write", sender=sender, sequence=sequence, data="00" * 100_000)
    far.machine.raises("CC-DELIV-062", "WOULD_BLOCK", "stream_write", sender=sender, sequence=sequence, data="00")
    far.machine.take()
    far.hold(held=False)
    expect(far.machine.take("sender_writable"), "CC-DELIV-066", "the sender is writable when there is room")
    far.machine.do("stream_write", sender=sender, sequence=sequence, data="00" * 70_000)


@positive("CC-DELIV-066")
@negative("CC-DELIV-066")
def test_not_writable_while_full(bench: Bench) -> None:
    """What is written and not confirmed counts: the sender is not writable before one of these messages is settled."""
    far = group(bench, bench.endpoint(limits={"unconfirmed_messages": 64}))
    sender = open_sender(far)
    far.hold()
    for _ in range(64):
        send(far, sender)
    far.machine.raises("CC-DELIV-062", "WOULD_BLOCK", "send", sender=sender, data="00")
    far.machine.take()
    far.hold(held=False)
    expect_equal(len(far.take("DATA")), 64, "CC-DELIV-062", "all that was taken is written")
    told = far.machine.take("sender_writable")
    expect_equal(told, [], "CC-DELIV-066", "it can take no message yet: 64 are not confirmed")
    far.ack()
    expect(far.machine.take("sender_writable"), "CC-DELIV-066", "the sender is writable when there is room")
    send(far, sender)


@negative("CC-DELIV-076", "CC-DELIV-072")
def test_older_latest_after_the_read(bench: Bench) -> None:
    """An older LATEST message is dropped, also where the newer one was read before it came."""
    far = group(bench)
    receiver = received(far, f.data(b"5", reliable=False, latest=True, sequence=5), "CC-SESS-027", lane="lossy")
    expect_equal(len(read_all(far.machine, receiver)), 1, "CC-DELIV-075", "message 5 is handed out")
    far.write(f.data(b"4", reliable=False, latest=True, sequence=4), lane="lossy")
    expect_equal(read_all(far.machine, receiver), [], "CC-DELIV-076", "message 4 is superseded")


@positive("CC-LIMIT-013")
@negative("CC-SESS-001")
def test_channels_at_the_edge(bench: Bench) -> None:
    """Channel 65,535 is the last one."""
    far = group(bench)
    expect_equal(far.machine.do("open", channel=65_535)["channel"], 65_535, "CC-SESS-001", "it may be used")
    far.machine.raises("CC-SESS-001", "INVALID_ARGUMENT", "open", channel=65_536)


@negative("CC-EXT-013")
@positive("CC-EXT-013")
@pytest.mark.parametrize("member", ["name", "content_type"])
def test_texts_are_measured_in_bytes(bench: Bench, member: str) -> None:
    """A name or content type has at most 255 bytes of UTF-8, however few characters they are."""
    far = group(bench)
    sender = open_sender(far)
    send(far, sender, metadata={member: "é" * 127})
    far.one("CC-EXT-013", "DATA")
    metadata = {member: "é" * 128}
    far.machine.raises("CC-EXT-013", "INVALID_ARGUMENT", "send", sender=sender, data="00", metadata=metadata)
    far.none("CC-ERR-013", "DATA")


@positive("CC-EXT-015")
@negative("CC-LIMIT-014")
def test_lifetime_to_the_tick(bench: Bench) -> None:
    """A Lossy message is written until its lifetime has passed, and dropped from then on."""
    far = group(bench)
    sender = open_sender(far, reliability="lossy")
    for wait, written in ((99, True), (100, False)):
        far.hold("lossy")
        send(far, sender, metadata={"lifetime": 100})
        bench.advance(wait)
        far.hold("lossy", held=False)
        requirement = "CC-LIMIT-014" if written else "CC-EXT-015"
        expect_equal(bool(far.take("DATA")), written, requirement, f"after {wait} of 100 ms")


@negative("CC-EXT-011", "CC-EXT-009")
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (_LIFETIME, bytes(4)),
        (_LIFETIME, b"abc"),
        (_NAME, b""),
        (_CONTENT_TYPE, bytes(256)),
        (_NAME, b"\xff"),
        (99, b""),
    ],
)
@pytest.mark.parametrize("fragmented", [False, True])
def test_lossy_must_understand(bench: Bench, kind: int, value: bytes, fragmented: bool) -> None:
    """A Lossy message is dropped for an extension that is not understood and has to be, whole or in fragments."""
    far = group(bench)
    receiver = received(far, f.data(b"1", reliable=False), "CC-SESS-027", lane="lossy")
    read(far.machine, receiver)
    for sequence, must in ((2, True), (3, False)):
        block = [(kind, value, must)]
        if fragmented:
            parts = [
                f.data(bytes(600), reliable=False, sequence=sequence, fragment=(0, 700, False), extensions=block),
                f.data(bytes(100), reliable=False, sequence=sequence, fragment=(1, 700, True)),
            ]
        else:
            parts = [f.data(b"x", reliable=False, sequence=sequence, extensions=block)]
        for part in parts:
            far.write(part, lane="lossy")
        got = [message["sequence"] for message in read_all(far.machine, receiver)]
        expect_equal(got, [] if must else [3], "CC-EXT-009" if must else "CC-EXT-007", f"message {sequence}")


@positive("CC-FRAME-024", "CC-FRAG-008", "CC-FRAG-015", "CC-FRAG-016")
@pytest.mark.parametrize("to", [None, ["bob"]])
@pytest.mark.parametrize("confirm", ["accepted", "delivered"])
def test_parts_and_abort(bench: Bench, to: list[str] | None, confirm: str) -> None:
    """All fragments of a message and its ABORT have its flags and its total, and their indexes follow each other."""
    far = group(bench, window=65_536)
    options = {} if to is None else {"to": to}
    sender = open_sender(far, confirm=confirm, **options)
    send(far, sender, bytes(100_000))
    far.machine.do("cancel", sender=sender, sequence=1, code="CANCELLED")
    parts = far.take("DATA")
    count = len(parts)
    indexes = [part["fragment"]["index"] for part in parts]
    expect_equal(indexes, list(range(count)), "CC-FRAG-015", "the index of ABORT is the next one")
    ends = [part["fragment"]["abort"] for part in parts]
    expect_equal(ends, [False] * (count - 1) + [True], "CC-FRAG-013", "ABORT is the last of them")
    expect_equal({part["fragment"]["total"] for part in parts}, {100_000}, "CC-FRAG-008", "all have the total")
    flags = [sorted(part["flags"]) for part in parts]
    expect_equal(flags[1:-1], flags[:1] * (count - 2), "CC-FRAME-024", "all fragments have the same flags")
    expect_equal(flags[-1], flags[0], "CC-FRAG-016", "so has ABORT")


@positive("CC-FRAME-097")
@negative("CC-FRAME-097", "CC-LINK-082")
def test_what_is_counted(bench: Bench) -> None:
    """On the reliable lane Lossy DATA and types with bit 40 are not counted, a skipped frame without that bit is."""
    far = group(bench)
    bench.advance(30)
    before = len(far.written)
    far.take()
    far.write(
        f.data(reliable=False), f.unknown(0xCA), f.unknown(0x8A), f.data(reliable=False, sequence=2), f.data(session=2)
    )
    far.written += [b"", b""]  # room for a machine that counts too much: it is judged here
    bench.advance(30)
    acks = [frame["received"] for frame in far.take("ACK")]
    expect_equal(acks[-1:], [before + 2], "CC-FRAME-097", "the skipped frame and the Reliable message count")


@positive("CC-LIMIT-020")
@negative("CC-LIMIT-019", "CC-LIMIT-020")
@pytest.mark.parametrize("reliability", ["reliable", "lossy"])
def test_largest_message_in_force(bench: Bench, reliability: str) -> None:
    """Messages are held to the largest message of WELCOME, which may be reached."""
    far = group(bench, bench.endpoint(limits={"largest_message": 32_768}), largest_message=32_768)
    sender = open_sender(far, reliability=reliability)
    requirement = "CC-LIMIT-019" if reliability == "reliable" else "CC-LIMIT-020"
    far.machine.raises(requirement, "MESSAGE_TOO_LARGE", "send", sender=sender, data="00" * 32_769)
    expect_equal(send(far, sender, bytes(32_768)), 1, "CC-LIMIT-013", "32,768 bytes")


@positive("CC-LIMIT-013", "CC-LIMIT-006")
@negative("CC-LIMIT-006")
def test_identifier_at_the_edge(bench: Bench) -> None:
    """An identifier has up to 255 bytes of UTF-8, however few characters they are; who joins under more is told."""
    longest = "é" * 127 + "a"
    machine = bench.endpoint(identity=longest)
    expect(machine.creation.raised is None, "CC-LIMIT-013", "255 bytes are allowed")
    far = Acceptor(bench, machine)
    far.connect()
    expect_equal(far.receive_hello()["id"], longest, "CC-LIMIT-013", "255 bytes are allowed")
    machine = bench.endpoint(identity="é" * 128)
    refused = machine.creation.raised
    if refused is None:
        refused = machine.op("transport_up", transport=1, lossy=True, admission=None).raised
    expect_equal(refused and refused.code, "INVALID_ARGUMENT", "CC-LIMIT-006", "256 bytes are too many")
