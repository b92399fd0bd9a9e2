# SPDX-License-Identifier: Apache-2.0
"""The ways between endpoints and the relay, with sockets of their own at both ends."""

import asyncio

from faults.network import BOTH, Direction, Gates, Way

SDP = "\r\n".join(
    [
        "v=0",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "a=candidate:1 1 udp 2130706431 ::1 1 typ host",
        "a=candidate:2 1 udp 2130706431 127.0.0.1 {port} typ host",
        "a=candidate:3 1 udp 2130706431 192.0.2.9 9 typ host",
        "a=mid:0",
        "",
    ]
)


class End(asyncio.DatagramProtocol):
    """A socket that notes what it gets."""

    def __init__(self) -> None:
        self.got: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.got.put_nowait(data)


async def opened() -> tuple[asyncio.DatagramTransport, End, int]:
    transport, end = await asyncio.get_running_loop().create_datagram_endpoint(End, local_addr=("127.0.0.1", 0))
    return transport, end, transport.get_extra_info("sockname")[1]


def target(sdp: str) -> int:
    """The port of the only candidate."""
    (candidate,) = [line for line in sdp.split("\r\n") if line.startswith("a=candidate:")]
    assert candidate.endswith(" typ host")
    return int(candidate.split()[5])


async def test_packets_stop_in_each_direction_and_go_again() -> None:
    gates = Gates()
    way = Way(gates, seed=1)
    await way.start()
    near, near_end, near_port = await opened()
    far, far_end, far_port = await opened()
    to_relay = ("127.0.0.1", target(way.answer(SDP.format(port=far_port))))
    to_endpoint = ("127.0.0.1", target(way.offer(SDP.format(port=near_port))))
    try:
        near.sendto(b"there", to_relay)
        assert await far_end.got.get() == b"there"
        far.sendto(b"back", to_endpoint)
        assert await near_end.got.get() == b"back"

        gates.stop(frozenset({Direction.TO_RELAY}))
        near.sendto(b"lost", to_relay)
        far.sendto(b"comes", to_endpoint)
        assert await near_end.got.get() == b"comes"
        gates.stop(frozenset({Direction.FROM_RELAY}))
        far.sendto(b"lost", to_endpoint)
        near.sendto(b"comes", to_relay)
        assert await far_end.got.get() == b"comes"

        waiting = asyncio.ensure_future(gates.opened())
        gates.stop(BOTH)
        assert not waiting.done()
        gates.open()
        await waiting
        near.sendto(b"again", to_relay)
        assert await far_end.got.get() == b"again"
        assert (gates.stopped, gates.lost, gates.passed) == (2, 0, 5)
    finally:
        way.close()
        near.close()
        far.close()


async def test_a_share_is_lost() -> None:
    gates = Gates(loss=0.5)
    way = Way(gates, seed=1)
    taken = sum(way.takes(from_near=bool(number % 2)) for number in range(1_000))
    assert 400 < taken < 600
    assert (gates.passed, gates.lost) == (taken, 1_000 - taken)
