# SPDX-License-Identifier: Apache-2.0
"""Defects of fragments, streams, extensions, errors and limits, as reader and application see them."""

from __future__ import annotations

from typing import Any

from callchannel_conformance.selftest.defects.state import after, inject
from callchannel_conformance.selftest.defects.words import (
    Json,
    add,
    asks,
    code,
    drop,
    event,
    fields,
    fragment,
    is_abort,
    is_part,
    reads,
    reliable,
    value,
    without,
    writes,
)
from callchannel_conformance.selftest.proxy import Change, Memory

# --- fragments and streams ------------------------------------------------------------------------


def _fails_never(name: str, requirements: str, areas: Any, reason: str) -> None:
    writes(name, requirements, areas, drop("FAIL", lambda fail: fail["reason"] == code(reason)))


_fails_never(
    "fragment-fail-never", "CC-LINK-087 CC-FRAG-050 CC-FRAG-051 CC-FRAG-059", ("fragments", "relay"), "FRAGMENT"
)
_fails_never("extension-fail-never", "CC-LINK-089 CC-EXT-008 CC-EXT-011 CC-EXT-019", "extensions", "EXTENSION")
_fails_never("limit-fail-never", "CC-LINK-086", "lossy", "TOO_MANY_SESSIONS")


def _gap(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
    if frame["type"] != "DATA":
        return None
    key = (frame["sender"], frame["session"])
    gap = key in memory and frame["sequence"] > memory[key] + 1
    memory[key] = max(memory.get(key, 0), frame["sequence"])
    return [] if gap and reliable(frame) else None


reads("gaps-are-dropped", "CC-FRAG-044 CC-MODEL-008", ("fragments", "receiver"), _gap)
reads("abort-is-ignored", "CC-FRAG-045 CC-FRAG-017", "fragments", drop("DATA", is_abort))


def _abort_of_nothing(request: Json, ok: Json, memory: Memory) -> None:
    if request["op"] == "cancel" and ok.get("value", {}).get("outcome") == "removed" and "data" in memory:
        data = {k: v for k, v in memory["data"].items() if k not in ("recipients", "extensions")}
        part = {"index": 1, "total": 5, "last": False, "abort": True}
        inject(ok, memory, {**data, "payload": "", "sequence": request["sequence"], "fragment": part})


def _note_written(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
    if frame["type"] == "DATA":
        memory["data"] = frame
    return None


after("abort-of-nothing", "CC-FRAG-014", "sender", _abort_of_nothing, writes=_note_written)
writes(
    "stream-with-total",
    "CC-FRAG-019",
    "fragments",
    fields("DATA", lambda d: is_part(d) and d["fragment"]["total"] == 0, fragment=fragment(total=1 << 20)),
)


def _stream_bound(request: Json, ok: Json, memory: Memory) -> None:
    if request["op"] == "stream_write":
        memory["bytes"] = memory.get("bytes", 0) + len(request["data"]) // 2
        if memory["bytes"] > 32_768:
            ok.pop("value", None)
            ok["raised"] = {"code": "MESSAGE_TOO_LARGE"}


after("stream-is-bounded", "CC-FRAG-020", "fragments", _stream_bound)


def _chunk(**changes: Any) -> Any:
    def change(ok: Json) -> Json:
        chunk = (ok.get("value") or {}).get("chunk")
        if not chunk:
            return ok
        new = {**chunk, **{k: v(chunk) for k, v in changes.items()}}
        return {**ok, "value": {"chunk": new}}

    return change


value(
    "chunks-reversed",
    "CC-FRAG-026",
    "fragments",
    "read_chunk",
    _chunk(data=lambda chunk: bytes.fromhex(chunk["data"])[::-1].hex()),
)
value("end-is-not-told", "CC-FRAG-027", "fragments", "read_chunk", _chunk(last=lambda chunk: False))
value("end-is-told-early", "CC-ERR-024", "fragments", "read_chunk", _chunk(last=lambda chunk: True))


def _lossy_in_order(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
    if frame["type"] != "DATA" or reliable(frame) or not is_part(frame):
        return None
    key = (frame["sender"], frame["session"], frame["sequence"])
    due = memory.get(key, 0)
    if frame["fragment"]["index"] != due:
        return []
    memory[key] = due + 1
    return None


reads("lossy-fragments-in-order-alone", "CC-FRAG-037", "lossy", _lossy_in_order)


def _total_judged(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
    if frame["type"] != "DATA" or reliable(frame) or not is_part(frame):
        return None
    key = (frame["sender"], frame["session"], frame["sequence"])
    first = memory.setdefault(key, frame["fragment"]["total"])
    return [] if first != frame["fragment"]["total"] else None


reads("contradiction-is-dropped", "CC-FRAG-053 CC-FRAG-054 CC-FRAG-055", ("lossy", "relay_delivery"), _total_judged)


def _later_wins(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
    if frame["type"] == "DATA" and not reliable(frame) and is_part(frame) and frame["fragment"]["index"] == 0:
        if frame["sequence"] in memory:
            memory["other"] = frame["payload"]
        memory[frame["sequence"]] = True
    return None


def _overwritten(request: Json, ok: Json, memory: Memory) -> None:
    message = (ok.get("value") or {}).get("message") if request["op"] == "read" else None
    other = memory.get("other")
    if message and other and len(message["data"]) > len(other):
        message["data"] = other + message["data"][len(other) :]


after("later-fragment-wins", "CC-SEC-015 CC-FRAG-038", "lossy", _overwritten, reads=_later_wins)


def _reserves(request: Json, ok: Json, memory: Memory) -> None:
    data = memory.pop("large", None)
    if data:
        fail = {"type": "FAIL", "sender": data["sender"], "recipient": 2, "session": data["session"]}
        inject(ok, memory, {**fail, "value": data["sequence"], "reason": code("MEMORY"), "uncertain": False})


def _note_large(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
    if frame["type"] == "DATA" and is_part(frame) and frame["fragment"]["total"] > 1 << 20:
        memory["large"] = frame
    return None


after(
    "total-is-reserved",
    "CC-SEC-011 CC-FRAG-058 CC-LIMIT-021",
    "fragments",
    _reserves,
    reads=_note_large,
)
asks(
    "memory-twice",
    "CC-SEC-010 CC-FRAG-056",
    "delivery",
    "create",
    lambda r: (
        {**r, "limits": {**r["limits"], "receive_memory": 2 * r["limits"]["receive_memory"]}}
        if "receive_memory" in (r.get("limits") or {})
        else r
    ),
)

# --- extensions -----------------------------------------------------------------------------------

value(
    "bad-metadata-is-taken",
    "CC-EXT-003 CC-EXT-013",
    "extensions",
    "send",
    lambda ok: {"value": {"sequence": 1}} if ok.get("raised", {}).get("code") == "INVALID_ARGUMENT" else ok,
)


def _extensions(frame: Json) -> list[Json]:
    return list(frame.get("extensions", ())) if frame["type"] == "DATA" else []


def _drops(name: str, requirements: str, areas: Any, seen: Any) -> None:
    reads(
        name,
        requirements,
        areas,
        lambda frame, lane, memory: [] if any(seen(extension) for extension in _extensions(frame)) else None,
    )


_drops("relay-understands", "CC-EXT-006 CC-RELAY-030", "relay", lambda e: e["must_understand"])
_drops("malformed-lifetime-drops", "CC-EXT-017", "relay", lambda e: e["type"] == 3 and len(e["value"]) != 8)
_drops("grease-extension-drops", "CC-EXT-021", "extensions", lambda e: e["type"] & 0x0FFF == 0x0A5A)
_drops("lifetime-of-reliable-drops", "CC-EXT-018", "extensions", lambda e: e["type"] == 3 and e["must_understand"])
reads(
    "must-understand-is-not-told",
    "CC-EXT-010",
    "extensions",
    lambda frame, lane, memory: (
        [
            {**frame, "extensions": kept}
            if (kept := [e for e in known if not e["must_understand"]])
            else {k: v for k, v in frame.items() if k != "extensions"}
        ]
        if (known := _extensions(frame)) and all(e["type"] in (1, 2, 4) and len(e["value"]) > 2 for e in known)
        else None
    ),
)
reads(
    "malformed-is-a-fault",
    "CC-EXT-012",
    "extensions",
    lambda frame, lane, memory: (
        [{**frame, "channel": 0}] if any(e["type"] in (1, 2) and not e["value"] for e in _extensions(frame)) else None
    ),
)
reads(
    "unknown-code-ends-link",
    "CC-EXT-027 CC-ERR-001",
    "receiver",
    lambda frame, lane, memory: (
        [{"type": "BYE", "code": frame["reason"], "text": ""}]
        if frame["type"] in ("FAIL", "REFUSE") and frame["reason"] == 0x4321
        else None
    ),
)
reads("welcome-needs-features", "CC-EXT-026", "link_endpoint", drop("WELCOME", lambda w: not w["features"]))
writes("extensions-in-the-last", "CC-EXT-001", "extensions", without("extensions", is_part))

# --- errors ---------------------------------------------------------------------------------------

event("one-code-for-all", "CC-ERR-002", "receiver", "receiver_closed", lambda e: [{**e, "code": "INTERNAL"}])
event("custody-twice", "CC-ERR-016 CC-DELIV-040", "delivery", "custody_lost", lambda e: [e, e])
event(
    "peer-left-as-lost",
    "CC-PEER-018",
    "peer",
    "receiver_closed",
    lambda e: [{**e, "code": "LINK_LOST"}] if e["code"] == "LEFT" else [e],
)
event(
    "peer-lost-as-left",
    "CC-PEER-019",
    "peer",
    "receiver_closed",
    lambda e: [{**e, "code": "LEFT"}] if e["code"] == "LINK_LOST" else [e],
)
event(
    "failed-among-unknown",
    "CC-ERR-012",
    "delivery",
    "message_failed",
    lambda e: (
        [{**e, "report": {**e["report"], "failed": [], "unknown": [*e["report"]["failed"], *e["report"]["unknown"]]}}]
        if e.get("report")
        else [e]
    ),
)
event(
    "listed-twice",
    "CC-ERR-011",
    "delivery",
    "message_failed",
    lambda e: (
        [{**e, "report": {**e["report"], "reached": ["ann", *(e["report"].get("reached") or ())]}}]
        if e.get("report")
        else [e]
    ),
)
reads("fail-is-ignored", "CC-ERR-014 CC-DELIV-003", "delivery", drop("FAIL"))
reads(
    "bye-text-decides",
    "CC-ERR-005",
    "validation",
    fields("BYE", lambda bye: bye["text"] == "FRAME_FORMAT", code=code("FRAME_FORMAT")),
)


def _fails_later(request: Json, ok: Json, memory: Memory) -> None:
    if request["op"] == "open" and request.get("reliability") == "lossy" and "value" in ok:
        memory["lossy"] = ok["value"]["sender"]
    if request["op"] == "transport_down" and "lossy" in memory:
        told = {"event": "message_failed", "sender": memory["lossy"], "sequence": 1, "code": "LINK_LOST"}
        ok.setdefault("events", []).append({**told, "report": None})


after("lossy-fails-later", "CC-ERR-017", "lossy", _fails_later)

# --- limits and secrets ---------------------------------------------------------------------------


def _look(change: Any) -> Any:
    def do(request: Json, ok: Json, memory: Memory) -> None:
        if request["op"] == "look" and "value" in ok:
            change(ok["value"], memory)

    return do


after(
    "limit-is-not-told", "CC-LIMIT-008", "extensions", _look(lambda shown, memory: shown["limits"].pop("window", None))
)
after(
    "largest-is-not-told",
    "CC-LIMIT-009",
    "delivery",
    _look(lambda shown, memory: shown.update(max_reliable=shown.get("max_reliable", 0) + 1)),
)


def _mixed(shown: Json, memory: Memory) -> None:
    for part in [shown["statistics"]["link"], *shown["statistics"].get("receivers", {}).values()]:
        part["drops"] = {{"open_sessions": "mismatch"}.get(reason, reason): n for reason, n in part["drops"].items()}


after("limits-are-not-told-apart", "CC-LIMIT-011", "lossy", _look(_mixed))


def _no_drops(shown: Json, memory: Memory) -> None:
    for part in [shown["statistics"]["link"], *shown["statistics"].get("receivers", {}).values()]:
        part["drops"] = {}


after("drops-are-not-recorded", "CC-ERR-019", "validation", _look(_no_drops))


def _note_token(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
    if frame["type"] == "HELLO":
        memory["token"] = frame["token"]
    return None


add(
    "s-token-is-shown",
    "CC-SEC-008",
    "receiver",
    Change(
        writes=_note_token,
        reply=lambda request, reply, memory: (
            {**reply, "ok": {**reply["ok"], "value": {**reply["ok"]["value"], "token": memory.get("token")}}}
            if request["op"] == "look" and "value" in reply.get("ok", {})
            else reply
        ),
    ),
)
