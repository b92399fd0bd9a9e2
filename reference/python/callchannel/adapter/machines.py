# SPDX-License-Identifier: Apache-2.0
"""Machines of the adapter protocol: an `Endpoint` or a `Relay`, driven op by op, with all effects in each reply."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final

from callchannel.adapter.codec import LANES
from callchannel.core import events as ev
from callchannel.core.endpoint import Endpoint, Peer
from callchannel.core.errors import CallChannelError, InvalidArgument, Report, error_code, error_name
from callchannel.core.extensions import Metadata
from callchannel.core.lanes import Lane
from callchannel.core.limits import Limits
from callchannel.core.messages import Confirm, Priority, Reliability
from callchannel.core.relay import events as relay_events
from callchannel.core.relay.admission import Admission

Json = dict[str, Any]

_MS: Final = 1_000
_TIMES: Final = frozenset(
    {
        "ack_delay", "ack_interval", "join_time", "unbound_time", "resume_window", "slot_quarantine", "idle_close",
        "roster_batch", "stall_time", "delivered_deadline", "leave_time", "relay_drain_time",
    }
)  # fmt: skip
_EVERYTHING: Final = 1 << 40

SETTABLE: Final = tuple(Limits.__dataclass_fields__)
"""Limits that can be set, by name."""


class BadRequest(Exception):
    """A request that makes no sense."""


class Entropy:
    """Bytes that follow from a seed alone."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._count = 0

    def __call__(self, size: int) -> bytes:
        """The next *size* bytes."""
        self._count += 1
        drawn = b""
        block = 0
        while len(drawn) < size:
            drawn += hashlib.sha256(self._seed + self._count.to_bytes(8, "big") + block.to_bytes(4, "big")).digest()
            block += 1
        return drawn[:size]


def limits_of(wanted: Json) -> Limits:
    """Limits in the reference's units. Raises `InvalidArgument` for a value out of range, `BadRequest` for a name."""
    unknown = set(wanted) - set(SETTABLE)
    if unknown:
        raise BadRequest(f"no limits: {sorted(unknown)}")
    try:
        return Limits(**{name: int(value) * (_MS if name in _TIMES else 1) for name, value in wanted.items()})
    except CallChannelError as error:
        raise InvalidArgument(str(error)) from error


def in_force(limits: Limits) -> Json:
    """Limits in the standard's units."""
    return {name: getattr(limits, name) // (_MS if name in _TIMES else 1) for name in SETTABLE}


def code(number: int) -> str | int:
    """An error code as the adapter protocol writes it."""
    known = error_code(number)
    return int(number) if type(known) is int else error_name(number)


class Machine:
    """What endpoints and relays have in common."""

    def __init__(self, core: Any) -> None:
        self.core = core
        self._held: set[tuple[int, Lane]] = set()
        self._up: list[int] = []

    def op(self, name: str, request: Json) -> Json | None:
        """Do an op and return its value; None: there is no such op. Raises `CallChannelError`, `BadRequest`."""
        now = request["now"]
        match name:
            case "transport_up":
                self._up.append(request["transport"])
                self._transport_up(request, now)
            case "transport_down":
                if request["transport"] in self._up:
                    self._up.remove(request["transport"])
                self.core.transport_down(request["transport"], now)
            case "lossy_lane":
                self.core.lossy_lane(request["transport"], request["open"], now)
            case "receive":
                packet = bytes.fromhex(request["packet"])
                self.core.receive(request["transport"], LANES[request["lane"]], packet, now)
            case "timeout":
                self.core.handle_timeout(now)
            case "hold":
                lane = (request["transport"], LANES[request["lane"]])
                (self._held.add if request["held"] else self._held.discard)(lane)
            case "pull":
                pass
            case _:
                return None
        return {}

    def _transport_up(self, request: Json, now: int) -> None:
        self.core.transport_up(request["transport"], now, lossy=request["lossy"])

    def effects(self, name: str, request: Json) -> Json:
        """What the op caused: packets, events, closing transports, and the next deadline."""
        now = request["now"]
        packets: list[Json] = []
        if name == "pull":
            self._pull(packets, request["transport"], LANES[request["lane"]], request["budget"], now)
        events: list[Json] = []
        progress = True
        while progress:
            before = len(packets)
            for transport in list(self._up):
                for lane in (Lane.RELIABLE, Lane.LOSSY):
                    if (transport, lane) not in self._held:
                        self._pull(packets, transport, lane, _EVERYTHING, now)
            events += self._events()
            # Pulling one lane may have made something to write on the other, such as CLOSE of a Lossy session.
            progress = bool(self.core.take_dirty()) or len(packets) > before
        closing = [number for number in self.core.take_closing() if number in self._up]
        for number in closing:
            self._up.remove(number)
        return {"packets": packets, "events": events, "closing": closing, "wake": self.core.deadline()}

    def _pull(self, packets: list[Json], transport: int, lane: Lane, budget: int, now: int) -> None:
        name = "reliable" if lane is Lane.RELIABLE else "lossy"
        packets.extend(
            {"transport": transport, "lane": name, "packet": bytes(packet).hex()}
            for packet in self.core.pull(transport, lane, budget, now)
        )

    def _events(self) -> list[Json]:
        return [found for event in self.core.events() for found in self._event(event)]

    def _event(self, event: Any) -> list[Json]:
        raise NotImplementedError


def _who(participant: ev.Participant) -> Json:
    return {"identity": participant.identity, "slot": participant.slot}


def _report(report: Report | None) -> Json | None:
    if report is None:
        return None
    return {
        "reached": None if report.reached is None else list(report.reached),
        "failed": [[name, code(number)] for name, number in report.failed],
        "unknown": [[name, code(number)] for name, number in report.unknown],
        "passed_over": list(report.passed_over),
    }


def _recipients(request: Json) -> Json:
    return {key: value for key in ("to", "exclude") if (value := request.get(key)) is not None}


def _metadata(request: Json) -> Metadata | None:
    wanted = request.get("metadata")
    if wanted is None:
        return None
    lifetime = wanted.get("lifetime")
    return Metadata(
        content_type=wanted.get("content_type"),
        name=wanted.get("name"),
        lifetime=None if lifetime is None else lifetime * _MS,
        time=wanted.get("time"),
        must_understand=frozenset(wanted.get("must_understand", ())),
    )


def _metadata_json(metadata: Metadata) -> Json:
    found: Json = {"content_type": metadata.content_type, "name": metadata.name, "time": metadata.time}
    found["lifetime"] = None if metadata.lifetime is None else metadata.lifetime // _MS
    return {key: value for key, value in found.items() if value is not None}


_NAMES: Final[dict[type, str]] = {
    ev.ParticipantJoined: "participant_joined",
    ev.ParticipantSuspended: "participant_suspended",
    ev.ParticipantResumed: "participant_resumed",
    relay_events.EndpointJoined: "endpoint_joined",
    relay_events.EndpointSuspended: "endpoint_suspended",
    relay_events.EndpointResumed: "endpoint_resumed",
    ev.SenderFailed: "sender_failed",
    ev.SenderEnded: "sender_ended",
}


class EndpointMachine(Machine):
    """An endpoint of either kind of call."""

    def __init__(self, request: Json) -> None:
        peer = None
        identity = request.get("identity", "")
        if request["kind"] == "peer":
            initiator = request["role"] == "initiator"
            peer = Peer(initiator=initiator, identity=request.get("peer_identity", ""))
        endpoint = Endpoint(
            entropy=Entropy(bytes.fromhex(request["seed"])),
            identity=identity,
            limits=limits_of(request.get("limits") or {}),
            now=request["now"],
            replace=request.get("replace", False),
            peer=peer,
        )
        super().__init__(endpoint)
        self.endpoint = endpoint
        self._unsettled: dict[int, list[int]] = {}
        self._senders: set[int] = set()
        self._receivers: set[int] = set()
        self._commands: dict[str, Callable[[Json, int], Json]] = {
            "open": self._open,
            "recipients": self._set_recipients,
            "send": self._send,
            "stream_open": self._stream_open,
            "stream_write": self._stream_write,
            "stream_finish": self._stream_finish,
            "cancel": self._cancel,
            "close": self._close,
            "read": self._read,
            "read_chunk": self._read_chunk,
            "close_receiver": self._close_receiver,
            "leave": self._leave,
            "look": self._look,
        }

    def op(self, name: str, request: Json) -> Json | None:
        """See `Machine.op`."""
        command = self._commands.get(name)
        return super().op(name, request) if command is None else command(request, request["now"])

    def _open(self, request: Json, now: int) -> Json:
        options: Json = {key: request[key] for key in ("channel", "latest", "bitrate") if key in request}
        for key, kind in (("reliability", Reliability), ("priority", Priority), ("confirm", Confirm)):
            if key in request:
                options[key] = kind(request[key])
        sender = self.endpoint.open_sender(now, **options, **_recipients(request))
        self._senders.add(sender)
        info = self.endpoint.sender_info(sender)
        if info.options.reliability is Reliability.RELIABLE:
            self._unsettled[sender] = []
        return {"sender": sender, "channel": info.channel}

    def _set_recipients(self, request: Json, now: int) -> Json:
        self.endpoint.set_recipients(request["sender"], now, **_recipients(request))
        return {}

    def _send(self, request: Json, now: int) -> Json:
        data = bytes.fromhex(request["data"])
        options = _recipients(request)
        sequence = self.endpoint.send(request["sender"], data, now, metadata=_metadata(request), **options)
        self._wait_for(request["sender"], sequence)
        return {"sequence": sequence}

    def _wait_for(self, sender: int, sequence: int) -> None:
        if sender in self._unsettled and sequence:
            self._unsettled[sender].append(sequence)

    def _stream_open(self, request: Json, now: int) -> Json:
        sequence = self.endpoint.open_stream(request["sender"], now, metadata=_metadata(request))
        self._wait_for(request["sender"], sequence)
        return {"sequence": sequence}

    def _stream_write(self, request: Json, now: int) -> Json:
        chunk = bytes.fromhex(request["data"])
        self.endpoint.write_stream(request["sender"], request["sequence"], chunk, now)
        return {}

    def _stream_finish(self, request: Json, now: int) -> Json:
        self.endpoint.finish_stream(request["sender"], request["sequence"], now)
        return {}

    def _cancel(self, request: Json, now: int) -> Json:
        number = {"CANCELLED": 0x35, "DEADLINE": 0x36}[request["code"]]
        cancelled = self.endpoint.cancel(request["sender"], request["sequence"], number, now)
        outcome = cancelled.outcome.value
        waiting = self._unsettled.get(request["sender"], [])
        if outcome != "settled" and request["sequence"] in waiting:
            waiting.remove(request["sequence"])
        return {"outcome": outcome}

    def _close(self, request: Json, now: int) -> Json:
        self.endpoint.close_sender(request["sender"], now)
        return {}

    def _read(self, request: Json, now: int) -> Json:
        message = self.endpoint.read(request["receiver"], now)
        if message is None:
            return {"message": None}
        found: Json = {
            "sequence": message.sequence,
            "data": bytes(message.data).hex(),
            "private": message.private,
            "stream": message.is_stream,
            "metadata": _metadata_json(message.metadata),
        }
        return {"message": found}

    def _read_chunk(self, request: Json, now: int) -> Json:
        chunk = self.endpoint.read_stream(request["receiver"], now)
        return {"chunk": None if chunk is None else {"data": bytes(chunk.data).hex(), "last": chunk.last}}

    def _close_receiver(self, request: Json, now: int) -> Json:
        self.endpoint.close_receiver(request["receiver"], now)
        return {}

    def _leave(self, request: Json, now: int) -> Json:
        self.endpoint.leave(now)
        return {}

    def _look(self, request: Json, now: int) -> Json:
        endpoint = self.endpoint
        statistics = endpoint.statistics()
        senders: Json = {}
        receivers: Json = {}
        for numbers, look, found in (
            (self._senders, endpoint.sender_info, senders),
            (self._receivers, endpoint.receiver_info, receivers),
        ):
            for number in sorted(numbers):
                try:
                    found[str(number)] = counters(look(number).statistics)
                except CallChannelError:
                    numbers.discard(number)
        link = counters(statistics.link)
        return {
            "link": endpoint.state.name,
            "joined": endpoint.joined,
            "identity": endpoint.identity,
            "slot": endpoint.slot,
            "participants": [{**_who(who), "suspended": who.suspended} for who in endpoint.participants],
            "max_reliable": endpoint.max_message_size(Reliability.RELIABLE),
            "max_lossy": endpoint.max_message_size(Reliability.LOSSY),
            "limits": in_force(endpoint.limits),
            "statistics": {"link": link, "senders": senders, "receivers": receivers},
        }

    def _event(self, event: Any) -> list[Json]:
        match event:
            case ev.MessagesConfirmed():
                return self._confirmed(event.sender, event.through)
            case ev.MessageConfirmed() | ev.MessageFailed():
                waiting = self._unsettled.get(event.sender, [])
                if event.sequence in waiting:
                    waiting.remove(event.sequence)
                found: Json = {"sender": event.sender, "sequence": event.sequence, "report": _report(event.report)}
                if isinstance(event, ev.MessageFailed):
                    return [{"event": "message_failed", **found, "code": code(event.code)}]
                return [{"event": "message_confirmed", **found}]
            case ev.Joined():
                return [{"event": "joined", "identity": event.identity, "slot": event.slot}]
            case ev.ParticipantJoined() | ev.ParticipantSuspended() | ev.ParticipantResumed():
                return [{"event": _NAMES[type(event)], **_who(event.participant)}]
            case ev.ParticipantLeft():
                return [{"event": "participant_left", **_who(event.participant), "code": code(event.code)}]
            case ev.ReceiverCreated():
                return [self._created(event)]
            case ev.ReceiverReadable():
                return [{"event": "receiver_readable", "receiver": event.receiver}]
            case ev.ReceiverClosed():
                return [{"event": "receiver_closed", "receiver": event.receiver, "code": code(event.code)}]
            case ev.RecipientFailed():
                members = {"sender": event.sender, "sequence": event.sequence, "code": code(event.code)}
                who = _who(event.participant)
                return [{"event": "recipient_failed", **members, **who, "uncertain": event.uncertain}]
            case ev.SenderWritable():
                return [{"event": "sender_writable", "sender": event.sender}]
            case ev.SenderFailed() | ev.SenderEnded():
                return [{"event": _NAMES[type(event)], "sender": event.sender, "code": code(event.code)}]
            case ev.CustodyLost():
                return [{"event": "custody_lost", "sender": event.sender, "through": event.through}]
            case ev.Suspended():
                return [{"event": "suspended"}]
            case ev.Resumed():
                return [{"event": "resumed"}]
            case ev.LinkEnded():
                return [{"event": "link_ended", "code": code(event.code), "by_peer": event.by_peer}]
        raise TypeError(f"no event: {event!r}")

    def _confirmed(self, sender: int, through: int) -> list[Json]:
        """One event for each message: the endpoint tells them by their greatest number."""
        waiting = self._unsettled.get(sender, [])
        settled = [sequence for sequence in waiting if sequence <= through]
        self._unsettled[sender] = [sequence for sequence in waiting if sequence > through]
        return [
            {"event": "message_confirmed", "sender": sender, "sequence": sequence, "report": None}
            for sequence in settled
        ]

    def _created(self, event: ev.ReceiverCreated) -> Json:
        self._receivers.add(event.receiver)
        try:
            session: int | None = self.endpoint.receiver_info(event.receiver).session
        except CallChannelError:
            session = getattr(event, "session", None)
        return {
            "event": "receiver_created",
            "receiver": event.receiver,
            **_who(event.sender),
            "channel": event.channel,
            "session": getattr(event, "session", session),
            "reliability": event.reliability.value,
            "priority": event.priority.value,
        }


class RelayMachine(Machine):
    """A relay."""

    def __init__(self, request: Json) -> None:
        from callchannel.core.relay import Relay  # noqa: PLC0415

        policies: dict[str | None, Callable[[Any, Any], bool] | None] = {
            None: None,
            "no-lossy": lambda participant, data: data.reliable,
            "no-channel-9": lambda participant, data: data.channel != 9,
        }
        if request.get("policy") not in policies:
            raise BadRequest("no such policy")
        limits = limits_of(request.get("limits") or {})
        relay = Relay(
            entropy=Entropy(bytes.fromhex(request["seed"])),
            limits=limits,
            now=request["now"],
            policy=policies[request.get("policy")],
        )
        super().__init__(relay)
        self.relay = relay

    def _transport_up(self, request: Json, now: int) -> None:
        given = request.get("admission")
        admission = None if given is None else Admission(identity=given["identity"], may_send=given["may_send"])
        self.relay.transport_up(request["transport"], now, admission=admission, lossy=request["lossy"])

    def op(self, name: str, request: Json) -> Json | None:
        """See `Machine.op`."""
        now = request["now"]
        match name:
            case "stop":
                self.relay.stop(now)
            case "end":
                number = _number(request["code"])
                self.relay.end_link(request["slot"], number, "", now)
            case "look":
                return self._look()
            case _:
                return super().op(name, request)
        return {}

    def _look(self) -> Json:
        participants = [{**_who(who), "suspended": who.suspended} for who in self.relay.participants]
        return {
            "participants": participants,
            "limits": in_force(self.relay.limits),
            "statistics": counters(self.relay.statistics()),
        }

    def _event(self, event: Any) -> list[Json]:
        match event:
            case relay_events.EndpointLeft():
                return [{"event": "endpoint_left", **_who(event.participant), "code": code(event.code)}]
            case relay_events.EndpointJoined() | relay_events.EndpointSuspended() | relay_events.EndpointResumed():
                return [{"event": _NAMES[type(event)], **_who(event.participant)}]
            case relay_events.Stopped():
                return [{"event": "stopped"}]
        raise TypeError(f"no event: {event!r}")


def _number(name: str | int) -> int:
    from callchannel.core.errors import ErrorCode  # noqa: PLC0415

    return name if isinstance(name, int) else int(ErrorCode[name])


def counters(value: Any) -> Any:
    """Statistics as JSON: names and numbers."""
    if hasattr(type(value), "__dataclass_fields__"):
        return {name: counters(getattr(value, name)) for name in type(value).__dataclass_fields__}
    if hasattr(value, "items"):
        return {str(key): counters(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [counters(item) for item in value]
    return value
