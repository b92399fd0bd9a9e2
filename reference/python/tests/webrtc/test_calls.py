# SPDX-License-Identifier: Apache-2.0
"""Calls over real connections, all ends in this process."""

import asyncio
import os
from typing import Any

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack

from callchannel.aio import Call, DataChannelReceiver, Driver
from callchannel.core.errors import ErrorCode
from callchannel.core.events import Resumed, Suspended
from callchannel.core.messages import Reliability
from callchannel.core.relay import Admission, Relay
from callchannel.webrtc import WebRTCTransport, answering, offering


def peer() -> RTCPeerConnection:
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


async def negotiate(offerer: RTCPeerConnection, answerer: RTCPeerConnection) -> None:
    await offerer.setLocalDescription(await offerer.createOffer())
    await answerer.setRemoteDescription(offerer.localDescription)
    await answerer.setLocalDescription(await answerer.createAnswer())
    await offerer.setRemoteDescription(answerer.localDescription)


class Signalling:
    """Carries offers and answers between the two ends of a call."""

    def __init__(self) -> None:
        self.offers: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.connections: list[RTCPeerConnection] = []
        self.failing = False

    async def exchange(self, offer: str) -> str:
        if self.failing:
            raise ConnectionError("signalling is down")
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def reply(text: str) -> None:
            answer.set_result(text)

        self.offers.put_nowait((offer, reply))
        return await answer

    async def calls(self) -> tuple[Call, Call]:
        return await asyncio.gather(
            Call.peer_to_peer(offering(self.exchange, prepare=self.connections.append), initiator=True, identity="ann"),
            Call.peer_to_peer(answering(self.offers.get), initiator=False, identity="bob", peer_identity="ann"),
        )


async def test_both_directions_at_once_with_large_messages() -> None:
    ann, bob = await Signalling().calls()
    async with ann, bob:
        data = bytes(range(256)) * 4_000
        reports = []
        for sending, receiving in ((ann, bob), (bob, ann)):
            sender = sending.create_sender(confirm="delivered")
            reports.append(asyncio.create_task(sender.send(data, content_type="application/x-test")))
            message = await (await anext(receiving.receivers())).receive()
            assert message.data == data and message.content_type == "application/x-test"
        assert [report.reached for report in await asyncio.gather(*reports)] == [("bob",), ("ann",)]


async def test_lost_connections_are_replaced_while_both_send() -> None:
    signalling = Signalling()
    ann, bob = await signalling.calls()
    async with ann, bob:
        events = ann.events()
        sends = []
        for sender in (ann.create_sender(), bob.create_sender()):
            sends += [asyncio.create_task(sender.send(bytes([number]) * 20_000)) for number in range(100)]
        for _ in range(2):
            await signalling.connections[-1].close()
            assert isinstance(await anext(events), Suspended)
            await anext(events)
            assert isinstance(await anext(events), Resumed)
            await anext(events)
        for call in (ann, bob):
            receiver = await anext(call.receivers())
            assert [(await receiver.receive()).data[0] for _ in range(100)] == list(range(100))
        await asyncio.gather(*sends)
        assert len(signalling.connections) == 3


async def test_signalling_that_fails_at_first_is_the_applications() -> None:
    signalling = Signalling()
    signalling.failing = True
    with pytest.raises(ConnectionError):
        await Call.peer_to_peer(offering(signalling.exchange), initiator=True, identity="ann")


async def test_an_answerer_that_is_given_up_leaves_nothing() -> None:
    async def reply(_: str) -> None:
        raise ConnectionError("signalling is down")

    async def next_offer() -> tuple[str, Any]:
        connection = peer()
        connection.createDataChannel("x")
        await connection.setLocalDescription(await connection.createOffer())
        offer = connection.localDescription.sdp
        await connection.close()
        return offer, reply

    with pytest.raises(ConnectionError):
        await Call.peer_to_peer(answering(next_offer), initiator=False, identity="bob", peer_identity="ann")
    # A step of ICE that has begun comes to its end by itself.
    await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()}, timeout=5)  # type: ignore[arg-type]


async def test_beside_the_audio_of_an_applications_own_connection() -> None:
    ours, theirs = peer(), peer()
    ours.addTrack(AudioStreamTrack())
    track = asyncio.get_running_loop().create_future()
    theirs.on("track", track.set_result)
    near, far = WebRTCTransport(ours, initiator=True), WebRTCTransport(theirs, initiator=False)
    await negotiate(ours, theirs)
    ann, bob = await asyncio.gather(
        Call.peer_to_peer(near, initiator=True, identity="ann"),
        Call.peer_to_peer(far, initiator=False, identity="bob", peer_identity="ann"),
    )
    async with bob, ann:
        audio = await track
        before = await audio.recv()
        sender = ann.create_sender()
        sending = asyncio.create_task(sender.send(bytes(1_000_000)))
        receiver = await anext(bob.receivers())
        assert len((await receiver.receive()).data) == 1_000_000
        await sending
        assert (await audio.recv()).pts > before.pts
    assert ann.ended is not None and ann.ended.code == ErrorCode.NONE
    assert ours.connectionState == theirs.connectionState == "connected"
    assert (await audio.recv()).pts > before.pts
    await ours.close()
    await theirs.close()


async def test_an_application_that_closes_its_connection_ends_the_call() -> None:
    ours, theirs = peer(), peer()
    near, far = WebRTCTransport(ours, initiator=True), WebRTCTransport(theirs, initiator=False)
    await negotiate(ours, theirs)
    ann, bob = await asyncio.gather(
        Call.peer_to_peer(near, initiator=True, identity="ann"),
        Call.peer_to_peer(far, initiator=False, identity="bob", peer_identity="ann"),
    )
    endings = [ann.events(), bob.events()]
    await ours.close()
    await theirs.close()
    for events in endings:
        *_, ended = [event async for event in events]
        assert ended.code == ErrorCode.LINK_LOST
    await ann.leave()
    await bob.leave()


# --- through a relay ----------------------------------------------------------------------------------------------


class RelayOnThisMachine:
    """A relay over real connections, whose signalling is a function call."""

    def __init__(self) -> None:
        self.relay = Relay(entropy=os.urandom, now=int(asyncio.get_running_loop().time() * 1_000_000))
        self.driver = Driver(self.relay, lambda _: None)
        self.connections: dict[str, list[RTCPeerConnection]] = {}

    async def answer(self, offer: str, identity: str) -> str:
        connection = peer()
        transport = WebRTCTransport(connection, initiator=False, owns_connection=True)
        await connection.setRemoteDescription(RTCSessionDescription(sdp=offer, type="offer"))
        await connection.setLocalDescription(await connection.createAnswer())
        self.driver.attach(transport, admission=Admission(identity=identity))
        return str(connection.localDescription.sdp)

    async def join(self, identity: str) -> Call:
        made = self.connections.setdefault(identity, [])
        return await Call.join(offering(lambda offer: self.answer(offer, identity), prepare=made.append))


async def test_three_in_a_group_call_with_a_cut() -> None:
    it = RelayOnThisMachine()
    ann, bob, carol = [await it.join(identity) for identity in ("ann", "bob", "carol")]
    async with ann, bob, carol:
        await ann.wait_for("bob", "carol")
        events = bob.events()
        sender = ann.create_sender(confirm="delivered")
        lossy = ann.create_sender(reliability="lossy")
        seen: dict[str, list[bytes]] = {"bob": [], "carol": []}
        fresh = asyncio.Event()

        def listen(call: Call) -> None:
            def on_receiver(receiver: DataChannelReceiver) -> None:
                if receiver.reliability is Reliability.RELIABLE:
                    receiver.on_message(lambda message: seen[call.identity].append(message.data[:1]))
                else:
                    receiver.on_message(lambda _: fresh.set())

            call.on(DataChannelReceiver, on_receiver)

        listen(bob)
        listen(carol)
        sends = [asyncio.create_task(sender.send(bytes([number]) * 5_000)) for number in range(100)]
        await it.connections["bob"][0].close()
        reports = await asyncio.gather(*sends)
        assert {tuple(sorted(report.reached or ())) for report in reports} == {("bob", "carol")}
        assert seen["bob"] == seen["carol"] == [bytes([number]) for number in range(100)]
        assert [type(await anext(events)) for _ in range(2)] == [Suspended, Resumed]
        await lossy.send(b"fresh")
        await fresh.wait()
    await it.driver.close()
