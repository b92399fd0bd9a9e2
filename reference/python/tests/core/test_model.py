# SPDX-License-Identifier: Apache-2.0
"""What the model does, the data channel feature of a calling SDK, can be done with callchannel.

One test for each row of the list of facts about the model. Where callchannel does more, the test says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from callchannel.core.endpoint import Endpoint
from callchannel.core.errors import ErrorCode, InvalidArgument, MessageTooLarge, SenderClosed
from callchannel.core.events import (
    CustodyLost,
    MessageConfirmed,
    MessageFailed,
    MessagesConfirmed,
    ReceiverClosed,
    ReceiverCreated,
    ReceiverReadable,
)
from callchannel.core.lanes import Lane
from callchannel.core.messages import Confirm, Priority, Reliability
from callchannel.core.relay import Admission, Relay
from tests.core.network import SECOND, Network, Node, Pair, entropy, pair

SUBJECTS = """
API, sender, receiver, direction, addressing, channel id, reliability, priority, bitrate, session,
receivers and sessions, sequence number, message size, rate limits, not offered
"""
NOT_HERE = {"security": "DTLS protects the transport; the core has no transport of its own"}
LOSSY = Reliability.LOSSY
MINUTE = 60 * SECOND


class Call:
    """A group call with a relay."""

    def __init__(self, *identities: str) -> None:
        self.network = Network()
        self.relay = self.network.add(Relay(entropy=entropy(0)))
        self.nodes: list[Node] = []
        for identity in identities:
            self.join(identity)

    def join(self, identity: str) -> Node:
        node = self.network.add(Endpoint(entropy=entropy(len(self.nodes) + 1), identity=identity))
        self.nodes.append(node)
        self.network.connect(node, self.relay, admission=Admission(identity=identity))
        self.network.run()
        assert node.joined
        return node

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def run(self, duration: int = SECOND // 2) -> None:
        self.network.run(duration)


def got(node: Node) -> list[tuple[int, bytes]]:
    """Sequence and bytes of everything that a node can read."""
    return [(message.sequence, message.data) for receiver in node.receivers() for message in node.read_all(receiver)]


KINDS: dict[str, Callable[[], tuple[Node, list[Node], Network]]] = {}


def kind(function: Callable[[], tuple[Node, list[Node], Network]]) -> Callable[..., Any]:
    KINDS[function.__name__] = function
    return function


@kind
def peer_to_peer() -> tuple[Node, list[Node], Network]:
    call: Pair = pair()
    return call.anna, [call.bob], call.network


@kind
def group() -> tuple[Node, list[Node], Network]:
    call = Call("anna", "bob", "carol")
    return call.nodes[0], call.nodes[1:], call.network


CALLS = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)


def test_every_row_has_its_test() -> None:
    names = {" ".join(item.split()).replace(" ", "_").lower() for item in SUBJECTS.split(",")}
    found = {name.removeprefix("test_row_") for name in globals() if name.startswith("test_row_")}
    assert found == names
    assert not NOT_HERE.keys() & names


@CALLS
def test_row_api(make: Any) -> None:
    """A sender has a channel, reliability, priority, bitrate and participants; the others are told of a receiver."""
    anna, others, network = make()
    sender = anna.open_sender(channel=7, reliability=LOSSY, priority=Priority.HIGH, bitrate=512_000, to=["bob"])
    anna.send(sender, b"x")
    network.run()
    (event,) = others[0].told(ReceiverCreated)
    assert (event.channel, event.reliability, event.priority) == (7, LOSSY, Priority.HIGH)
    assert all(other.told(ReceiverCreated) == [] for other in others[1:])


@CALLS
def test_row_sender(make: Any) -> None:
    """`channelId`, `maxMessageSize`, `setParticipants`, `sendMessage` with an outcome, `close`."""
    anna, others, network = make()
    sender = anna.open_sender(channel=7)
    info = anna.sender_info(sender)
    assert info.channel == 7
    assert info.max_message_size >= 32_768
    anna.set_recipients(sender, to=["bob"])
    anna.send(sender, b"x")
    anna.close_sender(sender)
    network.run()
    assert anna.told(MessagesConfirmed)
    with pytest.raises(SenderClosed):
        anna.send(sender, b"y")
    assert got(others[0]) == [(1, b"x")]


@CALLS
def test_row_receiver(make: Any) -> None:
    """`channelId`, `senderParticipantIdentifier`, `messageReady`, `close`, `readMessage`, which may have nothing."""
    anna, others, network = make()
    sender = anna.open_sender(channel=7)
    anna.send(sender, b"x")
    network.run()
    bob = others[0]
    (receiver,) = bob.receivers()
    info = bob.receiver_info(receiver)
    assert (info.channel, info.sender.identity) == (7, "anna")
    assert bob.told(ReceiverReadable) == [ReceiverReadable(receiver=receiver)]
    message = bob.read(receiver)
    assert (message.sequence, message.data) == (1, b"x")
    assert bob.read(receiver) is None
    anna.close_sender(sender)
    network.run()
    assert bob.told(ReceiverClosed) == [ReceiverClosed(receiver=receiver, code=ErrorCode.NONE)]


@CALLS
def test_row_direction(make: Any) -> None:
    """One-way: whoever wants to answer opens a sender of its own."""
    anna, others, network = make()
    anna.send(anna.open_sender(channel=7), b"question")
    network.run()
    bob = others[0]
    assert not hasattr(bob.receiver_info(bob.receivers()[0]), "send")
    bob.send(bob.open_sender(channel=7), b"answer")
    network.run()
    assert got(anna) == [(1, b"answer")]
    assert got(bob) == [(1, b"question")]


def test_row_addressing() -> None:
    """All, by an empty list; one; a set of any size, not 64 alone; two devices of a participant both get it."""
    call = Call("anna", "bob", "carol", "bob")
    anna, bob, carol, bobs_tablet = call
    sender = anna.open_sender()
    anna.send(sender, b"all")
    anna.set_recipients(sender, to=[])
    anna.send(sender, b"all again")
    anna.send(sender, b"one", to=["carol"])
    anna.send(sender, b"both devices", to=["bob"])
    anna.send(sender, b"set", to=["bob", "carol"])
    call.run()
    broadcast = [(1, b"all"), (2, b"all again")]
    assert got(carol) == [*broadcast, (3, b"one"), (5, b"set")]
    assert got(bob) == got(bobs_tablet) == [*broadcast, (4, b"both devices"), (5, b"set")]


def test_addressing_of_many() -> None:
    names = [f"p{number}" for number in range(70)]
    call = Call("anna", *names)
    anna, *others = call
    for reliability in Reliability:
        sender = anna.open_sender(reliability=reliability, to=names[:65])
        anna.send(sender, b"to 65")
    call.run()
    assert [len(got(other)) for other in others] == [2] * 65 + [0] * 5


@CALLS
def test_row_channel_id(make: Any) -> None:
    """1 to 65,535; 0 or none: a free one is picked."""
    anna, others, network = make()
    senders = [anna.open_sender(), anna.open_sender(channel=65_535), anna.open_sender(channel=0)]
    assert [anna.sender_info(sender).channel for sender in senders] == [1, 65_535, 2]
    for channel in (-1, 65_536):
        with pytest.raises(InvalidArgument):
            anna.open_sender(channel=channel)
    for sender in senders:
        anna.send(sender, b"x")
    network.run()
    assert {event.channel for event in others[0].told(ReceiverCreated)} == {1, 2, 65_535}


def test_row_reliability() -> None:
    """Lossy is dropped silently. Reliable is lossless and ordered, and raises where it can't be."""
    call = pair(fates=["drop", "delay", "ok"])
    lossy, reliable = call.anna.open_sender(reliability=LOSSY), call.anna.open_sender()
    for number in range(3):
        call.anna.send(lossy, b"lossy %d" % number)
        call.network.run(1_000)
    call.network.run()
    for number in range(100):
        call.anna.send(reliable, b"%d" % number)
    call.network.cut(call.cable)
    call.reconnect()
    call.network.run(SECOND)
    first, second = call.bob.receivers()
    assert [message.data for message in call.bob.read_all(first)] == [b"lossy 2", b"lossy 1"]
    assert [message.data for message in call.bob.read_all(second)] == [b"%d" % number for number in range(100)]
    assert call.anna.told(MessageFailed) == []
    call.anna.send(reliable, b"never")
    call.network.cut(call.cable)
    call.network.run(MINUTE)
    assert [event.sequence for event in call.anna.told(MessageFailed)] == [101]
    assert call.anna.told(CustodyLost) == [CustodyLost(sender=reliable, through=100)]


def test_row_priority() -> None:
    """Compared among the sender's own channels."""
    call = pair()
    call.anna.blocked = True
    normal, high = call.anna.open_sender(), call.anna.open_sender(priority=Priority.HIGH)
    for number in range(4):
        call.anna.send(normal, bytes([number]) * 1_000)
    call.anna.send(high, b"first")
    call.network.unblock(call.anna)
    call.network.run()
    assert [event.priority for event in call.bob.told(ReceiverCreated)] == [Priority.HIGH, Priority.NORMAL]


def test_row_bitrate() -> None:
    """A wish per channel; another channel is not slowed down."""
    call = pair()
    slow, fast = call.anna.open_sender(bitrate=80_000), call.anna.open_sender()
    for _ in range(60):
        call.anna.send(slow, bytes(984))
        call.anna.send(fast, bytes(984))
    call.network.run(SECOND)
    amounts = [call.anna.sender_info(sender).statistics.bytes_sent for sender in (slow, fast)]
    assert amounts[1] == 60 * 984
    assert 24_000 <= amounts[0] <= 28_000  # 16,384 at once, 10,000 a second


@CALLS
def test_row_session(make: Any) -> None:
    """A session is tied to a sender. A new one on the same channel closes the old one, and `close` tells everybody."""
    anna, others, network = make()
    old = anna.open_sender(channel=7)
    anna.send(old, b"old")
    network.run()
    new = anna.open_sender(channel=7)
    with pytest.raises(SenderClosed):
        anna.send(old, b"too late")
    anna.send(new, b"new")
    network.run()
    for other in others:
        first, second = other.receivers()
        assert [message.data for message in other.read_all(second)] == [b"new"]
        assert other.read(first).data == b"old"
        assert other.told(ReceiverClosed) == [ReceiverClosed(receiver=first, code=ErrorCode.NONE)]
        sessions = [event.session for event in other.told(ReceiverCreated)]
        assert sessions == sorted(set(sessions))


@CALLS
def test_row_receivers_and_sessions(make: Any) -> None:
    """A receiver for each session; it closes after 2 minutes without a message, and a later one makes a new receiver,
    unless it is Lossy and a newer session is on the channel."""
    anna, others, network = make()
    bob = others[0]
    lossy, reliable = anna.open_sender(channel=7, reliability=LOSSY), anna.open_sender(channel=8)
    for sender in (lossy, reliable):
        anna.send(sender, b"before")
    network.run()
    assert got(bob) == [(1, b"before")] * 2
    network.run(119 * SECOND)
    assert bob.told(ReceiverClosed) == []
    network.run(2 * SECOND)
    assert [event.code for event in bob.told(ReceiverClosed)] == [ErrorCode.IDLE] * 2
    for sender in (lossy, reliable):
        anna.send(sender, b"after")
    network.run()
    assert len(bob.receivers()) == 4
    assert got(bob) == [(2, b"after")] * 2
    newer = anna.open_sender(channel=7, reliability=LOSSY)
    anna.send(newer, b"newer")
    network.run()
    assert got(bob) == [(1, b"newer")]


def test_row_sequence_number() -> None:
    """To A and B: 1; to B: 2; to A: 3. A sees 1 and 3, and nothing was lost."""
    call = Call("sender", "a", "b")
    sending, a, b = call
    sender = sending.open_sender(to=["a", "b"])
    assert sending.send(sender, b"1") == 1
    sending.set_recipients(sender, to=["b"])
    assert sending.send(sender, b"2") == 2
    assert sending.send(sender, b"3", to=["a"]) == 3
    call.run()
    assert got(a) == [(1, b"1"), (3, b"3")]
    assert got(b) == [(1, b"1"), (2, b"2")]


@CALLS
def test_row_message_size(make: Any) -> None:
    """32 KB is no limit here: larger messages are fragmented, larger than the largest are streams."""
    anna, others, network = make()
    sender, lossy = anna.open_sender(), anna.open_sender(reliability=LOSSY)
    assert anna.max_message_size(Reliability.RELIABLE) == 16_777_216
    anna.send(sender, bytes(1_000_000))
    anna.send(lossy, bytes(32_768))
    with pytest.raises(MessageTooLarge):
        anna.send(lossy, bytes(65_537))
    network.run(2 * SECOND)
    for other in others:
        assert sorted(len(data) for _, data in got(other)) == [32_768, 1_000_000]


def test_row_rate_limits() -> None:
    """The model's are a service's own: an application gets the same by bitrates of its senders."""
    call = pair()
    rates = {Reliability.RELIABLE: 64_000, LOSSY: 512_000}
    senders = {kind: call.anna.open_sender(reliability=kind, bitrate=rate) for kind, rate in rates.items()}
    for _ in range(200):
        for sender in senders.values():
            call.anna.send(sender, bytes(984))
    call.network.run(SECOND)
    for reliability, sender in senders.items():
        sent = call.anna.sender_info(sender).statistics.bytes_sent
        assert sent <= rates[reliability] // 8 + 2 * 16_384
    assert call.anna.statistics().link.packets_written[Lane.LOSSY] > 0


@CALLS
def test_row_not_offered(make: Any) -> None:
    """What the model does not offer, and callchannel does: receipts of delivery, fragmentation, peer-to-peer calls."""
    anna, others, network = make()
    sender = anna.open_sender(confirm=Confirm.DELIVERED)
    anna.send(sender, bytes(100_000))
    network.run()
    assert anna.told(MessageConfirmed) == []
    for other in others:
        assert got(other) == [(1, bytes(100_000))]
    network.run()
    (event,) = anna.told(MessageConfirmed)
    assert set(event.report.reached or ()) == {who.identity for who in anna.participants if not who.is_self}
