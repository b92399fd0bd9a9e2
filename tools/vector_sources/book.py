# SPDX-License-Identifier: Apache-2.0
"""Collects vectors, and holds what the standard says of each rule: its step, its code, and why it is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tools.vector_sources.layout import Layout, counted, packet

RELIABLE_LANE = "reliable"
LOSSY_LANE = "lossy"

# Step of section 3.15, code after "Else:", and the rule in a few words, by the number of CC-FRAME.
RULES: dict[int, tuple[str, str, str]] = {
    6: ("2", "PACKET_SIZE", "a packet holds at least one byte"),
    7: ("2", "PACKET_SIZE", "a packet has at most 16,384 bytes on the reliable lane, 1,150 on the lossy lane"),
    9: ("3", "FRAME_LENGTH", "a frame begins with 4 bytes"),
    10: ("3", "FRAME_LENGTH", "length is at least 4 and at most what is left of the packet"),
    11: ("4", "UNKNOWN_TYPE", "an unknown type may be skipped only if bit 80 is set"),
    12: ("7b", "FRAME_FORMAT", "flags that the type does not define are zero"),
    13: ("7b", "FRAME_FORMAT", "each known type has a smallest length"),
    14: ("6", "WRONG_LANE", "the lossy lane carries Lossy DATA and types with bit 80 alone"),
    16: ("8", "FRAME_FORMAT", "channel 0 is no channel"),
    17: ("8", "FRAME_FORMAT", "slot FFFF is no slot"),
    18: ("8", "FRAME_FORMAT", "sessions are numbered from 1"),
    19: ("8", "FRAME_FORMAT", "messages are numbered from 1"),
    20: ("7b", "FRAME_FORMAT", "a Lossy frame has at most 1,150 bytes on either lane"),
    21: ("8", "FRAME_FORMAT", "a block that a flag announces lies within the frame"),
    22: ("8", "FRAME_FORMAT", "LATEST excludes RELIABLE and FRAGMENT"),
    23: ("8", "FRAME_FORMAT", "CONFIRM needs RELIABLE"),
    25: ("8", "FRAME_FORMAT", "ABORT excludes LAST"),
    26: ("8", "FRAME_FORMAT", "only a Reliable message can be aborted"),
    27: ("8", "FRAME_FORMAT", "ABORT follows at least one fragment"),
    28: ("8", "FRAME_FORMAT", "ABORT has no payload and no other block"),
    29: ("8", "FRAME_FORMAT", "only the last fragment of a stream may be empty"),
    30: ("8", "FRAME_FORMAT", "a fragment is not longer than its message"),
    31: ("8", "FRAME_FORMAT", "a message in a single fragment is as long as its total says"),
    32: ("8", "FRAME_FORMAT", "recipients and extensions of a Reliable message are in fragment 0 alone"),
    33: ("8", "FRAME_FORMAT", "a Lossy message is no stream"),
    34: ("8", "FRAME_FORMAT", "a Lossy message has at most 65,536 bytes"),
    35: ("8", "FRAME_FORMAT", "a Lossy message has at most 128 fragments"),
    36: ("8", "FRAME_FORMAT", "a Lossy fragment before the last holds at least 512 bytes"),
    37: ("8", "FRAME_FORMAT", "a later Lossy fragment carries lifetime and no other extension"),
    38: ("8", "FRAME_FORMAT", "the first epoch is 1"),
    39: ("8", "FRAME_FORMAT", "a block without EXCEPT names somebody"),
    40: ("8", "FRAME_FORMAT", "a Lossy frame has at most 64 words"),
    41: ("8", "FRAME_FORMAT", "words ascend by index"),
    42: ("8", "FRAME_FORMAT", "a word without any bit is left out"),
    43: ("8", "FRAME_FORMAT", "the last word is 2,047, and its bit 31, slot FFFF, is zero"),
    44: ("8", "FRAME_FORMAT", "PRIVATE is set with a block, and clear if the block is EXCEPT with count 0"),
    45: ("8", "FRAME_FORMAT", "EXCEPT with count 0 is there for CONFIRM alone"),
    49: ("8", "FRAME_FORMAT", "an extension block holds something"),
    50: ("8", "FRAME_FORMAT", "extensions fill the size of their block exactly"),
    51: ("8", "FRAME_FORMAT", "extensions ascend by type, the must-understand bit aside"),
    53: ("7b", "FRAME_FORMAT", "a control frame has exactly 22 bytes"),
    54: ("8", "FRAME_FORMAT", "the owner's slot is not FFFF"),
    55: ("8", "FRAME_FORMAT", "sessions are numbered from 1"),
    56: ("8", "FRAME_FORMAT", "value lies in the range of its frame"),
    57: ("8", "FRAME_FORMAT", "FAIL and REFUSE have a reason"),
    58: ("8", "FRAME_FORMAT", "RECEIPT and CREDIT have no reason"),
    62: ("8", "FRAME_FORMAT", "the first epoch is 1"),
    63: ("8", "FRAME_FORMAT", "entries fill the frame exactly"),
    64: ("8", "FRAME_FORMAT", "operations are 01 to 04"),
    65: ("8", "FRAME_FORMAT", "slot FFFF is no slot"),
    66: ("8", "FRAME_FORMAT", "JOIN has an identifier, and no other entry has"),
    67: ("8", "FRAME_FORMAT", "JOIN and RESUMED have no reason"),
    68: ("8", "FRAME_FORMAT", "an identifier is UTF-8"),
    69: ("7a", "FRAME_FORMAT", "HELLO holds at least magic and version"),
    70: ("7a", "HANDSHAKE", "magic is the text CALL"),
    71: ("7a", "VERSION", "this is wire version 1"),
    73: ("8", "FRAME_FORMAT", "RESUME excludes REPLACE"),
    74: ("8", "FRAME_FORMAT", "attempts are numbered from 1"),
    75: ("8", "FRAME_FORMAT", "a fresh link has received nothing"),
    76: ("8", "FRAME_FORMAT", "a window is at least 65,536"),
    77: ("8", "FRAME_FORMAT", "everybody takes messages of 32,768 bytes"),
    78: ("8", "FRAME_FORMAT", "HELLO ends with its identifier"),
    79: ("8", "FRAME_FORMAT", "an identifier is UTF-8"),
    81: ("7a", "FRAME_FORMAT", "WELCOME holds at least its version"),
    82: ("7a", "VERSION", "this is wire version 1"),
    84: ("8", "FRAME_FORMAT", "slot FFFF is no slot"),
    85: ("8", "FRAME_FORMAT", "attempts are numbered from 1"),
    86: ("8", "FRAME_FORMAT", "a window is at least 65,536"),
    87: ("8", "FRAME_FORMAT", "every call takes messages of 32,768 bytes"),
    88: ("8", "FRAME_FORMAT", "WELCOME has an identifier and ends with it"),
    89: ("8", "FRAME_FORMAT", "an identifier is UTF-8"),
    91: ("7b", "FRAME_FORMAT", "ACK has exactly 12 bytes"),
    92: ("7b", "FRAME_FORMAT", "the text of BYE has at most 255 bytes"),
    93: ("8", "FRAME_FORMAT", "the text of BYE is UTF-8"),
}

_PHASES = {"2": "packet", "3": "header", "4": "header", "6": "header", "7a": "header", "7b": "header", "8": "semantic"}


def frame_rule(number: int) -> str:
    """Return the ID of a rule of the area FRAME."""
    return f"CC-FRAME-{number:03}"


@dataclass(frozen=True, slots=True)
class Good:
    """A positive vector."""

    id: str
    title: str
    lane: str
    packet: bytes
    frames: list[dict[str, Any]]
    counted: int
    requirements: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the vector as it stands in a file."""
        return {
            "id": self.id,
            "title": self.title,
            "lane": self.lane,
            "hex": self.packet.hex(),
            "frames": self.frames,
            "counted": self.counted,
            # One encoding (CC-FRAME-103) is promised for known types; a codec may pass over the others.
            "canonical": all(frame["type"] != "UNKNOWN" for frame in self.frames),
            "requirements": list(self.requirements),
        }


@dataclass(frozen=True, slots=True)
class Second:
    """A fault of a later step, which a reader must not answer because the first one decides."""

    code: str
    requirements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bad:
    """A negative vector."""

    id: str
    base: str
    fault: str
    lane: str
    packet: bytes
    code: str
    step: str
    requirements: tuple[str, ...]
    why: str
    frames_before: list[dict[str, Any]]
    second: Second | None

    def to_json(self) -> dict[str, Any]:
        """Return the vector as it stands in a file."""
        vector: dict[str, Any] = {
            "id": self.id,
            "base": self.base,
            "fault": self.fault,
            "lane": self.lane,
            "hex": self.packet.hex(),
            "code": self.code,
            "phase": _PHASES[self.step],
            "step": self.step,
            "requirements": list(self.requirements),
            "why": self.why,
        }
        if self.frames_before:
            vector["frames_before"] = self.frames_before
        if self.second is not None:
            vector["second_fault"] = {"code": self.second.code, "requirements": list(self.second.requirements)}
        return vector


@dataclass(slots=True)
class Book:
    """The vectors of one file."""

    name: str
    title: str
    vectors: list[Good | Bad] = field(default_factory=list)

    def good(
        self, name: str, title: str, *frames: Layout, rules: Sequence[int | str] = (), lane: str = RELIABLE_LANE
    ) -> str:
        """Add a positive vector, and return its ID.

        *rules* are the requirements that it shows, numbers of CC-FRAME or whole IDs; CC-FRAME-103 comes by itself.
        """
        identifier = f"{self.name}/{name}"
        expected = [frame.frame() for frame in frames]
        requirements = list(_identifiers(rules))
        if all(frame["type"] != "UNKNOWN" for frame in expected):
            requirements.append(frame_rule(103))
        number = sum(counted(frame, lane) for frame in frames)
        self.vectors.append(Good(identifier, title, lane, packet(frames), expected, number, tuple(requirements)))
        return identifier

    def bad(
        self,
        name: str,
        base: str,
        fault: str,
        content: Layout | Sequence[Layout] | bytes,
        *rules: int,
        lane: str = RELIABLE_LANE,
        before: Sequence[Layout] = (),
        second: Sequence[int] = (),
        more: Sequence[str] = (),
        why: str = "",
    ) -> None:
        """Add a negative vector.

        The first of *rules* gives code and step; the others are those that the same fault breaks as well. *before* are
        the frames that stand. *second* are the rules of a second, later fault; *more* other requirements that the
        vector shows.
        """
        step, code, reason = RULES[rules[0]]
        later: Second | None = None
        requirements = [*_identifiers(rules), *more]
        if second:
            later = Second(RULES[second[0]][1], tuple(_identifiers(second)))
            requirements.append(frame_rule(102))
        if before:
            requirements.append(frame_rule(4))
        self.vectors.append(
            Bad(
                id=f"{self.name}/{name}",
                base=base,
                fault=fault,
                lane=lane,
                packet=_bytes(before) + _bytes(content),
                code=code,
                step=step,
                requirements=tuple(requirements),
                why=why or reason,
                frames_before=[frame.frame() for frame in before],
                second=later,
            )
        )


def _bytes(content: Layout | Sequence[Layout] | bytes) -> bytes:
    if isinstance(content, bytes):
        return content
    return content.raw() if isinstance(content, Layout) else packet(content)


def _identifiers(rules: Sequence[int | str]) -> list[str]:
    return [rule if isinstance(rule, str) else frame_rule(rule) for rule in rules]
