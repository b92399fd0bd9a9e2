# SPDX-License-Identifier: Apache-2.0
"""A codec adapter on the suite's own grammar, whole or without one rule: `python -m …wire_adapter [RULE]`.

Whole, it is a second codec that has to pass. Without a rule it is a codec that takes what this rule forbids; where the
rest cannot be read then, it answers another code.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Final

from callchannel_conformance import wire, wire_rules

Json = dict[str, Any]


_NO_DEFECT: Final = frozenset({"CC-FRAME-081"})
"""Rules whose loss shows nowhere: what is too short for a version is too short for a WELCOME, with the same code."""


def rules() -> list[str]:
    """The requirements of chapter 3 whose rule can be missed, each once."""
    return sorted({rule.requirement for rule in wire_rules.RULES} - _NO_DEFECT)


def without(requirement: str) -> None:
    """Take the rules of a requirement out of the grammar of this process."""
    weakened = tuple(rule for rule in wire_rules.RULES if rule.requirement != requirement)
    wire_rules.RULES = weakened  # type: ignore[misc]
    wire_rules.PACKET_RULES = tuple(rule for rule in weakened if rule.of == wire_rules.PACKET)  # type: ignore[misc]
    wire_rules.START_RULES = tuple(rule for rule in weakened if rule.of == wire_rules.START)  # type: ignore[misc]
    wire.PACKET_RULES = wire_rules.PACKET_RULES  # type: ignore[attr-defined]


def decode(packet: bytes, lane: str) -> Json:
    """Frames and code, as the adapter protocol wants them."""
    try:
        return {"frames": wire.decode_packet(packet, lane), "error": None}
    except wire.WireError as error:
        return {"frames": error.frames, "error": error.code}
    except Exception:
        # A grammar with a hole meets what it was never made for.
        return {"frames": [], "error": "INTERNAL"}


def answer(request: Json) -> Json:
    """The reply to a request."""
    match request["op"]:
        case "hello":
            value: Json = {
                "protocol": 1,
                "name": "the suite's own grammar",
                "version": "0",
                "document": "0.1",
                "wire": 1,
                "profiles": ["codec"],
                "features": [],
                "limits": {},
            }
        case "reset":
            value = {}
        case "decode":
            value = decode(bytes.fromhex(request["packet"]), request["lane"])
        case "encode":
            try:
                value = {"packet": wire.encode_frame(request["frame"], judge=False).hex()}
            except ValueError:
                return {"ok": {"raised": {"code": "INVALID_ARGUMENT"}}}
        case op:
            return {"err": {"code": "UNSUPPORTED", "detail": op}}
    return {"ok": {"value": value}}


def main() -> None:
    """Answer until standard input ends."""
    if len(sys.argv) > 1:
        without(sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps({"id": request["id"], **answer(request)}), flush=True)


if __name__ == "__main__":
    main()
