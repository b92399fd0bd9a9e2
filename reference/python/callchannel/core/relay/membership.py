# SPDX-License-Identifier: Apache-2.0
"""Slots, epochs and quarantine: who is in the call, and who was in which epoch (specification, chapter 4)."""

from __future__ import annotations

import heapq
from typing import Final

from callchannel.core.events import Participant
from callchannel.core.frames import RosterEntry, RosterOp, encode_entry
from callchannel.core.recipients import NO_SLOT, slots_of

MAX_EPOCH: Final = 0xFFFF_FFFF


class Member:
    """One occupant of one slot. Whoever has the slot later is another member (CC-ROSTER-070)."""

    __slots__ = ("entry", "identity", "joined", "left", "log_index", "slot", "suspended")

    def __init__(self, slot: int, identity: str, joined: int) -> None:
        self.slot = slot
        self.identity = identity
        self.joined = joined
        """Epoch of its JOIN."""
        self.entry = encode_entry(RosterEntry(RosterOp.JOIN, slot, 0, identity))
        """Its JOIN, for the snapshot of everyone who joins later."""
        self.left = 0
        """Epoch of its LEAVE; 0 while it is in the call."""
        self.suspended = False
        self.log_index = 0
        """Where its JOIN stands in the roster log."""

    def participant(self) -> Participant:
        """The member as applications see it."""
        return Participant(self.identity, self.slot, suspended=self.suspended)


class Membership:
    """Who is in the call."""

    def __init__(self, max_members: int) -> None:
        self.epoch = 0
        self.members: dict[int, Member] = {}
        """Occupied slots."""
        self.departed: dict[int, Member] = {}
        """Slots in quarantine, with their last occupants (CC-ROSTER-009)."""
        self.present = 0
        """The set of occupied slots."""
        self.version = 0
        """Grows whenever somebody joins or leaves, or a slot is free again."""
        self._max_members = max_members
        self._free: list[int] = []
        self._next_slot = 0
        self._joins: list[Member] = []
        self._at: dict[int, tuple[int, int]] = {}

    @property
    def is_full(self) -> bool:
        """Whether nobody can join (CC-ROSTER-006)."""
        return len(self.members) >= self._max_members or (not self._free and self._next_slot >= NO_SLOT)

    def join(self, identity: str) -> Member:
        """Give the lowest free slot (CC-ROSTER-004). Ask `is_full` first."""
        if self._free:
            slot = heapq.heappop(self._free)
        else:
            slot = self._next_slot
            self._next_slot += 1
        self._advance()
        member = Member(slot, identity, self.epoch)
        self.members[slot] = member
        self.present |= 1 << slot
        if len(self._joins) > 64 and len(self._joins) > 2 * len(self.members):
            self._joins = [kept for kept in self._joins if not kept.left]
        self._joins.append(member)
        return member

    def leave(self, member: Member) -> None:
        """Take a member out; its slot is in quarantine from now on."""
        self._advance()
        member.left = self.epoch
        del self.members[member.slot]
        self.departed[member.slot] = member
        self.present &= ~(1 << member.slot)

    def release(self, member: Member) -> None:
        """End the quarantine of a slot: it can be given again."""
        del self.departed[member.slot]
        heapq.heappush(self._free, member.slot)
        self.version += 1
        self._at.clear()

    def _advance(self) -> None:
        self.epoch += 1  # CC-ROSTER-013
        self.version += 1
        self._at.clear()

    # --- older epochs --------------------------------------------------------------------------------------------

    def at(self, epoch: int) -> tuple[int, int]:
        """The sets of slots whose occupants were in `epoch`: those still in the call, and those gone since.

        Slots that are free again are in neither: their last occupants are forgotten.
        """
        if epoch == self.epoch:
            return self.present, 0
        found = self._at.get(epoch)
        if found is None:
            newer = 0
            for member in reversed(self._joins):
                if member.joined <= epoch:
                    break
                if not member.left:
                    newer |= 1 << member.slot
            gone = 0
            for member in self.departed.values():
                if member.joined <= epoch < member.left:
                    gone |= 1 << member.slot
            if len(self._at) >= 64:
                self._at.clear()
            found = self._at[epoch] = self.present & ~newer, gone
        return found

    def occupant(self, slot: int) -> Member | None:
        """Who has a slot, or had it last while it is in quarantine."""
        return self.members.get(slot) or self.departed.get(slot)

    def in_order(self) -> list[Member]:
        """Everyone in the call, ascending by slot."""
        return [self.members[slot] for slot in slots_of(self.present)]
