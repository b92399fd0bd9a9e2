# SPDX-License-Identifier: Apache-2.0
"""A call between two processes, over UDP, without any relay."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import callchannel
from callchannel.aio import Call
from callchannel.core.events import ParticipantResumed, ParticipantSuspended, Resumed, Suspended
from callchannel.core.limits import Limits
from callchannel.webrtc import offering


class Child:
    """The other process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.connections: list[Any] = []

    @classmethod
    async def start(cls) -> "Child":
        source = str(Path(callchannel.__file__).parents[1])
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable,
                str(Path(__file__).with_name("peer_process.py")),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=1 << 20,
                env={**os.environ, "PYTHONPATH": source},
            )
        )

    async def exchange(self, offer: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"offer": offer}).encode() + b"\n")
        return str((await self.hear())["answer"])

    async def hear(self) -> Any:
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        assert line, "the other process has ended"
        return json.loads(line)


async def test_two_processes_talk_survive_a_cut_and_part(tmp_path: Path) -> None:
    child = await Child.start()
    connect = offering(child.exchange, prepare=child.connections.append)
    # The other side waits for the acceptance of each message before it takes the next: don't delay it.
    limits = Limits(ack_delay=0)
    async with await Call.peer_to_peer(connect, initiator=True, identity="ann", limits=limits) as call:
        assert [participant.identity for participant in call.participants] == ["bob", "ann"]
        events = call.events()
        receivers = call.receivers()

        # Reliable, with a cut in the middle: each message comes back once, in order.
        sender = call.create_sender(confirm="delivered")
        sends = []
        for number in range(200):
            sends.append(asyncio.create_task(sender.send(number.to_bytes(2, "big") * 1_000)))
            if number == 100:
                await sends[10]
                await child.connections[0].close()
        back = await anext(receivers)
        got = [int.from_bytes((await back.receive()).data[:2], "big") for _ in range(200)]
        assert got == list(range(200))
        for report in await asyncio.gather(*sends):
            assert report.reached == ("bob",)
        seen = [await anext(events) for _ in range(4)]
        assert [type(event) for event in seen] == [Suspended, ParticipantSuspended, Resumed, ParticipantResumed]
        assert len(child.connections) == 2

        # Lossy, on its own lane.
        lossy = call.create_sender(reliability="lossy")
        await lossy.send(b"fresh")
        echo = await anext(receivers)
        assert (await echo.receive()).data == b"fresh"

        # A file larger than everything that is buffered on the way.
        source = tmp_path / "large.bin"
        source.write_bytes(os.urandom(3_000_000))
        await sender.send_file(source)
        assert (await back.receive()).text() == "large.bin: 3000000 bytes of 3000000"

    last = await child.hear()
    assert (last["ended"], last["by_peer"]) == ("LEFT", True)
    assert last["seen"][-2:] == ["ParticipantLeft", "LinkEnded"]
    # It may have the new transport before it has missed the old one.
    suspended = ["Suspended", "ParticipantSuspended", "Resumed", "ParticipantResumed"]
    assert last["seen"][:-2] in ([], suspended)
    assert await child.process.wait() == 0
