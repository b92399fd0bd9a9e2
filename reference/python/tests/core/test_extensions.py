# SPDX-License-Identifier: Apache-2.0
"""Extension blocks (CC-FRAME-049 to 052) and what the registered extensions say (chapter 17)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callchannel.core.errors import ErrorCode, FrameError, InvalidArgument
from callchannel.core.extensions import (
    Extension,
    ExtensionType,
    Metadata,
    decode_extensions,
    encode_extensions,
    lifetime_of,
    read_metadata,
)
from tests.core.strategies import extension_tuples, identities

metadata = st.builds(
    Metadata,
    content_type=st.none() | identities,
    name=st.none() | identities,
    lifetime=st.none() | st.integers(1, (1 << 32) - 1).map(lambda value: value * 1_000),
    time=st.none() | st.integers(0, (1 << 64) - 1),
)


@given(extension_tuples(), st.binary(max_size=5))
def test_property_block_round_trip(found: tuple[Extension, ...], after: bytes) -> None:
    encoded = encode_extensions(found)
    assert bool(encoded) == bool(found)
    if found:
        assert decode_extensions(encoded + after, 0, len(encoded)) == (found, len(encoded))


@given(extension_tuples().filter(bool))
def test_property_truncated_block_is_an_error(found: tuple[Extension, ...]) -> None:
    encoded = encode_extensions(found)
    for end in range(len(encoded)):
        with pytest.raises(FrameError) as caught:
            decode_extensions(encoded, 0, end)
        assert caught.value.code == ErrorCode.FRAME_FORMAT


def test_extensions_are_written_ascending() -> None:
    encoded = encode_extensions([Extension(4, b""), Extension(1, b"")])
    assert encoded == encode_extensions([Extension(1, b""), Extension(4, b"")])


@pytest.mark.parametrize(
    ("block", "rule"),
    [
        ("00", "CC-FRAME-021"),
        ("0000", "CC-FRAME-049"),
        ("00040001", "CC-FRAME-021"),
        ("0003000100", "CC-FRAME-050"),
        ("000400010001", "CC-FRAME-050"),
        ("00080002000080020000", "CC-FRAME-051"),
        ("00080002000000010000", "CC-FRAME-051"),
    ],
)
def test_faults_name_the_rule(block: str, rule: str) -> None:
    packet = bytes.fromhex(block)
    with pytest.raises(FrameError) as caught:
        decode_extensions(packet, 0, len(packet))
    assert (caught.value.code, caught.value.requirement) == (ErrorCode.FRAME_FORMAT, rule)


# --- values ----------------------------------------------------------------------------------


@given(metadata)
def test_property_metadata_round_trip(found: Metadata) -> None:
    assert read_metadata(found.encode()) == (found, True)
    assert lifetime_of(found.encode()) == found.lifetime


@given(extension_tuples(types=st.integers(0, 6)))
def test_property_any_value_can_be_read(found: tuple[Extension, ...]) -> None:
    """CC-EXT-012: a malformed value is not understood, and nothing worse."""
    _, understood = read_metadata(found)
    assert understood or any(item.must_understand for item in found)


def test_lifetime_is_rounded_up_to_milliseconds() -> None:
    assert Metadata(lifetime=1).encode() == (Extension(ExtensionType.LIFETIME, b"\0\0\0\1"),)
    assert Metadata(lifetime=1_001).encode() == (Extension(ExtensionType.LIFETIME, b"\0\0\0\2"),)


def test_must_understand_goes_with_its_extension() -> None:
    found = Metadata(content_type="text/plain", name="x", must_understand=frozenset({ExtensionType.NAME})).encode()
    assert [item.must_understand for item in found] == [False, True]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (ExtensionType.CONTENT_TYPE, b""),
        (ExtensionType.CONTENT_TYPE, b"x" * 256),
        (ExtensionType.NAME, b"\xff"),
        (ExtensionType.LIFETIME, b"\0\0\0\0"),
        (ExtensionType.LIFETIME, b"\1\2\3"),
        (ExtensionType.APPLICATION_TIME, b"\0" * 7),
        (ExtensionType.END_TO_END_ENCRYPTION, b""),
        (0x0A5A, b"grease"),
        (0x7001, b"private"),
    ],
)
def test_not_understood(kind: int, value: bytes) -> None:
    """CC-EXT-007, 010, 011, 019, 021: it matters only where it has to be understood."""
    assert read_metadata([Extension(kind, value)]) == (Metadata(), True)
    assert read_metadata([Extension(kind, value, must_understand=True)]) == (Metadata(), False)


def test_malformed_lifetime_counts_as_none() -> None:
    """CC-EXT-017."""
    assert lifetime_of([Extension(ExtensionType.LIFETIME, b"abc")]) is None
    assert lifetime_of([Extension(ExtensionType.LIFETIME, b"\0\0\0\0")]) is None
    assert lifetime_of([Extension(ExtensionType.NAME, b"abcd")]) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"content_type": ""},
        {"content_type": "x" * 256},
        {"name": "\ud800"},
        {"name": b"bytes"},
        {"lifetime": 0},
        {"lifetime": -5},
        {"lifetime": 1.5},
        {"lifetime": (1 << 32) * 1_000},
        {"time": -1},
        {"time": 1 << 64},
        {"time": "now"},
    ],
)
def test_malformed_values_are_not_written(fields: dict[str, Any]) -> None:
    """CC-EXT-013."""
    with pytest.raises(InvalidArgument):
        Metadata(**fields).encode()
