# SPDX-License-Identifier: Apache-2.0
"""Adapters that are bad in one way each: `python -m …bad_adapter KIND`. Each has one exact verdict (`EXPECTED`)."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from typing import Any, Final

from callchannel_conformance.selftest import wire_adapter

Json = dict[str, Any]

EXPECTED: Final[dict[str, tuple[str, str]]] = {
    "accept-all": ("nonconformant", "FAIL"),
    "reject-all": ("nonconformant", "FAIL"),
    "crash-on-fault": ("incomplete", "ERROR"),
    "crash-at-start": ("incomplete", "ERROR"),
    "hang": ("incomplete", "ERROR"),
    "garbage": ("incomplete", "ERROR"),
    "wrong-id": ("incomplete", "ERROR"),
    "noise": ("incomplete", "ERROR"),
    "no-schema": ("incomplete", "ERROR"),
    "claims-nothing": ("incomplete", "SKIP"),
    "feature-liar": ("incomplete", "SKIP"),
    "nondeterministic": ("nonconformant", "FAIL"),
}
"""Kind: the verdict of a run of the codec checks, and a class of result that has to be among them."""


def answer(kind: str, request: Json) -> Json | str | None:
    """The reply; text is written as it is, None means silence."""
    op = request["op"]
    reply = wire_adapter.answer(request)
    decoded = reply.get("ok", {}).get("value", {}) if op == "decode" else {}
    if kind == "accept-all" and decoded:
        decoded["error"] = None
    elif kind == "reject-all" and decoded:
        decoded.update(frames=[], error="FRAME_FORMAT")
    elif kind == "crash-on-fault" and decoded.get("error"):
        os._exit(3)
    elif kind == "hang" and op == "decode":
        return None
    elif kind == "garbage" and op == "decode":
        return "Traceback (most recent call last): no JSON here"
    elif kind == "wrong-id" and op == "decode":
        return json.dumps({"id": request["id"] + 1, **reply})
    elif kind == "noise" and op == "decode":
        return "decoding…\n" + json.dumps({"id": request["id"], **reply})
    elif kind == "no-schema" and op == "decode":
        return json.dumps({"id": request["id"], "ok": {"value": [], "more": 1}})
    elif kind == "claims-nothing" and op == "hello":
        reply["ok"]["value"]["profiles"] = []
    elif kind == "feature-liar" and op == "hello":
        reply["ok"]["value"]["profiles"] = ["relay"]
    elif kind == "nondeterministic" and decoded and random.random() < 0.3:
        decoded.update(frames=[], error="FRAME_LENGTH")
    return {"id": request["id"], **reply}


def main() -> None:
    """Answer until standard input ends."""
    kind = sys.argv[1]
    if kind == "crash-at-start":
        os._exit(1)
    for line in sys.stdin:
        reply = answer(kind, json.loads(line))
        if reply is None:
            time.sleep(3600)
        print(reply if isinstance(reply, str) else json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
