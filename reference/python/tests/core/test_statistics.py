# SPDX-License-Identifier: Apache-2.0
"""The counters of section 7.16, under their names (CC-DELIV-080)."""

from __future__ import annotations

from dataclasses import fields

import pytest

from callchannel.core.frames import Ack
from callchannel.core.lanes import Lane
from callchannel.core.messages import Reliability
from callchannel.core.statistics import LinkCounters, LinkStatistics, ReceiverStatistics, SenderStatistics
from tests.core.network import data, pair, peer

NAMES = {
    SenderStatistics: "messages_sent bytes_sent messages_confirmed messages_failed messages_waiting bytes_waiting"
    " drops",
    ReceiverStatistics: "messages_read bytes_read messages_unread bytes_buffered drops",
    LinkStatistics: "packets_written bytes_written packets_received bytes_received frames_retransmitted"
    " bytes_unacknowledged resumes drops",
}


@pytest.mark.parametrize("kind", NAMES, ids=lambda kind: kind.__name__)
def test_names(kind: type) -> None:
    assert " ".join(field.name for field in fields(kind)) == NAMES[kind]


def test_a_picture_does_not_change() -> None:
    counters = LinkCounters()
    picture = LinkStatistics.of(counters, 5)
    counters.packets_written[0] += 1
    counters.drops.add("malformed")
    assert (picture.packets_written, picture.drops, picture.bytes_unacknowledged) == ((0, 0), {}, 5)
    assert LinkStatistics.of(counters, 0).drops == {"malformed": 1}


def test_a_sender_and_its_receiver_count() -> None:
    call = pair()
    sender = call.anna.open_sender()
    for size in (0, 5, 40_000):
        call.anna.send(sender, bytes(size))
    before = call.anna.sender_info(sender).statistics
    call.network.run()
    after = call.anna.sender_info(sender).statistics
    assert (before.messages_confirmed, before.messages_waiting) == (0, 3)
    assert (after.messages_sent, after.bytes_sent, after.messages_confirmed) == (3, 40_005, 3)
    assert (after.messages_waiting, after.bytes_waiting, after.messages_failed, after.drops) == (0, 0, 0, {})

    (receiver,) = call.bob.receivers()
    before = call.bob.receiver_info(receiver).statistics
    call.bob.read(receiver)
    call.bob.read(receiver)
    after = call.bob.receiver_info(receiver).statistics
    assert (before.messages_unread, before.bytes_buffered, before.messages_read) == (3, 40_005, 0)
    assert (after.messages_unread, after.bytes_buffered) == (1, 40_000)
    assert (after.messages_read, after.bytes_read) == (2, 5)
    total = call.bob.statistics()
    assert (total.senders_open, total.receivers_open, total.bytes_buffered) == (0, 1, 40_000)
    assert call.anna.statistics().senders_open == 1


def test_a_stream_counts_when_it_is_wholly_written_and_read() -> None:
    call = pair()
    sender = call.anna.open_sender()
    stream = call.anna.open_stream(sender)
    call.anna.write_stream(sender, stream, bytes(20_000))
    call.network.run()
    (receiver,) = call.bob.receivers()
    assert call.anna.sender_info(sender).statistics.messages_sent == 0
    assert call.bob.receiver_info(receiver).statistics.messages_unread == 0  # partial
    call.anna.finish_stream(sender, stream)
    call.network.run()
    found = call.anna.sender_info(sender).statistics
    assert (found.messages_sent, found.bytes_sent, found.bytes_waiting) == (1, 20_000, 0)
    assert call.bob.receiver_info(receiver).statistics.messages_unread == 1
    call.bob.read(receiver)
    while not call.bob.read_stream(receiver).last:
        pass
    statistics = call.bob.receiver_info(receiver).statistics
    assert (statistics.messages_unread, statistics.messages_read, statistics.bytes_read) == (0, 1, 20_000)


def test_a_link_counts_by_lane() -> None:
    call = pair()
    sender = call.anna.open_sender(reliability=Reliability.LOSSY)
    before = call.anna.statistics().link
    call.anna.send(sender, b"lossy")
    call.network.run(1_000)
    after = call.anna.statistics().link
    assert after.packets_written[Lane.LOSSY] == before.packets_written[Lane.LOSSY] + 1
    assert after.bytes_written[Lane.LOSSY] == before.bytes_written[Lane.LOSSY] + 21
    assert after.packets_written[Lane.RELIABLE] == before.packets_written[Lane.RELIABLE]
    call.network.run()
    assert call.bob.statistics().link.packets_received[Lane.LOSSY] == 1
    assert call.bob.statistics().link.bytes_received[Lane.LOSSY] == 21


def test_resumes_and_retransmissions_are_counted() -> None:
    call = pair()
    sender = call.anna.open_sender()
    call.anna.send(sender, b"lost on its way")
    assert call.anna.statistics().link.bytes_unacknowledged == 16 + 15
    call.network.cut(call.cable)
    call.reconnect()
    call.network.run()
    found = call.anna.statistics().link
    assert (found.resumes, found.frames_retransmitted, found.bytes_unacknowledged) == (1, 1, 0)
    assert call.bob.statistics().link.resumes == 1


def test_drops_of_those_that_are_gone_stay_in_the_sum() -> None:
    """CC-ERR-019."""
    link = peer()
    endpoint = link.endpoint
    sender = endpoint.open_sender(link.now, reliability=Reliability.LOSSY)
    link.give(data(1, 5, flags=0), data(1, 5, flags=0))  # a duplicate
    endpoint.transport_down(1, link.now)
    endpoint.send(sender, b"while suspended", link.now)
    link.wait(30_000_000)
    endpoint.send(sender, b"after death", link.now)
    assert endpoint.statistics().drops == {"duplicate": 1, "suspended": 1, "link_dead": 1}
    assert endpoint.sender_info(sender).statistics.drops == {"suspended": 1, "link_dead": 1}


def test_lossy_counters() -> None:
    link = peer()
    link.give(data(1, 5, b"abc", flags=0), Ack(0), lane=Lane.LOSSY)  # ACK does not belong there
    link.give(data(1, 6, b"ab", flags=0))
    assert link.endpoint.statistics().drops == {"malformed": 1}
    assert link.endpoint.statistics().bytes_buffered == 512  # each counts as 256: section 7.12
