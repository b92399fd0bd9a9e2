# SPDX-License-Identifier: Apache-2.0
"""The clock, and the machines under test. `Bench` is where every check begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from callchannel_conformance.client import Client, Json, Raised, Reply, Unsupported
from callchannel_conformance.outcome import NotApplicable, Violation

if TYPE_CHECKING:
    from callchannel_conformance.client import Packet

MS: Final = 1_000
"""Microseconds in a millisecond."""

_TURNS_AT_ONE_TIME: Final = 2_000


class Receiver(Protocol):
    """What takes the packets of a machine's transport."""

    def on_packet(self, packet: Packet) -> None:
        """A packet was written."""

    def on_closing(self, transport: int) -> None:
        """The machine closes a transport."""


class Waker(Protocol):
    """What has to act at a time of its own, such as a scripted far side that keeps its link alive."""

    def wake_at(self) -> int | None:
        """When, in microseconds, or None."""

    def woken(self) -> None:
        """The time has come."""


class Bench:
    """One adapter, one clock, and the machines of one check."""

    def __init__(self, client: Client, *, start: int = 1_000_000) -> None:
        self.client = client
        self.now = start
        self.machines: list[Machine] = []
        self.wakers: list[Waker] = []

    def endpoint(self, identity: str = "me", **options: Any) -> Machine:
        """An endpoint of a group call. Options are those of `create`."""
        self.client.needs(profile="endpoint-group")
        return self._create("endpoint", identity=identity, **options)

    def peer(self, role: str, identity: str = "me", **options: Any) -> Machine:
        """An endpoint of a peer-to-peer call."""
        self.client.needs(profile="endpoint-peer")
        return self._create("peer", identity=identity, role=role, **options)

    def relay(self, **options: Any) -> Machine:
        """A relay."""
        self.client.needs(profile="relay")
        return self._create("relay", **options)

    def advance(self, ms: float = 0) -> None:
        """Let time pass, with all timers of machines and wakers in between, the end included."""
        self.run_until(self.now + round(ms * MS))

    def run_until(self, end: int) -> None:
        """Let time pass until *end*, in microseconds."""
        turns = 0
        while True:
            due = [(at, waker) for waker in self.wakers if (at := waker.wake_at()) is not None and at <= end]
            ready = [(m.wake, m) for m in self.machines if m.wake is not None and m.wake <= end]
            times = [at for at, _ in due] + [at for at, _ in ready]
            if not times:
                break
            at = max(min(times), self.now)
            turns = turns + 1 if at == self.now else 0
            if turns > _TURNS_AT_ONE_TIME:
                raise Violation("CC-SEC-013", "the machine asks for a timer at once, again and again")
            self.now = at
            for wake, machine in ready:
                if wake <= at:
                    machine.op("timeout")
            for wake, waker in due:
                if wake <= at:
                    waker.woken()
        self.now = max(self.now, end)

    def _create(self, kind: str, *, seed: bytes | None = None, **options: Any) -> Machine:
        name = f"{kind}{len(self.machines)}"
        for limit in options.get("limits") or {}:
            self.client.needs(limit=limit)
        machine = Machine(self, name, kind)
        machine.options = options
        drawn = seed if seed is not None else (self.client.seed << 16 | len(self.machines)).to_bytes(8, "big")
        reply = machine.op("create", kind=kind, seed=drawn.hex(), **options)
        machine.creation = reply
        self.machines.append(machine)
        return machine


class Machine:
    """A machine under test: ops in, effects out."""

    def __init__(self, bench: Bench, name: str, kind: str) -> None:
        self.bench = bench
        self.name = name
        self.kind = kind
        self.wake: int | None = None
        self.events: list[Json] = []
        """All events, in order."""
        self.receivers: dict[int, Receiver] = {}
        self.last_transport = 0
        self.creation = Reply()
        self.client = bench.client
        self.options: Json = {}
        self._taken = 0

    def op(self, name: str, **members: Any) -> Reply:
        """Do an op and hand its effects out. The reply may be `raised`."""
        given = {key: value for key, value in members.items() if value is not ...}
        try:
            reply = self.client.request(name, machine=self.name, now=self.bench.now, **given)
        except Unsupported as error:
            raise NotApplicable(str(error)) from error
        self.wake = reply.wake
        self.events += reply.events
        for packet in reply.packets:
            receiver = self.receivers.get(packet.transport)
            if receiver is None:
                raise Violation("CC-LINK-006", f"a packet was written on transport {packet.transport}, which is gone")
            receiver.on_packet(packet)
        for transport in reply.closing:
            receiver = self.receivers.pop(transport, None)
            if receiver is not None:
                receiver.on_closing(transport)
        return reply

    def do(self, name: str, **members: Any) -> Json:
        """Do an op that must not raise, and return its value."""
        reply = self.op(name, **members)
        if reply.raised is not None:
            raise Violation(
                "CC-ERR-020", f"{name} raised {reply.raised.code}", expected="no error", actual=reply.raised
            )
        return reply.value

    def raises(self, requirement: str, code: str | tuple[str, ...], name: str, **members: Any) -> Raised:
        """Do an op that has to raise *code*."""
        reply = self.op(name, **members)
        allowed = (code,) if isinstance(code, str) else code
        if reply.raised is None or reply.raised.code not in allowed:
            actual = "no error" if reply.raised is None else reply.raised.code
            raise Violation(requirement, f"{name} has to raise {' or '.join(allowed)}", expected=code, actual=actual)
        return reply.raised

    def new_transport(self, receiver: Receiver) -> int:
        """A number for a transport whose packets *receiver* takes."""
        self.last_transport += 1
        self.receivers[self.last_transport] = receiver
        return self.last_transport

    def take(self, *names: str, **members: Any) -> list[Json]:
        """The events since the last `take` or `skip`, or those of them with these names and members. Takes all."""
        found = [event for event in self.events[self._taken :] if matches(event, names, members)]
        self._taken = len(self.events)
        return found

    def new_events(self, *names: str, **members: Any) -> list[Json]:
        """As `take`, but leaves them."""
        return [event for event in self.events[self._taken :] if matches(event, names, members)]

    def all_events(self, *names: str, **members: Any) -> list[Json]:
        """Events since the beginning."""
        return [event for event in self.events if matches(event, names, members)]

    def look(self) -> Json:
        """The machine's state."""
        return self.do("look")


def matches(item: Json, names: tuple[str, ...], members: Json, key: str = "event") -> bool:
    """Whether an event or frame has one of the names (if any are given) and all the members."""
    if names and item.get(key) not in names:
        return False
    return all(item.get(name) == value for name, value in members.items())
