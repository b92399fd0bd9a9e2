# SPDX-License-Identifier: Apache-2.0
"""Snapshots and changes of the roster, and when they are written."""

import pytest

from callchannel.core.frames import Ack, Data, Roster, RosterEntry, RosterOp, Welcome
from callchannel.core.lanes import Lane
from callchannel.core.limits import MS
from tests.core.relay.scripted import SECOND, Client, Net


def ops(client: Client) -> list[tuple[str, int]]:
    """The changes that came."""
    return [(RosterOp(entry.op).name, entry.slot) for frame in client.got(Roster) for entry in frame.entries]


def test_the_first_who_joins() -> None:
    """CC-ROSTER-014, CC-ROSTER-016, CC-ROSTER-017: the example `roster-first`, right behind WELCOME."""
    net = Net()
    ann = net.join("ann")
    assert [type(frame) for frame in ann.frames] == [Welcome, Roster]
    roster = ann.one(Roster)
    assert roster.encode() == bytes.fromhex("07010011 00000001 01030000 0000 616e6e")


def test_a_joiner_gets_everyone_and_the_others_get_its_join() -> None:
    """CC-ROSTER-016, CC-ROSTER-017, CC-ROSTER-018, CC-ROSTER-019, CC-ROSTER-020, CC-ROSTER-024: section 10.2."""
    net = Net()
    carol, dan = net.join("carol"), net.join("dan")
    net.run(100 * MS)
    carol.frames.clear()
    erin = net.join("erin")
    snapshot = erin.one(Roster)
    assert snapshot.snapshot
    assert snapshot.epoch == 3
    assert snapshot.entries == (
        RosterEntry(RosterOp.JOIN, 0, 0, "carol"),
        RosterEntry(RosterOp.JOIN, 1, 0, "dan"),
        RosterEntry(RosterOp.JOIN, 2, 0, "erin"),
    )
    change = carol.one(Roster)
    assert change == Roster(3, (RosterEntry(RosterOp.JOIN, 2, 0, "erin"),))
    assert dan.epoch == 3


def test_two_devices_are_two_endpoints() -> None:
    """CC-ROSTER-001, CC-ROSTER-003."""
    net = Net()
    laptop, phone = net.joined("ann", "ann")
    assert laptop.roster == {0: "ann", 1: "ann"}
    laptop.say(1)
    assert phone.payloads() == [b"hi"]


def test_whoever_joins_again_is_somebody_else() -> None:
    """CC-ROSTER-070, CC-ROSTER-007: another slot, and no session of the old one."""
    net = Net()
    ann, bob, carol = net.joined("ann", "bob", "carol")
    ann.say(1, to=[1])
    bob.fail(0, 2)
    bob.leave()
    again = net.join("bob")
    assert again.slot == 3
    net.run(100 * MS)
    ann.frames.clear()
    ann.say(2, to=[3])
    assert again.payloads() == [b"hi"]
    assert ann.got(Data) == []
    assert carol.payloads() == []


def test_a_suspended_endpoint_in_a_snapshot() -> None:
    """CC-ROSTER-018, CC-ROSTER-019."""
    net = Net()
    ann, bob = net.joined("ann", "bob")
    bob.lose()
    carol = net.join("carol")
    assert [(entry.op, entry.slot) for entry in carol.one(Roster).entries] == [(1, 0), (1, 1), (3, 1), (1, 2)]
    assert ann.suspended == {1}


def test_suspension_changes_no_epoch_and_nobody_hears_of_its_own() -> None:
    """CC-ROSTER-013, CC-ROSTER-021, CC-ROSTER-031."""
    net = Net()
    ann, bob = net.joined("ann", "bob")
    bob.lose()
    assert ann.one(Roster) == Roster(2, (RosterEntry(RosterOp.SUSPENDED, 1),))
    net.join("carol")
    net.run(SECOND)
    bob.frames.clear()
    bob.resume()
    net.run(SECOND)
    assert ops(bob) == [("JOIN", 2)]  # a change, not a snapshot; not its own SUSPENDED and RESUMED
    assert ops(ann) == [("JOIN", 2), ("RESUMED", 1)]
    ann.frames.clear()
    bob.lose()
    bob.resume()
    net.run(SECOND)
    assert ops(bob) == []
    assert bob.epoch == 3
    assert ops(ann) == [("SUSPENDED", 1), ("RESUMED", 1)]


@pytest.mark.parametrize(
    ("end", "code"),
    [("bye", 0x27), ("other bye", 0x28), ("lost", 0x28), ("fault", 0x07), ("kicked", 0x33)],
)
def test_reasons_of_leave(end: str, code: int) -> None:
    """CC-ROSTER-030."""
    net = Net(resume_window=0)
    ann, bob = net.joined("ann", "bob")
    if end == "bye":
        bob.leave()
    elif end == "other bye":
        bob.send_raw(bytes.fromhex("4400000a 0016 62756721"))
    elif end == "lost":
        bob.lose()
    elif end == "fault":
        bob.send_raw(bytes.fromhex("01010010 00000001 00000001 00000001"))
    else:
        net.relay.end_link(1, 0x33, "behave", net.now)
        net.flush()
    assert ann.one(Roster) == Roster(3, (RosterEntry(RosterOp.LEAVE, 1, code),))


def test_a_snapshot_in_a_series_of_frames() -> None:
    """CC-ROSTER-022, CC-ROSTER-023, CC-ROSTER-024: entries that don't fit one frame go on in the next, with one
    epoch; none is split.
    """
    net = Net()
    for number in range(150):
        net.join(f"{number:0255}")
    ann = net.join("ann")
    frames = ann.got(Roster)
    assert len(frames) == 3
    assert [frame.more for frame in frames] == [True, True, False]
    assert {frame.epoch for frame in frames} == {151}
    assert [entry.slot for frame in frames for entry in frame.entries] == list(range(151))
    assert all(len(frame.encode()) <= 16_384 for frame in frames)


def test_what_changes_in_the_middle_of_a_series_follows_it() -> None:
    """CC-ROSTER-036: nobody else has to join or leave for that."""
    net = Net(roster_slots=1_000)
    for _ in range(80):
        net.join("x" * 255)
    bob = net.client("bob")
    bob.blocked = True
    bob.hello()
    for frames in (Welcome, Roster):
        assert bob.transport is not None
        while not any(isinstance(frame, frames) for frame in bob.frames):
            for packet in net.relay.pull(bob.transport, Lane.RELIABLE, 1, net.now):
                bob.take(Lane.RELIABLE, packet)
    late = net.join("carol")
    net.run(SECOND)
    bob.unblock()
    net.run(SECOND)
    assert bob.roster[late.slot] == "carol"


def test_a_change_goes_at_once_and_the_next_ones_together() -> None:
    """CC-ROSTER-034, CC-ROSTER-036: at once after a pause of 50 ms, else 50 ms after the last one."""
    net = Net()
    (ann,) = net.joined("ann")
    net.join("bob")
    assert ops(ann) == [("JOIN", 1)]
    net.run(10 * MS)
    net.join("carol")
    net.join("dan").leave()
    net.run(39 * MS)
    assert ops(ann) == []
    net.run(1 * MS)
    assert ops(ann) == [("JOIN", 2), ("JOIN", 3), ("LEAVE", 3)]
    net.run(49 * MS)
    net.join("erin")
    assert ops(ann) == []
    net.run(1 * MS)
    assert ops(ann) == [("JOIN", 4)]
    net.run(50 * MS)
    net.join("frank")
    assert ops(ann) == [("JOIN", 5)]


def test_no_batching() -> None:
    """Limit `roster_batch` 0: each change at once."""
    net = Net(roster_batch=0)
    ann = net.join("ann")
    ann.frames.clear()
    for name in ("bob", "carol"):
        net.join(name)
    assert [len(frame.entries) for frame in ann.got(Roster)] == [1, 1]


def test_data_of_a_new_slot_does_not_wait_for_the_batch() -> None:
    """CC-ROSTER-032, CC-ROSTER-035."""
    net = Net()
    (ann,) = net.joined("ann")
    net.join("bob")
    carol = net.join("carol")
    ann.frames.clear()
    carol.say(1)
    assert ann.order(Roster, Data) == ["Roster", "Data"]
    net.run(SECOND)
    assert ann.order(Roster, Data) == ["Roster", "Data"]


def test_roster_goes_before_data_that_waits() -> None:
    """CC-ROSTER-033, CC-SCHED-009."""
    net = Net()
    ann, bob = net.joined("ann", "bob")
    bob.blocked = True
    for sequence in range(1, 12):
        ann.say(sequence, bytes(1_000))
    net.join("carol")
    bob.unblock()
    assert bob.order(Roster, Data) == ["Roster"] + ["Data"] * 11


def test_links_that_stand_at_the_same_place_share_frames() -> None:
    """Each change is encoded once."""
    net = Net()
    ann, bob, carol = net.joined("ann", "bob", "carol")
    net.join("dan")
    packets = [packet for client in (ann, bob, carol) for _, packet in client.packets if packet[0] == 7]
    assert len(packets) == 3
    assert packets[0] is packets[1] is packets[2]


def test_a_slot_stays_in_quarantine_until_everyone_has_acknowledged_and_120_seconds_more() -> None:
    """CC-ROSTER-007."""
    net = Net()
    ann, bob, carol = net.joined("ann", "bob", "carol")
    carol.acks = False
    bob.leave()
    net.run(200 * SECOND)
    dan = net.join("dan")
    assert dan.slot == 3, "carol has not covered the LEAVE"
    carol.acks = True
    carol.ack()
    net.run(120 * SECOND - 1)
    erin = net.join("erin")
    assert erin.slot == 4
    net.run(1)
    frank = net.join("frank")
    assert frank.slot == 1
    assert ann.slot == 0


def test_a_link_that_dies_holds_no_slot_in_quarantine() -> None:
    """CC-ROSTER-007: covered, or died."""
    net = Net(resume_window=1_000_000)
    ann, bob, carol = net.joined("ann", "bob", "carol")
    carol.acks = False
    bob.leave()
    carol.lose()
    net.run(10 * SECOND)  # its resume window is over
    net.run(111 * SECOND)
    assert net.join("dan").slot == 1
    net.run(10 * SECOND)
    assert net.join("erin").slot == 2
    assert ann.slot == 0


def test_the_last_one_out() -> None:
    """Nobody has to acknowledge: 120 seconds are enough."""
    net = Net()
    (ann,) = net.joined("ann")
    ann.leave()
    net.run(119 * SECOND)
    bob = net.join("bob")
    assert bob.slot == 1
    bob.leave()
    net.run(2 * SECOND)
    assert net.join("carol").slot == 0


def test_a_slot_that_a_queue_names_stays_in_quarantine() -> None:
    """CC-ROSTER-008."""
    net = Net()
    ann, bob = net.joined("ann", "bob", reads=False, window=65_536)
    for sequence in range(1, 6):
        ann.say(sequence, bytes(16_000))
    ann.leave()
    net.run(125 * SECOND)
    assert len(bob.payloads()) == 4
    carol = net.join("carol")
    assert carol.slot == 2, "the fifth message of slot 0 waits for credit"
    bob.allow(0, 1 << 20)
    assert len(bob.payloads()) == 1
    net.run(2 * SECOND)
    assert net.join("dan").slot == 0


def test_a_control_frame_that_names_a_slot_keeps_it_in_quarantine() -> None:
    """CC-ROSTER-008: a FAIL that waits for its owner."""
    net = Net(resume_window=600_000_000)
    ann, bob, carol = net.joined("ann", "bob", "carol")
    bob.acks = False
    ann.say(1)
    ann.lose()
    ann.attempt += 1
    bob.leave()
    assert net.relay._by_slot[0].names(1)
    net.relay._by_slot[0].feed.acked(net.relay._call.broadcaster.end, net.now)  # as if it had covered the LEAVE
    net.run(150 * SECOND)
    assert net.join("dan").slot == 3
    ann.attempt -= 1
    ann.resume()
    net.run(2 * SECOND)
    assert net.join("erin").slot == 1
    assert carol.slot == 2


def test_the_epoch_of_a_block_is_judged_by_what_was_written() -> None:
    """CC-ROSTER-054: the relay knows epoch 2 already, Ann's link has not been written it."""
    net = Net()
    (ann,) = net.joined("ann")
    net.join("bob")
    net.join("carol")
    assert ann.epoch == 2
    ann.say(1, to=[1], epoch=3)
    assert ann.bye == 0x09


def test_a_lagging_link_does_not_hold_the_log_for_ever() -> None:
    """CC-RELAY-045: roster changes that wait for one link are bounded; the link ends with MEMORY."""
    net = Net(relay_link_memory=1_048_576, window=65_536, resume_window=600_000_000)
    ann, bob = net.joined("ann", "bob")
    bob.lose()
    for number in range(4_000):
        client = net.client(f"{number:0255}", lossy=False)
        client.hello()
        client.leave()
        if not number % 500:
            net.run(60 * MS)
    net.run(SECOND)
    assert ann.roster.get(1) is None
    assert net.relay._call.broadcaster.lag(net.relay._by_slot[0].feed) == 0
    leaves = [entry for frame in ann.got(Roster) for entry in frame.entries if entry.slot == 1 and entry.op == 2]
    assert [entry.reason for entry in leaves] == [0x25]
    assert Ack not in {type(frame) for frame in bob.frames}


def test_the_log_forgets_what_everyone_was_told() -> None:
    net = Net()
    (ann,) = net.joined("ann")
    for number in range(1_100):
        client = net.join(f"e{number}", lossy=False)
        client.leave()
        if not number % 50:
            net.run(60 * MS)
    net.run(SECOND)
    assert len(net.relay._call.broadcaster._entries) < 1_300
    assert ann.roster == {0: "ann"}
    assert ann.epoch == 2_201
