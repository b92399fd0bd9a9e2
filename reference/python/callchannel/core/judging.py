# SPDX-License-Identifier: Apache-2.0
"""Steps 8 to 10 of the validation order at an endpoint: who may name whom (specification, section 9.13).

What breaks a rule here ends the link, or on the lossy lane drops the rest of the packet: see `LinkFault`.
"""

from __future__ import annotations

from callchannel.core.errors import ErrorCode
from callchannel.core.frames import Close, Control, Credit, Data, Fail, Receipt, Refuse
from callchannel.core.link import LinkFault
from callchannel.core.recipients import NO_SLOT
from callchannel.core.roster import RosterView


def judge_group_data(frame: Data, roster: RosterView) -> bool:
    """DATA from a relay. False: a Lossy frame of somebody who is not in the roster, to be dropped alone."""
    if frame.recipients is not None:
        raise LinkFault(ErrorCode.FRAME_FORMAT, "a recipient block from a relay (CC-FRAME-047)")
    sender = frame.sender
    if sender == roster.own_slot:
        raise LinkFault(ErrorCode.SLOT, "DATA of this endpoint's own slot (CC-ROSTER-011)")
    if roster.is_known_or_draining(sender):
        return True
    if frame.reliable:
        raise LinkFault(ErrorCode.SLOT, f"Reliable DATA of slot {sender}, which is not in the roster (CC-ROSTER-011)")
    return False


def judge_peer_data(frame: Data, roster: RosterView) -> bool:
    """DATA from the peer of a peer-to-peer call (CC-ROSTER-073). False: a Lossy frame that overtook the ROSTER."""
    if not roster.epoch:
        if frame.reliable:
            raise LinkFault(ErrorCode.SLOT, f"Reliable DATA of slot {frame.sender} before the roster")
        return False
    if frame.sender != 1 - roster.own_slot:
        raise LinkFault(ErrorCode.SLOT, f"DATA of slot {frame.sender} from slot {1 - roster.own_slot}")
    block = frame.recipients
    if block is None:
        return True
    if block.epoch != 1:
        raise LinkFault(ErrorCode.EPOCH, f"a recipient block under epoch {block.epoch} in a peer-to-peer call")
    if not block.names_everyone and (block.everyone_but or block.slots != 1 << roster.own_slot):
        raise LinkFault(ErrorCode.SLOT, "a recipient block that names somebody but the peer")
    return True


def judge_group_control(frame: Control, roster: RosterView) -> bool:
    """CLOSE, FAIL, REFUSE, RECEIPT or CREDIT from a relay. Returns whether it is about this endpoint's own session."""
    own = roster.own_slot
    if isinstance(frame, Close):
        if frame.recipient != NO_SLOT:
            raise LinkFault(ErrorCode.SLOT, "CLOSE with a recipient")
        if frame.sender == own or not roster.is_known_or_draining(frame.sender):
            raise LinkFault(ErrorCode.SLOT, f"CLOSE of slot {frame.sender}")
        return False
    if isinstance(frame, Fail) and frame.sender != own:
        if frame.recipient != own or not roster.is_known_or_draining(frame.sender):
            raise LinkFault(ErrorCode.SLOT, f"FAIL of slot {frame.sender} for slot {frame.recipient}")
        return False
    if frame.sender != own:
        raise LinkFault(ErrorCode.SLOT, f"{frame.TYPE.name} of slot {frame.sender}")
    if isinstance(frame, Credit | Refuse):
        fits = frame.recipient == NO_SLOT
    else:
        fits = frame.recipient == NO_SLOT or (frame.recipient != own and roster.is_known_or_draining(frame.recipient))
    if not fits:
        raise LinkFault(ErrorCode.SLOT, f"{frame.TYPE.name} with recipient {frame.recipient}")
    return True


def judge_peer_control(frame: Control, roster: RosterView) -> bool:
    """CLOSE, FAIL, RECEIPT or CREDIT from the peer. Returns whether it is about this endpoint's own session."""
    if not roster.epoch:
        raise LinkFault(ErrorCode.SLOT, f"{frame.TYPE.name} before the roster")
    own, peer = roster.own_slot, 1 - roster.own_slot
    sender, recipient = (peer, NO_SLOT) if isinstance(frame, Close) else (own, peer)
    if (frame.sender, frame.recipient) != (sender, recipient):
        raise LinkFault(ErrorCode.SLOT, f"{frame.TYPE.name} with slots {frame.sender} and {frame.recipient}")
    return isinstance(frame, Fail | Receipt | Credit)
