# SPDX-License-Identifier: Apache-2.0
"""Turns, bursts and rates (chapter 8)."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from callchannel.core.limits import HIGH_BURST
from callchannel.core.scheduling import NO_ROOM, Scheduler, TokenBucket


class Queue:
    """A source that has frames of given sizes."""

    def __init__(self, name: str, sizes: list[int], *, high: bool = False) -> None:
        self.name = name
        self.sizes = sizes
        self.high = high

    def write(self, room: int, now: int) -> bytes | None:
        if not self.sizes:
            return None
        if self.sizes[0] > room:
            return NO_ROOM
        return self.name.encode() * self.sizes.pop(0)

    def write_runs(self, room: int, budget: int, now: int) -> tuple[list[bytes], int]:
        return [], 0


def drain(scheduler: Scheduler, room: int = 1_000) -> str:
    """Who writes, frame by frame."""
    order = ""
    while frame := scheduler.write(room, 0):
        order += chr(frame[0])
    return order


def test_one_normal_frame_after_four_high() -> None:
    """CC-SCHED-016, 017."""
    scheduler = Scheduler()
    scheduler.add(Queue("n", [1] * 3))
    scheduler.add(Queue("h", [1] * 10, high=True))
    assert drain(scheduler) == "hhhhnhhhhnhhn"
    assert not scheduler


def test_high_frames_count_while_nobody_normal_is_ready() -> None:
    """After ten of them in a row a normal session that becomes ready has the next frame (section 8.6)."""
    scheduler = Scheduler()
    scheduler.add(Queue("h", [1] * 12, high=True))
    for _ in range(10):
        scheduler.write(10, 0)
    scheduler.add(Queue("n", [1] * 2))
    assert drain(scheduler) == "nhhn"


def test_turns_are_by_frame() -> None:
    """CC-SCHED-018, 019."""
    scheduler = Scheduler()
    for name in "abc":
        scheduler.add(Queue(name, [1] * 2))
    assert scheduler.write(10, 0) == b"a"
    scheduler.add(Queue("d", [1]))
    assert drain(scheduler) == "bcadbc"


def test_a_frame_that_does_not_fit_keeps_its_turn() -> None:
    """CC-SCHED-007."""
    scheduler = Scheduler()
    scheduler.add(Queue("a", [5]))
    scheduler.add(Queue("b", [1]))
    assert scheduler.write(4, 0) is NO_ROOM
    assert drain(scheduler) == "ab"


def test_who_has_nothing_to_write_holds_up_nobody() -> None:
    """CC-SCHED-020."""
    scheduler = Scheduler()
    scheduler.add(Queue("a", []))
    scheduler.add(Queue("b", [1]))
    assert len(scheduler) == 2
    assert drain(scheduler) == "b"
    assert len(scheduler) == 0


def test_adding_twice_and_removing_twice() -> None:
    scheduler, source = Scheduler(), Queue("a", [1])
    scheduler.add(source)
    scheduler.add(source)
    assert len(scheduler) == 1
    scheduler.remove(source)
    scheduler.remove(source)
    assert not scheduler
    assert scheduler.write(10, 0) is None


def test_a_source_may_leave_while_it_writes() -> None:
    scheduler = Scheduler()

    class Leaver(Queue):
        def write(self, room: int, now: int) -> bytes | None:
            scheduler.remove(self)
            return super().write(room, now)

    scheduler.add(Leaver("l", [1]))
    scheduler.add(Queue("b", [1]))
    assert drain(scheduler) == "lb"
    scheduler.add(Leaver("l", []))
    assert scheduler.write(10, 0) is None


def test_schedulers_nest() -> None:
    """A relay lets owners take turns over each owner's own sessions (CC-SCHED-021, 023)."""
    owners = {}
    top = Scheduler()
    for name in "ab":
        owners[name] = Scheduler()
        owners[name].add(Queue(name, [1] * 4, high=name == "b"))
        top.add(owners[name])
    assert drain(top) == "abababab"


@given(st.lists(st.tuples(st.booleans(), st.lists(st.integers(1, 6), min_size=1, max_size=12)), min_size=1, max_size=6))
def test_property_everything_is_written_in_fair_turns(sources: list[tuple[bool, list[int]]]) -> None:
    scheduler = Scheduler()
    expected = Counter()
    rest = {}
    for number, (high, sizes) in enumerate(sources):
        name = chr(ord("a") + number)
        expected[name] = len(sizes)
        rest[name] = (high, list(sizes))
        scheduler.add(Queue(name, list(sizes), high=high))
    order = drain(scheduler)
    assert Counter(order) == expected
    burst = 0
    left = {name: len(sizes) for name, (_, sizes) in rest.items()}
    for name in order:
        high = rest[name][0]
        normal_waits = any(left[other] and not rest[other][0] for other in left)
        high_waits = any(left[other] and rest[other][0] for other in left)
        assert high or not high_waits or burst >= HIGH_BURST
        assert not (high and normal_waits and burst >= HIGH_BURST)
        burst = burst + 1 if high else 0
        left[name] -= 1
    # Among those of one priority nobody is two frames ahead of one who waits.
    for kind in (True, False):
        written: Counter[str] = Counter()
        for name in order:
            if rest[name][0] is kind:
                written[name] += 1
                for other, (other_high, sizes) in rest.items():
                    if other_high is kind and written[other] < len(sizes):
                        assert written[name] - written[other] <= 1


# --- rates -----------------------------------------------------------------------------------


def test_bucket_pays_one_for_each() -> None:
    """CC-LIMIT-016: what would leave less than nothing passes the limit."""
    bucket = TokenBucket(10, 20, 0)
    assert all(bucket.take(1, 0) for _ in range(20))
    assert not bucket.take(1, 99_999)
    assert bucket.take(1, 100_000)
    assert not bucket.take(1, 100_000)
    assert bucket.take(2, 300_000)
    assert not bucket.take(1, 0)  # a clock that goes back gives nothing


def test_bucket_is_never_fuller_than_full() -> None:
    bucket = TokenBucket(1_000, 5, 0)
    assert not bucket.take(6, 60_000_000)
    assert bucket.take(5, 60_000_000)


def test_bitrate_of_the_text() -> None:
    """The table of section 8.8, in bits."""
    bucket = TokenBucket(131_072, 131_072, 0)
    assert bucket.ready_at(0) == 0
    bucket.spend(131_072, 0)
    assert bucket.ready_at(0) == 1
    bucket.spend(131_072, 1)
    assert bucket.ready_at(500_000) > 500_000
    at = bucket.ready_at(1_000_000)
    assert 1_000_000 < at <= 1_000_002
    assert bucket.ready_at(at) == at


@given(st.integers(1, 10_000_000), st.lists(st.tuples(st.integers(0, 500_000), st.integers(128, 131_072)), max_size=60))
def test_property_bitrate_is_kept(rate: int, steps: list[tuple[int, int]]) -> None:
    """CC-SCHED-026, 027: in t seconds at most t x bitrate and two full packets."""
    bucket, now, spent = TokenBucket(rate, 131_072, 0), 0, 0
    for pause, bits in steps:
        now += pause
        at = bucket.ready_at(now)
        assert at >= now
        if at > now:
            assert at - now <= 131_072 * 1_000_000 // rate + 2
            now = at
            assert bucket.ready_at(now) == now
        bucket.spend(bits, now)
        spent += bits
        assert spent <= now * rate / 1_000_000 + 2 * 131_072
