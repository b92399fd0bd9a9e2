# SPDX-License-Identifier: Apache-2.0
"""Oracle of chapter 4: slots, epochs, who is told of whom, and whom a message is for."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from simulator import wire
from simulator.records import Hub, Inc, Message, Sender, Violation

JOIN, LEAVE, SUSPENDED, RESUMED = 1, 2, 3, 4


class Rosters:
    """Judges rosters and recipient blocks."""

    def __init__(self) -> None:
        self.written: dict[Inc, dict[int, Inc]] = {}
        """By reader: the roster as it was written to it, by slot."""
        self.epochs: dict[Inc, int] = {}
        self._series: dict[Inc, list[wire.Entry]] = {}

    # --- the relay's side ----------------------------------------------------------------------------------------

    def joined(self, hub: Hub, inc: Inc, slot: int, now: int, quarantine: int) -> None:
        """The relay has let somebody in."""
        other = hub.slots.get(slot)
        if other is not None and not other.left:
            raise Violation("CC-ROSTER-005", f"slot {slot} for {inc} and {other}")
        if other is not None:
            since = max([other.left_at, *(self._knows_leave(other, reader, now) for reader in other.to_know)])
            if now - since < quarantine:
                raise Violation("CC-ROSTER-007", f"slot {slot} for {inc}, {now - since} us after all knew {other} left")
        free = min((place for place in range(len(hub.everyone) + 1) if place not in hub.slots), default=0)
        if other is None and slot != free:
            raise Violation("CC-ROSTER-004", f"slot {slot} for {inc}, {free} is free")
        hub.epoch += 1
        inc.slot, inc.joined = slot, hub.epoch
        hub.slots[slot] = inc
        hub.everyone.append(inc)

    @staticmethod
    def _knows_leave(gone: Inc, reader: Inc, now: int) -> int:
        """When a reader's link acknowledged that somebody left, or died; `now`: not yet."""
        died = reader.left_at if reader.left else now
        count = gone.to_know[reader]
        log = reader.link.ack_log[1]
        place = bisect_left(log, (count, -1)) if count else len(log)
        return min(died, log[place][1]) if place < len(log) else died

    def left(self, hub: Hub, slot: int, code: int, now: int) -> Inc:
        """The relay says that somebody has gone."""
        inc = hub.slots.get(slot)
        if inc is None or inc.left:
            raise Violation("CC-ROSTER-013", f"nobody is in slot {slot} to leave")
        hub.epoch += 1
        inc.left, inc.leave_code, inc.left_at = hub.epoch, code, now
        inc.to_know = {reader: 0 for reader in hub.everyone if not reader.left}
        return inc

    def roster_written(self, hub: Hub, reader: Inc, frame: wire.Roster, count: int) -> None:
        """A relay writes ROSTER to a link for the first time, as its frame number `count`."""
        view = self.written.get(reader)
        if bool(frame.flags & 1) != (view is None):
            raise Violation("CC-ROSTER-020", f"SNAPSHOT is {frame.flags & 1} for {reader}")
        if frame.epoch < self.epochs.get(reader, 0):
            raise Violation("CC-ROSTER-025", f"epoch {frame.epoch} after {self.epochs[reader]} for {reader}")
        series = self._series.setdefault(reader, [])
        series += frame.entries
        if frame.flags & 2:
            return
        del self._series[reader]
        view = {} if view is None else view
        self.written[reader] = view
        self.epochs[reader] = frame.epoch
        if frame.epoch > hub.epoch:
            raise Violation("CC-ROSTER-024", f"epoch {frame.epoch}, the call is at {hub.epoch}")
        for entry in series:
            if entry.op == JOIN:
                if entry.slot in view:
                    raise Violation("CC-ROSTER-027", f"JOIN of slot {entry.slot} for {reader}")
                view[entry.slot] = self._member(hub, entry, frame.epoch)
            elif entry.slot not in view or (entry.slot == reader.slot and entry.op != SUSPENDED):
                raise Violation("CC-ROSTER-028", f"entry {entry} for {reader}")
            elif entry.op == LEAVE:
                gone = view.pop(entry.slot)
                if reader in gone.to_know:
                    gone.to_know[reader] = count
                if entry.reason != gone.leave_code:
                    raise Violation(
                        "CC-ROSTER-030", f"LEAVE of {gone} with {entry.reason:04X}, not {gone.leave_code:04X}"
                    )
        expected = {inc.slot: inc for inc in hub.at(frame.epoch)}
        if view != expected:
            raise Violation("CC-ROSTER-024", f"epoch {frame.epoch} for {reader} is {view}, it has to be {expected}")

    def _member(self, hub: Hub, entry: wire.Entry, epoch: int) -> Inc:
        found = [inc for inc in hub.everyone if inc.slot == entry.slot and inc.joined <= epoch]
        if not found or found[-1].identity != entry.identity:
            raise Violation("CC-ROSTER-001", f"JOIN {entry} of somebody who never joined")
        return found[-1]

    def needs_join(self, sender: Sender, reader: Inc) -> None:
        """Reliable DATA of a session is written to a reader."""
        owner = sender.inc
        view = self.written.get(reader, {})
        if view.get(owner.slot) is not owner and not owner.left:
            raise Violation("CC-ROSTER-032", f"DATA of {owner} to {reader} before its JOIN")

    # --- the endpoint's side -------------------------------------------------------------------------------------

    def roster_taken(self, hub: Hub, reader: Inc, frame: wire.Roster) -> None:
        """An endpoint takes ROSTER."""
        reader.series += frame.entries
        if frame.flags & 2:
            return
        entries, reader.series = reader.series, []
        for entry in entries:
            if entry.op == JOIN:
                reader.view[entry.slot] = self._member(hub, entry, frame.epoch)
            elif entry.op == LEAVE:
                reader.view.pop(entry.slot, None)
        reader.view_epoch = frame.epoch

    # --- recipients ----------------------------------------------------------------------------------------------

    def meant(self, inc: Inc, options: dict[str, Any]) -> tuple[str, frozenset[Inc], list[str]]:
        """Whom an application names, by the roster that its endpoint knows; and names without an endpoint."""
        others = [other for other in inc.view.values() if other is not inc]
        names = options.get("to")
        if names:
            known = {other.identity for other in others}
            chosen = frozenset(other for other in others if other.identity in names)
            return "to", chosen, [name for name in names if name not in known]
        excluded = options.get("exclude") or ()
        if excluded:
            return "but", frozenset(other for other in others if other.identity not in excluded), list(excluded)
        return "all", frozenset(others), []

    def denoted(self, hub: Hub, owner: Inc, block: wire.Block | None) -> list[Inc]:
        """Whom a block denotes (section 4.7)."""
        if block is None:
            return [inc for inc in hub.members() if inc is not owner]
        there = hub.at(block.epoch)
        if block.everyone_but:
            return [inc for inc in there if inc.slot not in block.slots and inc is not owner]
        return [inc for inc in there if inc.slot in block.slots]

    def block_written(self, hub: Hub, message: Message, frame: wire.Data) -> None:
        """An owner writes the first frame of a message (CC-ROSTER-044 to 050)."""
        owner = message.sender.inc
        block = frame.block
        how, chosen = message.meant
        names = message.names
        if block is None:
            if how == "to":
                raise Violation("CC-ROSTER-046", f"{message} to some has no block")
            if how == "but" and any(other.identity in names for other in owner.view.values() if other is not owner):
                raise Violation("CC-ROSTER-047", f"{message} to everyone but {names} has no block")
            return
        if block.epoch != owner.view_epoch and hub.is_relay and message.sender.reliable:
            raise Violation("CC-ROSTER-044", f"epoch {block.epoch} in a block of {message}, not {owner.view_epoch}")
        if owner.slot in block.slots:
            raise Violation("CC-ROSTER-056", f"{message} names its writer")
        found = set(self.denoted(hub, owner, block)) if hub.is_relay else chosen
        there = set(hub.at(block.epoch)) if hub.is_relay else chosen
        if how == "to" and found != chosen & there:
            raise Violation("CC-ROSTER-046", f"{message} is for {chosen & there}, its block denotes {found}")
        if how == "but":
            wrong = [inc for inc in found if inc.identity in names]
            if wrong or not chosen & there <= found:
                raise Violation("CC-ROSTER-047", f"{message} excludes {names}, its block denotes {found}")
        if how == "all" and found != there - {owner} and hub.is_relay:
            raise Violation("CC-ROSTER-048", f"{message} to everyone, its block denotes {found}")
