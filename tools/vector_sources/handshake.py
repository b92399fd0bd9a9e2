# SPDX-License-Identifier: Apache-2.0
"""HELLO and WELCOME (sections 3.8 and 3.9)."""

from __future__ import annotations

from tools.vector_sources import layout as lay
from tools.vector_sources.book import Book
from tools.vector_sources.layout import TOKEN, Hello, Welcome

MAX32 = 2**32 - 1
MAX64 = 2**64 - 1
ONES = b"\xff" * 16


def book() -> Book:
    """Return the vectors of handshake.json."""
    b = Book("handshake", "HELLO and WELCOME")
    _hello(b)
    _hello_sizes(b)
    _welcome(b)
    _welcome_sizes(b)
    return b


def _hello(b: Book) -> None:
    rules = (69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79)
    hello = b.good("hello", "a fresh HELLO", Hello(), rules=rules)
    resume = b.good("hello-resume", "a HELLO that resumes", Hello(flags=1, attempt=2, received=41), rules=(73, 75))
    replace = b.good("hello-replace", "a HELLO that replaces", Hello(flags=2), rules=(73, 75))
    b.good("hello-resume-0", "a resume that received nothing yet", Hello(flags=1, attempt=2), rules=(75,))
    b.bad("hello-both", resume, "REPLACE is set too", Hello(flags=3, attempt=2, received=41), 73)
    b.bad("hello-both-fresh", replace, "RESUME is set too", Hello(flags=3), 73)
    for bit in range(2, 8):
        b.bad(f"hello-flag-{2**bit:02x}", hello, f"flag {2**bit:02X} is set", Hello(flags=2**bit), 12)
    for name, magic in (("helo", b"HELO"), ("lower", b"call"), ("zero", bytes(4)), ("one-bit", b"CALM")):
        b.bad(f"hello-magic-{name}", hello, f"magic is {magic.hex().upper()}", Hello(magic=magic), 70)
    for version in (0, 2, 0x0100, 0xFFFF):
        b.bad(f"hello-version-{version:04x}", hello, f"version is {version:04X}", Hello(version=version), 71)
    b.bad("hello-attempt-0", hello, "attempt is 0", Hello(attempt=0), 74)
    b.bad("hello-resume-attempt-0", resume, "attempt is 0", Hello(flags=1, attempt=0, received=41), 74)
    b.bad("hello-received-1", hello, "received is 1", Hello(received=1), 75)
    b.bad("hello-received-max", hello, "received is 2^64 - 1", Hello(received=MAX64), 75)
    b.bad("hello-replace-received", replace, "received is 1", Hello(flags=2, received=1), 75)
    least = b.good("hello-least", "smallest window and largest message", Hello(window=65_536, largest_message=32_768),
                   rules=(76, 77))  # fmt: skip
    b.bad("hello-window-65535", least, "window is 65,535", Hello(window=65_535, largest_message=32_768), 76)
    b.bad("hello-window-0", least, "window is 0", Hello(window=0, largest_message=32_768), 76)
    b.bad("hello-largest-32767", least, "largest message is 32,767", Hello(window=65_536, largest_message=32_767), 77)
    b.bad("hello-largest-0", least, "largest message is 0", Hello(window=65_536, largest_message=0), 77)
    b.good("hello-most", "largest values", Hello(flags=1, features=MAX32, token=ONES, attempt=MAX32, received=MAX64,
           window=MAX32, largest_message=MAX32), rules=(74, 76, 77, 80))  # fmt: skip
    b.good("hello-zero-token", "a token of zeros", Hello(token=bytes(16)), rules=(80,))
    for features in (1, 0x0100_0000, 0x8000_0000):
        b.good(f"hello-features-{features:08x}", f"features {features:08X}", Hello(features=features), rules=(80,))


def _hello_sizes(b: Book) -> None:
    hello = "handshake/hello"
    b.good("hello-no-id", "an empty identifier: 51 bytes", Hello(id=b""), rules=(13, 78, 79))
    b.good("hello-id-255", "an identifier of 255 bytes", Hello(id=b"a" * 255), rules=(78,))
    b.good("hello-id-text", "an identifier of 4-byte characters", Hello(id="🎉🎉".encode()), rules=(79, 95))
    for size in (4, 7, 8, 9):
        b.bad(f"hello-short-{size:02}", hello, f"the frame ends after {size} bytes", lay.shortened(Hello(), size), 69,
              13)  # fmt: skip
    for size in (10, 14, 30, 34, 42, 46, 49, 50):
        b.bad(f"hello-short-{size:02}", hello, f"the frame ends after {size} bytes", lay.shortened(Hello(), size), 13)
    for size in (51, 52, 53):
        b.bad(f"hello-short-{size:02}", hello, f"the frame ends after {size} bytes, within the identifier",
              lay.shortened(Hello(), size), 78)  # fmt: skip
    b.bad("hello-long", hello, "one byte follows the identifier", Hello(tail=b"a"), 78)
    b.bad("hello-id-length-2", hello, "the id length is 2, three bytes are there", Hello(id_length=2), 78)
    b.bad("hello-id-length-4", hello, "the id length is 4, three bytes are there", Hello(id_length=4), 78)
    b.bad("hello-id-length-0", hello, "the id length is 0, three bytes are there", Hello(id_length=0), 78)
    b.bad("hello-id-length-255", hello, "the id length is 255, three bytes are there", Hello(id_length=255), 78)
    b.bad("hello-no-id-long", "handshake/hello-no-id", "one byte follows", Hello(id=b"", tail=b"a"), 78)
    b.bad("hello-id-bad", hello, "the identifier is not UTF-8", Hello(id=b"an\xff"), 79, more=["CC-FRAME-095"])
    b.bad("hello-id-cut", "handshake/hello-id-text", "the last character is cut off",
          Hello(id="🎉🎉".encode()[:-1]), 79, more=["CC-FRAME-095"])  # fmt: skip


def _welcome(b: Book) -> None:
    rules = (81, 82, 83, 84, 85, 86, 87, 88, 89)
    welcome = b.good("welcome", "a WELCOME", Welcome(), rules=rules)
    for bit in range(8):
        b.bad(f"welcome-flag-{2**bit:02x}", welcome, f"flag {2**bit:02X} is set", Welcome(flags=2**bit), 12)
    for version in (0, 2, 0x0100, 0xFFFF):
        b.bad(f"welcome-version-{version:04x}", welcome, f"version is {version:04X}", Welcome(version=version), 82)
    b.good("welcome-slot-0", "slot 0", Welcome(slot=0), rules=(84,))
    top = b.good("welcome-slot-max", "slot FFFE", Welcome(slot=0xFFFE), rules=(84,))
    b.bad("welcome-slot-ffff", top, "slot is FFFF", Welcome(slot=0xFFFF), 84)
    b.bad("welcome-attempt-0", welcome, "attempt is 0", Welcome(attempt=0), 85)
    least = b.good("welcome-least", "smallest window and largest message",
                   Welcome(window=65_536, largest_message=32_768), rules=(86, 87))  # fmt: skip
    b.bad("welcome-window-65535", least, "window is 65,535", Welcome(window=65_535, largest_message=32_768), 86)
    b.bad("welcome-window-0", least, "window is 0", Welcome(window=0, largest_message=32_768), 86)
    b.bad("welcome-largest-32767", least, "largest message is 32,767", Welcome(window=65_536, largest_message=32_767),
          87)  # fmt: skip
    b.bad("welcome-largest-0", least, "largest message is 0", Welcome(window=65_536, largest_message=0), 87)
    b.good("welcome-most", "largest values", Welcome(slot=0xFFFE, features=MAX32, token=ONES, attempt=MAX32,
           received=MAX64, window=MAX32, largest_message=MAX32, resume_ms=MAX32), rules=(85, 86, 87, 90))  # fmt: skip
    b.good("welcome-zeros", "no resume, a token of zeros", Welcome(resume_ms=0, token=bytes(16)), rules=(90,))
    b.good("welcome-received", "a WELCOME that resumes", Welcome(attempt=2, received=41, token=TOKEN[::-1]),
           rules=(90,))  # fmt: skip


def _welcome_sizes(b: Book) -> None:
    welcome = "handshake/welcome"
    one = b.good("welcome-id-1", "an identifier of one byte", Welcome(id=b"a"), rules=(88,))
    b.good("welcome-id-255", "an identifier of 255 bytes", Welcome(id=b"a" * 255), rules=(88,))
    b.good("welcome-id-text", "an identifier that is no ASCII", Welcome(id=b"Zo\xc3\xab"), rules=(89, 95))
    b.bad("welcome-no-id", one, "the identifier is empty", Welcome(id=b""), 88)
    for size in (4, 5):
        b.bad(f"welcome-short-{size:02}", welcome, f"the frame ends after {size} bytes",
              lay.shortened(Welcome(), size), 81, 13)  # fmt: skip
    for size in (6, 8, 12, 28, 32, 40, 44, 48, 51, 52):
        b.bad(f"welcome-short-{size:02}", welcome, f"the frame ends after {size} bytes",
              lay.shortened(Welcome(), size), 13)  # fmt: skip
    for size in (53, 54, 55):
        b.bad(f"welcome-short-{size:02}", welcome, f"the frame ends after {size} bytes, within the identifier",
              lay.shortened(Welcome(), size), 88)  # fmt: skip
    b.bad("welcome-long", welcome, "one byte follows the identifier", Welcome(tail=b"a"), 88)
    b.bad("welcome-id-length-2", welcome, "the id length is 2, three bytes are there", Welcome(id_length=2), 88)
    b.bad("welcome-id-length-4", welcome, "the id length is 4, three bytes are there", Welcome(id_length=4), 88)
    b.bad("welcome-id-length-0", welcome, "the id length is 0, three bytes are there", Welcome(id_length=0), 88)
    b.bad("welcome-id-length-255", welcome, "the id length is 255, three bytes are there", Welcome(id_length=255), 88)
    b.bad("welcome-id-bad", welcome, "the identifier is not UTF-8", Welcome(id=b"\xffnn"), 89, more=["CC-FRAME-095"])
