# SPDX-License-Identifier: Apache-2.0
import asyncio
from typing import Any

import pytest

from callchannel.aio import SendTimedOut
from callchannel.core.errors import (
    CallChannelError,
    DeliveryFailed,
    ErrorCode,
    InvalidArgument,
    LinkLost,
    RecipientsUnavailable,
    SenderClosed,
    StreamAborted,
    WouldBlock,
)


async def chunks_of(receiver: Any, message: Any) -> bytes:
    return b"".join([chunk async for chunk in receiver.chunks(message)])


async def test_a_stream_is_read_while_it_is_written(pair: Any) -> None:
    async with pair() as it:
        sender = it.ann.create_sender()
        async with sender.open_stream(name="log", content_type="text/plain", time=5) as stream:
            assert stream.sequence == 1
            await stream.write(b"one")
            receiver = await anext(it.bob.receivers())
            message = await receiver.receive()
            assert message.is_stream and message.data == b"" and message.size is None
            assert (message.name, message.content_type, message.time) == ("log", "text/plain", 5)
            assert repr(message) == "<Message 1, stream>"
            assert await receiver.read_chunk() == b"one"
            await stream.write(bytearray(b"two"))
            await stream.write(memoryview(b""))
            assert await receiver.read_chunk(message) == b"two"
            assert stream.bytes_written == 6
            with pytest.raises(InvalidArgument):
                await stream.write("text")  # type: ignore[arg-type]
        assert await receiver.read_chunk() == b""
        assert await receiver.read_chunk() == b""
        assert (await stream.finish()).sequence == 1
        await sender.send(b"behind")
        assert (await receiver.receive()).data == b"behind"
        assert await receiver.read_chunk() == b""
        with pytest.raises(SenderClosed):
            await stream.write(b"x")


async def test_a_stream_far_larger_than_every_buffer_with_a_slow_reader(pair: Any) -> None:
    async with pair() as it:
        sender = it.ann.create_sender(confirm="delivered")
        size, most = 0, 0

        async def write() -> Any:
            async with sender.open_stream() as stream:
                for _ in range(80):
                    await stream.write(bytes(100_000))
                    nonlocal most
                    most = max(most, stream.bytes_written - size)
            return await stream.finish()

        writing = asyncio.create_task(write())
        receiver = await anext(it.bob.receivers())
        message = await receiver.receive()
        async for chunk in receiver.chunks(message):
            size += len(chunk)
            await asyncio.sleep(0.01)
        assert size == 8_000_000
        assert most < 3_000_000
        assert (await writing).reached == ("bob",)


async def test_other_messages_wait_until_the_stream_has_ended(pair: Any) -> None:
    async with pair() as it:
        sender = it.ann.create_sender()
        async with sender.open_stream() as stream:
            behind = asyncio.create_task(sender.send(bytes(2_000_000)))
            second = asyncio.create_task(stream_of(sender, b"second"))
            await asyncio.sleep(1)
            with pytest.raises(WouldBlock):
                sender.send_nowait(b"x")
            await stream.write(b"first")
        receiver = await anext(it.bob.receivers())
        assert await chunks_of(receiver, await receiver.receive()) == b"first"
        assert len((await receiver.receive()).data) == 2_000_000
        assert await chunks_of(receiver, await receiver.receive()) == b"second"
        await asyncio.gather(behind, second)


async def stream_of(sender: Any, data: bytes) -> None:
    async with sender.open_stream() as stream:
        await stream.write(data)


async def test_an_exception_within_gives_the_stream_up(pair: Any) -> None:
    async with pair() as it:
        sender = it.ann.create_sender()
        with pytest.raises(ZeroDivisionError):
            async with sender.open_stream() as stream:
                await stream.write(b"half")
                receiver = await anext(it.bob.receivers())
                message = await receiver.receive()
                assert await receiver.read_chunk(message) == b"half"
                1 / 0  # noqa: B018
        with pytest.raises(StreamAborted):
            await receiver.read_chunk(message)
        with pytest.raises(CallChannelError) as caught:
            await stream.finish()
        assert caught.value.code == ErrorCode.CANCELLED
        await sender.send(b"the session goes on")
        assert (await receiver.receive()).data == b"the session goes on"


async def test_a_reader_may_skip_the_rest_of_a_stream(pair: Any) -> None:
    async with pair() as it:
        sender = it.ann.create_sender()
        writing = asyncio.create_task(stream_of(sender, bytes(3_000_000)))
        receiver = await anext(it.bob.receivers())
        message = await receiver.receive()
        await receiver.read_chunk(message)
        behind = asyncio.create_task(sender.send(b"behind"))
        later = await receiver.receive()
        assert later.data == b"behind"
        with pytest.raises(InvalidArgument):
            await receiver.read_chunk(message)
        assert [chunk async for chunk in receiver.chunks(later)] == [b"behind"]
        await asyncio.gather(writing, behind)


async def test_a_skipped_stream_that_is_given_up_is_nobodys_concern(pair: Any) -> None:
    async with pair() as it:
        sender = it.ann.create_sender()
        async with sender.open_stream() as stream:
            await stream.write(b"half")
            receiver = await anext(it.bob.receivers())
            await receiver.receive()
            reading = asyncio.create_task(receiver.receive())
            await asyncio.sleep(1)
            stream.abort()
            sending = asyncio.create_task(sender.send(b"next"))
            assert (await reading).data == b"next"
            await sending
            with pytest.raises(CallChannelError):
                await stream.write(b"x")
            with pytest.raises(CallChannelError):
                await stream.finish()
            assert stream.abort().value == "settled"


async def test_a_write_that_takes_too_long_gives_the_stream_up(pair: Any) -> None:
    async with pair() as it:
        sender = it.ann.create_sender()
        stream = sender.open_stream()
        assert stream.abort().value == "removed" and stream.sequence is None
        await stream.__aenter__()
        with pytest.raises(InvalidArgument):
            await stream.__aenter__()
        with pytest.raises(SendTimedOut):
            await stream.write(bytes(10_000_000), timeout=3)
        assert 1_000_000 < stream.bytes_written < 10_000_000
        await sender.send(b"x")
        receiver = await anext(it.bob.receivers())
        assert (await receiver.receive()).data == b"x"  # nobody had begun to read what was given up


async def test_finishing_waits_for_the_writes_that_were_begun(pair: Any) -> None:
    async with pair() as it:
        stream = await it.ann.create_sender(confirm="delivered").open_stream().__aenter__()
        writing = asyncio.create_task(stream.write(bytes(3_000_000)))
        await asyncio.sleep(1)
        assert not writing.done()
        finishing = [asyncio.create_task(stream.finish()) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(SenderClosed):
            await stream.write(b"late")
        receiver, message = await first_of(it.bob)
        assert await chunks_of(receiver, message) == bytes(3_000_000)
        assert [(await task).reached for task in finishing] == [("bob",)] * 2
        await writing


@pytest.mark.parametrize("how", ["timeout", "cancelled"])
async def test_who_stops_waiting_behind_a_write_to_finish_gives_the_stream_up(pair: Any, how: str) -> None:
    async with pair() as it:
        stream = await it.ann.create_sender().open_stream().__aenter__()
        writing = asyncio.create_task(stream.write(bytes(3_000_000)))
        receiver, message = await first_of(it.bob)
        finishing = asyncio.create_task(stream.finish(timeout=3))
        await asyncio.sleep(1)
        if how == "cancelled":
            finishing.cancel()
        with pytest.raises(SendTimedOut if how == "timeout" else asyncio.CancelledError) as caught:
            await finishing
        if isinstance(caught.value, SendTimedOut):
            assert caught.value.outcome.value == "aborted" and "within 3 s" in str(caught.value)
        with pytest.raises(CallChannelError):
            await writing
        with pytest.raises(StreamAborted):
            await chunks_of(receiver, message)


async def test_a_cancelled_writer_gives_the_stream_up(pair: Any) -> None:
    async with pair() as it:
        sender = it.ann.create_sender()
        writing = asyncio.create_task(stream_of(sender, bytes(10_000_000)))
        await asyncio.sleep(1)
        waiting = asyncio.create_task(stream_of(sender, b"never"))
        await asyncio.sleep(1)
        waiting.cancel()
        writing.cancel()
        await asyncio.wait([writing, waiting])
        assert writing.cancelled() and waiting.cancelled()
        await sender.send(b"x")
        assert sender.statistics.messages_sent <= 3


async def test_a_stream_whose_recipient_goes_fails(pair: Any) -> None:
    async with pair() as it:
        sender = it.ann.create_sender()
        with pytest.raises(DeliveryFailed) as caught:
            async with sender.open_stream() as stream:
                await stream.write(b"x")
                (await anext(it.bob.receivers())).close()
                while True:
                    await stream.write(bytes(100_000))
        assert caught.value.code == ErrorCode.CLOSED


async def test_a_link_that_ends_wakes_the_writer_and_the_reader(pair: Any) -> None:
    async with pair() as it:
        sender = it.ann.create_sender()
        writing = asyncio.create_task(stream_of(sender, bytes(10_000_000)))
        receiver = await anext(it.bob.receivers())
        message = await receiver.receive()
        it.refusing = OSError("no network")
        await receiver.read_chunk(message)
        it.near[-1].cut()
        with pytest.raises(StreamAborted):
            await chunks_of(receiver, message)
        with pytest.raises(LinkLost):
            await writing


async def test_closing_the_sender_gives_its_open_stream_up(pair: Any) -> None:
    async with pair() as it:
        sender = it.ann.create_sender()
        stream = await sender.open_stream().__aenter__()
        await stream.write(b"half")
        behind = asyncio.create_task(sender.send(b"behind"))
        receiver = await anext(it.bob.receivers())
        message = await receiver.receive()
        await sender.close()
        await behind
        with pytest.raises(StreamAborted):
            await chunks_of(receiver, message)
        assert (await receiver.receive()).data == b"behind"
        with pytest.raises(CallChannelError):
            await stream.write(b"x")


async def test_streams_have_recipients_of_their_own_and_need_a_reliable_sender(pair: Any) -> None:
    async with pair() as it:
        sender = it.ann.create_sender(to=["carol"])
        async with sender.open_stream(to="bob") as stream:
            await stream.write(b"x")
        assert await chunks_of(*(await first_of(it.bob))) == b"x"
        with pytest.raises(RecipientsUnavailable):
            async with sender.open_stream():
                pytest.fail("carol is not there")
        assert sender.participants == ("carol",)
        with pytest.raises(InvalidArgument):
            it.ann.create_sender(reliability="lossy").open_stream()
        with pytest.raises(InvalidArgument):
            await sender.open_stream().write(b"not entered")


@pytest.mark.parametrize("meant", ["bob", "everyone"])
async def test_a_stream_is_for_the_recipients_of_the_moment_of_the_call(meeting: Any, meant: str) -> None:
    async with meeting() as it:
        ann, bob, cat = await it.join_all("ann", "bob", "cat")
        sender = ann.create_sender(to=["bob"] if meant == "bob" else None)
        stream = sender.open_stream()
        sender.set_participants(["cat"])
        async with stream:
            await stream.write(b"meant")
        await sender.send(b"for cat")
        assert await chunks_of(*(await first_of(bob))) == b"meant"
        receiver, message = await first_of(cat)
        if meant == "everyone":
            assert await chunks_of(receiver, message) == b"meant"
            message = await receiver.receive()
        assert message.data == b"for cat"


async def first_of(call: Any) -> tuple[Any, Any]:
    receiver = await anext(call.receivers())
    return receiver, await receiver.receive()
