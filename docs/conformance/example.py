# SPDX-License-Identifier: Apache-2.0
"""The adapter of the example report: the reference's codec with one mistake, it takes an ACK of more than 12 bytes."""

import json
import sys
from typing import Any

from callchannel.adapter import codec

HELLO = {
    "protocol": 1,
    "name": "an example with a mistake",
    "version": "1.0",
    "document": "0.1",
    "wire": 1,
    "profiles": ["codec"],
    "features": [],
    "limits": {},
}


def decode(packet: bytes, lane: str) -> dict[str, Any]:
    """The frames of a packet, and its fault; the mistake is here."""
    found = codec.decode(packet, lane)
    if found["error"] == "FRAME_FORMAT" and packet[0] == 0x43 and packet[1] == 0 and len(packet) > 12:
        return {"frames": [{"type": "ACK", "received": int.from_bytes(packet[4:12], "big")}], "error": None}
    return found


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The reply to a request, without its id."""
    match request["op"]:
        case "hello":
            return {"ok": {"value": HELLO}}
        case "reset":
            return {"ok": {"value": {}}}
        case "decode":
            return {"ok": {"value": decode(bytes.fromhex(request["packet"]), request["lane"])}}
        case "encode":
            return {"ok": {"value": {"packet": codec.encode(request["frame"]).hex()}}}
    return {"err": {"code": "UNSUPPORTED", "detail": request["op"]}}


for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps({"id": request["id"], **answer(request)}), flush=True)
