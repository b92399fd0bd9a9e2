# SPDX-License-Identifier: Apache-2.0
"""Calls of a server: when they begin, when they end, and how they stop."""

import asyncio
import logging
from typing import Any

import pytest

from callchannel.aio.memory import memory_pair
from callchannel.core.errors import ErrorCode
from callchannel.core.frames import FrameType
from callchannel.core.lanes import Lane
from callchannel.core.limits import Limits
from callchannel.core.relay import Admission, Relay
from callchannel.server import rooms as rooms_module
from callchannel.server.rooms import Room, RoomClosed, Rooms


def relay() -> Relay:
    return Relay(entropy=bytes)


class Obstinate(Relay):
    """A relay that never stops."""

    def stop(self, now: int) -> None:
        """Not this one."""


async def test_a_call_begins_with_its_first_connection_and_outlives_the_last_by_some_time() -> None:
    rooms = Rooms(Limits(), 3_600.0)
    removed: list[str] = []
    rooms.on_removed = lambda room: removed.append(room.name)
    assert rooms.get("a") is None
    room = rooms.enter("a")
    assert rooms.get("a") is room is rooms.enter("a")
    room.left()
    assert not rooms._timers
    room.left()
    assert room.is_empty and list(rooms._timers) == ["a"]
    # Somebody comes in time.
    assert rooms.enter("a") is room
    assert not rooms._timers
    room.left()
    rooms._timers["a"].cancel()
    rooms._remove(room)
    assert removed == ["a"] and len(rooms) == 0
    assert rooms.enter("a") is not room
    await rooms.stop()
    assert removed == ["a", "a"] and len(rooms) == 0


async def test_a_call_that_has_ended_takes_nobody() -> None:
    rooms = Rooms(Limits(), 0.0)
    room = rooms.enter("a")
    await rooms.stop()
    with pytest.raises(RoomClosed):
        room.attach(memory_pair()[0], Admission(identity="anna"))


async def test_a_relay_that_does_not_stop_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rooms_module, "STOP_GRACE", 0.0)
    rooms = Rooms(Limits(relay_drain_time=0), 0.0, lambda: Obstinate(entropy=bytes))
    rooms.enter("a")
    await rooms.stop()
    assert "call did not stop in time" in caplog.text


async def test_an_exception_of_one_relay_does_not_keep_the_others_from_stopping() -> None:
    class Broken(Relay):
        def stop(self, now: int) -> None:
            raise RuntimeError("a bug")

    machines: list[Any] = [Broken(entropy=bytes), relay()]
    rooms = Rooms(Limits(), 0.0, machines.pop)
    second, first = rooms.enter("second"), rooms.enter("first")
    with pytest.raises(RuntimeError, match="a bug"):
        await rooms.stop()
    assert second.is_closed and len(rooms) == 0
    await first.close()


async def test_a_room_logs_who_comes_and_goes_in_fields_of_their_own(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    room = Room("a", relay(), 0.0, lambda room: None)
    participant = rooms_module.Participant(identity="anna\n", slot=3)
    for kind in (rooms_module.EndpointJoined, rooms_module.EndpointSuspended, rooms_module.EndpointResumed):
        room._on_event(kind(participant=participant))
        assert room.suspended == ({3} if kind is rooms_module.EndpointSuspended else set())
    room._on_event(rooms_module.EndpointLeft(participant=participant, code=ErrorCode.LOST))
    assert [record.message for record in caplog.records] == [
        "endpoint joined",
        "endpoint suspended",
        "endpoint resumed",
        "endpoint left",
    ]
    assert caplog.records[-1].__dict__["callchannel"] == {
        "call": "a",
        "identity": "anna\n",
        "slot": 3,
        "reason": "LOST",
    }
    await room.close()


async def test_a_room_logs_a_bug_without_what_it_says(caplog: pytest.LogCaptureFixture) -> None:
    """CC-SEC-021, CC-SEC-022: an exception can hold a payload."""
    room = Room("a", relay(), 0.0, lambda room: None)
    room._on_event(rooms_module.InternalError(error=ValueError("secret")))
    assert [record.message for record in caplog.records] == ["a bug ended a link with INTERNAL"]
    assert caplog.records[-1].__dict__["callchannel"] == {"call": "a", "error": "ValueError"}
    await room.close()


def test_a_transport_without_hello_is_turned_away_in_time() -> None:
    # CC-LINK-020, in virtual time
    machine = relay()
    machine.transport_up(1, 1_000, admission=Admission(identity="anna"))
    deadline = machine.deadline()
    assert deadline == 1_000 + Limits().unbound_time
    machine.handle_timeout(deadline - 1)
    assert machine.pull(1, Lane.RELIABLE, 65_536, deadline - 1) == [] and machine.take_closing() == []
    machine.handle_timeout(deadline)
    (packet,) = machine.pull(1, Lane.RELIABLE, 65_536, deadline)
    assert packet[0] == FrameType.BYE and int.from_bytes(packet[4:6], "big") == ErrorCode.TIMEOUT
    assert machine.take_closing() == [1]


async def test_stopping_is_bounded_also_where_a_call_hangs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rooms_module, "STOP_GRACE", 0.0)
    monkeypatch.setattr(rooms_module, "DRAIN_TIME", 0.0)
    rooms = Rooms(Limits(relay_drain_time=0), 0.0, relay)
    room = rooms.enter("a")

    async def hang() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(room, "stop", hang)
    await rooms.stop()
    assert "not all calls stopped in time" in caplog.text
    await room.close()
