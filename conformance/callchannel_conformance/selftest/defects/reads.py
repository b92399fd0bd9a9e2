# SPDX-License-Identifier: Apache-2.0
"""Defects in how frames are read."""

from __future__ import annotations

from callchannel_conformance.selftest.defects.words import fields, flag, reads

reads("receipt-is-ignored", "CC-DELIV-013", "delivery", fields("RECEIPT", session=9_999))
reads("refuse-is-ignored", "CC-DELIV-031", "sender", fields("REFUSE", session=9_999))
reads("credit-is-ignored", "CC-DELIV-049", "delivery", fields("CREDIT", value=0))
reads("uncertain-is-ignored", "CC-DELIV-022", "delivery", fields("FAIL", uncertain=False))
reads("reason-is-ignored", "CC-ERR-003 CC-SESS-054", ("validation", "delivery"), fields("CLOSE", reason=0))
reads("priority-is-ignored", "CC-SESS-027", ("receiver_states", "fragments"), fields("DATA", flags=flag("HIGH", False)))
reads("private-is-ignored", "CC-FRAG-012", "fragments", fields("DATA", flags=flag("PRIVATE", False)))
reads("latest-is-ignored", "CC-DELIV-075", "lossy", fields("DATA", flags=flag("LATEST", False)))
reads("confirm-is-ignored", "CC-DELIV-041", "delivery", fields("DATA", flags=flag("CONFIRM", False)))
reads(
    "extensions-are-ignored",
    "CC-EXT-008",
    "extensions",
    lambda f, lane, m: [{k: v for k, v in f.items() if k != "extensions"}] if f["type"] == "DATA" else None,
)
reads("features-are-used", "CC-LINK-031", "link_endpoint", fields("WELCOME", received=0))
reads(
    "suspension-is-ignored",
    "CC-ERR-020",
    "roster_endpoint",
    fields("ROSTER", entries=lambda e: [x for x in e if x["op"] != "SUSPENDED"]),
)
