# SPDX-License-Identifier: Apache-2.0
"""Calls through a relay server: real HTTP, real WebRTC, the real core at both ends."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from callchannel.aio import Call
from callchannel.core.errors import ErrorCode, LinkLost, Refused
from callchannel.core.events import ParticipantSuspended, Resumed, Suspended
from callchannel.core.frames import FrameType
from callchannel.core.lanes import Lane
from callchannel.server.config import ConfigError
from callchannel.server.relay_server import RelayServer
from callchannel.signalling.client import SignalledTransport, connect_factory
from callchannel.signalling.problems import SignallingError
from callchannel.signalling.tokens import issue_token

Join = Callable[..., Any]


@asynccontextmanager
async def relaying(config: Any, key: bytes) -> AsyncIterator[tuple[RelayServer, Join]]:
    """A server, and a function by which somebody joins a call of it."""
    async with RelayServer(config) as server, AsyncExitStack() as stack:

        async def join(identity: str, call: str = "standup", permissions: list[str] | None = None) -> Call:
            def token() -> str:
                return issue_token(key, identity, call, permissions)

            joined = await Call.join(connect_factory(server.url, call, token=token, ice_servers=[]))
            return await stack.enter_async_context(joined)

        yield server, join


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop go on until `condition` holds; the test's time limit bounds it."""
    while not condition():
        await asyncio.sleep(0)


async def test_two_clients_exchange_messages(configure: Any, key: bytes, log: Any) -> None:
    async with relaying(configure(), key) as (server, join):
        anna, bob = await join("anna"), await join("bob")
        await anna.wait_for("bob")
        assert [participant.identity for participant in bob.participants] == ["anna", "bob"]
        data = bytes(range(256)) * 2_000
        sending = asyncio.create_task(anna.create_sender(confirm="delivered").send(data))
        received = await anext(bob.receivers())
        assert received.sender_identifier == "anna"
        assert (await received.receive()).data == data
        assert (await sending).reached == ("bob",)
        await bob.create_sender(to=["anna"]).send_text("hello")
        assert (await (await anext(anna.receivers())).receive()).text() == "hello"
        figures = server.figures()
        assert (figures.calls, figures.connections, figures.waiting) == (1, 2, 0)
        assert (figures.participants, figures.joined, figures.suspended, figures.unbound) == (2, 2, 0, 0)
        assert figures.frames_forwarded > 512_000 / 16_384
        assert figures.packet_bytes["received", Lane.RELIABLE] > 512_000
        assert figures.packet_bytes["sent", Lane.RELIABLE] > 512_000
        assert figures.sessions == 2
    assert server.figures().joined == 2
    assert server.figures().participants == server.figures().connections == 0


async def test_calls_are_apart_and_go_when_they_are_empty(configure: Any, key: bytes) -> None:
    async with relaying(configure(), key) as (server, join):
        anna, bob = await join("anna", "one"), await join("bob", "two")
        assert [len(call.participants) for call in (anna, bob)] == [1, 1]
        assert len(server.rooms) == 2
        await bob.leave()
        await until(lambda: len(server.rooms) == 1)
        await anna.leave()
        await until(lambda: not len(server.rooms))
        assert (server.figures().joined, server.signalling.ledger.connections) == (2, 0)


async def test_identity_is_what_the_token_says(configure: Any, key: bytes) -> None:
    # CC-RELAY-001, CC-SIG-039
    async with relaying(configure(), key) as (server, _):
        connect = connect_factory(server.url, "standup", token=issue_token(key, "anna", "standup"))
        async with await Call.join(connect, identity="bob") as call:
            assert call.identity == "anna"


async def test_who_may_not_send_is_refused_and_receives(configure: Any, key: bytes) -> None:
    # CC-SIG-033
    async with relaying(configure(), key) as (_, join):
        anna, bob = await join("anna"), await join("bob", permissions=["receive"])
        with pytest.raises(Refused) as caught:
            await bob.create_sender().send(b"x")
        assert caught.value.code == ErrorCode.POLICY
        await anna.create_sender().send(b"y")
        assert (await (await anext(bob.receivers())).receive()).data == b"y"


async def test_a_connection_that_is_lost_is_replaced_and_nothing_is_lost(configure: Any, key: bytes) -> None:
    # CC-SIG-067, 13.12
    async with relaying(configure(), key) as (server, join):
        anna, bob = await join("anna"), await join("bob")
        events, others = bob.events(), anna.events()
        sender = anna.create_sender()
        receiver = None
        for round_ in range(2):
            await sender.send_text(f"{round_} before")
            (old,) = [each for each in server.connections._by_id.values() if each.grant.identity == "bob"]
            await old.peer.close()
            assert isinstance(await anext(events), Suspended)
            await sender.send_text(f"{round_} meanwhile")
            assert isinstance(await anext(events), Resumed)
            assert isinstance(await anext(others), ParticipantSuspended) or round_
            receiver = receiver or await anext(bob.receivers())
            texts = [(await receiver.receive()).text() for _ in range(2)]
            assert texts == [f"{round_} before", f"{round_} meanwhile"]
            await anext(others)
        assert server.signalling.offers == {"created": 4}
        assert server.figures().joined == 2
        await until(lambda: len(server.connections) == 2)


async def test_a_delete_is_the_loss_of_a_transport_and_nothing_more(configure: Any, key: bytes) -> None:
    # CC-SIG-045
    async with relaying(configure(), key) as (server, join):
        anna = await join("anna")
        events = anna.events()
        (connection,) = server.connections._by_id.values()
        headers = {"Authorization": f"Bearer {issue_token(key, 'anna', 'standup')}"}
        url = f"{server.url}/connections/{connection.id}"
        async with aiohttp.ClientSession() as session, session.delete(url, headers=headers) as response:
            assert response.status == 204
        assert isinstance(await anext(events), Suspended)
        assert isinstance(await anext(events), Resumed)


async def test_another_identity_can_not_resume(configure: Any, key: bytes) -> None:
    # CC-LINK-018, CC-SIG-041
    async with relaying(configure(limits__relay_drain_time=0), key) as (server, _):
        tokens = [issue_token(key, "anna", "standup"), issue_token(key, "bob", "standup")]
        call = await Call.join(connect_factory(server.url, "standup", token=lambda: tokens.pop(0), ice_servers=[]))
        (connection,) = server.connections._by_id.values()
        await connection.peer.close()
        await until(lambda: call.ended is not None)
        assert call.ended is not None and call.ended.code == ErrorCode.RESUME_UNKNOWN
        await call.leave()


async def test_stopping_says_goodbye(configure: Any, key: bytes, log: Any) -> None:
    # 10.13, CC-RELAY-077
    server = RelayServer(configure())
    await server.start()
    calls = []
    for identity in ("anna", "bob"):
        connect = connect_factory(server.url, "standup", token=issue_token(key, identity, "standup"))
        calls.append(await Call.join(connect))
    receivers = calls[1].receivers()
    await calls[0].create_sender().send(b"accepted")
    receiver = await anext(receivers)
    await server.stop()
    await until(lambda: all(call.ended is not None for call in calls))
    assert [call.ended.code for call in calls if call.ended is not None] == [ErrorCode.GOING_AWAY] * 2
    # What was accepted is delivered before.
    assert (await receiver.receive()).data == b"accepted"
    for call in calls:
        await call.leave()
    assert len(server.connections) == len(server.rooms) == 0
    assert "did not stop in time" not in log.text


async def test_while_stopping_only_those_who_have_a_link_may_connect(configure: Any, key: bytes) -> None:
    # CC-SIG-071, CC-RELAY-075, CC-RELAY-076
    async with relaying(configure(), key) as (server, join):
        anna = await join("anna")
        events = anna.events()
        server.signalling.is_stopping = True
        with pytest.raises(SignallingError) as caught:
            await join("bob")
        assert (caught.value.code, caught.value.problem) == (ErrorCode.GOING_AWAY, "stopping")
        assert caught.value.retryable and caught.value.retry_after
        (connection,) = server.connections._by_id.values()
        await connection.peer.close()
        assert isinstance(await anext(events), Suspended)
        assert isinstance(await anext(events), Resumed)


async def test_a_certificate_that_was_not_announced_gets_nowhere(configure: Any, key: bytes, log: Any) -> None:
    # CC-SIG-040, CC-SEC-002
    async with RelayServer(configure()) as server:
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        channel = peer.createDataChannel("reliable", protocol="callchannel.1")
        await peer.setLocalDescription(await peer.createOffer())
        lines = [line for line in peer.localDescription.sdp.split("\r\n") if not line.startswith("a=fingerprint")]
        lines[-1:] = ["a=fingerprint:sha-256 " + ":".join(["AB"] * 32), ""]
        headers = {
            "Authorization": f"Bearer {issue_token(key, 'eve', 'standup')}",
            "Content-Type": "application/sdp",
        }
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{server.url}/calls/standup", data="\r\n".join(lines), headers=headers) as response,
        ):
            assert response.status == 201
            answer = await response.text()
        await peer.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
        await until(lambda: not len(server.connections))
        assert channel.readyState != "open"
        assert server.figures().joined == 0
        await peer.close()


async def test_a_client_that_says_no_hello_is_turned_away(configure: Any, key: bytes) -> None:
    # CC-LINK-020
    async with RelayServer(configure(limits__unbound_time=1_000)) as server:
        connect = connect_factory(server.url, "standup", token=issue_token(key, "anna", "standup"))
        transport = await connect()
        heard = Heard()
        transport.attach(heard)
        await heard.over.wait()
        assert heard.packets[0][0] == FrameType.BYE
        assert int.from_bytes(heard.packets[0][4:6], "big") == ErrorCode.TIMEOUT
        await transport.wait_closed()


async def test_an_oversize_message_ends_its_link_with_a_word(configure: Any, key: bytes, log: Any) -> None:
    # CC-RTC-020
    async with relaying(configure(), key) as (_, join):
        anna, eve = await join("anna"), await join("eve")
        (number,) = eve._driver.transports
        transport = eve._driver._attached[number].transport
        assert isinstance(transport, SignalledTransport)
        channel = transport.inner._channels[Lane.RELIABLE]
        channel.transport._remote_max_message_size = 0
        channel.send(bytes(100_000))
        await until(lambda: eve.ended is not None)
        assert eve.ended is not None and eve.ended.code == ErrorCode.PACKET_SIZE
        assert anna.ended is None
        await until(lambda: [participant.identity for participant in anna.participants] == ["anna"])
        await anna.create_sender().send(b"all is well")


async def test_joining_with_a_bad_token_raises_at_once(configure: Any, key: bytes) -> None:
    async with RelayServer(configure()) as server:
        connect = connect_factory(server.url, "standup", token=issue_token(b"y" * 32, "anna", "standup"))
        with pytest.raises(SignallingError) as caught:
            await Call.join(connect)
        assert (caught.value.code, caught.value.problem) == (ErrorCode.NOT_ADMITTED, "token_invalid")


async def test_an_endpoint_can_be_put_out(configure: Any, key: bytes) -> None:
    async with relaying(configure(), key) as (server, join):
        anna = await join("anna")
        (room,) = server.rooms
        (participant,) = room.relay.participants
        room.end_link(participant.slot, ErrorCode.POLICY, "not today")
        await until(lambda: anna.ended is not None)
        assert anna.ended is not None and (anna.ended.code, anna.ended.reason) == (ErrorCode.POLICY, "not today")
        with pytest.raises(LinkLost):
            await anna.create_sender().send(b"x")


class Heard:
    """A listener that keeps packets."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []
        self.over = asyncio.Event()

    def transport_up(self, transport: object) -> None:
        """Nothing is said."""

    def packet(self, lane: Lane, packet: bytes) -> None:
        self.packets.append(packet)

    def writable(self, lane: Lane) -> None:
        """Nothing waits."""

    def lossy_changed(self, is_open: bool) -> None:
        """It does not matter."""

    def transport_down(self) -> None:
        self.over.set()


async def test_permissions_are_those_of_the_connection_in_use(configure: Any, key: bytes) -> None:
    # CC-SIG-043
    async with RelayServer(configure(limits__relay_drain_time=0)) as server:
        tokens = [issue_token(key, "anna", "standup", permissions) for permissions in (None, [])]
        connect = connect_factory(server.url, "standup", token=lambda: tokens.pop(0), ice_servers=[])
        async with await Call.join(connect) as call:
            sender = call.create_sender()
            await sender.send(b"x")
            events = call.events()
            (connection,) = server.connections._by_id.values()
            await connection.peer.close()
            assert isinstance(await anext(events), Suspended)
            assert isinstance(await anext(events), Resumed)
            with pytest.raises(Refused) as caught:
                await sender.send(b"y")
            assert caught.value.code == ErrorCode.POLICY


# --- what can go wrong with a connection ------------------------------------------------------------------------------


async def post(server: RelayServer, key: bytes, identity: str = "anna") -> tuple[int, dict[str, Any]]:
    """Post an offer whose client never comes."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.createDataChannel("x")
    sdp = (await peer.createOffer()).sdp.replace("a=end-of-candidates\r\n", "")
    await peer.close()
    headers = {"Authorization": f"Bearer {issue_token(key, identity, 'standup')}", "Content-Type": "application/sdp"}
    url = f"{server.url}/calls/standup"
    async with aiohttp.ClientSession() as session, session.post(url, data=sdp, headers=headers) as response:
        return response.status, {} if response.status == 201 else await response.json(content_type=None)


async def test_a_connection_that_does_not_come_up_is_closed(configure: Any, key: bytes, log: Any) -> None:
    # CC-SIG-044; how long it takes is tested in virtual time, in test_connections.py
    async with RelayServer(configure()) as server:
        server.connections._connect_time = 0.0
        assert (await post(server, key))[0] == 201
        await until(lambda: not server.signalling.ledger.connections)
        figures = server.figures()
        assert (figures.connections, figures.timed_out, figures.given_up) == (0, 1, 0)
    assert "did not come up in time" in log.text


async def test_a_connection_that_is_given_up_is_a_lost_transport(configure: Any, key: bytes, log: Any) -> None:
    async with relaying(configure(), key) as (server, join):
        anna = await join("anna")
        events = anna.events()
        (connection,) = server.connections._by_id.values()
        assert connection.guard is not None
        connection.guard.fail("a test")
        assert isinstance(await anext(events), Suspended)
        assert isinstance(await anext(events), Resumed)
        assert server.figures().given_up == 1
        await until(lambda: len(server.connections) == 1)
    assert "connection given up" in log.text


@pytest.mark.parametrize("error", [ValueError("no"), TimeoutError(), AssertionError()])
async def test_an_answer_that_fails_is_no_failure_of_the_relay(
    configure: Any, key: bytes, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def fail(self: object, description: object) -> None:
        raise error

    async with RelayServer(configure()) as server:
        monkeypatch.setattr(RTCPeerConnection, "setRemoteDescription", fail)
        status, problem = await post(server, key)
        assert (status, problem["code"]) == (422, "offer")
        assert server.signalling.ledger.connections == len(server.connections) == 0


async def test_a_call_that_ends_meanwhile_takes_no_connection(configure: Any, key: bytes) -> None:
    async with RelayServer(configure()) as server:
        room = server.rooms.enter("standup")
        await room.close()
        status, problem = await post(server, key)
        assert (status, problem["code"]) == (503, "stopping")
        room.left()


async def test_an_offer_that_is_cancelled_leaves_nothing(
    configure: Any, key: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with RelayServer(configure()) as server:
        started = asyncio.Event()

        async def hang(self: object) -> None:
            started.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(RTCPeerConnection, "createAnswer", hang)
        request = asyncio.create_task(post(server, key))
        await started.wait()
        assert server.signalling.ledger.connections == 1
        # The server stops, and cancels what does not end.
        for runner in server._runners:
            runner._shutdown_timeout = 0.01
        await server.stop()
        with pytest.raises(aiohttp.ClientError):
            await request
        assert server.signalling.ledger.connections == len(server.connections) == 0


async def test_open_mode_is_checked_where_it_listens(configure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # CC-SIG-035: a name may be something else than it seems
    monkeypatch.setattr("callchannel.server.relay_server.is_loopback", lambda host: False)
    with pytest.raises(ConfigError, match="not loopback alone"):
        await RelayServer(configure(admission__open=True, http__host="localhost")).start()
