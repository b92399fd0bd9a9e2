# SPDX-License-Identifier: Apache-2.0
"""Messages of a Reliable session: admitted, refused, forwarded; and sessions that break their rules."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callchannel.core.events import Participant
from callchannel.core.extensions import Extension
from callchannel.core.frames import (
    CONFIRM,
    HIGH,
    MAX_INDEX,
    PRIVATE,
    RELIABLE,
    Ack,
    Bye,
    Close,
    Credit,
    Data,
    Fail,
    Fragment,
    Hello,
    Receipt,
    Refuse,
    Roster,
    Unknown,
    Welcome,
)
from callchannel.core.relay.owned import ReliableSession
from tests.core.relay.scripted import SECOND, Client, Net


def four(**limits: int) -> tuple[Net, list[Client]]:
    net = Net(**limits)
    return net, net.joined("ann", "bob", "carol", "dan")


# --- recipients --------------------------------------------------------------------------------------------------


def test_a_message_to_everyone() -> None:
    """CC-ROSTER-058, CC-RELAY-025, CC-RELAY-029: byte for byte, not to its sender, one encoding for all."""
    _, (ann, bob, carol, dan) = four()
    frame = ann.say(1)
    for client in (bob, carol, dan):
        assert client.packets[-1][1] == frame.encode()
    assert bob.packets[-1][1] is carol.packets[-1][1] is dan.packets[-1][1]
    assert [type(frame) for frame in ann.frames] == []


def test_a_message_to_two_of_three() -> None:
    """CC-RELAY-026, CC-ROSTER-059, CC-ROSTER-066: the example of section 10.5."""
    _, (ann, bob, carol, dan) = four()
    up = carol.data(1, to=[1, 3])
    assert up.encode() == bytes.fromhex("0119001e000500020000000100000001 00000004 0001 00000000000a 6869")
    carol.send(up)
    down = bytes.fromhex("01110012 00050002 00000001 00000001 6869")
    assert bob.packets[-1][1] == dan.packets[-1][1] == down
    assert ann.packets == []


def test_everyone_but_some() -> None:
    """CC-ROSTER-059, CC-ROSTER-060: who joined after the epoch of the block gets nothing."""
    net, (ann, bob, carol, dan) = four()
    erin = net.join("erin")
    ann.say(1, everyone_but=[1], epoch=4)
    assert [len(client.got(Data)) for client in (bob, carol, dan, erin)] == [0, 1, 1, 0]
    ann.say(2, everyone_but=[], confirm=True, epoch=4)
    assert [len(client.got(Data)) for client in (bob, carol, dan, erin)] == [1, 1, 1, 0]
    ann.say(3, everyone_but=[1, 2, 3], epoch=4)
    assert [len(client.got(Data)) for client in (bob, carol, dan, erin)] == [0, 0, 0, 0]
    assert ann.got(Fail) == []


def test_who_joined_later_is_no_recipient_whatever_its_name() -> None:
    """CC-ROSTER-060, CC-MODEL-013."""
    net, (ann, bob, _, _) = four()
    bob.leave()
    net.run(SECOND)
    again = net.join("bob")
    net.run(SECOND)
    ann.say(1, to=[1, 2], epoch=4)
    assert again.got(Data) == []
    ann.say(2, to=[4], epoch=6)
    assert len(again.got(Data)) == 1


def test_a_recipient_that_is_gone() -> None:
    """CC-ROSTER-061, CC-ROSTER-062, CC-ROSTER-063, CC-RELAY-023: FAIL for it before the ACK, once in a session; the
    rest get the message.
    """
    net, (ann, bob, carol, dan) = four()
    dan.leave()
    net.run(SECOND)
    carol.frames.clear()
    carol.say(1, to=[1, 3], epoch=4)
    net.run(SECOND)
    assert carol.order(Fail, Ack)[:2] == ["Fail", "Ack"]
    assert carol.one(Fail).encode() == bytes.fromhex("0300001600020003000000010000000000000001 0030")
    assert len(bob.got(Data)) == 1
    carol.say(2, to=[1, 3], epoch=4)
    carol.say(3, to=[3], epoch=4)
    assert carol.got(Fail) == []
    assert len(bob.got(Data)) == 1
    carol.say(1, everyone_but=[0], epoch=4, session=2, channel=6)
    assert carol.one(Fail) == Fail(2, 3, 2, 1, 0x30)
    assert ann.got(Data) == []


def test_a_message_for_nobody() -> None:
    """CC-RELAY-024: taken, acknowledged, no error."""
    net = Net()
    (ann,) = net.joined("ann")
    ann.say(1)
    net.run(SECOND)
    assert ann.one(Ack).received >= 1
    assert net.relay.statistics().sessions == 1
    assert ann.got(Refuse) == []


def test_a_session_for_nobody_is_forgotten_at_its_close() -> None:
    net = Net()
    (ann,) = net.joined("ann")
    ann.say(1)
    ann.close(1)
    assert net.relay.statistics().sessions == 0


def test_failed_recipients_are_passed_over() -> None:
    """CC-ROSTER-065, CC-RELAY-053: in this session alone, without another FAIL."""
    _, (ann, bob, carol, _) = four()
    ann.say(1)
    bob.fail(0, 2)
    assert ann.one(Fail) == Fail(0, 1, 1, 2, 0x26)
    ann.say(2)
    ann.say(3, to=[1, 2])
    assert len(bob.got(Data)) == 1
    assert len(carol.got(Data)) == 3
    assert ann.got(Fail) == []
    ann.say(1, session=2)
    assert len(bob.got(Data)) == 1


def test_the_recipients_of_a_message_stay_as_they_were_at_its_first_frame() -> None:
    """CC-RELAY-014, CC-RELAY-027, CC-ROSTER-067: a joiner gets none of it, who leaves no more, the others all."""
    net, (ann, bob, carol, dan) = four()
    ann.say(1, b"a", fragment=Fragment(0, 3))
    assert [len(client.got(Data)) for client in (bob, carol, dan)] == [1, 1, 1]
    erin = net.join("erin")
    dan.leave()
    again = net.join("dan")
    bob.fail(0, 1)
    ann.say(1, b"b", fragment=Fragment(1, 3))
    ann.say(1, b"c", fragment=Fragment(2, 3, last=True))
    assert [len(client.got(Data)) for client in (bob, carol, erin, again)] == [0, 2, 0, 0]
    ann.say(2)
    assert [len(client.got(Data)) for client in (bob, carol, erin, again)] == [0, 1, 1, 1]
    assert {(frame.recipient, frame.value, frame.reason) for frame in ann.got(Fail)} == {(1, 1, 0x26), (3, 1, 0x27)}


def test_admitting_is_one_step() -> None:
    """CC-RELAY-015, CC-LINK-033: what was counted is in all queues, and nothing of it is done twice."""
    net, (ann, bob, carol, _) = four()
    for client in (ann, bob, carol):
        client.blocked = True
    ann.say(1)
    ann.say(2, to=[1])
    count = net.relay._by_slot[0].custody.received
    ann.lose()
    ann.blocked = False
    ann.resume()
    assert ann.one(Welcome).received == count
    bob.unblock()
    carol.unblock()
    assert [frame.sequence for frame in bob.got(Data)] == [1, 2]
    assert [frame.sequence for frame in carol.got(Data)] == [1]


# --- refusing ----------------------------------------------------------------------------------------------------


def test_who_may_not_send() -> None:
    """CC-RELAY-016, CC-RELAY-017, CC-RELAY-023: REFUSE goes before the ACK."""
    net = Net()
    ann = net.join("ann", may_send=False)
    bob = net.join("bob")
    net.run(SECOND)
    ann.frames.clear()
    ann.say(1)
    ann.say(1, session=2, channel=6, flags=0)
    net.run(SECOND)
    assert ann.order(Refuse, Ack)[:2] == ["Refuse", "Ack"]
    assert ann.one(Refuse).encode() == bytes.fromhex("04000016 0000ffff 00000001 0000000000000001 0033")
    assert bob.got(Data) == []
    assert net.relay.statistics().drops == {"policy": 1}


def test_a_policy() -> None:
    """CC-RELAY-017, CC-RELAY-020: asked with the first frame of a message, for Lossy with each frame."""
    asked: list[tuple[Participant, int]] = []

    def policy(participant: Participant, data: Data) -> bool:
        asked.append((participant, data.sequence))
        return b"no" not in data.payload

    net = Net(policy=policy)
    ann, bob = net.joined("ann", "bob")
    ann.say(1, b"yes")
    ann.say(2, b"no")
    ann.say(3, b"yes", fragment=Fragment(0, 5))
    ann.say(3, b"no", fragment=Fragment(1, 5, last=True))
    ann.say(4, b"no", session=2, channel=6, flags=0)
    ann.say(5, b"yes", session=2, channel=6, flags=0)
    assert ann.one(Refuse) == Refuse(0, 0xFFFF, 1, 2, 0x33)
    assert bob.payloads() == [b"yes", b"yes", b"no", b"yes"]
    assert [sequence for _, sequence in asked] == [1, 2, 3, 4, 5]
    assert asked[0][0] == Participant("ann", 0)


def test_a_message_that_is_too_large() -> None:
    """CC-RELAY-018, CC-RELAY-019, CC-RELAY-021, CC-FRAG-046, CC-FRAG-047: judged by total; never a stream."""
    net = Net(largest_message=32_768)
    ann, bob = net.joined("ann", "bob")
    ann.say(1, b"x", fragment=Fragment(0, 32_768))
    ann.say(1, fragment=Fragment(1, 32_768, abort=True), payload=b"")
    ann.say(2, b"x", fragment=Fragment(0, 32_769))
    assert ann.one(Refuse) == Refuse(0, 0xFFFF, 1, 2, 0x32)
    ann.say(2, b"x", fragment=Fragment(1, 32_769))
    ann.say(2, b"x", fragment=Fragment(7, 5))
    ann.say(2, b"", fragment=Fragment(2, 32_769, abort=True))
    for index in range(5):
        ann.say(3, bytes(16_000), fragment=Fragment(index, 0))
    ann.say(3, b"", fragment=Fragment(5, 0, last=True))
    assert [frame.sequence for frame in bob.got(Data)] == [1, 1, 3, 3, 3, 3, 3, 3]
    assert ann.got(Fail) == []
    assert ann.got(Refuse) == []


def test_a_refused_sequence_is_spent() -> None:
    """CC-FRAG-046: a message with the refused number, or fragments of it behind a newer message, are SEQUENCE."""
    net = Net(largest_message=32_768)
    ann, _ = net.joined("ann", "bob")
    ann.say(2, b"x", fragment=Fragment(0, 32_769))
    ann.say(2, b"x", fragment=Fragment(0, 5))
    assert ann.got(Fail) == []
    ann.say(2)
    assert ann.one(Fail) == Fail(0, 0xFFFF, 1, 3, 0x21)
    ann.say(2, b"x", fragment=Fragment(0, 32_769), session=2)
    ann.say(3, session=2)
    ann.say(2, b"x", fragment=Fragment(1, 32_769), session=2)
    assert ann.one(Fail) == Fail(0, 0xFFFF, 2, 4, 0x21)


def test_refused_bytes_count_as_received_and_consumed() -> None:
    """CC-RELAY-022, CC-RELAY-036."""
    net = Net(window=65_536)
    ann = net.join("ann", may_send=False)
    net.run(SECOND)
    limit, sent = 65_536, 0
    for sequence in range(1, 40):
        assert sent + 16_000 <= limit
        ann.say(sequence, bytes(15_984))
        sent += 16_000
        limit = max([limit, *(frame.value for frame in ann.got(Credit))])
    assert ann.bye is None
    assert len(ann.got(Refuse)) == 39


# --- forwarding --------------------------------------------------------------------------------------------------


def test_extensions_are_forwarded_untouched() -> None:
    """CC-RELAY-030, CC-EXT-005, CC-EXT-006: unknown ones, malformed values, must-understand bits."""
    _, (ann, bob, _, _) = four()
    extensions = [Extension(1, b"\xff"), Extension(3, b"abc", True), Extension(0x7001, b"?", True)]
    frame = ann.say(1, extensions=extensions)
    assert bob.packets[-1][1] == frame.encode()
    raw = ann.say(2, extensions=extensions, to=[1]).encode()
    assert bob.packets[-1][1] == b"\x01\x91" + (len(raw) - 12).to_bytes(2, "big") + raw[4:16] + raw[28:]


@given(
    flags=st.sampled_from([0, HIGH, CONFIRM, HIGH | CONFIRM]),
    payload=st.binary(min_size=1, max_size=50),
    to=st.sampled_from([None, (1,), (1, 2, 3)]),
    part=st.booleans(),
    extensions=st.lists(st.tuples(st.integers(1, 0x7FFF), st.binary(max_size=9), st.booleans()), max_size=3),
)
@settings(max_examples=100, deadline=None)
def test_what_goes_down_is_what_came_up_without_its_block(
    flags: int, payload: bytes, to: Any, part: bool, extensions: list[tuple[int, bytes, bool]]
) -> None:
    """CC-RELAY-025, CC-RELAY-026, CC-FRAME-104."""
    _, (ann, bob, _, _) = four()
    kept = {kind: Extension(kind, value, must) for kind, value, must in sorted(extensions)}
    up = ann.data(
        7,
        payload,
        flags=RELIABLE | flags,
        to=to,
        fragment=Fragment(0, 99) if part else None,
        extensions=sorted(kept.values()),
    )
    ann.send(up)
    down = bob.one(Data)
    up.recipients = None
    assert down == up
    assert bob.packets[-1][1] == up.encode()


def test_a_relay_forwards_nothing_else() -> None:
    """CC-RELAY-034: unknown frames are skipped, and counted where they are countable."""
    net, (ann, bob, _, _) = four()
    before = bob.packets[:]
    ann.send(Unknown(0x8A, 1, b"grease"), Unknown(0xCA, 2, b"grease"), Ack(ann.received))
    assert bob.packets == before
    net.run(SECOND)
    assert ann.got(Ack)[-1].received >= 1
    for frame in (
        Hello(bytes(16), 9, 65_536, 32_768),
        Welcome(0, bytes(16), 1, 65_536, 32_768, 0, "x"),
        Roster(9),
        Refuse(0, 0xFFFF, 1, 1, 0x33),
    ):
        _, (eve, other, _, _) = four()
        eve.send(frame)
        assert eve.bye == 0x05  # CC-FRAME-015
        assert frame not in other.frames


def test_fragments_are_neither_joined_nor_reordered() -> None:
    """CC-RELAY-027, CC-RELAY-028."""
    _, (ann, bob, _, _) = four()
    bob.blocked = True
    sent = []
    for sequence in range(1, 6):
        for index in range(3):
            sent.append(ann.say(sequence, bytes([sequence, index]), fragment=Fragment(index, 6, last=index == 2)))
            ann.say(sequence * 3 + index, b"other", session=2, channel=6)
    bob.unblock()
    assert [frame for frame in bob.got(Data) if frame.session == 1] == sent


def test_aborts_are_forwarded_to_whom_the_message_was_for() -> None:
    """CC-FRAG-060; section 10.14: and to nobody who failed."""
    _, (ann, bob, carol, dan) = four()
    ann.say(1, b"x", fragment=Fragment(0, 9), to=[1, 2])
    bob.fail(0, 1)
    ann.say(1, b"", fragment=Fragment(1, 9, abort=True), flags=RELIABLE | PRIVATE)
    assert len(bob.got(Data)) == 1
    assert len(carol.got(Data)) == 2
    assert dan.got(Data) == []
    ann.say(2)
    assert len(carol.got(Data)) == 1


# --- faults ------------------------------------------------------------------------------------------------------

SEQUENCE, FRAGMENT = 0x21, 0x22


@pytest.mark.parametrize(
    ("frames", "code", "value"),
    [
        ([(3, None), (3, None)], SEQUENCE, 4),
        ([(3, None), (2, None)], SEQUENCE, 4),
        ([(3, None), (5, Fragment(1, 9))], SEQUENCE, 5),
        ([(3, None), (3, Fragment(0, 9))], SEQUENCE, 4),
        ([(3, Fragment(0, 9)), (4, None)], SEQUENCE, 3),
        ([(3, Fragment(0, 9)), (3, Fragment(2, 9))], SEQUENCE, 3),
        ([(3, Fragment(0, 9)), (3, Fragment(0, 9))], SEQUENCE, 3),
        ([(3, Fragment(0, 9)), (3, None)], SEQUENCE, 3),
        ([(3, Fragment(0, 9)), (4, Fragment(1, 9))], SEQUENCE, 3),
        ([(3, Fragment(0, 9)), (3, Fragment(2, 9, abort=True))], SEQUENCE, 3),
        ([(3, None), (4, Fragment(1, 9, abort=True))], SEQUENCE, 4),
        ([(3, Fragment(0, 9)), (3, Fragment(1, 8))], FRAGMENT, 3),
        ([(3, Fragment(0, 9)), (3, Fragment(1, 0))], FRAGMENT, 3),
        ([(3, Fragment(0, 9)), (3, Fragment(1, 8, abort=True))], FRAGMENT, 3),
        ([(3, Fragment(0, 9)), (3, Fragment(1, 9, last=True))], FRAGMENT, 3),
        ([(3, Fragment(0, 4)), (3, Fragment(1, 4))], FRAGMENT, 3),
        ([(3, Fragment(0, 3)), (3, Fragment(1, 3, last=True))], FRAGMENT, 3),
        ([(1, None), (3, Fragment(0, 2))], FRAGMENT, 3),
    ],
)
def test_faults_of_a_session(frames: list[tuple[int, Fragment | None]], code: int, value: int) -> None:
    """CC-RELAY-057, CC-RELAY-058, CC-RELAY-059, CC-RELAY-060, CC-RELAY-079, CC-FRAG-044, CC-FRAG-045, CC-FRAG-046,
    CC-FRAG-047, CC-FRAG-048, CC-FRAG-049, CC-FRAG-050, CC-FRAG-051, CC-FRAG-052, CC-FRAG-059, CC-LINK-085,
    CC-LINK-087.
    """
    _, (ann, bob, _, _) = four()
    for sequence, fragment in frames:
        ann.say(sequence, b"" if fragment is not None and fragment.abort else b"hi", fragment=fragment)
    assert ann.one(Fail) == Fail(0, 0xFFFF, 1, value, code)
    assert bob.order(Data, Fail, Close) == ["Data", "Fail", "Close"]
    assert bob.one(Fail) == Fail(0, 1, 1, value, code)
    assert bob.one(Close) == Close(0, 0xFFFF, 1, frames[0][0], code)
    ann.say(9)
    ann.close(9)
    assert bob.frames == [frame for frame in bob.frames if isinstance(frame, (Data, Ack))]
    assert len(bob.got(Data)) == 1
    assert ann.got(Fail) == []
    assert ann.bye is None


def test_the_last_index_has_to_be_the_last() -> None:
    """CC-FRAG-052."""
    _, (ann, bob, _, _) = four()
    ann.say(1, fragment=Fragment(0, 0))
    session = ann.net.relay._by_slot[0].uplink.sessions[1]
    assert isinstance(session, ReliableSession)
    assert session.partial is not None
    session.partial.next_index = MAX_INDEX
    ann.say(1, fragment=Fragment(MAX_INDEX, 0))
    assert ann.one(Fail) == Fail(0, 0xFFFF, 1, 1, FRAGMENT)
    assert len(bob.got(Data)) == 1


@pytest.mark.parametrize("fragment", [Fragment(1, 9), Fragment(1, 9, abort=True)])
def test_a_session_that_begins_in_the_middle(fragment: Fragment) -> None:
    """CC-FRAG-044: SEQUENCE; no recipient has seen anything of it, nothing is kept."""
    net, (ann, bob, _, _) = four()
    ann.say(4, b"" if fragment.abort else b"hi", fragment=fragment)
    assert ann.one(Fail) == Fail(0, 0xFFFF, 1, 4, SEQUENCE)
    ann.say(5)
    assert bob.frames == []
    assert net.relay.statistics().sessions == 0


def test_a_refused_message_that_goes_on_behind_the_next() -> None:
    """CC-RELAY-021: what is left of it is dropped, until another message begins."""
    _, (ann, bob, _, _) = four()
    large = Fragment(0, 20_000_000)
    ann.say(1)
    ann.say(2, b"x", fragment=large)
    ann.say(2, b"x", fragment=Fragment(1, large.total))
    assert ann.got(Fail) == []
    ann.say(3)
    assert [frame.sequence for frame in bob.got(Data)] == [1, 3]
    ann.say(2, b"x", fragment=Fragment(2, large.total))
    assert ann.one(Fail) == Fail(0, 0xFFFF, 1, 4, SEQUENCE)


def test_who_failed_is_passed_over_although_another_was_forgotten() -> None:
    """CC-ROSTER-065: a slot was free again in between, so that as many have failed as before."""
    net, (ann, bob, carol, dan) = four()
    ann.say(1)
    bob.fail(0, 2)
    bob.leave()
    net.run(125 * SECOND)
    ann.say(2)
    carol.fail(0, 3)
    ann.say(3)
    assert [frame.sequence for frame in carol.got(Data)] == [1, 2]
    assert [frame.sequence for frame in dan.got(Data)] == [1, 2, 3]


def test_messages_below_the_fault_are_delivered_and_their_receipts_passed_on() -> None:
    """CC-RELAY-059, CC-RELAY-061: FAIL stands behind what is queued below v; what is queued from v on is discarded."""
    net, (ann, bob, carol, dan) = four()
    bob.blocked = True
    ann.say(1, to=[1, 2], confirm=True)
    carol.fail(0, 5)
    ann.got(Fail)
    ann.say(2, b"x", fragment=Fragment(0, 9), to=[1], confirm=True)
    ann.say(2, b"x", fragment=Fragment(5, 9), flags=RELIABLE | PRIVATE | CONFIRM)
    bob.unblock()
    assert bob.order(Data, Fail, Close) == ["Data", "Fail", "Close"]
    assert carol.order(Data, Fail, Close) == ["Data", "Close"], "it had failed before"
    assert dan.frames == []
    assert bob.one(Fail).value == 2
    assert net.relay.statistics().sessions == 1
    bob.receipt(0, 1)
    assert ann.got(Receipt) == [Receipt(0, 1, 1, 1)]
    carol.receipt(0, 1)
    assert ann.got(Receipt) == [Receipt(0, 2, 1, 1)]
    assert net.relay.statistics().sessions == 0


def test_one_fault_ends_no_other_session() -> None:
    """CC-LINK-071."""
    _, (ann, bob, _, _) = four()
    ann.say(1)
    ann.say(1, session=2, channel=6)
    ann.say(1, session=2, channel=6)
    ann.say(2)
    assert [(frame.session, frame.sequence) for frame in bob.got(Data)] == [(1, 1), (2, 1), (1, 2)]
    assert ann.one(Fail).session == 2


def test_more_bytes_than_the_limit_end_the_link() -> None:
    """CC-LINK-084, CC-DELIV-046, CC-DELIV-050: FLOW_CONTROL; up to the limit is fine, and ABORT is free."""
    net = Net(window=65_536)
    ann, bob = net.joined("ann", "bob")
    bob.blocked = True
    for index in range(4):
        ann.say(1, bytes(16_384 - 24), fragment=Fragment(index, 0))
    ann.say(1, b"", fragment=Fragment(4, 0, abort=True))
    assert ann.got(Credit) == []
    assert ann.bye is None
    ann.say(2, b"")
    assert ann.one(Bye).code == 0x0A
