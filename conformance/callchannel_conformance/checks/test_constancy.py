# SPDX-License-Identifier: Apache-2.0
"""What stays the same in a session, at a relay and at a receiver (steps 12 of section 9.13)."""

from __future__ import annotations

from typing import Any

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance.bench.links import group
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.helpers import received
from callchannel_conformance.checks.relay_scene import call, code_of
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect_equal

_CHANGES = pytest.mark.parametrize(
    "change", [{"high": True}, {"channel": 6}, {"high": True, "channel": 6}], ids=["priority", "channel", "both"]
)
_CONFIRM = pytest.mark.parametrize("confirm", [False, True])


@negative("CC-SESS-062", "CC-RELAY-057", "CC-LINK-083")
@positive("CC-RELAY-059", "CC-RELAY-079")
@_CHANGES
@_CONFIRM
def test_at_a_relay(bench: Bench, change: dict[str, Any], confirm: bool) -> None:
    """A relay fails a Reliable session whose channel or priority changes, for its owner and for its recipients."""
    _, (ann, bob) = call(bench, 2)
    options: dict[str, Any] = {"confirm": True, "to": (2, [], True)} if confirm else {}
    ann.write(f.data(**options))
    bob.take()
    ann.take()
    ann.write(f.data(sequence=2, **options, **change))
    code = code_of("SESSION_MISMATCH")
    fail = ann.one("CC-SESS-062", "FAIL")
    told = (fail["recipient"], fail["value"], fail["reason"])
    expect_equal(told, (f.NO_SLOT, 2, code), "CC-SESS-062", "the session ends for all")
    came = [(frame["type"], frame["reason"]) for frame in bob.take("DATA", "FAIL", "CLOSE")]
    expect_equal(came, [("FAIL", code), ("CLOSE", code)], "CC-RELAY-059", "what the recipient gets")


@negative("CC-LINK-083")
@_CHANGES
@_CONFIRM
def test_at_a_receiver(bench: Bench, change: dict[str, Any], confirm: bool) -> None:
    """A receiver fails a Reliable session whose channel or priority changes."""
    far = group(bench)
    received(far, f.data(confirm=confirm), "CC-SESS-027")
    far.take()
    far.write(f.data(sequence=2, confirm=confirm, **change))
    fail = far.one("CC-LINK-083", "FAIL")
    told = (fail["value"], fail["reason"])
    expect_equal(told, (2, code_of("SESSION_MISMATCH")), "CC-LINK-083", "the session ends")
    far.goes_on("CC-LINK-071")


@negative("CC-LINK-083")
@_CHANGES
def test_lossy_at_a_receiver(bench: Bench, change: dict[str, Any]) -> None:
    """A Lossy frame with another channel or priority is dropped, and its session goes on."""
    far = group(bench)
    received(far, f.data(reliable=False), "CC-SESS-027", lane="lossy")
    far.machine.take()
    far.write(f.data(reliable=False, sequence=2, **change), lane="lossy")
    expect_equal(far.machine.take(), [], "CC-LINK-083", "nothing comes of it")
    far.none("CC-LINK-083", "FAIL")
