# SPDX-License-Identifier: Apache-2.0
"""Sessions at a relay: how many are admitted, their faults, and what is remembered (sections 10.2, 10.4 and 10.9)."""

from __future__ import annotations

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance.bench.far import Frame
from callchannel_conformance.bench.links import settle
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.relay_scene import call, code_of, data
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal


@positive("CC-RELAY-012", "CC-RELAY-013", "CC-LIMIT-013")
@negative("CC-RELAY-012", "CC-RELAY-013")
@pytest.mark.parametrize("reliable", [True, False])
def test_open_sessions(bench: Bench, reliable: bool) -> None:
    """As many sessions as `open_sessions` are admitted and not one more; an ended one makes room."""
    _, (ann, bob) = call(bench, 2, limits={"open_sessions": 16, "new_sessions": 1_000})
    for session in range(1, 18):
        bench.advance(10)
        ann.write(f.data(session=session, channel=session, reliable=reliable))
    expect_equal(len(bob.take("DATA")), 16, "CC-LIMIT-013", "16 sessions are admitted")
    if reliable:
        fail = ann.one("CC-RELAY-012", "FAIL")
        told = (fail["session"], fail["recipient"], fail["reason"])
        expect_equal(told, (17, f.NO_SLOT, code_of("TOO_MANY_SESSIONS")), "CC-RELAY-012", "the 17th fails")
    else:
        ann.none("CC-RELAY-013", "FAIL")
    settle(bob)
    ann.write(f.close(1, session=1))
    bob.take()
    bench.advance(10)
    ann.write(f.data(session=18, channel=18, reliable=reliable))
    expect_equal(len(bob.take("DATA")), 1, "CC-RELAY-012", "one has ended, another is admitted")


@positive("CC-LIMIT-016")
@negative("CC-RELAY-012", "CC-RELAY-013")
@pytest.mark.parametrize("reliable", [True, False])
def test_new_sessions(bench: Bench, reliable: bool) -> None:
    """The bucket of new sessions holds `open_sessions`, is full at first, and refills at `new_sessions` a second."""
    _, (ann, bob) = call(bench, 2, limits={"open_sessions": 16, "new_sessions": 1})

    def begin(session: int) -> bool:
        ann.write(f.data(session=session, channel=session, reliable=reliable))
        taken = bool(bob.take("DATA"))
        settle(bob)
        ann.write(f.close(1, session=session))
        settle(bob)
        bob.take()
        return taken

    begun = [begin(session) for session in range(1, 18)]
    expect_equal(begun, [True] * 16 + [False], "CC-LIMIT-016", "16 at once, from the first on")
    bench.advance(2_010)
    begun = [begin(session) for session in range(18, 21)]
    expect_equal(begun, [True, True, False], "CC-LIMIT-016", "2 more in 2 s")


@negative("CC-RELAY-007")
def test_forgotten_reliable_session(bench: Bench) -> None:
    """A late Reliable frame of the newest session, which ended and owes nothing, is dropped without an error."""
    _, (ann, bob) = call(bench, 2)
    ann.write(f.data(), f.close(1))
    settle(bob)
    bob.take()
    bench.advance(40_000)
    settle(bob)
    bob.take()
    ann.take()
    ann.write(f.data(sequence=2))
    expect_equal(data(bob), [], "CC-RELAY-007", "session 1 is over")
    ann.none("CC-RELAY-007", "FAIL")
    ann.goes_on("CC-RELAY-007")


@negative("CC-RELAY-008", "CC-RELAY-011")
@pytest.mark.parametrize("wait", [100, 29_000])
def test_tombstone(bench: Bench, wait: int) -> None:
    """A late frame of a Lossy session that was closed does not begin it again, for 30 s."""
    _, (ann, bob) = call(bench, 2)
    ann.write(f.data(reliable=False, session=3), f.close(1, session=3))
    bench.advance(wait)
    bob.take()
    ann.write(f.data(reliable=False, session=3, sequence=2))
    expect_equal(data(bob), [], "CC-RELAY-008", "session 3 is over")


@negative("CC-RELAY-018")
@positive("CC-RELAY-018", "CC-LIMIT-013")
def test_largest_message(bench: Bench) -> None:
    """A message of exactly the call's largest size is admitted, one byte more is refused."""
    _, (ann, bob) = call(bench, 2, limits={"largest_message": 32_768})
    ann.write(f.data(bytes(100), fragment=(0, 32_769, False)))
    refuse = ann.one("CC-RELAY-018", "REFUSE")
    told = (refuse["value"], refuse["reason"])
    expect_equal(told, (1, code_of("MESSAGE_TOO_LARGE")), "CC-RELAY-018", "32,769 bytes")
    ann.write(f.data(bytes(100), sequence=2, fragment=(0, 32_768, False)))
    ann.none("CC-LIMIT-013", "REFUSE", "FAIL")
    expect_equal([q for _, q, _ in data(bob)], [2], "CC-LIMIT-013", "32,768 bytes")


@negative("CC-RELAY-009")
@positive("CC-RELAY-010")
def test_newer_session_on_the_channel(bench: Bench) -> None:
    """A newer session of either kind ends a Lossy one on its channel, and no Reliable one."""
    _, (ann, bob) = call(bench, 2)
    ann.write(f.data(reliable=False, session=1), f.data(session=2))
    bob.take()
    ann.write(f.data(reliable=False, session=1, sequence=2))
    expect_equal(data(bob), [], "CC-RELAY-009", "session 1 has ended")
    ann.write(f.data(reliable=False, session=3), f.data(session=2, sequence=2))
    expect_equal(sorted((s, q) for s, q, _ in data(bob)), [(2, 2), (3, 1)], "CC-RELAY-010", "session 2 goes on")


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


@negative("CC-RELAY-061", "CC-RELAY-053")
@positive("CC-RELAY-061", "CC-RELAY-056")
def test_fault_behind_whole_messages(bench: Bench) -> None:
    """Whole messages that wait when their owner breaks a rule are delivered all the same, and their receipts told."""
    _, (bob, owner) = call(bench, 2)
    block = (2, [0], False)
    bob.hold()
    for sequence in (1, 2):
        owner.write(f.data(sender=1, sequence=sequence, private=True, confirm=True, to=block))
    owner.write(f.data(b"hel", sender=1, sequence=3, private=True, to=block, fragment=(0, 5, False)))
    owner.write(f.data(sender=1, sequence=3, channel=6))
    fail = owner.one("CC-RELAY-057", "FAIL")
    expect_equal((fail["recipient"], fail["value"]), (f.NO_SLOT, 3), "CC-RELAY-058", "v = 3")
    bob.hold(held=False)
    came = [(x["type"], x.get("sequence", x.get("value"))) for x in bob.take("DATA", "FAIL", "CLOSE")]
    wanted = [("DATA", 1), ("DATA", 2), ("FAIL", 3), ("CLOSE", 3)]
    expect_equal(came, wanted, "CC-RELAY-061", "messages 1 and 2, then FAIL and CLOSE")
    settle(bob)
    bob.write(f.receipt(2, sender=1, recipient=0))
    receipt = owner.one("CC-RELAY-061", "RECEIPT")
    expect_equal((receipt["recipient"], receipt["value"]), (0, 2), "CC-RELAY-061", "the receipt is passed on")
