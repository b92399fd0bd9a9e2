# SPDX-License-Identifier: Apache-2.0
"""Error codes that the judge knows, from the registry of chapter 14: not from the code that it judges."""

RESUME_UNKNOWN, RESUME_STALE, TIMEOUT, NOT_ADMITTED, CALL_FULL = 0x0D, 0x0E, 0x10, 0x12, 0x13
REPLACED, GOING_AWAY, INTERNAL, LINK_LOST = 0x14, 0x15, 0x16, 0x17
SESSION_MISMATCH, SEQUENCE, FRAGMENT, TOO_MANY_SESSIONS = 0x20, 0x21, 0x22, 0x23
OVERRUN, MEMORY, CLOSED, LEFT, LOST, TOO_LARGE, IDLE = 0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2B
RECIPIENT_FAILED, CANCELLED, DEADLINE = 0x31, 0x35, 0x36
KICKED = 0x4001
"""What a simulated relay tells whom it throws out."""

FAULTS = frozenset({SESSION_MISMATCH, SEQUENCE, FRAGMENT, INTERNAL})
"""Faults of a session: well-behaved sides find none in each other."""
ALLOWED_BYES = frozenset(
    {LEFT, TIMEOUT, LINK_LOST, MEMORY, GOING_AWAY, REPLACED, RESUME_UNKNOWN, RESUME_STALE, CALL_FULL, KICKED}
)
"""Codes with which a link between well-behaved sides can end."""
