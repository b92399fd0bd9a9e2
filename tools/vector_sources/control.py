# SPDX-License-Identifier: Apache-2.0
"""CLOSE, FAIL, REFUSE, RECEIPT and CREDIT (section 3.6)."""

from __future__ import annotations

from tools.vector_sources import layout as lay
from tools.vector_sources.book import Book

LAST_SEQUENCE = 2**32 - 1
ALL_ONES = 2**64 - 1

# Smallest and largest value; CREDIT takes any.
RANGES = {
    "close": (1, LAST_SEQUENCE),
    "fail": (1, 2**32),
    "refuse": (1, LAST_SEQUENCE),
    "receipt": (1, LAST_SEQUENCE),
    "credit": (0, ALL_ONES),
}


def book() -> Book:
    """Return the vectors of control.json."""
    b = Book("control", "CLOSE, FAIL, REFUSE, RECEIPT, CREDIT")
    for name, frame in lay.CONTROLS.items():
        base = b.good(name, f"{name.upper()}", frame, rules=(53, 54, 55, 56, 57 if frame.reason else 58))
        _sizes(b, name, frame, base)
        _fields(b, name, frame, base)
        _values(b, name, frame)
        _reasons(b, name, frame, base)
    fail = lay.FAIL.but(flags=1)
    b.good("fail-uncertain", "FAIL with UNCERTAIN", fail, rules=(12,))
    b.good("fail-all", "FAIL for all recipients", lay.FAIL.but(recipient=0xFFFF), rules=(54,))
    b.good("fail-all-delivered", "FAIL with value 2^32: every message was fine",
           lay.FAIL.but(recipient=0xFFFF, value=2**32, reason=0x16), rules=(56,))  # fmt: skip
    return b


def _sizes(b: Book, name: str, frame: lay.Control, base: str) -> None:
    for size in (4, 6, 8, 12, 20, 21):
        b.bad(f"{name}-short-{size}", base, f"the frame ends after {size} bytes", lay.shortened(frame, size), 53, 13)
    b.bad(f"{name}-long", base, "one byte follows the reason", frame.but(tail=b"\0"), 53)
    b.bad(f"{name}-long-22", base, "22 bytes follow the reason", frame.but(tail=bytes(22)), 53)
    for bit in range(8):
        if name == "fail" and bit == 0:
            continue
        b.bad(f"{name}-flag-{2**bit:02x}", base, f"flag {2**bit:02X} is set", frame.but(flags=2**bit), 12)
    if name == "fail":
        b.bad("fail-flags-all", base, "all flags are set", frame.but(flags=0xFF), 12)


def _fields(b: Book, name: str, frame: lay.Control, base: str) -> None:
    b.good(f"{name}-smallest", "smallest sender, recipient and session", frame.but(sender=0, recipient=0, session=1),
           rules=(54, 55))  # fmt: skip
    most = frame.but(sender=0xFFFE, recipient=0xFFFE, session=LAST_SEQUENCE)
    b.good(f"{name}-largest", "largest sender and session", most, rules=(54, 55))
    b.good(f"{name}-nobody", "recipient FFFF: none, or all", most.but(recipient=0xFFFF), rules=(54,))
    b.bad(f"{name}-sender-ffff", base, "sender is FFFF", frame.but(sender=0xFFFF), 54)
    b.bad(f"{name}-session-0", base, "session is 0", frame.but(session=0), 55)


def _values(b: Book, name: str, frame: lay.Control) -> None:
    smallest, largest = RANGES[name]
    least = b.good(f"{name}-value-min", f"value {smallest}, the smallest", frame.but(value=smallest), rules=(56,))
    most = b.good(f"{name}-value-max", f"value {largest:,}, the largest", frame.but(value=largest), rules=(56,))
    if smallest:
        b.bad(f"{name}-value-0", least, "value is 0", frame.but(value=0), 56)
        b.bad(f"{name}-value-over", most, f"value is {largest + 1:,}", frame.but(value=largest + 1), 56)
        b.bad(f"{name}-value-high", most, "value is 2^63", frame.but(value=2**63), 56)
        b.bad(f"{name}-value-ones", most, "value is 2^64 - 1", frame.but(value=ALL_ONES), 56)
    else:
        for value in (1, 2**32 - 1, 2**32, 2**63):
            b.good(f"{name}-value-{value:x}", f"value {value:,}", frame.but(value=value), rules=(56,))


def _reasons(b: Book, name: str, frame: lay.Control, base: str) -> None:
    if name in ("receipt", "credit"):
        for reason in (0x0001, 0x0024, 0xFFFF):
            b.bad(f"{name}-reason-{reason:04x}", base, f"reason is {reason:04X}", frame.but(reason=reason), 58)
        return
    if name == "close":
        b.good("close-reason-left", "closed by a relay because the owner left", frame.but(reason=0x27), rules=(59,))
    else:
        b.bad(f"{name}-reason-0", base, "reason is 0000", frame.but(reason=0), 57)
    # REFUSE has three reasons that a relay may write (CC-FRAME-060); a reader takes any (CC-FRAME-059).
    for reason in (0x0001, 0x3FFF, 0x4000, 0xEFFF, 0xF000, 0xFFFF):
        b.good(f"{name}-reason-{reason:04x}", f"reason {reason:04X}", frame.but(reason=reason),
               rules=(59,) if name == "close" else (57, 59))  # fmt: skip
