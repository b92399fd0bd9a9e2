# SPDX-License-Identifier: Apache-2.0
"""Verdicts, receipts, flow control, memory and the send buffer at an endpoint (chapter 7)."""

from __future__ import annotations

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance.bench.links import group
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.helpers import (
    confirmed,
    cover,
    failed,
    limit,
    open_sender,
    outcome,
    read,
    read_all,
    received,
    send,
    sent,
    unsettled,
    verdict_of,
)
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal

_FULL = 16_384


@positive("CC-DELIV-001", "CC-DELIV-002", "CC-DELIV-010", "CC-DELIV-014", "CC-MODEL-014", "CC-DELIV-011")
@negative("CC-DELIV-011", "CC-LINK-049", "CC-DELIV-001", "CC-DELIV-002")
def test_accepted(bench: Bench) -> None:
    """Accepted: an ACK that covers the message, and nothing else, makes its send succeed."""
    far = group(bench)
    sender, _ = sent(far, "CC-DELIV-010")
    second = send(far, sender)
    unsettled(far.machine, sender, 1, "CC-DELIV-001")
    far.write(f.ack(1))
    confirmed(far.machine, sender, 1, "CC-DELIV-010")
    unsettled(far.machine, sender, second, "CC-DELIV-001")
    far.disconnect()
    far.resume()
    unsettled(far.machine, sender, second, "CC-LINK-049")
    far.write(f.ack(2))
    confirmed(far.machine, sender, second, "CC-DELIV-010")


@positive("CC-DELIV-012", "CC-DELIV-013", "CC-DELIV-015", "CC-DELIV-004", "CC-FRAME-048", "CC-DELIV-006")
@negative("CC-DELIV-010", "CC-DELIV-006", "CC-DELIV-013", "CC-DELIV-015", "CC-DELIV-001")
def test_delivered(bench: Bench) -> None:
    """Delivered: receipts of each recipient settle a message; an ACK does not, nor is it needed."""
    far = group(bench)
    sender, frame = sent(far, "CC-DELIV-012", confirm="delivered", to=["ann", "bob"])
    expect("CONFIRM" in frame["flags"] and "PRIVATE" in frame["flags"], "CC-DELIV-012", "CONFIRM is set", actual=frame)
    expect_equal(frame["recipients"]["slots"], [0, 1], "CC-ROSTER-046", "the block names the recipients")
    far.ack()
    unsettled(far.machine, sender, 1, "CC-DELIV-010")
    session = frame["session"]
    far.write(f.receipt(1, sender=2, recipient=0, session=session))
    unsettled(far.machine, sender, 1, "CC-DELIV-001")
    far.write(f.receipt(1, sender=2, recipient=1, session=session))
    confirmed(far.machine, sender, 1, "CC-DELIV-013")
    second = send(far, sender)
    far.write(
        f.receipt(2, sender=2, recipient=0, session=session), f.receipt(2, sender=2, recipient=1, session=session)
    )
    confirmed(far.machine, sender, second, "CC-DELIV-015")


@negative("CC-FRAME-048", "CC-DELIV-014", "CC-DELIV-024", "CC-DELIV-007")
@positive("CC-DELIV-014", "CC-DELIV-007", "CC-FRAME-045")
def test_aggregated_receipt(bench: Bench) -> None:
    """A confirmed broadcast has EXCEPT with count 0; an aggregated receipt settles it for all who did not fail."""
    far = group(bench)
    sender, frame = sent(far, "CC-DELIV-014", confirm="delivered")
    expect_equal(frame["recipients"], {"epoch": 4, "except": True, "slots": []}, "CC-FRAME-048", "EXCEPT with count 0")
    session = frame["session"]
    second = send(far, sender)
    far.write(f.fail(2, "OVERRUN", recipient=3, sender=2, session=session, uncertain=True))
    far.write(f.receipt(2, sender=2, recipient=f.NO_SLOT, session=session))
    far.ack()
    far.write(f.receipt(1, sender=2, recipient=3, session=session))
    confirmed(far.machine, sender, 1, "CC-DELIV-014")
    event = failed(far.machine, sender, second, "CC-DELIV-003", "OVERRUN")
    expect_equal(
        verdict_of(event, "dan"), ("unknown", "OVERRUN"), "CC-DELIV-022", "message v is unknown with UNCERTAIN"
    )
    expect_equal(verdict_of(event, "bob"), None, "CC-DELIV-014", "who did not fail is confirmed")


@positive(
    "CC-DELIV-003",
    "CC-DELIV-005",
    "CC-DELIV-022",
    "CC-ERR-011",
    "CC-ERR-012",
    "CC-ERR-014",
    "CC-DELIV-006",
    "CC-DELIV-004",
)
@negative(
    "CC-DELIV-006",
    "CC-DELIV-003",
    "CC-DELIV-004",
    "CC-DELIV-005",
    "CC-DELIV-022",
    "CC-MODEL-014",
    "CC-ERR-011",
    "CC-ERR-012",
    "CC-ERR-014",
)
def test_report(bench: Bench) -> None:
    """FAIL before the ACK makes the send raise a report; a verdict never changes (section 14.8)."""
    far = group(bench)
    sender, frame = sent(far, "CC-DELIV-003", confirm="delivered", to=["ann", "bob", "dan"])
    session = frame["session"]
    far.write(f.fail(1, "UNKNOWN_RECIPIENT", recipient=0, sender=2, session=session))
    far.ack()
    far.write(f.receipt(1, sender=2, recipient=1, session=session))
    far.write(f.fail(1, "LOST", recipient=3, sender=2, session=session, uncertain=True))
    event = failed(far.machine, sender, 1, "CC-DELIV-005", "UNKNOWN_RECIPIENT")
    expect_equal(verdict_of(event, "ann"), ("failed", "UNKNOWN_RECIPIENT"), "CC-DELIV-004", "failed, with its reason")
    expect_equal(verdict_of(event, "dan"), ("unknown", "LOST"), "CC-DELIV-022", "unknown, with its reason")
    expect_equal(list(event["report"]["reached"] or []), ["bob"], "CC-DELIV-004", "whom it reached")
    names = [name for kind in ("failed", "unknown") for name, _ in event["report"][kind]] + list(
        event["report"]["reached"]
    )
    expect_equal(len(names), len(set(names)), "CC-ERR-011", "no recipient is listed twice")


@positive("CC-ERR-015", "CC-DELIV-025")
@negative("CC-DELIV-006", "CC-ERR-015")
def test_fail_after_accept(bench: Bench) -> None:
    """A FAIL after acceptance is an event alone."""
    far = group(bench)
    sender, frame = sent(far, "CC-ERR-015")
    far.ack()
    confirmed(far.machine, sender, 1, "CC-DELIV-010")
    far.write(f.fail(1, "LOST", recipient=1, sender=2, session=frame["session"], uncertain=True))
    expect(far.machine.take("recipient_failed"), "CC-ERR-015", "the application is told")
    event = outcome(far.machine, sender, 1)
    expect(event is not None and event["event"] == "message_confirmed", "CC-ERR-015", "the verdict stands")


@positive("CC-DELIV-007", "CC-DELIV-025", "CC-DELIV-022")
@negative("CC-DELIV-006", "CC-DELIV-007", "CC-DELIV-022")
@pytest.mark.parametrize("known", [True, False])
def test_gone_before_a_broadcast(bench: Bench, known: bool) -> None:
    """FAIL about who had left before a message to everyone: one of its recipients only if LEAVE came after it."""
    far = group(bench)
    sender, frame = sent(far, "CC-DELIV-007")
    far.ack()
    confirmed(far.machine, sender, 1, "CC-DELIV-010")
    if known:
        far.change(f.leave(3))
    second = send(far, sender)
    if not known:
        far.change(f.leave(3))
    far.write(f.fail(second, "UNKNOWN_RECIPIENT", recipient=3, sender=2, session=frame["session"]))
    far.ack()
    expect(far.machine.take("recipient_failed"), "CC-DELIV-025", "the application is told")
    if known:
        confirmed(far.machine, sender, second, "CC-DELIV-007")
    else:
        event = failed(far.machine, sender, second, "CC-DELIV-022", "UNKNOWN_RECIPIENT")
        expect_equal(verdict_of(event, "dan"), ("failed", "UNKNOWN_RECIPIENT"), "CC-DELIV-022", "who had left")
    third = send(far, sender)
    far.ack()
    confirmed(far.machine, sender, third, "CC-DELIV-007")


@positive("CC-DELIV-016", "CC-DELIV-017")
@negative("CC-LIMIT-014", "CC-DELIV-016", "CC-DELIV-017")
def test_delivered_deadline(bench: Bench) -> None:
    """`delivered_deadline` begins with the ACK and makes the rest unknown; it is not over early."""
    far = group(bench)
    sender, frame = sent(far, "CC-DELIV-017", confirm="delivered", to=["ann", "bob"])
    time = limit(far, "delivered_deadline")
    bench.advance(5_000)
    cover(far)
    far.write(f.receipt(1, sender=2, recipient=0, session=frame["session"]))
    bench.advance(time - 100)
    unsettled(far.machine, sender, 1, "CC-LIMIT-014")
    far.take()
    bench.advance(150)
    event = failed(far.machine, sender, 1, "CC-DELIV-017", "DEADLINE")
    expect_equal(verdict_of(event, "bob"), ("unknown", "DEADLINE"), "CC-DELIV-017", "unknown with DEADLINE")
    far.none("CC-DELIV-017", "DATA", "CLOSE", "FAIL")
    far.write(f.receipt(1, sender=2, recipient=1, session=frame["session"]))
    failed(far.machine, sender, 1, "CC-DELIV-006", "DEADLINE")


@negative("CC-DELIV-038", "CC-DELIV-039", "CC-DELIV-040", "CC-LINK-058", "CC-ERR-016")
@positive("CC-DELIV-038", "CC-DELIV-039", "CC-DELIV-040", "CC-ERR-016", "CC-LINK-058")
def test_link_dies(bench: Bench) -> None:
    """When the link dies: failed if not wholly written, else unknown, and CUSTODY_LOST for what was accepted."""
    far = group(bench)
    sender, _ = sent(far, "CC-DELIV-038")
    far.ack()
    second = send(far, sender)
    far.hold()
    third = send(far, sender)
    far.machine.take()
    far.write(f.bye("GOING_AWAY"))
    event = failed(far.machine, sender, second, "CC-DELIV-039", "LINK_LOST")
    expect_equal(verdict_of(event, "bob"), ("unknown", "LINK_LOST"), "CC-DELIV-039", "written, not accepted")
    event = failed(far.machine, sender, third, "CC-DELIV-038", "LINK_LOST")
    expect_equal(verdict_of(event, "bob"), ("failed", "LINK_LOST"), "CC-DELIV-038", "never written")
    lost = far.machine.new_events("custody_lost")
    expect_equal([event["through"] for event in lost], [1], "CC-DELIV-040", "the custody of message 1 is lost")
    ended = far.machine.new_events("sender_ended", sender=sender)
    expect_equal([event["code"] for event in ended], ["LINK_LOST"], "CC-LINK-058", "the sender ends with LINK_LOST")
    far.machine.raises("CC-SESS-025", "LINK_LOST", "send", sender=sender, data="00")


@negative("CC-DELIV-008", "CC-DELIV-002")
@positive("CC-DELIV-008", "CC-DELIV-002")
def test_nobody(bench: Bench) -> None:
    """A broadcast in an empty call is written, and succeeds with the ACK."""
    far = group(bench, members={2: "me"}, epoch=1)
    sender, _ = sent(far, "CC-DELIV-008")
    unsettled(far.machine, sender, 1, "CC-DELIV-008")
    far.ack()
    confirmed(far.machine, sender, 1, "CC-DELIV-008")


@positive("CC-DELIV-009")
@negative("CC-DELIV-009")
def test_nobody_refused(bench: Bench) -> None:
    """A message without recipients that is refused raises the reason."""
    far = group(bench, members={2: "me"}, epoch=1)
    sender, frame = sent(far, "CC-DELIV-009")
    far.write(f.refuse(1, "POLICY", sender=2, session=frame["session"]))
    failed(far.machine, sender, 1, "CC-DELIV-009", "POLICY")


# --- receipts -------------------------------------------------------------------------------------


@positive("CC-DELIV-041", "CC-DELIV-042", "CC-DELIV-044")
@negative("CC-DELIV-043", "CC-DELIV-041", "CC-DELIV-042")
def test_receipts(bench: Bench) -> None:
    """A receipt is written at once when a message with CONFIRM was read, with the greatest sequence read."""
    far = group(bench)
    receiver = received(far, f.data(confirm=True), "CC-SESS-027")
    far.write(f.data(sequence=2), f.data(sequence=3, confirm=True), f.data(sequence=4, confirm=True))
    far.none("CC-DELIV-041", "RECEIPT")
    read(far.machine, receiver)
    expect_equal(far.one("CC-DELIV-041", "RECEIPT")["value"], 1, "CC-DELIV-042", "message 1 was read")
    read(far.machine, receiver)
    far.none("CC-DELIV-043", "RECEIPT")
    far.hold()
    read(far.machine, receiver)
    read(far.machine, receiver)
    far.hold(held=False)
    receipt = far.one("CC-DELIV-042", "RECEIPT")
    expect_equal((receipt["value"], receipt["recipient"], receipt["sender"]), (4, 2, 0), "CC-DELIV-042", "one for both")


@negative("CC-DELIV-019", "CC-SCHED-011")
@positive("CC-DELIV-019", "CC-DELIV-045", "CC-SCHED-011", "CC-SESS-044")
def test_receipt_before_fail(bench: Bench) -> None:
    """A receipt that is owed stands before the FAIL of its session."""
    far = group(bench)
    receiver = received(far, f.data(confirm=True), "CC-SESS-027")
    far.write(f.data(sequence=2, confirm=True))
    far.hold()
    read(far.machine, receiver)
    far.machine.do("close_receiver", receiver=receiver)
    far.hold(held=False)
    written = [(frame["type"], frame["value"]) for frame in far.take("RECEIPT", "FAIL")]
    expect_equal(written, [("RECEIPT", 1), ("FAIL", 2)], "CC-DELIV-019", "RECEIPT, then FAIL")


@positive("CC-DELIV-018")
@negative("CC-DELIV-018", "CC-SCHED-009")
def test_fail_before_ack(bench: Bench) -> None:
    """From the decision on a FAIL on, no ACK that covers what it concerns is written before it."""
    far = group(bench)
    far.hold()
    receiver = received(far, f.data(), "CC-SESS-027")
    far.machine.do("close_receiver", receiver=receiver)
    bench.advance(30)
    far.hold(held=False)
    kinds = [frame["type"] for frame in far.take("FAIL", "ACK")]
    expect("FAIL" in kinds, "CC-DELIV-018", "FAIL is written", actual=kinds)
    expect(
        "ACK" not in kinds or kinds.index("FAIL") < kinds.index("ACK"),
        "CC-DELIV-018",
        "FAIL stands before ACK",
        actual=kinds,
    )


@positive("CC-DELIV-045")
@negative("CC-SESS-054", "CC-DELIV-045")
@pytest.mark.parametrize("reason", ["NONE", "LEFT"])
def test_receipt_after_close(bench: Bench, reason: str) -> None:
    """After CLOSE receipts go on; after CLOSE with LEFT nothing is written any more."""
    far = group(bench)
    receiver = received(far, f.data(confirm=True), "CC-SESS-027")
    far.write(f.close(1, reason=reason))
    far.take()
    read(far.machine, receiver)
    if reason == "NONE":
        far.one("CC-DELIV-045", "RECEIPT", value=1)
    else:
        far.none("CC-SESS-054", "RECEIPT", "CREDIT", "FAIL")


# --- flow control ---------------------------------------------------------------------------------


@positive("CC-DELIV-047", "CC-DELIV-049", "CC-DELIV-046")
@negative("CC-DELIV-048", "CC-DELIV-046", "CC-DELIV-047", "CC-DELIV-049")
@pytest.mark.parametrize("window", [65_536, 100_000])
def test_writer_stops(bench: Bench, window: int) -> None:
    """A writer stops at the limit and goes on with CREDIT; a lower CREDIT is ignored. ABORT and CLOSE need none."""
    far = group(bench, window=window)
    sender = open_sender(far)
    send(far, sender, bytes(400_000))
    written = far.take("DATA")
    size = sum(16 + 8 + len(frame["payload"]) // 2 for frame in written)
    expect(window - _FULL < size <= window, "CC-DELIV-048", f"{size} of {window} bytes were written")
    session = written[0]["session"]
    far.write(f.credit(window // 2, sender=2, recipient=f.NO_SLOT, session=session))
    far.none("CC-DELIV-049", "DATA")
    far.write(f.credit(window + 2 * _FULL, sender=2, recipient=f.NO_SLOT, session=session))
    more = sum(16 + 8 + len(frame["payload"]) // 2 for frame in far.take("DATA"))
    expect(size + more > window + _FULL, "CC-DELIV-049", "with CREDIT it goes on", actual=more)
    far.machine.do("cancel", sender=sender, sequence=1, code="CANCELLED")
    far.machine.do("close", sender=sender)
    kinds = [frame["type"] for frame in far.take("DATA", "CLOSE")]
    expect_equal(kinds, ["DATA", "CLOSE"], "CC-DELIV-046", "ABORT and CLOSE need no credit")


@positive(
    "CC-DELIV-046", "CC-DELIV-052", "CC-DELIV-055", "CC-DELIV-056", "CC-DELIV-051", "CC-DELIV-053", "CC-DELIV-054"
)
@negative("CC-DELIV-057", "CC-DELIV-051", "CC-DELIV-052", "CC-DELIV-053", "CC-DELIV-055", "CC-DELIV-056")
def test_credit_of_section_7_11(bench: Bench) -> None:
    """The worked example: a message of 1,000,000 bytes through a window of 262,144."""
    far = group(bench)
    assert far.hello is not None
    window = far.hello["window"]
    if window != f.WINDOW:
        return
    given: dict[int, int] = {}
    receiver = 0
    for index in range(62):
        size = 16_360 if index < 61 else 2_040
        frame = f.data(bytes(size), fragment=(index, 1_000_000, index == 61))
        if index == 0:
            receiver = received(far, frame, "CC-SESS-027")
        else:
            far.write(frame)
        for credit in far.take("CREDIT"):
            given[index + 1] = credit["value"]
    wanted = {count: count * _FULL + window // 2 for count in range(12, 61, 4)}
    expect_equal(given, wanted, "CC-DELIV-055", "CREDIT is due by quarters of the window")
    read(far.machine, receiver)
    credit = far.one("CC-DELIV-055", "CREDIT")
    expect_equal(credit["value"], 1_001_488 + window, "CC-DELIV-051", "consumed bytes plus the window")


@positive("CC-DELIV-050", "CC-LINK-084")
@negative("CC-DELIV-050", "CC-LINK-084")
def test_beyond_the_limit(bench: Bench) -> None:
    """DATA beyond the limit ends the link with FLOW_CONTROL; up to it all is well, and ABORT is free."""
    far = group(bench)
    assert far.hello is not None
    window, total = far.hello["window"], min(far.hello["largest_message"], 10 << 20)
    received(far, f.data(bytes(_FULL - 24), fragment=(0, total, False)), "CC-SESS-027")
    given = max([window, *(frame["value"] for frame in far.take("CREDIT"))])
    spent, index = _FULL, 1
    while spent + _FULL <= given:
        far.write(f.data(bytes(_FULL - 24), fragment=(index, total, False)))
        spent, index = spent + _FULL, index + 1
        if index > 5:
            break
    far.write(f.abort(index=index, total=total))
    far.goes_on("CC-DELIV-050")
    far.take()
    # Unread complete messages keep the limit where it is.
    given = max([given, *(seen.frame["value"] for seen in far.seen if seen.frame["type"] == "CREDIT")])
    sequence = 2
    while True:
        given = max([given, *(frame["value"] for frame in far.take("CREDIT"))])
        room = given - spent
        size = min(_FULL, room)
        if room < 17:
            break
        far.write(f.data(bytes(size - 16), sequence=sequence))
        spent, sequence = spent + size, sequence + 1
        if sequence > 400:
            break
    expect(far.transport is not None, "CC-DELIV-050", "exactly the limit is allowed")
    far.take()
    far.write(f.data(bytes(max(given - spent, 0) + 1), sequence=sequence))
    far.ended("CC-LINK-084", "FLOW_CONTROL")


@negative("CC-DELIV-058")
@positive("CC-DELIV-054", "CC-DELIV-058")
def test_no_credit_after_the_end(bench: Bench) -> None:
    """No CREDIT is written for a session that has ended."""
    far = group(bench)
    assert far.hello is not None
    count = min(far.hello["window"] // 16_016, 13)
    receiver = received(far, f.data(bytes(16_000)), "CC-SESS-027")
    for sequence in range(2, count + 1):
        far.write(f.data(bytes(16_000), sequence=sequence))
    far.write(f.close(count))
    far.take()
    messages = read_all(far.machine, receiver)
    expect_equal(len(messages), count, "CC-ERR-022", "complete messages stay readable")
    far.none("CC-DELIV-058", "CREDIT")


@positive("CC-DELIV-059", "CC-DELIV-060", "CC-FRAG-056", "CC-FRAG-057", "CC-ERR-021", "CC-SEC-010")
@negative("CC-DELIV-059", "CC-SEC-010", "CC-DELIV-060", "CC-FRAG-056", "CC-FRAG-057")
def test_memory(bench: Bench) -> None:
    """Beyond `receive_memory` the session that holds the most is failed with MEMORY (R17)."""
    far = group(
        bench,
        bench.endpoint(limits={"receive_memory": 1 << 20, "window": 1 << 20, "largest_message": 1 << 20}),
        largest_message=1 << 20,
    )
    big = received(far, f.data(bytes(16_000), session=1, channel=1), "CC-SESS-027")
    for sequence in range(2, 41):
        far.write(f.data(bytes(16_000), session=1, channel=1, sequence=sequence))
    small = received(far, f.data(bytes(16_000), session=2, channel=2), "CC-SESS-027")
    for sequence in range(2, 26):
        far.write(f.data(bytes(16_000), session=2, channel=2, sequence=sequence))
    far.none("CC-DELIV-059", "FAIL")
    far.machine.take()
    far.write(f.data(bytes(16_000), session=2, channel=2, sequence=26))
    fail = far.one("CC-DELIV-060", "FAIL")
    told = (fail["session"], fail["value"], fail["reason"])
    expect_equal(
        told, (1, 1, f.bye("MEMORY")["code"]), "CC-DELIV-060", "the largest is failed, from its first unread on"
    )
    closed = far.machine.take("receiver_closed")
    expect_equal([(event["receiver"], event["code"]) for event in closed], [(big, "MEMORY")], "CC-ERR-021", "it closes")
    expect_equal(len(read_all(far.machine, small)), 26, "CC-DELIV-059", "the other goes on")


@negative("CC-DELIV-061")
@positive("CC-DELIV-061")
def test_memory_lossy(bench: Bench) -> None:
    """A Lossy session that holds the most loses its oldest unread messages, as few as suffice (R57)."""
    far = group(
        bench,
        bench.endpoint(limits={"receive_memory": 1 << 20, "window": 1 << 20, "largest_message": 1 << 20}),
        largest_message=1 << 20,
    )
    count = (1 << 20) // 1_100 + 3
    receiver = received(far, f.data(bytes(1_100), reliable=False), "CC-SESS-027", lane="lossy")
    for sequence in range(2, count + 1):
        far.write(f.data(bytes(1_100), reliable=False, sequence=sequence), lane="lossy")
    far.none("CC-DELIV-061", "FAIL")
    got = [message["sequence"] for message in read_all(far.machine, receiver)]
    kept = (1 << 20) // 1_100
    expect_equal(
        got, list(range(count - kept + 1, count + 1)), "CC-DELIV-061", "the oldest are gone, no more than needed"
    )


# --- the send buffer ------------------------------------------------------------------------------


@positive("CC-DELIV-062", "CC-DELIV-063", "CC-DELIV-066", "CC-DELIV-065")
@negative("CC-DELIV-065", "CC-DELIV-062", "CC-DELIV-063", "CC-DELIV-066")
def test_send_buffer(bench: Bench) -> None:
    """The buffer takes one message of any size when it is empty, then turns away; the application hears of room."""
    far = group(bench)
    sender = open_sender(far)
    far.hold()
    size = limit(far, "send_buffer")
    send(far, sender, bytes(size + 1000))
    far.machine.raises("CC-DELIV-062", "WOULD_BLOCK", "send", sender=sender, data="00")
    far.machine.take()
    far.hold(held=False)
    for _ in range(200):
        far.ack()
        for frame in far.take("DATA"):
            far.write(f.credit((frame["fragment"]["index"] + 40) * _FULL, sender=2, recipient=f.NO_SLOT))
        if far.machine.new_events("sender_writable"):
            break
    expect(far.machine.new_events("sender_writable", sender=sender), "CC-DELIV-066", "the application is told of room")
    expect_equal(send(far, sender), 2, "CC-DELIV-065", "what was turned away used no number")


@positive("CC-DELIV-062")
@negative("CC-DELIV-065", "CC-DELIV-062")
def test_unconfirmed(bench: Bench) -> None:
    """`unconfirmed_messages` that are not settled turn the next away."""
    far = group(bench, bench.endpoint(limits={"unconfirmed_messages": 64}))
    sender = open_sender(far)
    numbers = [send(far, sender) for _ in range(64)]
    expect_equal(numbers, list(range(1, 65)), "CC-LIMIT-013", "up to and including the limit")
    far.machine.raises("CC-DELIV-062", "WOULD_BLOCK", "send", sender=sender, data="00")
    far.machine.take()
    far.ack()
    expect(far.machine.new_events("sender_writable", sender=sender), "CC-DELIV-066", "the application is told of room")
    expect_equal(send(far, sender), 65, "CC-DELIV-065", "the numbers go on")


@negative("CC-LIMIT-019", "CC-LIMIT-009")
@positive("CC-LIMIT-009", "CC-LIMIT-019")
def test_largest_message(bench: Bench) -> None:
    """A Reliable message larger than the call's raises MESSAGE_TOO_LARGE; exactly the largest is taken."""
    far = group(bench, largest_message=40_000)
    sender = open_sender(far)
    far.machine.raises("CC-LIMIT-019", "MESSAGE_TOO_LARGE", "send", sender=sender, data="00" * 40_001)
    send(far, sender, bytes(40_000))
    look = far.machine.look()
    expect_equal(look["max_reliable"], 40_000, "CC-LIMIT-009", "the application can read it")
    expect_equal(look["max_lossy"], 40_000, "CC-LIMIT-020", "Lossy is held to the smaller")
    lossy = open_sender(far, reliability="lossy")
    far.machine.raises("CC-LIMIT-020", "MESSAGE_TOO_LARGE", "send", sender=lossy, data="00" * 40_001)
