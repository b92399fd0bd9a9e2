# SPDX-License-Identifier: Apache-2.0
"""The one ROSTER of a peer-to-peer call (sections 4.10 and 11.2)."""

from __future__ import annotations

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance.bench.links import Acceptor
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.marks import negative

_BOTH = (f.join(0, "bob"), f.join(1, "me"))


@negative("CC-ROSTER-072", "CC-PEER-007")
@pytest.mark.parametrize(
    ("roster", "code"),
    [
        (f.roster(1, *_BOTH, snapshot=True, more=True), "EPOCH"),
        (f.roster(2, *_BOTH, snapshot=True), "EPOCH"),
        (f.roster(1, *_BOTH), "EPOCH"),
        (f.roster(1, _BOTH[1], snapshot=True), "SLOT"),
        (f.roster(1, *_BOTH, f.join(2, "dan"), snapshot=True), "SLOT"),
    ],
    ids=["more", "epoch", "no-snapshot", "one", "three"],
)
def test_roster_of_the_acceptor(bench: Bench, roster: f.Frame, code: str) -> None:
    """The acceptor's ROSTER is one frame of epoch 1 with two slots; anything else ends the link."""
    far = Acceptor(bench, bench.peer("initiator"))
    far.members, far.peer_slot, far.epoch = {0: "bob", 1: "me"}, 1, 1
    far.connect()
    far.receive_hello()
    far.answer(deliver_snapshot=False)
    far.take()
    far.write(roster)
    far.ended("CC-ROSTER-072", code)
