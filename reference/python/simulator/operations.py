# SPDX-License-Identifier: Apache-2.0
"""What each operation of a plan does. One that has nobody to do it with does nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from callchannel.core.extensions import Metadata
from callchannel.core.messages import Confirm, Priority, Reliability
from simulator.codes import CANCELLED, KICKED
from simulator.network import Cable, Node
from simulator.plan import Step
from simulator.records import Receiver, Sender, payload
from simulator.world import MS, World


class Operations:
    """The hands of the applications, and of trouble."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.serial = 0
        self._table: dict[str, Callable[[Step], None]] = {
            name[4:]: getattr(self, name) for name in dir(self) if name.startswith("_do_")
        }

    def run(self, step: Step) -> None:
        """Do one step."""
        self._table[step["do"]](step)

    # --- finding -----------------------------------------------------------------------------------------------

    def _node(self, step: Step) -> Node | None:
        """An endpoint whose process runs."""
        alive = [node for node in self.world.nodes if node.alive and node.frozen_until < 0]
        return alive[step.get("who", 0) % len(alive)] if alive else None

    def _sender(self, step: Step) -> tuple[Node, Sender] | None:
        node = self._node(step)
        if node is None or node.inc is None:
            return None
        senders = [sender for sender in node.inc.senders.values() if not sender.ended]
        if step.get("past"):
            over = [sender for sender in node.inc.senders.values() if sender.ended or sender.failed is not None]
            senders = over or senders
        return (node, senders[step.get("sender", 0) % len(senders)]) if senders else None

    def _receiver(self, step: Step) -> tuple[Node, Receiver] | None:
        node = self._node(step)
        if node is None or node.inc is None:
            return None
        receivers = [receiver for receiver in node.inc.receivers.values() if not receiver.closed]
        return (node, receivers[step.get("receiver", 0) % len(receivers)]) if receivers else None

    def _target(self, step: Step) -> dict[str, Any]:
        """`to` or `exclude`, by a mask over the identities that there ever were."""
        mode, mask = step.get("mode", "same"), step.get("mask", 0)
        if mode == "same":
            return {}
        names = list(dict.fromkeys(node.name for node in self.world.nodes))
        chosen = [name for place, name in enumerate(names) if mask >> (place % 8) & 1]
        if mode == "to":
            return {"to": chosen or names[:1]}
        return {"to": (), "exclude": chosen if mode == "but" else ()}

    # --- time --------------------------------------------------------------------------------------------------

    def _do_wait(self, step: Step) -> None:
        self.world.run_for(step["ms"] * MS)

    def _do_sleep(self, step: Step) -> None:
        node = self.world.hub if step.get("hub") else self._node(step)
        if node is not None:
            node.troubled = True
            self.world.freeze(node, step["ms"] * MS)

    def _do_clock(self, step: Step) -> None:
        node = self.world.hub if step.get("hub") else self._node(step)
        if node is not None and node.alive and node.frozen_until < 0:
            node.offset += step["ms"] * MS
            node.troubled = True
            self.world._timer(node)

    # --- senders -----------------------------------------------------------------------------------------------

    def _do_open(self, step: Step) -> None:
        node = self._node(step)
        if node is None:
            return
        lossy, latest = step.get("lossy", False), step.get("latest", False)
        reliable = not lossy
        delivered = step.get("confirm") == "delivered" and reliable
        options: dict[str, Any] = {
            "channel": step.get("channel", 0),
            "reliability": Reliability.LOSSY if lossy else Reliability.RELIABLE,
            "priority": Priority.HIGH if step.get("high") else Priority.NORMAL,
            "confirm": Confirm.DELIVERED if delivered else Confirm.ACCEPTED,
            "latest": bool(lossy and latest),
            "bitrate": step.get("bitrate") or None,
        }
        target = self._target(step)
        handle, error = self.world.command(node, "open_sender", **options, **target)
        self.world.judge.opened(node, options, handle, error)
        self.world.after(node)

    def _do_send(self, step: Step) -> None:
        for _ in range(step.get("count", 1)):
            found = self._sender(step)
            if found is None:
                return
            node, sender = found
            self.serial += 1
            size = step.get("size", 5)
            if not sender.reliable:
                size = min(size, 1_000 if sender.latest else 60_000)
            data = payload(self.serial, size)
            options = self._target(step)
            if step.get("lifetime") and not sender.reliable:
                options["metadata"] = Metadata(lifetime=step["lifetime"] * MS)
            before = self.world.judge.before_send(node, sender, options)
            sequence, error = self.world.command(node, "send", sender.handle, data, **options)
            self.world.judge.sent(node, sender, data, sequence, error, before)
            self.world.after(node)

    def _do_recipients(self, step: Step) -> None:
        found = self._sender(step)
        if found is not None:
            node, sender = found
            self.world.command(node, "set_recipients", sender.handle, **self._target(step))
            self.world.after(node)

    def _do_stream(self, step: Step) -> None:
        found = self._sender(step)
        if found is None:
            return
        node, sender = found
        if sum(handle == sender.handle for handle, _ in node.streams) >= 2:
            return
        before = self.world.judge.before_send(node, sender, {})
        sequence, error = self.world.command(node, "open_stream", sender.handle)
        if self.world.judge.opened_stream(node, sender, sequence, error, before):
            node.streams.append((sender.handle, sequence))
            node.past_streams.append((sender.handle, sequence))
        self.world.after(node)

    def _do_write(self, step: Step) -> None:
        node = self._node(step)
        found = self._stream(node, step)
        if node is None or found is None:
            return
        for _ in range(step.get("count", 1)):
            if found in node.streams or step.get("past"):
                self.serial += 1
                self.write(node, *found, payload(self.serial, min(step.get("size", 40), 40_000)))

    @staticmethod
    def _stream(node: Node | None, step: Step) -> tuple[int, int] | None:
        """A stream that is open, or was."""
        if node is None:
            return None
        streams = node.past_streams if step.get("past") and node.past_streams else node.streams
        return streams[step.get("sender", 0) % len(streams)] if streams else None

    def write(self, node: Node, handle: int, sequence: int, chunk: bytes) -> None:
        """Write to a stream; one that was given up is forgotten."""
        _, error = self.world.command(node, "write_stream", handle, sequence, chunk)
        self.world.judge.wrote_stream(node, handle, sequence, chunk, error)
        if error is not None and type(error).__name__ != "WouldBlock" and (handle, sequence) in node.streams:
            node.streams.remove((handle, sequence))
        self.world.after(node)

    def _do_finish(self, step: Step) -> None:
        node = self._node(step)
        found = self._stream(node, step)
        if node is not None and found is not None:
            self.finish(node, *found)

    def finish(self, node: Node, handle: int, sequence: int) -> None:
        """Say that a stream is complete."""
        if (handle, sequence) in node.streams:
            node.streams.remove((handle, sequence))
        _, error = self.world.command(node, "finish_stream", handle, sequence)
        self.world.judge.finished_stream(node, handle, sequence, error)
        self.world.after(node)

    def _do_cancel(self, step: Step) -> None:
        found = self._sender(step)
        if found is None or not found[1].last:
            return
        node, sender = found
        sequence = max(1, sender.last - step.get("back", 0))
        self.cancel(node, sender, sequence)

    def cancel(self, node: Node, sender: Sender, sequence: int) -> None:
        """Take a message back."""
        answer, error = self.world.command(node, "cancel", sender.handle, sequence, CANCELLED)
        self.world.judge.cancelled(node, sender, sequence, answer, error)
        self.world.after(node)

    def _do_close(self, step: Step) -> None:
        found = self._sender(step)
        if found is not None:
            self.close(*found)

    def close(self, node: Node, sender: Sender) -> None:
        """Close a sender."""
        sender.closed = True
        node.streams = [item for item in node.streams if item[0] != sender.handle]
        self.world.command(node, "close_sender", sender.handle)
        self.world.after(node)

    def greet(self, node: Node) -> None:
        """An eager application: one message to everyone, at once."""
        if node.alive and node.inc is not None and not node.inc.ended and not node.inc.leaving:
            number = [other for other in self.world.nodes if other.alive and other.frozen_until < 0].index(node)
            self._do_open({"do": "open", "who": number})
            self._do_send({"do": "send", "who": number, "sender": 0, "size": 40})

    # --- readers -----------------------------------------------------------------------------------------------

    def _do_pause(self, step: Step) -> None:
        node = self._node(step)
        if node is not None:
            node.paused = True

    def _do_unpause(self, step: Step) -> None:
        node = self._node(step)
        if node is not None:
            self.unpause(node)

    def unpause(self, node: Node) -> None:
        """Read everything, and go on doing so."""
        node.paused = False
        if node.inc is not None:
            for receiver in node.inc.receivers.values():
                if not receiver.closed:
                    node.readable[receiver] = None
        self.world.after(node)

    def _do_read(self, step: Step) -> None:
        found = self._receiver(step)
        if found is not None:
            node, receiver = found
            self.world.read(node, receiver, step.get("count", 1))
            self.world.after(node)

    def _do_close_receiver(self, step: Step) -> None:
        found = self._receiver(step)
        if found is not None:
            node, receiver = found
            self.world.read(node, receiver, step.get("read", 0))
            self.world._events(node)
            if receiver.closed:
                self.world.after(node)
                return
            self.world.judge.closing_receiver(node, receiver)
            node.readable.pop(receiver, None)
            self.world.command(node, "close_receiver", receiver.handle)
            self.world.after(node)

    # --- coming and going --------------------------------------------------------------------------------------

    def _may_join(self) -> bool:
        world = self.world
        return world.hub_record.is_relay and len(world.nodes) < 40 and world.hub.alive

    def _do_join(self, step: Step) -> None:
        if self._may_join():
            number = len(self.world.nodes)
            self.world.add_endpoint(f"e{number}", number).eager = step.get("eager", False)

    def _do_rejoin(self, step: Step) -> None:
        if self._may_join() and self.world.nodes:
            old = self.world.nodes[step.get("who", 0) % len(self.world.nodes)]
            self.world.add_endpoint(old.name, old.place).eager = step.get("eager", False)

    def _do_ghost(self, step: Step) -> None:
        node = self._node(step)
        if node is not None and self._may_join():
            self._kill(node, silent=True)
            self.world.add_endpoint(node.name, node.place, seed=node.seed, replace=step.get("replace", True))

    def _do_leave(self, step: Step) -> None:
        node = self._node(step)
        if node is not None:
            self.leave(node)

    def leave(self, node: Node) -> None:
        """Leave the call."""
        self.world.judge.leaving(node)
        node.streams.clear()
        self.world.command(node, "leave")
        self.world.after(node)

    def _do_kill(self, step: Step) -> None:
        node = self._node(step)
        if node is not None and not node.is_hub:
            self._kill(node, silent=step.get("silent", False))

    def _kill(self, node: Node, *, silent: bool) -> None:
        node.alive = False
        if node.inc is not None:
            node.inc.gone = True
        for cable in self.cables_of(node):
            cable.troubled = True
            cable.open[0] = False
            if not silent:
                self.world.down(cable, 1)

    def _do_kick(self, step: Step) -> None:
        node = self._node(step)
        world = self.world
        if node is not None and node.inc is not None and node.inc.present and world.hub_record.is_relay:
            if world.hub.alive and world.hub.frozen_until < 0:
                world.hub.machine.end_link(node.inc.slot, KICKED, "kicked", world.clock(world.hub))
                world.after(world.hub)

    # --- trouble -----------------------------------------------------------------------------------------------

    def cables_of(self, node: Node) -> list[Cable]:
        """Transports of an endpoint that are not wholly gone."""
        return [cable for cable in self.world._by_number.values() if cable.ends[0] is node and any(cable.open)]

    def _do_cut(self, step: Step) -> None:
        node = self._node(step)
        if node is None:
            return
        if node.is_hub:
            node = self.world.nodes[0]
        how, cables = step.get("how", "closed"), self.cables_of(node)
        for cable in cables[-1:] if step.get("newest") else cables:
            cable.troubled = True
            cable.lossy_passes = how == "late"
            if how in ("up", "both", "late") and cable.held[0] is None:
                cable.held[0] = []
            if how in ("down", "both", "late") and cable.held[1] is None:
                cable.held[1] = []
            if how == "block":
                cable.blocked = True
            if how in ("closed", "near", "far"):
                cable.dead = True
                for end in (0, 1):
                    if how == "closed" or how == ("near", "far")[end]:
                        self.world.down(cable, end)

    def _do_heal(self, step: Step) -> None:
        node = self._node(step)
        if node is not None:
            self.heal(node if not node.is_hub else self.world.nodes[0])

    def heal(self, node: Node) -> None:
        """What is silent or blocked goes on; who has no transport gets one."""
        world = self.world
        for cable in self.cables_of(node):
            world.network.release(cable)
            if world.settling:
                cable.troubled = cable.troubled or bool(cable.rate)
                cable.rate = 0
                cable.free_at = [world.now, world.now]
            if cable.blocked:
                cable.blocked = False
                for end in (0, 1):
                    world._pull_later(cable, end)
        if node.alive and node.machine.state.value == "SUSPENDED":
            world.connect(node)

    def _do_connect(self, step: Step) -> None:
        node = self._node(step)
        if node is not None and not node.is_hub:
            self.world.connect(node, lossy=step.get("lossy", True), dead=True)

    def _do_overtake(self, step: Step) -> None:
        """A new transport whose reliable lane is silent in one direction; `down` not set: another one overtakes it."""
        node = self._node(step)
        world = self.world
        if node is None or node.is_hub:
            return
        if node.machine.state.value == "CONNECTING":
            before, late = None, node.cable
        else:
            before = node.cable
            world.connect(node)
            late = node.cable
        if late is None or late is before:
            return
        late.troubled = True
        direction = 1 if step.get("down") else 0
        if late.held[direction] is None:  # what is held already stays: the lane is reliable
            late.held[direction] = []
        late.lossy_passes = True
        if not step.get("down") and before is not None:
            world.connect(node)
        world.network.at(world.now + step["ms"] * MS, lambda: world.network.release(late))

    def _do_lane(self, step: Step) -> None:
        node = self._node(step)
        if node is None or node.cable is None:
            return
        cable, is_open, which = node.cable, step.get("open", False), step.get("end", 2)
        if node.place in self.world.plan.no_lossy:
            return
        for end in (0, 1):
            if which in (end, 2) and cable.lossy[end] != is_open and cable.up_told[end] and not cable.let_go[end]:
                cable.lossy[end] = is_open
                self.world.do(cable.ends[end], lambda end=end: self._lane(cable, end, is_open))  # type: ignore[misc]

    def _lane(self, cable: Cable, end: int, is_open: bool) -> None:
        if not cable.let_go[end]:
            node = cable.ends[end]
            node.machine.lossy_lane(cable.number, is_open, self.world.clock(node))
            self.world.after(node)

    def _do_restart(self, step: Step) -> None:
        world = self.world
        if not world.hub_record.is_relay or not world.hub.alive or world.counts["relays"] > 3:
            return
        how, old = step.get("how", "closed"), world.hub
        if world.hub_record.stopping:
            return
        if how == "stop" and old.frozen_until < 0:
            world.hub_record.stopping = True
            old.machine.stop(world.clock(old))
            world.after(old)
            world.network.at(world.now + 2_300 * MS, lambda: self._replace_relay(how))
        else:
            self._replace_relay(how)

    def _replace_relay(self, how: str) -> None:
        """The relay's process has ended, and another one begins."""
        world, old = self.world, self.world.hub
        old.alive = False
        world.hub_record.dead = True
        world.new_relay()
        for cable in list(world._by_number.values()):
            if cable.ends[1] is old and any(cable.open):
                cable.open[1] = False
                if how != "silent":
                    world.down(cable, 0)
