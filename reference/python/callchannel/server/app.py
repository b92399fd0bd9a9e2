# SPDX-License-Identifier: Apache-2.0
"""Signalling over HTTP: requests are judged here, in the order of section 13.10."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError

from callchannel.server.config import ServerConfig
from callchannel.server.connections import Connection, Connections
from callchannel.server.ledger import RETRY, Ledger, Refused
from callchannel.server.logs import note
from callchannel.server.offer import NotAnswerable, NotSdp, parse_offer
from callchannel.server.rooms import Rooms
from callchannel.signalling.ice import IceServer
from callchannel.signalling.names import is_call_name, is_identity
from callchannel.signalling.problems import PROBLEMS
from callchannel.signalling.tokens import Grant, TokenRejected, Verifier

SDP: Final = "application/sdp"
PROBLEM: Final = "application/problem+json"
EXPOSED: Final = "Location, Link, Retry-After"
METHODS: Final = {"calls": "POST, OPTIONS", "connections": "DELETE, OPTIONS"}
PREFLIGHT_AGE: Final = "600"
"""Seconds that a browser may keep the answer to a preflight."""

logger = logging.getLogger("callchannel.server")


class Problem(Exception):
    """A request fails. `code` is one of `problems.PROBLEMS`."""

    def __init__(self, code: str, detail: str = "", **headers: str) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Signalling:
    """The resources of chapter 13. `handle` answers a request of any aiohttp server; it does not raise."""

    def __init__(
        self,
        config: ServerConfig,
        rooms: Rooms,
        connections: Connections,
        *,
        clock: Callable[[], float] = time.monotonic,
        time_of_day: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._rooms = rooms
        self._connections = connections
        self._clock = clock
        self._time_of_day = time_of_day
        self._is_open: bool = config["admission.open"]
        self._verifier = (
            None
            if self._is_open
            else Verifier(
                config.keys, issuer=config["admission.issuer"] or None, limits=config.signalling, clock=time_of_day
            )
        )
        self.origins = frozenset(config["http.origins"])
        """Origins whose pages may connect, in lower case."""
        self._path: str = config["http.path"]
        self.ledger = Ledger(config.signalling, connections=config["server.connections"], calls=config["server.calls"])
        self.offers: Counter[str] = Counter()
        """Offers by result: `created`, or the code of the problem."""
        self.is_stopping = False

    # --- requests ---------------------------------------------------------------------------------

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request."""
        origin = request.headers.get("Origin")
        is_allowed = origin is not None and ("*" in self.origins or origin.lower() in self.origins)
        try:
            response = await self._answer(request, is_allowed)
        except Problem as problem:
            response = _problem_response(problem)
            self._count(request, problem.code)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:
            logger.exception("handling a request failed; this is a bug")
            response = _problem_response(Problem("internal"))
            self._count(request, "internal")
        if origin is not None and is_allowed:
            self._allow(response, origin)
        return response

    async def _answer(self, request: web.BaseRequest, is_allowed: bool) -> web.Response:
        if "Origin" in request.headers and not is_allowed:
            raise Problem("origin")
        kind, name, query = self._target(request)
        if request.method not in METHODS[kind].split(", "):
            raise Problem("method", f"the methods are {METHODS[kind]}", Allow=METHODS[kind])
        is_preflight = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        grant = None if is_preflight else self._admit(request, query)
        if kind == "connections":
            connection = self._connections.get(name)
            if connection is None or (grant is not None and not _is_same(connection.grant, grant)):
                raise Problem("not_found")
            if request.method == "DELETE":
                self._connections.close(connection)
            return self._no_content(kind, is_preflight)
        if grant is not None and grant.call and grant.call != name:
            raise Problem("call")
        if request.method == "OPTIONS":
            response = self._no_content(kind, is_preflight)
            if grant is not None:
                self._list_servers(response, grant.identity)
            return response
        assert grant is not None
        return await self._offered(request, Grant(identity=grant.identity, call=name, may_send=grant.may_send))

    def _target(self, request: web.BaseRequest) -> tuple[str, str, str]:
        """Step 2: what a request is for. Returns the kind of resource, its name, and the query as it came."""
        target, _, query = request.raw_path.partition("?")
        if "://" in target[:8]:
            # The absolute form, as proxies get it.
            target = "/" + target.partition("://")[2].partition("/")[2]
        if not target.startswith(self._path + "/"):
            raise Problem("not_found")
        kind, slash, segment = target[len(self._path) + 1 :].partition("/")
        if kind not in METHODS or not slash or "/" in segment:
            raise Problem("not_found")
        name = unquote_to_bytes(segment.encode("utf-8", "surrogateescape")).decode("utf-8", "replace")
        if kind == "calls" and not is_call_name(name):
            raise Problem("call_name", "a name has 1 to 128 of A-Z a-z 0-9 - _ . and begins with a letter or digit")
        return kind, name, query

    def _admit(self, request: web.BaseRequest, query: str) -> Grant | None:
        """Step 4. In open mode the call of the grant is empty: it is that of the path."""
        if self._verifier is None:
            if request.method != "POST":
                return None
            return Grant(identity=_query_identity(query), call="")
        values = request.headers.getall("Authorization", [])
        scheme, _, token = (values[0] if values else "").strip().partition(" ")
        if scheme.lower() != "bearer":
            raise Problem(
                "token_missing", "send Authorization: Bearer and an admission token", WWW_Authenticate="Bearer"
            )
        try:
            if len(values) > 1:
                raise TokenRejected("there is more than one Authorization header")
            return self._verifier.verify(token.strip())
        except TokenRejected as exc:
            raise Problem(exc.problem, str(exc), WWW_Authenticate='Bearer error="invalid_token"') from None

    async def _offered(self, request: web.BaseRequest, grant: Grant) -> web.Response:
        """Steps 6 and 7: an offer of somebody who is admitted."""
        room = self._rooms.get(grant.call)
        if self.is_stopping and (room is None or not room.has(grant.identity)):
            raise _refusal(Refused("stopping", RETRY["stopping"]))
        try:
            self.ledger.enter(grant.call, grant.identity, self._clock(), calls=len(self._rooms) + (room is None))
        except Refused as refused:
            raise _refusal(refused) from None
        room = self._rooms.enter(grant.call)

        def leave() -> None:
            self.ledger.leave(grant.call, grant.identity)
            room.left()

        try:
            offer = parse_offer(await self._body(request))
            connection, answer = await self._connections.make(offer, grant, room, leave)
        except BaseException as exc:
            leave()
            if isinstance(exc, NotSdp):
                raise Problem("sdp", str(exc)) from None
            if isinstance(exc, NotAnswerable):
                raise Problem("offer", str(exc)) from None
            if isinstance(exc, Refused):
                raise _refusal(exc) from None
            raise
        self._count(request, "created")
        note(logger, logging.INFO, "offer taken", call=grant.call, identity=grant.identity, may_send=grant.may_send)
        return self._created(connection, answer)

    async def _body(self, request: web.BaseRequest) -> bytes:
        """Step 7: read the body, and not more of it than may be (CC-SIG-050)."""
        if request.content_type.lower() != SDP:
            raise Problem("media_type", f"the content type has to be {SDP}", Accept_Post=SDP)
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Problem("media_type", "bodies have no content coding", Accept_Post=SDP)
        most = self._config.signalling.signalling_body
        if (request.content_length or 0) > most:
            raise Problem("body_size", f"a body has at most {most} bytes")
        body = bytearray()
        try:
            async with asyncio.timeout(self._config["http.request_time"]):
                while chunk := await request.content.readany():
                    body += chunk
                    if len(body) > most:
                        raise Problem("body_size", f"a body has at most {most} bytes")
        except TimeoutError:
            raise Problem("sdp", "the body did not arrive in time") from None
        except (web.RequestPayloadError, ClientPayloadError, HttpProcessingError):
            raise Problem("sdp", "the body did not arrive") from None
        return bytes(body)

    # --- responses --------------------------------------------------------------------------------

    def _created(self, connection: Connection, answer: str) -> web.Response:
        response = web.Response(status=201, body=answer.encode(), headers={"Content-Type": SDP})
        # Relative to the call resource, so that it is right behind a proxy that cuts a path off, too.
        response.headers["Location"] = f"../connections/{connection.id}"
        self._list_servers(response, connection.grant.identity)
        response.headers["Cache-Control"] = "no-store"
        return response

    def _no_content(self, kind: str, is_preflight: bool) -> web.Response:
        response = web.Response(status=204)
        if kind == "calls":
            response.headers["Accept-Post"] = SDP
        if is_preflight:
            response.headers["Access-Control-Allow-Methods"] = METHODS[kind]
            response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
            response.headers["Access-Control-Max-Age"] = PREFLIGHT_AGE
        return response

    def _list_servers(self, response: web.Response, identity: str) -> None:
        """List the ICE servers (CC-SIG-018), credentials only where nobody stores them (CC-SIG-016)."""
        for server in self.ice_servers(identity):
            response.headers.add("Link", server.link)
            if server.credential is not None:
                response.headers["Cache-Control"] = "no-store"

    def ice_servers(self, identity: str) -> list[IceServer]:
        """The ICE servers that `identity` is told of now."""
        now = self._time_of_day()
        return [server for entry in self._config.ice for server in entry.servers(identity, now)]

    def _allow(self, response: web.StreamResponse, origin: str) -> None:
        """Let a page of an allowed origin read the response (CC-SIG-063)."""
        response.headers["Access-Control-Allow-Origin"] = "*" if "*" in self.origins else origin
        response.headers["Access-Control-Expose-Headers"] = EXPOSED
        if "*" not in self.origins:
            response.headers["Vary"] = "Origin"

    def _count(self, request: web.BaseRequest, result: str) -> None:
        if request.method == "POST":
            self.offers[result] += 1


def _problem_response(problem: Problem) -> web.Response:
    row = PROBLEMS[problem.code]
    body: dict[str, Any] = {
        "status": row.status,
        "code": row.code,
        "title": row.title,
        "detail": problem.detail or row.meaning,
    }
    return web.Response(
        status=row.status,
        body=json.dumps(body).encode(),
        headers={"Content-Type": PROBLEM, "Cache-Control": "no-store", **problem.headers},
    )


def _refusal(refused: Refused) -> Problem:
    return Problem(refused.problem, Retry_After=str(refused.retry_after))


def _is_same(made: Grant, given: Grant) -> bool:
    return (made.call, made.identity) == (given.call, given.identity)


def _query_identity(query: str) -> str:
    """The identity of open mode (CC-SIG-036)."""
    values = [
        value
        for name, _, value in (part.partition("=") for part in query.split("&"))
        if unquote_to_bytes(name.encode("utf-8", "surrogateescape")) == b"identity"
    ]
    if len(values) == 1:
        try:
            identity = unquote_to_bytes(values[0].encode("utf-8", "surrogateescape")).decode("utf-8")
        except UnicodeDecodeError:
            identity = ""
        if is_identity(identity):
            return identity
    raise Problem("identity", "open mode: give ?identity= once, with 1 to 255 bytes of UTF-8, percent-encoded")
