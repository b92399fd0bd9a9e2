# SPDX-License-Identifier: Apache-2.0
"""Runs a plan: machines, transports, applications, in virtual time. The judge is told of all that can be seen."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from callchannel.core import bugs
from callchannel.core.endpoint import Endpoint, Peer
from callchannel.core.errors import CallChannelError
from callchannel.core.events import Participant
from callchannel.core.frames import Data
from callchannel.core.lanes import Lane
from callchannel.core.limits import Limits
from callchannel.core.relay import Admission, Relay
from simulator import wire
from simulator.judge import Judge
from simulator.network import HIGH_WATER, LOW_WATER, Cable, Network, Node
from simulator.plan import DEFAULT_LIMITS, Plan
from simulator.records import Hub, Inc, Receiver, Violation

MS = 1_000
POLICY_CHANNEL = 13
"""Where a plan opens a sender on this channel, the relay's policy forbids what is sent there."""
_BUSY = 2_000
_RATE = 200_000
_FATES: dict[str, tuple[int, ...]] = {"ok": (0,), "drop": (), "dup": (0, 2 * MS), "late": (20 * MS, 28 * MS)}
_HISTORY = 200_000
_ALL = 1 << 30


def _allows(participant: Participant, data: Data) -> bool:
    return data.channel != POLICY_CHANNEL


bugs.set_reporter(bugs.raise_bug)  # a crash is a violation, although a machine would survive it


class World:
    """One run of one plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.network = Network()
        self.limits = Limits(**(DEFAULT_LIMITS | plan.limits))
        self.counts: Counter[str] = Counter()
        self.nodes: list[Node] = []
        """Endpoints, also those that are gone."""
        self.hub: Node
        self.hub_record: Hub
        self.judge = Judge(self)
        self._cables = 0
        self._incs = 0
        self._by_number: dict[int, Cable] = {}
        self._busy_at = -1
        self._busy = 0
        self._after: list[Node] = []
        self.settling = False
        self.on_joined: Callable[[Node], None] = lambda node: None
        """What an eager application does as soon as it has joined."""
        self._forbids = POLICY_CHANNEL if any(step.get("channel") == POLICY_CHANNEL for step in plan.steps) else 0
        """The channel that the relay's policy forbids; 0: it has none, and takes its short way."""

    @property
    def now(self) -> int:
        """Virtual microseconds."""
        return self.network.now

    # --- building ----------------------------------------------------------------------------------------------

    def build(self) -> None:
        """Everybody who is there from the beginning joins."""
        plan = self.plan
        if plan.peer:
            self._build_peers()
        else:
            self.new_relay()
            for place in range(max(2, plan.endpoints)):
                self.add_endpoint(f"e{place}", place)
        self.run_for(150 * MS)

    def _build_peers(self) -> None:
        hub = self.hub_record = Hub(is_relay=False)
        machines = [
            Endpoint(entropy=random.Random(1).randbytes, identity="e0", limits=self.limits, peer=Peer(initiator=True)),
            Endpoint(
                entropy=random.Random(2).randbytes,
                identity="e1",
                limits=self.limits,
                peer=Peer(initiator=False, identity="e0"),
            ),
        ]
        for place, machine in enumerate(machines):
            node = Node(f"e{place}", machine, is_hub=bool(place))
            node.place = place
            node.paused = place in self.plan.paused
            self._add(node, hub)
        self.hub = self.nodes[1]
        self.judge.peers(self.nodes[0], self.nodes[1])
        self.connect(self.nodes[0])

    def _add(self, node: Node, hub: Hub) -> None:
        self._incs += 1
        node.inc = Inc(self._incs, node.name, hub)
        node.inc.muted = node.place in self.plan.muted and hub.is_relay
        self.nodes.append(node)
        self.judge.new_inc(node)

    def new_relay(self) -> None:
        """A relay with nobody at it."""
        self.hub_record = Hub(is_relay=True, forbids=self._forbids)
        self.counts["relays"] += 1
        relay = Relay(
            entropy=random.Random(1_000 + self.counts["relays"]).randbytes,
            limits=self.limits,
            now=self.now,
            policy=_allows if self._forbids else None,
        )
        self.hub = Node("relay", relay, is_hub=True)

    def add_endpoint(self, identity: str, place: int, *, seed: int | None = None, replace: bool = False) -> Node:
        """A new endpoint joins."""
        number = len(self.nodes)
        seed = 10_000 + number if seed is None else seed
        machine = Endpoint(
            entropy=random.Random(seed).randbytes, identity=identity, limits=self.limits, now=self.now, replace=replace
        )
        node = Node(identity, machine, is_hub=False)
        node.place, node.seed = place, seed
        node.paused = place in self.plan.paused and not self.settling
        self._add(node, self.hub_record)
        self.connect(node)
        return node

    def connect(self, node: Node, *, lossy: bool = True, dead: bool = False) -> None:
        """A new transport between an endpoint and its hub; `dead`: also where its link has ended."""
        if not node.alive or not self.hub.alive or (node.machine.state.value == "DEAD" and not dead):
            return
        plan, place = self.plan, node.place
        self._cables += 1
        latency = (plan.latency[place % len(plan.latency)] if plan.latency else 3) * MS
        rate = plan.rate[place % len(plan.rate)] if plan.rate else 0
        fates = self.judge.fates.setdefault(place, iter(plan.fates[place] if place < len(plan.fates) else ()))
        cable = Cable(self._cables, (node, self.hub), latency, 0 if self.settling else rate, fates)
        lossy = lossy and place not in plan.no_lossy
        cable.lossy = [lossy, lossy]
        self._by_number[cable.number] = cable
        node.cable = cable
        self.counts["transports"] += 1
        self.do(self.hub, lambda: self._up(cable, 1))
        self.do(node, lambda: self._up(cable, 0))

    def _up(self, cable: Cable, end: int) -> None:
        node = cable.ends[end]
        if not cable.open[end]:
            return
        cable.up_told[end] = True
        options: dict[str, Any] = {"lossy": cable.lossy[end]}
        if end and self.hub_record.is_relay:
            place = cable.ends[0].place
            options["admission"] = Admission(
                identity=cable.ends[0].name,
                may_send=place not in self.plan.muted,
                rate=_RATE if place in self.plan.rated else None,
            )
        node.machine.transport_up(cable.number, self.clock(node), **options)
        self.after(node)

    def clock(self, node: Node) -> int:
        """A node's own time."""
        return self.network.now + node.offset

    # --- running -----------------------------------------------------------------------------------------------

    def do(self, node: Node, what: Callable[[], None]) -> None:
        """Let something happen at a node: now, or when its process is awake again."""
        if not node.alive:
            return
        if node.frozen_until >= 0:  # also at the very time of its waking: what came before goes first
            node.inbox.append(what)
        else:
            what()

    def run_for(self, duration: int) -> None:
        """Let time pass."""
        end = self.network.now + duration
        network = self.network
        while (when := network.next_time()) is not None and when <= end:
            if when != self._busy_at:
                self._busy_at, self._busy = when, 0
            self._busy += 1
            if self._busy > 20 * _BUSY:
                raise Violation("busy", "machines keep the loop busy without time passing")
            network.step()
            self.counts["events"] += 1
            if self.counts["events"] > _HISTORY:
                raise Violation("busy", "more events than a plan can need")
        network.now = end

    def freeze(self, node: Node, duration: int) -> None:
        """The node's process stands still."""
        if node.alive and node.frozen_until < 0:
            node.frozen_until = self.now + duration
            self.network.at(node.frozen_until, lambda: self._thaw(node))

    def _thaw(self, node: Node) -> None:
        node.frozen_until = -1
        inbox, node.inbox = node.inbox, []
        for what in inbox:
            if node.alive:
                what()
        self._timer(node)

    def after(self, node: Node) -> None:
        """What a driver does after each call of a machine."""
        machine = node.machine
        for _ in range(_BUSY):
            self._events(node)
            dirty = machine.take_dirty()
            for number in dirty:
                cable = self._by_number[number]
                self.pull(cable, 0 if cable.ends[0] is node else 1)
            closing = machine.take_closing()
            for number in closing:
                self._close(self._by_number[number], node)
            if node.readable and not node.paused:
                self.read_all(node)
                continue
            if not dirty and not closing:
                break
        else:
            raise Violation("busy", f"{node.name} always has something dirty")
        deadline = machine.deadline()
        if deadline is not None:
            when = max(deadline - node.offset, self.network.now)
            if node.timer_at is None or when < node.timer_at or node.timer_at <= self.network.now:
                node.timer_at = when
                self.network.at(when, lambda: self._timer(node, when))

    def _events(self, node: Node) -> None:
        for event in node.machine.events():
            self.judge.event(node, event)
            self._react(node, event)

    def _timer(self, node: Node, when: int | None = None) -> None:
        if not node.alive or node.frozen_until >= 0 or (when is not None and node.timer_at != when):
            return
        node.timer_at = None
        deadline = node.machine.deadline()
        now = self.clock(node)
        if deadline is not None and deadline <= now:
            self.judge.in_timer = True
            node.machine.handle_timeout(now)
        self.after(node)
        self.judge.in_timer = False

    # --- packets -----------------------------------------------------------------------------------------------

    def pull(self, cable: Cable, end: int) -> None:
        """Write what is due on a transport."""
        node = cable.ends[end]
        if not cable.up_told[end] or cable.let_go[end] or cable.blocked:
            return
        network = self.network
        for lane in (Lane.RELIABLE, Lane.LOSSY):
            if lane is Lane.LOSSY and not cable.lossy[end]:
                continue
            while True:
                room = network.room(cable, end)
                if room <= 0:
                    self._pull_later(cable, end)
                    return
                packets = node.machine.pull(cable.number, lane, room, self.clock(node))
                size = 0
                for packet in packets:
                    size += len(packet)
                    self._write(cable, end, lane, packet)
                if size < room:
                    break

    def _pull_later(self, cable: Cable, end: int) -> None:
        if cable.timer[end]:
            return
        cable.timer[end] = True
        wait = max(1, (HIGH_WATER - LOW_WATER) * 1_000 // cable.rate) if cable.rate else 1

        def again() -> None:
            cable.timer[end] = False
            node = cable.ends[end]
            self.do(node, lambda: (self.pull(cable, end), self.after(node)))  # type: ignore[arg-type, func-returns-value]

        self.network.at(self.network.now + wait, again)

    def _write(self, cable: Cable, end: int, lane: Lane, packet: bytes) -> None:
        self.counts["packets"] += 1
        try:
            frames = wire.read_packet(packet, lossy=lane is Lane.LOSSY)
        except wire.Malformed as error:
            raise Violation("malformed", f"{cable.ends[end].name} wrote {error}") from error
        self.judge.wrote(cable, end, lane, frames)
        network = self.network
        network.spend(cable, end, len(packet))
        if lane is Lane.RELIABLE:
            network.deliver(cable, end, lambda: self._arrive(cable, 1 - end, lane, packet, frames), ordered=True)
            return
        fate = "ok" if self.settling else next(cable.fates, "ok")
        if fate != "ok":
            self.counts[f"fate {fate if isinstance(fate, str) else 'delay'}"] += 1
        delays = _FATES.get(fate) if isinstance(fate, str) else (fate * MS,)
        for delay in delays or ():
            network.deliver(
                cable,
                end,
                lambda: self._arrive(cable, 1 - end, lane, packet, frames),
                ordered=False,
                delay=delay,
            )

    def _arrive(self, cable: Cable, end: int, lane: Lane, packet: bytes, frames: list[wire.Frame]) -> None:
        node = cable.ends[end]

        def receive() -> None:
            if not cable.open[end] or not cable.up_told[end]:
                return
            self.judge.arrives(cable, end, lane, frames)
            node.machine.receive(cable.number, lane, packet, self.clock(node))
            self.after(node)

        self.do(node, receive)

    def _close(self, cable: Cable, node: Node) -> None:
        """A machine lets go of a transport: its last words go out, then it is closed."""
        end = 0 if cable.ends[0] is node else 1
        if cable.let_go[end]:
            return
        if cable.up_told[end] and not cable.blocked:
            for packet in node.machine.pull(cable.number, Lane.RELIABLE, HIGH_WATER, self.clock(node)):
                self._write(cable, end, Lane.RELIABLE, packet)
        cable.let_go[end] = True
        self.network.deliver(cable, end, lambda: self.down(cable, 1 - end), ordered=True)

    def down(self, cable: Cable, end: int) -> None:
        """An end is told that the transport is gone."""
        node = cable.ends[end]

        def tell() -> None:
            if not cable.open[end]:
                return
            cable.open[end] = False
            cable.let_go[end] = True
            if cable.up_told[end]:  # also where the machine has let go of it: that is of no interest to it
                node.machine.transport_down(cable.number, self.clock(node))
                self.after(node)

        self.do(node, tell)

    # --- applications ------------------------------------------------------------------------------------------

    def _react(self, node: Node, event: Any) -> None:
        name = type(event).__name__
        self.counts[name] += 1
        if name == "ReceiverReadable" and node.inc is not None:
            receiver = node.inc.receivers.get(event.receiver)
            if receiver is not None:
                node.readable[receiver] = None
        elif name == "Suspended" and self.plan.reconnect is not None:
            self.network.at(self.now + self.plan.reconnect * MS, lambda: self._reconnect(node))
        elif name == "Joined" and node.eager:
            self.network.at(self.now, lambda: self.do(node, lambda: self.on_joined(node)))
        elif name == "LinkEnded":
            node.streams.clear()
            if self.plan.rejoin and not self.settling and node.inc is not None and not node.inc.leaving:
                self.network.at(self.now + 50 * MS, lambda: self._rejoin(node))

    def _reconnect(self, node: Node) -> None:
        if (
            node.alive
            and not (node.is_hub and not self.hub_record.is_relay)
            and node.machine.state.value == "SUSPENDED"
        ):
            self.connect(node)
        elif node.is_hub and node.alive and self.plan.peer and node.machine.state.value == "SUSPENDED":
            other = self.nodes[0]
            if other.alive and other.machine.state.value == "SUSPENDED":
                self.connect(other)

    def _rejoin(self, node: Node) -> None:
        if node.alive and self.hub.alive and self.hub_record.is_relay and not self.settling and len(self.nodes) < 40:
            node.alive = False
            self.add_endpoint(node.name, node.place)

    def read_all(self, node: Node) -> None:
        """The application reads whatever is there."""
        while node.readable:
            receiver = next(iter(node.readable))
            del node.readable[receiver]
            self.read(node, receiver, _ALL)

    def read(self, node: Node, receiver: Receiver, count: int) -> None:
        """Read up to so many messages or chunks."""
        machine, handle = node.machine, receiver.handle
        now = self.clock(node)
        try:
            while count > 0:
                if receiver.stream is not None:
                    chunk = machine.read_stream(handle, now)
                    if chunk is None:
                        return
                    self.judge.chunk(node, receiver, chunk)
                else:
                    messages = self._next_messages(node, handle, count, now)
                    if not messages:
                        return
                    for message in messages:
                        self.judge.read(node, receiver, message)
                count -= 1
        except CallChannelError as error:
            self._events(node)
            self.judge.read_raised(node, receiver, error)
            if type(error).__name__ == "StreamAborted" and not receiver.closed:
                self.read(node, receiver, count)

    @staticmethod
    def _next_messages(node: Node, receiver: int, count: int, now: int) -> list[Any]:
        """One message, or, where all are wanted, whatever is there: every other application asks for that at once."""
        if count >= _ALL and node.place % 2:
            return list(node.machine.read_all(receiver, now))
        message = node.machine.read(receiver, now)
        return [] if message is None else [message]

    def command(self, node: Node, name: str, *args: Any, **options: Any) -> tuple[Any, CallChannelError | None]:
        """Call a command of an endpoint's machine, as its application does. The time is the last argument."""
        try:
            result = getattr(node.machine, name)(*args, self.clock(node), **options)
        except CallChannelError as error:
            self.counts[f"raised {type(error).__name__}"] += 1
            return None, error
        return result, None
