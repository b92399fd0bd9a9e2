# SPDX-License-Identifier: Apache-2.0
"""Sessions of an owner: how they begin, how many there may be, and how they end with their owner."""

import pytest

from callchannel.core.frames import HIGH, RELIABLE, Close, Credit, Data, Fail, Fragment, Receipt, Roster
from callchannel.core.lanes import Lane
from callchannel.core.limits import MS
from tests.core.relay.scripted import SECOND, Client, Net


def pair(**limits: int) -> tuple[Net, Client, Client]:
    net = Net(**limits)
    ann, bob = net.joined("ann", "bob")
    return net, ann, bob


# --- sessions ----------------------------------------------------------------------------------------------------


def test_a_reliable_session_that_has_ended_does_not_come_back() -> None:
    """CC-RELAY-007, CC-LINK-083."""
    _, ann, bob = pair()
    ann.say(1, session=3)
    ann.close(1, session=3)
    ann.say(2, session=3)
    ann.say(1, session=2)
    assert len(bob.got(Data)) == 1
    ann.say(1, session=4)
    assert len(bob.got(Data)) == 1
    assert ann.bye is None
    assert ann.got(Fail) == []


def test_a_reliable_session_goes_on_beside_newer_ones_on_its_channel() -> None:
    """CC-RELAY-010, CC-SESS-041."""
    _, ann, bob = pair()
    ann.say(1, b"old", session=1)
    ann.say(1, b"new", session=2)
    ann.say(1, b"lossy", session=3, flags=0)
    ann.say(2, b"older", session=1)
    assert bob.payloads() == [b"old", b"new", b"lossy", b"older"]


def test_a_lossy_session_ends_when_a_newer_one_begins_on_its_channel() -> None:
    """CC-RELAY-008, CC-RELAY-009; its CLOSE still reaches those who got DATA of it (CC-RELAY-031)."""
    net, ann, bob = pair()
    ann.say(1, b"a", session=2, flags=0)
    ann.say(1, b"b", session=3, flags=0)
    ann.say(2, b"c", session=2, flags=0)
    ann.say(1, b"d", session=1, flags=0)
    ann.say(1, b"e", session=1, flags=0, channel=6)
    assert bob.payloads() == [b"a", b"b", b"e"]
    assert net.relay.statistics().drops == {"ended_session": 2}
    ann.close(2, session=2)
    assert bob.one(Close).session == 2
    ann.say(1, b"f", session=4)
    ann.say(2, b"g", session=3, flags=0)
    assert bob.payloads() == [b"f"]


def test_a_tombstone_stands_for_30_seconds() -> None:
    """CC-RELAY-008, CC-RELAY-011."""
    net, ann, bob = pair()
    ann.say(1, b"a", session=2, flags=0)
    ann.close(1, session=2)
    assert bob.one(Close) == Close(0, 0xFFFF, 2, 1)
    net.run(30 * SECOND - 1)
    ann.say(2, b"b", session=2, flags=0)
    ann.say(1, b"c", session=2)
    assert bob.payloads() == [b"a"]
    net.run(1)
    ann.say(2, b"b", session=2, flags=0)
    assert bob.payloads() == [b"b"]


def test_a_superseded_session_that_is_never_closed_is_forgotten() -> None:
    net, ann, bob = pair()
    ann.say(1, b"a", session=1, flags=0)
    ann.say(1, b"b", session=2, flags=0)
    net.run(31 * SECOND)
    ann.say(2, b"c", session=2, flags=0)
    assert net.relay.statistics().sessions == 1
    ann.close(9, session=1)
    assert bob.got(Close) == []


def test_close_of_an_unknown_session_leaves_a_tombstone() -> None:
    """CC-SESS-063: the CLOSE of a Lossy session has overtaken its data."""
    net, ann, bob = pair()
    ann.close(1, session=5)
    ann.close(1, session=5)
    ann.say(1, session=5, flags=0)
    assert bob.got(Data) == []
    assert bob.got(Close) == []
    assert net.relay.statistics().drops == {"ended_session": 1}


@pytest.mark.parametrize("reliable", [True, False])
def test_too_many_open_sessions(reliable: bool) -> None:
    """CC-RELAY-012, CC-RELAY-013, CC-SESS-052."""
    net, ann, bob = pair(open_sessions=16)
    for session in range(1, 17):
        ann.say(1, session=session, channel=session, flags=session % 2)
    ann.say(7, session=17, channel=17, flags=RELIABLE if reliable else 0)
    assert len(bob.got(Data)) == 16
    if reliable:
        assert ann.one(Fail) == Fail(0, 0xFFFF, 17, 7, 0x23)
        ann.say(8, session=17, channel=17)
        assert ann.got(Fail) == []
    else:
        assert net.relay.statistics().drops == {"open_sessions": 1}
    ann.close(1, session=1)
    net.run(SECOND)
    ann.say(1, session=18, channel=18)
    assert len(bob.got(Data)) == 1


def test_sessions_that_begin_too_fast() -> None:
    """CC-RELAY-012, CC-RELAY-013, CC-LIMIT-016: a bucket of `open_sessions`, refilled at the rate."""
    net, ann, bob = pair(open_sessions=16, new_sessions=2)
    for session in range(1, 17):
        ann.say(1, session=session, channel=5)
        ann.close(1, session=session)
    ann.say(1, session=17, channel=5)
    assert ann.one(Fail) == Fail(0, 0xFFFF, 17, 1, 0x23)
    ann.say(1, session=18, channel=6, flags=0)
    assert net.relay.statistics().drops == {"new_sessions": 1}
    net.run(500 * MS - 1)
    ann.say(1, session=19)
    net.run(1)
    ann.say(1, session=20)
    ann.say(1, session=21)
    assert [frame.session for frame in ann.got(Fail)] == [19, 21]
    assert len(bob.got(Data)) == 17


def test_a_session_that_was_not_admitted_gets_no_credit() -> None:
    """CC-DELIV-058; section 10.4: its bytes count, no CREDIT is written."""
    _, ann, _ = pair(open_sessions=16)
    for session in range(1, 18):
        ann.say(1, session=session, channel=session)
    for sequence in range(2, 40):
        ann.say(sequence, bytes(16_000), session=17, channel=17)
    assert ann.got(Credit) == []
    assert ann.bye is None


# --- faults of a session -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["channel", "priority"])
def test_what_is_constant_in_a_session(change: str) -> None:
    """CC-RELAY-057, CC-RELAY-058, CC-RELAY-059, CC-RELAY-060, CC-RELAY-079, CC-SESS-062, CC-LINK-083:
    SESSION_MISMATCH.
    """
    _, ann, bob = pair()
    ann.say(3)
    ann.say(4, channel=6) if change == "channel" else ann.say(4, flags=RELIABLE | HIGH)
    assert ann.one(Fail) == Fail(0, 0xFFFF, 1, 4, 0x20)
    assert bob.one(Fail) == Fail(0, 1, 1, 4, 0x20)
    assert bob.one(Close) == Close(0, 0xFFFF, 1, 3, 0x20)
    ann.say(5)
    ann.close(5)
    assert len(bob.got(Data)) == 1
    assert bob.got(Close) == []
    assert ann.bye is None


def test_lossy_frames_that_contradict_their_session() -> None:
    """CC-SESS-048, CC-LINK-083: dropped, and the session goes on."""
    net, ann, bob = pair()
    ann.say(1, session=1)
    ann.say(2, session=1, flags=0)
    ann.say(1, session=2, channel=6, flags=0)
    ann.say(2, session=2, channel=7, flags=0)
    ann.say(3, session=2, channel=6, flags=HIGH)
    ann.say(4, session=2, channel=6, flags=0)
    ann.say(5, session=1)
    assert [frame.sequence for frame in bob.got(Data)] == [1, 1, 4, 5]
    assert net.relay.statistics().drops == {"mismatch": 3}


def test_reliable_data_in_a_lossy_session() -> None:
    """CC-SESS-049, CC-RELAY-057, CC-RELAY-059, CC-RELAY-079."""
    net = Net()
    ann, bob, carol = net.joined("ann", "bob", "carol")
    ann.say(5, flags=0)
    carol.fail(0, 6)
    ann.got(Fail)
    ann.say(2)
    assert ann.one(Fail) == Fail(0, 0xFFFF, 1, 6, 0x20)
    assert bob.order(Data, Fail, Close) == ["Data", "Fail", "Close"]
    assert bob.one(Fail) == Fail(0, 1, 1, 6, 0x20)
    assert bob.one(Close) == Close(0, 0xFFFF, 1, 5, 0x20)
    assert carol.order(Data, Fail, Close) == ["Data", "Close"]
    ann.say(6, flags=0)
    ann.say(6)
    assert len(bob.got(Data)) == 1
    assert ann.got(Fail) == []


@pytest.mark.parametrize(("partial", "value", "v"), [(True, 3, 3), (False, 2, 4)])
def test_a_close_that_contradicts_its_session(partial: bool, value: int, v: int) -> None:
    """CC-SESS-050, CC-SESS-061, CC-RELAY-058: SEQUENCE."""
    _, ann, bob = pair()
    ann.say(1)
    ann.say(3, b"x", fragment=Fragment(0, 9)) if partial else ann.say(3)
    ann.close(value)
    assert ann.one(Fail) == Fail(0, 0xFFFF, 1, v, 0x21)
    assert bob.one(Fail) == Fail(0, 1, 1, v, 0x21)
    assert bob.one(Close).reason == 0x21


def test_the_value_of_a_lossy_close_is_not_judged() -> None:
    """CC-SESS-051."""
    _, ann, bob = pair()
    ann.say(9, flags=0)
    ann.close(1)
    assert bob.one(Close).value == 1


# --- close, and owners that go -----------------------------------------------------------------------------------


def test_close_goes_behind_the_data_to_those_who_got_any() -> None:
    """CC-RELAY-031, CC-RELAY-032: byte for byte, to nobody else."""
    net = Net()
    ann, bob, carol = net.joined("ann", "bob", "carol")
    bob.blocked = True
    ann.say(1, to=[1])
    ann.say(2, to=[1])
    ann.close(2, reason=0xF123)
    bob.unblock()
    assert bob.order(Data, Close) == ["Data", "Data", "Close"]
    assert bob.one(Close) == Close(0, 0xFFFF, 1, 2, 0xF123)
    assert carol.frames == []


def test_close_reaches_failed_recipients() -> None:
    """CC-RELAY-031: so that they can forget the session."""
    _, ann, bob = pair()
    ann.say(1)
    bob.fail(0, 2)
    ann.close(1)
    assert bob.order(Data, Close) == ["Data", "Close"]


def test_a_closed_session_is_forgotten_when_everyone_has_acknowledged() -> None:
    """Section 10.4: the routes live until their queues are empty and nothing is owed."""
    net, ann, bob = pair()
    bob.acks = False
    ann.say(1)
    ann.close(1)
    assert net.relay.statistics().sessions == 1
    bob.ack()
    assert net.relay.statistics().sessions == 0
    assert not net.relay._by_slot[1].downlink.routes


@pytest.mark.parametrize(("bye", "code"), [(0x27, 0x27), (0x16, 0x28), (None, 0x28)])
def test_an_owner_that_goes(bye: int | None, code: int) -> None:
    """CC-RELAY-062, CC-RELAY-063, CC-RELAY-066, CC-ROSTER-037: LEAVE overtakes, CLOSE goes behind the data."""
    net, ann, bob = pair(resume_window=0)
    bob.blocked = True
    ann.say(1, b"whole")
    ann.say(2, b"part", fragment=Fragment(0, 9))
    if bye is None:
        ann.lose()
    else:
        ann.send_raw(bytes.fromhex(f"44000006{bye:04x}"))
    bob.unblock()
    assert bob.order(Roster, Data, Close) == ["Roster", "Data", "Data", "Close"]
    assert bob.payloads() == [b"whole", b"part"]
    assert bob.one(Close) == Close(0, 0xFFFF, 1, 2, code)
    assert bob.got(Fail) == []
    net.run(SECOND)
    assert net.relay.statistics().sessions == 0


def test_the_last_sequence_of_an_owner_that_went() -> None:
    """CC-RELAY-063: admitted or refused."""
    net = Net(largest_message=40_000)
    ann, bob = net.joined("ann", "bob")
    ann.say(4)
    ann.say(6, b"x", fragment=Fragment(0, 50_000))
    ann.say(8, session=2, channel=6, flags=0)
    ann.say(7, session=2, channel=6, flags=0)
    ann.leave()
    assert [(frame.session, frame.value) for frame in bob.got(Close)] == [(1, 6), (2, 8)]


def test_a_closed_session_is_not_closed_again() -> None:
    """Section 10.14: an owner's CLOSE, then its link dies."""
    net, ann, bob = pair()
    ann.say(1)
    bob.acks = False
    ann.close(1)
    ann.leave()
    net.run(SECOND)
    assert bob.one(Close).reason == 0


def test_lossy_data_of_an_owner_that_went_stands_before_close() -> None:
    """CC-RELAY-064."""
    _, ann, bob = pair()
    bob.blocked = True
    ann.say(1, b"a", flags=0)
    ann.say(1, b"b", session=2, flags=0)
    ann.leave()
    bob.unblock()
    lossy = [packet for lane, packet in bob.packets if lane is Lane.LOSSY]
    assert b"".join(lossy).endswith(b"b")
    assert bob.payloads() == [b"a", b"b"]
    assert {(frame.session, frame.reason) for frame in bob.got(Close)} == {(1, 0x27), (2, 0x27)}


def test_what_is_told_to_an_owner_that_went_is_dropped() -> None:
    """CC-RELAY-065; while what it left is still delivered at the recipient's pace (CC-RELAY-062)."""
    net = Net()
    ann, bob, carol = net.joined("ann", "bob", "carol", reads=False, window=65_536)
    for sequence in range(1, 7):
        ann.say(sequence, bytes(16_000), confirm=True)
    ann.leave()
    assert len(bob.payloads()) == 4
    bob.receipt(0, 2)
    carol.fail(0, 3)
    bob.allow(0, 1 << 20)
    assert len(bob.payloads()) == 2
    assert len(bob.got(Close)) == 1
    assert len(carol.got(Close)) == 1
    assert (bob.bye, carol.bye) == (None, None)
    net.run(SECOND)
    assert net.relay.statistics().sessions == 0


def test_messages_of_a_suspended_owner_stay() -> None:
    """Section 10.10: suspended is not dead."""
    _, ann, bob = pair()
    bob.blocked = True
    ann.say(1)
    ann.lose()
    bob.unblock()
    assert len(bob.payloads()) == 1
    assert bob.got(Close) == []
    ann.resume()
    ann.say(2)
    assert len(bob.payloads()) == 1


def test_frames_for_unknown_sessions_are_dropped() -> None:
    """CC-SESS-064, CC-LINK-083."""
    _, ann, bob = pair()
    bob.receipt(0, 1, session=9)
    bob.credit(0, 1 << 20, session=9)
    bob.fail(0, 1, session=9)
    ann.say(1, flags=0)
    bob.receipt(0, 1)
    bob.credit(0, 1 << 20)
    assert bob.bye is None
    assert [frame for frame in ann.frames if isinstance(frame, (Fail, Receipt))] == []


def test_who_got_nothing_of_a_session_has_nothing_to_say_of_it() -> None:
    net = Net()
    ann, bob, carol = net.joined("ann", "bob", "carol")
    ann.say(1, to=[1], confirm=True)
    ann.say(1, to=[1], session=2, channel=6, flags=0)
    carol.receipt(0, 1)
    carol.fail(0, 1)
    carol.fail(0, 1, session=2)
    carol.credit(0, 1 << 20)
    assert ann.got(Fail) == []
    assert ann.got(Receipt) == []
    assert bob.bye is None


@pytest.mark.parametrize("flags", [0, RELIABLE])
def test_what_follows_a_close_goes_nowhere(flags: int) -> None:
    """CC-RELAY-007, CC-RELAY-008: also while a recipient has not taken all of the session."""
    net = Net()
    ann, bob = net.joined("ann", "bob")
    bob.blocked = True
    ann.say(1, flags=flags)
    ann.close(1)
    ann.say(2, flags=flags)
    bob.unblock()
    assert [frame.sequence for frame in bob.got(Data)] == [1]
    assert ann.got(Fail) == []


# --- rates -------------------------------------------------------------------------------------------------------


def test_a_rate_limit_withholds_credit_and_drops_nothing() -> None:
    """CC-RELAY-072, CC-RELAY-036."""
    net = Net(window=65_536)
    ann = net.join("ann", rate=32_768)
    bob = net.join("bob")
    net.run(100 * MS)
    limit, sent, sequence = 65_536, 0, 0
    started = net.now
    while net.now - started < 10 * SECOND:
        while sent + 4_016 <= limit:
            sequence += 1
            ann.say(sequence, bytes(4_000))
            sent += 4_016
            limit = max([limit, *(frame.value for frame in ann.got(Credit))])
        net.run(50 * MS)
        limit = max([limit, *(frame.value for frame in ann.got(Credit))])
    assert len(bob.payloads()) == sequence
    assert 32_768 * 10 <= sent <= 32_768 * 11 + 65_536 + 16_384
    assert ann.bye is None


def test_a_rate_limit_drops_lossy_messages_whole() -> None:
    """CC-RELAY-073."""
    net = Net()
    ann = net.join("ann", rate=2_000)
    bob = net.join("bob")
    net.run(100 * MS)
    for sequence in range(1, 4):
        for index in range(2):
            fragment = Fragment(index, 1_024, last=index == 1)
            ann.say(sequence, bytes(512), flags=0, fragment=fragment)
    assert [frame.sequence for frame in bob.got(Data)] == [1, 1, 2]
    assert net.relay.statistics().drops == {"rate": 3}
    net.run(SECOND)
    ann.say(9, flags=0)
    assert len(bob.payloads()) == 1


def test_what_follows_a_dropped_fragment_is_dropped_although_it_would_fit() -> None:
    """CC-RELAY-073: whole messages where it can; the next message is taken."""
    net = Net()
    ann = net.join("ann", rate=2_000)
    bob = net.join("bob")
    net.run(100 * MS)
    ann.say(1, bytes(1_000), flags=0)
    ann.say(2, bytes(1_000), flags=0, fragment=Fragment(0, 1_001))
    ann.say(2, b"x", flags=0, fragment=Fragment(1, 1_001, last=True))
    ann.say(3, b"x", flags=0)
    assert [frame.sequence for frame in bob.got(Data)] == [1, 3]
    assert net.relay.statistics().drops == {"rate": 2}


def test_no_more_than_a_second_s_worth_is_saved_up() -> None:
    """CC-RELAY-072: what came after a long pause counts from a full bucket, not from more."""
    net = Net(window=65_536)
    ann = net.join("ann", rate=20_000)
    net.join("bob")
    net.run(10 * SECOND)
    for sequence in range(1, 5):
        ann.say(sequence, bytes(15_984))
    assert ann.one(Credit).value == 65_536 + 20_000


def test_credit_grows_back_however_much_is_withheld() -> None:
    """CC-RELAY-072: several sessions have taken more than a window beyond the rate, and all come to rest."""
    net = Net(window=65_536)
    ann = net.join("ann", rate=20_000)
    net.join("bob")
    net.run(100 * MS)
    for session in range(1, 7):
        for sequence in range(1, 5):
            ann.say(sequence, bytes(15_984), session=session, channel=session)
    ann.frames.clear()
    for _ in range(20):
        net.run(SECOND)
    assert {frame.session for frame in ann.got(Credit)} == set(range(1, 7))


def test_control_frames_have_a_rate() -> None:
    """CC-RELAY-074, CC-LIMIT-016: twice the rate at once, and 2 more for each DATA frame written to that link."""
    _, ann, bob = pair()
    ann.say(1)
    for number in range(2_001):
        bob.credit(0, number)
    ann.say(2)
    bob.credit(0, 1)
    bob.credit(0, 1)
    bob.credit(0, 1)
    assert bob.bye is None
    bob.credit(0, 1)
    assert bob.bye == 0x11
