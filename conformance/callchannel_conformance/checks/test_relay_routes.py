# SPDX-License-Identifier: Apache-2.0
"""A relay's routes: who gets what, to the byte and to the tick (sections 10.3 to 10.7)."""

from __future__ import annotations

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance.bench.links import member, settle
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.relay_scene import call, code_of
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal

_WINDOW = 65_536
_LIFETIME = 3


@positive("CC-ROSTER-058", "CC-RELAY-014")
def test_one_leaves_and_another_joins(bench: Bench) -> None:
    """A message goes to those who are there when it comes, also where as many are there as before."""
    relay, (ann, bob, carol) = call(bench, 3)
    ann.write(f.data())
    settle(bob, carol)
    bob.write(f.bye("LEFT"))
    dan = member(relay, "dan")
    bench.advance(60)
    settle(ann, carol, dan)
    for far in (carol, dan):
        far.take()
    ann.write(f.data(sequence=2))
    for far in (carol, dan):
        expect_equal([frame["sequence"] for frame in far.take("DATA")], [2], "CC-ROSTER-058", f"slot {far.own_slot}")


@positive("CC-RELAY-014", "CC-RELAY-025", "CC-RELAY-028", "CC-RELAY-031")
@negative("CC-RELAY-014", "CC-RELAY-026", "CC-RELAY-028")
def test_frames_of_one_packet(bench: Bench) -> None:
    """Frames of two sessions, to all and to one, and a CLOSE come in one packet: each goes where it belongs."""
    _, (ann, bob, carol) = call(bench, 3)
    ann.write(f.data(), f.data(session=2, channel=6))
    settle(ann, bob, carol)
    for far in (bob, carol):
        far.take()
    ann.write(
        f.data(b"to all", sequence=2),
        f.data(b"to all again", sequence=3),
        f.data(b"of another", sequence=2, session=2, channel=6),
        f.data(b"to Bob", sequence=4, private=True, to=(3, [1], False)),
        f.data(b"the last", sequence=5),
        f.close(5),
        f.data(b"goes on", sequence=3, session=2, channel=6),
    )
    for far, sequences in ((bob, [2, 3, 4, 5]), (carol, [2, 3, 5])):
        expect_equal([frame["value"] for frame in far.new("CLOSE")], [5], "CC-RELAY-031", "CLOSE of session 1")
        came = far.take("DATA")
        for session, wanted in ((1, sequences), (2, [2, 3])):
            got = [frame["sequence"] for frame in came if frame["session"] == session]
            expect_equal(got, wanted, "CC-RELAY-028", f"messages of session {session} for slot {far.own_slot}")
    for far in (ann, bob, carol):
        far.goes_on("CC-RELAY-028")


@positive("CC-LINK-084", "CC-DELIV-046")
def test_abort_needs_no_credit_of_the_relay(bench: Bench) -> None:
    """A relay takes ABORT where not a byte of the owner's window is left."""
    _, (ann, bob) = call(bench, 2, limits={"window": _WINDOW})
    bob.hold()
    for index in range(4):
        ann.write(f.data(bytes(16_384 - 24), fragment=(index, 100_000, False)))
    ann.none("CC-RELAY-036", "CREDIT")
    ann.write(f.abort(index=4, total=100_000))
    ann.goes_on("CC-LINK-084")


@negative("CC-DELIV-049")
@positive("CC-RELAY-035")
def test_credit_of_a_recipient_never_goes_back(bench: Bench) -> None:
    """A CREDIT of a recipient below the limit in force changes nothing."""
    relay, (ann,) = call(bench, 1)
    bob = member(relay, "bob", window=_WINDOW)
    bench.advance(60)
    settle(ann, bob)
    ann.write(f.data())
    bob.write(f.credit(200_000, sender=0, recipient=1))
    bob.write(f.credit(70_000, sender=0, recipient=1))
    bob.take()
    for sequence in range(2, 12):
        ann.write(f.data(bytes(10_000), sequence=sequence))
    expect_equal(len(bob.take("DATA")), 10, "CC-DELIV-049", "100,178 bytes are within the greater limit")


@positive("CC-RELAY-035", "CC-DELIV-046")
def test_block_is_not_counted_downstream(bench: Bench) -> None:
    """The limit of a recipient is used up by the frames that it gets, without the blocks that they came with."""
    relay, (ann,) = call(bench, 1)
    bob = member(relay, "bob", window=_WINDOW)
    bench.advance(60)
    settle(ann, bob)
    bob.take()
    for sequence in range(1, 9):
        ann.write(f.data(bytes(8_192 - 16), sequence=sequence, private=True, to=(2, [1], False)))
    expect_equal(len(bob.take("DATA")), 8, "CC-DELIV-046", "8 frames of 8,192 bytes are 65,536 bytes")
    ann.write(f.data(b"", sequence=9, private=True, to=(2, [1], False)))
    bob.none("CC-RELAY-035", "DATA")
    bob.write(f.credit(_WINDOW + 16, sender=0, recipient=1))
    expect_equal(len(bob.take("DATA")), 1, "CC-RELAY-035", "16 bytes more")


@positive("CC-RELAY-038", "CC-RELAY-039")
@negative("CC-RELAY-038", "CC-LIMIT-014")
def test_full_until_half_empty(bench: Bench) -> None:
    """A route that became full stays full while more than half a window waits: the stall time goes on."""
    _, (ann, bob) = call(bench, 2, limits={"window": _WINDOW, "stall_time": 10_000})
    bob.hold()
    for sequence in range(1, 5):
        ann.write(f.data(bytes(16_000 - 16), sequence=sequence))
    bench.advance(5_000)
    left = [frame["sequence"] for frame in bob.pull() if frame["type"] == "DATA"]
    expect_equal(left, [1], "CC-SCHED-001", "one frame leaves, 48,000 bytes wait")
    bench.advance(4_950)
    ann.none("CC-LIMIT-014", "FAIL")
    bench.advance(100)
    fail = ann.one("CC-RELAY-039", "FAIL")
    told = (fail["recipient"], fail["reason"])
    expect_equal(told, (1, code_of("OVERRUN")), "CC-RELAY-038", "full for 10 s")


@negative("CC-RELAY-039", "CC-RELAY-038")
def test_half_empty_is_not_full(bench: Bench) -> None:
    """A route that came down to half a window is not full any more: the stall time begins anew."""
    _, (ann, bob) = call(bench, 2, limits={"window": _WINDOW, "stall_time": 10_000})
    bob.hold()
    for sequence in range(1, 5):
        ann.write(f.data(bytes(16_000 - 16), sequence=sequence))
    bench.advance(5_000)
    for _ in range(2):
        bob.pull()
    bench.advance(15_000)
    ann.none("CC-RELAY-039", "FAIL")


@positive("CC-RELAY-039")
def test_overrun_while_the_owner_is_suspended(bench: Bench) -> None:
    """The stall time ends while the owner's link has no transport: the FAIL is among the first that the next one gets.

    Nothing else would ever tell the owner that its reader gets no more of the session.
    """
    _, (ann, bob) = call(bench, 2, limits={"window": _WINDOW, "stall_time": 10_000, "resume_window": 30_000})
    bob.hold()
    for sequence in range(1, 5):
        ann.write(f.data(bytes(16_000 - 16), sequence=sequence))
    ann.disconnect()
    bench.advance(10_050)
    ann.resume()
    fail = ann.one("CC-RELAY-039", "FAIL")
    told = (fail["recipient"], fail["value"], fail["reason"])
    expect_equal(told, (1, 1, code_of("OVERRUN")), "CC-RELAY-039", "decided on while the owner was away")


@positive("CC-RELAY-043", "CC-EXT-015")
@negative("CC-LIMIT-014")
def test_lifetime_in_a_queue(bench: Bench) -> None:
    """A Lossy message is written until its lifetime has passed in the queue, and dropped from then on."""
    _, (ann, bob) = call(bench, 2)
    lifetime = [(_LIFETIME, (100).to_bytes(4, "big"), False)]
    for sequence, wait in ((1, 99), (2, 100)):
        bob.hold("lossy")
        ann.write(f.data(reliable=False, sequence=sequence, extensions=lifetime), lane="lossy")
        bench.advance(wait)
        bob.hold("lossy", held=False)
        got = [frame["sequence"] for frame in bob.take("DATA")]
        expect_equal(got, [1] if sequence == 1 else [], "CC-RELAY-043", f"after {wait} of 100 ms")


@negative("CC-LINK-042", "CC-RELAY-031")
def test_lossy_while_suspended(bench: Bench) -> None:
    """A Lossy message of while a recipient is suspended does not come later, nor does the CLOSE of its session."""
    _, (ann, bob, carol) = call(bench, 3)
    bob.take()
    bob.disconnect()
    ann.write(f.data(reliable=False), lane="lossy")
    bob.resume()
    bob.none("CC-LINK-042", "DATA")
    ann.write(f.close(1))
    bob.none("CC-RELAY-031", "CLOSE")
    carol.one("CC-RELAY-031", "CLOSE")


@negative("CC-RELAY-029")
@positive("CC-ROSTER-059")
@pytest.mark.parametrize("reliable", [True, False])
def test_everyone_but_one(bench: Bench, reliable: bool) -> None:
    """A message to everyone but one goes to the others, and not back to its sender."""
    _, (ann, bob, carol) = call(bench, 3)
    ann.write(f.data(reliable=reliable, private=True, to=(3, [1], True)))
    ann.none("CC-RELAY-029", "DATA")
    bob.none("CC-ROSTER-059", "DATA")
    carol.one("CC-ROSTER-059", "DATA")


@positive("CC-RELAY-036", "CC-RELAY-037")
def test_limit_by_the_longest_queue(bench: Bench) -> None:
    """The owner's limit is lowered by the longest queue of a recipient, not by all of them."""
    _, (ann, bob, carol) = call(bench, 3, limits={"window": _WINDOW})
    size, count = 5_000, 6
    for sequence in range(1, 9):
        ann.write(f.data(bytes(size - 16), sequence=sequence))
    bob.hold()
    carol.hold()
    for sequence in range(9, 9 + count):
        ann.write(f.data(bytes(size - 16), sequence=sequence))
    ann.take()
    queued = {bob: count, carol: count}
    seen = 0
    for _ in range(count):
        for far in (bob, carol):
            queued[far] -= sum(frame["type"] == "DATA" for frame in far.pull())
            limit = (8 + count - max(queued.values())) * size + _WINDOW
            for credit in ann.take("CREDIT"):
                seen += 1
                expect_equal(credit["value"], limit, "CC-RELAY-036", f"{max(queued.values())} frames wait at most")
    expect(seen, "CC-RELAY-037", "CREDIT is due while the queues get shorter")
