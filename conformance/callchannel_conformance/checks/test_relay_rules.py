# SPDX-License-Identifier: Apache-2.0
"""What an endpoint may not write, judged by a relay, on both kinds of sessions (steps 8 to 10 of section 9.13)."""

from __future__ import annotations

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance.bench.links import member, settle
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.relay_scene import call
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect_equal

_BOTH = pytest.mark.parametrize("reliable", [True, False])


@negative("CC-ROSTER-010", "CC-LINK-080", "CC-SEC-005")
@_BOTH
def test_sender_is_another(bench: Bench, reliable: bool) -> None:
    """DATA under another's slot ends the link, and goes to nobody."""
    _, (ann, bob, carol) = call(bench, 3)
    ann.write(f.data(reliable=reliable, sender=2))
    ann.ended("CC-ROSTER-010", "SLOT")
    bob.none("CC-ROSTER-010", "DATA")
    carol.none("CC-ROSTER-010", "DATA")


@negative("CC-ROSTER-010")
def test_sender_is_another_on_the_lossy_lane(bench: Bench) -> None:
    """On the lossy lane such a frame is dropped with the rest of its packet."""
    _, (ann, bob) = call(bench, 2)
    ann.write(f.data(reliable=False, sender=1), f.data(reliable=False, session=2), lane="lossy")
    bob.none("CC-LINK-067", "DATA")
    ann.goes_on("CC-LINK-067")


@negative("CC-ROSTER-054", "CC-LINK-081")
@positive("CC-ROSTER-054")
@_BOTH
@pytest.mark.parametrize("held", [True, False])
def test_epoch_not_written_yet(bench: Bench, reliable: bool, held: bool) -> None:
    """The epoch of a block may be the newest one only once it was written to its writer's link."""
    relay, (ann, bob) = call(bench, 2)
    bench.advance(100)
    if held:
        ann.hold()
    carol = member(relay, "carol")
    bench.advance(100)
    ann.take()
    relay.take()
    ann.write(f.data(reliable=reliable, private=True, to=(3, [1], False)))
    if held:
        left = [(event["slot"], event["code"]) for event in relay.take("endpoint_left")]
        expect_equal(left, [(0, "EPOCH")], "CC-ROSTER-054", "the link ends with EPOCH")
        bob.none("CC-ROSTER-054", "DATA")
    else:
        settle(ann, bob, carol)
        expect_equal(len(bob.take("DATA")), 1, "CC-ROSTER-054", "epoch 3 was written")


@negative("CC-ROSTER-056", "CC-ROSTER-055")
@_BOTH
@pytest.mark.parametrize("is_except", [True, False])
@pytest.mark.parametrize("slot", [0, 9])
def test_block_names(bench: Bench, reliable: bool, is_except: bool, slot: int) -> None:
    """A block that names its writer, or a slot that nobody had, ends the link, EXCEPT or not."""
    _, (ann, bob) = call(bench, 2)
    ann.write(f.data(reliable=reliable, private=True, to=(2, sorted({1, slot}), is_except)))
    ann.ended("CC-ROSTER-056" if slot == 0 else "CC-ROSTER-055", "SLOT")
    bob.none("CC-ROSTER-055", "DATA")


@negative("CC-LINK-091")
@positive("CC-LINK-091")
@pytest.mark.parametrize("index", [0, 1])
@_BOTH
def test_private_without_block(bench: Bench, index: int, reliable: bool) -> None:
    """PRIVATE needs a block, in fragment 0 and in each fragment of a Lossy message."""
    _, (ann, bob) = call(bench, 2)
    block = (2, [1], False)
    size, total = (600, 1_300)
    parts = [
        f.data(bytes(size), reliable=reliable, private=True, fragment=(0, total, False), to=block if index else None),
        f.data(bytes(size), reliable=reliable, private=True, fragment=(1, total, False)),
    ]
    ann.write(parts[0])
    if index:
        ann.write(parts[1])
    if index and reliable:
        ann.goes_on("CC-LINK-091")
        expect_equal(len(bob.take("DATA")), 2, "CC-ROSTER-067", "a later Reliable fragment has none")
        return
    ann.ended("CC-LINK-091", "FRAME_FORMAT")
    expect_equal(len(bob.take("DATA")), index, "CC-LINK-091", "it goes to nobody")


_CONTROLS = {
    "receipt": f.receipt(1, sender=0, recipient=2),
    "credit": f.credit(300_000, sender=0, recipient=2),
    "fail": f.fail(1, "CLOSED", sender=0, recipient=2),
    "nobody": f.receipt(1, sender=0, recipient=f.NO_SLOT),
    "own-session": f.receipt(1, sender=1, recipient=1),
    "unknown-owner": f.receipt(1, sender=9, recipient=1),
    "close-of-another": f.close(1, sender=0),
}


@negative("CC-FRAME-061", "CC-LINK-080")
@pytest.mark.parametrize("name", _CONTROLS)
def test_control_of_another(bench: Bench, name: str) -> None:
    """RECEIPT, CREDIT, FAIL and CLOSE that name another than their writer end the link, and nobody is told."""
    _, (ann, bob, carol) = call(bench, 3)
    ann.write(f.data(confirm=True, to=(3, [], True)))
    settle(bob, carol)
    ann.take()
    bob.take()
    bob.write(_CONTROLS[name])
    bob.ended("CC-FRAME-061", "SLOT")
    ann.none("CC-FRAME-061", "RECEIPT")
