# SPDX-License-Identifier: Apache-2.0
"""What a resumption takes up and what it does not: counts, frames to be written again, windows, tokens (9.4 to 9.9)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance.bench.far import Far
from callchannel_conformance.bench.links import Acceptor, Initiator, called, calling, group, member, settle
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.helpers import open_sender, send
from callchannel_conformance.checks.relay_scene import call
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal

_KINDS = ("group", "calling", "called", "relay")


def _busy(bench: Bench, kind: str) -> Acceptor | Initiator:
    """A link on which the machine has written three DATA frames that are not acknowledged."""
    if kind == "relay":
        _, (owner, reader) = call(bench, 2)
        reader.auto_ack = False
        owner.write(*(f.data(sequence=sequence) for sequence in (1, 2, 3)))
        return reader
    opened: dict[str, Callable[[Bench], Acceptor | Initiator]] = {"group": group, "calling": calling, "called": called}
    far = opened[kind](bench)
    settle(far)
    far.auto_ack = False
    far.take()
    sender = open_sender(far)
    for _ in range(3):
        send(far, sender)
    return far


@positive("CC-LINK-048", "CC-LINK-034")
@negative("CC-LINK-048")
@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("lost", [1, 2, 3])
def test_written_again(bench: Bench, kind: str, lost: int) -> None:
    """After a resume exactly the frames that the peer's count does not cover are written again, in order."""
    far = _busy(bench, kind)
    wanted = [seen.raw for seen in far.seen if seen.frame["type"] == "DATA"][-lost:]
    count = far.counted_in - lost
    far.disconnect()
    before = len(far.seen)
    far.resume(received=count)
    again = [seen.raw for seen in far.seen[before:] if f.is_counted(seen.frame, seen.lane)]
    expect_equal([raw.hex() for raw in again], [raw.hex() for raw in wanted], "CC-LINK-048", "what is written again")


@positive("CC-ROSTER-075", "CC-LINK-048")
@negative("CC-ROSTER-075")
@pytest.mark.parametrize("size", [2, 30_000])
def test_written_again_before_the_leave_is_acknowledged(bench: Bench, size: int) -> None:
    """DATA that was written before a LEAVE came, and was lost, goes again before the ACK that covers the LEAVE."""
    far = group(bench)
    settle(far)
    bench.advance(100)
    far.take()
    sender = open_sender(far)
    send(far, sender, bytes(size))
    count = far.counted_in - len([seen for seen in far.seen if seen.frame["type"] == "DATA"])
    bench.advance(100)
    told = far.counted_in
    far.change(f.leave(3, "LEFT"))
    far.disconnect()
    before = len(far.seen)
    far.resume(received=count)
    bench.advance(100)
    kinds = [(seen.frame["type"], seen.frame.get("received")) for seen in far.seen[before:]]
    again = [place for place, (kind, _) in enumerate(kinds) if kind == "DATA"]
    acks = [place for place, (kind, received) in enumerate(kinds) if kind == "ACK" and received == len(far.written)]
    expect_equal(len(again), told - count, "CC-LINK-048", "the lost DATA is written again")
    expect(acks and again[-1] < acks[0], "CC-ROSTER-075", "DATA, then the ACK that covers LEAVE", actual=kinds)


@negative("CC-LINK-039", "CC-LINK-081")
@pytest.mark.parametrize("kind", _KINDS)
def test_ack_below_the_count_of_the_resume(bench: Bench, kind: str) -> None:
    """An ACK below the count that the peer told in HELLO or WELCOME of the resume ends the link."""
    far = _busy(bench, kind)
    count = far.counted_in
    far.disconnect()
    far.resume(received=count)
    far.told = count
    far.take()
    far.write(f.ack(count - 1))
    far.ended("CC-LINK-039", "PROTOCOL")


@positive("CC-LINK-043")
@negative("CC-LINK-044")
@pytest.mark.parametrize("kind", _KINDS)
def test_window_ends_with_the_resume(bench: Bench, kind: str) -> None:
    """Once the link is resumed its resume window does not end it, and the next suspension has a whole one."""
    far = _busy(bench, kind)
    window = 30_000
    for _ in range(2):
        far.take()
        far.disconnect()
        bench.advance(window - 5_000)
        far.resume()
        settle(far)
        bench.advance(10_000)
        far.goes_on("CC-LINK-043")


@negative("CC-LINK-018", "CC-SEC-004")
def test_token_of_another(bench: Bench) -> None:
    """With the token of another identity's link a HELLO is refused as with one that was never given."""
    relay, (ann, bob) = call(bench, 2)
    eve = Initiator(bench, relay, "eve")
    for token in (ann.token, bob.token, bytes(16)):
        eve.connect(admission={"identity": "eve", "may_send": True})
        eve.write(f.hello(resume=True, token=token, attempt=9, received=1, identity="ann"))
        eve.ended("CC-LINK-018", "RESUME_UNKNOWN")
    ann.goes_on("CC-LINK-017")
    bob.goes_on("CC-LINK-017")


def _again(far: Initiator, **fields: Any) -> Initiator:
    """Another transport of the same endpoint, on which a HELLO is written."""
    other = Initiator(far.bench, far.machine, far.identity)
    if far.machine.kind == "relay":
        other.connect(admission=far.admission)
    else:
        other.connect()
    known = {"resume": True, "token": far.token, "identity": far.identity, **fields}
    other.write(f.hello(**known))
    return other


def _acceptor(bench: Bench, kind: str) -> Initiator:
    if kind == "called":
        return called(bench)
    return call(bench, 2)[1][0]


@negative("CC-LINK-016", "CC-LINK-017")
@pytest.mark.parametrize("kind", ["called", "relay"])
@pytest.mark.parametrize("received", [0, 10**6])
def test_stale_whatever_it_counts(bench: Bench, kind: str, received: int) -> None:
    """A HELLO with an attempt that was taken is stale, also with an impossible count, and the link goes on."""
    far = _acceptor(bench, kind)
    other = _again(far, attempt=far.attempt, received=received)
    other.ended("CC-LINK-016", "RESUME_STALE")
    far.goes_on("CC-LINK-017")


@negative("CC-LINK-052", "CC-LINK-051")
def test_fresh_hello_without_replace(bench: Bench) -> None:
    """A fresh HELLO without REPLACE joins beside an older link of the same instance, and does not end it."""
    relay, (ann, bob) = call(bench, 2)
    again = member(relay, "ann")
    expect(again.own_slot not in (ann.own_slot, bob.own_slot), "CC-ROSTER-005", "another slot", actual=again.own_slot)
    expect_equal(again.instance, ann.instance, "CC-LINK-052", "the same instance")
    ann.goes_on("CC-LINK-052")
    bob.goes_on("CC-LINK-052")


@negative("CC-LINK-042")
@pytest.mark.parametrize("lane", ["lossy", "reliable"])
def test_lossy_is_not_kept(bench: Bench, lane: str) -> None:
    """Lossy messages that wait at a relay for a link that is suspended do not come after the resume."""
    _, (owner, far) = call(bench, 2)
    if lane == "reliable":
        far.lossy_lane(False)
    far.hold(lane)
    owner.write(f.data(reliable=False), f.data(reliable=False, sequence=2), lane="lossy")
    far.disconnect()
    far.resume()
    far.none("CC-LINK-042", "DATA")
    owner.write(f.data(reliable=False, sequence=3), lane="lossy")
    expect_equal([frame["sequence"] for frame in far.take("DATA")], [3], "CC-LINK-042", "the session goes on")


@positive("CC-LIMIT-016", "CC-LINK-081")
@negative("CC-LIMIT-006")
def test_control_frames_for_data(bench: Bench) -> None:
    """Each counted DATA frame lets the peer write two control frames more, however full its bucket is."""
    far: Far = calling(bench)
    rate = bench.client.hello().limits.get("control_frames", {}).get("value", 1_000)
    sender = open_sender(far)
    for _ in range(20):
        send(far, sender)
    session = far.take("DATA")[0]["session"]
    frame = f.receipt(1, recipient=0, sender=1, session=session)
    for _ in range(2 * rate // 500):
        expect(far.transport is not None, "CC-LIMIT-016", "a bucket of twice the rate", actual=far.inbox)
        far.write(*[frame] * 500)
    far.write(*[frame] * 40)
    expect(far.transport is not None, "CC-LIMIT-016", "two more for each DATA frame", actual=far.inbox)
    for _ in range(20):
        send(far, sender)
    far.write(*[frame] * 40)
    far.goes_on("CC-LIMIT-016")
    far.write(*[frame] * 500)
    far.ended("CC-LINK-081", "RATE")
