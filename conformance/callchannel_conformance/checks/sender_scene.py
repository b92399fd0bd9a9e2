# SPDX-License-Identifier: Apache-2.0
"""Brings a session at a sender into a state of section 5.13, and follows what has to be written of it from then on.

The call is the usual one: the endpoint under test is slot 2, with ann, bob and dan. Message 1 is written and settled in
every state, so that the session has a number.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Final

from callchannel_conformance import frames as f
from callchannel_conformance.bench.far import Frame
from callchannel_conformance.bench.links import Acceptor, calling, group
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.checks.helpers import open_sender
from callchannel_conformance.client import Json, Reply
from callchannel_conformance.outcome import expect, expect_equal

FAULT: Final = "SEQUENCE"
"""The code with which a sender is failed."""

BOB: Final = 1


@dataclass(slots=True)
class Waiting:
    """A message that is not wholly written."""

    sequence: int
    end: str = "LAST"
    """How it has to end: `LAST`, `ABORT`, or `OPEN` for a stream that goes on."""
    index: int = 0
    """Of the next fragment; 0: nothing was written."""


class SenderScene:
    """A sender session under test, and a model of what it still has to write."""

    def __init__(
        self, bench: Bench, *, reliable: bool, peer: bool = False, window: int = f.WINDOW, limits: Json | None = None
    ) -> None:
        self.bench = bench
        self.reliable = reliable
        self.lane = "reliable" if reliable else "lossy"
        if peer:
            self.far: Acceptor = calling(bench, window=window)
        else:
            self.far = group(bench, bench.endpoint(limits=limits) if limits else None, window=window)
        self.machine = self.far.machine
        self.own_slot = self.far.peer_slot or 0
        self.sender = -1
        self.session = 0
        self.last = 0
        """The last sequence that was given."""
        self.waiting: list[Waiting] = []
        self.held = False
        self.active = True
        self.dead = False
        self.closed = False
        self.failed = False
        self.room = True
        """Whether the sender has room for one more message."""
        self.reason = "SENDER_CLOSED"
        """What a send raises in CLOSING and ENDED."""
        self.code = "NONE"
        """The code of the sender's end."""
        self.about = 0
        """The message that the event is about."""
        self.stream_reason = ""
        """What calls on a stream that is over raise."""
        self.behind = 0
        """A stream of which nothing is written."""
        self.reply = Reply()
        self.pulled: list[Frame] = []
        self.options: Json = {}
        self.probe_options: Json = {}
        """Of the message that is sent to find out about the state."""

    # --- what the application does ----------------------------------------------------------------

    def send(self, size: int = 2, **options: Any) -> int:
        """Send a message that is expected to wait; its sequence."""
        payload = bytes([65 + self.last % 26]) * size
        sequence = int(self.machine.do("send", sender=self.sender, data=payload.hex(), **options)["sequence"])
        self.last = sequence
        self.waiting.append(Waiting(sequence))
        return sequence

    def written(self, **options: Any) -> int:
        """Send a message that is written at once, and not acknowledged."""
        sequence = self.send(**options)
        self.collect("CC-SESS-066", f"message {sequence} is written")
        return sequence

    def stream(self, data: bytes = b"") -> int:
        """Open a stream and write to it."""
        sequence = int(self.machine.do("stream_open", sender=self.sender)["sequence"])
        self.last = sequence
        self.waiting.append(Waiting(sequence, "OPEN"))
        if data:
            self.machine.do("stream_write", sender=self.sender, sequence=sequence, data=data.hex())
        return sequence

    def ask(self, name: str, **members: Any) -> None:
        """Do a call of the application and keep what it returned or raised."""
        self.reply = self.machine.op(name, sender=self.sender, **members)

    # --- what the far side does -------------------------------------------------------------------

    def hold(self) -> None:
        """Block the lanes on which the session writes."""
        self.far.hold()
        if not self.reliable:
            self.far.hold("lossy")
        self.held = True

    def pull(self, lane: str = "") -> None:
        """Let the session write one packet."""
        self.pulled = [
            frame
            for frame in self.far.pull(lane or self.lane)
            if frame.get("session") == self.session or not self.session
        ]
        self.far.inbox = [frame for frame in self.far.inbox if frame not in self.pulled]

    def control(self, frame: Frame) -> None:
        """Write a control frame of the session."""
        self.far.write(frame)

    def fail(self, value: int, recipient: int = f.NO_SLOT, code: str = FAULT) -> None:
        """Write FAIL of the session."""
        self.control(f.fail(value, code, recipient=recipient, sender=self.own_slot, session=self.session))

    # --- states -----------------------------------------------------------------------------------

    def begin(self, **options: Any) -> None:
        """OPEN: message 1 is written and settled."""
        kind = "reliable" if self.reliable else "lossy"
        self.options = options
        self.sender = open_sender(self.far, reliability=kind, **options)
        self.far.take()
        self.send()
        frame = self.far.one("CC-SESS-066", "DATA")
        self.session = frame["session"]
        self.absorb([frame], "CC-SESS-066", "message 1 is written")
        self.far.ack()
        self._read_by_bob()
        self.clean()

    def _read_by_bob(self) -> None:
        if self.options.get("confirm") == "delivered":
            self.control(f.receipt(self.last, recipient=BOB, sender=self.own_slot, session=self.session))

    def part(self) -> int:
        """PARTIAL: the first fragment of a message is written, and the lane is blocked."""
        self.hold()
        sequence = self.send(40_000 if self.reliable else 3_000)
        self.pull()
        self.absorb(self.pulled, "CC-SESS-066", f"fragment 0 of message {sequence} is written")
        return sequence

    def close(self) -> None:
        """CLOSING, or ENDED: the application closes the sender."""
        self.machine.do("close", sender=self.sender)
        self.closed = True
        self.strip()

    def strip(self) -> None:
        """What closing does to streams that are not finished."""
        self.waiting = [item for item in self.waiting if item.end != "OPEN" or item.index]
        for item in self.waiting:
            item.end = "ABORT" if item.end == "OPEN" else item.end

    def end(self, how: str) -> None:
        """ENDED: closed, failed, or by the death of the link."""
        if how == "close":
            self.close()
            self.far.ack()
            self._read_by_bob()
        elif how == "fail":
            self.fail(2)
            self.failed, self.reason, self.code = True, FAULT, FAULT
        else:
            self.far.write(f.bye("GOING_AWAY"))
            self.dead, self.reason, self.code = True, "LINK_LOST", "LINK_LOST"
        self.waiting = []

    def clean(self) -> None:
        """Forget what came and was told before the event."""
        self.far.take()
        self.machine.take()

    # --- the model --------------------------------------------------------------------------------

    @property
    def partial(self) -> Waiting | None:
        """The message that is partly written."""
        return self.waiting[0] if self.waiting and self.waiting[0].index else None

    def drop(self, sequence: int) -> None:
        """Nothing more of a message has to be written."""
        self.waiting = [item for item in self.waiting if item.sequence != sequence]

    def collect(self, requirement: str, what: str) -> None:
        """Take in what was written since the last time."""
        self.absorb([x for x in self.far.take("DATA") if x["session"] == self.session], requirement, what)

    def absorb(self, frames: list[Frame], requirement: str, what: str) -> None:
        """Judge DATA of the session by the model, in the order in which it was written."""
        for frame in frames:
            if frame["type"] != "DATA":
                continue
            expect(self.waiting, requirement, f"{what}: nothing more may be written", actual=frame)
            item = self.waiting[0]
            expect_equal(frame["sequence"], item.sequence, requirement, f"{what}: which message is written")
            fragment = frame.get("fragment")
            index = fragment["index"] if fragment else 0
            expect_equal(index, item.index, requirement, f"{what}: which fragment of message {item.sequence}")
            ended = "LAST" if fragment is None or fragment["last"] else "ABORT" if fragment["abort"] else ""
            if ended:
                expect_equal(ended, item.end, requirement, f"{what}: how message {item.sequence} ends")
                self.waiting.pop(0)
            else:
                expect(item.end != "ABORT", requirement, f"{what}: message {item.sequence} was given up", actual=frame)
                item.index = index + 1

    # --- asking for the state ---------------------------------------------------------------------

    def probe(self, state: str, requirement: str, what: str) -> None:
        """Find out by its behaviour whether the session is in *state*, up to its end."""
        what = f"{what}: the next state is {state}"
        ended = self.machine.all_events("sender_ended", sender=self.sender)
        if state == "ENDED":
            expect_equal([event["code"] for event in ended], [self.code], requirement, f"{what}, which is told once")
        else:
            expect(not ended, requirement, f"{what}: the sender has not ended", actual=ended)
        if state in ("OPEN", "PARTIAL"):
            assert (self.partial is not None) == (state == "PARTIAL"), what
            if self.room:
                self._goes_on(requirement, what)
        else:
            self.ask("send", data="7a")
            raised = self.reply.raised
            if self.reliable or self.closed:
                actual = raised and raised.code
                expect_equal(actual, self.reason, requirement, f"{what}: a send raises the reason")
            else:
                expect(raised is None, "CC-SESS-025", f"{what}: a Lossy send is dropped", actual=raised)
        self._drain(state, requirement, what)

    def _goes_on(self, requirement: str, what: str) -> None:
        last = self.last
        sequence = self.send(**self.probe_options)
        expect_equal(sequence, last + 1, requirement, f"{what}: messages are numbered on")
        if not self.reliable and not self.active:
            self.drop(sequence)

    def _drain(self, state: str, requirement: str, what: str) -> None:
        """Let everything be written that has to be, and nothing else."""
        if self.dead or not self.session:
            self.far.none("CC-LINK-053", "DATA", "CLOSE")
            return
        # What a pull brought was taken out of the inbox by then.
        closes = [x.frame for x in self.far.seen if x.frame["type"] == "CLOSE" and x.frame["session"] == self.session]
        due = self.closed and not self.failed and state != "ENDED" and not closes
        self.collect(requirement, what)
        if not self.active:
            self.far.resume()
        elif self.held:
            self.far.hold(held=False)
            if not self.reliable:
                self.far.hold("lossy", held=False)
        if self.reliable and self.machine.kind != "peer":
            self.control(f.credit(4_000_000, recipient=f.NO_SLOT, sender=self.own_slot, session=self.session))
        for _ in range(4):
            self.far.ack()
        frames = [frame for frame in self.far.take("DATA", "CLOSE") if frame["session"] == self.session]
        closes = [frame for frame in frames if frame["type"] == "CLOSE"]
        self.absorb(frames, requirement, what)
        # Behind a stream that goes on everything waits.
        left = [item.sequence for item in takewhile(lambda item: item.end != "OPEN", self.waiting)]
        expect(not left, requirement, f"{what}: everything that waited is written", actual=left)
        expect_equal(len(closes), int(due), requirement, f"{what}: CLOSE")
        if due and self.reliable:
            expect(frames[-1]["type"] == "CLOSE", "CC-SESS-016", f"{what}: CLOSE comes last", actual=frames)
