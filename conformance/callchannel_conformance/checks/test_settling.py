# SPDX-License-Identifier: Apache-2.0
"""Verdicts where several things meet: receipts and FAIL, partly written messages, who is a recipient (7.3 to 7.9)."""

from __future__ import annotations

from callchannel_conformance import frames as f
from callchannel_conformance.bench.links import group
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.helpers import (
    confirmed,
    cover,
    failed,
    open_sender,
    outcome,
    read,
    send,
    sent,
    unsettled,
    verdict_of,
)
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal

_WINDOW = 65_536


@negative("CC-DELIV-014")
def test_aggregate_leaves_failed_out(bench: Bench) -> None:
    """An aggregated RECEIPT says nothing of who failed in the session, not even of a message below that FAIL."""
    far = group(bench)
    sender, frame = sent(far, "CC-DELIV-014", confirm="delivered")
    session = frame["session"]
    cover(far)
    far.write(f.fail(2, "CLOSED", recipient=3, sender=2, session=session))
    far.write(f.receipt(1, sender=2, recipient=f.NO_SLOT, session=session))
    unsettled(far.machine, sender, 1, "CC-DELIV-014")
    far.write(f.receipt(1, sender=2, recipient=3, session=session))
    confirmed(far.machine, sender, 1, "CC-DELIV-013")


@negative("CC-DELIV-013", "CC-DELIV-014")
def test_receipt_of_half_a_message(bench: Bench) -> None:
    """A RECEIPT that covers a message of which only the begin was written does not count for it."""
    far = group(bench, window=_WINDOW)
    sender = open_sender(far, confirm="delivered", to=["bob"])
    send(far, sender, bytes(100_000))
    session = far.take("DATA")[0]["session"]
    far.write(f.receipt(1, sender=2, recipient=1, session=session))
    far.write(f.credit(400_000, sender=2, recipient=f.NO_SLOT, session=session))
    far.ack()
    unsettled(far.machine, sender, 1, "CC-DELIV-013")
    far.write(f.receipt(1, sender=2, recipient=1, session=session))
    confirmed(far.machine, sender, 1, "CC-DELIV-013")


@positive("CC-DELIV-008")
@negative("CC-DELIV-030")
def test_nobody_left_after_a_fail(bench: Bench) -> None:
    """Where somebody failed and left, a message to everyone in the empty call is written and settled by an ACK."""
    far = group(bench, members={0: "ann", 2: "me"}, epoch=2)
    sender, frame = sent(far, "CC-SESS-026")
    cover(far)
    far.write(f.fail(2, "CLOSED", recipient=0, sender=2, session=frame["session"]))
    far.change(f.leave(0))
    second = send(far, sender)
    far.one("CC-DELIV-030", "DATA")
    unsettled(far.machine, sender, second, "CC-DELIV-008")
    far.ack()
    confirmed(far.machine, sender, second, "CC-DELIV-008")


@positive("CC-DELIV-030")
def test_everyone_has_failed(bench: Bench) -> None:
    """Where all whom a message is for have failed in the session, it fails and is not written."""
    far = group(bench, members={0: "ann", 2: "me"}, epoch=2)
    sender, frame = sent(far, "CC-SESS-026")
    far.hold()
    second = send(far, sender)
    far.write(f.fail(2, "CLOSED", recipient=0, sender=2, session=frame["session"]))
    far.hold(held=False)
    far.none("CC-DELIV-030", "DATA")
    failed(far.machine, sender, second, "CC-DELIV-030", "RECIPIENT_FAILED")


@positive("CC-DELIV-038")
@negative("CC-DELIV-039")
def test_half_written_when_the_link_dies(bench: Bench) -> None:
    """What was partly written when the link dies has failed: nobody can have got it."""
    far = group(bench, window=_WINDOW)
    sender = open_sender(far, to=["bob"])
    send(far, sender, bytes(100_000))
    expect(far.take("DATA"), "CC-FRAG-001", "the message is begun")
    far.write(f.bye("GOING_AWAY"))
    event = failed(far.machine, sender, 1, "CC-DELIV-038", "LINK_LOST")
    expect_equal(verdict_of(event, "bob"), ("failed", "LINK_LOST"), "CC-DELIV-038", "it was not wholly written")


@positive("CC-DELIV-007")
def test_recipients_are_those_of_the_first_frame(bench: Bench) -> None:
    """Who leaves before a message to everyone is written is no recipient of it, and nobody waits for its receipt."""
    far = group(bench)
    sender, _ = sent(far, "CC-DELIV-012", confirm="delivered")
    far.ack()
    far.hold()
    second = send(far, sender)
    far.change(f.leave(3))
    far.hold(held=False)
    frame = far.one("CC-DELIV-007", "DATA")
    far.ack()
    for slot in (0, 1):
        far.write(f.receipt(2, sender=2, recipient=slot, session=frame["session"]))
    confirmed(far.machine, sender, second, "CC-DELIV-007")
    expect_equal(outcome(far.machine, sender, 1), None, "CC-DELIV-001", "of message 1 dan was a recipient")


@negative("CC-ERR-011")
@positive("CC-DELIV-004", "CC-DELIV-005")
def test_failed_is_not_reached(bench: Bench) -> None:
    """A report lists each recipient once, and a failed one decides on its code before an unknown one."""
    far = group(bench)
    sender, frame = sent(far, "CC-DELIV-012", confirm="delivered", to=["ann", "bob", "dan"])
    session = frame["session"]
    far.ack()
    far.write(f.fail(1, "LOST", recipient=0, sender=2, session=session, uncertain=True))
    far.write(f.fail(1, "CLOSED", recipient=1, sender=2, session=session))
    far.write(f.receipt(1, sender=2, recipient=3, session=session))
    event = failed(far.machine, sender, 1, "CC-DELIV-005", "CLOSED")
    report = event["report"]
    expect_equal(list(report["reached"]), ["dan"], "CC-ERR-011", "who failed or is unknown was not reached")
    expect_equal(verdict_of(event, "ann"), ("unknown", "LOST"), "CC-DELIV-004", "unknown, with its reason")
    expect_equal(verdict_of(event, "bob"), ("failed", "CLOSED"), "CC-DELIV-004", "failed, with its reason")


@positive("CC-DELIV-041", "CC-DELIV-042")
@negative("CC-DELIV-041")
def test_receipts_beyond_a_packet(bench: Bench) -> None:
    """More RECEIPTs are due at once than a packet holds: each comes, once."""
    size, count = 1 << 20, 300
    limits = {"receive_memory": size, "window": size, "largest_message": size, "open_sessions": 65_535}
    far = group(bench, bench.endpoint(limits=limits), largest_message=size)
    far.machine.take()
    far.write(*[f.data(b"", session=n, channel=n, confirm=True) for n in range(1, count + 1)])
    created = far.machine.take("receiver_created")
    expect_equal(len(created), count, "CC-SESS-027", "each session has its receiver")
    far.take()
    far.hold()
    for event in created:
        read(far.machine, event["receiver"])
    far.hold(held=False)
    receipts = far.take("RECEIPT")
    got = sorted((frame["session"], frame["value"]) for frame in receipts)
    expect_equal(got, [(n, 1) for n in range(1, count + 1)], "CC-DELIV-041", "a RECEIPT for each session")
