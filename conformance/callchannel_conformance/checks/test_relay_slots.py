# SPDX-License-Identifier: Apache-2.0
"""Slots and epochs at a relay: who gets which, and who is a recipient under an older epoch (sections 4.3 to 4.8)."""

from __future__ import annotations

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance.bench.links import group, member, settle
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.helpers import open_sender, send
from callchannel_conformance.checks.relay_scene import call, code_of, limit_of
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal


@positive("CC-ROSTER-004", "CC-ROSTER-007")
@negative("CC-ROSTER-007")
def test_lowest_free_slot(bench: Bench) -> None:
    """While slots are in quarantine a new one is given, afterwards the lowest of them."""
    relay, (ann, bob, carol, dan) = call(bench, 4)
    for far in (bob, carol):
        far.write(f.bye("LEFT"))
        bench.advance(60)
        settle(ann, dan)
    quarantine = limit_of(bench, relay, "slot_quarantine")
    bench.advance(quarantine - 1_000)
    settle(ann, dan)
    eve = member(relay, "eve")
    expect_equal(eve.own_slot, 4, "CC-ROSTER-007", "slots 1 and 2 are in quarantine")
    bench.advance(2_000)
    settle(ann, dan, eve)
    frank = member(relay, "frank")
    expect_equal(frank.own_slot, 1, "CC-ROSTER-004", "the lowest free slot")
    gil = member(relay, "gil")
    expect_equal(gil.own_slot, 2, "CC-ROSTER-004", "the lowest free slot")


@negative("CC-ROSTER-060")
@positive("CC-ROSTER-059")
@pytest.mark.parametrize("reliable", [True, False])
def test_joined_after_the_epoch(bench: Bench, reliable: bool) -> None:
    """Who joined in the epoch after that of the block gets nothing, whatever form the block has."""
    relay, (ann, bob) = call(bench, 2)
    carol = member(relay, "carol")
    bench.advance(60)
    settle(ann, bob, carol)
    for far in (bob, carol):
        far.take()
    if reliable:
        ann.write(f.data(confirm=True, to=(2, [], True)))
    else:
        dan = member(relay, "dan")
        bench.advance(60)
        settle(ann, bob, carol, dan)
        for far in (bob, carol, dan):
            far.take()
        ann.write(f.data(reliable=False, private=True, to=(3, [2], True)))
        dan.none("CC-ROSTER-060", "DATA")
    carol.none("CC-ROSTER-060", "DATA")
    bob.one("CC-ROSTER-059", "DATA")


@negative("CC-ROSTER-055", "CC-ROSTER-057")
@positive("CC-ROSTER-061")
@pytest.mark.parametrize("epoch", [3, 4])
def test_left_in_the_epoch(bench: Bench, epoch: int) -> None:
    """Who left in an epoch was there in the one before, and not in it."""
    relay, (ann, bob, carol) = call(bench, 3)
    bob.write(f.bye("LEFT"))
    bench.advance(60)
    dan = member(relay, "dan")
    bench.advance(60)
    settle(ann, carol, dan)
    ann.take()
    ann.write(f.data(private=True, to=(epoch, [1], False)))
    if epoch == 4:
        ann.ended("CC-ROSTER-055", "SLOT")
        return
    fail = ann.one("CC-ROSTER-061", "FAIL")
    told = (fail["recipient"], fail["value"], fail["reason"])
    expect_equal(told, (1, 1, code_of("UNKNOWN_RECIPIENT")), "CC-ROSTER-061", "slot 1 is gone")


@negative("CC-ROSTER-038")
@positive("CC-ROSTER-003", "CC-ROSTER-038")
@pytest.mark.parametrize("reliability", ["reliable", "lossy"])
def test_two_devices(bench: Bench, reliability: str) -> None:
    """An identifier stands for all endpoints that have it, but for the one that sends."""
    members = {0: "me", 1: "bob", 2: "me", 3: "bob"}
    far = group(bench, members=members)
    sender = open_sender(far, reliability=reliability)
    for to, slots in ((["me"], [0]), (["bob"], [1, 3]), (["bob", "me"], [0, 1, 3])):
        send(far, sender, to=to)
        block = far.one("CC-ROSTER-038", "DATA").get("recipients")
        expect(block is not None, "CC-ROSTER-038", f"a block for {to}")
        assert block is not None
        named = block["slots"] if not block["except"] else sorted({0, 1, 3} - set(block["slots"]))
        expect_equal(named, slots, "CC-ROSTER-003", f"who is meant by {to}")
