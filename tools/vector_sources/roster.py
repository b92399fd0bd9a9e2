# SPDX-License-Identifier: Apache-2.0
"""ROSTER (section 3.7)."""

from __future__ import annotations

from tools.vector_sources import layout as lay
from tools.vector_sources.book import Book
from tools.vector_sources.layout import ANN, LEAVE, RESUMED, SUSPENDED, Entry, Roster

LOST = 0x28
LEFT = Entry(op=LEAVE, slot=3, reason=LOST)
AWAY = Entry(op=SUSPENDED, slot=1)
BACK = Entry(op=RESUMED, slot=1)


def _change(*entries: Entry, epoch: int = 14) -> Roster:
    return Roster(flags=0, epoch=epoch, entries=entries)


def book() -> Book:
    """Return the vectors of roster.json."""
    b = Book("roster", "ROSTER")
    first = b.good("first", "the first ROSTER of a call", Roster(), rules=(62, 63, 64, 65, 66, 67, 68))
    _flags(b, first)
    _sizes(b, first)
    _entries(b, first)
    _text(b)
    return b


def _flags(b: Book, first: str) -> None:
    for flags in range(4):
        b.good(f"flags-{flags}", f"flags {flags:02X}", Roster(flags=flags, epoch=2), rules=(12,))
    for bit in range(2, 8):
        b.bad(f"flag-{2**bit:02x}", first, f"flag {2**bit:02X} is set", Roster(flags=1 | 2**bit), 12)
    b.good("epoch-max", "epoch 2^32 - 1", Roster(epoch=2**32 - 1), rules=(62,))
    b.bad("epoch-0", first, "epoch is 0", Roster(epoch=0), 62)
    b.good("empty", "no entries", Roster(entries=()), rules=(13, 63))
    b.bad("empty-epoch-0", "roster/empty", "epoch is 0", Roster(entries=(), epoch=0), 62)


def _sizes(b: Book, first: str) -> None:
    for size in range(4, 8):
        b.bad(f"short-{size}", first, f"the frame ends after {size} bytes", lay.shortened(Roster(), size), 13)
    for size in range(9, 17):
        b.bad(f"short-{size:02}", first, f"the frame ends after {size} bytes, within the entry",
              lay.shortened(Roster(), size), 63)  # fmt: skip
    for count in (1, 2, 5):
        b.bad(f"rest-{count}", first, f"{count} bytes follow the last entry", Roster(tail=bytes(count)), 63)
    b.bad("rest-6", first, "six zero bytes follow, read as an entry with operation 00", Roster(tail=bytes(6)), 64)
    two = (ANN, Entry(slot=1, id=b"bob"))
    base = b.good("two", "two entries", Roster(epoch=2, entries=two), rules=(63,))
    b.bad("two-cut", base, "the second entry ends within its identifier",
          lay.shortened(Roster(epoch=2, entries=two), 25), 63)  # fmt: skip
    b.bad("two-cut-start", base, "the second entry ends within its first six bytes",
          lay.shortened(Roster(epoch=2, entries=two), 19), 63)  # fmt: skip
    longer = Roster(epoch=2, entries=(ANN, Entry(slot=1, id=b"bob", id_length=4)))
    b.bad("id-length-beyond", base, "the second id length is 4, three bytes are there", longer, 63)
    b.bad("id-length-ones", base, "the second id length is 255",
          Roster(epoch=2, entries=(ANN, Entry(slot=1, id=b"bob", id_length=255))), 63)  # fmt: skip
    b.bad("id-length-short", first, "the id length is 2, one byte is left over",
          Roster(entries=(Entry(id=b"ann", id_length=2),)), 63)  # fmt: skip
    # 65 entries of 6 + 243 bytes, and one of 6 + 185 bytes: 8 + 16,185 + 191 = 16,384.
    many = [Entry(slot=i, id=b"%03d" % i + b"x" * 240) for i in range(65)] + [Entry(slot=65, id=b"y" * 185)]
    b.good("longest", "16,384 bytes", Roster(flags=3, epoch=66, entries=tuple(many)), rules=(63,))


def _entries(b: Book, first: str) -> None:
    every = _change(LEFT, Entry(slot=4, id=b"eve"), AWAY, BACK)
    base = b.good("every-op", "one entry of each operation", every, rules=(64, 66, 67))
    for op in (0x00, 0x05, 0x06, 0x7F, 0x80, 0xFF):
        b.bad(f"op-{op:02x}", base, f"the last entry has operation {op:02X}",
              _change(LEFT, Entry(slot=4, id=b"eve"), AWAY, Entry(op=op, slot=1)), 64)  # fmt: skip
        b.bad(f"op-{op:02x}-id", first, f"the entry has operation {op:02X}", Roster(entries=(Entry(op=op, id=b"ann"),)),
              64)  # fmt: skip
    for name, entry in (("join", ANN), ("leave", LEFT), ("suspended", AWAY), ("resumed", BACK)):
        base = b.good(f"{name}-slot-0", f"{name.upper()} of slot 0", _change(_with(entry, slot=0)), rules=(65,))
        b.good(f"{name}-slot-max", f"{name.upper()} of slot FFFE", _change(_with(entry, slot=0xFFFE)), rules=(65,))
        b.bad(f"{name}-slot-ffff", base, "slot is FFFF", _change(_with(entry, slot=0xFFFF)), 65)
        if name != "join":
            b.bad(f"{name}-id", base, "it has an identifier", _change(_with(entry, slot=0, id=b"eve")), 66)
            b.bad(f"{name}-id-1", base, "it has an identifier of one byte", _change(_with(entry, slot=0, id=b"e")), 66)
        if name in ("join", "resumed"):
            for reason in (0x0001, LOST, 0xFFFF):
                b.bad(f"{name}-reason-{reason:04x}", base, f"reason is {reason:04X}",
                      _change(_with(entry, slot=0, reason=reason)), 67)  # fmt: skip
        else:
            for reason in (0x0000, 0x0027, 0x3FFF, 0x4000, 0xFFFF):
                b.good(f"{name}-reason-{reason:04x}", f"{name.upper()} with reason {reason:04X}",
                       _change(_with(entry, slot=5, reason=reason)), rules=(59, 67))  # fmt: skip
    b.bad("join-empty", first, "the identifier is empty", Roster(entries=(Entry(id=b""),)), 66)
    twice = _change(Entry(slot=1, id=b"bob"), Entry(slot=2, id=b"bob"))
    b.good("same-id", "two endpoints of one identifier", twice, rules=(68,))
    # Whether an entry fits the roster is not for the codec: chapter 4 judges it.
    b.good("same-slot", "two JOINs of one slot", _change(Entry(slot=1, id=b"bob"), Entry(slot=1, id=b"eve")))
    b.bad("second-entry", "roster/every-op", "the second entry has slot FFFF",
          _change(LEFT, Entry(slot=0xFFFF, id=b"eve"), AWAY, BACK), 65)  # fmt: skip


def _text(b: Book) -> None:
    one = b.good("id-1", "an identifier of one byte", Roster(entries=(Entry(id=b"a"),)), rules=(66,))
    b.good("id-255", "an identifier of 255 bytes", Roster(entries=(Entry(id=b"a" * 255),)), rules=(66,))
    b.good("id-zoe", "an identifier of three characters in four bytes",
           Roster(entries=(Entry(id=b"Zo\xc3\xab"),)), rules=(68, 95))  # fmt: skip
    b.good("id-zero", "an identifier of the code point 0000", Roster(entries=(Entry(id=b"\0"),)), rules=(68, 95))
    b.bad("id-80", one, "the identifier is 80", Roster(entries=(Entry(id=b"\x80"),)), 68, more=["CC-FRAME-095"])
    b.bad("id-cut", "roster/id-zoe", "the last character is cut off", Roster(entries=(Entry(id=b"Zo\xc3"),)), 68,
          more=["CC-FRAME-095"])  # fmt: skip
    b.bad("id-surrogate", "roster/id-zoe", "the identifier is the code point D800",
          Roster(entries=(Entry(id=b"\xed\xa0\x80"),)), 68, more=["CC-FRAME-095"])  # fmt: skip
    b.bad("id-second", "roster/two", "the second identifier is not UTF-8",
          Roster(epoch=2, entries=(ANN, Entry(slot=1, id=b"bo\xff"))), 68, more=["CC-FRAME-095"])  # fmt: skip
    # A character is whole within its own identifier: two entries do not make one.
    b.bad("id-split", "roster/two", "a character is split over two identifiers",
          Roster(epoch=2, entries=(Entry(id=b"Zo\xc3"), Entry(slot=1, id=b"\xabob"))), 68,
          more=["CC-FRAME-095"])  # fmt: skip


def _with(entry: Entry, *, slot: int, reason: int | None = None, id: bytes | None = None) -> Entry:
    return Entry(
        op=entry.op,
        slot=slot,
        reason=entry.reason if reason is None else reason,
        id=entry.id if id is None else id,
    )
