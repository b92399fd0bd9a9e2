# SPDX-License-Identifier: Apache-2.0
"""What Reliable and Lossy sessions share at their owner's side: finding out whom a message is for (section 4.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from callchannel.core.frames import HIGH, Data
from callchannel.core.recipients import Recipients, slots_of
from callchannel.core.relay.membership import Member

if TYPE_CHECKING:
    from callchannel.core.relay.call import Call
    from callchannel.core.relay.uplink import Uplink


_KEPT: Final = 64


class Session:
    """What sessions of both kinds share: identity, and finding out whom a message is for."""

    __slots__ = (
        "_denoted",
        "_stamp",
        "call",
        "channel",
        "ended",
        "failed",
        "high",
        "last",
        "number",
        "owner",
        "serial",
        "uplink",
    )

    def __init__(self, uplink: Uplink, call: Call, data: Data) -> None:
        self.uplink = uplink
        self.call = call
        self.owner: Member = uplink.member
        self.number = data.session
        self.channel = data.channel
        self.high = bool(data.flags & HIGH)
        self.serial = call.next_serial()
        """Tells which session began last."""
        self.last = 0
        """Greatest sequence that came, refused and aborted messages included."""
        self.ended = False
        self.failed: set[Member] = set()
        """Whom a FAIL was decided for: they are passed over (CC-ROSTER-065)."""
        self._stamp = (-1, -1)
        self._denoted: Recipients | None = None

    def bar(self, member: Member) -> None:
        """A FAIL is decided on: pass a recipient over from now on. Whose slot is free again is named by nobody."""
        self.failed.add(member)
        membership = self.call.membership
        if len(self.failed) > _KEPT + 2 * (len(membership.members) + len(membership.departed)):
            self.failed = {kept for kept in self.failed if membership.occupant(kept.slot) is kept}

    def _is_resolved(self, block: Recipients | None) -> bool:
        """Whether the recipients of the last message are those of this one, too."""
        stamp = (self.call.membership.version, len(self.failed))
        if stamp == self._stamp and block == self._denoted:
            return True
        self._stamp, self._denoted = stamp, block
        return False

    def _resolve(self, block: Recipients | None) -> tuple[list[int], list[Member], int]:
        """Slots of those who get a message, those who are gone, and how many are passed over (CC-ROSTER-058 to 061)."""
        membership = self.call.membership
        own = 1 << self.owner.slot
        if block is None:
            there, gone = membership.present & ~own, 0
        else:
            there, gone = membership.at(block.epoch)
            if block.everyone_but:
                there &= ~block.slots & ~own
                gone &= ~block.slots
            else:
                there &= block.slots
                gone &= block.slots
        slots = list(slots_of(there))
        absent = [membership.departed[slot] for slot in slots_of(gone)]
        passed = 0
        if self.failed:
            members = membership.members
            kept = [slot for slot in slots if members[slot] not in self.failed]
            missing = [member for member in absent if member not in self.failed]
            passed = len(slots) - len(kept) + len(absent) - len(missing)
            slots, absent = kept, missing
        return slots, absent, passed
