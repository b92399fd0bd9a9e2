# SPDX-License-Identifier: Apache-2.0
"""A link: its lanes, its ends, and bundles of frames (chapters 8 and 9)."""

from __future__ import annotations

import pytest

from callchannel.core import frames as wire
from callchannel.core.decoding import decode_packet
from callchannel.core.errors import ErrorCode
from callchannel.core.events import LinkEnded, MessagesConfirmed
from callchannel.core.extensions import Metadata
from callchannel.core.lanes import Lane
from callchannel.core.limits import Limits
from callchannel.core.messages import Reliability
from tests.core.links import ended, resumed
from tests.core.network import MS, SECOND, Wire, data, group

# --- lanes -----------------------------------------------------------------------------------


def test_lossy_data_follows_the_lossy_lane() -> None:
    """CC-LINK-003, 004, and CC-SCHED-003."""
    link = group(lossy=False)
    endpoint = link.endpoint
    sender = endpoint.open_sender(link.now, reliability=Reliability.LOSSY)
    endpoint.send(sender, b"1", link.now)
    assert len(link.take_of(wire.Data)) == 1
    endpoint.lossy_lane(1, True, link.now)
    endpoint.send(sender, b"2", link.now)
    assert link.take() == []
    assert len(link.take_of(wire.Data, Lane.LOSSY)) == 1
    endpoint.send(sender, b"3", link.now)
    endpoint.lossy_lane(1, False, link.now)
    assert link.take_of(wire.Data, Lane.LOSSY) == []
    assert [frame.payload for frame in link.take_of(wire.Data)] == [b"3"]


def test_reliable_frames_on_the_lossy_lane() -> None:
    link = group()
    link.give(data(), lane=Lane.LOSSY)
    assert link.endpoint.statistics().drops == {"malformed": 1}


def test_the_budget_of_a_pull() -> None:
    link = group()
    sender = link.endpoint.open_sender(link.now)
    link.endpoint.send(sender, bytes(100_000), link.now)
    assert len(link.endpoint.pull(1, Lane.RELIABLE, 1, link.now)) == 1
    assert len(link.endpoint.pull(1, Lane.RELIABLE, 20_000, link.now)) == 2
    assert link.endpoint.pull(1, Lane.RELIABLE, 0, link.now) == []


# --- ending ----------------------------------------------------------------------------------


def test_bye_ends_the_link() -> None:
    """CC-LINK-055, 056, CC-ERR-003: without a BYE of its own, the code kept."""
    link = group()
    link.give(wire.Bye(0xF00D, "why"), wire.Ack(99))
    (event,) = link.told(LinkEnded)
    assert (event.code, event.reason, event.by_peer) == (0xF00D, "why", True)
    assert link.take() == []
    assert link.endpoint.take_closing() == [1]


def test_frames_before_a_fault_stand() -> None:
    """CC-FRAME-002, CC-LINK-068, 069."""
    link = group()
    link.give(data(1, 1, b"good"), b"\x08\0\0\4", data(1, 2, b"never"))
    assert ended(link) == ErrorCode.UNKNOWN_TYPE
    message = link.endpoint.read(1, link.now)
    assert message is not None
    assert message.data == b"good"
    assert link.endpoint.counting.received == 2


def test_a_dead_link_hears_nothing() -> None:
    link = group()
    link.give(b"")
    link.take()
    for lane in Lane:
        link.give(wire.Ack(99), lane=lane)
    link.wait(60 * SECOND)
    assert ended(link) == ErrorCode.PACKET_SIZE
    assert link.endpoint.deadline() is None


def test_leaving_waits_for_what_is_queued() -> None:
    """CC-LINK-060, row L49."""
    link = group()
    endpoint = link.endpoint
    sender = endpoint.open_sender(link.now)
    endpoint.send(sender, b"last words", link.now)
    endpoint.leave(link.now)
    endpoint.leave(link.now)
    found = link.take()
    assert [type(frame) for frame in found] == [wire.Data, wire.Close]
    assert ended(link) is None
    link.give(data(1, 1))
    link.ack()
    assert ended(link) == ErrorCode.NONE
    assert [type(frame) for frame in link.take()] == [wire.Ack, wire.Bye]


def test_leaving_does_not_wait_for_ever() -> None:
    """CC-LINK-061, row L50."""
    link = group(limits=Limits(leave_time=2 * SECOND))
    sender = link.endpoint.open_sender(link.now)
    link.endpoint.send(sender, b"x", link.now)
    link.endpoint.leave(link.now)
    link.wait(2 * SECOND - 1)
    assert ended(link) is None
    link.wait(1)
    assert ended(link) == ErrorCode.NONE
    assert link.take()[-1] == wire.Bye(ErrorCode.LEFT, "left")


def test_leaving_ends_when_what_waited_has_expired() -> None:
    """CC-LINK-060: nothing was written, so that no ACK comes after which it could be found out."""
    link = group()
    endpoint = link.endpoint
    sender = endpoint.open_sender(link.now, reliability=Reliability.LOSSY)
    endpoint.send(sender, b"x", link.now, metadata=Metadata(lifetime=20 * MS))
    endpoint.leave(link.now)
    link.now += 20 * MS
    assert link.take(Lane.LOSSY) == []
    assert ended(link) == ErrorCode.NONE


def test_leaving_with_nothing_to_say() -> None:
    link = group()
    link.endpoint.leave(link.now)
    assert ended(link) == ErrorCode.NONE
    assert link.take()[-1].code == ErrorCode.LEFT


def test_leaving_a_suspended_link() -> None:
    """CC-LINK-063."""
    link = group()
    link.endpoint.transport_down(1, link.now)
    link.endpoint.leave(link.now)
    assert ended(link) == ErrorCode.NONE


def test_leaving_goes_on_over_a_resume() -> None:
    link = group()
    endpoint = link.endpoint
    sender = endpoint.open_sender(link.now)
    endpoint.send(sender, b"x", link.now)
    endpoint.leave(link.now)
    link.take()
    endpoint.transport_down(1, link.now)
    resumed(link, received=0)
    assert [type(frame) for frame in link.take()] == [wire.Data, wire.Close, wire.Ack]
    link.give(wire.Ack(2))
    assert ended(link) == ErrorCode.NONE


def test_leaving_waits_for_a_fail_that_fell_due_while_suspended() -> None:
    """CC-LINK-060: a FAIL is queued, too, although no ACK is missing when the link goes on."""
    link = group()
    endpoint = link.endpoint
    endpoint.send(endpoint.open_sender(link.now), b"x", link.now)
    link.give(data(1, 1))
    endpoint.leave(link.now)
    link.take()
    endpoint.transport_down(1, link.now)
    link.replace(2)
    (hello,) = link.take_of(wire.Hello)
    endpoint.close_receiver(1, link.now)
    link.give(link.welcome(hello, slot=2, token=b"T" * 16, received=2), wire.Ack(2))
    kinds = [type(frame) for frame in link.take()]
    assert wire.Fail in kinds
    assert wire.Bye not in kinds
    link.give(wire.Ack(3))
    assert ended(link) == ErrorCode.NONE


def test_bye_waits_for_retransmissions_that_are_due() -> None:
    """`end` with flush: control frames and what is to be written again go before BYE."""
    link = group()
    endpoint = link.endpoint
    sender = endpoint.open_sender(link.now)
    endpoint.send(sender, bytes(30_000), link.now)
    link.take()
    endpoint.leave(link.now)
    endpoint.transport_down(1, link.now)
    resumed(link, received=0)
    link.give(data(1, 1))
    endpoint.close_receiver(1, link.now)
    link.wait(5 * SECOND)  # leave_time
    kinds = [type(frame) for frame in link.take()]
    assert kinds[-1] is wire.Bye
    assert wire.Fail in kinds
    assert kinds.count(wire.Data) == 2


def test_controls_that_fill_the_last_packet() -> None:
    """The ACK in front of BYE then has a packet of its own."""
    link = group()
    for session in range(1, 53):
        link.give(data(session, 1))
        link.endpoint.close_receiver(session, link.now)
    link.endpoint.leave(link.now)
    link.wait(5 * SECOND)  # leave_time
    found = [[type(frame) for frame in decode_packet(packet)] for packet in link.packets()]
    assert found == [[wire.Fail] * 52, [wire.Ack], [wire.Bye]]


# --- bundles ---------------------------------------------------------------------------------


def bundle(count: int) -> tuple[Wire, bytes]:
    """An endpoint that wrote so many messages in one packet, and its frames."""
    link = group()
    sender = link.endpoint.open_sender(link.now)
    for number in range(1, count + 1):
        link.endpoint.send(sender, b"%d" % number, link.now)
    (packet,) = link.packets()
    return link, packet


def test_an_ack_in_the_middle_of_a_bundle() -> None:
    link, _ = bundle(5)
    for through in (1, 2, 2, 4, 5):
        link.give(wire.Ack(through))
        assert link.endpoint.statistics().link.bytes_unacknowledged == 17 * (5 - through)
    assert [event.through for event in link.told(MessagesConfirmed)] == [1, 2, 4, 5]


@pytest.mark.parametrize("acked", [0, 1, 2])
@pytest.mark.parametrize("received", [2, 3, 5])
def test_a_resume_in_the_middle_of_a_bundle(acked: int, received: int) -> None:
    """CC-LINK-048, 049: the rest is written again, byte for byte, and only the next ACK settles."""
    link, packet = bundle(5)
    link.give(wire.Ack(acked))
    link.endpoint.transport_down(1, link.now)
    sender = 1
    link.endpoint.send(sender, b"new", link.now)
    resumed(link, received=received)
    assert [event.through for event in link.told(MessagesConfirmed)] == [acked] * bool(acked)
    assert link.endpoint.statistics().link.bytes_unacknowledged == 17 * (5 - received)
    (again,) = link.packets()
    assert again.startswith(packet[17 * received :])
    frames = [frame for frame in decode_packet(again) if isinstance(frame, wire.Data)]
    assert [frame.sequence for frame in frames] == list(range(received + 1, 7))
    assert link.endpoint.statistics().link.frames_retransmitted == 5 - received
    link.give(wire.Ack(received), wire.Ack(6))
    assert link.told(MessagesConfirmed)[-1].through == 6
    link.give(wire.Ack(7))
    assert ended(link) == ErrorCode.PROTOCOL


def test_bundles_and_unacknowledged() -> None:
    """CC-LINK-035: nothing is begun beyond it, however small."""
    link = group(limits=Limits(unacknowledged=65_536, unconfirmed_messages=65_535))
    sender = link.endpoint.open_sender(link.now)
    for _ in range(5_000):
        link.endpoint.send(sender, b"x", link.now)
    written = len(link.take_of(wire.Data))
    assert written == -(-65_536 // 17)
    link.ack()
    assert len(link.take_of(wire.Data)) == 5_000 - written


def test_a_packet_that_ends_in_the_middle_of_a_header() -> None:
    link = group()
    link.give(data(1, 1), b"\x01\x01\x00\x05\x00")
    assert ended(link) == ErrorCode.FRAME_FORMAT
