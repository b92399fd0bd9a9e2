# SPDX-License-Identifier: Apache-2.0
import asyncio
import gc
from typing import Any

import pytest

from callchannel.aio import DataChannelReceiver, Message
from callchannel.core.errors import DeadlineExceeded, ErrorCode, InvalidArgument, ReceiverClosed
from callchannel.core.limits import Limits
from callchannel.core.messages import Priority, Reliability


async def test_what_a_receiver_says_of_itself(pair: Any) -> None:
    async with pair() as it:
        await it.ann.create_sender(channel=7, priority="high").send(b"x")
        receiver = await anext(it.bob.receivers())
        assert (receiver.channel_id, receiver.sender_identifier, receiver.participant.slot) == (7, "ann", 1)
        assert (receiver.reliability, receiver.priority) == (Reliability.RELIABLE, Priority.HIGH)
        assert repr(receiver) == "<DataChannelReceiver of 'ann', channel 7, open>"
        message = receiver.read_message()
        assert message is not None and repr(message) == "<Message 1, 1 bytes>"
        assert receiver.read_message() is None and not receiver.is_closed


async def test_waiting_for_a_message_has_a_time(pair: Any) -> None:
    async with pair() as it:
        sender = it.ann.create_sender()
        await sender.send(b"x")
        receiver = await anext(it.bob.receivers())
        await receiver.receive(timeout=1)
        with pytest.raises(DeadlineExceeded):
            await receiver.receive(timeout=1)
        waiting = asyncio.create_task(receiver.receive())
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.wait([waiting])
        await sender.send(b"y")
        assert (await receiver.receive(timeout=1)).data == b"y"


async def test_the_end_comes_after_everything_was_read(pair: Any) -> None:
    async with pair() as it:
        closed: list[DataChannelReceiver] = []
        async with it.ann.create_sender() as sender:
            await sender.send(b"1")
            await sender.send(b"2")
            receiver = await anext(it.bob.receivers())
            receiver.on_close(closed.append)
        await asyncio.sleep(1)
        assert not receiver.is_closed and closed == []
        assert [message.data async for message in receiver] == [b"1", b"2"]
        assert receiver.close_reason == ErrorCode.NONE and closed == [receiver]
        with pytest.raises(ReceiverClosed) as caught:
            receiver.read_message()
        assert caught.value.code == ErrorCode.NONE
        receiver.on_close(closed.append)
        await asyncio.sleep(0)
        assert closed == [receiver, receiver]
        assert "closed (NONE)" in repr(receiver)


async def test_receivers_that_are_there_come_first_and_ended_ones_not_at_all(pair: Any) -> None:
    async with pair() as it:
        first, second = it.ann.create_sender(), it.ann.create_sender()
        early = it.bob.receivers()
        await first.send(b"1")
        await second.send(b"2")
        receiver = await anext(early)
        await receiver.receive()
        await first.close()
        await asyncio.sleep(1)
        late = it.bob.receivers()
        assert (await anext(late)).channel_id == second.channel_id
        assert (await anext(early)).channel_id == second.channel_id
        await it.ann.create_sender().send(b"3")
        assert (await anext(late)).channel_id == 1
        late.close()
        assert [item async for item in late] == []


async def test_an_iterator_that_nobody_holds_costs_nothing(pair: Any) -> None:
    async with pair() as it:
        it.bob.receivers()
        it.bob.events()
        gc.collect()
        assert not it.bob._receiver_streams and not it.bob._notifier._streams


async def test_a_slow_consumer_of_receivers_keeps_only_what_is_unread(pair: Any) -> None:
    async with pair() as it:
        stream = it.bob.receivers()
        it.bob.on(DataChannelReceiver, lambda receiver: receiver.on_message(lambda _: None))
        for _ in range(200):
            async with it.ann.create_sender() as sender:
                await sender.send(b"x")
            await asyncio.sleep(0.1)
        assert len(stream._pending) <= 65
        await it.ann.leave()
        assert [item async for item in stream] == []


async def test_callbacks_come_one_after_the_other_and_hold_the_sender_up(
    pair: Any, reports: list[dict[str, Any]]
) -> None:
    async with pair() as it:
        seen: list[bytes] = []

        async def slow(message: Message) -> None:
            await asyncio.sleep(10)
            seen.append(message.data[:1])
            if len(seen) == 2:
                raise ValueError("my fault")

        sender = it.ann.create_sender(confirm="delivered")
        sends = [asyncio.create_task(sender.send(bytes([number]) * 300_000)) for number in range(4)]
        receiver = await anext(it.bob.receivers())
        receiver.on_message(slow)
        with pytest.raises(InvalidArgument):
            receiver.on_message(slow)
        await asyncio.sleep(15)
        assert seen == [b"\x00"] and not all(send.done() for send in sends)
        await asyncio.sleep(30)
        assert seen == [b"\x00", b"\x01", b"\x02", b"\x03"]
        await asyncio.gather(*sends)
    assert [str(report["exception"]) for report in reports] == ["my fault"]


async def test_plain_callbacks_and_their_end(pair: Any, reports: list[dict[str, Any]]) -> None:
    async with pair() as it:
        seen: list[str] = []
        reasons: list[object] = []
        sender = it.ann.create_sender()
        await sender.send_text("a")
        receiver = await anext(it.bob.receivers())
        receiver.on_message(lambda message: seen.append(message.text()))
        receiver.on_close(lambda it: reasons.append(it.close_reason))
        receiver.on_close(lambda it: 1 / 0)
        with pytest.raises(InvalidArgument):
            receiver.on_message(None)  # type: ignore[arg-type]
        with pytest.raises(InvalidArgument):
            receiver.on_close(None)  # type: ignore[arg-type]
        await sender.send_text("b")
        await sender.close()
        await asyncio.sleep(1)
        assert seen == ["a", "b"] and reasons == [ErrorCode.NONE]
    assert [type(report["exception"]) for report in reports] == [ZeroDivisionError]


async def test_leaving_ends_a_callback_that_would_never_return(pair: Any) -> None:
    async with pair() as it:
        await it.ann.create_sender().send(b"x")
        ended = []

        async def forever(_: Message) -> None:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                ended.append(True)

        (await anext(it.bob.receivers())).on_message(forever)
        await asyncio.sleep(1)
        await it.bob.leave()
        assert ended == [True]


async def test_a_callback_may_leave_the_call_and_goes_on(pair: Any, reports: list[dict[str, Any]]) -> None:
    async with pair() as it:
        sender = it.ann.create_sender()
        await asyncio.gather(*(sender.send(bytes([number])) for number in range(3)))
        other = it.ann.create_sender()
        await other.send(b"x")
        done: list[object] = []

        async def leave(message: Message) -> None:
            await it.bob.leave()
            await asyncio.sleep(1)
            done.append(message.data)

        async def forever(_: Message) -> None:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                await it.bob.leave()
                done.append("cancelled")

        receivers = it.bob.receivers()
        (await anext(receivers)).on_message(leave)
        (await anext(receivers)).on_message(forever)
        await asyncio.sleep(0)
        await it.bob.leave()
        assert it.bob.ended is not None and done == ["cancelled"]
        await asyncio.sleep(10)
        assert done == ["cancelled", b"\x00"]
    assert reports == []


async def test_what_was_received_stays_readable_after_leaving(pair: Any) -> None:
    async with pair() as it:
        await it.ann.create_sender().send(b"x")
        receiver = await anext(it.bob.receivers())
        await it.bob.leave()
        assert [message.data async for message in receiver] == [b"x"]
        assert receiver.close_reason == ErrorCode.LINK_LOST


async def test_reliable_receivers_raise_when_messages_may_be_missing_and_lossy_do_not(pair: Any) -> None:
    async with pair() as it:
        await it.ann.create_sender().send(b"x")
        await it.ann.create_sender(reliability="lossy").send(b"x")
        receivers = it.bob.receivers()
        readers = []
        for _ in range(2):
            receiver = await anext(receivers)
            await receiver.receive()
            readers.append((receiver.reliability, asyncio.create_task(read_all(receiver))))
        it.refusing = OSError("no network")
        it.near[-1].cut()
        for reliability, reader in readers:
            await asyncio.wait([reader])
            if reliability is Reliability.RELIABLE:
                assert isinstance(reader.exception(), ReceiverClosed)
            else:
                assert reader.result() == []


async def read_all(receiver: DataChannelReceiver) -> list[Any]:
    return [message async for message in receiver]


async def test_an_idle_receiver_ends_quietly_and_the_session_has_another(pair: Any) -> None:
    it = pair()
    await it.start(limits=Limits(idle_close=20_000_000))
    async with it.ann, it.bob:
        sender = it.ann.create_sender()
        receivers = it.bob.receivers()
        await sender.send(b"1")
        first = await anext(receivers)
        assert [message.data async for message in first] == [b"1"]
        assert first.close_reason == ErrorCode.IDLE
        await sender.send(b"2")
        second = await anext(receivers)
        assert second is not first and (await second.receive()).sequence == 2
