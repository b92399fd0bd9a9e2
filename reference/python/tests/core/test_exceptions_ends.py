# SPDX-License-Identifier: Apache-2.0
"""What the application is told when sessions, receivers and links end: rows of 14.5 to 14.7 (CC-ERR-020)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from callchannel.core import frames as wire
from callchannel.core.endpoint import Endpoint
from callchannel.core.errors import CallChannelError
from callchannel.core.events import (
    CustodyLost,
    LinkEnded,
    MessageFailed,
    MessagesConfirmed,
    ParticipantLeft,
    ParticipantResumed,
    ParticipantSuspended,
    ReceiverClosed,
    ReceiverCreated,
    Resumed,
    SenderEnded,
    SenderFailed,
    Suspended,
)
from callchannel.core.extensions import Extension
from callchannel.core.lanes import Lane
from callchannel.core.limits import SILENCE, Limits
from callchannel.core.messages import Confirm
from callchannel.core.recipients import NO_SLOT
from tests.core.network import SECOND, Wire, acceptor, data, entropy, group, pair, peer
from tests.core.telling import CODES, LOSSY, MINIMUM, Sender, dan_leaves, fail, outcome, raises

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
