# SPDX-License-Identifier: Apache-2.0
"""Who is a recipient of which message, and which messages ask for receipts (sections 7.2 to 7.4)."""

from __future__ import annotations

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance.bench.links import group
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.helpers import failed, open_sender, send, sent
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal


@positive("CC-DELIV-007", "CC-DELIV-039")
@negative("CC-DELIV-007", "CC-DELIV-038")
def test_recipients_of_everyone(bench: Bench) -> None:
    """The recipients of a message to everyone are those of the roster when its first frame is written."""
    far = group(bench)
    sender = open_sender(far, confirm="delivered")
    far.hold()
    sequence = send(far, sender)
    far.change(f.join(4, "eve"), f.leave(1))
    far.hold(held=False)
    far.one("CC-DELIV-007", "DATA")
    far.change(f.join(5, "fay"))
    far.ack()
    far.machine.take()
    far.write(f.bye("GOING_AWAY"))
    report = failed(far.machine, sender, sequence, "CC-DELIV-039", "LINK_LOST")["report"]
    expect_equal(
        sorted(name for name, _ in report["unknown"]), ["ann", "dan", "eve"], "CC-DELIV-007", "those at the writing"
    )
    expect_equal(list(report["failed"]), [], "CC-DELIV-039", "nobody failed for sure")


@positive("CC-DELIV-012", "CC-FRAME-024")
@negative("CC-DELIV-012", "CC-FRAME-024")
@pytest.mark.parametrize("confirm", ["accepted", "delivered"])
def test_confirm_in_every_frame(bench: Bench, confirm: str) -> None:
    """CONFIRM and PRIVATE stand in all frames of a message or in none, whatever is changed in its middle."""
    far = group(bench)
    sender = open_sender(far, confirm=confirm)
    far.hold()
    send(far, sender, bytes(60_000))
    data = far.pull()
    far.machine.do("recipients", sender=sender, to=["ann"])
    send(far, sender)
    far.hold(held=False)
    data += [frame for frame in far.take("DATA") if frame not in data]
    flags = [[name for name in ("CONFIRM", "PRIVATE") if name in frame["flags"]] for frame in data if "flags" in frame]
    wanted = ["CONFIRM"] if confirm == "delivered" else []
    expect_equal(flags[:-1], [wanted] * (len(flags) - 1), "CC-FRAME-024", "all fragments alike")
    expect_equal(flags[-1], [*wanted, "PRIVATE"], "CC-DELIV-012", "the next message has its own")
    _, frame = sent(far, "CC-DELIV-012", reliability="lossy")
    expect("CONFIRM" not in frame["flags"], "CC-DELIV-012", "a Lossy message never asks for receipts", actual=frame)


@positive("CC-DELIV-054", "CC-DELIV-051")
@negative("CC-DELIV-054", "CC-DELIV-052")
def test_consumed_by_abort(bench: Bench) -> None:
    """What is discarded counts as consumed: after ABORT the limit is the received bytes and the whole window."""
    far = group(bench)
    assert far.hello is not None
    window, total = far.hello["window"], far.hello["largest_message"]
    count = window * 3 // 4 // 16_384
    for index in range(count):
        far.write(f.data(bytes(16_360), fragment=(index, total, False)))
    before = max([window, *(credit["value"] for credit in far.take("CREDIT"))])
    expect(
        before <= count * 16_384 + window // 2 + 1, "CC-DELIV-052", "while partial: half of the window", actual=before
    )
    far.write(f.abort(index=count, total=total))
    given = far.one("CC-DELIV-054", "CREDIT")["value"]
    expect_equal(given, count * 16_384 + window, "CC-DELIV-054", "the discarded bytes are consumed, ABORT costs none")
