# SPDX-License-Identifier: Apache-2.0
"""Captured packets as text.

Two forms, which may be mixed:

- Hexadecimal, in any grouping, on any number of lines. `;` and `#` begin a comment. An empty line ends a packet. A line
  that begins with `reliable` or `lossy` begins a packet on that lane.
- JSON, an object on a line: `{"lane": "lossy", "hex": "01…"}`. What else is in it is ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from callchannel.core.lanes import Lane
from callchannel.escaping import quoted

LANES: Final = {lane.name.lower(): lane for lane in Lane}

_COMMENT: Final = re.compile(r"[;#].*")
_HEX: Final = re.compile(r"(?:0[xX])?([0-9a-fA-F]+)")


class CaptureError(ValueError):
    """The text is no capture."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet, and the line on which it begins."""

    data: bytes
    lane: Lane
    line: int


def read_capture(text: str, lane: Lane = Lane.RELIABLE) -> Iterator[Packet]:
    """The packets of a capture; `lane` where it does not say. Raises `CaptureError`, which names the line."""
    digits: list[str] = []
    begun, current = 0, lane
    for number, raw in enumerate(text.splitlines(), 1):
        line = _COMMENT.sub("", raw).strip() if not raw.lstrip().startswith("{") else raw.strip()
        word, _, rest = line.partition(" ")
        begins = word.lower() in LANES
        if digits and (begins or line.startswith("{") or not raw.strip()):
            yield _packet(digits, current, begun)
            digits, current = [], lane
        if line.startswith("{"):
            yield _from_json(line, lane, number)
            continue
        if begins:
            current, line, begun = LANES[word.lower()], rest, number
            digits.append("")
        for piece in re.split(r"[\s,:]+", line):
            if piece:
                begun = begun if digits else number
                digits.append(_hex(piece, number))
    if digits:
        yield _packet(digits, current, begun)


def _hex(piece: str, line: int) -> str:
    found = _HEX.fullmatch(piece)
    if found is None:
        raise CaptureError(f"line {line}: {quoted(piece, 40)} is not hexadecimal")
    return found[1]


def _packet(digits: list[str], lane: Lane, line: int) -> Packet:
    joined = "".join(digits)
    if len(joined) % 2:
        raise CaptureError(f"line {line}: the packet has {len(joined)} digits, which is not a whole number of bytes")
    return Packet(bytes.fromhex(joined), lane, line)


def _from_json(line: str, lane: Lane, number: int) -> Packet:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise CaptureError(f"line {number}: it is not JSON: {exc}") from None
    digits = found.get("hex")
    if not isinstance(digits, str):
        raise CaptureError(f'line {number}: it has no text "hex"')
    name = found.get("lane", lane.name.lower())
    if not isinstance(name, str) or name.lower() not in LANES:
        raise CaptureError(f'line {number}: "lane" has to be "reliable" or "lossy"')
    return _packet([_hex(piece, number) for piece in digits.split()], LANES[name.lower()], number)
