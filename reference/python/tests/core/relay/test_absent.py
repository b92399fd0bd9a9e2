# SPDX-License-Identifier: Apache-2.0
"""A relay's messages to everyone whose owner did not know that somebody had left (CC-ROSTER-074)."""

from callchannel.core.frames import Ack, Data, Fail, Receipt, Roster
from callchannel.core.lanes import Lane
from callchannel.core.limits import MS
from callchannel.core.relay.owned import ReliableSession
from tests.core.relay.scripted import SECOND, Net
from tests.core.routes import four

GONE = 0x30


def test_a_broadcast_that_crosses_a_leave() -> None:
    """CC-ROSTER-062, CC-ROSTER-074: FAIL with the message's sequence, before the ACK, once in each session."""
    net, (ann, bob, _, dan) = four()
    ann.say(1)
    ann.acks = False
    dan.leave()
    ann.frames.clear()
    ann.say(2)
    ann.say(3)
    net.run(30 * MS)
    assert ann.order(Fail, Ack) == ["Fail", "Ack"]
    assert ann.one(Fail) == Fail(0, 3, 1, 2, GONE)
    assert len(bob.got(Data)) == 3
    ann.say(1, session=2, channel=6)
    assert ann.one(Fail) == Fail(0, 3, 2, 1, GONE)
    ann.say(1, session=3, channel=7, flags=0, lane=Lane.LOSSY)
    assert ann.got(Fail) == []
    assert len(bob.got(Data)) == 2


def test_who_has_acknowledged_the_leave_hears_nothing() -> None:
    """CC-ROSTER-074: the ACK comes with the message, and before it; another owner has not acknowledged it yet."""
    _, (ann, bob, carol, dan) = four()
    ann.acks = carol.acks = False
    ann.say(1)
    dan.leave()
    ann.send(Ack(ann.received), ann.data(2))
    ann.say(1, session=2, channel=6)
    assert ann.got(Fail) == []
    assert len(bob.got(Data)) == 3
    carol.say(1)
    assert carol.one(Fail) == Fail(2, 3, 1, 1, GONE)


def test_a_count_in_hello_does_not_acknowledge_a_leave() -> None:
    """CC-ROSTER-074: what is written again may have been written before the LEAVE came."""
    _, (ann, _, _, dan) = four()
    ann.acks = False
    dan.leave()
    ann.lose()
    ann.resume()
    ann.say(1)
    assert ann.one(Fail) == Fail(0, 3, 1, 1, GONE)


def test_who_was_never_told_of_or_left_before() -> None:
    """CC-ROSTER-074: only whose JOIN the owner was told of; not who left before the owner came."""
    net, (ann, _, _, dan) = four()
    dan.leave()
    erin = net.join("erin", acks=False)
    ann.blocked = True
    net.join("fred").leave()
    gina = net.join("gina")
    erin.say(1)
    assert erin.one(Fail) == Fail(4, 5, 1, 1, GONE), "JOIN and LEAVE of fred were written to erin"
    ann.say(1)
    gina.leave()
    ann.say(2)
    ann.unblock()
    assert ann.got(Fail) == []
    ann.frames.clear()
    hugo = net.join("hugo", acks=False)
    net.run(SECOND)
    assert ann.got(Roster)
    ann.acks = False
    hugo.leave()
    ann.say(3)
    assert ann.one(Fail).recipient == hugo.slot


def test_earlier_messages_and_receipts_are_not_touched() -> None:
    """CC-ROSTER-074, CC-DELIV-018, CC-DELIV-020: v is the message; good news of what was read before goes first."""
    _, (ann, bob, carol, dan) = four()
    ann.say(1, confirm=True)
    ann.acks = False
    dan.receipt(0, 1)
    dan.leave()
    ann.say(2)
    bob.receipt(0, 1)
    carol.receipt(0, 1)
    assert ann.order(Fail, Receipt) == ["Receipt", "Fail", "Receipt", "Receipt"]
    assert ann.one(Fail) == Fail(0, 3, 1, 2, GONE)
    assert [(frame.recipient, frame.value) for frame in ann.got(Receipt)] == [(3, 1), (1, 1), (2, 1)]


def test_nobody_is_left() -> None:
    """CC-RELAY-024: the message is admitted all the same."""
    net = Net()
    ann, bob = net.joined("ann", "bob")
    ann.acks = False
    bob.leave()
    ann.say(1)
    net.run(30 * MS)
    assert ann.one(Fail) == Fail(0, 1, 1, 1, GONE)
    assert ann.got(Ack)


def test_a_session_forgets_who_failed_when_the_slot_is_free() -> None:
    """CC-SEC-025: a session that goes on while many come and go costs no more than the call."""
    net = Net()
    (ann,) = net.joined("ann")
    for sequence in range(1, 150):
        guest = net.join("guest")
        net.run(100 * MS)
        ann.acks = False
        guest.leave()
        ann.say(sequence)
        ann.acks = True
        net.run(121 * SECOND)
    assert len(ann.got(Fail)) == 149
    session = net.relay._by_slot[0].uplink.sessions[1]
    assert isinstance(session, ReliableSession)
    assert len(session.failed) <= 64 + 4
