# SPDX-License-Identifier: Apache-2.0
"""Defects of lanes, transports and handshakes, and of the order in which things are written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from callchannel_conformance import wire
from callchannel_conformance.selftest.defects.state import after, inject
from callchannel_conformance.selftest.defects.words import add, code, fields, packets, reads, reliable, twice, writes
from callchannel_conformance.selftest.proxy import Change, Memory

Json = dict[str, Any]


def _decoded(packet: Json) -> list[Json]:
    return wire.decode_packet(bytes.fromhex(packet["packet"]), packet["lane"])


# --- lanes and transports -------------------------------------------------------------------------

add(
    "w-reliable-on-lossy",
    "CC-MODEL-009",
    "scheduling",
    Change(lane=lambda frames, lane: "lossy" if any(f["type"] == "DATA" for f in frames) else lane),
)
reads(
    "lossy-on-reliable-is-dropped",
    "CC-MODEL-011 CC-LINK-005",
    "lossy",
    lambda frame, lane, memory: [] if frame["type"] == "DATA" and not reliable(frame) and lane == "reliable" else None,
)


def _to_newest(request: Json, memory: Memory) -> Json:
    if request["op"] != "receive" or "transport" not in memory:
        return request
    return {**request, "transport": memory["transport"]}


add(
    "q-old-transport-is-read",
    "CC-LINK-001 CC-LINK-006 CC-LINK-046 CC-LINK-047 CC-LINK-072",
    ("resume", "link_endpoint"),
    Change(request=_to_newest),
)


def _to_bound(request: Json, memory: Memory) -> Json:
    if request["op"] != "receive":
        return request
    if request["packet"].startswith("41"):
        memory["bound"] = request["transport"]
    return {**request, "transport": memory.get("bound", request["transport"])}


add("q-unbound-is-bound", "CC-LINK-021", "resume", Change(request=_to_bound))


def _fault_on_reliable(request: Json, memory: Memory) -> Json:
    if request["op"] == "receive" and request["lane"] == "lossy":
        try:
            wire.decode_packet(bytes.fromhex(request["packet"]), "lossy")
        except wire.WireError:
            return {**request, "lane": "reliable"}
    return request


add("q-lossy-fault-ends-link", "CC-LINK-067 CC-SEC-013 CC-FRAME-003", "validation", Change(request=_fault_on_reliable))

# --- handshakes -----------------------------------------------------------------------------------

writes("hello-twice", "CC-LINK-007", "resume", twice("HELLO"))
writes("hello-other-features", "CC-EXT-025", "resume", fields("HELLO", lambda h: h["resume"], features=1))
writes("welcome-features", "CC-EXT-022", "relay_limits", fields("WELCOME", features=0xFF))
writes("welcome-window", "CC-LIMIT-017", "resume", fields("WELCOME", window=2**32 - 1))
writes("welcome-same-token", "CC-LINK-024", "peer", fields("WELCOME", token="22" * 16))
writes(
    "version-as-handshake",
    "CC-VER-003",
    "peer",
    fields("BYE", lambda bye: bye["code"] == code("VERSION"), code=code("HANDSHAKE")),
)


def _version(request: Json, ok: Json, memory: Memory) -> None:
    for packet in ok.get("packets", ()):
        if packet["packet"].startswith("41"):
            packet["packet"] = packet["packet"][:16] + "0002" + packet["packet"][20:]


after("version-2", "CC-VER-001", "resume", _version)


def _resumed(request: Json, ok: Json, memory: Memory) -> None:
    if request["op"] == "transport_up" and memory.get("bye"):
        ok["closing"] = []
        hello = {"type": "HELLO", "resume": True, "replace": False, "features": 0, "token": "10" * 16, "attempt": 99}
        inject(ok, memory, {**hello, "received": 0, "window": 262_144, "largest_message": 1 << 20, "id": ""})


def _note_bye(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
    memory["bye"] = memory.get("bye") or frame["type"] == "BYE"
    return None


after("dead-is-resumed", "CC-LINK-057", "link_endpoint", _resumed, reads=_note_bye)


def _not_kept(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
    if frame["type"] == "DATA" and memory.get("transport", 1) > 1 and not memory.get("lost"):
        memory["lost"] = True
        return []
    return None


writes("one-is-not-kept", "CC-LINK-034 CC-LINK-048", "link_endpoint", _not_kept)


def _too_small(frame: Json, lane: str, memory: Memory) -> list[Json] | None:
    if frame["type"] == "HELLO":
        memory["small"] = frame["largest_message"] < 100_000
    return None


add(
    "s-too-small",
    "CC-PEER-005",
    "peer",
    Change(
        reads=_too_small,
        writes=lambda frame, lane, memory: (
            [{"type": "BYE", "code": code("TOO_SMALL"), "text": ""}]
            if frame["type"] == "WELCOME" and memory.get("small")
            else None
        ),
    ),
)


def _raises(request: Json, ok: Json, memory: Memory) -> None:
    if request["op"] in ("transport_down", "transport_up"):
        memory["down"] = request["op"] == "transport_down"
    if request["op"] == "send" and memory.get("down"):
        ok.pop("value", None)
        ok["raised"] = {"code": "LINK_LOST"}


after("suspended-sends-raise", "CC-LINK-041", "resume", _raises)


def _read_raises(request: Json, ok: Json, memory: Memory) -> None:
    memory["ended"] = memory.get("ended") or any(e["event"] == "link_ended" for e in ok.get("events", ()))
    if request["op"] == "read" and memory["ended"]:
        ok.pop("value", None)
        ok["raised"] = {"code": "FRAME_FORMAT"}


after("fault-raises-in-read", "CC-ERR-018", "validation", _read_raises)
writes("ack-forgets-one", "CC-LINK-082", "validation", fields("ACK", received=lambda n: max(n - 1, 0)))

# --- the order of what is written -----------------------------------------------------------------


def _held(keep: Callable[[Json, Json, Memory], bool]) -> Callable[[Json, Json, Memory], None]:
    """Hold packets back to which *keep* says so, until the next op that has none of them."""

    def do(request: Json, ok: Json, memory: Memory) -> None:
        now = [packet for packet in ok.get("packets", ()) if keep(request, packet, memory)]
        rest = [packet for packet in ok.get("packets", ()) if packet not in now]
        ok["packets"] = [*rest, *(memory.pop("held", []) if not now else [])]
        memory["held"] = memory.get("held", []) + now

    return do


def _has(packet: Json, kind: str) -> bool:
    return any(frame["type"] == kind for frame in _decoded(packet))


after(
    "held-back",
    "CC-SCHED-002 CC-FRAG-021",
    ("scheduling", "fragments"),
    _held(lambda request, packet, memory: request["op"] in ("send", "stream_write") and _has(packet, "DATA")),
)
after(
    "rosters-wait",
    "CC-ROSTER-033 CC-ROSTER-034 CC-ROSTER-035",
    "relay",
    _held(
        lambda request, packet, memory: (
            request["op"] == "receive" and any(f["type"] == "ROSTER" and not f["snapshot"] for f in _decoded(packet))
        )
    ),
)
after(
    "fragments-wait",
    "CC-RELAY-027",
    "relay",
    _held(
        lambda request, packet, memory: any(
            "fragment" in f and not f["fragment"]["last"] and not f["fragment"]["abort"] for f in _decoded(packet)
        )
    ),
)


def _lanes_together(request: Json, ok: Json, memory: Memory) -> None:
    if request["op"] == "hold" and request["lane"] == "reliable":
        memory["blocked"] = request["held"]
    if memory.get("blocked"):
        ok["packets"] = [packet for packet in ok.get("packets", ()) if packet["lane"] != "lossy"]


after("lanes-together", "CC-SCHED-003", "scheduling", _lanes_together)


packets(
    "data-before-control",
    "CC-SCHED-009 CC-SCHED-013",
    "scheduling",
    lambda frames, lane, memory: sorted(frames, key=lambda f: f["type"] != "DATA"),
)
packets(
    "data-before-roster",
    "CC-ROSTER-032",
    "relay",
    lambda frames, lane, memory: sorted(frames, key=lambda f: f["type"] == "ROSTER"),
)
packets(
    "frames-reversed",
    "CC-SCHED-008",
    "scheduling",
    lambda frames, lane, memory: frames[::-1] if sum(f["type"] == "DATA" for f in frames) > 1 else frames,
)


def _reversed(request: Json, ok: Json, memory: Memory) -> None:
    data = [packet for packet in ok.get("packets", ()) if _has(packet, "DATA")]
    if len(data) > 1:
        ok["packets"] = [packet for packet in ok["packets"] if packet not in data] + data[::-1]


after("packets-reversed", "CC-SCHED-016 CC-SCHED-018", "scheduling", _reversed)
packets(
    "high-last",
    "CC-SCHED-017",
    "scheduling",
    lambda frames, lane, memory: sorted(frames, key=lambda f: f["type"] == "DATA" and "HIGH" in f["flags"]),
)
