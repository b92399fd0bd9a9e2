# SPDX-License-Identifier: Apache-2.0
"""The registries and the reference implementation say the same."""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from callchannel.core import extensions, frames, limits, recipients
from callchannel.core.decoding import check_lane, is_countable
from callchannel.core.errors import ErrorCode, FrameError
from callchannel.core.lanes import Lane
from callchannel.signalling import limits as signalling_limits
from callchannel.signalling import names
from callchannel_conformance import wire
from tools.registry import Limit, RegistryError, fixed_bytes, load_registry
from tools.spec import load_spec

REGISTRY = load_registry()
Tree = Callable[..., Path]


def numbers(kind: type[enum.IntEnum] | type[enum.IntFlag]) -> dict[str, int]:
    return {member.name or "": int(member) for member in kind}


def test_errors() -> None:
    assert numbers(ErrorCode) == {error.name: error.code for error in REGISTRY.errors}
    for error in REGISTRY.errors:
        code = ErrorCode(error.code)
        assert (code.scope.value, code.retry.value) == (error.scope, error.retry), error.name


def test_frame_types() -> None:
    assert numbers(frames.FrameType) == {frame.name: frame.type for frame in REGISTRY.frames}
    assert set(REGISTRY.grease_frames).isdisjoint(frames.KNOWN_TYPES)


@pytest.mark.parametrize("name", [frame.name for frame in REGISTRY.frames])
def test_flags(name: str) -> None:
    kinds = {"DATA": frames.DataFlag, "FAIL": frames.FailFlag, "ROSTER": frames.RosterFlag, "HELLO": frames.HelloFlag}
    kind = kinds.get(name)
    assert (numbers(kind) if kind else {}) == {flag.name: flag.bit for flag in REGISTRY.frame(name).flags}


def test_plain_flags_of_data() -> None:
    for flag in REGISTRY.frame("DATA").flags:
        assert getattr(frames, flag.name) == flag.bit


def test_constants() -> None:
    assert REGISTRY.constants == {
        "wire_version": frames.WIRE_VERSION,
        "magic": frames.MAGIC,
        "subprotocol": f"callchannel.{frames.WIRE_VERSION}",
        "no_slot": recipients.NO_SLOT,
        "skippable": frames.SKIPPABLE,
        "uncounted": frames.UNCOUNTED,
        "must_understand": extensions.MUST_UNDERSTAND,
    }


def test_roster_operations() -> None:
    assert numbers(frames.RosterOp) == REGISTRY.roster_ops


def test_lengths() -> None:
    assert REGISTRY.frame("DATA").min_length == frames.DATA_HEADER
    assert REGISTRY.frame("HELLO").min_length == frames.HELLO_LENGTH
    assert REGISTRY.frame("WELCOME").min_length == frames.WELCOME_LENGTH
    assert REGISTRY.control_length == frames.CONTROL_LENGTH
    assert REGISTRY.block("fragment").size == frames.FRAGMENT_BLOCK
    assert REGISTRY.frame("BYE").max_length == len(frames.Bye(0, "x" * 300).encode())
    assert fixed_bytes(REGISTRY.block("entry").fields) == len(frames.encode_entry(frames.RosterEntry(2, 0)))


def test_the_smallest_lengths_that_chapter_3_names() -> None:
    text = load_spec().requirements["CC-FRAME-013"].text
    named = {name: int(length) for name, length in re.findall(r"([A-Z]{3,}) (\d+)", text)}
    assert named == {frame.name: frame.min_length for frame in REGISTRY.frames if not frame.control}
    assert f"control frames {REGISTRY.control_length}" in text


def test_lanes() -> None:
    for frame in REGISTRY.frames:
        if "lossy" in frame.lanes:
            check_lane(frame.type, 0, Lane.LOSSY, 0)
        else:
            with pytest.raises(FrameError):
                check_lane(frame.type, 0, Lane.LOSSY, 0)


def test_counting() -> None:
    for frame in REGISTRY.frames:
        expected = {"yes": (True, True), "no": (False, False), "if RELIABLE": (False, True)}[frame.counted]
        assert (is_countable(frame.type, 0), is_countable(frame.type, frames.RELIABLE)) == expected, frame.name


def test_extensions() -> None:
    registered = {item.name.upper().replace("-", "_"): item.type for item in REGISTRY.extensions}
    assert numbers(extensions.ExtensionType) == registered
    assert set(REGISTRY.grease_extensions).isdisjoint(registered.values())
    assert max(*registered.values(), *REGISTRY.grease_extensions) < extensions.MUST_UNDERSTAND


CORE = [limit for limit in REGISTRY.limits if limit.holder != "signalling"]
SIGNALLING = [limit for limit in REGISTRY.limits if limit.holder == "signalling"]


def in_core(limit: Limit, value: int) -> int:
    """The registry gives milliseconds, the core takes microseconds."""
    return value * limits.MS if limit.unit == "ms" else value


def test_settable_limits_of_the_core() -> None:
    settable = [limit for limit in CORE if not limit.constant]
    bounds = {item.name: (in_core(item, item.min), in_core(item, item.max)) for item in settable}
    assert bounds == limits.BOUNDS
    defaults = {item.name: in_core(item, item.default) for item in settable}
    assert dataclasses.asdict(limits.Limits()) == defaults


def test_constants_of_the_core() -> None:
    constants = {item.name.upper(): in_core(item, item.default) for item in CORE if item.constant}
    named = {name: value for name, value in vars(limits).items() if name.isupper() and isinstance(value, int)}
    del named["MS"]
    assert named == constants


def test_limits_of_signalling() -> None:
    settable = [limit for limit in SIGNALLING if not limit.constant]
    assert {item.name: (item.min, item.max) for item in settable} == signalling_limits.BOUNDS
    defaults = {item.name: item.default for item in settable}
    assert dataclasses.asdict(signalling_limits.SignallingLimits()) == defaults
    constants = {item.name.upper(): item.default for item in SIGNALLING if item.constant}
    assert constants == {"CALL_NAME": names.CALL_NAME}


def test_the_independent_grammar_knows_the_same_flags() -> None:
    known = {flag.name for flag in REGISTRY.frame("DATA").flags}
    assert set(wire.DESCRIPTIVE_FLAGS) == known - {"FRAGMENT", "RECIPIENTS", "EXTENSIONS"}


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("frames", "min_length = 16", "min_length = 17", "DATA: min_length is 17, its fields have 16 bytes"),
        ("frames", "size = 8", "size = 9", "block fragment: size is 9"),
        ("frames", "type = 0x02", "type = 0x01", "two entries of frame have one name or number"),
        ("errors", "code = 0x0002", "code = 0x0042", "two entries of error have one name or number"),
        ("errors", "code = 0x0002", "code = 0x0FFF", "the numbers of error do not ascend"),
        ("errors", 'scope = "link"', 'scop = "link"', "an entry lacks a key or has one too many"),
        ("limits", "default = 1150", "default = 1149", "limit lossy_packet: the default is not between min and max"),
        ("limits", "[[limit]]", "[[limit", "limits.toml"),
    ],
)
def test_a_faulty_registry_is_refused(tree: Tree, file: str, old: str, new: str, message: str) -> None:
    root = tree()
    path = root / "spec" / "registry" / f"{file}.toml"
    path.write_text(path.read_text("utf-8").replace(old, new, 1), "utf-8")
    with pytest.raises(RegistryError, match=message):
        load_registry(root)
