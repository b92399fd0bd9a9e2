# SPDX-License-Identifier: Apache-2.0
"""The DATA envelope with 100 bytes of payload: encoding, and decoding with validation, in nanoseconds.

Each contestant makes the bytes of one message from its fields, and takes the fields out again: channel, sender,
session, sequence and payload. LiveKit's DataPacket carries the same by its own names, where all but the sequence are
text, and its fields are read. construct's structure is compiled; msgpack and msgspec carry a list, whose ranges
nobody checks.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import construct
import msgpack
import msgspec
from livekit.protocol import models

from bench.contest import Contestant, Row, Target, compare
from bench.settings import Settings
from callchannel.core import decoding, frames
from callchannel.core.decoding import read_plain
from callchannel.core.frames import DATA_HEADER, RELIABLE, encode_data

CHANNEL, SENDER, SESSION, SEQUENCE = 5, 17, 3, 12_345
PAYLOAD = bytes(range(100))
FIELDS = (CHANNEL, SENDER, SESSION, SEQUENCE, PAYLOAD)

_CONSTRUCT = construct.Struct(
    "type" / construct.Const(1, construct.Byte),
    "flags" / construct.Byte,
    "length" / construct.Int16ub,
    "channel" / construct.Int16ub,
    "sender" / construct.Int16ub,
    "session" / construct.Int32ub,
    "sequence" / construct.Int32ub,
    "payload" / construct.Bytes(construct.this.length - DATA_HEADER),
).compile()


class _Array(msgspec.Struct, array_like=True):
    """The fields as msgspec likes them best."""

    channel: int
    sender: int
    session: int
    sequence: int
    payload: bytes


def ours() -> tuple[int, int, int, int, bytes]:
    """Build and read a frame as the core does for a whole Reliable message to everyone."""
    frame = encode_data(RELIABLE, CHANNEL, SENDER, SESSION, SEQUENCE, b"", PAYLOAD)
    plain = read_plain(frame, 0, len(frame))
    assert plain is not None
    _, length, channel, sender, session, sequence = plain
    return channel, sender, session, sequence, frame[DATA_HEADER:length]


def ours_as_objects() -> tuple[int, int, int, int, bytes]:
    """The same by the general way, which makes an object of the frame."""
    packet = frames.Data(CHANNEL, SENDER, SESSION, SEQUENCE, PAYLOAD, RELIABLE).encode()
    kind, flags, length = decoding.read_start(packet, 0)
    frame = decoding.decode_body(packet, 0, kind, flags, length)
    assert isinstance(frame, frames.Data)
    return frame.channel, frame.sender, frame.session, frame.sequence, frame.payload


def protobuf() -> tuple[str, str, str, int, bytes]:
    """LiveKit's DataPacket by protobuf's C parts."""
    packet = models.DataPacket(
        participant_identity="17",
        participant_sid="3",
        sequence=SEQUENCE,
        user=models.UserPacket(topic="5", payload=PAYLOAD),
    ).SerializeToString()
    read = models.DataPacket.FromString(packet)
    user = read.user
    return user.topic, read.participant_identity, read.participant_sid, read.sequence, user.payload


def compiled_construct() -> tuple[int, int, int, int, bytes]:
    """A compiled construct."""
    packet = _CONSTRUCT.build(
        {
            "flags": RELIABLE,
            "length": 116,
            "channel": CHANNEL,
            "sender": SENDER,
            "session": SESSION,
            "sequence": SEQUENCE,
            "payload": PAYLOAD,
        }
    )
    read = _CONSTRUCT.parse(packet)
    return read.channel, read.sender, read.session, read.sequence, read.payload


def packed() -> tuple[int, int, int, int, bytes]:
    """A list by msgpack."""
    channel, sender, session, sequence, payload = msgpack.unpackb(
        msgpack.packb([CHANNEL, SENDER, SESSION, SEQUENCE, PAYLOAD])
    )
    return channel, sender, session, sequence, payload


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Array)


def specified() -> tuple[int, int, int, int, bytes]:
    """An array-like Struct by msgspec, which checks types."""
    read = _decoder.decode(_encoder.encode(_Array(CHANNEL, SENDER, SESSION, SEQUENCE, PAYLOAD)))
    return read.channel, read.sender, read.session, read.sequence, read.payload


Fields = tuple[int, int, int, int, bytes] | tuple[str, str, str, int, bytes]


def _timed(work: Callable[[], Fields], count: int) -> Callable[[], float]:
    def run() -> float:
        repeat = range(count)
        start = time.process_time_ns()
        for _ in repeat:
            got = work()
        elapsed = time.process_time_ns() - start
        assert got[3:] == FIELDS[3:] and tuple(map(int, got[:3])) == FIELDS[:3]
        return elapsed / count

    return run


def run(settings: Settings) -> list[Row]:
    """Nanoseconds for both ways together."""
    count = settings.times(40_000)

    def contestant(name: str, work: Callable[[], Fields], share: int = 1) -> Contestant:
        return Contestant(name, _timed(work, max(1, count // share)))

    return compare(
        "codec",
        "DATA with 100 B, there and back",
        "ns",
        contestant("callchannel", ours),
        [
            (contestant("protobuf, DataPacket", protobuf, 2), Target(1 / 4, at_least=False)),
            (contestant("construct, compiled", compiled_construct, 4), Target(1 / 8, at_least=False)),
            (contestant("msgpack", packed), Target(2, at_least=False)),
            (contestant("msgspec", specified), None),
            (contestant("callchannel, as an object", ours_as_objects), None),
        ],
        settings.runs,
    )
