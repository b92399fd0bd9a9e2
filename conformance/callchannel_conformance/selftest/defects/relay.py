# SPDX-License-Identifier: Apache-2.0
"""Defects of the accepting side and of the relay."""

from __future__ import annotations

from callchannel_conformance.selftest.defects.words import code, drop, fields, flag, twice, writes

writes("welcome-id", "CC-LINK-026", ("relay", "peer"), fields("WELCOME", id=lambda name: name + "x"))
writes("welcome-slot", "CC-PEER-002 CC-ROSTER-071", ("peer", "relay"), fields("WELCOME", slot=lambda n: n + 3))
writes("welcome-attempt", "CC-LINK-023", "peer", fields("WELCOME", attempt=1))
writes("welcome-count", "CC-LINK-027", "peer", fields("WELCOME", received=lambda n: n + 1))
writes("welcome-token", "CC-LINK-028", "peer", fields("WELCOME", lambda w: w["attempt"] > 1, token="00" * 16))
writes("welcome-largest", "CC-RELAY-005", "relay", fields("WELCOME", largest_message=50_000))
writes("welcome-twice", "CC-LINK-022", "peer", twice("WELCOME"))
writes("roster-epoch", "CC-ROSTER-013", ("relay", "peer"), fields("ROSTER", epoch=lambda n: n + 1))
writes("roster-no-snapshot", "CC-ROSTER-020", "relay", fields("ROSTER", snapshot=False))
writes("roster-always-snapshot", "CC-ROSTER-020", "relay", fields("ROSTER", snapshot=True))
writes("roster-descends", "CC-ROSTER-017", "relay", fields("ROSTER", entries=lambda e: e[::-1]))
writes(
    "roster-without-last", "CC-ROSTER-017", "relay", fields("ROSTER", lambda r: r["snapshot"], entries=lambda e: e[:-1])
)
writes(
    "roster-reason",
    "CC-ROSTER-030",
    "relay",
    fields(
        "ROSTER", entries=lambda e: [{**x, "reason": code("LOST") if x["op"] == "LEAVE" else x["reason"]} for x in e]
    ),
)
writes(
    "roster-no-suspension",
    "CC-ROSTER-018",
    "relay",
    fields("ROSTER", entries=lambda e: [x for x in e if x["op"] != "SUSPENDED"]),
)
writes("forwards-high", "CC-RELAY-025 CC-FRAME-104", "relay", fields("DATA", flags=flag("HIGH", False)))
writes("forwards-not-private", "CC-ROSTER-066", "relay", fields("DATA", flags=flag("PRIVATE", False)))
writes(
    "forwards-no-extensions",
    "CC-EXT-005",
    "relay",
    lambda f, lane, m: [{k: v for k, v in f.items() if k != "extensions"}] if f["type"] == "DATA" else None,
)
writes(
    "forwards-block",
    "CC-FRAME-047",
    "relay",
    lambda f, lane, m: (
        [{**f, "recipients": {"epoch": 4, "except": False, "slots": [1]}}]
        if f["type"] == "DATA" and "PRIVATE" in f["flags"]
        else None
    ),
)
writes("forwards-own-slot", "CC-ROSTER-032 CC-SEC-014", "relay", fields("DATA", sender=77))
writes("forwards-twice", "CC-FRAG-004", "relay", twice("DATA"))
writes("close-reason", "CC-ERR-010", "relay", fields("CLOSE", reason=0))
writes("close-not-forwarded", "CC-RELAY-031 CC-ROSTER-037", "relay", drop("CLOSE"))
writes("refuse-reason", "CC-RELAY-018", "relay", fields("REFUSE", reason=code("POLICY")))
writes("refuse-sequence", "CC-RELAY-016", "relay", fields("REFUSE", value=lambda n: n + 1))
writes("refuse-never", "CC-RELAY-016", "relay", drop("REFUSE"))
writes("relay-fail-value", "CC-RELAY-048 CC-SESS-061", "relay", fields("FAIL", value=lambda n: n + 1))
writes("relay-fail-certain", "CC-RELAY-049", "relay", fields("FAIL", uncertain=False))
writes("relay-fail-reason", "CC-RELAY-051", "relay", fields("FAIL", reason=code("INTERNAL")))
writes("relay-fail-never", "CC-RELAY-046", "relay", drop("FAIL"))
writes("relay-receipt-slot", "CC-RELAY-067", "relay", fields("RECEIPT", recipient=0xFFFF))
writes("relay-receipt-high", "CC-RELAY-071", "relay", fields("RECEIPT", value=lambda n: n + 1))
writes("relay-receipt-never", "CC-RELAY-068", "relay", drop("RECEIPT"))
writes("relay-credit-never", "CC-RELAY-037", "relay", drop("CREDIT"))
