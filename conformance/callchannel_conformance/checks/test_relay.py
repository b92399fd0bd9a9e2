# SPDX-License-Identifier: Apache-2.0
"""A relay: admission, rosters, forwarding, refusing, sessions (chapters 4 and 10)."""

from __future__ import annotations

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance.bench.far import Frame
from callchannel_conformance.bench.links import Initiator, member, settle
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.relay_scene import call, code_of, data
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal

# --- joining --------------------------------------------------------------------------------------


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


# --- forwarding -----------------------------------------------------------------------------------


@positive(
    "CC-RELAY-025",
    "CC-RELAY-027",
    "CC-ROSTER-058",
    "CC-RELAY-030",
    "CC-EXT-005",
    "CC-FRAME-104",
    "CC-RELAY-015",
    "CC-MODEL-012",
    "CC-EXT-006",
    "CC-EXT-017",
    "CC-RELAY-028",
)
@negative(
    "CC-RELAY-029",
    "CC-MODEL-012",
    "CC-EXT-006",
    "CC-RELAY-028",
    "CC-EXT-017",
    "CC-FRAME-104",
    "CC-RELAY-025",
    "CC-RELAY-027",
    "CC-EXT-005",
    "CC-RELAY-015",
    "CC-RELAY-030",
)
@pytest.mark.parametrize("reliable", [True, False])
def test_forwarding(bench: Bench, reliable: bool) -> None:
    """DATA without a block goes to all others byte for byte, as it comes, extensions untouched."""
    _, members = call(bench)
    sender = members[2]
    lane = "reliable" if reliable else "lossy"
    extensions = [(3, b"\0\0", False), (0x7001, b"x", True)]
    parts = [
        f.data(b"a" * 600, sender=2, reliable=reliable, fragment=(0, 605, False), extensions=extensions, high=True),
        f.data(b"b" * 5, sender=2, reliable=reliable, fragment=(1, 605, True), high=True),
        f.data(b"", sender=2, reliable=reliable, sequence=2, high=True),
    ]
    for index, part in enumerate(parts):
        sender.write(part, lane=lane)
        for far in (members[0], members[1], members[3]):
            came = far.take("DATA")
            expect_equal(came, [part], "CC-RELAY-025", f"frame {index} is forwarded at once, as it is")
    sender.none("CC-RELAY-029", "DATA")


@positive("CC-RELAY-026", "CC-ROSTER-059", "CC-ROSTER-066", "CC-RELAY-014", "CC-MODEL-013", "CC-ROSTER-060")
@negative("CC-MODEL-013", "CC-ROSTER-060", "CC-RELAY-026", "CC-ROSTER-066")
@pytest.mark.parametrize(
    ("block", "slots"),
    [(((4, [1, 3], False)), {1, 3}), ((4, [1], True), {0, 3}), ((4, [0, 1, 3], True), set()), ((2, [1], False), {1})],
    ids=["some", "but", "nobody", "old-epoch"],
)
@pytest.mark.parametrize("reliable", [True, False])
def test_private(bench: Bench, block: tuple[int, list[int], bool], slots: set[int], reliable: bool) -> None:
    """A private message reaches those whom its block denotes, and nobody else, without the block."""
    _, members = call(bench)
    frame = f.data(sender=2, private=True, to=block, reliable=reliable)
    members[2].write(frame, lane="reliable" if reliable else "lossy")
    wanted = {key: value for key, value in frame.items() if key != "recipients"}
    for slot, far in enumerate(members):
        expect_equal(far.take("DATA"), [wanted] if slot in slots else [], "CC-RELAY-026", f"slot {slot}")


@negative("CC-ROSTER-060", "CC-RELAY-014", "CC-ROSTER-067", "CC-ROSTER-016", "CC-ROSTER-058", "CC-ROSTER-069")
@positive("CC-ROSTER-067", "CC-ROSTER-069")
@pytest.mark.parametrize("reliable", [True, False])
def test_joins_in_mid_message(bench: Bench, reliable: bool) -> None:
    """Who joins in mid-message gets nothing of a Reliable one, and the rest of a Lossy one without a block."""
    relay, members = call(bench)
    lane = "reliable" if reliable else "lossy"
    members[2].write(f.data(b"a" * 600, sender=2, reliable=reliable, fragment=(0, 605, False)), lane=lane)
    eve = member(relay, "eve")
    members[2].write(f.data(b"b" * 5, sender=2, reliable=reliable, fragment=(1, 605, True)), lane=lane)
    expect_equal(len(eve.take("DATA")), 0 if reliable else 1, "CC-ROSTER-067", "what the joiner gets")
    members[2].write(f.data(sender=2, reliable=reliable, sequence=2), lane=lane)
    expect_equal(len(eve.take("DATA")), 1, "CC-ROSTER-058", "the next message reaches it")


@positive("CC-LINK-091", "CC-ROSTER-054", "CC-ROSTER-057")
@negative(
    "CC-ROSTER-054", "CC-ROSTER-055", "CC-ROSTER-056", "CC-ROSTER-010", "CC-LINK-091", "CC-FRAME-046", "CC-ROSTER-057"
)
@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (f.data(sender=2, private=True, to=(5, [1], False)), "EPOCH"),
        (f.data(sender=2, private=True, to=(4, [9], False)), "SLOT"),
        (f.data(sender=2, private=True, to=(1, [3], False)), "SLOT"),
        (f.data(sender=2, private=True, to=(4, [2], False)), "SLOT"),
        (f.data(sender=2, private=True, to=(4, [2], True)), "SLOT"),
        (f.data(sender=2, private=True, to=(5, [9], False)), "EPOCH"),
        (f.data(sender=1), "SLOT"),
        (f.data(sender=1, private=True), "FRAME_FORMAT"),
        (f.data(sender=2, private=True), "FRAME_FORMAT"),
        (f.close(1, sender=1), "SLOT"),
        (f.credit(1, sender=0, recipient=1), "SLOT"),
        (f.credit(1, sender=2, recipient=2), "SLOT"),
        (f.credit(1, sender=9, recipient=2), "SLOT"),
        (f.refuse(1, sender=2), "HANDSHAKE"),
        (f.roster(5, f.join(5, "x")), "HANDSHAKE"),
    ],
    ids=[
        "epoch-new", "slot-never", "slot-not-in-epoch", "own-slot", "own-slot-except", "epoch-before-slot",
        "other-sender", "format-before-slot", "private-without-block", "close-other", "credit-recipient", "credit-own",
        "credit-nobody", "refuse", "roster",
    ],
)  # fmt: skip
def test_faults_of_an_endpoint(bench: Bench, frame: Frame, code: str) -> None:
    """What an endpoint may not write ends its link, and nobody else's; nothing of it is forwarded."""
    _, members = call(bench)
    members[2].write(frame)
    members[2].ended("CC-LINK-066", code)
    for slot in (0, 1, 3):
        expect_equal(members[slot].take("DATA"), [], "CC-SEC-014", "nothing is forwarded")
        members[slot].goes_on("CC-RELAY-066")


@negative("CC-RELAY-034", "CC-FRAME-098")
@positive("CC-RELAY-034")
def test_not_forwarded(bench: Bench) -> None:
    """Unknown types are skipped and never forwarded."""
    _, members = call(bench)
    members[2].write(f.unknown(0x8A, b"x"), f.unknown(0xCA, b"x"), f.data(sender=2))
    came = members[0].take()
    # Grease of its own the relay may write; what it was given it may not.
    strangers = [frame for frame in came if frame["type"] == "UNKNOWN" and frame["body"] == b"x".hex()]
    expect_equal(strangers, [], "CC-RELAY-034", "frames of unknown types are not forwarded")
    expect_equal(len([frame for frame in came if frame["type"] == "DATA"]), 1, "CC-RELAY-034", "DATA is")


@positive("CC-RELAY-031", "CC-RELAY-032", "CC-ERR-010")
@negative("CC-RELAY-031", "CC-ERR-010", "CC-RELAY-032")
def test_close(bench: Bench) -> None:
    """CLOSE goes to those for whom DATA was queued, behind it, with its code."""
    _, members = call(bench)
    members[2].write(f.data(sender=2, private=True, to=(4, [0], False)))
    members[2].write(f.close(1, sender=2, reason=0xF00D))
    came = members[0].take("DATA", "CLOSE")
    expect_equal([x["type"] for x in came], ["DATA", "CLOSE"], "CC-RELAY-032", "behind the data")
    expect_equal(came[-1]["reason"], 0xF00D, "CC-ERR-010", "with the code that the owner gave")
    members[1].none("CC-RELAY-031", "CLOSE", "DATA")


@negative("CC-RELAY-033")
@positive("CC-RELAY-033", "CC-LINK-004")
def test_lane_by_recipient(bench: Bench) -> None:
    """A Lossy frame takes the lane that the recipient's link has."""
    _, members = call(bench)
    members[0].lossy_lane(False)
    members[2].write(f.data(sender=2, reliable=False), lane="lossy")
    lanes = [far.seen[-1].lane for far in (members[0], members[1])]
    expect_equal(lanes, ["reliable", "lossy"], "CC-RELAY-033", "by the recipient's link")


# --- refusing -------------------------------------------------------------------------------------


@positive(
    "CC-RELAY-016",
    "CC-RELAY-017",
    "CC-RELAY-018",
    "CC-RELAY-021",
    "CC-RELAY-023",
    "CC-SESS-062",
    "CC-FRAME-060",
    "CC-RELAY-019",
    "CC-RELAY-020",
)
@negative(
    "CC-RELAY-019",
    "CC-RELAY-020",
    "CC-RELAY-021",
    "CC-FRAME-060",
    "CC-SESS-062",
    "CC-RELAY-016",
    "CC-RELAY-018",
    "CC-RELAY-023",
)
def test_refuse(bench: Bench) -> None:
    """A message that is too large is refused before its ACK, its fragments dropped; a stream never for its length."""
    _, members = call(bench, limits={"largest_message": 40_000})
    owner = members[2]
    owner.hold()
    owner.write(f.data(b"abc", sender=2, fragment=(0, 40_001, False)))
    bench.advance(30)
    owner.hold(held=False)
    kinds = [x["type"] for x in owner.new("REFUSE", "ACK")]
    expect_equal(kinds[:1], ["REFUSE"], "CC-RELAY-023", "REFUSE before the ACK that covers its frame")
    refuse = owner.one("CC-RELAY-018", "REFUSE")
    expect_equal((refuse["value"], refuse["reason"]), (1, code_of("MESSAGE_TOO_LARGE")), "CC-RELAY-016", "REFUSE")
    owner.write(
        f.data(b"abc", sender=2, fragment=(1, 40_001, False)),
        f.data(b"x", sender=2, fragment=(7, 5, True)),
        f.abort(index=9, total=1, sender=2),
    )
    owner.write(
        f.data(b"abc", sender=2, sequence=2, fragment=(0, 0, False)),
        f.data(b"d", sender=2, sequence=2, fragment=(1, 0, True)),
    )
    owner.none("CC-RELAY-021", "FAIL", "REFUSE", "BYE")
    expect_equal([s for _, s, _ in data(members[0])], [2, 2], "CC-RELAY-019", "only the stream arrives")
    owner.write(f.data(sender=2, channel=9, sequence=3))
    expect_equal(
        owner.one("CC-SESS-062", "FAIL")["reason"],
        code_of("SESSION_MISMATCH"),
        "CC-SESS-062",
        "the refused first frame fixed the channel",
    )


@positive("CC-RELAY-017")
@negative("CC-RELAY-017")
def test_policy(bench: Bench) -> None:
    """What policy forbids is refused with POLICY, or dropped if it is Lossy."""
    bench.client.needs(feature="policy")
    _, members = call(bench, policy="no-channel-9")
    members[2].write(f.data(sender=2, channel=9))
    expect_equal(
        members[2].one("CC-RELAY-017", "REFUSE")["reason"], code_of("POLICY"), "CC-RELAY-017", "REFUSE(POLICY)"
    )
    members[2].write(f.data(sender=2, channel=9, session=2, reliable=False), lane="lossy")
    members[2].none("CC-RELAY-017", "REFUSE")
    members[0].none("CC-RELAY-017", "DATA")
    members[2].write(f.data(sender=2, channel=8, session=3))
    expect(members[0].take("DATA"), "CC-RELAY-017", "the rest is forwarded")


@negative("CC-RELAY-017")
def test_may_not_send(bench: Bench) -> None:
    """Who may not send is refused with POLICY, and goes on receiving."""
    bench.client.needs(feature="may_send")
    relay = bench.relay()
    ann, bob = member(relay, "ann"), member(relay, "bob", may_send=False)
    bob.write(f.data(sender=1))
    expect_equal(bob.one("CC-RELAY-017", "REFUSE")["reason"], code_of("POLICY"), "CC-RELAY-017", "REFUSE(POLICY)")
    ann.write(f.data(sender=0))
    expect(bob.take("DATA"), "CC-RELAY-017", "it receives")


# --- sessions -------------------------------------------------------------------------------------


@negative("CC-RELAY-007", "CC-RELAY-010", "CC-SESS-064")
@positive("CC-RELAY-007", "CC-SESS-064", "CC-RELAY-010")
def test_ended_session(bench: Bench) -> None:
    """An ended Reliable session does not come back; a newer session on its channel does not end one."""
    _, members = call(bench)
    owner = members[2]
    owner.write(f.data(sender=2), f.data(sender=2, session=2), f.data(sender=2, sequence=2))
    expect_equal([(s, n) for s, n, _ in data(members[0])], [(1, 1), (2, 1), (1, 2)], "CC-RELAY-010", "both go on")
    owner.write(
        f.close(2, sender=2), f.data(sender=2, sequence=3), f.fail(1, "CLOSED", sender=0, recipient=2, session=88)
    )
    expect_equal(data(members[0]), [], "CC-RELAY-007", "the session has ended")
    owner.none("CC-RELAY-007", "FAIL", "BYE")
    owner.goes_on("CC-SESS-064")


@negative("CC-RELAY-008", "CC-RELAY-009", "CC-SESS-063", "CC-RELAY-011")
@positive("CC-RELAY-011", "CC-SESS-063", "CC-RELAY-009", "CC-RELAY-008")
def test_lossy_sessions(bench: Bench) -> None:
    """Ended Lossy sessions have a tombstone; an older session on a channel is dropped."""
    _, members = call(bench)
    owner = members[2]

    def lossy(session: int, channel: int = 5) -> None:
        owner.write(f.data(sender=2, session=session, channel=channel, reliable=False), lane="lossy")

    owner.write(f.close(1, sender=2, session=3))
    lossy(3)
    expect_equal(data(members[0]), [], "CC-SESS-063", "CLOSE of an unknown session leaves a tombstone")
    lossy(5)
    lossy(4)
    lossy(6)
    lossy(5)
    expect_equal([s for s, _, _ in data(members[0])], [5, 6], "CC-RELAY-008", "older ones are dropped")
    lossy(7, 9)
    owner.write(f.close(1, sender=2, session=7))
    lossy(7, 9)
    bench.advance(29_000)
    lossy(7, 9)
    expect_equal([s for s, _, _ in data(members[0])], [7], "CC-RELAY-011", "a tombstone for 30 seconds")


@positive("CC-RELAY-012", "CC-RELAY-013", "CC-LIMIT-016")
@negative("CC-RELAY-012", "CC-RELAY-013")
def test_too_many_sessions(bench: Bench) -> None:
    """Beyond `open_sessions` a Reliable session is failed for all, a Lossy one dropped."""
    _, members = call(bench, limits={"open_sessions": 16, "new_sessions": 65_535})
    owner = members[2]
    for session in range(1, 17):
        owner.write(f.data(sender=2, session=session, channel=session))
    owner.none("CC-LIMIT-013", "FAIL")
    owner.write(f.data(sender=2, session=17, channel=17, sequence=4))
    wanted = f.fail(4, "TOO_MANY_SESSIONS", sender=2, recipient=f.NO_SLOT, session=17)
    expect_equal(owner.one("CC-RELAY-012", "FAIL"), wanted, "CC-RELAY-012", "FAIL for all")
    owner.write(f.data(sender=2, session=18, channel=18, reliable=False), lane="lossy")
    expect(all(s < 17 for s, _, _ in data(members[0])), "CC-RELAY-013", "neither is forwarded")
    owner.write(f.data(sender=2, session=17, channel=17, sequence=5))
    owner.none("CC-RELAY-060", "FAIL")


@negative(
    "CC-RELAY-057",
    "CC-RELAY-058",
    "CC-SESS-061",
    "CC-FRAG-059",
    "CC-RELAY-059",
    "CC-RELAY-060",
    "CC-RELAY-061",
    "CC-RELAY-079",
)
@positive(
    "CC-RELAY-057",
    "CC-RELAY-058",
    "CC-RELAY-059",
    "CC-RELAY-060",
    "CC-RELAY-061",
    "CC-RELAY-079",
    "CC-SESS-061",
    "CC-FRAG-059",
)
@pytest.mark.parametrize(
    ("before", "fault", "code", "value"),
    [
        ([f.data(sender=2, sequence=4)], f.data(sender=2, sequence=4), "SEQUENCE", 5),
        ([f.data(sender=2, sequence=4)], f.data(sender=2, sequence=9, channel=6), "SESSION_MISMATCH", 9),
        (
            [f.data(b"hel", sender=2, sequence=4, fragment=(0, 5, False))],
            f.data(b"lo", sender=2, sequence=4, fragment=(1, 6, True)),
            "FRAGMENT",
            4,
        ),
        ([f.data(b"hel", sender=2, sequence=4, fragment=(0, 5, False))], f.data(sender=2, sequence=9), "SEQUENCE", 4),
        ([f.data(b"hel", sender=2, sequence=4, fragment=(0, 5, False))], f.close(4, sender=2), "SEQUENCE", 4),
        ([f.data(sender=2, sequence=4)], f.close(3, sender=2), "SEQUENCE", 5),
        ([f.data(sender=2, sequence=4)], f.data(b"x", sender=2, sequence=9, fragment=(1, 5, False)), "SEQUENCE", 9),
    ],
    ids=["sequence-again", "channel", "total", "next-in-partial", "close-in-partial", "close-below", "no-fragment-0"],
)
def test_session_fault(bench: Bench, before: list[Frame], fault: Frame, code: str, value: int) -> None:
    """A fault ends the session for its owner and its recipients, with v above every whole message."""
    _, members = call(bench)
    owner, recipient = members[2], members[0]
    owner.write(*before)
    recipient.take()
    owner.write(fault)
    wanted = f.fail(value, code, sender=2, recipient=f.NO_SLOT)
    expect_equal(owner.one("CC-RELAY-057", "FAIL"), wanted, "CC-RELAY-058", "FAIL to the owner")
    wanted = f.fail(value, code, sender=2, recipient=0)
    behind = list(recipient.new("FAIL", "CLOSE"))
    expect_equal(recipient.one("CC-RELAY-059", "FAIL"), wanted, "CC-RELAY-059", "FAIL to the recipient")
    closing = f.close(4, sender=2, reason=code)
    expect_equal(behind[1:], [closing], "CC-RELAY-079", "CLOSE behind it, with the code and the last sequence received")
    owner.write(f.data(sender=2, sequence=20))
    expect_equal(data(recipient), [], "CC-RELAY-060", "the rest is dropped")
    owner.none("CC-RELAY-060", "FAIL")
    owner.write(f.data(sender=2, session=9))
    expect(data(recipient), "CC-LINK-071", "another session goes on")
