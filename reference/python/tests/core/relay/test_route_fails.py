# SPDX-License-Identifier: Apache-2.0
"""Routes of a relay: recipients that fail, and the bytes of a link (sections 10.7 and 10.8)."""

import pytest

from callchannel.core.frames import (
    Ack,
    Bye,
    Close,
    Data,
    Fail,
    Fragment,
    Receipt,
)
from callchannel.core.limits import MS
from callchannel.core.relay import owned
from tests.core.relay.scripted import SECOND, Net
from tests.core.routes import LEFT, LOST, OVERRUN, four

# --- recipients that fail ----------------------------------------------------------------------------------------


@pytest.fixture
def gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Receipts of more than one recipient are gathered, as those of large calls are."""
    monkeypatch.setattr(owned, "RECIPIENTS_REPORTED", 1)


def test_a_fail_from_a_recipient_is_passed_on() -> None:
    """CC-RELAY-051, CC-RELAY-054: value, reason and flag, once; later ones and crossing ones are dropped."""
    _, (ann, bob, _, _) = four()
    ann.say(1)
    ann.say(2)
    bob.fail(0, 2, 0xF001, uncertain=True)
    bob.fail(0, 1, 0x26)
    assert ann.one(Fail) == Fail(0, 1, 1, 2, 0xF001, True)
    bob.leave()
    assert ann.got(Fail) == []
    assert bob.got(Fail) == []


def test_a_count_in_hello_does_not_make_a_message_done() -> None:
    """CC-RELAY-046, CC-RELAY-048: the FAIL that the recipient wrote before is lost with its transport, and so is it."""
    net = Net()
    ann, bob = net.joined("ann", "bob")
    ann.say(1)
    bob.acks = False
    ann.say(2)
    ann.say(3)
    for _ in range(2):
        bob.lose()
        bob.resume()
    assert len(bob.got(Data)) == 3, "nothing is written again"
    bob.lose()
    net.run(60 * SECOND)
    assert ann.one(Fail) == Fail(0, 1, 1, 2, LOST, uncertain=True)


def test_an_ack_behind_a_count_in_hello_makes_messages_done() -> None:
    """CC-RELAY-047."""
    net = Net()
    ann, bob = net.joined("ann", "bob")
    bob.acks = False
    ann.say(1)
    ann.say(2)
    bob.lose()
    bob.resume()
    ann.say(3)
    bob.send(Ack(bob.received - 1))
    bob.leave()
    assert ann.one(Fail) == Fail(0, 1, 1, 3, LEFT, uncertain=True)


def test_a_fail_from_a_recipient_may_have_the_greatest_value() -> None:
    _, (ann, bob, _, _) = four()
    ann.say(1)
    bob.fail(0, 1 << 32)
    assert ann.one(Fail).value == 1 << 32
    ann.say(2)
    assert len(bob.got(Data)) == 1


def test_the_value_of_a_recipients_fail_is_lowered() -> None:
    """CC-RELAY-052, CC-RELAY-053: to the smallest owed and not wholly written; what is queued is discarded."""
    net, (ann, bob, _, _) = four()
    ann.say(1)
    bob.blocked = True
    ann.say(2)
    ann.say(3)
    bob.fail(0, 9)
    assert ann.one(Fail) == Fail(0, 1, 1, 2, 0x26)
    assert net.relay.statistics().links[1].bytes_queued == 0
    ann.close(3)
    bob.unblock()
    assert bob.order(Data, Close) == ["Data", "Close"]


def test_the_value_is_lowered_to_a_message_that_is_partly_there() -> None:
    """CC-RELAY-052."""
    _, (ann, bob, carol, _) = four()
    ann.say(1, b"x", fragment=Fragment(0, 9))
    bob.fail(0, 7)
    assert ann.one(Fail) == Fail(0, 1, 1, 1, 0x26)
    carol.blocked = True
    ann.say(1, b"", fragment=Fragment(1, 9, abort=True))
    ann.say(2, b"x", fragment=Fragment(0, 9))
    ann.say(2, b"", fragment=Fragment(1, 9, abort=True))
    carol.fail(0, 7)
    assert ann.one(Fail) == Fail(0, 2, 1, 7, 0x26), "aborted messages are not owed"


def test_fail_to_a_recipient_stands_behind_its_data() -> None:
    """CC-RELAY-032, CC-RELAY-050, CC-SESS-065: nothing follows it but CLOSE."""
    net = Net(window=65_536)
    ann, bob = net.joined("ann", "bob")
    bob.blocked = True
    ann.say(1, b"x", fragment=Fragment(0, 9))
    ann.say(1, b"", fragment=Fragment(1, 9, abort=True))
    for sequence in range(2, 6):
        ann.say(sequence, bytes(16_000))
    net.run(10 * SECOND)
    assert ann.one(Fail) == Fail(0, 1, 1, 2, OVERRUN)
    ann.say(6)
    ann.close(6)
    bob.unblock()
    assert bob.order(Data, Fail, Close) == ["Data", "Data", "Fail", "Close"]
    assert bob.one(Fail) == Fail(0, 1, 1, 2, OVERRUN)


@pytest.mark.usefixtures("gathered")
def test_receipts_that_arrived_go_before_fail() -> None:
    """CC-RELAY-055, CC-RELAY-056, CC-DELIV-020: also where receipts are aggregated."""
    net = Net()
    ann, bob, carol = net.joined("ann", "bob", "carol")
    transport = bob.transport
    assert transport is not None
    for sequence in (1, 2):
        ann.say(sequence, confirm=True)
    ann.blocked = True
    bob.send(Receipt(0, 1, 1, 1), Fail(0, 1, 1, 2, 0x26))
    carol.receipt(0, 2)
    ann.unblock()
    assert [frame for frame in ann.frames if isinstance(frame, (Receipt, Fail))] == [
        Receipt(0, 1, 1, 1),
        Fail(0, 1, 1, 2, 0x26),
        Receipt(0, 0xFFFF, 1, 2),
    ]


@pytest.mark.usefixtures("gathered")
def test_receipts_below_the_value_are_passed_on_after_fail() -> None:
    """CC-DELIV-021: with the recipient's slot, up to the sequence before v."""
    _, (ann, bob, carol, dan) = four()
    for sequence in range(1, 5):
        ann.say(sequence, confirm=True)
    bob.fail(0, 4)
    assert ann.one(Fail).value == 4
    assert ann.got(Receipt) == []
    for value in (1, 1, 3, 4):
        bob.receipt(0, value)
    assert ann.got(Receipt) == [Receipt(0, 1, 1, 1), Receipt(0, 1, 1, 3)]
    carol.receipt(0, 4)
    dan.receipt(0, 2)
    assert ann.got(Receipt) == [Receipt(0, 0xFFFF, 1, 2)]
    ann.close(4)
    bob.leave()
    assert ann.got(Fail) == []


@pytest.mark.usefixtures("gathered")
def test_a_recipient_that_fails_and_then_leaves() -> None:
    """CC-RELAY-054: one FAIL; the aggregate does not wait for it."""
    _, (ann, bob, carol, dan) = four()
    ann.say(1, confirm=True)
    ann.say(2, confirm=True)
    bob.fail(0, 2)
    bob.leave()
    for client in (carol, dan):
        client.receipt(0, 2)
    assert len(ann.got(Fail)) == 1
    assert ann.got(Receipt)[-1] == Receipt(0, 0xFFFF, 1, 2)


def test_fail_is_written_before_the_ack() -> None:
    """CC-RELAY-023, CC-DELIV-018."""
    net, (ann, bob, _, dan) = four()
    net.run(SECOND)
    ann.frames.clear()
    dan.leave()
    ann.say(1, to=[1, 3], epoch=4)
    bob.fail(0, 1)
    net.run(100 * MS)
    order = ann.order(Fail, Ack)
    assert order.index("Ack") == 2
    assert order[:2] == ["Fail", "Fail"]


# --- the link's bytes --------------------------------------------------------------------------------------------


def test_what_is_not_acknowledged_is_bounded() -> None:
    """CC-LINK-035: DATA waits, CLOSE does not; everything goes on with the ACK."""
    net = Net(unacknowledged=65_536)
    ann, bob = net.joined("ann", "bob")
    bob.acks = False
    for sequence in range(1, 8):
        ann.say(sequence, bytes(16_000))
    ann.say(1, session=2, channel=6)
    assert len(bob.got(Data)) == 5
    ann.say(1, session=3, channel=7)
    ann.say(8, session=1)
    bob.ack()
    assert [(frame.session, frame.sequence) for frame in bob.got(Data)] == [(1, 6), (2, 1), (3, 1), (1, 7), (1, 8)]


def test_small_frames_stop_at_the_same_bound() -> None:
    """CC-LINK-035: a run of small frames does not pass it by more than a frame."""
    net = Net(unacknowledged=65_536)
    ann, bob = net.joined("ann", "bob")
    bob.acks = False
    bob.blocked = True
    for sequence in range(1, 601):
        ann.say(sequence, bytes(111))
    bob.unblock()
    written = net.relay._by_slot[1].custody.unacked_bytes
    assert 65_536 <= written < 65_536 + 127
    bob.ack()
    assert [frame.sequence for frame in bob.got(Data)] == list(range(1, 601))


def test_a_dead_link_takes_its_timers_along() -> None:
    net = Net(window=65_536)
    ann, bob = net.joined("ann", "bob")
    bob.blocked = True
    for sequence in range(1, 5):
        ann.say(sequence, bytes(16_000))
    bob.leave()
    fail = ann.one(Fail)
    net.run(20 * SECOND)
    assert fail.reason == LEFT
    assert ann.got(Fail) == []
    assert Bye not in {type(frame) for frame in ann.frames}
