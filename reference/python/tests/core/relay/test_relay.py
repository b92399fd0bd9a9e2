# SPDX-License-Identifier: Apache-2.0
"""The relay as a machine: HELLO, resume, ghosts, stopping, and what shows of it."""

import pytest

from callchannel.core.decoding import decode_packet
from callchannel.core.errors import InvalidArgument
from callchannel.core.events import Participant
from callchannel.core.frames import Ack, Bye, Close, Data, Fail, Fragment, Hello, Refuse, Roster, Welcome
from callchannel.core.lanes import Lane
from callchannel.core.limits import MS, Limits
from callchannel.core.relay import (
    Admission,
    EndpointJoined,
    EndpointLeft,
    EndpointResumed,
    EndpointSuspended,
    Relay,
    Stopped,
)
from callchannel.core.relay.membership import MAX_EPOCH
from tests.core.relay.scripted import SECOND, Client, Net


def is_closed(net: Net, client: Client) -> bool:
    """Whether the relay has closed the endpoint's transport."""
    return client.transport is None


# --- joining -----------------------------------------------------------------------------------------------------


def test_welcome_says_what_admission_says() -> None:
    """CC-RELAY-001, CC-RELAY-005, CC-ROSTER-001, CC-LINK-022, CC-LINK-023, CC-LINK-024, CC-LINK-025, CC-LINK-026,
    CC-LINK-027.
    """
    net = Net(largest_message=100_000, resume_window=7_000 * MS)
    ann = net.client("ann")
    ann.hello(identity="the queen", features=0xFFFF, largest_message=200_000)
    welcome = ann.one(Welcome)
    assert (welcome.identity, welcome.slot, welcome.attempt, welcome.received) == ("ann", 0, 1, 0)
    assert (welcome.largest_message, welcome.window, welcome.resume_ms) == (100_000, 262_144, 7_000)
    assert welcome.features == 0
    bob = net.client("bob")
    bob.hello(identity="")
    assert bob.one(Welcome).identity == "bob"  # CC-ROSTER-002
    assert bob.welcome is not None
    assert bob.welcome.largest_message == 100_000
    assert bob.welcome.token != welcome.token


def test_who_is_not_admitted() -> None:
    """CC-RELAY-002."""
    net = Net()
    for resume in (False, True):
        client = net.client("eve", admission=None)
        client.hello(resume=resume, token=bytes(16))
        assert client.bye == 0x12
        assert is_closed(net, client)
    assert net.relay.participants == ()


def test_who_takes_only_small_messages() -> None:
    """CC-RELAY-003."""
    net = Net(largest_message=100_000)
    small = net.join("ann", largest=99_999)
    assert small.bye == 0x0C
    assert net.join("bob", largest=100_000).bye is None


def test_a_full_call() -> None:
    """CC-RELAY-004, CC-ROSTER-006."""
    net = Net(roster_slots=2)
    ann, _ = net.joined("ann", "bob")
    assert net.join("carol").bye == 0x13
    ann.leave()
    assert net.join("dan").slot == 2


def test_replace_ends_the_ghost_before_the_call_is_full() -> None:
    """CC-RELAY-006, CC-LINK-050, CC-LINK-051, CC-LINK-052: the ghost of the same identity and instance alone."""
    net = Net(roster_slots=3)
    ghost, phone, bob = net.joined("ann", "ann", "bob")
    intruder = net.client("bob", instance=ghost.instance)
    intruder.hello(replace=True)
    assert intruder.bye == 0x13
    plain = net.client("ann", instance=ghost.instance)
    plain.hello()
    assert plain.bye == 0x13
    again = net.client("ann", instance=ghost.instance)
    again.hello(replace=True)
    assert ghost.bye == 0x14
    assert again.slot == 3
    assert phone.bye is None
    net.run(SECOND)
    assert [(entry.op, entry.slot) for frame in bob.got(Roster) for entry in frame.entries] == [(2, 0), (1, 3)]


def test_a_ghost_is_ended_even_when_the_newcomer_is_not_taken() -> None:
    """CC-LINK-017."""
    net = Net(roster_slots=2)
    ghost, _ = net.joined("ann", "bob")
    net.relay._call.membership._next_slot = 0xFFFF
    again = net.client("ann", instance=ghost.instance)
    again.hello(replace=True)
    assert (ghost.bye, again.bye) == (0x14, 0x13)


@pytest.mark.parametrize(
    ("rest", "code"),
    [("43 00 000c 0000000000000000", 0x05), ("01", 0x02 + 1), ("08 00 0004", 0x04), ("44 00 0006 0027", None)],
)
def test_what_stands_behind_hello(rest: str, code: int | None) -> None:
    """CC-LINK-019: only BYE may."""
    net = Net()
    ann = net.client("ann")
    hello = Hello(ann.instance, 1, 262_144, 16_777_216)
    ann.send_raw(hello.encode() + bytes.fromhex(rest))
    assert ann.bye == code
    assert net.relay.participants == ()


def test_an_unbound_transport() -> None:
    """CC-LINK-020, CC-LINK-021: no HELLO in time, nonsense, loss; no link is touched."""
    net = Net()
    ann = net.join("ann")
    waiting, talking, lost = net.client("bob"), net.client("carol"), net.client("dan")
    talking.send(Ack(0))
    assert talking.bye == 0x05
    lost.send_raw(b"nonsense", Lane.LOSSY)
    lost.lose()
    net.relay.lossy_lane(waiting.transport or 0, False, net.now)
    net.run(10 * SECOND)
    assert waiting.bye == 0x10
    assert ann.bye is None
    assert sum(net.relay.statistics().drops.values()) == 1
    assert net.relay.statistics().unbound_transports == 0


# --- resuming ----------------------------------------------------------------------------------------------------


def test_resume_goes_on_where_the_link_stood() -> None:
    """CC-LINK-028, CC-LINK-047, CC-LINK-048: what was not received comes again, then what waited, in order."""
    net = Net()
    ann, bob = net.joined("ann", "bob")
    bob.acks = False
    ann.say(1, b"one")
    ann.say(2, b"two")
    received = bob.received
    bob.got(Data)
    bob.lose()
    ann.say(3, b"three")
    bob.received = received - 1
    bob._bytes[0, 1] -= 19
    bob.resume()
    welcome = bob.one(Welcome)
    assert bob.welcome is not None
    assert (welcome.slot, welcome.token, welcome.attempt) == (1, bob.token, 2)
    assert bob.payloads() == [b"two", b"three"]
    assert net.events[-2:] == [
        EndpointSuspended(participant=Participant("bob", 1, suspended=True)),
        EndpointResumed(participant=Participant("bob", 1)),
    ]


def test_resume_while_the_old_transport_still_lives() -> None:
    """CC-LINK-001, CC-LINK-006: from ACTIVE to ACTIVE; nobody else learns of it, the old transport is deaf."""
    net = Net()
    ann, bob = net.joined("ann", "bob")
    old = bob.transport
    assert old is not None
    bob.resume()
    assert bob.bye is None
    net.relay.receive(old, Lane.RELIABLE, bob.data(1).encode(), net.now)
    net.relay.transport_down(old, net.now)
    net.flush()
    net.run(SECOND)
    assert ann.got(Roster) == []
    assert ann.payloads() == []
    ann.say(1)
    assert bob.payloads() == [b"hi"]


@pytest.mark.parametrize("case", ["unknown", "dead", "other identity", "stale", "mismatch"])
def test_who_can_not_resume(case: str) -> None:
    """CC-LINK-016, CC-LINK-017, CC-LINK-018: RESUME_UNKNOWN alike for all three; STALE leaves the link, MISMATCH
    ends it.
    """
    net = Net()
    ann, bob = net.joined("ann", "bob")
    if case == "unknown":
        ann.token = bytes(16)
    elif case == "dead":
        ann.leave()
    elif case == "other identity":
        ann.admission = Admission(identity="eve")
    elif case == "stale":
        ann.attempt -= 1
    else:
        ann.received += 1
    first = ann.transport
    ann.connect()
    ann.hello(resume=True)
    expected = {"stale": 0x0E, "mismatch": 0x0F}.get(case, 0x0D)
    byes = [frame.code for frame in ann.frames if isinstance(frame, Bye)]
    assert byes.count(expected) == (2 if case == "mismatch" else 1)
    alive = case not in ("dead", "mismatch")
    assert (len(net.relay.participants) == 2) is alive
    if alive:
        ann.transport = first
        ann.say(1)
        assert bob.payloads() == [b"hi"]


def test_a_link_that_is_not_resumed_dies() -> None:
    """CC-LINK-044, CC-RELAY-066."""
    net = Net()
    ann, bob = net.joined("ann", "bob")
    bob.lose()
    net.run(30 * SECOND - 1)
    assert 1 in ann.roster
    net.run(1)
    assert 1 not in ann.roster
    assert net.events[-1] == EndpointLeft(participant=Participant("bob", 1, suspended=True), code=0x28)


def test_silence() -> None:
    """CC-LINK-040."""
    net = Net()
    ann, bob = net.joined("ann", "bob")
    bob.silent = True
    net.run(16 * SECOND)
    assert ann.suspended == {1}


# --- the end -----------------------------------------------------------------------------------------------------


def test_throwing_somebody_out() -> None:
    net = Net()
    ann, bob = net.joined("ann", "bob")
    net.relay.end_link(1, 0x33, "behave", net.now)
    net.relay.end_link(9, 0x33, "nobody", net.now)
    net.flush()
    assert bob.one(Bye) == Bye(0x33, "behave")
    assert is_closed(net, bob)
    assert net.relay.participants == (Participant("ann", 0),)
    assert ann.bye is None


def test_stopping_an_empty_relay() -> None:
    net = Net()
    waiting = net.client("ann")
    net.relay.stop(net.now)
    net.relay.stop(net.now)
    net.flush()
    assert net.events == [Stopped()]
    assert waiting.bye == 0x15
    late = net.join("bob")
    assert late.bye == 0x15


def test_stopping_finishes_what_was_accepted() -> None:
    """CC-RELAY-075, CC-RELAY-076, CC-RELAY-077: nothing new is taken; fragments of what was admitted are, and who
    resumes is.
    """
    net = Net()
    ann, bob, carol = net.joined("ann", "bob", "carol")
    ann.say(1, b"a" * 100, fragment=Fragment(0, 200))
    carol.lose()
    net.relay.stop(net.now)
    assert net.join("dan").bye == 0x15
    bob.say(1)
    assert bob.one(Refuse) == Refuse(1, 0xFFFF, 1, 1, 0x15)
    bob.say(1, session=2, channel=7, flags=0)
    assert net.relay.statistics().drops == {"going_away": 1}
    carol.resume()
    assert carol.bye is None
    assert (ann.bye, bob.bye) == (None, None)
    ann.say(1, b"b" * 100, fragment=Fragment(1, 200, last=True))
    assert carol.payloads() == [b"a" * 100, b"b" * 100]
    assert [client.bye for client in (ann, bob, carol)] == [0x15] * 3
    assert net.events[-1] == Stopped()
    assert [(event.code, event.participant.slot) for event in net.events if isinstance(event, EndpointLeft)] == [
        (0x15, 0),
        (0x15, 1),
        (0x15, 2),
    ]
    assert not [entry for frame in ann.got(Roster) for entry in frame.entries if entry.op == 2]


def test_stopping_does_not_wait_for_receipts() -> None:
    """CC-RELAY-077."""
    net = Net()
    ann, bob = net.joined("ann", "bob")
    ann.say(1, confirm=True)
    net.relay.stop(net.now)
    net.flush()
    assert (ann.bye, bob.bye) == (0x15, 0x15)
    assert ann.got(Fail) == []
    assert bob.got(Close) == []


def test_stopping_waits_for_messages_only() -> None:
    """CC-RELAY-077: a suspended endpoint that has not acknowledged a ROSTER is owed nothing, and delays nobody."""
    net = Net()
    ann, bob = net.joined("ann", "bob")
    bob.acks = False
    carol = net.join("carol")
    assert bob.one(Roster).epoch == 3
    bob.lose()
    net.run(SECOND)
    net.relay.stop(net.now)
    net.flush()
    assert (ann.bye, carol.bye) == (0x15, 0x15)
    assert net.events[-1] == Stopped()


def test_stopping_waits_for_the_acknowledgement_of_messages() -> None:
    """CC-RELAY-077: what was written and not acknowledged is still owed; resuming settles it."""
    net = Net()
    ann, bob = net.joined("ann", "bob")
    bob.acks = False
    ann.say(1)
    bob.lose()
    net.relay.stop(net.now)
    net.flush()
    assert ann.bye is None
    bob.acks = True
    bob.resume()
    assert (ann.bye, bob.bye) == (0x15, 0x15)
    assert ann.got(Fail) == []


@pytest.mark.parametrize("confirm", [False, True])
def test_stopping_waits_for_an_ack_behind_the_count_of_hello(confirm: bool) -> None:
    """CC-RELAY-077, CC-RELAY-078: what HELLO's count covers is owed until an ACK covers it."""
    net = Net()
    ann, bob = net.joined("ann", "bob")
    bob.acks, bob.silent = False, True
    ann.say(1, confirm=confirm)
    bob.lose()
    bob.resume()
    net.relay.stop(net.now)
    net.run(SECOND)
    assert (ann.bye, bob.bye) == (None, None)
    bob.lose()
    net.run(10 * SECOND)
    assert ann.one(Fail) == Fail(0, 1, 1, 1, 0x15, uncertain=True)


def test_stopping_ends_after_the_drain_time() -> None:
    """CC-RELAY-077, CC-RELAY-078: FAIL for everyone who is still owed something goes before BYE."""
    net = Net()
    ann, bob, carol, dan = net.joined("ann", "bob", "carol", "dan")
    bob.blocked = True
    carol.acks = False
    ann.say(1)
    ann.say(2, confirm=True)
    net.relay.stop(net.now)
    net.run(10 * SECOND - 1)
    assert ann.bye is None
    net.run(1)
    fails = ann.got(Fail)
    assert [(frame.recipient, frame.value, frame.reason, frame.uncertain) for frame in fails] == [
        (1, 1, 0x15, False),
        (2, 1, 0x15, True),
    ]
    assert type(ann.frames[-1]) is Bye
    assert [client.bye for client in (ann, carol, dan)] == [0x15] * 3
    assert net.relay.deadline() is None or net.relay.participants == ()


def test_stopping_forgets_who_is_suspended() -> None:
    net = Net()
    ann, bob = net.joined("ann", "bob")
    bob.lose()
    ann.say(1)
    net.relay.stop(net.now)
    net.run(10 * SECOND)
    assert ann.one(Fail) == Fail(0, 1, 1, 1, 0x15)
    assert net.events[-1] == Stopped()
    net.run(60 * SECOND)
    assert net.events[-1] == Stopped()


def test_epochs_that_are_used_up() -> None:
    """CC-ROSTER-015: all links end, and the call begins anew."""
    net = Net()
    ann, bob = net.joined("ann", "bob")
    net.relay._call.membership.epoch = MAX_EPOCH - 3
    carol = net.join("carol")
    assert (ann.bye, bob.bye) == (0x15, 0x15)
    assert carol.slot == 0
    assert carol.epoch == 1
    dan = net.join("dan")
    carol.say(1)
    assert dan.payloads() == [b"hi"]


# --- looking -----------------------------------------------------------------------------------------------------


def test_events_and_participants() -> None:
    net = Net()
    ann, bob = net.joined("ann", "bob")
    bob.lose()
    assert net.relay.participants == (Participant("ann", 0), Participant("bob", 1, suspended=True))
    ann.leave()
    assert net.events == [
        EndpointJoined(participant=Participant("ann", 0)),
        EndpointJoined(participant=Participant("bob", 1)),
        EndpointSuspended(participant=Participant("bob", 1, suspended=True)),
        EndpointLeft(participant=Participant("ann", 0), code=0x27),
    ]


def test_statistics() -> None:
    """CC-DELIV-080."""
    net = Net()
    ann, bob, carol = net.joined("ann", "bob", "carol")
    bob.blocked = True
    ann.say(1, b"x" * 84)
    ann.say(1, b"x" * 34, session=2, channel=6, flags=0)
    ann.say(1, session=1, flags=0)
    found = net.relay.statistics()
    assert [(link.identity, link.slot, link.bytes_queued, link.sessions) for link in found.links] == [
        ("ann", 0, 0, 2),
        ("bob", 1, 150, 0),
        ("carol", 2, 0, 0),
    ]
    assert found.drops == found.links[0].drops == {"mismatch": 1}
    assert found.frames_forwarded == 2
    assert found.sessions == 2
    assert found.packets_written >= 2
    assert found.bytes_written > 150
    ann.leave()
    carol.leave()
    after = net.relay.statistics()
    assert after.drops == {"mismatch": 1}
    assert after.frames_forwarded == 2


def test_settings_that_do_not_fit() -> None:
    """CC-LIMIT-003, CC-LIMIT-017."""
    with pytest.raises(InvalidArgument):
        Relay(entropy=bytes, limits=Limits(window=2_000_000, relay_link_memory=1_048_576))
    assert Relay(entropy=bytes).limits == Limits()
    for identity in ("", "x" * 256, "\ud800", 7):
        with pytest.raises(InvalidArgument):
            Admission(identity=identity)  # type: ignore[arg-type]
    for rate in (0, 1.5):
        with pytest.raises(InvalidArgument):
            Admission(identity="ann", rate=rate)  # type: ignore[arg-type]


def test_the_machine_is_deaf_to_transports_that_it_does_not_know() -> None:
    """CC-LINK-072."""
    net = Net()
    net.relay.receive(99, Lane.RELIABLE, b"anything", net.now)
    net.relay.transport_down(99, net.now)
    net.relay.lossy_lane(99, True, net.now)
    assert net.relay.pull(99, Lane.RELIABLE, 1_000, net.now) == []
    assert net.relay.pull(99, Lane.RELIABLE, 0, net.now) == []
    assert net.relay.take_dirty() == []


def test_a_budget_is_kept_and_nothing_is_lost() -> None:
    """CC-RELAY-028: order stays, whatever the packets are."""
    net = Net()
    ann, bob = net.joined("ann", "bob")
    bob.blocked = True
    for sequence in range(1, 31):
        ann.say(sequence, bytes([sequence]) * (900 if sequence % 3 else 90))
    transport = bob.transport
    assert transport is not None
    while packets := net.relay.pull(transport, Lane.RELIABLE, 1, net.now):
        assert len(packets) == 1
        bob.take(Lane.RELIABLE, packets[0])
    assert [payload[0] for payload in bob.payloads()] == list(range(1, 31))


def test_a_quiet_link_costs_nothing() -> None:
    """No work for links that have nothing to write: they are not even dirty."""
    net = Net()
    ann, bob, carol = net.joined("ann", "bob", "carol")
    net.relay.take_dirty()
    transport = ann.transport
    assert transport is not None
    net.relay.receive(transport, Lane.RELIABLE, ann.data(1, to=[1]).encode(), net.now)
    assert set(net.relay.take_dirty()) == {bob.transport}
    assert carol.slot == 2


def test_an_ack_that_is_not_due_goes_along_with_data() -> None:
    """CC-SCHED-015: for an endpoint that sends and receives, and before the data."""
    net = Net()
    ann, bob = net.joined("ann", "bob")
    for endpoint in (ann, bob):
        endpoint.say()
    net.run(100 * MS)
    ann.packets.clear()
    bob.say(2)
    ann.say(2)
    bob.say(3)
    assert [kinds(packet) for packet in ann.packets] == [[Data], [Ack, Data]]
    net.run(100 * MS)
    assert len(ann.packets) == 2  # the ACK is not written again


def kinds(packet: tuple[Lane, bytes]) -> list[type]:
    """The types of a packet's frames."""
    return [type(frame) for frame in decode_packet(packet[1], packet[0])]
