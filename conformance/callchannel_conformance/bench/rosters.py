# SPDX-License-Identifier: Apache-2.0
"""Rules on rosters and recipient blocks that bind their writers, judged on one link."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from callchannel_conformance.outcome import expect, expect_equal

if TYPE_CHECKING:
    from callchannel_conformance.bench.monitor import Monitor

Frame = dict[str, Any]


class RosterWatch:
    """The judge of what a relay (or accepting peer) writes in ROSTER, and of what an endpoint writes in blocks."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self.members: dict[int, str] = {}
        self.drained: dict[int, str] = {}
        self.epoch = 0
        self.complete = False
        self._series: list[Frame] = []

    def frame(self, frame: Frame) -> None:
        """Judge a ROSTER that is written for the first time."""
        if not self.complete:
            expect(frame["snapshot"], "CC-ROSTER-020", "the snapshot is not complete", actual=frame)
            if not self._series:
                expect_equal(len(self._monitor.counted), 1, "CC-ROSTER-016", "the snapshot is the first counted frame")
        else:
            expect(not frame["snapshot"], "CC-ROSTER-020", "the snapshot was complete before", actual=frame)
        if self._series:
            expect_equal(frame["epoch"], self._series[0]["epoch"], "CC-ROSTER-023", "a series has one epoch")
        expect(frame["epoch"] >= self.epoch, "CC-ROSTER-025", "the epoch went back", actual=frame)
        self._series.append(frame)
        if frame["more"]:
            return
        entries = [entry for part in self._series for entry in part["entries"]]
        self._series = []
        if self.complete:
            self._changes(entries, frame["epoch"])
        else:
            self._snapshot(entries)
        self.epoch = frame["epoch"]
        self.complete = True

    def _snapshot(self, entries: list[Frame]) -> None:
        joins = [entry for entry in entries if entry["op"] == "JOIN"]
        expect(
            all(entry["op"] in ("JOIN", "SUSPENDED") for entry in entries),
            "CC-ROSTER-019",
            "a snapshot holds JOIN and SUSPENDED alone",
            actual=entries,
        )
        slots = [entry["slot"] for entry in joins]
        expect(slots == sorted(set(slots)), "CC-ROSTER-017", "JOINs ascend by slot", actual=slots)
        self.members = {entry["slot"]: entry["id"] for entry in joins}
        if not self._monitor.by_endpoint:
            welcome = self._monitor.far.welcome or {}
            expect_equal(
                self.members.get(welcome.get("slot", -1)),
                welcome.get("id"),
                "CC-ROSTER-017",
                "the snapshot lists the reader under its slot and admitted identifier",
            )

    def _changes(self, entries: list[Frame], epoch: int) -> None:
        raises = 0
        for entry in entries:
            slot = entry["slot"]
            if entry["op"] == "JOIN":
                expect(slot not in self.members, "CC-ROSTER-027", "JOIN of a slot that is known", actual=entry)
                self.members[slot] = entry["id"]
                self.drained.pop(slot, None)
                self._monitor.sessions.forget_slot(slot)
                raises += 1
            else:
                expect(slot in self.members, "CC-ROSTER-028", f"{entry['op']} of an unknown slot", actual=entry)
                expect(
                    slot != self._monitor.far.own_slot,
                    "CC-ROSTER-031",
                    "an endpoint is not told of itself",
                    actual=entry,
                )
            if entry["op"] == "LEAVE":
                self.drained[slot] = self.members.pop(slot)
                raises += 1
        expect_equal(epoch, self.epoch + raises, "CC-ROSTER-013", "each JOIN and LEAVE raises the epoch by 1")

    def known_sender(self, frame: Frame) -> None:
        """Judge the sender slot of DATA or CLOSE from a relay (CC-ROSTER-011, CC-ROSTER-032)."""
        if frame["type"] == "DATA" and "RELIABLE" not in frame["flags"]:
            return
        slot = frame["sender"]
        expect(
            slot in self.members or slot in self.drained,
            "CC-ROSTER-032",
            f"{frame['type']} of slot {slot} before its JOIN",
            actual=frame,
        )

    def block(self, frame: Frame) -> None:
        """Judge a recipient block that an endpoint wrote, by the roster that the far side gave it."""
        far = self._monitor.far
        block = frame["recipients"]
        later = frame.get("fragment", {}).get("index", 0) > 0
        if not later:
            expect_equal(block["epoch"], far.epoch, "CC-ROSTER-044", "a block is made under the newest complete epoch")
        expect(far.peer_slot not in block["slots"], "CC-ROSTER-056", "a block may not name its writer", actual=frame)
        if not later:
            unknown = [slot for slot in block["slots"] if slot not in far.members]
            expect(not unknown, "CC-ROSTER-055", f"the block names slots {unknown}, which nobody has", actual=frame)
