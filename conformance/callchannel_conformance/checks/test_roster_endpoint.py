# SPDX-License-Identifier: Apache-2.0
"""Rosters and recipients at an endpoint (chapter 4)."""

from __future__ import annotations

from typing import Any

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance.bench.far import Frame
from callchannel_conformance.bench.links import Acceptor, group
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.helpers import (
    confirmed,
    cover,
    failed,
    open_sender,
    read_all,
    received,
    send,
    sent,
    verdict_of,
)
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal


def denoted(far: Acceptor, frame: Frame) -> set[int]:
    """The slots that the block of a frame denotes, by the present roster; everyone else without a block."""
    everyone = set(far.members) - {far.peer_slot or 0}
    block = frame.get("recipients")
    if block is None:
        return everyone
    named = set(block["slots"])
    return everyone - named if block["except"] else named & everyone


@negative("CC-ROSTER-003", "CC-ROSTER-026")
@positive("CC-ROSTER-017", "CC-ROSTER-026", "CC-ROSTER-018", "CC-ROSTER-003")
def test_snapshot(bench: Bench) -> None:
    """Joining is complete with the last frame of the snapshot, in however many; the participants are those."""
    far = Acceptor(bench, bench.endpoint())
    far.members, far.peer_slot, far.epoch = {0: "ann", 2: "me", 3: "ann"}, 2, 5
    far.connect()
    far.receive_hello()
    far.answer(deliver_snapshot=False)
    far.write(f.roster(5, f.join(0, "ann"), f.join(2, "me"), snapshot=True, more=True))
    far.machine.raises("CC-ROSTER-026", "NOT_JOINED", "open")
    far.write(f.roster(5, f.join(3, "ann"), f.suspended(3), snapshot=True))
    joined = far.machine.take("joined")
    expect_equal([(event["identity"], event["slot"]) for event in joined], [("me", 2)], "CC-ROSTER-026", "joined")
    shown = {who["slot"]: (who["identity"], who["suspended"]) for who in far.machine.look()["participants"]}
    shown.pop(2, None)
    expect_equal(shown, {0: ("ann", False), 3: ("ann", True)}, "CC-ROSTER-003", "two endpoints of one participant")


@negative("CC-ROSTER-019")
@pytest.mark.parametrize("entry", [f.leave(0), f.resumed(0)], ids=["leave", "resumed"])
def test_snapshot_entries(bench: Bench, entry: Frame) -> None:
    """Other entries than JOIN and SUSPENDED in a snapshot are SLOT."""
    far = Acceptor(bench, bench.endpoint())
    far.members, far.peer_slot, far.epoch = {0: "ann", 2: "me"}, 2, 5
    far.connect()
    far.receive_hello()
    far.answer(deliver_snapshot=False)
    far.write(f.roster(5, f.join(0, "ann"), f.join(2, "me"), entry, snapshot=True))
    far.ended("CC-ROSTER-019", "SLOT")


@negative("CC-ROSTER-020")
def test_no_snapshot(bench: Bench) -> None:
    """A first ROSTER without SNAPSHOT is EPOCH."""
    far = Acceptor(bench, bench.endpoint())
    far.members, far.peer_slot, far.epoch = {0: "ann", 2: "me"}, 2, 5
    far.connect()
    far.receive_hello()
    far.answer(deliver_snapshot=False)
    far.write(f.roster(5, f.join(0, "ann"), f.join(2, "me")))
    far.ended("CC-ROSTER-020", "EPOCH")


@negative("CC-ERR-020", "CC-ROSTER-029")
@positive("CC-ROSTER-029", "CC-ERR-020")
def test_changes(bench: Bench) -> None:
    """JOIN, LEAVE, SUSPENDED and RESUMED are told; what changes nothing is taken as no change."""
    far = group(bench)
    far.machine.take()
    far.change(f.join(4, "eve"), f.leave(1, "LOST"), f.suspended(0))
    told = [(e["event"], e["identity"], e["slot"]) for e in far.machine.take()]
    wanted = [("participant_joined", "eve", 4), ("participant_left", "bob", 1), ("participant_suspended", "ann", 0)]
    expect_equal(told, wanted, "CC-ERR-020", "the application is told of each change, in order")
    far.change(f.suspended(0))
    expect_equal(far.machine.take(), [], "CC-ROSTER-029", "no change")
    far.change(f.resumed(0), f.resumed(3))
    names = [(e["event"], e["identity"]) for e in far.machine.take()]
    expect_equal(names, [("participant_resumed", "ann")], "CC-ROSTER-029", "RESUMED of one that was not suspended")
    far.goes_on("CC-ROSTER-029")


@negative("CC-ROSTER-038", "CC-ROSTER-041", "CC-ROSTER-050")
@positive("CC-ROSTER-038", "CC-ROSTER-042", "CC-ROSTER-046", "CC-FRAME-044", "CC-ROSTER-043")
@pytest.mark.parametrize(
    ("options", "slots"),
    [
        ({}, {0, 1, 3, 4}),
        ({"to": ["ann"]}, {0, 4}),
        ({"to": ["ann", "bob"]}, {0, 1, 4}),
        ({"exclude": ["ann"]}, {1, 3}),
        ({"exclude": ["bob", "nobody"]}, {0, 3, 4}),
        ({"exclude": ["nobody"]}, {0, 1, 3, 4}),
        ({"exclude": ["ann", "bob", "dan"]}, set()),
    ],
    ids=["all", "two-devices", "two", "but-ann", "but-absent-too", "but-nobody", "but-all"],
)
@pytest.mark.parametrize("reliability", ["reliable", "lossy"])
def test_blocks(bench: Bench, options: dict[str, Any], slots: set[int], reliability: str) -> None:
    """What the application says is what the block denotes."""
    far = group(bench, members={0: "ann", 1: "bob", 2: "me", 3: "dan", 4: "ann"})
    _, frame = sent(far, "CC-ROSTER-046", reliability=reliability, **options)
    expect_equal(denoted(far, frame), slots, "CC-ROSTER-046", "whom the block denotes")
    everyone = not options or options == {"exclude": ["nobody"]}
    expect_equal("recipients" in frame, not everyone, "CC-ROSTER-050", "no block for everyone")


@negative("CC-ROSTER-039", "CC-ROSTER-040")
@positive("CC-ROSTER-039", "CC-ROSTER-040", "CC-ROSTER-041")
def test_absent_at_send(bench: Bench) -> None:
    """An absent identifier makes a Reliable send raise with all such; a Lossy one goes to the rest."""
    far = group(bench)
    sender = open_sender(far, to=["bob", "zed", "yan"])
    raised = far.machine.raises("CC-ROSTER-039", "UNKNOWN_RECIPIENT", "send", sender=sender, data="00")
    expect_equal(set(raised.recipients), {"zed", "yan"}, "CC-ROSTER-039", "all of them are named")
    own = open_sender(far, to=["me", "ann"])
    raised = far.machine.raises("CC-ROSTER-039", "UNKNOWN_RECIPIENT", "send", sender=own, data="00")
    expect_equal(raised.recipients, ("me",), "CC-ROSTER-039", "nobody has this identifier but the sender itself")
    far.none("CC-ROSTER-039", "DATA")
    _, frame = sent(far, "CC-ROSTER-040", reliability="lossy", to=["bob", "zed"])
    expect_equal(denoted(far, frame), {1}, "CC-ROSTER-040", "the rest gets it")
    lossy = open_sender(far, reliability="lossy", to=["zed"])
    far.take()
    expect_equal(far.machine.op("send", sender=lossy, data="00").raised, None, "CC-DELIV-067", "Lossy does not raise")
    far.none("CC-SESS-066", "DATA")


@positive("CC-ROSTER-044", "CC-ROSTER-049", "CC-ROSTER-046")
@negative("CC-ROSTER-060", "CC-ROSTER-044", "CC-ROSTER-046")
def test_changes_before_writing(bench: Bench) -> None:
    """The block is made when the message is first written: who left failed, who joined is none."""
    far = group(bench)
    sender = open_sender(far, to=["ann", "bob"])
    far.hold()
    sequence = send(far, sender)
    far.change(f.leave(1), f.join(4, "bob"))
    far.hold(held=False)
    frame = far.one("CC-ROSTER-044", "DATA")
    expect_equal(frame["recipients"]["epoch"], far.epoch, "CC-ROSTER-044", "the newest complete epoch")
    expect_equal(denoted(far, frame), {0}, "CC-ROSTER-046", "resolved at the send, still in the epoch")
    far.ack()
    event = failed(far.machine, sender, sequence, "CC-ROSTER-049", "UNKNOWN_RECIPIENT")
    expect_equal(verdict_of(event, "bob"), ("failed", "UNKNOWN_RECIPIENT"), "CC-ROSTER-049", "who left failed")


@negative("CC-ROSTER-043", "CC-ROSTER-049")
@positive("CC-ROSTER-049")
def test_all_gone_before_writing(bench: Bench) -> None:
    """If none is left the message is not written, and its number is spent (S18)."""
    far = group(bench)
    sender = open_sender(far, to=["bob"])
    far.hold()
    sequence = send(far, sender)
    far.change(f.leave(1))
    far.hold(held=False)
    far.none("CC-ROSTER-049", "DATA")
    failed(far.machine, sender, sequence, "CC-ROSTER-049", "UNKNOWN_RECIPIENT")
    far.machine.do("recipients", sender=sender, to=["ann"])
    expect_equal(send(far, sender), 2, "CC-ROSTER-043", "numbering goes on")


@negative("CC-ROSTER-047")
@positive("CC-ROSTER-047")
def test_excluded_joins_before_writing(bench: Bench) -> None:
    """An endpoint of an excluded identifier that joins before the writing is not denoted."""
    far = group(bench)
    sender = open_sender(far, exclude=["bob"])
    far.hold()
    send(far, sender)
    far.change(f.join(4, "bob"))
    far.hold(held=False)
    frame = far.one("CC-ROSTER-044", "DATA")
    expect(not denoted(far, frame) & {1, 4}, "CC-ROSTER-047", "no endpoint of bob", actual=frame)


@positive("CC-ROSTER-045")
@negative("CC-ROSTER-045")
def test_block_in_retransmission(bench: Bench) -> None:
    """A retransmission repeats the block, also when the roster has changed (the monitor compares bytes)."""
    far = group(bench)
    sender = open_sender(far, to=["ann", "bob"])
    far.take()
    far.deaf = True
    send(far, sender)
    far.deaf = False
    far.change(f.leave(1))
    far.disconnect()
    far.resume()
    frame = far.one("CC-ROSTER-045", "DATA")
    expect_equal(
        (frame["recipients"]["epoch"], frame["recipients"]["slots"]), (4, [0, 1]), "CC-ROSTER-045", "unchanged"
    )


@positive("CC-ROSTER-052", "CC-ROSTER-053")
@negative("CC-ROSTER-053", "CC-ROSTER-042", "CC-ROSTER-052")
def test_lossy_words(bench: Bench) -> None:
    """A Lossy block has at most 64 words: the writer takes the other form, or the send raises."""
    members = {slot: f"u{slot}" for slot in range(0, 32 * 140, 16)}
    members[2] = "me"
    far = group(bench, members=members, epoch=9)
    names = [members[slot] for slot in sorted(members) if slot != 2]
    few = names[:40]
    _, frame = sent(far, "CC-ROSTER-052", reliability="lossy", to=[name for name in names if name not in few])
    expect_equal(
        denoted(far, frame), {s for s, n in members.items() if n in names and n not in few}, "CC-ROSTER-052", "the set"
    )
    half = names[::2]
    sender = open_sender(far, reliability="lossy", to=half)
    far.machine.raises("CC-ROSTER-053", "TOO_MANY_RECIPIENTS", "send", sender=sender, data="00")
    reliable = open_sender(far, to=half)
    send(far, reliable)
    frame = far.take("DATA")[-1]
    expect_equal(
        denoted(far, frame), {s for s, n in members.items() if n in half}, "CC-ROSTER-042", "Reliable has no such limit"
    )


@positive("CC-SESS-053", "CC-SESS-055", "CC-ROSTER-070", "CC-SEC-005")
@negative("CC-SESS-055", "CC-ROSTER-011", "CC-SEC-005")
def test_occupants(bench: Bench) -> None:
    """Between LEAVE and the next JOIN messages are the old occupant's; then sessions are new ones."""
    far = group(bench)
    receiver = received(far, f.data(b"1"), "CC-SESS-027")
    far.change(f.leave(0))
    far.write(f.data(b"2", sequence=2))
    expect_equal(len(read_all(far.machine, receiver)), 2, "CC-SESS-053", "LEAVE ends no receiver")
    far.write(f.close(2, reason="LEFT"))
    far.change(f.join(0, "eve"))
    far.machine.take()
    far.write(f.data(b"new"))
    created = far.machine.take("receiver_created")
    expect_equal(
        [(e["identity"], e["session"]) for e in created], [("eve", 1)], "CC-SEC-005", "the new occupant's session"
    )
    far.none("CC-SESS-055", "FAIL")


@positive("CC-ROSTER-050", "CC-DELIV-002")
def test_excludes_everyone(bench: Bench) -> None:
    """A message that excludes everyone is written and succeeds with no recipients."""
    far = group(bench)
    sender, _ = sent(far, "CC-DELIV-002", exclude=["ann", "bob", "dan"])
    cover(far)
    confirmed(far.machine, sender, 1, "CC-DELIV-002")


@negative("CC-FRAME-096")
@positive("CC-FRAME-096")
def test_identifiers_by_bytes(bench: Bench) -> None:
    """Identifiers are compared byte by byte: no normalization, no folding of case."""
    composed, decomposed = "é", "e\u0301"
    far = group(bench, members={0: composed, 1: decomposed, 2: "me", 3: "Ann", 4: "ann"})
    _, frame = sent(far, "CC-FRAME-096", to=[decomposed])
    expect_equal(denoted(far, frame), {1}, "CC-FRAME-096", "no normalization")
    _, frame = sent(far, "CC-FRAME-096", to=["ann"])
    expect_equal(denoted(far, frame), {4}, "CC-FRAME-096", "no folding of case")


@positive("CC-ROSTER-068")
@negative("CC-ROSTER-068")
def test_block_of_every_fragment(bench: Bench) -> None:
    """All fragments of a Lossy message have the block of the first, also when the roster changes in its middle."""
    far = group(bench)
    sender = open_sender(far, reliability="lossy", to=["ann", "bob"])
    far.hold("lossy")
    send(far, sender, bytes(5_000))
    data = far.pull("lossy")
    far.change(f.leave(1), f.join(4, "bob"))
    far.take()
    far.hold("lossy", held=False)
    data += far.take("DATA")
    blocks = [frame["recipients"] for frame in data if frame["type"] == "DATA"]
    expect(len(blocks) > 1, "CC-ROSTER-068", "all fragments are written", actual=data)
    expect(all(block == blocks[0] for block in blocks), "CC-ROSTER-068", "one block", actual=blocks)
