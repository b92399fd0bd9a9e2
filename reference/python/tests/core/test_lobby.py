# SPDX-License-Identifier: Apache-2.0
"""Unbound transports at the acceptor of a peer-to-peer call (section 9.4)."""

from __future__ import annotations

from typing import Any

import pytest

from callchannel.core import frames as wire
from callchannel.core.endpoint import Endpoint, Peer
from callchannel.core.errors import ErrorCode
from callchannel.core.events import Joined, LinkEnded
from callchannel.core.lanes import Lane
from callchannel.core.limits import MS, Limits
from callchannel.core.link import LinkState
from tests.core.network import SECOND, Wire, acceptor, data, entropy, hello_of_ann


def lobby(**limits: int) -> Wire:
    """An acceptor that waits, and one transport."""
    return Wire(
        Endpoint(
            entropy=entropy(6),
            identity="carol",
            limits=Limits(**limits),
            peer=Peer(initiator=False, identity="ann"),
        )
    )


def refusal(link: Wire) -> int:
    """The code of the BYE that refused the transport, which is closed then."""
    (bye,) = link.take()
    assert isinstance(bye, wire.Bye)
    assert link.transport in link.endpoint.take_closing()
    assert link.take() == []
    return bye.code


def changed(frame: Any, at: int, value: int) -> bytes:
    found = bytearray(frame.encode())
    found[at] = value
    return bytes(found)


def test_a_hello_is_taken() -> None:
    """CC-LINK-022, 023, 026, 027, CC-PEER-002, 007."""
    link = lobby()
    link.give(hello_of_ann(identity="somebody"))
    welcome, roster = link.take()
    assert (welcome.slot, welcome.attempt, welcome.received, welcome.identity) == (1, 1, 0, "ann")
    assert (roster.snapshot, roster.more, roster.epoch) == (True, False, 1)
    assert [(entry.slot, entry.identity) for entry in roster.entries] == [(0, "carol"), (1, "ann")]
    assert len(link.told(Joined)) == 1


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (b"", ErrorCode.PACKET_SIZE),
        (b"\x41\0\0", ErrorCode.FRAME_LENGTH),
        (b"\x08\0\0\4", ErrorCode.UNKNOWN_TYPE),
        (b"\x8a\0\0\4", ErrorCode.HANDSHAKE),
        (wire.Ack(0).encode(), ErrorCode.HANDSHAKE),
        (wire.Welcome(1, bytes(16), 1, 65_536, 32_768, 0, "x").encode(), ErrorCode.HANDSHAKE),
        (b"\x41\0\0\5\0", ErrorCode.FRAME_FORMAT),
        (changed(hello_of_ann(), 4, 0), ErrorCode.HANDSHAKE),
        (changed(hello_of_ann(), 9, 2), ErrorCode.VERSION),
        (changed(hello_of_ann(), 1, 4), ErrorCode.FRAME_FORMAT),
        (hello_of_ann(resume=True).encode(), ErrorCode.RESUME_UNKNOWN),
    ],
)
def test_what_is_refused(packet: bytes, code: int) -> None:
    """CC-LINK-016, 021."""
    link = lobby()
    link.give(packet)
    assert refusal(link) == code
    assert link.endpoint.state is LinkState.CONNECTING
    assert link.events() == []
    link.give(hello_of_ann())  # too late on this transport
    assert link.take() == []
    link.replace(2)
    link.give(hello_of_ann())
    assert link.endpoint.joined


def test_no_hello_in_time() -> None:
    """CC-LINK-020, CC-LIMIT-014."""
    link = lobby(unbound_time=2 * SECOND)
    link.wait(2 * SECOND - 1)
    assert link.take() == []
    link.wait(1)
    assert refusal(link) == ErrorCode.TIMEOUT


def test_bye_instead_of_hello() -> None:
    link = lobby()
    link.give(wire.Bye(ErrorCode.LEFT))
    assert link.endpoint.take_closing() == [1]
    assert link.take() == []
    assert link.endpoint.deadline() is None


def test_a_transport_that_goes_away() -> None:
    link = lobby()
    link.endpoint.transport_down(1, 5)
    assert link.endpoint.deadline() is None
    link.give(hello_of_ann())
    assert not link.endpoint.joined


def test_the_lossy_lane_before_hello() -> None:
    """Row L33."""
    link = lobby()
    link.give(data(flags=0), lane=Lane.LOSSY)
    link.give(b"", lane=Lane.LOSSY)
    link.give(b"\x08\0\0\4", lane=Lane.LOSSY)
    assert link.endpoint.statistics().drops == {"not_active": 1, "malformed": 2}
    assert link.take() == []
    link.give(hello_of_ann())
    assert link.endpoint.joined


def test_the_lossy_lane_may_open_before_hello() -> None:
    link = lobby()
    link.endpoint.lossy_lane(1, False, 0)
    link.endpoint.lossy_lane(9, True, 0)
    link.give(hello_of_ann())
    assert not link.endpoint.link.lossy_open


@pytest.mark.parametrize(
    ("rest", "code"),
    [
        (wire.Ack(0).encode(), ErrorCode.HANDSHAKE),
        (b"\x8a\0\0\4", ErrorCode.HANDSHAKE),
        (hello_of_ann(attempt=2).encode(), ErrorCode.HANDSHAKE),
        (b"\x41\0", ErrorCode.FRAME_LENGTH),
        (b"\x08\0\0\4", ErrorCode.UNKNOWN_TYPE),
    ],
)
def test_a_frame_behind_hello(rest: bytes, code: int) -> None:
    """CC-LINK-019, and steps 3 and 4 before it."""
    link = lobby()
    link.give(hello_of_ann(), rest)
    assert link.told(LinkEnded)[0].code == code
    assert link.take()[-1].code == code


def test_bye_behind_hello() -> None:
    link = lobby()
    link.give(hello_of_ann(), wire.Bye(ErrorCode.LEFT), wire.Ack(77))
    assert [(event.code, event.by_peer) for event in link.told(LinkEnded)] == [(ErrorCode.LEFT, True)]


# --- a second transport ----------------------------------------------------------------------


def test_a_fresh_hello_beside_a_living_link() -> None:
    """CC-PEER-003, CC-LINK-052: whatever its token; REPLACE of another instance as well (CC-LINK-051)."""
    for fields in ({}, {"token": b"J" * 16}, {"token": b"J" * 16, "replace": True}):
        link = acceptor()
        link.replace(2)
        link.give(hello_of_ann(**fields))
        assert refusal(link) == ErrorCode.CALL_FULL
        assert link.endpoint.state is LinkState.ACTIVE


def test_replace_ends_the_ghost_first() -> None:
    """CC-PEER-004, CC-LINK-050, row L17: BYE with REPLACED is written on the old transport."""
    link = acceptor()
    link.give(data(1, 1, b"unread", sender=1))
    link.replace(2)
    link.give(hello_of_ann(replace=True))
    assert 1 in link.endpoint.take_closing()
    assert [type(frame) for frame in link.take()] == [wire.Welcome, wire.Roster]
    link.transport = 1
    assert [frame.code for frame in link.take_of(wire.Bye)] == [ErrorCode.REPLACED]
    kinds = [type(event).__name__ for event in link.events()]
    assert kinds.index("LinkEnded") < kinds.index("Joined", 1)
    assert link.told(LinkEnded)[0].code == ErrorCode.REPLACED
    message = link.endpoint.read(1, link.now)  # CC-LINK-059
    assert message is not None
    assert message.data == b"unread"


def test_a_new_link_after_the_old_one_died() -> None:
    """Section 11.3: new sessions, new numbers, the same two slots."""
    link = acceptor()
    old = link.endpoint.open_sender(link.now)
    link.give(wire.Bye(ErrorCode.LEFT))
    link.replace(2)
    link.give(hello_of_ann(token=b"K" * 16))
    assert link.endpoint.joined
    assert link.endpoint.slot == 0
    sender = link.endpoint.open_sender(link.now)
    assert sender > old
    link.endpoint.send(sender, b"new", link.now)
    (frame,) = link.take_of(wire.Data)
    assert (frame.session, frame.sequence, frame.sender) == (1, 1, 0)


def test_resume() -> None:
    """CC-LINK-014, 028, 047 to 049, rows L19 to L23."""
    link = acceptor()
    token = link.endpoint.link.token
    sender = link.endpoint.open_sender(link.now)
    link.endpoint.send(sender, b"again", link.now)
    first = link.take_of(wire.Data)
    link.replace(2)
    link.give(hello_of_ann(token=token, attempt=2, resume=True, received=1, window=70_000))
    assert link.endpoint.take_closing() == [1]
    welcome, *rest = link.take()
    assert (welcome.attempt, welcome.received, welcome.token, welcome.slot) == (2, 0, token, 1)
    assert rest == [*first, wire.Ack(0)]
    assert link.endpoint.link.peer_window == 262_144


@pytest.mark.parametrize(
    ("fields", "code", "state"),
    [
        ({"token": b"?" * 16, "attempt": 2}, ErrorCode.RESUME_UNKNOWN, LinkState.ACTIVE),
        ({"attempt": 1}, ErrorCode.RESUME_STALE, LinkState.ACTIVE),
        ({"attempt": 1, "received": 99}, ErrorCode.RESUME_STALE, LinkState.ACTIVE),
        ({"attempt": 2, "received": 99}, ErrorCode.RESUME_MISMATCH, LinkState.DEAD),
    ],
)
def test_resume_refused(fields: dict[str, Any], code: int, state: LinkState) -> None:
    """CC-LINK-016 to 018."""
    link = acceptor()
    link.replace(2)
    link.give(hello_of_ann(**{"token": link.endpoint.link.token, "resume": True} | fields))
    assert refusal(link) == code
    assert link.endpoint.state is state
    if state is LinkState.DEAD:
        assert link.told(LinkEnded)[0].code == code
        link.replace(3)
        link.give(hello_of_ann(token=link.endpoint.link.token, attempt=9, resume=True))
        assert refusal(link) == ErrorCode.RESUME_UNKNOWN


def test_who_left_is_not_joined_again() -> None:
    link = acceptor()
    link.replace(2)
    link.endpoint.leave(link.now)
    link.wait(MS)
    link.give(wire.Bye(ErrorCode.LEFT))
    link.replace(3)
    link.give(hello_of_ann())
    assert link.take()[-1].code == ErrorCode.NOT_ADMITTED  # CC-PEER-003


def test_leaving_refuses_who_waits() -> None:
    link = lobby()
    link.endpoint.leave(0)
    assert refusal(link) == ErrorCode.LEFT
    assert [event.code for event in link.told(LinkEnded)] == [ErrorCode.NONE]
