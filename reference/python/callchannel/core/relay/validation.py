# SPDX-License-Identifier: Apache-2.0
"""Steps 8 to 10 of the validation order, as far as they are a relay's (section 9.13). Raises `LinkFault`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callchannel.core.errors import ErrorCode
from callchannel.core.frames import PRIVATE, RELIABLE, Close, Control, Data
from callchannel.core.link import LinkFault
from callchannel.core.recipients import NO_SLOT

if TYPE_CHECKING:
    from callchannel.core.relay.membership import Membership


def check_data(data: Data, own: int, newest_epoch: int, membership: Membership) -> None:
    """DATA from the endpoint in slot `own`, whose link was written the roster up to `newest_epoch`."""
    block = data.recipients
    if block is None and data.flags & PRIVATE:
        fragment = data.fragment
        if fragment is None or not fragment.index or not data.flags & RELIABLE:
            raise LinkFault(ErrorCode.FRAME_FORMAT, "PRIVATE without a recipient block (CC-LINK-091)")
    if data.sender != own:
        raise LinkFault(ErrorCode.SLOT, f"DATA of slot {data.sender} from slot {own} (CC-ROSTER-010)")
    if block is None:
        return
    if block.epoch > newest_epoch:
        raise LinkFault(ErrorCode.EPOCH, f"epoch {block.epoch}, the newest is {newest_epoch} (CC-ROSTER-054)")
    if block.slots >> own & 1:
        raise LinkFault(ErrorCode.SLOT, f"slot {own} names itself (CC-ROSTER-056)")
    there, gone = membership.at(block.epoch)
    if block.slots & ~(there | gone):
        raise LinkFault(ErrorCode.SLOT, f"a slot that nobody had in epoch {block.epoch} (CC-ROSTER-055)")


def check_control(frame: Control, own: int, newest_epoch: int, membership: Membership) -> None:
    """CLOSE of the owner in slot `own`; or FAIL, RECEIPT or CREDIT of the recipient in slot `own`."""
    if isinstance(frame, Close):
        if frame.sender != own or frame.recipient != NO_SLOT:
            raise LinkFault(ErrorCode.SLOT, f"CLOSE for slots {frame.sender} and {frame.recipient} from slot {own}")
        return
    sender = membership.occupant(frame.sender)
    if frame.recipient != own or frame.sender == own or sender is None or sender.joined > newest_epoch:
        raise LinkFault(
            ErrorCode.SLOT,
            f"{frame.TYPE.name} for slots {frame.sender} and {frame.recipient} from slot {own} (CC-FRAME-061)",
        )
