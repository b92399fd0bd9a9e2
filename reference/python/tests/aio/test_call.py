# SPDX-License-Identifier: Apache-2.0
"""Joining, seeing each other, losing and leaving a group call."""

import asyncio
from typing import Any

import pytest

from callchannel.aio import Call, DataChannelReceiver, memory_pair
from callchannel.core.errors import (
    DeadlineExceeded,
    DeliveryFailed,
    ErrorCode,
    InvalidArgument,
    LinkLost,
    NotJoined,
    ReceiverClosed,
    RecipientsUnavailable,
    Refused,
    SenderClosed,
)
from callchannel.core.events import (
    LinkEnded,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantResumed,
    ParticipantSuspended,
    RecipientFailed,
    Resumed,
    Suspended,
)
from callchannel.core.limits import Limits
from callchannel.signalling.problems import SignallingError


def identities(call: Call) -> list[str]:
    return sorted(participant.identity for participant in call.participants)


async def test_those_who_join_see_each_other_come_and_go(meeting: Any) -> None:
    async with meeting() as it:
        ann = await it.join("ann")
        assert ann.identity == "ann" and identities(ann) == ["ann"]
        events = ann.events()
        bob = await it.join("bob", identity="robert")
        assert bob.identity == "bob"  # as admitted, not as claimed
        assert identities(bob) == ["ann", "bob"]
        joined = await anext(events)
        assert isinstance(joined, ParticipantJoined)
        assert joined.participant.identity == "bob" and not joined.participant.is_self
        await bob.leave()
        left = await anext(events)
        assert isinstance(left, ParticipantLeft)
        assert (left.participant.identity, left.code) == ("bob", ErrorCode.LEFT)
        assert identities(ann) == ["ann"]
        assert repr(ann) == "<Call of 'ann', 1 participants, active>"


async def test_sends_that_are_cancelled_when_their_recipient_leaves_are_cancelled(meeting: Any) -> None:
    async with meeting() as it:
        ann, bob = await it.join_all("ann", "bob")
        sender = ann.create_sender(to=["bob"])
        sends = [asyncio.create_task(sender.send(bytes(900_000))) for _ in range(4)]
        ann.on(ParticipantLeft, lambda event: [task.cancel() for task in sends])
        await asyncio.sleep(1)
        assert not sends[-1].done()
        await bob.leave()
        outcomes = await asyncio.gather(*sends, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes[-2:]] == [asyncio.CancelledError] * 2


async def test_two_devices_of_one_participant_are_two(meeting: Any) -> None:
    async with meeting() as it:
        ann, _, _ = await it.join_all("ann", "bob", "bob")
        assert identities(ann) == ["ann", "bob", "bob"]


async def test_callbacks_for_events_and_receivers(meeting: Any, reports: list[dict[str, Any]]) -> None:
    async with meeting() as it:
        ann = await it.join("ann")
        names: list[str] = []
        receivers: list[DataChannelReceiver] = []
        off = ann.on(ParticipantJoined, lambda event: names.append(event.participant.identity))
        ann.on(DataChannelReceiver, receivers.append)
        ann.on(ParticipantJoined, lambda event: 1 / 0)
        bob = await it.join("bob")
        await bob.create_sender(confirm="accepted").send(b"x")
        await ann.wait_for("bob")
        off()
        await it.join("carol")
        await ann.wait_for("carol")
        assert names == ["bob"]
        receiver = await anext(ann.receivers())
        assert receivers == [receiver]
    assert [type(report["exception"]) for report in reports] == [ZeroDivisionError] * 2


async def test_waiting_for_somebody_has_a_time(meeting: Any) -> None:
    async with meeting() as it:
        ann = await it.join("ann")
        with pytest.raises(DeadlineExceeded):
            await ann.wait_for("nobody", timeout=3)
        waiting = asyncio.create_task(ann.wait_for("nobody"))
        await asyncio.sleep(1)
        await ann.leave()
        with pytest.raises(LinkLost):
            await waiting


# --- joining that fails -------------------------------------------------------------------------------------------


async def test_who_is_not_admitted_is_told_the_code_cc_err_026(meeting: Any) -> None:
    async with meeting() as it:
        with pytest.raises(LinkLost) as caught:
            await it.join("")
        assert caught.value.code == ErrorCode.NOT_ADMITTED


async def test_what_connect_raises_first_is_raised(meeting: Any) -> None:
    async with meeting() as it:
        it.refusing = OSError("no route")
        with pytest.raises(OSError, match="no route"):
            await it.join("ann")


async def test_joining_has_a_time(meeting: Any) -> None:
    async def never() -> Any:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(DeadlineExceeded):
        await Call.join(never, timeout=5)
    with pytest.raises(InvalidArgument):
        await Call.join(never, timeout=-1)


async def test_a_relay_that_does_not_answer_is_left_after_the_join_time_cc_err_026() -> None:
    near, far = memory_pair()

    class Silent:
        def transport_up(self, transport: Any) -> None: ...
        def packet(self, lane: Any, packet: bytes) -> None: ...
        def writable(self, lane: Any) -> None: ...
        def lossy_changed(self, is_open: bool) -> None: ...
        def transport_down(self) -> None: ...

    far.attach(Silent())
    with pytest.raises(LinkLost) as caught:
        await Call.join(near)
    assert caught.value.code == ErrorCode.TIMEOUT
    far.close()
    await far.wait_closed()


async def test_a_ready_transport_that_is_lost_fails_joining() -> None:
    near, far = memory_pair()
    far.cut()
    await far.wait_closed()
    with pytest.raises(LinkLost):
        await Call.join(near)


async def test_joining_can_be_cancelled(meeting: Any) -> None:
    async with meeting() as it:
        joining = asyncio.create_task(it.join("ann"))
        await asyncio.sleep(0)
        joining.cancel()
        await asyncio.wait([joining])
        assert joining.cancelled()
        bob = await it.join("bob")
        await asyncio.sleep(60)
        assert identities(bob) == ["bob"]


# --- losing the transport -----------------------------------------------------------------------------------------


async def test_a_lost_transport_is_replaced_and_nothing_is_lost_or_doubled(meeting: Any) -> None:
    async with meeting() as it:
        ann, bob = await it.join_all("ann", "bob")
        ann_events, bob_events = ann.events(), bob.events()
        sender = ann.create_sender()
        sends = []
        for number in range(400):
            sends.append(asyncio.create_task(sender.send(number.to_bytes(2, "big") * 500)))
            if number % 100 == 50:
                await asyncio.sleep(0)
                it.cut("ann")
            if number % 100 == 90:
                await asyncio.sleep(1)
        receiver = await anext(bob.receivers())
        numbers = [int.from_bytes((await receiver.receive()).data[:2], "big") for _ in range(400)]
        assert numbers == list(range(400))
        assert [report.sequence for report in await asyncio.gather(*sends)] == list(range(1, 401))
        assert receiver.read_message() is None
        seen = [await anext(ann_events) for _ in range(8)]
        assert [type(event) for event in seen] == [Suspended, Resumed] * 4
        first, second = await anext(bob_events), await anext(bob_events)
        assert isinstance(first, ParticipantSuspended) and first.participant.identity == "ann"
        assert isinstance(second, ParticipantResumed)
        assert len(it.near["ann"]) == 5


async def test_reconnect_takes_a_new_transport_at_once(meeting: Any) -> None:
    async with meeting() as it:
        ann, bob = await it.join_all("ann", "bob")
        ann.reconnect()
        assert ann.is_suspended
        await ann.create_sender().send(b"x")
        assert not ann.is_suspended and len(it.near["ann"]) == 2
        assert (await (await anext(bob.receivers())).receive()).data == b"x"


async def test_a_silent_network_is_noticed_and_left(meeting: Any) -> None:
    async with meeting() as it:
        ann, _ = await it.join_all("ann", "bob")
        events = ann.events()
        it.near["ann"][-1].hold()
        it.far["ann"][-1].hold()
        sending = asyncio.create_task(ann.create_sender().send(b"x"))
        assert isinstance(await anext(events), Suspended)
        assert isinstance(await anext(events), Resumed)
        await sending


async def test_a_refusal_for_good_ends_the_call_at_once(meeting: Any) -> None:
    async with meeting() as it:
        ann, _ = await it.join_all("ann", "bob")
        events, sender = ann.events(), ann.create_sender()
        it.refusing = SignallingError("the relay says 403 'origin'", code=ErrorCode.NOT_ADMITTED, problem="origin")
        start = asyncio.get_running_loop().time()
        it.cut("ann")
        assert isinstance(await anext(events), Suspended)
        waiting = asyncio.create_task(sender.send(b"waits"))
        ended = await anext(events)
        assert ended == LinkEnded(
            code=ErrorCode.NOT_ADMITTED,
            reason="it could not be connected again: the relay says 403 'origin'",
            by_peer=False,
        )
        assert asyncio.get_running_loop().time() - start < 2
        with pytest.raises(LinkLost):
            await waiting
        with pytest.raises(LinkLost, match=r"NOT_ADMITTED.*403 'origin'") as caught:
            await ann.wait_for("nobody")
        assert caught.value.code == ErrorCode.NOT_ADMITTED


async def test_no_transport_within_the_resume_window_ends_everything(meeting: Any) -> None:
    async with meeting() as it:
        ann, bob = await it.join_all("ann", "bob")
        events, receivers = ann.events(), ann.receivers()
        await bob.create_sender().send(b"unread")
        reliable = await anext(receivers)
        assert (await reliable.receive()).data == b"unread"
        sender, lossy = ann.create_sender(), ann.create_sender(reliability="lossy")
        await sender.send(b"accepted")
        it.refusing = OSError("no network")
        it.cut("ann")
        assert isinstance(await anext(events), Suspended)
        waiting = [
            asyncio.create_task(anything)
            for anything in (
                sender.send(b"waits"),
                reliable.receive(),
                anext(reliable),
                anext(receivers),
                ann.wait_for("nobody"),
                sender.close(),
            )
        ]
        start = asyncio.get_running_loop().time()
        ended = await anext(events)
        assert isinstance(ended, LinkEnded) and ended.code == ErrorCode.LINK_LOST
        assert asyncio.get_running_loop().time() - start == pytest.approx(30, abs=1)
        assert [event async for event in events] == []
        results = await asyncio.gather(*waiting, return_exceptions=True)
        kinds = [LinkLost, ReceiverClosed, ReceiverClosed, LinkLost, LinkLost, type(None)]
        assert [type(result) for result in results[1:]] == kinds[1:]
        assert isinstance(results[0], LinkLost)
        with pytest.raises(LinkLost):
            ann.create_sender()
        await lossy.send(b"dropped")
        assert ann.ended == ended
        assert "over" in repr(ann)


async def test_a_call_over_a_ready_transport_ends_with_it(meeting: Any) -> None:
    async with meeting() as it:
        ann = await Call.join(await it.connect("ann")())
        events = ann.events()
        sender = ann.create_sender()
        it.near["ann"][0].hold()
        sending = asyncio.create_task(sender.send(b"x"))
        await asyncio.sleep(0.01)
        it.cut("ann")
        ended = await anext(events)
        while not isinstance(ended, LinkEnded):
            ended = await anext(events)
        assert (ended.code, ended.by_peer) == (ErrorCode.LINK_LOST, False)
        with pytest.raises(LinkLost):
            await sending
        ann.reconnect()
        await ann.leave()


# --- leaving ------------------------------------------------------------------------------------------------------


async def test_leaving_sends_what_is_queued_and_wakes_everybody(meeting: Any) -> None:
    async with meeting() as it:
        ann, bob = await it.join_all("ann", "bob")
        await bob.create_sender().send(b"x")
        receivers, events = ann.receivers(), ann.events()
        from_bob = await anext(receivers)
        await from_bob.receive()
        sender = ann.create_sender()
        last = asyncio.create_task(sender.send(b"last words"))
        waiting = [asyncio.create_task(read_all(from_bob)), asyncio.create_task(read_all(receivers))]
        await asyncio.sleep(0)
        await ann.leave()
        await last
        assert await asyncio.gather(*waiting) == [[], []]
        assert [type(event) for event in [event async for event in events]] == [LinkEnded]
        with pytest.raises(SenderClosed):
            await sender.send(b"too late")
        with pytest.raises(NotJoined):
            ann.create_sender()
        await ann.leave()
        receiver = await anext(bob.receivers())
        assert [message.data for message in await read_all(receiver)] == [b"last words"]
        assert receiver.close_reason in (ErrorCode.NONE, ErrorCode.LEFT)


async def read_all(source: Any) -> list[Any]:
    return [item async for item in source]


async def test_leaving_takes_bounded_time_though_the_network_is_dead(meeting: Any) -> None:
    async with meeting() as it:
        ann, _ = await it.join_all("ann", "bob", limits=Limits(leave_time=3_000_000))
        sending = asyncio.create_task(ann.create_sender().send(b"never"))
        it.near["ann"][-1].hold()
        await asyncio.sleep(1)
        start = asyncio.get_running_loop().time()
        await ann.leave()
        assert asyncio.get_running_loop().time() - start <= 8.1
        with pytest.raises(LinkLost):
            await sending


async def test_cancelling_a_leave_leaves_all_the_same(meeting: Any) -> None:
    async with meeting() as it:
        ann, bob = await it.join_all("ann", "bob")
        leaving = asyncio.create_task(ann.leave())
        await asyncio.sleep(0)
        leaving.cancel()
        events = bob.events()
        assert isinstance(await anext(events), ParticipantLeft)
        await ann.leave()


async def test_the_block_leaves_at_its_end(meeting: Any) -> None:
    async with meeting() as it:
        async with await it.join("ann") as ann:
            assert ann.ended is None
        assert ann.ended is not None and ann.ended.code == ErrorCode.NONE


async def test_a_relay_that_stops_ends_calls(meeting: Any) -> None:
    async with meeting() as it:
        ann, bob = await it.join_all("ann", "bob")
        await bob.create_sender().send(b"unread")
        receiver = await anext(ann.receivers())
        events = ann.events()
        it.relay.stop(it.driver.now())
        it.driver.wake()
        ended = [event async for event in events][-1]
        assert isinstance(ended, LinkEnded)
        assert (ended.code, ended.by_peer) == (ErrorCode.GOING_AWAY, True)
        # What was received stays readable.
        assert (await receiver.receive()).data == b"unread"
        with pytest.raises(ReceiverClosed):
            await receiver.receive()


async def test_replacing_a_ghost_is_left_to_the_endpoints_own_instance(meeting: Any) -> None:
    async with meeting() as it:
        ann = await it.join("ann")
        again = await it.join("ann", replace=True)  # another instance: a second device
        await again.wait_for("ann")
        assert ann.ended is None and identities(again) == ["ann", "ann"]


async def test_statistics_and_limits_are_there(meeting: Any) -> None:
    async with meeting() as it:
        ann = await it.join("ann", limits=Limits(window=131_072))
        assert ann.limits.window == 131_072
        assert ann.statistics() is not None


# --- to some, to all, to everyone but some -------------------------------------------------------------------------


async def test_recipients_change_and_numbers_go_on(meeting: Any) -> None:
    async with meeting() as it:
        ann, bob, carol = await it.join_all("ann", "bob", "carol")
        sender = ann.create_sender(to=["bob", "carol"])
        await sender.send(b"1")
        sender.set_participants(["bob"])
        await sender.send(b"2")
        sender.set_excluded(["bob"])
        await sender.send(b"3")
        await sender.send(b"4", to=[])
        await sender.send(b"5", to="carol")
        sender.set_participants([])
        await sender.send(b"6")
        await sender.close()
        got = {}
        for call in (bob, carol):
            receiver = await anext(call.receivers())
            got[call.identity] = [(message.sequence, message.private) for message in await read_all(receiver)]
        assert got == {
            "bob": [(1, True), (2, True), (4, False), (6, False)],
            "carol": [(1, True), (3, True), (4, False), (5, True), (6, False)],
        }


async def test_delivered_reports_everybody_and_who_did_not_get_it(meeting: Any) -> None:
    async with meeting() as it:
        ann, bob, carol = await it.join_all("ann", "bob", "carol")
        sender = ann.create_sender(confirm="delivered")
        for call in (bob, carol):
            call.on(DataChannelReceiver, lambda receiver: receiver.on_message(lambda _: None))
        report = await sender.send(b"x")
        assert sorted(report.reached or ()) == ["bob", "carol"]
        events = ann.events()
        await carol.leave()
        assert isinstance(await anext(events), ParticipantLeft)
        with pytest.raises(RecipientsUnavailable) as caught:
            await sender.send(b"x", to=["bob", "carol"])
        assert caught.value.names == ("carol",)
        assert (await sender.send(b"x")).reached == ("bob",)


async def test_a_message_to_nobody_succeeds_without_recipients(meeting: Any) -> None:
    async with meeting() as it:
        ann = await it.join("ann")
        report = await ann.create_sender().send(b"x")
        assert report.failed == report.unknown == ()
        assert (await ann.create_sender(confirm="delivered").send(b"x")).reached == ()


async def test_a_refused_message_raises(meeting: Any) -> None:
    async with meeting(policy=lambda participant, data: participant.identity != "ann") as it:
        ann, bob = await it.join_all("ann", "bob")
        sender = ann.create_sender()
        with pytest.raises(Refused) as caught:
            await sender.send(b"x")
        assert caught.value.code == ErrorCode.POLICY
        await bob.create_sender().send(b"x")
        assert (await (await anext(ann.receivers())).receive()).data == b"x"


async def test_one_slow_reader_fails_alone(meeting: Any) -> None:
    async with meeting() as it:
        ann, bob, carol = await it.join_all("ann", "bob", "carol")
        sender = ann.create_sender()
        slow: list[RecipientFailed] = []
        sender.on_recipient_failed(slow.append)
        bob.on(DataChannelReceiver, lambda receiver: receiver.on_message(lambda _: None))
        start = asyncio.get_running_loop().time()
        failures = []
        for _ in range(30):
            try:
                await sender.send(bytes(50_000))
            except DeliveryFailed as exc:  # the one that was on its way to both
                failures.append((exc.report.reached, exc.report.failed))
        assert failures in ([], [(("bob",), (("carol", ErrorCode.OVERRUN),))])
        assert [(event.participant.identity, event.code) for event in slow] == [("carol", ErrorCode.OVERRUN)]
        assert asyncio.get_running_loop().time() - start < 40
        receiver = await anext(carol.receivers())
        with pytest.raises(ReceiverClosed) as caught:
            await read_all(receiver)
        assert caught.value.code == ErrorCode.OVERRUN == receiver.close_reason
        assert (await sender.send(b"on it goes")).passed_over == ("carol",)


async def test_lossy_over_the_relay(meeting: Any) -> None:
    for lossy in (True, False):
        async with meeting(lossy=lossy) as it:
            ann, bob = await it.join_all("ann", "bob")
            sender = ann.create_sender(reliability="lossy")
            for number in range(30):
                await sender.send(bytes([number]) * 50)
            receiver = await anext(bob.receivers())
            assert sorted([(await receiver.receive()).data[0] for _ in range(30)]) == list(range(30))


async def test_sixty_participants_talk_at_once(meeting: Any) -> None:
    async with meeting() as it:
        calls = [await it.join(f"p{number}") for number in range(60)]
        everybody = [call.identity for call in calls]
        for call in calls:
            await call.wait_for(*everybody)
        heard: dict[str, list[str]] = {name: [] for name in everybody}

        def listen(call: Call) -> None:
            def on_receiver(receiver: DataChannelReceiver) -> None:
                receiver.on_message(lambda message: heard[call.identity].append(message.text()))

            call.on(DataChannelReceiver, on_receiver)

        for call in calls:
            listen(call)
        await asyncio.gather(
            *(call.create_sender(confirm="delivered").send_text(f"from {call.identity}") for call in calls)
        )
        for name in everybody:
            assert sorted(heard[name]) == sorted(f"from {other}" for other in everybody if other != name)
