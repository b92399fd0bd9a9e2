# SPDX-License-Identifier: Apache-2.0
"""One plan from beginning to end: its steps, then healing, then nothing may be pending (liveness)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from callchannel.core import bugs
from callchannel.core.relay import owned
from simulator.network import Node
from simulator.operations import Operations
from simulator.plan import Plan
from simulator.records import Inc, Sender, Violation
from simulator.world import MS, World

_SILENCE = 15_000_000


@dataclass
class Result:
    """What became of a plan."""

    rule: str | None = None
    """The requirement that it broke; None: none."""
    text: str = ""
    step: int = -1
    counts: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)


def run(plan: Plan) -> Result:
    """Run a plan and judge it. Never raises for what the machines do: a crash is a violation, too."""
    before = bugs.set_reporter(bugs.raise_bug), owned.RECIPIENTS_REPORTED
    owned.RECIPIENTS_REPORTED = plan.reported  # type: ignore[misc]
    world = World(plan)
    result = Result(counts=world.counts, verdicts=world.judge.verdicts.counts)
    try:
        play(world)
    except Violation as error:
        result.rule, result.text = error.rule, str(error)
    except RecursionError:
        raise
    except Exception as error:
        result.rule, result.text = (
            f"crash {type(error).__name__}",
            f"{type(error).__name__}: {error} at {_where(error)}",
        )
    finally:
        bugs.set_reporter(before[0])
        owned.RECIPIENTS_REPORTED = before[1]  # type: ignore[misc]
    result.step = world.judge.step_number
    return result


def _where(error: BaseException) -> str:
    trace = error.__traceback__
    place = "?"
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno} {code.co_name}"
        trace = trace.tb_next
    return place


def play(world: World) -> None:
    """All of a plan. Raises `Violation`."""
    operations = Operations(world)
    world.on_joined = operations.greet
    world.build()
    for number, step in enumerate(world.plan.steps):
        world.judge.step_number = number
        operations.run(step)
        world.judge.look()
    world.judge.step_number = len(world.plan.steps)
    Settling(world, operations).settle()


class Settling:
    """Heals everything, and waits until nothing is pending: no longer than the text allows."""

    def __init__(self, world: World, operations: Operations) -> None:
        self.world = world
        self.operations = operations
        limits = world.limits
        self.bound = (
            _SILENCE
            + limits.resume_window
            + limits.delivered_deadline
            + 2 * limits.stall_time
            + limits.leave_time
            + 10_000_000
        )

    def settle(self) -> None:
        """Liveness (CC-DELIV-001, 7.17), then an orderly end."""
        world = self.world
        world.settling = True
        self._thaw()
        for node in list(world.nodes):
            self.operations.heal(node)
        for node in self._alive():
            self._finish_streams(node)
            self.operations.unpause(node)
        self._wait(self._pending, "liveness")
        arrived = max((max(cable.last_arrival) for cable in world._by_number.values()), default=0)
        # What is on its way over a slow transport has arrived by then, and whoever waits for one has looked again.
        world.run_for(max(0, arrived - world.now) + 2_000 * MS)
        self._look()
        world.judge.quiescent()
        for node in self._alive():
            assert node.inc is not None
            for sender in list(node.inc.senders.values()):
                if not sender.ended:
                    self.operations.close(node, sender)
        self._wait(self._not_ended, "liveness: senders")
        self._look()
        for node in self._alive():
            self.operations.leave(node)
        self._wait(self._not_left, "liveness: leaving")
        world.run_for(100 * MS)

    def _look(self) -> None:
        self.world.judge.look_now()

    def _alive(self) -> list[Node]:
        return [node for node in self.world.nodes if node.alive]

    def _thaw(self) -> None:
        world = self.world
        latest = max([world.hub.frozen_until, *(node.frozen_until for node in self._alive())])
        if latest > world.now:
            world.run_for(latest - world.now + 1)

    def _finish_streams(self, node: Node) -> None:
        for handle, sequence in list(node.streams):
            if (handle, sequence) in node.streams:
                self.operations.finish(node, handle, sequence)

    def _wait(self, pending: object, what: str) -> None:
        world = self.world
        # What is on its way over a slow transport needs its time.
        busy = [max(cable.free_at + cable.last_arrival) for cable in world._by_number.values()]
        end = max([world.now, *busy]) + self.bound
        pause = 20 * MS
        while True:
            self._connect()
            world.run_for(pause)
            left = pending()  # type: ignore[operator]
            if left is None:
                return
            if world.now >= end:
                raise Violation(what, f"after {self.bound // MS} ms: {left}")
            pause = min(2 * pause, 1_000 * MS)

    def _connect(self) -> None:
        """Whoever has no transport gets one."""
        for node in self._alive():
            if node.is_hub and self.world.hub_record.is_relay:
                continue
            if node is self.world.hub:
                continue
            if node.machine.state.value == "SUSPENDED":
                self.world.connect(node)

    # --- what is pending -----------------------------------------------------------------------------------------

    def _pending(self) -> str | None:
        world = self.world
        for node in self._alive():
            inc = node.inc
            assert inc is not None
            state = node.machine.state.value
            if inc.ended:
                continue
            if state != "ACTIVE":
                return f"{inc} is {state}"
            if not inc.told_joined:
                return f"{inc} has not joined"
            for sender in inc.senders.values():
                if sender.reliable:
                    for sequence in range(sender.open_from, sender.last + 1):
                        message = sender.messages.get(sequence)
                        if message is not None and message.outcome is None:
                            return f"{message} has no outcome"
            lack = self._roster(node)
            if lack:
                return lack
        for inc in world.judge.nodes:
            for sender in inc.senders.values():
                lack = self._unread(sender)
                if lack:
                    return lack
        return None

    def _roster(self, node: Node) -> str | None:
        inc = node.inc
        assert inc is not None
        if not inc.hub.is_relay or inc.hub is not self.world.hub_record:
            return None
        right = [(p.slot, p.identity, p.suspended) for p in self.world.hub.machine.participants]
        found = [(p.slot, p.identity, p.suspended) for p in node.machine.participants]
        return f"the roster of {inc} is {found}, it has to be {right} (CC-ROSTER-036)" if found != right else None

    def _unread(self, sender: Sender) -> str | None:
        """Something admitted that its reader was never given, without a word to anybody (section 7.17)."""
        judge = self.world.judge
        if sender.inc.hub.dead or not sender.reliable:
            return None
        for reader, due in sender.due.items():
            if not due or not self._lives(reader) or reader in sender.abandoned:
                continue
            for message in due:
                if message.aborted or message.refused or not message.whole_at_hub:
                    continue
                if not judge._excused(sender, reader, message):
                    return f"{reader} never read {message}"
        return None

    def _lives(self, inc: Inc) -> bool:
        node = self.world.judge.nodes[inc]
        return node.alive and not inc.ended and not inc.left and not inc.leaving and not inc.hub.dead

    def _not_ended(self) -> str | None:
        for node in self._alive():
            assert node.inc is not None
            for sender in node.inc.senders.values():
                if not sender.ended:
                    return f"{sender} has not ended"
            for receiver in node.inc.receivers.values():
                if receiver.closed or receiver in node.readable:
                    continue
                owner = receiver.sender.inc
                over = receiver.sender.reliable and not (owner.ended or owner.gone)
                if over or node.inc.ended:  # CC-SESS-016, CC-LINK-058
                    return f"the receiver of {receiver.sender} at {node.inc} is open still"
        return None

    def _not_left(self) -> str | None:
        for node in self._alive():
            assert node.inc is not None
            if not node.inc.ended:
                return f"{node.inc} has not left"
        return None
