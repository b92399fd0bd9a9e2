# SPDX-License-Identifier: Apache-2.0
"""Roles in a peer-to-peer call stay what signalling made them (section 11.3)."""

from __future__ import annotations

from callchannel_conformance.bench.links import called, calling
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.helpers import sent
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect


@negative("CC-PEER-001")
@positive("CC-PEER-001")
def test_initiator_stays(bench: Bench) -> None:
    """An initiator writes HELLO on each transport, the second and the third as well as the first."""
    far = calling(bench)
    for _ in range(2):
        far.disconnect()
        far.connect()
        expect(far.new("HELLO", resume=True), "CC-PEER-001", "the initiator writes HELLO", actual=far.inbox)
        far.take_up(far.receive_hello(resume=True))
        sent(far, "CC-PEER-001")


@negative("CC-PEER-001")
@positive("CC-PEER-001")
def test_acceptor_stays(bench: Bench) -> None:
    """An acceptor waits for HELLO on each transport, and answers it."""
    far = called(bench)
    for _ in range(2):
        far.disconnect()
        far.take()
        number = far.connect(detach=False)
        far.transport = number
        bench.advance(1_000)
        far.none("CC-PEER-001", "HELLO", "WELCOME")
        far.disconnect()
        far.resume()
        sent(far, "CC-PEER-001")
