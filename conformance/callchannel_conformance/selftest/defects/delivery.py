# SPDX-License-Identifier: Apache-2.0
"""Defects of delivery: confirm points, receipts, credit."""

from __future__ import annotations

from callchannel_conformance.selftest.defects.words import add, code, drop, fields, flag, twice, writes
from callchannel_conformance.selftest.proxy import Change

writes("no-confirm", "CC-DELIV-012", "delivery", fields("DATA", flags=flag("CONFIRM", False)))
writes(
    "always-confirm",
    "CC-DELIV-012",
    ("delivery", "recipients"),
    fields("DATA", lambda d: "RELIABLE" in d["flags"], flags=flag("CONFIRM", True)),
)
writes("receipt-high", "CC-DELIV-042", "delivery", fields("RECEIPT", value=lambda n: n + 1))
writes("receipt-low", "CC-DELIV-042", "delivery", fields("RECEIPT", value=1))
writes("receipt-never", "CC-DELIV-041", "delivery", drop("RECEIPT"))
writes("receipt-twice", "CC-DELIV-043", "delivery", twice("RECEIPT"))
writes("credit-high", "CC-DELIV-051", "delivery", fields("CREDIT", value=lambda n: n + 1))
writes("credit-low", "CC-DELIV-052", "delivery", fields("CREDIT", value=lambda n: n - 1))
writes("credit-never", "CC-DELIV-055", "delivery", drop("CREDIT"))
writes("credit-twice", "CC-DELIV-053", "delivery", twice("CREDIT"))
add(
    "w-fail-before-receipt",
    "CC-DELIV-019 CC-DELIV-020",
    ("delivery", "relay_delivery"),
    Change(packet=lambda frames, lane, memory: sorted(frames, key=lambda x: x["type"] == "RECEIPT")),
)
add(
    "w-ack-first",
    "CC-DELIV-018 CC-RELAY-023 CC-ROSTER-062",
    ("delivery", "scheduling", "relay_delivery", "relay"),
    Change(packet=lambda frames, lane, memory: sorted(frames, key=lambda x: x["type"] != "ACK")),
)
writes(
    "refuses",
    "CC-FRAME-015",
    "sender",
    lambda frame, lane, memory: (
        [{k: v for k, v in frame.items() if k != "uncertain"} | {"type": "REFUSE", "reason": code("POLICY")}]
        if frame["type"] == "CLOSE"
        else None
    ),
)
writes(
    "flow-control-never",
    "CC-DELIV-050 CC-LINK-084",
    ("delivery", "relay_delivery"),
    drop("BYE", lambda bye: bye["code"] == code("FLOW_CONTROL")),
)
