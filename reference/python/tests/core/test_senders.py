# SPDX-License-Identifier: Apache-2.0
"""All senders of an endpoint: channels and session numbers (sections 5.3 and 5.4)."""

from __future__ import annotations

import pytest

from callchannel.core import frames as wire
from callchannel.core import senders as senders_module
from callchannel.core.errors import InvalidArgument, NoChannel, SenderClosed
from callchannel.core.events import SenderEnded
from callchannel.core.lanes import Lane
from callchannel.core.messages import Reliability
from callchannel.core.recipients import NO_SLOT
from tests.core.network import Wire, group

LOSSY = Reliability.LOSSY


def opened(link: Wire, channel: int = 0, reliability: Reliability = Reliability.RELIABLE) -> int:
    return link.endpoint.open_sender(link.now, channel=channel, reliability=reliability)


def send(link: Wire, sender: int, data: bytes = b"x") -> int:
    return link.endpoint.send(sender, data, link.now)


def channel_of(link: Wire, sender: int) -> int:
    return link.endpoint.sender_info(sender).channel


def test_channel_0_means_the_lowest_free_one() -> None:
    """CC-SESS-002, 003."""
    link = group()
    first, second, third = opened(link), opened(link, 3), opened(link)
    assert [channel_of(link, sender) for sender in (first, second, third)] == [1, 3, 2]
    assert channel_of(link, opened(link)) == 4
    link.endpoint.close_sender(third, link.now)
    assert channel_of(link, opened(link)) == 2


def test_a_channel_is_not_free_while_its_sender_is_closing() -> None:
    link = group()
    sender = opened(link)
    send(link, sender)
    link.take()
    link.endpoint.close_sender(sender, link.now)
    assert channel_of(link, opened(link)) == 2
    link.take()
    link.ack()
    assert link.told(SenderEnded) == [SenderEnded(sender=sender, code=0)]
    assert channel_of(link, opened(link)) == 1


def test_no_channel_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """CC-SESS-004: a given channel can still be had, in place of its sender."""
    monkeypatch.setattr(senders_module, "MAX_CHANNEL", 3)
    link = group()
    for channel in (1, 2, 3):
        assert channel_of(link, opened(link)) == channel
    with pytest.raises(NoChannel):
        opened(link)
    opened(link, 2)


def test_no_session_number_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """CC-SESS-010: a number is kept for each sender that is open."""
    monkeypatch.setattr(senders_module, "MAX_SESSION", 2)
    link = group()
    first = opened(link)
    opened(link)
    for channel in (0, 9):
        with pytest.raises(NoChannel):
            opened(link, channel)
    send(link, first)
    link.take()
    with pytest.raises(NoChannel):
        opened(link)


def test_a_new_sender_closes_the_one_on_its_channel() -> None:
    """CC-SESS-005, 006, 016: nothing is written by the opening; what is queued still is."""
    link = group()
    old = opened(link, 5)
    send(link, old, b"old")
    new = opened(link, 5)
    with pytest.raises(SenderClosed):
        send(link, old)
    send(link, new, b"new")
    found = link.take()
    assert [(frame.session, frame.payload) for frame in found if isinstance(frame, wire.Data)] == [
        (1, b"old"),
        (2, b"new"),
    ]
    assert [frame for frame in found if isinstance(frame, wire.Close)] == [wire.Close(2, NO_SLOT, 1, 1)]


def test_numbers_follow_first_frames() -> None:
    """CC-SESS-007, 020: over all channels and both kinds; an idle sender costs none."""
    link = group()
    idle, lossy, reliable = opened(link), opened(link, reliability=LOSSY), opened(link)
    link.endpoint.close_sender(idle, link.now)
    send(link, reliable)
    (frame,) = link.take()
    assert frame.session == 1
    send(link, lossy)
    (frame,) = link.take(Lane.LOSSY)
    assert frame.session == 2
    assert link.told(SenderEnded) == [SenderEnded(sender=idle, code=0)]


def test_a_lossy_sender_waits_for_the_number_of_the_older_one() -> None:
    """CC-SESS-009: else the old session would be the newer one."""
    link = group()
    old, new = opened(link, 5, LOSSY), None
    send(link, old, b"old")
    new = opened(link, 5, LOSSY)
    send(link, new, b"new")
    link.endpoint.lossy_lane(1, False, link.now)
    found = link.take_of(wire.Data)
    assert [(frame.session, frame.payload) for frame in found] == [(1, b"old"), (2, b"new")]


def test_a_lossy_sender_waits_for_a_reliable_one_on_its_channel() -> None:
    link = group()
    old = opened(link, 5)
    send(link, old, b"old")
    new = opened(link, 5, LOSSY)
    send(link, new, b"new")
    assert link.take(Lane.LOSSY) == []
    assert [frame.session for frame in link.take_of(wire.Data)] == [1]
    assert [frame.session for frame in link.take_of(wire.Data, Lane.LOSSY)] == [2]


def test_a_lossy_sender_waits_no_longer_when_the_older_has_nothing_to_write() -> None:
    link = group()
    endpoint = link.endpoint
    old = opened(link, 5)
    sequence = send(link, old)
    new = opened(link, 5, LOSSY)
    send(link, new)
    assert link.take(Lane.LOSSY) == []
    endpoint.cancel(old, sequence, 0x35, link.now)
    assert [frame.session for frame in link.take_of(wire.Data, Lane.LOSSY)] == [1]


def test_senders_by_number() -> None:
    link = group()
    for sender in (0, 1, 99):
        with pytest.raises(InvalidArgument):
            send(link, sender)
    sender = opened(link)
    link.endpoint.close_sender(sender, link.now)
    with pytest.raises(SenderClosed):
        send(link, sender)
    assert link.endpoint.sender_info(sender).state.name == "ENDED"


def test_of_senders_long_gone_it_is_known_that_they_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senders_module, "_REMEMBERED_SENDERS", 2)
    link = group()
    lossy = opened(link, reliability=LOSSY)
    link.endpoint.lossy_lane(1, False, link.now)
    link.endpoint.send(lossy, b"x", link.now, to=["bob", "nobody"])
    link.take()
    ended = [lossy, *(opened(link) for _ in range(3))]
    for sender in ended:
        link.endpoint.close_sender(sender, link.now)
    link.take()
    link.ack()
    with pytest.raises(SenderClosed):
        link.endpoint.sender_info(ended[1])
    assert link.endpoint.sender_info(lossy).state.name == "ENDED"  # it ended last
    assert link.endpoint.statistics().drops == {"no_recipients": 1}
    for sender in (opened(link), opened(link)):
        link.endpoint.close_sender(sender, link.now)
    assert link.endpoint.statistics().drops == {"no_recipients": 1}


def test_control_frames_of_unknown_sessions_are_dropped() -> None:
    link = group()
    link.events()
    link.give(
        wire.Credit(2, NO_SLOT, 9, 1 << 40),
        wire.Receipt(2, NO_SLOT, 9, 1),
        wire.Refuse(2, NO_SLOT, 9, 1, 0x33),
        wire.Fail(2, NO_SLOT, 9, 1, 0x21),
    )
    assert link.events() == []
