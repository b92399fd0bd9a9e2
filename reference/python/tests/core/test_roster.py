# SPDX-License-Identifier: Apache-2.0
"""The roster as an endpoint knows it, and whom a message is for (chapter 4), against Python's own sets."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callchannel.core import roster as roster_module
from callchannel.core.errors import ErrorCode, InvalidArgument, TooManyRecipients
from callchannel.core.frames import Roster, RosterEntry, RosterOp
from callchannel.core.limits import LOSSY_WORDS
from callchannel.core.link import LinkFault
from callchannel.core.recipients import Recipients, count_words, mask_of, slots_of
from callchannel.core.roster import EVERYONE, RosterView, Target
from tests.core.network import joins

JOIN, LEAVE, SUSPENDED, RESUMED = RosterOp


def view(*members: tuple[int, str], own: int = 0, epoch: int = 5) -> RosterView:
    """A roster after its snapshot."""
    found = RosterView()
    found.own_slot = own
    found.apply(Roster(epoch, joins(*members), snapshot=True))
    return found


FOUR = ((0, "me"), (1, "ann"), (2, "bob"), (3, "ann"))


def faulty(found: RosterView, frame: Roster) -> int:
    with pytest.raises(LinkFault) as caught:
        found.apply(frame)
    return caught.value.code


# --- receiving -------------------------------------------------------------------------------


def test_snapshot_and_changes() -> None:
    found = view(*FOUR)
    assert (found.epoch, set(slots_of(found.present)), set(slots_of(found.others))) == (5, {0, 1, 2, 3}, {1, 2, 3})
    entries = (RosterEntry(LEAVE, 1, 0x27), RosterEntry(JOIN, 4, 0, "eve"), RosterEntry(SUSPENDED, 2))
    assert found.apply(Roster(7, entries)) == list(entries)
    assert set(slots_of(found.present)) == {0, 2, 3, 4}
    assert found.participant(2).suspended
    assert not found.participant(4).suspended
    assert found.participant(0).is_self
    assert found.participant(1).identity == found.name_of(1) == "ann"  # draining
    assert found.is_known_or_draining(1)
    assert not found.is_known_or_draining(9)
    assert found.participant(9).identity == found.name_of(9) == "slot 9"
    found.apply(Roster(7, (RosterEntry(RESUMED, 2),)))
    assert not found.participant(2).suspended


def test_an_empty_change_is_a_change() -> None:
    assert view(*FOUR).apply(Roster(5)) == []


def test_a_series_is_applied_when_it_is_complete() -> None:
    """CC-ROSTER-022, 026."""
    found = RosterView()
    found.own_slot = 0
    assert found.apply(Roster(3, joins((0, "me")), snapshot=True, more=True)) is None
    assert (found.epoch, found.members) == (0, {})
    assert found.apply(Roster(3, joins((1, "ann")), snapshot=True)) == list(joins((0, "me"), (1, "ann")))
    assert found.epoch == 3
    assert found.apply(Roster(4, (RosterEntry(LEAVE, 1),), more=True)) is None
    assert 1 in found.members
    found.apply(Roster(4))
    assert 1 not in found.members


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (Roster(6, snapshot=True), ErrorCode.EPOCH),
        (Roster(4), ErrorCode.EPOCH),
        (Roster(6, joins((1, "again"))), ErrorCode.SLOT),
        (Roster(6, (RosterEntry(LEAVE, 9),)), ErrorCode.SLOT),
        (Roster(6, (RosterEntry(SUSPENDED, 9),)), ErrorCode.SLOT),
        (Roster(6, (RosterEntry(RESUMED, 9),)), ErrorCode.SLOT),
        (Roster(6, (RosterEntry(LEAVE, 1), RosterEntry(LEAVE, 1))), ErrorCode.SLOT),
        (Roster(4, (RosterEntry(LEAVE, 9),)), ErrorCode.EPOCH),
        (Roster(6, (RosterEntry(LEAVE, 0),)), ErrorCode.SLOT),
        (Roster(5, (RosterEntry(SUSPENDED, 0),)), ErrorCode.SLOT),
    ],
)
def test_what_does_not_continue_the_roster(frame: Roster, code: int) -> None:
    """CC-ROSTER-020, 025, 027, 028: the epoch goes before the entries."""
    assert faulty(view(*FOUR), frame) == code


def test_a_series_has_one_epoch() -> None:
    """CC-ROSTER-023."""
    found = view(*FOUR)
    found.apply(Roster(6, more=True))
    assert faulty(found, Roster(7)) == ErrorCode.EPOCH


def test_before_the_snapshot() -> None:
    """CC-ROSTER-019, 020."""
    assert faulty(RosterView(), Roster(1, joins((0, "me")))) == ErrorCode.EPOCH
    for op in (LEAVE, RESUMED):
        entries = (*joins((0, "me")), RosterEntry(op, 0))
        assert faulty(RosterView(), Roster(1, entries, snapshot=True)) == ErrorCode.SLOT


def test_repeated_suspension_is_no_change() -> None:
    """CC-ROSTER-029."""
    found = view(*FOUR)
    for op in (SUSPENDED, SUSPENDED, RESUMED, RESUMED):
        found.apply(Roster(5, (RosterEntry(op, 1),)))
        assert found.participant(1).suspended is (op is SUSPENDED)


def test_a_series_that_never_ends_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """CC-LIMIT-012."""
    found = view(*FOUR)
    monkeypatch.setattr(roster_module, "_LONGEST_SERIES", 3)
    found.apply(Roster(6, (RosterEntry(SUSPENDED, 1),) * 3, more=True))
    assert faulty(found, Roster(6, (RosterEntry(SUSPENDED, 1),), more=True)) == ErrorCode.MEMORY


# --- whom a message is for -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "exclude", "slots", "absent"),
    [
        (None, (), {1, 2, 3}, []),
        ([], (), {1, 2, 3}, []),
        (["ann"], (), {1, 3}, []),
        (["bob", "nobody", "me"], (), {2}, ["nobody", "me"]),
        (None, ["ann", "nobody"], {2}, []),
        (None, ["bob", "ann"], set(), []),
    ],
)
def test_names_are_resolved(to: Any, exclude: Any, slots: set[int], absent: list[str]) -> None:
    """CC-ROSTER-038, 041."""
    found = view(*FOUR)
    assert found.resolve_target(Target.of(to, exclude)) == (mask_of(slots), absent)
    assert found.names_of(mask_of(slots)) == tuple(found.name_of(slot) for slot in sorted(slots))


@pytest.mark.parametrize(
    ("to", "exclude"),
    [("ann", ()), (b"ann", ()), ([1], ()), (None, "ann"), (None, [b"ann"]), (["ann"], ["bob"]), (5, ()), (None, 5)],
)
def test_faulty_lists(to: Any, exclude: Any) -> None:
    with pytest.raises(InvalidArgument):
        Target.of(to, exclude)


def test_names_are_kept_once_and_in_order() -> None:
    assert Target.of(["b", "a", "b"], ()) == Target(("b", "a"))
    assert Target.of(None, ()) is EVERYONE or Target.of(None, ()) == EVERYONE
    assert Target.of({"a"}, ()) == Target(("a",))


def denoted(block: Recipients | None, found: RosterView) -> set[int]:
    """Who the relay gives a message to, by its block (section 4.7)."""
    everyone = set(slots_of(found.present)) - {found.own_slot}
    if block is None:
        return everyone
    named = set(slots_of(block.slots))
    assert named <= everyone
    return everyone - named if block.everyone_but else named


calls = st.dictionaries(st.integers(0, 5_000), st.sampled_from("abcdefgh"), min_size=1, max_size=12)


@given(calls, st.data(), st.booleans(), st.booleans())
def test_property_the_block_denotes_exactly_the_resolved(
    call: dict[int, str], data: st.DataObject, confirm: bool, lossy: bool
) -> None:
    """CC-ROSTER-046, 047, 050 to 052."""
    own = data.draw(st.sampled_from(sorted(call)))
    found = view(*call.items(), own=own)
    names = data.draw(st.lists(st.sampled_from("abcdefgh"), max_size=5))
    excludes = data.draw(st.booleans())
    target = Target.of(None, names) if excludes else Target.of(names, ())
    slots, absent = found.resolve_target(target)
    others = set(call) - {own}
    if target.to is not None:
        expected = {slot for slot in others if call[slot] in names}
        assert set(absent) == {name for name in names if name not in {call[slot] for slot in others}}
    else:
        expected = {slot for slot in others if call[slot] not in target.exclude}
    assert set(slots_of(slots)) == expected
    if not slots and target.to is not None:
        return  # nothing is written
    block = found.block(target, slots, confirm=confirm and not lossy, lossy=lossy)
    assert denoted(block, found) == expected
    if block is not None:
        assert block.epoch == found.epoch
        assert not lossy or 1 <= count_words(block.slots) <= LOSSY_WORDS
    if target.to is None and expected == others:
        assert block == (Recipients(found.epoch, True, 0) if confirm and not lossy else None)


def spread(words: int) -> RosterView:
    """A call with one other endpoint in each of so many words, and this one in slot 1."""
    return view((1, "me"), *((32 * word, f"w{word}") for word in range(words)), own=1)


def test_a_lossy_block_takes_the_shorter_way_round() -> None:
    """CC-ROSTER-052."""
    found = spread(100)
    names = [f"w{word}" for word in range(70)]
    target = Target.of(names, ())
    block = found.block(target, found.resolve(names)[0], confirm=False, lossy=True)
    assert block is not None
    assert (block.everyone_but, count_words(block.slots)) == (True, 30)
    target = Target.of(None, names)
    block = found.block(target, found.resolve_target(target)[0], confirm=False, lossy=True)
    assert block is not None
    assert (block.everyone_but, count_words(block.slots)) == (False, 30)
    assert found.block(target, found.resolve_target(target)[0], confirm=False, lossy=False) is not None


@pytest.mark.parametrize("words", [140, 100])
def test_a_lossy_block_that_is_too_long_either_way(words: int) -> None:
    """CC-ROSTER-053: also where the other way would name nobody, which is not the same as everyone."""
    found = spread(words)
    names = [f"w{word}" for word in range(70 if words == 140 else 100)]
    for target in (Target.of(names, ()), Target.of(None, names)):
        with pytest.raises(TooManyRecipients):
            found.block(target, found.resolve_target(target)[0], confirm=False, lossy=True)


# --- epochs ----------------------------------------------------------------------------------

changes = st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=25)


@given(changes, st.integers(0, 25))
def test_property_who_is_still_there(steps: list[tuple[bool, int]], when: int) -> None:
    """An endpoint that left and one that joined in its slot are two (CC-ROSTER-060, 070)."""
    found = view((9, "me"), own=9, epoch=1)
    there: dict[int, int] = {}  # slot: a number of its own for each occupant
    asked: tuple[int, dict[int, int]] = (1, {})
    for number, (is_join, slot) in enumerate(steps):
        if number == when:
            asked = (found.epoch, dict(there))
        if is_join and slot not in there:
            there[slot] = number
            found.apply(Roster(found.epoch + 1, joins((slot, f"p{number}"))))
        elif not is_join and slot in there:
            del there[slot]
            found.apply(Roster(found.epoch + 1, (RosterEntry(LEAVE, slot, 0x27),)))
    epoch, before = asked
    expected = {slot for slot, occupant in before.items() if there.get(slot) == occupant}
    assert set(slots_of(found.still_there(mask_of(before), epoch))) == expected
    assert set(slots_of(found.others)) == set(there)
