# SPDX-License-Identifier: Apache-2.0
"""Memory, late failures and long rosters at a relay."""

from __future__ import annotations

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance import standard
from callchannel_conformance.bench.links import Initiator, member, settle
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal


def _three(bench: Bench, **limits: int) -> list[Initiator]:
    relay = bench.relay(limits=limits) if limits else bench.relay()
    members = [member(relay, name) for name in ("ann", "bob", "carol")]
    bench.advance(100)
    settle(*members)
    for far in members:
        far.take()
    return members


@positive("CC-RELAY-041", "CC-RELAY-050", "CC-RELAY-048")
@negative("CC-RELAY-041", "CC-SEC-010", "CC-RELAY-048")
def test_link_memory(bench: Bench) -> None:
    """Beyond `relay_link_memory` the session with the most bytes queued is failed with MEMORY, and no other."""
    _, bob, owner = _three(bench, relay_link_memory=1 << 20, window=1 << 20)
    bob.hold()
    for session, count in ((1, 40), (2, 25)):
        for sequence in range(1, count + 1):
            frame = f.data(bytes(15_984), sender=2, session=session, channel=session, sequence=sequence)
            owner.write(frame)
    owner.none("CC-LIMIT-013", "FAIL")
    owner.write(f.data(bytes(15_984), sender=2, session=2, channel=2, sequence=26))
    fail = owner.one("CC-RELAY-041", "FAIL")
    told = (fail["session"], fail["recipient"], fail["value"], fail["reason"])
    expect_equal(told, (1, 1, 1, standard.codes()["MEMORY"]), "CC-RELAY-041", "session 1, from its first message on")
    bob.hold(held=False)
    sessions = {frame["session"] for frame in bob.new("DATA")}
    expect_equal(sessions, {2}, "CC-RELAY-053", "the other session is delivered")
    bob.one("CC-RELAY-050", "FAIL", session=1)


@positive("CC-RELAY-052")
@negative("CC-RELAY-052")
def test_fail_is_lowered(bench: Bench) -> None:
    """A recipient's FAIL above what was wholly written to it is lowered to the first that was not."""
    _, bob, owner = _three(bench)
    owner.write(f.data(sender=2))
    settle(bob)
    bob.hold()
    owner.write(f.data(sender=2, sequence=2), f.data(sender=2, sequence=3))
    owner.take()
    bob.write(f.fail(3, "CLOSED", sender=2, recipient=1))
    fail = owner.one("CC-RELAY-051", "FAIL")
    expect_equal((fail["value"], fail["recipient"]), (2, 1), "CC-RELAY-052", "message 2 was never written to Bob")


@positive("CC-FRAG-060", "CC-RELAY-032")
@negative("CC-FRAG-060")
def test_abort_is_forwarded(bench: Bench) -> None:
    """ABORT goes to each who got a fragment of the message, and to nobody else."""
    ann, bob, owner = _three(bench)
    owner.write(f.data(b"a", sender=2, private=True, to=(3, [1], False), fragment=(0, 9, False)))
    owner.write(f.abort(index=1, total=9, sender=2, private=True))
    got = [frame.get("fragment", {}).get("abort") for frame in bob.take("DATA")]
    expect_equal(got, [False, True], "CC-FRAG-060", "fragment, then ABORT")
    ann.none("CC-FRAG-060", "DATA")


@positive("CC-EXT-022", "CC-LINK-025", "CC-LIMIT-017")
@negative("CC-EXT-022", "CC-LINK-025")
def test_welcome_features(bench: Bench) -> None:
    """Of the features that a HELLO offers WELCOME holds only what was offered and is supported: in version 1, none."""
    relay = bench.relay()
    far = Initiator(bench, relay, "ann")
    far.join(features=0xFFFF_FFFF)
    assert far.welcome is not None
    expect_equal(far.welcome["features"] & 0x00FF_FFFF, 0, "CC-EXT-022", "no feature is defined")
    limit = bench.client.hello().limits.get("relay_link_memory", {}).get("value", 1 << 20)
    expect(
        far.welcome["window"] <= limit, "CC-LIMIT-017", "the window is within the relay's memory", actual=far.welcome
    )


@positive("CC-ROSTER-036", "CC-ROSTER-022")
@negative("CC-ROSTER-036")
def test_change_during_a_long_series(bench: Bench) -> None:
    """What changes while a series of two frames is being written follows it."""
    relay = bench.relay()
    ann, bob = member(relay, "ann"), member(relay, "bob")
    bench.advance(60)
    settle(ann, bob)
    ann.take()
    ann.hold()
    for number in range(70):
        member(relay, f"{number:03}" + "x" * 250)
    part = ann.pull()
    expect(part and part[-1]["type"] == "ROSTER" and part[-1]["more"], "CC-ROSTER-022", "70 JOINs need two frames")
    bob.write(f.bye("LEFT"))
    ann.hold(held=False)
    bench.advance(60)
    entries = [entry for frame in ann.take("ROSTER") for entry in frame["entries"]]
    told = [(entry["op"], entry["slot"]) for entry in entries if entry["slot"] == 1]
    expect_equal(told, [("LEAVE", 1)], "CC-ROSTER-036", "bob has left")


@positive("CC-ROSTER-022", "CC-ROSTER-023", "CC-ROSTER-024")
@negative("CC-ROSTER-022")
def test_long_snapshot(bench: Bench) -> None:
    """A snapshot that does not fit one frame goes on with MORE, and the last one has it clear."""
    relay = bench.relay()
    members = [member(relay, f"{number:03}" + "x" * 250) for number in range(80)]
    last = [seen.frame for seen in members[-1].seen if seen.frame["type"] == "ROSTER"]
    expect(len(last) > 1, "CC-ROSTER-022", "80 identifiers of 253 bytes need two frames")
    expect_equal([part["more"] for part in last], [True] * (len(last) - 1) + [False], "CC-ROSTER-022", "MORE")
    expect_equal(sum(len(part["entries"]) for part in last), 80, "CC-ROSTER-017", "everyone is listed")


@positive("CC-LINK-066", "CC-SEC-014")
@negative("CC-SEC-014")
def test_others_go_on(bench: Bench) -> None:
    """What one endpoint does wrong ends its own link, and the others talk on."""
    ann, bob, owner = _three(bench)
    owner.write_bytes(b"\xff" * 3)
    expect(owner.transport is None, "CC-LINK-066", "its own link has ended")
    ann.write(f.data(sender=0))
    expect(bob.take("DATA"), "CC-SEC-014", "the others talk on")


@positive("CC-FRAG-020", "CC-RELAY-020")
@negative("CC-FRAG-020", "CC-RELAY-020")
def test_stream_beyond_the_largest(bench: Bench) -> None:
    """A stream goes on beyond the call's largest message, at a relay as well, to its end."""
    ann, _, owner = _three(bench, largest_message=32_768)
    for index in range(5):
        owner.write(f.data(bytes(10_000), sender=2, fragment=(index, 0, index == 4)))
    owner.none("CC-RELAY-020", "REFUSE", "FAIL")
    expect_equal(len(ann.take("DATA")), 5, "CC-FRAG-020", "all of it is forwarded")


@positive("CC-RELAY-064", "CC-RELAY-065")
@negative("CC-RELAY-064", "CC-RELAY-065")
def test_after_the_owners_death(bench: Bench) -> None:
    """Nothing of a dead owner's Lossy messages comes behind its CLOSE, and what its readers say is nobody's fault."""
    ann, bob, owner = _three(bench)
    ann.hold("lossy")
    owner.write(f.data(sender=2, session=2, channel=6, reliable=False), lane="lossy")
    owner.write(f.data(sender=2, confirm=True, to=(3, [], True)))
    owner.write(f.bye("LEFT"))
    bench.advance(100)
    before = ann.take("CLOSE", session=2)
    ann.hold("lossy", held=False)
    came = [frame["type"] for frame in ann.take("DATA", "CLOSE") if frame["session"] == 2]
    # Dropped, or written before that CLOSE, which then waits for it.
    expect(came in (([],) if before else (["CLOSE"], ["DATA", "CLOSE"])), "CC-RELAY-064", "before CLOSE", actual=came)
    bob.write(f.receipt(1, sender=2, recipient=1))
    bob.write(f.fail(2, "CLOSED", sender=2, recipient=1))
    bob.goes_on("CC-RELAY-065")
    ann.goes_on("CC-RELAY-065")


@positive("CC-RELAY-080")
@negative("CC-RELAY-080", "CC-SEC-010")
def test_ended_sessions_that_owe(bench: Bench) -> None:
    """Of an owner's sessions that ended and still owe, at most `unconfirmed_messages` are left when another begins."""
    _, bob, owner = _three(bench, unconfirmed_messages=64, open_sessions=65_535, new_sessions=65_535)

    def session(number: int) -> None:
        block = (3, [1], False)
        owner.write(f.data(sender=2, session=number, channel=number, private=True, confirm=True, to=block))
        owner.write(f.close(1, sender=2, session=number))

    for number in range(1, 65):
        session(number)
    owner.none("CC-RELAY-080", "FAIL")
    bob.take()
    # 65 have ended: the first of them is over when the next begins, if not before.
    session(65)
    session(66)
    fails = owner.take("FAIL")
    told = [(fail["session"], fail["recipient"], fail["value"], fail["reason"]) for fail in fails]
    wanted = [(number, 1, 1, standard.codes()["MEMORY"]) for number in (1, 2)]
    expect(told and told == wanted[: len(told)], "CC-RELAY-080", "those that ended first", actual=fails)
    came = [frame["session"] for frame in bob.new("FAIL")]
    expect_equal(
        came, [fail["session"] for fail in fails], "CC-RELAY-080", "Bob has not acknowledged CLOSE, and is told"
    )
    expect(bob.take("DATA", session=66), "CC-RELAY-080", "the new session is forwarded")


@negative("CC-RELAY-065", "CC-RELAY-062")
@positive("CC-RELAY-065", "CC-RELAY-062")
@pytest.mark.parametrize("how", ["CREDIT", "FAIL"])
def test_readers_of_a_dead_owner(bench: Bench, how: str) -> None:
    """What a departed owner left is delivered at its readers' pace: their CREDIT and FAIL count as before."""
    relay = bench.relay(limits={"window": 131_072})
    bob, owner = member(relay, "bob", window=65_536), member(relay, "carol")
    bench.advance(100)
    settle(bob, owner)
    for sequence in range(1, 8):
        owner.write(f.data(bytes(15_984), sender=1, sequence=sequence))
    owner.write(f.bye("LEFT"))
    expect_equal(len(bob.take("DATA")), 4, "CC-RELAY-035", "four messages fill Bob's window")
    bench.advance(100)
    settle(bob)
    if how == "FAIL":
        bob.write(f.fail(5, "CLOSED", sender=1, recipient=0))
    bob.write(f.credit(200_000, sender=1, recipient=0))
    came = [(x["type"], x.get("sequence", x.get("value"))) for x in bob.take("DATA", "CLOSE")]
    rest = [("DATA", 5), ("DATA", 6), ("DATA", 7)] if how == "CREDIT" else []
    wanted = [*rest, ("CLOSE", 7)]
    expect_equal(came, wanted, "CC-RELAY-065", "what was left of the session")
    bob.goes_on("CC-RELAY-065")
