# SPDX-License-Identifier: Apache-2.0
"""A participant's process in the demonstration. It does what it is told, and reports what it measures.

What arrives is measured here, over the bytes that arrived: the conductor has nothing else to judge by.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from callchannel.aio import Call, DataChannelSender, Sending
from callchannel.cli.connecting import loop_factory
from callchannel.core.errors import CallChannelError, Report, WouldBlock, error_name
from callchannel.core.events import Resumed, Suspended
from callchannel.core.limits import Limits
from callchannel.demo.measuring import Measuring
from callchannel.demo.payloads import FILL, TICK, tick
from callchannel.demo.talking import commands, tell, wall_clock
from callchannel.signalling.client import SignalledTransport, connect_factory
from callchannel.webrtc import answering, offering
from callchannel.webrtc.adapter import WebRTCTransport

Command = dict[str, Any]


class Participant:
    """One endpoint, and what it can be told to do. Each method is a command."""

    def __init__(self) -> None:
        self._call: Call | None = None
        self._cut: Callable[[], Awaitable[None]] | None = None
        self._measuring = Measuring(self._cut_off)
        self._prepared: list[DataChannelSender] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._offers: asyncio.Queue[str] = asyncio.Queue()
        self._answers: asyncio.Queue[str] = asyncio.Queue()

    async def run(self) -> None:
        """Obey until standard input ends; then leave."""
        try:
            async for command in commands():
                if command["do"] in ("offer", "answer"):
                    (self._offers if command["do"] == "offer" else self._answers).put_nowait(command["sdp"])
                else:
                    self._start(self._obey(command))
        finally:
            await self._leave()
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _obey(self, command: Command) -> None:
        done = {"id": command.get("id"), "did": command["do"]}
        try:
            fields = await getattr(self, "do_" + command["do"])(command)
        except (CallChannelError, OSError) as exc:
            tell("done", **done, **describe(exc))
        else:
            tell("done", **done, error=None, **(fields or {}))

    @property
    def call(self) -> Call:
        """The call that was joined."""
        assert self._call is not None
        return self._call

    # --- joining and leaving --------------------------------------------------------------------------------------

    async def do_join(self, command: Command) -> None:
        """Join a group call over the relay."""
        connect = connect_factory(
            command["url"],
            command["call"],
            token=command["token"],
            ice_servers=[],
            allow_plain=command.get("allow_plain", False),
        )

        async def connect_and_keep() -> SignalledTransport:
            transport = await connect()
            self._cut = transport.inner.connection.close
            return transport

        self._begin(await Call.join(connect_and_keep, limits=Limits(**command.get("limits", {}))))

    async def do_pair(self, command: Command) -> None:
        """Call the other one without a relay; the conductor carries the session descriptions."""
        initiator = command["initiator"]
        connect = offering(self._exchange) if initiator else answering(self._next_offer)

        async def connect_and_keep() -> WebRTCTransport:
            transport = await connect()
            self._cut = transport.connection.close
            return transport

        call = await Call.peer_to_peer(
            connect_and_keep,
            initiator=initiator,
            identity=command["identity"],
            peer_identity="" if initiator else command["peer"],
        )
        self._begin(call)

    async def _exchange(self, offer: str) -> str:
        tell("offer", sdp=offer)
        return await self._answers.get()

    async def _next_offer(self) -> tuple[str, Callable[[str], Awaitable[None]]]:
        async def reply(answer: str) -> None:
            tell("answer", sdp=answer)

        return await self._offers.get(), reply

    def _begin(self, call: Call) -> None:
        self._call = call
        call.on(Suspended, lambda event: tell("suspended", at=wall_clock()))
        call.on(Resumed, lambda event: tell("resumed", at=wall_clock()))
        self._start(self._measuring.receive(call))

    async def do_wait(self, command: Command) -> None:
        """Wait until all of these are in the call."""
        await self.call.wait_for(*command["for"], timeout=command["timeout"])

    async def do_wait_absent(self, command: Command) -> None:
        """Wait until this one is not in the call any more."""
        events = self.call.events()
        async with asyncio.timeout(command["timeout"]):
            while command["absent"] in (participant.identity for participant in self.call.participants):
                if await anext(events, None) is None:
                    break
        events.close()

    async def do_leave(self, command: Command) -> None:
        """Leave the call."""
        await self._leave()

    async def _leave(self) -> None:
        if self._call is not None:
            await self._call.leave()

    # --- sending --------------------------------------------------------------------------------------------------

    async def do_texts(self, command: Command) -> dict[str, Any]:
        """Send texts and an image, one after the other, with high priority; each is awaited by a task of its own."""
        sender = self._sender(command, priority="high")
        sends: list[asyncio.Task[Report]] = []
        async with sender:
            try:
                async with asyncio.TaskGroup() as group:
                    if command.get("image") is not None:
                        with open(command["image"]["path"], "rb") as file:
                            image = file.read()
                        sends.append(group.create_task(self._send(sender, image, command["image"], "image/png")))
                    for item in command["texts"]:
                        text = item["text"].encode()
                        sends.append(group.create_task(self._send(sender, text, item, "text/plain;charset=utf-8")))
                        await asyncio.sleep(command["interval"])
            except BaseExceptionGroup as group_error:
                raise group_error.exceptions[0] from None
        return {"channel": sender.channel_id, "reached": sorted(sends[0].result().reached or ())}

    async def _send(self, sender: DataChannelSender, data: bytes, item: dict[str, Any], kind: str) -> Report:
        return await sender.send(data, name=item["id"], content_type=kind, time=wall_clock())

    async def do_file(self, command: Command) -> dict[str, Any]:
        """Send a file, with normal priority. It takes what it takes: the conductor sees whether it makes progress."""
        began = wall_clock()
        async with self._sender(command, priority="normal") as sender:
            report = await sender.send_file(command["path"], name=command["id"])
        return {"channel": sender.channel_id, "began": began, "reached": sorted(report.reached or ())}

    def _sender(self, command: Command, *, priority: str) -> DataChannelSender:
        return self.call.create_sender(
            to=command["to"] or None,
            exclude=command["exclude"],
            priority=priority,
            confirm="delivered",
            timeout=command["timeout"],
        )

    async def do_ticks(self, command: Command) -> dict[str, Any]:
        """Send Lossy texts or ticks at a pace, or, without one, faster than anything can take them."""
        async with self.call.create_sender(reliability="lossy", to=command["to"] or None) as sender:
            for number in range(command["count"]):
                data = tick(number, command["bytes"])
                # At once: nothing is written in between.
                sender.send_nowait(data, name=command["id"], content_type=TICK, time=wall_clock())
                if command["interval"]:
                    await asyncio.sleep(command["interval"])
        return {"sent": command["count"], "drops": dict(sender.drops)}

    async def do_lossy_text(self, command: Command) -> dict[str, Any]:
        """Send one Lossy text."""
        async with self.call.create_sender(reliability="lossy", to=command["to"] or None) as sender:
            kind = "text/plain;charset=utf-8"
            await sender.send_text(command["text"], name=command["id"], content_type=kind, time=wall_clock())
        return {"sent": 1, "drops": dict(sender.drops)}

    async def do_fill(self, command: Command) -> dict[str, Any]:
        """Send Reliable messages without waiting until there is no room, then wait until all were read."""
        sendings: list[Sending] = []
        refused: WouldBlock | None = None
        async with self.call.create_sender(to=command["to"], confirm="delivered") as sender:
            while refused is None:
                try:
                    sendings.append(sender.send_nowait(bytes(FILL), name=f"{command['id']}-{len(sendings)}"))
                except WouldBlock as exc:
                    refused = exc
            waited = asyncio.ensure_future(
                sender.send(bytes(FILL), name=f"{command['id']}-{len(sendings)}", timeout=command["timeout"])
            )
            for sending in sendings:
                await sending.result(command["timeout"])
            await waited
        return {"queued": len(sendings), "refusal": type(refused).__name__}

    async def do_prepare(self, command: Command) -> None:
        """Open the senders that `try` uses."""
        self._prepared = [
            self.call.create_sender(to=command["to"], reliability=reliability) for reliability in ("reliable", "lossy")
        ]

    async def do_try(self, command: Command) -> dict[str, Any]:
        """Send by the senders of `prepare`, of which one is Reliable and one is Lossy."""
        result: dict[str, Any] = {"error": None}
        reliable, lossy = self._prepared
        try:
            await reliable.send(b"anybody there?", name=command["id"], timeout=command["timeout"])
        except CallChannelError as exc:
            result = describe(exc)
        before = Counter(self.call.statistics().drops)
        await lossy.send(b"anybody there?", name=command["id"])
        drops = Counter(self.call.statistics().drops) - before
        for sender in self._prepared:
            await sender.close()
        return {"reliable": result, "drops": dict(drops)}

    # --- the connection -------------------------------------------------------------------------------------------

    async def do_cut_at(self, command: Command) -> None:
        """Cut the own connection as soon as so many bytes of this file have come."""
        self._measuring.cut_at(command["file"], command["bytes"])

    def _cut_off(self) -> None:
        tell("cut", at=wall_clock())
        assert self._cut is not None
        self._start(self._close_connection(self._cut))

    async def _close_connection(self, close: Callable[[], Awaitable[None]]) -> None:
        await close()

    async def do_tally(self, command: Command) -> dict[str, Any]:
        """Say what came of these ticks, once their receiver has ended, or after a while."""
        return await self._measuring.tally(command["of"], command["timeout"])

    async def do_statistics(self, command: Command) -> dict[str, Any]:
        """The link's counters."""
        statistics = self.call.statistics()
        return {
            "resumes": statistics.link.resumes,
            "frames_retransmitted": statistics.link.frames_retransmitted,
            "drops": dict(statistics.drops),
        }


def describe(error: Exception) -> dict[str, Any]:
    """An exception as a report's fields: its class, code, text, and whom it names."""
    report = getattr(error, "report", None)
    named: list[str] = []
    if isinstance(report, Report):
        named = [who for who, _ in (*report.failed, *report.unknown)]
    code = error_name(error.code) if isinstance(error, CallChannelError) else ""
    return {"error": type(error).__name__, "code": code, "text": str(error), "named": named}


def main() -> None:
    """Run the process."""
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(Participant().run())


if __name__ == "__main__":
    main()
