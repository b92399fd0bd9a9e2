# SPDX-License-Identifier: Apache-2.0
"""Looks at an adapter before any check does: does it answer, does it know its limits, is it deterministic?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from callchannel_conformance import frames as f
from callchannel_conformance import standard, wire
from callchannel_conformance.bench.links import called, calling, group, member
from callchannel_conformance.bench.machine import Bench
from callchannel_conformance.client import Client, Unsupported
from callchannel_conformance.outcome import AdapterError, NotApplicable, Violation


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    ok: bool
    detail: str = ""


def examine(client: Client) -> Iterator[Finding]:
    """Yield findings, the most basic first; nothing follows one that makes the rest pointless."""
    try:
        hello = client.hello()
    except (AdapterError, Unsupported) as error:
        yield Finding("it answers `hello`", False, _why(client, error))
        return
    yield Finding("it answers `hello`", True, f"{hello.name} {hello.version}: {', '.join(sorted(hello.profiles))}")
    yield Finding("it is of this wire version", hello.wire == 1, f"wire version {hello.wire}")
    document = standard.document_version()
    yield Finding("it follows this document", hello.document == document, f"{hello.document}, the suite has {document}")
    unknown = sorted(set(hello.limits) - set(standard.limits()))
    yield Finding("its limits are those of the standard", not unknown, ", ".join(unknown))
    steps: list[tuple[str, Callable[[Client], None]]] = [
        ("an unknown op comes back UNSUPPORTED", _unknown_op),
        ("it goes on after that", lambda c: c.reset()),
    ]
    if "codec" in hello.profiles:
        steps += [("it takes a valid packet", _codec_good), ("it refuses a faulty one", _codec_bad)]
    for profile, make in _JOINS.items():
        if profile in hello.profiles:
            steps.append((f"{profile}: a link comes up", make))
            steps.append((f"{profile}: the same seed and ops give the same replies", _repeats(make)))
            steps.append((f"{profile}: another seed draws other tokens", _other_seed(profile)))
    for what, step in steps:
        yield _finding(client, what, step)


def _finding(client: Client, what: str, step: Callable[[Client], None]) -> Finding:
    try:
        client.reset()
        step(client)
    except (AdapterError, Unsupported, Violation, NotApplicable) as error:
        return Finding(what, False, _why(client, error))
    return Finding(what, True)


def _why(client: Client, error: BaseException) -> str:
    said = client.diagnostics.strip().splitlines()
    return str(error) + (f" (standard error: {said[-1]})" if said else "")


def _unknown_op(client: Client) -> None:
    try:
        client.request("suite_made_this_op_up_7f3a")
    except Unsupported:
        return
    raise AdapterError("liar", "an op that does not exist was answered")


def _codec_good(client: Client) -> None:
    reply = client.request("decode", lane="reliable", packet=wire.encode_frame(f.ack(7)).hex())
    if reply.value.get("error") is not None or not reply.value.get("frames"):
        raise Violation("CC-FRAME-004", "an ACK was refused", actual=reply.value)


def _codec_bad(client: Client) -> None:
    reply = client.request("decode", lane="reliable", packet="08000004")
    if reply.value.get("error") != "UNKNOWN_TYPE":
        raise Violation("CC-FRAME-011", "a frame of type 08 was taken", actual=reply.value)


def _relay_join(client: Client) -> None:
    relay = Bench(client).relay()
    member(relay, "ann")
    member(relay, "bob")


def _group_join(client: Client) -> None:
    group(Bench(client))


def _peer_join(client: Client) -> None:
    bench = Bench(client)
    called(bench)
    calling(bench)


_JOINS: dict[str, Callable[[Client], None]] = {
    "endpoint-group": _group_join,
    "endpoint-peer": _peer_join,
    "relay": _relay_join,
}


def _effects(client: Client) -> list[Any]:
    return [{key: value for key, value in reply.items() if key != "id"} for _, reply in client.transcript]


def _repeats(make: Callable[[Client], None]) -> Callable[[Client], None]:
    def step(client: Client) -> None:
        make(client)
        first = _effects(client)
        client.reset()
        make(client)
        if _effects(client) != first:
            raise AdapterError("nondeterministic", "the replies differ")

    return step


def _other_seed(profile: str) -> Callable[[Client], None]:
    def step(client: Client) -> None:
        drawn = set()
        for seed in (b"one", b"two"):
            bench = Bench(client)
            if profile == "relay":
                drawn.add(member(bench.relay(seed=seed), "ann").token)
            elif profile == "endpoint-peer":
                machine = bench.peer("acceptor", peer_identity="ann", seed=seed)
                drawn.add(called(bench, machine).token)
            else:
                far = group(bench, bench.endpoint(seed=seed))
                drawn.add(bytes.fromhex((far.hello or {"token": ""})["token"]))
            client.reset()
        if len(drawn) != 2:
            raise AdapterError("liar", "the seed is not used: two machines drew the same token")

    return step
