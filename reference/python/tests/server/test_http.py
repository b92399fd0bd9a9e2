# SPDX-License-Identifier: Apache-2.0
"""What holds the HTTP server itself within bounds, and its other resources."""

import asyncio
import dataclasses
import json
import os
import signal
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from callchannel.aio import Call
from callchannel.core.errors import ErrorCode
from callchannel.server.config import ConfigError
from callchannel.server.http import BoundedServer, begun
from callchannel.server.relay_server import RelayServer
from callchannel.signalling.client import connect_factory
from callchannel.signalling.tokens import issue_token


async def get(url: str, method: str = "GET", **options: Any) -> tuple[int, str, Any]:
    async with aiohttp.ClientSession() as session, session.request(method, url, **options) as response:
        return response.status, await response.text(), response.headers


async def test_health_and_metrics_on_loopback(configure: Any, log: Any) -> None:
    async with RelayServer(configure()) as server:
        status, text, headers = await get(server.url + "/health")
        assert status == 200 and json.loads(text)["status"] == "ok"
        assert headers["Content-Type"] == "application/json"
        status, text, headers = await get(server.url + "/metrics")
        assert status == 200 and "callchannel_calls 0.0" in text
        assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert (await get(server.url + "/health", "POST"))[0] == 405
        assert (await get(server.url + "/health", "HEAD"))[:2] == (200, "")
        server.signalling.is_stopping = True
        assert (await get(server.url + "/health"))[0] == 503


async def test_a_listener_of_their_own(configure: Any) -> None:
    async with RelayServer(configure(status__port=0)) as server:
        own = f"http://127.0.0.1:{server.status_port}"
        assert (await get(own + "/metrics"))[0] == 200
        assert (await get(own + "/health"))[0] == 200
        assert (await get(own + "/calls/standup"))[0] == 404
        assert (await get(server.url + "/metrics"))[0] == 404
        assert (await get(server.url + "/health"))[0] == 404


async def test_metrics_can_be_off(configure: Any) -> None:
    async with RelayServer(configure(status__metrics="off")) as server:
        assert (await get(server.url + "/metrics"))[0] == 404
        assert (await get(server.url + "/health"))[0] == 200


async def test_metrics_are_not_on_a_public_listener_by_themselves(configure: Any, log: Any) -> None:
    async with RelayServer(configure(http__host="0.0.0.0", http__allow_plain=True)) as server:
        url = f"http://127.0.0.1:{server.port}"
        assert (await get(url + "/metrics"))[0] == 404
        assert (await get(url + "/health"))[0] == 200
    assert "plain HTTP beyond loopback" in log.text


async def test_a_port_that_is_taken_is_a_readable_error(configure: Any) -> None:
    async with RelayServer(configure()) as server:
        with pytest.raises(ConfigError, match=r"http.host, http.port: 127.0.0.1:\d+ can't be listened on"):
            await RelayServer(configure(http__port=server.port)).start()
        with pytest.raises(ConfigError, match=r"status.host, status.port"):
            await RelayServer(configure(status__port=server.port)).start()


async def test_https(configure: Any, tmp_path: Path) -> None:
    # CC-SIG-003
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command = ["openssl", "req", "-x509", *curve, "-nodes", "-days", "2", *subject, *files]
    subprocess.run(command, check=True, capture_output=True)
    settings = {"http__tls_certificate": str(tmp_path / "cert.pem"), "http__tls_key": str(tmp_path / "key.pem")}
    async with RelayServer(configure(**settings)) as server:
        assert server.url.startswith("https://")
        context = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        assert (await get(server.url + "/health", ssl=context))[0] == 200


# --- bounds -----------------------------------------------------------------------------------------------------------


async def _bounded(**options: Any) -> tuple[web.ServerRunner, int, BoundedServer]:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        begun(request)
        return web.Response(text="here")

    server = BoundedServer(handle, **{"connections": 2, "request_time": 60.0, **options})
    runner = web.ServerRunner(server, handle_signals=False)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, runner.addresses[0][1], server


async def test_one_connection_too_many_is_closed_at_once() -> None:
    runner, port, server = await _bounded()
    streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
    assert await streams[2][0].read() == b""
    assert server.refused == 1
    streams[0][1].write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await streams[0][0].readline()).startswith(b"HTTP/1.1 200")
    for _, writer in streams:
        writer.close()
    await runner.cleanup()


async def test_who_does_not_ask_is_closed_in_time() -> None:
    runner, port, _ = await _bounded(request_time=0.0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await reader.read() == b""
    writer.close()
    await runner.cleanup()


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"POST /calls/\xff\xfe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"POST http://x:1/calls/-?a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"POST * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"POST //calls//x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"POST /calls/a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\r\nConnection: close\r\n\r\n",
        b"POST /calls/a HTTP/1.1\r\nHost: x\r\nOrigin: \xff\r\nConnection: close\r\n\r\n",
        b"POST /calls/a HTTP/1.1\r\nHost: x\r\nExpect: magic\r\nConnection: close\r\n\r\n",
        b"POST /calls/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /calls/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n",
        b"GET /calls/a HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    ],
)
async def test_no_request_makes_the_server_fail(configure: Any, log: Any, request_: bytes) -> None:
    async with RelayServer(configure()) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request_)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        assert not answer or answer.startswith(b"HTTP/1.1 4")
        assert (await get(server.url + "/health"))[0] == 200


async def test_a_client_that_goes_in_the_middle_of_its_body_leaves_nothing(
    configure: Any, key: bytes, log: Any
) -> None:
    token = issue_token(key, "anna", "standup")
    async with RelayServer(configure()) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(
            b"POST /calls/standup HTTP/1.1\r\nHost: x\r\nContent-Type: application/sdp\r\n"
            b"Authorization: Bearer " + token.encode() + b"\r\nContent-Length: 100\r\n\r\nv=0"
        )
        while not server.signalling.ledger.connections:
            await asyncio.sleep(0)
        writer.transport.abort()
        while server.signalling.ledger.connections:
            await asyncio.sleep(0)


async def test_a_body_that_does_not_come_in_time_is_no_sdp(configure: Any, key: bytes, log: Any) -> None:
    config = configure()
    slow = dataclasses.replace(config, values={**config.values, "http.request_time": 0.05})
    token = issue_token(key, "anna", "standup").encode()
    async with RelayServer(slow) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        head = b"POST /calls/standup HTTP/1.1\r\nHost: x\r\nContent-Type: application/sdp\r\nAuthorization: Bearer "
        writer.write(head + token + b"\r\nContent-Length: 100\r\n\r\nv=0")
        assert b"the body did not arrive in time" in await reader.readuntil(b"}")
        writer.close()
        assert server.signalling.ledger.connections == 0


# --- the process ------------------------------------------------------------------------------------------------------

PROGRAM = """
import sys
from callchannel.server import load_config, run
run(load_config(overrides={"http.port": 0, "log.format": "json", "admission.key_env": "A_KEY"}))
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
async def test_a_process_serves_until_it_is_told_to_stop(key: bytes, name: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        "-c",
        PROGRAM,
        env={**os.environ, "A_KEY": key.decode()},
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    started = json.loads(await process.stderr.readline())
    assert started["message"] == "relay started"
    connect = connect_factory(started["url"], "standup", token=issue_token(key, "anna", "standup"))
    call = await Call.join(connect)
    process.send_signal(getattr(signal, name))
    lines = [json.loads(line) for line in (await process.stderr.read()).splitlines()]
    assert await process.wait() == 0
    messages = [line["message"] for line in lines]
    assert messages[-1] == "relay stopped"
    assert {line["level"] for line in lines} == {"info"}
    assert "anna" not in json.dumps(lines)
    while call.ended is None:
        await asyncio.sleep(0)
    assert call.ended.code == ErrorCode.GOING_AWAY
    await call.leave()
