# SPDX-License-Identifier: Apache-2.0
"""Rules on sessions that bind every writer of DATA and control frames, judged on one link."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from callchannel_conformance import frames as f
from callchannel_conformance.outcome import Violation, expect, expect_equal

if TYPE_CHECKING:
    from callchannel_conformance.bench.monitor import Monitor

Frame = dict[str, Any]

_KEPT: Final = ("RELIABLE", "HIGH")
_LAST_INDEX: Final = (1 << 30) - 1


@dataclass(slots=True)
class _Partial:
    sequence: int
    index: int
    total: int
    size: int
    flags: tuple[str, ...]


@dataclass(slots=True)
class _Written:
    """A session whose DATA the machine writes."""

    constants: tuple[object, ...]
    last: int = 0
    spent: int = 0
    closed: bool = False
    failed: bool = False
    partial: _Partial | None = None
    lossy: dict[int, list[Frame]] = field(default_factory=dict)
    refused: set[int] = field(default_factory=set)


@dataclass(slots=True)
class _Read:
    """A session about which the machine writes as a reader."""

    credit: int = 0
    receipts: dict[int, int] = field(default_factory=dict)
    failed: set[int] = field(default_factory=set)


class SessionWatch:
    """The judge of sessions on one link. `limits` may be raised with `credit_given`."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._written: dict[tuple[int, int], _Written] = {}
        self._read: dict[tuple[int, int], _Read] = {}
        self._greatest: dict[int, int] = {}
        self.limits: dict[tuple[int, int], int] = {}
        """Limits that the far side gave beyond its window, by sender slot and session."""
        self.window = f.WINDOW
        """The far side's window."""

    def refused(self, sender: int, session: int, sequence: int) -> None:
        """The far side wrote REFUSE."""
        written = self._written.get((sender, session))
        if written is not None and written.partial is not None and written.partial.sequence == sequence:
            written.partial = None

    def failed(self, sender: int, session: int) -> None:
        """The far side wrote FAIL for all, or as the peer."""
        written = self._written.get((sender, session))
        if written is not None:
            written.failed = True

    def forget_slot(self, slot: int) -> None:
        """A slot has another occupant."""
        for key in [key for key in self._written if key[0] == slot]:
            del self._written[key]
        for key in [key for key in self._read if key[0] == slot]:
            del self._read[key]
        self._greatest.pop(slot, None)

    def frame(self, frame: Frame, raw: bytes) -> None:
        """Judge a DATA or control frame that is written for the first time."""
        kind = frame["type"]
        if kind != "DATA":
            self._monitor.check_code(frame)
        self._slots(kind, frame)
        if kind == "DATA":
            self._data(frame, raw)
        elif kind == "CLOSE":
            self._close(frame)
        elif kind == "FAIL":
            self._fail(frame)
        elif kind in ("RECEIPT", "CREDIT"):
            self._reading(kind, frame)

    # --- who may name whom ------------------------------------------------------------------------

    def _slots(self, kind: str, frame: Frame) -> None:
        far = self._monitor.far
        own = far.peer_slot
        sender = frame["sender"]
        if self._monitor.by_endpoint:
            if kind in ("DATA", "CLOSE"):
                expect_equal(sender, own, "CC-ROSTER-010", f"{kind} has to carry the writer's own slot")
            else:
                requirement = "CC-FRAME-061" if self._monitor.in_group else "CC-PEER-012"
                expect(sender != own, requirement, f"{kind} is about another's session", actual=frame)
                if not self._monitor.in_group:
                    expect(frame["recipient"] != f.NO_SLOT, "CC-PEER-014", f"{kind} names a recipient", actual=frame)
                expect_equal(
                    frame["recipient"], own, requirement, f"{kind} has to carry the writer's slot as recipient"
                )
        elif kind in ("DATA", "CLOSE"):
            reader = far.own_slot
            expect(sender != reader, "CC-RELAY-029", f"{kind} went back to its sender", actual=frame)
            self._monitor.rosters.known_sender(frame)
        elif kind in ("CREDIT", "REFUSE", "RECEIPT"):
            expect_equal(sender, far.own_slot, "CC-FRAME-061", f"{kind} goes to the session's owner")
            if kind != "RECEIPT":
                expect_equal(frame["recipient"], f.NO_SLOT, "CC-FRAME-061", f"{kind} from a relay names no recipient")
        elif kind == "FAIL":
            reader = far.own_slot
            fits = (sender == reader) != (frame["recipient"] == reader)
            expect(fits, "CC-FRAME-061", "FAIL is either about the reader's session, or about the reader", actual=frame)
        if kind == "CLOSE":
            expect_equal(frame["recipient"], f.NO_SLOT, "CC-FRAME-061", "CLOSE names no recipient")

    # --- written sessions -------------------------------------------------------------------------

    def _data(self, frame: Frame, raw: bytes) -> None:
        key = (frame["sender"], frame["session"])
        reliable = "RELIABLE" in frame["flags"]
        constants = (frame["channel"], *(flag in frame["flags"] for flag in _KEPT))
        written = self._written.get(key)
        if written is None:
            if self._monitor.by_endpoint:
                greatest = self._greatest.get(frame["sender"], 0)
                expect(
                    frame["session"] > greatest,
                    "CC-MODEL-005",
                    f"session {frame['session']} begins after session {greatest}",
                    actual=frame,
                )
                self._greatest[frame["sender"]] = frame["session"]
            written = self._written[key] = _Written(constants)
        expect_equal(constants, written.constants, "CC-MODEL-007", "channel, reliability and priority stay the same")
        if reliable or self._monitor.by_endpoint:
            expect(not written.closed, "CC-SESS-021", "nothing of a session stands behind its CLOSE", actual=frame)
        if reliable:
            requirement = "CC-SESS-023" if self._monitor.by_endpoint else "CC-SESS-065"
            expect(not written.failed, requirement, "nothing of a session stands behind FAIL", actual=frame)
        if not self._monitor.by_endpoint:
            expect("recipients" not in frame, "CC-FRAME-047", "a relay removes the recipient block", actual=frame)
        elif "recipients" in frame:
            self._monitor.rosters.block(frame)
        if any(extension["type"] == 5 for extension in frame.get("extensions", ())) and self._monitor.by_endpoint:
            expect(False, "CC-SEC-027", "extension 0005 may not be written", actual=frame)
        if self._monitor.by_endpoint:
            self._blocks(frame)
        if reliable:
            self._reliable(frame, written)
            self._credit(frame, raw, key)
        elif self._monitor.by_endpoint:
            self._lossy(frame, written)

    def _blocks(self, frame: Frame) -> None:
        flags, fragment = frame["flags"], frame.get("fragment")
        first = fragment is None or (fragment["index"] == 0 and not fragment["abort"])
        needs = first or "RELIABLE" not in flags
        if "PRIVATE" in flags and needs and self._monitor.in_group:
            expect("recipients" in frame, "CC-FRAME-046", "a private message needs a recipient block", actual=frame)
        if "CONFIRM" in flags and first:
            expect(
                "recipients" in frame, "CC-FRAME-048", "a message with CONFIRM needs a recipient block", actual=frame
            )

    def _reliable(self, frame: Frame, written: _Written) -> None:
        sequence, fragment = frame["sequence"], frame.get("fragment")
        size = len(frame["payload"]) // 2
        partial = written.partial
        if fragment is None or (fragment["index"] == 0 and not fragment["abort"]):
            expect(partial is None, "CC-FRAG-010", f"message {sequence} begins in another", actual=frame)
            expect(
                sequence > written.last, "CC-FRAG-004", f"message {sequence} comes after {written.last}", actual=frame
            )
            written.last = sequence
            if fragment is None:
                return
            partial = _Partial(sequence, 0, fragment["total"], 0, tuple(frame["flags"]))
        else:
            if partial is None:
                expect(False, "CC-FRAG-007", "a fragment of a message that is not begun", actual=frame)
                return
            expect_equal(sequence, partial.sequence, "CC-FRAG-004", "a fragment of another message")
        requirement = "CC-FRAG-015" if fragment["abort"] else "CC-FRAG-007"
        expect_equal(fragment["index"], partial.index, requirement, "the indexes of a message follow each other")
        expect_equal(fragment["total"], partial.total, "CC-FRAG-008", "all fragments carry the same total")
        requirement = "CC-FRAG-016" if fragment["abort"] else "CC-FRAME-024"
        expect_equal(
            tuple(frame["flags"]), partial.flags, requirement, "the fragments of a message have the same flags"
        )
        if fragment["abort"]:
            written.partial = None
            return
        partial.index += 1
        partial.size += size
        if partial.total:
            expect(
                partial.size <= partial.total and (partial.size == partial.total) == fragment["last"],
                "CC-FRAG-009",
                f"{partial.size} of {partial.total} bytes are written",
                actual=frame,
            )
        expect(fragment["index"] < _LAST_INDEX or fragment["last"], "CC-FRAG-023", "the last index needs LAST")
        written.partial = None if fragment["last"] else partial

    def _lossy(self, frame: Frame, written: _Written) -> None:
        sequence, fragment = frame["sequence"], frame.get("fragment")
        parts = written.lossy.setdefault(sequence, [])
        if parts:
            first = parts[0]
            if fragment is None or "fragment" not in first:
                raise Violation("CC-MODEL-006", "a sequence was used twice", actual=frame)
            expect_equal(
                frame.get("recipients"), first.get("recipients"), "CC-ROSTER-068", "all fragments repeat the block"
            )
            expect_equal(fragment["total"], first["fragment"]["total"], "CC-FRAG-034", "all fragments have one total")
            expect_equal(fragment["index"], len(parts), "CC-FRAG-004", "fragments are written in order")
        elif fragment is not None:
            expect_equal(fragment["index"], 0, "CC-FRAG-004", "fragments begin with index 0")
            written.last = max(written.last, sequence)
        parts.append(frame)

    def _credit(self, frame: Frame, raw: bytes, key: tuple[int, int]) -> None:
        if frame.get("fragment", {}).get("abort"):
            return
        written = self._written[key]
        written.spent += len(raw)
        limit = max(self.window, self.limits.get(key, 0))
        requirement = "CC-DELIV-048" if self._monitor.by_endpoint else "CC-RELAY-035"
        expect(
            written.spent <= limit,
            requirement,
            f"{written.spent} bytes were written, the limit is {limit}",
            actual=frame,
        )

    def _close(self, frame: Frame) -> None:
        key = (frame["sender"], frame["session"])
        written = self._written.get(key)
        if written is None:
            expect(not self._monitor.by_endpoint, "CC-SESS-020", "CLOSE of a session without a frame", actual=frame)
            return
        expect(not written.closed, "CC-SESS-016", "CLOSE is written once", actual=frame)
        if self._monitor.by_endpoint:
            expect(
                not written.failed, "CC-SESS-023", "nothing is written after FAIL for all, CLOSE included", actual=frame
            )
            expect(written.partial is None, "CC-SESS-017", "CLOSE in the middle of a message", actual=frame)
            expect(frame["value"] >= written.last, "CC-SESS-018", "CLOSE is below the last sequence", actual=frame)
        written.closed = True

    # --- as a reader ------------------------------------------------------------------------------

    def _fail(self, frame: Frame) -> None:
        far = self._monitor.far
        key = (frame["sender"], frame["session"])
        if self._monitor.by_endpoint:
            expect(not frame["uncertain"], "CC-SESS-046", "a receiver writes UNCERTAIN clear", actual=frame)
            read = self._read.setdefault(key, _Read())
            expect(not read.failed, "CC-SESS-047", "a receiver fails a session once", actual=frame)
            read.failed.add(frame["recipient"])
        elif frame["sender"] == far.own_slot:
            read = self._read.setdefault(key, _Read())
            expect(
                frame["recipient"] not in read.failed,
                "CC-RELAY-054",
                "one FAIL for a session and recipient",
                actual=frame,
            )
            read.failed.add(frame["recipient"])
        elif (written := self._written.get(key)) is not None:
            written.failed = True

    def _reading(self, kind: str, frame: Frame) -> None:
        read = self._read.setdefault((frame["sender"], frame["session"]), _Read())
        value = frame["value"]
        if kind == "CREDIT":
            expect(value > read.credit, "CC-DELIV-053", f"CREDIT {value} after {read.credit}", actual=frame)
            read.credit = value
            return
        before = read.receipts.get(frame["recipient"], 0)
        requirement = "CC-DELIV-043" if self._monitor.by_endpoint else "CC-RELAY-069"
        expect(value > before, requirement, f"RECEIPT {value} after {before}", actual=frame)
        read.receipts[frame["recipient"]] = value
