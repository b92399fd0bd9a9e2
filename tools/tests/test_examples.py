# SPDX-License-Identifier: Apache-2.0
"""Every example of the chapters: decoded and encoded again by two codecs that know nothing of each other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from callchannel.core.decoding import decode_packet
from callchannel.core.errors import ErrorCode, FrameError
from callchannel.core.frames import Frame
from callchannel.core.lanes import Lane
from callchannel_conformance import wire
from tools.examples import Example
from tools.spec import load_spec

SPEC = load_spec()
VALID = [item for item in SPEC.examples.values() if item.code is None]
INVALID = [item for item in SPEC.examples.values() if item.code is not None]


def by_name(example: Example) -> str:
    return example.name


def test_there_are_examples() -> None:
    assert len(VALID) > 40
    assert len(INVALID) > 10
    assert {item.chapter for item in VALID} >= {"01-introduction", "03-frames", "04-roster", "09-link"}


@pytest.mark.parametrize("example", VALID, ids=by_name)
def test_reference_codec_gives_the_same_bytes(example: Example) -> None:
    frames = list(decode_packet(example.data, Lane.RELIABLE))
    assert b"".join(frame.encode() for frame in frames) == example.data
    assert len(frames) > 1 if example.packet else len(frames) == 1


@pytest.mark.parametrize("example", VALID, ids=by_name)
def test_independent_grammar_gives_the_same_bytes(example: Example) -> None:
    frames = wire.decode_packet(example.data, "reliable")
    assert b"".join(wire.encode_frame(frame) for frame in frames) == example.data
    assert len(frames) == len(list(decode_packet(example.data, Lane.RELIABLE)))


@pytest.mark.parametrize("example", INVALID, ids=by_name)
def test_reference_codec_finds_the_fault(example: Example) -> None:
    frames: list[Frame] = []
    with pytest.raises(FrameError) as raised:
        frames.extend(decode_packet(example.data, Lane.RELIABLE))
    assert ErrorCode(raised.value.code).name == example.code
    assert frames == []


@pytest.mark.parametrize("example", INVALID, ids=by_name)
def test_independent_grammar_finds_the_fault(example: Example) -> None:
    with pytest.raises(wire.WireError) as raised:
        wire.decode_packet(example.data, "reliable")
    assert raised.value.code == example.code
    assert raised.value.frames == []


@pytest.mark.parametrize("example", INVALID, ids=by_name)
def test_both_codecs_name_a_requirement_that_is_there(example: Example) -> None:
    with pytest.raises(FrameError) as ours:
        list(decode_packet(example.data, Lane.RELIABLE))
    with pytest.raises(wire.WireError) as theirs:
        wire.decode_packet(example.data, "reliable")
    assert ours.value.requirement == theirs.value.requirement
    assert ours.value.requirement in SPEC.requirements


# ---------------------------------------------------------------------------------------------------------------
# What is wrong with an example is found
# ---------------------------------------------------------------------------------------------------------------

Tree = Callable[..., Path]


def faults(root: Path) -> list[str]:
    return [str(fault) for fault in load_spec(root).faults]


@pytest.mark.parametrize("mark", ["hex", "hex Upper", "hex two names", "hex invalid name", "hex invalid lower name"])
def test_wrong_mark(tree: Tree, mark: str) -> None:
    assert faults(tree(f"```{mark}\n00\n```\n")) == [
        f"spec/01-one.md:3: the mark `{mark}` is not one of an example, write hex NAME, hex packet NAME or "
        "hex invalid CODE NAME, the name in small letters and hyphens"
    ]


def test_unknown_code_bad_bytes_and_a_name_twice(tree: Tree) -> None:
    text = "```hex invalid NO_SUCH a\n00\n```\n\n```hex a\n0g ; x\n```\n\n```python\nx = 1\n```\n"
    assert faults(tree(text)) == [
        "spec/01-one.md:3: NO_SUCH is not an error code, use a name of spec/registry/errors.toml",
        "spec/01-one.md:7: the example a is there already at spec/01-one.md:3, give it another name",
        "spec/01-one.md:8: `0g` is not hexadecimal, write bytes as two hexadecimal digits each, "
        "and a comment behind a semicolon",
    ]


@pytest.mark.parametrize(
    ("line", "claim"),
    [
        ("00 13 ; length: 18", "18, the bytes are 19"),
        ("00 13 ; length: 18; 19 bytes are there", "18, the bytes are 19"),
        ("00 12 ; length: 16 header + 3 payload = 18", "16 header + 3 payload = 18, the bytes are that is 19"),
        ("00 12 ; length: 16 + (2 * 6) = 28", "28, the bytes are 18"),
        ("04 ; id length 3", "3, the bytes are 4"),
        ("00 09 ; size: 4 + 4 = 8", "8, the bytes are 9"),
        ("00 0b ; length of the value: 10", "10, the bytes are 11"),
        ("41 00 00 37 ; HELLO, no flags: a fresh link, 54 bytes", "54 bytes, the bytes are 55"),
        ("00 07 ; channel 8", "channel 8, the bytes are 7"),
        ("00 02 ; sender: slot 3", "sender: slot 3, the bytes are 2"),
        ("00 00 00 07 00 00 00 03 ; session 7, sequence 4", "sequence 4, the bytes are 3"),
        ("00 04 00 00 ; window: 262,145", "window: 262,145, the bytes are 262144"),
        ('68 69 ; payload "ho"', '"ho", the bytes are 68 69'),
    ],
)
def test_a_comment_that_contradicts_the_bytes(tree: Tree, line: str, claim: str) -> None:
    assert faults(tree(f"```hex a\n{line}\n```\n")) == [
        f"spec/01-one.md:4: the comment says {claim}, correct the one that is wrong"
    ]


@pytest.mark.parametrize(
    "line",
    [
        "00 24 ; length: 16 header + (6 + 2 * 6) recipient block + 2 payload = 36",
        "00 12 ; length: 36 − 18 = 18",
        "04 ; id length: 4 bytes (3 characters; the last takes 2 bytes)",
        "41 00 00 37 ; HELLO, RESUME, 55 bytes",
        "00 05 00 02 ; channel 5, sender slot 2",
        "00 00 27 10 ; epoch 10,000",
        "00 00 00 01 ; slot 0",
        '5a 6f c3 ab ; id "Zoë"',
        "00 ; flags",
    ],
)
def test_a_comment_that_fits(tree: Tree, line: str) -> None:
    assert faults(tree(f"```hex a\n{line}\n```\n")) == []
