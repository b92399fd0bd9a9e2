# SPDX-License-Identifier: Apache-2.0
"""How fast a relay fans out, in memory and on one core: deliveries a second, and bytes of memory for a quiet link.

A delivery is a DATA frame in a packet that was pulled for a recipient. Everything that it takes is in the time: the
owner's packet is read and validated, queues are filled, packets are made, and the recipients' acknowledgements (one for
16 frames or each round) and credits are read. Run: `python reference/python/bench/fanout_probe.py`.
"""

from __future__ import annotations

import gc
import itertools
import time
import tracemalloc

from callchannel.core.frames import PRIVATE, RELIABLE, Ack, Credit, Data, Hello
from callchannel.core.lanes import Lane
from callchannel.core.recipients import Recipients
from callchannel.core.relay import Admission, Relay

WINDOW = 262_144
BUDGET = 65_536


def make_relay(endpoints: int) -> Relay:
    """A relay with endpoints in slots 0 and up, each on the transport of its slot; all have read the roster."""
    numbers = itertools.count(1)
    relay = Relay(entropy=lambda size: next(numbers).to_bytes(size, "big"))
    for number in range(endpoints):
        relay.transport_up(number, 0, admission=Admission(identity=f"endpoint {number}"))
        hello = Hello(number.to_bytes(16, "big"), 1, WINDOW, 16_777_216)
        relay.receive(number, Lane.RELIABLE, hello.encode(), 0)
    settle(relay, 60_000)
    settle(relay, 120_000)
    return relay


def settle(relay: Relay, now: int) -> None:
    """Write and acknowledge everything that waits."""
    relay.handle_timeout(now)
    relay.events()
    for transport in relay.take_dirty():
        while relay.pull(transport, Lane.RELIABLE, BUDGET, now):
            pass
        port = relay._ports[transport]
        relay.receive(transport, Lane.RELIABLE, Ack(port.custody.written).encode(), now)
    relay.take_dirty()


def fan_out(relay: Relay, *, recipients: int, burst: int, rounds: int, size: int = 100, owners: int = 1) -> float:
    """Deliveries a second: in each round every owner sends `burst` messages to `recipients`, then links are pulled.

    The first endpoints are the owners, and recipients of each other. If there are more endpoints than take part, the
    messages name their recipients.
    """
    now = 200_000
    payload, length = bytes(size), 16 + size
    taking_part = recipients + 1
    everyone = taking_part == len(relay.participants)
    sequences = itertools.count(1)
    ports = [relay._ports[number] for number in range(taking_part)]
    acked = [port.custody.written for port in ports]
    credited = deliveries = 0
    started = time.perf_counter()
    for round_number in range(1, rounds + 1):
        now += 1_000
        for owner in range(owners):
            block = None if everyone else Recipients(relay._call.membership.epoch, False, _others(taking_part, owner))
            flags = RELIABLE if everyone else RELIABLE | PRIVATE
            for _ in range(burst):
                frame = Data(5, owner, 1, next(sequences), payload, flags, None, block)
                relay.receive(owner, Lane.RELIABLE, frame.encode(), now)
        for transport in relay.take_dirty():
            relay.pull(transport, Lane.RELIABLE, BUDGET, now)
        written = length * burst * round_number
        give = written - credited >= WINDOW // 4
        for transport, port in enumerate(ports):
            if not give and port.custody.written - acked[transport] < 16:
                continue
            acked[transport] = port.custody.written
            answer = Ack(acked[transport]).encode()
            if give:
                for owner in range(owners):
                    if owner != transport:
                        answer += Credit(owner, transport, 1, written + WINDOW).encode()
            relay.receive(transport, Lane.RELIABLE, answer, now)
        if give:
            credited = written
        deliveries += burst * owners * recipients
    for transport in relay.take_dirty():
        relay.pull(transport, Lane.RELIABLE, 1 << 30, now)
    elapsed = time.perf_counter() - started
    assert relay.statistics().frames_forwarded == deliveries, "not everything was delivered"
    return deliveries / elapsed


def _others(count: int, owner: int) -> int:
    return ((1 << count) - 1) & ~(1 << owner)


def main() -> None:
    """Print the figures."""
    for burst in (1, 10, 50):
        for recipients in (10, 100, 1_000):
            relay = make_relay(recipients + 1)
            rounds = max(5, 300_000 // (recipients * burst))
            gc.collect()
            rate = fan_out(relay, recipients=recipients, burst=burst, rounds=rounds)
            print(f"1 owner, {recipients:5,} recipients, bursts of {burst:2}: {rate:10,.0f} deliveries/s")
    for owners in (2, 10):
        relay = make_relay(101)
        rate = fan_out(relay, recipients=100, burst=10, rounds=40, owners=owners)
        print(f"{owners} owners, 100 recipients, bursts of 10: {rate:10,.0f} deliveries/s")
    for quiet in (1, 5_000):
        relay = make_relay(11 + quiet)
        gc.collect()
        rate = fan_out(relay, recipients=10, burst=10, rounds=2_000)
        print(f"1 owner, 10 recipients, bursts of 10, named among {quiet:5,} quiet links: {rate:10,.0f} deliveries/s")
    del relay
    gc.collect()
    tracemalloc.start()
    relay = make_relay(2_000)
    gc.collect()
    print(f"a quiet link: {tracemalloc.get_traced_memory()[0] // len(relay.participants):,} bytes")


if __name__ == "__main__":
    main()
