# SPDX-License-Identifier: Apache-2.0
"""Verdicts as text and as JSON."""

from collections.abc import Callable

from callchannel.cli.verdicts import as_json, failure_text, success_text
from callchannel.core.errors import DeliveryFailed, ErrorCode, LinkLost, Report

REPORT = Report(sequence=5, reached=("bob",), failed=(("erin", 0x30),), unknown=(("dan", 0x28), ("x\x1b", 0x9999)))


def test_a_failure_names_everybody() -> None:
    assert failure_text(DeliveryFailed(REPORT)) == (
        'not delivered to "erin" (UNKNOWN_RECIPIENT); '
        'perhaps not delivered to "dan" (LOST), "x\\x1b" (0x9999); delivered to "bob"'
    )
    assert failure_text(LinkLost("it \x1b ended")) == "not sent: it \\x1b ended [LINK_LOST]"


def test_success() -> None:
    assert success_text(Report(sequence=1)) == "accepted by the relay"
    assert success_text(Report(sequence=1, reached=("bob", "eve"))) == 'delivered to "bob", "eve"'
    assert success_text(Report(sequence=1, reached=())) == "delivered to nobody: nobody else is in the call"
    assert success_text(Report(sequence=1, reached=("bob",), passed_over=("eve",))).endswith(
        'passed over, having failed before: "eve"'
    )


def test_json() -> None:
    assert as_json(REPORT, DeliveryFailed(REPORT, code=ErrorCode.UNKNOWN_RECIPIENT)) == {
        "reached": ["bob"],
        "failed": [{"identity": "erin", "code": "UNKNOWN_RECIPIENT"}],
        "unknown": [{"identity": "dan", "code": "LOST"}, {"identity": "x\x1b", "code": "0x9999"}],
        "passed_over": [],
        "code": "UNKNOWN_RECIPIENT",
        "detail": str(DeliveryFailed(REPORT)),
    }
    assert as_json(None) == {}
    assert as_json(Report(sequence=1))["reached"] is None


def test_attacks(attack: str, is_harmless: Callable[[str], bool]) -> None:
    report = Report(sequence=1, reached=(attack,), failed=((attack, 0x27),), unknown=((attack, 0x28),))
    assert is_harmless(failure_text(DeliveryFailed(report)))
    assert is_harmless(failure_text(LinkLost(attack)))
    assert is_harmless(success_text(Report(sequence=1, reached=(attack,), passed_over=(attack,))))
