# SPDX-License-Identifier: Apache-2.0
"""Seeded defects that mechanical mutants were first: no plan or no rule of the judge showed them."""

from __future__ import annotations

from simulator.defect import Defect, one

DEFECTS: tuple[Defect, ...] = (
    one(
        "outcome-waits-for-its-deadline",
        "mutants",
        "CC-DELIV-013",
        "verdicts",
        "            if not message.open and message.recipients:\n                self._settle(message)\n",
        "",
        plan="s2-receipt-before-fail",
    ),
    one(
        "outcome-waits-although-all-have-failed",
        "mutants",
        "CC-DELIV-022",
        "verdicts",
        "                self.check(message)\n        return True\n",
        "        return True\n",
    ),
    one(
        "all-fail-where-one-has",
        "mutants",
        "CC-DELIV-029",
        "sender_queue",
        "if message.passed_over and message.passed_over == slots:",
        "if message.passed_over:",
        plan="memory-after-overrun",
    ),
    one(
        "run-ends-where-memory-is-tight",
        "mutants",
        "CC-RELAY-028",
        "relay.owned",
        "                    if route.failed:\n                        break\n",
        "                    break\n",
        plan="tight-memory-in-a-run",
    ),
    one(
        "run-goes-on-behind-fail",
        "mutants",
        "CC-SESS-065",
        "relay.owned",
        "                    if route.failed:\n                        break\n",
        "",
        plan="tight-memory-in-a-run",
    ),
    one(
        "expired-session-keeps-its-turn",
        "mutants",
        "CC-RELAY-043",
        "relay.lossy",
        "            return item.frame\n        self._finish()\n",
        "            return item.frame\n",
        plan="expired-while-blocked",
    ),
    one(
        "receipts-are-withdrawn-twice",
        "mutants",
        "CC-RELAY-070",
        "relay.receipts",
        "        if self.outstanding and self.outstanding[-1].sequence == sequence:\n",
        "        if True:\n",
        plan="aborted-after-everyone-left",
    ),
    one(
        "no-receipt-behind-close",
        "mutants",
        "CC-DELIV-042",
        "receivers",
        "            if frame.sender not in self._host.roster.members:\n                session.cut()",
        "            if True:\n                session.cut()",
        plan="read-behind-close",
    ),
    one(
        "numbers-of-senders-by-turns",
        "mutants",
        "CC-SESS-012",
        "sender_writing",
        "sequence = self._next_sequence - len(self._plain_waiting)",
        "sequence = self._next_sequence",
        plan="senders-by-turns",
    ),
    one(
        "short-fragment-is-cut-wrongly",
        "mutants",
        "CC-FRAG-003",
        "reliable_receiver",
        "assembly.put(packet[offset + FRAGMENT_HEADER : end], payload_size)",
        "assembly.put(packet[offset:end], payload_size)",
        plan="fragments-that-share-a-packet",
    ),
)
