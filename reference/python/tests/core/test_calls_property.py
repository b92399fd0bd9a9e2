# SPDX-License-Identifier: Apache-2.0
"""Whole calls under random operations and cuts: order, no duplicate, no gap, one outcome for each message, bounds.

The network is `network`'s: virtual time, and nothing random but what Hypothesis draws.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from callchannel.core.endpoint import Endpoint
from callchannel.core.errors import CallChannelError, ErrorCode, ReceiverClosed
from callchannel.core.events import (
    CustodyLost,
    Joined,
    LinkEnded,
    MessageConfirmed,
    MessageFailed,
    MessagesConfirmed,
    ReceiverCreated,
    ReceiverReadable,
    SenderEnded,
    SenderFailed,
)
from callchannel.core.events import ReceiverClosed as ReceiverClosedEvent
from callchannel.core.limits import Limits
from callchannel.core.messages import Confirm, Message, Priority, Reliability
from callchannel.core.relay import Admission, Relay
from callchannel.core.sender import CancelOutcome
from tests.core.network import SECOND, Network, Node, entropy, pair

LIMITS = Limits(
    window=65_536,
    send_buffer=65_536,
    unconfirmed_messages=64,
    unacknowledged=65_536,
    receive_memory=1_048_576,
    largest_message=1_048_576,
    lossy_queue=4_096,
    idle_close=4 * SECOND,
)


@dataclass
class Sent:
    """What became of the messages of one sender."""

    reliability: Reliability
    payloads: dict[int, bytes] = field(default_factory=dict)
    named: dict[int, bool] = field(default_factory=dict)
    """Whether it was to some."""
    recipients: dict[int, dict[int, str]] = field(default_factory=dict)
    """Whom it was for at the send: slot and identifier."""
    taken_back: dict[int, CancelOutcome] = field(default_factory=dict)


class User:
    """An application at an endpoint: it keeps book of everything."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.sent: dict[int, Sent] = {}
        self.read: dict[int, list[Message]] = {}

    @property
    def slot(self) -> int:
        """The slot in which it joined."""
        return self.node.told(Joined)[0].slot

    def try_to(self, command: str, *arguments: Any, **options: Any) -> Any:
        """Call a command that may be refused."""
        try:
            return getattr(self.node, command)(*arguments, **options)
        except CallChannelError as error:
            assert error.code != ErrorCode.INTERNAL
            return None

    def open(self, channel: int, reliability: Reliability, confirm: Confirm, priority: Priority) -> None:
        if reliability is Reliability.LOSSY:
            confirm = Confirm.ACCEPTED
        sender = self.try_to(
            "open_sender", channel=channel, reliability=reliability, confirm=confirm, priority=priority
        )
        if sender is not None:
            self.sent[sender] = Sent(reliability)

    def pick(self, number: int) -> int | None:
        return list(self.sent)[number % len(self.sent)] if self.sent else None

    def send(self, number: int, size: int, to: frozenset[str] | None = None) -> None:
        sender = self.pick(number)
        if sender is None:
            return
        sent = self.sent[sender]
        # Each payload tells whose it is, so that nothing can be mistaken for something else.
        count = len(sent.payloads) + 1
        payload = (b"%d.%d." % (sender, count)) * (1 + size // 4)
        sequence = self.try_to("send", sender, payload, to=to or None)
        if sequence:
            sent.payloads[sequence] = payload
            sent.named[sequence] = bool(to)
            sent.recipients[sequence] = {
                who.slot: who.identity
                for who in self.node.participants
                if not who.is_self and (not to or who.identity in to)
            }

    def burst(self, number: int, count: int, size: int) -> None:
        """Send so many messages before any is written."""
        was_blocked, self.node.blocked = self.node.blocked, True
        for _ in range(count):
            self.send(number, size)
        if not was_blocked:
            self.node.network.unblock(self.node)

    def cancel(self, number: int, sequence: int) -> None:
        sender = self.pick(number)
        if sender is not None and sequence in self.sent[sender].payloads:
            found = self.try_to("cancel", sender, sequence, ErrorCode.CANCELLED)
            if found is not None and found.outcome is not CancelOutcome.SETTLED:
                assert sequence not in self.sent[sender].taken_back
                self.sent[sender].taken_back[sequence] = found.outcome

    def take(self, number: int, count: int) -> None:
        """Read up to `count` messages of a receiver."""
        receivers = self.node.receivers()
        if not receivers:
            return
        receiver = receivers[number % len(receivers)]
        for _ in range(count):
            try:
                message = self.node.read(receiver)
            except ReceiverClosed:
                return
            if message is None:
                return
            self.read.setdefault(receiver, []).append(message)

    def read_everything(self) -> None:
        for number in range(len(self.node.receivers())):
            self.take(number, 10_000)

    # --- what has to be true -------------------------------------------------------------------

    def check_outcomes(self) -> None:
        """Exactly one outcome for each Reliable message (CC-DELIV-001, 006)."""
        for sender, sent in self.sent.items():
            if sent.reliability is Reliability.LOSSY:
                continue
            told: dict[int, str] = {}
            confirmed = 0
            for event in self.node.events:
                if getattr(event, "sender", None) != sender:
                    continue
                if isinstance(event, MessageFailed | MessageConfirmed):
                    assert event.sequence not in told
                    told[event.sequence] = "failed" if isinstance(event, MessageFailed) else "confirmed"
                elif isinstance(event, MessagesConfirmed):
                    assert event.through > confirmed
                    for sequence in range(confirmed + 1, event.through + 1):
                        if sequence not in sent.taken_back:
                            told.setdefault(sequence, "confirmed")
                    confirmed = event.through
            assert set(told) | set(sent.taken_back) == set(sent.payloads)
            assert not set(told) & set(sent.taken_back)

    def failed(self, sender: int) -> dict[int, set[str]]:
        """Who certainly did not get a message, by its report."""
        return {
            event.sequence: {name for name, _ in event.report.failed}
            for event in self.node.told(MessageFailed)
            if event.sender == sender
        }

    def is_sure(self, sender: int, sequence: int) -> bool:
        """Whether a message was neither taken back nor reported."""
        return sequence not in self.sent[sender].taken_back and sequence not in self.failed(sender)

    def check_events(self) -> None:
        """Events tell a story without a contradiction."""
        events = self.node.events
        assert len(self.node.told(LinkEnded)) <= 1
        assert len(self.node.told(Joined)) <= 1
        closed: set[int] = set()
        created: set[int] = set()
        for event in events:
            if isinstance(event, ReceiverCreated):
                assert event.receiver not in created
                created.add(event.receiver)
            elif isinstance(event, ReceiverReadable | ReceiverClosedEvent):
                assert event.receiver in created - closed
                if isinstance(event, ReceiverClosedEvent):
                    closed.add(event.receiver)
        ended = [event.sender for event in self.node.told(SenderEnded)]
        assert len(ended) == len(set(ended))
        failed = [event.sender for event in self.node.told(SenderFailed)]
        assert len(failed) == len(set(failed))
        assert len(self.node.told(CustodyLost)) <= len(self.sent)

    def check_memory(self) -> None:
        """CC-DELIV-048, 059, 062, 068, CC-LINK-035."""
        endpoint: Endpoint = self.node.machine
        statistics = endpoint.statistics()
        assert 0 <= statistics.bytes_buffered <= LIMITS.receive_memory
        assert statistics.link.bytes_unacknowledged <= LIMITS.unacknowledged + 16_384 + 4_096
        for sender, sent in self.sent.items():
            found = endpoint.sender_info(sender).statistics
            if sent.reliability is Reliability.RELIABLE:
                assert 0 <= found.messages_waiting <= LIMITS.unconfirmed_messages
            limit = LIMITS.send_buffer if sent.reliability is Reliability.RELIABLE else LIMITS.lossy_queue
            longest = max((len(payload) for payload in sent.payloads.values()), default=0)
            assert 0 <= found.bytes_waiting <= max(limit, longest)


def check_delivery(owner: User, reader: User, *, stayed: bool) -> None:
    """What `reader` read of the sessions of `owner`: in order, once, nothing false; nothing missing if both stayed."""
    slot, own_slot = owner.slot, reader.slot
    read: dict[tuple[int, int], list[Message]] = {}
    for event in reader.node.told(ReceiverCreated):
        if event.sender.slot == slot:
            read.setdefault((event.channel, event.session), []).extend(reader.read.get(event.receiver, []))
    senders = {}
    for sender in owner.sent:
        info = owner.node.machine.sender_info(sender)
        if info.session:
            senders[info.channel, info.session] = sender
    assert read.keys() <= senders.keys()
    for key, sender in senders.items():
        sent, messages, never = owner.sent[sender], read.get(key, []), owner.failed(sender)
        sequences = [message.sequence for message in messages]
        assert len(sequences) == len(set(sequences))
        for message in messages:
            assert message.data == sent.payloads[message.sequence]
            assert message.private == sent.named[message.sequence]
            # Nobody gets what is for others; a broadcast may reach who joined while it was on its way.
            assert own_slot in sent.recipients[message.sequence] or not sent.named[message.sequence]
        if sent.reliability is Reliability.LOSSY:
            continue
        assert sequences == sorted(sequences)
        for sequence, recipients in sent.recipients.items():
            names = list(recipients.values())
            name = recipients.get(own_slot, "")
            if sequence in sequences:  # what failed was not delivered (section 7.17)
                assert name not in never.get(sequence, ()) or names.count(name) > 1
                assert sent.taken_back.get(sequence) not in (CancelOutcome.REMOVED, CancelOutcome.ABORTED)
            elif stayed and own_slot in recipients:
                assert not owner.is_sure(sender, sequence)


# ---------------------------------------------------------------------------------------------
# Two endpoints
# ---------------------------------------------------------------------------------------------

sides = st.integers(0, 1)
small = st.integers(0, 5)
sizes = st.one_of(st.integers(0, 50), st.integers(0, 3_000), st.sampled_from([16_000, 40_000, 100_000]))

steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("open"),
            sides,
            st.integers(0, 3),
            st.sampled_from(Reliability),
            st.sampled_from(Confirm),
            st.sampled_from(Priority),
        ),
        st.tuples(st.just("send"), sides, small, sizes),
        st.tuples(st.just("send"), sides, small, sizes),
        st.tuples(st.just("burst"), sides, small, st.integers(2, 90), st.integers(0, 60)),
        st.tuples(st.just("read"), sides, small, st.integers(1, 20)),
        st.tuples(st.just("cancel"), sides, small, st.integers(1, 8)),
        st.tuples(st.just("close"), sides, small),
        st.tuples(st.just("refuse"), sides, small),
        st.tuples(st.just("run"), st.sampled_from([1_000, 20_000, 300_000, 5 * SECOND])),
        st.tuples(st.just("cut"), st.booleans()),
        st.tuples(st.just("block"), sides),
    ),
    min_size=5,
    max_size=45,
)
fates = st.lists(st.sampled_from(["ok", "drop", "delay", "dup"]), max_size=30)


@given(steps, fates, st.booleans(), st.sampled_from(["leave", "die", "wait"]))
def test_property_calls_of_two(operations: list[Any], lossy_fates: list[Any], lossy: bool, end: str) -> None:
    """A call of two, with transports that break and come back."""
    call = pair(limits=LIMITS, fates=lossy_fates, lossy=lossy)
    users = [User(call.anna), User(call.bob)]
    refused = False
    for user in users:
        user.open(1, Reliability.RELIABLE, Confirm.ACCEPTED, Priority.NORMAL)
    for step, *values in operations:
        if step == "open":
            users[values[0]].open(*values[1:])
        elif step == "send":
            users[values[0]].send(*values[1:])
        elif step == "burst":  # many messages in a packet
            users[values[0]].burst(*values[1:])
        elif step == "read":
            users[values[0]].take(*values[1:])
        elif step == "cancel":
            users[values[0]].cancel(*values[1:])
        elif step == "close":
            sender = users[values[0]].pick(values[1])
            if sender is not None:
                users[values[0]].try_to("close_sender", sender)
        elif step == "refuse":
            receivers = users[values[0]].node.receivers()
            if receivers:
                refused = True
                users[values[0]].try_to("close_receiver", receivers[values[1] % len(receivers)])
        elif step == "run":
            call.network.run(values[0])
        elif step == "block":
            node = users[values[0]].node
            if node.blocked:
                call.network.unblock(node)
            node.blocked = not node.blocked
        else:
            call.network.cut(call.cable)
            if values[0]:
                call.network.run(SECOND)
            for user in users:  # a HELLO that is held up for `unbound_time` would end the link
                user.node.blocked = False
            call.reconnect(lossy=lossy)
        for user in users:
            user.check_memory()
    for user in users:
        if user.node.blocked:
            call.network.unblock(user.node)
    if call.anna.state.name == "SUSPENDED":
        call.reconnect(lossy=lossy)
    if end == "die":
        call.network.cut(call.cable)
        call.network.run(31 * SECOND)
    else:
        for _ in range(40):
            call.network.run(SECOND)
            for user in users:
                user.read_everything()
        if end == "leave":
            for user in users:
                user.try_to("leave")
        call.network.run(120 * SECOND)
    for user in users:
        user.read_everything()
    for user, other in (users, users[::-1]):
        user.check_events()
        user.check_outcomes()
        check_delivery(user, other, stayed=end != "die" and not refused)
        assert other.node.machine.statistics().bytes_buffered == 0
        if end != "die" and not refused:
            assert user.node.told(MessageFailed) == []


# ---------------------------------------------------------------------------------------------
# Several endpoints and a relay
# ---------------------------------------------------------------------------------------------

NAMES = ("ann", "bob", "carol", "dan")
group_steps = st.lists(
    st.one_of(
        st.tuples(st.just("join"), st.sampled_from(NAMES)),
        st.tuples(st.just("leave"), small),
        st.tuples(st.just("vanish"), small),
        st.tuples(st.just("cut"), small),
        st.tuples(st.just("open"), small, st.integers(0, 2), st.sampled_from(Reliability), st.sampled_from(Confirm)),
        st.tuples(
            st.just("send"), small, small, st.integers(0, 200), st.frozensets(st.sampled_from(NAMES), max_size=3)
        ),
        st.tuples(
            st.just("send"), small, small, st.integers(0, 9_000), st.frozensets(st.sampled_from(NAMES), max_size=3)
        ),
        st.tuples(st.just("read"), small, small, st.integers(1, 9)),
        st.tuples(st.just("run"), st.sampled_from([1_000, 20_000, 100_000, SECOND])),
    ),
    min_size=8,
    max_size=40,
)


class Member(User):
    """An endpoint of a group call."""

    def __init__(self, node: Node, name: str, relay: Node) -> None:
        super().__init__(node)
        self.name = name
        self.relay = relay
        self.gone = False
        self.joined_with: set[str] = set()
        self.connect()

    def connect(self) -> None:
        self.cable = self.node.network.connect(self.node, self.relay, admission=Admission(identity=self.name))


@given(group_steps)
def test_property_group_calls(operations: list[Any]) -> None:
    """Joins, leaves, rejoins, cuts and sends to sets: exactly the recipients, each in order (CC-ROSTER-058 to 070)."""
    network = Network()
    relay = network.add(Relay(entropy=entropy(99), limits=LIMITS))
    members: list[Member] = []

    def join(name: str) -> None:
        node = network.add(Endpoint(entropy=entropy(len(members)), identity=name, limits=LIMITS))
        members.append(Member(node, name, relay))

    for name in NAMES[:3]:
        join(name)
    network.run()
    for member in members:
        member.open(1, Reliability.RELIABLE, Confirm.ACCEPTED, Priority.NORMAL)
    for step, *values in operations:
        living = [member for member in members if not member.gone]
        if step == "join":
            if len(members) < 8:
                join(values[0])
        elif step == "run":
            network.run(values[0])
        elif living:
            member = living[values[0] % len(living)]
            if step == "leave":
                member.gone = True
                member.try_to("leave")
            elif step == "vanish":
                member.gone = True
                network.vanish(member.cable)
            elif step == "cut":
                network.cut(member.cable)
                network.run(2_000)
                member.connect()
            elif step == "open":
                member.open(values[1], values[2], values[3], Priority.NORMAL)
            elif step == "send":
                member.send(*values[1:])
            else:
                member.take(values[1], values[2])
        for member in members:
            member.check_memory()
    for _ in range(60):
        network.run(SECOND)
        for member in members:
            member.read_everything()
    there = [member for member in members if member.node.told(Joined)]
    # A slot has one occupant here: it is given again after two minutes at the earliest.
    assert len({member.slot for member in there}) == len(there)
    for owner in there:
        owner.check_events()
        owner.check_outcomes()
        for reader in there:
            if reader is not owner:
                check_delivery(owner, reader, stayed=not (owner.gone or reader.gone))
        assert all(event.sender.slot != owner.slot for event in owner.node.told(ReceiverCreated))
