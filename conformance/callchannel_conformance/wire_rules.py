# SPDX-License-Identifier: Apache-2.0
"""Every rule of chapter 3 that bytes and lane alone can break: one row each, in the validation order of section 3.15.

`RULES` is the whole of it. A reader of the standard can hold each row against the requirement that it names. `wire`
applies the rows in order and answers the first that is broken; `broken` lists all of them, which tells whether a faulty
packet has one fault or several.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Final, TypeAlias

from construct import ConstructError

from callchannel_conformance import wire_grammar as grammar

RELIABLE_LANE: Final = "reliable"
LOSSY_LANE: Final = "lossy"
LANES: Final = (RELIABLE_LANE, LOSSY_LANE)

PACKET_LIMITS: Final = {RELIABLE_LANE: 16_384, LOSSY_LANE: 1_150}
"""The longest packet of each lane, in bytes (CC-FRAME-007)."""

SMALLEST: Final = {
    "DATA": 16,
    "ROSTER": 8,
    "HELLO": 51,
    "WELCOME": 53,
    "ACK": 12,
    "BYE": 6,
    **dict.fromkeys(grammar.CONTROL, 22),
}
"""The smallest length of each known frame, in bytes (CC-FRAME-013)."""

LIFETIME: Final = 3
U32_MAX: Final = 0xFFFF_FFFF
LAST_WORD: Final = 2_047
SLOT_FFFF_BIT: Final = 0x8000_0000

# RFC 3629, section 4, its ABNF written as an expression over bytes.
_TAIL: Final = rb"[\x80-\xBF]"
_UTF8: Final = re.compile(
    rb"(?:[\x00-\x7F]"
    + rb"|[\xC2-\xDF]" + _TAIL
    + rb"|\xE0[\xA0-\xBF]" + _TAIL + rb"|[\xE1-\xEC]" + _TAIL * 2
    + rb"|\xED[\x80-\x9F]" + _TAIL + rb"|[\xEE-\xEF]" + _TAIL * 2
    + rb"|\xF0[\x90-\xBF]" + _TAIL * 2 + rb"|[\xF1-\xF3]" + _TAIL * 3 + rb"|\xF4[\x80-\x8F]" + _TAIL * 2
    + rb")*"
)  # fmt: skip


def is_utf8(text: bytes) -> bool:
    """Say whether *text* is empty or a sequence that RFC 3629 allows (CC-FRAME-095)."""
    return _UTF8.fullmatch(text) is not None


class Subject:
    """What is judged: a packet at the offset of one of its frames. Nothing of it is read before it is asked for."""

    def __init__(self, packet: bytes, lane: str, offset: int = 0) -> None:
        self.packet = packet
        self.lane = lane
        self.offset = offset

    @property
    def left(self) -> int:
        """Bytes of the packet from this frame on."""
        return len(self.packet) - self.offset

    @cached_property
    def start(self) -> Any:
        """Type, flags and length. Only there when 4 bytes are left."""
        return grammar.START.parse(self.packet[self.offset :])

    @property
    def length(self) -> int:
        """Length of the frame as it states it."""
        return int(self.start.length)

    @property
    def number(self) -> int:
        """Type of the frame."""
        return int(self.start.type)

    @property
    def name(self) -> str | None:
        """Name of the frame's type, None for one that is unknown."""
        return grammar.NAMES.get(self.number)

    @property
    def raw(self) -> bytes:
        """The whole frame. Only there when its length lies within the packet."""
        return self.packet[self.offset : self.offset + self.length]

    @cached_property
    def flags(self) -> Any:
        """Flags of a known type, by name."""
        return grammar.FLAGS[grammar.NAMES[self.number]].parse(bytes([self.start.flags]))

    @property
    def reliable(self) -> bool:
        """Whether a DATA frame has RELIABLE set."""
        return bool(self.flags.RELIABLE)

    @cached_property
    def head(self) -> Any:
        """Magic and version of HELLO, version of WELCOME; each None when it is cut off."""
        layout = grammar.HELLO_HEAD if self.name == "HELLO" else grammar.WELCOME_HEAD
        return layout.parse(self.raw[grammar.START_SIZE :])

    @cached_property
    def _parsed(self) -> tuple[Any, tuple[str, ...]]:
        body = grammar.FRAME.parse(self.raw).body
        try:
            return grammar.BODIES[grammar.NAMES[self.number]].parse(body, flags=self.flags), ()
        except ConstructError as error:
            # The path reads "(parsing) -> extensions -> end".
            return None, tuple(str(error.path).split(" -> ")[1:])

    @property
    def body(self) -> Any:
        """Fields and blocks of a known type; None when their structure is broken."""
        return self._parsed[0]

    @property
    def broken_at(self) -> tuple[str, ...]:
        """Names of the part at which the structure is broken, from the outside in; empty when it is whole."""
        return self._parsed[1]


Predicate: TypeAlias = Callable[[Subject], bool]


@dataclass(frozen=True, slots=True)
class Rule:
    """One requirement that bytes can break.

    `step` is the step of section 3.15; `of` says what the rule is about: PACKET, START (any frame, known or not), KNOWN
    (any known frame) or frame names; `holds` is true for what obeys it.
    """

    requirement: str
    step: str
    code: str
    of: tuple[str, ...]
    holds: Predicate


# --- Words of the rules ---------------------------------------------------------------------------


def _fragment(holds: Callable[[Any, Subject], bool]) -> Predicate:
    """A rule for frames with a fragment block."""
    return lambda s: s.body.fragment is None or holds(s.body.fragment, s)


def _abort(holds: Callable[[Any, Subject], bool]) -> Predicate:
    """A rule for fragments with ABORT."""
    return _fragment(lambda f, s: not f.abort or holds(f, s))


def _content(holds: Callable[[Any, Subject], bool]) -> Predicate:
    """A rule for fragments without ABORT."""
    return _fragment(lambda f, s: f.abort or holds(f, s))


def _lossy_content(holds: Callable[[Any, Subject], bool]) -> Predicate:
    """A rule for Lossy fragments. ABORT in one is a fault of its own."""
    return _content(lambda f, s: s.reliable or holds(f, s))


def _recipients(holds: Callable[[Any, Subject], bool]) -> Predicate:
    """A rule for frames with a recipient block."""
    return lambda s: s.body.recipients is None or holds(s.body.recipients, s)


def _to_all(block: Any) -> bool:
    """EXCEPT with count 0: everyone of the epoch."""
    return bool(block.head["except"]) and block.head.count == 0


def _extensions(holds: Callable[[Any, Subject], bool]) -> Predicate:
    """A rule for frames with an extension block."""
    return lambda s: s.body.extensions is None or holds(s.body.extensions, s)


def _ascending(numbers: list[int]) -> bool:
    return all(before < after for before, after in pairwise(numbers))


def _entries(holds: Callable[[Any], bool]) -> Predicate:
    """A rule for each entry of a ROSTER."""
    return lambda s: all(holds(entry) for entry in s.body.entries)


def _payload(s: Subject) -> int:
    return len(s.body.payload)


_VALUES: Final = {
    "CLOSE": (1, U32_MAX),
    "FAIL": (1, U32_MAX + 1),
    "REFUSE": (1, U32_MAX),
    "RECEIPT": (1, U32_MAX),
    "CREDIT": (0, 2**64 - 1),
}

FORMAT: Final = "FRAME_FORMAT"
PACKET: Final = ("PACKET",)
START: Final = ("START",)
KNOWN: Final = ("KNOWN",)
DATA: Final = ("DATA",)
CONTROL: Final = grammar.CONTROL
ROSTER: Final = ("ROSTER",)
HELLO: Final = ("HELLO",)
WELCOME: Final = ("WELCOME",)

RULES: Final[tuple[Rule, ...]] = (
    # Step 2: the packet.
    Rule("CC-FRAME-006", "2", "PACKET_SIZE", PACKET, lambda s: len(s.packet) >= 1),
    Rule("CC-FRAME-007", "2", "PACKET_SIZE", PACKET, lambda s: len(s.packet) <= PACKET_LIMITS[s.lane]),
    # Step 3: where the frame ends.
    Rule("CC-FRAME-009", "3", "FRAME_LENGTH", START, lambda s: s.left >= grammar.START_SIZE),
    Rule("CC-FRAME-010", "3", "FRAME_LENGTH", START, lambda s: grammar.START_SIZE <= s.length <= s.left),
    # Step 4: the type. Step 5 needs the link.
    Rule(
        "CC-FRAME-011", "4", "UNKNOWN_TYPE", START,
        lambda s: s.name is not None or bool(s.number & grammar.SKIPPABLE),
    ),
    # Step 6: the lane. An unknown type that may be skipped ends here.
    Rule(
        "CC-FRAME-014", "6", "WRONG_LANE", START,
        lambda s: s.lane != LOSSY_LANE or bool(s.number & grammar.SKIPPABLE) or (s.name == "DATA" and not s.reliable),
    ),
    # Step 7a: by what HELLO and WELCOME of every version are known.
    Rule("CC-FRAME-069", "7a", FORMAT, HELLO, lambda s: s.length >= 10),
    Rule("CC-FRAME-070", "7a", "HANDSHAKE", HELLO, lambda s: s.head.magic in (None, grammar.MAGIC)),
    Rule("CC-FRAME-071", "7a", "VERSION", HELLO, lambda s: s.head.version in (None, grammar.WIRE_VERSION)),
    Rule("CC-FRAME-081", "7a", FORMAT, WELCOME, lambda s: s.length >= 6),
    Rule("CC-FRAME-082", "7a", "VERSION", WELCOME, lambda s: s.head.version in (None, grammar.WIRE_VERSION)),
    # Step 7b: flags and length of known types.
    Rule("CC-FRAME-012", "7b", FORMAT, KNOWN, lambda s: s.flags.get("reserved", 0) == 0),
    Rule("CC-FRAME-013", "7b", FORMAT, KNOWN, lambda s: s.length >= SMALLEST[grammar.NAMES[s.number]]),
    Rule("CC-FRAME-020", "7b", FORMAT, DATA, lambda s: s.reliable or s.length <= PACKET_LIMITS[LOSSY_LANE]),
    Rule("CC-FRAME-053", "7b", FORMAT, CONTROL, lambda s: s.length == 22),
    Rule("CC-FRAME-091", "7b", FORMAT, ("ACK",), lambda s: s.length == 12),
    Rule("CC-FRAME-092", "7b", FORMAT, ("BYE",), lambda s: s.length <= 6 + 255),
    # Step 8, structure: what has to be whole before fields can be read.
    Rule(
        "CC-FRAME-021", "8", FORMAT, DATA,
        lambda s: s.broken_at[:1] not in (("fragment",), ("recipients",)) and s.broken_at != ("extensions",),
    ),
    Rule("CC-FRAME-050", "8", FORMAT, DATA, lambda s: s.broken_at != ("extensions", "end")),
    Rule("CC-FRAME-063", "8", FORMAT, ROSTER, lambda s: s.broken_at != ("end",)),
    Rule("CC-FRAME-078", "8", FORMAT, HELLO, lambda s: s.broken_at not in (("id",), ("end",))),
    # The other half of CC-FRAME-088, an identifier of at least one byte, stands with the values.
    Rule("CC-FRAME-088", "8", FORMAT, WELCOME, lambda s: s.broken_at not in (("id",), ("end",))),
    # Step 8, DATA: fields and flags.
    Rule("CC-FRAME-016", "8", FORMAT, DATA, lambda s: s.body.channel >= 1),
    Rule("CC-FRAME-017", "8", FORMAT, DATA, lambda s: s.body.sender != grammar.NO_SLOT),
    Rule("CC-FRAME-018", "8", FORMAT, DATA, lambda s: s.body.session >= 1),
    Rule("CC-FRAME-019", "8", FORMAT, DATA, lambda s: s.body.sequence >= 1),
    Rule("CC-FRAME-022", "8", FORMAT, DATA, lambda s: not (s.flags.LATEST and (s.flags.RELIABLE or s.flags.FRAGMENT))),
    Rule("CC-FRAME-023", "8", FORMAT, DATA, lambda s: not s.flags.CONFIRM or s.flags.RELIABLE),
    # Step 8, DATA: the fragment block.
    Rule("CC-FRAME-025", "8", FORMAT, DATA, _abort(lambda f, s: not f.last)),
    Rule("CC-FRAME-026", "8", FORMAT, DATA, _abort(lambda f, s: s.reliable)),
    Rule("CC-FRAME-027", "8", FORMAT, DATA, _abort(lambda f, s: f.index >= 1)),
    Rule(
        "CC-FRAME-028", "8", FORMAT, DATA,
        _abort(lambda f, s: _payload(s) == 0 and s.body.recipients is None and s.body.extensions is None),
    ),
    Rule("CC-FRAME-029", "8", FORMAT, DATA, _content(lambda f, s: _payload(s) >= 1 or (f.last and f.total == 0))),
    Rule("CC-FRAME-030", "8", FORMAT, DATA, _content(lambda f, s: f.total == 0 or _payload(s) <= f.total)),
    Rule(
        "CC-FRAME-031", "8", FORMAT, DATA,
        _content(lambda f, s: f.total == 0 or f.index != 0 or not f.last or _payload(s) == f.total),
    ),
    Rule(
        "CC-FRAME-032", "8", FORMAT, DATA,
        _content(
            lambda f, s: not s.reliable or f.index == 0 or (s.body.recipients is None and s.body.extensions is None)
        ),
    ),
    Rule("CC-FRAME-033", "8", FORMAT, DATA, _lossy_content(lambda f, s: f.total != 0)),
    Rule("CC-FRAME-034", "8", FORMAT, DATA, _lossy_content(lambda f, s: f.total <= 65_536)),
    Rule("CC-FRAME-035", "8", FORMAT, DATA, _lossy_content(lambda f, s: f.index <= 127)),
    Rule("CC-FRAME-036", "8", FORMAT, DATA, _lossy_content(lambda f, s: f.last or _payload(s) >= 512)),
    Rule(
        "CC-FRAME-037", "8", FORMAT, DATA,
        _lossy_content(
            lambda f, s: f.index == 0
            or s.body.extensions is None
            or [e.head.type for e in s.body.extensions] == [LIFETIME]
        ),
    ),
    # Step 8, DATA: the recipient block.
    Rule("CC-FRAME-038", "8", FORMAT, DATA, _recipients(lambda r, s: r.epoch >= 1)),
    Rule("CC-FRAME-039", "8", FORMAT, DATA, _recipients(lambda r, s: r.head["except"] or r.head.count != 0)),
    Rule("CC-FRAME-040", "8", FORMAT, DATA, _recipients(lambda r, s: s.reliable or r.head.count <= 64)),
    Rule("CC-FRAME-041", "8", FORMAT, DATA, _recipients(lambda r, s: _ascending([w.index for w in r.words]))),
    Rule("CC-FRAME-042", "8", FORMAT, DATA, _recipients(lambda r, s: all(w.bits != 0 for w in r.words))),
    Rule(
        "CC-FRAME-043", "8", FORMAT, DATA,
        _recipients(
            lambda r, s: all(
                w.index <= LAST_WORD and not (w.index == LAST_WORD and w.bits & SLOT_FFFF_BIT) for w in r.words
            )
        ),
    ),
    Rule("CC-FRAME-044", "8", FORMAT, DATA, _recipients(lambda r, s: bool(s.flags.PRIVATE) is not _to_all(r))),
    Rule("CC-FRAME-045", "8", FORMAT, DATA, _recipients(lambda r, s: s.flags.CONFIRM or not _to_all(r))),
    # Step 8, DATA: the extension block.
    Rule("CC-FRAME-049", "8", FORMAT, DATA, _extensions(lambda x, s: len(x) >= 1)),
    Rule("CC-FRAME-051", "8", FORMAT, DATA, _extensions(lambda x, s: _ascending([e.head.type for e in x]))),
    # Step 8, control frames.
    Rule("CC-FRAME-054", "8", FORMAT, CONTROL, lambda s: s.body.sender != grammar.NO_SLOT),
    Rule("CC-FRAME-055", "8", FORMAT, CONTROL, lambda s: s.body.session >= 1),
    Rule(
        "CC-FRAME-056", "8", FORMAT, CONTROL,
        lambda s: _VALUES[grammar.NAMES[s.number]][0] <= s.body.value <= _VALUES[grammar.NAMES[s.number]][1],
    ),
    Rule("CC-FRAME-057", "8", FORMAT, ("FAIL", "REFUSE"), lambda s: s.body.reason != 0),
    Rule("CC-FRAME-058", "8", FORMAT, ("RECEIPT", "CREDIT"), lambda s: s.body.reason == 0),
    # Step 8, ROSTER.
    Rule("CC-FRAME-062", "8", FORMAT, ROSTER, lambda s: s.body.epoch >= 1),
    Rule("CC-FRAME-064", "8", FORMAT, ROSTER, _entries(lambda e: e.op in grammar.OPS)),
    Rule("CC-FRAME-065", "8", FORMAT, ROSTER, _entries(lambda e: e.slot != grammar.NO_SLOT)),
    # What an unknown operation would have to hold is not known.
    Rule(
        "CC-FRAME-066", "8", FORMAT, ROSTER,
        _entries(lambda e: e.op not in grammar.OPS or (e.id_length >= 1) == (grammar.OPS[e.op] == "JOIN")),
    ),
    Rule(
        "CC-FRAME-067", "8", FORMAT, ROSTER,
        _entries(lambda e: grammar.OPS.get(e.op) not in ("JOIN", "RESUMED") or e.reason == 0),
    ),
    Rule("CC-FRAME-068", "8", FORMAT, ROSTER, _entries(lambda e: is_utf8(e.id))),
    # Step 8, HELLO.
    Rule("CC-FRAME-073", "8", FORMAT, HELLO, lambda s: not (s.flags.RESUME and s.flags.REPLACE)),
    Rule("CC-FRAME-074", "8", FORMAT, HELLO, lambda s: s.body.attempt >= 1),
    Rule("CC-FRAME-075", "8", FORMAT, HELLO, lambda s: s.flags.RESUME or s.body.received == 0),
    Rule("CC-FRAME-076", "8", FORMAT, HELLO, lambda s: s.body.window >= 65_536),
    Rule("CC-FRAME-077", "8", FORMAT, HELLO, lambda s: s.body.largest_message >= 32_768),
    Rule("CC-FRAME-079", "8", FORMAT, HELLO, lambda s: is_utf8(s.body.id)),
    # Step 8, WELCOME.
    Rule("CC-FRAME-084", "8", FORMAT, WELCOME, lambda s: s.body.slot != grammar.NO_SLOT),
    Rule("CC-FRAME-085", "8", FORMAT, WELCOME, lambda s: s.body.attempt >= 1),
    Rule("CC-FRAME-086", "8", FORMAT, WELCOME, lambda s: s.body.window >= 65_536),
    Rule("CC-FRAME-087", "8", FORMAT, WELCOME, lambda s: s.body.largest_message >= 32_768),
    Rule("CC-FRAME-088", "8", FORMAT, WELCOME, lambda s: len(s.body.id) >= 1),
    Rule("CC-FRAME-089", "8", FORMAT, WELCOME, lambda s: is_utf8(s.body.id)),
    # Step 8, BYE.
    Rule("CC-FRAME-093", "8", FORMAT, ("BYE",), lambda s: is_utf8(s.body.text)),
)  # fmt: skip

PACKET_RULES: Final = tuple(rule for rule in RULES if rule.of == PACKET)
START_RULES: Final = tuple(rule for rule in RULES if rule.of == START)
_SIZES: Final = ("CC-FRAME-013", "CC-FRAME-053", "CC-FRAME-091")


def rules_of(name: str) -> tuple[Rule, ...]:
    """Return the rules for a frame of the known type *name* after the lane, in order."""
    return tuple(rule for rule in RULES if rule.of == KNOWN or name in rule.of)


def first_of_frame(subject: Subject) -> Rule | None:
    """Return the first rule that the frame at the subject's offset breaks, or None when it is valid."""
    for rule in START_RULES:
        if not rule.holds(subject):
            return rule
    if subject.name is not None:
        for rule in rules_of(subject.name):
            if not rule.holds(subject):
                return rule
    return None


def broken(packet: bytes, lane: str) -> Iterator[tuple[int, Rule]]:
    """Yield every broken rule of a packet with the offset of its frame, as far as bytes can be told apart.

    Unlike a reader it goes on after a fault: behind a fault in a frame's length nothing can be read, behind one in a
    frame's size or structure its fields can't, and any other leaves all rules to judge.
    """
    subject = Subject(packet, lane)
    for rule in PACKET_RULES:
        if not rule.holds(subject):
            yield 0, rule
    while subject.left:
        for rule in START_RULES:
            if not rule.holds(subject):
                yield subject.offset, rule
                if rule.step == "3":
                    return
        if subject.name is not None:
            yield from _broken_fields(subject, subject.name)
        subject = Subject(packet, lane, subject.offset + subject.length)


def _broken_fields(subject: Subject, name: str) -> Iterator[tuple[int, Rule]]:
    readable = True
    for rule in rules_of(name):
        if rule.step == "8" and not readable:
            return
        if not rule.holds(subject):
            yield subject.offset, rule
            if rule.requirement in _SIZES or (rule.step == "8" and subject.body is None):
                readable = False
