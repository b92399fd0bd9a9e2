# SPDX-License-Identifier: Apache-2.0
"""Defects of rosters, recipients and extensions, as an endpoint shows them."""

from __future__ import annotations

from typing import Final

from callchannel_conformance.selftest.defects.words import fields, private, writes

_ROSTER: Final = "roster_endpoint"
writes(
    "block-old-epoch",
    "CC-ROSTER-044",
    _ROSTER,
    fields("DATA", private, recipients=lambda b: {**b, "epoch": max(b["epoch"] - 1, 1)}),
)
writes(
    "block-one-less",
    "CC-ROSTER-046",
    _ROSTER,
    fields(
        "DATA",
        lambda d: len(d.get("recipients", {}).get("slots", ())) > 1,
        recipients=lambda b: {**b, "slots": b["slots"][1:]},
    ),
)
writes(
    "block-inverted",
    "CC-ROSTER-046",
    _ROSTER,
    fields("DATA", private, recipients=lambda b: {**b, "except": not b["except"]}),
)
writes(
    "block-names-self",
    "CC-ROSTER-056",
    _ROSTER,
    fields("DATA", private, recipients=lambda b: {**b, "slots": sorted({*b["slots"], 2})}),
)
writes(
    "block-names-nobody",
    "CC-ROSTER-055",
    _ROSTER,
    fields("DATA", private, recipients=lambda b: {**b, "slots": sorted({*b["slots"], 40_000})}),
)
writes(
    "no-extensions",
    "CC-EXT-001",
    "extensions",
    lambda f, lane, m: [{k: v for k, v in f.items() if k != "extensions"}] if f["type"] == "DATA" else None,
)
writes(
    "lifetime-once",
    "CC-EXT-002",
    "extensions",
    lambda f, lane, m: (
        [{k: v for k, v in f.items() if k != "extensions"}] if f.get("fragment", {}).get("index") else None
    ),
)
writes(
    "encrypts",
    "CC-SEC-027",
    "extensions",
    lambda f, lane, m: (
        [{**f, "extensions": [{"type": 5, "must_understand": False, "value": ""}]}]
        if f["type"] == "DATA" and "fragment" not in f
        else None
    ),
)
writes(
    "private-type",
    "CC-EXT-020",
    "extensions",
    lambda f, lane, m: (
        [{**f, "extensions": [{"type": 0x4000, "must_understand": False, "value": ""}]}]
        if f["type"] == "DATA" and "fragment" not in f
        else None
    ),
)
