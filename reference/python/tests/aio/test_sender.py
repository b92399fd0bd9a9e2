# SPDX-License-Identifier: Apache-2.0
import asyncio
from typing import Any

import pytest

from callchannel.aio import DataChannelReceiver, LinkLostInFlight, SendTimedOut
from callchannel.core.errors import (
    CallChannelError,
    DeadlineExceeded,
    DeliveryFailed,
    ErrorCode,
    InvalidArgument,
    MessageTooLarge,
    RecipientsUnavailable,
    SenderClosed,
    WouldBlock,
)
from callchannel.core.events import RecipientFailed, SenderEnded
from callchannel.core.limits import Limits
from callchannel.core.messages import Priority, Reliability
from callchannel.core.sender import CancelOutcome


async def receiver_of(call: Any) -> DataChannelReceiver:
    receiver: DataChannelReceiver = await anext(call.receivers())
    return receiver


async def test_what_a_sender_says_of_itself(pair: Any) -> None:
    async with pair() as it:
        sender = it.ann.create_sender(channel=7, to="bob")
        assert (sender.channel_id, sender.reliability) == (7, Reliability.RELIABLE)
        assert sender.max_message_size == Limits().largest_message
        assert sender.participants == ("bob",) and sender.excluded == ()
        assert repr(sender) == "<DataChannelSender channel 7, reliable, open>"
        lossy = it.ann.create_sender(reliability=Reliability.LOSSY, priority=Priority.HIGH)
        assert (lossy.channel_id, lossy.max_message_size) == (1, 65_536)
        await sender.send(b"12345")
        assert (sender.statistics.messages_sent, sender.statistics.bytes_sent) == (1, 5)
        await sender.close()
        assert sender.is_closed and sender.statistics.messages_confirmed == 1


@pytest.mark.parametrize(
    "options",
    [
        {"reliability": "sometimes"},
        {"priority": 3},
        {"confirm": "read"},
        {"channel": 65_536},
        {"to": 5},
        {"to": [5]},
        {"to": ["bob"], "exclude": ["bob"]},
        {"bitrate": 0},
        {"timeout": -1},
        {"timeout": "1"},
        {"reliability": "lossy", "confirm": "delivered"},
        {"latest": True},
    ],
)
async def test_wrong_options_raise(pair: Any, options: dict[str, Any]) -> None:
    async with pair() as it:
        with pytest.raises(InvalidArgument):
            it.ann.create_sender(**options)


async def test_wrong_arguments_raise_and_nothing_is_sent(pair: Any) -> None:
    async with pair() as it:
        sender = it.ann.create_sender()
        for wrong in ("text", 5, None, [1]):
            with pytest.raises(InvalidArgument):
                await sender.send(wrong)
        with pytest.raises(InvalidArgument):
            await sender.send(b"x", timeout=-1)
        with pytest.raises(InvalidArgument):
            await sender.send(b"x", content_type="")
        with pytest.raises(InvalidArgument):
            await sender.send(b"x", lifetime=3)  # goes with Lossy
        with pytest.raises(InvalidArgument):
            await sender.send_text(b"bytes")
        with pytest.raises(MessageTooLarge):
            await sender.send(bytes(sender.max_message_size + 1))
        assert (await sender.send(b"x")).sequence == 1


async def test_all_kinds_of_bytes_and_what_is_said_of_them(pair: Any) -> None:
    async with pair() as it:
        sender = it.ann.create_sender()
        for data in (b"abc", bytearray(b"abc"), memoryview(b"abc"), memoryview(b"aXbXc")[::2], b""):
            await sender.send(data, content_type="text/csv", name="a.csv", time=12)
        await sender.send_text("grüß")
        receiver = await receiver_of(it.bob)
        got = [await receiver.receive() for _ in range(6)]
        assert [message.data for message in got] == [b"abc"] * 4 + [b"", "grüß".encode()]
        first, text = got[0], got[-1]
        assert (first.content_type, first.name, first.time, first.size) == ("text/csv", "a.csv", 12, 3)
        assert (text.text(), text.content_type) == ("grüß", "text/plain;charset=utf-8")
        assert (first.sequence, first.private, first.is_stream) == (1, False, False)


async def test_a_message_larger_than_all_windows(pair: Any) -> None:
    async with pair() as it:
        data = bytes(range(256)) * 4 * 5_000
        sending = asyncio.create_task(it.ann.create_sender().send(data))
        assert (await (await receiver_of(it.bob)).receive()).data == data
        await sending


# --- order, room, time --------------------------------------------------------------------------------------------


async def test_many_tasks_keep_the_order_of_their_calls(pair: Any) -> None:
    async with pair() as it:
        sender = it.ann.create_sender()
        sends = [asyncio.create_task(sender.send(number.to_bytes(2, "big") * 2_000)) for number in range(2_000)]
        await asyncio.sleep(0)
        with pytest.raises(WouldBlock):
            sender.send_nowait(b"overtakes nobody")
        receiver = await receiver_of(it.bob)
        got = [int.from_bytes((await receiver.receive()).data[:2], "big") for _ in range(2_000)]
        assert got == list(range(2_000))
        assert [report.sequence for report in await asyncio.gather(*sends)] == list(range(1, 2_001))


async def test_sending_without_waiting(pair: Any) -> None:
    async with pair() as it:
        sender = it.ann.create_sender()
        sendings = []
        with pytest.raises(WouldBlock):
            while True:
                sendings.append(sender.send_nowait(bytes(50_000)))
        assert len(sendings) >= 20
        receiver = await receiver_of(it.bob)
        for _ in sendings:
            await receiver.receive()
        for number, sending in enumerate(sendings, 1):
            assert sending.sequence == number
            assert (await sending.result()).sequence == number and sending.done
        lossy = it.ann.create_sender(reliability="lossy").send_nowait(b"x")
        assert lossy.done and (await lossy.result()).sequence == 1


async def test_a_time_that_is_over_says_what_became_of_the_message(pair: Any) -> None:
    async with pair() as it:
        sender = it.ann.create_sender(timeout=1)
        it.near[-1].hold()
        written = asyncio.create_task(sender.send(b"in the transport"))
        await asyncio.sleep(0.1)
        half = asyncio.create_task(sender.send(bytes(200_000), timeout=2))
        await asyncio.sleep(0.1)
        queued = asyncio.create_task(sender.send(b"queued", timeout=2))
        outcomes = []
        for task in (written, half, queued):
            with pytest.raises(SendTimedOut) as caught:
                await task
            outcomes.append((caught.value.outcome, caught.value.written))
            assert caught.value.report is not None
        assert outcomes == [
            (CancelOutcome.UNKNOWN, True),
            (CancelOutcome.ABORTED, True),
            (CancelOutcome.REMOVED, False),
        ]
        it.near[-1].release()
        receiver = await receiver_of(it.bob)
        last = asyncio.create_task(sender.send(b"last"))
        assert (await receiver.receive()).data == b"in the transport"
        assert (await receiver.receive()).data == b"last"
        assert (await last).sequence == 4


async def test_a_cancelled_send_is_taken_back(pair: Any) -> None:
    async with pair() as it:
        sender, bulk = it.ann.create_sender(), it.ann.create_sender()
        it.near[-1].hold()
        filling = asyncio.create_task(bulk.send(bytes(100_000)))  # the transport takes no more now
        await asyncio.sleep(1)
        first = asyncio.create_task(sender.send(b"taken back"))
        await asyncio.sleep(1)
        first.cancel()
        await asyncio.wait([first])
        it.near[-1].release()
        await filling
        await sender.send(b"sent")
        receivers = it.bob.receivers()
        await anext(receivers)
        assert (await (await anext(receivers)).receive()).data == b"sent"
        sending = sender.send_nowait(b"x")
        assert sending.cancel() is CancelOutcome.REMOVED
        with pytest.raises(CallChannelError) as caught:
            await sending.result()
        assert caught.value.code == ErrorCode.CANCELLED
        assert sending.cancel() is CancelOutcome.SETTLED


async def test_delivered_waits_for_the_reader(pair: Any) -> None:
    async with pair() as it:
        sender = it.ann.create_sender(confirm="delivered")
        sending = asyncio.create_task(sender.send(b"x"))
        await asyncio.sleep(5)
        assert not sending.done()
        await (await receiver_of(it.bob)).receive()
        assert (await sending).reached == ("bob",)
        start = asyncio.get_running_loop().time()
        with pytest.raises(DeliveryFailed) as caught:
            await sender.send(b"never read")
        assert caught.value.code == ErrorCode.DEADLINE
        assert caught.value.report.unknown == (("bob", ErrorCode.DEADLINE),)
        assert asyncio.get_running_loop().time() - start == pytest.approx(60, abs=1)


async def test_a_bitrate_is_kept(pair: Any) -> None:
    async with pair() as it:
        sender = it.ann.create_sender(bitrate=80_000)
        start = asyncio.get_running_loop().time()
        for _ in range(20):
            await sender.send(bytes(5_000))
        assert 7 <= asyncio.get_running_loop().time() - start <= 11


# --- recipients ---------------------------------------------------------------------------------------------------


async def test_absent_recipients_raise_by_name(pair: Any) -> None:
    async with pair() as it:
        sender = it.ann.create_sender()
        with pytest.raises(RecipientsUnavailable) as caught:
            await sender.send(b"x", to=["bob", "carol", "dan"])
        assert caught.value.names == ("carol", "dan") and caught.value.code == ErrorCode.UNKNOWN_RECIPIENT
        with pytest.raises(RecipientsUnavailable):
            sender.send_nowait(b"x", to="carol")
        assert (await sender.send(b"x", to=it.ann.participants[0])).sequence == 1
        lossy = it.ann.create_sender(reliability="lossy", to=["carol"])
        await lossy.send(b"x")
        assert sum(lossy.drops.values()) == 1


async def test_recipients_are_those_of_the_moment_of_the_call(pair: Any) -> None:
    async with pair() as it:
        sender = it.ann.create_sender()
        sends = [asyncio.create_task(sender.send(bytes(100_000))) for _ in range(15)]
        waiting = asyncio.create_task(sender.send(b"to everyone"))
        await asyncio.sleep(0)
        sender.set_participants(["carol"])
        absent = asyncio.create_task(sender.send(b"to carol"))
        await asyncio.sleep(0)
        sender.set_excluded("bob")
        assert (sender.participants, sender.excluded) == ((), ("bob",))
        receiver = await receiver_of(it.bob)
        for _ in range(15):
            await receiver.receive()
        assert (await receiver.receive()).data == b"to everyone"
        await asyncio.gather(waiting, *sends)
        with pytest.raises(RecipientsUnavailable):
            await absent


async def test_a_recipient_that_takes_no_more_is_told_and_has_a_new_chance(pair: Any) -> None:
    async with pair() as it:
        sender = it.ann.create_sender()
        failed: list[RecipientFailed] = []
        sender.on_recipient_failed(failed.append)
        events = sender.events()
        await sender.send(b"x")
        receiver = await receiver_of(it.bob)
        receiver.close()
        receiver.close()
        assert receiver.close_reason == ErrorCode.CLOSED
        assert [message async for message in receiver] == []
        event = await anext(events)
        assert isinstance(event, RecipientFailed) and failed == [event]
        assert (event.participant.identity, event.code, event.sequence) == ("bob", ErrorCode.CLOSED, 1)
        with pytest.raises(CallChannelError):
            await sender.send(b"y")
        assert it.bob._receivers == {}
        await it.ann.create_sender().send(b"anew")
        assert (await (await receiver_of(it.bob)).receive()).data == b"anew"


async def test_failures_are_told_even_if_nobody_waits(pair: Any) -> None:
    async with pair() as it:
        sender = it.ann.create_sender(confirm="delivered")
        seen: list[Any] = []
        off = sender.on_failed(seen.append)
        sending = sender.send_nowait(b"x")
        (await receiver_of(it.bob)).close()
        await asyncio.sleep(1)
        assert [(event.sequence, event.code) for event in seen] == [(1, ErrorCode.CLOSED)]
        off()
        with pytest.raises(DeliveryFailed) as caught:
            await sending.result()
        assert caught.value.report.failed == (("bob", ErrorCode.CLOSED),)


# --- Lossy --------------------------------------------------------------------------------------------------------


async def test_lossy_never_waits_and_counts_what_it_drops(pair: Any) -> None:
    async with pair(lossy=False) as it:
        sender = it.ann.create_sender(reliability="lossy")
        it.near[-1].hold()
        for number in range(1_000):
            await sender.send(number.to_bytes(2, "big") * 500)
        assert sender.drops["queue_full"] > 500
        it.near[-1].release()
        receiver = await receiver_of(it.bob)
        count = 1_000 - sum(sender.drops.values())
        got = [int.from_bytes((await receiver.receive()).data[:2], "big") for _ in range(count)]
        assert got[-1] == 999  # the newest are kept


async def test_a_loop_of_lossy_sends_lets_the_loop_write(pair: Any) -> None:
    async with pair() as it:
        sender = it.ann.create_sender(reliability="lossy")
        for _ in range(2_000):
            await sender.send(bytes(1_000))
        await asyncio.sleep(1)
        assert sum(sender.drops.values()) == 0


async def test_lossy_with_a_lifetime_and_the_latest_only(pair: Any) -> None:
    async with pair(lossy=False) as it:
        short = it.ann.create_sender(reliability="lossy")
        latest = it.ann.create_sender(reliability="lossy", latest=True)
        it.near[-1].hold()
        bulk = it.ann.create_sender()
        sending = asyncio.create_task(bulk.send(bytes(150_000)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await short.send(b"too old", lifetime=0.5)
        for number in range(10):
            await latest.send(bytes([number]))
        await asyncio.sleep(1)
        it.near[-1].release()
        receivers = {}
        async for receiver in it.bob.receivers():
            receivers[receiver.channel_id] = receiver
            if len(receivers) == 2:
                break
        assert (await receivers[latest.channel_id].receive()).data == bytes([9])
        await receivers[bulk.channel_id].receive()
        await sending
        assert (latest.drops["superseded"], short.drops["expired"]) == (9, 1)


async def test_lossy_is_dropped_while_suspended_and_after_the_end(pair: Any) -> None:
    async with pair() as it:
        sender = it.ann.create_sender(reliability="lossy")
        it.refusing = OSError("no network")
        it.near[-1].cut()
        await asyncio.sleep(1)
        await sender.send(b"x")
        assert sender.drops == {"suspended": 1}
        await asyncio.sleep(60)
        assert it.ann.ended is not None
        await sender.send(b"x")
        sender.send_nowait(b"x")
        assert sender.drops["suspended"] == 1


# --- ending -------------------------------------------------------------------------------------------------------


async def test_closing_sends_what_waits_and_tells_the_receiver(pair: Any) -> None:
    async with pair() as it:
        async with it.ann.create_sender() as sender:
            sends = [asyncio.create_task(sender.send(bytes([number]) * 100_000)) for number in range(25)]
            await asyncio.sleep(0)
            events = sender.events()
            reading = asyncio.create_task(read_all(await receiver_of(it.bob)))
        await asyncio.gather(*sends)
        assert len(await reading) == 25
        assert [type(event) async for event in events] == [SenderEnded]
        with pytest.raises(SenderClosed):
            await sender.send(b"x")
        with pytest.raises(SenderClosed):
            sender.set_participants([])
        await sender.close()
        assert it.ann.create_sender().channel_id == sender.channel_id


async def read_all(receiver: DataChannelReceiver) -> list[Any]:
    return [message async for message in receiver]


async def test_closing_has_a_time(pair: Any) -> None:
    async with pair() as it:
        sender = it.ann.create_sender()
        sends = [asyncio.create_task(sender.send(bytes(100_000))) for _ in range(25)]
        await asyncio.sleep(1)
        with pytest.raises(DeadlineExceeded):
            await sender.close(timeout=5)
        await read_all(await receiver_of(it.bob))
        await sender.close(timeout=5)
        await asyncio.gather(*sends)


async def test_a_closing_sender_ends_when_what_waited_was_taken_back(pair: Any) -> None:
    async with pair() as it:
        sender = it.ann.create_sender()
        it.near[-1].hold()
        sends = [asyncio.create_task(sender.send(bytes(100_000))) for _ in range(20)]
        await asyncio.sleep(0)
        closing = asyncio.create_task(sender.close())
        await asyncio.sleep(1)
        for send in sends:
            send.cancel()
        await asyncio.wait(sends)
        assert not closing.done()
        it.near[-1].release()
        await closing


async def test_a_newer_sender_on_the_channel_replaces_the_older(pair: Any) -> None:
    async with pair() as it:
        older = it.ann.create_sender(channel=9)
        await older.send(b"old")
        newer = it.ann.create_sender(channel=9)
        await newer.send(b"new")
        receivers = it.bob.receivers()
        assert [message.data for message in await read_all(await anext(receivers))] == [b"old"]
        assert (await (await anext(receivers)).receive()).data == b"new"
        with pytest.raises(SenderClosed):
            await older.send(b"x")


async def test_a_link_that_ends_says_what_became_of_each_message(pair: Any) -> None:
    async with pair() as it:
        sender = it.ann.create_sender()
        sends = [asyncio.create_task(sender.send(bytes(100_000))) for _ in range(20)]
        it.refusing = OSError("no network")
        await asyncio.sleep(0.001)
        it.near[-1].cut()
        results = await asyncio.gather(*sends, return_exceptions=True)
        kinds = set()
        for result in results:
            if isinstance(result, LinkLostInFlight):
                assert bool(result.report.unknown) != bool(result.report.failed)
                kinds.add("unknown" if result.report.unknown else "failed")
            else:
                kinds.add(type(result).__name__)
        assert "failed" in kinds and kinds <= {"failed", "unknown", "Report", "LinkLost"}
