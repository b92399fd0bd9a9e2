# SPDX-License-Identifier: Apache-2.0
"""Packets, starts of frames, types and lanes: sections 3.2 to 3.4 and 3.12 to 3.14."""

from __future__ import annotations

from tools.vector_sources import layout as lay
from tools.vector_sources.book import LOSSY_LANE, Book
from tools.vector_sources.layout import Ack, Bye, Data, Hello, Layout, Roster, Unknown, Welcome

GREASE = (0x8A, 0x9A, 0xAA, 0xBA, 0xCA, 0xDA, 0xEA, 0xFA)
SKIPPED = (0x80, 0x81, 0xBF, 0xC0, 0xC1, 0xFE, 0xFF)
REFUSED = (0x00, 0x08, 0x09, 0x0F, 0x10, 0x20, 0x3F, 0x40, 0x45, 0x46, 0x4F, 0x50, 0x60, 0x7F)

LOSSY = Data(flags=0)
HI = "data/hi"
LOSSY_HI = "data/lossy-lossy"
KNOWN: dict[str, Layout] = {
    "data": Data(),
    **lay.CONTROLS,
    "roster": Roster(),
    "hello": Hello(),
    "welcome": Welcome(),
    "ack": Ack(),
    "bye": Bye(),
}
# Where the frames of KNOWN stand as vectors of their own.
BASES = {
    "data": HI,
    **{name: f"control/{name}" for name in lay.CONTROLS},
    "roster": "roster/first",
    "hello": "handshake/hello",
    "welcome": "handshake/welcome",
    "ack": "link/ack",
    "bye": "link/bye",
}


def book() -> Book:
    """Return the vectors of packets.json."""
    b = Book("packets", "Packets, starts of frames, types and lanes")
    _sizes(b)
    _several(b)
    _starts(b)
    _unknown(b)
    _lanes(b)
    return b


def _sizes(b: Book) -> None:
    b.bad("empty", HI, "all bytes are gone", b"", 6)
    b.bad("empty-lossy", LOSSY_HI, "all bytes are gone", b"", 6, lane=LOSSY_LANE)
    longest = Data(payload=bytes(16_384 - 16))
    base = b.good("longest", "16,384 bytes, the longest packet of the reliable lane", longest, rules=(7, 10))
    b.bad("too-long", base, "one more byte of payload", longest.but(payload=bytes(16_385 - 16)), 7)
    first = LOSSY.but(payload=bytes(575 - 16))
    second = LOSSY.but(sequence=2, payload=bytes(575 - 16))
    base = b.good(
        "longest-lossy", "1,150 bytes, the longest of the lossy lane", first, second, rules=(7,), lane=LOSSY_LANE
    )
    b.bad(
        "too-long-lossy", base, "one more byte in the second frame",
        [first, second.but(payload=bytes(576 - 16))], 7, lane=LOSSY_LANE,
        why="a packet that is too long is dropped as a whole: no frame of it stands",
    )  # fmt: skip


def _several(b: Book) -> None:
    receipt = lay.RECEIPT.but(sender=0, recipient=2, session=11, value=1)
    bundle = (Data(flags=0x03, sequence=8, payload=b"yes"), receipt, Ack(received=17))
    base = b.good("bundle", "DATA, RECEIPT and ACK", *bundle, rules=(4, 10, 97))
    everything = tuple(KNOWN.values())
    b.good("every-type", "one frame of each known type", *everything, rules=(11, 12, 13, 97))
    b.good("skipped-between", "a skipped frame between two others", Data(), Unknown(), Ack(), rules=(98, 99, 4))
    b.bad("second-type", base, "the second frame has type 08", [receipt.but(type=8), bundle[2]], 11, before=bundle[:1])
    b.bad(
        "second-field", base, "the second frame has session 0", [receipt.but(session=0), bundle[2]], 55,
        before=bundle[:1], why="the frame before stands, the one behind is not read",
    )  # fmt: skip
    b.bad("third-length", base, "the third frame says 13 bytes", bundle[2].but(length=13), 10, before=bundle[:2])
    b.bad("third-flags", base, "the third frame has flag 01", bundle[2].but(flags=1), 12, before=bundle[:2])
    for size in (1, 2, 3):
        b.bad(
            f"third-start-{size}", base, f"the packet ends after {size} bytes of the third frame",
            lay.chopped(bundle[2], size), 9, before=bundle[:2],
        )  # fmt: skip
    b.bad("third-cut", base, "the packet ends after 4 bytes of the third frame", lay.chopped(bundle[2], 4), 10,
          before=bundle[:2])  # fmt: skip
    b.bad("first-field", base, "the first frame has channel 0", [bundle[0].but(channel=0), *bundle[1:]], 16)
    lossy = (LOSSY, LOSSY.but(sequence=2), LOSSY.but(sequence=3))
    base = b.good("lossy-three", "three Lossy frames on the lossy lane", *lossy, rules=(14, 97), lane=LOSSY_LANE)
    b.bad(
        "lossy-second-field", base, "the second frame has sequence 0", [lossy[1].but(sequence=0), lossy[2]], 19,
        lane=LOSSY_LANE, before=lossy[:1],
    )  # fmt: skip
    b.bad(
        "lossy-second-lane", base, "the second frame has RELIABLE", [lossy[1].but(flags=1), lossy[2]], 14,
        lane=LOSSY_LANE, before=lossy[:1],
    )  # fmt: skip
    b.good("mixed", "Reliable and Lossy frames on the reliable lane", Data(), LOSSY.but(session=6), rules=(14, 97))
    b.bad(
        "padding", "packets/bundle", "one zero byte behind the last frame", b"\0", 9, before=bundle,
        why="packets have no padding: what follows a frame is a frame",
    )  # fmt: skip
    b.bad("padding-4", "packets/bundle", "four zero bytes behind the last frame", bytes(4), 10, before=bundle)


def _starts(b: Book) -> None:
    for size in (1, 2, 3):
        b.bad(f"start-{size}", HI, f"the packet ends after {size} bytes", lay.chopped(Data(), size), 9)
    for length in (0, 1, 3):
        b.bad(f"length-{length}", HI, f"length is {length}", Data(length=length), 10)
    b.bad("length-plus-1", HI, "length is 19, 18 bytes are there", Data(length=19), 10)
    b.bad("length-all-ones", HI, "length is 65,535", Data(length=0xFFFF), 10)
    b.bad("length-minus-1", HI, "length is 17, so one byte is left", b"i", 9, before=[Data(payload=b"h")])
    for name, frame in KNOWN.items():
        size = len(frame.raw())
        for cut in (4, 5, size - 1):
            b.bad(
                f"cut-{name}-{cut}",
                BASES[name],
                f"the packet ends after {cut} of {size} bytes",
                lay.chopped(frame, cut),
                10,
            )
    base = b.good("skipped-4", "a skipped frame of 4 bytes, the shortest", Unknown(content=b""), rules=(10, 99))
    b.bad("skipped-3", base, "length is 3", Unknown(content=b"", length=3), 10,
          why="the length of a skipped frame obeys section 3.3")  # fmt: skip
    b.bad("skipped-5", base, "length is 5, 4 bytes are there", Unknown(content=b"", length=5), 10)
    base = b.good("skipped-longest", "a skipped frame of 16,384 bytes", Unknown(content=bytes(16_380)), rules=(7, 99))
    b.bad("skipped-too-long", base, "one more byte", Unknown(content=bytes(16_381)), 7)


def _unknown(b: Book) -> None:
    for number in REFUSED:
        base = b.good(
            f"before-type-{number:02x}", f"two frames, of which the second will have type {number:02X}",
            Data(sequence=number + 1), Unknown(flags=number, content=b""), rules=(11,),
        )  # fmt: skip
        b.bad(
            f"type-{number:02x}", base, f"the second frame has type {number:02X}",
            Unknown(type=number, flags=number, content=b""), 11, before=[Data(sequence=number + 1)],
        )  # fmt: skip
    b.bad("type-data-00", HI, "type is 00", Data(type=0), 11)
    b.bad("type-data-40", HI, "type is 40: uncounted, and not skippable", Data(type=0x40), 11)
    for number in GREASE + SKIPPED:
        rules = (11, 97, 98, 99, 100, 101) if number in GREASE else (11, 97, 98, 99)
        word = "grease" if number in GREASE else "unknown"
        frame = Unknown(type=number, flags=number ^ 0xFF, content=bytes([number, 0, 1]))
        b.good(f"skip-{number:02x}", f"type {number:02X}, {word}", frame, rules=rules)
        b.good(f"skip-{number:02x}-lossy", f"type {number:02X}, {word}", frame, rules=(*rules, 14), lane=LOSSY_LANE)
    for flags in (0x00, 0x01, 0x80, 0xFF):
        b.good(f"skip-flags-{flags:02x}", f"grease with flags {flags:02X}", Unknown(flags=flags), rules=(99,))


def _lanes(b: Book) -> None:
    b.bad("data-reliable-on-lossy", LOSSY_HI, "RELIABLE is set", Data(), 14, lane=LOSSY_LANE)
    for name, frame in KNOWN.items():
        if name != "data":
            b.bad(f"lane-{name}", BASES[name], "it comes on the lossy lane", frame, 14, lane=LOSSY_LANE)
