# SPDX-License-Identifier: Apache-2.0
"""What a hostile peer can make a connection hold, over real SCTP."""

import asyncio
import logging
from typing import Any

import pytest
from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection
from aiortc.rtcsctptransport import DataChunk

from callchannel.webrtc import WebRTCTransport, answering, offering
from callchannel.webrtc import guard as guard_module
from callchannel.webrtc.guard import CHUNKS, HELD, STREAMS, Budget, Guard

UNORDERED, FIRST, LAST = 0x04, 0x02, 0x01


async def inject(sctp: Any, *, flags: int, size: int, skip: int, stream: int) -> None:
    """Send one chunk of one's own making over an association, after leaving `skip` numbers out."""
    chunk = DataChunk()
    chunk.flags = flags
    sctp._local_tsn = (sctp._local_tsn + skip) % 2**32
    chunk.tsn = sctp._local_tsn
    sctp._local_tsn = (chunk.tsn + 1) % 2**32
    chunk.stream_id = stream
    chunk.protocol = 53
    chunk.user_data = bytes(size)
    await sctp._send_chunk(chunk)


class Pair:
    """A peer, and the side that is guarded against it."""

    def __init__(self, budget: Budget | None = None) -> None:
        configuration = RTCConfiguration(iceServers=[])
        self.peer = RTCPeerConnection(configuration)
        self.mine = RTCPeerConnection(configuration)
        self.budget = budget
        self.given_up: list[str] = []
        self.received: list[Any] = []
        self.changed = asyncio.Event()
        self.most_held = 0
        self.guard: Guard
        self.mine.on("datachannel", self._channel)
        self.mine.on("connectionstatechange", self.changed.set)

    async def connect(self, **options: Any) -> RTCDataChannel:
        channel = self.peer.createDataChannel("reliable", **options)
        opened = asyncio.Event()
        channel.on("open", opened.set)
        await self.peer.setLocalDescription(await self.peer.createOffer())
        await self.mine.setRemoteDescription(self.peer.localDescription)
        self.guard = Guard(self.mine, self._give_up, self.budget)
        await self.mine.setLocalDescription(await self.mine.createAnswer())
        await self.peer.setRemoteDescription(self.mine.localDescription)
        await opened.wait()
        # A peer that does not care about what was announced.
        self.sctp._remote_max_message_size = 0
        return channel

    @property
    def sctp(self) -> Any:
        return self.peer.sctp

    def _channel(self, channel: RTCDataChannel) -> None:
        channel.on("message", self._message)

    def _message(self, message: Any) -> None:
        self.received.append(message)
        self.changed.set()

    def _give_up(self, why: str) -> None:
        self.given_up.append(why)
        self.changed.set()

    async def until_received(self, count: int) -> list[Any]:
        while len(self.received) < count:
            self.most_held = max(self.most_held, self.guard.held)
            self.changed.clear()
            async with asyncio.timeout(10):
                await self.changed.wait()
        return self.received

    async def until_given_up(self) -> str:
        while not self.given_up:
            self.changed.clear()
            await self.changed.wait()
        return self.given_up[0]

    async def inject(self, *, flags: int, size: int, skip: int = 0, stream: int | None = None) -> None:
        """Send one chunk of one's own making, after leaving `skip` numbers out."""
        await inject(self.sctp, flags=flags, size=size, skip=skip, stream=1 if stream is None else stream)

    async def settle(self) -> None:
        """Wait until everything injected has arrived: more at once than a socket's buffer holds would be lost."""
        tsn = (self.sctp._local_tsn - 1) % 2**32
        mine: Any = self.mine.sctp
        while not self.given_up and mine._last_received_tsn != tsn and tsn not in mine._sack_misordered:
            await asyncio.sleep(0)

    async def close(self) -> None:
        await self.peer.close()
        await self.mine.close()


@pytest.mark.parametrize("options", [{}, {"ordered": False, "maxRetransmits": 0}])
async def test_what_is_allowed_passes_untouched(options: dict[str, Any]) -> None:
    pair = Pair()
    channel = await pair.connect(**options)
    messages = [bytes([size % 251]) * size for size in (1, 1_150, 1_160, 1_161, 16_383, 16_384)]
    for message in messages:
        channel.send(message)
    received = await pair.until_received(len(messages))
    assert sorted(received, key=len) == messages
    assert pair.guard.in_force and not pair.given_up and pair.guard.held == 0
    await pair.close()


@pytest.mark.parametrize("options", [{}, {"ordered": False}])
async def test_of_a_larger_message_the_beginning_arrives_and_the_rest_is_not_kept(options: dict[str, Any]) -> None:
    # CC-RTC-020: one byte more than is allowed is enough to judge it
    pair = Pair()
    channel = await pair.connect(**options)
    unordered = UNORDERED if options else 0
    for at in range(3_616):
        await pair.inject(flags=unordered | (0 if at else FIRST), size=1_160, stream=channel.id)
        await pair.settle()
        pair.most_held = max(pair.most_held, pair.guard.held)
    assert pair.guard.held > 16_384
    assert sum(len(stream.reassembly) for stream in pair.mine.sctp._inbound_streams.values()) == 1  # type: ignore[union-attr]
    await pair.inject(flags=unordered | LAST, size=100, stream=channel.id)
    pair.sctp._outbound_stream_seq[channel.id] = 1
    channel.send(b"next")
    large, following = await pair.until_received(2)
    assert large == bytes(len(large)) and 16_384 < len(large) <= 16_384 + 1_160
    assert following == b"next"
    assert pair.most_held <= 16_384 + 1_160
    assert pair.guard.held == 0 and not pair.given_up
    await pair.close()


async def test_a_large_message_with_losses_is_cut_as_soon_as_nothing_is_missing() -> None:
    pair = Pair()
    channel = await pair.connect()
    for at in range(100):
        skipped = at == 50
        await pair.inject(flags=0 if at else FIRST, size=1_160, skip=skipped, stream=channel.id)
        await pair.settle()
        assert (pair.guard.held > 20_000) is (at > 52)
    pair.sctp._local_tsn = (pair.sctp._local_tsn - 51) % 2**32
    await pair.inject(flags=0, size=1_160, stream=channel.id)
    pair.sctp._local_tsn = (pair.sctp._local_tsn + 50) % 2**32
    await pair.inject(flags=0, size=1_160, stream=channel.id)
    await pair.settle()
    assert pair.guard.held == 16_385
    await pair.inject(flags=LAST, size=1, stream=channel.id)
    (message,) = await pair.until_received(1)
    assert len(message) == 16_385
    await pair.close()


async def test_the_smallest_message_that_is_too_large_is_seen_as_such() -> None:
    pair = Pair()
    channel = await pair.connect()
    for size in (16_385, 16_384 + 1_160, 16_384 + 1_161, 20_000):
        channel.send(bytes(size))
    assert all(len(message) > 16_384 for message in await pair.until_received(4))
    await pair.close()


async def test_bytes_behind_a_missing_chunk_are_bounded() -> None:
    pair = Pair()
    await pair.connect()
    sent = 0
    while not pair.given_up and sent < 2 * HELD:
        await pair.inject(flags=FIRST, size=1_160, skip=not sent)
        sent += 1_160
        await pair.settle()
    assert await pair.until_given_up() == f"more than {HELD} bytes wait for a missing chunk"
    assert pair.guard.gave_up
    assert all(not stream.reassembly for stream in pair.mine.sctp._inbound_streams.values())  # type: ignore[union-attr]
    await pair.close()


@pytest.mark.parametrize("size", [0, 1])
async def test_chunks_behind_a_missing_one_are_bounded(size: int) -> None:
    pair = Pair()
    await pair.connect()
    sent = 0
    while not pair.given_up and sent < 2 * CHUNKS:
        await pair.inject(flags=FIRST, size=size, skip=not sent)
        sent += 1
        await pair.settle()
    assert await pair.until_given_up() == f"more than {CHUNKS} chunks wait for a missing one"
    await pair.close()


async def test_a_message_of_empty_chunks_is_bounded() -> None:
    pair = Pair()
    await pair.connect()
    sent = 0
    while not pair.given_up and sent < 2 * CHUNKS:
        await pair.inject(flags=0 if sent else FIRST, size=0)
        sent += 1
        await pair.settle()
    assert await pair.until_given_up() == f"more than {CHUNKS} chunks wait for a missing one"
    await pair.close()


async def test_streams_are_bounded() -> None:
    pair = Pair()
    await pair.connect()
    for at in range(STREAMS + 1):
        pair.peer.createDataChannel(f"channel {at}")
    assert await pair.until_given_up() == f"the peer uses more than {STREAMS} streams"
    await pair.close()


@pytest.mark.parametrize(
    "message",
    [
        b"\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",  # the stream has a channel already
        b"\x02",  # an ACK for a stream without a channel
    ],
)
async def test_what_makes_aiortc_raise_ends_the_connection_without_a_traceback(
    message: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    pair = Pair()
    channel = await pair.connect()
    assert channel.id is not None
    await pair.sctp._send(channel.id if message[0] == 3 else channel.id + 6, 50, message)
    assert await pair.until_given_up() == "what the peer sent made aiortc raise AssertionError"
    await pair.close()
    assert not [record for record in caplog.records if record.exc_info or "Traceback" in record.message]


async def test_nothing_is_read_after_giving_up() -> None:
    pair = Pair()
    channel = await pair.connect()
    pair.guard.fail("enough")
    pair.guard.fail("more than enough")
    assert pair.given_up == ["enough"]
    channel.send(b"unheard")
    await pair.close()
    assert not pair.received


async def test_a_budget_gives_up_who_holds_most() -> None:
    budget = Budget(60_000)
    pairs = [Pair(budget), Pair(budget)]
    for pair in pairs:
        await pair.connect()
    for at in range(60):
        await pairs[0].inject(flags=FIRST, size=1_000, skip=not at)
        if at % 3 == 0:
            await pairs[1].inject(flags=FIRST, size=1_000, skip=not at)
            await pairs[1].settle()
        await pairs[0].settle()
    assert "all connections together hold more than 60000 bytes" in await pairs[0].until_given_up()
    assert not pairs[1].given_up
    assert budget.held == pairs[1].guard.held
    for pair in pairs:
        await pair.close()
        pair.guard.release()
    assert budget.held == 0


async def test_the_congestion_window_has_an_end() -> None:
    pair = Pair()
    channel = await pair.connect()
    assert pair.mine.sctp is not None
    pair.mine.sctp._cwnd = 10**9
    channel.send(b"x")
    await pair.until_received(1)
    assert pair.mine.sctp._cwnd <= 2**20
    await pair.close()


async def test_an_unknown_aiortc_is_said_and_left_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(guard_module, "_ATTRIBUTES", ("_from_the_future",))
    pair = Pair()
    channel = await pair.connect()
    channel.send(b"x")
    assert await pair.until_received(1) == [b"x"]
    assert not pair.guard.in_force and pair.guard.held == 0
    assert "its memory is not bounded" in caplog.text
    await pair.close()


@pytest.mark.parametrize("hostile", ["the initiator", "the acceptor"])
async def test_a_peer_without_a_relay_is_bounded_too(hostile: str, new_listener: Any) -> None:
    offers: asyncio.Queue[Any] = asyncio.Queue()
    answers: asyncio.Queue[str] = asyncio.Queue()

    async def exchange(offer: str) -> str:
        offers.put_nowait((offer, answers.put))
        return await answers.get()

    initiator, acceptor = await asyncio.gather(offering(exchange)(), answering(offers.get)())
    attacker, victim = (initiator, acceptor) if hostile == "the initiator" else (acceptor, initiator)
    listeners = {}
    for transport in (attacker, victim):
        listeners[transport] = new_listener()
        transport.attach(listeners[transport])
    for transport in (attacker, victim):
        await listeners[transport].wait("up")
        assert transport.guard is not None and transport.guard.in_force
    sctp: Any = attacker.connection.sctp
    most = 0
    for at in range(4 * HELD // 1_160):
        await inject(sctp, flags=0 if at else FIRST, size=1_160, skip=int(at == 1), stream=1)
        await asyncio.sleep(0)
        most = max(most, victim.guard.held)
        if victim.guard.gave_up:
            break
    assert victim.guard.gave_up
    assert most <= HELD + 1_160
    await listeners[victim].wait("down")
    attacker.close()
    await attacker.wait_closed()
    await victim.wait_closed()
    assert victim.connection.connectionState == "closed"


async def test_an_applications_own_connection_is_left_alone(new_listener: Any) -> None:
    for options in (dict[str, bool](), {"owns_connection": True, "guarded": False}):
        theirs, ours = (RTCPeerConnection(RTCConfiguration(iceServers=[])) for _ in range(2))
        transport, listener = WebRTCTransport(ours, initiator=True, **options), new_listener()
        transport.attach(listener)
        await ours.setLocalDescription(await ours.createOffer())
        await theirs.setRemoteDescription(ours.localDescription)
        await theirs.setLocalDescription(await theirs.createAnswer())
        await ours.setRemoteDescription(theirs.localDescription)
        await listener.wait("up")
        assert transport.guard is None
        await theirs.close()
        transport.close()
        await transport.wait_closed()
        await ours.close()
