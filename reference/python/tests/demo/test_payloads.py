# SPDX-License-Identifier: Apache-2.0
"""What the demonstration sends."""

import struct
import zlib

from callchannel.demo.payloads import is_sound_tick, png, text, tick


def test_the_image_is_one() -> None:
    image = png(16)
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    at, kinds, data = 8, [], b""
    while at < len(image):
        (size,) = struct.unpack_from(">I", image, at)
        kind, body = image[at + 4 : at + 8], image[at + 8 : at + 8 + size]
        assert struct.unpack_from(">I", image, at + 8 + size)[0] == zlib.crc32(kind + body)
        kinds.append(kind)
        data += body if kind == b"IDAT" else b""
        at += 12 + size
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]
    assert len(zlib.decompress(data)) == 16 * (1 + 16 * 3)


def test_a_tick_knows_whether_it_is_whole() -> None:
    for size in (12, 32, 1_000):
        data = tick(7, size)
        assert len(data) == size
        assert is_sound_tick(data)
        for at in range(size):
            assert not is_sound_tick(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert not is_sound_tick(data[:-1])
    assert not is_sound_tick(b"")
    assert tick(1) != tick(2)


def test_texts_differ() -> None:
    assert len({text(title, number) for title in ("a", "b") for number in range(5)}) == 10
