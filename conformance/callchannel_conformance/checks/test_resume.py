# SPDX-License-Identifier: Apache-2.0
"""What tempts a link: HELLO again and again, transports that overlap, counts, limits that the other side announces."""

from __future__ import annotations

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance.bench.links import EPOCH, MEMBERS, Acceptor, Initiator, called, group, member
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.helpers import confirmed, open_sender, send
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal


@positive("CC-LINK-009", "CC-LINK-007", "CC-VER-001")
@negative("CC-LINK-009", "CC-LINK-007", "CC-VER-001")
def test_one_fresh_hello(bench: Bench) -> None:
    """While WELCOME is due a further transport is closed without a HELLO (L02); the instance is its endpoint's own."""
    tokens = set()
    for _ in range(3):
        far = Acceptor(bench, bench.endpoint())
        far.members, far.peer_slot, far.epoch = dict(MEMBERS), 2, EPOCH
        first = far.connect()
        tokens.add(far.receive_hello()["token"])
        second = far.connect(detach=False)
        far.none("CC-LINK-007", "HELLO")
        expect(second in far.closed and first not in far.closed, "CC-LINK-064", "L02: the second transport is closed")
        far.answer()
        expect(far.machine.take("joined"), "CC-LINK-009", "the handshake goes on on the first")
    expect_equal(len(tokens), 3, "CC-LINK-009", "each endpoint carries its own instance identifier")


@positive("CC-LINK-011", "CC-LINK-013", "CC-LINK-015", "CC-EXT-025", "CC-LIMIT-010")
@negative("CC-LINK-011", "CC-LINK-012", "CC-LINK-013", "CC-LINK-015", "CC-EXT-025", "CC-LIMIT-010")
def test_hello_after_hello(bench: Bench) -> None:
    """Two resumes, of a link whose WELCOME has other limits and an unknown feature: HELLO repeats its own values."""
    far = group(bench, window=70_000, largest_message=50_000, features=0x80)
    first = far.hello
    assert first is not None
    same = ("features", "window", "largest_message", "id")
    attempt = first["attempt"]
    for sequence in (1, 2):
        far.write(f.data(sequence=sequence), f.unknown(0xCA), f.unknown(0x8A))
        far.write(f.data(reliable=False, session=9, channel=9, sequence=sequence))
        far.disconnect()
        far.connect()
        hello = far.receive_hello(resume=True)
        expect_equal(hello["token"], far.token.hex(), "CC-LINK-011", "the token of WELCOME")
        expect_equal({k: hello[k] for k in same}, {k: first[k] for k in same}, "CC-LINK-013", "its own values")
        expect(hello["attempt"] > attempt, "CC-LINK-012", "attempts grow", actual=hello)
        expect_equal(hello["received"], 1 + 2 * sequence, "CC-LINK-015", "the frames that are counted, and no others")
        attempt = hello["attempt"]
        far.take_up(hello)


@positive("CC-LINK-041")
@negative("CC-LINK-041", "CC-LINK-042")
def test_messages_wait(bench: Bench) -> None:
    """While the link is suspended Reliable messages wait, as many as fit; after it all of them are written in order."""
    far = group(bench)
    sender, lossy = open_sender(far), open_sender(far, reliability="lossy")
    far.disconnect()
    count = 0
    while count < 200:
        reply = far.machine.op("send", sender=sender, data=bytes(60_000).hex())
        if reply.raised is not None:
            expect_equal(reply.raised.code, "WOULD_BLOCK", "CC-LINK-041", "bounded by the buffer")
            break
        count += 1
        send(far, lossy)
    expect(0 < count < 200, "CC-LINK-041", "the buffer has room, and a bound", actual=count)
    far.auto_ack = True
    far.resume()
    for _ in range(40 * count):
        if not far.take("DATA"):
            break
        session = next(s.frame["session"] for s in far.seen if s.frame["type"] == "DATA")
        far.ack()
        far.write(f.credit(1 << 40, sender=2, recipient=f.NO_SLOT, session=session))
    far.ack()
    written = [s.frame for s in far.seen if s.frame["type"] == "DATA"]
    expect(all("RELIABLE" in frame["flags"] for frame in written), "CC-LINK-042", "no Lossy message waited")
    for sequence in range(1, count + 1):
        confirmed(far.machine, sender, sequence, "CC-LINK-041")


@positive("CC-LINK-019")
@negative("CC-LINK-019", "CC-LINK-022")
@pytest.mark.parametrize("behind", ["ack", "data", "bye"])
def test_frame_behind_hello(bench: Bench, behind: str) -> None:
    """A frame behind HELLO in its packet is HANDSHAKE, with WELCOME before the BYE; BYE is taken."""
    far = Initiator(bench, bench.peer("acceptor", peer_identity="ann"), "ann")
    far.connect()
    far.attempt = 1
    frame = {"ack": f.ack(0), "data": f.data(sender=1), "bye": f.bye("LEFT")}[behind]
    far.write(f.hello(token=far.instance, attempt=1, identity="ann"), frame)
    came = [frame["type"] for frame in far.inbox if frame["type"] in ("WELCOME", "BYE")]
    if behind == "bye":
        expect("BYE" not in came, "CC-LINK-019", "BYE is no fault there", actual=came)
        return
    expect_equal(came, ["WELCOME", "BYE"], "CC-LINK-019", "WELCOME goes before BYE")
    far.ended("CC-LINK-019", "HANDSHAKE")


@positive("CC-LINK-021")
@negative("CC-LINK-021", "CC-LINK-022")
@pytest.mark.parametrize("how", ["ack", "welcome", "garbage", "empty", "long"])
def test_unbound_fault(bench: Bench, how: str) -> None:
    """Whatever comes on an unbound transport, the living link goes on."""
    far = called(bench)
    other = Initiator(bench, far.machine, "ann")
    other.connect()
    packet = {
        "ack": bytes.fromhex("4300000c0000000000000000"),
        "welcome": bytes.fromhex("42000006") + b"\0\1",
        "garbage": b"\xff" * 40,
        "empty": b"",
        "long": bytes(16_385),
    }[how]
    other.write_bytes(packet)
    expect(other.new("BYE"), "CC-LINK-016", "it is refused", actual=other.inbox)
    far.goes_on("CC-LINK-021")
    expect(not far.machine.all_events("link_ended", "suspended"), "CC-LINK-021", "nothing is told of the link")


@negative("CC-LINK-022")
def test_second_hello(bench: Bench) -> None:
    """A HELLO on a transport that is bound is no new handshake: HANDSHAKE, and no second WELCOME."""
    far = called(bench)
    far.take()
    far.write(f.hello(token=far.instance, attempt=9, identity="ann"))
    far.none("CC-LINK-022", "WELCOME") if far.transport is not None else None
    expect(not far.new("WELCOME"), "CC-LINK-022", "no second WELCOME", actual=far.inbox)
    ended = far.machine.all_events("link_ended")
    expect_equal([event["code"] for event in ended], ["HANDSHAKE"], "CC-LINK-076", "HANDSHAKE")


@positive("CC-LINK-029", "CC-LINK-047")
@negative("CC-LINK-001", "CC-LINK-029", "CC-LINK-047")
def test_overlapping_transports(bench: Bench) -> None:
    """A resume while the old transport still brings packets: what came before counts, what comes after does not."""
    far = called(bench)
    far.write(f.data(sender=1), f.data(sender=1, sequence=2))
    old = far.transport
    written = len(far.written)
    welcome = far.resume(repeat=False)
    expect_equal(welcome["received"], written, "CC-LINK-029", "the count when the old transport was detached")
    late = b"\x01\x01\0\x12\0\5\0\1\0\0\0\1\0\0\0\3hi"
    far.machine.take()
    far.machine.op("receive", transport=old, lane="reliable", packet=late.hex())
    expect_equal(far.machine.take("receiver_readable"), [], "CC-LINK-047", "nothing more is read from it")
    bench.advance(30)
    counts = [frame["received"] for frame in far.take("ACK")]
    expect(all(count == written for count in counts), "CC-LINK-047", "nor counted", actual=counts)


@positive("CC-LINK-018")
@negative("CC-LINK-018")
def test_token_of_another(bench: Bench) -> None:
    """A token is good for the identity that has its link alone: RESUME_UNKNOWN, as for one that was never given."""
    relay = bench.relay()
    ann = member(relay, "ann")
    for token in (ann.token, bytes(16)):
        eve = Initiator(bench, relay, "eve")
        eve.connect(admission={"identity": "eve", "may_send": True})
        eve.write(f.hello(resume=True, token=token, attempt=5, identity="eve"))
        eve.ended("CC-LINK-018", "RESUME_UNKNOWN")
    ann.goes_on("CC-LINK-018")


@positive("CC-LIMIT-017", "CC-LIMIT-018")
@negative("CC-LIMIT-017", "CC-LIMIT-018")
@pytest.mark.parametrize("kind", ["endpoint", "relay"])
def test_window_beyond_memory(bench: Bench, kind: str) -> None:
    """A window greater than the memory behind it is refused as a setting, or not announced."""
    memory = "receive_memory" if kind == "endpoint" else "relay_link_memory"
    limits = {memory: 1 << 20, "window": 4 << 20, "largest_message": 1 << 20}
    bench.client.needs(profile="endpoint-group" if kind == "endpoint" else "relay")
    for name in limits:
        bench.client.needs(limit=name)
    members = {"identity": "me"} if kind == "endpoint" else {}
    given = {"machine": "probe", "kind": kind, "seed": "01", "now": bench.now, "limits": limits, **members}
    if bench.client.request("create", **given).raised is not None:
        return
    if kind == "endpoint":
        far = Acceptor(bench, bench.endpoint(limits=limits))
        far.connect()
        window = far.receive_hello()["window"]
        expect(window <= 1 << 20, "CC-LIMIT-018", "the window is within the memory", actual=window)
    else:
        ann = member(bench.relay(limits=limits), "ann")
        assert ann.welcome is not None
        expect(ann.welcome["window"] <= 1 << 20, "CC-LIMIT-017", "the window is within the memory", actual=ann.welcome)
