# SPDX-License-Identifier: Apache-2.0
"""Chapter 13 over real HTTP: statuses, headers, the order of judgement, CORS."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import aiohttp
import pytest
from aiortc.sdp import SessionDescription
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

from callchannel.server.relay_server import RelayServer
from callchannel.signalling.tokens import issue_token

FINGERPRINT = ":".join(["AB"] * 32)
OFFER = (
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=ice-ufrag:abcd\r\n"
    f"a=ice-pwd:{'p' * 22}\r\na=fingerprint:sha-256 {FINGERPRINT}\r\na=setup:actpass\r\na=sctp-port:5000\r\n"
)
"""An offer without candidates, whose client never comes (CC-SIG-011)."""


@dataclass
class Answer:
    status: int
    headers: Any
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        assert self.headers["Content-Type"] == "application/problem+json"
        problem: dict[str, Any] = json.loads(self.body)
        assert problem["status"] == self.status
        assert problem["title"] and problem["detail"]
        return problem

    @property
    def code(self) -> str:
        return str(self.problem["code"])


class Client:
    """Makes requests to a server, as Anna."""

    def __init__(self, server: RelayServer, session: aiohttp.ClientSession, key: bytes) -> None:
        self.server = server
        self.session = session
        self.token = issue_token(key, "anna", "standup")

    async def __call__(
        self,
        method: str,
        path: str,
        *,
        token: str | None = "",
        body: Any = None,
        sdp: bool = True,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        sent = {"Content-Type": "application/sdp"} if sdp and body is not None else {}
        if token is not None:
            sent["Authorization"] = f"Bearer {token or self.token}"
        url = URL(urljoin(self.server.url + "/", path), encoded=True)
        async with self.session.request(method, url, data=body, headers={**sent, **(headers or {})}) as response:
            return Answer(response.status, response.headers, await response.read())

    async def offer(self, path: str = "/calls/standup", **options: Any) -> Answer:
        return await self("POST", path, body=options.pop("body", OFFER), **options)


@asynccontextmanager
async def serving(config: Any, key: bytes) -> AsyncIterator[Client]:
    async with RelayServer(config) as server, aiohttp.ClientSession() as session:
        yield Client(server, session, key)


async def test_an_offer_is_answered(configure: Any, key: bytes, log: Any) -> None:
    # CC-SIG-001, CC-SIG-013 to CC-SIG-016
    async with serving(configure(), key) as client:
        answer = await client.offer()
        assert answer.status == 201
        assert answer.headers["Content-Type"] == "application/sdp"
        assert answer.headers["Cache-Control"] == "no-store"
        (media,) = SessionDescription.parse(answer.body.decode()).media
        assert media.ice_candidates and media.ice_candidates_complete
        assert media.dtls is not None and media.dtls.role == "client"
        assert b"a=max-message-size:16384" in answer.body
        location = answer.headers["Location"]
        assert len(location.rpartition("/")[2]) >= 22
        again = await client.offer()
        assert again.headers["Location"] != location
        assert len(client.server.connections) == 2
        assert client.server.signalling.offers == {"created": 2}

        deleted = await client("DELETE", urljoin("/calls/standup", location))
        assert (deleted.status, deleted.body) == (204, b"")
        assert len(client.server.connections) == 1
        # CC-SIG-047
        twice = await client("DELETE", urljoin("/calls/standup", location))
        assert (twice.status, twice.code) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        (method, path, allow)
        for path, methods, allow in (
            ("/calls/standup", "GET HEAD PUT PATCH DELETE TRACE", "POST, OPTIONS"),
            ("/connections/x", "GET POST PUT PATCH", "DELETE, OPTIONS"),
        )
        for method in methods.split()
    ],
)
async def test_other_methods(configure: Any, key: bytes, method: str, path: str, allow: str) -> None:
    # CC-SIG-002
    async with serving(configure(), key) as client:
        answer = await client(method, path)
        assert (answer.status, answer.headers["Allow"]) == (405, allow)
        assert method == "HEAD" or answer.code == "method"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/", 404, "not_found"),
        ("/calls", 404, "not_found"),
        ("/other/standup", 404, "not_found"),
        ("/calls/standup/", 404, "not_found"),
        ("/calls/a/b", 404, "not_found"),
        ("/calls/", 400, "call_name"),
        ("/calls/a%2Fb", 400, "call_name"),
        ("/calls/%2573", 400, "call_name"),
        ("/calls/%ff", 400, "call_name"),
        ("/calls/%00", 400, "call_name"),
        ("/calls/..%2e", 400, "call_name"),
        ("/calls/" + "x" * 129, 400, "call_name"),
        ("/calls/other", 403, "call"),
        ("/connections/x", 405, "method"),
    ],
)
@pytest.mark.usefixtures("log")
async def test_targets(configure: Any, key: bytes, path: str, status: int, code: str) -> None:
    # CC-SIG-006, CC-SIG-007
    async with serving(configure(), key) as client:
        answer = await client.offer(path)
        assert (answer.status, answer.code) == (status, code)


async def test_a_name_is_decoded_once(configure: Any, key: bytes) -> None:
    # CC-SIG-007
    async with serving(configure(), key) as client:
        assert (await client.offer("/calls/%73tandup?x=%zz")).status == 201


async def test_the_base_may_have_a_path(configure: Any, key: bytes) -> None:
    async with serving(configure(http__path="/relay"), key) as client:
        answer = await client.offer("/relay/calls/standup")
        assert answer.status == 201
        assert (await client.offer("/calls/standup")).code == "not_found"
        path = urljoin("/relay/calls/standup", answer.headers["Location"])
        assert path.startswith("/relay/connections/")
        assert (await client("DELETE", path)).status == 204


async def test_tokens_are_asked_for(configure: Any, key: bytes, log: Any) -> None:
    # CC-SIG-022, CC-SIG-023, CC-SIG-055, CC-SIG-057
    async with serving(configure(), key) as client:
        for headers in ({}, {"Authorization": "Basic YTpi"}, {"Authorization": ""}):
            answer = await client.offer(f"/calls/standup?token={client.token}", token=None, headers=headers)
            assert (answer.status, answer.code) == (401, "token_missing")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        wrong = (
            "x",
            "ä",
            client.token[:-2],
            issue_token(b"x" * 32, "anna", "standup"),
            issue_token(key, "anna", "standup", now=1_000.0),
        )
        for token in wrong:
            answer = await client.offer(token=token)
            assert answer.status == 401
            assert answer.code == ("token_expired" if token == wrong[-1] else "token_invalid")
            assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
            assert token == "x" or token.encode() not in answer.body
        assert (await client.offer(headers={"Authorization": f"bearer  {client.token} "})).status == 201
        assert (await client.offer(token=issue_token(key, "anna", "other"))).code == "call"
        assert len(client.server.connections) == 1
    assert client.token not in log.text


async def test_two_tokens_are_none(configure: Any, key: bytes) -> None:
    async with serving(configure(), key) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
        line = f"Authorization: Bearer {client.token}\r\n"
        writer.write(f"POST /calls/standup HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{line}{line}\r\n".encode())
        assert b"token_invalid" in await reader.read()
        writer.close()
        await writer.wait_closed()


async def test_a_connection_is_deleted_by_its_own_identity_alone(configure: Any, key: bytes) -> None:
    # CC-SIG-046
    async with serving(configure(), key) as client:
        path = urljoin("/calls/standup", (await client.offer()).headers["Location"])
        for token in (issue_token(key, "bob", "standup"), issue_token(key, "anna", "other")):
            assert (await client("DELETE", path, token=token)).code == "not_found"
        assert (await client("DELETE", path, token=None)).code == "token_missing"
        assert (
            await client("DELETE", path, token=issue_token(key, "anna", "standup", now=1.0))
        ).code == "token_expired"
        assert (await client("DELETE", path)).status == 204


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        ("", {}, (400, "sdp")),
        ("hello", {}, (400, "sdp")),
        (b"\xff\xfe\x00", {}, (400, "sdp")),
        (OFFER.partition("m=")[0], {}, (422, "offer")),
        (OFFER.replace("sha-256", "sha-1"), {}, (422, "offer")),
        (OFFER + " " * 65_537, {}, (413, "body_size")),
        (OFFER, {"Content-Type": "text/plain"}, (415, "media_type")),
        (OFFER, {"Content-Type": ""}, (415, "media_type")),
        (OFFER, {"Content-Encoding": "gzip"}, (415, "media_type")),
        (OFFER, {"Content-Type": "Application/SDP; charset=utf-8"}, (201, "")),
    ],
)
@pytest.mark.usefixtures("log")
async def test_bodies(
    configure: Any, key: bytes, body: Any, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    status, code = expected
    async with serving(configure(), key) as client:
        answer = await client.offer(body=body, headers=headers)
        assert answer.status == status
        assert status == 201 or answer.code == code
        # CC-SIG-056
        assert (answer.headers.get("Accept-Post") == "application/sdp") is (status == 415)
        assert client.server.signalling.ledger.connections == (status == 201)


async def test_a_body_in_chunks_is_cut_at_the_limit(configure: Any, key: bytes, log: Any) -> None:
    # CC-SIG-050
    given_out = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal given_out
        for _ in range(10_000):
            given_out += 1
            yield b"x" * 10_000

    async with serving(configure(), key) as client:
        try:
            answer = await client.offer(body=endless())
        except aiohttp.ClientError:
            # The server has closed while the body was still being written.
            assert client.server.signalling.offers == {"body_size": 1}
        else:
            assert (answer.status, answer.code) == (413, "body_size")


async def test_nothing_of_the_body_is_read_before_the_rest_is_judged(configure: Any, key: bytes) -> None:
    # CC-SIG-053: the body never comes, and the answer does
    async with serving(configure(), key) as client:
        for head, code in (
            (b"POST /calls/standup HTTP/1.1\r\n", b"token_missing"),
            (
                b"POST /calls/standup HTTP/1.1\r\nAuthorization: Bearer " + client.token.encode() + b"\r\n",
                b"media_type",
            ),
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
            writer.write(head + b"Host: x\r\nContent-Length: 1000\r\n\r\n")
            assert code in await reader.readuntil(b"}")
            writer.close()
            await writer.wait_closed()


async def test_rates_and_counts(configure: Any, key: bytes, log: Any) -> None:
    # CC-SIG-048, CC-SIG-049, CC-SIG-051
    config = configure(limits__offers_per_second=1, limits__connections_per_identity=4, limits__connections_per_call=5)
    async with serving(config, key) as client:
        for _ in range(4):
            assert (await client.offer()).status == 201
        answer = await client.offer()
        assert (answer.status, answer.code) == (429, "connections")
        assert int(answer.headers["Retry-After"]) >= 1
        answer = await client.offer()
        assert (answer.status, answer.code, answer.headers["Retry-After"]) == (429, "offer_rate", "1")
        bob = issue_token(key, "bob", "standup")
        assert (await client.offer(token=bob)).status == 201
        answer = await client.offer(token=bob)
        assert (answer.status, answer.code) == (503, "call_full")
        assert int(answer.headers["Retry-After"]) >= 1


async def test_overload(configure: Any, key: bytes) -> None:
    async with serving(configure(server__connections=1), key) as client:
        assert (await client.offer()).status == 201
        answer = await client.offer()
        assert (answer.status, answer.code) == (503, "overload")
        assert answer.headers["Retry-After"] == "5"


async def test_a_relay_that_stops_takes_no_offers_of_newcomers(configure: Any, key: bytes) -> None:
    # CC-SIG-071 is tested with links, in test_relay_server.py
    async with serving(configure(), key) as client:
        client.server.signalling.is_stopping = True
        answer = await client.offer()
        assert (answer.status, answer.code) == (503, "stopping")
        assert int(answer.headers["Retry-After"]) >= 1


async def test_a_failure_of_the_relay_is_internal(
    configure: Any, key: bytes, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(configure(), key) as client:
        monkeypatch.setattr(client.server.rooms, "enter", lambda name: 1 / 0)
        answer = await client.offer()
        assert (answer.status, answer.code) == (500, "internal")
        assert b"division" not in answer.body
    assert [record.message for record in caplog.records if record.exc_info] == [
        "handling a request failed; this is a bug"
    ]


async def test_the_order_of_judgement(configure: Any, key: bytes) -> None:
    # CC-SIG-052: each request has every later fault as well
    config = configure(http__origins=["https://app.example"], limits__offers_per_second=1)
    async with serving(config, key) as client:
        other = {"Origin": "https://evil.example"}
        assert (await client("PUT", "/none", token="x", body="x", headers=other)).code == "origin"
        assert (await client("PUT", "/calls/-", token="x", body="x")).code == "call_name"
        assert (await client("PUT", "/calls/standup", token="x", body="x")).code == "method"
        assert (await client("POST", "/calls/other", token="x", body="x", sdp=False)).code == "token_invalid"
        for _ in range(5):
            await client.offer(body="x")
        assert (await client("POST", "/calls/other", body="x", sdp=False)).code == "call"
        assert (await client("POST", "/calls/standup", body="x", sdp=False)).code == "offer_rate"
        bob = issue_token(key, "bob", "standup")
        assert (await client.offer(token=bob, body="x" * 70_000, sdp=False)).code == "media_type"
        assert (await client.offer(token=bob, body="x" * 70_000)).code == "body_size"


# --- ICE servers ------------------------------------------------------------------------------------------------------


@pytest.fixture
def with_turn(configure: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Callable[..., Any]:
    monkeypatch.setenv("TURN_SECRET", "shared")
    file = tmp_path / "relay.toml"
    file.write_text(
        '[[ice.servers]]\nurls = ["stun:stun.example:3478"]\n'
        '[[ice.servers]]\nurls = ["turn:turn.example:3478"]\nsecret_env = "TURN_SECRET"\n'
    )

    def make(**overrides: Any) -> Any:
        from callchannel.server.config import load_config

        plain = configure(**overrides)
        return load_config(file, overrides=dict(plain.values))

    return make


async def test_ice_servers_are_listed_for_those_who_are_admitted(with_turn: Any, key: bytes) -> None:
    # CC-SIG-016, CC-SIG-018 to CC-SIG-020
    async with serving(with_turn(http__origins=["https://app.example"]), key) as client:
        answer = await client("OPTIONS", "/calls/standup")
        assert answer.status == 204
        stun, turn = answer.headers.getall("Link")
        assert stun == '<stun:stun.example:3478>; rel="ice-server"'
        assert turn.startswith('<turn:turn.example:3478>; rel="ice-server"; username="')
        assert 'credential-type="password"' in turn
        assert answer.headers["Cache-Control"] == "no-store"
        assert len((await client.offer()).headers.getall("Link")) == 2
        preflight = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
        for answer in (
            await client("OPTIONS", "/calls/standup", token=None, headers=preflight),
            await client("OPTIONS", "/calls/standup", headers=preflight),
            await client("OPTIONS", "/calls/standup", token=None),
            await client("OPTIONS", "/calls/standup", token="x"),
            await client.offer(body="x"),
        ):
            assert "Link" not in answer.headers


# --- browsers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "methods"), [("/calls/standup", "POST, OPTIONS"), ("/connections/", "DELETE, OPTIONS")]
)
async def test_a_preflight(configure: Any, key: bytes, path: str, methods: str) -> None:
    # CC-SIG-063 to CC-SIG-066
    async with serving(configure(http__origins=["https://app.example", "https://b.example"]), key) as client:
        if path == "/connections/":
            path = urljoin("/calls/standup", (await client.offer()).headers["Location"])
        headers = {"Origin": "https://app.example", "Access-Control-Request-Method": methods.split(",", maxsplit=1)[0]}
        answer = await client("OPTIONS", path, token=None, headers=headers)
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert answer.headers["Access-Control-Allow-Methods"] == methods
        assert answer.headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type"
        assert answer.headers["Access-Control-Expose-Headers"] == "Location, Link, Retry-After"
        assert answer.headers["Vary"] == "Origin"
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert answer.headers.get("Accept-Post") == ("application/sdp" if "calls" in path else None)


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "", "https://app.example:444", "http://app.example"]
)
async def test_other_origins_are_refused(configure: Any, key: bytes, origin: str) -> None:
    # CC-SIG-060
    async with serving(configure(http__origins=["https://app.example"]), key) as client:
        for answer in (
            await client.offer(headers={"Origin": origin}),
            await client(
                "OPTIONS", "/calls/standup", headers={"Origin": origin, "Access-Control-Request-Method": "POST"}
            ),
        ):
            assert (answer.status, answer.code) == (403, "origin")
            assert "Access-Control-Allow-Origin" not in answer.headers
        # The relay's own origin is one like any other.
        assert (await client.offer(headers={"Origin": client.server.url})).code == "origin"
        # CC-SIG-061
        assert (await client.offer()).status == 201


async def test_errors_can_be_read_by_pages_that_may(configure: Any, key: bytes) -> None:
    # CC-SIG-063
    async with serving(configure(http__origins=["https://app.example"]), key) as client:
        for path, token in (("/none", None), ("/calls/standup", None), ("/calls/other", "")):
            answer = await client.offer(path, token=token, headers={"Origin": "https://app.example"})
            assert answer.status >= 400
            assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
            assert answer.headers["Vary"] == "Origin"


async def test_all_origins(configure: Any, key: bytes) -> None:
    # CC-SIG-063
    async with serving(configure(http__origins=["*"]), key) as client:
        answer = await client.offer(headers={"Origin": "https://any.example"})
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Vary" not in answer.headers


# --- open mode --------------------------------------------------------------------------------------------------------


async def test_open_mode(configure: Any, key: bytes, log: Any) -> None:
    # CC-SIG-036
    async with serving(configure(admission__open=True), key) as client:
        for query in ("identity=anna", "x=1&identity=%C3%A4%20+%2B&y", "identity=%00", "%69dentity=anna"):
            answer = await client.offer(f"/calls/standup?{query}", token="nonsense")
            assert answer.status == 201
        for query in ("", "identity", "identity=", "identity=a&identity=b", "identity=%ff", "identity=" + "x" * 256):
            answer = await client.offer(f"/calls/standup?{query}", token=None)
            assert (answer.status, answer.code) == (400, "identity")
        path = urljoin(
            "/calls/standup", (await client.offer("/calls/standup?identity=bob", token=None)).headers["Location"]
        )
        assert (await client("DELETE", path, token=None)).status == 204
        assert (await client("OPTIONS", "/calls/standup", token=None)).status == 204
        # What is not percent-encoded stays as it is: + is no space.
        grants = [connection.grant.identity for connection in client.server.connections._by_id.values()]
        assert sorted(grants) == ["\0", "anna", "anna", "ä ++"]
    assert "open mode" in log.text


async def test_outside_of_open_mode_the_query_is_ignored(configure: Any, key: bytes) -> None:
    # CC-SIG-037
    async with serving(configure(), key) as client:
        assert (await client.offer("/calls/standup?identity=bob")).status == 201
        (connection,) = client.server.connections._by_id.values()
        assert connection.grant.identity == "anna"
        assert (await client.offer("/calls/standup?identity=bob", token=None)).code == "token_missing"


# --- fuzz -------------------------------------------------------------------------------------------------------------


_BODIES = st.lists(
    st.binary(max_size=200)
    | st.integers(0, len(OFFER)).map(lambda at: OFFER[:at].encode())
    | st.sampled_from([line.encode() for line in OFFER.split("\r\n")] + [b"\r\n", b"m=", b"a=", b"\x00"]),
    max_size=12,
).map(b"".join)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_no_body_makes_the_relay_fail(
    configure: Any, key: bytes, caplog: pytest.LogCaptureFixture, data: st.DataObject
) -> None:
    bodies = data.draw(st.lists(_BODIES, min_size=20, max_size=20))
    caplog.set_level(logging.INFO)

    async def run() -> None:
        async with serving(configure(limits__offers_per_second=1_000), key) as client:
            for body in bodies:
                answer = await client.offer(body=body)
                assert answer.status in (400, 422, 201)

    asyncio.run(run())
    assert not [record for record in caplog.records if record.exc_info or record.levelno >= logging.WARNING]
