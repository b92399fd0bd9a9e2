# SPDX-License-Identifier: Apache-2.0
"""The relay's part of the validation order: who may name whom, and which fault decides."""

from typing import Any

import pytest

from callchannel.core.frames import (
    PRIVATE,
    RELIABLE,
    Ack,
    Bye,
    Close,
    Control,
    Credit,
    Data,
    Fail,
    Fragment,
    Receipt,
    Roster,
)
from callchannel.core.lanes import Lane
from tests.core.relay.scripted import SECOND, Client, Net

SLOT, FORMAT, EPOCH = 0x08, 0x07, 0x09


def three() -> tuple[Net, list[Client]]:
    net = Net()
    clients = net.joined("ann", "bob", "carol")
    clients[0].say(1)
    clients[1].got(Data)
    return net, clients


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"sender": 1}, SLOT),
        ({"sender": 7}, SLOT),
        ({"to": [0]}, SLOT),
        ({"to": [0, 1]}, SLOT),
        ({"everyone_but": [0, 1]}, SLOT),
        ({"to": [1, 3]}, SLOT),
        ({"everyone_but": [3]}, SLOT),
        ({"to": [2], "epoch": 2}, SLOT),
        ({"everyone_but": [2], "epoch": 2}, SLOT),
        ({"to": [1], "epoch": 4}, EPOCH),
        ({"to": [9], "epoch": 4}, EPOCH),
        ({"sender": 1, "to": [9], "epoch": 4}, SLOT),
        ({"flags": RELIABLE | PRIVATE}, FORMAT),
        ({"flags": RELIABLE | PRIVATE, "sender": 1}, FORMAT),
        ({"flags": RELIABLE | PRIVATE, "fragment": Fragment(0, 9)}, FORMAT),
        ({"flags": PRIVATE}, FORMAT),
        ({"flags": PRIVATE, "fragment": Fragment(1, 2, last=True)}, FORMAT),
    ],
)
def test_data_that_ends_the_link(options: dict[str, Any], code: int) -> None:
    """CC-LINK-079, CC-LINK-080, CC-LINK-081, CC-LINK-091, CC-ROSTER-010, CC-ROSTER-054, CC-ROSTER-055,
    CC-ROSTER-056, CC-ROSTER-057, CC-FRAME-046: it is not counted.
    """
    net, (ann, bob, _) = three()
    received = net.relay._by_slot[0].custody.received
    port = net.relay._by_slot[0]
    ann.say(2, **options)
    assert ann.bye == code
    assert port.custody.received == received  # CC-LINK-069
    assert bob.got(Data) == []


@pytest.mark.parametrize(
    "options",
    [
        {"to": [1], "epoch": 2},
        {"to": [1], "epoch": 3},
        {"everyone_but": [1], "epoch": 2},
        {"everyone_but": [], "epoch": 1, "confirm": True},
        {"flags": RELIABLE | PRIVATE, "fragment": Fragment(1, 9)},
    ],
)
def test_data_that_does_not(options: dict[str, Any]) -> None:
    """Section 4.7: any older epoch is legal, also one before the writer joined; a later fragment needs no block."""
    _, (ann, _, carol) = three()
    ann.say(2, b"x", fragment=Fragment(0, 9), to=[1]) if "fragment" in options else None
    ann.say(2, **options)
    assert ann.bye is None
    assert carol.slot == 2


@pytest.mark.parametrize(
    "frame",
    [
        Close(0, 0xFFFF, 1, 1),
        Close(1, 0, 1, 1),
        Receipt(0, 2, 1, 1),
        Receipt(0, 0xFFFF, 1, 1),
        Receipt(1, 1, 1, 1),
        Receipt(3, 1, 1, 1),
        Credit(0, 0, 1, 1),
        Credit(9, 1, 1, 1),
        Fail(0, 2, 1, 1, 0x26),
        Fail(1, 1, 1, 1, 0x26),
        Fail(0, 0xFFFF, 1, 1, 0x26),
    ],
)
def test_control_frames_that_name_a_wrong_slot(frame: Control) -> None:
    """CC-LINK-080, CC-FRAME-061: written by Bob, slot 1."""
    _, (_, bob, _) = three()
    bob.send(frame)
    assert bob.bye == SLOT


def test_control_frames_about_the_gone() -> None:
    """Section 9.13: a slot in quarantine may be named; one that was not announced yet, or is free again, may not."""
    net, (ann, bob, carol) = three()
    ann.leave()
    net.run(SECOND)
    bob.receipt(0, 1)
    bob.credit(0, 1 << 20)
    assert bob.bye is None
    net.join("dan")
    net.join("erin")
    assert bob.epoch < net.relay._call.membership.epoch
    bob.credit(4, 1)
    assert bob.bye == SLOT
    net.run(130 * SECOND)
    carol.credit(0, 1)
    assert carol.bye == SLOT


def test_a_packet_with_two_faults() -> None:
    """CC-LINK-065, CC-LINK-066, CC-LINK-068, CC-LINK-069, CC-LINK-070: the example of section 9.13."""
    net = Net()
    ann, _, carol = net.joined("ann", "bob", "carol")
    port = net.relay._by_slot[2]
    first = "01010012 00050002 00000007 00000003 6869"
    second = "01010012 00000009 00000007 00000001 6e6f"
    third = "4300000c 0000000000000029"
    carol.send_raw(bytes.fromhex(first + second + third))
    assert [frame.sequence for frame in ann.got(Data)] == [3]
    assert carol.one(Bye).code == FORMAT
    assert port.custody.received == 1


@pytest.mark.parametrize("lane", list(Lane))
def test_the_same_two_frames_lossy(lane: Lane) -> None:
    """CC-LINK-067."""
    net = Net()
    ann, _, carol = net.joined("ann", "bob", "carol")
    first = "01000012 00050002 00000007 00000003 6869"
    second = "01000012 00000009 00000007 00000001 6e6f"
    carol.send_raw(bytes.fromhex(first + second), lane)
    assert [frame.sequence for frame in ann.got(Data)] == [3]
    assert carol.bye == (FORMAT if lane is Lane.RELIABLE else None)
    assert net.relay.statistics().drops == ({"malformed": 1} if lane is Lane.LOSSY else {})


def test_a_later_step_leaves_the_frame_counted() -> None:
    """CC-LINK-070, CC-LINK-071, CC-LINK-083: what is dropped counts."""
    net, (ann, bob, _) = three()
    port = net.relay._by_slot[0]
    before = port.custody.received
    for sequence in (1, 1, 7):
        ann.say(sequence)
    ann.close(9)
    ann.fail(1, 3, session=5)
    assert port.custody.received == before + 5
    assert ann.bye is None
    net.run(SECOND)
    assert ann.got(Ack)[-1].received == port.custody.received
    assert Roster not in {type(frame) for frame in bob.frames}
