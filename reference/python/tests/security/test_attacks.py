# SPDX-License-Identifier: Apache-2.0
"""What a hostile endpoint of a group call can try against the others, and what comes of it (sections 16.2 to 16.9)."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from callchannel.core import frames as wire
from callchannel.core.errors import ReceiverClosed
from callchannel.core.extensions import Extension
from callchannel.core.frames import Fragment
from callchannel.core.lanes import Lane
from callchannel.core.recipients import NO_SLOT, Recipients
from callchannel.core.relay import EndpointLeft
from tests.core.relay.scripted import SECOND, Net
from tests.core.scripted import Script, data, in_group, lossy

FRAME_FORMAT, SLOT, EPOCH, PROTOCOL, RATE, NOT_ADMITTED = 0x07, 0x08, 0x09, 0x01, 0x11, 0x12
SEQUENCE, FRAGMENT, RESUME_UNKNOWN, REPLACED, CALL_FULL = 0x21, 0x22, 0x0D, 0x14, 0x13


class Scene:
    """Eve among Ann, Bob and Carol."""

    def __init__(self, **limits: int) -> None:
        self.net = Net(**limits)
        self.ann, self.bob, self.carol, self.eve = self.net.joined("ann", "bob", "carol", "eve")
        self.bob.say(1, b"before", session=90)

    def assert_only_eve_is_gone(self, code: int) -> None:
        """Her link has ended with a code, and the others have not even lost a message."""
        assert self.eve.bye == code
        assert [event.code for event in self.net.events if isinstance(event, EndpointLeft)] == [code]
        self.assert_others_go_on()

    def assert_others_go_on(self) -> None:
        """Messages of those who behave arrive, and none that Bob did not send."""
        self.bob.say(2, b"after", session=90)
        for client in (self.ann, self.carol):
            assert client.bye is None
            frames = [frame for frame in client.got(wire.Data) if frame.session == 90]
            assert [frame.payload for frame in frames] == [b"before", b"after"]
        assert self.bob.bye is None


# --- slots, epochs and counts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [
        wire.Data(5, 1, 90, 2, b"I am Bob", wire.RELIABLE),
        wire.Data(5, 1, 90, 2, b"I am Bob", 0),
        wire.Data(5, 9, 90, 2, b"I am nobody", wire.RELIABLE),
        wire.Close(1, NO_SLOT, 90, 1),
    ],
    ids=lambda frame: f"{type(frame).__name__}-{frame.sender}",
)
def test_a_spoofed_sender(frame: Any) -> None:
    """Threat T05: CC-ROSTER-010. Nobody gets it."""
    scene = Scene()
    scene.eve.send(frame)
    scene.assert_only_eve_is_gone(SLOT)


@pytest.mark.parametrize("kind", [wire.Receipt, wire.Credit, wire.Fail])
@pytest.mark.parametrize("recipient", [0, 2, NO_SLOT, 7])
def test_answers_for_another(kind: type[Any], recipient: int) -> None:
    """Threat T06: RECEIPT, CREDIT and FAIL of another recipient (CC-FRAME-061)."""
    scene = Scene()
    scene.eve.send(kind(1, recipient, 90, 1, 0x26 if kind is wire.Fail else 0))
    scene.assert_only_eve_is_gone(SLOT)
    assert scene.bob.got(wire.Fail) == []


def test_receipts_for_what_was_never_written() -> None:
    """Threat T06: CC-RELAY-071: a RECEIPT covers what was written to its writer, and no more."""
    scene = Scene()
    scene.bob.say(2, b"to two", session=91, confirm=True, to=[0, 3])
    scene.eve.receipt(1, 0xFFFF_FFFF, session=91)
    scene.net.run(SECOND)
    receipts = [frame for frame in scene.bob.got(wire.Receipt) if frame.session == 91]
    assert [(frame.recipient, frame.value) for frame in receipts] == [(3, 2)]


@pytest.mark.parametrize(("epoch", "code"), [(5, EPOCH), (0xFFFF_FFFF, EPOCH)])
def test_epochs_that_are_yet_to_come(epoch: int, code: int) -> None:
    """Threat T11: CC-ROSTER-054."""
    scene = Scene()
    scene.eve.say(1, b"x", to=[1], epoch=epoch)
    scene.assert_only_eve_is_gone(code)


def test_a_stale_epoch_names_those_of_that_time() -> None:
    """Threat T09, T11: whoever has a slot now gets nothing that was meant for its occupant of then (CC-ROSTER-060)."""
    scene = Scene()
    scene.eve.say(1, b"x", to=[1, 9], epoch=4)
    assert scene.eve.bye == SLOT
    late = scene.net.join("late")
    scene.net.run(SECOND)
    scene.bob.say(2, b"old", session=92, everyone_but=[0], epoch=4)
    assert late.payloads() == []
    assert b"old" in [frame.payload for frame in scene.carol.got(wire.Data)]


def test_a_former_participant_hears_nothing() -> None:
    """Threat T09: its slot is in quarantine; its link is dead, and so is its token."""
    scene = Scene()
    token = scene.eve.token
    scene.eve.leave()
    scene.net.run(SECOND)
    scene.bob.say(2, b"about eve", session=93)
    assert [frame.payload for frame in scene.eve.got(wire.Data) if frame.session == 93] == []
    scene.eve.connect()
    scene.eve.hello(resume=True, token=token)
    assert scene.eve.bye == RESUME_UNKNOWN
    newcomer = scene.net.join("dan")
    assert newcomer.slot != 3


@pytest.mark.parametrize("count", [1 << 40, (1 << 64) - 1])
def test_impossible_counts(count: int) -> None:
    """ACK of what was never written: CC-LINK-081."""
    scene = Scene()
    scene.eve.send(wire.Ack(count))
    scene.assert_only_eve_is_gone(PROTOCOL)


def test_a_count_that_goes_back() -> None:
    """ACK of less than before: CC-LINK-081."""
    scene = Scene()
    scene.eve.send(wire.Ack(0))
    scene.assert_only_eve_is_gone(PROTOCOL)


@pytest.mark.parametrize("count", [0, 1 << 40])
def test_impossible_counts_in_a_resume(count: int) -> None:
    """Its own link ends, nobody else's (CC-LINK-018, step 6 of section 9.4)."""
    scene = Scene()
    scene.eve.lose()
    scene.eve.connect()
    scene.eve.hello(resume=True, received=count)
    assert scene.eve.bye == 0x0F
    scene.net.run(SECOND)
    scene.assert_others_go_on()


# --- identities and tokens -----------------------------------------------------------------------------------------


def test_another_name_in_hello() -> None:
    """Threat T04: the identity is what admission says (CC-RELAY-001, CC-SEC-004)."""
    scene = Scene()
    eve = scene.net.client("eve")
    eve.hello(identity="ann")
    assert eve.one(wire.Welcome).identity == "eve"
    scene.net.run(SECOND)
    joined = [entry for frame in scene.ann.got(wire.Roster) for entry in frame.entries if entry.op == 1]
    assert [entry.identity for entry in joined] == ["eve"]


@pytest.mark.parametrize("guess", ["stolen", "zero", "one byte off"])
def test_a_stolen_or_guessed_token(guess: str) -> None:
    """Threat T07: a link is resumed by its own identity alone, and every answer is the same (CC-LINK-018)."""
    scene = Scene()
    token = scene.bob.token
    wanted = {"stolen": token, "zero": bytes(16), "one byte off": token[:-1] + bytes([token[-1] ^ 1])}[guess]
    thief = scene.net.client("eve")
    thief.hello(resume=True, token=wanted, received=scene.bob.received)
    answer = thief.one(wire.Bye)
    assert (answer.code, answer.text) == (RESUME_UNKNOWN, "no link is known by this token")
    assert thief.got(wire.Data) == []
    scene.assert_others_go_on()


def test_a_ghost_of_another() -> None:
    """Threat T08: REPLACE ends a link of the same identity and instance identifier alone (CC-LINK-050, 051)."""
    scene = Scene()
    thief = scene.net.client("eve")
    thief.hello(replace=True, token=scene.bob.instance)
    assert thief.one(wire.Welcome).identity == "eve"
    twin = scene.net.client("bob")
    twin.hello(replace=True, token=b"?" * 16)
    assert twin.one(wire.Welcome).identity == "bob"
    scene.assert_others_go_on()


def test_without_admission() -> None:
    """Threat T03: CC-RELAY-002, whatever HELLO says."""
    scene = Scene()
    for fields in ({}, {"resume": True, "token": scene.bob.token}, {"replace": True, "token": scene.bob.instance}):
        stranger = scene.net.client("bob", admission=None)
        stranger.hello(**fields)
        assert stranger.bye == NOT_ADMITTED
    scene.assert_others_go_on()


# --- who gets what -------------------------------------------------------------------------------------------------


def test_nobody_learns_who_else_was_addressed() -> None:
    """Threats T10 and T11: the recipient block does not leave the relay, and others get nothing (CC-RELAY-026)."""
    scene = Scene()
    scene.bob.say(2, b"secret", session=94, to=[0, 2])
    scene.bob.say(3, b"secret", session=94, to=[0])
    to_two, to_one = (frame for frame in scene.ann.got(wire.Data) if frame.session == 94)
    assert to_two.recipients is to_one.recipients is None
    assert to_two.flags == to_one.flags == wire.RELIABLE | wire.PRIVATE
    assert [frame for frame in scene.eve.got(wire.Data) if frame.session == 94] == []


# --- floods --------------------------------------------------------------------------------------------------------


def test_a_flood_of_control_frames() -> None:
    """Threat T13: CC-RELAY-074."""
    scene = Scene()
    for _ in range(4_000):
        if scene.eve.transport is None:
            break
        scene.eve.credit(1, 1 << 20, session=90)
    scene.assert_only_eve_is_gone(RATE)


def test_a_flood_of_tiny_frames() -> None:
    """Threat T12: frames that are skipped, empty messages, tiny fragments: credit counts headers, too."""
    scene = Scene()
    for _ in range(200):
        scene.eve.send(*[wire.Unknown(0x80, 0, b"")] * 4_000)
    for sequence in range(1, 2_000):
        scene.eve.send(wire.Data(5, 3, 1, sequence, b"", wire.RELIABLE))
        for client in (scene.ann, scene.bob, scene.carol):
            client.packets.clear()
    assert scene.eve.bye is None
    scene.assert_others_go_on()


def test_a_flood_of_sessions() -> None:
    """Threat T12: TOO_MANY_SESSIONS, and the others see none of them."""
    scene = Scene(open_sessions=16, new_sessions=1)
    for session in range(1, 500):
        scene.eve.say(1, session=session, channel=session)
    assert {frame.reason for frame in scene.eve.got(wire.Fail)} == {0x23}
    assert (
        len({frame.session for frame in scene.ann.frames if isinstance(frame, wire.Data) and frame.sender == 3}) == 16
    )
    scene.assert_others_go_on()


def test_joining_and_leaving_without_end() -> None:
    """Threat T14: slots stay in quarantine; the others get batches, and go on."""
    scene = Scene(roster_slots=64)
    for _ in range(200):
        scene.net.join("mallory").leave()
    rosters = [frame for frame in scene.ann.got(wire.Roster) for entry in frame.entries if entry.op == 1]
    assert len(rosters) <= 200
    scene.net.run(SECOND)
    scene.assert_others_go_on()


def test_half_open_transports() -> None:
    """Threat T14: they wait for `unbound_time`, and hold no slot."""
    scene = Scene(roster_slots=5)
    waiting = [scene.net.client("eve") for _ in range(100)]
    assert scene.net.join("dan").bye is None
    scene.net.run(11 * SECOND)
    assert {client.bye for client in waiting} == {0x10}
    scene.assert_others_go_on()


def test_a_reader_that_never_reads() -> None:
    """Threat T15: it costs the others `stall_time`, once, and is failed alone (CC-RELAY-039)."""
    scene = Scene()
    scene.eve.reads = False
    for written in range(1, 59):
        if scene.bob._own_limits.get(95, 262_144) < written * 16_016:
            scene.net.run(10 * SECOND)
        scene.bob.say(written, bytes(16_000), session=95)
    assert [(frame.recipient, frame.reason) for frame in scene.bob.got(wire.Fail)] == [(3, 0x24)]
    assert len([frame for frame in scene.carol.frames if isinstance(frame, wire.Data) and frame.session == 95]) == 58
    scene.assert_others_go_on()


# --- frames that are to break a reader -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "packet",
    [b"", b"\x01", bytes(4), b"\x01\x01\x00\x03", b"\xff" * 64, b"\x07\x00\x00\x08\x00\x00\x00\x01", bytes(16_385)],
    ids=len,
)
def test_malformed_packets(packet: bytes) -> None:
    """Threat T16: the link of who wrote them ends, nothing else (CC-SEC-013)."""
    scene = Scene()
    scene.eve.send_raw(packet)
    assert scene.eve.bye is not None
    scene.assert_others_go_on()


@pytest.mark.parametrize(
    "frame",
    [
        wire.Data(5, 3, 1, 1, b"x", wire.RELIABLE | wire.LATEST),
        wire.Data(0, 3, 1, 1, b"x", wire.RELIABLE),
        wire.Data(5, 3, 1, 1, b"x", wire.RELIABLE | wire.PRIVATE),
        wire.Data(5, 3, 1, 1, b"x", wire.CONFIRM),
        wire.Data(5, 3, 1, 1, b"", wire.RELIABLE, Fragment(0, 5)),
        wire.Data(5, 3, 1, 1, b"x", wire.RELIABLE, None, Recipients(4, False, 1 << 3)),
        wire.Data(5, 3, 1, 1, b"x", wire.RELIABLE, None, None, (Extension(1, b"a"), Extension(1, b"b"))),
    ],
    ids=range(7),
)
def test_what_would_break_others_stops_at_the_relay(frame: wire.Data) -> None:
    """Threat T17: CC-SEC-014: no frame reaches a recipient that it would end its link for."""
    scene = Scene()
    scene.eve.send(frame)
    assert scene.eve.bye in (FRAME_FORMAT, SLOT)
    assert [one for one in scene.ann.frames if isinstance(one, wire.Data) and one.sender == 3] == []
    scene.assert_others_go_on()


# --- fragments: the table of section 16.7 ---------------------------------------------------------------------------


def piece(index: int, total: int, payload: bytes = b"x" * 600, *, last: bool = False, **fields: Any) -> wire.Data:
    return data(1, 1, payload, fragment=Fragment(index, total, last), **fields)


def outcome(script: Script) -> tuple[list[int], dict[str, int], int]:
    """FAIL codes, drops, and messages that could be read."""
    codes = [frame.reason for frame in script.pull() if isinstance(frame, wire.Fail)]
    drops = dict(script.machine.statistics().drops)
    read = 0
    with contextlib.suppress(ReceiverClosed):
        while script.machine.read(1, script.now) is not None:
            read += 1
    return codes, drops, read


@pytest.mark.parametrize(
    ("attempt", "code"),
    [
        ([piece(0, 1 << 31)], 0x29),
        ([piece(0, 2_000), piece(1, 3_000)], FRAGMENT),
        ([piece(0, 1_000), piece(1, 1_000)], FRAGMENT),
        ([piece(0, 5_000), piece(1, 5_000, last=True)], FRAGMENT),
        ([piece(0, 5_000), piece(2, 5_000)], SEQUENCE),
        ([piece(0, 5_000), piece(0, 5_000)], SEQUENCE),
        ([piece(0, 5_000), data(1, 2, b"other")], SEQUENCE),
    ],
    ids=["4 GiB", "total changes", "too many bytes", "too few", "left out", "twice", "another begins"],
)
def test_reliable_fragments_that_lie(attempt: list[wire.Data], code: int) -> None:
    """Threat T18: the session ends, the link does not, and nobody reads half a message."""
    script = in_group()
    script.give(*attempt)
    codes, _, read = outcome(script)
    assert (codes, read) == ([code], 0)
    assert script.machine.statistics().bytes_buffered == 0
    assert script.machine.state.value == "ACTIVE"


@pytest.mark.parametrize(
    ("attempt", "reason"),
    [
        ([(0, 5_000, 600), (1, 6_000, 600)], "mismatch"),
        ([(0, 1_000, 600), (1, 1_000, 600)], "mismatch"),
        ([(0, 1_800, 600), (0, 1_800, 600)], "duplicate"),
    ],
    ids=["total changes", "too many bytes", "twice"],
)
def test_lossy_fragments_that_lie(attempt: list[tuple[int, int, int]], reason: str) -> None:
    """Threat T18: the message is dropped and counted (CC-SEC-015: no byte is given twice)."""
    script = in_group()
    for at, (index, total, size) in enumerate(attempt):
        frame = lossy(1, 1, bytes([65 + at]) * size, fragment=Fragment(index, total))
        script.give(frame, lane=Lane.LOSSY)
    codes, drops, read = outcome(script)
    assert (codes, drops, read) == ([], {reason: 1}, 0)
    if reason == "duplicate":
        for index, last in ((1, False), (2, True)):
            script.give(lossy(1, 1, b"z" * 600, fragment=Fragment(index, 1_800, last)), lane=Lane.LOSSY)
        message = script.machine.read(1, script.now)
        assert message.data == b"A" * 600 + b"z" * 1_200, "the second did not change a byte of the first"


def test_replayed_lossy_messages() -> None:
    """Threat T19: at most once (CC-LINK-085)."""
    script = in_group()
    frame = lossy(1, 1, b"once")
    for _ in range(50):
        script.give(frame, lane=Lane.LOSSY)
    assert outcome(script)[1:] == ({"duplicate": 49}, 1)


def test_abort_again_and_again() -> None:
    """Threat T18: each spends a sequence; nothing is held."""
    script = in_group()
    for sequence in range(1, 501):
        script.give(
            data(1, sequence, b"x", fragment=Fragment(0, 0)),
            data(1, sequence, b"", fragment=Fragment(1, 0, abort=True)),
        )
    assert script.machine.statistics().bytes_buffered == 0
    assert script.machine.state.value == "ACTIVE"
