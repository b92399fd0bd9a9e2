# SPDX-License-Identifier: Apache-2.0
"""The recipient block and its bitmaps (section 3.5.3)."""

from __future__ import annotations

from tools.vector_sources import layout as lay
from tools.vector_sources.book import LOSSY_LANE, Book
from tools.vector_sources.layout import EVERYONE, Data, Recipients

SOME_FLAGS = lay.RELIABLE | lay.RECIPIENTS | lay.PRIVATE
SOME = Data(flags=SOME_FLAGS, recipients=Recipients(words=((0, 0x9), (1, 0x100))))
CONFIRMED = Data(flags=lay.RELIABLE | lay.RECIPIENTS | lay.CONFIRM, recipients=EVERYONE)
LOSSY = Data(flags=lay.RECIPIENTS | lay.PRIVATE, recipients=Recipients(words=((1, 0xFFFF_FFFF), (3, 0xFFFF_FFFF))))
ALL_BITS = 0xFFFF_FFFF


def _to(*words: tuple[int, int], **fields: int) -> Data:
    return SOME.but(recipients=Recipients(words=words, **fields))


def book() -> Book:
    """Return the vectors of recipients.json."""
    b = Book("recipients", "DATA: the recipient block")
    some = b.good("some", "slots 0, 3 and 40", SOME, rules=(38, 39, 41, 42, 43, 44))
    but = _to((0, 0x8000_0020), all_but=1)
    everyone_but = b.good("everyone-but", "everyone but slots 5 and 31", but, rules=(39, 44))
    b.good("downstream", "the message to some after a relay removed the block",
           SOME.but(flags=lay.RELIABLE | lay.PRIVATE, recipients=None), rules=(44, 46, 104))  # fmt: skip
    _epochs(b, some)
    _counts(b, some, everyone_but)
    _words(b, some)
    _bits(b)
    _flags(b)
    return b


def _epochs(b: Book, some: str) -> None:
    b.good("epoch-1", "epoch 1", _to((0, 1), epoch=1), rules=(38,))
    b.good("epoch-max", "epoch 2^32 - 1", _to((0, 1), epoch=2**32 - 1), rules=(38,))
    b.bad("epoch-0", some, "epoch is 0", _to((0, 0x9), (1, 0x100), epoch=0), 38)
    b.bad("epoch-0-everyone", "recipients/flags-29", "epoch is 0",
          CONFIRMED.but(recipients=Recipients(epoch=0, all_but=1, words=())), 38)  # fmt: skip


def _counts(b: Book, some: str, everyone_but: str) -> None:
    one = _to((0, 0x9))
    base = b.good("one-word", "one word", one.but(payload=b""), rules=(39,))
    b.bad("count-0", base, "no word is left", SOME.but(recipients=Recipients(words=()), payload=b""), 39)
    # A count that is wrong takes words for payload, or payload for words.
    b.bad("count-short-0", base, "count is 0, the word is read as payload",
          one.but(recipients=Recipients(count=0), payload=b""), 39)  # fmt: skip
    b.bad("count-plus-1", base, "count is 2, one word is there", one.but(recipients=Recipients(count=2), payload=b""),
          21)  # fmt: skip
    b.bad("count-all-ones", base, "count is 32,767", one.but(recipients=Recipients(count=0x7FFF), payload=b""), 21)
    b.bad("count-all-ones-except", everyone_but, "count is 32,767",
          _to((0, 0x8000_0020), all_but=1, count=0x7FFF), 21)  # fmt: skip
    b.bad("count-3", some, "count is 3, the payload is too short for a word",
          SOME.but(recipients=Recipients(words=((0, 0x9), (1, 0x100)), count=3)), 21)  # fmt: skip
    for words in (63, 64):
        lossy = LOSSY.but(recipients=Recipients(words=tuple((i, 1) for i in range(words))))
        base = b.good(f"lossy-{words}", f"a Lossy frame with {words} words", lossy, rules=(40,), lane=LOSSY_LANE)
    over = Recipients(words=tuple((i, 1) for i in range(65)))
    b.bad("lossy-65", base, "one more word", LOSSY.but(recipients=over), 40, lane=LOSSY_LANE)
    b.good("reliable-65", "a Reliable frame with 65 words", SOME.but(recipients=over), rules=(40,))
    b.bad("lossy-65-reliable-lane", "recipients/reliable-65", "RELIABLE is clear", LOSSY.but(recipients=over), 40)
    over = Recipients(all_but=1, words=over.words)
    b.good("reliable-65-except", "everyone but the slots of 65 words", SOME.but(recipients=over), rules=(40,))
    b.bad("lossy-65-except", "recipients/reliable-65-except", "RELIABLE is clear", LOSSY.but(recipients=over), 40)
    every = Recipients(words=(*((i, ALL_BITS) for i in range(2_047)), (2_047, 0x7FFF_FFFF)))
    b.good("all-slots", "all 65,535 slots in 2,048 words", SOME.but(recipients=every), rules=(40, 41, 43))


def _words(b: Book, some: str) -> None:
    b.bad("words-equal", some, "both words have index 0", _to((0, 0x9), (0, 0x100)), 41)
    b.bad("words-descend", some, "the words have indices 1 and 0", _to((1, 0x9), (0, 0x100)), 41)
    three = _to((0, 1), (5, 2), (9, 4))
    base = b.good("three-words", "three words", three, rules=(41,))
    b.bad("words-third", base, "the third word has the index of the second", _to((0, 1), (5, 2), (5, 4)), 41)
    b.bad("words-third-first", base, "the third word has index 0", _to((0, 1), (5, 2), (0, 4)), 41)
    b.bad("word-zero", some, "the second word has no bit", _to((0, 0x9), (1, 0)), 42)
    b.bad("word-zero-first", some, "the first word has no bit", _to((0, 0), (1, 0x100)), 42)
    b.bad("word-zero-except", "recipients/everyone-but", "the word has no bit", _to((0, 0), all_but=1), 42)
    last = _to((2_047, 0x4000_0000))
    base = b.good("last-slot", "slot FFFE, the last", last, rules=(43,))
    b.bad("slot-ffff", base, "the bit of slot FFFF instead", _to((2_047, 0x8000_0000)), 43)
    b.bad("slot-ffff-too", base, "the bit of slot FFFF as well", _to((2_047, 0xC000_0000)), 43)
    b.bad("slot-ffff-except", base, "EXCEPT, and the bit of slot FFFF", _to((2_047, 0x8000_0000), all_but=1), 43)
    b.bad("index-2048", base, "the word has index 2,048", _to((2_048, 0x4000_0000)), 43)
    b.bad("index-all-ones", base, "the word has index 65,535", _to((0xFFFF, 0x4000_0000)), 43)
    b.bad("index-2048-bit-0", "recipients/bit-65504", "the word has index 2,048", _to((2_048, 1)), 43)


def _bits(b: Book) -> None:
    for slot in (0, 1, 30, 31, 32, 63, 64, 9_999, 32_767, 32_768, 65_503, 65_504):
        b.good(f"bit-{slot}", f"slot {slot}", _to((slot // 32, 2 ** (slot % 32))), rules=(41, 42, 43))
    b.good("full-word", "a word with all bits", _to((0, ALL_BITS)), rules=(42,))
    b.good("two-full-lossy", "two full words, Lossy", LOSSY, rules=(40, 44), lane=LOSSY_LANE)
    b.good("far-words", "the first slot and the last", _to((0, 1), (2_047, 0x4000_0000)), rules=(41,))


def _flags(b: Book) -> None:
    """EXCEPT with count 0, and a block that names some, under all flags that matter to them."""
    base = b.good("flags-29", "a confirmed broadcast", CONFIRMED, rules=(39, 44, 45))
    for flags in (0x08, 0x09, 0x18, 0x19, 0x28, 0x38, 0x39, 0x48, 0x49, 0x58, 0x59, 0x68, 0x69, 0x78, 0x79):
        broken = []
        if flags & lay.LATEST and flags & lay.RELIABLE:
            broken.append(22)
        if flags & lay.CONFIRM and not flags & lay.RELIABLE:
            broken.append(23)
        if flags & lay.PRIVATE:
            broken.append(44)
        if not flags & lay.CONFIRM:
            broken.append(45)
        b.bad(f"everyone-{flags:02x}", base, f"flags are {flags:02X}", CONFIRMED.but(flags=flags), *broken)
    b.bad("everyone-some", base, "EXCEPT is clear", CONFIRMED.but(recipients=Recipients(words=())), 39, 44)
    b.bad("everyone-but-open", base, "the block names a slot", CONFIRMED.but(recipients=Recipients(all_but=1)), 44)
    some = SOME.but(flags=SOME_FLAGS | lay.CONFIRM)
    base = b.good("some-confirmed", "confirmed, to some", some, rules=(44,))
    b.bad("some-open", base, "PRIVATE is clear", some.but(flags=CONFIRMED.flags), 44)
    b.bad("some-open-unconfirmed", "recipients/some", "PRIVATE is clear",
          SOME.but(flags=lay.RELIABLE | lay.RECIPIENTS), 44)  # fmt: skip
    base = b.good("latest-some", "the latest value, to some", LOSSY.but(flags=LOSSY.flags | lay.LATEST),
                  rules=(22, 44), lane=LOSSY_LANE)  # fmt: skip
    b.bad("latest-open", base, "PRIVATE is clear", LOSSY.but(flags=lay.RECIPIENTS | lay.LATEST), 44, lane=LOSSY_LANE)
    b.good("confirmed-downstream", "a confirmed broadcast after a relay removed the block",
           CONFIRMED.but(flags=lay.RELIABLE | lay.CONFIRM, recipients=None), rules=(44, 45, 48, 104))  # fmt: skip
