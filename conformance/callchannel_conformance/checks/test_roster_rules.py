# SPDX-License-Identifier: Apache-2.0
"""Rosters that do not fit what came before, at an endpoint (sections 4.4 to 4.6)."""

from __future__ import annotations

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance.bench.links import Acceptor, group
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect_equal

_CHANGES = {
    "own-suspended": (f.roster(4, f.suspended(2)), "SLOT", "CC-ROSTER-031"),
    "own-resumed": (f.roster(4, f.resumed(2)), "SLOT", "CC-ROSTER-031"),
    "own-leave": (f.roster(5, f.leave(2)), "SLOT", "CC-ROSTER-031"),
    "join-known": (f.roster(5, f.join(1, "bob")), "SLOT", "CC-ROSTER-027"),
    "join-own": (f.roster(5, f.join(2, "me")), "SLOT", "CC-ROSTER-027"),
    "leave-unknown": (f.roster(5, f.leave(9)), "SLOT", "CC-ROSTER-028"),
    "suspended-unknown": (f.roster(4, f.suspended(9)), "SLOT", "CC-ROSTER-028"),
    "epoch-back": (f.roster(3, f.suspended(1)), "EPOCH", "CC-ROSTER-025"),
    "snapshot": (f.roster(5, f.join(7, "eve"), snapshot=True), "EPOCH", "CC-ROSTER-020"),
}


@negative("CC-ROSTER-020", "CC-ROSTER-025", "CC-ROSTER-027", "CC-ROSTER-028", "CC-ROSTER-031")
@pytest.mark.parametrize("name", _CHANGES)
def test_change_that_does_not_fit(bench: Bench, name: str) -> None:
    """A change that does not fit the roster ends the link."""
    far = group(bench)
    roster, code, requirement = _CHANGES[name]
    far.write(roster)
    far.ended(requirement, code)


@negative("CC-ROSTER-023", "CC-ROSTER-025")
@pytest.mark.parametrize("epoch", [4, 6])
def test_series_of_two_epochs(bench: Bench, epoch: int) -> None:
    """All frames of a series carry its epoch, neither a lower one nor a greater one."""
    far = group(bench)
    far.write(f.roster(5, f.join(7, "eve"), more=True))
    far.goes_on("CC-ROSTER-026")
    far.take()
    far.write(f.roster(epoch, f.suspended(1)))
    far.ended("CC-ROSTER-023", "EPOCH")


@negative("CC-ROSTER-019", "CC-ROSTER-017")
@pytest.mark.parametrize("entry", [f.resumed(1), f.leave(1)], ids=["resumed", "leave"])
def test_snapshot_with_other_entries(bench: Bench, entry: f.Frame) -> None:
    """A snapshot holds JOIN and SUSPENDED alone."""
    far = Acceptor(bench, bench.endpoint())
    far.members, far.peer_slot, far.epoch = {1: "bob", 2: "me"}, 2, 4
    far.connect()
    far.receive_hello()
    far.answer(deliver_snapshot=False)
    far.take()
    far.write(f.roster(4, f.join(1, "bob"), f.join(2, "me"), entry, snapshot=True))
    far.ended("CC-ROSTER-019", "SLOT")


@positive("CC-ROSTER-029")
@negative("CC-ROSTER-029")
def test_no_change_is_not_told(bench: Bench) -> None:
    """SUSPENDED of who is suspended, and RESUMED of who is not, change nothing and are not told."""
    far = group(bench)
    far.machine.take()
    told = []
    for entry in (f.resumed(1), f.suspended(1), f.suspended(1), f.resumed(1), f.resumed(1)):
        far.write(f.roster(4, entry))
        told.append([event["event"] for event in far.machine.take()])
    wanted = [[], ["participant_suspended"], [], ["participant_resumed"], []]
    expect_equal(told, wanted, "CC-ROSTER-029", "what is told of each")


@positive("CC-ROSTER-012", "CC-ERR-019")
@negative("CC-ROSTER-011", "CC-ROSTER-012")
@pytest.mark.parametrize("lane", ["reliable", "lossy"])
def test_lossy_of_nobody(bench: Bench, lane: str) -> None:
    """Lossy DATA of an unknown slot is dropped alone, what stands behind it is taken, and the drop is recorded."""
    far = group(bench)
    far.machine.take()
    far.write(f.data(reliable=False, sender=9), f.data(reliable=False, sequence=2), lane=lane)
    far.goes_on("CC-ROSTER-012")
    created = far.machine.take("receiver_created")
    expect_equal([event["slot"] for event in created], [0], "CC-ROSTER-012", "the frame behind it is taken")
    bench.client.needs(feature="statistics")
    drops = far.machine.look()["statistics"]["link"]["drops"]
    expect_equal(drops.get("unknown_sender"), 1, "CC-ERR-019", "it is recorded with the link")


@negative("CC-ROSTER-011", "CC-LINK-080")
@pytest.mark.parametrize("reliable", [True, False])
def test_own_slot(bench: Bench, reliable: bool) -> None:
    """DATA under the reader's own slot ends the link."""
    far = group(bench)
    far.write(f.data(reliable=reliable, sender=2))
    far.ended("CC-ROSTER-011", "SLOT")


_CONTROLS = {
    "refuse-recipient": {**f.refuse(1, sender=2), "recipient": 1},
    "credit-recipient": f.credit(70_000, sender=2, recipient=1),
    "receipt-own": f.receipt(1, sender=2, recipient=2),
    "receipt-unknown": f.receipt(1, sender=2, recipient=9),
    "fail-own": f.fail(1, "LOST", sender=2, recipient=2),
    "fail-of-others": f.fail(1, "LOST", sender=0, recipient=1),
    "close-own": f.close(1, sender=2),
}


@negative("CC-FRAME-061", "CC-LINK-080")
@pytest.mark.parametrize("name", _CONTROLS)
def test_slots_of_control_frames(bench: Bench, name: str) -> None:
    """A control frame from a relay that names a slot which may not stand there ends the link."""
    far = group(bench)
    far.write(_CONTROLS[name])
    far.ended("CC-FRAME-061", "SLOT")


@positive("CC-ROSTER-011", "CC-SESS-053")
@pytest.mark.parametrize("known", [True, False])
def test_departed_owner_is_draining(bench: Bench, known: bool) -> None:
    """Reliable DATA of an owner that has left is taken, of a session that is known as well as of a new one."""
    far = group(bench)
    if known:
        far.write(f.data())
    far.change(f.leave(0))
    far.machine.take()
    far.write(f.data(sequence=2))
    far.goes_on("CC-ROSTER-011")
    kinds = [event["event"] for event in far.machine.take("receiver_created", "receiver_closed")]
    expect_equal(kinds, [] if known else ["receiver_created"], "CC-ROSTER-011", "the frame is taken")
