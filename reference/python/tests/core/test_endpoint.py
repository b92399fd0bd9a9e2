# SPDX-License-Identifier: Apache-2.0
"""An endpoint as its application sees it: joining, who is there, arguments, leaving (chapters 2, 4, 9, 11)."""

from __future__ import annotations

from typing import Any

import pytest

from callchannel.core import frames as wire
from callchannel.core.endpoint import Endpoint, Peer
from callchannel.core.errors import (
    CallChannelError,
    ErrorCode,
    InvalidArgument,
    LinkLost,
    NotJoined,
    ReceiverClosed,
    SenderClosed,
)
from callchannel.core.events import (
    Joined,
    LinkEnded,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantResumed,
    ParticipantSuspended,
    Resumed,
    SenderEnded,
    Suspended,
)
from callchannel.core.events import ReceiverClosed as ReceiverClosedEvent
from callchannel.core.extensions import Metadata
from callchannel.core.lanes import Lane
from callchannel.core.limits import Limits
from callchannel.core.link import LinkState
from callchannel.core.messages import Confirm, Message, Priority, Reliability
from callchannel.core.sender import SenderState
from tests.core.network import GROUP, SECOND, Wire, acceptor, entropy, group, joins, pair, peer


def ended(link: Wire) -> int | None:
    found = link.told(LinkEnded)
    return found[0].code if found else None


# --- joining and the roster ------------------------------------------------------------------


def test_joining_a_group_call() -> None:
    link = group()
    endpoint = link.endpoint
    assert (endpoint.identity, endpoint.slot, endpoint.joined) == ("carol", 2, True)
    assert [(who.identity, who.slot, who.is_self) for who in endpoint.participants] == [
        ("ann", 0, False),
        ("bob", 1, False),
        ("carol", 2, True),
        ("dan", 3, False),
    ]
    assert [type(event) for event in link.told(object)] == [Joined] + [ParticipantJoined] * 3


def test_participants_come_and_go() -> None:
    """CC-ROSTER-026, 029 and 14.7 `participant-left`, `participant-suspended`."""
    link = group()
    ops = wire.RosterOp
    link.give(
        wire.Roster(5, (wire.RosterEntry(ops.LEAVE, 1, 0x28),), more=True),
        wire.Roster(5, (wire.RosterEntry(ops.SUSPENDED, 0, 0x10),)),
    )
    link.give(wire.Roster(5, (wire.RosterEntry(ops.RESUMED, 0),)))
    link.give(wire.Roster(6, joins((1, "eve"))))
    events = link.told(object)[4:]
    assert [type(event) for event in events] == [
        ParticipantLeft,
        ParticipantSuspended,
        ParticipantResumed,
        ParticipantJoined,
    ]
    assert (events[0].participant.identity, events[0].code) == ("bob", ErrorCode.LOST)
    assert events[1].participant.suspended
    assert events[3].participant.identity == "eve"


def test_a_snapshot_without_this_endpoint() -> None:
    """CC-ROSTER-017."""
    link = Wire(Endpoint(entropy=entropy(1)))
    (hello,) = link.take()
    link.give(link.welcome(hello, slot=7), wire.Roster(4, joins(*GROUP), snapshot=True))
    assert ended(link) == ErrorCode.SLOT
    assert not link.endpoint.joined


@pytest.mark.parametrize(
    ("slot", "roster", "code"),
    [
        (1, wire.Roster(1, joins((0, "ann"), (1, "carol")), snapshot=True), None),
        (1, wire.Roster(2, joins((0, "ann"), (1, "carol")), snapshot=True), ErrorCode.EPOCH),
        (1, wire.Roster(1, joins((0, "ann"), (1, "carol")), snapshot=True, more=True), ErrorCode.EPOCH),
        (1, wire.Roster(1, joins((0, "ann"), (1, "carol"))), ErrorCode.EPOCH),
        (1, wire.Roster(1, joins((0, "ann"), (1, "carol"), (2, "eve")), snapshot=True), ErrorCode.SLOT),
        (1, wire.Roster(1, joins((1, "carol")), snapshot=True), ErrorCode.SLOT),
        (1, wire.Roster(1, joins((1, "carol"), (5, "ann")), snapshot=True), ErrorCode.SLOT),
        (7, wire.Roster(1, joins((0, "ann"), (7, "carol")), snapshot=True), ErrorCode.SLOT),
        (0, wire.Roster(1, joins((0, "ann"), (1, "carol")), snapshot=True), ErrorCode.SLOT),
    ],
)
def test_the_roster_of_a_peer(slot: int, roster: wire.Roster, code: int | None) -> None:
    """CC-PEER-002, 007, 008: whatever the acceptor writes, it ends the link at worst."""
    link = Wire(Endpoint(entropy=entropy(1), identity="carol", peer=Peer(initiator=True)))
    (hello,) = link.take()
    link.give(link.welcome(hello, slot=slot))
    link.give(roster)
    assert ended(link) == code
    assert link.endpoint.joined is (code is None)


def test_rosters_that_do_not_belong() -> None:
    """CC-PEER-008."""
    roster = wire.Roster(1, joins((0, "ann"), (1, "carol")), snapshot=True)
    for link, code in ((peer(), ErrorCode.EPOCH), (acceptor(), ErrorCode.HANDSHAKE)):
        link.give(roster)
        assert ended(link) == code


def test_peers_see_each_others_suspension_for_themselves() -> None:
    """Section 11.4, CC-PEER-018 to 020."""
    call = pair()
    call.network.cut(call.cable)
    for node, other in ((call.anna, "bob"), (call.bob, "anna")):
        (event,) = node.told(ParticipantSuspended)
        assert event.participant.identity == other
        assert [who.suspended for who in node.participants if not who.is_self] == [True]
        assert len(node.told(Suspended)) == 1
    call.reconnect()
    call.network.run()
    for node in (call.anna, call.bob):
        assert len(node.told(ParticipantResumed)) == len(node.told(Resumed)) == 1


@pytest.mark.parametrize(
    ("code", "left"), [(ErrorCode.LEFT, ErrorCode.LEFT), (ErrorCode.REPLACED, ErrorCode.LOST), (0, ErrorCode.LOST)]
)
def test_the_peer_goes(code: int, left: int) -> None:
    """CC-PEER-018 to 020."""
    link = peer()
    sender = link.endpoint.open_sender(link.now)
    link.give(wire.Data(7, 0, 1, 1, b"", wire.RELIABLE))
    link.endpoint.read(1, link.now)
    link.give(wire.Bye(code))
    assert [event.code for event in link.told(ParticipantLeft)] == [left]
    assert link.told(SenderEnded) == [SenderEnded(sender=sender, code=ErrorCode.LINK_LOST)]
    expected = ErrorCode.LEFT if code == ErrorCode.LEFT else ErrorCode.LINK_LOST
    assert [event.code for event in link.told(ReceiverClosedEvent)] == [expected]
    (event,) = link.told(LinkEnded)
    assert (event.code, event.by_peer) == (code, True)
    assert link.log[-1] is event


# --- a call of two ---------------------------------------------------------------------------


def test_both_ways_at_once() -> None:
    """Section 11.5: session 1 of slot 0 and session 1 of slot 1 are two sessions."""
    call = pair()
    for node, text in ((call.anna, b"from anna"), (call.bob, b"from bob")):
        node.send(node.open_sender(channel=5), text)
    call.network.run()
    for node, text in ((call.anna, b"from bob"), (call.bob, b"from anna")):
        (receiver,) = node.receivers()
        assert [message.data for message in node.read_all(receiver)] == [text]
        assert node.receiver_info(receiver).session == 1


def test_a_large_message_and_a_stream() -> None:
    call = pair()
    sender = call.anna.open_sender()
    call.anna.send(sender, bytes(range(256)) * 4_000)
    stream = call.anna.open_stream(sender)
    call.anna.write_stream(sender, stream, bytearray(b"ab"))
    call.anna.write_stream(sender, stream, memoryview(b"cd"))
    call.anna.finish_stream(sender, stream)
    call.network.run(2 * SECOND)
    (receiver,) = call.bob.receivers()
    message = call.bob.read(receiver)
    assert isinstance(message, Message)
    assert message.data == bytes(range(256)) * 4_000
    assert call.bob.read(receiver).is_stream
    found = b""
    while True:
        chunk = call.bob.read_stream(receiver)
        found += chunk.data
        if chunk.last:
            break
    assert found == b"abcd"


def test_who_leaves_is_missed() -> None:
    call = pair()
    sender = call.anna.open_sender()
    call.anna.send(sender, b"last words")
    call.anna.leave()
    call.network.run()
    assert [event.code for event in call.anna.told(LinkEnded)] == [ErrorCode.NONE]
    assert call.anna.told(ParticipantLeft) == []
    assert [event.code for event in call.bob.told(ParticipantLeft)] == [ErrorCode.LEFT]
    (receiver,) = call.bob.receivers()
    assert call.bob.read(receiver).data == b"last words"
    assert [event.code for event in call.bob.told(ReceiverClosedEvent)] == [ErrorCode.NONE]


# --- arguments -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"identity": "x" * 256},
        {"identity": b"bytes"},
        {"identity": "\ud800"},
        {"peer": Peer(initiator=True)},
        {"identity": "carol", "peer": Peer(initiator=False)},
        {"identity": "carol", "peer": Peer(initiator=False, identity="é" * 128)},
    ],
)
def test_faulty_endpoints(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        Endpoint(entropy=entropy(1), **options)


@pytest.mark.parametrize(
    "options",
    [
        {"channel": -1},
        {"channel": 65_536},
        {"channel": "1"},
        {"reliability": "reliable"},
        {"priority": 1},
        {"confirm": True},
        {"latest": True},
        {"reliability": Reliability.LOSSY, "confirm": Confirm.DELIVERED},
        {"bitrate": 0},
        {"bitrate": 1.5},
        {"to": "bob"},
        {"to": ["bob"], "exclude": ["ann"]},
    ],
)
def test_faulty_senders(options: dict[str, Any]) -> None:
    """CC-SESS-001, CC-SCHED-025."""
    link = group()
    with pytest.raises(InvalidArgument):
        link.endpoint.open_sender(link.now, **options)
    assert link.endpoint.open_sender(link.now) == 1


def test_good_senders() -> None:
    link = group()
    sender = link.endpoint.open_sender(
        link.now,
        channel=65_535,
        reliability=Reliability.LOSSY,
        priority=Priority.HIGH,
        to=["bob"],
        latest=True,
        bitrate=1,
    )
    info = link.endpoint.sender_info(sender)
    assert (info.channel, info.state, info.session, info.max_message_size) == (65_535, SenderState.OPEN, 0, 65_536)
    assert (info.options.latest, info.options.bitrate, info.target.to) == (True, 1, ("bob",))
    assert info.failed_recipients == ()


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (("text",), {}),
        ((b"x",), {"metadata": "text/plain"}),
        ((b"x",), {"metadata": Metadata(lifetime=1_000)}),  # it goes with Lossy
        ((b"x",), {"to": "bob"}),
        ((b"x",), {"to": ["bob"], "exclude": ["ann"]}),
    ],
)
def test_faulty_sends(arguments: Any, options: dict[str, Any]) -> None:
    link = group()
    sender = link.endpoint.open_sender(link.now)
    with pytest.raises(InvalidArgument):
        link.endpoint.send(sender, *arguments, link.now, **options)
    with pytest.raises(InvalidArgument):
        link.endpoint.open_stream(sender, link.now, metadata="x")  # type: ignore[arg-type]
    stream = link.endpoint.open_stream(sender, link.now)
    with pytest.raises(InvalidArgument):
        link.endpoint.write_stream(sender, stream, "text", link.now)  # type: ignore[arg-type]


def test_messages_may_be_views() -> None:
    link = group()
    sender = link.endpoint.open_sender(link.now)
    for found in (b"x", bytearray(b"x"), memoryview(b"x")):
        link.endpoint.send(sender, found, link.now)
    assert {frame.payload for frame in link.take_of(wire.Data)} == {b"x"}


# --- at the ends of a life -------------------------------------------------------------------


def test_before_joining() -> None:
    link = Wire(Endpoint(entropy=entropy(1)))
    with pytest.raises(NotJoined):
        link.endpoint.open_sender(0)
    (hello,) = link.take()
    link.give(link.welcome(hello, slot=2))
    with pytest.raises(NotJoined):
        link.endpoint.open_sender(0)


def test_after_leaving() -> None:
    """CC-LINK-062: from the call of `leave` on, in whatever state the link is."""
    for is_suspended in (True, False):
        link = group()
        sender = link.endpoint.open_sender(link.now)
        link.endpoint.send(sender, b"x", link.now)
        if is_suspended:
            link.endpoint.transport_down(1, link.now)
        link.endpoint.leave(link.now)
        with pytest.raises(SenderClosed):
            link.endpoint.send(sender, b"y", link.now)
        with pytest.raises(NotJoined):
            link.endpoint.open_sender(link.now)
        link.take()
        link.ack()
        link.endpoint.leave(link.now)
        assert ended(link) == ErrorCode.NONE


def test_after_the_link_died() -> None:
    link = group()
    sender = link.endpoint.open_sender(link.now)
    link.give(wire.Bye(ErrorCode.REPLACED))
    assert link.endpoint.state is LinkState.DEAD
    for call in (lambda: link.endpoint.open_sender(link.now), lambda: link.endpoint.send(sender, b"x", link.now)):
        with pytest.raises(LinkLost) as caught:
            call()
        assert caught.value.code == ErrorCode.LINK_LOST
    link.endpoint.close_sender(sender, link.now)
    link.endpoint.leave(link.now)
    assert len(link.told(LinkEnded)) == 1
    with pytest.raises(NotJoined):
        Wire(Endpoint(entropy=entropy(1))).endpoint.open_sender(0)


def test_a_link_that_died_before_joining() -> None:
    link = Wire(Endpoint(entropy=entropy(1)))
    link.give(wire.Bye(ErrorCode.CALL_FULL))
    assert ended(link) == ErrorCode.CALL_FULL
    with pytest.raises(NotJoined):
        link.endpoint.open_sender(0)


def test_commands_that_raise_change_nothing() -> None:
    """CC-ERR-013, CC-SESS-013."""
    link = group(limits=Limits(unconfirmed_messages=64))
    endpoint = link.endpoint
    sender = endpoint.open_sender(link.now)
    before = (endpoint.sender_info(sender), endpoint.statistics())
    calls: list[Any] = [
        lambda: endpoint.send(sender, "text", link.now),  # type: ignore[arg-type]
        lambda: endpoint.send(sender, b"x", link.now, to=["nobody"]),
        lambda: endpoint.send(sender, bytes(16_777_217), link.now),
        lambda: endpoint.set_recipients(sender, link.now, to=5),  # type: ignore[arg-type]
        lambda: endpoint.write_stream(sender, 1, b"x", link.now),
        lambda: endpoint.read(9, link.now),
    ]
    for call in calls:
        with pytest.raises(CallChannelError):
            call()
    assert (endpoint.sender_info(sender), endpoint.statistics()) == before
    assert link.take() == []
    assert endpoint.send(sender, b"x", link.now) == 1


def test_the_acceptor_without_a_link() -> None:
    endpoint = Endpoint(entropy=entropy(1), identity="bob", peer=Peer(initiator=False, identity="anna"))
    assert (endpoint.identity, endpoint.slot, endpoint.participants) == ("bob", None, ())
    endpoint.leave(5)
    assert [type(event) for event in endpoint.events()] == [LinkEnded]
    assert endpoint.deadline() is None


def test_time_does_not_go_back() -> None:
    link = group()
    link.endpoint.handle_timeout(link.now + 5)
    link.endpoint.handle_timeout(link.now)
    assert link.endpoint.now == link.now + 5


def test_receivers_of_a_link_that_is_gone() -> None:
    link = acceptor()
    link.give(wire.Data(7, 1, 1, 1, b"old", wire.RELIABLE), wire.Bye(ErrorCode.LEFT))
    link.replace(2)
    link.give(wire.Hello(b"N" * 16, 1, 262_144, 16_777_216, identity="ann"))
    link.give(wire.Data(7, 1, 1, 1, b"new", wire.RELIABLE))
    for receiver, text in ((1, b"old"), (2, b"new")):
        message = link.endpoint.read(receiver, link.now)
        assert message is not None
        assert message.data == text
    with pytest.raises(ReceiverClosed):
        link.endpoint.read(1, link.now)


def test_pulling_for_nobody() -> None:
    link = acceptor()
    for lane in Lane:
        assert link.endpoint.pull(99, lane, 1_000, link.now) == []
    link.endpoint.receive(99, Lane.RELIABLE, b"x", link.now)
    link.endpoint.transport_down(99, link.now)
    assert ended(link) is None
