# SPDX-License-Identifier: Apache-2.0
"""What the application is told when it sends: one test for each row of the tables in 14.5 to 14.7 (CC-ERR-020)."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from callchannel.core import frames as wire
from callchannel.core import senders as senders_module
from callchannel.core.endpoint import Endpoint
from callchannel.core.errors import CallChannelError
from callchannel.core.events import (
    MessageConfirmed,
    MessageFailed,
    MessagesConfirmed,
    RecipientFailed,
    SenderEnded,
    SenderWritable,
)
from callchannel.core.extensions import Metadata
from callchannel.core.limits import Limits
from callchannel.core.messages import Confirm, Reliability
from callchannel.core.recipients import NO_SLOT
from callchannel.core.sender import CancelOutcome
from tests.core.network import SECOND, Wire, entropy, group, peer
from tests.core.telling import CODES, LOSSY, MINIMUM, RELIABLE, Sender, dan_leaves, fail, outcome, raises

CHAPTER = Path(__file__).resolve().parents[4] / "spec" / "14-errors.md"


BOTH = pytest.mark.parametrize("reliability", Reliability, ids=lambda kind: kind.value)


def rows_of_the_text() -> set[str]:
    """The names in the first column of the tables of sections 14.5 to 14.7."""
    text = CHAPTER.read_text(encoding="utf-8")
    text = text[text.index("\n## 14.5") : text.index("\n## 14.8")]
    return set(re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE))


def test_every_row_has_its_test() -> None:
    """In this file, and in the one beside it."""
    text = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_exceptions*.py"))
    rows = re.findall(r"^def test_row_(\w+)\(", text, re.MULTILINE)
    assert sorted(name.replace("_", "-") for name in rows) == sorted(rows_of_the_text())
    assert len(rows) > 50


def nothing_told(link: Wire) -> bool:
    return not (link.told(MessageFailed) or link.told(MessageConfirmed) or link.told(MessagesConfirmed))


def small() -> Wire:
    """A call whose relay gives the least window, to an endpoint with the least buffers."""
    limits = Limits(send_buffer=MINIMUM, unconfirmed_messages=64, lossy_queue=4_096)
    return group(limits=limits, window=MINIMUM, lossy=False)


# ---------------------------------------------------------------------------------------------
# 14.5: at the caller
# ---------------------------------------------------------------------------------------------


@BOTH
def test_row_argument(reliability: Reliability) -> None:
    link = group()
    sender = Sender(link, reliability)
    for options in ({"metadata": Metadata(name="")}, {"to": "bob"}, {"to": ["bob"], "exclude": ["dan"]}):
        raises(CODES.INVALID_ARGUMENT, sender.send, **options)
    raises(CODES.INVALID_ARGUMENT, sender.send, "text")
    raises(CODES.INVALID_ARGUMENT, Sender, link, reliability, channel=65_536)
    assert sender.send() == 1


@BOTH
def test_row_too_large(reliability: Reliability) -> None:
    sender = Sender(group(largest_message=100_000), reliability)
    limit = 100_000 if reliability is RELIABLE else 65_536
    assert sender.link.endpoint.max_message_size(reliability) == limit
    raises(CODES.MESSAGE_TOO_LARGE, sender.send, bytes(limit + 1))
    assert sender.send(bytes(limit)) == 1


@BOTH
def test_row_sequence_exhausted(reliability: Reliability, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_SEQUENCE", 2)
    sender = Sender(group(), reliability)
    assert [sender.send(), sender.send()] == [1, 2]
    raises(CODES.SEQUENCE_EXHAUSTED, sender.send)
    assert Sender(sender.link, reliability).send() == 1


def test_row_too_many_recipients() -> None:
    far = tuple((32 * word, f"w{word}") for word in range(1, 140))
    link = group(members=((2, "carol"), *far))
    names = [name for _, name in far[:70]]
    raises(CODES.TOO_MANY_RECIPIENTS, Sender(link, LOSSY, to=names).send)
    assert Sender(link, RELIABLE, to=names).send() == 1


@BOTH
def test_row_no_channel(reliability: Reliability, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senders_module, "MAX_CHANNEL", 1)
    link = group()
    Sender(link, reliability)
    raises(CODES.NO_CHANNEL, Sender, link, reliability)


@BOTH
def test_row_not_joined(reliability: Reliability) -> None:
    link = Wire(Endpoint(entropy=entropy(1)))
    raises(CODES.NOT_JOINED, Sender, link, reliability)


@BOTH
def test_row_sender_closed(reliability: Reliability) -> None:
    link = group()
    closed, other = Sender(link, reliability), Sender(link, reliability)
    link.endpoint.close_sender(closed.id, link.now)
    raises(CODES.SENDER_CLOSED, closed.send)
    link.endpoint.leave(link.now)
    raises(CODES.SENDER_CLOSED, other.send)


@BOTH
def test_row_open_after_leave(reliability: Reliability) -> None:
    link = group()
    link.endpoint.leave(link.now)
    raises(CODES.NOT_JOINED, Sender, link, reliability)


def test_row_send_after_death() -> None:
    link = group()
    reliable, lossy = Sender(link), Sender(link, LOSSY)
    link.give(wire.Bye(CODES.REPLACED))
    raises(CODES.LINK_LOST, reliable.send)
    lossy.send()
    assert lossy.drops == {"link_dead": 1}


@BOTH
def test_row_open_after_death(reliability: Reliability) -> None:
    link = group()
    link.give(wire.Bye(CODES.REPLACED))
    raises(CODES.LINK_LOST, Sender, link, reliability)


def test_row_send_after_fail() -> None:
    for link, frame in ((group(), fail(NO_SLOT, 2, CODES.FRAGMENT)), (peer(), wire.Fail(1, 0, 1, 2, CODES.FRAGMENT))):
        reliable = Sender(link)
        reliable.written()
        link.give(frame)
        raises(CODES.FRAGMENT, reliable.send)
    link = group()
    lossy = Sender(link, LOSSY)
    lossy.written()
    link.give(fail(NO_SLOT, 2, CODES.SESSION_MISMATCH))
    lossy.send()
    assert lossy.drops == {"ended_session": 1}


# ---------------------------------------------------------------------------------------------
# 14.5: waiting
# ---------------------------------------------------------------------------------------------


def assert_waits(link: Wire, sender: Sender, *, release: Callable[[], object]) -> None:
    """Sends wait, at last raise WOULD_BLOCK, and go on after SenderWritable."""
    sent = 0
    while True:
        try:
            sender.send(bytes(16_000))
        except CallChannelError as error:
            assert error.code == CODES.WOULD_BLOCK
            break
        sent += 1
        link.take()
    assert sent
    assert link.told(SenderWritable) == []
    for _ in range(5):
        release()
        link.take()
    assert len(link.told(SenderWritable)) == 1
    sender.send(bytes(16_000))


def test_row_suspended() -> None:
    link = small()
    reliable, lossy = Sender(link), Sender(link, LOSSY)
    link.endpoint.transport_down(1, link.now)
    lossy.send()
    assert lossy.drops == {"suspended": 1}

    def resume() -> None:
        link.replace(link.transport + 1, lossy=False)
        (hello,) = link.take_of(wire.Hello)
        link.give(link.welcome(hello, slot=2, window=MINIMUM, received=link.endpoint.counting.written))

    assert_waits(link, reliable, release=resume)


def test_row_no_credit() -> None:
    link = small()
    limits = iter(range(2 * MINIMUM, 100 * MINIMUM, MINIMUM))
    release = lambda: link.give(wire.Ack(link.counted), wire.Credit(2, NO_SLOT, 1, next(limits)))  # noqa: E731
    assert_waits(link, Sender(link), release=release)


def test_row_buffer_full() -> None:
    link = small()
    reliable, lossy = Sender(link), Sender(link, LOSSY)
    reliable.send(bytes(60_000))
    raises(CODES.WOULD_BLOCK, reliable.send, bytes(6_000))
    for number in range(4):
        lossy.send(bytes([number]) * 2_000)
    assert lossy.drops == {"queue_full": 2}
    assert {frame.sequence for frame in link.take_of(wire.Data) if not frame.reliable} == {3, 4}


def test_row_unconfirmed_full() -> None:
    link = small()
    sender = Sender(link)
    for _ in range(64):
        sender.send(b"")
    link.take()
    raises(CODES.WOULD_BLOCK, sender.send, b"")
    link.ack()
    assert len(link.told(SenderWritable)) == 1


def test_row_data_rate() -> None:
    """A relay withholds credit: that is `no-credit` to the sender. It drops Lossy messages, which raise nothing."""
    link = small()
    reliable, lossy = Sender(link), Sender(link, LOSSY)
    for _ in range(6):
        reliable.send(bytes(16_000))
        link.take()
        link.ack()
    assert len(link.told(MessagesConfirmed)) == 4
    assert lossy.written() == 1
    assert link.told(MessageFailed) == []


def waiting_sender(payload: bytes) -> tuple[Sender, int]:
    """A message to Bob that waits for credit: behind others, or with some fragments written."""
    sender = Sender(group(window=MINIMUM), to=["bob"])
    if len(payload) < MINIMUM:
        sender.send(bytes(MINIMUM))
    sequence = sender.send(payload)
    sender.link.take()
    return sender, sequence


def check_taken_back(code: int, rows: tuple[str, ...]) -> None:
    """The three ways in which a message can be taken back."""
    if "unwritten" in rows:
        sender, sequence = waiting_sender(b"x")
        found = sender.cancel(sequence, code)
        assert (found.outcome, found.report.failed) == (CancelOutcome.REMOVED, (("bob", code),))
        sender.link.give(wire.Credit(2, NO_SLOT, 1, 1 << 20))
        assert {frame.sequence for frame in sender.link.take_of(wire.Data)} == {1}
    if "partial" in rows:
        sender, sequence = waiting_sender(bytes(100_000))
        found = sender.cancel(sequence, code)
        assert (found.outcome, found.report.failed) == (CancelOutcome.ABORTED, (("bob", code),))
        (frame,) = sender.link.take_of(wire.Data)
        assert frame.fragment is not None
        assert frame.fragment.abort
    if "written" in rows:
        sender = Sender(group(), to=["bob", "dan"])
        sequence = sender.written()
        sender.link.give(fail(3, 1, CODES.LEFT))
        found = sender.cancel(sequence, code)
        assert (found.outcome, found.report.unknown) == (CancelOutcome.UNKNOWN, (("bob", code),))
        assert found.report.failed == (("dan", CODES.LEFT),)
        assert sender.link.take() == []


def test_row_timeout_unwritten() -> None:
    check_taken_back(CODES.DEADLINE, ("unwritten",))


def test_row_timeout_partial() -> None:
    check_taken_back(CODES.DEADLINE, ("partial",))


def test_row_timeout_written() -> None:
    check_taken_back(CODES.DEADLINE, ("written",))


def test_row_cancel() -> None:
    check_taken_back(CODES.CANCELLED, ("unwritten", "partial", "written"))


def test_row_delivered_deadline() -> None:
    link = group(limits=Limits(delivered_deadline=SECOND))
    Sender(link, confirm=Confirm.DELIVERED, to=["bob", "dan"]).written(acked=True)
    link.give(wire.Receipt(2, 1, 1, 1))
    assert nothing_told(link)
    link.wait(SECOND)
    assert outcome(link) == (CODES.DEADLINE, {}, {"dan": CODES.DEADLINE})


def test_row_expired() -> None:
    link = group(lossy=False)
    sender = Sender(link, LOSSY)
    sender.send(metadata=Metadata(lifetime=5_000))
    link.wait(5_000)
    assert link.take_of(wire.Data) == []
    assert sender.drops == {"expired": 1}


def test_row_superseded() -> None:
    link = group(lossy=False)
    sender = Sender(link, LOSSY, latest=True)
    sender.send(b"old")
    sender.send(b"new")
    assert [frame.payload for frame in link.take_of(wire.Data)] == [b"new"]
    assert sender.drops == {"superseded": 1}


# ---------------------------------------------------------------------------------------------
# 14.5: recipients
# ---------------------------------------------------------------------------------------------


@BOTH
def test_row_nobody(reliability: Reliability) -> None:
    link = group(members=((2, "carol"),))
    sender = Sender(link, reliability)
    sender.written(acked=True)
    assert link.told(MessageFailed) == []
    assert sender.drops == {}
    if reliability is RELIABLE:
        assert link.told(MessagesConfirmed)[0].through == 1


def test_row_absent_at_send() -> None:
    link = group(lossy=False)
    error: Any = raises(CODES.UNKNOWN_RECIPIENT, Sender(link, to=["zoe", "bob", "eve"]).send)
    assert error.names == ("zoe", "eve")
    assert link.take() == []
    lossy = Sender(link, LOSSY, to=["zoe", "bob", "eve"])
    assert lossy.send() == 1
    assert lossy.drops == {"no_recipients": 2}
    assert [frame.recipients.slots for frame in link.take_of(wire.Data)] == [0b10]


def test_row_absent_at_writing() -> None:
    link = group(lossy=False)
    reliable, lossy = Sender(link, to=["bob", "dan"]), Sender(link, LOSSY, to=["bob", "dan"])
    reliable.send()
    lossy.send()
    dan_leaves(link)
    assert [frame.recipients.slots for frame in link.take_of(wire.Data)] == [0b10, 0b10]
    link.ack()
    assert outcome(link) == (CODES.UNKNOWN_RECIPIENT, {"dan": CODES.UNKNOWN_RECIPIENT}, {})
    assert link.told(MessageFailed)[0].report.reached == ("bob",)
    assert lossy.drops == {"no_recipients": 1}


def test_row_absent_at_relay() -> None:
    """The relay says so by FAIL. Lossy: it drops, and says nothing."""
    link = group()
    Sender(link, to=["bob", "dan"]).written()
    link.give(fail(3, 1, CODES.UNKNOWN_RECIPIENT))
    assert nothing_told(link)
    link.ack()
    assert outcome(link) == (CODES.UNKNOWN_RECIPIENT, {"dan": CODES.UNKNOWN_RECIPIENT}, {})
    assert Sender(link, LOSSY, to=["dan"]).written() == 1


def test_row_failed_named() -> None:
    link = group()
    sender = Sender(link)
    sender.written(acked=True)
    link.give(fail(1, 2, CODES.OVERRUN), fail(3, 2, CODES.CLOSED))
    error: Any = raises(CODES.RECIPIENT_FAILED, sender.send, to=["dan", "ann", "bob"])
    assert set(error.names) == {"bob", "dan"}
    assert link.take() == []
    lossy = Sender(link, LOSSY, to=["dan", "ann"])
    lossy.written()
    link.give(wire.Fail(2, 3, 2, 2, CODES.CLOSED))
    assert lossy.written() == 2  # the relay passes it over


def test_row_failed_passed() -> None:
    link = group()
    sender = Sender(link)
    sender.written(acked=True)
    link.give(fail(3, 2, CODES.CLOSED))
    sender.written(acked=True)
    (event,) = link.told(MessageConfirmed)
    assert (event.report.passed_over, event.report.reached) == (("dan",), ("ann", "bob"))
    assert link.told(MessageFailed) == []
    assert Sender(link, LOSSY).written() == 1


def test_row_failed_all() -> None:
    link = group()
    sender = Sender(link)
    sender.written(acked=True)
    link.give(*(fail(slot, 2, CODES.CLOSED) for slot in (0, 1, 3)))
    raises(CODES.RECIPIENT_FAILED, sender.send)
    assert link.take() == []
    assert link.told(SenderEnded) == []  # CC-SESS-026
    assert Sender(link, LOSSY).written() == 1


CAUSES = [CODES.LEFT, CODES.LOST, CODES.OVERRUN, CODES.CLOSED]


@pytest.mark.parametrize("code", CAUSES)
def test_row_fail_before_ack(code: int) -> None:
    for confirm in Confirm:
        link = group()
        Sender(link, confirm=confirm, to=["bob", "dan"]).written()
        link.give(fail(3, 1, code), wire.Receipt(2, 1, 1, 1))
        link.ack()
        assert outcome(link) == (code, {"dan": code}, {})


@pytest.mark.parametrize("code", CAUSES)
def test_row_fail_after_accept(code: int) -> None:
    link = group()
    Sender(link).written(acked=True)
    link.give(fail(3, 1, code))
    (event,) = link.told(RecipientFailed)
    assert (event.participant.identity, event.sequence, event.code, event.uncertain) == ("dan", 1, code, False)
    assert link.told(MessageFailed) == []


@pytest.mark.parametrize("code", CAUSES)
def test_row_fail_before_receipt(code: int) -> None:
    link = group()
    Sender(link, confirm=Confirm.DELIVERED).written(acked=True)
    link.give(fail(3, 1, code), wire.Receipt(2, NO_SLOT, 1, 1))
    assert outcome(link) == (code, {"dan": code}, {})


def test_row_uncertain() -> None:
    link = group(window=MINIMUM)
    sender = Sender(link, confirm=Confirm.DELIVERED, to=["dan"])
    sender.written(acked=True)
    sender.written()
    sender.send(bytes(100_000))
    link.take()
    link.give(fail(3, 2, CODES.LOST, uncertain=True))
    whole, part = link.told(MessageFailed)
    assert (whole.sequence, whole.report.unknown, whole.report.failed) == (2, (("dan", CODES.LOST),), ())
    assert (part.sequence, part.report.unknown, part.report.failed) == (3, (), (("dan", CODES.LOST),))
    assert link.told(RecipientFailed)[0].uncertain
