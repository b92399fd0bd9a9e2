# SPDX-License-Identifier: Apache-2.0
"""Defects of the link: handshake, counting, its end."""

from __future__ import annotations

from typing import Final

from callchannel_conformance.selftest.defects.words import code, drop, fields, twice, writes

_LINK: Final = "link_endpoint"
writes("hello-attempt-stays", "CC-LINK-012", _LINK, fields("HELLO", attempt=1))
writes("hello-count-high", "CC-LINK-015", _LINK, fields("HELLO", lambda h: h["resume"], received=lambda n: n + 1))
writes("hello-count-zero", "CC-LINK-015", (_LINK, "resume"), fields("HELLO", received=0))
writes("hello-other-token", "CC-LINK-011", _LINK, fields("HELLO", lambda h: h["resume"], token="00" * 16))
writes(
    "hello-other-window",
    "CC-LINK-013 CC-LIMIT-010",
    (_LINK, "resume"),
    fields("HELLO", lambda h: h["resume"], window=70_000),
)
writes("hello-no-id", "CC-LINK-013", _LINK, fields("HELLO", lambda h: h["resume"], id=""))
writes(
    "hello-same-instance",
    "CC-LINK-010 CC-LINK-009",
    (_LINK, "resume"),
    fields("HELLO", lambda h: not h["resume"], token="11" * 16),
)
writes("hello-never-replaces", "CC-LINK-050", _LINK, fields("HELLO", replace=False))
writes("hello-window-too-large", "CC-LIMIT-018", _LINK, fields("HELLO", window=2**32 - 1))
writes("ack-high", "CC-LINK-038", _LINK, fields("ACK", received=lambda n: n + 1))
writes("ack-low", "CC-LINK-038", _LINK, fields("ACK", received=lambda n: max(n - 1, 0)))
writes("ack-never", "CC-LINK-036", _LINK, drop("ACK"))
writes("bye-never", "CC-LINK-053 CC-LINK-054", "validation", drop("BYE"))
writes("bye-other-code", "CC-LINK-066", "validation", fields("BYE", code=code("INTERNAL")))
writes("bye-left-as-none", "CC-LINK-060", _LINK, fields("BYE", code=0))
writes("bye-twice", "CC-LINK-053", _LINK, twice("BYE"))
writes(
    "early-ack",
    "CC-LINK-008",
    _LINK,
    lambda frame, lane, memory: [frame, {"type": "ACK", "received": 0}] if frame["type"] == "HELLO" else None,
)
writes(
    "other-type",
    "CC-EXT-028",
    _LINK,
    lambda frame, lane, memory: (
        [{"type": "UNKNOWN", "number": 0xC1, "flags": 0, "body": ""}, frame] if frame["type"] == "ACK" else None
    ),
)
