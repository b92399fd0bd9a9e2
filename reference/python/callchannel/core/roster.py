# SPDX-License-Identifier: Apache-2.0
"""The roster as an endpoint knows it, and whom a message is for (specification, chapter 4)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from callchannel.core.errors import ErrorCode, InvalidArgument, TooManyRecipients
from callchannel.core.events import Participant
from callchannel.core.frames import Roster, RosterEntry, RosterOp
from callchannel.core.limits import LOSSY_WORDS
from callchannel.core.link import LinkFault
from callchannel.core.recipients import NO_SLOT, Recipients, count_words, slots_of


class Target(NamedTuple):
    """Whom a message is for, by identifier. `EVERYONE` is everyone but the sender."""

    to: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()

    @classmethod
    def of(cls, to: Collection[str] | None, exclude: Collection[str]) -> Target:
        """Check and normalize what an application gave. None or nobody in both: everyone."""
        for label, names in (("to", to), ("exclude", exclude)):
            if names is not None and (
                isinstance(names, str | bytes)
                or not isinstance(names, Collection)
                or not all(isinstance(name, str) for name in names)
            ):
                raise InvalidArgument(f"{label} has to be a collection of identifiers, it is {names!r}")
        if to and exclude:
            raise InvalidArgument("give `to` or `exclude`, not both")
        if not to and not exclude:
            return EVERYONE
        return cls(tuple(dict.fromkeys(to)) if to else None, tuple(dict.fromkeys(exclude)))


EVERYONE = Target()

_LONGEST_SERIES = 4 * NO_SLOT
"""Entries of one series: a snapshot of a full call with everyone suspended takes half of it (CC-LIMIT-012)."""


@dataclass(slots=True)
class Member:
    """One endpoint in the roster."""

    identity: str
    slot: int
    joined: int
    """The epoch in which it joined; for those of the snapshot, the snapshot's."""
    suspended: bool = False


class RosterView:
    """Who is in the call, by the newest complete epoch."""

    def __init__(self) -> None:
        self.epoch = 0
        """The newest complete epoch; 0 before the snapshot."""
        self.own_slot = -1
        self.members: dict[int, Member] = {}
        self.departed: dict[int, Member] = {}
        """Who left each slot last, until the slot is given again: their sessions may still drain."""
        self.former: dict[int, Member] = {}
        """Who had a slot before its present occupant."""
        self.present = 0
        """The set of slots of all members."""
        self.others = 0
        """The same without this endpoint."""
        self._by_identity: dict[str, int] = {}
        self._series: list[RosterEntry] = []
        self._series_epoch = 0

    # --- receiving ---------------------------------------------------------------------------------------------

    def apply(self, frame: Roster) -> list[RosterEntry] | None:
        """Take a ROSTER. Returns the entries once their epoch is complete, else None. Raises `LinkFault`.

        Entries of a series wait for its last frame, so that nobody sees half an epoch.
        """
        if frame.snapshot != (not self.epoch):
            raise LinkFault(
                ErrorCode.EPOCH, "a second snapshot" if frame.snapshot else "a roster change before the snapshot"
            )
        if self._series_epoch and frame.epoch != self._series_epoch:
            raise LinkFault(ErrorCode.EPOCH, f"epoch {frame.epoch} within epoch {self._series_epoch}")
        if frame.epoch < self.epoch:
            raise LinkFault(ErrorCode.EPOCH, f"epoch {frame.epoch} after {self.epoch}")
        if len(self._series) + len(frame.entries) > _LONGEST_SERIES:
            raise LinkFault(ErrorCode.MEMORY, f"a roster series of more than {_LONGEST_SERIES} entries")
        self._series += frame.entries
        if frame.more:
            self._series_epoch = frame.epoch
            return None
        entries, self._series, self._series_epoch = self._series, [], 0
        entries = [entry for entry in entries if self._apply_entry(entry, frame)]
        self.others = self.present & ~(1 << self.own_slot)
        self.epoch = frame.epoch
        return entries

    def _apply_entry(self, entry: RosterEntry, frame: Roster) -> bool:
        """Apply an entry. Returns whether it changed anything (CC-ROSTER-029). Raises `LinkFault`."""
        slot = entry.slot
        member = self.members.get(slot)
        if (entry.op == RosterOp.JOIN) != (member is None):
            raise LinkFault(ErrorCode.SLOT, f"{RosterOp(entry.op).name} of slot {slot}")
        if slot == self.own_slot and entry.op != RosterOp.JOIN and not frame.snapshot:
            raise LinkFault(ErrorCode.SLOT, f"{RosterOp(entry.op).name} of this endpoint itself (CC-ROSTER-031)")
        if frame.snapshot and entry.op not in (RosterOp.JOIN, RosterOp.SUSPENDED):
            raise LinkFault(ErrorCode.SLOT, f"{RosterOp(entry.op).name} in a snapshot")
        if member is None:
            self.members[slot] = Member(entry.identity, slot, frame.epoch)
            former = self.departed.pop(slot, None)
            if former is not None:
                self.former[slot] = former
            self.present |= 1 << slot
            self._by_identity[entry.identity] = self._by_identity.get(entry.identity, 0) | 1 << slot
        elif entry.op == RosterOp.LEAVE:
            self.departed[slot] = self.members.pop(slot)
            self.present &= ~(1 << slot)
            rest = self._by_identity[member.identity] & ~(1 << slot)
            if rest:
                self._by_identity[member.identity] = rest
            else:
                del self._by_identity[member.identity]
        else:
            suspended = entry.op == RosterOp.SUSPENDED
            changed = suspended is not member.suspended
            member.suspended = suspended
            return changed
        return True

    # --- recipients --------------------------------------------------------------------------------------------

    def resolve_target(self, target: Target) -> tuple[int, list[str]]:
        """The slots that a target means now, and the names in it that have none."""
        if target.to is not None:
            return self.resolve(target.to)
        if target.exclude:
            return self.others & ~self.resolve(target.exclude)[0], []
        return self.others, []

    def name_of(self, slot: int) -> str:
        """The identifier of a slot's occupant, or of its last one."""
        member = self.members.get(slot) or self.departed.get(slot)
        return member.identity if member else f"slot {slot}"

    def is_known_or_draining(self, slot: int) -> bool:
        """Whether a slot has an occupant, or had one that may still be heard of."""
        return slot in self.members or slot in self.departed

    def participant(self, slot: int) -> Participant:
        """Who has a slot, or had it last."""
        member = self.members.get(slot) or self.departed.get(slot)
        if member is None:
            return Participant(f"slot {slot}", slot)
        return Participant(member.identity, slot, slot == self.own_slot, member.suspended)

    def resolve(self, names: Collection[str]) -> tuple[int, list[str]]:
        """The slots of all endpoints with these identifiers but this one, and the names that have none."""
        slots, absent = 0, []
        own = ~(1 << self.own_slot)
        for name in names:
            found = self._by_identity.get(name, 0) & own
            if found:
                slots |= found
            else:
                absent.append(name)
        return slots, absent

    def still_there(self, slots: int, epoch: int) -> int:
        """Which of the endpoints that had these slots in `epoch` have not left since."""
        there = slots & self.present
        if epoch != self.epoch:
            for slot in slots_of(there):
                if self.members[slot].joined > epoch:
                    there &= ~(1 << slot)
        return there

    def block(self, target: Target, slots: int, *, confirm: bool, lossy: bool) -> Recipients | None:
        """The recipient block of a message for `target`, whose present recipients are `slots`; None: it needs none.

        Raises `TooManyRecipients` where a Lossy block would be too long either way round (CC-ROSTER-052, 053).
        """
        if target.to is None:
            # What is excluded is named, so that the block stays short; endpoints that failed are passed over by all.
            excluded = self.others & ~slots if target.exclude else 0
            if not excluded:  # CC-ROSTER-050
                return Recipients(self.epoch, True, 0) if confirm else None
            block = Recipients(self.epoch, True, excluded)
        else:
            block = Recipients(self.epoch, False, slots)
        if lossy and count_words(block.slots) > LOSSY_WORDS:
            inverse = self.others & ~block.slots
            if not 1 <= count_words(inverse) <= LOSSY_WORDS:
                raise TooManyRecipients(
                    f"{slots.bit_count()} recipients need more than {LOSSY_WORDS} words of bitmap in a Lossy message"
                )
            block = Recipients(self.epoch, not block.everyone_but, inverse)
        return block

    def names_of(self, slots: int) -> tuple[str, ...]:
        """The identifiers of a set of slots, ascending by slot."""
        return tuple(self.name_of(slot) for slot in slots_of(slots))
