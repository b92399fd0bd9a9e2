# SPDX-License-Identifier: Apache-2.0
import asyncio
from collections.abc import Callable

import pytest

from callchannel.aio.outbox import LinkLostInFlight, Outbox, SendTimedOut, failure
from callchannel.core.errors import (
    CallChannelError,
    DeadlineExceeded,
    DeliveryFailed,
    ErrorCode,
    LinkLost,
    RecipientsUnavailable,
    Refused,
    Report,
    SenderClosed,
    WouldBlock,
)
from callchannel.core.events import MessageFailed
from callchannel.core.sender import Cancelled, CancelOutcome


class Core:
    """Takes messages while there is room, and gives them numbers."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.taken: list[object] = []
        self.outcome = CancelOutcome.REMOVED
        self.cancelled: list[tuple[int, int]] = []
        self.emptied = 0
        self.outbox = Outbox(self.cancel, self.on_empty)

    def take(self, message: object) -> Callable[[], int]:
        def attempt() -> int:
            if self.room <= 0:
                raise WouldBlock("full")
            self.room -= 1
            self.taken.append(message)
            return len(self.taken)

        return attempt

    def piece(self, message: object) -> Callable[[], None]:
        attempt = self.take(message)

        def write() -> None:
            attempt()

        return write

    def cancel(self, sequence: int, code: int) -> Cancelled:
        self.cancelled.append((sequence, code))
        return Cancelled(self.outcome, None if self.outcome is CancelOutcome.SETTLED else Report(sequence=sequence))

    def on_empty(self) -> None:
        self.emptied += 1

    def make_room(self, count: int) -> None:
        self.room += count
        self.outbox.pump()


async def test_messages_wait_for_room_in_the_order_of_the_calls() -> None:
    core = Core(room=1)
    sendings = [core.outbox.submit(core.take(number), wait=True) for number in range(5)]
    assert core.taken == [0]
    core.make_room(2)
    assert core.taken == [0, 1, 2]
    late = core.outbox.submit(core.take("late"), wait=True)
    assert not core.emptied
    core.make_room(5)
    assert core.emptied == 1
    assert core.taken == [0, 1, 2, 3, 4, "late"]
    assert [sending.sequence for sending in (*sendings, late)] == [1, 2, 3, 4, 5, 6]


async def test_who_does_not_wait_never_overtakes() -> None:
    core = Core(room=0)
    with pytest.raises(WouldBlock):
        core.outbox.submit(core.take("now"), wait=False)
    core.outbox.submit(core.take("first"), wait=True)
    core.room = 5
    with pytest.raises(WouldBlock):
        core.outbox.submit(core.take("now"), wait=False)
    core.outbox.pump()
    core.outbox.submit(core.take("now"), wait=False)
    assert core.taken == ["first", "now"]


async def test_verdicts() -> None:
    core = Core(room=9)
    sendings = [core.outbox.submit(core.take(number), wait=True) for number in range(4)]
    error = MessageFailed(sender=1, sequence=2, code=ErrorCode.LEFT, report=Report(sequence=2, failed=(("bob", 0x27),)))
    core.outbox.fail(error)
    core.outbox.confirm(3)
    assert [sending.done for sending in sendings] == [True, True, True, False]
    assert await sendings[0].result() == Report(sequence=1)
    with pytest.raises(DeliveryFailed, match="bob"):
        await sendings[1].result()
    assert (await sendings[2].result()).sequence == 3
    core.outbox.deliver(Report(sequence=4, reached=("bob",)))
    assert (await sendings[3].result()).reached == ("bob",)
    core.outbox.confirm(4)
    core.outbox.fail(error)
    assert sendings[3].cancel() is CancelOutcome.SETTLED


async def test_who_asks_after_the_verdict_gets_the_same() -> None:
    core = Core(room=4)
    accepted, delivered, failed = (core.outbox.submit(core.take(number), wait=True) for number in range(3))
    assert not accepted.done
    core.outbox.confirm(1)
    core.outbox.deliver(Report(sequence=2, reached=("bob",)))
    core.outbox.end(SenderClosed("closed"))
    assert (accepted.done, delivered.done, failed.done) == (True, True, True)
    for _ in range(2):
        assert await accepted.result() == Report(sequence=1)
        assert await delivered.result() == Report(sequence=2, reached=("bob",))
        with pytest.raises(SenderClosed):
            await failed.result()
    assert failed.cancel() is CancelOutcome.SETTLED


async def test_a_message_that_the_core_took_by_itself_is_noted() -> None:
    core = Core(room=0)
    assert core.outbox.is_free
    sending = core.outbox.sent(1)
    assert (sending.sequence, sending.done) == (1, False)
    waiting = core.outbox.submit(core.take("waits"), wait=True)
    assert not core.outbox.is_free
    core.outbox.confirm(1)
    assert await sending.result() == Report(sequence=1)
    assert not waiting.done
    core.make_room(1)
    assert core.outbox.is_free


async def test_nothing_goes_straight_to_the_core_while_a_stream_is_open() -> None:
    core = Core(room=2)
    stream = core.outbox.submit_stream(core.take("stream"))
    assert not core.outbox.is_free
    core.outbox.close_stream(stream)
    assert core.outbox.is_free


@pytest.mark.parametrize("how", ["refused", "ended"])
async def test_a_cancelled_message_that_was_settled_meanwhile_is_only_cancelled(how: str) -> None:
    core = Core(room=0)
    error = SenderClosed("closed")

    def attempt() -> int:
        if core.room:
            raise error
        raise WouldBlock("full")

    waiting = asyncio.create_task(core.outbox.submit(attempt, wait=True)._verdict(None))
    await asyncio.sleep(0)
    waiting.cancel()
    if how == "refused":
        core.make_room(1)
    else:
        core.outbox.end(error)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert core.cancelled == []


async def test_a_timeout_takes_back_what_waits() -> None:
    core = Core(room=0)
    sending = core.outbox.submit(core.take("a"), wait=True)
    with pytest.raises(SendTimedOut) as caught:
        await sending._verdict(2.5)
    assert caught.value.outcome is CancelOutcome.REMOVED and not caught.value.written
    assert isinstance(caught.value, TimeoutError) and caught.value.code == ErrorCode.DEADLINE
    core.make_room(1)
    assert core.taken == [] and core.cancelled == []


@pytest.mark.parametrize(
    ("outcome", "written"),
    [(CancelOutcome.ABORTED, True), (CancelOutcome.UNKNOWN, True), (CancelOutcome.REMOVED, False)],
)
async def test_a_timeout_says_what_became_of_the_message(outcome: CancelOutcome, written: bool) -> None:
    core = Core(room=1)
    core.outcome = outcome
    sending = core.outbox.submit(core.take("a"), wait=True)
    with pytest.raises(SendTimedOut) as caught:
        await sending._verdict(1)
    assert caught.value.outcome is outcome and caught.value.written is written
    assert core.cancelled == [(1, ErrorCode.DEADLINE)] and caught.value.report == Report(sequence=1)
    with pytest.raises(DeliveryFailed) as late:
        await sending.result()
    assert late.value.code == ErrorCode.DEADLINE


async def test_a_timeout_that_meets_a_verdict_on_its_way_waits_for_it() -> None:
    core = Core(room=1)
    core.outcome = CancelOutcome.SETTLED
    sending = core.outbox.submit(core.take("a"), wait=True)
    waiting = asyncio.create_task(sending._verdict(1))
    await asyncio.sleep(2)
    assert not waiting.done() and core.cancelled == [(1, ErrorCode.DEADLINE)]
    core.outbox.confirm(1)
    assert (await waiting).sequence == 1


async def test_a_cancelled_task_takes_its_message_back_and_lets_others_pass() -> None:
    core = Core(room=0)
    first = asyncio.create_task(core.outbox.submit(core.take("first"), wait=True)._verdict(None))
    second = core.outbox.submit(core.take("second"), wait=True)
    await asyncio.sleep(0)
    core.room = 1
    first.cancel()
    await asyncio.wait([first])
    assert first.cancelled()
    assert core.taken == ["second"] and second.sequence == 1


async def test_waiting_for_a_result_leaves_the_message_on_its_way() -> None:
    core = Core(room=1)
    sending = core.outbox.submit(core.take("a"), wait=False)
    with pytest.raises(DeadlineExceeded) as caught:
        await sending.result(timeout=1)
    assert caught.value.written and core.cancelled == []
    core.outbox.confirm(1)
    assert (await sending.result(timeout=1)).sequence == 1


async def test_the_end_settles_everything() -> None:
    core = Core(room=1)
    sendings = [core.outbox.submit(core.take(number), wait=True) for number in range(3)]
    core.outbox.end(LinkLost("gone"))
    for sending in sendings:
        with pytest.raises(LinkLost):
            await sending.result()
    core.make_room(5)
    assert core.taken == [0]


async def test_what_the_core_raises_goes_to_the_one_who_sends() -> None:
    core = Core(room=0)

    def attempt() -> int:
        if core.room <= 0:
            raise WouldBlock("full")
        raise SenderClosed("closed")

    first, second = core.outbox.submit(attempt, wait=True), core.outbox.submit(core.take("b"), wait=True)
    core.make_room(2)
    with pytest.raises(SenderClosed):
        await first.result()
    assert second.sequence == 1
    with pytest.raises(SenderClosed):
        core.outbox.submit(attempt, wait=True)


async def test_everything_waits_behind_an_open_stream() -> None:
    core = Core(room=3)
    stream = core.outbox.submit_stream(core.take("stream"))
    await stream.begun()
    behind = core.outbox.submit(core.take("behind"), wait=True)
    with pytest.raises(WouldBlock):
        core.outbox.submit(core.take("now"), wait=False)
    await core.outbox.write(stream, core.piece("piece 1"))
    await core.outbox.write(stream, core.piece("piece 2"))
    blocked = asyncio.create_task(core.outbox.write(stream, core.piece("piece 3")))
    await asyncio.sleep(0)
    assert not blocked.done()
    core.make_room(9)
    await blocked
    core.outbox.close_stream(stream)
    assert core.taken == ["stream", "piece 1", "piece 2", "piece 3", "behind"]
    assert behind.sequence == 5


async def test_a_stream_that_fails_wakes_its_writer_and_lets_others_pass() -> None:
    core = Core(room=1)
    stream = core.outbox.submit_stream(core.take("stream"))
    blocked = asyncio.create_task(core.outbox.write(stream, core.piece("piece")))
    behind = core.outbox.submit(core.take("behind"), wait=True)
    await asyncio.sleep(0)
    core.room = 1
    core.outbox.fail(
        MessageFailed(sender=1, sequence=1, code=ErrorCode.OVERRUN, report=Report(sequence=1, failed=(("bob", 0x24),)))
    )
    with pytest.raises(DeliveryFailed):
        await blocked
    assert behind.sequence == 2
    with pytest.raises(DeliveryFailed):
        await core.outbox.write(stream, core.piece("piece"))


async def test_a_stream_may_be_cancelled_while_it_waits_for_its_turn() -> None:
    core = Core(room=0)
    stream = core.outbox.submit_stream(core.take("stream"))
    beginning = asyncio.create_task(stream.begun())
    await asyncio.sleep(0)
    stream.cancel()
    with pytest.raises(CallChannelError) as caught:
        await beginning
    assert caught.value.code == ErrorCode.CANCELLED


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"code": 0x33, "refused": True}, Refused),
        ({"code": 0x17, "unknown": (("bob", 0x17),)}, LinkLostInFlight),
        ({"code": 0x30, "failed": (("bob", 0x30),)}, RecipientsUnavailable),
        ({"code": 0x30, "failed": (("bob", 0x30),), "reached": ("ann",)}, DeliveryFailed),
        ({"code": 0x27, "failed": (("bob", 0x27),)}, DeliveryFailed),
        ({"code": 0x36, "unknown": (("bob", 0x36),)}, DeliveryFailed),
        ({"code": 0x42}, CallChannelError),
    ],
)
def test_the_exception_for_a_failure(event: dict[str, object], kind: type[CallChannelError]) -> None:
    code, refused = int(str(event.pop("code"))), bool(event.pop("refused", False))
    report = Report(sequence=1, **event)  # type: ignore[arg-type]
    error = failure(MessageFailed(sender=1, sequence=1, code=code, report=report, refused=refused))
    assert type(error) is kind and error.code == code
    if isinstance(error, DeliveryFailed):
        assert error.report is report
    assert isinstance(error, LinkLost) == (code == ErrorCode.LINK_LOST)
