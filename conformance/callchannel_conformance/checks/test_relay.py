# SPDX-License-Identifier: Apache-2.0
"""A relay: forwarding and refusing (sections 10.5 and 10.6)."""

from __future__ import annotations

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance.bench.far import Frame
from callchannel_conformance.bench.links import member
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.relay_scene import call, code_of, data
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal

# --- forwarding -----------------------------------------------------------------------------------


@positive(
    "CC-RELAY-025",
    "CC-RELAY-027",
    "CC-ROSTER-058",
    "CC-RELAY-030",
    "CC-EXT-005",
    "CC-FRAME-104",
    "CC-RELAY-015",
    "CC-MODEL-012",
    "CC-EXT-006",
    "CC-EXT-017",
    "CC-RELAY-028",
)
@negative(
    "CC-RELAY-029",
    "CC-MODEL-012",
    "CC-EXT-006",
    "CC-RELAY-028",
    "CC-EXT-017",
    "CC-FRAME-104",
    "CC-RELAY-025",
    "CC-RELAY-027",
    "CC-EXT-005",
    "CC-RELAY-015",
    "CC-RELAY-030",
)
@pytest.mark.parametrize("reliable", [True, False])
def test_forwarding(bench: Bench, reliable: bool) -> None:
    """DATA without a block goes to all others byte for byte, as it comes, extensions untouched."""
    _, members = call(bench)
    sender = members[2]
    lane = "reliable" if reliable else "lossy"
    extensions = [(3, b"\0\0", False), (0x7001, b"x", True)]
    parts = [
        f.data(b"a" * 600, sender=2, reliable=reliable, fragment=(0, 605, False), extensions=extensions, high=True),
        f.data(b"b" * 5, sender=2, reliable=reliable, fragment=(1, 605, True), high=True),
        f.data(b"", sender=2, reliable=reliable, sequence=2, high=True),
    ]
    for index, part in enumerate(parts):
        sender.write(part, lane=lane)
        for far in (members[0], members[1], members[3]):
            came = far.take("DATA")
            expect_equal(came, [part], "CC-RELAY-025", f"frame {index} is forwarded at once, as it is")
    sender.none("CC-RELAY-029", "DATA")


@positive("CC-RELAY-026", "CC-ROSTER-059", "CC-ROSTER-066", "CC-RELAY-014", "CC-MODEL-013", "CC-ROSTER-060")
@negative("CC-MODEL-013", "CC-ROSTER-060", "CC-RELAY-026", "CC-ROSTER-066")
@pytest.mark.parametrize(
    ("block", "slots"),
    [(((4, [1, 3], False)), {1, 3}), ((4, [1], True), {0, 3}), ((4, [0, 1, 3], True), set()), ((2, [1], False), {1})],
    ids=["some", "but", "nobody", "old-epoch"],
)
@pytest.mark.parametrize("reliable", [True, False])
def test_private(bench: Bench, block: tuple[int, list[int], bool], slots: set[int], reliable: bool) -> None:
    """A private message reaches those whom its block denotes, and nobody else, without the block."""
    _, members = call(bench)
    frame = f.data(sender=2, private=True, to=block, reliable=reliable)
    members[2].write(frame, lane="reliable" if reliable else "lossy")
    wanted = {key: value for key, value in frame.items() if key != "recipients"}
    for slot, far in enumerate(members):
        expect_equal(far.take("DATA"), [wanted] if slot in slots else [], "CC-RELAY-026", f"slot {slot}")


@negative("CC-ROSTER-060", "CC-RELAY-014", "CC-ROSTER-067", "CC-ROSTER-016", "CC-ROSTER-058", "CC-ROSTER-069")
@positive("CC-ROSTER-067", "CC-ROSTER-069")
@pytest.mark.parametrize("reliable", [True, False])
def test_joins_in_mid_message(bench: Bench, reliable: bool) -> None:
    """Who joins in mid-message gets nothing of a Reliable one, and the rest of a Lossy one without a block."""
    relay, members = call(bench)
    lane = "reliable" if reliable else "lossy"
    members[2].write(f.data(b"a" * 600, sender=2, reliable=reliable, fragment=(0, 605, False)), lane=lane)
    eve = member(relay, "eve")
    members[2].write(f.data(b"b" * 5, sender=2, reliable=reliable, fragment=(1, 605, True)), lane=lane)
    requirement = "CC-ROSTER-067" if reliable else "CC-ROSTER-069"
    expect_equal(len(eve.take("DATA")), 0 if reliable else 1, requirement, "what the joiner gets")
    members[2].write(f.data(sender=2, reliable=reliable, sequence=2), lane=lane)
    expect_equal(len(eve.take("DATA")), 1, "CC-ROSTER-058", "the next message reaches it")


@negative("CC-ROSTER-069")
@positive("CC-ROSTER-069")
def test_lossy_fragments_by_their_blocks(bench: Bench) -> None:
    """Each Lossy fragment goes to those whom its own block denotes."""
    _, (ann, bob, owner) = call(bench, 3)
    for index, slot in ((0, 0), (1, 1), (2, 0)):
        part = f.data(
            bytes(600),
            sender=2,
            reliable=False,
            private=True,
            to=(3, [slot], False),
            fragment=(index, 1_800, index == 2),
        )
        owner.write(part, lane="lossy")
    got = [[frame["fragment"]["index"] for frame in far.take("DATA")] for far in (ann, bob)]
    expect_equal(got, [[0, 2], [1]], "CC-ROSTER-069", "the indexes that Ann and Bob get")


@negative("CC-RELAY-028")
@positive("CC-RELAY-028")
def test_kept_as_they_are(bench: Bench) -> None:
    """Frames of a session that wait for a recipient are neither cut, joined nor reordered, whatever their size."""
    _, (ann, _, owner) = call(bench, 3)
    parts = [
        f.data(b"a" * 500, sender=2, fragment=(0, 503, False)),
        f.data(b"b", sender=2, fragment=(1, 503, False)),
        f.data(b"cc", sender=2, fragment=(2, 503, True)),
        f.data(b"d" * 900, sender=2, sequence=2),
        f.data(b"", sender=2, sequence=3),
        f.data(b"e" * 12_000, sender=2, sequence=4),
        f.data(b"f", sender=2, sequence=5),
    ]
    ann.hold()
    for part in parts:
        owner.write(part)
    ann.hold(held=False)
    expect_equal(ann.take("DATA"), parts, "CC-RELAY-028", "the frames as their owner cut them, in its order")


@positive("CC-LINK-091", "CC-ROSTER-054", "CC-ROSTER-057")
@negative(
    "CC-ROSTER-054", "CC-ROSTER-055", "CC-ROSTER-056", "CC-ROSTER-010", "CC-LINK-091", "CC-FRAME-046", "CC-ROSTER-057"
)
@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (f.data(sender=2, private=True, to=(5, [1], False)), "EPOCH"),
        (f.data(sender=2, private=True, to=(4, [9], False)), "SLOT"),
        (f.data(sender=2, private=True, to=(1, [3], False)), "SLOT"),
        (f.data(sender=2, private=True, to=(4, [2], False)), "SLOT"),
        (f.data(sender=2, private=True, to=(4, [2], True)), "SLOT"),
        (f.data(sender=2, private=True, to=(5, [9], False)), "EPOCH"),
        (f.data(sender=1), "SLOT"),
        (f.data(sender=1, private=True), "FRAME_FORMAT"),
        (f.data(sender=2, private=True), "FRAME_FORMAT"),
        (f.close(1, sender=1), "SLOT"),
        (f.credit(1, sender=0, recipient=1), "SLOT"),
        (f.credit(1, sender=2, recipient=2), "SLOT"),
        (f.credit(1, sender=9, recipient=2), "SLOT"),
        (f.refuse(1, sender=2), "HANDSHAKE"),
        (f.roster(5, f.join(5, "x")), "HANDSHAKE"),
    ],
    ids=[
        "epoch-new", "slot-never", "slot-not-in-epoch", "own-slot", "own-slot-except", "epoch-before-slot",
        "other-sender", "format-before-slot", "private-without-block", "close-other", "credit-recipient", "credit-own",
        "credit-nobody", "refuse", "roster",
    ],
)  # fmt: skip
def test_faults_of_an_endpoint(bench: Bench, frame: Frame, code: str) -> None:
    """What an endpoint may not write ends its link, and nobody else's; nothing of it is forwarded."""
    _, members = call(bench)
    members[2].write(frame)
    members[2].ended("CC-LINK-066", code)
    for slot in (0, 1, 3):
        expect_equal(members[slot].take("DATA"), [], "CC-SEC-014", "nothing is forwarded")
        members[slot].goes_on("CC-RELAY-066")


@negative("CC-RELAY-034", "CC-FRAME-098")
@positive("CC-RELAY-034")
def test_not_forwarded(bench: Bench) -> None:
    """Unknown types are skipped and never forwarded."""
    _, members = call(bench)
    members[2].write(f.unknown(0x8A, b"x"), f.unknown(0xCA, b"x"), f.data(sender=2))
    came = members[0].take()
    # Grease of its own the relay may write; what it was given it may not.
    strangers = [frame for frame in came if frame["type"] == "UNKNOWN" and frame["body"] == b"x".hex()]
    expect_equal(strangers, [], "CC-RELAY-034", "frames of unknown types are not forwarded")
    expect_equal(len([frame for frame in came if frame["type"] == "DATA"]), 1, "CC-RELAY-034", "DATA is")


@positive("CC-RELAY-031", "CC-RELAY-032", "CC-ERR-010")
@negative("CC-RELAY-031", "CC-ERR-010", "CC-RELAY-032")
def test_close(bench: Bench) -> None:
    """CLOSE goes to those for whom DATA was queued, behind it, with its code."""
    _, members = call(bench)
    members[2].write(f.data(sender=2, private=True, to=(4, [0], False)))
    members[2].write(f.close(1, sender=2, reason=0xF00D))
    came = members[0].take("DATA", "CLOSE")
    expect_equal([x["type"] for x in came], ["DATA", "CLOSE"], "CC-RELAY-032", "behind the data")
    expect_equal(came[-1]["reason"], 0xF00D, "CC-ERR-010", "with the code that the owner gave")
    members[1].none("CC-RELAY-031", "CLOSE", "DATA")


@negative("CC-RELAY-033")
@positive("CC-RELAY-033", "CC-LINK-004")
def test_lane_by_recipient(bench: Bench) -> None:
    """A Lossy frame takes the lane that the recipient's link has."""
    _, members = call(bench)
    members[0].lossy_lane(False)
    members[2].write(f.data(sender=2, reliable=False), lane="lossy")
    lanes = [far.seen[-1].lane for far in (members[0], members[1])]
    expect_equal(lanes, ["reliable", "lossy"], "CC-RELAY-033", "by the recipient's link")


# --- refusing -------------------------------------------------------------------------------------


@positive(
    "CC-RELAY-016",
    "CC-RELAY-017",
    "CC-RELAY-018",
    "CC-RELAY-021",
    "CC-RELAY-023",
    "CC-SESS-062",
    "CC-FRAME-060",
    "CC-RELAY-019",
    "CC-RELAY-020",
)
@negative(
    "CC-RELAY-019",
    "CC-RELAY-020",
    "CC-RELAY-021",
    "CC-FRAME-060",
    "CC-SESS-062",
    "CC-RELAY-016",
    "CC-RELAY-018",
    "CC-RELAY-023",
)
def test_refuse(bench: Bench) -> None:
    """A message that is too large is refused before its ACK, its fragments dropped; a stream never for its length."""
    _, members = call(bench, limits={"largest_message": 40_000})
    owner = members[2]
    owner.hold()
    owner.write(f.data(b"abc", sender=2, fragment=(0, 40_001, False)))
    bench.advance(30)
    owner.hold(held=False)
    kinds = [x["type"] for x in owner.new("REFUSE", "ACK")]
    expect_equal(kinds[:1], ["REFUSE"], "CC-RELAY-023", "REFUSE before the ACK that covers its frame")
    refuse = owner.one("CC-RELAY-018", "REFUSE")
    expect_equal((refuse["value"], refuse["reason"]), (1, code_of("MESSAGE_TOO_LARGE")), "CC-RELAY-016", "REFUSE")
    owner.write(
        f.data(b"abc", sender=2, fragment=(1, 40_001, False)),
        f.data(b"x", sender=2, fragment=(7, 5, True)),
        f.abort(index=9, total=1, sender=2),
    )
    owner.write(
        f.data(b"abc", sender=2, sequence=2, fragment=(0, 0, False)),
        f.data(b"d", sender=2, sequence=2, fragment=(1, 0, True)),
    )
    owner.none("CC-RELAY-021", "FAIL", "REFUSE", "BYE")
    expect_equal([s for _, s, _ in data(members[0])], [2, 2], "CC-RELAY-019", "only the stream arrives")
    owner.write(f.data(sender=2, channel=9, sequence=3))
    expect_equal(
        owner.one("CC-SESS-062", "FAIL")["reason"],
        code_of("SESSION_MISMATCH"),
        "CC-SESS-062",
        "the refused first frame fixed the channel",
    )


@positive("CC-RELAY-017")
@negative("CC-RELAY-017")
def test_policy(bench: Bench) -> None:
    """What policy forbids is refused with POLICY, or dropped if it is Lossy."""
    bench.client.needs(feature="policy")
    _, members = call(bench, policy="no-channel-9")
    members[2].write(f.data(sender=2, channel=9))
    expect_equal(
        members[2].one("CC-RELAY-017", "REFUSE")["reason"], code_of("POLICY"), "CC-RELAY-017", "REFUSE(POLICY)"
    )
    members[2].write(f.data(sender=2, channel=9, session=2, reliable=False), lane="lossy")
    members[2].none("CC-RELAY-017", "REFUSE")
    members[0].none("CC-RELAY-017", "DATA")
    members[2].write(f.data(sender=2, channel=8, session=3))
    expect(members[0].take("DATA"), "CC-RELAY-017", "the rest is forwarded")


@negative("CC-RELAY-017")
def test_may_not_send(bench: Bench) -> None:
    """Who may not send is refused with POLICY, and goes on receiving."""
    bench.client.needs(feature="may_send")
    relay = bench.relay()
    ann, bob = member(relay, "ann"), member(relay, "bob", may_send=False)
    bob.write(f.data(sender=1))
    expect_equal(bob.one("CC-RELAY-017", "REFUSE")["reason"], code_of("POLICY"), "CC-RELAY-017", "REFUSE(POLICY)")
    ann.write(f.data(sender=0))
    expect(bob.take("DATA"), "CC-RELAY-017", "it receives")
