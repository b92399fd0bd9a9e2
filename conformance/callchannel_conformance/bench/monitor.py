# SPDX-License-Identifier: Apache-2.0
"""Watches one link: every packet that a machine under test writes is judged by the rules that bind every writer.

What a single frame shows is judged by `wire` already. Here are the rules on a link: transports, lanes, the handshake,
counting, retransmission, bundling. The rules on sessions are in `sessions`, those on rosters in `rosters`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from callchannel_conformance import frames as f
from callchannel_conformance import standard
from callchannel_conformance.bench.rosters import RosterWatch
from callchannel_conformance.bench.sessions import SessionWatch
from callchannel_conformance.outcome import expect, expect_equal

if TYPE_CHECKING:
    from callchannel_conformance.bench.far import Far
    from callchannel_conformance.client import Packet

Frame = dict[str, Any]

_SMALL: Final = 128
_DATA: Final = ("DATA", "CLOSE")
_GREASE: Final = (0x8A, 0x9A, 0xAA, 0xBA, 0xCA, 0xDA, 0xEA, 0xFA)
_LARGEST_STANDARD_CODE: Final = 0x3FFF

_LINK_CODES: Final = (
    "PROTOCOL", "PACKET_SIZE", "FRAME_LENGTH", "UNKNOWN_TYPE", "HANDSHAKE", "WRONG_LANE", "FRAME_FORMAT", "SLOT",
    "EPOCH", "FLOW_CONTROL", "VERSION", "RATE", "RESUME_MISMATCH", "LEFT", "TIMEOUT", "INTERNAL", "MEMORY", "LINK_LOST",
)  # fmt: skip
_ACCEPTOR_CODES: Final = (
    "NOT_ADMITTED", "CALL_FULL", "TOO_SMALL", "REPLACED", "GOING_AWAY", "RESUME_UNKNOWN", "RESUME_STALE",
)  # fmt: skip
_SESSION_FAULTS: Final = ("SESSION_MISMATCH", "SEQUENCE", "FRAGMENT", "TOO_MANY_SESSIONS", "INTERNAL")
_RECIPIENT_FAILS: Final = ("CLOSED", "TOO_LARGE", "MEMORY", "EXTENSION", *_SESSION_FAULTS)
_RELAY_FAILS: Final = ("UNKNOWN_RECIPIENT", "LEFT", "LOST", "OVERRUN", "MEMORY", "GOING_AWAY", *_SESSION_FAULTS)


class Monitor:
    """The judge of one link. `far` is the scripted side to which the machine writes."""

    def __init__(self, far: Far) -> None:
        self.far = far
        self.lossy_open: dict[int, bool] = {}
        self.counted: list[bytes] = []
        """Counted frames that the machine wrote, in the order of first writing."""
        self.cursor: int | None = None
        """Index of the counted frame that has to be retransmitted next; None: nothing has to."""
        self.covered = 0
        """Counted frames that the far side has told to have received."""
        self.sessions = SessionWatch(self)
        self.rosters = RosterWatch(self)
        self.check_bundles = True
        self._first_on: dict[int, str] = {}
        self._said_bye: set[int] = set()
        self._up: set[int] = set()
        self._last_ack = 0
        self._last_attempt = 0

    @property
    def by_endpoint(self) -> bool:
        """Whether the machine under test is an endpoint."""
        return self.far.machine.kind != "relay"

    @property
    def in_group(self) -> bool:
        """Whether it is a group call."""
        return self.far.machine.kind != "peer"

    # --- what the bench tells ---------------------------------------------------------------------

    def transport_up(self, transport: int, lossy: bool) -> None:
        """A transport came up."""
        self._up.add(transport)
        self.lossy_open[transport] = lossy

    def transport_down(self, transport: int) -> None:
        """A transport is gone."""
        self._up.discard(transport)

    def resumed_at(self, received: int) -> None:
        """The far side told *received* in the handshake of a resume."""
        self.covered = max(self.covered, received)
        self.cursor = received if received < len(self.counted) else None

    def about_to_deliver(self) -> None:
        """The far side writes a packet."""
        self.covered = max(self.covered, self.far.told)

    # --- what the machine writes ------------------------------------------------------------------

    def packet(self, packet: Packet, frames: list[Frame], raws: list[bytes], *, lost: bool) -> list[bool]:
        """Judge a packet. Returns which of its frames are retransmissions."""
        expect(packet.transport in self._up, "CC-LINK-006", "nothing may be written on a transport that is gone")
        if packet.lane == "lossy":
            expect(
                self.lossy_open[packet.transport],
                "CC-LINK-004",
                "nothing may be written on the lossy lane while this end of it is closed",
            )
        marks = [
            self._frame(packet, frame, raw, position)
            for position, (frame, raw) in enumerate(zip(frames, raws, strict=True))
        ]
        if packet.lane == "reliable" and self.check_bundles and len(frames) > 1:
            self._bundle(frames, raws)
        return marks

    def _bundle(self, frames: list[Frame], raws: list[bytes]) -> None:
        size = sum(map(len, raws))
        limit = standard.limits()["bundle"]["default"]
        if size <= limit or self.far.machine.bench.client.hello().limits.get("bundle", {}).get("value", limit) != limit:
            return
        before = size - len(raws[-1])
        expect(
            before <= _SMALL and (frames[-1]["type"] in _DATA or frames[-1]["type"] == "FAIL"),
            "CC-SCHED-005",
            f"a packet of several frames holds {size} bytes, {before} before the last",
        )

    def _frame(self, packet: Packet, frame: Frame, raw: bytes, position: int) -> bool:
        kind = frame["type"]
        transport = packet.transport
        expect(
            transport not in self._said_bye,
            "CC-LINK-053",
            "BYE has to be the last frame",
            actual=frame,
        )
        self._handshake(transport, kind, frame, packet.lane)
        if kind == "BYE":
            self._said_bye.add(transport)
            self._bye(frame)
        elif kind == "ACK":
            self._ack(frame)
        elif kind == "UNKNOWN":
            expect(
                frame["number"] in _GREASE, "CC-EXT-028", "only grease may be written among unknown types", actual=frame
            )
        elif kind == "DATA" and "RELIABLE" not in frame["flags"]:
            wanted = "lossy" if self.lossy_open[transport] and self.far.active else "reliable"
            expect_equal(packet.lane, wanted, "CC-MODEL-010", "Lossy DATA has to be on the lossy lane while it is open")
        if f.is_counted(frame, packet.lane):
            if self.cursor is not None:
                self._retransmission(raw)
                return True
            self._room(frame)
            self.counted.append(raw)
        if kind in ("DATA", "CLOSE", "FAIL", "RECEIPT", "CREDIT", "REFUSE"):
            self.sessions.frame(frame, raw)
        elif kind == "ROSTER":
            self.rosters.frame(frame)
        return False

    def _handshake(self, transport: int, kind: str, frame: Frame, lane: str) -> None:
        initiator = self.far.role != "initiator"
        if kind in ("HELLO", "WELCOME"):
            expect_equal(kind, "HELLO" if initiator else "WELCOME", "CC-FRAME-015", "this side may not write it")
        if self.by_endpoint:
            expect(kind != "REFUSE", "CC-FRAME-015", "an endpoint may not write REFUSE")
            expect(kind != "ROSTER" or not initiator, "CC-FRAME-015", "an endpoint that initiates may not write ROSTER")
        first = transport not in self._first_on
        if first:
            self._first_on[transport] = kind
            if kind != "BYE":
                requirement = "CC-LINK-007" if initiator else "CC-LINK-022"
                wanted = "HELLO" if initiator else "WELCOME"
                expect_equal(kind, wanted, requirement, "the first frame of a transport is wrong")
        else:
            requirement = "CC-LINK-007" if initiator else "CC-LINK-022"
            expect(kind not in ("HELLO", "WELCOME"), requirement, "a transport has one handshake")
        if initiator and kind not in ("HELLO", "BYE"):
            active = self.far.active and transport == self.far.transport
            expect(active, "CC-LINK-008", "nothing but HELLO and BYE before WELCOME", actual=frame)
        if kind == "HELLO":
            expect(frame["attempt"] > self._last_attempt, "CC-LINK-012", "the attempt has to grow", actual=frame)
            self._last_attempt = frame["attempt"]
            # What comes of it is the check's affair: the far side answers or does not.
            self.far.hello = self.far.hello or frame
        if kind == "WELCOME":
            self.far.active = True
            if frame["received"] or self.far.welcome is not None:
                self.covered = max(self.covered, 0)
            self.far.welcome = frame
        if lane == "lossy":
            expect(self.far.active, "CC-LINK-008", "nothing on the lossy lane before the link is active")

    def _bye(self, frame: Frame) -> None:
        code = frame["code"]
        if code > _LARGEST_STANDARD_CODE:
            return
        allowed = _LINK_CODES if self.far.role != "initiator" else (*_LINK_CODES, *_ACCEPTOR_CODES)
        expect(
            standard.code_name(code) in allowed, "CC-ERR-007", "this side may not say this code in BYE", actual=frame
        )

    def _ack(self, frame: Frame) -> None:
        received = frame["received"]
        expect(received >= self._last_ack, "CC-LINK-038", "an ACK went back", expected=self._last_ack, actual=frame)
        most = len(self.far.written)
        expect(received <= most, "CC-LINK-038", "an ACK covers more than was written", expected=most, actual=frame)
        self._last_ack = received

    def _retransmission(self, raw: bytes) -> None:
        assert self.cursor is not None
        wanted = self.counted[self.cursor]
        expect_equal(
            raw.hex(),
            wanted.hex(),
            "CC-LINK-048",
            f"counted frame {self.cursor + 1} has to be repeated, byte for byte, before anything new that is counted",
        )
        self.cursor += 1
        if self.cursor == len(self.counted):
            self.cursor = None

    def _room(self, frame: Frame) -> None:
        """CC-LINK-035: bytes of counted frames that are kept, before this one."""
        if frame["type"] not in ("DATA", "CREDIT"):
            return
        limit = standard.limits()["unacknowledged"]["max"]
        hello = self.far.machine.bench.client.hello()
        limit = int(hello.limits.get("unacknowledged", {}).get("value", limit))
        limit = int((self.far.machine.options.get("limits") or {}).get("unacknowledged", limit))
        kept = sum(map(len, self.counted[self.covered :]))
        expect(kept < limit, "CC-LINK-035", f"{kept} bytes are not acknowledged, the limit is {limit}", actual=frame)

    # --- codes of session frames ------------------------------------------------------------------

    def check_code(self, frame: Frame) -> None:
        """CC-ERR-007 for control frames."""
        code = frame["reason"]
        if code > _LARGEST_STANDARD_CODE:
            return
        name = standard.code_name(code)
        kind = frame["type"]
        allowed: tuple[str, ...] = ("NONE",)
        if kind == "FAIL":
            allowed = _RECIPIENT_FAILS if self.by_endpoint else (*_RELAY_FAILS, *_RECIPIENT_FAILS)
        elif kind == "REFUSE":
            allowed = ("POLICY", "GOING_AWAY", "MESSAGE_TOO_LARGE")
        elif kind == "CLOSE" and not self.by_endpoint:
            allowed = ("NONE", "LEFT", "LOST", *_SESSION_FAULTS)
        requirement = "CC-FRAME-060" if kind == "REFUSE" else "CC-ERR-007"
        expect(name in allowed, requirement, f"{kind} may not carry {name}", expected=allowed, actual=frame)
