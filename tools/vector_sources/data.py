# SPDX-License-Identifier: Apache-2.0
"""DATA: its header and all 256 combinations of its flags (sections 3.5 and 3.5.1)."""

from __future__ import annotations

from tools.vector_sources import layout as lay
from tools.vector_sources.book import LOSSY_LANE, Book
from tools.vector_sources.layout import EVERYONE, Data, Extension, Extensions, Fragment, Recipients

NAMES = ("RELIABLE", "HIGH", "FRAGMENT", "RECIPIENTS", "PRIVATE", "CONFIRM", "LATEST", "EXTENSIONS")

FULL = Data(
    flags=lay.RELIABLE | lay.FRAGMENT | lay.RECIPIENTS | lay.PRIVATE | lay.EXTENSIONS,
    fragment=Fragment(),
    recipients=Recipients(words=((0, 0x9), (1, 0x100))),
    extensions=Extensions(items=(Extension(), Extension(type=4, value=lay.u64(1_700_000_000_000_000)))),
    payload=b"part",
)
HEADER = 16
FRAGMENT_END = HEADER + 8
RECIPIENTS_END = FRAGMENT_END + 6 + 2 * 6
EXTENSIONS_END = RECIPIENTS_END + 2 + 5 + 12


def book() -> Book:
    """Return the vectors of data.json."""
    b = Book("data", "DATA: header and flags")
    _fields(b)
    _lengths(b)
    _cuts(b)
    _flags(b)
    return b


def _fields(b: Book) -> None:
    hi = b.good("hi", "two bytes to everyone", Data(), rules=(6, 7, 9, 10, 11, 16, 17, 18, 19, 102))
    b.good("smallest-values", "smallest values", Data(channel=1, sender=0, session=1), rules=(16, 17, 18, 19))
    largest = Data(channel=0xFFFF, sender=0xFFFE, session=0xFFFF_FFFF, sequence=0xFFFF_FFFF)
    most = b.good("largest-values", "largest values", largest, rules=(16, 17, 18, 19))
    b.bad("channel-0", hi, "channel is 0", Data(channel=0), 16)
    b.bad("sender-ffff", hi, "sender is FFFF", Data(sender=0xFFFF), 17)
    b.bad("sender-ffff-largest", most, "sender is FFFF", largest.but(sender=0xFFFF), 17)
    b.bad("session-0", hi, "session is 0", Data(session=0), 18)
    b.bad("sequence-0", hi, "sequence is 0", Data(sequence=0), 19)
    lossy = Data(flags=0)
    for lane in ("reliable", LOSSY_LANE):
        base = b.good(f"lossy-{lane}", "a Lossy message to everyone", lossy, rules=(14, 16, 17, 18, 19), lane=lane)
        b.bad(f"lossy-channel-0-{lane}", base, "channel is 0", lossy.but(channel=0), 16, lane=lane)
        b.bad(f"lossy-sender-ffff-{lane}", base, "sender is FFFF", lossy.but(sender=0xFFFF), 17, lane=lane)
        b.bad(f"lossy-session-0-{lane}", base, "session is 0", lossy.but(session=0), 18, lane=lane)
        b.bad(f"lossy-sequence-0-{lane}", base, "sequence is 0", lossy.but(sequence=0), 19, lane=lane)


def _lengths(b: Book) -> None:
    b.good("empty", "a message of zero bytes: 16 bytes, the smallest DATA", Data(payload=b""), rules=(13, 21))
    b.good("empty-lossy", "a Lossy message of zero bytes", Data(flags=0, payload=b""), rules=(13,), lane=LOSSY_LANE)
    b.good("one-byte", "a message of one byte", Data(payload=b"\0"))
    b.good("all-bytes", "a payload of all 256 bytes", Data(payload=bytes(range(256))))
    longest = Data(flags=0, payload=bytes(1_150 - 16))
    base = b.good("lossy-longest", "a Lossy frame of 1,150 bytes", longest, rules=(20,))
    b.good("lossy-longest-lossy", "a Lossy frame of 1,150 bytes", longest, rules=(7, 20), lane=LOSSY_LANE)
    b.bad("lossy-too-long", base, "one more byte of payload", longest.but(payload=bytes(1_151 - 16)), 20)
    base = b.good("reliable-1151", "a Reliable frame of 1,151 bytes", Data(payload=bytes(1_151 - 16)), rules=(20,))
    b.bad("reliable-cleared", base, "HIGH instead of RELIABLE", Data(flags=lay.HIGH, payload=bytes(1_151 - 16)), 20)
    b.bad("reliable-longest-cleared", "packets/longest", "RELIABLE is clear: a Lossy frame of 16,384 bytes",
          Data(flags=0, payload=bytes(16_384 - 16)), 20)  # fmt: skip


def _cuts(b: Book) -> None:
    """A frame with all blocks that ends at each of its bytes, its length being true."""
    base = b.good("all-blocks", "a frame with all three blocks", FULL, rules=(21, 50))
    b.good("all-blocks-1", "the same with one byte of payload", FULL.but(payload=b"p"), rules=(21, 29))
    for size in range(4, EXTENSIONS_END):
        if size < HEADER:
            b.bad(f"short-{size:02}", base, f"the frame ends after {size} bytes", lay.shortened(FULL, size), 13)
            continue
        block = "fragment" if size < FRAGMENT_END else "recipient" if size < RECIPIENTS_END else "extension"
        b.bad(
            f"short-{size:02}", base, f"the frame ends after {size} bytes, within the {block} block",
            lay.shortened(FULL, size), 21,
        )  # fmt: skip
    b.bad("short-payload", base, "the frame ends behind its blocks", lay.shortened(FULL, EXTENSIONS_END), 29)


def _name(flags: int) -> str:
    return " + ".join(name for bit, name in enumerate(NAMES) if flags >> bit & 1) or "none"


def _message(flags: int, *, everyone: bool) -> Data:
    """Return a message with the blocks that *flags* announce, whole in one frame."""
    return Data(
        flags=flags,
        fragment=Fragment(last=1, total=4) if flags & lay.FRAGMENT else None,
        recipients=(EVERYONE if everyone else Recipients()) if flags & lay.RECIPIENTS else None,
        extensions=Extensions() if flags & lay.EXTENSIONS else None,
        payload=b"abcd",
    )


def _flags(b: Book) -> None:
    """All combinations. With PRIVATE clear and CONFIRM set a block is EXCEPT with count 0, else it names some."""
    legal: dict[int, str] = {}
    illegal: dict[int, tuple[int, ...]] = {}
    for flags in range(256):
        reliable, confirm, latest = flags & lay.RELIABLE, flags & lay.CONFIRM, flags & lay.LATEST
        rules: list[int] = []
        if latest and (reliable or flags & lay.FRAGMENT):
            rules.append(22)
        if confirm and not reliable:
            rules.append(23)
        if flags & lay.RECIPIENTS and not flags & lay.PRIVATE and not confirm:
            rules.append(44)
        if rules:
            illegal[flags] = tuple(rules)
        else:
            rules = [22, 23, *((44, 45) if flags & lay.RECIPIENTS else ())]
            message = _message(flags, everyone=_to_everyone(flags))
            legal[flags] = b.good(f"flags-{flags:02x}", f"flags: {_name(flags)}", message, rules=rules)
    for flags, broken in illegal.items():
        everyone = _to_everyone(flags)
        base = flags & ~lay.LATEST
        if everyone:
            base |= lay.RELIABLE
        else:
            base &= ~lay.CONFIRM
            base |= lay.PRIVATE if flags & lay.RECIPIENTS else 0
        message = _message(flags, everyone=everyone)
        b.bad(f"flags-{flags:02x}", legal[base], f"flags are {flags:02X}: {_name(flags)}", message, *broken)


def _to_everyone(flags: int) -> bool:
    return bool(flags & lay.RECIPIENTS and flags & lay.CONFIRM and not flags & lay.PRIVATE)
