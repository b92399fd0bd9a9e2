# SPDX-License-Identifier: Apache-2.0
"""Step 9 of the validation order: who may name whom (section 9.13), each row with what is legal and what is SLOT."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from callchannel.core import frames as wire
from callchannel.core.errors import ErrorCode
from callchannel.core.lanes import Lane
from callchannel.core.relay import Admission, Relay
from tests.core.scripted import (
    SECOND,
    Script,
    accepted,
    counter_entropy,
    data,
    hello,
    in_group,
    leave,
    lossy,
    with_peer,
)
from tools.spec import load_spec

NOBODY = 0xFFFF
FREE = 9
"""A slot that nobody has, or ever had."""

Make = Callable[[int, int], Any]
"""A frame with a sender's and a recipient's slot."""


def group() -> Script:
    """A group call as its endpoint in slot 2 sees it: 0 and 1 are there, 3 has left and is draining."""
    script = in_group()
    script.give(wire.Roster(5, (leave(3),)))
    return own_session(script)


def peer() -> Script:
    return own_session(with_peer())


def peer_acceptor() -> Script:
    return own_session(accepted())


def own_session(script: Script) -> Script:
    """The reader has a session of its own, 1, with a message that is written."""
    sender = script.machine.open_sender(script.now)
    script.machine.send(sender, b"hi", script.now)
    script.pull()
    return script


def relay() -> Script:
    """A relay, read by the endpoint in slot 0; 1 is there and sends, 2 is in quarantine, and 3 has just joined."""
    script = Script(Relay(entropy=counter_entropy()), admission=Admission(identity="ann"))
    transports = {}
    for name in ("ann", "bob", "carol"):
        script.up(admission=Admission(identity=name))
        transports[name] = script.transport
        script.give(hello(token=name.encode().ljust(16), identity=name))
        script.wait(SECOND, alive=False)
    for name, slot in (("bob", 1), ("carol", 2)):
        script.give(data(1, 1, sender=slot), transport=transports[name])
    script.give(wire.Bye(ErrorCode.LEFT), transport=transports["carol"])
    script.wait(SECOND, alive=False)
    script.transport = transports["ann"]
    script.pull()
    return script


def dead(script: Script) -> int | None:
    """The code with which the reader ends the link, if it does."""
    return next((frame.code for frame in script.pull() if isinstance(frame, wire.Bye)), None)


def frame_data(sender: int, recipient: int) -> wire.Data:
    return data(1, 5, sender=sender)


def frame_lossy(sender: int, recipient: int) -> wire.Data:
    return lossy(3, 5, sender=sender, channel=8)


def control(kind: Any, **fields: Any) -> Make:
    return lambda sender, recipient: kind(sender, recipient, 1, 1, **fields)


CLOSE = control(wire.Close)
RECEIPT = control(wire.Receipt)
CREDIT = control(wire.Credit)
FAIL = control(wire.Fail, reason=ErrorCode.CLOSED)
REFUSE = control(wire.Refuse, reason=ErrorCode.POLICY)


@dataclass(frozen=True)
class Naming:
    """Frames, a reader, and the pairs of slots that its writer may and may not put in them."""

    frame: str
    writer: str
    reader: Callable[[], Script]
    makes: tuple[Make, ...]
    legal: Iterable[tuple[int, int]]
    illegal: Iterable[tuple[int, int]]


TO_OWNER = "RECEIPT, FAIL to the owner"
RECEIVES = "RECEIPT, CREDIT, FAIL"
NAMINGS = (
    Naming("DATA", "an endpoint", relay, (frame_data,), [(0, 0)], [(1, 0), (2, 0), (FREE, 0)]),
    Naming("DATA", "an endpoint", peer, (frame_data,), [(0, 0)], [(1, 0), (2, 0)]),
    Naming("DATA", "an endpoint", peer_acceptor, (frame_data,), [(1, 0)], [(0, 0), (2, 0)]),
    Naming("DATA", "a relay", group, (frame_data,), [(0, 0), (1, 0), (3, 0)], [(2, 0), (FREE, 0)]),
    Naming("CLOSE", "an endpoint", relay, (CLOSE,), [(0, NOBODY)], [(0, 0), (0, 1), (1, NOBODY), (FREE, NOBODY)]),
    Naming("CLOSE", "an endpoint", peer, (CLOSE,), [(0, NOBODY)], [(0, 0), (0, 1), (1, NOBODY), (FREE, NOBODY)]),
    Naming("CLOSE", "an endpoint", peer_acceptor, (CLOSE,), [(1, NOBODY)], [(1, 0), (1, 1), (0, NOBODY)]),
    Naming(
        "CLOSE", "a relay", group, (CLOSE,), [(0, NOBODY), (3, NOBODY)], [(0, 2), (0, 1), (2, NOBODY), (FREE, NOBODY)]
    ),
    Naming(
        RECEIVES,
        "an endpoint that receives",
        relay,
        (RECEIPT, CREDIT, FAIL),
        [(1, 0), (2, 0)],
        [(1, 1), (1, NOBODY), (0, 0), (0, 1), (FREE, 0), (1, FREE)],
    ),
    Naming(
        RECEIVES,
        "an endpoint that receives",
        peer,
        (RECEIPT, CREDIT, FAIL),
        [(1, 0)],
        [(1, 1), (1, NOBODY), (0, 0), (0, 1), (FREE, 0), (1, FREE)],
    ),
    Naming(
        RECEIVES,
        "an endpoint that receives",
        peer_acceptor,
        (RECEIPT, CREDIT, FAIL),
        [(0, 1)],
        [(0, 0), (0, NOBODY), (1, 0), (1, 1), (FREE, 1), (0, FREE)],
    ),
    Naming(
        "FAIL to a recipient",
        "a relay",
        group,
        (FAIL,),
        [(0, 2), (1, 2), (3, 2)],
        [(0, 1), (0, NOBODY), (3, 0), (FREE, 2)],
    ),
    Naming(TO_OWNER, "a relay", group, (RECEIPT, FAIL), [(2, 0), (2, 3), (2, NOBODY)], [(2, 2), (2, FREE)]),
    Naming(TO_OWNER, "a relay", group, (RECEIPT,), [], [(0, 2), (0, NOBODY), (FREE, 0)]),
    Naming(
        "CREDIT, REFUSE to the owner",
        "a relay",
        group,
        (CREDIT, REFUSE),
        [(2, NOBODY)],
        [(2, 0), (2, 2), (2, FREE), (0, NOBODY), (0, 2), (FREE, NOBODY)],
    ),
)


def cases(field: str) -> list[Any]:
    return [
        pytest.param(naming.reader, make, slots, id=f"{naming.frame}-{naming.reader.__name__}-{index}-{slots}")
        for naming in NAMINGS
        for index, make in enumerate(naming.makes)
        for slots in getattr(naming, field)
    ]


@pytest.mark.parametrize(("reader", "make", "slots"), cases("legal"))
def test_legal(reader: Callable[[], Script], make: Make, slots: tuple[int, int]) -> None:
    script = reader()
    script.give(make(*slots))
    assert dead(script) is None


@pytest.mark.parametrize(("reader", "make", "slots"), cases("illegal"))
def test_slot(reader: Callable[[], Script], make: Make, slots: tuple[int, int]) -> None:
    script = reader()
    script.give(make(*slots))
    assert dead(script) == ErrorCode.SLOT


def test_each_row_of_the_text_is_tried() -> None:
    (table,) = load_spec().tables("09-link", "Step 9: who may name whom")
    assert {(row[0], row[1]) for row in table.rows} == {(naming.frame, naming.writer) for naming in NAMINGS}
    for row in table.rows:
        tried = [naming for naming in NAMINGS if (naming.frame, naming.writer) == (row[0], row[1])]
        assert any(naming.legal for naming in tried)
        assert any(naming.illegal for naming in tried)


@pytest.mark.parametrize("lane", list(Lane))
def test_unknown_lossy_sender_is_dropped_alone(lane: Lane) -> None:
    """The exception of step 9 (CC-ROSTER-012): the rest of the packet is taken."""
    script = group()
    script.give(frame_lossy(FREE, 0), frame_lossy(0, 0), lane=lane)
    assert dead(script) is None
    statistics = script.machine.statistics()
    assert (statistics.drops["unknown_sender"], statistics.receivers_open) == (1, 1)


@pytest.mark.parametrize(("reader", "sender"), [(group, 2), (peer, 1), (peer_acceptor, 0), (relay, 1)])
def test_lossy_of_a_slot_that_is_never_right(reader: Callable[[], Script], sender: int) -> None:
    """A slot that can't be the sender's: it ends the link on the reliable lane, and not on the lossy one."""
    script = reader()
    script.give(frame_lossy(sender, 0))
    assert dead(script) == ErrorCode.SLOT
    script = reader()
    before = script.machine.statistics().drops.get("malformed", 0)
    script.give(frame_lossy(sender, 0), lane=Lane.LOSSY)
    assert dead(script) is None
    assert script.machine.statistics().drops["malformed"] == before + 1
