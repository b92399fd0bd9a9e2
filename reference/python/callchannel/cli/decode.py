# SPDX-License-Identifier: Apache-2.0
"""`callchannel decode`: explain packets, field by field, and what is wrong with them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from callchannel.cli.captures import LANES, CaptureError, Packet, read_capture
from callchannel.cli.layout import Field, explain, hex_lines, type_name
from callchannel.cli.main import FAILED, OK, USAGE, complain, new_parser
from callchannel.cli.output import Output
from callchannel.core.decoding import check_lane, check_packet, decode_body, is_countable, read_start
from callchannel.core.errors import ErrorCode, FrameError
from callchannel.core.lanes import Lane

_EPILOG: Final = """examples:
  callchannel decode 01010012 00070002 00000005 00000001 6869
  callchannel decode --lane lossy 0100001200070002000000050000000168 69
  callchannel decode --file capture.txt
  some-program | callchannel decode --json

A capture has hexadecimal digits in any grouping; ; and # begin a comment, an empty line ends a packet, a line that
begins with "reliable" or "lossy" begins one on that lane. Or each line is JSON: {"lane": "lossy", "hex": "01..."}.

Exit code 1: a packet is malformed. For each fault there is the error code that a reader answers, the byte at which it
is, and the requirement of the standard that it breaks. What needs a link, such as its state, is not judged.
"""

_HEX_COLUMN: Final = 8
"""Bytes that are shown in a line."""
_HEX_LINES: Final = 4
"""Lines of bytes that are shown of a long field."""


def build_parser() -> argparse.ArgumentParser:
    """The arguments."""
    parser = new_parser("decode", _EPILOG)
    parser.add_argument("hex", nargs="*", help="one packet in hexadecimal; none: standard input")
    parser.add_argument("--file", metavar="PATH", help="a capture with any number of packets; - for standard input")
    parser.add_argument("--lane", choices=LANES, default="reliable", help="lane where the input does not say")
    parser.add_argument("--json", action="store_true", help="an object in JSON for each packet")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Explain; returns the exit code."""
    if arguments.hex and arguments.file:
        complain("decode", "give a packet or a file, not both")
        return USAGE
    try:
        if arguments.hex:
            text = " ".join(arguments.hex)
        elif arguments.file in (None, "-"):
            text = sys.stdin.buffer.read().decode("utf-8", "replace")
        else:
            text = Path(arguments.file).read_text("utf-8", "replace")
        packets = tuple(read_capture(text, LANES[arguments.lane]))
    except (OSError, CaptureError) as exc:
        complain("decode", exc)
        return USAGE
    if not packets:
        complain("decode", "there is no packet in the input")
        return USAGE
    output = Output(json=arguments.json)
    bad = 0
    for number, packet in enumerate(packets, 1):
        judged = judge(packet)
        bad += judged.error is not None
        if arguments.json:
            output.event("packet", **as_json(number, judged))
        else:
            show(output, number, judged)
    return FAILED if bad else OK


@dataclass(frozen=True, slots=True)
class JudgedFrame:
    """A frame: where, its fields, whether it is counted."""

    offset: int
    fields: tuple[Field, ...]
    counted: bool = False

    @property
    def end(self) -> int:
        """Behind its last field."""
        return self.fields[-1].offset + self.fields[-1].size if self.fields else self.offset


@dataclass(frozen=True, slots=True)
class JudgedPacket:
    """A packet: its good frames, then the fault, and as much of its frame as can be read."""

    packet: Packet
    frames: tuple[JudgedFrame, ...]
    error: FrameError | None = None
    faulty: JudgedFrame | None = None


def judge(packet: Packet) -> JudgedPacket:
    """Do steps 2 to 8 of the validation order, and keep what was read."""
    data, lane = packet.data, packet.lane
    frames: list[JudgedFrame] = []
    offset = 0
    try:
        check_packet(data, lane)
        while offset < len(data):
            kind, flags, length = read_start(data, offset)
            check_lane(kind, flags, lane, offset)
            decode_body(data, offset, kind, flags, length)
            counted = lane is Lane.RELIABLE and is_countable(kind, flags)
            frames.append(JudgedFrame(offset, explain(data, offset), counted))
            offset += length
    except FrameError as exc:
        about = None if exc.code == ErrorCode.PACKET_SIZE else JudgedFrame(offset, explain(data, offset))
        return JudgedPacket(packet, tuple(frames), exc, about)
    return JudgedPacket(packet, tuple(frames))


# ---------------------------------------------------------------------------------------------------------------
# For people
# ---------------------------------------------------------------------------------------------------------------


def show(output: Output, number: int, judged: JudgedPacket) -> None:
    """Write what is in a packet."""
    packet, error = judged.packet, judged.error
    if number > 1:
        output.line()
    heading = f"packet {number}: {len(packet.data):,} bytes on the {packet.lane.name.lower()} lane"
    output.line(output.style(heading, "bold"))
    for at, frame in enumerate(judged.frames, 1):
        kind = type_name(packet.data[frame.offset])
        output.line(f"  frame {at}: {kind}, {frame.end - frame.offset:,} bytes{', counted' if frame.counted else ''}")
        _show_fields(output, packet.data, frame.fields, None)
    if error is None:
        return
    if judged.faulty is not None:
        output.line(output.style(f"  frame {len(judged.frames) + 1}: malformed", "red"))
        _show_fields(output, packet.data, judged.faulty.fields, error.offset)
    code = ErrorCode(error.code)
    output.line(
        output.style(f"  {code.name} ({code:04X}) at byte {error.offset}: {error.detail}", "red", "bold")
        + f" [{error.requirement}]"
    )
    if packet.lane is Lane.RELIABLE:
        output.line(f"  A reader takes the frames before it, and ends the link with {code.name} (CC-FRAME-002).")
    else:
        output.line("  A reader takes the frames before it, and drops the rest of the packet (CC-FRAME-003).")


def _show_fields(output: Output, packet: bytes, fields: Sequence[Field], fault: int | None) -> None:
    shown = fault is None
    for at, field in enumerate(fields):
        lines = list(hex_lines(packet[field.offset : field.offset + field.size], _HEX_COLUMN)) or [""]
        if len(lines) > _HEX_LINES:
            lines[_HEX_LINES - 1 :] = [f"… {field.size:,} bytes"]
        is_last = at == len(fields) - 1
        mark = ""
        if not shown and fault is not None and (fault < field.offset + field.size or is_last):
            shown = True
            mark = "  <-- here"
        value = f"{field.value:,}" if isinstance(field.value, int) else ""
        text = "  ".join(part for part in (value, field.meaning) if part)
        output.line(f"    {field.offset:>6}  {lines[0]:<{3 * _HEX_COLUMN}} {field.name:<11} {text}{mark}".rstrip())
        for line in lines[1:]:
            output.line(f"    {'':>6}  {line}")


# ---------------------------------------------------------------------------------------------------------------
# For machines
# ---------------------------------------------------------------------------------------------------------------


def as_json(number: int, judged: JudgedPacket) -> dict[str, Any]:
    """A packet as JSON."""
    packet, error = judged.packet, judged.error
    return {
        "number": number,
        "line": packet.line,
        "lane": packet.lane.name.lower(),
        "length": len(packet.data),
        "frames": [_frame_json(packet.data, frame) for frame in judged.frames],
        "error": None
        if error is None
        else {
            "code": ErrorCode(error.code).name,
            "number": int(error.code),
            "offset": error.offset,
            "detail": error.detail,
            "requirement": error.requirement,
        },
        "malformed": None if judged.faulty is None else _frame_json(packet.data, judged.faulty),
    }


def _frame_json(packet: bytes, frame: JudgedFrame) -> dict[str, Any]:
    return {
        "offset": frame.offset,
        "type": type_name(packet[frame.offset]),
        "counted": frame.counted,
        "fields": [
            {
                "offset": field.offset,
                "size": field.size,
                "name": field.name,
                "value": field.value,
                "meaning": field.meaning,
            }
            for field in frame.fields
        ],
    }
