# SPDX-License-Identifier: Apache-2.0
"""A relay: who is admitted, and what the others are told of who comes, goes and is suspended (chapters 4 and 10)."""

from __future__ import annotations

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance.bench.links import Initiator, member, settle
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.relay_scene import call
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal


@positive(
    "CC-ROSTER-001",
    "CC-ROSTER-004",
    "CC-ROSTER-013",
    "CC-ROSTER-014",
    "CC-ROSTER-016",
    "CC-ROSTER-017",
    "CC-RELAY-001",
    "CC-LINK-026",
    "CC-SEC-004",
    "CC-ROSTER-002",
    "CC-ROSTER-005",
)
@negative("CC-ROSTER-005", "CC-ROSTER-002", "CC-LINK-026", "CC-ROSTER-001", "CC-RELAY-001", "CC-ROSTER-014")
def test_joining(bench: Bench) -> None:
    """Slots are the lowest free ones, identities are admission's, each join raises the epoch by one."""
    relay = bench.relay()
    ann = member(relay, "ann", admitted="Ann Admitted")
    assert ann.welcome is not None
    told = (ann.welcome["slot"], ann.welcome["id"], ann.epoch)
    expect_equal(told, (0, "Ann Admitted", 1), "CC-ROSTER-001", "slot, identity and epoch")
    bob = Initiator(bench, relay, "")
    bob.instance = b"b" * 16
    bob.join(admitted="bob")
    expect_equal((bob.own_slot, bob.welcome and bob.welcome["id"]), (1, "bob"), "CC-ROSTER-002", "an empty id")
    expect_equal(bob.members, {0: "Ann Admitted", 1: "bob"}, "CC-ROSTER-017", "the snapshot")
    change = ann.one("CC-ROSTER-036", "ROSTER")
    expect_equal((change["epoch"], change["entries"]), (2, [f.join(1, "bob")]), "CC-ROSTER-013", "the change at others")
    joined = relay.take("endpoint_joined")
    expect_equal(
        [(e["identity"], e["slot"]) for e in joined], [("Ann Admitted", 0), ("bob", 1)], "CC-ROSTER-001", "events"
    )


@positive("CC-RELAY-002")
@negative("CC-RELAY-002", "CC-LINK-016")
def test_not_admitted(bench: Bench) -> None:
    """A HELLO on a transport that admission does not allow is refused; a format fault comes first."""
    relay = bench.relay()
    far = Initiator(bench, relay)
    far.connect(admission=None)
    far.say_hello()
    far.ended("CC-RELAY-002", "NOT_ADMITTED")
    far = Initiator(bench, relay)
    far.connect(admission=None)
    far.write(f.hello(attempt=0))
    far.ended("CC-LINK-016", "FRAME_FORMAT")


@negative("CC-RELAY-003", "CC-RELAY-004", "CC-ROSTER-006", "CC-LIMIT-013", "CC-LINK-016", "CC-RELAY-005")
@positive("CC-RELAY-005", "CC-LIMIT-013", "CC-ROSTER-006", "CC-RELAY-003", "CC-RELAY-004")
def test_full_and_small(bench: Bench) -> None:
    """TOO_SMALL before CALL_FULL; the call takes as many as its limit."""
    relay = bench.relay(limits={"roster_slots": 2, "largest_message": 100_000})
    for name in ("ann", "bob"):
        far = member(relay, name)
        assert far.welcome is not None
        expect_equal(far.welcome["largest_message"], 100_000, "CC-RELAY-005", "the call's largest message")
    for fields, code in (({"largest_message": 99_999}, "TOO_SMALL"), ({}, "CALL_FULL")):
        far = Initiator(bench, relay, "eve")
        far.connect(admission={"identity": "eve", "may_send": True})
        far.say_hello(**fields)
        far.ended("CC-RELAY-003" if fields else "CC-ROSTER-006", code)


@positive("CC-RELAY-006", "CC-LINK-050", "CC-LINK-017", "CC-ROSTER-030", "CC-LINK-051")
@negative("CC-LINK-051", "CC-LINK-052", "CC-LINK-050", "CC-RELAY-006")
def test_replace(bench: Bench) -> None:
    """REPLACE ends older links of the same identity and instance before it is judged whether the call is full."""
    relay = bench.relay(limits={"roster_slots": 3})
    ann, bob = member(relay, "ann"), member(relay, "bob")
    other_device = Initiator(bench, relay, "ann")
    other_device.instance = b"x" * 16
    other_device.join()
    bench.advance(60)
    bob.take()
    again = Initiator(bench, relay, "ann")
    again.connect(admission={"identity": "ann", "may_send": True})
    again.say_hello(replace=True)
    ann.ended("CC-LINK-050", "REPLACED")
    bench.advance(60)
    leaves = [e for frame in bob.take("ROSTER") for e in frame["entries"] if e["op"] == "LEAVE"]
    expect_equal(leaves, [f.leave(0, "REPLACED")], "CC-ROSTER-030", "others see the ghost leave, and why")
    other_device.goes_on("CC-LINK-051")


@positive("CC-ROSTER-007", "CC-ROSTER-009", "CC-ROSTER-005")
@negative("CC-ROSTER-007", "CC-ROSTER-005", "CC-ROSTER-004")
def test_quarantine(bench: Bench) -> None:
    """A slot is given again only 120 seconds after the last link covered its LEAVE."""
    _, (ann, bob, carol, dan) = call(bench)
    relay = ann.machine
    bob.write(f.bye("LEFT"))
    bench.advance(100)
    settle(ann, carol)
    for far in (ann, carol, dan):
        far.auto_ack = True
    bench.advance(119_000)
    eve = member(relay, "eve")
    expect_equal(eve.own_slot, 4, "CC-ROSTER-007", "quarantined for 120 seconds")
    bench.advance(6_000)
    fay = member(relay, "fay")
    expect_equal(fay.own_slot, 1, "CC-ROSTER-004", "then the lowest free one")


@negative("CC-ROSTER-024", "CC-ROSTER-034")
@positive("CC-ROSTER-034", "CC-ROSTER-036", "CC-ROSTER-024")
def test_batching(bench: Bench) -> None:
    """A change is written at once, further ones within 50 ms, all of them in order."""
    relay = bench.relay()
    ann = member(relay, "ann")
    bench.advance(100)
    ann.take()
    member(relay, "bob")
    first = ann.take("ROSTER")
    expect_equal([e["id"] for r in first for e in r["entries"]], ["bob"], "CC-ROSTER-034", "the first at once")
    for name in ("carol", "dan"):
        member(relay, name)
    expect_equal(ann.take("ROSTER"), [], "CC-ROSTER-034", "those behind it wait for 50 ms")
    bench.advance(51)
    later = ann.take("ROSTER")
    expect_equal(
        [e["id"] for r in later for e in r["entries"]], ["carol", "dan"], "CC-ROSTER-034", "the others in 50 ms"
    )
    expect_equal(later[-1]["epoch"], 4, "CC-ROSTER-024", "the epoch after all entries")


@negative("CC-ROSTER-032", "CC-ROSTER-033", "CC-ROSTER-035")
@positive("CC-ROSTER-035", "CC-ROSTER-032", "CC-ROSTER-033")
def test_roster_before_data(bench: Bench) -> None:
    """DATA of a new slot takes its JOIN with it, without waiting for the batch."""
    relay = bench.relay()
    ann = member(relay, "ann")
    member(relay, "bob")
    carol = member(relay, "carol")
    ann.take()
    carol.write(f.data(sender=2))
    kinds = [frame["type"] for frame in ann.take("ROSTER", "DATA")]
    expect_equal(kinds, ["ROSTER", "DATA"], "CC-ROSTER-035", "the waiting changes first")


@positive("CC-ROSTER-018", "CC-ROSTER-021", "CC-ROSTER-036", "CC-LINK-047", "CC-LINK-048", "CC-RELAY-066")
@negative("CC-ROSTER-031", "CC-ROSTER-021", "CC-ROSTER-013", "CC-ROSTER-017", "CC-ROSTER-018", "CC-ROSTER-036")
def test_suspension(bench: Bench) -> None:
    """A suspension is told to the others and to who joins; a resumed link gets the changes, and no snapshot."""
    _, (ann, bob, carol, dan) = call(bench)
    relay = ann.machine
    bob.disconnect()
    bench.advance(60)
    entries = [e for r in ann.take("ROSTER") for e in r["entries"]]
    expect_equal([(e["op"], e["slot"]) for e in entries], [("SUSPENDED", 1)], "CC-ROSTER-036", "SUSPENDED")
    eve = member(relay, "eve")
    snapshot = next(s.frame for s in eve.seen if s.frame["type"] == "ROSTER")
    expect(
        f.suspended(1)["slot"] in [e["slot"] for e in snapshot["entries"] if e["op"] == "SUSPENDED"],
        "CC-ROSTER-018",
        "in the snapshot",
        actual=snapshot,
    )
    bench.advance(60)
    bob.resume()
    bench.advance(60)
    rosters = bob.take("ROSTER")
    expect(all(not r["snapshot"] for r in rosters), "CC-ROSTER-021", "no new snapshot", actual=rosters)
    expect_equal([e["op"] for r in rosters for e in r["entries"]], ["JOIN"], "CC-ROSTER-036", "what was missed")
    ops = [e["op"] for r in ann.take("ROSTER") for e in r["entries"]]
    expect_equal(ops, ["JOIN", "RESUMED"], "CC-ROSTER-036", "RESUMED")
    assert carol and dan


@negative("CC-ROSTER-030", "CC-RELAY-063", "CC-RELAY-066")
@positive("CC-ROSTER-030", "CC-RELAY-066", "CC-RELAY-063")
@pytest.mark.parametrize(("how", "reason"), [("bye", "LEFT"), ("fault", "FRAME_FORMAT"), ("lost", "LOST")])
def test_leave_reasons(bench: Bench, how: str, reason: str) -> None:
    """LEAVE says LEFT, LOST or the fault; CLOSE says LEFT after BYE LEFT, else LOST."""
    _, (ann, bob, carol, _) = call(bench)
    bob.write(f.data(sender=1))
    ann.take()
    if how == "bye":
        bob.write(f.bye("LEFT"))
    elif how == "fault":
        bob.write(f.data(sender=1, channel=0))
    else:
        bob.disconnect()
        assert bob.welcome is not None
        bench.advance(bob.welcome["resume_ms"] - 100)
        expect(
            not [e for r in ann.take("ROSTER") for e in r["entries"] if e["op"] == "LEAVE"], "CC-LIMIT-014", "not yet"
        )
    bench.advance(200)
    came = ann.take("ROSTER", "CLOSE")
    leaves = [e for r in came if r["type"] == "ROSTER" for e in r["entries"] if e["op"] == "LEAVE"]
    expect_equal(leaves, [f.leave(1, reason)], "CC-ROSTER-030", "LEAVE")
    closes = [frame for frame in came if frame["type"] == "CLOSE"]
    wanted = f.close(1, sender=1, reason="LEFT" if how == "bye" else "LOST")
    expect_equal(closes, [wanted], "CC-RELAY-063", "CLOSE behind the data")
    assert carol


@negative("CC-SEC-007")
@positive("CC-SEC-007")
def test_tokens_of_others(bench: Bench) -> None:
    """Nothing that is written to an endpoint holds the token or the instance identifier of another."""
    relay = bench.relay()
    ann, bob, carol = (member(relay, name) for name in ("ann", "bob", "carol"))
    bench.advance(100)
    settle(ann, bob, carol)
    ann.write(f.data(confirm=True, to=(3, [], True)))
    bob.disconnect()
    bob.resume()
    bench.advance(100)
    again = Initiator(bench, relay, "ann")
    again.join(replace=True)
    carol.write(f.bye("LEFT"))
    bench.advance(100)
    fars = [ann, bob, carol, again]
    for far in fars:
        written = b"".join(seen.raw for seen in far.seen)
        for other in fars:
            if other is far:
                continue
            expect(other.token not in written, "CC-SEC-007", f"{far.identity} was told the token of another's link")
            expect(other.instance not in written, "CC-SEC-007", f"{far.identity} was told another's instance")
