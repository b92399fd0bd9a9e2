# SPDX-License-Identifier: Apache-2.0
"""Defects of sessions and of fragments, as their writer shows them."""

from __future__ import annotations

from callchannel_conformance.selftest.defects.words import (
    add,
    code,
    drop,
    fields,
    flag,
    fragment,
    is_abort,
    is_part,
    twice,
    writes,
)
from callchannel_conformance.selftest.proxy import Change

writes("session-jumps", "CC-SESS-007", "sender", fields("DATA", session=lambda n: n + 1))
writes("session-falls", "CC-MODEL-005", "sender", fields("DATA", session=lambda n: 1_000 - n))
writes("sequence-jumps", "CC-SESS-012", "sender", fields("DATA", sequence=lambda n: n + 1))
writes("sequence-stays", "CC-MODEL-006", "sender", fields("DATA", sequence=1))
writes("channel-wrong", "CC-SESS-002", "sender", fields("DATA", channel=lambda n: n + 1))
writes(
    "priority-changes",
    "CC-MODEL-007",
    ("sender", "scheduling"),
    fields("DATA", lambda d: d["sequence"] % 2 == 0, flags=flag("HIGH", True)),
)
writes("sender-wrong", "CC-ROSTER-010", "sender", fields("DATA", sender=0))
writes(
    "payload-changed",
    "CC-FRAG-009",
    "fragments",
    fields("DATA", lambda d: len(d["payload"]) > 100, payload=lambda p: p[2:] + "ff"),
)
writes("close-low", "CC-SESS-018", "sender", fields("CLOSE", value=lambda n: max(n - 1, 1)))
writes("close-high", "CC-SESS-018", "sender", fields("CLOSE", value=lambda n: n + 1))
writes("close-left", "CC-SESS-019", "sender", fields("CLOSE", reason=code("LEFT")))
writes("close-twice", "CC-SESS-016", "sender", twice("CLOSE"))
writes("close-never", "CC-SESS-016", "sender", drop("CLOSE"))
writes("close-names-recipient", "CC-FRAME-061", "sender", fields("CLOSE", recipient=1))
add(
    "w-close-first",
    "CC-SESS-022",
    "sender",
    Change(packet=lambda frames, lane, memory: sorted(frames, key=lambda x: x["type"] != "CLOSE")),
)
writes(
    "total-changes",
    "CC-FRAG-008",
    "fragments",
    fields("DATA", lambda d: is_part(d) and d["fragment"]["index"] > 0, fragment=fragment(total=lambda n: n + 1)),
)
writes(
    "total-wrong",
    "CC-FRAG-009",
    "fragments",
    fields("DATA", lambda d: is_part(d) and d["fragment"]["total"] > 0, fragment=fragment(total=lambda n: n + 1)),
)
writes("index-from-one", "CC-FRAG-007", "fragments", fields("DATA", is_part, fragment=fragment(index=lambda n: n + 1)))
writes(
    "no-last",
    "CC-FRAG-009",
    "fragments",
    fields("DATA", lambda d: is_part(d) and len(d["payload"]) > 0, fragment=fragment(last=False)),
)
writes(
    "stream-never-ends",
    "CC-FRAG-022",
    "fragments",
    drop("DATA", lambda d: is_part(d) and d["fragment"]["total"] == 0 and d["fragment"]["last"]),
)
writes(
    "abort-index",
    "CC-FRAG-015",
    ("sender", "fragments"),
    fields("DATA", is_abort, fragment=fragment(index=lambda n: n + 1)),
)
writes(
    "abort-total",
    "CC-FRAG-008",
    ("sender", "fragments"),
    fields("DATA", is_abort, fragment=fragment(total=lambda n: n + 1)),
)
writes("abort-never", "CC-FRAG-013", ("sender", "fragments"), drop("DATA", is_abort))
writes("abort-flags", "CC-FRAG-016", ("sender", "fragments"), fields("DATA", is_abort, flags=flag("CONFIRM", True)))
writes(
    "lossy-total",
    "CC-FRAG-034",
    "lossy",
    fields("DATA", lambda d: "RELIABLE" not in d["flags"] and is_part(d), fragment=fragment(total=lambda n: n - 1)),
)
add("w-lossy-on-reliable", "CC-MODEL-010", "lossy", Change(lane=lambda frames, lane: "reliable"))
writes("not-latest", "CC-DELIV-074", "lossy", fields("DATA", flags=flag("LATEST", False)))
writes("fail-value-high", "CC-SESS-042", ("receiver_states", "fragments"), fields("FAIL", value=lambda n: n + 1))
writes("fail-value-low", "CC-SESS-044", "receiver_states", fields("FAIL", value=lambda n: max(n - 1, 1)))
writes("fail-uncertain", "CC-SESS-046", "receiver_states", fields("FAIL", uncertain=True))
writes("fail-other-code", "CC-FRAG-046", ("receiver_states", "fragments"), fields("FAIL", reason=code("INTERNAL")))
writes("fail-never", "CC-SESS-067", "receiver_states", drop("FAIL"))
writes("fail-twice", "CC-SESS-047", "receiver_states", twice("FAIL"))
writes("fail-recipient", "CC-FRAME-061", "receiver_states", fields("FAIL", recipient=1))
