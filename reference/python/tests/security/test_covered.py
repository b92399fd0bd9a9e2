# SPDX-License-Identifier: Apache-2.0
"""The security chapter and the tests match one to one: each row has tests or a reason, no test a row that is gone."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parents[2]
CHAPTER = (ROOT / "spec" / "16-security.md").read_text(encoding="utf-8")
COVERED: dict[str, dict[str, list[str] | str]] = tomllib.loads(
    Path(__file__).with_name("covered.toml").read_text(encoding="utf-8")
)
REASONS_AT_MOST = 3
"""Rows without a test of their own; one more is a question for whoever reviews it."""


def section(number: str) -> str:
    """The text of a section."""
    begin = CHAPTER.index(f"\n## {number} ")
    end = CHAPTER.find("\n## ", begin + 4)
    return CHAPTER[begin:end]


def rows(kind: str) -> list[str]:
    """The names of the rows of a kind in the text."""
    if kind == "threats":
        return re.findall(r"^\| (T\d\d) \|", section("16.2"), re.MULTILINE)
    if kind == "requirements":
        return re.findall(r"^- \*\*(CC-SEC-\d{3})\*\*", CHAPTER, re.MULTILINE)
    table = re.findall(r"^\| ([^|]+?) \|.*\|$", section("16.6"), re.MULTILINE)
    return [name for name in table if name != "grows" and not name.startswith("---")]


@cache
def names_in(path: Path) -> frozenset[str]:
    """The names of the tests in a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    )


def cited() -> set[str]:
    """All tests that the table names."""
    return {
        test for rows_of in COVERED.values() for tests in rows_of.values() if isinstance(tests, list) for test in tests
    }


@pytest.mark.parametrize(("kind", "least"), [("threats", 27), ("requirements", 27), ("exhaustion", 26)])
def test_each_row_has_its_tests_or_a_reason(kind: str, least: int) -> None:
    found = rows(kind)
    assert len(found) >= least
    assert len(set(found)) == len(found)
    assert sorted(COVERED[kind]) == sorted(found)
    for name, tests in COVERED[kind].items():
        assert tests, name
        assert isinstance(tests, list) or len(tests.split()) > 5, f"{name}: {tests!r} is no reason"
        assert isinstance(tests, list) or kind != "exhaustion", f"{name} has to be filled to its bound"


def test_reasons_are_few() -> None:
    assert sum(isinstance(tests, str) for kind in COVERED.values() for tests in kind.values()) <= REASONS_AT_MOST


@pytest.mark.parametrize("test", sorted(cited()))
def test_each_test_that_is_named_is_there(test: str) -> None:
    place, name = test.split("::")
    path = ROOT / place[1:] if place.startswith("/") else TESTS / place
    assert path.is_file(), f"{path} is gone"
    assert name in names_in(path), f"{name} is not in {path}"


def test_each_test_of_this_directory_is_named_or_names_a_row() -> None:
    """So that a test of an attack does not stand beside the table."""
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        if path.name == Path(__file__).name:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                named = f"security/{path.name}::{node.name}" in cited()
                says = re.search(r"\bT\d\d\b|CC-[A-Z]+-\d{3}", ast.get_docstring(node) or "")
                assert named or says, node.name


def test_no_test_names_a_row_that_is_gone() -> None:
    """CC-SEC requirements and threats, wherever tests cite them."""
    threats, requirements = set(rows("threats")), set(rows("requirements"))
    places = [
        *TESTS.rglob("*.py"),
        *(ROOT / "reference" / "javascript" / "test").glob("*.js"),
        *(ROOT / "conformance" / "callchannel_conformance" / "checks").glob("*.py"),
    ]
    seen: set[str] = set()
    for path in places:
        text = path.read_text(encoding="utf-8")
        named = set(re.findall(r"CC-SEC-\d{3}", text))
        listed = re.findall(r"[Tt]hreats? ((?:T\d\d(?:, | and )?)+)", text)
        cases = {case for group in listed for case in re.findall(r"T\d\d", group)}
        assert named <= requirements, (path, named - requirements)
        assert cases <= threats, (path, cases - threats)
        seen |= named | cases
    assert len(seen & requirements) >= 22 and len(seen & threats) >= 18


def test_what_stands_against_a_threat_is_there() -> None:
    """Each row names rules that exist, but for T27."""
    known = set(re.findall(r"CC-[A-Z]+-\d{3}", (ROOT / "spec" / "requirements.json").read_text(encoding="utf-8")))
    for row in re.findall(r"^\| (T\d\d) \|.*\| ([^|]+) \|$", section("16.2"), re.MULTILINE):
        rules = set(re.findall(r"CC-[A-Z]+-\d{3}", row[1]))
        assert rules <= known, row
        assert rules or "section" in row[1] or row[0] == "T27", row
