# SPDX-License-Identifier: Apache-2.0
"""The link at an endpoint that initiates: handshake, counting, silence, resume, leaving (chapter 9)."""

from __future__ import annotations

from typing import Any

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance.bench.links import EPOCH, MEMBERS, Acceptor, group
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.helpers import (
    confirmed,
    cover,
    limit,
    open_sender,
    read,
    read_all,
    received,
    send,
    sent,
    unsettled,
)
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal


def _fresh(bench: Bench, **options: Any) -> Acceptor:
    far = Acceptor(bench, bench.endpoint(**options))
    far.members, far.peer_slot, far.epoch = dict(MEMBERS), 2, EPOCH
    return far


@negative("CC-LINK-010", "CC-LIMIT-018")
@positive("CC-LINK-007", "CC-LINK-009", "CC-VER-001", "CC-LIMIT-018", "CC-LINK-010")
def test_hello(bench: Bench) -> None:
    """A fresh HELLO: an instance identifier of its own, received 0, limits within bounds."""
    far = _fresh(bench, identity="zoë")
    far.connect()
    hello = far.receive_hello()
    expect_equal((hello["received"], hello["id"], hello["replace"]), (0, "zoë", False), "CC-LINK-009", "a fresh HELLO")
    expect(hello["attempt"] >= 1, "CC-FRAME-074", "the attempt")
    expect(hello["token"] != "00" * 16, "CC-LINK-010", "the instance identifier is drawn")
    memory = limit(far, "receive_memory")
    expect(
        hello["window"] <= memory and hello["largest_message"] <= memory,
        "CC-LIMIT-018",
        "no more than its memory",
        actual=hello,
    )
    other = _fresh(bench)
    other.connect()
    expect(other.receive_hello()["token"] != hello["token"], "CC-LINK-010", "two endpoints have two identifiers")


@positive("CC-LINK-050")
def test_replace_flag(bench: Bench) -> None:
    """An endpoint that is told to replaces its ghost."""
    far = _fresh(bench, replace=True)
    far.connect()
    expect(far.receive_hello()["replace"], "CC-LINK-050", "REPLACE is set")


@negative("CC-LINK-008", "CC-LINK-007")
def test_nothing_before_welcome(bench: Bench) -> None:
    """Until WELCOME nothing but HELLO is written, whatever time passes."""
    far = _fresh(bench)
    far.connect()
    far.receive_hello()
    far.machine.raises("CC-ERR-020", "NOT_JOINED", "open")
    bench.advance(900)
    far.none("CC-LINK-008", "ACK", "DATA", "HELLO")


@positive("CC-LINK-031")
@negative("CC-LINK-031", "CC-LINK-027", "CC-LINK-023")
@pytest.mark.parametrize("field", [{"attempt": 7}, {"received": 1}], ids=["attempt", "received"])
def test_welcome_does_not_fit(bench: Bench, field: dict[str, Any]) -> None:
    """A WELCOME that does not fit a fresh HELLO ends the link with HANDSHAKE."""
    far = _fresh(bench)
    far.connect()
    far.receive_hello()
    far.write(f.welcome(slot=2, identity="me", **{"attempt": far.attempt, **field}))
    far.ended("CC-LINK-031", "HANDSHAKE")
    joined = far.machine.take("link_ended")
    expect_equal([event["code"] for event in joined], ["HANDSHAKE"], "CC-ERR-026", "joining raises the code")


@positive("CC-LINK-031")
@negative("CC-LINK-031", "CC-LINK-028")
@pytest.mark.parametrize(
    "field", [{"token": bytes(16)}, {"slot": 3}, {"received": 1000}], ids=["token", "slot", "received"]
)
def test_resume_does_not_fit(bench: Bench, field: dict[str, Any]) -> None:
    """A WELCOME that does not fit a resume ends the link with RESUME_MISMATCH."""
    far = group(bench)
    far.disconnect()
    far.connect()
    far.receive_hello(resume=True)
    far.take()
    far.write(f.welcome(**{"slot": 2, "identity": "me", "attempt": far.attempt, "token": far.token, **field}))
    far.ended("CC-LINK-031", "RESUME_MISMATCH")


@positive("CC-LINK-030")
@negative("CC-LINK-030", "CC-FRAME-083", "CC-FRAME-082")
@pytest.mark.parametrize("packet", ["420000060002", "42ff00080000beef"])
def test_other_version(bench: Bench, packet: str) -> None:
    """A WELCOME of another version ends the link with VERSION, whatever else it holds."""
    far = _fresh(bench)
    far.connect()
    far.receive_hello()
    far.write_bytes(bytes.fromhex(packet))
    far.ended("CC-LINK-030", "VERSION")


@negative("CC-LINK-032")
@positive("CC-LINK-032", "CC-LIMIT-014")
def test_join_time(bench: Bench) -> None:
    """Without WELCOME the link ends with TIMEOUT after `join_time`, not before."""
    far = _fresh(bench)
    far.connect()
    far.receive_hello()
    time = limit(far, "join_time")
    bench.advance(time - 20)
    far.none("CC-LIMIT-014", "BYE")
    bench.advance(70)
    far.ended("CC-LINK-032", "TIMEOUT")


@positive("CC-LINK-036", "CC-LINK-038")
@negative("CC-LIMIT-014", "CC-LINK-036", "CC-LINK-038")
def test_ack_delay(bench: Bench) -> None:
    """An ACK is due after `ack_delay`, or when `ack_frames` have come."""
    far = group(bench)
    bench.advance(30)
    far.take()
    far.write(f.data())
    bench.advance(limit(far, "ack_delay") + 1)
    expect_equal(far.one("CC-LINK-036", "ACK")["received"], 2, "CC-LINK-038", "its value")
    for number in range(limit(far, "ack_frames")):
        far.write(f.data(sequence=2 + number))
    acks = far.take("ACK")
    expect(
        acks and acks[-1]["received"] == 2 + limit(far, "ack_frames"), "CC-LINK-036", "due at `ack_frames`", actual=acks
    )


@negative("CC-LINK-037")
@positive("CC-LINK-037", "CC-LINK-040")
def test_ack_interval(bench: Bench) -> None:
    """An ACK is written every `ack_interval`, also when nothing has come."""
    far = group(bench)
    bench.advance(100)
    far.take()
    bench.advance(limit(far, "ack_interval") + 60)
    expect(far.take("ACK"), "CC-LINK-037", "an ACK is due without anything received")
    bench.advance(60_000)
    far.goes_on("CC-LINK-040")
    expect(len(far.take("ACK")) >= 11, "CC-LINK-037", "and so on")


@positive("CC-LINK-040")
@negative("CC-LINK-040")
def test_silence(bench: Bench) -> None:
    """15 seconds without a packet on either lane suspend the link; a faulty packet counts as one."""
    far = group(bench)
    far.alive = False
    bench.advance(14_000)
    far.write_bytes(b"\x00", lane="lossy")
    bench.advance(14_900)
    expect(not far.machine.new_events("suspended"), "CC-LINK-040", "any packet breaks the silence")
    bench.advance(150)
    expect(far.machine.new_events("suspended"), "CC-LINK-040", "15 seconds of silence")


@positive("CC-LINK-011", "CC-LINK-012", "CC-LINK-013", "CC-LINK-015", "CC-LINK-046", "CC-EXT-025")
def test_resume_hello(bench: Bench) -> None:
    """The HELLO of a resume: the link's token, a greater attempt, the same values, the count."""
    far = group(bench)
    first = far.hello
    assert first is not None
    far.write(f.data(), f.data(sequence=2), f.ack(0))
    far.disconnect()
    far.connect()
    hello = far.receive_hello(resume=True)
    expect_equal(hello["token"], far.token.hex(), "CC-LINK-011", "the token of WELCOME")
    expect(hello["attempt"] > first["attempt"], "CC-LINK-012", "the attempt grows", actual=hello)
    same = ("features", "window", "largest_message", "id")
    expect_equal({key: hello[key] for key in same}, {key: first[key] for key in same}, "CC-LINK-013", "the same values")
    expect_equal(hello["received"], 3, "CC-LINK-015", "the counted frames that it received")
    far.take_up(hello)
    expect(far.machine.take("resumed"), "CC-LINK-064", "the link is active again")


@positive("CC-LINK-001", "CC-LINK-046", "CC-LINK-006", "CC-LINK-072")
@negative("CC-LINK-006", "CC-LINK-072", "CC-LINK-001", "CC-LINK-046")
def test_new_transport_while_active(bench: Bench) -> None:
    """A new transport replaces the current one; what still comes on the old one is thrown away."""
    far = group(bench)
    old = far.transport
    far.take()
    far.connect()
    hello = far.receive_hello(resume=True)
    expect(old in far.closed, "CC-LINK-006", "the old transport is detached and closed")
    counted = len(far.written)
    far.machine.op("receive", transport=old, lane="reliable", packet="0101001200050000000000010000000168690000"[:36])
    expect(not far.machine.new_events("receiver_created"), "CC-LINK-072", "nothing of it is read")
    expect(far.transport is not None and not far.new("BYE"), "CC-LINK-072", "nor judged", actual=far.inbox)
    far.take_up(hello)
    bench.advance(30)
    for ack in far.take("ACK"):
        expect(ack["received"] <= counted, "CC-LINK-072", "it is not counted", actual=ack)
    expect(far.machine.take("resumed"), "CC-LINK-064", "the link is active again")


@negative("CC-LINK-034", "CC-LINK-048")
@positive("CC-LINK-034", "CC-LINK-048", "CC-LINK-049")
@pytest.mark.parametrize("lost", [0, 1, 3])
def test_retransmission(bench: Bench, lost: int) -> None:
    """After a resume exactly what the far side did not receive is written again, in order."""
    far = group(bench)
    sender = open_sender(far)
    for _ in range(5 - lost):
        send(far, sender)
    far.deaf = True
    for _ in range(lost):
        send(far, sender)
    far.deaf = False
    far.disconnect()
    send(far, sender)
    far.resume()
    data = [seen.frame["sequence"] for seen in far.seen if seen.frame["type"] == "DATA"]
    expect_equal(data, [1, 2, 3, 4, 5, 6], "CC-LINK-048", "every message came once and in order")
    unsettled(far.machine, sender, 1, "CC-LINK-049")
    far.ack()
    for sequence in range(1, 7):
        confirmed(far.machine, sender, sequence, "CC-DELIV-010")


@positive("CC-LINK-033")
@negative("CC-LINK-033")
def test_repeated_frames_apply_once(bench: Bench) -> None:
    """What the endpoint counted before a resume is not repeated to it, and each message is handed out once."""
    far = group(bench)
    receiver = received(far, f.data(b"1"), "CC-SESS-027")
    number = far.transport
    far.disconnect()
    # Written on a transport that is gone: lost.
    far.written.append(bytes.fromhex("01010011000500000000000100000002" + "32"))
    assert number is not None
    far.resume()
    far.write(f.data(b"3", sequence=3))
    got = [bytes.fromhex(message["data"]) for message in read_all(far.machine, receiver)]
    expect_equal(got, [b"1", b"2", b"3"], "CC-LINK-033", "each once, in order")


@negative("CC-LINK-043", "CC-LINK-044")
@positive("CC-LINK-041", "CC-LINK-043", "CC-LINK-044")
def test_resume_window(bench: Bench) -> None:
    """Messages wait while the link is suspended; after the resume window it is dead: LINK_LOST."""
    far = group(bench, resume_ms=4_000)
    sender = open_sender(far)
    far.disconnect()
    send(far, sender)
    bench.advance(3_900)
    expect_equal(far.machine.look()["link"], "SUSPENDED", "CC-LIMIT-014", "the window is not over")
    far.connect()
    far.receive_hello(resume=True)
    bench.advance(150)
    ended = far.machine.take("link_ended")
    expect_equal([event["code"] for event in ended], ["LINK_LOST"], "CC-LINK-043", "only ACTIVE stops the window")


@negative("CC-LINK-045")
@positive("CC-LINK-045")
def test_no_resume(bench: Bench) -> None:
    """With a resume window of 0 a lost transport is a dead link."""
    far = group(bench, resume_ms=0)
    far.machine.take()
    far.disconnect()
    told = far.machine.take("suspended", "link_ended")
    expect_equal([event["event"] for event in told], ["link_ended"], "CC-LINK-045", "dead at once")


@positive("CC-LINK-035", "CC-SCHED-014")
@negative("CC-LINK-035", "CC-SCHED-014")
def test_unacknowledged(bench: Bench) -> None:
    """At `unacknowledged` bytes no further Reliable DATA is written until an ACK; ACKs go on."""
    far = group(bench, bench.endpoint(limits={"unacknowledged": 65_536}))
    sender = open_sender(far)
    send(far, sender, bytes(200_000))
    written = sum(len(frame["payload"]) // 2 + 24 for frame in far.take("DATA"))
    expect(65_536 <= written < 65_536 + 16_384, "CC-LINK-035", "it writes up to the limit", actual=written)
    far.write(f.data())
    bench.advance(30)
    expect(far.take("ACK"), "CC-SCHED-014", "ACKs are not held up")
    far.ack()
    expect(far.take("DATA"), "CC-LINK-035", "an ACK makes room")


@positive("CC-LINK-060", "CC-LINK-053", "CC-SESS-016", "CC-LINK-062")
@negative("CC-LINK-062", "CC-LINK-061", "CC-LINK-060")
def test_leave(bench: Bench) -> None:
    """Leaving closes the senders, waits for acknowledgement, and says BYE LEFT."""
    far = group(bench)
    sender, _ = sent(far, "CC-LINK-060")
    far.machine.do("leave")
    far.machine.raises("CC-LINK-062", "NOT_JOINED", "open")
    far.machine.raises("CC-ERR-020", "SENDER_CLOSED", "send", sender=sender, data="00")
    kinds = [frame["type"] for frame in far.take()]
    expect("CLOSE" in kinds and "BYE" not in kinds, "CC-LINK-060", "CLOSE first, BYE not yet", actual=kinds)
    far.write(f.data())
    expect(far.machine.take("receiver_created"), "CC-LINK-060", "it goes on receiving")
    far.ack()
    far.ended("CC-LINK-060", "LEFT")
    confirmed(far.machine, sender, 1, "CC-DELIV-010")
    expect_equal([event["code"] for event in far.machine.take("link_ended")], ["NONE"], "CC-ERR-025", "ended, NONE")


@positive("CC-LINK-060")
@negative("CC-LINK-060")
def test_leave_with_a_fail(bench: Bench) -> None:
    """A FAIL that falls due while an endpoint that leaves resumes is written and acknowledged before BYE."""
    far = group(bench)
    receiver = received(far, f.data(), "CC-SESS-027")
    sent(far, "CC-LINK-060")
    far.machine.do("leave")
    far.take()
    far.disconnect()
    far.connect()
    hello = far.receive_hello(resume=True)
    far.machine.do("close_receiver", receiver=receiver)
    far.hold()
    far.take_up(hello)
    far.ack()
    far.hold(held=False)
    kinds = [frame["type"] for frame in far.take()]
    expect("FAIL" in kinds and "BYE" not in kinds, "CC-LINK-060", "FAIL first, BYE not yet", actual=kinds)
    far.ack()
    far.ended("CC-LINK-060", "LEFT")


@positive("CC-LINK-061")
def test_leave_time(bench: Bench) -> None:
    """After `leave_time` BYE is written, whatever is still waiting."""
    far = group(bench)
    sender, _ = sent(far, "CC-LINK-061")
    far.machine.do("leave")
    far.take()
    bench.advance(limit(far, "leave_time") - 20)
    far.none("CC-LIMIT-014", "BYE")
    bench.advance(70)
    far.ended("CC-LINK-061", "LEFT")
    assert sender


@negative("CC-LINK-063")
@positive("CC-LINK-063")
def test_leave_suspended(bench: Bench) -> None:
    """Leaving while suspended ends the link at once."""
    far = group(bench)
    far.disconnect()
    far.machine.do("leave")
    expect_equal([event["code"] for event in far.machine.take("link_ended")], ["NONE"], "CC-LINK-063", "ended at once")


@negative("CC-LINK-055", "CC-LINK-057", "CC-LINK-059")
@positive("CC-LINK-055", "CC-LINK-059", "CC-LINK-057")
def test_bye(bench: Bench) -> None:
    """BYE: the link is dead, the transport closed, no BYE in return, and it is never resumed."""
    far = group(bench)
    receiver = received(far, f.data(), "CC-SESS-027")
    far.write(f.data(b"hel", sequence=2, fragment=(0, 5, False)))
    far.take()
    far.write(f.bye("GOING_AWAY"))
    far.none("CC-LINK-055", "BYE")
    expect(far.transport is None, "CC-LINK-055", "the transport is closed")
    got = [message["sequence"] for message in read_all(far.machine, receiver)]
    expect_equal(got, [1], "CC-LINK-059", "complete messages stay readable, partial ones are discarded")
    number = far.connect()
    far.none("CC-LINK-057", "HELLO")
    expect(number in far.closed, "CC-LINK-057", "a new transport is closed")


@negative("CC-EXT-023", "CC-EXT-024")
@positive("CC-EXT-024", "CC-EXT-023")
def test_unknown_features(bench: Bench) -> None:
    """Feature bits that were not offered are ignored."""
    far = group(bench, features=0xFFFF_FFFF)
    far.goes_on("CC-EXT-023")


@negative("CC-EXT-024")
@pytest.mark.parametrize("features", [0, 0xFFFF_FFFF])
def test_no_feature_in_use(bench: Bench, features: int) -> None:
    """Without a feature nothing but grease is written that version 1 does not define (the monitor judges)."""
    far = Acceptor(bench, bench.endpoint())
    far.join(features=features)
    sender, _ = sent(far, "CC-EXT-024", metadata={"name": "x"})
    receiver = received(far, f.data(confirm=True), "CC-SESS-027")
    read(far.machine, receiver)
    far.machine.do("close_receiver", receiver=receiver)
    far.machine.do("close", sender=sender)
    far.disconnect()
    far.resume(repeat=True)
    far.goes_on("CC-EXT-024")


@negative("CC-LIMIT-002", "CC-EXT-026")
@positive("CC-LINK-014", "CC-LIMIT-002", "CC-LIMIT-010", "CC-EXT-026")
@pytest.mark.parametrize(
    "fields", [{"window": 65_536}, {"window": 2**32 - 1}, {"largest_message": 32_768}, {"resume_ms": 600_000}]
)
def test_extreme_limits(bench: Bench, fields: dict[str, Any]) -> None:
    """An endpoint works with every limit that its relay may announce."""
    far = group(bench, **fields)
    sender, _ = sent(far, "CC-LIMIT-002")
    cover(far)
    confirmed(far.machine, sender, 1, "CC-LIMIT-002")
    send(far, sender, bytes(32_768))
    expect(far.take("DATA"), "CC-LIMIT-002", "a message goes out")
