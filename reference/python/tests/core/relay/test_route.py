# SPDX-License-Identifier: Apache-2.0
"""Queues, credit, the stall, and recipients that fail."""

import pytest

from callchannel.core.frames import (
    CONFIRM,
    RELIABLE,
    Ack,
    Bye,
    Close,
    Credit,
    Data,
    Fail,
    Fragment,
    Receipt,
    Roster,
)
from callchannel.core.lanes import Lane
from callchannel.core.limits import MS
from tests.core.relay.scripted import SECOND, Client, Net

LEFT, LOST, OVERRUN = 0x27, 0x28, 0x24


def four(**limits: int) -> tuple[Net, list[Client]]:
    net = Net(**limits)
    return net, net.joined("ann", "bob", "carol", "dan")


def take_one(client: Client) -> None:
    """Let a transport that is blocked take one packet with DATA."""
    assert client.transport is not None
    client.frames.clear()
    while not client.got(Data):
        for packet in client.net.relay.pull(client.transport, Lane.RELIABLE, 1, client.net.now):
            client.take(Lane.RELIABLE, packet)
    client.ack()


# --- credit ------------------------------------------------------------------------------------------------------


def test_no_more_than_the_recipient_allows() -> None:
    """CC-RELAY-035, CC-DELIV-047, CC-DELIV-048, CC-DELIV-049: `Client` checks each frame; a lower limit has no
    effect.
    """
    net = Net()
    ann, bob = net.joined("ann", "bob", window=65_536, reads=False)
    for sequence in range(1, 13):
        ann.say(sequence, bytes(15_984))
    assert len(bob.got(Data)) == 4
    bob.allow(0, 65_536 + 15_999 - 1_536)
    assert bob.got(Data) == []
    bob.allow(0, 65_536 + 16_000 - 1_536)
    assert len(bob.got(Data)) == 1
    bob.credit(0, 70_000)
    bob.allow(0, 1 << 40)
    assert len(bob.got(Data)) == 7


def test_abort_needs_no_credit() -> None:
    """Section 10.7: ABORT counts in neither limit."""
    net = Net()
    ann, bob = net.joined("ann", "bob", window=65_536, reads=False)
    for index in range(4):
        ann.say(1, bytes(16_384 - 24), fragment=Fragment(index, 0))
    assert len(bob.got(Data)) == 4
    ann.say(1, b"", fragment=Fragment(4, 0, abort=True))
    ann.close(1)
    assert bob.order(Data, Close) == ["Data", "Close"]


def test_the_limit_of_an_owner() -> None:
    """CC-RELAY-036, CC-RELAY-037: the arithmetic of section 10.7, and the trace of the slow reader in 10.8."""
    net = Net()
    ann, bob, carol, dan = net.joined("ann", "bob", "carol", "dan")
    dan.reads = False
    for sequence in range(1, 33):
        carol.say(sequence, bytes(16_000), to=[1, 3])
        carol.send(Ack(carol.received))
    credits = [frame.value for frame in carol.got(Credit)]
    assert max(credits) <= 32 * 16_028 + 262_144
    session = net.relay._by_slot[2].uplink.sessions[1]
    queued = net.relay.statistics().links[3].bytes_queued
    assert queued == 16 * 16_028
    assert session.limit() == 32 * 16_028 + 262_144 - queued  # type: ignore[union-attr]
    carol.say(33, bytes(984), to=[1])
    assert session.limit() == 32 * 16_028 + 1_012 + 262_144 - queued  # type: ignore[union-attr]
    assert ann.frames == []
    assert len(bob.got(Data)) == 33


def test_a_slow_reader() -> None:
    """CC-RELAY-036, CC-RELAY-037, CC-RELAY-038, CC-RELAY-039, CC-RELAY-048, CC-RELAY-049, CC-RELAY-050,
    CC-RELAY-053: the whole example of section 10.8.
    """
    net = Net()
    _, bob, carol, dan = net.joined("ann", "bob", "carol", "dan")
    dan.reads = False
    for sequence in range(1, 33):
        carol.say(sequence, bytes(16_000))
    assert [link.bytes_queued for link in net.relay.statistics().links] == [0, 0, 0, 256_256]
    assert carol.got(Credit)[-1].value == 518_400
    assert len(bob.got(Data)) == 32
    net.run(10 * SECOND - 1)
    assert carol.got(Fail) == []
    net.run(1)
    assert carol.one(Fail) == Fail(2, 3, 1, 17, OVERRUN)
    assert dan.one(Fail) == Fail(2, 3, 1, 17, OVERRUN)
    assert carol.one(Credit).value == 774_656
    carol.say(33, bytes(16_000))
    carol.close(40)
    assert len(bob.got(Data)) == 1
    assert bob.one(Close).value == 40
    assert len(dan.got(Data)) == 16
    assert dan.one(Close).value == 40
    carol.say(1, session=2, channel=6)
    assert len(dan.got(Data)) == 1, "every other session still reaches him"


def test_the_stall_begins_anew_each_time() -> None:
    """CC-RELAY-038, CC-RELAY-039: full from above the window less 16,384 until at most half of it is left."""
    net = Net(window=65_536)
    ann, bob = net.joined("ann", "bob")
    bob.blocked = True
    for sequence in range(1, 4):
        ann.say(sequence, bytes(16_384 - 16))
    net.run(20 * SECOND)
    ann.say(4, b"")  # 49,152 + 16
    net.run(9 * SECOND)
    take_one(bob)
    net.run(SECOND - 1)  # 32,784 wait: still full
    assert ann.got(Fail) == []
    take_one(bob)
    net.run(15 * SECOND)  # not full any more
    assert ann.got(Fail) == []
    ann.say(5, bytes(16_384 - 16))
    ann.say(6, bytes(16_384 - 16))
    net.run(10 * SECOND - 1)
    assert ann.got(Fail) == []
    net.run(1)
    assert ann.one(Fail) == Fail(0, 1, 1, 3, OVERRUN)


def test_the_stall_goes_on_while_suspended() -> None:
    """CC-RELAY-040."""
    net = Net(window=65_536)
    ann, bob = net.joined("ann", "bob")
    bob.lose()
    for sequence in range(1, 5):
        ann.say(sequence, bytes(16_000))
    net.run(10 * SECOND)
    assert ann.one(Fail) == Fail(0, 1, 1, 1, OVERRUN)
    bob.resume()
    assert bob.order(Data, Fail) == ["Fail"]


def test_credit_is_due_when_the_longest_queue_gets_shorter() -> None:
    """CC-RELAY-036, CC-RELAY-037: of several slow recipients the slowest counts."""
    net = Net(window=65_536)
    ann, bob, carol = net.joined("ann", "bob", "carol")
    bob.blocked = carol.blocked = True
    for sequence in range(1, 5):
        ann.say(sequence, bytes(16_384 - 16))
    assert ann.got(Credit) == []
    bob.unblock()
    assert ann.got(Credit) == []
    carol.unblock()
    assert ann.one(Credit).value == 2 * 65_536


def test_credit_grows_when_the_slowest_goes() -> None:
    net = Net(window=65_536)
    ann, bob, carol = net.joined("ann", "bob", "carol")
    bob.blocked = carol.blocked = True
    for sequence in range(1, 5):
        ann.say(sequence, bytes(16_384 - 16))
    bob.leave()
    assert ann.got(Credit) == []
    carol.fail(0, 1)
    assert ann.one(Credit).value == 2 * 65_536


def test_an_aborted_message_that_nobody_takes() -> None:
    """Section 10.8: nothing is owed when the relay decides; v is the first sequence that is discarded."""
    net = Net(window=65_536)
    ann, bob = net.joined("ann", "bob")
    bob.blocked = True
    for index in range(4):
        ann.say(1, bytes(16_000), fragment=Fragment(index, 0))
    ann.say(1, b"", fragment=Fragment(4, 0, abort=True))
    net.run(10 * SECOND)
    assert ann.one(Fail) == Fail(0, 1, 1, 1, OVERRUN)
    ann.say(2)
    bob.unblock()
    assert bob.order(Data, Fail) == ["Fail"]


def test_what_a_failed_recipient_does_not_take_is_discarded() -> None:
    """CC-RELAY-053: below v the aborted message was kept; it does not stay for ever, and there is no second FAIL."""
    net = Net(window=65_536)
    ann, bob = net.joined("ann", "bob")
    bob.blocked = True
    for index in range(4):
        ann.say(1, bytes(16_000), fragment=Fragment(index, 0))
    ann.say(1, b"", fragment=Fragment(4, 0, abort=True))
    bob.fail(0, 2)
    assert net.relay.statistics().links[1].bytes_queued == 4 * 16_024
    assert ann.one(Fail).value == 2
    net.run(10 * SECOND)
    assert net.relay.statistics().links[1].bytes_queued == 0
    assert ann.got(Fail) == []
    ann.say(2)
    ann.close(2)
    bob.unblock()
    assert bob.order(Data, Fail, Close) == ["Close"]


def test_a_blocked_route_wakes_when_its_session_fails() -> None:
    """CC-RELAY-059: FAIL does not need the credit that the discarded data waited for."""
    net = Net()
    ann, bob = net.joined("ann", "bob", window=65_536, reads=False)
    for sequence in range(1, 7):
        ann.say(sequence, bytes(16_000), confirm=True)
    assert len(bob.got(Data)) == 4
    bob.fail(0, 5)
    ann.say(6)
    assert bob.order(Fail, Close) == ["Close"]
    assert [frame.recipient for frame in ann.got(Fail)] == [1, 0xFFFF]


# --- recipients that leave or die --------------------------------------------------------------------------------


def test_nothing_owed_no_fail() -> None:
    """CC-RELAY-047; done without CONFIRM: acknowledged; with CONFIRM: covered by a RECEIPT."""
    _, (ann, bob, carol, dan) = four()
    ann.say(1)
    bob.leave()
    ann.say(2, confirm=True)
    carol.receipt(0, 2)
    carol.leave()
    assert ann.got(Fail) == []
    dan.leave()
    assert ann.one(Fail) == Fail(0, 3, 1, 2, LEFT, True)


@pytest.mark.parametrize(("bye", "code"), [(True, LEFT), (False, LOST)])
def test_a_recipient_that_leaves_or_dies(bye: bool, code: int) -> None:
    """CC-RELAY-046, CC-RELAY-048, CC-RELAY-049: v is the smallest owed; uncertain if it was wholly written."""
    net, (ann, bob, _, _) = four(resume_window=0)
    bob.acks = False
    ann.say(1)
    bob.ack()
    ann.say(2)
    bob.blocked = True
    ann.say(3)
    ann.say(1, session=2, channel=6)
    bob.leave() if bye else bob.lose()
    assert set(map(str, ann.got(Fail))) == {
        str(Fail(0, 1, 1, 2, code, True)),
        str(Fail(0, 1, 2, 1, code, False)),
    }
    assert net.relay.statistics().links[0].sessions == 2


def test_a_recipient_that_leaves_in_mid_message() -> None:
    """CC-RELAY-049, CC-RELAY-053: the example of section 10.8; FAIL before the ACK that covers the last fragment."""
    net, (ann, bob, carol, dan) = four()
    carol.say(1, to=[1, 3])
    carol.say(2, bytes(16_000), to=[1, 3], fragment=Fragment(0, 40_000))
    carol.say(2, bytes(16_000), flags=RELIABLE | 0x10, fragment=Fragment(1, 40_000))
    dan.leave()
    assert carol.order(Roster, Fail) == ["Roster", "Fail"]
    carol.say(2, bytes(8_000), flags=RELIABLE | 0x10, fragment=Fragment(2, 40_000, last=True))
    net.run(SECOND)
    assert carol.order(Fail, Ack)[-2:] == ["Fail", "Ack"]
    assert carol.one(Fail) == Fail(2, 3, 1, 2, LEFT, False)
    assert len(bob.got(Data)) == 4
    assert ann.got(Data) == []


@pytest.mark.parametrize("written", [True, False])
def test_aborted_messages_are_not_owed(written: bool) -> None:
    """Section 10.1: a message that its owner aborted is not owed."""
    _, (ann, bob, _, _) = four()
    bob.acks = False
    bob.blocked = not written
    ann.say(1, b"x", fragment=Fragment(0, 9))
    ann.say(1, b"", fragment=Fragment(1, 9, abort=True))
    ann.say(1, b"x", fragment=Fragment(0, 9), session=2, channel=6, confirm=True)
    ann.say(1, b"", fragment=Fragment(1, 9, abort=True), session=2, channel=6, flags=RELIABLE | CONFIRM)
    ann.say(1, session=3, channel=7)
    bob.leave()
    assert ann.one(Fail) == Fail(0, 1, 3, 1, LEFT, written)


def test_an_abort_that_waits_behind_what_was_written() -> None:
    _, (ann, bob, _, _) = four()
    bob.acks = False
    ann.say(1, b"x", fragment=Fragment(0, 9))
    bob.blocked = True
    ann.say(1, b"", fragment=Fragment(1, 9, abort=True))
    ann.say(2)
    bob.leave()
    assert ann.one(Fail) == Fail(0, 1, 1, 2, LEFT, False)


def test_fail_for_the_last_recipient_in_mid_message() -> None:
    """Section 10.14: later fragments are taken, consumed at once, and go nowhere."""
    net = Net(window=65_536)
    ann, bob = net.joined("ann", "bob")
    ann.say(1, b"x" * 16_000, fragment=Fragment(0, 0))
    bob.leave()
    assert ann.one(Fail).value == 1
    limit, sent = 65_536, 16_024
    for index in range(1, 20):
        assert sent + 16_024 <= limit
        ann.say(1, b"x" * 16_000, fragment=Fragment(index, 0))
        sent += 16_024
        limit = max([limit, *(frame.value for frame in ann.got(Credit))])
    ann.say(1, b"", fragment=Fragment(20, 0, last=True))
    assert ann.bye is None
    assert ann.got(Fail) == []


# --- recipients that fail ----------------------------------------------------------------------------------------


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
