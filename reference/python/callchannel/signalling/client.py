# SPDX-License-Identifier: Apache-2.0
"""Connecting to a relay by one HTTP request (specification, chapter 13).

```python
connect = connect_factory("https://relay.example", "standup", token=get_token)
async with await Call.join(connect) as call:
    ...
```

Each call of `connect` makes a new connection, so it serves for reconnecting, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import logging
import re
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit

import aiohttp
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription

from callchannel.aio.transport import TransportListener
from callchannel.core.errors import ErrorCode, InvalidArgument
from callchannel.core.lanes import Lane
from callchannel.core.limits import Limits
from callchannel.signalling.ice import IceServer, servers_from_links
from callchannel.signalling.names import is_call_name, is_identity
from callchannel.signalling.problems import Repeat, SignallingError, judge
from callchannel.webrtc.adapter import WebRTCTransport

SDP: Final = "application/sdp"

BODY: Final = 262_144
"""Bytes of an answer that are read at most."""

DELETE_TIME: Final = 2.0
"""Seconds that deleting a connection may take: it only tidies up."""

LONGEST_WAIT: Final = 3_600.0
"""Seconds of `Retry-After` that are believed."""

_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]+")

Token = str | Callable[[], "str | Awaitable[str]"]
"""An admission token, or what returns one: called for each connection, so that it can be a new one each time."""

logger = logging.getLogger("callchannel.signalling")

_now: Final = time.monotonic


class Connect:
    """Makes connections to one call of one relay. Made by `connect_factory`; call it to get a transport."""

    def __init__(
        self,
        url: str,
        call: str,
        *,
        token: Token | None,
        identity: str | None,
        ice_servers: Sequence[RTCIceServer] | None,
        timeout: float,
        allow_plain: bool,
        tls: ssl.SSLContext | bool,
    ) -> None:
        self._resource = _resource(url, call, token is not None and not allow_plain)
        if (token is None) == (identity is None):
            raise InvalidArgument("give a token, or an identity for a relay in open mode")
        if identity is not None:
            if not is_identity(identity):
                raise InvalidArgument("an identity is 1 to 255 bytes of UTF-8")
            self._resource += f"?identity={quote(identity, safe='')}"
        self._token = token
        self._ice_servers = None if ice_servers is None else list(ice_servers)
        self._timeout = timeout
        self._tls = tls
        self._listed: list[IceServer] | None = None
        self._not_before = 0.0
        self._last: SignallingError | None = None
        self._last_token: str | None = None

    async def __call__(self) -> SignalledTransport:
        """Connect, and return the transport when its connection is up.

        Raises `SignallingError`; nothing is left behind then, nor when it is cancelled.
        """
        token = await self._get_token()
        self._check_repetition(token)
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        try:
            return await self._connect(headers)
        except SignallingError as error:
            self._last, self._last_token = error, token
            if error.retry_after is not None:
                self._not_before = _now() + error.retry_after
            raise

    # --- before the request -----------------------------------------------------------------------

    async def _get_token(self) -> str | None:
        token = self._token
        if callable(token):
            made = token()
            token = made if isinstance(made, str) else await made
        if token is not None and not _TOKEN.fullmatch(token):
            raise InvalidArgument("a token has letters, digits, and - _ . alone")
        return token

    def _check_repetition(self, token: str | None) -> None:
        """Don't make a request that the relay has said not to make again, or not yet (CC-SIG-068, CC-SIG-070)."""
        last = self._last
        if last is None:
            return
        if not last.retryable and (token == self._last_token or not last.needs_token):
            raise _again(last, None)
        wait = self._not_before - _now()
        if wait > 0:
            raise _again(last, wait)

    # --- connecting -------------------------------------------------------------------------------

    async def _connect(self, headers: Mapping[str, str]) -> SignalledTransport:
        connection = RTCPeerConnection(RTCConfiguration(iceServers=await self._servers(headers)))
        transport = WebRTCTransport(connection, initiator=True, owns_connection=True)
        location: str | None = None
        try:
            async with _bounded(self._timeout, "request"):
                await connection.setLocalDescription(await connection.createOffer())
                reply = await self._request("POST", self._resource, headers, connection.localDescription.sdp)
            if reply.status != 201:
                raise _error(reply)
            location = _location(reply)
            self._listed = servers_from_links(reply.links, self._resource)
            async with _bounded(self._timeout, "connection"):
                await self._apply(connection, reply)
                await _until_connected(connection)
        except BaseException:
            await _shielded(self._abandon(transport, location, headers))
            raise
        return SignalledTransport(transport, lambda: self._delete(location, headers))

    async def _servers(self, headers: Mapping[str, str]) -> list[RTCIceServer]:
        """The ICE servers: the caller's, those of the last answer, or what the relay says to OPTIONS."""
        if self._ice_servers is not None:
            return self._ice_servers
        if self._listed is None:
            async with _bounded(self._timeout, "request"):
                reply = await self._request("OPTIONS", self._resource, headers)
            if reply.status != 204:
                raise _error(reply)
            self._listed = servers_from_links(reply.links, self._resource)
        listed, self._listed = self._listed, None
        return [
            RTCIceServer(urls=server.url, username=server.username, credential=server.credential) for server in listed
        ]

    async def _apply(self, connection: RTCPeerConnection, reply: _Reply) -> None:
        try:
            if reply.content_type != SDP:
                raise ValueError("it is not application/sdp")
            description = RTCSessionDescription(sdp=reply.body.decode("utf-8"), type="answer")
            await connection.setRemoteDescription(description)
        except (TimeoutError, asyncio.CancelledError):
            raise
        except Exception as exc:
            raise SignallingError(
                f"the relay's answer can't be used: {exc}",
                code=ErrorCode.PROTOCOL,
                problem="answer",
                status=reply.status,
            ) from exc

    # --- requests ---------------------------------------------------------------------------------

    async def _request(self, method: str, url: str, headers: Mapping[str, str], body: str | None = None) -> _Reply:
        """Make one request, over a connection of its own. Redirects are not followed (CC-SIG-005)."""
        content = {} if body is None else {"Content-Type": SDP}
        try:
            async with (
                aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._tls, force_close=True)) as session,
                session.request(
                    method,
                    url,
                    headers={**headers, **content},
                    data=None if body is None else body.encode(),
                    allow_redirects=False,
                ) as response,
            ):
                text = bytearray()
                while chunk := await response.content.readany():
                    text += chunk
                    if len(text) > BODY:
                        raise SignallingError(
                            f"the relay's answer has more than {BODY} bytes",
                            code=ErrorCode.PROTOCOL,
                            problem="answer",
                            status=response.status,
                        )
                return _Reply(
                    status=response.status,
                    content_type=response.content_type.lower(),
                    body=bytes(text),
                    location=response.headers.get("Location"),
                    links=tuple(response.headers.getall("Link", [])),
                    retry_after=response.headers.get("Retry-After"),
                    url=url,
                )
        except (aiohttp.ClientError, OSError) as exc:
            if isinstance(exc, TimeoutError):
                raise
            raise SignallingError(
                f"the relay can't be reached: {exc}",
                code=ErrorCode.TIMEOUT,
                problem="unreachable",
                repeat=Repeat.LATER,
            ) from exc

    async def _delete(self, location: str | None, headers: Mapping[str, str]) -> None:
        """Tidy up. The relay finds out without it, too."""
        if location is None:
            return
        try:
            async with asyncio.timeout(DELETE_TIME):
                await self._request("DELETE", location, headers)
        except (SignallingError, TimeoutError) as exc:
            logger.debug("deleting a connection failed: %s", exc)

    async def _abandon(self, transport: WebRTCTransport, location: str | None, headers: Mapping[str, str]) -> None:
        transport.close()
        await self._delete(location, headers)
        await transport.wait_closed()


def connect_factory(
    url: str,
    call: str,
    token: Token | None = None,
    identity: str | None = None,
    ice_servers: Sequence[RTCIceServer] | None = None,
    *,
    timeout: float = Limits().join_time / 1_000_000,
    allow_plain: bool = False,
    tls: ssl.SSLContext | bool = True,
) -> Connect:
    """Return what `Call.join` takes as `connect`, for a call of the relay with the base `url`.

    `token`: an admission token, or a function or coroutine function that returns one, called anew for each connection.
    `identity`: instead of a token, for a relay in open mode. `ice_servers`: STUN and TURN servers; None: those that the
    relay lists, often none. `timeout`: seconds for the request, and again for the connection. `allow_plain`: send the
    token over plain HTTP beyond this machine, too. `tls`: an SSL context, for a certificate of one's own.

    Raises `InvalidArgument`.
    """
    return Connect(
        url,
        call,
        token=token,
        identity=identity,
        ice_servers=ice_servers,
        timeout=timeout,
        allow_plain=allow_plain,
        tls=tls,
    )


class SignalledTransport:
    """A transport over a connection that signalling made. When it is closed here, it is deleted at the relay, too."""

    def __init__(self, inner: WebRTCTransport, delete: Callable[[], Awaitable[None]]) -> None:
        self.inner = inner
        self._delete = delete
        self._was_closed = False
        self._ending = asyncio.get_running_loop().create_task(self._tidy_up())

    async def _tidy_up(self) -> None:
        await self.inner.wait_closed()
        if self._was_closed:
            await self._delete()

    def attach(self, listener: TransportListener) -> None:
        """Report to `listener` from now on."""
        self.inner.attach(listener)

    def send(self, lane: Lane, packet: bytes) -> None:
        """Send a packet."""
        self.inner.send(lane, packet)

    def buffered(self, lane: Lane) -> int:
        """Bytes that wait."""
        return self.inner.buffered(lane)

    @property
    def lossy_open(self) -> bool:
        """Whether this end of the lossy lane takes packets."""
        return self.inner.lossy_open

    def close(self) -> None:
        """Drain and close."""
        self._was_closed = True
        self.inner.close()

    async def wait_closed(self) -> None:
        """Wait until everything has ended, here and, for some seconds at most, at the relay."""
        await asyncio.shield(self._ending)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reply:
    status: int
    content_type: str
    body: bytes
    location: str | None
    links: tuple[str, ...]
    retry_after: str | None
    url: str


def _resource(url: str, call: str, needs_tls: bool) -> str:
    """The call resource (section 13.1)."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise InvalidArgument("the relay's URL has to be such as https://relay.example")
    if not is_call_name(call):
        raise InvalidArgument("a call's name is 1 to 128 of A-Z a-z 0-9 - _ . and begins with a letter or digit")
    if needs_tls and parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise InvalidArgument("a token would go over plain HTTP: use https, or allow_plain=True if you know it is safe")
    return f"{url.rstrip('/')}/calls/{call}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _location(reply: _Reply) -> str | None:
    """The connection resource; None where it is not of the relay's own origin: no token goes elsewhere."""
    if reply.location is None:
        return None
    location = urljoin(reply.url, reply.location)
    if urlsplit(location)[:2] != urlsplit(reply.url)[:2]:
        logger.warning("the relay names a connection of another origin; it is not deleted")
        return None
    query = urlsplit(reply.url).query
    return f"{location}?{query}" if query and "?" not in location else location


def _error(reply: _Reply) -> SignallingError:
    """What an answer that is no success means."""
    problem: Any = None
    with contextlib.suppress(ValueError, RecursionError):
        problem = json.loads(reply.body.decode("utf-8"))
    body: dict[str, Any] = problem if isinstance(problem, dict) else {}
    code = body.get("code")
    detail = body.get("detail")
    told_as, repeat = judge(reply.status, code)
    name = code if isinstance(code, str) else f"http_{reply.status}"
    text = detail[:500] if isinstance(detail, str) else ""
    retry_after = None
    if reply.retry_after is not None and reply.retry_after.isascii() and reply.retry_after.isdigit():
        retry_after = min(float(reply.retry_after[:9]), LONGEST_WAIT)
    message = f"the relay says {reply.status} {name[:64]!a}" + (f": {text!a}" if text else "")
    if 300 <= reply.status < 400:
        message += "; redirects are not followed: give the URL that it leads to"
    return SignallingError(
        message, code=told_as, problem=name, status=reply.status, detail=text, repeat=repeat, retry_after=retry_after
    )


def _again(last: SignallingError, wait: float | None) -> SignallingError:
    repeat = Repeat.LATER if last.retryable else Repeat.TOKEN if last.needs_token else Repeat.NO
    return SignallingError(
        f"{last}; the request was not repeated",
        code=ErrorCode(last.code),
        problem=last.problem,
        status=last.status,
        detail=last.detail,
        repeat=repeat,
        retry_after=wait,
    )


async def _until_connected(connection: RTCPeerConnection) -> None:
    """Wait until the connection is up. Its data channels open right behind it."""
    changed = asyncio.Event()
    connection.on("connectionstatechange", changed.set)
    try:
        while (state := connection.connectionState) != "connected":
            if state in ("failed", "closed"):
                raise SignallingError(
                    "the connection to the relay failed: there is no path, or another certificate than announced",
                    code=ErrorCode.TIMEOUT,
                    problem="connection",
                    repeat=Repeat.LATER,
                )
            changed.clear()
            await changed.wait()
    finally:
        if changed.set in connection.listeners("connectionstatechange"):
            connection.remove_listener("connectionstatechange", changed.set)


@contextlib.asynccontextmanager
async def _bounded(seconds: float, what: str) -> Any:
    """Bound a step in time."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as exc:
        raise SignallingError(
            f"the {what} did not come to an end within {seconds:g} s",
            code=ErrorCode.TIMEOUT,
            problem="timeout",
            repeat=Repeat.LATER,
        ) from exc


async def _shielded(work: Awaitable[None]) -> None:
    """Do `work` to its end, also while this task is being cancelled."""
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
    task.result()
    if cancelled:
        raise asyncio.CancelledError
