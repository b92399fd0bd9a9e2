# SPDX-License-Identifier: Apache-2.0
"""A relay: recipients that fail, receipts, credit, queues, and how it ends (chapter 10)."""

from __future__ import annotations

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance.bench.links import Initiator, member, settle
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.relay_scene import call, code_of, crowd, data, limit_of
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal

# --- recipients that fail -------------------------------------------------------------------------


@positive(
    "CC-ROSTER-061", "CC-ROSTER-062", "CC-ROSTER-063", "CC-LINK-088", "CC-RELAY-024", "CC-ROSTER-065", "CC-ROSTER-064"
)
@negative(
    "CC-ROSTER-065",
    "CC-ROSTER-064",
    "CC-LINK-088",
    "CC-ROSTER-009",
    "CC-ROSTER-059",
    "CC-ROSTER-061",
    "CC-ROSTER-062",
    "CC-ROSTER-063",
    "CC-RELAY-024",
)
def test_gone_at_relay(bench: Bench) -> None:
    """Named recipients who are gone are answered with FAIL before the ACK; the rest get the message."""
    _, members = call(bench)
    owner = members[2]
    members[3].write(f.bye("LEFT"))
    owner.take()
    frame = f.data(sender=2, private=True, to=(4, [1, 3], False))
    owner.hold()
    owner.write(frame)
    bench.advance(30)
    owner.hold(held=False)
    kinds = [x["type"] for x in owner.new("FAIL", "ACK")]
    expect_equal(kinds[:1], ["FAIL"], "CC-ROSTER-062", "FAIL before the ACK")
    wanted = f.fail(1, "UNKNOWN_RECIPIENT", sender=2, recipient=3)
    expect_equal(owner.one("CC-ROSTER-061", "FAIL"), wanted, "CC-ROSTER-061", "FAIL")
    expect(data(members[1]), "CC-ROSTER-063", "the rest gets it")
    owner.write({**frame, "sequence": 2})
    owner.none("CC-ROSTER-065", "FAIL")
    owner.write(f.data(sender=2, session=2, channel=6, reliable=False, private=True, to=(4, [3], False)), lane="lossy")
    owner.none("CC-ROSTER-064", "FAIL")


@positive("CC-ROSTER-074", "CC-ROSTER-062", "CC-RELAY-023", "CC-RELAY-024")
@negative("CC-ROSTER-074", "CC-ROSTER-062", "CC-RELAY-023", "CC-RELAY-024")
@pytest.mark.parametrize("acknowledged", [True, False])
@pytest.mark.parametrize("count", [2, 4])
def test_broadcast_crosses_leave(bench: Bench, count: int, acknowledged: bool) -> None:
    """Who left before a message to everyone, while its owner had not acknowledged that, fails at this message."""
    _, members = call(bench, count)
    owner, last = members[0], members[-1]
    owner.write(f.data(sender=0))
    settle(*members)
    owner.auto_ack = False
    last.write(f.bye("LEFT"))
    bench.advance(60)
    expect(owner.take("ROSTER"), "CC-ROSTER-034", "LEAVE has to be written")
    if acknowledged:
        owner.ack()
    owner.take()
    owner.hold()
    owner.write(f.data(sender=0, sequence=2))
    owner.write(f.data(sender=0, sequence=3))
    bench.advance(30)
    owner.hold(held=False)
    kinds = [x["type"] for x in owner.new("FAIL", "ACK")]
    for far in members[1:-1]:
        expect_equal(len(data(far)), 3, "CC-ROSTER-063", "the others get all")
    if acknowledged:
        expect_equal(kinds, ["ACK"], "CC-ROSTER-074", "no FAIL about who is known to have left")
        return
    expect("FAIL" in kinds, "CC-ROSTER-074", "FAIL about who had left", actual=kinds)
    expect_equal(kinds, ["FAIL", "ACK"], "CC-ROSTER-062", "one FAIL, before the ACK")
    wanted = f.fail(2, "UNKNOWN_RECIPIENT", sender=0, recipient=count - 1)
    expect_equal(owner.take("FAIL"), [wanted], "CC-ROSTER-074", "FAIL, v = 2")


@positive("CC-RELAY-046", "CC-RELAY-048", "CC-RELAY-049", "CC-RELAY-053", "CC-RELAY-065", "CC-RELAY-062")
@negative("CC-RELAY-047", "CC-RELAY-054", "CC-RELAY-048", "CC-RELAY-053")
def test_leaves_in_mid_message(bench: Bench) -> None:
    """The example of section 10.8: Dan leaves after the first fragment; v is message 2, UNCERTAIN clear."""
    _, members = call(bench)
    bob, owner, dan = members[1], members[2], members[3]
    block = (4, [1, 3], False)
    owner.write(f.data(b"one", sender=2, private=True, to=block))
    settle(bob, dan)
    owner.write(f.data(b"a" * 100, sender=2, sequence=2, private=True, to=block, fragment=(0, 300, False)))
    dan.write(f.bye("LEFT"))
    fail = owner.one("CC-RELAY-046", "FAIL")
    expect_equal(fail, f.fail(2, "LEFT", sender=2, recipient=3), "CC-RELAY-048", "FAIL, v = 2, certain")
    owner.write(f.data(b"b" * 200, sender=2, sequence=2, private=True, fragment=(1, 300, True)))
    expect_equal(len(data(bob)), 3, "CC-ROSTER-063", "Bob gets all")
    owner.none("CC-RELAY-054", "FAIL")


@positive("CC-RELAY-047")
@negative("CC-RELAY-047")
def test_leaves_in_mid_message_of_others(bench: Bench) -> None:
    """Who leaves while a message is under way that is for others is owed nothing of it."""
    _, members = call(bench)
    ann, owner = members[0], members[2]
    owner.write(f.data(sender=2))
    settle(*members)
    owner.write(f.data(b"abc", sender=2, sequence=2, private=True, to=(4, [1], False), fragment=(0, 6, False)))
    settle(*members)
    owner.take()
    ann.write(f.bye("LEFT"))
    bench.advance(30)
    owner.none("CC-RELAY-047", "FAIL")
    rest = f.data(b"def", sender=2, sequence=2, private=True, to=(4, [1], False), fragment=(1, 6, True))
    owner.write(rest)
    expect(members[1].take("DATA"), "CC-ROSTER-063", "the recipient gets all of it")


@positive("CC-RELAY-047", "CC-RELAY-048")
@negative("CC-RELAY-047", "CC-RELAY-048")
@pytest.mark.parametrize("begun", [False, True], ids=["unwritten", "begun"])
@pytest.mark.parametrize("first", [False, True], ids=["alone", "behind another"])
def test_aborted_is_not_owed(bench: Bench, first: bool, begun: bool) -> None:
    """A message that was aborted is not owed, whatever of it waits or is not acknowledged; one before it is."""
    _, members = call(bench)
    owner, dan = members[2], members[3]
    if not begun:
        dan.hold()
    if first:
        owner.write(f.data(sender=2))
    owner.write(f.data(b"abc", sender=2, sequence=2, fragment=(0, 6, False)))
    dan.hold()
    owner.write(f.abort(index=1, total=6, sequence=2, sender=2))
    settle(*members[:2])
    owner.take()
    dan.write(f.bye("LEFT"))
    if first:
        wanted = f.fail(1, "LEFT", sender=2, recipient=3, uncertain=begun)
        expect_equal(owner.one("CC-RELAY-046", "FAIL"), wanted, "CC-RELAY-048", "message 1 is owed")
    else:
        owner.none("CC-RELAY-047", "FAIL")


@positive("CC-RELAY-049", "CC-RELAY-046", "CC-RELAY-047")
@negative("CC-RELAY-047", "CC-RELAY-046", "CC-RELAY-049")
@pytest.mark.parametrize("acknowledged", [True, False])
def test_dies_after_delivery(bench: Bench, acknowledged: bool) -> None:
    """Nothing owed, no FAIL; a message that was wholly written and not acknowledged is uncertain."""
    _, members = call(bench)
    owner, dan = members[2], members[3]
    owner.write(f.data(sender=2, private=True, to=(4, [3], False)))
    if acknowledged:
        settle(dan)
    owner.take()
    dan.write(f.bye("LEFT"))
    if acknowledged:
        owner.none("CC-RELAY-047", "FAIL")
    else:
        wanted = f.fail(1, "LEFT", sender=2, recipient=3, uncertain=True)
        expect_equal(owner.one("CC-RELAY-046", "FAIL"), wanted, "CC-RELAY-049", "uncertain")


@positive("CC-RELAY-046", "CC-RELAY-048", "CC-RELAY-049", "CC-RELAY-047")
@negative("CC-RELAY-046", "CC-RELAY-047", "CC-RELAY-048")
@pytest.mark.parametrize("acknowledged", [True, False])
def test_count_of_hello_is_no_ack(bench: Bench, acknowledged: bool) -> None:
    """What HELLO's count covers is owed until an ACK covers it: a FAIL before may be lost with its transport."""
    _, members = call(bench)
    owner, dan = members[2], members[3]
    dan.auto_ack = False
    owner.write(f.data(sender=2), f.data(sender=2, sequence=2))
    dan.take()
    for _ in range(2):
        dan.disconnect()
        dan.resume()
    dan.none("CC-LINK-048", "DATA")
    if acknowledged:
        dan.ack()
    owner.take()
    dan.write(f.bye("LEFT"))
    if acknowledged:
        owner.none("CC-RELAY-047", "FAIL")
    else:
        wanted = f.fail(1, "LEFT", sender=2, recipient=3, uncertain=True)
        expect_equal(owner.one("CC-RELAY-046", "FAIL"), wanted, "CC-RELAY-048", "both are owed")


@positive("CC-RELAY-051", "CC-RELAY-056", "CC-RELAY-050")
@negative("CC-RELAY-054", "CC-SESS-065", "CC-DELIV-021", "CC-ERR-010", "CC-RELAY-051", "CC-RELAY-053")
def test_recipient_says_fail(bench: Bench) -> None:
    """A recipient's FAIL is passed on as it is, once, and it gets nothing more but CLOSE."""
    _, members = call(bench)
    owner, dan = members[2], members[3]
    owner.write(f.data(sender=2), f.data(sender=2, sequence=2))
    dan.take()
    dan.write(f.fail(2, 0x4321, sender=2, recipient=3))
    wanted = f.fail(2, 0x4321, sender=2, recipient=3)
    expect_equal(owner.one("CC-RELAY-051", "FAIL"), wanted, "CC-ERR-010", "the code as it is")
    owner.write(f.data(sender=2, sequence=3))
    dan.none("CC-SESS-065", "DATA", "FAIL")
    expect_equal(len(data(members[0])), 3, "CC-MODEL-014", "the others go on")
    owner.write(f.close(3, sender=2))
    expect(dan.take("CLOSE"), "CC-RELAY-031", "CLOSE reaches failed recipients")
    dan.write(f.bye("LEFT"))
    owner.none("CC-RELAY-054", "FAIL")


# --- receipts -------------------------------------------------------------------------------------


@positive("CC-RELAY-067", "CC-DELIV-020", "CC-RELAY-055", "CC-RELAY-056")
@negative("CC-RELAY-069", "CC-RELAY-071", "CC-DELIV-020", "CC-RELAY-056", "CC-RELAY-067")
def test_receipts_passed_on(bench: Bench) -> None:
    """Receipts of few named recipients are passed on with their slots, before a FAIL, never beyond what was written."""
    _, members = call(bench)
    bob, owner, dan = members[1], members[2], members[3]
    block = (4, [1, 3], False)
    owner.write(f.data(sender=2, private=True, confirm=True, to=block))
    owner.write(f.data(sender=2, sequence=2, private=True, confirm=True, to=block))
    settle(bob, dan)
    owner.take()
    bob.write(f.receipt(1, sender=2, recipient=1))
    expect_equal(owner.one("CC-RELAY-067", "RECEIPT"), f.receipt(1, sender=2, recipient=1), "CC-RELAY-067", "passed on")
    bob.write(f.receipt(1, sender=2, recipient=1))
    owner.none("CC-RELAY-069", "RECEIPT")
    bob.write(f.receipt(99, sender=2, recipient=1))
    expect_equal(owner.one("CC-RELAY-071", "RECEIPT")["value"], 2, "CC-RELAY-071", "up to what was written")
    owner.hold()
    dan.write(f.receipt(1, sender=2, recipient=3))
    dan.write(f.fail(2, "CLOSED", sender=2, recipient=3))
    owner.hold(held=False)
    came = [(x["type"], x["value"]) for x in owner.take("RECEIPT", "FAIL")]
    expect_equal(came, [("RECEIPT", 1), ("FAIL", 2)], "CC-RELAY-056", "the receipt first")


@positive("CC-DELIV-021", "CC-RELAY-071")
@negative("CC-DELIV-021")
def test_late_receipt(bench: Bench) -> None:
    """What a recipient covers after the FAIL about it is passed on, up to the message before v."""
    _, members = call(bench)
    owner, dan = members[2], members[3]
    block = (4, [3], False)
    for sequence in (1, 2, 3):
        owner.write(f.data(sender=2, sequence=sequence, private=True, confirm=True, to=block))
    settle(dan)
    dan.write(f.fail(3, "CLOSED", sender=2, recipient=3))
    owner.take()
    dan.write(f.receipt(1, sender=2, recipient=3))
    expect_equal(owner.one("CC-DELIV-021", "RECEIPT")["value"], 1, "CC-DELIV-021", "passed on after the FAIL")
    dan.write(f.receipt(3, sender=2, recipient=3))
    expect_equal(owner.one("CC-DELIV-021", "RECEIPT")["value"], 2, "CC-DELIV-021", "up to the message before v")


@positive("CC-RELAY-068", "CC-RELAY-070")
@negative("CC-RELAY-055", "CC-DELIV-018", "CC-RELAY-068", "CC-RELAY-070")
def test_aggregated(bench: Bench) -> None:
    """A confirmed broadcast to many is receipted with FFFF when everyone who did not fail has covered it."""
    owner, others = crowd(bench, 65)
    owner.write(f.data(confirm=True, to=(66, [], True)))
    settle(*others)
    owner.take()
    for slot, far in enumerate(others[:-1], 1):
        far.write(f.receipt(1, recipient=slot))
    owner.none("CC-RELAY-068", "RECEIPT")
    others[-1].write(f.fail(1, "CLOSED", recipient=65))
    came = [(x["type"], x["recipient"], x["value"]) for x in owner.take("RECEIPT", "FAIL")]
    expect_equal(came, [("FAIL", 65, 1), ("RECEIPT", f.NO_SLOT, 1)], "CC-RELAY-055", "FAIL, then the aggregate")


@positive("CC-RELAY-067")
@negative("CC-RELAY-067")
@pytest.mark.parametrize("to", [(4, [], True), (4, [1], True)], ids=["everyone", "everyone but one"])
def test_one_who_never_reads(bench: Bench, to: tuple[int, list[int], bool]) -> None:
    """In a broadcast to few, the others' receipts do not wait for who never reads."""
    _, (owner, _, carol, dan) = call(bench)
    for sequence in (1, 2):
        owner.write(f.data(sequence=sequence, confirm=True, private=bool(to[1]), to=to))
    settle(carol, dan)
    owner.take()
    carol.write(f.receipt(2, recipient=2))
    told = [(x["recipient"], x["value"]) for x in owner.take("RECEIPT")]
    expect_equal(told, [(2, 2)], "CC-RELAY-067", "carol has read both, dan has not")


@positive("CC-RELAY-070")
def test_confirmed_to_nobody(bench: Bench) -> None:
    """A confirmed broadcast to nobody is receipted at once."""
    _, members = call(bench, count=1)
    members[0].write(f.data(sender=0, confirm=True, to=(1, [], True)))
    receipt = members[0].one("CC-RELAY-070", "RECEIPT")
    expect_equal((receipt["recipient"], receipt["value"]), (f.NO_SLOT, 1), "CC-RELAY-070", "aggregated")


# --- credit and stall -----------------------------------------------------------------------------


def _slow(bench: Bench, **limits: int) -> tuple[Initiator, Initiator, Initiator]:
    """Ann reads everything, Bob reads nothing; windows of 65,536. Returns owner, Ann, Bob."""
    relay = bench.relay(limits={"window": 65_536, **limits})
    ann, bob, owner = member(relay, "ann"), member(relay, "bob", window=65_536), member(relay, "carol")
    bench.advance(100)
    settle(ann, bob, owner)
    for far in (ann, bob, owner):
        far.take()
    return owner, ann, bob


@positive(
    "CC-RELAY-036", "CC-RELAY-037", "CC-RELAY-038", "CC-RELAY-039", "CC-RELAY-050", "CC-RELAY-053", "CC-RELAY-040"
)
@negative(
    "CC-RELAY-035",
    "CC-RELAY-039",
    "CC-LIMIT-014",
    "CC-RELAY-036",
    "CC-RELAY-037",
    "CC-RELAY-038",
    "CC-RELAY-040",
    "CC-RELAY-050",
)
@pytest.mark.parametrize("suspended", [False, True])
def test_slow_reader(bench: Bench, suspended: bool) -> None:
    """The example of section 10.8 with windows of 65,536: the slow reader fails with OVERRUN after the stall time."""
    owner, ann, bob = _slow(bench)
    limit = 65_536
    sequence = 0
    spent = 0
    while spent + 16_016 <= limit and sequence < 30:
        sequence += 1
        owner.write(f.data(bytes(16_000), sender=2, sequence=sequence))
        spent += 16_016
        settle(ann, bob)
        limit = max([limit, *(x["value"] for x in owner.take("CREDIT"))])
    expect_equal(sequence, 8, "CC-RELAY-036", "four for Bob's window, four in his queue")
    expect_equal(len(bob.take("DATA")), 4, "CC-RELAY-035", "no more than the recipient's credit")
    if suspended:
        bob.disconnect()
    stall = limit_of(bench, owner.machine, "stall_time")
    bench.advance(stall - 300)
    owner.none("CC-LIMIT-014", "FAIL")
    bench.advance(400)
    fails = owner.take("FAIL")
    expect(fails, "CC-RELAY-039", "FAIL(OVERRUN) after the stall time")
    expect_equal(fails[0], f.fail(5, "OVERRUN", sender=2, recipient=1), "CC-RELAY-039", "v = 5, certain")
    if not suspended:
        wanted = f.fail(5, "OVERRUN", sender=2, recipient=1)
        expect_equal(bob.one("CC-RELAY-050", "FAIL"), wanted, "CC-RELAY-050", "the recipient is told")
        bob.goes_on("CC-RELAY-039")


@negative("CC-LINK-084", "CC-DELIV-050")
def test_beyond_the_relays_limit(bench: Bench) -> None:
    """DATA beyond the relay's limit ends the owner's link with FLOW_CONTROL."""
    owner, _, _ = _slow(bench)
    for sequence in range(1, 9):
        owner.write(f.data(bytes(16_368), sender=2, sequence=sequence))
        if owner.transport is None:
            break
    while owner.transport is not None and sequence < 40:
        sequence += 1
        owner.write(f.data(bytes(16_368), sender=2, sequence=sequence))
    owner.ended("CC-LINK-084", "FLOW_CONTROL")


@negative("CC-RELAY-022", "CC-RELAY-037")
@positive("CC-RELAY-022", "CC-RELAY-037")
def test_credit_of_refused(bench: Bench) -> None:
    """Bytes of refused messages count as received and consumed at once: the owner's credit goes on."""
    relay = bench.relay(limits={"window": 65_536, "largest_message": 32_768})
    ann, bob = member(relay, "ann"), member(relay, "bob")
    limit, spent = 65_536, 0
    for sequence in range(1, 13):
        owner_frame = f.data(bytes(16_000), sender=1, sequence=sequence, fragment=(0, 40_000, False))
        bob.write(owner_frame)
        spent += 16_024
        limit = max([limit, *(x["value"] for x in bob.take("CREDIT"))])
        expect(limit >= spent + 16_384, "CC-RELAY-022", f"credit {limit} after {spent} bytes")
    ann.none("CC-RELAY-021", "DATA")


# --- lossy queues ---------------------------------------------------------------------------------


@negative("CC-RELAY-042", "CC-RELAY-043", "CC-RELAY-044")
@positive("CC-RELAY-042", "CC-RELAY-043", "CC-RELAY-044", "CC-EXT-015")
def test_lossy_queue(bench: Bench) -> None:
    """At the relay: the oldest go when the queue is full, lifetimes pass, LATEST supersedes."""
    _, members = call(bench, limits={"lossy_queue": 4_096})
    ann, owner = members[0], members[2]
    ann.hold("lossy")
    for sequence in range(1, 7):
        owner.write(f.data(bytes(984), sender=2, reliable=False, sequence=sequence), lane="lossy")
    ann.hold("lossy", held=False)
    expect_equal([n for _, n, _ in data(ann)], [3, 4, 5, 6], "CC-RELAY-042", "as few as suffice are dropped")
    ann.hold("lossy")
    life = (3, (100).to_bytes(4, "big"), False)
    owner.write(
        f.data(b"a", sender=2, reliable=False, sequence=7, extensions=[life]),
        f.data(b"b", sender=2, reliable=False, sequence=8),
        lane="lossy",
    )
    owner.write(
        f.data(b"c", sender=2, reliable=False, latest=True, sequence=9),
        f.data(b"d", sender=2, reliable=False, latest=True, sequence=10),
        lane="lossy",
    )
    bench.advance(110)
    ann.hold("lossy", held=False)
    expect_equal([n for _, n, _ in data(ann)], [8, 10], "CC-RELAY-044", "expired and superseded ones are dropped")


@positive("CC-RELAY-027", "CC-FRAG-055")
@negative("CC-FRAG-055")
def test_lossy_not_judged(bench: Bench) -> None:
    """A relay does not judge Lossy frames of one message against each other."""
    _, members = call(bench)
    members[2].write(f.data(b"a" * 600, sender=2, reliable=False, fragment=(0, 700, False)), lane="lossy")
    members[2].write(f.data(b"b" * 100, sender=2, reliable=False, fragment=(1, 701, True)), lane="lossy")
    expect_equal(len(members[0].take("DATA")), 2, "CC-FRAG-055", "both are forwarded")


# --- the end --------------------------------------------------------------------------------------


@negative("CC-ROSTER-037", "CC-RELAY-062", "CC-RELAY-063")
@positive("CC-RELAY-062", "CC-RELAY-063", "CC-ROSTER-037", "CC-RELAY-064")
def test_owner_dies(bench: Bench) -> None:
    """When an owner dies, what was admitted is delivered, then CLOSE with the last sequence."""
    _, members = call(bench)
    ann, owner = members[0], members[2]
    ann.hold()
    owner.write(
        f.data(b"1", sender=2),
        f.data(b"22", sender=2, sequence=2),
        f.data(b"3", sender=2, sequence=3, fragment=(0, 9, False)),
    )
    owner.write(f.bye("LEFT"))
    bench.advance(100)
    ann.hold(held=False)
    came = [(x["type"], x.get("sequence", x.get("value"))) for x in ann.take("DATA", "CLOSE")]
    wanted = [("DATA", 1), ("DATA", 2), ("DATA", 3), ("CLOSE", 3)]
    expect_equal(came, wanted, "CC-RELAY-063", "the data, then CLOSE")


@positive("CC-RELAY-075", "CC-RELAY-076", "CC-RELAY-077")
@negative("CC-RELAY-075", "CC-RELAY-076", "CC-RELAY-077")
def test_stop(bench: Bench) -> None:
    """A relay that stops refuses new HELLOs and messages, takes what it had admitted, and says GOING_AWAY."""
    relay, members = call(bench)
    ann, owner = members[0], members[2]
    owner.write(f.data(b"abc", sender=2, fragment=(0, 6, False)))
    relay.do("stop")
    eve = Initiator(bench, relay, "eve")
    eve.connect(admission={"identity": "eve", "may_send": True})
    eve.say_hello()
    eve.ended("CC-RELAY-075", "GOING_AWAY")
    owner.write(f.data(b"def", sender=2, fragment=(1, 6, True)))
    owner.write(f.data(sender=2, sequence=2))
    expect_equal(
        owner.one("CC-RELAY-075", "REFUSE")["reason"], code_of("GOING_AWAY"), "CC-RELAY-075", "REFUSE(GOING_AWAY)"
    )
    expect_equal(len(ann.new("DATA")), 2, "CC-RELAY-076", "the admitted message is delivered")
    settle(*members[:2], members[3])
    for far in members:
        if far.transport is not None and not far.new("BYE"):
            bench.advance(10_100)
            break
    for far in members:
        byes = far.take("BYE")
        expect_equal([x["code"] for x in byes], [code_of("GOING_AWAY")], "CC-RELAY-077", "BYE GOING_AWAY")
    expect(relay.take("stopped"), "CC-RELAY-077", "it has stopped")


@positive("CC-RELAY-077")
@negative("CC-RELAY-077")
def test_stop_waits_for_nothing(bench: Bench) -> None:
    """A relay that stops ends all links as soon as the last of what it owes is acknowledged."""
    relay, members = call(bench)
    owner, dan = members[2], members[3]
    owner.write(f.data(sender=2), f.data(b"abc", sender=2, sequence=2, fragment=(0, 3, True)))
    settle(*members[:3])
    relay.do("stop")
    bench.advance(100)
    for far in members:
        expect(not far.new("BYE"), "CC-RELAY-077", "two messages are still owed to dan")
    dan.ack()
    for far in members:
        byes = [frame["code"] for frame in far.take("BYE")]
        expect_equal(byes, [code_of("GOING_AWAY")], "CC-RELAY-077", "nothing is owed any more")
    expect(relay.take("stopped"), "CC-RELAY-077", "it has stopped")


@negative("CC-RELAY-078")
@positive("CC-RELAY-078")
def test_stop_drains_no_longer(bench: Bench) -> None:
    """After `relay_drain_time` what is still owed fails with GOING_AWAY, before BYE."""
    relay, members = call(bench)
    owner, dan = members[2], members[3]
    dan.disconnect()
    owner.write(f.data(sender=2, private=True, to=(4, [3], False)))
    owner.take()
    relay.do("stop")
    bench.advance(limit_of(bench, relay, "relay_drain_time") + 100)
    came = [x["type"] for x in owner.new("FAIL", "BYE")]
    expect_equal(came, ["FAIL", "BYE"], "CC-RELAY-078", "FAIL, then BYE")
    fail = owner.take("FAIL")[0]
    expect_equal((fail["recipient"], fail["reason"]), (3, code_of("GOING_AWAY")), "CC-RELAY-078", "FAIL(GOING_AWAY)")


@positive("CC-RELAY-077")
@negative("CC-RELAY-077")
@pytest.mark.parametrize("confirm", [False, True])
def test_stop_waits_for_the_ack(bench: Bench, confirm: bool) -> None:
    """A relay that stops still owes what the count in a HELLO covers and no ACK does."""
    relay, members = call(bench, 3)
    owner, dan = members[0], members[2]
    dan.auto_ack = False
    owner.write(f.data(sender=0, confirm=confirm, private=True, to=(3, [2], False)))
    settle(*members[:2])
    dan.disconnect()
    dan.resume()
    settle(*members[:2])
    relay.do("stop")
    bench.advance(100)
    owner.none("CC-RELAY-077", "BYE")
    dan.ack()
    bench.advance(100)
    bye = owner.one("CC-RELAY-077", "BYE")
    expect_equal(bye["code"], code_of("GOING_AWAY"), "CC-RELAY-077", "BYE GOING_AWAY when nothing is owed")


@positive("CC-SCHED-021", "CC-SCHED-022", "CC-SCHED-024", "CC-SCHED-023")
@negative("CC-SCHED-023", "CC-SCHED-021", "CC-SCHED-022", "CC-SCHED-024")
def test_turns_of_owners(bench: Bench) -> None:
    """The trace of a relay in section 8.9: owners take turns whatever their priorities."""
    _, members = call(bench)
    ann, bob, dan = members[0], members[1], members[3]
    dan.hold()
    for number in range(4):
        ann.write(f.data(f"a{number}".encode().ljust(984), sender=0, sequence=number + 1))
    for number in range(2):
        bob.write(
            f.data(f"h{number}".encode().ljust(984), sender=1, session=2, channel=6, sequence=number + 1, high=True)
        )
    bob.write(f.data(b"n0".ljust(984), sender=1, session=3, channel=7))
    dan.take()
    dan.hold(held=False)
    order = [bytes.fromhex(x["payload"])[:2].decode() for x in dan.take("DATA")]
    expect_equal(order, ["a0", "h0", "a1", "h1", "a2", "n0", "a3"], "CC-SCHED-021", "turns of owners")


@positive("CC-RELAY-074")
@negative("CC-RELAY-074", "CC-LIMIT-016")
def test_rate(bench: Bench) -> None:
    """Control frames beyond the rate end the link with RATE, and nobody else's."""
    _, members = call(bench)
    frame = f.credit(1, sender=0, recipient=2, session=77)
    for _ in range(60):
        if members[2].transport is None:
            break
        members[2].write(*[frame] * 40)
    members[2].ended("CC-RELAY-074", "RATE")
    members[0].goes_on("CC-RELAY-074")
