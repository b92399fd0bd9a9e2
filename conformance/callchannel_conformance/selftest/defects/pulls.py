# SPDX-License-Identifier: Apache-2.0
"""Defects of when packets are made: ahead of the pull, or for a lane that is blocked (section 8.3)."""

from __future__ import annotations

from typing import Any

from callchannel_conformance.selftest.defects.words import add, asks
from callchannel_conformance.selftest.proxy import Change, Memory

Json = dict[str, Any]

_AHEAD = 4_000
"""Bytes of packets that are made before somebody asks for them."""


def _more(request: Json, memory: Memory) -> Json:
    return {**request, "budget": request["budget"] + _AHEAD} if request["op"] == "pull" else request


def _kept(request: Json, reply: Json, memory: Memory) -> Json:
    """Hand out what was made ahead, and keep what a pull did not ask for."""
    ok = reply.get("ok")
    if not isinstance(ok, dict) or request["op"] not in ("pull", "hold"):
        return reply
    lane = (request["transport"], request["lane"])
    packets = [*memory.pop(lane, []), *ok.get("packets", [])]
    if request["op"] == "pull" or request["held"]:
        left = memory["request"].get("budget", 0)
        given = 0
        while given < len(packets) and left > 0:
            left -= len(packets[given]["packet"]) // 2
            given += 1
        packets, memory[lane] = packets[:given], packets[given:]
    ok["packets"] = packets
    return reply


add("s-packets-made-ahead", "CC-SCHED-001", "scheduling", Change(request=_more, reply=_kept))
asks(
    "blocked-lossy-lane-is-written",
    "CC-SCHED-004",
    "scheduling",
    "hold",
    lambda request: {**request, "held": request["held"] and request["lane"] != "lossy"},
)
