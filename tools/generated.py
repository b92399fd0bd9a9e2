# SPDX-License-Identifier: Apache-2.0
"""What stands in the generated parts of the chapters, made from the registries.

`parts(registry)` names them all; each is a function without arguments that gives the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from tools.diagrams import Part, draw
from tools.registry import Block, Field, Flag, Frame, Registry, fixed_bytes
from tools.tables import number, prose, table

_SCOPES: Final = ("none", "link", "session", "message", "caller")
_UNITS: Final = {"per_second": "per second"}


def parts(registry: Registry) -> Mapping[str, Callable[[], str]]:
    """All names that a chapter may use in `<!-- generated: NAME -->`, and what makes the text."""
    found: dict[str, Callable[[], str]] = {
        "start": partial(_start, registry),
        "frames": partial(_frames, registry),
        "control": partial(_control, registry),
        "roster ops": partial(_roster_ops, registry),
        "errors": partial(_errors, registry, _SCOPES),
        "limits": partial(_limits, registry, None),
        "extensions": partial(_extensions, registry),
        "features": partial(_features, registry),
    }
    for frame in registry.frames:
        found[f"frame {frame.name}"] = partial(_frame, registry, frame)
        if frame.flags:
            found[f"flags {frame.name}"] = partial(_flags, frame.flags)
    for block in registry.blocks:
        found[f"block {block.name}"] = partial(_block, block)
    for scope in _SCOPES:
        found[f"errors {scope}"] = partial(_errors, registry, (scope,))
    for unit in sorted({limit.unit for limit in registry.limits}):
        found[f"limits {unit}"] = partial(_limits, registry, unit)
    return found


def _start(registry: Registry) -> str:
    return _both(_diagram(registry.start), _fields(registry.start, 0))


def _frame(registry: Registry, frame: Frame) -> str:
    length = f"length {frame.min_length}" if frame.max_length == frame.min_length else "length"
    start = {"type": f"type {frame.type:02X}", "flags": "flags" if frame.flags else "flags 00", "length": length}
    return _both(_diagram([*registry.start, *frame.fields], start), _fields(frame.fields, fixed_bytes(registry.start)))


def _control(registry: Registry) -> str:
    kinds = [frame.type for frame in registry.frames if frame.control]
    start = {"type": f"type {min(kinds):02X} to {max(kinds):02X}", "length": f"length {registry.control_length}"}
    return _both(
        _diagram([*registry.start, *registry.control], start), _fields(registry.control, fixed_bytes(registry.start))
    )


def _block(block: Block) -> str:
    return _both(_diagram(block.fields), _fields(block.fields, 0))


def _both(diagram: str, fields: str) -> str:
    return f"```\n{diagram}\n```\n\n{fields}"


def _diagram(fields: Iterable[Field], labels: Mapping[str, str] | None = None) -> str:
    """Single bits are drawn by their first letter, in capitals; the table of fields says which they are."""
    drawn: list[Part] = []
    for field in fields:
        label = (labels or {}).get(field.name, field.name)
        if field.bits == 1:
            label = _letter(field)
        elif field.when:
            label = f"{field.name}, if {field.when}"
        drawn.append(Part(label, None if field.when else field.bits))
    return draw(drawn)


def _letter(field: Field) -> str:
    return field.name[0].upper()


def _fields(fields: Sequence[Field], offset: int) -> str:
    """The table of fields. `offset` is that of the first; it is known until a field varies."""
    rows: list[tuple[str, str, str, str]] = []
    bit: int | None = offset * 8
    for field in fields:
        name = f"`{field.name}`" + (f" ({_letter(field)})" if field.bits == 1 else "")
        byte = "then" if bit is None else str(bit // 8) if bit % 8 == 0 else ""
        rows.append((byte, name, _type(fields, field), prose(field.meaning)))
        bit = bit + field.bits if bit is not None and field.bits is not None and not field.when else None
    return table(("byte", "field", "type", "meaning"), rows)


def _type(fields: Sequence[Field], field: Field) -> str:
    if field.type == "block":
        what = f"{field.block} blocks" if field.repeat else "block"
        return f"{what}, if {field.when}" if field.when else what
    if field.size is not None:
        return f"{field.size} bytes"
    low = _lowest_bit(fields, field)
    if low is None or field.bits is None:
        return field.type
    high = low + field.bits - 1
    return f"{field.type}, bit {low}" if high == low else f"{field.type}, bits {high} to {low}"


def _lowest_bit(fields: Sequence[Field], field: Field) -> int | None:
    """Of a part of an integer its lowest bit number there; None for a whole integer."""
    group: list[Field] = []
    bits = 0
    for item in fields:
        group.append(item)
        bits += item.bits or 0
        if bits % 8 == 0:
            if field in group:
                behind = group[group.index(field) + 1 :]
                return sum(part.bits or 0 for part in behind) if len(group) > 1 else None
            group, bits = [], 0
    return None


def _flags(flags: Sequence[Flag]) -> str:
    return table(
        ("bit", "flag", "meaning when set"), [(f"{flag.bit:02X}", flag.name, prose(flag.meaning)) for flag in flags]
    )


def _frames(registry: Registry) -> str:
    return table(
        ("type", "frame", "bytes", "lane", "counted", "written by", "meaning"),
        [
            (
                f"{frame.type:02X}",
                frame.name,
                _length(frame),
                ", ".join(frame.lanes),
                frame.counted,
                ", ".join(frame.writers),
                prose(frame.meaning),
            )
            for frame in registry.frames
        ],
    )


def _length(frame: Frame) -> str:
    if frame.max_length is None:
        return f"{frame.min_length} and up"
    low, high = frame.min_length, frame.max_length
    return number(low) if low == high else f"{number(low)} to {number(high)}"


def _roster_ops(registry: Registry) -> str:
    return table(("op", "name"), [(f"{value:02X}", name) for name, value in registry.roster_ops.items()])


def _errors(registry: Registry, scopes: Sequence[str]) -> str:
    return table(
        ("code", "name", "scope", "retry", "meaning"),
        [
            (f"{error.code:04X}", error.name, error.scope, error.retry, prose(error.meaning))
            for error in registry.errors
            if error.scope in scopes
        ],
    )


def _limits(registry: Registry, unit: str | None) -> str:
    return table(
        ("limit", "unit", "least", "default", "greatest", "holder", "beyond", "why"),
        [
            (
                f"`{limit.name}`",
                _UNITS.get(limit.unit, limit.unit),
                number(limit.min),
                number(limit.default),
                number(limit.max),
                limit.holder,
                prose(limit.beyond),
                prose(limit.why),
            )
            for limit in registry.limits
            if unit in (None, limit.unit)
        ],
    )


def _extensions(registry: Registry) -> str:
    return table(
        ("type", "name", "value", "on", "meaning"),
        [
            (
                f"{extension.type:04X}",
                f"`{extension.name}`",
                prose(extension.value),
                ", ".join(mode.capitalize() for mode in extension.modes),
                prose(extension.meaning),
            )
            for extension in registry.extensions
        ],
    )


def _features(registry: Registry) -> str:
    return table(
        ("bits", "name", "meaning"),
        [(f"{feature.bits:08X}", feature.name, prose(feature.meaning)) for feature in registry.features],
    )
