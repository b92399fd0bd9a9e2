# SPDX-License-Identifier: Apache-2.0
"""Steps 8 to 10: who may name whom (section 9.13), for each frame and each writer."""

from __future__ import annotations

from typing import Any

import pytest

from callchannel.core import frames as wire
from callchannel.core.errors import ErrorCode
from callchannel.core.events import LinkEnded, ReceiverCreated
from callchannel.core.lanes import Lane
from callchannel.core.recipients import NO_SLOT, Recipients
from tests.core.network import Wire, acceptor, data, group, peer

SOME = Recipients(4, False, 0b100)


def fault_of(link: Wire, frame: Any) -> int | None:
    """What a frame on the reliable lane does to the link: the code of its end, or None."""
    link.give(frame)
    ends = link.told(LinkEnded)
    if not ends:
        return None
    assert ends[0].code == link.take_of(wire.Bye)[-1].code
    return ends[0].code


def left(link: Wire, slot: int) -> None:
    link.give(wire.Roster(5, (wire.RosterEntry(wire.RosterOp.LEAVE, slot, 0x27),)))


CONTROL = [
    # from a relay, frame by frame: sender slot, recipient slot, fault (2 is the reader)
    (wire.Close, 0, NO_SLOT, None),
    (wire.Close, 3, NO_SLOT, None),  # draining
    (wire.Close, 0, 2, ErrorCode.SLOT),
    (wire.Close, 2, NO_SLOT, ErrorCode.SLOT),
    (wire.Close, 9, NO_SLOT, ErrorCode.SLOT),
    (wire.Fail, 0, 2, None),
    (wire.Fail, 3, 2, None),
    (wire.Fail, 0, 1, ErrorCode.SLOT),
    (wire.Fail, 0, NO_SLOT, ErrorCode.SLOT),
    (wire.Fail, 9, 2, ErrorCode.SLOT),
    (wire.Fail, 2, 0, None),
    (wire.Fail, 2, 3, None),
    (wire.Fail, 2, NO_SLOT, None),
    (wire.Fail, 2, 2, ErrorCode.SLOT),
    (wire.Fail, 2, 9, ErrorCode.SLOT),
    (wire.Receipt, 2, 0, None),
    (wire.Receipt, 2, 3, None),
    (wire.Receipt, 2, NO_SLOT, None),
    (wire.Receipt, 2, 2, ErrorCode.SLOT),
    (wire.Receipt, 2, 9, ErrorCode.SLOT),
    (wire.Receipt, 0, 2, ErrorCode.SLOT),
    (wire.Credit, 2, NO_SLOT, None),
    (wire.Credit, 2, 0, ErrorCode.SLOT),
    (wire.Credit, 0, NO_SLOT, ErrorCode.SLOT),
    (wire.Refuse, 2, NO_SLOT, None),
    (wire.Refuse, 2, 0, ErrorCode.SLOT),
    (wire.Refuse, 0, NO_SLOT, ErrorCode.SLOT),
]


def control(kind: Any, sender: int, recipient: int) -> wire.Control:
    reason = 0x33 if kind in (wire.Fail, wire.Refuse) else 0
    found: wire.Control = kind(sender, recipient, 1, 1, reason)
    return found


@pytest.mark.parametrize(("kind", "sender", "recipient", "code"), CONTROL)
def test_control_frames_from_a_relay(kind: Any, sender: int, recipient: int, code: int | None) -> None:
    """CC-FRAME-061, CC-LINK-080."""
    link = group()
    left(link, 3)
    assert fault_of(link, control(kind, sender, recipient)) == code


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (data(sender=0), None),
        (data(sender=3), None),
        (data(sender=2), ErrorCode.SLOT),
        (data(sender=9), ErrorCode.SLOT),
        (data(sender=0, recipients=SOME, flags=wire.RELIABLE | wire.PRIVATE), ErrorCode.FRAME_FORMAT),
        (data(sender=9, recipients=SOME, flags=wire.RELIABLE | wire.PRIVATE), ErrorCode.FRAME_FORMAT),
        (data(sender=2, flags=0), ErrorCode.SLOT),
        (data(sender=9, flags=0), None),
    ],
)
def test_data_from_a_relay(frame: wire.Data, code: int | None) -> None:
    """CC-ROSTER-010 to 012, CC-LINK-092: step 8 before step 9."""
    link = group()
    left(link, 3)
    assert fault_of(link, frame) == code


def test_a_lossy_frame_of_nobody_is_dropped_alone() -> None:
    """CC-ROSTER-012, on either lane; what stands behind it in the packet is taken."""
    link = group()
    for number, lane in enumerate(Lane, 1):
        link.give(data(sender=9, flags=0), data(number, sender=0, flags=0), lane=lane)
        assert len(link.told(ReceiverCreated)) == number
        assert link.endpoint.statistics().drops == {"unknown_sender": number}


def test_a_faulty_slot_on_the_lossy_lane_drops_the_rest_of_the_packet() -> None:
    link = group()
    link.give(data(sender=0, flags=0), data(2, sender=2, flags=0), data(3, sender=0, flags=0), lane=Lane.LOSSY)
    assert len(link.told(ReceiverCreated)) == 1
    assert link.told(LinkEnded) == []
    assert link.endpoint.statistics().drops == {"malformed": 1}


PEER_CONTROL = [
    # from the peer in slot `them` to this endpoint in slot `us`
    (wire.Close, "them", "none", None),
    (wire.Close, "them", "us", ErrorCode.SLOT),
    (wire.Close, "us", "none", ErrorCode.SLOT),
    (wire.Fail, "us", "them", None),
    (wire.Fail, "us", "none", ErrorCode.SLOT),
    (wire.Fail, "them", "us", ErrorCode.SLOT),
    (wire.Receipt, "us", "them", None),
    (wire.Receipt, "us", "none", ErrorCode.SLOT),
    (wire.Receipt, "them", "us", ErrorCode.SLOT),
    (wire.Credit, "us", "them", None),
    (wire.Credit, "us", "none", ErrorCode.SLOT),
    (wire.Refuse, "us", "none", ErrorCode.HANDSHAKE),
]


@pytest.mark.parametrize("role", ["initiator", "acceptor"])
@pytest.mark.parametrize(("kind", "sender", "recipient", "code"), PEER_CONTROL)
def test_control_frames_from_a_peer(role: str, kind: Any, sender: str, recipient: str, code: int | None) -> None:
    """CC-PEER-012 to 014."""
    us = 1 if role == "initiator" else 0
    slots = {"us": us, "them": 1 - us, "none": NO_SLOT}
    link = peer() if role == "initiator" else acceptor()
    assert fault_of(link, control(kind, slots[sender], slots[recipient])) == code


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"sender": 0}, None),
        ({"sender": 1}, ErrorCode.SLOT),
        ({"sender": 5, "flags": 0}, ErrorCode.SLOT),
        ({"recipients": Recipients(1, False, 0b10)}, None),
        ({"recipients": Recipients(2, False, 0b10)}, ErrorCode.EPOCH),
        ({"recipients": Recipients(2, False, 0b1000)}, ErrorCode.EPOCH),
        ({"recipients": Recipients(1, False, 0b11)}, ErrorCode.SLOT),
        ({"recipients": Recipients(1, False, 0b1)}, ErrorCode.SLOT),
        ({"recipients": Recipients(1, True, 0b10)}, ErrorCode.SLOT),
        ({"recipients": Recipients(1, True, 0), "flags": wire.RELIABLE | wire.CONFIRM}, None),
    ],
)
def test_data_from_a_peer(fields: dict[str, Any], code: int | None) -> None:
    """CC-ROSTER-073, CC-PEER-009, 010."""
    if "recipients" in fields:
        fields = {"flags": wire.RELIABLE | wire.PRIVATE} | fields
    assert fault_of(peer(), data(**fields)) == code


def unjoined(*, is_peer: bool) -> Wire:
    """An initiator that has WELCOME and no ROSTER yet."""
    link = peer() if is_peer else group()
    fresh = Wire(type(link.endpoint)(entropy=bytes, identity="carol", peer=link.endpoint._peer))
    (hello,) = fresh.take()
    fresh.give(fresh.welcome(hello, slot=1 if is_peer else 2))
    return fresh


@pytest.mark.parametrize("is_peer", [True, False])
@pytest.mark.parametrize("sender", [0, 1, 2, 3])
def test_nobody_is_known_before_the_roster(is_peer: bool, sender: int) -> None:
    """Reliable DATA and control frames are SLOT, and Lossy DATA, which can overtake the ROSTER, is dropped alone."""
    link = unjoined(is_peer=is_peer)
    link.give(data(sender=sender, flags=0), lane=Lane.LOSSY)
    assert link.endpoint.statistics().drops == {"unknown_sender": 1}
    block = Recipients(1, False, 0b10)
    link.give(data(sender=sender, flags=wire.PRIVATE, recipients=block), lane=Lane.LOSSY)
    assert link.told(LinkEnded) == []
    for frame in (data(sender=sender), wire.Close(sender, NO_SLOT, 1, 1), wire.Credit(sender, NO_SLOT, 1, 1)):
        assert fault_of(unjoined(is_peer=is_peer), frame) == ErrorCode.SLOT
