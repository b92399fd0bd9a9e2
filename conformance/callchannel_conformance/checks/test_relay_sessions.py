# SPDX-License-Identifier: Apache-2.0
"""How many sessions a relay admits, and what it remembers of those that ended (sections 10.2 and 15.2)."""

from __future__ import annotations

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance.bench.links import settle
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.relay_scene import call, code_of, data
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect_equal


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
