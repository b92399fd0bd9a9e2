# SPDX-License-Identifier: Apache-2.0
"""Turns among owners, and among the sessions of an owner."""

from callchannel.core.relay.turns import Turns
from callchannel.core.scheduling import NO_ROOM


class Session:
    """Writes frames that say whose they are."""

    def __init__(self, owner: int, name: str, count: int, *, high: bool = False, size: int = 1_000) -> None:
        self.owner_key = owner
        self.high = high
        self.in_turns = False
        self.wrote = 0
        self.frames = [f"{name}{number}".encode().ljust(size, b".") for number in range(1, count + 1)]

    def write_frame(self, room: int, now: int) -> bytes | None:
        if not self.frames:
            self.in_turns = False
            return None
        if len(self.frames[0]) > room:
            return NO_ROOM
        frame = self.frames.pop(0)
        self.in_turns = bool(self.frames)
        return frame

    def write_run(self, room: int, bundle: int, now: int) -> bytes | None:
        parts = []
        frame = self.write_frame(room, now)
        while frame:
            parts.append(frame)
            bundle -= len(frame)
            frame = self.write_frame(bundle, now) if self.in_turns and bundle > 0 else None
        self.wrote = len(parts)
        return b"".join(parts) if parts else frame


def packets(turns: Turns, count: int = 99) -> list[list[str]]:
    """The names of the frames in each of the next packets."""
    found: list[list[str]] = []
    while len(found) < count and (packet := turns.write(16_384, 0)):
        found.append([part for part in packet.decode().split(".") if part])
    return found


def frames(turns: Turns, count: int = 99) -> list[str]:
    return [name for packet in packets(turns, count) for name in packet]


def add(turns: Turns, *sessions: Session) -> None:
    for session in sessions:
        turns.add(session)


def test_owners_take_turns_whatever_their_priority() -> None:
    """CC-SCHED-021, CC-SCHED-022, CC-SCHED-023: the trace of section 8.9."""
    turns = Turns(1_150)
    add(turns, Session(1, "a", 4), Session(2, "h", 2, high=True), Session(2, "n", 1))
    assert frames(turns) == ["a1", "h1", "a2", "h2", "a3", "n1", "a4"]
    assert not turns


def test_an_owner_with_many_sessions_gets_no_more_turns() -> None:
    """CC-SCHED-021."""
    turns = Turns(1_150)
    add(turns, *(Session(1, name, 3) for name in "abc"), Session(2, "x", 4))
    assert frames(turns) == ["a1", "x1", "b1", "x2", "c1", "x3", "a2", "x4", "b2", "c2", "a3", "b3", "c3"]


def test_a_normal_frame_after_four_high_ones() -> None:
    """CC-SCHED-016, CC-SCHED-017, CC-SCHED-022."""
    turns = Turns(1_150)
    add(turns, Session(1, "h", 6, high=True), Session(1, "n", 3))
    assert frames(turns) == ["h1", "h2", "h3", "h4", "n1", "h5", "h6", "n2", "n3"]


def test_high_frames_count_also_while_nobody_waits() -> None:
    """CC-SCHED-017: after ten high frames in a row a normal session has the next frame, a pause between or not."""
    for pause in (False, True):
        turns = Turns(1_150)
        high = Session(1, "h", 10, high=True)
        add(turns, high)
        assert len(frames(turns, 10)) == 10
        if not pause:
            turns = Turns(1_150)
            high = Session(1, "h", 14, high=True)
            add(turns, high)
            assert len(frames(turns, 10)) == 10
        else:
            high.frames = [b"h11".ljust(1_000, b".")]
            add(turns, high)
        add(turns, Session(1, "n", 1))
        assert frames(turns, 1) == ["n1"]


def test_few_high_frames_leave_the_turn_to_high_ones() -> None:
    turns = Turns(1_150)
    high = Session(1, "h", 3, high=True)
    add(turns, high)
    assert frames(turns) == ["h1", "h2", "h3"]
    high.frames = [b"h4".ljust(1_000, b"."), b"h5".ljust(1_000, b".")]
    add(turns, high, Session(1, "n", 1))
    assert frames(turns) == ["h4", "n1", "h5"]


def test_a_normal_frame_ends_a_burst_and_forgetting_does() -> None:
    turns = Turns(1_150)
    high, normal = Session(1, "h", 4, high=True), Session(1, "n", 1)
    add(turns, high)
    frames(turns)
    add(turns, normal)
    frames(turns)
    assert not turns._bursts
    high.frames = [b"h".ljust(1_000, b".")] * 4
    add(turns, high)
    frames(turns)
    turns.forget(1)
    turns.forget(2)
    assert not turns._bursts


def test_who_becomes_ready_is_last() -> None:
    """CC-SCHED-019, CC-SCHED-024."""
    turns = Turns(1_150)
    first, second = Session(1, "a", 2), Session(2, "b", 3)
    add(turns, first, second)
    assert frames(turns, 3) == ["a1", "b1", "a2"]
    first.frames = [b"a3".ljust(1_000, b".")]
    add(turns, Session(3, "c", 1), first)
    assert frames(turns) == ["b2", "c1", "a3", "b3"]


def test_small_frames_share_a_packet() -> None:
    """CC-SCHED-005, CC-SCHED-007: the packet ends when the frame that is next in turn does not fit."""
    turns = Turns(1_150)
    add(turns, Session(1, "a", 3, size=500), Session(2, "b", 2, size=100))
    assert packets(turns) == [["a1", "b1", "a2"], ["b2", "a3"]]
    turns = Turns(1_150)
    add(turns, Session(1, "a", 2, size=700), Session(2, "b", 2, size=100))
    assert packets(turns) == [["a1", "b1"], ["a2", "b2"]]


def test_a_large_frame_behind_128_bytes() -> None:
    """CC-SCHED-006."""
    turns = Turns(1_150)
    add(turns, Session(1, "a", 1, size=128), Session(2, "b", 1, size=16_256), Session(3, "c", 1, size=16))
    assert packets(turns) == [["a1", "b1"], ["c1"]]
    turns = Turns(1_150)
    add(turns, Session(1, "a", 1, size=129), Session(2, "b", 1, size=16_000))
    assert packets(turns) == [["a1"], ["b1"]]
    for size, rest in ((128, 16_256), (129, 1_021)):
        turns = Turns(1_150)
        add(turns, Session(1, "a", 1, size=2_000))
        assert (turns.write(rest, 0) == NO_ROOM) is (size == 129)


def test_a_wide_bundle() -> None:
    turns = Turns(16_384)
    add(turns, Session(1, "a", 20))
    assert [len(packet) for packet in packets(turns)] == [16, 4]


def test_the_lossy_lane_has_smaller_packets() -> None:
    turns = Turns(16_384, lossy=True)
    add(turns, Session(1, "a", 4, size=500))
    assert [len(packet) for packet in iter(lambda: turns.write(1_150, 0), None) if packet] == [1_000, 1_000]


def test_removing() -> None:
    turns = Turns(1_150)
    solo = Session(1, "a", 2)
    turns.remove(solo)
    add(turns, solo, solo)
    assert turns.sources() == [solo]
    assert turns.has(1)
    turns.remove(solo)
    assert not turns
    assert not turns.has(1)
    assert turns.write(16_384, 0) is None
    others = [Session(1, "a", 1), Session(1, "b", 1), Session(2, "c", 1)]
    add(turns, *others)
    turns.remove(others[2])
    turns.remove(others[0])
    assert turns.sources() == [others[1]]
    assert frames(turns) == ["b1"]


def test_sessions_that_are_not_ready_hold_up_nobody() -> None:
    """CC-SCHED-020."""
    turns = Turns(1_150)
    idle = Session(1, "a", 0)
    add(turns, idle, Session(1, "b", 1), Session(2, "c", 1))
    assert frames(turns) == ["b1", "c1"]
    assert not idle.in_turns
    add(turns, idle)
    assert turns.write(16_384, 0) is None
    assert not turns


def test_pull_stops_at_the_budget() -> None:
    turns = Turns(1_150)
    add(turns, Session(1, "a", 10))
    assert len(turns.pull(2_500, 0)) == 3
    assert len(turns.pull(1 << 20, 0)) == 7
    assert turns.pull(1 << 20, 0) == []
