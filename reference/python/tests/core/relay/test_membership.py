# SPDX-License-Identifier: Apache-2.0
"""Slots, epochs, and who was in which of them."""

import pytest

from callchannel.core.recipients import mask_of
from callchannel.core.relay.membership import Member, Membership


def join(membership: Membership, *identities: str) -> list[Member]:
    return [membership.join(identity) for identity in identities]


def test_slots_are_given_lowest_first_and_again_after_release() -> None:
    """CC-ROSTER-004, CC-ROSTER-005."""
    membership = Membership(10)
    ann, bob, carol = join(membership, "ann", "bob", "carol")
    assert [ann.slot, bob.slot, carol.slot] == [0, 1, 2]
    membership.leave(ann)
    membership.leave(bob)
    assert membership.join("dan").slot == 3  # both are in quarantine
    membership.release(bob)
    membership.release(ann)
    assert [member.slot for member in join(membership, "erin", "frank", "gil")] == [0, 1, 4]


def test_each_join_and_leave_makes_one_epoch() -> None:
    """CC-ROSTER-013, CC-ROSTER-014."""
    membership = Membership(10)
    ann, bob = join(membership, "ann", "bob")
    assert (ann.joined, bob.joined, membership.epoch) == (1, 2, 2)
    membership.leave(ann)
    assert (ann.left, membership.epoch) == (3, 3)
    membership.release(ann)
    assert membership.epoch == 3


def test_is_full_counts_endpoints_and_slots() -> None:
    """CC-ROSTER-006."""
    membership = Membership(2)
    ann, _ = join(membership, "ann", "bob")
    assert membership.is_full
    membership.leave(ann)
    assert not membership.is_full
    wide = Membership(65_535)
    wide._next_slot = 0xFFFF  # all slots were given
    assert wide.is_full
    member = Member(7, "left", 1)
    wide.departed[7] = member
    wide.release(member)
    assert not wide.is_full


def test_older_epochs_are_judged_by_who_was_there() -> None:
    """CC-ROSTER-009: identity and epochs of JOIN and LEAVE stay while a slot is in quarantine."""
    membership = Membership(10)
    _, bob, carol = join(membership, "ann", "bob", "carol")  # epochs 1 to 3
    membership.leave(bob)  # 4
    dan = membership.join("dan")  # 5
    assert membership.at(5) == (mask_of([0, 2, 3]), 0)
    assert membership.at(4) == (mask_of([0, 2]), 0)
    assert membership.at(3) == (mask_of([0, 2]), mask_of([1]))
    assert membership.at(2) == (mask_of([0]), mask_of([1]))
    assert membership.at(1) == (mask_of([0]), 0)
    assert membership.at(3) == (mask_of([0, 2]), mask_of([1]))  # from memory
    membership.leave(carol)  # 6
    assert membership.at(3) == (mask_of([0]), mask_of([1, 2]))
    membership.release(bob)
    assert membership.at(3) == (mask_of([0]), mask_of([2]))
    erin = membership.join("erin")  # 7, slot 1
    assert erin.slot == 1
    assert membership.at(3) == (mask_of([0]), mask_of([2])), "the new occupant of slot 1 was not there"
    assert membership.occupant(1) is erin
    assert membership.occupant(2) is carol
    assert membership.occupant(9) is None
    assert [member.identity for member in membership.in_order()] == ["ann", "erin", "dan"]
    assert dan.participant().slot == 3


def test_many_epochs_do_not_grow_memory() -> None:
    membership = Membership(10)
    for number in range(1_000):
        member = membership.join(f"e{number}")
        membership.leave(member)
        membership.release(member)
        for epoch in range(max(1, membership.epoch - 80), membership.epoch):
            membership.at(epoch)
    assert len(membership._joins) <= 66
    assert len(membership._at) <= 64


@pytest.mark.parametrize("epoch", [1, 2])
def test_the_empty_call(epoch: int) -> None:
    membership = Membership(10)
    membership.leave(membership.join("ann"))
    assert membership.at(epoch) == (0, 1 if epoch == 1 else 0)
