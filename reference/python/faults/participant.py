# SPDX-License-Identifier: Apache-2.0
"""An endpoint's process: that of the demonstration, which also sends numbered texts on and on and tells every event."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import Any, Final

from callchannel.aio import Call, DataChannelReceiver, DataChannelSender, Message
from callchannel.cli.connecting import loop_factory
from callchannel.core.errors import CallChannelError, DeliveryFailed, error_name
from callchannel.core.events import (
    CustodyLost,
    LinkEnded,
    MessageFailed,
    ParticipantLeft,
    ParticipantSuspended,
    RecipientFailed,
    SenderFailed,
)
from callchannel.demo.measuring import Measuring, Ticks
from callchannel.demo.participant import Command, Participant, describe
from callchannel.demo.payloads import TICK, text, tick
from callchannel.demo.talking import tell, wall_clock
from faults.flows import TEXT, Flow

FLOOD: Final = "application/x-callchannel-flood"
"""The content type of messages that are read and thrown away."""

MODES: Final = ("accepted", "delivered")
"""The confirm points of the flows of texts."""


class Counting(Measuring):
    """Counts numbered texts one by one. Everything else is measured as in the demonstration."""

    def __init__(self, cut: Any) -> None:
        super().__init__(cut)
        self.flows: dict[str, Flow] = {}
        self.numbers: dict[str, set[int]] = {}
        self.duplicates: Counter[str] = Counter()
        self.counted = asyncio.Event()
        self.reading = asyncio.Event()
        """Cleared: this application does not read."""
        self.reading.set()

    async def _read(self, receiver: DataChannelReceiver) -> None:
        await self.reading.wait()
        await super()._read(receiver)

    async def _measure(self, receiver: DataChannelReceiver, message: Message) -> None:
        await self.reading.wait()
        name = message.name or ""
        if message.content_type == FLOOD:
            return
        if message.content_type != TEXT:
            await super()._measure(receiver, message)
            return
        self.flows.setdefault(name, Flow(name)).take(message.data)
        self.counted.set()

    def _count(self, message: Message) -> None:
        super()._count(message)
        name, number = message.name or "", int.from_bytes(message.data[:4], "big")
        numbers = self.numbers.setdefault(name, set())
        self.duplicates[name] += number in numbers
        numbers.add(number)
        self.counted.set()


class Endpoint(Participant):
    """One endpoint. Each method `do_…` is a command."""

    def __init__(self) -> None:
        super().__init__()
        self._counting = Counting(self._cut_off)
        self._measuring = self._counting
        self._stop = asyncio.Event()

    def _begin(self, call: Call) -> None:
        super()._begin(call)
        call.on(LinkEnded, lambda event: tell("event", event="LinkEnded", code=error_name(event.code), at=wall_clock()))
        call.on(ParticipantLeft, self._left)
        call.on(ParticipantSuspended, lambda event: tell("other", who=event.participant.identity))

    def _left(self, event: ParticipantLeft) -> None:
        tell("left", who=event.participant.identity, code=error_name(event.code), at=wall_clock())

    # --- the connection -------------------------------------------------------------------------------------------

    async def do_cut(self, command: Command) -> None:
        """Close the own connection."""
        self._cut_off()

    async def do_hold(self, command: Command) -> None:
        """Read nothing from now on."""
        self._counting.reading.clear()

    async def do_read(self, command: Command) -> None:
        """Read again."""
        self._counting.reading.set()

    # --- sending --------------------------------------------------------------------------------------------------

    async def do_flow(self, command: Command) -> dict[str, Any]:
        """Send numbered texts, to be confirmed either way, and Lossy ticks, all to everyone, until `stop`."""
        self._stop.clear()
        name, interval = command["name"], command["interval"]
        *verdicts, ticks = await asyncio.gather(
            *(self._texts(f"{name} {mode}", mode, interval) for mode in MODES), self._ticks(f"{name} ticks", interval)
        )
        flows = dict(zip((f"{name} {mode}" for mode in MODES), verdicts, strict=True))
        return {"flows": flows, "ticks": {f"{name} ticks": ticks}}

    async def do_stop(self, command: Command) -> None:
        """End the flow."""
        self._stop.set()

    async def _paused(self, interval: float) -> bool:
        """Wait; returns whether the flow goes on."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(interval):
                await self._stop.wait()
        return not self._stop.is_set()

    async def _texts(self, name: str, mode: str, interval: float) -> dict[str, Any]:
        """Send texts; returns how many, by verdict."""
        verdicts: Counter[str] = Counter()
        tasks: list[asyncio.Task[None]] = []
        async with self.call.create_sender(confirm=mode, priority="high") as sender:
            self.watch(name, sender)
            while await self._paused(interval):
                tasks.append(asyncio.create_task(self._verdict(sender, name, len(tasks) + 1, verdicts)))
            await asyncio.gather(*tasks)
        return {"sent": len(tasks), "verdicts": dict(verdicts)}

    async def _verdict(self, sender: DataChannelSender, name: str, number: int, verdicts: Counter[str]) -> None:
        try:
            await sender.send(text(name, number).encode(), name=name, content_type=TEXT, time=wall_clock())
        except DeliveryFailed as exc:
            verdicts["unknown" if exc.report.unknown else "failed"] += 1
        except CallChannelError:
            verdicts["failed"] += 1
        else:
            verdicts["confirmed"] += 1

    async def _ticks(self, name: str, interval: float) -> int:
        count = 0
        async with self.call.create_sender(reliability="lossy") as sender:
            while await self._paused(interval):
                sender.send_nowait(tick(count), name=name, content_type=TICK, time=wall_clock())
                count += 1
        return count

    def watch(self, name: str, sender: DataChannelSender) -> None:
        """Tell what happens to a sender, which is nothing as a rule."""
        sender.on(MessageFailed, lambda event: _told(name, event))
        sender.on(RecipientFailed, lambda event: _told(name, event, who=event.participant.identity))
        sender.on(SenderFailed, lambda event: _told(name, event))
        sender.on(CustodyLost, lambda event: tell("told", event="CustodyLost", of=name, code="", at=wall_clock()))

    def _sender(self, command: Command, *, priority: str) -> DataChannelSender:
        sender = super()._sender(command, priority=priority)
        self.watch(str(command.get("id")), sender)
        return sender

    async def do_message(self, command: Command) -> dict[str, Any]:
        """Send one message of many fragments; what comes of it is no error of the command."""
        data = bytes(command["bytes"])
        async with self.call.create_sender(to=command["to"] or None, confirm=command["confirm"]) as sender:
            self.watch(command["id"], sender)
            tell("sending", id=command["id"])
            try:
                report = await sender.send(data, name=command["id"], time=wall_clock())
            except CallChannelError as exc:
                return {"verdict": "raised", "raised": describe(exc), "settled": _settled(exc)}
        return {"verdict": "confirmed", "reached": sorted(report.reached or ())}

    async def do_flood(self, command: Command) -> None:
        """Put many messages into many senders at once, or Lossy ones into one, and wait for nothing."""
        data, to = bytes(command["bytes"]), command["to"] or None
        if command["lossy"]:
            sender = self.call.create_sender(reliability="lossy", to=to)
            for number in range(command["count"]):
                sender.send_nowait(data, content_type=FLOOD)
                if number % 16 == 0:
                    await asyncio.sleep(0)  # what is queued goes out in between, as fast as it can
            return
        for number in range(command["sessions"]):
            sender = self.call.create_sender(to=to)
            self.watch(f"{command['id']} {number}", sender)
            for _ in range(command["count"]):
                sender.send_nowait(data, content_type=FLOOD)
            await asyncio.sleep(0)

    # --- having received ------------------------------------------------------------------------------------------

    async def do_counted(self, command: Command) -> dict[str, Any]:
        """Say what came of a flow, once `count` of it have come, or after a while."""
        flow = self._counting.flows.setdefault(command["name"], Flow(command["name"]))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(command["timeout"]):
                while flow.count < command["count"]:
                    self._counting.counted.clear()
                    await self._counting.counted.wait()
        return flow.fields()

    async def do_ticked(self, command: Command) -> dict[str, Any]:
        """Say what came of ticks."""
        name = command["name"]
        fields = self._counting._ticks.setdefault(name, Ticks()).fields()
        return {**fields, "duplicates": self._counting.duplicates[name]}


def _told(name: str, event: MessageFailed | RecipientFailed | SenderFailed, who: str = "") -> None:
    tell("told", event=type(event).__name__, of=name, code=error_name(event.code), who=who, at=wall_clock())


def _settled(error: CallChannelError) -> dict[str, Any]:
    if not isinstance(error, DeliveryFailed):
        return {}
    report = error.report
    return {
        "reached": sorted(report.reached or ()),
        "failed": {who: error_name(code) for who, code in report.failed},
        "unknown": {who: error_name(code) for who, code in report.unknown},
    }


def main() -> None:
    """Run the process."""
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(Endpoint().run())


if __name__ == "__main__":
    main()
