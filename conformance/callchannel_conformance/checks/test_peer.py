# SPDX-License-Identifier: Apache-2.0
"""Peer-to-peer calls, both roles (chapter 11)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from callchannel_conformance import frames as f
from callchannel_conformance import wire
from callchannel_conformance.bench.far import Far
from callchannel_conformance.bench.links import Acceptor, Initiator, called, calling
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.helpers import (
    confirmed,
    failed,
    open_sender,
    read,
    read_all,
    received,
    send,
    sent,
    unsettled,
    verdict_of,
)
from callchannel_conformance.marks import negative, positive
from callchannel_conformance.outcome import expect, expect_equal

Call = Callable[[Bench], Far]
ROLES = pytest.mark.parametrize("call", [calling, called], ids=["initiator", "acceptor"])


def _own(far: Far) -> int:
    assert far.peer_slot is not None
    return far.peer_slot


def _theirs(far: Far) -> int:
    return 1 - _own(far)


@negative("CC-PEER-001", "CC-PEER-002", "CC-PEER-007")
@positive(
    "CC-PEER-002",
    "CC-PEER-007",
    "CC-ROSTER-071",
    "CC-ROSTER-072",
    "CC-LINK-022",
    "CC-LINK-026",
    "CC-LINK-027",
    "CC-PEER-001",
)
def test_accept(bench: Bench) -> None:
    """The acceptor gives slot 1, has slot 0, and writes one roster of epoch 1."""
    far = called(bench)
    welcome = far.welcome
    assert welcome is not None
    wanted = {"slot": 1, "id": "ann", "received": 0, "attempt": 1}
    expect_equal({key: welcome[key] for key in wanted}, wanted, "CC-PEER-002", "WELCOME")
    expect_equal((far.epoch, far.members), (1, {0: "me", 1: "ann"}), "CC-PEER-007", "the roster")
    joined = far.machine.take("joined")
    expect_equal([(e["identity"], e["slot"]) for e in joined], [("me", 0)], "CC-PEER-007", "the acceptor has joined")


@negative("CC-PEER-009", "CC-PEER-010")
@positive("CC-PEER-009", "CC-PEER-010", "CC-PEER-012", "CC-ROSTER-073")
@ROLES
def test_messages(bench: Bench, call: Call) -> None:
    """Both send and receive; control frames carry owner and receiver."""
    far = call(bench)
    sender, frame = sent(far, "CC-PEER-012")
    expect_equal(frame["sender"], _own(far), "CC-PEER-012", "its own slot")
    far.ack()
    confirmed(far.machine, sender, 1, "CC-DELIV-010")
    theirs = _theirs(far)
    block = (1, [_own(far)], False)
    receiver = received(far, f.data(b"a", sender=theirs, confirm=True, private=True, to=block), "CC-SESS-027")
    far.write(
        f.data(b"b", sender=theirs, sequence=2), f.data(b"c", sender=theirs, sequence=3, confirm=True, to=(1, [], True))
    )
    got = [bytes.fromhex(message["data"]) for message in read_all(far.machine, receiver)]
    expect_equal(got, [b"a", b"b", b"c"], "CC-PEER-009", "with and without a block")
    receipt = far.take("RECEIPT")[-1]
    told = (receipt["sender"], receipt["recipient"], receipt["value"])
    expect_equal(told, (theirs, _own(far), 3), "CC-PEER-012", "the owner's slot, then its own")


@negative("CC-ROSTER-073")
@ROLES
@pytest.mark.parametrize(
    ("block", "code"),
    [
        ((2, "own", False), "EPOCH"),
        ((1, "theirs", False), "SLOT"),
        ((1, "both", False), "SLOT"),
        ((1, "own", True), "SLOT"),
        ((1, "nine", False), "SLOT"),
    ],
    ids=["epoch", "writer", "both", "except", "unknown"],
)
def test_blocks(bench: Bench, call: Call, block: tuple[int, str, bool], code: str) -> None:
    """A block names exactly the peer, or everyone, under epoch 1."""
    far = call(bench)
    own, theirs = _own(far), _theirs(far)
    slots = {"own": [own], "theirs": [theirs], "both": [0, 1], "nine": [9]}[block[1]]
    far.write(f.data(sender=theirs, private=True, to=(block[0], slots, block[2])))
    far.ended("CC-ROSTER-073", code)


@positive("CC-PEER-013")
@negative("CC-PEER-013", "CC-FRAME-015")
@ROLES
def test_refuse(bench: Bench, call: Call) -> None:
    """REFUSE is HANDSHAKE."""
    far = call(bench)
    far.write(f.refuse(1, sender=_own(far)))
    far.ended("CC-PEER-013", "HANDSHAKE")


@positive("CC-PEER-008")
@negative("CC-PEER-008")
@ROLES
def test_second_roster(bench: Bench, call: Call) -> None:
    """A ROSTER from the initiator is HANDSHAKE, a second one from the acceptor EPOCH."""
    far = call(bench)
    far.write(
        f.roster(1) if isinstance(far, Initiator) else f.roster(1, f.join(0, "bob"), f.join(1, "me"), snapshot=True)
    )
    far.ended("CC-PEER-008", "HANDSHAKE" if isinstance(far, Initiator) else "EPOCH")


@negative("CC-PEER-012", "CC-LINK-080")
@ROLES
@pytest.mark.parametrize("kind", ["data", "close", "credit", "receipt", "fail", "aggregate"])
def test_slots(bench: Bench, call: Call, kind: str) -> None:
    """Frames with slots that their writer may not name are SLOT."""
    far = call(bench)
    own, theirs = _own(far), _theirs(far)
    frame = {
        "data": f.data(sender=own),
        "close": f.close(1, sender=own),
        "credit": f.credit(1, sender=theirs, recipient=own),
        "receipt": f.receipt(1, sender=own, recipient=own),
        "fail": f.fail(1, "LOST", sender=theirs, recipient=own),
        "aggregate": f.receipt(1, sender=own, recipient=f.NO_SLOT),
    }[kind]
    far.write(frame)
    far.ended("CC-LINK-080", "SLOT")


@negative("CC-PEER-011")
@positive("CC-PEER-011")
@ROLES
def test_everyone_but_the_peer(bench: Bench, call: Call) -> None:
    """A message to everyone but the peer succeeds at once, and nothing is written (S06)."""
    far = call(bench)
    name = "ann" if isinstance(far, Initiator) else "bob"
    sender = open_sender(far, exclude=[name])
    far.take()
    sequence = send(far, sender)
    far.none("CC-PEER-011", "DATA")
    confirmed(far.machine, sender, sequence, "CC-PEER-011")


@positive("CC-PEER-006", "CC-PEER-005")
@negative("CC-PEER-006", "CC-PEER-005")
@pytest.mark.parametrize("role", ["initiator", "acceptor"])
def test_largest_message(bench: Bench, role: str) -> None:
    """Each obeys the other's largest message; a small one is no TOO_SMALL."""
    far = calling(bench, largest_message=40_000) if role == "initiator" else called(bench, largest_message=40_000)
    sender = open_sender(far)
    far.machine.raises("CC-PEER-006", "MESSAGE_TOO_LARGE", "send", sender=sender, data="00" * 40_001)
    send(far, sender, bytes(40_000))
    expect(far.take("DATA"), "CC-PEER-006", "exactly the largest is taken")


@positive("CC-LINK-052", "CC-PEER-003")
@negative("CC-PEER-003", "CC-LINK-052")
@negative("CC-PEER-003")
def test_call_full(bench: Bench) -> None:
    """A fresh HELLO without REPLACE beside a living link is refused with CALL_FULL."""
    far = called(bench)
    other = Initiator(bench, far.machine, "ann")
    other.instance = bytes(16)
    other.connect()
    other.say_hello()
    other.ended("CC-PEER-003", "CALL_FULL")
    far.goes_on("CC-LINK-052")


@positive("CC-PEER-003")
@negative("CC-PEER-003")
def test_hello_after_leaving(bench: Bench) -> None:
    """Once its application has left, an acceptor refuses every HELLO with NOT_ADMITTED."""
    far = called(bench)
    far.machine.do("leave")
    far.ack()
    far.ended("CC-LINK-060", "LEFT")
    for replace in (False, True):
        other = Initiator(bench, far.machine, "ann")
        other.connect()
        other.say_hello(replace=replace)
        other.ended("CC-PEER-003", "NOT_ADMITTED")


@positive("CC-PEER-004", "CC-LINK-050", "CC-LINK-024")
@negative("CC-LINK-024", "CC-LINK-050", "CC-PEER-004")
@pytest.mark.parametrize("same", [True, False])
def test_replace(bench: Bench, same: bool) -> None:
    """REPLACE ends the old link when it comes from the same identity and instance."""
    far = called(bench)
    other = Initiator(bench, far.machine, "ann")
    if not same:
        other.instance = bytes(16)
    other.connect()
    other.say_hello(replace=True)
    if same:
        far.ended("CC-PEER-004", "REPLACED")
        expect(other.new("WELCOME"), "CC-PEER-004", "the new link is taken", actual=other.inbox)
        expect(other.new("WELCOME")[0]["token"] != far.token.hex(), "CC-LINK-024", "a new token")
    else:
        other.ended("CC-LINK-051", "CALL_FULL")
        far.goes_on("CC-LINK-051")


@positive("CC-SESS-060")
@negative("CC-SESS-060")
@ROLES
def test_old_session(bench: Bench, call: Call) -> None:
    """A Reliable frame of an unknown session that is not above the greatest is dropped without an error (R01)."""
    far = call(bench)
    theirs = _theirs(far)
    receiver = received(far, f.data(sender=theirs, session=5), "CC-SESS-027")
    read(far.machine, receiver)
    far.write(f.close(1, sender=theirs, session=5))
    far.machine.take()
    far.write(f.data(sender=theirs, session=5, sequence=2), f.data(sender=theirs, session=4, channel=9))
    expect_equal(far.machine.take("receiver_created"), [], "CC-SESS-060", "ended sessions do not come back")
    far.none("CC-SESS-060", "FAIL")
    far.goes_on("CC-SESS-060")


@positive("CC-PEER-015", "CC-SESS-023", "CC-DELIV-024", "CC-PEER-014")
@ROLES
def test_fail_of_the_peer(bench: Bench, call: Call) -> None:
    """The peer's FAIL ends the session for its owner too (S33)."""
    far = call(bench)
    sender, frame = sent(far, "CC-PEER-015")
    far.write(f.fail(1, "CLOSED", sender=_own(far), recipient=_theirs(far), session=frame["session"]))
    failed(far.machine, sender, 1, "CC-DELIV-022", "CLOSED")
    ended = far.machine.take("sender_ended")
    expect_equal([event["code"] for event in ended], ["CLOSED"], "CC-SESS-024", "the sender ends")
    far.machine.raises("CC-SESS-025", "CLOSED", "send", sender=sender, data="00")


@negative("CC-PEER-015", "CC-PEER-017", "CC-PEER-014")
@positive("CC-PEER-017", "CC-SESS-052")
@ROLES
def test_too_large_for_the_peer(bench: Bench, call: Call) -> None:
    """An endpoint answers what it does not take with FAIL and its own slot."""
    far = call(bench)
    hello = far.hello if isinstance(far, Acceptor) else far.welcome
    assert hello is not None
    far.write(f.data(sender=_theirs(far), fragment=(0, hello["largest_message"] + 1, False)))
    fail = far.one("CC-PEER-015", "FAIL")
    told = (fail["sender"], fail["recipient"], fail["reason"])
    expect_equal(told, (_theirs(far), _own(far), f.bye("TOO_LARGE")["code"]), "CC-PEER-017", "FAIL")


@positive("CC-PEER-016")
@negative("CC-PEER-016", "CC-PEER-014")
@ROLES
def test_slow_reader(bench: Bench, call: Call) -> None:
    """A reader that pauses holds its session, for as long as it pauses."""
    far = call(bench)
    receiver = received(far, f.data(bytes(16_000), sender=_theirs(far)), "CC-SESS-027")
    shown = far.hello if isinstance(far, Acceptor) else far.welcome
    assert shown is not None
    count = min(shown["window"] // 16_016, 15)
    for sequence in range(2, count + 1):
        far.write(f.data(bytes(16_000), sender=_theirs(far), sequence=sequence))
    bench.advance(90_000)
    far.none("CC-PEER-016", "FAIL")
    expect_equal(len(read_all(far.machine, receiver)), count, "CC-PEER-016", "everything stays readable")


@negative("CC-LINK-058", "CC-PEER-018", "CC-PEER-019", "CC-PEER-020")
@positive("CC-PEER-018", "CC-PEER-020", "CC-PEER-019", "CC-LINK-058")
@ROLES
@pytest.mark.parametrize("code", ["LEFT", "INTERNAL"])
def test_peer_leaves(bench: Bench, call: Call, code: str) -> None:
    """After BYE LEFT receivers end with LEFT and the peer left; otherwise LINK_LOST and LOST."""
    far = call(bench)
    sender, _ = sent(far, "CC-PEER-018")
    receiver = received(far, f.data(sender=_theirs(far)), "CC-SESS-027")
    far.machine.take()
    far.write(f.bye(code))
    expect(not far.machine.new_events("receiver_closed"), "CC-SESS-036", "unread messages stay readable")
    read(far.machine, receiver)
    events = far.machine.take()
    closed = [e["code"] for e in events if e["event"] == "receiver_closed"]
    expect_equal(closed, ["LEFT" if code == "LEFT" else "LINK_LOST"], "CC-PEER-018", "the receiver's end")
    left = [e["code"] for e in events if e["event"] == "participant_left"]
    expect_equal(left, ["LEFT" if code == "LEFT" else "LOST"], "CC-PEER-020", "the peer left")
    event = failed(far.machine, sender, 1, "CC-DELIV-039", "LINK_LOST")
    name = "ann" if isinstance(far, Initiator) else "bob"
    expect_equal(verdict_of(event, name), ("unknown", "LINK_LOST"), "CC-DELIV-039", "written, not acknowledged")


# --- the acceptor's link --------------------------------------------------------------------------


@negative("CC-LINK-014")
@positive("CC-LINK-028", "CC-LINK-029", "CC-LINK-047", "CC-LINK-048", "CC-LINK-014", "CC-LINK-023")
def test_acceptor_resume(bench: Bench) -> None:
    """An acceptor takes a resume: the same values, its count, and retransmission."""
    far = called(bench, window=65_536, largest_message=40_000)
    first = far.welcome
    assert first is not None
    sender, _ = sent(far, "CC-LINK-048")
    far.deaf = True
    second = send(far, sender)
    far.deaf = False
    far.write(f.data(sender=1))
    far.disconnect()
    far.take()
    welcome = far.resume(window=262_144, largest_message=1_000_000, identity="other")
    same = ("slot", "features", "token", "window", "largest_message", "resume_ms", "id")
    expect_equal(
        {k: welcome[k] for k in same}, {k: first[k] for k in same}, "CC-LINK-028", "the first WELCOME's values"
    )
    expect_equal((welcome["attempt"], welcome["received"]), (2, 1), "CC-LINK-029", "attempt and count")
    again = far.one("CC-LINK-048", "DATA")
    expect_equal(again["sequence"], second, "CC-LINK-048", "what was lost is repeated")
    unsettled(far.machine, sender, second, "CC-LINK-049")
    far.ack()
    confirmed(far.machine, sender, second, "CC-DELIV-010")
    expect(far.machine.take("suspended"), "CC-LINK-064", "L06: suspended was told")
    far.machine.raises("CC-LINK-014", "MESSAGE_TOO_LARGE", "send", sender=sender, data="00" * 40_001)
    sender = open_sender(far)
    for _ in range(2):
        send(far, sender, bytes(40_000))
    spent = sum(len(frame["payload"]) // 2 for frame in far.take("DATA"))
    expect(spent <= 65_536, "CC-LINK-014", "the first HELLO's window holds", expected=65_536, actual=spent)


@positive("CC-LINK-047", "CC-LINK-001")
def test_acceptor_resume_while_active(bench: Bench) -> None:
    """A resume while the link is active detaches the old transport; nobody is told (L19)."""
    far = called(bench)
    old = far.transport
    far.machine.take()
    far.resume()
    expect(old in far.closed, "CC-LINK-047", "the old transport is closed")
    expect_equal(far.machine.take("suspended", "resumed"), [], "CC-LINK-064", "L19: from ACTIVE to ACTIVE")


@negative("CC-LINK-016", "CC-LINK-017", "CC-LINK-018", "CC-LINK-019", "CC-FRAME-072", "CC-VER-003", "CC-VER-001")
@positive("CC-LINK-016", "CC-VER-003")
@pytest.mark.parametrize(
    ("packet", "code"),
    [
        ("41000009" + "43414c4c00", "FRAME_FORMAT"),
        ("4180000a" + "48454c4f0001", "HANDSHAKE"),
        ("4180000c" + "43414c4c0002beef", "VERSION"),
        ("4180000c" + "43414c4c0001beef", "FRAME_FORMAT"),
        (wire.encode_frame(f.hello(attempt=0), judge=False).hex(), "FRAME_FORMAT"),
        (wire.encode_frame(f.hello(resume=True, token=bytes(16)), judge=False).hex(), "RESUME_UNKNOWN"),
        (wire.encode_packet([f.hello(), f.ack(0)], judge=False).hex(), "HANDSHAKE"),
        (wire.encode_frame(f.ack(0)).hex(), "HANDSHAKE"),
        (wire.encode_frame(f.welcome(slot=1, identity="x")).hex(), "HANDSHAKE"),
        ("ca000004", "HANDSHAKE"),
        ("08000004", "UNKNOWN_TYPE"),
        ("", "PACKET_SIZE"),
    ],
    ids=[
        "short",
        "magic",
        "version",
        "format",
        "attempt",
        "resume-unknown",
        "frame-behind",
        "ack",
        "welcome",
        "grease",
        "type",
        "empty",
    ],
)
def test_hello_refused(bench: Bench, packet: str, code: str) -> None:
    """A HELLO is judged in the order of section 9.4; refusing means BYE and closing, and changes no link."""
    machine = bench.peer("acceptor", peer_identity="ann")
    far = Initiator(bench, machine, "ann")
    number = far.connect()
    far.write_bytes(bytes.fromhex(packet))
    byes = far.take("BYE")
    expect(byes, "CC-LINK-016", f"BYE {code}", actual=far.seen)
    expect_equal(byes[0]["code"], f.bye(code)["code"], "CC-LINK-016", "the code")
    if code == "HANDSHAKE" and packet.startswith("4100"):
        return
    expect(number in far.closed, "CC-LINK-016", "the transport is closed")
    good = Initiator(bench, machine, "ann")
    good.join()


@negative("CC-LINK-017")
@positive("CC-LINK-017")
@pytest.mark.parametrize("which", ["stale", "mismatch"])
def test_resume_refused(bench: Bench, which: str) -> None:
    """A stale attempt is refused and the link goes on; an impossible count ends it."""
    far = called(bench)
    other = Initiator(bench, far.machine, "ann")
    other.connect()
    fields: dict[str, Any] = {"attempt": 1} if which == "stale" else {"attempt": 9, "received": 500}
    other.write(f.hello(resume=True, token=far.token, identity="ann", **fields))
    if which == "stale":
        other.ended("CC-LINK-016", "RESUME_STALE")
        far.goes_on("CC-LINK-017")
    else:
        other.ended("CC-LINK-016", "RESUME_MISMATCH")
        far.ended("CC-LINK-017", "RESUME_MISMATCH")


@negative("CC-LINK-020")
@positive("CC-LINK-020", "CC-LINK-021")
def test_unbound_time(bench: Bench) -> None:
    """A transport without HELLO gets BYE TIMEOUT after `unbound_time`."""
    machine = bench.peer("acceptor", peer_identity="ann")
    far = Initiator(bench, machine, "ann")
    far.connect()
    limit = bench.client.hello().limits.get("unbound_time", {}).get("value", 10_000)
    bench.advance(limit - 20)
    far.none("CC-LIMIT-014", "BYE")
    bench.advance(70)
    far.ended("CC-LINK-020", "TIMEOUT")


@negative("CC-LINK-043", "CC-LINK-044")
@positive("CC-LINK-044", "CC-LINK-043", "CC-LINK-018")
def test_acceptor_resume_window(bench: Bench) -> None:
    """After the resume window the acceptor's link is dead, and its token unknown."""
    far = called(bench)
    assert far.welcome is not None
    far.disconnect()
    bench.advance(far.welcome["resume_ms"] + 50)
    ended = far.machine.take("link_ended")
    expect_equal([event["code"] for event in ended], ["LINK_LOST"], "CC-LINK-044", "LINK_LOST")
    far.attempt += 1
    far.connect()
    far.take()
    far.write(f.hello(resume=True, token=far.token, attempt=far.attempt, identity="ann"))
    far.ended("CC-LINK-018", "RESUME_UNKNOWN")


@positive("CC-ROSTER-071", "CC-ROSTER-072")
@negative("CC-ROSTER-071", "CC-ROSTER-072")
@pytest.mark.parametrize(
    ("roster", "code"),
    [
        (f.roster(2, f.join(0, "bob"), f.join(1, "me"), snapshot=True), "EPOCH"),
        (f.roster(1, f.join(0, "bob"), f.join(1, "me"), snapshot=True, more=True), "EPOCH"),
        (f.roster(1, f.join(0, "bob"), f.join(2, "me"), snapshot=True), "SLOT"),
        (f.roster(1, f.join(0, "bob"), f.join(1, "me"), f.join(2, "eve"), snapshot=True), "SLOT"),
        (f.roster(1, f.join(1, "me"), snapshot=True), "SLOT"),
    ],
    ids=["epoch", "more", "slots", "a-third", "alone"],
)
def test_wrong_roster(bench: Bench, roster: f.Frame, code: str) -> None:
    """A ROSTER of another epoch, with MORE, or with other slots than 0 and 1, ends the link."""
    far = Acceptor(bench, bench.peer("initiator"))
    far.members, far.peer_slot, far.epoch = {0: "bob", 1: "me"}, 1, 1
    far.connect()
    far.receive_hello()
    far.answer(deliver_snapshot=False)
    far.write(roster)
    far.ended("CC-ROSTER-072" if code == "EPOCH" else "CC-ROSTER-071", code)


@positive("CC-PEER-010", "CC-ROSTER-073")
@negative("CC-PEER-010", "CC-ROSTER-073")
@ROLES
def test_private_to_the_peer(bench: Bench, call: Call) -> None:
    """A message to the peer by name has a block that names it alone, under epoch 1, in the frame that it reads."""
    far = call(bench)
    name = "ann" if isinstance(far, Initiator) else "bob"
    _, frame = sent(far, "CC-PEER-010", to=[name])
    wanted = {"epoch": 1, "except": False, "slots": [_theirs(far)]}
    expect_equal(frame.get("recipients"), wanted, "CC-PEER-010", "the block stays")
    expect("PRIVATE" in frame["flags"], "CC-PEER-010", "it is private", actual=frame)
