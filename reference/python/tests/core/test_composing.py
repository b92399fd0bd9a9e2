# SPDX-License-Identifier: Apache-2.0
"""From messages to frames (CC-FRAG-001 to 035, CC-EXT-001 to 003): what is cut is legal, and joins to the same."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from callchannel.core import frames as wire
from callchannel.core import limits
from callchannel.core.composing import OUT_OF_INDEXES, Composer, Piece, consume
from callchannel.core.decoding import decode_packet
from callchannel.core.extensions import Extension, ExtensionType
from callchannel.core.fragments import LossyAssembly, ReliableAssembly
from callchannel.core.outgoing import Outgoing
from callchannel.core.recipients import Recipients
from callchannel.core.roster import EVERYONE
from callchannel.core.scheduling import NO_ROOM

LIFETIME = Extension(ExtensionType.LIFETIME, b"\0\0\1\0")
NAME = Extension(ExtensionType.NAME, b"n" * 40)
SOME = Recipients(3, False, 0b110)


def outgoing(payload: bytes, extensions: tuple[Extension, ...] = ()) -> Outgoing:
    return Outgoing(1, payload, EVERYONE, extensions, 0b110, 3)


def stream(*chunks: bytes, finished: bool = True) -> Outgoing:
    message = outgoing(b"")
    message.is_stream, message.finished, message.chunks = True, finished, deque(chunks)
    return message


def written(composer: Composer, message: Outgoing, rooms: list[int]) -> list[wire.Data]:
    """Write a whole message into packets with so much room in turn; each frame is read back."""
    frames: list[wire.Data] = []
    for at in range(1_000):
        piece = composer.next_piece(message, rooms[at % len(rooms)] if at % 2 else 16_384)
        if piece is None or piece is NO_ROOM:
            if at % 2:
                continue
            return frames
        assert isinstance(piece, Piece)
        encoded = composer.encode(piece, 2, 1, 1)
        assert len(encoded) == piece.length
        (frame,) = decode_packet(encoded)  # legal
        assert isinstance(frame, wire.Data)
        frames.append(frame)
        consume(message, piece)
        message.written = True
        if piece.last:
            return frames
    raise AssertionError("the message does not end")


rooms = st.lists(st.integers(0, 16_384), min_size=1, max_size=4)


@given(st.integers(0, 60_000), st.booleans(), st.booleans(), rooms)
def test_property_reliable_messages(size: int, private: bool, named: bool, room: list[int]) -> None:
    payload = bytes(range(256)) * 235
    message = outgoing(payload[:size], (NAME,) if named else ())
    composer = Composer(7, wire.RELIABLE | wire.CONFIRM)
    composer.begin(message, SOME if private else None)
    frames = written(composer, message, room)
    whole = 16 + (12 if private else 0) + (46 if named else 0) + size <= limits.RELIABLE_PACKET
    assert (frames[0].fragment is None) == whole  # CC-FRAG-001, 002
    if whole:
        assert (len(frames), frames[0].payload) == (1, payload[:size])
    else:
        assembly = ReliableAssembly(1, size)
        ends = [assembly.add(frame.fragment, frame.payload) for frame in frames if frame.fragment is not None]
        assert ends == [False] * (len(frames) - 1) + [True]
        assert assembly.join() == payload[:size]
    for number, frame in enumerate(frames):
        assert frame.flags & wire.CONFIRM  # CC-DELIV-012
        assert bool(frame.flags & wire.PRIVATE) is private  # CC-FRAME-024
        assert (frame.recipients is not None) is (private and not number)
        assert (frame.extensions != ()) is (named and not number)  # CC-EXT-001


@given(st.integers(0, 65_536), st.sampled_from([(), (LIFETIME,), (NAME, LIFETIME)]), st.booleans())
def test_property_lossy_messages(size: int, extensions: tuple[Extension, ...], private: bool) -> None:
    payload = bytes(range(256)) * 256
    message = outgoing(payload[:size], extensions)
    composer = Composer(7, 0)
    block = SOME if private else None
    room = composer.fits(size, block, extensions, whole=False)
    assert room >= 0
    composer.begin(message, block)
    frames = written(composer, message, [1_150])
    if frames[0].fragment is None:
        assert frames[0].payload == payload[:size]
    else:
        assert len(frames) <= limits.LOSSY_FRAGMENTS
        assembly, found = LossyAssembly(), None
        for frame in reversed(frames):
            assert frame.fragment is not None
            found = assembly.add(1, frame.fragment, frame.payload)
        assert found == payload[:size]
    for number, frame in enumerate(frames):
        assert frame.recipients == block  # CC-ROSTER-068
        kinds = [item.type for item in frame.extensions]
        expected = [item.type for item in extensions if not number or item.type == ExtensionType.LIFETIME]
        assert kinds == sorted(expected)  # CC-EXT-002


@given(st.lists(st.binary(min_size=1, max_size=40_000), max_size=4), rooms)
def test_property_streams(chunks: list[bytes], room: list[int]) -> None:
    message = stream(*chunks)
    composer = Composer(7, wire.RELIABLE)
    composer.begin(message, None)
    frames = written(composer, message, room)
    assert b"".join(frame.payload for frame in frames) == b"".join(chunks)
    assert [frame.fragment.total for frame in frames if frame.fragment] == [0] * len(frames)
    assert [bool(frame.fragment and frame.fragment.last) for frame in frames] == [False] * (len(frames) - 1) + [True]
    assert message.waiting_bytes == 0
    assert message.offset == sum(map(len, chunks))


def test_a_stream_waits_for_bytes_and_holds_none_back() -> None:
    """CC-FRAG-021, 022."""
    message = stream(b"a", finished=False)
    composer = Composer(7, wire.RELIABLE)
    composer.begin(message, None)
    piece = composer.next_piece(message, 16_384)
    assert isinstance(piece, Piece)
    assert (piece.payload, piece.last) == (b"a", False)
    consume(message, piece)
    message.written = True
    assert composer.next_piece(message, 16_384) is None
    message.finished = True
    piece = composer.next_piece(message, 16_384)
    assert isinstance(piece, Piece)
    assert (piece.payload, piece.last, piece.index) == (b"", True, 1)


def test_the_last_index_is_kept_for_the_end() -> None:
    """CC-FRAG-023, 024."""
    composer = Composer(7, wire.RELIABLE)
    for message, expected in ((stream(b"a", finished=False), None), (stream(b"a"), wire.MAX_INDEX)):
        composer.begin(message, None)
        message.written, message.index = True, wire.MAX_INDEX
        piece = composer.next_piece(message, 16_384)
        if expected is None:
            assert piece is OUT_OF_INDEXES
            assert composer.abort(message).index == wire.MAX_INDEX
        else:
            assert isinstance(piece, Piece)
            assert piece.index == expected


def test_abort_repeats_the_flags_and_the_total() -> None:
    """CC-FRAG-008, 016."""
    message = outgoing(bytes(40_000), (NAME,))
    composer = Composer(7, wire.RELIABLE | wire.HIGH | wire.CONFIRM)
    composer.begin(message, SOME)
    piece = composer.next_piece(message, 16_384)
    assert isinstance(piece, Piece)
    consume(message, piece)
    (frame,) = decode_packet(composer.encode(composer.abort(message), 2, 1, 1))
    assert isinstance(frame, wire.Data)
    assert frame.fragment == wire.Fragment(1, 40_000, abort=True)
    assert frame.flags == wire.RELIABLE | wire.HIGH | wire.CONFIRM | wire.PRIVATE
    assert (frame.payload, frame.recipients, frame.extensions) == (b"", None, ())


def test_metadata_that_leaves_no_room() -> None:
    """CC-EXT-003: 1 byte on Reliable; on Lossy the whole payload or 512 bytes."""
    large = (Extension(1, b"x" * 615),)  # 1,150 - 16 - 8 - 2 - 4 - 615: 505 bytes of a first fragment
    assert Composer(7, 0).fits(513, None, large, whole=False) == 513
    assert Composer(7, 0).fits(514, None, large, whole=False) == -1
    nearly = (Extension(1, bytes(608)),)  # 512 bytes of a first fragment, and 127 others hold the largest message
    assert Composer(7, 0).fits(65_536, None, nearly, whole=False) == 512
    assert Composer(7, 0).fits(65_536, Recipients(1, False, 1), (NAME,), whole=False) > 0
    huge = (Extension(1, bytes(16_354)),)
    assert Composer(7, wire.RELIABLE).fits(8, None, huge, whole=False) == 8
    assert Composer(7, wire.RELIABLE).fits(9, None, huge, whole=False) == -1
    assert Composer(7, wire.RELIABLE).fits(9, None, (Extension(1, bytes(16_353)),), whole=False) == 9
    assert Composer(7, wire.RELIABLE).fits(10, None, (Extension(1, bytes(16_353)),), whole=False) == 1


def test_what_does_not_fit_the_room_waits() -> None:
    reliable, lossy = Composer(7, wire.RELIABLE), Composer(7, 0)
    for composer, size, room in (
        (reliable, 100, 115),
        (lossy, 100, 115),
        (reliable, 20_000, 16_000),
        (lossy, 2_000, 800),
    ):
        message = outgoing(bytes(size))
        composer.begin(message, None)
        assert composer.next_piece(message, room) is NO_ROOM
