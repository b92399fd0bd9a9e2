# SPDX-License-Identifier: Apache-2.0
"""Receipts and failed recipients at a relay, where both meet (sections 10.8 and 10.11)."""

from __future__ import annotations

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance.bench.links import Initiator, settle
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.relay_scene import call, code_of, crowd
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal


@positive("CC-RELAY-048", "CC-RELAY-046")
def test_unread_is_owed_first(bench: Bench) -> None:
    """A message with CONFIRM that waits for its receipt is owed, also where a later one was not acknowledged."""
    _, (ann, bob) = call(bench, 2)
    ann.write(f.data(confirm=True, to=(2, [], True)))
    settle(bob)
    ann.write(f.data(sequence=2))
    ann.take()
    bob.write(f.bye("LEFT"))
    fail = ann.one("CC-RELAY-046", "FAIL")
    told = (fail["recipient"], fail["value"], fail["reason"], fail["uncertain"])
    expect_equal(told, (1, 1, code_of("LEFT"), True), "CC-RELAY-048", "message 1 was never read")


@positive("CC-RELAY-070", "CC-RELAY-055")
@pytest.mark.parametrize("named", [True, False])
def test_all_have_failed(bench: Bench, named: bool) -> None:
    """When all recipients of a message with CONFIRM have failed, an aggregated RECEIPT follows the FAILs."""
    _, (ann, bob, carol) = call(bench, 3)
    to = (3, [1, 2], False) if named else (3, [], True)
    ann.write(f.data(confirm=True, private=named, to=to))
    settle(bob, carol)
    ann.take()
    bob.write(f.fail(1, "CLOSED", recipient=1))
    ann.none("CC-RELAY-068", "RECEIPT")
    carol.write(f.fail(1, "CLOSED", recipient=2))
    came = [(frame["type"], frame["recipient"]) for frame in ann.take("FAIL", "RECEIPT")]
    expect_equal(came, [("FAIL", 2), ("RECEIPT", f.NO_SLOT)], "CC-RELAY-070", "FAIL, then the aggregate")


@positive("CC-DELIV-021")
@negative("CC-DELIV-021")
@pytest.mark.parametrize("closed", [False, True], ids=["open", "closed"])
def test_read_below_the_fail(bench: Bench, closed: bool) -> None:
    """What a recipient covers after the FAIL about it is passed on below its value, and not from it on.

    So it is where the session has ended meanwhile, and all of it has arrived.
    """
    _, (ann, bob, carol) = call(bench, 3)
    for sequence in (1, 2, 3):
        ann.write(f.data(sequence=sequence, confirm=True, to=(3, [], True)))
    settle(bob, carol)
    ann.take()
    bob.write(f.fail(3, "CLOSED", recipient=1))
    expect_equal(ann.one("CC-RELAY-051", "FAIL")["value"], 3, "CC-RELAY-051", "the recipient's value")
    if closed:
        ann.write(f.close(3))
        settle(ann, bob, carol)
        ann.take()
    bob.write(f.receipt(3, recipient=1))
    receipt = ann.one("CC-DELIV-021", "RECEIPT")
    told = (receipt["recipient"], receipt["value"])
    expect_equal(told, (1, 2), "CC-DELIV-021", "messages 1 and 2 are covered, 3 is not delivered")


@positive("CC-RELAY-067", "CC-RELAY-068", "CC-LIMIT-013")
@negative("CC-RELAY-068")
@pytest.mark.parametrize("named", [True, False], ids=["named", "everyone"])
@pytest.mark.parametrize("count", [64, 65])
def test_how_many_are_reported(bench: Bench, count: int, named: bool) -> None:
    """Receipts of up to 64 recipients are passed on one by one, those of more are gathered."""
    ann, others = crowd(bench, count)
    slots = list(range(1, count + 1))
    ann.write(f.data(confirm=True, private=named, to=(count + 1, slots if named else [], not named)))
    settle(*others)
    ann.take()
    others[0].write(f.receipt(1, recipient=1))
    recipients = [frame["recipient"] for frame in ann.take("RECEIPT")]
    expect_equal(recipients, [1] if count == 64 else [], "CC-RELAY-067", f"one of {count} has read")
    for place, far in enumerate(others[1:], 2):
        far.write(f.receipt(1, recipient=place))
    recipients = [frame["recipient"] for frame in ann.take("RECEIPT")]
    wanted = slots[1:] if count == 64 else [f.NO_SLOT]
    expect_equal(recipients, wanted, "CC-RELAY-068", f"all of {count} have read")


@negative("CC-RELAY-003")
@pytest.mark.parametrize("replace", [False, True])
def test_too_small(bench: Bench, replace: bool) -> None:
    """A fresh HELLO with less than the call's largest message is refused, whatever else it wishes."""
    relay, (ann,) = call(bench, 1)
    bob = Initiator(bench, relay, "bob")
    bob.connect(admission={"identity": "bob", "may_send": True})
    assert ann.welcome is not None
    bob.say_hello(largest_message=ann.welcome["largest_message"] - 1, replace=replace)
    bob.ended("CC-RELAY-003", "TOO_SMALL")
    expect(not ann.new("ROSTER"), "CC-LINK-017", "nobody has joined", actual=ann.inbox)
