# SPDX-License-Identifier: Apache-2.0
"""Seeded defects of behaviour. Each names the requirement that it violates and the areas of checks that have to see it.

They are stated from the requirements, apply to any implementation by `proxy`, and each changes one thing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from callchannel_conformance import standard
from callchannel_conformance.selftest.proxy import Change, Frames, Memory

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Defect:
    """A defect: `requirement` is violated, the checks of `areas` have to fail."""

    requirement: str
    areas: tuple[str, ...]
    change: Change


DEFECTS: Final[dict[str, Defect]] = {}
"""All of them by name."""

_SENDING: Final = ("sender", "delivery", "fragments")
_RECEIVING: Final = ("delivery", "receiver_states", "fragments")


def _add(name: str, requirement: str, areas: tuple[str, ...] | str, change: Change) -> None:
    standard.requirement(requirement)
    named = (areas,) if isinstance(areas, str) else areas
    more = ("relay_delivery", "relay_limits") if "relay" in named else ()
    DEFECTS[name] = Defect(requirement, (*named, *more), change)


def _set(kind: str, when: Callable[[Json], bool] = lambda frame: True, **fields: Any) -> Frames:
    """Change fields of frames of a kind: a value, or a function of the old one."""

    def change(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
        if frame["type"] != kind or not when(frame):
            return None
        new = dict(frame)
        for name, value in fields.items():
            new[name] = value(frame[name]) if callable(value) else value
        return [new]

    return change


def _writes(name: str, requirement: str, areas: tuple[str, ...] | str, change: Frames) -> None:
    _add(f"w-{name}", requirement, areas, Change(writes=change))


def _drop(kind: str, when: Callable[[Json], bool] = lambda frame: True) -> Frames:
    return lambda frame, lane, memory: [] if frame["type"] == kind and when(frame) else None


def _twice(kind: str) -> Frames:
    return lambda frame, lane, memory: [frame, frame] if frame["type"] == kind else None


def _flag(name: str, is_set: bool) -> Callable[[list[str]], list[str]]:
    order = ("RELIABLE", "HIGH", "PRIVATE", "CONFIRM", "LATEST")
    return lambda flags: [
        flag for flag in order if (flag in flags or (flag == name and is_set)) and (flag != name or is_set)
    ]


def _fragment(**fields: Any) -> Callable[[Json], Json]:
    return lambda part: {**part, **{k: v(part[k]) if callable(v) else v for k, v in fields.items()}}


def _is_part(frame: Json) -> bool:
    return "fragment" in frame and not frame["fragment"]["abort"]


def _is_abort(frame: Json) -> bool:
    return bool(frame.get("fragment", {}).get("abort"))


def _private(frame: Json) -> bool:
    return bool(frame.get("recipients", {}).get("slots"))


def _code(name: str) -> int:
    return standard.codes()[name]


# --- the link -------------------------------------------------------------------------------------

_LINK: Final = "link_endpoint"
_writes("hello-attempt-stays", "CC-LINK-012", _LINK, _set("HELLO", attempt=1))
_writes("hello-count-high", "CC-LINK-015", _LINK, _set("HELLO", lambda h: h["resume"], received=lambda n: n + 1))
_writes("hello-count-zero", "CC-LINK-015", _LINK, _set("HELLO", received=0))
_writes("hello-other-token", "CC-LINK-011", _LINK, _set("HELLO", lambda h: h["resume"], token="00" * 16))
_writes("hello-other-window", "CC-LINK-013", _LINK, _set("HELLO", lambda h: h["resume"], window=70_000))
_writes("hello-no-id", "CC-LINK-013", _LINK, _set("HELLO", lambda h: h["resume"], id=""))
_writes("hello-same-instance", "CC-LINK-010", _LINK, _set("HELLO", lambda h: not h["resume"], token="11" * 16))
_writes("hello-never-replaces", "CC-LINK-050", _LINK, _set("HELLO", replace=False))
_writes("hello-window-too-large", "CC-LIMIT-018", _LINK, _set("HELLO", window=2**32 - 1))
_writes("ack-high", "CC-LINK-038", _LINK, _set("ACK", received=lambda n: n + 1))
_writes("ack-low", "CC-LINK-038", _LINK, _set("ACK", received=lambda n: max(n - 1, 0)))
_writes("ack-never", "CC-LINK-036", _LINK, _drop("ACK"))
_writes("bye-never", "CC-LINK-053", "validation", _drop("BYE"))
_writes("bye-other-code", "CC-LINK-066", "validation", _set("BYE", code=_code("INTERNAL")))
_writes("bye-left-as-none", "CC-LINK-060", _LINK, _set("BYE", code=0))
_writes("bye-twice", "CC-LINK-053", _LINK, _twice("BYE"))
_writes(
    "early-ack",
    "CC-LINK-008",
    _LINK,
    lambda frame, lane, memory: [frame, {"type": "ACK", "received": 0}] if frame["type"] == "HELLO" else None,
)
_writes(
    "other-type",
    "CC-EXT-028",
    _LINK,
    lambda frame, lane, memory: (
        [{"type": "UNKNOWN", "number": 0xC1, "flags": 0, "body": ""}, frame] if frame["type"] == "ACK" else None
    ),
)

# --- sessions and fragments -----------------------------------------------------------------------

_writes("session-jumps", "CC-SESS-007", "sender", _set("DATA", session=lambda n: n + 1))
_writes("session-falls", "CC-MODEL-005", "sender", _set("DATA", session=lambda n: 1_000 - n))
_writes("sequence-jumps", "CC-SESS-012", "sender", _set("DATA", sequence=lambda n: n + 1))
_writes("sequence-stays", "CC-MODEL-006", "sender", _set("DATA", sequence=1))
_writes("channel-wrong", "CC-SESS-002", "sender", _set("DATA", channel=lambda n: n + 1))
_writes(
    "priority-changes",
    "CC-MODEL-007",
    ("sender", "scheduling"),
    _set("DATA", lambda d: d["sequence"] % 2 == 0, flags=_flag("HIGH", True)),
)
_writes("sender-wrong", "CC-ROSTER-010", "sender", _set("DATA", sender=0))
_writes(
    "payload-changed",
    "CC-FRAG-009",
    "fragments",
    _set("DATA", lambda d: len(d["payload"]) > 100, payload=lambda p: p[2:] + "ff"),
)
_writes("close-low", "CC-SESS-018", "sender", _set("CLOSE", value=lambda n: max(n - 1, 1)))
_writes("close-high", "CC-SESS-018", "sender", _set("CLOSE", value=lambda n: n + 1))
_writes("close-left", "CC-SESS-019", "sender", _set("CLOSE", reason=_code("LEFT")))
_writes("close-twice", "CC-SESS-016", "sender", _twice("CLOSE"))
_writes("close-never", "CC-SESS-016", "sender", _drop("CLOSE"))
_writes("close-names-recipient", "CC-FRAME-061", "sender", _set("CLOSE", recipient=1))
_add(
    "w-close-first",
    "CC-SESS-022",
    "sender",
    Change(packet=lambda frames, lane, memory: sorted(frames, key=lambda x: x["type"] != "CLOSE")),
)
_writes(
    "total-changes",
    "CC-FRAG-008",
    "fragments",
    _set("DATA", lambda d: _is_part(d) and d["fragment"]["index"] > 0, fragment=_fragment(total=lambda n: n + 1)),
)
_writes(
    "total-wrong",
    "CC-FRAG-009",
    "fragments",
    _set("DATA", lambda d: _is_part(d) and d["fragment"]["total"] > 0, fragment=_fragment(total=lambda n: n + 1)),
)
_writes("index-from-one", "CC-FRAG-007", "fragments", _set("DATA", _is_part, fragment=_fragment(index=lambda n: n + 1)))
_writes(
    "no-last",
    "CC-FRAG-009",
    "fragments",
    _set("DATA", lambda d: _is_part(d) and len(d["payload"]) > 0, fragment=_fragment(last=False)),
)
_writes(
    "stream-never-ends",
    "CC-FRAG-022",
    "fragments",
    _drop("DATA", lambda d: _is_part(d) and d["fragment"]["total"] == 0 and d["fragment"]["last"]),
)
_writes(
    "abort-index",
    "CC-FRAG-015",
    ("sender", "fragments"),
    _set("DATA", _is_abort, fragment=_fragment(index=lambda n: n + 1)),
)
_writes(
    "abort-total",
    "CC-FRAG-008",
    ("sender", "fragments"),
    _set("DATA", _is_abort, fragment=_fragment(total=lambda n: n + 1)),
)
_writes("abort-never", "CC-FRAG-013", ("sender", "fragments"), _drop("DATA", _is_abort))
_writes("abort-flags", "CC-FRAG-016", ("sender", "fragments"), _set("DATA", _is_abort, flags=_flag("HIGH", True)))
_writes(
    "lossy-total",
    "CC-FRAG-034",
    "lossy",
    _set("DATA", lambda d: "RELIABLE" not in d["flags"] and _is_part(d), fragment=_fragment(total=lambda n: n - 1)),
)
_add("w-lossy-on-reliable", "CC-MODEL-010", "lossy", Change(lane=lambda frames, lane: "reliable"))
_writes("not-latest", "CC-DELIV-074", "lossy", _set("DATA", flags=_flag("LATEST", False)))
_writes("fail-value-high", "CC-SESS-042", ("receiver_states", "fragments"), _set("FAIL", value=lambda n: n + 1))
_writes("fail-value-low", "CC-SESS-044", "receiver_states", _set("FAIL", value=lambda n: max(n - 1, 1)))
_writes("fail-uncertain", "CC-SESS-046", "receiver_states", _set("FAIL", uncertain=True))
_writes("fail-other-code", "CC-FRAG-046", ("receiver_states", "fragments"), _set("FAIL", reason=_code("INTERNAL")))
_writes("fail-never", "CC-SESS-067", "receiver_states", _drop("FAIL"))
_writes("fail-twice", "CC-SESS-047", "receiver_states", _twice("FAIL"))
_writes("fail-recipient", "CC-FRAME-061", "receiver_states", _set("FAIL", recipient=1))

# --- delivery -------------------------------------------------------------------------------------

_writes("no-confirm", "CC-DELIV-012", "delivery", _set("DATA", flags=_flag("CONFIRM", False)))
_writes(
    "always-confirm",
    "CC-DELIV-012",
    "delivery",
    _set("DATA", lambda d: "RELIABLE" in d["flags"], flags=_flag("CONFIRM", True)),
)
_writes("receipt-high", "CC-DELIV-042", "delivery", _set("RECEIPT", value=lambda n: n + 1))
_writes("receipt-low", "CC-DELIV-042", "delivery", _set("RECEIPT", value=1))
_writes("receipt-never", "CC-DELIV-041", "delivery", _drop("RECEIPT"))
_writes("receipt-twice", "CC-DELIV-043", "delivery", _twice("RECEIPT"))
_writes("credit-high", "CC-DELIV-051", "delivery", _set("CREDIT", value=lambda n: n + 1))
_writes("credit-low", "CC-DELIV-052", "delivery", _set("CREDIT", value=lambda n: n - 1))
_writes("credit-never", "CC-DELIV-055", "delivery", _drop("CREDIT"))
_writes("credit-twice", "CC-DELIV-053", "delivery", _twice("CREDIT"))
_add(
    "w-fail-before-receipt",
    "CC-DELIV-019",
    "delivery",
    Change(packet=lambda frames, lane, memory: sorted(frames, key=lambda x: x["type"] == "RECEIPT")),
)
_add(
    "w-ack-first",
    "CC-DELIV-018",
    ("delivery", "scheduling"),
    Change(packet=lambda frames, lane, memory: sorted(frames, key=lambda x: x["type"] != "ACK")),
)
_writes(
    "refuses",
    "CC-FRAME-015",
    "sender",
    lambda frame, lane, memory: (
        [{k: v for k, v in frame.items() if k != "uncertain"} | {"type": "REFUSE"}]
        if frame["type"] == "CLOSE"
        else None
    ),
)

# --- recipients and extensions --------------------------------------------------------------------

_ROSTER: Final = "roster_endpoint"
_writes(
    "block-old-epoch",
    "CC-ROSTER-044",
    _ROSTER,
    _set("DATA", _private, recipients=lambda b: {**b, "epoch": max(b["epoch"] - 1, 1)}),
)
_writes(
    "block-one-less",
    "CC-ROSTER-046",
    _ROSTER,
    _set(
        "DATA",
        lambda d: len(d.get("recipients", {}).get("slots", ())) > 1,
        recipients=lambda b: {**b, "slots": b["slots"][1:]},
    ),
)
_writes(
    "block-inverted",
    "CC-ROSTER-046",
    _ROSTER,
    _set("DATA", _private, recipients=lambda b: {**b, "except": not b["except"]}),
)
_writes(
    "block-names-self",
    "CC-ROSTER-056",
    _ROSTER,
    _set("DATA", _private, recipients=lambda b: {**b, "slots": sorted({*b["slots"], 2})}),
)
_writes(
    "block-names-nobody",
    "CC-ROSTER-055",
    _ROSTER,
    _set("DATA", _private, recipients=lambda b: {**b, "slots": sorted({*b["slots"], 40_000})}),
)
_writes(
    "no-extensions",
    "CC-EXT-001",
    "extensions",
    lambda f, lane, m: [{k: v for k, v in f.items() if k != "extensions"}] if f["type"] == "DATA" else None,
)
_writes(
    "lifetime-once",
    "CC-EXT-002",
    "extensions",
    lambda f, lane, m: (
        [{k: v for k, v in f.items() if k != "extensions"}] if f.get("fragment", {}).get("index") else None
    ),
)
_writes(
    "encrypts",
    "CC-SEC-027",
    "extensions",
    lambda f, lane, m: (
        [{**f, "extensions": [{"type": 5, "must_understand": False, "value": ""}]}]
        if f["type"] == "DATA" and "fragment" not in f
        else None
    ),
)
_writes(
    "private-type",
    "CC-EXT-020",
    "extensions",
    lambda f, lane, m: (
        [{**f, "extensions": [{"type": 0x4000, "must_understand": False, "value": ""}]}]
        if f["type"] == "DATA" and "fragment" not in f
        else None
    ),
)

# --- the acceptor and the relay -------------------------------------------------------------------

_writes("welcome-id", "CC-LINK-026", ("relay", "peer"), _set("WELCOME", id=lambda name: name + "x"))
_writes("welcome-slot", "CC-PEER-002", ("peer", "relay"), _set("WELCOME", slot=lambda n: n + 3))
_writes("welcome-attempt", "CC-LINK-023", "peer", _set("WELCOME", attempt=1))
_writes("welcome-count", "CC-LINK-027", "peer", _set("WELCOME", received=lambda n: n + 1))
_writes("welcome-token", "CC-LINK-028", "peer", _set("WELCOME", lambda w: w["attempt"] > 1, token="00" * 16))
_writes("welcome-largest", "CC-RELAY-005", "relay", _set("WELCOME", largest_message=50_000))
_writes("welcome-twice", "CC-LINK-022", "peer", _twice("WELCOME"))
_writes("roster-epoch", "CC-ROSTER-013", ("relay", "peer"), _set("ROSTER", epoch=lambda n: n + 1))
_writes("roster-no-snapshot", "CC-ROSTER-020", "relay", _set("ROSTER", snapshot=False))
_writes("roster-always-snapshot", "CC-ROSTER-020", "relay", _set("ROSTER", snapshot=True))
_writes("roster-descends", "CC-ROSTER-017", "relay", _set("ROSTER", entries=lambda e: e[::-1]))
_writes(
    "roster-without-last", "CC-ROSTER-017", "relay", _set("ROSTER", lambda r: r["snapshot"], entries=lambda e: e[:-1])
)
_writes(
    "roster-reason",
    "CC-ROSTER-030",
    "relay",
    _set(
        "ROSTER", entries=lambda e: [{**x, "reason": _code("LOST") if x["op"] == "LEAVE" else x["reason"]} for x in e]
    ),
)
_writes(
    "roster-no-suspension",
    "CC-ROSTER-018",
    "relay",
    _set("ROSTER", entries=lambda e: [x for x in e if x["op"] != "SUSPENDED"]),
)
_writes("forwards-high", "CC-RELAY-025", "relay", _set("DATA", flags=_flag("HIGH", False)))
_writes("forwards-not-private", "CC-ROSTER-066", "relay", _set("DATA", flags=_flag("PRIVATE", False)))
_writes(
    "forwards-no-extensions",
    "CC-EXT-005",
    "relay",
    lambda f, lane, m: [{k: v for k, v in f.items() if k != "extensions"}] if f["type"] == "DATA" else None,
)
_writes(
    "forwards-block",
    "CC-FRAME-047",
    "relay",
    lambda f, lane, m: (
        [{**f, "recipients": {"epoch": 4, "except": False, "slots": [1]}}]
        if f["type"] == "DATA" and "PRIVATE" in f["flags"]
        else None
    ),
)
_writes("forwards-own-slot", "CC-ROSTER-032", "relay", _set("DATA", sender=77))
_writes("forwards-twice", "CC-FRAG-004", "relay", _twice("DATA"))
_writes("close-reason", "CC-ERR-010", "relay", _set("CLOSE", reason=0))
_writes("close-not-forwarded", "CC-RELAY-031", "relay", _drop("CLOSE"))
_writes("refuse-reason", "CC-RELAY-018", "relay", _set("REFUSE", reason=_code("POLICY")))
_writes("refuse-sequence", "CC-RELAY-016", "relay", _set("REFUSE", value=lambda n: n + 1))
_writes("refuse-never", "CC-RELAY-016", "relay", _drop("REFUSE"))
_writes("relay-fail-value", "CC-RELAY-048", "relay", _set("FAIL", value=lambda n: n + 1))
_writes("relay-fail-certain", "CC-RELAY-049", "relay", _set("FAIL", uncertain=False))
_writes("relay-fail-reason", "CC-RELAY-051", "relay", _set("FAIL", reason=_code("INTERNAL")))
_writes("relay-fail-never", "CC-RELAY-046", "relay", _drop("FAIL"))
_writes("relay-receipt-slot", "CC-RELAY-067", "relay", _set("RECEIPT", recipient=0xFFFF))
_writes("relay-receipt-high", "CC-RELAY-071", "relay", _set("RECEIPT", value=lambda n: n + 1))
_writes("relay-receipt-never", "CC-RELAY-068", "relay", _drop("RECEIPT"))
_writes("relay-credit-never", "CC-RELAY-037", "relay", _drop("CREDIT"))

# --- what is read ---------------------------------------------------------------------------------


def _reads(name: str, requirement: str, areas: tuple[str, ...] | str, change: Frames) -> None:
    _add(f"r-{name}", requirement, areas, Change(reads=change))


_reads("receipt-is-ignored", "CC-DELIV-013", "delivery", _set("RECEIPT", session=9_999))
_reads("refuse-is-ignored", "CC-DELIV-031", "sender", _set("REFUSE", session=9_999))
_reads("credit-is-ignored", "CC-DELIV-049", "delivery", _set("CREDIT", value=0))
_reads("uncertain-is-ignored", "CC-DELIV-022", "delivery", _set("FAIL", uncertain=False))
_reads("reason-is-ignored", "CC-ERR-003", "validation", _set("CLOSE", reason=0))
_reads("priority-is-ignored", "CC-SESS-027", ("receiver_states", "fragments"), _set("DATA", flags=_flag("HIGH", False)))
_reads("private-is-ignored", "CC-FRAG-012", "fragments", _set("DATA", flags=_flag("PRIVATE", False)))
_reads("latest-is-ignored", "CC-DELIV-075", "lossy", _set("DATA", flags=_flag("LATEST", False)))
_reads("confirm-is-ignored", "CC-DELIV-041", "delivery", _set("DATA", flags=_flag("CONFIRM", False)))
_reads(
    "extensions-are-ignored",
    "CC-EXT-008",
    "extensions",
    lambda f, lane, m: [{k: v for k, v in f.items() if k != "extensions"}] if f["type"] == "DATA" else None,
)
_reads("features-are-used", "CC-LINK-031", _LINK, _set("WELCOME", received=0))
_reads(
    "suspension-is-ignored",
    "CC-ERR-020",
    _ROSTER,
    _set("ROSTER", entries=lambda e: [x for x in e if x["op"] != "SUSPENDED"]),
)

# --- what the application is told -----------------------------------------------------------------


def _event(
    name: str, requirement: str, areas: tuple[str, ...] | str, kind: str, change: Callable[[Json], list[Json]]
) -> None:
    _add(
        f"e-{name}",
        requirement,
        areas,
        Change(event=lambda event, memory: change(event) if event["event"] == kind else [event]),
    )


_event("closed-never", "CC-ERR-021", "receiver_states", "receiver_closed", lambda e: [])
_event("closed-code", "CC-ERR-021", "receiver_states", "receiver_closed", lambda e: [{**e, "code": "NONE"}])
_event("readable-never", "CC-SESS-029", "receiver_states", "receiver_readable", lambda e: [])
_event("readable-twice", "CC-SESS-029", "receiver_states", "receiver_readable", lambda e: [e, e])
_event("created-slot", "CC-SEC-005", _ROSTER, "receiver_created", lambda e: [{**e, "identity": "ann"}])
_event("created-session", "CC-SESS-027", "receiver_states", "receiver_created", lambda e: [{**e, "session": 7}])
_event("confirmed-twice", "CC-MODEL-014", "delivery", "message_confirmed", lambda e: [e, e])
_event("confirmed-never", "CC-DELIV-010", "delivery", "message_confirmed", lambda e: [])
_event(
    "failed-as-confirmed",
    "CC-DELIV-003",
    "delivery",
    "message_failed",
    lambda e: [{**{k: v for k, v in e.items() if k != "code"}, "event": "message_confirmed"}],
)
_event("failed-code", "CC-DELIV-005", "delivery", "message_failed", lambda e: [{**e, "code": "INTERNAL"}])
_event("failed-no-report", "CC-DELIV-004", "delivery", "message_failed", lambda e: [{**e, "report": None}])
_event("recipient-failed-never", "CC-DELIV-025", "sender", "recipient_failed", lambda e: [])
_event("writable-never", "CC-DELIV-066", "delivery", "sender_writable", lambda e: [])
_event("sender-ended-never", "CC-SESS-066", "sender", "sender_ended", lambda e: [])
_event("sender-ended-code", "CC-SESS-024", "sender", "sender_ended", lambda e: [{**e, "code": "NONE"}])
_event("custody-never", "CC-DELIV-040", "delivery", "custody_lost", lambda e: [])
_event("link-ended-twice", "CC-ERR-025", _LINK, "link_ended", lambda e: [e, e])
_event("link-ended-code", "CC-ERR-025", "validation", "link_ended", lambda e: [{**e, "code": "LINK_LOST"}])
_event("suspended-never", "CC-LINK-064", "link_states", "suspended", lambda e: [])
_event("resumed-never", "CC-LINK-064", "link_states", "resumed", lambda e: [])
_event("left-code", "CC-PEER-020", "peer", "participant_left", lambda e: [{**e, "code": "LEFT"}])


def _value(name: str, requirement: str, areas: tuple[str, ...] | str, op: str, change: Callable[[Json], Json]) -> None:
    def reply(request: Json, reply: Json, memory: Memory) -> Json:
        if request["op"] == op and isinstance(reply.get("ok"), dict):
            reply["ok"] = change(reply["ok"])
        return reply

    _add(f"v-{name}", requirement, areas, Change(reply=reply))


def _raised(old: str, new: str) -> Callable[[Json], Json]:
    return lambda ok: {**ok, "raised": {**ok["raised"], "code": new}} if ok.get("raised", {}).get("code") == old else ok


def _message(**fields: Any) -> Callable[[Json], Json]:
    def change(ok: Json) -> Json:
        message = ok.get("value", {}).get("message")
        if message is None:
            return ok
        return {
            **ok,
            "value": {"message": {**message, **{k: v(message[k]) if callable(v) else v for k, v in fields.items()}}},
        }

    return change


_value("unknown-recipient", "CC-ROSTER-039", _ROSTER, "send", _raised("UNKNOWN_RECIPIENT", "RECIPIENT_FAILED"))
_value("recipient-failed", "CC-DELIV-027", "sender", "send", _raised("RECIPIENT_FAILED", "UNKNOWN_RECIPIENT"))
_value("sender-closed", "CC-SESS-066", "sender", "send", _raised("SENDER_CLOSED", "LINK_LOST"))
_value("would-block", "CC-DELIV-062", "delivery", "send", _raised("WOULD_BLOCK", "MESSAGE_TOO_LARGE"))
_value("too-large", "CC-LIMIT-019", "delivery", "send", _raised("MESSAGE_TOO_LARGE", "INVALID_ARGUMENT"))
_value("open-argument", "CC-SESS-001", "sender", "open", _raised("INVALID_ARGUMENT", "NO_CHANNEL"))
_value("open-after-leave", "CC-LINK-062", _LINK, "open", _raised("NOT_JOINED", "LINK_LOST"))
_value("setting", "CC-LIMIT-003", "extensions", "create", lambda ok: {"value": {}} if "raised" in ok else ok)
_value(
    "stream-aborted",
    "CC-FRAG-028",
    "fragments",
    "read_chunk",
    lambda ok: (
        {**{k: v for k, v in ok.items() if k != "raised"}, "value": {"chunk": {"data": "", "last": True}}}
        if "raised" in ok
        else ok
    ),
)
_value("bytes-reversed", "CC-MODEL-004", "fragments", "read", _message(data=lambda d: bytes.fromhex(d)[::-1].hex()))
_value("sequence-read", "CC-SESS-030", "lossy", "read", _message(sequence=lambda n: n + 1))
_value("not-private", "CC-FRAG-012", "fragments", "read", _message(private=False))
_value("no-metadata", "CC-EXT-004", "extensions", "read", _message(metadata={}))
_value(
    "nothing-to-read",
    "CC-ERR-022",
    "delivery",
    "read",
    lambda ok: {**ok, "value": {"message": None}} if "value" in ok else ok,
)
_value(
    "cancel-outcome",
    "CC-DELIV-036",
    "sender",
    "cancel",
    lambda ok: {**ok, "value": {"outcome": "removed"}} if "value" in ok else ok,
)
