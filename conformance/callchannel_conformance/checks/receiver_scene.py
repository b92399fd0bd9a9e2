# SPDX-License-Identifier: Apache-2.0
"""Brings a session at a receiver into a state of section 5.14, and asks in which state it is.

The session is number 1 of slot 0, on channel 5. Its first message has sequence 4, so that there are lower numbers.
"""

from __future__ import annotations

from typing import Any, Final

from callchannel_conformance import frames as f
from callchannel_conformance.bench.links import Acceptor, group
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.client import Json
from callchannel_conformance.outcome import expect, expect_equal

FIRST: Final = 4
UNREAD: Final = 5
PARTIAL: Final = 7
LATER: Final = 50


class Scene:
    """A receiver session under test. `unread`: whether something is unread before the event."""

    def __init__(self, bench: Bench, *, reliable: bool, limits: Json | None = None) -> None:
        self.bench = bench
        self.reliable = reliable
        self.far: Acceptor = group(bench, bench.endpoint(limits=limits) if limits else None)
        self.machine = self.far.machine
        self.receiver: int | None = None
        self.unread: list[int] = []
        self.last = 0
        self.partial: int | None = None
        self.end_code: str | None = None
        self.read_value: Json | None = None

    # --- what the far side does -------------------------------------------------------------------

    def data(self, sequence: int, payload: bytes = b"hi", **fields: Any) -> None:
        """Write DATA of the session, on the lane of its kind."""
        lane = fields.pop("lane", "reliable" if self.reliable else "lossy")
        reliable = fields.pop("reliable", self.reliable)
        self.far.write(f.data(payload, sequence=sequence, reliable=reliable, **fields), lane=lane)

    def first_part(self, sequence: int, **fields: Any) -> None:
        """Write fragment 0 of a message that goes on."""
        size = 6 if self.reliable else 700
        self.data(sequence, b"a" * (3 if self.reliable else 600), fragment=(0, size, False), **fields)

    def last_part(self, sequence: int, **fields: Any) -> None:
        """Write fragment 1, the last, of a message that `first_part` began."""
        size = 6 if self.reliable else 700
        self.data(sequence, b"b" * (3 if self.reliable else 100), fragment=(1, size, True), **fields)

    def read(self) -> Json | None:
        """Read once."""
        assert self.receiver is not None
        message: Json | None = self.machine.do("read", receiver=self.receiver)["message"]
        self.read_value = message
        return message

    def _created(self) -> None:
        events = self.machine.take()
        created = [event for event in events if event["event"] == "receiver_created"]
        expect_equal(len(created), 1, "CC-SESS-027", "the first frame of a session makes one receiver")
        self.receiver = created[0]["receiver"]

    # --- states -----------------------------------------------------------------------------------

    def reach(self, state: str, *, unread: int = 0, complete: bool = False, partial: bool = False) -> None:
        """Bring the session into *state* with so many unread messages."""
        if state == "NONE":
            self._clean()
            return
        if state == "LINGER" and not unread and not partial:
            self._begin()
            self.far.write(f.close(9))
            self.end_code = "NONE"
            self._clean()
            return
        self._begin()
        for number in range(unread):
            self.data(UNREAD + number)
            self.unread.append(UNREAD + number)
            self.last = UNREAD + number
        if state == "PARTIAL" or partial:
            self.first_part(PARTIAL)
            self.partial, self.last = PARTIAL, PARTIAL
        elif state == "DETACHED":
            limit = self.bench.client.hello().limits.get("idle_close", {}).get("value", 120_000)
            self.bench.advance(limit + 50)
            closed = self.machine.take("receiver_closed")
            expect_equal([event["code"] for event in closed], ["IDLE"], "CC-SESS-033", "an idle receiver closes")
        elif state == "DRAINING":
            if complete:
                self.far.write(f.close(9, reason="LEFT" if not self.reliable else "NONE"))
                self.end_code = "NONE"
            else:
                self.far.write(f.fail(UNREAD + unread, "OVERRUN", recipient=2))
                self.end_code = "OVERRUN"
        elif state == "LINGER":
            self.far.write(f.close(9))
            self.end_code = "NONE"
        elif state == "DEAD":
            self.far.write(f.fail(LATER, "OVERRUN", recipient=2))
        self._clean()

    def _begin(self) -> None:
        self.data(FIRST)
        self._created()
        self.read()
        self.last = FIRST

    def _clean(self) -> None:
        self.bench.advance(30)
        self.far.ack()
        self.machine.take()
        self.far.take()

    # --- asking for the state ---------------------------------------------------------------------

    def probe(self, state: str, requirement: str, what: str) -> None:
        """Find out by its behaviour whether the session is in *state*."""
        what = f"{what}: the next state is {state}"
        machine, far = self.machine, self.far
        far.take()
        if state == "DRAINING":
            self._drain(requirement, what)
            return
        if state in ("OPEN", "LINGER"):
            self._read_all()
            machine.take()
            self.data(LATER)
            self._expect_message(requirement, what)
        elif state == "PARTIAL":
            self._read_all()
            machine.take()
            if self.reliable:
                self.last_part(PARTIAL)
            self._expect_message(requirement, what)
        elif state == "DETACHED":
            machine.take()
            self.data(1 if self.reliable else LATER)
            created = machine.new_events("receiver_created")
            if self.reliable:
                expect(not created, requirement, f"{what}: it is remembered", actual=machine.new_events())
                fails = far.new("FAIL")
                expect_equal([fail["reason"] for fail in fails], [f.bye("SEQUENCE")["code"]], requirement, what)
            else:
                expect(created, requirement, f"{what}: the next message makes a new receiver")
        elif state == "NONE":
            machine.take()
            self.data(1)
            expect(machine.new_events("receiver_created"), requirement, f"{what}: it is forgotten")
        elif state == "DEAD":
            machine.take()
            self.data(LATER)
            expect(
                not machine.new_events("receiver_created", "receiver_readable"), requirement, f"{what}: DATA is dropped"
            )
            expect(not far.new("FAIL"), requirement, f"{what}: DATA is dropped without an error", actual=far.inbox)

    def _read_all(self) -> None:
        while self.receiver is not None and not self.machine.all_events("receiver_closed", receiver=self.receiver):
            if self.read() is None:
                return

    def _expect_message(self, requirement: str, what: str) -> None:
        readable = self.machine.new_events("receiver_readable")
        expect(readable, requirement, f"{what}: a message is taken", actual=self.machine.new_events())
        self.receiver = readable[0]["receiver"]
        expect(self.read() is not None, requirement, f"{what}: a message can be read")

    def _drain(self, requirement: str, what: str) -> None:
        closed = self.machine.new_events("receiver_closed")
        expect(not closed, "CC-SESS-036", f"{what}: unread messages keep the receiver open", actual=closed)
        self.data(LATER)
        got = []
        for _ in range(10):
            message = self.read()
            if message is None:
                break
            got.append(message["sequence"])
            if self.machine.new_events("receiver_closed"):
                break
        closed = self.machine.new_events("receiver_closed")
        expect(closed, requirement, f"{what}: it closes when everything was read", actual=self.machine.new_events())
        if self.end_code is not None:
            expect_equal(closed[0]["code"], self.end_code, "CC-SESS-036", f"{what}: the code is that of its first end")
        expect(LATER not in got, requirement, f"{what}: nothing more is taken", actual=got)
