# SPDX-License-Identifier: Apache-2.0
"""Legal variants: implementations that choose otherwise where the standard leaves a choice. All have to pass."""

from __future__ import annotations

from typing import Any, Final

from callchannel_conformance import standard, wire
from callchannel_conformance.selftest.proxy import Change, Memory

Json = dict[str, Any]


def _limits(**values: int) -> Change:
    """Another value of a limit, wherever a check sets none."""

    def request(request: Json, memory: Memory) -> Json:
        if request["op"] == "create":
            request = {**request, "limits": {**values, **(request.get("limits") or {})}}
        return request

    def reply(request: Json, reply: Json, memory: Memory) -> Json:
        if request["op"] == "hello" and "ok" in reply:
            for name, value in values.items():
                # A check of settings would read the default back; this variant has it fixed at another value.
                reply["ok"]["value"]["limits"][name] = {"value": value, "settable": False}
        return reply

    return Change(request=request, reply=reply)


def _hello(**fields: Any) -> Change:
    """Claim less."""

    def reply(request: Json, reply: Json, memory: Memory) -> Json:
        if request["op"] == "hello" and "ok" in reply:
            reply["ok"]["value"] |= fields
        return reply

    return Change(reply=reply)


def _nothing_settable(request: Json, reply: Json, memory: Memory) -> Json:
    if request["op"] == "hello":
        for limit in reply["ok"]["value"]["limits"].values():
            limit["settable"] = False
    return reply


def _no_unknown(request: Json, reply: Json, memory: Memory) -> Json:
    if request["op"] == "decode":
        value = reply["ok"]["value"]
        value["frames"] = [frame for frame in value["frames"] if frame["type"] != "UNKNOWN"]
    return reply


def _big_numbers(request: Json, reply: Json, memory: Memory) -> Json:
    if request["op"] == "decode":
        for frame in reply["ok"]["value"]["frames"]:
            for key in ("value", "received"):
                if isinstance(frame.get(key), int) and frame[key] > 2**53 - 1:
                    frame[key] = str(frame[key])
    return reply


def _early_wake(request: Json, reply: Json, memory: Memory) -> Json:
    ok = reply.get("ok", {})
    wake, now = ok.get("wake"), request.get("now")
    if isinstance(wake, int) and isinstance(now, int) and wake > now + 2_000:
        ok["wake"] = now + (wake - now) // 2 + 1
    return reply


def _sparse(request: Json, reply: Json, memory: Memory) -> Json:
    ok = reply.get("ok", {})
    for key in ("packets", "events", "closing"):
        if ok.get(key) == []:
            del ok[key]
    return reply


def _no_reached(event: Json, memory: Memory) -> list[Json]:
    return (
        [{**event, "report": None}]
        if event["event"] == "message_confirmed" and not (event.get("report") or {}).get("passed_over")
        else [event]
    )


def _grease(frames: list[Json], lane: str, memory: Memory) -> list[Json]:
    if any(frame["type"] in ("HELLO", "WELCOME", "BYE") for frame in frames):
        return frames
    grease = {"type": "UNKNOWN", "number": 0xDA, "flags": 7, "body": "a1b2c3"}
    size = sum(len(wire.encode_frame(frame, judge=False)) for frame in (grease, *frames))
    # In front of another frame it may not make the packet longer than a bundle.
    return [grease, *frames] if size <= standard.limits()["bundle"]["default"] else frames


def _without_self(request: Json, reply: Json, memory: Memory) -> Json:
    value = reply.get("ok", {}).get("value", {})
    if request["op"] == "look" and value.get("slot") is not None:
        value["participants"] = [who for who in value["participants"] if who["slot"] != value["slot"]]
    return reply


def _bye_text(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
    return [{**frame, "text": "ein anderer Text"}] if frame["type"] == "BYE" else None


def _split_packets(request: Json, reply: Json, memory: Memory) -> Json:
    """Each frame in a packet of its own, as a writer that never bundles."""
    from callchannel_conformance.frames import split  # noqa: PLC0415

    ok = reply.get("ok", {})
    if "packets" in ok and request["op"] != "pull":
        ok["packets"] = [
            {**packet, "packet": frame.hex()}
            for packet in ok["packets"]
            for frame in split(bytes.fromhex(packet["packet"]))
        ]
    return reply


VARIANTS: Final[dict[str, Change]] = {
    "ack-at-once": _limits(ack_delay=0),
    "ack-every-frame": _limits(ack_frames=1),
    "ack-often": _limits(ack_interval=1_000),
    "window-large": _limits(window=1_000_000),
    "window-small": _limits(window=65_536),
    "largest-message-small": _limits(largest_message=1_000_000),
    "patient-join": _limits(join_time=12_000),
    "idle-close-short": _limits(idle_close=60_000),
    "long-resume": _limits(resume_window=60_000),
    "no-settings": Change(reply=_nothing_settable),
    "codec-alone": _hello(profiles=["codec"]),
    "endpoint-alone": _hello(profiles=["endpoint-group"]),
    "peer-alone": _hello(profiles=["endpoint-peer"]),
    "relay-alone": _hello(profiles=["relay"]),
    "no-features": _hello(features=[]),
    "no-unknown-frames": Change(reply=_no_unknown),
    "numbers-as-text": Change(reply=_big_numbers),
    "early-wake": Change(reply=_early_wake),
    "sparse-replies": Change(reply=_sparse),
    "reports-short": Change(event=_no_reached),
    "uncounted-grease": Change(packet=_grease),
    "without-itself": Change(reply=_without_self),
    "other-words": Change(writes=_bye_text),
    "never-bundles": Change(reply=_split_packets),
}
"""All of them by name."""
