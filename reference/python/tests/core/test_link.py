# SPDX-License-Identifier: Apache-2.0
"""A link: joining, counting, suspension and resumption (chapter 9). Its state table is driven elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from callchannel.core import frames as wire
from callchannel.core.decoding import decode_packet
from callchannel.core.endpoint import Endpoint
from callchannel.core.errors import ErrorCode
from callchannel.core.events import Joined, Resumed, Suspended
from callchannel.core.lanes import Lane
from callchannel.core.limits import MS, SILENCE, Limits
from callchannel.core.link import LinkState
from callchannel.core.messages import Reliability
from tests.core.links import ended, resumed
from tests.core.network import GROUP, SECOND, Wire, data, entropy, group, joins, peer


def connecting(**limits: int) -> tuple[Wire, wire.Hello]:
    """An initiator that has written its HELLO."""
    link = Wire(Endpoint(entropy=entropy(8), identity="carol", limits=Limits(**limits), replace=True))
    (hello,) = link.take()
    return link, hello


# --- joining ---------------------------------------------------------------------------------


def test_hello_and_welcome() -> None:
    """CC-LINK-007, 009, CC-ROSTER-016."""
    link, hello = connecting(window=100_000, largest_message=50_000)
    assert (hello.attempt, hello.received, hello.identity, hello.replace) == (1, 0, "carol", True)
    assert (hello.window, hello.largest_message) == (100_000, 50_000)
    assert len(set(hello.token)) > 4
    link.give(link.welcome(hello, slot=2, identity="admitted", largest_message=40_000))
    assert link.endpoint.state is LinkState.ACTIVE
    assert not link.endpoint.joined
    assert link.endpoint.slot is None
    link.give(wire.Roster(4, joins(*GROUP), snapshot=True))
    assert link.told(Joined)[0].identity == link.endpoint.identity == "admitted"
    assert link.endpoint.max_message_size(Reliability.RELIABLE) == 40_000
    assert link.endpoint.max_message_size(Reliability.LOSSY) == 40_000


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"attempt": 2}, ErrorCode.HANDSHAKE),
        ({"received": 1}, ErrorCode.HANDSHAKE),
        ({"version": 2}, ErrorCode.VERSION),
        ({"window": 1}, ErrorCode.FRAME_FORMAT),
    ],
)
def test_a_welcome_that_does_not_fit(fields: dict[str, Any], code: int) -> None:
    """CC-LINK-030, 031, rows L26, L27."""
    link, hello = connecting()
    link.give(link.welcome(hello, slot=2, **fields))
    assert ended(link) == code
    assert [frame.code for frame in link.take()] == [code]
    assert link.endpoint.take_closing() == [1]


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (wire.Ack(0).encode(), ErrorCode.HANDSHAKE),
        (b"\xca\0\0\4", ErrorCode.HANDSHAKE),
        (b"\x08\0\0\4", ErrorCode.UNKNOWN_TYPE),
        (wire.Bye(ErrorCode.CALL_FULL).encode(), ErrorCode.CALL_FULL),
        (b"", ErrorCode.PACKET_SIZE),
    ],
)
def test_other_frames_before_welcome(packet: bytes, code: int) -> None:
    link, _ = connecting()
    link.give(packet)
    assert ended(link) == code


def test_a_second_welcome_or_a_hello() -> None:
    """Rows L24, L25."""
    for late in (True, False):
        link = group()
        hello = wire.Hello(bytes(16), 1, 65_536, 32_768)
        link.give(link.welcome(hello, slot=2) if late else hello)
        assert ended(link) == ErrorCode.HANDSHAKE


def test_the_lossy_lane_before_welcome() -> None:
    """Row L33."""
    link, _ = connecting()
    link.give(data(flags=0), lane=Lane.LOSSY)
    link.give(bytes(2_000), lane=Lane.LOSSY)
    assert link.endpoint.statistics().drops == {"not_active": 1, "malformed": 1}
    assert ended(link) is None


def test_no_welcome_in_time() -> None:
    """CC-LINK-032, row L12."""
    link, _ = connecting(join_time=3 * SECOND)
    link.wait(3 * SECOND - 1)
    assert ended(link) is None
    link.wait(1)
    assert ended(link) == ErrorCode.TIMEOUT
    assert [frame.code for frame in link.take()] == [ErrorCode.TIMEOUT]


def test_silence_while_connecting() -> None:
    """Row L09: where joining may take longer than silence."""
    link, _ = connecting(join_time=60 * SECOND)
    link.wait(SILENCE)
    assert ended(link) == ErrorCode.TIMEOUT


def test_transports_while_connecting() -> None:
    """Rows L01, L02, L05."""
    link, _ = connecting()
    link.endpoint.transport_up(7, link.now)
    assert link.endpoint.take_closing() == [7]
    link.endpoint.transport_down(1, link.now)
    assert ended(link) == ErrorCode.LINK_LOST
    link.endpoint.transport_up(8, link.now)
    assert link.endpoint.take_closing() == [1, 8]


def test_hello_that_nobody_pulled_goes_before_bye() -> None:
    link = Wire(Endpoint(entropy=entropy(8)))
    link.endpoint.leave(0)
    assert [type(frame) for frame in link.take()] == [wire.Hello, wire.Bye]


# --- counting --------------------------------------------------------------------------------


def test_an_ack_is_due_after_16_frames_or_25_ms() -> None:
    """CC-LINK-036, 038."""
    link = group(limits=Limits(ack_delay=25 * MS))
    for number in range(1, 16):
        link.give(data(1, number))
    assert link.take() == []
    link.give(data(1, 16))
    assert link.take() == [wire.Ack(17)]
    link.give(data(1, 17))
    link.wait(25 * MS - 1)
    assert link.take() == []
    link.wait(1)
    assert link.take() == [wire.Ack(18)]


def test_an_ack_that_is_not_due_goes_along_with_data() -> None:
    """CC-SCHED-015: before the data frames, where there is room, and where frames have arrived since the last ACK."""
    link = group()
    sender = link.endpoint.open_sender(link.now)
    link.endpoint.send(sender, b"1", link.now)
    assert [type(frame) for frame in link.take()] == [wire.Data]
    link.give(data(1, 1))
    link.endpoint.send(sender, b"2", link.now)
    (packet,) = link.packets()
    ack, written = decode_packet(packet)
    assert ack == wire.Ack(2) and isinstance(written, wire.Data) and written.payload == b"2"
    link.wait(25 * MS)
    assert link.take() == []  # it is not written again
    link.give(data(1, 2))
    room = link.endpoint.limits.bundle - wire.DATA_HEADER
    link.endpoint.send(sender, bytes(room - 11), link.now)
    assert [type(frame) for frame in link.take()] == [wire.Data]
    link.endpoint.send(sender, bytes(room - 12), link.now)
    assert [type(frame) for frame in link.take()] == [wire.Ack, wire.Data]


def test_an_ack_keeps_the_link_alive() -> None:
    """CC-LINK-037."""
    link = group()
    link.wait(5 * SECOND - 1)
    assert link.take() == []
    link.wait(1)
    assert link.take() == [wire.Ack(1)]


def test_uncounted_frames() -> None:
    """CC-FRAME-097, 098."""
    link = group()
    link.give(data(flags=0), wire.Unknown(0xCA), wire.Ack(0), wire.Unknown(0x8A, 3, b"x"))
    link.give(wire.Unknown(0x8A), wire.Unknown(0xFF), lane=Lane.LOSSY)
    link.wait(25 * MS)
    assert link.take() == [wire.Ack(2)]  # the roster and type 8A


@pytest.mark.parametrize("count", [1, 5])
def test_an_impossible_ack(count: int) -> None:
    """CC-LINK-039."""
    link = group()
    link.give(wire.Ack(count))
    assert ended(link) == ErrorCode.PROTOCOL


def test_unacknowledged_holds_data_up_and_nothing_else() -> None:
    """CC-LINK-035, CC-SCHED-014."""
    link = group(limits=Limits(unacknowledged=65_536))
    endpoint = link.endpoint
    sender, other = endpoint.open_sender(link.now), endpoint.open_sender(link.now)
    endpoint.send(sender, bytes(100_000), link.now)
    endpoint.send(other, b"waits, too", link.now)
    written = link.take_of(wire.Data)
    assert 65_536 <= sum(len(frame.encode()) for frame in written) < 65_536 + 16_384
    lossy = endpoint.open_sender(link.now, reliability=Reliability.LOSSY)
    endpoint.send(lossy, b"goes", link.now)
    assert len(link.take_of(wire.Data, Lane.LOSSY)) == 1
    link.wait(5 * SECOND)
    assert wire.Ack(1) in link.take()
    link.ack()
    assert sum(len(frame.payload) for frame in written + link.take_of(wire.Data)) == 100_010


def test_control_frames_have_a_rate() -> None:
    """CC-LIMIT-016, RATE: 2,000 at once, 2 more for each DATA frame written before or since, 1,000 a second."""
    link = peer()
    endpoint = link.endpoint
    sender = endpoint.open_sender(link.now)
    for _ in range(3):
        endpoint.send(sender, b"x", link.now)
    link.take()
    credit = wire.Credit(1, 0, 99, 5)
    for _ in range(2_005):
        link.give(credit)
    for _ in range(2):
        endpoint.send(sender, b"x", link.now)
    link.take()
    link.give(*[credit] * 5)
    assert ended(link) is None
    link.wait(MS)
    link.give(credit)
    assert ended(link) is None
    link.give(credit)
    assert ended(link) == ErrorCode.RATE


def test_a_relay_is_not_held_to_the_rate_of_control_frames() -> None:
    """CC-LIMIT-022: what it writes, others have caused."""
    link = group()
    for _ in range(9):
        link.give(*[wire.Close(0, 0xFFFF, 99, 5)] * 700)
    assert ended(link) is None


def test_resume_over_a_new_network() -> None:
    """CC-LINK-011 to 015, 046, row L02."""
    link = group()
    hello = resumed(link)
    assert (hello.resume, hello.token, hello.attempt, hello.received) == (True, b"T" * 16, 2, 1)
    assert (hello.identity, hello.window, hello.replace) == ("carol", 262_144, False)
    assert link.endpoint.take_closing() == [1]
    assert (len(link.told(Suspended)), len(link.told(Resumed))) == (1, 1)
    link.give(b"")  # still on transport 2
    assert ended(link) == ErrorCode.PACKET_SIZE


def test_what_was_not_received_is_written_again() -> None:
    """CC-LINK-048, CC-SCHED-008."""
    link = group()
    endpoint = link.endpoint
    sender = endpoint.open_sender(link.now)
    endpoint.send(sender, b"one", link.now)
    endpoint.send(sender, b"two", link.now)
    first = link.take_of(wire.Data)
    endpoint.transport_down(1, link.now)
    endpoint.send(sender, b"three", link.now)
    link.wait(SECOND)
    resumed(link, received=1)
    again = link.take()
    assert again[0] == first[1]
    assert [frame.payload for frame in again if isinstance(frame, wire.Data)] == [b"two", b"three"]
    assert wire.Ack(1) in again  # CC-LINK-049: each side owes one


def test_a_large_retransmission_takes_several_packets() -> None:
    link = group()
    sender = link.endpoint.open_sender(link.now)
    link.endpoint.send(sender, bytes(200_000), link.now)
    first = link.take_of(wire.Data)
    resumed(link, received=0)
    assert link.take_of(wire.Data) == first
    assert link.endpoint.statistics().link.frames_retransmitted == len(first)


@pytest.mark.parametrize(
    "fields",
    [{"attempt": 1}, {"token": b"?" * 16}, {"slot": 3}, {"received": 1}],
)
def test_a_welcome_to_a_resume_that_does_not_fit(fields: dict[str, Any]) -> None:
    """CC-LINK-031."""
    link = group()
    link.endpoint.transport_down(1, link.now)
    resumed(link, **fields)
    assert ended(link) == ErrorCode.RESUME_MISMATCH


def test_the_resume_window_runs_until_the_link_is_active() -> None:
    """CC-LINK-043, 044: another transport that fails does not prolong it."""
    link = group()
    link.endpoint.transport_down(1, link.now)
    link.wait(20 * SECOND)
    link.replace(2)
    assert link.endpoint.state is LinkState.RESUMING
    link.wait(5 * SECOND)
    link.replace(3)
    link.wait(SECOND)
    link.endpoint.transport_down(3, link.now)
    assert link.endpoint.state is LinkState.SUSPENDED
    assert len(link.told(Suspended)) == 1
    link.wait(4 * SECOND - 1)
    assert ended(link) is None
    link.wait(1)
    assert ended(link) == ErrorCode.LINK_LOST


def test_the_resume_window_ends_while_resuming() -> None:
    """Row L14."""
    link = group()
    link.endpoint.transport_down(1, link.now)
    link.wait(20 * SECOND)
    link.replace(2)
    link.take()
    link.wait(10 * SECOND)
    assert ended(link) == ErrorCode.LINK_LOST
    assert [frame.code for frame in link.take_of(wire.Bye)] == [ErrorCode.LINK_LOST]


def test_a_hello_that_came_too_late_is_tried_again() -> None:
    """Row L51: the acceptor has refused a transport without HELLO; its link lives, and so does this one."""
    link = group()
    link.endpoint.transport_down(1, link.now)
    link.replace(2)
    link.take()
    link.give(wire.Bye(ErrorCode.TIMEOUT, "no HELLO in time"))
    assert (ended(link), link.endpoint.state) == (None, LinkState.SUSPENDED)
    assert link.endpoint.take_closing()[-1] == 2
    link.replace(3)
    assert [frame.attempt for frame in link.take_of(wire.Hello)] == [3]
    link.give(wire.Bye(ErrorCode.INTERNAL, "a bug"))
    assert ended(link) == ErrorCode.INTERNAL


def test_silence_suspends() -> None:
    """CC-LINK-040: each packet counts, a faulty one on the lossy lane as well."""
    link = group()
    link.wait(10 * SECOND)
    link.give(b"", lane=Lane.LOSSY)
    link.wait(SILENCE - 1)
    assert link.endpoint.state is LinkState.ACTIVE
    link.wait(1)
    assert link.endpoint.state is LinkState.SUSPENDED
    assert link.endpoint.take_closing() == [1]
    link.replace(2)
    link.wait(SILENCE)  # row L09: silence while resuming
    assert link.endpoint.state is LinkState.SUSPENDED
    assert len(link.told(Suspended)) == 1


def test_without_a_resume_window() -> None:
    """CC-LINK-045, rows L03, L07, L11."""
    link = group(resume_ms=0)
    link.endpoint.transport_up(9, link.now)
    assert link.endpoint.take_closing() == [9]
    link.endpoint.transport_down(9, link.now)
    link.endpoint.transport_down(1, link.now)
    assert ended(link) == ErrorCode.LINK_LOST
    link = group(resume_ms=0)
    link.wait(SILENCE)
    assert ended(link) == ErrorCode.TIMEOUT
    assert link.take()[-1].code == ErrorCode.TIMEOUT


def test_a_detached_transport_is_not_heard() -> None:
    """CC-LINK-006, row L34."""
    link = group()
    resumed(link)
    endpoint = link.endpoint
    endpoint.receive(1, Lane.RELIABLE, b"", link.now)
    endpoint.receive(1, Lane.LOSSY, b"", link.now)
    endpoint.lossy_lane(1, False, link.now)
    endpoint.transport_down(1, link.now)
    assert endpoint.state is LinkState.ACTIVE
    assert endpoint.link.lossy_open
    assert endpoint.pull(1, Lane.RELIABLE, 1_000, link.now) == []
