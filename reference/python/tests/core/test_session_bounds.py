# SPDX-License-Identifier: Apache-2.0
"""How many sessions and FAILs a receiver keeps, whatever its peer does (CC-SESS-069 to 071)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from callchannel.core import frames as wire
from callchannel.core.events import LinkEnded, ReceiverCreated
from callchannel.core.limits import MS
from callchannel.core.receivers import SESSION_COST
from callchannel.core.recipients import NO_SLOT
from tests.core.scripted import Script, accepted, control, data, in_group, lossy, with_peer

MIB = 1 << 20
MOST = MIB // SESSION_COST
"""Sessions, dead sessions and FAILs that an endpoint with the least memory keeps of each."""
MEMORY = 0x25
TOO_MANY = 0x23


def least(start: Callable[..., Script], **limits: int) -> Script:
    """An endpoint with the least memory."""
    return start(receive_memory=MIB, window=65_536, largest_message=32_768, **limits)


def owner_of(script: Script) -> int:
    """The slot of the endpoint that floods."""
    return 1 if script.machine.slot == 0 else 0


def flood(script: Script, count: int, make: Callable[[int], list[Any]], *, first: int = 1) -> None:
    """Frames of many sessions, in packets, from an owner that reads and acknowledges all."""
    for start in range(first, first + count, 200):
        for number in range(start, min(start + 200, first + count)):
            for frame in make(number):
                script.give(frame)
        script.pull()
        script.ack()


def reliable(script: Script, number: int, **fields: Any) -> wire.Data:
    return data(number, 1, b"", sender=owner_of(script), channel=number % 60_000 + 1, **fields)


@pytest.mark.parametrize("start", [with_peer, accepted, in_group])
def test_sessions_that_are_closed_and_never_read(start: Callable[..., Script], measured: Callable[[], int]) -> None:
    """CC-SESS-069: unread messages, even empty ones, do not let sessions pile up."""
    script = least(start)
    slot = owner_of(script)

    def opened_and_closed(number: int) -> list[Any]:
        script.now += 2 * MS  # within `control_frames`
        return [reliable(script, number), wire.Close(slot, NO_SLOT, number, 1)]

    flood(script, 3 * MOST, opened_and_closed)
    assert script.machine.statistics().receivers_open == MOST
    assert script.machine.state.value == "ACTIVE"
    created = script.of(ReceiverCreated)
    assert len(created) == MOST
    script.log.clear()
    assert measured() < 4 * MIB
    for event in created:  # what was taken is there, and makes room when it is read
        assert script.machine.read(event.receiver, script.now).data == b""
    flood(script, 1, opened_and_closed, first=5 * MOST)
    assert script.machine.statistics().receivers_open == 1


@pytest.mark.parametrize("start", [with_peer, accepted])
def test_dead_sessions_of_a_peer_are_forgotten(start: Callable[..., Script], measured: Callable[[], int]) -> None:
    """CC-SESS-070: between peers the oldest goes; its number still tells that it is over (CC-SESS-060)."""
    script = least(start, open_sessions=16)
    flood(script, 16, lambda number: [reliable(script, number)])
    fails = []
    for number in range(17, 17 + 5 * MOST):
        script.give(reliable(script, number))
        fails += [frame for frame in script.pull() if isinstance(frame, wire.Fail)]
        script.ack()
    assert [(frame.session, frame.reason) for frame in fails] == [(n, TOO_MANY) for n in range(17, 17 + 5 * MOST)]
    assert measured() < 4 * MIB
    script.give(data(17, 2, b"late", sender=owner_of(script), channel=18))
    assert [frame for frame in script.pull() if not isinstance(frame, wire.Ack)] == []
    assert len(script.of(ReceiverCreated)) == 16
    assert script.machine.state.value == "ACTIVE"


def test_dead_sessions_in_a_group_call_end_the_link(measured: Callable[[], int]) -> None:
    """CC-SESS-070: a relay closes what failed; one that does not is hostile, and ends nothing but its own link."""
    script = least(in_group, open_sessions=16)
    flood(script, 16 + MOST, lambda number: [reliable(script, number)])
    assert script.machine.state.value == "ACTIVE"
    script.give(reliable(script, 17 + MOST))
    (ended,) = script.of(LinkEnded)
    assert (ended.code, ended.by_peer) == (MEMORY, False)
    assert ended.reason == f"more than {MOST} sessions that ended wait for CLOSE"
    assert type(script.pull()[-1]) is wire.Bye
    script.log.clear()
    assert measured() < 4 * MIB


def test_dead_sessions_that_the_relay_closes_cost_nothing() -> None:
    """CC-SESS-057, CC-RELAY-079: an honest relay may fail as many as it likes."""
    script = least(in_group, open_sessions=16)
    flood(script, 16, lambda number: [reliable(script, number)])

    def failed_and_closed(number: int) -> list[Any]:
        script.now += 2 * MS
        return [reliable(script, number), control(wire.Close, 1, number, sender=0)]

    flood(script, 3 * MOST, failed_and_closed, first=17)
    assert script.machine.state.value == "ACTIVE"


@pytest.mark.parametrize("start", [with_peer, in_group])
def test_tombstones_of_lossy_sessions(start: Callable[..., Script], measured: Callable[[], int]) -> None:
    """CC-SESS-058, 070: the oldest is forgotten before its time."""
    script = least(start)
    slot = owner_of(script)

    def closed(number: int) -> list[Any]:
        script.now += 2 * MS
        script.machine.handle_timeout(script.now)
        return [wire.Close(slot, NO_SLOT, number, 1)]

    flood(script, 4 * MOST, closed)
    assert script.machine.state.value == "ACTIVE"
    assert measured() < 4 * MIB
    script.wait(1_000 * MS)
    # A tombstone that is there drops what is late; one that had to go does not.
    script.give(lossy(4 * MOST, 1, sender=slot, channel=7))
    assert script.of(ReceiverCreated) == []
    assert script.machine.statistics().drops == {"ended_session": 1}
    script.give(lossy(1, 1, sender=slot, channel=8))
    assert len(script.of(ReceiverCreated)) == 1


@pytest.mark.parametrize("start", [with_peer, accepted, in_group])
def test_a_peer_that_acknowledges_no_fail(start: Callable[..., Script], measured: Callable[[], int]) -> None:
    """CC-SESS-071: FAIL needs no credit and waits for no ACK, so it has a bound of its own."""
    script = least(start, open_sessions=16)
    for number in range(1, 17 + MOST):
        if start is in_group:  # so that dead sessions are not what ends the link
            script.now += 2 * MS
            script.give(reliable(script, number), control(wire.Close, 1, number, sender=0))
            for event in script.of(ReceiverCreated)[-1:]:
                script.machine.close_receiver(event.receiver, script.now)
        else:
            script.give(reliable(script, number))
        script.pull()
        if script.machine.state.value == "DEAD":
            break
    if start is not in_group:
        script.give(reliable(script, 17 + MOST))
        (ended,) = script.of(LinkEnded)
        assert (ended.code, ended.reason) == (MEMORY, f"more than {MOST} FAIL frames are not acknowledged")
    script.log.clear()
    assert measured() < 4 * MIB


def test_fails_that_wait_for_a_transport_count_as_well() -> None:
    """CC-SESS-071: nobody pulls."""
    script = least(with_peer, open_sessions=16)
    for number in range(1, 18 + MOST):
        script.give(reliable(script, number))
    assert [event.code for event in script.of(LinkEnded)] == [MEMORY]


def test_fails_that_are_acknowledged_do_not_count() -> None:
    script = least(with_peer, open_sessions=16)
    flood(script, 4 * MOST, lambda number: [reliable(script, number)])
    assert script.machine.state.value == "ACTIVE"


def test_work_for_a_session_does_not_grow_with_those_that_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threat T13: a frame of 16 bytes costs the same whatever was there before: nothing is looked through."""
    script = least(with_peer, open_sessions=16)
    flood(script, MOST, lambda number: [reliable(script, number)])
    receivers = script.machine._receivers

    class Sealed(dict[Any, Any]):
        """Sessions that may be looked up and not looked through."""

        def _through(self) -> Any:
            raise AssertionError("all sessions are looked through")

        __iter__ = keys = values = items = _through  # type: ignore[assignment]

    monkeypatch.setattr(receivers, "_of_slot", {slot: Sealed(of) for slot, of in receivers._of_slot.items()})
    monkeypatch.setattr(receivers, "_sessions", Sealed(receivers._sessions))
    script.give(reliable(script, MOST + 1))
    script.give(lossy(MOST + 2, 1, sender=0, channel=5))
    script.give(lossy(MOST + 3, 1, sender=0, channel=5))
    assert type(script.pull()[0]) is wire.Fail


def test_newest_sessions_of_many_channels_are_forgotten() -> None:
    """CC-SESS-059: an owner that uses one channel after the other costs its receivers 1,024 numbers, not 65,535."""
    script = least(in_group)
    slot = owner_of(script)
    for number in range(1, 3_001):
        script.give(reliable(script, number), wire.Close(slot, NO_SLOT, number, 1))
        (created,) = [event for event in script.events() if isinstance(event, ReceiverCreated)]
        assert script.machine.read(created.receiver, script.now) is not None
        script.pull()
        script.ack()
    newest = script.machine._receivers._newest[slot]
    assert sorted(newest.values()) == list(range(1_977, 3_001))
