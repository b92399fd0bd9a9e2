# SPDX-License-Identifier: Apache-2.0
"""The registries of `spec/registry`, read into values and checked for sense."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tools.faults import ROOT

_BITS: Final = re.compile(r"u(\d+)")


class RegistryError(Exception):
    """A registry file does not hold what it has to; the text says where and what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field of a frame or block. `type`: uN, bytes, utf8 or block."""

    name: str
    type: str
    meaning: str
    size: int | None = None
    """Of `bytes`: how many; None: to the end of the frame, or as a length field says."""
    block: str | None = None
    """Of `block`: its name."""
    when: str | None = None
    """The flag that says the field is there."""
    repeat: bool = False

    @property
    def bits(self) -> int | None:
        """The width; None where it varies."""
        if match := _BITS.fullmatch(self.type):
            return int(match[1])
        return self.size * 8 if self.size is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A flag of a frame type; `bit` is its value."""

    name: str
    bit: int
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A frame type. Control frames have the fields of `Registry.control`."""

    name: str
    type: int
    min_length: int
    max_length: int | None
    flags: tuple[Flag, ...]
    lanes: tuple[str, ...]
    counted: str
    writers: tuple[str, ...]
    meaning: str
    fields: tuple[Field, ...]
    control: bool
    value: str | None
    """What `value` means in a control frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A part of a frame with fields of its own."""

    name: str
    size: int | None
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Error:
    """An error code."""

    code: int
    name: str
    scope: str
    retry: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """A registered extension of DATA."""

    name: str
    type: int
    value: str
    modes: tuple[str, ...]
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A feature of a link, or the remark that there is none."""

    name: str
    bits: int
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A limit; `unit`: bytes, count, ms or per_second."""

    name: str
    min: int
    default: int
    max: int
    unit: str
    holder: str
    beyond: str
    why: str

    @property
    def constant(self) -> bool:
        """Whether nobody may change it."""
        return self.min == self.default == self.max


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """All registries."""

    constants: Mapping[str, int | str]
    """wire_version, magic, subprotocol, no_slot, skippable, uncounted, must_understand."""
    start: tuple[Field, ...]
    frames: tuple[Frame, ...]
    control: tuple[Field, ...]
    control_length: int
    blocks: tuple[Block, ...]
    roster_ops: Mapping[str, int]
    grease_frames: tuple[int, ...]
    grease_extensions: tuple[int, ...]
    features: tuple[Feature, ...]
    errors: tuple[Error, ...]
    extensions: tuple[Extension, ...]
    limits: tuple[Limit, ...]

    def frame(self, name: str) -> Frame:
        """The frame type of a name. Raises `KeyError`."""
        return {frame.name: frame for frame in self.frames}[name]

    def block(self, name: str) -> Block:
        """The block of a name. Raises `KeyError`."""
        return {block.name: block for block in self.blocks}[name]


def load_registry(root: Path = ROOT) -> Registry:
    """Read `spec/registry`. Raises `RegistryError`."""
    folder = root / "spec" / "registry"
    frames, errors, extensions, limits = (
        _read(folder / f"{name}.toml") for name in ("frames", "errors", "extensions", "limits")
    )
    try:
        registry = Registry(
            constants={
                **{name: frames[name] for name in ("wire_version", "magic", "subprotocol", "no_slot")},
                **frames["type_bits"],
                "must_understand": extensions["must_understand"],
            },
            start=_fields(frames["start"]),
            frames=tuple(_frame(entry, frames["control"]) for entry in frames["frame"]),
            control=_fields(frames["control"]),
            control_length=frames["control"]["length"],
            blocks=tuple(Block(name=x["name"], size=x.get("size"), fields=_fields(x)) for x in frames["block"]),
            roster_ops=frames["roster_ops"],
            grease_frames=_grease(frames),
            grease_extensions=_grease(extensions),
            features=tuple(Feature(**entry) for entry in frames["features"]),
            errors=tuple(Error(**entry) for entry in errors["error"]),
            extensions=tuple(Extension(**{**x, "modes": tuple(x["modes"])}) for x in extensions["extension"]),
            limits=tuple(Limit(**entry) for entry in limits["limit"]),
        )
    except (KeyError, TypeError) as error:
        raise RegistryError(f"{folder}: an entry lacks a key or has one too many: {error}") from error
    _check(registry)
    return registry


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise RegistryError(f"{path}: {error}") from error


def _fields(entry: Mapping[str, Any]) -> tuple[Field, ...]:
    return tuple(Field(**field) for field in entry.get("fields", ()))


def _frame(entry: Mapping[str, Any], control: Mapping[str, Any]) -> Frame:
    is_control = entry.get("control", False)
    length = control["length"] if is_control else None
    return Frame(
        name=entry["name"],
        type=entry["type"],
        min_length=length or entry["min_length"],
        max_length=length or entry.get("max_length"),
        flags=tuple(Flag(**flag) for flag in entry["flags"]),
        lanes=tuple(entry["lanes"]),
        counted=entry["counted"],
        writers=tuple(entry["writers"]),
        meaning=entry["meaning"],
        fields=_fields(control if is_control else entry),
        control=is_control,
        value=entry.get("value"),
    )


def _grease(data: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(kind for entry in data["reserved"] if entry["name"] == "grease" for kind in entry["types"])


def fixed_bytes(fields: Iterable[Field]) -> int:
    """The bytes of all fields that are always there and whose width does not vary."""
    return sum(field.bits or 0 for field in fields if not field.when) // 8


def _check(registry: Registry) -> None:
    """What the entries have to say of each other. Raises `RegistryError`."""
    for label, names, numbers in (
        ("frame", [x.name for x in registry.frames], [x.type for x in registry.frames]),
        ("error", [x.name for x in registry.errors], [x.code for x in registry.errors]),
        ("extension", [x.name for x in registry.extensions], [x.type for x in registry.extensions]),
        ("limit", [x.name for x in registry.limits], []),
    ):
        if len(set(names)) != len(names) or len(set(numbers)) != len(numbers):
            raise RegistryError(f"two entries of {label} have one name or number")
        if numbers != sorted(numbers):
            raise RegistryError(f"the numbers of {label} do not ascend")
    start = fixed_bytes(registry.start)
    for frame in registry.frames:
        length = start + fixed_bytes(frame.fields)
        if frame.min_length != length:
            raise RegistryError(f"{frame.name}: min_length is {frame.min_length}, its fields have {length} bytes")
    for block in registry.blocks:
        varies = any(field.bits is None for field in block.fields)
        if block.size != (None if varies else fixed_bytes(block.fields)):
            raise RegistryError(f"block {block.name}: size is {block.size}, its fields say otherwise")
    for limit in registry.limits:
        if not limit.min <= limit.default <= limit.max:
            raise RegistryError(f"limit {limit.name}: the default is not between min and max")
