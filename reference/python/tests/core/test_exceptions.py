# SPDX-License-Identifier: Apache-2.0
"""What the application is told in each case: one test for each row of the tables in 14.5, 14.6 and 14.7 (CC-ERR-020).

Group calls are played against a relay written by hand, so that every row can be brought about.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from callchannel.core import frames as wire
from callchannel.core import senders as senders_module
from callchannel.core.endpoint import Endpoint
from callchannel.core.errors import CallChannelError, ErrorCode
from callchannel.core.events import (
    CustodyLost,
    LinkEnded,
    MessageConfirmed,
    MessageFailed,
    MessagesConfirmed,
    ParticipantLeft,
    ParticipantResumed,
    ParticipantSuspended,
    ReceiverClosed,
    ReceiverCreated,
    RecipientFailed,
    Resumed,
    SenderEnded,
    SenderFailed,
    SenderWritable,
    Suspended,
)
from callchannel.core.extensions import Extension, Metadata
from callchannel.core.lanes import Lane
from callchannel.core.limits import SILENCE, Limits
from callchannel.core.messages import Confirm, Reliability
from callchannel.core.recipients import NO_SLOT
from callchannel.core.sender import CancelOutcome
from tests.core.network import SECOND, Wire, acceptor, data, entropy, group, pair, peer

CHAPTER = Path(__file__).resolve().parents[4] / "spec" / "14-errors.md"
RELIABLE, LOSSY = Reliability.RELIABLE, Reliability.LOSSY
BOTH = pytest.mark.parametrize("reliability", Reliability, ids=lambda kind: kind.value)
MINIMUM = 65_536
CODES = ErrorCode


def rows_of_the_text() -> set[str]:
    """The names in the first column of the tables of sections 14.5 to 14.7."""
    text = CHAPTER.read_text(encoding="utf-8")
    text = text[text.index("\n## 14.5") : text.index("\n## 14.8")]
    return set(re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE))


def test_every_row_has_its_test() -> None:
    found = {name.removeprefix("test_row_").replace("_", "-") for name in globals() if name.startswith("test_row_")}
    assert found == rows_of_the_text()
    assert len(found) > 50


class Sender:
    """A sender at a wire."""

    def __init__(self, link: Wire, reliability: Reliability = RELIABLE, **options: Any) -> None:
        self.link = link
        self.id = link.endpoint.open_sender(link.now, reliability=reliability, **options)

    def send(self, payload: bytes = b"x", **options: Any) -> int:
        return self.link.endpoint.send(self.id, payload, self.link.now, **options)

    def written(self, *, acked: bool = False, **options: Any) -> int:
        """Send a message that is wholly written, and acknowledged if so."""
        sequence = self.send(**options)
        self.link.take()
        self.link.take(Lane.LOSSY)
        if acked:
            self.link.ack()
        return sequence

    def cancel(self, sequence: int, code: int) -> Any:
        return self.link.endpoint.cancel(self.id, sequence, code, self.link.now)

    @property
    def drops(self) -> dict[str, int]:
        return dict(self.link.endpoint.sender_info(self.id).statistics.drops)


def raises(code: int, call: Callable[..., object], *args: Any, **options: Any) -> CallChannelError:
    """Assert that a call raises a code; returns the exception."""
    with pytest.raises(CallChannelError) as caught:
        call(*args, **options)
    assert caught.value.code == code
    return caught.value


def outcome(link: Wire) -> tuple[int, dict[str, int], dict[str, int]]:
    """The report of the one send that raised: its code, who failed, and of whom it is unknown."""
    (event,) = link.told(MessageFailed)
    assert event.code == event.report.code or not (event.report.failed or event.report.unknown)
    return event.code, dict(event.report.failed), dict(event.report.unknown)


def nothing_told(link: Wire) -> bool:
    return not (link.told(MessageFailed) or link.told(MessageConfirmed) or link.told(MessagesConfirmed))


def small() -> Wire:
    """A call whose relay gives the least window, to an endpoint with the least buffers."""
    limits = Limits(send_buffer=MINIMUM, unconfirmed_messages=64, lossy_queue=4_096)
    return group(limits=limits, window=MINIMUM, lossy=False)


def fail(slot: int, value: int, code: int, *, uncertain: bool = False) -> wire.Fail:
    """FAIL of the relay to the owner of session 1."""
    return wire.Fail(2, slot, 1, value, code, uncertain)


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


def dan_leaves(link: Wire) -> None:
    link.give(wire.Roster(5, (wire.RosterEntry(wire.RosterOp.LEAVE, 3, CODES.LEFT),)))


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


# ---------------------------------------------------------------------------------------------
# 14.5: the relay and the link
# ---------------------------------------------------------------------------------------------


def check_refused(code: int) -> None:
    link = group()
    sender = Sender(link, to=["bob", "dan"])
    sender.written()
    link.give(wire.Refuse(2, NO_SLOT, 1, 1, code))
    assert outcome(link) == (code, {"bob": code, "dan": code}, {})
    assert link.told(MessageFailed)[0].refused
    assert sender.written(acked=True) == 2  # the session goes on
    assert link.told(MessagesConfirmed)[-1].through == 2
    assert Sender(link, LOSSY).written() == 1  # dropped there


def test_row_refused_policy() -> None:
    check_refused(CODES.POLICY)


def test_row_refused_size() -> None:
    check_refused(CODES.MESSAGE_TOO_LARGE)


def test_row_refused_stopping() -> None:
    check_refused(CODES.GOING_AWAY)


def check_session_failed(code: int) -> None:
    """FAIL for all, or of the peer: what is below it is settled, what is from it on failed, the sender ends."""
    for link, recipient, slots in ((group(), NO_SLOT, ("ann", "bob", "dan")), (peer(), 0, ("ann",))):
        sender = Sender(link)
        for _ in range(3):
            sender.written()
        link.give(wire.Fail(link.endpoint.slot or 0, recipient, 1, 2, code))
        link.ack()
        assert link.told(MessagesConfirmed)[-1].through == 1
        assert [(event.sequence, dict(event.report.failed)) for event in link.told(MessageFailed)] == [
            (sequence, dict.fromkeys(slots, code)) for sequence in (2, 3)
        ]
        assert [event.code for event in link.told(SenderFailed)] == [code]
        assert [event.code for event in link.told(SenderEnded)] == [code]
        raises(code, sender.send)


def test_row_sessions() -> None:
    check_session_failed(CODES.TOO_MANY_SESSIONS)
    link = group(limits=Limits(open_sessions=16))
    for number in range(17):
        link.give(data(number + 1, flags=0, channel=number + 1))
    assert link.endpoint.statistics().drops == {"open_sessions": 1}


def test_row_session_fault() -> None:
    for code in (CODES.SEQUENCE, CODES.FRAGMENT, CODES.SESSION_MISMATCH):
        check_session_failed(code)
    link = group()
    link.give(data(1, flags=0), data(1, 2, flags=0, channel=9))
    assert link.endpoint.statistics().drops == {"mismatch": 1}


DEATHS: list[Callable[[Wire], object]] = [
    lambda link: link.give(wire.Bye(CODES.GOING_AWAY)),
    lambda link: link.give(b"\x08\0\0\4"),
    lambda link: (link.endpoint.transport_down(1, link.now), link.wait(31 * SECOND)),
]
DEATH = pytest.mark.parametrize("die", DEATHS, ids=["bye", "fault", "lost"])


@DEATH
def test_row_death_unwritten(die: Callable[[Wire], object]) -> None:
    link = group(window=MINIMUM, lossy=False)
    sender, lossy = Sender(link, to=["bob"]), Sender(link, LOSSY)
    sender.send(bytes(100_000))
    sender.send(b"behind")
    link.take()
    lossy.send()
    die(link)
    for event in link.told(MessageFailed):
        assert dict(event.report.failed) == {"bob": CODES.LINK_LOST}
    assert [event.sequence for event in link.told(MessageFailed)] == [1, 2]
    assert lossy.drops.keys() <= {"link_dead", "suspended"}
    assert sum(lossy.drops.values()) == 1


@DEATH
def test_row_death_written(die: Callable[[Wire], object]) -> None:
    for confirm in Confirm:
        link = group()
        Sender(link, confirm=confirm, to=["bob"]).written()
        die(link)
        assert outcome(link) == (CODES.LINK_LOST, {}, {"bob": CODES.LINK_LOST})
        assert link.told(CustodyLost) == []


@DEATH
def test_row_death_accepted(die: Callable[[Wire], object]) -> None:
    link = group()
    accepted = Sender(link, to=["bob"])
    accepted.written(acked=True)
    accepted.written(acked=True)
    Sender(link, confirm=Confirm.DELIVERED, to=["bob"]).written(acked=True)
    die(link)
    assert link.told(CustodyLost) == [CustodyLost(sender=accepted.id, through=2)]
    assert outcome(link) == (CODES.LINK_LOST, {}, {"bob": CODES.LINK_LOST})


def test_row_fault_reliable() -> None:
    link = group()
    sender = Sender(link, to=["bob"])
    sender.written(acked=True)
    sender.written()
    sender.send()
    link.give(wire.Ack(99))
    assert [event.code for event in link.told(LinkEnded)] == [CODES.PROTOCOL]
    unknown, failed = link.told(MessageFailed)
    assert (dict(unknown.report.unknown), dict(failed.report.failed)) == (
        {"bob": CODES.LINK_LOST},
        {"bob": CODES.LINK_LOST},
    )
    assert [event.through for event in link.told(CustodyLost)] == [1]


def test_row_fault_lossy() -> None:
    link = group()
    frames = (data(1, flags=0), data(2, 0, flags=0), data(3, flags=0, channel=9))
    link.give(*frames, lane=Lane.LOSSY)
    assert len(link.told(ReceiverCreated)) == 1
    assert link.endpoint.statistics().drops == {"malformed": 1}
    assert link.told(LinkEnded) == []


# ---------------------------------------------------------------------------------------------
# 14.6: at the receiver
# ---------------------------------------------------------------------------------------------


def ends(link: Wire, *frames: Any, codes: list[int], unread: int = 1) -> None:
    """A receiver ends after everything readable was read, once, with the code (CC-ERR-021, 022)."""
    link.give(data(1, 1, b"one"), data(1, 2, b"two"))
    link.endpoint.read(1, link.now)
    link.give(*frames)
    for _ in range(unread):
        assert link.told(ReceiverClosed) == []
        assert link.endpoint.read(1, link.now) is not None
    assert [event.code for event in link.told(ReceiverClosed)] == codes
    with pytest.raises(CallChannelError):
        link.endpoint.read(1, link.now)


def close(code: int = 0, value: int = 2) -> wire.Close:
    return wire.Close(0, NO_SLOT, 1, value, code)


def test_row_closed_by_sender() -> None:
    ends(group(), close(), codes=[CODES.NONE])
    ends(group(), close(0xF00D), codes=[0xF00D])


def test_row_sender_left() -> None:
    ends(group(), close(CODES.LEFT), codes=[CODES.LEFT])
    ends(peer(), wire.Bye(CODES.LEFT), codes=[CODES.LEFT])


def test_row_sender_lost() -> None:
    ends(group(), close(CODES.LOST), codes=[CODES.LOST])
    leave = wire.RosterEntry(wire.RosterOp.LEAVE, 0, CODES.LOST)
    join = wire.RosterEntry(wire.RosterOp.JOIN, 0, 0, "eve")
    ends(group(), wire.Roster(6, (leave, join)), codes=[CODES.LOST])


def test_row_closed_here() -> None:
    link = group()
    link.give(data(1, 1), data(1, 2))
    link.endpoint.close_receiver(1, link.now)
    assert link.told(ReceiverClosed) == []
    assert [(frame.value, frame.reason) for frame in link.take_of(wire.Fail)] == [(1, CODES.CLOSED)]


def test_row_overrun() -> None:
    ends(group(), wire.Fail(0, 2, 1, 3, CODES.OVERRUN), codes=[CODES.OVERRUN])


def test_row_memory() -> None:
    ends(group(), wire.Fail(0, 2, 1, 2, CODES.MEMORY), codes=[CODES.MEMORY], unread=0)
    limit = 1_048_576
    link = group(limits=Limits(receive_memory=limit, window=limit, largest_message=limit), largest_message=limit)
    for sequence in range(1, 61):
        link.give(data(1, sequence, bytes(16_000)))
    for sequence in range(1, 7):
        link.give(data(2, sequence, bytes(16_000)))
    assert [(event.receiver, event.code) for event in link.told(ReceiverClosed)] == [(1, CODES.MEMORY)]


def test_row_receiver_too_large() -> None:
    large = data(1, 3, b"x", fragment=wire.Fragment(0, 40_000))
    ends(group(limits=Limits(largest_message=32_768), largest_message=32_768), large, codes=[CODES.TOO_LARGE])


def test_row_extension() -> None:
    ends(group(), data(1, 3, extensions=(Extension(0x7001, b"", True),)), codes=[CODES.EXTENSION])


def test_row_fault() -> None:
    ends(group(), data(1, 2), codes=[CODES.SEQUENCE])
    ends(group(), data(1, 3, channel=9), codes=[CODES.SESSION_MISMATCH])
    ends(group(), data(1, 3, b"all", fragment=wire.Fragment(0, 3)), codes=[CODES.FRAGMENT])


def test_row_receiver_sessions() -> None:
    """There is no receiver that could end: the session never began here. Its owner is told."""
    link = group(limits=Limits(open_sessions=16))
    for number in range(1, 18):
        link.give(data(number))
    assert [(frame.session, frame.reason) for frame in link.take_of(wire.Fail)] == [(17, CODES.TOO_MANY_SESSIONS)]
    assert len(link.told(ReceiverCreated)) == 16


def test_row_relay_stopping() -> None:
    ends(group(), wire.Fail(0, 2, 1, 3, CODES.GOING_AWAY), codes=[CODES.GOING_AWAY])


def test_row_idle() -> None:
    link = group(limits=Limits(idle_close=SECOND))
    link.give(data(1, 1))
    link.endpoint.read(1, link.now)
    link.wait(SECOND)
    assert [event.code for event in link.told(ReceiverClosed)] == [CODES.IDLE]
    link.give(data(1, 2))
    assert [event.session for event in link.told(ReceiverCreated)] == [1, 1]


def test_row_newer_session() -> None:
    link = group()
    link.give(data(1, 1, flags=0), data(2, 1, flags=0))
    assert link.endpoint.read(1, link.now) is not None
    assert [(event.receiver, event.code) for event in link.told(ReceiverClosed)] == [(1, CODES.NONE)]


def test_row_link_lost() -> None:
    ends(group(), wire.Bye(CODES.REPLACED), codes=[CODES.LINK_LOST])
    ends(peer(), wire.Bye(CODES.INTERNAL), codes=[CODES.LINK_LOST])


# ---------------------------------------------------------------------------------------------
# 14.7: the link and the call
# ---------------------------------------------------------------------------------------------


def connecting() -> Wire:
    link = Wire(Endpoint(entropy=entropy(1)))
    link.take()
    return link


@pytest.mark.parametrize("code", [CODES.NOT_ADMITTED, CODES.CALL_FULL, CODES.TOO_SMALL, 0xF001])
def test_row_join_refused(code: int) -> None:
    link = connecting()
    link.give(wire.Bye(code, "no"))
    assert link.told(LinkEnded) == [LinkEnded(code=code, reason="no", by_peer=True)]


def test_row_join_timeout() -> None:
    link = connecting()
    link.wait(10 * SECOND)
    assert [event.code for event in link.told(LinkEnded)] == [CODES.TIMEOUT]


def test_row_link_suspended() -> None:
    for lose in (lambda link: link.endpoint.transport_down(1, link.now), lambda link: link.wait(SILENCE)):
        link = group()
        lose(link)
        assert len(link.told(Suspended)) == 1


def test_row_link_resumed() -> None:
    call = pair()
    call.network.cut(call.cable)
    call.reconnect()
    call.network.run()
    assert len(call.anna.told(Resumed)) == len(call.bob.told(Resumed)) == 1


def test_row_link_ended() -> None:
    for die, code in zip(DEATHS, (CODES.GOING_AWAY, CODES.UNKNOWN_TYPE, CODES.LINK_LOST), strict=True):
        link = group()
        die(link)
        link.give(wire.Bye(CODES.REPLACED))
        assert [event.code for event in link.told(LinkEnded)] == [code]


def test_row_left() -> None:
    link = group()
    link.endpoint.leave(link.now)
    assert [event.code for event in link.told(LinkEnded)] == [CODES.NONE]
    assert [frame.code for frame in link.take_of(wire.Bye)] == [CODES.LEFT]


def test_row_participant_left() -> None:
    link = group()
    dan_leaves(link)
    (event,) = link.told(ParticipantLeft)
    assert (event.participant.identity, event.code) == ("dan", CODES.LEFT)
    for code, told in ((CODES.LEFT, CODES.LEFT), (CODES.INTERNAL, CODES.LOST)):
        link = acceptor()
        link.give(wire.Bye(code))
        assert [event.code for event in link.told(ParticipantLeft)] == [told]


def test_row_participant_suspended() -> None:
    link = group()
    for op in (wire.RosterOp.SUSPENDED, wire.RosterOp.RESUMED):
        link.give(wire.Roster(4, (wire.RosterEntry(op, 3),)))
    assert [event.participant.identity for event in link.told(ParticipantSuspended)] == ["dan"]
    assert [event.participant.identity for event in link.told(ParticipantResumed)] == ["dan"]


# ---------------------------------------------------------------------------------------------
# 14.8
# ---------------------------------------------------------------------------------------------


def test_the_example_of_the_text() -> None:
    """Bob is reached, Erin failed, Dan is unknown."""
    link = group(members=((1, "bob"), (2, "carol"), (3, "dan"), (4, "erin")))
    sender = Sender(link, confirm=Confirm.DELIVERED, to=["bob", "dan", "erin"])
    for _ in range(5):
        sender.written()
    link.give(wire.Receipt(2, 1, 1, 4), wire.Receipt(2, 3, 1, 4), wire.Receipt(2, 4, 1, 4))
    link.give(fail(4, 5, CODES.UNKNOWN_RECIPIENT))
    link.ack()
    link.give(wire.Receipt(2, 1, 1, 5), fail(3, 5, CODES.LOST, uncertain=True))
    assert outcome(link) == (CODES.UNKNOWN_RECIPIENT, {"erin": CODES.UNKNOWN_RECIPIENT}, {"dan": CODES.LOST})
    assert link.told(MessageFailed)[0].report.reached == ("bob",)
