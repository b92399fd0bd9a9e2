# SPDX-License-Identifier: Apache-2.0
"""Each growth of section 16.6 that the core holds: filled to its bound, with a look at memory and error (CC-SEC-010).

The rows that signalling and the adapter hold are tested where they are; `covered.toml` says where each row's test is.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from callchannel.core import frames as wire
from callchannel.core.errors import WouldBlock
from callchannel.core.events import LinkEnded, ReceiverClosed, ReceiverCreated, SenderWritable
from callchannel.core.lanes import Lane
from callchannel.core.limits import MS, REPLAY_WINDOW, TOMBSTONE
from callchannel.core.messages import Confirm
from callchannel.core.recipients import NO_SLOT
from tests.core.relay.scripted import SECOND, Net
from tests.core.scripted import Script, data, in_group, lossy, roster, with_peer

MIB = 1 << 20
FLOW_CONTROL, SEQUENCE, TOO_MANY, OVERRUN, MEMORY = 0x0A, 0x21, 0x23, 0x24, 0x25
SMALL: dict[str, int] = {"receive_memory": MIB, "window": 65_536, "largest_message": 32_768}


def ended(script: Script) -> list[int]:
    """The codes with which the link has ended: none, or one."""
    return [event.code for event in script.of(LinkEnded)]


def buffered(script: Script) -> int:
    return int(script.machine.statistics().bytes_buffered)


# --- an endpoint ---------------------------------------------------------------------------------------------------


def test_unread_messages_within_a_window() -> None:
    """`window`: the last byte of it is taken, the next ends the link."""
    script = in_group(**SMALL)
    for sequence in range(1, 5):
        script.give(data(1, sequence, bytes(16_384 - 16)))
    assert (ended(script), buffered(script)) == ([], 65_536 - 4 * 16)
    script.give(data(1, 5, b""))
    assert ended(script) == [FLOW_CONTROL]


def test_unread_messages_of_many_sessions(measured: Callable[[], int]) -> None:
    """`receive_memory`: the largest session pays, whatever the others send."""
    script = in_group(**SMALL)
    for sequence in range(1, 5):
        script.give(data(1, sequence, bytes(16_000)))
    for session in range(2, 60):
        for sequence in (1, 2, 3):
            script.give(data(session, sequence, bytes(16_000), channel=session))
        assert buffered(script) <= MIB
    closed = [event.code for event in script.of(ReceiverClosed)]
    assert set(closed) == {MEMORY}
    assert script.of(ReceiverClosed)[0].receiver == 1
    assert ended(script) == []
    assert measured() < 2 * MIB


@pytest.mark.parametrize("plain", [True, False])
def test_the_number_of_unread_messages(plain: bool, measured: Callable[[], int]) -> None:
    """CC-DELIV-081: empty messages hold no payload, and cost memory all the same."""
    script = in_group(**SMALL)
    most = MIB // 256
    flags = wire.RELIABLE if plain else wire.RELIABLE | wire.CONFIRM
    kept = []
    for session in range(1, 41):
        for first in range(1, 1_025, 256):
            empty = [data(session, first + at, b"", channel=session, flags=flags) for at in range(256)]
            script.give(*empty)
        infos = [script.machine._receivers.by_number[number] for number in script.machine._receivers.by_number]
        kept.append(sum(info.unread_messages for info in infos))
    assert max(kept) <= most + 1_024 + 256 + 40
    closed = [event.code for event in script.of(ReceiverClosed)]
    assert closed and set(closed) == {MEMORY}
    assert ended(script) == []
    script.log.clear()
    assert measured() < 4 * MIB
    assert len(script.machine._receivers.by_number) >= 3, "the others stay"


def test_partial_reliable_messages() -> None:
    """One in a session; a second one is a fault of the session alone."""
    script = in_group(**SMALL)
    script.give(data(1, 1, bytes(1_000), fragment=wire.Fragment(0, 30_000)))
    script.give(data(1, 2, bytes(1_000), fragment=wire.Fragment(0, 30_000)))
    assert [frame.reason for frame in script.pull() if isinstance(frame, wire.Fail)] == [SEQUENCE]
    assert (buffered(script), ended(script)) == (0, [])


@pytest.mark.parametrize("total", [32_768, 0])
def test_a_total_takes_no_memory_before_its_bytes_have_come(total: int, measured: Callable[[], int]) -> None:
    """CC-SEC-011: 200 messages are announced, a byte of each comes."""
    script = in_group(**(SMALL | {"largest_message": 1 << 20, "receive_memory": 1 << 24}))
    for session in range(1, 201):
        fragment = wire.Fragment(0, 1 << 20 if total else 0)
        script.give(data(session, 1, b"x", channel=session, fragment=fragment))
    assert buffered(script) == 200
    script.events()
    script.log.clear()
    assert measured() < MIB


def test_partial_lossy_messages(measured: Callable[[], int]) -> None:
    """`lossy_partial_messages`, `lossy_partial_bytes`, `lossy_partial_time`: the oldest goes, and is counted."""
    script = in_group(**SMALL, lossy_partial_messages=8, lossy_partial_bytes=65_536)
    for sequence in range(1, 1_001):
        fragment = wire.Fragment(0, 30_000)
        script.give(lossy(1, sequence, bytes(1_000), fragment=fragment), lane=Lane.LOSSY)
        assert buffered(script) <= 8_000
    drops = script.machine.receiver_info(1).statistics.drops
    assert drops == {"partial_count": 992}
    assert measured() < MIB
    script.wait(2_001 * MS)
    assert buffered(script) == 0
    assert script.machine.receiver_info(1).statistics.drops == {"partial_count": 992, "partial_timeout": 8}


def test_a_stream_that_never_ends(measured: Callable[[], int]) -> None:
    """`window`: what nobody reads is not allowed to follow."""
    script = in_group(**SMALL)
    index = 0
    while not ended(script) and index < 100:
        script.give(data(1, 1, bytes(4_000), fragment=wire.Fragment(index, 0)))
        assert buffered(script) <= 65_536
        index += 1
    assert ended(script) == [FLOW_CONTROL]
    assert index == 65_536 // 4_024 + 1
    assert measured() < MIB


def test_frames_kept_for_a_resume(measured: Callable[[], int]) -> None:
    """`unacknowledged`: writing stops; `resume_window`: then the link is dead, and nothing is kept."""
    script = in_group(unacknowledged=65_536, resume_window=30_000 * MS)
    sender = script.machine.open_sender(script.now)
    for _ in range(60):
        script.machine.send(sender, bytes(16_000), script.now)
        script.pull()
    kept = script.machine.statistics().link.bytes_unacknowledged
    assert 65_536 <= kept < 65_536 + 16_384
    script.wait(50 * SECOND, alive=False)
    assert ended(script) == [0x17]
    script.log.clear()
    assert measured() < 2 * MIB


def test_sessions() -> None:
    """`open_sessions` of one owner; those of another are not touched."""
    script = in_group(**SMALL, open_sessions=16)
    for session in range(1, 18):
        script.give(data(session, 1, channel=session))
    assert [frame.reason for frame in script.pull() if isinstance(frame, wire.Fail)] == [TOO_MANY]
    script.give(data(1, 1, sender=1))
    assert len(script.of(ReceiverCreated)) == 17
    script.give(lossy(18, 1, channel=18), lane=Lane.LOSSY)
    assert script.machine.statistics().drops == {"open_sessions": 1}


def test_a_roster_series_that_does_not_end() -> None:
    """Four entries for each slot that there can be."""
    script = in_group()
    entries = tuple(wire.RosterEntry(wire.RosterOp.SUSPENDED, 0) for _ in range(2_000))
    for _ in range(200):
        script.give(roster(5, *entries, more=True))
        assert len(script.machine.roster._series) <= 4 * NO_SLOT
        if ended(script):
            break
    assert ended(script) == [MEMORY]


def test_numbers_that_were_seen(measured: Callable[[], int]) -> None:
    """`replay_window`: a session keeps 1,024 bits, however many messages came; older ones are dropped."""
    script = in_group(**SMALL)
    for sequence in range(1, 4 * REPLAY_WINDOW):
        script.give(lossy(1, sequence, b""), lane=Lane.LOSSY)
        script.machine.read(1, script.now)
    script.events()
    script.log.clear()
    assert measured() < MIB
    script.give(lossy(1, 1, b"old"), lane=Lane.LOSSY)
    assert script.machine.receiver_info(1).statistics.drops == {"too_old": 1}
    assert script.machine.read(1, script.now) is None


def test_verdicts_that_are_open(measured: Callable[[], int]) -> None:
    """`unconfirmed_messages`: the send waits until somebody has read."""
    script = with_peer(unconfirmed_messages=64)
    sender = script.machine.open_sender(script.now, confirm=Confirm.DELIVERED)
    for _ in range(64):
        script.machine.send(sender, b"x", script.now)
        script.pull()
        script.ack()
    with pytest.raises(WouldBlock):
        script.machine.send(sender, b"x", script.now)
    assert measured() < MIB
    script.give(wire.Receipt(1, 0, 1, 32))
    assert script.of(SenderWritable)
    script.machine.send(sender, b"x", script.now)


def test_texts_of_others() -> None:
    """`bye_text`, `identifier`: 255 bytes, whatever a length field says."""
    script = in_group()
    script.give(roster(5, wire.RosterEntry(wire.RosterOp.JOIN, 4, 0, "x" * 255)))
    assert ended(script) == []
    script.give(wire.Bye(0x27, "y" * 255).encode()[:2] + (300).to_bytes(2, "big") + bytes(2) + b"y" * 294)
    assert ended(script) == [0x07]


# --- a relay -------------------------------------------------------------------------------------------------------


def test_reliable_queues_at_a_relay(measured: Callable[[], int]) -> None:
    """`window` and `stall_time`, for each session; `relay_link_memory` for the link."""
    net = Net(relay_link_memory=MIB, window=262_144, unacknowledged=65_536)
    ann, bob, carol = net.joined("ann", "bob", "carol")
    bob.blocked = True
    for session in range(1, 9):
        for sequence in range(1, 15):
            ann.say(sequence, bytes(16_000), session=session, channel=session)
        carol.packets.clear()
        carol.frames.clear()
        assert net.relay.statistics().links[1].bytes_queued <= MIB
    assert {(frame.recipient, frame.reason) for frame in ann.got(wire.Fail)} == {(1, MEMORY)}
    ann.packets.clear()
    assert measured() < 3 * MIB
    net.run(11 * SECOND)
    assert {(frame.recipient, frame.reason) for frame in ann.got(wire.Fail)} <= {(1, OVERRUN)}
    assert (ann.bye, carol.bye) == (None, None)


def test_lossy_queues_at_a_relay(measured: Callable[[], int]) -> None:
    """`lossy_queue`: the oldest goes."""
    net = Net(lossy_queue=4_096)
    ann, bob, carol = net.joined("ann", "bob", "carol")
    bob.blocked = True
    for sequence in range(1, 1_001):
        ann.say(sequence, bytes(1_000), flags=0, lane=Lane.LOSSY)
        carol.packets.clear()
        assert net.relay.statistics().links[1].bytes_queued <= 4_096
    assert len(carol.got(wire.Data)) == 1_000
    bob.unblock()
    assert [frame.sequence for frame in bob.got(wire.Data)] == [997, 998, 999, 1_000]
    assert net.relay.statistics().links[1].drops["queue_full"] >= 996
    carol.packets.clear()
    assert measured() < MIB


def test_sessions_at_a_relay() -> None:
    """`open_sessions` and `new_sessions`."""
    net = Net(open_sessions=16, new_sessions=1)
    ann, bob = net.joined("ann", "bob")
    for session in range(1, 1_001):
        ann.say(1, session=session, channel=session)
    assert {frame.reason for frame in ann.got(wire.Fail)} == {TOO_MANY}
    assert net.relay.statistics().sessions == 16
    assert len(bob.got(wire.Data)) == 16
    assert ann.bye is None


def test_sessions_that_failed_at_a_relay(measured: Callable[[], int]) -> None:
    """`new_sessions`: the relay closes them at every recipient, and keeps a tombstone for a while."""
    net = Net(open_sessions=16, new_sessions=50)
    ann, bob = net.joined("ann", "bob")
    used = []
    for session in range(1, 401):
        net.now += 25 * MS
        ann.say(1, session=session, channel=session)
        ann.say(1, session=session, channel=session)  # SEQUENCE
        if not session % 200:
            net.run(TOMBSTONE)
            ann.say(1, session=10_000 + session, flags=0)
            for client in (ann, bob):
                client.packets.clear()
            used.append(measured())
    assert {frame.reason for frame in ann.got(wire.Fail)} == {SEQUENCE}
    assert {frame.session for frame in bob.got(wire.Close)} == set(range(1, 401))
    assert net.relay.statistics().sessions <= 2
    assert used[1] < 3 * MIB


def test_tombstones_at_a_relay() -> None:
    """`new_sessions` × `tombstone`: after that they are forgotten."""
    net = Net(open_sessions=16, new_sessions=10)
    ann, _ = net.joined("ann", "bob")
    uplink = net.relay._by_slot[0].uplink
    for session in range(1, 1_001):
        net.run(50 * MS)
        ann.say(1, session=session, channel=1, flags=0, lane=Lane.LOSSY)
        ann.close(1, session=session)
        assert len(uplink._tombstones) <= 16 + 10 * 30
    net.run(TOMBSTONE)
    ann.say(1, session=2_000, channel=1, flags=0, lane=Lane.LOSSY)
    assert len(uplink._tombstones) == 0


def test_the_roster() -> None:
    """`roster_slots`: CALL_FULL, and everyone else goes on."""
    net = Net(roster_slots=3)
    ann, bob, _ = net.joined("ann", "bob", "carol")
    assert net.join("dan").bye == 0x13
    ann.say(1)
    assert len(bob.got(wire.Data)) == 1


def test_slots_in_quarantine(measured: Callable[[], int]) -> None:
    """`roster_slots`: who joins and leaves again and again uses slots up for a while, and no memory to speak of."""
    net = Net()
    ann, bob = net.joined("ann", "bob")
    for _ in range(300):
        eve = net.join("eve")
        eve.leave()
        for client in (ann, bob):
            client.packets.clear()
            client.frames.clear()
    net.events.clear()
    assert len(net.relay.participants) == 2
    assert measured() < 3 * MIB
    net.run(200 * SECOND)
    late = net.join("late")
    assert late.slot == 2, "quarantine ends"


def test_suspended_links(measured: Callable[[], int]) -> None:
    """`resume_window`: LINK_LOST, and what was kept for it goes."""
    net = Net(resume_window=30_000 * MS)
    ann, bob = net.joined("ann", "bob")
    others = [net.join(f"x{number}") for number in range(50)]
    net.run(SECOND)
    for client in others:
        client.lose()
    for sequence in range(1, 5):
        ann.say(sequence, bytes(16_000))
    assert len(net.relay.participants) == 52
    net.run(31 * SECOND)
    assert [participant.identity for participant in net.relay.participants] == ["ann", "bob"]
    fails = ann.got(wire.Fail)
    assert len(fails) == 50 and {frame.reason for frame in fails} == {0x28}
    for client in (ann, bob, *others):
        client.packets.clear()
        client.frames.clear()
    others.clear()
    net.events.clear()
    assert measured() < 3 * MIB


def test_transports_without_hello() -> None:
    """`unbound_time`: TIMEOUT."""
    net = Net()
    (ann,) = net.joined("ann")
    waiting = [net.client("eve") for _ in range(20)]
    assert net.relay.statistics().unbound_transports == 20
    net.run(10 * SECOND)
    assert net.relay.statistics().unbound_transports == 0
    assert {client.bye for client in waiting} == {0x10}
    assert ann.bye is None
    assert NO_SLOT not in {participant.slot for participant in net.relay.participants}
