# SPDX-License-Identifier: Apache-2.0
"""The order of judgement (section 3.15): of two faults that of the earlier frame, then of the earlier step, decides."""

from __future__ import annotations

from tools.vector_sources import layout as lay
from tools.vector_sources.book import LOSSY_LANE, Book
from tools.vector_sources.layout import Ack, Bye, Data, Hello, Roster, Unknown, Welcome

HI = "data/hi"
LOSSY_HI = "data/lossy-lossy"
HELLO = "handshake/hello"
WELCOME = "handshake/welcome"
LOSSY = Data(flags=0)


def book() -> Book:
    """Return the vectors of order.json."""
    b = Book("order", "Two faults: which one decides")
    _packet(b)
    _length(b)
    _type_and_lane(b)
    _hello(b)
    _welcome(b)
    _frames(b)
    return b


def _packet(b: Book) -> None:
    """Step 2 before all others."""
    long = "packets/longest"
    body = bytes(16_385 - 16)
    b.bad("packet-length", long, "one more byte, and length is too large by one", Data(payload=body, length=16_386), 7,
          second=(10,))  # fmt: skip
    b.bad("packet-type", long, "one more byte, and type is 08", Data(type=8, payload=body), 7, second=(11,))
    b.bad("packet-field", long, "one more byte, and channel is 0", Data(channel=0, payload=body), 7, second=(16,))
    b.bad("packet-flags", long, "one more byte, and LATEST is set", Data(flags=0x41, payload=body), 7, second=(22,))
    lossy = "data/lossy-longest-lossy"
    body = bytes(1_151 - 16)
    b.bad("packet-lossy-size", lossy, "one frame of 1,151 bytes", LOSSY.but(payload=body), 7, lane=LOSSY_LANE,
          second=(20,), why="the packet is too long before its frame is")  # fmt: skip
    b.bad("packet-lossy-reliable", "data/reliable-1151", "it comes on the lossy lane",
          Data(payload=bytes(1_151 - 16)), 7, lane=LOSSY_LANE, second=(14,))  # fmt: skip


def _length(b: Book) -> None:
    """Step 3 before 4 and the later ones."""
    b.bad("length-type", HI, "type is 08, and length too large by one", Data(type=8, length=19), 10, second=(11,))
    b.bad("length-type-short", HI, "type is 00, and length is 0", Data(type=0, length=0), 10, second=(11,))
    b.bad("start-type", HI, "type is 08, and the packet ends after 3 bytes", lay.chopped(Data(type=8), 3), 9,
          second=(11,))  # fmt: skip
    b.bad("length-lane", LOSSY_HI, "RELIABLE is set, and length too large by one", Data(length=19), 10,
          lane=LOSSY_LANE, second=(14,))  # fmt: skip
    b.bad("start-lane", "link/ack", "it comes on the lossy lane, and ends after 3 bytes", lay.chopped(Ack(), 3),
          9, lane=LOSSY_LANE, second=(14,))  # fmt: skip
    b.bad("length-magic", HELLO, "magic is HELO, and length too large by one", Hello(magic=b"HELO", length=55), 10,
          second=(70,))  # fmt: skip
    b.bad("length-version", WELCOME, "version is 2, and length too large by one", Welcome(version=2, length=57), 10,
          second=(82,))  # fmt: skip
    b.bad("length-flags", "control/close", "flag 01 is set, and length too large by one",
          lay.CLOSE.but(flags=1, length=23), 10, second=(12,))  # fmt: skip
    b.bad("length-field", HI, "channel is 0, and length too large by one", Data(channel=0, length=19), 10, second=(16,))
    b.bad("length-skipped", "packets/skipped-4", "length is 3, and the type is one to refuse",
          Unknown(type=0x7F, content=b"", length=3), 10, second=(11,))  # fmt: skip


def _type_and_lane(b: Book) -> None:
    """Step 4 before 6, and 6 before 7a, 7b and 8."""

    def lossy(name: str, base: str, fault: str, content: lay.Layout | bytes, first: int, *second: int) -> None:
        b.bad(name, base, fault, content, first, lane=LOSSY_LANE, second=second)

    lossy("type-lane", LOSSY_HI, "type is 08, which no lane carries", LOSSY.but(type=8), 11, 14)
    lossy("type-lane-40", LOSSY_HI, "type is 40: uncounted alone is not enough", LOSSY.but(type=0x40), 11, 14)
    lossy("lane-hello-short", HELLO, "it comes on the lossy lane, and ends after 8 bytes", lay.shortened(Hello(), 8),
          14, 69, 13)  # fmt: skip
    lossy("lane-magic", HELLO, "it comes on the lossy lane, and magic is HELO", Hello(magic=b"HELO"), 14, 70)
    lossy("lane-version", HELLO, "it comes on the lossy lane, and version is 2", Hello(version=2), 14, 71)
    lossy("lane-welcome", WELCOME, "it comes on the lossy lane, and version is 2", Welcome(version=2), 14, 82)
    lossy("lane-flags", "control/close", "it comes on the lossy lane, and flag 01 is set", lay.CLOSE.but(flags=1), 14,
          12)  # fmt: skip
    lossy("lane-size", "control/close", "it comes on the lossy lane, and ends after 4 bytes",
          lay.shortened(lay.CLOSE, 4), 14, 53, 13)  # fmt: skip
    lossy("lane-minimum", LOSSY_HI, "RELIABLE is set, and the frame ends after 4 bytes",
          lay.shortened(Data(), 4), 14, 13)  # fmt: skip
    lossy("lane-field", LOSSY_HI, "RELIABLE is set, and channel is 0", Data(channel=0), 14, 16)
    lossy("lane-latest", LOSSY_HI, "RELIABLE and LATEST are set", Data(flags=0x41), 14, 22)
    lossy("lane-roster", "roster/first", "it comes on the lossy lane, and epoch is 0", Roster(epoch=0), 14, 62)
    lossy("lane-bye", "link/bye", "it comes on the lossy lane, and its text is not UTF-8", Bye(text=b"\xff"), 14, 93)


def _hello(b: Book) -> None:
    """Step 7a: size for magic and version, then magic, then version, then everything else."""
    b.bad("hello-size-magic", HELLO, "magic is HELO, and the frame ends after 9 bytes",
          lay.shortened(Hello(magic=b"HELO"), 9), 69, 13, second=(70,), more=["CC-FRAME-072"])  # fmt: skip
    b.bad("hello-magic-version", HELLO, "magic is HELO, and version is 2", Hello(magic=b"HELO", version=2), 70,
          second=(71,), more=["CC-FRAME-072"])  # fmt: skip
    b.bad("hello-magic-flags", HELLO, "magic is HELO, and flag 80 is set", Hello(magic=b"HELO", flags=0x80), 70,
          second=(12,), more=["CC-FRAME-072"])  # fmt: skip
    b.bad("hello-magic-size", HELLO, "magic is HELO, and the frame ends after 10 bytes",
          lay.shortened(Hello(magic=b"HELO"), 10), 70, second=(13,), more=["CC-FRAME-072"])  # fmt: skip
    b.bad("hello-magic-field", HELLO, "magic is HELO, and attempt is 0", Hello(magic=b"HELO", attempt=0), 70,
          second=(74,), more=["CC-FRAME-072"])  # fmt: skip
    b.bad("hello-version-flags", HELLO, "version is 2, and flag 80 is set", Hello(version=2, flags=0x80), 71,
          second=(12,), more=["CC-FRAME-072"])  # fmt: skip
    b.bad("hello-version-size", HELLO, "version is 2, and the frame ends after 10 bytes",
          lay.shortened(Hello(version=2), 10), 71, second=(13,), more=["CC-FRAME-072"])  # fmt: skip
    b.bad("hello-version-id", HELLO, "version is 2, and one byte follows the identifier", Hello(version=2, tail=b"a"),
          71, second=(78,), more=["CC-FRAME-072"])  # fmt: skip
    b.bad("hello-version-field", HELLO, "version is 2, and attempt is 0", Hello(version=2, attempt=0), 71,
          second=(74,), more=["CC-FRAME-072"])  # fmt: skip
    b.bad("hello-version-both", HELLO, "version is 2, and RESUME and REPLACE are set", Hello(version=2, flags=3), 71,
          second=(73,), more=["CC-FRAME-072"])  # fmt: skip
    b.bad("hello-version-text", HELLO, "version is 0, and the identifier is not UTF-8", Hello(version=0, id=b"\xff"),
          71, second=(79,), more=["CC-FRAME-072"])  # fmt: skip


def _welcome(b: Book) -> None:
    b.bad("welcome-size-flags", WELCOME, "flag 01 is set, and the frame ends after 5 bytes",
          lay.shortened(Welcome(flags=1), 5), 81, 13, second=(12,), more=["CC-FRAME-083"])  # fmt: skip
    b.bad("welcome-version-flags", WELCOME, "version is 2, and flag 01 is set", Welcome(version=2, flags=1), 82,
          second=(12,), more=["CC-FRAME-083"])  # fmt: skip
    b.bad("welcome-version-size", WELCOME, "version is 2, and the frame ends after 6 bytes",
          lay.shortened(Welcome(version=2), 6), 82, second=(13,), more=["CC-FRAME-083"])  # fmt: skip
    b.bad("welcome-version-field", WELCOME, "version is 2, and slot is FFFF", Welcome(version=2, slot=0xFFFF), 82,
          second=(84,), more=["CC-FRAME-083"])  # fmt: skip
    b.bad("welcome-version-id", WELCOME, "version is 0, and the identifier is empty", Welcome(version=0, id=b""), 82,
          second=(88,), more=["CC-FRAME-083"])  # fmt: skip


def _frames(b: Book) -> None:
    """One frame after the other: a late step of an early frame before an early step of a late frame."""
    three = (Data(), Ack(), Bye())
    base = b.good("three-frames", "DATA, ACK and BYE", *three, rules=(102,))
    b.bad("frame-field-type", base, "the first has sequence 0, the second type 08",
          [Data(sequence=0), Ack(type=8), Bye()], 19, second=(11,))  # fmt: skip
    b.bad("frame-field-length", base, "the first has sequence 0, the second a length of 3",
          [Data(sequence=0), Ack(length=3), Bye()], 19, second=(10,))  # fmt: skip
    b.bad("frame-field-cut", base, "the first has sequence 0, the second is cut off",
          Data(sequence=0).raw() + lay.chopped(Ack(), 3), 19, second=(9,))  # fmt: skip
    b.bad("frame-flags-type", base, "the second has flag 01, the third type 08", [Ack(flags=1), Bye(type=8)], 12,
          before=three[:1], second=(11,))  # fmt: skip
    b.bad("frame-type-field", base, "the second has type 08, the third flag 01", [Ack(type=8), Bye(flags=1)], 11,
          before=three[:1], second=(12,))  # fmt: skip
    b.bad("frame-length-wins", base, "the second has a length of 3, the third type 08", [Ack(length=3), Bye(type=8)],
          10, before=three[:1], second=(11,))  # fmt: skip
    lossy = (LOSSY, LOSSY.but(sequence=2))
    base = b.good("two-lossy", "two Lossy frames on the lossy lane", *lossy, rules=(102,), lane=LOSSY_LANE)
    b.bad("frame-lossy-field-lane", base, "the first has channel 0, the second RELIABLE",
          [LOSSY.but(channel=0), Data()], 16, lane=LOSSY_LANE, second=(14,))  # fmt: skip
    b.bad("frame-lossy-lane-type", base, "the first has RELIABLE, the second type 08",
          [Data(), LOSSY.but(type=8)], 14, lane=LOSSY_LANE, second=(11,))  # fmt: skip
