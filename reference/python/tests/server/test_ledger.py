# SPDX-License-Identifier: Apache-2.0
"""Counts and rates, in virtual time."""

import pytest

from callchannel.server.ledger import BUCKETS, Ledger, Refused
from callchannel.signalling.limits import SignallingLimits


def make(**options: int) -> Ledger:
    limits = {name: options.pop(name) for name in tuple(options) if name in SignallingLimits.__slots__}
    return Ledger(SignallingLimits(**limits), **{"connections": 100, "calls": 10, **options})


def refusal(ledger: Ledger, call: str, identity: str, now: float, calls: int = 1) -> tuple[str, int]:
    with pytest.raises(Refused) as caught:
        ledger.enter(call, identity, now, calls=calls)
    return caught.value.problem, caught.value.retry_after


def test_a_bucket_absorbs_five_seconds_and_refills_with_time() -> None:
    # CC-SIG-048, CC-SIG-051
    ledger = make(offers_per_second=2)
    for _ in range(10):
        ledger.enter("c", "anna", 100.0)
        ledger.leave("c", "anna")
    assert refusal(ledger, "c", "anna", 100.0) == ("offer_rate", 1)
    assert refusal(ledger, "c", "anna", 100.4) == ("offer_rate", 1)
    ledger.enter("c", "anna", 100.5)
    assert refusal(ledger, "c", "anna", 100.9) == ("offer_rate", 1)
    # Other identifiers and other calls have buckets of their own.
    ledger.enter("c", "bob", 100.9)
    ledger.enter("d", "anna", 100.9)
    # A bucket is never more than full.
    for _ in range(10):
        ledger.enter("c", "anna", 1_000.0)
        ledger.leave("c", "anna")
    assert refusal(ledger, "c", "anna", 1_000.0) == ("offer_rate", 1)


def test_retry_after_is_when_it_can_succeed() -> None:
    ledger = make(offers_per_second=1)
    for at in range(5):
        ledger.enter("c", "anna", 10.0 + at / 100)
    problem, wait = refusal(ledger, "c", "anna", 10.05)
    assert (problem, wait) == ("offer_rate", 1)
    ledger.enter("c", "anna", 10.05 + wait)


def test_connections_are_counted_by_identity_call_and_server() -> None:
    # CC-SIG-049
    ledger = make(connections_per_identity=4, connections_per_call=6, connections=8, offers_per_second=1_000)
    for _ in range(4):
        ledger.enter("c", "anna", 0.0)
    assert refusal(ledger, "c", "anna", 0.0)[0] == "connections"
    ledger.enter("c", "bob", 0.0)
    ledger.enter("c", "bob", 0.0)
    assert refusal(ledger, "c", "bob", 0.0)[0] == "call_full"
    ledger.enter("d", "anna", 0.0)
    ledger.enter("d", "anna", 0.0)
    assert refusal(ledger, "d", "anna", 0.0)[0] == "overload"
    assert ledger.connections == 8
    ledger.leave("c", "anna")
    ledger.enter("c", "anna", 0.0)
    for call, identity, count in (("c", "anna", 4), ("c", "bob", 2), ("d", "anna", 2)):
        for _ in range(count):
            ledger.leave(call, identity)
    assert ledger.connections == 0
    assert not ledger._by_call and not ledger._by_identity


def test_one_call_too_many() -> None:
    ledger = make(calls=2)
    ledger.enter("c", "anna", 0.0, calls=2)
    assert refusal(ledger, "d", "anna", 0.0, calls=3) == ("overload", 5)


def test_buckets_that_are_full_again_are_forgotten() -> None:
    ledger = make(connections=1_000_000, connections_per_call=100_000)
    for at in range(BUCKETS):
        ledger.enter("c", f"user {at}", 0.0)
    ledger.enter("c", "last", 0.4)
    assert len(ledger._buckets) == BUCKETS + 1
    ledger.enter("c", "later", 60.0)
    assert len(ledger._buckets) == 1
