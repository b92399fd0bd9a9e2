# SPDX-License-Identifier: Apache-2.0
"""Codes are those of the registry (CC-ERR-002 to 004), and exceptions say what they are about."""

from __future__ import annotations

import pickle
import tomllib
from pathlib import Path
from typing import Any

import pytest

from callchannel.core import errors
from callchannel.core.errors import (
    CallChannelError,
    DeadlineExceeded,
    DeliveryFailed,
    DropCounter,
    ErrorCode,
    FrameError,
    MessageTooLarge,
    RecipientsUnavailable,
    Report,
    Retry,
    Scope,
    error_code,
    error_name,
)

REGISTRY: list[dict[str, Any]] = tomllib.loads(
    (Path(__file__).resolve().parents[4] / "spec" / "registry" / "errors.toml").read_text(encoding="utf-8")
)["error"]
EXCEPTIONS = [
    found
    for found in vars(errors).values()
    if isinstance(found, type) and issubclass(found, CallChannelError) and found is not CallChannelError
]


@pytest.mark.parametrize("row", REGISTRY, ids=lambda row: row["name"])
def test_code(row: dict[str, Any]) -> None:
    code = ErrorCode[row["name"]]
    assert code == row["code"]
    assert code.scope is Scope(row["scope"])
    assert code.retry is Retry(row["retry"])
    assert error_code(row["code"]) is code
    assert error_name(row["code"]) == row["name"]


def test_there_are_no_other_codes() -> None:
    assert [code.name for code in ErrorCode] == [row["name"] for row in REGISTRY]


def test_unknown_codes_stay_numbers() -> None:
    """CC-ERR-003."""
    assert error_code(0xF123) == 0xF123
    assert not isinstance(error_code(0xF123), ErrorCode)
    assert error_name(0xF123) == "0xF123"
    assert CallChannelError("private", code=0xF123).scope is Scope.CALLER


@pytest.mark.parametrize("kind", EXCEPTIONS, ids=lambda kind: kind.__name__)
def test_every_exception_has_a_code_and_says_what_it_is(kind: type[CallChannelError]) -> None:
    assert isinstance(kind.code, int)
    assert kind.__doc__


def test_exceptions_are_plain_classes() -> None:
    """They can be raised through context managers, and carry what they are about."""
    report = Report(sequence=3, reached=("ann",), failed=(("bob", 0x26),))
    error = DeliveryFailed(report, code=0x26)
    assert (error.report, error.code, error.scope) == (report, 0x26, Scope.SESSION)
    assert RecipientsUnavailable(report).names == ("bob",)
    large = MessageTooLarge(5, 4, "; send less")
    assert (large.size, large.limit, str(large)) == (5, 4, "the message has 5 bytes, the limit is 4; send less")
    late = DeadlineExceeded("late", written=True)
    assert isinstance(late, TimeoutError)
    assert late.written
    frame = FrameError(ErrorCode.SLOT, 7, "why", "CC-X-001")
    assert (frame.offset, frame.detail, frame.requirement) == (7, "why", "CC-X-001")
    assert str(frame) == "SLOT at byte 7: why (CC-X-001)"
    with pytest.raises(ValueError, match="plain"):
        raise errors.InvalidArgument("plain")


def test_code_of_a_report_is_the_reason_that_was_given_first() -> None:
    """CC-DELIV-005: failed goes before unknown."""
    assert Report(sequence=1).code == ErrorCode.NONE
    assert Report(sequence=1, unknown=(("a", 0x28),)).code == 0x28
    assert Report(sequence=1, failed=(("b", 0x26), ("c", 0x27)), unknown=(("a", 0x28),)).code == 0x26


@pytest.mark.parametrize(
    ("report", "text"),
    [
        (Report(sequence=4), "message 4"),
        (Report(sequence=4, reached=()), "message 4; reached nobody"),
        (
            Report(
                sequence=4,
                reached=("a\n",),
                failed=(("b", 0x26),),
                unknown=(("c", 0xF001),),
                passed_over=("d",),
            ),
            "message 4; reached 'a\\n'; failed for 'b' (CLOSED); unknown for 'c' (0xF001); passed over 'd'",
        ),
    ],
)
def test_reports_can_be_read(report: Report, text: str) -> None:
    assert str(report) == text


def test_reports_are_values() -> None:
    report = Report(sequence=1, failed=(("a", 1),))
    assert pickle.loads(pickle.dumps(report)) == report


def test_drops_are_counted_by_reason() -> None:
    drops, others = DropCounter(), DropCounter()
    drops.add("expired")
    drops.add("expired", 2)
    others.add("memory")
    drops.add_all(others)
    assert drops.by_reason == {"expired": 3, "memory": 1}
    assert drops.total == 4
