# SPDX-License-Identifier: Apache-2.0
"""The fragment block (section 3.5.2)."""

from __future__ import annotations

from tools.vector_sources import layout as lay
from tools.vector_sources.book import LOSSY_LANE, Book
from tools.vector_sources.layout import LIFETIME, Data, Extension, Extensions, Fragment, Recipients

INDEX_MAX = 2**30 - 1
TOTAL_MAX = 2**32 - 1

FIRST = Data(flags=lay.RELIABLE | lay.FRAGMENT, fragment=Fragment(), payload=b"part")
LATER = FIRST.but(fragment=Fragment(index=2))
LAST = FIRST.but(fragment=Fragment(last=1, index=2))
STREAM = FIRST.but(fragment=Fragment(total=0))
STREAM_END = FIRST.but(fragment=Fragment(last=1, index=17, total=0), payload=b"")
ABORT = FIRST.but(fragment=Fragment(abort=1, index=3, total=0), payload=b"")
LOSSY_FIRST = Data(flags=lay.FRAGMENT, fragment=Fragment(total=1_029), payload=bytes(512))
LOSSY_LATER = LOSSY_FIRST.but(fragment=Fragment(index=1, total=1_029))
LOSSY_LAST = LOSSY_FIRST.but(fragment=Fragment(last=1, index=2, total=1_029), payload=b"tail!")
SOME = Recipients()
CONTENT_TYPE = Extensions(items=(Extension(type=1, value=b"text/plain"),))
NAME = Extensions()
PRIVATE_BLOCK = lay.PRIVATE | lay.RECIPIENTS


def book() -> Book:
    """Return the vectors of fragments.json."""
    b = Book("fragments", "DATA: the fragment block")
    _reliable(b)
    _abort(b)
    _lossy(b)
    return b


def _reliable(b: Book) -> None:
    first = b.good("first", "the first fragment of 40,000 bytes", FIRST, rules=(29, 30, 31))
    later = b.good("later", "a fragment in between", LATER, rules=(29, 30, 31, 32))
    last = b.good("last", "the last fragment", LAST, rules=(29, 30, 31, 32))
    b.bad("first-empty", first, "it has no payload", FIRST.but(payload=b""), 29)
    b.bad("later-empty", later, "it has no payload", LATER.but(payload=b""), 29)
    b.bad("last-empty", last, "it has no payload", LAST.but(payload=b""), 29)
    b.good("first-one-byte", "a first fragment of one byte", FIRST.but(payload=b"p"), rules=(29,))

    whole = FIRST.but(fragment=Fragment(last=1, total=4))
    base = b.good("single", "a message in a single fragment", whole, rules=(30, 31))
    b.bad("single-short", base, "one byte of payload is missing", whole.but(payload=b"par"), 31)
    b.bad("single-long", base, "one byte of payload too many", whole.but(payload=b"parts"), 30, 31)
    b.bad("single-total-3", base, "total is 3", whole.but(fragment=Fragment(last=1, total=3)), 30, 31)
    b.bad("single-total-5", base, "total is 5", whole.but(fragment=Fragment(last=1, total=5)), 31)
    b.bad("single-total-max", base, "total is 2^32 - 1", whole.but(fragment=Fragment(last=1, total=TOTAL_MAX)), 31)
    one = FIRST.but(fragment=Fragment(last=1, total=1), payload=b"p")
    base = b.good("single-one-byte", "a message of one byte in a single fragment", one, rules=(29, 31))
    b.bad("single-one-empty", base, "it has no payload", one.but(payload=b""), 29, 31)

    # A single frame does not show that the rest of the message has no room: chapter 6 judges that.
    full = FIRST.but(fragment=Fragment(total=4))
    base = b.good("payload-total", "a fragment as long as its message, without LAST", full, rules=(30,))
    b.bad("payload-total-plus-1", base, "one more byte of payload", full.but(payload=b"parts"), 30)
    b.bad("payload-total-minus-1", base, "total is 3", full.but(fragment=Fragment(total=3)), 30)
    full = LAST.but(fragment=Fragment(last=1, index=1, total=4))
    base = b.good("last-total", "a last fragment with index 1 as long as its message", full, rules=(30, 31))
    b.bad("last-total-plus-1", base, "one more byte of payload", full.but(payload=b"parts"), 30)

    b.good("total-1", "total is 1", LAST.but(fragment=Fragment(last=1, index=1, total=1), payload=b"p"), rules=(30,))
    b.good("total-max", "total is 2^32 - 1", FIRST.but(fragment=Fragment(total=TOTAL_MAX)), rules=(30,))
    b.good("index-1", "index is 1", FIRST.but(fragment=Fragment(index=1)), rules=(32,))
    b.good("index-max", "index is 2^30 - 1", FIRST.but(fragment=Fragment(index=INDEX_MAX)))
    ones = FIRST.but(fragment=Fragment(last=1, index=INDEX_MAX, total=TOTAL_MAX))
    base = b.good("all-ones", "LAST, the largest index and the largest total", ones)
    block = Fragment(last=1, abort=1, index=INDEX_MAX, total=TOTAL_MAX)
    b.bad("all-ones-abort", base, "ABORT is set", ones.but(fragment=block), 25, 28)

    stream = b.good("stream", "the first fragment of a stream", STREAM, rules=(29, 30, 31))
    b.bad("stream-empty", stream, "it has no payload", STREAM.but(payload=b""), 29)
    end = b.good("stream-end", "a stream ends with an empty fragment", STREAM_END, rules=(29,))
    b.bad("stream-end-not-last", end, "LAST is clear", STREAM_END.but(fragment=Fragment(index=17, total=0)), 29)
    b.bad("stream-end-total", end, "total is 1", STREAM_END.but(fragment=Fragment(last=1, index=17, total=1)), 29)
    b.good("stream-end-payload", "a stream ends with a payload", STREAM_END.but(payload=b"end"), rules=(29, 30))
    b.good("stream-nothing", "a stream of zero bytes",
           STREAM_END.but(fragment=Fragment(last=1, total=0)), rules=(29, 31))  # fmt: skip
    b.good("stream-single", "a stream in a single fragment",
           STREAM.but(fragment=Fragment(last=1, total=0)), rules=(29, 31))  # fmt: skip

    _later_blocks(b, later, last)


def _later_blocks(b: Book, later: str, last: str) -> None:
    """Recipients and extensions of a Reliable message stand in fragment 0."""
    private = lay.RELIABLE | lay.FRAGMENT | PRIVATE_BLOCK
    extended = lay.RELIABLE | lay.FRAGMENT | lay.EXTENSIONS
    b.good("first-recipients", "a first fragment to some", FIRST.but(flags=private, recipients=SOME), rules=(32,))
    b.good("first-extensions", "a first fragment with extensions",
           FIRST.but(flags=extended, extensions=NAME), rules=(32,))  # fmt: skip
    downstream = LATER.but(flags=lay.RELIABLE | lay.FRAGMENT | lay.PRIVATE)
    base = b.good("later-private", "a later fragment of a private message", downstream, rules=(32,))
    b.bad("later-recipients", base, "it has a recipient block", LATER.but(flags=private, recipients=SOME), 32)
    b.bad("later-extensions", later, "it has an extension block", LATER.but(flags=extended, extensions=NAME), 32)
    b.bad(
        "later-lifetime", later, "it has an extension block with a lifetime",
        LATER.but(flags=extended, extensions=Extensions(items=(LIFETIME,))), 32,
        why="lifetime in later fragments is for Lossy messages alone",
    )  # fmt: skip
    b.bad("last-extensions", last, "it has an extension block", LAST.but(flags=extended, extensions=NAME), 32)
    one = FIRST.but(fragment=Fragment(index=1), flags=extended, extensions=NAME)
    b.bad("index-1-extensions", "fragments/first-extensions", "index is 1", one, 32)
    some = FIRST.but(fragment=Fragment(index=1), flags=private, recipients=SOME)
    b.bad("index-1-recipients", "fragments/first-recipients", "index is 1", some, 32)
    confirmed = lay.RELIABLE | lay.FRAGMENT | lay.CONFIRM
    b.good("later-confirm", "a later fragment of a confirmed broadcast", LATER.but(flags=confirmed), rules=(32,))
    b.bad("later-everyone", "fragments/later-confirm", "it has a recipient block",
          LATER.but(flags=confirmed | lay.RECIPIENTS, recipients=lay.EVERYONE), 32)  # fmt: skip


def _abort(b: Book) -> None:
    rules = (25, 26, 27, 28)
    base = b.good("abort", "a stream is given up after three fragments", ABORT, rules=rules)
    sized = ABORT.but(fragment=Fragment(abort=1, index=3))
    b.good("abort-total", "a message of known length is given up", sized, rules=rules)
    b.good("abort-1", "given up after one fragment", ABORT.but(fragment=Fragment(abort=1, index=1)), rules=(27,))
    most = Fragment(abort=1, index=INDEX_MAX, total=TOTAL_MAX)
    b.good("abort-max", "given up at the largest index", ABORT.but(fragment=most), rules=(27,))
    every = lay.RELIABLE | lay.HIGH | lay.FRAGMENT | lay.PRIVATE | lay.CONFIRM
    b.good("abort-flags", "given up, with every flag that ABORT allows", ABORT.but(flags=every), rules=(28,))
    b.bad("abort-last", base, "LAST is set", ABORT.but(fragment=Fragment(last=1, abort=1, index=3, total=0)), 25)
    b.bad("abort-0", base, "index is 0", ABORT.but(fragment=Fragment(abort=1, total=0)), 27)
    b.bad("abort-payload", base, "it has a payload", ABORT.but(payload=b"*"), 28)
    b.bad(
        "abort-recipients", "fragments/abort-flags", "it has a recipient block",
        ABORT.but(flags=every | lay.RECIPIENTS, recipients=SOME), 28,
    )  # fmt: skip
    b.bad("abort-extensions", base, "it has an extension block",
          ABORT.but(flags=ABORT.flags | lay.EXTENSIONS, extensions=NAME), 28)  # fmt: skip
    b.bad("abort-lossy", base, "RELIABLE is clear", ABORT.but(flags=lay.FRAGMENT), 26)
    b.bad("abort-lossy-total", "fragments/abort-total", "RELIABLE is clear", sized.but(flags=lay.FRAGMENT), 26)
    gone = Fragment(abort=1, index=2, total=1_029)
    last = b.good("lossy-last-for-abort", "a last Lossy fragment", LOSSY_LAST.but(sequence=2), lane=LOSSY_LANE)
    b.bad("lossy-abort", last, "ABORT instead of LAST and payload",
          LOSSY_LAST.but(sequence=2, fragment=gone, payload=b""), 26, lane=LOSSY_LANE)  # fmt: skip


def _lossy(b: Book) -> None:
    for lane in ("reliable", LOSSY_LANE):
        b.good(f"lossy-first-{lane}", "a first Lossy fragment", LOSSY_FIRST, rules=(33, 34, 35, 36), lane=lane)
        b.good(f"lossy-later-{lane}", "a Lossy fragment in between", LOSSY_LATER, rules=(33, 35, 36), lane=lane)
        b.good(f"lossy-last-{lane}", "a last Lossy fragment", LOSSY_LAST, rules=(33, 34, 35, 36), lane=lane)
    first, later, last = (f"fragments/lossy-{part}-lossy" for part in ("first", "later", "last"))

    def bad(name: str, base: str, fault: str, frame: Data, *rules: int) -> None:
        b.bad(name, base, fault, frame, *rules, lane=LOSSY_LANE)

    bad("lossy-first-total-0", first, "total is 0", LOSSY_FIRST.but(fragment=Fragment(total=0)), 33)
    bad("lossy-last-total-0", last, "total is 0", LOSSY_LAST.but(fragment=Fragment(last=1, index=2, total=0)), 33)
    bad("lossy-last-empty", last, "it has no payload", LOSSY_LAST.but(payload=b""), 29)
    most = LOSSY_FIRST.but(fragment=Fragment(total=65_536))
    base = b.good("lossy-total-max", "total is 65,536", most, rules=(34,), lane=LOSSY_LANE)
    bad("lossy-total-over", base, "total is 65,537", most.but(fragment=Fragment(total=65_537)), 34)
    bad("lossy-total-ones", base, "total is 2^32 - 1", most.but(fragment=Fragment(total=TOTAL_MAX)), 34)
    most = LOSSY_LAST.but(fragment=Fragment(last=1, index=127, total=65_536))
    base = b.good("lossy-index-max", "index is 127", most, rules=(35,), lane=LOSSY_LANE)
    bad("lossy-index-128", base, "index is 128", most.but(fragment=Fragment(last=1, index=128, total=65_536)), 35)
    ones = most.but(fragment=Fragment(last=1, index=INDEX_MAX, total=65_536))
    bad("lossy-index-ones", base, "index is 2^30 - 1", ones, 35)
    b.bad("lossy-first-511", first, "one byte of payload is missing", LOSSY_FIRST.but(payload=bytes(511)), 36,
          lane=LOSSY_LANE)  # fmt: skip
    b.bad("lossy-later-511", "fragments/lossy-later-reliable", "one byte of payload is missing",
          LOSSY_LATER.but(payload=bytes(511)), 36)  # fmt: skip
    bad("lossy-later-empty", later, "it has no payload", LOSSY_LATER.but(payload=b""), 29, 36)
    bad("lossy-last-not-last", last, "LAST is clear", LOSSY_LAST.but(fragment=Fragment(index=2, total=1_029)), 36)
    b.good("lossy-513", "a Lossy fragment of 513 bytes", LOSSY_FIRST.but(payload=bytes(513)), rules=(36,),
           lane=LOSSY_LANE)  # fmt: skip
    full = LOSSY_FIRST.but(payload=bytes(1_150 - 24))
    base = b.good("lossy-longest", "1,150 bytes, the longest Lossy fragment", full.but(fragment=Fragment(total=2_000)),
                  rules=(20, 36), lane=LOSSY_LANE)  # fmt: skip
    single = LOSSY_FIRST.but(fragment=Fragment(last=1, total=4), payload=b"part")
    base = b.good("lossy-single", "a Lossy message in a single fragment", single, rules=(31, 36), lane=LOSSY_LANE)
    bad("lossy-single-short", base, "one byte of payload is missing", single.but(payload=b"par"), 31)
    bad("lossy-single-long", base, "one byte of payload too many", single.but(payload=b"parts"), 30, 31)
    whole = LOSSY_LAST.but(fragment=Fragment(last=1, index=1, total=5))
    base = b.good("lossy-payload-total", "a last Lossy fragment as long as its message", whole, rules=(30,),
                  lane=LOSSY_LANE)  # fmt: skip
    bad("lossy-payload-over", base, "total is 4", LOSSY_LAST.but(fragment=Fragment(last=1, index=1, total=4)), 30)
    _lossy_blocks(b)


def _lossy_blocks(b: Book) -> None:
    """Recipients stand in every Lossy fragment, of the extensions only lifetime."""
    private = lay.FRAGMENT | PRIVATE_BLOCK
    extended = lay.FRAGMENT | lay.EXTENSIONS
    b.good("lossy-later-recipients", "a later Lossy fragment to some",
           LOSSY_LATER.but(flags=private, recipients=SOME), rules=(32,), lane=LOSSY_LANE)  # fmt: skip
    many = Extensions(items=(Extension(), LIFETIME, Extension(type=4, value=lay.u64(1))))
    b.good("lossy-first-extensions", "a first Lossy fragment with name, lifetime and time",
           LOSSY_FIRST.but(flags=extended, extensions=many), rules=(37,), lane=LOSSY_LANE)  # fmt: skip
    with_lifetime = LOSSY_LATER.but(flags=extended, extensions=Extensions(items=(LIFETIME,)))
    base = b.good("lossy-later-lifetime", "a later Lossy fragment with lifetime", with_lifetime, rules=(37,),
                  lane=LOSSY_LANE)  # fmt: skip
    must = Extensions(items=(Extension(type=3, must=1, value=lay.u32(200)),))
    b.good("lossy-later-lifetime-must", "lifetime with the must-understand bit", with_lifetime.but(extensions=must),
           rules=(37, 52), lane=LOSSY_LANE)  # fmt: skip
    odd = Extensions(items=(Extension(type=3, value=b"\0\0\xc8"),))
    b.good("lossy-later-lifetime-malformed", "lifetime of 3 bytes", with_lifetime.but(extensions=odd),
           rules=(37, 52, "CC-EXT-012"), lane=LOSSY_LANE)  # fmt: skip
    for name, items, what in (
        ("name", (Extension(),), "name instead of lifetime"),
        ("and-name", (Extension(), LIFETIME), "name beside lifetime"),
        ("and-time", (LIFETIME, Extension(type=4, value=lay.u64(1))), "application time beside lifetime"),
        ("grease", (Extension(type=0x0A5A),), "an extension of grease instead of lifetime"),
    ):
        b.bad(f"lossy-later-{name}", base, what, with_lifetime.but(extensions=Extensions(items=items)), 37,
              lane=LOSSY_LANE)  # fmt: skip
    last = LOSSY_LAST.but(flags=extended, extensions=Extensions(items=(LIFETIME,)))
    base = b.good("lossy-last-lifetime", "a last Lossy fragment with lifetime", last, rules=(37,), lane=LOSSY_LANE)
    b.bad("lossy-last-name", base, "name instead of lifetime", last.but(extensions=NAME), 37, lane=LOSSY_LANE)
    b.bad("lossy-last-name-reliable", base, "name instead of lifetime, on the reliable lane",
          last.but(extensions=CONTENT_TYPE), 37)  # fmt: skip
