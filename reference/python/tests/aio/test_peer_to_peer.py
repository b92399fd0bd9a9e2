# SPDX-License-Identifier: Apache-2.0
"""Calls of two endpoints without a relay (specification, chapter 11)."""

import asyncio
from typing import Any

import pytest

from callchannel.aio import Call, memory_pair
from callchannel.core.errors import ErrorCode, InvalidArgument, LinkLost
from callchannel.core.events import (
    LinkEnded,
    ParticipantLeft,
    ParticipantResumed,
    ParticipantSuspended,
    Resumed,
    Suspended,
)


async def test_both_sides_know_each_other_and_send(pair: Any) -> None:
    async with pair() as it:
        assert [(item.identity, item.slot) for item in it.ann.participants] == [("bob", 0), ("ann", 1)]
        assert it.ann.participants == tuple(
            type(item)(item.identity, item.slot, not item.is_self) for item in it.bob.participants
        )
        for one, other, name in ((it.ann, it.bob, "ann"), (it.bob, it.ann, "bob")):
            sender = one.create_sender(confirm="delivered")
            sending = asyncio.create_task(sender.send_text(f"hello from {name}"))
            receiver = await anext(other.receivers())
            message = await receiver.receive()
            assert (receiver.sender_identifier, message.text()) == (name, f"hello from {name}")
            report = await sending
            assert report.reached == ("bob" if name == "ann" else "ann",)


async def test_lossy_messages_arrive_on_either_lane(pair: Any) -> None:
    for lossy in (True, False):
        async with pair(lossy=lossy) as it:
            sender = it.ann.create_sender(reliability="lossy")
            for number in range(20):
                await sender.send(bytes([number]) * 100)
            receiver = await anext(it.bob.receivers())
            got = [(await receiver.receive()).data[0] for _ in range(20)]
            assert sorted(got) == list(range(20))
            assert sender.drops == {}


async def test_a_message_to_everyone_but_the_peer_has_no_recipients_cc_peer_011(pair: Any) -> None:
    async with pair() as it:
        report = await it.ann.create_sender().send(b"x", exclude=["bob"])
        assert report.failed == () and report.unknown == ()


async def test_leaving_is_seen_by_the_peer_cc_peer_018_020(pair: Any) -> None:
    async with pair() as it:
        receivers, events = it.bob.receivers(), it.bob.events()
        await it.ann.create_sender().send(b"unread")
        receiver = await anext(receivers)
        await it.ann.leave()
        left, ended = [event async for event in events]
        assert isinstance(left, ParticipantLeft)
        assert (left.participant.identity, left.code) == ("ann", ErrorCode.LEFT)
        assert isinstance(ended, LinkEnded) and (ended.code, ended.by_peer) == (ErrorCode.LEFT, True)
        assert [item async for item in receivers] == []
        assert [message.data async for message in receiver] == [b"unread"]
        assert receiver.close_reason in (ErrorCode.NONE, ErrorCode.LEFT)
        with pytest.raises(LinkLost):
            it.bob.create_sender()


async def test_a_lost_transport_is_replaced_by_the_initiator(pair: Any) -> None:
    async with pair() as it:
        events = {call: call.events() for call in (it.ann, it.bob)}
        sender = it.ann.create_sender()
        back = it.bob.create_sender()
        sends = []
        for number in range(60):
            sends.append(asyncio.create_task(sender.send(bytes([number]) * 2_000)))
            sends.append(asyncio.create_task(back.send(bytes([number]) * 2_000)))
            await asyncio.sleep(0)
            if number % 20 == 10:
                it.near[-1].cut()
                await asyncio.sleep(1)
        await asyncio.gather(*sends)
        for call in (it.ann, it.bob):
            receiver = await anext(call.receivers())
            assert [(await receiver.receive()).data[0] for _ in range(60)] == list(range(60))
            seen = [type(await anext(events[call])) for _ in range(12)]
            assert seen == [Suspended, ParticipantSuspended, Resumed, ParticipantResumed] * 3
        assert len(it.near) == 4


async def test_only_the_initiator_sees_the_loss_and_the_acceptor_follows(pair: Any) -> None:
    async with pair() as it:
        it.ann.reconnect()
        await it.ann.create_sender().send(b"x")
        receiver = await anext(it.bob.receivers())
        assert (await receiver.receive()).data == b"x"
        assert not it.ann.is_suspended and not it.bob.is_suspended


async def test_no_transport_within_the_resume_window_ends_both(pair: Any) -> None:
    async with pair() as it:
        events = it.bob.events()
        it.refusing = OSError("no network")
        it.near[-1].cut()
        sending = asyncio.create_task(it.bob.create_sender().send(b"x"))
        seen = [type(event) async for event in events]
        assert seen == [Suspended, ParticipantSuspended, ParticipantLeft, LinkEnded]
        with pytest.raises(LinkLost):
            await sending
        assert it.ann.ended is not None and it.ann.ended.code == ErrorCode.LINK_LOST


async def test_ready_transports(pair: Any) -> None:
    near, far = memory_pair()
    ann, bob = await asyncio.gather(
        Call.peer_to_peer(near, initiator=True, identity="ann"),
        Call.peer_to_peer(far, initiator=False, identity="bob", peer_identity="ann"),
    )
    async with ann, bob:
        await ann.create_sender().send(b"x")
        streams = [ann.events(), bob.events()]
        far.cut()
        for stream in streams:
            *_, ended = [event async for event in stream]
            assert isinstance(ended, LinkEnded) and ended.code == ErrorCode.LINK_LOST


async def test_the_acceptor_has_to_say_who_its_peer_is() -> None:
    near, _ = memory_pair()
    with pytest.raises(InvalidArgument):
        await Call.peer_to_peer(near, initiator=False, identity="bob")
    near.cut()
    await near.wait_closed()


async def test_a_paused_reader_holds_its_session_and_no_other_cc_peer_016(pair: Any) -> None:
    async with pair() as it:
        bulk, chat = it.ann.create_sender(), it.ann.create_sender()
        sends = [asyncio.create_task(bulk.send(bytes(100_000))) for _ in range(20)]
        await asyncio.sleep(120)
        assert not all(send.done() for send in sends)
        await chat.send(b"still fast")
        receivers = {receiver.channel_id: receiver async for receiver in take(it.bob.receivers(), 2)}
        assert (await receivers[chat.channel_id].receive()).data == b"still fast"
        for _ in range(20):
            await receivers[bulk.channel_id].receive()
        await asyncio.gather(*sends)


async def take(source: Any, count: int) -> Any:
    for _ in range(count):
        yield await anext(source)
