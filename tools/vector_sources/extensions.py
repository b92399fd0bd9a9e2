# SPDX-License-Identifier: Apache-2.0
"""The extension block (section 3.5.4), and values that are no fault of a frame (chapter 17)."""

from __future__ import annotations

from tools.vector_sources import layout as lay
from tools.vector_sources.book import LOSSY_LANE, Book
from tools.vector_sources.layout import LIFETIME, Data, Extension, Extensions

BASE = Data(flags=lay.RELIABLE | lay.EXTENSIONS, extensions=Extensions())
GREASE = (0x0A5A, 0x1A5A, 0x2A5A, 0x3A5A)
TEXT = Extension(type=1, must=1, value=b"text/plain")
TIME = Extension(type=4, value=lay.u64(1_717_986_918_400_000))


def _with(*items: Extension, size: int | None = None, rest: bytes = b"") -> Data:
    return BASE.but(extensions=Extensions(items=items, size=size, rest=rest))


def book() -> Book:
    """Return the vectors of extensions.json."""
    b = Book("extensions", "DATA: the extension block")
    _sizes(b)
    _order(b)
    _values(b)
    return b


def _sizes(b: Book) -> None:
    one = b.good("one", "one extension", BASE, rules=(49, 50, 51))
    b.good("two", "content type and application time", _with(TEXT, TIME), rules=(50, 51))
    lossy = Data(flags=lay.EXTENSIONS, extensions=Extensions(items=(LIFETIME,)))
    b.good("lossy", "a Lossy message with a lifetime", lossy, rules=(50,), lane=LOSSY_LANE)
    base = b.good("empty-value", "an extension without a value", _with(Extension(value=b"")), rules=(50, 52))
    b.good("no-payload", "an extension and no payload", BASE.but(payload=b""), rules=(21, 50))
    longest = _with(Extension(type=0x7001, value=bytes(16_384 - 16 - 2 - 4))).but(payload=b"")
    b.good("longest", "one extension that fills a frame of 16,384 bytes", longest, rules=(21, 50))
    b.bad("size-0", base, "size is 0 and there are no extensions", _with(), 49)
    b.bad("size-says-0", one, "size is 0, the extension is read as payload", _with(Extension(), size=0), 49)
    for size in (1, 2, 3, 4):
        b.bad(f"size-{size}", one, f"size is {size}, within the extension", _with(Extension(), size=size), 50)
    b.bad("size-plus-1", one, "size covers a byte of the payload", _with(Extension(), size=6), 50)
    b.bad("size-plus-2", one, "size covers the payload", _with(Extension(), size=7), 50)
    b.bad("size-plus-3", one, "size goes beyond the frame by one byte", _with(Extension(), size=8), 21)
    b.bad("size-all-ones", one, "size is 65,535", _with(Extension(), size=0xFFFF), 21)
    for count in (1, 2, 3):
        b.bad(f"rest-{count}", one, f"{count} bytes are left over", _with(Extension(), rest=bytes(count)), 50)
    b.bad("value-cut", one, "the value's length is 2, one byte is there", _with(Extension(length=2)), 50)
    b.bad("value-length-all-ones", one, "the value's length is 65,535", _with(Extension(length=0xFFFF)), 50)
    b.bad("value-length-0", one, "the value's length is 0, one byte is left over", _with(Extension(length=0)), 50)
    cut = _with(TEXT, Extension(type=4, value=bytes(8), length=9))
    b.bad("second-value-cut", "extensions/two", "the second value's length is 9, 8 bytes are there", cut, 50)
    b.bad("size-without-second", "extensions/two", "size ends in the second extension's start",
          _with(TEXT, TIME, size=14 + 3), 50)  # fmt: skip


def _order(b: Book) -> None:
    two = _with(Extension(), Extension(type=3, value=b"b"))
    base = b.good("ascend", "types 2 and 3", two, rules=(51,))
    same = _with(Extension(), Extension(value=b"b"))
    b.bad("same", base, "both have type 2", same, 51)
    b.bad("descend", base, "types are 2 and 1", _with(Extension(), Extension(type=1, value=b"b")), 51)
    b.bad("same-must", base, "both have type 2, the second has to be understood",
          _with(Extension(), Extension(must=1, value=b"b")), 51)  # fmt: skip
    must = _with(Extension(type=1, must=1), Extension(type=2, value=b"b"))
    base = b.good("must-first", "types 1, with the must-understand bit, and 2", must, rules=(51,))
    descend = _with(Extension(type=1, must=1), Extension(type=0, value=b"b"))
    b.bad("must-descend", base, "the second has type 0", descend, 51)
    three = tuple(Extension(type=kind, value=b"") for kind in (1, 2, 4))
    base = b.good("three", "types 1, 2 and 4", _with(*three), rules=(51,))
    b.bad("third-same", base, "the third has type 2", _with(*three[:2], Extension(value=b"")), 51)
    b.bad("third-first", base, "the third has type 1", _with(*three[:2], Extension(type=1, value=b"")), 51)
    b.good("must-mixed", "must-understand bits do not change the order",
           _with(Extension(type=0x7000, must=1), Extension(type=0x7001)), rules=(51, 52))  # fmt: skip


def _values(b: Book) -> None:
    for kind in (0x0000, 0x0001, 0x3FFF, 0x4000, 0x6FFF, 0x7000, 0x7FFF):
        for must in (0, 1):
            b.good(f"type-{kind:04x}-{must}", f"type {kind:04X}, must-understand {must}",
                   _with(Extension(type=kind, must=must)), rules=(51, 52))  # fmt: skip
    for kind in GREASE:
        b.good(f"grease-{kind:04x}", f"type {kind:04X}, grease", _with(Extension(type=kind, value=b"\xff\0")),
               rules=(52, "CC-EXT-021"))  # fmt: skip
    for name, kind, value in (
        ("content-type-empty", 1, b""),
        ("content-type-256", 1, b"a" * 256),
        ("content-type-not-text", 1, b"\xff\xfe"),
        ("name-empty", 2, b""),
        ("name-not-text", 2, b"\xc3\xc3"),
        ("lifetime-3", 3, b"\0\0\xc8"),
        ("lifetime-5", 3, b"\0\0\0\0\xc8"),
        ("lifetime-0", 3, bytes(4)),
        ("time-7", 4, bytes(7)),
        ("time-9", 4, bytes(9)),
        ("encryption", 5, b"sealed"),
    ):
        title = f"type {kind:04X} with a value that is not well formed or not understood"
        for lane, flags in (("reliable", BASE.flags), (LOSSY_LANE, lay.EXTENSIONS)):
            b.good(f"{name}-{lane}", title, _with(Extension(type=kind, must=1, value=value)).but(flags=flags),
                   rules=(52, "CC-EXT-012"), lane=lane)  # fmt: skip
