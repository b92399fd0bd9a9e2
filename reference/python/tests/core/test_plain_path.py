# SPDX-License-Identifier: Apache-2.0
"""The short way of whole Reliable messages to everyone does exactly what the long way does.

Two pairs of endpoints get the same commands, packets and times. In one of them the short way is closed. Every packet,
event, answer and message has to be the same.
"""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callchannel import Confirm, Endpoint, Lane, Limits, Peer, Priority, Reliability
from callchannel.core import decoding, frames
from callchannel.core.errors import CallChannelError, ErrorCode, FrameError, ReceiverClosed
from callchannel.core.messages import Message
from callchannel.core.sender import SenderSession

LIMITS = Limits(window=65_536, send_buffer=65_536, unacknowledged=65_536, unconfirmed_messages=64)

OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, 4), st.sampled_from([0, 1, 100, 1_200, 16_368, 16_369, 40_000])),
        st.tuples(st.just("burst"), st.integers(0, 4), st.sampled_from([0, 30, 100, 500, 20_000])),
        st.tuples(st.just("step"), st.sampled_from([1, 20_000, 40_000]), st.just(0)),
        st.tuples(st.just("cancel"), st.integers(0, 4), st.integers(1, 12)),
        st.tuples(st.just("info"), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("to"), st.integers(0, 4), st.sampled_from([0, 100])),
        st.tuples(st.just("stream"), st.integers(0, 3), st.sampled_from([1, 30_000])),
        st.tuples(st.just("run"), st.sampled_from([0, 1_000, 30_000, 6_000_000]), st.just(0)),
        st.tuples(st.just("read"), st.integers(0, 3), st.integers(1, 5)),
        st.tuples(st.just("read all"), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("close"), st.integers(0, 4), st.just(0)),
        st.tuples(st.just("close-receiver"), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("cut"), st.just(0), st.just(0)),
    ),
    max_size=40,
)


class Pair:
    """Two endpoints, and a note of all that could be seen."""

    def __init__(self, *, long_way: bool) -> None:
        entropy = random.Random(1).randbytes
        self.ends = [
            Endpoint(entropy=entropy, identity="ann", limits=LIMITS, peer=Peer(initiator=True)),
            Endpoint(entropy=entropy, identity="bob", limits=LIMITS, peer=Peer(initiator=False, identity="ann")),
        ]
        self.long_way = long_way
        self.now = 0
        self.transport = 0
        self.seen: list[object] = []
        self.senders: list[int] = []
        self.receivers: list[int] = []
        if long_way:
            for end in self.ends:
                end.link_received_plain = lambda link, packet, offset, now: (0, offset)  # type: ignore[method-assign]
        self.connect()
        ann = self.ends[0]
        for options in (
            {},
            {"priority": Priority.HIGH},
            {"confirm": Confirm.DELIVERED},
            {"reliability": Reliability.LOSSY},
            {},
        ):
            self.senders.append(ann.open_sender(self.now, **options))  # type: ignore[arg-type]
        if long_way:
            for sender in ann._senders.all():
                sender._plain_largest = -1

    def connect(self) -> None:
        self.transport += 1
        for end in self.ends:
            end.transport_up(self.transport, self.now)
        self.run(0)

    def run(self, time: int) -> None:
        until = self.now + time
        while True:
            self.pump()
            due = [at for end in self.ends if (at := end.deadline()) is not None and at <= until]
            if not due:
                break
            self.now = max(self.now, min(due))
            for end in self.ends:
                end.handle_timeout(self.now)
        self.now = until

    def pump(self) -> None:
        moved = True
        while moved:
            moved = False
            for end, other in (self.ends, self.ends[::-1]):
                for lane in Lane:
                    for packet in end.pull(self.transport, lane, 4_096, self.now):
                        self.seen.append(packet)
                        other.receive(self.transport, lane, packet, self.now)
                        moved = True
                for event in end.events():
                    self.seen.append(event)
                    if type(event).__name__ == "ReceiverCreated":
                        self.receivers.append(event.receiver)  # type: ignore[union-attr]

    def read_all(self, receiver: int) -> list[Message]:
        """What `Endpoint.read_all` says that it does; in the other pair it does so itself."""
        bob = self.ends[1]
        if not self.long_way:
            return bob.read_all(receiver, self.now)
        messages: list[Message] = []
        try:
            while (message := bob.read(receiver, self.now)) is not None:
                messages.append(message)
        except ReceiverClosed:
            if not messages:
                raise
        return messages

    def do(self, operation: tuple[str, int, int]) -> None:
        name, first, second = operation
        ann, bob = self.ends
        try:
            if name == "send":
                self.seen.append(ann.send(self.senders[first], bytes(second), self.now))
            elif name == "to":
                self.seen.append(ann.send(self.senders[first], bytes(second), self.now, to=["bob"]))
            elif name == "stream":
                sequence = ann.open_stream(self.senders[first], self.now)
                ann.write_stream(self.senders[first], sequence, bytes(second), self.now)
                ann.finish_stream(self.senders[first], sequence, self.now)
            elif name == "burst":
                for number in range(12):
                    self.seen.append(ann.send(self.senders[first], bytes([number]) * (second + number), self.now))
            elif name == "step":
                # Only so much goes over, and nothing comes back.
                for packet in ann.pull(self.transport, Lane.RELIABLE, first, self.now):
                    self.seen.append(packet)
                    bob.receive(self.transport, Lane.RELIABLE, packet, self.now)
            elif name == "cancel":
                self.seen.append(ann.cancel(self.senders[first], second, ErrorCode.CANCELLED, self.now))
            elif name == "info":
                self.seen.append(ann.sender_info(self.senders[first]))
                if self.receivers:
                    self.seen.append(bob.receiver_info(self.receivers[first % len(self.receivers)]))
            elif name == "run":
                self.run(first)
            elif name == "read" and self.receivers:
                for _ in range(second):
                    self.seen.append(bob.read(self.receivers[first % len(self.receivers)], self.now))
            elif name == "read all" and self.receivers:
                self.seen.append(self.read_all(self.receivers[first % len(self.receivers)]))
            elif name == "close":
                ann.close_sender(self.senders[first], self.now)
            elif name == "close-receiver" and self.receivers:
                bob.close_receiver(self.receivers[first % len(self.receivers)], self.now)
            elif name == "cut":
                for end in self.ends:
                    end.transport_down(self.transport, self.now)
                self.connect()
        except CallChannelError as error:
            self.seen.append((type(error), str(error)))


@given(OPERATIONS)
def test_property_both_ways_are_the_same(operations: list[tuple[str, int, int]]) -> None:
    short, long = Pair(long_way=False), Pair(long_way=True)
    for operation in operations:
        short.do(operation)
        long.do(operation)
        assert short.seen == long.seen
    for pair in (short, long):
        pair.run(100_000)
    assert short.seen == long.seen
    assert short.ends[0].statistics() == long.ends[0].statistics()
    assert short.ends[1].statistics() == long.ends[1].statistics()


def test_the_short_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    write_runs = SenderSession.write_runs
    monkeypatch.setattr(
        SenderSession,
        "write_runs",
        lambda self, room, budget, now: (got := write_runs(self, room, budget, now), taken.append(got[1]))[0],
    )
    pair = Pair(long_way=False)
    pair.do(("send", 0, 100))
    pair.run(0)
    for _ in range(20):
        pair.do(("send", 0, 100))
    pair.run(0)
    assert sum(taken) == 20
    assert len(pair.ends[1]._receivers.session_of(1)._plain) == 20


def test_the_short_way_of_senders_that_take_turns_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    write_whole = SenderSession._write_whole
    monkeypatch.setattr(
        SenderSession,
        "_write_whole",
        lambda self, length, counting: (taken.append(self.id), write_whole(self, length, counting))[1],
    )
    pair = Pair(long_way=False)
    for _ in range(2):
        for sender in (0, 4):
            pair.do(("burst", sender, 100))
        pair.run(0)
    first, second = pair.senders[0], pair.senders[4]
    assert taken[-23:] == [first, second] * 11 + [first]  # who is left alone with its last one writes a run
    assert pair.ends[0].sender_info(second).statistics.messages_sent == 24


@given(st.binary(max_size=40), st.integers(0, 8))
def test_property_plain_frames_are_valid_frames(tail: bytes, offset: int) -> None:
    packet = bytes(offset) + frames.pack_header(0x0101, 16 + len(tail) // 2, frames.key_of(1, 2, 3), 4) + tail
    for mutation in ({}, {0: 2}, {1: 0}, {1: 3}, {1: 5}, {1: 9}, {1: 0x41}, {1: 0x81}, {1: 0x31}, {3: 15}, {3: 255}):
        changed = bytearray(packet)
        for place, value in mutation.items():
            changed[offset + place] = value
        data = bytes(changed)
        found = decoding.read_plain(data, offset, len(data))
        try:
            kind, flags, size = decoding.read_start(data, offset)
            frame = decoding.decode_body(data, offset, kind, flags, size)
        except FrameError:
            assert found is None
            continue
        plain = (
            isinstance(frame, frames.Data)
            and frame.reliable
            and frame.fragment is None
            and frame.recipients is None
            and not frame.extensions
        )
        assert (found is not None) is plain
        if isinstance(frame, frames.Data) and found is not None:
            assert found == (flags, size, frame.channel, frame.sender, frame.session, frame.sequence)
