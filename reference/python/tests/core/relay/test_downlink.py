# SPDX-License-Identifier: Apache-2.0
"""The memory that one link can cost, and who pays for it."""

from callchannel.core.frames import HIGH, RELIABLE, Close, Data, Fail, Roster
from tests.core.relay.scripted import SECOND, Client, Net

MIB = 1_048_576
MEMORY = 0x25


def fill(owner: Client, session: int, count: int, size: int = 16_000, first: int = 1) -> None:
    """Send Reliable messages in a session of its own channel."""
    for sequence in range(first, first + count):
        owner.say(sequence, bytes(size - 16), session=session, channel=session)


def test_the_session_with_the_most_bytes_pays() -> None:
    """CC-RELAY-041, CC-LIMIT-013: up to the limit is fine; one victim, and again until it is kept."""
    net = Net(relay_link_memory=MIB, stall_time=60_000_000)
    ann, bob, carol, dan = net.joined("ann", "bob", "carol", "dan")
    dan.lose()
    for session in range(1, 5):
        fill(ann, session, 13)
    fill(carol, 1, 13)
    fill(ann, 5, 0)
    queued = net.relay.statistics().links[3].bytes_queued
    assert queued == 65 * 16_000
    carol.say(14, bytes(MIB - queued - 16), session=1, channel=1)
    assert net.relay.statistics().links[3].bytes_queued == MIB
    bob.say(1)
    assert carol.one(Fail) == Fail(2, 3, 1, 1, MEMORY)
    assert ann.got(Fail) == []
    assert net.relay.statistics().links[3].bytes_queued == MIB - (MIB - queued) - 13 * 16_000 + 18
    assert len(ann.got(Data)) == 15
    dan.resume()
    assert dan.one(Fail) == Fail(2, 3, 1, 1, MEMORY)
    assert len(dan.got(Data)) == 52 + 1


def test_among_equals_the_youngest_pays() -> None:
    """CC-RELAY-041: the one that began last."""
    net = Net(relay_link_memory=MIB, stall_time=60_000_000)
    ann, bob = net.joined("ann", "bob")
    bob.lose()
    for session in range(1, 6):
        fill(ann, session, 13)
    ann.say(1, bytes(16_000 - 16), session=6, channel=6)
    assert [frame.session for frame in ann.got(Fail)] == [5]


def test_a_link_that_recovers() -> None:
    """CC-RELAY-041: near the limit it is exact, and stays so while it is near."""
    net = Net(relay_link_memory=MIB, stall_time=60_000_000)
    ann, bob = net.joined("ann", "bob")
    bob.blocked = True
    downlink = net.relay._by_slot[1].downlink
    for session in range(1, 6):
        assert not downlink.is_tight
        fill(ann, session, 13)
    ann.say(14, bytes(8_000), session=1, channel=1)
    ann.say(14, bytes(100), session=2, channel=2)
    ann.say(15, bytes(100), session=1, channel=1)
    assert downlink.is_tight
    assert downlink.reserved == downlink.queued
    bob.unblock()
    assert not downlink.is_tight
    assert (downlink.reserved, downlink.queued) == (0, 0)
    assert ann.got(Fail) == []
    assert len(bob.got(Data)) == 68


def test_memory_does_not_leak_over_many_turns() -> None:
    """What routes have reserved is given back, whatever the order."""
    net = Net(relay_link_memory=MIB)
    ann, bob, carol = net.joined("ann", "bob", "carol")
    downlink = net.relay._by_slot[1].downlink
    for round_number in range(20):
        bob.blocked = round_number % 3 == 0
        for session in (1, 2, 3):
            for sequence in range(1, 4):
                size = 100 * session * sequence
                ann.say(10 * round_number + sequence, bytes(size), session=session, channel=session)
        assert downlink.reserved >= downlink.queued
        bob.unblock()
        assert (downlink.reserved, downlink.queued) == (0, 0)
    assert len(bob.got(Data)) == len(carol.got(Data)) == 180


def test_control_frames_that_wait_are_bounded() -> None:
    """CC-RELAY-045: FAIL, REFUSE, CLOSE, ROSTER; the link ends with MEMORY."""
    net = Net(relay_link_memory=MIB, resume_window=600_000_000)
    ann, bob = net.joined("ann", "bob")
    bob.lose()
    downlink = net.relay._by_slot[1].downlink
    downlink.control_bytes = MIB - 22  # as if so many CLOSE frames waited
    ann.say(1)
    ann.close(1)
    assert 1 in ann.roster
    ann.say(1, session=2)
    ann.close(1, session=2)
    net.run(SECOND)
    assert [entry.reason for frame in ann.got(Roster) for entry in frame.entries if entry.op == 2] == [MEMORY]


def test_refusals_that_wait_are_bounded() -> None:
    """CC-RELAY-045."""
    net = Net(relay_link_memory=MIB)
    ann = net.join("ann", may_send=False)
    net.run(SECOND)
    ann.blocked = True
    for session in range(1, 5):
        for number in range(12):
            frames = (ann.data(number * 1_000 + at, b"", session=session, channel=session) for at in range(1, 1_001))
            if net.relay.participants:
                ann.send_raw(b"".join(frame.encode() for frame in frames))
    assert net.relay.participants == ()
    assert net.events[-1].code == MEMORY


def test_control_bytes_are_given_back() -> None:
    net = Net()
    ann, bob = net.joined("ann", "bob")
    bob.blocked = True
    for session in range(1, 5):
        ann.say(1, session=session, channel=session, flags=RELIABLE if session % 2 else HIGH)
        ann.close(1, session=session)
    ann.say(1, session=5)
    ann.say(1, session=5)
    downlink = net.relay._by_slot[1].downlink
    assert downlink.control_bytes == 4 * 22
    bob.unblock()
    assert downlink.control_bytes == 0
    assert len(bob.got(Close)) == 5
    assert not downlink.routes


def test_sessions_of_one_owner_take_turns_on_a_link() -> None:
    """CC-SCHED-018, CC-SCHED-021: also when one of them waits for credit."""
    net = Net()
    ann, bob = net.joined("ann", "bob")
    carol = net.join("carol", window=65_536, reads=False)
    net.run(SECOND)
    carol.frames.clear()
    carol.blocked = True
    for sequence in range(1, 6):
        ann.say(sequence, bytes(16_000), session=1)
    for sequence in range(1, 4):
        ann.say(sequence, bytes(16_000), session=2, channel=6)
        bob.say(sequence, bytes(16_000), session=1)
    carol.unblock()
    order = [(frame.sender, frame.session) for frame in carol.got(Data)]
    assert order == [(0, 1), (1, 1), (0, 2), (1, 1), (0, 1), (1, 1), (0, 2), (0, 1), (0, 2), (0, 1)]
    carol.allow(0, 1 << 20)
    assert len(carol.got(Data)) == 1
