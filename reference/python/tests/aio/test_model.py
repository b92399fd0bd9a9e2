# SPDX-License-Identifier: Apache-2.0
"""What the model does, through the objects that an application has: `DataChannelSender` and `DataChannelReceiver`.

One test for each row of the list of facts about the model. What only the core shows is in `tests/core/test_model.py`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from callchannel.aio import Call, DataChannelReceiver, memory_relay
from callchannel.core.errors import ErrorCode, InvalidArgument, MessageTooLarge, RecipientsUnavailable, SenderClosed
from callchannel.core.limits import Limits
from callchannel.core.messages import Priority, Reliability

MINUTE = 60


class Group:
    """Ann, Bob and Carol in a call, and a relay in the same loop."""

    def __init__(self, calls: list[Call]) -> None:
        self.ann, self.bob, self.carol = calls


@asynccontextmanager
async def group(**limits: int) -> AsyncIterator[Group]:
    relay = memory_relay()
    calls = [
        await Call.join(relay.connect(name), identity=name, limits=Limits(**limits)) for name in ("ann", "bob", "carol")
    ]
    while any(len(call.participants) < len(calls) for call in calls):
        await asyncio.sleep(0.01)  # of virtual time: a relay may batch roster changes
    try:
        yield Group(calls)
    finally:
        for call in calls:
            await call.leave()
        await relay.close()


async def receiver_of(call: Call) -> DataChannelReceiver:
    return await anext(call.receivers())


async def test_api() -> None:
    async with group() as it:
        sender = it.ann.create_sender(channel=3, reliability="lossy", priority="high", bitrate=64_000, to=["bob"])
        await sender.send(b"hello")
        receiver = await receiver_of(it.bob)
        assert (receiver.channel_id, receiver.reliability, receiver.priority) == (3, Reliability.LOSSY, Priority.HIGH)


async def test_sender() -> None:
    async with group() as it:
        sender = it.ann.create_sender(channel=3)
        assert (sender.channel_id, sender.max_message_size) == (3, 16_777_216)
        sender.set_participants(["bob"])
        await sender.send(b"for bob")
        await sender.close()
        with pytest.raises(SenderClosed):
            await sender.send(b"too late")
        assert (await (await receiver_of(it.bob)).receive()).data == b"for bob"


async def test_receiver() -> None:
    async with group() as it:
        sender = it.ann.create_sender(channel=3)
        await sender.send(b"one")
        receiver = await receiver_of(it.bob)
        closed: list[DataChannelReceiver] = []
        receiver.on_close(closed.append)
        message = receiver.read_message()
        assert message is not None
        assert (message.sequence, message.data) == (1, b"one")
        assert receiver.read_message() is None
        assert (receiver.channel_id, receiver.sender_identifier) == (3, "ann")
        await sender.close()
        assert [message async for message in receiver] == []
        assert closed == [receiver]


async def test_direction() -> None:
    assert not hasattr(DataChannelReceiver, "send")
    async with group() as it:
        assert not hasattr(it.ann.create_sender(), "receive")


async def test_addressing() -> None:
    async with group() as it:
        sender = it.ann.create_sender()
        await sender.send(b"all")
        await sender.send(b"bob", to=["bob"])
        await sender.send(b"both", to=["bob", "carol"])
        await sender.send(b"not bob", exclude=["bob"])
        bob, carol = await receiver_of(it.bob), await receiver_of(it.carol)
        assert [(await bob.receive()).data for _ in range(3)] == [b"all", b"bob", b"both"]
        assert [(await carol.receive()).data for _ in range(3)] == [b"all", b"both", b"not bob"]


async def test_channel_id() -> None:
    async with group() as it:
        assert [it.ann.create_sender().channel_id for _ in range(2)] == [1, 2]
        assert it.ann.create_sender(channel=65_535).channel_id == 65_535
        with pytest.raises(InvalidArgument):
            it.ann.create_sender(channel=65_536)


async def test_reliability() -> None:
    async with group() as it:
        reliable, lossy = it.ann.create_sender(), it.ann.create_sender(reliability="lossy")
        with pytest.raises(RecipientsUnavailable) as caught:
            await reliable.send(b"x", to=["dan"])
        assert caught.value.names == ("dan",)
        await lossy.send(b"x", to=["dan"])
        assert lossy.drops == {"no_recipients": 1}


async def test_priority() -> None:
    async with group() as it:
        bulk, urgent = it.ann.create_sender(), it.ann.create_sender(priority="high")
        bulk.send_nowait(bytes(1_000_000), to=["bob"])
        await urgent.send(b"now", to=["bob"], timeout=5)
        receivers = it.bob.receivers()
        found = [await anext(receivers), await anext(receivers)]
        first = next(receiver for receiver in found if receiver.priority is Priority.HIGH)
        assert (await first.receive()).data == b"now"


async def test_bitrate() -> None:
    async with group() as it:
        sender = it.ann.create_sender(bitrate=80_000)
        for _ in range(5):
            await sender.send(bytes(10_000))
        assert sender.statistics.messages_sent == 5


async def test_session() -> None:
    async with group() as it:
        old = it.ann.create_sender(channel=3)
        await old.send(b"old")
        new = it.ann.create_sender(channel=3)
        await new.send(b"new")
        with pytest.raises(SenderClosed):
            await old.send(b"too late")
        receivers = it.bob.receivers()
        first, second = await anext(receivers), await anext(receivers)
        assert {(await first.receive()).data, (await second.receive()).data} == {b"old", b"new"}


async def test_receivers_and_sessions() -> None:
    async with group(idle_close=2 * MINUTE * 1_000_000) as it:
        sender = it.ann.create_sender()
        await sender.send(b"one")
        receivers = it.bob.receivers()
        first = await anext(receivers)
        assert [message.data async for message in first] == [b"one"]  # until it closes: two minutes without a message
        assert first.close_reason == ErrorCode.IDLE
        await sender.send(b"two")
        second = await anext(receivers)
        assert (await second.receive()).sequence == 2


async def test_sequence_number() -> None:
    async with group() as it:
        sender = it.ann.create_sender(to=["bob", "carol"])
        await sender.send(b"1")
        sender.set_participants(["carol"])
        await sender.send(b"2")
        sender.set_participants(["bob"])
        await sender.send(b"3")
        bob = await receiver_of(it.bob)
        assert [(await bob.receive()).sequence for _ in range(2)] == [1, 3]


async def test_message_size() -> None:
    async with group() as it:
        sender = it.ann.create_sender()
        with pytest.raises(MessageTooLarge):
            await sender.send(bytes(sender.max_message_size + 1))
        await sender.send(bytes(32_768))  # the model's most
