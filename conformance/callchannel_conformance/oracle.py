# SPDX-License-Identifier: Apache-2.0
"""Judges what applications saw, from the standard's promises alone (section 7.17): nothing here looks at a packet.

Each payload names its message, so that what is read can be held against what was sent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from callchannel_conformance.bench.machine import Machine
from callchannel_conformance.client import Json
from callchannel_conformance.outcome import Violation, expect

if TYPE_CHECKING:
    from callchannel_conformance.simulator import World


@dataclass(slots=True)
class _Sent:
    """A message that was sent."""

    key: str
    owner: int
    sender: int
    sequence: int
    payload: bytes
    recipients: frozenset[str]
    reliable: bool
    confirm: str
    outcome: Json | None = None
    cancelled: str | None = None
    read_by: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Receiver:
    """A receiver at an endpoint."""

    handle: int
    reliable: bool
    owner: str
    last: int = 0
    closed: bool = False
    dropped: bool = False
    """Whether its application closed it."""


@dataclass(slots=True)
class _Seat:
    """What is known of one endpoint."""

    name: str
    senders: list[tuple[int, Json]] = field(default_factory=list)
    receivers: dict[int, _Receiver] = field(default_factory=dict)
    seen: int = 0
    left: bool = False
    dead: bool = False


class History:
    """What happened at all endpoints of a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._seats: dict[str, _Seat] = {}
        self._sent: dict[str, _Sent] = {}
        self._by_number: dict[tuple[str, int, int], _Sent] = {}
        self._failed: dict[tuple[str, int, str], int] = {}
        """The least v of a FAIL, by machine, sender and identity."""

    def observe(self, machine: Machine) -> None:
        """Begin with an endpoint."""
        joined = machine.all_events("joined")
        expect(joined, "CC-LINK-064", "an endpoint over a clean network joins", actual=machine.events)
        self._seats[machine.name] = _Seat(joined[0]["identity"])

    # --- steps ------------------------------------------------------------------------------------

    def open(self, machine: Machine, step: Json) -> None:
        """Open a sender."""
        options: Json = {key: step[key] for key in ("reliability", "priority", "confirm") if key in step}
        seat = self._seats[machine.name]
        others = sorted(other.name for other in self._seats.values() if other.name != seat.name)
        to = None
        if step.get("to") is not None:
            to = sorted({others[number % len(others)] for number in step["to"]})
            options["to"] = to
        reply = machine.op("open", **options)
        if reply.raised is None:
            seat.senders.append((int(reply.value["sender"]), {**options, "recipients": to or others}))

    def send(self, machine: Machine, step: Json) -> None:
        """Send a message on one of the open senders."""
        seat = self._seats[machine.name]
        if not seat.senders:
            return
        sender, options = seat.senders[step["sender"] % len(seat.senders)]
        key = f"{machine.name}:{len(self._sent)}:"
        payload = key.encode().ljust(step["size"], b".")
        reply = machine.op("send", sender=sender, data=payload.hex())
        if reply.raised is not None or not reply.value.get("sequence"):
            return
        sent = _Sent(
            key=key,
            owner=id(machine),
            sender=sender,
            sequence=int(reply.value["sequence"]),
            payload=payload,
            recipients=frozenset(options["recipients"]),
            reliable=options.get("reliability", "reliable") == "reliable",
            confirm=options.get("confirm", "accepted"),
        )
        before = [
            other.sequence
            for (name, number, _), other in self._by_number.items()
            if (name, number) == (machine.name, sender)
        ]
        expect(
            sent.sequence == max(before, default=0) + 1 or not sent.reliable,
            "CC-MODEL-006",
            "numbers rise by one",
            actual=sent.sequence,
        )
        self._sent[key] = sent
        self._by_number[machine.name, sender, sent.sequence] = sent

    def close(self, machine: Machine, step: Json) -> None:
        """Close one of the senders."""
        seat = self._seats[machine.name]
        if seat.senders:
            sender, _ = seat.senders.pop(step["sender"] % len(seat.senders))
            machine.op("close", sender=sender)

    def cancel(self, machine: Machine, step: Json) -> None:
        """Take back one of the messages that have no outcome."""
        self._events(machine)
        waiting = [
            s
            for (name, _, _), s in self._by_number.items()
            if name == machine.name and s.reliable and s.outcome is None and s.cancelled is None
        ]
        if waiting:
            sent = waiting[step["message"] % len(waiting)]
            reply = machine.op("cancel", sender=sent.sender, sequence=sent.sequence, code="CANCELLED")
            if reply.raised is None and reply.value["outcome"] != "settled":
                sent.cancelled = reply.value["outcome"]

    def leave(self, machine: Machine) -> None:
        """Leave the call."""
        self._seats[machine.name].left = True
        machine.op("leave")

    def close_receiver(self, machine: Machine, step: Json) -> None:
        """Close one of the receivers."""
        self._events(machine)
        alive = [r for r in self._seats[machine.name].receivers.values() if not r.closed]
        if alive:
            receiver = alive[step["receiver"] % len(alive)]
            receiver.closed = receiver.dropped = True
            machine.op("close_receiver", receiver=receiver.handle)

    def read_some(self, machine: Machine, step: Json) -> None:
        """Read a few messages from one receiver."""
        self._events(machine)
        alive = [r for r in self._seats[machine.name].receivers.values() if not r.closed]
        if alive:
            receiver = alive[step["receiver"] % len(alive)]
            for _ in range(step["count"]):
                if not self._read(machine, receiver):
                    break

    def read_all(self, machine: Machine) -> bool:
        """Read everything that there is. Says whether anything was there."""
        self._events(machine)
        some = False
        for receiver in list(self._seats[machine.name].receivers.values()):
            while not receiver.closed and self._read(machine, receiver):
                some = True
                self._events(machine)
        return some

    # --- what is seen -----------------------------------------------------------------------------

    def _read(self, machine: Machine, receiver: _Receiver) -> bool:
        reply = machine.op("read", receiver=receiver.handle)
        if reply.raised is not None:
            receiver.closed = True
            return False
        message = reply.value["message"]
        self._events(machine)
        if message is None:
            return False
        reader = self._seats[machine.name].name
        payload = bytes.fromhex(message["data"])
        key = ":".join(payload.decode("latin-1").split(":")[:2]) + ":"
        sent = self._sent.get(key)
        if sent is None or sent.payload != payload:
            raise Violation("CC-MODEL-004", "a message was handed out that nobody sent so", actual=payload[:80].hex())
        expect(
            reader in sent.recipients, "CC-MODEL-013", f"{reader} got a message that was not for it", actual=sent.key
        )
        expect(reader not in sent.read_by, "CC-SESS-032", f"{reader} got a message twice", actual=sent.key)
        expect(
            message["sequence"] == sent.sequence,
            "CC-MODEL-006",
            "the sequence of a message changed",
            expected=sent.sequence,
            actual=message,
        )
        if receiver.reliable:
            expect(
                message["sequence"] > receiver.last,
                "CC-SESS-030",
                "a session was handed out of order",
                expected=receiver.last,
                actual=message,
            )
            receiver.last = message["sequence"]
        sent.read_by.add(reader)
        self._check_failed(sent)
        return True

    def _events(self, machine: Machine) -> None:
        seat = self._seats[machine.name]
        for event in machine.events[seat.seen :]:
            self._event(machine, seat, event)
        seat.seen = len(machine.events)

    def _event(self, machine: Machine, seat: _Seat, event: Json) -> None:
        name = event["event"]
        if name == "receiver_created":
            reliable = event["reliability"] == "reliable"
            seat.receivers[event["receiver"]] = _Receiver(event["receiver"], reliable, event["identity"])
        elif name == "receiver_closed":
            receiver = seat.receivers.get(event["receiver"])
            if receiver is not None:
                expect(not receiver.closed or receiver.dropped, "CC-ERR-021", "a receiver ends once", actual=event)
                receiver.closed = True
        elif name in ("message_confirmed", "message_failed"):
            sent = self._by_number.get((machine.name, event["sender"], event["sequence"]))
            if sent is None:
                raise Violation("CC-MODEL-014", "an outcome of a message that was not sent", actual=event)
            expect(
                sent.outcome is None and sent.cancelled is None,
                "CC-MODEL-014",
                "a message has one outcome",
                actual=event,
            )
            sent.outcome = event
            self._check_failed(sent)
        elif name == "link_ended":
            expect(not seat.dead, "CC-ERR-025", "the end of a link is told once", actual=event)
            seat.dead = True

    def _check_failed(self, sent: _Sent) -> None:
        """What is failed was not delivered, and never will be."""
        if sent.cancelled in ("removed", "aborted"):
            expect(not sent.read_by, "CC-DELIV-035", "a message that was taken back was read", actual=sent.key)
        report = (sent.outcome or {}).get("report") or {}
        for identity, code in report.get("failed", ()):
            expect(
                identity not in sent.read_by,
                "CC-DELIV-022",
                f"{identity} read what failed for it with {code}",
                actual=sent.key,
            )

    # --- judging ----------------------------------------------------------------------------------

    def judge(self) -> None:
        """After each step: take in what was told, which judges it."""
        for machine in self._world.endpoints:
            if machine.name in self._seats:
                self._events(machine)

    def judge_end(self) -> None:
        """When all links were healed and everything was read: nothing is pending, and what was promised is kept."""
        living = {seat.name for seat in self._seats.values() if not seat.dead and not seat.left}
        faults: list[Any] = []
        for sent in self._sent.values():
            if not sent.reliable:
                continue
            if sent.outcome is None and sent.cancelled is None:
                raise Violation(
                    "CC-DELIV-001", "a Reliable message has no outcome although all links are healed", actual=sent.key
                )
            if sent.outcome is None or sent.outcome["event"] != "message_confirmed":
                continue
            report = sent.outcome.get("report") or {}
            excused = set(report.get("passed_over", ()))
            for identity in sent.recipients - excused:
                if sent.confirm == "delivered" and identity in living:
                    expect(
                        identity in sent.read_by,
                        "CC-DELIV-013",
                        f"confirmed as delivered, and {identity} did not read it",
                        actual=sent.key,
                    )
                elif identity in living and not self._was_failed(sent, identity) and identity not in sent.read_by:
                    faults.append((sent.key, identity))
        expect(not faults, "CC-MODEL-014", "accepted messages never arrived, and nobody was told", actual=faults)

    def _was_failed(self, sent: _Sent, identity: str) -> bool:
        """Whether the sender was told that this recipient failed in the session, or the recipient closed a receiver."""
        for machine in self._world.endpoints:
            if id(machine) != sent.owner:
                continue
            for event in machine.all_events("recipient_failed", sender=sent.sender):
                if event["identity"] == identity and event["sequence"] <= sent.sequence:
                    return True
            if (
                machine.all_events("sender_failed", sender=sent.sender)
                or self._seats[machine.name].dead
                or self._seats[machine.name].left
            ):
                return True
        return any(
            receiver.dropped and receiver.owner
            for seat in self._seats.values()
            if seat.name == identity
            for receiver in seat.receivers.values()
        )
