# SPDX-License-Identifier: Apache-2.0
"""Receipts: passed on one by one, or aggregated."""

import itertools
import random

import pytest

from callchannel.core.frames import CONFIRM, RELIABLE, Fail, Fragment, Receipt, Roster
from callchannel.core.limits import RECIPIENTS_REPORTED
from callchannel.core.relay import owned, receipts
from callchannel.core.relay.owned import ReliableSession
from tests.core.relay.scripted import SECOND, Client, Net

ALL = 0xFFFF


@pytest.fixture(autouse=True)
def two_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Receipts of more than two recipients are gathered, so that calls of four show both."""
    monkeypatch.setattr(owned, "RECIPIENTS_REPORTED", 2)


def four(**limits: int) -> tuple[Net, list[Client]]:
    net = Net(**limits)
    return net, net.joined("ann", "bob", "carol", "dan")


def values(client: Client) -> list[tuple[int, int]]:
    """Recipient and value of the receipts that came."""
    return [(frame.recipient, frame.value) for frame in client.got(Receipt)]


def test_receipts_of_named_recipients_are_passed_on() -> None:
    """CC-RELAY-067: the normal case of section 7.2."""
    _, (ann, bob, carol, dan) = four()
    carol.say(1, to=[1, 3], confirm=True)
    bob.receipt(2, 1)
    assert carol.one(Receipt).encode() == bytes.fromhex("05000016 00020001 00000001 0000000000000001 0000")
    dan.receipt(2, 1)
    assert values(carol) == [(3, 1)]
    assert ann.frames == []


def test_receipts_of_broadcasts_are_aggregated() -> None:
    """CC-RELAY-068, CC-RELAY-069: when everyone has covered it, and never the same value again."""
    _, (ann, bob, carol, dan) = four()
    for sequence in (1, 2, 3):
        ann.say(sequence, confirm=True)
    bob.receipt(0, 3)
    carol.receipt(0, 2)
    assert values(ann) == []
    dan.receipt(0, 1)
    assert values(ann) == [(ALL, 1)]
    dan.receipt(0, 3)
    assert values(ann) == [(ALL, 2)]
    carol.receipt(0, 2)
    assert values(ann) == []
    carol.receipt(0, 3)
    assert values(ann) == [(ALL, 3)]


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("count", [64, 65])
def test_how_many_are_reported_one_by_one(count: int, named: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """CC-RELAY-067, CC-RELAY-068: at most `recipients_reported` recipients, however they are named."""
    monkeypatch.setattr(owned, "RECIPIENTS_REPORTED", RECIPIENTS_REPORTED)
    net = Net()
    clients = net.joined(*(f"e{number}" for number in range(count + 1)))
    ann = clients[0]
    ann.say(1, to=range(1, count + 1) if named else None, confirm=True)
    for client in clients[1:]:
        client.receipt(0, 1)
    assert values(ann) == ([(slot, 1) for slot in range(1, 65)] if count == 64 else [(ALL, 1)])


def test_everyone_but_some_counts_who_is_left() -> None:
    """CC-RELAY-067: recipients when the message was admitted; whoever failed before is none."""
    _, (ann, bob, carol, dan) = four()
    ann.say(1, everyone_but=[2], confirm=True)
    dan.receipt(0, 1)
    assert values(ann) == [(3, 1)]
    ann.say(2, confirm=True)
    bob.fail(0, 1)
    carol.receipt(0, 2)
    dan.receipt(0, 2)
    assert values(ann) == [(ALL, 2)]
    ann.say(3, confirm=True)
    carol.receipt(0, 3)
    assert values(ann) == [(2, 3)]


def test_who_never_reads_holds_up_nobody_in_a_small_call() -> None:
    """CC-RELAY-067: the others' verdicts do not wait for one recipient."""
    _, (ann, bob, _, dan) = four()
    for sequence in (1, 2):
        ann.say(sequence, everyone_but=[2], confirm=True)
    bob.receipt(0, 2)
    assert values(ann) == [(1, 2)]
    dan.receipt(0, 1)
    assert values(ann) == [(3, 1)]


def test_named_and_aggregated_in_one_session() -> None:
    """CC-RELAY-067, CC-RELAY-068: the aggregate waits for every message before it."""
    _, (ann, bob, carol, dan) = four()
    ann.say(1, to=[1], confirm=True)
    ann.say(2, confirm=True)
    ann.say(3, to=[1, 2], confirm=True)
    carol.receipt(0, 2)
    dan.receipt(0, 2)
    assert values(ann) == []
    carol.receipt(0, 3)
    assert values(ann) == [(2, 3)]
    bob.receipt(0, 1)
    assert values(ann) == [(1, 1)]
    bob.receipt(0, 2)
    assert values(ann) == [(ALL, 2)]
    bob.receipt(0, 3)
    assert values(ann) == [(1, 3)]


def test_several_receipts_become_one() -> None:
    """Section 10.11: made when a packet is made, from the values as they then are."""
    _, (ann, bob, carol, dan) = four()
    for sequence in (1, 2, 3):
        ann.say(sequence, confirm=True)
        ann.say(sequence, to=[1], session=2, channel=6, confirm=True)
    ann.blocked = True
    for value, client in itertools.product((1, 2, 3), (bob, carol, dan)):
        client.receipt(0, value)
        bob.receipt(0, value, session=2)
    ann.unblock()
    assert sorted(values(ann)) == [(1, 3), (ALL, 3)]


def test_messages_without_confirm_have_no_receipts() -> None:
    _, (ann, bob, carol, dan) = four()
    ann.say(1)
    bob.receipt(0, 1)
    ann.say(2, confirm=True)
    ann.say(3)
    for client in (bob, carol, dan):
        client.receipt(0, 3)
    assert values(ann) == [(ALL, 2)]


def test_a_message_to_nobody() -> None:
    """CC-RELAY-070; section 10.14: an aggregated RECEIPT at once."""
    net = Net()
    (ann,) = net.joined("ann")
    ann.say(1, confirm=True)
    assert values(ann) == [(ALL, 1)]


@pytest.mark.parametrize("named", [False, True])
def test_a_message_whose_recipients_have_all_failed(named: bool) -> None:
    """CC-RELAY-070: after the FAILs."""
    _, (ann, bob, carol, dan) = four()
    ann.say(1, confirm=True, to=[1, 2, 3] if named else None)
    ann.say(2, confirm=True, to=[1, 2, 3] if named else None)
    ann.blocked = True
    for client in (bob, carol, dan):
        client.fail(0, 1)
    ann.unblock()
    assert ann.order(Fail, Receipt) == ["Fail", "Fail", "Fail", "Receipt"]
    assert values(ann) == [(ALL, 2)]


def test_named_recipients_that_are_all_gone() -> None:
    """CC-RELAY-024, CC-RELAY-070."""
    net, (ann, bob, _, _) = four()
    bob.leave()
    net.run(SECOND)
    ann.say(1, to=[1], epoch=4, confirm=True)
    assert ann.order(Fail, Receipt) == ["Fail", "Receipt"]
    assert values(ann) == [(ALL, 1)]


def test_some_failed_and_some_read() -> None:
    """CC-RELAY-055, CC-RELAY-068: those who failed are not waited for."""
    _, (ann, bob, carol, dan) = four()
    ann.say(1, confirm=True)
    bob.fail(0, 1)
    carol.receipt(0, 1)
    assert values(ann) == []
    dan.leave()
    assert ann.order(Fail, Receipt) == ["Fail", "Fail", "Receipt"]
    assert values(ann) == [(ALL, 1)]
    ann.say(2, confirm=True)  # one is left
    carol.receipt(0, 2)
    assert values(ann) == [(2, 2)]


def test_a_receipt_covers_no_more_than_was_written() -> None:
    """CC-RELAY-071, CC-DELIV-015."""
    net, (ann, bob, _, _) = four()
    bob.acks = False
    ann.say(1, to=[1], confirm=True)
    ann.say(2, b"x", to=[1], confirm=True, fragment=Fragment(0, 2))
    bob.receipt(0, 9)
    assert values(ann) == [(1, 1)]
    bob.blocked = True
    ann.say(2, b"x", flags=RELIABLE | CONFIRM | 0x10, fragment=Fragment(1, 2, last=True))
    bob.receipt(0, 9)
    assert values(ann) == []
    bob.unblock()
    bob.receipt(0, 9)
    assert values(ann) == [(1, 2)]
    assert net.relay.statistics().links[0].sessions == 1


def test_a_receipt_before_anything_was_written() -> None:
    _, (ann, bob, _, _) = four()
    bob.blocked = True
    ann.say(1, to=[1], confirm=True)
    bob.receipt(0, 1)
    assert values(ann) == []


def test_receipts_after_close() -> None:
    """CC-DELIV-045: they are passed on as long as the session owes something."""
    net, (ann, bob, carol, dan) = four()
    ann.say(1, confirm=True)
    ann.close(1)
    for client in (bob, carol, dan):
        client.receipt(0, 1)
    assert values(ann) == [(ALL, 1)]
    assert net.relay.statistics().sessions == 0


def test_an_aborted_message_is_not_waited_for() -> None:
    """Section 10.14: ABORT of a message: it is no longer owed."""
    _, (ann, bob, carol, dan) = four()
    ann.say(1, confirm=True)
    ann.say(2, b"x", confirm=True, fragment=Fragment(0, 9))
    ann.say(2, b"", confirm=True, fragment=Fragment(1, 9, abort=True))
    ann.say(3, confirm=True)
    for client in (bob, carol, dan):
        client.receipt(0, 3)
    assert values(ann) == [(ALL, 3)]


def test_a_receipt_waits_for_the_join_of_whom_it_names() -> None:
    """CC-ROSTER-032, CC-FRAME-061: the batch of roster changes does not wait (`Client` checks it)."""
    net = Net()
    (ann,) = net.joined("ann")
    net.join("bob")
    carol = net.join("carol")
    ann.say(1, confirm=True, epoch=2)
    ann.say(2)
    assert 2 not in ann.roster
    carol.fail(0, 2)
    assert ann.order(Roster, Fail)[-2:] == ["Roster", "Fail"]


def test_receipts_that_never_come_do_not_grow_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """CC-LIMIT-012: whoever holds up more than a sender may have unconfirmed is failed with MEMORY."""
    monkeypatch.setattr(receipts, "MAX_OUTSTANDING", 10)
    net, (ann, bob, carol, dan) = four()
    for sequence in range(1, 12):
        ann.say(sequence, confirm=True)
        for client in (carol, dan):
            client.receipt(0, sequence)
    assert ann.one(Fail) == Fail(0, 1, 1, 1, 0x25, True)
    assert bob.one(Fail) == Fail(0, 1, 1, 1, 0x25, True)
    assert values(ann)[-1] == (ALL, 11)
    session = net.relay._by_slot[0].uplink.sessions[1]
    assert isinstance(session, ReliableSession)
    assert session.receipts is not None
    assert session.receipts.outstanding == []


@pytest.mark.parametrize("seed", range(30))
def test_the_aggregate_is_what_a_simple_model_says(seed: int) -> None:
    """CC-RELAY-067, CC-RELAY-068, CC-RELAY-069, CC-RELAY-070: any order of messages, receipts and failures."""
    chance = random.Random(seed)
    _, clients = four()
    ann = clients[0]
    members: dict[int, set[int]] = {}
    named: dict[int, bool] = {}
    covered = {1: 0, 2: 0, 3: 0}
    failed: set[int] = set()
    told, told_of = 0, {1: 0, 2: 0, 3: 0}
    for sequence in range(1, 40):
        to = chance.choice([None, [1], [2, 3], [1, 2, 3]])
        ann.say(sequence, to=to, confirm=True)
        members[sequence] = set(to or (1, 2, 3)) - failed
        named[sequence] = len(members[sequence]) <= 2
        slot = chance.choice([1, 2, 3])
        mine = [number for number, slots in members.items() if slot in slots]
        if chance.random() < 0.05 and slot not in failed and mine and covered[slot] < mine[-1]:
            clients[slot].fail(0, covered[slot] + 1)
            failed.add(slot)
            assert ann.one(Fail).recipient == slot
        elif slot not in failed and mine:
            covered[slot] = max(covered[slot], chance.choice(mine))
            clients[slot].receipt(0, covered[slot])
        for recipient, value in values(ann):
            if recipient == ALL:
                told = value
            else:
                told_of[recipient] = value
        through, due = 0, 0
        for number, slots in members.items():
            if any(covered[one] < number for one in slots - failed):
                break
            through = number
            if not named[number] or not any(covered[one] >= number for one in slots):
                due = number
        assert due <= told <= through
        for one in {1, 2, 3} - failed:
            named_covered = [n for n, slots in members.items() if named[n] and one in slots and n <= covered[one]]
            assert told_of[one] >= max(named_covered, default=0)
            assert told_of[one] <= covered[one]
