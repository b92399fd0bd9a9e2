# SPDX-License-Identifier: Apache-2.0
"""Partial Lossy messages: which are given up, when, and that the others are not touched (section 6.7)."""

from __future__ import annotations

from callchannel_conformance import frames as f
from callchannel_conformance.bench.far import Far
from callchannel_conformance.bench.links import group
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.helpers import limit, read, read_all, received
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect_equal

_SIZE = 600
_TOTAL = 700


def _part(far: Far, sequence: int, index: int, *, total: int = _TOTAL, size: int | None = None) -> None:
    """Fragment 0, or the last one with index 1, of a Lossy message."""
    room = (_SIZE if index == 0 else total - _SIZE) if size is None else size
    far.write(f.data(bytes(room), reliable=False, sequence=sequence, fragment=(index, total, index == 1)), lane="lossy")


def _session(far: Far) -> int:
    """A Lossy session whose first message was read."""
    receiver = received(far, f.data(b"1", reliable=False), "CC-SESS-027", lane="lossy")
    read(far.machine, receiver)
    return receiver


def _got(far: Far, receiver: int) -> list[int]:
    return [message["sequence"] for message in read_all(far.machine, receiver)]


@positive("CC-FRAG-039")
@negative("CC-LIMIT-014", "CC-LIMIT-001", "CC-DELIV-071")
def test_each_in_its_time(bench: Bench) -> None:
    """Each partial message is given up when its own time has passed, the second one as well as the first."""
    far = group(bench)
    receiver = _session(far)
    for sequence in (2, 3, 4):
        _part(far, sequence, 0)
        bench.advance(900)
    _part(far, 4, 1)
    expect_equal(_got(far, receiver), [4], "CC-FRAG-039", "message 4 is complete in time")
    bench.advance(60)
    _part(far, 2, 1)
    expect_equal(_got(far, receiver), [], "CC-FRAG-039", "message 2 was given up after 2 s")
    bench.advance(300)
    _part(far, 3, 1)
    expect_equal(_got(far, receiver), [], "CC-FRAG-039", "message 3 was given up after 2 s")
    for sequence in (2, 3):
        _part(far, sequence, 0)
        _part(far, sequence, 1)
    expect_equal(_got(far, receiver), [], "CC-DELIV-071", "what was given up does not begin again")
    _part(far, 5, 0)
    bench.advance(1_950)
    _part(far, 5, 1)
    expect_equal(_got(far, receiver), [5], "CC-LIMIT-014", "message 5 is complete in time")


@positive("CC-FRAG-041", "CC-FRAG-042")
@negative("CC-LIMIT-007", "CC-FRAG-043")
def test_bytes_of_the_link(bench: Bench) -> None:
    """The fragment that would pass `lossy_partial_bytes` makes the oldest go, before it is kept."""
    far = group(bench, bench.endpoint(limits={"lossy_partial_bytes": 65_536, "lossy_partial_messages": 128}))
    most = limit(far, "lossy_partial_bytes")
    receiver = _session(far)
    size = 1_024
    count = most // size
    assert count == 64
    for sequence in range(2, 2 + count):
        _part(far, sequence, 0, total=size + 100, size=size)
    _part(far, 2, 1, total=size + 100, size=100)
    expect_equal(_got(far, receiver), [2], "CC-FRAG-043", "a fragment that completes its message is taken")
    _part(far, 100, 0, total=size + 100, size=size)
    _part(far, 3, 1, total=size + 100, size=100)
    expect_equal(_got(far, receiver), [3], "CC-LIMIT-013", "the bound may be reached")
    _part(far, 101, 0, total=size + 100, size=size)
    _part(far, 102, 0, total=size + 100, size=size)
    _part(far, 4, 1, total=size + 100, size=100)
    expect_equal(_got(far, receiver), [], "CC-FRAG-041", "message 4, the oldest, was given up")
    _part(far, 5, 1, total=size + 100, size=100)
    expect_equal(_got(far, receiver), [5], "CC-FRAG-042", "as few as suffice are given up")


@negative("CC-FRAG-043")
def test_completion_gives_up_nothing(bench: Bench) -> None:
    """At the bounds on count and bytes, completing one message leaves the others alone."""
    far = group(bench, bench.endpoint(limits={"lossy_partial_bytes": 65_536, "lossy_partial_messages": 64}))
    receiver = _session(far)
    for sequence in range(2, 66):
        _part(far, sequence, 0, total=1_124, size=1_024)
    for sequence in range(65, 1, -1):
        _part(far, sequence, 1, total=1_124, size=100)
    wanted = list(range(65, 1, -1))
    expect_equal(_got(far, receiver), wanted, "CC-FRAG-043", "all 64 are handed out")


@negative("CC-FRAG-053", "CC-FRAG-054")
def test_total_contradicts(bench: Bench) -> None:
    """A fragment in the middle whose total is another gives its message up."""
    far = group(bench)
    receiver = _session(far)
    for index, total in ((0, 1_500), (1, 1_600)):
        part = f.data(bytes(_SIZE), reliable=False, sequence=2, fragment=(index, total, False))
        far.write(part, lane="lossy")
    for index, size, last in ((1, _SIZE, False), (2, 300, True)):
        part = f.data(bytes(size), reliable=False, sequence=2, fragment=(index, 1_500, last))
        far.write(part, lane="lossy")
    expect_equal(_got(far, receiver), [], "CC-FRAG-054", "the message was given up, and does not begin again")


@negative("CC-FRAG-048", "CC-FRAG-047")
def test_lossy_too_large(bench: Bench) -> None:
    """A fragmented Lossy message beyond the receiver's largest message is dropped, up to it taken."""
    far = group(bench, bench.endpoint(limits={"largest_message": 32_768}), largest_message=32_768)
    receiver = _session(far)
    for sequence, total in ((2, 32_768), (3, 32_769)):
        place, index = 0, 0
        while place < total:
            size = min(1_100, total - place)
            place += size
            part = f.data(bytes(size), reliable=False, sequence=sequence, fragment=(index, total, place == total))
            far.write(part, lane="lossy")
            index += 1
    expect_equal(_got(far, receiver), [2], "CC-FRAG-048", "message 3 is too large")


@positive("CC-SESS-038")
@negative("CC-LIMIT-001", "CC-LIMIT-014")
def test_linger_to_its_end(bench: Bench) -> None:
    """A Lossy message is taken for `linger` after CLOSE, and not any more when that has passed."""
    far = group(bench)
    receiver = _session(far)
    far.write(f.close(9))
    bench.advance(450)
    far.write(f.data(reliable=False, sequence=2), lane="lossy")
    message = read(far.machine, receiver)
    expect_equal(message and message["sequence"], 2, "CC-SESS-038", "450 ms after CLOSE")
    bench.advance(100)
    far.machine.take()
    far.write(f.data(reliable=False, sequence=3), lane="lossy")
    expect_equal(far.machine.take("receiver_created", "receiver_readable"), [], "CC-SESS-058", "550 ms after CLOSE")
