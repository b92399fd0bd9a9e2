# SPDX-License-Identifier: Apache-2.0
"""Lossy data: lanes, freshness, and queues that drop the oldest."""

import pytest

from callchannel.core.extensions import Extension
from callchannel.core.frames import HIGH, LATEST, Close, Data, Fail, Fragment, Roster
from callchannel.core.lanes import Lane
from callchannel.core.limits import MS
from tests.core.relay.scripted import SECOND, Client, Net


def three(**limits: int) -> tuple[Net, list[Client]]:
    net = Net(**limits)
    return net, net.joined("ann", "bob", "carol")


def drops(net: Net, slot: int) -> dict[str, int]:
    """What was dropped of a link."""
    return dict(next(link.drops for link in net.relay.statistics().links if link.slot == slot))


def lifetime(milliseconds: int) -> Extension:
    return Extension(3, milliseconds.to_bytes(4, "big"))


def lanes(client: Client) -> list[Lane]:
    return [lane for lane, packet in client.packets if packet[0] == 1]


# --- lanes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("came", list(Lane))
def test_the_lane_is_the_recipients(came: Lane) -> None:
    """CC-RELAY-033, CC-LINK-004, CC-LINK-005, CC-MODEL-010."""
    net = Net()
    ann, bob = net.joined("ann", "bob")
    carol = net.join("carol", lossy=False)
    net.run(100 * MS)
    bob.packets.clear()
    carol.packets.clear()
    ann.say(1, flags=0, lane=came)
    ann.say(2, b"x" * 512, flags=0, lane=came, fragment=Fragment(0, 600))
    ann.say(2, b"x" * 88, flags=0, lane=Lane(1 - came), fragment=Fragment(1, 600, last=True))
    assert lanes(bob) == [Lane.LOSSY] * 3
    assert lanes(carol) == [Lane.RELIABLE] * 3
    assert len(bob.got(Data)) == len(carol.got(Data)) == 3


def test_the_lane_opens_and_closes() -> None:
    """CC-LINK-003, CC-LINK-004: what waits moves to the other lane."""
    net, (ann, bob, _) = three()
    assert bob.transport is not None
    bob.blocked = True
    ann.say(1, flags=0)
    ann.say(1, session=2, channel=6)
    net.relay.lossy_lane(bob.transport, False, net.now)
    ann.say(2, flags=0)
    bob.unblock()
    assert lanes(bob)[:1] == [Lane.RELIABLE]
    assert Lane.LOSSY not in lanes(bob)
    assert len(bob.got(Data)) == 3
    bob.packets.clear()
    bob.blocked = True
    ann.say(3, flags=0)
    net.relay.lossy_lane(bob.transport, True, net.now)
    bob.unblock()
    assert lanes(bob) == [Lane.LOSSY]


def test_turns_on_the_reliable_lane() -> None:
    """Section 8.5: Lossy DATA takes turns with all other data frames."""
    net = Net()
    (ann,) = net.joined("ann")
    bob = net.join("bob", lossy=False)
    net.run(100 * MS)
    bob.frames.clear()
    bob.blocked = True
    for sequence in range(1, 4):
        ann.say(sequence, bytes(900))
        ann.say(sequence, bytes(900), session=2, channel=6, flags=0)
    ann.close(3, session=2)
    bob.unblock()
    assert [frame.session for frame in bob.got(Data)] == [1, 2, 1, 2, 1, 2]
    assert bob.one(Close).session == 2


def test_a_blocked_lossy_lane_does_not_hold_up_the_other() -> None:
    """CC-SCHED-003."""
    net, (ann, bob, _) = three()
    bob.blocked = True
    ann.say(1, b"lossy", flags=0)
    ann.say(1, b"reliable", session=2, channel=6)
    assert bob.transport is not None
    for packet in net.relay.pull(bob.transport, Lane.RELIABLE, 65_536, net.now):
        bob.take(Lane.RELIABLE, packet)
    assert bob.payloads() == [b"reliable"]


# --- recipients --------------------------------------------------------------------------------------------------


def test_the_set_is_found_anew_for_each_fragment() -> None:
    """CC-ROSTER-068, CC-ROSTER-069, CC-RELAY-026."""
    net, (ann, bob, carol) = three()
    fragments = [Fragment(index, 1_100, last=index == 2) for index in range(3)]
    ann.say(1, bytes(512), flags=0, fragment=fragments[0])
    ann.say(2, bytes(512), flags=0, fragment=fragments[0], to=[1, 2])
    dan = net.join("dan")
    carol.leave()
    ann.say(1, bytes(512), flags=0, fragment=fragments[1])
    ann.say(2, bytes(512), flags=0, fragment=fragments[1], to=[1, 2], epoch=3)
    assert [frame.sequence for frame in bob.got(Data)] == [1, 2, 1, 2]
    assert [frame.sequence for frame in carol.got(Data)] == [1, 2]
    assert [frame.sequence for frame in dan.got(Data)] == [1]
    assert ann.got(Fail) == []
    assert drops(net, 0) == {"no_recipients": 1}


def test_who_is_gone_or_failed_is_passed_over() -> None:
    """CC-ROSTER-064, CC-ROSTER-065: without any frame, recorded for each recipient and message."""
    net, (ann, bob, carol) = three()
    ann.say(1, flags=0)
    bob.fail(0, 2)
    assert ann.one(Fail) == Fail(0, 1, 1, 2, 0x26)
    bob.fail(0, 2)
    carol.leave()
    net.run(SECOND)
    ann.say(2, flags=0, to=[1, 2], epoch=3)
    ann.say(3, flags=0, to=[1, 2], epoch=3)
    ann.say(4, flags=0)
    assert len(bob.got(Data)) == 1
    assert ann.got(Fail) == []
    assert drops(net, 0) == {"no_recipients": 5}
    ann.close(4)
    assert len(bob.got(Close)) == 1


def test_a_fail_discards_what_waits() -> None:
    """CC-RELAY-053."""
    _, (ann, bob, _) = three()
    ann.say(1, flags=0)
    bob.blocked = True
    ann.say(2, flags=0)
    bob.fail(0, 3)
    bob.unblock()
    assert len(bob.got(Data)) == 1


def test_the_suspended_get_nothing() -> None:
    """CC-LINK-042; section 10.10: what waits and what comes is dropped, and recorded for the recipient's link."""
    net, (ann, bob, carol) = three()
    bob.blocked = True
    ann.say(1, flags=0)
    ann.say(2, b"x" * 512, flags=0, fragment=Fragment(0, 600))
    bob.lose()
    bob.blocked = False
    ann.say(3, flags=0)
    ann.say(1, flags=0, session=2, channel=6)
    bob.resume()
    assert bob.got(Data) == []
    assert drops(net, 1) == {"suspended": 4}
    assert len(carol.got(Data)) == 4
    ann.say(4, flags=0)
    assert len(bob.got(Data)) == 1


def test_who_got_nothing_is_not_told_of_the_end() -> None:
    """CC-RELAY-031: DATA was queued for nobody else."""
    net, (ann, bob, carol) = three()
    bob.lose()
    ann.say(1, flags=0)
    bob.resume()
    ann.close(1)
    assert bob.got(Close) == []
    assert len(carol.got(Close)) == 1
    assert not net.relay._by_slot[1].downlink.routes


def test_what_waits_for_a_link_that_dies() -> None:
    net, (ann, bob, _) = three()
    bob.blocked = True
    ann.say(1, flags=0)
    bob.leave()
    assert net.relay.statistics().drops == {"link_dead": 1}
    ann.say(2, flags=0)
    assert net.relay.statistics().drops == {"link_dead": 1}


def test_join_goes_before_lossy_data_too() -> None:
    """CC-ROSTER-012 makes it no rule; the relay need not make anybody drop."""
    net = Net()
    (ann,) = net.joined("ann")
    net.join("bob")
    carol = net.join("carol")
    ann.frames.clear()
    carol.say(1, flags=0)
    assert ann.order(Roster, Data) == ["Roster", "Data"]


# --- queues ------------------------------------------------------------------------------------------------------


def test_the_oldest_is_dropped_first() -> None:
    """CC-RELAY-042, CC-LIMIT-013: over all sessions of a link, whole messages."""
    net, (ann, bob, carol) = three(lossy_queue=4_096)
    bob.blocked = True
    ann.say(1, bytes(600), flags=0, fragment=Fragment(0, 9_000))
    carol.say(1, bytes(1_008), flags=0)
    ann.say(1, bytes(600), flags=0, fragment=Fragment(1, 9_000))
    carol.say(2, bytes(1_008), flags=0)
    assert drops(net, 1) == {}
    carol.say(3, bytes(1_008), flags=0)
    assert drops(net, 1) == {"queue_full": 2}
    ann.say(1, bytes(600), flags=0, fragment=Fragment(2, 9_000))
    assert drops(net, 1) == {"queue_full": 3}
    carol.say(4, bytes(1_008), flags=0)
    carol.say(5, b"", flags=0)
    assert drops(net, 1) == {"queue_full": 4}
    ann.say(2, b"", flags=0)
    bob.unblock()
    assert sorted((frame.sender, frame.sequence) for frame in bob.got(Data)) == [(0, 2), (2, 2), (2, 3), (2, 4), (2, 5)]


def test_a_queue_that_never_empties_does_not_grow_memory() -> None:
    net, (ann, bob, _) = three()
    bob.blocked = True
    ann.say(1, b"old", flags=0, session=1, channel=5)
    downlink = net.relay._by_slot[1].downlink
    for sequence in range(1, 3_000):
        ann.say(sequence, flags=LATEST, session=2, channel=6)
    assert len(downlink.lossy_order) <= 1_100
    assert downlink.lossy_bytes == 19 + 18
    bob.unblock()
    assert downlink.lossy_bytes == 0
    assert len(downlink.lossy_order) == 0
    assert [frame.session for frame in bob.got(Data)] == [1, 2]


def test_a_lifetime_passes_in_the_queue() -> None:
    """CC-RELAY-043, CC-EXT-015, CC-LIMIT-014."""
    net, (ann, bob, _) = three()
    bob.blocked = True
    ann.say(1, b"a", flags=0, extensions=[lifetime(100)])
    ann.say(2, b"b", flags=0, extensions=[lifetime(101)])
    ann.say(3, b"c", flags=0)
    ann.say(1, b"d", flags=0, session=2, channel=6, extensions=[lifetime(100)])
    ann.say(1, b"e", flags=0, session=3, channel=7, extensions=[lifetime(100)])
    ann.close(1, session=3)
    net.run(100 * MS)
    bob.unblock()
    assert bob.payloads() == [b"b", b"c"]
    assert drops(net, 1) == {"expired": 3}
    assert bob.one(Close).session == 3


def test_a_malformed_lifetime_is_none() -> None:
    """CC-EXT-017: forwarded, without a lifetime."""
    net, (ann, bob, _) = three()
    bob.blocked = True
    ann.say(1, b"a", flags=0, extensions=[Extension(3, b"\0\0\1")])
    ann.say(2, b"b", flags=0, extensions=[lifetime(0)])
    net.run(10 * SECOND)
    bob.unblock()
    assert bob.payloads() == [b"a", b"b"]


def test_latest_supersedes_in_the_queue() -> None:
    """CC-RELAY-044: of this session, for this recipient; other messages stay."""
    net, (ann, bob, carol) = three()
    bob.blocked = True
    ann.say(1, b"a", flags=LATEST)
    ann.say(2, b"b", flags=0)
    ann.say(3, b"c", flags=LATEST, to=[2])
    ann.say(4, b"d", flags=LATEST)
    ann.say(3, b"late", flags=LATEST)
    ann.say(1, b"e", flags=LATEST, session=2, channel=6)
    bob.unblock()
    assert bob.payloads() == [b"b", b"e", b"d"]
    assert drops(net, 1) == {"superseded": 2}
    assert carol.payloads() == [b"a", b"b", b"c", b"d", b"late", b"e"]


def test_priority_among_lossy_sessions() -> None:
    """CC-SCHED-016."""
    _, (ann, bob, _) = three()
    bob.blocked = True
    for sequence in range(1, 4):
        ann.say(sequence, bytes(900), flags=0)
        ann.say(sequence, bytes(900), flags=HIGH, session=2, channel=6)
    bob.unblock()
    assert [frame.session for frame in bob.got(Data)] == [2, 2, 2, 1, 1, 1]


def test_small_frames_share_a_packet() -> None:
    """CC-SCHED-005: at most 1,150 bytes on the lossy lane."""
    _, (ann, bob, _) = three()
    bob.blocked = True
    for sequence in range(1, 31):
        ann.say(sequence, bytes(100), flags=0)
    bob.unblock()
    assert [len(packet) for lane, packet in bob.packets if lane is Lane.LOSSY] == [9 * 116] * 3 + [3 * 116]
    assert [frame.sequence for frame in bob.got(Data)] == list(range(1, 31))


# --- faults on the lossy lane ------------------------------------------------------------------------------------


def test_a_fault_on_the_lossy_lane_costs_the_rest_of_its_packet() -> None:
    """CC-LINK-067: recorded once; frames before it stand."""
    net, (ann, bob, _) = three()
    good = ann.data(1, flags=0).encode()
    ann.send_raw(good + ann.data(2, flags=0, sender=2).encode() + ann.data(3, flags=0).encode(), Lane.LOSSY)
    ann.send_raw(ann.data(4).encode(), Lane.LOSSY)
    ann.send_raw(b"", Lane.LOSSY)
    ann.send_raw(ann.data(5, flags=0, to=[7]).encode(), Lane.LOSSY)
    ann.send_raw(ann.data(6, flags=0, to=[1], epoch=9).encode(), Lane.LOSSY)
    assert [frame.sequence for frame in bob.got(Data)] == [1]
    assert drops(net, 0) == {"malformed": 5}
    assert ann.bye is None


def test_lossy_messages_have_the_calls_largest_size() -> None:
    """CC-LINK-086: dropped as `too_large`."""
    net, (ann, bob, _) = three(largest_message=32_768)
    ann.say(1, bytes(512), flags=0, fragment=Fragment(0, 32_769))
    ann.say(2, bytes(512), flags=0, fragment=Fragment(0, 32_768))
    assert [frame.sequence for frame in bob.got(Data)] == [2]
    assert drops(net, 0) == {"too_large": 1}
