# SPDX-License-Identifier: Apache-2.0
"""Routes of a relay: credit, the stall, and recipients that leave (sections 10.7 and 10.8)."""

import pytest

from callchannel.core.frames import (
    CONFIRM,
    RELIABLE,
    Ack,
    Close,
    Credit,
    Data,
    Fail,
    Fragment,
    Roster,
)
from callchannel.core.lanes import Lane
from tests.core.relay.scripted import SECOND, Client, Net
from tests.core.routes import LEFT, LOST, OVERRUN, four


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


def test_the_stall_is_over_at_half_the_window() -> None:
    """CC-RELAY-038: not later."""
    net = Net(window=65_536)
    ann, bob = net.joined("ann", "bob")
    bob.blocked = True
    ann.say(1, b"")
    for sequence in range(2, 8):
        ann.say(sequence, bytes(8_192 - 16))
    for _ in range(3):
        take_one(bob)
    assert net.relay.statistics().links[1].bytes_queued == 32_768
    net.run(15 * SECOND)
    assert ann.got(Fail) == []


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


def test_an_owner_without_a_transport_is_told_at_the_next() -> None:
    """CC-RELAY-039: the relay decides in time, and tells the owner as soon as there is a transport to do it on."""
    net = Net(window=65_536)
    ann, bob = net.joined("ann", "bob")
    bob.blocked = True
    for sequence in range(1, 5):
        ann.say(sequence, bytes(16_000))
    ann.lose()
    net.run(10 * SECOND)
    bob.unblock()
    assert bob.order(Data, Fail) == ["Fail"]
    ann.resume()
    assert ann.one(Fail) == Fail(0, 1, 1, 1, OVERRUN)


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


def test_an_abort_takes_back_no_other_message() -> None:
    """Section 10.1: what was written before it, and not acknowledged, is owed all the same."""
    _, (ann, bob, _, _) = four()
    bob.acks = False
    ann.say(1)
    bob.blocked = True
    ann.say(2, b"x", fragment=Fragment(0, 9))
    ann.say(2, b"", fragment=Fragment(1, 9, abort=True))
    bob.leave()
    assert ann.one(Fail) == Fail(0, 1, 1, 1, LEFT, True)


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
