# SPDX-License-Identifier: Apache-2.0
"""What a check can come to: the classes of results, the verdict, the exit codes, and the exceptions that carry them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum, StrEnum
from typing import Any

from callchannel_conformance import standard


class Result(StrEnum):
    """The class of a check's result."""

    PASS = "PASS"
    FAIL = "FAIL"
    """A MUST is broken."""
    WARN = "WARN"
    """A SHOULD is not followed."""
    INFO = "INFO"
    """A MAY is used in a way that is worth a word."""
    SKIP = "SKIP"
    """Not applicable: the implementation does not claim it."""
    ERROR = "ERROR"
    """The adapter crashed, hung, or answered something that is no reply."""
    NONDETERMINISTIC = "NONDETERMINISTIC"
    """The same ops gave other replies."""
    HARNESS_ERROR = "HARNESS_ERROR"
    """The suite itself failed."""


class Verdict(StrEnum):
    """What a run says of an implementation."""

    CONFORMANT = "conformant"
    NONCONFORMANT = "nonconformant"
    INCOMPLETE = "incomplete"


class Exit(IntEnum):
    """Exit codes of the command. They are fixed, and never a count."""

    CONFORMANT = 0
    NONCONFORMANT = 1
    INCOMPLETE = 2
    USAGE = 3
    HARNESS = 4


EXIT_OF = {
    Verdict.CONFORMANT: Exit.CONFORMANT,
    Verdict.NONCONFORMANT: Exit.NONCONFORMANT,
    Verdict.INCOMPLETE: Exit.INCOMPLETE,
}

_UNDECIDED = (Result.ERROR, Result.NONDETERMINISTIC, Result.HARNESS_ERROR)


def verdict(results: Iterable[Result], *, complete: bool = True) -> Verdict:
    """The verdict of a run.

    A broken MUST decides, whatever else happened. A run in which nothing was executed, in which something could not be
    judged, or that was cut short (not *complete*), is incomplete.
    """
    found = list(results)
    if Result.FAIL in found:
        return Verdict.NONCONFORMANT
    executed = [result for result in found if result in (Result.PASS, Result.WARN, Result.INFO)]
    if not executed or not complete or any(result in _UNDECIDED for result in found):
        return Verdict.INCOMPLETE
    return Verdict.CONFORMANT


class Violation(AssertionError):
    """The implementation broke a requirement.

    `requirement` is the ID; `expected` and `actual` are texts for the report; packets among them are hexadecimal, so
    that the report can show where they differ.
    """

    def __init__(self, requirement: str, message: str, *, expected: object = None, actual: object = None) -> None:
        super().__init__(f"{requirement}: {message}")
        self.requirement = requirement
        self.message = message
        self.expected = expected
        self.actual = actual
        self.plan: dict[str, Any] | None = None
        """What was drawn when it was found, as JSON: a replay does that again, and draws nothing."""

    @property
    def result(self) -> Result:
        """FAIL, WARN or INFO, by the requirement's key word."""
        known = standard.requirements().get(self.requirement)
        if known is None or known.is_must:
            return Result.FAIL
        return Result.WARN if known.keyword.startswith("SHOULD") else Result.INFO


class AdapterError(Exception):
    """The adapter, not the implementation, did something wrong. `kind` tells crash, hang, garbage and so on apart."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


class Nondeterministic(Exception):
    """The same ops gave other replies."""


class NotApplicable(Exception):
    """The implementation does not claim what a check needs."""


def expect(holds: object, requirement: str, message: str, *, expected: object = None, actual: object = None) -> None:
    """Raise `Violation` unless *holds*."""
    if not holds:
        raise Violation(requirement, message, expected=expected, actual=actual)


def expect_equal(actual: object, expected: object, requirement: str, message: str) -> None:
    """Raise `Violation` unless both are equal."""
    if actual != expected:
        raise Violation(requirement, message, expected=expected, actual=actual)
