# SPDX-License-Identifier: Apache-2.0
"""Mechanical mutants: the same ones each time, all of them code, and classes that belong to mutants there are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulator import mutants, patching


def test_mutants_are_the_same_each_time_and_compile() -> None:
    drawn = mutants.draw(60)
    assert [mutant.key for mutant in drawn] == [mutant.key for mutant in mutants.draw(61)[:60]]
    for mutant in drawn:
        for name, text in mutants.text_of(mutant).items():
            compile(text, mutant.module, "exec")
            assert text != patching.source_of(name)


def test_there_are_mutants_of_every_module() -> None:
    assert {mutant.module for mutant in mutants.every()} == set(mutants.MODULES)
    assert len({mutant.key for mutant in mutants.every()}) == len(mutants.every()) > 2_000


def test_every_class_is_for_a_mutant_that_there_is() -> None:
    assert mutants.check() == []


def test_no_survivor_is_a_hole() -> None:
    assert {entry.kind for entry in mutants.classes().values()} <= {"tested", "equivalent", "legal", "unobservable"}


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ('mutant = "flow No.such comparison: a < b -> (a <= b) #1"\nclass = "legal"\nwhy = "x"', "no such mutant"),
        ('mutant = "KEY"\nclass = "harmless"\nwhy = "x"', "class 'harmless'"),
        ('mutant = "KEY"\nclass = "legal"\nwhy = ""', "class 'legal', ''"),
        ('mutant = "KEY"\nclass = "tested"\nwhy = "x"', "class 'tested'"),
        ('mutant = "KEY"\nclass = "legal"\nwhy = "x"\ntest = "core/test_flow.py::test_x"', "class 'legal'"),
        ('mutant = "KEY"\nclass = "tested"\nwhy = "x"\ntest = "core/test_flow.py::test_x"', "no core/test_flow.py::"),
    ],
)
def test_a_class_that_is_wrong_is_loud(
    entry: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mutants.toml"
    path.write_text("[[survivor]]\n" + entry.replace("KEY", mutants.draw(1)[0].key.replace('"', '\\"')))
    monkeypatch.setattr(mutants, "CLASSES_FILE", path)
    assert mutants.main(["--check"]) == 2
    assert fault in capsys.readouterr().out


def test_the_conformance_suite_is_told_each_with_its_place_and_class(tmp_path: Path) -> None:
    path = tmp_path / "mutants.json"
    assert mutants.main(["--json", str(path), "--count", "40"]) == 0
    found = json.loads(path.read_text())
    assert found["package"] == "callchannel"
    drawn = mutants.draw(40)
    assert [row["key"] for row in found["mutants"]] == [mutant.key for mutant in drawn]
    for row, mutant in zip(found["mutants"], drawn, strict=True):
        text = patching.source_of(f"callchannel.core.{mutant.module}")
        assert text[row["start"] : row["end"]] == row["old"]
        changed = text[: row["start"]] + row["new"] + text[row["end"] :]
        assert list(mutants.text_of(mutant).values()) == [changed]
        kind = mutants.classes().get(row["key"], ("", ""))[0]
        assert row["class"] == ("" if kind in ("hole", "tested") else kind)


def test_mutants_of_other_modules_can_be_told(tmp_path: Path) -> None:
    path = tmp_path / "mutants.json"
    assert mutants.main(["--json", str(path), "--count", "9", "--modules", "decoding,frames"]) == 0
    found = json.loads(path.read_text())["mutants"]
    assert len(found) == 9
    assert {row["module"] for row in found} <= {"core/decoding.py", "core/frames.py"}


def write_class(path: Path, key: str, test: str) -> None:
    entry = f'mutant = {json.dumps(key)}\nclass = "tested"\nwhy = "x"\ntest = {json.dumps(test)}\n'
    path.write_text("[[survivor]]\n" + entry)


def test_what_is_classed_as_tested_is_shown_by_its_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mutant = next(mutant for mutant in mutants.every() if mutant.key.startswith("flow SendCredit.allows comparison"))
    monkeypatch.setattr(mutants, "CLASSES_FILE", tmp_path / "mutants.toml")
    monkeypatch.setattr(mutants, "draw", lambda count: [mutant])
    write_class(mutants.CLASSES_FILE, mutant.key, "core/test_flow.py::test_the_limit_is_allowed_itself")
    assert mutants.main(["--tests"]) == 0
    assert "1 of 1 are shown" in capsys.readouterr().out
    write_class(mutants.CLASSES_FILE, mutant.key, "core/test_flow.py::test_the_table_of_the_text")
    assert mutants.main(["--tests"]) == 2
    assert "NO TEST FAILS" in capsys.readouterr().out
