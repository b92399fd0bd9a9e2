# SPDX-License-Identifier: Apache-2.0
"""The core's tests against changed code."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator import unit_tests
from simulator.patching import Patch, apply

FILE = "core/test_flow.py"
TEST = unit_tests.path_of(f"{FILE}::test_the_limit_is_allowed_itself")


def change(new: str) -> dict[str, str]:
    return apply([Patch("callchannel.core.flow", "return self.written + length <= self.limit", new)])


def test_nothing_fails_without_a_change() -> None:
    assert unit_tests.first_failure({}, [TEST]) is None
    assert unit_tests.first_failure({}, []) is None


def test_a_change_is_shown() -> None:
    (result,) = unit_tests.first_failures([("change", change("return self.written + length < self.limit"), [TEST])])
    assert result == ("change", TEST)


def test_what_cannot_be_imported_has_failed() -> None:
    assert unit_tests.first_failure(change("return ("), [TEST]) is not None


def test_what_does_not_end_has_failed() -> None:
    assert unit_tests.first_failure(change("while True: pass"), [TEST], seconds=0.5) == TEST


@pytest.mark.parametrize("test", [f"{FILE}::test_x", "core/test_x.py::test_y"])
def test_a_test_that_there_is_not_is_loud(test: str) -> None:
    with pytest.raises(ValueError, match="test_x"):
        unit_tests.first_failure({}, [unit_tests.path_of(test)])


def test_names() -> None:
    assert unit_tests.short(TEST) == f"{FILE}::test_the_limit_is_allowed_itself"
    assert unit_tests.exists(f"{FILE}::test_the_limit_is_allowed_itself[1]")
    assert not unit_tests.exists(f"{FILE}::test_x")
    assert not unit_tests.exists("core/test_x.py::test_x")


def test_the_index_says_which_tests_call_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit_tests, "CORE_TESTS", unit_tests.TESTS / FILE)
    path = tmp_path / "tests.json"
    found = unit_tests.index(path)
    assert TEST in found["flow SendCredit.allows"]
    assert unit_tests.index(path) == found
    assert all(test.startswith(TEST.partition("::")[0]) for tests in found.values() for test in tests)
