# SPDX-License-Identifier: Apache-2.0
"""Reading packets and frames (specification, chapter 3).

`read_start` and `decode_body` are the two halves of reading a frame, apart because the validation order puts the link's
state and the lane between them. `decode_packet` joins them for tools. Whatever the bytes, the result is a frame or a
`FrameError`; nothing else is raised.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from callchannel.core import limits
from callchannel.core.errors import ErrorCode, FrameError
from callchannel.core.extensions import Extension, ExtensionType, decode_extensions
from callchannel.core.frames import (
    ABORT_BIT,
    CONFIRM,
    CONTROL_LENGTH,
    DATA_HEADER,
    EXTENSIONS,
    FRAGMENT,
    FRAGMENT_BLOCK,
    HELLO_LENGTH,
    KNOWN_TYPES,
    LAST_BIT,
    LATEST,
    MAGIC,
    MAX_INDEX,
    MAX_SEQUENCE,
    PRIVATE,
    RECIPIENTS,
    RELIABLE,
    SKIPPABLE,
    UNCOUNTED,
    WELCOME_LENGTH,
    WIRE_VERSION,
    Ack,
    Bye,
    Close,
    Control,
    Credit,
    Data,
    Fail,
    FailFlag,
    Fragment,
    Frame,
    FrameType,
    Hello,
    HelloFlag,
    Receipt,
    Refuse,
    Roster,
    RosterEntry,
    RosterOp,
    Unknown,
    Welcome,
    unpack_data,
)
from callchannel.core.lanes import Lane
from callchannel.core.recipients import NO_SLOT, decode_recipients

_START = struct.Struct(">BBH")
_PLAIN_MASK = 0xFF00 | RELIABLE | FRAGMENT | RECIPIENTS | LATEST | EXTENSIONS
_PLAIN_START = 0x0100 | RELIABLE
"""Under the mask: type and flags of a whole Reliable message without blocks."""
_DATA_FIELDS = struct.Struct(">HHII")
_FRAGMENT = struct.Struct(">II")
_CONTROL_FIELDS = struct.Struct(">HHIQH")
_ENTRY = struct.Struct(">BBHH")
_HELLO_FIELDS = struct.Struct(">I16sIQIIB")
_WELCOME_FIELDS = struct.Struct(">HI16sIQIIIB")
_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")


def check_packet(packet: bytes, lane: Lane) -> None:
    """Step 2 of the validation order: not empty, within the lane's limit."""
    limit = limits.RELIABLE_PACKET if lane is Lane.RELIABLE else limits.LOSSY_PACKET
    if not packet:
        raise FrameError(ErrorCode.PACKET_SIZE, 0, "an empty packet", "CC-FRAME-006")
    if len(packet) > limit:
        raise FrameError(
            ErrorCode.PACKET_SIZE,
            limit,
            f"a packet of {len(packet)} bytes, the {lane.name.lower()} lane carries {limit}",
            "CC-FRAME-007",
        )


def read_start(packet: bytes, offset: int) -> tuple[int, int, int]:
    """Steps 3 and 4: type, flags and length of the frame at `offset`. The type may be unknown and skippable."""
    rest = len(packet) - offset
    if rest < 4:
        raise FrameError(
            ErrorCode.FRAME_LENGTH,
            offset,
            f"a frame has at least 4 bytes, here the packet has {rest} more",
            "CC-FRAME-009",
        )
    kind, flags, length = _START.unpack_from(packet, offset)
    if not 4 <= length <= rest:
        raise FrameError(
            ErrorCode.FRAME_LENGTH, offset + 2, f"length {length}, it has to be 4 to {rest}", "CC-FRAME-010"
        )
    if kind not in KNOWN_TYPES and not kind & SKIPPABLE:
        raise FrameError(
            ErrorCode.UNKNOWN_TYPE, offset, f"type {kind:02X} is unknown and not skippable", "CC-FRAME-011"
        )
    return kind, flags, length


def read_plain(packet: bytes, offset: int, size: int) -> tuple[int, int, int, int, int, int] | None:
    """Flags, length, channel, sender, session and sequence of the frame at `offset` of `size` bytes of packet.

    None, unless it is a valid whole Reliable message without blocks. What this takes, `read_start` and `decode_body`
    take too; a test compares them.
    """
    rest = size - offset
    if rest < DATA_HEADER:
        return None
    start, length, channel, sender, session, sequence = unpack_data(packet, offset)
    if (
        start & _PLAIN_MASK == _PLAIN_START
        and DATA_HEADER <= length <= rest
        and channel
        and session
        and sequence
        and sender != NO_SLOT
    ):
        return start & 0xFF, length, channel, sender, session, sequence
    return None


def check_lane(kind: int, flags: int, lane: Lane, offset: int) -> None:
    """Step 6: the lossy lane carries Lossy DATA and skippable frames only."""
    if lane is Lane.LOSSY and not kind & SKIPPABLE and (kind != FrameType.DATA or flags & RELIABLE):
        name = "Reliable DATA" if kind == FrameType.DATA else FrameType(kind).name
        raise FrameError(ErrorCode.WRONG_LANE, offset, f"{name} on the lossy lane", "CC-FRAME-014")


def is_countable(kind: int, flags: int) -> bool:
    """Whether a frame on the reliable lane is counted."""
    return not kind & UNCOUNTED and (kind != FrameType.DATA or bool(flags & RELIABLE))


def decode_body(packet: bytes, offset: int, kind: int, flags: int, length: int) -> Frame:
    """Steps 7 and 8, as far as they need no context: flags, lengths, fields, blocks. Raises `FrameError`."""
    decoder = _DECODERS.get(kind)
    if decoder is None:
        return Unknown(kind, flags, packet[offset + 4 : offset + length])
    return decoder(packet, offset, flags, offset + length)


def decode_packet(packet: bytes, lane: Lane = Lane.RELIABLE) -> Iterator[Frame]:
    """Yield the frames of a packet. Raises `FrameError` at the first fault, after the frames before it."""
    check_packet(packet, lane)
    offset = 0
    while offset < len(packet):
        kind, flags, length = read_start(packet, offset)
        check_lane(kind, flags, lane, offset)
        yield decode_body(packet, offset, kind, flags, length)
        offset += length


def _bad(offset: int, detail: str, requirement: str) -> FrameError:
    return FrameError(ErrorCode.FRAME_FORMAT, offset, detail, requirement)


def _decode_data(packet: bytes, offset: int, flags: int, end: int) -> Data:
    length = end - offset
    if length < DATA_HEADER:
        raise _bad(offset + 2, f"DATA of {length} bytes, it has {DATA_HEADER} at least", "CC-FRAME-013")
    if not flags & RELIABLE and length > limits.LOSSY_PACKET:
        raise _bad(offset + 2, f"Lossy DATA of {length} bytes, it has {limits.LOSSY_PACKET} at most", "CC-FRAME-020")
    channel, sender, session, sequence = _DATA_FIELDS.unpack_from(packet, offset + 4)
    if not channel:
        raise _bad(offset + 4, "channel 0", "CC-FRAME-016")
    if sender == NO_SLOT:
        raise _bad(offset + 6, "sender slot FFFF", "CC-FRAME-017")
    if not session:
        raise _bad(offset + 8, "session 0", "CC-FRAME-018")
    if not sequence:
        raise _bad(offset + 12, "sequence 0", "CC-FRAME-019")
    if flags & LATEST and flags & (RELIABLE | FRAGMENT):
        raise _bad(offset + 1, "LATEST with RELIABLE or FRAGMENT", "CC-FRAME-022")
    if flags & CONFIRM and not flags & RELIABLE:
        raise _bad(offset + 1, "CONFIRM without RELIABLE", "CC-FRAME-023")
    at = offset + DATA_HEADER
    if not flags & (FRAGMENT | RECIPIENTS | EXTENSIONS):
        return Data(channel, sender, session, sequence, packet[at:end], flags, None, None, (), length)
    fragment = recipients = None
    extensions: tuple[Extension, ...] = ()
    if flags & FRAGMENT:
        if at + FRAGMENT_BLOCK > end:
            raise _bad(at, "the fragment block is cut off", "CC-FRAME-021")
        place, total = _FRAGMENT.unpack_from(packet, at)
        fragment = Fragment(place & MAX_INDEX, total, bool(place & LAST_BIT), bool(place & ABORT_BIT))
        at += FRAGMENT_BLOCK
    if flags & RECIPIENTS:
        block = at
        recipients, at = decode_recipients(packet, at, end, 0x7FFF if flags & RELIABLE else limits.LOSSY_WORDS)
        if recipients.names_everyone:
            if flags & PRIVATE:
                raise _bad(offset + 1, "PRIVATE, but nobody is excepted", "CC-FRAME-044")
            if not flags & CONFIRM:
                raise _bad(block, "EXCEPT with count 0 without CONFIRM", "CC-FRAME-045")
        elif not flags & PRIVATE:
            raise _bad(offset + 1, "recipients without PRIVATE", "CC-FRAME-044")
    if flags & EXTENSIONS:
        extensions, at = decode_extensions(packet, at, end)
    if fragment is not None:
        _check_fragment(fragment, flags, extensions, end - at, offset)
    return Data(
        channel,
        sender,
        session,
        sequence,
        packet[at:end],
        flags & ~(FRAGMENT | RECIPIENTS | EXTENSIONS),
        fragment,
        recipients,
        extensions,
        length,
    )


def _check_fragment(
    fragment: Fragment, flags: int, extensions: tuple[Extension, ...], payload: int, offset: int
) -> None:
    """The rules that tie a fragment block to the rest of its frame."""
    index, total, last, abort = fragment.index, fragment.total, fragment.last, fragment.abort
    block = offset + DATA_HEADER
    reliable = flags & RELIABLE
    if abort:
        if last:
            raise _bad(block, "ABORT with LAST", "CC-FRAME-025")
        if not reliable:
            raise _bad(block, "ABORT without RELIABLE", "CC-FRAME-026")
        if not index:
            raise _bad(block, "ABORT at index 0", "CC-FRAME-027")
        if payload or flags & (RECIPIENTS | EXTENSIONS):
            raise _bad(block, "ABORT with a payload or other blocks", "CC-FRAME-028")
        return
    if index and reliable and flags & (RECIPIENTS | EXTENSIONS):
        raise _bad(offset + 1, "recipients or extensions in a later Reliable fragment", "CC-FRAME-032")
    if not reliable:
        if not total:
            raise _bad(block + 4, "a Lossy stream", "CC-FRAME-033")
        if total > limits.LOSSY_MESSAGE:
            raise _bad(block + 4, f"a Lossy message of {total} bytes", "CC-FRAME-034")
        if index >= limits.LOSSY_FRAGMENTS:
            raise _bad(block, f"Lossy fragment {index}", "CC-FRAME-035")
        if index and any(item.type != ExtensionType.LIFETIME for item in extensions):
            raise _bad(offset + 1, "more than lifetime in a later Lossy fragment", "CC-FRAME-037")
        if not last and payload < limits.LOSSY_FRAGMENT_PAYLOAD:
            raise _bad(block, f"a Lossy fragment with {payload} bytes of payload", "CC-FRAME-036")
    if not payload and not (last and not total):
        raise _bad(block, "a fragment without payload", "CC-FRAME-029")
    if total and payload > total:
        raise _bad(block + 4, f"a payload of {payload} bytes in a message of {total}", "CC-FRAME-030")
    if total and last and not index and payload != total:
        raise _bad(block, f"the only fragment has {payload} of {total} bytes", "CC-FRAME-031")


_CONTROL_CLASSES: Final[dict[int, type[Control]]] = {
    FrameType.CLOSE: Close,
    FrameType.FAIL: Fail,
    FrameType.REFUSE: Refuse,
    FrameType.RECEIPT: Receipt,
    FrameType.CREDIT: Credit,
}


def _control_decoder(kind: FrameType) -> Callable[[bytes, int, int, int], Frame]:
    build: Callable[..., Frame] = _CONTROL_CLASSES[kind]  # type: ignore[assignment]
    allowed = int(FailFlag.UNCERTAIN) if kind is FrameType.FAIL else 0
    lowest = 0 if kind is FrameType.CREDIT else 1
    highest = {FrameType.CREDIT: (1 << 64) - 1, FrameType.FAIL: 1 << 32}.get(kind, MAX_SEQUENCE)

    def decode(packet: bytes, offset: int, flags: int, end: int) -> Frame:
        if flags & ~allowed:
            raise _bad(offset + 1, f"reserved flags {flags & ~allowed:02X} in {kind.name}", "CC-FRAME-012")
        if end - offset != CONTROL_LENGTH:
            raise _bad(offset + 2, f"{kind.name} of {end - offset} bytes, it has {CONTROL_LENGTH}", "CC-FRAME-053")
        sender, recipient, session, value, reason = _CONTROL_FIELDS.unpack_from(packet, offset + 4)
        if sender == NO_SLOT:
            raise _bad(offset + 4, f"sender slot FFFF in {kind.name}", "CC-FRAME-054")
        if not session:
            raise _bad(offset + 8, f"session 0 in {kind.name}", "CC-FRAME-055")
        if not lowest <= value <= highest:
            raise _bad(offset + 12, f"value {value} in {kind.name}, it has to be {lowest} to {highest}", "CC-FRAME-056")
        if kind in (FrameType.FAIL, FrameType.REFUSE):
            if not reason:
                raise _bad(offset + 20, f"{kind.name} without a reason", "CC-FRAME-057")
        elif reason and kind is not FrameType.CLOSE:
            raise _bad(offset + 20, f"a reason in {kind.name}", "CC-FRAME-058")
        if kind is FrameType.FAIL:
            return Fail(sender, recipient, session, value, reason, bool(flags))
        return build(sender, recipient, session, value, reason)

    return decode


def _decode_roster(packet: bytes, offset: int, flags: int, end: int) -> Roster:
    _check_plain(FrameType.ROSTER, offset, flags, 3, end - offset, 8)
    (epoch,) = _U32.unpack_from(packet, offset + 4)
    if not epoch:
        raise _bad(offset + 4, "roster epoch 0", "CC-FRAME-062")
    entries: list[RosterEntry] = []
    at = offset + 8
    while at < end:
        if at + 6 > end:
            raise _bad(at, "a roster entry is cut off", "CC-FRAME-063")
        op, size, slot, reason = _ENTRY.unpack_from(packet, at)
        if at + 6 + size > end:
            raise _bad(at + 1, "a roster entry's identifier is cut off", "CC-FRAME-063")
        if not RosterOp.JOIN <= op <= RosterOp.RESUMED:
            raise _bad(at, f"roster operation {op}", "CC-FRAME-064")
        if slot == NO_SLOT:
            raise _bad(at + 2, "slot FFFF in a roster entry", "CC-FRAME-065")
        if (op == RosterOp.JOIN) != bool(size):
            raise _bad(at + 1, "JOIN has an identifier, the other operations none", "CC-FRAME-066")
        if reason and op in (RosterOp.JOIN, RosterOp.RESUMED):
            raise _bad(at + 4, "a reason in JOIN or RESUMED", "CC-FRAME-067")
        identity = _decode_text(packet, at + 6, at + 6 + size, "CC-FRAME-068")
        entries.append(RosterEntry(op, slot, reason, identity))
        at += 6 + size
    return Roster(epoch, tuple(entries), bool(flags & 1), bool(flags & 2))


def _decode_hello(packet: bytes, offset: int, flags: int, end: int) -> Hello:
    _check_plain(FrameType.HELLO, offset, 0, 0, end - offset, 10, "CC-FRAME-069")
    (magic,) = _U32.unpack_from(packet, offset + 4)
    if magic != MAGIC:
        raise FrameError(ErrorCode.HANDSHAKE, offset + 4, f"magic {magic:08X}", "CC-FRAME-070")
    version = packet[offset + 8] << 8 | packet[offset + 9]
    if version != WIRE_VERSION:
        raise FrameError(
            ErrorCode.VERSION, offset + 8, f"version {version}, supported is {WIRE_VERSION}", "CC-FRAME-071"
        )
    _check_plain(FrameType.HELLO, offset, flags, 3, end - offset, HELLO_LENGTH)
    features, token, attempt, received, window, largest, size = _HELLO_FIELDS.unpack_from(packet, offset + 10)
    if flags == 3:
        raise _bad(offset + 1, "RESUME with REPLACE", "CC-FRAME-073")
    _check_handshake(offset + 30, attempt, window, largest, ("CC-FRAME-074", "CC-FRAME-076", "CC-FRAME-077"))
    if received and not flags & HelloFlag.RESUME:
        raise _bad(offset + 34, f"received {received} in a fresh HELLO", "CC-FRAME-075")
    if offset + HELLO_LENGTH + size != end:
        raise _bad(offset + 50, f"an identifier of {size} bytes does not end the frame", "CC-FRAME-078")
    identity = _decode_text(packet, end - size, end, "CC-FRAME-079")
    return Hello(
        token, attempt, window, largest, received, features, identity, bool(flags & 1), bool(flags & 2), version
    )


def _decode_welcome(packet: bytes, offset: int, flags: int, end: int) -> Welcome:
    _check_plain(FrameType.WELCOME, offset, 0, 0, end - offset, 6, "CC-FRAME-081")
    version = packet[offset + 4] << 8 | packet[offset + 5]
    if version != WIRE_VERSION:
        raise FrameError(
            ErrorCode.VERSION, offset + 4, f"version {version}, supported is {WIRE_VERSION}", "CC-FRAME-082"
        )
    _check_plain(FrameType.WELCOME, offset, flags, 0, end - offset, WELCOME_LENGTH)
    slot, features, token, attempt, received, window, largest, resume_ms, size = _WELCOME_FIELDS.unpack_from(
        packet, offset + 6
    )
    if slot == NO_SLOT:
        raise _bad(offset + 6, "slot FFFF in WELCOME", "CC-FRAME-084")
    _check_handshake(offset + 28, attempt, window, largest, ("CC-FRAME-085", "CC-FRAME-086", "CC-FRAME-087"))
    if not size or offset + WELCOME_LENGTH + size != end:
        raise _bad(offset + 52, f"an identifier of {size} bytes does not end the frame", "CC-FRAME-088")
    identity = _decode_text(packet, end - size, end, "CC-FRAME-089")
    return Welcome(slot, token, attempt, window, largest, resume_ms, identity, received, features, version)


def _check_handshake(at: int, attempt: int, window: int, largest: int, rules: tuple[str, str, str]) -> None:
    """What HELLO and WELCOME share, from `attempt` at offset `at` on; `rules` are the requirements in order."""
    if not attempt:
        raise _bad(at, "attempt 0", rules[0])
    lowest = limits.BOUNDS["window"][0]
    if window < lowest:
        raise _bad(at + 12, f"a window of {window}, it has to be {lowest} at least", rules[1])
    lowest = limits.BOUNDS["largest_message"][0]
    if largest < lowest:
        raise _bad(at + 16, f"largest message {largest}, it has to be {lowest} at least", rules[2])


def _decode_ack(packet: bytes, offset: int, flags: int, end: int) -> Ack:
    _check_plain(FrameType.ACK, offset, flags, 0, end - offset, 12)
    if end - offset != 12:
        raise _bad(offset + 2, f"ACK of {end - offset} bytes, it has 12", "CC-FRAME-091")
    return Ack(_U64.unpack_from(packet, offset + 4)[0])


def _decode_bye(packet: bytes, offset: int, flags: int, end: int) -> Bye:
    _check_plain(FrameType.BYE, offset, flags, 0, end - offset, 6)
    if end - offset > 6 + limits.BYE_TEXT:
        raise _bad(offset + 2, f"BYE with {end - offset - 6} bytes of text", "CC-FRAME-092")
    return Bye(packet[offset + 4] << 8 | packet[offset + 5], _decode_text(packet, offset + 6, end, "CC-FRAME-093"))


def _check_plain(
    kind: FrameType, offset: int, flags: int, allowed: int, length: int, lowest: int, requirement: str = "CC-FRAME-013"
) -> None:
    if flags & ~allowed:
        raise _bad(offset + 1, f"reserved flags {flags & ~allowed:02X} in {kind.name}", "CC-FRAME-012")
    if length < lowest:
        raise _bad(offset + 2, f"{kind.name} of {length} bytes, it has {lowest} at least", requirement)


def _decode_text(packet: bytes, start: int, end: int, requirement: str) -> str:
    try:
        return packet[start:end].decode()
    except UnicodeDecodeError as error:
        raise _bad(start + error.start, "invalid UTF-8", requirement) from None


_DECODERS: Final[Mapping[int, Callable[[bytes, int, int, int], Frame]]] = {
    FrameType.DATA: _decode_data,
    **{kind: _control_decoder(FrameType(kind)) for kind in _CONTROL_CLASSES},
    FrameType.ROSTER: _decode_roster,
    FrameType.HELLO: _decode_hello,
    FrameType.WELCOME: _decode_welcome,
    FrameType.ACK: _decode_ack,
    FrameType.BYE: _decode_bye,
}
