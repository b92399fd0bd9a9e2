# SPDX-License-Identifier: Apache-2.0
"""`connect_factory` against a real relay, and against one that answers what it likes."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiortc import RTCPeerConnection

from callchannel.aio.transport import Transport
from callchannel.core.errors import CallChannelError, ErrorCode, InvalidArgument
from callchannel.core.lanes import Lane
from callchannel.server.relay_server import RelayServer
from callchannel.signalling import client as client_module
from callchannel.signalling.client import Connect, connect_factory
from callchannel.signalling.problems import SignallingError
from callchannel.signalling.tokens import issue_token


class Listener:
    """Notes what a transport reports."""

    def __init__(self) -> None:
        self.notes: list[object] = []
        self.changed = asyncio.Event()

    def transport_up(self, transport: Transport) -> None:
        self._note("up")

    def packet(self, lane: Lane, packet: bytes) -> None:
        self._note((lane, packet))

    def writable(self, lane: Lane) -> None:
        self._note(("writable", lane))

    def lossy_changed(self, is_open: bool) -> None:
        self._note(("lossy", is_open))

    def transport_down(self) -> None:
        self._note("down")

    def _note(self, note: object) -> None:
        self.notes.append(note)
        self.changed.set()

    async def wait(self, note: object) -> None:
        while note not in self.notes:
            self.changed.clear()
            await self.changed.wait()


async def failure(connect: Connect) -> SignallingError:
    with pytest.raises(SignallingError) as caught:
        await connect()
    assert isinstance(caught.value, CallChannelError)
    return caught.value


# --- with a real relay ------------------------------------------------------------------------------------------------


async def test_connecting_and_closing(configure: Any, key: bytes) -> None:
    async with RelayServer(configure()) as server:
        connect = connect_factory(server.url, "standup", token=issue_token(key, "anna", "standup"))
        transport = await connect()
        listener = Listener()
        transport.attach(listener)
        await listener.wait("up")
        await listener.wait(("lossy", True))
        assert transport.lossy_open and transport.buffered(Lane.RELIABLE) == 0
        assert len(server.connections) == 1
        transport.close()
        await transport.wait_closed()
        await listener.wait("down")
        # Deleted, or closed by WebRTC, whichever was sooner.
        assert len(server.connections) == 0
        # CC-SIG-067: the same function makes the next one
        again = await connect()
        assert len(server.connections) == 1
        again.close()
        await again.wait_closed()
        assert server.signalling.offers == {"created": 2}


async def test_a_token_is_asked_for_each_time(configure: Any, key: bytes) -> None:
    identities = iter(["anna", "bob"])

    async def token() -> str:
        return issue_token(key, next(identities), "standup")

    async with RelayServer(configure()) as server:
        connect = connect_factory(server.url + "/", "standup", token=token)
        transports = [await connect(), await connect()]
        grants = [connection.grant.identity for connection in server.connections._by_id.values()]
        assert grants == ["anna", "bob"]
        for transport in transports:
            transport.close()
            await transport.wait_closed()


async def test_open_mode(configure: Any) -> None:
    async with RelayServer(configure(admission__open=True)) as server:
        transport = await connect_factory(server.url, "standup", identity="Änne +&=/\0")()
        (connection,) = server.connections._by_id.values()
        assert connection.grant.identity == "Änne +&=/\0"
        transport.close()
        await transport.wait_closed()
        assert len(server.connections) == 0


async def test_a_relay_that_stops_takes_the_transport_down(configure: Any, key: bytes) -> None:
    listener = Listener()
    async with RelayServer(configure()) as server:
        transport = await connect_factory(server.url, "standup", token=issue_token(key, "anna", "standup"))()
        transport.attach(listener)
        await listener.wait("up")
    await listener.wait("down")
    await transport.wait_closed()


async def test_what_the_relay_says_no_to(configure: Any, key: bytes) -> None:
    async with RelayServer(configure(limits__offers_per_second=1)) as server:
        error = await failure(connect_factory(server.url, "standup", token=issue_token(key, "anna", "other")))
        assert (error.code, error.status, error.problem) == (ErrorCode.NOT_ADMITTED, 403, "call")
        assert error.needs_token and not error.retryable
        expired = issue_token(key, "anna", "standup", now=1_000.0)
        error = await failure(connect_factory(server.url, "standup", token=expired))
        assert (error.code, error.status, error.problem) == (ErrorCode.NOT_ADMITTED, 401, "token_expired")
        assert "expired" in error.detail and "expired" in str(error) and expired not in str(error)


async def test_who_is_told_to_wait_does_not_ask_before(
    configure: Any, key: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    # CC-SIG-068
    now = 1_000.0
    monkeypatch.setattr(client_module, "_now", lambda: now)
    async with RelayServer(configure(limits__connections_per_identity=4)) as server:
        connect = connect_factory(server.url, "standup", token=issue_token(key, "anna", "standup"))
        transports = [await connect() for _ in range(4)]
        error = await failure(connect)
        assert (error.code, error.status, error.problem) == (ErrorCode.RATE, 429, "connections")
        assert (error.retryable, error.retry_after) == (True, 5.0)
        transports[0].close()
        await transports[0].wait_closed()
        now += 4.0
        again = await failure(connect)
        assert (again.problem, again.retry_after, again.retryable) == ("connections", 1.0, True)
        assert "was not repeated" in str(again)
        assert server.signalling.offers["connections"] == 1
        now += 1.0
        transports[0] = await connect()
        for transport in transports:
            transport.close()
            await transport.wait_closed()


async def test_what_is_not_to_be_repeated_is_not(configure: Any, key: bytes) -> None:
    # CC-SIG-070
    tokens = [issue_token(key, "anna", "other")] * 2 + [issue_token(key, "anna", "standup")]
    async with RelayServer(configure()) as server:
        connect = connect_factory(server.url, "standup", token=lambda: tokens.pop(0), ice_servers=[])
        assert (await failure(connect)).problem == "call"
        assert "was not repeated" in str(await failure(connect))
        assert server.signalling.offers == {"call": 1}
        transport = await connect()
        transport.close()
        await transport.wait_closed()


# --- with a relay that answers what it likes --------------------------------------------------------------------------

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def answering(handler: Handler) -> AsyncIterator[str]:
    runner = web.ServerRunner(web.Server(handler, access_log=None), shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def constant(status: int, body: bytes = b"", **headers: str) -> Handler:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, body=body, headers=sent)

    return handle


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (constant(404), (ErrorCode.NOT_ADMITTED, 404, "http_404", False, None)),
        (constant(418, b"\xff"), (ErrorCode.PROTOCOL, 418, "http_418", False, None)),
        (constant(502, b"[" * 100_000), (ErrorCode.INTERNAL, 502, "http_502", True, None)),
        (constant(503, b'{"code": 7}', Retry_After="12"), (ErrorCode.GOING_AWAY, 503, "http_503", True, 12.0)),
        (
            constant(503, b'{"code":"call_full"}', Retry_After="soon"),
            (ErrorCode.CALL_FULL, 503, "call_full", True, None),
        ),
        (constant(429, b"[]", Retry_After="9" * 50), (ErrorCode.RATE, 429, "http_429", True, 3_600.0)),
        (constant(200, b"v=0"), (ErrorCode.PROTOCOL, 200, "http_200", False, None)),
        (constant(307, Location="http://other.example/"), (ErrorCode.PROTOCOL, 307, "http_307", False, None)),
        (constant(201, b"nonsense", Content_Type="application/sdp"), (ErrorCode.PROTOCOL, 201, "answer", False, None)),
        (constant(201, b"v=0", Content_Type="text/html"), (ErrorCode.PROTOCOL, 201, "answer", False, None)),
        (constant(201, b"x" * 300_000), (ErrorCode.PROTOCOL, 201, "answer", False, None)),
    ],
)
async def test_answers(handler: Handler, expected: tuple[Any, ...]) -> None:
    # CC-SIG-058, CC-SIG-005
    async with answering(handler) as url:
        error = await failure(connect_factory(url, "standup", token="t", ice_servers=[]))
        assert (error.code, error.status, error.problem, error.retryable, error.retry_after) == expected


async def test_an_error_text_can_not_forge_a_line() -> None:
    body = json.dumps({"code": "x\n", "detail": "a\x1b[31m\nERROR"}).encode()
    async with answering(constant(403, body)) as url:
        error = await failure(connect_factory(url, "standup", token="t", ice_servers=[]))
        assert "\n" not in str(error) and "\x1b" not in str(error)


async def test_ice_servers_come_from_links(monkeypatch: pytest.MonkeyPatch) -> None:
    # CC-SIG-017, CC-SIG-018
    asked, configurations = [], []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        asked.append((request.method, request.headers["Authorization"]))
        links = [("Link", '<stun:127.0.0.1:9>; rel="ice-server"'), ("Link", '<turn:127.0.0.1:9>; rel="ice-server"')]
        return (
            web.Response(status=204, headers=dict(links[:1]))
            if request.method == "OPTIONS"
            else web.Response(status=503)
        )

    def connection(configuration: Any) -> RTCPeerConnection:
        configurations.append([server.urls for server in configuration.iceServers])
        configuration.iceServers = []
        return RTCPeerConnection(configuration)

    monkeypatch.setattr(client_module, "RTCPeerConnection", connection)
    async with answering(handle) as url:
        assert (await failure(connect_factory(url, "standup", token="t"))).status == 503
    assert asked == [("OPTIONS", "Bearer t"), ("POST", "Bearer t")]
    assert configurations == [["stun:127.0.0.1:9"]]


async def test_nobody_there() -> None:
    # CC-SIG-059
    async with answering(constant(200)) as url:
        pass
    error = await failure(connect_factory(url, "standup", token="t", ice_servers=[]))
    assert (error.code, error.status, error.problem) == (ErrorCode.TIMEOUT, None, "unreachable")
    assert error.retryable


async def test_a_request_that_does_not_end_is_a_timeout() -> None:
    # CC-SIG-059
    over = asyncio.Event()

    async def hang(request: web.BaseRequest) -> web.StreamResponse:
        await over.wait()
        return web.Response()

    async with answering(hang) as url:
        error = await failure(connect_factory(url, "standup", token="t", ice_servers=[], timeout=0.05))
        over.set()
    assert (error.code, error.problem, error.retryable) == (ErrorCode.TIMEOUT, "timeout", True)
    assert "the request did not come to an end within 0.05 s" in str(error)


async def test_a_connection_that_does_not_come_up_is_a_timeout_and_is_deleted(configure: Any, key: bytes) -> None:
    # CC-SIG-059: the answer names a port where nobody answers
    deleted: list[str] = []
    async with RelayServer(configure()) as server:

        async def proxy(request: web.BaseRequest) -> web.StreamResponse:
            if request.method == "DELETE":
                deleted.append(request.raw_path)
                return web.Response(status=204)
            peer = RTCPeerConnection()
            peer.createDataChannel("x")
            offer = await peer.createOffer()
            await peer.close()
            lines = [line for line in offer.sdp.split("\r\n") if "candidate" not in line]
            sdp = "\r\n".join(lines).replace("actpass", "active")
            headers = {"Content-Type": "application/sdp", "Location": "../connections/c"}
            return web.Response(status=201, body=sdp.encode(), headers=headers)

        async with answering(proxy) as url:
            error = await failure(connect_factory(url, "standup", token="t", ice_servers=[], timeout=0.2))
        assert len(server.connections) == 0
    assert (error.code, error.problem) == (ErrorCode.TIMEOUT, "timeout")
    assert "the connection did not come to an end" in str(error)
    assert deleted == ["/connections/c"]


async def test_no_token_goes_to_another_origin() -> None:
    # CC-SIG-005
    asked: list[str] = []

    async def other(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.method)
        return web.Response(status=204)

    async with answering(other) as elsewhere:
        location = f"{elsewhere}/connections/c"
        async with answering(constant(201, b"v=0", Content_Type="application/sdp", Location=location)) as url:
            await failure(connect_factory(url, "standup", token="t", ice_servers=[]))
        async with answering(constant(307, Location=location)) as url:
            await failure(connect_factory(url, "standup", token="t"))
    assert asked == []


# --- cancellation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", [1, 2, 5, 10, 20, 40, 80, 160])
async def test_cancelling_leaves_nothing_behind(configure: Any, key: bytes, turns: int) -> None:
    # The runner checks for tasks, and warnings are errors: no session, socket or connection may be left.
    async with RelayServer(configure()) as server:
        connect = connect_factory(server.url, "standup", token=issue_token(key, "anna", "standup"))
        task = asyncio.ensure_future(connect())
        for _ in range(turns):
            await asyncio.sleep(0)
        if task.cancel():
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            transport = await task
            transport.close()
            await transport.wait_closed()


# --- arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"url": "ftp://x"}, "URL"),
        ({"url": "https://"}, "URL"),
        ({"url": "https://x/?a=b"}, "URL"),
        ({"url": "relay.example"}, "URL"),
        ({"url": "http://relay.example"}, "plain HTTP"),
        ({"call": "a/b"}, "name"),
        ({"token": None}, "token, or an identity"),
        ({"identity": "anna"}, "token, or an identity"),
        ({"token": None, "identity": ""}, "identity is 1 to 255"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_sent(arguments: dict[str, Any], match: str) -> None:
    # CC-SIG-004
    with pytest.raises(InvalidArgument, match=match):
        connect_factory(**{"url": "https://relay.example", "call": "standup", "token": "t", **arguments})


@pytest.mark.parametrize(
    "url", ["http://localhost:1", "http://127.0.0.9", "http://[::1]:8080", "https://relay.example/base"]
)
def test_where_a_token_may_go(url: str) -> None:
    assert isinstance(connect_factory(url, "standup", token="t"), Connect)


def test_plain_http_can_be_allowed() -> None:
    assert connect_factory("http://relay.example", "standup", token="t", allow_plain=True)
    # Without a token there is nothing to lose.
    assert connect_factory("http://relay.example", "standup", identity="anna")


async def test_a_token_that_is_none_is_the_callers_fault() -> None:
    with pytest.raises(InvalidArgument, match="a token has"):
        await connect_factory("https://relay.example", "standup", token="a\r\nb: c")()
