# SPDX-License-Identifier: Apache-2.0
"""Which rows of the table "States" of links (L01 to L51) are applied; see `coverage`.

The state of an acceptor's link where no link is concerned yet is CONNECTING; what a transport without a link brings
counts for every other link of the relay, too: the table says that these stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from callchannel.core import frames
from callchannel.core.endpoint import Endpoint
from callchannel.core.errors import CallChannelError, ErrorCode
from callchannel.core.lanes import Lane
from callchannel.core.link import Link, LinkRole
from callchannel.core.lobby import Lobby
from callchannel.core.relay import Relay
from simulator.coverage import Hits, Watch

Method = Callable[..., Any]


def _is_initiator(link: Any) -> bool:
    return link.role is LinkRole.INITIATOR


# --- transports --------------------------------------------------------------------------------------------------


def _attach(hits: Hits, method: Method, link: Any, transport: int, **options: Any) -> Any:
    state = link.state.value
    stays = state == "ACTIVE" and not link.resume_window
    hits.hit("L01" if link.transport is None else "L03" if stays else "L02", state)
    return method(link, transport, **options)


def _others(relay: Any) -> list[str]:
    """The states of a relay's links, of one to be, and of those that were."""
    gone = ["DEAD"] if relay._call.membership.departed else []
    return ["CONNECTING", *gone, *(port.link.state.value for port in relay._by_slot.values())]


def _relay_up(hits: Hits, method: Method, relay: Any, transport: int, now: int, **options: Any) -> Any:
    for state in _others(relay):
        hits.hit("L04", state)
    return method(relay, transport, now, **options)


def _down(hits: Hits, method: Method, link: Any, now: int) -> Any:
    state = link.state.value
    if "bye to a resume" in hits.within:
        hits.hit("L51", state)
    elif "silence" not in hits.within:
        ends = state == "ACTIVE" and not link.resume_window
        hits.hit("L07" if ends else "L05" if _is_initiator(link) else "L06", state)
    return method(link, now)


def _endpoint_down(hits: Hits, method: Method, endpoint: Any, transport: int, now: int) -> Any:
    if transport != endpoint.link.transport and transport not in endpoint._lobby:
        hits.hit("L08", endpoint.link.state.value)
    return method(endpoint, transport, now)


def _relay_down(hits: Hits, method: Method, relay: Any, transport: int, now: int) -> Any:
    if transport in relay._lobby:
        hits.hit("L06", "CONNECTING")
    return method(relay, transport, now)


def _receive(hits: Hits, method: Method, machine: Any, transport: int, lane: Any, packet: bytes, now: int) -> Any:
    if isinstance(machine, Endpoint):
        if transport != machine.link.transport and transport not in machine._lobby:
            hits.hit("L34", machine.link.state.value)
    else:
        port = machine._ports.get(transport)
        if port is not None and port.link.transport != transport:
            hits.hit("L34", port.link.state.value)
    return method(machine, transport, lane, packet, now)


def _lobby_receive(hits: Hits, method: Method, lobby: Any, transport: int, lane: Any, packet: bytes, now: int) -> Any:
    if lane is Lane.LOSSY:
        hits.hit("L33", "CONNECTING")
    elif packet[:1] == bytes([frames.FrameType.BYE]):
        hits.hit("L30", "CONNECTING")
    return method(lobby, transport, lane, packet, now)


# --- timers --------------------------------------------------------------------------------------------------------


def _silence(hits: Hits, method: Method, link: Any, now: int) -> Any:
    state, was = link.state.value, link.transport
    result = hits.call("silence", method, link, now)
    if link.transport != was:
        ends = state == "ACTIVE" and not link.resume_window
        hits.hit("L11" if ends else "L09" if _is_initiator(link) else "L10", state)
    return result


def _timer(initiator: str, acceptor: str) -> Watch:
    def watch(hits: Hits, method: Method, link: Any, now: int) -> Any:
        hits.hit(initiator if _is_initiator(link) else acceptor, link.state.value)
        return hits.call("timer", method, link, now)

    return watch


def _refuse(hits: Hits, method: Method, lobby: Any, transport: int, code: int, text: str) -> Any:
    if code == ErrorCode.TIMEOUT:
        hits.hit("L13", "CONNECTING")
    return method(lobby, transport, code, text)


def _refuse_all(hits: Hits, method: Method, lobby: Any, *arguments: Any) -> Any:
    hits.hit("L38", "CONNECTING", len(lobby))
    return method(lobby, *arguments)


# --- handshakes ----------------------------------------------------------------------------------------------------


def _hello(hits: Hits, method: Method, relay: Any, transport: int, hello: Any, lossy: bool, now: int) -> Any:
    before = {port: port.link.state.value for port in relay._by_slot.values()}
    gone = ["DEAD"] if relay._call.membership.departed else []
    port = relay._tokens.get(hello.token) if hello.resume else None
    refusal = method(relay, transport, hello, lossy, now)
    if hello.resume and port is not None:
        code = refusal.code if refusal is not None else None
        row = {ErrorCode.RESUME_STALE: "L22", ErrorCode.RESUME_MISMATCH: "L23", ErrorCode.RESUME_UNKNOWN: "L21"}
        hits.hit(row.get(code, "?") if code is not None else "L19", before[port])
        return refusal
    if hello.resume:
        for state in ("CONNECTING", *gone, *before.values()):
            hits.hit("L20", state)
        return refusal
    replaced = [old for old in before if old.link.end_code == ErrorCode.REPLACED and old.link.is_dead]
    for old in replaced:
        hits.hit("L17", before[old])
    row_ = "L18" if refusal is not None else "L16"
    for state in ("CONNECTING", *gone, *(state for old, state in before.items() if old not in replaced)):
        hits.hit(row_, state)
    if hello.replace and not replaced:
        hits.hit("L17", "DEAD")
    return refusal


def _welcome(
    hits: Hits, method: Method, link: Any, lane: Any, packet: bytes, offset: int, kind: int, flags: int, *rest: Any
) -> Any:
    state = link.state.value
    if lane is Lane.LOSSY:
        hits.hit("L33", state)
    name = "bye to a resume" if kind == frames.FrameType.BYE and state == "RESUMING" else "welcome"
    result = hits.call(name, method, link, lane, packet, offset, kind, flags, *rest)
    if kind == frames.FrameType.WELCOME:
        hits.hit("L25", state)
    return result


def _bye(hits: Hits, method: Method, link: Any, frame: Any, now: int) -> Any:
    hits.hit("L29" if _is_initiator(link) else "L30", link.state.value)
    return method(link, frame, now)


def _link_receive(hits: Hits, method: Method, link: Any, lane: Any, packet: bytes, *rest: Any) -> Any:
    state = link.state.value
    if state == "ACTIVE" and packet and packet[0] not in (frames.FrameType.BYE, frames.FrameType.WELCOME):
        reliable = "L31" if _is_initiator(link) else "L32"
        hits.hit("L33" if lane is Lane.LOSSY else reliable, state)
    return method(link, lane, packet, *rest)


# --- ends and commands -----------------------------------------------------------------------------------------------


def _link_end(hits: Hits, method: Method, link: Any, code: int, *rest: Any, **options: Any) -> Any:
    told_elsewhere = {"timer", "silence", "leave", "drained", "leave time"} & set(hits.within)
    if not told_elsewhere and code not in (ErrorCode.REPLACED, ErrorCode.RESUME_MISMATCH) and not link.is_dead:
        if not _is_initiator(link):
            hits.hit("L38", link.state.value)
    return method(link, code, *rest, **options)


def _open_sender(hits: Hits, method: Method, endpoint: Any, now: int, **options: Any) -> Any:
    state = endpoint.link.state.value
    leaving, joined = endpoint._leaving or endpoint._left, endpoint.joined
    try:
        sender = method(endpoint, now, **options)
    except CallChannelError as error:
        name = type(error).__name__
        if name == "NotJoined":
            hits.hit("L46" if leaving and joined else "L44", state)
        elif name == "LinkLost":
            hits.hit("L45", state)
        raise
    hits.hit("L45", state)
    return sender


def _leave(hits: Hits, method: Method, endpoint: Any, now: int) -> Any:
    hits.hit("L48" if endpoint._leaving or endpoint._left else "L47", endpoint.link.state.value)
    return hits.call("leave", method, endpoint, now)


def _check_drained(hits: Hits, method: Method, endpoint: Any) -> Any:
    return hits.call("drained", method, endpoint)


def _finish_leaving(hits: Hits, method: Method, endpoint: Any, now: int) -> Any:
    state = endpoint.link.state.value
    if "drained" in hits.within:
        hits.hit("L49", state)
    elif "leave" not in hits.within:
        hits.hit("L50", state)
        return hits.call("leave time", method, endpoint, now)
    return method(endpoint, now)


WATCHES: tuple[tuple[type, str, Watch], ...] = (
    (Link, "attach", _attach),
    (Relay, "transport_up", _relay_up),
    (Link, "transport_down", _down),
    (Endpoint, "transport_down", _endpoint_down),
    (Relay, "transport_down", _relay_down),
    (Endpoint, "receive", _receive),
    (Relay, "receive", _receive),
    (Lobby, "receive", _lobby_receive),
    (Link, "_on_silence_timer", _silence),
    (Link, "_on_join_timer", _timer("L12", "?")),
    (Link, "_on_resume_timer", _timer("L14", "L15")),
    (Lobby, "refuse", _refuse),
    (Lobby, "refuse_all", _refuse_all),
    (Relay, "hello_received", _hello),
    (Link, "_receive_welcome", _welcome),
    (Link, "_receive_bye", _bye),
    (Link, "receive", _link_receive),
    (Link, "end", _link_end),
    (Endpoint, "open_sender", _open_sender),
    (Endpoint, "leave", _leave),
    (Endpoint, "_check_drained", _check_drained),
    (Endpoint, "_finish_leaving", _finish_leaving),
)
