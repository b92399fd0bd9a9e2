# SPDX-License-Identifier: Apache-2.0
"""A conversation with an adapter: requests and replies of the adapter protocol, checked, and recorded for replay.

`Client.request` gives a `Reply`, or raises `AdapterError` for whatever is no reply. It knows nothing of callchannel.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from jsonschema import Draft202012Validator

from callchannel_conformance import standard
from callchannel_conformance.outcome import AdapterError, NotApplicable
from callchannel_conformance.process import Channel, open_channel

PROTOCOL: Final = 1
"""Version of the adapter protocol."""

PROFILES: Final = ("codec", "endpoint-group", "endpoint-peer", "relay")

FIRST_REPLY: Final = 60.0
OTHER_REPLIES: Final = 10.0
"""Seconds of real time."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Raised:
    """What a call raised to its application."""

    code: str | int
    recipients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet that a machine wrote."""

    transport: int
    lane: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """All that an op caused."""

    value: Json = field(default_factory=dict)
    raised: Raised | None = None
    packets: tuple[Packet, ...] = ()
    events: tuple[Json, ...] = ()
    closing: tuple[int, ...] = ()
    wake: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """What an adapter says of itself."""

    name: str
    version: str
    document: str
    wire: int
    profiles: frozenset[str]
    features: frozenset[str]
    limits: dict[str, Json]


_EXACT = 2**53 - 1


class Unsupported(Exception):
    """The adapter does not know an op."""


def _big_as_text(value: Any) -> Any:
    """The same with text for every integer that a double can't hold, however deep it lies."""
    if isinstance(value, dict):
        return {key: _big_as_text(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_big_as_text(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and value > _EXACT:
        return str(value)
    return value


class Client:
    """Talks to one adapter. Make it, ask `hello`, then `request` anything; `close` it at the end."""

    JUDGED: Final = 400
    """So many replies of a conversation are judged by the schema, which is slow; later ones by their main members."""

    def __init__(self, address: str, *, environment: dict[str, str] | None = None, strict: bool = False) -> None:
        self._address = address
        self._environment = environment
        self._strict = strict
        self._validator = Draft202012Validator(standard.schema("reply"))
        self._channel: Channel | None = None
        self._id = 0
        self.judged = 0
        """Replies that were judged by the schema."""
        self._started = False
        self._hello: Hello | None = None
        self.seed = 0
        """Goes into the seeds of all machines."""
        self.failed = False
        """Whether the adapter ever crashed, hung or wrote garbage."""
        self._as_text = False
        """Whether integers above 2^53 - 1 are written as text (section 2 of the adapter protocol)."""
        self.transcript: list[tuple[Json, Json]] = []
        """Requests and replies since the last `reset`."""

    @property
    def diagnostics(self) -> str:
        """What the adapter wrote to standard error, its last lines."""
        return "" if self._channel is None else self._channel.diagnostics

    @property
    def known(self) -> Hello | None:
        """What the adapter said of itself, if it was asked."""
        return self._hello

    def hello(self) -> Hello:
        """What the adapter says of itself; asked once."""
        if self._hello is None:
            value = self.request("hello", protocol=PROTOCOL).value
            try:
                self._hello = Hello(
                    name=str(value["name"]),
                    version=str(value["version"]),
                    document=str(value["document"]),
                    wire=int(value["wire"]),
                    profiles=frozenset(value["profiles"]),
                    features=frozenset(value["features"]),
                    limits=dict(value["limits"]),
                )
                protocol = value["protocol"]
                self._as_text = value.get("big_numbers") == "text"
            except (KeyError, TypeError, ValueError) as error:
                raise AdapterError("garbage", f"hello lacks or misstates {error}") from error
            if protocol != PROTOCOL:
                raise AdapterError("protocol", f"the adapter speaks protocol {protocol!r}, the suite {PROTOCOL}")
            unknown = self._hello.profiles - set(PROFILES)
            if unknown:
                raise AdapterError("garbage", f"no profiles: {sorted(unknown)}")
        return self._hello

    def needs(self, *, profile: str | None = None, feature: str | None = None, limit: str | None = None) -> None:
        """Raise `NotApplicable` unless the adapter declares a profile, a feature, a limit that can be set."""
        hello = self.hello()
        if profile is not None and profile not in hello.profiles:
            raise NotApplicable(f"profile {profile} is not claimed")
        if feature is not None and feature not in hello.features:
            raise NotApplicable(f"feature {feature} is not claimed")
        if limit is not None and not hello.limits.get(limit, {}).get("settable", False):
            raise NotApplicable(f"limit {limit} can't be set")

    def reset(self) -> None:
        """Forget all machines, and begin a new transcript. Starts the adapter again if it had failed."""
        self.transcript = []
        self.request("reset")
        self.transcript = []

    def request(self, op: str, **members: Any) -> Reply:
        """Ask for an op.

        Raises `Unsupported` when the adapter does not know it, and `AdapterError` for everything that is no reply.
        """
        self._id += 1
        request: Json = {"id": self._id, "op": op, **members}
        reply = self._exchange(request)
        self.transcript.append((request, reply))
        if "err" in reply:
            code, detail = reply["err"].get("code"), reply["err"].get("detail", "")
            if code == "UNSUPPORTED":
                raise Unsupported(f"{op}: {detail}")
            raise AdapterError(str(code).lower(), f"{op}: {detail}")
        try:
            return _reply(reply["ok"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self._fail("garbage", f"reply to {op}: {error!r}")
            raise AssertionError from error

    def close(self) -> None:
        """End the adapter."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _exchange(self, request: Json) -> Json:
        if self._channel is None:
            self._channel = open_channel(self._address, environment=self._environment)
            self._started = False
        sent = _big_as_text(request) if self._as_text else request
        line = json.dumps(sent, separators=(",", ":")).encode()
        try:
            answer = self._channel.exchange(line, OTHER_REPLIES if self._started else FIRST_REPLY)
        except AdapterError:
            self._drop()
            raise
        self._started = True
        try:
            reply = json.loads(answer)
        except ValueError:
            reply = None
        if not isinstance(reply, dict) or reply.get("id") != request["id"] or ("ok" in reply) == ("err" in reply):
            self._fail("garbage", f"no reply to {request['op']}: {answer[:200]!r}")
            raise AssertionError
        if self._strict or self.judged < self.JUDGED:
            self.judged += 1
            fault = next(iter(self._validator.iter_errors(reply)), None)
            if fault is not None:
                self._fail("garbage", f"reply to {request['op']} at {fault.json_path}: {fault.message[:200]}")
        return reply

    def _fail(self, kind: str, message: str) -> None:
        self._drop()
        raise AdapterError(kind, message)

    def _drop(self) -> None:
        self.failed = True
        if self._channel is not None:
            self._channel.close()
            self._channel = None


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise TypeError(f"no number: {value!r}")
    return int(value)


def _reply(ok: Json) -> Reply:
    raised = ok.get("raised")
    wake = ok.get("wake")
    return Reply(
        value=dict(ok.get("value", {})),
        raised=None if raised is None else Raised(raised["code"], tuple(raised.get("recipients", ()))),
        packets=tuple(
            Packet(int(p["transport"]), str(p["lane"]), bytes.fromhex(p["packet"])) for p in ok.get("packets", ())
        ),
        events=tuple(_event(event) for event in ok.get("events", ())),
        closing=tuple(int(number) for number in ok.get("closing", ())),
        wake=None if wake is None else _number(wake),
    )


def _event(event: Json) -> Json:
    """An event with its numbers as numbers. Raises what `_reply` may raise."""
    if not isinstance(event["event"], str):
        raise TypeError("the event has no name")
    return {
        key: int(value) if key in ("sequence", "through", "session") and isinstance(value, str) else value
        for key, value in event.items()
    }
