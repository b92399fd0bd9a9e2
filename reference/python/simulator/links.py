# SPDX-License-Identifier: Apache-2.0
"""Oracle of chapter 9: handshakes, counts, acknowledgements, retransmission."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from simulator import wire
from simulator.network import Cable
from simulator.records import Inc, Violation


class LinkRecord:
    """A link as packets show it. Side 0 is the initiator, side 1 the acceptor."""

    def __init__(self, inc: Inc) -> None:
        self.inc = inc
        self.written: list[list[bytes]] = [[], []]
        """Counted frames that a side wrote, in order."""
        self.place = [0, 0]
        """Which of them a side writes next on its present transport; at the end: new ones."""
        self.received = [0, 0]
        """How many counted frames a side has taken."""
        self.told = [0, 0]
        """The greatest count that a side has told."""
        self.covered = [0, 0]
        """How many frames of a side the other is known to have, by ACK, HELLO or WELCOME."""
        self.acked = [0, 0]
        """How many frames of a side an ACK that reached it covers."""
        self.attempt = 0
        self.taken = 0
        """The greatest attempt that the acceptor has answered."""
        self.carrier: Cable | None = None
        """The transport of the last WELCOME: what is new goes over it until it is gone."""
        self.carried_since = 0
        """When that WELCOME was written; 0 where nothing can be called late on it."""
        self.waiting_since: list[int | None] = [None, None]
        """By side: since when a counted frame waits for an ACK of that side, by its clock."""
        self.token = b""
        self.ack_log: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
        """By the side whose frames are covered: counts of ACKs, and when they came."""
        self.hellos: dict[int, wire.Plain] = {}
        self.obligations: tuple[deque[tuple[int, Callable[[], str | None]]], ...] = (deque(), deque())
        """By side: (count, check): what has to be written before an ACK covers the count; the check says what lacks."""


class Links:
    """Judges the frames that links are made of, and finds out which are new."""

    def __init__(
        self,
        ack_delay: int,
        first: Callable[[LinkRecord, int, wire.Frame], None],
        taken: Callable[[LinkRecord, int, wire.Frame], None],
    ) -> None:
        """`first(link, side, frame)`: a frame is written for the first time; `taken`: it is taken by the other side."""
        self.ack_delay = ack_delay
        self._first = first
        self._taken = taken

    def wrote(self, link: LinkRecord, cable: Cable, side: int, frames: list[wire.Frame], late: int | None) -> None:
        """A side has written a packet on the reliable lane. `late`: its clock where an ACK can be called late."""
        for number, frame in enumerate(frames):
            kind = frame.kind
            if isinstance(frame, wire.Plain):
                if kind == wire.ACK:
                    self._wrote_ack(link, side, frame, late)
                elif kind == wire.HELLO:
                    self._wrote_hello(link, cable, frame)
                elif kind == wire.WELCOME:
                    self._wrote_welcome(link, cable, frame)
                    link.carrier, link.carried_since = cable, late or 0
                elif number != len(frames) - 1:
                    raise Violation("CC-LINK-053", "frames behind BYE")
                continue
            if kind == wire.DATA and not frame.flags & wire.RELIABLE:
                self._first(link, side, frame)
                continue
            log, place = link.written[side], link.place[side]
            if place < len(log):
                if log[place] != frame.raw:
                    raise Violation(
                        "CC-LINK-048",
                        f"frame {place + 1} of side {side} of {link.inc} is {wire.NAMES[kind]}, "
                        "not what was first written there",
                    )
                link.place[side] = place + 1
                continue
            log.append(frame.raw)
            link.place[side] = place + 1
            self._first(link, side, frame)

    def _wrote_ack(self, link: LinkRecord, side: int, frame: wire.Plain, late: int | None) -> None:
        if frame.received != link.received[side]:
            raise Violation(
                "CC-LINK-038", f"ACK {frame.received} of side {side} of {link.inc}, which took {link.received[side]}"
            )
        since, link.waiting_since[side] = link.waiting_since[side], None
        if late is not None and since is not None and late - since > self.ack_delay + 1_000:
            raise Violation("CC-LINK-036", f"an ACK of side {side} of {link.inc} comes after {late - since} us")
        link.told[side] = frame.received
        owed = link.obligations[side]
        while owed and owed[0][0] <= frame.received:
            lack = owed.popleft()[1]()
            if lack:
                raise Violation("CC-RELAY-023", f"ACK {frame.received} before {lack}")

    def _wrote_hello(self, link: LinkRecord, cable: Cable, frame: wire.Plain) -> None:
        if frame.attempt <= link.attempt:
            raise Violation("CC-LINK-012", f"attempt {frame.attempt} after {link.attempt}")
        link.attempt = frame.attempt
        if frame.flags & 1:
            if frame.token != link.token:
                raise Violation("CC-LINK-011", "a resume with another token")
            if frame.received != link.received[0]:
                raise Violation("CC-LINK-015", f"HELLO tells {frame.received}, {link.received[0]} were taken")
        elif frame.received:
            raise Violation("CC-LINK-009", "a fresh HELLO with a count")

    def _wrote_welcome(self, link: LinkRecord, cable: Cable, frame: wire.Plain) -> None:
        hello = link.hellos.get(cable.number)
        if hello is None:
            raise Violation("CC-LINK-022", "WELCOME without a HELLO")
        if frame.attempt != hello.attempt:
            raise Violation("CC-LINK-023", f"WELCOME to attempt {frame.attempt}, it was {hello.attempt}")
        if hello.attempt <= link.taken:
            raise Violation("CC-LINK-017", f"attempt {hello.attempt} is taken after {link.taken}")
        link.taken = hello.attempt
        link.waiting_since = [None, None]
        if hello.flags & 1:
            if frame.received != link.received[1]:
                raise Violation("CC-LINK-029", f"WELCOME tells {frame.received}, {link.received[1]} were taken")
            if frame.slot != link.inc.slot:
                raise Violation("CC-LINK-028", f"slot {frame.slot} after {link.inc.slot}")
            if frame.token != link.token:
                raise Violation("CC-LINK-028", "another token after a resume")
            link.place[1] = hello.received
        else:
            if frame.received:
                raise Violation("CC-LINK-027", "a fresh WELCOME with a count")
            link.token = frame.token
            link.inc.slot = frame.slot

    def arrives(self, link: LinkRecord, cable: Cable, side: int, frames: list[wire.Frame], now: int) -> None:
        """A side takes a packet of the reliable lane; its machine sees it next."""
        for frame in frames:
            kind = frame.kind
            if isinstance(frame, wire.Plain):
                if kind == wire.ACK:
                    link.covered[side] = max(link.covered[side], frame.received)
                    link.acked[side] = max(link.acked[side], frame.received)
                    link.ack_log[side].append((frame.received, now))
                elif kind == wire.HELLO:
                    link.hellos[cable.number] = frame
                    if not frame.flags & 1:
                        link.place[0] = 0
                        link.inc.instance = frame.token
                    elif frame.attempt > link.taken and frame.token == link.token:
                        link.covered[1] = max(link.covered[1], frame.received)
                elif kind == wire.WELCOME:
                    link.place[0] = frame.received
                    link.covered[0] = max(link.covered[0], frame.received)
                continue
            if kind != wire.DATA or frame.flags & wire.RELIABLE:
                link.received[side] += 1
                if link.waiting_since[side] is None:
                    link.waiting_since[side] = now
            self._taken(link, side, frame)
