# SPDX-License-Identifier: Apache-2.0
"""Short words for what many checks do with an endpoint under test."""

from __future__ import annotations

from typing import Any

from callchannel_conformance.bench.far import Far, Frame
from callchannel_conformance.bench.machine import Machine
from callchannel_conformance.client import Json
from callchannel_conformance.outcome import expect, expect_equal


def open_sender(far: Far, **options: Any) -> int:
    """A sender of the machine under test."""
    return int(far.machine.do("open", **options)["sender"])


def send(far: Far, sender: int, data: bytes = b"hi", **options: Any) -> int:
    """Send a message and return its sequence."""
    return int(far.machine.do("send", sender=sender, data=data.hex(), **options)["sequence"])


def sent(far: Far, requirement: str, data: bytes = b"hi", **options: Any) -> tuple[int, Frame]:
    """Open a sender, send one message; the sender and the DATA frame that was written."""
    message = {key: options.pop(key) for key in ("metadata",) if key in options}
    sender = open_sender(far, **options)
    far.take()
    send(far, sender, data, **message)
    return sender, far.one(requirement, "DATA")


def cover(far: Far) -> None:
    """Acknowledge everything, and forget what came of it on the wire."""
    far.ack()
    far.take()


def outcome(machine: Machine, sender: int, sequence: int) -> Json | None:
    """The event that settled a message, or None. Events are left."""
    found = [
        event
        for event in machine.events
        if event["event"] in ("message_confirmed", "message_failed")
        and (event["sender"], event["sequence"]) == (sender, sequence)
    ]
    expect(len(found) <= 1, "CC-MODEL-014", f"message {sequence} was settled more than once", actual=found)
    return found[0] if found else None


def confirmed(machine: Machine, sender: int, sequence: int, requirement: str) -> Json:
    """The message's send succeeded."""
    event = outcome(machine, sender, sequence)
    expect(
        event is not None and event["event"] == "message_confirmed",
        requirement,
        f"message {sequence}: the send succeeds",
        actual=event,
    )
    assert event is not None
    return event


def failed(machine: Machine, sender: int, sequence: int, requirement: str, code: str | int) -> Json:
    """The message's send raised *code*."""
    event = outcome(machine, sender, sequence)
    expect(
        event is not None and event["event"] == "message_failed",
        requirement,
        f"message {sequence}: the send raises {code}",
        actual=event,
    )
    assert event is not None
    expect_equal(event["code"], code, requirement, f"message {sequence}: the code that it raises")
    return event


def unsettled(machine: Machine, sender: int, sequence: int, requirement: str) -> None:
    """The message has no outcome yet."""
    event = outcome(machine, sender, sequence)
    expect(event is None, requirement, f"message {sequence} is not settled yet", actual=event)


def verdict_of(event: Json, identity: str) -> tuple[str, str | int] | None:
    """What a report says of one recipient: failed or unknown with a code, or None."""
    report = event.get("report") or {}
    for kind in ("failed", "unknown"):
        for name, code in report.get(kind, ()):
            if name == identity:
                return kind, code
    return None


def received(far: Far, frame: Frame, requirement: str, **options: Any) -> int:
    """Deliver DATA that makes a receiver; its handle."""
    far.machine.take()
    far.write(frame, **options)
    created = far.machine.take("receiver_created")
    expect_equal(len(created), 1, requirement, "the first DATA of a session makes a receiver")
    return int(created[0]["receiver"])


def read(machine: Machine, receiver: int) -> Json | None:
    """Read once."""
    message: Json | None = machine.do("read", receiver=receiver)["message"]
    return message


def read_all(machine: Machine, receiver: int) -> list[Json]:
    """Read until there is nothing, or the receiver closes."""
    found: list[Json] = []
    while not machine.all_events("receiver_closed", receiver=receiver):
        message = read(machine, receiver)
        if message is None:
            break
        found.append(message)
    return found


def payload(frame: Frame) -> bytes:
    """The payload of DATA."""
    return bytes.fromhex(frame["payload"])


def limit(far: Far, name: str) -> int:
    """A limit of the machine under test, in the standard's unit."""
    chosen = (far.machine.options.get("limits") or {}).get(name)
    if chosen is not None:
        return int(chosen)
    from callchannel_conformance import standard  # noqa: PLC0415

    declared = far.bench.client.hello().limits.get(name, {}).get("value")
    return int(declared if declared is not None else standard.limits()[name]["default"])
