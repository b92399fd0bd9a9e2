# SPDX-License-Identifier: Apache-2.0
"""Stands between the suite and a good adapter and changes what passes: `python -m …proxy NAME COMMAND…`.

What it does is stated in `defects` and `variants`: functions on frames that the implementation writes or reads, on
events, and on replies. So a defect is one of behaviour, and can be put into any implementation that has an adapter.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from callchannel_conformance import wire
from callchannel_conformance.frames import is_counted, unknown

Json = dict[str, Any]
Memory = dict[Any, Any]

Frames = Callable[[Json, str, Memory], list[Json] | None]
"""What becomes of a frame on a lane: the frames in its place, or None for itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a proxy changes. Every function may keep what it likes in the memory it is given.

    In it there are the `request` that is done and the `transport` that came up last. All is forgotten with `reset`.
    """

    writes: Frames | None = None
    """Frames that the implementation writes."""
    reads: Frames | None = None
    """Frames that it reads."""
    packet: Callable[[list[Json], str, Memory], list[Json]] | None = None
    """All frames of a packet that it writes."""
    lane: Callable[[list[Json], str], str] | None = None
    """The lane of a packet that it writes."""
    event: Callable[[Json, Memory], list[Json]] | None = None
    """Events in place of one."""
    reply: Callable[[Json, Json, Memory], Json] | None = None
    """The reply to a request, as a whole."""
    request: Callable[[Json, Memory], Json] | None = None
    """The request, before it is done."""
    memory: Memory = field(default_factory=dict)


def apply(change: Change, request: Json, ask: Callable[[Json], Json]) -> Json:
    """Do a request through a change."""
    memory = change.memory
    if request["op"] == "reset":
        memory.clear()
    memory["request"] = request
    if request["op"] == "transport_up":
        memory["transport"] = request["transport"]
    if change.request is not None:
        request = change.request(request, memory)
    if change.reads is not None and request["op"] == "receive":
        packet = _through(change.reads, request["packet"], request["lane"], memory)
        # A packet of which nothing is left never came.
        request = {**request, "packet": packet} if packet or not request["packet"] else _nothing(request)
    reply = ask(request)
    ok = reply.get("ok")
    if isinstance(ok, dict):
        if change.writes is not None or change.packet is not None or change.lane is not None:
            ok["packets"] = [changed for packet in ok.get("packets", []) if (changed := _packet(change, packet))]
        if change.event is not None:
            ok["events"] = [new for event in ok.get("events", []) for new in change.event(event, memory)]
    if change.reply is not None:
        reply = change.reply(request, reply, memory)
    return reply


def _packet(change: Change, packet: Json) -> Json | None:
    lane = packet["lane"]
    frames = wire.decode_packet(bytes.fromhex(packet["packet"]), lane)
    if change.lane is not None:
        lane = change.lane(frames, lane)
    if change.writes is not None:
        frames = [new for frame in frames for new in _one(change.writes, frame, lane, change.memory)]
    if change.packet is not None:
        frames = change.packet(frames, lane, change.memory)
    if not frames:
        return None
    return {**packet, "lane": lane, "packet": _encode(frames)}


def _through(change: Frames, packet: str, lane: str, memory: Memory) -> str:
    try:
        frames = wire.decode_packet(bytes.fromhex(packet), lane)
    except wire.WireError:
        return packet
    kept = []
    for frame in frames:
        changed = _one(change, frame, lane, memory)
        # What is ignored was counted all the same.
        kept += changed or ([unknown(0x8A)] if is_counted(frame, lane) else [])
    return _encode(kept)


def _nothing(request: Json) -> Json:
    """An op that does nothing at the time of another."""
    return {"id": request["id"], "op": "timeout", "machine": request["machine"], "now": request["now"]}


def _one(change: Frames, frame: Json, lane: str, memory: Memory) -> list[Json]:
    changed = change(frame, lane, memory)
    return [frame] if changed is None else changed


def _encode(frames: list[Json]) -> str:
    return b"".join(wire.encode_frame(frame, judge=False) for frame in frames).hex()


def main() -> None:
    """Pass requests on until standard input ends."""
    from callchannel_conformance.selftest.defects import DEFECTS  # noqa: PLC0415
    from callchannel_conformance.selftest.variants import VARIANTS  # noqa: PLC0415

    name, *command = sys.argv[1:]
    change = DEFECTS[name].change if name in DEFECTS else VARIANTS[name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None

        def ask(request: Json) -> Json:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            loaded: Json = json.loads(process.stdout.readline())
            return loaded

        for line in sys.stdin:
            print(json.dumps(apply(change, json.loads(line), ask)), flush=True)
        process.stdin.close()


if __name__ == "__main__":
    main()
