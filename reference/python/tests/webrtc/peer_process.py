# SPDX-License-Identifier: Apache-2.0
"""The other process of `test_peer_to_peer.py`: answers offers that come by stdin, and sends back whatever it receives.

A line each way is JSON: an offer comes, its answer goes; at the end goes what was seen.
"""

import asyncio
import json
import sys
from typing import Any

from callchannel.aio import Call, DataChannelReceiver
from callchannel.core.errors import error_name
from callchannel.core.messages import Reliability
from callchannel.webrtc import answering


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


async def main() -> None:
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)

    async def next_offer() -> tuple[str, Any]:
        line = await lines.readline()
        if not line:
            await loop.create_future()  # there will be no more

        async def reply(answer: str) -> None:
            say(answer=answer)

        return json.loads(line)["offer"], reply

    seen: list[str] = []
    call = await Call.peer_to_peer(answering(next_offer), initiator=False, identity="bob", peer_identity="ann")

    async def echo(receiver: DataChannelReceiver) -> None:
        async with call.create_sender(reliability=receiver.reliability, channel=receiver.channel_id) as sender:
            async for message in receiver:
                if message.is_stream:
                    size = sum([len(chunk) async for chunk in receiver.chunks(message)])
                    await sender.send_text(f"{message.name}: {size} bytes of {message.size}")
                else:
                    await sender.send(message.data)

    async def watch() -> None:
        seen.extend([type(event).__name__ async for event in call.events()])

    async with call, asyncio.TaskGroup() as tasks:
        tasks.create_task(watch())
        async for receiver in call.receivers():
            assert receiver.reliability in Reliability
            tasks.create_task(echo(receiver))
    assert call.ended is not None
    say(seen=seen, ended=error_name(call.ended.code), by_peer=call.ended.by_peer)


asyncio.run(main())
