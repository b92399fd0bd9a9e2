# SPDX-License-Identifier: Apache-2.0
"""The validation order (section 9.13): a packet with two faults shows the code of the earlier step.

Each pair of adjacent steps is tried at an endpoint in a group call and at one in a peer-to-peer call, as far as that
role has both steps; what concerns the link alone, at acceptors, too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from callchannel.core import frames as wire
from callchannel.core.errors import ErrorCode, error_name
from callchannel.core.events import LinkEnded
from callchannel.core.extensions import Extension
from callchannel.core.lanes import Lane
from callchannel.core.recipients import Recipients
from callchannel.core.relay import Admission, EndpointLeft, Relay
from tests.core.scripted import (
    SECOND,
    Script,
    accepted,
    acceptor,
    counter_entropy,
    data,
    hello,
    in_group,
    initiator,
    lossy,
    with_peer,
)
from tools.spec import load_spec

HARD = (Extension(0x1234, b"?", True),)
"""An extension that nobody understands, and everybody has to."""
LIMITS = {"largest_message": 32_768, "window": 65_536, "open_sessions": 16}


def in_relay(**limits: int) -> Script:
    """Ann, in slot 0 of a relay's call, epoch 2, with Bob in slot 1."""
    script = Script(Relay(entropy=counter_entropy()), admission=Admission(identity="ann"))
    script.up()
    script.give(hello())
    ann = script.transport
    script.up(admission=Admission(identity="bob"))
    script.give(hello(token=b"B" * 16, identity="bob"))
    script.transport = ann
    script.wait(SECOND)
    script.pull()
    return script


MAKERS: dict[str, Callable[..., Script]] = {
    "group": in_group,
    "peer": with_peer,
    "peer acceptor": accepted,
    "relay": in_relay,
}
OWN = {"group": 2, "peer": 1, "peer acceptor": 0, "relay": None}
"""The slot of the reader."""
WRITER = {"group": 0, "peer": 0, "peer acceptor": 1, "relay": 0}
"""A slot that the writer may name in DATA."""


class Reader:
    """A machine that reads, and what shows of it."""

    def __init__(self, role: str, **limits: int) -> None:
        self.role = role
        self.script = MAKERS[role](**limits)
        self.writer = WRITER[role]
        self.own = OWN[role]

    def data(self, session: int = 5, sequence: int = 1, payload: bytes = b"hi", **fields: Any) -> wire.Data:
        return data(session, sequence, payload, **({"sender": self.writer} | fields))

    def lossy(self, session: int = 5, sequence: int = 1, payload: bytes = b"hi", **fields: Any) -> wire.Data:
        return lossy(session, sequence, payload, **({"sender": self.writer} | fields))

    def close(self, **fields: Any) -> wire.Close:
        return wire.Close(**({"sender": self.writer, "recipient": 0xFFFF, "session": 5, "value": 1} | fields))

    @property
    def link(self) -> Any:
        machine = self.script.machine
        return machine._by_slot[0].link if self.role == "relay" else machine.link

    def code(self, *frames: Any, lane: Lane = Lane.RELIABLE) -> str:
        """Give a packet, and say how it ends: the code of the link's end, or of a FAIL, or `taken`, or `dropped`."""
        drops = dict(self.script.machine.statistics().drops)
        self.script.events()
        self.script.give(*frames, lane=lane)
        ended = [e for e in self.script.events() if isinstance(e, LinkEnded | EndpointLeft)]
        written = self.script.pull()
        if ended:
            (bye,) = [frame for frame in written if isinstance(frame, wire.Bye)]
            assert bye.code == ended[0].code, "CC-LINK-066"
            return error_name(bye.code)
        fails = [error_name(frame.reason) for frame in written if isinstance(frame, wire.Fail)]
        if fails:
            return f"FAIL {fails[0]}"
        after = self.script.machine.statistics().drops
        reasons = [name for name, count in after.items() if count > drops.get(name, 0)]
        return f"dropped: {', '.join(reasons)}" if reasons else "taken"


@dataclass(frozen=True)
class Pair:
    """Two faults in one packet, and the one that shows."""

    steps: str
    name: str
    roles: tuple[str, ...]
    shows: str
    build: Callable[[Reader], list[Any]]
    lane: Lane = Lane.RELIABLE


ENDPOINTS = ("group", "peer")
PEERS = ("peer", "peer acceptor")
ALL = ("group", "peer", "peer acceptor", "relay")
PAIRS: list[Pair] = []


def pair(steps: str, shows: str, *roles: str, lane: Lane = Lane.RELIABLE) -> Callable[[Any], Any]:
    def declare(build: Callable[[Reader], list[Any]]) -> Callable[[Reader], list[Any]]:
        PAIRS.append(Pair(steps, build.__name__, roles, shows, build, lane))
        return build

    return declare


# --- the link's steps ----------------------------------------------------------------------------------------------


@pair("2-3", "PACKET_SIZE", *ALL)
def large_packet_of_a_short_frame(r: Reader) -> list[Any]:
    return [bytes([0x01, 0x01, 0, 3]) + bytes(16_384)]


@pair("2-3", "dropped: malformed", *ALL, lane=Lane.LOSSY)
def large_lossy_packet_of_a_short_frame(r: Reader) -> list[Any]:
    return [bytes([0x01, 0, 0, 3]) + bytes(1_150)]


@pair("3-4", "FRAME_LENGTH", *ALL)
def unknown_type_of_wrong_length(r: Reader) -> list[Any]:
    return [bytes([0x3F, 0, 0, 3])]


@pair("3-4", "FRAME_LENGTH", *ALL)
def unknown_type_cut_off(r: Reader) -> list[Any]:
    return [bytes([0x3F, 0])]


@pair("5-7", "HANDSHAKE", *ALL)
def hello_with_reserved_flags(r: Reader) -> list[Any]:
    return [bytes([0x41, 0xFF, 0, 4])]


@pair("5-7", "HANDSHAKE", *PEERS, "relay")
def refuse_of_wrong_length(r: Reader) -> list[Any]:
    return [bytes([0x04, 0x80, 0, 5, 0])]


@pair("5-7", "HANDSHAKE", "peer acceptor", "relay")
def roster_with_reserved_flags(r: Reader) -> list[Any]:
    return [bytes([0x07, 0xF0, 0, 4])]


@pair("8-9", "FRAME_FORMAT", *ALL)
def channel_0_of_a_foreign_slot(r: Reader) -> list[Any]:
    return [r.data(channel=0, sender=9)]


@pair("8-9", "FRAME_FORMAT", *ALL)
def session_0_of_a_foreign_slot(r: Reader) -> list[Any]:
    return [r.close(session=0, sender=9)]


@pair("8-9", "FRAME_FORMAT", "group")
def recipient_block_from_a_foreign_slot(r: Reader) -> list[Any]:
    return [r.data(sender=9, flags=wire.RELIABLE | wire.PRIVATE, recipients=Recipients(1, False, 2))]


@pair("8-9", "FRAME_FORMAT", "relay")
def private_without_block_of_a_foreign_slot(r: Reader) -> list[Any]:
    return [r.data(sender=9, flags=wire.RELIABLE | wire.PRIVATE)]


@pair("9-10", "SLOT", *PEERS, "relay")
def newer_epoch_of_a_foreign_slot(r: Reader) -> list[Any]:
    return [r.data(sender=9, flags=wire.RELIABLE | wire.PRIVATE, recipients=Recipients(9, False, 2))]


@pair("9-10", "SLOT", *PEERS, "relay")
def too_many_control_frames_and_a_foreign_slot(r: Reader) -> list[Any]:
    for _ in range(4):
        r.script.give(*[r.close(session=900)] * 500)
    return [r.close(sender=9)]


@pair("10-10", "EPOCH", *PEERS, "relay")
def newer_epoch_and_a_slot_of_nobody(r: Reader) -> list[Any]:
    return [r.data(flags=wire.RELIABLE | wire.PRIVATE, recipients=Recipients(9, False, 1 << 9))]


@pair("10-10", "EPOCH", "group")
def roster_that_goes_back_with_a_wrong_entry(r: Reader) -> list[Any]:
    return [wire.Roster(3, (wire.RosterEntry(wire.RosterOp.LEAVE, 9, ErrorCode.LEFT),))]


@pair("10-12", "RATE", *PEERS, "relay")
def too_many_control_frames_of_an_ended_session(r: Reader) -> list[Any]:
    for _ in range(4):
        r.script.give(*[r.close(session=900)] * 500)
    return [r.close(session=900)]


@pair("10-12", "PROTOCOL", *ALL)
def impossible_count_behind_a_good_frame(r: Reader) -> list[Any]:
    return [r.data(), wire.Ack(999), r.data(channel=9)]


# --- the session's steps -------------------------------------------------------------------------------------------


def begun(r: Reader, **fields: Any) -> None:
    """Session 5 has a partial message, 3, of which the first of three fragments of 600 bytes has come."""
    r.script.give(r.data(5, 2), r.data(5, 3, bytes(600), fragment=wire.Fragment(0, 1_800), **fields))
    r.script.pull()


def use_credit(r: Reader) -> None:
    """Session 5 has used its window of 65,536 bytes up, and nothing of it is read."""
    for sequence in range(1, 5):
        r.script.give(r.data(5, sequence, bytes(16_384 - 16)))
    r.script.pull()


@pair("12-13", "FAIL SESSION_MISMATCH", *ENDPOINTS, "peer acceptor")
def other_channel_beyond_credit(r: Reader) -> list[Any]:
    use_credit(r)
    return [r.data(5, 5, channel=9)]


@pair("12-13", "taken", *ENDPOINTS, "peer acceptor")
def ended_session_beyond_credit(r: Reader) -> list[Any]:
    use_credit(r)
    r.script.give(r.data(5, 5, channel=9))
    r.script.pull()
    return [r.data(5, 6, bytes(16_000))]


@pair("12-14", "FAIL SESSION_MISMATCH", *ENDPOINTS, "peer acceptor")
def other_priority_and_sequence(r: Reader) -> list[Any]:
    begun(r)
    return [r.data(5, 1, flags=wire.RELIABLE | wire.HIGH)]


@pair("13-14", "FLOW_CONTROL", *ENDPOINTS, "peer acceptor")
def beyond_credit_and_sequence(r: Reader) -> list[Any]:
    use_credit(r)
    return [r.data(5, 1)]


@pair("13-15", "FLOW_CONTROL", *ENDPOINTS, "peer acceptor")
def beyond_credit_and_too_large(r: Reader) -> list[Any]:
    use_credit(r)
    return [r.data(5, 5, fragment=wire.Fragment(0, 40_000))]


@pair("14-15", "FAIL SEQUENCE", *ENDPOINTS, "peer acceptor")
def sequence_and_too_large(r: Reader) -> list[Any]:
    begun(r)
    return [r.data(5, 3, fragment=wire.Fragment(0, 40_000))]


@pair("14-15", "FAIL SEQUENCE", *ENDPOINTS, "peer acceptor")
def gap_in_one_session_too_many(r: Reader) -> list[Any]:
    for session in range(5, 21):
        r.script.give(r.data(session, 1, channel=session))
    return [r.data(21, 1, channel=21, fragment=wire.Fragment(1, 1_800))]


@pair("14-16", "FAIL SEQUENCE", *ENDPOINTS, "peer acceptor")
def gap_and_other_total(r: Reader) -> list[Any]:
    begun(r)
    return [r.data(5, 3, fragment=wire.Fragment(2, 99))]


@pair("15-16", "FAIL TOO_MANY_SESSIONS", *ENDPOINTS, "peer acceptor")
def one_session_too_many_and_no_last(r: Reader) -> list[Any]:
    for session in range(5, 21):
        r.script.give(r.data(session, 1, channel=session))
    return [r.data(21, 1, b"hello", channel=21, fragment=wire.Fragment(0, 5))]


@pair("15-18", "FAIL TOO_LARGE", *ENDPOINTS, "peer acceptor")
def too_large_and_extension(r: Reader) -> list[Any]:
    return [r.data(5, 1, fragment=wire.Fragment(0, 40_000), extensions=HARD)]


@pair("16-16", "FAIL FRAGMENT", *ENDPOINTS, "peer acceptor")
def later_total_is_too_large(r: Reader) -> list[Any]:
    """Size was judged at fragment 0: another total is a contradiction, however large."""
    begun(r)
    return [r.data(5, 3, fragment=wire.Fragment(1, 1 << 31))]


@pair("16-18", "FAIL FRAGMENT", *ENDPOINTS, "peer acceptor")
def no_last_and_extension(r: Reader) -> list[Any]:
    return [r.data(5, 1, b"hello", fragment=wire.Fragment(0, 5), extensions=HARD)]


# --- the same for Lossy --------------------------------------------------------------------------------------------


def lossy_begun(r: Reader) -> None:
    """Lossy session 5 has a message that is done, 2, and a partial one, 3."""
    r.script.give(r.lossy(5, 2), lane=Lane.LOSSY)
    r.script.give(r.lossy(5, 3, bytes(600), fragment=wire.Fragment(0, 1_800)), lane=Lane.LOSSY)


for _lane in Lane:

    @pair("12-14", "dropped: mismatch", *ENDPOINTS, "peer acceptor", lane=_lane)
    def lossy_other_channel_and_duplicate(r: Reader) -> list[Any]:
        lossy_begun(r)
        return [r.lossy(5, 2, channel=9)]

    @pair("14-15", "dropped: duplicate", *ENDPOINTS, "peer acceptor", lane=_lane)
    def lossy_duplicate_and_too_large(r: Reader) -> list[Any]:
        lossy_begun(r)
        return [r.lossy(5, 2, bytes(600), fragment=wire.Fragment(0, 40_000))]

    @pair("14-16", "dropped: duplicate", *ENDPOINTS, "peer acceptor", lane=_lane)
    def lossy_fragment_again_with_other_total(r: Reader) -> list[Any]:
        lossy_begun(r)
        return [r.lossy(5, 3, bytes(600), fragment=wire.Fragment(0, 9_000))]

    @pair("15-18", "dropped: too_large", *ENDPOINTS, "peer acceptor", lane=_lane)
    def lossy_too_large_and_extension(r: Reader) -> list[Any]:
        return [r.lossy(5, 1, bytes(600), fragment=wire.Fragment(0, 40_000), extensions=HARD)]

    @pair("16-18", "dropped: mismatch", *ENDPOINTS, "peer acceptor", lane=_lane)
    def lossy_whole_message_in_fragments_and_extension(r: Reader) -> list[Any]:
        lossy_begun(r)
        return [r.lossy(5, 3, extensions=HARD)]


@pytest.mark.parametrize(
    ("role", "case"),
    [
        pytest.param(role, case, id=f"{case.steps}-{case.name}-{case.lane.name.lower()}-{role}")
        for case in PAIRS
        for role in case.roles
    ],
)
def test_earlier_step_decides(role: str, case: Pair) -> None:
    reader = Reader(role, **(LIMITS if role != "relay" else {}))
    assert reader.code(*case.build(reader), lane=case.lane) == case.shows


def test_every_pair_of_adjacent_steps_is_tried() -> None:
    """Steps 1, 4, 6, 11, 17 and 19 have tests of their own below, or have no code that could show."""
    tried = {case.steps for case in PAIRS}
    adjacent = {"2-3", "3-4", "5-7", "8-9", "9-10", "10-12", "12-13", "13-14", "14-15", "15-16", "16-18"}
    assert adjacent <= tried
    for role in ENDPOINTS:
        # No frame that a relay writes has a slot and an epoch, a count or a rate (CC-LIMIT-022).
        cannot = {"9-10"} if role == "group" else set()
        assert adjacent - cannot <= {case.steps for case in PAIRS if role in case.roles}


# --- steps without a code of their own -----------------------------------------------------------------------------


@pytest.mark.parametrize("role", ALL)
def test_1_before_2_a_dead_link_reads_nothing(role: str) -> None:
    reader = Reader(role)
    reader.script.give(wire.Bye(ErrorCode.LEFT))
    assert reader.code(b"") == "taken"


@pytest.mark.parametrize("role", ENDPOINTS)
def test_1_before_2_a_detached_transport_is_not_read(role: str) -> None:
    reader = Reader(role)
    detached = reader.script.transport
    reader.script.up()
    reader.script.pull()
    reader.script.transport = detached
    assert reader.code(b"") == "taken"


@pytest.mark.parametrize("group", [True, False])
def test_4_before_5_unknown_type_while_connecting(group: bool) -> None:
    script = initiator(group=group)
    script.up()
    script.pull()
    script.give(bytes([0x3F, 0, 0, 4]))
    assert script.pull()[-1].code == ErrorCode.UNKNOWN_TYPE


@pytest.mark.parametrize("group", [True, False])
def test_4_skippable_type_while_connecting_is_handshake(group: bool) -> None:
    script = initiator(group=group)
    script.up()
    script.pull()
    script.give(bytes([0xBF, 0, 0, 4]))
    assert script.pull()[-1].code == ErrorCode.HANDSHAKE


def test_4_before_5_on_an_unbound_transport() -> None:
    script = acceptor()
    for kind, code in ((0x3F, ErrorCode.UNKNOWN_TYPE), (0xBF, ErrorCode.HANDSHAKE)):
        script.up()
        script.give(bytes([kind, 0, 0, 4]))
        assert [frame.code for frame in script.pull()] == [code]


@pytest.mark.parametrize("role", ALL)
def test_6_and_its_neighbours_drop_the_rest_of_a_lossy_packet(role: str) -> None:
    """On the lossy lane no code shows: the frame with the fault and what stands behind it go, the rest stays."""
    for fault in (
        wire.Ack(1).encode(),
        bytes([0x41, 0, 0, 4]),
        bytes([0x02, 0xFF, 0, 5, 0]),
        Reader(role).data().encode(),
    ):
        reader = Reader(role)
        good, behind = reader.lossy(5, 1), reader.lossy(6, 1, channel=8)
        assert reader.code(good, fault, behind, lane=Lane.LOSSY) == "dropped: malformed"
        assert reader.script.machine.statistics().drops["malformed"] == 1
        if role == "relay":
            assert reader.script.machine.statistics().links[0].sessions == 1
        else:
            assert reader.script.machine.statistics().receivers_open == 1


@pytest.mark.parametrize("role", ALL)
def test_11_is_behind_10_and_before_12(role: str) -> None:
    """A frame that fails in step 10 is not counted; one that step 12 drops is (CC-LINK-069, 070)."""
    reader = Reader(role)
    link, before = reader.link, reader.link.counting.received
    ended = [reader.data(5, 1), reader.close(session=5, value=1), reader.close(session=5, value=1)]
    assert reader.code(*ended, bytes([0x8F, 0, 0, 4]), bytes([0xCF, 0, 0, 4])) == "taken"
    assert link.counting.received == before + 4
    reader.code(reader.data(6, 1, channel=8), reader.close(sender=9))
    assert link.counting.received == before + 5


@pytest.mark.parametrize("role", (*ENDPOINTS, "peer acceptor"))
def test_18_before_19_and_memory(role: str) -> None:
    """Memory is judged behind step 18, and a frame that fails there is not applied."""
    reader = Reader(role, receive_memory=1_048_576, window=1_048_576)
    for session in (5, 6):
        for sequence in range(1, 33):
            reader.script.give(reader.data(session, sequence, bytes(16_368), channel=session))
    assert reader.code(reader.data(5, 33, bytes(16_000), channel=5, extensions=HARD)) == "FAIL EXTENSION"
    assert reader.script.machine.statistics().bytes_buffered == 64 * 16_368


def test_two_faults_of_the_text() -> None:
    """The example at the end of section 9.13, in the slot that the reader gave."""
    reader = Reader("relay")
    second = reader.data(7, 1, b"no", channel=0, sender=9)
    reader.script.give(reader.data(7, 2, channel=5))
    received = reader.link.counting.received
    link = reader.link
    assert reader.code(reader.data(7, 3, channel=5), second, wire.Ack(41)) == "FRAME_FORMAT"
    assert link.counting.received == received + 1


def test_steps_of_the_text() -> None:
    """Steps are numbered as they are here; a new one needs a test."""
    spec = load_spec()
    (table,) = [t for t in spec.tables("09-link", "9.13 Validation order") if t.columns[0] == "step"]
    steps = [row[0] for row in table.rows]
    assert steps == ["1", "2", "3", "4", "5", "6", "7, 8", "9", "10", *map(str, range(12, 19))]
