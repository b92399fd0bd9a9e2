# SPDX-License-Identifier: Apache-2.0
"""Defects of rosters, recipients and relays that show with what several endpoints did."""

from __future__ import annotations

from callchannel_conformance import wire
from callchannel_conformance.selftest.defects.state import _shifted, after, inject
from callchannel_conformance.selftest.defects.words import (
    Json,
    add,
    code,
    drop,
    fields,
    is_part,
    raised,
    reads,
    reliable,
    value,
    writes,
)
from callchannel_conformance.selftest.proxy import Change, Memory


def _frames(request: Json) -> list[Json]:
    if request["op"] != "receive":
        return []
    try:
        return wire.decode_packet(bytes.fromhex(request["packet"]), request["lane"])
    except wire.WireError:
        return []


def _write(ok: Json, transport: int, *frames: Json) -> None:
    inject(ok, {"transport": transport}, *frames)


# --- who gets what --------------------------------------------------------------------------------


def _echo(request: Json, ok: Json, memory: Memory) -> None:
    for frame in _frames(request):
        if frame["type"] == "DATA" and reliable(frame):
            _write(ok, request["transport"], {k: v for k, v in frame.items() if k != "recipients"})


after("sent-back", "CC-MODEL-012 CC-RELAY-029", "relay", _echo)
reads(
    "private-to-all",
    "CC-MODEL-013 CC-ROSTER-059 CC-RELAY-014",
    "relay",
    lambda frame, lane, memory: (
        [
            {
                **{k: v for k, v in frame.items() if k != "recipients"},
                "flags": [x for x in frame["flags"] if x != "PRIVATE"],
            }
        ]
        if frame["type"] == "DATA" and "PRIVATE" in frame["flags"]
        else None
    ),
)


def _note_gone(frame: Json, memory: Memory) -> bool:
    memory["gone"] = memory.get("gone") or frame["type"] == "BYE"
    return frame["type"] == "DATA" and bool(memory["gone"]) and 3 in frame.get("recipients", {}).get("slots", ())


reads(
    "gone-slot-is-unknown",
    "CC-ROSTER-009 CC-RELAY-024",
    "relay_delivery",
    lambda frame, lane, memory: (
        [{**frame, "recipients": {**frame["recipients"], "slots": [40_000]}}] if _note_gone(frame, memory) else None
    ),
)
reads(
    "gone-drops-all",
    "CC-ROSTER-063",
    "relay_delivery",
    lambda frame, lane, memory: [] if _note_gone(frame, memory) else None,
)
writes(
    "gone-unanswered",
    "CC-LINK-088 CC-ROSTER-061",
    "relay_delivery",
    drop("FAIL", lambda fail: fail["reason"] == code("UNKNOWN_RECIPIENT")),
)


def _lossy_gone(request: Json, ok: Json, memory: Memory) -> None:
    for frame in _frames(request):
        if _note_gone(frame, memory) and not reliable(frame):
            fail = {"type": "FAIL", "sender": frame["sender"], "recipient": 3, "session": frame["session"]}
            reason = code("UNKNOWN_RECIPIENT")
            _write(ok, request["transport"], {**fail, "value": 1, "reason": reason, "uncertain": False})


after("lossy-gone-is-answered", "CC-ROSTER-064", "relay_delivery", _lossy_gone)
writes(
    "relay-fail-twice",
    "CC-ROSTER-065 CC-RELAY-054",
    "relay_delivery",
    lambda frame, lane, memory: [frame, frame] if frame["type"] == "FAIL" else None,
)
writes(
    "later-block-differs",
    "CC-ROSTER-068",
    "roster_endpoint",
    fields(
        "DATA",
        lambda d: not reliable(d) and is_part(d) and d["fragment"]["index"] > 0 and "recipients" in d,
        recipients=lambda block: {**block, "slots": block["slots"][:1]},
    ),
)

# --- joining --------------------------------------------------------------------------------------

reads("empty-id-is-refused", "CC-ROSTER-002", "relay", fields("HELLO", lambda h: not h["id"], attempt=0))
writes("one-slot", "CC-ROSTER-004 CC-ROSTER-005", "relay", fields("WELCOME", slot=0))
writes(
    "full-as-not-admitted",
    "CC-ROSTER-006 CC-RELAY-004",
    "relay",
    fields("BYE", lambda bye: bye["code"] == code("CALL_FULL"), code=code("NOT_ADMITTED")),
)
writes("epoch-from-two", "CC-ROSTER-014 CC-ROSTER-072", ("relay", "peer"), fields("ROSTER", epoch=lambda n: n + 1))


def _hello_name(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
    if frame["type"] == "HELLO":
        memory["name"] = frame["id"]
    return None


add(
    "s-hello-names",
    "CC-RELAY-001 CC-ROSTER-001",
    "relay",
    Change(
        reads=_hello_name,
        writes=lambda frame, lane, memory: (
            [{**frame, "id": memory["name"]}] if frame["type"] == "WELCOME" and memory.get("name") else None
        ),
    ),
)
writes(
    "frame-before-snapshot",
    "CC-ROSTER-016",
    "relay",
    lambda frame, lane, memory: (
        [{"type": "UNKNOWN", "number": 0x8A, "flags": 0, "body": ""}, frame]
        if frame["type"] == "ROSTER" and frame["snapshot"]
        else None
    ),
)


def _snapshot_again(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
    if frame["type"] == "ROSTER" and frame["snapshot"]:
        memory["snapshot"] = frame
    return [frame, memory["snapshot"]] if frame["type"] == "WELCOME" and frame["attempt"] > 1 else None


writes("snapshot-after-resume", "CC-ROSTER-021", "relay", _snapshot_again)
writes("never-more", "CC-ROSTER-022", "relay_limits", fields("ROSTER", more=False))
reads("more-is-ignored", "CC-ROSTER-026", "roster_endpoint", fields("ROSTER", more=False))
reads("replace-is-ignored", "CC-RELAY-006 CC-LINK-050", "relay", fields("HELLO", replace=False))
writes(
    "epoch-as-slot",
    "CC-ROSTER-054 CC-ROSTER-057",
    "relay",
    fields("BYE", lambda bye: bye["code"] == code("EPOCH"), code=code("SLOT")),
)

# --- what an application says ---------------------------------------------------------------------


def _refuses(request: Json, ok: Json, memory: Memory) -> None:
    if request["op"] == "open":
        memory["exclude"], memory["to"] = request.get("exclude") or (), request.get("to") or ()
    if request["op"] == "send" and "nobody" in memory.get("exclude", ()):
        ok.pop("value", None)
        ok["raised"] = {"code": "UNKNOWN_RECIPIENT"}


def _refuses_long(request: Json, ok: Json, memory: Memory) -> None:
    if request["op"] == "open" and len(request.get("to") or ()) > 32:
        ok.pop("value", None)
        ok["raised"] = {"code": "TOO_MANY_RECIPIENTS"}


after("absent-exclusion-raises", "CC-ROSTER-041", "roster_endpoint", _refuses)
after("short-lists-alone", "CC-ROSTER-042", "roster_endpoint", _refuses_long)
_shifted(
    "recipients-begin-anew",
    "CC-ROSTER-043",
    "roster_endpoint",
    lambda request, ok: -1 if request["op"] == "recipients" else 0,
)
writes(
    "everyone-is-named",
    "CC-ROSTER-050",
    "roster_endpoint",
    lambda frame, lane, memory: (
        [{**frame, "flags": [*frame["flags"], "PRIVATE"], "recipients": {"epoch": 4, "except": True, "slots": [999]}}]
        if frame["type"] == "DATA" and "recipients" not in frame
        else None
    ),
)
value(
    "too-many-recipients", "CC-ROSTER-053", "roster_endpoint", "send", raised("TOO_MANY_RECIPIENTS", "INVALID_ARGUMENT")
)
writes(
    "peer-without-block",
    "CC-PEER-010",
    "peer",
    lambda frame, lane, memory: (
        [{k: v for k, v in frame.items() if k != "recipients"}] if frame["type"] == "DATA" else None
    ),
)

# --- the relay ------------------------------------------------------------------------------------


def _refuse_later(request: Json, ok: Json, memory: Memory) -> None:
    for frame in _frames(request):
        if frame["type"] == "DATA" and is_part(frame) and frame["fragment"]["index"] == 3:
            refuse = {"type": "REFUSE", "sender": frame["sender"], "recipient": 0xFFFF, "session": frame["session"]}
            _write(
                ok, request["transport"], {**refuse, "value": frame["sequence"], "reason": code("MESSAGE_TOO_LARGE")}
            )


after("refused-later", "CC-RELAY-020", "relay_limits", _refuse_later)
add(
    "w-relay-lossy-on-reliable",
    "CC-RELAY-033",
    "relay",
    Change(lane=lambda frames, lane: "reliable"),
)


def _unknown_forwarded(request: Json, ok: Json, memory: Memory) -> None:
    if request["op"] == "transport_up":
        memory.setdefault("all", []).append(request["transport"])
    for frame in _frames(request):
        if frame["type"] == "UNKNOWN":
            for transport in memory.get("all", ()):
                if transport != request["transport"]:
                    _write(ok, transport, frame)


after("unknown-is-forwarded", "CC-RELAY-034", "relay", _unknown_forwarded)
reads("hello-window-high", "CC-RELAY-035", "relay_delivery", fields("HELLO", window=lambda n: n + 20_000))


def _nothing_owed(request: Json, ok: Json, memory: Memory) -> None:
    for frame in _frames(request):
        if frame["type"] == "DATA":
            memory["owner"] = request["transport"], frame
        if frame["type"] == "BYE" and "owner" in memory:
            transport, data = memory["owner"]
            fail = {"type": "FAIL", "sender": data["sender"], "recipient": 3, "session": data["session"], "value": 9}
            _write(ok, transport, {**fail, "reason": code("LEFT"), "uncertain": False})


after("fail-for-nothing", "CC-RELAY-047", "relay_delivery", _nothing_owed)


def _once(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
    if frame["type"] != "FAIL":
        return None
    key = (frame["sender"], frame["session"], frame["value"], frame["reason"])
    memory[key] = memory.get(key, 0) + 1
    return [] if memory[key] > 1 else None


writes("recipient-is-not-told", "CC-RELAY-050 CC-RELAY-059", ("relay_delivery", "relay"), _once)


def _fails_again(request: Json, ok: Json, memory: Memory) -> None:
    for packet in ok.get("packets", ()):
        for frame in wire.decode_packet(bytes.fromhex(packet["packet"]), packet["lane"]):
            if frame["type"] == "FAIL" and frame["recipient"] == 0xFFFF:
                memory[(packet["transport"], frame["session"])] = frame
    for frame in _frames(request):
        fail = memory.get((request["transport"], frame.get("session")))
        if (
            frame["type"] == "DATA"
            and fail is not None
            and not any(
                f == fail
                for p in ok.get("packets", ())
                for f in wire.decode_packet(bytes.fromhex(p["packet"]), p["lane"])
            )
        ):
            _write(ok, request["transport"], fail)


after("fails-again", "CC-RELAY-060", "relay", _fails_again)


def _silent_after(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
    return [] if frame["type"] == "DATA" and memory.get("dead") else None


def _note_death(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
    memory["dead"] = memory.get("dead") or frame["type"] == "BYE"
    return None


add(
    "s-dead-owners-data-is-lost",
    "CC-RELAY-062",
    "relay_delivery",
    Change(reads=_note_death, writes=_silent_after),
)


def _later(frame: Json) -> bool:
    """Whether DATA is a later fragment."""
    return bool(frame["type"] == "DATA" and is_part(frame) and frame["fragment"]["index"] > 0)


def _stopping(request: Json, memory: Memory) -> Json:
    memory["stopping"] = memory.get("stopping") or request["op"] == "stop"
    return request


add(
    "s-stop-drops-fragments",
    "CC-RELAY-076",
    "relay_delivery",
    Change(
        request=_stopping,
        reads=lambda frame, lane, memory: [] if memory.get("stopping") and _later(frame) else None,
    ),
)
writes(
    "ended-sessions-are-kept",
    "CC-RELAY-080",
    "relay_limits",
    drop("FAIL", lambda fail: fail["reason"] == code("MEMORY")),
)
