# SPDX-License-Identifier: Apache-2.0
"""Defects that show only with what went before: they keep in memory what a wrong implementation mixes up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from callchannel_conformance import wire
from callchannel_conformance.selftest.defects.words import Areas, add, reliable
from callchannel_conformance.selftest.proxy import Change, Frames, Memory

Json = dict[str, Any]
After = Callable[[Json, Json, Memory], None]

_SECOND_LIFE = 5_000
"""Added to the number of a session that an implementation took for another one."""


def inject(ok: Json, memory: Memory, *frames: Json, lane: str = "reliable") -> None:
    """Write frames in a packet of their own on the newest transport, behind all else."""
    packet = b"".join(wire.encode_frame(frame, judge=False) for frame in frames).hex()
    ok.setdefault("packets", []).append({"transport": memory["transport"], "lane": lane, "packet": packet})


def after(name: str, requirements: str, areas: Areas, do: After, **more: Any) -> None:
    """A defect in what follows from a request: *do* is given request, `ok` of the reply, and memory."""

    def reply(request: Json, reply: Json, memory: Memory) -> Json:
        if isinstance(reply.get("ok"), dict):
            do(request, reply["ok"], memory)
        return reply

    add(f"s-{name}", requirements, areas, Change(reply=reply, **more))


def renumbered(name: str, requirements: str, areas: Areas, ended: Callable[[Json, Memory], bool]) -> None:
    """A defect that takes DATA of a session that has *ended* for one of another, new session."""

    def reads(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
        if frame["type"] != "DATA":
            return None
        new = ended(frame, memory)
        return [{**frame, "session": frame["session"] + _SECOND_LIFE}] if new else None

    def event(told: Json, memory: Memory) -> list[Json]:
        if told["event"] == "receiver_created":
            memory[("receiver", told["receiver"])] = told["session"]
        if told["event"] == "receiver_closed":
            session = memory.get(("receiver", told["receiver"]))
            memory.setdefault("idle" if told["code"] == "IDLE" else "ended", set()).add(session)
        return [told]

    add(f"s-{name}", requirements, areas, Change(reads=reads, event=event))


# --- numbers that are given -----------------------------------------------------------------------


def _shifted(name: str, requirements: str, areas: Areas, counts: Callable[[Json, Json], int]) -> None:
    """All later sequences of a sender are off by what *counts* gives for a request and its reply."""

    def do(request: Json, ok: Json, memory: Memory) -> None:
        if request["op"] == "send" and "value" in ok:
            ok["value"]["sequence"] += memory.get("off", 0)
        memory["off"] = memory.get("off", 0) + counts(request, ok)

    def writes(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
        moved = frame["type"] == "DATA" and memory.get("off")
        return [{**frame, "sequence": frame["sequence"] + memory["off"]}] if moved else None

    after(name, requirements, areas, do, writes=writes)


def _raised(*codes: str) -> Callable[[Json, Json], int]:
    return lambda request, ok: int(
        request["op"] == "send" and "raised" in ok and (not codes or ok["raised"]["code"] in codes)
    )


_shifted("raise-spends", "CC-SESS-013 CC-ERR-013", ("sender", "delivery"), _raised())
_shifted("would-block-spends", "CC-DELIV-065", "delivery", _raised("WOULD_BLOCK"))
_shifted(
    "cancel-gives-back",
    "CC-SESS-014",
    "sender",
    lambda request, ok: -int(ok.get("value", {}).get("outcome") == "removed"),
)


def _opens(request: Json, ok: Json, memory: Memory) -> None:
    if request["op"] == "open" and "value" in ok and "transport" in memory:
        number = memory["opened"] = memory.get("opened", 0) + 1
        data = {"type": "DATA", "flags": ["RELIABLE"], "channel": 777, "sender": 2, "session": 9_000 + number}
        inject(ok, memory, {**data, "sequence": 1, "payload": ""})


after("open-writes", "CC-SESS-006", "sender", _opens)


def _old_channel(request: Json, ok: Json, memory: Memory) -> None:
    if request["op"] == "open" and "value" in ok:
        memory[ok["value"]["sender"]] = ok["value"]["channel"]
    if request["op"] == "close":
        memory["freed"] = memory.get(request["sender"])


def _on_old_channel(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
    if frame["type"] == "CLOSE":
        memory.setdefault("gone", set()).add(frame["session"])
    taken = frame["type"] == "DATA" and memory.get("freed") and frame["session"] > max(memory.get("gone", {0}))
    return [{**frame, "channel": memory["freed"]}] if taken else None


after("closing-is-free", "CC-SESS-003", "sender", _old_channel, writes=_on_old_channel)
add(
    "s-session-again",
    "CC-SESS-008",
    "sender",
    Change(writes=lambda frame, lane, memory: [{**frame, "session": 1}] if frame["type"] == "DATA" else None),
)
add(
    "s-lossy-overtakes",
    "CC-SESS-009",
    "sender",
    Change(
        writes=lambda frame, lane, memory: (
            [{**frame, "session": 3 - frame["session"]}]
            if frame["type"] == "DATA" and not reliable(frame) and frame["session"] < 3
            else None
        )
    ),
)

# --- sessions that are forgotten, or are not ------------------------------------------------------

renumbered(
    "idle-forgets",
    "CC-SESS-034",
    "receiver",
    lambda frame, memory: frame["session"] in memory.get("idle", ()),
)
renumbered(
    "dead-is-forgotten",
    "CC-SESS-057 CC-SESS-058",
    "receiver_states",
    lambda frame, memory: frame["session"] in memory.get("ended", ()),
)


def _idle_stays(told: Json, memory: Memory) -> list[Json]:
    if told["event"] == "receiver_closed" and told["code"] == "IDLE":
        memory["idle"] = True
    return [] if memory.get("idle") and told["event"] in ("receiver_created", "receiver_readable") else [told]


add("s-idle-is-the-end", "CC-SESS-035", "receiver", Change(event=_idle_stays))


def _below(frame: Json, memory: Memory) -> bool:
    key = ("greatest", frame["sender"], frame["channel"])
    known = memory.setdefault(("known", frame["sender"]), set())
    old = frame["session"] not in known and frame["session"] < memory.get(key, 0)
    known.add(frame["session"])
    memory[key] = max(memory.get(key, 0), frame["session"])
    return old


renumbered("greatest-is-forgotten", "CC-SESS-059", "receiver", _below)


def _below_peer(frame: Json, memory: Memory) -> bool:
    old = reliable(frame) and frame["session"] <= memory.get("greatest", 0) and frame["session"] in memory["closed"]
    old = old or (reliable(frame) and frame["session"] < memory.get("greatest", 0))
    memory["greatest"] = max(memory.get("greatest", 0), frame["session"])
    memory.setdefault("closed", set())
    return old


renumbered("peer-greatest-is-forgotten", "CC-SESS-060", "peer", _below_peer)


def _drops_if(kind: str, seen: Callable[[Json, Memory], bool], note: Callable[[Json, Memory], None]) -> Frames:
    """Drop frames of a kind; *note* is given each frame that is read, after it was judged."""

    def reads(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
        gone = frame["type"] == kind and seen(frame, memory)
        note(frame, memory)
        return [] if gone else None

    return reads


def _note_close(frame: Json, memory: Memory) -> None:
    if frame["type"] == "CLOSE" and frame["reason"] == 0:
        memory.setdefault("complete", set()).add(frame["session"])


add(
    "s-complete-is-kept",
    "CC-SESS-056",
    "receiver_states",
    Change(
        reads=_drops_if(
            "DATA",
            lambda frame, memory: reliable(frame) and frame["session"] in memory.get("complete", ()),
            _note_close,
        )
    ),
)


def _note_data(frame: Json, memory: Memory) -> None:
    if frame["type"] == "DATA":
        memory.setdefault("known", set()).add((frame["sender"], frame["session"]))


def _unknown(frame: Json, memory: Memory) -> bool:
    return (frame["sender"], frame["session"]) not in memory.get("known", ())


add(
    "s-close-of-unknown-is-ignored",
    "CC-SESS-039 CC-SESS-063",
    ("lossy", "relay"),
    Change(reads=_drops_if("CLOSE", _unknown, _note_data)),
)


def _fail_of_unknown(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
    _note_data(frame, memory)
    return [{**frame, "value": 0}] if frame["type"] == "FAIL" and _unknown(frame, memory) else None


add("s-fail-of-unknown-ends-link", "CC-SESS-064", "relay", Change(reads=_fail_of_unknown))


def _old_occupant(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
    if frame["type"] == "ROSTER" and not frame["snapshot"]:
        joined = {entry["slot"] for entry in frame["entries"] if entry["op"] == "JOIN"}
        memory.setdefault("old", set()).update(key for key in memory.get("known", ()) if key[0] in joined)
    if frame["type"] == "DATA" and (frame["sender"], frame["session"]) in memory.get("old", ()):
        return []
    _note_data(frame, memory)
    return None


add("s-occupants-are-mixed", "CC-SESS-055", ("roster_endpoint", "receiver_states"), Change(reads=_old_occupant))


def _leave_ends(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
    _note_data(frame, memory)
    if frame["type"] != "ROSTER" or frame["snapshot"]:
        return None
    gone = {entry["slot"] for entry in frame["entries"] if entry["op"] == "LEAVE"}
    ends = [
        {
            "type": "FAIL",
            "sender": sender,
            "recipient": 2,
            "session": session,
            "value": 1,
            "reason": 1,
            "uncertain": False,
        }
        for sender, session in sorted(memory.get("known", ()))
        if sender in gone
    ]
    return [*ends, frame]


add("s-leave-ends-sessions", "CC-SESS-053", ("receiver_states", "roster_endpoint"), Change(reads=_leave_ends))


def _newer_ends(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
    if frame["type"] != "DATA" or not reliable(frame):
        return None
    key = (frame["sender"], frame["channel"])
    before = memory.get(key)
    memory[key] = max(before or 0, frame["session"])
    if before is None or before >= frame["session"]:
        return None
    close = {"type": "CLOSE", "sender": frame["sender"], "recipient": 0xFFFF, "session": before}
    return [{**close, "value": 2**32 - 1, "reason": 0}, frame]


add("s-newer-ends-reliable", "CC-SESS-041", "receiver", Change(reads=_newer_ends))


def _lossy_last(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
    key = (frame.get("sender"), frame.get("session"))
    if frame["type"] == "DATA" and not reliable(frame):
        memory[key] = max(memory.get(key, 0), frame["sequence"])
    low = frame["type"] == "CLOSE" and frame["value"] < memory.get(key, 0)
    return [] if low else None


add("s-lossy-close-is-judged", "CC-SESS-051", "sessions", Change(reads=_lossy_last))


def _lossy_is_reliable(request: Json, memory: Memory) -> Json:
    if request["op"] != "receive":
        return request
    try:
        frames = wire.decode_packet(bytes.fromhex(request["packet"]), request["lane"])
    except wire.WireError:
        return request
    known = memory.setdefault("known", set())
    known |= {frame["session"] for frame in frames if frame["type"] == "DATA" and reliable(frame)}
    if request["lane"] == "lossy" and any(f["type"] == "DATA" and f["session"] in known for f in frames):
        frames = [{**f, "flags": ["RELIABLE", *f["flags"]]} if f["type"] == "DATA" else f for f in frames]
        packet = b"".join(wire.encode_frame(frame, judge=False) for frame in frames).hex()
        return {**request, "lane": "reliable", "packet": packet}
    return request


add("s-lossy-taken-as-reliable", "CC-SESS-048", "receiver_states", Change(request=_lossy_is_reliable))


def _behind_fail(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
    if frame["type"] == "DATA":
        memory["last"] = frame
    again = memory.get("last")
    return [frame, again] if frame["type"] == "FAIL" and again and again["sender"] == frame["sender"] else None


add("s-relay-writes-behind-fail", "CC-SESS-065", ("relay", "relay_delivery"), Change(writes=_behind_fail))


def _few(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
    if frame["type"] != "DATA":
        return None
    known = memory.setdefault("known", set())
    known.add((frame["sender"], frame["session"]))
    return [] if len(known) > 500 else None


add("s-few-sessions", "CC-SESS-072", "sessions", Change(reads=_few))
