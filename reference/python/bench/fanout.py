# SPDX-License-Identifier: Apache-2.0
"""Fan-out of a relay in memory: deliveries a second of one endpoint's messages of 100 B to all others.

A delivery is a frame inside a packet that was pulled for that recipient's link. The relay's time has everything in
it: reading and validating what comes, queues, packets, and the recipients' ACKs and CREDITs. Beside it: what a relay
with an object for each recipient would do, which is to build and encode LiveKit's DataPacket for each, or to encode
it at least; it counts, acknowledges and queues nothing.
"""

from __future__ import annotations

import time

from livekit.protocol import models

from bench.calls import PAYLOAD, RelayedCall
from bench.contest import Contestant, Row, Target, alone, compare, judge, play
from bench.settings import Settings

BURST = 64
"""Messages that come together, and so travel together, as in `core`; the rows with 1 and 16 show what that means."""


def deliveries(
    call: RelayedCall, rounds: int, *, burst: int = BURST, recipients: int | None = None, stalled: int = 0
) -> float:
    """Deliveries a second."""
    seconds, delivered = call.run(burst=burst, rounds=max(rounds, 1), recipients=recipients, stalled=stalled)
    return delivered / seconds


def encodings(recipients: int, rounds: int, *, build: bool) -> float:
    """DataPackets a second: each message is parsed once, and built (or not) and encoded for each recipient."""
    user = models.UserPacket(topic="5", payload=PAYLOAD)
    incoming = models.DataPacket(participant_identity="endpoint 0", sequence=1, user=user).SerializeToString()
    start = time.process_time()
    for _ in range(rounds):
        for _ in range(BURST):
            read = models.DataPacket.FromString(incoming)
            payload, topic = read.user.payload, read.user.topic
            for number in range(recipients):
                if build:
                    read = models.DataPacket(
                        participant_identity="endpoint 0",
                        sequence=number,
                        user=models.UserPacket(topic=topic, payload=payload),
                    )
                read.SerializeToString()
    return rounds * BURST * recipients / (time.process_time() - start)


def run(settings: Settings) -> list[Row]:
    """10, 100 and 1,000 recipients; some of them addressed; some of them stalled; and how flat the cost is."""
    rows: list[Row] = []
    calls = {recipients: RelayedCall(recipients + 1) for recipients in (10, 100, 1_000)}
    rounds = {recipients: max(3, settings.times(300_000) // (recipients * BURST)) for recipients in calls}
    for recipients in (100, 1_000):
        call, count = calls[recipients], rounds[recipients]
        rows += compare(
            "fanout",
            f"broadcast of 100 B to {recipients:,}",
            "deliveries/s",
            Contestant("callchannel", lambda call=call, count=count: deliveries(call, count)),  # type: ignore[misc]
            [
                (_livekit("DataPacket built and encoded for each", recipients, count // 4 + 1, build=True), Target(4)),
                (_livekit("DataPacket encoded for each", recipients, count // 4 + 1, build=False), None),
            ],
            settings.runs,
        )
    flat = play(
        [
            Contestant(str(size), lambda size=size: deliveries(calls[size], rounds[size]))  # type: ignore[misc]
            for size in calls
        ],
        settings.runs,
    )
    for size, figures in zip((100, 1_000), flat[1:], strict=True):
        rows.append(
            judge(
                "fanout", f"cost of a delivery, {size:,} recipients", "deliveries/s", figures, "with 10", flat[0], None
            )
        )
    for burst in (1, 16):
        rates = [deliveries(calls[100], rounds[100] * BURST // burst, burst=burst) for _ in range(settings.runs)]
        rows.append(alone("fanout", f"to 100, {burst} at a time", "deliveries/s", rates))
    some, tenth = [], []
    for _ in range(settings.runs):
        some.append(deliveries(RelayedCall(301), 5, recipients=100))
        tenth.append(deliveries(RelayedCall(101), 25, stalled=10))
    rows.append(alone("fanout", "to 100, a third of those present", "deliveries/s", some))
    rows.append(alone("fanout", "to 100, a tenth of them stalled", "deliveries/s", tenth))
    return rows


def _livekit(name: str, recipients: int, rounds: int, *, build: bool) -> Contestant:
    return Contestant(name, lambda: encodings(recipients, rounds, build=build))
