# SPDX-License-Identifier: Apache-2.0
"""Senders: opening, numbers, closing, failing (sections 5.3 to 5.7, and the rows S01 to S54 of 5.13)."""

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
    send,
    sent,
    unsettled,
    verdict_of,
)
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal


@negative("CC-SESS-006", "CC-SESS-007")
@positive("CC-SESS-006", "CC-SESS-007", "CC-SESS-012", "CC-MODEL-006")
def test_numbers(bench: Bench) -> None:
    """Opening writes nothing; sessions are numbered by their first frame, messages from 1."""
    far = group(bench)
    first = open_sender(far)
    second = open_sender(far)
    far.none("CC-SESS-006", "DATA", "CLOSE")
    send(far, second)
    frame = far.one("CC-SESS-007", "DATA")
    expect_equal(
        (frame["session"], frame["sequence"]), (1, 1), "CC-SESS-007", "the first frame of a link begins session 1"
    )
    send(far, first)
    frame = far.one("CC-SESS-007", "DATA")
    expect_equal((frame["session"], frame["sequence"]), (2, 1), "CC-SESS-007", "numbers follow first frames")
    expect_equal([send(far, second) for _ in range(3)], [2, 3, 4], "CC-SESS-012", "sequences rise by one")
    expect_equal([frame["sequence"] for frame in far.take("DATA")], [2, 3, 4], "CC-MODEL-006", "they are on the wire")


@negative("CC-SESS-001", "CC-SESS-006")
@pytest.mark.parametrize(
    "options",
    [{"channel": 65_536}, {"channel": -1}, {"latest": True}, {"reliability": "lossy", "confirm": "delivered"}],
    ids=["channel-high", "channel-negative", "latest-reliable", "delivered-lossy"],
)
def test_open_contradiction(bench: Bench, options: dict[str, object]) -> None:
    """Options that contradict each other, and channels that are none, raise INVALID_ARGUMENT."""
    far = group(bench)
    far.machine.raises("CC-SESS-001", "INVALID_ARGUMENT", "open", **options)
    far.none("CC-SESS-006", "DATA", "CLOSE")


@negative("CC-SESS-002", "CC-SESS-003")
@positive("CC-SESS-002", "CC-SESS-003")
def test_lowest_channel(bench: Bench) -> None:
    """Channel 0 gets the lowest free one; a closing sender still has its channel."""
    far = group(bench)
    first, frame = sent(far, "CC-SESS-002")
    expect_equal(frame["channel"], 1, "CC-SESS-002", "the lowest free channel")
    open_sender(far, channel=2)
    _, frame = sent(far, "CC-SESS-002")
    expect_equal(frame["channel"], 3, "CC-SESS-002", "the lowest free channel")
    far.machine.do("close", sender=first)
    _, frame = sent(far, "CC-SESS-003")
    expect_equal(frame["channel"], 4, "CC-SESS-003", "a closing sender still has its channel")
    cover(far)
    _, frame = sent(far, "CC-SESS-002")
    expect_equal(frame["channel"], 1, "CC-SESS-003", "an ended sender's channel is free")


@positive("CC-SESS-005", "CC-SESS-016", "CC-SESS-018", "CC-SESS-008")
@negative("CC-SESS-021", "CC-SESS-008", "CC-SESS-005", "CC-MODEL-007")
def test_same_channel_closes(bench: Bench) -> None:
    """A new sender on a channel closes the old one: what was queued is written, then CLOSE once."""
    bench.client.needs(feature="high_channels")
    far = group(bench)
    old, frame = sent(far, "CC-SESS-005", channel=9)
    session = frame["session"]
    new = open_sender(far, channel=9, priority="high")
    close = far.one("CC-SESS-016", "CLOSE")
    expect_equal(
        (close["session"], close["value"], close["reason"]), (session, 1, 0), "CC-SESS-018", "CLOSE of the old sender"
    )
    far.machine.raises("CC-ERR-020", "SENDER_CLOSED", "send", sender=old, data="00")
    send(far, new)
    frame = far.one("CC-SESS-008", "DATA")
    expect_equal((frame["channel"], frame["sequence"]), (9, 1), "CC-SESS-005", "the new session begins with 1")
    expect("HIGH" in frame["flags"], "CC-MODEL-007", "it has a priority of its own", actual=frame)
    expect(frame["session"] > session, "CC-SESS-008", "a session number is used once")


@negative("CC-SESS-020", "CC-SESS-007")
@positive("CC-SESS-020")
def test_close_unused(bench: Bench) -> None:
    """A sender of which nothing was written ends without CLOSE and without a number."""
    far = group(bench)
    sender = open_sender(far)
    far.machine.take()
    far.machine.do("close", sender=sender)
    far.none("CC-SESS-020", "CLOSE", "DATA")
    ended = far.machine.take("sender_ended", sender=sender)
    expect_equal([event["code"] for event in ended], ["NONE"], "CC-SESS-020", "S52: it ends at once")
    _, frame = sent(far, "CC-SESS-020")
    expect_equal(frame["session"], 1, "CC-SESS-020", "no number was used")


@positive("CC-SESS-016", "CC-SESS-018", "CC-SESS-066", "CC-SESS-019", "CC-SESS-022")
@negative("CC-SESS-022", "CC-SESS-019", "CC-SESS-016")
def test_close(bench: Bench) -> None:
    """CLOSE carries the greatest sequence and no reason; the sender ends when it is acknowledged (S46, S27, S53)."""
    far = group(bench)
    sender = open_sender(far)
    far.hold()
    for _ in range(3):
        send(far, sender)
    far.machine.do("close", sender=sender)
    far.machine.do("close", sender=sender)
    far.hold(held=False)
    kinds = [frame["type"] for frame in far.new("DATA", "CLOSE")]
    expect_equal(kinds, ["DATA"] * 3 + ["CLOSE"], "CC-SESS-022", "what was queued stands before CLOSE")
    close = far.one("CC-SESS-016", "CLOSE")
    expect_equal((close["value"], close["reason"]), (3, 0), "CC-SESS-018", "the value of CLOSE")
    expect(not far.machine.new_events("sender_ended"), "CC-SESS-066", "S53: not before CLOSE is acknowledged")
    far.ack()
    ended = far.machine.take("sender_ended", sender=sender)
    expect_equal([event["code"] for event in ended], ["NONE"], "CC-SESS-066", "S53: ended")
    far.machine.raises("CC-SESS-066", "SENDER_CLOSED", "send", sender=sender, data="00")


@negative("CC-SESS-012", "CC-SESS-014", "CC-SESS-018", "CC-DELIV-034", "CC-MODEL-006", "CC-FRAG-014")
@positive("CC-SESS-014", "CC-SESS-018", "CC-DELIV-034")
def test_spent_numbers(bench: Bench) -> None:
    """The number of a message that was taken back unwritten stays spent, and counts for CLOSE."""
    far = group(bench)
    sender = open_sender(far)
    send(far, sender)
    far.hold()
    second = send(far, sender)
    taken = far.machine.do("cancel", sender=sender, sequence=second, code="CANCELLED")
    expect_equal(taken["outcome"], "removed", "CC-DELIV-034", "nothing of it was written (S39)")
    third = send(far, sender)
    cancelled = send(far, sender)
    far.machine.do("cancel", sender=sender, sequence=cancelled, code="DEADLINE")
    far.machine.do("close", sender=sender)
    far.hold(held=False)
    sequences = [frame["sequence"] for frame in far.new("DATA")]
    expect_equal(sequences, [1, third], "CC-DELIV-034", "a message that is taken back is not written")
    close = far.one("CC-SESS-018", "CLOSE")
    expect_equal(close["value"], cancelled, "CC-SESS-018", "the value is the greatest number that was given")


@positive("CC-SESS-013", "CC-ERR-013")
@negative("CC-SESS-013", "CC-ERR-013")
def test_raise_spends_nothing(bench: Bench) -> None:
    """A send that raises at once uses no number and writes nothing."""
    far = group(bench)
    sender = open_sender(far)
    send(far, sender)
    far.take()
    far.machine.raises("CC-ROSTER-039", "UNKNOWN_RECIPIENT", "send", sender=sender, data="00", to=["nobody"])
    large = limit(far, "largest_message")
    far.none("CC-ERR-013", "DATA")
    assert large > 0
    expect_equal(send(far, sender), 2, "CC-SESS-013", "no number was used")


@negative("CC-SESS-023", "CC-SESS-025", "CC-SESS-024", "CC-DELIV-023", "CC-DELIV-024")
@positive("CC-SESS-024", "CC-DELIV-024", "CC-DELIV-022", "CC-DELIV-023", "CC-SESS-025", "CC-SESS-023")
def test_fail_for_all(bench: Bench) -> None:
    """FAIL for all: messages from v on fail, those below are settled by ACK, nothing is written (S33, S54, S02)."""
    far = group(bench)
    sender, frame = sent(far, "CC-SESS-023")
    second = send(far, sender)
    far.take()
    far.write(f.fail(2, "SEQUENCE", recipient=f.NO_SLOT, sender=2, session=frame["session"]))
    failed(far.machine, sender, second, "CC-DELIV-024", "SEQUENCE")
    unsettled(far.machine, sender, 1, "CC-DELIV-023")
    told = far.machine.take("sender_failed", "sender_ended")
    expect_equal([event["event"] for event in told], ["sender_failed"], "CC-SESS-066", "S33: the application is told")
    far.machine.raises("CC-SESS-025", "SEQUENCE", "send", sender=sender, data="00")
    far.machine.do("close", sender=sender)
    far.none("CC-SESS-023", "DATA", "CLOSE")
    far.ack()
    confirmed(far.machine, sender, 1, "CC-SESS-024")
    ended = far.machine.take("sender_ended")
    expect_equal([event["code"] for event in ended], ["SEQUENCE"], "CC-SESS-024", "S54: it ends when all is settled")


@positive("CC-ERR-017")
@negative("CC-SESS-025")
def test_fail_for_all_lossy(bench: Bench) -> None:
    """A Lossy send after FAIL for all is dropped and recorded (S03)."""
    far = group(bench)
    sender = open_sender(far, reliability="lossy")
    send(far, sender)
    frame = far.one("CC-MODEL-010", "DATA")
    far.write(f.fail(5, "SESSION_MISMATCH", recipient=f.NO_SLOT, sender=2, session=frame["session"]))
    reply = far.machine.op("send", sender=sender, data="00")
    expect_equal(reply.raised, None, "CC-SESS-025", "a Lossy send does not raise")
    far.none("CC-SESS-023", "DATA")


@positive("CC-SESS-026", "CC-DELIV-025", "CC-DELIV-029", "CC-DELIV-027", "CC-DELIV-028", "CC-DELIV-026")
@negative("CC-DELIV-027", "CC-DELIV-026", "CC-DELIV-028", "CC-SESS-026", "CC-DELIV-025", "CC-DELIV-029")
def test_fail_of_one(bench: Bench) -> None:
    """FAIL of one recipient bars it in this session alone, and does not end the sender (S35)."""
    far = group(bench)
    sender, frame = sent(far, "CC-SESS-026")
    cover(far)
    far.machine.take()
    fail = f.fail(2, "OVERRUN", recipient=1, sender=2, session=frame["session"])
    far.write(fail)
    told = far.machine.take("recipient_failed")
    expect_equal(len(told), 1, "CC-DELIV-025", "the application is told of the first FAIL")
    wanted = {"identity": "bob", "slot": 1, "sequence": 2, "code": "OVERRUN", "uncertain": False}
    expect_equal({key: told[0][key] for key in wanted}, wanted, "CC-DELIV-025", "what it is told")
    far.write(f.fail(1, "MEMORY", recipient=1, sender=2, session=frame["session"]))
    expect(not far.machine.take("recipient_failed"), "CC-DELIV-026", "a second FAIL has no effect")
    raised = far.machine.raises("CC-DELIV-027", "RECIPIENT_FAILED", "send", sender=sender, data="00", to=["bob", "ann"])
    expect_equal(raised.recipients, ("bob",), "CC-DELIV-027", "all such recipients are named")
    raised = far.machine.raises(
        "CC-DELIV-028", "UNKNOWN_RECIPIENT", "send", sender=sender, data="00", to=["bob", "zed"]
    )
    expect_equal(set(raised.recipients), {"bob", "zed"}, "CC-DELIV-028", "both are named")
    sequence = send(far, sender)
    cover(far)
    event = confirmed(far.machine, sender, sequence, "CC-DELIV-029")
    passed = (event.get("report") or {}).get("passed_over", [])
    expect_equal(list(passed), ["bob"], "CC-DELIV-029", "the report lists who was passed over")
    expect(not far.machine.all_events("sender_ended"), "CC-SESS-026", "the sender goes on")
    other = open_sender(far, to=["bob"])
    far.machine.do("send", sender=other, data="00")


@negative("CC-SESS-026", "CC-DELIV-030")
@positive("CC-DELIV-030")
def test_all_failed(bench: Bench) -> None:
    """A message to everyone raises RECIPIENT_FAILED when all have failed in the session."""
    far = group(bench)
    sender, frame = sent(far, "CC-DELIV-030")
    cover(far)
    for slot in (0, 1, 3):
        far.write(f.fail(2, "OVERRUN", recipient=slot, sender=2, session=frame["session"]))
    far.take()
    far.machine.raises("CC-DELIV-030", "RECIPIENT_FAILED", "send", sender=sender, data="00")
    far.none("CC-DELIV-030", "DATA")
    ended = far.machine.all_events("sender_ended", "sender_failed")
    expect_equal(ended, [], "CC-SESS-026", "the sender goes on, also without any recipient")


@positive("CC-SESS-066", "CC-FRAG-013")
def test_last_recipient_fails_in_mid_message(bench: Bench) -> None:
    """FAIL of the last known recipient of a partly written message: it is given up with ABORT (S34, S21)."""
    far = group(bench)
    sender = open_sender(far, to=["bob"])
    far.hold()
    sequence = send(far, sender, bytes(40_000))
    part = far.pull()
    far.take()
    far.write(f.fail(1, "OVERRUN", recipient=1, sender=2, session=part[-1]["session"]))
    failed(far.machine, sender, sequence, "CC-DELIV-022", "OVERRUN")
    far.hold(held=False)
    data = far.take("DATA")
    expect(len(data) == 1 and data[0]["fragment"]["abort"], "CC-FRAG-013", "S34: ABORT is written", actual=data)


@positive("CC-DELIV-031", "CC-DELIV-032")
@negative("CC-DELIV-032", "CC-DELIV-031")
def test_refuse(bench: Bench) -> None:
    """REFUSE fails the message it names for all, and touches nothing else (S36 to S38)."""
    far = group(bench)
    sender, frame = sent(far, "CC-DELIV-031")
    second = send(far, sender)
    far.take()
    far.write(f.refuse(1, "POLICY", sender=2, session=frame["session"]))
    event = failed(far.machine, sender, 1, "CC-DELIV-031", "POLICY")
    expect_equal(verdict_of(event, "bob"), ("failed", "POLICY"), "CC-DELIV-031", "failed for each recipient")
    unsettled(far.machine, sender, second, "CC-DELIV-032")
    far.write(f.refuse(1, "GOING_AWAY", sender=2, session=frame["session"]))
    far.ack()
    confirmed(far.machine, sender, second, "CC-DELIV-032")
    expect(
        not far.machine.all_events("recipient_failed", "sender_failed", "sender_ended"),
        "CC-DELIV-032",
        "REFUSE bars nobody",
    )


@positive("CC-DELIV-031")
@negative("CC-FRAG-013", "CC-FRAG-014")
def test_refuse_in_mid_message(bench: Bench) -> None:
    """Nothing more of a refused message is written, not even ABORT (S36)."""
    far = group(bench)
    sender = open_sender(far)
    far.hold()
    sequence = send(far, sender, bytes(60_000))
    part = far.pull()
    far.take()
    far.write(f.refuse(sequence, "POLICY", sender=2, session=part[-1]["session"]))
    failed(far.machine, sender, sequence, "CC-DELIV-031", "POLICY")
    far.hold(held=False)
    far.none("CC-FRAG-013", "DATA")
    send(far, sender)
    far.one("CC-DELIV-032", "DATA", sequence=2)


@positive("CC-DELIV-035", "CC-FRAG-015", "CC-FRAG-018", "CC-DELIV-037")
@negative("CC-DELIV-037", "CC-DELIV-035", "CC-FRAG-015", "CC-FRAG-016", "CC-FRAG-018")
def test_cancel_partly_written(bench: Bench) -> None:
    """Taking back a partly written message ends it with ABORT (S40, S43)."""
    far = group(bench)
    sender = open_sender(far)
    far.hold()
    sequence = send(far, sender, bytes(60_000))
    far.pull()
    far.take()
    taken = far.machine.do("cancel", sender=sender, sequence=sequence, code="CANCELLED")
    expect_equal(taken["outcome"], "aborted", "CC-DELIV-035", "it fails, surely")
    far.hold(held=False)
    data = far.take("DATA")
    expect(len(data) == 1 and data[0]["fragment"]["abort"], "CC-DELIV-035", "ABORT ends it", actual=data)
    again = far.machine.do("cancel", sender=sender, sequence=sequence, code="DEADLINE")
    expect_equal(again["outcome"], "settled", "CC-DELIV-037", "taking back a settled message has no effect")
    send(far, sender)
    far.one("CC-FRAG-018", "DATA", sequence=2)


@positive("CC-DELIV-036")
@negative("CC-DELIV-006", "CC-DELIV-036")
def test_cancel_written(bench: Bench) -> None:
    """Taking back a wholly written message: unknown, and nothing is written (S42)."""
    far = group(bench)
    sender, _ = sent(far, "CC-DELIV-036")
    taken = far.machine.do("cancel", sender=sender, sequence=1, code="CANCELLED")
    expect_equal(taken["outcome"], "unknown", "CC-DELIV-036", "it may have arrived")
    far.none("CC-DELIV-036", "DATA", "CLOSE")
    far.ack()
    unsettled(far.machine, sender, 1, "CC-DELIV-006")


@negative("CC-SESS-017")
@positive("CC-FRAG-013", "CC-SESS-017", "CC-FRAG-014")
@pytest.mark.parametrize("begun", [True, False])
def test_close_gives_stream_up(bench: Bench, begun: bool) -> None:
    """Closing a sender gives an unfinished stream up: ABORT if anything of it was written (S45, S46)."""
    far = group(bench)
    sender = open_sender(far)
    send(far, sender)
    far.take()
    if not begun:
        far.hold()
    stream = far.machine.do("stream_open", sender=sender)["sequence"]
    far.machine.do("stream_write", sender=sender, sequence=stream, data="616263")
    far.machine.do("close", sender=sender)
    if not begun:
        far.hold(held=False)
    failed(far.machine, sender, stream, "CC-SESS-017", "SENDER_CLOSED")
    frames = [frame for frame in far.inbox if frame["type"] in ("DATA", "CLOSE")]
    aborts = [frame for frame in frames if frame.get("fragment", {}).get("abort")]
    expect_equal(len(aborts), 1 if begun else 0, "CC-SESS-017", "ABORT where anything was written, else no frame")
    expect_equal(frames[-1]["type"], "CLOSE", "CC-SESS-016", "CLOSE comes last")
    expect_equal(frames[-1]["value"], stream, "CC-SESS-018", "the stream's number is spent")


@negative("CC-SESS-066")
def test_stream_after_end(bench: Bench) -> None:
    """Writing to a stream that is finished raises (S13)."""
    far = group(bench)
    sender = open_sender(far)
    stream = far.machine.do("stream_open", sender=sender)["sequence"]
    far.machine.do("stream_write", sender=sender, sequence=stream, data="6161")
    far.machine.do("stream_finish", sender=sender, sequence=stream)
    far.machine.raises("CC-SESS-066", "INVALID_ARGUMENT", "stream_write", sender=sender, sequence=stream, data="61")
    far.machine.raises("CC-SESS-066", "INVALID_ARGUMENT", "stream_finish", sender=sender, sequence=stream)


@positive("CC-SESS-009")
@negative("CC-SESS-009", "CC-MODEL-005")
def test_lossy_waits_for_older(bench: Bench) -> None:
    """A Lossy sender does not write before an older sender of its channel has its number."""
    far = group(bench)
    far.hold("lossy")
    old = open_sender(far, channel=9, reliability="lossy")
    send(far, old)
    new = open_sender(far, channel=9, reliability="lossy")
    send(far, new)
    far.hold("lossy", held=False)
    sessions = [frame["session"] for frame in far.take("DATA")]
    expect_equal(sessions, sorted(sessions), "CC-SESS-009", "the older sender has the lower number")
    expect_equal(len(sessions), 2, "CC-SESS-009", "both are written")


@positive("CC-SESS-011", "CC-LINK-048")
def test_sessions_outlive_transports(bench: Bench) -> None:
    """Numbers, sequences and verdicts go on across a resume."""
    far = group(bench)
    sender, frame = sent(far, "CC-SESS-011")
    far.disconnect()
    second = send(far, sender)
    far.resume()
    again = far.one("CC-SESS-011", "DATA")
    expect_equal((again["session"], again["sequence"]), (frame["session"], 2), "CC-SESS-011", "the session goes on")
    far.ack()
    confirmed(far.machine, sender, 1, "CC-SESS-011")
    confirmed(far.machine, sender, second, "CC-SESS-011")
