# SPDX-License-Identifier: Apache-2.0
"""A network in virtual time that carries packets between machines as a plan says, and what applications saw of it.

A plan is pure JSON (`plans` draws them, replay files hold them): the kind of call, one operation after the other, and
for each link an explicit fate for its n-th packet. Past the end of the fates all is clean.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from callchannel_conformance import wire
from callchannel_conformance.bench.machine import MS, Bench, Machine
from callchannel_conformance.client import Client, Json, Packet
from callchannel_conformance.oracle import History
from callchannel_conformance.outcome import Violation

NAMES: Final = ("ann", "bob", "carol", "dan")
SETTLING: Final = 150_000
"""Milliseconds after all links are healed until nothing may be pending: beyond every limit of the standard but one."""

_READS: Final = 400


@dataclass(slots=True)
class _End:
    """One machine's end of a link. Takes the packets that the machine writes."""

    world: World
    link: _Link
    machine: Machine
    side: int

    def on_packet(self, packet: Packet) -> None:
        """See `machine.Receiver`."""
        self.world.carry(self.link, self.side, packet)

    def on_closing(self, transport: int) -> None:
        """See `machine.Receiver`."""
        self.world.close(self.link, self.side)


@dataclass(slots=True)
class _Link:
    """A link's transport at a time: `up` counts its incarnations, `transports` are the numbers at both ends."""

    number: int
    machines: tuple[Machine, Machine]
    transports: list[int] = field(default_factory=lambda: [0, 0])
    incarnation: int = 0
    is_up: bool = False
    packets: int = 0
    last_at: dict[tuple[int, str], int] = field(default_factory=dict)


class World(Bench):
    """Machines, the links between them, and the history. *endpoints*: who plays them, in turn."""

    def __init__(self, acceptor: Client, endpoints: Sequence[Client], plan: Json) -> None:
        super().__init__(acceptor)
        self.plan = plan
        self.links: list[_Link] = []
        self.endpoints: list[Machine] = []
        self._flying: list[tuple[int, int, _Link, int, int, Packet | None]] = []
        self._order = itertools.count()
        self._fates: list[list[int]] = []
        self.history = History(self)
        self._make(acceptor, endpoints)
        # Fates are those of packets behind the joining.
        self._fates = [list(fates) for fates in plan.get("fates", [])]
        for link in self.links:
            link.packets = 0

    def _make(self, acceptor: Client, endpoints: Sequence[Client]) -> None:
        limits = self.plan.get("limits") or {}
        if self.plan["call"] == "peer":
            bob = self._add("peer", acceptor, role="acceptor", identity="bob", peer_identity="ann", limits=limits)
            ann = self._add("peer", endpoints[0], role="initiator", identity="ann", limits=limits)
            self.endpoints = [ann, bob]
            self.links = [_Link(0, (ann, bob))]
        else:
            relay = self._add("relay", acceptor)
            for number in range(self.plan["members"]):
                client = endpoints[number % len(endpoints)]
                endpoint = self._add("endpoint", client, identity=NAMES[number], limits=limits)
                self.endpoints.append(endpoint)
                self.links.append(_Link(number, (endpoint, relay)))
        for link in self.links:
            self.heal(link)
            self.settle()
        self.run_until(self.now + 200 * MS)
        for endpoint in self.endpoints:
            self.history.observe(endpoint)

    def _add(self, kind: str, client: Client, **options: Any) -> Machine:
        wanted = {key: value for key, value in options.items() if value not in ({}, None)}
        before, self.client = self.client, client
        try:
            return self._create(kind, **wanted)
        finally:
            self.client = before

    # --- the network ------------------------------------------------------------------------------

    def heal(self, link: _Link) -> None:
        """Bring a transport up at both ends."""
        if link.is_up:
            return
        link.is_up = True
        link.incarnation += 1
        link.last_at = {}
        for side in (1, 0):
            machine = link.machines[side]
            link.transports[side] = machine.new_transport(_End(self, link, machine, side))
        for side in (1, 0):
            members: Json = {"transport": link.transports[side], "lossy": True}
            if link.machines[side].kind == "relay":
                members["admission"] = {"identity": NAMES[link.number], "may_send": True}
            link.machines[side].op("transport_up", **members)

    def cut(self, link: _Link) -> None:
        """Lose the transport, and everything that is on its way."""
        if not link.is_up:
            return
        link.is_up = False
        for side in (0, 1):
            machine = link.machines[side]
            if machine.receivers.pop(link.transports[side], None) is not None:
                machine.op("transport_down", transport=link.transports[side])

    def close(self, link: _Link, side: int) -> None:
        """A machine closes its end: what it wrote still arrives, then the other end goes down."""
        at = max([self.now, *(at for (way, _), at in link.last_at.items() if way == side)])
        heapq.heappush(self._flying, (at, next(self._order), link, link.incarnation, side, None))

    def carry(self, link: _Link, side: int, packet: Packet) -> None:
        """Take a packet on its way, with the fate that the plan has for it."""
        try:
            wire.decode_packet(packet.data, packet.lane)
        except wire.WireError as error:
            raise Violation(
                error.requirement, f"a machine wrote a bad packet: {error}", actual=packet.data.hex()
            ) from error
        fates = self._fates[link.number] if link.number < len(self._fates) else []
        fate = fates[link.packets] if link.packets < len(fates) else 0
        link.packets += 1
        if not link.is_up or packet.transport != link.transports[side]:
            return
        if packet.lane == "lossy" and fate == -1:
            return
        at = self.now + max(fate, 0) * MS
        if packet.lane == "reliable":
            at = max(at, link.last_at.get((side, "reliable"), 0))
        link.last_at[side, packet.lane] = max(at, link.last_at.get((side, packet.lane), 0))
        heapq.heappush(self._flying, (at, next(self._order), link, link.incarnation, side, packet))

    def run_until(self, end: int) -> None:
        """Let time pass until *end*, in microseconds: packets arrive, and timers run."""
        idle = 0
        while True:
            times = [m.wake for m in self.machines if m.wake is not None]
            if self._flying:
                times.append(self._flying[0][0])
            if not times or (at := max(min(times), self.now)) > end:
                break
            idle = idle + 1 if at == self.now else 0
            if idle > 20_000:
                raise Violation("CC-SEC-013", "the machines never come to rest")
            self.now = at
            if self._flying and self._flying[0][0] <= at:
                self._arrive()
                continue
            for machine in self.machines:
                if machine.wake is not None and machine.wake <= at:
                    machine.op("timeout")
        self.now = max(self.now, end)

    def settle(self) -> None:
        """Let everything happen that happens at this time."""
        self.run_until(self.now)

    def _arrive(self) -> None:
        _, _, link, incarnation, side, packet = heapq.heappop(self._flying)
        other = 1 - side
        machine = link.machines[other]
        if incarnation != link.incarnation or not link.is_up:
            return
        if packet is None:
            link.is_up = False
            if machine.receivers.pop(link.transports[other], None) is not None:
                machine.op("transport_down", transport=link.transports[other])
        elif link.transports[other] in machine.receivers:
            machine.op("receive", transport=link.transports[other], lane=packet.lane, packet=packet.data.hex())

    # --- the plan ---------------------------------------------------------------------------------

    def run(self) -> None:
        """Do all steps, judge after each, then heal, read, wait, and judge that nothing is pending."""
        for step in self.plan["steps"]:
            self._do(step)
            self.settle()
            self.history.judge()
        for _ in range(3):
            for link in self.links:
                self.heal(link)
            self.run_until(self.now + SETTLING // 3 * MS)
            for _ in range(_READS):
                if not self._read_everything():
                    break
                self.run_until(self.now + 50 * MS)
        self.history.judge()
        self.history.judge_end()

    def _read_everything(self) -> bool:
        read = [self.history.read_all(endpoint) for endpoint in self.endpoints]
        return any(read)

    def _do(self, step: Json) -> None:
        who = self.endpoints[step.get("who", 0) % len(self.endpoints)]
        op = step["op"]
        history = self.history
        if op == "wait":
            self.run_until(self.now + step["ms"] * MS)
        elif op in ("cut", "heal"):
            link = self.links[step.get("who", 0) % len(self.links)]
            (self.cut if op == "cut" else self.heal)(link)
        elif op in ("hold", "free"):
            link = self.links[step.get("who", 0) % len(self.links)]
            if link.is_up:
                side = step.get("side", 0)
                held = op == "hold"
                link.machines[side].op("hold", transport=link.transports[side], lane=step["lane"], held=held)
        elif op == "open":
            history.open(who, step)
        elif op == "send":
            history.send(who, step)
        elif op == "close":
            history.close(who, step)
        elif op == "cancel":
            history.cancel(who, step)
        elif op == "read":
            history.read_some(who, step)
        elif op == "close_receiver":
            history.close_receiver(who, step)
        elif op == "leave":
            history.leave(who)
        else:
            raise ValueError(f"no step {op}")


def needs_another(plan: Json) -> bool:
    """Whether a plan has a second implementation in it."""
    players = plan.get("players") or {}
    return bool(players.get("acceptor")) or any(players.get("endpoints", ()))


def run_plan(plan: Json, first: Client, other: Client | None = None) -> None:
    """Run a plan. Raises `Violation` with the plan as its `plan`, `AdapterError`, and `ValueError` without *other*.

    The plan's `players` say who plays what, 0 for *first* and 1 for *other*: `acceptor` the relay or accepting peer,
    `endpoints` the endpoints in turn. Without them *first* plays all.
    """
    if needs_another(plan) and other is None:
        raise ValueError("the plan is for two implementations; name the second with --other-adapter")
    clients = [first] if other is None else [first, other]
    for client in clients:
        client.reset()
    players = plan.get("players") or {"acceptor": 0, "endpoints": [0]}
    try:
        World(clients[players["acceptor"]], [clients[number] for number in players["endpoints"]], plan).run()
    except Violation as error:
        error.plan = plan
        raise
