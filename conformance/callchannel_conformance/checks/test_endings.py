# SPDX-License-Identifier: Apache-2.0
"""How sessions end: idleness, faults before CLOSE, tombstones, owners that leave, and senders that fail (chapter 5)."""

from __future__ import annotations

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance.bench.links import group
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.helpers import open_sender, read, read_all, received, send
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal

_IDLE = {"idle_close": 3_000}


@positive("CC-SESS-033")
@negative("CC-SESS-033")
def test_partial_is_not_idle(bench: Bench) -> None:
    """A receiver with a partial Reliable message stays open for as long as it takes."""
    far = group(bench, bench.endpoint(limits=_IDLE))
    receiver = received(far, f.data(), "CC-SESS-027")
    read(far.machine, receiver)
    far.write(f.data(b"abc", sequence=2, fragment=(0, 6, False)))
    bench.advance(10_000)
    expect_equal(far.machine.take("receiver_closed"), [], "CC-SESS-033", "message 2 is partial")
    far.write(f.data(b"def", sequence=2, fragment=(1, 6, True)))
    expect_equal(len(read_all(far.machine, receiver)), 1, "CC-SESS-033", "it is handed out")
    bench.advance(2_950)
    expect_equal(far.machine.take("receiver_closed"), [], "CC-LIMIT-014", "it was read less than 3 s ago")
    bench.advance(100)
    closed = [event["code"] for event in far.machine.take("receiver_closed")]
    expect_equal(closed, ["IDLE"], "CC-SESS-033", "idle for 3 s")


@positive("CC-SESS-033")
@negative("CC-LIMIT-014")
def test_idle_after_a_partial(bench: Bench) -> None:
    """The idle time begins when nothing is partial any more."""
    far = group(bench, bench.endpoint(limits=_IDLE))
    receiver = received(far, f.data(reliable=False), "CC-SESS-027", lane="lossy")
    read(far.machine, receiver)
    far.write(f.data(bytes(600), reliable=False, sequence=2, fragment=(0, 700, False)), lane="lossy")
    bench.advance(4_900)
    expect_equal(far.machine.take("receiver_closed"), [], "CC-SESS-033", "message 2 was partial until 2 s")
    bench.advance(200)
    closed = [event["code"] for event in far.machine.take("receiver_closed")]
    expect_equal(closed, ["IDLE"], "CC-SESS-033", "idle from 2 s on")


@negative("CC-SESS-047")
def test_one_fail_for_a_session(bench: Bench) -> None:
    """A session that was failed for a fault is not failed again when its receiver is closed behind its CLOSE."""
    far = group(bench)
    receiver = received(far, f.data(), "CC-SESS-027")
    far.write(f.data())
    far.one("CC-LINK-085", "FAIL")
    far.write(f.close(1))
    far.machine.do("close_receiver", receiver=receiver)
    far.none("CC-SESS-047", "FAIL")


@positive("CC-SESS-058")
@negative("CC-SESS-058")
@pytest.mark.parametrize("wait", [1_000, 10_000, 29_000])
def test_tombstone(bench: Bench, wait: int) -> None:
    """A late frame of a Lossy session that has ended does not begin it again, for `tombstone`."""
    far = group(bench)
    receiver = received(far, f.data(reliable=False), "CC-SESS-027", lane="lossy")
    read(far.machine, receiver)
    far.write(f.close(1))
    bench.advance(550 + wait)
    far.machine.take()
    far.write(f.data(reliable=False, sequence=2), lane="lossy")
    expect_equal(far.machine.take("receiver_created"), [], "CC-SESS-058", "the session is over")


@negative("CC-ROSTER-070", "CC-SESS-055", "CC-SESS-059")
@positive("CC-ROSTER-070")
@pytest.mark.parametrize("reliable", [True, False])
def test_next_occupant(bench: Bench, reliable: bool) -> None:
    """Sessions of a slot's next occupant begin anew, whatever numbers the last one had used on the channel."""
    far = group(bench)
    receiver = received(far, f.data(b"old", session=9, reliable=reliable), "CC-SESS-027")
    far.change(f.leave(0))
    far.change(f.join(0, "eve"))
    closed = [event["code"] for event in far.machine.take("receiver_closed", receiver=receiver)]
    expect_equal(closed, [], "CC-SESS-036", "what is unread keeps it open")
    far.write(f.data(b"new", session=1, reliable=reliable))
    created = far.machine.take("receiver_created")
    who = [(event["identity"], event["session"]) for event in created]
    expect_equal(who, [("eve", 1)], "CC-ROSTER-070", "the first session of eve")
    got = [message["data"] for message in read_all(far.machine, receiver)]
    expect_equal(got, [b"old".hex()], "CC-SESS-036", "the old message is of the old receiver")
    closed = [event["code"] for event in far.machine.take("receiver_closed", receiver=receiver)]
    expect_equal(closed, ["LOST"], "CC-SESS-054", "it ends as its owner was lost")


@negative("CC-SESS-054")
@pytest.mark.parametrize("first", ["close", "leave"])
def test_nothing_is_written_of_the_departed(bench: Bench, first: str) -> None:
    """Where CLOSE and LEAVE of the owner have both come, in either order, nothing is written about the session."""
    far = group(bench)
    receiver = received(far, f.data(confirm=True), "CC-SESS-027")
    far.write(f.data(sequence=2, confirm=True))
    if first == "close":
        far.write(f.close(2))
        far.change(f.leave(0))
    else:
        far.change(f.leave(0))
        far.write(f.close(2))
    far.take()
    expect_equal(len(read_all(far.machine, receiver)), 2, "CC-SESS-036", "both messages can be read")
    far.none("CC-SESS-054", "RECEIPT", "CREDIT", "FAIL")


@positive("CC-SESS-052", "CC-LIMIT-013")
@negative("CC-SESS-052", "CC-LIMIT-006")
@pytest.mark.parametrize("reliable", [True, False])
def test_open_sessions(bench: Bench, reliable: bool) -> None:
    """As many sessions of an owner as `open_sessions` are taken and not one more; those that ended do not count."""
    far = group(bench, bench.endpoint(limits={"open_sessions": 16}))
    far.machine.take()

    def begin(session: int) -> int:
        far.write(f.data(session=session, channel=session, reliable=reliable))
        return len(far.machine.take("receiver_created"))

    expect_equal([begin(session) for session in range(1, 18)], [1] * 16 + [0], "CC-SESS-052", "16 sessions")
    if reliable:
        fail = far.one("CC-SESS-052", "FAIL")
        told = (fail["session"], fail["reason"])
        expect_equal(told, (17, f.bye("TOO_MANY_SESSIONS")["code"]), "CC-SESS-052", "the 17th fails")
    far.none("CC-LIMIT-006", "FAIL")
    for session in (3, 4):
        far.write(f.fail(2, "OVERRUN", recipient=2, session=session))
    begun = [begin(session) for session in (18, 19, 20)]
    expect_equal(begun, [1, 1, 0], "CC-LIMIT-006", "two have ended, two begin")


@negative("CC-SESS-009")
@positive("CC-SESS-009", "CC-SESS-007")
@pytest.mark.parametrize("older", ["reliable", "lossy"])
def test_lossy_waits_for_the_older(bench: Bench, older: str) -> None:
    """A Lossy sender waits until the older one on its channel has its session number."""
    far = group(bench)
    first = open_sender(far, channel=5, reliability=older)
    far.hold("reliable")
    far.hold("lossy")
    send(far, first, b"first")
    second = open_sender(far, channel=5, reliability="lossy", priority="high")
    send(far, second, b"second")
    if older == "reliable":
        far.hold("lossy", held=False)
        far.none("CC-SESS-009", "DATA")
    far.hold("reliable", held=False)
    far.hold("lossy", held=False)
    data = sorted((frame["session"], bytes.fromhex(frame["payload"])) for frame in far.take("DATA"))
    expect_equal(data, [(1, b"first"), (2, b"second")], "CC-SESS-009", "numbers in the order of opening")


@negative("CC-SESS-023")
def test_no_close_after_a_fail(bench: Bench) -> None:
    """A sender that was closed, and fails for all before it has written everything, writes no CLOSE."""
    far = group(bench, window=65_536)
    sender = open_sender(far)
    for _ in range(8):
        send(far, sender, bytes(16_000))
    session = far.take("DATA")[0]["session"]
    far.machine.do("close", sender=sender)
    far.machine.take()
    far.write(f.fail(2, "SEQUENCE", recipient=f.NO_SLOT, sender=2, session=session))
    far.write(f.credit(400_000, recipient=f.NO_SLOT, sender=2, session=session))
    far.none("CC-SESS-023", "DATA", "CLOSE")
    far.ack()
    expect(far.machine.take("sender_ended", sender=sender), "CC-SESS-024", "it ends when the rest is settled")
    far.none("CC-SESS-023", "CLOSE")


@positive("CC-SESS-029")
@negative("CC-SESS-029")
@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("confirm", [False, True])
def test_readable_is_told(bench: Bench, count: int, confirm: bool) -> None:
    """Readability is told when there is something and was nothing, however many messages a packet brings."""
    far = group(bench)
    receiver = received(far, f.data(), "CC-SESS-027")
    read(far.machine, receiver)
    sequence = 1
    for _ in range(2):
        frames = [f.data(sequence=sequence + place, confirm=confirm) for place in range(1, count + 1)]
        sequence += count
        far.machine.take()
        far.write(*frames)
        expect(far.machine.take("receiver_readable", receiver=receiver), "CC-SESS-029", f"{count} messages came")
        expect_equal(len(read_all(far.machine, receiver)), count, "CC-SESS-030", "all can be read")
