# SPDX-License-Identifier: Apache-2.0
"""callchannel for asyncio: the application's view of a call, and what carries it.

    from callchannel.aio import Call

    async with await Call.join(connect) as call:
        sender = call.create_sender()
        await sender.send_text("hello")

See `Call`, `DataChannelSender` and `DataChannelReceiver`. `Driver` and `Transport` are for those who bring their own
way of carrying packets.
"""

from callchannel.aio.call import Call, CallEvent
from callchannel.aio.driver import Driver
from callchannel.aio.memory import MemoryTransport, memory_pair
from callchannel.aio.memory_relay import MemoryRelay, memory_relay
from callchannel.aio.names import safe_name
from callchannel.aio.notices import EventsMissed, EventStream
from callchannel.aio.outbox import LinkLostInFlight, Sending, SendTimedOut
from callchannel.aio.receiver import DataChannelReceiver, Message
from callchannel.aio.reconnecting import Connect
from callchannel.aio.sender import DataChannelSender, SenderEvent
from callchannel.aio.streams import OutgoingStream
from callchannel.aio.transport import Transport

__all__ = [
    "Call",
    "CallEvent",
    "Connect",
    "DataChannelReceiver",
    "DataChannelSender",
    "Driver",
    "EventStream",
    "EventsMissed",
    "LinkLostInFlight",
    "MemoryRelay",
    "MemoryTransport",
    "Message",
    "OutgoingStream",
    "SendTimedOut",
    "SenderEvent",
    "Sending",
    "Transport",
    "memory_pair",
    "memory_relay",
    "safe_name",
]
