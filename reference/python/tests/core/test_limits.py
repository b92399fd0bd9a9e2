# SPDX-License-Identifier: Apache-2.0
"""The limits are those of the registry (CC-LIMIT-001 to 004, 008), in value and behaviour."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest

from callchannel import Endpoint
from callchannel.core import limits as constants
from callchannel.core.errors import ErrorCode, InvalidArgument
from callchannel.core.limits import BOUNDS, MS, Limits

REGISTRY: list[dict[str, Any]] = tomllib.loads(
    (Path(__file__).resolve().parents[4] / "spec" / "registry" / "limits.toml").read_text(encoding="utf-8")
)["limit"]
SETTABLE = [row for row in REGISTRY if row["min"] != row["max"] and row["holder"] != "signalling"]
CONSTANT = [row for row in REGISTRY if row["min"] == row["max"] and row["holder"] != "signalling"]


def scaled(row: dict[str, Any], key: str) -> int:
    return int(row[key]) * (MS if row["unit"] == "ms" else 1)


@pytest.mark.parametrize("row", SETTABLE, ids=lambda row: row["name"])
def test_settable(row: dict[str, Any]) -> None:
    """Default, bounds, and INVALID_ARGUMENT beyond them (CC-LIMIT-003)."""
    name = row["name"]
    low, high = scaled(row, "min"), scaled(row, "max")
    assert getattr(Limits(), name) == scaled(row, "default")
    assert BOUNDS[name] == (low, high)
    for value in (low, high):
        assert getattr(Limits(**{name: value}), name) == value
    for value in (low - 1, high + 1, True, float(low), None):
        with pytest.raises(InvalidArgument) as caught:
            Limits(**{name: value})
        assert caught.value.code == ErrorCode.INVALID_ARGUMENT
        assert name in str(caught.value)


@pytest.mark.parametrize("row", CONSTANT, ids=lambda row: row["name"])
def test_constant(row: dict[str, Any]) -> None:
    assert getattr(constants, row["name"].upper()) == scaled(row, "default")


def test_the_names_are_those_of_the_registry() -> None:
    assert {field.name for field in fields(Limits)} == {row["name"] for row in SETTABLE} == set(BOUNDS)


def test_limits_are_values() -> None:
    assert Limits() == Limits()
    changed = replace(Limits(), window=65_536)
    assert asdict(changed)["window"] == 65_536
    with pytest.raises(InvalidArgument):
        replace(changed, window=0)


def test_an_endpoint_tells_no_more_than_its_memory() -> None:
    """CC-LIMIT-018: `window` and `largest_message` are held to `receive_memory`, and that shows."""
    given = Limits(receive_memory=1_048_576, window=2_097_152)
    limits = Endpoint(entropy=bytes, limits=given).limits
    assert (limits.window, limits.largest_message) == (1_048_576, 1_048_576)
    assert Limits().of_an_endpoint() == Limits()
