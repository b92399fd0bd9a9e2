# SPDX-License-Identifier: Apache-2.0
"""Sessions at an endpoint, beyond the cells of the state tables: legal options, linger, CLOSE of Lossy sessions."""

from __future__ import annotations

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance.bench.links import group
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.helpers import open_sender, read_all, received, send
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal


@positive("CC-SESS-001", "CC-SESS-005")
@pytest.mark.parametrize(
    "options",
    [
        {"channel": 65_535},
        {"channel": 1, "confirm": "delivered"},
        {"channel": 65_535, "reliability": "lossy", "latest": True, "confirm": "accepted"},
    ],
    ids=["last-channel", "delivered", "latest-lossy"],
)
def test_open_options(bench: Bench, options: dict[str, object]) -> None:
    """Options that go together are taken, up to the last channel."""
    bench.client.needs(feature="high_channels")
    far = group(bench)
    sender = open_sender(far, **options)
    far.take()
    send(far, sender)
    expect_equal(far.one("CC-SESS-001", "DATA")["channel"], options["channel"], "CC-SESS-001", "the sender is open")


@positive("CC-SESS-038")
@negative("CC-SESS-038", "CC-LIMIT-014")
def test_linger(bench: Bench) -> None:
    """After CLOSE a Lossy session takes messages for 500 ms, and none after that."""
    far = group(bench)
    receiver = received(far, f.data(b"1", reliable=False), "CC-SESS-027", lane="lossy")
    far.write(f.close(3))
    bench.advance(480)
    far.write(f.data(b"2", reliable=False, sequence=2), lane="lossy")
    expect_equal(len(read_all(far.machine, receiver)), 2, "CC-SESS-038", "messages are taken for `linger`")
    expect(not far.machine.all_events("receiver_closed"), "CC-LIMIT-014", "`linger` is not over")
    bench.advance(40)
    closed = far.machine.all_events("receiver_closed")
    expect_equal([event["code"] for event in closed], ["NONE"], "CC-SESS-038", "then it ends")
    far.machine.take()
    far.write(f.data(b"3", reliable=False, sequence=3), lane="lossy")
    expect_equal(far.machine.take("receiver_created", "receiver_readable"), [], "CC-SESS-038", "and takes nothing more")


@positive("CC-SESS-051")
@negative("CC-SESS-051")
@pytest.mark.parametrize("value", [1, 8, 2**32 - 1])
def test_close_value(bench: Bench, value: int) -> None:
    """The value of a Lossy session's CLOSE is not judged: below the last sequence it is as good as above."""
    far = group(bench)
    receiver = received(far, f.data(b"9", reliable=False, sequence=9), "CC-SESS-027", lane="lossy")
    far.write(f.close(value))
    far.write(f.data(b"10", reliable=False, sequence=10), lane="lossy")
    far.none("CC-SESS-051", "FAIL")
    expect_equal(len(read_all(far.machine, receiver)), 2, "CC-SESS-051", "the session lingers")
    bench.advance(550)
    closed = far.machine.all_events("receiver_closed")
    expect_equal([event["code"] for event in closed], ["NONE"], "CC-SESS-051", "and ends without a fault")


@positive("CC-SESS-054")
@negative("CC-SESS-054")
@pytest.mark.parametrize("first", ["close", "leave"])
def test_close_and_leave(bench: Bench, first: str) -> None:
    """CLOSE and LEAVE together cut a session, in either order: what is unread stays readable, nothing is written."""
    far = group(bench)
    receiver = received(far, f.data(b"1", confirm=True), "CC-SESS-027")
    if first == "close":
        far.write(f.close(1))
        far.change(f.leave(0, "LOST"))
    else:
        far.change(f.leave(0, "LOST"))
        far.write(f.close(1))
    far.take()
    expect_equal(len(read_all(far.machine, receiver)), 1, "CC-SESS-054", "unread messages stay readable")
    far.none("CC-SESS-054", "RECEIPT", "CREDIT", "FAIL")


@positive("CC-SESS-036", "CC-DELIV-060")
@negative("CC-SESS-036")
def test_memory_replaces_the_reason(bench: Bench) -> None:
    """A Reliable session that is complete and holds the most is failed with MEMORY all the same (R16)."""
    size = 1 << 20
    limits = {"receive_memory": size, "window": size, "largest_message": size}
    far = group(bench, bench.endpoint(limits=limits), largest_message=size)
    receiver = received(far, f.data(bytes(16_000), session=1, channel=1), "CC-SESS-027")
    for sequence in range(2, 41):
        far.write(f.data(bytes(16_000), session=1, channel=1, sequence=sequence))
    far.write(f.close(40))
    expect(not far.machine.all_events("receiver_closed"), "CC-SESS-036", "unread messages keep it open")
    for sequence in range(1, 27):
        far.write(f.data(bytes(16_000), session=2, channel=2, sequence=sequence))
    closed = far.machine.all_events("receiver_closed")
    told = [(event["receiver"], event["code"]) for event in closed]
    expect_equal(told, [(receiver, "MEMORY")], "CC-SESS-036", "MEMORY in place of the end that it had")


@positive("CC-SESS-072")
@negative("CC-SESS-072")
@pytest.mark.parametrize("kind", ["open", "dead"])
def test_sessions_of_all_owners(bench: Bench, kind: str) -> None:
    """With 1 MiB to receive there is room for 1,024 sessions, open or DEAD, and for as many FAILs that are owed."""
    size, count = 1 << 20, 1_024
    limits = {"receive_memory": size, "window": size, "largest_message": size, "open_sessions": 65_535}
    far = group(bench, bench.endpoint(limits=limits), largest_message=size)
    far.machine.take()
    far.hold()
    for begin in range(1, count + 1, 128):
        sessions = range(begin, begin + 128)
        # A thousand sessions of three owners, each with an empty message that nobody reads.
        first = [f.data(b"", session=n, channel=n, sender=(0, 1, 3)[n % 3]) for n in sessions]
        far.write(*first)
        if kind == "dead":
            far.write(*[{**frame, "sequence": 2, "channel": frame["channel"] + 1} for frame in first])
    expect_equal(len(far.machine.take("receiver_created")), count, "CC-SESS-072", "each has its receiver")
    far.hold(held=False)
    fails = far.take("FAIL")
    expect_equal(len(fails), count if kind == "dead" else 0, "CC-SESS-072", "each is failed for its own fault alone")
    expect(far.transport is not None, "CC-SESS-072", "the link goes on")
