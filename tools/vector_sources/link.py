# SPDX-License-Identifier: Apache-2.0
"""ACK and BYE (section 3.10), and what is text (section 3.11)."""

from __future__ import annotations

from tools.vector_sources import layout as lay
from tools.vector_sources.book import Book
from tools.vector_sources.layout import Ack, Bye

VALID = {
    "00": "the code point 0000",
    "7f": "7F, the last of one byte",
    "c280": "80, the first of two bytes",
    "dfbf": "7FF, the last of two bytes",
    "e0a080": "800, the first of three bytes",
    "e18080": "1000",
    "ecbfbf": "CFFF",
    "ed9fbf": "D7FF, the last before the surrogates",
    "ee8080": "E000, the first after the surrogates",
    "efb790": "FDD0, a noncharacter",
    "efbbbf": "FEFF, the byte order mark",
    "efbfbd": "FFFD, the replacement character",
    "efbfbf": "FFFF, a noncharacter",
    "f0908080": "10000, the first of four bytes",
    "f1808080": "40000",
    "f3bfbfbf": "FFFFF",
    "f48fbfbf": "10FFFF, the last of all",
    "65cc81": "a letter and a combining accent",
}
INVALID = {
    "80": "a lone trailing byte",
    "bf": "the last lone trailing byte",
    "c080": "0000 in two bytes, overlong",
    "c1bf": "7F in two bytes, overlong",
    "c2": "a character of two bytes, cut off",
    "df": "a character of two bytes, cut off",
    "c3c3": "a second leading byte instead of a trailing one",
    "c328": "an ASCII byte instead of a trailing one",
    "c2c0": "C0 instead of a trailing byte",
    "e08080": "0000 in three bytes, overlong",
    "e09fbf": "7FF in three bytes, overlong",
    "e0a0": "a character of three bytes, cut off",
    "e282": "a character of three bytes, cut off",
    "e2": "a character of three bytes, cut off after one",
    "e28228": "an ASCII byte instead of the second trailing one",
    "eda080": "D800, the first surrogate",
    "edadbf": "DB7F, a surrogate",
    "edbfbf": "DFFF, the last surrogate",
    "eda081edb080": "10400 as a pair of surrogates",
    "f0808080": "0000 in four bytes, overlong",
    "f08fbfbf": "FFFF in four bytes, overlong",
    "f09080": "a character of four bytes, cut off",
    "f090": "a character of four bytes, cut off after two",
    "f0": "a character of four bytes, cut off after one",
    "f48fbf": "the last character, cut off",
    "f4908080": "110000, beyond the last",
    "f5808080": "F5 leads no character",
    "f7bfbfbf": "1FFFFF, beyond the last",
    "f888808080": "a character of five bytes",
    "fc8480808080": "a character of six bytes",
    "fe": "FE leads no character",
    "ff": "FF leads no character",
}


def book() -> Book:
    """Return the vectors of link.json."""
    b = Book("link", "ACK and BYE, and what is text")
    _ack(b)
    _bye(b)
    _text(b)
    return b


def _ack(b: Book) -> None:
    ack = b.good("ack", "ACK", Ack(), rules=(91,))
    b.good("ack-0", "received 0", Ack(received=0), rules=(91,))
    b.good("ack-max", "received 2^64 - 1: whether it is possible is for the link", Ack(received=2**64 - 1), rules=(91,))
    for size in (4, 5, 8, 11):
        b.bad(f"ack-short-{size:02}", ack, f"the frame ends after {size} bytes", lay.shortened(Ack(), size), 91, 13)
    b.bad("ack-long", ack, "one byte follows", Ack(tail=b"\0"), 91)
    b.bad("ack-long-12", ack, "12 bytes follow", Ack(tail=bytes(12)), 91)
    for bit in range(8):
        b.bad(f"ack-flag-{2**bit:02x}", ack, f"flag {2**bit:02X} is set", Ack(flags=2**bit), 12)


def _bye(b: Book) -> None:
    bye = b.good("bye", "BYE", Bye(), rules=(92, 93, 94))
    b.good("bye-empty", "BYE without a text: 6 bytes", Bye(text=b""), rules=(13, 92, 93))
    for code in (0x0000, 0x0001, 0x0018, 0x0033, 0x3FFF, 0x4000, 0xEFFF, 0xF000, 0xFFFF):
        b.good(f"bye-code-{code:04x}", f"code {code:04X}", Bye(code=code, text=b""), rules=(94, "CC-EXT-027"))
    for size in (4, 5):
        b.bad(f"bye-short-{size}", bye, f"the frame ends after {size} bytes", lay.shortened(Bye(), size), 13)
    longest = Bye(text=b"a" * 255)
    base = b.good("bye-255", "a text of 255 bytes", longest, rules=(92,))
    b.bad("bye-256", base, "one more byte of text", Bye(text=b"a" * 256), 92)
    b.bad("bye-10000", base, "a text of 10,000 bytes", Bye(text=b"a" * 10_000), 92)
    text = "ë".encode() * 127 + b"a"
    base = b.good("bye-255-bytes", "a text of 128 characters in 255 bytes", Bye(text=text), rules=(92, 93))
    b.bad("bye-256-bytes", base, "a text of 128 characters in 256 bytes", Bye(text="ë".encode() * 128), 92,
          why="lengths of text are in bytes, not in characters")  # fmt: skip
    b.bad("bye-255-cut", base, "the last of 255 bytes begins a character", Bye(text=text[:-1] + b"\xc3"), 93,
          more=["CC-FRAME-095"])  # fmt: skip
    for bit in range(8):
        b.bad(f"bye-flag-{2**bit:02x}", bye, f"flag {2**bit:02X} is set", Bye(flags=2**bit), 12)


def _text(b: Book) -> None:
    for text, what in VALID.items():
        b.good(f"text-{text}", f"{text.upper()}: {what}", Bye(text=bytes.fromhex(text)), rules=(93, 95))
    for text, what in INVALID.items():
        b.bad(f"text-{text}", "link/bye-empty", f"the text is {text.upper()}: {what}", Bye(text=bytes.fromhex(text)),
              93, more=["CC-FRAME-095"])  # fmt: skip
        between = Bye(text=b"a" + bytes.fromhex(text) + b"z")
        b.bad(f"text-{text}-between", "link/bye", f"the text has {text.upper()} between two letters", between, 93,
              more=["CC-FRAME-095"])  # fmt: skip
