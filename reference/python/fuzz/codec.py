# SPDX-License-Identifier: Apache-2.0
"""The codec: any bytes are frames or a `FrameError`; what was read says the same when it is written (CC-SEC-013)."""

from __future__ import annotations

from collections.abc import Iterator

from callchannel.core import frames as wire
from callchannel.core.decoding import check_packet, decode_body, read_plain, read_start
from callchannel.core.errors import FrameError
from callchannel.core.extensions import read_metadata
from callchannel.core.lanes import Lane
from fuzz import programs


def run(data: bytes) -> None:
    """Read a packet: the first byte chooses the lane."""
    if not data:
        return
    lane, packet = Lane(data[0] & 1), data[1:]
    try:
        check_packet(packet, lane)
    except FrameError:
        assert not 0 < len(packet) <= (1_150 if lane else 16_384)
        return
    offset = 0
    while offset < len(packet):
        try:
            kind, flags, length = read_start(packet, offset)
            frame = decode_body(packet, offset, kind, flags, length)
        except FrameError as fault:
            assert 0 <= fault.offset <= len(packet)
            assert fault.requirement.startswith("CC-")
            assert read_plain(packet, offset, len(packet)) is None, "the short way takes what the long way does not"
            return
        assert 4 <= length <= len(packet) - offset
        _check(frame, packet[offset : offset + length])
        offset += length


def _check(frame: wire.Frame, original: bytes) -> None:
    """What was read says the same when it is written again."""
    encoded = frame.encode()
    plain = read_plain(original, 0, len(original))
    if isinstance(frame, wire.Data):
        if frame.extensions:
            read_metadata(frame.extensions)
        if plain is not None:
            fields = (frame.flags, frame.length, frame.channel, frame.sender, frame.session, frame.sequence)
            assert plain == fields, (plain, fields)
    else:
        assert plain is None
    kind, flags, length = read_start(encoded, 0)
    again = decode_body(encoded, 0, kind, flags, length)
    assert again == frame, (again, frame)
    if not isinstance(frame, wire.Unknown):
        assert len(encoded) <= len(original), "written again it is never longer"


def seeds() -> Iterator[bytes]:
    """All vectors."""
    for kind, packet in programs.packets():
        yield bytes([kind is programs.Kind.LOSSY]) + packet


mutate = None
"""libFuzzer's own mutations fit this one."""
