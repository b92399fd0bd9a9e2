# SPDX-License-Identifier: Apache-2.0
"""Defects of delivery that show in verdicts, receipts, credit, buffers, drops and counters."""

from __future__ import annotations

from typing import Any

from callchannel_conformance.selftest.defects.state import after, inject
from callchannel_conformance.selftest.defects.words import (
    add,
    asks,
    code,
    drop,
    event,
    fields,
    flag,
    is_part,
    private,
    raised,
    reads,
    reliable,
    value,
    without,
    writes,
)
from callchannel_conformance.selftest.proxy import Change, Memory

Json = dict[str, Any]

# --- verdicts -------------------------------------------------------------------------------------


def _early(request: Json, ok: Json, memory: Memory) -> None:
    if request["op"] == "open" and "value" in ok and request.get("reliability", "reliable") == "reliable":
        memory.setdefault("reliable", set()).add(ok["value"]["sender"])
    if request["op"] == "send" and "value" in ok and request["sender"] in memory.get("reliable", ()):
        told = {"event": "message_confirmed", "sender": request["sender"], "sequence": ok["value"]["sequence"]}
        ok.setdefault("events", []).append({**told, "report": None})
        memory.setdefault("told", set()).add((told["sender"], told["sequence"]))


def _once(told: Json, memory: Memory) -> list[Json]:
    again = told["event"] == "message_confirmed" and (told["sender"], told["sequence"]) in memory.get("told", ())
    return [] if again else [told]


after("confirmed-at-once", "CC-DELIV-001 CC-DELIV-010 CC-DELIV-011", "delivery", _early, event=_once)
event(
    "confirmed-as-failed",
    "CC-DELIV-002 CC-DELIV-008",
    "delivery",
    "message_confirmed",
    lambda e: [{**e, "event": "message_failed", "code": "INTERNAL", "report": None}],
)


def _changes(told: Json, memory: Memory) -> list[Json]:
    if told["event"] == "message_confirmed":
        memory[told["sender"]] = told["sequence"]
    if told["event"] == "recipient_failed" and told["sender"] in memory:
        failed = {"event": "message_failed", "sender": told["sender"], "sequence": memory[told["sender"]]}
        return [told, {**failed, "code": told["code"], "report": None}]
    return [told]


add("e-verdict-changes", "CC-DELIV-006", "delivery", Change(event=_changes))


def _report(**changes: Any) -> Any:
    def change(told: Json) -> list[Json]:
        report = told.get("report")
        if not report:
            return [told]
        return [{**told, "report": {**report, **{k: v(report) for k, v in changes.items()}}}]

    return change


event(
    "report-forgets-one",
    "CC-DELIV-007 CC-DELIV-039",
    ("recipients", "delivery"),
    "message_failed",
    _report(unknown=lambda report: report["unknown"][:-1]),
)
event(
    "failed-as-unknown",
    "CC-DELIV-038",
    "delivery",
    "message_failed",
    lambda e: (
        [{**e, "report": {**e["report"], "failed": [], "unknown": [*e["report"]["failed"], *e["report"]["unknown"]]}}]
        if e.get("report") and e["code"] == "LINK_LOST"
        else [e]
    ),
)
event("passed-over-never", "CC-DELIV-029", "sender", "message_confirmed", _report(passed_over=lambda report: []))


def _waits(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
    if frame["type"] == "RECEIPT":
        memory.setdefault("waiting", []).append(frame)
        return []
    if frame["type"] == "ACK":
        waiting = memory.pop("waiting", [])
        return [frame, *waiting]
    return None


reads("receipt-waits-for-ack", "CC-DELIV-015", "delivery", _waits)
asks(
    "deadline-from-the-send",
    "CC-DELIV-016 CC-LIMIT-014",
    "delivery",
    "create",
    lambda r: {**r, "limits": {"delivered_deadline": 25_000, **(r.get("limits") or {})}},
)
reads("fail-value-low", "CC-DELIV-023", "sender", fields("FAIL", value=1))


def _somebody_else(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
    if frame["type"] != "FAIL" or frame["recipient"] == 0xFFFF:
        return None
    key = (frame["sender"], frame["session"], frame["recipient"])
    if key in memory:
        return [{**frame, "recipient": 3}]
    memory[key] = True
    return None


reads("second-fail-hits-another", "CC-DELIV-026", "sender", _somebody_else)
reads(
    "refuse-as-fail",
    "CC-DELIV-032",
    "sender",
    lambda frame, lane, memory: (
        [{**frame, "type": "FAIL", "recipient": 0xFFFF, "uncertain": False}] if frame["type"] == "REFUSE" else None
    ),
)
event(
    "recipient-ends-sender",
    "CC-SESS-026",
    "sender",
    "recipient_failed",
    lambda e: [e, {"event": "sender_ended", "sender": e["sender"], "code": e["code"]}],
)
value(
    "recipients-one",
    "CC-DELIV-028 CC-ROSTER-039",
    ("sender", "roster_endpoint"),
    "send",
    lambda ok: (
        {**ok, "raised": {**ok["raised"], "recipients": ok["raised"]["recipients"][:1]}}
        if ok.get("raised", {}).get("code") == "UNKNOWN_RECIPIENT"
        else ok
    ),
)
value("failed-sender-raises", "CC-SESS-025", "sender", "send", raised("SEQUENCE", "SENDER_CLOSED"))
value(
    "cancel-settled",
    "CC-DELIV-037",
    "sender",
    "cancel",
    lambda ok: {**ok, "value": {"outcome": "removed"}} if ok["value"]["outcome"] == "settled" else ok,
)

# --- receipts and credit --------------------------------------------------------------------------


def _stream_receipt(request: Json, ok: Json, memory: Memory) -> None:
    data = memory.get("confirm")
    if request["op"] == "read_chunk" and data and (ok.get("value") or {}).get("chunk"):
        receipt = {"type": "RECEIPT", "sender": data["sender"], "recipient": 2, "session": data["session"]}
        inject(ok, memory, {**receipt, "value": data["sequence"], "reason": 0})
        memory["confirm"] = None


def _note_confirm(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
    if frame["type"] == "DATA" and "CONFIRM" in frame["flags"]:
        memory["confirm"] = frame
    return None


after("receipt-for-a-chunk", "CC-DELIV-044", "fragments", _stream_receipt, reads=_note_confirm)


def _late(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
    if frame["type"] == "FAIL":
        memory[(frame["session"], frame["recipient"])] = True
    late = frame["type"] == "RECEIPT" and (frame["session"], frame["recipient"]) in memory
    return [] if late else None


writes("late-receipt-never", "CC-DELIV-021", "relay_delivery", _late)
writes(
    "credit-without-starts",
    "CC-DELIV-046 CC-DELIV-056",
    "delivery",
    fields("CREDIT", value=lambda n: n - 24),
)
reads("window-high", "CC-DELIV-047 CC-DELIV-048", "delivery", fields("WELCOME", window=lambda n: n + 20_000))
reads("credit-too-much", "CC-DELIV-048", "delivery", fields("CREDIT", value=lambda n: n + 40_000))
writes(
    "no-credit-for-reading",
    "CC-DELIV-054",
    "delivery",
    lambda frame, lane, memory: [] if frame["type"] == "CREDIT" and memory["request"]["op"] == "read" else None,
)


def _note_close(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
    if frame["type"] == "CLOSE":
        memory["closed"] = frame
    return None


def _credit_after(request: Json, ok: Json, memory: Memory) -> None:
    close = memory.pop("closed", None) if request["op"] == "read" else None
    if close:
        credit = {"type": "CREDIT", "sender": close["sender"], "recipient": 2, "session": close["session"]}
        inject(ok, memory, {**credit, "value": 2**40, "reason": 0})


after("credit-after-close", "CC-DELIV-058", "delivery", _credit_after, reads=_note_close)
writes(
    "memory-fail-high",
    "CC-DELIV-060",
    "delivery",
    fields("FAIL", lambda fail: fail["reason"] == code("MEMORY"), value=lambda n: n + 1),
)
writes(
    "confirm-in-the-first-alone",
    "CC-DELIV-012 CC-FRAME-024",
    ("recipients", "fragments"),
    fields("DATA", lambda d: is_part(d) and d["fragment"]["index"] > 0, flags=flag("CONFIRM", False)),
)

# --- the send buffer and lossy queues -------------------------------------------------------------


def _large(request: Json, ok: Json, memory: Memory) -> None:
    if request["op"] == "send" and len(request["data"]) > 2 * 400_000 and "value" in ok:
        del ok["value"]
        ok["raised"] = {"code": "WOULD_BLOCK"}


after("large-turned-away", "CC-DELIV-063", "delivery", _large)


def _lossy_raises(request: Json, ok: Json, memory: Memory) -> None:
    if request["op"] in ("transport_down", "transport_up"):
        memory["down"] = request["op"] == "transport_down"
    if request["op"] == "open" and "value" in ok and request.get("reliability") == "lossy":
        memory.setdefault("lossy", set()).add(ok["value"]["sender"])
    if request["op"] == "send" and memory.get("down") and request["sender"] in memory.get("lossy", ()):
        ok.pop("value", None)
        ok["raised"] = {"code": "LINK_LOST"}


after("lossy-raises", "CC-DELIV-067", "lossy", _lossy_raises)


def _one_more(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
    if frame["type"] != "DATA" or reliable(frame) or memory["request"]["op"] != "hold":
        return None
    first = memory.get("first") is not memory["request"]
    memory["first"] = memory["request"]
    return [] if first and "fragment" not in frame else None


writes("lossy-one-more-dropped", "CC-DELIV-068", "lossy", _one_more)
writes(
    "lossy-large-dropped",
    "CC-DELIV-069",
    "lossy",
    drop("DATA", lambda d: not reliable(d) and d.get("fragment", {}).get("total", 0) > 4_096),
)


def _again(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
    if frame["type"] != "DATA" or reliable(frame) or "fragment" in frame:
        return None
    key = (frame["sender"], frame["session"], frame["sequence"])
    if key in memory:
        return [{**frame, "sequence": frame["sequence"] + 100}]
    memory[key] = True
    return None


reads("lossy-duplicate-taken", "CC-DELIV-071 CC-DELIV-072", ("lossy", "receiver_states"), _again)


def _late_latest(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
    if frame["type"] != "DATA" or "LATEST" not in frame["flags"]:
        return None
    key = (frame["sender"], frame["session"])
    late = frame["sequence"] < memory.get(key, 0)
    memory[key] = max(memory.get(key, 0), frame["sequence"])
    return [{**frame, "flags": [f for f in frame["flags"] if f != "LATEST"]}] if late else None


reads("latest-late-taken", "CC-DELIV-076", "lossy", _late_latest)


def _latest_large(request: Json, ok: Json, memory: Memory) -> None:
    if request["op"] == "open" and request.get("latest") and "value" in ok:
        memory.setdefault("latest", set()).add(ok["value"]["sender"])
    if request["op"] == "send" and request["sender"] in memory.get("latest", ()) and "raised" in ok:
        del ok["raised"]
        ok["value"] = {"sequence": 1}


after("latest-large-taken", "CC-DELIV-073", "lossy", _latest_large)

# --- drops and counters ---------------------------------------------------------------------------


def _counters(change: Any) -> Any:
    def do(request: Json, ok: Json, memory: Memory) -> None:
        shown = ok.get("value", {}).get("statistics")
        if request["op"] == "look" and shown:
            for part in [shown["link"], *shown.get("senders", {}).values(), *shown.get("receivers", {}).values()]:
                change(part, part is shown["link"])

    return do


def _doubled(part: Json, link: bool) -> None:
    part["drops"] = {reason: 2 * count for reason, count in part["drops"].items()}


def _other_reason(part: Json, link: bool) -> None:
    part["drops"] = {{"mismatch": "duplicate"}.get(reason, reason): n for reason, n in part["drops"].items()}


def _link_alone(part: Json, link: bool) -> None:
    if not link:
        part["drops"] = {}


def _no_confirmed(part: Json, link: bool) -> None:
    part.pop("messages_confirmed", None)
    part.pop("resumes", None)


after("drops-twice", "CC-DELIV-077", "lossy", _counters(_doubled))
after("drops-other-reason", "CC-DELIV-078", "receiver", _counters(_other_reason))
after("drops-of-the-link-alone", "CC-DELIV-079", "lossy", _counters(_link_alone))
after("counters-missing", "CC-DELIV-080", "receiver", _counters(_no_confirmed))

# --- reading --------------------------------------------------------------------------------------

value(
    "read-raises",
    "CC-SESS-031",
    "receiver",
    "read",
    lambda ok: {**ok, "raised": {"code": "WOULD_BLOCK"}} if ok.get("value") == {"message": None} else ok,
)


def _read_again(request: Json, ok: Json, memory: Memory) -> None:
    if request["op"] != "read" or "value" not in ok:
        return
    if ok["value"]["message"] is not None:
        memory[request["receiver"]] = ok["value"]["message"]
    elif request["receiver"] in memory:
        ok["value"]["message"] = memory.pop(request["receiver"])


after("read-again", "CC-SESS-032", "receiver", _read_again)


def _merged(told: Json, memory: Memory) -> list[Json]:
    if told["event"] != "receiver_created":
        return [told]
    first = memory.setdefault(("first", told["slot"]), told["receiver"])
    return [told] if first == told["receiver"] else []


add("e-receivers-merged", "CC-SESS-028", "receiver", Change(event=_merged))
writes(
    "mismatch-fail-never",
    "CC-SESS-049",
    "receiver_states",
    drop("FAIL", lambda fail: fail["reason"] == code("SESSION_MISMATCH")),
)
writes(
    "too-many-fail-never",
    "CC-SESS-052",
    "lossy",
    drop("FAIL", lambda fail: fail["reason"] == code("TOO_MANY_SESSIONS")),
)
reads("close-value-ignored", "CC-SESS-050", "receiver_states", fields("CLOSE", value=2**32 - 1))
writes(
    "close-fault-value",
    "CC-SESS-043",
    "receiver_states",
    fields("FAIL", lambda fail: fail["reason"] == code("SEQUENCE"), value=lambda n: n + 1),
)
reads("lossy-close-at-once", "CC-SESS-038", "sessions", fields("CLOSE", reason=code("LEFT")))
writes("private-without-block", "CC-FRAME-046", "roster_endpoint", without("recipients", private))
writes("refuse-other-reason", "CC-FRAME-060", "relay", fields("REFUSE", reason=code("OVERRUN")))


def _count_read(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
    if frame["type"] == "UNKNOWN" and frame["number"] & 0x40 and lane == "reliable":
        memory["skipped"] = memory.get("skipped", 0) + 1
    return None


add(
    "s-uncounted-is-counted",
    "CC-FRAME-097",
    "validation",
    Change(
        reads=_count_read,
        writes=lambda frame, lane, memory: (
            [{**frame, "received": frame["received"] + memory.get("skipped", 0)}] if frame["type"] == "ACK" else None
        ),
    ),
)
