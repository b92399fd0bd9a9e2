# SPDX-License-Identifier: Apache-2.0
"""`WebRTCTransport` over real connections on this machine (specification, chapter 12)."""

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.mediastreams import AudioStreamTrack

from callchannel.aio.transport import HIGH_WATER
from callchannel.core.lanes import Lane
from callchannel.core.limits import LOSSY_PACKET, RELIABLE_PACKET
from callchannel.webrtc import PROTOCOL, WebRTCTransport


def peer() -> RTCPeerConnection:
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


async def negotiate(offerer: RTCPeerConnection, answerer: RTCPeerConnection) -> None:
    await offerer.setLocalDescription(await offerer.createOffer())
    await answerer.setRemoteDescription(offerer.localDescription)
    await answerer.setLocalDescription(await answerer.createAnswer())
    await offerer.setRemoteDescription(answerer.localDescription)


async def opened(channel: Any) -> Any:
    """The channel, once it is open."""
    if channel.readyState != "open":
        future = asyncio.get_running_loop().create_future()
        channel.on("open", lambda: future.set_result(None))
        await future
    return channel


@asynccontextmanager
async def raw_peer(new_listener: Any, *, create: Any = None, attach: bool = True) -> Any:
    """An acceptor's transport, and a peer that uses its data channels as it likes."""
    ours, theirs = peer(), peer()
    transport, listener = WebRTCTransport(ours, initiator=False), new_listener()
    if attach:
        transport.attach(listener)
    if create is None:
        reliable = theirs.createDataChannel("reliable", protocol=PROTOCOL)
        lossy = theirs.createDataChannel("lossy", protocol=PROTOCOL, ordered=False, maxRetransmits=0)
        channels = [reliable, lossy]
    else:
        channels = create(theirs)
    try:
        await negotiate(theirs, ours)
        for channel in channels:
            await opened(channel)
        yield SimpleNamespace(transport=transport, listener=listener, channels=channels, ours=ours, theirs=theirs)
    finally:
        transport.close()
        await theirs.close()
        await transport.wait_closed()
        await ours.close()


@asynccontextmanager
async def pair(new_listener: Any, *, owns: bool = True) -> Any:
    """Two transports that are up, with both lanes."""
    left_peer, right_peer = peer(), peer()
    left = WebRTCTransport(left_peer, initiator=True, owns_connection=owns)
    right = WebRTCTransport(right_peer, initiator=False, owns_connection=owns)
    at_left, at_right = new_listener(), new_listener()
    left.attach(at_left)
    right.attach(at_right)
    try:
        await negotiate(left_peer, right_peer)
        for transport, listener in ((left, at_left), (right, at_right)):
            await listener.wait("up")
            if not transport.lossy_open:
                await listener.wait(("lossy", True))
        yield SimpleNamespace(left=left, right=right, at_left=at_left, at_right=at_right)
    finally:
        left.close()
        right.close()
        await left.wait_closed()
        await right.wait_closed()
        await left_peer.close()
        await right_peer.close()


async def test_both_lanes_carry_packets_both_ways(new_listener: Any) -> None:
    async with pair(new_listener) as two:
        for size in (1, 1_000, RELIABLE_PACKET):
            two.left.send(Lane.RELIABLE, bytes(size))
            two.right.send(Lane.RELIABLE, bytes(size))
        two.left.send(Lane.LOSSY, bytes(LOSSY_PACKET))
        two.right.send(Lane.LOSSY, b"x")
        for listener in (two.at_left, two.at_right):
            packets = await listener.wait_packets(Lane.RELIABLE, 3)
            assert [len(packet) for packet in packets] == [1, 1_000, RELIABLE_PACKET]
        assert await two.at_right.wait_packets(Lane.LOSSY, 1) == [bytes(LOSSY_PACKET)]
        assert await two.at_left.wait_packets(Lane.LOSSY, 1) == [b"x"]


async def test_close_delivers_what_is_buffered_and_closes_both_ends_cc_rtc_029(new_listener: Any) -> None:
    async with pair(new_listener) as two:
        for number in range(40):
            two.left.send(Lane.RELIABLE, bytes([number]) * RELIABLE_PACKET)
        assert two.left.buffered(Lane.RELIABLE) > HIGH_WATER
        two.left.close()
        two.left.send(Lane.RELIABLE, b"too late")
        await two.left.wait_closed()
        await two.right.wait_closed()
        assert [packet[0] for packet in two.at_right.packets[Lane.RELIABLE]] == list(range(40))
        assert two.at_left.notes[-1] == two.at_right.notes[-1] == "down"
        assert two.left.connection.connectionState == two.right.connection.connectionState == "closed"


async def test_an_application_keeps_its_connection_cc_rtc_031(new_listener: Any) -> None:
    async with pair(new_listener, owns=False) as two:
        two.left.close()
        await two.left.wait_closed()
        await two.right.wait_closed()
        assert two.left.connection.connectionState == two.right.connection.connectionState == "connected"
        # CC-RTC-014: the connection is sound, so it can carry a new transport.
        again, listener = WebRTCTransport(two.right.connection, initiator=False), new_listener()
        again.attach(listener)
        other, at_other = WebRTCTransport(two.left.connection, initiator=True), new_listener()
        other.attach(at_other)
        await listener.wait("up")
        await at_other.wait("up")
        other.send(Lane.RELIABLE, b"anew")
        assert await listener.wait_packets(Lane.RELIABLE, 1) == [b"anew"]
        other.close()
        await other.wait_closed()
        await again.wait_closed()


async def test_writable_is_told_when_the_buffer_has_drained_cc_rtc_025(new_listener: Any) -> None:
    async with pair(new_listener) as two:
        while two.left.buffered(Lane.RELIABLE) < HIGH_WATER:
            two.left.send(Lane.RELIABLE, bytes(RELIABLE_PACKET))
        await two.at_left.wait(("writable", Lane.RELIABLE))
        assert two.left.buffered(Lane.RELIABLE) <= HIGH_WATER // 2


async def test_lossy_packets_beyond_the_high_water_are_dropped_cc_rtc_027(new_listener: Any) -> None:
    async with pair(new_listener) as two:
        for _ in range(200):
            two.left.send(Lane.LOSSY, bytes(LOSSY_PACKET))
        assert two.left.lossy_dropped > 100
        two.left.send(Lane.RELIABLE, b"behind")
        assert await two.at_right.wait_packets(Lane.RELIABLE, 1) == [b"behind"]


async def test_a_packet_that_the_channel_does_not_take_ends_the_transport_cc_rtc_028(new_listener: Any) -> None:
    async with pair(new_listener) as two:
        two.left.send(Lane.LOSSY, bytes(262_145))
        assert two.left.lossy_dropped == 1
        two.left.send(Lane.RELIABLE, bytes(262_145))
        assert two.at_left.notes[-1] != "down"  # not from inside of `send`
        await two.at_left.wait("down")
        await two.at_right.wait("down")


async def test_messages_larger_than_the_lane_arrive_cut_cc_rtc_020(new_listener: Any) -> None:
    async with raw_peer(new_listener) as it:
        reliable, lossy = it.channels
        reliable.send(bytes(262_144))
        reliable.send(bytes(RELIABLE_PACKET))
        reliable.send(b"")
        lossy.send(bytes(LOSSY_PACKET + 1))
        packets = await it.listener.wait_packets(Lane.RELIABLE, 3)
        assert [len(packet) for packet in packets] == [RELIABLE_PACKET + 1, RELIABLE_PACKET, 0]
        packets = await it.listener.wait_packets(Lane.LOSSY, 1)
        assert [len(packet) for packet in packets] == [LOSSY_PACKET + 1]


async def test_text_ends_the_transport_or_is_dropped_cc_rtc_016_017(new_listener: Any) -> None:
    async with raw_peer(new_listener) as it:
        reliable, lossy = it.channels
        lossy.send("text")
        lossy.send(b"bytes")
        assert await it.listener.wait_packets(Lane.LOSSY, 1) == [b"bytes"]
        assert it.transport.text_dropped == 1
        reliable.send("text")
        await it.listener.wait("down")
        assert it.listener.packets[Lane.RELIABLE] == []
        assert it.ours.connectionState == "connected"  # CC-RTC-034


async def test_an_exception_in_the_listener_does_not_end_the_connection_cc_rtc_034(
    new_listener: Any, reports: list[dict[str, Any]]
) -> None:
    async with raw_peer(new_listener) as it:
        it.listener.fails = True
        it.channels[0].send(b"a")
        it.channels[0].send(b"b")
        assert await it.listener.wait_packets(Lane.RELIABLE, 2) == [b"a", b"b"]
        assert it.ours.connectionState == "connected"
    assert [str(report["exception"]) for report in reports] == ["the listener failed"] * 2


async def test_what_arrives_before_a_listener_is_kept_cc_rtc_013(new_listener: Any) -> None:
    async with raw_peer(new_listener, attach=False) as it:
        seen = asyncio.get_running_loop().create_future()
        it.channels[0].send(b"early")
        own = await opened(next(iter(it.transport._channels.values())))
        own.on("message", lambda message: message == b"second" and seen.set_result(None))
        it.channels[0].send(b"second")
        await seen
        it.transport.attach(it.listener)
        assert await it.listener.wait_packets(Lane.RELIABLE, 2) == [b"early", b"second"]
        assert it.listener.notes[0] == "up"


async def test_too_much_before_a_listener_ends_the_transport_cc_rtc_013(new_listener: Any) -> None:
    async with raw_peer(new_listener, attach=False) as it:
        for _ in range(5):
            it.channels[0].send(bytes(RELIABLE_PACKET))
        await it.transport.wait_closed()
        it.transport.attach(it.listener)
        await it.listener.wait("down")
        assert it.listener.notes == ["down"]


def foreign(connection: RTCPeerConnection) -> list[Any]:
    return [
        connection.createDataChannel("chat"),
        connection.createDataChannel("reliable", protocol="other"),
        connection.createDataChannel("lossy", protocol=PROTOCOL),
        connection.createDataChannel("reliable", protocol=PROTOCOL, ordered=False),
        connection.createDataChannel("reliable", protocol=PROTOCOL, maxRetransmits=3),
        connection.createDataChannel("Reliable", protocol=PROTOCOL),
        connection.createDataChannel("reliable", protocol=PROTOCOL),
        connection.createDataChannel("reliable", protocol=PROTOCOL),
    ]


async def test_other_channels_are_left_alone_cc_rtc_005_006_033(new_listener: Any) -> None:
    async with raw_peer(new_listener, create=foreign) as it:
        await it.listener.wait("up")
        assert not it.transport.lossy_open
        echo = [asyncio.get_running_loop().create_future() for _ in it.channels]
        sctp = it.ours.sctp
        for channel, future in zip(it.channels, echo, strict=True):
            channel.on("message", future.set_result)
        for channel in sctp._data_channels.values():
            if channel is not it.transport._channels[Lane.RELIABLE]:
                channel.on("message", channel.send)
        for number, channel in enumerate(it.channels):
            channel.send(bytes([number]))
        lane = it.channels[6]
        for channel, future in zip(it.channels, echo, strict=True):
            if channel is not lane:
                assert await future == bytes([it.channels.index(channel)])
        assert await it.listener.wait_packets(Lane.RELIABLE, 1) == [b"\x06"]
        it.transport.close()
        await it.transport.wait_closed()
        assert [channel.readyState for channel in it.channels].count("open") == len(it.channels) - 1


async def test_the_lossy_channel_may_close_alone_cc_rtc_012(new_listener: Any) -> None:
    async with raw_peer(new_listener) as it:
        it.channels[1].send(b"x")
        await it.listener.wait_packets(Lane.LOSSY, 1)
        it.channels[1].close()
        await it.listener.wait(("lossy", False))
        assert not it.transport.lossy_open
        it.channels[0].send(b"still there")
        assert await it.listener.wait_packets(Lane.RELIABLE, 1) == [b"still there"]


@pytest.mark.parametrize("way", ["channel", "connection"])
async def test_losing_the_reliable_channel_is_losing_the_transport_cc_rtc_010(new_listener: Any, way: str) -> None:
    async with raw_peer(new_listener) as it:
        if way == "connection":
            await it.theirs.close()
        else:
            it.channels[0].close()
        await it.listener.wait("down")
        await it.transport.wait_closed()
        assert it.listener.notes[0] == "up"


async def test_a_connection_that_is_closed_already(new_listener: Any) -> None:
    connection, listener = peer(), new_listener()
    await connection.close()
    transport = WebRTCTransport(connection, initiator=False)
    transport.attach(listener)
    await listener.wait("down")
    await transport.wait_closed()
    assert listener.notes == ["down"]


async def test_closing_before_anything_was_open_takes_no_time(new_listener: Any) -> None:
    transport, listener = WebRTCTransport(peer(), initiator=True, owns_connection=True), new_listener()
    transport.attach(listener)
    transport.close()
    async with asyncio.timeout(2):
        await transport.wait_closed()
    assert listener.notes == ["down"]


async def test_audio_runs_beside_the_channels_cc_rtc_035(new_listener: Any) -> None:
    ours, theirs = peer(), peer()
    ours.addTrack(AudioStreamTrack())
    track = asyncio.get_running_loop().create_future()
    theirs.on("track", track.set_result)
    left, right = WebRTCTransport(ours, initiator=True), WebRTCTransport(theirs, initiator=False)
    at_left, at_right = new_listener(), new_listener()
    left.attach(at_left)
    right.attach(at_right)
    await negotiate(ours, theirs)
    await at_left.wait("up")
    await at_right.wait("up")
    audio = await track
    frames = []
    for number in range(5):
        left.send(Lane.RELIABLE, bytes([number]))
        frames.append(await audio.recv())
    assert len(await at_right.wait_packets(Lane.RELIABLE, 5)) == 5
    left.close()
    await left.wait_closed()
    await right.wait_closed()
    # The channels are gone, the audio is not.
    frames.append(await audio.recv())
    assert frames[-1].pts > frames[0].pts
    await ours.close()
    await theirs.close()


async def test_a_connection_that_does_not_close_in_time_is_no_bug(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("callchannel.webrtc.adapter.DRAIN_TIME", 0.01)
    connection = peer()
    transport = WebRTCTransport(connection, initiator=True, owns_connection=True)
    close = connection.close

    async def never() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(connection, "close", never)
    transport.close()
    await transport.wait_closed()
    assert "the connection did not close in 0.01 seconds" in caplog.messages
    await close()
