# SPDX-License-Identifier: Apache-2.0
"""What a relay keeps for an owner or a link that gives nothing back (chapters 10 and 16)."""

from __future__ import annotations

from collections.abc import Callable

from callchannel.core.frames import Close, Data, Fail, Receipt
from callchannel.core.lanes import Lane
from callchannel.core.limits import MS, TOMBSTONE
from tests.core.relay.scripted import SECOND, Client, Net

MEMORY = 0x25
RATE = 0x11
MIB = 1 << 20
MOST = 64
"""The least `unconfirmed_messages`."""


def forget(*clients: Client) -> None:
    """Let go of what scripted endpoints noted."""
    for client in clients:
        client.frames.clear()
        client.packets.clear()
        client._bytes.clear()


def crowd(count: int = 1) -> tuple[Net, list[Client]]:
    """A call whose relay keeps as little as it may."""
    net = Net(unconfirmed_messages=MOST, open_sessions=16, new_sessions=65_535, resume_window=0)
    clients = [net.join(name) for name in ("ann", "bob", "carol")[: count + 1]]
    net.run(SECOND)
    forget(*clients)
    return net, clients


def one_shot(ann: Client, session: int, **options: bool) -> None:
    """A session of one message."""
    ann.net.now += MS  # within `new_sessions`
    ann.say(1, session=session, channel=session, **options)
    ann.close(1, session=session)


# --- a link that resumes -------------------------------------------------------------------------------------------


def test_a_recipient_that_resumes_and_never_acknowledges() -> None:
    """CC-SEC-025, CC-RELAY-080: what HELLO covers is kept by session, for no more sessions than may owe something."""
    net = Net(unconfirmed_messages=MOST, open_sessions=16, new_sessions=65_535)
    ann, bob = net.joined("ann", "bob")
    bob.acks = False
    for session in range(1, 3 * MOST):
        one_shot(ann, session)
        bob.lose()
        bob.resume()
        forget(ann)
    covered = net.relay._by_slot[bob.slot].custody.covered
    assert covered is not None
    assert covered.count >= 6 * MOST - 2
    assert MOST <= len(covered.unconfirmed) <= MOST + 1
    assert MOST <= len(covered.owners) <= MOST + 2
    bob.ack()
    assert net.relay.statistics().sessions == 0


# --- sessions that have ended and owe something --------------------------------------------------------------------


def test_receipts_that_never_come() -> None:
    """CC-RELAY-080: beyond `unconfirmed_messages` ended sessions, the one that ended first fails who has not read."""
    net, (ann, bob) = crowd()
    for session in range(1, MOST + 1):
        one_shot(ann, session, confirm=True)
    one_shot(ann, MOST + 1, confirm=True)
    assert ann.got(Fail) == []
    assert net.relay.statistics().sessions == MOST + 1
    one_shot(ann, MOST + 2, confirm=True)
    # It was wholly written: the verdict is unknown. Bob has had CLOSE, and is told nothing.
    assert ann.one(Fail) == Fail(0, 1, 1, 1, MEMORY, uncertain=True)
    assert bob.got(Fail) == []
    assert len(bob.got(Data)) == MOST + 2
    bob.receipt(0, 1, session=1)
    bob.receipt(0, 1, session=2)
    net.run(SECOND)
    assert [frame.session for frame in ann.got(Receipt)] == [2]
    assert net.relay.statistics().sessions == MOST
    assert (ann.bye, bob.bye) == (None, None)


def test_receipts_that_never_come_cost_no_more_with_time(measured: Callable[[], int]) -> None:
    """CC-RELAY-080, with figures: four times as many sessions, the same memory."""
    net, (ann, bob, carol) = crowd(2)
    used = []
    for start in (1, 201, 401, 601):
        for session in range(start, start + 199):
            one_shot(ann, session, confirm=True)
        net.run(TOMBSTONE)
        one_shot(ann, start + 199, confirm=True)
        forget(ann, bob, carol)
        ann._receipts.clear()
        net.events.clear()
        used.append(measured())
    assert net.relay.statistics().sessions <= MOST + 2
    assert used[-1] < used[0] + 50_000
    assert used[-1] < MIB


def test_who_does_not_acknowledge_close() -> None:
    """CC-RELAY-080: FAIL and CLOSE go to a recipient that may not have had CLOSE, and nothing waits for its ACK."""
    net, (ann, bob) = crowd()
    bob.acks = False
    for session in range(1, MOST + 4):
        one_shot(ann, session)
    assert [(frame.session, frame.uncertain) for frame in ann.got(Fail)] == [(1, True), (2, True)]
    assert [frame.session for frame in bob.got(Fail)] == [1, 2]
    assert [frame.session for frame in bob.got(Close)].count(1) == 1
    assert net.relay.statistics().sessions == MOST + 1


def test_a_reader_that_is_suspended_with_much_waiting() -> None:
    """CC-RELAY-080, CC-SESS-065: nothing but CLOSE stands behind FAIL; later sessions are not touched."""
    net, (ann, bob) = crowd()
    bob.blocked = True
    for session in range(1, MOST + 3):
        one_shot(ann, session)
    assert ann.one(Fail) == Fail(0, 1, 1, 1, MEMORY)  # nothing of it was written
    bob.unblock()
    frames = [frame for frame in bob.frames if isinstance(frame, Data | Fail | Close) and frame.session == 1]
    assert [type(frame) for frame in frames] == [Fail, Close]
    assert [frame.session for frame in bob.got(Data)] == list(range(2, MOST + 3))
    net.run(SECOND)
    assert net.relay.statistics().sessions == 0


def test_others_are_not_failed_with_the_one_who_never_reads() -> None:
    """CC-RELAY-080: who has given its receipt owes nothing and gets no FAIL."""
    _, (ann, bob, carol) = crowd(2)
    for session in range(1, MOST + 3):
        one_shot(ann, session, confirm=True)
        bob.receipt(0, 1, session=session)
    fail = ann.one(Fail)
    assert (fail.recipient, fail.session) == (2, 1)
    assert bob.got(Fail) == carol.got(Fail) == []


# --- control frames ------------------------------------------------------------------------------------------------


def test_control_frames_that_are_not_acknowledged() -> None:
    """CC-RELAY-045: REFUSE waits for no ACK; written ones count until they are acknowledged."""
    net = Net(policy=lambda participant, data: False, relay_link_memory=MIB, unacknowledged=65_536)
    ann, bob, carol = net.joined("ann", "bob", "carol")
    ann.acks = False
    for sequence in range(1, 54_000):
        ann.say(sequence, session=1 + sequence // 10_000)  # no CREDIT comes
        if not sequence % 1_000:
            ann.packets.clear()
            ann.frames.clear()
        if ann.transport is None:
            break
    assert ann.bye == MEMORY
    assert 65_536 + MIB - 100 < 22 * sequence < 65_536 + MIB + 2_000
    assert (bob.bye, carol.bye) == (None, None)
    uplink = next(member for member in net.relay._call.uplinks.values() if member.member.identity == "ann")
    assert uplink.port.custody.unacked_bytes == 0, "a slot in quarantine keeps no frames"


def test_control_frames_that_are_acknowledged_do_not_count() -> None:
    net = Net(policy=lambda participant, data: False, relay_link_memory=MIB, unacknowledged=65_536)
    ann, _ = net.joined("ann", "bob")
    for sequence in range(1, 54_000):
        ann.say(sequence)
        if not sequence % 1_000:
            ann.packets.clear()
            ann.frames.clear()
    assert ann.bye is None


# --- tombstones ----------------------------------------------------------------------------------------------------


def test_tombstones_of_sessions_that_never_were() -> None:
    """CC-SESS-063, CC-RELAY-011: CLOSE of an unknown session pays as the session would have."""
    net = Net(open_sessions=16, new_sessions=1)
    ann, bob = net.joined("ann", "bob")
    for session in range(1, 1_001):
        ann.close(1, session=session)
    uplink = net.relay._by_slot[0].uplink
    assert len(uplink._tombstones) == len(uplink._ended or ()) == 16
    ann.say(1, session=3, flags=0)
    assert net.relay.statistics().drops == {"ended_session": 1}
    net.run(TOMBSTONE)
    ann.say(1, session=2_000, flags=0)
    assert len(bob.got(Data)) == 1
    assert not uplink._tombstones


def test_closes_are_control_frames_as_well() -> None:
    """CC-RELAY-074: nobody floods with them for long."""
    net = Net()
    ann, bob = net.joined("ann", "bob")
    for session in range(1, 3_000):
        ann.close(1, session=session)
        if ann.transport is None:
            break
    assert (ann.bye, session, bob.bye) == (RATE, 2_001, None)


# --- transports ----------------------------------------------------------------------------------------------------


def test_a_transport_that_is_lost_before_its_refusal_was_written_leaves_nothing() -> None:
    """Threat T14: connecting, talking nonsense and going away, again and again."""
    net = Net()
    for transport in range(100, 300):
        net.relay.transport_up(transport, net.now, admission=None)
        net.relay.receive(transport, Lane.RELIABLE, b"nonsense", net.now)
        net.relay.transport_down(transport, net.now)
        net.relay.take_closing()
    assert net.relay._lobby._last_words == {}
    assert net.relay._admissions == {}
    assert len(net.relay._lobby) == 0
