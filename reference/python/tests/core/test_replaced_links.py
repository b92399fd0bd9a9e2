# SPDX-License-Identifier: Apache-2.0
"""What is unread outlives the links of a peer-to-peer acceptor, however often its peer comes anew (CC-LINK-059)."""

from __future__ import annotations

from callchannel.core import frames as wire
from callchannel.core.events import ReceiverClosed, ReceiverCreated
from tests.core.scripted import Script, accepted, data, hello, lossy

MIB = 1 << 20
LINK_LOST = 0x17


def come_anew(script: Script, instance: int) -> None:
    """The same peer begins another link in place of the one that lives."""
    script.up()
    script.give(hello(replace=True))
    script.pull()


def test_unread_messages_of_all_earlier_links_stay() -> None:
    """CC-LINK-059, CC-PEER-004: three links, unread messages in each."""
    script = accepted()
    for round_ in range(3):
        script.give(data(1, 1, b"%d" % round_, sender=1), data(2, 5, b"x", sender=1, channel=8))
        script.give(lossy(3, 1, b"lossy %d" % round_, sender=1, channel=9))
        if round_ < 2:
            come_anew(script, round_)
    receivers = [event.receiver for event in script.of(ReceiverCreated)]
    assert receivers == list(range(1, 10))
    machine = script.machine
    assert machine.statistics().receivers_open == 9
    found = [machine.read(receiver, script.now) for receiver in receivers]
    assert [message.data for message in found] == [
        part for round_ in (b"0", b"1", b"2") for part in (round_, b"x", b"lossy " + round_)
    ]
    closed = {event.receiver: event.code for event in script.of(ReceiverClosed)}
    assert closed == dict.fromkeys(range(1, 7), LINK_LOST)
    assert machine.statistics().bytes_buffered == 0


def test_sessions_of_an_earlier_link_are_others() -> None:
    """The numbers of sessions begin anew; CREDIT and RECEIPT are for the present link's."""
    script = accepted()
    script.give(data(1, 1, b"old", sender=1, flags=wire.RELIABLE))
    come_anew(script, 1)
    script.give(data(1, 1, b"new", sender=1))
    first, second = (event.receiver for event in script.of(ReceiverCreated))
    assert script.machine.read(first, script.now).data == b"old"
    assert script.machine.read(second, script.now).data == b"new"
    assert script.pull() == []
    assert script.machine.receiver_info(second).sender.identity == "ann"


def test_memory_is_one_for_all_links() -> None:
    """CC-DELIV-059: what is unread of an earlier link counts, and pays where it holds the most."""
    script = accepted(receive_memory=MIB, window=MIB, largest_message=MIB)
    part = bytes(16_000)
    for sequence in range(1, 51):
        script.give(data(1, sequence, part, sender=1))
    come_anew(script, 1)
    for sequence in range(1, 31):
        script.give(data(1, sequence, part, sender=1))
    first, second = (event.receiver for event in script.of(ReceiverCreated))
    assert [(event.receiver, event.code) for event in script.of(ReceiverClosed)] == [(first, 0x25)]
    assert script.machine.receiver_info(second).statistics.messages_unread == 30
    assert script.machine.statistics().bytes_buffered == 30 * 16_000
    assert script.pull() == [wire.Ack(30)], "no FAIL: the earlier link is dead"


def test_what_was_dropped_is_still_counted() -> None:
    script = accepted(lossy_partial_messages=8)
    script.give(lossy(1, 1, b"a", sender=1), lossy(1, 1, b"a", sender=1))
    come_anew(script, 1)
    assert script.machine.statistics().drops == {"duplicate": 1}
    script.give(lossy(1, 1, b"a", sender=1), lossy(1, 1, b"a", sender=1))
    assert script.machine.statistics().drops == {"duplicate": 2}
    for event in script.of(ReceiverCreated):
        script.machine.close_receiver(event.receiver, script.now)
    assert script.machine.statistics().drops == {"duplicate": 2, "closed": 2}


def test_each_link_that_was_replaced_says_bye() -> None:
    """CC-LINK-053: also where the next HELLO comes before anything was written."""
    script = accepted()
    transports = [script.transport]
    for _ in range(2):
        script.up()
        transports.append(script.transport)
        script.give(hello(replace=True))
    for transport in transports[:2]:
        found = script.pull(transport=transport)
        assert [(type(frame), frame.code) for frame in found if isinstance(frame, wire.Bye)] == [(wire.Bye, 0x14)]
